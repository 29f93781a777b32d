"""
Protected resource metadata (RFC 9728): a document that tells clients which user pool issues tokens for an API.

All of it is configuration: nothing is taken from a request, least of all its Host.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

from .errors import ConfigurationError
from .pool import check_fetchable
from .scopes import ResourceServer, names, scope_names

_WELL_KNOWN = "/.well-known/oauth-protected-resource"


class ProtectedResource:
    """
    Hold a protected resource's metadata document and where it is served.

    Attributes:
        resource: the resource identifier, exactly as clients name it.
        path: the well-known path that the document must be served at, from the root of the host.
        url: the document's URL, for `resource_metadata` in challenges.
        document: the JSON document.
    """

    def __init__(
        self,
        resource: str,
        *,
        authorization_servers: str | Iterable[str],
        scopes: ResourceServer | Iterable[str] = (),
        name: str | None = None,
        allow_insecure_http: bool = False,
    ) -> None:
        """
        Describe a resource.

        Args:
            resource: its identifier, an https URL, as tokens name it in `aud`.
            authorization_servers: the issuers, or the URLs of servers that republish their metadata.
            scopes: the scopes that clients may ask for.
            name: for people.
            allow_insecure_http: accept http:// for loopback hosts.

        Raises:
            ConfigurationError: a URL or scope that can't be right.
        """
        check_fetchable("resource", resource, allow_insecure_http)
        servers = names("authorization_servers", authorization_servers)
        for server in servers:
            check_fetchable("authorization_servers", server, allow_insecure_http)
        if not servers:
            raise ConfigurationError("authorization_servers", "expected at least one")
        parts = urlsplit(resource)
        declared = scope_names("scopes", scopes)
        self.resource = resource
        if name is not None and not isinstance(name, str):
            raise ConfigurationError("name", f"expected a string, got {type(name).__name__}")
        # The well-known part goes between host and path; only a slash right after the host is dropped
        # (RFC 9728 §3.1).
        path = _WELL_KNOWN + ("" if parts.path == "/" else parts.path)
        self.url: str = f"{parts.scheme}://{parts.netloc}{path}"
        # As servers show it, decoded.
        self.path: str = unquote(path)
        members = {
            "resource": resource,
            "authorization_servers": list(servers),
            "scopes_supported": list(declared),
            "bearer_methods_supported": ["header"],
            "resource_name": name,
        }
        self.document: bytes = json.dumps({member: value for member, value in members.items() if value}).encode()

    def __repr__(self) -> str:
        return f"<ProtectedResource {self.resource}>"
