"""The one intake of base64url and JSON: one spelling per token, valid JSON and nothing beside it, bounds on all."""

from __future__ import annotations

import itertools
import json
import string
import tracemalloc
from base64 import urlsafe_b64decode
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import jwt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cognito_guard import errors
from cognito_guard.errors import InvalidTokenError, MalformedTokenError, Reason, UnsupportedAlgorithmError
from cognito_guard.keys.keyset import KeySet
from cognito_guard.testing import FakeUserPool
from cognito_guard.testing.keys import base64url
from cognito_guard.tokens.jws import (
    MAX_JSON_DEPTH,
    MAX_KEY_ID_CHARS,
    MAX_TOKEN_BYTES,
    USER_POOL_FORM,
    NotStrictError,
    UnverifiedToken,
    decode_base64url,
    header_of,
    is_array,
    json_object,
    parse,
)

Verdict: TypeAlias = tuple[type[InvalidTokenError], Reason]

HEADER = {"alg": "RS256", "kid": "key"}
CLAIMS = {"sub": "jane"}
ALPHABET = string.ascii_letters + string.digits + "-_"
MALFORMED: Verdict = (MalformedTokenError, Reason.MALFORMED_TOKEN)
OVERSIZED: Verdict = (MalformedTokenError, Reason.OVERSIZED_TOKEN)
ENCRYPTED: Verdict = (MalformedTokenError, Reason.ENCRYPTED_TOKEN)
FOREIGN_ALGORITHM: Verdict = (UnsupportedAlgorithmError, Reason.UNSUPPORTED_ALGORITHM)
FOREIGN_HEADER: Verdict = (MalformedTokenError, Reason.UNSUPPORTED_HEADER)

VECTORS = Path(__file__).parent / "vectors"
RFC7515 = json.loads((VECTORS / "rfc7515.json").read_text())
RFC7519 = json.loads((VECTORS / "rfc7519.json").read_text())


def compact(header: object = HEADER, claims: object = CLAIMS, signature: bytes = b"signature") -> str:
    """Write a token; bytes are taken as they are."""
    parts = (part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims, signature))
    return ".".join(map(base64url, parts))


def verdict(token: Any, **options: Any) -> UnverifiedToken | Verdict:
    """Return what becomes of a token: its parts, or class and reason of the refusal."""
    try:
        return parse(token, **options)
    except InvalidTokenError as error:
        return type(error), error.reason


def is_strict_base64url(segment: bytes) -> bool:
    """Tell whether a segment is read at all."""
    try:
        decode_base64url(segment)
    except NotStrictError:
        return False
    return True


def test_token_is_split_into_its_parts() -> None:
    """All that later steps need, and no more of the header than the key ID."""
    token = compact(signature=b"\x00\xff")
    signing_input, _, _ = token.rpartition(".")
    assert parse(token) == UnverifiedToken(
        header_segment=signing_input.partition(".")[0].encode(),
        kid="key",
        claims=CLAIMS,
        signing_input=signing_input.encode(),
        signature=b"\x00\xff",
    )


def test_genuine_token_is_read_as_others_read_it(pool: FakeUserPool) -> None:
    """PyJWT finds the same claims, the same signature and the same key ID."""
    token = pool.access_token(groups=["staff"], username="müller", nested={"list": [1, 2.5, None, True]})
    parts, theirs = parse(token), jwt.decode_complete(token, options={"verify_signature": False})
    assert parts.claims == theirs["payload"]
    assert parts.signature == theirs["signature"]
    assert parts.kid == theirs["header"]["kid"]


def test_every_foreign_byte_is_refused_anywhere() -> None:
    """Only the 64 characters of the alphabet are read: no `+`, `/`, padding, white space, null byte or high byte."""
    foreign = sorted(set(range(256)) - set(ALPHABET.encode()))
    assert len(foreign) == 192
    accepted = [
        segment
        for byte in map(bytes, zip(foreign, strict=True))
        for segment in (byte, byte + b"AAA", b"A" + byte + b"AA", b"AA" + byte + b"A", b"AAA" + byte, b"AAAA" + byte)
        if is_strict_base64url(segment)
    ]
    assert accepted == []


def test_every_character_of_the_alphabet_is_read() -> None:
    """All 64 stand for what RFC 4648 §5 says."""
    assert decode_base64url(ALPHABET.encode()) == urlsafe_b64decode(ALPHABET)


