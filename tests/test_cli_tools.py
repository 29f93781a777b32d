"""`cognito-guard inspect`, `explain` and `doctor`: what they print, to the letter, and what they never print."""

from __future__ import annotations

import io
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_fetch import ScriptedServer, answer, hang, head_of, response

from cognito_guard.cli import main
from cognito_guard.cli.doctor import run_doctor
from cognito_guard.cli.inspect import run_inspect
from cognito_guard.testing import ABSENT, FakeClock, FakeUserPool, hostile_tokens
from cognito_guard.testing.authority import Authority
from cognito_guard.testing.server import FakeUserPoolServer
from cognito_guard.tokens.jws import parse
from cognito_guard.tokens.lenient import MAX_SHOWN

POOL_ID = "eu-west-1_FakePool1"
CLIENT = "1h57kf5cpq17m0eml12example"
NOT_VERIFIED = "NOT VERIFIED: anybody can write such a token; `cognito-guard explain` verifies it"
FULL_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC")

Give = Callable[[str], None]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep settings and proxies of the machine out of the tests."""
    for name in list(os.environ):
        if name.startswith("COGNITO_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def give(monkeypatch: pytest.MonkeyPatch) -> Give:
    """Return a function that puts a text into standard input."""

    def put(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    return put


@pytest.fixture
def pool() -> FakeUserPool:
    """Return a user pool on the real clock, as the commands are."""
    return FakeUserPool()


@pytest.fixture
def server(pool: FakeUserPool, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeUserPoolServer]:
    """Serve the pool, with the environment that makes a verifier of it."""
    with pool.serve() as served:
        monkeypatch.setenv("COGNITO_USER_POOL_ID", pool.user_pool_id)
        monkeypatch.setenv("COGNITO_CLIENT_ID", pool.client_id)
        monkeypatch.setenv("COGNITO_JWKS_URI", served.jwks_uri)
        monkeypatch.setenv("COGNITO_ALLOW_INSECURE_HTTP", "true")
        yield served


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return what was printed; nothing goes to standard error beside."""
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out.splitlines()


# Where a token comes from


@pytest.mark.parametrize("command", ["inspect", "explain"])
@pytest.mark.parametrize(
    "form",
    [
        pytest.param("{}", id="bare"),
        pytest.param("{}\n", id="as a line"),
        pytest.param("Bearer {}\n", id="with its scheme"),
        pytest.param("\r\n  bearer   {}  \r\n", id="with white space all around"),
    ],
)
@pytest.mark.usefixtures("server")
def test_token_is_read_from_standard_input(command: str, form: str, give: Give, pool: FakeUserPool) -> None:
    """As it comes out of a file, a header or a clipboard."""
    give(form.format(pool.access_token()))
    assert main([command]) == 0


