"""One verifier, many callers: what the tests of threads, event loops and processes share."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import import_module
from importlib.util import find_spec
from threading import Event, Lock
from typing import Any

from cognito_guard import Principal, Reason, RefusalError, Verifier
from cognito_guard.keys.remote import REFRESH_THREAD
from cognito_guard.testing import FakeUserPool

PATIENCE = 30.0
"""Seconds that nothing here takes unless it hangs."""
FOR_EVER = 3 * PATIENCE
"""A deadline that comes too late to save a test that hangs."""

LOOPS: Mapping[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    **({"uvloop": import_module("uvloop").new_event_loop} if find_spec("uvloop") else {}),
}
"""What makes an event loop, by name."""


class GatedFetch:
    """
    Fetch a user pool's keys once a gate opens.

    Attributes:
        gate: fetches wait until it is open, with the document in hand: it may be outdated by then.
        begun: set with the first fetch, once it has read the document.
        calls: how many fetches began; one that fails asks each of the pool's two endpoints.
        document: what is published in place of the pool's own keys, where there is something.
        error: raised in place of an answer, where there is one.
    """

    def __init__(self, pool: FakeUserPool) -> None:
        self.gate = Event()
        self.begun = Event()
        self.calls = 0
        self.document: bytes | None = None
        self.error: BaseException | None = None
        self._pool = pool
        self._lock = Lock()

    def __call__(self, uri: str, timeout: float, /) -> bytes:
        with self._lock:
            self.calls += 1
        document, error = self.document or self._pool.fetch(uri, timeout), self.error
        self.begun.set()
        assert self.gate.wait(PATIENCE)
        if error is not None:
            raise error
        return document

    def open(self) -> None:
        """Let all fetches go on, and wait for those that had begun."""
        self.gate.set()
        fetches_ended()

    def close(self) -> None:
        """Let fetches wait from now on."""
        self.gate.clear()
        self.begun.clear()


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


def fetches_ended() -> None:
    """Wait for every fetch in flight."""
    for thread in threading.enumerate():
        # One that is about to start is not alive yet, can't be joined, and has read nothing.
        if thread.name == REFRESH_THREAD and thread.is_alive():
            thread.join(PATIENCE)
            assert not thread.is_alive()


def in_threads(count: int, work: Callable[[], Any]) -> list[Future[Any]]:
    """Start as many threads; who lets them wait for something brings it about before reading the results."""
    threads = ThreadPoolExecutor(count)
    futures = [threads.submit(work) for _ in range(count)]
    threads.shutdown(wait=False)
    return futures


def verdict(verifier: Verifier, token: str) -> Principal | Reason:
    """Return the principal, or the reason of the refusal."""
    try:
        return verifier.verify(token)
    except RefusalError as error:
        return error.reason


async def averdict(verifier: Verifier, token: str) -> Principal | Reason:
    """Return the principal, or the reason of the refusal."""
    try:
        return await verifier.averify(token)
    except RefusalError as error:
        return error.reason


def environment(pool: FakeUserPool, jwks_uri: str) -> dict[str, str]:
    """Return the environment of a process whose verifier is made from it."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "COGNITO_USER_POOL_ID": pool.user_pool_id,
        "COGNITO_CLIENT_ID": pool.client_id,
        "COGNITO_JWKS_URI": jwks_uri,
        "COGNITO_ALLOW_INSECURE_HTTP": "true",
    }
