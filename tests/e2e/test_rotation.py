"""Keys that change under traffic, over real HTTP, at two implementations that know nothing of each other."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Condition, Event
from typing import Any, Protocol

import httpx
import pytest
from concurrency import PATIENCE, averdict, verdict

from cognito_guard import CognitoVerifier, HTTPSFetch, Principal, Reason, RefreshSchedule
from cognito_guard.testing import FakeClock, FakeUserPool, FakeUserPoolServer

from .emulators import SeededPool, aws_client, run_ministack, seed_pool
from .guarded_api import settings_for
from .tokens import USER

HERE = Path(__file__).parent / "mock_server"
INSTALLED = HERE.parents[2] / "build" / "mock_server"
# A name that is not found fails the test: who asks for these tests has Node.
NODE, NPM = (shutil.which(name) or name for name in ("node", "npm"))
NPM_TAKES = 110.0  # seconds at most, for an installation that takes a few

POOL_ID = "us-east-1_Rotating1"
CLIENT_ID = "1h57kf5cpq17m0eml12example"
SCHEDULE = RefreshSchedule(deadline=PATIENCE)
THREADS, TASKS = 4, 20
PAUSE = 0.005  # seconds between two rounds: the traffic is light, and the machine has other work


class RotatingPool(Protocol):
    """A user pool that is served, and whose keys change on demand."""

    @property
    def jwks_requests(self) -> int:
        """How often the published keys were asked for."""
        ...

    def verifier(self, timer: FakeClock) -> CognitoVerifier:
        """Return a verifier of its tokens that fetches the keys over HTTP."""
        ...

    def token(self) -> str:
        """Issue an access token under the newest key."""
        ...

    def add_key(self) -> None:
        """Publish a new key, which signs from now on, beside the others."""
        ...

    def withdraw_old_keys(self) -> None:
        """Publish the newest key alone."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FakePool:
    """The fake user pool of `cognito_guard.testing`."""

    pool: FakeUserPool
    server: FakeUserPoolServer

    @property
    def jwks_requests(self) -> int:
        return self.server.count("jwks.json")

    def verifier(self, timer: FakeClock) -> CognitoVerifier:
        return self.server.verifier(timer=timer, schedule=SCHEDULE)

    def token(self) -> str:
        return self.pool.access_token()

    def add_key(self) -> None:
        self.pool.rotate()

    def withdraw_old_keys(self) -> None:
        self.pool.withdraw()


@dataclass(frozen=True, slots=True, kw_only=True)
class MockServer:
    """oauth2-mock-server in Node.js, with the looks of Cognito; its issuer is where it listens."""

    issuer: str
    http: httpx.Client

    @property
    def jwks_requests(self) -> int:
        requests: int = self._ask("GET", "/jwks-requests")
        return requests

    def verifier(self, timer: FakeClock) -> CognitoVerifier:
        here: dict[str, Any] = {"issuer": self.issuer, "allow_insecure_http": True}
        return CognitoVerifier(POOL_ID, client_id=CLIENT_ID, timer=timer, schedule=SCHEDULE, **here)

    def token(self) -> str:
        token: str = self._ask("POST", "/access-token")
        return token

    def add_key(self) -> None:
        self._ask("POST", "/add-key")

    def withdraw_old_keys(self) -> None:
        self._ask("POST", "/withdraw-old-keys")

    def _ask(self, method: str, path: str) -> Any:
        return self.http.request(method, path).raise_for_status().json()


class Ministack:
    """
    A user pool of ministack, which keeps its state from one run to the next; its keys are exchanged in between.

    Attributes:
        jwks_requests: how often the published keys were asked for.
    """

    def __init__(self, directory: Path) -> None:
        self.jwks_requests = 0
        self._directory = directory
        self._pool: SeededPool | None = None
        self._fetch = HTTPSFetch()

    @contextmanager
    def running(self) -> Generator[SeededPool]:
        """Start ministack, with what it held before, if anything, and stop it after the block."""
        with (
            run_ministack(self._directory, PERSIST_STATE="1") as endpoint,
            closing(aws_client("cognito-idp", endpoint)) as cognito,
        ):
            if self._pool is None:
                self._pool = seed_pool(endpoint, cognito)
            # Each run listens at a port of its own.
            jwks_uri = f"{endpoint}/{self._pool.user_pool_id}/.well-known/jwks.json"
            self._pool = replace(self._pool, endpoint=endpoint, jwks_uri=jwks_uri, cognito=cognito)
            yield self._pool

    def swap_access_key(self) -> None:
        """Have the next run sign access tokens with a new key, and publish the old one no longer."""
        assert self._pool is not None
        (self._directory / "cognito-pool-keys" / f"{self._pool.user_pool_id}-access.pem").unlink()

    def fetch(self, uri: str, timeout: float) -> bytes:
        """Get the published keys from where they are in this run."""
        assert self._pool is not None
        self.jwks_requests += 1
        return self._fetch(self._pool.jwks_uri, timeout)