@pytest.mark.parametrize("command", ["inspect", "explain"])
@pytest.mark.usefixtures("server")
def test_token_is_read_from_the_environment(
    command: str, give: Give, pool: FakeUserPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """COGNITO_TOKEN goes before standard input, which is not even read."""
    give("nothing of use")
    monkeypatch.setenv("COGNITO_TOKEN", f"Bearer {pool.access_token()}")
    assert main([command]) == 0
    assert sys.stdin.read() == "nothing of use"


@pytest.mark.parametrize("command", ["inspect", "explain"])
@pytest.mark.parametrize("text", ["", "\n", "Bearer", "Bearer \n"])
@pytest.mark.usefixtures("server")
def test_no_token_is_a_wrong_call(command: str, text: str, give: Give, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told where one is looked for."""
    give(text)
    assert main([command]) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "no token: pipe it to standard input, or set COGNITO_TOKEN\n")


@pytest.mark.parametrize("command", ["inspect", "explain"])
@pytest.mark.parametrize("mode", [pytest.param(None, id="closed"), pytest.param("wb", id="for writing, as nohup's is")])
@pytest.mark.usefixtures("server")
def test_standard_input_that_nobody_can_read_holds_no_token(
    command: str, mode: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such as `<&-`, for which Python has no stream at all."""
    with ExitStack() as stack:
        raw = mode and stack.enter_context(open(os.devnull, mode))
        monkeypatch.setattr(sys, "stdin", raw and io.TextIOWrapper(raw))
        assert main([command]) == 2
    assert capsys.readouterr().err == "no token: pipe it to standard input, or set COGNITO_TOKEN\n"


@pytest.mark.parametrize("command", ["inspect", "explain", "doctor"])
def test_token_is_no_argument(command: str, pool: FakeUserPool, capsys: pytest.CaptureFixture[str]) -> None:
    """The list of processes and the shell's history are no places for it, and the help says so."""
    with pytest.raises(SystemExit) as exit_info:
        main([command, pool.access_token()])
    assert exit_info.value.code == 2
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main([command, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert ("never from an argument" in text) is (command != "doctor")


@pytest.mark.parametrize("command", ["inspect", "explain"])
@pytest.mark.parametrize("option", [[], ["--json"]], ids=["table", "json"])
@pytest.mark.usefixtures("server")
def test_output_holds_nothing_of_the_tokens_text(
    command: str, option: list[str], give: Give, pool: FakeUserPool, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is pasted into tickets: of no token is any part there, its signature least of all, and all is plain ASCII."""
    for entry in [entry for entry in hostile_tokens(pool) if entry.sendable][::10]:
        give(entry.token)
        status = main([command, *option])
        assert status == (0 if entry.reason is None else 1) if command == "explain" else status in {0, 1}
        printed = capsys.readouterr()
        assert printed.err == ""
        assert printed.out.isascii()
        assert "\x1b" not in printed.out
        for text in entry.token.split(".")[1:]:
            pieces = (text[start : start + 16] for start in range(len(text) - 15))
            assert not any(piece in printed.out and piece not in pool.client_id for piece in pieces), entry.name


# inspect


def test_inspect_shows_all_that_a_token_says(give: Give, capsys: pytest.CaptureFixture[str]) -> None:
    """Kind, header, claims, times as UTC and from now on, and that nobody vouches for any of it."""
    pool = FakeUserPool(clock=FakeClock())
    token = pool.access_token(
        auth_time=pool.clock() - 400, groups=["größe"], nbf=1_700_000_060, sub="\x1b[2J", jti=ABSENT, event_id=ABSENT
    )
    give(token)
    assert run_inspect(as_json=False, clock=pool.clock) == 0
    assert lines_of(capsys) == [
        NOT_VERIFIED,
        "",
        "an access token of a person",
        "header",
        f"  kid  {pool.access_key.kid}",
        "  alg  RS256",
        "claims",
        '  sub             "\\u001b[2J"',
        '  cognito:groups  ["gr\\u00f6\\u00dfe"]',
        f"  origin_jti      {_origin(token)}",
        "  auth_time       1699999600  2023-11-14 22:06:40 UTC, 7 min ago",
        f"  iss             {pool.issuer}",
        "  token_use       access",
        "  exp             1700003600  2023-11-14 23:13:20 UTC, in 60 min",
        "  iat             1700000000  2023-11-14 22:13:20 UTC, 0 s ago",
        f"  client_id       {pool.client_id}",
        "  scope           aws.cognito.signin.user.admin",
        "  username        jane",
        "  nbf             1700000060  2023-11-14 22:14:20 UTC, in 60 s",
        "signature of 256 bytes, not shown",
    ]


def _origin(token: str) -> str:
    return str(parse(token).claims["origin_jti"])


@pytest.mark.parametrize(
    "distance, told",
    [
        pytest.param(119, "in 119 s", id="seconds"),
        pytest.param(120, "in 2 min", id="minutes"),
        pytest.param(7199, "in 120 min", id="many minutes"),
        pytest.param(7200, "in 2 h", id="hours"),
        pytest.param(86_400 * 2, "in 2 days", id="days"),
        pytest.param(-86_400 * 365, "365 days ago", id="a year ago"),
        pytest.param(253_402_300_799 - 1_700_000_000, "9999-12-31 23:59:59 UTC, in 2913221 days", id="the last second"),
        pytest.param(-62_135_596_800 - 1_700_000_000, "01-01 00:00:00 UTC, 738838 days ago", id="the first second"),
    ],
)
def test_inspect_tells_how_far_away_a_time_is(
    distance: int, told: str, give: Give, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the largest unit that says something."""
    pool = FakeUserPool(clock=FakeClock())
    give(pool.access_token(expires_in=distance))
    assert run_inspect(as_json=False, clock=pool.clock) == 0
    (line,) = [line for line in lines_of(capsys) if line.startswith("  exp ")]
    assert line.endswith(told)


@pytest.mark.parametrize(
    "exp, told",
    [
        pytest.param(253_402_300_800, "253402300800", id="the year 10000"),
        pytest.param(-62_135_596_801, "-62135596801", id="before the year 1"),
        pytest.param(1_700_000_000_000, "1700000000000", id="milliseconds"),
        pytest.param(10**400, f"1{'0' * (MAX_SHOWN - 4)}...", id="more than a float can be"),
        pytest.param(-(10**400), f"-1{'0' * (MAX_SHOWN - 5)}...", id="less than a float can be"),
    ],
)
def test_inspect_shows_a_time_beyond_the_calendar_as_the_number_alone(
    exp: int, told: str, give: Give, capsys: pytest.CaptureFixture[str]
) -> None:
    """No date can be told, and nothing goes wrong."""
    give(POOL.sign({"alg": "RS256", "kid": "k"}, {"exp": exp}))
    assert main(["inspect"]) == 0
    assert f"  exp  {told}" in lines_of(capsys)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.integers() | st.integers(-(10**400), 10**400),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
    max_leaves=5,
)


@settings(deadline=None, derandomize=True)
@given(claims=st.dictionaries(st.sampled_from(["exp", "iat", "nbf", "auth_time", "token_use"]) | st.text(), ANYTHING))
def test_inspect_shows_whatever_claims_are(claims: dict[str, Any]) -> None:
    """As plain ASCII, whatever type a claim has and however large it is."""
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as to, redirect_stdout(printed):
        to.setenv("COGNITO_TOKEN", POOL.sign({"alg": "RS256", "kid": "k"}, claims))
        assert main(["inspect"]) in {0, 1}
    assert printed.getvalue().isascii()
    assert "\x1b" not in printed.getvalue()


POOL = FakeUserPool()
MACHINE: Mapping[str, Any] = {"username": ABSENT, "client_id": CLIENT, "sub": CLIENT}


@pytest.mark.parametrize(
    "token, kind, status, problem",
    [
        pytest.param(POOL.access_token(), "an access token of a person", 0, None, id="access"),
        pytest.param(POOL.access_token(**MACHINE), "an access token of a machine", 0, None, id="machine"),
        pytest.param(POOL.id_token(), "an ID token of a person", 0, None, id="ID"),
        pytest.param(POOL.access_token(token_use=ABSENT), "not a token of a user pool", 0, None, id="foreign"),
        pytest.param(
            POOL.refresh_token(),
            "a refresh token, encrypted",
            1,
            "encrypted_token: the token has five segments: it looks like an encrypted refresh token",
            id="refresh",
        ),
        pytest.param(
            "x" * 17_000,
            "not a token that can be read",
            1,
            "oversized_token: the token is longer than the limit",
            id="long",
        ),
        pytest.param(
            "x.y",
            "not a token that can be read",
            1,
            "malformed_token: the token has not three segments",
            id="no token",
        ),
        pytest.param(
            f"{POOL.access_token().partition('.')[0]}.x.y",
            "not a token that can be read",
            1,
            "malformed_token: the token is not three strict base64url segments with JSON objects",
            id="cut",
        ),
        pytest.param(
            POOL.access_token(header={"alg": "HS256"}),
            "an access token of a person",
            1,
            "unsupported_algorithm: the token is not signed with the one accepted algorithm",
            id="another algorithm",
        ),
    ],
)
def test_inspect_names_the_kind_and_what_is_wrong(
    token: str, kind: str, status: int, problem: str | None, give: Give, capsys: pytest.CaptureFixture[str]
) -> None:
    """What can be read is shown, whatever the rest; the status tells whether all could."""
    give(token)
    assert main(["inspect"]) == status
    lines = lines_of(capsys)
    assert lines[:3] == [NOT_VERIFIED, "", kind]
    assert lines[3:4] == ([problem] if problem else ["header"])
    assert any(line.startswith("  alg ") for line in lines) is (token.count(".") == 2)
    give(token)
    assert main(["inspect", "--json"]) == status
    document = json.loads(capsys.readouterr().out)
    told = None if document["problem"] is None else f"{document['reason']}: {document['problem']}"
    assert (document["verified"], document["kind"], told) == (False, kind, problem)


def test_inspect_as_json_holds_header_and_claims(
    give: Give, pool: FakeUserPool, capsys: pytest.CaptureFixture[str]
) -> None:
    """For programs: the members as they are, and no signature."""
    token = pool.id_token()
    give(token)
    assert main(["inspect", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == {
        "verified": False,
        "kind": "an ID token of a person",
        "problem": None,
        "reason": None,
        "header": {"kid": pool.id_key.kid, "alg": "RS256"},
        "claims": parse(token).claims,
    }


# explain


def test_explain_prints_the_report_of_the_verifier(
    give: Give, pool: FakeUserPool, server: FakeUserPoolServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same table, with keys fetched over HTTP."""
    token = pool.id_token()
    give(token)
    assert main(["explain"]) == 1
    lines, expected = lines_of(capsys), str(server.verifier().explain(token)).splitlines()
    assert [FULL_TIME.sub("", line) for line in lines] == [FULL_TIME.sub("", line) for line in expected]
    assert lines[-1].startswith("refused, wrong_token_use: this is an ID token")


@pytest.mark.parametrize(
    "options, status, last",
    [
        pytest.param(["--scope", "orders/read", "--scope", "orders/write"], 0, "accepted", id="scopes"),
        pytest.param(["--group", "staff", "--scope", "orders/read"], 0, "accepted", id="scope and group"),
        pytest.param(
            ["--scope", "orders/read", "--scope", "orders/delete"],
            1,
            "refused, insufficient_scope: the client must ask for the scope when it signs in, and be allowed to",
            id="a scope too many",
        ),
        pytest.param(
            ["--group", "admins"],
            1,
            "refused, group_required: the user is in other groups, which are compared whole and in exact case; "
            "after a change, refresh the token",
            id="a group",
        ),
        pytest.param(
            ["--client-id", "one", "--client-id", "two"],
            1,
            "refused, wrong_client: issued to an app client that client_id does not name: add it, "
            "or sign in with another",
            id="other clients",
        ),
        pytest.param(
            ["--user-pool-id", "eu-west-1_Another1"],
            1,
            "refused, wrong_issuer: a token of the user pool eu-west-1_FakePool1; the verifier is configured for "
            "eu-west-1_Another1",
            id="another user pool",
        ),
    ],
)
@pytest.mark.usefixtures("server")
def test_explain_takes_what_an_operation_needs(
    options: list[str],
    status: int,
    last: str,
    give: Give,
    pool: FakeUserPool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Scopes, groups and settings come by options; the last line tells the first cause."""
    give(pool.access_token(scopes=["orders/read", "orders/write"], groups=["staff"]))
    assert main(["explain", *options]) == status
    assert lines_of(capsys)[-1] == last


@pytest.mark.usefixtures("server")
def test_explain_as_json_holds_every_check(give: Give, pool: FakeUserPool, capsys: pytest.CaptureFixture[str]) -> None:
    """For programs: the verdict, and the checks in their order."""
    give(pool.access_token(client_id="another"))
    assert main(["explain", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    checks = document.pop("checks")
    assert document == {"accepted": False, "reason": "wrong_client", "verified": True}
    assert next(check for check in checks if check["name"] == "client") == {
        "name": "client",
        "outcome": "failed",
        "reason": "wrong_client",
        "expected": pool.client_id,
        "found": "another",
        "hint": "issued to an app client that client_id does not name: add it, or sign in with another",
    }


def test_explain_survives_an_outage_of_the_key_endpoint(
    give: Give, pool: FakeUserPool, server: FakeUserPoolServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line says what to do next."""
    server.down()
    give(pool.access_token())
    assert main(["explain"]) == 1
    assert lines_of(capsys)[-1] == (
        "refused, keys_unavailable: the key endpoint is out of reach: `cognito-guard doctor` shows why"
    )


@pytest.mark.parametrize(
    "options, message",
    [
        pytest.param([], "COGNITO_USER_POOL_ID: is required, and not in the environment\n", id="no settings"),
        pytest.param(
            ["--user-pool-id", "web", "--client-id", "web"],
            "user_pool_id: expected an id like eu-west-1_AbCdEf123, got 'web'\n",
            id="a bad setting",
        ),
        pytest.param(
            ["--user-pool-id", POOL_ID, "--client-id", "web", "--scope", "a b"], "scopes: ", id="a bad requirement"
        ),
    ],
)
def test_explain_with_bad_settings_is_a_wrong_call(
    options: list[str], message: str, give: Give, capsys: pytest.CaptureFixture[str]
) -> None:
    """Told in one line before a token is read."""
    give("not read")
    assert main(["explain", *options]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(message)
    assert printed.err.count("\n") == 1
    assert sys.stdin.read() == "not read"


def test_commands_run_in_a_process_of_their_own(pool: FakeUserPool, server: FakeUserPoolServer) -> None:
    """Through a pipe, as they are used, with nothing on standard error."""
    for command in ("inspect", "explain", "doctor"):
        ran = subprocess.run(
            [sys.executable, "-W", "error", "-m", "cognito_guard", command],
            input=pool.access_token(),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert ran.stdout
        assert ran.stderr == ""
    assert server.count("jwks.json") == 2


# doctor


def told(capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str, str]]:
    """Return check, outcome and finding of each line, with how long it took left out."""
    head, _, *rows = lines_of(capsys)
    columns = [head.index(title) for title in ("check", "outcome", "finding")]
    cells = [[row[start:end].strip() for start, end in zip(columns, [*columns[1:], None], strict=True)] for row in rows]
    return [(check, outcome, re.sub(r"in \d+ ms", "in N ms", finding)) for check, outcome, finding in cells]


def test_doctor_finds_a_sound_configuration_sound(
    pool: FakeUserPool, server: FakeUserPoolServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Settings, keys, the discovery document and the clock."""
    assert main(["doctor"]) == 0
    *findings, (check, outcome, clock) = told(capsys)
    beside = server.jwks_uri.removesuffix("jwks.json")
    assert findings == [
        ("settings", "passed", f"user pool {pool.user_pool_id}"),
        ("keys", "passed", f"{server.jwks_uri} answered in N ms: 2 usable, 0 skipped"),
        ("discovery", "passed", f"{beside}openid-configuration names {pool.issuer}"),
    ]
    assert (check, outcome) == ("clock", "passed")
    assert re.fullmatch(r"\d seconds (ahead of|behind) the key endpoint's", clock)


def test_doctor_as_json(server: FakeUserPoolServer, capsys: pytest.CaptureFixture[str]) -> None:
    """For programs: the verdict and the lines."""
    assert main(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["healthy"] is True
    assert [(one["check"], one["outcome"]) for one in document["checks"]] == [
        (name, "passed") for name in ("settings", "keys", "discovery", "clock")
    ]
    server.down()
    assert main(["doctor", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["healthy"] is False


@pytest.mark.parametrize(
    "options, finding",
    [
        pytest.param([], "COGNITO_USER_POOL_ID: is required, and not in the environment", id="nothing"),
        pytest.param(
            ["--user-pool-id", "arn:aws:x", "--client-id", "web"],
            "user_pool_id: expected an id like eu-west-1_AbCdEf123, got an ARN: the id is its last part, "
            "behind `userpool/`",
            id="an ARN",
        ),
        pytest.param(
            ["--user-pool-id", POOL_ID, "--client-id", "*"],
            "client_id: expected an app client ID; ANY_CLIENT is a constant, and no text",
            id="a wildcard",
        ),
    ],
)
def test_doctor_tells_a_wrong_setting(options: list[str], finding: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And looks no further."""
    assert main(["doctor", *options]) == 1
    assert told(capsys) == [("settings", "failed", finding)]


def test_doctor_tells_a_misspelt_variable(
    server: FakeUserPoolServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where all that is required is there."""
    monkeypatch.setenv("COGNITO_TOKEN_USES", "id")
    assert main(["doctor"]) == 1
    assert told(capsys) == [
        ("settings", "failed", "COGNITO_TOKEN_USES: no such setting; did you mean COGNITO_TOKEN_USE?")
    ]
    assert server.requests == ()


@pytest.mark.parametrize(
    "variable, value, told_as",
    [
        pytest.param("COGNITO_LEEWAY", "999", "expected a finite number of seconds, from 0 to 300", id="leeway"),
        pytest.param(
            "COGNITO_USER_POOL_ID", "web", "expected an id like eu-west-1_AbCdEf123, got 'web'", id="user pool"
        ),
    ],
)
@pytest.mark.usefixtures("server")
def test_doctor_names_the_variable_that_a_mistake_stands_in(
    variable: str, value: str, told_as: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `explain` does: who reads it knows where to look."""
    monkeypatch.setenv(variable, value)
    assert main(["doctor"]) == 1
    assert told(capsys) == [("settings", "failed", f"{variable}: {told_as}")]
    assert main(["explain"]) == 2
    assert capsys.readouterr().err == f"{variable}: {told_as}\n"


def examine(url: str, *, clock: Callable[[], float] = time.time, patience: float = 60.0, **settings: Any) -> int:
    """Have the doctor look at a server."""
    given = {"user_pool_id": POOL_ID, "client_id": CLIENT, "jwks_uri": url, "allow_insecure_http": True, **settings}
    return run_doctor(given, as_json=False, clock=clock, patience=patience)


@pytest.mark.parametrize(
    "handler, finding",
    [
        pytest.param(answer(response("503 Busy")), "the key endpoint answered 503", id="an outage"),
        pytest.param(answer(response("404 Not Found")), "the key endpoint answered 404", id="the only one refuses"),
        pytest.param(answer(response("302 Found", "Location: /x")), "the key endpoint answered 302", id="a redirect"),
        pytest.param(answer(b"x\r\n\r\n"), "the fetch failed: BadStatusLine", id="no HTTP"),
        pytest.param(answer(response(body=b"x" * 300_000)), "the key endpoint sent more than the limit", id="too long"),
    ],
)
def test_doctor_tells_why_no_keys_can_be_had(handler: Any, finding: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each failure is a line, never a traceback; without keys a missing discovery document is no news."""
    with ScriptedServer(handler) as server:
        uri = f"{server.url}/keys"
        assert examine(uri) == 1
    keys, discovery, _ = told(capsys)[1:]
    assert keys == ("keys", "failed", f"{uri}: {finding}")
    assert discovery == ("discovery", "skipped", f"no document is known to be beside {uri}")


def test_doctor_tells_that_nobody_listens(capsys: pytest.CaptureFixture[str]) -> None:
    """With the class of what went wrong."""
    with socket.create_server(("127.0.0.1", 0)) as unheard:
        uri = f"http://127.0.0.1:{unheard.getsockname()[1]}/jwks.json"
    assert examine(uri) == 1
    assert told(capsys) == [
        ("settings", "passed", f"user pool {POOL_ID}"),
        ("keys", "failed", f"{uri}: the fetch failed: ConnectionRefusedError"),
        (
            "discovery",
            "warning",
            f"{uri.replace('jwks.json', 'openid-configuration')}: the fetch failed: ConnectionRefusedError",
        ),
        ("clock", "skipped", "no key endpoint told the time"),
    ]


@pytest.mark.parametrize(
    "body, finding",
    [
        pytest.param(b"<html>", "the document is not one strict JSON object", id="no JSON"),
        pytest.param(b'{"keys": []}', "the document holds no usable key", id="no keys"),
    ],
)
def test_doctor_tells_what_is_wrong_with_a_key_set(
    body: bytes, finding: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the verifier would see it."""
    with ScriptedServer(answer(response(body=body))) as server:
        uri = f"{server.url}/keys"
        assert examine(uri) == 1
    assert told(capsys)[1] == ("keys", "failed", f"{uri} answered in N ms: {finding}")


@pytest.mark.parametrize(
    "document, finding",
    [
        pytest.param(b"<html>", ": not one strict JSON object", id="no JSON"),
        pytest.param(b"{}", " names null, which is not accepted here", id="no issuer"),
        pytest.param(
            b'{"issuer": "https://x.example/\\u001b"}',
            ' names "https://x.example/\\u001b", which is not accepted here',
            id="another issuer",
        ),
    ],
)
def test_doctor_tells_what_is_wrong_with_a_discovery_document(
    document: bytes, finding: str, pool: FakeUserPool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its issuer is what tokens will carry: a verifier that does not accept it accepts none of them."""

    def handle(connection: socket.socket, _: Event) -> None:
        is_keys = scripted.requests[-1].startswith(b"GET /jwks.json")
        connection.sendall(response(body=json.dumps(pool.jwks).encode() if is_keys else document))

    with ScriptedServer(handle) as scripted:
        assert examine(f"{scripted.url}/jwks.json") == 1
        place = f"{scripted.url}/openid-configuration"
    findings = told(capsys)
    assert findings[1][1] == "passed"
    assert findings[2] == ("discovery", "failed", f"{place}{finding}")


def test_doctor_ends_in_bounded_time(capsys: pytest.CaptureFixture[str]) -> None:
    """An endpoint that hangs is a line like any other."""
    with ScriptedServer(hang(b"HTTP/1.1 200 OK\r\n")) as server:
        uri = f"{server.url}/keys"
        assert examine(uri, patience=0.1) == 1
    assert told(capsys)[1] == ("keys", "failed", f"{uri}: the fetch failed: TimeoutError")


def test_doctor_leaves_behind_what_nothing_can_interrupt(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name server that hangs must not hang the doctor."""
    over = Event()

    def resolve(*_: object, **__: object) -> None:
        over.wait(60)
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    try:
        assert examine("http://localhost/keys", patience=0.0) == 1
    finally:
        over.set()
    assert told(capsys)[1] == ("keys", "failed", "http://localhost/keys: no answer in time")


DATE = "Date: Tue, 14 Nov 2023 22:13:20 GMT"


@pytest.mark.parametrize(
    "headers, offset, settings, outcome, finding",
    [
        pytest.param([DATE], 0.0, {}, "passed", "0 seconds behind the key endpoint's", id="in time"),
        pytest.param([DATE], 5.5, {}, "passed", "5 seconds ahead of the key endpoint's", id="nearly"),
        pytest.param([DATE], 5.6, {}, "warning", "5 seconds ahead of the key endpoint's", id="suspicious"),
        pytest.param([DATE], -9.0, {}, "warning", "10 seconds behind the key endpoint's", id="behind"),
        pytest.param(
            [DATE],
            30.5,
            {},
            "failed",
            "30 seconds ahead of the key endpoint's, more than the leeway of 10",
            id="beyond the leeway",
        ),
        pytest.param(
            [DATE],
            3.5,
            {"leeway": 2.0},
            "failed",
            "3 seconds ahead of the key endpoint's, more than the leeway of 2",
            id="beyond a small leeway",
        ),
        pytest.param([DATE], 60.5, {"leeway": 90}, "warning", "60 seconds ahead of the key endpoint's", id="leeway"),
        pytest.param(
            ["Date: Tue, 14 Nov 2023 22:13:20 -0000"],
            0.5,
            {},
            "passed",
            "0 seconds behind the key endpoint's",
            id="zone",
        ),
        pytest.param([], 0.0, {}, "skipped", "no key endpoint told the time", id="no date"),
        pytest.param(
            ["Date: Tue, 14 Nov 99999 22:13:20 GMT"], 0.0, {}, "skipped", "no key endpoint told the time", id="far away"
        ),
        pytest.param(
            [f"Date: Tue, 14 Nov 2023 22:13:20 +{'9' * 30}"],
            0.0,
            {},
            "skipped",
            "no key endpoint told the time",
            id="a zone that is none",
        ),
        pytest.param(["Date: tomorrow"], 0.0, {}, "skipped", "no key endpoint told the time", id="no date at all"),
    ],
)
def test_doctor_compares_the_clocks(
    headers: list[str],
    offset: float,
    settings: dict[str, Any],
    outcome: str,
    finding: str,
    pool: FakeUserPool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Above five seconds is worth a warning, above the leeway tokens are refused."""
    body = json.dumps(pool.jwks).encode()
    with ScriptedServer(answer(response("200 OK", *headers, body=body))) as server:
        status = examine(f"{server.url}/keys", clock=FakeClock(1_700_000_000 + offset), **settings)
    assert told(capsys)[-1] == ("clock", outcome, finding)
    assert status == (1 if outcome == "failed" else 0)


HOST = "cognito-idp.eu-west-1.amazonaws.com"


@contextmanager
def played_by_proxy(
    replies: Mapping[str, tuple[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Generator[None]:
    """Play hosts of AWS behind a proxy, with certificates of an authority that is trusted here; by path and host."""
    authority = Authority()
    (tmp_path / "authority.pem").write_bytes(authority.pem)
    contexts = {host: authority.context(host) for host in (HOST, f"issuer-{HOST}")}

    def connect(connection: socket.socket, _: Event) -> None:
        host = proxy.requests[-1].split()[1].decode().partition(":")[0]
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with contexts[host].wrap_socket(connection, server_side=True) as inner:
            path = head_of(inner).split()[1].decode().rpartition("/")[2]
            status, body = replies[f"{host}/{path}"]
            inner.sendall(response(status, body=body))

    with ScriptedServer(connect) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        yield


def aws(pool: FakeUserPool, **changes: tuple[str, bytes]) -> dict[str, tuple[str, bytes]]:
    """Return what both hosts answer; changes are for all four documents, by a word each."""
    keys = ("200 OK", json.dumps(pool.jwks).encode())
    issuers = {host: f"https://{host}/{POOL_ID}" for host in (HOST, f"issuer-{HOST}")}
    documents = {host: ("200 OK", json.dumps({"issuer": issuer}).encode()) for host, issuer in issuers.items()}
    return {
        f"{HOST}/jwks.json": changes.get("keys", keys),
        f"{HOST}/openid-configuration": changes.get("discovery", documents[HOST]),
        f"issuer-{HOST}/jwks.json": changes.get("updated_keys", keys),
        f"issuer-{HOST}/openid-configuration": changes.get("updated_discovery", documents[f"issuer-{HOST}"]),
    }


NOT_SERVED = ("403 Forbidden", b"")


@pytest.mark.parametrize(
    "changes, settings, outcomes, last",
    [
        pytest.param({}, {}, "passed passed passed passed", "names https://issuer-", id="both forms"),
        pytest.param(
            {"updated_keys": NOT_SERVED, "updated_discovery": ("404 Not Found", b"")},
            {},
            "passed skipped passed skipped",
            ": this user pool does not serve it",
            id="the updated form is not served",
        ),
        pytest.param(
            {"updated_keys": NOT_SERVED, "updated_discovery": NOT_SERVED},
            {"issuer_format": "updated"},
            "failed warning",
            ": the key endpoint answered 403",
            id="the pinned form is not served",
        ),
        pytest.param(
            {"keys": NOT_SERVED, "discovery": NOT_SERVED},
            {},
            "failed passed warning passed",
            "names https://issuer-",
            id="the original form is not served",
        ),
        pytest.param(
            {"updated_keys": ("500 Oops", b"")},
            {},
            "passed failed passed passed",
            "names https://issuer-",
            id="an outage",
        ),
    ],
)
def test_doctor_asks_both_forms_of_issuers(
    changes: dict[str, tuple[str, bytes]],
    settings: dict[str, Any],
    outcomes: str,
    last: str,
    pool: FakeUserPool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Over TLS, through the proxy of the environment; a user pool need not serve the updated form."""
    with played_by_proxy(aws(pool, **changes), tmp_path, monkeypatch):
        status = run_doctor({"user_pool_id": POOL_ID, "client_id": CLIENT, **settings}, as_json=False)
    findings = told(capsys)[1:-1]
    assert [outcome for _, outcome, _ in findings] == outcomes.split()
    assert last in findings[-1][2]
    assert status == (1 if "failed" in outcomes else 0)


def test_doctor_sees_that_a_pinned_issuer_is_not_that_of_the_user_pool(
    pool: FakeUserPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A user pool that was switched to the updated form says so."""
    switched = f"https://issuer-{HOST}/{POOL_ID}"
    document = ("200 OK", json.dumps({"issuer": switched}).encode())
    with played_by_proxy(aws(pool, discovery=document), tmp_path, monkeypatch):
        settings = {"user_pool_id": POOL_ID, "client_id": CLIENT, "issuer_format": "original"}
        assert run_doctor(settings, as_json=False) == 1
    assert told(capsys)[2] == (
        "discovery",
        "failed",
        f"https://{HOST}/{POOL_ID}/.well-known/openid-configuration names {switched}, which is not accepted here",
    )
