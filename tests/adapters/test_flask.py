"""The Flask extension: views, classes and blueprints guarded, each refusal seen by the application's own handlers."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from typing import Any, TypeAlias

import pytest
from flask import Blueprint, Flask, Response, g, stream_with_context
from flask.testing import FlaskClient
from flask.typing import ResponseReturnValue
from flask.views import MethodView, View
from flask_cors import CORS
from werkzeug.exceptions import Forbidden, HTTPException, Unauthorized
from werkzeug.serving import make_server
from werkzeug.test import TestResponse

from cognito_guard import ConfigurationError, MissingTokenError, Principal, Reason, Requires
from cognito_guard.flask import (
    CognitoGuard,
    RefusedRequest,
    current_principal,
    principal_or_none,
    principal_verified,
    request_refused,
)
from cognito_guard.metadata import ProtectedResource
from cognito_guard.testing import FakeUserPool
from cognito_guard.tokens.bearer import Headers
from cognito_guard.tokens.credentials import header

from . import BAD_TOKEN, NO_SCOPE, NO_TOKEN, NOT_ALLOWED, Answer
from .contract import Answer as Reply

Endpoint: TypeAlias = Callable[..., Any]

GET = "transactions/get"
POST = "transactions/post"
BAD = {"Authorization": "Bearer junk"}
PREFLIGHT = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "PUT"}


def whoami() -> ResponseReturnValue:
    """Answer with the caller's username, or "anonymous"."""
    principal = principal_or_none()
    return str(principal.username) if principal else "anonymous"


async def awhoami() -> ResponseReturnValue:
    """Answer likewise, from a coroutine."""
    return whoami()


def read(response: TestResponse) -> Reply:
    """Return a response as a client reads it."""
    return Reply.of(response.status_code, response.headers, response.data)


def on_the_wire(expected: Answer) -> Reply:
    """Return a refusal as a client reads it."""
    headers = [(name.decode(), value.decode()) for name, value in expected.headers]
    return Reply.of(expected.status, headers, expected.body)