@pytest.mark.parametrize(
    "segment",
    [
        pytest.param(b"QQ==", id="padding of two"),
        pytest.param(b"QQ=", id="half a padding"),
        pytest.param(b"QUI=", id="padding of one"),
        pytest.param(b"QUJD=", id="padding where none belongs"),
        pytest.param(b"QUJD====", id="a group of padding"),
        pytest.param(b"=", id="padding alone"),
        pytest.param(b"QQ==QUJD", id="padding in the middle"),
        pytest.param(b"QU JD", id="a blank inside"),
        pytest.param(b"QUJD\n", id="a line break behind"),
        pytest.param(b"\tQUJD", id="a tab before"),
        pytest.param(b"QU\r\nJD", id="a folded line"),
        pytest.param(b"Q", id="an impossible length of one"),
        pytest.param(b"QUJDQ", id="an impossible length of five"),
        pytest.param(b"AAAAA", id="an impossible length whose bits are zero"),
    ],
)
def test_loose_base64url_is_refused(segment: bytes) -> None:
    """RFC 7515 §2: no padding, no line breaks, no white space."""
    assert not is_strict_base64url(segment)


@pytest.mark.parametrize("prefix, spellings", [(b"A", 4), (b"AA", 16), (b"AAAAA", 4), (b"AAAAAA", 16)])
def test_last_character_has_no_spare_bits(prefix: bytes, spellings: int) -> None:
    """Of the 64 last characters only those are read that leave the unused bits zero: one spelling per value."""
    accepted = [prefix + last.encode() for last in ALPHABET if is_strict_base64url(prefix + last.encode())]
    assert len(accepted) == spellings
    assert [base64url(decode_base64url(segment)).encode() for segment in accepted] == accepted


@settings(deadline=None, derandomize=True)
@given(st.binary() | st.text(ALPHABET + "=+/ \n.").map(str.encode))
def test_any_bytes_have_one_spelling_or_none(data: bytes) -> None:
    """Encoding what was read gives the segment again, and reading what was encoded gives the bytes again."""
    if is_strict_base64url(data):
        assert base64url(decode_base64url(data)).encode() == data
    assert decode_base64url(base64url(data).encode()) == data


