"""Every fault of the key endpoint, crossed with what is held: what is served, what is refused, how often is asked."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from enum import Enum
from threading import Barrier
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, TypeAlias, cast

import pytest

from cognito_guard import (
    CognitoGuardError,
    CognitoVerifier,
    HTTPSFetch,
    InvalidSignatureError,
    Principal,
    Reason,
    RefreshSchedule,
    UnavailableError,
    UnknownKeyError,
)
from cognito_guard.keys.remote import REFRESH_THREAD
from cognito_guard.testing import FakeClock, FakeUserPool, Fault, FaultyJWKSServer
from cognito_guard.testing.faults import TLS_FAULTS
from cognito_guard.testing.replies import is_of_single_keys

PATIENCE = 10.0  # seconds that nothing here takes unless it hangs
FOR_EVER = 300.0  # the longest deadline there is
DEADLINE = 0.2  # a real deadline of the schedule, for what hangs
SHORT = 0.05  # what a fetch that hangs is given where its end is all that counts
SCHEDULE = RefreshSchedule(fresh_for=100.0, stale_for=1000.0, cooldown=10.0, burst=2, backoff=1.0, deadline=PATIENCE)

Call: TypeAlias = Callable[..., Any]

ENDLESS = (Fault.HANG, Fault.SLOW_HEADERS, Fault.DRIPPING_BODY, Fault.HANG_IN_BODY)
HARMLESS = (Fault.REPEATED_KEY, Fault.NO_USE_NO_ALGORITHM)
FAILURES = [fault for fault in Fault if fault not in {*HARMLESS, Fault.OTHER_MATERIAL}]
UNUSABLE = [fault for fault in FAILURES if is_of_single_keys(fault)]
# The backoff, unless the endpoint asks for more; at most 30 times the backoff.
RETRY_AFTER = {Fault.TOO_MANY_REQUESTS: 7.0, Fault.TOO_MANY_REQUESTS_FOR_YEARS: 30.0}


class Held(Enum):
    """Say what a verifier holds: the age of its keys in seconds, if it has any."""

    NOTHING = None
    FRESH = 0.0
    STALE = SCHEDULE.fresh_for
    GONE = SCHEDULE.fresh_for + SCHEDULE.stale_for


def each(faults: Sequence[Fault]) -> pytest.MarkDecorator:
    """Run a test with each of the faults."""
    return pytest.mark.parametrize(
        "fault", [pytest.param(fault, id=f"{fault.name}: {fault.value}") for fault in faults]
    )


def holding(*held: Held) -> pytest.MarkDecorator:
    """Run a test with each of these in hand."""
    return pytest.mark.parametrize("held", [pytest.param(one, id=f"{one.name.lower()} held") for one in held])


class Rig:
    """
    Hold a verifier of access and ID tokens, what it holds its keys with, and the number of its fetches.

    Attributes:
        timer: the verifier's; moves only when told to.
        asked: how many fetches began.
        verifier: what is tested.
    """

    def __init__(self, call: Call, server: FaultyJWKSServer, held: Held, **schedule: Any) -> None:
        self.timer = FakeClock()
        self.asked = 0
        self._call = call
        self._server = server
        self._fetch = HTTPSFetch(ca_file=server.ca_file)
        self._at_most = FOR_EVER
        self.verifier = server.verifier(
            token_use=["access", "id"], schedule=replace(SCHEDULE, **schedule), timer=self.timer, fetch=self._counted
        )
        if held.value is not None:
            self._hold()
            self.timer.tick(held.value)
        self.asked = 0

    def down(self, fault: Fault, only: Collection[str] | None = None) -> None:
        """Let the endpoint have a fault, and fetches that would wait for its end in vain end soon."""
        self._at_most = SHORT if fault in ENDLESS else FOR_EVER
        self._server.down(fault, only=only)

    def up(self) -> None:
        """End the fault, and wait for every fetch that has met it."""
        self._server.up()
        fetches_ended()
        self._at_most = FOR_EVER

    def serves(self, *tokens: str) -> None:
        """Verify tokens, all of which are good."""
        for token in tokens:
            assert isinstance(self._call(self.verifier, "verify", token), Principal)

    def unavailable(self, *token: str, method: str = "verify") -> float:
        """Verify a token on which no verdict is possible, and return after how many seconds to try again."""
        with pytest.raises(UnavailableError) as refusal:
            self._call(self.verifier, method, *token)
        assert type(refusal.value) is UnavailableError
        assert refusal.value.reason is Reason.KEYS_UNAVAILABLE
        return refusal.value.retry_after

    def unknown(self, *tokens: str) -> None:
        """Verify tokens whose keys are not published."""
        for token in tokens:
            with pytest.raises(UnknownKeyError) as refusal:
                self._call(self.verifier, "verify", token)
            assert refusal.value.reason is Reason.UNKNOWN_KEY

    def unsigned(self, token: str) -> None:
        """Verify a token that the published key of its key ID has not signed."""
        with pytest.raises(InvalidSignatureError) as refusal:
            self._call(self.verifier, "verify", token)
        assert refusal.value.reason is Reason.INVALID_SIGNATURE

    def _hold(self) -> None:
        """Fetch the keys, on a machine that may stand still for longer than a short deadline."""
        give_up = time.monotonic() + PATIENCE
        while True:
            try:
                return self.verifier.prefetch()
            except UnavailableError as error:
                if time.monotonic() > give_up:
                    raise
                fetches_ended()
                self.timer.tick(error.retry_after)

    def _counted(self, uri: str, timeout: float, /) -> bytes:
        self.asked += 1
        return self._fetch(uri, min(timeout, self._at_most))


def fetches_ended() -> None:
    """Wait for every fetch in flight."""
    for thread in threading.enumerate():
        if thread.name == REFRESH_THREAD:
            thread.join(PATIENCE)
            assert not thread.is_alive()


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the proxies of the machine out of the tests."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def lasting_pool() -> FakeUserPool:
    """Return a user pool for all tests here: keys take long to make."""
    return FakeUserPool(clock=FakeClock())


@pytest.fixture
def pool(lasting_pool: FakeUserPool) -> Iterator[FakeUserPool]:
    """Return a user pool that publishes the two keys it signs with."""
    before = lasting_pool.jwks
    yield lasting_pool
    if lasting_pool.jwks != before:
        lasting_pool.rotate(publish_old=False)


@pytest.fixture
def fault() -> Fault | None:
    """Return no fault: a test without one brings its own."""
    return None


@pytest.fixture
def server(pool: FakeUserPool, fault: Fault | None) -> Iterator[FaultyJWKSServer]:
    """Return a key endpoint that can have the fault, and does not have it yet."""
    with FaultyJWKSServer(pool, tls=fault in TLS_FAULTS) as server:
        yield server


@pytest.fixture
def tokens(pool: FakeUserPool) -> tuple[str, str]:
    """Return a good access token and a good ID token: each of the pool's keys has signed one."""
    return pool.access_token(), pool.id_token()


