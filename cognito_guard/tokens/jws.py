"""
From a compact JWS to its parsed, still unverified parts: the only place that reads base64url and JSON.

Everything strict happens here, before any key is looked at: one spelling per token (RFC 7515 §2),
no member twice (§4), valid JSON and nothing beside it (§5.2), and a bound on every size.  PyJWT
leaves most of it open, and walks each token byte by byte; the reason to do it here is both.
"""

from __future__ import annotations

import json
import math
import re
from binascii import a2b_base64
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from json.scanner import make_scanner
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn, Protocol, TypeAlias, TypeGuard, cast

from ..errors import MalformedTokenError, Reason, UnsupportedAlgorithmError

JSONObject: TypeAlias = dict[str, Any]

MAX_TOKEN_BYTES = 16 * 1024
"""Twice what proxies let through in a header line, so that a real token never meets it."""
MAX_JSON_DEPTH = 32
"""Room for any custom claim; the interpreter's own bound differs by version and by stack."""
MAX_KEY_ID_CHARS = 256
"""Cognito's have 44."""


class UnverifiedToken(NamedTuple):
    """
    Hold a token's parts, parsed and not trusted.

    A tuple and not a dataclass: made for every token, and a frozen dataclass takes four times as long to make.
    """

    header_segment: bytes
    kid: str
    claims: JSONObject
    signing_input: bytes
    signature: bytes

    def __repr__(self) -> str:
        # Whatever collects the variables of a traceback prints them.
        return f"<UnverifiedToken, {len(self.signing_input)} bytes signed>"


class _Decode(Protocol):
    def __call__(self, data: bytes, /, *, strict_mode: bool) -> bytes: ...


class NotStrictError(ValueError):
    """Say that bytes are not in the one strict form; never leaves the library."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """
    Hold what the tokens of one maker look like.

    Attributes:
        algorithm: the one `alg` that they are signed with.
        types: the values of `typ`, in lower case, that they may have; none at all is always right.
        is_padded: whether segments may be padded to a multiple of four, against RFC 7515 §2.
    """

    algorithm: str
    types: frozenset[str]
    is_padded: bool = False


USER_POOL_FORM = Form(algorithm="RS256", types=frozenset({"jwt", "application/jwt", "at+jwt", "application/at+jwt"}))
"""What user pools issue."""


def parse(
    token: str,
    *,
    max_bytes: int = MAX_TOKEN_BYTES,
    known_headers: Mapping[bytes, str] = MappingProxyType({}),
    form: Form = USER_POOL_FORM,
) -> UnverifiedToken:
    """
    Split a compact JWS and read its header and claims.

    Args:
        token: the text that came as a bearer token; anything at all.
        max_bytes: the longest token looked at.
        known_headers: header segments judged before, to their key IDs: a pool has two, and reading
            one anew is a tenth of the signature check.
        form: whose tokens are read.

    Raises:
        MalformedTokenError: not a strict compact JWS of two JSON objects, or too long, or a JWE.
        UnsupportedAlgorithmError: `alg` is not the form's.
    """
    if not isinstance(token, str) or not token.isascii():
        raise MalformedTokenError("the token is not ASCII text")
    # Before anything walks through it: many a library makes a million strings of a megabyte of dots (CVE-2025-30204).
    if len(token) > max_bytes:
        raise MalformedTokenError("the token is longer than the limit", Reason.OVERSIZED_TOKEN)
    # Signed is the text as it stands, with its padding where it has some.
    signing_input, _, signature_segment = token.encode().rpartition(b".")
    header_segment, dot, payload_segment = signing_input.partition(b".")
    if not dot or _DOT in payload_segment:
        _refuse_segments(token)
    try:
        if form.is_padded:
            header_segment, payload_segment, signature_segment = map(
                _without_padding, (header_segment, payload_segment, signature_segment)
            )
        # The header first: most forgeries are judged by it, for a fraction of the work.
        kid = known_headers.get(header_segment) or _key_id(json_object(decode_base64url(header_segment)), form)
        # `decode_base64url`, written out twice: without the calls a token costs 0.03 of the RSA check less.
        rest = len(payload_segment) % 4
        if rest and payload_segment[-1] not in _LAST_CHARACTERS[rest]:
            raise NotStrictError("not canonical base64url")
        # Letters and digits are the same in both alphabets, and most JSON in ASCII comes out as nothing else.
        plain = payload_segment if payload_segment.isalnum() else payload_segment.translate(_TO_BASE64)
        claims = _read_object(_decode(plain + _PADDING[rest], strict_mode=True))
        rest = len(signature_segment) % 4
        if rest and signature_segment[-1] not in _LAST_CHARACTERS[rest]:
            raise NotStrictError("not canonical base64url")
        signature = _decode(signature_segment.translate(_TO_BASE64) + _PADDING[rest], strict_mode=True)
    # Beside our own the decoder's, a ValueError as well.
    except ValueError as cause:
        raise MalformedTokenError("the token is not three strict base64url segments with JSON objects") from cause
    return _new(UnverifiedToken, (header_segment, kid, claims, signing_input, signature))


def header_of(unverified: UnverifiedToken) -> JSONObject:
    """Return the JOSE header of a parsed token: nobody has vouched for it yet."""
    return json_object(decode_base64url(unverified.header_segment))


def decode_base64url(segment: bytes) -> bytes:
    """
    Decode base64url in its one canonical spelling: no padding, no white space, no spare bits set.

    Raises:
        NotStrictError: any other byte, an impossible length, or a last character with spare bits set.
    """
    rest = len(segment) % 4
    # The strict mode below lets spare bits pass, which gives every token several spellings.
    if rest and segment[-1] not in _LAST_CHARACTERS[rest]:
        raise NotStrictError("not canonical base64url")
    try:
        return _decode(segment.translate(_TO_BASE64) + _PADDING[rest], strict_mode=True)
    except ValueError as cause:
        raise NotStrictError("not base64url") from cause


def json_object(data: bytes) -> JSONObject:
    """
    Read bytes that are exactly one JSON object: UTF-8, no member twice, no NaN, bounded depth.

    Raises:
        NotStrictError: for anything else.
    """
    value: Any = None
    try:
        if is_shallow(data):
            text = data.decode().strip(_JSON_WHITE_SPACE)
            value, end = _scan(text, 0)
            if end != len(text):
                value = None
            if _BACKSLASH in data:
                # An escaped lone surrogate makes a str that no log and no database takes.
                json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, StopIteration, RecursionError):
        value = None
    # Raised out here, with no cause: JSONDecodeError and UnicodeDecodeError hold the whole text.
    if value.__class__ is not dict:
        raise NotStrictError("not one strict JSON object")
    members: JSONObject = value
    return members


def is_shallow(text: bytes) -> bool:
    """Tell whether brackets outside of strings nest no deeper than the limit."""
    # Most texts are flat.  Of the rest brackets bound the depth from above; only a suspicious text is walked.
    if text.rfind(b"{") <= 0 and text.find(b"[") == text.rfind(b"["):
        return True
    if text.count(b"{") + text.count(b"[") <= MAX_JSON_DEPTH:
        return True
    depth = 0
    for bracket in _BRACKETS.finditer(_STRINGS.sub(b"", text)):
        depth += 1 if bracket[0] in b"{[" else -1
        if depth > MAX_JSON_DEPTH:
            return False
    return True


def is_array(value: object) -> TypeGuard[list[Any]]:
    """Tell a JSON array."""
    return type(value) is list


def _refuse_segments(token: str) -> NoReturn:
    if token.count(".") + 1 == _JWE_SEGMENTS:
        raise MalformedTokenError(
            "the token has five segments: it looks like an encrypted refresh token", Reason.ENCRYPTED_TOKEN
        )
    raise MalformedTokenError("the token has not three segments")


def _without_padding(segment: bytes) -> bytes:
    """Take off padding that is exactly what fills a segment up to a multiple of four; none at all is as good."""
    bare = segment.rstrip(b"=")
    if bare != segment and len(segment) != len(bare) + len(_PADDING[len(bare) % 4]):
        raise NotStrictError("the padding is not what fills the segment up")
    return bare


def _key_id(header: JSONObject, form: Form) -> str:
    """Judge a JOSE header and return its `kid`; `jku`, `jwk`, `x5u` and `x5c` are an attacker's hints, never used."""
    if header.get("alg") != form.algorithm:
        raise UnsupportedAlgorithmError
    if not _FORBIDDEN_PARAMETERS.isdisjoint(header):
        raise MalformedTokenError("the header changes what the token is", Reason.UNSUPPORTED_HEADER)
    typ = header.get("typ", "JWT")
    if not isinstance(typ, str) or typ.lower() not in form.types:
        raise MalformedTokenError("the header's typ is another kind of token's", Reason.UNSUPPORTED_HEADER)
    kid = header.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KEY_ID_CHARS:
        raise MalformedTokenError("the header names no key")
    return kid


