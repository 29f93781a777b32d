"""
What each adapter adds to a route, beside an unguarded one and beside a bare RSA check in the same place.

In process, without a server: the same requests, built once, through three applications that differ in
nothing but the guard.  Every token is new to the verifier.
"""

from __future__ import annotations

import asyncio
import itertools
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

import django
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path
from fastapi import Depends, FastAPI, Request
from flask import Flask, request
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from cognito_guard import CognitoVerifier
from cognito_guard.asgi import ASGIApp, CognitoMiddleware, Message, Receive, Scope, Send
from cognito_guard.django import cognito_required
from cognito_guard.fastapi import CognitoBearer
from cognito_guard.flask import CognitoGuard
from cognito_guard.testing import FakeUserPool

from .harness import Batch, Figure, added, pin

_TOKENS = 500
_PADDING, _HASH = PKCS1v15(), SHA256()


def run() -> list[Figure]:
    """Measure on one core."""
    pin()
    pool = FakeUserPool()
    verifier = pool.verifier()
    tokens = [pool.access_token(username=f"user{n}", scopes=["orders/read"]) for n in range(_TOKENS)]
    check = _bare_check(pool, tokens)
    return [
        _figure("Starlette, ASGI middleware", _asgi, tokens, _starlette(verifier, check), 1.6),
        _figure("FastAPI, dependency beside a dependency that checks", _asgi, tokens, _fastapi(verifier, check), None),
        _figure("Flask, decorator", _wsgi, tokens, _flask(verifier, check), 1.65),
        _figure("Django, decorator", _wsgi, tokens, _django(verifier, check), 1.65),
    ]


def _figure(
    name: str,
    batch: Callable[[Any, str, list[str]], Batch],
    tokens: list[str],
    apps: tuple[tuple[Any, str], tuple[Any, str], tuple[Any, str]],
    bar: float | None,
) -> Figure:
    bare, checked, guarded = (batch(app, route, tokens) for app, route in apps)
    return added(name, bare=bare, checked=checked, guarded=guarded, bar=bar)


def _bare_check(pool: FakeUserPool, tokens: Iterable[str]) -> Callable[[str], None]:
    """Return the control: nothing but RSA, everything prepared."""
    check = pool.access_key.private_key.public_key().verify
    prepared: dict[str, tuple[bytes, bytes]] = {}
    for token in tokens:
        message, _, signature = token.rpartition(".")
        prepared[f"Bearer {token}"] = (urlsafe_b64decode(signature + "=="), message.encode())
    return lambda authorization: check(*prepared[authorization], _PADDING, _HASH)


def _starlette(verifier: CognitoVerifier, check: Callable[[str], None]) -> Any:
    async def hello(_: Any) -> PlainTextResponse:
        return PlainTextResponse("hello")

    class Checking:
        def __init__(self, app: ASGIApp) -> None:
            self._app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            check(next(value for name, value in scope["headers"] if name == b"authorization").decode())
            await self._app(scope, receive, send)

    def app(*middleware: Middleware) -> tuple[Any, str]:
        return Starlette(routes=[Route("/hello", hello)], middleware=middleware), "/hello"

    return app(), app(Middleware(Checking)), app(Middleware(CognitoMiddleware, verifier=verifier))


def _fastapi(verifier: CognitoVerifier, check: Callable[[str], None]) -> Any:
    guard = CognitoBearer(verifier)
    app = FastAPI()

    async def nothing(_: Request) -> None:
        return None

    async def checking(request: Request) -> None:
        check(request.headers["authorization"])

    for route, dependency in (("/bare", nothing), ("/checked", checking), ("/guarded", guard)):

        @app.get(route, dependencies=[Depends(dependency)])
        async def hello() -> str:
            return "hello"

    return (app, "/bare"), (app, "/checked"), (app, "/guarded")


def _flask(verifier: CognitoVerifier, check: Callable[[str], None]) -> Any:
    app = Flask(__name__)
    guard = CognitoGuard(app, verifier)

    def hello() -> str:
        return "hello"

    def checked() -> str:
        check(request.headers["Authorization"])
        return "hello"

    app.add_url_rule("/bare", "bare", hello)
    app.add_url_rule("/checked", "checked", checked)
    app.add_url_rule("/guarded", "guarded", guard.require()(hello))
    return (app, "/bare"), (app, "/checked"), (app, "/guarded")


def _django(verifier: CognitoVerifier, check: Callable[[str], None]) -> Any:
    def hello(_: HttpRequest) -> HttpResponse:
        return HttpResponse("hello")

    def checked(request: HttpRequest) -> HttpResponse:
        check(request.META["HTTP_AUTHORIZATION"])
        return HttpResponse("hello")

    class Urls:
        urlpatterns = (path("bare", hello), path("checked", checked), path("guarded", cognito_required()(hello)))

    settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=Urls, COGNITO_GUARD={"VERIFIER": verifier})
    django.setup()
    app = get_wsgi_application()
    return (app, "/bare"), (app, "/checked"), (app, "/guarded")


def _asgi(app: ASGIApp, route: str, tokens: list[str]) -> Batch:
    loop = asyncio.new_event_loop()
    status: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            status.append(message["status"])

    def scope(token: str) -> Scope:
        headers = [(b"host", b"127.0.0.1"), (b"accept", b"*/*"), (b"authorization", f"Bearer {token}".encode())]
        return {
            "type": "http",
            "method": "GET",
            "path": route,
            "root_path": "",
            "query_string": b"",
            "headers": headers,
        }

    async def ask(size: int) -> None:
        for token in itertools.islice(endless, size):
            await app(scope(token), receive, send)

    endless = itertools.cycle(tokens)
    loop.run_until_complete(ask(1))
    assert status == [200]
    return lambda size: loop.run_until_complete(ask(size))


def _wsgi(app: Any, route: str, tokens: list[str]) -> Batch:
    status: list[str] = []
    written: list[bytes] = []

    def start_response(line: str, _: Any, __: Any = None) -> Callable[[bytes], object]:
        status.append(line)
        return written.append

    def ask(size: int) -> None:
        for token in itertools.islice(endless, size):
            environ = {
                "REQUEST_METHOD": "GET",
                "SCRIPT_NAME": "",
                "PATH_INFO": route,
                "QUERY_STRING": "",
                "SERVER_NAME": "127.0.0.1",
                "SERVER_PORT": "80",
                "SERVER_PROTOCOL": "HTTP/1.1",
                "HTTP_AUTHORIZATION": f"Bearer {token}",
                "wsgi.input": BytesIO(),
                "wsgi.url_scheme": "http",
            }
            response = app(environ, start_response)
            b"".join(response)
            getattr(response, "close", int)()

    endless = itertools.cycle(tokens)
    ask(1)
    assert status == ["200 OK"]
    return ask
