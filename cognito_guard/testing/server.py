"""
The HTTP face of a fake user pool: JWKS, discovery and the token endpoint, on the loopback interface only.

It answers as Cognito does, whatever it is sent, and prints nothing.
"""

from __future__ import annotations

import json
import socket
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import Message
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseServer, TCPServer
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TypeAlias
from urllib.parse import parse_qsl, unquote

from ..verifier import CognitoVerifier
from .keys import JWKS

TOKEN_LIFETIME = 3600  # seconds, Cognito's default

_BODY_MAX = 16 * 1024  # bytes; a token request needs a few hundred
_DRAIN_MAX = 1024 * 1024  # bytes of a refused body that are read and thrown away
_IDLE_MAX = 5.0  # seconds of silence before a connection is given up
_POLL = 0.01  # seconds between two looks at whether the server shall stop
_FORM = "application/x-www-form-urlencoded"
_NO_STORE: Mapping[str, str] = {"Cache-Control": "no-store", "Pragma": "no-cache"}

TokenErrorCode: TypeAlias = Literal[
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "invalid_scope",
    "unauthorized_client",
    "unsupported_grant_type",
]


class TokenRequestError(Exception):
    """
    Say no to a token request.

    Attributes:
        code: the error code of RFC 6749 §5.2, as Cognito chooses it.
    """

    def __init__(self, code: TokenErrorCode) -> None:
        super().__init__(code)
        self.code: TokenErrorCode = code


class ServedUserPool(Protocol):
    """What a server needs of the user pool behind it."""

    @property
    def user_pool_id(self) -> str: ...

    @property
    def issuer(self) -> str: ...

    @property
    def jwks(self) -> JWKS: ...

    def client_credentials(self, client_id: str, client_secret: str | None, scopes: Sequence[str] = ()) -> str: ...

    def verifier(self, **overrides: Any) -> CognitoVerifier: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """What came in; the body is None where it was not read: too long, chunked, or of no certain length."""

    method: str
    path: str
    headers: Message
    body: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    status: int
    body: Mapping[str, object]
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


