"""
A fake identity pool: identities with real tokens, signed as `GetOpenIdToken` signs them, and verifiers that trust them.
"""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA512

from ..identity_pool import IdentityPoolVerifier
from ..keys.freshness import RefreshSchedule
from .claims import without_absent
from .documents import DocumentServer
from .keys import JWK, JWKS, PublishedKeys, SigningKey, base64url

_TOKEN_LIFETIME = 600  # seconds, of GetOpenIdToken
_PATIENCE = 60.0  # seconds
_JWKS_PATH = "/.well-known/jwks_uri"
_PROVIDERS = ("cognito-idp.eu-west-1.amazonaws.com/eu-west-1_FakePool1",)


class FakeIdentityPool:
    """
    Stand in for an identity pool: mint tokens of signed-in identities and of guests, publish and rotate keys.

    Identity ids follow from the pool's id, so that a test sees the same ones in each run.

    Args:
        identity_pool_id: the pool's id; its Region decides the issuer.
        issuer: the exact issuer instead, as an emulator has.
        clock: wall time in seconds since the epoch.

    Raises:
        ConfigurationError: an id that no identity pool has, or an issuer that is no URL.
    """

    def __init__(
        self,
        identity_pool_id: str = "eu-west-1:5c1d7f30-9b1e-4a57-8a52-0fa6e1d2c3b4",
        *,
        issuer: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._identity_pool_id = identity_pool_id
        self._keys = PublishedKeys()
        self._clock = clock
        self._given_issuer = issuer
        # Who judges the id is the one who will verify.
        self._issuer = IdentityPoolVerifier(identity_pool_id, issuer=issuer, fetch=self.fetch).issuer

    @property
    def identity_pool_id(self) -> str:
        """The pool's id."""
        return self._identity_pool_id

    @property
    def issuer(self) -> str:
        """What the pool's tokens carry as `iss`."""
        return self._issuer

    @property
    def clock(self) -> Callable[[], float]:
        """The clock that the pool issues by, and its verifiers verify by."""
        return self._clock

    @property
    def key(self) -> SigningKey:
        """The key that signs now."""
        return self._keys.access_key

    @property
    def jwks(self) -> JWKS:
        """The key set as published now: for RS512, and with a leading zero byte in each modulus, as AWS has it."""
        return {"keys": [_as_published(jwk) for jwk in self._keys.jwks()["keys"]]}

    def rotate(self, *, publish_old: bool = True) -> None:
        """
        Sign with a new key from now on.

        Args:
            publish_old: publish the old keys as well; without, tokens signed before turn bad at once.
        """
        self._keys.rotate(publish_old=publish_old)

    def withdraw(self, kid: str | None = None) -> None:
        """
        Publish a key no longer.

        Args:
            kid: which one, by default every one that signs no more.

        Raises:
            ConfigurationError: no published key has this key ID.
        """
        self._keys.withdraw(kid)

    def identity_id(self, name: str) -> str:
        """Return the identity id of somebody, the same in each run."""
        region = self._identity_pool_id.partition(":")[0]
        return f"{region}:{uuid5(NAMESPACE_URL, f'{self._identity_pool_id}#{name}')}"

    def token(
        self,
        name: str = "jane",
        *,
        providers: Sequence[str] = _PROVIDERS,
        expires_in: int = _TOKEN_LIFETIME,
        key: SigningKey | None = None,
        header: Mapping[str, object] | None = None,
        **claims: object,
    ) -> str:
        """
        Mint the token of somebody who signed in.

        Args:
            name: whose; the identity id follows from it.
            providers: what stands in `amr` behind `authenticated`.
            expires_in: seconds from now to `exp`; negative for a token that has expired.
            key: sign with this key and name it in the header.
            header: parameters that are added to the JOSE header or replace its own; `ABSENT` leaves one out.
            claims: further claims, or other values for the genuine ones; `ABSENT` leaves a claim out.
        """
        return self._minted(name, ["authenticated", *providers], expires_in, key, header, claims)

    def guest_token(
        self,
        name: str = "guest",
        *,
        expires_in: int = _TOKEN_LIFETIME,
        key: SigningKey | None = None,
        header: Mapping[str, object] | None = None,
        **claims: object,
    ) -> str:
        """Mint the token of a guest, who signed in nowhere; the arguments are those of `token`."""
        return self._minted(name, ["unauthenticated"], expires_in, key, header, claims)

    def headers(self, token: str | None = None, **options: Any) -> dict[str, str]:
        """
        Return request headers with a bearer token.

        Args:
            token: which one, by default a new one.
            options: arguments of `token`.
        """
        return {"Authorization": f"Bearer {self.token(**options) if token is None else token}"}

    def fetch(self, uri: str, timeout: float) -> bytes:
        """Return the key set as published now, whatever the URI: for the `fetch` argument of a verifier."""
        return json.dumps(self.jwks).encode()

    def verifier(self, **overrides: Any) -> IdentityPoolVerifier:
        """
        Return a verifier of this pool's tokens that needs no network and sees each rotation as a real one would.

        Args:
            overrides: arguments of `IdentityPoolVerifier` that win over the ones made here.

        Raises:
            ConfigurationError: an argument that the verifier refuses.
        """
        options: dict[str, Any] = {"clock": self._clock}
        if self._given_issuer is not None:
            options |= {"issuer": self._issuer, "allow_insecure_http": self._issuer.startswith("http://")}
        if "jwks" not in overrides and "jwks_uri" not in overrides:
            # The first fetch may have to draw the keys, and a test's machine may be busy.
            options |= {"fetch": self.fetch, "schedule": RefreshSchedule(deadline=_PATIENCE)}
        return IdentityPoolVerifier(self._identity_pool_id, **(options | overrides))

    def serve(self) -> DocumentServer:
        """Return a server of the key set for a `with` block: `jwks_uri` is its `url` with `/.well-known/jwks_uri`."""
        return DocumentServer(lambda path: self.fetch(path, 0.0) if path == _JWKS_PATH else None)

    def _minted(
        self,
        name: str,
        amr: list[str],
        expires_in: int,
        key: SigningKey | None,
        header: Mapping[str, object] | None,
        claims: Mapping[str, object],
    ) -> str:
        signer, now = key or self.key, int(self._clock())
        issued: dict[str, object] = {
            "sub": self.identity_id(name),
            "aud": self._identity_pool_id,
            "amr": amr,
            "iss": self._issuer,
            "exp": now + expires_in,
            "iat": now,
            **claims,
        }
        parameters = {"kid": signer.kid, "typ": "JWS", "alg": "RS512", **(header or {})}
        parts = (without_absent(part) for part in (parameters, issued))
        signing_input = ".".join(base64url(json.dumps(part, separators=(",", ":")).encode()) for part in parts)
        signature = signer.private_key.sign(signing_input.encode(), PKCS1v15(), SHA512())
        return f"{signing_input}.{base64url(signature)}"

    def __repr__(self) -> str:
        return f"<FakeIdentityPool {self._identity_pool_id}>"


def _as_published(jwk: JWK) -> JWK:
    return {**jwk, "alg": "RS512", "n": base64url(b"\0" + urlsafe_b64decode(jwk["n"] + "=="))}
