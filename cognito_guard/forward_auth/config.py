"""
A ForwardAuth from a file or a mapping, all of it checked before the first request.

What is wrong is told by its full name: `rules[2].methods`, `verifier.user_pool_id`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

from ..errors import ConfigurationError
from ..requires import Requires, RequiresOptions
from ..verifier import CognitoVerifier
from .identity import IdentityHeaders
from .rules import Rule
from .service import ForwardAuth

_SETTINGS = ("proxy", "rules", "verifier", "headers", "realm", "problem_details")
# A predicate is code, which no file holds.
_DEMANDS = tuple(name for name in RequiresOptions.__annotations__ if name != "predicate")
_RULE = ("path", "methods", "public")


def from_file(path: str | Path, *, environ: Mapping[str, str] = os.environ) -> ForwardAuth:
    """
    Configure from a TOML file, with the tables and keys of `from_mapping`.

    Args:
        path: of the file.
        environ: where the verifier's settings are, if the file has no table `verifier`.

    Raises:
        ConfigurationError: a file that can't be read or is no TOML, or as `from_mapping` does.
    """
    try:
        with Path(path).open("rb") as file:
            settings = tomllib.load(file)
    except OSError as cause:
        raise ConfigurationError("config", f"can't be read: {cause.strerror}") from cause
    except ValueError as cause:
        raise ConfigurationError("config", f"is no TOML: {cause}") from cause
    return from_mapping(settings, environ=environ)


def from_mapping(settings: Mapping[str, Any], *, environ: Mapping[str, str] = os.environ) -> ForwardAuth:
    """
    Configure from a mapping, as a TOML file holds it.

    Args:
        settings: `proxy`, and `rules`: a list of mappings with `path`, `methods`, `public` and the arguments of
            `Requires`.  Optional are `verifier`, the arguments of `CognitoVerifier`; `headers`, the fields of
            `IdentityHeaders`; `realm` and `problem_details`.
        environ: where the verifier's settings are (`COGNITO_USER_POOL_ID`, ...), if there is no `verifier`.

    Raises:
        ConfigurationError: an unknown key, or a value that can't be right; its `setting` is the full name.
    """
    _check_keys("", settings, _SETTINGS)
    for name in ("proxy", "rules"):
        if name not in settings:
            raise ConfigurationError(name, "is required")
    plain = {name: settings[name] for name in ("realm", "problem_details") if name in settings}
    return ForwardAuth(
        _verifier(settings, environ),
        proxy=settings["proxy"],
        rules=[_rule(f"rules[{place}]", given) for place, given in enumerate(_list("rules", settings["rules"]))],
        headers=_headers(settings.get("headers", {})),
        **plain,
    )


def _verifier(settings: Mapping[str, Any], environ: Mapping[str, str]) -> CognitoVerifier:
    if "verifier" not in settings:
        return CognitoVerifier.from_env(environ=environ)
    table = _table("verifier", settings["verifier"])
    with _named_below("verifier"):
        return CognitoVerifier.from_mapping(table)


def _headers(given: object) -> IdentityHeaders:
    table = _table("headers", given)
    _check_keys("headers.", table, [field.name for field in fields(IdentityHeaders)])
    with _named_below("headers"):
        return IdentityHeaders(**table)


def _rule(name: str, given: object) -> Rule:
    table = _table(name, given)
    _check_keys(f"{name}.", table, (*_RULE, *_DEMANDS))
    if "path" not in table:
        raise ConfigurationError(f"{name}.path", "is required")
    if "claims" in table:
        _table(f"{name}.claims", table["claims"])
    with _named_below(name):
        requirement = Requires(**{key: value for key, value in table.items() if key in _DEMANDS})
        return Rule(requirement=requirement, **{key: value for key, value in table.items() if key in _RULE})


@contextmanager
def _named_below(name: str) -> Generator[None]:
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}.{error.setting}", error.problem) from error


def _table(name: str, given: object) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise ConfigurationError(name, f"expected a table, got {type(given).__name__}")
    return cast("dict[str, Any]", given)


def _list(name: str, given: object) -> list[object]:
    if not isinstance(given, list):
        raise ConfigurationError(name, f"expected a list of tables, got {type(given).__name__}")
    return cast("list[object]", given)


def _check_keys(where: str, given: Iterable[str], known: Iterable[str]) -> None:
    names = list(known)
    for key in given:
        if key not in names:
            close = get_close_matches(str(key), names, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(names)}"
            raise ConfigurationError(f"{where}{key}", f"no such setting; {hint}")
