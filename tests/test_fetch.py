"""HTTPSFetch over real loopback sockets: what counts as an answer, and that everything else ends in time."""

from __future__ import annotations

import datetime
import gzip
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeAlias

import pytest

from cognito_guard import ConfigurationError, FetchError, HTTPSFetch, __version__
from cognito_guard.testing import FakeClock
from cognito_guard.testing.authority import Authority

PATIENCE = 30.0  # seconds that nothing here takes unless it hangs
SHORT = 0.15  # a real deadline, for what hangs
LONG_PAUSE = 2.0  # what hangs would end well if it were waited for
BODY = b'{"keys": "marked"}'
LONG = b"%065536d" * 4 % (1, 2, 3, 4)  # as long as the usual limit, and no two reads of it alike
FLOOD = 64 * 1024 * 1024  # bytes; more than any socket buffer

Resolve: TypeAlias = Callable[..., list[tuple[str, int]]]
Handler: TypeAlias = Callable[[socket.socket, Event], None]
"""What a server does on one connection once it has read the request; the event tells it that the test is over."""


class ScriptedServer:
    """
    Do on each connection, over a real loopback socket, what a script says; stop with the `with` block.

    Attributes:
        port: where it listens.
        url: the same as a URL.
        connections: how many were accepted.
        requests: the requests' heads, as they came.
    """

    def __init__(self, handler: Handler, *, tls: ssl.SSLContext | None = None) -> None:
        self.connections = 0
        self.requests: list[bytes] = []
        self._handler = handler
        self._tls = tls
        self._stopped = Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [Thread(target=self._accept)]
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopped.set()
        # Wakes the one thread that waits for a connection.
        with socket.socket() as last:
            last.connect(("127.0.0.1", self.port))
        for thread in self._threads:
            thread.join(PATIENCE)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._stopped.is_set():
                connection.close()
                return
            self.connections += 1
            thread = Thread(target=self._serve, args=(connection,))
            thread.start()
            self._threads.append(thread)

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE)
        # A client that goes away is what most of these tests are about.
        with suppress(OSError), ExitStack() as stack:
            stack.callback(connection.close)
            if self._tls is not None:
                connection = stack.enter_context(self._tls.wrap_socket(connection, server_side=True))
            self.requests.append(head_of(connection))
            self._handler(connection, self._stopped)


