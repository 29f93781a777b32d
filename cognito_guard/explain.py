"""
Why a token was accepted or refused, check by check: what an examination found, and how it reads.

For a developer's eyes: nothing here decides anything, and a report lets nobody in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from .errors import Reason
from .tokens.lenient import shortened

Outcome: TypeAlias = Literal["passed", "failed", "skipped"]

_MAX_CELL = 72  # characters in a table


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """
    Hold what one check says of a token.

    `found` and `hint` tell what the token holds, which an attacker may have written and which may be personal data: for
    a developer's eyes, never for a log or a response.

    Attributes:
        name: what is checked, for example "expiry".
        outcome: "passed", "failed", or "skipped" where an earlier check had to pass first.
        reason: why it failed, else None.
        expected: what passes, as it is configured.
        found: what the token holds.
        hint: where it failed, what it most likely comes from and what to do; else "".
    """

    name: str
    outcome: Outcome
    reason: Reason | None
    expected: str
    found: str = field(repr=False)
    hint: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """
    Hold why a token is accepted or refused.

    Its `str` is a table for a developer's eyes, never for a log or a response: it tells what the token holds.

    Attributes:
        accepted: whether `verify`, and `authorize` where there is a requirement, let the token pass.
        reason: why the first of them that does not refuses it, else None.
        checks: every check, in the order in which they are made.
    """

    accepted: bool
    reason: Reason | None
    checks: tuple[Check, ...]

    @property
    def verified(self) -> bool:
        """Whether the signature is good: without, anybody may have written what was found."""
        return any(check.name == "signature" and check.outcome == "passed" for check in self.checks)

    def __str__(self) -> str:
        found = "found" if self.verified else "found (nobody vouches for it)"
        rows = [("check", "outcome", "reason", "expected", found)]
        rows += [
            (
                check.name,
                check.outcome,
                check.reason or "",
                shortened(check.expected, _MAX_CELL),
                shortened(check.found, _MAX_CELL),
            )
            for check in self.checks
        ]
        return "\n".join((*aligned(rows), "", *self._verdict()))

    def _verdict(self) -> Iterator[str]:
        failed = [check for check in self.checks if check.outcome == "failed"]
        for check in failed[1:]:
            yield f"also {check.name}: {check.hint}"
        yield f"refused, {failed[0].reason}: {failed[0].hint}" if failed else "accepted"


def utc(seconds: float) -> str:
    """Return a wall time as text."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):  # beyond the year 9999, or no number
        return f"{seconds} seconds after 1970"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table, of which the first is its head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]
