"""FaultyJWKSServer over real sockets: each fault is what its name says, comes when it is due, and ends when told."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import pytest

from cognito_guard import ConfigurationError, Principal, UnavailableError
from cognito_guard.testing import FakeUserPool, Fault, FaultyJWKSServer
from cognito_guard.testing.faults import TLS_FAULTS
from cognito_guard.testing.replies import HUGE_BYTES, is_of_single_keys

PATIENCE = 10.0  # seconds that nothing here takes unless it hangs

JWK: TypeAlias = dict[str, Any]
Check: TypeAlias = Callable[[bytes], bool]


@pytest.fixture
def server(pool: FakeUserPool) -> Iterator[FaultyJWKSServer]:
    """Return a running server without TLS."""
    with FaultyJWKSServer(pool) as server:
        yield server


@pytest.fixture
def tls_server(pool: FakeUserPool) -> Iterator[FaultyJWKSServer]:
    """Return a running server with TLS."""
    with FaultyJWKSServer(pool, tls=True) as server:
        yield server


def connect(server: FaultyJWKSServer) -> socket.socket:
    """Open a plain connection."""
    return socket.create_connection(("127.0.0.1", urlsplit(server.jwks_uri).port or 0), PATIENCE)


def asked(server: FaultyJWKSServer) -> socket.socket:
    """Open a plain connection and send a request."""
    connection = connect(server)
    connection.sendall(b"GET /jwks.json?x=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    return connection


def raw(server: FaultyJWKSServer) -> bytes:
    """Return every byte of an answer."""
    received = b""
    with asked(server) as connection:
        while piece := connection.recv(65536):
            received += piece
    return received


def got(server: FaultyJWKSServer) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of an answer that keeps to the rules of HTTP."""
    address = urlsplit(server.jwks_uri)
    connection = HTTPConnection(address.netloc, timeout=PATIENCE)
    if server.ca_file is not None:
        context = ssl.create_default_context(cafile=server.ca_file)
        connection = HTTPSConnection(address.netloc, timeout=PATIENCE, context=context)
    try:
        connection.request("GET", address.path)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def keys(server: FaultyJWKSServer) -> list[JWK]:
    """Return the keys that are served."""
    served: list[JWK] = json.loads(got(server)[2])["keys"]
    return served


def number(value: str) -> int:
    """Read a number of a JWK."""
    return int.from_bytes(urlsafe_b64decode(value + "=="))


@pytest.mark.parametrize("tls", [False, True])
def test_server_without_a_fault_serves_the_key_set_of_the_moment(pool: FakeUserPool, tls: bool) -> None:
    """As the pool publishes it when the request comes, with or without TLS."""
    with FaultyJWKSServer(pool, tls=tls) as server:
        for _ in range(2):
            status, headers, body = got(server)
            assert (status, headers["Content-Type"], json.loads(body)) == (200, "application/json", pool.jwks)
            pool.rotate()
        path = urlsplit(server.jwks_uri).path
    assert server.requests == (("GET", path), ("GET", path))
    assert path == f"/{pool.user_pool_id}/.well-known/jwks.json"
    assert server.connections == 2


def test_fault_is_described_by_its_value() -> None:
    """In words of its own, fit for the name of a test."""
    assert len({fault.value for fault in Fault}) == len(Fault) > 50
    assert all(isinstance(fault.value, str) and fault.value.isascii() and fault.value for fault in Fault)


def says(*parts: bytes) -> Check:
    """Check that parts are in an answer."""
    return lambda answer: all(part in answer for part in parts)


def shorter(by: int) -> Check:
    """Check by how much the body is shorter than announced; longer where that is negative."""

    def check(answer: bytes) -> bool:
        head, _, body = answer.partition(b"\r\n\r\n")
        announced = int(head.rpartition(b"Content-Length: ")[2])
        return announced - len(body) == by

    return check


def whole(answer: bytes) -> bytes:
    """Return the body of an answer."""
    return answer.partition(b"\r\n\r\n")[2]


def body(check: Callable[[Any], bool]) -> Check:
    """Check the body's JSON."""
    return lambda answer: check(json.loads(whole(answer)))


def has_keys(answer: bytes) -> bool:
    """Check that the right key set is there, though it must not be used."""
    return len(json.loads(whole(answer))["keys"]) == 2


