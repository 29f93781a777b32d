"""One ASGI connection: what its scope says, where the caller is put into it, how a reply is sent on it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, TypeAlias, cast

from ..challenge import WEBSOCKET_POLICY_VIOLATION, Challenge, Reply
from ..errors import ConfigurationError, RefusalError
from ..guard import Anonymous, Guard, is_preflight
from ..principal import Principal
from ..requires import Requirement, all_of

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
# Of what arguments, each framework has types of its own for.
ASGIApp: TypeAlias = Callable[..., Awaitable[None]]

GUARD_KEY = "cognito_guard.guard"
"""Where a request's ASGI scope holds its Guard."""
PRINCIPAL_KEY = "cognito_guard.principal"
"""Where a request's ASGI scope holds its Principal, or None."""


class Credentials:
    """Stand in `scope["auth"]`, where Starlette's users look for the scopes."""

    def __init__(self, guard: Guard, principal: Principal | None) -> None:
        """Take the caller, None for an anonymous one."""
        self._guard = guard
        self._principal = principal

    @property
    def scopes(self) -> list[str]:
        """The scopes granted, with "authenticated" first; none for an anonymous caller."""
        if self._principal is None:
            return []
        return ["authenticated", *sorted(self._guard.verifier.granted_scopes(self._principal))]


def enter(scope: Scope, guard: Guard, principal: Principal | None) -> None:
    """Put the caller where handlers look for it."""
    scope[GUARD_KEY], scope[PRINCIPAL_KEY] = guard, principal
    scope["user"] = Anonymous() if principal is None else principal
    scope["auth"] = Credentials(guard, principal)


def authorize(scope: Mapping[str, object], *demands: str | Requirement) -> Principal:
    """
    Return the caller of a connection behind `CognitoMiddleware`, for a handler that demands more of it.

    Args:
        scope: the connection's ASGI scope.
        demands: scopes and requirements; all must be met.  None at all means any verified caller.

    Raises:
        RefusalError: the caller is anonymous, or does not meet them; `refuse` has the answer.
        ConfigurationError: nothing guards the connection.
    """
    return _guard_of(scope).authorize(cast("Principal | None", scope[PRINCIPAL_KEY]), all_of(demands))


def refuse(scope: Mapping[str, object], error: RefusalError) -> Challenge:
    """
    Return the answer to a connection that a handler refuses: its status, headers and body, to be sent as they are.

    Raises:
        ConfigurationError: nothing guards the connection.
    """
    return _guard_of(scope).refuse(error)


def _guard_of(scope: Mapping[str, object]) -> Guard:
    guard = scope.get(GUARD_KEY)
    if not isinstance(guard, Guard):
        raise ConfigurationError("app", "has no CognitoMiddleware in front")
    return guard


async def send_challenge(challenge: Challenge, scope: Scope, send: Send) -> None:
    """Send a refusal: as a response, on a WebSocket as a denial response or, without that extension, a close."""
    if scope["type"] == "http":
        await send_reply(challenge, scope, send)
    elif "websocket.http.response" in (scope.get("extensions") or {}):
        await send_reply(challenge, scope, send, prefix="websocket.")
    else:
        await send({"type": "websocket.close", "code": WEBSOCKET_POLICY_VIOLATION, "reason": ""})


async def send_reply(reply: Reply, scope: Scope, send: Send, *, prefix: str = "") -> None:
    """Send a response."""
    headers = [(name.lower().encode(), value.encode()) for name, value in reply.headers]
    headers.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": prefix + "http.response.start", "status": reply.status, "headers": headers})
    body = b"" if scope.get("method") == "HEAD" else reply.body
    await send({"type": prefix + "http.response.body", "body": body})


def asks_before_crossing(scope: Scope) -> bool:
    """Tell a CORS preflight."""
    if scope["type"] != "http" or scope["method"] != "OPTIONS":
        return False
    return is_preflight("OPTIONS", (name.decode("latin-1") for name, _ in scope["headers"]))


def headers_of(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Return all headers, with the one that some servers (wsproto) take out and show parsed."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    offered = scope.get("subprotocols")
    if not offered or any(name == b"sec-websocket-protocol" for name, _ in headers):
        return headers
    # Replaced and not refused: whatever a server has decoded, no client may cause an error here.
    return [*headers, (b"sec-websocket-protocol", ", ".join(offered).encode("ascii", "replace"))]


def routed_path(scope: Scope) -> str:
    """Return the path below the application's root, decoded as the router sees it; never one rebuilt from a URL."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if not root:
        return path
    below = path.removeprefix(root)
    return below if path.startswith(root) and below[:1] in ("", "/") else path
