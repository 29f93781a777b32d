"""
One bounded HTTPS GET: every step takes what is left of one deadline, and the body what is left of one cap.

The standard library's own time-outs are per operation, so that a server which drips a byte a second
holds a fetch for ever; its body has no limit, and it follows redirects.  The HTTP parsing is the
standard library's.  No thread is started here.
"""

from __future__ import annotations

import io
import socket
import time
from base64 import b64encode
from collections.abc import Callable
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast
from urllib.parse import SplitResult, unquote, urlsplit

from .._version import __version__
from ..errors import CognitoGuardError, ConfigurationError
from ..pool import is_loopback
from ..settings import check_seconds

if TYPE_CHECKING:
    from http.client import HTTPResponse

MAX_JWKS_BYTES = 256 * 1024
"""A hundred times what Cognito publishes."""

_OK = 200
_REFUSALS = (403, 404)
_HTTPS_PORT = 443
_HTTP_PORT = 80
# What an answer may take beside its body.  Counted where bytes come in: a chunk of negative size makes
# the standard library read to the end, and its headers alone may be megabytes.
_OVERHEAD_BYTES = 64 * 1024
_CHUNK_BYTES = 64 * 1024
# Not imported with this module, as programs with keys of their own never need them; and not by the first fetch, as a
# process that is forked while a thread imports a module can never import it itself.
_NEEDED = ("http.client", "ssl", "urllib.request", "encodings.idna")


class FetchError(CognitoGuardError):
    """
    Say that the keys could not be had.

    Attributes:
        retry_after: what the endpoint asked to wait, in seconds; 0 where it did not.
        refused: the endpoint answered, and has nothing for this pool (403, 404).

    Raises:
        ConfigurationError: a wait that is no number of seconds.
    """

    def __init__(self, message: str, *, retry_after: float = 0.0, refused: bool = False) -> None:
        super().__init__(message)
        check_seconds("retry_after", retry_after)
        self.retry_after = retry_after
        self.refused = refused


class Fetch(Protocol):
    """
    Fetch a document: what a user may supply in place of HTTPSFetch.

    It is called on a thread of its own with a URI of the configuration and the seconds it may take,
    and returns the body of a successful answer.  Any exception counts as a failed attempt; FetchError
    can tell more.
    """

    def __call__(self, uri: str, timeout: float, /) -> bytes: ...


