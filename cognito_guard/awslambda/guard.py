"""Guard the function itself: it answers a refusal in the words of the RFCs, which no authorizer can."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import isclass, iscoroutinefunction
from typing import Any, TypeVar, Unpack, cast

from ..abstract import Verifier
from ..errors import ConfigurationError, RefusalError
from ..guard import Guard, RouteGuardOptions, check_route_options
from ..principal import Principal
from ..requires import Requirement, Requires, RequiresOptions, all_of
from .events import answer, headers_of, method_and_paths
from .keys import refresh_if_due
from .shapes import Event

H = TypeVar("H", bound=Callable[[Any, Any], Any])


class GuardedEvent(dict[str, Any]):
    """
    Be the event that a guarded handler sees: the very same JSON, with the caller beside it.

    Beside and not inside: no event can bring a caller along, and it can still be written to a log.
    """

    __slots__ = ("guard", "principal")

    def __init__(self, event: Event, guard: Guard, principal: Principal | None) -> None:
        """Take what the event holds, its guard and its caller."""
        super().__init__(event)
        self.guard: Guard = guard
        self.principal: Principal | None = principal


class CognitoGuard:
    """Guard handlers behind API Gateway, function URLs and load balancers."""

    def __init__(self, verifier: Verifier, **options: Unpack[RouteGuardOptions]) -> None:
        """
        Take the verifier, and attributes of `cognito_guard.guard.Guard`, all but `required`.

        Raises:
            ConfigurationError: an option that can't be right.
        """
        check_route_options(options, "@guard.require wants a caller, @guard.optional takes anonymous ones too")
        self._guard = Guard(verifier=verifier, **options)

    def require(self, *demands: str | Requirement, **more: Unpack[RequiresOptions]) -> Callable[[H], H]:
        """
        Guard a handler, whatever the request's method or path; a CORS preflight has no token and is refused too.

        Args:
            demands: scopes and requirements; all must be met.  None at all means any verified caller.
            more: arguments of `Requires`, to be met as well.

        Raises:
            ConfigurationError: a demand that can't be right, a class or an async function; at a request, an event
                that is no HTTP request's.
        """
        requirement = all_of((*demands, Requires(**more)))
        return lambda handler: self._guarded(handler, requirement)

    def optional(self, handler: H) -> H:
        """Guard a handler as `require` does, but let callers without credentials through."""
        return self._guarded(handler, None)

    def _guarded(self, handler: H, requirement: Requirement | None) -> H:
        if not callable(handler) or isclass(handler) or iscoroutinefunction(handler):
            raise ConfigurationError("handler", "expected a plain function of an event and a context")

        @wraps(handler)
        def guarded(event: Event, context: Any) -> Any:
            headers = headers_of(event)
            metadata = self._guard.metadata_reply(*method_and_paths(event))
            if metadata is not None:
                return answer(metadata, event)
            try:
                refresh_if_due(self._guard.verifier)
                principal = self._guard.authenticate(headers, optional=True)
                if requirement is not None:
                    self._guard.authorize(principal, requirement)
            except RefusalError as error:
                return answer(self._guard.refuse(error, requirement), event)
            return handler(GuardedEvent(event, self._guard, principal), context)

        return cast("H", guarded)


def principal_or_none(event: Event) -> Principal | None:
    """
    Return the verified caller of a guarded handler's event; None for an anonymous one.

    Raises:
        ConfigurationError: nothing guards the handler, or the event is a copy that something between has made.
    """
    return _guarded_event(event).principal


def principal_of(event: Event) -> Principal:
    """
    Return the verified caller of a guarded handler's event.

    Raises:
        MissingTokenError: the caller is anonymous.
        ConfigurationError: as `principal_or_none` does.
    """
    return authorize(event)


def authorize(event: Event, *demands: str | Requirement) -> Principal:
    """
    Return the caller, for a route that demands more than its handler did.

    Args:
        event: as the guarded handler got it.
        demands: scopes and requirements; all must be met.  None at all means any verified caller.

    Raises:
        RefusalError: the caller is anonymous, or does not meet them; `refuse` has the answer.
        ConfigurationError: as `principal_or_none` does.
    """
    guarded = _guarded_event(event)
    return guarded.guard.authorize(guarded.principal, all_of(demands))


def refuse(event: Event, error: RefusalError) -> dict[str, Any]:
    """
    Return what a guarded handler answers to a request that it refuses.

    Raises:
        ConfigurationError: as `principal_or_none` does.
    """
    return answer(_guarded_event(event).guard.refuse(error), event)


def _guarded_event(event: Event) -> GuardedEvent:
    if not isinstance(event, GuardedEvent):
        raise ConfigurationError("handler", "is not guarded, or was handed another event than its guard's")
    return event