@pytest.mark.parametrize(
    "segment", [pytest.param(0, id="header"), pytest.param(1, id="claims"), pytest.param(2, id="signature")]
)
def test_foreign_character_is_refused_in_each_segment(segment: int) -> None:
    """Before, inside and behind, once, and four times, which is no impossible length; a dot makes more segments."""
    parts = compact().split(".")
    accepted: list[str] = []
    for character in sorted(set(map(chr, range(128))) - set(ALPHABET)):
        for position in (0, len(parts[segment]) // 2, len(parts[segment])):
            for inserted in (character, character * 4):
                changed = parts[segment][:position] + inserted + parts[segment][position:]
                token = ".".join(changed if index == segment else part for index, part in enumerate(parts))
                if verdict(token) != MALFORMED:
                    accepted.append(token)
    assert accepted == []


@pytest.mark.parametrize("rest", [2, 3])
@pytest.mark.parametrize("segment", [pytest.param(0, id="header"), pytest.param(1, id="claims")])
def test_spare_bits_are_refused_in_each_json_segment(segment: int, rest: int) -> None:
    """The last character of a JSON segment has one spelling: any other means other bytes or spare bits."""
    parts = [json.dumps(part).encode() for part in (HEADER, CLAIMS)]
    parts[segment] += b" " * next(blanks for blanks in range(3) if (len(parts[segment]) + blanks) % 3 == rest - 1)
    header, claims, signature = compact(*parts).split(".")
    head = (header, claims)[segment][:-1]
    read = [
        last
        for last in ALPHABET
        if verdict(".".join((head + last, claims, signature) if segment == 0 else (header, head + last, signature)))
        != MALFORMED
    ]
    assert read == [(header, claims)[segment][-1]]


@pytest.mark.parametrize("size, spellings", [(256, 4), (257, 16), (258, 64)])
def test_spare_bits_are_refused_in_the_signature(size: int, spellings: int) -> None:
    """The signature may be any bytes, and each has one spelling alone."""
    head = compact(signature=bytes(size))[:-1]
    read = [parts for last in ALPHABET if isinstance(parts := verdict(head + last), UnverifiedToken)]
    assert len({parts.signature for parts in read}) == len(read) == spellings


@pytest.mark.parametrize(
    "token, expected",
    [
        pytest.param("", MALFORMED, id="no text"),
        pytest.param("AAAA", MALFORMED, id="one segment"),
        pytest.param("AAAA.AAAA", MALFORMED, id="two segments"),
        pytest.param(compact() + ".AAAA", MALFORMED, id="four segments"),
        pytest.param(compact() + ".", MALFORMED, id="an empty fourth segment"),
        pytest.param(compact() + ".AAAA.AAAA", ENCRYPTED, id="five segments"),
        pytest.param("eyJhbGciOiJkaXIifQ..AAAA.AAAA.AAAA", ENCRYPTED, id="a JWE with direct encryption"),
        pytest.param("....", ENCRYPTED, id="five empty segments"),
        pytest.param(compact() + ".AAAA.AAAA.AAAA", MALFORMED, id="six segments"),
        pytest.param(compact() + ".A.A.A.A", MALFORMED, id="seven segments"),
        pytest.param("..", MALFORMED, id="three empty segments"),
        pytest.param("." + compact().partition(".")[2], MALFORMED, id="an empty header"),
        pytest.param(".".join((compact().split(".")[0], "", "AAAA")), MALFORMED, id="no claims"),
        pytest.param(" " + compact(), MALFORMED, id="white space before"),
        pytest.param(compact() + "\n", MALFORMED, id="a line break behind"),
        pytest.param("Bearer " + compact(), MALFORMED, id="the scheme before"),
        pytest.param(f'"{compact()}"', MALFORMED, id="quotes around"),
        pytest.param(compact().replace(".", "%2E"), MALFORMED, id="percent-encoded dots"),
    ],
)
def test_text_that_is_no_compact_jws_is_refused(token: str, expected: Verdict) -> None:
    """Three segments; five look like a refresh token, and its owner is told so."""
    assert verdict(token) == expected


PADDED = replace(USER_POOL_FORM, is_padded=True)


@pytest.mark.parametrize("blanks", range(3))
def test_padded_token_is_read_where_its_maker_pads(blanks: int) -> None:
    """Whatever the length: the parts are those of the bare token, and signed is the text with its padding."""
    header, claims = (json.dumps(part).encode() + b" " * blanks for part in (HEADER, CLAIMS))
    bare = compact(header, claims, b"\x17" * (256 + blanks))
    padded = ".".join(segment + "=" * (-len(segment) % 4) for segment in bare.split("."))
    parts = parse(padded, form=PADDED)
    assert parts == parse(bare)._replace(signing_input=padded.rpartition(".")[0].encode())
    assert header_of(parts) == HEADER
    assert parse(bare, form=PADDED) == parse(bare)
    if padded != bare:
        assert verdict(padded) == MALFORMED


@pytest.mark.parametrize("position", [pytest.param(0, id="header"), pytest.param(1, id="claims")])
@pytest.mark.parametrize("rest, paddings", [(2, {0, 2}), (3, {0, 1}), (0, {0})])
def test_padding_that_does_not_fill_a_segment_up_is_refused(position: int, rest: int, paddings: set[int]) -> None:
    """A maker that pads has one more spelling, and not any number of them."""
    parts = [json.dumps(part).encode() for part in (HEADER, CLAIMS)]
    parts[position] += b" " * next(
        blanks for blanks in range(3) if (len(parts[position]) + blanks) % 3 == max(rest - 1, 0)
    )
    segments = compact(*parts).split(".")
    read = {
        padding
        for padding in range(9)
        if verdict(
            ".".join([*segments[:position], segments[position] + "=" * padding, *segments[position + 1 :]]), form=PADDED
        )
        != MALFORMED
    }
    assert read == paddings


@pytest.mark.parametrize(
    "signature", ["QQ=", "QQ===", "QUI==", "QUJD=", "QUJD====", "=QUJ", "Q===", "QR==", "QQ==QUJD", "QQ== ", "===="]
)
def test_signature_is_padded_in_one_way_alone(signature: str) -> None:
    """Neither too little nor too much, nor elsewhere, nor to hide an impossible length or spare bits."""
    assert verdict(compact(signature=b"") + signature, form=PADDED) == MALFORMED


def test_header_of_a_token_is_read_again() -> None:
    """All that stands there, for who needs more of it than the key ID."""
    header = {**HEADER, "typ": "JWT", "signer": "somebody"}
    assert header_of(parse(compact(header))) == header


def test_empty_signature_is_left_to_the_signature_check() -> None:
    """It is a spelling of no bytes: read here, and then no key's signature."""
    parts = parse(compact(signature=b""))
    assert parts.signature == b""
    assert parts.signing_input == compact().rpartition(".")[0].encode()


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(None, id="None"),
        pytest.param(compact().encode(), id="bytes"),
        pytest.param(bytearray(compact().encode()), id="a bytearray"),
        pytest.param(5, id="a number"),
        pytest.param([compact()], id="a list"),
        pytest.param({"access_token": compact()}, id="the answer of a token endpoint"),
        pytest.param(object(), id="any object"),
        pytest.param(compact() + "\u00e4", id="text beyond ASCII"),
        pytest.param("\ufeff" + compact(), id="a byte order mark before"),
        pytest.param(compact() + "\ud800", id="a lone surrogate"),
        pytest.param(compact().replace("e", "\uff45", 1), id="a full-width letter"),
        pytest.param(compact().replace(".", "\u3002"), id="ideographic full stops"),
    ],
)
def test_what_is_not_ascii_text_is_refused(token: Any) -> None:
    """Whatever a caller passes on, it is the token that is refused, and nothing foreign is raised."""
    assert verdict(token) == MALFORMED


