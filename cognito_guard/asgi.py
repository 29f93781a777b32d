"""
Guard any ASGI application: http and websocket, default deny.

Pure ASGI, needs no framework.  Handlers find the caller in `scope["user"]` and its scopes in
`scope["auth"].scopes`, where Starlette and its relatives look for them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, TypeAlias, Unpack

from .challenge import WEBSOCKET_POLICY_VIOLATION, Challenge, Reply
from .errors import ConfigurationError, RefusalError
from .guard import Anonymous, Guard, GuardOptions, exempt_paths, is_preflight
from .principal import Principal
from .tokens.credentials import websocket_subprotocol
from .verifier import CognitoVerifier

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_GUARDED = ("http", "websocket")
GUARD_KEY = "cognito_guard.guard"
"""Where a request's ASGI scope holds its Guard."""
PRINCIPAL_KEY = "cognito_guard.principal"
"""Where a request's ASGI scope holds its Principal, or None."""


class Credentials:
    """Stand in `scope["auth"]`: the scopes granted, with "authenticated" first, as Starlette's users expect."""

    def __init__(self, scopes: Iterable[str] = ()) -> None:
        """Take the scopes."""
        self.scopes = list(scopes)


class CognitoMiddleware:
    """Let only requests with an acceptable token through to the application."""

    def __init__(
        self,
        app: ASGIApp,
        verifier: CognitoVerifier,
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
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] not in _GUARDED:
            raise ConfigurationError("app", "only http and websocket can be guarded, got another kind of connection")
        metadata = self._guard.metadata_reply(scope.get("method", ""), scope["path"])
        if metadata is not None:
            await _send(metadata, scope, send)
            return
        try:
            principal = None if self._is_free(scope) else await self._guard.aauthenticate(scope["headers"])
        except RefusalError as error:
            await send_challenge(self._guard.refuse(error), scope, send)
            return
        enter(scope, self._guard, principal)
        await self._app(scope, receive, self._echoing(scope, send) if scope["type"] == "websocket" else send)

    def _echoing(self, scope: Scope, send: Send) -> Send:
        """Accept with the marker where the token came as a subprotocol: a browser gives up without an echo."""
        offered = scope.get("subprotocols", [])
        markers = [one.marker for one in self._guard.token_from if isinstance(one, websocket_subprotocol)]
        marker = next((marker for marker in markers if marker in offered), None)
        if marker is None:
            return send
        # The application must not echo the token, so that it does not learn of it.
        scope["subprotocols"] = [marker]

        async def echoing(message: Message) -> None:
            if message["type"] == "websocket.accept":
                message = {**message, "subprotocol": marker}
            await send(message)

        return echoing

    def _is_free(self, scope: Scope) -> bool:
        if _routed_path(scope) in self._exempt:
            return True
        names = (name.decode("latin-1") for name, _ in scope["headers"])
        return scope["type"] == "http" and is_preflight(scope["method"], names)


def enter(scope: Scope, guard: Guard, principal: Principal | None) -> None:
    """Put the caller where handlers look for it."""
    scope[GUARD_KEY], scope[PRINCIPAL_KEY] = guard, principal
    if principal is None:
        scope["user"], scope["auth"] = Anonymous(), Credentials()
    else:
        granted = guard.verifier.granted_scopes(principal)
        scope["user"], scope["auth"] = principal, Credentials(("authenticated", *granted))


async def send_challenge(challenge: Challenge, scope: Scope, send: Send) -> None:
    """Send a refusal: as a response, on a WebSocket as a denial response or, without that extension, a close."""
    if scope["type"] == "http":
        await _send(challenge, scope, send)
    elif "websocket.http.response" in (scope.get("extensions") or {}):
        await _send(challenge, scope, send, prefix="websocket.")
    else:
        await send({"type": "websocket.close", "code": WEBSOCKET_POLICY_VIOLATION, "reason": ""})


async def _send(reply: Reply, scope: Scope, send: Send, *, prefix: str = "") -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in reply.headers]
    headers.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": prefix + "http.response.start", "status": reply.status, "headers": headers})
    body = b"" if scope.get("method") == "HEAD" else reply.body
    await send({"type": prefix + "http.response.body", "body": body})


def _routed_path(scope: Scope) -> str:
    """Return the path below the application's root, decoded as the router sees it; never one rebuilt from a URL."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    below = path.removeprefix(root)
    return below if path.startswith(root) and below[:1] in ("", "/") else path