@pytest.fixture
def stray(pool: FakeUserPool) -> str:
    """Return a token of an invented key ID."""
    return pool.access_token(header={"kid": "invented"})


@holding(Held.FRESH, Held.STALE)
@each(FAILURES)
def test_failed_or_garbage_answer_drops_no_held_key(
    call: Call, server: FaultyJWKSServer, tokens: tuple[str, str], fault: Fault, held: Held
) -> None:
    """Held keys serve on; one request finds the fault, and one more its end."""
    rig = Rig(call, server, held)
    rig.down(fault)
    rig.serves(*tokens, *tokens)
    fetches_ended()
    rig.serves(*tokens)
    assert rig.asked == (held is Held.STALE)
    rig.up()
    rig.timer.tick(SCHEDULE.fresh_for)
    rig.serves(*tokens)
    fetches_ended()
    rig.serves(*tokens)
    assert rig.asked == (held is Held.STALE) + 1


@each(ENDLESS)
def test_stale_key_is_served_while_its_refresh_hangs(
    call: Call, server: FaultyJWKSServer, tokens: tuple[str, str], fault: Fault
) -> None:
    """Nobody waits for a refresh: who waited for this one would wait for longer than the test does."""
    rig = Rig(call, server, Held.STALE, deadline=FOR_EVER)
    server.down(fault)
    with ThreadPoolExecutor(1) as thread, server_up_afterwards(server):
        thread.submit(rig.serves, *tokens).result(PATIENCE)
        server.wait_until_hanging(timeout=PATIENCE)
        thread.submit(rig.serves, *tokens).result(PATIENCE)
        assert (server.hanging, rig.asked) == (1, 1)


