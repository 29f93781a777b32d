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
from http import HTTPStatus

from .errors import (
    AuthenticationError,
    AuthorizationError,
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
from .metadata import ProtectedResource

DEFAULT_REALM = "cognito"
WEBSOCKET_POLICY_VIOLATION = 1008
"""The close code for a WebSocket that is refused where no response can be sent (RFC 6455 §7.4.1)."""

# RFC 6750 §3 for error descriptions; quoted strings of these characters need no escape.
_QUOTABLE = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """
    Hold a response of ours as any framework can send it.

    Attributes:
        status: the HTTP status.
        headers: names and values, ASCII; without Content-Length.
        body: JSON.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge(Reply):
    """
    Hold the answer to a request that was refused.

    Attributes:
        reason: the stable word for it; for logs, not part of the answer.
    """

    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    status: int
    error: str | None
    description: str
    challenged: bool = True


_BAD_TOKEN = _Answer(status=401, error="invalid_token", description="The token is not valid here")
# No challenge: another token of the same caller would not help.
_NOT_ALLOWED = _Answer(
    status=403, error="access_denied", description="The caller is not allowed to do this", challenged=False
)
_ANSWERS: Mapping[type[Exception], _Answer] = {
    # For what an application derives from them.
    AuthenticationError: _BAD_TOKEN,
    AuthorizationError: _NOT_ALLOWED,
    # RFC 6750 §3.1: a request without credentials is told no error code.
    MissingTokenError: _Answer(status=401, error=None, description="Authentication is required"),
    InvalidRequestError: _Answer(
        status=400, error="invalid_request", description="Exactly one bearer token is expected"
    ),
    InvalidTokenError: _BAD_TOKEN,
    ExpiredTokenError: _Answer(status=401, error="invalid_token", description="The token has expired"),
    StepUpRequiredError: _Answer(
        status=401,
        error="insufficient_user_authentication",
        description="A more recent or stronger authentication is required",
    ),
    InsufficientScopeError: _Answer(
        status=403, error="insufficient_scope", description="The token lacks a scope that is required"
    ),
    RequirementNotMetError: _NOT_ALLOWED,
    UnavailableError: _Answer(
        status=503,
        error="temporarily_unavailable",
        description="The token cannot be checked at the moment",
        challenged=False,
    ),
}


def challenge_for(
    error: RefusalError,
    *,
    realm: str = DEFAULT_REALM,
    scopes: Iterable[str] = (),
    resource_metadata: str | None = None,
    problem_details: bool = False,
) -> Challenge:
    """
    Build the answer to a request that was refused.

    Args:
        error: why.
        realm: the protection space, as checked by `check_realm`.
        scopes: all scopes that the operation needs, as far as they are known; those the error names are added.
        resource_metadata: the URL of the protected resource's metadata (RFC 9728 §5.1).
        problem_details: word the body as problem details (RFC 9457) and not as an OAuth error.

    Raises:
        ConfigurationError: a realm, scope or URL that can't stand in a challenge.
    """
    answer = next(_ANSWERS[cls] for cls in type(error).__mro__ if cls in _ANSWERS)
    if isinstance(error, InsufficientScopeError):
        scopes = (*scopes, *error.required)
    needed = tuple(dict.fromkeys(scopes))
    media_type = "application/problem+json" if problem_details else "application/json"
    headers = [("Content-Type", media_type), ("Cache-Control", "no-store")]
    if answer.challenged:
        headers.append(("WWW-Authenticate", _bearer_challenge(error, answer, realm, needed, resource_metadata)))
    if isinstance(error, UnavailableError):
        headers.append(("Retry-After", str(max(1, math.ceil(error.retry_after)))))
    body = _problem(error, answer, needed) if problem_details else _oauth_error(answer)
    return Challenge(
        status=answer.status,
        headers=tuple(headers),
        body=json.dumps({name: value for name, value in body.items() if value}).encode(),
        reason=error.reason,
    )


def metadata_reply(metadata: ProtectedResource) -> Reply:
    """Return the response that holds a protected resource's metadata (RFC 9728 §3.2)."""
    # Cacheable and open to every origin: clients in browsers read it before they have any token.
    headers = (
        ("Content-Type", "application/json"),
        ("Cache-Control", "public, max-age=3600"),
        ("Access-Control-Allow-Origin", "*"),
    )
    return Reply(status=200, headers=headers, body=metadata.document)


def check_realm(realm: str) -> None:
    """Raise ConfigurationError unless the realm can stand in a challenge as it is."""
    if not isinstance(realm, str) or not _QUOTABLE.fullmatch(realm):
        raise ConfigurationError("realm", "expected printable ASCII without quotes and backslashes")


def _oauth_error(answer: _Answer) -> dict[str, object]:
    return {"error": answer.error, "error_description": answer.description}


def _problem(error: RefusalError, answer: _Answer, needed: tuple[str, ...]) -> dict[str, object]:
    required = needed if isinstance(error, InsufficientScopeError) else ()
    return {
        "title": HTTPStatus(answer.status).phrase,
        "status": answer.status,
        "detail": answer.description,
        "error": answer.error,
        "required_scopes": required,
    }


def _bearer_challenge(
    error: RefusalError, answer: _Answer, realm: str, needed: tuple[str, ...], resource_metadata: str | None
) -> str:
    # Always at least one parameter (a bare scheme is not conformant), and always quoted.
    parameters = {"realm": realm}
    if answer.error is not None:
        parameters |= {"error": answer.error, "error_description": answer.description}
    if isinstance(error, StepUpRequiredError):
        if error.max_age is not None:
            parameters["max_age"] = str(int(error.max_age))
        parameters["acr_values"] = " ".join(error.acr_values)
    elif not isinstance(error, InvalidRequestError):
        parameters["scope"] = " ".join(needed)
    parameters["resource_metadata"] = resource_metadata or ""
    given = {name: value for name, value in parameters.items() if value}
    for name, value in given.items():
        if not _QUOTABLE.fullmatch(value):
            raise ConfigurationError(name, "expected printable ASCII without quotes and backslashes")
    return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in given.items())
