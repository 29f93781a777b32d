"""
From JWKS bytes to an immutable set of usable RSA keys (RFC 7517).

One unusable JWK is skipped, so that it can't take the usable ones with it; a document in which
nothing is usable is an error, so that it can't replace a good set.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any, ClassVar, Literal, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256, SHA512, HashAlgorithm

from ..errors import CognitoGuardError, InvalidSignatureError
from ..tokens.jws import MAX_KEY_ID_CHARS, NotStrictError, decode_base64url, is_array, json_object

MAX_KEYS = 100
"""Cognito publishes two, and a few more while it rotates."""
MIN_RSA_BITS = 2048
"""RFC 7518 §3.3."""
MAX_RSA_BITS = 8192
"""A check takes the square of it: a 64 Ki-bit key would be a denial of service."""

_PADDING = PKCS1v15()
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_MIN_EXPONENT = 65537
_MAX_EXPONENT = 2**32 - 1


class InvalidKeySetError(CognitoGuardError):
    """Say that a document is no JWKS with at least one usable key; never leaves the library unmapped."""


class Key:
    """Hold one public key and its key ID."""

    __slots__ = ("_public_key", "kid")

    _hash: ClassVar[HashAlgorithm] = SHA256()

    def __init__(self, kid: str, public_key: RSAPublicKey) -> None:
        self.kid: str = kid
        self._public_key = public_key

    def check_signature(self, signature: bytes, message: bytes) -> None:
        """
        Check a signature: RS256, unless a subclass says otherwise (RFC 7518 §3.3).

        Raises:
            InvalidSignatureError: it is not this key's signature of the message.
        """
        try:
            self._public_key.verify(signature, message, _PADDING, self._hash)
        except InvalidSignature as cause:
            raise InvalidSignatureError from cause

    def __eq__(self, other: object) -> bool:
        # Of one type: the same numbers under another algorithm are another key.
        return (
            isinstance(other, Key)
            and type(other) is type(self)
            and self.kid == other.kid
            and self._public_key == other._public_key
        )

    def __hash__(self) -> int:
        return hash(self.kid)

    def __repr__(self) -> str:
        return f"<Key RSA {self._public_key.key_size}>"


class RS512Key(Key):
    """Hold a key of the service behind identity pools, which signs with RS512 and nothing else."""

    __slots__ = ()

    _hash: ClassVar[HashAlgorithm] = SHA512()


RSAAlgorithmName = Literal["RS256", "RS512"]
_KEY_TYPES: Mapping[RSAAlgorithmName, type[Key]] = {"RS256": Key, "RS512": RS512Key}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySet:
    """
    Hold the usable keys of one JWKS document.

    Attributes:
        by_kid: key IDs to keys, read-only.
        skipped: how many entries of the document were not usable.
    """

    by_kid: Mapping[str, Key]
    skipped: int

    @classmethod
    def from_json(cls, data: bytes, *, algorithm: RSAAlgorithmName = "RS256", max_keys: int = MAX_KEYS) -> KeySet:
        """
        Read a JWKS document.

        Args:
            data: the document.
            algorithm: what usable keys are for; one that states another is not usable.
            max_keys: how many entries it may have.

        Raises:
            InvalidKeySetError: no strict JSON object with a list `keys` of at most so many entries, or
                none of them usable.
        """
        try:
            document = json_object(data)
        except NotStrictError as cause:
            raise InvalidKeySetError("the document is not one strict JSON object") from cause
        return cls.from_document(document, algorithm=algorithm, max_keys=max_keys)

    @classmethod
    def from_document(
        cls, document: Mapping[str, Any], *, algorithm: RSAAlgorithmName = "RS256", max_keys: int = MAX_KEYS
    ) -> KeySet:
        """Read a JWKS document that is parsed already; raise as `from_json` does."""
        jwks = document.get("keys")
        if not is_array(jwks):
            raise InvalidKeySetError("the document has no list of keys")
        if len(jwks) > max_keys:
            raise InvalidKeySetError("the document has more keys than the limit")
        usable = [key for jwk in jwks if (key := _usable_key(jwk, algorithm)) is not None]
        keys: dict[str, Key] = {}
        ambiguous: set[str] = set()
        for key in usable:
            if keys.setdefault(key.kid, key) != key:
                # Which of them is meant can't be told; picking one would be picking for an attacker.
                ambiguous.add(key.kid)
        for kid in ambiguous:
            del keys[kid]
        if not keys:
            raise InvalidKeySetError("the document holds no usable key")
        return cls(by_kid=MappingProxyType(keys), skipped=len(jwks) - len(keys))

    def __repr__(self) -> str:
        return f"<KeySet {len(self.by_kid)} keys, {self.skipped} skipped>"


NO_KEYS = KeySet(by_kid=MappingProxyType({}), skipped=0)
"""What is held before the first answer."""


def _usable_key(jwk: Any, algorithm: RSAAlgorithmName) -> Key | None:
    """Return the key of a JWK that is a public RSA signature key of sound size, or None."""
    if not isinstance(jwk, dict):
        return None
    members = cast("dict[str, Any]", jwk)
    kid, key_ops = members.get("kid"), members.get("key_ops", ["verify"])
    if (
        members.get("kty") != "RSA"
        or members.get("use", "sig") != "sig"
        or members.get("alg", algorithm) != algorithm
        or not isinstance(key_ops, list)
        or "verify" not in key_ops
        or not isinstance(kid, str)
        or not 0 < len(kid) <= MAX_KEY_ID_CHARS
        or not _PRIVATE_MEMBERS.isdisjoint(members)
        or not _sound_numbers(members.get("n"), members.get("e"))
    ):
        return None
    return _parsed(kid, members, _KEY_TYPES[algorithm])


def _sound_numbers(modulus: Any, exponent: Any) -> bool:
    """Judge `n` and `e` before any arithmetic is done with them."""
    if not (isinstance(modulus, str) and isinstance(exponent, str) and modulus.isascii() and exponent.isascii()):
        return False
    if len(modulus) > MAX_RSA_BITS // 4 or len(exponent) > MAX_RSA_BITS // 4:
        return False
    try:
        n = int.from_bytes(decode_base64url(modulus.encode()), "big")
        e = int.from_bytes(decode_base64url(exponent.encode()), "big")
    except NotStrictError:
        return False
    sound_modulus = MIN_RSA_BITS <= n.bit_length() <= MAX_RSA_BITS and n % 2 == 1
    return sound_modulus and _MIN_EXPONENT <= e <= _MAX_EXPONENT and e % 2 == 1


def load_parser() -> None:
    """
    Import what reading a key set takes: with the source of keys, as PyJWT is most of this package's import time.

    To be called before any thread reads one.  A process that is forked while a thread imports a module can never
    import it itself: the thread that holds the module's lock does not exist there.
    """
    import_module("jwt.algorithms")


def _parsed(kid: str, jwk: Mapping[str, Any], key_type: type[Key]) -> Key | None:
    from jwt.algorithms import RSAAlgorithm
    from jwt.exceptions import PyJWTError

    public = {name: jwk[name] for name in ("kty", "n", "e")}
    try:
        key = RSAAlgorithm.from_jwk(json.dumps(public))
    except (PyJWTError, ValueError):
        return None
    return key_type(kid, key) if isinstance(key, RSAPublicKey) else None
