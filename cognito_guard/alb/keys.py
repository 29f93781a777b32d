"""
The keys that load balancers sign with: one document per key ID, in a place that all of a Region's share.

Anybody can invent key IDs, and each would be a fetch.  A bucket of tries, shared by all that nobody has vouched for,
keeps a flood of them from becoming a flood of fetches.  A key is kept for good only once a signature of the expected
load balancer was good under it, so that no flood pushes it out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType

from cachetools import LRUCache
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from ..errors import InvalidSignatureError, UnknownKeyError
from ..forksafe import ForkSafe
from ..keys.bucket import Bucket
from ..keys.fetch import Fetch, FetchError
from ..keys.freshness import RefreshSchedule, try_spent
from ..keys.keyset import NO_KEYS, InvalidKeySetError, Key, KeySet
from ..keys.remote import RemoteKeys

MAX_PEM_BYTES = 4096
"""A P-256 key takes 178."""
MAX_KEPT = 16
"""A load balancer signs with one key at a time."""
MAX_ASKED = 32
"""How many key IDs are remembered that nobody has vouched for; each may cost a fetch per `backoff` in an outage."""

_KEY_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HALF = 32
_ALGORITHM = ECDSA(SHA256())
_PEM_BEGIN = b"-----BEGIN PUBLIC KEY-----"


class ES256Key(Key):
    """Hold a load balancer's public key, on the curve P-256, and its key ID."""

    __slots__ = ("_point",)

    def __init__(self, kid: str, point: EllipticCurvePublicKey) -> None:
        """Take both."""
        self.kid = kid
        self._point = point

    def check_signature(self, signature: bytes, message: bytes) -> None:
        """
        Check an ES256 signature: two numbers of 32 bytes, one behind the other (RFC 7518 §3.4).

        Raises:
            InvalidSignatureError: it is not this key's signature of the message.
        """
        if len(signature) != 2 * _HALF:
            raise InvalidSignatureError
        r, s = (int.from_bytes(half, "big") for half in (signature[:_HALF], signature[_HALF:]))
        try:
            self._point.verify(encode_dss_signature(r, s), message, _ALGORITHM)
        except InvalidSignature as cause:
            raise InvalidSignatureError from cause

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ES256Key) and self.kid == other.kid and self._point == other._point

    def __hash__(self) -> int:
        return hash(self.kid)

    def __repr__(self) -> str:
        return "<ES256Key P-256>"


def key_set_of_pem(kid: str, data: bytes) -> KeySet:
    """
    Read the one key of a document; an empty document holds none.

    Args:
        kid: the key ID, which the document does not tell.
        data: a public key in PEM (RFC 7468 §13).

    Raises:
        InvalidKeySetError: anything else than one key on the curve P-256.
    """
    if not data:
        return NO_KEYS
    if len(data) > MAX_PEM_BYTES or data.count(b"-----BEGIN") != 1 or not data.lstrip().startswith(_PEM_BEGIN):
        raise InvalidKeySetError("the document is not one public key in PEM")
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    # Raised out here, with no cause: those may quote what the endpoint sent.
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise InvalidKeySetError("the document holds no key on the curve P-256")
    return KeySet(by_kid=MappingProxyType({kid: ES256Key(kid, key)}), skipped=0)


class KeyPlace(RemoteKeys):
    """Serve the key of one key ID; that there is none is an answer too, and remembered like one."""

    def __init__(
        self,
        kid: str,
        uri: str,
        *,
        schedule: RefreshSchedule,
        fetch: Fetch,
        timer: Callable[[], float],
    ) -> None:
        """Start with nothing held and nothing asked; the arguments are those of `RemoteKeys`."""
        # The document has one key: to ask again before it is stale could bring no other.
        own = replace(schedule, burst=1, cooldown=max(schedule.cooldown, schedule.fresh_for))
        super().__init__(
            {kid: uri},
            schedule=own,
            fetch=_answering(fetch),
            read=lambda data: key_set_of_pem(kid, data),
            timer=timer,
        )
        self._held = try_spent(self._held, timer(), own)


class LoadBalancerKeys(ForkSafe):
    """Tell for each key ID where its key comes from."""

    def __init__(self, base_uri: str, *, schedule: RefreshSchedule, fetch: Fetch, timer: Callable[[], float]) -> None:
        """
        Start with nothing held and nothing asked.

        Args:
            base_uri: what stands before the key ID and a slash.
            schedule: how long a key is trusted, and how often key IDs are asked for that nobody has vouched for.
            fetch: gets a document.
            timer: monotonic seconds.
        """
        super().__init__()
        self._base_uri = base_uri
        self._schedule = schedule
        self._fetch = fetch
        self._timer = timer
        self._tries = Bucket(schedule, timer)
        self._forget()

    def place(self, kid: str) -> KeyPlace:
        """
        Return where the key of a key ID is served.

        Raises:
            UnknownKeyError: no load balancer has such a key ID; nothing is asked.
            UnavailableError: too many have been asked for.
        """
        # It becomes part of a URI.
        if not _KEY_ID.fullmatch(kid):
            raise UnknownKeyError
        with self._lock:
            place = self._kept.get(kid) or self._asked.get(kid)
            if place is None:
                # Refused, it is not unknown: nobody has asked for it, and it may be the load balancer's new one.
                self._tries.spend()
                uri = f"{self._base_uri}/{kid}"
                place = KeyPlace(kid, uri, schedule=self._schedule, fetch=self._fetch, timer=self._timer)
                self._asked[kid] = place
            return place

    def keep(self, kid: str, place: KeyPlace) -> None:
        """Keep a key under which a signature of the expected load balancer was good."""
        with self._lock:
            if kid not in self._kept:
                self._kept[kid] = place
                self._asked.pop(kid, None)

    def _reset_after_fork(self) -> None:
        """Start anew in a forked process: the parent's other threads may have been in the middle of a change."""
        super()._reset_after_fork()
        self._forget()

    def _forget(self) -> None:
        self._kept: LRUCache[str, KeyPlace] = LRUCache(MAX_KEPT)
        self._asked: LRUCache[str, KeyPlace] = LRUCache(MAX_ASKED)

    def __repr__(self) -> str:
        return f"<LoadBalancerKeys {len(self._kept)} kept, {len(self._asked)} asked for>"


def _answering(fetch: Fetch) -> Fetch:
    """Return a fetch for which "there is none" (403, 404) is an answer, and an empty one."""

    def ask(uri: str, timeout: float, /) -> bytes:
        try:
            return fetch(uri, timeout)
        except FetchError as error:
            if not error.refused:
                raise
            return b""

    return ask
