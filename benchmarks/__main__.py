"""Measure what guarding costs, as ratios: `python -m benchmarks [name ...]`, without a name most of it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from .harness import QUICK, Absent, Effort, Result, as_json, machine, measured

NAMES = (
    "verify",
    "speed",
    "keys",
    "adapters",
    "threads",
    "memory",
    "scale",
    "imports",
    "wire",
    "instructions",
    "peers",
)
# One needs other packages installed, the other installs them.
_ONLY_WHEN_NAMED = ("speed", "peers")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run benchmarks, print a table, and write or compare JSON; return 1 where a bar was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="name", help=", ".join(NAMES))
    parser.add_argument("--quick", action="store_true", help="see that it works; the figures mean nothing")
    parser.add_argument("--full", action="store_true", help="measure also what takes many minutes")
    parser.add_argument("--growth-alone", action="store_true", help="fail only where instructions grew")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, beside those of others")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="print what has changed since those figures")
    chosen = parser.parse_args(arguments)
    effort = replace(QUICK if chosen.quick else Effort(), full=chosen.full, growth_alone=chosen.growth_alone)
    earlier = _read(chosen.compare)
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    held = True
    for name in chosen.names or [name for name in NAMES if name not in _ONLY_WHEN_NAMED]:
        print(f"\n{name}", flush=True)
        results = _apart(name, effort)
        for result in results:
            print(f"  {result.line()}{_change(result, earlier.get(name))}", flush=True)
        held = held and all(result.holds for result in results)
        if chosen.json:
            _write(chosen.json, name, results)
    return 0 if held else 1


def _apart(name: str, effort: Effort) -> list[Result]:
    """Run a benchmark in a process of its own: none inherits another's modules, core or garbage."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as process:
        return process.submit(measured, name, effort).result()


def _change(result: Result, earlier: Mapping[str, Any] | None) -> str:
    values = {figure["name"]: figure.get("value") for figure in (earlier or {}).get("figures", ())}
    before = values.get(result.name)
    return f"  ({result.value / before - 1:+.1%})" if before and not isinstance(result, Absent) else ""


def _write(file: Path, name: str, results: Sequence[Result]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    written = _read(file if file.exists() else None) | {name: {"machine": machine(), "figures": as_json(results)}}
    ordered = {name: written[name] for name in NAMES if name in written}
    file.write_text(json.dumps(ordered, indent=1) + "\n")


def _read(file: Path | None) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads(file.read_text()) if file else {}
    return figures


if __name__ == "__main__":
    sys.exit(main())
