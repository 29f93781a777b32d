"""ProtectedResource: a document that is configuration alone, served at one path, and named in every challenge."""

from __future__ import annotations

import json
from typing import Any

import pytest
from adapters import ask, handshake, talk
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from cognito_guard import ConfigurationError, FetchError, Requires, ResourceServer
from cognito_guard.asgi import CognitoMiddleware, Receive, Scope, Send
from cognito_guard.guard import Guard
from cognito_guard.metadata import ProtectedResource
from cognito_guard.starlette import requires
from cognito_guard.testing import FakeUserPool

WELL_KNOWN = "/.well-known/oauth-protected-resource"
HOST = "https://api.example.com"
API = f"{HOST}/orders"
ISSUER = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_FakePool1"
NAMED = f'resource_metadata="{HOST}{WELL_KNOWN}/orders"'


def resource(identifier: Any = API, **options: Any) -> ProtectedResource:
    """Describe a resource whose tokens the fake user pool issues."""
    chosen: dict[str, Any] = {"authorization_servers": ISSUER} | options
    return ProtectedResource(identifier, **chosen)


def client_of(pool: FakeUserPool, **options: Any) -> TestClient:
    """Return a client of a guarded application with one route of its own."""
    chosen: dict[str, Any] = {"verifier": pool.verifier(), "metadata": resource()} | options
    middleware = Middleware(CognitoMiddleware, **chosen)
    app = Starlette(routes=[Route("/items", _items, methods=["GET", "POST"])], middleware=[middleware])
    return TestClient(app, HOST)


async def _items(_request: Request) -> Response:
    return PlainTextResponse("items")


# The document


def test_document_holds_what_was_configured(transactions: ResourceServer) -> None:
    """The members are those of RFC 9728 §2; the declared scopes become `scopes_supported`."""
    metadata = resource(scopes=transactions, name="Orders", authorization_servers=[ISSUER, "https://login.example.com"])
    assert json.loads(metadata.document) == {
        "resource": API,
        "authorization_servers": [ISSUER, "https://login.example.com"],
        "scopes_supported": ["transactions/get", "transactions/post"],
        "bearer_methods_supported": ["header"],
        "resource_name": "Orders",
    }


def test_document_leaves_out_what_is_not_known() -> None:
    """A member without a value is omitted, not empty (RFC 9728 §3.2)."""
    assert json.loads(resource().document) == {
        "resource": API,
        "authorization_servers": [ISSUER],
        "bearer_methods_supported": ["header"],
    }


@pytest.mark.parametrize(
    "scopes", ["orders/read", ["orders/read"], ("orders/read", "orders/read"), iter(["orders/read"])]
)
def test_document_takes_one_scope_or_several(scopes: Any) -> None:
    """As everywhere: one string or several, each once."""
    assert json.loads(resource(scopes=scopes).document)["scopes_supported"] == ["orders/read"]


def test_identifier_stays_as_it_was_written() -> None:
    """Clients compare it code point by code point (RFC 9728 §3.3): no slash is added, no case is folded."""
    for identifier in (HOST, f"{HOST}/", f"{API}/", "https://API.example.com/Orders", f"{HOST}:443"):
        metadata = resource(identifier)
        assert metadata.resource == identifier
        assert json.loads(metadata.document)["resource"] == identifier


@pytest.mark.parametrize(
    "identifier, path, url",
    [
        pytest.param(HOST, WELL_KNOWN, HOST + WELL_KNOWN, id="a host"),
        pytest.param(f"{HOST}/", WELL_KNOWN, HOST + WELL_KNOWN, id="a host and a slash"),
        pytest.param(API, f"{WELL_KNOWN}/orders", f"{HOST}{WELL_KNOWN}/orders", id="a path"),
        pytest.param(f"{HOST}/a/b", f"{WELL_KNOWN}/a/b", f"{HOST}{WELL_KNOWN}/a/b", id="a longer path"),
        pytest.param(f"{HOST}:8443/a", f"{WELL_KNOWN}/a", f"{HOST}:8443{WELL_KNOWN}/a", id="a port"),
        pytest.param("https://[::1]/a", f"{WELL_KNOWN}/a", f"https://[::1]{WELL_KNOWN}/a", id="an IPv6 address"),
    ],
)
def test_well_known_part_goes_between_host_and_path(identifier: str, path: str, url: str) -> None:
    """RFC 9728 §3.1: inserted, not appended."""
    metadata = resource(identifier)
    assert (metadata.path, metadata.url) == (path, url)


