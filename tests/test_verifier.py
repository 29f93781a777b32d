"""CognitoVerifier: which tokens it takes and which not, in which order it judges, and how it is configured."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from cognito_guard import (
    ANY_CLIENT,
    CognitoVerifier,
    ConfigurationError,
    ExpiredTokenError,
    FetchError,
    ImmatureTokenError,
    InsufficientScopeError,
    InvalidClaimError,
    InvalidRequestError,
    InvalidSignatureError,
    MalformedTokenError,
    MissingTokenError,
    Reason,
    RefreshSchedule,
    RefusalError,
    RequirementNotMetError,
    Requires,
    ResourceServer,
    StepUpRequiredError,
    UnavailableError,
    UnknownKeyError,
    UnsupportedAlgorithmError,
)
from cognito_guard.testing import ABSENT, AppClient, FakeClock, FakeUserPool
from cognito_guard.testing.keys import SigningKey, base64url

POOL_ID = "eu-west-1_FakePool1"
ORIGINAL = f"https://cognito-idp.eu-west-1.amazonaws.com/{POOL_ID}"
UPDATED = f"https://issuer-cognito-idp.eu-west-1.amazonaws.com/{POOL_ID}"
REPLICA = f"https://cognito-idp.us-east-1.amazonaws.com/{POOL_ID}"
API = "https://api.example.com"
OTHER_API = "https://other.example.com"
FRESH_FOR = RefreshSchedule().fresh_for

Call: TypeAlias = Callable[..., Any]
Mint: TypeAlias = Callable[[FakeUserPool], str]
Verdict: TypeAlias = tuple[type[RefusalError], Reason] | None
"""Why a token was refused, or None where it was accepted."""

WRONG_USE: Verdict = (InvalidClaimError, Reason.WRONG_TOKEN_USE)
WRONG_ISSUER: Verdict = (InvalidClaimError, Reason.WRONG_ISSUER)
WRONG_CLIENT: Verdict = (InvalidClaimError, Reason.WRONG_CLIENT)
WRONG_AUDIENCE: Verdict = (InvalidClaimError, Reason.WRONG_AUDIENCE)
MISSING_CLAIM: Verdict = (InvalidClaimError, Reason.MISSING_CLAIM)
MALFORMED_CLAIM: Verdict = (InvalidClaimError, Reason.MALFORMED_CLAIM)
EXPIRED: Verdict = (ExpiredTokenError, Reason.EXPIRED)
MALFORMED: Verdict = (MalformedTokenError, Reason.MALFORMED_TOKEN)
UNSUPPORTED_HEADER: Verdict = (MalformedTokenError, Reason.UNSUPPORTED_HEADER)
UNSUPPORTED_ALGORITHM: Verdict = (UnsupportedAlgorithmError, Reason.UNSUPPORTED_ALGORITHM)
UNKNOWN_KEY: Verdict = (UnknownKeyError, Reason.UNKNOWN_KEY)
INVALID_SIGNATURE: Verdict = (InvalidSignatureError, Reason.INVALID_SIGNATURE)
INSUFFICIENT_SCOPE: Verdict = (InsufficientScopeError, Reason.INSUFFICIENT_SCOPE)
UNAVAILABLE: Verdict = (UnavailableError, Reason.KEYS_UNAVAILABLE)


def verdict(call: Call, verifier: CognitoVerifier, token: object, method: str = "verify") -> Verdict:
    """Verify, and return the verdict; no refusal may show anything of the token."""
    try:
        call(verifier, method, token)
    except RefusalError as error:
        segments = token.split(".") if isinstance(token, str) else []
        shown = f"{error} {error!r} {vars(error)}"
        assert not any(len(segment) > 3 and segment in shown for segment in segments)
        return type(error), error.reason
    return None


class Asked:
    """
    Be the `fetch` of a verifier.

    Attributes:
        uris: what was asked for.
        jwks: what is published instead of the pool's keys, if anything.
    """

    def __init__(self, pool: FakeUserPool) -> None:
        self.uris: list[str] = []
        self.jwks: list[object] | None = None
        self._pool = pool

    def __call__(self, uri: str, timeout: float, /) -> bytes:
        self.uris.append(uri)
        return self._pool.fetch(uri, timeout) if self.jwks is None else json.dumps({"keys": self.jwks}).encode()


@pytest.fixture
def asked(pool: FakeUserPool) -> Asked:
    return Asked(pool)


@pytest.fixture
def verifier(pool: FakeUserPool, asked: Asked, clock: FakeClock) -> CognitoVerifier:
    """Return a verifier with the defaults, on the test's clock."""
    return pool.verifier(fetch=asked, timer=clock)


def cases(table: Mapping[str, tuple[Mint, Verdict]]) -> list[Any]:
    """Return a table of tokens and verdicts as parameters of a test."""
    return [pytest.param(mint, expected, id=name) for name, (mint, expected) in table.items()]


def unsigned(pool: FakeUserPool, **header: object) -> str:
    """Return a token that claims to need no signature."""
    _, claims, _ = pool.access_token().split(".")
    return f"{base64url(json.dumps({'alg': 'none', 'kid': pool.access_key.kid} | header).encode())}.{claims}."


def signed_with_public_key(pool: FakeUserPool) -> str:
    """Return a token whose HMAC secret is the pool's public key."""
    _, claims, _ = pool.access_token().split(".")
    header = base64url(json.dumps({"alg": "HS256", "kid": pool.access_key.kid}).encode())
    public = pool.access_key.private_key.public_key()
    secret = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    digest = hmac.digest(secret, f"{header}.{claims}".encode(), hashlib.sha256)
    return f"{header}.{claims}.{base64url(digest)}"


def forged(pool: FakeUserPool, **header: object) -> str:
    """Return a token under the pool's key ID that somebody else signed."""
    return pool.access_token(key=FakeUserPool().access_key, header={"kid": pool.access_key.kid, **header})


def altered(token: str, **claims: object) -> str:
    """Return the token with other claims under the signature it had."""
    header, payload, signature = token.split(".")
    old = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return f"{header}.{base64url(json.dumps(old | claims).encode())}.{signature}"


KINDS: dict[str, Mint] = {
    "access": lambda pool: pool.access_token(),
    "id": lambda pool: pool.id_token(),
    "machine": lambda pool: pool.client_token(),
    "bound": lambda pool: pool.bound_token(API),
    "delegated": lambda pool: pool.delegated_token("an-agent"),
    "refresh": lambda pool: pool.refresh_token(),
}
REFRESH: Verdict = (MalformedTokenError, Reason.ENCRYPTED_TOKEN)


@pytest.mark.parametrize(
    "token_use, verdicts",
    [
        pytest.param(
            "access",
            {"access": None, "id": WRONG_USE, "machine": None, "bound": None, "delegated": None, "refresh": REFRESH},
            id="access",
        ),
        pytest.param(
            "id",
            {
                "access": WRONG_USE,
                "id": None,
                "machine": WRONG_USE,
                "bound": WRONG_USE,
                "delegated": WRONG_USE,
                "refresh": REFRESH,
            },
            id="ID",
        ),
        pytest.param(
            ["access", "id"],
            {"access": None, "id": None, "machine": None, "bound": None, "delegated": None, "refresh": REFRESH},
            id="both",
        ),
    ],
)
def test_each_kind_of_token_is_taken_where_it_belongs(
    call: Call, pool: FakeUserPool, token_use: Any, verdicts: Mapping[str, Verdict]
) -> None:
    """Every token that a user pool issues, under each `token_use`."""
    verifier = pool.verifier(token_use=token_use, resource=API)
    assert {kind: verdict(call, verifier, mint(pool)) for kind, mint in KINDS.items()} == verdicts


