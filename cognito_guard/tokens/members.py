"""
Members of a JSON object by their type, and a verified token's claims as a value that nobody can change.

What verifiers share, most of it those of other tokens than a user pool's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, TypeVar, cast

from ..errors import ExpiredTokenError, Reason, malformed_claim, missing_claim

# Beyond it a JSON number is not exact everywhere, and arithmetic with floats overflows in the end.
_MAX_TIME = 2**53
_Kind = TypeVar("_Kind", bound="VerifiedClaims")


def text_of(members: Mapping[str, Any], name: str) -> str:
    """
    Return a member that is a string, and not an empty one.

    Raises:
        InvalidClaimError: it is missing, or anything else.
    """
    value = members.get(name)
    if type(value) is not str or not value:
        raise malformed_claim(name) if name in members else missing_claim(name)
    return value


def time_of(members: Mapping[str, Any], name: str) -> int:
    """
    Return a member that is a time, in whole seconds since the epoch.

    Raises:
        InvalidClaimError: it is missing, or anything else.
    """
    value = members.get(name)
    # Not isinstance: true and false are ints to Python, and no time of day.
    if type(value) is not int or not 0 <= value <= _MAX_TIME:
        raise malformed_claim(name) if name in members else missing_claim(name)
    return value


def check_not_expired(members: Mapping[str, Any], now: float, leeway: float) -> None:
    """
    Check that `exp` lies ahead (RFC 7519 §4.1.4).

    Raises:
        InvalidClaimError: it is missing, malformed, or has passed.
    """
    # It must hold for the token to pass: with a clock that tells no time (NaN) it does not.
    if not now - leeway < time_of(members, "exp"):
        raise ExpiredTokenError("exp", "mismatch", Reason.EXPIRED, "the token has expired")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class VerifiedClaims:
    """
    Hold a verified token's claims.

    Attributes:
        claims: all of them, read-only to the last leaf: objects as mappings, arrays as tuples.
    """

    claims: Mapping[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "claims", frozen(self.claims))

    @property
    def subject(self) -> str:
        """The `sub` claim: who calls."""
        return str(self.claims["sub"])

    def __hash__(self) -> int:
        return hash((type(self), self.claims.get("sub")))

    def __reduce__(self) -> tuple[object, ...]:
        # The default way stops at a read-only mapping: a value could not cross a process boundary.
        return _restore, (type(self), {field.name: thawed(getattr(self, field.name)) for field in fields(self)})

    def __repr__(self) -> str:
        # No claim value: it may be an e-mail address, and a repr ends up in logs.
        return f"<{type(self).__name__} {len(self.claims)} claims>"


def _restore(kind: type[_Kind], members: Mapping[str, Any]) -> _Kind:
    return kind(**members)


def frozen(value: Any) -> Any:
    """Return a JSON value as one that nobody can change: objects as read-only mappings, arrays as tuples."""
    if isinstance(value, Mapping):
        members = cast("Mapping[str, Any]", value)
        return MappingProxyType({name: frozen(member) for name, member in members.items()})
    if isinstance(value, list | tuple):
        return tuple(frozen(item) for item in cast("Iterable[Any]", value))
    return value


def thawed(value: Any) -> Any:
    """Copy a JSON value, or what `frozen` made of one, to the last leaf, as JSON is read."""
    if isinstance(value, Mapping):
        members = cast("Mapping[str, Any]", value)
        return {name: thawed(member) for name, member in members.items()}
    if isinstance(value, list | tuple):
        return [thawed(item) for item in cast("Iterable[Any]", value)]
    return value
