"""Targets that read what a key endpoint answers: the JWKS document, and the HTTP around it."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, cast
from unittest.mock import patch

from cognito_guard import FetchError, HTTPSFetch
from cognito_guard.keys.keyset import MAX_KEYS, MAX_RSA_BITS, MIN_RSA_BITS, InvalidKeySetError, KeySet
from cognito_guard.testing import FakeClock
from cognito_guard.tokens.jws import MAX_KEY_ID_CHARS

from .keys import pool
from .oracles import Target, is_ours, must, said

_MAX_BYTES = 300
_NAMED = re.compile(r"the key endpoint answered \d{3}|the fetch failed: [A-Z]\w{1,30}")


def run_jwks(data: bytes) -> None:
    """Read a JWKS document."""
    text = data.decode("latin-1")
    first = said(lambda: KeySet.from_json(data), (InvalidKeySetError,), text)
    must(said(lambda: KeySet.from_json(data), (InvalidKeySetError,), text) == first, "the same keys each time")
    keys = first.value
    if keys is None:
        return
    entries: list[Any] = json.loads(data)["keys"]
    must(0 < len(keys.by_kid) <= len(entries) <= MAX_KEYS, "some keys, and a bounded number")
    must(len(keys.by_kid) + keys.skipped == len(entries), "each entry a key or skipped")
    for kid, key in keys.by_kid.items():
        must(kid == key.kid and 0 < len(kid) <= MAX_KEY_ID_CHARS, "a key under its ID")
        must(any(map(partial(_is_public, kid), entries)), "a public RSA key")
        size = int(repr(key).split()[2].rstrip(">"))
        must(MIN_RSA_BITS <= size <= MAX_RSA_BITS, "a key of sound size")


def _is_public(kid: str, entry: Any) -> bool:
    members = cast("Mapping[str, Any]", entry if isinstance(entry, dict) else {})
    return members.get("kid") == kid and members.get("kty") == "RSA" and "d" not in members


def _key_sets() -> Iterator[bytes]:
    good = pool().jwks["keys"]
    for keys in (good, good[:1], [*good, *good], [{**good[0], "n": good[1]["n"]}, *good], []):
        yield json.dumps({"keys": keys}).encode()
    for name, value in (
        *(("use", "enc"), ("alg", "RS512"), ("kty", "EC"), ("kty", "oct"), ("d", "AQAB"), ("kid", 7), ("kid", "")),
        *(("key_ops", ["sign"]), ("key_ops", ["verify"]), ("e", "AQ"), ("e", "AAEAAQ"), ("n", "AQAB")),
    ):
        yield json.dumps({"keys": [{**good[0], name: value}, good[1]]}).encode()
    yield from (b"", b"null", b"[]", b"{}", b'{"keys": null}', b'{"keys": [null, 1, "x", []]}')


def run_answer(data: bytes) -> None:
    """Read a key endpoint's answer, down to the last octet of HTTP."""
    text = data.decode("latin-1")
    first = said(lambda: _fetched(data), (FetchError,), text, _is_ours)
    must(said(lambda: _fetched(data), (FetchError,), text, _is_ours) == first, "the same answer each time")
    if first.value is not None:
        must(len(first.value) <= _MAX_BYTES, "a bounded body")
        must(any(map(_says_200, text.split("\n"))), "an answer of success")


def _says_200(line: str) -> bool:
    """Read a status line as leniently as the standard library."""
    version, status, *_ = [*line.split(None, 2), "", ""]
    try:
        return version.startswith("HTTP/") and int(status) == 200
    except ValueError:
        return False


def _is_ours(message: str) -> bool:
    return is_ours(message) or _NAMED.fullmatch(message) is not None


def _fetched(answer: bytes) -> bytes:
    """Fetch where the answer stands ready, from no network."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(answer)
        theirs.shutdown(socket.SHUT_WR)
        fetch = HTTPSFetch(max_bytes=_MAX_BYTES, timer=FakeClock())
        with patch("cognito_guard.keys.fetch._connect", _returning(ours)):
            try:
                return fetch("http://127.0.0.1/jwks.json", 3.0)
            except FetchError as error:
                must(0 <= error.retry_after < 10**9, "a time to wait that can be waited")
                raise


def _returning(sock: socket.socket) -> Callable[..., socket.socket]:
    return lambda *_: sock


def _answers() -> Iterator[bytes]:
    body = b'{"keys": []}'
    yield b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    yield b"HTTP/1.0 200 OK\r\n\r\n" + body
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n%b\r\n0\r\n\r\n" % body
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + body
    yield b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + body
    yield b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n" + body
    yield b"HTTP/1.1 503 Away\r\nRetry-After: 30\r\n\r\n"
    yield b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1/x\r\n\r\n"
    yield b"HTTP/1.1 404 Not Found\r\n\r\n"
    yield b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (_MAX_BYTES + 1)
    yield b"HTTP/1.1 200\r\nX: " + b"y" * 500 + b"\r\n folded\r\n\r\n"


JWKS = Target(
    run=run_jwks,
    seeds=_key_sets,
    words=(
        *(b'"keys":', b'"kid":', b'"kty":"RSA"', b'"use":"sig"', b'"alg":"RS256"', b'"key_ops":["verify"]', b'"e":'),
        *(b'"AQAB"', b'"n":', b'"d":', b'"x5c":', b"\\u0000", b"null", b"1e999", b"NaN", b"[", b"{", b'"AAAA"'),
    ),
)
ANSWER = Target(
    run=run_answer,
    seeds=_answers,
    words=(
        *(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 ", b"Content-Length: ", b"Transfer-Encoding: chunked\r\n", b"\r\n\r\n"),
        *(b"Retry-After: ", b"Content-Encoding: ", b"gzip", b"identity", b"100 Continue", b"ffffffff", b"-1", b";"),
    ),
    longest=2048,
)
