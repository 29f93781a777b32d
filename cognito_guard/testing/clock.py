"""
A clock that stands still until it is told to move.

This module never reads the real time.
"""

from __future__ import annotations

from math import isfinite
from threading import Lock

from ..errors import ConfigurationError


class FakeClock:
    """
    Tell a time that only a test changes; fits wherever a `clock` or a `timer` is asked for.

    Args:
        now: the first reading, in seconds since the epoch.

    Raises:
        ConfigurationError: `now` is not a finite number.
    """

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._now = _finite("now", now)
        self._lock = Lock()

    def __call__(self) -> float:
        """Return the current reading, in seconds."""
        return self._now

    @property
    def now(self) -> float:
        """The current reading, in seconds."""
        return self._now

    def tick(self, seconds: float) -> None:
        """
        Move the clock.

        Args:
            seconds: how far; negative moves it back, as a corrected wall clock does (a `timer` never would).

        Raises:
            ConfigurationError: `seconds` is not a finite number.
        """
        step = _finite("seconds", seconds)
        with self._lock:
            self._now += step

    def __repr__(self) -> str:
        return f"FakeClock({self._now})"


def _finite(setting: str, number: float) -> float:
    if not isfinite(number):
        raise ConfigurationError(setting, f"expected a finite number of seconds, got {number}")
    return float(number)
