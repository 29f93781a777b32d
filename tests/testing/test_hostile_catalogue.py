"""The catalogue of hostile tokens: large, complete, stable, and each entry what it says it is."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import jwt
import pytest
from jwt.algorithms import HMACAlgorithm, RSAAlgorithm

from cognito_guard import CognitoVerifier, Reason, RefusalError
from cognito_guard.testing import AppClient, FakeClock, FakeUserPool, HostileToken, hostile_tokens
from cognito_guard.testing.hostile.forge import LEEWAY

POOL = FakeUserPool(clock=FakeClock())
CATALOGUE = hostile_tokens(POOL)
BY_NAME = {entry.name: entry for entry in CATALOGUE}
DAY = 86_400

# All that the default verifier can say of a token, once it has one and has keys.
OF_A_TOKEN = {
    Reason.MALFORMED_TOKEN,
    Reason.OVERSIZED_TOKEN,
    Reason.ENCRYPTED_TOKEN,
    Reason.UNSUPPORTED_ALGORITHM,
    Reason.UNSUPPORTED_HEADER,
    Reason.UNKNOWN_KEY,
    Reason.INVALID_SIGNATURE,
    Reason.MISSING_CLAIM,
    Reason.MALFORMED_CLAIM,
    Reason.WRONG_ISSUER,
    Reason.WRONG_TOKEN_USE,
    Reason.WRONG_CLIENT,
    Reason.WRONG_AUDIENCE,
    Reason.SENDER_CONSTRAINED,
    Reason.EXPIRED,
    Reason.NOT_YET_VALID,
    Reason.ISSUED_IN_FUTURE,
}


class RunningClock:
    """A clock that may run at any time, as far as anybody can see; the test holds it."""

    def __init__(self) -> None:
        self.fake = FakeClock()

    def __call__(self) -> float:
        """Return the current reading, in seconds."""
        return self.fake()


def verdict(verifier: CognitoVerifier, token: str) -> Reason | None:
    """Return why a token is refused, or None."""
    try:
        verifier.verify(token)
    except RefusalError as error:
        return error.reason
    return None


def misjudged(verifier: CognitoVerifier, catalogue: tuple[HostileToken, ...]) -> Mapping[str, Reason | None]:
    """Return every entry of which a verifier says something else."""
    verdicts = {entry.name: (verdict(verifier, entry.token), entry.reason) for entry in catalogue}
    return {name: said for name, (said, expected) in verdicts.items() if said is not expected}


def decoded(segment: str) -> Any:
    """Read a segment of a token that is spelt well."""
    return json.loads(urlsafe_b64decode(segment + "=="))


def test_catalogue_is_large() -> None:
    """Every class of attack is there, each with several entries."""
    assert len(CATALOGUE) >= 600
    kinds = Counter(entry.kind for entry in CATALOGUE)
    assert set(kinds) == {
        *("algorithm", "claim", "encoding", "foreign", "header", "issuer"),
        *("json", "key", "recipient", "signature", "size", "time"),
    }
    assert min(kinds.values()) >= 8
    assert sum(entry.reason is None for entry in CATALOGUE) >= 50


def test_names_are_unique_and_begin_with_their_kind() -> None:
    """A name is what a failing test shows and what a test is chosen by."""
    assert len(BY_NAME) == len(CATALOGUE)
    assert [name for name in BY_NAME if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", name)] == []
    assert [entry.name for entry in CATALOGUE if not entry.name.startswith(f"{entry.kind}-")] == []


def test_every_reason_to_refuse_a_token_is_covered() -> None:
    """The others are about requests, optional settings, requirements, and keys out of reach."""
    assert {entry.reason for entry in CATALOGUE} - {None} == OF_A_TOKEN


def test_each_entry_says_why_in_one_line() -> None:
    """A short sentence."""
    assert [entry.name for entry in CATALOGUE if not re.fullmatch(r"[A-Z`].{8,110}[.]", entry.why)] == []


def test_no_token_stands_twice() -> None:
    """An entry that repeats another one tests nothing."""
    assert [token for token, times in Counter(entry.token for entry in CATALOGUE).items() if times > 1] == []


def test_catalogue_made_again_is_the_same() -> None:
    """Salted signatures and those of foreign keys too: a failure can be looked at again."""
    assert hostile_tokens(POOL) == CATALOGUE


def test_catalogue_uses_up_no_id_of_the_pool() -> None:
    """A test that makes one sees the same tokens as one that does not."""
    one, other = (FakeUserPool(clock=FakeClock()) for _ in range(2))
    hostile_tokens(one)
    first, second = (pool.verifier().verify(pool.access_token()) for pool in (one, other))
    assert first.jwt_id == second.jwt_id


def test_entry_prints_its_name_and_never_its_token() -> None:
    """`ids=str` makes readable tests, and a report shows no token."""
    entry = BY_NAME["algorithm-none"]
    assert str(entry) == "algorithm-none"
    assert entry.token not in repr(entry)
    assert "Whoever may choose" in repr(entry)


def test_entry_cannot_be_changed() -> None:
    """Parametrised tests share it."""
    entry = CATALOGUE[0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        entry.token = "x"  # type: ignore[misc]
    assert not hasattr(entry, "__dict__")


@pytest.mark.parametrize(
    "token, sendable",
    [
        pytest.param("a.b-c_d~!\"#$%&'()*+/:;<=>?@[]^`{|}", True, id="visible ASCII"),
        pytest.param("a" * 8000, True, id="as long as a header line may be"),
        pytest.param("a" * 8001, False, id="longer"),
        pytest.param("", False, id="nothing"),
        pytest.param("a b", False, id="a blank"),
        pytest.param("a\tb", False, id="a tab"),
        pytest.param("a,b", False, id="a comma"),
        pytest.param("a\nb", False, id="a line break"),
        pytest.param("a\0", False, id="NUL"),
        pytest.param("a\x7f", False, id="DEL"),
        pytest.param("\xe9", False, id="latin-1"),
        pytest.param("\U0001f511", False, id="an emoji"),
        pytest.param("\ud800", False, id="a lone surrogate"),
    ],
)
def test_sendable_is_what_every_client_can_put_in_a_header(token: str, sendable: bool) -> None:
    """Visible ASCII without a comma, and no longer than what servers let through."""
    entry = HostileToken(name="x-y", kind="x", token=token, reason=None, why="Why.")
    assert entry.sendable is sendable


def test_most_entries_are_sendable() -> None:
    """What can't be sent is the exception: an API is tested over HTTP."""
    assert sum(entry.sendable for entry in CATALOGUE) >= 600


