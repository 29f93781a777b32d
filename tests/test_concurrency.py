"""One verifier, many callers: threads, event loops, cancelled tasks, closed loops and forked processes."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from threading import Event, Lock
from typing import Any

import pytest

from cognito_guard import CognitoVerifier, Principal, RefreshSchedule, UnavailableError, UnknownKeyError
from cognito_guard.keys.source import RemoteKeys
from cognito_guard.testing import FakeClock, FakeUserPool

PATIENCE = 30.0  # seconds that nothing here takes unless it hangs
SHORT = 0.2  # a real deadline, for what hangs
THREADS = 100
LOOPS = 2
TASKS = 100

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")


class GatedFetch:
    """
    Fetch a user pool's keys once a gate opens.

    Attributes:
        gate: fetches wait until it is open, with the document in hand: it may be outdated by then.
        begun: set with the first fetch, once it has read the document.
        calls: how many fetches began.
    """

    def __init__(self, pool: FakeUserPool) -> None:
        self.gate = Event()
        self.begun = Event()
        self.calls = 0
        self._pool = pool
        self._lock = Lock()

    def __call__(self, uri: str, timeout: float, /) -> bytes:
        with self._lock:
            self.calls += 1
        document = self._pool.fetch(uri, timeout)
        self.begun.set()
        assert self.gate.wait(PATIENCE)
        return document


class Crowd:
    """
    Count who has come, and tell when all have.

    Args:
        size: how many are expected.
        complete: called by the last one.
    """

    def __init__(self, size: int, complete: Callable[[], None]) -> None:
        self._missing = size
        self._complete = complete
        self._lock = Lock()

    def arrive(self) -> None:
        with self._lock:
            self._missing -= 1
            is_last = self._missing == 0
        if is_last:
            self._complete()


@pytest.fixture
def fetch(pool: FakeUserPool) -> Iterator[GatedFetch]:
    """Return a fetch whose gate is closed."""
    fetch = GatedFetch(pool)
    yield fetch
    fetch.gate.set()
    fetches_ended()


@pytest.fixture
def make(pool: FakeUserPool, fetch: GatedFetch, clock: FakeClock) -> Callable[..., CognitoVerifier]:
    """Return a function that makes a verifier with a schedule of its own."""

    def make_verifier(**schedule: Any) -> CognitoVerifier:
        return pool.verifier(fetch=fetch, timer=clock, schedule=replace(RefreshSchedule(deadline=PATIENCE), **schedule))

    return make_verifier


@pytest.fixture
def verifier(make: Callable[..., CognitoVerifier]) -> CognitoVerifier:
    return make()


@pytest.fixture
def token(pool: FakeUserPool) -> str:
    return pool.access_token()


def fetches_ended() -> None:
    """Wait for every fetch in flight."""
    for thread in threading.enumerate():
        if thread.name == "cognito-guard-keys":
            thread.join(PATIENCE)
            assert not thread.is_alive()


def in_threads(count: int, work: Callable[[], Any]) -> list[Future[Any]]:
    """Start as many threads; who lets them wait for something brings it about before reading the results."""
    threads = ThreadPoolExecutor(count)
    futures = [threads.submit(work) for _ in range(count)]
    threads.shutdown(wait=False)
    return futures


async def in_tasks(count: int, verifier: CognitoVerifier, token: str, arrive: Callable[[], None]) -> list[Any]:
    """Verify in as many tasks of one loop at once; return principals and errors."""

    async def verify() -> Principal:
        arrive()
        return await verifier.averify(token)

    return await asyncio.gather(*(verify() for _ in range(count)), return_exceptions=True)


@pytest.mark.parametrize(
    "threads, loops",
    [
        pytest.param(THREADS, 0, id="threads"),
        pytest.param(0, LOOPS, id="event loops"),
        pytest.param(THREADS, LOOPS, id="threads and event loops"),
    ],
)
def test_cold_start_of_a_crowd_is_one_fetch(
    verifier: CognitoVerifier, fetch: GatedFetch, token: str, threads: int, loops: int
) -> None:
    """However many threads, loops and tasks ask at once for the first key, it is fetched once."""
    crowd = Crowd(threads + loops * TASKS, fetch.gate.set)

    def verify() -> list[Principal]:
        crowd.arrive()
        return [verifier.verify(token)]

    def loop() -> list[Principal]:
        return asyncio.run(in_tasks(TASKS, verifier, token, crowd.arrive))

    futures = (in_threads(threads, verify) if threads else []) + (in_threads(loops, loop) if loops else [])
    principals = [principal for future in futures for principal in future.result(PATIENCE)]
    assert {principal.username for principal in principals} == {"jane"}
    assert len(principals) == threads + loops * TASKS
    assert fetch.calls == 1


@pytest.mark.parametrize("tasks", [0, 200])
def test_endpoint_that_hangs_costs_a_crowd_one_deadline_and_one_fetch(
    make: Callable[..., CognitoVerifier], fetch: GatedFetch, token: str, tasks: int
) -> None:
    """Twenty threads, or as many threads and two hundred tasks: they all give up together, on one fetch."""
    verifier = make(deadline=SHORT)

    def verify() -> list[BaseException]:
        with pytest.raises(UnavailableError) as refusal:
            verifier.verify(token)
        return [refusal.value]

    futures = in_threads(20, verify)
    loop = in_threads(1, lambda: asyncio.run(in_tasks(tasks, verifier, token, lambda: None)))
    errors = [error for future in (*futures, *loop) for error in future.result(PATIENCE)]
    assert [type(error) for error in errors] == [UnavailableError] * (20 + tasks)
    assert len({id(error) for error in errors}) == 20 + tasks
    assert fetch.begun.wait(PATIENCE)
    assert fetch.calls == 1


def test_known_keys_are_served_while_a_crowd_waits_for_an_unknown_one(
    verifier: CognitoVerifier, fetch: GatedFetch, pool: FakeUserPool, token: str
) -> None:
    """An invented key ID delays nobody but those who present it."""
    fetch.gate.set()
    verifier.prefetch()
    fetch.gate.clear()
    fetch.begun.clear()
    invented = pool.access_token(header={"kid": "invented"})

    def refused() -> None:
        with pytest.raises(UnknownKeyError):
            verifier.verify(invented)

    waiting = in_threads(10, refused)
    assert fetch.begun.wait(PATIENCE)
    assert verifier.verify(token) == asyncio.run(verifier.averify(token))
    assert not any(future.done() for future in waiting)
    fetch.gate.set()
    for future in waiting:
        future.result(PATIENCE)
    assert fetch.calls <= 1 + RefreshSchedule().burst


def test_event_loop_goes_on_while_a_fetch_hangs(verifier: CognitoVerifier, fetch: GatedFetch, token: str) -> None:
    """The fetch ends only because the loop that waits for it does other things meanwhile."""

    async def other_work() -> None:
        for _ in range(1000):
            await asyncio.sleep(0)
        fetch.gate.set()

    async def run() -> Principal:
        principal, _ = await asyncio.gather(verifier.averify(token), other_work())
        return principal

    assert asyncio.run(run()).username == "jane"


def test_cancelled_waiter_leaves_the_fetch_to_the_others(
    verifier: CognitoVerifier, fetch: GatedFetch, token: str
) -> None:
    """A client that goes away takes nothing from those who wait for the same keys, in its loop or in a thread."""
    thread = in_threads(1, lambda: verifier.verify(token))

    async def run() -> Principal:
        leader, follower = (asyncio.create_task(verifier.averify(token)) for _ in range(2))
        await asyncio.sleep(0)
        assert await asyncio.to_thread(fetch.begun.wait, PATIENCE)
        leader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leader
        assert not follower.done()
        fetch.gate.set()
        return await follower

    assert asyncio.run(run()) == thread[0].result(PATIENCE)
    assert fetch.calls == 1


def test_all_waiters_cancelled_leave_the_fetch_to_those_who_come(
    verifier: CognitoVerifier, fetch: GatedFetch, token: str
) -> None:
    """Nobody waits for it, and it fetches the keys all the same."""

    async def run() -> None:
        async with asyncio.timeout(0):
            await verifier.averify(token)

    with pytest.raises(TimeoutError):
        asyncio.run(run())
    assert fetch.begun.wait(PATIENCE)
    fetch.gate.set()
    assert verifier.verify(token).username == "jane"
    assert fetch.calls == 1


def test_loop_closed_during_a_fetch_leaves_no_error(
    verifier: CognitoVerifier, fetch: GatedFetch, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer finds nobody there, and says nothing; a later loop gets it."""
    caplog.set_level(logging.DEBUG)
    loop = asyncio.new_event_loop()
    waiter = loop.create_task(verifier.averify(token))
    loop.run_until_complete(asyncio.sleep(0))
    assert fetch.begun.wait(PATIENCE)
    waiter.cancel()
    loop.run_until_complete(asyncio.wait([waiter]))
    loop.close()
    fetch.gate.set()
    fetches_ended()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert asyncio.run(verifier.averify(token)).username == "jane"
    assert fetch.calls == 1


