"""
Guard one view, a function or a class, sync or async, behind CognitoMiddleware or without it.

On a class: `@method_decorator(cognito_required("orders/read"), name="dispatch")`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import isclass
from typing import Any, TypeVar, Unpack, cast

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest

from ..errors import ConfigurationError, RefusalError
from ..requires import Requirement, Requires, RequiresOptions, all_of
from .caller import Caller, aenter, enter
from .conf import configuration
from .replies import aforgery, arefuse, forgery, refuse, response_for, varied

V = TypeVar("V", bound=Callable[..., Any])


def cognito_required(*demands: str | Requirement, **more: Unpack[RequiresOptions]) -> Callable[[V], V]:
    """
    Let only callers with an acceptable token through to a view.

    Args:
        demands: scopes and requirements; all must be met.  None at all means any verified caller.
        more: arguments of `Requires`, for one more requirement: `groups=["admins"]`, `max_age=300`.

    The view is exempt from Django's CSRF check, as no browser sends an Authorization header by itself; a
    token out of a cookie is checked all the same.

    Raises:
        ConfigurationError: a demand that can't be right, or a class instead of a view.
    """
    requirement = all_of((*demands, Requires(**more)))
    return lambda view: _guarded(view, requirement)


def cognito_optional(view: V) -> V:
    """Tell a view its caller where there are credentials; bad ones are refused.  Callers without are anonymous."""
    return _guarded(view, None)


def _guarded(view: V, requirement: Requirement | None) -> V:
    if isclass(view):
        raise ConfigurationError("cognito_required", "guards functions: method_decorator(..., name='dispatch')")

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            caller = enter(_checked(request))
            _authorize(caller, requirement)
        except RefusalError as error:
            return response_for(refuse(request, error, requirement))
        forged = None if caller is None else forgery(request)
        return varied(forged or view(request, *args, **kwargs))

    @wraps(view)
    async def aguarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            caller = await aenter(_checked(request))
            _authorize(caller, requirement)
        except RefusalError as error:
            return response_for(await arefuse(request, error, requirement))
        forged = None if caller is None else await aforgery(request)
        return varied(forged or await view(request, *args, **kwargs))

    chosen: Any = aguarded if _is_async(view) else guarded
    if requirement is not None:
        # Not where callers may be anonymous: they may be a session's, whose forms keep Django's check.
        chosen.csrf_exempt = True
    return cast("V", chosen)


def _authorize(caller: Caller | None, requirement: Requirement | None) -> None:
    if requirement is not None:
        configuration().guard.authorize(None if caller is None else caller.principal, requirement)


def _checked(request: object) -> HttpRequest:
    if not isinstance(request, HttpRequest):
        raise ConfigurationError("cognito_required", "takes a view; methods by way of method_decorator")
    return request


def _is_async(view: Callable[..., Any]) -> bool:
    # `dispatch` of an async class is a plain method that returns its handler's coroutine; method_decorator
    # hands it over as a partial.
    owner = getattr(getattr(view, "func", view), "__self__", None)
    is_marked: bool = iscoroutinefunction(view)  # pyright: ignore[reportDeprecated]
    return is_marked or getattr(owner, "view_is_async", False) is True
