"""
What `verify` measures, where the extra `speed` is installed: a benchmark of its own, so that one file holds both.
"""

from __future__ import annotations

from collections.abc import Sequence

from . import bench_verify
from .harness import Absent, Effort, Result


def run(effort: Effort) -> Sequence[Result]:
    """Measure on one core."""
    if not bench_verify.IS_SPED_UP:
        return [Absent(name="with the extra", why="the extra `speed` is not installed")]
    return bench_verify.run(effort)