def head_of(connection: socket.socket) -> bytes:
    """Read a request's head."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        received = connection.recv(4096)
        if not received:
            raise ConnectionResetError
        head += received
    return head


def response(status: str = "200 OK", *headers: str, body: bytes = BODY, length: int | None = -1) -> bytes:
    """Return a response; its Content-Length is right unless it is given, and missing with None."""
    announced = [] if length is None else [f"Content-Length: {len(body) if length < 0 else length}"]
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, *announced, "", ""]).encode("latin-1") + body


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    """Return a response in chunks."""
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return response("200 OK", "Transfer-Encoding: chunked", body=body + end, length=None)


def answer(*parts: bytes, hold: bool = False) -> Handler:
    """Send the parts, and close unless the connection is to be held."""

    def handle(connection: socket.socket, stopped: Event) -> None:
        for part in parts:
            connection.sendall(part)
        if hold:
            stopped.wait(PATIENCE)

    return handle


def hang(begin: bytes, end: bytes = b"") -> Handler:
    """Send the beginning, and the end of an answer so late that only a client without a deadline gets it."""

    def handle(connection: socket.socket, stopped: Event) -> None:
        connection.sendall(begin)
        if not stopped.wait(LONG_PAUSE):
            connection.sendall(end)

    return handle


def drip(begin: bytes, end: bytes) -> Handler:
    """Send the end byte by byte: each is in time by itself, all of them are not."""

    def handle(connection: socket.socket, stopped: Event) -> None:
        connection.sendall(begin)
        for offset in range(len(end)):
            if stopped.wait(LONG_PAUSE / len(end)):
                return
            connection.sendall(end[offset : offset + 1])

    return handle


def reset(begin: bytes) -> Handler:
    """Send the beginning and reset the connection."""

    def handle(connection: socket.socket, _: Event) -> None:
        connection.sendall(begin)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    return handle


def fetched(url: str, timeout: float = PATIENCE, **options: Any) -> bytes:
    """Fetch, with options of HTTPSFetch."""
    return HTTPSFetch(**options)(f"{url}/pool/.well-known/jwks.json", timeout)


def failure(url: str, timeout: float = PATIENCE, **options: Any) -> FetchError:
    """Fetch in vain, and return why; nothing of a body may be in it."""
    with pytest.raises(FetchError) as caught:
        fetched(url, timeout, **options)
    assert "marked" not in f"{caught.value} {caught.value!r}"
    return caught.value


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the proxies of the machine out of the tests."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([response()], id="of a length"),
        pytest.param([response(length=None)], id="until the connection closes"),
        pytest.param([response().replace(b"HTTP/1.1", b"HTTP/1.0")], id="in HTTP/1.0"),
        pytest.param([chunked(BODY)], id="in one chunk"),
        pytest.param([chunked(BODY[:5], BODY[5:])], id="in chunks"),
        pytest.param([chunked(BODY, end=b"0\r\nX-Trailer: x\r\n\r\n")], id="in chunks with a trailer"),
        pytest.param([b"HTTP/1.1 100 Continue\r\n\r\n" + response()], id="after an interim response"),
        pytest.param([response("200 OK", "Content-Encoding: Identity")], id="declared to be unencoded"),
        pytest.param([response("200 OK", "Content-Type: text/html")], id="of any type"),
        pytest.param([response()[offset : offset + 1] for offset in range(len(response()))], id="byte by byte"),
    ],
)
def test_answer_is_read_however_it_is_framed(parts: Sequence[bytes]) -> None:
    """A 200 with an unencoded body counts, and its body is returned as it is."""
    with ScriptedServer(answer(*parts)) as server:
        assert fetched(server.url) == BODY


@pytest.mark.parametrize(
    "whole", [pytest.param(response(), id="of a length"), pytest.param(chunked(BODY), id="chunked")]
)
def test_end_of_the_connection_is_not_awaited(whole: bytes) -> None:
    """A body that is complete is returned, though the server keeps the connection."""
    with ScriptedServer(answer(whole, hold=True)) as server:
        assert fetched(server.url) == BODY


def test_request_is_exactly_this() -> None:
    """One GET that asks for an unencoded body and tells nothing but the library's name."""
    with ScriptedServer(answer(response())) as server:
        HTTPSFetch()(f"{server.url}/pool/jwks.json?v=1", PATIENCE)
    assert [request.decode().split("\r\n") for request in server.requests] == [
        [
            "GET /pool/jwks.json?v=1 HTTP/1.1",
            f"Host: 127.0.0.1:{server.port}",
            f"User-Agent: cognito-guard/{__version__}",
            "Accept: application/json",
            "Accept-Encoding: identity",
            "Connection: close",
            "",
            "",
        ]
    ]


def test_uri_without_a_path_asks_for_the_root() -> None:
    """A request line has a target in any case."""
    with ScriptedServer(answer(response())) as server:
        HTTPSFetch()(server.url, PATIENCE)
    assert server.requests[0].startswith(b"GET / HTTP/1.1\r\n")


@pytest.mark.parametrize("status", [201, 202, 203, 204, 206, 300, 304, 400, 401, 407, 410, 429, 500, 502, 503])
def test_other_status_than_200_is_a_failure(status: int) -> None:
    """A body that comes with anything but 200 is not the key set."""
    with ScriptedServer(answer(response(f"{status} Whatever"))) as server:
        error = failure(server.url)
    assert str(error) == f"the key endpoint answered {status}"
    assert (error.refused, error.retry_after) == (False, 0.0)


