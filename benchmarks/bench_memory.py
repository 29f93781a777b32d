"""
What remembered tokens weigh, and that no number of them weighs more than their bound.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator

from cognito_guard.testing import FakeUserPool

from .harness import Effort, Figure, single
from .subjects import GROUPS, TRANSACTIONS, access_tokens

_ENTRIES = 1000
_DISTINCT = 50  # times the tokens that are alive elsewhere: 100 000 of them
_BAR_BYTES = 3 * 1024


def run(effort: Effort) -> list[Figure]:
    """Fill a verifier's memory once, then many times over with tokens that it has not seen."""
    pool = FakeUserPool(resource_servers=[TRANSACTIONS])
    verifier = pool.verifier(token_cache_size=_ENTRIES)
    verifier.verify(access_tokens(pool, 1)[0])
    tracemalloc.start()
    empty = _bytes()
    for token in _minted(pool, min(_ENTRIES, effort.tokens)):
        verifier.verify(token)
    entry = (_bytes() - empty) / min(_ENTRIES, effort.tokens)
    distinct = _DISTINCT * effort.tokens
    heaviest = 0
    for n, token in enumerate(_minted(pool, distinct), start=1):
        assert verifier.verify(token).groups == set(GROUPS)
        if n % (distinct // 10) == 0:
            heaviest = max(heaviest, _bytes() - empty)
    tracemalloc.stop()
    return [
        single("a remembered token", entry, "bytes", _BAR_BYTES),
        single(
            f"memory of {_ENTRIES} tokens after {distinct} distinct ones, for each of the {_ENTRIES}",
            heaviest / _ENTRIES,
            "bytes",
            _BAR_BYTES,
        ),
    ]


def _minted(pool: FakeUserPool, count: int) -> Iterator[str]:
    """Mint tokens one by one: held all at once they would weigh more than what is measured."""
    for _ in range(count):
        yield access_tokens(pool, 1)[0]


def _bytes() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
