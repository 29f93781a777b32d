"""
What the key endpoint sees and what callers wait, over real loopback HTTP, in the hard moments of a key set.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from cognito_guard import CognitoVerifier, HTTPSFetch, RefreshSchedule, UnavailableError, UnknownKeyError
from cognito_guard.testing import FakeClock, FakeUserPool

from .harness import Effort, Figure, single, spread

_SLOW = 0.2


def run(_: Effort) -> list[Figure]:
    """Measure each moment once; counts are exact, times are of this run."""
    return [
        *_cold_start("100 threads", _by_threads),
        *_cold_start("100 tasks", _by_tasks),
        *_cold_start("100 threads and 100 tasks", _by_both),
        *_flood(),
        *_expiry(),
        *_hanging(),
        _event_loop_gap(),
    ]


class _SlowFetch:
    """Fetch over HTTP, and take a given time more."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.count = 0
        self._fetch = HTTPSFetch()

    def __call__(self, uri: str, timeout: float, /) -> bytes:
        self.count += 1
        time.sleep(self.seconds)
        return self._fetch(uri, timeout)


@contextmanager
def _endpoint(seconds: float, **options: Any) -> Generator[tuple[FakeUserPool, CognitoVerifier, _SlowFetch]]:
    pool = FakeUserPool()
    fetch = _SlowFetch(seconds)
    with pool.serve() as server:
        yield pool, server.verifier(fetch=fetch, **options), fetch


def _cold_start(name: str, ask: Callable[[CognitoVerifier, str], None]) -> list[Figure]:
    with _endpoint(_SLOW) as (pool, verifier, fetch):
        token = pool.access_token()
        seconds = _seconds(lambda: ask(verifier, token))
    return [
        single(f"cold, {name} at once: fetches", fetch.count, "fetches", 1),
        single(f"cold, {name} at once: beyond the fetch", (seconds - _SLOW) * 1000, "ms", 50),
    ]


def _flood() -> list[Figure]:
    with _endpoint(1.0) as (pool, verifier, fetch):
        good = pool.access_token()
        verifier.prefetch()
        before = fetch.count
        forged = [pool.access_token(header={"kid": f"invented {n}"}) for n in range(300)]
        flood = threading.Thread(target=lambda: _refused(verifier, *forged))
        flood.start()
        waits = [_seconds(lambda: verifier.verify(good)) * 1000 for _ in range(300)]
        flood.join()
    return [
        single("flood of 300 unknown kids: fetches", fetch.count - before, "fetches", 2),
        spread("a good token meanwhile, endpoint takes 1 s", waits, "ms", 1),
    ]


def _expiry() -> list[Figure]:
    timer = FakeClock()
    with _endpoint(_SLOW, timer=timer) as (pool, verifier, fetch):
        token = pool.access_token()
        verifier.prefetch()
        before = fetch.count
        timer.tick(601)
        waits: list[float] = []
        _together(50, lambda: waits.append(_seconds(lambda: verifier.verify(token)) * 1000))
    worst = max(waits)
    return [
        single("keys turn stale under 50 threads: fetches", fetch.count - before, "fetches", 1),
        single("keys turn stale under 50 threads: worst wait", worst, "ms", 15),
    ]


def _hanging() -> list[Figure]:
    deadline = 0.5
    with _endpoint(2.0, schedule=RefreshSchedule(deadline=deadline)) as (pool, verifier, fetch):
        token = pool.access_token()
        seconds = _seconds(lambda: _together(8, lambda: _refused(verifier, token)))
    return [
        single("endpoint hangs, 8 cold threads: fetches", fetch.count, "fetches", 1),
        single("endpoint hangs, 8 cold threads: beyond the deadline", (seconds - deadline) * 1000, "ms", 50),
    ]


def _event_loop_gap() -> Figure:
    async def widest() -> float:
        fetching = asyncio.ensure_future(verifier.averify(token))
        gap, last = 0.0, time.perf_counter()
        while not fetching.done():
            await asyncio.sleep(0)
            now = time.perf_counter()
            gap, last = max(gap, now - last), now
        assert fetching.result().username == "jane"
        return gap

    with _endpoint(_SLOW) as (pool, verifier, _):
        token = pool.access_token()
        return single("longest stop of the event loop in a fetch", asyncio.run(widest()) * 1000, "ms", 10)


def _by_threads(verifier: CognitoVerifier, token: str) -> None:
    _together(100, lambda: verifier.verify(token))


def _by_tasks(verifier: CognitoVerifier, token: str) -> None:
    async def gathered() -> None:
        await asyncio.gather(*(verifier.averify(token) for _ in range(100)))

    asyncio.run(gathered())


def _by_both(verifier: CognitoVerifier, token: str) -> None:
    tasks = threading.Thread(target=_by_tasks, args=(verifier, token))
    tasks.start()
    _by_threads(verifier, token)
    tasks.join()


def _together(count: int, call: Callable[[], object]) -> None:
    threads = [threading.Thread(target=call) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _refused(verifier: CognitoVerifier, *tokens: str) -> None:
    for token in tokens:
        try:
            verifier.verify(token)
        except (UnknownKeyError, UnavailableError):
            continue
        raise AssertionError("accepted")


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
