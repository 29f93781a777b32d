"""
Keys that are fetched, and fetched anew.

The only module with threads and locks.  One logic serves both colours of caller: `_lookup` never
blocks, and answers with a key, with an error, or with a ticket for the one fetch in flight, on which
a thread may block and a task may wait.  The fetch runs on a short-lived daemon thread, so that no
caller and no event loop owns it: whoever is cancelled or gives up leaves it to the others.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from typing import NamedTuple

from ..errors import UnavailableError, UnknownKeyError
from ..forksafe import ForkSafe, fork_gate
from .fetch import Fetch, FetchError
from .freshness import Held, RefreshSchedule, Step, decide, failed, nothing_held, succeeded, try_spent
from .keyset import InvalidKeySetError, Key, KeySet, load_parser

REFRESH_THREAD = "cognito-guard-keys"
"""The name of each fetch's thread."""
_log = logging.getLogger("cognito_guard.keys")
# Where the application has set up no logging, a library keeps quiet; the demo's table, for one, stays whole.
logging.getLogger("cognito_guard").addHandler(logging.NullHandler())


class _Ticket:
    """
    Stand for the one fetch in flight.

    Settled with None and not with an exception: one exception object raised in every waiter would
    collect all their tracebacks.  Over age, it is abandoned: the fetch may hang where nothing can
    interrupt it (a name server), or have stayed behind in another process (fork).
    """

    def __init__(self, expires_at: float) -> None:
        self.expires_at = expires_at
        self.brought: KeySet | None = None
        self.settled: Future[None] = Future()
        # A running future can't be cancelled, whatever becomes of the tasks that wait on it.
        self.settled.set_running_or_notify_cancel()


class _Wait(NamedTuple):
    """
    Say what a caller waits for.

    A fetch that was under way when the caller came may have read the key set before the caller's key
    was published: unless a later one has answered since, it is not the last word on a key that it lacks.
    """

    ticket: _Ticket
    joined: bool


