"""`@requires` and CognitoBackend: at home in Starlette, with the same answers as CognitoMiddleware."""

from __future__ import annotations

import inspect
import logging
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from starlette.applications import Starlette
from starlette.authentication import AuthenticationError
from starlette.authentication import requires as starlette_requires
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.testclient import TestClient
from starlette.websockets import WebSocket

from cognito_guard import ConfigurationError, FetchError, Principal, Reason, Requirement, Requires, ResourceServer
from cognito_guard.asgi import CognitoMiddleware, Message
from cognito_guard.starlette import CognitoBackend, requires
from cognito_guard.testing import FakeClock, FakeUserPool

from . import (
    BAD_CREDENTIALS,
    BAD_TOKEN,
    DENIAL,
    NO_CREDENTIALS,
    NO_SCOPE,
    NO_TOKEN,
    NOT_ALLOWED,
    STEP_UP,
    UNAVAILABLE,
    Answer,
    Header,
    Present,
    answer,
    ask,
    bearer,
    handshake,
    refusal,
    talk,
)

MakeMiddleware: TypeAlias = Callable[..., Middleware]
Demand: TypeAlias = str | Requirement

GET = "transactions/get"
POST = "transactions/post"
NO_TOKEN_FOR_GET = refusal(401, b'Bearer realm="cognito", scope="transactions/get"', NO_TOKEN.body)
HELLO: Message = {"type": "websocket.receive", "text": "hello"}


def behind_cognito(pool: FakeUserPool, **options: Any) -> Middleware:
    """Guard with CognitoMiddleware."""
    return Middleware(CognitoMiddleware, verifier=options.pop("verifier", None) or pool.verifier(), **options)


def behind_starlette(pool: FakeUserPool, **options: Any) -> Middleware:
    """Guard with Starlette's own middleware."""
    backend = CognitoBackend(options.pop("verifier", None) or pool.verifier(), **options)
    return Middleware(AuthenticationMiddleware, backend=backend, on_error=backend.on_error)


@pytest.fixture(params=["CognitoMiddleware", "CognitoBackend"])
def anonymous_allowed(request: pytest.FixtureRequest) -> MakeMiddleware:
    """Return a function that makes either middleware so that requests without credentials get through to routes."""
    return partial(behind_cognito, required=False) if request.param == "CognitoMiddleware" else behind_starlette


async def whoami(request: Request) -> Response:
    """Answer with the caller's display name."""
    return PlainTextResponse(request.user.display_name)


def decorated(kind: str, *demands: Demand) -> BaseRoute:
    """Make one route at "/" whose endpoint of this kind is guarded."""

    @requires(*demands)
    async def plain_async(request: Request) -> Response:
        return await whoami(request)

    @requires(*demands)
    def plain_sync(request: Request) -> Response:
        return PlainTextResponse(request.user.display_name)

    class Endpoint(HTTPEndpoint):
        @requires(*demands)
        async def get(self, request: Request) -> Response:
            return await whoami(request)

        @requires(*demands)
        def post(self, request: Request) -> Response:
            return PlainTextResponse(request.user.display_name)

    class Resource:
        @requires(*demands)
        async def show(self, request: Request) -> Response:
            return await whoami(request)

    @requires(*demands)
    async def with_more(prefix: str, request: Request) -> Response:
        return PlainTextResponse(prefix + request.user.display_name)

    class CallableEndpoint:
        async def __call__(self, request: Request) -> Response:
            return await whoami(request)

    endpoints: dict[str, Any] = {
        "async function": plain_async,
        "sync function": plain_sync,
        "class": Endpoint,
        "bound method": Resource().show,
        "partial": partial(with_more, ""),
        "async object": requires(*demands)(CallableEndpoint()),
    }
    return Route("/", endpoints[kind])


def app_of(middleware: Middleware, *routes: BaseRoute) -> Starlette:
    """Make an application."""
    return Starlette(routes=routes, middleware=[middleware])


HTTP_KINDS = ["async function", "sync function", "class", "bound method", "partial", "async object"]


# @requires over http


@pytest.mark.parametrize("kind", HTTP_KINDS)
def test_requires_tells_401_from_403_from_a_pass(
    pool: FakeUserPool, anonymous_allowed: MakeMiddleware, kind: str
) -> None:
    """No caller is a 401 that names the scope, a caller without the scope a 403, one with it gets through."""
    app = app_of(anonymous_allowed(pool), decorated(kind, GET))
    assert ask(app) == NO_TOKEN_FOR_GET
    assert ask(app, "/", bearer(pool.access_token())) == NO_SCOPE
    assert ask(app, "/", bearer(pool.access_token(scopes=[GET]))).body == b"jane"


