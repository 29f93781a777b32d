"""`python -m tests.fuzz [target ...] [--seconds N] [--runs N] [--seed N] [--corpus DIR] [--again FILE]`."""

# ruff: noqa: T201

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

NAMES = ("parse", "token", "claims", "request", "jwks", "answer", "settings")
_TESTS = Path(__file__).parents[1]
# How long one input may take: everything here takes milliseconds.
_SLOW = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz each target in a process of its own; return 1 where one was broken, and 2 without atheris."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="target", help=", ".join(NAMES))
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--runs", type=int, default=-1, help="inputs for each target at most")
    parser.add_argument("--seed", type=int, default=1, help="the same one tries the same inputs")
    parser.add_argument("--corpus", type=Path, help="keep what was found there, and begin with it the next time")
    parser.add_argument("--again", type=Path, help="try one input again, which broke the one target named")
    chosen = parser.parse_args(arguments)
    if importlib.util.find_spec("atheris") is None:
        print("fuzzing needs atheris: pip install atheris", file=sys.stderr)
        return 2
    options = [f"-max_total_time={chosen.seconds}", f"-runs={chosen.runs}", f"-seed={chosen.seed}", f"-timeout={_SLOW}"]
    with tempfile.TemporaryDirectory() as scratch:
        corpora: Path = chosen.corpus or Path(scratch)
        corpora.mkdir(parents=True, exist_ok=True)
        broken = [name for name in chosen.names or NAMES if not _holds(name, corpora, options, chosen.again)]
    print(f"broken: {', '.join(broken)}" if broken else "all hold")
    return 1 if broken else 0


def _holds(name: str, corpora: Path, options: list[str], again: Path | None) -> bool:
    """Fuzz one target; libFuzzer ends the process that it runs in."""
    print(f"\n{name}", flush=True)
    corpus, inputs = str((corpora / name).resolve()), [] if again is None else [str(again)]
    # The working directory too: the package may not be installed.
    paths = os.pathsep.join((str(_TESTS), os.getcwd(), os.environ.get("PYTHONPATH", "")))
    command = [sys.executable, "-m", "fuzz.engine", name, corpus, *inputs, f"-artifact_prefix={name}-", *options]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
