"""docs/troubleshooting.md does what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cognito_guard import Reason
from cognito_guard.testing import FakeUserPool

PAGE = (Path(__file__).parent.parent / "docs" / "troubleshooting.md").read_text()


def blocks(language: str) -> list[str]:
    """Return the page's blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def rows() -> list[list[str]]:
    """Return the cells of the table."""
    table = PAGE.split("## The ten most common refusals")[1]
    return [line.strip("|").split(" | ") for line in table.splitlines() if line.startswith("| `")]


@pytest.mark.parametrize("block", [pytest.param(block, id=f"block {n}") for n, block in enumerate(blocks("python"))])
def test_python_block_of_the_page_runs(block: str) -> None:
    """As it stands, in a process of its own, with its assertions."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", block], check=True, timeout=60, capture_output=True, text=True
    )
    assert ran.stdout.splitlines()[-1].startswith("refused, insufficient_scope: a sign-in through the SDK yields")


@pytest.mark.parametrize("block", [pytest.param(block, id=block.split()[1]) for block in blocks("sh")])
def test_command_of_the_page_runs(block: str, tmp_path: Path) -> None:
    """With a token in a file and settings in the environment, as the page has it."""
    pool = FakeUserPool()
    (tmp_path / "token.txt").write_text(f"{pool.access_token()}\n")
    with pool.serve() as server:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("COGNITO_")},
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "COGNITO_USER_POOL_ID": pool.user_pool_id,
            "COGNITO_CLIENT_ID": pool.client_id,
            "COGNITO_JWKS_URI": server.jwks_uri,
            "COGNITO_ALLOW_INSECURE_HTTP": "true",
        }
        ran = subprocess.run(
            ["/bin/sh", "-eu", "-c", block],
            check=True,
            timeout=60,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
        )
    assert ran.stdout
    assert ran.stderr == ""


def test_page_has_a_command_of_each_kind() -> None:
    """A block that is gone is tested no more."""
    assert [block.split()[1] for block in blocks("sh")] == ["inspect", "explain", "doctor"]
    assert len(blocks("python")) == 1


def test_table_has_ten_reasons_that_exist() -> None:
    """Each once, each with a cause and a remedy."""
    names = [row[0].strip(" `") for row in rows()]
    assert len(names) == len(set(names)) == 10
    assert set(names) <= {str(reason) for reason in Reason}
    assert {len(row) for row in rows()} == {3}