def test_limit_itself_is_read_and_one_more_is_not() -> None:
    """The bound is on characters, and counts before anything is looked at."""
    token = compact()
    assert isinstance(verdict(token, max_bytes=len(token)), UnverifiedToken)
    assert verdict(token, max_bytes=len(token) - 1) == OVERSIZED


def test_default_limit_is_sixteen_kibibytes() -> None:
    """A token of the limit's length is read; a longer one is refused unread, whatever it is."""
    head = compact(signature=b"")
    assert len(parse(head + "A" * (16 * 1024 - len(head))).signing_input) == len(head) - 1
    assert verdict("A" * (16 * 1024 + 1)) == OVERSIZED
    assert verdict("." * 2**20) == OVERSIZED


def test_mebibyte_of_dots_costs_no_more_than_its_text() -> None:
    """A split at every dot would make a million strings of it (CVE-2025-30204), also where the limit is raised."""
    token = "." * 2**20
    tracemalloc.start()
    try:
        assert verdict(token, max_bytes=2**21) == MALFORMED
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * len(token)


@pytest.mark.parametrize(
    "alg",
    [
        pytest.param(alg, id=repr(alg))
        for alg in (
            *("HS256", "HS384", "HS512", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"),
            *("ES256K", "EdDSA", "none", "None", "NONE", "nOnE", "noNE", "", "rs256", "Rs256", "RS256 ", " RS256"),
            *("RS256\x00", "RS-256", "RSA", "dir", "RSA-OAEP", "\uff32S256", None, True, False, 0, 256, 1.5),
            *([], ["RS256"], {}, {"RS256": "RS256"}),
        )
    ],
)
def test_only_rs256_is_read(alg: object) -> None:
    """The algorithm is one string, compared whole: no list, no folding of case, none of the others."""
    assert verdict(compact({**HEADER, "alg": alg})) == FOREIGN_ALGORITHM


def test_header_without_alg_is_refused() -> None:
    """RFC 7515 §4.1.1: it must be there."""
    assert verdict(compact({"kid": "key"})) == FOREIGN_ALGORITHM


FORBIDDEN: dict[str, tuple[object, ...]] = {
    "crit": (["b64"], ["exp"], ["https://example.com/x"], [], None, "b64", {}),
    "b64": (False, True, None),
    "zip": ("DEF", "", None),
    "enc": ("A256GCM", None),
    "cty": ("JWT", "", None),
}


@pytest.mark.parametrize(
    "parameter, value",
    [pytest.param(name, value, id=f"{name}: {value!r}") for name, values in FORBIDDEN.items() for value in values],
)
def test_parameter_that_changes_what_the_token_is_is_refused(parameter: str, value: object) -> None:
    """An extension to understand, an unencoded, compressed, encrypted or nested payload: not what Cognito issues."""
    assert verdict(compact({**HEADER, parameter: value})) == FOREIGN_HEADER


@pytest.mark.parametrize("typ", ["JWT", "jwt", "Jwt", "application/jwt", "at+jwt", "AT+JWT", "application/at+jwt"])
def test_type_of_an_access_token_is_accepted(typ: str) -> None:
    """Cognito writes none, emulators write JWT, and media types are case-insensitive."""
    assert isinstance(verdict(compact({**HEADER, "typ": typ})), UnverifiedToken)


@pytest.mark.parametrize(
    "typ",
    ["", "JWS", "JOSE", "dpop+jwt", "logout+jwt", "secevent+jwt", "kb+jwt", " JWT", None, 5, True, [], ["JWT"], {}],
)
def test_type_of_another_token_is_refused(typ: object) -> None:
    """A DPoP proof or a logout token is signed by somebody too, and for something else (RFC 8725 §3.11)."""
    assert verdict(compact({**HEADER, "typ": typ})) == FOREIGN_HEADER


@pytest.mark.parametrize(
    "kid",
    [
        pytest.param("", id="empty"),
        pytest.param(None, id="null"),
        pytest.param(5, id="a number"),
        pytest.param(True, id="a boolean"),
        pytest.param(["key"], id="a list"),
        pytest.param({"key": "key"}, id="an object"),
        pytest.param("k" * (MAX_KEY_ID_CHARS + 1), id="one character too long"),
        pytest.param("k" * 10_000, id="ten thousand characters"),
    ],
)
def test_header_that_names_no_key_is_refused(kid: object) -> None:
    """A key is found by its ID alone: there is no default one."""
    assert verdict(compact({**HEADER, "kid": kid})) == MALFORMED
    assert verdict(compact({"alg": "RS256"})) == MALFORMED


@pytest.mark.parametrize(
    "kid",
    [
        "vn4iEO9+FL/w=",
        "../../../etc/passwd",
        "' OR 1=1 --",
        "key\r\nX: y",
        "\x00",
        "schl\u00fcssel",
        "k" * MAX_KEY_ID_CHARS,
    ],
)
def test_key_id_is_taken_as_it_is(kid: str) -> None:
    """It is opaque text and only ever compared; where it is no published key's, it is unknown."""
    assert parse(compact({**HEADER, "kid": kid})).kid == kid


def test_header_is_judged_before_the_claims_are_read() -> None:
    """What a forged header gives away costs no work on a payload of the attacker's choice."""
    assert verdict(compact({**HEADER, "alg": "none"}, claims=b"no JSON")) == FOREIGN_ALGORITHM
    assert verdict(compact({**HEADER, "zip": "DEF"}, claims=b"no JSON")) == FOREIGN_HEADER


def test_hints_and_unknown_parameters_are_ignored() -> None:
    """`jku`, `jwk`, `x5u` and `x5c` are the attacker's; what nobody knows must be ignored (RFC 7515 §4)."""
    hints = {
        "jku": "https://evil.example/jwks.json",
        "jwk": {"kty": "oct", "k": "AAAA"},
        "x5u": "https://evil.example/cert.pem",
        "x5c": ["AAAA"],
        "x5t": "AAAA",
        "signer": "arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/app/a/b",
        "anything": [1, {"else": None}],
    }
    assert parse(compact({**HEADER, **hints})).kid == "key"


NOT_STRICT = [
    pytest.param(b"", id="nothing"),
    pytest.param(b" \r\n\t ", id="white space"),
    pytest.param(b"[]", id="an array"),
    pytest.param(b'[{"a":1}]', id="an object in an array"),
    pytest.param(b'"{}"', id="a string"),
    pytest.param(b"5", id="a number"),
    pytest.param(b"null", id="null"),
    pytest.param(b"true", id="true"),
    pytest.param(b'{"a":"\xff"}', id="a byte that is never UTF-8"),
    pytest.param(b'{"a":"\xc3"}', id="half a character"),
    pytest.param(b'{"a":"\xc0\xaf"}', id="an overlong character"),
    pytest.param(b'{"a":"\xed\xa0\x80"}', id="a surrogate in UTF-8"),
    pytest.param(b'{"a":"\xed\xa0\xbd\xed\xb8\x80"}', id="CESU-8"),
    pytest.param(b'{"a":"\xf4\x90\x80\x80"}', id="a character beyond the last"),
    pytest.param('{"a":1}'.encode("utf-8-sig"), id="UTF-8 with a byte order mark"),
    pytest.param('{"a":1}'.encode("utf-16"), id="UTF-16 with a byte order mark"),
    pytest.param('{"a":1}'.encode("utf-16-le"), id="UTF-16 little-endian"),
    pytest.param('{"a":1}'.encode("utf-16-be"), id="UTF-16 big-endian"),
    pytest.param('{"a":1}'.encode("utf-32"), id="UTF-32 with a byte order mark"),
    pytest.param('{"a":1}'.encode("utf-32-le"), id="UTF-32 little-endian"),
    pytest.param('{"a":1}'.encode("utf-32-be"), id="UTF-32 big-endian"),
    pytest.param(b'{"a":1,"a":2}', id="a member twice"),
    pytest.param(b'{"a":1,"b":2,"a":1}', id="a member twice with the same value"),
    pytest.param(b'{"a":1,"\\u0061":2}', id="a member twice in two spellings"),
    pytest.param(b'{"":1,"":2}', id="an empty name twice"),
    pytest.param(b'{"o":{"a":1,"a":2}}', id="a member twice in an object within"),
    pytest.param(b'{"l":[[{"a":1,"a":2}]]}', id="a member twice in an array within"),
    pytest.param(b'{"a":{"a":{"a":{"b":1,"b":1}}}}', id="a member twice at the fourth level"),
    pytest.param(b'{"a":NaN}', id="NaN"),
    pytest.param(b'{"a":1e400}', id="a number that would be infinity"),
    pytest.param(b'{"a":[-1e400]}', id="a number that would be less than all"),
    pytest.param(b'{"a":Infinity}', id="Infinity"),
    pytest.param(b'{"a":-Infinity}', id="minus Infinity"),
    pytest.param(b'{"a":[{"b":NaN}]}', id="NaN within"),
    pytest.param(b'{"a":nan}', id="nan"),
    pytest.param(b'{"a":' + b"9" * 5000 + b"}", id="an integer of 5000 digits"),
    pytest.param(b'{"a":-' + b"9" * 5000 + b"}", id="a negative integer of 5000 digits"),
    pytest.param(b'{"a":' * 32 + b"{}" + b"}" * 32, id="objects one level too deep"),
    pytest.param(b'{"a":' + b"[" * 32 + b"]" * 32 + b"}", id="arrays one level too deep"),
    pytest.param(b'{"a":' * 16 + b"[" * 17 + b"]" * 17 + b"}" * 16, id="both one level too deep"),
    pytest.param(
        b'{"a":"' + b"]" * 99 + b'","b":' + b"[" * 32 + b"]" * 32 + b"}", id="closed in a string, then too deep"
    ),
    pytest.param(b'{"a":[' + b"[]," * 40 + b"[" * 31 + b"]" * 31 + b"]}", id="too deep behind many that are closed"),
    pytest.param(b'{"a":' + b"[" * 7000, id="thousands of brackets never closed"),
    pytest.param(b'{"a":' * 2000 + b"1" + b"}" * 2000, id="thousands of objects"),
    pytest.param(b"{}{}", id="a second object"),
    pytest.param(b"{} x", id="text behind"),
    pytest.param(b"{},", id="a comma behind"),
    pytest.param(b"{}}", id="a bracket behind"),
    pytest.param(b"{}\x00", id="a null byte behind"),
    pytest.param(b"{}\x0b", id="a vertical tab behind"),
    pytest.param(b"{}\x0c", id="a form feed behind"),
    pytest.param(b"{}\xc2\xa0", id="a no-break space behind"),
    pytest.param(b"\xe2\x80\x8b{}", id="a zero-width space before"),
    pytest.param(b"\x0b{}", id="a vertical tab before"),
    pytest.param(b"\x1e{}", id="a record separator before"),
    pytest.param(b'{"a":1', id="an open object"),
    pytest.param(b'{"a":"', id="an open string"),
    pytest.param(b'{"a":1,}', id="a trailing comma"),
    pytest.param(b'{"a" 1}', id="no colon"),
    pytest.param(b"{'a':1}", id="single quotes"),
    pytest.param(b"{a:1}", id="a bare name"),
    pytest.param(b"{1:1}", id="a number as name"),
    pytest.param(b'{"a":1/**/}', id="a comment"),
    pytest.param(b'{"a":01}', id="a leading zero"),
    pytest.param(b'{"a":+1}', id="a plus sign"),
    pytest.param(b'{"a":.5}', id="no digit before the point"),
    pytest.param(b'{"a":1.}', id="no digit behind the point"),
    pytest.param(b'{"a":0x1}', id="a hexadecimal number"),
    pytest.param(b'{"a":1_000}', id="an underscore in a number"),
    pytest.param('{"a":\u0661}'.encode(), id="a digit beyond ASCII"),
    pytest.param(b'{"a":True}', id="Python's True"),
    pytest.param(b'{"a":"\n"}', id="a line break in a string"),
    pytest.param(b'{"a":"\x00"}', id="a null byte in a string"),
    pytest.param(b'{"a":"\\x41"}', id="a foreign escape"),
    pytest.param(b'{"a":"\\u12"}', id="half an escape"),
    pytest.param(b'{"a":"\\ud800"}', id="an escaped lone surrogate"),
    pytest.param(b'{"a":"\\udc00\\ud800"}', id="escaped surrogates the wrong way round"),
    pytest.param(b'{"\\ud800":1}', id="an escaped lone surrogate as name"),
    pytest.param(b'{"a":[{"b":["\\udfff"]}]}', id="an escaped lone surrogate within"),
]


@pytest.mark.parametrize("data", NOT_STRICT)
def test_bytes_that_are_not_one_strict_json_object_are_refused(data: bytes) -> None:
    """By themselves, as a header and as claims; the error keeps nothing of the text."""
    with pytest.raises(NotStrictError) as caught:
        json_object(data)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert verdict(compact(header=data)) == MALFORMED
    assert verdict(compact(claims=data)) == MALFORMED


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"{}", id="an empty object"),
        pytest.param(b' \t\r\n{"a" : 1 }\n\r\t ', id="JSON's own white space around and inside"),
        pytest.param('{"a":"ü€😀","ß":1}'.encode(), id="text beyond ASCII"),
        pytest.param(b'{"a":"\\u00fc\\ud83d\\ude00\\u0000\\"\\\\\\/"}', id="escapes, with a whole surrogate pair"),
        pytest.param(b'{"a":"\xef\xbb\xbf"}', id="a byte order mark inside a string"),
        pytest.param(b'{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]}', id="the same name in different objects"),
        pytest.param(b'{"a":1,"A":2,"":3}', id="names that differ by case, and an empty one"),
        pytest.param(b'{"a":9223372036854775807,"b":-0,"c":1.79e308,"d":1E-3}', id="large and small numbers"),
        pytest.param(b'{"a":' + b"9" * 4000 + b"}", id="an integer of 4000 digits"),
        pytest.param(b'{"a":' * 31 + b"{}" + b"}" * 31, id="objects at the bound"),
        pytest.param(b'{"a":' + b"[" * 31 + b"]" * 31 + b"}", id="arrays at the bound"),
        pytest.param(b'{"a":' + b"[" * 31 + b"]" * 31 + b',"b":[]}', id="arrays at the bound, and more beside them"),
        pytest.param(b'{"a":[' + b"[]," * 500 + b"{}]}", id="wide and not deep"),
        pytest.param(b'{"a":"' + b"[{" * 500 + b'"}', id="brackets in a string"),
        pytest.param(b'{"a":"\\"' + b"[{" * 500 + b'\\\\"}', id="brackets behind an escaped quote"),
        pytest.param(b'{"' + b"[" * 500 + b'":["' + b"{" * 500 + b'"]}', id="brackets in a name"),
    ],
)
def test_strict_json_object_is_read_as_the_standard_library_reads_it(data: bytes) -> None:
    """Strictness costs no valid document that a user pool could write."""
    assert json_object(data) == json.loads(data)
    parts = parse(compact(claims=data))
    assert parts.claims == json.loads(data)