@pytest.fixture
def app() -> Flask:
    """Return an application that reports errors of views to the test."""
    made = Flask(__name__)
    made.testing = True
    return made


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Return a client of the application."""
    return app.test_client(use_cookies=False)


@pytest.fixture
def guard(app: Flask, pool: FakeUserPool) -> CognitoGuard:
    """Return an extension that guards the application."""
    return CognitoGuard(app, pool.verifier())


class Signals:
    """Remember what an application has sent."""

    def __init__(self, app: Flask) -> None:
        self.principals: list[Principal] = []
        self.refusals: list[dict[str, Any]] = []
        principal_verified.connect(self._verified, app)
        request_refused.connect(self._refused, app)

    def _verified(self, _app: Flask, principal: Principal) -> None:
        self.principals.append(principal)

    def _refused(self, _app: Flask, **said: Any) -> None:
        self.refusals.append(said)


# Views


def decorated(kind: str, decorate: Callable[[Endpoint], Endpoint]) -> Endpoint:
    """Make a view of this kind, so guarded."""

    class Dispatching(View):
        decorators = [decorate]  # noqa: RUF012

        def dispatch_request(self) -> ResponseReturnValue:
            return whoami()

    class Methods(MethodView):
        decorators = [decorate]  # noqa: RUF012

        async def get(self) -> ResponseReturnValue:
            return await awhoami()

    class OneMethod(MethodView):
        init_every_request = False

        @decorate
        async def get(self) -> ResponseReturnValue:
            return await awhoami()

    kinds: dict[str, Endpoint] = {
        "function": decorate(whoami),
        "coroutine function": decorate(awhoami),
        "view class": Dispatching.as_view("name"),
        "method view": Methods.as_view("name"),
        "method": OneMethod.as_view("name"),
    }
    return kinds[kind]


KINDS = ["function", "coroutine function", "view class", "method view", "method"]


@pytest.mark.parametrize("kind", KINDS)
def test_require_tells_401_from_403_from_a_pass(
    app: Flask,
    client: FlaskClient,
    guard: CognitoGuard,
    pool: FakeUserPool,
    caplog: pytest.LogCaptureFixture,
    kind: str,
) -> None:
    """No caller is a 401, a bad token too, a caller without the scope a 403; one with it gets through."""
    caplog.set_level(logging.INFO, "cognito_guard")
    app.add_url_rule("/", "name", decorated(kind, guard.require(GET)))
    challenge = 'Bearer realm="cognito", scope="transactions/get"'
    assert read(client.get("/")).challenges == [challenge]
    assert client.get("/", headers=BAD).status_code == 401
    assert read(client.get("/", headers=pool.headers())) == on_the_wire(NO_SCOPE)
    assert client.get("/", headers=pool.headers(scopes=[GET])).text == "jane"
    reasons = [record.__dict__["reason"] for record in caplog.records if record.name == "cognito_guard"]
    assert reasons == [Reason.MISSING_TOKEN, Reason.MALFORMED_TOKEN, Reason.INSUFFICIENT_SCOPE]
    assert CognitoGuard.unguarded(app) == ["static"]


@pytest.mark.parametrize("kind", KINDS)
def test_optional_lets_anonymous_callers_through_and_no_bad_ones(
    app: Flask, client: FlaskClient, guard: CognitoGuard, pool: FakeUserPool, kind: str
) -> None:
    """Absent credentials are nobody; present ones must be good."""
    app.add_url_rule("/", "name", decorated(kind, guard.optional))
    assert client.get("/").text == "anonymous"
    assert client.get("/", headers=pool.headers()).text == "jane"
    assert read(client.get("/", headers=BAD)) == on_the_wire(BAD_TOKEN)


@pytest.mark.parametrize(
    "demands, more, token, expected",
    [
        pytest.param([], {}, {"scopes": ()}, None, id="nothing"),
        pytest.param([GET, POST], {}, {"scopes": [GET, POST]}, None, id="two scopes, met"),
        pytest.param([GET], {"groups": "staff"}, {"groups": ["staff"]}, NO_SCOPE, id="demand and condition, no scope"),
        pytest.param([GET], {"groups": "staff"}, {"scopes": [GET]}, NOT_ALLOWED, id="demand and condition, no group"),
        pytest.param([GET], {"groups": "staff"}, {"scopes": [GET], "groups": ["staff"]}, None, id="both met"),
        pytest.param([], {"scopes": [GET]}, {}, NO_SCOPE, id="scopes, not met"),
        pytest.param([], {"any_groups": ["a", "b"]}, {"groups": ["b"]}, None, id="any group, met"),
        pytest.param([~Requires(groups="staff")], {}, {"groups": ["staff"]}, NOT_ALLOWED, id="excluded"),
        pytest.param([Requires(groups="a") | Requires(groups="b")], {}, {"groups": ["b"]}, None, id="either"),
    ],
)
def test_require_takes_demands_and_conditions(
    app: Flask,
    client: FlaskClient,
    guard: CognitoGuard,
    pool: FakeUserPool,
    demands: list[Any],
    more: dict[str, Any],
    token: dict[str, Any],
    expected: Answer | None,
) -> None:
    """Scopes, requirements and the arguments of one are all to be met."""
    app.add_url_rule("/", view_func=guard.require(*demands, **more)(whoami))
    response = client.get("/", headers=pool.headers(**token))
    assert read(response) == on_the_wire(expected) if expected else response.text == "jane"


def test_view_gets_its_arguments_and_keeps_its_name(
    app: Flask, client: FlaskClient, guard: CognitoGuard, pool: FakeUserPool
) -> None:
    """A guarded view is registered under its own name and called as it would be without."""

    @app.get("/orders/<int:number>")
    @guard.require()
    def show_order(number: int) -> ResponseReturnValue:
        return {"number": number}

    assert client.get("/orders/7", headers=pool.headers()).json == {"number": 7}
    assert "show_order" in app.view_functions
    assert show_order.__name__ == "show_order"


def test_mistakes_are_found_at_import(guard: CognitoGuard) -> None:
    """A forgotten call, a class and a misspelled condition raise before any request."""
    with pytest.raises(ConfigurationError):
        guard.require(whoami)  # type: ignore[arg-type]
    for decorate in (guard.require(), guard.optional):
        with pytest.raises(ConfigurationError, match="decorators"):
            decorate(MethodView)
    with pytest.raises(TypeError):
        guard.require(scope=GET)  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError):
        guard.require("two scopes")


def test_token_is_verified_once_however_many_ask(app: Flask, client: FlaskClient, pool: FakeUserPool) -> None:
    """Hooks and decorators share what the first of them found."""
    asked: list[Headers] = []

    def counting(headers: Headers) -> str | None:
        asked.append(headers)
        return header()(headers)

    guard = CognitoGuard(app, pool.verifier(), token_from=[counting])
    guard.protect(app)
    app.add_url_rule("/", view_func=guard.require(GET)(guard.optional(guard.require()(whoami))))
    assert client.get("/", headers=pool.headers(scopes=[GET])).text == "jane"
    assert len(asked) == 1


def test_errors_of_views_and_of_ours_propagate(
    app: Flask, client: FlaskClient, guard: CognitoGuard, pool: FakeUserPool
) -> None:
    """What is no refusal becomes none: neither a pass nor a 401."""
    error = KeyError("user")

    @app.get("/")
    @guard.require()
    async def view() -> ResponseReturnValue:
        raise error

    with pytest.raises(KeyError) as raised:
        client.get("/", headers=pool.headers())
    assert raised.value is error

    def broken(_headers: Headers) -> str | None:
        raise ZeroDivisionError

    other = Flask(__name__)
    CognitoGuard(other, pool.verifier(), token_from=[broken])
    other.add_url_rule("/", view_func=guard.require()(whoami))
    assert other.test_client().get("/", headers=pool.headers()).status_code == 500


# The caller


def test_current_principal_is_the_caller_in_a_guarded_view(
    app: Flask, client: FlaskClient, guard: CognitoGuard, pool: FakeUserPool
) -> None:
    """It can be used as the principal itself, also while a response is streamed."""

    @app.get("/")
    @guard.require()
    def view() -> ResponseReturnValue:
        assert isinstance(current_principal, Principal)
        assert current_principal
        assert current_principal == principal_or_none()
        return Response(stream_with_context(chunks()))

    def chunks() -> Iterator[str]:
        yield current_principal.subject

    assert client.get("/", headers=pool.headers()).text == pool.subject("jane")


def test_current_principal_says_where_there_is_none(app: Flask, client: FlaskClient, guard: CognitoGuard) -> None:
    """Outside a request, without guard and without caller, any use raises, and its truth is False."""
    seen: list[bool] = []

    def view() -> ResponseReturnValue:
        seen.append(bool(current_principal))
        assert principal_or_none() is None
        with pytest.raises(RuntimeError, match="no verified caller"):
            _ = current_principal.subject
        return "checked"

    app.add_url_rule("/unguarded", "unguarded", view)
    app.add_url_rule("/anonymous", "anonymous", guard.optional(view))
    assert view() == client.get("/unguarded").text == client.get("/anonymous").text == "checked"
    with app.app_context():
        view()
    assert seen == [False] * 4


def test_caller_does_not_outlive_the_request_within_one_application_context(
    app: Flask, client: FlaskClient, guard: CognitoGuard, pool: FakeUserPool
) -> None:
    """Where a context is pushed around requests they share one `g`, and must not share a caller."""
    app.add_url_rule("/", view_func=guard.optional(whoami))
    app.add_url_rule("/bare", "bare", whoami)
    with app.app_context(), client:
        assert client.get("/", headers=pool.headers()).text == "jane"
        assert [client.get(path).text for path in ("/", "/bare")] == ["anonymous", "anonymous"]
        assert client.get("/", headers=pool.headers(username="joe")).text == "joe"


def test_caller_does_not_outlive_the_request_on_a_servers_thread(
    app: Flask, guard: CognitoGuard, pool: FakeUserPool
) -> None:
    """One thread serves all of one connection, and then the next."""
    app.add_url_rule("/", view_func=guard.optional(whoami))
    app.add_url_rule("/bare", "bare", whoami)
    server = make_server("127.0.0.1", 0, app)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        answers: list[str] = []
        for path, headers in (("/", pool.headers()), ("/", {}), ("/bare", pool.headers(username="joe")), ("/bare", {})):
            connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
            connection.request("GET", path, headers=headers)
            answers.append(connection.getresponse().read().decode())
            connection.close()
        assert answers == ["jane", "anonymous", "anonymous", "anonymous"]
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def test_view_keeps_its_g(app: Flask, client: FlaskClient, guard: CognitoGuard, pool: FakeUserPool) -> None:
    """No context is pushed in between: what hooks put on `g` reaches the view, and what that puts there the hooks."""
    left: list[str] = []

    @app.before_request
    def before() -> None:
        g.note = "before"

    @app.after_request
    def after(response: Response) -> Response:
        left.append(g.note)
        return response

    @app.get("/")
    @guard.require()
    async def view() -> ResponseReturnValue:
        note: str = g.note
        g.note = "view"
        return note

    assert client.get("/", headers=pool.headers()).text == "before"
    assert left == ["view"]


def test_guarded_function_can_be_called_in_a_request_context(
    app: Flask, guard: CognitoGuard, pool: FakeUserPool
) -> None:
    """A test may call the view without routing; who may not meets the exception."""
    view = guard.require()(whoami)
    with app.test_request_context(headers=pool.headers()):
        assert view() == "jane"
    with app.test_request_context(), pytest.raises(RefusedRequest):
        view()


# Refusals, as applications see them


@pytest.mark.parametrize(
    "handled, is_seen",
    [
        pytest.param(401, True),
        pytest.param(403, False),
        pytest.param(Unauthorized, True),
        pytest.param(Forbidden, False),
        pytest.param(RefusedRequest, True),
        pytest.param(HTTPException, True),
        pytest.param(Exception, True),
    ],
)
def test_error_handler_of_the_application_sees_a_refusal(
    app: Flask, client: FlaskClient, guard: CognitoGuard, handled: Any, is_seen: bool
) -> None:
    """By status, by werkzeug's class or by ours; in it stands all that would have been sent."""
    app.add_url_rule("/", view_func=guard.require()(whoami))
    seen: list[Exception] = []

    @app.errorhandler(handled)
    def handle(error: RefusedRequest) -> ResponseReturnValue:
        seen.append(error)
        assert error.code == error.challenge.status == 401
        assert error.challenge.reason is Reason.MISSING_TOKEN
        assert isinstance(error.__cause__, MissingTokenError)
        assert error.get_body().encode() == error.challenge.body == NO_TOKEN.body
        assert tuple(error.get_headers()) == error.challenge.headers
        response = error.get_response()
        response.headers["X-Seen"] = "yes"
        return response

    reply = read(client.get("/"))
    assert reply.headers.pop("x-seen", None) == ("yes" if is_seen else None)
    assert reply == on_the_wire(NO_TOKEN)
    assert bool(seen) is is_seen


