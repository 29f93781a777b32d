"""FakeClock: time moves when, and only when, a test says so."""

import pytest

from cognito_guard.errors import ConfigurationError
from cognito_guard.testing import FakeClock


def test_untouched_clock_stands_still() -> None:
    """No reading changes the reading."""
    clock = FakeClock()
    assert [clock(), clock(), clock.now] == [1_700_000_000.0] * 3


@pytest.mark.parametrize("seconds", [0.0, 0.25, 3600.0, -60.0])
def test_tick_moves_the_clock_by_that_much(seconds: float) -> None:
    """A tick is added, backwards too."""
    clock = FakeClock(now=1000.0)
    clock.tick(seconds)
    assert clock() == clock.now == 1000.0 + seconds


def test_whole_seconds_are_told_as_a_float() -> None:
    """A clock returns a float, as the real ones do."""
    assert type(FakeClock(now=5)()) is float


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_number_that_is_no_time_is_refused(number: float) -> None:
    """Neither the start nor a tick takes a number that is not finite."""
    with pytest.raises(ConfigurationError, match="now"):
        FakeClock(now=number)
    with pytest.raises(ConfigurationError, match="seconds"):
        FakeClock().tick(number)
