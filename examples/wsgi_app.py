"""
A guarded WSGI application, here Falcon's: default deny, and a hook that demands scopes of a responder.

Bottle, Pyramid and the rest stand behind the same middleware.  Runs against a local user pool.  For a real one:
`CognitoVerifier.from_env()` in place of `pool.verifier()`, then
`COGNITO_USER_POOL_ID=... COGNITO_CLIENT_ID=... gunicorn examples.wsgi_app:app`.
"""

from typing import Any

from falcon import App, Request, Response, before

from cognito_guard import RefusalError, ResourceServer
from cognito_guard.testing import FakeUserPool
from cognito_guard.wsgi import CognitoMiddleware, authorize, refuse

orders = ResourceServer("orders", {"read": "Read orders", "write": "Change orders"})
pool = FakeUserPool(resource_servers=[orders])


def requires(req: Request, resp: Response, resource: object, params: dict[str, Any], *scopes: str) -> None:
    """Demand scopes of a responder's caller."""
    authorize(req.env, *scopes)


def refused(req: Request, resp: Response, error: RefusalError, params: dict[str, Any]) -> None:
    """Answer a refusal with its challenge."""
    challenge = refuse(req.env, error)
    resp.status, resp.data = challenge.status, challenge.body
    resp.set_headers(dict(challenge.headers))


class Orders:
    """The orders: who may read and who may change them."""

    @before(requires, orders["read"])
    def on_get(self, req: Request, resp: Response) -> None:
        """Answer whoever may read orders, person or machine."""
        resp.media = {"orders": [], "caller": authorize(req.env).display_name}

    @before(requires, orders["write"])
    def on_post(self, req: Request, resp: Response) -> None:
        """Answer whoever may change orders."""


api = App()
api.add_route("/orders", Orders())
api.add_error_handler(RefusalError, refused)
app = CognitoMiddleware(api, pool.verifier())

if __name__ == "__main__":
    from falcon.testing import TestClient

    client = TestClient(app)
    reader = pool.headers(username="jane", scopes=[orders["read"]])
    print(client.get("/orders").status_code, client.get("/orders").headers["www-authenticate"])
    print(client.get("/orders", headers=reader).text)
    print(client.post("/orders", headers=reader).headers["www-authenticate"])
