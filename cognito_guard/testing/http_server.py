"""
HTTP on the loopback interface: requests come off the wire, whatever they are, and answers go onto it.

What the answers say is decided elsewhere.  Nothing is printed.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from threading import Lock
from types import TracebackType
from typing import Any, Self, TypeAlias

from .loopback import HOST, Listener
from .messages import Answer, Request

_BODY_MAX = 16 * 1024  # bytes; a token request needs a few hundred
_DRAIN_MAX = 1024 * 1024  # bytes of a refused body that are read and thrown away
_IDLE_MAX = 5.0  # seconds of silence before a connection is given up

Respond: TypeAlias = Callable[[Request], Answer]


class AnsweringServer:
    """
    Answer requests over HTTP on 127.0.0.1, at a port of the system's choice.

    Use it as a context manager, or call `start` and `close`.

    Args:
        respond: from a request to its answer, on as many threads as there are connections.
    """

    def __init__(self, respond: Respond) -> None:
        self._respond = respond
        self._lock = Lock()
        self._requests: list[tuple[str, str]] = []
        self._listener: Listener | None = None

    def start(self) -> Self:
        """Listen, and return the server itself; a running server is left alone."""
        if self._listener is None:
            self._listener = Listener(lambda: self._serve)
        return self

    def close(self) -> None:
        """Stop listening and drop every connection; a closed server is left alone."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """
        The base URL, without a trailing slash.

        Raises:
            RuntimeError: the server does not run.
        """
        if self._listener is None:
            raise RuntimeError("the server has no URL while it does not run: use it in a `with` block")
        return f"http://{HOST}:{self._listener.port}"

    @property
    def requests(self) -> tuple[tuple[str, str], ...]:
        """Method and path of every request so far, queries left out, in the order of arrival."""
        with self._lock:
            return tuple(self._requests)

    def _serve(self, connection: socket.socket) -> None:
        # A client that goes away in the middle of an answer is nobody's error here.
        with suppress(OSError):
            _Handler(self._noted, connection)

    def _noted(self, request: Request) -> Answer:
        with self._lock:
            self._requests.append((request.method, request.path))
        return self._respond(request)


class _Handler(BaseHTTPRequestHandler):
    """Take requests off the wire and put answers on it."""

    protocol_version = "HTTP/1.1"
    server_version = "Fake"
    sys_version = ""
    timeout = _IDLE_MAX
    # Head and body go out apart, and on a kept connection the second would wait 40 ms for news of the first.
    disable_nagle_algorithm = True

    def __init__(self, respond: Respond, connection: socket.socket) -> None:
        # The base class serves the whole connection inside its constructor, and asks nothing of a server.
        self._respond = respond
        server: Any = None
        super().__init__(connection, connection.getpeername(), server)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Print nothing."""

    def _serve(self) -> None:
        body = self._body()
        path, _, query = self.path.partition("?")
        answer = self._respond(Request(method=self.command, path=path, query=query, headers=self.headers, body=body))
        self._send(answer, last=body is None)
        if body is None:
            self._drain()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve  # noqa: N815 - the base class's names

    def _body(self) -> bytes | None:
        lengths = self.headers.get_all("content-length", ["0"])
        length = lengths[0]
        if "transfer-encoding" in self.headers or len(lengths) > 1 or not (length.isascii() and length.isdigit()):
            return None
        # Digits are counted first: a number of thousands of digits is not worth converting, and Python refuses to.
        if len(length) > len(str(_BODY_MAX)) or int(length) > _BODY_MAX:
            return None
        body = self.rfile.read(int(length))
        return body if len(body) == int(length) else None

    def _send(self, answer: Answer, *, last: bool) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if last:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _drain(self) -> None:
        """
        Throw away what the client still sends before the connection is closed.

        Closing with unread data resets the connection, which can destroy the answer before the client has read it.
        """
        self.connection.shutdown(socket.SHUT_WR)
        left = _DRAIN_MAX
        while left > 0 and (chunk := self.rfile.read1(_BODY_MAX)):
            left -= len(chunk)
