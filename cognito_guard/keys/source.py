"""
Sources of verification keys: what a verifier asks for a key, given ones, and which source a configuration means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ..errors import ConfigurationError, UnknownKeyError
from ..pool import UserPool
from .fetch import Fetch, HTTPSFetch
from .freshness import RefreshSchedule
from .keyset import InvalidKeySetError, Key, KeySet
from .remote import RemoteKeys


class KeySource(Protocol):
    """Find the key for an issuer and a key ID; both come from a token whose issuer is a configured one."""

    def held(self, kid: str) -> Key | None:
        """Return the key where it can be used now as it is; None where `get` must decide."""
        ...

    def get(self, issuer: str, kid: str) -> Key:
        """Return the key, blocking for a fetch where one is needed; raise UnknownKeyError or UnavailableError."""
        ...

    async def aget(self, issuer: str, kid: str) -> Key:
        """Return the key as `get` does, without blocking the event loop."""
        ...

    def prefetch(self) -> None:
        """Have usable keys at hand, or raise UnavailableError."""
        ...

    async def aprefetch(self) -> None:
        """Do as `prefetch` does, without blocking the event loop."""
        ...


class StaticKeys:
    """Serve a given key set for ever: offline, and in tests."""

    def __init__(self, keys: KeySet) -> None:
        self._keys = keys

    def held(self, kid: str) -> Key | None:
        """Return the key, or None."""
        return self._keys.by_kid.get(kid)

    def get(self, issuer: str, kid: str) -> Key:
        """Return the key, or raise UnknownKeyError."""
        key = self.held(kid)
        if key is None:
            raise UnknownKeyError
        return key

    async def aget(self, issuer: str, kid: str) -> Key:
        """Return the key as `get` does."""
        return self.get(issuer, kid)

    def prefetch(self) -> None:
        """Do nothing: the keys are there."""

    async def aprefetch(self) -> None:
        """Do nothing: the keys are there."""

    def __repr__(self) -> str:
        return f"<StaticKeys {self._keys!r}>"


def key_source(
    pool: UserPool,
    jwks: Mapping[str, Any] | None,
    jwks_uri: str | None,
    schedule: RefreshSchedule,
    fetch: Fetch | None,
    timer: Callable[[], float],
) -> KeySource:
    """
    Return the source of a user pool's keys: those given, or those it publishes.

    Args:
        pool: the user pool.
        jwks: a JWKS document, or None to fetch one.
        jwks_uri: the one configured place, if any.
        schedule: how long keys are trusted and how often they are asked for.
        fetch: gets a document; None for HTTPSFetch.
        timer: monotonic seconds.

    Raises:
        ConfigurationError: settings that exclude each other, or a document without usable keys.
    """
    if jwks is None:
        return RemoteKeys(pool.jwks_uris, schedule=schedule, fetch=fetch or HTTPSFetch(), timer=timer)
    if jwks_uri is not None or fetch is not None:
        raise ConfigurationError("jwks", "excludes jwks_uri and fetch: keys that are given are never fetched")
    if not isinstance(jwks, Mapping):
        raise ConfigurationError("jwks", f"expected a JWKS document as a mapping, got {type(jwks).__name__}")
    try:
        return StaticKeys(KeySet.from_document(jwks))
    except InvalidKeySetError as cause:
        raise ConfigurationError("jwks", f"expected a JWKS document with usable keys: {cause}") from cause
