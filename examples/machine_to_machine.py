"""
Let a machine in: a client gets a token for its own credentials, and calls an API that wants a scope.

Runs against a local user pool with a token endpoint.  For a real one: `CognitoVerifier("eu-west-1_...",
client_id="...")`, and its `https://.../oauth2/token`.
"""

import httpx
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from cognito_guard import CognitoVerifier, ResourceServer
from cognito_guard.asgi import CognitoMiddleware
from cognito_guard.starlette import requires
from cognito_guard.testing import AppClient, FakeUserPool

orders = ResourceServer("orders", {"read": "Read orders", "write": "Change orders"})
nightly_report = AppClient(client_id="nightly", client_secret="not_a_secret_anywhere_else", scopes=(orders["read"],))
pool = FakeUserPool(clients=[nightly_report], resource_servers=orders)


@requires(orders["read"])
async def list_orders(request: Request) -> JSONResponse:
    """Answer whoever may read orders."""
    return JSONResponse({"caller": request.user.display_name, "machine": request.user.is_machine})


@requires(orders["write"])
async def delete_orders(request: Request) -> JSONResponse:
    """Answer whoever may change them."""
    return JSONResponse({"deleted_by": request.user.display_name})


def build_app(verifier: CognitoVerifier) -> Starlette:
    """Guard the API."""
    routes = [Route("/orders", list_orders), Route("/orders", delete_orders, methods=["DELETE"])]
    return Starlette(routes=routes, middleware=[Middleware(CognitoMiddleware, verifier=verifier)])


if __name__ == "__main__":
    from starlette.testclient import TestClient

    with pool.serve() as server, httpx.Client(trust_env=False) as machine:
        client = TestClient(build_app(server.verifier()))
        form = {"grant_type": "client_credentials", "scope": orders["read"]}
        answer = machine.post(server.token_endpoint, data=form, auth=("nightly", "not_a_secret_anywhere_else"))
        granted = answer.json()
        print(answer.status_code, sorted(granted))
        headers = {"Authorization": f"{granted['token_type']} {granted['access_token']}"}
        print(client.get("/orders", headers=headers).json())
        print(client.delete("/orders", headers=headers).headers["www-authenticate"])
        refused = machine.post(server.token_endpoint, data=form, auth=("nightly", "guessed"))
        print(refused.status_code, refused.json())
