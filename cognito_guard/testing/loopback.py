"""
A listener on the loopback interface whose port can be closed and opened again, with a thread per connection.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from selectors import EVENT_READ, DefaultSelector
from threading import Lock, Thread
from typing import TypeAlias

HOST = "127.0.0.1"
_BACKLOG = 128
HEAD_MAX = 16 * 1024  # bytes
_NO_LINGER = struct.pack("ii", 1, 0)

Serve: TypeAlias = Callable[[socket.socket], None]
"""What is done on one connection; it ends in time once the connection is shut down."""


class Listener:
    """
    Accept connections at a port of the system's choice, from the start on.

    Args:
        accepted: called for each connection, in the order in which they come; what it returns then runs on a thread.

    Attributes:
        port: where it listens; kept while it is closed.
    """

    def __init__(self, accepted: Callable[[], Serve]) -> None:
        self._accepted = accepted
        self._lock = Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[Thread] = []
        self._acceptor: tuple[Thread, socket.socket] | None = None
        self._socket = _bound(0)
        self.port: int = self._socket.getsockname()[1]
        self.listen()

    def listen(self) -> None:
        """Accept connections; a listener that does is left alone."""
        if self._acceptor is None:
            self._socket.listen(_BACKLOG)
            waker, woken = socket.socketpair()
            thread = Thread(target=self._accept, args=(woken,), name=f"listener-{self.port}", daemon=True)
            self._acceptor = thread, waker
            thread.start()

    def refuse(self) -> None:
        """Refuse connections and keep the port, so that nobody else gets it; a listener that does is left alone."""
        if self._acceptor is not None:
            (thread, waker), self._acceptor = self._acceptor, None
            waker.close()
            thread.join()
            self._socket.close()
            self._socket = _bound(self.port)

    def close(self) -> None:
        """Give up the port, shut all connections down and wait until what is done on them has ended."""
        self.refuse()
        self._socket.close()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):  # The client was faster.
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self, woken: socket.socket) -> None:
        with woken, DefaultSelector() as selector:
            selector.register(woken, EVENT_READ)
            selector.register(self._socket, EVENT_READ)
            while all(key.fileobj is not woken for key, _ in selector.select()):
                with suppress(OSError):  # The client was faster.
                    self._begin(self._socket.accept()[0])

    def _begin(self, connection: socket.socket) -> None:
        # A second handle on the connection: TLS takes the first one over.
        handle = connection.dup()
        # Noted before the thread runs: whoever closes the listener then shall find it.
        with self._lock:
            self._open.add(handle)
        thread = Thread(target=self._run, args=(self._accepted(), connection, handle), daemon=True)
        self._threads = [*(thread for thread in self._threads if thread.is_alive()), thread]
        thread.start()

    def _run(self, serve: Serve, connection: socket.socket, handle: socket.socket) -> None:
        with connection, handle:
            try:
                serve(connection)
            finally:
                with self._lock:
                    self._open.discard(handle)


def read_request(connection: socket.socket) -> tuple[str, str]:
    """
    Read a request without a body, and return its method and its path.

    Raises:
        ConnectionAbortedError: the client sends none, or none that ends within 16 KiB.
    """
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        received = connection.recv(HEAD_MAX)
        if not received or len(head) > HEAD_MAX:
            raise ConnectionAbortedError("no request came")
        head += received
    method, _, rest = head.decode("latin-1").partition(" ")
    return method, rest.partition(" ")[0].partition("?")[0]


def reset_on_close(connection: socket.socket) -> None:
    """Make the connection end with a reset instead of an orderly end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)


def _bound(port: int) -> socket.socket:
    """Return a socket that has a port and does not listen: connections are refused."""
    bound = socket.socket()
    # As `socket.create_server` does: connections of before must not keep the port from being bound again.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((HOST, port))
    return bound
