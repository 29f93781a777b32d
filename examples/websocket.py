"""
A guarded WebSocket for programs and browsers, which ends when its token does.

A browser can't set headers here; it sends the token as a subprotocol: `new WebSocket(url, ["bearer", token])`.
For a real pool: replace `pool.verifier()` by `CognitoVerifier.from_env()`.
"""

import asyncio
import time

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from cognito_guard import header, websocket_subprotocol
from cognito_guard.asgi import CognitoMiddleware
from cognito_guard.starlette import requires
from cognito_guard.testing import FakeUserPool

pool = FakeUserPool()


@requires("chat/join")
async def chat(websocket: WebSocket) -> None:
    """Echo what the caller says, until the token expires."""
    await websocket.accept()  # with the subprotocol "bearer" where the token came by it
    try:
        async with asyncio.timeout(websocket.user.expires_at - time.time()):
            async for text in websocket.iter_text():
                await websocket.send_text(f"{websocket.user.display_name}: {text}")
    except TimeoutError:
        await websocket.close(1008, "The token has expired")


guard = Middleware(CognitoMiddleware, verifier=pool.verifier(), token_from=[header(), websocket_subprotocol()])
app = Starlette(routes=[WebSocketRoute("/chat", chat)], middleware=[guard])

if __name__ == "__main__":
    from starlette.testclient import TestClient, WebSocketDenialResponse

    client = TestClient(app)
    with client.websocket_connect("/chat", headers=pool.headers(scopes=["chat/join"])) as session:
        session.send_text("hello")
        print(session.receive_text())
    ending = pool.access_token(scopes=["chat/join"], expires_in=0)  # accepted still: clocks differ
    with client.websocket_connect("/chat", ["bearer", ending]) as session:
        print("accepted as", session.accepted_subprotocol)
        print("closed with", session.receive()["code"])
    for offered in ([], ["bearer", pool.id_token()], ["bearer", pool.access_token()]):
        try:
            client.websocket_connect("/chat", offered).__enter__()
        except WebSocketDenialResponse as refused:
            print(refused.status_code, refused.headers["www-authenticate"])
