"""`explain`: every check of a token, the same verdict as `verify` and `authorize`, and a hint that helps."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cognito_guard import (
    ANY_CLIENT,
    CognitoVerifier,
    ConfigurationError,
    Principal,
    Reason,
    RefreshSchedule,
    RefusalError,
    Requirement,
    Requires,
    RevocationList,
)
from cognito_guard.explain import Check, Explanation
from cognito_guard.testing import ABSENT, FakeClock, FakeUserPool, hostile_tokens
from cognito_guard.tokens.jws import parse

POOL = FakeUserPool(clock=FakeClock())
STRANGER = FakeUserPool("eu-west-1_Stranger1", clock=POOL.clock)
NOW = int(POOL.clock())
API = "https://api.example"
MACHINE = "2machine"
ORIGINAL = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_FakePool1"
CATALOGUE = hostile_tokens(POOL)
TOKEN_CHECKS = ("text", "header", "payload", "issuer", "key", "signature")
CLAIM_CHECKS = (
    *("claims", "token use", "expiry", "not before", "issue time", "age", "lifetime", "client", "audience"),
    "key binding",
)
REVOCATION = "revocation"
DEMAND_CHECKS = (
    *("required scopes", "groups", "any groups", "allowed client", "actor", "claim values", "predicate"),
    *("scopes", "any scopes", "acr", "max age"),
)


def verdict(verifier: CognitoVerifier, token: Any, requirement: Requirement | None = None) -> Reason | None:
    """Return why `verify`, or `authorize` behind it, refuses."""
    try:
        principal = verifier.verify(token)
        if requirement is not None:
            verifier.authorize(principal, requirement)
    except RefusalError as error:
        return error.reason
    return None


def outcomes(report: Explanation) -> dict[str, str]:
    """Return checks to their outcomes."""
    return {check.name: check.outcome for check in report.checks}


def named(report: Explanation, outcome: str) -> list[str]:
    """Return the names of the checks with an outcome."""
    return [check.name for check in report.checks if check.outcome == outcome]


def first_failure(report: Explanation) -> Check:
    """Return the check that refuses the token."""
    return next(check for check in report.checks if check.outcome == "failed")


def segment(content: object) -> str:
    """Return JSON, or bytes, in base64url."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def odd(**claims: Any) -> dict[str, Any]:
    """Return claims of types that no annotation allows."""
    return claims


def refuse_all(_: Principal) -> bool:
    """Refuse everybody."""
    return False


# The verdict is that of `verify` and `authorize`


def everybody_revoked() -> RevocationList:
    """Return revocations that concern all tokens here."""
    revocations = RevocationList(clock=POOL.clock)
    revocations.revoke_pool(POOL.user_pool_id)
    return revocations


class BrokenRevocations(RevocationList):
    """A store that is out of reach."""

    def is_revoked(self, principal: Principal) -> bool:
        """Fail."""
        raise ConnectionError


VERIFIERS: Mapping[str, dict[str, Any]] = {
    "defaults": {},
    "both uses, strict times": {"token_use": ["access", "id"], "max_token_age": 60, "max_token_lifetime": 60},
    "a required scope": {"required_scopes": "orders/read"},
    "any client": {"client_id": ANY_CLIENT, "required_scopes": "aws.cognito.signin.user.admin"},
    "binding required": {"resource": API, "resource_binding": "required"},
    "a pinned issuer, given keys": {"issuer_format": "updated", "jwks": POOL.jwks},
    "short tokens": {"max_token_bytes": 1000},
    "all revoked": {"required_scopes": "orders/read", "revocations": everybody_revoked()},
}
REQUIREMENTS: Mapping[str, Requirement | None] = {
    "nothing": None,
    "scopes and groups": Requires(scopes="orders/read", groups="staff"),
    "everything": Requires(
        groups="staff",
        any_groups=["staff", "admins"],
        client_id=POOL.client_id,
        actor="agent",
        claims={"plan": "gold"},
        predicate=refuse_all,
        scopes="orders/read",
        any_scopes=["a/b", "c/d"],
        acr="urn:cognito:loa:2",
        max_age=0,
    ),
    "a composition": ~Requires(groups="staff") & Requires(max_age=60) | Requires(scopes="orders/read"),
}


@pytest.mark.parametrize("options", VERIFIERS.values(), ids=VERIFIERS)
def test_report_on_a_hostile_token_agrees_with_the_verdict(options: dict[str, Any]) -> None:
    """Accepted or not, and the one reason: for the whole catalogue, whatever is configured."""
    verifier = POOL.verifier(**options)
    for entry in CATALOGUE:
        report = verifier.explain(entry.token)
        expected = verdict(verifier, entry.token)
        assert (entry.name, report.accepted, report.reason) == (entry.name, expected is None, expected)


CLAIM_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.sampled_from([0, NOW - 30, NOW, NOW + 5, NOW + 30, 2**53, 2**53 + 1, 10**30]),
    st.sampled_from(
        ["", "access", "id", "refresh", POOL.client_id, POOL.issuer, API, "orders/read", "staff", "\x1b[2J"]
    ),
    st.lists(st.sampled_from([POOL.client_id, API, "staff", 1]), max_size=2),
    st.fixed_dictionaries({"sub": st.just("agent")}),
)
CLAIM_NAMES = st.sampled_from(
    [
        *("iss", "sub", "token_use", "exp", "iat", "nbf", "auth_time", "client_id", "aud", "scope", "username"),
        *("cognito:groups", "cnf", "act", "acr", "amr", "jti", "plan"),
    ]
)
HEADERS = st.sampled_from([{}, {"alg": "HS256"}, {"crit": ["exp"]}, {"typ": "evil"}, {"kid": "?"}, {"kid": 5}])
REPORTERS = {name: POOL.verifier(**options) for name, options in VERIFIERS.items()}


