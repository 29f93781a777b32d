"""
A day in minutes: callers good, bad and flooding, through rotations and outages, and every answer checked.

    python -m benchmarks.soak --seconds 600

Time is real and the key endpoint is at the other end of a socket; only the schedule is shorter than in production.
Exits with 1 on a wrong answer, too many fetches, memory that grows, or anything left over.
"""

from __future__ import annotations

import argparse
import gc
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from sched import scheduler
from typing import Self

from cognito_guard import CognitoVerifier
from cognito_guard.keys.remote import REFRESH_THREAD
from cognito_guard.testing import FakeUserPool, Fault, FaultyJWKSServer

from .soak_history import SCHEDULE, History
from .soak_traffic import WORKERS, Callers, RecordedFetch, Traffic, published

CACHE = 256
"""Tokens remembered: fewer than are in circulation, so that they push each other out."""
MAX_GROWTH = 8 * 1024 * 1024
"""Bytes by which the process may have grown between the end of the warm-up and the end."""

_REPORT_EVERY = 30.0  # seconds
_DAY = 70.0  # seconds
# A shorter run says nothing of memory.
_WARM_UP = 2 * _DAY
# First, within the warm-up, those whose replies take the endpoint itself some memory.
_FAULTS = (
    Fault.HUGE_BODY,
    Fault.GZIP_BOMB,
    Fault.SERVICE_UNAVAILABLE,
    Fault.HANG,
    Fault.REFUSED,
    Fault.HTML,
    Fault.DRIPPING_BODY,
    Fault.RESET,
    Fault.EMPTY_KEYS,
    Fault.TRUNCATED_BODY,
    Fault.TOO_MANY_REQUESTS,
    Fault.FORBIDDEN,
    Fault.SLOW_HEADERS,
    Fault.REDIRECT_AWAY,
)


class Days:
    """Let rotations, withdrawals, floods and outages come and go, the same each day but for the fault."""

    def __init__(self, pool: FakeUserPool, server: FaultyJWKSServer, traffic: Traffic, history: History) -> None:
        self._pool = pool
        self._server = server
        self._traffic = traffic
        self._history = history
        self._faults = cycle(_FAULTS)

    def steps(self) -> tuple[tuple[float, Callable[[], None]], ...]:
        """Return what happens on a day, and when: seconds from its beginning."""
        return (
            (5.0, self._rotate),
            (11.0, self._withdraw),
            (17.0, self._flood),
            (20.0, self._rotate_at_once),
            (28.0, self._outage_begins),
            (35.0, self._outage_ends),
            (40.0, self._calm),
            (44.0, self._outage_begins),
            (48.0, self._rotate),
            (59.0, self._outage_ends),
        )

    def _outage_begins(self) -> None:
        self._history.outage_began()
        self._server.down(next(self._faults))

    def _outage_ends(self) -> None:
        self._server.up()
        self._history.outage_ended()

    def _rotate(self) -> None:
        self._pool.rotate()
        self._keys_changed()

    def _rotate_at_once(self) -> None:
        self._history.withdrawn(published(self._pool))
        self._pool.rotate(publish_old=False)
        self._keys_changed()

    def _withdraw(self) -> None:
        self._history.withdrawn(published(self._pool) - {self._pool.access_key.kid, self._pool.id_key.kid})
        self._pool.withdraw()
        self._keys_changed()

    def _keys_changed(self) -> None:
        self._history.published(published(self._pool))
        self._traffic.renew()

    def _flood(self) -> None:
        self._traffic.floods = True

    def _calm(self) -> None:
        self._traffic.floods = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """
    Hold what the process uses.

    Attributes:
        rss: bytes of memory.
        threads: how many.
        files: open file descriptors.
    """

    rss: int
    threads: int
    files: int

    @classmethod
    def used(cls) -> Self:
        """Look; needs Linux."""
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        files = len(os.listdir("/proc/self/fd"))
        return cls(rss=pages * os.sysconf("SC_PAGE_SIZE"), threads=threading.active_count(), files=files)

    def __str__(self) -> str:
        return f"{self.rss / 2**20:.1f} MiB, {self.threads} threads, {self.files} files"