def test_principal_is_who_the_token_says(call: Call, pool: FakeUserPool, transactions: ResourceServer) -> None:
    """A person, an ID token's person, a machine and a delegate, each with what its token carries."""
    verifier = pool.verifier(token_use=["access", "id"])
    person = call(verifier, "verify", pool.access_token(groups=["admins"], scopes=[transactions["get"]]))
    identity = call(verifier, "verify", pool.id_token())
    machine = call(verifier, "verify", pool.client_token())
    delegate = call(verifier, "verify", pool.delegated_token("an-agent"))
    assert (person.username, person.groups, person.scopes) == ("jane", {"admins"}, {"transactions/get"})
    assert (identity.token_use, identity.username, identity.client_id) == ("id", "jane", pool.client_id)
    assert (machine.is_machine, machine.username, machine.subject) == (True, None, pool.client_id)
    assert (delegate.actor.subject, delegate.username) == ("an-agent", "jane")
    assert {one.user_pool_id for one in (person, identity, machine, delegate)} == {POOL_ID}


NEAR_ISSUERS = (
    ORIGINAL,
    UPDATED,
    REPLICA,
    "",
    ORIGINAL + "/",
    ORIGINAL + "/.well-known",
    ORIGINAL + "\x00",
    ORIGINAL + "\u200b",
    " " + ORIGINAL,
    ORIGINAL.upper(),
    ORIGINAL.replace("eu-west-1_", "eu-West-1_"),
    ORIGINAL.replace("https:", "http:"),
    ORIGINAL.replace("https:", "HTTPS:"),
    ORIGINAL.replace(".com/", ".com:443/"),
    ORIGINAL.replace("amazonaws.com", "amazonaws.com.evil.test"),
    ORIGINAL.replace("https://", "https://evil.test@"),
    ORIGINAL.replace("eu-west-1.", "eu-west-2."),
    ORIGINAL.removesuffix("1"),
    ORIGINAL + "1",
    "https://evil.test/" + POOL_ID,
    "https://jane.auth.eu-west-1.amazoncognito.com",
    POOL_ID,
)


@pytest.mark.parametrize(
    "options, accepted",
    [
        pytest.param({}, {ORIGINAL, UPDATED}, id="both forms"),
        pytest.param({"issuer_format": "original"}, {ORIGINAL}, id="the original form alone"),
        pytest.param({"issuer_format": "updated"}, {UPDATED}, id="the updated form alone"),
        pytest.param({"replica_regions": ["us-east-1"]}, {ORIGINAL, UPDATED, REPLICA}, id="with a replica"),
        pytest.param({"issuer": UPDATED}, {UPDATED}, id="one given"),
        pytest.param({"issuer": [ORIGINAL, REPLICA]}, {ORIGINAL, REPLICA}, id="two given"),
    ],
)
def test_configured_issuers_are_accepted_and_no_other(
    call: Call, pool: FakeUserPool, options: dict[str, Any], accepted: set[str]
) -> None:
    """Each form of a pool's issuer counts where it is configured, and its tokens are verified with the same keys."""
    verifier = pool.verifier(**options)
    verdicts = {issuer: verdict(call, verifier, pool.access_token(issuer=issuer)) for issuer in NEAR_ISSUERS}
    assert verdicts == {issuer: None if issuer in accepted else WRONG_ISSUER for issuer in NEAR_ISSUERS}
    assert set(verifier.user_pool.issuers) == accepted


@pytest.mark.parametrize(
    "user_pool_id, issuer",
    [
        pytest.param(
            "us-gov-west-1_Abc123456",
            "https://cognito-idp.us-gov-west-1.amazonaws.com/us-gov-west-1_Abc123456",
            id="gov",
        ),
        pytest.param(
            "eusc-de-east-1_Abc123456",
            "https://cognito-idp.eusc-de-east-1.amazonaws.eu/eusc-de-east-1_Abc123456",
            id="European Sovereign Cloud",
        ),
    ],
)
def test_partition_decides_the_issuer_s_suffix(call: Call, user_pool_id: str, issuer: str) -> None:
    """Pools of every partition are told by their ID alone."""
    pool = FakeUserPool(user_pool_id)
    assert pool.issuer == issuer
    assert verdict(call, pool.verifier(), pool.access_token()) is None


UNREAD: dict[str, tuple[Mint, Verdict]] = {
    "nothing": (lambda _: "", MALFORMED),
    "no token": (lambda _: "no token", MALFORMED),
    "two segments": (lambda pool: pool.access_token().rpartition(".")[0], MALFORMED),
    "four segments": (lambda pool: pool.access_token() + ".x", MALFORMED),
    "a million dots": (lambda _: "." * 2**20, (MalformedTokenError, Reason.OVERSIZED_TOKEN)),
    "a refresh token": (lambda pool: pool.refresh_token(), REFRESH),
    "text that is not ASCII": (lambda pool: pool.access_token() + "\u0430", MALFORMED),
    "a line break behind it": (lambda pool: pool.access_token() + "\n", MALFORMED),
    "a padded signature": (lambda pool: pool.access_token() + "==", MALFORMED),
    "claims that are no object": (lambda pool: pool.sign({"alg": "RS256", "kid": "x"}, b"[]"), MALFORMED),
    "a claim that stands twice": (
        lambda pool: pool.sign(
            {"alg": "RS256", "kid": pool.access_key.kid}, b'{"iss": "%b", "iss": "%b"}' % ((ORIGINAL.encode(),) * 2)
        ),
        MALFORMED,
    ),
    "no signature wanted": (unsigned, UNSUPPORTED_ALGORITHM),
    "no signature wanted, in another case": (lambda pool: unsigned(pool, alg="nOnE"), UNSUPPORTED_ALGORITHM),
    "the public key as a secret": (signed_with_public_key, UNSUPPORTED_ALGORITHM),
    "another RSA algorithm": (lambda pool: pool.access_token(header={"alg": "RS512"}), UNSUPPORTED_ALGORITHM),
    "no algorithm": (lambda pool: pool.access_token(header={"alg": ABSENT}), UNSUPPORTED_ALGORITHM),
    "an algorithm in a list": (lambda pool: pool.access_token(header={"alg": ["RS256"]}), UNSUPPORTED_ALGORITHM),
    "a critical extension": (lambda pool: pool.access_token(header={"crit": ["exp"]}), UNSUPPORTED_HEADER),
    "an unencoded payload": (lambda pool: pool.access_token(header={"b64": False}), UNSUPPORTED_HEADER),
    "another type of token": (lambda pool: pool.access_token(header={"typ": "dpop+jwt"}), UNSUPPORTED_HEADER),
    "no key ID": (lambda pool: pool.access_token(header={"kid": ABSENT}), MALFORMED),
    "a key ID that is no string": (lambda pool: pool.access_token(header={"kid": 1}), MALFORMED),
    "an empty key ID": (lambda pool: pool.access_token(header={"kid": ""}), MALFORMED),
    "a key ID beyond the limit": (lambda pool: pool.access_token(header={"kid": "k" * 257}), MALFORMED),
    "no issuer": (lambda pool: pool.access_token(iss=ABSENT), MISSING_CLAIM),
    "an issuer that is null": (lambda pool: pool.access_token(iss=None), MALFORMED_CLAIM),
    "an issuer that is a list": (lambda pool: pool.access_token(iss=[ORIGINAL]), MALFORMED_CLAIM),
    "an issuer that is a number": (lambda pool: pool.access_token(iss=1), MALFORMED_CLAIM),
    "a foreign issuer": (lambda pool: pool.access_token(issuer="https://evil.test"), WRONG_ISSUER),
    "a foreign issuer and key ID": (
        lambda pool: pool.access_token(issuer="https://evil.test", header={"kid": "invented"}),
        WRONG_ISSUER,
    ),
}


