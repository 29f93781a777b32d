"""IdentityPoolVerifier: tokens of GetOpenIdToken, whose issuer and keys all AWS customers share."""

from __future__ import annotations

import copy
import json
import math
import pickle
import traceback
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jwt
import pytest
from conftest import Call
from hypothesis import given, settings
from hypothesis import strategies as st
from other_makers import IMPOSSIBLE_ALIKE, LEEWAY, Mint, assert_tells_nothing, refusal, refused_alike

from cognito_guard import (
    ConfigurationError,
    FetchError,
    HTTPSFetch,
    ImmatureTokenError,
    InvalidClaimError,
    InvalidRequestError,
    InvalidSignatureError,
    InvalidTokenError,
    MalformedTokenError,
    MissingTokenError,
    Reason,
    RefreshSchedule,
    UnavailableError,
    UnknownKeyError,
    UnsupportedAlgorithmError,
)
from cognito_guard.identity_pool import MAX_IDENTITY_KEYS, IdentityPoolVerifier, IdentityPrincipal
from cognito_guard.keys.keyset import InvalidKeySetError, KeySet
from cognito_guard.testing import ABSENT, FakeClock, FakeIdentityPool, FakeLoadBalancer, FakeUserPool
from cognito_guard.testing.keys import SigningKey

POOL_ID = "eu-west-1:5c1d7f30-9b1e-4a57-8a52-0fa6e1d2c3b4"
OTHER_POOL_ID = "eu-west-1:00000000-0000-4000-8000-000000000000"
ISSUER = "https://cognito-identity.amazonaws.com"

Make: TypeAlias = Callable[[FakeIdentityPool], str]


@pytest.fixture
def identities(clock: FakeClock) -> FakeIdentityPool:
    """Return an identity pool on the test's clock."""
    return FakeIdentityPool(POOL_ID, clock=clock)


@pytest.fixture
def verifier(identities: FakeIdentityPool) -> IdentityPoolVerifier:
    """Return a verifier of the identity pool with default settings."""
    return identities.verifier()


def test_token_becomes_an_identity(call: Call, identities: FakeIdentityPool, verifier: IdentityPoolVerifier) -> None:
    """All that the service tells is shown under its usual name."""
    principal = call(verifier, "verify", identities.token("jane", providers=["login.example", "login.example:jane"]))
    now = int(identities.clock())
    assert principal.subject == identities.identity_id("jane")
    assert principal.subject.startswith("eu-west-1:")
    assert principal.identity_pool_id == POOL_ID
    assert principal.audience == (POOL_ID,)
    assert principal.issuer == ISSUER
    assert principal.amr == ("authenticated", "login.example", "login.example:jane")
    assert principal.is_authenticated
    assert (principal.issued_at, principal.expires_at) == (now, now + 600)
    assert principal.claims["amr"] == principal.amr


