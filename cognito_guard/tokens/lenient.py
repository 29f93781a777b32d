"""
What can be read of a token, part by part: for a developer's eyes, and never for a verdict.

Each part is read by `jws` and its strict rules; where they refuse one, the others are read all the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from ..errors import RefusalError
from .jws import JSONObject, NotStrictError, UnverifiedToken, decode_base64url, json_object, parse

_T = TypeVar("_T")

MAX_SHOWN = 200
"""How many characters of one value are shown."""
_SEGMENTS = 3
_OTHER_SEGMENTS = ".e30."  # of a token without claims, {}
_SOME_KEY_ID = "?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """
    Hold what can be read of a token, and why the rest can't.

    Attributes:
        in_text: why it is no three segments, or None.
        in_header: why its header is not that of a user pool's token, or None.
        in_payload: why its claims or its signature can't be read, or None.
        header: its JOSE header, as far as it can be read.
        token: its parts; the key ID is right only where the header is.  None where text or payload can't be read.
    """

    in_text: RefusalError | None = None
    in_header: RefusalError | None = None
    in_payload: RefusalError | None = None
    header: JSONObject = field(default_factory=dict[str, Any], repr=False)
    token: UnverifiedToken | None = None

    @property
    def refusal(self) -> RefusalError | None:
        """What `parse` says of the whole."""
        return self.in_text or self.in_header or self.in_payload

    @property
    def claims(self) -> JSONObject | None:
        """The claims, where they can be read."""
        return None if self.token is None else self.token.claims


def read(token: object, *, max_bytes: int) -> Reading:
    """
    Read a token as far as possible.

    Args:
        token: anything at all.
        max_bytes: the longest token looked at.
    """
    text = cast("str", token)
    _, refusal = tried(lambda: parse(text, max_bytes=max_bytes))
    if not isinstance(token, str) or not token.isascii() or len(token) > max_bytes or token.count(".") + 1 != _SEGMENTS:
        return Reading(in_text=refusal)
    segment = token.partition(".")[0]
    header: JSONObject = {}
    with suppress(NotStrictError):
        header = json_object(decode_base64url(segment.encode()))
    alone = segment + _OTHER_SEGMENTS
    _, in_header = tried(lambda: parse(alone, max_bytes=len(alone)))
    # A header that is known is not judged.
    known = {segment.encode(): _SOME_KEY_ID}
    rest, in_payload = tried(lambda: parse(token, max_bytes=max_bytes, known_headers=known))
    if rest is not None and in_header is None:
        rest = rest._replace(kid=header["kid"])
    return Reading(in_header=in_header, in_payload=in_payload, header=header, token=rest)


def tried(ask: Callable[[], _T]) -> tuple[_T | None, RefusalError | None]:
    """Return what is answered, or why it is refused."""
    try:
        return ask(), None
    except RefusalError as refusal:
        return None, refusal


def shown(value: object) -> str:
    """Return a JSON value on one line of visible ASCII, and not too much of it: it may want to steer a terminal."""
    is_plain = isinstance(value, str) and value.isascii() and value.isprintable() and value
    return shortened(str(value) if is_plain else json.dumps(value), MAX_SHOWN)


def shortened(text: str, length: int) -> str:
    """Return a text of at most so many characters."""
    return text if len(text) <= length else f"{text[: length - 3]}..."
