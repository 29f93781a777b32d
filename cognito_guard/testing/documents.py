"""
A server of documents on the loopback interface, for fakes whose keys lie elsewhere than a user pool's.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from types import TracebackType
from typing import Self

from .loopback import HOST, Listener, read_request


class DocumentServer:
    """
    Serve documents over HTTP on 127.0.0.1, at a port of the system's choice.

    Use it as a context manager, or call `start` and `close`.

    Args:
        document: from a path to its document as it is at that moment, or None where there is none (403).
    """

    def __init__(self, document: Callable[[str], bytes | None]) -> None:
        self._document = document
        self._lock = Lock()
        self._requests: list[tuple[str, str]] = []
        self._is_down = False
        self._listener: Listener | None = None

    def start(self) -> Self:
        """Listen, and return the server itself; a running server is left alone."""
        if self._listener is None:
            self._listener = Listener(lambda: self._answer)
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

    def down(self) -> None:
        """Answer every request with 503 until `up`."""
        self._is_down = True

    def up(self) -> None:
        """End the outage."""
        self._is_down = False

    def _answer(self, connection: socket.socket) -> None:
        with suppress(OSError):  # The client has gone.
            method, path = read_request(connection)
            with self._lock:
                self._requests.append((method, path))
            body = self._document(path)
            status = "503 Service Unavailable" if self._is_down else "403 Forbidden" if body is None else "200 OK"
            sent = body if body is not None and not self._is_down else b""
            head = f"HTTP/1.1 {status}\r\nContent-Length: {len(sent)}\r\nConnection: close\r\n\r\n"
            connection.sendall(head.encode() + sent)
