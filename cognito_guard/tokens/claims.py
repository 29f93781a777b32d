"""
The checks of single claims: JSON types and times.

`now` is an argument: this module never reads a clock.  A claim that is missing, malformed or
mismatching is told apart, and a claim nobody here knows is never a reason to refuse: Cognito adds
claims without notice, and a pool's triggers add any.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeAlias

from ..errors import (
    ExpiredTokenError,
    ImmatureTokenError,
    InvalidClaimError,
    Reason,
    malformed_claim,
    missing_claim,
)
from .jws import UnverifiedToken

_REQUIRED = ("iss", "sub", "token_use", "exp", "iat")
# The exact JSON types that Cognito documents for the claims a Principal shows.  `type(...) is` and
# not `isinstance`: true and false are ints to Python, and no time of day.
_TYPES: Mapping[str, type] = {
    "iss": str,
    "sub": str,
    "token_use": str,
    "exp": int,
    "iat": int,
    "nbf": int,
    "auth_time": int,
    "client_id": str,
    "scope": str,
    "username": str,
    "cognito:username": str,
    "cognito:groups": list,
    "jti": str,
    "origin_jti": str,
    "acr": str,
    "amr": list,
    "act": dict,
}
# Beyond it a JSON number is not exact everywhere, and arithmetic with floats overflows in the end.
_MAX_TIME = 2**53


Refuse: TypeAlias = Callable[[InvalidClaimError], object]
"""Takes a refusal: raises it, as for every token that is verified, or collects it, as for one that is explained."""

_NO_GROUPS: list[str] = []
_STRINGS = frozenset({str})


def refuse(error: InvalidClaimError) -> NoReturn:
    """Raise the refusal: the first one decides."""
    try:
        raise error
    finally:
        # Held here, it would hold itself by its traceback, until the garbage collector comes: a quarter of what a
        # replayed expired token costs.
        del error


def issuer_of(unverified: UnverifiedToken) -> str:
    """
    Return the issuer that a token claims to have: nobody has vouched for it yet.

    Raises:
        InvalidClaimError: it is missing or malformed.
    """
    issuer = unverified.claims.get("iss")
    if type(issuer) is not str:
        raise malformed_claim("iss") if "iss" in unverified.claims else missing_claim("iss")
    return issuer


def check_types(claims: Mapping[str, Any]) -> None:
    """
    Check that what every Cognito token has is there, and that what is used has its documented type.

    Raises:
        InvalidClaimError: a claim is missing or malformed.
    """
    get = claims.get
    try:
        # One expression says yes to nearly every token: a walk through the table takes twice as long.
        if (
            type(claims["iss"]) is str
            and type(subject := claims["sub"]) is str
            and subject
            and type(claims["token_use"]) is str
            and type(expires_at := claims["exp"]) is int
            and type(issued_at := claims["iat"]) is int
            and type(auth_time := get("auth_time", 0)) is int
            # Also where it does not expire after it was issued, the walk decides.
            and 0 <= issued_at <= expires_at <= _MAX_TIME
            and 0 <= auth_time <= expires_at
            and type(get("client_id", "")) is str
            and type(get("scope", "")) is str
            and type(get("username", "")) is str
            and type(get("cognito:username", "")) is str
            and type(groups := get("cognito:groups", _NO_GROUPS)) is list
            and _STRINGS.issuperset(map(type, groups))  # pyright: ignore[reportUnknownArgumentType]
            and type(get("jti", "")) is str
            and type(get("origin_jti", "")) is str
            and not ("nbf" in claims or "acr" in claims or "amr" in claims or "act" in claims)
        ):
            return
    except KeyError:
        pass
    _walk(claims)


def _walk(claims: Mapping[str, Any]) -> None:
    """Check the types one by one, and raise for the first that is wrong."""
    for name in _REQUIRED:
        if name not in claims:
            raise missing_claim(name)
    for name, value in claims.items():
        expected = _TYPES.get(name)
        if expected is not None and type(value) is not expected:
            raise malformed_claim(name)
        if expected is int and not 0 <= value <= _MAX_TIME:
            raise malformed_claim(name)
        if expected is list and not all(type(item) is str for item in value):
            raise malformed_claim(name)
    if not claims["sub"]:
        raise malformed_claim("sub")


def surely_in_time(claims: Mapping[str, Any], leeway: float, max_token_age: float | None) -> tuple[float, float]:
    """
    Return two wall times between which `check_times` passes a token that it has passed before.

    One second narrower on each side than the whole truth: nothing is then left to rounding.
    """
    issued_at: int = claims["iat"]
    last: float = claims["exp"] if max_token_age is None else min(claims["exp"], issued_at + max_token_age)
    return max(issued_at, claims.get("nbf", 0)) - leeway + 1, last + leeway - 1


def check_times(
    claims: Mapping[str, Any],
    now: float,
    leeway: float,
    max_token_age: float | None = None,
    max_token_lifetime: float | None = None,
    refuse: Refuse = refuse,
) -> None:
    """
    Check that the token's time is now (RFC 7519 §4.1.4 to §4.1.6).

    Args:
        claims: claims of checked types.
        now: wall time in seconds since the epoch.
        leeway: seconds by which the two clocks may differ, either way.
        max_token_age: seconds since `iat`, or None for no bound.
        max_token_lifetime: seconds between `iat` and `exp`, or None for no bound.
        refuse: takes each refusal; the rest is looked at where it returns.

    Raises:
        ExpiredTokenError: `exp` has passed, or the token is older than `max_token_age`.
        ImmatureTokenError: `nbf` or `iat` lies ahead.
        InvalidClaimError: the lifetime is above `max_token_lifetime`.
    """
    expires_at: int = claims["exp"]
    issued_at: int = claims["iat"]
    # Each comparison must hold for the token to pass: with a clock that tells no time (NaN) none does.
    if not now - leeway < expires_at:
        refuse(ExpiredTokenError("exp", "mismatch", Reason.EXPIRED, "the token has expired"))
    if "nbf" in claims and not now + leeway >= claims["nbf"]:
        refuse(ImmatureTokenError("nbf", "mismatch", Reason.NOT_YET_VALID, "the token is not valid yet"))
    if not now + leeway >= issued_at:
        refuse(ImmatureTokenError("iat", "mismatch", Reason.ISSUED_IN_FUTURE, "the token was issued in the future"))
    if max_token_age is not None and not now - leeway <= issued_at + max_token_age:
        refuse(ExpiredTokenError("iat", "mismatch", Reason.TOO_OLD, "the token is older than the maximum age"))
    if max_token_lifetime is not None and not expires_at - issued_at <= max_token_lifetime:
        refuse(
            InvalidClaimError("exp", "mismatch", Reason.LIFETIME_TOO_LONG, "the token lives longer than the maximum")
        )
