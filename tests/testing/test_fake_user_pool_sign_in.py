"""FakeUserPool's pages over real HTTP: people sign in and out, and nobody is sent where no client has asked."""

from collections.abc import Iterator
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import UUID

import httpx
import pytest
from front_door import (
    APP,
    BACK,
    BACK_WITH_QUERY,
    BYE,
    CHALLENGE,
    ORDERS,
    PASSWORD,
    SECRET,
    USERS,
    VERIFIER,
    WEB,
    Door,
    claims_of,
    open_door,
    query_of,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cognito_guard.testing import FakeClock, FakeUserPool, PoolUser


@pytest.fixture
def door(clock: FakeClock) -> Iterator[Door]:
    with open_door(clock) as opened:
        yield opened


# The authorize endpoint


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param({"client_id": "nobody"}, id="unknown client"),
        pytest.param({"client_id": ""}, id="no client"),
        pytest.param({"redirect_uri": ""}, id="no redirect URI"),
        pytest.param({"redirect_uri": f"{BACK}/"}, id="a slash more"),
        pytest.param({"redirect_uri": BACK.upper()}, id="upper case"),
        pytest.param({"redirect_uri": f"{BACK}#x"}, id="a fragment"),
        pytest.param({"redirect_uri": "https://evil.example"}, id="somebody else's"),
        pytest.param({"redirect_uri": [BACK, BACK]}, id="redirect URI twice"),
        pytest.param({"client_id": ["app", "app"]}, id="client twice"),
    ],
)
@pytest.mark.parametrize("path", ["/oauth2/authorize", "/login"])
def test_untrusted_request_gets_a_page_and_no_redirect(door: Door, path: str, parameters: dict[str, Any]) -> None:
    """No browser is sent to an address that no known client has registered (RFC 6749 §4.1.2.1)."""
    asked = {"client_id": "app", "redirect_uri": BACK, "response_type": "code", **parameters}
    response = door.http.get(path, params=asked)
    assert response.status_code == 400
    assert response.headers["content-type"].startswith("text/html")
    assert "location" not in response.headers
    assert 'role="alert"' in response.text
    assert "evil" not in response.text


@pytest.mark.parametrize("query", ["client_id=%ff", "x=1&" * 200, "client_id=app&redirect_uri=%c3%28"])
def test_query_that_cannot_be_read_gets_a_page(door: Door, query: str) -> None:
    """What is no UTF-8, or far too much, is not guessed at."""
    response = door.http.get(f"/oauth2/authorize?{query}")
    assert response.status_code == 400
    assert "can&#x27;t be read" in response.text


@pytest.mark.parametrize(
    "error, parameters",
    [
        pytest.param("invalid_request", {"response_type": ""}, id="no response type"),
        pytest.param("invalid_request", {"response_type": "id_token"}, id="unknown response type"),
        pytest.param("invalid_request", {"response_type": "code token"}, id="two response types"),
        pytest.param("invalid_request", {"scope": ["openid", "email"]}, id="a parameter twice"),
        pytest.param("invalid_request", {"code_challenge": CHALLENGE}, id="challenge without method"),
        pytest.param("invalid_request", {"code_challenge_method": "S256"}, id="method without challenge"),
        pytest.param(
            "invalid_request", {"code_challenge": VERIFIER, "code_challenge_method": "plain"}, id="plain challenge"
        ),
        pytest.param(
            "invalid_request", {"code_challenge": "short", "code_challenge_method": "S256"}, id="short challenge"
        ),
        pytest.param("invalid_request", {"resource": "orders"}, id="resource that is no URL"),
        pytest.param("invalid_request", {"resource": "http://orders.example"}, id="resource in plain HTTP"),
        pytest.param("invalid_request", {"resource": "https://orders.example/#x"}, id="resource with a fragment"),
        pytest.param("invalid_request", {"resource": ["https://a.example", "https://b.example"]}, id="two resources"),
        pytest.param("unauthorized_client", {"client_id": "onlycode", "response_type": "token"}, id="no implicit flow"),
        pytest.param("unauthorized_client", {"client_id": "onlyimplicit"}, id="no code flow"),
        pytest.param("login_required", {"prompt": "none"}, id="nobody is signed in"),
    ],
)
def test_wrong_request_is_redirected_with_its_error(door: Door, error: str, parameters: dict[str, Any]) -> None:
    """A trusted client is told by redirect, with its state, and the query that its URI has is kept."""
    asked = {"client_id": "app", "redirect_uri": BACK, "response_type": "code", "state": "a b&c", **parameters}
    response = door.http.get("/oauth2/authorize", params=asked)
    assert response.status_code == 302
    location = response.headers["location"]
    assert location.partition("?")[0] == BACK
    assert query_of(location) == {"error": error, "state": "a b&c"}


