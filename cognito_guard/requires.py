"""
What an operation demands of its caller.

Pure: `now` comes with the question.  A plural without more means *all of*, `any_...` at least one;
scopes and groups are compared whole, never by prefix or substring.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from inspect import iscoroutinefunction
from types import MappingProxyType
from typing import Any, Final, NoReturn, TypeAlias, TypedDict, cast

from .errors import (
    AuthorizationError,
    ConfigurationError,
    InsufficientScopeError,
    Reason,
    RequirementNotMetError,
    StepUpRequiredError,
)
from .principal import Principal
from .scopes import SCOPE, names, scope_names
from .settings import check_seconds

Refusal: TypeAlias = AuthorizationError | StepUpRequiredError


class Requirement:
    """Be anything that judges a principal: a Requires, or several composed with `&`, `|` and `~`."""

    __slots__ = ()

    def refusal(self, principal: Principal, granted: frozenset[str], now: float) -> Refusal | None:
        """
        Return why the principal may not, or None where it may.

        Args:
            principal: the verified caller.
            granted: its scopes, with those they imply.
            now: wall time in seconds since the epoch.
        """
        raise NotImplementedError

    @property
    def needed_scopes(self) -> tuple[str, ...]:
        """The scopes that would satisfy it, for the challenge of a request that has none yet."""
        return ()

    def __and__(self, other: Requirement) -> Requirement:
        return _AllOf((self, other)) if isinstance(other, Requirement) else NotImplemented

    def __or__(self, other: Requirement) -> Requirement:
        return _AnyOf((self, other)) if isinstance(other, Requirement) else NotImplemented

    def __invert__(self) -> Requirement:
        return _Not(self)

    def __bool__(self) -> NoReturn:
        # `a and b` is b: a demand would be dropped in silence.
        raise TypeError("requirements are composed with &, | and ~, not with and, or and not")


class RequiresOptions(TypedDict, total=False):
    """Name the arguments of Requires, for decorators that hand them on; they are explained there."""

    scopes: str | Iterable[str]
    any_scopes: str | Iterable[str] | None
    groups: str | Iterable[str]
    any_groups: str | Iterable[str] | None
    max_age: float | None
    acr: str | Iterable[str] | None
    client_id: str | Iterable[str] | None
    actor: str | Iterable[str] | None
    claims: Mapping[str, Any]
    predicate: Callable[[Principal], bool] | None


@dataclass(frozen=True, slots=True, kw_only=True, init=False)
class Requires(Requirement):
    """
    Demand something of the caller; what is left out is not demanded.

    Attributes:
        scopes: all of these scopes.
        any_scopes: at least one of these scopes; a challenge names the first.
        groups: membership in all of these groups.
        any_groups: membership in at least one of these groups.
        max_age: seconds since the user authenticated, at most (RFC 9470); a token without `auth_time` fails.
        acr: one of these authentication context classes (RFC 9470).
        client_id: one of these app clients.
        actor: delegated, and to one of these actors (by `act.sub`).
        claims: these claims with exactly these values.
        predicate: a function of the principal that returns True; anything else it returns is a no.
    """

    scopes: tuple[str, ...]
    any_scopes: tuple[str, ...]
    groups: frozenset[str]
    any_groups: frozenset[str]
    max_age: float | None
    acr: tuple[str, ...]
    client_id: frozenset[str]
    actor: frozenset[str]
    claims: Mapping[str, Any] = field(hash=False)
    predicate: Callable[[Principal], bool] | None

    def __init__(
        self,
        *,
        scopes: str | Iterable[str] = (),
        any_scopes: str | Iterable[str] | None = None,
        groups: str | Iterable[str] = (),
        any_groups: str | Iterable[str] | None = None,
        max_age: float | None = None,
        acr: str | Iterable[str] | None = None,
        client_id: str | Iterable[str] | None = None,
        actor: str | Iterable[str] | None = None,
        claims: Mapping[str, Any] = MappingProxyType({}),
        predicate: Callable[[Principal], bool] | None = None,
    ) -> None:
        """
        Take one string or several wherever several make sense.

        Raises:
            ConfigurationError: an empty or unspeakable scope, group or class, a choice among none, a negative age, an
                async predicate.
        """
        put = object.__setattr__
        put(self, "scopes", scope_names("scopes", scopes))
        put(self, "any_scopes", _choice("any_scopes", any_scopes, scope_names))
        put(self, "groups", frozenset(names("groups", groups)))
        put(self, "any_groups", frozenset(_choice("any_groups", any_groups)))
        put(self, "acr", _choice("acr", acr, partial(names, grammar=SCOPE)))
        put(self, "client_id", frozenset(_choice("client_id", client_id)))
        put(self, "actor", frozenset(_choice("actor", actor)))
        if not isinstance(claims, Mapping):
            raise ConfigurationError("claims", f"expected names mapped to values, got {type(claims).__name__}")
        put(self, "claims", MappingProxyType(dict(claims)))
        if max_age is not None:
            check_seconds("max_age", max_age)
        put(self, "max_age", max_age)
        if predicate is not None and not callable(predicate):
            raise ConfigurationError("predicate", f"expected a function, got {type(predicate).__name__}")
        if predicate is not None and _is_async(predicate):
            # Its coroutine would be true for everybody.
            raise ConfigurationError("predicate", "expected a plain function, got an async one")
        put(self, "predicate", predicate)

    @property
    def needed_scopes(self) -> tuple[str, ...]:
        """All of `scopes`, and the first of `any_scopes`: the least that satisfies both."""
        return tuple(dict.fromkeys((*self.scopes, *self.any_scopes[:1])))

    def refusal(self, principal: Principal, granted: frozenset[str], now: float) -> Refusal | None:
        """Return why the principal may not; first what no other token would mend."""
        reason = self._unmet(principal)
        if reason is not None:
            return RequirementNotMetError(reason, "the caller does not meet what the operation requires")
        if not granted.issuperset(self.scopes) or (self.any_scopes and granted.isdisjoint(self.any_scopes)):
            return InsufficientScopeError(self.needed_scopes)
        if self.acr and principal.acr not in self.acr:
            return self._step_up(Reason.WEAK_AUTHENTICATION)
        if self.max_age is not None:
            auth_time = principal.auth_time
            if auth_time is None or not now - auth_time <= self.max_age:
                return self._step_up(Reason.STALE_AUTHENTICATION)
        return None

    def _unmet(self, principal: Principal) -> Reason | None:
        if self.groups and not principal.groups.issuperset(self.groups):
            return Reason.GROUP_REQUIRED
        if self.any_groups and principal.groups.isdisjoint(self.any_groups):
            return Reason.GROUP_REQUIRED
        if self.client_id and principal.client_id not in self.client_id:
            return Reason.CLIENT_NOT_ALLOWED
        if self.actor and (principal.actor is None or principal.actor.subject not in self.actor):
            return Reason.ACTOR_NOT_ALLOWED
        if self.claims and not _has_claims(principal.claims, self.claims):
            return Reason.CLAIM_MISMATCH
        if self.predicate is not None and self.predicate(principal) is not True:
            return Reason.PREDICATE_REFUSED
        return None

    def _step_up(self, reason: Reason) -> StepUpRequiredError:
        return StepUpRequiredError(reason, max_age=self.max_age, acr_values=self.acr)


def all_of(demands: Iterable[str | Requirement]) -> Requirement:
    """
    Return one requirement for scopes and requirements that must all be met.

    Raises:
        ConfigurationError: something that is neither.
    """
    parts: list[Requirement] = []
    for demand in demands:
        if not isinstance(demand, str | Requirement):
            raise ConfigurationError("requires", "expected scopes, one string each, and requirements")
        part = Requires(scopes=demand) if isinstance(demand, str) else demand
        if part != ANY_CALLER:
            parts.append(part)
    if len(parts) > 1:
        return _AllOf(tuple(parts))
    return parts[0] if parts else ANY_CALLER


def with_scopes(requirement: Requirement) -> Callable[..., Requirement]:
    """
    Return a function that adds scopes to a requirement.

    It remembers its answers: they are asked for at each request, by routes, of which there are few.
    """
    return cache(lambda *scopes: all_of((requirement, *scopes)))


@dataclass(frozen=True, slots=True)
class _AllOf(Requirement):
    parts: tuple[Requirement, ...]

    @property
    def needed_scopes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(scope for part in self.parts for scope in part.needed_scopes))

    def refusal(self, principal: Principal, granted: frozenset[str], now: float) -> Refusal | None:
        refusals: list[Refusal | None] = []
        for part in self.parts:
            refusal = part.refusal(principal, granted, now)
            if isinstance(refusal, RequirementNotMetError):
                # Nothing is worse, and a predicate behind it may rely on what was not met.
                return refusal
            refusals.append(refusal)
        worst = max((refusal for refusal in refusals if refusal), key=_severity, default=None)
        # One challenge for the whole operation: a client should not have to ask scope by scope.
        if not isinstance(worst, InsufficientScopeError):
            return worst
        needed = (
            refusal.required if isinstance(refusal, InsufficientScopeError) else part.needed_scopes
            for part, refusal in zip(self.parts, refusals, strict=True)
        )
        return InsufficientScopeError(tuple(dict.fromkeys(scope for scopes in needed for scope in scopes)))


@dataclass(frozen=True, slots=True)
class _AnyOf(Requirement):
    parts: tuple[Requirement, ...]

    @property
    def needed_scopes(self) -> tuple[str, ...]:
        return self.parts[0].needed_scopes

    def refusal(self, principal: Principal, granted: frozenset[str], now: float) -> Refusal | None:
        refusals: list[Refusal] = []
        for part in self.parts:
            refusal = part.refusal(principal, granted, now)
            if refusal is None:
                return None
            refusals.append(refusal)
        return min(refusals, key=_severity)


@dataclass(frozen=True, slots=True)
class _Not(Requirement):
    part: Requirement

    def refusal(self, principal: Principal, granted: frozenset[str], now: float) -> Refusal | None:
        if self.part.refusal(principal, granted, now) is not None:
            return None
        return RequirementNotMetError(Reason.EXCLUDED, "the operation excludes this caller")


def _choice(
    setting: str, given: str | Iterable[str] | None, read: Callable[[str, Any], tuple[str, ...]] = names
) -> tuple[str, ...]:
    """Return the names of which one is demanded; a list that came out empty would let everybody in."""
    found = () if given is None else read(setting, given)
    if given is not None and not found:
        raise ConfigurationError(setting, "expected at least one, or None for no demand")
    return found


def _severity(refusal: Refusal) -> int:
    """Rank by how little the client can do about it: sign in again, ask for scopes, nothing."""
    if isinstance(refusal, StepUpRequiredError):
        return 0
    return 1 if isinstance(refusal, InsufficientScopeError) else 2


def _has_claims(claims: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    return all(name in claims and _same(claims[name], value) for name, value in expected.items())


def _same(claim: Any, wanted: Any) -> bool:
    """Compare as JSON does: to Python True equals 1, and a list no tuple."""
    if isinstance(claim, Mapping) and isinstance(wanted, Mapping):
        one, other = cast("Mapping[str, Any]", claim), cast("Mapping[str, Any]", wanted)
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    if isinstance(claim, tuple) and isinstance(wanted, list | tuple):
        items, others = cast("Sequence[Any]", claim), cast("Sequence[Any]", wanted)
        return len(items) == len(others) and all(map(_same, items, others))
    return bool(cast("Any", claim) == wanted and cast("object", claim).__class__ is wanted.__class__)


def _is_async(predicate: Callable[[Principal], bool]) -> bool:
    return iscoroutinefunction(predicate) or iscoroutinefunction(getattr(predicate, "__call__", None))  # noqa: B004


ANY_CALLER: Final = Requires()
"""Demands nothing of a verified caller; what `all_of` returns for no demands."""