@pytest.mark.parametrize(
    "identifier",
    [
        pytest.param("", id="empty"),
        pytest.param("orders", id="a bare name"),
        pytest.param("urn:orders", id="a URN"),
        pytest.param("https://", id="no host"),
        pytest.param("//api.example.com", id="no scheme"),
        pytest.param("ftp://api.example.com", id="another scheme"),
        pytest.param("http://api.example.com", id="plain http"),
        pytest.param("http://localhost:8000", id="plain http on loopback, not allowed"),
        pytest.param(f"{HOST}#x", id="a fragment"),
        pytest.param(f"{HOST}/?tenant=1", id="a query"),
        pytest.param("https://jane:secret@api.example.com", id="a user"),
        pytest.param(f" {HOST}", id="a blank in front"),
        pytest.param(f"{HOST}/\r\nSet-Cookie: a=b", id="a line break"),
        pytest.param(f"{HOST}/ü", id="no ASCII"),
        pytest.param(f"{HOST}:99999", id="no port"),
        pytest.param(None, id="None"),
        pytest.param(HOST.encode(), id="bytes"),
    ],
)
def test_identifier_that_is_no_https_url_is_refused(identifier: Any) -> None:
    """A mistake is found at construction, and names the setting."""
    with pytest.raises(ConfigurationError) as raised:
        resource(identifier)
    assert raised.value.setting == "resource"


@pytest.mark.parametrize(
    "options, setting",
    [
        pytest.param({"authorization_servers": []}, "authorization_servers", id="no server"),
        pytest.param({"authorization_servers": ""}, "authorization_servers", id="an empty server"),
        pytest.param({"authorization_servers": None}, "authorization_servers", id="None for a server"),
        pytest.param({"authorization_servers": "eu-west-1_FakePool1"}, "authorization_servers", id="a pool id"),
        pytest.param({"authorization_servers": [ISSUER, "http://a.example"]}, "authorization_servers", id="plain http"),
        pytest.param({"scopes": "orders/read orders/write"}, "scopes", id="two scopes in one string"),
        pytest.param({"scopes": ['orders/re"ad']}, "scopes", id="a quote in a scope"),
        pytest.param({"scopes": [""]}, "scopes", id="an empty scope"),
        pytest.param({"scopes": 1}, "scopes", id="a number for a scope"),
    ],
)
def test_setting_that_cannot_be_right_is_refused(options: dict[str, Any], setting: str) -> None:
    """The error names the setting that is wrong."""
    with pytest.raises(ConfigurationError) as raised:
        resource(**options)
    assert raised.value.setting == setting


def test_plain_http_is_for_loopback_and_by_permission() -> None:
    """For development on one's own machine; nowhere else, whatever is allowed."""
    local: dict[str, Any] = {"authorization_servers": "http://127.0.0.1:9229/local_1", "allow_insecure_http": True}
    assert resource("http://localhost:8000/a", **local).url == f"http://localhost:8000{WELL_KNOWN}/a"
    with pytest.raises(ConfigurationError, match="loopback"):
        resource("http://api.example.com", **local)


def test_repr_names_the_resource() -> None:
    """It is enough to tell one from another."""
    assert repr(resource()) == "<ProtectedResource https://api.example.com/orders>"


# Serving it


def test_document_is_served_without_a_token(pool: FakeUserPool) -> None:
    """A client reads it before it has any token; browsers of any origin may, and may keep it a while."""
    reply = client_of(pool).get(f"{WELL_KNOWN}/orders")
    assert (reply.status_code, reply.content) == (200, resource().document)
    assert dict(reply.headers) == {
        "content-type": "application/json",
        "cache-control": "public, max-age=3600",
        "access-control-allow-origin": "*",
        "content-length": str(len(resource().document)),
    }


def test_document_is_served_whatever_the_credentials(pool: FakeUserPool) -> None:
    """Nobody looks at them: a client with an expired token must be able to find out where to get another."""
    client = client_of(pool)
    for authorization in ("Bearer junk", "Bearer a b", f"Bearer {pool.access_token()}", "Basic eA=="):
        reply = client.get(f"{WELL_KNOWN}/orders", headers={"Authorization": authorization})
        assert reply.content == resource().document