@pytest.mark.parametrize("scope", ["openid orders/delete", "orders/write", "email", "profile orders/read", "OPENID"])
def test_scope_that_the_client_may_not_ask_for_is_redirected(door: Door, scope: str) -> None:
    """Undeclared, another client's, or about the user without `openid`."""
    asked = {"client_id": "app", "redirect_uri": BACK_WITH_QUERY, "response_type": "code", "scope": scope}
    location = door.http.get("/oauth2/authorize", params=asked).headers["location"]
    assert query_of(location) == {"tab": "1", "error_description": "invalid_scope", "error": "invalid_request"}


def test_authorize_endpoint_leads_to_the_login_page_with_all_parameters(door: Door) -> None:
    """Everything comes along, what Cognito does not know as well; a hint of the identity provider changes nothing."""
    asked = {"state": "ü/?&=#", "scope": "openid", "identity_provider": "Google", "x": ""}
    expected = {"client_id": "app", "redirect_uri": BACK, "response_type": "code", **asked}
    login = door.login_url(**asked)
    assert dict(parse_qsl(urlsplit(login).query, keep_blank_values=True)) == expected
    assert door.http.get(login).status_code == 200


# The login page


def test_login_page_has_a_labelled_form_and_a_button_for_who_needs_no_password(door: Door) -> None:
    """Every field has a label, and no name gets out of its place in the HTML."""
    response = door.http.get(door.login_url(state='"><script>alert(1)</script>'))
    assert response.headers["content-type"] == "text/html;charset=UTF-8"
    assert response.headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
    page = response.text
    assert '<html lang="en">' in page
    for field in ("username", "password"):
        assert f'<label for="{field}">' in page
        assert f'<input id="{field}" name="{field}"' in page
    assert 'value="joe">Sign in as joe</button>' in page
    assert 'value="eve&quot;&gt;&lt;script&gt;"' in page
    assert "Sign in as jane" not in page
    assert "<script" not in page
    assert 'role="alert"' not in page


@pytest.mark.parametrize(
    "users, form, buttons",
    [
        pytest.param({"joe": PoolUser()}, 0, 1, id="nobody has a password"),
        pytest.param({"jane": PoolUser(password="x")}, 1, 0, id="everybody has a password"),
        pytest.param({}, 0, 0, id="nobody at all"),
    ],
)
def test_login_page_offers_what_helps(users: dict[str, PoolUser], form: int, buttons: int) -> None:
    """No field for a password that nobody has, no button without a user."""
    pool = FakeUserPool(users=users, callback_urls=[BACK])
    with pool.serve() as server:
        asked = {"client_id": pool.client_id, "redirect_uri": BACK, "response_type": "code"}
        page = httpx.get(f"{server.url}/login", params=asked, trust_env=False).text
    assert page.count('type="password"') == form
    assert page.count("Sign in as") == buttons


