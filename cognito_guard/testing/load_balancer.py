"""
A fake Application Load Balancer that has signed users in: the headers it adds, and the place of its keys.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ..alb import ALBVerifier
from ..errors import ConfigurationError
from ..keys.fetch import FetchError
from ..keys.freshness import RefreshSchedule
from .claims import without_absent
from .documents import DocumentServer
from .pool import FakeUserPool

_DATA_LIFETIME = 120  # seconds
_PATIENCE = 60.0  # seconds
_HALF = 32  # bytes of each of a signature's two numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancerKey:
    """
    Hold a key pair that a load balancer signs with.

    Attributes:
        kid: the key ID, a UUID.
        private_key: the private key, on the curve P-256.
    """

    kid: str
    private_key: EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def draw(cls) -> BalancerKey:
        """Return a key pair that nobody has used."""
        return cls(kid=str(uuid4()), private_key=generate_private_key(SECP256R1()))

    def pem(self) -> bytes:
        """Return the public half as AWS publishes it, a PEM document."""
        return self.private_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, signing_input: str) -> bytes:
        """Return an ES256 signature (RFC 7518 §3.4)."""
        numbers = decode_dss_signature(self.private_key.sign(signing_input.encode(), ECDSA(SHA256())))
        return b"".join(number.to_bytes(_HALF) for number in numbers)


class FakeLoadBalancer:
    """
    Stand in for a load balancer that signs users in at a user pool: the headers it adds to their requests.

    Args:
        user_pool: where users sign in; by default a new one.  Its clock is the load balancer's.
        client_id: the load balancer's app client; by default the pool's.
        load_balancer_arn: what it signs as.
    """

    def __init__(
        self,
        user_pool: FakeUserPool | None = None,
        *,
        client_id: str | None = None,
        load_balancer_arn: str = (
            "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/front/50dc6c495c0c9188"
        ),
    ) -> None:
        self._user_pool = user_pool or FakeUserPool()
        self._client_id = client_id or self._user_pool.client_id
        self._arn = load_balancer_arn
        self._lock = Lock()
        self._key = BalancerKey.draw()
        self._published = {self._key.kid: self._key}

    @property
    def user_pool(self) -> FakeUserPool:
        """Where users sign in."""
        return self._user_pool

    @property
    def client_id(self) -> str:
        """The load balancer's app client."""
        return self._client_id

    @property
    def load_balancer_arn(self) -> str:
        """What it signs as."""
        return self._arn

    @property
    def key(self) -> BalancerKey:
        """The key that signs now."""
        return self._key

    def rotate(self) -> None:
        """Sign with a new key from now on; the old one stays published."""
        with self._lock:
            self._key = BalancerKey.draw()
            self._published[self._key.kid] = self._key

    def publish(self, key: BalancerKey) -> None:
        """Publish a key next to the load balancer's own, as those of every other customer's are."""
        with self._lock:
            self._published[key.kid] = key

    def withdraw(self, kid: str) -> None:
        """
        Publish a key no longer.

        Raises:
            ConfigurationError: no published key has this key ID.
        """
        with self._lock:
            if self._published.pop(kid, None) is None:
                raise ConfigurationError("kid", f"expected the key ID of a published key, got {kid!r}")

    def data(
        self,
        username: str = "jane",
        *,
        expires_in: int = _DATA_LIFETIME,
        key: BalancerKey | None = None,
        header: Mapping[str, object] | None = None,
        **claims: object,
    ) -> str:
        """
        Return the value of `x-amzn-oidc-data` for somebody who signed in.

        Args:
            username: who signed in.
            expires_in: seconds from now to `exp`; negative for data that has expired.
            key: sign with this key and name it in the header.
            header: parameters that are added to the JOSE header or replace its own; `ABSENT` leaves one out.
            claims: further claims, or other values for the genuine ones; `ABSENT` leaves a claim out.
        """
        signer = key or self._key
        expires_at = int(self._user_pool.clock()) + expires_in
        parameters = {
            "typ": "JWT",
            "kid": signer.kid,
            "alg": "ES256",
            "iss": self._user_pool.issuer,
            "client": self._client_id,
            "signer": self._arn,
            "exp": expires_at,
            **(header or {}),
        }
        told = {
            "sub": self._user_pool.subject(username),
            # What the user info endpoint tells are strings.
            "email_verified": "true",
            "email": self._user_pool.email(username),
            "username": username,
            "exp": expires_at,
            "iss": self._user_pool.issuer,
        }
        parts = (without_absent(part) for part in (parameters, told | claims))
        signing_input = ".".join(_padded(json.dumps(part).encode()) for part in parts)
        return f"{signing_input}.{_padded(signer.sign(signing_input))}"

    def headers(self, username: str = "jane", *, data: str | None = None, **options: Any) -> dict[str, str]:
        """
        Return the three headers that the load balancer adds to a request.

        Args:
            username: who signed in.
            data: the value of `x-amzn-oidc-data`, by default a new one for this user.
            options: arguments of `data`.
        """
        access_token = self._user_pool.access_token(
            username=username, client_id=self._client_id, scopes=["openid"], from_oauth_endpoint=True
        )
        return {
            "x-amzn-oidc-accesstoken": access_token,
            "x-amzn-oidc-identity": self._user_pool.subject(username),
            "x-amzn-oidc-data": self.data(username, **options) if data is None else data,
        }

    def document(self, kid: str) -> bytes | None:
        """Return the PEM document of a published key, or None where this one is not published."""
        with self._lock:
            key = self._published.get(kid)
        return None if key is None else key.pem()

    def fetch(self, uri: str, timeout: float) -> bytes:
        """
        Return the document of the key whose ID the URI ends with: for the `fetch` argument of a verifier.

        Raises:
            FetchError: no such key is published, which AWS answers with 403.
        """
        document = self.document(uri.rpartition("/")[2])
        if document is None:
            raise FetchError("the key endpoint answered 403", refused=True)
        return document

    def verifier(self, **overrides: Any) -> ALBVerifier:
        """
        Return a verifier of this load balancer that needs no network and sees each rotation as a real one would.

        Args:
            overrides: arguments of `ALBVerifier` that win over the ones made here.

        Raises:
            ConfigurationError: an argument that the verifier refuses, the ARN of this load balancer included.
        """
        options: dict[str, Any] = {"client_id": self._client_id, "clock": self._user_pool.clock}
        if "user_pool_id" not in overrides:
            options["issuer"] = self._user_pool.issuer
        if "public_keys_uri" not in overrides:
            options["fetch"] = self.fetch
            # Each rotation costs a fetch of its own, and a test may make several in a row on a busy machine.
            options["schedule"] = RefreshSchedule(cooldown=1.0, burst=10, deadline=_PATIENCE)
        return ALBVerifier(self._arn, **(options | overrides))

    def serve(self) -> DocumentServer:
        """Return a server of the keys for a `with` block: its `url` is what `public_keys_uri` takes."""
        return DocumentServer(lambda path: self.document(path.rpartition("/")[2]))

    def __repr__(self) -> str:
        return f"<FakeLoadBalancer {self._arn}>"


def _padded(octets: bytes) -> str:
    """Encode as load balancers do, with the padding that RFC 7515 §2 leaves off."""
    return urlsafe_b64encode(octets).decode()