def _rotated() -> FakeUserPool:
    pool = FakeUserPool(clock=FakeClock())
    pool.rotate()
    return pool


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(lambda: FakeUserPool("us-gov-west-1_AbC", issuer_format="updated"), id="GovCloud, updated form"),
        pytest.param(lambda: FakeUserPool("eusc-de-east-1_Zz0"), id="the sovereign cloud"),
        pytest.param(lambda: FakeUserPool("us-east-1_Stranger1"), id="another Region"),
        pytest.param(lambda: FakeUserPool(clients=[AppClient(), AppClient()]), id="several clients"),
        pytest.param(lambda: FakeUserPool(client_id="A" * 128), id="a long client ID"),
        pytest.param(lambda: FakeUserPool(clock=FakeClock(1_699_999_999.999)), id="a clock between two seconds"),
        pytest.param(
            lambda: FakeUserPool("local_1qFA81RT", issuer="http://localhost:9229/local_1qFA81RT"), id="an emulator"
        ),
        pytest.param(lambda: FakeUserPool(issuer="https://idp.example"), id="an issuer without a path"),
        pytest.param(lambda: FakeUserPool(keys_of=FakeUserPool()), id="keys of another pool"),
        pytest.param(_rotated, id="rotated before"),
    ],
)
def test_verdicts_hold_for_any_pool(build: Callable[[], FakeUserPool]) -> None:
    """Whatever its Region, issuer, clients, keys and clock are."""
    pool = build()
    catalogue = hostile_tokens(pool)
    assert len(catalogue) >= 600
    assert len({entry.name for entry in catalogue}) == len(catalogue)
    assert misjudged(pool.verifier(), catalogue) == {}


@pytest.mark.parametrize("seconds", [0, 1, 3600, DAY - LEEWAY - 1])
def test_verdicts_last_a_day_where_the_clock_runs(seconds: int) -> None:
    """A catalogue made when tests are collected is still right when the last of them runs."""
    clock = RunningClock()
    pool = FakeUserPool(clock=clock)
    catalogue = hostile_tokens(pool)
    clock.fake.tick(seconds)
    assert misjudged(pool.verifier(), catalogue) == {}


def test_edges_of_a_second_are_there_only_with_a_fake_clock() -> None:
    """With a clock that runs, what is said of them would turn wrong."""
    running = {entry.name for entry in hostile_tokens(FakeUserPool(clock=RunningClock()))}
    assert set(BY_NAME) - running == {
        "time-expires-within-the-leeway",
        "time-expires-now",
        "time-not-before-past-the-leeway",
        "time-issued-past-the-leeway",
    }
    assert running <= set(BY_NAME)