@pytest.mark.parametrize("status", [403, 404])
def test_endpoint_that_has_nothing_for_the_pool_has_refused(status: int) -> None:
    """Cognito answers 403 under the issuer form that a pool does not use."""
    with ScriptedServer(answer(response(f"{status} Whatever"))) as server:
        assert failure(server.url).refused


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed(status: int) -> None:
    """The place of the keys is the trust anchor: an answer can't move it."""
    with ScriptedServer(answer(response())) as other:
        redirect = response(f"{status} Elsewhere", f"Location: {other.url}/jwks.json", body=b"")
        with ScriptedServer(answer(redirect)) as server:
            assert not failure(server.url).refused
        assert (server.connections, other.connections) == (1, 0)


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
@pytest.mark.parametrize(
    "value, seconds",
    [
        pytest.param("0", 0.0, id="no wait"),
        pytest.param("7", 7.0, id="seconds"),
        pytest.param("999999999", 999999999.0, id="years"),
        pytest.param("1000000000", 0.0, id="a lifetime"),
        pytest.param("9" * 5000, 0.0, id="more digits than make sense"),
        pytest.param("-5", 0.0, id="negative"),
        pytest.param("1.5", 0.0, id="a fraction"),
        pytest.param("\xb2", 0.0, id="a superscript digit"),
        pytest.param("Wed, 21 Oct 2026 07:28:00 GMT", 0.0, id="a date"),
        pytest.param("soon", 0.0, id="a word"),
        pytest.param("", 0.0, id="nothing"),
    ],
)
def test_wait_that_the_endpoint_asks_for_is_told(status: str, value: str, seconds: float) -> None:
    """Retry-After is read in seconds; anything else in it is as good as absent."""
    with ScriptedServer(answer(response(status, f"Retry-After: {value}"))) as server:
        error = failure(server.url)
    assert str(error) == f"the key endpoint answered {status[:3]}"
    assert error.retry_after == seconds


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip"])
def test_encoded_body_is_refused(encoding: str) -> None:
    """Nobody asked for one, and a few bytes could become a gigabyte."""
    body = gzip.compress(BODY)
    with ScriptedServer(answer(response("200 OK", f"Content-Encoding: {encoding}", body=body))) as server:
        assert str(failure(server.url)) == "the key endpoint sent an encoded body"


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([], id="nothing"),
        pytest.param([b"\r\n"], id="an empty status line"),
        pytest.param([b"marked garbage\r\n\r\n" + BODY], id="a status line that is none"),
        pytest.param([b"HTTP/1.1 2oo OK\r\n\r\n" + BODY], id="a status that is no number"),
        pytest.param([b"HTTP/3 200 OK\r\n\r\n" + BODY], id="an unknown version"),
        pytest.param([b"HTTP/1.1 200 " + b"x" * 70_000], id="a status line without end"),
        pytest.param([response("200 OK", "X: " + "x" * 70_000)], id="a header line too long"),
        pytest.param([response("200 OK", *["X: x"] * 101)], id="too many headers"),
        pytest.param([response(length=len(BODY) + 1)], id="a body shorter than announced"),
        pytest.param([response(length=10**15)], id="a body much shorter than announced"),
        pytest.param([chunked(BODY, end=b"")], id="chunks without the last one"),
        pytest.param([chunked(end=b"-5222222222222222222\r\n{}\r\n")], id="a chunk of a size below all that fit"),
        pytest.param([chunked(BODY, end=b"ff\r\nmarked")], id="a chunk cut short"),
        pytest.param([chunked(end=b"marked\r\nmarked\r\n")], id="a chunk size that is no number"),
        pytest.param([chunked(end=b"-1\r\n" + BODY)], id="a negative chunk size"),
        pytest.param([chunked(end=b"1" * 70_000)], id="a chunk size without end"),
        pytest.param([b"\x15\x03\x01\x00\x02\x02\x28"], id="a TLS alert"),
    ],
)
def test_broken_answer_is_a_failure(parts: Sequence[bytes]) -> None:
    """Whatever is not one whole HTTP answer is one kind of error, which shows nothing of it."""
    with ScriptedServer(answer(*parts)) as server:
        error = failure(server.url)
    assert (error.refused, error.retry_after) == (False, 0.0)


@pytest.mark.parametrize(
    "begin",
    [
        pytest.param(b"", id="before the answer"),
        pytest.param(response()[:30], id="in the headers"),
        pytest.param(response()[:-5], id="in the body"),
        pytest.param(response(length=None)[:-5], id="in a body of unknown length"),
    ],
)
def test_connection_that_is_reset_is_a_failure(begin: bytes) -> None:
    """The system's errors don't come through."""
    with ScriptedServer(reset(begin)) as server:
        failure(server.url)


def test_port_where_nobody_listens_is_a_failure() -> None:
    """A refused connection is a failed fetch, with no address in its message."""
    with ScriptedServer(answer()) as server:
        pass
    assert str(failure(server.url)) == "the fetch failed: ConnectionRefusedError"


def test_body_as_long_as_the_limit_is_read() -> None:
    """The limit itself is within it."""
    with ScriptedServer(answer(response())) as server:
        assert fetched(server.url, max_bytes=len(BODY)) == BODY
        for less in (1, len(BODY) - 1):
            assert str(failure(server.url, max_bytes=less)) == "the key endpoint sent more than the limit"


