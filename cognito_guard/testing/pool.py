"""
A fake user pool: declared users and app clients, real tokens, keys to publish and rotate, verifiers that trust them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

from ..errors import ConfigurationError
from ..keys.freshness import RefreshSchedule
from ..pool import UserPool
from ..principal import Principal
from ..scopes import ResourceServer
from ..tokens.jws import parse
from ..tokens.policy import audience
from ..verifier import CognitoVerifier
from .directory import AppClient, Directory, PoolUser
from .grants import AuthorizationServer
from .keys import JWKS, PublishedKeys, SigningKey
from .minting import TokenMint
from .server import FakeUserPoolServer
from .sessions import Sessions

__all__ = ["AppClient", "FakeUserPool"]

_PATIENCE = 60.0  # seconds
_USERS: Mapping[str, PoolUser] = MappingProxyType({"jane": PoolUser()})


class FakeUserPool(TokenMint):
    """
    Stand in for a user pool: sign users in, mint tokens, publish and rotate keys, make verifiers that trust them.

        FakeUserPool(
            users={"jane": PoolUser(groups=["admins"]), "joe": PoolUser(password="swordfish")},
            callback_urls=["http://localhost:8000/docs/oauth2-redirect"],
        )

    Two fake user pools never share a key, except where `keys_of` says so.  User ids and token ids follow from the
    pool's id, so that a test sees the same ones in each run.

    Args:
        user_pool_id: the pool's id; its Region decides the issuer.
        client_id: the app client that tokens are issued to by default.  Unless `clients` describes it, it is a
            public client that may be granted every declared scope.
        clients: further app clients.
        callback_urls: where a sign-in for the default client may lead back to.
        logout_urls: where a sign-out from the default client may lead to.
        users: who may sign in, by name; tokens may be minted for anybody.  By default jane, with one click.
        resource_servers: who declares the custom scopes of the pool, one or several.
        issuer_format: which of Cognito's two issuer forms to sign as.
        issuer: the exact issuer instead, as an emulator has.
        clock: wall time in seconds since the epoch.
        keys_of: share the keys of this pool, as all pools of some emulators do.

    Raises:
        ConfigurationError: an argument that is not right in itself, two clients of one ID, a client with a scope
            that no resource server declares, or URLs for a default client that `clients` describes.
    """

    def __init__(
        self,
        user_pool_id: str = "eu-west-1_FakePool1",
        *,
        client_id: str = "1h57kf5cpq17m0eml12example",
        clients: Sequence[AppClient] = (),
        callback_urls: Sequence[str] = (),
        logout_urls: Sequence[str] = (),
        users: Mapping[str, PoolUser] = _USERS,
        resource_servers: ResourceServer | Iterable[ResourceServer] = (),
        issuer_format: Literal["original", "updated"] = "original",
        issuer: str | None = None,
        clock: Callable[[], float] = time.time,
        keys_of: FakeUserPool | None = None,
    ) -> None:
        super().__init__(
            user_pool_id,
            issuer=_issuer(user_pool_id, issuer_format, issuer),
            directory=Directory.create(
                client_id=client_id,
                clients=clients,
                callback_urls=callback_urls,
                logout_urls=logout_urls,
                users=users,
                resource_servers=resource_servers,
            ),
            keys=PublishedKeys() if keys_of is None else keys_of._keys,
            clock=clock,
        )
        self._overrides_issuer = issuer is not None
        self._sessions = Sessions()

    @property
    def user_pool_id(self) -> str:
        """The pool's id."""
        return self._user_pool_id

    @property
    def issuer(self) -> str:
        """What the pool's tokens carry as `iss`."""
        return self._issuer

    @property
    def client_id(self) -> str:
        """The app client that tokens are issued to by default."""
        return self._directory.client_id

    @property
    def clients(self) -> Mapping[str, AppClient]:
        """All app clients by ID, the default one first."""
        return self._directory.clients

    @property
    def users(self) -> Mapping[str, PoolUser]:
        """All declared users by name."""
        return self._directory.users

    @property
    def authorization_server(self) -> AuthorizationServer:
        """What answers sign-ins and token requests, for tests that do without HTTP."""
        # Made anew each time: one that the pool held would hold the pool, and its keys would never be lent again.
        return AuthorizationServer(self, self._directory, self._sessions, self._clock, self._judged)

    @property
    def clock(self) -> Callable[[], float]:
        """The clock that the pool issues by, and its verifiers verify by."""
        return self._clock

    @property
    def access_key(self) -> SigningKey:
        """The key that signs access tokens now."""
        return self._keys.access_key

    @property
    def id_key(self) -> SigningKey:
        """The key that signs ID tokens now."""
        return self._keys.id_key

    @property
    def jwks(self) -> JWKS:
        """The key set as published now."""
        return self._keys.jwks()

    def rotate(self, *, publish_old: bool = True) -> None:
        """
        Sign with two new keys from now on.

        Args:
            publish_old: publish the old keys as well, as a planned rotation does; without, tokens signed before turn
                bad at once.
        """
        self._keys.rotate(publish_old=publish_old)

    def withdraw(self, kid: str | None = None) -> None:
        """
        Publish a key no longer.

        Args:
            kid: which one, by default every one that signs no more.  A key that still signs may be withdrawn too.

        Raises:
            ConfigurationError: no published key has this key ID.
        """
        self._keys.withdraw(kid)

    def headers(self, token: str | None = None, **options: Any) -> dict[str, str]:
        """
        Return request headers with a bearer token.

        Args:
            token: which one, by default a new access token.
            options: arguments of `access_token`.
        """
        return {"Authorization": f"Bearer {self.access_token(**options) if token is None else token}"}

    def client_credentials(self, client_id: str, client_secret: str | None, scopes: Sequence[str] = ()) -> str:
        """
        Grant a machine's access token as the token endpoint does, or refuse as it does.

        Args:
            client_id: what the client calls itself.
            client_secret: what it knows.
            scopes: what it asks for; nothing means all it may have.

        Raises:
            TokenRequestError: with Cognito's error code.
        """
        return self.authorization_server.client_credentials(client_id, client_secret, scopes)

    def fetch(self, uri: str, timeout: float) -> bytes:
        """Return the key set as published now, whatever the URI: for the `fetch` argument of a verifier."""
        return json.dumps(self.jwks).encode()

    def verifier(self, **overrides: Any) -> CognitoVerifier:
        """
        Return a verifier of this pool's tokens that needs no network and sees each rotation as a real one would.

        Args:
            overrides: arguments of `CognitoVerifier` that win over the ones made here.
        """
        options: dict[str, Any] = {"client_id": list(self.clients), "clock": self._clock}
        if self._overrides_issuer:
            options |= {"issuer": self._issuer, "allow_insecure_http": self._issuer.startswith("http://")}
        if "jwks" not in overrides and "jwks_uri" not in overrides:
            options["fetch"] = self.fetch
            # The first fetch may have to draw the keys, and a test's machine may be busy.
            options["schedule"] = RefreshSchedule(deadline=_PATIENCE)
        return CognitoVerifier(self._user_pool_id, **(options | overrides))

    def serve(self) -> FakeUserPoolServer:
        """Return a server of this pool for a `with` block: keys, discovery, sign-in and tokens over real HTTP."""
        return FakeUserPoolServer(self)

    def __repr__(self) -> str:
        return f"<FakeUserPool {self._user_pool_id}, issuer {self._issuer}>"

    def _judged(self, access_token: str) -> Principal:
        """Verify an access token as the pool's own endpoints do, whatever resource it is bound to."""
        claims = parse(access_token).claims
        resource = audience(claims) if "aud" in claims else ()
        return self.verifier(jwks=self.jwks, resource=resource).verify(access_token)


def _issuer(user_pool_id: str, issuer_format: Literal["original", "updated"], issuer: str | None) -> str:
    """Return the one issuer a pool signs as."""
    if issuer is not None:
        return UserPool.create(user_pool_id, issuer=(issuer,), static_keys=True).issuers[0]
    if issuer_format not in ("original", "updated"):
        raise ConfigurationError("issuer_format", f"expected 'original' or 'updated', got {issuer_format!r}")
    return UserPool.create(user_pool_id, issuer_format=issuer_format).issuers[0]