class HTTPSFetch:
    """
    Fetch a document over https, or over http from a loopback host.

    Honours `HTTPS_PROXY`, `NO_PROXY`, `SSL_CERT_FILE` and `SSL_CERT_DIR`.  Redirects are not followed: the
    place of the keys is the trust anchor.  Only a 200 with an unencoded body counts.
    """

    def __init__(
        self,
        *,
        ca_file: str | Path | None = None,
        max_bytes: int = MAX_JWKS_BYTES,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Set the bounds.

        Args:
            ca_file: PEM file of the certificate authorities to trust instead of the system's.
            max_bytes: the longest body that is read.
            timer: monotonic seconds.

        Raises:
            ConfigurationError: the file does not exist, the limit is no positive number, the timer no function.
        """
        if ca_file is not None and not (isinstance(ca_file, str | Path) and Path(ca_file).is_file()):
            raise ConfigurationError("ca_file", f"expected a PEM file, found none at {str(ca_file)!r}")
        if type(max_bytes) is not int or max_bytes < 1:
            raise ConfigurationError("max_bytes", "expected a positive number of bytes")
        if not callable(timer):
            raise ConfigurationError("timer", f"expected a function, got {type(timer).__name__}")
        for name in _NEEDED:
            import_module(name)
        self._ca_file = ca_file
        self._max_bytes = max_bytes
        self._timer = timer

    def __call__(self, uri: str, timeout: float, /) -> bytes:
        """
        Fetch the document.

        Args:
            uri: an absolute URI of the configuration.
            timeout: seconds for everything: connect, proxy, TLS, headers and body.  Resolving the host's
                name can't be interrupted; whoever waits must bound that wait.

        Raises:
            FetchError: for whatever went wrong.
        """
        from http.client import HTTPException

        ends_at = self._timer() + timeout

        def left() -> float:
            remaining = ends_at - self._timer()
            if remaining <= 0:
                raise TimeoutError("the deadline has passed")
            return remaining

        try:
            parts = urlsplit(uri)
            with closing(self._connected(parts, left)) as sock:
                stream = _Stream(sock, left, self._max_bytes + _OVERHEAD_BYTES)
                stream.sendall(_request("GET", _target(parts), parts.netloc))
                return self._body(stream.response())
        except OSError as cause:  # ssl.SSLError and TimeoutError too
            raise FetchError(f"the fetch failed: {type(cause).__name__}") from cause
        except (HTTPException, ValueError, OverflowError) as error:  # a bad proxy URL, or a chunk size that is none
            problem = type(error).__name__
        # Raised out here, with no cause: those quote what the endpoint sent, or the proxy's URL with its password.
        raise FetchError(f"the fetch failed: {problem}")

    def _connected(self, parts: SplitResult, left: Callable[[], float]) -> socket.socket:
        host = parts.hostname or ""
        if parts.scheme == "http" and is_loopback(host):
            return _connect(host, parts.port or _HTTP_PORT, left)
        if parts.scheme != "https" or not host:
            raise FetchError("neither an https URI, nor one of http and a loopback host")
        import ssl

        port = parts.port or _HTTPS_PORT

        context = ssl.create_default_context(cafile=self._ca_file)
        sock = _connect_by_proxy(host, port, left)
        try:
            sock.settimeout(left())
            return context.wrap_socket(sock, server_hostname=host)
        except BaseException:
            sock.close()
            raise

    def _body(self, response: HTTPResponse) -> bytes:
        if response.status != _OK:
            raise FetchError(
                f"the key endpoint answered {response.status}",
                retry_after=_retry_after(response.getheader("Retry-After", "")),
                refused=response.status in _REFUSALS,
            )
        if response.getheader("Content-Encoding", "identity").strip().lower() != "identity":
            raise FetchError("the key endpoint sent an encoded body")
        announced = response.length
        body = b""
        while chunk := response.read(_CHUNK_BYTES):
            body += chunk
            if len(body) > self._max_bytes:
                raise FetchError("the key endpoint sent more than the limit")
        if announced is not None and len(body) != announced:
            raise FetchError("the key endpoint sent less than it announced")
        return body


class _Reader(io.RawIOBase):
    """Read from a socket, each time within what is left of the deadline and of the cap."""

    def __init__(self, sock: socket.socket, left: Callable[[], float], max_bytes: int) -> None:
        self._sock = sock
        self._left = left
        self._bytes_left = max_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._sock.settimeout(self._left())
        count = self._sock.recv_into(buffer)
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise FetchError("the endpoint sent more than the limit")
        return count


class _Stream:
    """Be as much of a socket as HTTPResponse asks for, within one deadline and one cap."""

    def __init__(self, sock: socket.socket, left: Callable[[], float], max_bytes: int) -> None:
        self._sock = sock
        self._left = left
        self._max_bytes = max_bytes

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(self._left())
        self._sock.sendall(data)

    def makefile(self, *_: object) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._sock, self._left, self._max_bytes))

    def response(self) -> HTTPResponse:
        """Read status line and headers."""
        from http.client import HTTPResponse

        response = HTTPResponse(cast("socket.socket", self))
        response.begin()
        return response


def _connect(host: str, port: int, left: Callable[[], float]) -> socket.socket:
    """Connect to the first address that answers, each with its share of what is left."""
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure: OSError = OSError("the name has no address")
    for tried, (family, kind, proto, _, address) in enumerate(addresses):
        sock = socket.socket(family, kind, proto)
        try:
            sock.settimeout(left() / (len(addresses) - tried))
            sock.connect(address)
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
    raise failure


def _connect_by_proxy(host: str, port: int, left: Callable[[], float]) -> socket.socket:
    """Connect to the host, through the proxy that the environment names for it, if any."""
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    url = proxies.get("https") or proxies.get("all")
    if not url or proxy_bypass(f"{host}:{port}"):
        return _connect(host, port, left)
    proxy = urlsplit(url if "://" in url else f"http://{url}")
    if proxy.scheme != "http" or not proxy.hostname:
        raise FetchError("the proxy of the environment is no http:// URL")
    sock = _connect(proxy.hostname, proxy.port or _HTTP_PORT, left)
    try:
        stream = _Stream(sock, left, _OVERHEAD_BYTES)
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        stream.sendall(_request("CONNECT", authority, authority, _proxy_credentials(proxy)))
        if (status := stream.response().status) != _OK:
            raise FetchError(f"the proxy answered {status}")
    except BaseException:
        sock.close()
        raise
    return sock


def _proxy_credentials(proxy: SplitResult) -> str:
    if proxy.username is None:
        return ""
    credentials = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return f"Proxy-Authorization: Basic {b64encode(credentials.encode()).decode()}\r\n"


def _request(method: str, target: str, host: str, extra: str = "") -> bytes:
    lines = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: cognito-guard/{__version__}\r\n"
    return f"{lines}Accept: application/json\r\nAccept-Encoding: identity\r\nConnection: close\r\n{extra}\r\n".encode()


def _target(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _retry_after(value: str) -> float:
    """Read the header's form in seconds; the other one, a date, would need a second clock to be right."""
    return float(value) if value.isascii() and value.isdigit() and len(value) < 10 else 0.0  # noqa: PLR2004