@pytest.mark.parametrize(
    "whole",
    [
        pytest.param(response(body=LONG), id="of a length"),
        pytest.param(response(body=LONG, length=None), id="until the connection closes"),
        pytest.param(chunked(LONG), id="in one chunk"),
        pytest.param(chunked(*(LONG[start : start + 1000] for start in range(0, len(LONG), 1000))), id="in chunks"),
    ],
)
def test_long_answer_is_read_whole(whole: bytes) -> None:
    """A body of many reads is put together again, up to the usual limit."""
    with ScriptedServer(answer(whole)) as server:
        assert fetched(server.url) == LONG


@pytest.mark.parametrize("longer", [response(body=LONG + b"x"), chunked(LONG, b"x")], ids=["of a length", "in chunks"])
def test_answer_longer_than_the_usual_limit_is_refused(longer: bytes) -> None:
    """A hundred times what Cognito publishes, and one byte more."""
    with ScriptedServer(answer(longer)) as server:
        assert str(failure(server.url)) == "the key endpoint sent more than the limit"


def test_headers_as_long_as_their_limit_are_read() -> None:
    """What an answer takes beside its body has a limit of its own: 64 KiB, and no byte more."""
    room = 64 * 1024 - len(response("200 OK", "A: ", "B: ", body=b"", length=len(BODY)))
    longest = response("200 OK", "A: " + "a" * (room // 2), "B: " + "b" * (room - room // 2))
    with ScriptedServer(answer(longest)) as server:
        assert fetched(server.url, max_bytes=len(BODY)) == BODY
    with ScriptedServer(answer(longest.replace(b"A: ", b"A:  "))) as server:
        assert str(failure(server.url, max_bytes=len(BODY))) == "the endpoint sent more than the limit"


@pytest.mark.parametrize(
    "begin, piece",
    [
        pytest.param(response(length=FLOOD, body=b""), b"x" * 65536, id="announced"),
        pytest.param(response(length=10**15, body=b""), b"x" * 65536, id="announced beyond all memory"),
        pytest.param(response(length=None, body=b""), b"x" * 65536, id="unannounced"),
        pytest.param(chunked(end=b""), b"10000\r\n" + b"x" * 65536 + b"\r\n", id="in chunks"),
        pytest.param(chunked(end=b"7fffffffffff\r\n"), b"x" * 65536, id="in a chunk beyond all memory"),
        pytest.param(chunked(end=b"-1\r\n"), b"x" * 65536, id="in a chunk of negative size"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", b"X: x\r\n" * 10_000, id="in the headers"),
        pytest.param(b"HTTP/1.1 200 ", b"x" * 65536, id="in the status line"),
    ],
)
def test_answer_without_end_is_not_read_to_the_end(begin: bytes, piece: bytes) -> None:
    """What is read, and so the memory it takes, is bounded, whatever the endpoint announces."""
    sent = 0

    def flood(connection: socket.socket, _: Event) -> None:
        nonlocal sent
        connection.sendall(begin)
        while sent < FLOOD:
            connection.sendall(piece)
            sent += len(piece)

    with ScriptedServer(flood) as server:
        failure(server.url, max_bytes=1000)
    assert sent < FLOOD / 2


@pytest.mark.parametrize(
    "handler",
    [
        pytest.param(hang(b"", response()), id="hang before the answer"),
        pytest.param(hang(response()[:5], response()[5:]), id="hang in the status line"),
        pytest.param(hang(response()[:30], response()[30:]), id="hang in the headers"),
        pytest.param(hang(response()[:-5], response()[-5:]), id="hang in the body"),
        pytest.param(hang(response(length=None)), id="hang at the end of a body of unknown length"),
        pytest.param(hang(chunked(BODY, end=b""), b"0\r\n\r\n"), id="hang between chunks"),
        pytest.param(drip(b"", response()), id="drip from the start"),
        pytest.param(drip(response(body=b"", length=len(BODY)), BODY), id="drip the body"),
        pytest.param(drip(response(body=b"", length=None), BODY), id="drip a body of unknown length"),
        pytest.param(drip(b"", chunked(*(bytes([octet]) for octet in BODY))), id="drip chunks"),
        pytest.param(drip(chunked(BODY, end=b"0\r\n"), b"X-Trailer: x\r\n\r\n"), id="drip a trailer"),
        pytest.param(drip(b"HTTP/1.1 100 Continue\r\n\r\n", response()), id="drip after an interim response"),
    ],
)
def test_slow_answer_ends_by_the_deadline(handler: Handler) -> None:
    """One deadline holds for the whole fetch, however often a byte comes before it."""
    with ScriptedServer(handler) as server:
        assert str(failure(server.url, SHORT)) == "the fetch failed: TimeoutError"


@pytest.mark.parametrize("timeout", [0.0, -1.0])
def test_fetch_with_no_time_left_connects_to_nobody(timeout: float, clock: FakeClock) -> None:
    """A deadline that has passed is a failure, not a fetch without one."""
    with ScriptedServer(answer(response())) as server:
        assert str(failure(server.url, timeout, timer=clock)) == "the fetch failed: TimeoutError"
    assert server.connections == 0


def test_fetch_whose_time_ends_with_the_connection_asks_for_nothing() -> None:
    """Nobody would wait for the answer any more."""
    when_begun_and_when_connecting = iter([0.0, 0.0])
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        error = failure(url, timer=lambda: next(when_begun_and_when_connecting, PATIENCE))
        server.settimeout(PATIENCE)
        connection, _ = server.accept()
        with connection:
            connection.settimeout(PATIENCE)
            assert connection.recv(1) == b""
    assert str(error) == "the fetch failed: TimeoutError"


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """Return a function that decides which addresses every name has, and returns which names were asked for."""

    def resolve_to(*ports: int) -> list[tuple[str, int]]:
        asked: list[tuple[str, int]] = []

        def getaddrinfo(host: str, port: int, **_: object) -> list[Any]:
            asked.append((host, port))
            return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port)) for port in ports]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        return asked

    return resolve_to