def test_error_handler_of_a_blueprint_sees_a_refusal(client: FlaskClient, app: Flask, guard: CognitoGuard) -> None:
    """Be it raised by a view of the blueprint or by the hook that protects it."""
    for name, protected in (("by-view", False), ("by-hook", True)):
        blueprint = Blueprint(name, __name__, url_prefix=f"/{name}")
        if protected:
            guard.protect(blueprint)
        blueprint.register_error_handler(401, lambda _: ("mine", 401))
        blueprint.add_url_rule("/", view_func=whoami if protected else guard.require()(whoami))
        app.register_blueprint(blueprint)
    assert [client.get(path).text for path in ("/by-view/", "/by-hook/")] == ["mine", "mine"]


def test_refusal_of_a_head_request_has_no_body(app: Flask, client: FlaskClient, guard: CognitoGuard) -> None:
    """Its headers are those of GET."""
    app.add_url_rule("/", view_func=guard.require()(whoami))
    expected = on_the_wire(NO_TOKEN)
    assert read(client.head("/")) == Reply(401, expected.challenges, expected.headers, b"")


def test_options_of_the_guard_are_taken(app: Flask, client: FlaskClient, pool: FakeUserPool) -> None:
    """Realm and form of the body, for example."""
    guard = CognitoGuard(app, pool.verifier(), realm="orders", problem_details=True)
    app.add_url_rule("/", view_func=guard.require()(whoami))
    response = client.get("/")
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="orders"'
    assert response.mimetype == "application/problem+json"