@given(
    changes=st.dictionaries(CLAIM_NAMES, st.one_of(CLAIM_VALUES, st.just(ABSENT)), max_size=4),
    header=HEADERS,
    forged=st.integers(0, 9).map(lambda number: number == 0),
    genuine=st.sampled_from([parse(POOL.access_token()).claims, parse(POOL.id_token()).claims]),
    verifier=st.sampled_from(sorted(REPORTERS)),
    requirement=st.sampled_from(sorted(REQUIREMENTS)),
)
@settings(deadline=None, derandomize=True, max_examples=400)
def test_report_on_odd_claims_agrees_with_the_verdict(
    changes: dict[str, Any],
    header: dict[str, Any],
    forged: bool,
    genuine: dict[str, Any],
    verifier: str,
    requirement: str,
) -> None:
    """Several things wrong at once, in any mixture: the first that `verify` or `authorize` finds is the reason."""
    claims = {name: value for name, value in {**genuine, **changes}.items() if value is not ABSENT}
    key = STRANGER.access_key if forged else None
    token = POOL.sign({"kid": POOL.access_key.kid, "alg": "RS256", **header}, claims, key)
    judge, demand = REPORTERS[verifier], REQUIREMENTS[requirement]
    report = judge.explain(token, demand)
    expected = verdict(judge, token, demand)
    assert (report.accepted, report.reason) == (expected is None, expected)
    assert report.accepted is (not named(report, "failed"))
    assert str(report).isascii()
    assert "\x1b" not in str(report)


@given(
    token=st.one_of(
        st.text(max_size=30),
        st.binary(max_size=30),
        st.none(),
        st.integers(),
        st.lists(st.sampled_from(["", "e30", "e30=", "x", segment({"alg": "RS256", "kid": "k"})]), max_size=6).map(
            ".".join
        ),
    )
)
@settings(deadline=None, derandomize=True, max_examples=200)
def test_report_on_anything_agrees_with_the_verdict(token: Any) -> None:
    """No text, and nothing that is none, makes it raise."""
    verifier = REPORTERS["defaults"]
    report = verifier.explain(token)
    assert (report.accepted, report.reason) == (False, verdict(verifier, token))
    assert str(report).isascii()


def test_clock_that_tells_no_time_is_explained() -> None:
    """Every comparison with NaN fails, here as there, and the table is printed all the same."""
    verifier = POOL.verifier(clock=lambda: float("nan"), max_token_age=60)
    report = verifier.explain(POOL.access_token())
    assert report.reason is verdict(verifier, POOL.access_token()) is Reason.EXPIRED
    assert named(report, "failed") == ["expiry", "issue time", "age"]
    assert "nan seconds after 1970" in str(report)


# Which checks are made


def test_good_token_passes_every_check_in_order() -> None:
    """The order is that of the verdict; what nobody configured is not there."""
    report = POOL.verifier().explain(POOL.access_token())
    assert report.accepted
    assert report.verified
    assert outcomes(report) == dict.fromkeys(
        (*TOKEN_CHECKS, *(name for name in CLAIM_CHECKS if name not in ("age", "lifetime"))), "passed"
    )
    assert {(check.reason, check.hint) for check in report.checks} == {(None, "")}


def test_every_check_that_is_configured_is_listed_in_order() -> None:
    """Bounds, required scopes and each demand have lines of their own."""
    verifier = POOL.verifier(
        max_token_age=60, max_token_lifetime=60, required_scopes="orders/read", revocations=RevocationList()
    )
    report = verifier.explain(POOL.access_token(), REQUIREMENTS["everything"])
    assert [check.name for check in report.checks] == [*TOKEN_CHECKS, *CLAIM_CHECKS, REVOCATION, *DEMAND_CHECKS]


def test_id_token_has_no_audience_of_its_own() -> None:
    """Its `aud` is its client."""
    report = POOL.verifier(token_use="id").explain(POOL.id_token())
    assert "audience" not in outcomes(report)
    assert {check.name: check.found for check in report.checks}["client"] == POOL.client_id


def test_all_that_is_wrong_is_told_at_once() -> None:
    """The checks behind the first that fails are made as well."""
    verifier = POOL.verifier(required_scopes="orders/read")
    token = POOL.access_token(client_id="another", expires_in=-60, audience=API, cnf={}, nbf=NOW + 60)
    report = verifier.explain(token, Requires(groups="staff"))
    assert named(report, "failed") == [
        *("expiry", "not before", "client", "audience", "key binding", "required scopes", "groups")
    ]
    assert report.reason is Reason.EXPIRED


CLAIMS = [*(name for name in CLAIM_CHECKS if name not in ("age", "lifetime")), "required scopes"]