@pytest.mark.parametrize(
    "name, seconds, turned",
    [
        pytest.param("time-expires-within-the-leeway", 1, Reason.EXPIRED, id="it expires a second later"),
        pytest.param("time-not-before-past-the-leeway", 1, None, id="its time comes a second later"),
        pytest.param("time-issued-past-the-leeway", 1, None, id="our clock catches up a second later"),
        pytest.param("time-expired-with-the-leeway", -1, None, id="it was good a second before"),
        pytest.param("time-issued-within-the-leeway", -1, Reason.ISSUED_IN_FUTURE, id="too early a second before"),
        pytest.param("time-not-before-within-the-leeway", -1, Reason.NOT_YET_VALID, id="not valid a second before"),
    ],
)
def test_edge_is_the_very_edge(name: str, seconds: int, turned: Reason | None) -> None:
    """One second more or less, and the verdict is another one."""
    clock = FakeClock()
    pool = FakeUserPool(clock=clock)
    token = {entry.name: entry.token for entry in hostile_tokens(pool)}[name]
    clock.tick(seconds)
    assert verdict(pool.verifier(), token) is turned


def test_leeway_is_the_default_of_a_verifier() -> None:
    """The edges are those of default settings."""
    assert inspect.signature(CognitoVerifier).parameters["leeway"].default == LEEWAY


@pytest.mark.parametrize("kind", ["header", "issuer", "json", "time", "claim", "recipient", "size"])
def test_entry_with_one_thing_wrong_is_signed_by_the_pool(kind: str) -> None:
    """So that no other check than the one that is meant can refuse it."""
    keys = [RSAAlgorithm.from_jwk(json.dumps(jwk)) for jwk in POOL.jwks["keys"]]
    algorithm = RSAAlgorithm(RSAAlgorithm.SHA256)
    # Of these, junk and those with two things wrong on purpose.
    others = {"size-100-kb-of-dots", "size-100-kb-of-signature", "header-b64-false"}
    others |= {name for name in BY_NAME if re.search(r"issuer-other-pool-and-", name)}
    unsigned: list[str] = []
    for entry in CATALOGUE:
        if entry.kind == kind and entry.name not in others:
            signing_input, _, signature = entry.token.rpartition(".")
            octets = urlsafe_b64decode(signature + "==")
            if not any(algorithm.verify(signing_input.encode(), key, octets) for key in keys):  # type: ignore[arg-type]
                unsigned.append(entry.name)
    assert unsigned == []


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
def test_other_algorithm_is_used_for_real(algorithm: str) -> None:
    """An implementation that is not ours accepts it where it is told to: refusing it is the list's doing."""
    token = BY_NAME[f"algorithm-{algorithm.lower()}"].token
    options: Any = {"verify_exp": False, "verify_iat": False}
    public = RSAAlgorithm.from_jwk(json.dumps(POOL.access_key.jwk()))
    assert jwt.decode(token, public, algorithms=[algorithm], options=options)["iss"] == POOL.issuer  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["key-jwk-self-signed", "key-jwk-under-our-id", "key-jwk-without-id"])
def test_key_that_a_token_brings_along_verifies_it(name: str) -> None:
    """Whoever used it would be taken in."""
    token = BY_NAME[name].token
    key = RSAAlgorithm.from_jwk(json.dumps(decoded(token.split(".")[0])["jwk"]))
    options: Any = {"verify_exp": False, "verify_iat": False}
    assert jwt.decode(token, key, algorithms=["RS256"], options=options)["iss"] == POOL.issuer  # type: ignore[arg-type]


_JWK = POOL.access_key.jwk()


@pytest.mark.parametrize(
    "name, secret",
    [
        pytest.param("jwk", json.dumps(_JWK, separators=(",", ":")).encode(), id="the JWK"),
        pytest.param("kid", _JWK["kid"].encode(), id="the key ID"),
        pytest.param("modulus", urlsafe_b64decode(_JWK["n"] + "=="), id="the modulus"),
        pytest.param("modulus-text", _JWK["n"].encode(), id="the modulus as text"),
        pytest.param("empty-secret", b"", id="nothing"),
    ],
)
def test_public_key_as_a_secret_verifies_the_token(name: str, secret: bytes) -> None:
    """Whoever took it for a secret would be taken in."""
    signing_input, _, signature = BY_NAME[f"algorithm-hs256-with-{name}"].token.rpartition(".")
    octets = urlsafe_b64decode(signature + "==")
    hmac = HMACAlgorithm(HMACAlgorithm.SHA256)
    assert hmac.verify(signing_input.encode(), secret, octets)


@pytest.mark.parametrize(
    "name, length",
    [
        pytest.param("size-below-the-limit", 16_383, id="one below"),
        pytest.param("size-at-the-limit", 16_384, id="the limit"),
        pytest.param("size-above-the-limit", 16_385, id="one above"),
        pytest.param("size-100-kb", 100_000, id="far above"),
    ],
)
def test_size_is_exact(name: str, length: int) -> None:
    """An edge is worth nothing if it is elsewhere."""
    assert len(BY_NAME[name].token) == length
