"""
What an answer of the soak may have been, by what the fetches brought so far and when the endpoint was out of order.

Times are real, so that each is known within a little only.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from cognito_guard import Reason, RefreshSchedule

SCHEDULE = RefreshSchedule(fresh_for=4.0, stale_for=8.0, cooldown=1.0, burst=2, backoff=0.25, deadline=3.0)
"""Shorter than in production."""

_USABLE_FOR = SCHEDULE.fresh_for + SCHEDULE.stale_for
# While the endpoint answers, a held set is this old at most.
_MAX_AGE = SCHEDULE.fresh_for + SCHEDULE.deadline
_SLACK = 2.0  # seconds between an event and its note, on a busy machine
# More fetches than one answer can take.
_RECENT = 32


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
            is_usable = all(sample.kid in kids and ended - at < _USABLE_FOR for at, kids in held)
            return self._is_disturbed(began, ended) and not is_usable
        max_age = _USABLE_FOR if self._is_disturbed(began - SCHEDULE.fresh_for, ended) else _MAX_AGE
        usable = [kids for at, kids in held if began - at < max_age + _SLACK]
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
        older = [one for one in brought if one.at <= began - _SLACK]
        return older[-1:] + brought[len(older) :]

    def _is_disturbed(self, began: float, ended: float) -> bool:
        """Tell whether a fetch between two times, or the last one before, may have failed."""
        echo = SCHEDULE.max_backoff + SCHEDULE.deadline + _SLACK
        return any(start <= ended and began < end + echo for start, end in self._outages)

    def _may_be_unknown(self, kid: str, began: float, ended: float) -> bool:
        published = self._published.get(kid)
        if published is None:
            return True
        # A published key is unknown for one cooldown at most, and only where others have emptied the bucket.
        wait = SCHEDULE.cooldown + SCHEDULE.deadline + _SLACK
        has_waited = began - published > wait and not self._is_disturbed(began - wait, ended)
        is_quiet = ended - self._stray_at > SCHEDULE.burst * SCHEDULE.cooldown + SCHEDULE.deadline + _SLACK
        return not has_waited and not is_quiet
