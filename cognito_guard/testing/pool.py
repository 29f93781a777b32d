"""
A fake user pool: mints every kind of token Cognito issues, signed for real.

A token carries exactly the claims that Cognito puts into one of its kind, unless the test says otherwise.
"""

from __future__ import annotations

import hmac
import itertools
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from hashlib import sha256
from random import Random
from types import MappingProxyType
from typing import Any, Final, Literal
from uuid import NAMESPACE_URL, UUID, uuid5

from ..errors import ConfigurationError
from ..pool import UserPool
from ..requires import ResourceServer
from ..verifier import CognitoVerifier
from .keys import JWKS, PublishedKeys, SigningKey, base64url
from .server import TOKEN_LIFETIME, FakeUserPoolServer, TokenRequestError


class Absent(Enum):
    """The type of `ABSENT`."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return self.name


ABSENT: Final = Absent.ABSENT
"""A claim or header parameter of this value is left out of the token."""

_ADMIN_SCOPE = "aws.cognito.signin.user.admin"  # all that a sign-in through the SDK grants
_CLIENT_ID = re.compile(r"[\w+]{1,128}", re.ASCII)
_CLIENT_SECRET = re.compile(r"[\w+]{24,64}", re.ASCII)
_ID_LENGTH = 26
_ID_CHARS = "0123456789abcdefghijklmnopqrstuvwxyz"
_client_numbers = itertools.count()


def _new_client_id() -> str:
    number = int.from_bytes(sha256(f"app client {next(_client_numbers)}".encode()).digest())
    return "".join(_ID_CHARS[number // 36**place % 36] for place in range(_ID_LENGTH))


@dataclass(frozen=True, slots=True, kw_only=True)
class AppClient:
    """
    Hold an app client of a fake user pool.

    Attributes:
        client_id: by default one of Cognito's look that no other app client of this process has.
        client_secret: 24 to 64 letters, digits, `_` or `+`; None makes a public client.
        scopes: the custom scopes that the client may be granted by its own credentials.

    Raises:
        ConfigurationError: an ID or secret that Cognito would not take.
    """

    client_id: str = field(default_factory=_new_client_id)
    client_secret: str | None = field(default=None, repr=False)
    scopes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _CLIENT_ID.fullmatch(self.client_id):
            raise ConfigurationError("client_id", f"expected letters, digits, _ and + only, got {self.client_id!r}")
        if self.client_secret is not None and not _CLIENT_SECRET.fullmatch(self.client_secret):
            raise ConfigurationError("client_secret", "expected 24 to 64 letters, digits, _ or +")
        object.__setattr__(self, "scopes", _names("scopes", self.scopes))


class FakeUserPool:
    """
    Stand in for a user pool: mint tokens, publish and rotate keys, make verifiers that trust them.

    Two fake user pools never share a key, except where `keys_of` says so.  User ids and token ids follow from the
    pool's id, so that a test sees the same ones in each run.

    Args:
        user_pool_id: the pool's id; its Region decides the issuer.
        client_id: the app client that tokens are issued to by default.  Unless `clients` describes it, it is a
            public client that may be granted every declared scope.
        clients: further app clients.
        resource_servers: who declares the custom scopes of the pool, one or several.
        issuer_format: which of Cognito's two issuer forms to sign as.
        issuer: the exact issuer instead, as an emulator has.
        clock: wall time in seconds since the epoch.
        keys_of: share the keys of this pool, as all pools of some emulators do.

    Raises:
        ConfigurationError: an argument that is not right in itself, two clients of one ID, or a client with a scope
            that no resource server declares.
    """

    def __init__(
        self,
        user_pool_id: str = "eu-west-1_FakePool1",
        *,
        client_id: str = "1h57kf5cpq17m0eml12example",
        clients: Sequence[AppClient] = (),
        resource_servers: ResourceServer | Iterable[ResourceServer] = (),
        issuer_format: Literal["original", "updated"] = "original",
        issuer: str | None = None,
        clock: Callable[[], float] = time.time,
        keys_of: FakeUserPool | None = None,
    ) -> None:
        self._user_pool_id = user_pool_id
        self._issuer = _issuer(user_pool_id, issuer_format, issuer)
        self._overrides_issuer = issuer is not None
        self._client_id = client_id
        self._scopes = _declared(resource_servers)
        self._clients = _clients(client_id, clients, self._scopes)
        self._clock = clock
        self._keys: PublishedKeys = PublishedKeys() if keys_of is None else keys_of._keys
        self._random = Random(user_pool_id)  # noqa: S311 - the same ids in each run are the point

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
        return self._client_id

    @property
    def clients(self) -> Mapping[str, AppClient]:
        """All app clients by ID, the default one first."""
        return self._clients

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

    def subject(self, username: str) -> str:
        """Return the `sub` of a user, the same in each run."""
        return str(uuid5(NAMESPACE_URL, f"{self._user_pool_id}#{username}"))

    def access_token(
        self,
        *,
        sub: str | Absent | None = None,
        username: str | Absent = "jane",
        scopes: Sequence[str] = (_ADMIN_SCOPE,),
        groups: Sequence[str] = (),
        client_id: str | Absent | None = None,
        expires_in: int = TOKEN_LIFETIME,
        auth_time: float | Absent | None = None,
        from_oauth_endpoint: bool = False,
        audience: str | Sequence[str] | None = None,
        origin_jti: str | Absent | None = None,
        key: SigningKey | None = None,
        header: Mapping[str, object] | None = None,
        issuer: str | None = None,
        **claims: object,
    ) -> str:
        """
        Mint a user's access token, by default as a sign-in through the SDK yields it.

        Args:
            sub: by default the one that belongs to `username`.
            username: the user's name.
            scopes: the granted scopes; with none the claim is left out.
            groups: the user's groups; with none the claim is left out.
            client_id: by default the pool's.
            expires_in: seconds from now to `exp`; negative for a token that has expired.
            auth_time: when the user authenticated, in seconds since the epoch; by default now.
            from_oauth_endpoint: as the managed login yields it (`version` 2).
            audience: `aud`, which only tokens bound to a resource have.
            origin_jti: by default a new one.
            key: sign with this key and name it in the header.
            header: parameters that are added to the JOSE header or replace its own.
            issuer: `iss`, by default the pool's.
            claims: further claims, or other values for the ones above under the names they have in the token;
                `ABSENT` leaves a claim out.
        """
        issued: dict[str, object] = {
            **self._user_claims(sub, username, groups, auth_time, origin_jti),
            **self._token_claims("access", issuer, expires_in),
            "aud": _present(audience),
            "client_id": self._client_id if client_id is None else client_id,
            "scope": " ".join(_names("scopes", scopes)) or ABSENT,
            "username": username,
            "version": 2 if from_oauth_endpoint else ABSENT,
        }
        return _signed(key or self.access_key, header, issued | claims)

    def id_token(
        self,
        *,
        sub: str | Absent | None = None,
        username: str | Absent = "jane",
        email: str | Absent = "jane@example.com",
        groups: Sequence[str] = (),
        attributes: Mapping[str, object] = MappingProxyType({}),
        client_id: str | Absent | None = None,
        expires_in: int = TOKEN_LIFETIME,
        auth_time: float | Absent | None = None,
        from_oauth_endpoint: bool = False,
        origin_jti: str | Absent | None = None,
        key: SigningKey | None = None,
        header: Mapping[str, object] | None = None,
        issuer: str | None = None,
        **claims: object,
    ) -> str:
        """
        Mint a user's ID token, by default as a sign-in through the SDK yields it.

        Args:
            email: the user's address, verified; `ABSENT` leaves out both claims.
            attributes: custom attributes without their prefix; whatever their type, Cognito writes strings.
            client_id: `aud`, by default the pool's.
            from_oauth_endpoint: as the managed login yields it (`at_hash`).

        The other arguments are those of `access_token`.
        """
        issued: dict[str, object] = {
            **self._user_claims(sub, username, groups, auth_time, origin_jti),
            **self._token_claims("id", issuer, expires_in),
            "at_hash": base64url(self._random.randbytes(16)) if from_oauth_endpoint else ABSENT,
            "aud": self._client_id if client_id is None else client_id,
            "cognito:username": username,
            "email": email,
            "email_verified": ABSENT if email is ABSENT else True,
            **{f"custom:{name}": _attribute(value) for name, value in attributes.items()},
        }
        return _signed(key or self.id_key, header, issued | claims)

    def client_token(
        self,
        *,
        client_id: str | None = None,
        scopes: Sequence[str] | None = None,
        expires_in: int = TOKEN_LIFETIME,
        key: SigningKey | None = None,
        header: Mapping[str, object] | None = None,
        issuer: str | None = None,
        **claims: object,
    ) -> str:
        """
        Mint a machine's access token, as the client credentials grant yields it.

        Args:
            client_id: by default the first app client with a secret, else the pool's default.
            scopes: by default all that the client may be granted.

        The other arguments are those of `access_token`.
        """
        machine = self._machine() if client_id is None else client_id
        allowed = self._clients[machine].scopes if machine in self._clients else ()
        issued: dict[str, object] = {
            **self._token_claims("access", issuer, expires_in),
            "auth_time": int(self._clock()),
            "client_id": machine,
            "scope": " ".join(_names("scopes", allowed if scopes is None else scopes)) or ABSENT,
            "sub": machine,
            "version": 2,
        }
        return _signed(key or self.access_key, header, issued | claims)

    def bound_token(self, resource: str, **options: Any) -> str:
        """
        Mint a user's access token that is bound to a resource.

        Args:
            resource: the resource's URL, which becomes `aud`.
            options: arguments of `access_token`.
        """
        bound: dict[str, Any] = {"audience": resource, "from_oauth_endpoint": True}
        return self.access_token(**(bound | options))

    def delegated_token(self, actor: str, **options: Any) -> str:
        """
        Mint a user's access token that an actor obtained on the user's behalf.

        Args:
            actor: the actor's `sub`.
            options: arguments of `access_token`.
        """
        delegated: dict[str, Any] = {"act": {"sub": actor}}
        return self.access_token(**(delegated | options))

    def refresh_token(self) -> str:
        """Return an encrypted token of five segments that nobody can read, as Cognito's refresh tokens are."""
        header = b'{"cty":"JWT","enc":"A256GCM","alg":"RSA-OAEP"}'
        # Encrypted key, initialization vector, ciphertext, authentication tag (RFC 7516 §3.1).
        return ".".join(map(base64url, (header, *map(self._random.randbytes, (256, 12, 1024, 16)))))

    def sign(
        self,
        header: Mapping[str, object] | bytes,
        payload: Mapping[str, object] | bytes,
        key: SigningKey | None = None,
    ) -> str:
        """
        Sign anything with RS256; for hostile tokens.

        Args:
            header: the JOSE header; nothing is added to it.  Bytes are taken as they are.
            payload: the claims, or the payload's bytes.
            key: by default the access key.
        """
        return (key or self.access_key).sign(header, payload)

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
        client = self._clients.get(client_id)
        if client is None:
            raise TokenRequestError("invalid_client")
        if client.client_secret is None or not client.scopes:
            raise TokenRequestError("unauthorized_client")
        if not hmac.compare_digest((client_secret or "").encode(), client.client_secret.encode()):
            raise TokenRequestError("invalid_client")
        asked = tuple(dict.fromkeys(scopes)) or client.scopes
        if not set(asked) <= set(self._scopes):
            raise TokenRequestError("invalid_scope")
        if not set(asked) <= set(client.scopes):
            raise TokenRequestError("invalid_grant")
        return self.client_token(client_id=client_id, scopes=asked)

    def fetch(self, uri: str, timeout: float) -> bytes:
        """Return the key set as published now, whatever the URI: for the `fetch` argument of a verifier."""
        return json.dumps(self.jwks).encode()

    def verifier(self, **overrides: Any) -> CognitoVerifier:
        """
        Return a verifier of this pool's tokens that needs no network and sees each rotation as a real one would.

        Args:
            overrides: arguments of `CognitoVerifier` that win over the ones made here.
        """
        options: dict[str, Any] = {"client_id": list(self._clients), "clock": self._clock}
        if self._overrides_issuer:
            options |= {"issuer": self._issuer, "allow_insecure_http": self._issuer.startswith("http://")}
        if "jwks" not in overrides and "jwks_uri" not in overrides:
            options["fetch"] = self.fetch
        return CognitoVerifier(self._user_pool_id, **(options | overrides))

    def serve(self) -> FakeUserPoolServer:
        """Return a server of this pool for a `with` block: key set, discovery and token endpoint over real HTTP."""
        return FakeUserPoolServer(self)

    def __repr__(self) -> str:
        return f"<FakeUserPool {self._user_pool_id}, issuer {self._issuer}>"

    def _user_claims(
        self,
        sub: str | Absent | None,
        username: str | Absent,
        groups: Sequence[str],
        auth_time: float | Absent | None,
        origin_jti: str | Absent | None,
    ) -> dict[str, object]:
        """Build the claims that every token of a user's session has."""
        if auth_time is None:
            auth_time = self._clock()
        return {
            "sub": self.subject("" if username is ABSENT else username) if sub is None else sub,
            # Cognito leaves the claim out for a user without groups; an empty list never occurs.
            "cognito:groups": list(_names("groups", groups)) or ABSENT,
            "origin_jti": self._uuid() if origin_jti is None else origin_jti,
            "event_id": self._uuid(),
            "auth_time": auth_time if auth_time is ABSENT else int(auth_time),
        }

    def _token_claims(self, token_use: str, issuer: str | None, expires_in: int) -> dict[str, object]:
        """Build the claims that every token has."""
        now = int(self._clock())
        return {
            "iss": self._issuer if issuer is None else issuer,
            "token_use": token_use,
            "exp": now + expires_in,
            "iat": now,
            "jti": self._uuid(),
        }

    def _machine(self) -> str:
        confidential = (client.client_id for client in self._clients.values() if client.client_secret is not None)
        return next(confidential, self._client_id)

    def _uuid(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))


