"""The front door of a fake user pool, as browsers and clients come to it; for the tests beside this file."""

from base64 import b64encode
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import jwt

from cognito_guard.scopes import ResourceServer
from cognito_guard.testing import ABSENT, AppClient, FakeClock, FakeUserPool, FakeUserPoolServer, PoolUser

ORDERS = ResourceServer("orders", {"read": "Read orders", "write": "Change orders"})
SECRET = "secret+with+plus+signs_0123"
BACK = "https://app.example/back"
BACK_WITH_QUERY = "https://app.example/back?tab=1"
BYE = "https://app.example/bye"
APP = AppClient(
    client_id="app", scopes=(ORDERS["read"],), callback_urls=(BACK, BACK_WITH_QUERY, "myapp://back"), logout_urls=(BYE,)
)
OTHER = AppClient(client_id="other", callback_urls=(BACK,), logout_urls=("https://other.example/bye",))
WEB = AppClient(client_id="web", client_secret=SECRET, scopes=ORDERS.scopes, callback_urls=(BACK,))
ROTATING = AppClient(client_id="rotating", callback_urls=(BACK,), rotates_refresh_tokens=True)
ONLY_CODE = AppClient(client_id="onlycode", callback_urls=(BACK,), flows=("code",))
ONLY_IMPLICIT = AppClient(client_id="onlyimplicit", callback_urls=(BACK,), flows=("implicit",))
PASSWORD = "swordfish & <chips>"
USERS = {
    "jane": PoolUser(password=PASSWORD, groups=("admins",), attributes={"tenant": 42}),
    "joe": PoolUser(email=ABSENT),
    'eve"><script>': PoolUser(),
}
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"  # RFC 7636 appendix B, as is the challenge
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
PKCE = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
ADMIN = "aws.cognito.signin.user.admin"


class Door:
    """Come to the pool's front door as browsers and clients do."""

    def __init__(self, pool: FakeUserPool, clock: FakeClock, server: FakeUserPoolServer, http: httpx.Client) -> None:
        self.pool, self.clock, self.server, self.http = pool, clock, server, http

    def login_url(self, **parameters: str) -> str:
        """Follow the authorize endpoint to the login page."""
        asked = {"client_id": "app", "redirect_uri": BACK, "response_type": "code", **parameters}
        response = self.http.get("/oauth2/authorize", params=asked)
        assert response.status_code == 302
        assert response.headers["location"].startswith("/login?")
        return str(response.headers["location"])

    def signed_in(self, username: str = "joe", password: str = "", **parameters: str) -> str:
        """Return where a good sign-in leads."""
        response = self.http.post(self.login_url(**parameters), data={"username": username, "password": password})
        assert response.status_code == 302
        return str(response.headers["location"])

    def code(self, username: str = "joe", password: str = "", **parameters: str) -> str:
        return query_of(self.signed_in(username, password, **parameters))["code"]

    def ask(self, headers: dict[str, str] | None = None, /, **form: str) -> httpx.Response:
        return self.http.post("/oauth2/token", data=form, headers=headers)

    def redeem(self, code: str, /, **form: str) -> httpx.Response:
        asked = {"grant_type": "authorization_code", "client_id": "app", "redirect_uri": BACK, "code": code, **form}
        return self.ask(**{name: value for name, value in asked.items() if value})

    def tokens(self, **parameters: str) -> dict[str, Any]:
        """Sign joe in and return his tokens."""
        response = self.redeem(self.code(**parameters), client_id=parameters.get("client_id", "app"))
        assert response.status_code == 200
        return dict(response.json())

    def refresh(self, token: str, client_id: str = "app") -> httpx.Response:
        return self.ask(grant_type="refresh_token", client_id=client_id, refresh_token=token)

    def user_info(self, token: str) -> httpx.Response:
        return self.http.get("/oauth2/userInfo", headers={"Authorization": f"Bearer {token}"})


@contextmanager
def open_door(clock: FakeClock) -> Generator[Door]:
    """Serve a pool with these clients and users."""
    pool = FakeUserPool(
        clients=[APP, OTHER, WEB, ROTATING, ONLY_CODE, ONLY_IMPLICIT],
        users=USERS,
        resource_servers=ORDERS,
        clock=clock,
    )
    with pool.serve() as server, httpx.Client(base_url=server.url, trust_env=False) as http:
        yield Door(pool, clock, server, http)


def query_of(location: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(location).query, strict_parsing=True))


def claims_of(door: Door, token: str) -> dict[str, Any]:
    """Let PyJWT verify the signature under the published key that the header names, and return the claims."""
    key = jwt.PyJWKSet.from_dict(door.pool.jwks)[jwt.get_unverified_header(token)["kid"]]
    unchecked = {"verify_exp": False, "verify_iat": False, "verify_aud": False}
    return jwt.decode(token, key, algorithms=["RS256"], options=unchecked)  # type: ignore[arg-type]


def refused(response: httpx.Response, status: int = 400) -> str:
    """Return the error code of a refusal that is in Cognito's form."""
    assert response.status_code == status
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"].startswith("application/json")
    assert list(response.json()) == ["error"]
    return str(response.json()["error"])


def basic(client_id: str, client_secret: str) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'{client_id}:{client_secret}'.encode()).decode()}"}
