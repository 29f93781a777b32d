"""
A fake user pool over real HTTP, on the loopback interface only.

It takes requests off the wire, whatever they are, puts answers on it, and prints nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseServer, TCPServer
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Self

from ..verifier import CognitoVerifier
from .endpoints import Endpoints, ServedUserPool
from .messages import Answer, Request

_BODY_MAX = 16 * 1024  # bytes; a token request needs a few hundred
_DRAIN_MAX = 1024 * 1024  # bytes of a refused body that are read and thrown away
_IDLE_MAX = 5.0  # seconds of silence before a connection is given up
_POLL = 0.01  # seconds between two looks at whether the server shall stop


class FakeUserPoolServer:
    """
    Serve a fake user pool over real HTTP on 127.0.0.1, at a port of the system's choice.

    Use it as a context manager, or call `start` and `close`.

    Args:
        user_pool: the pool to serve, as it is at the moment of each request.
    """

    def __init__(self, user_pool: ServedUserPool) -> None:
        self._user_pool = user_pool
        self._lock = Lock()
        self._requests: list[tuple[str, str]] = []
        self._running: tuple[_HTTPServer, Thread] | None = None
        self._endpoints = Endpoints(user_pool, lambda: self.url)

    def start(self) -> Self:
        """Listen, and return the server itself; a running server is left alone."""
        if self._running is None:
            server = _HTTPServer(("127.0.0.1", 0), partial(_Handler, self._answer))
            thread = Thread(
                target=server.serve_forever, args=(_POLL,), name=f"fake-user-pool-{server.server_port}", daemon=True
            )
            thread.start()
            self._running = server, thread
        return self

    def close(self) -> None:
        """Stop listening and drop every connection; a closed server is left alone."""
        running, self._running = self._running, None
        if running is not None:
            server, thread = running
            server.shutdown()
            thread.join()
            server.server_close()

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
        if self._running is None:
            raise RuntimeError("the server has no URL while it does not run: use it in a `with` block")
        return f"http://127.0.0.1:{self._running[0].server_port}"

    @property
    def jwks_uri(self) -> str:
        """Where the key set is."""
        return f"{self.url}{self._endpoints.jwks_path}"

    @property
    def token_endpoint(self) -> str:
        """Where credentials, codes and refresh tokens become tokens."""
        return f"{self.url}/oauth2/token"

    @property
    def requests(self) -> tuple[tuple[str, str], ...]:
        """Method and path of every request so far, queries left out, in the order of arrival."""
        with self._lock:
            return tuple(self._requests)

    def count(self, path_suffix: str) -> int:
        """Return how many requests so far had a path with this ending, for example `jwks.json`."""
        return sum(path.endswith(path_suffix) for _, path in self.requests)

    def down(self) -> None:
        """Answer every request for the key set with 503 until `up`."""
        self._endpoints.is_down = True

    def up(self) -> None:
        """End the outage."""
        self._endpoints.is_down = False

    def verifier(self, **overrides: Any) -> CognitoVerifier:
        """
        Return a verifier of the user pool that fetches its keys from this server.

        Args:
            overrides: arguments of `CognitoVerifier` that win over the ones made here.
        """
        here = {} if "jwks" in overrides else {"jwks_uri": self.jwks_uri, "allow_insecure_http": True}
        return self._user_pool.verifier(**(here | overrides))

    def __repr__(self) -> str:
        state = "stopped" if self._running is None else self.url
        return f"<FakeUserPoolServer of {self._user_pool.user_pool_id}, {state}>"

    def _answer(self, request: Request) -> Answer:
        with self._lock:
            self._requests.append((request.method, request.path))
        return self._endpoints.answer(request)


class _HTTPServer(ThreadingHTTPServer):
    """Forget every connection on closing, so that none that is kept alive is answered afterwards."""

    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: Callable[..., BaseHTTPRequestHandler]) -> None:
        self._connections_lock = Lock()
        self._connections: set[socket.socket] = set()
        super().__init__(address, handler)

    def server_bind(self) -> None:
        # HTTPServer's own way asks the name service who 127.0.0.1 is, which can take seconds.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.socket.getsockname()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._connections_lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._connections_lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        with self._connections_lock:
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # The client was faster.

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print no traceback: a client that goes away in the middle of an answer is nobody's error here."""


class _Handler(BaseHTTPRequestHandler):
    """Take requests off the wire and put answers on it."""

    protocol_version = "HTTP/1.1"
    server_version = "FakeUserPool"
    sys_version = ""
    timeout = _IDLE_MAX
    # Head and body go out apart, and on a kept connection the second would wait 40 ms for news of the first.
    disable_nagle_algorithm = True

    def __init__(
        self, answer: Callable[[Request], Answer], request: Any, client_address: Any, server: BaseServer
    ) -> None:
        # The base class serves the whole connection inside its constructor.
        self._answer = answer
        super().__init__(request, client_address, server)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Print nothing."""

    def _serve(self) -> None:
        body = self._body()
        path, _, query = self.path.partition("?")
        answer = self._answer(Request(method=self.command, path=path, query=query, headers=self.headers, body=body))
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