@pytest.mark.parametrize("kind", HTTP_KINDS)
def test_requires_without_demands_wants_a_caller(
    pool: FakeUserPool, anonymous_allowed: MakeMiddleware, kind: str
) -> None:
    """`@requires()` is satisfied by any verified token, and by nothing less."""
    app = app_of(anonymous_allowed(pool), decorated(kind))
    assert ask(app) == NO_TOKEN
    assert ask(app, "/", bearer("junk")) == BAD_TOKEN
    assert ask(app, "/", bearer(pool.access_token(scopes=()))).body == b"jane"


def test_requires_guards_every_method_of_a_class(pool: FakeUserPool, anonymous_allowed: MakeMiddleware) -> None:
    """Sync and async methods of one class-based endpoint, HEAD by way of GET, and none that is not there."""
    app = app_of(anonymous_allowed(pool), decorated("class", GET))
    for method in ("GET", "POST", "HEAD"):
        assert ask(app, method=method).status == 401
        assert ask(app, "/", bearer(pool.access_token(scopes=[GET])), method=method).status == 200
    assert ask(app, "/", bearer(pool.access_token(scopes=[GET])), method="DELETE").status == 405


@pytest.mark.parametrize(
    "demands, token, expected",
    [
        pytest.param([GET, POST], {"scopes": [GET, POST]}, None, id="two scopes, both granted"),
        pytest.param([Requires(groups="admins")], {"groups": ["admins"]}, None, id="a group, met"),
        pytest.param([Requires(groups="admins")], {"groups": ["admin"]}, NOT_ALLOWED, id="a group, not met"),
        pytest.param([GET, Requires(groups="admins")], {"scopes": [GET]}, NOT_ALLOWED, id="both, no group"),
        pytest.param([GET, Requires(groups="admins")], {"groups": ["admins"]}, NO_SCOPE, id="both, no scope"),
        pytest.param([GET, Requires(groups="admins")], {"scopes": [GET], "groups": ["admins"]}, None, id="both, met"),
        pytest.param(
            [Requires(scopes=GET) & Requires(groups="admins")], {"groups": ["admins"]}, NO_SCOPE, id="&, one missing"
        ),
        pytest.param([Requires(scopes=GET) | Requires(groups="admins")], {"groups": ["admins"]}, None, id="|, second"),
        pytest.param([Requires(scopes=GET) | Requires(groups="admins")], {"scopes": [GET]}, None, id="|, first"),
        pytest.param([Requires(scopes=GET) | Requires(groups="admins")], {}, NO_SCOPE, id="|, neither"),
        pytest.param([~Requires(groups="banned")], {"groups": ["banned"]}, NOT_ALLOWED, id="~, excluded"),
        pytest.param([~Requires(groups="banned")], {"groups": ["staff"]}, None, id="~, not excluded"),
        pytest.param([GET, ~Requires(groups="banned")], {"scopes": [GET], "groups": ["banned"]}, NOT_ALLOWED, id="& ~"),
        pytest.param([Requires(max_age=300)], {"auth_time": 0}, STEP_UP, id="too long ago"),
        pytest.param([Requires(max_age=300)], {}, None, id="just now"),
        pytest.param([GET], {"scopes": ["transactions/ge"]}, NO_SCOPE, id="a prefix of the scope"),
        pytest.param([GET], {"scopes": ["transactions/get2"]}, NO_SCOPE, id="the scope as a prefix"),
        pytest.param([GET], {"scopes": ["TRANSACTIONS/GET"]}, NO_SCOPE, id="the scope in capitals"),
        pytest.param([GET], {"scopes": ["authenticated"]}, NO_SCOPE, id="a scope called authenticated"),
    ],
)
def test_requires_composes(
    pool: FakeUserPool,
    anonymous_allowed: MakeMiddleware,
    demands: Sequence[Demand],
    token: dict[str, Any],
    expected: Answer | None,
) -> None:
    """Scopes and requirements, all at once or composed, decide as they do everywhere."""
    app = app_of(anonymous_allowed(pool), decorated("async function", *demands))
    reply = ask(app, "/", bearer(pool.access_token(**token)))
    assert reply == expected if expected else reply.status == 200


