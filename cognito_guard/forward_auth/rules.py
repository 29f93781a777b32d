"""
Which requests may pass: an ordered list of rules, of which the first that fits decides; none fits, nobody passes.

Two programs that read one path in two ways are how a request gets past a guard.  So a path that has more than one
reading (dot segments, encoded or doubled slashes, backslashes, path parameters, ...) is not read at all.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from unicodedata import is_normalized
from urllib.parse import unquote_to_bytes

from ..errors import ConfigurationError, Reason, RequirementNotMetError
from ..requires import Requirement, Requires
from ..settings import several

_VISIBLE = re.compile(r"/[!-~]*")
# Case decides: whoever turns `post` into `POST` behind us would see another request than we did.
_METHOD = re.compile(r"[A-Z][A-Z-]{0,31}")
# A second decoding, Windows, servlet containers and URL parsers make something else of these.
_AMBIGUOUS = frozenset("%\\;?#")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """
    Say who may send what where.

    Attributes:
        path: decoded; itself alone, or all below it where it ends in "/".
        methods: one or several; all, where none is named.  GET includes HEAD.
        requirement: what the caller must meet; by default, any verified caller passes.
        public: True lets everybody pass, with whatever token or none: it is not looked at.

    Raises:
        ConfigurationError: a path with more than one reading, something that is no method, or a public rule that
            requires something.
    """

    path: str
    methods: Collection[str] = frozenset()
    requirement: Requirement = Requires()  # noqa: RUF009  (frozen)
    public: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.path, str) or not _is_plain(self.path):
            raise ConfigurationError(
                "path",
                "expected a decoded path without dot segments, doubled slashes, % ; ? # \\, in Unicode's form NFKC, "
                f"got {self.path!r}",
            )
        methods = set(several("methods", self.methods))
        for method in methods:
            if not _METHOD.fullmatch(method):
                raise ConfigurationError("methods", f"expected names in upper case, got {method!r}")
        object.__setattr__(self, "methods", frozenset(methods | ({"HEAD"} if "GET" in methods else set())))
        if not isinstance(self.requirement, Requirement):
            raise ConfigurationError("requirement", "expected a Requires, or several composed")
        if not isinstance(self.public, bool):
            raise ConfigurationError("public", f"expected true or false, got {type(self.public).__name__}")
        if self.public and self.requirement != Requires():
            raise ConfigurationError("public", "excludes requirements: no token is looked at")

    def fits(self, method: str, path: str) -> bool:
        """Tell whether the rule decides about a request."""
        return (not self.methods or method in self.methods) and self._includes(path)

    def covers(self, other: Rule) -> bool:
        """Tell whether the other rule, standing behind this one, decides about nothing."""
        mine, others = frozenset(self.methods), frozenset(other.methods)
        return self._includes(other.path) and (not mine or (bool(others) and mine >= others))

    def _includes(self, path: str) -> bool:
        return path.startswith(self.path) if self.path.endswith("/") else path == self.path


def check_rules(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """
    Return rules as they are, once they make sense together.

    Raises:
        ConfigurationError: no rule at all, or one that an earlier one leaves nothing to decide.
    """
    checked = tuple(rules)
    if not checked:
        raise ConfigurationError("rules", "expected at least one: what no rule fits is refused")
    for place, rule in enumerate(checked):
        if not isinstance(rule, Rule):
            raise ConfigurationError(f"rules[{place}]", f"expected a Rule, got {type(rule).__name__}")
        covering = next((before for before, earlier in enumerate(checked[:place]) if earlier.covers(rule)), None)
        if covering is not None:
            raise ConfigurationError(f"rules[{place}]", f"is never reached: rules[{covering}] fits all that it fits")
    return checked


def rule_for(rules: Iterable[Rule], method: str, target: str) -> Rule:
    """
    Return the rule that decides about a request.

    Args:
        rules: in their order.
        method: the request's method.
        target: its path, encoded as it was sent, with the query if there is one.

    Raises:
        RequirementNotMetError: the method or the path has more than one reading, or no rule fits.
    """
    path = path_of(target)
    if path is None:
        raise not_admitted("the path has more than one reading")
    if not _METHOD.fullmatch(method):
        raise not_admitted("the method has more than one reading")
    for rule in rules:
        if rule.fits(method, path):
            return rule
    raise not_admitted("no rule fits the method and path")


def path_of(target: str) -> str | None:
    """Return the path of a request target, decoded; None where it has more than one reading."""
    raw = target.partition("?")[0]
    if not _VISIBLE.fullmatch(raw) or "%2f" in raw.lower():
        return None
    try:
        path = unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        return None
    return path if _is_plain(path) else None


def not_admitted(problem: str) -> RequirementNotMetError:
    """Build the refusal of a request that no rule admits, whoever sends it."""
    return RequirementNotMetError(Reason.NOT_ADMITTED, problem)


def _is_plain(path: str) -> bool:
    segments = path.split("/")
    if segments[0] or len(segments) == 1 or "" in segments[1:-1]:
        return False
    # Windows drops dots and blanks at the end of a name; "." and ".." are such names too.
    is_stable = all(segment == segment.rstrip(". ").lstrip(" ") for segment in segments)
    # To whoever normalizes names, or knows fewer characters, a full-width slash is a slash.
    is_normal = path.isascii() or is_normalized("NFKC", path)
    return is_stable and is_normal and path.isprintable() and _AMBIGUOUS.isdisjoint(path)
