"""Permissions that scopes, groups and other requirements decide, composed with `&`, `|` and `~`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack, cast

from ..errors import ConfigurationError
from ..requires import Requirement, Requires, RequiresOptions, all_of
from .composition import CognitoPermission


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


def Meets(  # noqa: N802 - reads as the class it returns
    *demands: str | Requirement, **more: Unpack[RequiresOptions]
) -> type[CognitoPermission]:
    """
    Return a permission class: all of these scopes and requirements; none at all means any caller with a token.

    Args:
        demands: scopes and requirements.
        more: arguments of `Requires`, to be met as well.

    Raises:
        ConfigurationError: a demand that can't be right.
    """
    requirement = all_of((*demands, Requires(**more)))

    class Fixed(CognitoPermission):
        def requirement_for(self, view: Any) -> Requirement:
            return requirement

    return Fixed


def HasScopes(*scopes: str) -> type[CognitoPermission]:  # noqa: N802
    """Return a permission class: all of these scopes; raises ConfigurationError for none."""
    return Meets(scopes=_named("scopes", scopes))


def HasAnyScope(*scopes: str) -> type[CognitoPermission]:  # noqa: N802
    """Return a permission class: at least one of these scopes; raises ConfigurationError for none."""
    return Meets(any_scopes=_named("any_scopes", scopes))


def HasGroups(*groups: str) -> type[CognitoPermission]:  # noqa: N802
    """Return a permission class: all of these Cognito groups; raises ConfigurationError for none."""
    return Meets(groups=_named("groups", groups))


def _named(setting: str, given: tuple[str, ...]) -> tuple[str, ...]:
    # All of none would be met by every caller.
    if not given:
        raise ConfigurationError(setting, "expected at least one; Meets() lets in any caller with a token")
    return given