def test_second_address_of_a_name_is_tried(resolve: Resolve) -> None:
    """Where the first one refuses, the next one may answer."""
    with ScriptedServer(answer(response())) as gone:
        pass
    with ScriptedServer(answer(response())) as server:
        asked = resolve(gone.port, server.port)
        assert fetched("http://localhost") == BODY
    assert asked == [("localhost", 80)]


def test_first_address_that_hangs_leaves_time_for_the_second(resolve: Resolve) -> None:
    """A host with a dead IPv6 route has an IPv4 address that answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as stack:
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        with ScriptedServer(answer(response())) as server:
            resolve(full.getsockname()[1], server.port)
            assert fetched("http://localhost", 0.4) == BODY


def test_addresses_share_what_is_left(resolve: Resolve, monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
    """Each may take as much as each of those behind it, so that the last one has all of it."""
    waits: list[float | None] = []

    class Watched(socket.socket):
        def connect(self, address: Any, /) -> None:
            waits.append(self.gettimeout())
            super().connect(address)

    with ScriptedServer(answer(response())) as gone:
        pass
    with ScriptedServer(answer(response())) as server:
        resolve(gone.port, gone.port, server.port)
        with monkeypatch.context() as patch:
            patch.setattr(socket, "socket", Watched)
            assert fetched("http://localhost", 6.0, timer=clock) == BODY
    assert waits == [2.0, 3.0, 6.0]


@pytest.mark.parametrize("addresses", [0, 1])
def test_name_without_an_address_that_answers_is_a_failure(resolve: Resolve, addresses: int) -> None:
    """One that has none, and one that leads nowhere."""
    with ScriptedServer(answer(response())) as gone:
        pass
    resolve(*[gone.port] * addresses)
    failure("http://localhost")


@pytest.mark.parametrize(
    "uri",
    [
        "ftp://127.0.0.1/jwks.json",
        "file:///etc/hostname",
        "/jwks.json",
        "",
        "https://",
        "https://[::1/jwks.json",
        "https://127.0.0.1:99999/jwks.json",
        "https://" + "a" * 64 + ".test/",
        "https://a..test/",
    ],
)
def test_uri_that_cannot_be_fetched_is_a_failure(uri: str) -> None:
    """A mistake in the URI is the same error as any other."""
    with pytest.raises(FetchError):
        HTTPSFetch()(uri, SHORT)


@pytest.mark.parametrize(
    "uri", ["http://keys.test", "http://127.0.0.1.keys.test", "http://128.0.0.1", "ftp://localhost"]
)
def test_other_ways_than_https_are_not_gone(resolve: Resolve, uri: str) -> None:
    """Plain http is for loopback hosts alone: nobody is even asked where another host is."""
    with ScriptedServer(answer(response())) as server:
        asked = resolve(server.port)
        assert "https" in str(failure(uri))
    assert (asked, server.connections) == ([], 0)


@pytest.mark.parametrize(
    "options, setting",
    [
        pytest.param({"ca_file": "/nowhere/ca.pem"}, "ca_file", id="a file that is not there"),
        pytest.param({"ca_file": Path("/")}, "ca_file", id="a directory"),
        pytest.param({"max_bytes": 0}, "max_bytes", id="no byte at all"),
        pytest.param({"max_bytes": -1}, "max_bytes", id="fewer bytes than none"),
        pytest.param({"max_bytes": True}, "max_bytes", id="bytes that are a bool"),
        pytest.param({"max_bytes": float("nan")}, "max_bytes", id="bytes that are no number"),
        pytest.param({"max_bytes": "1"}, "max_bytes", id="bytes that are text"),
        pytest.param({"ca_file": 3}, "ca_file", id="a file that is a number"),
        pytest.param({"timer": 3}, "timer", id="a timer that is a number"),
    ],
)
def test_settings_that_cannot_be_right_are_refused(options: dict[str, Any], setting: str) -> None:
    """The error names the setting."""
    with pytest.raises(ConfigurationError) as refusal:
        HTTPSFetch(**options)
    assert refusal.value.setting == setting


@pytest.mark.parametrize("given", [None, "5", -1.0, float("nan"), float("inf")], ids=repr)
def test_wait_that_is_no_number_of_seconds_is_refused(given: Any) -> None:
    """Where a fetch of somebody else's says so, and not later on the thread that counts with it."""
    with pytest.raises(ConfigurationError) as refusal:
        FetchError("busy", retry_after=given)
    assert refusal.value.setting == "retry_after"


