"""
A user pool: from its id to the issuers it signs as and the places it publishes its keys.

Everything here is derived from configuration, never from a token.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from types import MappingProxyType
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from .errors import ConfigurationError
from .settings import several

IssuerFormat = Literal["original", "updated", "both"]

# The API's own pattern for ids: emulators use it to the full (`local_1qFA81RT`).
_USER_POOL_ID = re.compile(r"[\w-]+_[0-9a-zA-Z]+", re.ASCII)
_USER_POOL_ID_MAX = 55
_REGION = re.compile(r"[a-z]{2,4}(?:-[a-z]+)+-[0-9]+")
_ISSUER_PREFIXES: Mapping[IssuerFormat, tuple[str, ...]] = {
    "original": ("cognito-idp",),
    "updated": ("issuer-cognito-idp",),
    "both": ("cognito-idp", "issuer-cognito-idp"),
}
_OTHER_PARTITIONS = ("cn-", "us-gov-", "us-iso", "eu-iso", "eusc-")
_NOT_IN_URL = frozenset('@?# \\"')
_JWKS_PATH = "/.well-known/jwks.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserPool:
    """
    Hold what a user pool signs as and where it publishes its keys.

    Attributes:
        user_pool_id: for example `eu-west-1_AbCdEf123`.
        jwks_uris: every accepted issuer, byte for byte as in `iss`, and the JWKS URI that belongs to it.
            All issuers of one pool share one key namespace.
    """

    user_pool_id: str
    jwks_uris: Mapping[str, str] = field(hash=False)

    @classmethod
    def create(
        cls,
        user_pool_id: str,
        *,
        issuer_format: IssuerFormat = "both",
        replica_regions: str | Iterable[str] = (),
        issuer: str | Iterable[str] = (),
        jwks_uri: str | None = None,
        allow_insecure_http: bool = False,
        static_keys: bool = False,
    ) -> UserPool:
        """
        Derive issuers and JWKS URIs from the pool's id, or take the overrides.

        Args:
            user_pool_id: the pool's id; its Region part is read only where no `issuer` is given.
            issuer_format: pin one of Cognito's two issuer forms, or accept both.
            replica_regions: Regions the pool is replicated to; in the original form a replica signs with
                its own Region in the issuer.
            issuer: the exact issuer strings instead of derived ones (emulators).
            jwks_uri: one place for the keys of every issuer (emulators, FIPS, PrivateLink).
            allow_insecure_http: fetch keys over plain http, from loopback hosts only.
            static_keys: the keys are given, so that nothing is ever fetched from the issuer.

        Raises:
            ConfigurationError: for an id, Region, issuer or URI that cannot be right.
        """
        _check_user_pool_id(user_pool_id)
        given, replicas = several("issuer", issuer), several("replica_regions", replica_regions)
        if given:
            if issuer_format != "both" or replicas:
                raise ConfigurationError("issuer", "excludes issuer_format and replica_regions: it replaces both")
            for url in given:
                _check_issuer(url)
                if jwks_uri is None and not static_keys:
                    check_fetchable("issuer", url, allow_insecure_http)
            issuers = given
        else:
            issuers = _derived_issuers(user_pool_id, issuer_format, replicas)
        if jwks_uri is not None:
            check_fetchable("jwks_uri", jwks_uri, allow_insecure_http)
        uris = {url: jwks_uri or url.removesuffix("/") + _JWKS_PATH for url in issuers}
        return cls(user_pool_id=user_pool_id, jwks_uris=MappingProxyType(uris))

    @property
    def issuers(self) -> tuple[str, ...]:
        """All accepted issuers, the most usual first."""
        return tuple(self.jwks_uris)


def dns_suffix(region: str) -> str:
    """Return the partition's DNS suffix for a Region name; user pools exist in three partitions."""
    if region.startswith("eusc-"):
        return "amazonaws.eu"
    if region.startswith("cn-"):
        return "amazonaws.com.cn"
    return "amazonaws.com"


