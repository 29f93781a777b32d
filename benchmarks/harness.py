"""
Measure cases side by side in one process, and report them as ratios.

Absolute times differ by machine and by the minute; the ratio of two cases of the same round holds.  Processor
time is what is measured, so that a case that another process interrupts is no slower for it.
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
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeAlias

Batch: TypeAlias = Callable[[int], None]
"""Run a case so many times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """
    Say how much to measure.

    Attributes:
        rounds: each takes every case once, in an order of its own; at least 2.
        batch: runs of a case in a round.
        tokens: how many tokens are alive.
        full: measure also what takes many minutes.
        growth_alone: hold what was counted against what was committed, and not against what is promised.
        timer: seconds, of processor time by default.
    """

    rounds: int = 60
    batch: int = 200
    tokens: int = 2000
    full: bool = False
    growth_alone: bool = False
    timer: Callable[[], float] = time.process_time


QUICK = Effort(rounds=3, batch=5, tokens=20)
"""Enough to see that everything works, too little to believe a figure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """
    Hold one measured figure.

    Attributes:
        name: what was measured.
        value: the median.
        low: the tenth percentile.
        high: the ninetieth percentile.
        unit: what the value counts: "x raw" for a ratio to the bare RSA check, "ms", "fetches", ...
        bar: what it may be at most (at least where more is better), or None.
        more_is_better: which way the bar holds.
        note: what else there is to know.
    """

    name: str
    value: float
    low: float
    high: float
    unit: str
    bar: float | None = None
    more_is_better: bool = False
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether the bar is held."""
        if self.bar is None:
            return True
        return self.value >= self.bar if self.more_is_better else self.value <= self.bar

    def line(self) -> str:
        """Return the figure as a line of a table."""
        spread = f"{self.low:.3g} to {self.high:.3g}" if self.low != self.high else ""
        bar = "" if self.bar is None else f"{'holds' if self.holds else 'MISSED'}  (bar {self.bar:g})"
        return f"{self.name:58} {self.value:10.3f} {self.unit:10} {spread:18} {bar or self.note}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """
    Stand for a figure that could not be measured here.

    Attributes:
        name: what was to be measured.
        why: what is missing.
    """

    name: str
    why: str

    @property
    def holds(self) -> bool:
        """Nothing was measured, so that nothing was missed."""
        return True

    def line(self) -> str:
        """Return a line of a table."""
        return f"{self.name:58} not measured: {self.why}"


Result: TypeAlias = Figure | Absent


def measured(name: str, effort: Effort) -> list[Result]:
    """Run one benchmark in this process."""
    results: list[Result] = import_module(f"{__package__}.bench_{name}").run(effort)
    return results


def single(name: str, value: float, unit: str, bar: float | None = None) -> Figure:
    """Return a figure that was measured once, or counted."""
    return Figure(name=name, value=value, low=value, high=value, unit=unit, bar=bar)


def spread(
    name: str,
    values: Sequence[float],
    unit: str,
    bar: float | None = None,
    *,
    more_is_better: bool = False,
    note: str = "",
) -> Figure:
    """Return a figure of several measurements, at least two."""
    deciles = statistics.quantiles(values, n=10, method="inclusive")
    return Figure(
        name=name,
        value=statistics.median(values),
        low=deciles[0],
        high=deciles[-1],
        unit=unit,
        bar=bar,
        more_is_better=more_is_better,
        note=note,
    )


def shuffled_rounds(cases: Sequence[str], rounds: int) -> list[list[str]]:
    """Return so many rounds of all cases, each in an order of its own, the same ones in each run."""
    order = random.Random(1)
    return [order.sample(cases, len(cases)) for _ in range(rounds)]


def times(batches: Mapping[str, Batch], effort: Effort) -> dict[str, list[float]]:
    """Return the seconds that each batch took in each round."""
    seconds: dict[str, list[float]] = {name: [] for name in batches}
    gc.collect()
    for names in shuffled_rounds(list(batches), effort.rounds):
        for name in names:
            start = effort.timer()
            batches[name](effort.batch)
            seconds[name].append(effort.timer() - start)
    return seconds


def ratios(cases: Mapping[str, tuple[Batch, float | None]], *, control: Batch, effort: Effort) -> list[Figure]:
    """
    Time each case against the control of the same round.

    Args:
        cases: names to batches and bars.
        control: what a ratio of 1 is.
        effort: how much to measure.
    """
    seconds = times({"": control, **{name: batch for name, (batch, _) in cases.items()}}, effort)
    return [spread(name, _over(seconds[name], seconds[""]), "x raw", bar) for name, (_, bar) in cases.items()]


def added(
    guarded: Mapping[str, tuple[Batch, float | None]], *, bare: Batch, checked: Batch, effort: Effort
) -> list[Figure]:
    """
    Return what guards add to a route, as multiples of what a bare RSA check adds in the same place.

    Args:
        guarded: names to batches behind a guard, and bars.
        bare: the route without any guard.
        checked: the route with nothing but the check.
        effort: how much to measure.
    """
    # Names that no case has.
    batches = {" bare": bare, " checked": checked, **{name: batch for name, (batch, _) in guarded.items()}}
    seconds = times(batches, effort)
    check = _less(seconds[" checked"], seconds[" bare"])
    return [
        spread(name, _over(_less(seconds[name], seconds[" bare"]), check), "x check", bar)
        for name, (_, bar) in guarded.items()
    ]


def machine() -> dict[str, Any]:
    """Return what the figures were measured on."""
    from cryptography.hazmat.backends.openssl import backend

    packages = ("cognito-guard", "cryptography", "pyjwt", "cachetools", "pybase64", "orjson", "uvicorn", "uvloop")
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "openssl": backend.openssl_version_text(),
        **{name: installed for name in packages if (installed := _version(name))},
    }


def as_json(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Return results as plain data."""
    return [asdict(result) for result in results]


def result_of(data: Mapping[str, Any]) -> Result:
    """Return the result that was plain data."""
    return Absent(**data) if "why" in data else Figure(**data)


def pin() -> None:
    """Keep the process on one core, where the system lets it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def _over(dividends: Sequence[float], divisors: Sequence[float]) -> list[float]:
    return [dividend / divisor for dividend, divisor in zip(dividends, divisors, strict=True)]


def _less(values: Sequence[float], others: Sequence[float]) -> list[float]:
    return [value - other for value, other in zip(values, others, strict=True)]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
