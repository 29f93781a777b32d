"""StaticKeys and RemoteKeys: which key is served when, how often the endpoint is asked, who waits and for how long."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event, Semaphore
from typing import Any, TypeAlias

import pytest

from cognito_guard import (
    CognitoGuardError,
    FetchError,
    Reason,
    RefreshSchedule,
    UnavailableError,
    UnknownKeyError,
    UserPool,
)
from cognito_guard.keys.keyset import KeySet
from cognito_guard.keys.remote import RemoteKeys
from cognito_guard.keys.source import StaticKeys
from cognito_guard.testing import FakeClock, FakeUserPool

PATIENCE = 30.0  # seconds that nothing here takes unless it hangs
SHORT = 0.1  # a real deadline, for what hangs
SCHEDULE = RefreshSchedule(fresh_for=100.0, stale_for=1000.0, cooldown=10.0, burst=2, backoff=1.0, deadline=PATIENCE)
UPDATED, ORIGINAL, REPLICA = "https://updated.test/pool", "https://original.test/pool", "https://replica.test/pool"
DOWN = FetchError("the key endpoint answered 503")
REFUSED = FetchError("the key endpoint answered 403", refused=True)

Call: TypeAlias = Callable[..., Any]
Answer: TypeAlias = bytes | BaseException
Make: TypeAlias = Callable[..., RemoteKeys]
Logged: TypeAlias = Callable[..., list[tuple[str, str]]]


class Endpoint:
    """
    Be the `fetch` of a source, and the endpoint behind it.

    Attributes:
        answers: what each URI has to say at present; "" stands for all others.
        gate: as long as it is closed, fetches that begin hang.
        begun: released once per fetch that began.
        calls: the URIs that were asked, in order, with the seconds that each might take.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.begun = Semaphore(0)
        self.calls: list[tuple[str, float]] = []
        self._gates: list[Event] = []
        self.open()

    def __call__(self, uri: str, timeout: float, /) -> bytes:
        answer, gate = self.answers.get(uri, self.answers[""]), self.gate
        self.calls.append((uri, timeout))
        self.begun.release()
        assert gate.wait(PATIENCE)
        if isinstance(answer, BaseException):
            raise answer
        body: bytes = answer
        return body

    @property
    def uris(self) -> list[str]:
        return [uri for uri, _ in self.calls]

    @property
    def gate(self) -> Event:
        return self._gates[-1]

    def says(self, answer: Any, uri: str = "") -> None:
        """Answer so from now on, from one URI or from all that have no answer of their own."""
        self.answers[uri] = answer

    def open(self) -> None:
        """Let all fetches go on that begin from now on; those that hang, hang."""
        self._gates.append(Event())
        self.gate.set()

    def close(self) -> Event:
        """Let all fetches hang that begin from now on, until the event that is returned is set."""
        self._gates.append(Event())
        return self.gate

    def release(self) -> None:
        """Let everything go on that hangs."""
        for gate in self._gates:
            gate.set()
        fetches_ended()


def fetches_ended() -> None:
    """Wait for every fetch in flight."""
    for thread in threading.enumerate():
        if thread.name == "cognito-guard-keys":
            thread.join(PATIENCE)
            assert not thread.is_alive()


@pytest.fixture
def endpoint(pool: FakeUserPool) -> Iterator[Endpoint]:
    """Return an endpoint that publishes the pool's keys."""
    endpoint = Endpoint()
    endpoint.says(published(pool))
    yield endpoint
    endpoint.release()


@pytest.fixture
def make(endpoint: Endpoint, clock: FakeClock) -> Make:
    """Return a function that makes a source of some issuers' keys, with changes to the schedule."""

    def make_source(*issuers: str, timer: Callable[[], float] = clock, **schedule: Any) -> RemoteKeys:
        uris = {issuer: f"{issuer}/jwks.json" for issuer in issuers or (ORIGINAL,)}
        return RemoteKeys(uris, schedule=replace(SCHEDULE, **schedule), fetch=endpoint, timer=timer)

    return make_source


@pytest.fixture
def source(make: Make) -> RemoteKeys:
    """Return a source of one issuer's keys."""
    return make()


@pytest.fixture
def kid(pool: FakeUserPool) -> str:
    """Return the key ID of the pool's access tokens."""
    return pool.access_key.kid


def be_patient(source: RemoteKeys) -> None:
    """Give fetches from now on the time that a busy machine takes: only one that hangs is to end soon."""
    source._schedule = SCHEDULE  # pyright: ignore[reportPrivateUsage]


def published(pool: FakeUserPool) -> bytes:
    """Return the pool's key set as published now."""
    return pool.fetch("", 0.0)


def unavailable(call: Call, source: RemoteKeys, kid: str, issuer: str = ORIGINAL) -> float:
    """Ask for a key where none can be told, and return after how many seconds to try again."""
    with pytest.raises(UnavailableError) as refusal:
        call(source, "get", issuer, kid)
    assert refusal.value.reason is Reason.KEYS_UNAVAILABLE
    return refusal.value.retry_after


def unknown(call: Call, source: RemoteKeys | StaticKeys, kid: str) -> None:
    """Ask for a key that the pool does not publish."""
    with pytest.raises(UnknownKeyError) as refusal:
        call(source, "get", ORIGINAL, kid)
    assert refusal.value.reason is Reason.UNKNOWN_KEY


