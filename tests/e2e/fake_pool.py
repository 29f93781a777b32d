"""A fake user pool over real HTTP, for the flows and claims that no emulator has."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cognito_guard import Reason
from cognito_guard.testing import AppClient, FakeUserPool, FakeUserPoolServer, PoolUser

from .guarded_api import transactions
from .guards import Caller, Guards, guarded
from .oauth import CALLBACK
from .tokens import GROUP, PASSWORD, USER

ROLES = ("arn:aws:iam::123456789012:role/clerk", "arn:aws:iam::123456789012:role/auditor")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedPool:
    """A fake user pool, its server, the settings that trust it, and the guarded API behind all guards."""

    pool: FakeUserPool
    server: FakeUserPoolServer
    settings: Mapping[str, Any]
    guards: Guards

    def member(self, *scopes: str) -> Caller:
        """Describe the user in the group, with these scopes."""
        return Caller(
            subject=self.pool.subject(USER),
            username=USER,
            client_id=self.pool.client_id,
            scopes=scopes,
            groups=[GROUP],
        )


@contextmanager
def served_pool() -> Generator[ServedPool]:
    """Serve a user pool, and the guarded API; another user pool has the same keys."""
    other_client = AppClient()
    pool = FakeUserPool(
        users={USER: PoolUser(password=PASSWORD, groups=[GROUP], roles=ROLES, preferred_role=ROLES[0])},
        clients=[other_client],
        callback_urls=[CALLBACK],
        resource_servers=transactions,
    )
    other_pool = FakeUserPool("eu-west-1_FakePool2", keys_of=pool)
    with pool.serve() as server, other_pool.serve() as other_server:
        settings, other_settings = settings_for(pool, server), settings_for(other_pool, other_server)
        # A real refresh token is a JWE, as this one is.
        refresh_token = Reason.ENCRYPTED_TOKEN
        with guarded(settings, {"client_id": other_client.client_id}, other_settings, refresh_token) as guards:
            yield ServedPool(pool=pool, server=server, settings=settings, guards=guards)


def settings_for(pool: FakeUserPool, server: FakeUserPoolServer) -> dict[str, Any]:
    """Write down how to trust a user pool that is served here."""
    return {
        "user_pool_id": pool.user_pool_id,
        "client_id": pool.client_id,
        "jwks_uri": server.jwks_uri,
        "allow_insecure_http": True,
    }
