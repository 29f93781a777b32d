"""
Fuzz one target in this process, which libFuzzer ends: `python -m fuzz.engine NAME CORPUS [-option=value ...]`.

The package is imported where atheris can instrument it, and nowhere before.
"""

# Where types are checked atheris need not be installed.
# pyright: reportMissingImports=false, reportMissingTypeStubs=false, reportAttributeAccessIssue=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]

if TYPE_CHECKING:
    from .oracles import Mutator


def main(name: str, corpus: Path, options: list[str]) -> None:
    """Write the seeds and the dictionary down, and fuzz until told to stop."""
    with atheris.instrument_imports(include=["cognito_guard", "http.client"]):
        # What takes the answers of endpoints apart: the way into it is worth finding too.
        import http.client  # noqa: F401  # pyright: ignore[reportUnusedImport]

        from .targets import TARGETS
    target = TARGETS[name]
    corpus.mkdir(exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number:03}").write_bytes(seed)
    words = corpus.with_suffix(".dict")
    words.write_text("".join(map(_entry, target.words)))
    arguments = [sys.argv[0], f"-dict={words}", f"-max_len={target.longest}", *options, str(corpus)]
    mutator = None if target.mutator is None else partial(_mutated, target.mutator)
    atheris.Setup(arguments, target.run, custom_mutator=mutator)
    atheris.Fuzz()


def _entry(word: bytes) -> str:
    """Spell a word as libFuzzer's dictionaries have it."""
    return '"' + "".join(f"\\x{octet:02x}" for octet in word) + '"\n'


def _mutated(mutator: Mutator, data: bytes, longest: int, seed: int) -> bytes:
    return mutator(data, longest, seed, atheris.Mutate)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
