"""
Permissions of ours, and what becomes of them where REST framework composes them: who has no token is told no.

They say yes or no, as REST framework wants it; why not is found out afterwards, from all that a view demands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from rest_framework.permissions import AND, NOT, OR, BasePermission, BasePermissionMetaclass
from rest_framework.request import Request

from ..django.conf import configuration
from ..errors import RefusalError
from ..principal import Principal
from ..requires import Requirement


class _Composable(BasePermissionMetaclass):
    """Compose permissions that are all ours to one that is ours: no `~` of REST framework's turns its no around."""

    def __and__(self, other: Any) -> Any:
        return _ours(super().__and__(other), self, other)

    def __or__(self, other: Any) -> Any:
        return _ours(super().__or__(other), self, other)

    def __invert__(self) -> Any:
        return _ours(super().__invert__(), self)


class CognitoPermission(BasePermission, metaclass=_Composable):
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
            NotAuthenticated: it has no token, and the view turns this around together with permissions of others.
            PermissionDenied: likewise, but another class has authenticated it.
        """
        principal, requirement = principal_of(request), self.requirement_for(view)
        if principal is None:
            # No answer is right: REST framework would turn a no around, and anybody who asks by hand believe a yes.
            if type(self) in _turned_around(view):
                view.permission_denied(request)
            return False
        return self._admits(principal, requirement, request, view)

    def has_object_permission(self, request: Request, view: Any, obj: Any) -> bool:
        """Tell, or raise, the same of every object; a constant yes would be a constant no under `~`."""
        return self.has_permission(request, view)

    def _admits(self, principal: Principal, requirement: Requirement, request: Request, view: Any) -> bool:
        try:
            configuration().guard.authorize(principal, requirement)
        except RefusalError:
            return False
        return True


def principal_of(request: Request) -> Principal | None:
    """Return the caller whom CognitoAuthentication let in, or None for everybody else."""
    caller: object = request.auth
    return caller if isinstance(caller, Principal) else None


def demand_of(permission: Any, view: Any) -> Requirement:
    """Return what a composition demands, composed likewise; each of its parts is a requirement, or has one."""
    kind: type = permission.__class__
    if kind is NOT:
        return ~demand_of(permission.op1, view)
    if kind is AND:
        return demand_of(permission.op1, view) & demand_of(permission.op2, view)
    if kind is OR:
        return demand_of(permission.op1, view) | demand_of(permission.op2, view)
    found: Requirement = permission if isinstance(permission, Requirement) else permission.requirement_for(view)
    return found


def leaves(permission: Any, *, is_turned_around: bool = False) -> Iterator[tuple[type, bool]]:
    """Yield the classes of the permissions that a composition consists of, and whether they stand below a `~`."""
    kind: type = permission.__class__
    if kind not in (AND, OR, NOT):
        yield kind, is_turned_around
        return
    operands = cast("Mapping[str, Any]", vars(permission))
    for each in operands.values():
        yield from leaves(each, is_turned_around=is_turned_around or kind is NOT)


def _ours(composed: Any, *operands: Any) -> Any:
    """Return what REST framework has composed, as a permission of ours where nothing else stands in it."""
    if not all(map(_is_plainly_ours, operands)):
        return composed

    class Composed(CognitoPermission):
        def requirement_for(self, view: Any) -> Requirement:
            return demand_of(composed(), view)

        def _admits(self, principal: Principal, requirement: Requirement, request: Request, view: Any) -> bool:
            # Not by the requirement: REST framework asks none whose answer it doesn't need.
            return bool(composed().has_permission(request, view))

    return Composed


def _is_plainly_ours(permission: Any) -> bool:
    """Tell whether a class is ours and answers as we wrote it: a subclass may let in whom it likes."""
    return isinstance(permission, _Composable) and all(
        getattr(permission, name) is getattr(CognitoPermission, name)
        for name in ("has_permission", "has_object_permission")
    )


def _turned_around(view: Any) -> set[type]:
    """Return the classes of permissions that a view has below a `~` of REST framework's."""
    permissions: Iterable[Any] = getattr(view, "get_permissions", tuple)()
    return {kind for each in permissions for kind, is_turned_around in leaves(each) if is_turned_around}
