"""
What every adapter does, whatever its framework: find the token, ask the verifier, word the answer.

An adapter makes one Guard from its options, hands it the headers of each request, and sends what
`refuse` returns.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TypedDict

from .abstract import Verifier
from .challenge import DEFAULT_REALM, Challenge, Reply, challenge_for, check_realm, metadata_reply
from .errors import ConfigurationError, MissingTokenError, RefusalError
from .metadata import ProtectedResource
from .principal import Principal
from .requires import ANY_CALLER, Requirement
from .tokens.bearer import Headers
from .tokens.credentials import Extractor, cookie, header, one_token, websocket_subprotocol


class RouteGuardOptions(TypedDict, total=False):
    """Name the options that every adapter takes and hands to its Guard; they are explained there."""

    requirement: Requirement | None
    token_from: Iterable[Extractor]
    metadata: ProtectedResource | None
    realm: str
    problem_details: bool


class GuardOptions(RouteGuardOptions, total=False):
    """Name the options of adapters that guard a whole application at once."""

    required: bool


_log = logging.getLogger("cognito_guard")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """
    Hold how an application is guarded.

    Attributes:
        verifier: judges tokens and requirements.
        requirement: what every caller must meet, or None.
        required: False lets a request without credentials pass as anonymous; bad ones are refused all the same.
        token_from: where a token may stand; each request may use one of them.
        metadata: the protected resource's metadata (RFC 9728), named in challenges; or None.
        realm: named in challenges.
        problem_details: word the body of a refusal as problem details (RFC 9457).

    Raises:
        ConfigurationError: a value that can't be right, or a requirement for callers that may be anonymous.
    """

    verifier: Verifier
    requirement: Requirement | None = None
    required: bool = True
    token_from: Iterable[Extractor] = (header(),)
    metadata: ProtectedResource | None = None
    realm: str = DEFAULT_REALM
    problem_details: bool = False
    _take: Extractor = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_realm(self.realm)
        for setting, value in (("required", self.required), ("problem_details", self.problem_details)):
            # `required="no"` would be true, and `problem_details="no"` as well.
            if not isinstance(value, bool):
                raise ConfigurationError(setting, f"expected True or False, got {type(value).__name__}")
        if not isinstance(self.verifier, Verifier):
            raise ConfigurationError("verifier", f"expected a CognitoVerifier, got {type(self.verifier).__name__}")
        if self.requirement is not None and not isinstance(self.requirement, Requirement):
            raise ConfigurationError("requirement", "expected a Requires, or several composed")
        if self.requirement is not None and not self.required:
            raise ConfigurationError("requirement", "can't be met by the anonymous callers that required=False lets in")
        extractors = _extractors(self.token_from)
        object.__setattr__(self, "token_from", extractors)
        object.__setattr__(self, "_take", extractors[0] if len(extractors) == 1 else partial(one_token, extractors))
        if self.metadata is not None and not isinstance(self.metadata, ProtectedResource):
            raise ConfigurationError("metadata", f"expected a ProtectedResource, got {type(self.metadata).__name__}")

    def authenticate(self, headers: Headers, *, optional: bool = False) -> Principal | None:
        """
        Return the caller of a request, or None for an anonymous one where that is allowed.

        Args:
            headers: all headers of the request.
            optional: let a request without credentials pass, `required` or not: its route will decide.

        Raises:
            RefusalError: the request is refused.
        """
        token = self._take(headers)
        if token is None:
            return self._anonymous(optional=optional)
        principal = self.verifier.verify(token)
        return principal if self.requirement is None else self.authorize(principal, self.requirement)

    async def aauthenticate(self, headers: Headers, *, optional: bool = False) -> Principal | None:
        """Return the caller as `authenticate` does, without blocking the event loop."""
        token = self._take(headers)
        if token is None:
            return self._anonymous(optional=optional)
        principal = await self.verifier.averify(token)
        return principal if self.requirement is None else self.authorize(principal, self.requirement)

    def authorize(self, principal: Principal | None, requirement: Requirement) -> Principal:
        """
        Return the caller who meets the requirement.

        Raises:
            MissingTokenError: the caller is anonymous.
            RefusalError: the caller does not meet it.
        """
        if principal is None:
            raise MissingTokenError
        # On most routes no more is demanded than a caller, and to find that out costs half of what the token does.
        if requirement is not ANY_CALLER:
            self.verifier.authorize(principal, requirement)
        return principal

    def refuse(self, error: RefusalError, requirement: Requirement | None = None) -> Challenge:
        """
        Log a refusal, by its reason alone, and return the answer to it.

        Args:
            error: why.
            requirement: what the operation requires, whose scopes the answer names.
        """
        # Info at most: anybody can make any number of them.
        _log.info("request refused: %s", error.reason, extra={"reason": str(error.reason)})
        demands = [demand for demand in (self.requirement, requirement) if demand is not None]
        return challenge_for(
            error,
            realm=self.realm,
            scopes=(*self.verifier.required_scopes, *(scope for demand in demands for scope in demand.needed_scopes)),
            resource_metadata=None if self.metadata is None else self.metadata.url,
            problem_details=self.problem_details,
        )

    def metadata_reply(self, method: str, *paths: str) -> Reply | None:
        """
        Return the protected resource's metadata where a request asks for it; it needs no token.

        Args:
            method: the request's method.
            paths: the request's path from the root of the host, and below the application's root where that
                differs: a server that is told the root puts it in front of well-known paths too.
        """
        if self.metadata is None or self.metadata.path not in paths or method not in ("GET", "HEAD"):
            return None
        return metadata_reply(self.metadata)

    def _anonymous(self, *, optional: bool) -> Principal | None:
        """Let a request without credentials pass, where that is allowed."""
        if self.required and not optional:
            raise MissingTokenError
        return None


def check_route_options(options: RouteGuardOptions, instead: str) -> None:
    """
    Check the options of an adapter whose routes say for themselves whether their callers may be anonymous.

    Args:
        options: as they were given; what a value may be is judged by Guard.
        instead: how a route says so, for whoever wrote `required`.

    Raises:
        ConfigurationError: `required`, or an option that nobody has.
    """
    if "required" in options:
        raise ConfigurationError("required", f"is for each route to say: {instead}")
    known = RouteGuardOptions.__annotations__
    for name in options:
        if name not in known:
            raise ConfigurationError(name, f"no such option; known are {', '.join(known)}")


# What makes an extractor is none itself; without parentheses it would fail at the first request.
_MAKERS: tuple[object, ...] = (header, cookie, websocket_subprotocol)


def _extractors(given: Iterable[Extractor]) -> tuple[Extractor, ...]:
    extractors: tuple[Extractor, ...] = tuple(given) if isinstance(given, Iterable) else (given,)
    for extractor in extractors:
        if not callable(extractor) or extractor in _MAKERS:
            raise ConfigurationError("token_from", "expected header(), cookie(...) and the like, with parentheses")
    if not extractors:
        raise ConfigurationError("token_from", "expected at least one of header(), cookie(...), ...")
    return extractors


class Anonymous:
    """Stand in for the user where a route allows a caller without credentials."""

    is_authenticated = False
    display_name = ""
    identity = ""


def exempt_paths(given: str | Iterable[str]) -> frozenset[str]:
    """
    Return the paths that need no token.

    Raises:
        ConfigurationError: something that is no path.
    """
    is_one = isinstance(given, str) or not isinstance(given, Iterable)
    paths: tuple[object, ...] = (given,) if is_one else tuple(given)
    for path in paths:
        if not isinstance(path, str) or not path.startswith("/"):
            raise ConfigurationError("exempt", f"expected paths that begin with '/', got {path!r}")
    return frozenset(map(str, paths))


def is_preflight(method: str, header_names: Iterable[str]) -> bool:
    """Tell a CORS preflight, which browsers send without credentials, from any other request."""
    if method != "OPTIONS":
        return False
    return {name.lower() for name in header_names}.issuperset(("origin", "access-control-request-method"))
