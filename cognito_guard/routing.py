"""
Several verifiers behind one face: each token goes to the one whose issuer it names.

The issuer is read before anybody vouches for it, and decides nothing but who is asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from cachetools import LRUCache

from .abstract import PoolVerifier, Verifier
from .errors import ConfigurationError, InvalidTokenError, UnavailableError, wrong_issuer
from .forksafe import ForkSafe
from .principal import Principal
from .tokens.claims import issuer_of
from .tokens.jws import MAX_TOKEN_BYTES, parse
from .tokens.memo import Memo

_REMEMBERED = 4096


class _Routed(Verifier):
    """Send each token to the verifiers of its issuer; of several the first to accept it wins."""

    def __init__(self, *, max_token_bytes: int, clock: Callable[[], float]) -> None:
        self._max_token_bytes = max_token_bytes
        self._clock = clock
        # Which verifier took a token, as issuer and place: it is the first to be asked again, without another look at
        # the token.  Not the verifier itself, which would outlive the bound of those that are kept.
        self._memo: Memo[tuple[str, int]] = Memo(_REMEMBERED, max_bytes=max_token_bytes)

    def _verifiers_of(self, issuer: str) -> Sequence[PoolVerifier]:
        raise NotImplementedError

    def verify(self, token: str) -> Principal:
        """Verify a token with the verifiers of its issuer; see `Verifier.verify`."""
        digest, taker = self._look(token)
        if taker is not None:
            with suppress(InvalidTokenError):
                return taker.verify(token)
        refusal: InvalidTokenError | None = None
        issuer = issuer_of(parse(token, max_bytes=self._max_token_bytes))
        for place, verifier in enumerate(self._verifiers_of(issuer)):
            try:
                return self._taken(digest, (issuer, place), verifier.verify(token))
            except InvalidTokenError as error:
                refusal = refusal or error
        raise refusal or wrong_issuer()

    async def averify(self, token: str) -> Principal:
        """Verify a token as `verify` does, without blocking the event loop (asyncio)."""
        digest, taker = self._look(token)
        if taker is not None:
            with suppress(InvalidTokenError):
                return await taker.averify(token)
        refusal: InvalidTokenError | None = None
        issuer = issuer_of(parse(token, max_bytes=self._max_token_bytes))
        for place, verifier in enumerate(self._verifiers_of(issuer)):
            try:
                return self._taken(digest, (issuer, place), await verifier.averify(token))
            except InvalidTokenError as error:
                refusal = refusal or error
        raise refusal or wrong_issuer()

    def granted_scopes(self, principal: Principal) -> frozenset[str]:
        """Return the caller's scopes and those that they imply for its issuer."""
        for verifier in self._verifiers_of(principal.issuer):
            return verifier.granted_scopes(principal)
        return principal.scopes

    def _look(self, token: str) -> tuple[bytes | None, PoolVerifier | None]:
        digest, seen = self._memo.look(token)
        if seen is None:
            return digest, None
        issuer, place = seen
        # None where its tenant is gone.
        return digest, next(iter(self._verifiers_of(issuer)[place:]), None)

    def _taken(self, digest: bytes | None, seen: tuple[str, int], principal: Principal) -> Principal:
        if digest is not None:
            self._memo.put(digest, seen)
        return principal


class AnyOf(_Routed):
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


class ByIssuer(_Routed, ForkSafe):
    """Verify the tokens of many tenants; see `CognitoVerifier.by_issuer`."""

    def __init__(
        self,
        resolve: Callable[[str], PoolVerifier | None],
        *,
        max_verifiers: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """
        Take the resolver and the bound.

        Raises:
            ConfigurationError: see `CognitoVerifier.by_issuer`.
        """
        if not callable(resolve):
            raise ConfigurationError("resolve", f"expected a function, got {type(resolve).__name__}")
        if type(max_verifiers) is not int or max_verifiers < 1:
            raise ConfigurationError("max_verifiers", "expected a positive whole number")
        _Routed.__init__(self, max_token_bytes=MAX_TOKEN_BYTES, clock=clock)
        self._resolve = resolve
        self._max_verifiers = max_verifiers
        self._kept: LRUCache[str, PoolVerifier] = LRUCache(max_verifiers)
        ForkSafe.__init__(self)

    @property
    def required_scopes(self) -> tuple[str, ...]:
        """None are known to be every tenant's."""
        return ()

    def prefetch(self) -> None:
        """Have usable keys of each tenant at hand whose verifier is kept; who they are, first tokens tell."""
        _prefetch(self._all_kept())

    async def aprefetch(self) -> None:
        """Do as `prefetch` does, without blocking the event loop."""
        await _aprefetch(self._all_kept())

    def reset_after_fork(self) -> None:
        """Forget, in a forked process, what another thread may have been in the middle of changing."""
        super().reset_after_fork()
        self._kept = LRUCache(self._max_verifiers)

    def _verifiers_of(self, issuer: str) -> Sequence[PoolVerifier]:
        with self._lock:
            kept = self._kept.get(issuer)
        if kept is not None:
            return (kept,)
        resolved = self._resolve(issuer)
        if resolved is None:
            return ()
        if not isinstance(resolved, PoolVerifier) or issuer not in resolved.user_pool.issuers:
            raise ConfigurationError("resolve", "expected a CognitoVerifier of the issuer that was asked for, or None")
        with self._lock:
            # Two threads may have resolved it: the first verifier is everybody's, with its keys.
            return (self._kept.setdefault(issuer, resolved),)

    def _all_kept(self) -> Sequence[PoolVerifier]:
        with self._lock:
            return tuple(self._kept.values())

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


def _by_issuer(verifiers: Sequence[PoolVerifier]) -> Mapping[str, tuple[PoolVerifier, ...]]:
    found: dict[str, tuple[PoolVerifier, ...]] = {}
    for verifier in verifiers:
        for issuer in verifier.user_pool.issuers:
            others = found.get(issuer, ())
            if any(other.implied_scopes != verifier.implied_scopes for other in others):
                raise ConfigurationError("implies", "expected the same of all verifiers of one issuer")
            found[issuer] = (*others, verifier)
    return found