@pytest.mark.parametrize(
    "demands, scope",
    [
        pytest.param([GET, POST], b"transactions/get transactions/post", id="two scopes"),
        pytest.param([Requires(scopes=POST) & Requires(scopes=GET)], b"transactions/post transactions/get", id="&"),
        pytest.param([Requires(scopes=POST) | Requires(scopes=GET)], b"transactions/post", id="|"),
        pytest.param([Requires(any_scopes=[POST, GET])], b"transactions/post", id="any_scopes"),
        pytest.param([GET, GET], b"transactions/get", id="one scope twice"),
    ],
)
def test_challenge_names_all_that_is_needed_at_once(
    pool: FakeUserPool, anonymous_allowed: MakeMiddleware, demands: Sequence[Demand], scope: bytes
) -> None:
    """A client should not have to ask scope by scope: one `scope` parameter in the 401 and in the 403 alike."""
    app = app_of(anonymous_allowed(pool), decorated("async function", *demands))
    for headers in ([], [bearer(pool.access_token())]):
        challenge = dict(ask(app, "/", *headers).headers)[b"www-authenticate"]
        assert challenge.endswith(b', scope="' + scope + b'"')
        assert challenge.count(b"scope=") == 1


def test_anonymous_caller_is_asked_to_come_with_a_token_whatever_is_demanded(
    pool: FakeUserPool, anonymous_allowed: MakeMiddleware
) -> None:
    """Without a caller there is nobody to forbid anything: 401, also for groups, ages and exclusions."""
    for demand in (Requires(groups="admins"), Requires(max_age=300), ~Requires(groups="banned")):
        assert ask(app_of(anonymous_allowed(pool), decorated("async function", demand))) == NO_TOKEN


def test_implied_scope_is_enough(pool: FakeUserPool, anonymous_allowed: MakeMiddleware) -> None:
    """`implies` counts for `@requires` and for Starlette's own decorator alike."""

    @starlette_requires([GET, POST])
    async def theirs(request: Request) -> Response:
        return await whoami(request)

    verifier = pool.verifier(implies={POST: [GET]})
    app = app_of(anonymous_allowed(pool, verifier=verifier), decorated("async function", GET), Route("/theirs", theirs))
    for path in ("/", "/theirs"):
        assert ask(app, path, bearer(pool.access_token(scopes=[POST]))).status == 200
        assert ask(app, path, bearer(pool.access_token(scopes=["x/y"]))).status == 403


def test_requires_may_be_stacked(pool: FakeUserPool, anonymous_allowed: MakeMiddleware) -> None:
    """Two decorators are two guards; the outer one answers first."""

    @requires(GET)
    @requires(Requires(groups="admins"))
    async def endpoint(request: Request) -> Response:
        return await whoami(request)

    app = app_of(anonymous_allowed(pool), Route("/", endpoint))
    assert ask(app, "/", bearer(pool.access_token(groups=["admins"]))) == NO_SCOPE
    assert ask(app, "/", bearer(pool.access_token(scopes=[GET]))) == NOT_ALLOWED
    assert ask(app, "/", bearer(pool.access_token(scopes=[GET], groups=["admins"]))).body == b"jane"


def test_requires_answers_in_the_realm_of_its_middleware(pool: FakeUserPool, anonymous_allowed: MakeMiddleware) -> None:
    """The realm is configured once."""
    app = app_of(anonymous_allowed(pool, realm="orders"), decorated("sync function"))
    for headers in ([], [bearer("junk")]):
        assert dict(ask(app, "/", *headers).headers)[b"www-authenticate"].startswith(b'Bearer realm="orders"')


def test_requires_logs_its_refusals(
    pool: FakeUserPool, anonymous_allowed: MakeMiddleware, caplog: pytest.LogCaptureFixture
) -> None:
    """Every refusal is one record with its reason, whoever refuses."""
    caplog.set_level(logging.INFO, "cognito_guard")
    app = app_of(anonymous_allowed(pool), decorated("async function", GET))
    for headers in ([], [bearer("junk")], [bearer(pool.access_token())], [bearer(pool.access_token(scopes=[GET]))]):
        ask(app, "/", *headers)
    reasons = [record.__dict__["reason"] for record in caplog.records if record.name == "cognito_guard"]
    assert reasons == [Reason.MISSING_TOKEN, Reason.MALFORMED_TOKEN, Reason.INSUFFICIENT_SCOPE]


def test_refused_handler_does_not_run(pool: FakeUserPool, anonymous_allowed: MakeMiddleware) -> None:
    """The decision comes first: neither the endpoint nor its body is touched."""
    ran: list[Request] = []

    @requires(GET)
    def endpoint(request: Request) -> Response:
        ran.append(request)
        return PlainTextResponse("")

    app = app_of(anonymous_allowed(pool), Route("/", endpoint))
    ask(app)
    ask(app, "/", bearer(pool.access_token()))
    assert not ran


