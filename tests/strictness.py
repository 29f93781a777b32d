"""Why this library refuses what others accept: every such case by name, with its reason and how to tell it."""

from __future__ import annotations

import json
import math
import re
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mutations import LEEWAY, RESOURCE, Mutant

from cognito_guard import Reason
from cognito_guard.testing.keys import base64url
from cognito_guard.tokens.jws import MAX_JSON_DEPTH, MAX_TOKEN_BYTES, is_array

LATEST_TIME = 2**53
TYPES = ("JWT", "jwt", "application/jwt", "at+jwt", "application/at+jwt")
_LONG_NUMBER = re.compile(rb"[0-9]{4301}")


class Reading:
    """Read a presented token as leniently as can be, to tell what is odd about it."""

    def __init__(self, mutant: Mutant) -> None:
        self.token = mutant.token
        self.now = mutant.now

    @cached_property
    def octets(self) -> tuple[bytes, bytes]:
        """The octets of header and payload."""
        header, payload, _ = self.token.split(".")
        return urlsafe_b64decode(f"{header}=="), urlsafe_b64decode(f"{payload}==")

    @cached_property
    def header(self) -> dict[str, Any]:
        """The JOSE header."""
        return loaded(self.octets[0])

    @cached_property
    def claims(self) -> dict[str, Any]:
        """The claims."""
        return loaded(self.octets[1])

    @property
    def is_canonical(self) -> bool:
        """Whether each segment is what an encoder writes."""
        segments = self.token.split(".")
        return segments == [base64url(urlsafe_b64decode(f"{segment}==")) for segment in segments]

    def both(self, is_odd: Callable[[bytes], bool]) -> bool:
        """Tell whether header or payload are odd."""
        return any(map(is_odd, self.octets))

    def claim(self, is_right: Callable[[Any], bool], *names: str) -> bool:
        """Tell whether one of the claims is there and not right."""
        return any(not is_right(self.claims[name]) for name in names if name in self.claims)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stricter:
    """
    Hold a case in which we refuse what another library accepts.

    Attributes:
        why: the reason for it.
        reason: how we word the refusal.
        applies: whether a token is such a case.
    """

    why: str
    reason: Reason
    applies: Callable[[Reading], bool]


def loaded(octets: bytes, **hooks: Any) -> dict[str, Any]:
    """Read a JSON object in any encoding, with marks in place of what is in none."""
    try:
        return dict(json.loads(octets, **hooks))
    except UnicodeDecodeError:
        return dict(json.loads(octets.decode(errors="replace"), **hooks))


def repeats_a_member(octets: bytes) -> bool:
    """Tell whether some object has a member twice."""
    repeated: list[bool] = []

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        repeated.append(len(dict(pairs)) < len(pairs))
        return dict(pairs)

    loaded(octets, object_pairs_hook=members)
    return any(repeated)


def holds_a_constant(octets: bytes) -> bool:
    """Tell whether NaN or Infinity stands in there as a number."""
    constants: list[str] = []
    loaded(octets, parse_constant=constants.append)
    return bool(constants)


def holds_an_infinite_number(octets: bytes) -> bool:
    """Tell whether a number is too large for a double."""
    numbers: list[str] = []
    loaded(octets, parse_float=numbers.append)
    return any(math.isinf(float(number)) for number in numbers)


def is_not_utf8(octets: bytes) -> bool:
    """Tell whether it is in another encoding, or marked as UTF-8."""
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        return True
    return text.startswith("\ufeff") or "\0" in text


