"""
`python -m tests.mutation_score [module ...]`: change the core in small ways, and see that a test fails each time.

mutmut (pip install mutmut) makes the changes and runs the tests, in a copy of the tree; what must be tested by what,
and which changes nobody could notice, stands in `tests/mutation.toml`.  A change of the wording of a message, and of
a type for type checkers, is none that counts.  Ends with 1 where a change survived that is not listed there.
"""

# ruff: noqa: T201

from __future__ import annotations

import argparse
import ast
import json
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from itertools import takewhile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
CONFIG: Mapping[str, Any] = tomllib.loads((ROOT / "tests/mutation.toml").read_text())
_COPIED = ("cognito_guard", "tests", "examples", "docs", "benchmarks", "README.md", "pyproject.toml")
# What mutmut notes down for a test that failed, or hung.
_KILLED = (1, 3, 24, -24, 36, 152, 255)
_NOT_RUN = (None, 2, 34)
# Characters that are shown around what was changed.
_AROUND = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """
    Hold one change.

    Attributes:
        module: below the package, as `tokens/jws`.
        function: the function it was made in.
        change: the lines before and after.
        is_wording: whether it changes but a message's words.
        killed: whether a test failed.
    """

    module: str
    function: str
    change: str
    is_wording: bool
    killed: bool


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for each module, and the changes that survived."""
    modules: Mapping[str, list[str]] = CONFIG["modules"]
    parser = argparse.ArgumentParser(prog="python -m tests.mutation_score", description=__doc__)
    parser.add_argument("modules", nargs="*", choices=[*modules, []], metavar="module", help=", ".join(modules))
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--read", type=Path, help="only read what mutmut left in that directory")
    chosen = parser.parse_args(arguments)
    survived = 0
    for module in chosen.modules or modules:
        with tempfile.TemporaryDirectory() as scratch:
            tree: Path = chosen.read or Path(scratch)
            if chosen.read is None:
                _run(tree, module, modules[module], chosen.jobs)
            survived += _report(module, list(_mutants(tree, module)))
    return 1 if survived else 0


def _run(tree: Path, module: str, tests: list[str], jobs: int) -> None:
    for name in _COPIED:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tree / name)
    settings = {
        "source_paths": ["cognito_guard"],
        "only_mutate": [f"cognito_guard/{module}.py"],
        "pytest_add_cli_args": ["-p", "no:randomly", "-p", "no:cacheprovider", "--no-header", *CONFIG["deselected"]],
        "pytest_add_cli_args_test_selection": tests,
        "use_git_change_detection": False,
    }
    with (tree / "pyproject.toml").open("a") as file:
        # A list of strings, and true and false, are spelled in TOML as they are in JSON.
        file.write("\n[tool.mutmut]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items()))
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(jobs)]
    subprocess.run(command, cwd=tree, stdout=subprocess.DEVNULL, check=True)


def _mutants(tree: Path, module: str) -> Iterator[Mutant]:
    """Read what mutmut left behind: one file with all changes of a module, and one with what became of each."""
    source = tree / "mutants/cognito_guard" / f"{module}.py"
    outcomes: Mapping[str, int | None] = json.loads(Path(f"{source}.meta").read_text())["exit_code_by_key"]
    functions = {
        node.name: node
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    for key, outcome in outcomes.items():
        name = key.rpartition(".")[2]
        stem = name.rpartition("__mutmut_")[0]
        before, after = functions[f"{stem}__mutmut_orig"], functions[name]
        if outcome in _NOT_RUN:
            raise SystemExit(f"{key} was not run")
        yield Mutant(
            module=module,
            function=re.sub(r"^x_|^xǁ", "", stem).replace("ǁ", "."),
            change=_change(before, after),
            is_wording=_is_wording(before, after),
            killed=outcome in _KILLED,
        )


def _change(before: ast.AST, after: ast.AST) -> str:
    """Show the lines that differ, and of long ones the part that does."""
    lines = list(unified_diff(_lines(before), _lines(after), n=0, lineterm=""))
    old = " ".join(line[1:].strip() for line in lines if line.startswith("-") and not line.startswith("---"))
    new = " ".join(line[1:].strip() for line in lines if line.startswith("+") and not line.startswith("+++"))
    first = max(0, _common(old, new) - _AROUND)
    last = max(0, _common(old[::-1], new[::-1]) - _AROUND)
    return f"- {old[first : len(old) - last].strip()}\n+ {new[first : len(new) - last].strip()}"


def _common(one: str, other: str) -> int:
    """Count the characters with which both begin."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _lines(function: ast.AST) -> list[str]:
    """Spell a function in one way, under no name of mutmut's."""
    text = re.sub(r"xǁ\w+__mutmut_\w+|x_\w+__mutmut_\w+", "_", ast.unparse(function))
    return textwrap.dedent(text).splitlines()


def _is_wording(before: ast.AST, after: ast.AST) -> bool:
    changed = [id(one) for one, _ in _differences(before, after)]
    return bool(changed) and set(changed) <= {id(node) for node in _words(before)}


def _differences(one: Any, other: Any) -> Iterator[tuple[Any, Any]]:
    """Walk two trees and yield the smallest parts that differ."""
    if type(one) is not type(other):
        yield one, other
    elif isinstance(one, ast.AST | list) and not isinstance(one, ast.Constant):
        parts, counterparts = _parts(one), _parts(other)
        if len(parts) != len(counterparts):
            yield one, other
        for part, counterpart in zip(parts, counterparts, strict=False):
            yield from _differences(part, counterpart)
    elif ast.dump(one) != ast.dump(other) if isinstance(one, ast.Constant) else one != other:
        yield one, other


def _parts(node: Any) -> list[Any]:
    # Under which of mutmut's names a function stands makes no difference.
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return [node.args, node.body]
    return [getattr(node, name) for name in node._fields] if isinstance(node, ast.AST) else list(node)


def _words(function: ast.AST) -> Iterator[ast.AST]:
    """Yield the messages of errors, and the types that are named for type checkers."""
    for node in ast.walk(function):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        if name == "cast":
            yield node.args[0]
        elif name.endswith(("Error", "._fail")):
            for argument in node.args:
                if isinstance(argument, ast.JoinedStr):
                    yield from ast.walk(argument)
                elif isinstance(argument, ast.Constant) and " " in str(argument.value):
                    yield argument


def _report(module: str, mutants: list[Mutant]) -> int:
    """Print a module's score and its survivors; return how many of these are unknown."""
    counted = [mutant for mutant in mutants if not mutant.is_wording]
    alive = [mutant for mutant in counted if not mutant.killed]
    listed = {(entry["module"], entry["function"], entry["change"].strip()) for entry in CONFIG["equivalent"]}
    unknown = [mutant for mutant in alive if (mutant.module, mutant.function, mutant.change) not in listed]
    print(
        f"{module}: {len(counted)} changes, {len(counted) - len(alive)} killed, "
        f"{len(alive) - len(unknown)} that nobody could notice, {len(unknown)} survived "
        f"(and {len(mutants) - len(counted)} of wording)",
        flush=True,
    )
    for mutant in unknown:
        print(textwrap.indent(f"{mutant.function}\n{mutant.change}", "  "), flush=True)
    return len(unknown)


if __name__ == "__main__":
    sys.exit(main())
