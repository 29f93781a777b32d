"""The target that looks for the token in a request's headers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cognito_guard import InvalidRequestError, MissingTokenError
from cognito_guard.tokens.bearer import EnvironHeaders, Headers, authorization_values, bearer_token
from cognito_guard.tokens.credentials import cookie, header, one_token, websocket_subprotocol

from .oracles import Said, Target, must, said

_REFUSALS = (InvalidRequestError, MissingTokenError)
_WAYS = (header(), cookie("session"), websocket_subprotocol())
_READ = ("authorization", "cookie", "sec-websocket-protocol")
_NAMES = (*_READ, "host", "Authorization", "COOKIE")


def run_request(data: bytes) -> None:
    """Find the one token of a request, in every form in which a server shows its headers."""
    pairs = [
        (name.strip(), value) for name, colon, value in (line.partition(b":") for line in data.split(b"\n")) if colon
    ]
    texts = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in pairs]
    text = data.decode("latin-1")
    first = _found(lambda: texts, text)
    must(_found(lambda: list(pairs), text) == first, "octets and text alike")
    must(_found(lambda: iter(pairs), text) == first, "an iterator and a list alike")
    lowered = [name.lower() for name, _ in texts]
    if len(set(lowered)) == len(lowered):
        must(_found(lambda: dict(texts), text) == first, "a mapping and pairs alike")
        if not any(map(_is_unspeakable, lowered)):
            environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in texts}
            must(_found(lambda: EnvironHeaders(environ), text) == first, "a WSGI environ and pairs alike")
    token = first[0].value
    if token is not None:
        must(token in text, "a token that stands in the request")


def _found(headers: Callable[[], Headers], text: str) -> tuple[Said[str | None], Said[str]]:
    return (
        said(lambda: one_token(_WAYS, headers()), _REFUSALS, text),
        said(lambda: bearer_token(authorization_values(headers())), _REFUSALS, text),
    )


def _is_unspeakable(name: str) -> bool:
    """Tell a name that a WSGI server would not show, or would show as another one's."""
    return not name.isascii() or not name.replace("-", "").isalnum()


def _seeds() -> Iterator[bytes]:
    for value in (
        *("Bearer e30.e30.AA", "bearer  e30.e30.AA ", "Bearer", "Bearer ", "Bearer a b", "Bearer a,Bearer b"),
        *("Basic dXNlcjpwYXNz", "Basic x,Bearer y", "AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host", "DPoP x"),
        *("\tBearer\tx", "Bearer\tx", "Bearer x\t", "bEARER x", "", ",", "Bearer,x", "Bearerx", "BearerÿX"),
    ):
        yield f"host: localhost\nAuthorization: {value}".encode("latin-1")
    for value in ("session=e30.e30.AA; other=1", "session=", "session=a; session=b", "xsession=a", "session", ";;=;"):
        yield f"Cookie: {value}".encode()
    for value in ("bearer, e30.e30.AA", "chat, bearer, x", "bearer", "bearer,x,y", "bearer,"):
        yield f"Sec-WebSocket-Protocol: {value}".encode()
    yield b"Authorization: Bearer a\nAuthorization: Bearer b"
    yield b"Authorization: Bearer a\nCookie: session=b\nSec-WebSocket-Protocol: bearer, c"


REQUEST = Target(
    run=run_request,
    seeds=_seeds,
    words=(
        *(f"{name}:".encode() for name in _NAMES),
        *(b"Bearer ", b"bearer", b"Basic ", b"session=", b"bearer, ", b"; ", b"\t", b"\n", b",", b"\xa0", b"\x85"),
    ),
    longest=512,
)
