"""
From the settings dictionary `COGNITO_GUARD` to one verifier and one Guard per process.

Built when first asked for, and again after the setting has changed (`override_settings`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from django.conf import settings
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils.module_loading import import_string

from ..abstract import Verifier
from ..errors import ConfigurationError
from ..guard import Guard, GuardOptions, exempt_paths
from ..principal import Principal
from ..scopes import SCOPE, names
from ..verifier import CognitoVerifier

SETTING = "COGNITO_GUARD"

Resolver: TypeAlias = Callable[[Principal], Any]
"""From a verified caller to a user of the application, or None where it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """
    Hold what `COGNITO_GUARD` says.

    Attributes:
        guard: judges requests.
        exempt: paths that need no token (`EXEMPT`).
        resolver: finds the user of a caller (`USER_RESOLVER`), or None for the stateless CognitoUser.
        permission_map: the permissions that a scope stands for (`PERMISSION_MAP`).
        group_map: the Django groups that a Cognito group stands for (`GROUP_MAP`).
        vary: the request headers that an answer depends on.
    """

    guard: Guard
    exempt: frozenset[str]
    resolver: Resolver | None
    permission_map: Mapping[str, frozenset[str]]
    group_map: Mapping[str, frozenset[str]]
    vary: tuple[str, ...]


_built: dict[str, Configuration] = {}


def configuration() -> Configuration:
    """
    Return the process's configuration.

    Raises:
        ConfigurationError: the settings can't be right.
    """
    held = _built.get(SETTING)
    # Two threads may both build one: the first to arrive is everybody's.
    return held or _built.setdefault(SETTING, build(getattr(settings, SETTING, None)))


def build(given: object) -> Configuration:
    """
    Build a configuration.

    Args:
        given: the settings dictionary.  `VERIFIER` (a verifier, or the dotted path of one) stands in for
            the settings of the verifier: `USER_POOL_ID`, `CLIENT_ID` and so on.

    Raises:
        ConfigurationError: a setting that is unknown, missing, or can't be right.
    """
    if not isinstance(given, Mapping):
        raise ConfigurationError(SETTING, "expected a dictionary with USER_POOL_ID, CLIENT_ID, ...")
    rest = dict(cast("Mapping[str, Any]", given))
    vary = ("Authorization", "Cookie") if "TOKEN_FROM" in rest else ("Authorization",)
    options: dict[str, Any] = {"required": False}
    options |= {name: rest.pop(name.upper()) for name in GuardOptions.__annotations__ if name.upper() in rest}
    exempt = exempt_paths(rest.pop("EXEMPT", ()))
    resolver = _imported("USER_RESOLVER", rest.pop("USER_RESOLVER", None))
    if resolver is not None and not callable(resolver):
        raise ConfigurationError("USER_RESOLVER", "expected a function of a principal, or its dotted path")
    permission_map = _map("PERMISSION_MAP", rest.pop("PERMISSION_MAP", {}))
    names("PERMISSION_MAP", permission_map, SCOPE)
    if any("." not in permission for permissions in permission_map.values() for permission in permissions):
        raise ConfigurationError("PERMISSION_MAP", "expected permissions of the form 'app_label.codename'")
    group_map = _map("GROUP_MAP", rest.pop("GROUP_MAP", {}))
    guard = Guard(verifier=_verifier(rest), **cast("GuardOptions", options))
    return Configuration(
        guard=guard,
        exempt=exempt,
        resolver=resolver,
        permission_map=permission_map,
        group_map=group_map,
        vary=vary,
    )


@receiver(setting_changed)
def _forget(*, setting: str, **_: object) -> None:
    if setting == SETTING:
        _built.clear()


def _verifier(rest: dict[str, Any]) -> Verifier:
    if "VERIFIER" not in rest:
        return CognitoVerifier.from_mapping(rest)
    verifier: Verifier = _imported("VERIFIER", rest.pop("VERIFIER"))
    if rest:
        raise ConfigurationError("VERIFIER", f"excludes {', '.join(map(str, rest))}")
    return verifier


def _imported(setting: str, value: Any) -> Any:
    try:
        return import_string(value) if isinstance(value, str) else value
    except ImportError as cause:
        raise ConfigurationError(setting, f"can't be imported: {cause}") from cause


def _map(setting: str, given: object) -> Mapping[str, frozenset[str]]:
    if not isinstance(given, Mapping):
        raise ConfigurationError(setting, f"expected a dictionary, got {type(given).__name__}")
    found = cast("Mapping[str, str | Iterable[str]]", given)
    return {key: frozenset(names(setting, value)) for key, value in found.items()}
