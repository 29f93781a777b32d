"""
Who is calling: found once per request, and put where views look for it.

Every door (middleware, decorator, REST framework) comes through here, so that a token is verified once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, cast

from asgiref.sync import sync_to_async
from django.http import HttpRequest

from ..errors import Reason, RequirementNotMetError
from ..guard import Guard, is_preflight
from ..principal import Principal
from ..tokens.bearer import EnvironHeaders
from .conf import Configuration, configuration
from .permissions import bind
from .signals import principal_verified
from .users import CognitoUser

_CALLER = "_cognito_guard_caller"


class CognitoRequest(HttpRequest):
    """Name for annotations what a request holds behind `cognito_required`."""

    principal: Principal
    auser: Callable[[], Awaitable[Any]]


class OptionalCognitoRequest(HttpRequest):
    """Name for annotations what a request holds where callers may be anonymous: theirs is None."""

    principal: Principal | None
    auser: Callable[[], Awaitable[Any]]


class Caller(NamedTuple):
    """Hold a verified caller, and the user that stands for it in Django."""

    principal: Principal
    user: Any

    async def auser(self) -> Any:
        """Return the user: Django's `request.auser`."""
        return self.user


def enter(request: HttpRequest) -> Caller | None:
    """
    Return the caller of a request, or None for an anonymous one; sets `request.principal`, `user` and `auser`.

    An anonymous request keeps the user it has: that of the session, where there is one.

    Raises:
        RefusalError: the request is refused.
    """
    if _CALLER in request.__dict__:
        return cast("Caller | None", request.__dict__[_CALLER])
    now = configuration()
    headers = EnvironHeaders(request.META)
    principal = None if _is_free(request, headers, now) else now.guard.authenticate(headers, optional=now.optional)
    if principal is None:
        return _settle(request, None)
    user = CognitoUser(principal) if now.resolver is None else _accepted(now.resolver(principal), principal)
    caller = _settle(request, Caller(principal, user))
    if principal_verified.receivers:
        principal_verified.send_robust(Guard, request=request, principal=principal)
    return caller


async def aenter(request: HttpRequest) -> Caller | None:
    """Return the caller as `enter` does, without blocking the event loop; only a resolver runs in Django's thread."""
    if _CALLER in request.__dict__:
        return cast("Caller | None", request.__dict__[_CALLER])
    now = configuration()
    headers = EnvironHeaders(request.META)
    principal = (
        None if _is_free(request, headers, now) else await now.guard.aauthenticate(headers, optional=now.optional)
    )
    if principal is None:
        return _settle(request, None)
    if now.resolver is None:
        user: Any = CognitoUser(principal)
    else:
        user = _accepted(await sync_to_async(now.resolver)(principal), principal)
    caller = _settle(request, Caller(principal, user))
    if principal_verified.receivers:
        await principal_verified.asend_robust(Guard, request=request, principal=principal)
    return caller


def _is_free(request: HttpRequest, headers: EnvironHeaders, now: Configuration) -> bool:
    return request.path_info in now.exempt or (request.method == "OPTIONS" and is_preflight("OPTIONS", headers))


def _accepted(user: Any, principal: Principal) -> Any:
    if user is None or not user.is_active:
        raise RequirementNotMetError(Reason.NO_USER, "the application has no active user for the caller")
    bind(user, principal)
    return user


def _settle(request: HttpRequest, caller: Caller | None) -> Caller | None:
    request.__dict__[_CALLER] = caller
    ours = cast("OptionalCognitoRequest", request)
    ours.principal = None if caller is None else caller.principal
    if caller is not None:
        # Without a lazy object: what a template shows must have been verified before.
        ours.user, ours.auser = caller.user, caller.auser
    return caller
