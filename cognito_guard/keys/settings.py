"""
What every verifier is configured with that fetches keys.
"""

from __future__ import annotations

from collections.abc import Callable

from ..errors import ConfigurationError
from ..settings import check_leeway
from .fetch import Fetch
from .freshness import RefreshSchedule


def check_settings(
    *,
    leeway: float,
    max_token_bytes: int,
    schedule: RefreshSchedule,
    fetch: Fetch | None,
    clock: Callable[[], float],
    timer: Callable[[], float],
) -> None:
    """
    Check what every verifier is configured with.

    Raises:
        ConfigurationError: a value that can't be right.
    """
    check_leeway(leeway)
    if type(max_token_bytes) is not int or max_token_bytes < 1:
        raise ConfigurationError("max_token_bytes", "expected a positive number of bytes")
    if not isinstance(schedule, RefreshSchedule):
        raise ConfigurationError("schedule", f"expected a RefreshSchedule, got {type(schedule).__name__}")
    functions = {"clock": clock, "timer": timer} | ({} if fetch is None else {"fetch": fetch})
    for setting, function in functions.items():
        if not callable(function):
            raise ConfigurationError(setting, f"expected a function, got {type(function).__name__}")
