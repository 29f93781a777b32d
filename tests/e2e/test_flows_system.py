"""The flows in which a browser or curl has a part, with the real ones."""

from __future__ import annotations

import json
import shutil
import subprocess

import httpx
import pytest

from .chromium import by_browser
from .emulators import SeededPool
from .fake_pool import ServedPool
from .guards import Caller, Guards, Judge, member
from .oauth import sign_in_implicitly
from .tokens import USER, Tokens

pytestmark = pytest.mark.system

only_ministack = pytest.mark.parametrize("emulator", ["ministack"], indirect=True)
PATIENCE = 30.0  # seconds
# A name that is not found fails the test: who asks for these tests has curl.
CURL = shutil.which("curl") or "curl"


def curl(*arguments: str) -> str:
    """Run curl, without any proxy or settings of the user's; return what it prints."""
    command = [CURL, "--disable", "--noproxy", "*", "--silent", "--show-error", "--fail-with-body", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert ended.returncode == 0, f"{ended.stderr}{ended.stdout}"
    return ended.stdout


@only_ministack
def test_authorization_code_in_chromium(pool: SeededPool, guards: Guards, judge: Judge) -> None:
    """A person types name and password into the emulator's login page; the app redeems the code with PKCE."""
    tokens = pool.sign_in_at_login_page("openid transactions/get", by_browser)
    judge(tokens, member(pool, USER, scopes=["openid", "transactions/get"]))
    assert guards.access.get("/transactions", tokens.access).status_code == httpx.codes.OK


def test_implicit_grant_in_chromium(served: ServedPool, judge_served: Judge) -> None:
    """The browser keeps the tokens in the fragment, which no server sees."""
    tokens = sign_in_implicitly(served.server.url, served.pool.client_id, "openid transactions/get", by_browser)
    judge_served(tokens, served.member("openid", "transactions/get"))


@only_ministack
def test_client_credentials_by_curl(pool: SeededPool, guards: Guards, judge: Judge) -> None:
    """The command lines of any tutorial: `--user` for the token, a header for the API."""
    answer = curl(
        *("--user", f"{pool.machine_client_id}:{pool.machine_client_secret}"),
        *("--data", "grant_type=client_credentials", "--data", "scope=transactions/post"),
        f"{pool.endpoint}/oauth2/token",
    )
    token = json.loads(answer)["access_token"]
    machine = Caller(subject=pool.machine_client_id, client_id=pool.machine_client_id, scopes=["transactions/post"])
    judge(Tokens(access=token), machine)
    url = guards.access.client.base_url.join("/transactions")
    recorded = curl("--request", "POST", "--header", f"Authorization: Bearer {token}", str(url))
    assert json.loads(recorded) == {"recorded_for": pool.machine_client_id}
