"""Which endpoints of an application are guarded: guards leave a mark on what Flask calls."""

from __future__ import annotations

from collections.abc import Callable
from inspect import isclass
from itertools import accumulate
from typing import Any, TypeVar

from flask import Flask
from flask.views import MethodView, http_method_funcs

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__cognito_guard__"


def marked(function: F) -> F:
    """Return a view or hook that guards, marked as such."""
    setattr(function, _MARK, True)
    return function


def unguarded_endpoints(app: Flask) -> list[str]:
    """Return the endpoints for which neither a hook before the request nor the view is marked."""
    return sorted(endpoint for endpoint, view in app.view_functions.items() if not _is_guarded(app, endpoint, view))


def _is_guarded(app: Flask, endpoint: str, view: Callable[..., Any]) -> bool:
    # Hooks of the application, of the blueprint, and of all blueprints around that.
    owners = (None, *accumulate(endpoint.split(".")[:-1], "{}.{}".format))
    hooks = (hook for owner in owners for hook in app.before_request_funcs.get(owner, ()))
    return any(map(_is_marked, (*hooks, view))) or _has_marked_methods(getattr(view, "view_class", None))


def _has_marked_methods(view_class: object) -> bool:
    if not isclass(view_class) or not issubclass(view_class, MethodView):
        return False
    return all(_is_marked(getattr(view_class, name)) for name in http_method_funcs if hasattr(view_class, name))


def _is_marked(function: Callable[..., Any]) -> bool:
    return hasattr(function, _MARK)
