"""
Several user pools behind one API: staff and customers side by side, or a pool for each tenant.

Runs against local user pools.  For real ones: replace each `pool.verifier()` by `CognitoVerifier("eu-west-1_...",
client_id="...")`.
"""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from cognito_guard import CognitoVerifier, Verifier
from cognito_guard.asgi import CognitoMiddleware
from cognito_guard.testing import FakeUserPool

staff = FakeUserPool("eu-west-1_Staff1234")
customers = FakeUserPool("us-east-1_Customers")
strangers = FakeUserPool("eu-west-1_Strangers")
PEOPLE = {staff.user_pool_id: "colleague", customers.user_pool_id: "customer"}

tenants = {pool.issuer: pool for pool in (staff, customers)}


def verifier_of(issuer: str) -> CognitoVerifier | None:
    """Find the tenant; anybody can ask with any text, so look it up and never fetch from it."""
    tenant = tenants.get(issuer)
    return None if tenant is None else tenant.verifier()


async def home(request: Request) -> PlainTextResponse:
    """Greet the caller; a user name, like a `sub`, is somebody only together with the pool."""
    caller = request.user
    return PlainTextResponse(f"hello {PEOPLE[caller.user_pool_id]} {caller.display_name}")


def build_app(verifier: Verifier) -> Starlette:
    """Guard the API."""
    return Starlette(routes=[Route("/", home)], middleware=[Middleware(CognitoMiddleware, verifier=verifier)])


either = CognitoVerifier.any_of(staff.verifier(), customers.verifier())
app = build_app(either)

if __name__ == "__main__":
    from starlette.testclient import TestClient

    disguised = customers.access_token(issuer=staff.issuer)
    for verifier in (either, CognitoVerifier.by_issuer(verifier_of)):
        client = TestClient(build_app(verifier))
        for token in (staff.access_token(), customers.access_token()):
            print(client.get("/", headers=staff.headers(token)).text)
        for token in (strangers.access_token(), disguised):
            refused = client.get("/", headers=staff.headers(token))
            print(refused.status_code, refused.headers["www-authenticate"].partition(", error_description")[0])