class RemoteKeys(ForkSafe):
    """
    Serve a user pool's keys from its JWKS endpoints, under a RefreshSchedule.

    A pool may have several endpoints, one per issuer, with one key namespace: the endpoint of the
    token's issuer is asked first, the others where that fails.  An endpoint that says it has nothing
    for the pool (a pool that never switched to the updated issuer) is not asked again for a while.
    """

    def __init__(
        self,
        jwks_uris: Mapping[str, str],
        *,
        schedule: RefreshSchedule,
        fetch: Fetch,
        read: Callable[[bytes], KeySet] = KeySet.from_json,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Start with nothing held and nothing asked.

        Args:
            jwks_uris: issuer to JWKS URI, at least one.
            schedule: how long keys are trusted, how often they are asked for.
            fetch: gets a document.
            read: from a document to its keys; raises InvalidKeySetError for one without any that is usable.
            timer: monotonic seconds.
        """
        # Here, and on no fetch's thread.
        load_parser()
        self._jwks_uris = jwks_uris
        self._schedule = schedule
        self._fetch = fetch
        self._read = read
        self._timer = timer
        # Readers take this one attribute and no lock; it is replaced, never changed.
        self._held = nothing_held(timer(), schedule)
        self._refused_until: dict[str, float] = {}
        self._ticket: _Ticket | None = None
        super().__init__()

    def held(self, kid: str) -> Key | None:
        """Return the key where one is held that is fresh; takes no lock and starts nothing."""
        held = self._held
        return held.keys.by_kid.get(kid) if held.is_fresh(self._timer(), self._schedule) else None

    def get(self, issuer: str, kid: str) -> Key:
        """
        Return the key, waiting for a fetch where one is needed, at most its deadline.

        Whoever comes while a fetch is under way, with a key that it then did not bring, waits for one more.

        Raises:
            UnknownKeyError: the pool publishes no such key.
            UnavailableError: that can't be told now.
        """
        key = self.held(kid)
        if key is not None:
            return key
        found = self._lookup(issuer, kid)
        while isinstance(found, _Wait):
            self._wait(found.ticket)
            found = self._lookup(issuer, kid, found)
        return found

    async def aget(self, issuer: str, kid: str) -> Key:
        """Return the key as `get` does, without blocking the event loop."""
        key = self.held(kid)
        if key is not None:
            return key
        found = self._lookup(issuer, kid)
        while isinstance(found, _Wait):
            await self._await(found.ticket)
            found = self._lookup(issuer, kid, found)
        return found

    def prefetch(self) -> None:
        """Fetch the keys unless fresh ones are held; raise UnavailableError where none are usable then."""
        wait = self._refresh_if_due()
        if wait is not None:
            self._wait(wait.ticket)
        self._check_usable()

    async def aprefetch(self) -> None:
        """Do as `prefetch` does, without blocking the event loop."""
        wait = self._refresh_if_due()
        if wait is not None:
            await self._await(wait.ticket)
        self._check_usable()

    def _lookup(self, issuer: str, kid: str, waited: _Wait | None = None) -> Key | _Wait:
        """Return the key or what to wait for, after what the caller has waited for already."""
        while True:
            held, now = self._held, self._timer()
            may_fetch = waited is None or (waited.joined and held.keys is waited.ticket.brought)
            step = decide(held, kid, now, self._schedule, may_fetch=may_fetch)
            if step is Step.USE:
                return held.keys.by_kid[kid]
            if step is Step.UNKNOWN:
                raise UnknownKeyError
            if step is Step.UNAVAILABLE:
                raise UnavailableError(held.retry_after(now, self._schedule))
            wait = self._join_or_start(held, issuer, now, spend_try=step is Step.WAIT)
            if step is Step.USE_AND_REFRESH:
                return held.keys.by_kid[kid]
            if wait is not None:
                # Whatever is waited for the second time began after the caller came.
                return wait if waited is None else wait._replace(joined=False)

    def _refresh_if_due(self) -> _Wait | None:
        held, now = self._held, self._timer()
        if held.is_fresh(now, self._schedule) or not held.is_fetchable(now, self._schedule):
            return None
        return self._join_or_start(held, next(iter(self._jwks_uris)), now, spend_try=False)

    def _check_usable(self) -> None:
        held, now = self._held, self._timer()
        if not held.is_usable(now, self._schedule):
            raise UnavailableError(held.retry_after(now, self._schedule))

    def _join_or_start(self, held: Held, issuer: str, now: float, *, spend_try: bool) -> _Wait | None:
        """Join the fetch in flight or start one; None where the decision rests on a past state."""
        with self._changing():
            if self._ticket is not None and now < self._ticket.expires_at:
                return _Wait(self._ticket, joined=True)
            if self._ticket is not None:
                self._fail("the fetch hangs")
            if self._held is not held:
                return None
            if spend_try and held.is_usable(now, self._schedule):
                self._held = try_spent(held, now, self._schedule)
            self._ticket = ticket = _Ticket(now + self._schedule.deadline)
            try:
                self._start(ticket, self._endpoints(issuer, now))
            except RuntimeError:  # the interpreter is shutting down, or out of threads
                self._fail("no thread could be started")
                return None
            return _Wait(ticket, joined=False)

    @contextmanager
    def _changing(self) -> Generator[None]:
        """Hold the lock, and afterwards log a change of state: a handler may come back here and need the lock."""
        with self._lock:
            before = self._held
            yield
            after = self._held
        if after.failures and not before.failures:
            _log.warning("fetching keys failed: %s", after.problem, extra={"problem": after.problem})
        elif before.failures and not after.failures:
            _log.info("fetching keys works again", extra={"failures": before.failures})

    def _fail(self, problem: str, retry_after: float = 0.0) -> None:
        """Count the fetch in flight as failed; the lock is held."""
        self._ticket = None
        self._held = failed(self._held, self._timer(), self._schedule, retry_after, problem=problem)

    def _endpoints(self, issuer: str, now: float) -> list[str]:
        uris = list(dict.fromkeys((self._jwks_uris[issuer], *self._jwks_uris.values())))
        # A refusal that lasts longer than any does is a timer that jumped back.
        willing = (uri for uri in uris if not 0 < self._refused_until.get(uri, now) - now <= self._schedule.fresh_for)
        return list(willing) or uris

    def _start(self, ticket: _Ticket, uris: list[str]) -> None:
        threading.Thread(target=self._run, args=(ticket, uris), name=REFRESH_THREAD, daemon=True).start()

    def _run(self, ticket: _Ticket, uris: list[str]) -> None:
        """Fetch and publish; the body of the fetch's thread."""
        fork_gate.enter()
        keys: KeySet | None = None
        failures: list[FetchError] = []
        try:
            for asked, uri in enumerate(uris):
                # Each endpoint has its share of what is left: one that hangs leaves time for the next.
                left = max(0.0, ticket.expires_at - self._timer()) / (len(uris) - asked)
                outcome = self._ask(uri, left)
                if isinstance(outcome, KeySet):
                    keys = outcome
                    break
                failures.append(outcome)
        finally:
            self._publish(ticket, keys, failures)

    def _ask(self, uri: str, timeout: float) -> KeySet | FetchError:
        try:
            return self._read(self._fetch(uri, timeout))
        except FetchError as error:
            if error.refused:
                self._refused_until[uri] = self._timer() + self._schedule.fresh_for
            return error
        except InvalidKeySetError as error:
            return FetchError(str(error))
        except Exception as error:  # `fetch` may be anybody's code
            # The class and no message: a foreign message may quote what the endpoint sent.
            return FetchError(f"the fetch raised {type(error).__name__}")

    def _publish(self, ticket: _Ticket, keys: KeySet | None, failures: list[FetchError]) -> None:
        with self._changing():
            # A fetch that was given up, or left behind by a fork, must not overwrite a later one's answer.
            if self._ticket is ticket:
                if keys is not None:
                    self._ticket = None
                    self._held = succeeded(self._held, keys, self._timer())
                    ticket.brought = keys
                else:
                    # An endpoint that has nothing for the pool is only then the news if all are.
                    told = next((error for error in failures if not error.refused), failures[0] if failures else None)
                    retry_after = max((error.retry_after for error in failures), default=0.0)
                    self._fail("the fetch did not end" if told is None else str(told), retry_after)
            # Before anything is logged: whoever waits must not wait for a log handler.
            ticket.settled.set_result(None)

    def _wait(self, ticket: _Ticket) -> None:
        try:
            ticket.settled.result(self._left(ticket))
        except FutureTimeoutError:
            self._abandon(ticket)

    async def _await(self, ticket: _Ticket) -> None:
        # Whoever gets here runs on asyncio; nobody else needs its import.
        import asyncio

        loop = asyncio.get_running_loop()
        waiter = asyncio.wrap_future(ticket.settled)
        try:
            await asyncio.wait([waiter], timeout=self._left(ticket))
        finally:
            settled = waiter.done()
            # Without it, a ticket settled after this loop was closed would try to wake the loop.
            if not loop.is_closed():
                waiter.cancel()
        if not settled:
            self._abandon(ticket)

    def _left(self, ticket: _Ticket) -> float:
        """Return how long to wait for a ticket: never beyond the deadline, even if the timer was set back."""
        return min(self._schedule.deadline, max(0.0, ticket.expires_at - self._timer()))

    def _abandon(self, ticket: _Ticket) -> None:
        with self._changing():
            if self._ticket is ticket:
                self._fail("the fetch hangs")

    def _reset_after_fork(self) -> None:
        """Forget the parent's lock and fetch: neither its owner nor its thread exists in this process."""
        super()._reset_after_fork()
        self._ticket = None

    def __repr__(self) -> str:
        held = self._held
        if not held.keys.by_kid:
            return "<RemoteKeys none held>"
        return f"<RemoteKeys {held.keys!r}, {self._timer() - held.fetched_at:.0f}s old, {held.failures} failures>"
