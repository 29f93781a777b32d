"""The verified-token cache: an answer with it is the answer without it, at any moment."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any

import pytest
from concurrency.forks import in_child, needs_fork
from hypothesis import given, settings
from hypothesis import strategies as st

from cognito_guard import (
    CognitoVerifier,
    ConfigurationError,
    ExpiredTokenError,
    ImmatureTokenError,
    InvalidClaimError,
    InvalidSignatureError,
    MalformedTokenError,
    Principal,
    Reason,
    RefreshSchedule,
    RefusalError,
    RevocationList,
    UnavailableError,
    UnknownKeyError,
)
from cognito_guard.keys.keyset import KeySet
from cognito_guard.testing import FakeClock, FakeUserPool
from cognito_guard.tokens.claims import check_times, surely_in_time
from cognito_guard.tokens.memo import Memo, Verified

Call = Callable[..., Any]
FRESH = 600.0


@pytest.fixture
def verifier(pool: FakeUserPool, clock: FakeClock) -> CognitoVerifier:
    return pool.verifier(timer=clock)


def memo_of(verifier: CognitoVerifier) -> Memo[Verified]:
    return verifier._memo  # pyright: ignore[reportPrivateUsage]


def outcome(call: Call, verifier: CognitoVerifier, token: str) -> Principal | tuple[type, Reason]:
    """Return the principal, or class and reason of the refusal."""
    try:
        principal: Principal = call(verifier, "verify", token)
    except RefusalError as error:
        return type(error), error.reason
    return principal


def test_token_seen_before_yields_the_very_same_principal(
    call: Call, verifier: CognitoVerifier, pool: FakeUserPool
) -> None:
    """The second look costs no signature check; the principal is immutable, so that it may be shared."""
    token = pool.access_token()
    assert call(verifier, "verify", token) is call(verifier, "verify", token)


def test_no_cache_makes_each_principal_anew(call: Call, pool: FakeUserPool) -> None:
    """With a size of 0 nothing is remembered."""
    verifier, token = pool.verifier(token_cache_size=0), pool.access_token()
    first, second = call(verifier, "verify", token), call(verifier, "verify", token)
    assert first == second
    assert first is not second
    assert len(memo_of(verifier)) == 0


def test_token_expires_in_the_cache(
    call: Call, verifier: CognitoVerifier, pool: FakeUserPool, clock: FakeClock
) -> None:
    """The time is asked again at each look, to the same second as without a cache."""
    token = pool.access_token(expires_in=60)
    assert call(verifier, "verify", token).username == "jane"
    clock.tick(60 + 10 - 1)
    assert call(verifier, "verify", token).username == "jane"
    clock.tick(1)
    for _ in range(2):
        assert outcome(call, verifier, token) == (ExpiredTokenError, Reason.EXPIRED)
    clock.tick(-2)
    assert call(verifier, "verify", token).username == "jane"


def test_clock_that_jumps_back_makes_a_cached_token_immature(
    call: Call, verifier: CognitoVerifier, pool: FakeUserPool, clock: FakeClock
) -> None:
    """`iat` is asked again too."""
    token = pool.access_token()
    call(verifier, "verify", token)
    clock.tick(-11)
    assert outcome(call, verifier, token) == (ImmatureTokenError, Reason.ISSUED_IN_FUTURE)


def test_cached_token_grows_too_old(call: Call, pool: FakeUserPool, clock: FakeClock) -> None:
    """The maximum age is asked again."""
    verifier, token = pool.verifier(max_token_age=30, timer=clock), pool.access_token()
    call(verifier, "verify", token)
    clock.tick(30 + 10)
    assert call(verifier, "verify", token).username == "jane"
    clock.tick(1)
    assert outcome(call, verifier, token) == (ExpiredTokenError, Reason.TOO_OLD)


def test_clock_without_a_time_passes_nothing_out_of_the_cache(call: Call, pool: FakeUserPool) -> None:
    """NaN compares false with everything: it must not compare as in time."""
    now = [pool.clock()]
    verifier, token = pool.verifier(clock=lambda: now[0]), pool.access_token()
    call(verifier, "verify", token)
    now[0] = float("nan")
    assert outcome(call, verifier, token) == (ExpiredTokenError, Reason.EXPIRED)


def test_cached_token_dies_with_its_withdrawn_key(
    call: Call, verifier: CognitoVerifier, pool: FakeUserPool, clock: FakeClock
) -> None:
    """The key is asked for at each look, as its freshness has it."""
    token = pool.access_token()
    call(verifier, "verify", token)
    pool.rotate(publish_old=False)
    assert call(verifier, "verify", token).username == "jane"
    clock.tick(FRESH)
    verifier.prefetch()
    assert outcome(call, verifier, token) == (UnknownKeyError, Reason.UNKNOWN_KEY)


def test_cached_token_is_judged_again_under_new_material(call: Call, pool: FakeUserPool, clock: FakeClock) -> None:
    """The same key ID with another key: the old signature is worth nothing."""
    document: dict[str, Any] = {"keys": [pool.access_key.jwk()]}

    def fetch(uri: str, timeout: float) -> bytes:
        return json.dumps(document).encode()

    verifier = pool.verifier(timer=clock, fetch=fetch)
    token = pool.access_token()
    call(verifier, "verify", token)
    kid = pool.access_key.kid
    pool.rotate()
    document["keys"] = [{**pool.access_key.jwk(), "kid": kid}]
    clock.tick(FRESH)
    verifier.prefetch()
    assert outcome(call, verifier, token) == (InvalidSignatureError, Reason.INVALID_SIGNATURE)


def test_cached_token_lives_on_under_an_equal_key(
    call: Call, verifier: CognitoVerifier, pool: FakeUserPool, clock: FakeClock
) -> None:
    """A refresh makes the same key anew: that is no reason for another signature check."""
    token = pool.access_token()
    principal = call(verifier, "verify", token)
    clock.tick(FRESH)
    verifier.prefetch()
    assert call(verifier, "verify", token) is principal


def test_cached_token_lives_on_under_a_stale_key(
    call: Call, verifier: CognitoVerifier, pool: FakeUserPool, clock: FakeClock
) -> None:
    """Neither it nor its signature is looked at again while a refresh runs."""
    token = pool.access_token()
    principal = call(verifier, "verify", token)
    clock.tick(FRESH)
    assert call(verifier, "verify", token) is principal
    settled()


def test_cached_token_is_unavailable_once_the_keys_are_beyond_use(
    call: Call, pool: FakeUserPool, clock: FakeClock
) -> None:
    """An outage that outlasts the keys ends for tokens seen before as for new ones."""
    schedule = RefreshSchedule(fresh_for=FRESH, stale_for=60.0)
    is_up = [True]

    def fetch(uri: str, timeout: float) -> bytes:
        if not is_up[0]:
            raise OSError
        return pool.fetch(uri, timeout)

    verifier, token = pool.verifier(timer=clock, schedule=schedule, fetch=fetch), pool.access_token()
    call(verifier, "verify", token)
    is_up[0] = False
    clock.tick(FRESH + 59)
    assert call(verifier, "verify", token).username == "jane"
    clock.tick(1)
    assert outcome(call, verifier, token) == (UnavailableError, Reason.KEYS_UNAVAILABLE)


def test_refused_token_is_never_remembered(call: Call, verifier: CognitoVerifier, pool: FakeUserPool) -> None:
    """Junk and forgeries make no entry, so that they push none out: not even what an expired token's owner sends."""
    good = pool.access_token()
    call(verifier, "verify", good)
    refused = [
        "junk",
        f"{good[:-1]}{'A' if good[-1] != 'A' else 'Q'}",
        pool.access_token(expires_in=-60),
        pool.id_token(),
        pool.access_token(client_id="another"),
    ]
    for token in refused:
        assert isinstance(outcome(call, verifier, token), tuple)
    assert len(memo_of(verifier)) == 1