def check_fetchable(setting: str, url: str, allow_insecure_http: bool) -> None:
    """Raise ConfigurationError unless keys may be fetched there: https, or allowed http to a loopback host."""
    parts = _split(setting, url)
    if parts.scheme == "https":
        return
    if not is_loopback(parts.hostname or ""):
        raise ConfigurationError(setting, f"plain http is for loopback hosts only, got {url!r}")
    # Not whatever is true: the text "false" is.
    if allow_insecure_http is not True:
        raise ConfigurationError(setting, f"plain http needs allow_insecure_http=True, got {url!r}")


def is_loopback(host: str) -> bool:
    """Tell whether the host name or address literal is this machine's own; no name is resolved."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _check_user_pool_id(user_pool_id: str) -> None:
    if not isinstance(user_pool_id, str):
        raise ConfigurationError("user_pool_id", f"expected a string, got {type(user_pool_id).__name__}")
    if user_pool_id.startswith("arn:"):
        hint = "got an ARN: the id is its last part, behind `userpool/`"
    elif "://" in user_pool_id:
        hint = "got a URL: the id is its last path segment"
    elif ":" in user_pool_id:
        hint = "got an identity pool id: these tokens come from a user pool"
    elif user_pool_id != user_pool_id.strip():
        hint = "got one with white space around it"
    elif len(user_pool_id) > _USER_POOL_ID_MAX or not _USER_POOL_ID.fullmatch(user_pool_id):
        hint = f"got {user_pool_id!r}"
    else:
        return
    raise ConfigurationError("user_pool_id", f"expected an id like eu-west-1_AbCdEf123, {hint}")


def _derived_issuers(
    user_pool_id: str, issuer_format: IssuerFormat, replica_regions: tuple[str, ...]
) -> tuple[str, ...]:
    region = user_pool_id.rpartition("_")[0]
    if not _REGION.fullmatch(region):
        raise ConfigurationError(
            "user_pool_id", f"{user_pool_id!r} does not begin with a Region as AWS's ids do; an emulator needs issuer="
        )
    if not isinstance(issuer_format, str) or issuer_format not in _ISSUER_PREFIXES:
        raise ConfigurationError("issuer_format", f"expected 'original', 'updated' or 'both', got {issuer_format!r}")
    if replica_regions and issuer_format == "updated":
        raise ConfigurationError("replica_regions", "only the original issuer form names the replica's Region")
    for replica in replica_regions:
        if not _REGION.fullmatch(replica):
            raise ConfigurationError("replica_regions", f"expected Region names like eu-west-1, got {replica!r}")
        if _partition(replica) != _partition(region):
            raise ConfigurationError("replica_regions", f"expected one of the pool's own partition, got {replica!r}")
    hosts = [f"{prefix}.{region}" for prefix in _ISSUER_PREFIXES[issuer_format]]
    hosts += [f"cognito-idp.{replica}" for replica in replica_regions]
    return tuple(dict.fromkeys(f"https://{host}.{dns_suffix(region)}/{user_pool_id}" for host in hosts))


def _partition(region: str) -> str:
    """Return what Regions of one partition begin with; nothing for the usual one."""
    return next((prefix for prefix in _OTHER_PARTITIONS if region.startswith(prefix)), "")


def _check_issuer(url: str) -> None:
    host = _split("issuer", url).hostname or ""
    if host.endswith(".amazoncognito.com"):
        raise ConfigurationError(
            "issuer", "a user pool domain is never the issuer; leave issuer out, it follows from the user pool id"
        )
    if "/.well-known/" in url:
        raise ConfigurationError("issuer", "expected the issuer itself, got the URL of one of its well-known documents")


def _split(setting: str, url: str) -> SplitResult:
    # What is refused is not shown: a password or a key may be part of it.
    if not isinstance(url, str):
        raise ConfigurationError(setting, f"expected an absolute URL, got {type(url).__name__}")
    # urlsplit drops line breaks in silence; in a request line they would be an attack.
    if not url.isascii() or not url.isprintable() or not _NOT_IN_URL.isdisjoint(url):
        raise ConfigurationError(setting, "expected a URL without user, query, fragment and white space")
    try:
        parts = urlsplit(url)
        is_absolute = parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise ConfigurationError(setting, "expected an absolute URL, got one that can't be read") from None
    if not is_absolute:
        raise ConfigurationError(setting, "expected an absolute https URL")
    return parts
