"""
Tokens of every kind that Cognito issues, signed for real.

A token carries exactly the claims that Cognito puts into one of its kind, unless the test says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from .claims import ABSENT, ADMIN_SCOPE, TOKEN_LIFETIME, Absent, custom_attributes, names, without_absent
from .directory import Directory, PoolUser
from .keys import PublishedKeys, SigningKey, base64url

_NOBODY = PoolUser(email="jane@example.com")  # what the token of a user who is not declared says


class TokenMint:
    """
    Mint the tokens of one user pool.

    User ids and token ids follow from the pool's id, so that a test sees the same ones in each run.

    Args:
        user_pool_id: the pool's id.
        issuer: what tokens carry as `iss`.
        directory: whom the pool knows; tokens may be minted for anybody else too.
        keys: what signs.
        clock: wall time in seconds since the epoch.
    """

    def __init__(
        self, user_pool_id: str, *, issuer: str, directory: Directory, keys: PublishedKeys, clock: Callable[[], float]
    ) -> None:
        self._user_pool_id = user_pool_id
        self._issuer = issuer
        self._directory = directory
        self._keys = keys
        self._clock = clock
        self._random = Random(user_pool_id)  # noqa: S311 - the same ids in each run are the point

    def subject(self, username: str) -> str:
        """Return the `sub` of a user, the same in each run."""
        return str(uuid5(NAMESPACE_URL, f"{self._user_pool_id}#{username}"))

    def new_id(self) -> str:
        """Return an id that the pool has not given out before."""
        return str(UUID(int=self._random.getrandbits(128), version=4))

    def email(self, username: str | Absent) -> str | Absent:
        """Return the address of a user, or `ABSENT` where there is none."""
        email = self._user(username).email
        return f"{username}@example.com" if email is None else email

    def access_token(
        self,
        *,
        sub: str | Absent | None = None,
        username: str | Absent = "jane",
        scopes: Sequence[str] = (ADMIN_SCOPE,),
        groups: Sequence[str] | None = None,
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
            groups: by default those declared for the user; with none the claim is left out.
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
            "aud": ABSENT if audience is None else audience,
            "client_id": self._directory.client_id if client_id is None else client_id,
            "scope": " ".join(names("scopes", scopes)) or ABSENT,
            "username": username,
            "version": 2 if from_oauth_endpoint else ABSENT,
        }
        return _signed(key or self._keys.access_key, header, issued | claims)

    def id_token(
        self,
        *,
        sub: str | Absent | None = None,
        username: str | Absent = "jane",
        email: str | Absent | None = None,
        groups: Sequence[str] | None = None,
        attributes: Mapping[str, object] | None = None,
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
            email: the user's address, verified, by default the declared one; `ABSENT` leaves out both claims.
            attributes: custom attributes without their prefix, by default the declared ones; whatever their type,
                Cognito writes strings.
            client_id: `aud`, by default the pool's.
            from_oauth_endpoint: as the managed login yields it (`at_hash`).

        The other arguments are those of `access_token`.
        """
        user = self._user(username)
        if email is None:
            email = self.email(username)
        if attributes is None:
            attributes = user.attributes
        issued: dict[str, object] = {
            **self._user_claims(sub, username, groups, auth_time, origin_jti),
            **self._token_claims("id", issuer, expires_in),
            "at_hash": base64url(self._random.randbytes(16)) if from_oauth_endpoint else ABSENT,
            "aud": self._directory.client_id if client_id is None else client_id,
            "cognito:username": username,
            "cognito:roles": list(user.roles) or ABSENT,
            "cognito:preferred_role": user.preferred_role or ABSENT,
            "email": email,
            "email_verified": ABSENT if email is ABSENT else True,
            **custom_attributes(attributes),
        }
        return _signed(key or self._keys.id_key, header, issued | claims)

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
        allowed = self._directory.clients[machine].scopes if machine in self._directory.clients else ()
        issued: dict[str, object] = {
            **self._token_claims("access", issuer, expires_in),
            "auth_time": int(self._clock()),
            "client_id": machine,
            "scope": " ".join(names("scopes", allowed if scopes is None else scopes)) or ABSENT,
            "sub": machine,
            "version": 2,
        }
        return _signed(key or self._keys.access_key, header, issued | claims)

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
        return (key or self._keys.access_key).sign(header, payload)

    def _user_claims(
        self,
        sub: str | Absent | None,
        username: str | Absent,
        groups: Sequence[str] | None,
        auth_time: float | Absent | None,
        origin_jti: str | Absent | None,
    ) -> dict[str, object]:
        """Build the claims that every token of a user's session has."""
        if auth_time is None:
            auth_time = self._clock()
        if groups is None:
            groups = self._user(username).groups
        return {
            "sub": self.subject("" if username is ABSENT else username) if sub is None else sub,
            # Cognito leaves the claim out for a user without groups; an empty list never occurs.
            "cognito:groups": list(names("groups", groups)) or ABSENT,
            "origin_jti": self.new_id() if origin_jti is None else origin_jti,
            "event_id": self.new_id(),
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
            "jti": self.new_id(),
        }

    def _user(self, username: str | Absent) -> PoolUser:
        return _NOBODY if username is ABSENT else self._directory.users.get(username, _NOBODY)

    def _machine(self) -> str:
        clients = self._directory.clients.values()
        confidential = (client.client_id for client in clients if client.client_secret is not None)
        return next(confidential, self._directory.client_id)


def _signed(key: SigningKey, header: Mapping[str, object] | None, claims: Mapping[str, object]) -> str:
    parameters = {"kid": key.kid, "alg": "RS256", **(header or {})}
    return key.sign(without_absent(parameters), without_absent(claims))