# Signals


def test_signals_tell_verified_callers_and_refusals(
    app: Flask, client: FlaskClient, guard: CognitoGuard, pool: FakeUserPool
) -> None:
    """Each is sent once a request by the application itself, and neither for an anonymous caller."""
    signals, others = Signals(app), Signals(Flask("another"))
    app.add_url_rule("/", view_func=guard.require(GET)(guard.require()(whoami)))
    app.add_url_rule("/optional", "optional", guard.optional(whoami))
    client.get("/optional")
    assert (signals.principals, signals.refusals) == ([], [])
    client.get("/", headers=pool.headers(scopes=[GET]))
    assert [principal.username for principal in signals.principals] == ["jane"]
    client.get("/", headers=BAD)
    client.get("/", headers=pool.headers(username="joe"))
    assert [principal.username for principal in signals.principals] == ["jane", "joe"]
    assert [[*said] for said in signals.refusals] == [["challenge"], ["challenge"]]
    reasons = [said["challenge"].reason for said in signals.refusals]
    assert reasons == [Reason.MALFORMED_TOKEN, Reason.INSUFFICIENT_SCOPE]
    assert "junk" not in repr(signals.refusals)
    assert (others.principals, others.refusals) == ([], [])


def test_receiver_of_a_signal_may_be_a_coroutine_function(
    app: Flask, client: FlaskClient, guard: CognitoGuard, pool: FakeUserPool
) -> None:
    """As with Flask's own signals; while it runs, the caller is known."""
    seen: list[str | None] = []

    async def verified(_app: Flask, principal: Principal) -> None:
        assert principal == current_principal
        seen.append(principal.username)

    async def refused(_app: Flask, **_said: object) -> None:
        seen.append("refused")

    app.add_url_rule("/", view_func=guard.require()(whoami))
    with principal_verified.connected_to(verified, app), request_refused.connected_to(refused, app):
        client.get("/", headers=pool.headers())
        client.get("/")
    assert seen == ["jane", "refused"]


# Blueprints and whole applications