@pytest.fixture
def fake_pool() -> Generator[RotatingPool]:
    """Serve a fake user pool."""
    pool = FakeUserPool(POOL_ID, client_id=CLIENT_ID)
    with pool.serve() as server:
        yield FakePool(pool=pool, server=server)


@pytest.fixture(scope="session")
def mock_server_script() -> Path:
    """Install oauth2-mock-server; return the script that uses it."""
    INSTALLED.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "rotating_pool.js"):
        shutil.copy(HERE / name, INSTALLED)
    install = [NPM, "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--prefer-offline"]
    ended = subprocess.run(install, cwd=INSTALLED, capture_output=True, text=True, timeout=NPM_TAKES, check=False)
    assert ended.returncode == 0, ended.stderr
    return INSTALLED / "rotating_pool.js"


@pytest.fixture
def mock_server(mock_server_script: Path) -> Generator[RotatingPool]:
    """Run oauth2-mock-server; should this process die first, the end of its input ends it."""
    command = [NODE, str(mock_server_script), POOL_ID, CLIENT_ID]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            issuer = process.stdout.readline().strip()
            assert issuer.endswith(POOL_ID)
            with httpx.Client(base_url=issuer.removesuffix(f"/{POOL_ID}"), trust_env=False, timeout=PATIENCE) as http:
                yield MockServer(issuer=issuer, http=http)
        finally:
            process.kill()


@pytest.fixture(params=["fake_pool", pytest.param("mock_server", marks=pytest.mark.node)])
def rotating_pool(request: pytest.FixtureRequest) -> RotatingPool:
    """Be each implementation in turn."""
    running: RotatingPool = request.getfixturevalue(request.param)
    return running


@pytest.fixture
def timer() -> FakeClock:
    """Return the verifier's timer, which stands still."""
    return FakeClock(0.0)


class Traffic:
    """
    Present tokens again and again, from threads and from the tasks of one event loop.

    Attributes:
        tokens: what everybody presents, from the next round on.
        refused: the reasons of all refusals so far.
    """

    def __init__(self, verifier: CognitoVerifier, token: str) -> None:
        self.tokens: tuple[str, ...] = (token,)
        self.refused: list[Reason] = []
        self._verifier = verifier
        self._rounds = [0] * (THREADS + TASKS)
        self._round_ended = Condition()
        self._stopped = Event()

    @contextmanager
    def flowing(self) -> Generator[None]:
        """Begin before the block and stop after it, or raise what brought the traffic to a halt."""
        with ThreadPoolExecutor(THREADS + 1) as threads:
            callers = [threads.submit(self._in_thread, number) for number in range(THREADS)]
            callers.append(threads.submit(asyncio.run, self._in_tasks()))
            try:
                yield
            finally:
                self._stopped.set()
        for caller in callers:
            caller.result()

    def present(self, *tokens: str) -> None:
        """Present these tokens from now on, and return once everybody has, and nobody presents others any more."""
        self.tokens = tokens
        with self._round_ended:
            # The round that is under way may have begun with others.
            due = [rounds + 2 for rounds in self._rounds]
            assert self._round_ended.wait_for(
                lambda: all(done >= rounds for done, rounds in zip(self._rounds, due, strict=True)), PATIENCE
            )

    def _in_thread(self, number: int) -> None:
        while not self._stopped.wait(PAUSE):
            for token in self.tokens:
                self._note(verdict(self._verifier, token))
            self._end_round(number)

    async def _in_tasks(self) -> None:
        await asyncio.gather(*(self._in_task(THREADS + number) for number in range(TASKS)))

    async def _in_task(self, number: int) -> None:
        never = asyncio.get_running_loop().create_future()
        while not self._stopped.is_set():
            for token in self.tokens:
                self._note(await averdict(self._verifier, token))
            self._end_round(number)
            await asyncio.wait([never], timeout=PAUSE)

    def _note(self, verdict: Principal | Reason) -> None:
        if isinstance(verdict, Reason):
            self.refused.append(verdict)

    def _end_round(self, number: int) -> None:
        with self._round_ended:
            self._rounds[number] += 1
            self._round_ended.notify_all()


def refusals(verifier: CognitoVerifier, token: str, times: int = 10) -> list[Principal | Reason]:
    """Present a token that is bad, often."""
    return [verdict(verifier, token) for _ in range(times)]


