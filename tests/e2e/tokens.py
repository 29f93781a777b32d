"""Who signs in, and the tokens that come of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import jwt

USER = "zelestica"
VISITOR = "visitor"
GROUP = "uspool"
PASSWORD = "Passw0rd!Passw0rd!"
RESOURCE_SERVER = "transactions"
SIGN_IN_SCOPE = "aws.cognito.signin.user.admin"
"""The one scope that a token of a user-pool API sign-in carries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What a sign-in or a refresh brings; a refresh brings no new refresh token, and a machine gets one token."""

    access: str = field(repr=False)
    id: str = field(default="", repr=False)
    refresh: str = field(default="", repr=False)


def claims_of(token: str) -> dict[str, Any]:
    """Read the claims of a token without verifying anything."""
    return dict(jwt.decode(token, options={"verify_signature": False}))
