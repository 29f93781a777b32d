"""
A guarded Starlette API: scopes, groups, and an exempt path; `websocket.py` has a WebSocket.

Runs against a local user pool.  For a real one: `verifier = CognitoVerifier.from_env()`, then
`COGNITO_USER_POOL_ID=... COGNITO_CLIENT_ID=... uvicorn examples.starlette_app:app`.
"""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from cognito_guard import Requires, ResourceServer
from cognito_guard.asgi import CognitoMiddleware
from cognito_guard.starlette import requires
from cognito_guard.testing import FakeUserPool

orders = ResourceServer("orders", {"read": "Read orders", "write": "Change orders"})
pool = FakeUserPool(resource_servers=[orders])
verifier = pool.verifier()


@requires(orders["read"])
async def list_orders(request: Request) -> JSONResponse:
    """Answer whoever may read orders, person or machine."""
    return JSONResponse({"orders": [], "caller": request.user.subject, "machine": request.user.is_machine})


@requires(Requires(groups=["admins"], max_age=300) | Requires(scopes=[orders["write"]]))
def delete_orders(request: Request) -> JSONResponse:
    """Answer an administrator who signed in within five minutes, or a client that may write."""
    return JSONResponse({"deleted_by": request.user.display_name})


async def health(_: Request) -> PlainTextResponse:
    """Answer anybody."""
    return PlainTextResponse("ok")


app = Starlette(
    routes=[
        Route("/orders", list_orders),
        Route("/orders", delete_orders, methods=["DELETE"]),
        Route("/healthz", health),
    ],
    middleware=[Middleware(CognitoMiddleware, verifier=verifier, exempt=("/healthz",))],
)

if __name__ == "__main__":
    from starlette.testclient import TestClient

    client = TestClient(app)
    reader = pool.headers(username="jane", scopes=[orders["read"]])
    print(client.get("/healthz").text)
    print(client.get("/orders").status_code, client.get("/orders").headers["www-authenticate"])
    print(client.get("/orders", headers=reader).json()["machine"])
    print(client.delete("/orders", headers=reader).headers["www-authenticate"])