@pytest.mark.parametrize(
    "mint, expected",
    [
        pytest.param(mint, expected, id=name)
        for name, (mint, expected) in UNREAD.items()
        if expected != INVALID_SIGNATURE
    ],
)
def test_token_is_refused_before_the_network_is_used(
    call: Call, verifier: CognitoVerifier, pool: FakeUserPool, asked: Asked, mint: Mint, expected: Verdict
) -> None:
    """Shape, header and issuer are judged first: whoever sends anything at all makes no fetch."""
    assert verdict(call, verifier, mint(pool)) == expected
    assert asked.uris == []


@pytest.mark.parametrize("token", [None, b"x.y.z", 1, ["x"], object()])
def test_token_that_is_no_text_is_malformed(call: Call, verifier: CognitoVerifier, token: object) -> None:
    """A program that passes something else gets the same refusal as a client that sends garbage."""
    assert verdict(call, verifier, token) == MALFORMED


IN_ORDER: dict[str, tuple[Mint, Verdict]] = {
    "the algorithm before the key": (lambda pool: unsigned(pool, kid="invented"), UNSUPPORTED_ALGORITHM),
    "the algorithm before the issuer": (
        lambda pool: pool.access_token(issuer="x", header={"alg": "none"}),
        UNSUPPORTED_ALGORITHM,
    ),
    "the issuer before the key": (
        lambda pool: pool.access_token(issuer="x", header={"kid": "invented"}),
        WRONG_ISSUER,
    ),
    "the key before the claims": (
        lambda pool: pool.access_token(expires_in=-60, header={"kid": "invented"}),
        UNKNOWN_KEY,
    ),
    "the signature before the claims": (lambda pool: altered(pool.access_token(), exp=0), INVALID_SIGNATURE),
    "the types before the use": (lambda pool: pool.id_token(exp="x"), MALFORMED_CLAIM),
    "the use before the time": (lambda pool: pool.id_token(expires_in=-60), WRONG_USE),
    "the time before the client": (lambda pool: pool.access_token(expires_in=-60, client_id="x"), EXPIRED),
    "the client before the audience": (lambda pool: pool.access_token(client_id="x", audience=API), WRONG_CLIENT),
    "the audience before the scopes": (lambda pool: pool.access_token(audience=API, scopes=[]), WRONG_AUDIENCE),
}


@pytest.mark.parametrize("mint, expected", cases(IN_ORDER))
def test_checks_are_made_in_their_order(call: Call, pool: FakeUserPool, mint: Mint, expected: Verdict) -> None:
    """Of two things that are wrong, the earlier check names its own: each is why the next one is safe."""
    verifier = pool.verifier(required_scopes="transactions/get")
    assert verdict(call, verifier, mint(pool)) == expected


def test_signature_with_any_byte_changed_is_refused(pool: FakeUserPool) -> None:
    """Each of its 256 bytes counts."""
    verifier = pool.verifier()
    message, _, signature = pool.access_token().rpartition(".")
    octets = urlsafe_b64decode(signature + "==")
    for position in range(len(octets)):
        flipped = bytearray(octets)
        flipped[position] ^= 1 << position % 8
        with pytest.raises(InvalidSignatureError) as refusal:
            verifier.verify(f"{message}.{base64url(bytes(flipped))}")
        assert refusal.value.reason is Reason.INVALID_SIGNATURE
    assert verifier.verify(f"{message}.{base64url(octets)}").username == "jane"


def message_of(token: str) -> str:
    """Return all but the signature."""
    return token.rpartition(".")[0]


def signature_of(token: str) -> str:
    """Return the signature."""
    return token.rpartition(".")[2]


NOT_SIGNED: dict[str, Mint] = {
    "no signature": lambda pool: message_of(pool.access_token()) + ".",
    "another token's signature": lambda pool: f"{message_of(pool.access_token())}.{signature_of(pool.access_token())}",
    "a longer signature": lambda pool: pool.access_token() + "AAAA",
    "a shorter signature": lambda pool: pool.access_token()[:-6],
    "another key under the same key ID": forged,
    "a key of its own": lambda pool: forged(pool, jwk=FakeUserPool().access_key.jwk()),
    "a place of keys of its own": lambda pool: forged(pool, jku="https://evil.test/jwks.json"),
    "the pool's other key": lambda pool: pool.access_token(key=pool.id_key, header={"kid": pool.access_key.kid}),
    "another issuer": lambda pool: altered(pool.access_token(), iss=UPDATED),
    "another subject": lambda pool: altered(pool.access_token(), sub="somebody"),
    "another use": lambda pool: altered(pool.access_token(), token_use="id"),
    "another client": lambda pool: altered(pool.access_token(), client_id="other"),
    "another expiry": lambda pool: altered(pool.access_token(), exp=2_000_000_000),
    "another scope": lambda pool: altered(pool.access_token(), scope="transactions/post"),
    "another group": lambda pool: altered(pool.access_token(), **{"cognito:groups": ["admins"]}),
    "another user": lambda pool: altered(pool.access_token(), username="root"),
    "the same claims in another spelling": lambda pool: altered(pool.access_token()),
}


@pytest.mark.parametrize("mint", [pytest.param(mint, id=name) for name, mint in NOT_SIGNED.items()])
def test_token_that_the_pool_did_not_sign_is_refused(
    call: Call, verifier: CognitoVerifier, pool: FakeUserPool, asked: Asked, mint: Mint
) -> None:
    """Nothing in a token replaces the signature of the published key that its header names."""
    assert verdict(call, verifier, mint(pool)) == INVALID_SIGNATURE
    assert all(uri.endswith(f"amazonaws.com/{POOL_ID}/.well-known/jwks.json") for uri in asked.uris)


CLAIMS: dict[str, tuple[dict[str, Any], Verdict]] = {
    **{f"no {name}": ({name: ABSENT}, MISSING_CLAIM) for name in ("sub", "token_use", "exp", "iat", "client_id")},
    "an empty subject": ({"sub": ""}, MALFORMED_CLAIM),
    "a subject that is a number": ({"sub": 1}, MALFORMED_CLAIM),
    "an expiry that is text": ({"exp": "1900000000"}, MALFORMED_CLAIM),
    "an expiry that is a fraction": ({"exp": 1.9e9}, MALFORMED_CLAIM),
    "an expiry that is a truth value": ({"exp": True}, MALFORMED_CLAIM),
    "a negative expiry": ({"exp": -1}, MALFORMED_CLAIM),
    "an expiry beyond all time": ({"exp": 2**60}, MALFORMED_CLAIM),
    "a time of issue that is null": ({"iat": None}, MALFORMED_CLAIM),
    "a first time that is text": ({"nbf": "now"}, MALFORMED_CLAIM),
    "scopes in a list": ({"scope": ["a", "b"]}, MALFORMED_CLAIM),
    "a client in a list": ({"client_id": ["x"]}, MALFORMED_CLAIM),
    "groups that are text": ({"cognito:groups": "admins"}, MALFORMED_CLAIM),
    "groups that are numbers": ({"cognito:groups": [1]}, MALFORMED_CLAIM),
    "groups in a list of lists": ({"cognito:groups": [["admins"]]}, MALFORMED_CLAIM),
    "a use in a list": ({"token_use": ["access"]}, MALFORMED_CLAIM),
    "an audience of nobody": ({"aud": []}, MALFORMED_CLAIM),
    "an audience that is a number": ({"aud": 1}, MALFORMED_CLAIM),
    "an actor that is text": ({"act": "an-agent"}, MALFORMED_CLAIM),
    "a use nobody knows": ({"token_use": "refresh"}, WRONG_USE),
    "a client not configured": ({"client_id": "other"}, WRONG_CLIENT),
    "a key that it is bound to": ({"cnf": {"jkt": "x"}}, (InvalidClaimError, Reason.SENDER_CONSTRAINED)),
}