ON_THE_WIRE: dict[Fault, tuple[Check, ...]] = {
    Fault.NO_ANSWER: (lambda answer: answer == b"",),
    Fault.TRUNCATED_BODY: (says(b"200 OK"), lambda answer: b'"e":' in whole(answer) and not answer.endswith(b"}")),
    Fault.LENGTH_TOO_LONG: (says(b"200 OK"), shorter(1), has_keys),
    Fault.LENGTH_TOO_SHORT: (says(b"200 OK"), shorter(-1), has_keys),
    Fault.GARBAGE_CHUNK: (says(b"Transfer-Encoding: chunked", b"}]}\r\ngarbage\r\n"),),
    Fault.HTTP_0_9: (lambda answer: len(json.loads(answer)["keys"]) == 2,),
    Fault.HEADER_FLOOD: (lambda answer: answer.count(b"\r\nX: x") == 5000, has_keys),
    Fault.HUGE_BODY: (lambda answer: len(whole(answer)) == HUGE_BYTES, has_keys),
    Fault.GZIP: (
        says(b"Content-Encoding: gzip"),
        lambda answer: has_keys(b"\r\n\r\n" + gzip.decompress(whole(answer))),
    ),
    Fault.GZIP_BOMB: (
        says(b"Content-Encoding: gzip"),
        lambda answer: len(answer) < 20_000 < HUGE_BYTES < len(gzip.decompress(whole(answer))),
        lambda answer: has_keys(b"\r\n\r\n" + gzip.decompress(whole(answer))),
    ),
    Fault.NO_CONTENT: (says(b" 204 "), lambda answer: whole(answer) == b""),
    Fault.REDIRECT: (says(b" 301 ", b"Location: http://127.0.0.1:"), has_keys),
    Fault.REDIRECT_AWAY: (says(b" 301 ", b"Location: http://localhost:"), has_keys),
    Fault.NOT_MODIFIED: (says(b" 304 "), lambda answer: whole(answer) == b""),
    Fault.FORBIDDEN: (says(b" 403 "), has_keys),
    Fault.NOT_FOUND: (says(b" 404 "), has_keys),
    Fault.TOO_MANY_REQUESTS: (says(b" 429 ", b"Retry-After: 7\r\n"), has_keys),
    Fault.TOO_MANY_REQUESTS_UNTIL: (says(b" 429 ", b"Retry-After: Wed, 21 Oct 2099 07:28:00 GMT\r\n"), has_keys),
    Fault.TOO_MANY_REQUESTS_SOON: (says(b" 429 ", b"Retry-After: soon\r\n"), has_keys),
    Fault.TOO_MANY_REQUESTS_FOR_YEARS: (says(b" 429 ", b"Retry-After: 946080000\r\n"), has_keys),
    Fault.SERVER_ERROR: (says(b" 500 "), has_keys),
    Fault.SERVICE_UNAVAILABLE: (says(b" 503 "), has_keys),
    Fault.EMPTY_BODY: (says(b"200 OK"), lambda answer: whole(answer) == b""),
    Fault.HTML: (says(b"200 OK"), lambda answer: whole(answer).startswith(b"<!doctype html>")),
    Fault.JSON_LIST: (body(lambda document: len(document) == 2 and "kid" in document[0]),),
    Fault.JSON_STRING: (body(lambda document: len(json.loads(document)["keys"]) == 2),),
    Fault.JSON_NULL: (body(lambda document: document is None),),
    Fault.NO_KEYS_MEMBER: (body(lambda document: "keys" not in document and len(document["Keys"]) == 2),),
    Fault.KEYS_BY_ID: (body(lambda document: all(kid == jwk["kid"] for kid, jwk in document["keys"].items())),),
    Fault.EMPTY_KEYS: (body(lambda document: document == {"keys": []}),),
    Fault.REPEATED_KEYS: (lambda answer: answer.count(b'"keys": [') == 2, has_keys),
    Fault.TOO_MANY_KEYS: (body(lambda document: len(document["keys"]) == 1002 and "n" in document["keys"][0]),),
    Fault.DEEP_NESTING: (says(b"[" * 10_000, b"]" * 10_000),),
    Fault.BAD_UTF8: (lambda answer: b"\xff" in whole(answer),),
    Fault.BYTE_ORDER_MARK: (lambda answer: len(json.loads(whole(answer).decode("utf-8-sig"))["keys"]) == 2,),
}
ENDLESS = (Fault.HANG, Fault.SLOW_HEADERS, Fault.DRIPPING_BODY, Fault.HANG_IN_BODY)