def test_static_keys_are_served_for_ever(call: Call, pool: FakeUserPool, kid: str) -> None:
    """Given keys are there from the start, and no other ever is."""
    source = StaticKeys(KeySet.from_document(pool.jwks))
    call(source, "prefetch")
    assert call(source, "get", ORIGINAL, kid).kid == kid
    unknown(call, source, "nobody's")
    assert repr(source) == "<StaticKeys <KeySet 2 keys, 0 skipped>>"


def test_first_key_is_fetched_and_the_next_ones_are_held(
    call: Call, source: RemoteKeys, endpoint: Endpoint, pool: FakeUserPool
) -> None:
    """One fetch within the deadline serves all keys of the pool."""
    assert endpoint.calls == []
    for key in (pool.access_key, pool.id_key, pool.access_key):
        assert call(source, "get", ORIGINAL, key.kid).kid == key.kid
    assert endpoint.calls == [(f"{ORIGINAL}/jwks.json", PATIENCE)]


def test_hit_takes_no_lock(call: Call, source: RemoteKeys, kid: str) -> None:
    """Whoever holds the lock, a key that is held is served."""
    source.prefetch()
    with ThreadPoolExecutor(1) as thread, source._lock:  # pyright: ignore[reportPrivateUsage]
        assert thread.submit(call, source, "get", ORIGINAL, kid).result(PATIENCE).kid == kid


def test_known_key_never_waits_behind_an_unknown_one(
    call: Call, source: RemoteKeys, endpoint: Endpoint, kid: str
) -> None:
    """An invented key ID may make the endpoint hang; the good tokens' keys are there."""
    source.prefetch()
    gate = endpoint.close()
    with ThreadPoolExecutor(1) as thread:
        invented = thread.submit(unknown, call, source, "invented")
        assert endpoint.begun.acquire(timeout=PATIENCE)
        assert endpoint.begun.acquire(timeout=PATIENCE)
        assert call(source, "get", ORIGINAL, kid).kid == kid
        assert not invented.done()
        gate.set()
        invented.result(PATIENCE)


def test_stale_key_is_served_while_one_refresh_runs(
    call: Call, source: RemoteKeys, endpoint: Endpoint, clock: FakeClock, pool: FakeUserPool, kid: str
) -> None:
    """Nobody waits for a refresh, and however many ask, there is one."""
    source.prefetch()
    pool.rotate()
    endpoint.says(published(pool))
    endpoint.close()
    clock.tick(SCHEDULE.fresh_for)
    for _ in range(20):
        assert call(source, "get", ORIGINAL, kid).kid == kid
    endpoint.release()
    assert call(source, "get", ORIGINAL, pool.access_key.kid).kid == pool.access_key.kid
    assert len(endpoint.calls) == 2


def test_fresh_key_is_served_without_a_refresh(
    call: Call, source: RemoteKeys, endpoint: Endpoint, clock: FakeClock, kid: str
) -> None:
    """Until the last moment of `fresh_for` nothing is asked."""
    source.prefetch()
    clock.tick(SCHEDULE.fresh_for - 0.001)
    call(source, "get", ORIGINAL, kid)
    fetches_ended()
    assert len(endpoint.calls) == 1


def test_outage_goes_unnoticed_while_keys_are_stale(
    call: Call, source: RemoteKeys, endpoint: Endpoint, clock: FakeClock, kid: str
) -> None:
    """Keys are served to the last moment of `stale_for`, and the endpoint is asked once per backoff."""
    source.prefetch()
    endpoint.says(DOWN)
    clock.tick(SCHEDULE.fresh_for)
    for waits in range(60):
        for _ in range(5):
            assert call(source, "get", ORIGINAL, kid).kid == kid
            fetches_ended()
        assert len(endpoint.calls) == 2 + sum(waits >= due for due in (1, 3, 7, 15, 31))
        clock.tick(1.0)
    clock.tick(SCHEDULE.stale_for - 60.001)
    assert call(source, "get", ORIGINAL, kid).kid == kid


def test_outage_beyond_stale_is_unavailable_until_it_ends(
    call: Call, source: RemoteKeys, endpoint: Endpoint, clock: FakeClock, pool: FakeUserPool, kid: str
) -> None:
    """Nobody is told that a token is bad while it can't be told, and one answer ends it all."""
    source.prefetch()
    endpoint.says(DOWN)
    clock.tick(SCHEDULE.fresh_for + SCHEDULE.stale_for)
    assert unavailable(call, source, kid) == 1.0
    clock.tick(0.25)
    assert [unavailable(call, source, kid) for _ in range(20)] == [0.75] * 20
    assert unavailable(call, source, "invented") == 0.75
    assert len(endpoint.calls) == 2
    clock.tick(0.75)
    assert unavailable(call, source, kid) == 2.0
    endpoint.says(published(pool))
    clock.tick(2.0)
    assert call(source, "get", ORIGINAL, kid).kid == kid
    assert len(endpoint.calls) == 4


def test_cold_start_during_an_outage_asks_once_per_backoff(
    call: Call, source: RemoteKeys, endpoint: Endpoint, clock: FakeClock, pool: FakeUserPool, kid: str
) -> None:
    """With nothing held as well, requests don't become fetches."""
    endpoint.says(DOWN)
    assert [unavailable(call, source, kid) for _ in range(20)] == [1.0] * 20
    assert len(endpoint.calls) == 1
    endpoint.says(published(pool))
    clock.tick(1.0)
    assert call(source, "get", ORIGINAL, kid).kid == kid