@pytest.mark.parametrize(
    "claims, expected", [pytest.param(claims, expected, id=name) for name, (claims, expected) in CLAIMS.items()]
)
def test_genuine_token_that_is_not_acceptable_is_refused(
    call: Call, pool: FakeUserPool, claims: dict[str, Any], expected: Verdict
) -> None:
    """The pool's signature makes no claim good."""
    assert verdict(call, pool.verifier(), pool.access_token(**claims)) == expected


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"scope": ABSENT, "username": ABSENT, "auth_time": ABSENT, "jti": ABSENT}, id="nothing optional"),
        pytest.param({"custom": {"nested": [1, None, 1.5]}, "x": "y" * 5000}, id="claims nobody knows"),
        pytest.param({"cognito:groups": []}, id="an empty list of groups"),
    ],
)
def test_claims_that_do_not_matter_do_not_matter(call: Call, pool: FakeUserPool, claims: dict[str, Any]) -> None:
    """Cognito adds claims without notice, and triggers add and remove them."""
    assert verdict(call, pool.verifier(), pool.access_token(**claims)) is None


@pytest.mark.parametrize("leeway", [0.0, 10.0, 300.0])
def test_leeway_holds_on_both_sides_of_now(call: Call, pool: FakeUserPool, clock: FakeClock, leeway: float) -> None:
    """A token is good from `leeway` before its time until `leeway` after it, to the moment."""
    verifier = pool.verifier(leeway=leeway)
    token = pool.access_token(nbf=int(clock.now))
    clock.tick(-leeway)
    assert verdict(call, verifier, token) is None
    clock.tick(-0.5)
    assert verdict(call, verifier, token) == (ImmatureTokenError, Reason.NOT_YET_VALID)
    early = pool.access_token(iat=int(clock.now + leeway) + 1)
    assert verdict(call, verifier, early) == (ImmatureTokenError, Reason.ISSUED_IN_FUTURE)
    clock.tick(0.5 + leeway + 3600 + leeway - 0.5)
    assert verdict(call, verifier, token) is None
    clock.tick(0.5)
    assert verdict(call, verifier, token) == EXPIRED


def test_token_older_than_the_maximum_age_is_refused(call: Call, pool: FakeUserPool, clock: FakeClock) -> None:
    """However late it expires; the leeway counts here as well."""
    verifier = pool.verifier(max_token_age=60, leeway=5)
    token = pool.access_token()
    clock.tick(65)
    assert verdict(call, verifier, token) is None
    clock.tick(0.5)
    assert verdict(call, verifier, token) == (ExpiredTokenError, Reason.TOO_OLD)


def test_token_that_lives_longer_than_the_maximum_is_refused(call: Call, pool: FakeUserPool) -> None:
    """From the first second on."""
    verifier = pool.verifier(max_token_lifetime=600)
    assert verdict(call, verifier, pool.access_token(expires_in=600)) is None
    expected = (InvalidClaimError, Reason.LIFETIME_TOO_LONG)
    assert verdict(call, verifier, pool.access_token(expires_in=601)) == expected


def test_token_longer_than_the_maximum_is_not_read(call: Call, pool: FakeUserPool) -> None:
    """To the byte."""
    token = pool.access_token()
    assert verdict(call, pool.verifier(max_token_bytes=len(token)), token) is None
    expected = (MalformedTokenError, Reason.OVERSIZED_TOKEN)
    assert verdict(call, pool.verifier(max_token_bytes=len(token) - 1), token) == expected
    assert verdict(call, pool.verifier(max_token_bytes=1), token) == expected


def test_required_scopes_are_a_floor_for_every_token(
    call: Call, pool: FakeUserPool, transactions: ResourceServer
) -> None:
    """All of them; a scope that implies them will do, and an ID token has none."""
    required = (transactions["get"], transactions["post"])
    verifier = pool.verifier(
        required_scopes=required, implies={"all": ["rw"], "rw": required, "loop": ["loop"]}, token_use=["access", "id"]
    )
    assert (verifier.required_scopes, pool.verifier().required_scopes) == (required, ())
    assert verdict(call, verifier, pool.access_token(scopes=required)) is None
    assert verdict(call, verifier, pool.client_token()) is None
    assert verdict(call, verifier, pool.access_token(scopes=["all"])) is None
    for token in (
        pool.access_token(scopes=required[:1]),
        pool.access_token(scopes=["loop", f"{required[0]}er", required[0].upper()]),
        pool.access_token(scopes=[]),
        pool.id_token(scope=" ".join(required)),
    ):
        with pytest.raises(InsufficientScopeError) as refusal:
            call(verifier, "verify", token)
        assert refusal.value.reason is Reason.INSUFFICIENT_SCOPE
        assert refusal.value.required == required


def test_scopes_are_granted_with_all_that_they_imply(pool: FakeUserPool) -> None:
    """To the end of the chain, in circles too, and with nothing that stands above."""
    verifier = pool.verifier(implies={"a": ["b"], "b": ["c", "d"], "d": ["b"], "x": "y"})
    assert verifier.granted_scopes(verifier.verify(pool.access_token(scopes=["a", "z"]))) == {"a", "b", "c", "d", "z"}
    assert verifier.granted_scopes(verifier.verify(pool.access_token(scopes=["d"]))) == {"b", "c", "d"}
    assert verifier.granted_scopes(verifier.verify(pool.access_token(scopes=["c", "x"]))) == {"c", "x", "y"}
    plain = pool.verifier()
    assert plain.granted_scopes(plain.verify(pool.access_token(scopes=["a"]))) == {"a"}


def test_authorize_judges_with_implied_scopes_and_the_verifier_s_clock(pool: FakeUserPool, clock: FakeClock) -> None:
    """What a requirement demands is weighed against what the scopes imply, at the time of the question."""
    verifier = pool.verifier(implies={"admin": "read"})
    principal = verifier.verify(pool.access_token(scopes=["admin"], groups=["staff"]))
    verifier.authorize(principal, Requires(scopes=["read", "admin"], groups="staff", max_age=60))
    for requirement, expected in (
        (Requires(scopes="write"), (InsufficientScopeError, Reason.INSUFFICIENT_SCOPE)),
        (Requires(groups="admins"), (RequirementNotMetError, Reason.GROUP_REQUIRED)),
        (~Requires(scopes="read"), (RequirementNotMetError, Reason.EXCLUDED)),
    ):
        with pytest.raises(RefusalError) as refusal:
            verifier.authorize(principal, requirement)
        assert (type(refusal.value), refusal.value.reason) == expected
    clock.tick(61)
    with pytest.raises(StepUpRequiredError) as step_up:
        verifier.authorize(principal, Requires(max_age=60))
    assert step_up.value.reason is Reason.STALE_AUTHENTICATION