def test_one_verifier_serves_one_loop_after_the_other(verifier: CognitoVerifier, fetch: GatedFetch, token: str) -> None:
    """Nothing of a loop stays in the verifier."""
    fetch.gate.set()
    principals = [asyncio.run(verifier.averify(token)) for _ in range(3)]
    assert principals == [verifier.verify(token)] * 3
    assert fetch.calls == 1


async def join_a_fetch(
    verifier: CognitoVerifier, fetch: GatedFetch, token: str, mint: Callable[[], list[str]]
) -> list[Any]:
    """Verify a token, and those that are minted once its fetch has read the document; return all outcomes."""
    tasks = [asyncio.create_task(verifier.averify(token))]
    assert await asyncio.to_thread(fetch.begun.wait, PATIENCE)
    tasks += [asyncio.create_task(verifier.averify(minted)) for minted in mint()]
    await asyncio.sleep(0)
    fetch.gate.set()
    return await asyncio.gather(*tasks, return_exceptions=True)


def test_rotation_during_a_fetch_refuses_no_token_that_joined_it(
    verifier: CognitoVerifier, pool: FakeUserPool, fetch: GatedFetch, token: str
) -> None:
    """What a fetch read before a rotation is not the last word on a token minted after it."""

    def mint() -> list[str]:
        pool.rotate()
        return [pool.access_token() for _ in range(3)]

    principals = asyncio.run(join_a_fetch(verifier, fetch, token, mint))
    assert [principal.username for principal in principals] == ["jane"] * 4
    assert fetch.calls == 2