@pytest.mark.parametrize(
    "token, failed, skipped",
    [
        pytest.param(POOL.refresh_token(), ["text"], [*TOKEN_CHECKS[1:], *CLAIMS], id="all of an unreadable text"),
        pytest.param(
            f"{segment({'alg': 'HS256'})}.x.", ["header", "payload"], [*TOKEN_CHECKS[3:], *CLAIMS], id="no claims"
        ),
        pytest.param(
            f"{segment({})}.e30.",
            ["header", "issuer", "claims"],
            ["key", "signature", "token use", "expiry", "issue time", "client", "audience", "required scopes"],
            id="no claim of an empty object",
        ),
        pytest.param(
            POOL.access_token(header={"alg": "HS256"}), ["header"], ["key", "signature"], id="no key of a bad header"
        ),
        pytest.param(STRANGER.access_token(), ["issuer"], ["key", "signature"], id="no key of a foreign issuer"),
        pytest.param(
            STRANGER.access_token(issuer=POOL.issuer), ["key"], ["signature"], id="no signature of an unknown key"
        ),
        pytest.param(
            POOL.access_token(exp="soon", iat=ABSENT),
            ["claims"],
            ["expiry", "issue time", "required scopes"],
            id="no time that is none",
        ),
        pytest.param(
            POOL.access_token(token_use="refresh"),
            ["token use"],
            ["client", "audience", "required scopes"],
            id="no client of a token of another kind",
        ),
        pytest.param(
            POOL.access_token(token_use=5),
            ["claims"],
            ["token use", "client", "audience", "required scopes"],
            id="no client of a token of no kind",
        ),
        pytest.param(POOL.access_token(client_id=ABSENT), ["client"], ["required scopes"], id="no scopes of nobody"),
        pytest.param(
            POOL.access_token(**odd(client_id=5)),
            ["claims"],
            ["client", "audience", "required scopes"],
            id="no odd client",
        ),
        pytest.param(POOL.access_token(aud=[]), ["audience"], ["required scopes"], id="no scopes of an odd audience"),
        pytest.param(
            POOL.id_token(aud=5), ["token use", "client"], ["required scopes"], id="no scopes of nobody known"
        ),
    ],
)
def test_check_that_needs_another_is_skipped(token: str, failed: list[str], skipped: list[str]) -> None:
    """What an earlier check left undecided is not guessed at; everything else is checked."""
    report = POOL.verifier(required_scopes="aws.cognito.signin.user.admin").explain(token)
    assert named(report, "failed") == failed
    assert named(report, "skipped") == skipped


def test_unverified_claims_are_marked() -> None:
    """Without a good signature anybody may have written what is shown."""
    forged = POOL.verifier().explain(STRANGER.access_token(issuer=POOL.issuer, header={"kid": POOL.access_key.kid}))
    assert named(forged, "failed") == ["signature"]
    assert not forged.verified
    assert "found (nobody vouches for it)\n" in str(forged)
    assert "vouches" not in str(POOL.verifier().explain(POOL.access_token()))


# Keys, clock and cache are the verifier's


def test_no_key_is_asked_for_before_the_issuer_is_known() -> None:
    """A token of anybody's making must not have the key endpoint called."""
    with POOL.serve() as server:
        verifier = server.verifier()
        assert verifier.explain(STRANGER.access_token()).reason is Reason.WRONG_ISSUER
        assert server.count("jwks.json") == 0
        assert verifier.explain(POOL.access_token()).accepted
        assert server.count("jwks.json") == 1
        assert verifier.verify(POOL.access_token())
        assert server.count("jwks.json") == 1


def test_outage_of_the_key_endpoint_is_a_failed_check() -> None:
    """No exception: the claims are explained all the same, unverified."""
    with POOL.serve() as server:
        server.down()
        report = server.verifier().explain(POOL.access_token(expires_in=-60))
    assert named(report, "failed") == ["key", "expiry"]
    assert named(report, "skipped") == ["signature"]
    assert report.reason is Reason.KEYS_UNAVAILABLE


def test_time_is_told_by_the_verifiers_clock() -> None:
    """Its leeway counts as well, and the table shows to which second."""
    clock = FakeClock()
    pool = FakeUserPool(clock=clock)
    verifier, token = pool.verifier(leeway=5), pool.access_token(expires_in=60)
    clock.tick(64)
    assert verifier.explain(token).accepted
    clock.tick(1)
    failed = first_failure(verifier.explain(token))
    assert (failed.name, failed.expected, failed.found) == (
        "expiry",
        "after 2023-11-14 22:14:20 UTC",
        "2023-11-14 22:14:20 UTC",
    )


def test_time_is_told_after_the_keys_are_fetched() -> None:
    """As `verify` does it: a token may expire while its key is on the way."""
    clock = FakeClock()
    pool = FakeUserPool(clock=clock)

    def slowly(uri: str, timeout: float) -> bytes:
        clock.tick(30)
        return pool.fetch(uri, timeout)

    token = pool.access_token(expires_in=20)
    assert pool.verifier(fetch=slowly).explain(token).reason is Reason.EXPIRED


def test_cache_of_verified_tokens_is_left_alone() -> None:
    """An explanation is no verification: nothing is remembered of it."""
    verifier = POOL.verifier()
    assert verifier.explain(POOL.access_token()).accepted
    assert len(verifier._memo) == 0  # pyright: ignore[reportPrivateUsage]


# What an operation demands