def test_fake_signs_as_others_verify(identities: FakeIdentityPool) -> None:
    """PyJWT accepts the token under the published key, for RS512 alone."""
    token = identities.token()
    published = {jwk["kid"]: jwt.PyJWK(jwk) for jwk in identities.jwks["keys"]}
    key = published[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(
        token, key, algorithms=["RS512"], audience=POOL_ID, options={"verify_exp": False, "verify_iat": False}
    )
    assert claims["iss"] == ISSUER
    assert jwt.get_unverified_header(token) == {"alg": "RS512", "kid": identities.key.kid, "typ": "JWS"}


def test_modulus_is_published_with_a_leading_zero_byte(identities: FakeIdentityPool) -> None:
    """AWS writes it with the byte of a sign; the keys are usable all the same."""
    assert all(jwk["n"].startswith("A") and len(jwk["n"]) == 343 for jwk in identities.jwks["keys"])
    assert len(KeySet.from_document(identities.jwks, algorithm="RS512").by_kid) == 2


def test_guest_is_refused_unless_guests_are_allowed(call: Call, identities: FakeIdentityPool) -> None:
    """Anybody can have a guest's token: it is no sign of a login."""
    token = identities.guest_token()
    error = refusal(call, identities.verifier(), token)
    assert (type(error), error.reason) == (InvalidClaimError, Reason.CLAIM_MISMATCH)
    assert (error.claim, error.problem) == ("amr", "mismatch")  # type: ignore[attr-defined]
    guest = call(identities.verifier(authenticated_only=False), "verify", token)
    assert not guest.is_authenticated
    assert guest.amr == ("unauthenticated",)
    assert call(identities.verifier(authenticated_only=False), "verify", identities.token()).is_authenticated


def mint_of(identities: FakeIdentityPool) -> Mint:
    """Return what makes an identity pool's tokens."""
    return identities.token


REFUSED: dict[str, tuple[Make, type[InvalidTokenError], Reason]] = {
    **refused_alike(mint_of),
    "another identity pool's": (
        lambda pool: pool.token(aud=OTHER_POOL_ID),
        InvalidClaimError,
        Reason.WRONG_AUDIENCE,
    ),
    "another identity pool's beside ours": (
        lambda pool: pool.token(aud=[POOL_ID, OTHER_POOL_ID]),
        InvalidClaimError,
        Reason.WRONG_AUDIENCE,
    ),
    "ours in another case": (
        lambda pool: pool.token(aud=POOL_ID.upper()),
        InvalidClaimError,
        Reason.WRONG_AUDIENCE,
    ),
    "no audience": (lambda pool: pool.token(aud=ABSENT), InvalidClaimError, Reason.MISSING_CLAIM),
    "an empty audience": (lambda pool: pool.token(aud=[]), InvalidClaimError, Reason.MALFORMED_CLAIM),
    "an audience that is a number": (lambda pool: pool.token(aud=1), InvalidClaimError, Reason.MALFORMED_CLAIM),
    "another issuer": (
        lambda pool: pool.token(iss="https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_FakePool1"),
        InvalidClaimError,
        Reason.WRONG_ISSUER,
    ),
    "the issuer with a slash": (lambda pool: pool.token(iss=ISSUER + "/"), InvalidClaimError, Reason.WRONG_ISSUER),
    "no issuer": (lambda pool: pool.token(iss=ABSENT), InvalidClaimError, Reason.MISSING_CLAIM),
    "an issuer that is a list": (lambda pool: pool.token(iss=[ISSUER]), InvalidClaimError, Reason.MALFORMED_CLAIM),
    "no identity": (lambda pool: pool.token(sub=ABSENT), InvalidClaimError, Reason.MISSING_CLAIM),
    "an empty identity": (lambda pool: pool.token(sub=""), InvalidClaimError, Reason.MALFORMED_CLAIM),
    "an identity without Region": (
        lambda pool: pool.token(sub="00000000-0000-4000-8000-000000000000"),
        InvalidClaimError,
        Reason.MALFORMED_CLAIM,
    ),
    "an identity that is too long": (
        lambda pool: pool.token(sub="eu-west-1:" + "0" * 46),
        InvalidClaimError,
        Reason.MALFORMED_CLAIM,
    ),
    "an identity with a line break": (
        lambda pool: pool.token(sub=POOL_ID + "\n"),
        InvalidClaimError,
        Reason.MALFORMED_CLAIM,
    ),
    "an identity of another Region": (
        lambda pool: pool.token(sub="us-east-1:00000000-0000-4000-8000-000000000000"),
        InvalidClaimError,
        Reason.CLAIM_MISMATCH,
    ),
    "no login": (lambda pool: pool.token(amr=ABSENT), InvalidClaimError, Reason.MISSING_CLAIM),
    "a login that is a string": (
        lambda pool: pool.token(amr="authenticated"),
        InvalidClaimError,
        Reason.MALFORMED_CLAIM,
    ),
    "a login of numbers": (lambda pool: pool.token(amr=[1]), InvalidClaimError, Reason.MALFORMED_CLAIM),
    "neither signed in nor a guest": (
        lambda pool: pool.token(amr=["login.example"]),
        InvalidClaimError,
        Reason.MALFORMED_CLAIM,
    ),
    "signed in and a guest": (
        lambda pool: pool.token(amr=["authenticated", "unauthenticated"]),
        InvalidClaimError,
        Reason.MALFORMED_CLAIM,
    ),
    "no expiry": (lambda pool: pool.token(exp=ABSENT), InvalidClaimError, Reason.MISSING_CLAIM),
    "an expiry that is text": (lambda pool: pool.token(exp="1"), InvalidClaimError, Reason.MALFORMED_CLAIM),
    "an expiry that is true": (lambda pool: pool.token(exp=True), InvalidClaimError, Reason.MALFORMED_CLAIM),
    "an expiry beyond all bounds": (lambda pool: pool.token(exp=2**60), InvalidClaimError, Reason.MALFORMED_CLAIM),
    "no time of issue": (lambda pool: pool.token(iat=ABSENT), InvalidClaimError, Reason.MISSING_CLAIM),
    "a negative time of issue": (lambda pool: pool.token(iat=-1), InvalidClaimError, Reason.MALFORMED_CLAIM),
    "issued in the future": (
        lambda pool: pool.token(iat=int(pool.clock()) + LEEWAY + 1),
        ImmatureTokenError,
        Reason.ISSUED_IN_FUTURE,
    ),
    "not valid yet": (
        lambda pool: pool.token(nbf=int(pool.clock()) + LEEWAY + 1),
        ImmatureTokenError,
        Reason.NOT_YET_VALID,
    ),
    "a start that is text": (lambda pool: pool.token(nbf="soon"), InvalidClaimError, Reason.MALFORMED_CLAIM),
    "bound to a key": (lambda pool: pool.token(cnf={"jkt": "x"}), InvalidClaimError, Reason.SENDER_CONSTRAINED),
    "a padded signature": (lambda pool: pool.token() + "==", MalformedTokenError, Reason.MALFORMED_TOKEN),
    "an unknown key": (lambda pool: pool.token(key=SigningKey.draw()), UnknownKeyError, Reason.UNKNOWN_KEY),
    "somebody else's signature": (
        lambda pool: pool.token(key=SigningKey.draw(), header={"kid": pool.key.kid}),
        InvalidSignatureError,
        Reason.INVALID_SIGNATURE,
    ),
    "our key's RS256 signature": (
        lambda pool: pool.key.sign(*parts_of(pool.token())),
        InvalidSignatureError,
        Reason.INVALID_SIGNATURE,
    ),
    "a user pool's access token": (
        lambda pool: FakeUserPool(clock=pool.clock).access_token(),
        UnsupportedAlgorithmError,
        Reason.UNSUPPORTED_ALGORITHM,
    ),
    "a load balancer's data": (
        lambda pool: FakeLoadBalancer(FakeUserPool(clock=pool.clock)).data(),
        UnsupportedAlgorithmError,
        Reason.UNSUPPORTED_ALGORITHM,
    ),
}


def parts_of(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims of a token."""
    return jwt.get_unverified_header(token), jwt.decode(token, options={"verify_signature": False})


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("authenticated_only", [True, False])
def test_token_is_refused(
    call: Call,
    identities: FakeIdentityPool,
    authenticated_only: bool,
    case: tuple[Make, type[InvalidTokenError], Reason],
) -> None:
    """Each doubt has its class and its reason, whether or not guests are allowed; nothing of the token is told."""
    make, kind, reason = case
    token = make(identities)
    error = refusal(call, identities.verifier(authenticated_only=authenticated_only), token)
    assert isinstance(error, kind)
    assert error.reason is reason
    assert_tells_nothing(error, token, POOL_ID)


def test_last_second_of_a_token_is_its_last(
    call: Call, identities: FakeIdentityPool, verifier: IdentityPoolVerifier, clock: FakeClock
) -> None:
    """`exp` and the leeway are exact."""
    token = identities.token()
    clock.tick(600 + LEEWAY - 1)
    call(verifier, "verify", token)
    clock.tick(1)
    assert refusal(call, verifier, token).reason is Reason.EXPIRED


def test_clock_that_tells_no_time_refuses(call: Call, identities: FakeIdentityPool) -> None:
    """Whatever is compared with NaN is false, and false is a refusal."""
    assert refusal(call, identities.verifier(clock=lambda: math.nan), identities.token()).reason is Reason.EXPIRED


def test_age_and_lifetime_can_be_bounded(call: Call, identities: FakeIdentityPool, clock: FakeClock) -> None:
    """A developer may ask for tokens that live a day; a resource server need not take them."""
    token = identities.token(expires_in=86_400)
    call(identities.verifier(), "verify", token)
    assert refusal(call, identities.verifier(max_token_lifetime=900), token).reason is Reason.LIFETIME_TOO_LONG
    clock.tick(900 + LEEWAY + 1)
    assert refusal(call, identities.verifier(max_token_age=900), token).reason is Reason.TOO_OLD


def test_several_identity_pools_are_accepted(call: Call, identities: FakeIdentityPool) -> None:
    """Those that are named, and no other: they all have the same issuer and keys."""
    verifier = IdentityPoolVerifier([POOL_ID, OTHER_POOL_ID], clock=identities.clock, fetch=identities.fetch)
    assert verifier.identity_pool_ids == (POOL_ID, OTHER_POOL_ID)
    assert call(verifier, "verify", identities.token(aud=OTHER_POOL_ID)).identity_pool_id == OTHER_POOL_ID
    assert call(verifier, "verify", identities.token(aud=[POOL_ID, OTHER_POOL_ID])).audience == (POOL_ID, OTHER_POOL_ID)
    third = identities.token(aud="eu-west-1:11111111-0000-4000-8000-000000000000")
    assert refusal(call, verifier, third).reason is Reason.WRONG_AUDIENCE


def test_request_is_authenticated_by_its_bearer_token(
    call: Call, identities: FakeIdentityPool, verifier: IdentityPoolVerifier
) -> None:
    """One Authorization header with one token."""
    headers = identities.headers(name="jane")
    assert call(verifier, "authenticate", headers).subject == identities.identity_id("jane")
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    assert call(verifier, "authenticate", pairs).is_authenticated
    with pytest.raises(MissingTokenError):
        call(verifier, "authenticate", {})
    with pytest.raises(InvalidRequestError) as refused:
        call(verifier, "authenticate", pairs * 2)
    assert refused.value.reason is Reason.REPEATED_HEADER


# Keys


def test_nothing_is_fetched_for_a_foreign_issuer(call: Call, identities: FakeIdentityPool) -> None:
    """What can be told without a key is told without one."""
    asked: list[str] = []

    def fetch(uri: str, timeout: float) -> bytes:
        asked.append(uri)
        return identities.fetch(uri, timeout)

    verifier = identities.verifier(fetch=fetch)
    refusal(call, verifier, identities.token(iss="https://evil.example"))
    refusal(call, verifier, FakeUserPool().access_token())
    assert asked == []
    call(verifier, "verify", identities.token())
    assert asked == [f"{ISSUER}/.well-known/jwks_uri"]


def test_rotation_is_seen_by_its_first_token(
    call: Call, identities: FakeIdentityPool, verifier: IdentityPoolVerifier
) -> None:
    """An unknown key ID makes the keys be asked for again."""
    old = identities.token()
    call(verifier, "verify", old)
    identities.rotate()
    call(verifier, "verify", identities.token())
    call(verifier, "verify", old)


def test_withdrawn_key_dies(
    call: Call, identities: FakeIdentityPool, verifier: IdentityPoolVerifier, clock: FakeClock
) -> None:
    """Once the keys are asked for again, what they no longer hold vouches for nothing."""
    old = identities.token(expires_in=86_400)
    call(verifier, "verify", old)
    identities.rotate(publish_old=False)
    clock.tick(601)
    call(verifier, "verify", identities.token())
    assert refusal(call, identities.verifier(), old).reason is Reason.UNKNOWN_KEY


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(FetchError("the key endpoint answered 503"), id="an outage"),
        pytest.param(FetchError("the key endpoint answered 403", refused=True), id="a refusal"),
        pytest.param(KeyError("marked"), id="a bug in somebody's fetch"),
        pytest.param(b"<html>marked</html>", id="no key set"),
        pytest.param(b'{"keys": []}', id="no keys"),
        pytest.param(json.dumps(FakeUserPool().jwks).encode(), id="keys for RS256"),
    ],
)
def test_verifier_without_keys_can_not_tell(call: Call, identities: FakeIdentityPool, answer: Any) -> None:
    """Nothing but a usable key makes a token good or bad; the endpoint's words are not repeated."""

    def fetch(uri: str, timeout: float) -> bytes:
        if isinstance(answer, Exception):
            raise answer
        return bytes(answer)

    verifier = identities.verifier(fetch=fetch)
    for method, *args in (("verify", identities.token()), ("prefetch",)):
        with pytest.raises(UnavailableError) as refused:
            call(verifier, method, *args)
        assert refused.value.reason is Reason.KEYS_UNAVAILABLE
        assert "marked" not in "".join(traceback.format_exception(refused.value)) + repr(verifier)


def test_keys_are_there_after_prefetch(call: Call, identities: FakeIdentityPool) -> None:
    """The first token waits for nothing."""
    asked: list[str] = []

    def fetch(uri: str, timeout: float) -> bytes:
        asked.append(uri)
        return identities.fetch(uri, timeout)

    verifier = identities.verifier(fetch=fetch)
    call(verifier, "prefetch")
    call(verifier, "verify", identities.token())
    assert len(asked) == 1


def test_keys_come_over_http(call: Call, identities: FakeIdentityPool) -> None:
    """The fake publishes them where AWS does, below its own URL."""
    with identities.serve() as server:
        verifier = identities.verifier(
            jwks_uri=f"{server.url}/.well-known/jwks_uri",
            allow_insecure_http=True,
            schedule=RefreshSchedule(deadline=30.0, cooldown=0.001),
        )
        call(verifier, "verify", identities.token())
        assert server.requests == (("GET", "/.well-known/jwks_uri"),)
        identities.rotate()
        server.down()
        with pytest.raises(UnavailableError):
            call(verifier, "verify", identities.token())
        server.up()
        with pytest.raises(FetchError):
            HTTPSFetch()(f"{server.url}/elsewhere", 30.0)


def test_fakes_server_can_be_started_and_closed_twice(identities: FakeIdentityPool) -> None:
    """What runs is left alone, what is closed too; and where nothing runs, there is no URL."""
    server = identities.serve()
    with pytest.raises(RuntimeError):
        server.url  # noqa: B018
    url = server.start().url
    assert server.start().url == url
    server.close()
    server.close()


def test_fake_publishes_no_key_that_was_withdrawn(identities: FakeIdentityPool) -> None:
    """Whatever signs no more, or a key by its ID."""
    old = identities.key.kid
    identities.rotate()
    identities.withdraw()
    assert old not in {jwk["kid"] for jwk in identities.jwks["keys"]}
    identities.withdraw(identities.key.kid)
    with pytest.raises(ConfigurationError):
        identities.withdraw(old)
    assert (identities.identity_pool_id, identities.issuer) == (POOL_ID, ISSUER)


def test_given_keys_need_no_network(call: Call, identities: FakeIdentityPool) -> None:
    """A key set of the configuration is used for ever."""
    verifier = IdentityPoolVerifier(POOL_ID, jwks=identities.jwks, clock=identities.clock)
    call(verifier, "prefetch")
    call(verifier, "verify", identities.token())
    identities.rotate()
    assert refusal(call, verifier, identities.token()).reason is Reason.UNKNOWN_KEY


def key_set_of(count: int) -> dict[str, Any]:
    """Return a document with so many keys for RS512, all of the same material."""
    key = SigningKey.draw().jwk() | {"alg": "RS512"}
    return {"keys": [key | {"kid": f"eu-west-1{number}"} for number in range(count)]}


def test_keys_of_all_regions_fit_into_one_document() -> None:
    """There is a bound, and it is above a user pool's."""
    verifier = IdentityPoolVerifier(POOL_ID, jwks=key_set_of(MAX_IDENTITY_KEYS))
    assert "<KeySet 512 keys, 0 skipped>" in repr(verifier)
    with pytest.raises(ConfigurationError):
        IdentityPoolVerifier(POOL_ID, jwks=key_set_of(MAX_IDENTITY_KEYS + 1))


# User pools are what they were


def test_user_pool_verifier_refuses_other_makers_tokens(call: Call, clock: FakeClock) -> None:
    """Even with the user pool's own keys, claims and issuer: RS512, ES256 and padding are not its form."""
    pool = FakeUserPool(clock=clock)
    signer = FakeIdentityPool(clock=clock)
    claims: Mapping[str, Any] = parts_of(pool.access_token())[1]
    verifier = pool.verifier()
    assert call(verifier, "verify", pool.sign({"alg": "RS256", "kid": pool.access_key.kid}, claims)).subject
    genuine_rs512 = signer.token(key=pool.access_key, **claims)
    assert parts_of(genuine_rs512)[0]["kid"] == pool.access_key.kid
    assert refusal(call, verifier, genuine_rs512).reason is Reason.UNSUPPORTED_ALGORITHM
    typed = pool.sign({"alg": "RS256", "kid": pool.access_key.kid, "typ": "JWS"}, claims)
    assert refusal(call, verifier, typed).reason is Reason.UNSUPPORTED_HEADER
    es256 = pool.sign({"alg": "ES256", "kid": pool.access_key.kid}, claims)
    assert refusal(call, verifier, es256).reason is Reason.UNSUPPORTED_ALGORITHM
    assert refusal(call, verifier, FakeLoadBalancer(pool).data()).reason is Reason.UNSUPPORTED_ALGORITHM
    for padding in ("=", "=="):
        assert refusal(call, verifier, pool.access_token() + padding).reason is Reason.MALFORMED_TOKEN


def test_user_pool_uses_no_key_for_another_algorithm(identities: FakeIdentityPool) -> None:
    """A key that says RS512 is none to a user pool, and one that says RS256 none to an identity pool."""
    with pytest.raises(InvalidKeySetError):
        KeySet.from_document(identities.jwks)
    with pytest.raises(InvalidKeySetError):
        KeySet.from_document(FakeUserPool().jwks, algorithm="RS512")


def test_key_of_another_algorithm_is_another_key() -> None:
    """The same numbers under the same key ID are not equal where what they verify differs."""
    jwk = {name: value for name, value in SigningKey.draw().jwk().items() if name != "alg"}
    short, long = (
        KeySet.from_document({"keys": [jwk]}, algorithm=algorithm).by_kid[jwk["kid"]]
        for algorithm in ("RS256", "RS512")
    )
    assert short != long
    assert short == KeySet.from_document({"keys": [jwk]}).by_kid[jwk["kid"]]


# Configuration


@pytest.mark.parametrize(
    "region, issuer",
    [
        pytest.param("eu-west-1", ISSUER, id="one issuer for all Regions"),
        pytest.param("ap-southeast-2", ISSUER, id="far away as well"),
        pytest.param("us-gov-west-1", "https://cognito-identity-us-gov.amazonaws.com", id="GovCloud West"),
        pytest.param("us-gov-east-1", "https://cognito-identity.us-gov-east-1.amazonaws.com", id="GovCloud East"),
        pytest.param("cn-north-1", "https://cognito-identity.cn-north-1.amazonaws.com.cn", id="China"),
    ],
)
def test_issuer_follows_from_the_region(region: str, issuer: str) -> None:
    """It is never asked for."""
    assert IdentityPoolVerifier(POOL_ID.replace("eu-west-1", region)).issuer == issuer


@pytest.mark.parametrize(
    "setting, arguments",
    [
        pytest.param("identity_pool_id", {"identity_pool_id": ()}, id="no identity pool"),
        pytest.param("identity_pool_id", {"identity_pool_id": ""}, id="an empty id"),
        pytest.param("identity_pool_id", {"identity_pool_id": "*"}, id="a wildcard"),
        pytest.param("identity_pool_id", {"identity_pool_id": None}, id="None"),
        pytest.param("identity_pool_id", {"identity_pool_id": "eu-west-1_AbCdEf123"}, id="a user pool"),
        pytest.param("identity_pool_id", {"identity_pool_id": POOL_ID + "\n"}, id="a line break"),
        pytest.param("identity_pool_id", {"identity_pool_id": "eu-west-1:" + "0" * 46}, id="too long"),
        pytest.param("identity_pool_id", {"identity_pool_id": "nowhere:0"}, id="no Region"),
        pytest.param("identity_pool_id", {"identity_pool_id": "eusc-de-east-1:0"}, id="an unknown partition"),
        pytest.param("identity_pool_id", {"identity_pool_id": "us-iso-east-1:0"}, id="an isolated partition"),
        pytest.param("identity_pool_id", {"identity_pool_id": [POOL_ID, "cn-north-1:0"]}, id="two partitions"),
        pytest.param("authenticated_only", {"authenticated_only": "no"}, id="a word for a flag"),
        pytest.param("issuer", {"issuer": "http://example.com"}, id="plain http"),
        pytest.param("issuer", {"issuer": "http://127.0.0.1"}, id="plain http to loopback without the flag"),
        pytest.param("issuer", {"issuer": ["https://a.example", "https://b.example"]}, id="two issuers"),
        pytest.param("jwks_uri", {"jwks_uri": "ftp://example.com"}, id="no https URI"),
        pytest.param("jwks", {"jwks": {"keys": []}}, id="no keys"),
        pytest.param("jwks", {"jwks": "keys"}, id="no document"),
        pytest.param("jwks", {"jwks": key_set_of(1), "jwks_uri": "https://a.example"}, id="given and fetched keys"),
        pytest.param("jwks", {"jwks": key_set_of(1), "fetch": print}, id="given keys and a fetch"),
        pytest.param("max_token_age", {"max_token_age": -1}, id="a negative age"),
        pytest.param("max_token_lifetime", {"max_token_lifetime": "1"}, id="a lifetime that is text"),
        *IMPOSSIBLE_ALIKE,
    ],
)
def test_impossible_setting_is_named(setting: str, arguments: dict[str, Any]) -> None:
    """What can't be right is said at construction."""
    given: dict[str, Any] = {"identity_pool_id": POOL_ID, **arguments}
    with pytest.raises(ConfigurationError) as refused:
        IdentityPoolVerifier(given.pop("identity_pool_id"), **given)
    assert refused.value.setting == setting


def test_emulators_issuer_replaces_the_derived_one(call: Call, clock: FakeClock) -> None:
    """The ids of its pools need not begin with a Region of AWS."""
    identities = FakeIdentityPool("local:0", issuer="https://identity.example", clock=clock)
    assert call(identities.verifier(), "verify", identities.token()).issuer == "https://identity.example"
    assert refusal(call, identities.verifier(), identities.token(iss=ISSUER)).reason is Reason.WRONG_ISSUER


# The value


def test_principal_is_a_value(identities: FakeIdentityPool, verifier: IdentityPoolVerifier) -> None:
    """It can't be changed, not in its last leaf; it is equal to its copies, and crosses processes."""
    principal = verifier.verify(identities.token(tags={"team": ["red"]}))
    for copied in (copy.deepcopy(principal), pickle.loads(pickle.dumps(principal))):  # noqa: S301
        assert copied == principal
        assert hash(copied) == hash(principal)
        assert type(copied) is IdentityPrincipal
    for name in ("claims", "subject", "is_authenticated", "anything"):
        with pytest.raises((AttributeError, TypeError)):
            setattr(principal, name, None)
    with pytest.raises(TypeError):
        principal.claims["sub"] = "joe"  # type: ignore[index]
    with pytest.raises(TypeError):
        principal.claims["tags"]["team"] = ()
    assert principal.claims["tags"]["team"] == ("red",)
    assert principal != verifier.verify(identities.token("joe"))


def test_reprs_tell_no_claim(identities: FakeIdentityPool, verifier: IdentityPoolVerifier) -> None:
    """What ends up in logs holds no value out of a token."""
    principal = verifier.verify(identities.token("jane", email="jane@example.com"))
    assert repr(principal) == "<IdentityPrincipal 7 claims>"
    assert "jane" not in repr(verifier) + repr(identities)
    assert identities.key.kid not in repr(verifier) + repr(identities)


# Anything at all

_SOME = FakeIdentityPool(POOL_ID, clock=FakeClock())
_VERIFIER = _SOME.verifier(authenticated_only=False)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)
_NAMES = st.sampled_from(["iss", "sub", "aud", "amr", "exp", "iat", "nbf", "cnf"])


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.text() | st.text("AZaz09-_.=", max_size=60) | st.binary() | st.none())
def test_any_text_is_refused_as_a_token(text: Any) -> None:
    """Nothing foreign escapes."""
    with pytest.raises(InvalidTokenError):
        _VERIFIER.verify(text)


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.dictionaries(_NAMES, _JSON, min_size=1, max_size=3))
def test_any_signed_claims_are_judged(claims: dict[str, Any]) -> None:
    """Under a good signature, too: an identity of this pool comes out, or a refusal."""
    try:
        principal = _VERIFIER.verify(_SOME.token(**claims))
    except InvalidTokenError:
        return
    assert principal.audience == (POOL_ID,)
    assert principal.issuer == ISSUER
    assert principal.subject.startswith("eu-west-1:")