@contextmanager
def server_up_afterwards(server: FaultyJWKSServer) -> Generator[None]:
    """Let nothing hang any longer, also where the test has failed: its threads could not be joined."""
    try:
        yield
    finally:
        server.up()


@holding(Held.NOTHING, Held.GONE)
@each(FAILURES)
def test_failure_beyond_what_is_held_is_unavailable_until_it_ends(
    call: Call, server: FaultyJWKSServer, tokens: tuple[str, str], stray: str, fault: Fault, held: Held
) -> None:
    """One request per backoff finds the fault, however many tokens come; the first one after its end is served."""
    rig = Rig(call, server, held)
    connections = server.connections
    rig.down(fault)
    retry_after = rig.unavailable(tokens[0])
    assert retry_after == RETRY_AFTER.get(fault, SCHEDULE.backoff)
    assert [rig.unavailable(token) for token in (*tokens, stray)] == [retry_after] * 3
    assert rig.unavailable(method="prefetch") == retry_after
    assert rig.asked == 1
    rig.up()
    rig.timer.tick(retry_after)
    rig.serves(*tokens)
    assert rig.asked == 2
    assert server.connections - connections == 1 + (fault is not Fault.REFUSED)


@holding(Held.NOTHING, Held.GONE)
@each(ENDLESS)
def test_answer_without_end_holds_callers_until_the_deadline(
    call: Call, server: FaultyJWKSServer, tokens: tuple[str, str], fault: Fault, held: Held
) -> None:
    """Who needs a key that is not held waits for the deadline of the schedule and not for the endpoint."""
    rig = Rig(call, server, held, deadline=DEADLINE)
    server.down(fault)
    began = time.monotonic()
    assert rig.unavailable(tokens[0]) == SCHEDULE.backoff
    assert DEADLINE <= time.monotonic() - began < PATIENCE / 2


@holding(*Held)
@each(FAILURES)
def test_unknown_key_id_during_a_failure_is_unavailable(
    call: Call, server: FaultyJWKSServer, tokens: tuple[str, str], stray: str, fault: Fault, held: Held
) -> None:
    """It may be a rotation: no verdict before the endpoint gives one, and no more requests than the bucket allows."""
    rig = Rig(call, server, held, cooldown=200.0)
    rig.down(fault)
    for tries in range(1, SCHEDULE.burst + 1):
        assert min(rig.unavailable(stray), rig.unavailable(stray)) > 0
        assert rig.asked == tries
        rig.timer.tick(SCHEDULE.max_backoff)
    if held in {Held.FRESH, Held.STALE}:
        rig.unavailable(stray)
        assert rig.asked == SCHEDULE.burst
        rig.serves(*tokens)
    rig.up()
    rig.timer.tick(200.0)
    rig.unknown(stray)
    rig.serves(*tokens)


@holding(*Held)
@each(HARMLESS)
def test_oddity_that_does_no_harm_is_none(
    call: Call, server: FaultyJWKSServer, tokens: tuple[str, str], stray: str, fault: Fault, held: Held
) -> None:
    """A sound set that is other than Cognito's serves like any other, and an invented key ID is unknown to it."""
    rig = Rig(call, server, held)
    rig.down(fault)
    rig.serves(*tokens)
    fetches_ended()
    assert rig.asked == (held is not Held.FRESH)
    rig.unknown(stray)
    rig.serves(*tokens)


