"""
The texts in which API Gateway writes what a token held.

Pure.  A text is read only where it can be read in one way: a wrong guess at a group is somebody's right.
"""

from __future__ import annotations

import re
from calendar import monthrange, timegm
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any, cast
from urllib.parse import quote, unquote

from ..errors import malformed_claim

_DATE = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) ([0-3][0-9]) "
    r"([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9]) (?:UTC|GMT) ([12][0-9]{3})"
)
_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"
_DIGITS = re.compile(r"[0-9]{1,15}")
_BLANKS = " \t\r\n"
_SAFE = "!\"#$&'()*+,/:;<=>?@[\\]^`{|}~"


class Asserted(StrEnum):
    """Say whose word it is."""

    REST = "rest"
    """The COGNITO_USER_POOLS authorizer of a REST API: every value a text."""
    HTTP = "http"
    """The JWT authorizer of an HTTP API: every value a text."""
    APPSYNC = "appsync"
    """AppSync's user pool authorization: values as they were in the token."""
    AUTHORIZER = "authorizer"
    """A Lambda authorizer that returns `flat_context`, ours by default."""


def seconds(claim: str, value: object) -> int:
    """
    Return a time in seconds since the epoch: a number, its digits, or a REST API's `Tue Nov 17 08:12:34 UTC 2026`.

    Raises:
        InvalidClaimError: none of these.
    """
    if type(value) is int:
        return value
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    match = _DATE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise malformed_claim(claim)
    # By hand: strptime reads the names of the machine's own language.
    year, month = int(match[6]), _MONTHS.index(match[1]) // 3 + 1
    day, hour, minute, second = (int(match[group]) for group in (2, 3, 4, 5))
    if not 1 <= day <= monthrange(year, month)[1]:
        raise malformed_claim(claim)
    return timegm((year, month, day, hour, minute, second))


def truth(claim: str, value: object) -> bool:
    """Return a boolean, or one written as text; raise InvalidClaimError for all else, "True" and 1 included."""
    if isinstance(value, bool):
        return value
    if value not in ("true", "false"):
        raise malformed_claim(claim)
    return value == "true"


def group_names(claim: str, value: object, asserted_by: Asserted, *, plain: bool) -> frozenset[str]:
    """
    Return the names in a list of groups, however it is written.

    A user pool's own group names may hold commas and brackets, and those that a trigger puts into a token (pre token
    generation) blanks.  So neither an HTTP API's `[a b]` nor a REST API's `a,b` can be read in one way: each may be
    one group.

    Args:
        claim: the claim's name, for the error.
        value: its value.
        asserted_by: who wrote it.
        plain: whether it is known that no name has white space, a comma or a bracket.

    Raises:
        InvalidClaimError: it is no such list, or can be read in two ways.
    """
    if isinstance(value, list):
        return frozenset(_checked(claim, cast("Iterable[Any]", value)))
    if not isinstance(value, str):
        raise malformed_claim(claim)
    if asserted_by is Asserted.AUTHORIZER:
        return _unjoined(claim, value)
    is_bracketed = value[:1] == "[" and value[-1:] == "]"
    if is_bracketed and plain:
        return frozenset(_checked(claim, _split(value[1:-1], " "), f"{_BLANKS},[]"))
    if is_bracketed and asserted_by is Asserted.HTTP:
        return frozenset(_checked(claim, _split(value[1:-1], None), _BLANKS))
    return frozenset(_checked(claim, _split(value, "," if plain else None), f"{_BLANKS},[]"))


def joined(names: frozenset[str]) -> str:
    """Write names so that `group_names` reads the same ones: with spaces between them, percent-encoded inside."""
    return " ".join(sorted(quote(name, safe=_SAFE, errors="surrogatepass") for name in names))


def _unjoined(claim: str, text: str) -> frozenset[str]:
    try:
        return frozenset(unquote(name, errors="surrogatepass") for name in text.split(" ") if name)
    except UnicodeDecodeError:
        raise malformed_claim(claim) from None


def _split(text: str, separator: str | None) -> list[str]:
    if not text:
        return []
    return [text] if separator is None else text.split(separator)


def _checked(claim: str, names: Iterable[Any], forbidden: str = "") -> Iterator[str]:
    for name in names:
        if not isinstance(name, str) or not name or not frozenset(forbidden).isdisjoint(name):
            raise malformed_claim(claim)
        yield name
