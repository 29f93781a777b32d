"""
Every way this library says no.

CognitoGuardError                          never raised directly
├─ ConfigurationError (also ValueError)    at construction; never an answer to a request
└─ RefusalError                            never raised directly: a request is refused
   ├─ AuthenticationError                  never raised directly: who is calling could not be established
   │  ├─ MissingTokenError
   │  ├─ InvalidRequestError
   │  ├─ InvalidTokenError                 never raised directly
   │  │  ├─ MalformedTokenError
   │  │  ├─ UnsupportedAlgorithmError
   │  │  ├─ UnknownKeyError
   │  │  ├─ InvalidSignatureError
   │  │  ├─ InvalidClaimError
   │  │  │  ├─ ExpiredTokenError
   │  │  │  └─ ImmatureTokenError
   │  │  └─ RevokedTokenError
   │  └─ StepUpRequiredError
   ├─ AuthorizationError                   never raised directly: the caller is known, and may not
   │  ├─ InsufficientScopeError
   │  └─ RequirementNotMetError
   └─ UnavailableError                     nobody's fault: keys or revocations are out of reach

No message, attribute or repr holds a token, a claim value or any part of a request: an attacker
writes those, and a token in a log is a login.  This module knows no HTTP and imports nothing of ours.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Literal

Problem = Literal["missing", "malformed", "mismatch"]


class Reason(StrEnum):
    """
    Why a request was refused: a closed list of stable words for logs, metrics and tests.

    A member is never renamed and never changes its meaning; new ones may be added.
    """

    MISSING_TOKEN = "missing_token"
    """The request carries no bearer token (no credentials, or another scheme)."""
    MALFORMED_HEADER = "malformed_header"
    """The Authorization value is a Bearer one without exactly one token."""
    REPEATED_HEADER = "repeated_header"
    """The request carries more than one Authorization value."""
    SEVERAL_METHODS = "several_methods"
    """The request carries tokens in more than one place."""

    MALFORMED_TOKEN = "malformed_token"
    """Not a compact JWS of three strict base64url segments with JSON objects in the first two."""
    OVERSIZED_TOKEN = "oversized_token"
    """Longer than the limit; nothing of it was read."""
    ENCRYPTED_TOKEN = "encrypted_token"
    """Five segments, a JWE: most likely a refresh token."""
    UNSUPPORTED_ALGORITHM = "unsupported_algorithm"
    """The header's `alg` is not the one that is accepted: RS256 of a user pool."""
    UNSUPPORTED_HEADER = "unsupported_header"
    """The header holds a parameter that changes what the token is (`crit`, `b64`, `zip`, a foreign `typ`)."""
    UNKNOWN_KEY = "unknown_key"
    """No key of this `kid` is published."""
    INVALID_SIGNATURE = "invalid_signature"
    """The signature is not of the key that the header names."""

    MISSING_CLAIM = "missing_claim"
    """A claim that every token of this kind has is absent."""
    MALFORMED_CLAIM = "malformed_claim"
    """A claim in use has the wrong JSON type."""
    WRONG_ISSUER = "wrong_issuer"
    """`iss`, or a load balancer's `signer`, is none of those that are configured."""
    WRONG_TOKEN_USE = "wrong_token_use"
    """An ID token where an access token belongs, the reverse, or neither."""
    WRONG_CLIENT = "wrong_client"
    """Issued to an app client that is not configured."""
    WRONG_AUDIENCE = "wrong_audience"
    """Bound to another resource, or not bound where binding is required."""
    SENDER_CONSTRAINED = "sender_constrained"
    """Carries `cnf`: bound to a key whose possession cannot be checked here."""
    EXPIRED = "expired"
    """`exp` has passed."""
    NOT_YET_VALID = "not_yet_valid"
    """`nbf` has not come yet."""
    ISSUED_IN_FUTURE = "issued_in_future"
    """`iat` lies ahead of our clock by more than the leeway."""
    TOO_OLD = "too_old"
    """Issued longer ago than the configured maximum age."""
    LIFETIME_TOO_LONG = "lifetime_too_long"
    """`exp` minus `iat` is above the configured maximum."""
    REVOKED = "revoked"
    """The application's own revocations hold the token, its sign-in, its user or its client."""

    STALE_AUTHENTICATION = "stale_authentication"
    """The user authenticated longer ago than the operation allows."""
    WEAK_AUTHENTICATION = "weak_authentication"
    """The authentication context class is none that the operation accepts."""

    INSUFFICIENT_SCOPE = "insufficient_scope"
    """A scope that the operation needs is not granted."""
    GROUP_REQUIRED = "group_required"
    """The caller is not in a group that the operation needs."""
    CLIENT_NOT_ALLOWED = "client_not_allowed"
    """The app client may not call this operation."""
    ACTOR_NOT_ALLOWED = "actor_not_allowed"
    """The token is not delegated to an actor that the operation accepts."""
    CLAIM_MISMATCH = "claim_mismatch"
    """A claim has not the value that is needed here."""
    PREDICATE_REFUSED = "predicate_refused"
    """The application's own predicate said no."""
    NO_USER = "no_user"
    """The token is good, and no active user of the application belongs to its caller."""
    EXCLUDED = "excluded"
    """The caller meets a requirement that the operation excludes (`~`)."""
    NOT_ADMITTED = "not_admitted"
    """No rule of a forward auth service admits the request, whoever sends it."""

    KEYS_UNAVAILABLE = "keys_unavailable"
    """No usable verification key is held and the key endpoint is out of reach."""
    REVOCATIONS_UNAVAILABLE = "revocations_unavailable"
    """The application's own revocations are out of reach."""


