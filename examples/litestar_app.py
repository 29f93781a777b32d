"""
A guarded Litestar API: default deny, and a guard that demands a scope of a route.

Runs against a local user pool.  For a real one: `CognitoVerifier.from_env()` in place of `pool.verifier()`, then
`COGNITO_USER_POOL_ID=... COGNITO_CLIENT_ID=... uvicorn examples.litestar_app:app`.
"""

from typing import Any

from litestar import Litestar, Request, Response, get, post
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from cognito_guard import Principal, RefusalError, ResourceServer
from cognito_guard.asgi import CognitoMiddleware, authorize, refuse
from cognito_guard.testing import FakeUserPool

orders = ResourceServer("orders", {"read": "Read orders", "write": "Change orders"})
pool = FakeUserPool(resource_servers=[orders])


def requires(connection: ASGIConnection[Any, Any, Any, Any], route: BaseRouteHandler) -> None:
    """Demand the scope that a route names, of whoever calls it."""
    authorize(connection.scope, route.opt["scope"])


def refused(request: Request[Any, Any, Any], error: RefusalError) -> Response[bytes]:
    """Answer a refusal with its challenge, which Litestar's own exceptions lack."""
    challenge = refuse(request.scope, error)
    return Response(challenge.body, status_code=challenge.status, headers=dict(challenge.headers))


@get("/orders", guards=[requires], scope=orders["read"])
async def list_orders(request: Request[Principal, Any, Any]) -> dict[str, object]:
    """Answer whoever may read orders, person or machine."""
    return {"orders": [], "caller": request.user.display_name}


@post("/orders", guards=[requires], scope=orders["write"])
async def add_order() -> None:
    """Answer whoever may change orders."""


api = Litestar([list_orders, add_order], exception_handlers={RefusalError: refused})
# Around the application, not among its middleware: that runs only where there is a route.
app = CognitoMiddleware(api, pool.verifier())

if __name__ == "__main__":
    from starlette.testclient import TestClient

    client = TestClient(app)
    reader = pool.headers(username="jane", scopes=[orders["read"]])
    print(client.get("/orders").headers["www-authenticate"])
    print(client.get("/orders", headers=reader).text)
    print(client.post("/orders", headers=reader).status_code, client.get("/nowhere").status_code)
