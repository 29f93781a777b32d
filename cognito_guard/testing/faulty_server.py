"""
A key endpoint that goes wrong when told to, over real sockets on the loopback interface.

Nothing in it ends by time: what hangs, hangs until the test ends the outage or closes the server.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Collection
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Condition, Event
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ..errors import ConfigurationError
from ..keys.fetch import HTTPSFetch
from ..verifier import CognitoVerifier
from .faults import TLS_FAULTS, Fault
from .loopback import HEAD_MAX, HOST, Listener, Serve, read_request, reset_on_close
from .pool import FakeUserPool
from .replies import Ending, Reply, is_of_single_keys, reply_to

if TYPE_CHECKING:
    from .authority import Identities

_CA_FILE = "authority.pem"
_DRIP_INTERVAL = 0.05  # seconds between two bytes of what comes byte by byte


@dataclass(frozen=True, slots=True, kw_only=True)
class _Script:
    """What happens on one connection."""

    fault: Fault | None = None
    only: frozenset[str] | None = None


class FaultyJWKSServer:
    """
    Serve a fake user pool's key set, and do wrong what a test tells it to.

        with FaultyJWKSServer(pool) as server:
            verifier = server.verifier()
            server.answer_with(Fault.RESET, Fault.HTML)  # the next two fetches
            server.down(Fault.HANG)  # all fetches until `server.up()`

    Use it as a context manager, or call `start` and `close`.

    Args:
        user_pool: the pool to serve, as it is at the moment of each request.
        tls: speak TLS, under an authority that only `ca_file` makes trusted.
    """

    def __init__(self, user_pool: FakeUserPool, *, tls: bool = False) -> None:
        self._user_pool = user_pool
        self._tls = tls
        self._changed = Condition()
        self._queue: deque[_Script] = deque()
        self._outage = _Script()
        self._released = Event()
        self._connections = 0
        self._requests: list[tuple[str, str]] = []
        self._hanging = 0
        self._listener: Listener | None = None
        self._identities: Identities | None = None
        self._directory: TemporaryDirectory[str] | None = None

    def start(self) -> Self:
        """Listen, and return the server itself; a running server is left alone."""
        if self._listener is None:
            if self._tls:
                # Imported where TLS is first needed: most tests do without.
                from .authority import identities

                self._identities = identities()
                self._directory = TemporaryDirectory()
                Path(self._directory.name, _CA_FILE).write_bytes(self._identities.ca_pem)
            self._listener = Listener(self._accepted)
        return self

    def close(self) -> None:
        """
        Stop listening and drop every connection; a closed server is left alone.

        Raises:
            AssertionError: faults of `answer_with` are left over, so that the test did not do what it says.
        """
        listener, self._listener = self._listener, None
        if listener is None:
            return
        listener.refuse()
        self._release()
        listener.close()
        if self._directory is not None:
            self._directory.cleanup()
        if self.pending:
            raise AssertionError(f"faults that no request met: {', '.join(fault.name for fault in self.pending)}")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.close()
        except AssertionError:
            # A test that failed before its faults were met has failed for another reason.
            if error is None:
                raise

    @property
    def jwks_uri(self) -> str:
        """
        Where the key set is.

        Raises:
            RuntimeError: the server does not run.
        """
        return self._uri(self._listening.port)

    @property
    def ca_file(self) -> Path | None:
        """The authority to trust, a PEM file for `HTTPSFetch(ca_file=...)` while the server runs; None without TLS."""
        return None if self._directory is None else Path(self._directory.name, _CA_FILE)

    @property
    def pending(self) -> tuple[Fault, ...]:
        """The faults of `answer_with` that no connection has met yet."""
        with self._changed:
            return tuple(script.fault for script in self._queue if script.fault is not None)

    @property
    def connections(self) -> int:
        """How many connections were accepted; one that fails before its request counts as well."""
        with self._changed:
            return self._connections

    @property
    def requests(self) -> tuple[tuple[str, str], ...]:
        """Method and path of every request so far, queries left out, in the order of arrival."""
        with self._changed:
            return tuple(self._requests)

    @property
    def hanging(self) -> int:
        """How many connections hang at this moment."""
        with self._changed:
            return self._hanging

    def wait_until_hanging(self, count: int = 1, timeout: float = 5.0) -> None:
        """
        Block until connections hang.

        Args:
            count: how many.
            timeout: the most seconds to wait.

        Raises:
            TimeoutError: they don't.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._hanging >= count, timeout):
                raise TimeoutError(f"expected {count} connections that hang, there are {self._hanging}")

    def answer_with(self, *faults: Fault, only: Collection[str] | None = None) -> None:
        """
        Let the next connections go wrong, each in its way; those after them go as before.

        Args:
            faults: one per connection, in this order, after those that are still pending.
            only: for faults of single keys, the key IDs of those that have it; by default all.

        Raises:
            ConfigurationError: a fault that this server, or a single connection, can't have.
        """
        if Fault.REFUSED in faults:
            raise ConfigurationError("faults", "expected none that no connection can meet: a port is closed by `down`")
        with self._changed:
            self._queue.extend([self._script(fault, only) for fault in faults])

    def down(self, fault: Fault = Fault.SERVICE_UNAVAILABLE, *, only: Collection[str] | None = None) -> None:
        """
        Let every connection go wrong until `up`, beginning with the next.

        Args:
            fault: how.
            only: for a fault of single keys, the key IDs of those that have it; by default all.

        Raises:
            ConfigurationError: a fault that this server can't have.
            RuntimeError: the server does not run.
        """
        listener, script = self._listening, self._script(fault, only)
        with self._changed:
            self._outage = script
        if fault is Fault.REFUSED:
            listener.refuse()
        else:
            listener.listen()

    def up(self) -> None:
        """
        End the outage, and drop the connections that hang.

        Raises:
            RuntimeError: the server does not run.
        """
        listener = self._listening
        with self._changed:
            self._outage = _Script()
        self._release()
        listener.listen()

    def verifier(self, **overrides: Any) -> CognitoVerifier:
        """
        Return a verifier of the user pool that fetches its keys from this server.

        Args:
            overrides: arguments of `CognitoVerifier` that win over the ones made here.

        Raises:
            ConfigurationError: an argument that the verifier refuses.
            RuntimeError: the server does not run.
        """
        fetch = HTTPSFetch(ca_file=self.ca_file)
        here = {"jwks_uri": self.jwks_uri, "allow_insecure_http": True, "fetch": fetch}
        return self._user_pool.verifier(**(here | overrides))

    def __repr__(self) -> str:
        state = "stopped" if self._listener is None else self.jwks_uri
        return f"<FaultyJWKSServer of {self._user_pool.user_pool_id}, {state}>"

    @property
    def _listening(self) -> Listener:
        if self._listener is None:
            raise RuntimeError("the server does not run: use it in a `with` block")
        return self._listener

    def _script(self, fault: Fault, only: Collection[str] | None) -> _Script:
        if fault in TLS_FAULTS and not self._tls:
            raise ConfigurationError("fault", f"expected none of TLS on a server that speaks none, got {fault.name}")
        if only is not None and not is_of_single_keys(fault):
            raise ConfigurationError("only", f"expected a fault of single keys with it, got {fault.name}")
        return _Script(fault=fault, only=None if only is None else frozenset(only))

    def _release(self) -> None:
        with self._changed:
            released, self._released = self._released, Event()
        released.set()

    def _accepted(self) -> Serve:
        with self._changed:
            self._connections += 1
            script = self._queue.popleft() if self._queue else self._outage
            return partial(self._serve, script, self._released)

    def _serve(self, script: _Script, released: Event, connection: socket.socket) -> None:
        """Read one request and answer it."""
        uri = self._uri(connection.getsockname()[1])
        # Clients that go away in the middle are what this server is for.
        with suppress(OSError), ExitStack() as stack:
            if script.fault is Fault.NO_TLS:
                connection.recv(HEAD_MAX)  # the beginning of a handshake
            else:
                if self._identities is not None:
                    context = self._identities.context(script.fault)
                    connection = stack.enter_context(context.wrap_socket(connection, server_side=True))
                request = read_request(connection)
                with self._changed:
                    self._requests.append(request)
            self._send(connection, reply_to(script.fault, self._user_pool.jwks, uri, script.only), released)

    def _send(self, connection: socket.socket, reply: Reply, released: Event) -> None:
        connection.sendall(reply.data)
        if reply.ending is Ending.RESET:
            reset_on_close(connection)
        elif reply.ending is Ending.HANG:
            self._count_hanging(1)
            try:
                while not released.wait(_DRIP_INTERVAL if reply.drip else None):
                    connection.sendall(reply.drip)
            finally:
                self._count_hanging(-1)

    def _count_hanging(self, more: int) -> None:
        with self._changed:
            self._hanging += more
            self._changed.notify_all()

    def _uri(self, port: int) -> str:
        scheme = "https" if self._tls else "http"
        return f"{scheme}://{HOST}:{port}/{self._user_pool.user_pool_id}/.well-known/jwks.json"