def test_requires_keeps_what_the_endpoint_says_of_itself() -> None:
    """Name, docstring, signature and annotations are the endpoint's, for routing and for schemas."""

    async def list_orders(request: Request) -> Response:
        """List orders."""
        return await whoami(request)

    def add_order(request: Request) -> Response:
        """Add an order."""
        return PlainTextResponse(request.method)

    for endpoint in (list_orders, add_order):
        guarded: Any = requires(GET)(endpoint)
        assert guarded.__wrapped__ is endpoint
        for name in ("__name__", "__qualname__", "__doc__", "__module__", "__annotations__"):
            assert getattr(guarded, name) == getattr(endpoint, name)
        assert inspect.signature(guarded) == inspect.signature(endpoint)
        assert inspect.iscoroutinefunction(guarded) is inspect.iscoroutinefunction(endpoint)
        assert Route("/", guarded).name == endpoint.__name__


@pytest.mark.parametrize("kind", HTTP_KINDS)
def test_requires_without_a_middleware_is_a_mistake_of_the_configuration(kind: str) -> None:
    """It is found on the first request, and is no answer to it: neither a pass nor a 401."""
    with pytest.raises(ConfigurationError, match="neither CognitoMiddleware nor CognitoBackend") as raised:
        ask(Starlette(routes=[decorated(kind, GET)]))
    assert raised.value.setting == "requires"


def test_requires_believes_no_user_that_others_put_into_the_scope() -> None:
    """An authenticated user of another middleware is no verified principal."""
    with pytest.raises(ConfigurationError):
        ask(
            Starlette(routes=[decorated("async function")]),
            user=object(),
            auth=object(),
            cognito_guard={"principal": "root"},
        )


def test_requires_on_what_takes_no_request_is_a_mistake() -> None:
    """An endpoint without a request can't be guarded, and says so when it is called."""

    @requires(GET)
    def endpoint(order: int) -> int:
        return order

    with pytest.raises(ConfigurationError, match="neither a request nor a websocket"):
        endpoint(1)


@pytest.mark.parametrize(
    "demand",
    [
        pytest.param([GET, POST], id="a list of scopes, as Starlette's own decorator takes"),
        pytest.param(None, id="None"),
        pytest.param(b"transactions/get", id="bytes"),
        pytest.param(whoami, id="the endpoint itself: no parentheses"),
        pytest.param("transactions/get transactions/post", id="two scopes in one text"),
        pytest.param("", id="an empty scope"),
    ],
)
def test_demand_that_is_none_is_found_at_import(demand: Any) -> None:
    """A demand is a scope or a Requirement; anything else fails before there is an endpoint to serve."""
    with pytest.raises(ConfigurationError):
        requires(demand)


def test_requires_takes_arguments_of_requires(pool: FakeUserPool, anonymous_allowed: MakeMiddleware) -> None:
    """To be met as well as the demands."""
    app = app_of(anonymous_allowed(pool), Route("/", requires(GET, groups=["staff"])(whoami)))
    assert ask(app) == NO_TOKEN_FOR_GET
    assert ask(app, "/", bearer(pool.access_token(groups=["staff"]))) == NO_SCOPE
    assert ask(app, "/", bearer(pool.access_token(scopes=[GET]))) == NOT_ALLOWED
    assert ask(app, "/", bearer(pool.access_token(scopes=[GET], groups=["staff"]))).body == b"jane"
    with pytest.raises(ConfigurationError):
        requires(max_age=-1)


def test_requires_on_a_class_is_found_at_import() -> None:
    """A class is no endpoint function: its methods are what can be guarded."""

    class Endpoint(HTTPEndpoint):
        async def get(self, request: Request) -> Response:
            return await whoami(request)

    with pytest.raises(ConfigurationError):
        requires(GET)(Endpoint)


# @requires over WebSocket


async def feed(websocket: WebSocket) -> None:
    """Greet the caller."""
    await websocket.accept()
    await websocket.send_text(websocket.user.display_name)
    await websocket.close()


class Feed(WebSocketEndpoint):
    """Greet the caller on connecting, and answer what it says."""

    encoding = "text"

    @requires(GET)
    async def on_connect(self, websocket: WebSocket) -> None:
        """Greet the caller."""
        await websocket.accept()
        await websocket.send_text(websocket.user.display_name)

    async def on_receive(self, websocket: WebSocket, data: str) -> None:
        """Answer; nobody may get here who was refused on connecting."""
        await websocket.send_text(f"you said {data}")


