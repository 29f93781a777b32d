"""`python -m benchmarks [name ...] [--json FILE] [--compare FILE]`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from . import bench_adapters, bench_keys, bench_verify
from .harness import Figure, as_json, machine

_BENCHMARKS: Mapping[str, Callable[[], list[Figure]]] = {
    "verify": bench_verify.run,
    "keys": bench_keys.run,
    "adapters": bench_adapters.run,
}


def main() -> None:
    """Run benchmarks, print a table, and write or compare JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*_BENCHMARKS, []], metavar="name", help=", ".join(_BENCHMARKS))
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--compare", type=Path, help="print what has changed since those figures")
    arguments = parser.parse_args()
    earlier = _earlier(arguments.compare)
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    figures: list[Figure] = []
    for name in arguments.names or _BENCHMARKS:
        print(f"\n{name}")
        for figure in _BENCHMARKS[name]():
            figures.append(figure)
            change = f"  ({figure.value / earlier[figure.name] - 1:+.1%})" if earlier.get(figure.name) else ""
            print(f"  {figure.line()}{change}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine(), "figures": as_json(figures)}, indent=1) + "\n")


def _earlier(file: Path | None) -> dict[str, float]:
    figures: list[dict[str, Any]] = json.loads(file.read_text())["figures"] if file else []
    return {figure["name"]: figure["value"] for figure in figures}


if __name__ == "__main__":
    main()
