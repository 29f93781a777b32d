"""
A guarded Quart API: default deny, and scopes that a view demands of its caller.

Runs against a local user pool.  For a real one: `CognitoVerifier.from_env()` in place of `pool.verifier()`, then
`COGNITO_USER_POOL_ID=... COGNITO_CLIENT_ID=... hypercorn examples.quart_app:app`.
"""

from typing import Any

from quart import Quart, Response, request

from cognito_guard import RefusalError, ResourceServer
from cognito_guard.asgi import CognitoMiddleware, authorize, refuse
from cognito_guard.testing import FakeUserPool

orders = ResourceServer("orders", {"read": "Read orders", "write": "Change orders"})
pool = FakeUserPool(resource_servers=[orders])
app = Quart(__name__)


@app.errorhandler(RefusalError)
async def refused(error: RefusalError) -> Response:
    """Answer a refusal with its challenge."""
    challenge = refuse(request.scope, error)
    return Response(challenge.body, challenge.status, dict(challenge.headers))


@app.get("/orders")
async def list_orders() -> dict[str, object]:
    """Answer whoever may read orders, person or machine."""
    return {"orders": [], "caller": authorize(request.scope, orders["read"]).display_name}


@app.post("/orders")
async def add_order() -> str:
    """Answer whoever may change orders."""
    return f"added by {authorize(request.scope, orders['write']).display_name}"


guarded: Any = app
guarded.asgi_app = CognitoMiddleware(guarded.asgi_app, pool.verifier())

if __name__ == "__main__":
    from starlette.testclient import TestClient

    client = TestClient(guarded)
    reader = pool.headers(username="jane", scopes=[orders["read"]])
    print(client.get("/orders").status_code, client.get("/orders").headers["www-authenticate"])
    print(client.get("/orders", headers=reader).json())
    print(client.post("/orders", headers=reader).headers["www-authenticate"])
