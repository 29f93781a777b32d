"""
Measure cases side by side in one process, and report them as ratios.

Absolute times differ by machine and by the minute; the ratio of two cases of the same round holds.
"""

from __future__ import annotations

import gc
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

Batch: TypeAlias = Callable[[int], None]
"""Run a case so many times."""
ROUNDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """
    Hold one measured figure.

    Attributes:
        name: what was measured.
        value: the median.
        low: the tenth percentile.
        high: the ninetieth percentile.
        unit: "x raw" for a ratio to the bare RSA check, else "ms" or "fetches".
        bar: what it may be at most, or None.
    """

    name: str
    value: float
    low: float
    high: float
    unit: str
    bar: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the bar is held."""
        return self.bar is None or self.value <= self.bar

    def line(self) -> str:
        """Return the figure as a line of a table."""
        spread = f"{self.low:.3g} to {self.high:.3g}" if self.low != self.high else ""
        bar = "" if self.bar is None else f"{'holds' if self.holds else 'MISSED'}  (bar {self.bar:g})"
        return f"{self.name:44} {self.value:8.3f} {self.unit:8} {spread:18} {bar}".rstrip()


def single(name: str, value: float, unit: str, bar: float | None = None) -> Figure:
    """Return a figure that was measured once, or counted."""
    return Figure(name=name, value=value, low=value, high=value, unit=unit, bar=bar)


def ratios(
    cases: Mapping[str, tuple[Batch, float | None]], *, control: Batch, size: int = 100, rounds: int = ROUNDS
) -> list[Figure]:
    """
    Time each case against the control of the same round.

    Args:
        cases: names to batches and bars.
        control: what a ratio of 1 is.
        size: runs in a batch.
        rounds: each takes all cases and the control once, in an order of its own.
    """
    measured: dict[str, list[float]] = {name: [] for name in cases}
    batches: dict[str, Batch] = {"": control, **{name: batch for name, (batch, _) in cases.items()}}
    order = random.Random(1)
    gc.collect()
    for _ in range(rounds):
        names = list(batches)
        order.shuffle(names)
        seconds = {name: _timed(batches[name], size) for name in names}
        for name, values in measured.items():
            values.append(seconds[name] / seconds[""])
    return [_figure(name, values, "x raw", cases[name][1]) for name, values in measured.items()]


def added(
    name: str, *, bare: Batch, checked: Batch, guarded: Batch, bar: float | None, size: int = 50, rounds: int = ROUNDS
) -> Figure:
    """
    Return what a guard adds to a route, as a multiple of what a bare RSA check adds in the same place.

    Args:
        name: what is measured.
        bare: the route without any guard.
        checked: the route with nothing but the check.
        guarded: the route behind the guard.
        bar: what the multiple may be at most.
        size: requests in a batch.
        rounds: each takes all three once, in an order of its own.
    """
    batches = {"bare": bare, "checked": checked, "guarded": guarded}
    order = random.Random(2)
    values: list[float] = []
    gc.collect()
    for _ in range(rounds):
        names = list(batches)
        order.shuffle(names)
        seconds = {kind: _timed(batches[kind], size) for kind in names}
        values.append((seconds["guarded"] - seconds["bare"]) / (seconds["checked"] - seconds["bare"]))
    return _figure(name, values, "x check", bar)


def spread(name: str, values: Sequence[float], unit: str, bar: float | None = None) -> Figure:
    """Return a figure of several measurements."""
    return _figure(name, values, unit, bar)


def machine() -> dict[str, Any]:
    """Return what the figures were measured on."""
    import cryptography
    import jwt
    from cryptography.hazmat.backends.openssl import backend

    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "cryptography": cryptography.__version__,
        "openssl": backend.openssl_version_text(),
        "pyjwt": jwt.__version__,
    }


def as_json(figures: Sequence[Figure]) -> list[dict[str, Any]]:
    """Return figures as plain data."""
    return [asdict(figure) for figure in figures]


def pin() -> None:
    """Keep the process on one core, where the system lets it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def _timed(batch: Batch, size: int) -> float:
    start = time.perf_counter()
    batch(size)
    return time.perf_counter() - start


def _figure(name: str, values: Sequence[float], unit: str, bar: float | None) -> Figure:
    deciles = statistics.quantiles(values, n=10)
    return Figure(name=name, value=statistics.median(values), low=deciles[0], high=deciles[-1], unit=unit, bar=bar)
