"""
Permissions that scopes, groups and other requirements decide, composed with `&`, `|` and `~`.

They say yes or no, as REST framework wants it; why not is found out afterwards, from the whole composition.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from rest_framework.permissions import (
    AND,
    NOT,
    OR,
    BasePermission,
    BasePermissionMetaclass,
    SingleOperandHolder,
)
from rest_framework.request import Request

from ..django.conf import configuration
from ..errors import ConfigurationError, RefusalError
from ..principal import Principal
from ..requires import Requirement, Requires, all_of


class _Invertible(BasePermissionMetaclass):
    def __invert__(self) -> SingleOperandHolder:
        # Turned around by REST framework, the refusal of an anonymous caller would let it in.
        return SingleOperandHolder(cast("Any", _Not), cast("Any", self))


class CognitoPermission(BasePermission, metaclass=_Invertible):
    """Let callers in who came by a token and meet a requirement; composes with permissions of any origin."""

    def requirement_for(self, view: Any) -> Requirement:
        """Return what a view requires of its caller."""
        raise NotImplementedError

    def has_permission(self, request: Request, view: Any) -> bool:
        """Tell whether the caller came by a token, and meets the requirement."""
        try:
            configuration().guard.authorize(principal_of(request), self.requirement_for(view))
        except RefusalError:
            return False
        return True

    def has_object_permission(self, request: Request, view: Any, obj: Any) -> bool:
        """Tell the same of every object; a constant yes would be a constant no under `~`."""
        return self.has_permission(request, view)


class HasRequiredScopes(CognitoPermission):
    """Demand the view's `required_scopes`: all of a list, or of the list that a dictionary has for the action."""

    def requirement_for(self, view: Any) -> Requirement:
        """
        Return the view's scopes; an action (or a method, in lower case) that its dictionary leaves out is for nobody.

        Raises:
            ConfigurationError: the view has none.
        """
        scopes: Any = getattr(view, "required_scopes", None)
        if scopes is None:
            raise ConfigurationError("required_scopes", f"is missing on {type(view).__name__}")
        if isinstance(scopes, Mapping):
            by_action = cast("Mapping[str, Any]", scopes)
            action = getattr(view, "action", None) or view.request.method.lower()
            # REST framework serves HEAD by the method for GET.
            scopes = by_action.get("get" if action == "head" and "head" not in by_action else action)
        return ~Requires() if scopes is None else Requires(scopes=scopes)


class _Not(CognitoPermission):
    def __init__(self, inner: CognitoPermission) -> None:
        self._inner = inner

    def requirement_for(self, view: Any) -> Requirement:
        return ~self._inner.requirement_for(view)


def Meets(*demands: str | Requirement) -> type[CognitoPermission]:  # noqa: N802 - reads as the class it returns
    """
    Return a permission class: all of these scopes and requirements.

    Raises:
        ConfigurationError: a demand that can't be right.
    """
    requirement = all_of(demands)

    class Fixed(CognitoPermission):
        def requirement_for(self, view: Any) -> Requirement:
            return requirement

    return Fixed


def HasScopes(*scopes: str) -> type[CognitoPermission]:  # noqa: N802
    """Return a permission class: all of these scopes."""
    return Meets(Requires(scopes=scopes))


def HasAnyScope(*scopes: str) -> type[CognitoPermission]:  # noqa: N802
    """Return a permission class: at least one of these scopes."""
    return Meets(Requires(any_scopes=scopes))


def HasGroups(*groups: str) -> type[CognitoPermission]:  # noqa: N802
    """Return a permission class: all of these Cognito groups."""
    return Meets(Requires(groups=groups))


def principal_of(request: Request) -> Principal | None:
    """Return the caller whom CognitoAuthentication let in, or None for everybody else."""
    caller: object = request.auth
    return caller if isinstance(caller, Principal) else None


def requirement_of(request: Request, view: Any) -> Requirement:
    """Return all that a view's permissions demand; those of others stand in it as predicates that ask them."""

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
        return Requires(predicate=lambda _: bool(permission.has_permission(request, view)))

    return all_of(map(translated, view.get_permissions()))
