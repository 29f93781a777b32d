"""
RSA keys for fake user pools, each made once per process and lent to one pool at a time.

No two key pairs in use at once are the same unless a pool is told to share, and no key ID ever comes twice.
"""

from __future__ import annotations

import json
import os
import weakref
from base64 import b64encode, urlsafe_b64encode
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from threading import Lock
from typing import TypeAlias

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ..errors import ConfigurationError

JWK: TypeAlias = dict[str, str]
JWKS: TypeAlias = dict[str, list[JWK]]

_PUBLIC_EXPONENT = 65537
_KEY_SIZE = 2048  # what Cognito publishes


class _Lease:
    """Be alive as long as a key is in use; copies of a `SigningKey` share it."""

    __slots__ = ("__weakref__",)


# Making a key takes tens to hundreds of milliseconds, so that a key nobody uses any more is lent again, with the
# number of times it was lent.  The ends of a deque are safe to use from any thread without a lock, and none may be
# taken here: the garbage collector can call back in the middle of anything.
_spare: deque[tuple[RSAPrivateKey, int]] = deque()

if hasattr(os, "register_at_fork"):
    # Parent and child would otherwise lend the same key to different pools.
    os.register_at_fork(after_in_child=_spare.clear)


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """
    Hold a key pair under the key ID that Cognito would publish it with.

    The private key is lent to somebody else once every `SigningKey` around it is gone: keep this value, not only
    what is inside it.

    Attributes:
        kid: the key ID.
        private_key: the RSA private key.
    """

    kid: str
    private_key: RSAPrivateKey = field(repr=False)
    _lease: _Lease | None = field(default=None, repr=False, compare=False)

    @classmethod
    def draw(cls) -> SigningKey:
        """Return a key pair that nobody in this process uses, under a key ID that nobody has used."""
        try:
            private_key, times_lent = _spare.pop()
        except IndexError:
            private_key = generate_private_key(public_exponent=_PUBLIC_EXPONENT, key_size=_KEY_SIZE)
            times_lent = 0
        lease = _Lease()
        weakref.finalize(lease, _spare.append, (private_key, times_lent + 1)).atexit = False
        return cls(kid=_key_id(private_key, times_lent), private_key=private_key, _lease=lease)

    def jwk(self) -> JWK:
        """Return the public half as Cognito publishes it."""
        numbers = self.private_key.public_key().public_numbers()
        return {
            "alg": "RS256",
            "e": base64url(_big_endian(numbers.e)),
            "kid": self.kid,
            "kty": "RSA",
            "n": base64url(_big_endian(numbers.n)),
            "use": "sig",
        }

    def sign(self, header: Mapping[str, object] | bytes, payload: Mapping[str, object] | bytes) -> str:
        """
        Sign with RS256 and return the compact JWS, whatever the header says.

        Args:
            header: the JOSE header; nothing is added to it.  Bytes are taken as they are.
            payload: the claims, or the payload's bytes.
        """
        signing_input = f"{base64url(_json(header))}.{base64url(_json(payload))}"
        signature = self.private_key.sign(signing_input.encode(), PKCS1v15(), SHA256())
        return f"{signing_input}.{base64url(signature)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """One state of a user pool's keys: replaced whole, so that no reader sees half a rotation."""

    id_key: SigningKey
    access_key: SigningKey
    published: tuple[SigningKey, ...]

    @classmethod
    def draw(cls, old: tuple[SigningKey, ...] = ()) -> _Held:
        id_key, access_key = SigningKey.draw(), SigningKey.draw()
        return cls(id_key=id_key, access_key=access_key, published=(*old, id_key, access_key))


class PublishedKeys:
    """
    Hold the keys of a user pool: the two it signs with and all that it publishes.

    The keys are drawn at first use, so that a fake user pool made at import time costs nothing.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._held: _Held | None = None

    @property
    def id_key(self) -> SigningKey:
        """The key that signs ID tokens now."""
        return self._current().id_key

    @property
    def access_key(self) -> SigningKey:
        """The key that signs access tokens now."""
        return self._current().access_key

    def jwks(self) -> JWKS:
        """Return the published key set."""
        return {"keys": [key.jwk() for key in self._current().published]}

    def rotate(self, *, publish_old: bool) -> None:
        """Sign with new keys from now on, and publish them next to the old ones or instead of them."""
        with self._lock:
            old = self._drawn().published
            self._held = _Held.draw(old if publish_old else ())

    def withdraw(self, kid: str | None) -> None:
        """
        Publish the named key no longer, or by default every key that signs no more.

        Raises:
            ConfigurationError: no published key has this key ID.
        """
        with self._lock:
            held = self._drawn()
            if kid is None:
                left = tuple(key for key in held.published if key in (held.id_key, held.access_key))
            else:
                left = tuple(key for key in held.published if key.kid != kid)
                if left == held.published:
                    raise ConfigurationError("kid", f"expected the key ID of a published key, got {kid!r}")
            self._held = replace(held, published=left)

    def _current(self) -> _Held:
        held = self._held
        if held is None:
            with self._lock:
                held = self._drawn()
        return held

    def _drawn(self) -> _Held:
        """Return the present state, drawing the first keys; only for who holds the lock."""
        if self._held is None:
            self._held = _Held.draw()
        return self._held


def base64url(octets: bytes) -> str:
    """Encode without padding (RFC 7515 §2)."""
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def _key_id(private_key: RSAPrivateKey, times_lent: int) -> str:
    """
    Derive a key ID of Cognito's look.

    A key lent again gets another one: a token that a forgotten fake user pool signed must not become good because a
    later pool happens to sign with the same key.
    """
    public = private_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return b64encode(sha256(public + times_lent.to_bytes(8)).digest()).decode()


def _big_endian(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8)


def _json(part: Mapping[str, object] | bytes) -> bytes:
    return part if isinstance(part, bytes) else json.dumps(dict(part), separators=(",", ":")).encode()