@pytest.mark.parametrize(
    "requirement",
    [
        pytest.param("read", id="a scope by its name"),
        pytest.param(["read"], id="a list of scopes"),
        pytest.param(None, id="nothing"),
        pytest.param(Requires, id="the class"),
    ],
)
def test_what_is_no_requirement_is_a_mistake_and_no_verdict(pool: FakeUserPool, requirement: Any) -> None:
    """It is the program that is wrong, and not the caller, who gets no answer of ours for it."""
    verifier = pool.verifier()
    principal = verifier.verify(pool.access_token(scopes=["read"]))
    with pytest.raises(ConfigurationError) as caught:
        verifier.authorize(principal, requirement)
    assert caught.value.setting == "requirement"
    assert caught.value.problem.startswith("expected a Requires")


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="nothing in its place"),
        pytest.param({"required_scopes": ()}, id="no required scope"),
        pytest.param({"required_scopes": iter(())}, id="required scopes that yield none"),
        pytest.param({"resource": ()}, id="no resource"),
        pytest.param({"required_scopes": "transactions/get", "token_use": "id"}, id="ID tokens"),
        pytest.param({"resource": API, "token_use": ["access", "id"]}, id="ID tokens as well"),
    ],
)
def test_any_client_needs_something_in_its_place(options: dict[str, Any]) -> None:
    """Without client, resource and scope, every client of the pool could call every API."""
    with pytest.raises(ConfigurationError) as refusal:
        CognitoVerifier(POOL_ID, client_id=ANY_CLIENT, **options)
    assert refusal.value.setting == "client_id"


def test_any_client_with_a_required_scope_takes_every_client_that_has_it(call: Call, pool: FakeUserPool) -> None:
    """The scope stands in for the client."""
    verifier = pool.verifier(client_id=ANY_CLIENT, required_scopes="transactions/get")
    assert verdict(call, verifier, pool.access_token(client_id="any", scopes=["transactions/get"])) is None
    assert verdict(call, verifier, pool.access_token(client_id="any")) == INSUFFICIENT_SCOPE
    assert verdict(call, verifier, pool.access_token(client_id=ABSENT)) == MISSING_CLAIM


def test_any_client_with_a_resource_takes_every_token_bound_to_it(call: Call, pool: FakeUserPool) -> None:
    """The resource stands in for the client, so that the token must be bound to it."""
    verifier = pool.verifier(client_id=ANY_CLIENT, resource=API)
    assert verdict(call, verifier, pool.bound_token(API, client_id="any")) is None
    assert verdict(call, verifier, pool.access_token(client_id="any")) == WRONG_AUDIENCE
    assert verdict(call, verifier, pool.access_token(client_id="any", audience="any")) == WRONG_AUDIENCE


@pytest.mark.parametrize(
    "options, verdicts",
    [
        pytest.param({}, [None, None, WRONG_AUDIENCE, WRONG_AUDIENCE], id="no resource"),
        pytest.param({"resource": API}, [None, None, None, WRONG_AUDIENCE], id="a resource"),
        pytest.param({"resource": [OTHER_API, API]}, [None, None, None, None], id="two resources"),
        pytest.param(
            {"resource": API, "resource_binding": "required"},
            [WRONG_AUDIENCE, WRONG_AUDIENCE, None, WRONG_AUDIENCE],
            id="binding required",
        ),
        pytest.param(
            {"resource": API, "resource_binding": {"1h57kf5cpq17m0eml12example": "optional"}},
            [None, None, None, WRONG_AUDIENCE],
            id="binding required of others",
        ),
        pytest.param(
            {"resource": API, "resource_binding": {"machine": "optional"}, "client_id": ["machine"]},
            [WRONG_CLIENT] * 4,
            id="binding required, of a client not configured",
        ),
    ],
)
def test_token_bound_to_another_resource_is_refused(
    call: Call, pool: FakeUserPool, options: dict[str, Any], verdicts: list[Verdict]
) -> None:
    """It was minted for another API; unbound ones and those bound to the client count unless binding is required."""
    verifier = pool.verifier(**options)
    audiences = (None, pool.client_id, API, OTHER_API)
    assert [verdict(call, verifier, pool.access_token(audience=one)) for one in audiences] == verdicts


def test_client_ids_are_those_configured(call: Call) -> None:
    """One or several, for access and for ID tokens, compared whole."""
    pool = FakeUserPool(client_id="first", clients=[AppClient(client_id="second")])
    verifier = pool.verifier(client_id="first", token_use=["access", "id"])
    for mint in (pool.access_token, pool.id_token):
        assert verdict(call, verifier, mint(client_id="first")) is None
        for other in ("second", "firs", "first ", "First", "firstsecond", ""):
            assert verdict(call, verifier, mint(client_id=other)) in (WRONG_CLIENT, MALFORMED_CLAIM)
    assert verdict(call, pool.verifier(), pool.access_token(client_id="second")) is None


def filled(headers: Any, token: str) -> Any:
    """Return the headers with the token in their values."""
    if isinstance(headers, Mapping):
        return {name: value.replace("{}", token) for name, value in cast("Mapping[str, str]", headers).items()}
    return [
        (name, value.replace(b"{}", token.encode()) if isinstance(value, bytes) else value.replace("{}", token))
        for name, value in headers
    ]


GOOD: Verdict = None
NO_TOKEN: Verdict = (MissingTokenError, Reason.MISSING_TOKEN)
BROKEN: Verdict = (InvalidRequestError, Reason.MALFORMED_HEADER)
REPEATED: Verdict = (InvalidRequestError, Reason.REPEATED_HEADER)


@pytest.mark.parametrize(
    "headers, expected",
    [
        pytest.param({"Authorization": "Bearer {}"}, GOOD, id="a mapping"),
        pytest.param({"accept": "*/*", "authorization": "bearer {}"}, GOOD, id="a mapping in lower case"),
        pytest.param({"AUTHORIZATION": "BEARER {}"}, GOOD, id="a mapping in upper case"),
        pytest.param([("aUTHORIZATION", "bEARER {}")], GOOD, id="pairs"),
        pytest.param([(b"host", b"x"), (b"authorization", b"Bearer {}")], GOOD, id="pairs of bytes"),
        pytest.param({"Authorization": "  Bearer   {} \t"}, GOOD, id="white space around"),
        pytest.param({}, NO_TOKEN, id="no header"),
        pytest.param([], NO_TOKEN, id="no pair"),
        pytest.param({"Authorization": ""}, NO_TOKEN, id="an empty header"),
        pytest.param({"Authorization": "Basic {}"}, NO_TOKEN, id="another scheme"),
        pytest.param({"Authorization": "{}"}, NO_TOKEN, id="no scheme"),
        pytest.param({"X-Authorization": "Bearer {}"}, NO_TOKEN, id="another header"),
        pytest.param({"Authorization": "Bearer"}, BROKEN, id="no token"),
        pytest.param({"Authorization": "Bearer {} {}"}, BROKEN, id="two tokens"),
        pytest.param({"Authorization": "Bearer {}, Bearer {}"}, BROKEN, id="two values in one"),
        pytest.param({"Authorization": "Bearer {}", "authorization": "Bearer {}"}, REPEATED, id="two names"),
        pytest.param(
            [(b"authorization", b"Bearer {}"), (b"authorization", b"Bearer {}")], REPEATED, id="two pairs of bytes"
        ),
        pytest.param([("Authorization", "Bearer {}"), ("Authorization", "Basic x")], REPEATED, id="two schemes"),
        pytest.param([(b"authorization", b"Bearer \xff")], MALFORMED, id="bytes that are no ASCII"),
    ],
)
def test_headers_hold_exactly_one_bearer_token(
    call: Call, verifier: CognitoVerifier, pool: FakeUserPool, asked: Asked, headers: Any, expected: Verdict
) -> None:
    """Headers come as a mapping or as pairs, in any case; anything but one token is refused without a fetch."""
    given = filled(headers, pool.access_token())
    assert verdict(call, verifier, given, "authenticate") == expected
    assert len(asked.uris) == (expected is GOOD)


