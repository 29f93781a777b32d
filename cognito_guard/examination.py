"""
The examination of a token, which finds out why it is accepted or refused.

The checks are those of `verify` and `authorize`, asked one by one and to the end, where those two stop at the first
that fails.  Nothing here decides anything: a report lets nobody in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from .errors import ConfigurationError, InvalidClaimError, Reason, RefusalError, wrong_issuer
from .explain import Check, Explanation, Outcome, utc
from .hints import Evidence, hint_for
from .keys.keyset import Key
from .keys.source import KeySource, StaticKeys
from .pool import UserPool
from .principal import Principal, principal_of
from .requires import Requirement, Requires
from .revocations import RevocationCheck
from .tokens.claims import check_types, issuer_of
from .tokens.lenient import MAX_SHOWN, read, shortened, shown, tried
from .tokens.policy import ANY_CLIENT, Policy, audience

# What the checks of client and audience look at first: a `token_use` that says which claims name the recipient.
_RECIPIENT = "recipient"
# What a claim is taken for where it is missing or malformed, so that the others can be judged.
_STAND_INS: Mapping[str, Any] = {"iss": "?", "sub": "?", "token_use": "access", "exp": 0, "iat": 0}
_CHECK_OF: Mapping[Reason, str] = {
    Reason.WRONG_TOKEN_USE: "token use",
    Reason.EXPIRED: "expiry",
    Reason.NOT_YET_VALID: "not before",
    Reason.ISSUED_IN_FUTURE: "issue time",
    Reason.TOO_OLD: "age",
    Reason.LIFETIME_TOO_LONG: "lifetime",
    Reason.WRONG_CLIENT: "client",
    Reason.WRONG_AUDIENCE: "audience",
    Reason.SENDER_CONSTRAINED: "key binding",
}
# In the order in which Requires judges them: its field, the name of the check, and the claim that it is about.
_DEMANDS = (
    ("groups", "groups", "cognito:groups"),
    ("any_groups", "any groups", "cognito:groups"),
    ("client_id", "allowed client", "client_id"),
    ("actor", "actor", "act"),
    ("claims", "claim values", ""),
    ("predicate", "predicate", ""),
    ("scopes", "scopes", "scope"),
    ("any_scopes", "any scopes", "scope"),
    ("acr", "acr", "acr"),
    ("max_age", "max age", "auth_time"),
)
_NO_DEMAND: tuple[object, ...] = (None, (), frozenset[str](), dict[str, object]())


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """
    Hold what a verifier judges by.

    Attributes:
        pool: the user pool.
        policy: which tokens are accepted.
        keys: finds keys.
        max_token_bytes: the longest token that is looked at.
        revocations: tells whether a token was revoked, or None.
        floor: what every token must meet, or None.
        granted_scopes: from a principal to its scopes and those they imply.
        clock: wall time, seconds since the epoch.
    """

    pool: UserPool
    policy: Policy
    keys: KeySource
    max_token_bytes: int
    revocations: RevocationCheck | None
    floor: Requires | None
    granted_scopes: Callable[[Principal], frozenset[str]]
    clock: Callable[[], float]


def explain(token: str, requirement: Requirement | None, judge: Judge) -> Explanation:
    """
    Make every check that can be made.

    Args:
        token: anything at all.
        requirement: what an operation demands, or None.
        judge: what the verifier judges by.

    Raises:
        ConfigurationError: the requirement is none.
    """
    if requirement is not None and not isinstance(requirement, Requirement):
        raise ConfigurationError("requirement", f"expected a Requires, got {type(requirement).__name__}")
    examination = _Examination(token, judge)
    examination.read()
    examination.vouch()
    principal = examination.judge_claims()
    examination.ask_revocations(principal)
    examination.authorize(principal, requirement)
    return examination.explanation()


class _Examination:
    """Collect what the checks say of one token, in their order; each method makes some."""

    def __init__(self, token: object, judge: Judge) -> None:
        self._token = token
        self._judge = judge
        self._reading = read(token, max_bytes=judge.max_token_bytes)
        self._claims = self._reading.claims
        self._checks: list[Check] = []
        self._failed = False
        self._now = math.nan

    def read(self) -> None:
        """Check text, header and payload."""
        token, reading, limit = self._token, self._reading, self._judge.max_token_bytes
        is_text, header = reading.in_text is None, reading.header
        length = f"{len(token)} characters" if isinstance(token, str) else type(token).__name__
        self._note("text", f"three segments, at most {limit} bytes of ASCII", length, reading.in_text)
        self._note("header", "alg RS256, a kid", _listed(header), reading.in_header, asked=is_text)
        members = "" if self._claims is None else f"{len(self._claims)} claims"
        self._note("payload", "base64url of a JSON object", members, reading.in_payload, asked=is_text)

    def vouch(self) -> None:
        """Check issuer, key and signature; no key is asked for before the issuer is one of ours."""
        judge, token = self._judge, self._reading.token
        issuer, refusal = None, None
        if token is not None:
            issuer, refusal = tried(lambda: issuer_of(token))
            if issuer is not None and issuer not in judge.pool.jwks_uris:
                refusal = wrong_issuer()
        self._note("issuer", " or ".join(judge.pool.issuers), self._shown("iss"), refusal, asked=token is not None)
        key, refusal = None, None
        if token is not None and issuer is not None and not self._failed:
            key, refusal = self._key(issuer, token.kid)
        kid = self._reading.header.get("kid")
        found = "" if kid is None else shown(kid)
        self._note("key", "one that the user pool publishes", found, refusal, asked=key is not None)
        refusal = None
        if token is not None and key is not None:
            _, refusal = tried(lambda: key.check_signature(token.signature, token.signing_input))
        self._note("signature", "the key's", "", refusal, asked=key is not None)

    def judge_claims(self) -> Principal | None:
        """Check types, times and recipient; return whom the claims speak of, where they are well-formed."""
        judge, is_readable = self._judge, self._claims is not None
        # As late as `verify` does it: a fetch of keys takes its time.
        self._now = judge.clock()
        sound, untyped = _well_typed(self._claims or {})
        # The issuer had a check of its own.
        told = {name: refusal for name, refusal in untyped.items() if name != "iss" and is_readable}
        problems = ", ".join(f"{name} {refusal.problem}" for name, refusal in told.items())
        refusal = next(iter(told.values()), None)
        self._note("claims", "those of a user pool, well typed", problems, refusal, asked=is_readable)
        unusable = set(untyped)
        if "token_use" in untyped or sound["token_use"] not in ("access", "id"):
            unusable.add(_RECIPIENT)
        refusals = _refusals(judge.policy, sound, self._now)
        for name, needed, expected, found in self._claim_checks(judge.policy):
            asked = is_readable and unusable.isdisjoint(needed)
            self._note(name, expected, found, refusals.get(name) if asked else None, asked=asked)
        ill_formed = {Reason.MISSING_CLAIM, Reason.MALFORMED_CLAIM} & {refusal.reason for refusal in refusals.values()}
        if unusable or ill_formed:
            return None
        return principal_of(sound, judge.pool.user_pool_id)

    def ask_revocations(self, principal: Principal | None) -> None:
        """Ask whether the token was revoked, of one that nothing else refuses: the store is not ours."""
        revocations = self._judge.revocations
        if revocations is None:
            return
        asked, refusal = principal is not None and not self._failed, None
        if principal is not None and asked:
            _, refusal = tried(lambda: revocations.check(principal))
        self._note("revocation", "not revoked", "", refusal, asked=asked)

    def authorize(self, principal: Principal | None, requirement: Requirement | None) -> None:
        """Check what every token must meet, and what the operation demands."""
        if self._judge.floor is not None:
            scopes = self._judge.floor
            self._demand("required scopes", scopes, ", ".join(scopes.needed_scopes), self._shown("scope"), principal)
        if requirement is None:
            return
        if type(requirement) is not Requires:
            # Composed, or somebody's own: it is asked as a whole.
            self._demand("requirement", requirement, "met", "", principal, alone=True)
            return
        for argument, name, claim in _DEMANDS:
            value = getattr(requirement, argument)
            if value in _NO_DEMAND:
                continue
            found = self._pairs(value) if argument == "claims" else self._time(claim)
            part, alone = Requires(**{argument: value}), argument == "predicate"
            self._demand(name, part, _expected(value), found, principal, alone=alone)

    def explanation(self) -> Explanation:
        """Return what was collected."""
        reason = next((check.reason for check in self._checks if check.outcome == "failed"), None)
        return Explanation(accepted=not self._failed, reason=reason, checks=tuple(self._checks))

    def _key(self, issuer: str, kid: str) -> tuple[Key | None, RefusalError | None]:
        keys = self._judge.keys
        return tried(lambda: keys.held(kid) or keys.get(issuer, kid))

    def _claim_checks(self, policy: Policy) -> Iterator[tuple[str, tuple[str, ...], str, str]]:
        """Yield each check of claims: its name, the claims it looks at, what passes, and what is there."""
        now, claims = self._now, self._claims or {}
        last, first = f"after {utc(now - policy.leeway)}", f"by {utc(now + policy.leeway)}"
        yield "token use", ("token_use",), _expected(policy.token_uses), self._shown("token_use")
        yield "expiry", ("exp",), last, self._time("exp")
        yield "not before", ("nbf",), first, self._time("nbf")
        yield "issue time", ("iat",), first, self._time("iat")
        if policy.max_token_age is not None:
            yield "age", ("iat",), f"at most {policy.max_token_age:g} seconds", self._time("iat")
        if policy.max_token_lifetime is not None:
            yield "lifetime", ("exp", "iat"), f"at most {policy.max_token_lifetime:g} seconds", self._time("exp")
        clients = "any" if policy.client_ids is ANY_CLIENT else _expected(policy.client_ids)
        if claims.get("token_use") == "id":
            yield "client", (_RECIPIENT,), clients, self._shown("aud")
        else:
            yield "client", (_RECIPIENT, "client_id"), clients, self._shown("client_id")
            yield "audience", (_RECIPIENT, "client_id"), _audiences(policy), self._shown("aud")
        yield "key binding", (), "none", self._shown("cnf")

    def _demand(
        self,
        name: str,
        demand: Requirement,
        expected: str,
        found: str,
        principal: Principal | None,
        *,
        alone: bool = False,
    ) -> None:
        """Ask one demand; code that is not ours is asked only of a caller whom nothing else refuses."""
        if principal is None or (alone and self._failed):
            self._note(name, expected, found, asked=False)
            return
        refusal = demand.refusal(principal, self._judge.granted_scopes(principal), self._now)
        self._note(name, expected, found, refusal)

    def _note(
        self, name: str, expected: str, found: str, refusal: RefusalError | None = None, *, asked: bool = True
    ) -> None:
        outcome: Outcome = "failed" if refusal is not None else "passed" if asked else "skipped"
        self._failed = self._failed or refusal is not None
        self._checks.append(
            Check(
                name=name,
                outcome=outcome,
                reason=None if refusal is None else refusal.reason,
                expected=expected,
                found=found,
                hint="" if refusal is None else hint_for(refusal, self._evidence()),
            )
        )

    def _evidence(self) -> Evidence:
        judge = self._judge
        return Evidence(
            pool=judge.pool,
            policy=judge.policy,
            max_token_bytes=judge.max_token_bytes,
            keys_are_given=isinstance(judge.keys, StaticKeys),
            now=self._now,
            token=self._token,
            claims=self._claims or {},
        )

    def _shown(self, claim: str) -> str:
        return shown(self._claims[claim]) if self._claims is not None and claim in self._claims else ""

    def _pairs(self, names: Iterable[str]) -> str:
        claims = self._claims or {}
        return _listed({name: claims[name] for name in names if name in claims})

    def _time(self, claim: str) -> str:
        value = (self._claims or {}).get(claim)
        return utc(value) if type(value) is int else self._shown(claim)


def _expected(value: Any) -> str:
    """Return a demand as text."""
    if callable(value):
        return "True"
    if isinstance(value, Mapping):
        return _listed(cast("Mapping[str, object]", value))
    if isinstance(value, Iterable):
        return ", ".join(map(shown, sorted(cast("Iterable[str]", value))))
    return f"at most {value:g} seconds ago"


def _listed(members: Mapping[str, object]) -> str:
    return shortened(", ".join(f"{shown(name)} {shown(value)}" for name, value in members.items()), MAX_SHOWN)


def _audiences(policy: Policy) -> str:
    """Return in words what an access token may be bound to."""
    resources = _expected(policy.resources)
    if not policy.binding_required:
        return f"none, the client, {resources}" if resources else "none, the client"
    exempt = _expected(policy.unbound_clients)
    return f"{resources}; none of {exempt}" if exempt else resources


def _well_typed(claims: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, InvalidClaimError]]:
    """Return claims that are all well typed, and what is wrong with those that had to be replaced."""
    sound, untyped = dict(claims), dict[str, InvalidClaimError]()
    while True:
        try:
            check_types(sound)
        except InvalidClaimError as refusal:
            untyped[refusal.claim] = refusal
            sound.pop(refusal.claim, None)
            if refusal.claim in _STAND_INS:
                sound[refusal.claim] = _STAND_INS[refusal.claim]
        else:
            return sound, untyped


def _refusals(policy: Policy, claims: dict[str, Any], now: float) -> dict[str, InvalidClaimError]:
    """Return by check why a policy refuses claims that are well typed."""
    refusals: dict[str, InvalidClaimError] = {}

    def collect(refusal: InvalidClaimError) -> None:
        recipient = "client" if refusal.claim == "client_id" or claims["token_use"] == "id" else "audience"
        refusals[_CHECK_OF.get(refusal.reason, recipient)] = refusal

    malformed = None
    if "aud" in claims:
        _, malformed = tried(lambda: audience(claims))
    judged = {name: value for name, value in claims.items() if name != "aud"} if malformed else claims
    policy.check(judged, now, collect)
    if isinstance(malformed, InvalidClaimError):
        collect(malformed)
    return refusals
