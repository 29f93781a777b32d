"""A verifier whose fetches wait for the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeAlias

import pytest

from cognito_guard import CognitoVerifier, RefreshSchedule
from cognito_guard.testing import FakeClock, FakeUserPool

from . import FOR_EVER, GatedFetch

Make: TypeAlias = Callable[..., CognitoVerifier]


@pytest.fixture
def fetch(pool: FakeUserPool) -> Iterator[GatedFetch]:
    """Return a fetch whose gate is closed."""
    fetch = GatedFetch(pool)
    yield fetch
    fetch.open()


@pytest.fixture
def timer() -> FakeClock:
    """Return the verifiers' timer, which stands still and has nothing to do with the time of day."""
    return FakeClock(0.0)


@pytest.fixture
def make(pool: FakeUserPool, fetch: GatedFetch, timer: FakeClock) -> Make:
    """Return a function that makes a verifier with a schedule of its own."""

    def make_verifier(**schedule: Any) -> CognitoVerifier:
        return pool.verifier(fetch=fetch, timer=timer, schedule=replace(RefreshSchedule(deadline=FOR_EVER), **schedule))

    return make_verifier


@pytest.fixture
def verifier(make: Make) -> CognitoVerifier:
    return make()


@pytest.fixture
def token(pool: FakeUserPool) -> str:
    return pool.access_token()
