"""ALBVerifier: what a load balancer says of a user, among the keys of every other customer's load balancers."""

from __future__ import annotations

import copy
import math
import pickle
import traceback
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import jwt
import pytest
from conftest import Call
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from other_makers import IMPOSSIBLE_ALIKE, LEEWAY, Mint, assert_tells_nothing, refusal, refused_alike
from test_source import fetches_ended

from cognito_guard import (
    CognitoVerifier,
    ConfigurationError,
    ExpiredTokenError,
    FetchError,
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
from cognito_guard.alb import ALBPrincipal, ALBVerifier
from cognito_guard.alb.keys import MAX_ASKED, key_set_of_pem
from cognito_guard.keys.keyset import InvalidKeySetError
from cognito_guard.testing import ABSENT, BalancerKey, FakeClock, FakeIdentityPool, FakeLoadBalancer, FakeUserPool
from cognito_guard.testing.keys import base64url

ARN = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/front/50dc6c495c0c9188"
FOREIGN_ARN = "arn:aws:elasticloadbalancing:eu-west-1:999999999999:loadbalancer/app/theirs/0123456789abcdef"
CLIENT = "1h57kf5cpq17m0eml12example"
ISSUER = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_FakePool1"
PLACE = "https://public-keys.auth.elb.eu-west-1.amazonaws.com"
PATIENCE = 30.0  # seconds that nothing here takes unless it hangs
SCHEDULE = RefreshSchedule(fresh_for=100.0, stale_for=1000.0, cooldown=1.0, burst=5, backoff=1.0, deadline=30.0)
DOWN = FetchError("the key endpoint answered 503")

Make: TypeAlias = Callable[[FakeLoadBalancer], str]


class Endpoint:
    """
    Be the place of the keys, that of every customer's.

    Attributes:
        answer: what it says to every request; None for the load balancer's own answer.
        kids: the key IDs that were asked for, in order.
        uris: the URIs that were.
    """

    def __init__(self, balancer: FakeLoadBalancer) -> None:
        self._balancer = balancer
        self.answer: bytes | Exception | None = None
        self.uris: list[str] = []

    def __call__(self, uri: str, timeout: float, /) -> bytes:
        self.uris.append(uri)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self._balancer.fetch(uri, timeout) if self.answer is None else self.answer

    @property
    def kids(self) -> list[str]:
        return [uri.rpartition("/")[2] for uri in self.uris]


@pytest.fixture
def balancer(pool: FakeUserPool) -> FakeLoadBalancer:
    """Return a load balancer before the test's user pool, on its clock."""
    return FakeLoadBalancer(pool, load_balancer_arn=ARN)


@pytest.fixture
def endpoint(balancer: FakeLoadBalancer) -> Endpoint:
    """Return the place of its keys."""
    return Endpoint(balancer)


@pytest.fixture
def verifier(balancer: FakeLoadBalancer, endpoint: Endpoint, clock: FakeClock) -> ALBVerifier:
    """Return a verifier that asks the endpoint, by the test's clock."""
    return balancer.verifier(fetch=endpoint, timer=clock, schedule=SCHEDULE)


def unavailable(call: Call, verifier: object, data: str) -> float:
    """Have no verdict, and return after how many seconds to try again."""
    with pytest.raises(UnavailableError) as refused:
        call(verifier, "verify", data)
    assert refused.value.reason is Reason.KEYS_UNAVAILABLE
    return refused.value.retry_after


def invented(number: int) -> dict[str, object]:
    """Return a header with a key ID that nobody has."""
    return {"kid": str(UUID(int=number))}


def test_data_becomes_a_principal(call: Call, balancer: FakeLoadBalancer, verifier: ALBVerifier) -> None:
    """Who it is and who says so."""
    principal = call(verifier, "verify", balancer.data("jane"))
    assert principal.subject == balancer.user_pool.subject("jane")
    assert principal.load_balancer_arn == ARN
    assert principal.client_id == balancer.client_id
    assert principal.issuer == ISSUER
    assert principal.expires_at == int(balancer.user_pool.clock()) + 120
    assert principal.claims["email_verified"] == "true"
    assert principal.principal is None


def test_fake_signs_as_others_verify(balancer: FakeLoadBalancer) -> None:
    """PyJWT, which reads padding, accepts it under the published key."""
    told = jwt.decode_complete(
        balancer.data("jane"), balancer.key.pem(), algorithms=["ES256"], options={"verify_exp": False}
    )
    assert told["payload"]["username"] == "jane"
    assert list(told["header"]) == ["typ", "kid", "alg", "iss", "client", "signer", "exp"]
    assert UUID(balancer.key.kid)


# Padding


def with_filler(balancer: FakeLoadBalancer, header: int, payload: int) -> str:
    """Return data whose header and payload are so many bytes longer."""
    return balancer.data(header={"filler": "x" * header}, filler="x" * payload)


@pytest.mark.parametrize("header", range(3))
@pytest.mark.parametrize("payload", range(3))
def test_padding_is_read_whatever_the_length(
    call: Call, balancer: FakeLoadBalancer, verifier: ALBVerifier, header: int, payload: int
) -> None:
    """None, one or two characters of it in each segment: signed is the text with them."""
    data = with_filler(balancer, header, payload)
    assert all(len(segment) % 4 == 0 for segment in data.split("."))
    assert call(verifier, "verify", data).subject


def resigned(balancer: FakeLoadBalancer, signing_input: str) -> str:
    """Sign a text as it stands, and write the signature as the RFC wants it."""
    return f"{signing_input}.{base64url(balancer.key.sign(signing_input))}"


def test_text_without_padding_is_read_as_well(call: Call, balancer: FakeLoadBalancer, verifier: ALBVerifier) -> None:
    """Whoever follows RFC 7515 §2 is right; AWS once said that it would."""
    for fillers in ((0, 0), (1, 1), (2, 2)):
        bare = with_filler(balancer, *fillers).rpartition(".")[0].replace("=", "")
        assert call(verifier, "verify", resigned(balancer, bare)).subject


def test_padding_that_was_not_signed_is_no_part_of_it(
    call: Call, balancer: FakeLoadBalancer, verifier: ALBVerifier
) -> None:
    """Taken off or put on, it changes the text that the signature is for."""
    padded = next(data for n in range(3) if "=." in (data := with_filler(balancer, n, n)))
    assert refusal(call, verifier, padded.replace("=", "")).reason is Reason.INVALID_SIGNATURE


CHANGES: dict[str, Callable[[str], str]] = {
    "one too many": lambda segment: segment + "=",
    "four too many": lambda segment: segment + "====",
    "one too few": lambda segment: segment[:-1],
    "in front": lambda segment: "=" + segment,
    "within": lambda segment: segment[:4] + "==" + segment[4:],
    "a group of nothing else": lambda segment: segment[:8] + "=" * 4,
    "a lone character": lambda segment: segment[:5] + "===",
    "spare bits": lambda segment: segment.rstrip("=")[:-1] + "B" + "==",
    "nothing but padding": lambda segment: "=" * 4,
    "percent-encoded": lambda segment: segment[:-2] + "%3D%3D",
    "the plain alphabet": lambda segment: segment[:8] + "+/" + segment[10:],
    "a line break": lambda segment: segment + "\n",
    "a blank": lambda segment: segment + " ",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("place", [0, 1, 2], ids=["header", "payload", "signature"])
def test_any_other_padding_is_malformed(
    call: Call, balancer: FakeLoadBalancer, verifier: ALBVerifier, change: Callable[[str], str], place: int
) -> None:
    """Padding fills a segment up to a multiple of four, or is not there; the alphabet is the URL-safe one."""
    # One byte beyond a multiple of three: two characters of padding in each segment.
    every = (with_filler(balancer, header, payload) for header in range(3) for payload in range(3))
    data = next(data for data in every if data.count("==") == 3)
    segments = data.split(".")
    segments[place] = change(segments[place])
    if place < 2:
        signing_input = ".".join(segments[:2])
        segments[2] = f"{base64url(balancer.key.sign(signing_input))}=="
    error = refusal(call, verifier, ".".join(segments))
    assert (type(error), error.reason) == (MalformedTokenError, Reason.MALFORMED_TOKEN)


# Refusals

FOREIGN = BalancerKey.draw()


def foreign(balancer: FakeLoadBalancer, **options: Any) -> str:
    """Return what another customer's load balancer says, whose key is published next to ours."""
    balancer.publish(FOREIGN)
    return balancer.data(key=FOREIGN, **options)


def renamed(balancer: FakeLoadBalancer) -> str:
    """Write our name over that of another customer's load balancer, and leave its signature."""
    ours, theirs = foreign(balancer), foreign(balancer, header={"signer": FOREIGN_ARN})
    return f"{ours.partition('.')[0]}.{theirs.partition('.')[2]}"


def signed_otherwise(data: str, signature: bytes) -> str:
    """Put another signature behind a text."""
    return f"{data.rpartition('.')[0]}.{base64url(signature)}"


def as_der(data: str) -> str:
    """Write the signature as X.509 does, and not as RFC 7518 does."""
    raw = urlsafe_b64decode(data.rpartition(".")[2])
    return signed_otherwise(
        data, encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    )


def lengthened(data: str) -> str:
    """Write the signature's second number, and no other, with a byte more than it has."""
    raw = urlsafe_b64decode(data.rpartition(".")[2])
    return signed_otherwise(data, raw[:32] + b"\0" + raw[32:])


def data_of(balancer: FakeLoadBalancer) -> Mint:
    """Return what makes a load balancer's data."""
    return balancer.data


REFUSED: dict[str, tuple[Make, type[InvalidTokenError], Reason]] = {
    **refused_alike(data_of),
    "another customer's load balancer": (
        lambda alb: foreign(alb, header={"signer": FOREIGN_ARN}),
        InvalidClaimError,
        Reason.WRONG_ISSUER,
    ),
    "another customer's load balancer under our name": (
        renamed,
        InvalidSignatureError,
        Reason.INVALID_SIGNATURE,
    ),
    "another load balancer of ours": (
        lambda alb: alb.data(header={"signer": ARN.replace("front", "back")}),
        InvalidClaimError,
        Reason.WRONG_ISSUER,
    ),
    "our name as a prefix": (
        lambda alb: alb.data(header={"signer": ARN + "0"}),
        InvalidClaimError,
        Reason.WRONG_ISSUER,
    ),
    "no signer": (lambda alb: alb.data(header={"signer": ABSENT}), InvalidClaimError, Reason.MISSING_CLAIM),
    "a signer in the claims alone": (
        lambda alb: alb.data(header={"signer": ABSENT}, signer=ARN),
        InvalidClaimError,
        Reason.MISSING_CLAIM,
    ),
    "a list of signers": (lambda alb: alb.data(header={"signer": [ARN]}), InvalidClaimError, Reason.MALFORMED_CLAIM),
    "another issuer": (
        lambda alb: alb.data(header={"iss": "https://evil.example"}),
        InvalidClaimError,
        Reason.WRONG_ISSUER,
    ),
    "no issuer": (lambda alb: alb.data(header={"iss": ABSENT}), InvalidClaimError, Reason.MISSING_CLAIM),
    "another client": (lambda alb: alb.data(header={"client": "other"}), InvalidClaimError, Reason.WRONG_CLIENT),
    "no client": (lambda alb: alb.data(header={"client": ABSENT}), InvalidClaimError, Reason.MISSING_CLAIM),
    "a client that is null": (lambda alb: alb.data(header={"client": None}), InvalidClaimError, Reason.MALFORMED_CLAIM),
    "no expiry": (lambda alb: alb.data(header={"exp": ABSENT}), InvalidClaimError, Reason.MISSING_CLAIM),
    "an expiry that is text": (
        lambda alb: alb.data(header={"exp": "1900000000"}),
        InvalidClaimError,
        Reason.MALFORMED_CLAIM,
    ),
    "an expiry that is true": (lambda alb: alb.data(header={"exp": True}), InvalidClaimError, Reason.MALFORMED_CLAIM),
    "an expiry with a fraction": (
        lambda alb: alb.data(header={"exp": 1.9e9}),
        InvalidClaimError,
        Reason.MALFORMED_CLAIM,
    ),
    "expired by its claims": (lambda alb: alb.data(exp=1), ExpiredTokenError, Reason.EXPIRED),
    "a malformed expiry in the claims": (lambda alb: alb.data(exp="1"), InvalidClaimError, Reason.MALFORMED_CLAIM),
    "another issuer in the claims": (
        lambda alb: alb.data(iss="https://evil.example"),
        InvalidClaimError,
        Reason.WRONG_ISSUER,
    ),
    "no subject": (lambda alb: alb.data(sub=ABSENT), InvalidClaimError, Reason.MISSING_CLAIM),
    "an empty subject": (lambda alb: alb.data(sub=""), InvalidClaimError, Reason.MALFORMED_CLAIM),
    "a subject that is a number": (lambda alb: alb.data(sub=1), InvalidClaimError, Reason.MALFORMED_CLAIM),
    "a key that nobody has": (lambda alb: alb.data(header=invented(1)), UnknownKeyError, Reason.UNKNOWN_KEY),
    "somebody else's signature": (
        lambda alb: alb.data(key=BalancerKey.draw(), header={"kid": alb.key.kid}),
        InvalidSignatureError,
        Reason.INVALID_SIGNATURE,
    ),
    "no signature": (
        lambda alb: signed_otherwise(alb.data(), b""),
        InvalidSignatureError,
        Reason.INVALID_SIGNATURE,
    ),
    "a signature of zeros": (
        lambda alb: signed_otherwise(alb.data(), bytes(64)),
        InvalidSignatureError,
        Reason.INVALID_SIGNATURE,
    ),
    "a signature beyond the curve's order": (
        lambda alb: signed_otherwise(alb.data(), b"\xff" * 64),
        InvalidSignatureError,
        Reason.INVALID_SIGNATURE,
    ),
    "a signature of 63 bytes": (
        lambda alb: signed_otherwise(alb.data(), b"\x01" * 63),
        InvalidSignatureError,
        Reason.INVALID_SIGNATURE,
    ),
    "a signature with a zero in front of its second half": (
        lambda alb: lengthened(alb.data()),
        InvalidSignatureError,
        Reason.INVALID_SIGNATURE,
    ),
    "a signature in DER": (lambda alb: as_der(alb.data()), InvalidSignatureError, Reason.INVALID_SIGNATURE),
    "a user pool's access token": (
        lambda alb: alb.user_pool.access_token(),
        UnsupportedAlgorithmError,
        Reason.UNSUPPORTED_ALGORITHM,
    ),
    "an identity pool's token": (
        lambda _: FakeIdentityPool().token(),
        UnsupportedAlgorithmError,
        Reason.UNSUPPORTED_ALGORITHM,
    ),
    "a megabyte of padding": (lambda _: "=" * 2**20, MalformedTokenError, Reason.OVERSIZED_TOKEN),
    "much padding": (lambda _: f"{'=' * 5000}.{'=' * 5000}.=", MalformedTokenError, Reason.MALFORMED_TOKEN),
    "two values joined": (lambda alb: f"{alb.data()},{alb.data()}", InvalidTokenError, Reason.ENCRYPTED_TOKEN),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_data_is_refused(
    call: Call,
    balancer: FakeLoadBalancer,
    verifier: ALBVerifier,
    case: tuple[Make, type[InvalidTokenError], Reason],
) -> None:
    """Each doubt has its class and its reason; nothing of the text is told."""
    make, kind, reason = case
    data = make(balancer)
    error = refusal(call, verifier, data)
    assert isinstance(error, kind)
    assert error.reason is reason
    assert_tells_nothing(error, data, ARN, balancer.key.kid)


_BY_HEADER = {
    *(Reason.WRONG_ISSUER, Reason.WRONG_CLIENT, Reason.EXPIRED, Reason.MALFORMED_TOKEN, Reason.OVERSIZED_TOKEN),
    *(Reason.UNSUPPORTED_ALGORITHM, Reason.UNSUPPORTED_HEADER),
}
NOT_ASKED = {name: case for name, case in REFUSED.items() if case[2] in _BY_HEADER and "claims" not in name}


@pytest.mark.parametrize("case", NOT_ASKED.values(), ids=NOT_ASKED)
def test_nothing_is_fetched_for_what_the_header_gives_away(
    call: Call,
    balancer: FakeLoadBalancer,
    endpoint: Endpoint,
    verifier: ALBVerifier,
    case: tuple[Make, type[InvalidTokenError], Reason],
) -> None:
    """The network is for what looks right in all that needs none."""
    refusal(call, verifier, case[0](balancer))
    assert endpoint.uris == []


@pytest.mark.parametrize(
    "kid",
    [
        pytest.param("../../latest/meta-data", id="a path"),
        pytest.param("https://evil.example/key", id="a URL"),
        pytest.param("", id="nothing"),
        pytest.param("key", id="a word"),
        pytest.param("00000000-0000-4000-8000-00000000000", id="a digit too few"),
        pytest.param("00000000-0000-4000-8000-0000000000000", id="a digit too many"),
        pytest.param("00000000-0000-4000-8000-000000000000\n", id="a line break"),
        pytest.param("00000000-0000-4000-8000-00000000000?", id="a query"),
        pytest.param("00000000-0000-4000-8000-00000000000\N{ARABIC-INDIC DIGIT ZERO}", id="a digit of another script"),
        pytest.param("{00000000-0000-4000-8000-000000000000}", id="braces"),
        pytest.param("00000000000040008000000000000000", id="no hyphens"),
    ],
)
def test_key_id_that_is_no_uuid_is_never_asked_for(
    call: Call, balancer: FakeLoadBalancer, endpoint: Endpoint, verifier: ALBVerifier, kid: str
) -> None:
    """It would become part of a URI."""
    error = refusal(call, verifier, balancer.data(header={"kid": kid}))
    assert error.reason is (Reason.UNKNOWN_KEY if kid else Reason.MALFORMED_TOKEN)
    assert endpoint.uris == []


def test_last_second_is_the_last(
    call: Call, balancer: FakeLoadBalancer, verifier: ALBVerifier, clock: FakeClock
) -> None:
    """`exp` and the leeway are exact."""
    data = balancer.data()
    clock.tick(120 + LEEWAY - 1)
    call(verifier, "verify", data)
    clock.tick(1)
    assert refusal(call, verifier, data).reason is Reason.EXPIRED


def test_clock_that_tells_no_time_refuses(call: Call, balancer: FakeLoadBalancer) -> None:
    """Whatever is compared with NaN is false, and false is a refusal."""
    assert refusal(call, balancer.verifier(clock=lambda: math.nan), balancer.data()).reason is Reason.EXPIRED


def test_claims_without_what_nobody_promises_are_good(
    call: Call, balancer: FakeLoadBalancer, verifier: ALBVerifier
) -> None:
    """The header has issuer and expiry; that the claims repeat them is no rule."""
    assert call(verifier, "verify", balancer.data(iss=ABSENT, exp=ABSENT)).issuer == ISSUER


def test_several_load_balancers_clients_and_issuers_are_accepted(call: Call, balancer: FakeLoadBalancer) -> None:
    """Those that are named, and no other."""
    verifier = ALBVerifier(
        [ARN, FOREIGN_ARN],
        client_id=[CLIENT, "second"],
        issuer=[ISSUER, "https://idp.example"],
        fetch=balancer.fetch,
        clock=balancer.user_pool.clock,
    )
    assert verifier.load_balancer_arns == (ARN, FOREIGN_ARN)
    assert verifier.issuers == (ISSUER, "https://idp.example")
    other = {"signer": FOREIGN_ARN, "client": "second", "iss": "https://idp.example"}
    principal = call(verifier, "verify", balancer.data(header=other, iss="https://idp.example"))
    assert (principal.load_balancer_arn, principal.client_id) == (FOREIGN_ARN, "second")
    assert call(verifier, "verify", balancer.data()).load_balancer_arn == ARN


def test_user_pool_stands_for_its_issuers(call: Call, balancer: FakeLoadBalancer) -> None:
    """Both forms of them."""
    verifier = balancer.verifier(user_pool_id=balancer.user_pool.user_pool_id)
    assert len(verifier.issuers) == 2
    assert call(verifier, "verify", balancer.data()).issuer == ISSUER


# Headers


def test_headers_are_verified(call: Call, balancer: FakeLoadBalancer, verifier: ALBVerifier) -> None:
    """A mapping, pairs of bytes, an iterator: names in any case."""
    headers = balancer.headers("jane")
    subject = balancer.user_pool.subject("jane")
    pairs = [(name.upper().encode(), f" {value}\t".encode()) for name, value in headers.items()]
    for given_headers in (headers, pairs, iter(pairs)):
        assert call(verifier, "authenticate", given_headers).subject == subject


def test_unsigned_identity_is_never_trusted(call: Call, balancer: FakeLoadBalancer, verifier: ALBVerifier) -> None:
    """Whatever stands in `x-amzn-oidc-identity`, alone it is nobody, and beside the data it is not read."""
    headers = balancer.headers("jane") | {"x-amzn-oidc-identity": "somebody-else"}
    assert call(verifier, "authenticate", headers).subject == balancer.user_pool.subject("jane")
    with pytest.raises(MissingTokenError):
        call(verifier, "authenticate", {"x-amzn-oidc-identity": balancer.user_pool.subject("jane")})


def test_header_that_comes_twice_is_refused(call: Call, balancer: FakeLoadBalancer) -> None:
    """A forged one beside the genuine one: which one is meant can't be told."""
    verifier = balancer.verifier(access_token_verifier=balancer.user_pool.verifier())
    pairs = list(balancer.headers().items())
    for name in ("x-amzn-oidc-data", "x-amzn-oidc-accesstoken"):
        with pytest.raises(InvalidRequestError) as refused:
            call(verifier, "authenticate", [*pairs, (name.title(), "forged")])
        assert refused.value.reason is Reason.REPEATED_HEADER


# The access token


@pytest.fixture
def strict(balancer: FakeLoadBalancer) -> ALBVerifier:
    """Return a verifier that wants the access token as well."""
    return balancer.verifier(access_token_verifier=balancer.user_pool.verifier())


def test_access_token_of_the_same_user_is_shown(call: Call, balancer: FakeLoadBalancer, strict: ALBVerifier) -> None:
    """Scopes and groups are there, and none of the data."""
    principal = call(strict, "authenticate", balancer.headers("jane"))
    assert principal.principal.subject == principal.subject
    assert principal.principal.scopes == {"openid"}


def test_access_token_must_be_there(call: Call, balancer: FakeLoadBalancer, strict: ALBVerifier) -> None:
    """Whoever wants it can't be talked out of it."""
    headers = balancer.headers()
    del headers["x-amzn-oidc-accesstoken"]
    with pytest.raises(MissingTokenError):
        call(strict, "authenticate", headers)
    with pytest.raises(MissingTokenError):
        call(strict, "verify", balancer.data())


ACCESS_TOKENS: dict[str, tuple[Callable[[FakeUserPool], str], Reason]] = {
    "another user's": (lambda pool: pool.access_token(username="joe"), Reason.CLAIM_MISMATCH),
    "another client's": (lambda pool: pool.access_token(client_id="other"), Reason.WRONG_CLIENT),
    "an expired one": (lambda pool: pool.access_token(expires_in=-60), Reason.EXPIRED),
    "an ID token": (lambda pool: pool.id_token(), Reason.WRONG_TOKEN_USE),
    "a machine's": (lambda pool: pool.client_token(), Reason.CLAIM_MISMATCH),
    "another pool's": (lambda _: FakeUserPool("eu-west-1_Other").access_token(), Reason.WRONG_ISSUER),
    "none": (lambda _: "", Reason.MALFORMED_TOKEN),
}


@pytest.mark.parametrize("case", ACCESS_TOKENS.values(), ids=ACCESS_TOKENS)
def test_access_token_must_belong_to_the_data(
    call: Call, balancer: FakeLoadBalancer, case: tuple[Callable[[FakeUserPool], str], Reason]
) -> None:
    """Of the same user, issued to the same client, and good in itself."""
    mint, reason = case
    pool = balancer.user_pool
    strict = balancer.verifier(access_token_verifier=pool.verifier(client_id=[pool.client_id, "other"]))
    headers = balancer.headers() | {"x-amzn-oidc-accesstoken": mint(pool)}
    assert refusal(call, strict, headers, method="authenticate").reason is reason


def test_access_token_is_not_looked_at_unless_wanted(
    call: Call, balancer: FakeLoadBalancer, verifier: ALBVerifier
) -> None:
    """Not every identity provider's is a JWT."""
    headers = balancer.headers() | {"x-amzn-oidc-accesstoken": "opaque"}
    assert call(verifier, "authenticate", headers).principal is None


# Keys


def test_key_is_fetched_once(call: Call, balancer: FakeLoadBalancer, endpoint: Endpoint, verifier: ALBVerifier) -> None:
    """From the Region's place, by its ID."""
    for _ in range(5):
        call(verifier, "verify", balancer.data())
    assert endpoint.uris == [f"{PLACE}/{balancer.key.kid}"]


def test_many_callers_share_one_fetch(call: Call, balancer: FakeLoadBalancer, endpoint: Endpoint) -> None:
    """However many requests bring a new key ID at once, its document is asked for once."""
    gate, data = Event(), balancer.data()

    def gated(uri: str, timeout: float, /) -> bytes:
        assert gate.wait(PATIENCE)
        return endpoint(uri, timeout)

    verifier = balancer.verifier(fetch=gated, schedule=SCHEDULE)
    with ThreadPoolExecutor(8) as threads:
        verdicts = [threads.submit(call, verifier, "verify", data) for _ in range(8)]
        gate.set()
        assert {verdict.result(PATIENCE).subject for verdict in verdicts} == {balancer.user_pool.subject("jane")}
    assert len(endpoint.uris) == 1


def test_known_key_never_waits_behind_an_invented_one(call: Call, balancer: FakeLoadBalancer) -> None:
    """One key ID's fetch may hang; the others' don't."""
    gate, begun = Event(), Event()

    def gated(uri: str, timeout: float, /) -> bytes:
        if not uri.endswith(balancer.key.kid):
            begun.set()
            assert gate.wait(PATIENCE)
        return balancer.fetch(uri, timeout)

    verifier = balancer.verifier(fetch=gated, schedule=SCHEDULE)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(refusal, call, verifier, balancer.data(header=invented(1)))
        assert begun.wait(PATIENCE)
        assert call(verifier, "verify", balancer.data()).subject
        assert not waiting.done()
        gate.set()
        assert waiting.result(PATIENCE).reason is Reason.UNKNOWN_KEY


def test_new_key_is_fetched_and_the_old_one_stays(
    call: Call, balancer: FakeLoadBalancer, endpoint: Endpoint, verifier: ALBVerifier
) -> None:
    """Each has its own document."""
    old = balancer.data()
    call(verifier, "verify", old)
    balancer.rotate()
    call(verifier, "verify", balancer.data())
    call(verifier, "verify", old)
    assert len(endpoint.uris) == 2


def test_flood_of_invented_key_ids_is_no_flood_of_fetches(
    call: Call, balancer: FakeLoadBalancer, endpoint: Endpoint, verifier: ALBVerifier, clock: FakeClock
) -> None:
    """A bucketful, then one per cooldown; the known key serves all the while, and is never asked for."""
    good = balancer.data()
    call(verifier, "verify", good)
    endpoint.uris.clear()
    for number in range(SCHEDULE.burst - 1):
        assert refusal(call, verifier, balancer.data(header=invented(number))).reason is Reason.UNKNOWN_KEY
    for number in range(100, 200):
        assert unavailable(call, verifier, balancer.data(header=invented(number))) == 1.0
        assert call(verifier, "verify", good).subject
    assert len(endpoint.uris) == SCHEDULE.burst - 1
    clock.tick(SCHEDULE.cooldown)
    assert refusal(call, verifier, balancer.data(header=invented(300))).reason is Reason.UNKNOWN_KEY
    assert unavailable(call, verifier, balancer.data(header=invented(301))) == 1.0
    assert len(endpoint.uris) == SCHEDULE.burst


def test_key_id_that_nobody_has_is_asked_for_once(
    call: Call, balancer: FakeLoadBalancer, endpoint: Endpoint, verifier: ALBVerifier, clock: FakeClock
) -> None:
    """That there is none is remembered for as long as a key would be, and costs no try."""
    for _ in range(50):
        assert refusal(call, verifier, balancer.data(header=invented(1))).reason is Reason.UNKNOWN_KEY
        clock.tick(1.0)
    assert len(endpoint.uris) == 1
    clock.tick(SCHEDULE.fresh_for)
    assert refusal(call, verifier, balancer.data(header=invented(1))).reason is Reason.UNKNOWN_KEY
    assert len(endpoint.uris) == 2


def test_flood_pushes_no_key_out(
    call: Call, balancer: FakeLoadBalancer, endpoint: Endpoint, verifier: ALBVerifier, clock: FakeClock
) -> None:
    """Kept for good is what has signed for us; another customer's genuine keys are not."""
    call(verifier, "verify", balancer.data())
    for _ in range(MAX_ASKED + 20):
        clock.tick(SCHEDULE.cooldown)
        theirs = BalancerKey.draw()
        balancer.publish(theirs)
        forged = signed_otherwise(balancer.data(key=theirs), bytes(64))
        assert refusal(call, verifier, forged).reason is Reason.INVALID_SIGNATURE
    assert "1 kept, 32 asked for" in repr(verifier)
    endpoint.uris.clear()
    endpoint.answer = DOWN
    assert call(verifier, "verify", balancer.data()).subject
    assert endpoint.uris == []


def test_outage_is_no_verdict_and_ends(
    call: Call, balancer: FakeLoadBalancer, endpoint: Endpoint, verifier: ALBVerifier, clock: FakeClock
) -> None:
    """Each key ID backs off for itself, all share the bucket, and the first answer ends it."""
    endpoint.answer = DOWN
    assert [unavailable(call, verifier, balancer.data()) for _ in range(20)] == [1.0] * 20
    assert len(endpoint.uris) == 1
    for number in range(100):
        unavailable(call, verifier, balancer.data(header=invented(number)))
    assert len(endpoint.uris) == SCHEDULE.burst
    endpoint.answer = None
    clock.tick(1.0)
    assert call(verifier, "verify", balancer.data()).subject


def test_outage_goes_unnoticed_while_the_key_is_stale(
    call: Call, balancer: FakeLoadBalancer, endpoint: Endpoint, verifier: ALBVerifier, clock: FakeClock
) -> None:
    """As a user pool's keys."""
    call(verifier, "verify", balancer.data())
    endpoint.answer = DOWN
    clock.tick(SCHEDULE.fresh_for)
    assert call(verifier, "verify", balancer.data()).subject
    fetches_ended()
    assert len(endpoint.uris) == 2
    clock.tick(SCHEDULE.stale_for)
    assert unavailable(call, verifier, balancer.data()) > 0


def test_withdrawn_key_dies_with_the_first_refresh(
    call: Call, balancer: FakeLoadBalancer, verifier: ALBVerifier, clock: FakeClock
) -> None:
    """That it is gone is an answer, and no outage."""
    call(verifier, "verify", balancer.data())
    balancer.withdraw(balancer.key.kid)
    clock.tick(SCHEDULE.fresh_for)
    assert call(verifier, "verify", balancer.data()).subject
    fetches_ended()
    assert refusal(call, verifier, balancer.data()).reason is Reason.UNKNOWN_KEY


def test_same_key_id_with_new_material_replaces_the_old(
    call: Call, balancer: FakeLoadBalancer, verifier: ALBVerifier, clock: FakeClock
) -> None:
    """A key is what is published under its ID now."""
    call(verifier, "verify", balancer.data())
    other = BalancerKey(kid=balancer.key.kid, private_key=BalancerKey.draw().private_key)
    balancer.publish(other)
    clock.tick(SCHEDULE.fresh_for + SCHEDULE.stale_for)
    assert call(verifier, "verify", balancer.data(key=other)).subject
    assert refusal(call, verifier, balancer.data()).reason is Reason.INVALID_SIGNATURE


def pem_of(key: Any) -> bytes:
    """Write a public key in PEM."""
    return bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


_P256 = ec.generate_private_key(ec.SECP256R1())
_PEM = pem_of(_P256)
UNUSABLE: Mapping[str, bytes] = {
    "a page of HTML": b"<html>marked</html>",
    "a JWKS": b'{"keys": []}',
    "a key on P-384": pem_of(ec.generate_private_key(ec.SECP384R1())),
    "a key on secp256k1": pem_of(ec.generate_private_key(ec.SECP256K1())),
    "an RSA key": pem_of(rsa.generate_private_key(65537, 2048)),
    "an Edwards curve key": pem_of(ed25519.Ed25519PrivateKey.generate()),
    "the private key": _P256.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    "two keys": _PEM + _PEM,
    "a key behind a page": b"<html>" + _PEM,
    "a key in DER": _P256.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    "half a key": _PEM[: len(_PEM) // 2],
    "a key with a wrong label": _PEM.replace(b"PUBLIC KEY", b"CERTIFICATE"),
    "a point that is not on the curve": _PEM.replace(_PEM[100:104], b"AAAA"),
    "a key in a megabyte": _PEM + b" " * 2**20,
    "white space": b"\n",
}


@pytest.mark.parametrize("document", UNUSABLE.values(), ids=UNUSABLE)
def test_unusable_document_is_a_failure(
    call: Call, balancer: FakeLoadBalancer, endpoint: Endpoint, verifier: ALBVerifier, document: bytes
) -> None:
    """One public key on P-256 and nothing else; what came instead is not repeated."""
    endpoint.answer = document
    unavailable(call, verifier, balancer.data())
    with pytest.raises(InvalidKeySetError) as refused:
        key_set_of_pem(balancer.key.kid, document)
    assert "marked" not in "".join(traceback.format_exception(refused.value))


def test_keys_are_values(balancer: FakeLoadBalancer) -> None:
    """Equal where ID and numbers are; the repr tells neither."""
    key, same = (key_set_of_pem(kid, _PEM).by_kid[kid] for kid in (balancer.key.kid, balancer.key.kid))
    assert key == same
    assert hash(key) == hash(same)
    assert key != key_set_of_pem("other", _PEM).by_kid["other"]
    assert key != balancer.key.kid
    assert repr(key) == "<ES256Key P-256>"


def test_keys_come_over_http(call: Call, balancer: FakeLoadBalancer) -> None:
    """The fake publishes them by their IDs, and says 403 to any other."""
    with balancer.serve() as server:
        verifier = balancer.verifier(public_keys_uri=server.url, allow_insecure_http=True)
        assert call(verifier, "verify", balancer.data()).subject
        assert server.requests == (("GET", f"/{balancer.key.kid}"),)
        assert refusal(call, verifier, balancer.data(header=invented(1))).reason is Reason.UNKNOWN_KEY
        balancer.rotate()
        server.down()
        assert unavailable(call, verifier, balancer.data()) > 0


# Configuration


@pytest.mark.parametrize(
    "region, place",
    [
        pytest.param("eu-west-1", PLACE, id="Ireland"),
        pytest.param("us-east-1", PLACE.replace("eu-west-1", "us-east-1"), id="Virginia"),
        pytest.param(
            "us-gov-west-1",
            "https://s3-us-gov-west-1.amazonaws.com/aws-elb-public-keys-prod-us-gov-west-1",
            id="GovCloud West",
        ),
        pytest.param(
            "us-gov-east-1",
            "https://s3-us-gov-east-1.amazonaws.com/aws-elb-public-keys-prod-us-gov-east-1",
            id="GovCloud East",
        ),
    ],
)
def test_place_of_the_keys_follows_from_the_arn(call: Call, clock: FakeClock, region: str, place: str) -> None:
    """The Region is never asked for."""
    balancer = FakeLoadBalancer(FakeUserPool(clock=clock), load_balancer_arn=ARN.replace("eu-west-1", region))
    endpoint = Endpoint(balancer)
    call(balancer.verifier(fetch=endpoint), "verify", balancer.data())
    assert endpoint.uris == [f"{place}/{balancer.key.kid}"]


@pytest.mark.parametrize(
    "setting, arguments",
    [
        pytest.param("load_balancer_arn", {"load_balancer_arn": ()}, id="no load balancer"),
        pytest.param("load_balancer_arn", {"load_balancer_arn": "front"}, id="a name"),
        pytest.param("load_balancer_arn", {"load_balancer_arn": "*"}, id="a wildcard"),
        pytest.param("load_balancer_arn", {"load_balancer_arn": ARN.replace("app", "net")}, id="a network one"),
        pytest.param("load_balancer_arn", {"load_balancer_arn": ARN + "/x"}, id="a listener"),
        pytest.param("load_balancer_arn", {"load_balancer_arn": ARN.replace("eu-west-1", "x.evil.com#")}, id="a host"),
        pytest.param("load_balancer_arn", {"load_balancer_arn": [ARN, "front"]}, id="one of two is none"),
        pytest.param("load_balancer_arn", {"load_balancer_arn": [ARN, ARN.replace("west", "north")]}, id="two Regions"),
        pytest.param(
            "load_balancer_arn", {"load_balancer_arn": ARN.replace("eu-west-1", "cn-north-1")}, id="an unknown place"
        ),
        pytest.param("load_balancer_arn", {"load_balancer_arn": None}, id="None"),
        pytest.param("client_id", {"client_id": ()}, id="no client"),
        pytest.param("client_id", {"client_id": ""}, id="an empty client"),
        pytest.param("user_pool_id", {"issuer": None}, id="neither user pool nor issuer"),
        pytest.param("user_pool_id", {"user_pool_id": "eu-west-1_AbCdEf123"}, id="both"),
        pytest.param("user_pool_id", {"issuer": None, "user_pool_id": "pool"}, id="no user pool"),
        pytest.param("issuer", {"issuer": ()}, id="no issuer"),
        pytest.param("access_token_verifier", {"access_token_verifier": "yes"}, id="a word for a verifier"),
        pytest.param("public_keys_uri", {"public_keys_uri": "http://example.com"}, id="plain http"),
        pytest.param("public_keys_uri", {"public_keys_uri": "http://127.0.0.1"}, id="loopback without the flag"),
        *IMPOSSIBLE_ALIKE,
    ],
)
def test_impossible_setting_is_named(setting: str, arguments: dict[str, Any]) -> None:
    """What can't be right is said at construction."""
    given_ones: dict[str, Any] = {"load_balancer_arn": ARN, "client_id": CLIENT, "issuer": ISSUER, **arguments}
    with pytest.raises(ConfigurationError) as refused:
        ALBVerifier(given_ones.pop("load_balancer_arn"), **given_ones)
    assert refused.value.setting == setting


def test_place_of_another_partition_can_be_given(call: Call, clock: FakeClock) -> None:
    """With or without a slash at its end."""
    arn = ARN.replace(":aws:", ":aws-cn:").replace("eu-west-1", "cn-north-1")
    balancer = FakeLoadBalancer(FakeUserPool(clock=clock), load_balancer_arn=arn)
    endpoint = Endpoint(balancer)
    verifier = balancer.verifier(public_keys_uri="https://keys.example/alb/", fetch=endpoint)
    call(verifier, "verify", balancer.data())
    assert endpoint.uris == [f"https://keys.example/alb/{balancer.key.kid}"]


# The value


def test_principal_is_a_value(balancer: FakeLoadBalancer, strict: ALBVerifier) -> None:
    """It can't be changed; it is equal to its copies, and crosses processes, access token and all."""
    principal = strict.authenticate(balancer.headers("jane"))
    for copied in (copy.deepcopy(principal), pickle.loads(pickle.dumps(principal))):  # noqa: S301
        assert copied == principal
        assert hash(copied) == hash(principal)
        assert type(copied) is ALBPrincipal
    for name in ("claims", "subject", "issuer", "principal", "anything"):
        with pytest.raises((AttributeError, TypeError)):
            setattr(principal, name, None)
    with pytest.raises(TypeError):
        principal.claims["sub"] = "joe"  # type: ignore[index]
    assert principal != strict.authenticate(balancer.headers("joe"))


def test_reprs_tell_no_claim(balancer: FakeLoadBalancer, verifier: ALBVerifier) -> None:
    """What ends up in logs holds no value out of a request."""
    principal = verifier.verify(balancer.data("jane"))
    assert repr(principal) == "<ALBPrincipal 6 claims>"
    assert repr(verifier) == f"<ALBVerifier {ARN} <LoadBalancerKeys 1 kept, 0 asked for>>"
    assert balancer.key.kid not in repr(verifier) + repr(balancer)


def test_fake_publishes_no_key_that_was_withdrawn(balancer: FakeLoadBalancer) -> None:
    """Withdrawn once, it is gone, and can't be withdrawn again."""
    kid = balancer.key.kid
    balancer.withdraw(kid)
    assert balancer.document(kid) is None
    with pytest.raises(ConfigurationError):
        balancer.withdraw(kid)


def test_fork_keeps_no_key_of_the_parent(balancer: FakeLoadBalancer, endpoint: Endpoint, verifier: ALBVerifier) -> None:
    """What another thread was in the middle of changing is begun anew."""
    verifier.verify(balancer.data())
    verifier._keys._reset_after_fork()  # pyright: ignore[reportPrivateUsage]
    assert verifier.verify(balancer.data()).subject
    assert len(endpoint.uris) == 2


# Anything at all

_BALANCER = FakeLoadBalancer(FakeUserPool(clock=FakeClock()), load_balancer_arn=ARN)
_VERIFIER = _BALANCER.verifier()
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)
_PARAMETERS = st.sampled_from(["alg", "typ", "kid", "signer", "iss", "client", "exp", "jku", "x5u", "jwk"])
_CLAIMS = st.sampled_from(["sub", "iss", "exp", "email", "email_verified"])


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.text() | st.text("AZaz09-_.=", max_size=60) | st.binary() | st.none())
def test_any_text_is_refused(text: Any) -> None:
    """Nothing foreign escapes."""
    with pytest.raises(InvalidTokenError):
        _VERIFIER.verify(text)


@settings(deadline=None, derandomize=True, max_examples=150)
@given(
    st.dictionaries(_PARAMETERS, _JSON, max_size=2),
    st.dictionaries(_CLAIMS, _JSON, max_size=2),
)
def test_any_signed_data_is_judged(header: dict[str, Any], claims: dict[str, Any]) -> None:
    """Under a good signature, too: a user of this load balancer comes out, or a refusal."""
    try:
        principal = _VERIFIER.verify(_BALANCER.data(header=header, **claims))
    except InvalidTokenError:
        return
    assert (principal.load_balancer_arn, principal.client_id, principal.issuer) == (ARN, CLIENT, ISSUER)
    assert principal.subject


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.binary() | st.binary(max_size=40).map(lambda data: _PEM[:60] + data + _PEM[60:]))
def test_any_document_is_read_or_refused(document: bytes) -> None:
    """What the endpoint sends is no more trusted than what a client sends."""
    try:
        keys = key_set_of_pem(str(uuid4()), document)
    except InvalidKeySetError:
        return
    assert len(keys.by_kid) == (1 if document else 0)


def test_any_changed_byte_is_noticed(balancer: FakeLoadBalancer, verifier: ALBVerifier) -> None:
    """Of header, claims and signature; a character's change is a change of what is said or who said it."""
    data = balancer.data()
    for place in range(0, len(data), 7):
        changed = data[:place] + ("A" if data[place] != "A" else "B") + data[place + 1 :]
        with pytest.raises((InvalidTokenError, UnavailableError)):
            verifier.verify(changed)


def test_user_pool_verifier_is_what_checks_access_tokens() -> None:
    """The type that is asked for is the one that everybody has."""
    pool = FakeUserPool()
    verifier = CognitoVerifier.any_of(pool.verifier(), FakeUserPool("eu-west-1_Other").verifier())
    balancer = FakeLoadBalancer(pool)
    strict = balancer.verifier(access_token_verifier=verifier)
    assert strict.authenticate(balancer.headers()).principal is not None
