"""What every kind of hostile token is made with: a genuine token's parts, and ways to change and sign them."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, TypeAlias

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from ...errors import Reason
from ..claims import without_absent
from ..clock import FakeClock
from ..keys import SigningKey, base64url
from ..pool import FakeUserPool

Case: TypeAlias = tuple[str, str, Reason | None, str]
"""The name within its kind, the token, the expected reason, and why."""
Part: TypeAlias = Mapping[str, object] | bytes
"""Changes to a genuine header or to genuine claims; or the bytes that stand there instead."""

UNCHANGED: Mapping[str, object] = MappingProxyType({})
DAY = 86_400
LEEWAY = 10
"""The leeway of a verifier with default settings, in seconds."""


class Forge:
    """
    Change and sign the tokens of one user pool.

    Attributes:
        pool: a twin of the user pool, with its keys, whose clock stands still.
        now: the time of the twin, in whole seconds since the epoch.
        ticks: whether the pool's clock moves only when a test says so.
        key: what signs the pool's access tokens.
        stranger: a key that the pool never published.
        issuers: what a verifier of the pool accepts as `iss`.
        header: a genuine JOSE header.
        claims: the claims of a genuine access token that is good for a day.
    """

    def __init__(self, pool: FakeUserPool) -> None:
        now = int(pool.clock())
        self.now = now
        self.ticks: bool = isinstance(pool.clock, FakeClock)
        # A twin, because the ids of a pool's tokens follow one another, and a catalogue must not use them up.
        self.pool: FakeUserPool = FakeUserPool(
            pool.user_pool_id, client_id=pool.client_id, issuer=pool.issuer, clock=lambda: now, keys_of=pool
        )
        self.key: SigningKey = pool.access_key
        self.stranger: SigningKey = _stranger()
        self.issuers: tuple[str, ...] = pool.verifier().user_pool.issuers
        header, claims, _ = self.pool.access_token(expires_in=DAY).split(".")
        self.header: dict[str, Any] = _decoded(header)
        self.claims: dict[str, Any] = _decoded(claims)

    def signed(self, header: Part = UNCHANGED, claims: Part = UNCHANGED, key: SigningKey | None = None) -> str:
        """
        Return a token with a genuine RS256 signature, by default of the pool.

        Args:
            header: changes, or bytes.
            claims: changes, or bytes.
            key: who signs; the header is left as it is.
        """
        return self.signed_text(base64url(self.header_text(header)), base64url(self.payload(claims)), key)

    def signed_text(self, header_segment: str, payload_segment: str, key: SigningKey | None = None) -> str:
        """Sign two segments as they stand there."""
        signing_input = f"{header_segment}.{payload_segment}"
        return with_signature(signing_input, rs256(key or self.key, signing_input))

    def unsigned(self, header: Part = UNCHANGED, claims: Part = UNCHANGED) -> str:
        """Return the two segments that a signature covers."""
        return f"{base64url(self.header_text(header))}.{base64url(self.payload(claims))}"

    def header_text(self, changes: Part = UNCHANGED) -> bytes:
        """Return the JSON text of the JOSE header."""
        return _text(self.header, changes)

    def payload(self, changes: Part = UNCHANGED) -> bytes:
        """Return the JSON text of the claims."""
        return _text(self.claims, changes)


def rs256(key: SigningKey, signing_input: str) -> bytes:
    """Return an RS256 signature."""
    return key.private_key.sign(signing_input.encode(), PKCS1v15(), SHA256())


def with_signature(signing_input: str, signature: bytes) -> str:
    """Put a token together."""
    return f"{signing_input}.{base64url(signature)}"


def json_text(value: object) -> bytes:
    """Write JSON as Cognito does, without white space."""
    return json.dumps(value, separators=(",", ":")).encode()


def swapped_last(text: str) -> str:
    """Return the text with another last character, a digit."""
    return text[:-1] + ("1" if text[-1] == "0" else "0")


@cache
def _stranger() -> SigningKey:
    """Return the one stranger of this process: with another one, a catalogue made again would be another."""
    return SigningKey.draw()


def _text(genuine: Mapping[str, object], changes: Part) -> bytes:
    if isinstance(changes, bytes):
        return changes
    return json_text(without_absent({**genuine, **changes}))


def _decoded(segment: str) -> dict[str, Any]:
    members: dict[str, Any] = json.loads(urlsafe_b64decode(segment + "=="))
    return members
