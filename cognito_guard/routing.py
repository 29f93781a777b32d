"""
Several verifiers behind one face: each token goes to the one whose issuer it names.

The issuer is read before anybody vouches for it, and decides nothing but who is asked.  Where issuers are resolved,
anybody can name any tenant's, and the keys of each are a fetch: a bucket of tries, shared by all tenants that nobody
has vouched for, keeps a flood of forged tokens from becoming a flood of fetches.  A tenant is kept for good only once
one of its tokens was accepted, so that no flood pushes it out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeAlias

from cachetools import FIFOCache, LRUCache

from .abstract import PoolVerifier, Verifier
from .errors import ConfigurationError, InsufficientScopeError, InvalidTokenError, UnavailableError, wrong_issuer
from .forksafe import ForkSafe
from .keys.freshness import RefreshSchedule, nothing_held, try_spent
from .keys.settings import check_settings
from .principal import Principal
from .tokens.claims import issuer_of
from .tokens.jws import MAX_TOKEN_BYTES, parse
from .tokens.memo import Memo

MAX_ASKED = 64
"""How many tenants are remembered that nobody has vouched for."""
TRIES = RefreshSchedule(burst=MAX_ASKED, cooldown=0.1)
"""64 of them may be resolved at once, then ten a second; a tenant's first token that is accepted gives its try back."""

_REMEMBERED = 4096
# Of one verifier; another one may still accept the token.
_Refusal: TypeAlias = InvalidTokenError | InsufficientScopeError


class Routed(Verifier):
    """Send each token to the verifiers of its issuer; of several the first to accept it wins."""

    def __init__(self, *, max_token_bytes: int, clock: Callable[[], float]) -> None:
        self._max_token_bytes = max_token_bytes
        self._clock = clock
        self._refreshes_first = False
        # Which verifier took a token, as issuer and place: it is the first to be asked again, without another look at
        # the token.  Not the verifier itself, which would outlive the bound of those that are kept.
        self._memo: Memo[tuple[str, int]] = Memo(_REMEMBERED, max_bytes=max_token_bytes)

    def _verifiers_of(self, issuer: str) -> Sequence[PoolVerifier]:
        raise NotImplementedError

    def verify(self, token: str) -> Principal:
        """Verify a token with the verifiers of its issuer; see `Verifier.verify`."""
        digest, issuer, taker = self._look(token)
        if taker is not None:
            with suppress(InvalidTokenError, InsufficientScopeError):
                return self._accepted(issuer, taker, self._ask(taker, token))
        refusal: _Refusal | None = None
        issuer = issuer_of(parse(token, max_bytes=self._max_token_bytes))
        for place, verifier in enumerate(self._verifiers_of(issuer)):
            try:
                principal = self._accepted(issuer, verifier, self._ask(verifier, token))
            except (InvalidTokenError, InsufficientScopeError) as error:
                refusal = _telling(refusal, error)
            else:
                return self._remembered(digest, (issuer, place), principal)
        raise refusal or wrong_issuer()

    async def averify(self, token: str) -> Principal:
        """Verify a token as `verify` does, without blocking the event loop (asyncio)."""
        digest, issuer, taker = self._look(token)
        if taker is not None:
            with suppress(InvalidTokenError, InsufficientScopeError):
                return self._accepted(issuer, taker, await self._aask(taker, token))
        refusal: _Refusal | None = None
        issuer = issuer_of(parse(token, max_bytes=self._max_token_bytes))
        for place, verifier in enumerate(self._verifiers_of(issuer)):
            try:
                principal = self._accepted(issuer, verifier, await self._aask(verifier, token))
            except (InvalidTokenError, InsufficientScopeError) as error:
                refusal = _telling(refusal, error)
            else:
                return self._remembered(digest, (issuer, place), principal)
        raise refusal or wrong_issuer()

    def granted_scopes(self, principal: Principal) -> frozenset[str]:
        """Return the caller's scopes and those that they imply for its issuer."""
        for verifier in self._verifiers_of(principal.issuer):
            return verifier.granted_scopes(principal)
        return principal.scopes

    def refresh_first(self) -> None:
        """From now on, refresh the keys that are due of a token's own pool before it is judged, and wait for that."""
        self._refreshes_first = True

    def _look(self, token: str) -> tuple[bytes | None, str, PoolVerifier | None]:
        digest, seen = self._memo.look(token)
        if seen is None:
            return digest, "", None
        issuer, place = seen
        # None where its tenant is gone.
        return digest, issuer, next(iter(self._verifiers_of(issuer)[place:]), None)

    def _ask(self, verifier: PoolVerifier, token: str) -> Principal:
        if self._refreshes_first:
            # Out of reach, they may still serve: that is for the verifier to find out.
            with suppress(UnavailableError):
                verifier.prefetch()
        return verifier.verify(token)

    async def _aask(self, verifier: PoolVerifier, token: str) -> Principal:
        if self._refreshes_first:
            with suppress(UnavailableError):
                await verifier.aprefetch()
        return await verifier.averify(token)

    def _accepted(self, issuer: str, verifier: PoolVerifier, principal: Principal) -> Principal:
        """Take note of who accepted a token."""
        return principal

    def _remembered(self, digest: bytes | None, seen: tuple[str, int], principal: Principal) -> Principal:
        if digest is not None:
            self._memo.put(digest, seen)
        return principal


