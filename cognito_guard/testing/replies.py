"""
Everything that can be wrong with the answer of a key endpoint, as bytes for the wire.

Pure: a fault and a key set go in, what to send comes out.  A wrong answer holds the right keys wherever it can, so
that whoever overlooks what is wrong with it is found out.
"""

from __future__ import annotations

import gzip
import json
from base64 import urlsafe_b64decode
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from typing import Any, TypeAlias

from .faults import Fault
from .keys import JWKS, base64url

_JWK: TypeAlias = dict[str, Any]

HUGE_BYTES = 10 * 1024 * 1024
_MANY_HEADERS = 5000
_DEEP = 10_000
_DRIPPED_BYTES = 100_000
_TOO_MANY_KEYS = 1000


class Ending(Enum):
    """Say what becomes of a connection after the last byte."""

    CLOSE = auto()
    RESET = auto()
    HANG = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """
    Hold what is sent on one connection.

    Attributes:
        data: sent at once.
        ending: what happens then.
        drip: sent again and again while the connection hangs.
    """

    data: bytes
    ending: Ending = Ending.CLOSE
    drip: bytes = b""


def reply_to(fault: Fault | None, jwks: JWKS, uri: str, only: Container[str] | None = None) -> Reply:
    """
    Return what an endpoint sends.

    Args:
        fault: what is wrong with it; None for nothing.
        jwks: the key set.
        uri: where it is; for redirects.
        only: for a fault of single keys, the key IDs of those that have it; by default all.
    """
    keys: list[_JWK] = [dict(jwk) for jwk in jwks["keys"]]
    if fault in _KEYS:
        bad = _KEYS[fault]
        keys = [new for jwk in keys for new in (bad(jwk) if only is None or jwk["kid"] in only else [jwk])]
    body = json.dumps({"keys": keys}).encode()
    if fault in _BODIES:
        body = _BODIES[fault](body)
    if fault in _REPLIES:
        return _REPLIES[fault](body, uri)
    return Reply(data=_response(body))


def is_of_single_keys(fault: Fault) -> bool:
    """Tell whether some keys of a set can have this fault, and others not."""
    return fault in _KEYS


