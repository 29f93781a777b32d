"""
How the cost of a verification grows: with the tokens alive, the keys published, a token's size, the processes.
"""

from __future__ import annotations

import json
import os
import random
import time
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context

from cognito_guard.testing import FakeUserPool

from .harness import Absent, Batch, Effort, Result, pin, ratios, spread
from .subjects import TRANSACTIONS, access_tokens, bare_check, each, shuffled

_REMEMBERED = 4096  # what a verifier remembers by default
_DISTINCT = (1, 10, 100, 1000, 4000, 8000, 20_000)
_MANY = (100_000, 1_000_000)
_DRAWS = 50_000  # more than are ever taken: a second turn through them would meet what the first one left
_KEYS = (2, 10, 50, 100)
_KILOBYTES = (1, 2, 4, 8, 16)
_START = 0.1  # seconds until all processes have heard of it
_WINDOW = 0.3  # seconds that they work


def run(effort: Effort) -> list[Result]:
    """Measure on one core, and worker processes on as many as there are."""
    workers = _workers(effort)
    pin()
    pool = FakeUserPool(resource_servers=[TRANSACTIONS])
    control = bare_check(pool.access_key.private_key.public_key(), access_tokens(pool, min(500, effort.tokens)))
    cases = {**_distinct(pool, effort), **_keys(pool, effort), **_sizes(pool, effort)}
    return [*ratios({name: (batch, None) for name, batch in cases.items()}, control=control, effort=effort), *workers]


def _distinct(pool: FakeUserPool, effort: Effort) -> dict[str, Batch]:
    """Return tokens drawn at random: beyond what is remembered, some are new each time they come."""
    counts = [count for count in _DISTINCT if count <= 10 * effort.tokens] + (list(_MANY) if effort.full else [])
    minted = access_tokens(pool, counts[-1])
    return {f"tokens alive: {count}": _drawing(pool, minted[:count]) for count in counts}


def _drawing(pool: FakeUserPool, tokens: Sequence[str]) -> Batch:
    verifier = pool.verifier()
    for token in tokens[-_REMEMBERED:]:
        assert verifier.verify(token).username is not None
    return each(verifier.verify, random.Random(5).choices(tokens, k=_DRAWS))


def _keys(pool: FakeUserPool, effort: Effort) -> dict[str, Batch]:
    tokens = access_tokens(pool, min(500, effort.tokens))
    cases: dict[str, Batch] = {}
    for count in _KEYS:
        document = {"keys": [*pool.jwks["keys"], *map(_made_up_key, range(count - 2))]}
        published = json.dumps(document).encode()

        def fetch(_: str, __: float, /, published: bytes = published) -> bytes:
            return published

        verifier = pool.verifier(token_cache_size=0, fetch=fetch)
        assert verifier.verify(tokens[0]).username == "user0"
        cases[f"{count} keys published, token new"] = each(verifier.verify, tokens)
    return cases


def _made_up_key(number: int) -> dict[str, str]:
    """Return a JWK that nobody has the private half of: any odd number looks like a modulus."""
    modulus = random.Random(number).getrandbits(2048) | 1 << 2047 | 1
    encoded = urlsafe_b64encode(modulus.to_bytes(256, "big")).rstrip(b"=").decode()
    return {"alg": "RS256", "e": "AQAB", "kid": f"made up {number}", "kty": "RSA", "n": encoded, "use": "sig"}


def _sizes(pool: FakeUserPool, effort: Effort) -> dict[str, Batch]:
    cases: dict[str, Batch] = {}
    for kilobytes in _KILOBYTES:
        # Base64 makes four characters of three.
        padding = "x" * max(0, (kilobytes * 1024 - len(access_tokens(pool, 1, profile="")[0])) * 3 // 4)
        tokens = access_tokens(pool, min(200, effort.tokens), profile=padding)
        assert abs(len(tokens[0]) - kilobytes * 1024) < 256
        new = pool.verifier(token_cache_size=0, max_token_bytes=20_000)
        seen = pool.verifier(max_token_bytes=20_000)
        for token in tokens:
            assert seen.verify(token) == new.verify(token)
        cases[f"token of {kilobytes} KB, new"] = each(new.verify, tokens)
        cases[f"token of {kilobytes} KB, seen"] = each(seen.verify, shuffled(tokens))
    return cases


def _workers(effort: Effort) -> list[Result]:
    name = "verifications per second, two worker processes over one"
    if (os.cpu_count() or 1) < 2:
        return [Absent(name=name, why="one core")]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn"), initializer=_new_tokens) as processes:

        def rate(count: int) -> float:
            start = time.time() + _START
            return sum(work.result() for work in [processes.submit(_verified, start) for _ in range(count)]) / _WINDOW

        # The first round starts the processes, too late for it.
        rounds = [(rate(1), rate(2)) for _ in range(1 + max(2, effort.rounds // 6))][1:]
    return [spread(name, [two / one for one, two in rounds], "x")]


@cache
def _new_tokens() -> Batch:
    """Return what a worker process does: verify tokens that are new to it."""
    pool = FakeUserPool()
    return each(pool.verifier(token_cache_size=0).verify, access_tokens(pool, 20))


def _verified(start: float) -> int:
    """Return how many tokens this process verifies from a moment on, the same one for all processes."""
    batch, count = _new_tokens(), 0
    while time.time() < start:
        pass
    while time.time() < start + _WINDOW:
        batch(10)
        count += 10
    return count