@pytest.mark.parametrize("expires_in, outcome", [(60, "failed"), (-60, "skipped")])
def test_predicate_is_asked_only_of_a_caller_whom_nothing_else_refuses(expires_in: int, outcome: str) -> None:
    """It may rely on all that comes before it, as it does behind `authorize`."""
    seen: list[Principal] = []

    def note(principal: Principal) -> bool:
        seen.append(principal)
        return False

    for requirement in (Requires(predicate=note), Requires(predicate=note) & Requires(max_age=60)):
        report = POOL.verifier().explain(POOL.access_token(expires_in=expires_in), requirement)
        assert report.checks[-1].outcome == outcome
    assert len(seen) == (2 if outcome == "failed" else 0)


def test_predicate_that_fails_is_not_hidden() -> None:
    """A mistake in the application's own code is neither a pass nor a refusal."""

    def broken(principal: Principal) -> bool:
        return bool(principal.claims["no such claim"])

    with pytest.raises(KeyError):
        POOL.verifier().explain(POOL.access_token(), Requires(predicate=broken))


@pytest.mark.parametrize("token", [POOL.access_token(), "no token"])
def test_requirement_that_is_none_is_a_mistake_in_the_configuration(token: str) -> None:
    """Whatever the token, as `authorize` says it."""
    bad: Any = "orders/read"
    with pytest.raises(ConfigurationError) as caught:
        POOL.verifier().explain(token, bad)
    assert caught.value.setting == "requirement"


def test_implied_scopes_count() -> None:
    """As they do for `authorize`."""
    verifier = POOL.verifier(implies={"orders/admin": ["orders/read"]})
    token = POOL.access_token(scopes=["orders/admin"])
    assert verifier.explain(token, Requires(scopes="orders/read")).accepted


# Hints

ADMIN = "aws.cognito.signin.user.admin"
SHOP = Requires(scopes="shop/read")
UPDATED = FakeUserPool(POOL.user_pool_id, clock=POOL.clock, keys_of=POOL, issuer_format="updated")
MAKER = "the token is of another maker"
CHANGED = "changed on its way (cut off, padded, decoded and encoded anew), or not made by Cognito"


@dataclasses.dataclass(frozen=True)
class Case:
    """Hold a refusal: by which check and for which reason, of what, and the hint that it comes with."""

    name: str
    reason: str
    token: Any
    hint: str
    requirement: Requirement | None
    options: dict[str, Any]


def case(name: str, reason: str, token: Any, hint: str, requirement: Requirement | None = None, **options: Any) -> Case:
    """Make a case; options are those of the verifier."""
    return Case(name, reason, token, hint, requirement, options)


def no_document(uri: str, timeout: float) -> bytes:
    """Fetch nothing of use."""
    return b""


