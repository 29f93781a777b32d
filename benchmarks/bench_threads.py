"""
What a verification costs beside a thread that computes: who releases the interpreter must wait to get it back.

A token seen before is answered without releasing it; the signature check of a new one releases it once.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from cognito_guard.testing import FakeUserPool

from .harness import Effort, Figure, single
from .subjects import access_tokens, check, prepared, shuffled

_PAUSE = 0.0005  # seconds between two requests, in which the other thread takes the interpreter
_BAR_MICROSECONDS = 150
_LARGE = "x" * 2300  # makes a token of 4 KB


def run(effort: Effort) -> list[Figure]:
    """Measure on all cores, as a server has them: on one, the other thread would sleep through the gap."""
    pool = FakeUserPool()
    count = min(200, effort.tokens)
    sizes = {"1 KB": access_tokens(pool, count), "4 KB": access_tokens(pool, count, profile=_LARGE)}
    figures: list[Figure] = []
    with _computing():
        for size, tokens in sizes.items():
            seen, new = pool.verifier(), pool.verifier(token_cache_size=0)
            for token in tokens:
                assert seen.verify(token) == new.verify(token)
            order = shuffled(tokens)
            figures += _percentiles(f"token of {size}, seen", seen.verify, order, _BAR_MICROSECONDS)
            figures += _percentiles(f"token of {size}, new", new.verify, order, None)
        figures += _percentiles("bare RSA check", _bare(pool), sizes["1 KB"], None)
    return figures


def _bare(pool: FakeUserPool) -> Callable[[str], None]:
    key = pool.access_key.private_key.public_key()
    return lambda token: check(key, *prepared(token))


@contextmanager
def _computing() -> Generator[None]:
    """Let another thread compute all the while."""
    enough = threading.Event()

    def compute() -> None:
        while not enough.is_set():
            sum(range(1000))

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


def _percentiles(name: str, call: Callable[[str], object], tokens: Sequence[str], bar: float | None) -> list[Figure]:
    microseconds: list[float] = []
    for token in tokens:
        time.sleep(_PAUSE)
        start = time.perf_counter()
        call(token)
        microseconds.append((time.perf_counter() - start) * 1e6)
    percentiles = statistics.quantiles(microseconds, n=100, method="inclusive")
    return [
        single(f"{name}: median", percentiles[49], "us", bar),
        single(f"{name}: 99th percentile", percentiles[98], "us"),
    ]
