"""
Claims as Cognito writes them.

Pure: no key, no clock and no chance in here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import Enum
from hashlib import sha256
from typing import Final

from ..errors import ConfigurationError
from .keys import base64url


class Absent(Enum):
    """The type of `ABSENT`."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return self.name


ABSENT: Final = Absent.ABSENT
"""A claim or header parameter of this value is left out of the token."""

TOKEN_LIFETIME = 3600  # seconds, Cognito's default
ADMIN_SCOPE = "aws.cognito.signin.user.admin"  # all that a sign-in through the SDK grants
OPENID_SCOPES = ("openid", "email", "phone", "profile")


def at_hash(access_token: str) -> str:
    """Return what binds an ID token to the access token issued with it (OpenID Connect Core §3.1.3.6)."""
    return base64url(sha256(access_token.encode()).digest()[:16])


def custom_attributes(attributes: Mapping[str, object]) -> dict[str, str]:
    """Return the claims of custom attributes, given without their prefix: strings, whatever their type."""
    return {f"custom:{name}": _text(value) for name, value in attributes.items()}


def shows_all_attributes(scopes: Collection[str]) -> bool:
    """Tell whether the scopes grant every attribute: `profile` does, and `openid` by itself."""
    return "profile" in scopes or not {"email", "phone"} & set(scopes)


def names(setting: str, given: Sequence[str]) -> tuple[str, ...]:
    """
    Return several names as a tuple.

    Raises:
        ConfigurationError: a lone string, which is a sequence too and would become one name per letter.
    """
    if isinstance(given, str):
        raise ConfigurationError(setting, f"expected several names, got the one string {given!r}")
    return tuple(given)


def without_absent(members: Mapping[str, object]) -> dict[str, object]:
    """Leave out what is `ABSENT`."""
    return {name: value for name, value in members.items() if value is not ABSENT}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