@pytest.mark.parametrize("publish_old", [True, False])
def test_rotation_is_seen_by_the_first_token(
    call: Call, verifier: CognitoVerifier, pool: FakeUserPool, asked: Asked, clock: FakeClock, publish_old: bool
) -> None:
    """New tokens count at once, and old ones for as long as their keys are published, and `fresh_for` at most."""
    old = pool.access_token()
    assert verdict(call, verifier, old) is None
    pool.rotate(publish_old=publish_old)
    assert verdict(call, verifier, old) is None
    assert verdict(call, verifier, pool.access_token()) is None
    assert len(asked.uris) == 2
    assert verdict(call, verifier, old) == (None if publish_old else UNKNOWN_KEY)
    pool.withdraw()
    clock.tick(FRESH_FOR)
    verifier.prefetch()
    assert verdict(call, verifier, old) == UNKNOWN_KEY
    assert verdict(call, verifier, pool.access_token()) is None


def test_flood_of_invented_key_ids_does_not_become_one_of_fetches(
    call: Call, verifier: CognitoVerifier, pool: FakeUserPool, asked: Asked
) -> None:
    """A hundred tokens with a rotation in the middle: the bucket's fetches, and good tokens go on being taken."""
    good = pool.access_token()
    assert verdict(call, verifier, good) is None
    for number in range(100):
        if number == 50:
            pool.rotate()
        invented = pool.access_token(header={"kid": f"invented {number}"})
        assert verdict(call, verifier, invented) == UNKNOWN_KEY
    assert verdict(call, verifier, good) is None
    assert len(asked.uris) == 1 + RefreshSchedule().burst


def test_same_key_id_with_new_material_is_another_key(
    call: Call, verifier: CognitoVerifier, pool: FakeUserPool, asked: Asked, clock: FakeClock
) -> None:
    """After a refresh a token of the old material is not genuine any more, though its header was seen before."""
    token = pool.access_token()
    assert verdict(call, verifier, token) is None
    asked.jwks = [FakeUserPool().access_key.jwk() | {"kid": pool.access_key.kid}]
    clock.tick(FRESH_FOR)
    verifier.prefetch()
    assert verdict(call, verifier, token) == INVALID_SIGNATURE


def test_tokens_of_two_pools_keep_apart(call: Call, clock: FakeClock) -> None:
    """Two verifiers used in turns fetch once each, and neither takes the other's tokens, not under its own issuer."""
    pools = [FakeUserPool(f"eu-west-1_Pool{number}", clock=clock) for number in range(2)]
    sources = [Asked(pool) for pool in pools]
    verifiers = [pool.verifier(fetch=source, timer=clock) for pool, source in zip(pools, sources, strict=True)]
    for _ in range(3):
        for here, there in ((0, 1), (1, 0)):
            assert verdict(call, verifiers[here], pools[here].access_token()) is None
            assert verdict(call, verifiers[here], pools[there].access_token()) == WRONG_ISSUER
            disguised = pools[there].access_token(issuer=pools[here].issuer)
            assert verdict(call, verifiers[here], disguised) == UNKNOWN_KEY
    assert [len(source.uris) for source in sources] == [1 + RefreshSchedule().burst] * 2


def test_updated_host_that_has_nothing_for_the_pool_is_no_outage(call: Call, pool: FakeUserPool) -> None:
    """A pool that never switched answers 403 there; tokens of both forms are verified with the keys of the other."""
    uris: list[str] = []

    def fetch(uri: str, timeout: float, /) -> bytes:
        uris.append(uri)
        if uri.startswith(UPDATED):
            raise FetchError("the key endpoint answered 403", refused=True)
        return pool.fetch(uri, timeout)

    verifier = pool.verifier(fetch=fetch)
    assert verdict(call, verifier, pool.access_token(issuer=UPDATED)) is None
    assert verdict(call, verifier, pool.access_token(issuer=ORIGINAL)) is None
    assert uris == [f"{UPDATED}/.well-known/jwks.json", f"{ORIGINAL}/.well-known/jwks.json"]


def test_malformed_jwk_takes_no_key_with_it(
    call: Call, verifier: CognitoVerifier, pool: FakeUserPool, asked: Asked
) -> None:
    """Entries that nobody can use stand beside two that work."""
    asked.jwks = [{"kty": "RSA", "kid": 1, "n": "!", "e": None}, None, *pool.jwks["keys"]]
    assert verdict(call, verifier, pool.access_token()) is None


def test_outage_is_unavailable_and_ends_by_itself(call: Call, pool: FakeUserPool, clock: FakeClock) -> None:
    """Over real HTTP: no keys is no verdict, an error body is no key set, and held keys outlast the outage."""
    with pool.serve() as server:
        verifier = server.verifier(timer=clock)
        token = pool.access_token()
        server.down()
        assert verdict(call, verifier, token) == UNAVAILABLE
        with pytest.raises(UnavailableError):
            call(verifier, "prefetch")
        server.up()
        clock.tick(1.0)
        call(verifier, "prefetch")
        assert verdict(call, verifier, token) is None
        server.down()
        clock.tick(FRESH_FOR)
        assert verdict(call, verifier, token) is None
        assert verdict(call, verifier, pool.access_token(header={"kid": "invented"})) == UNAVAILABLE


def test_keys_that_are_given_need_no_network(call: Call, pool: FakeUserPool, clock: FakeClock) -> None:
    """Offline for ever, with the public names alone."""
    verifier = CognitoVerifier(
        "local_1qFA81RT",
        client_id=pool.client_id,
        issuer="http://localhost:9229/local_1qFA81RT",
        jwks=pool.jwks,
        clock=clock,
        leeway=0,
    )
    call(verifier, "prefetch")
    token = pool.access_token(issuer="http://localhost:9229/local_1qFA81RT", expires_in=60)
    assert call(verifier, "verify", token).user_pool_id == "local_1qFA81RT"
    assert verdict(call, verifier, pool.access_token()) == WRONG_ISSUER
    clock.tick(59.5)
    assert verdict(call, verifier, token) is None
    clock.tick(0.5)
    assert verdict(call, verifier, token) == EXPIRED
    pool.rotate()
    assert verdict(call, verifier, pool.access_token(issuer="http://localhost:9229/local_1qFA81RT")) == UNKNOWN_KEY
    assert repr(verifier) == "<CognitoVerifier local_1qFA81RT <StaticKeys <KeySet 2 keys, 0 skipped>>>"


def test_keys_over_real_http_follow_a_fast_schedule(call: Call, pool: FakeUserPool, clock: FakeClock) -> None:
    """With the public names alone: a rotation is seen at once, a withdrawn key dies with the next refresh."""
    schedule = RefreshSchedule(fresh_for=0.2, stale_for=0.5, cooldown=0.01, burst=2, backoff=0.01, deadline=30.0)
    with pool.serve() as server:
        verifier = CognitoVerifier(
            POOL_ID,
            client_id=pool.client_id,
            issuer=ORIGINAL,
            jwks_uri=server.jwks_uri,
            allow_insecure_http=True,
            clock=clock,
            timer=clock,
            leeway=0,
            schedule=schedule,
        )
        old = pool.access_token()
        assert verdict(call, verifier, old) is None
        pool.rotate()
        assert verdict(call, verifier, pool.access_token()) is None
        pool.withdraw()
        assert verdict(call, verifier, old) is None
        clock.tick(0.2)
        call(verifier, "prefetch")
        assert verdict(call, verifier, old) == UNKNOWN_KEY
        server.down()
        clock.tick(0.69)
        assert verdict(call, verifier, pool.access_token()) is None
        clock.tick(0.11)
        assert verdict(call, verifier, pool.access_token()) == UNAVAILABLE
        server.up()
        clock.tick(0.1)
        assert verdict(call, verifier, pool.access_token()) is None
        assert {path for _, path in server.requests} == {f"/{POOL_ID}/.well-known/jwks.json"}


