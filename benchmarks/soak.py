"""
A day in minutes: callers good, bad and flooding, through rotations and outages, and every answer checked.

    python -m benchmarks.soak --seconds 600

Time is real and the key endpoint is at the other end of a socket; only the schedule is shorter than in production.
What an answer may be follows from what the fetches brought so far and from when the endpoint was out of order.
Exits with 1 on a wrong answer, too many fetches, memory that grows, or anything left over.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import math
import os
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from random import Random
from sched import scheduler
from threading import Event, Lock
from typing import NamedTuple, Self

from cognito_guard import CognitoVerifier, FetchError, HTTPSFetch, Reason, RefreshSchedule, RefusalError
from cognito_guard.keys.keyset import InvalidKeySetError, KeySet
from cognito_guard.keys.remote import REFRESH_THREAD
from cognito_guard.testing import FakeUserPool, Fault, FaultyJWKSServer, HostileToken, hostile_tokens

SCHEDULE = RefreshSchedule(fresh_for=4.0, stale_for=8.0, cooldown=1.0, burst=2, backoff=0.25, deadline=3.0)
USABLE_FOR = SCHEDULE.fresh_for + SCHEDULE.stale_for
SLACK = 2.0
"""Seconds between an event and its note, on a busy machine."""
CACHE = 256
"""Tokens remembered: fewer than are in circulation, so that they push each other out."""
MAX_GROWTH = 8 * 1024 * 1024
"""Bytes by which the process may have grown between the end of the warm-up and the end."""

# While the endpoint answers, a held set is this old at most.
_MAX_AGE = SCHEDULE.fresh_for + SCHEDULE.deadline
# More fetches than one answer can take.
_RECENT = 32
_THREADS = 8
_LOOPS = 2
_TASKS = 16
_CIRCULATING = 400
_REPORT_EVERY = 30.0
_DAY = 70.0
# A shorter run says nothing of memory.
_WARM_UP = 2 * _DAY
# Nobody needs a key to refuse these, so that no outage changes the answer.
_WITHOUT_A_KEY = frozenset(
    {
        Reason.MALFORMED_TOKEN,
        Reason.OVERSIZED_TOKEN,
        Reason.ENCRYPTED_TOKEN,
        Reason.UNSUPPORTED_ALGORITHM,
        Reason.UNSUPPORTED_HEADER,
        Reason.WRONG_ISSUER,
    }
)
# Nor these, as the catalogue names them.
_WITHOUT_ISSUER = "claim-iss-"
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """
    Hold a token and what becomes of it where its key is at hand.

    Attributes:
        token: the text.
        kid: the published key that it takes to tell; "" for one that never is published, None where it takes none.
        reason: why it is refused then; None where it is accepted.
    """

    token: str = field(repr=False)
    kid: str | None
    reason: Reason | None


class _Brought(NamedTuple):
    """Hold when a fetch brought which key IDs."""

    at: float
    kids: frozenset[str]


class History:
    """
    Note what happens to keys and endpoint, and tell what an answer may have been; times are monotonic seconds.

    Attributes:
        fetches: how many were begun.
        failures: how many of them brought no key set.
    """

    def __init__(self) -> None:
        self.fetches = 0
        self.failures = 0
        self._brought: list[_Brought] = []
        self._published: dict[str, float] = {}
        self._outages: list[tuple[float, float]] = []
        self._stray_at = -math.inf

    def brought(self, kids: Iterable[str]) -> None:
        """Note a fetch that brought these keys."""
        self._brought.append(_Brought(time.monotonic(), frozenset(kids)))

    def published(self, kids: Iterable[str]) -> None:
        """Note that these keys are published, from a moment before this one on."""
        for kid in kids:
            self._published.setdefault(kid, time.monotonic())

    def withdrawn(self, kids: Iterable[str]) -> None:
        """Note that these keys are published no longer, from a moment after this one on."""
        for kid in kids:
            del self._published[kid]

    def outage_began(self) -> None:
        """Note that fetches fail, from a moment after this one on."""
        self._outages.append((time.monotonic(), math.inf))

    def outage_ended(self) -> None:
        """Note that fetches work, from a moment before this one on."""
        self._outages[-1] = self._outages[-1][0], time.monotonic()

    def presented(self, sample: Sample) -> None:
        """Note what is presented next."""
        if sample.kid is not None and sample.kid not in self._published:
            self._stray_at = time.monotonic()

    def allows(self, sample: Sample, outcome: Reason | None, began: float, ended: float) -> bool:
        """Tell whether an answer that was given between two times was a right one."""
        if sample.kid is None:
            return outcome is sample.reason
        held = self._held(began, ended)
        if outcome is Reason.KEYS_UNAVAILABLE:
            is_usable = all(sample.kid in kids and ended - at < USABLE_FOR for at, kids in held)
            return self._is_disturbed(began, ended) and not is_usable
        max_age = USABLE_FOR if self._is_disturbed(began - SCHEDULE.fresh_for, ended) else _MAX_AGE
        usable = [kids for at, kids in held if began - at < max_age + SLACK]
        if outcome is Reason.UNKNOWN_KEY:
            return self._may_be_unknown(sample.kid, began, ended) and any(sample.kid not in kids for kids in usable)
        return outcome is sample.reason and any(sample.kid in kids for kids in usable)

    def max_fetches(self, began: float, ended: float) -> float:
        """Return how many fetches the schedule allows between two times."""
        tries = SCHEDULE.burst + (ended - began) / SCHEDULE.cooldown
        refreshes = 1 + (ended - began) / SCHEDULE.fresh_for
        # A backoff doubles five times until it is the longest, and begins anew with each outage.
        failures = sum(6 + (min(end, ended) - start) / SCHEDULE.max_backoff for start, end in self._outages)
        return tries + refreshes + failures

    def _held(self, began: float, ended: float) -> list[_Brought]:
        """Return every key set that may have been the held one."""
        brought = [one for one in self._brought[-_RECENT:] if one.at <= ended]
        older = [one for one in brought if one.at <= began - SLACK]
        return older[-1:] + brought[len(older) :]

    def _is_disturbed(self, began: float, ended: float) -> bool:
        """Tell whether a fetch between two times, or the last one before, may have failed."""
        echo = SCHEDULE.max_backoff + SCHEDULE.deadline + SLACK
        return any(start <= ended and began < end + echo for start, end in self._outages)

    def _may_be_unknown(self, kid: str, began: float, ended: float) -> bool:
        published = self._published.get(kid)
        if published is None:
            return True
        # A published key is unknown for one cooldown at most, and only where others have emptied the bucket.
        wait = SCHEDULE.cooldown + SCHEDULE.deadline + SLACK
        has_waited = began - published > wait and not self._is_disturbed(began - wait, ended)
        is_quiet = ended - self._stray_at > SCHEDULE.burst * SCHEDULE.cooldown + SCHEDULE.deadline + SLACK
        return not has_waited and not is_quiet


class RecordedFetch:
    """Fetch over HTTP, and note it."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._fetch = HTTPSFetch()

    def __call__(self, uri: str, timeout: float, /) -> bytes:
        """Fetch the document."""
        self._history.fetches += 1
        try:
            body = self._fetch(uri, timeout)
        except FetchError:
            self._history.failures += 1
            raise
        try:
            self._history.brought(KeySet.from_json(body).by_kid)
        except InvalidKeySetError:
            self._history.failures += 1
        return body


