"""What the tests of the adapters share: a server's side of ASGI, a guarded application, and every way to be refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pytest

from cognito_guard import Reason
from cognito_guard.asgi import ASGIApp, CognitoMiddleware, Message, Receive, Scope, Send
from cognito_guard.testing import ABSENT, FakeUserPool

Header: TypeAlias = tuple[bytes, bytes]
Present: TypeAlias = Callable[[FakeUserPool], list[Header]]
"""Make the headers of a request, as a client with credentials of this user pool would."""

DENIAL = "websocket.http.response"
"""The extension by which a server can answer a handshake with a response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Hold a response, byte for byte."""

    status: int
    headers: list[Header] = field(default_factory=list[Header])
    body: bytes = b""


def refusal(status: int, challenge: bytes | None, body: bytes, *more: Header) -> Answer:
    """Write down a refusal as it stands on the wire."""
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    if challenge is not None:
        headers.append((b"www-authenticate", challenge))
    headers += [*more, (b"content-length", b"%d" % len(body))]
    return Answer(status=status, headers=headers, body=body)


NO_TOKEN = refusal(401, b'Bearer realm="cognito"', b'{"error_description": "Authentication is required"}')
NOT_ONE_TOKEN = refusal(
    400,
    b'Bearer realm="cognito", error="invalid_request", error_description="Exactly one bearer token is expected"',
    b'{"error": "invalid_request", "error_description": "Exactly one bearer token is expected"}',
)
BAD_TOKEN = refusal(
    401,
    b'Bearer realm="cognito", error="invalid_token", error_description="The token is not valid here"',
    b'{"error": "invalid_token", "error_description": "The token is not valid here"}',
)
EXPIRED = refusal(
    401,
    b'Bearer realm="cognito", error="invalid_token", error_description="The token has expired"',
    b'{"error": "invalid_token", "error_description": "The token has expired"}',
)
NO_SCOPE = refusal(
    403,
    b'Bearer realm="cognito", error="insufficient_scope", '
    b'error_description="The token lacks a scope that is required", scope="transactions/get"',
    b'{"error": "insufficient_scope", "error_description": "The token lacks a scope that is required"}',
)
NOT_ALLOWED = refusal(
    403, None, b'{"error": "access_denied", "error_description": "The caller is not allowed to do this"}'
)
STEP_UP = refusal(
    401,
    b'Bearer realm="cognito", error="insufficient_user_authentication", '
    b'error_description="A more recent or stronger authentication is required", max_age="300"',
    b'{"error": "insufficient_user_authentication", '
    b'"error_description": "A more recent or stronger authentication is required"}',
)
UNAVAILABLE = refusal(
    503,
    None,
    b'{"error": "temporarily_unavailable", "error_description": "The token cannot be checked at the moment"}',
    (b"retry-after", b"1"),
)


def bearer(token: str, scheme: str = "Bearer ") -> Header:
    """Put a token where RFC 6750 §2.1 wants it."""
    return b"authorization", f"{scheme}{token}".encode("latin-1")


def _value(template: bytes) -> Present:
    """Present one Authorization value, in which TOKEN stands for a good token."""
    return _values(template)


def _values(*templates: bytes) -> Present:
    """Present several Authorization values."""
    return lambda pool: [
        (b"authorization", template.replace(b"TOKEN", pool.access_token().encode())) for template in templates
    ]


def _token(mint: Callable[[FakeUserPool], str]) -> Present:
    """Present a bearer token."""
    return lambda pool: [bearer(mint(pool))]


def _access_token(**options: Any) -> Present:
    """Present an access token with these claims and header parameters."""
    return _token(lambda pool: pool.access_token(**options))


def _elsewhere(*names: bytes) -> Present:
    """Present a good token in headers of other names."""
    return lambda pool: [(name, bearer(pool.access_token())[1]) for name in names]


def _of_tomorrow(pool: FakeUserPool) -> str:
    return pool.access_token(nbf=int(pool.clock()) + 86_400)


def _tampered(pool: FakeUserPool) -> str:
    header, payload, signature = pool.access_token().split(".")
    # The last letter stays: the bits it has to spare must be zero.
    return f"{header}.{payload}.{signature[-2::-1]}{signature[-1]}"


def _forged(pool: FakeUserPool) -> str:
    return FakeUserPool(clock=pool.clock).access_token(header={"kid": pool.access_key.kid})


_NO_CREDENTIALS: Mapping[str, Present] = {
    "no Authorization at all": _values(),
    "an empty value": _value(b""),
    "a value of blanks": _value(b" \t "),
    "a good token without a scheme": _value(b"TOKEN"),
    "Basic": _value(b"Basic amFuZTpzZWNyZXQ="),
    "DPoP with a good token": _value(b"DPoP TOKEN"),
    "JWT with a good token": _value(b"JWT TOKEN"),
    "a scheme that begins as Bearer does": _value(b"BearerX TOKEN"),
    "a no-break space before the scheme": _value(b"\xa0Bearer TOKEN"),
    "AWS4-HMAC-SHA256": _value(b"AWS4-HMAC-SHA256 Credential=AKIA/20260101/eu-west-1/execute-api, Signature=0"),
    "headers of similar names": _elsewhere(b"authorization_", b"x-authorization", b"proxy-authorization", b"cookie"),
    "headers that proxies set": _elsewhere(b"x-forwarded-authorization", b"x-amzn-oidc-accesstoken"),
}

_BAD_CREDENTIALS: Mapping[str, tuple[Answer, Reason, Present]] = {
    "Bearer alone": (NOT_ONE_TOKEN, Reason.MALFORMED_HEADER, _value(b"Bearer")),
    "Bearer and blanks": (NOT_ONE_TOKEN, Reason.MALFORMED_HEADER, _value(b"Bearer \t")),
    "a tab after the scheme": (NOT_ONE_TOKEN, Reason.MALFORMED_HEADER, _value(b"Bearer\tTOKEN")),
    "a no-break space after the scheme": (NOT_ONE_TOKEN, Reason.MALFORMED_HEADER, _value(b"Bearer\xa0TOKEN")),
    "a comma after the scheme": (NOT_ONE_TOKEN, Reason.MALFORMED_HEADER, _value(b"Bearer,TOKEN")),
    "two tokens": (NOT_ONE_TOKEN, Reason.MALFORMED_HEADER, _value(b"Bearer TOKEN evil")),
    "two tokens around a tab": (NOT_ONE_TOKEN, Reason.MALFORMED_HEADER, _value(b"Bearer TOKEN\tevil")),
    "joined by a comma": (NOT_ONE_TOKEN, Reason.MALFORMED_HEADER, _value(b"Bearer TOKEN, Bearer TOKEN")),
    "joined with Basic": (NOT_ONE_TOKEN, Reason.MALFORMED_HEADER, _value(b"Bearer TOKEN,Basic eA==")),
    "two headers": (NOT_ONE_TOKEN, Reason.REPEATED_HEADER, _values(b"Bearer TOKEN", b"Bearer TOKEN")),
    "Basic as well": (NOT_ONE_TOKEN, Reason.REPEATED_HEADER, _values(b"Bearer TOKEN", b"Basic eA==")),
    "Basic first": (NOT_ONE_TOKEN, Reason.REPEATED_HEADER, _values(b"Basic eA==", b"Bearer TOKEN")),
    "an empty value first": (NOT_ONE_TOKEN, Reason.REPEATED_HEADER, _values(b"", b"Bearer TOKEN")),
    "a quoted token": (BAD_TOKEN, Reason.MALFORMED_TOKEN, _value(b'Bearer "TOKEN"')),
    "a no-break space at the end": (BAD_TOKEN, Reason.MALFORMED_TOKEN, _value(b"Bearer TOKEN\xa0")),
    "NUL at the end": (BAD_TOKEN, Reason.MALFORMED_TOKEN, _value(b"Bearer TOKEN\0")),
    "a vertical tab at the end": (BAD_TOKEN, Reason.MALFORMED_TOKEN, _value(b"Bearer TOKEN\v")),
    "bytes that are no UTF-8": (BAD_TOKEN, Reason.MALFORMED_TOKEN, _value(b"Bearer \xff\xfe\xc3\x28")),
    "padding": (BAD_TOKEN, Reason.MALFORMED_TOKEN, _value(b"Bearer TOKEN=")),
    "two segments": (BAD_TOKEN, Reason.MALFORMED_TOKEN, _value(b"Bearer a.b")),
    "Bearer as the token": (BAD_TOKEN, Reason.MALFORMED_TOKEN, _value(b"Bearer Bearer")),
    "a byte too many": (BAD_TOKEN, Reason.OVERSIZED_TOKEN, _value(b"Bearer " + b"." * 16_385)),
    "a refresh token": (BAD_TOKEN, Reason.ENCRYPTED_TOKEN, _token(FakeUserPool.refresh_token)),
    "alg none": (BAD_TOKEN, Reason.UNSUPPORTED_ALGORITHM, _access_token(header={"alg": "none"})),
    "alg HS256": (BAD_TOKEN, Reason.UNSUPPORTED_ALGORITHM, _access_token(header={"alg": "HS256"})),
    "an unknown kid": (BAD_TOKEN, Reason.UNKNOWN_KEY, _access_token(header={"kid": "nobody's"})),
    "a tampered signature": (BAD_TOKEN, Reason.INVALID_SIGNATURE, _token(_tampered)),
    "signed by somebody else": (BAD_TOKEN, Reason.INVALID_SIGNATURE, _token(_forged)),
    "another issuer": (BAD_TOKEN, Reason.WRONG_ISSUER, _access_token(issuer="https://example.com")),
    "an ID token": (BAD_TOKEN, Reason.WRONG_TOKEN_USE, _token(FakeUserPool.id_token)),
    "another client": (BAD_TOKEN, Reason.WRONG_CLIENT, _access_token(client_id="another")),
    "another API's token": (BAD_TOKEN, Reason.WRONG_AUDIENCE, _access_token(audience="https://example.com")),
    "a DPoP-bound token": (BAD_TOKEN, Reason.SENDER_CONSTRAINED, _access_token(cnf={"jkt": "x"})),
    "no expiry": (BAD_TOKEN, Reason.MISSING_CLAIM, _access_token(exp=ABSENT)),
    "a text as expiry": (BAD_TOKEN, Reason.MALFORMED_CLAIM, _access_token(exp="4102444800")),
    "a token of tomorrow": (BAD_TOKEN, Reason.NOT_YET_VALID, _token(_of_tomorrow)),
    "an expired token": (EXPIRED, Reason.EXPIRED, _access_token(expires_in=-60)),
}

NO_CREDENTIALS = [
    pytest.param(present, NO_TOKEN, Reason.MISSING_TOKEN, id=name) for name, present in _NO_CREDENTIALS.items()
]
"""(present, expected, reason) of every request that carries no bearer token."""

BAD_CREDENTIALS = [
    pytest.param(present, expected, reason, id=name) for name, (expected, reason, present) in _BAD_CREDENTIALS.items()
]
"""(present, expected, reason) of every request whose credentials are bad."""


class Probe:
    """An application that remembers whom it served, and answers with the caller's subject."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve anything."""
        self.scopes.append(scope)
        subject = getattr(scope["user"], "subject", "anonymous") if "user" in scope else scope["type"]
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": subject})
            await send({"type": "websocket.close", "code": 1000, "reason": ""})
        elif scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": subject.encode()})

    @property
    def was_reached(self) -> bool:
        """Whether anything got through to it."""
        return bool(self.scopes)