@pytest.fixture(params=["function", "endpoint"])
def feed_route(request: pytest.FixtureRequest) -> BaseRoute:
    """Return a guarded WebSocket route of either kind."""
    return WebSocketRoute("/", requires(GET)(feed) if request.param == "function" else Feed)


@pytest.mark.parametrize(
    "scopes, expected",
    [
        pytest.param(None, NO_TOKEN_FOR_GET, id="no token"),
        pytest.param([POST], NO_SCOPE, id="another scope"),
    ],
)
def test_refused_websocket_is_denied_with_the_challenge(
    pool: FakeUserPool,
    anonymous_allowed: MakeMiddleware,
    feed_route: BaseRoute,
    scopes: list[str] | None,
    expected: Answer,
) -> None:
    """Before accept: the whole response where the server can send one, else close 1008, and no word gets in."""
    app = app_of(anonymous_allowed(pool), feed_route)
    headers = [] if scopes is None else [bearer(pool.access_token(scopes=scopes))]
    sent = talk(app, handshake("/", *headers, extensions=[DENIAL]), HELLO)
    assert answer(sent, "websocket.") == expected
    sent = talk(app, handshake("/", *headers), HELLO)
    assert sent == [{"type": "websocket.close", "code": 1008, "reason": ""}]


def test_websocket_of_a_good_caller_is_open(
    pool: FakeUserPool, anonymous_allowed: MakeMiddleware, feed_route: BaseRoute
) -> None:
    """The handler accepts, and knows its caller."""
    app = app_of(anonymous_allowed(pool), feed_route)
    sent = talk(app, handshake("/", bearer(pool.access_token(scopes=[GET])), extensions=[DENIAL]), HELLO)
    assert [message["type"] for message in sent[:2]] == ["websocket.accept", "websocket.send"]
    assert sent[1]["text"] == "jane"


def test_refusal_after_accept_closes(pool: FakeUserPool, anonymous_allowed: MakeMiddleware) -> None:
    """Once a WebSocket is open no response can be sent, whatever the server's extensions: it is closed, 1008."""

    class Chat(WebSocketEndpoint):
        encoding = "text"

        @requires(GET)
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await websocket.send_text(f"you said {data}")

    app = app_of(anonymous_allowed(pool), WebSocketRoute("/", Chat))
    for extensions in ([], [DENIAL]):
        sent = talk(app, handshake("/", extensions=extensions), HELLO)
        assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]
        assert sent[-1]["code"] == 1008
        sent = talk(app, handshake("/", bearer(pool.access_token(scopes=[GET])), extensions=extensions), HELLO)
        assert sent[-1].get("text") == "you said hello"


def test_websocket_without_a_middleware_is_a_mistake_of_the_configuration(feed_route: BaseRoute) -> None:
    """As over http, nothing is accepted and nothing answered."""
    with pytest.raises(ConfigurationError):
        talk(Starlette(routes=[feed_route]), handshake("/", extensions=[DENIAL]))


# Starlette's own means


def test_starlettes_requires_understands_the_caller(pool: FakeUserPool, anonymous_allowed: MakeMiddleware) -> None:
    """`@requires("authenticated")` and `@requires(scope)` of Starlette work behind both."""

    @starlette_requires("authenticated")
    async def member(request: Request) -> Response:
        return await whoami(request)

    @starlette_requires(["authenticated", GET])
    def reader(request: Request) -> Response:
        return PlainTextResponse(request.user.display_name)

    app = app_of(anonymous_allowed(pool), Route("/member", member), Route("/reader", reader))
    jane, reading_jane = bearer(pool.access_token()), bearer(pool.access_token(scopes=[GET]))
    with TestClient(app) as client:

        def statuses(*headers: Header) -> list[int]:
            return [client.get(path, headers=list(headers)).status_code for path in ("/member", "/reader")]

        assert statuses() == [403, 403]
        assert statuses(jane) == [200, 403]
        assert statuses(reading_jane) == [200, 200]


def test_request_user_is_the_principal(pool: FakeUserPool, anonymous_allowed: MakeMiddleware) -> None:
    """`request.user` has what Starlette asks of a user, and `request.auth` the scopes."""
    seen: list[Request] = []

    async def endpoint(request: Request) -> Response:
        seen.append(request)
        return PlainTextResponse("")

    app = app_of(anonymous_allowed(pool), Route("/", endpoint))
    ask(app, "/", bearer(pool.access_token(scopes=[GET])))
    ask(app, "/", bearer(pool.client_token(scopes=[POST])))
    person, machine = seen
    assert isinstance(person.user, Principal)
    assert person.user.is_authenticated is True
    assert (person.user.display_name, person.user.identity) == ("jane", pool.subject("jane"))
    assert person.auth.scopes == ["authenticated", GET]
    assert machine.user.is_machine
    assert (machine.user.display_name, machine.user.identity) == (pool.client_id, pool.client_id)
    assert machine.auth.scopes == ["authenticated", POST]


