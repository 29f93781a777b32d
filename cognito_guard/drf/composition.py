"""
Permissions as REST framework composes them: what ours say, what all of a view's demand, and who has no token.

They say yes or no, as REST framework wants it; why not is found out afterwards, from the whole composition.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework.exceptions import APIException
from rest_framework.permissions import AND, NOT, OR, BasePermission
from rest_framework.request import Request

from ..django.conf import configuration
from ..errors import Reason, RefusalError, RequirementNotMetError
from ..principal import Principal
from ..requires import Requirement, all_of

_IS_ASKING = "_cognito_guard_is_asking"


class OthersRefusalError(RequirementNotMetError):
    """Say that a permission of others refused the caller, which has its own words for that."""


class CognitoPermission(BasePermission):
    """
    Let callers in who came by a token and meet a requirement; composes with permissions of any origin.

    Turned around as well it is for callers with a token: others get in where the permissions of others let them.
    """

    def requirement_for(self, view: Any) -> Requirement:
        """Return what a view requires of its caller."""
        raise NotImplementedError

    def has_permission(self, request: Request, view: Any) -> bool:
        """
        Tell whether the caller came by a token, and meets the requirement.

        Raises:
            NotAuthenticated: it has no token, and the view turns a permission like this around.
            PermissionDenied: likewise, but another class has authenticated it.
        """
        principal, requirement = principal_of(request), self.requirement_for(view)
        if principal is None:
            _leave_to_others(request, view, lambda other: other.has_permission(request, view))
            return False
        try:
            configuration().guard.authorize(principal, requirement)
        except RefusalError:
            return False
        return True

    def has_object_permission(self, request: Request, view: Any, obj: Any) -> bool:
        """Tell, or raise, the same of every object; a constant yes would be a constant no under `~`."""

        def allows(other: Any) -> bool:
            return bool(other.has_permission(request, view) and other.has_object_permission(request, view, obj))

        if principal_of(request) is None:
            _leave_to_others(request, view, allows)
            return False
        return self.has_permission(request, view)


def principal_of(request: Request) -> Principal | None:
    """Return the caller whom CognitoAuthentication let in, or None for everybody else."""
    caller: object = request.auth
    return caller if isinstance(caller, Principal) else None


def requirement_of(request: Request, view: Any) -> Requirement:
    """Return all that a view's permissions demand; those of others stand in it as demands that ask them."""

    def translated(permission: Any) -> Requirement:
        kind: type = permission.__class__
        if issubclass(kind, CognitoPermission):
            found: Requirement = permission.requirement_for(view)
            return found
        if kind is AND:
            return translated(permission.op1) & translated(permission.op2)
        if kind is OR:
            return translated(permission.op1) | translated(permission.op2)
        if kind is NOT:
            return ~translated(permission.op1)
        return _Others(lambda: bool(permission.has_permission(request, view)))

    return all_of(map(translated, view.get_permissions()))


class _Others(Requirement):
    """Demand what a permission of others does, whoever the caller is."""

    __slots__ = ("_allows",)

    def __init__(self, allows: Callable[[], bool]) -> None:
        self._allows = allows

    def refusal(self, principal: Principal, granted: frozenset[str], now: float) -> OthersRefusalError | None:
        # Some refuse by an exception; this is asked by the handler of one, where it would be a server error.
        with suppress(APIException, Http404, PermissionDenied):
            if self._allows():
                return None
        return OthersRefusalError(Reason.PREDICATE_REFUSED, "a permission of others refuses the caller")


def _leave_to_others(request: Request, view: Any, allows: Callable[[Any], bool]) -> None:
    """Refuse a caller without a token, unless the view's other permissions let it in, whatever ours would say."""
    permissions: Sequence[Any] = getattr(view, "get_permissions", tuple)()
    state = vars(request)
    # Where one of the others asks, it makes of our no what it likes.
    if _IS_ASKING in state or not any(map(_turns_ours_around, permissions)):
        return
    state[_IS_ASKING] = True
    try:
        is_let_in = all(_holds(each, allows, ours=False) for each in permissions)
    finally:
        del state[_IS_ASKING]
    if not is_let_in:
        # Raised, because REST framework would turn a no around.
        view.permission_denied(request)


def _turns_ours_around(permission: Any, *, is_within: bool = False) -> bool:
    kind: type = permission.__class__
    if kind not in (AND, OR, NOT):
        return is_within and issubclass(kind, CognitoPermission)
    operands = cast("Mapping[str, Any]", vars(permission))
    return any(_turns_ours_around(each, is_within=is_within or kind is NOT) for each in operands.values())


def _holds(permission: Any, allows: Callable[[Any], bool], *, ours: bool) -> bool:
    """Tell whether others' permissions decide for a yes, with `ours` for the answer of those that are ours."""
    kind: type = permission.__class__
    if issubclass(kind, CognitoPermission):
        return ours
    if kind is AND:
        return _holds(permission.op1, allows, ours=ours) and _holds(permission.op2, allows, ours=ours)
    if kind is OR:
        return _holds(permission.op1, allows, ours=ours) or _holds(permission.op2, allows, ours=ours)
    if kind is NOT:
        return not _holds(permission.op1, allows, ours=not ours)
    return bool(allows(permission))
