"""README.md does what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cognito_guard.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("block", [pytest.param(block, id=f"block {n}") for n, block in enumerate(_blocks("python"))])
def test_python_block_of_the_readme_runs(block: str) -> None:
    """Every Python block of the README runs as it stands, in a process of its own, and its assertions hold."""
    subprocess.run([sys.executable, "-W", "error", "-c", block], check=True, timeout=60)


def test_demo_table_of_the_readme_is_what_the_demo_prints(capsys: pytest.CaptureFixture[str]) -> None:
    """The table in the README is the demo's output, to the letter, and every answer in it is right."""
    assert main(["demo"]) == 0
    assert capsys.readouterr().out == _blocks("text")[0]


def test_configuration_table_names_every_argument() -> None:
    """The README's table names each argument of the verifier's constructor."""
    from inspect import signature

    from cognito_guard import CognitoVerifier

    table = README.split("## Configuration")[1].split("\n## ")[0]
    assert [name for name in signature(CognitoVerifier).parameters if f"`{name}`" not in table] == []
