"""
Put an emulator behind the names that AWS gives a user pool, over TLS, as a proxy that knows no other names.

A tunnel to one of them ends here, with a certificate of an authority of its own; what comes out of it goes to the
emulator in clear.  No name is resolved, and nothing leaves the machine.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import closing, suppress
from http.client import HTTPConnection, parse_headers
from io import BufferedRWPair
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from cognito_guard.testing.authority import Authority
from cognito_guard.testing.loopback import HOST, Listener, read_request

from .emulators import REGION

ORIGINAL = f"cognito-idp.{REGION}.amazonaws.com"
"""Where the API of user pools is, and the keys of the original issuer form."""
UPDATED = f"issuer-cognito-idp.{REGION}.amazonaws.com"
"""Where the keys of the updated issuer form are; here, as for a pool that never switched to it, there is nothing."""
DOMAIN = f"end-to-end.auth.{REGION}.amazoncognito.com"
"""The domain of a user pool: its login page and its token endpoint."""

_PATIENCE = 30.0  # seconds
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
_FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Asked(NamedTuple):
    """A request that came out of a tunnel."""

    host: str
    method: str
    path: str


class AWSFront:
    """
    Be the proxy, from the start on.

    Args:
        endpoint: of the emulator.
        directory: where the authority's certificate is put.
        shown: the name in every certificate; None for the name that the tunnel is for.

    Attributes:
        url: where the proxy is.
        ca_file: the authority's certificate, for who shall trust it.
        tunnels: what tunnels were asked for, as host and port, in order.
        requests: what came out of them, in order.
    """

    def __init__(self, endpoint: str, directory: Path, *, shown: str | None = None) -> None:
        authority = Authority()
        self._contexts = {f"{host}:443": authority.context(shown or host) for host in (ORIGINAL, UPDATED, DOMAIN)}
        self._emulator = urlsplit(endpoint).netloc
        self.ca_file = directory / "front.pem"
        self.ca_file.write_bytes(authority.pem)
        self.tunnels: list[str] = []
        self.requests: list[Asked] = []
        self._listener = Listener(lambda: self._serve)
        self.url = f"http://{HOST}:{self._listener.port}"

    def close(self) -> None:
        """End it, with all its connections."""
        self._listener.close()

    def _serve(self, connection: socket.socket) -> None:
        # The client went away, or would not have the certificate.
        with suppress(OSError):
            _, target = read_request(connection)
            self.tunnels.append(target)
            if target not in self._contexts:
                connection.sendall(_FORBIDDEN)
                return
            connection.sendall(_ESTABLISHED)
            with (
                self._contexts[target].wrap_socket(connection, server_side=True) as tunnel,
                tunnel.makefile("rwb") as stream,
            ):
                self._answer(target.partition(":")[0], stream)

    def _answer(self, host: str, stream: BufferedRWPair) -> None:
        """Answer one request; the end of the connection tells that there is no second one."""
        method, path, _ = stream.readline().decode("latin-1").split()
        headers = dict(parse_headers(stream))
        body = stream.read(int(headers.get("Content-Length", "0")))
        self.requests.append(Asked(host, method, path))
        stream.write(_NOT_FOUND if host == UPDATED else self._forward(method, path, headers, body))

    def _forward(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        """Ask the emulator, under the host name that the client used, and return its answer in full."""
        with closing(HTTPConnection(self._emulator, timeout=_PATIENCE)) as connection:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        kind = answer.getheader("Content-Type", "application/json")
        head = f"HTTP/1.1 {answer.status} {answer.reason}\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}"
        return f"{head}\r\nConnection: close\r\n\r\n".encode() + content