@pytest.mark.parametrize("fault", ON_THE_WIRE, ids=lambda fault: f"{fault.name}: {fault.value}")
def test_answer_is_wrong_as_its_fault_says(server: FaultyJWKSServer, fault: Fault) -> None:
    """And right wherever it can be, so that whoever overlooks the fault has got the keys."""
    server.answer_with(fault)
    answer = raw(server)
    assert [check(answer) for check in ON_THE_WIRE[fault]] == [True] * len(ON_THE_WIRE[fault])


KEYS: dict[Fault, Callable[[list[JWK], JWK], bool]] = {
    Fault.AMBIGUOUS_KEY_ID: lambda new, old: new[0] == old and new[1] == old | {"n": new[1]["n"]} != old,
    Fault.OCT_KEY: lambda new, _: new[0]["kty"] == "oct" and "k" in new[0],
    Fault.EC_KEY: lambda new, _: (new[0]["kty"], new[0]["crv"]) == ("EC", "P-256"),
    Fault.OKP_KEY: lambda new, _: (new[0]["kty"], new[0]["crv"]) == ("OKP", "Ed25519"),
    Fault.UNKNOWN_KEY_TYPE: lambda new, old: new == [old | {"kty": "rsa"}],
    Fault.ENCRYPTION_KEY: lambda new, old: new == [old | {"use": "enc"}],
    Fault.OTHER_ALGORITHM: lambda new, old: new == [old | {"alg": "RS512"}],
    Fault.PRIVATE_KEY: lambda new, old: new == [old | {"d": new[0]["d"]}],
    Fault.NO_KEY_ID: lambda new, old: new == [{name: old[name] for name in old if name != "kid"}],
    Fault.KEY_ID_NOT_A_STRING: lambda new, old: new == [old | {"kid": 7}],
    Fault.RSA_1024: lambda new, _: number(new[0]["n"]).bit_length() == 1024 and number(new[0]["n"]) % 2 == 1,
    Fault.RSA_16384: lambda new, _: number(new[0]["n"]).bit_length() == 16384 and number(new[0]["n"]) % 2 == 1,
    Fault.EVEN_EXPONENT: lambda new, _: number(new[0]["e"]) == 65536,
    Fault.TINY_EXPONENT: lambda new, _: number(new[0]["e"]) == 3,
    Fault.OTHER_MATERIAL: lambda new, old: new == [old | {"n": new[0]["n"]}] != [old],
    Fault.REPEATED_KEY: lambda new, old: new == [old, old],
    Fault.NO_USE_NO_ALGORITHM: lambda new, old: new == [{name: old[name] for name in ("e", "kid", "kty", "n")}],
}


@pytest.mark.parametrize("fault", KEYS, ids=lambda fault: f"{fault.name}: {fault.value}")
def test_key_is_wrong_as_its_fault_says(server: FaultyJWKSServer, pool: FakeUserPool, fault: Fault) -> None:
    """All keys are, or those that are named, and then the others are as ever."""
    first, second = pool.jwks["keys"]
    server.answer_with(fault)
    wrong = keys(server)
    half = len(wrong) // 2
    assert KEYS[fault](wrong[:half], dict(first))
    assert KEYS[fault](wrong[half:], dict(second))
    server.answer_with(fault, only=[second["kid"]])
    assert keys(server) == [first, *wrong[half:]]
    assert keys(server) == [first, second]


def test_every_fault_has_a_test_here() -> None:
    """What is not looked at may be no fault at all."""
    assert set(KEYS) == {fault for fault in Fault if is_of_single_keys(fault)}
    assert {*ON_THE_WIRE, *KEYS, *TLS_FAULTS, *ENDLESS, Fault.REFUSED, Fault.RESET} == set(Fault)


def test_reset_is_one(server: FaultyJWKSServer) -> None:
    """The client's system is told that the connection is broken, not that it has ended."""
    server.answer_with(Fault.RESET)
    with asked(server) as connection, pytest.raises(ConnectionResetError):
        connection.recv(1)