def test_document_is_served_while_keys_are_down(pool: FakeUserPool) -> None:
    """It needs no key."""

    def down(_uri: str, _timeout: float) -> bytes:
        raise FetchError("down")

    client = client_of(pool, verifier=pool.verifier(fetch=down))
    assert client.get(f"{WELL_KNOWN}/orders", headers=pool.headers()).status_code == 200


def test_head_gets_the_headers_alone(pool: FakeUserPool) -> None:
    """The headers are those of GET (RFC 9110 §9.3.2)."""
    client = client_of(pool)
    reply = client.head(f"{WELL_KNOWN}/orders")
    assert (reply.status_code, reply.content) == (200, b"")
    assert reply.headers == client.get(f"{WELL_KNOWN}/orders").headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "get", "QUERY"])
def test_other_methods_are_guarded(pool: FakeUserPool, method: str) -> None:
    """The path is open to reading alone."""
    guarded = CognitoMiddleware(_refuse, pool.verifier(), metadata=resource())
    assert ask(guarded, f"{WELL_KNOWN}/orders", method=method).status == 401


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known",
        WELL_KNOWN,
        f"{WELL_KNOWN}/",
        f"{WELL_KNOWN}/orders/",
        f"{WELL_KNOWN}/orders/x",
        f"{WELL_KNOWN}/Orders",
        f"/{WELL_KNOWN}/orders",
        f"/orders{WELL_KNOWN}",
        f"/x{WELL_KNOWN}/orders",
        "/.well-known/oauth-authorization-server/orders",
    ],
)
def test_other_paths_are_guarded(pool: FakeUserPool, path: str) -> None:
    """The one path is compared whole."""
    reply = client_of(pool).get(f"{HOST}{path}")
    assert reply.status_code == 401


def test_query_makes_no_difference(pool: FakeUserPool) -> None:
    """It is no part of the path."""
    assert client_of(pool).get(f"{WELL_KNOWN}/orders?x=1").content == resource().document


def test_host_header_has_no_say(pool: FakeUserPool) -> None:
    """Nothing of the document, or of its URL in challenges, comes from the request."""
    client = client_of(pool)
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http"}
    assert client.get(f"{WELL_KNOWN}/orders", headers=headers).content == resource().document
    assert NAMED in client.get("/items", headers=headers).headers["www-authenticate"]


def test_path_is_free_only_where_metadata_is_configured(pool: FakeUserPool) -> None:
    """Without it, the well-known path is one like any other."""
    reply = client_of(pool, metadata=None).get(f"{WELL_KNOWN}/orders")
    assert (reply.status_code, reply.headers["www-authenticate"]) == (401, 'Bearer realm="cognito"')


def test_websocket_gets_no_document(pool: FakeUserPool) -> None:
    """Metadata is read by GET; a handshake at its path is one like any other."""
    guarded = CognitoMiddleware(_refuse, pool.verifier(), metadata=resource())
    [closed] = talk(guarded, handshake(f"{WELL_KNOWN}/orders"))
    assert closed["type"] == "websocket.close"


def test_document_is_at_the_root_of_the_host_below_a_root_path(pool: FakeUserPool) -> None:
    """An application that hangs at /orders is described at the host's own well-known path."""
    guarded = CognitoMiddleware(_refuse, pool.verifier(), metadata=resource())
    assert ask(guarded, f"{WELL_KNOWN}/orders", root_path="/orders").status == 200
    assert ask(guarded, f"/orders{WELL_KNOWN}", root_path="/orders").status == 401


def test_middleware_around_mounts_serves_the_document(pool: FakeUserPool) -> None:
    """The guard stands where all of the host's paths pass; what is mounted inside makes no difference."""
    inner = Starlette(routes=[Mount("/orders", routes=[Route("/items", _items)])])
    client = TestClient(CognitoMiddleware(inner, pool.verifier(), metadata=resource()), HOST)
    assert client.get(f"{WELL_KNOWN}/orders").content == resource().document
    assert NAMED in client.get("/orders/items").headers["www-authenticate"]
    assert client.get("/orders/items", headers=pool.headers()).text == "items"


def test_middleware_inside_a_mount_names_the_document_and_never_sees_its_path(pool: FakeUserPool) -> None:
    """The host's well-known path is not below the mount; the outer application has to serve it."""
    app = CognitoMiddleware(Starlette(routes=[Route("/items", _items)]), pool.verifier(), metadata=resource())
    client = TestClient(Starlette(routes=[Mount("/orders", app=app)]), HOST)
    assert NAMED in client.get("/orders/items").headers["www-authenticate"]
    assert client.get(f"{WELL_KNOWN}/orders").status_code == 404


