"""FakeUserPool's token, revocation and userInfo endpoints over real HTTP: granted and refused as by Cognito."""

from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from threading import Barrier

import pytest
from front_door import (
    ADMIN,
    BACK,
    BACK_WITH_QUERY,
    PASSWORD,
    PKCE,
    ROTATING,
    SECRET,
    USERS,
    VERIFIER,
    WEB,
    Door,
    basic,
    claims_of,
    open_door,
    query_of,
    refused,
)

from cognito_guard.testing import FakeClock, FakeUserPool, TokenRequestError

DEAD = "Access token is expired, disabled, or deleted, or the user has globally signed out."


@pytest.fixture
def door(clock: FakeClock) -> Iterator[Door]:
    with open_door(clock) as opened:
        yield opened


# The token endpoint


def test_code_becomes_the_tokens_of_a_hosted_sign_in(door: Door) -> None:
    """Exactly the documented members and claims; both tokens belong to one session."""
    code = door.code("jane", PASSWORD, scope="openid orders/read", nonce="n-1")
    signed_in_at = door.clock.now
    door.clock.tick(7)
    response = door.redeem(code)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    answer = response.json()
    assert list(answer) == ["id_token", "access_token", "refresh_token", "expires_in", "token_type"]
    assert (answer["expires_in"], answer["token_type"]) == (3600, "Bearer")
    assert answer["refresh_token"].count(".") == 4
    access, identity = claims_of(door, answer["access_token"]), claims_of(door, answer["id_token"])
    shared = {
        "sub": door.pool.subject("jane"),
        "iss": door.pool.issuer,
        "cognito:groups": ["admins"],
        "auth_time": int(signed_in_at),
        "iat": int(door.clock.now),
        "exp": int(door.clock.now) + 3600,
        "origin_jti": access["origin_jti"],
        "event_id": access["event_id"],
    }
    scope = {"scope": "openid orders/read", "client_id": "app", "username": "jane", "version": 2}
    assert access == {**shared, **scope, "token_use": "access", "jti": access["jti"]}
    digest = sha256(answer["access_token"].encode()).digest()
    assert identity == {
        **shared,
        "aud": "app",
        "token_use": "id",
        "jti": identity["jti"],
        "nonce": "n-1",
        "at_hash": urlsafe_b64encode(digest[:16]).rstrip(b"=").decode(),
        "cognito:username": "jane",
        "email": "jane@example.com",
        "email_verified": True,
        "custom:tenant": "42",
    }
    assert len({access["jti"], identity["jti"], access["origin_jti"], access["event_id"]}) == 4


def test_resource_becomes_the_audience_of_access_tokens(door: Door) -> None:
    """RFC 8707: of this one and of all that are refreshed, never of the ID token."""
    tokens = door.tokens(resource="https://orders.example")
    assert claims_of(door, tokens["access_token"])["aud"] == "https://orders.example"
    assert claims_of(door, tokens["id_token"])["aud"] == "app"
    assert (
        claims_of(door, door.refresh(tokens["refresh_token"]).json()["access_token"])["aud"] == "https://orders.example"
    )
    assert door.user_info(tokens["access_token"]).status_code == 200


@pytest.mark.parametrize(
    "scope, granted",
    [
        pytest.param("", f"openid email phone profile {ADMIN} orders/read", id="all that the client may have"),
        pytest.param("orders/read orders/read", "orders/read", id="asked for twice"),
    ],
)
def test_scopes_are_granted_as_asked_for(door: Door, scope: str, granted: str) -> None:
    """Who asks for nothing gets everything; without `openid` there is no ID token."""
    tokens = door.tokens(scope=scope)
    assert claims_of(door, tokens["access_token"])["scope"] == granted
    assert ("id_token" in tokens) is ("openid" in granted)


@pytest.mark.parametrize(
    "scope, shown",
    [
        pytest.param("openid", {"email", "email_verified", "custom:tenant"}, id="openid alone shows all"),
        pytest.param("openid profile", {"email", "email_verified", "custom:tenant"}, id="profile shows all"),
        pytest.param("openid email", {"email", "email_verified"}, id="email shows the address"),
        pytest.param("openid phone", set[str](), id="phone shows neither"),
    ],
)
def test_scopes_decide_on_the_attributes(door: Door, scope: str, shown: set[str]) -> None:
    """The ID token and userInfo tell the same."""
    tokens = door.redeem(door.code("jane", PASSWORD, scope=scope)).json()
    attributes = {"email", "email_verified", "custom:tenant"}
    assert claims_of(door, tokens["id_token"]).keys() & attributes == shown
    assert door.user_info(tokens["access_token"]).json().keys() == {"sub", "username"} | shown