def _issuer(user_pool_id: str, issuer_format: Literal["original", "updated"], issuer: str | None) -> str:
    """Return the one issuer a pool signs as."""
    if issuer is not None:
        return UserPool.create(user_pool_id, issuer=(issuer,), static_keys=True).issuers[0]
    if issuer_format not in ("original", "updated"):
        raise ConfigurationError("issuer_format", f"expected 'original' or 'updated', got {issuer_format!r}")
    return UserPool.create(user_pool_id, issuer_format=issuer_format).issuers[0]


def _declared(resource_servers: ResourceServer | Iterable[ResourceServer]) -> tuple[str, ...]:
    if isinstance(resource_servers, ResourceServer):
        return resource_servers.scopes
    return tuple(dict.fromkeys(scope for server in resource_servers for scope in server.scopes))


def _clients(default: str, clients: Sequence[AppClient], declared: tuple[str, ...]) -> Mapping[str, AppClient]:
    by_id = {client.client_id: client for client in clients}
    if len(by_id) != len(clients):
        raise ConfigurationError("clients", "expected a different client_id for each")
    for client in clients:
        undeclared = sorted(set(client.scopes) - set(declared))
        if undeclared:
            raise ConfigurationError("clients", f"expected scopes of the resource_servers, got {undeclared}")
    if default not in by_id:
        by_id = {default: AppClient(client_id=default, scopes=declared), **by_id}
    return MappingProxyType(by_id)


def _names(setting: str, names: Sequence[str]) -> tuple[str, ...]:
    # A lone string is a sequence of strings too, and would become one name per letter.
    if isinstance(names, str):
        raise ConfigurationError(setting, f"expected several names, got the one string {names!r}")
    return tuple(names)


def _attribute(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _present(value: object) -> object:
    return ABSENT if value is None else value


def _signed(key: SigningKey, header: Mapping[str, object] | None, claims: Mapping[str, object]) -> str:
    parameters = {"kid": key.kid, "alg": "RS256", **(header or {})}
    return key.sign(_without_absent(parameters), _without_absent(claims))


def _without_absent(members: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in members.items() if value is not ABSENT}
