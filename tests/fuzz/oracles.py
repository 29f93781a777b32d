"""What must hold whatever comes in: documented errors alone, in words of ours, and the same verdict each time."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

import cognito_guard
from cognito_guard import RefusalError

T = TypeVar("T")
Mutator: TypeAlias = Callable[[bytes, int, int, Callable[[bytes, int], bytes]], bytes]
"""From an input, the most bytes, a seed and the engine's own mutation of bytes to another input."""

_PIECE = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """
    Hold something to fuzz.

    Attributes:
        run: judges one input, and raises where something is wrong.
        seeds: the inputs to begin with, the same ones in each run.
        words: what the engine may put into an input.
        longest: the longest input, in bytes.
        mutator: knows the shape of an input, where it has one.
    """

    run: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    words: tuple[bytes, ...]
    longest: int = 4096
    mutator: Mutator | None = None


class BrokenPromiseError(Exception):
    """Say that the library did what it must not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said(Generic[T]):
    """
    Hold a verdict, to be compared with another.

    Attributes:
        value: what was returned; None where it was a refusal.
        refusal: the error's class and all it says; None where it was none.
    """

    value: T | None
    refusal: tuple[type[Exception], str, str] | None


def said(
    judge: Callable[[], T],
    documented: tuple[type[Exception], ...],
    text: str,
    words: Callable[[str], bool] | None = None,
) -> Said[T]:
    """
    Return a verdict, and see that a refusal is a documented one that repeats nothing of what it refuses.

    Args:
        judge: returns or raises.
        documented: what it may raise.
        text: what a stranger wrote.
        words: tells whether a message is ours; by default one that stands in the package's sources.
    """
    try:
        value = judge()
    except documented as error:
        _check_words(error, text, words or is_ours)
        reason = str(error.reason) if isinstance(error, RefusalError) else ""
        return Said(value=None, refusal=(type(error), reason, str(error)))
    return Said(value=value, refusal=None)


def must(holds: object, promise: str) -> None:
    """Raise unless a promise holds; an `assert` could be switched off."""
    if not holds:
        raise BrokenPromiseError(promise)


def is_ours(message: str) -> bool:
    """Tell whether a message is a constant of the package, with the name of a known claim perhaps."""
    return message in _messages()


@cache
def _messages() -> frozenset[str]:
    files = Path(cognito_guard.__file__).parent.rglob("*.py")
    nodes = (node for file in files for node in ast.walk(ast.parse(file.read_text())))
    constants = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    claims = {f"the claim {name} is {problem}" for name in constants for problem in ("missing", "malformed")}
    return frozenset(constants | claims)


def _check_words(error: BaseException | None, text: str, words: Callable[[str], bool]) -> None:
    """Follow a chain of errors to its end: whoever logs the first logs them all."""
    if error is None:
        return
    if type(error).__module__.startswith("cognito_guard"):
        must(words(str(error)), f"a message of no constant words: {error!r}")
        extra: dict[str, Any] = {name: value for name, value in vars(error).items() if not name.startswith("__")}
        spoken = [value for value in extra.values() if isinstance(value, str) and not is_ours(value)]
        must(all(words(value) for value in spoken), f"an attribute of no constant words: {spoken}")
    else:
        shown = " ".join(map(str, error.args))
        pieces = {text[start : start + _PIECE] for start in range(len(text) - _PIECE + 1)}
        must(not any(piece in shown for piece in pieces), f"a cause that quotes what was refused: {type(error)}")
    _check_words(error.__cause__, text, words)
    if error.__cause__ is None and not error.__suppress_context__:
        _check_words(error.__context__, text, words)
