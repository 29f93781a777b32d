"""
Guard any ASGI application: http and websocket, default deny.

Pure ASGI, needs no framework.  Handlers find the caller in `scope["user"]` and its scopes in
`scope["auth"].scopes`, where Starlette and its relatives look for them; those of any framework may
`authorize(scope, "orders/write")`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Unpack

from ..abstract import Verifier
from ..errors import ConfigurationError, RefusalError
from ..guard import Guard, GuardOptions, exempt_paths
from ..tokens.credentials import websocket_subprotocol
from .connection import (
    GUARD_KEY,
    PRINCIPAL_KEY,
    ASGIApp,
    Message,
    Receive,
    Scope,
    Send,
    asks_before_crossing,
    authorize,
    enter,
    headers_of,
    refuse,
    routed_path,
    send_challenge,
    send_reply,
)

__all__ = [
    "GUARD_KEY",
    "PRINCIPAL_KEY",
    "ASGIApp",
    "CognitoMiddleware",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "authorize",
    "refuse",
]

_GUARDED = ("http", "websocket")


class CognitoMiddleware:
    """Let only requests with an acceptable token through to the application."""

    def __init__(
        self,
        app: ASGIApp,
        verifier: Verifier,
        *,
        exempt: str | Iterable[str] = (),
        **options: Unpack[GuardOptions],
    ) -> None:
        """
        Guard an application.

        Args:
            app: the application.
            verifier: judges tokens.
            exempt: paths below the application's root that need no token; each matches itself alone.
            options: attributes of `cognito_guard.guard.Guard`: `requirement`, `required`, `token_from`, ...

        Raises:
            ConfigurationError: an exempt path that is none, or an option that can't be right.
        """
        self._app = app
        self._guard = Guard(verifier=verifier, **options)
        self._exempt = exempt_paths(exempt)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        kind = scope["type"]
        if kind == "lifespan":
            await self._app(scope, receive, send)
            return
        if kind not in _GUARDED:
            raise ConfigurationError("app", "only http and websocket can be guarded, got another kind of connection")
        guard, path = self._guard, routed_path(scope)
        if guard.metadata is not None and kind == "http":
            # A server that is told its root path puts it in front of well-known paths too.
            metadata = guard.metadata_reply(scope["method"], scope["path"], path)
            if metadata is not None:
                await send_reply(metadata, scope, send)
                return
        try:
            is_free = path in self._exempt or asks_before_crossing(scope)
            principal = None if is_free else await guard.aauthenticate(headers_of(scope))
        except RefusalError as error:
            await send_challenge(guard.refuse(error), scope, send)
            return
        enter(scope, guard, principal)
        await self._app(scope, receive, self._echoing(scope, send) if kind == "websocket" else send)

    def _echoing(self, scope: Scope, send: Send) -> Send:
        """Accept with the marker where the token came as a subprotocol: a browser gives up without an echo."""
        offered = scope.get("subprotocols", [])
        markers = [one.marker for one in self._guard.token_from if isinstance(one, websocket_subprotocol)]
        if not offered or offered[0] not in markers:
            return send
        marker = offered[0]
        # The application must not echo the token, so that it does not learn of it.
        scope["subprotocols"] = [marker]

        async def echoing(message: Message) -> None:
            if message["type"] == "websocket.accept":
                message = {**message, "subprotocol": marker}
            await send(message)

        return echoing
