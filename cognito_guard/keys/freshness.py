"""
What to do for a key ID, given what is held and what time it is.

A held set is *fresh* for `fresh_for` seconds, then *stale* for `stale_for` more, in which it still
serves while a refresh runs, and then beyond use.  Tokens can ask for key IDs that are not held: a
bucket of a few tries, refilled one per `cooldown`, keeps a flood of invented ones from becoming a
flood of fetches, and lets the first token of a real rotation through at once.  A failed fetch starts
a backoff that holds for every reason to fetch.

    key held for this kid? | age of the held set | may we fetch now?            | decision
    -----------------------|---------------------|------------------------------|------------------------------
    yes                    | fresh               | -                            | USE
    yes                    | stale               | yes                          | USE_AND_REFRESH, nobody waits
    yes                    | stale               | no (backoff)                 | USE
    no                     | fresh or stale      | yes (bucket, no backoff)     | WAIT, look again once
    no                     | fresh or stale      | no, last attempt succeeded   | UNKNOWN: our copy is recent
    no                     | fresh or stale      | no, last attempt failed      | UNAVAILABLE: may be a rotation
    any                    | beyond use, or none | yes (no backoff)             | WAIT, look again once
    any                    | beyond use, or none | no                           | UNAVAILABLE

This module never reads the time: `now` is monotonic seconds and an argument.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum, auto

from ..errors import ConfigurationError
from ..settings import check_seconds
from .keyset import NO_KEYS, KeySet

# 1 second becomes at most 30.
_BACKOFF_GROWTH = 30
# Longer than any request lives; and a thread can't wait for ever.
_MAX_DEADLINE = 300.0
# More would not be a bucket: it is there to keep a flood out.
_MAX_BURST = 100


class Step(Enum):
    """What to do next for one key ID."""

    USE = auto()
    USE_AND_REFRESH = auto()
    WAIT = auto()
    UNKNOWN = auto()
    UNAVAILABLE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshSchedule:
    """
    Set how long keys are trusted and how often they are asked for; all in seconds.

    Attributes:
        fresh_for: a set this young is used as it is; a withdrawn key dies this long, and one refresh,
            after it left the published set.
        stale_for: after that, a set is used this much longer while refreshes are tried: the outage that
            goes unnoticed.
        cooldown: one try for an unknown key ID is earned per this time.
        burst: how many such tries can be saved up.
        backoff: the wait after a failed fetch; it doubles with each further failure, up to 30 times itself.
        deadline: what one fetch may take in all, and the longest that anyone waits for it.

    Raises:
        ConfigurationError: a value that is no finite number, or negative, or zero where that can't work.
    """

    fresh_for: float = 600.0
    stale_for: float = 14400.0
    cooldown: float = 10.0
    burst: int = 2
    backoff: float = 1.0
    deadline: float = 3.0

    def __post_init__(self) -> None:
        check_seconds("fresh_for", self.fresh_for)
        check_seconds("stale_for", self.stale_for)
        # Without these a flood of tokens would be a flood of fetches.
        check_seconds("cooldown", self.cooldown, above_zero=True)
        check_seconds("backoff", self.backoff, above_zero=True)
        check_seconds("deadline", self.deadline, above_zero=True, at_most=_MAX_DEADLINE)
        if self.fresh_for + self.stale_for == 0:
            raise ConfigurationError("fresh_for", "expected more than 0 together with stale_for: keys must be of use")
        if type(self.burst) is not int or not 1 <= self.burst <= _MAX_BURST:
            raise ConfigurationError("burst", f"expected a whole number from 1 to {_MAX_BURST}")

    @property
    def max_backoff(self) -> float:
        """The longest wait after a failed fetch."""
        return self.backoff * _BACKOFF_GROWTH


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """
    Hold all that is known about one pool's keys at one moment; replaced whole, never changed.

    Attributes:
        keys: the last usable answer; empty before the first.
        fetched_at: when it came.
        failures: failed attempts since the last success.
        problem: why the last of them failed, in our words.
        retry_at: before this nothing is fetched, for whatever reason.
        tries: what the bucket of tries for unknown key IDs held ...
        tries_at: ... at this time.
    """

    keys: KeySet = NO_KEYS
    fetched_at: float = -math.inf
    failures: int = 0
    problem: str = ""
    retry_at: float = -math.inf
    tries: float
    tries_at: float

    def is_fresh(self, now: float, schedule: RefreshSchedule) -> bool:
        """Tell whether the set may serve as it is, and nobody needs to ask for another."""
        return 0 <= now - self.fetched_at < schedule.fresh_for

    def is_usable(self, now: float, schedule: RefreshSchedule) -> bool:
        """Tell whether the set may serve. A timer that jumped back says nothing about how old it is."""
        return 0 <= now - self.fetched_at < schedule.fresh_for + schedule.stale_for

    def is_fetchable(self, now: float, schedule: RefreshSchedule) -> bool:
        """Tell whether no backoff is on. A wait far longer than any backoff is a timer that jumped back."""
        return not 0 < self.retry_at - now <= 2 * schedule.max_backoff

    def tries_left(self, now: float, schedule: RefreshSchedule) -> float:
        """Return what the bucket for unknown key IDs holds now."""
        elapsed = now - self.tries_at
        earned = elapsed / schedule.cooldown if elapsed >= 0 else float(schedule.burst)
        return min(float(schedule.burst), self.tries + earned)

    def retry_after(self, now: float, schedule: RefreshSchedule) -> float:
        """Return the seconds until a fetch is allowed again: for a set in use, one for an unknown key ID."""
        after_failure = max(0.0, self.retry_at - now)
        if not self.is_usable(now, schedule):
            return after_failure
        return max(after_failure, (1 - self.tries_left(now, schedule)) * schedule.cooldown)


def nothing_held(now: float, schedule: RefreshSchedule) -> Held:
    """Return the state to begin with: no keys, a full bucket, no backoff."""
    return Held(tries=float(schedule.burst), tries_at=now)


def decide(held: Held, kid: str, now: float, schedule: RefreshSchedule, *, may_fetch: bool = True) -> Step:
    """
    Read the table above.

    Args:
        held: the state of the moment.
        kid: the key ID that a token names.
        now: monotonic seconds.
        schedule: the bounds.
        may_fetch: False where the caller's fetch has ended, and this look is the last one.
    """
    known = kid in held.keys.by_kid
    # First the step that nearly every token takes.
    if known and held.is_fresh(now, schedule):
        return Step.USE
    fetchable = may_fetch and held.is_fetchable(now, schedule)
    if not held.is_usable(now, schedule):
        return Step.WAIT if fetchable else Step.UNAVAILABLE
    if known:
        return Step.USE_AND_REFRESH if fetchable else Step.USE
    if fetchable and held.tries_left(now, schedule) >= 1:
        return Step.WAIT
    return Step.UNAVAILABLE if held.failures else Step.UNKNOWN


def try_spent(held: Held, now: float, schedule: RefreshSchedule) -> Held:
    """Return the state with one try for an unknown key ID taken out of the bucket."""
    return replace(held, tries=max(0.0, held.tries_left(now, schedule) - 1), tries_at=now)


def succeeded(held: Held, keys: KeySet, now: float) -> Held:
    """Return the state after a usable answer: it replaces the held set whole, and ends any backoff."""
    return replace(held, keys=keys, fetched_at=now, failures=0, problem="", retry_at=-math.inf)


def failed(held: Held, now: float, schedule: RefreshSchedule, retry_after: float = 0.0, *, problem: str = "") -> Held:
    """
    Return the state after a failed attempt: nothing held is dropped, and the backoff grows.

    Args:
        held: the state before.
        now: monotonic seconds.
        schedule: the bounds.
        retry_after: what the endpoint asked for, in seconds; honoured up to `max_backoff`.
        problem: why it failed.
    """
    # The exponent is bounded: an outage of days must not overflow a float.
    wait = min(schedule.max_backoff, max(schedule.backoff * 2.0 ** min(held.failures, 64), retry_after))
    return replace(held, failures=held.failures + 1, problem=problem, retry_at=now + wait)
