"""
Describe the guard in OpenAPI: its security scheme, and the scopes in words.

Needs no framework; what comes out is plain JSON, for whatever builds the description.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, cast

from .errors import ConfigurationError
from .metadata import ProtectedResource
from .scopes import SCOPE, ResourceServer, check_descriptions, names

DeclaredScopes: TypeAlias = ResourceServer | Mapping[str, str] | Iterable[str | ResourceServer]
"""The scopes that clients may ask for: resource servers, full scopes with descriptions, or full scopes alone."""

_HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+", re.IGNORECASE)
_LOOPBACK = re.compile(r"http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?")


def described(scopes: DeclaredScopes) -> dict[str, str]:
    """
    Return full scopes with their descriptions.

    Raises:
        ConfigurationError: something that is no scope, or a description that is no text.
    """
    if isinstance(scopes, ResourceServer):
        return {scopes[name]: description for name, description in scopes.descriptions.items()}
    if isinstance(scopes, Mapping):
        given = cast("Mapping[str, str]", scopes)
        check_descriptions(given)
        return {scope: given[scope] for scope in names("scopes", given, SCOPE)}
    if isinstance(scopes, str) or not isinstance(scopes, Iterable):
        return dict.fromkeys(names("scopes", scopes, SCOPE), "")
    return {scope: description for some in scopes for scope, description in described(some).items()}


def security_scheme(*, domain: str | None, scopes: Mapping[str, str], description: str | None) -> dict[str, Any]:
    """
    Return a security scheme: the authorization code flow of the user pool, or a bearer token from wherever.

    Args:
        domain: the user pool's domain, where people sign in, or the URL of a local one: http://localhost:8080;
            None for the bearer token.
        scopes: full scopes with their descriptions; a bearer token's have no place here.
        description: for people.

    Raises:
        ConfigurationError: a domain that is neither a host name nor a local URL.
    """
    about = {} if description is None else {"description": description}
    if domain is None:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", **about}
    url = _url(domain)
    flow = {"authorizationUrl": f"{url}/oauth2/authorize", "tokenUrl": f"{url}/oauth2/token", "scopes": dict(scopes)}
    return {"type": "oauth2", "flows": {"authorizationCode": flow}, **about}


def swagger_ui_oauth(
    client_id: str, *, domain: str | None, scopes: Iterable[str], metadata: ProtectedResource | None
) -> dict[str, Any]:
    """
    Return what Swagger UI needs to sign people in: the arguments of its `initOAuth`.

    Args:
        client_id: a public app client.
        domain: the user pool's domain, as the security scheme has it.
        scopes: what to ask for, unless people choose otherwise.
        metadata: describes the resource that tokens are bound to (RFC 8707), if any.

    Raises:
        ConfigurationError: there is no domain to sign in at.
    """
    if domain is None:
        raise ConfigurationError("domain", "expected the user pool's, got None")
    bound = {} if metadata is None else {"additionalQueryStringParams": {"resource": metadata.resource}}
    return {"clientId": client_id, "usePkceWithAuthorizationCodeGrant": True, "scopes": list(scopes), **bound}


def _url(domain: str) -> str:
    if isinstance(domain, str) and _LOOPBACK.fullmatch(domain):
        return domain
    if not isinstance(domain, str) or not _HOST.fullmatch(domain):
        raise ConfigurationError("domain", f"expected a host name, as in auth.example.com, got {domain!r}")
    return f"https://{domain}"
