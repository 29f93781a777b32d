"""FakeUserPoolServer: Cognito's answers over real HTTP, and an answer to anything at all."""

import json
import socket
import threading
from base64 import b64encode
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection, HTTPException, HTTPMessage
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import jwt
import pytest

from cognito_guard.errors import UnavailableError
from cognito_guard.scopes import ResourceServer
from cognito_guard.testing import AppClient, FakeUserPool, FakeUserPoolServer

ORDERS = ResourceServer("orders", {"read": "Read orders", "write": "Change orders"})
SECRET = "secret+with+plus+signs_0123"
MACHINE = AppClient(client_id="machine", client_secret=SECRET, scopes=(ORDERS["read"],))
PUBLIC = AppClient(client_id="public", scopes=(ORDERS["read"],))
WITHOUT_SCOPES = AppClient(client_id="scopeless", client_secret=SECRET)
POOL = FakeUserPool(clients=[MACHINE, PUBLIC, WITHOUT_SCOPES], resource_servers=[ORDERS])
JWKS_PATH = "/eu-west-1_FakePool1/.well-known/jwks.json"
DISCOVERY_PATH = "/eu-west-1_FakePool1/.well-known/openid-configuration"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Response(NamedTuple):
    status: int
    headers: HTTPMessage
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


@pytest.fixture
def server() -> Iterator[FakeUserPoolServer]:
    with POOL.serve() as running:
        yield running


