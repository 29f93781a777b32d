"""Threads and tasks that wait for one fetch: how many there are, how they give up, and what becomes of the others."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from types import FrameType
from typing import Any, TypeAlias

import pytest

from cognito_guard import CognitoVerifier, Principal, Reason, RefreshSchedule, UnavailableError, UnknownKeyError
from cognito_guard.testing import FakeClock, FakeUserPool

from . import LOOPS, PATIENCE, Crowd, GatedFetch, averdict, in_threads, verdict
from .conftest import Make

SHORT = 0.2  # a real deadline, for what hangs
TICK = 0.01  # seconds between two tries to interrupt what waits
THREADS = 100
TASKS = 100

needs_signals = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no such signals")

Loop: TypeAlias = Callable[[], asyncio.AbstractEventLoop]
GiveUp: TypeAlias = Callable[[CognitoVerifier, str, GatedFetch], None]


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> Loop:
    """Return what makes an event loop, of each kind that is installed."""
    return LOOPS[request.param]


def run(loop: Loop, coroutine: Any) -> Any:
    """Run a coroutine on an event loop of its own."""
    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(coroutine)


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
        pytest.param(0, 2, id="event loops"),
        pytest.param(THREADS, 2, id="threads and event loops"),
    ],
)
def test_cold_start_of_a_crowd_is_one_fetch(
    verifier: CognitoVerifier, fetch: GatedFetch, token: str, loop: Loop, threads: int, loops: int
) -> None:
    """However many threads, loops and tasks ask at once for the first key, it is fetched once."""
    crowd = Crowd(threads + loops * TASKS, fetch.gate.set)

    def verify() -> list[Principal]:
        crowd.arrive()
        return [verifier.verify(token)]

    def tasks() -> list[Principal]:
        principals: list[Principal] = run(loop, in_tasks(TASKS, verifier, token, crowd.arrive))
        return principals

    futures = (in_threads(threads, verify) if threads else []) + (in_threads(loops, tasks) if loops else [])
    principals = [principal for future in futures for principal in future.result(PATIENCE)]
    assert {principal.username for principal in principals} == {"jane"}
    assert len(principals) == threads + loops * TASKS
    assert fetch.calls == 1


@pytest.mark.parametrize("tasks", [0, 200])
def test_endpoint_that_hangs_costs_a_crowd_one_deadline_and_one_fetch(
    make: Make, fetch: GatedFetch, token: str, tasks: int
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
    fetch.close()
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


def test_event_loop_goes_on_while_a_fetch_hangs(
    verifier: CognitoVerifier, fetch: GatedFetch, token: str, loop: Loop
) -> None:
    """The fetch ends only because the loop that waits for it does other things meanwhile."""

    async def other_work() -> None:
        for _ in range(1000):
            await asyncio.sleep(0)
        fetch.gate.set()

    async def both() -> Principal:
        principal, _ = await asyncio.gather(verifier.averify(token), other_work())
        return principal

    assert run(loop, both()).username == "jane"


class GaveUpError(Exception):
    """Say that somebody waits no longer."""


def leave(wait: Callable[[asyncio.Task[Principal]], Awaitable[None]]) -> GiveUp:
    """Return how a task gives up, from what ends its wait."""

    def give_up(verifier: CognitoVerifier, token: str, fetch: GatedFetch) -> None:
        async def waiter() -> None:
            task = asyncio.create_task(verifier.averify(token))
            await asyncio.sleep(0)
            assert await asyncio.to_thread(fetch.begun.wait, PATIENCE)
            await wait(task)
            assert task.cancelled()

        asyncio.run(waiter())

    return give_up


async def cancel(task: asyncio.Task[Principal]) -> None:
    """Be the server, whose client has gone away."""
    task.cancel()
    await asyncio.wait([task])


async def time_out(task: asyncio.Task[Principal]) -> None:
    """Be a handler with a time limit of its own."""
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(task, 0)


async def fail_beside(task: asyncio.Task[Principal]) -> None:
    """Be a task group in which another task fails."""

    async def joined() -> None:
        await task

    async def fail() -> None:
        raise GaveUpError

    async def group() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(joined())
            tasks.create_task(fail())

    with pytest.raises(ExceptionGroup) as failure:
        await group()
    assert failure.group_contains(GaveUpError)


def end_the_loop(verifier: CognitoVerifier, token: str, fetch: GatedFetch) -> None:
    """Be a program whose main task is done."""

    async def main() -> None:
        task = asyncio.create_task(verifier.averify(token))
        await asyncio.sleep(0)
        assert await asyncio.to_thread(fetch.begun.wait, PATIENCE)
        assert not task.done()

    asyncio.run(main())


def be_interrupted(verifier: CognitoVerifier, token: str, fetch: GatedFetch) -> None:
    """Be a thread with a time limit that is kept by a signal, as Celery's soft limit is."""

    def interrupt(_: int, frame: FrameType | None) -> None:
        while frame is not None and fetch.begun.is_set():
            if frame.f_code is CognitoVerifier.verify.__code__:
                raise GaveUpError
            frame = frame.f_back

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, TICK, TICK)
        with pytest.raises(GaveUpError):
            verifier.verify(token)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    "give_up",
    [
        pytest.param(leave(cancel), id="a cancelled task"),
        pytest.param(leave(time_out), id="a task out of time"),
        pytest.param(leave(fail_beside), id="a task whose sibling fails"),
        pytest.param(end_the_loop, id="a task whose loop ends"),
        pytest.param(be_interrupted, id="a thread that a signal interrupts", marks=needs_signals),
    ],
)
@pytest.mark.parametrize("is_leader", [pytest.param(True, id="first"), pytest.param(False, id="later")])
def test_waiter_that_gives_up_leaves_the_fetch_to_the_others(
    verifier: CognitoVerifier, fetch: GatedFetch, token: str, give_up: GiveUp, is_leader: bool
) -> None:
    """It takes nothing from those who wait for the same keys, whether it began the fetch or joined it."""

    def wait() -> list[Any]:
        return [
            *in_threads(2, partial(verifier.verify, token)),
            *in_threads(1, lambda: asyncio.run(verifier.averify(token))),
        ]

    others = [] if is_leader else wait()
    give_up(verifier, token, fetch)
    others = others or wait()
    assert not any(other.done() for other in others)
    fetch.gate.set()
    assert [other.result(PATIENCE).username for other in others] == ["jane"] * 3
    assert fetch.calls == 1