def test_bounds_are_those_that_the_cases_are_built_on() -> None:
    """A bound that moves is a decision, and no accident."""
    assert (MAX_TOKEN_BYTES, MAX_JSON_DEPTH, MAX_KEY_ID_CHARS) == (16 * 1024, 32, 256)


def test_array_is_told_by_its_exact_type() -> None:
    """A tuple or a string is no JSON array."""
    others: list[object] = [(), "", {}, None]
    assert is_array(["a"])
    assert not any(map(is_array, others))


def read(data: bytes) -> dict[str, Any] | None:
    """Return the object, or None where it is refused."""
    try:
        return json_object(data)
    except NotStrictError:
        return None


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
JSON_OBJECTS = st.dictionaries(TEXT, JSON_VALUES, max_size=5)
SCRAPS = [
    *(b"{", b"}", b"[", b"]", b":", b",", b'"', b'"a"', b'"b":', b"\\", b"\\ud800", b"\\u0061", b"1", b"-", b"e9"),
    *(b"NaN", b"true", b" ", b"\n", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x00", '{"a":1}'.encode("utf-16")),
]
JSON_SCRAPS = st.lists(st.sampled_from(SCRAPS), max_size=12).map(b"".join)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.binary() | JSON_SCRAPS | JSON_SCRAPS.map(lambda scraps: b'{"a":' + scraps + b"}"))
def test_any_bytes_are_an_object_as_others_read_it_or_not_strict(data: bytes) -> None:
    """Nothing else is raised; what is read, the standard library reads the same."""
    value = read(data)
    assert value is None or value == json.loads(data)


