"""
Settings as people write them (one or several, a mapping, environment variables) into arguments.

Only the forms are judged here; what a value may be is judged where it is used.
"""

from __future__ import annotations

import math
import re
from collections.abc import Container, Generator, Iterable, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, cast

from .errors import ConfigurationError

MAX_LEEWAY = 300.0
"""Seconds; more would quietly become a way to turn expiry off."""

_ENV_PREFIX = "COGNITO_"
# Others have variables of that prefix too: COGNITO_USER_POOL_ARN and COGNITO_DOMAIN are no mistakes.
_MISSPELT = 0.91
_PLAIN = ("user_pool_id", "issuer_format", "jwks_uri", "resource_binding")
_SEVERAL = ("client_id", "token_use", "resource", "required_scopes", "replica_regions", "issuer")
_SECONDS = ("leeway", "max_token_age", "max_token_lifetime")
_WHOLE = ("max_token_bytes", "token_cache_size")
_FLAGS = ("allow_insecure_http",)
_TEXTS = (*_PLAIN, *_SEVERAL, *_SECONDS, *_WHOLE, *_FLAGS)
# What only code can say: documents, objects, functions.
_OBJECTS = ("implies", "jwks", "revocations", "schedule", "fetch", "clock", "timer")
_NAMES = (*_TEXTS, *_OBJECTS)
_REQUIRED = ("user_pool_id", "client_id")
_WHOLE_NUMBER = re.compile(r"[0-9]{1,18}")
_FLAG_WORDS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def several(setting: str, given: Any) -> tuple[Any, ...]:
    """
    Return one string or several as a tuple.

    Raises:
        ConfigurationError: something that is no string, or an empty one.
    """
    one: Any = given
    is_one = isinstance(given, str) or not isinstance(given, Iterable)
    values: tuple[Any, ...] = (one,) if is_one else tuple(cast("Iterable[Any]", given))
    for value in values:
        if not isinstance(value, str):
            raise ConfigurationError(setting, f"expected a string or several, got {type(value).__name__}")
        if not value or value != value.strip():
            raise ConfigurationError(setting, f"expected non-empty strings without white space around, got {value!r}")
    return values


def check_seconds(setting: str, value: object, *, at_most: float = math.inf, above_zero: bool = False) -> None:
    """
    Check a number of seconds.

    Raises:
        ConfigurationError: it is no finite int or float, or out of bounds.
    """
    lower = "more than 0" if above_zero else "0 or more"
    bound = f"{'above' if above_zero else 'from'} 0 to {at_most:g}" if at_most < math.inf else lower
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigurationError(setting, f"expected a number of seconds, {bound}, got {type(value).__name__}")
    try:
        seconds = float(value)
    except OverflowError:
        seconds = math.inf
    # Also where it is not a number: every comparison with NaN is false.
    if not (seconds > 0 if above_zero else seconds >= 0) or not seconds <= at_most or seconds == math.inf:
        raise ConfigurationError(setting, f"expected a finite number of seconds, {bound}")


def check_leeway(leeway: object) -> None:
    """
    Check how many seconds two clocks may differ.

    Raises:
        ConfigurationError: as `check_seconds` does.
    """
    check_seconds("leeway", leeway, at_most=MAX_LEEWAY)


def arguments_from_mapping(settings: Mapping[str, Any], **given: Any) -> dict[str, Any]:
    """
    Return a mapping's entries as arguments.

    Args:
        settings: names, in any case, to values.
        given: arguments that win over them.

    Raises:
        ConfigurationError: a key that no setting has or that stands twice, or a required one missing.
    """
    arguments: dict[str, Any] = {}
    for name, value in settings.items():
        argument = str(name).lower()
        if argument not in _NAMES:
            close = get_close_matches(argument, _NAMES, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(_NAMES)}"
            raise ConfigurationError(str(name), f"no such setting; {hint}")
        if argument in arguments:
            raise ConfigurationError(name, "stands there twice, in two spellings")
        arguments[argument] = value
    arguments |= given
    for name in _REQUIRED:
        if name not in arguments:
            raise ConfigurationError(name, "is required")
    return arguments


def arguments_from_env(environ: Mapping[str, str], **given: Any) -> dict[str, Any]:
    """
    Return the environment's settings as arguments; an empty variable counts as unset.

    Args:
        environ: variables to texts.
        given: arguments that win over them.

    Raises:
        ConfigurationError: a value of the wrong form, a required variable missing, or one whose name is nearly that
            of a setting; named as the variable.
    """
    arguments: dict[str, Any] = {}
    variables = {_ENV_PREFIX + name.upper(): name for name in _TEXTS}
    for variable, text in environ.items():
        if variable in variables:
            if value := text.strip():
                arguments[variables[variable]] = _value(variable, variables[variable], value)
        elif variable.startswith(_ENV_PREFIX):
            _check_not_misspelt(variable, [known for known in variables if known not in environ])
    arguments |= given
    for name in _REQUIRED:
        if name not in arguments:
            raise ConfigurationError(_ENV_PREFIX + name.upper(), "is required, and not in the environment")
    return arguments


@contextmanager
def named_as_variables(given: Container[str]) -> Generator[None]:
    """Let a mistake be named as the variable that it stands in, unless the setting was given as an argument."""
    try:
        yield
    except ConfigurationError as error:
        if error.setting not in _TEXTS or error.setting in given:
            raise
        raise ConfigurationError(_ENV_PREFIX + error.setting.upper(), error.problem) from error


def _check_not_misspelt(variable: str, unset: list[str]) -> None:
    """A check whose setting is misspelt would be left out in silence."""
    if meant := get_close_matches(variable, unset, 1, _MISSPELT):
        raise ConfigurationError(variable, f"no such setting; did you mean {meant[0]}?")


def _value(variable: str, name: str, text: str) -> Any:
    if name in _SEVERAL:
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if not parts:
            raise ConfigurationError(variable, "expected at least one")
        return parts
    if name in _SECONDS:
        try:
            return float(text)
        except ValueError as cause:
            raise ConfigurationError(variable, "expected a number of seconds") from cause
    if name in _WHOLE:
        # Digits alone: int() takes "1_000" too, and digits of every script.
        if not _WHOLE_NUMBER.fullmatch(text):
            raise ConfigurationError(variable, "expected a whole number")
        return int(text)
    if name in _FLAGS:
        if text.lower() not in _FLAG_WORDS:
            raise ConfigurationError(variable, f"expected true or false (or {', '.join(_FLAG_WORDS)})")
        return _FLAG_WORDS[text.lower()]
    return text
