"""
Who calls in the soak, with what: tokens good, hostile and unknown, on threads and on event loops, each answer checked.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from random import Random
from threading import Event, Lock

from cognito_guard import CognitoVerifier, FetchError, HTTPSFetch, Reason, RefusalError
from cognito_guard.keys.keyset import InvalidKeySetError, KeySet
from cognito_guard.testing import FakeUserPool, HostileToken, hostile_tokens

from .soak_history import History, Sample

_THREADS = 8
_LOOPS = 2
_TASKS = 16
WORKERS = _THREADS + _LOOPS
"""Threads that callers need."""

_CIRCULATING = 400
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