class TrustedAuthority(Authority):
    """Be an authority whose certificate lies in a file, for who shall trust it."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.file = directory / "authority.pem"
        self.file.write_bytes(self.pem)


_FAR = datetime.datetime(2100, 1, 1)
_PAST = datetime.datetime(2001, 1, 1)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> TrustedAuthority:
    return TrustedAuthority(tmp_path_factory.mktemp("tls"))


def test_https_is_fetched_under_the_given_authority(authority: TrustedAuthority) -> None:
    """`ca_file` stands in for the system's authorities."""
    with ScriptedServer(answer(response()), tls=authority.context("127.0.0.1")) as server:
        assert fetched(server.url, ca_file=authority.file) == BODY
        assert fetched(server.url, ca_file=str(authority.file)) == BODY
    assert server.requests[0].split(b"\r\n")[1] == f"Host: 127.0.0.1:{server.port}".encode()


def test_https_host_is_looked_up_by_its_name(authority: TrustedAuthority, resolve: Resolve) -> None:
    """At the usual port where the URI names none."""
    with ScriptedServer(answer(response()), tls=authority.context("keys.pool.test")) as server:
        asked = resolve(server.port)
        assert fetched("https://keys.pool.test", ca_file=authority.file) == BODY
    assert asked == [("keys.pool.test", 443)]


def test_authority_of_the_environment_is_honoured(authority: TrustedAuthority, monkeypatch: pytest.MonkeyPatch) -> None:
    """SSL_CERT_FILE names it, as for every program that uses OpenSSL."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with ScriptedServer(answer(response()), tls=authority.context("127.0.0.1")) as server:
        assert fetched(server.url) == BODY


@pytest.mark.parametrize(
    "hosts, ends, trusted",
    [
        pytest.param(["127.0.0.1"], _FAR, False, id="an authority nobody trusts"),
        pytest.param(["localhost", "127.0.0.2"], _FAR, True, id="another host's name"),
        pytest.param(["127.0.0.1"], _PAST, True, id="a certificate that has expired"),
    ],
)
def test_server_that_cannot_show_who_it_is_is_a_failure(
    authority: TrustedAuthority, hosts: Sequence[str], ends: datetime.datetime, trusted: bool
) -> None:
    """No request is sent to it."""
    with ScriptedServer(answer(response()), tls=authority.context(*hosts, ends=ends)) as server:
        error = failure(server.url, ca_file=authority.file if trusted else None)
    assert str(error) == "the fetch failed: SSLCertVerificationError"
    assert server.requests == []


def test_authority_file_that_is_no_pem_is_a_failure(authority: TrustedAuthority, tmp_path: Path) -> None:
    """It is read with each fetch, and trusts nobody then."""
    file = tmp_path / "ca.pem"
    file.write_text("marked")
    with ScriptedServer(answer(response()), tls=authority.context("127.0.0.1")) as server:
        failure(server.url, ca_file=file)
    assert server.requests == []


def test_server_that_speaks_no_tls_is_a_failure() -> None:
    """https never falls back to http."""
    with ScriptedServer(answer(response())) as server:
        failure(server.url.replace("http:", "https:"), SHORT)


def test_handshake_that_hangs_ends_by_the_deadline(authority: TrustedAuthority) -> None:
    """The deadline of the fetch holds for its TLS handshake as well."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        assert str(failure(url, SHORT, ca_file=authority.file)) == "the fetch failed: TimeoutError"