def published(pool: FakeUserPool) -> frozenset[str]:
    """Return the IDs of the keys that are published now."""
    return frozenset(key["kid"] for key in pool.jwks["keys"])


class Traffic:
    """
    Mint what is presented: tokens seen before and new ones, hostile ones, and strays while there is a flood.

    Attributes:
        floods: whether there is one.
    """

    def __init__(self, pool: FakeUserPool, history: History) -> None:
        self.floods = False
        self._pool = pool
        self._circulating: deque[Sample] = deque(maxlen=_CIRCULATING)
        self._hostile: list[Sample] = []
        self._stray: list[Sample] = []
        history.published(published(pool))
        self.renew()

    def renew(self) -> None:
        """Make the hostile tokens for the keys of now."""
        samples = [self._sample(one) for one in hostile_tokens(self._pool)]
        self._stray = [sample for sample in samples if sample.reason is Reason.UNKNOWN_KEY]
        self._hostile = [sample for sample in samples if sample.reason is not Reason.UNKNOWN_KEY]

    def pick(self, random: Random) -> Sample:
        """Return what somebody presents next."""
        chance = random.random()
        if chance < 0.05 or not self._circulating:
            minted = self._minted()
            self._circulating.append(minted)
            return minted
        if chance < 0.3:
            return random.choice(self._hostile)
        if chance < 0.4 and self.floods:
            return random.choice(self._stray)
        return random.choice(self._circulating)

    def _sample(self, hostile: HostileToken) -> Sample:
        kid: str | None = self._pool.access_key.kid
        if hostile.reason in _WITHOUT_A_KEY or hostile.name.startswith(_WITHOUT_ISSUER):
            kid = None
        elif hostile.reason is Reason.UNKNOWN_KEY:
            kid = ""
        return Sample(token=hostile.token, kid=kid, reason=hostile.reason)

    def _minted(self) -> Sample:
        key = self._pool.access_key
        return Sample(token=self._pool.access_token(key=key), kid=key.kid, reason=None)