def nested(guard: CognitoGuard, app: Flask, *protected: str) -> None:
    """Register a blueprint in another, with one view each, and one outside; protect some of the two."""
    outer, inner = Blueprint("outer", __name__, url_prefix="/outer"), Blueprint("inner", __name__, url_prefix="/inner")
    for blueprint in (outer, inner):
        if blueprint.name in protected:
            guard.protect(blueprint, GET)
        blueprint.add_url_rule("/", "view", whoami)
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    app.add_url_rule("/", "view", whoami)


@pytest.mark.parametrize(
    "protected, guarded",
    [
        pytest.param((), set[str](), id="none"),
        pytest.param(("outer",), {"/outer/", "/outer/inner/"}, id="outer"),
        pytest.param(("inner",), {"/outer/inner/"}, id="inner"),
        pytest.param(("outer", "inner"), {"/outer/", "/outer/inner/"}, id="both"),
    ],
)
def test_protect_guards_a_blueprint_and_all_within(
    app: Flask,
    client: FlaskClient,
    guard: CognitoGuard,
    pool: FakeUserPool,
    protected: tuple[str, ...],
    guarded: set[str],
) -> None:
    """And nothing else; `unguarded` tells the same."""
    nested(guard, app, *protected)
    endpoints = {"/": "view", "/outer/": "outer.view", "/outer/inner/": "outer.inner.view"}
    for path in endpoints:
        assert client.get(path).status_code == (401 if path in guarded else 200)
        assert client.get(path, headers=pool.headers()).status_code == (403 if path in guarded else 200)
        assert client.get(path, headers=pool.headers(scopes=[GET])).status_code == 200
    assert guard.unguarded(app) == sorted(["static", *(endpoints[path] for path in endpoints.keys() - guarded)])


def test_protected_application_denies_by_default(
    app: Flask, client: FlaskClient, guard: CognitoGuard, pool: FakeUserPool
) -> None:
    """Unmatched URLs, wrong methods and static files are guarded too: nothing is told to a stranger."""
    guard.protect(app)
    app.add_url_rule("/orders", view_func=whoami, methods=["POST"])
    requests = [
        ("GET", "/nowhere", 404),
        ("GET", "/orders", 405),
        ("GET", "/static/x.js", 404),
        ("POST", "/orders", 200),
    ]
    for method, path, status in requests:
        assert read(client.open(path, method=method)) == on_the_wire(NO_TOKEN)
        assert client.open(path, method=method, headers=pool.headers()).status_code == status
    assert guard.unguarded(app) == []


def test_protect_after_registration_fails(app: Flask, guard: CognitoGuard) -> None:
    """What would come too late to guard anything says so."""
    blueprint = Blueprint("late", __name__)
    app.register_blueprint(blueprint)
    with pytest.raises(AssertionError, match="can no longer be called"):
        guard.protect(blueprint)


def test_protect_checks_its_demands_at_import(app: Flask, guard: CognitoGuard) -> None:
    """As `require` does."""
    with pytest.raises(ConfigurationError):
        guard.protect(app, "two scopes")
    with pytest.raises(TypeError):
        guard.protect(app, scope=GET)  # type: ignore[call-arg]


# Preflights


@pytest.mark.parametrize("how", ["require", "optional", "protect"])
def test_preflight_is_answered_by_no_view(
    app: Flask, client: FlaskClient, guard: CognitoGuard, pool: FakeUserPool, how: str
) -> None:
    """It needs no token, and Flask answers it, so that nobody reads data by way of a view that takes OPTIONS."""

    def view() -> ResponseReturnValue:
        raise AssertionError("reached")

    if how == "protect":
        guard.protect(app)
    guarded: dict[str, Endpoint] = {"require": guard.require()(view), "optional": guard.optional(view)}
    app.add_url_rule("/", "view", guarded.get(how, view), methods=["GET", "OPTIONS"])
    for headers in (PREFLIGHT, PREFLIGHT | pool.headers(), PREFLIGHT | BAD):
        response = client.options("/", headers=headers)
        assert (response.status_code, response.data) == (200, b"")
        assert {*response.headers["Allow"].split(", ")} == {"GET", "HEAD", "OPTIONS"}


def test_preflight_of_what_is_not_there_is_answered_by_flask(
    app: Flask, client: FlaskClient, guard: CognitoGuard
) -> None:
    """Nothing is served there that could be guarded."""
    guard.protect(app)
    app.add_url_rule("/", view_func=whoami, methods=["GET"], provide_automatic_options=False)
    assert client.options("/nowhere", headers=PREFLIGHT).status_code == 404
    assert client.options("/", headers=PREFLIGHT).status_code == 405