def test_body_over_tls_that_drips_ends_by_the_deadline(authority: TrustedAuthority) -> None:
    """The deadline holds for each read of the encrypted connection."""
    slow = drip(response(body=b"", length=len(BODY)), BODY)
    with ScriptedServer(slow, tls=authority.context("127.0.0.1")) as server:
        assert str(failure(server.url, SHORT, ca_file=authority.file)) == "the fetch failed: TimeoutError"


class Proxied(NamedTuple):
    """Hold a proxy that plays the host behind it as well, and the requests which that host saw."""

    server: ScriptedServer
    seen: list[bytes]


@pytest.fixture
def proxy(authority: TrustedAuthority) -> Iterator[Proxied]:
    """Return a proxy through which a host is reached that no name service knows."""
    context = authority.context("keys.pool.test", "::1", "127.0.0.1")
    seen: list[bytes] = []

    def connect(connection: socket.socket, _: Event) -> None:
        connection.sendall(b"HTTP/1.1 200 Connection established\r\nX-Proxy: x\r\n\r\n")
        with context.wrap_socket(connection, server_side=True) as inner:
            seen.append(head_of(inner))
            inner.sendall(response())

    with ScriptedServer(connect) as server:
        yield Proxied(server, seen)


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("scheme", [pytest.param("http://", id="a URL"), pytest.param("", id="host and port alone")])
def test_proxy_of_the_environment_is_used(
    proxy: Proxied, authority: TrustedAuthority, monkeypatch: pytest.MonkeyPatch, variable: str, scheme: str
) -> None:
    """The proxy resolves the name; TLS is the host's own, end to end."""
    monkeypatch.setenv(variable, f"{scheme}127.0.0.1:{proxy.server.port}")
    assert fetched("https://keys.pool.test", ca_file=authority.file) == BODY
    connect = proxy.server.requests[0].split(b"\r\n")
    assert connect[:2] == [b"CONNECT keys.pool.test:443 HTTP/1.1", b"Host: keys.pool.test:443"]
    assert not any(line.startswith(b"Proxy-Authorization") for line in connect)
    assert proxy.seen[0].split(b"\r\n")[:2] == [
        b"GET /pool/.well-known/jwks.json HTTP/1.1",
        b"Host: keys.pool.test",
    ]


@pytest.mark.parametrize(
    "credentials, sent",
    [
        pytest.param("jane:secret", b"jane:secret", id="user and password"),
        pytest.param("jane", b"jane:", id="user alone"),
        pytest.param("jane:", b"jane:", id="an empty password"),
        pytest.param("j%40ne:%3A%0d%0aX%3a%20%ff", "j@ne::\r\nX: \N{REPLACEMENT CHARACTER}".encode(), id="escapes"),
    ],
)
def test_credentials_of_the_proxy_go_to_the_proxy_alone(
    proxy: Proxied, authority: TrustedAuthority, monkeypatch: pytest.MonkeyPatch, credentials: str, sent: bytes
) -> None:
    """They come from the proxy's URL, and the host behind it never sees them."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://{credentials}@127.0.0.1:{proxy.server.port}")
    fetched("https://keys.pool.test:8443", ca_file=authority.file)
    header = b"Proxy-Authorization: Basic " + b64encode(sent)
    assert proxy.server.requests[0].split(b"\r\n")[-3:] == [header, b"", b""]
    assert proxy.server.requests[0].startswith(b"CONNECT keys.pool.test:8443 HTTP/1.1\r\n")
    assert b"Proxy" not in proxy.seen[0]


def test_proxy_without_a_port_is_asked_at_the_usual_one(
    proxy: Proxied, authority: TrustedAuthority, monkeypatch: pytest.MonkeyPatch, resolve: Resolve
) -> None:
    """And it alone is looked up: the host's own name is the proxy's to resolve."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test")
    asked = resolve(proxy.server.port)
    assert fetched("https://keys.pool.test", ca_file=authority.file) == BODY
    assert asked == [("proxy.test", 80)]


