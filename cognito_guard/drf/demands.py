"""What all of a view's permissions demand, those of others with ours: from there comes the answer to who is refused."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import AND, NOT, OR
from rest_framework.request import Request

from ..errors import Reason, RequirementNotMetError
from ..principal import Principal
from ..requires import Requirement, all_of
from .composition import CognitoPermission, demand_of, leaves


class OthersRefusalError(RequirementNotMetError):
    """Say that a permission of others refused the caller, which has its own words for that."""


def requirement_of(view: Any, request: Request | None = None) -> Requirement:
    """
    Return all that a view's permissions demand.

    Args:
        view: the view.
        request: what permissions of others are asked about; without it they are not asked, and demand nothing.
    """
    permissions = [_heard(each) for each in view.get_permissions()]
    if request is not None:
        # REST framework's own operators: they ask as they did, and stop where they stopped.  Which of the
        # permissions refused it doesn't tell, so that those it came to are asked a second time.
        all(each.has_permission(request, view) for each in permissions)
    return all_of(demand_of(each, view) for each in permissions)


class _Others(Requirement):
    """Demand what a permission of others does, whoever the caller is; in its place among REST framework's operators."""

    __slots__ = ("_answer", "_permission")

    def __init__(self, permission: Any, *, is_turned_around: bool) -> None:
        self._permission = permission
        # Until it is asked, nobody is refused because of it.
        self._answer = not is_turned_around

    def has_permission(self, request: Request, view: Any) -> bool:
        self._answer = bool(self._permission.has_permission(request, view))
        return self._answer

    def refusal(self, principal: Principal, granted: frozenset[str], now: float) -> OthersRefusalError | None:
        if self._answer:
            return None
        return OthersRefusalError(Reason.PREDICATE_REFUSED, "a permission of others refuses the caller")


def _heard(permission: Any, *, is_turned_around: bool = False) -> Any:
    """Return a composition with the answers of others' permissions to be kept."""
    if not any(issubclass(kind, CognitoPermission) for kind, _ in leaves(permission)):
        return _Others(permission, is_turned_around=is_turned_around)
    kind: type = permission.__class__
    if kind is NOT:
        return NOT(_heard(permission.op1, is_turned_around=not is_turned_around))
    if kind in (AND, OR):
        return kind(*(_heard(each, is_turned_around=is_turned_around) for each in (permission.op1, permission.op2)))
    return permission
