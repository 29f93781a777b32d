"""
The caller as header values, for an application that reads no tokens.

Every header is always there, empty where there is nothing to say: a proxy that copies it replaces whatever the
client sent under that name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from string import ascii_letters, digits, punctuation
from urllib.parse import quote

from ..errors import ConfigurationError
from ..principal import Principal

# Visible ASCII but for what encodes the rest.
_AS_IT_IS = (ascii_letters + digits + punctuation).replace("%", "")
# Other characters are all one to CGI, WSGI and PHP: X_A, X.A and X-A.
_NAME = re.compile(r"[A-Za-z0-9-]+")
# Under these names a proxy, or HTTP itself, would read something else.
_TAKEN = re.compile(
    r"authorization|cache-control|connection|cookie|date|expires|host|keep-alive|location|retry-after|server|set-cookie|"
    r"te|trailer|transfer-encoding|upgrade|vary|via|www-authenticate|"
    r"(?:access-control|content|proxy|x-accel|x-original)-.*|x-forwarded-(?:for|host|method|port|proto|uri)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityHeaders:
    """
    Name the headers that tell the application who calls.

    Values are percent-encoded (RFC 3986 §2.1, UTF-8): all but visible ASCII, and the percent sign itself.  Several
    values are separated by spaces.  What there is not (the user name of a machine, anything of an anonymous caller)
    is empty.

    Attributes:
        subject: the `sub` claim, unique in its user pool.
        user_pool_id: the user pool that vouches for the caller.
        username: the user's name in the pool.
        client_id: the app client.
        scopes: the scopes granted, with those that they imply.
        groups: the user's groups.
        token_use: "access" or "id".

    Raises:
        ConfigurationError: a name that no header can have, that HTTP uses itself, or that stands twice.
    """

    subject: str = "X-Auth-Subject"
    user_pool_id: str = "X-Auth-User-Pool-Id"
    username: str = "X-Auth-Username"
    client_id: str = "X-Auth-Client-Id"
    scopes: str = "X-Auth-Scopes"
    groups: str = "X-Auth-Groups"
    token_use: str = "X-Auth-Token-Use"

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for field in fields(self):
            name = getattr(self, field.name)
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise ConfigurationError(field.name, f"expected letters, digits and hyphens, got {name!r}")
            if _TAKEN.fullmatch(name.lower()):
                raise ConfigurationError(field.name, f"expected a header that HTTP has no use for, got {name!r}")
            if name.lower() in seen:
                raise ConfigurationError(field.name, f"expected a header of its own, got {name!r} again")
            seen.add(name.lower())

    def of(self, principal: Principal | None, granted: Iterable[str]) -> tuple[tuple[str, str], ...]:
        """
        Return names and values, ASCII, for a caller.

        Args:
            principal: the caller, or None for an anonymous one.
            granted: its scopes, with those they imply.
        """
        if principal is None:
            return tuple((name, "") for name in astuple(self))
        return (
            (self.subject, _encoded(principal.subject)),
            (self.user_pool_id, _encoded(principal.user_pool_id)),
            (self.username, _encoded(principal.username or "")),
            (self.client_id, _encoded(principal.client_id)),
            (self.scopes, _listed(granted)),
            (self.groups, _listed(principal.groups)),
            (self.token_use, _encoded(principal.token_use)),
        )


def _listed(values: Iterable[str]) -> str:
    # An empty one would be a space alone, at which some servers refuse to send the header.
    return " ".join(_encoded(value) for value in sorted(values) if value)


def _encoded(value: str) -> str:
    # JSON can spell half a surrogate pair, which UTF-8 can't: no token may cause an error here.
    return quote(value, safe=_AS_IT_IS, errors="surrogatepass")
