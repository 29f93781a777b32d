"""Be the Lambda authorizer of an API that wants policies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..abstract import Verifier
from ..errors import AuthenticationError, AuthorizationError, ConfigurationError, RefusalError
from ..principal import Principal
from ..requires import ANY_CALLER, Requirement, all_of
from ..tokens.bearer import Headers
from ..tokens.credentials import Extractor, header
from .authorizer import Authorizer, ContextOf, Flat, UnauthorizedError
from .context import flat_context
from .events import headers_of
from .shapes import Event, mapping_of, not_for_us

_STAGE = re.compile(r"(arn:aws[a-z-]*:execute-api:[a-z0-9-]+:[0-9]+:[\w-]+/[\w$-]+)/.*", re.ASCII | re.DOTALL)
# Policies know neither ANY nor {id}: a Deny that never matches would be no Deny.
_ROUTE = re.compile(r"(\*|GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (/[!#%&'()*+,./0-9:;=@A-Z_a-z~-]*)")


class RestAuthorizer(Authorizer):
    """
    Answer with policies: for REST APIs (TOKEN and REQUEST), and for HTTP APIs without simple responses.

    A bad token, and one too old or too weak for `requirement`, raises UnauthorizedError: 401 from a REST API; from an
    HTTP API, for which that is not documented, it may be a 500.  A caller who may not is denied (403).  Keys or
    revocations out of reach raise UnavailableError (500: there is no 503 for it).  No error is remembered; each counts
    as the function's.
    """

    def __init__(
        self,
        verifier: Verifier,
        *,
        requirement: Requirement | None = None,
        routes: Mapping[str, str | Requirement] | None = None,
        token_from: Iterable[Extractor] = (header(),),
        context: ContextOf = flat_context,
    ) -> None:
        """
        Take what an `Authorizer` takes, and routes.

        Args:
            verifier: judges tokens.
            requirement: what every caller of the stage must meet.
            routes: method and path, such as `GET /orders` or `* /orders/*`, to a scope or requirement.  `*` is
                anything, slashes too; path parameters are written so.  A caller must meet what each route that
                matches demands; what none matches is denied.  Paths are compared as they were sent: where the
                application takes `/admin/` or `/Admin` for `/admin`, a wide route such as `* /*` must demand enough
                for it, or be left out.  Without routes the whole stage is allowed.
            token_from: where a token may stand; the header that a TOKEN authorizer is sent counts as Authorization.
            context: what the function behind learns of the caller.

        Raises:
            ConfigurationError: a value that can't be right; at a request, an event of another kind, or a context
                that is not flat.
        """
        super().__init__(verifier, requirement=requirement, token_from=token_from, context=context)
        if routes is not None and not (isinstance(routes, Mapping) and routes):
            raise ConfigurationError("routes", "expected at least one, mapped to what it demands, or None for all")
        self._routes = [("/*", ANY_CALLER)] if routes is None else [*map(_route, routes, routes.values())]

    def __call__(self, event: Event, context: object = None) -> dict[str, Any]:
        """Answer an event of API Gateway; the second argument is Lambda's context."""
        stage = _stage_of(event)
        try:
            principal = self._caller(_headers_of(event))
        except AuthenticationError as error:
            raise UnauthorizedError from error
        except AuthorizationError:
            return _policy("refused", {"Deny": [f"{stage}/*"]})
        resources: dict[str, list[str]] = {"Allow": [], "Deny": []}
        for suffix, demand in self._routes:
            resources[self._effect(principal, demand)].append(stage + suffix)
        return _policy(principal.subject, resources, self._context(principal))

    def _effect(self, principal: Principal, demand: Requirement) -> str:
        try:
            self._guard.authorize(principal, demand)
        except RefusalError:
            # Said, and not left out: another route may allow more than it should (`* /*`), and a Deny outweighs it.
            return "Deny"
        return "Allow"


def _route(route: str, demand: str | Requirement) -> tuple[str, Requirement]:
    match = _ROUTE.fullmatch(route) if isinstance(route, str) else None
    if match is None:
        raise ConfigurationError("routes", f"expected '<METHOD or *> /<path>', * for path parameters, got {route!r}")
    return f"/{match[1]}{match[2]}", all_of((demand,))


def _stage_of(event: Event) -> str:
    """Return the ARN of the stage that a request is for; what comes after it is the client's."""
    members = mapping_of(event)
    arn = members.get("methodArn", members.get("routeArn"))
    match = _STAGE.fullmatch(arn) if isinstance(arn, str) else None
    if match is None:
        raise not_for_us()
    return match[1]


def _headers_of(event: Event) -> Headers:
    if "authorizationToken" not in event:
        return headers_of(event)
    value = event["authorizationToken"]
    if not isinstance(value, str):
        raise not_for_us()
    return [("authorization", value)]


def _policy(
    principal_id: str, resources: Mapping[str, list[str]], context: Mapping[str, Flat] | None = None
) -> dict[str, Any]:
    statements = [
        {"Action": "execute-api:Invoke", "Effect": effect, "Resource": named}
        for effect, named in resources.items()
        if named
    ]
    return {
        "principalId": principal_id,
        "policyDocument": {"Version": "2012-10-17", "Statement": statements},
        "context": {} if context is None else dict(context),
    }