class Callers:
    """
    Present tokens and check what becomes of them, at a bounded rate, on threads and on event loops.

    Attributes:
        answers: how often each reason was given; None for a principal.
        wrong: the last answers that must not have been given, in words.
        wrong_count: how many there were.
    """

    def __init__(self, verifier: CognitoVerifier, traffic: Traffic, history: History, *, rate: float) -> None:
        self.answers: Counter[Reason | None] = Counter()
        self.wrong: deque[str] = deque(maxlen=20)
        self.wrong_count = 0
        self._verifier = verifier
        self._traffic = traffic
        self._history = history
        self._interval = (_THREADS + _LOOPS * _TASKS) / rate
        self._lock = Lock()
        self._stopped = Event()

    def start(self, threads: ThreadPoolExecutor) -> list[Future[None]]:
        """Begin; what a caller did not expect is in its future."""
        return [
            *(threads.submit(self._in_thread, Random(seed)) for seed in range(_THREADS)),
            *(threads.submit(self._in_loop, 1000 * (1 + loop)) for loop in range(_LOOPS)),
        ]

    def stop(self) -> None:
        """Let all come to an end."""
        self._stopped.set()

    def _in_thread(self, random: Random) -> None:
        for wait in self._pace(random):
            self._stopped.wait(wait)
            sample, began = self._next(random)
            try:
                self._verifier.verify(sample.token)
            except RefusalError as error:
                self._judge(sample, error.reason, began)
            else:
                self._judge(sample, None, began)

    def _in_loop(self, seed: int) -> None:
        async def run() -> None:
            async with asyncio.TaskGroup() as tasks:
                for task in range(_TASKS):
                    tasks.create_task(self._in_task(Random(seed + task)))

        asyncio.run(run())

    async def _in_task(self, random: Random) -> None:
        for wait in self._pace(random):
            await asyncio.sleep(wait)
            sample, began = self._next(random)
            try:
                await self._verifier.averify(sample.token)
            except RefusalError as error:
                self._judge(sample, error.reason, began)
            else:
                self._judge(sample, None, began)

    def _pace(self, random: Random) -> Iterator[float]:
        """Yield the seconds to wait before each request; what a hanging endpoint cost is not made up for."""
        due = time.monotonic() + random.random() * self._interval
        while not self._stopped.is_set():
            now = time.monotonic()
            yield max(0.0, due - now)
            due = max(due, now) + self._interval

    def _next(self, random: Random) -> tuple[Sample, float]:
        sample = self._traffic.pick(random)
        self._history.presented(sample)
        return sample, time.monotonic()

    def _judge(self, sample: Sample, outcome: Reason | None, began: float) -> None:
        ended = time.monotonic()
        is_right = self._history.allows(sample, outcome, began, ended)
        with self._lock:
            self.answers[outcome] += 1
            if not is_right:
                self.wrong_count += 1
                self.wrong.append(f"{outcome} for {sample}, in {ended - began:.3f} s until {ended:.3f}")


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
    with FaultyJWKSServer(pool) as server, ThreadPoolExecutor(_THREADS + _LOOPS) as threads:
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
