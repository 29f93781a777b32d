"""
Several verifiers behind one face: each token goes to the one whose issuer it names.

The issuer is read before anybody vouches for it, and decides nothing but who is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TypeAlias

from .abstract import PoolVerifier, Verifier
from .errors import (
    ConfigurationError,
    InsufficientScopeError,
    InvalidTokenError,
    RevokedTokenError,
    UnavailableError,
    wrong_issuer,
)
from .principal import Principal
from .tokens.claims import issuer_of
from .tokens.jws import parse
from .tokens.memo import Memo

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
            try:
                return self._accepted(issuer, taker, self._ask(taker, token))
            except RevokedTokenError:
                raise
            except (InvalidTokenError, InsufficientScopeError):
                pass
        refusal: _Refusal | None = None
        issuer = issuer_of(parse(token, max_bytes=self._max_token_bytes))
        for place, verifier in enumerate(self._verifiers_of(issuer)):
            try:
                principal = self._accepted(issuer, verifier, self._ask(verifier, token))
            except RevokedTokenError:
                # The last word, whoever else might take the token.
                raise
            except (InvalidTokenError, InsufficientScopeError) as error:
                refusal = _telling(refusal, error)
            else:
                return self._remembered(digest, (issuer, place), principal)
        try:
            raise refusal or wrong_issuer()
        finally:
            # It would hold itself by its traceback, until the garbage collector comes.
            del refusal

    async def averify(self, token: str) -> Principal:
        """Verify a token as `verify` does, without blocking the event loop (asyncio)."""
        digest, issuer, taker = self._look(token)
        if taker is not None:
            try:
                return self._accepted(issuer, taker, await self._aask(taker, token))
            except RevokedTokenError:
                raise
            except (InvalidTokenError, InsufficientScopeError):
                pass
        refusal: _Refusal | None = None
        issuer = issuer_of(parse(token, max_bytes=self._max_token_bytes))
        for place, verifier in enumerate(self._verifiers_of(issuer)):
            try:
                principal = self._accepted(issuer, verifier, await self._aask(verifier, token))
            except RevokedTokenError:
                # The last word, whoever else might take the token.
                raise
            except (InvalidTokenError, InsufficientScopeError) as error:
                refusal = _telling(refusal, error)
            else:
                return self._remembered(digest, (issuer, place), principal)
        try:
            raise refusal or wrong_issuer()
        finally:
            # It would hold itself by its traceback, until the garbage collector comes.
            del refusal

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
            if any(other.revocations is not verifier.revocations for other in others):
                # What one refuses as revoked, the other would take.
                raise ConfigurationError("revocations", "expected the same of all verifiers of one issuer")
            found[issuer] = (*others, verifier)
    return found
