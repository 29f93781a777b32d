"""
How many instructions a verification takes, as multiples of the bare RSA check: the same ones in each run.

Time is never the same twice; instructions are, to a fraction of a percent, so that growth beyond a few percent
fails.  What was committed stands in `results/instructions.json`; after a change that is worth its price:
`python -m benchmarks instructions --json benchmarks/results/instructions.json`.  With `--growth-alone` a promise
that is missed already does not hide whether more is lost.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cognito_guard import Reason
from cognito_guard.testing import FakeUserPool

from .harness import Absent, Effort, Result, machine, single
from .instructions_worker import COUNT
from .subjects import TRANSACTIONS, access_tokens, id_tokens

_COMMITTED = Path(__file__).parent / "results" / "instructions.json"
_ROOT = Path(__file__).parent.parent
_RAW = "bare RSA check"
_BARS = {"access token, new": 1.35, "access token, seen": 0.16}
_GROWTH = 1.03
_TOKENS = 20
_PATIENCE = 170  # seconds for all that takes twenty
# On what else the counts depend.
_ENVIRONMENT = ("python", "machine", "openssl", "cryptography", "cachetools", "pybase64", "orjson")


def run(effort: Effort) -> list[Result]:
    """Count under callgrind, and compare with what was committed in the same environment."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        return [Absent(name="instructions", why="valgrind is not installed")]
    counts = _counted(valgrind)
    committed, note = _committed()
    return [
        *(
            single(name, count / counts[_RAW], "x raw", bar(name, committed, {} if effort.growth_alone else _BARS))
            for name, count in counts.items()
            if name != _RAW
        ),
        single(_RAW, counts[_RAW], "count"),
        *note,
    ]


def bar(name: str, committed: Mapping[str, float], promised: Mapping[str, float] = _BARS) -> float | None:
    """
    Return what a case may take at most: what the project promises, and little more than what was committed.

    Args:
        name: the case.
        committed: cases to the multiples of the bare RSA check that were committed.
        promised: the same for those that the project promises.
    """
    bars = [promised[name]] if name in promised else []
    bars += [committed[name] * _GROWTH] if name in committed else []
    return round(min(bars), 4) if bars else None


def _committed() -> tuple[dict[str, float], list[Absent]]:
    if not _COMMITTED.exists():
        return {}, [Absent(name="growth", why="nothing was committed yet")]
    earlier = json.loads(_COMMITTED.read_text())["instructions"]
    differing = [name for name in _ENVIRONMENT if earlier["machine"].get(name) != machine().get(name)]
    if differing:
        return {}, [Absent(name="growth", why=f"the committed counts are of another {', '.join(differing)}")]
    return {figure["name"]: figure["value"] for figure in earlier["figures"] if figure.get("unit") == "x raw"}, []


def _counted(valgrind: str) -> dict[str, float]:
    """Return instructions for each case, one run of it."""
    pool = FakeUserPool(resource_servers=[TRANSACTIONS])
    cases = _cases(pool)
    with TemporaryDirectory() as directory:
        given, counted = Path(directory) / "given.json", Path(directory) / "counted"
        given.write_text(json.dumps(_given(pool, cases)))
        subprocess.run(  # noqa: S603  (our own worker)
            [
                valgrind,
                "--tool=callgrind",
                "--dump-before=getppid",
                f"--callgrind-out-file={counted}",
                *(sys.executable, "-m", f"{__package__}.instructions_worker", given),
            ],
            cwd=_ROOT,
            env={**os.environ, "PYTHONHASHSEED": "0"},
            check=True,
            capture_output=True,
            timeout=_PATIENCE,
        )
        # What came before a case is dumped where it begins.
        totals = {
            name: [_total(Path(f"{counted}.{3 * place + part}")) for part in (2, 3)] for place, name in enumerate(cases)
        }
    return {name: (twice - once) / COUNT for name, (once, twice) in totals.items()}


def _total(file: Path) -> int:
    return next(int(line.split()[1]) for line in file.read_text().splitlines() if line.startswith("totals:"))


def _given(pool: FakeUserPool, cases: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    key = pool.access_key.private_key.public_key()
    return {
        "key": key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        "now": pool.clock(),
        "verifier": {"user_pool_id": pool.user_pool_id, "client_id": pool.client_id, "jwks": pool.jwks},
        "cases": cases,
    }


def _cases(pool: FakeUserPool) -> dict[str, dict[str, Any]]:
    access, ids = access_tokens(pool, _TOKENS), id_tokens(pool, _TOKENS)
    parts = [token.split(".") for token in access]
    foreign_key = FakeUserPool().access_key
    unknown = [pool.access_token(username=f"user{n}", key=foreign_key) for n in range(_TOKENS)]
    swapped = [".".join((*parts[n][:2], parts[n - 1][2])) for n in range(_TOKENS)]
    return {
        _RAW: _case("raw", access),
        "access token, new": _case("new", access),
        "ID token, new": _case("new", ids, token_use="id"),
        "access token, seen": _case("seen", access),
        "ID token, seen": _case("seen", ids, token_use="id"),
        "refused: not a JWT": _case("seen", ["not a token"], Reason.MALFORMED_TOKEN),
        "refused: 100 KB of A": _case("seen", ["A" * 100_000], Reason.OVERSIZED_TOKEN),
        "refused: unknown kid": _case("seen", unknown, Reason.UNKNOWN_KEY),
        "refused: bad signature": _case("seen", swapped, Reason.INVALID_SIGNATURE),
        "refused: expired, seen before": _case("seen", access, Reason.EXPIRED, later=24 * 3600),
    }


def _case(
    kind: str, tokens: Sequence[str], outcome: str = "accepted", *, token_use: str = "access", later: float = 0
) -> dict[str, Any]:
    return {"kind": kind, "tokens": tokens, "outcome": outcome, "token_use": token_use, "later": later}
