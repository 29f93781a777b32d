"""What load must not change: floods and rotations, timers that jump, several pools, and a crowded cache."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from random import Random
from threading import Condition, Event
from typing import Any, TypeAlias

import pytest

from cognito_guard import CognitoVerifier, FetchError, Principal, Reason, RefreshSchedule, Verifier
from cognito_guard.keys.keyset import KeySet
from cognito_guard.principal import principal_of
from cognito_guard.testing import FakeClock, FakeUserPool
from cognito_guard.testing.keys import base64url
from cognito_guard.tokens.memo import Memo, Verified

from . import FOR_EVER, PATIENCE, GatedFetch, averdict, fetches_ended, in_threads, verdict
from .conftest import Make

SCHEDULE = RefreshSchedule()
QUICK = RefreshSchedule(fresh_for=10.0, deadline=FOR_EVER)
DAY = 86_400.0
SHORT = 0.2  # a real deadline, for what hangs
THREADS = 8

Outcome: TypeAlias = str | Reason
AtOnce: TypeAlias = Callable[[Verifier, Sequence[str]], list[Outcome]]


def outcome(verdict: Principal | Reason) -> Outcome:
    """Return who it is, or the reason why not."""
    return verdict.username or "" if isinstance(verdict, Principal) else verdict


@contextmanager
def by_threads() -> Generator[AtOnce]:
    """Yield a function that presents tokens on threads."""
    with ThreadPoolExecutor(THREADS) as threads:
        yield lambda verifier, tokens: [*map(outcome, threads.map(partial(verdict, verifier), tokens))]


@contextmanager
def by_tasks() -> Generator[AtOnce]:
    """Yield a function that presents tokens in tasks of one loop."""
    with asyncio.Runner() as loop:

        async def present(verifier: Verifier, tokens: Sequence[str]) -> list[Outcome]:
            return [*map(outcome, await asyncio.gather(*(averdict(verifier, token) for token in tokens)))]

        yield lambda verifier, tokens: loop.run(present(verifier, tokens))


@pytest.fixture(params=[by_threads, by_tasks])
def at_once(request: pytest.FixtureRequest) -> Iterator[AtOnce]:
    """Return a function that presents tokens all at once."""
    with request.param() as present:
        yield present


@pytest.fixture(autouse=True)
def answering(fetch: GatedFetch) -> None:
    """Let the endpoint answer."""
    fetch.gate.set()


def stray(token: str, number: int) -> str:
    """Return a token under an invented key ID."""
    header = json.dumps({"kid": f"invented-{number}", "alg": "RS256"})
    return f"{base64url(header.encode())}{token[token.index('.') :]}"


def test_flood_with_a_rotation_in_it_refuses_no_good_token(
    pool: FakeUserPool, verifier: CognitoVerifier, timer: FakeClock, fetch: GatedFetch, at_once: AtOnce
) -> None:
    """Beside 300 invented key IDs a second: few fetches, and the new key within a cooldown, and for good."""
    seconds, steps, rotation = 40, 10, 150
    good, new = [pool.access_token() for _ in range(5)], list[str]()
    answers: list[Outcome] = []
    verifier.prefetch()
    for step in range(seconds * steps):
        if step == rotation:
            pool.rotate()
            new = [pool.access_token()]
        flood = [stray(good[0], 30 * step + number) for number in range(30)]
        outcomes = at_once(verifier, [*flood[:15], *good, *new, *flood[15:]])
        assert outcomes[:15] == outcomes[-15:] == [Reason.UNKNOWN_KEY] * 15
        assert outcomes[15:20] == ["jane"] * 5
        answers += outcomes[20:-15]
        timer.tick(1 / steps)
    unknown = answers.index("jane")
    assert unknown <= SCHEDULE.cooldown * steps
    assert answers == [Reason.UNKNOWN_KEY] * unknown + ["jane"] * (len(answers) - unknown)
    assert SCHEDULE.burst < fetch.calls <= 1 + SCHEDULE.burst + seconds / SCHEDULE.cooldown


def test_rotations_under_load_refuse_no_good_token(
    pool: FakeUserPool, verifier: CognitoVerifier, timer: FakeClock
) -> None:
    """Threads that verify while keys rotate and refreshes run see each key from the first token on."""
    tokens = [pool.access_token()]
    done = Event()

    def verify() -> int:
        verified = 0
        while not done.is_set():
            for token in tuple(tokens):
                assert verifier.verify(token).username == "jane"
                verified += 1
        return verified

    futures = in_threads(4, verify)
    try:
        for _ in range(2):
            pool.rotate()
            tokens.append(pool.access_token())
            assert verifier.verify(tokens[-1]).username == "jane"
            timer.tick(SCHEDULE.fresh_for)
            verifier.prefetch()
    finally:
        done.set()
    assert all(future.result(PATIENCE) > 0 for future in futures)


@pytest.mark.parametrize("days", [pytest.param(1, id="a day ahead"), pytest.param(-1, id="a day back")])
def test_timer_that_jumps_costs_a_crowd_one_fetch(
    pool: FakeUserPool, verifier: CognitoVerifier, timer: FakeClock, fetch: GatedFetch, at_once: AtOnce, days: int
) -> None:
    """A suspended machine fetches keys whose age nobody knows once more, and no good token suffers."""
    tokens = [pool.access_token() for _ in range(40)]
    assert at_once(verifier, tokens[:1]) == ["jane"]
    timer.tick(days * DAY)
    assert at_once(verifier, tokens) == ["jane"] * 40
    assert fetch.calls == 2


def test_timer_that_jumps_during_an_outage_is_no_verdict_on_a_token(
    pool: FakeUserPool, verifier: CognitoVerifier, timer: FakeClock, fetch: GatedFetch, at_once: AtOnce
) -> None:
    """A machine that resumes without a network says 503 and not 401, and recovers by itself."""
    tokens = [pool.access_token() for _ in range(20)]
    verifier.prefetch()
    fetch.error = FetchError("down")
    timer.tick(DAY)
    assert at_once(verifier, tokens) == [Reason.KEYS_UNAVAILABLE] * 20
    fetch.error = None
    timer.tick(SCHEDULE.backoff)
    assert at_once(verifier, tokens) == ["jane"] * 20


def test_timer_that_jumps_ahead_during_a_fetch_costs_one_backoff(
    pool: FakeUserPool, verifier: CognitoVerifier, timer: FakeClock, fetch: GatedFetch, token: str
) -> None:
    """A fetch that was suspended in the middle is given up: 503 for a second, and then one that brings the keys."""
    fetch.close()
    [waiter] = in_threads(1, lambda: verdict(verifier, token))
    assert fetch.begun.wait(PATIENCE)
    timer.tick(DAY)
    assert verdict(verifier, token) is Reason.KEYS_UNAVAILABLE
    fetch.open()
    assert waiter.result(PATIENCE) is Reason.KEYS_UNAVAILABLE
    timer.tick(SCHEDULE.backoff)
    assert outcome(verdict(verifier, token)) == "jane"
    assert fetch.calls == 2


def test_timer_that_jumps_back_during_a_fetch_holds_nobody_beyond_the_deadline(
    make: Make, timer: FakeClock, fetch: GatedFetch, token: str
) -> None:
    """Whoever joins a fetch that hangs waits for its deadline, and not for the day that the timer lost."""
    verifier = make(deadline=SHORT)
    fetch.close()
    [leader] = in_threads(1, lambda: verdict(verifier, token))
    assert fetch.begun.wait(PATIENCE)
    timer.tick(-DAY)
    [joined] = in_threads(1, lambda: verdict(verifier, token))
    assert leader.result(PATIENCE) is Reason.KEYS_UNAVAILABLE
    assert joined.result(PATIENCE) is Reason.KEYS_UNAVAILABLE


def test_wall_clock_that_jumps_is_no_reason_to_fetch(
    pool: FakeUserPool, verifier: CognitoVerifier, clock: FakeClock, fetch: GatedFetch, at_once: AtOnce
) -> None:
    """It decides on the times in a token alone, and a clock that is set right again makes it good again."""
    tokens = [pool.access_token() for _ in range(20)]
    assert at_once(verifier, tokens) == ["jane"] * 20
    clock.tick(DAY)
    assert at_once(verifier, tokens) == [Reason.EXPIRED] * 20
    clock.tick(-2 * DAY)
    assert at_once(verifier, tokens) == [Reason.ISSUED_IN_FUTURE] * 20
    clock.tick(DAY)
    assert at_once(verifier, tokens) == ["jane"] * 20
    assert fetch.calls == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """
    Hold a user pool whose access key has the same key ID as everybody's, and a verifier of it.

    Attributes:
        pool: the user pool.
        verifier: accepts its tokens.
        token: one of them.
    """

    pool: FakeUserPool
    verifier: CognitoVerifier
    token: str

    @classmethod
    def of(cls, name: str) -> Tenant:
        """Make one."""
        pool = FakeUserPool(f"eu-west-1_{name}", client_id="2client0of0everybody0example")
        fetch = GatedFetch(pool)
        fetch.gate.set()
        fetch.document = json.dumps({"keys": [{**pool.access_key.jwk(), "kid": "shared"}]}).encode()
        token = pool.access_token(username=name, header={"kid": "shared"})
        return cls(pool=pool, verifier=pool.verifier(fetch=fetch), token=token)

    def forged_by(self, other: Tenant) -> str:
        """Return a token that claims to be of this pool, and is signed with the key of the other one."""
        return self.pool.access_token(key=other.pool.access_key, header={"kid": "shared"})


def test_pools_that_alternate_in_one_process_never_mix(at_once: AtOnce) -> None:
    """One key ID in two pools is two keys, whichever of them was asked for last."""
    one, two = Tenant.of("One"), Tenant.of("Two")
    for _ in range(5):
        for mine, other in ((one, two), (two, one)):
            tokens = [mine.token, other.token, mine.forged_by(other)] * 8
            expected = [mine.pool.user_pool_id.partition("_")[2], Reason.WRONG_ISSUER, Reason.INVALID_SIGNATURE] * 8
            assert at_once(mine.verifier, tokens) == expected


def any_of(*tenants: Tenant) -> Verifier:
    """Return a verifier that knows all of them."""
    return CognitoVerifier.any_of(*(tenant.verifier for tenant in tenants))


def by_issuer(*tenants: Tenant) -> Verifier:
    """Return a verifier that knows one of them at a time."""
    return CognitoVerifier.by_issuer({one.pool.issuer: one.verifier for one in tenants}.get, max_verifiers=1)


@pytest.mark.parametrize("join", [any_of, by_issuer])
def test_pools_behind_one_face_never_mix(at_once: AtOnce, join: Callable[..., Verifier]) -> None:
    """The issuer says whose key is meant, though both have one of that key ID."""
    one, two = Tenant.of("One"), Tenant.of("Two")
    tokens = [one.token, two.token, one.forged_by(two), two.forged_by(one)]
    expected = ["One", "Two", Reason.INVALID_SIGNATURE, Reason.INVALID_SIGNATURE]
    verifier = join(one, two)
    for _ in range(5):
        assert at_once(verifier, tokens * 8) == expected * 8


class World:
    """
    Take a user pool, its endpoint and the time from one phase to the next, with the verdicts of each phase.

    Whoever asks in between may get the verdict of either.

    Attributes:
        verdicts: for each phase, what a verifier without a cache says of each token.
        now: the phase that has begun for sure.
        soon: the last phase that may have begun.
    """

    def __init__(self, pool: FakeUserPool, clock: FakeClock, timer: FakeClock, fetch: GatedFetch) -> None:
        self.verdicts: list[Mapping[str, Outcome]] = []
        self.now = self.soon = -1
        self._pool = pool
        self._clock = clock
        self._timer = timer
        self._fetch = fetch
        self._tokens: list[str] = []
        self._judged = Condition()
        self._count = 0

    def mint(self, **options: Any) -> None:
        """Add a token, which is good in the next phase."""
        self._tokens.append(self._pool.access_token(username=f"user{len(self._tokens)}", **options))

    def next(self, verifier: CognitoVerifier, document: Mapping[str, Any], seconds: float = 0.0) -> None:
        """
        Publish these keys or let time go by, and let the verifier refresh.

        Not both: new keys before the time has gone by would be a phase of its own.
        """
        now = self._clock() + seconds
        plain = self._pool.verifier(jwks=document, clock=lambda: now, token_cache_size=0)
        self.verdicts.append({token: outcome(verdict(plain, token)) for token in self._tokens})
        self.soon += 1
        self._fetch.document = json.dumps(document).encode()
        # A refresh that joined one of them could bring the keys of before.
        fetches_ended()
        self._clock.tick(seconds)
        self._timer.tick(QUICK.fresh_for)
        verifier.prefetch()
        self.now += 1

    def dwell(self) -> None:
        """Stay in this phase for so many answers that what was cached before is asked for again."""
        with self._judged:
            enough = self._count + 200
            assert self._judged.wait_for(lambda: self._count >= enough, PATIENCE)

    def judge(self, verifier: CognitoVerifier, random: Random) -> None:
        """Present any token, and check what becomes of it."""
        first = self.now
        token = random.choice([*self.verdicts[first]])
        given = outcome(verdict(verifier, token))
        assert given in {verdicts[token] for verdicts in self.verdicts[first : self.soon + 1]}
        with self._judged:
            self._count += 1
            self._judged.notify()


def test_crowded_cache_answers_as_none_would(
    pool: FakeUserPool, clock: FakeClock, timer: FakeClock, fetch: GatedFetch
) -> None:
    """Threads fight over a few entries while keys come, go and change and tokens expire: no answer is of yesterday."""
    verifier = pool.verifier(fetch=fetch, timer=timer, schedule=QUICK, token_cache_size=3)
    world = World(pool, clock, timer, fetch)
    for _ in range(4):
        world.mint()
    world.next(verifier, pool.jwks)
    done, seeds = Event(), count()

    def work() -> None:
        random = Random(next(seeds))
        while not done.is_set():
            world.judge(verifier, random)

    def go_on(document: Mapping[str, Any], seconds: float = 0.0) -> None:
        world.dwell()
        world.next(verifier, document, seconds)

    futures = in_threads(4, work)
    try:
        for _ in range(2):
            before, kid = pool.jwks, pool.access_key.kid
            pool.rotate()
            world.mint()
            world.mint(expires_in=60)
            go_on(pool.jwks)
            go_on({"keys": [{**pool.access_key.jwk(), "kid": kid}]})
            go_on(before)
            go_on(pool.jwks)
            go_on(pool.jwks, seconds=100)
            pool.withdraw()
            go_on(pool.jwks)
        world.dwell()
    finally:
        done.set()
    for future in futures:
        future.result(PATIENCE)
    assert {verdict for verdicts in world.verdicts for verdict in verdicts.values()} >= {
        Reason.UNKNOWN_KEY,
        Reason.INVALID_SIGNATURE,
        Reason.EXPIRED,
    }


def test_memory_is_bounded_by_the_caches_size_however_many_tokens_come(pool: FakeUserPool) -> None:
    """A hundred thousand tokens on eight threads: what falls out of the cache is gone, and never is there more."""
    size, tokens = 1_000, 100_000
    memo: Memo[Verified] = Memo(size, max_bytes=100)
    [key] = KeySet.from_document({"keys": [pool.access_key.jwk()]}).by_kid.values()
    claims: dict[str, Any] = {
        "iss": pool.issuer,
        "sub": "jane",
        "client_id": "a",
        "token_use": "access",
        "iat": 0,
        "exp": 1,
    }
    principal = principal_of(claims, pool.user_pool_id)

    def fill(thread: int) -> bool:
        for number in range(tokens // THREADS):
            digest, seen = memo.look(f"{thread}.{number:090}")
            assert digest is not None
            assert seen is None
            memo.put(digest, Verified(principal, claims, key, (0.0, 1.0)))
            if len(memo) > size:
                return False
        return True

    with ThreadPoolExecutor(THREADS) as threads:
        assert all(threads.map(fill, range(THREADS)))
    assert len(memo) == size
    gc.collect()
    assert sum(type(one) is Verified and one.claims is claims for one in gc.get_objects()) == size