class AnyOf(Routed):
    """Verify the tokens of several user pools, or several kinds of tokens of one; see `CognitoVerifier.any_of`."""

    def __init__(self, verifiers: Sequence[PoolVerifier]) -> None:
        """
        Take the verifiers.

        Raises:
            ConfigurationError: see `CognitoVerifier.any_of`.
        """
        if not verifiers or not all(isinstance(verifier, PoolVerifier) for verifier in verifiers):
            raise ConfigurationError("verifiers", "expected one CognitoVerifier or several")
        super().__init__(
            max_token_bytes=max(verifier.max_token_bytes for verifier in verifiers), clock=verifiers[0]._clock
        )
        self._verifiers = tuple(verifiers)
        self._by_issuer = _by_issuer(self._verifiers)

    @property
    def required_scopes(self) -> tuple[str, ...]:
        """The scopes that every token must carry, whoever judges it."""
        first, *others = self._verifiers
        return tuple(scope for scope in first.required_scopes if all(scope in one.required_scopes for one in others))

    def prefetch(self) -> None:
        """Have usable keys of each at hand; raise UnavailableError, after all were tried, where some are not."""
        _prefetch(self._verifiers)

    async def aprefetch(self) -> None:
        """Do as `prefetch` does, without blocking the event loop."""
        await _aprefetch(self._verifiers)

    def _verifiers_of(self, issuer: str) -> Sequence[PoolVerifier]:
        return self._by_issuer.get(issuer, ())

    def __repr__(self) -> str:
        return f"<AnyOf {', '.join(verifier.user_pool.user_pool_id for verifier in self._verifiers)}>"


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
        self._timer = timer
        self._bucket = nothing_held(timer(), TRIES)
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

    def reset_after_fork(self) -> None:
        """Forget, in a forked process, what another thread may have been in the middle of changing."""
        super().reset_after_fork()
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
            self._spend_try()
            self._asked[issuer] = resolved
            return resolved

    def _accepted(self, issuer: str, verifier: PoolVerifier, principal: Principal) -> Principal:
        """Keep the tenant, as the one used last."""
        with self._lock:
            self._kept[issuer] = verifier
            if self._asked.pop(issuer, None) is not None:
                # Only who is not vouched for uses tries up: a whole fleet of tenants may begin at once.
                self._bucket = replace(self._bucket, tries=self._bucket.tries + 1)
        return principal

    def _spend_try(self) -> None:
        now = self._timer()
        left = self._bucket.tries_left(now, TRIES)
        if left < 1:
            # Not unknown: it is a tenant's issuer, and the token may be good.
            raise UnavailableError((1 - left) * TRIES.cooldown)
        self._bucket = try_spent(self._bucket, now, TRIES)

    def __repr__(self) -> str:
        return f"<ByIssuer {len(self._kept)} of at most {self._max_verifiers} verifiers>"


def _prefetch(verifiers: Sequence[PoolVerifier]) -> None:
    failure: UnavailableError | None = None
    for verifier in verifiers:
        try:
            verifier.prefetch()
        except UnavailableError as error:
            failure = failure or error
    if failure is not None:
        raise failure


async def _aprefetch(verifiers: Sequence[PoolVerifier]) -> None:
    failure: UnavailableError | None = None
    for verifier in verifiers:
        try:
            await verifier.aprefetch()
        except UnavailableError as error:
            failure = failure or error
    if failure is not None:
        raise failure


def _telling(refusal: _Refusal | None, error: _Refusal) -> _Refusal:
    """Return which of two refusals is told: the first, unless only the other one is of a token that was good."""
    if refusal is None or (isinstance(refusal, InvalidTokenError) and isinstance(error, InsufficientScopeError)):
        return error
    return refusal


def _by_issuer(verifiers: Sequence[PoolVerifier]) -> Mapping[str, tuple[PoolVerifier, ...]]:
    found: dict[str, tuple[PoolVerifier, ...]] = {}
    for verifier in verifiers:
        for issuer in verifier.user_pool.issuers:
            others = found.get(issuer, ())
            if any(other.implied_scopes != verifier.implied_scopes for other in others):
                raise ConfigurationError("implies", "expected the same of all verifiers of one issuer")
            found[issuer] = (*others, verifier)
    return found
