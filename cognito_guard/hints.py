"""
What a refusal most likely comes from, in Cognito's terms, and what to do about it.

Pure: a refusal and what is known of the token go in, one line comes out.  It may name what the token holds, and is for
whoever holds the token: a developer, never a log or a response.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

from .errors import InsufficientScopeError, InvalidClaimError, Reason, RefusalError
from .pool import UserPool
from .tokens.lenient import shown
from .tokens.policy import Policy

_ADMIN_SCOPE = "aws.cognito.signin.user.admin"
_IDENTITY_POOL_ISSUER = "https://cognito-identity.amazonaws.com"
_AWS_ISSUER = re.compile(
    r"https://(?P<updated>issuer-)?cognito-idp\.(?P<region>[a-z0-9-]{1,30})\.amazonaws\.(?:com|com\.cn|eu)"
    r"/(?P<pool>[\w-]{1,40}_[0-9a-zA-Z]{1,15})",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """
    Hold what is known of a token that was refused.

    Attributes:
        pool: the verifier's user pool.
        policy: which tokens it accepts.
        max_token_bytes: how long they may be.
        keys_are_given: its keys were given, and are never fetched.
        now: wall time in seconds since the epoch.
        token: whatever came as a token.
        claims: its claims, as far as they can be read.
    """

    pool: UserPool
    policy: Policy
    max_token_bytes: int
    keys_are_given: bool
    now: float
    token: object = field(repr=False)
    claims: Mapping[str, Any] = field(repr=False)


_Hint: TypeAlias = Callable[[RefusalError, Evidence], str]


def hint_for(refusal: RefusalError, evidence: Evidence) -> str:
    """Return one line for a developer; a refusal that nothing more is known of speaks for itself."""
    hint = _HINTS.get(refusal.reason)
    return str(refusal) if hint is None else hint(refusal, evidence)


def is_machines(claims: Mapping[str, Any]) -> bool:
    """Tell whether an app client speaks for itself with an access token, going by claims that may be anything."""
    subject = claims.get("sub")
    is_clients = subject is not None and subject == claims.get("client_id")
    return claims.get("token_use") == "access" and "username" not in claims and is_clients


def _plain(text: str) -> _Hint:
    return lambda _refusal, _evidence: text


def _malformed_token(_: RefusalError, evidence: Evidence) -> str:
    token = evidence.token
    if not isinstance(token, str):
        return f"expected the token as str, got {type(token).__name__}"
    if token[:7].lower() == "bearer ":
        return "`Bearer ` is part of the header and not of the token: pass what stands behind it"
    if token != token.strip() or token[:1] in ("'", '"'):
        return "there is white space or a quotation mark around the token: pass the bare text"
    if token.count(".") != 2:  # noqa: PLR2004 - of three segments
        return "an access token is three segments joined by dots: this was cut off, or is another kind of credential"
    return "changed on its way (cut off, padded, decoded and encoded anew), or not made by Cognito"


def _oversized_token(_: RefusalError, evidence: Evidence) -> str:
    return f"longer than max_token_bytes ({evidence.max_token_bytes}): groups and custom claims make tokens long"


def _wrong_issuer(_: RefusalError, evidence: Evidence) -> str:
    issuer, pool = str(evidence.claims.get("iss")), evidence.pool
    found = _AWS_ISSUER.fullmatch(issuer)
    if found is None:
        return _foreign_issuer(issuer, pool)
    if found["pool"] != pool.user_pool_id:
        return f"a token of the user pool {found['pool']}; the verifier is configured for {pool.user_pool_id}"
    configured = [_AWS_ISSUER.fullmatch(known) for known in pool.issuers]
    if None in configured:
        return "issued by AWS, and the verifier is configured for an emulator: leave issuer= out"
    forms = [bool(known and known["updated"]) for known in configured]
    if bool(found["updated"]) not in forms:
        form, pinned = ("updated", "original") if found["updated"] else ("original", "updated")
        return f"issued with the {form} issuer, and the verifier is pinned to {pinned}: leave issuer_format at 'both'"
    return f"issued in the Region {found['region']}: name it in replica_regions, if the user pool is replicated there"


def _foreign_issuer(issuer: str, pool: UserPool) -> str:
    if issuer == _IDENTITY_POOL_ISSUER:
        return "a token of an identity pool: cognito_guard.identity_pool verifies those"
    if issuer.rstrip("/").lower() in {known.rstrip("/").lower() for known in pool.issuers}:
        return (
            "differs from the configured issuer in a slash or in the case of a letter: they are compared byte by byte"
        )
    if issuer.startswith("http://"):
        return "a token of an emulator: CognitoVerifier.for_emulator knows its issuer"
    return (
        "not a user pool's issuer: of a person who signs in with another provider, send the token that Cognito issued"
    )


def _unknown_key(_: RefusalError, evidence: Evidence) -> str:
    if evidence.keys_are_given:
        return "not among the keys given as jwks=, which are never fetched anew: is the document up to date?"
    return "the user pool publishes no such key: it was rotated away, or another pool signed in this one's name"


def _missing_claim(refusal: RefusalError, _: Evidence) -> str:
    return f"{_claim(refusal)} is in every such token of a user pool: this one is of another maker"


def _malformed_claim(refusal: RefusalError, _: Evidence) -> str:
    return f"Cognito never writes {_claim(refusal)} like this: the token is of another maker"


def _wrong_token_use(_: RefusalError, evidence: Evidence) -> str:
    sent = evidence.claims.get("token_use")
    if sent == "id":
        return "this is an ID token, which is for the app that signed the user in: send the access token"
    if sent == "access":
        return "this is an access token, and ID tokens are expected (token_use): send the ID token"
    return "neither an access token nor an ID token: send the access token"


def _expired(_: RefusalError, evidence: Evidence) -> str:
    return f"expired {evidence.now - evidence.claims['exp']:.0f} seconds ago: the client must refresh it"


def _not_yet_valid(_: RefusalError, evidence: Evidence) -> str:
    ahead = evidence.claims["nbf"] - evidence.now
    return f"valid in {ahead:.0f} seconds: wait, or set this machine's clock if it is behind"


def _issued_in_future(_: RefusalError, evidence: Evidence) -> str:
    ahead = evidence.claims["iat"] - evidence.now
    return f"issued {ahead:.0f} seconds ahead of this machine's clock, more than leeway allows: set the clock"


def _too_old(_: RefusalError, evidence: Evidence) -> str:
    age, bound = evidence.now - evidence.claims["iat"], evidence.policy.max_token_age
    return f"issued {age:.0f} seconds ago, and max_token_age is {bound:g}: the client must refresh it"


def _lifetime_too_long(_: RefusalError, evidence: Evidence) -> str:
    lifetime, bound = evidence.claims["exp"] - evidence.claims["iat"], evidence.policy.max_token_lifetime
    return f"lives for {lifetime} seconds, and max_token_lifetime is {bound:g}: shorten it at the app client"


def _wrong_audience(refusal: RefusalError, evidence: Evidence) -> str:
    resources = sorted(evidence.policy.resources)
    if isinstance(refusal, InvalidClaimError) and refusal.problem == "missing":
        if is_machines(evidence.claims):
            return "a machine token cannot carry aud: exempt its client, resource_binding={client: 'optional'}"
        return f"not bound to a resource: the client must ask for it when it signs in, resource={resources[0]}"
    if not resources:
        return "bound to an API (aud), and this one has no resource configured: was it meant for another API?"
    return f"bound to another API (aud): the client must ask for this one when it signs in, resource={resources[0]}"


def _insufficient_scope(refusal: RefusalError, evidence: Evidence) -> str:
    required = refusal.required if isinstance(refusal, InsufficientScopeError) else ()
    if evidence.claims.get("token_use") == "id":
        return "an ID token carries no scopes: send the access token"
    granted = str(evidence.claims.get("scope", "")).split()
    full = next((scope for scope in granted if "/" in scope and scope.rpartition("/")[2] in required), None)
    if full is not None:
        return f"a custom scope has the name of its resource server before it: require {shown(full)}"
    if granted == [_ADMIN_SCOPE]:
        return f"a sign-in through the SDK yields {_ADMIN_SCOPE} and never a custom scope: use managed login, or groups"
    if is_machines(evidence.claims):
        return "allow the custom scope for the app client; it has all that are allowed when it asks for none"
    return "the client must ask for the scope when it signs in, and be allowed to"


def _group_required(_: RefusalError, evidence: Evidence) -> str:
    if is_machines(evidence.claims):
        return "a machine is in no group: require a scope of it"
    if "cognito:groups" not in evidence.claims:
        return "the user was in no group when the token was issued: after a change, refresh it"
    return "the user is in other groups, which are compared whole and in exact case; after a change, refresh the token"


def _actor_not_allowed(_: RefusalError, evidence: Evidence) -> str:
    if "act" in evidence.claims:
        return "delegated to another actor than the operation accepts"
    return "not delegated: a token has act only where it was exchanged for another (GetDerivedToken)"


def _claim_mismatch(_: RefusalError, evidence: Evidence) -> str:
    if evidence.claims.get("token_use") == "access":
        return "an access token carries no user attributes, unless a pre-token-generation trigger adds them"
    return "values are compared whole and with their JSON type: Cognito writes custom attributes as strings"


def _weak_authentication(_: RefusalError, evidence: Evidence) -> str:
    if "acr" in evidence.claims:
        return "the user must sign in again, with a stronger factor"
    return "the token carries no acr: not every user pool issues it"


def _stale_authentication(_: RefusalError, evidence: Evidence) -> str:
    auth_time = evidence.claims.get("auth_time")
    if auth_time is None:
        return "the token carries no auth_time"
    return f"signed in {evidence.now - auth_time:.0f} seconds ago; refreshing does not change that: sign in again"


def _claim(refusal: RefusalError) -> str:
    return cast("InvalidClaimError", refusal).claim


_HINTS: Mapping[Reason, _Hint] = {
    Reason.MALFORMED_TOKEN: _malformed_token,
    Reason.OVERSIZED_TOKEN: _oversized_token,
    Reason.ENCRYPTED_TOKEN: _plain(
        "five segments: a refresh token, which nobody but Cognito can read; send the access token"
    ),
    Reason.UNSUPPORTED_ALGORITHM: _plain(
        "a user pool signs with RS256 and nothing else: the token is of another maker"
    ),
    Reason.UNSUPPORTED_HEADER: _plain("a user pool writes kid and alg and nothing else: the token is of another maker"),
    Reason.UNKNOWN_KEY: _unknown_key,
    Reason.KEYS_UNAVAILABLE: _plain("the key endpoint is out of reach: `cognito-guard doctor` shows why"),
    Reason.INVALID_SIGNATURE: _plain("changed after it was signed, or signed by another pool in this one's name"),
    Reason.MISSING_CLAIM: _missing_claim,
    Reason.MALFORMED_CLAIM: _malformed_claim,
    Reason.WRONG_ISSUER: _wrong_issuer,
    Reason.WRONG_TOKEN_USE: _wrong_token_use,
    Reason.WRONG_CLIENT: _plain(
        "issued to an app client that client_id does not name: add it, or sign in with another"
    ),
    Reason.WRONG_AUDIENCE: _wrong_audience,
    Reason.REVOKED: _plain("your application has revoked it, its sign-in, user, client or pool: sign in anew"),
    Reason.REVOCATIONS_UNAVAILABLE: _plain("the store behind revocations= failed: the log names the error"),
    Reason.SENDER_CONSTRAINED: _plain("bound to a key (cnf) whose possession cannot be checked here"),
    Reason.EXPIRED: _expired,
    Reason.NOT_YET_VALID: _not_yet_valid,
    Reason.ISSUED_IN_FUTURE: _issued_in_future,
    Reason.TOO_OLD: _too_old,
    Reason.LIFETIME_TOO_LONG: _lifetime_too_long,
    Reason.STALE_AUTHENTICATION: _stale_authentication,
    Reason.WEAK_AUTHENTICATION: _weak_authentication,
    Reason.INSUFFICIENT_SCOPE: _insufficient_scope,
    Reason.GROUP_REQUIRED: _group_required,
    Reason.CLIENT_NOT_ALLOWED: _plain("the operation is for other app clients"),
    Reason.ACTOR_NOT_ALLOWED: _actor_not_allowed,
    Reason.CLAIM_MISMATCH: _claim_mismatch,
    Reason.PREDICATE_REFUSED: _plain("the application's own predicate returned something else than True"),
    Reason.EXCLUDED: _plain("the operation excludes this caller (~)"),
}