def request(
    server: FakeUserPoolServer,
    method: str,
    path: str,
    body: str | bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Send one request on a connection of its own."""
    connection = HTTPConnection(urlsplit(server.url).netloc, timeout=10)
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        return Response(response.status, response.headers, response.read())
    finally:
        connection.close()


def ask(server: FakeUserPoolServer, headers: Mapping[str, str] | None = None, /, **form: str) -> Response:
    """Send a token request."""
    return request(server, "POST", "/oauth2/token", urlencode(form), {**FORM, **(headers or {})})


def basic(client_id: str, client_secret: str) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'{client_id}:{client_secret}'.encode()).decode()}"}


def refused(response: Response) -> str:
    """Return the error code of a refusal that is in Cognito's form."""
    assert response.status == 400
    assert response.headers["cache-control"] == "no-store"
    assert list(response.json) == ["error"]
    code: str = response.json["error"]
    return code


def test_jwks_is_the_pools_as_of_now() -> None:
    """A rotation shows in the next answer."""
    pool = FakeUserPool()
    with pool.serve() as server:
        assert server.jwks_uri == server.url + JWKS_PATH
        before = request(server, "GET", JWKS_PATH)
        pool.rotate()
        after = request(server, "GET", JWKS_PATH)
    assert before.status == after.status == 200
    assert before.headers["content-type"].startswith("application/json")
    assert before.json["keys"] == after.json["keys"][:2]
    assert after.json == pool.jwks


def test_discovery_names_the_pools_issuer_and_this_servers_endpoints(server: FakeUserPoolServer) -> None:
    """The issuer is what tokens carry; the endpoints are where they are."""
    document = request(server, "GET", DISCOVERY_PATH).json
    assert document["issuer"] == POOL.issuer
    assert document["jwks_uri"] == server.jwks_uri
    assert document["token_endpoint"] == server.token_endpoint == f"{server.url}/oauth2/token"
    assert document["id_token_signing_alg_values_supported"] == ["RS256"]


@pytest.mark.parametrize("path", ["/", "/eu-west-1_Other/.well-known/jwks.json", JWKS_PATH + "/", "/oauth2/introspect"])
def test_unknown_path_is_not_found(server: FakeUserPoolServer, path: str) -> None:
    """Other pools and endpoints that Cognito has not are not there."""
    assert request(server, "GET", path).status == 404


@pytest.mark.parametrize(
    "method, path, allow",
    [
        ("POST", JWKS_PATH, "GET, HEAD"),
        ("DELETE", DISCOVERY_PATH, "GET, HEAD"),
        ("GET", "/oauth2/token", "POST"),
        ("OPTIONS", "/oauth2/token", "POST"),
    ],
)
def test_wrong_method_is_told_the_right_ones(server: FakeUserPoolServer, method: str, path: str, allow: str) -> None:
    """405 carries Allow (RFC 9110 §15.5.6)."""
    response = request(server, method, path)
    assert (response.status, response.headers["allow"]) == (405, allow)


def test_head_has_the_headers_and_no_content(server: FakeUserPoolServer) -> None:
    """HEAD is GET without the content."""
    get, head = (request(server, method, JWKS_PATH) for method in ("GET", "HEAD"))
    assert (head.status, head.content) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"] == str(len(get.content))


@pytest.mark.parametrize("encode", [str, quote], ids=["as it is", "percent-encoded"])
def test_machine_with_basic_credentials_is_granted_its_scopes(server: FakeUserPoolServer, encode: Any) -> None:
    """The usual way in, with the secret encoded as RFC 6749 §2.3.1 asks or not."""
    response = ask(server, basic("machine", encode(SECRET)), grant_type="client_credentials")
    assert response.status == 200
    assert response.headers["cache-control"] == "no-store"
    assert {**response.json, "access_token": ""} == {"access_token": "", "expires_in": 3600, "token_type": "Bearer"}
    key = jwt.PyJWK(POOL.access_key.jwk())
    claims = jwt.decode(response.json["access_token"], key, algorithms=["RS256"], issuer=POOL.issuer)
    assert claims["sub"] == claims["client_id"] == "machine"
    assert claims["scope"] == "orders/read"
    assert claims["exp"] - claims["iat"] == 3600


def test_machine_with_credentials_in_the_body_is_granted_what_it_asks_for(server: FakeUserPoolServer) -> None:
    """The other way in; a scope asked for twice is granted once."""
    form = {"client_id": "machine", "client_secret": SECRET, "scope": "orders/read orders/read"}
    response = ask(server, grant_type="client_credentials", **form)
    assert response.status == 200
    assert jwt.decode(response.json["access_token"], options={"verify_signature": False})["scope"] == "orders/read"


def test_client_id_in_the_body_next_to_basic_credentials_is_accepted(server: FakeUserPoolServer) -> None:
    """The ID alone is no second way of authenticating, unless it is another one."""
    headers = basic("machine", SECRET)
    assert ask(server, headers, grant_type="client_credentials", client_id="machine").status == 200
    assert refused(ask(server, headers, grant_type="client_credentials", client_id="public")) == "invalid_request"


@pytest.mark.parametrize(
    "code, form",
    [
        ("invalid_client", {"client_id": "unknown", "client_secret": SECRET}),
        ("invalid_client", {"client_id": "machine", "client_secret": "wrong"}),
        ("invalid_client", {"client_id": "machine", "client_secret": ""}),
        ("invalid_client", {"client_id": "machine", "client_secret": "naïve"}),
        ("invalid_client", {"client_id": "machine"}),
        ("invalid_request", {}),
        ("invalid_request", {"client_secret": SECRET}),
        ("unauthorized_client", {"client_id": "public"}),
        ("unauthorized_client", {"client_id": "scopeless", "client_secret": SECRET}),
        ("invalid_scope", {"client_id": "machine", "client_secret": SECRET, "scope": "orders/delete"}),
        ("invalid_scope", {"client_id": "machine", "client_secret": SECRET, "scope": "orders/read openid"}),
        ("invalid_grant", {"client_id": "machine", "client_secret": SECRET, "scope": "orders/write"}),
        ("invalid_grant", {"client_id": "machine", "client_secret": SECRET, "scope": "orders/read orders/write"}),
    ],
)
def test_refusal_is_in_cognitos_words(server: FakeUserPoolServer, code: str, form: dict[str, str]) -> None:
    """An undeclared scope is told from one that is not the client's, an unknown client from one without a secret."""
    assert refused(ask(server, grant_type="client_credentials", **form)) == code


@pytest.mark.parametrize(
    "code, body",
    [
        ("invalid_request", ""),
        ("invalid_request", "grant_type="),
        ("invalid_request", "client_id=machine"),
        ("invalid_request", "grant_type=client_credentials&grant_type=client_credentials"),
        ("invalid_request", "grant_type=client_credentials&scope=%ff"),
        ("invalid_request", b"grant_type=\xff"),
        ("invalid_request", "grant_type=client_credentials&scope=" + "x" * 20_000),
        ("invalid_request", "{}"),
        ("unsupported_grant_type", "grant_type=password"),
        ("invalid_request", "grant_type=authorization_code&code=1"),
    ],
)
def test_broken_token_request_is_refused(server: FakeUserPoolServer, code: str, body: str | bytes) -> None:
    """What is not one form with one grant type is refused, although the credentials are right."""
    response = request(server, "POST", "/oauth2/token", body, {**FORM, **basic("machine", SECRET)})
    assert refused(response) == code


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "", "multipart/form-data; boundary=x"])
def test_other_content_type_is_refused(server: FakeUserPoolServer, content_type: str) -> None:
    """A token request is a form (RFC 6749 §4.4.2); parameters of the media type do not matter."""
    headers = {**basic("machine", SECRET), "Content-Type": content_type}
    body = "grant_type=client_credentials"
    assert refused(request(server, "POST", "/oauth2/token", body, headers)) == "invalid_request"
    headers["Content-Type"] = "Application/X-WWW-Form-Urlencoded; charset=utf-8"
    assert request(server, "POST", "/oauth2/token", body, headers).status == 200


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Basic",
        "Basic !!!!",
        "Basic é",
        "Bearer abc",
        "Basic " + b64encode(b"no colon").decode(),
        "Basic " + b64encode(b"machine:%ff").decode(),
        "Basic " + b64encode(b"\xff:\xff").decode(),
        "Bearer " + b64encode(f"machine:{SECRET}".encode()).decode(),
    ],
)
def test_broken_client_authentication_is_refused(server: FakeUserPoolServer, value: str) -> None:
    """What is not Basic credentials is no client's."""
    response = ask(server, {"Authorization": value}, grant_type="client_credentials")
    assert refused(response) == "invalid_client"


