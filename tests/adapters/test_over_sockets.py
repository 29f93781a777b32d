"""What real servers make of hostile bytes: none of it opens the guard, and no request gets another's caller."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any, TypeAlias

import pytest
import uvicorn

from cognito_guard.asgi import CognitoMiddleware, Receive, Scope, Send
from cognito_guard.testing import FakeClock, FakeUserPool

from . import NO_TOKEN

LOOPBACK = "127.0.0.1"
TIMEOUT = 30.0
IMPLEMENTATIONS = [name for name in ("h11", "httptools") if find_spec(name) is not None]

Converse: TypeAlias = Callable[[bytes], bytes]
Exchange: TypeAlias = Callable[[bytes], list["Reply"]]
Reply: TypeAlias = tuple[int, str]
"""A status, and what the application said: the caller's name, or nothing of it."""

GUARDED = (401, "")


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the whole body, and only then say who called, and where."""
    more = True
    while more:
        more = (await receive()).get("more_body", False)
    name = getattr(scope["user"], "username", None) or "anonymous"
    body = json.dumps({"caller": name}).encode()
    headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Server(uvicorn.Server):
    """Tell when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start up as ever."""
        await super().startup(sockets)
        self.listens.set()


@pytest.fixture(scope="module")
def pool() -> FakeUserPool:
    """Return one user pool for all: what matters here happens before a token is read."""
    return FakeUserPool(clock=FakeClock())


@pytest.fixture(scope="module", params=IMPLEMENTATIONS)
def implementation(request: pytest.FixtureRequest) -> str:
    """Return the name of the HTTP parser."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def address(pool: FakeUserPool, implementation: str) -> Iterator[tuple[str, int]]:
    """Serve the guarded application; yield where."""
    app: Any = CognitoMiddleware(echo, pool.verifier(), exempt=["/healthz"])
    config = uvicorn.Config(app, http=implementation, ws="auto", lifespan="off", log_config=None, access_log=False)
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        server = Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="uvicorn", daemon=True)
        thread.start()
        assert server.listens.wait(TIMEOUT)
        yield listener.getsockname()
        server.should_exit = True
        thread.join(TIMEOUT)
        assert not thread.is_alive()


@pytest.fixture
def converse(address: tuple[str, int]) -> Converse:
    """Return a function that sends raw bytes on a connection, and reads until it is closed."""

    def send(raw: bytes) -> bytes:
        with socket.create_connection(address, TIMEOUT) as connection:
            connection.sendall(raw)
            return b"".join(iter(lambda: connection.recv(65_536), b""))

    return send


@pytest.fixture
def exchange(converse: Converse) -> Exchange:
    """Return a function that sends raw bytes on a connection, and takes the replies apart."""
    return lambda raw: [_reply(reply) for reply in re.split(rb"(?=HTTP/1\.1 \d{3} )", converse(raw))[1:]]


def _reply(raw: bytes) -> Reply:
    caller = re.search(rb'"caller": "(.*)"', raw)
    return int(raw[9:12]), caller[1].decode() if caller else ""


def request(
    *lines: bytes, target: bytes = b"/", method: bytes = b"GET", last: bool = True, host: bytes = b"x"
) -> bytes:
    """Write a request with these header lines; after the last one the server closes the connection."""
    closing = [b"Connection: close"] if last else []
    return b"\r\n".join([method + b" " + target + b" HTTP/1.1", b"Host: " + host, *lines, *closing, b"", b""])


@pytest.fixture
def jane(pool: FakeUserPool) -> bytes:
    """Return a header line with Jane's token."""
    return b"Authorization: Bearer " + pool.access_token().encode()


@pytest.fixture
def joe(pool: FakeUserPool) -> bytes:
    """Return a header line with Joe's token."""
    return b"Authorization: Bearer " + pool.access_token(username="joe").encode()


def test_good_token_over_the_wire(exchange: Exchange, jane: bytes) -> None:
    """The plain case, so that the refusals below mean something."""
    assert exchange(request(jane)) == [(200, "jane")]
    assert exchange(request(jane.replace(b"Authorization", b"aUTHORIZATION").replace(b"Bearer", b"bearer"))) == [
        (200, "jane")
    ]
    assert exchange(request()) == [GUARDED]