def _unique(pairs: list[tuple[str, Any]]) -> JSONObject:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotStrictError("a member stands twice")
    return members


def _finite(text: str) -> float:
    number = float(text)
    # 1e999 is JSON, and infinity to Python, which would write it out as what is no JSON.
    if math.isinf(number):
        raise NotStrictError("a number is beyond all that can be told")
    return number


def _no_constant(_: str) -> NoReturn:
    raise NotStrictError("NaN and Infinity are not JSON")


_BACKSLASH = ord("\\")
_JWE_SEGMENTS = 5
_DOT = ord(".")
# Each of them means another reading of the same bytes: an extension that must be understood
# (RFC 7515 §4.1.11), an unencoded payload (RFC 7797), a compressed, encrypted or nested one.
_FORBIDDEN_PARAMETERS = frozenset({"crit", "b64", "zip", "enc", "cty"})
_JSON_WHITE_SPACE = " \t\r\n"
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")
# What JSONDecoder.raw_decode wraps, without the wrapping.
_scan: Callable[[str, int], tuple[Any, int]] = cast("Any", make_scanner)(
    json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_no_constant)
)
# One pass turns the url-safe alphabet into the one that C code reads, and makes the plain one foreign.
_TO_BASE64 = bytes.maketrans(b"-_+/=", b"+/!!!")
_PADDING = (b"", b"===", b"==", b"=")
_LAST_CHARACTERS = (b"", b"", b"AQgw", b"AEIMQUYcgkosw048")
# The class itself takes half as long again to be called.
_new = cast("Callable[[type[UnverifiedToken], Iterable[Any]], UnverifiedToken]", tuple.__new__)  # pyright: ignore[reportUnknownMemberType]
# What the extra takes over where it is installed.
_decode: _Decode = a2b_base64
_read_object: Callable[[bytes], JSONObject] = json_object
with suppress(ImportError):
    from . import speed

    _decode, _read_object = speed.decode_base64, speed.reader_before(json_object, is_shallow)