@pytest.mark.parametrize("names", [(), ("Origin",), ("Access-Control-Request-Method",)])
def test_options_that_is_no_preflight_is_guarded(
    app: Flask, client: FlaskClient, guard: CognitoGuard, names: tuple[str, ...]
) -> None:
    """A view that takes OPTIONS is guarded as for any other method."""
    app.add_url_rule("/", view_func=guard.require()(whoami), methods=["OPTIONS"])
    headers = {name: PREFLIGHT[name] for name in names}
    assert read(client.options("/", headers=headers)) == on_the_wire(NO_TOKEN)


def test_cors_headers_stand_on_preflights_and_refusals(app: Flask, client: FlaskClient, guard: CognitoGuard) -> None:
    """Flask-CORS adds them to what we answer, so that a browser's script can read why."""
    CORS(app, origins=PREFLIGHT["Origin"], expose_headers=["WWW-Authenticate"])
    guard.protect(app)
    app.add_url_rule("/", view_func=whoami)
    preflight, refusal = client.options("/", headers=PREFLIGHT), client.get("/", headers=PREFLIGHT)
    assert (preflight.status_code, refusal.status_code) == (200, 401)
    for response in (preflight, refusal):
        assert response.headers["Access-Control-Allow-Origin"] == PREFLIGHT["Origin"]
    assert refusal.headers["Access-Control-Expose-Headers"] == "WWW-Authenticate"


# Audit


def test_wrong_order_of_decorators_is_found_by_the_audit(app: Flask, client: FlaskClient, guard: CognitoGuard) -> None:
    """A guard above the route guards nothing that Flask serves; a test can see that."""

    @guard.require()
    @app.get("/wrong")
    def wrong() -> ResponseReturnValue:
        return whoami()

    @app.get("/right")
    @guard.require()
    def right() -> ResponseReturnValue:
        return whoami()

    assert client.get("/wrong").status_code == 200
    assert client.get("/right").status_code == 401
    assert guard.unguarded(app) == ["static", "wrong"]


def test_class_with_one_method_that_nobody_guards_is_unguarded(app: Flask, guard: CognitoGuard) -> None:
    """Each method counts, those of base classes too."""

    class Half(MethodView):
        @guard.require()
        def get(self) -> ResponseReturnValue:
            return whoami()

        def post(self) -> ResponseReturnValue:
            return whoami()

    class Rest(Half):
        @guard.require()
        def post(self) -> ResponseReturnValue:
            return whoami()

    app.add_url_rule("/half", view_func=Half.as_view("half"))
    app.add_url_rule("/whole", view_func=Rest.as_view("whole"))
    assert guard.unguarded(app) == ["half", "static"]


# Applications, and their settings


def test_one_extension_serves_several_applications(pool: FakeUserPool) -> None:
    """Each judges by its own verifier: a caller of one is a stranger to the other."""
    other = FakeUserPool("eu-west-1_OtherPool", clock=pool.clock)
    guard = CognitoGuard(verifier=pool.verifier())
    view = guard.require()(whoami)
    first, second = Flask("first"), Flask("second")
    guard.init_app(first)
    guard.init_app(second, other.verifier())
    for app, mine, theirs in ((first, pool, other), (second, other, pool)):
        app.add_url_rule("/", view_func=view)
        assert app.test_client().get("/", headers=mine.headers()).text == "jane"
        assert app.test_client().get("/", headers=theirs.headers()).status_code == 401


def test_second_extension_on_one_application_is_refused(app: Flask, guard: CognitoGuard, pool: FakeUserPool) -> None:
    """Decorators of the first would judge by the verifier of the second."""
    with pytest.raises(ConfigurationError, match="already"):
        CognitoGuard(app, pool.verifier())


def test_application_without_extension_serves_no_guarded_view(app: Flask, client: FlaskClient) -> None:
    """A forgotten `init_app` is a server error for every request, not a pass."""
    app.add_url_rule("/", view_func=CognitoGuard().require()(whoami))
    with pytest.raises(ConfigurationError, match="init_app"):
        client.get("/")


@pytest.mark.parametrize("how", ["require", "protect", "optional"])
def test_requirement_of_the_extension_is_everybodys(
    app: Flask, client: FlaskClient, pool: FakeUserPool, how: str
) -> None:
    """Each guarded view demands it with its own; who comes with a token must meet it where that is optional too."""
    guard = CognitoGuard(app, pool.verifier(), requirement=Requires(scopes=POST, groups="admins"))
    if how == "protect":
        guard.protect(app, GET)
    guarded: dict[str, Endpoint] = {"require": guard.require(GET)(whoami), "optional": guard.optional(whoami)}
    app.add_url_rule("/", view_func=guarded.get(how, whoami))
    needed = POST if how == "optional" else f"{POST} {GET}"
    if how == "optional":
        assert client.get("/").text == "anonymous"
    else:
        assert read(client.get("/")).challenges == [f'Bearer realm="cognito", scope="{needed}"']
    assert read(client.get("/", headers=pool.headers(scopes=[GET, POST]))) == on_the_wire(NOT_ALLOWED)
    refused = read(client.get("/", headers=pool.headers(scopes=[GET], groups=["admins"])))
    assert (refused.status, refused.challenges[0].partition(", scope=")[2]) == (403, f'"{needed}"')
    assert client.get("/", headers=pool.headers(scopes=[GET, POST], groups=["admins"])).text == "jane"