def test_cache_is_bounded_and_keeps_the_latest(call: Call, pool: FakeUserPool) -> None:
    """Whoever has many good tokens fills the cache, and no more; what fell out is verified, and remembered, anew."""
    verifier = pool.verifier(token_cache_size=3)
    tokens = [pool.access_token(username=f"user{number}") for number in range(10)]
    principals = [call(verifier, "verify", token) for token in tokens]
    assert len(memo_of(verifier)) == 3
    assert all(call(verifier, "verify", tokens[n]) is principals[n] for n in (-3, -2, -1))
    again = call(verifier, "verify", tokens[0])
    assert again == principals[0]
    assert call(verifier, "verify", tokens[0]) is again
    assert len(memo_of(verifier)) == 3


def test_cache_has_room_for_4096_tokens_by_default(pool: FakeUserPool) -> None:
    """At up to 3 KB each: what it may cost stands in the documentation."""
    assert memo_of(pool.verifier())._entries.maxsize == 4096  # pyright: ignore[reportPrivateUsage]


def test_verifiers_share_nothing(call: Call, pool: FakeUserPool) -> None:
    """What one policy accepts says nothing about another one."""
    token = pool.access_token()
    call(pool.verifier(), "verify", token)
    strict = pool.verifier(client_id="another")
    assert outcome(call, strict, token) == (InvalidClaimError, Reason.WRONG_CLIENT)