def test_flood_of_unknown_keys_that_joins_a_fetch_costs_one_more(
    verifier: CognitoVerifier, pool: FakeUserPool, fetch: GatedFetch, token: str
) -> None:
    """All that joined one fetch in vain share the next one, and its answer is the last word."""

    def mint() -> list[str]:
        return [pool.access_token(header={"kid": f"unknown-{number}"}) for number in range(TASKS)]

    first, *refused = asyncio.run(join_a_fetch(verifier, fetch, token, mint))
    assert first.username == "jane"
    assert {type(error) for error in refused} == {UnknownKeyError}
    assert fetch.calls == 2


def test_rotations_under_load_refuse_no_good_token(pool: FakeUserPool, clock: FakeClock) -> None:
    """Threads that verify while keys rotate and refreshes run see each key from the first token on."""
    verifier = pool.verifier(timer=clock)
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
            clock.tick(600.0)
            verifier.prefetch()
    finally:
        done.set()
    assert all(future.result(PATIENCE) > 0 for future in futures)


def in_child(check: Callable[[], bool]) -> bool:
    """Return what the check says in a forked process; one that hangs there is killed, and has failed."""
    with warnings.catch_warnings():
        # Python 3.12 and later warn of what is tested here: a fork beside other threads.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        passed = False
        try:
            signal.alarm(int(PATIENCE))
            passed = check()
        finally:
            os._exit(0 if passed else 1)
    _, status = os.waitpid(child, 0)
    return status == 0


