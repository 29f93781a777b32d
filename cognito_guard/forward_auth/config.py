"""
A ForwardAuth from a file or a mapping, all of it checked before the first request.

What is wrong is told by its full name: `rules[2].methods`, `verifier.user_pool_id`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError
from ..metadata import ProtectedResource
from ..requires import Requires, RequiresOptions
from ..tokens.credentials import Extractor, cookie, header
from ..verifier import CognitoVerifier
from .identity import IdentityHeaders
from .rules import Rule
from .service import ForwardAuth
from .tables import any_table, list_of, named_below, table_of

_SETTINGS = ("proxy", "rules", "verifier", "headers", "token_from", "metadata", "realm", "problem_details")
# A predicate is code, which no file holds.
_DEMANDS = tuple(name for name in RequiresOptions.__annotations__ if name != "predicate")
_RULE = ("path", "methods", "public")
_METADATA = ("resource", "authorization_servers", "scopes", "name", "allow_insecure_http")


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
            `IdentityHeaders`; `token_from`, a list of `"header"` and of mappings `{"cookie": name}`; `metadata`, the
            arguments of `ProtectedResource`; `realm` and `problem_details`.
        environ: where the verifier's settings are (`COGNITO_USER_POOL_ID`, ...), if there is no `verifier`.

    Raises:
        ConfigurationError: an unknown key, or a value that can't be right; its `setting` is the full name.
    """
    settings = table_of("", settings, _SETTINGS, required=("proxy", "rules"))
    options: dict[str, Any] = {name: settings[name] for name in ("realm", "problem_details") if name in settings}
    options |= {name: read(settings[name]) for name, read in _READ.items() if name in settings}
    rules = [_rule(name, given) for name, given in list_of("rules", settings["rules"])]
    return ForwardAuth(_verifier(settings, environ), proxy=settings["proxy"], rules=rules, **options)


def _verifier(settings: Mapping[str, Any], environ: Mapping[str, str]) -> CognitoVerifier:
    if "verifier" not in settings:
        return CognitoVerifier.from_env(environ=environ)
    table = any_table("verifier", settings["verifier"])
    with named_below("verifier"):
        return CognitoVerifier.from_mapping(table)


def _headers(given: object) -> IdentityHeaders:
    table = table_of("headers", given, [field.name for field in fields(IdentityHeaders)])
    with named_below("headers"):
        return IdentityHeaders(**table)


def _metadata(given: object) -> ProtectedResource:
    table = table_of("metadata", given, _METADATA, required=("resource", "authorization_servers"))
    with named_below("metadata"):
        return ProtectedResource(**table)


def _token_from(given: object) -> list[Extractor]:
    return [_extractor(name, item) for name, item in list_of("token_from", given)]


def _extractor(name: str, given: object) -> Extractor:
    if given == "header":
        return header()
    if isinstance(given, str):
        raise ConfigurationError(name, "expected 'header' or a table with the name of a cookie")
    table = table_of(name, given, ("cookie",), required=("cookie",))
    with named_below(name):
        return cookie(table["cookie"])


_READ: Mapping[str, Callable[[object], object]] = {
    "headers": _headers,
    "token_from": _token_from,
    "metadata": _metadata,
}


def _rule(name: str, given: object) -> Rule:
    table = table_of(name, given, (*_RULE, *_DEMANDS), required=("path",))
    for key, value in table.items():
        if value in ([], {}):
            # It would demand nothing, or fit all methods, where the file names none.
            raise ConfigurationError(f"{name}.{key}", "expected at least one")
    if "claims" in table:
        any_table(f"{name}.claims", table["claims"])
    with named_below(name):
        requirement = Requires(**{key: value for key, value in table.items() if key in _DEMANDS})
        return Rule(requirement=requirement, **{key: value for key, value in table.items() if key in _RULE})