class Watch:
    """
    Print figures while it runs, and keep those at the end of the warm-up.

    Attributes:
        problems: what is wrong so far, in words.
    """

    def __init__(self, verifier: CognitoVerifier, callers: Callers, history: History) -> None:
        self.problems: list[str] = []
        self._verifier = verifier
        self._callers = callers
        self._history = history
        self._began = time.monotonic()
        self._warm: Resources | None = None

    def report(self) -> None:
        """Print a line."""
        seconds, requests = time.monotonic() - self._began, self._callers.answers.total()
        print(
            f"{seconds:6.0f} s  {requests:8} requests  {self._callers.wrong_count} wrong  "
            f"{self._history.fetches} fetches, {self._history.failures} failed  {self._cached} cached  "
            f"{Resources.used()}",
            flush=True,
        )

    def warm_up_ends(self) -> None:
        """Take the figures that those of the end are measured against."""
        self._warm = Resources.used()
        print(f"warm: {self._warm}", flush=True)

    def conclude(self) -> None:
        """Find what is wrong, once all callers have come to an end."""
        self.report()
        for reason, count in self._callers.answers.most_common():
            print(f"{count:10} {reason or 'accepted'}")
        allowed = self._history.max_fetches(self._began, time.monotonic())
        print(f"{self._history.fetches} fetches where the schedule allows {allowed:.0f}")
        self.problems.extend(self._callers.wrong)
        if self._history.fetches > allowed:
            self.problems.append("more fetches than allowed")
        if self._cached > CACHE:
            self.problems.append(f"{self._cached} tokens are cached, of {CACHE} at most")
        if self._warm is not None and Resources.used().rss > self._warm.rss + MAX_GROWTH:
            self.problems.append(f"memory grew by more than {MAX_GROWTH / 2**20:.0f} MiB")

    @property
    def _cached(self) -> int:
        return len(vars(self._verifier)["_memo"])


def soak(*, seconds: float, rate: float) -> list[str]:
    """
    Let callers call for a while, print figures, and return what is wrong, in words.

    Args:
        seconds: for how long.
        rate: requests per second.
    """
    before = Resources.used()
    print(f"start: {before}", flush=True)
    problems = _under_way(seconds, rate)
    gc.collect()
    after = Resources.used()
    print(f"end: {after}")
    if after.threads > before.threads or after.files > before.files:
        problems.append("threads or files are left over")
    return problems


def _under_way(seconds: float, rate: float) -> list[str]:
    history, pool = History(), FakeUserPool()
    traffic = Traffic(pool, history)
    with FaultyJWKSServer(pool) as server, ThreadPoolExecutor(WORKERS) as threads:
        verifier = server.verifier(fetch=RecordedFetch(history), schedule=SCHEDULE, token_cache_size=CACHE)
        verifier.prefetch()
        callers = Callers(verifier, traffic, history, rate=rate)
        watch = Watch(verifier, callers, history)
        under_way = callers.start(threads)
        try:
            _agenda(seconds, Days(pool, server, traffic, history), watch).run()
        finally:
            callers.stop()
            server.up()
        for caller in under_way:
            caller.result()
        _fetch_ended()
        watch.conclude()
    return watch.problems


def _agenda(seconds: float, days: Days, watch: Watch) -> scheduler:
    """Return what happens when, to the end."""
    agenda = scheduler(time.monotonic, time.sleep)
    for day in range(math.ceil(seconds / _DAY)):
        for at, step in days.steps():
            if day * _DAY + at < seconds:
                agenda.enter(day * _DAY + at, 0, step)
    for number in range(1, math.ceil(seconds / _REPORT_EVERY)):
        agenda.enter(number * _REPORT_EVERY, 1, watch.report)
    if seconds > _WARM_UP:
        agenda.enter(_WARM_UP, 2, watch.warm_up_ends)
    agenda.enter(seconds, 3, lambda: None)
    return agenda


def _fetch_ended() -> None:
    for thread in threading.enumerate():
        if thread.name == REFRESH_THREAD:
            thread.join(2 * SCHEDULE.deadline)


def main() -> None:
    """Run it, and exit with what came of it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rate", type=float, default=1000.0, help="requests per second")
    arguments = parser.parse_args()
    problems = soak(seconds=arguments.seconds, rate=arguments.rate)
    for problem in problems:
        print(f"WRONG: {problem}")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