def test_prefetch_makes_the_first_token_wait_for_nothing(
    call: Call, verifier: CognitoVerifier, pool: FakeUserPool, asked: Asked
) -> None:
    """The keys of the most usual issuer are asked for, once."""
    call(verifier, "prefetch")
    call(verifier, "prefetch")
    assert verdict(call, verifier, pool.access_token()) is None
    assert asked.uris == [f"{ORIGINAL}/.well-known/jwks.json"]


def known_headers(verifier: CognitoVerifier) -> Mapping[bytes, str]:
    """Look at the headers that a verifier need not read again."""
    return verifier._known_headers  # pyright: ignore[reportPrivateUsage]


def test_known_header_never_changes_a_verdict(call: Call, pool: FakeUserPool) -> None:
    """Whatever was verified before, each token meets the verdict that it meets first."""
    mints = (*KINDS.values(), *NOT_SIGNED.values(), *(mint for mint, _ in (*UNREAD.values(), *IN_ORDER.values())))
    tokens = [mint(pool) for mint in mints]
    first = [verdict(call, pool.verifier(), token) for token in tokens]
    verifier = pool.verifier(schedule=RefreshSchedule(burst=100))
    for _ in range(2):
        assert [verdict(call, verifier, token) for token in tokens] == first
    assert len(known_headers(verifier)) == 2


def test_header_is_known_under_a_good_signature_alone(call: Call, pool: FakeUserPool) -> None:
    """Who can't sign makes no entry, and even the pool makes no more than a bounded number."""
    verifier = pool.verifier()
    call(verifier, "prefetch")
    for number in range(100):
        assert verdict(call, verifier, forged(pool, x=number)) == INVALID_SIGNATURE
    assert known_headers(verifier) == {}
    for number in range(200):
        assert verdict(call, verifier, pool.access_token(header={"x": number})) is None
        assert len(known_headers(verifier)) <= 64
    assert verdict(call, verifier, pool.access_token(header={"x": 0})) is None


def test_known_header_does_not_outlive_its_key(
    call: Call, verifier: CognitoVerifier, pool: FakeUserPool, clock: FakeClock
) -> None:
    """The key is looked up for every token, so that a withdrawn one is withdrawn."""
    token = pool.access_token()
    assert verdict(call, verifier, token) is None
    pool.withdraw(pool.access_key.kid)
    clock.tick(FRESH_FOR)
    verifier.prefetch()
    assert known_headers(verifier)
    assert verdict(call, verifier, token) == UNKNOWN_KEY


def test_settings_come_from_a_mapping(call: Call, pool: FakeUserPool, clock: FakeClock) -> None:
    """Names in any case, values as the constructor takes them; arguments win."""
    settings = {
        "USER_POOL_ID": POOL_ID,
        "Client_Id": [pool.client_id, "other"],
        "token_use": "id",
        "LEEWAY": 0,
        "jwks": pool.jwks,
    }
    verifier = CognitoVerifier.from_mapping(settings, clock=clock, token_use=["access"])
    assert verdict(call, verifier, pool.access_token(client_id="other")) is None
    assert verdict(call, verifier, pool.id_token()) == WRONG_USE
    clock.tick(3600)
    assert verdict(call, verifier, pool.access_token(expires_in=0)) == EXPIRED


@pytest.mark.parametrize(
    "settings, setting, hint",
    [
        pytest.param({"CLIENT_IDS": "x"}, "CLIENT_IDS", "did you mean 'client_id'?", id="nearly client_id"),
        pytest.param({"userpool_id": "x"}, "userpool_id", "did you mean 'user_pool_id'?", id="nearly user_pool_id"),
        pytest.param({"leway": 1}, "leway", "did you mean 'leeway'?", id="nearly leeway"),
        pytest.param({"qqq": 1}, "qqq", "known are user_pool_id, ", id="like no setting"),
        pytest.param({"client_id": "x"}, "user_pool_id", "is required", id="no user pool"),
        pytest.param({"user_pool_id": POOL_ID}, "client_id", "is required", id="no client"),
        pytest.param({"user_pool_id": "x", "client_id": "y"}, "user_pool_id", "expected an id like", id="no pool ID"),
    ],
)
def test_mapping_with_a_mistake_is_refused(settings: dict[str, Any], setting: str, hint: str) -> None:
    """The error names the setting as it stands there, and says what was meant."""
    with pytest.raises(ConfigurationError) as refusal:
        CognitoVerifier.from_mapping(settings)
    assert refusal.value.setting == setting
    assert hint in refusal.value.problem


