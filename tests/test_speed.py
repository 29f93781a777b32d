"""The extra `speed`: what is read with it is what is read without it; run with the extra installed, and without."""

from __future__ import annotations

import importlib.util
import json
from base64 import urlsafe_b64encode
from binascii import a2b_base64
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cognito_guard.tokens import jws

PROPERTY = settings(deadline=None, derandomize=True, max_examples=500)
IS_INSTALLED = all(importlib.util.find_spec(name) for name in ("orjson", "pybase64"))

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def written(members: dict[str, Any], *, compact: bool, as_ascii: bool, slashes: bool) -> bytes:
    """Return an object's text in one of the ways in which issuers write."""
    text = json.dumps(members, separators=(",", ":") if compact else None, ensure_ascii=as_ascii)
    return (text.replace("/", "\\/") if slashes else text).encode(errors="surrogatepass")


WRITTEN = st.builds(
    written,
    st.dictionaries(st.text(max_size=4), VALUES, max_size=4),
    compact=st.booleans(),
    as_ascii=st.booleans(),
    slashes=st.booleans(),
)
_SIGNS = (b"{", b"}", b"[", b"]", b":", b",", b'"', b" ")
_TEXTS = (b'"a"', b'"a":1', b'"\\/"', b'"\\\\/"', b'"\\u0061":1', b"null", b"\xff", b"\xed\xa0\x80")
_NUMBERS = (b"1", b"-0", b"1.0", b"1e2", b"18446744073709551616", b"1e400", b"NaN")
PIECES = st.lists(st.sampled_from([*_SIGNS, *_TEXTS, *_NUMBERS]), max_size=12).map(b"".join)


def read_by(read: Callable[[bytes], object], data: bytes) -> object:
    """Return what a reader reads, or None for what it refuses."""
    try:
        return read(data)
    except jws.NotStrictError:
        return None


def test_extra_is_used_where_it_is_installed() -> None:
    """Nobody has to ask for it twice."""
    module = "cognito_guard.tokens." + ("speed" if IS_INSTALLED else "jws")
    assert jws._read_object.__module__ == module  # pyright: ignore[reportPrivateUsage]


@given(data=WRITTEN | PIECES | st.binary(max_size=20))
@example(data=b'{"a":1,"a":2}')
@example(data=b'{"a":1,"\\u0061":2}')
@example(data=b'{"\\\\/":1,"\\/":2}')
@example(data=b'{"a/b":1,"a\\/b":2}')
@example(data=b'{"a":18446744073709551616}')
@example(data=b'{"a":-0}')
@example(data=b'{"a":"\\ud800"}')
@example(data=b'{"a":' + b"[" * 40 + b"]" * 40 + b"}")
@PROPERTY
def test_json_is_read_as_by_the_standard_library(data: bytes) -> None:
    """The same members of the same types, or the same refusal."""
    found = read_by(jws._read_object, data)  # pyright: ignore[reportPrivateUsage]
    assert repr(found) == repr(read_by(jws.json_object, data))


@pytest.mark.parametrize("text", [b"", b"A", b"AA", b"AB", b"AAA", b"AAB", b"AAAA", b"AA==", b"AA A", b"A+AA", b"A/AA"])
def test_base64url_is_read_in_its_one_spelling(text: bytes) -> None:
    """What is read is written in the same way again; anything else is refused."""
    try:
        decoded = jws.decode_base64url(text)
    except jws.NotStrictError:
        assert text not in {b"", b"AA", b"AAA", b"AAAA"}
    else:
        assert urlsafe_b64encode(decoded).rstrip(b"=") == text


@given(text=st.binary(max_size=24) | st.text(alphabet="AQgwBCDEz09-_+/= \n", max_size=24).map(str.encode))
@PROPERTY
def test_base64url_is_read_as_by_the_standard_library(text: bytes) -> None:
    """The same bytes, or the same refusal."""
    try:
        padded = text.translate(bytes.maketrans(b"-_+/=", b"+/!!!")) + b"=" * (-len(text) % 4)
        expected: bytes | None = a2b_base64(padded, strict_mode=True)
    except ValueError:
        expected = None
    try:
        decoded: bytes | None = jws.decode_base64url(text)
    except jws.NotStrictError:
        decoded = None
    # Spare bits, which the standard library lets pass, are refused on top.
    assert decoded == expected or (decoded is None and len(text) % 4 != 0)