@settings(deadline=None, derandomize=True)
@given(JSON_OBJECTS, st.booleans(), st.sampled_from([None, 2]))
def test_any_document_of_sound_values_is_read(document: dict[str, Any], ascii_only: bool, indent: int | None) -> None:
    """Whatever the spelling, nothing sound is refused."""
    assert read(json.dumps(document, ensure_ascii=ascii_only, indent=indent).encode()) == document


GOOD_HEADERS = [
    compact(header).partition(".")[0] for header in (HEADER, {"kid": "other", "alg": "RS256", "typ": "JWT"})
]
KNOWN_HEADERS = MappingProxyType(dict(zip(map(str.encode, GOOD_HEADERS), ("key", "other"), strict=True)))
SEGMENTS = (
    st.sampled_from(
        [*GOOD_HEADERS, "", "e30", "e31", "bnVsbA", base64url(b'{"alg":"none"}'), base64url(b'{"a":1,"a":2}')]
    )
    | JSON_OBJECTS.map(lambda document: base64url(json.dumps(document).encode()))
    | st.binary(max_size=40).map(base64url)
    | st.text(ALPHABET + "=.", max_size=12)
)
TOKENS = st.lists(SEGMENTS, max_size=7).map(".".join) | st.tuples(
    st.sampled_from(GOOD_HEADERS), SEGMENTS, SEGMENTS
).map(".".join)