def test_no_token_is_kept(verifier: CognitoVerifier, pool: FakeUserPool) -> None:
    """Whoever reads the cache finds digests, and claims, but nothing to present elsewhere."""
    token = pool.access_token()
    verifier.verify(token)
    signature = token.rpartition(".")[2]
    entries = memo_of(verifier)._entries  # pyright: ignore[reportPrivateUsage]
    assert [*entries] == [sha256(token.encode()).digest()]
    (entry,) = entries.values()
    assert entry is not None
    held = [getattr(entry, name) for name in Verified.__slots__]
    assert all(signature not in repr(value) for value in (*held, dict(entry.claims)))


@pytest.mark.parametrize("length", [86, 2047, 2048, 4094, 4095, 16384])
def test_digest_is_the_tokens_sha256_whatever_its_length(length: int) -> None:
    """Long tokens are hashed in parts, to the same digest."""
    token = "a" * length
    assert Memo(1, max_bytes=16384).look(token) == (sha256(token.encode()).digest(), None)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("a" * 101, id="longer than a token may be"),
        pytest.param("a" * 85, id="shorter than a signature"),
        pytest.param("t\xf6ken" * 18, id="not ASCII"),
        pytest.param("\ud800" * 90, id="lone surrogates"),
        pytest.param(b"token" * 18, id="bytes"),
        pytest.param(None, id="nothing"),
    ],
)
def test_what_is_no_token_is_not_looked_for(token: Any) -> None:
    """The intake has its own words for it."""
    assert Memo(1, max_bytes=100).look(token) == (None, None)


def test_oversized_token_is_refused_as_ever(call: Call, verifier: CognitoVerifier) -> None:
    """The cache in front changes no answer."""
    assert outcome(call, verifier, "a" * 100_000) == (MalformedTokenError, Reason.OVERSIZED_TOKEN)


@pytest.mark.parametrize("size", [-1, 1.5, "10", None, True])
def test_size_that_can_not_be_right_is_a_mistake(pool: FakeUserPool, size: Any) -> None:
    """A whole number of tokens, or 0 for none."""
    with pytest.raises(ConfigurationError) as caught:
        pool.verifier(token_cache_size=size)
    assert caught.value.setting == "token_cache_size"


def test_threads_share_one_cache(pool: FakeUserPool) -> None:
    """With more tokens than room, and all of them asked for at once, each answer is its own token's."""
    verifier = pool.verifier(token_cache_size=4)
    tokens = {pool.access_token(username=f"user{number}"): f"user{number}" for number in range(12)}

    def verify(start: int) -> bool:
        order = [*tokens.items()][start:] + [*tokens.items()][:start]
        return all(verifier.verify(token).username == name for token, name in order * 5)

    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(verify, range(6)))
    assert len(memo_of(verifier)) == 4


@needs_fork
def test_forked_process_has_a_cache_of_its_own(verifier: CognitoVerifier, pool: FakeUserPool) -> None:
    """A thread of the parent may hold the lock at the fork, and be in the middle of a change."""
    token = pool.access_token()
    verifier.verify(token)
    memo = memo_of(verifier)

    def check() -> bool:
        return len(memo) == 0 and verifier.verify(token).username == "jane" and len(memo) == 1

    with memo._lock:  # pyright: ignore[reportPrivateUsage]
        assert in_child(check)
    assert len(memo) == 1


TIMES = st.integers(0, 4_000)