class CountedFetch:
    """Fetch a user pool's keys, and hang in the process that is told to."""

    def __init__(self, pool: FakeUserPool) -> None:
        self.calls = 0
        self.begun = Event()
        self.gate = Event()
        self.hangs_in: int | None = None
        self._pool = pool

    def __call__(self, uri: str, timeout: float, /) -> bytes:
        self.calls += 1
        self.begun.set()
        if self.hangs_in == os.getpid():
            assert self.gate.wait(PATIENCE)
        return self._pool.fetch(uri, timeout)


@pytest.fixture
def counted(pool: FakeUserPool) -> Iterator[CountedFetch]:
    fetch = CountedFetch(pool)
    yield fetch
    fetch.gate.set()
    fetches_ended()


@needs_fork
@pytest.mark.parametrize("prefetched", [pytest.param(False, id="cold"), pytest.param(True, id="with keys")])
def test_forked_process_answers_by_itself(
    pool: FakeUserPool, counted: CountedFetch, token: str, prefetched: bool
) -> None:
    """A worker process fetches its own keys, or goes on with those that were fetched before the fork."""
    verifier = pool.verifier(fetch=counted)
    if prefetched:
        verifier.prefetch()

    def check() -> bool:
        first = verifier.verify(token)
        return first == asyncio.run(verifier.averify(token)) and counted.calls == 1

    assert in_child(check)
    assert in_child(check)
    assert counted.calls == int(prefetched)
    assert verifier.verify(token).username == "jane"


@needs_fork
def test_process_forked_during_a_fetch_makes_its_own(pool: FakeUserPool, counted: CountedFetch, token: str) -> None:
    """The parent's fetch does not exist in the child, and goes on in the parent."""
    counted.hangs_in = os.getpid()
    verifier = pool.verifier(fetch=counted, schedule=RefreshSchedule(deadline=PATIENCE))
    parent = in_threads(1, lambda: verifier.verify(token))[0]
    assert counted.begun.wait(PATIENCE)
    assert in_child(lambda: verifier.verify(token).username == "jane" and counted.calls == 2)
    assert not parent.done()
    counted.gate.set()
    assert parent.result(PATIENCE).username == "jane"
    assert counted.calls == 1


@needs_fork
def test_process_forked_while_a_thread_holds_the_lock_is_not_stuck(pool: FakeUserPool, counted: CountedFetch) -> None:
    """The thread that held it does not exist in the child, and would never release it."""
    kid = pool.access_key.kid
    source = RemoteKeys({"issuer": "uri"}, schedule=RefreshSchedule(), fetch=counted)
    with source._lock:  # pyright: ignore[reportPrivateUsage]
        assert in_child(lambda: source.get("issuer", kid).kid == kid)
    assert source.get("issuer", kid).kid == kid


@needs_fork
def test_process_forked_after_an_outage_began_recovers_by_itself(
    pool: FakeUserPool, clock: FakeClock, token: str
) -> None:
    """The child inherits the backoff and not the parent's fate."""
    answers: list[Callable[[str, float], bytes]] = []

    def fetch(uri: str, timeout: float, /) -> bytes:
        return answers[0](uri, timeout)

    verifier = pool.verifier(fetch=fetch, timer=clock)

    def unavailable() -> bool:
        with pytest.raises(UnavailableError):
            verifier.verify(token)
        return True

    assert unavailable()

    def check() -> bool:
        answers.append(pool.fetch)
        still = unavailable()
        clock.tick(1.0)
        return still and verifier.verify(token).username == "jane"

    assert in_child(check)
    clock.tick(1.0)
    assert unavailable()