def test_code_with_a_challenge_needs_its_verifier(door: Door) -> None:
    """PKCE (RFC 7636), with the verifier and the challenge of its appendix B."""
    assert door.redeem(door.code(**PKCE), code_verifier=VERIFIER).status_code == 200
    assert refused(door.redeem(door.code(**PKCE), code_verifier=VERIFIER[:-1] + "l")) == "invalid_grant"
    assert refused(door.redeem(door.code(**PKCE))) == "invalid_grant"
    assert refused(door.redeem(door.code(), code_verifier=VERIFIER)) == "invalid_grant"


@pytest.mark.parametrize(
    "code, form",
    [
        pytest.param("invalid_request", {"code": ""}, id="no code"),
        pytest.param("invalid_request", {"redirect_uri": ""}, id="no redirect URI"),
        pytest.param("invalid_request", {"client_id": ""}, id="no client"),
        pytest.param("invalid_grant", {"code": "e47b9d4b-0000-4000-8000-000000000000"}, id="unknown code"),
        pytest.param("invalid_grant", {"redirect_uri": BACK_WITH_QUERY}, id="the client's other redirect URI"),
        pytest.param("invalid_grant", {"client_id": "other"}, id="another client"),
        pytest.param("invalid_client", {"client_id": "nobody"}, id="unknown client"),
        pytest.param("invalid_client", {"client_id": "web"}, id="confidential client without its secret"),
        pytest.param("invalid_client", {"client_secret": SECRET}, id="public client with a secret"),
        pytest.param("unauthorized_client", {"client_id": "onlyimplicit"}, id="client without the code flow"),
    ],
)
def test_code_that_is_not_the_clients_is_refused(door: Door, code: str, form: dict[str, str]) -> None:
    """A code is for one client and one redirect URI."""
    assert refused(door.redeem(door.code(), **form)) == code


def test_code_works_once(door: Door) -> None:
    """Also a failed try uses it up."""
    good, spoilt = door.code(), door.code()
    assert door.redeem(good).status_code == 200
    assert refused(door.redeem(good)) == "invalid_grant"
    assert refused(door.redeem(spoilt, redirect_uri=BACK_WITH_QUERY)) == "invalid_grant"
    assert refused(door.redeem(spoilt)) == "invalid_grant"


def test_code_that_many_redeem_at_once_yields_tokens_once(door: Door) -> None:
    """Single use is no race."""
    code, barrier = door.code(), Barrier(8)

    def redeem(_: int) -> int:
        barrier.wait(10)
        return door.redeem(code).status_code

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(redeem, range(8))) == [200] + [400] * 7


@pytest.mark.parametrize("age, status", [(299, 200), (300, 400)])
def test_code_lives_for_five_minutes(door: Door, age: int, status: int) -> None:
    """By the pool's clock."""
    code = door.code()
    door.clock.tick(age)
    assert door.redeem(code).status_code == status


def test_confidential_client_authenticates_in_either_way(door: Door) -> None:
    """Basic credentials or the body."""
    form = {"grant_type": "authorization_code", "redirect_uri": BACK}
    assert door.ask(basic("web", SECRET), code=door.code(client_id="web"), **form).status_code == 200
    in_body = {"client_id": "web", "client_secret": SECRET}
    assert door.ask(code=door.code(client_id="web"), **in_body, **form).status_code == 200
    assert refused(door.ask(basic("web", "wrong"), code=door.code(client_id="web"), **form)) == "invalid_client"


def test_refresh_continues_the_session(door: Door) -> None:
    """New tokens with the same session and sign-in time; no new refresh token, and no nonce (OIDC Core §12.2)."""
    tokens = door.tokens(nonce="n", scope="openid orders/read")
    door.clock.tick(1000)
    response = door.refresh(tokens["refresh_token"])
    assert response.status_code == 200
    assert list(response.json()) == ["id_token", "access_token", "expires_in", "token_type"]
    for kind in ("id_token", "access_token"):
        old, new = claims_of(door, tokens[kind]), claims_of(door, response.json()[kind])
        changed = {name for name in old | new if old.get(name) != new.get(name)}
        assert changed == {"jti", "iat", "exp"} | ({"nonce", "at_hash"} if kind == "id_token" else set())
        assert "nonce" not in new
    assert door.refresh(tokens["refresh_token"]).status_code == 200


def test_refresh_token_rotates_where_the_client_wants_it(door: Door) -> None:
    """The old one is used up, the new one works."""
    first = door.tokens(client_id="rotating")["refresh_token"]
    second = door.refresh(first, "rotating").json()["refresh_token"]
    assert second != first
    assert refused(door.refresh(first, "rotating")) == "invalid_grant"
    assert door.refresh(second, "rotating").status_code == 200