def _response(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    announced = f"Content-Length: {len(body) if length is None else length}"
    return _head(status, *headers, announced) + body


def _head(status: str, *headers: str) -> bytes:
    lines = (f"HTTP/1.1 {status}", "Content-Type: application/json", "Connection: close", *headers)
    return "\r\n".join((*lines, "", "")).encode()


def _with(**members: object) -> Callable[[_JWK], list[_JWK]]:
    return lambda jwk: [jwk | members]


def _without(*names: str) -> Callable[[_JWK], list[_JWK]]:
    return lambda jwk: [{name: value for name, value in jwk.items() if name not in names}]


def _of_other_type(**members: str) -> Callable[[_JWK], list[_JWK]]:
    return lambda jwk: [{"kid": jwk["kid"], "use": "sig"} | members]


def _of_size(bits: int) -> Callable[[_JWK], list[_JWK]]:
    """Make up a modulus of a size: odd, and no product of two primes that anybody knows."""
    return lambda jwk: [jwk | {"n": _base64url_number(1 << bits - 1 | _number(jwk["n"]) % (1 << bits - 1))}]


def _other_material(jwk: _JWK) -> list[_JWK]:
    """Make up another modulus of the same size: nobody can sign with it."""
    return [jwk | {"n": _base64url_number(_number(jwk["n"]) ^ 1 << 1000)}]


def _number(value: str) -> int:
    return int.from_bytes(urlsafe_b64decode(value + "=="))


def _base64url_number(number: int) -> str:
    return base64url(number.to_bytes((number.bit_length() + 7) // 8))


_KEYS: Mapping[Fault | None, Callable[[_JWK], list[_JWK]]] = {
    Fault.AMBIGUOUS_KEY_ID: lambda jwk: [jwk, *_other_material(jwk)],
    Fault.OCT_KEY: _of_other_type(kty="oct", alg="HS256", k=base64url(bytes(32))),
    # Public keys of RFC 7515 §A.3 and RFC 8037 §A.2.
    Fault.EC_KEY: _of_other_type(
        kty="EC",
        alg="ES256",
        crv="P-256",
        x="f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        y="x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    ),
    Fault.OKP_KEY: _of_other_type(
        kty="OKP", alg="EdDSA", crv="Ed25519", x="11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwaaPJHURWs"
    ),
    Fault.UNKNOWN_KEY_TYPE: _with(kty="rsa"),
    Fault.ENCRYPTION_KEY: _with(use="enc"),
    Fault.OTHER_ALGORITHM: _with(alg="RS512"),
    Fault.PRIVATE_KEY: lambda jwk: [jwk | {"d": jwk["n"]}],
    Fault.NO_KEY_ID: _without("kid"),
    Fault.KEY_ID_NOT_A_STRING: _with(kid=7),
    Fault.RSA_1024: _of_size(1024),
    Fault.RSA_16384: _of_size(16384),
    Fault.EVEN_EXPONENT: _with(e=_base64url_number(65536)),
    Fault.TINY_EXPONENT: _with(e=_base64url_number(3)),
    Fault.OTHER_MATERIAL: _other_material,
    Fault.REPEATED_KEY: lambda jwk: [jwk, jwk],
    Fault.NO_USE_NO_ALGORITHM: _without("use", "alg"),
}


def _too_many_keys(body: bytes) -> bytes:
    keys = json.loads(body)["keys"]
    # Short ones: the body as such is not too long.
    return json.dumps({"keys": keys + [{"kid": f"{number}"} for number in range(_TOO_MANY_KEYS)]}).encode()


@cache
def _much_of_nothing() -> bytes:
    """Compress ten megabytes of white space: whatever is compressed may be continued (RFC 1952 §2.2)."""
    return gzip.compress(b" " * HUGE_BYTES)


_BODIES: Mapping[Fault | None, Callable[[bytes], bytes]] = {
    Fault.HUGE_BODY: lambda body: body + b" " * (HUGE_BYTES - len(body)),
    Fault.GZIP: gzip.compress,
    Fault.GZIP_BOMB: lambda body: gzip.compress(body) + _much_of_nothing(),
    Fault.EMPTY_BODY: lambda _: b"",
    Fault.HTML: lambda body: b"<!doctype html><title>Sign in</title><pre>" + body + b"</pre>",
    Fault.JSON_LIST: lambda body: json.dumps(json.loads(body)["keys"]).encode(),
    Fault.JSON_STRING: lambda body: json.dumps(body.decode()).encode(),
    Fault.JSON_NULL: lambda _: b"null",
    Fault.NO_KEYS_MEMBER: lambda body: json.dumps({"Keys": json.loads(body)["keys"]}).encode(),
    Fault.KEYS_BY_ID: lambda body: json.dumps({"keys": {jwk["kid"]: jwk for jwk in json.loads(body)["keys"]}}).encode(),
    Fault.EMPTY_KEYS: lambda _: b'{"keys": []}',
    Fault.REPEATED_KEYS: lambda body: b'{"keys": [], ' + body[1:],
    Fault.TOO_MANY_KEYS: _too_many_keys,
    Fault.DEEP_NESTING: lambda body: body[:-1] + b', "x": ' + b"[" * _DEEP + b"]" * _DEEP + b"}",
    Fault.BAD_UTF8: lambda body: body[:-1] + b', "x": "\xff"}',
    Fault.BYTE_ORDER_MARK: lambda body: b"\xef\xbb\xbf" + body,
}


def _garbage_chunk(body: bytes, _: str) -> Reply:
    chunk = b"%x\r\n%s\r\n" % (len(body), body)
    return Reply(data=_head("200 OK", "Transfer-Encoding: chunked") + chunk + b"garbage\r\n")


def _dripping_body(body: bytes, _: str) -> Reply:
    # The length is there so that the end of an outage does not make it a whole answer.
    data = _response(body, length=len(body) + _DRIPPED_BYTES)
    return Reply(data=data, ending=Ending.HANG, drip=b" ")


def _away(uri: str) -> str:
    return uri.replace("127.0.0.1", "localhost")


def _status(status: str, *headers: str) -> Callable[[bytes, str], Reply]:
    return lambda body, _: Reply(data=_response(body, *headers, status=status))


def _busy(retry_after: str) -> Callable[[bytes, str], Reply]:
    return _status("429 Too Many Requests", f"Retry-After: {retry_after}")


def _always(reply: Reply) -> Callable[[bytes, str], Reply]:
    return lambda _body, _uri: reply


_REPLIES: Mapping[Fault | None, Callable[[bytes, str], Reply]] = {
    Fault.RESET: _always(Reply(data=b"", ending=Ending.RESET)),
    Fault.NO_ANSWER: _always(Reply(data=b"")),
    Fault.HANG: _always(Reply(data=b"", ending=Ending.HANG)),
    Fault.SLOW_HEADERS: _always(Reply(data=b"HTTP/1.1 200 OK\r\nX: ", ending=Ending.HANG, drip=b"x")),
    Fault.DRIPPING_BODY: _dripping_body,
    Fault.HANG_IN_BODY: lambda body, _: Reply(data=_response(body)[: -len(body) // 2], ending=Ending.HANG),
    Fault.TRUNCATED_BODY: lambda body, _: Reply(data=_response(body)[: -len(body) // 2]),
    Fault.LENGTH_TOO_LONG: lambda body, _: Reply(data=_response(body, length=len(body) + 1)),
    Fault.LENGTH_TOO_SHORT: lambda body, _: Reply(data=_response(body, length=len(body) - 1)),
    Fault.GARBAGE_CHUNK: _garbage_chunk,
    Fault.HTTP_0_9: lambda body, _: Reply(data=body),
    Fault.HEADER_FLOOD: lambda body, _: Reply(data=_response(body, *["X: x"] * _MANY_HEADERS)),
    Fault.GZIP: _status("200 OK", "Content-Encoding: gzip"),
    Fault.GZIP_BOMB: _status("200 OK", "Content-Encoding: gzip"),
    Fault.NO_CONTENT: _always(Reply(data=_head("204 No Content"))),
    Fault.REDIRECT: lambda body, uri: _status("301 Moved Permanently", f"Location: {uri}?moved")(body, uri),
    Fault.REDIRECT_AWAY: lambda body, uri: _status("301 Moved Permanently", f"Location: {_away(uri)}")(body, uri),
    Fault.NOT_MODIFIED: _always(Reply(data=_head("304 Not Modified"))),
    Fault.FORBIDDEN: _status("403 Forbidden"),
    Fault.NOT_FOUND: _status("404 Not Found"),
    Fault.TOO_MANY_REQUESTS: _busy("7"),
    Fault.TOO_MANY_REQUESTS_UNTIL: _busy("Wed, 21 Oct 2099 07:28:00 GMT"),
    Fault.TOO_MANY_REQUESTS_SOON: _busy("soon"),
    Fault.TOO_MANY_REQUESTS_FOR_YEARS: _busy("946080000"),
    Fault.SERVER_ERROR: _status("500 Internal Server Error"),
    Fault.SERVICE_UNAVAILABLE: _status("503 Service Unavailable"),
}