HINTS: Mapping[str, Case] = {
    "revoked": case(
        "revocation",
        "revoked",
        POOL.access_token(),
        "your application has revoked it, its sign-in, user, client or pool: sign in anew",
        revocations=everybody_revoked(),
    ),
    "nobody to ask for revocations": case(
        "revocation",
        "revocations_unavailable",
        POOL.access_token(),
        "the store behind revocations= failed: the log names the error",
        revocations=BrokenRevocations(),
    ),
    "a refresh token": case(
        "text",
        "encrypted_token",
        POOL.refresh_token(),
        "five segments: a refresh token, which nobody but Cognito can read; send the access token",
    ),
    "too long": case(
        "text",
        "oversized_token",
        POOL.access_token(),
        "longer than max_token_bytes (1000): groups and custom claims make tokens long",
        max_token_bytes=1000,
    ),
    "bytes": case("text", "malformed_token", b"x.y.z", "expected the token as str, got bytes"),
    "two segments": case(
        "text",
        "malformed_token",
        "x.y",
        "an access token is three segments joined by dots: this was cut off, or is another kind of credential",
    ),
    "with its scheme": case(
        "header",
        "malformed_token",
        f"Bearer {POOL.access_token()}",
        "`Bearer ` is part of the header and not of the token: pass what stands behind it",
    ),
    "behind a space": case(
        "header",
        "malformed_token",
        f" {POOL.access_token()}",
        "there is white space or a quotation mark around the token: pass the bare text",
    ),
    "behind a quotation mark": case(
        "header",
        "malformed_token",
        f'"{POOL.access_token()}',
        "there is white space or a quotation mark around the token: pass the bare text",
    ),
    "with a line break": case(
        "payload",
        "malformed_token",
        f"{POOL.access_token()}\n",
        "there is white space or a quotation mark around the token: pass the bare text",
    ),
    "padded": case("payload", "malformed_token", f"{POOL.access_token()}==", CHANGED),
    "no ASCII": case("text", "malformed_token", "x.ä.z", CHANGED),
    "HMAC": case(
        "header",
        "unsupported_algorithm",
        POOL.access_token(header={"alg": "HS256"}),
        f"a user pool signs with RS256 and nothing else: {MAKER}",
    ),
    "a critical parameter": case(
        "header",
        "unsupported_header",
        POOL.access_token(header={"crit": ["exp"]}),
        f"a user pool writes kid and alg and nothing else: {MAKER}",
    ),
    "no key ID": case("header", "malformed_token", POOL.access_token(header={"kid": ABSENT}), CHANGED),
    "another user pool": case(
        "issuer",
        "wrong_issuer",
        STRANGER.access_token(),
        "a token of the user pool eu-west-1_Stranger1; the verifier is configured for eu-west-1_FakePool1",
    ),
    "the updated issuer": case(
        "issuer",
        "wrong_issuer",
        UPDATED.access_token(),
        "issued with the updated issuer, and the verifier is pinned to original: leave issuer_format at 'both'",
        issuer_format="original",
    ),
    "the original issuer": case(
        "issuer",
        "wrong_issuer",
        POOL.access_token(),
        "issued with the original issuer, and the verifier is pinned to updated: leave issuer_format at 'both'",
        issuer_format="updated",
    ),
    "a replica": case(
        "issuer",
        "wrong_issuer",
        POOL.access_token(issuer=ORIGINAL.replace("west-1.", "central-1.")),
        "issued in the Region eu-central-1: name it in replica_regions, if the user pool is replicated there",
    ),
    "AWS behind the settings of an emulator": case(
        "issuer",
        "wrong_issuer",
        POOL.access_token(),
        "issued by AWS, and the verifier is configured for an emulator: leave issuer= out",
        issuer="https://emulator.example/pool",
    ),
    "an emulator": case(
        "issuer",
        "wrong_issuer",
        POOL.access_token(issuer="http://localhost:4566/eu-west-1_FakePool1"),
        "a token of an emulator: CognitoVerifier.for_emulator knows its issuer",
    ),
    "an identity pool": case(
        "issuer",
        "wrong_issuer",
        POOL.access_token(issuer="https://cognito-identity.amazonaws.com"),
        "a token of an identity pool: cognito_guard.identity_pool verifies those",
    ),
    "a slash more": case(
        "issuer",
        "wrong_issuer",
        POOL.access_token(issuer=f"{ORIGINAL}/"),
        "differs from the configured issuer in a slash or in the case of a letter: they are compared byte by byte",
    ),
    "another provider": case(
        "issuer",
        "wrong_issuer",
        POOL.access_token(issuer="https://accounts.google.com"),
        "not a user pool's issuer: of a person who signs in with another provider, send the token that Cognito issued",
    ),
    "no issuer": case(
        "issuer",
        "missing_claim",
        POOL.access_token(iss=ABSENT),
        "iss is in every such token of a user pool: this one is of another maker",
    ),
    "an unknown key": case(
        "key",
        "unknown_key",
        STRANGER.access_token(issuer=POOL.issuer),
        "the user pool publishes no such key: it was rotated away, or another pool signed in this one's name",
    ),
    "an unknown key among those given": case(
        "key",
        "unknown_key",
        STRANGER.access_token(issuer=POOL.issuer),
        "not among the keys given as jwks=, which are never fetched anew: is the document up to date?",
        jwks=POOL.jwks,
    ),
    "no keys": case(
        "key",
        "keys_unavailable",
        POOL.access_token(),
        "the key endpoint is out of reach: `cognito-guard doctor` shows why",
        fetch=no_document,
        schedule=RefreshSchedule(),
    ),
    "changed": case(
        "signature",
        "invalid_signature",
        STRANGER.access_token(issuer=POOL.issuer, header={"kid": POOL.access_key.kid}),
        "changed after it was signed, or signed by another pool in this one's name",
    ),
    "a claim missing": case(
        "claims",
        "missing_claim",
        POOL.access_token(sub=ABSENT),
        "sub is in every such token of a user pool: this one is of another maker",
    ),
    "a claim malformed": case(
        "claims",
        "malformed_claim",
        POOL.access_token(scope=["orders/read"]),
        f"Cognito never writes scope like this: {MAKER}",
    ),
    "an ID token": case(
        "token use",
        "wrong_token_use",
        POOL.id_token(),
        "this is an ID token, which is for the app that signed the user in: send the access token",
    ),
    "an access token": case(
        "token use",
        "wrong_token_use",
        POOL.access_token(),
        "this is an access token, and ID tokens are expected (token_use): send the ID token",
        token_use="id",
    ),
    "an emulator's refresh token": case(
        "token use",
        "wrong_token_use",
        POOL.access_token(token_use="refresh"),
        "neither an access token nor an ID token: send the access token",
    ),
    "expired": case(
        "expiry", "expired", POOL.access_token(expires_in=-90), "expired 90 seconds ago: the client must refresh it"
    ),
    "not yet valid": case(
        "not before",
        "not_yet_valid",
        POOL.access_token(nbf=NOW + 90),
        "valid in 90 seconds: wait, or set this machine's clock if it is behind",
    ),
    "a clock behind": case(
        "issue time",
        "issued_in_future",
        POOL.access_token(iat=NOW + 90),
        "issued 90 seconds ahead of this machine's clock, more than leeway allows: set the clock",
    ),
    "too old": case(
        "age",
        "too_old",
        POOL.access_token(iat=NOW - 900),
        "issued 900 seconds ago, and max_token_age is 300: the client must refresh it",
        max_token_age=300,
    ),
    "too long a life": case(
        "lifetime",
        "lifetime_too_long",
        POOL.access_token(),
        "lives for 3600 seconds, and max_token_lifetime is 300: shorten it at the app client",
        max_token_lifetime=300,
    ),
    "another client": case(
        "client",
        "wrong_client",
        POOL.access_token(client_id="another"),
        "issued to an app client that client_id does not name: add it, or sign in with another",
    ),
    "an ID token of another client": case(
        "client",
        "wrong_client",
        POOL.id_token(client_id="another"),
        "issued to an app client that client_id does not name: add it, or sign in with another",
        token_use="id",
    ),
    "no client": case(
        "client",
        "missing_claim",
        POOL.access_token(client_id=ABSENT),
        "client_id is in every such token of a user pool: this one is of another maker",
    ),
    "bound elsewhere, nothing configured": case(
        "audience",
        "wrong_audience",
        POOL.bound_token(API),
        "bound to an API (aud), and this one has no resource configured: was it meant for another API?",
    ),
    "bound elsewhere": case(
        "audience",
        "wrong_audience",
        POOL.bound_token("https://other.example"),
        f"bound to another API (aud): the client must ask for this one when it signs in, resource={API}",
        resource=API,
    ),
    "unbound": case(
        "audience",
        "wrong_audience",
        POOL.access_token(),
        f"not bound to a resource: the client must ask for it when it signs in, resource={API}",
        resource=API,
        resource_binding="required",
    ),
    "an unbound machine": case(
        "audience",
        "wrong_audience",
        POOL.client_token(client_id=POOL.client_id),
        "a machine token cannot carry aud: exempt its client, resource_binding={client: 'optional'}",
        resource=API,
        resource_binding="required",
    ),
    "a malformed audience": case(
        "audience", "malformed_claim", POOL.access_token(aud=[1]), f"Cognito never writes aud like this: {MAKER}"
    ),
    "bound to a key": case(
        "key binding",
        "sender_constrained",
        POOL.access_token(cnf={"jkt": "x"}),
        "bound to a key (cnf) whose possession cannot be checked here",
    ),
    "a required scope, by the SDK": case(
        "required scopes",
        "insufficient_scope",
        POOL.access_token(),
        f"a sign-in through the SDK yields {ADMIN} and never a custom scope: use managed login, or groups",
        required_scopes="shop/read",
    ),
    "a scope of a person": case(
        "scopes",
        "insufficient_scope",
        POOL.access_token(scopes=["openid"]),
        "the client must ask for the scope when it signs in, and be allowed to",
        SHOP,
    ),
    "a scope of a machine": case(
        "any scopes",
        "insufficient_scope",
        POOL.client_token(client_id=POOL.client_id),
        "allow the custom scope for the app client; it has all that are allowed when it asks for none",
        Requires(any_scopes=["shop/read", "shop/write"]),
    ),
    "a scope of an ID token": case(
        "scopes",
        "insufficient_scope",
        POOL.id_token(),
        "an ID token carries no scopes: send the access token",
        SHOP,
        token_use="id",
    ),
    "half a scope": case(
        "scopes",
        "insufficient_scope",
        POOL.access_token(scopes=["shop/read"]),
        "a custom scope has the name of its resource server before it: require shop/read",
        Requires(scopes="read"),
    ),
    "one of two scopes": case(
        "scopes",
        "insufficient_scope",
        POOL.access_token(scopes=["read"]),
        "the client must ask for the scope when it signs in, and be allowed to",
        Requires(scopes=["read", "write"]),
    ),
    "half a scope, and text that would steer a terminal": case(
        "scopes",
        "insufficient_scope",
        POOL.access_token(scopes=["\x1b[2J/read"]),
        'a custom scope has the name of its resource server before it: require "\\u001b[2J/read"',
        Requires(scopes="read"),
    ),
    "no group": case(
        "groups",
        "group_required",
        POOL.access_token(),
        "the user was in no group when the token was issued: after a change, refresh it",
        Requires(groups="staff"),
    ),
    "another group": case(
        "any groups",
        "group_required",
        POOL.access_token(groups=["Staff"]),
        "the user is in other groups, which are compared whole and in exact case; after a change, refresh the token",
        Requires(any_groups=["staff"]),
    ),
    "a machine's group": case(
        "groups",
        "group_required",
        POOL.client_token(client_id=POOL.client_id),
        "a machine is in no group: require a scope of it",
        Requires(groups="staff"),
    ),
    "the group of a user with the ID of a machine": case(
        "groups",
        "group_required",
        POOL.access_token(sub=POOL.client_id),
        "the user was in no group when the token was issued: after a change, refresh it",
        Requires(groups="staff"),
    ),
    "a client for others": case(
        "allowed client",
        "client_not_allowed",
        POOL.access_token(),
        "the operation is for other app clients",
        Requires(client_id="another"),
    ),
    "no actor": case(
        "actor",
        "actor_not_allowed",
        POOL.access_token(),
        "not delegated: a token has act only where it was exchanged for another (GetDerivedToken)",
        Requires(actor="agent"),
    ),
    "another actor": case(
        "actor",
        "actor_not_allowed",
        POOL.delegated_token("another"),
        "delegated to another actor than the operation accepts",
        Requires(actor="agent"),
    ),
    "an attribute of an access token": case(
        "claim values",
        "claim_mismatch",
        POOL.access_token(),
        "an access token carries no user attributes, unless a pre-token-generation trigger adds them",
        Requires(claims={"email": "a@b"}),
    ),
    "another value": case(
        "claim values",
        "claim_mismatch",
        POOL.id_token(attributes={"tier": 1}),
        "values are compared whole and with their JSON type: Cognito writes custom attributes as strings",
        Requires(claims={"custom:tier": 1}),
        token_use="id",
    ),
    "a predicate": case(
        "predicate",
        "predicate_refused",
        POOL.access_token(),
        "the application's own predicate returned something else than True",
        Requires(predicate=refuse_all),
    ),
    "an exclusion": case(
        "requirement", "excluded", POOL.access_token(), "the operation excludes this caller (~)", ~Requires(max_age=60)
    ),
    "no authentication context": case(
        "acr",
        "weak_authentication",
        POOL.access_token(),
        "the token carries no acr: not every user pool issues it",
        Requires(acr="urn:cognito:loa:2"),
    ),
    "a weak authentication": case(
        "acr",
        "weak_authentication",
        POOL.access_token(acr="urn:cognito:loa:1"),
        "the user must sign in again, with a stronger factor",
        Requires(acr="urn:cognito:loa:2"),
    ),
    "an old authentication": case(
        "max age",
        "stale_authentication",
        POOL.access_token(auth_time=NOW - 900),
        "signed in 900 seconds ago; refreshing does not change that: sign in again",
        Requires(max_age=60),
    ),
    "no time of authentication": case(
        "max age",
        "stale_authentication",
        POOL.access_token(auth_time=ABSENT),
        "the token carries no auth_time",
        Requires(max_age=60),
    ),
}