@settings(deadline=None, derandomize=True)
@given(st.text() | st.text(ALPHABET + ".") | TOKENS | st.binary())
def test_any_text_is_a_token_or_one_of_two_refusals(token: Any) -> None:
    """Whatever comes, nothing foreign is raised, and what is read has one spelling."""
    outcome = verdict(token)
    if isinstance(outcome, UnverifiedToken):
        assert f"{outcome.signing_input.decode()}.{base64url(outcome.signature)}" == token
    else:
        assert outcome in (MALFORMED, OVERSIZED, ENCRYPTED, FOREIGN_ALGORITHM, FOREIGN_HEADER)


# The plain alphabet beside the url-safe one, padding, white space, and last characters with and without spare bits.
LOOK_ALIKES = "AQgwBEIMh09z-_+/= \n"


def respelled(segment: str, cut: int, behind: str) -> str:
    """Return a segment that ends sooner, or in other characters."""
    return segment[: len(segment) - cut] + behind


WHOLE = JSON_OBJECTS.map(lambda document: base64url(json.dumps(document, ensure_ascii=False).encode()))
ENDS = st.builds(respelled, WHOLE, cut=st.integers(0, 2), behind=st.text(LOOK_ALIKES, max_size=2))


def read_apart(claims: str, signature: str) -> tuple[dict[str, Any], bytes] | None:
    """Return claims and signature as the readers of a single segment read them, or None where they refuse one."""
    try:
        return json_object(decode_base64url(claims.encode())), decode_base64url(signature.encode())
    except NotStrictError:
        return None