def test_planned_rotation_refuses_no_good_token(rotating_pool: RotatingPool, timer: FakeClock) -> None:
    """The new key is taken with its first token, the old one lives for `fresh_for` and one refresh, fetches are few."""
    verifier, old = rotating_pool.verifier(timer), rotating_pool.token()
    traffic = Traffic(verifier, old)
    with traffic.flowing():
        traffic.present(old)
        assert rotating_pool.jwks_requests == 1

        rotating_pool.add_key()
        new = rotating_pool.token()
        traffic.present(old, new)
        assert rotating_pool.jwks_requests == 2

        rotating_pool.withdraw_old_keys()
        timer.tick(SCHEDULE.fresh_for - 1.0)
        traffic.present(new, old)
        assert rotating_pool.jwks_requests == 2

        traffic.present(new)
        timer.tick(1.0)
        traffic.present(new, rotating_pool.token())
        verifier.prefetch()
        assert rotating_pool.jwks_requests == 3
        assert set(refusals(verifier, old)) == {Reason.UNKNOWN_KEY}
        traffic.present(new)
    assert traffic.refused == []
    assert rotating_pool.jwks_requests == 3 + SCHEDULE.burst


def test_abrupt_swap_ends_the_old_key_with_the_first_new_token(rotating_pool: RotatingPool, timer: FakeClock) -> None:
    """Keys that are exchanged at once are a rotation too: whoever has the new one is let in, and the old one dies."""
    verifier, old = rotating_pool.verifier(timer), rotating_pool.token()
    traffic = Traffic(verifier, old)
    with traffic.flowing():
        traffic.present(old)
        rotating_pool.add_key()
        rotating_pool.withdraw_old_keys()
        traffic.present(old)
        assert rotating_pool.jwks_requests == 1

        traffic.present()
        new = rotating_pool.token()
        traffic.present(new)
        assert rotating_pool.jwks_requests == 2
        assert set(refusals(verifier, old)) == {Reason.UNKNOWN_KEY}
        traffic.present(new)
    assert traffic.refused == []
    assert rotating_pool.jwks_requests == 1 + SCHEDULE.burst


def test_swap_without_a_new_token_ends_the_old_key_after_one_refresh(
    rotating_pool: RotatingPool, timer: FakeClock
) -> None:
    """Where nobody brings the new key, time alone ends the old one, in every thread and task."""
    verifier, old = rotating_pool.verifier(timer), rotating_pool.token()
    traffic = Traffic(verifier, old)
    with traffic.flowing():
        traffic.present(old)
        rotating_pool.add_key()
        rotating_pool.withdraw_old_keys()
        traffic.present(old)
        assert traffic.refused == []

        timer.tick(SCHEDULE.fresh_for)
        verifier.prefetch()
        traffic.present(old)
        refused = len(traffic.refused)
        traffic.present(old)
        assert len(traffic.refused) >= refused + THREADS + TASKS
    assert set(traffic.refused) == {Reason.UNKNOWN_KEY}
    assert rotating_pool.jwks_requests <= 2 + SCHEDULE.burst


def test_many_rotations_in_a_row_cost_one_request_each(rotating_pool: RotatingPool, timer: FakeClock) -> None:
    """Each key is taken with its first token, if a try has been earned since the last one."""
    verifier = rotating_pool.verifier(timer)
    tokens = [rotating_pool.token()]
    traffic = Traffic(verifier, tokens[0])
    with traffic.flowing():
        traffic.present(*tokens)
        for _ in range(4):
            rotating_pool.add_key()
            tokens.append(rotating_pool.token())
            timer.tick(SCHEDULE.cooldown)
            traffic.present(*tokens)
    assert traffic.refused == []
    assert rotating_pool.jwks_requests == len(tokens)


def test_new_access_key_after_a_restart_of_the_user_pool(tmp_path: Path, timer: FakeClock) -> None:
    """At ministack too: the old key serves while nobody is there to ask, and dies with the first new token."""
    ministack = Ministack(tmp_path)
    with ministack.running() as pool:
        settings = {**settings_for(pool), "token_use": ["access", "id"]}
        verifier = CognitoVerifier.from_mapping(settings, timer=timer, schedule=SCHEDULE, fetch=ministack.fetch)
        old = pool.sign_in()
        assert verifier.verify(old.access).username == USER
    ministack.swap_access_key()
    assert verifier.verify(old.access).username == USER
    with ministack.running() as pool:
        new = pool.sign_in()
        assert verifier.verify(old.access).username == USER
        assert ministack.jwks_requests == 1

        assert verifier.verify(new.access).subject == verifier.verify(old.id).subject
        assert ministack.jwks_requests == 2
        assert set(refusals(verifier, old.access)) == {Reason.UNKNOWN_KEY}
        assert verifier.verify(new.access).username == USER
        # The key of the ID tokens has stayed.
        assert {verifier.verify(token).username for token in (old.id, new.id)} == {USER}
    assert ministack.jwks_requests == 1 + SCHEDULE.burst
