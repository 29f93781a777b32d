"""Drivers of pure ASGI, and of Starlette behind either middleware."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from cognito_guard import CognitoVerifier, Principal, Requirement, Requires
from cognito_guard.asgi import PRINCIPAL_KEY, ASGIApp, CognitoMiddleware, Receive, Scope, Send
from cognito_guard.starlette import CognitoBackend, requires
from cognito_guard.testing import FakeUserPool

from ..contract import Answer, DriverFactory, RawHeaders, ask_asgi, described

Endpoint: TypeAlias = Callable[..., Any]

REQUIREMENTS: Mapping[str, Requirement] = {
    "/me": Requires(),
    "/read": Requires(scopes="transactions/get"),
    "/write": Requires(scopes="transactions/post"),
    "/either": Requires(any_scopes=["transactions/get", "transactions/post"]),
    "/staff": Requires(groups="staff"),
    "/recent": Requires(max_age=300),
    "/combined": Requires(groups="staff") | Requires(scopes="transactions/post"),
    "/boom": Requires(),
    "/stream": Requires(),
}
METHODS = ["GET", "HEAD", "POST", "OPTIONS"]


@dataclass(frozen=True, slots=True)
class ASGIDriver:
    """Ask an ASGI application."""

    name: str
    asgi_app: ASGIApp

    def request(self, method: str, path: str, headers: RawHeaders) -> Answer:
        """Send one request."""
        return ask_asgi(self.asgi_app, method, path, headers)


def pure(_pool: FakeUserPool, verifier: CognitoVerifier) -> ASGIDriver:
    """Guard each of several small applications by itself."""

    async def handler(scope: Scope, _receive: Receive, send: Send) -> None:
        path, principal = scope["path"], scope[PRINCIPAL_KEY]
        if path == "/boom":
            raise KeyError("user")
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        is_streamed = path == "/stream"
        if is_streamed:
            await send({"type": "http.response.body", "body": b"caller: ", "more_body": True})
        body = principal.subject if is_streamed else json.dumps(_answer(path, principal))
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body.encode()})

    guarded: dict[str, ASGIApp] = {
        path: CognitoMiddleware(handler, verifier, requirement=requirement)
        for path, requirement in REQUIREMENTS.items()
    }
    guarded["/public"] = CognitoMiddleware(handler, verifier, exempt="/public")
    guarded["/optional"] = CognitoMiddleware(handler, verifier, required=False)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await guarded[scope["path"]](scope, receive, send)

    return ASGIDriver("pure asgi", app)


def behind_cognito(is_async: bool, _pool: FakeUserPool, verifier: CognitoVerifier) -> ASGIDriver:
    """Guard with CognitoMiddleware in front, and `@requires`."""
    middleware = Middleware(CognitoMiddleware, verifier=verifier, exempt="/public", required=False)
    return ASGIDriver(f"starlette {_colour(is_async)}", Starlette(routes=_routes(is_async), middleware=[middleware]))


def behind_starlette(is_async: bool, _pool: FakeUserPool, verifier: CognitoVerifier) -> ASGIDriver:
    """Guard with Starlette's AuthenticationMiddleware around all but the public route, and `@requires`."""
    backend = CognitoBackend(verifier)
    middleware = Middleware(AuthenticationMiddleware, backend=backend, on_error=backend.on_error)
    public, *others = _routes(is_async)
    app = Starlette(routes=[public, Mount("", routes=others, middleware=[middleware])])
    return ASGIDriver(f"starlette's authentication {_colour(is_async)}", app)


DRIVERS: list[DriverFactory] = [
    pure,
    *(partial(behind_cognito, is_async) for is_async in (False, True)),
    *(partial(behind_starlette, is_async) for is_async in (False, True)),
]


def _routes(is_async: bool) -> list[Route]:
    """Make the contract's routes, the public one first."""
    handlers: dict[str, Endpoint] = {path: requires(needs)(_handler(is_async)) for path, needs in REQUIREMENTS.items()}
    handlers = {"/public": _handler(is_async), "/optional": _handler(is_async), **handlers}
    return [Route(path, handler, methods=METHODS) for path, handler in handlers.items()]


def _handler(is_async: bool) -> Endpoint:
    def plain(request: Request) -> Response:
        path, principal = request.url.path, request.scope.get(PRINCIPAL_KEY)
        if path == "/boom":
            raise KeyError("user")
        if path == "/stream":
            return StreamingResponse(_chunks(request.user.subject))
        return JSONResponse(_answer(path, principal))

    async def coroutine(request: Request) -> Response:
        return plain(request)

    return coroutine if is_async else plain


def _answer(path: str, principal: Principal | None) -> dict[str, object]:
    if path in ("/public", "/optional") or principal is None:
        return {"caller": None if principal is None else principal.subject}
    return described(principal)


def _chunks(subject: str) -> Iterator[str]:
    yield "caller: "
    yield subject


def _colour(is_async: bool) -> str:
    return "async" if is_async else "sync"
