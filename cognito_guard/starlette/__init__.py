"""Be at home in Starlette: `@requires` with proper challenges, and a backend for its AuthenticationMiddleware."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from inspect import isclass, iscoroutinefunction
from typing import Any, ParamSpec, TypeAlias, TypeGuard, Unpack

try:
    from starlette.requests import HTTPConnection
    from starlette.websockets import WebSocket, WebSocketState
except ImportError as _cause:
    raise ImportError("cognito_guard.starlette needs Starlette: pip install 'cognito-guard[asgi]'") from _cause

from ..asgi.connection import GUARD_KEY, PRINCIPAL_KEY, send_challenge
from ..challenge import WEBSOCKET_POLICY_VIOLATION, Challenge
from ..errors import ConfigurationError, RefusalError
from ..guard import Guard
from ..requires import Requirement, Requires, RequiresOptions, all_of
from .backend import ChallengeError, CognitoBackend, response_for

__all__ = ["ChallengeError", "CognitoBackend", "requires", "response_for"]

P = ParamSpec("P")
Handler: TypeAlias = Callable[P, Any]


def requires(*demands: str | Requirement, **more: Unpack[RequiresOptions]) -> Callable[[Handler[P]], Handler[P]]:
    """
    Guard an endpoint: sync, async or WebSocket, a function or a method.

    Args:
        demands: scopes and requirements; all must be met.  None at all means any verified caller.
        more: arguments of `Requires`, to be met as well.

    The answer to a caller who may not is the challenge of RFC 6750 or 9470.  Needs `CognitoMiddleware` or
    `CognitoBackend` in front, and raises ConfigurationError on the first request without.
    """
    requirement = all_of((*demands, Requires(**more)))

    def decorate(handler: Handler[P]) -> Handler[P]:
        if isclass(handler):
            raise ConfigurationError("requires", "guards functions and methods: decorate the class's handlers")
        if iscoroutinefunction(handler) or iscoroutinefunction(getattr(handler, "__call__", None)):  # noqa: B004
            return _guarded_async(handler, requirement)

        @wraps(handler)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> Any:
            challenge = _challenge(_connection(args, kwargs), requirement)
            return handler(*args, **kwargs) if challenge is None else response_for(challenge)

        return guarded

    return decorate


def _guarded_async(handler: Callable[P, Awaitable[Any]], requirement: Requirement) -> Handler[P]:
    @wraps(handler)
    async def guarded(*args: P.args, **kwargs: P.kwargs) -> Any:
        connection = _connection(args, kwargs)
        challenge = _challenge(connection, requirement)
        if challenge is None:
            return await handler(*args, **kwargs)
        if not isinstance(connection, WebSocket):
            return response_for(challenge)
        if connection.application_state is WebSocketState.CONNECTING:
            return await send_challenge(challenge, connection.scope, connection.send)
        return await connection.close(WEBSOCKET_POLICY_VIOLATION)

    return guarded


def _connection(args: tuple[Any, ...], kwargs: dict[str, Any]) -> HTTPConnection[Any]:
    for value in (*args, *kwargs.values()):
        if _is_connection(value):
            return value
    raise ConfigurationError("requires", "the endpoint takes neither a request nor a websocket")


def _is_connection(value: object) -> TypeGuard[HTTPConnection[Any]]:
    return isinstance(value, HTTPConnection)


def _challenge(connection: HTTPConnection[Any], requirement: Requirement) -> Challenge | None:
    """Return the answer to a caller who does not meet the requirement, or None for one who does."""
    guard = connection.scope.get(GUARD_KEY)
    if not isinstance(guard, Guard):
        raise ConfigurationError("requires", "neither CognitoMiddleware nor CognitoBackend is in front of the endpoint")
    try:
        guard.authorize(connection.scope[PRINCIPAL_KEY], requirement)
    except RefusalError as error:
        return guard.refuse(error, requirement)
    return None