def explained(case: Case) -> Explanation:
    """Return the report on a case."""
    return POOL.verifier(**case.options).explain(case.token, case.requirement)


@pytest.mark.parametrize("case", HINTS.values(), ids=HINTS)
def test_refusal_is_explained_in_one_line(case: Case) -> None:
    """Where it failed, the stable word, and what it most likely comes from: also as the last line of the table."""
    report = explained(case)
    failed = first_failure(report)
    assert (failed.name, str(failed.reason), failed.hint) == (case.name, case.reason, case.hint)
    assert named(report, "failed") == [case.name]
    assert str(report).splitlines()[-1] == f"refused, {case.reason}: {case.hint}"


def test_every_check_is_seen_to_fail() -> None:
    """A check that nothing fails is none."""
    assert {case.name for case in HINTS.values()} == {
        *(*TOKEN_CHECKS, *CLAIM_CHECKS, REVOCATION, *DEMAND_CHECKS, "requirement")
    }


def test_every_reason_that_a_token_may_have_is_explained() -> None:
    """The others are those of requests, of rules of a proxy, and of an application's users."""
    elsewhere = {
        *("missing_token", "malformed_header", "repeated_header", "several_methods", "not_admitted"),
        "no_user",
    }
    assert {case.reason for case in HINTS.values()} == {str(reason) for reason in Reason} - elsewhere