def test_anonymous_request_user_is_nobody(pool: FakeUserPool, anonymous_allowed: MakeMiddleware) -> None:
    """Without credentials `request.user` is there, is not authenticated, and has neither name nor identity."""
    seen: list[Request] = []

    async def endpoint(request: Request) -> Response:
        seen.append(request)
        return PlainTextResponse("")

    ask(app_of(anonymous_allowed(pool), Route("/", endpoint)))
    user = seen[0].user
    assert (user.is_authenticated, user.display_name, user.identity) == (False, "", "")
    assert seen[0].auth.scopes == []


@pytest.mark.parametrize("present, expected, reason", BAD_CREDENTIALS)
def test_backend_answers_bad_credentials_as_the_middleware_does(
    pool: FakeUserPool, caplog: pytest.LogCaptureFixture, present: Present, expected: Answer, reason: Reason
) -> None:
    """With `on_error`, Starlette's middleware refuses in the very same bytes, and logs the very same reason."""
    caplog.set_level(logging.INFO, "cognito_guard")
    app = app_of(behind_starlette(pool), Route("/", whoami))
    assert ask(app, "/", *present(pool)) == expected
    assert [record.__dict__["reason"] for record in caplog.records] == [reason.value]


@pytest.mark.parametrize("present, expected, reason", NO_CREDENTIALS)
def test_backend_takes_absent_credentials_for_anonymous(
    pool: FakeUserPool, present: Present, expected: Answer, reason: Reason
) -> None:
    """As backends do: what needs a caller says so with `@requires`."""
    del reason
    app = app_of(behind_starlette(pool), Route("/", whoami), Route("/guarded", requires()(whoami)))
    assert ask(app, "/", *present(pool)) == Answer(status=200, headers=ask(app).headers)
    assert ask(app, "/guarded", *present(pool)) == expected


def test_requirement_of_the_backend_is_that_of_every_caller(pool: FakeUserPool) -> None:
    """Who comes with a token must meet it on every route, whoever guards that; without one a request is anonymous."""
    middleware = behind_starlette(pool, requirement=Requires(scopes=POST, groups="admins"))
    theirs = starlette_requires("authenticated")(whoami)
    routes = [Route("/", whoami), Route("/ours", requires(GET)(whoami)), Route("/theirs", theirs)]
    app = app_of(middleware, *routes)
    assert ask(app).body == b""
    needed = b'Bearer realm="cognito", scope="transactions/post transactions/get"'
    assert ask(app, "/ours") == refusal(401, needed, NO_TOKEN.body)
    for path in ("/", "/ours", "/theirs"):
        assert ask(app, path, bearer(pool.access_token(scopes=[GET, POST]))) == NOT_ALLOWED
        assert ask(app, path, bearer(pool.access_token(scopes=[GET, POST], groups=["admins"]))).body == b"jane"
        poor = dict(ask(app, path, bearer(pool.access_token(scopes=[GET], groups=["admins"]))).headers)
        assert poor[b"www-authenticate"].endswith(b', scope="transactions/post"')


@pytest.mark.parametrize("required", [True, False, "no", None])
def test_backend_does_not_say_who_may_be_anonymous(pool: FakeUserPool, required: Any) -> None:
    """Endpoints do, by `@requires`."""
    options: dict[str, Any] = {"required": required}
    with pytest.raises(ConfigurationError, match="@requires") as raised:
        CognitoBackend(pool.verifier(), **options)
    assert raised.value.setting == "required"


def test_backend_says_unavailable_while_keys_are_down(pool: FakeUserPool, clock: FakeClock) -> None:
    """503 with Retry-After, through Starlette's middleware too."""

    def fetch(_uri: str, _timeout: float) -> bytes:
        raise FetchError("down")

    app = app_of(behind_starlette(pool, verifier=pool.verifier(fetch=fetch, timer=clock)), Route("/", whoami))
    assert ask(app, "/", bearer(pool.access_token())) == UNAVAILABLE


def test_backend_without_on_error_refuses_still(pool: FakeUserPool) -> None:
    """Starlette's default answer to every error is a plain 400: worse words, no pass, and nothing of the token."""
    middleware = Middleware(AuthenticationMiddleware, backend=CognitoBackend(pool.verifier()))
    reply = ask(app_of(middleware, Route("/", whoami)), "/", bearer("junk"))
    assert (reply.status, reply.body) == (400, b"the request was refused")


