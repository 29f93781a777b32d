"""
How often something may be tried that anybody can ask for: so many times at once, then at a steady pace.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..errors import UnavailableError
from .freshness import RefreshSchedule, nothing_held, try_spent


class Bucket:
    """
    Hold the tries that are left; whoever shares one holds a lock.

    It is the bucket for unknown key IDs, for what is not a key of one set.
    """

    def __init__(self, schedule: RefreshSchedule, timer: Callable[[], float]) -> None:
        """
        Start full.

        Args:
            schedule: whose `burst` is the bucket's size, and whose `cooldown` fills in one try.
            timer: monotonic seconds.
        """
        self._schedule = schedule
        self._timer = timer
        self._state = nothing_held(timer(), schedule)

    def spend(self) -> None:
        """Take a try out, or raise UnavailableError where none is left."""
        now = self._timer()
        left = self._state.tries_left(now, self._schedule)
        if left < 1:
            raise UnavailableError((1 - left) * self._schedule.cooldown)
        self._state = try_spent(self._state, now, self._schedule)

    def give_back(self) -> None:
        """Put a try back that turned out to be well spent."""
        self._state = replace(self._state, tries=self._state.tries + 1)
