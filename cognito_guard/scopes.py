"""
Scopes as they are written, and the resource server that declares them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from .errors import ConfigurationError
from .settings import several

# RFC 6749 §3.3 for a scope; Cognito's own grammar for a resource server's identifier and scope names.
SCOPE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")
_SCOPE_NAME = re.compile(r"[\x21\x23-\x2E\x30-\x5B\x5D-\x7E]+")


class ResourceServer(Mapping[str, str]):
    """
    Declare a resource server's scopes once, so that a typo is a KeyError at import and not a 403 in production.

    A mapping from the short name to the full scope: `ResourceServer("orders", {"read": "Read orders"})["read"]`
    is "orders/read".
    """

    def __init__(self, identifier: str, scopes: Mapping[str, str]) -> None:
        """
        Declare the scopes as the user pool has them.

        Args:
            identifier: the resource server's identifier, for example "orders" or "https://api.example.com".
            scopes: short names to descriptions, as in the pool.

        Raises:
            ConfigurationError: a name that Cognito's grammar does not allow, or a description that is no text.
        """
        if not isinstance(identifier, str) or not SCOPE.fullmatch(identifier):
            raise ConfigurationError("identifier", f"expected printable ASCII without white space, got {identifier!r}")
        if not isinstance(scopes, Mapping):
            raise ConfigurationError("scopes", "expected short names mapped to descriptions")
        for name in scopes:
            if not isinstance(name, str) or not _SCOPE_NAME.fullmatch(name):
                raise ConfigurationError("scopes", f"expected short names without '/' and white space, got {name!r}")
        check_descriptions(scopes)
        self.identifier = identifier
        self.descriptions: Mapping[str, str] = MappingProxyType(dict(scopes))

    @property
    def scopes(self) -> tuple[str, ...]:
        """All full scopes, in the order they were declared."""
        return tuple(self.values())

    def __getitem__(self, name: str) -> str:
        if name not in self.descriptions:
            raise KeyError(f"{name!r} is no scope of the resource server {self.identifier!r}")
        return f"{self.identifier}/{name}"

    def __iter__(self) -> Iterator[str]:
        return iter(self.descriptions)

    def __len__(self) -> int:
        return len(self.descriptions)

    def __repr__(self) -> str:
        return f"ResourceServer({self.identifier!r}, {list(self)})"


def check_descriptions(scopes: Mapping[str, str]) -> None:
    """Raise ConfigurationError unless every scope is described in words."""
    for description in scopes.values():
        if not isinstance(description, str):
            raise ConfigurationError("scopes", f"expected descriptions in words, got {type(description).__name__}")


def names(setting: str, given: Any, grammar: re.Pattern[str] | None = None) -> tuple[str, ...]:
    """
    Return one name or several as a tuple, without repetition.

    Raises:
        ConfigurationError: no string, an empty one, one that the grammar does not allow, or a resource server, which
            is no name.
    """
    if isinstance(given, ResourceServer):
        raise ConfigurationError(setting, "expected no resource server")
    found = several(setting, given)
    for name in found:
        if grammar is not None and not grammar.fullmatch(name):
            raise ConfigurationError(setting, f"expected ASCII without white space, quote and backslash, got {name!r}")
    return tuple(dict.fromkeys(found))


def scope_names(setting: str, given: Any) -> tuple[str, ...]:
    """
    Return one scope or several as `names` does; a resource server stands for all of its own.

    Raises:
        ConfigurationError: as `names` does, or a resource server that declares none: it would demand nothing.
    """
    if not isinstance(given, ResourceServer):
        return names(setting, given, SCOPE)
    if not given:
        raise ConfigurationError(setting, "expected a resource server that declares scopes")
    return given.scopes


def closure(implies: Mapping[str, Iterable[str]]) -> Mapping[str, frozenset[str]]:
    """
    Follow implications of scopes to their end, so that no request has to.

    Raises:
        ConfigurationError: something that is no mapping of scopes to scopes, or a text that is no scope.
    """
    if not isinstance(implies, Mapping):
        raise ConfigurationError("implies", "expected scopes mapped to the scopes they imply")
    scopes = names("implies", tuple(implies), SCOPE)
    direct = {scope: frozenset(scope_names("implies", implies[scope])) for scope in scopes}
    closed: dict[str, frozenset[str]] = {}
    for scope in direct:
        reached: set[str] = set()
        ahead = {scope}
        while ahead:
            reached |= ahead
            ahead = {implied for one in ahead for implied in direct.get(one, ())} - reached
        closed[scope] = frozenset(reached)
    return closed
