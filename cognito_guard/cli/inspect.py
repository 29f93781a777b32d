"""
Show what a token says, without asking whether it is true.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..errors import Reason
from ..explain import utc
from ..hints import is_machines
from ..tokens.jws import MAX_TOKEN_BYTES
from ..tokens.lenient import Reading, read, shown
from .given import no_token, token_given

_TIMES = ("exp", "iat", "nbf", "auth_time")
# The years 1 to 9999, in seconds since the epoch.
_CALENDAR = range(-62_135_596_800, 253_402_300_800)
_UNITS = (("days", 86_400), ("h", 3600), ("min", 60), ("s", 1))
_NOT_VERIFIED = "NOT VERIFIED: anybody can write such a token; `cognito-guard explain` verifies it"


def run_inspect(*, as_json: bool, clock: Callable[[], float] = time.time) -> int:
    """
    Read the token that is given, and print what it says.

    Args:
        as_json: print one JSON object.
        clock: wall time, seconds since the epoch.

    Returns:
        0 where all of it can be read, 1 where not, 2 where there is none.
    """
    token = token_given()
    if not token:
        return no_token()
    reading = read(token, max_bytes=MAX_TOKEN_BYTES)
    print(json.dumps(_document(reading), indent=2) if as_json else "\n".join(_lines(reading, clock())))
    return 0 if reading.refusal is None else 1


def _document(reading: Reading) -> dict[str, Any]:
    refusal = reading.refusal
    return {
        "verified": False,
        "kind": _kind(reading),
        "problem": None if refusal is None else str(refusal),
        "reason": None if refusal is None else refusal.reason,
        "header": reading.header,
        "claims": reading.claims,
    }


def _lines(reading: Reading, now: float) -> Iterator[str]:
    yield _NOT_VERIFIED
    yield ""
    yield _kind(reading)
    if reading.refusal is not None:
        yield f"{reading.refusal.reason}: {reading.refusal}"
    yield from _members("header", reading.header, now)
    if reading.token is not None:
        yield from _members("claims", reading.token.claims, now)
        yield f"signature of {len(reading.token.signature)} bytes, not shown"


def _members(title: str, members: Mapping[str, Any], now: float) -> Iterator[str]:
    if not members:
        return
    yield title
    names = [shown(name) for name in members]
    width = max(map(len, names))
    for name, value in zip(names, members.values(), strict=True):
        is_time = name in _TIMES and type(value) is int and value in _CALENDAR
        told = f"{shown(value)}  {_when(value, now)}" if is_time else shown(value)
        yield f"  {name.ljust(width)}  {told}"


def _when(seconds: int, now: float) -> str:
    """Tell a time of day and how far away it is, in the largest unit of which it is two or more."""
    distance = abs(seconds - now)
    unit, size = next((one for one in _UNITS if distance >= 2 * one[1]), _UNITS[-1])
    amount = f"{distance / size:.0f} {unit}"
    return f"{utc(seconds)}, {f'in {amount}' if seconds > now else f'{amount} ago'}"


def _kind(reading: Reading) -> str:
    """Name what kind of token it seems to be."""
    if reading.in_text is not None:
        encrypted = reading.in_text.reason is Reason.ENCRYPTED_TOKEN
        return "a refresh token, encrypted" if encrypted else "not a token that can be read"
    claims = reading.claims
    if claims is None:
        return "not a token that can be read"
    if claims.get("token_use") == "access":
        return f"an access token of a {'machine' if is_machines(claims) else 'person'}"
    return "an ID token of a person" if claims.get("token_use") == "id" else "not a token of a user pool"
