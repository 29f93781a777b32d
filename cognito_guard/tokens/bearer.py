"""
From a request's Authorization values to the text of one token (RFC 6750 §2.1).

Nothing here looks into the token.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast

from ..errors import InvalidRequestError, MissingTokenError, Reason

HeaderValue: TypeAlias = str | bytes
Headers: TypeAlias = Mapping[str, str] | Iterable[tuple[HeaderValue, HeaderValue]]
"""Request headers: a mapping, or pairs as ASGI has them; names in any case."""


class EnvironHeaders(Mapping[str, str]):
    """Show the headers of a WSGI environ, or of Django's `META`, without a walk through it; names in any case."""

    __slots__ = ("environ",)

    def __init__(self, environ: Mapping[str, Any]) -> None:
        """Take the environ."""
        self.environ: Mapping[str, Any] = environ

    def __getitem__(self, name: str) -> str:
        value: str = self.environ["HTTP_" + name.upper().replace("-", "_")]
        return value

    def __iter__(self) -> Iterator[str]:
        return (key[5:].replace("_", "-") for key in self.environ if key.startswith("HTTP_"))

    def __len__(self) -> int:
        return sum(1 for _ in self)


# RFC 9110 §5.6.2.
TOKEN_CHARS = frozenset("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_AUTHORIZATION = ("authorization", b"authorization")
_NAME_LENGTH = len("authorization")


def authorization_values(headers: Headers) -> Sequence[HeaderValue]:
    """Collect every Authorization value; servers and frameworks differ in what they make of several."""
    if type(headers) is EnvironHeaders:
        value = headers.environ.get("HTTP_AUTHORIZATION")
        return [] if value is None else [value]
    # ASGI's list first: to ask whether it is a Mapping takes longer than to read it.
    pairs: Any = headers if type(headers) is list else _pairs(headers)  # pyright: ignore[reportUnknownVariableType]
    # The length first: it spares most names the rest, for every request.
    values: list[HeaderValue] = []
    for name, value in pairs:
        if len(name) == _NAME_LENGTH and name.lower() in _AUTHORIZATION:
            values.append(value)
    return values


def header_values(headers: Headers, name: str) -> list[str]:
    """Collect every value of a header; the name is lower-case."""
    if isinstance(headers, EnvironHeaders):
        value = headers.get(name)
        return [] if value is None else [value]
    spellings = (name, name.encode())
    return [_text(value) for key, value in _pairs(headers) if key.lower() in spellings]


def bearer_token(values: Sequence[HeaderValue]) -> str:
    """
    Return the one token of the one Bearer value.

    Args:
        values: all Authorization values of the request, as they stand there.

    Raises:
        MissingTokenError: no value, or one of another scheme (`Basic`, `AWS4-HMAC-SHA256`, `DPoP`).
        InvalidRequestError: several values, or a Bearer value with no token or more than one.
    """
    if not values:
        raise MissingTokenError
    if len(values) > 1:
        # Two parsers that pick different ones are how a request is smuggled past a guard.
        raise InvalidRequestError(Reason.REPEATED_HEADER, "the request carries more than one Authorization value")
    text = _text(values[0])
    scheme, _, token = text.partition(" ")
    # WSGI servers join repeated headers with a comma, which no token holds.
    if scheme.lower() != "bearer" or not token or " " in token or "\t" in token or "," in token:
        return _odd_token(text.strip(" \t"))
    return token


def _odd_token(text: str) -> str:
    """Return the token of a value that is not one scheme, one space and one token: it may have more spaces."""
    scheme, _, token = text.partition(" ")
    if not token or scheme.lower() != "bearer":
        _refuse_other(text)
    token = token.lstrip(" ")
    if " " in token or "\t" in token or "," in token:
        raise InvalidRequestError(Reason.MALFORMED_HEADER, "expected exactly one bearer token")
    return token


def _pairs(headers: Headers) -> Iterable[tuple[HeaderValue, HeaderValue]]:
    return cast("Mapping[str, str]", headers).items() if isinstance(headers, Mapping) else headers


def _text(value: HeaderValue) -> str:
    # Bytes of a header are latin-1 by ASGI and WSGI alike; decoding them so can't fail, and the
    # token's intake refuses what is not ASCII.
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _refuse_other(text: str) -> None:
    """Tell another scheme from a Bearer value that is broken (`Bearer`, `Bearer<TAB>x`, `Bearer,`)."""
    scheme = text[:6].lower()
    if scheme == "bearer" and text[6:7] not in TOKEN_CHARS:
        raise InvalidRequestError(Reason.MALFORMED_HEADER, "expected exactly one bearer token")
    if any(part.strip(" \t")[:7].lower() == "bearer " for part in text.split(",")[1:]):
        # Two headers that a WSGI server has joined: `Basic x,Bearer y`.
        raise InvalidRequestError(Reason.REPEATED_HEADER, "the request carries more than one Authorization value")
    raise MissingTokenError
