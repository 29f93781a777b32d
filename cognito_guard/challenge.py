"""
From an error to the answer on the wire: the only module that knows HTTP statuses.

The words are those of RFC 6750 §3 and RFC 9470 §3.  Every string is a constant of ours or a configured
value: what a token or a request said never comes back, and all bad tokens get one answer (but for the
expired, which tells its owner to refresh it), so that the answer is no oracle.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .errors import (
    ConfigurationError,
    ExpiredTokenError,
    InsufficientScopeError,
    InvalidRequestError,
    InvalidTokenError,
    MissingTokenError,
    Reason,
    RefusalError,
    RequirementNotMetError,
    StepUpRequiredError,
    UnavailableError,
)

DEFAULT_REALM = "cognito"
WEBSOCKET_POLICY_VIOLATION = 1008
"""The close code for a WebSocket that is refused where no response can be sent (RFC 6455 §7.4.1)."""

# RFC 6750 §3 for error descriptions; quoted strings of these characters need no escape.
_QUOTABLE = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """
    Hold a refusal as any framework can send it.

    Attributes:
        status: the HTTP status.
        headers: names and values, ASCII; without Content-Length.
        body: JSON.
        reason: the stable word for it; for logs, not part of the answer.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    status: int
    error: str | None
    description: str
    challenged: bool = True


_ANSWERS: Mapping[type[Exception], _Answer] = {
    # RFC 6750 §3.1: a request without credentials is told no error code.
    MissingTokenError: _Answer(status=401, error=None, description="Authentication is required"),
    InvalidRequestError: _Answer(
        status=400, error="invalid_request", description="Exactly one bearer token is expected"
    ),
    InvalidTokenError: _Answer(status=401, error="invalid_token", description="The token is not valid here"),
    ExpiredTokenError: _Answer(status=401, error="invalid_token", description="The token has expired"),
    StepUpRequiredError: _Answer(
        status=401,
        error="insufficient_user_authentication",
        description="A more recent or stronger authentication is required",
    ),
    InsufficientScopeError: _Answer(
        status=403, error="insufficient_scope", description="The token lacks a scope that is required"
    ),
    # No challenge: another token of the same caller would not help.
    RequirementNotMetError: _Answer(
        status=403, error="access_denied", description="The caller is not allowed to do this", challenged=False
    ),
    UnavailableError: _Answer(
        status=503,
        error="temporarily_unavailable",
        description="The token cannot be checked at the moment",
        challenged=False,
    ),
}


def challenge_for(error: RefusalError, *, realm: str = DEFAULT_REALM, scopes: Iterable[str] = ()) -> Challenge:
    """
    Build the answer to a request that was refused.

    Args:
        error: why.
        realm: the protection space, as checked by `check_realm`.
        scopes: all scopes that the operation needs, as far as they are known; those the error names are added.
    """
    answer = next(_ANSWERS[cls] for cls in type(error).__mro__ if cls in _ANSWERS)
    headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
    if answer.challenged:
        headers.append(("WWW-Authenticate", _bearer_challenge(error, answer, realm, scopes)))
    if isinstance(error, UnavailableError):
        headers.append(("Retry-After", str(max(1, math.ceil(error.retry_after)))))
    body = {"error": answer.error, "error_description": answer.description}
    return Challenge(
        status=answer.status,
        headers=tuple(headers),
        body=json.dumps({name: value for name, value in body.items() if value}).encode(),
        reason=error.reason,
    )


def check_realm(realm: str) -> None:
    """Raise ConfigurationError unless the realm can stand in a challenge as it is."""
    if not isinstance(realm, str) or not _QUOTABLE.fullmatch(realm):
        raise ConfigurationError("realm", "expected printable ASCII without quotes and backslashes")


def _bearer_challenge(error: RefusalError, answer: _Answer, realm: str, scopes: Iterable[str]) -> str:
    # Always at least one parameter (a bare scheme is not conformant), and always quoted.
    parameters = {"realm": realm}
    if answer.error is not None:
        parameters |= {"error": answer.error, "error_description": answer.description}
    if isinstance(error, InsufficientScopeError):
        scopes = (*scopes, *error.required)
    if isinstance(error, StepUpRequiredError):
        if error.max_age is not None:
            parameters["max_age"] = str(int(error.max_age))
        parameters["acr_values"] = " ".join(error.acr_values)
    elif not isinstance(error, InvalidRequestError):
        parameters["scope"] = " ".join(dict.fromkeys(scopes))
    return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in parameters.items() if value)
