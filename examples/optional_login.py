"""
A page that greets whom it knows: anonymous callers are welcome, bad credentials are not.

For a real pool: replace `pool.verifier()` by `CognitoVerifier.from_env()`.
"""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from cognito_guard.asgi import CognitoMiddleware
from cognito_guard.testing import FakeUserPool

pool = FakeUserPool()


async def home(request: Request) -> PlainTextResponse:
    """Greet the caller by name where there is one."""
    return PlainTextResponse(f"hello {request.user.display_name if request.user.is_authenticated else 'stranger'}")


app = Starlette(
    routes=[Route("/", home)],
    middleware=[Middleware(CognitoMiddleware, verifier=pool.verifier(), required=False)],
)

if __name__ == "__main__":
    from starlette.testclient import TestClient

    client = TestClient(app)
    print(client.get("/").text)
    print(client.get("/", headers=pool.headers(username="jane")).text)
    print(client.get("/", headers={"Authorization": "Bearer forged"}).status_code)