# In challenges


@pytest.mark.parametrize(
    "authorization, requirement, error",
    [
        pytest.param(None, None, "", id="no token"),
        pytest.param("Bearer a b", None, 'error="invalid_request"', id="two tokens"),
        pytest.param("Bearer junk", None, 'error="invalid_token"', id="a bad token"),
        pytest.param("Bearer TOKEN", Requires(scopes="orders/read"), 'error="insufficient_scope"', id="no scope"),
        pytest.param("Bearer TOKEN", Requires(acr="mfa"), 'error="insufficient_user_authentication"', id="step-up"),
    ],
)
def test_every_challenge_names_the_document(
    pool: FakeUserPool, authorization: str | None, requirement: Requires | None, error: str
) -> None:
    """RFC 9728 §5.1: a parameter of the challenge, quoted, and there once."""
    headers = {} if authorization is None else {"Authorization": authorization.replace("TOKEN", pool.access_token())}
    challenge = client_of(pool, requirement=requirement).get("/items", headers=headers).headers["www-authenticate"]
    assert challenge.endswith(f", {NAMED}")
    assert challenge.count("resource_metadata") == 1
    assert error in challenge


def test_refusal_without_a_challenge_names_nothing(pool: FakeUserPool) -> None:
    """Another token would not help a caller who lacks a group."""
    reply = client_of(pool, requirement=Requires(groups="staff")).get("/items", headers=pool.headers())
    assert reply.status_code == 403
    assert "www-authenticate" not in reply.headers
    assert WELL_KNOWN not in reply.text


def test_decorated_endpoint_names_the_document(pool: FakeUserPool) -> None:
    """`@requires` answers with the metadata of the middleware in front of it."""
    middleware = Middleware(CognitoMiddleware, verifier=pool.verifier(), required=False, metadata=resource())
    client = TestClient(Starlette(routes=[Route("/", requires("orders/read")(_items))], middleware=[middleware]), HOST)
    expected = f'Bearer realm="cognito", scope="orders/read", {NAMED}'
    assert client.get("/").headers["www-authenticate"] == expected


def test_guard_replies_to_the_document_s_readers_alone(pool: FakeUserPool) -> None:
    """What adapters ask: a reply for GET and HEAD of the whole path, else None."""
    guard = Guard(verifier=pool.verifier(), metadata=resource())
    for method in ("GET", "HEAD"):
        reply = guard.metadata_reply(method, f"{WELL_KNOWN}/orders")
        assert reply is not None
        assert (reply.status, reply.body) == (200, resource().document)
    assert guard.metadata_reply("POST", f"{WELL_KNOWN}/orders") is None
    assert guard.metadata_reply("GET", "/orders") is None
    assert Guard(verifier=pool.verifier()).metadata_reply("GET", f"{WELL_KNOWN}/orders") is None


async def _refuse(_scope: Scope, _receive: Receive, _send: Send) -> None:
    pytest.fail("the application was reached")


@pytest.mark.parametrize(
    "identifier, path",
    [
        pytest.param("https://api.example.com/a%20b", f"{WELL_KNOWN}/a b", id="an encoded blank, as servers decode it"),
        pytest.param("https://api.example.com/mcp/", f"{WELL_KNOWN}/mcp/", id="a slash at the end, which stays"),
        pytest.param("https://api.example.com/", WELL_KNOWN, id="a slash after the host, which goes"),
    ],
)
def test_path_is_what_a_server_shows(identifier: str, path: str) -> None:
    """The document is found where a client that follows RFC 9728 §3.1 asks for it."""
    assert resource(identifier).path == path


def test_quote_in_an_identifier_is_refused() -> None:
    """It would end the quoted string of a challenge."""
    with pytest.raises(ConfigurationError):
        resource('https://api.example.com/a"b')


def test_document_is_found_behind_a_server_that_adds_its_root_path(pool: FakeUserPool) -> None:
    """A server that is told a root path puts it in front of well-known paths too."""
    client = client_of(pool, metadata=resource("https://api.example.com"))
    rooted = TestClient(client.app, root_path="/orders")
    assert rooted.get(f"/orders{WELL_KNOWN}").status_code == 200
    assert rooted.get(WELL_KNOWN).status_code == 200
