"""Fixtures that every test may use: a user pool, its clock, and both colours of a verifier."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from cognito_guard import ResourceServer
from cognito_guard.testing import FakeClock, FakeUserPool

pytest_plugins = ["hygiene", "redis_server"]

Call: TypeAlias = Callable[..., Any]


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that stands still until it is told to tick."""
    return FakeClock()


@pytest.fixture
def transactions() -> ResourceServer:
    """Return the resource server that most tests guard."""
    return ResourceServer("transactions", {"get": "Read transactions", "post": "Make transactions"})


@pytest.fixture
def pool(clock: FakeClock, transactions: ResourceServer) -> FakeUserPool:
    """Return a user pool on the test's clock."""
    return FakeUserPool(clock=clock, resource_servers=[transactions])


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Call:
    """Return a function that calls a method in its plain or in its `a...` form."""

    def plain(target: object, method: str, *args: Any) -> Any:
        return getattr(target, method)(*args)

    def awaited(target: object, method: str, *args: Any) -> Any:
        async def run() -> Any:
            return await getattr(target, f"a{method}")(*args)

        return asyncio.run(run())

    return plain if request.param == "sync" else awaited