def test_port_is_closed_during_an_outage_and_the_same_afterwards(server: FaultyJWKSServer) -> None:
    """Nobody is let in, nobody else gets the port, and `up` and other faults open it again."""
    uri = server.jwks_uri
    for end in (server.up, server.down):
        server.down(Fault.REFUSED)
        server.down(Fault.REFUSED)
        with pytest.raises(ConnectionRefusedError):
            connect(server)
        end()
        assert got(server)[0] == (200 if end == server.up else 503)
    assert server.jwks_uri == uri
    assert server.connections == 2


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("end", [FaultyJWKSServer.up, FaultyJWKSServer.close])
@pytest.mark.parametrize("fault", ENDLESS)
def test_answer_without_end_ends_when_told(
    pool: FakeUserPool, fault: Fault, end: Callable[[FaultyJWKSServer], None], tls: bool
) -> None:
    """By the end of the outage or of the server, and by nothing else."""
    with FaultyJWKSServer(pool, tls=tls) as server, ThreadPoolExecutor(1) as thread:
        server.down(fault)
        answer = thread.submit(outcome_of, server)
        server.wait_until_hanging(timeout=PATIENCE)
        assert (server.hanging, answer.done()) == (1, False)
        end(server)
        # The standard library takes the end of a connection for the end of the headers.
        assert (answer.result(PATIENCE) == "a failure") is (fault is not Fault.SLOW_HEADERS)


def outcome_of(server: FaultyJWKSServer) -> object:
    """Return what a client gets, or that it fails."""
    try:
        return got(server)
    except (OSError, HTTPException):
        return "a failure"


def test_drip_goes_on_and_on(server: FaultyJWKSServer) -> None:
    """A client that limits each of its waits is kept for ever."""
    server.answer_with(Fault.SLOW_HEADERS)
    with asked(server) as connection:
        received = b""
        while not received.endswith(b"xxxx"):
            received += connection.recv(1)
    assert received == b"HTTP/1.1 200 OK\r\nX: xxxx"


@pytest.mark.parametrize(
    "fault, problem",
    [
        (Fault.OTHER_HOST, "IP address mismatch"),
        (Fault.UNKNOWN_AUTHORITY, "unable to get local issuer certificate|signature failure"),
        (Fault.EXPIRED_CERTIFICATE, "certificate has expired"),
    ],
)
def test_certificate_is_wrong_as_its_fault_says(tls_server: FaultyJWKSServer, fault: Fault, problem: str) -> None:
    """And in no other way: to an authority that is trusted otherwise, under a name that is right otherwise."""
    tls_server.answer_with(fault)
    with pytest.raises(ssl.SSLCertVerificationError, match=problem):
        got(tls_server)
    assert got(tls_server)[0] == 200
    assert (tls_server.connections, len(tls_server.requests)) == (2, 1)


def test_plain_http_on_the_tls_port_is_no_tls(tls_server: FaultyJWKSServer) -> None:
    """A handshake gets an answer that is none."""
    tls_server.answer_with(Fault.NO_TLS)
    with pytest.raises(ssl.SSLError, match="WRONG_VERSION_NUMBER"):
        got(tls_server)
    assert tls_server.requests == ()


def test_authority_is_trusted_by_nobody_unless_told_to(tls_server: FaultyJWKSServer) -> None:
    """The file is there as long as the server runs; a server without TLS has none."""
    file = tls_server.ca_file
    assert isinstance(file, Path)
    assert file.read_text().count("BEGIN") == 1
    with pytest.raises(ssl.SSLCertVerificationError), connect(tls_server) as connection:
        ssl.create_default_context().wrap_socket(connection, server_hostname="127.0.0.1")
    tls_server.close()
    assert not file.exists()


def test_faults_come_in_order_and_then_the_keys(server: FaultyJWKSServer) -> None:
    """One per connection; an outage goes on behind them."""
    server.answer_with(Fault.SERVER_ERROR, Fault.NOT_FOUND)
    server.answer_with(Fault.FORBIDDEN)
    assert [fault.name for fault in server.pending] == ["SERVER_ERROR", "NOT_FOUND", "FORBIDDEN"]
    assert [got(server)[0] for _ in range(4)] == [500, 404, 403, 200]
    assert not server.pending
    server.down()
    server.answer_with(Fault.SERVER_ERROR)
    assert [got(server)[0] for _ in range(3)] == [500, 503, 503]
    server.up()
    assert got(server)[0] == 200


def test_fault_that_no_request_met_fails_the_test(pool: FakeUserPool) -> None:
    """It has not tested what it says."""
    failure = pytest.raises(AssertionError, match="faults that no request met: HANG, FORBIDDEN")
    with failure, FaultyJWKSServer(pool) as server:
        server.answer_with(Fault.HANG, Fault.FORBIDDEN)


