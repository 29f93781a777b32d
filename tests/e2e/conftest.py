"""Run each emulator once per session, and one guarded API per user pool and module."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from .emulators import Emulator, SeededPool, run_ministack, run_moto, seeded
from .guarded_api import GuardedAPI, guarded_api, settings_for


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Generator[Emulator]:
    """Run ministack: two keys per user pool, a token endpoint, refresh tokens that are signed JWTs."""
    with run_ministack(tmp_path_factory.mktemp("ministack")) as endpoint, seeded("ministack", endpoint) as emulator:
        yield emulator


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