class Guarded:
    """A probe behind the middleware; `pool` issues and judges the tokens unless a verifier is given."""

    def __init__(self, pool: FakeUserPool, **options: Any) -> None:
        self.probe = Probe()
        self.app = CognitoMiddleware(self.probe, options.pop("verifier", None) or pool.verifier(), **options)

    def ask(self, path: str = "/", *headers: Header, **scope: Any) -> Answer:
        """Send one request."""
        return ask(self.app, path, *headers, **scope)


def connection(path: str = "/", *headers: Header, **scope: Any) -> dict[str, Any]:
    """Make the scope of a request as a server does; `scope` holds further members, or other values."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"api.example.com"), *headers],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 80),
        **scope,
    }


def handshake(path: str = "/", *headers: Header, extensions: Iterable[str] = (), **scope: Any) -> dict[str, Any]:
    """Make the scope of a WebSocket handshake, by a server that knows these extensions."""
    opened = connection(path, *headers, **scope)
    del opened["method"]
    return {**opened, "type": "websocket", "scheme": "ws", "extensions": {name: {} for name in extensions}, **scope}


async def serve(app: ASGIApp, scope: Scope, *incoming: Message) -> list[Message]:
    """Serve one connection; return what was sent.  `incoming` ends early where the application closes a WebSocket."""
    kind = scope["type"]
    first: Message = {"type": "websocket.connect"} if kind == "websocket" else {"type": "http.request"}
    last: Message = {"type": f"{kind}.disconnect", "code": 1005}
    received: list[Message] = []
    sent: list[Message] = []

    async def receive() -> Message:
        is_closed = any(message["type"] in ("websocket.close", f"{DENIAL}.body") for message in sent)
        messages = (first,) if is_closed else (first, *incoming)
        received.append(messages[len(received)] if len(received) < len(messages) else last)
        return received[-1]

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


async def aask(app: ASGIApp, path: str = "/", *headers: Header, **scope: Any) -> Answer:
    """Send one request, and read the answer."""
    return answer(await serve(app, connection(path, *headers, **scope)))


def ask(app: ASGIApp, path: str = "/", *headers: Header, **scope: Any) -> Answer:
    """Send one request, and read the answer, on an event loop of its own."""
    return asyncio.run(aask(app, path, *headers, **scope))


def talk(app: ASGIApp, scope: Scope, *incoming: Message) -> list[Message]:
    """Serve one connection on an event loop of its own."""
    return asyncio.run(serve(app, scope, *incoming))


def answer(messages: list[Message], prefix: str = "") -> Answer:
    """Read a response; `prefix` is "websocket." for one that denies a handshake."""
    start, *body = messages
    assert start["type"] == f"{prefix}http.response.start"
    assert {part["type"] for part in body} == {f"{prefix}http.response.body"}
    content = b"".join(part.get("body", b"") for part in body)
    return Answer(status=start["status"], headers=[(name, value) for name, value in start["headers"]], body=content)