def test_revocations_are_asked_of_a_token_that_nothing_else_refuses() -> None:
    """As for a verdict: the store sees nothing that nobody has vouched for."""
    verifier = POOL.verifier(revocations=BrokenRevocations())
    for token in (POOL.access_token(expires_in=-60), POOL.id_token(), STRANGER.access_token(issuer=POOL.issuer), "x"):
        assert outcomes(verifier.explain(token))["revocation"] == "skipped"
    assert outcomes(verifier.explain(POOL.access_token()))["revocation"] == "failed"


# What is shown, and what is not


def test_table_is_aligned_and_ends_with_the_first_cause() -> None:
    """To the letter; further failures stand above, each with its own hint."""
    pool = FakeUserPool(clock=FakeClock(), issuer="https://i.example", client_id="web")
    token, kid = pool.id_token(expires_in=-60), pool.id_key.kid
    head, line, *rows, blank, also, last = str(pool.verifier().explain(token)).splitlines()
    columns = [head.index(title) for title in ("check", "outcome", "reason", "expected", "found")]
    cells = [
        tuple(row[start:end].rstrip() for start, end in zip(columns, [*columns[1:], None], strict=True)) for row in rows
    ]
    assert cells == [
        ("text", "passed", "", "three segments, at most 16384 bytes of ASCII", f"{len(token)} characters"),
        ("header", "passed", "", "alg RS256, a kid", f"kid {kid}, alg RS256"),
        ("payload", "passed", "", "base64url of a JSON object", f"{len(parse(token).claims)} claims"),
        ("issuer", "passed", "", "https://i.example", "https://i.example"),
        ("key", "passed", "", "one that the user pool publishes", kid),
        ("signature", "passed", "", "the key's", ""),
        ("claims", "passed", "", "those of a user pool, well typed", ""),
        ("token use", "failed", "wrong_token_use", "access", "id"),
        ("expiry", "failed", "expired", "after 2023-11-14 22:13:10 UTC", "2023-11-14 22:12:20 UTC"),
        ("not before", "passed", "", "by 2023-11-14 22:13:30 UTC", ""),
        ("issue time", "passed", "", "by 2023-11-14 22:13:30 UTC", "2023-11-14 22:13:20 UTC"),
        ("client", "passed", "", "web", "web"),
        ("key binding", "passed", "", "none", ""),
    ]
    assert line == "-" * max(map(len, [head, *rows]))
    assert [row for row in rows if row != row.rstrip()] == []
    assert (blank, also) == ("", "also expiry: expired 60 seconds ago: the client must refresh it")
    assert last == f"refused, wrong_token_use: {HINTS['an ID token'].hint}"


def test_long_cells_are_cut_in_the_table_alone() -> None:
    """The two issuers of a user pool are more than a line."""
    report = POOL.verifier().explain(POOL.access_token())
    issuers = next(check.expected for check in report.checks if check.name == "issuer")
    assert issuers == " or ".join(POOL.verifier().user_pool.issuers)
    assert f"  {issuers[:69]}...  " in str(report)


