"""The command line: `cognito-guard`, also as `python -m cognito_guard`."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import httpx
import pytest

from cognito_guard import __version__
from cognito_guard.cli import demo, main

TIMEOUT = 60.0  # seconds that nothing here takes unless it hangs


def test_demo_exits_with_zero_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """The walk ends with a summary that counts the right answers, and the status is 0."""
    assert main(["demo"]) == 0
    summary = re.search(r"^(\d+) of (\d+) answers are right", capsys.readouterr().out, re.MULTILINE)
    assert summary is not None
    assert summary[1] == summary[2]
    assert int(summary[2]) >= 12


def test_demo_with_one_wrong_answer_exits_with_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One answer that is not to the letter what it should be makes the whole command fail."""
    made = demo.Exchange

    def expecting_better(**fields: Any) -> demo.Exchange:
        exchange = made(**fields)
        is_first = exchange.reason == "missing_token"
        return replace(exchange, expected=(200, "", "")) if is_first else exchange

    monkeypatch.setattr(demo, "Exchange", expecting_better)
    assert main(["demo"]) == 1
    assert "WRONG" in capsys.readouterr().out


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let a child be interrupted: in the background of a shell, SIGINT is ignored, and children inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_demo_serve_keeps_both_up_and_its_curl_lines_work() -> None:
    """With --serve the printed lines do what they show, until an interrupt ends both servers."""
    with subprocess.Popen(
        [sys.executable, "-m", "cognito_guard", "demo", "--serve"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        try:
            assert process.stdout is not None
            lines: list[str] = []
            while len(curls := [line for line in lines if line.startswith("curl ")]) < 4:
                lines.append(next(process.stdout))
            statuses = [_status(shlex.split(line)[1:]) for line in curls]
            process.send_signal(signal.SIGINT)
            assert process.wait(TIMEOUT) == 0
        finally:
            # Popen waits for its end, however long that takes.
            process.kill()
    assert statuses == [401, 200, 403, 200]


def _status(arguments: list[str]) -> int:
    """Send the request of a curl line."""
    url = next(argument for argument in arguments if argument.startswith("http://"))
    options = dict(pairwise(arguments))
    name, _, value = options.get("-H", "X-Nothing: at all").partition(": ")
    user, _, secret = options.get("-u", "").partition(":")
    form = dict([options["-d"].split("=")]) if "-d" in options else None
    method = options.get("-X", "POST" if form else "GET")
    return httpx.request(
        method, url, headers={name: value}, data=form, auth=(user, secret) if user else None, timeout=TIMEOUT
    ).status_code


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` prints the version and nothing else."""
    with pytest.raises(SystemExit) as exit_info:
        main(["--version"])
    assert exit_info.value.code == 0
    assert capsys.readouterr().out == f"{__version__}\n"


@pytest.mark.parametrize("argv", [[], ["nonsense"], ["demo", "--nonsense"]])
def test_wrong_call_exits_with_two(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A call that makes no sense is told so, with the usual status."""
    with pytest.raises(SystemExit) as exit_info:
        main(argv)
    assert exit_info.value.code == 2
    assert "usage: cognito-guard" in capsys.readouterr().err


def test_demo_without_its_extra_names_it() -> None:
    """Where Starlette or uvicorn is missing, one line says what to install."""
    code = "import sys; sys.modules['uvicorn'] = None; from cognito_guard.cli import main; sys.exit(main(['demo']))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert ran.stderr == "the demo needs Starlette and uvicorn: pip install 'cognito-guard[demo]'\n"


def test_demo_prints_its_table_and_nothing_beside() -> None:
    """The outage that the walk makes is logged; where no logging is set up, that must not tear the table."""
    ran = subprocess.run(
        [sys.executable, "-m", "cognito_guard", "demo"], capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stderr == ""


@pytest.fixture
def unread() -> Iterator[int]:
    """Open a pipe whose reader is gone."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["as it ends", "as it prints"])
@pytest.mark.parametrize(
    "call", ["inspect", "inspect --json", "explain --user-pool-id eu-west-1_AbCdEf123 --client-id x", "doctor", "demo"]
)
def test_reader_that_went_away_ends_a_command_quietly(call: str, unbuffered: str, unread: int) -> None:
    """As in `cognito-guard inspect | head -1`: no traceback, neither at once nor as the interpreter ends."""
    ran = run_into(unread, call, unbuffered=unbuffered)
    assert (ran.stderr, ran.returncode) == ("", 1)


@pytest.mark.parametrize("call", ["--version", "--help", "explain --help"])
def test_reader_that_went_away_ends_a_help_quietly(call: str, unread: int) -> None:
    """What the parser of arguments prints is no exception."""
    assert run_into(unread, call).stderr == ""


def test_reader_of_both_streams_that_went_away_ends_a_command_quietly(unread: int) -> None:
    """As in `cognito-guard inspect 2>&1 | head -1`: the status is not that of an interpreter that could not end."""
    assert run_into(unread, "inspect", token="", stderr=unread).returncode == 1


def run_into(
    stdout: int, call: str, *, token: str = "a.b.c", stderr: int = subprocess.PIPE, unbuffered: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command whose output goes to a file descriptor, without settings."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COGNITO_")}
    return subprocess.run(
        [sys.executable, "-m", "cognito_guard", *call.split()],
        input=token,
        stdout=stdout,
        stderr=stderr,
        env={**environ, "PYTHONUNBUFFERED": unbuffered},
        text=True,
        check=False,
        timeout=TIMEOUT,
    )


def test_streams_whose_reader_went_away_can_still_be_flushed(unread: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter does that as it ends, and what is left in them goes nowhere."""
    with (
        os.fdopen(os.dup(unread), "w") as stdout,
        os.fdopen(os.dup(unread), "w") as stderr,
        monkeypatch.context() as to,
    ):
        to.setattr(sys, "stdout", stdout)
        to.setattr(sys, "stderr", stderr)
        to.delenv("COGNITO_USER_POOL_ID", raising=False)
        assert main(["doctor"]) == 1
        stderr.write("not shown")
        stdout.flush()
        stderr.flush()