def test_backend_refuses_a_websocket_with_bad_credentials(pool: FakeUserPool) -> None:
    """Starlette's middleware closes it before accept."""
    app = app_of(behind_starlette(pool), WebSocketRoute("/", feed))
    assert talk(app, handshake("/", bearer("junk"))) == [{"type": "websocket.close", "code": 1000}]


def test_on_error_leaves_other_errors_alone() -> None:
    """An AuthenticationError of somebody else's is not ours to answer."""
    error = AuthenticationError("another backend's")
    with pytest.raises(AuthenticationError) as raised:
        CognitoBackend.on_error(HTTPConnection({"type": "http"}), error)
    assert raised.value is error


def test_backend_checks_its_realm(pool: FakeUserPool) -> None:
    """A realm that can't be quoted is found at construction."""
    with pytest.raises(ConfigurationError) as raised:
        CognitoBackend(pool.verifier(), realm='"')
    assert raised.value.setting == "realm"


def test_lifespan_passes_through_the_middleware(pool: FakeUserPool, anonymous_allowed: MakeMiddleware) -> None:
    """Starting up needs no token: TestClient runs the lifespan, and then asks."""
    with TestClient(app_of(anonymous_allowed(pool), Route("/", whoami))) as client:
        assert client.get("/", headers=pool.headers()).text == "jane"


# Default deny


@pytest.mark.parametrize(
    "method, path",
    [
        ("GET", "/"),
        ("GET", "/nowhere"),
        ("GET", "/sub"),
        ("GET", "/sub/"),
        ("GET", "/sub/inner"),
        ("GET", "/sub/deeper/inner"),
        ("GET", "/sub/healthz"),
        ("GET", "/static/secret.txt"),
        ("GET", "/static/../secret.txt"),
        ("GET", "/static/healthz"),
        ("GET", "/openapi.json"),
        ("POST", "/healthz/"),
        ("GET", "/healthz/"),
        ("DELETE", "/"),
        ("OPTIONS", "/"),
        ("BREW", "/nowhere"),
    ],
)
def test_whatever_is_not_exempt_is_guarded(pool: FakeUserPool, tmp_path: Path, method: str, path: str) -> None:
    """Unmatched paths, mounts, static files, redirects of slashes and wrong methods tell nothing without a token."""
    (tmp_path / "secret.txt").write_text("secret")
    app = app_of(
        behind_cognito(pool, exempt=["/healthz"]),
        Route("/", whoami),
        Route("/healthz", whoami),
        Mount("/sub", routes=[Route("/inner", whoami), Mount("/deeper", routes=[Route("/inner", whoami)])]),
        Mount("/static", StaticFiles(directory=tmp_path)),
    )
    assert ask(app, path, method=method) == NO_TOKEN
    assert ask(app, "/static/secret.txt", bearer(pool.access_token())).body == b"secret"
    assert ask(app, "/healthz").status == 200


def test_exempt_path_takes_every_method_to_the_router(pool: FakeUserPool) -> None:
    """What is exempt is the path; its methods are the router's business."""
    app = app_of(behind_cognito(pool, exempt=["/healthz"]), Route("/healthz", whoami))
    assert [ask(app, "/healthz", method=method).status for method in ("GET", "HEAD", "POST")] == [200, 200, 405]


def test_guarded_endpoint_on_an_exempt_path_stays_guarded(pool: FakeUserPool) -> None:
    """An exemption lets a request through to the endpoint; what the endpoint demands is not lifted."""
    app = app_of(behind_cognito(pool, exempt=["/"]), decorated("async function", GET))
    assert ask(app) == NO_TOKEN_FOR_GET
    assert ask(app, "/", bearer(pool.access_token(scopes=[GET]))) == NO_TOKEN_FOR_GET


def test_guard_inside_a_mount_guards_the_mount_alone(pool: FakeUserPool) -> None:
    """As the middleware of a mount it reads `exempt` below the mount."""

    def opened(_: Request) -> Response:
        return PlainTextResponse("open")

    inner = Mount("/api", routes=[Route("/healthz", whoami)], middleware=[behind_cognito(pool, exempt=["/healthz"])])
    app = Starlette(routes=[inner, Route("/healthz", opened)])
    assert ask(app, "/api/healthz").status == 200
    assert ask(app, "/api/api/healthz") == NO_TOKEN
    assert ask(app, "/healthz").body == b"open"


