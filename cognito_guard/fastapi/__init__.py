"""
Guard FastAPI applications: one dependency for routes and WebSockets, which describes itself in OpenAPI.

A refusal is an HTTPException with its challenge's status and headers, so that the application's own handlers see it.
FastAPI's answers with `{"detail": ...}` for a body, and
`FastAPI(exception_handlers={ChallengeError: challenge_response})` with the challenge's.
"""

# No postponed annotations: not every FastAPI can evaluate those of an object's `__call__`.
from collections.abc import Awaitable, Callable
from typing import Any, Unpack

try:
    from fastapi import APIRouter
    from fastapi.security import SecurityScopes
    from starlette.requests import HTTPConnection
    from starlette.routing import Route
except ImportError as _cause:
    raise ImportError("cognito_guard.fastapi needs FastAPI: pip install 'cognito-guard[fastapi]'") from _cause

from ..abstract import Verifier
from ..challenge import metadata_reply
from ..errors import ConfigurationError, MissingTokenError, RefusalError
from ..guard import Guard, RouteGuardOptions, check_route_options
from ..openapi import DeclaredScopes, described, swagger_ui_oauth
from ..principal import Principal
from ..requires import Requirement, Requires, RequiresOptions, all_of, with_scopes
from ..starlette import response_for
from .caller import Caller, ChallengeError, caller_of, challenge_response, refusal
from .scheme import Described, Scheme

__all__ = ["ChallengeError", "CognitoBearer", "challenge_response"]


class CognitoBearer(Described):
    """
    Guard the routes whose dependency it is: `Depends(guard)`, or `Security(guard, scopes=["orders/read"])`.

    What depends on it gets the Principal.  A token is verified once per request, however many ask.

    Attributes:
        optional: a dependency like the guard, but None for a request without credentials; bad ones are refused.
    """

    def __init__(
        self,
        verifier: Verifier,
        *,
        domain: str | None = None,
        scopes: DeclaredScopes = (),
        scheme_name: str = "CognitoBearer",
        description: str | None = None,
        **options: Unpack[RouteGuardOptions],
    ) -> None:
        """
        Guard with a verifier.

        Args:
            verifier: judges tokens.
            domain: the user pool's domain, so that people can sign in on the docs page.
            scopes: what clients may ask for, with descriptions for the docs page.
            scheme_name: the security scheme's name in OpenAPI; each guard of an application needs its own.
            description: the security scheme's description in OpenAPI.
            options: attributes of `cognito_guard.guard.Guard`, all but `required`.

        Raises:
            ConfigurationError: an option that can't be right.
        """
        check_route_options(options, "Depends(guard) wants a caller, Depends(guard.optional) takes anonymous ones too")
        self._guard = Guard(verifier=verifier, **options)
        # Checked again with each dependency's own: one challenge names all scopes, and `acting_as` is held to them.
        of_all = () if self._guard.requirement is None else (self._guard.requirement,)
        self._requirement = all_of((*verifier.required_scopes, *of_all))
        self._required = with_scopes(self._requirement)
        self._domain, self._scopes = domain, described(scopes)
        self._scheme = Scheme(scheme_name, domain=domain, scopes=self._scopes, description=description)
        super().__init__(self._scheme.model, scheme_name)

        async def optional(connection: HTTPConnection, asked: SecurityScopes) -> Principal | None:
            is_anonymous = isinstance(await caller_of(connection, self._guard, self), MissingTokenError)
            return None if is_anonymous else await self(connection, asked)

        self.optional: Callable[..., Awaitable[Principal | None]] = self._scheme.shown_by(optional)

    async def __call__(self, connection: HTTPConnection, asked: SecurityScopes) -> Principal:
        """
        Return the caller of a request, to whom the scopes are granted.

        Raises:
            ChallengeError: the request is refused.
            WebSocketException: it is, and the server can only close the WebSocket.
        """
        caller = await caller_of(connection, self._guard, self)
        return self._admitted(caller, connection, self._required(*asked.scopes))

    def requires(
        self, *demands: str | Requirement, **more: Unpack[RequiresOptions]
    ) -> Callable[..., Awaitable[Principal]]:
        """
        Return a dependency like the guard that demands more: `Depends(guard.requires(groups="admins"))`.

        Args:
            demands: scopes and requirements; all must be met.
            more: arguments of `Requires`, to be met as well.

        Raises:
            ConfigurationError: a demand that can't be right.
        """
        demanded = all_of((*demands, Requires(**more)))
        required = with_scopes(all_of((self._requirement, demanded)))

        async def admitted(connection: HTTPConnection, asked: SecurityScopes) -> Principal:
            caller = await caller_of(connection, self._guard, self)
            return self._admitted(caller, connection, required(*asked.scopes))

        return self._scheme.shown_by(admitted, demanded.needed_scopes)

    def metadata_router(self) -> APIRouter:
        """
        Return a router that serves the protected resource's metadata; for the outermost application, unprefixed.

        Raises:
            ConfigurationError: the guard has no `metadata`.
        """
        if self._guard.metadata is None:
            raise ConfigurationError("metadata", "expected a ProtectedResource, got None")
        response = response_for(metadata_reply(self._guard.metadata))
        # A plain route, which no dependency of the application guards: who reads it has no token yet.
        return APIRouter(routes=[Route(self._guard.metadata.path, response, methods=["GET"])])

    def swagger_ui_oauth(self, *, client_id: str) -> dict[str, Any]:
        """
        Return how people sign in on the docs page: `FastAPI(swagger_ui_init_oauth=...)`.

        Args:
            client_id: a public app client, with this API's `/docs/oauth2-redirect` among its callback URLs.

        Raises:
            ConfigurationError: the guard has no `domain`.
        """
        return swagger_ui_oauth(client_id, domain=self._domain, scopes=self._scopes, metadata=self._guard.metadata)

    def _admitted(self, caller: Caller, connection: HTTPConnection, requirement: Requirement) -> Principal:
        try:
            if isinstance(caller, RefusalError):
                raise caller
            return self._guard.authorize(caller, requirement)
        except RefusalError as error:
            raise refusal(connection, self._guard.refuse(error, requirement)) from error
