"""
What every verifier is, whatever stands behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .errors import ConfigurationError
from .pool import UserPool
from .principal import Principal
from .requires import Requirement
from .tokens.bearer import Headers, authorization_values, bearer_token


class Verifier:
    """
    Be what judges tokens and requirements: the CognitoVerifier of one user pool, or several behind one face.

    May be shared by threads and event loops, and survives a fork.
    """

    _clock: Callable[[], float]

    @property
    def required_scopes(self) -> tuple[str, ...]:
        """The scopes that every token must carry."""
        raise NotImplementedError

    def verify(self, token: str) -> Principal:
        """
        Verify a token; may block for a fetch of keys, at most the schedule's deadline.

        Args:
            token: the compact JWS, without scheme; anything at all.

        Raises:
            InvalidTokenError: the token is not acceptable; `reason` says why.
            InsufficientScopeError: it lacks one of `required_scopes`.
            UnavailableError: the keys, or the revocations, are out of reach.
            ConfigurationError: the revocations answer neither True nor False.
        """
        raise NotImplementedError

    async def averify(self, token: str) -> Principal:
        """Verify a token as `verify` does, without blocking the event loop (asyncio)."""
        raise NotImplementedError

    def granted_scopes(self, principal: Principal) -> frozenset[str]:
        """Return the caller's scopes and those that they imply."""
        raise NotImplementedError

    def prefetch(self) -> None:
        """
        Have usable keys at hand before the first token.

        Raises:
            UnavailableError: they are out of reach; a later token tries again.
        """
        raise NotImplementedError

    async def aprefetch(self) -> None:
        """Have usable keys at hand as `prefetch` does, without blocking the event loop."""
        raise NotImplementedError

    def authenticate(self, headers: Headers) -> Principal:
        """
        Verify the bearer token of a request.

        Args:
            headers: all headers of the request: a mapping, or pairs as ASGI has them.

        Raises:
            MissingTokenError: the request carries no bearer token.
            InvalidRequestError: it carries more than one, or a broken one.
            InvalidTokenError, InsufficientScopeError, UnavailableError: as `verify` does.
        """
        return self.verify(bearer_token(authorization_values(headers)))

    async def aauthenticate(self, headers: Headers) -> Principal:
        """Verify the bearer token of a request as `authenticate` does, without blocking the event loop."""
        return await self.averify(bearer_token(authorization_values(headers)))

    def authorize(self, principal: Principal, requirement: Requirement) -> None:
        """
        Check that the caller may do what the requirement guards.

        Raises:
            InsufficientScopeError: a scope is not granted.
            RequirementNotMetError: a group, client, actor, claim or predicate says no.
            StepUpRequiredError: the authentication is too old or too weak.
            ConfigurationError: the requirement is none; a scope alone is `Requires(scopes=...)`.
        """
        if not isinstance(requirement, Requirement):
            raise ConfigurationError("requirement", f"expected a Requires, got {type(requirement).__name__}")
        refusal = requirement.refusal(principal, self.granted_scopes(principal), self._clock())
        if refusal is not None:
            try:
                raise refusal
            finally:
                # It would hold itself by its traceback, until the garbage collector comes.
                del refusal


class PoolVerifier(Verifier):
    """Be what judges the tokens of one user pool."""

    @property
    def user_pool(self) -> UserPool:
        """The user pool with its accepted issuers."""
        raise NotImplementedError

    @property
    def implied_scopes(self) -> Mapping[str, frozenset[str]]:
        """Scopes to all that they imply, themselves included."""
        raise NotImplementedError

    @property
    def revocations(self) -> object:
        """Who is asked at each request whether a token was revoked, or None."""
        raise NotImplementedError

    @property
    def max_token_bytes(self) -> int:
        """The longest token that is looked at."""
        raise NotImplementedError
