"""
Where in a request a token may stand: the header always, anything else only where it is asked for.

The query string is not among them: it ends up in logs, histories and referrers (RFC 9700 §4.3.2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias, cast

from ..errors import ConfigurationError, InvalidRequestError, MissingTokenError, Reason
from .bearer import TOKEN_CHARS, Headers, authorization_values, bearer_token, header_values

Extractor: TypeAlias = Callable[[Headers], str | None]
"""From a request's headers to the token in one place, or None where it has none there."""


def header() -> Extractor:
    """Take the token from the Authorization header, as every resource server must (RFC 6750 §2.1)."""

    def extract(headers: Headers) -> str | None:
        try:
            return bearer_token(authorization_values(headers))
        except MissingTokenError:
            return None

    return extract


def cookie(name: str) -> Extractor:
    """
    Take the token from a cookie.

    A browser sends cookies by itself: whoever accepts them must guard against forged cross-site requests.

    Raises:
        ConfigurationError: a name that no cookie can have.
    """
    _check_name("cookie", name)

    def extract(headers: Headers) -> str | None:
        pairs = [pair.partition("=") for value in header_values(headers, "cookie") for pair in value.split(";")]
        found = [value.strip(" \t") for key, _, value in pairs if key.strip(" \t") == name]
        if len(found) > 1:
            raise InvalidRequestError(Reason.REPEATED_HEADER, "the request carries the cookie more than once")
        return found[0] if found and found[0] else None

    return extract


class websocket_subprotocol:  # noqa: N801  (used as header() and cookie(...) are)
    """
    Take the token from a WebSocket's subprotocols, the one place where a browser can put it: `[marker, token]`.

    Attributes:
        marker: the subprotocol that stands before the token, and the only one that is ever echoed.
    """

    def __init__(self, marker: str = "bearer") -> None:
        """
        Take the marker.

        Raises:
            ConfigurationError: one that no subprotocol can have.
        """
        _check_name("websocket_subprotocol", marker)
        self.marker = marker

    def __call__(self, headers: Headers) -> str | None:
        """Return the token, or None where the marker is not offered."""
        values = header_values(headers, "sec-websocket-protocol")
        offered = [entry.strip(" \t") for value in values for entry in value.split(",")]
        if self.marker not in offered:
            return None
        if offered[0] != self.marker or len(offered) != 2:  # noqa: PLR2004
            raise InvalidRequestError(Reason.MALFORMED_HEADER, "expected the marker and one token as subprotocols")
        return offered[1]


def one_token(token_from: Iterable[Extractor], headers: Headers) -> str | None:
    """
    Return the one token of a request, or None where it has none.

    Raises:
        InvalidRequestError: it uses several ways, which none may (RFC 6750 §2), or one of them wrongly.
    """
    # Every extractor reads them: an iterator would be used up by the first.
    kept: Headers = cast("Mapping[str, str]", headers) if isinstance(headers, Mapping) else tuple(headers)
    tokens = [token for token in (extract(kept) for extract in token_from) if token is not None]
    if len(tokens) > 1:
        raise InvalidRequestError(Reason.SEVERAL_METHODS, "the request carries tokens in more than one place")
    return tokens[0] if tokens else None


def _check_name(setting: str, name: str) -> None:
    if not isinstance(name, str) or not name or not TOKEN_CHARS.issuperset(name):
        raise ConfigurationError(setting, f"expected a name without white space and separators, got {name!r}")
