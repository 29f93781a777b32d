"""
What each adapter adds to a route, beside an unguarded one and beside a bare RSA check in the same place.

In process, without a server: the same requests through applications that differ in nothing but the guard.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, TypeAlias

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
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
from cognito_guard.wsgi import CognitoMiddleware as WSGIMiddleware

from .harness import Batch, Effort, Figure, added, pin
from .subjects import access_tokens, check, each, each_awaited, prepared

_TOKENS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """
    Hold what may stand in front of a route.

    Attributes:
        check: the control: nothing but RSA, for an Authorization value.
        seen: a verifier that remembers tokens.
        new: a verifier to which every token is new.
    """

    check: Callable[[str], None]
    seen: CognitoVerifier
    new: CognitoVerifier


Routes: TypeAlias = Mapping[str, tuple[Any, str]]
"""An application and a path, for "bare" and "checked", and behind a guard for "seen" and "new"."""


def run(effort: Effort) -> list[Figure]:
    """Measure on one core."""
    pin()
    pool = FakeUserPool()
    tokens = access_tokens(pool, min(_TOKENS, effort.tokens))
    guards = Guards(check=_bare_check(pool, tokens), seen=pool.verifier(), new=pool.verifier(token_cache_size=0))
    for token in tokens:
        assert guards.seen.verify(token) == guards.new.verify(token)
    with asyncio.Runner() as runner:

        def asgi(app: Any, route: str) -> Batch:
            return _asgi(runner, app, route, tokens)

        def wsgi(app: Any, route: str) -> Batch:
            return _wsgi(app, route, tokens)

        return [
            *_figures("Starlette, ASGI middleware", asgi, _starlette(guards), effort, seen=0.20, new=1.6),
            *_figures("FastAPI, dependency over an empty one", asgi, _fastapi(guards), effort, seen=0.25, new=None),
            *_figures("WSGI middleware", wsgi, _plain_wsgi(guards), effort, seen=0.25, new=1.65),
            *_figures("Flask, decorator", wsgi, _flask(guards), effort, seen=0.25, new=1.65),
            *_django_figures(wsgi, guards, effort),
        ]


def _figures(
    name: str,
    batch: Callable[[Any, str], Batch],
    routes: Routes,
    effort: Effort,
    **bars: float | None,
) -> list[Figure]:
    batches = {kind: batch(*route) for kind, route in routes.items()}
    guarded = {f"{name}, token {kind}": (batches[kind], bar) for kind, bar in bars.items()}
    return added(guarded, bare=batches["bare"], checked=batches["checked"], effort=effort)


def _django_figures(batch: Callable[[Any, str], Batch], guards: Guards, effort: Effort) -> list[Figure]:
    """Measure one verifier after the other: a Django process has one."""
    routes = _django(guards)
    figures = _figures("Django, decorator", batch, routes, effort, seen=0.25)
    with override_settings(COGNITO_GUARD={"VERIFIER": guards.new}):
        return figures + _figures("Django, decorator", batch, routes, effort, new=1.65)


def _bare_check(pool: FakeUserPool, tokens: list[str]) -> Callable[[str], None]:
    key = pool.access_key.private_key.public_key()
    ready = {f"Bearer {token}": prepared(token) for token in tokens}
    return lambda authorization: check(key, *ready[authorization])


def _starlette(guards: Guards) -> Routes:
    async def hello(_: Any) -> PlainTextResponse:
        return PlainTextResponse("hello")

    class Checking:
        def __init__(self, app: ASGIApp) -> None:
            self._app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            guards.check(next(value for name, value in scope["headers"] if name == b"authorization").decode())
            await self._app(scope, receive, send)

    def app(*middleware: Middleware) -> tuple[Any, str]:
        return Starlette(routes=[Route("/hello", hello)], middleware=middleware), "/hello"

    return {
        "bare": app(),
        "checked": app(Middleware(Checking)),
        "seen": app(Middleware(CognitoMiddleware, verifier=guards.seen)),
        "new": app(Middleware(CognitoMiddleware, verifier=guards.new)),
    }


def _fastapi(guards: Guards) -> Routes:
    async def nothing(_: Request) -> None:
        return None

    async def checking(request: Request) -> None:
        guards.check(request.headers["authorization"])

    # An application for each: a second route would pay for the attempt to match the first.
    def app(dependency: Any) -> tuple[Any, str]:
        fastapi = FastAPI()

        @fastapi.get("/hello", dependencies=[Depends(dependency)])
        async def hello() -> str:
            return "hello"

        return fastapi, "/hello"

    return {
        "bare": app(nothing),
        "checked": app(checking),
        "seen": app(CognitoBearer(guards.seen)),
        "new": app(CognitoBearer(guards.new)),
    }


def _plain_wsgi(guards: Guards) -> Routes:
    def hello(_: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "5")])
        return [b"hello"]

    def checked(environ: Any, start_response: Any) -> list[bytes]:
        guards.check(environ["HTTP_AUTHORIZATION"])
        return hello(environ, start_response)

    return {
        "bare": (hello, "/"),
        "checked": (checked, "/"),
        "seen": (WSGIMiddleware(hello, guards.seen), "/"),
        "new": (WSGIMiddleware(hello, guards.new), "/"),
    }


def _flask(guards: Guards) -> Routes:
    def app(guard: Callable[[Flask], Callable[..., Any]]) -> tuple[Any, str]:
        def hello() -> str:
            return "hello"

        flask = Flask(__name__)
        flask.add_url_rule("/hello", "hello", guard(flask)(hello))
        return flask, "/hello"

    def unguarded(_: Flask) -> Callable[..., Any]:
        def same(view: Callable[[], str]) -> Callable[[], str]:
            return view

        return same

    def checking(_: Flask) -> Callable[..., Any]:
        def guarded(view: Callable[[], str]) -> Callable[[], str]:
            def checked() -> str:
                guards.check(request.headers["Authorization"])
                return view()

            return checked

        return guarded

    return {
        "bare": app(unguarded),
        "checked": app(checking),
        "seen": app(lambda flask: CognitoGuard(flask, guards.seen).require()),
        "new": app(lambda flask: CognitoGuard(flask, guards.new).require()),
    }


def _django(guards: Guards) -> Routes:
    def hello(_: HttpRequest) -> HttpResponse:
        return HttpResponse("hello")

    def checked(request: HttpRequest) -> HttpResponse:
        guards.check(request.META["HTTP_AUTHORIZATION"])
        return hello(request)

    # URLs for each: a second pattern would pay for the attempt to match the first.
    def app(view: Callable[[HttpRequest], HttpResponse]) -> tuple[Any, str]:
        class Urls:
            urlpatterns = (path("hello", view),)

        class Asked(WSGIRequest):
            urlconf: Any = Urls

        class Handler(WSGIHandler):
            request_class = Asked

        return Handler(), "/hello"

    settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=None, COGNITO_GUARD={"VERIFIER": guards.seen})
    django.setup()
    guarded = app(cognito_required()(hello))
    return {"bare": app(hello), "checked": app(checked), "seen": guarded, "new": guarded}


def _asgi(runner: asyncio.Runner, app: ASGIApp, route: str, tokens: list[str]) -> Batch:
    status: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            status.append(message["status"])

    async def ask(token: str) -> None:
        headers = [(b"host", b"127.0.0.1"), (b"accept", b"*/*"), (b"authorization", f"Bearer {token}".encode())]
        scope: Scope = {
            "type": "http",
            "method": "GET",
            "path": route,
            "root_path": "",
            "query_string": b"",
            "headers": headers,
        }
        await app(scope, receive, send)

    return _checked(each_awaited(runner, ask, tokens), status, 200)


def _wsgi(app: Any, route: str, tokens: list[str]) -> Batch:
    status: list[str] = []
    written: list[bytes] = []

    def start_response(line: str, _: Any, __: Any = None) -> Callable[[bytes], object]:
        status.append(line)
        return written.append

    def ask(token: str) -> None:
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

    return _checked(each(ask, tokens), status, "200 OK")


def _checked(batch: Batch, status: list[Any], good: object) -> Batch:
    """Return a batch that fails unless each request is answered, and well, by no other thread."""
    threads = threading.active_count()

    def checked(size: int) -> None:
        status.clear()
        batch(size)
        assert status == [good] * size, status[:1]
        assert threading.active_count() == threads

    checked(1)
    return checked