class CognitoGuardError(Exception):
    """Be the root of every error raised here; never raised directly."""

    def __reduce__(self) -> tuple[object, ...]:
        # The default way calls the class with its message alone, which no class below accepts:
        # an error could not cross a process boundary (Celery, multiprocessing).
        return _restore, (type(self), self.args), self.__dict__


def _restore(cls: type[CognitoGuardError], args: tuple[object, ...]) -> CognitoGuardError:
    return cls.__new__(cls, *args)


class ConfigurationError(CognitoGuardError, ValueError):
    """
    Report a mistake in the configuration, found at construction.

    Attributes:
        setting: the name of the argument or setting.
        problem: what was given and what was expected, in words; never a secret.
    """

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(f"{setting}: {problem}")
        self.setting = setting
        self.problem = problem


class RefusalError(CognitoGuardError):
    """
    Refuse a request; never raised directly.

    Attributes:
        reason: the stable word for it.
        retryable: whether the same request may succeed later, unchanged.
    """

    retryable: ClassVar[bool] = False

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class AuthenticationError(RefusalError):
    """Say that the caller could not be established; never raised directly."""


class MissingTokenError(AuthenticationError):
    """Say that the request carries no bearer token."""

    def __init__(self) -> None:
        super().__init__(Reason.MISSING_TOKEN, "the request carries no bearer token")


class InvalidRequestError(AuthenticationError):
    """Say that the credentials are not one Authorization value with one bearer token (RFC 6750 §3.1)."""


class InvalidTokenError(AuthenticationError):
    """Say that the token is not acceptable; never raised directly."""


class MalformedTokenError(InvalidTokenError):
    """Say that the text is not a JWS of the one form that its issuer writes."""

    def __init__(self, message: str, reason: Reason = Reason.MALFORMED_TOKEN) -> None:
        super().__init__(reason, message)


class UnsupportedAlgorithmError(InvalidTokenError):
    """Say that the header's `alg` is not the one that is accepted."""

    def __init__(self) -> None:
        super().__init__(Reason.UNSUPPORTED_ALGORITHM, "the token is not signed with the one accepted algorithm")


class UnknownKeyError(InvalidTokenError):
    """Say that no key of the token's `kid` is published."""

    def __init__(self) -> None:
        super().__init__(Reason.UNKNOWN_KEY, "no key of this key ID is published")


class InvalidSignatureError(InvalidTokenError):
    """Say that the signature does not match."""

    def __init__(self) -> None:
        super().__init__(Reason.INVALID_SIGNATURE, "the signature does not match")


class InvalidClaimError(InvalidTokenError):
    """
    Say that a claim is missing, malformed or not what this resource server accepts.

    Attributes:
        claim: the claim's name (one of ours, never text out of the token).
        problem: "missing", "malformed" or "mismatch".
    """

    def __init__(self, claim: str, problem: Problem, reason: Reason, message: str) -> None:
        super().__init__(reason, message)
        self.claim = claim
        self.problem: Problem = problem


class ExpiredTokenError(InvalidClaimError):
    """Say that the token's time is over: `exp`, the maximum age."""


class ImmatureTokenError(InvalidClaimError):
    """Say that the token's time has not come: `nbf`, or an `iat` in the future."""


class RevokedTokenError(InvalidTokenError):
    """Say that the token was revoked before its time was over."""

    def __init__(self) -> None:
        super().__init__(Reason.REVOKED, "the token has been revoked")


class StepUpRequiredError(AuthenticationError):
    """
    Say that the operation needs a more recent or a stronger authentication (RFC 9470).

    Attributes:
        max_age: seconds since authentication that the operation allows, or None.
        acr_values: the authentication context classes it accepts, or empty.
    """

    def __init__(self, reason: Reason, *, max_age: float | None, acr_values: tuple[str, ...]) -> None:
        super().__init__(reason, "a more recent or stronger authentication is required")
        self.max_age = max_age
        self.acr_values = acr_values


class AuthorizationError(RefusalError):
    """Say that the caller is known and may not; never raised directly."""


class InsufficientScopeError(AuthorizationError):
    """
    Say that the token does not carry the scopes that the operation needs.

    Attributes:
        required: all scopes that the operation needs, not only the missing ones.
    """

    def __init__(self, required: tuple[str, ...]) -> None:
        super().__init__(Reason.INSUFFICIENT_SCOPE, "the token does not carry every scope the operation needs")
        self.required = required


class RequirementNotMetError(AuthorizationError):
    """Say that the caller lacks what no other token of theirs would bring (groups, claims, predicate, a rule)."""


class UnavailableError(RefusalError):
    """
    Say that no verdict is possible now: the keys, or the revocations, are out of reach.

    Attributes:
        retry_after: seconds after which trying again makes sense.
    """

    retryable: ClassVar[bool] = True

    def __init__(
        self,
        retry_after: float,
        reason: Reason = Reason.KEYS_UNAVAILABLE,
        message: str = "the verification keys are out of reach",
    ) -> None:
        super().__init__(reason, message)
        self.retry_after = retry_after


def missing_claim(claim: str) -> InvalidClaimError:
    """Build the error for a claim that every token of this kind has and this one lacks."""
    return InvalidClaimError(claim, "missing", Reason.MISSING_CLAIM, f"the claim {claim} is missing")


def malformed_claim(claim: str) -> InvalidClaimError:
    """Build the error for a claim of the wrong JSON type."""
    return InvalidClaimError(claim, "malformed", Reason.MALFORMED_CLAIM, f"the claim {claim} is malformed")


def wrong_issuer() -> InvalidClaimError:
    """Build the error for an issuer that nothing is configured for."""
    return InvalidClaimError("iss", "mismatch", Reason.WRONG_ISSUER, "the token's issuer is none of those configured")
