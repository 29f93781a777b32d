"""
The server of the wire benchmark: `python -m benchmarks.wire_server TOKENS`, one process on one core.

Serves one application under four paths: unguarded, behind nothing but an RSA check, and guarded, with tokens that
are remembered and with tokens that are new each time.  Prints its port and its tokens as one line of JSON.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Mapping

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from cognito_guard.asgi import ASGIApp, CognitoMiddleware, Receive, Scope, Send
from cognito_guard.testing import FakeUserPool

from .harness import pin
from .subjects import access_tokens, check, prepared


def main(count: int) -> None:
    """Serve until killed."""
    pin()
    pool = FakeUserPool()
    tokens = access_tokens(pool, count)
    # With its protocol said aloud: asyncio sends small packets at once only where it sees that it is TCP.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    print(json.dumps({"port": listener.getsockname()[1], "tokens": tokens}), flush=True)
    config = uvicorn.Config(_by_path(_routes(pool, tokens)), lifespan="off", access_log=False, log_level="warning")
    uvicorn.Server(config).run([listener])


def _routes(pool: FakeUserPool, tokens: list[str]) -> Mapping[str, ASGIApp]:
    async def hello(_: Request) -> PlainTextResponse:
        return PlainTextResponse("hello")

    bare: ASGIApp = Starlette(routes=[Route("/{kind}", hello)])
    key = pool.access_key.private_key.public_key()
    ready = {f"Bearer {token}".encode(): prepared(token) for token in tokens}

    async def checked(scope: Scope, receive: Receive, send: Send) -> None:
        check(key, *ready[next(value for name, value in scope["headers"] if name == b"authorization")])
        await bare(scope, receive, send)

    return {
        "/bare": bare,
        "/checked": checked,
        "/seen": CognitoMiddleware(bare, pool.verifier()),
        "/new": CognitoMiddleware(bare, pool.verifier(token_cache_size=0)),
    }


def _by_path(routes: Mapping[str, ASGIApp]) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await routes[scope["path"]](scope, receive, send)

    return app


if __name__ == "__main__":
    main(int(sys.argv[1]))