class FakeUserPoolServer:
    """
    Serve a fake user pool over real HTTP on 127.0.0.1, at a port of the system's choice.

    Use it as a context manager, or call `start` and `close`.

    Args:
        user_pool: the pool to serve, as it is at the moment of each request.
    """

    def __init__(self, user_pool: ServedUserPool) -> None:
        self._user_pool = user_pool
        self._lock = Lock()
        self._requests: list[tuple[str, str]] = []
        self._is_down = False
        self._running: tuple[_HTTPServer, Thread] | None = None
        well_known = f"/{user_pool.user_pool_id}/.well-known"
        self._jwks_path = f"{well_known}/jwks.json"
        self._routes: Mapping[str, tuple[tuple[str, ...], Callable[[_Request], _Answer]]] = {
            self._jwks_path: (("GET", "HEAD"), self._jwks),
            f"{well_known}/openid-configuration": (("GET", "HEAD"), self._discovery),
            "/oauth2/token": (("POST",), self._token),
        }

    def start(self) -> Self:
        """Listen, and return the server itself; a running server is left alone."""
        if self._running is None:
            server = _HTTPServer(("127.0.0.1", 0), partial(_Handler, self._answer))
            thread = Thread(
                target=server.serve_forever, args=(_POLL,), name=f"fake-user-pool-{server.server_port}", daemon=True
            )
            thread.start()
            self._running = server, thread
        return self

    def close(self) -> None:
        """Stop listening and drop every connection; a closed server is left alone."""
        running, self._running = self._running, None
        if running is not None:
            server, thread = running
            server.shutdown()
            thread.join()
            server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """
        The base URL, without a trailing slash.

        Raises:
            RuntimeError: the server does not run.
        """
        if self._running is None:
            raise RuntimeError("the server has no URL while it does not run: use it in a `with` block")
        return f"http://127.0.0.1:{self._running[0].server_port}"

    @property
    def jwks_uri(self) -> str:
        """Where the key set is."""
        return f"{self.url}{self._jwks_path}"

    @property
    def token_endpoint(self) -> str:
        """Where client credentials become a token."""
        return f"{self.url}/oauth2/token"

    @property
    def requests(self) -> tuple[tuple[str, str], ...]:
        """Method and path of every request so far, queries left out, in the order of arrival."""
        with self._lock:
            return tuple(self._requests)

    def count(self, path_suffix: str) -> int:
        """Return how many requests so far had a path with this ending, for example `jwks.json`."""
        return sum(path.endswith(path_suffix) for _, path in self.requests)

    def down(self) -> None:
        """Answer every request for the key set with 503 until `up`."""
        self._is_down = True

    def up(self) -> None:
        """End the outage."""
        self._is_down = False

    def verifier(self, **overrides: Any) -> CognitoVerifier:
        """
        Return a verifier of the user pool that fetches its keys from this server.

        Args:
            overrides: arguments of `CognitoVerifier` that win over the ones made here.
        """
        here = {} if "jwks" in overrides else {"jwks_uri": self.jwks_uri, "allow_insecure_http": True}
        return self._user_pool.verifier(**(here | overrides))

    def __repr__(self) -> str:
        state = "stopped" if self._running is None else self.url
        return f"<FakeUserPoolServer of {self._user_pool.user_pool_id}, {state}>"

    def _answer(self, request: _Request) -> _Answer:
        with self._lock:
            self._requests.append((request.method, request.path))
        if request.path not in self._routes:
            return _Answer(status=404, body={"message": "Not Found"})
        allowed, respond = self._routes[request.path]
        if request.method not in allowed:
            headers = {"Allow": ", ".join(allowed)}
            return _Answer(status=405, body={"message": "Method Not Allowed"}, headers=headers)
        return respond(request)

    def _jwks(self, _: _Request) -> _Answer:
        if self._is_down:
            return _Answer(status=503, body={"message": "Service Unavailable"})
        return _Answer(status=200, body=self._user_pool.jwks)

    def _discovery(self, _: _Request) -> _Answer:
        oauth2 = f"{self.url}/oauth2"
        document = {
            "authorization_endpoint": f"{oauth2}/authorize",
            "end_session_endpoint": f"{self.url}/logout",
            "id_token_signing_alg_values_supported": ["RS256"],
            "issuer": self._user_pool.issuer,
            "jwks_uri": self.jwks_uri,
            "response_types_supported": ["code", "token"],
            "revocation_endpoint": f"{oauth2}/revoke",
            "scopes_supported": ["openid", "email", "phone", "profile"],
            "subject_types_supported": ["public"],
            "token_endpoint": self.token_endpoint,
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "userinfo_endpoint": f"{oauth2}/userInfo",
        }
        return _Answer(status=200, body=document)

    def _token(self, request: _Request) -> _Answer:
        try:
            token = _client_token(self._user_pool, request)
        except TokenRequestError as refusal:
            # Cognito says 400 even where RFC 6749 §5.2 asks for 401.
            return _Answer(status=400, body={"error": refusal.code}, headers=_NO_STORE)
        body = {"access_token": token, "expires_in": TOKEN_LIFETIME, "token_type": "Bearer"}
        return _Answer(status=200, body=body, headers=_NO_STORE)


def _client_token(user_pool: ServedUserPool, request: _Request) -> str:
    form = _form(request)
    if "grant_type" not in form:
        raise TokenRequestError("invalid_request")
    if form["grant_type"] != "client_credentials":
        raise TokenRequestError("unsupported_grant_type")
    client_id, client_secret = _credentials(request.headers, form)
    return user_pool.client_credentials(client_id, client_secret, form.get("scope", "").split())