@settings(deadline=None, derandomize=True, max_examples=200)
@given(
    claims=WHOLE | ENDS | st.text(LOOK_ALIKES, max_size=8),
    signature=st.binary(max_size=12).map(base64url) | ENDS | st.text(LOOK_ALIKES, max_size=8),
)
@example(claims="e30", signature="-_-_")
@example(claims="e30", signature="+/+/")
@example(claims="e30", signature="QQ==")
@example(claims="e30", signature="QR")
@example(claims="e30=", signature="QQ")
@example(claims="e3\n\n\n\n0", signature="QQ")
@example(claims="e31", signature="QQ")
@example(claims="e30", signature="")
@example(claims="", signature="QQ")
@example(claims="eyLDvyI6Ij8_In0", signature="QQ")
@example(claims="eyLDvyI6Ij8/In0", signature="QQ")
def test_token_is_read_exactly_where_its_segments_are(claims: str, signature: str) -> None:
    """A token has the one spelling that each of its segments has: nothing is more, or less, when read as a whole."""
    outcome = verdict(f"{GOOD_HEADERS[0]}.{claims}.{signature}")
    if isinstance(outcome, UnverifiedToken):
        assert (outcome.claims, outcome.signature) == read_apart(claims, signature)
    else:
        assert (outcome, read_apart(claims, signature)) == (MALFORMED, None)


@settings(deadline=None, derandomize=True)
@given(TOKENS)
def test_header_judged_before_changes_no_verdict(token: str) -> None:
    """The shortcut is transparent: same parts, same refusals."""
    assert verdict(token, known_headers=KNOWN_HEADERS) == verdict(token)


def test_header_judged_before_is_not_judged_again() -> None:
    """The shortcut is taken: the key ID is the remembered one, and only for the same bytes."""
    assert parse(compact(), known_headers={GOOD_HEADERS[0].encode(): "remembered"}).kid == "remembered"
    assert parse(compact(), known_headers={GOOD_HEADERS[1].encode(): "remembered"}).kid == "key"


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=f"{document['why'][:8]} {case['section']}: {case['why']}")
        for document in (RFC7515, RFC7519)
        for case in document["refused"]
    ],
)
def test_example_of_the_standards_is_refused(case: dict[str, str]) -> None:
    """None of the examples is a token that Cognito could issue, and each is refused for its own reason."""
    assert verdict(case["token"]) == (getattr(errors, case["error"]), Reason(case["reason"]))


def test_rs256_example_of_the_standard_verifies() -> None:
    """RFC 7515 A.2: read under a key ID that its header lacks, its parts are signed by its key."""
    genuine = RFC7515["genuine"]
    header_segment = genuine["token"].partition(".")[0].encode()
    parts = parse(genuine["token"], known_headers={header_segment: genuine["jwk"]["kid"]})
    assert parts.claims == genuine["claims"]
    keys = KeySet.from_document({"keys": [genuine["jwk"]]})
    keys.by_kid[parts.kid].check_signature(parts.signature, parts.signing_input)


def test_base64url_example_of_the_standard_is_read() -> None:
    """RFC 7515 appendix C."""
    example = RFC7515["base64url"]
    assert list(decode_base64url(example["text"].encode())) == example["octets"]


def test_every_change_of_one_character_changes_the_token() -> None:
    """No two texts are the same token, so that none can stand in for another in a deny-list."""
    token = compact(signature=b"\x01\x02\x03\x04")
    read_as = parse(token)
    changed = (
        token[:position] + character + token[position + 1 :]
        for position, character in itertools.product(range(len(token)), ALPHABET + "=.+/ ")
        if token[position] != character
    )
    assert [text for text in changed if verdict(text) == read_as] == []
