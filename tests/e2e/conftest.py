"""Run each emulator once per session, and its guarded APIs."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from .doors import Site, site_of
from .emulators import Emulator, SeededPool, run_ministack, run_moto, seed_pool, seeded
from .fake_pool import ServedPool, served_pool
from .guarded_api import GuardedAPI, guarded_api, settings_for
from .guards import Guards, Judge, guards_of
from .sign_ins import deploy_triggers


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Generator[Emulator]:
    """Run ministack: two keys per user pool, a token endpoint, refresh tokens that are signed JWTs."""
    with run_ministack(tmp_path_factory.mktemp("ministack")) as endpoint, seeded("ministack", endpoint) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def ministack_with_triggers(ministack: Emulator) -> Emulator:
    """Add a user pool with Lambda triggers to ministack."""
    endpoint = ministack.pool.endpoint
    pool = seed_pool(endpoint, ministack.pool.cognito, deploy_triggers(endpoint))
    return Emulator(name="ministack", pool=pool, other_pool=ministack.pool)


@pytest.fixture(scope="session")
def site(ministack: Emulator) -> Generator[Site]:
    """Be what builds doors at ministack, for its first user pool."""
    with site_of(ministack.pool) as building:
        yield building


@pytest.fixture(scope="session")
def moto() -> Generator[Emulator]:
    """Run moto: one key, one `kid`, for every user pool there is."""
    with run_moto() as endpoint, seeded("moto", endpoint) as emulator:
        yield emulator


@pytest.fixture(scope="session", params=["ministack", "moto"])
def emulator(request: pytest.FixtureRequest) -> Emulator:
    """Be each emulator in turn."""
    running: Emulator = request.getfixturevalue(request.param)
    return running


@pytest.fixture
def pool(emulator: Emulator) -> SeededPool:
    """Be the user pool that the guarded API trusts."""
    return emulator.pool


@pytest.fixture(scope="module")
def api(emulator: Emulator) -> Generator[GuardedAPI]:
    """Serve the guarded API for the emulator's first user pool."""
    with guarded_api(settings_for(emulator.pool)) as running:
        yield running


@pytest.fixture(scope="session")
def guards(emulator: Emulator) -> Generator[Guards]:
    """Serve the guarded API behind all guards for the emulator's first user pool."""
    with guards_of(emulator) as running:
        yield running


@pytest.fixture
def judge(guards: Guards, caplog: pytest.LogCaptureFixture) -> Judge:
    """Be what judges the tokens of a flow."""
    return Judge(guards, caplog)


@pytest.fixture(scope="session")
def served() -> Generator[ServedPool]:
    """Serve a fake user pool: implicit grant, refresh tokens that are JWEs, roles."""
    with served_pool() as running:
        yield running


@pytest.fixture
def judge_served(served: ServedPool, caplog: pytest.LogCaptureFixture) -> Judge:
    """Be what judges the tokens of the fake user pool."""
    return Judge(served.guards, caplog)