def test_accepted_is_the_last_line() -> None:
    """Of a good token there is no more to say."""
    assert str(POOL.verifier().explain(POOL.access_token())).splitlines()[-2:] == ["", "accepted"]


@pytest.mark.parametrize(
    "options, requirement, token, name, expected, found",
    [
        pytest.param(
            {"resource": API}, None, POOL.bound_token(API), "audience", f"none, the client, {API}", API, id="a resource"
        ),
        pytest.param(
            {"resource": API, "resource_binding": {POOL.client_id: "optional"}},
            None,
            POOL.access_token(),
            "audience",
            f"{API}; none of {POOL.client_id}",
            "",
            id="an exempt client",
        ),
        pytest.param(
            {"client_id": ANY_CLIENT, "resource": API},
            None,
            POOL.bound_token(API),
            "client",
            "any",
            POOL.client_id,
            id="any client",
        ),
        pytest.param(
            {"token_use": ["id", "access"]}, None, POOL.id_token(), "token use", "access, id", "id", id="two uses"
        ),
        pytest.param(
            {},
            Requires(claims={"plan": "gold", "limits": {"n": 1}}),
            POOL.access_token(plan="gold", limits={"n": 1}),
            "claim values",
            'plan gold, limits {"n": 1}',
            'plan gold, limits {"n": 1}',
            id="claims",
        ),
        pytest.param(
            {},
            Requires(groups=["größe", "a b"]),
            POOL.access_token(groups=["a b", "größe"]),
            "groups",
            'a b, "gr\\u00f6\\u00dfe"',
            '["a b", "gr\\u00f6\\u00dfe"]',
            id="text that is no ASCII",
        ),
        pytest.param(
            {},
            Requires(max_age=0),
            POOL.access_token(),
            "max age",
            "at most 0 seconds ago",
            "2023-11-14 22:13:20 UTC",
            id="an age",
        ),
        pytest.param(
            {},
            Requires(predicate=bool),
            POOL.access_token(),
            "predicate",
            "True",
            "",
            id="a function of the application",
        ),
        pytest.param(
            {},
            Requires(scopes="a"),
            POOL.access_token(scope="\x1b[2J\n\x7f" + "x" * 300),
            "scopes",
            "a",
            ('"\\u001b[2J\\n\\u007f' + "x" * 300)[:197] + "...",
            id="what would steer a terminal",
        ),
        pytest.param({}, Requires(scopes="a"), POOL.access_token(scope=""), "scopes", "a", '""', id="an empty text"),
        pytest.param(
            {},
            None,
            POOL.access_token(exp=2**53),
            "expiry",
            "after 2023-11-14 22:13:10 UTC",
            None,
            id="the end of time",
        ),
    ],
)
def test_check_shows_what_is_expected_and_what_is_found(
    options: dict[str, Any], requirement: Requirement | None, token: str, name: str, expected: str, found: str | None
) -> None:
    """One line each, of visible ASCII, and no more than a line."""
    report = POOL.verifier(**options).explain(token, requirement)
    (check,) = [check for check in report.checks if check.name == name]
    assert (check.expected, check.found) == (
        expected,
        found or ("9007199254740992 seconds after 1970" if found is None else ""),
    )


SECRET = "kestrel7Qx9Wv2"


def test_repr_tells_nothing_of_the_token() -> None:
    """A repr ends up in logs and tracebacks: neither what was found nor a hint is in it."""
    secret = f"{SECRET}@example.com"
    everywhere: dict[str, Any] = dict.fromkeys(("sub", "username", "client_id", "scope", "acr", "plan", "jti"), secret)
    token = POOL.access_token(
        **everywhere,
        groups=[secret],
        audience=secret,
        act={"sub": secret},
        cnf={"jkt": secret},
        header={"kid": secret},
        issuer=f"https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_{SECRET}",
    )
    for part in (token, f"{token}.x", token[:-9]):
        report = POOL.verifier(required_scopes="orders/read").explain(part, REQUIREMENTS["everything"])
        assert SECRET not in repr(report)
        assert SECRET not in "".join(map(repr, report.checks))
    assert SECRET in str(POOL.verifier().explain(token))


def test_no_text_of_a_token_is_shown() -> None:
    """Not even to its owner: a table is pasted into tickets, and a token in a ticket is a login."""
    verifier = POOL.verifier()
    for entry in CATALOGUE:
        if not isinstance(entry.token, str) or entry.token.count(".") != 2:
            continue
        report = verifier.explain(entry.token)
        shown, configured = str(report), "".join(check.expected for check in report.checks)
        _, payload, signature = entry.token.split(".")
        pieces = (text[start : start + 12] for text in (payload, signature) for start in range(0, len(text) - 11, 4))
        assert not any(piece in shown and piece not in configured for piece in pieces), entry.name


def test_program_that_explains_nothing_does_not_load_it() -> None:
    """An import costs each start of each process."""
    unwanted = (
        "{'cognito_guard.examination', 'cognito_guard.explain', 'cognito_guard.hints', 'cognito_guard.tokens.lenient'}"
    )
    code = f"import sys, cognito_guard; sys.exit(not {unwanted}.isdisjoint(sys.modules))"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_report_cannot_be_changed() -> None:
    """It is a value."""
    report = POOL.verifier().explain(POOL.access_token())
    for value in (report, report.checks[0]):
        with pytest.raises(dataclasses.FrozenInstanceError):
            value.reason = None  # type: ignore[misc]