def test_repeated_authorization_is_refused(exchange: Exchange, jane: bytes, joe: bytes) -> None:
    """Two headers, in any spelling, next to each other or not, are one too many; so are two values in one."""
    assert exchange(request(jane, joe)) == [(400, "")]
    assert exchange(request(jane, b"X-Between: 1", jane.replace(b"Authorization", b"AUTHORIZATION"))) == [(400, "")]
    assert exchange(request(jane + b", " + joe.partition(b": ")[2])) == [(400, "")]
    assert exchange(request(b"Authorization: Basic eA==", jane)) == [(400, "")]
    assert exchange(request(b"Authorization:", jane)) == [(400, "")]


def test_pipelined_requests_each_answer_for_themselves(exchange: Exchange, jane: bytes, joe: bytes) -> None:
    """A good and a bad request in one packet: neither the caller nor the refusal carries over."""
    raw = b"".join(
        (request(jane, last=False), request(last=False), request(joe, last=False), request(b"Authorization: Bearer x"))
    )
    assert exchange(raw) == [(200, "jane"), GUARDED, (200, "joe"), GUARDED]


def test_body_is_no_second_request(exchange: Exchange, jane: bytes) -> None:
    """What a guarded request carries as its body is not taken for a request of its own."""
    hidden = request(jane)
    length = b"Content-Length: %d" % len(hidden)
    assert exchange(request(length, method=b"POST") + hidden) == [GUARDED]
    assert exchange(request(length, jane, method=b"POST") + hidden) == [(200, "jane")]


def test_folded_lines_hide_nothing(exchange: Exchange, jane: bytes) -> None:
    """A line that begins with a blank belongs to the value before it (RFC 9112 §5.2), whatever it looks like."""
    name, _, value = jane.partition(b": ")
    assert exchange(request(b"X-Other: 1\r\n " + jane)) in ([GUARDED], [(400, "")])
    assert exchange(request(jane + b"\r\n evil")) == [(400, "")]
    [reply] = exchange(request(name + b":\r\n " + value))
    assert reply in ((200, "jane"), (400, ""))


@pytest.mark.parametrize(
    "line_end", [b"\r", b"\r\r", b"\v", b"\f", b"\x85", b"\0", b"\0\r", b"\\r\\n", b"%0d%0a", b"\xe5\x98\x8a"]
)
def test_almost_a_line_end_is_none(exchange: Exchange, jane: bytes, joe: bytes, line_end: bytes) -> None:
    """What follows it is part of a value: it makes no caller, and no second one beside a good one."""
    [reply] = exchange(request(b"X-Other: 1" + line_end + joe))
    assert reply in (GUARDED, (400, ""))
    assert exchange(request(jane + line_end + joe)) == [(400, "")]


def test_lone_line_feed_makes_no_second_caller(exchange: Exchange, jane: bytes, joe: bytes) -> None:
    """A server may take it for a line end (RFC 9112 §2.2); then there are two headers, and that is one too many."""
    assert exchange(request(jane + b"\n" + joe)) == [(400, "")]


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"Authorization : Bearer TOKEN", id="a blank before the colon"),
        pytest.param(b"Authorization\t: Bearer TOKEN", id="a tab before the colon"),
        pytest.param(b" Authorization: Bearer TOKEN", id="a blank before the name"),
        pytest.param(b"Authorization_: Bearer TOKEN", id="an underscore after the name"),
        pytest.param(b"X: 1, Authorization: Bearer TOKEN", id="inside another value"),
        pytest.param(b"Authorization\x00: Bearer TOKEN", id="NUL in the name"),
        pytest.param(b"Authorizat\xc4\xb1on: Bearer TOKEN", id="a dotless i in the name"),
        pytest.param(b"Authorization: Bearer\tTOKEN", id="a tab after the scheme"),
        pytest.param(b"Authorization: Bearer\xa0TOKEN", id="a no-break space after the scheme"),
        pytest.param(b"Authorization: Bearer TOKEN\xa0", id="a no-break space after the token"),
        pytest.param(b"Authorization; Bearer TOKEN", id="a semicolon for a colon"),
        pytest.param(b"Authorization= Bearer TOKEN", id="an equals sign for a colon"),
    ],
)
def test_header_that_is_not_quite_one_opens_nothing(exchange: Exchange, jane: bytes, line: bytes) -> None:
    """400 by the server or by us, or a 401; never a caller, and never a 500."""
    [(status, caller)] = exchange(request(line.replace(b"TOKEN", jane.rpartition(b" ")[2])))
    assert (status, caller) in ((400, ""), GUARDED)