def test_view_that_nobody_guards_demands_nothing(app: Flask, client: FlaskClient, pool: FakeUserPool) -> None:
    """`requirement=` is no guard of its own."""
    CognitoGuard(app, pool.verifier(), requirement=Requires(groups="admins"))
    app.add_url_rule("/", view_func=whoami)
    assert client.get("/", headers=pool.headers()).text == "anonymous"


@pytest.mark.parametrize(
    "options, setting",
    [
        pytest.param({"realm": '"'}, "realm", id="a realm that no header can hold"),
        pytest.param({"requirement": GET}, "requirement", id="a scope by its name"),
        pytest.param({"required": False}, "required", id="what the views say"),
        pytest.param({"required": True}, "required", id="what the views say, the other way"),
        pytest.param({"required": "no"}, "required", id="a word"),
    ],
)
def test_options_that_cannot_be_right_are_refused(
    app: Flask, pool: FakeUserPool, options: dict[str, Any], setting: str
) -> None:
    """By name; views say by their decorator whether their callers may be anonymous."""
    with pytest.raises(ConfigurationError) as raised:
        CognitoGuard(app, pool.verifier(), **options)
    assert raised.value.setting == setting


def test_option_that_nobody_has_is_refused_where_the_extension_is_made() -> None:
    """And not by the first application."""
    options: dict[str, Any] = {"exempt": "/healthz"}
    with pytest.raises(ConfigurationError, match="known are requirement") as raised:
        CognitoGuard(**options)
    assert raised.value.setting == "exempt"


@pytest.mark.parametrize("given", ["verifier", "blueprint", "name"])
def test_what_is_no_application_is_refused(pool: FakeUserPool, given: str) -> None:
    """A verifier in its place above all: other adapters take that first."""
    others: dict[str, Any] = {"verifier": pool.verifier(), "blueprint": Blueprint("b", __name__), "name": __name__}
    for prepare in (CognitoGuard, CognitoGuard(verifier=pool.verifier()).init_app):
        with pytest.raises(ConfigurationError, match="verifier=") as raised:
            prepare(others[given])
        assert raised.value.setting == "app"


Settings: TypeAlias = dict[str, Any]


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"COGNITO_CLIENT_ID": "1h57kf5cpq17m0eml12example"}, id="a text"),
        pytest.param({"COGNITO_CLIENT_ID": "another, 1h57kf5cpq17m0eml12example"}, id="texts with commas"),
        pytest.param({"COGNITO_CLIENT_ID": ["another", "1h57kf5cpq17m0eml12example"]}, id="a list"),
        pytest.param({"COGNITO_LEEWAY": 30, "COGNITO_MAX_TOKEN_AGE": 3600.0}, id="numbers"),
        pytest.param({"COGNITO_LEEWAY": "30"}, id="a number as a text"),
        pytest.param({"COGNITO_RESOURCE": "", "COGNITO_ISSUER": None}, id="empty ones"),
        pytest.param({"COGNITO_MAX_TOKEN_BYTES": 4096}, id="what only code can say"),
        pytest.param({"SECRET_KEY": "x", "MY_COGNITO_NOTE": "x"}, id="other people's"),
    ],
)
def test_verifier_is_made_from_the_configuration(
    app: Flask, client: FlaskClient, settings: Settings, pool: FakeUserPool
) -> None:
    """Entries as Python has them, or as texts like those of environment variables."""
    basic = {"COGNITO_USER_POOL_ID": pool.user_pool_id, "COGNITO_CLIENT_ID": pool.client_id, "COGNITO_JWKS": pool.jwks}
    app.config.from_mapping(basic | {"COGNITO_CLOCK": pool.clock} | settings)
    guard = CognitoGuard()
    guard.init_app(app)
    app.add_url_rule("/", view_func=guard.require()(whoami))
    assert client.get("/", headers=pool.headers()).text == "jane"
    assert client.get("/", headers=pool.headers(client_id="stranger")).status_code == 401