@pytest.mark.parametrize(
    "form",
    [
        pytest.param({"username": "jane", "password": "wrong"}, id="wrong password"),
        pytest.param({"username": "jane", "password": ""}, id="no password"),
        pytest.param({"username": "jane", "password": "swordfish"}, id="half a password"),
        pytest.param({"username": "nobody", "password": "x"}, id="unknown user"),
        pytest.param({"username": "Joe"}, id="other case"),
        pytest.param({}, id="nothing"),
    ],
)
def test_wrong_sign_in_shows_the_page_again(door: Door, form: dict[str, str]) -> None:
    """The same words whatever was wrong, nothing of what was typed, and the next try may succeed."""
    login = door.login_url(state="s")
    response = door.http.post(login, data=form, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert response.status_code == 200
    assert '<p role="alert">Incorrect username or password.</p>' in response.text
    assert "wrong" not in response.text
    good = {"username": "jane", "password": PASSWORD}
    assert door.http.post(login, data=good).status_code == 302


def test_sign_in_that_is_no_form_is_refused(door: Door) -> None:
    """A script that posts JSON is told so, not served."""
    assert door.http.post(door.login_url(), json={"username": "joe"}).status_code == 400


def test_good_sign_in_leads_back_with_code_and_state(door: Door) -> None:
    """The code is new each time; without state there is none."""
    location = door.signed_in("jane", PASSWORD, state="a b&c", redirect_uri=BACK_WITH_QUERY)
    assert location.startswith(BACK_WITH_QUERY + "&")
    code, state = query_of(location)["code"], query_of(location)["state"]
    assert state == "a b&c"
    assert UUID(code)
    assert query_of(door.signed_in()).keys() == {"code"}
    assert door.code() != code
    assert door.signed_in(redirect_uri="myapp://back").startswith("myapp://back?code=")


def test_implicit_grant_leads_back_with_tokens_in_the_fragment(door: Door) -> None:
    """No query, no refresh token; an ID token where `openid` was granted."""
    location = door.signed_in(response_type="token", scope="openid orders/read", state="s", nonce="n")
    base, _, fragment = location.partition("#")
    assert base == BACK
    answer = dict(parse_qsl(fragment, strict_parsing=True))
    assert list(answer) == ["id_token", "access_token", "expires_in", "token_type", "state"]
    assert (answer["expires_in"], answer["token_type"], answer["state"]) == ("3600", "Bearer", "s")
    assert claims_of(door, answer["id_token"])["nonce"] == "n"
    assert door.pool.verifier().verify(answer["access_token"]).scopes == {"openid", "orders/read"}
    without = door.signed_in(response_type="token", scope="orders/read").partition("#")[2]
    assert "id_token" not in dict(parse_qsl(without))


# Signing out


def test_sign_out_leads_to_the_clients_page(door: Door) -> None:
    """To a registered URL, compared whole."""
    response = door.http.get("/logout", params={"client_id": "app", "logout_uri": BYE})
    assert (response.status_code, response.headers["location"]) == (302, BYE)


def test_sign_out_with_the_parameters_of_a_sign_in_leads_to_the_login_page(door: Door) -> None:
    """To sign in as somebody else."""
    asked = {"client_id": "app", "redirect_uri": BACK, "response_type": "code", "state": "s"}
    response = door.http.get("/logout", params=asked)
    assert response.status_code == 302
    assert query_of(response.headers["location"]) == asked
    assert door.http.get(response.headers["location"]).status_code == 200


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"client_id": "app"}, id="no URI"),
        pytest.param({"client_id": "nobody", "logout_uri": BYE}, id="unknown client"),
        pytest.param({"client_id": "app", "logout_uri": f"{BYE}/"}, id="a slash more"),
        pytest.param({"client_id": "app", "logout_uri": "https://other.example/bye"}, id="another client's"),
        pytest.param({"client_id": "app", "logout_uri": BACK}, id="a callback URL"),
    ],
)
def test_sign_out_to_anywhere_else_gets_a_page(door: Door, asked: dict[str, str]) -> None:
    """The pool is no open redirector."""
    response = door.http.get("/logout", params=asked)
    assert (response.status_code, "location" in response.headers) == (400, False)


# Anything at all


@pytest.fixture(scope="module")
def anything() -> Iterator[httpx.Client]:
    pool = FakeUserPool(clients=[APP, WEB], users=USERS, resource_servers=ORDERS)
    with pool.serve() as server, httpx.Client(base_url=server.url, trust_env=False) as http:
        yield http


NAMES = st.sampled_from(
    [
        "client_id",
        "client_secret",
        "redirect_uri",
        "response_type",
        "scope",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
        "resource",
        "prompt",
        "grant_type",
        "code",
        "code_verifier",
        "refresh_token",
        "token",
        "username",
        "password",
        "logout_uri",
    ]
)
KNOWN = f"app web {SECRET} {BACK} {BYE} code token none openid S256 {CHALLENGE} {VERIFIER} joe a.b.c https://a.example"
GRANTS = "authorization_code refresh_token client_credentials"
VALUES = st.sampled_from(["", "http://[", "\u2028%00", *KNOWN.split(), *GRANTS.split()])
Fields: TypeAlias = list[tuple[str, str]]
FIELDS = st.lists(st.tuples(NAMES | st.text(max_size=5), VALUES | st.text(max_size=20)), max_size=12)
TEXTS = st.text(alphabet=st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#"), max_size=40)
PATHS = ["/oauth2/authorize", "/login", "/logout", "/oauth2/token", "/oauth2/revoke", "/oauth2/userInfo"]
GOOD = [("client_id", "app"), ("redirect_uri", BACK), ("response_type", "code")]


@settings(deadline=None, derandomize=True, max_examples=150)
@given(
    path=st.sampled_from(PATHS),
    method=st.sampled_from(["GET", "POST"]),
    query=TEXTS | FIELDS | FIELDS.map(lambda fields: GOOD + fields),
    body=st.binary(max_size=40) | FIELDS,
)
@example(path="/login", method="POST", query=GOOD, body=[("username", "joe")])
def test_nothing_is_an_internal_error(
    anything: httpx.Client, path: str, method: str, query: str | Fields, body: bytes | Fields
) -> None:
    """Any query and any form gets an answer of the kinds that Cognito gives, and leads nowhere unregistered."""
    query_text = query if isinstance(query, str) else urlencode(query)
    content = body if isinstance(body, bytes) else urlencode(body).encode()
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    response = anything.request(method, f"{path}?{query_text}", content=content, headers=form)
    assert response.status_code in {200, 302, 400, 401, 405}
    if response.status_code == 302:
        assert response.headers["location"].startswith(("/login?", BACK, "myapp://back", BYE))
