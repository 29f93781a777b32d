"""The shapes of events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, cast

from ..errors import ConfigurationError

Event: TypeAlias = Mapping[str, Any]
"""What Lambda hands to a function: JSON, read."""


def mapping_of(value: object) -> Mapping[str, Any]:
    """
    Return a JSON object; an empty one for null, which stands for it in events.

    Raises:
        ConfigurationError: something else.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise not_for_us()
    return cast("Mapping[str, Any]", value)


def member(event: object, *path: str) -> Mapping[str, Any]:
    """Return an object inside an event, empty where it or one around it is absent; raise as `mapping_of` does."""
    found = mapping_of(event)
    for name in path:
        found = mapping_of(found.get(name))
    return found


def not_for_us() -> ConfigurationError:
    """Build the error for an event of another shape: the function is attached to the wrong thing."""
    return ConfigurationError("event", "expected one of API Gateway, AppSync, a function URL or a load balancer")