def test_verifier_is_made_from_prefixed_environment_variables(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flask reads FLASK_COGNITO_... as JSON where it is such, and as a text where it is not."""
    pool = FakeUserPool()
    variables = {
        "USER_POOL_ID": pool.user_pool_id,
        "CLIENT_ID": f"another,{pool.client_id}",
        "TOKEN_USE": '["access", "id"]',
        "LEEWAY": "5.5",
        "JWKS": json.dumps(pool.jwks),
    }
    for name, value in variables.items():
        monkeypatch.setenv(f"FLASK_COGNITO_{name}", value)
    app.config.from_prefixed_env()
    guard = CognitoGuard(app)
    app.add_url_rule("/", view_func=guard.require()(whoami))
    assert client.get("/", headers=pool.headers()).text == "jane"
    assert client.get("/", headers=pool.headers(pool.id_token())).text == "jane"


@pytest.mark.parametrize(
    "settings, named",
    [
        pytest.param({}, "COGNITO_USER_POOL_ID", id="nothing"),
        pytest.param({"COGNITO_USER_POOL_ID": "eu-west-1_FakePool1"}, "COGNITO_CLIENT_ID", id="no client"),
        pytest.param({"COGNITO_CLIENT_ID": ""}, "COGNITO_CLIENT_ID", id="an empty client"),
        pytest.param({"COGNITO_CLIENT_ID": 5}, "COGNITO_CLIENT_ID", id="a number as client"),
        pytest.param({"COGNITO_USER_POOL_ID": "pool"}, "COGNITO_USER_POOL_ID", id="a bad pool id"),
        pytest.param({"COGNITO_REGION": "eu-west-1"}, "COGNITO_REGION", id="a setting that is none"),
        pytest.param({"COGNITO_LEEWAY": "soon"}, "COGNITO_LEEWAY", id="a word as seconds"),
        pytest.param({"COGNITO_LEEWAY": -1}, "COGNITO_LEEWAY", id="negative seconds"),
        pytest.param({"COGNITO_JWKS": '{"keys": ['}, "COGNITO_JWKS", id="a text as document"),
        pytest.param({"COGNITO_MAX_TOKEN_BYTES": "many"}, "COGNITO_MAX_TOKEN_BYTES", id="a text as number"),
    ],
)
def test_mistake_in_the_configuration_is_named_as_it_stands_there(
    app: Flask, settings: Settings, named: str, pool: FakeUserPool
) -> None:
    """The application does not start, and the error names the entry."""
    basic = {"COGNITO_USER_POOL_ID": pool.user_pool_id, "COGNITO_CLIENT_ID": pool.client_id}
    app.config.from_mapping(basic | settings if len(settings) == 1 and named in settings else settings)
    with pytest.raises(ConfigurationError) as raised:
        CognitoGuard(app)
    assert raised.value.setting == named


def test_verifier_at_hand_makes_the_configuration_nobodys_business(
    app: Flask, client: FlaskClient, pool: FakeUserPool
) -> None:
    """COGNITO_ entries may be those of another extension then."""
    app.config["COGNITO_DOMAIN"] = "auth.example.com"
    guard = CognitoGuard(app, pool.verifier())
    app.add_url_rule("/", view_func=guard.require()(whoami))
    assert client.get("/", headers=pool.headers()).text == "jane"


# Metadata


def test_metadata_needs_no_token(app: Flask, client: FlaskClient, pool: FakeUserPool) -> None:
    """It is served from the root of the host, wherever the application is mounted, and before any hook's guard."""
    metadata = ProtectedResource("https://api.example.com/api", authorization_servers=pool.issuer)
    guard = CognitoGuard(metadata=metadata)
    guard.protect(app)
    guard.init_app(app, pool.verifier())
    response = client.get(metadata.path)
    assert (response.status_code, response.data) == (200, metadata.document)
    assert client.get("/api", base_url="http://localhost/.well-known/oauth-protected-resource").status_code == 200
    assert client.head(metadata.path).data == b""
    assert client.post(metadata.path).status_code == 401
    assert client.get(metadata.path, base_url="http://localhost/api").data == metadata.document
    assert client.get("/api", base_url="http://localhost" + metadata.path.removesuffix("/api")).status_code == 200
    assert client.get(metadata.path + "/", base_url="http://localhost/api").status_code == 401
    challenge = f'Bearer realm="cognito", resource_metadata="{metadata.url}"'
    assert client.get("/").headers["WWW-Authenticate"] == challenge


WITHOUT_FLASK = """
import sys
sys.modules["flask"] = None
try:
    import cognito_guard.flask
except ImportError as error:
    print(error)
"""


def test_missing_flask_is_named_with_its_extra() -> None:
    """The adapter says what to install."""
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_FLASK], capture_output=True, text=True, timeout=30, check=True
    )
    assert result.stdout == "cognito_guard.flask needs Flask: pip install 'cognito-guard[flask]'\n"
