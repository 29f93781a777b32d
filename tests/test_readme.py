"""README.md and the examples do what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cognito_guard.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
EXAMPLES = {
    "plain_verifier": [
        "first: done for jane",
        "second: not allowed, insufficient_scope",
        "third: refused, wrong_token_use",
    ],
    "starlette_app": [
        "ok",
        '401 Bearer realm="cognito"',
        "False",
        (
            'Bearer realm="cognito", error="insufficient_scope", '
            'error_description="The token lacks a scope that is required", scope="orders/write"'
        ),
        "hello jane",
    ],
    "django_app": [
        "System check identified no issues (0 silenced).",
        "ok",
        '401 Bearer realm="cognito", scope="orders/read"',
        '{"caller": "jane", "machine": false}',
        "report for jane",
        "403 changed by joe",
    ],
    "drf_app": [
        '401 Bearer realm="cognito", scope="orders/read"',
        '{"caller":"jane"}',
        (
            'Bearer realm="cognito", error="insufficient_scope", '
            'error_description="The token lacks a scope that is required", scope="orders/write"'
        ),
        "200 403",
        '{"caller":"joe"}',
    ],
    "fastapi_app": [
        '"hello" "hello jane"',
        '401 Bearer realm="cognito", scope="orders/read"',
        "False",
        "{'error': 'access_denied', 'error_description': 'The caller is not allowed to do this'}",
        "[{'CognitoBearer': ['orders/write']}]",
        "hello jane",
    ],
    "flask_app": [
        "public: ['health', 'static']",
        "ok",
        "hello stranger / hello jane",
        '401 Bearer realm="cognito", scope="orders/read"',
        "{'caller': '2b446e02-70b3-56cd-a8e1-8d751adace1e', 'machine': False, 'orders': []}",
        "403",
        "{'caller': 'joe', 'report': []}",
    ],
    "optional_login": ["hello stranger", "hello jane", "401"],
}


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


@pytest.mark.parametrize("name", [path.stem for path in sorted((ROOT / "examples").glob("*.py"))])
def test_example_prints_what_it_should(name: str) -> None:
    """Every example runs by itself, offline, lets the good request in and refuses the bad one."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "examples" / f"{name}.py")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ran.stdout.splitlines() == EXAMPLES[name]