def holds_a_lone_surrogate(octets: bytes) -> bool:
    """Tell whether an escape stands for half a character."""
    try:
        json.dumps(loaded(octets), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def is_time(value: object) -> bool:
    """Tell a time as Cognito writes it."""
    return type(value) is int and 0 <= value <= LATEST_TIME


def is_text(value: object) -> bool:
    """Tell a text."""
    return isinstance(value, str)


def is_texts(value: object) -> bool:
    """Tell a list of texts."""
    return is_array(value) and all(map(is_text, value))


FORM: Mapping[str, Stricter] = {
    # First, because the others read the JSON.
    "deep nesting": Stricter(
        why="the interpreter's own bound differs by version and by stack",
        reason=Reason.MALFORMED_TOKEN,
        applies=lambda read: read.both(lambda octets: octets.count(b"[") + octets.count(b"{") > MAX_JSON_DEPTH),
    ),
    "another spelling of base64url": Stricter(
        why="RFC 7515 §2: no padding, and no bits to spare, or every token has several spellings",
        reason=Reason.MALFORMED_TOKEN,
        applies=lambda read: not read.is_canonical,
    ),
    "a parameter that changes what the token is": Stricter(
        why="compressed, encrypted, nested and unencoded payloads, extensions, even none (RFC 7515 §4.1.11)",
        reason=Reason.UNSUPPORTED_HEADER,
        applies=lambda read: not {"crit", "b64", "zip", "enc", "cty"}.isdisjoint(read.header),
    ),
    "another kind of token": Stricter(
        why="RFC 8725 §3.11: explicit typing keeps tokens of other kinds out",
        reason=Reason.UNSUPPORTED_HEADER,
        applies=lambda read: read.header.get("typ", "JWT") not in TYPES,
    ),
    "a member twice": Stricter(
        why="RFC 7515 §4 and RFC 7519 §4: which of the two counts differs by parser",
        reason=Reason.MALFORMED_TOKEN,
        applies=lambda read: read.both(repeats_a_member),
    ),
    "a number that JSON does not have": Stricter(
        why="RFC 8259 §6: NaN and Infinity are no JSON, and compare with nothing",
        reason=Reason.MALFORMED_TOKEN,
        applies=lambda read: read.both(holds_a_constant),
    ),
    "a number beyond doubles": Stricter(
        why="RFC 8259 §6: what one parser reads as infinite, and writes as no JSON, another refuses or keeps",
        reason=Reason.MALFORMED_TOKEN,
        applies=lambda read: read.both(holds_an_infinite_number),
    ),
    "another encoding than UTF-8": Stricter(
        why="RFC 7519 §7.2: the octets are UTF-8, without a byte order mark",
        reason=Reason.MALFORMED_TOKEN,
        applies=lambda read: read.both(is_not_utf8),
    ),
    "a lone surrogate": Stricter(
        why="no log and no database takes such text",
        reason=Reason.MALFORMED_TOKEN,
        applies=lambda read: read.both(holds_a_lone_surrogate),
    ),
    "a long token": Stricter(
        why="the work that anybody can cause is bounded",
        reason=Reason.OVERSIZED_TOKEN,
        applies=lambda read: len(read.token) > MAX_TOKEN_BYTES,
    ),
}
"""What is odd about the token's form, whatever it says."""

BEYOND_PYTHON: Mapping[str, Stricter] = {
    "a number of thousands of digits": Stricter(
        why="Python converts none, and the work for it grows with the square",
        reason=Reason.MALFORMED_TOKEN,
        applies=lambda read: read.both(lambda octets: _LONG_NUMBER.search(octets) is not None),
    ),
}
"""What no Python library accepts either."""

CLAIMS: Mapping[str, Stricter] = {
    "a time that is no whole number of seconds": Stricter(
        why="Cognito's are; texts and truth values are no times to anybody, and beyond 2^53 numbers are not exact",
        reason=Reason.MALFORMED_CLAIM,
        applies=lambda read: read.claim(is_time, "exp", "iat", "nbf", "auth_time"),
    ),
    "an empty subject": Stricter(
        why="an empty key in an application's tables is nobody's account",
        reason=Reason.MALFORMED_CLAIM,
        applies=lambda read: not read.claims["sub"],
    ),
    "a text claim of another type": Stricter(
        why="what a principal shows as text is text",
        reason=Reason.MALFORMED_CLAIM,
        applies=lambda read: read.claim(is_text, "username", "cognito:username", "origin_jti", "acr"),
    ),
    "authentication methods of another type": Stricter(
        why="what a principal shows as a list of texts is one",
        reason=Reason.MALFORMED_CLAIM,
        applies=lambda read: read.claim(is_texts, "amr"),
    ),
    "an actor of another type": Stricter(
        why="RFC 8693 §4.1: an actor is an object",
        reason=Reason.MALFORMED_CLAIM,
        applies=lambda read: read.claim(lambda value: isinstance(value, dict), "act"),
    ),
}
"""What is odd about the types of its claims."""

NO_COGNITO_CHECKS: Mapping[str, Stricter] = {
    "no time or subject": Stricter(
        why="a token without `exp` never dies, and every token of Cognito's has all three",
        reason=Reason.MISSING_CLAIM,
        applies=lambda read: not {"exp", "iat", "sub"} <= read.claims.keys(),
    ),
    "expired to the second": Stricter(
        why="RFC 7519 §4.1.4: on `exp` itself a token is no longer accepted",
        reason=Reason.EXPIRED,
        applies=lambda read: read.now == read.claims["exp"] + LEEWAY,
    ),
    "issued in the future": Stricter(
        why="its issuer's clock or ours is wrong, and no other check of time means anything then",
        reason=Reason.ISSUED_IN_FUTURE,
        applies=lambda read: read.claims["iat"] > read.now + LEEWAY,
    ),
    "groups of another type": Stricter(
        why="what a principal shows as a set of texts is made of them",
        reason=Reason.MALFORMED_CLAIM,
        applies=lambda read: read.claim(is_texts, "cognito:groups"),
    ),
    "an audience of nobody": Stricter(
        why="a list of no audiences names nobody, and an empty text no one",
        reason=Reason.MALFORMED_CLAIM,
        applies=lambda read: not all(as_list(read.claims.get("aud", "x")) or [""]),
    ),
    "another audience": Stricter(
        why="RFC 7519 §4.1.3: a token bound to another resource was not minted for this one",
        reason=Reason.WRONG_AUDIENCE,
        applies=lambda read: not {RESOURCE, read.claims["client_id"]} & set(as_list(read.claims["aud"])),
    ),
    "a sender-constrained token": Stricter(
        why="RFC 9449 §7.1: not to be taken as a plain bearer token",
        reason=Reason.SENDER_CONSTRAINED,
        applies=lambda read: "cnf" in read.claims,
    ),
}
"""What is left to a library's user where it knows JWTs, or ID tokens, but not all of Cognito's access tokens."""


def as_list(value: Any) -> list[Any]:
    """Return what may stand alone as a list."""
    return value if is_array(value) else [value]
