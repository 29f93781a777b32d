"""Tables and lists as a file has them: what they hold, and mistakes in them by their full names."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, cast

from ..errors import ConfigurationError


def table_of(name: str, given: object, known: Collection[str], required: Collection[str] = ()) -> dict[str, Any]:
    """
    Return a table of which no key is unknown and none is missing.

    Args:
        name: the full name of its place; empty for the whole of a file.
        given: what stands there.
        known: the keys that it may have.
        required: the keys that it must have.

    Raises:
        ConfigurationError: something else stands there.
    """
    table = any_table(name, given)
    prefix = f"{name}." if name else ""
    for key in table:
        if key not in known:
            close = get_close_matches(str(key), known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
            raise ConfigurationError(f"{prefix}{key}", f"no such setting; {hint}")
    for key in required:
        if key not in table:
            raise ConfigurationError(f"{prefix}{key}", "is required")
    return table


def any_table(name: str, given: object) -> dict[str, Any]:
    """Return a table, whatever its keys; raise ConfigurationError for anything else."""
    if not isinstance(given, Mapping):
        raise ConfigurationError(name, f"expected a table, got {type(given).__name__}")
    return dict(cast("Mapping[str, Any]", given))


def list_of(name: str, given: object) -> list[tuple[str, object]]:
    """Return the items of a list with their full names; raise ConfigurationError for anything else."""
    if not isinstance(given, list):
        raise ConfigurationError(name, f"expected a list, got {type(given).__name__}")
    return [(f"{name}[{place}]", item) for place, item in enumerate(cast("list[object]", given))]


@contextmanager
def named_below(name: str) -> Generator[None]:
    """Have mistakes told by the full name of their place."""
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}.{error.setting}", error.problem) from error
