"""The shared revocations of examples/shared_revocations, in a real Redis: said by one process, known to the others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from redis_server import RedisServer

from cognito_guard import CognitoVerifier, Reason, RefusalError
from cognito_guard.testing import ABSENT, FakeUserPool

STORE = Path(__file__).parent.parent / "examples/shared_revocations/redis_store.py"

pytestmark = pytest.mark.system


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """Return a client for threads."""
    with redis.Redis(unix_socket_path=redis_server.socket) as client:
        yield client


@pytest.fixture
def aclient(redis_server: RedisServer) -> redis.asyncio.Redis:
    """Return a client for one event loop."""
    return redis.asyncio.Redis(unix_socket_path=redis_server.socket)


def store_of(client: redis.Redis, aclient: redis.asyncio.Redis) -> Any:
    """Return the example's store, as each process has one of its own."""
    spec = spec_from_file_location("redis_store", STORE)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.RedisRevocations(client, aclient)


def verdict(verifier: CognitoVerifier, token: str) -> object:
    """Return who is let in, or why nobody is."""
    try:
        return verifier.verify(token).username
    except RefusalError as error:
        return error.reason


async def averdict(verifier: CognitoVerifier, token: str) -> object:
    """Return what `verdict` does."""
    try:
        return (await verifier.averify(token)).username
    except RefusalError as error:
        return error.reason


def test_what_one_process_revokes_all_refuse(
    client: redis.Redis, aclient: redis.asyncio.Redis, pool: FakeUserPool
) -> None:
    """A session, a user, a client; each takes what belongs to it and nothing else, in both colours."""
    teller, store = (store_of(client, aclient) for _ in range(2))
    verifier = pool.verifier(token_use=["access", "id"], revocations=store)
    session = [pool.access_token(origin_jti="one"), pool.id_token(origin_jti="one")]
    others = [pool.access_token(origin_jti="two"), pool.access_token(origin_jti=ABSENT)]
    joe = pool.access_token(username="joe")

    async def judged() -> list[object]:
        try:
            return [await averdict(verifier, token) for token in (*session, *others, joe)]
        finally:
            await aclient.aclose()

    assert [verdict(verifier, token) for token in (*session, *others, joe)] == ["jane"] * 4 + ["joe"]
    with pytest.raises(ValueError, match="no session is named"):
        teller.revoke("session", pool.user_pool_id, None)
    teller.revoke("session", pool.user_pool_id, "one")
    expected: list[object] = [Reason.REVOKED, Reason.REVOKED, "jane", "jane", "joe"]
    assert [verdict(verifier, token) for token in (*session, *others, joe)] == expected
    assert asyncio.run(judged()) == expected
    teller.revoke("user", pool.user_pool_id, pool.subject("jane"))
    assert [verdict(verifier, token) for token in (*others, joe)] == [Reason.REVOKED, Reason.REVOKED, "joe"]
    teller.revoke("client", pool.user_pool_id, pool.client_id)
    assert verdict(verifier, joe) is Reason.REVOKED


def test_redis_that_is_gone_lets_nobody_in(
    redis_server: RedisServer, client: redis.Redis, aclient: redis.asyncio.Redis, pool: FakeUserPool
) -> None:
    """Not even whose token was good a moment ago; 503 says that it may be good again."""
    verifier = pool.verifier(revocations=store_of(client, aclient))
    token = pool.access_token()
    assert verdict(verifier, token) == "jane"
    redis_server.stop()
    assert verdict(verifier, token) is Reason.REVOCATIONS_UNAVAILABLE
    assert asyncio.run(averdict(verifier, token)) is Reason.REVOCATIONS_UNAVAILABLE
