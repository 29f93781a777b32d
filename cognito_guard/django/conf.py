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
_OPTIONS = {name.upper(): name for name in GuardOptions.__annotations__}
_OURS = (*_OPTIONS, "VERIFIER", "EXEMPT", "USER_RESOLVER", "PERMISSION_MAP", "GROUP_MAP")

Resolver: TypeAlias = Callable[[Principal], Any]
"""From a verified caller to a user of the application, or None where it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """
    Hold what `COGNITO_GUARD` says.

    Attributes:
        guard: judges requests.
        optional: each view says for itself whether it wants a caller (no `REQUIRED`).
        exempt: paths that need no token (`EXEMPT`).
        resolver: finds the user of a caller (`USER_RESOLVER`), or None for the stateless CognitoUser.
        permission_map: the permissions that a scope stands for (`PERMISSION_MAP`).
        group_map: the Django groups that a Cognito group stands for (`GROUP_MAP`).
        vary: the request headers that an answer depends on.
    """

    guard: Guard
    optional: bool
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
        given: the settings dictionary, its keys in any case.  `VERIFIER` (a verifier, or the dotted path of one)
            stands in for the settings of the verifier: `USER_POOL_ID`, `CLIENT_ID` and so on.

    Raises:
        ConfigurationError: a setting that is unknown, missing, or can't be right.
    """
    if not isinstance(given, Mapping):
        raise ConfigurationError(SETTING, "expected a dictionary with USER_POOL_ID, CLIENT_ID, ...")
    rest = _by_key(cast("Mapping[object, Any]", given))
    vary = ("Authorization", "Cookie") if "TOKEN_FROM" in rest else ("Authorization",)
    options = {name: rest.pop(key) for key, name in _OPTIONS.items() if key in rest}
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
        optional="required" not in options,
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


def _by_key(given: Mapping[object, Any]) -> dict[str, Any]:
    """Return settings by their keys: ours in capitals, and the verifier's as they are, to be named so in errors."""
    found: dict[str, Any] = {}
    for spelt, value in given.items():
        key = str(spelt).upper() if str(spelt).upper() in _OURS else str(spelt)
        if key in found:
            raise ConfigurationError(str(spelt), "stands there twice, in two spellings")
        found[key] = value
    return found


def _verifier(rest: dict[str, Any]) -> Verifier:
    if "VERIFIER" not in rest:
        return CognitoVerifier.from_mapping(rest)
    verifier: Verifier = _imported("VERIFIER", rest.pop("VERIFIER"))
    if rest:
        raise ConfigurationError("VERIFIER", f"excludes {', '.join(rest)}")
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
