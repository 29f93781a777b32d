"""
What an import costs a process that starts: time, modules and memory, beside what it is built on.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .harness import Effort, Figure, pin, shuffled_rounds, single, spread

_ROOT = Path(__file__).parent.parent
_BUILT_ON = "import jwt, cachetools"
_CORE = "import cognito_guard"
_ADAPTERS = {
    "import cognito_guard.asgi": "import starlette.applications",
    "import cognito_guard.fastapi": "import fastapi",
    "import cognito_guard.flask": "import flask",
    "import cognito_guard.django": "import django.http, django.contrib.auth",
}
_HEAVY = ("asyncio", "starlette", "fastapi", "flask", "werkzeug", "django", "urllib.request", "http.client", "ssl")
_REPORT = """
import json, sys, time
before = set(sys.modules)
start = time.process_time()
{statement}
seconds = time.process_time() - start
try:
    with open("/proc/self/status") as status:
        resident = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
except OSError:
    resident = 0
print(json.dumps({{"seconds": seconds, "modules": sorted(set(sys.modules) - before), "kilobytes": resident}}))
"""


def run(effort: Effort) -> list[Figure]:
    """Start a process for each statement and each round."""
    pin()
    statements = [_BUILT_ON, _CORE, *_ADAPTERS, *_ADAPTERS.values()]
    reports: dict[str, list[dict[str, Any]]] = {statement: [] for statement in statements}
    for order in shuffled_rounds(statements, max(2, effort.rounds // 3)):
        for statement in order:
            reports[statement].append(_report(statement))
    heavy = [name for name in _HEAVY if name in reports[_CORE][0]["modules"]]
    assert not heavy, f"{_CORE} loads {', '.join(heavy)}"
    return [
        _over(f"{_CORE}, over jwt and cachetools", reports[_CORE], reports[_BUILT_ON], "seconds", 1.25),
        single(f"{_CORE}: modules loaded", len(reports[_CORE][0]["modules"]), "modules"),
        single(f"{_BUILT_ON}: modules loaded", len(reports[_BUILT_ON][0]["modules"]), "modules"),
        spread(f"{_CORE}: resident memory", _column(reports[_CORE], "kilobytes"), "KB"),
        spread(f"{_BUILT_ON}: resident memory", _column(reports[_BUILT_ON], "kilobytes"), "KB"),
        *(
            _over(f"{ours}, over {theirs.removeprefix('import ')}", reports[ours], reports[theirs], "seconds", None)
            for ours, theirs in _ADAPTERS.items()
        ),
    ]


def _report(statement: str) -> dict[str, Any]:
    ended = subprocess.run(  # noqa: S603  (our own interpreter and statements)
        [sys.executable, "-c", _REPORT.format(statement=statement)],
        cwd=_ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    report: dict[str, Any] = json.loads(ended.stdout)
    return report


def _column(reports: Sequence[dict[str, Any]], name: str) -> list[float]:
    return [report[name] for report in reports]


def _over(
    name: str, ours: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]], column: str, bar: float | None
) -> Figure:
    pairs = zip(_column(ours, column), _column(theirs, column), strict=True)
    return spread(name, [our / their for our, their in pairs], "x", bar)
