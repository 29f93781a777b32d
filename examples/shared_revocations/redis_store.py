"""
Revocations that all processes and machines share, in Redis: said by one, known to all with their next request.

    options = {"host": "redis.internal", "socket_timeout": 0.25, "socket_connect_timeout": 0.25}
    revocations = RedisRevocations(redis.Redis(**options), redis.asyncio.Redis(**options))
    verifier = CognitoVerifier.from_env(revocations=revocations)

Give both clients timeouts: while Redis is out of reach each request waits for one, and is answered with 503.
"""

import time
from collections.abc import Sequence

import redis
import redis.asyncio

from cognito_guard import Principal

KEPT_FOR = 24 * 60 * 60 + 60 + 2 * 300
"""Seconds: the longest life of a token, Cognito's grace for rotated refresh tokens, and the largest leeway twice."""


class RedisRevocations:
    """Hold which sessions are revoked, and the users and clients of whom all is that was issued up to a time."""

    def __init__(self, client: redis.Redis, aclient: redis.asyncio.Redis) -> None:
        """Take a client for threads, and one for the event loop: its connections belong to one alone."""
        self._client = client
        self._aclient = aclient

    def revoke(self, kind: str, user_pool_id: str, name: str) -> None:
        """
        Revoke what was issued so far; `kind` is "session" (by `origin_jti`), "user" (by `sub`) or "client".

        A session before Cognito is told, a user or a client once more afterwards.
        """
        if not name:
            raise ValueError(f"no {kind} is named: a token without origin_jti is revoked by user or client")
        self._client.set(_key(kind, user_pool_id, name), time.time(), ex=KEPT_FOR)

    def is_revoked(self, principal: Principal) -> bool:
        """Ask Redis, once."""
        return _any_reaches(principal, self._client.mget(_keys(principal)))

    async def ais_revoked(self, principal: Principal) -> bool:
        """Ask as `is_revoked` does, without blocking the event loop."""
        return _any_reaches(principal, await self._aclient.mget(_keys(principal)))


def _key(kind: str, user_pool_id: str, name: str) -> str:
    return f"revoked:{user_pool_id}:{kind}:{name}"


def _keys(principal: Principal) -> list[str]:
    # No session is named like that of a token without one.
    names = {"session": principal.origin_jti or "", "user": principal.subject, "client": principal.client_id}
    return [_key(kind, principal.user_pool_id, name) for kind, name in names.items()]


def _any_reaches(principal: Principal, revoked: Sequence[bytes | str | None]) -> bool:
    session, *issued_until = revoked
    # Also a token that the session was refreshed to a moment later.
    return session is not None or any(until and principal.issued_at <= float(until) for until in issued_until)