def test_withdrawn_key_dies_with_the_first_refresh(
    call: Call, source: RemoteKeys, endpoint: Endpoint, clock: FakeClock, pool: FakeUserPool, kid: str
) -> None:
    """After `fresh_for` and one refresh a key that is no longer published is unknown, and the others are not."""
    source.prefetch()
    pool.withdraw(kid)
    endpoint.says(published(pool))
    clock.tick(SCHEDULE.fresh_for)
    assert call(source, "get", ORIGINAL, kid).kid == kid
    fetches_ended()
    unknown(call, source, kid)
    assert call(source, "get", ORIGINAL, pool.id_key.kid).kid == pool.id_key.kid


def test_same_key_id_with_new_material_replaces_the_old(
    call: Call, source: RemoteKeys, endpoint: Endpoint, clock: FakeClock, kid: str
) -> None:
    """A key is what is published under its ID now."""
    old = call(source, "get", ORIGINAL, kid)
    new = json.dumps({"keys": [FakeUserPool().access_key.jwk() | {"kid": kid}]}).encode()
    endpoint.says(new)
    clock.tick(SCHEDULE.fresh_for)
    source.prefetch()
    assert call(source, "get", ORIGINAL, kid) == KeySet.from_json(new).by_kid[kid] != old


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b'{"keys": []}', id="no keys"),
        pytest.param(b'{"keys": [{"kty": "RSA", "kid": "marked"}]}', id="no usable key"),
        pytest.param(b"<html>marked</html>", id="a page of HTML"),
        pytest.param(b'{"message": "marked"}', id="an error body"),
        pytest.param(b"[" * 100_000, id="nesting without end"),
        pytest.param("{}", id="text"),
        pytest.param(None, id="None"),
        pytest.param({"keys": []}, id="a parsed document"),
        pytest.param(DOWN, id="a failed fetch"),
        pytest.param(REFUSED, id="a refusal"),
        pytest.param(KeyError("marked"), id="a bug in somebody's fetch"),
        pytest.param(MemoryError("marked"), id="no memory"),
        pytest.param(RecursionError("marked"), id="no stack"),
        pytest.param(TimeoutError("marked"), id="a time-out"),
        pytest.param(StopIteration("marked"), id="an end of iteration"),
    ],
)
def test_bad_answer_is_a_failure_and_drops_nothing(
    call: Call,
    source: RemoteKeys,
    endpoint: Endpoint,
    clock: FakeClock,
    pool: FakeUserPool,
    kid: str,
    caplog: pytest.LogCaptureFixture,
    answer: object,
) -> None:
    """Whatever a fetch returns or raises: held keys stay, a backoff begins, nothing of it is logged, it can end."""
    source.prefetch()
    endpoint.says(answer)
    assert unavailable(call, source, "nobody's") == 1.0
    assert call(source, "get", ORIGINAL, kid).kid == kid
    assert unavailable(call, source, "nobody's") == 1.0
    assert len(endpoint.calls) == 2
    assert "marked" not in "".join(f"{record.__dict__}" for record in caplog.records)
    clock.tick(1.0)
    pool.rotate()
    endpoint.says(published(pool))
    assert call(source, "get", ORIGINAL, pool.access_key.kid).kid == pool.access_key.kid


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_exit_out_of_a_fetch_is_a_failure(
    call: Call,
    make: Make,
    endpoint: Endpoint,
    clock: FakeClock,
    pool: FakeUserPool,
    kid: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Even what ends the fetch's thread leaves nobody waiting, is logged, and leaves the next fetch its turn."""
    caplog.set_level(logging.WARNING, "cognito_guard.keys")
    source = make(backoff=0.25)
    endpoint.says(SystemExit("marked"))
    assert unavailable(call, source, kid) == 0.25
    fetches_ended()
    assert [vars(record)["problem"] for record in caplog.records] == ["the fetch did not end"]
    endpoint.says(published(pool))
    clock.tick(0.25)
    assert call(source, "get", ORIGINAL, kid).kid == kid


@pytest.mark.parametrize(
    "asked, told",
    [
        pytest.param(20.0, 20.0, id="within the cap"),
        pytest.param(3600.0, 30.0, id="beyond the cap"),
        pytest.param(0.25, 1.0, id="less than the backoff"),
    ],
)
def test_wait_that_the_endpoint_asks_for_is_kept(
    call: Call, source: RemoteKeys, endpoint: Endpoint, clock: FakeClock, kid: str, asked: float, told: float
) -> None:
    """An endpoint that is overloaded is left alone for as long as it says, within bounds, and clients are told."""
    endpoint.says(FetchError("the key endpoint answered 429", retry_after=asked))
    assert unavailable(call, source, kid) == told
    clock.tick(told - 0.1)
    unavailable(call, source, kid)
    assert len(endpoint.calls) == 1
    clock.tick(0.1)
    unavailable(call, source, kid)
    assert len(endpoint.calls) == 2


def test_flood_of_unknown_key_ids_costs_the_bucket(
    call: Call, source: RemoteKeys, endpoint: Endpoint, clock: FakeClock, kid: str
) -> None:
    """A thousand invented key IDs are a few fetches, and then one per cooldown."""
    source.prefetch()
    for invented in range(1000):
        unknown(call, source, f"invented {invented}")
    assert len(endpoint.calls) == 1 + SCHEDULE.burst
    for cooldowns in range(1, 4):
        clock.tick(SCHEDULE.cooldown)
        for invented in range(20):
            unknown(call, source, f"invented {invented}")
        assert len(endpoint.calls) == 1 + SCHEDULE.burst + cooldowns
    assert call(source, "get", ORIGINAL, kid).kid == kid


def test_rotation_is_seen_by_the_first_token_after_quiet(
    call: Call, source: RemoteKeys, endpoint: Endpoint, pool: FakeUserPool, kid: str
) -> None:
    """A token signed with a key that is not held is let through by the fetch that it causes."""
    source.prefetch()
    pool.rotate()
    endpoint.says(published(pool))
    assert call(source, "get", ORIGINAL, pool.access_key.kid).kid == pool.access_key.kid
    assert call(source, "get", ORIGINAL, pool.id_key.kid).kid == pool.id_key.kid
    assert call(source, "get", ORIGINAL, kid).kid == kid
    assert len(endpoint.calls) == 2


def test_rotation_in_the_middle_of_a_flood_is_seen_within_a_cooldown(
    call: Call, source: RemoteKeys, endpoint: Endpoint, clock: FakeClock, pool: FakeUserPool
) -> None:
    """Who floods delays a rotation by the cooldown, and cannot put it off any further."""
    source.prefetch()
    for invented in range(50):
        unknown(call, source, f"invented {invented}")
    pool.rotate()
    endpoint.says(published(pool))
    unknown(call, source, pool.access_key.kid)
    clock.tick(SCHEDULE.cooldown)
    unknown(call, source, "invented")
    assert call(source, "get", ORIGINAL, pool.access_key.kid).kid == pool.access_key.kid


def test_attempts_of_a_cold_start_cost_no_tries(
    call: Call, source: RemoteKeys, endpoint: Endpoint, clock: FakeClock, pool: FakeUserPool, kid: str
) -> None:
    """They have a backoff of their own: after an outage a rotation is seen at once all the same."""
    endpoint.says(DOWN)
    for wait in (1.0, 2.0, 4.0):
        assert unavailable(call, source, kid) == wait
        clock.tick(wait)
    for _ in range(SCHEDULE.burst):
        endpoint.says(published(pool))
        assert call(source, "get", ORIGINAL, pool.access_key.kid).kid == pool.access_key.kid
        pool.rotate()
    endpoint.says(published(pool))
    assert call(source, "get", ORIGINAL, pool.access_key.kid).kid == pool.access_key.kid


@pytest.mark.parametrize(
    "issuer, asked",
    [
        pytest.param(ORIGINAL, [ORIGINAL], id="the first issuer"),
        pytest.param(UPDATED, [UPDATED], id="the second issuer"),
        pytest.param(REPLICA, [REPLICA], id="a replica"),
    ],
)
def test_endpoint_of_the_token_s_issuer_is_asked(
    call: Call, make: Make, endpoint: Endpoint, kid: str, issuer: str, asked: list[str]
) -> None:
    """The other places of the pool are left alone where that one answers, and its answer serves all issuers."""
    source = make(ORIGINAL, UPDATED, REPLICA)
    for any_issuer in (issuer, ORIGINAL, UPDATED, REPLICA):
        assert call(source, "get", any_issuer, kid).kid == kid
    assert endpoint.uris == [f"{one}/jwks.json" for one in asked]


@pytest.mark.parametrize("answer", [pytest.param(DOWN, id="down"), pytest.param(b"garbage", id="garbage")])
def test_other_endpoints_stand_in_where_the_first_one_fails(
    call: Call, make: Make, endpoint: Endpoint, kid: str, answer: Answer
) -> None:
    """All issuers of a pool publish the same keys, so that any answer will do."""
    source = make(ORIGINAL, UPDATED, REPLICA)
    endpoint.says(answer, f"{ORIGINAL}/jwks.json")
    endpoint.says(answer, f"{REPLICA}/jwks.json")
    assert call(source, "get", REPLICA, kid).kid == kid
    assert endpoint.uris == [f"{one}/jwks.json" for one in (REPLICA, ORIGINAL, UPDATED)]


def test_endpoint_that_has_nothing_for_the_pool_is_left_alone_for_a_while(
    call: Call, make: Make, endpoint: Endpoint, clock: FakeClock, kid: str
) -> None:
    """A pool that never switched its issuer answers 403 under the other form: no outage, and no news for a while."""
    source = make(ORIGINAL, UPDATED)
    endpoint.says(REFUSED, f"{UPDATED}/jwks.json")
    assert call(source, "get", UPDATED, kid).kid == kid
    with pytest.raises(UnknownKeyError):
        call(source, "get", UPDATED, "invented")
    clock.tick(SCHEDULE.fresh_for - 0.1)
    with pytest.raises(UnknownKeyError):
        call(source, "get", UPDATED, "invented")
    clock.tick(0.1)
    with pytest.raises(UnknownKeyError):
        call(source, "get", UPDATED, "invented")
    original, updated = f"{ORIGINAL}/jwks.json", f"{UPDATED}/jwks.json"
    assert endpoint.uris == [updated, original, original, original, updated, original]


def test_endpoints_that_all_refuse_are_all_asked_again(
    call: Call, make: Make, endpoint: Endpoint, clock: FakeClock, pool: FakeUserPool, kid: str
) -> None:
    """A refusal everywhere is an outage like any other, and it can end."""
    source = make(ORIGINAL, UPDATED)
    endpoint.says(REFUSED)
    assert unavailable(call, source, kid) == 1.0
    clock.tick(1.0)
    assert unavailable(call, source, kid) == 2.0
    assert endpoint.uris == [f"{ORIGINAL}/jwks.json", f"{UPDATED}/jwks.json"] * 2
    endpoint.says(published(pool))
    clock.tick(2.0)
    assert call(source, "get", ORIGINAL, kid).kid == kid


def test_wait_that_one_endpoint_asks_for_is_not_lost_behind_the_refusal_of_another(
    call: Call, make: Make, endpoint: Endpoint, kid: str
) -> None:
    """The endpoint that is overloaded is not asked earlier because the other one has nothing for the pool."""
    source = make(ORIGINAL, UPDATED)
    endpoint.says(FetchError("the key endpoint answered 429", retry_after=20.0), f"{ORIGINAL}/jwks.json")
    endpoint.says(REFUSED, f"{UPDATED}/jwks.json")
    assert unavailable(call, source, kid) == 20.0


def test_endpoint_that_hangs_leaves_time_for_the_others(
    call: Call, pool: FakeUserPool, clock: FakeClock, kid: str
) -> None:
    """Each has an equal share of what is left, so that the last one has all of it."""
    shares: list[float] = []

    def fetch(uri: str, timeout: float, /) -> bytes:
        shares.append(timeout)
        if uri == "last":
            return published(pool)
        clock.tick(timeout if uri == "hangs" else 0.0)
        raise DOWN

    uris = {ORIGINAL: "hangs", UPDATED: "fails at once", REPLICA: "last"}
    source = RemoteKeys(uris, schedule=replace(SCHEDULE, deadline=3.0), fetch=fetch, timer=clock)
    assert call(source, "get", ORIGINAL, kid).kid == kid
    assert shares == [1.0, 1.0, 2.0]


def test_fetch_that_hangs_is_abandoned_at_the_deadline(
    call: Call, make: Make, endpoint: Endpoint, clock: FakeClock, kid: str
) -> None:
    """Nobody waits longer than the deadline; the hang counts as one failure, and its late answer for nothing."""
    source = make(deadline=SHORT)
    endpoint.close()
    assert unavailable(call, source, kid) == 1.0
    endpoint.release()
    endpoint.open()
    assert unavailable(call, source, kid) == 1.0
    assert len(endpoint.calls) == 1
    be_patient(source)
    clock.tick(1.0)
    assert call(source, "get", ORIGINAL, kid).kid == kid
    assert len(endpoint.calls) == 2


def test_late_answer_never_overwrites_a_later_one(
    call: Call, make: Make, endpoint: Endpoint, clock: FakeClock, pool: FakeUserPool, kid: str
) -> None:
    """A key that was withdrawn while an old answer hung somewhere does not come back with it."""
    source = make(deadline=SHORT)
    endpoint.close()
    unavailable(call, source, kid)
    endpoint.open()
    pool.rotate(publish_old=False)
    endpoint.says(published(pool))
    be_patient(source)
    clock.tick(1.0)
    assert call(source, "get", ORIGINAL, pool.access_key.kid).kid == pool.access_key.kid
    endpoint.release()
    assert call(source, "get", ORIGINAL, pool.access_key.kid).kid == pool.access_key.kid
    unknown(call, source, kid)


def test_refresh_that_hangs_is_given_up_by_whoever_comes_after_its_deadline(
    call: Call, source: RemoteKeys, endpoint: Endpoint, clock: FakeClock, kid: str
) -> None:
    """A background refresh has nobody who waits for it, and must not block the next one for ever."""
    source.prefetch()
    endpoint.close()
    clock.tick(SCHEDULE.fresh_for)
    call(source, "get", ORIGINAL, kid)
    clock.tick(SCHEDULE.deadline - 0.1)
    call(source, "get", ORIGINAL, kid)
    clock.tick(0.1)
    call(source, "get", ORIGINAL, kid)
    clock.tick(SCHEDULE.backoff - 0.1)
    call(source, "get", ORIGINAL, kid)
    for _ in ("the first", "the one that hangs"):
        assert endpoint.begun.acquire(timeout=PATIENCE)
    assert len(endpoint.calls) == 2
    clock.tick(0.1)
    call(source, "get", ORIGINAL, kid)
    endpoint.release()
    assert len(endpoint.calls) == 3


def test_who_joins_a_fetch_late_waits_for_what_is_left_of_its_time(
    call: Call, make: Make, endpoint: Endpoint, clock: FakeClock, kid: str
) -> None:
    """The deadline is the fetch's, and does not begin anew with each who joins it."""
    source = make(deadline=300.0)
    source.prefetch()
    endpoint.close()
    clock.tick(SCHEDULE.fresh_for)
    source.get(ORIGINAL, kid)
    clock.tick(300.0 - SHORT)
    with ThreadPoolExecutor(1) as thread:
        late = thread.submit(unavailable, call, source, "invented")
        try:
            assert late.result(PATIENCE) == 1.0
        finally:
            endpoint.release()


def test_fetch_in_flight_keeps_no_program_from_ending(
    source: RemoteKeys, endpoint: Endpoint, clock: FakeClock, kid: str
) -> None:
    """The interpreter does not wait for its thread."""
    source.prefetch()
    endpoint.close()
    clock.tick(SCHEDULE.fresh_for)
    source.get(ORIGINAL, kid)
    assert {thread.daemon for thread in threading.enumerate() if thread.name == "cognito-guard-keys"} == {True}


def test_decision_that_rests_on_a_past_state_is_taken_anew(
    call: Call, make: Make, endpoint: Endpoint, clock: FakeClock, kid: str
) -> None:
    """Who was overtaken between the look and the lock does not fetch what has just been fetched."""
    overtakers: list[Callable[[], None]] = []

    def timer() -> float:
        if overtakers:
            overtakers.pop()()
        return clock()

    source = make(timer=timer)
    overtakers.append(source.prefetch)
    assert call(source, "get", ORIGINAL, kid).kid == kid
    assert len(endpoint.calls) == 1


def test_waiters_of_one_fetch_get_errors_of_their_own(source: RemoteKeys, endpoint: Endpoint, kid: str) -> None:
    """One exception object raised in several threads would collect all their tracebacks."""
    endpoint.says(DOWN)
    gate = endpoint.close()
    with ThreadPoolExecutor(2) as threads:
        waiters = [threads.submit(source.get, ORIGINAL, kid) for _ in range(2)]
        assert endpoint.begun.acquire(timeout=PATIENCE)
        gate.set()
        errors = [waiter.exception(PATIENCE) for waiter in waiters]
    assert [type(error) for error in errors] == [UnavailableError] * 2
    assert errors[0] is not errors[1]


def test_forked_process_begins_a_fetch_of_its_own(call: Call, source: RemoteKeys, endpoint: Endpoint, kid: str) -> None:
    """The one that was in flight is the parent's, and ends where the child never sees it."""
    gate = endpoint.close()
    with ThreadPoolExecutor(1) as parent:
        before = parent.submit(source.get, ORIGINAL, kid)
        assert endpoint.begun.acquire(timeout=PATIENCE)
        source._reset_after_fork()  # pyright: ignore[reportPrivateUsage]
        endpoint.open()
        assert call(source, "get", ORIGINAL, kid).kid == kid
        gate.set()
        assert before.result(PATIENCE).kid == kid
    assert len(endpoint.calls) == 2


def test_timer_that_jumped_back_costs_one_fetch(
    call: Call, source: RemoteKeys, endpoint: Endpoint, clock: FakeClock, kid: str
) -> None:
    """Keys of a negative age are not young: they are fetched anew."""
    source.prefetch()
    clock.tick(-1000.0)
    assert call(source, "get", ORIGINAL, kid).kid == kid
    assert len(endpoint.calls) == 2


def test_prefetch_has_keys_at_hand(
    call: Call, source: RemoteKeys, endpoint: Endpoint, clock: FakeClock, kid: str
) -> None:
    """It fetches what is not held or not fresh, waits for it, and costs nothing otherwise."""
    for expected in (1, 1):
        call(source, "prefetch")
        assert len(endpoint.calls) == expected
    clock.tick(SCHEDULE.fresh_for)
    call(source, "prefetch")
    assert len(endpoint.calls) == 2
    call(source, "get", ORIGINAL, kid)
    assert len(endpoint.calls) == 2


def test_prefetch_costs_no_try_for_an_unknown_key(
    call: Call, make: Make, endpoint: Endpoint, clock: FakeClock, kid: str
) -> None:
    """However often it is called: the tries are for tokens."""
    source = make(burst=1, cooldown=1e6)
    call(source, "prefetch")
    clock.tick(SCHEDULE.fresh_for)
    call(source, "prefetch")
    unknown(call, source, "invented")
    assert len(endpoint.calls) == 3
    unknown(call, source, "invented")
    assert len(endpoint.calls) == 3


def test_fetch_that_follows_a_joined_one_asks_the_token_s_issuer_first(
    make: Make, endpoint: Endpoint, pool: FakeUserPool, kid: str
) -> None:
    """Not the one that the joined fetch was for."""
    source = make(ORIGINAL, UPDATED)
    gate = endpoint.close()

    async def rotate_during_a_fetch() -> None:
        first = asyncio.create_task(source.aget(ORIGINAL, kid))
        await asyncio.sleep(0)
        pool.rotate()
        new = pool.access_key.kid
        second = asyncio.create_task(source.aget(UPDATED, new))
        await asyncio.sleep(0)
        # The fetch has read the keys of before.
        assert await asyncio.to_thread(endpoint.begun.acquire, timeout=PATIENCE)
        endpoint.says(published(pool))
        endpoint.open()
        gate.set()
        assert (await first).kid == kid
        assert (await second).kid == new

    asyncio.run(rotate_during_a_fetch())
    assert endpoint.uris == [f"{ORIGINAL}/jwks.json", f"{UPDATED}/jwks.json"]


def test_prefetch_after_a_timer_that_jumped_back_fetches(
    call: Call, source: RemoteKeys, endpoint: Endpoint, clock: FakeClock
) -> None:
    """Keys of a negative age are no more fresh to it than to a token."""
    source.prefetch()
    clock.tick(-1000.0)
    call(source, "prefetch")
    assert len(endpoint.calls) == 2


def test_prefetch_without_an_answer_is_unavailable(
    call: Call, source: RemoteKeys, endpoint: Endpoint, clock: FakeClock, kid: str
) -> None:
    """A program may start all the same: a later token tries again, after the backoff."""
    endpoint.says(DOWN)
    for _ in range(2):
        with pytest.raises(UnavailableError) as refusal:
            call(source, "prefetch")
        assert refusal.value.retry_after == 1.0
    assert unavailable(call, source, kid) == 1.0
    assert len(endpoint.calls) == 1
    clock.tick(1.0)
    unavailable(call, source, kid)
    assert len(endpoint.calls) == 2


def test_prefetch_without_an_answer_is_content_with_stale_keys(
    call: Call, source: RemoteKeys, endpoint: Endpoint, clock: FakeClock
) -> None:
    """What tokens are verified with is at hand."""
    source.prefetch()
    endpoint.says(DOWN)
    clock.tick(SCHEDULE.fresh_for)
    call(source, "prefetch")
    assert len(endpoint.calls) == 2
    clock.tick(SCHEDULE.stale_for)
    with pytest.raises(UnavailableError):
        call(source, "prefetch")


def test_prefetch_joins_the_fetch_in_flight(call: Call, source: RemoteKeys, endpoint: Endpoint, kid: str) -> None:
    """It waits for the one that a token has caused."""
    gate = endpoint.close()
    with ThreadPoolExecutor(2) as threads:
        token = threads.submit(source.get, ORIGINAL, kid)
        assert endpoint.begun.acquire(timeout=PATIENCE)
        prefetch = threads.submit(call, source, "prefetch")
        gate.set()
        prefetch.result(PATIENCE)
        assert token.result(PATIENCE).kid == kid
    assert len(endpoint.calls) == 1


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> Callable[[], pytest.MonkeyPatch]:
    """Return a function that makes the system run out of threads, until what it returns is undone."""

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    def run_out() -> pytest.MonkeyPatch:
        monkeypatch.setattr(threading.Thread, "start", start)
        return monkeypatch

    return run_out


def test_fetch_that_cannot_start_is_a_failure(
    call: Call,
    source: RemoteKeys,
    clock: FakeClock,
    kid: str,
    no_threads: Callable[[], pytest.MonkeyPatch],
) -> None:
    """A system without threads has an outage, of which it recovers."""
    patch = no_threads()
    assert unavailable(call, source, kid) == 1.0
    with pytest.raises(UnavailableError):
        call(source, "prefetch")
    patch.undo()
    clock.tick(1.0)
    assert call(source, "get", ORIGINAL, kid).kid == kid


def test_fetch_that_cannot_start_is_tried_again_after_the_backoff(
    call: Call, make: Make, kid: str, no_threads: Callable[[], pytest.MonkeyPatch]
) -> None:
    """However short that is: nobody asked for a longer wait."""
    no_threads()
    assert unavailable(call, make(backoff=0.25), kid) == 0.25


def test_refresh_that_cannot_start_goes_unnoticed(
    call: Call,
    source: RemoteKeys,
    endpoint: Endpoint,
    clock: FakeClock,
    kid: str,
    no_threads: Callable[[], pytest.MonkeyPatch],
) -> None:
    """A stale key is served, and the refresh is tried again after the backoff."""
    source.prefetch()
    clock.tick(SCHEDULE.fresh_for)
    patch = no_threads()
    assert call(source, "get", ORIGINAL, kid).kid == kid
    patch.undo()
    clock.tick(1.0)
    assert call(source, "get", ORIGINAL, kid).kid == kid
    fetches_ended()
    assert len(endpoint.calls) == 2


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Logged:
    """Return a function that tells level and text of what was logged since it was last called."""
    caplog.set_level(logging.DEBUG, "cognito_guard")

    def drain(*, while_fetching: bool = False) -> list[tuple[str, str]]:
        if not while_fetching:
            fetches_ended()
        records = [record for record in caplog.records if record.name.startswith("cognito_guard")]
        caplog.clear()
        assert {record.name for record in records} <= {"cognito_guard.keys"}
        return [(record.levelname, str(record.msg)) for record in records]

    return drain


FAILED = [("WARNING", "fetching keys failed: %s")]
WORKS_AGAIN = [("INFO", "fetching keys works again")]


def test_outage_is_logged_when_it_begins_and_when_it_ends(
    call: Call,
    source: RemoteKeys,
    endpoint: Endpoint,
    clock: FakeClock,
    pool: FakeUserPool,
    kid: str,
    logged: Logged,
) -> None:
    """One line for each change of state, however many fetches fail in between."""
    for _ in range(2):
        endpoint.says(published(pool))
        clock.tick(SCHEDULE.fresh_for + SCHEDULE.stale_for)
        call(source, "prefetch")
        assert logged() == []
        endpoint.says(DOWN)
        clock.tick(SCHEDULE.fresh_for + SCHEDULE.stale_for)
        for _ in range(5):
            unavailable(call, source, kid)
            clock.tick(SCHEDULE.max_backoff)
        assert logged() == FAILED
        endpoint.says(published(pool))
        call(source, "prefetch")
        assert logged() == WORKS_AGAIN


def test_outage_is_logged_with_its_cause(
    call: Call, source: RemoteKeys, endpoint: Endpoint, clock: FakeClock, kid: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The cause is one of our own texts, or the class of a foreign error."""
    caplog.set_level(logging.INFO, "cognito_guard.keys")
    problems = (DOWN, KeyError("marked"), b"marked")
    for problem in problems:
        endpoint.says(problem)
        unavailable(call, source, kid)
        fetches_ended()
        endpoint.says(json.dumps({"keys": [FakeUserPool().access_key.jwk()]}).encode())
        clock.tick(SCHEDULE.fresh_for + SCHEDULE.stale_for)
        call(source, "prefetch")
        fetches_ended()
        clock.tick(SCHEDULE.fresh_for + SCHEDULE.stale_for)
    told = [vars(record).get("problem", vars(record).get("failures")) for record in caplog.records]
    assert [record.getMessage().partition(": ")[2] for record in caplog.records[::2]] == told[::2]
    assert told == [
        "the key endpoint answered 503",
        1,
        "the fetch raised KeyError",
        1,
        "the document is not one strict JSON object",
        1,
    ]


@pytest.mark.parametrize(
    "updated, original, told",
    [
        pytest.param(REFUSED, DOWN, "the key endpoint answered 503", id="a refusal, and then the news"),
        pytest.param(DOWN, REFUSED, "the key endpoint answered 503", id="the news, and then a refusal"),
        pytest.param(DOWN, b"", "the key endpoint answered 503", id="the first of two"),
        pytest.param(REFUSED, REFUSED, "the key endpoint answered 403", id="refusals alone"),
    ],
)
def test_outage_is_logged_with_the_cause_that_counts(
    call: Call,
    make: Make,
    endpoint: Endpoint,
    kid: str,
    caplog: pytest.LogCaptureFixture,
    updated: Answer,
    original: Answer,
    told: str,
) -> None:
    """An endpoint that has nothing for the pool is only then the news if all are."""
    caplog.set_level(logging.INFO, "cognito_guard.keys")
    endpoint.says(updated, f"{UPDATED}/jwks.json")
    endpoint.says(original, f"{ORIGINAL}/jwks.json")
    unavailable(call, make(UPDATED, ORIGINAL), kid, UPDATED)
    fetches_ended()
    assert [vars(record)["problem"] for record in caplog.records] == [told]


def test_fetch_that_hangs_is_logged_as_an_outage(
    call: Call,
    make: Make,
    endpoint: Endpoint,
    clock: FakeClock,
    kid: str,
    logged: Logged,
) -> None:
    """An outage is logged however it shows, and the late answer is no end of it."""
    source = make(deadline=SHORT)
    endpoint.close()
    unavailable(call, source, kid)
    assert logged(while_fetching=True) == FAILED
    endpoint.release()
    assert logged() == []
    endpoint.open()
    be_patient(source)
    clock.tick(1.0)
    call(source, "get", ORIGINAL, kid)
    assert logged() == WORKS_AGAIN


def test_late_failure_of_an_abandoned_fetch_is_no_news(
    call: Call,
    make: Make,
    endpoint: Endpoint,
    clock: FakeClock,
    pool: FakeUserPool,
    kid: str,
    logged: Logged,
) -> None:
    """Nothing has failed where a later fetch has succeeded since."""
    source = make(deadline=SHORT)
    endpoint.says(DOWN)
    endpoint.close()
    unavailable(call, source, kid)
    endpoint.open()
    endpoint.says(published(pool))
    be_patient(source)
    clock.tick(1.0)
    call(source, "get", ORIGINAL, kid)
    endpoint.release()
    assert logged() == FAILED + WORKS_AGAIN


def test_fetch_that_cannot_start_is_logged_as_an_outage(
    call: Call,
    source: RemoteKeys,
    kid: str,
    logged: Logged,
    no_threads: Callable[[], pytest.MonkeyPatch],
) -> None:
    """Nobody asked the endpoint, and the keys are out of reach all the same."""
    patch = no_threads()
    unavailable(call, source, kid)
    patch.undo()
    assert logged() == FAILED


def test_log_handler_that_takes_its_time_keeps_nobody_waiting(
    source: RemoteKeys, endpoint: Endpoint, pool: FakeUserPool, kid: str
) -> None:
    """Whoever waits for keys has them once they are there, and not once a log is written."""
    gate, reached = Event(), Event()

    class Slow(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            reached.set()
            gate.wait(PATIENCE)

    endpoint.says(DOWN)
    handler, logger = Slow(), logging.getLogger("cognito_guard.keys")
    logger.addHandler(handler)
    try:
        with ThreadPoolExecutor(1) as thread:
            waiter = thread.submit(source.get, ORIGINAL, kid)
            assert reached.wait(PATIENCE)
            try:
                assert isinstance(waiter.exception(PATIENCE / 5), UnavailableError)
            finally:
                gate.set()
    finally:
        logger.removeHandler(handler)


def test_repr_tells_the_state_and_no_secret(source: RemoteKeys, endpoint: Endpoint, clock: FakeClock) -> None:
    """Fit for a log: how many keys, how old, how many failures."""
    assert repr(source) == "<RemoteKeys none held>"
    source.prefetch()
    endpoint.says(DOWN)
    clock.tick(SCHEDULE.fresh_for)
    source.prefetch()
    assert repr(source) == "<RemoteKeys <KeySet 2 keys, 0 skipped>, 100s old, 1 failures>"


def test_issuers_of_a_user_pool_share_one_key_namespace(call: Call, make: Make, endpoint: Endpoint, kid: str) -> None:
    """The real issuers of a pool, in both forms and with a replica, ask for its keys once."""
    user_pool = UserPool.create("eu-west-1_FakePool1", replica_regions=["us-east-1"])
    source = make(*user_pool.issuers)
    assert len(user_pool.issuers) == 3
    assert {call(source, "get", issuer, kid).kid for issuer in user_pool.issuers} == {kid}
    assert len(endpoint.calls) == 1


def test_every_refusal_is_one_of_ours(source: RemoteKeys, endpoint: Endpoint, clock: FakeClock) -> None:
    """No key ID, whatever is in it, brings anything else about than a refusal."""
    for kid in ("", "\0", "k" * 100_000, "../../etc/passwd", "\N{SNOWMAN}"):
        with pytest.raises(CognitoGuardError):
            source.get(ORIGINAL, kid)
    endpoint.says(DOWN)
    clock.tick(SCHEDULE.cooldown * SCHEDULE.burst)
    with pytest.raises(UnavailableError):
        source.get(ORIGINAL, "")