def test_two_ways_of_authenticating_at_once_are_refused(server: FakeUserPoolServer) -> None:
    """A client uses one method per request (RFC 6749 §2.3)."""
    form = {"client_id": "machine", "client_secret": SECRET}
    response = ask(server, basic("machine", SECRET), grant_type="client_credentials", **form)
    assert refused(response) == "invalid_request"


def test_chunked_body_is_refused_and_the_connection_closed(server: FakeUserPoolServer) -> None:
    """A body that was not read can't be taken for the next request."""
    connection = HTTPConnection(urlsplit(server.url).netloc, timeout=10)
    body = iter([b"grant_type=client_credentials"])
    connection.request("POST", "/oauth2/token", body, {**FORM, **basic("machine", SECRET)}, encode_chunked=True)
    response = connection.getresponse()
    assert json.loads(response.read()) == {"error": "invalid_request"}
    assert response.will_close
    connection.close()


def test_several_requests_share_a_connection(server: FakeUserPoolServer) -> None:
    """HTTP/1.1 connections are kept, also across refusals."""
    connection = HTTPConnection(urlsplit(server.url).netloc, timeout=10)
    statuses: list[int] = []
    for method, path, body in [("POST", "/nowhere", "x=1"), ("POST", "/oauth2/token", "x=1"), ("GET", JWKS_PATH, None)]:
        connection.request(method, path, body, FORM)
        response = connection.getresponse()
        response.read()
        statuses.append(response.status)
        assert not response.will_close
    connection.close()
    assert statuses == [404, 400, 200]