@holding(*Held)
@each(UNUSABLE)
def test_unusable_key_is_skipped_and_the_others_serve(
    call: Call, pool: FakeUserPool, server: FaultyJWKSServer, tokens: tuple[str, str], fault: Fault, held: Held
) -> None:
    """The one key of the set that can't be used is as good as not published, until it can."""
    rig = Rig(call, server, held)
    access_token, id_token = tokens
    rig.down(fault, only=[pool.id_key.kid])
    rig.timer.tick(SCHEDULE.fresh_for)
    rig.serves(access_token)
    fetches_ended()
    assert rig.asked == 1
    rig.unknown(id_token)
    rig.serves(access_token)
    rig.up()
    rig.timer.tick(SCHEDULE.cooldown)
    rig.serves(id_token, access_token)


def test_ambiguous_key_id_is_unusable_and_the_others_serve(
    call: Call, pool: FakeUserPool, server: FaultyJWKSServer, tokens: tuple[str, str]
) -> None:
    """Which of two keys is meant can't be told: neither is used, whichever stands first."""
    rig = Rig(call, server, Held.NOTHING)
    rig.down(Fault.AMBIGUOUS_KEY_ID, only=[pool.access_key.kid])
    rig.serves(tokens[1])
    rig.unknown(tokens[0])
    assert rig.asked == 2


@each([Fault.EMPTY_KEYS, *UNUSABLE])
def test_empty_or_wholly_unusable_set_is_a_failure(
    call: Call, server: FaultyJWKSServer, tokens: tuple[str, str], stray: str, fault: Fault
) -> None:
    """It begins a backoff like any failure, and is not taken for a set without the key."""
    rig = Rig(call, server, Held.FRESH)
    rig.down(fault)
    assert [rig.unavailable(stray) for _ in range(4)] == [SCHEDULE.backoff] * 4
    rig.serves(*tokens)
    assert rig.asked == 1


def test_hit_takes_no_lock_and_waits_for_no_fetch(
    call: Call, server: FaultyJWKSServer, tokens: tuple[str, str], stray: str
) -> None:
    """While a fetch hangs, and somebody has the lock besides, a key that is held is served."""
    rig = Rig(call, server, Held.FRESH, deadline=FOR_EVER)
    server.down(Fault.HANG)
    with ThreadPoolExecutor(2) as threads, server_up_afterwards(server):
        waiter = threads.submit(rig.unavailable, stray)
        server.wait_until_hanging(timeout=PATIENCE)
        with vars(rig.verifier)["_keys"]._lock:
            hit = threads.submit(rig.serves, *tokens)
            wait([hit], PATIENCE)
            assert hit.done()
        hit.result()
        assert (server.hanging, waiter.done()) == (1, False)
        server.up()
        assert waiter.result(PATIENCE) > 0


@holding(Held.NOTHING, Held.GONE)
def test_one_fetch_is_in_flight_however_many_threads_and_loops_ask(
    server: FaultyJWKSServer, pool: FakeUserPool, held: Held
) -> None:
    """They share it, and its failure: nobody makes another one."""
    timer = FakeClock()
    verifier = server.verifier(schedule=SCHEDULE, timer=timer)
    if held is Held.GONE:
        verifier.prefetch()
        timer.tick(Held.GONE.value)
    connections = server.connections
    token = pool.access_token()
    crowd = 6
    ready = Barrier(2 * crowd + 1)

    def thread() -> list[object]:
        ready.wait(PATIENCE)
        return [outcome_of(verifier, token)]

    def loop() -> list[object]:
        async def tasks() -> list[object]:
            return list(await asyncio.gather(*(verifier.averify(token) for _ in range(5)), return_exceptions=True))

        ready.wait(PATIENCE)
        return asyncio.run(tasks())

    # Whoever made a second fetch would get the keys by it.
    server.answer_with(Fault.HANG)
    with ThreadPoolExecutor(2 * crowd) as threads:
        outcomes = [threads.submit(kind) for kind in (thread, loop) for _ in range(crowd)]
        ready.wait(PATIENCE)
        server.wait_until_hanging(timeout=PATIENCE)
        server.up()
        kinds = {type(outcome) for future in outcomes for outcome in future.result(PATIENCE)}
    assert kinds == {UnavailableError}
    assert server.connections - connections == 1