def test_authorization_in_a_trailer_replaces_no_caller(
    exchange: Exchange, implementation: str, jane: bytes, joe: bytes
) -> None:
    """A trailer field comes too late to say who called (RFC 9110 §6.5.1)."""
    body = b"1\r\na\r\n0\r\n%s\r\n\r\n"
    chunked = b"Transfer-Encoding: chunked"
    [reply] = exchange(request(chunked, b"Trailer: Authorization", jane, method=b"POST") + body % joe)
    # With httptools, uvicorn adds trailers that come in the same packet to the headers: then there are two.
    assert reply in ((200, "jane"), (400, ""))
    if implementation == "h11":
        assert exchange(request(chunked, b"Trailer: Authorization", method=b"POST") + body % joe) == [GUARDED]


def test_oversized_authorization_is_refused_unread(exchange: Exchange, jane: bytes) -> None:
    """Beyond our limit a 401, beyond the server's its own 4xx; and the next request is served."""
    assert exchange(request(b"Authorization: Bearer " + b"A" * 20_000)) == [GUARDED]
    assert exchange(request(b"Authorization: Bearer " + b"." * 20_000)) == [GUARDED]
    [(status, _)] = exchange(request(b"Authorization: Bearer " + b"A" * 60_000))
    assert status in (400, 401, 431)
    assert exchange(request(jane)) == [(200, "jane")]


@pytest.mark.parametrize(
    "target",
    [
        b"/healthz/",
        b"//healthz",
        b"/./healthz",
        b"/x/../healthz",
        b"/%2Fhealthz",
        b"/healthz%2F",
        b"/healthz%00",
        b"/healthz%0d%0a",
        b"/healthz;x",
        b"/HEALTHZ",
        b"/%2568ealthz",
        b"/admin?/healthz",
        b"/admin?x=/healthz",
        b"/\\healthz",
        b"//x/healthz",
    ],
)
def test_target_that_is_not_quite_exempt_is_guarded(exchange: Exchange, target: bytes) -> None:
    """As the server decodes it, once, and no further; a server may refuse it first."""
    [reply] = exchange(request(target=target))
    assert reply in (GUARDED, (400, ""))


def test_exempt_target_is_open(exchange: Exchange) -> None:
    """The path alone decides, whatever its query."""
    for target in (b"/healthz", b"/healthz?a=/admin", b"/%68ealthz"):
        assert exchange(request(target=target)) == [(200, "anonymous")]


@pytest.mark.parametrize("host", [b"x/healthz?", b"x/healthz#", b"/healthz", b"x\t/healthz", b""])
def test_host_bends_no_path(exchange: Exchange, host: bytes) -> None:
    """A Host header never makes a guarded path an exempt one; nor does the authority of an absolute target."""
    for target in (b"/admin", b"http://x/admin", b"http://healthz/admin"):
        assert exchange(request(target=target, host=host)) == [GUARDED]


def test_refused_head_sends_no_body(converse: Converse) -> None:
    """The connection stays in step: the next reply begins right after the header of the one to HEAD."""
    first, _, rest = converse(request(method=b"HEAD", last=False) + request()).partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 401")
    assert b"content-length: %d" % len(NO_TOKEN.body) in first.lower().split(b"\r\n")
    assert rest.startswith(b"HTTP/1.1 401")


def test_refusal_over_the_wire_is_complete(converse: Converse) -> None:
    """Every header arrives as it was made, and once; so does the body."""
    head, _, body = converse(request()).partition(b"\r\n\r\n")
    lines = [line.split(b": ", 1) for line in head.split(b"\r\n")[1:]]
    for name, value in NO_TOKEN.headers:
        assert [given for other, given in lines if other.lower() == name] == [value]
    assert body == NO_TOKEN.body


@pytest.mark.parametrize("authorization", [[], [b"Authorization: Bearer junk"]])
def test_websocket_handshake_is_refused_with_a_response(exchange: Exchange, authorization: list[bytes]) -> None:
    """A client that asks for a WebSocket gets the 401 too, never a 101."""
    upgrade = [
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        b"Sec-WebSocket-Version: 13",
    ]
    raw = request(*upgrade, *authorization, last=False)
    [(status, caller)] = exchange(raw)
    assert (status, caller) == GUARDED


def test_unknown_method_is_guarded(exchange: Exchange, jane: bytes) -> None:
    """What the server lets through, the guard does not."""
    for method in (b"TRACE", b"PROPFIND", b"OPTIONS", b"BREW", b"get"):
        [(status, caller)] = exchange(request(method=method))
        assert (status, caller) in (GUARDED, (400, ""))
    assert exchange(request(jane, method=b"DELETE")) == [(200, "jane")]
