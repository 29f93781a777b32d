"""
Whom a fake user pool knows: its app clients, its users, and the scopes that its resource servers declare.

Everything is checked when it is declared, and nothing changes afterwards.
"""

from __future__ import annotations

import hmac
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from types import MappingProxyType
from typing import Literal, TypeAlias, get_args
from urllib.parse import urlsplit

from ..errors import ConfigurationError
from ..scopes import ResourceServer
from .claims import ADMIN_SCOPE, OPENID_SCOPES, Absent, names

Flow: TypeAlias = Literal["code", "implicit"]

_CLIENT_ID = re.compile(r"[\w+]{1,128}", re.ASCII)
_CLIENT_SECRET = re.compile(r"[\w+]{24,64}", re.ASCII)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*", re.IGNORECASE)
_URL = re.compile(r"[\x21-\x7E]+")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_USERNAME_MAX = 128  # characters
_ID_LENGTH = 26
_ID_CHARS = "0123456789abcdefghijklmnopqrstuvwxyz"
_client_numbers = itertools.count()


def _new_client_id() -> str:
    number = int.from_bytes(sha256(f"app client {next(_client_numbers)}".encode()).digest())
    return "".join(_ID_CHARS[number // 36**place % 36] for place in range(_ID_LENGTH))


@dataclass(frozen=True, slots=True, kw_only=True)
class AppClient:
    """
    Hold an app client of a fake user pool.

    Attributes:
        client_id: by default one of Cognito's look that no other app client of this process has.
        client_secret: 24 to 64 letters, digits, `_` or `+`; None makes a public client.
        scopes: the custom scopes that the client may be granted, by its own credentials or a user's sign-in.
        callback_urls: where a sign-in may lead back to, compared whole.  Plain http is for loopback only.
        logout_urls: where a sign-out may lead to, compared whole.
        flows: how users may sign in for this client: by authorization code, by the implicit grant.
        rotates_refresh_tokens: whether each refresh replaces the refresh token.

    Raises:
        ConfigurationError: an ID, a secret, a URL or a flow that Cognito would not take.
    """

    client_id: str = field(default_factory=_new_client_id)
    client_secret: str | None = field(default=None, repr=False)
    scopes: tuple[str, ...] = ()
    callback_urls: Sequence[str] = ()
    logout_urls: Sequence[str] = ()
    flows: Sequence[Flow] = ("code", "implicit")
    rotates_refresh_tokens: bool = False

    def __post_init__(self) -> None:
        if not _CLIENT_ID.fullmatch(self.client_id):
            raise ConfigurationError("client_id", f"expected letters, digits, _ and + only, got {self.client_id!r}")
        if self.client_secret is not None and not _CLIENT_SECRET.fullmatch(self.client_secret):
            raise ConfigurationError("client_secret", "expected 24 to 64 letters, digits, _ or +")
        for setting in ("scopes", "callback_urls", "logout_urls", "flows"):
            object.__setattr__(self, setting, names(setting, getattr(self, setting)))
        for setting in ("callback_urls", "logout_urls"):
            _check_urls(setting, getattr(self, setting))
        if not set(self.flows) <= set(get_args(Flow)):
            raise ConfigurationError("flows", f"expected 'code', 'implicit' or both, got {self.flows!r}")

    @property
    def user_scopes(self) -> tuple[str, ...]:
        """The scopes that a user's sign-in may grant: the client's own and those that every user pool has."""
        return (*OPENID_SCOPES, ADMIN_SCOPE, *self.scopes)

    def is_secret(self, client_secret: str | None) -> bool:
        """Tell whether this is the client's secret; a public client has none and must send none."""
        return _same(client_secret or "", self.client_secret or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolUser:
    """
    Hold a user of a fake user pool; the user's name is the key of `FakeUserPool(users={"jane": PoolUser()})`.

    Attributes:
        password: what the user signs in with at the login page; with None, one click is enough.
        groups: the user's groups.
        roles: the IAM roles of those groups, as ARNs; they stand in ID tokens alone.
        preferred_role: the role of the group that comes first; None where no single one does.
        email: the user's address, verified; by default at example.com, and with `ABSENT` the user has none.
        attributes: custom attributes without their prefix.

    Raises:
        ConfigurationError: one string for several groups or roles, or a preferred role that is none of the roles.
    """

    password: str | None = field(default=None, repr=False)
    groups: Sequence[str] = ()
    roles: Sequence[str] = ()
    preferred_role: str | None = None
    email: str | Absent | None = None
    attributes: Mapping[str, object] = field(default_factory=dict[str, object])

    def __post_init__(self) -> None:
        for setting in ("groups", "roles"):
            object.__setattr__(self, setting, names(setting, getattr(self, setting)))
        if self.preferred_role is not None and self.preferred_role not in self.roles:
            raise ConfigurationError("preferred_role", f"expected one of the roles, got {self.preferred_role!r}")
        object.__setattr__(self, "attributes", MappingProxyType(dict(self.attributes)))

    def is_password(self, password: str) -> bool:
        """Tell whether the user signs in with this password; who has none signs in with any."""
        return self.password is None or _same(password, self.password)


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """
    Hold whom a user pool knows.

    Attributes:
        client_id: the app client that tokens are issued to by default.
        clients: all app clients by ID.
        users: all users by name.
        scopes: the scopes that resource servers declare.
    """

    client_id: str
    clients: Mapping[str, AppClient]
    users: Mapping[str, PoolUser]
    scopes: tuple[str, ...]

    @classmethod
    def create(
        cls,
        *,
        client_id: str,
        clients: Sequence[AppClient],
        callback_urls: Sequence[str],
        logout_urls: Sequence[str],
        users: Mapping[str, PoolUser],
        resource_servers: ResourceServer | Iterable[ResourceServer],
    ) -> Directory:
        """
        Judge the arguments of `FakeUserPool` together.

        Raises:
            ConfigurationError: two clients of one ID, a client with a scope that nobody declares, URLs for a default
                client that `clients` describes, or a user name that Cognito would not take.
        """
        scopes = _declared(resource_servers)
        by_id = _by_id(clients, scopes)
        if client_id not in by_id:
            default = AppClient(
                client_id=client_id,
                scopes=scopes,
                callback_urls=names("callback_urls", callback_urls),
                logout_urls=names("logout_urls", logout_urls),
            )
            by_id = {client_id: default, **by_id}
        elif callback_urls or logout_urls:
            raise ConfigurationError("callback_urls", "expected the URLs at the AppClient that describes the client")
        _check_usernames(users)
        return cls(
            client_id=client_id,
            clients=MappingProxyType(by_id),
            users=MappingProxyType(dict(users)),
            scopes=scopes,
        )


def _declared(resource_servers: ResourceServer | Iterable[ResourceServer]) -> tuple[str, ...]:
    if isinstance(resource_servers, ResourceServer):
        return resource_servers.scopes
    return tuple(dict.fromkeys(scope for server in resource_servers for scope in server.scopes))


def _by_id(clients: Sequence[AppClient], declared: tuple[str, ...]) -> dict[str, AppClient]:
    by_id = {client.client_id: client for client in clients}
    if len(by_id) != len(clients):
        raise ConfigurationError("clients", "expected a different client_id for each")
    for client in clients:
        undeclared = sorted(set(client.scopes) - set(declared))
        if undeclared:
            raise ConfigurationError("clients", f"expected scopes of the resource_servers, got {undeclared}")
    return by_id


def _check_usernames(users: Mapping[str, PoolUser]) -> None:
    for username in users:
        blank = any(character.isspace() or not character.isprintable() for character in username)
        if not username or len(username) > _USERNAME_MAX or blank:
            raise ConfigurationError("users", f"expected names without white space, got {username!r}")


def _check_urls(setting: str, urls: Iterable[str]) -> None:
    for url in urls:
        if not is_absolute_url(url):
            raise ConfigurationError(
                setting, f"expected absolute URLs without a fragment, http on loopback only, got {url!r}"
            )


def is_absolute_url(url: str) -> bool:
    """Tell whether this is what Cognito takes for a callback URL or a resource: absolute, without a fragment."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    if not (_URL.fullmatch(url) and _SCHEME.fullmatch(parts.scheme)) or "#" in url:
        return False
    if parts.scheme == "http":
        return host in _LOOPBACK
    return bool(host) or parts.scheme != "https"


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
