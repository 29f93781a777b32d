"""
Guard any ASGI application: http and websocket, default deny.

Pure ASGI, needs no framework.  Handlers find the caller in `scope["user"]` and its scopes in
`scope["auth"].scopes`, where Starlette and its relatives look for them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, TypeAlias

from .challenge import DEFAULT_REALM, WEBSOCKET_POLICY_VIOLATION, Challenge, check_realm
from .errors import ConfigurationError, MissingTokenError, RefusalError
from .guard import Anonymous, Guard, is_preflight, refuse
from .principal import Principal
from .requires import Requirement
from .verifier import CognitoVerifier

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_GUARDED = ("http", "websocket")
GUARD_KEY = "cognito_guard"
"""Where the Guard of a request is found in its ASGI scope."""


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
        exempt: Iterable[str] = (),
        required: bool = True,
        requirement: Requirement | None = None,
        realm: str = DEFAULT_REALM,
    ) -> None:
        """
        Guard an application.

        Args:
            app: the application.
            verifier: judges tokens.
            exempt: paths below the application's root that need no token; each matches itself alone.
            required: False lets a request without credentials through, as anonymous; bad ones are refused
                all the same.
            requirement: what every caller must meet.
            realm: named in challenges.

        Raises:
            ConfigurationError: an exempt path that is none, a realm that can't be quoted, or a requirement
                for callers that may be anonymous.
        """
        check_realm(realm)
        self._app = app
        self._verifier = verifier
        self._exempt = frozenset((exempt,) if isinstance(exempt, str) else exempt)
        for path in self._exempt:
            if not isinstance(path, str) or not path.startswith("/"):
                raise ConfigurationError("exempt", f"expected paths that begin with '/', got {path!r}")
        if requirement is not None and not isinstance(requirement, Requirement):
            raise ConfigurationError("requirement", "expected a Requires, or several composed")
        if requirement is not None and not required:
            raise ConfigurationError("requirement", "can't be met by the anonymous callers that required=False lets in")
        self._required = required
        self._requirement = requirement
        self._realm = realm

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] not in _GUARDED:
            raise ConfigurationError("app", "only http and websocket can be guarded, got another kind of connection")
        try:
            principal = await self._principal(scope)
        except RefusalError as error:
            challenge = refuse(error, self._verifier, realm=self._realm, requirement=self._requirement)
            await send_challenge(challenge, scope, send)
            return
        enter(scope, Guard(verifier=self._verifier, principal=principal, realm=self._realm))
        await self._app(scope, receive, send)

    async def _principal(self, scope: Scope) -> Principal | None:
        if _is_preflight(scope) or _routed_path(scope) in self._exempt:
            return None
        try:
            principal = await self._verifier.aauthenticate(scope["headers"])
        except MissingTokenError:
            if self._required:
                raise
            return None
        if self._requirement is not None:
            self._verifier.authorize(principal, self._requirement)
        return principal


def enter(scope: Scope, guard: Guard) -> None:
    """Put the caller where handlers look for it."""
    scope[GUARD_KEY] = guard
    if guard.principal is None:
        scope["user"], scope["auth"] = Anonymous(), Credentials()
    else:
        granted = guard.verifier.granted_scopes(guard.principal)
        scope["user"], scope["auth"] = guard.principal, Credentials(("authenticated", *granted))


async def send_challenge(challenge: Challenge, scope: Scope, send: Send) -> None:
    """Send a refusal: as a response, on a WebSocket as a denial response or, without that extension, a close."""
    prefix = ""
    if scope["type"] == "websocket":
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": WEBSOCKET_POLICY_VIOLATION, "reason": ""})
            return
        prefix = "websocket."
    headers = [(name.lower().encode(), value.encode()) for name, value in challenge.headers]
    headers.append((b"content-length", str(len(challenge.body)).encode()))
    body = b"" if scope.get("method") == "HEAD" else challenge.body
    await send({"type": prefix + "http.response.start", "status": challenge.status, "headers": headers})
    await send({"type": prefix + "http.response.body", "body": body})


def _is_preflight(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "OPTIONS":
        return False
    return is_preflight(name.decode("latin-1") for name, _ in scope["headers"])


def _routed_path(scope: Scope) -> str:
    """Return the path below the application's root, decoded as the router sees it; never one rebuilt from a URL."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    below = path.removeprefix(root)
    return below if path.startswith(root) and below[:1] in ("", "/") else path
