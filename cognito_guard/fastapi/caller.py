"""The caller of a request: authenticated once, however many dependencies ask, and refused by an exception."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TypeAlias

from fastapi import HTTPException, Request, WebSocketException
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketState

from ..asgi.connection import headers_of
from ..challenge import WEBSOCKET_POLICY_VIOLATION, Challenge
from ..errors import RefusalError
from ..guard import Guard
from ..principal import Principal
from ..starlette import response_for

CALLERS_KEY = "cognito_guard.callers"
"""Where a request's ASGI scope holds its caller, for each that has asked."""

Caller: TypeAlias = Principal | RefusalError | None
"""A verified caller, None for an anonymous one, or why the request is refused."""


class ChallengeError(HTTPException):
    """
    Carry a challenge to the application's exception handlers.

    Attributes:
        challenge: the answer to the request, which is refused.
    """

    def __init__(self, challenge: Challenge) -> None:
        """Take the challenge."""
        super().__init__(challenge.status, headers=dict(challenge.headers))
        self.challenge = challenge


async def challenge_response(_: Request, error: ChallengeError) -> Response:
    """Answer with the challenge, body and all: a handler for FastAPI's `exception_handlers`."""
    return response_for(error.challenge)


async def caller_of(connection: HTTPConnection, guard: Guard, asking: object) -> Caller:
    """Return the caller, None for an anonymous one, or the error that refuses it; `asking` shares with nobody else."""
    callers: MutableMapping[object, Caller] = connection.scope.setdefault(CALLERS_KEY, {})
    if asking not in callers:
        try:
            callers[asking] = await guard.aauthenticate(headers_of(connection.scope))
        except RefusalError as error:
            callers[asking] = error
    return callers[asking]


def refusal(connection: HTTPConnection, challenge: Challenge) -> ChallengeError | WebSocketException:
    """Return what to raise: a WebSocket can be answered only before it is open, and where the server knows how."""
    if isinstance(connection, WebSocket):
        is_known = "websocket.http.response" in (connection.scope.get("extensions") or {})
        if not is_known or connection.application_state is not WebSocketState.CONNECTING:
            return WebSocketException(WEBSOCKET_POLICY_VIOLATION)
    return ChallengeError(challenge)