def test_refresh_token_that_is_used_twice_at_once_rotates_once() -> None:
    """The second refresh comes while the first is on its way, and wins."""

    class InterruptedPool(FakeUserPool):
        interruption: Callable[[], object] | None = None

        def refresh_token(self) -> str:
            interruption, self.interruption = self.interruption, None
            if interruption is not None:
                interruption()
            return super().refresh_token()

    pool = InterruptedPool(clients=[ROTATING])
    server = pool.authorization_server
    asked = [("client_id", "rotating"), ("redirect_uri", BACK), ("response_type", "code")]
    location = server.sign_in(server.authorization_request(asked), "jane")
    form = {"grant_type": "authorization_code", "redirect_uri": BACK, **query_of(location or "")}
    token = str(server.token(form, "rotating", None)["refresh_token"])

    def refresh() -> dict[str, str | int]:
        return server.token({"grant_type": "refresh_token", "refresh_token": token}, "rotating", None)

    pool.interruption = refresh
    with pytest.raises(TokenRequestError) as refusal:
        refresh()
    assert refusal.value.code == "invalid_grant"


@pytest.mark.parametrize("rotations", [0, 1])
def test_refresh_token_lives_for_thirty_days_in_all(door: Door, rotations: int) -> None:
    """By the pool's clock; rotation does not prolong it."""
    token = door.tokens(client_id="rotating")["refresh_token"]
    door.clock.tick(30 * 24 * 3600 - 1)
    for _ in range(rotations):
        token = door.refresh(token, "rotating").json()["refresh_token"]
    door.clock.tick(1)
    assert refused(door.refresh(token, "rotating")) == "invalid_grant"


def test_refresh_that_is_not_the_clients_is_refused(door: Door) -> None:
    """Somebody else's token, none, and one that nobody issued."""
    tokens = door.tokens()
    assert refused(door.refresh(tokens["refresh_token"], "other")) == "invalid_grant"
    assert refused(door.refresh(tokens["refresh_token"], "web")) == "invalid_client"
    assert refused(door.refresh(tokens["refresh_token"], "onlyimplicit")) == "unauthorized_client"
    assert refused(door.refresh(tokens["access_token"])) == "invalid_grant"
    assert refused(door.refresh(door.pool.refresh_token())) == "invalid_grant"
    assert refused(door.refresh("")) == "invalid_request"


# Revocation


def test_revocation_ends_one_session_and_no_other(door: Door) -> None:
    """Refreshing stops, userInfo stops, the empty answer repeats, and the other session goes on."""
    ended, other = door.tokens(), door.tokens()
    refreshed = door.refresh(ended["refresh_token"]).json()["access_token"]
    for _ in range(2):
        response = door.http.post("/oauth2/revoke", data={"token": ended["refresh_token"], "client_id": "app"})
        assert (response.status_code, response.content) == (200, b"")
    assert refused(door.refresh(ended["refresh_token"])) == "invalid_grant"
    for token in (ended["access_token"], refreshed):
        assert door.user_info(token).status_code == 401
        # A resource server is none the wiser.
        assert door.pool.verifier().verify(token).username == "joe"
    assert door.refresh(other["refresh_token"]).status_code == 200
    assert door.user_info(other["access_token"]).status_code == 200


@pytest.mark.parametrize(
    "status, code, form",
    [
        pytest.param(400, "invalid_request", {"client_id": "app"}, id="no token"),
        pytest.param(400, "invalid_request", {"token": "x"}, id="no client"),
        pytest.param(400, "unsupported_token_type", {"client_id": "app", "token": "a.b.c"}, id="an access token"),
        pytest.param(401, "invalid_client", {"client_id": "nobody", "token": "x"}, id="unknown client"),
        pytest.param(401, "invalid_client", {"client_id": "web", "token": "x"}, id="secret missing"),
    ],
)
def test_wrong_revocation_is_refused(door: Door, status: int, code: str, form: dict[str, str]) -> None:
    """Here a client that fails to authenticate gets a 401."""
    assert refused(door.http.post("/oauth2/revoke", data=form), status) == code


def test_token_of_nobody_is_revoked_in_vain_and_of_another_client_not_at_all(door: Door) -> None:
    """RFC 7009 §2.2 and §2.1."""
    response = door.http.post("/oauth2/revoke", data={"token": "x"}, headers=basic("web", SECRET))
    assert (response.status_code, response.content) == (200, b"")
    token = door.tokens()["refresh_token"]
    assert refused(door.http.post("/oauth2/revoke", data={"token": token, "client_id": "other"})) == "invalid_grant"
    assert door.refresh(token).status_code == 200


