"""Authenticate for Starlette's own middleware, and answer in its responses."""

from __future__ import annotations

from typing import Unpack, cast

from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, BaseUser
from starlette.requests import HTTPConnection
from starlette.responses import Response

from ..abstract import Verifier
from ..asgi.connection import enter, headers_of
from ..challenge import Challenge, Reply
from ..errors import RefusalError
from ..guard import Guard, RouteGuardOptions, check_route_options


class CognitoBackend(AuthenticationBackend):
    """
    Authenticate for Starlette's AuthenticationMiddleware: its `backend=`, and as `on_error` its `on_error=`.

    Without the latter Starlette answers every bad token with a plain 400.  A request without credentials is
    anonymous here; what needs a caller says so with `@requires`.

    Who comes with a token and does not meet `requirement` is refused on every route: a caller is found before there
    is a route, and Starlette's own `@requires` would let them in.
    """

    def __init__(self, verifier: Verifier, **options: Unpack[RouteGuardOptions]) -> None:
        """
        Take the verifier, and attributes of `cognito_guard.guard.Guard`, all but `required`.

        Raises:
            ConfigurationError: an option that can't be right.
        """
        check_route_options(options, "@requires wants a caller, other endpoints take anonymous ones too")
        self._guard = Guard(verifier=verifier, **options)

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        """
        Return the caller's credentials and principal, or None for a request without credentials.

        Raises:
            ChallengeError: the credentials are bad or not enough, or can't be checked now.
        """
        try:
            principal = await self._guard.aauthenticate(headers_of(conn.scope), optional=True)
        except RefusalError as error:
            raise ChallengeError(self._guard.refuse(error)) from error
        enter(conn.scope, self._guard, principal)
        if principal is None:
            return None
        return AuthCredentials(conn.scope["auth"].scopes), cast("BaseUser", principal)

    @staticmethod
    def on_error(conn: HTTPConnection, error: AuthenticationError) -> Response:
        """Answer a refused request with its challenge."""
        if isinstance(error, ChallengeError):
            return response_for(error.challenge)
        raise error


class ChallengeError(AuthenticationError):
    """Carry a challenge through Starlette's AuthenticationMiddleware."""

    def __init__(self, challenge: Challenge) -> None:
        """Take the challenge."""
        super().__init__("the request was refused")
        self.challenge = challenge


def response_for(reply: Reply) -> Response:
    """Return a reply as a Starlette response."""
    return Response(reply.body, reply.status, dict(reply.headers))