def test_nearest_guard_judges(pool: FakeUserPool, anonymous_allowed: MakeMiddleware) -> None:
    """Where one guard stands inside another, `@requires` and `request.user` follow the inner one."""
    other = FakeUserPool("eu-west-1_Another00", clock=pool.clock)
    outer = behind_cognito(pool, realm="outer", exempt=["/inner/", "/inner"])
    routes = [Route("/", requires()(whoami))]
    inner = Mount("/inner", routes=routes, middleware=[anonymous_allowed(other, realm="inner")])
    app = app_of(outer, inner, *routes)
    assert ask(app, "/inner/", bearer(other.access_token(username="joe"))).body == b"joe"
    assert ask(app, "/", bearer(pool.access_token())).body == b"jane"
    for path, headers, realm in (("/", [], b"outer"), ("/inner/", [], b"inner"), ("/inner/", [bearer("x")], b"inner")):
        assert b'realm="' + realm + b'"' in dict(ask(app, path, *headers).headers)[b"www-authenticate"]


ORIGIN = {"Origin": "https://app.example.com"}


@pytest.mark.parametrize("is_cors_outside", [True, False])
def test_cors_preflight_is_answered_without_a_token(pool: FakeUserPool, is_cors_outside: bool) -> None:
    """CORSMiddleware answers the preflight on either side of the guard, and the handler does not run."""
    cors = Middleware(CORSMiddleware, allow_origins=["https://app.example.com"], expose_headers=["WWW-Authenticate"])
    both = [cors, behind_cognito(pool)]
    app = Starlette(
        routes=[Route("/", requires()(whoami), methods=["GET", "OPTIONS"])],
        middleware=both if is_cors_outside else both[::-1],
    )
    with TestClient(app) as client:
        preflight = client.options("/", headers=ORIGIN | {"Access-Control-Request-Method": "GET"})
        assert (preflight.status_code, preflight.text) == (200, "OK")
        assert client.options("/", headers=ORIGIN).status_code == 401
        refused = client.get("/", headers=ORIGIN)
        assert refused.status_code == 401
        assert ("access-control-allow-origin" in refused.headers) is is_cors_outside


def test_forged_preflight_runs_no_guarded_handler(pool: FakeUserPool, anonymous_allowed: MakeMiddleware) -> None:
    """Without CORSMiddleware a preflight reaches the endpoint as anonymous, which `@requires` refuses."""
    app = app_of(anonymous_allowed(pool), Route("/", requires(GET)(whoami), methods=["OPTIONS"]))
    headers = [(b"origin", b"https://evil.example"), (b"access-control-request-method", b"GET")]
    assert ask(app, "/", *headers, method="OPTIONS") == NO_TOKEN_FOR_GET


def test_key_error_in_an_endpoint_is_no_refusal(pool: FakeUserPool, anonymous_allowed: MakeMiddleware) -> None:
    """A bug in a guarded endpoint is a 500, as it is in any other."""

    @requires(GET)
    async def endpoint(_request: Request) -> Response:
        raise KeyError("order")

    app = app_of(anonymous_allowed(pool), Route("/", endpoint))
    with pytest.raises(KeyError, match="order"):
        ask(app, "/", bearer(pool.access_token(scopes=[GET])))
    client = TestClient(app, raise_server_exceptions=False)
    assert client.get("/", headers=pool.headers(scopes=[GET])).status_code == 500


def test_streaming_endpoint_streams(pool: FakeUserPool, anonymous_allowed: MakeMiddleware) -> None:
    """A guarded endpoint may answer in pieces."""

    @requires()
    async def endpoint(_request: Request) -> Response:
        return StreamingResponse(iter([b"a", b"b", b"c"]))

    app = app_of(anonymous_allowed(pool), Route("/", endpoint))
    assert ask(app, "/", bearer(pool.access_token())).body == b"abc"


def test_typo_in_a_scope_is_found_at_import(transactions: ResourceServer) -> None:
    """Declared scopes are looked up by name: a wrong one is a KeyError before any request."""
    with pytest.raises(KeyError, match="'put' is no scope"):
        requires(transactions["put"])


# Without Starlette

WITHOUT_STARLETTE = """
import sys
sys.modules["starlette"] = None
import cognito_guard.asgi
assert not any(name.startswith("starlette.") for name in sys.modules)
try:
    import cognito_guard.starlette
except ImportError as error:
    print(error)
"""


def test_missing_starlette_is_named_with_its_extra() -> None:
    """The ASGI middleware needs no framework; the Starlette adapter says what to install."""
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_STARLETTE], capture_output=True, text=True, timeout=30, check=True
    )
    assert result.stdout == "cognito_guard.starlette needs Starlette: pip install 'cognito-guard[asgi]'\n"
    assert result.stderr == ""