# userInfo


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_user_info_tells_in_strings(door: Door, method: str) -> None:
    """Also what the ID token has as a boolean."""
    token = door.redeem(door.code("jane", PASSWORD)).json()["access_token"]
    response = door.http.request(method, "/oauth2/userInfo", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 200
    assert response.json() == {
        "sub": door.pool.subject("jane"),
        "username": "jane",
        "email": "jane@example.com",
        "email_verified": "true",
        "custom:tenant": "42",
    }


def test_user_info_of_who_has_no_address_or_is_not_declared(door: Door) -> None:
    """Tokens minted without a sign-in count too."""
    joe = door.pool.access_token(username="joe", scopes=["openid"], client_id="app")
    assert door.user_info(joe).json() == {"sub": door.pool.subject("joe"), "username": "joe"}
    stranger = door.pool.access_token(username="ann", scopes=["openid"])
    assert door.user_info(stranger).json()["sub"] == door.pool.subject("ann")


def test_user_info_refuses_what_is_not_a_living_access_token_with_openid(door: Door) -> None:
    """401 with the error in header and body, in Cognito's words."""
    tokens = door.tokens()
    machine = door.pool.client_token(client_id="web")
    foreign = FakeUserPool(clock=door.clock).access_token(scopes=["openid"])
    door.clock.tick(1)
    expired = door.pool.access_token(scopes=["openid"], expires_in=-60)
    no_openid = "Access token does not contain openid scope"
    expected = {
        "garbage": DEAD,
        tokens["id_token"]: DEAD,
        tokens["refresh_token"]: DEAD,
        foreign: DEAD,
        expired: DEAD,
        door.pool.access_token(scopes=["openid"], aud=[1]): DEAD,
        door.pool.access_token(): no_openid,
        machine: no_openid,
    }
    for token, description in expected.items():
        response = door.user_info(token)
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == f'error="invalid_token", error_description="{description}"'
        assert response.json() == {"error": "invalid_token", "error_description": description}


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer a b"}])
def test_user_info_without_a_token_is_a_bad_request(door: Door, headers: dict[str, str]) -> None:
    """400, where RFC 6750 would have 401."""
    response = door.http.get("/oauth2/userInfo", headers=headers)
    assert response.status_code == 400
    description = "Bad OAuth2 request at UserInfo Endpoint"
    assert response.headers["www-authenticate"] == f'error="invalid_request", error_description="{description}"'
    assert response.json() == {"error": "invalid_request", "error_description": description}


# Other origins, discovery


@pytest.mark.parametrize(
    "path, methods",
    [
        ("/oauth2/token", "POST"),
        ("/oauth2/revoke", "POST"),
        ("/oauth2/userInfo", "GET, HEAD, POST"),
        ("/eu-west-1_FakePool1/.well-known/jwks.json", "GET, HEAD"),
        ("/eu-west-1_FakePool1/.well-known/openid-configuration", "GET, HEAD"),
    ],
)
def test_scripts_of_other_origins_may_ask(door: Door, path: str, methods: str) -> None:
    """A preflight is answered, and every answer may be read, a refusal too."""
    preflight = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    response = door.http.options(path, headers=preflight)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["access-control-allow-methods"] == methods
    assert response.headers["access-control-allow-headers"] == "*, Authorization"
    for method in ("GET", "POST", "DELETE"):
        assert door.http.request(method, path).headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("path", ["/oauth2/authorize", "/login", "/logout"])
def test_pages_are_not_for_scripts_of_other_origins(door: Door, path: str) -> None:
    """Nor is an OPTIONS request without its two headers a preflight anywhere."""
    preflight = {"Origin": "https://app.example", "Access-Control-Request-Method": "GET"}
    assert door.http.options(path, headers=preflight).status_code == 405
    assert "access-control-allow-origin" not in door.http.get(path).headers
    assert door.http.options("/oauth2/token").status_code == 405


def test_discovery_lists_endpoints_that_are_there(door: Door) -> None:
    """Each of them answers, even if it refuses."""
    document = door.http.get(f"/{door.pool.user_pool_id}/.well-known/openid-configuration").json()
    urls = [url for name, url in document.items() if name.endswith(("_endpoint", "_uri"))]
    assert len(urls) == 6
    for url in urls:
        assert url.startswith(door.server.url)
        assert door.http.get(url).status_code in {200, 400, 405}


@pytest.mark.parametrize("secret", ["swordfish", SECRET])
def test_no_secret_is_in_a_repr(door: Door, secret: str) -> None:
    """Neither a password nor a client's secret ends in the output of a failed test."""
    assert secret not in repr((USERS, WEB, door.pool, door.pool.users, door.pool.clients, door.server))