def test_fault_that_no_request_met_is_not_what_a_failed_test_fails_of(pool: FakeUserPool) -> None:
    """Where the test has failed before, that is what is told."""

    def failing() -> None:
        with FaultyJWKSServer(pool) as server:
            server.answer_with(Fault.HANG)
            raise KeyError("why")

    with pytest.raises(KeyError, match="why"):
        failing()


def test_outage_that_no_request_met_is_fine(pool: FakeUserPool) -> None:
    """That nobody asks is what some tests are about."""
    with FaultyJWKSServer(pool) as server:
        server.down(Fault.HANG)


def test_wait_for_what_does_not_hang_ends(server: FaultyJWKSServer) -> None:
    """With an error that fails the test."""
    with pytest.raises(TimeoutError, match="expected 1 connections that hang, there are 0"):
        server.wait_until_hanging(timeout=0.0)


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault in TLS_FAULTS])
def test_fault_of_tls_needs_tls(server: FaultyJWKSServer, fault: Fault) -> None:
    """A server without it can't have one."""
    for script in (server.answer_with, server.down):
        with pytest.raises(ConfigurationError) as refusal:
            script(fault)
        assert refusal.value.setting == "fault"
    assert (server.pending, got(server)[0]) == ((), 200)


def test_closed_port_is_no_answer(server: FaultyJWKSServer) -> None:
    """No connection would ever meet it, so that it could not be the answer to one."""
    with pytest.raises(ConfigurationError) as refusal:
        server.answer_with(Fault.SERVER_ERROR, Fault.REFUSED)
    assert refusal.value.setting == "faults"
    assert server.pending == ()


def test_fault_of_the_whole_answer_is_not_for_some_keys_only(server: FaultyJWKSServer) -> None:
    """To name keys makes sense where keys are wrong."""
    for script in (server.answer_with, server.down):
        with pytest.raises(ConfigurationError) as refusal:
            script(Fault.HTML, only=["kid"])
        assert refusal.value.setting == "only"


def test_outage_of_some_keys_lasts_until_its_end(server: FaultyJWKSServer, pool: FakeUserPool) -> None:
    """`down` takes the keys as `answer_with` does."""
    first, second = pool.jwks["keys"]
    server.down(Fault.ENCRYPTION_KEY, only=[first["kid"]])
    assert keys(server) == keys(server) == [first | {"use": "enc"}, second]
    server.up()
    assert keys(server) == [first, second]


@pytest.mark.parametrize("tls", [False, True])
def test_verifier_fetches_from_the_server(pool: FakeUserPool, tls: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the authority that it needs; what the test asks for besides wins."""
    monkeypatch.setenv("NO_PROXY", "*")
    with FaultyJWKSServer(pool, tls=tls) as server:
        assert isinstance(server.verifier().verify(pool.access_token()), Principal)
        assert isinstance(server.verifier(token_use="id").verify(pool.id_token()), Principal)
        server.down()
        with pytest.raises(UnavailableError):
            server.verifier().verify(pool.access_token())
    assert server.connections == 3


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET", b"\r\n\r\n", b"\xff\xfe\r\n\r\n", b"x" * 100_000],
    ids=["nothing", "half", "empty", "no text", "much"],
)
def test_client_that_sends_no_request_does_no_harm(server: FaultyJWKSServer, sent: bytes) -> None:
    """The next one is served."""
    with connect(server) as connection:
        connection.sendall(sent)
    assert got(server)[0] == 200


def test_client_that_reads_nothing_keeps_nobody(pool: FakeUserPool) -> None:
    """A server that is blocked by it can be closed all the same."""
    with FaultyJWKSServer(pool) as server:
        server.down(Fault.HUGE_BODY)
        connection = asked(server)
        assert connection.recv(1) == b"H"
    connection.close()


def test_server_is_started_and_closed_once(pool: FakeUserPool) -> None:
    """More often does no harm, and one that does not run says so."""
    server = FaultyJWKSServer(pool)
    for use in (server.up, server.down, server.verifier, lambda: server.jwks_uri):
        with pytest.raises(RuntimeError, match="does not run"):
            use()
    assert repr(server) == f"<FaultyJWKSServer of {pool.user_pool_id}, stopped>"
    assert server.start() is server.start() is server
    assert repr(server) == f"<FaultyJWKSServer of {pool.user_pool_id}, {server.jwks_uri}>"
    assert (server.ca_file, got(server)[0]) == (None, 200)
    server.close()
    server.close()
    with server:
        assert got(server)[0] == 200
