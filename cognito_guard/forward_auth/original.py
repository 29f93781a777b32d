"""
Which request a proxy asks about: what it says of the method and the path, read in that proxy's way alone.

A client can send any header.  Those of one way are set by the proxy over whatever the client sent; those of the
others are the client's word, and are never looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args

from ..errors import ConfigurationError
from ..tokens.bearer import header_values
from .rules import not_admitted

Proxy: TypeAlias = Literal["nginx", "caddy", "traefik", "envoy", "haproxy"]
"""Who asks, and thus how the original request is told."""

VERIFY = "/-/verify"
"""The path at which a proxy asks; Envoy puts the original path behind it."""
HEALTH = "/-/health"
"""The path that answers as long as the process is alive."""
READY = "/-/ready"
"""The path that answers whether tokens can be judged: whether usable keys are at hand."""

_ORIGINAL = ("x-original-method", "x-original-uri")
_FORWARDED = ("x-forwarded-method", "x-forwarded-uri")
_TOLD_IN: Mapping[Proxy, tuple[str, str]] = {
    "nginx": _ORIGINAL,
    "haproxy": _ORIGINAL,
    "caddy": _FORWARDED,
    "traefik": _FORWARDED,
}


def check_proxy(proxy: Proxy) -> None:
    """Raise ConfigurationError unless it is one of those that are known."""
    if proxy not in get_args(Proxy):
        raise ConfigurationError("proxy", f"expected one of {', '.join(get_args(Proxy))}, got {proxy!r}")


def requested_path(scope: Mapping[str, Any]) -> str:
    """Return the path of the proxy's own request as it was sent, never decoded; empty where the server keeps none."""
    raw: bytes = scope.get("raw_path") or b""
    return raw.decode("latin-1")


def is_verification(proxy: Proxy, path: str) -> bool:
    """Tell whether the proxy's own request asks for a verdict."""
    return path.startswith(f"{VERIFY}/") if proxy == "envoy" else path == VERIFY


def original_request(proxy: Proxy, scope: Mapping[str, Any]) -> tuple[str, str]:
    """
    Return the method and the target of the request that is asked about.

    Raises:
        RequirementNotMetError: the proxy does not tell them, or tells them more than once.
    """
    if proxy not in _TOLD_IN:
        return scope["method"], requested_path(scope).removeprefix(VERIFY)
    told = [header_values(scope["headers"], name) for name in _TOLD_IN[proxy]]
    if any(len(values) != 1 for values in told):
        raise not_admitted("the proxy does not tell the original method and path exactly once")
    return told[0][0], told[1][0]