def outcome_of(verifier: CognitoVerifier, token: str) -> object:
    """Return what a verifier returns or raises."""
    try:
        return verifier.verify(token)
    except Exception as error:
        return error


def test_flood_of_unknown_key_ids_costs_the_bucket_and_no_known_key(
    call: Call, pool: FakeUserPool, server: FaultyJWKSServer, tokens: tuple[str, str]
) -> None:
    """Refused at once and without a request after the first few, while good tokens are served."""
    rig = Rig(call, server, Held.FRESH)
    for number in range(50):
        rig.unknown(pool.access_token(header={"kid": f"invented {number}"}))
        rig.serves(tokens[number % 2])
    assert rig.asked == SCHEDULE.burst
    rig.timer.tick(SCHEDULE.cooldown)
    for number in range(5):
        rig.unknown(pool.access_token(header={"kid": f"more {number}"}))
    assert rig.asked == SCHEDULE.burst + 1
    rig.timer.tick(SCHEDULE.cooldown)
    # What a flood had evicted would not come back now.
    rig.down(Fault.SERVICE_UNAVAILABLE)
    rig.unavailable(pool.access_token(header={"kid": "the last"}))
    rig.serves(*tokens)


@holding(Held.FRESH, Held.STALE)
def test_rotation_after_quiet_is_seen_by_the_first_token(
    call: Call, pool: FakeUserPool, server: FaultyJWKSServer, tokens: tuple[str, str], held: Held
) -> None:
    """The token that carries the new key waits for the one fetch that it causes, and is served."""
    rig = Rig(call, server, held)
    pool.rotate()
    rig.serves(pool.access_token())
    assert rig.asked == 1
    rig.serves(pool.id_token(), *tokens)
    assert rig.asked == 1


@each(FAILURES)
def test_rotation_during_a_failure_is_seen_when_it_ends(
    call: Call, pool: FakeUserPool, server: FaultyJWKSServer, tokens: tuple[str, str], fault: Fault
) -> None:
    """Its tokens are told to come again, as long as the endpoint can't say that they are good, and then they are."""
    rig = Rig(call, server, Held.FRESH)
    rig.down(fault)
    pool.rotate()
    rotated = pool.access_token()
    retry_after = rig.unavailable(rotated)
    rig.serves(*tokens)
    rig.up()
    rig.timer.tick(retry_after)
    rig.serves(rotated, *tokens)
    assert rig.asked == 2


def test_withdrawn_key_is_refused_within_fresh_for_and_one_refresh(
    call: Call, pool: FakeUserPool, server: FaultyJWKSServer, tokens: tuple[str, str]
) -> None:
    """The token that comes first after `fresh_for` brings the refresh about; those after it are refused."""
    rig = Rig(call, server, Held.FRESH)
    pool.withdraw(pool.access_key.kid)
    access_token, id_token = tokens
    rig.timer.tick(SCHEDULE.fresh_for)
    rig.serves(access_token)
    fetches_ended()
    assert rig.asked == 1
    rig.unknown(access_token)
    rig.serves(id_token)


@each(FAILURES)
def test_withdrawn_key_dies_beyond_stale_though_the_endpoint_fails(
    call: Call, pool: FakeUserPool, server: FaultyJWKSServer, tokens: tuple[str, str], fault: Fault
) -> None:
    """An outage puts the end of a withdrawn key off to the end of `stale_for`, and no further."""
    rig = Rig(call, server, Held.STALE)
    pool.withdraw(pool.access_key.kid)
    rig.down(fault)
    rig.serves(tokens[0])
    fetches_ended()
    rig.timer.tick(SCHEDULE.stale_for)
    retry_after = rig.unavailable(tokens[0])
    rig.up()
    rig.timer.tick(retry_after)
    rig.unknown(tokens[0])


