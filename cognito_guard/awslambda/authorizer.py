"""
What both kinds of Lambda authorizers have in common.

API Gateway remembers an answer for minutes, by token, and applies it to other methods and paths, also after the
token has expired.  So an answer follows from the token alone, never from what happened to be asked for first, and
speaks of the whole stage; and as an outage says nothing about a token, it is no answer but an error.

What it remembers by is the authorizer's identity source: name there, and only there, where the token stands.  By
anything else, one caller's answer would be another's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from typing import TypeAlias

from ..abstract import Verifier
from ..errors import ConfigurationError, RefusalError
from ..guard import Guard
from ..principal import Principal
from ..requires import ANY_CALLER, Requirement
from ..tokens.bearer import Headers
from ..tokens.credentials import Extractor, header
from .context import flat_context
from .keys import refresh_if_due

Flat: TypeAlias = str | int | float | bool
ContextOf: TypeAlias = Callable[[Principal], Mapping[str, Flat]]


class UnauthorizedError(Exception):
    """Have API Gateway answer 401, as it does for an authorizer's error of exactly this text."""

    def __init__(self) -> None:
        super().__init__("Unauthorized")


class Authorizer:
    """Find out who calls, and what the function behind may know of that."""

    def __init__(
        self,
        verifier: Verifier,
        *,
        requirement: Requirement | None = None,
        token_from: Iterable[Extractor] = (header(),),
        context: ContextOf = flat_context,
    ) -> None:
        """
        Take the verifier and what the API demands.

        Args:
            verifier: judges tokens.
            requirement: what every caller of the stage must meet.
            token_from: where a token may stand; the header that a TOKEN authorizer is sent counts as Authorization.
            context: what the function behind learns of the caller.

        Raises:
            ConfigurationError: a value that can't be right.
        """
        self._guard = Guard(verifier=verifier, requirement=requirement, token_from=token_from)
        if not callable(context):
            raise ConfigurationError("context", "expected a function of the principal")
        self._context_of = context

    def _caller(self, headers: Headers) -> Principal:
        refresh_if_due(self._guard.verifier)
        try:
            return self._guard.authorize(self._guard.authenticate(headers), ANY_CALLER)
        except RefusalError as error:
            # For the log alone: no authorizer can send a challenge.
            self._guard.refuse(error)
            raise

    def _context(self, principal: Principal) -> dict[str, Flat]:
        context = self._context_of(principal)
        if not isinstance(context, Mapping) or not all(map(_is_flat, context, context.values())):
            raise ConfigurationError("context", "expected texts, numbers and booleans alone, by name")
        return dict(context)


def _is_flat(name: object, value: object) -> bool:
    # JSON has no infinite numbers.
    is_number = isinstance(value, int) or (isinstance(value, float) and isfinite(value))
    return isinstance(name, str) and (is_number or isinstance(value, str))
