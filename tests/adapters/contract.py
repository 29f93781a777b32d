"""What the contract suite asks of every framework: a driver that serves its routes and takes raw requests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO, StringIO
from typing import Any, Protocol, TypeAlias
from urllib.parse import unquote_to_bytes

from cognito_guard import CognitoVerifier, Principal
from cognito_guard.asgi import ASGIApp, Message
from cognito_guard.testing import FakeUserPool

from . import connection

RawHeaders: TypeAlias = list[tuple[bytes, bytes]]
WSGIApp: TypeAlias = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class Answer:
    """
    Hold what a driver got back.

    Attributes:
        status: the HTTP status.
        challenges: every WWW-Authenticate value, in order.
        headers: names in lower case, to values; of a repeated one the last.
        body: as sent.
    """

    status: int
    challenges: list[str]
    headers: dict[str, str]
    body: bytes

    @classmethod
    def of(cls, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> Answer:
        """Return an answer with these headers, their names in any case."""
        lowered = [(name.lower(), value) for name, value in headers]
        challenges = [value for name, value in lowered if name == "www-authenticate"]
        return cls(status, challenges, dict(lowered), body)


class Driver(Protocol):
    """Serve the contract's routes in one way of one framework."""

    @property
    def name(self) -> str:
        """What tests call it."""
        ...

    def request(self, method: str, path: str, headers: RawHeaders) -> Answer:
        """Send one request; `path` may end in a query string."""
        ...


DriverFactory: TypeAlias = Callable[[FakeUserPool, CognitoVerifier], Driver]
"""Builds a driver's application, on a user pool and a verifier of its tokens."""


def ask_asgi(app: ASGIApp, method: str, path: str, headers: RawHeaders) -> Answer:
    """
    Send one request to an ASGI application as servers do, on an event loop of its own.

    As with them, HEAD gets no body, and an exception is a 500.
    """
    target, _, query = path.partition("?")
    lowered = [(name.lower(), value) for name, value in headers]
    scope = connection(target, *lowered, method=method, query_string=query.encode())
    incoming = iter([{"type": "http.request", "body": b"", "more_body": False}])
    sent: list[Message] = []

    answered = asyncio.Event()

    async def receive() -> Message:
        for message in incoming:
            return message
        # The client waits for its answer, and goes.
        await answered.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            answered.set()

    async def serve() -> None:
        await app(scope, receive, send)

    try:
        asyncio.run(serve())
    except Exception:
        # A server logs it, and answers for the application where that has not begun to.
        if not sent:
            return Answer.of(500, [], b"")
    start, *parts = sent
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"]]
    body = b"".join(part.get("body", b"") for part in parts)
    return Answer.of(start["status"], pairs, b"" if method == "HEAD" else body)


def ask_wsgi(app: WSGIApp, method: str, path: str, headers: RawHeaders) -> Answer:
    """Send one request to a WSGI application, as `ask_asgi` does; repeated headers are joined, as servers do."""
    target, _, query = path.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(target).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": "api.example.com",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "api.example.com",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(),
        "wsgi.errors": StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in headers:
        key, text = "HTTP_" + name.decode("latin-1").upper().replace("-", "_"), value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, pairs: list[tuple[str, str]], _exc_info: object = None) -> Callable[[bytes], None]:
        started.append((status, pairs))
        return lambda _: None

    try:
        chunks = app(environ, start_response)
        try:
            body = b"".join(chunks)
        finally:
            getattr(chunks, "close", lambda: None)()
    except Exception:
        # As above.
        return Answer.of(500, [], b"")
    status, pairs = started[-1]
    return Answer.of(int(status[:3]), pairs, b"" if method == "HEAD" else body)


def described(principal: Principal) -> dict[str, object]:
    """Return what `/me` and the guarded routes say of their caller."""
    return {
        "subject": principal.subject,
        "username": principal.username,
        "scopes": sorted(principal.scopes),
        "groups": sorted(principal.groups),
        "machine": principal.is_machine,
    }


def drivers_of(module: str) -> list[DriverFactory]:
    """Return the drivers of one module."""
    found: list[DriverFactory] = import_module(f"{__package__}.drivers.{module}").DRIVERS
    return found


def wsgi_app(module: str, name: str, jwks: str) -> WSGIApp:
    """Return the application of one driver, for a server in a process of its own that knows the pool's keys."""
    pool = FakeUserPool()
    verifier = pool.verifier(jwks=json.loads(jwks))
    drivers = (build(pool, verifier) for build in drivers_of(module))
    chosen: Any = next(driver for driver in drivers if driver.name == name)
    app: WSGIApp = chosen.wsgi_app
    return app