def test_same_key_id_with_new_material_replaces_the_old(
    call: Call, pool: FakeUserPool, server: FaultyJWKSServer, tokens: tuple[str, str]
) -> None:
    """What another key has signed is refused under the key ID, and what this one has is served, from then on."""
    rig = Rig(call, server, Held.FRESH)
    access_token, id_token = tokens
    rig.serves(*tokens)
    rig.down(Fault.OTHER_MATERIAL, only=[pool.access_key.kid])
    rig.timer.tick(SCHEDULE.fresh_for)
    rig.serves(id_token)
    fetches_ended()
    rig.unsigned(access_token)
    rig.serves(id_token)
    rig.up()
    rig.timer.tick(SCHEDULE.fresh_for)
    rig.unsigned(access_token)
    fetches_ended()
    rig.serves(*tokens)
    assert rig.asked == 2


def test_answer_replaces_the_held_set_whole_and_at_once(
    call: Call, pool: FakeUserPool, server: FaultyJWKSServer, tokens: tuple[str, str]
) -> None:
    """Half an answer changes nothing; a whole one changes all of it."""
    rig = Rig(call, server, Held.STALE)
    pool.rotate(publish_old=False)
    server.down(Fault.HANG_IN_BODY)
    rig.serves(*tokens)
    server.wait_until_hanging(timeout=PATIENCE)
    rig.serves(*tokens)
    rig.up()
    rig.timer.tick(SCHEDULE.backoff)
    rig.serves(tokens[0])
    fetches_ended()
    rig.serves(pool.access_token(), pool.id_token())
    assert rig.asked == 2
    rig.unknown(*tokens)


def test_memory_is_bounded_under_any_input(
    call: Call, pool: FakeUserPool, server: FaultyJWKSServer, tokens: tuple[str, str]
) -> None:
    """Neither invented tokens nor whatever the endpoint answers leave anything behind."""
    rig = Rig(call, server, Held.FRESH, cooldown=1.0)
    header, payload, signature = tokens[0].split(".")
    rig.serves(*tokens)
    rig.unknown(pool.access_token(header={"kid": "invented"}))
    before = weight(rig.verifier)
    quick = [fault for fault in FAILURES if fault not in {*ENDLESS, *TLS_FAULTS}]
    for number, fault in enumerate(quick):
        stray = pool.access_token(header={"kid": f"invented {number} {'x' * 100}"}, sub="x" * 1000)
        forged = f"{pool.access_token(header={'number': number, 'x': 'x' * 1000}).rpartition('.')[0]}.{signature}"
        rig.down(fault)
        for token in (stray, forged, f"{number}{tokens[0]}", f"{header}.{number}{payload}.{signature}"):
            assert isinstance(outcome_of(rig.verifier, token), CognitoGuardError)
        rig.up()
        rig.timer.tick(SCHEDULE.max_backoff)
        rig.unknown(stray)
        rig.serves(*tokens)
    assert rig.asked >= 2 * len(quick)
    assert weight(rig.verifier) - before < 2000


def weight(root: object) -> int:
    """Return how many bytes everything takes that can be reached from an object, code and the test's own left out."""
    others = (type, ModuleType, FunctionType, BuiltinFunctionType, Rig, FakeUserPool, FakeClock)
    seen: dict[int, object] = {}
    ahead = [root]
    while ahead:
        thing = ahead.pop()
        if id(thing) not in seen and not isinstance(thing, others):
            seen[id(thing)] = thing
            ahead += gc.get_referents(thing)
            if isinstance(thing, dict):  # which does not name its keys to the garbage collector if all are strings
                ahead += cast("dict[object, object]", thing)
    return sum(map(sys.getsizeof, seen.values()))


@holding(Held.FRESH, Held.STALE)
def test_refusal_for_want_of_tries_says_when_the_next_one_is(
    call: Call, server: FaultyJWKSServer, stray: str, held: Held
) -> None:
    """Once the backoff is over, what keeps an unknown key ID from a fetch is the bucket: its next try is the time."""
    rig = Rig(call, server, held)
    rig.down(Fault.SERVICE_UNAVAILABLE)
    for backoff in (1.0, 2.0):
        rig.unavailable(stray)
        rig.timer.tick(backoff)
    assert rig.asked == SCHEDULE.burst
    # A try was taken at the start, and the other one a second later; three seconds have gone.
    assert rig.unavailable(stray) == pytest.approx(SCHEDULE.cooldown - 3.0)
    assert rig.asked == SCHEDULE.burst
