"""Be the Lambda authorizer of an HTTP API with simple responses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..abstract import Verifier
from ..errors import AuthenticationError, AuthorizationError, ConfigurationError
from ..requires import Requirement
from ..tokens.credentials import Extractor, header
from .authorizer import Authorizer, ContextOf, UnauthorizedError
from .context import flat_context
from .events import headers_of
from .shapes import Event


class HttpAuthorizer(Authorizer):
    """
    Answer yes or no, for payload format 2.0; an HTTP API without simple responses takes a RestAuthorizer.

    A no is a 403, also to a bad token; one that the API remembers, also where a moment later it would be a yes.
    Keys or revocations out of reach raise UnavailableError (500).
    """

    def __init__(
        self,
        verifier: Verifier,
        *,
        requirement: Requirement | None = None,
        raises: bool = False,
        token_from: Iterable[Extractor] = (header(),),
        context: ContextOf = flat_context,
    ) -> None:
        """
        Take what an `Authorizer` takes.

        Args:
            verifier: judges tokens.
            requirement: what every caller of the API must meet.
            raises: raise UnauthorizedError at a bad token, for a 401.  That is documented for REST APIs alone: try
                it on the API at hand.
            token_from: where a token may stand.
            context: what the function behind learns of the caller.

        Raises:
            ConfigurationError: a value that can't be right; at a request, an event of another kind, or a context
                that is not flat.
        """
        super().__init__(verifier, requirement=requirement, token_from=token_from, context=context)
        if not isinstance(raises, bool):
            raise ConfigurationError("raises", f"expected True or False, got {type(raises).__name__}")
        self._raises = raises

    def __call__(self, event: Event, context: object = None) -> dict[str, Any]:
        """Answer an event of API Gateway; the second argument is Lambda's context."""
        try:
            principal = self._caller(headers_of(event))
        except AuthenticationError as error:
            if self._raises:
                raise UnauthorizedError from error
        except AuthorizationError:
            pass
        else:
            return {"isAuthorized": True, "context": self._context(principal)}
        return {"isAuthorized": False}