@pytest.mark.parametrize(
    "garbage",
    [
        b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9.9\r\n\r\n",
        b"BREW /pot HTTP/1.1\r\n\r\n",
        b"GET //[ HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno header\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 200 + b"\r\n",
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /oauth2/token HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /oauth2/token HTTP/1.1\r\nContent-Length: \xb2\r\n\r\n",
        b"POST /oauth2/token HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"POST /oauth2/token HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"POST /oauth2/token HTTP/1.1\r\nContent-Length: 100\r\n\r\ntoo short",
    ],
)
def test_garbage_leaves_the_server_standing_and_silent(
    server: FakeUserPoolServer, garbage: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever a client sends, the next one is served and nothing is printed."""
    with socket.create_connection(("127.0.0.1", urlsplit(server.url).port or 0), timeout=10) as client:
        client.sendall(garbage)
        client.shutdown(socket.SHUT_WR)
        while client.recv(65536):
            pass
    assert request(server, "GET", JWKS_PATH).status == 200
    assert capfd.readouterr() == ("", "")


def test_requests_are_seen_in_order_and_counted(server: FakeUserPoolServer) -> None:
    """A test can tell what was asked for, and how often."""
    assert not server.requests
    request(server, "GET", f"{JWKS_PATH}?x=1")
    request(server, "GET", DISCOVERY_PATH)
    request(server, "POST", "/oauth2/token")
    assert server.requests == (("GET", JWKS_PATH), ("GET", DISCOVERY_PATH), ("POST", "/oauth2/token"))
    assert server.count("jwks.json") == 1
    assert server.count("/.well-known/openid-configuration") == 1
    assert server.count("nowhere") == 0


def test_concurrent_requests_are_all_counted(server: FakeUserPoolServer) -> None:
    """No request is lost to a race."""
    barrier = threading.Barrier(8)

    def hit() -> None:
        barrier.wait()
        for _ in range(5):
            assert request(server, "GET", JWKS_PATH).status == 200

    threads = [threading.Thread(target=hit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.count("jwks.json") == 40


def test_outage_takes_the_key_set_down_and_nothing_else(server: FakeUserPoolServer) -> None:
    """Tokens are still granted while the key endpoint answers 503, and it comes back."""
    server.down()
    assert request(server, "GET", JWKS_PATH).status == 503
    assert ask(server, basic("machine", SECRET), grant_type="client_credentials").status == 200
    server.up()
    assert request(server, "GET", JWKS_PATH).status == 200
    assert server.count("jwks.json") == 2


def test_verifier_fetches_its_keys_over_http(server: FakeUserPoolServer) -> None:
    """The first token costs one request for the key set, the second none."""
    verifier = server.verifier()
    assert server.count("jwks.json") == 0
    assert verifier.verify(POOL.access_token()).username == "jane"
    assert verifier.verify(POOL.client_token(client_id="machine")).is_machine
    assert server.count("jwks.json") == 1


def test_verifier_without_keys_is_stopped_by_an_outage(server: FakeUserPoolServer) -> None:
    """No keys and an endpoint that is down: no verdict."""
    server.down()
    with pytest.raises(UnavailableError):
        server.verifier().verify(POOL.access_token())


def test_overrides_win_over_the_servers_settings(server: FakeUserPoolServer) -> None:
    """A verifier given its keys asks no server."""
    verifier = server.verifier(jwks=POOL.jwks)
    assert verifier.verify(POOL.access_token()).username == "jane"
    assert server.requests == ()


def test_closed_server_answers_nobody() -> None:
    """Neither a new connection nor one that was kept alive is served after closing."""
    server = POOL.serve().start()
    address = urlsplit(server.url).netloc
    kept = HTTPConnection(address, timeout=10)
    kept.request("GET", JWKS_PATH)
    kept.getresponse().read()
    server.close()
    with pytest.raises((OSError, HTTPException)):
        _get(kept)
    with pytest.raises(OSError, match="refused"):
        _get(HTTPConnection(address, timeout=10))
    kept.close()


def _get(connection: HTTPConnection) -> None:
    connection.auto_open = int(connection.sock is None)
    connection.request("GET", JWKS_PATH)
    connection.getresponse()


def test_starting_and_closing_twice_changes_nothing() -> None:
    """Both are idempotent, and no thread stays behind."""
    server = POOL.serve()
    server.close()
    assert server.start() is server
    url = server.url
    assert server.start().url == url
    server.close()
    server.close()
    assert not [thread for thread in threading.enumerate() if thread.name == f"listener-{urlsplit(url).port}"]


def test_server_that_does_not_run_has_no_url() -> None:
    """A URL that leads nowhere is not given out."""
    with pytest.raises(RuntimeError, match="with"):
        POOL.serve().url  # noqa: B018 - reading it is the test


def test_two_servers_of_one_pool_have_ports_of_their_own() -> None:
    """Servers never collide."""
    with POOL.serve() as one, POOL.serve() as two:
        assert one.url != two.url
        assert request(one, "GET", JWKS_PATH).json == request(two, "GET", JWKS_PATH).json