def test_settings_come_from_the_environment(
    call: Call, pool: FakeUserPool, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several values are separated by commas, an empty variable is none, and arguments win."""
    environ = {
        "COGNITO_USER_POOL_ID": POOL_ID,
        "COGNITO_CLIENT_ID": f" {pool.client_id} , other,",
        "COGNITO_TOKEN_USE": "access,id",
        "COGNITO_LEEWAY": "0",
        "COGNITO_ISSUER": "",
        "COGNITO_REQUIRED_SCOPES": " ",
        "COGNITO_RESOURCE": OTHER_API,
        "CLIENT_ID": "x",
    }
    arguments: dict[str, Any] = {"clock": clock, "jwks": pool.jwks, "resource": API}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    for verifier in (
        CognitoVerifier.from_env(environ=environ, **arguments),
        CognitoVerifier.from_env(**arguments),
    ):
        assert verdict(call, verifier, pool.bound_token(API, client_id="other")) is None
        assert verdict(call, verifier, pool.bound_token(OTHER_API)) == WRONG_AUDIENCE
        assert verdict(call, verifier, pool.id_token()) is None
        assert verdict(call, verifier, pool.access_token(expires_in=0)) == EXPIRED


@pytest.mark.parametrize("flag", ["1", "true", "Yes"])
def test_flag_in_the_environment_is_a_word(flag: str) -> None:
    """Plain http from a loopback host, as an emulator needs it, can be allowed without code."""
    environ = {
        "COGNITO_USER_POOL_ID": "local_1qFA81RT",
        "COGNITO_CLIENT_ID": "x",
        "COGNITO_ISSUER": "http://127.0.0.1:9229/local_1qFA81RT",
        "COGNITO_ALLOW_INSECURE_HTTP": flag,
    }
    (issuer,) = CognitoVerifier.from_env(environ=environ).user_pool.issuers
    assert issuer == environ["COGNITO_ISSUER"]


@pytest.mark.parametrize(
    "changes, setting",
    [
        pytest.param({"COGNITO_CLIENT_ID": ""}, "COGNITO_CLIENT_ID", id="no client"),
        pytest.param({"COGNITO_ISSUER": "http://127.0.0.1/x"}, "COGNITO_ISSUER", id="plain http without the flag"),
        pytest.param({"COGNITO_USER_POOL_ID": " "}, "COGNITO_USER_POOL_ID", id="no user pool"),
        pytest.param({"COGNITO_LEEWAY": "ten"}, "COGNITO_LEEWAY", id="no number"),
        pytest.param({"COGNITO_LEEWAY": "nan"}, "COGNITO_LEEWAY", id="no number of seconds"),
        pytest.param({"COGNITO_LEEWAY": "301"}, "COGNITO_LEEWAY", id="more than the limit"),
        pytest.param({"COGNITO_TOKEN_USE": "acess"}, "COGNITO_TOKEN_USE", id="no token use"),
        pytest.param({"COGNITO_ALLOW_INSECURE_HTTP": "maybe"}, "COGNITO_ALLOW_INSECURE_HTTP", id="no truth value"),
    ],
)
def test_environment_with_a_mistake_is_refused(changes: dict[str, str], setting: str) -> None:
    """The error names the variable, whoever finds the mistake."""
    environ = {"COGNITO_USER_POOL_ID": POOL_ID, "COGNITO_CLIENT_ID": "x"} | changes
    with pytest.raises(ConfigurationError) as refusal:
        CognitoVerifier.from_env(environ=environ)
    assert refusal.value.setting == setting


@pytest.mark.parametrize(
    "options, setting",
    [
        pytest.param({"client_id": ""}, "client_id", id="an empty client"),
        pytest.param({"client_id": ()}, "client_id", id="no client"),
        pytest.param({"client_id": "a,b"}, "client_id", id="clients in one string"),
        pytest.param({"client_id": None}, "client_id", id="a client that is None"),
        pytest.param({"token_use": "refresh"}, "token_use", id="another use"),
        pytest.param({"token_use": [1]}, "token_use", id="a use that is a number"),
        pytest.param({"leeway": 301}, "leeway", id="a leeway that turns expiry off"),
        pytest.param({"leeway": -1}, "leeway", id="a negative leeway"),
        pytest.param({"leeway": "10"}, "leeway", id="a leeway that is text"),
        pytest.param({"max_token_age": -1}, "max_token_age", id="a negative age"),
        pytest.param({"max_token_age": "10"}, "max_token_age", id="an age that is text"),
        pytest.param({"max_token_lifetime": float("inf")}, "max_token_lifetime", id="an infinite lifetime"),
        pytest.param({"max_token_bytes": 0}, "max_token_bytes", id="no byte"),
        pytest.param({"max_token_bytes": "10"}, "max_token_bytes", id="bytes that are text"),
        pytest.param({"required_scopes": ["a b"]}, "required_scopes", id="a scope with a space"),
        pytest.param({"required_scopes": [""]}, "required_scopes", id="an empty scope"),
        pytest.param({"implies": {"a": [1]}}, "implies", id="an implied scope that is a number"),
        pytest.param({"implies": {"a": ["b c"]}}, "implies", id="an implied scope with a space"),
        pytest.param({"implies": {"a b": ["c"]}}, "implies", id="a scope with a space that implies another"),
        pytest.param({"implies": {7: ["c"]}}, "implies", id="a number that implies a scope"),
        pytest.param({"resource": ""}, "resource", id="an empty resource"),
        pytest.param({"resource_binding": "required"}, "resource_binding", id="binding to nothing"),
        pytest.param({"issuer_format": "old"}, "issuer_format", id="another form of the issuer"),
        pytest.param({"issuer": "http://127.0.0.1/x"}, "issuer", id="plain http without the flag"),
        pytest.param({"jwks_uri": "http://keys.test/jwks.json"}, "jwks_uri", id="plain http to another host"),
        pytest.param({"jwks": {"keys": []}}, "jwks", id="no keys"),
        pytest.param({"jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}}, "jwks", id="no usable keys"),
        pytest.param({"jwks": '{"keys": []}'}, "jwks", id="keys that are text"),
        pytest.param({"jwks": []}, "jwks", id="keys in a list"),
        pytest.param({"jwks": FakeUserPool().jwks, "jwks_uri": "https://x.test/"}, "jwks", id="keys and their place"),
        pytest.param({"jwks": FakeUserPool().jwks, "fetch": FakeUserPool().fetch}, "jwks", id="keys and a fetch"),
        pytest.param({"schedule": {"fresh_for": 60}}, "schedule", id="a schedule that is none"),
    ],
)
def test_mistake_is_refused_at_construction(options: dict[str, Any], setting: str) -> None:
    """The error names the argument."""
    arguments: dict[str, Any] = {"client_id": "x", **options}
    with pytest.raises(ConfigurationError) as refusal:
        CognitoVerifier(POOL_ID, **arguments)
    assert refusal.value.setting == setting
    assert "c2VjcmV0" not in str(refusal.value)


def test_construction_uses_no_network() -> None:
    """A verifier may be made at import time; its repr tells what it holds."""
    assert repr(CognitoVerifier(POOL_ID, client_id="x")) == f"<CognitoVerifier {POOL_ID} <RemoteKeys none held>>"


POOL = FakeUserPool(clock=FakeClock())
OFFLINE = POOL.verifier(jwks=POOL.jwks)
TOKEN = POOL.access_token()


@settings(deadline=None, derandomize=True)
@given(st.text() | st.lists(st.text(), min_size=3, max_size=3).map(".".join))
def test_any_text_is_refused_as_a_token(text: str) -> None:
    """No text makes anything else happen than a refusal."""
    with pytest.raises(RefusalError):
        OFFLINE.verify(text)


@settings(deadline=None, derandomize=True)
@given(st.integers(0, len(TOKEN) - 1), st.characters(codec="ascii"))
def test_any_change_to_a_good_token_is_refused(position: int, character: str) -> None:
    """A token has one spelling: with any other character in any place it is another."""
    changed = f"{TOKEN[:position]}{character}{TOKEN[position + 1 :]}"
    if changed == TOKEN:
        assert OFFLINE.verify(changed).username == "jane"
        return
    with pytest.raises(RefusalError):
        OFFLINE.verify(changed)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(
    ["sub", "exp", "iat", "nbf", "aud", "scope", "client_id", "token_use", "cognito:groups", "act", "cnf", "amr"]
)


@settings(deadline=None, derandomize=True)
@given(st.dictionaries(NAMES, JSON, max_size=4), st.dictionaries(st.sampled_from(["kid", "alg", "typ", "x"]), JSON))
def test_any_claims_under_a_good_signature_are_a_principal_or_a_refusal(
    claims: dict[str, Any], header: dict[str, Any]
) -> None:
    """Not even the pool itself, or a trigger of it, brings anything else about."""
    token = POOL.access_token(header=header, **claims)
    try:
        principal = OFFLINE.verify(token)
    except RefusalError:
        return
    assert principal.client_id == POOL.client_id
    assert isinstance(principal.groups, frozenset)
    assert principal.claims.keys() >= claims.keys()


@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.sampled_from([b"authorization", b"Authorization", b"x"]), st.binary()), max_size=3))
def test_any_headers_are_refused(headers: list[tuple[bytes, bytes]]) -> None:
    """No bytes of a header make anything else happen than a refusal."""
    with pytest.raises(RefusalError):
        OFFLINE.authenticate(headers)


def test_key_that_nobody_published_is_unknown_wherever_it_came_from(call: Call, pool: FakeUserPool) -> None:
    """A token that is right in everything but its key is refused, with given and with fetched keys."""
    token = pool.access_token(key=SigningKey.draw())
    for verifier in (pool.verifier(), pool.verifier(jwks=pool.jwks)):
        assert verdict(call, verifier, token) == UNKNOWN_KEY


@pytest.mark.parametrize(
    "options, setting",
    [
        pytest.param({"issuer": ""}, "issuer", id="an empty issuer"),
        pytest.param({"clock": 5.0}, "clock", id="a clock that stands for ever"),
        pytest.param({"timer": "monotonic"}, "timer", id="a timer by name"),
        pytest.param({"fetch": b"{}"}, "fetch", id="a document for a fetch"),
        pytest.param({"implies": ["a", "b"]}, "implies", id="implications in a list"),
    ],
)
def test_argument_of_another_kind_is_refused_at_construction(options: dict[str, Any], setting: str) -> None:
    """What would fail with the first token fails where it is written."""
    with pytest.raises(ConfigurationError) as caught:
        CognitoVerifier("eu-west-1_AbCdEf123", client_id="client", **options)
    assert caught.value.setting == setting