def _form(request: _Request) -> dict[str, str]:
    """Read the parameters; one without a value counts as omitted (RFC 6749 §3.2)."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.body is None or media_type != _FORM:
        raise TokenRequestError("invalid_request")
    try:
        pairs = parse_qsl(request.body.decode(), keep_blank_values=True, errors="strict")
    except ValueError as cause:
        raise TokenRequestError("invalid_request") from cause
    form = dict(pairs)
    if len(form) != len(pairs):
        raise TokenRequestError("invalid_request")
    return {name: value for name, value in form.items() if value}


def _credentials(headers: Message, form: Mapping[str, str]) -> tuple[str, str | None]:
    """Return client ID and secret from the one place where they stand (RFC 6749 §2.3)."""
    values = headers.get_all("authorization", [])
    if not values:
        if "client_id" not in form:
            raise TokenRequestError("invalid_request")
        return form["client_id"], form.get("client_secret")
    client_id, client_secret = _basic(values[0])
    # The client ID alone in the body is no second authentication method, and many clients send it.
    if len(values) > 1 or "client_secret" in form or form.get("client_id", client_id) != client_id:
        raise TokenRequestError("invalid_request")
    return client_id, client_secret


def _basic(value: str) -> tuple[str, str]:
    scheme, _, encoded = value.partition(" ")
    try:
        client_id, colon, client_secret = b64decode(encoded.strip(" "), validate=True).decode().partition(":")
        # Neither an ID nor a secret can hold a space, so that a `+` is always meant as one: clients that forget to
        # encode it (RFC 6749 §2.3.1 asks for it) are understood as well.
        decoded = unquote(client_id, errors="strict"), unquote(client_secret, errors="strict")
    except ValueError as cause:
        raise TokenRequestError("invalid_client") from cause
    if scheme.lower() != "basic" or not colon:
        raise TokenRequestError("invalid_client")
    return decoded


class _HTTPServer(ThreadingHTTPServer):
    """Forget every connection on closing, so that none that is kept alive is answered afterwards."""

    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: Callable[..., BaseHTTPRequestHandler]) -> None:
        self._connections_lock = Lock()
        self._connections: set[socket.socket] = set()
        super().__init__(address, handler)

    def server_bind(self) -> None:
        # HTTPServer's own way asks the name service who 127.0.0.1 is, which can take seconds.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.socket.getsockname()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._connections_lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._connections_lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        with self._connections_lock:
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # The client was faster.

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print no traceback: a client that goes away in the middle of an answer is nobody's error here."""


class _Handler(BaseHTTPRequestHandler):
    """Take requests off the wire and put answers on it."""

    protocol_version = "HTTP/1.1"
    server_version = "FakeUserPool"
    sys_version = ""
    timeout = _IDLE_MAX

    def __init__(
        self, answer: Callable[[_Request], _Answer], request: Any, client_address: Any, server: BaseServer
    ) -> None:
        # The base class serves the whole connection inside its constructor.
        self._answer = answer
        super().__init__(request, client_address, server)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Print nothing."""

    def _serve(self) -> None:
        body = self._body()
        path = self.path.partition("?")[0]
        answer = self._answer(_Request(method=self.command, path=path, headers=self.headers, body=body))
        self._send(answer, last=body is None)
        if body is None:
            self._drain()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve  # noqa: N815 - the base class's names

    def _body(self) -> bytes | None:
        lengths = self.headers.get_all("content-length", ["0"])
        length = lengths[0]
        if "transfer-encoding" in self.headers or len(lengths) > 1 or not (length.isascii() and length.isdigit()):
            return None
        # Digits are counted first: a number of thousands of digits is not worth converting, and Python refuses to.
        if len(length) > len(str(_BODY_MAX)) or int(length) > _BODY_MAX:
            return None
        body = self.rfile.read(int(length))
        return body if len(body) == int(length) else None

    def _send(self, answer: _Answer, *, last: bool) -> None:
        content = json.dumps(answer.body, separators=(",", ":")).encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json;charset=UTF-8")
        self.send_header("Content-Length", str(len(content)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if last:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _drain(self) -> None:
        """
        Throw away what the client still sends before the connection is closed.

        Closing with unread data resets the connection, which can destroy the answer before the client has read it.
        """
        self.connection.shutdown(socket.SHUT_WR)
        left = _DRAIN_MAX
        while left > 0 and (chunk := self.rfile.read1(_BODY_MAX)):
            left -= len(chunk)