def test_fetch_that_nobody_waits_for_brings_its_keys(verifier: CognitoVerifier, fetch: GatedFetch, token: str) -> None:
    """All have given up, and those who come later find the keys."""
    end_the_loop(verifier, token, fetch)
    fetch.open()
    assert verifier.verify(token).username == "jane"
    assert fetch.calls == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError])
def test_fetch_whose_thread_dies_is_a_failure_for_all_who_wait(
    verifier: CognitoVerifier, fetch: GatedFetch, timer: FakeClock, token: str, error: type[BaseException]
) -> None:
    """A crowd is told at once, on threads and on a loop, and the next fetch has its turn."""
    fetch.error = error()
    crowd = Crowd(10 + TASKS, fetch.gate.set)

    def verify() -> list[Any]:
        crowd.arrive()
        return [verdict(verifier, token)]

    async def averify() -> Any:
        crowd.arrive()
        return await averdict(verifier, token)

    async def tasks() -> list[Any]:
        return await asyncio.gather(*(averify() for _ in range(TASKS)))

    futures = [*in_threads(10, verify), *in_threads(1, lambda: asyncio.run(tasks()))]
    outcomes = [outcome for future in futures for outcome in future.result(PATIENCE)]
    assert outcomes == [Reason.KEYS_UNAVAILABLE] * (10 + TASKS)
    assert fetch.calls == 1
    fetch.error = None
    timer.tick(RefreshSchedule().backoff)
    assert verifier.verify(token).username == "jane"


def close_under(make: Loop, waiting: Coroutine[Any, Any, Principal], fetch: GatedFetch) -> asyncio.Task[Principal]:
    """Close a loop while a task of it waits for a fetch."""
    loop = make()
    task = loop.create_task(waiting)
    loop.run_until_complete(asyncio.sleep(0))
    assert fetch.begun.wait(PATIENCE)
    loop.close()
    return task


def test_answer_for_a_closed_loop_finds_nobody_there(
    verifier: CognitoVerifier, fetch: GatedFetch, token: str, loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    """It says nothing, and goes to the loops that are there later."""
    caplog.set_level(logging.DEBUG)
    waiting = verifier.averify(token)
    task = close_under(loop, waiting, fetch)
    fetch.open()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert run(loop, verifier.averify(token)).username == "jane"
    assert fetch.calls == 1
    assert not task.done()
    forget(task, waiting)


def test_call_thrown_away_after_its_loop_was_closed_says_nothing(
    verifier: CognitoVerifier, fetch: GatedFetch, token: str, loop: Loop
) -> None:
    """There is no loop any more that could be told."""
    waiting = verifier.averify(token)
    task = close_under(loop, waiting, fetch)
    forget(task, waiting)
    fetch.open()
    assert verifier.verify(token).username == "jane"


def forget(task: asyncio.Task[Principal], waiting: Coroutine[Any, Any, Principal]) -> None:
    """Do away with a task that its loop has left behind, without asyncio's word on whoever closed the loop."""
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    waiting.close()


def test_one_verifier_serves_one_loop_after_the_other(verifier: CognitoVerifier, fetch: GatedFetch, token: str) -> None:
    """Nothing of a loop stays in the verifier."""
    fetch.gate.set()
    principals = [asyncio.run(verifier.averify(token)) for _ in range(3)]
    assert principals == [verifier.verify(token)] * 3
    assert fetch.calls == 1


def by_hand(waiting: Coroutine[Any, Any, Principal]) -> Principal:
    """Run a coroutine that never waits, under nobody's loop."""
    try:
        waiting.send(None)
    except StopIteration as stop:
        principal: Principal = stop.value
        return principal
    raise AssertionError("expected a call that does not wait")


def by_trio(waiting: Coroutine[Any, Any, Principal]) -> Principal:
    """Run a coroutine under trio."""

    async def awaited() -> Principal:
        return await waiting

    principal: Principal = import_module("trio").run(awaited)
    return principal


@pytest.mark.parametrize("drive", [by_hand, *([by_trio] if find_spec("trio") else [])])
def test_call_that_must_wait_outside_asyncio_says_so(
    verifier: CognitoVerifier, fetch: GatedFetch, token: str, drive: Callable[[Any], Principal]
) -> None:
    """Another loop than asyncio's gets Python's own error, not a call that hangs; a held key needs no loop at all."""
    with pytest.raises(RuntimeError, match="no running event loop"):
        drive(verifier.averify(token))
    fetch.open()
    assert drive(verifier.averify(token)).username == "jane"
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
