"""
What is measured, over and over: a user pool, its tokens, and the bare RSA check beside them.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from base64 import urlsafe_b64decode
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from cognito_guard import ResourceServer
from cognito_guard.testing import FakeUserPool

from .harness import Batch

TRANSACTIONS = ResourceServer("transactions", {"get": "Read", "post": "Write"})
GROUPS = ("tellers", "auditors")
_ATTRIBUTES = {"tenant": "t-42", "department": "accounts payable", "employee": 4711, "locale": "de-DE", "beta": True}
_PADDING, _HASH = PKCS1v15(), SHA256()
_T = TypeVar("_T")


def access_tokens(pool: FakeUserPool, count: int, **options: Any) -> list[str]:
    """
    Mint access tokens as the managed login yields them, each for another user: user0, user1, ...

    Args:
        pool: signs them.
        count: how many.
        options: more arguments of `FakeUserPool.access_token`.
    """
    scopes = ["openid", *TRANSACTIONS.scopes]
    return [
        pool.access_token(username=f"user{n}", scopes=scopes, groups=GROUPS, from_oauth_endpoint=True, **options)
        for n in range(count)
    ]


def id_tokens(pool: FakeUserPool, count: int) -> list[str]:
    """Mint ID tokens with five custom attributes, each for another user: user0, user1, ..."""
    return [
        pool.id_token(username=f"user{n}", attributes=_ATTRIBUTES, groups=GROUPS, from_oauth_endpoint=True)
        for n in range(count)
    ]


def shuffled(values: Iterable[_T]) -> list[_T]:
    """Return the values in another order, the same one in each run."""
    listed = list(values)
    return random.Random(3).sample(listed, len(listed))


def prepared(token: str) -> tuple[bytes, bytes]:
    """Return a token's signature and what it signs, ready for the bare check."""
    message, _, signature = token.rpartition(".")
    return urlsafe_b64decode(signature + "=="), message.encode()


def check(key: RSAPublicKey, signature: bytes, message: bytes) -> None:
    """Do nothing but RSA."""
    key.verify(signature, message, _PADDING, _HASH)


def bare_check(key: RSAPublicKey, tokens: Iterable[str]) -> Batch:
    """Return the control: nothing but RSA, everything prepared."""
    verify = key.verify
    endless = itertools.cycle([prepared(token) for token in tokens])

    def batch(size: int) -> None:
        for signature, message in itertools.islice(endless, size):
            verify(signature, message, _PADDING, _HASH)

    return batch


def each(call: Callable[[_T], object], arguments: Sequence[_T]) -> Batch:
    """Return a batch that calls a function with one argument after the other, round and round."""
    endless = itertools.cycle(arguments)

    def batch(size: int) -> None:
        for argument in itertools.islice(endless, size):
            call(argument)

    return batch


def each_awaited(runner: asyncio.Runner, call: Callable[[_T], Awaitable[object]], arguments: Sequence[_T]) -> Batch:
    """Return a batch as `each` does, of what must be awaited."""
    endless = itertools.cycle(arguments)

    async def run(size: int) -> None:
        for argument in itertools.islice(endless, size):
            await call(argument)

    return lambda size: runner.run(run(size))