@given(
    issued_at=TIMES,
    expires_at=TIMES,
    not_before=st.none() | TIMES,
    leeway=st.sampled_from([0, 0.1, 10, 300]),
    max_token_age=st.none() | st.sampled_from([0, 0.3, 60, 3600]),
    now=st.floats(-400, 4_400),
)
@settings(deadline=None, derandomize=True, max_examples=500)
def test_times_called_sure_pass_the_check(
    issued_at: int,
    expires_at: int,
    not_before: int | None,
    leeway: float,
    max_token_age: float | None,
    now: float,
) -> None:
    """The short cut of a hit never lets pass what the check would not."""
    claims = {"iat": issued_at, "exp": expires_at} | ({} if not_before is None else {"nbf": not_before})
    first, last = surely_in_time(claims, leeway, max_token_age)
    if first <= now <= last:
        check_times(claims, now, leeway, max_token_age)


STEPS: st.SearchStrategy[tuple[str, Any]] = st.one_of(
    st.tuples(st.just("verify"), st.integers(0, 7)),
    st.tuples(st.just("tick"), st.sampled_from([-400, -11, -1, 1, 10, 59, 600, 14_400])),
    st.tuples(st.just("rotate"), st.booleans()),
    st.tuples(st.just("withdraw"), st.none()),
    st.tuples(st.just("mint"), st.sampled_from([30, 600, 3_600])),
    st.tuples(st.just("outage"), st.booleans()),
    st.tuples(st.just("revoke"), st.integers(0, 3)),
)


@given(history=st.lists(STEPS, max_size=40))
@settings(deadline=None, derandomize=True, max_examples=60)
def test_cached_verifier_answers_as_one_without_a_cache(history: list[tuple[str, Any]]) -> None:
    """Over any history of tokens, clocks, rotations, withdrawals, outages and revocations, at any moment."""
    clock = FakeClock()
    pool = FakeUserPool(clock=clock)
    revocations = RevocationList(clock=clock, timer=clock)
    is_down = [False]

    def fetch(uri: str, timeout: float) -> bytes:
        if is_down[0]:
            raise OSError
        return pool.fetch(uri, timeout)

    def verdict(verifier: CognitoVerifier, token: str) -> object:
        try:
            return verifier.verify(token)
        except RefusalError as error:
            return type(error), error.reason
        finally:
            # A refresh that nobody waits for would end at another moment for each of the two.
            settled()

    cached, plain = (
        pool.verifier(timer=clock, fetch=fetch, revocations=revocations, token_cache_size=size) for size in (2, 0)
    )
    tokens: list[str] = [pool.access_token(username=f"user{number}", expires_in=3_600) for number in range(3)]
    for step, value in history:
        if step == "verify":
            index: int = value % len(tokens)
            token = tokens[index]
            assert verdict(cached, token) == verdict(plain, token)
        elif step == "tick":
            clock.tick(value)
        elif step == "rotate":
            pool.rotate(publish_old=value)
        elif step == "withdraw":
            pool.withdraw()
        elif step == "mint":
            tokens.append(pool.access_token(username=f"user{len(tokens)}", expires_in=value))
        elif step == "revoke":
            revocations.revoke_user(pool.user_pool_id, pool.subject(f"user{value}"))
        else:
            is_down[0] = value


def settled() -> None:
    for thread in threading.enumerate():
        if thread.name == "cognito-guard-keys":
            thread.join(30)
            assert not thread.is_alive()


def test_equal_key_of_a_refresh_takes_the_place_of_the_old_one(pool: FakeUserPool) -> None:
    """The next look compares no numbers; another key never takes it."""
    mine, equal, other = (KeySet.from_document(jwks) for jwks in (pool.jwks, pool.jwks, FakeUserPool().jwks))
    kid = pool.access_key.kid
    verified = Verified(pool.verifier().verify(pool.access_token()), {}, mine.by_kid[kid], (0.0, 0.0))
    assert not verified.is_under(next(iter(other.by_kid.values())))
    assert verified.key is mine.by_kid[kid]
    assert verified.is_under(equal.by_kid[kid])
    assert verified.key is equal.by_kid[kid]


def test_memory_begins_anew_after_a_fork_with_its_size() -> None:
    """Nothing is left of the parent's, and no more is kept than before."""
    memo = Memo[str](2, max_bytes=1000)
    memo.put(b"before", "known")
    memo._reset_after_fork()  # pyright: ignore[reportPrivateUsage]
    assert len(memo) == 0
    for digest in (b"1", b"2", b"3"):
        memo.put(digest, "known")
    assert len(memo) == 2
