"""
Verified tokens, remembered: a token seen before costs a fraction of its signature check.

Remembered is only what can't change: that the signature is good under one key, and what the claims
say.  The key and the time are asked again at each look, so that the answer with a memory is the
answer without it.  No bearer token is kept: entries are found by a digest.  Nobody but the user pool
can make an entry, so that no flood of junk pushes good ones out.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Generic, TypeVar

from cachetools import FIFOCache

from ..errors import ConfigurationError
from ..forksafe import ForkSafe
from ..keys.keyset import Key
from ..principal import Principal

# An ECDSA signature alone: nobody ever verified what is shorter.
_SHORTEST = 86
# Above it, hashing hands the interpreter to other threads, and gets it back milliseconds later
# where one of them is busy.
_CHUNK = 2047

T = TypeVar("T")


class Verified:
    """
    Hold a verified token's principal and claims, and the key that vouches for them.

    Attributes:
        principal: shared by all requests with the token; immutable.
        claims: for another look at the times; nobody changes them.
        key: the key under which its signature was good.
        certain_from: the first and ...
        certain_until: ... the last wall time between which the claims need no other look.
    """

    __slots__ = ("certain_from", "certain_until", "claims", "key", "principal")

    def __init__(self, principal: Principal, claims: Mapping[str, Any], key: Key, certain: tuple[float, float]) -> None:
        """Take all of it."""
        self.principal: Principal = principal
        self.claims: Mapping[str, Any] = claims
        self.key: Key = key
        self.certain_from: float = certain[0]
        self.certain_until: float = certain[1]

    def is_under(self, key: Key) -> bool:
        """Tell whether a key is the one that vouches; under another one the signature must be checked again."""
        if key != self.key:
            return False
        # A refresh brings equal keys as new objects; the next look need not compare numbers.
        self.key = key
        return True


class _Entries(FIFOCache[bytes, T | None]):
    """
    Hold entries by their digests, and None for all others.

    First in, first out: to keep those used last would cost each look a lock and a change, a quarter of the whole,
    to spare a token in use one signature check in thousands.
    """

    def __missing__(self, key: bytes) -> None:
        """Find nothing."""


class Memo(ForkSafe, Generic[T]):
    """Remember something of so many tokens, the latest; shared by threads."""

    def __init__(self, size: int, *, max_bytes: int) -> None:
        """
        Begin with nothing.

        Args:
            size: how many tokens are remembered at most; 0 for none.
            max_bytes: longer tokens are not even hashed.

        Raises:
            ConfigurationError: a size that is no whole number, or negative.
        """
        if type(size) is not int or size < 0:
            raise ConfigurationError("token_cache_size", "expected a whole number of tokens, 0 or more")
        self._size = size
        self._max_bytes = max_bytes
        self._entries: _Entries[T] = _Entries(size)
        super().__init__()

    def look(self, token: str) -> tuple[bytes | None, T | None]:
        """
        Return what a token is remembered by, and what is known of it.

        Args:
            token: anything at all; the digest of what can't be remembered is None.
        """
        # The length first: hashing a megabyte of junk would cost more than refusing it.
        if not self._size or not isinstance(token, str) or not _SHORTEST <= len(token) <= self._max_bytes:
            return None, None
        if not token.isascii():
            return None, None
        data = token.encode()
        digest = sha256(data).digest() if len(data) <= _CHUNK else _digest_of_parts(data)
        # Without the lock: one look into one dictionary, which no change leaves half done.
        return digest, self._entries[digest]

    def put(self, digest: bytes, known: T) -> None:
        """Remember a token; the one remembered for longest makes room."""
        with self._lock:
            self._entries[digest] = known

    def _reset_after_fork(self) -> None:
        """Start anew in a forked process: the parent's other threads may have been in the middle of a change."""
        super()._reset_after_fork()
        self._entries = _Entries(self._size)

    def __len__(self) -> int:
        return len(self._entries)


def _digest_of_parts(data: bytes) -> bytes:
    hashed = sha256()
    for start in range(0, len(data), _CHUNK):
        hashed.update(data[start : start + _CHUNK])
    return hashed.digest()