def test_host_that_is_an_ipv6_address_is_bracketed_for_the_proxy(
    proxy: Proxied, authority: TrustedAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its colons are not the port's."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.server.port}")
    fetched("https://[::1]:8443", ca_file=authority.file)
    assert proxy.server.requests[0].startswith(b"CONNECT [::1]:8443 HTTP/1.1\r\nHost: [::1]:8443\r\n")


@pytest.mark.parametrize("bypass", ["127.0.0.1", "*", "other.test,127.0.0.1", "127.0.0.1:{port}"])
def test_host_that_needs_no_proxy_is_asked_directly(
    proxy: Proxied, authority: TrustedAuthority, monkeypatch: pytest.MonkeyPatch, bypass: str
) -> None:
    """NO_PROXY lists hosts, with or without a port."""
    with ScriptedServer(answer(response()), tls=authority.context("127.0.0.1")) as server:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.server.port}")
        monkeypatch.setenv("NO_PROXY", bypass.format(port=server.port))
        assert fetched(server.url, ca_file=authority.file) == BODY
    assert (server.connections, proxy.server.connections) == (1, 0)


def test_other_hosts_need_the_proxy_all_the_same(
    proxy: Proxied, authority: TrustedAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NO_PROXY is for the hosts it lists."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.server.port}")
    monkeypatch.setenv("NO_PROXY", "other.test,pool.example,ys.pool.test")
    assert fetched("https://keys.pool.test", ca_file=authority.file) == BODY
    assert proxy.server.connections == 1


def test_plain_http_from_a_loopback_host_needs_no_proxy(proxy: Proxied, monkeypatch: pytest.MonkeyPatch) -> None:
    """An emulator on this machine is nothing that a proxy could reach."""
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.server.port}")
    with ScriptedServer(answer(response())) as server:
        assert fetched(server.url) == BODY
    assert proxy.server.connections == 0


@pytest.mark.parametrize(
    "answered, message",
    [
        pytest.param(response("407 Proxy Authentication Required"), "the proxy answered 407", id="credentials wanted"),
        pytest.param(response("403 Forbidden"), "the proxy answered 403", id="forbidden"),
        pytest.param(response("503 No", "Retry-After: 9"), "the proxy answered 503", id="overloaded"),
        pytest.param(b"marked\r\n\r\n", "the fetch failed: BadStatusLine", id="garbage"),
        pytest.param(b"", "the fetch failed: RemoteDisconnected", id="nothing"),
    ],
)
def test_proxy_that_refuses_is_a_failure(monkeypatch: pytest.MonkeyPatch, answered: bytes, message: str) -> None:
    """What the proxy says is not what the endpoint says about the pool."""
    with ScriptedServer(answer(answered)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://jane:marked@127.0.0.1:{proxy.port}")
        error = failure("https://keys.pool.test")
    assert str(error) == message
    assert (error.refused, error.retry_after) == (False, 0.0)


def test_proxy_that_hangs_ends_by_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline of the fetch holds for its proxy as well."""
    with ScriptedServer(hang(b"", response())) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        assert str(failure("https://keys.pool.test", SHORT)) == "the fetch failed: TimeoutError"


@pytest.mark.parametrize(
    "url", ["socks5://jane:marked@127.0.0.1:{port}", "https://127.0.0.1:{port}", "http://", "http://x:marked"]
)
def test_proxy_that_cannot_be_used_is_not_passed_by(
    authority: TrustedAuthority, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """Who named a proxy wants no direct connection."""
    with ScriptedServer(answer(response()), tls=authority.context("127.0.0.1")) as server:
        monkeypatch.setenv("HTTPS_PROXY", url.format(port=server.port))
        failure(server.url, ca_file=authority.file)
    assert server.connections == 0


def test_authority_file_is_opened_in_no_other_way(tmp_path: Path) -> None:
    """A path that holds a file at construction and none at the fetch is a failed fetch."""
    file = tmp_path / "ca.pem"
    file.touch()
    fetch = HTTPSFetch(ca_file=file)
    file.unlink()
    with pytest.raises(FetchError):
        fetch("https://127.0.0.1:1/", SHORT)
