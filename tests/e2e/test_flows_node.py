"""Sign-in with AWS's own clients for JavaScript, in Node.js, and the guarded API called from there."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from .answers import INVALID_TOKEN
from .emulators import SeededPool
from .guarded_api import GuardedAPI
from .guards import Guards, Judge, member
from .tokens import PASSWORD, USER, Tokens

pytestmark = pytest.mark.node

HERE = Path(__file__).parent / "javascript"
INSTALLED = HERE.parents[2] / "build" / "javascript"
FILES = ("package.json", "sign_in.js")
# A name that is not found fails the test: who asks for these tests has Node.
NODE, NPM = (shutil.which(name) or name for name in ("node", "npm"))
PATIENCE = 110.0  # seconds for an installation or a run, which take a few

CLIENTS = ["identity-js", "amplify"]


def run(*command: str, given: str = "") -> str:
    """Run a command where the clients are installed; return what it prints."""
    ended = subprocess.run(
        command, cwd=INSTALLED, input=given, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture(scope="session")
def installed() -> Path:
    """Install the clients; return the script that uses them."""
    INSTALLED.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copy(HERE / name, INSTALLED)
    run(NPM, "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--prefer-offline")
    return INSTALLED / "sign_in.js"


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """An application in JavaScript, and the user pool and the API that it uses."""

    script: Path
    pool: SeededPool
    api: GuardedAPI

    def sign_in(self, library: str, flow: str, password: str = PASSWORD) -> dict[str, Any]:
        """Sign the user in and refresh; return the tokens and what the API answered."""
        task = {
            "library": library,
            "flow": flow,
            "endpoint": self.pool.endpoint,
            "userPoolId": self.pool.user_pool_id,
            "clientId": self.pool.web_client_id,
            "username": USER,
            "password": password,
            "api": str(self.api.client.base_url).rstrip("/"),
        }
        done: dict[str, Any] = json.loads(run(NODE, str(self.script), given=json.dumps(task)))
        return done


@pytest.fixture
def application(installed: Path, pool: SeededPool, guards: Guards) -> Application:
    """Be the application."""
    return Application(script=installed, pool=pool, api=guards.access)


@pytest.mark.parametrize("emulator", ["ministack"], indirect=True)
@pytest.mark.parametrize("flow", ["USER_SRP_AUTH", "USER_PASSWORD_AUTH"])
@pytest.mark.parametrize("library", CLIENTS)
def test_javascript_sign_in_and_refresh(application: Application, judge: Judge, library: str, flow: str) -> None:
    """The API answers the application itself, before and after a refresh, and tells it that an ID token is none."""
    done = application.sign_in(library, flow)
    assert "failed" not in done, done
    caller = member(application.pool, USER)
    welcome = {"status": httpx.codes.OK, "challenge": None, "body": caller.seen("access")}
    assert (done["seen"], done["seenAgain"]) == (welcome, welcome)
    assert (done["refused"]["status"], done["refused"]["challenge"]) == (httpx.codes.UNAUTHORIZED, INVALID_TOKEN)
    signed_in, refreshed = Tokens(**done["signedIn"]), Tokens(**done["refreshed"])
    assert refreshed.access != signed_in.access
    judge(signed_in, caller)
    judge(replace(refreshed, refresh=signed_in.refresh), caller)


@pytest.mark.parametrize("emulator", ["ministack"], indirect=True)
@pytest.mark.parametrize("library", CLIENTS)
def test_javascript_sign_in_with_wrong_password(application: Application, library: str) -> None:
    """The proof of a wrong password yields nothing, so the sign-ins above are real."""
    done = application.sign_in(library, "USER_SRP_AUTH", f"{PASSWORD}!")
    assert done["failed"] == "NotAuthorizedException"


@pytest.mark.parametrize("emulator", ["moto"], indirect=True)
def test_javascript_sign_in_at_moto(application: Application, judge: Judge) -> None:
    """By password, with identity-js: from JavaScript moto has neither SRP nor the call that Amplify refreshes by."""
    done = application.sign_in("identity-js", "USER_PASSWORD_AUTH")
    assert "failed" not in done, done
    caller = member(application.pool, USER)
    assert (done["seen"]["body"], done["seenAgain"]["body"]) == (caller.seen("access"), caller.seen("access"))
    judge(Tokens(**done["signedIn"]), caller)
