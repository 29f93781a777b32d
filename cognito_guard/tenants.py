"""
Many tenants behind one face, each with a user pool of its own: found by the issuer that a token names.

Anybody can name any tenant's, and the keys of each are a fetch: a bucket of tries, shared by all tenants that nobody
has vouched for, keeps a flood of forged tokens from becoming a flood of fetches.  A tenant is kept for good only once
one of its tokens was accepted, so that no flood pushes it out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from cachetools import FIFOCache, LRUCache

from .abstract import PoolVerifier
from .errors import ConfigurationError
from .forksafe import ForkSafe
from .keys.bucket import Bucket
from .keys.freshness import RefreshSchedule
from .keys.settings import check_settings
from .principal import Principal
from .routing import Routed
from .tokens.jws import MAX_TOKEN_BYTES

MAX_ASKED = 64
"""How many tenants are remembered that nobody has vouched for."""
TRIES = RefreshSchedule(burst=MAX_ASKED, cooldown=0.1)
"""64 of them may be resolved at once, then ten a second; a tenant's first token that is accepted gives its try back."""


class ByIssuer(Routed, ForkSafe):
    """Verify the tokens of many tenants; see `CognitoVerifier.by_issuer`."""

    def __init__(
        self,
        resolve: Callable[[str], PoolVerifier | None],
        *,
        max_verifiers: int,
        max_token_bytes: int = MAX_TOKEN_BYTES,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Take the resolver and the bounds.

        Raises:
            ConfigurationError: see `CognitoVerifier.by_issuer`.
        """
        if not callable(resolve):
            raise ConfigurationError("resolve", f"expected a function, got {type(resolve).__name__}")
        if type(max_verifiers) is not int or max_verifiers < 1:
            raise ConfigurationError("max_verifiers", "expected a positive whole number")
        check_settings(
            leeway=0.0, max_token_bytes=max_token_bytes, schedule=TRIES, fetch=None, clock=clock, timer=timer
        )
        Routed.__init__(self, max_token_bytes=max_token_bytes, clock=clock)
        self._resolve = resolve
        self._max_verifiers = max_verifiers
        self._tries = Bucket(TRIES, timer)
        self._forget()
        ForkSafe.__init__(self)

    @property
    def required_scopes(self) -> tuple[str, ...]:
        """None are known to be every tenant's."""
        return ()

    def granted_scopes(self, principal: Principal) -> frozenset[str]:
        """Return the caller's scopes and those that they imply for its tenant; that takes no keys, and so no try."""
        verifier = self._known(principal.issuer) or self._resolved(principal.issuer)
        return principal.scopes if verifier is None else verifier.granted_scopes(principal)

    def prefetch(self) -> None:
        """Do nothing: who the tenants are, first tokens tell, and each brings the keys of its own."""

    async def aprefetch(self) -> None:
        """Do nothing, as `prefetch` does."""

    def _reset_after_fork(self) -> None:
        """Forget, in a forked process, what another thread may have been in the middle of changing."""
        super()._reset_after_fork()
        self._forget()

    def _forget(self) -> None:
        # In the order in which they last accepted a token: a look at one, which any token may cause, is no use of it.
        self._kept: FIFOCache[str, PoolVerifier] = FIFOCache(self._max_verifiers)
        self._asked: LRUCache[str, PoolVerifier] = LRUCache(MAX_ASKED)

    def _verifiers_of(self, issuer: str) -> Sequence[PoolVerifier]:
        verifier = self._known(issuer)
        if verifier is None:
            verifier = self._resolved(issuer)
            if verifier is None:
                return ()
            verifier = self._enter(issuer, verifier)
        return (verifier,)

    def _known(self, issuer: str) -> PoolVerifier | None:
        with self._lock:
            return self._kept.get(issuer) or self._asked.get(issuer)

    def _resolved(self, issuer: str) -> PoolVerifier | None:
        resolved = self._resolve(issuer)
        if resolved is None:
            return None
        if not isinstance(resolved, PoolVerifier) or issuer not in resolved.user_pool.issuers:
            raise ConfigurationError("resolve", "expected a CognitoVerifier of the issuer that was asked for, or None")
        return resolved

    def _enter(self, issuer: str, resolved: PoolVerifier) -> PoolVerifier:
        with self._lock:
            # Two threads may have resolved it: the first verifier is everybody's, with its keys.
            known = self._kept.get(issuer) or self._asked.get(issuer)
            if known is not None:
                return known
            # Refused, it is not unknown: it is a tenant's issuer, and the token may be good.
            self._tries.spend()
            self._asked[issuer] = resolved
            return resolved

    def _accepted(self, issuer: str, verifier: PoolVerifier, principal: Principal) -> Principal:
        """Keep the tenant, as the one used last."""
        with self._lock:
            self._kept[issuer] = verifier
            if self._asked.pop(issuer, None) is not None:
                # Only who is not vouched for uses tries up: a whole fleet of tenants may begin at once.
                self._tries.give_back()
        return principal

    def __repr__(self) -> str:
        return f"<ByIssuer {len(self._kept)} of at most {self._max_verifiers} verifiers>"
