"""
Guard Flask applications: an extension with decorators for views, a hook for blueprints, a proxy to the caller.

A decorator stands below the route: first `@app.get("/orders")`, then `@guard.require("orders/read")`.  The other
way round Flask serves the function that nobody guards; `CognitoGuard.unguarded` finds it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import isclass, iscoroutinefunction
from typing import Any, ParamSpec, TypeAlias, Unpack

try:
    from flask import Blueprint, Flask, current_app
except ImportError as _cause:
    raise ImportError("cognito_guard.flask needs Flask: pip install 'cognito-guard[flask]'") from _cause

from ..abstract import Verifier
from ..errors import ConfigurationError
from ..guard import Guard, RouteGuardOptions, check_route_options
from ..requires import Requirement, Requires, RequiresOptions, all_of
from .audit import marked, unguarded_endpoints
from .caller import (
    EXTENSION,
    RefusedRequest,
    current_principal,
    principal_or_none,
    principal_verified,
    request_refused,
    response_instead,
    serve_metadata,
)
from .config import verifier_from

__all__ = [
    "CognitoGuard",
    "RefusedRequest",
    "current_principal",
    "principal_or_none",
    "principal_verified",
    "request_refused",
]

P = ParamSpec("P")
View: TypeAlias = Callable[P, Any]


class CognitoGuard:
    """
    Guard views and blueprints; hold no application's state, so that one may serve several applications.

    A refusal is raised as a `RefusedRequest`, for the application's own error handlers to see.
    """

    def __init__(
        self, app: Flask | None = None, verifier: Verifier | None = None, **options: Unpack[RouteGuardOptions]
    ) -> None:
        """
        Take what every application has in common, and one application, if it is there yet.

        Args:
            app: handed to `init_app`.
            verifier: judges tokens, in applications that are not given their own.
            options: attributes of `cognito_guard.guard.Guard`, all but `required`.

        Raises:
            ConfigurationError: as `init_app` does.
        """
        check_route_options(options, "@guard.require wants a caller, @guard.optional takes anonymous ones too")
        self._verifier = verifier
        self._options = options
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask, verifier: Verifier | None = None) -> None:
        """
        Prepare an application.

        Args:
            app: the application.
            verifier: judges tokens; by default the extension's own, else one made from the entries of `app.config`
                whose names are those of the verifier's arguments: COGNITO_USER_POOL_ID, COGNITO_CLIENT_ID, ...

        Raises:
            ConfigurationError: a setting or option that can't be right, or an application that has a guard already.
        """
        if not isinstance(app, Flask):
            raise ConfigurationError("app", f"expected a Flask, got {type(app).__name__}; a verifier goes by verifier=")
        if EXTENSION in app.extensions:
            raise ConfigurationError("app", "has a CognitoGuard already")
        guard = Guard(verifier=verifier or self._verifier or verifier_from(app.config), **self._options)
        app.extensions[EXTENSION] = guard
        if guard.metadata is not None:
            # First of all hooks, whenever `protect` was called: the metadata needs no token.
            app.before_request_funcs.setdefault(None, []).insert(0, serve_metadata)

    def require(self, *demands: str | Requirement, **more: Unpack[RequiresOptions]) -> Callable[[View[P]], View[P]]:
        """
        Guard a view: sync or async, a method, or a whole class by its `decorators`.

        Args:
            demands: scopes and requirements; all must be met.  None at all means any verified caller.
            more: arguments of `Requires`, to be met as well.

        Raises:
            ConfigurationError: a demand that can't be right, or a class; at a request, an application that
                `init_app` has not seen.
        """
        requirement = all_of((*demands, Requires(**more)))
        return lambda view: _guarded(view, requirement)

    def optional(self, view: View[P]) -> View[P]:
        """Guard a view as `require` does, but let callers without credentials through."""
        return _guarded(view, None)

    def protect(
        self, scaffold: Flask | Blueprint, *demands: str | Requirement, **more: Unpack[RequiresOptions]
    ) -> None:
        """Guard all of a blueprint, or all of an application with its unmatched URLs, as `require` does."""
        requirement = all_of((*demands, Requires(**more)))
        scaffold.before_request(marked(lambda: response_instead(requirement)))

    @staticmethod
    def unguarded(app: Flask) -> list[str]:
        """Return the endpoints of an application that nothing guards, for a test that knows each of them."""
        return unguarded_endpoints(app)


def _guarded(view: View[P], requirement: Requirement | None) -> View[P]:
    if isclass(view):
        raise ConfigurationError("require", "guards functions and methods: name it in the class's decorators")

    is_async = iscoroutinefunction(view)

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> Any:
        response = response_instead(requirement)
        if response is not None:
            return response
        return (current_app.ensure_sync(view) if is_async else view)(*args, **kwargs)

    return marked(guarded)
