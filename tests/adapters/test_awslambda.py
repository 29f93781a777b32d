"""Lambda: guarded handlers, authorizers whose answers may be remembered, what gateways assert, frozen containers."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Event as Signal
from typing import Any, TypeAlias, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cognito_guard import (
    CognitoVerifier,
    ConfigurationError,
    FetchError,
    InvalidClaimError,
    MissingTokenError,
    Principal,
    Reason,
    RefreshSchedule,
    RefusalError,
    Requires,
    ResourceServer,
    UnavailableError,
    Verifier,
)
from cognito_guard.awslambda import (
    CognitoGuard,
    HttpAuthorizer,
    RestAuthorizer,
    UnauthorizedError,
    authorize,
    flat_context,
    gateway_caller,
    gateway_identity,
    principal_of,
    principal_or_none,
    refuse,
)
from cognito_guard.metadata import ProtectedResource
from cognito_guard.testing import FakeClock, FakeUserPool
from cognito_guard.tokens.credentials import cookie, header

from . import (
    BAD_CREDENTIALS,
    BAD_TOKEN,
    EXPIRED,
    NO_CREDENTIALS,
    NO_SCOPE,
    NO_TOKEN,
    NOT_ALLOWED,
    NOT_ONE_TOKEN,
    STEP_UP,
    UNAVAILABLE,
    Answer,
    Header,
    Present,
    bearer,
)
from .drivers.awslambda import JSON, balancer, balancer_of_several, http, rest

PROPERTIES = ("subject", "username", "client_id", "token_use", "scopes", "groups", "expires_at")
PROPERTY = settings(deadline=None, derandomize=True, max_examples=150)
TIMEOUT = 30.0
Sender: TypeAlias = Callable[..., JSON]

STAGE = "arn:aws:execute-api:eu-west-1:123456789012:abcdef123/prod"


# Every sender of events

SENDERS = [
    pytest.param(rest, id="REST API"),
    pytest.param(http, id="HTTP API or function URL"),
    pytest.param(balancer, id="load balancer"),
    pytest.param(balancer_of_several, id="load balancer with multi-value headers"),
]


def on_the_wire(event: JSON, expected: Answer) -> JSON:
    """Return a refusal as the sender of this event wants it."""
    headers = {
        name.decode().title().replace("Www", "WWW"): value.decode()
        for name, value in expected.headers
        if name != b"content-length"
    }
    answer: JSON = {"statusCode": expected.status, "body": expected.body.decode(), "isBase64Encoded": False}
    if "multiValueHeaders" in event:
        answer["multiValueHeaders"] = {name: [value] for name, value in headers.items()}
    else:
        answer["headers"] = headers
    if "elb" in event["requestContext"]:
        phrases = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 503: "Service Unavailable"}
        answer["statusDescription"] = f"{expected.status} {phrases[expected.status]}"
    return answer


class Guarded:
    """A handler that remembers its events, behind a guard."""

    def __init__(self, pool: FakeUserPool, *demands: Any, verifier: Verifier | None = None, **options: Any):
        self.events: list[JSON] = []
        self.guard = CognitoGuard(verifier or pool.verifier(), **options)
        self.handler = self.guard.require(*demands)(self._handle)

    def _handle(self, event: JSON, context: object) -> JSON:
        self.events.append(event)
        return {"statusCode": 200, "body": principal_of(event).subject, "context": context}


def tell_subject(event: JSON, _context: object) -> str:
    """Handle any event for a verified caller."""
    return principal_of(event).subject


# Guarded handlers


@pytest.mark.parametrize("sender", SENDERS)
def test_handler_gets_the_same_event_and_its_caller(pool: FakeUserPool, sender: Sender) -> None:
    """The caller stands beside the event: that can be compared, read and written as before."""
    guarded, event = Guarded(pool), sender(bearer(pool.access_token(groups=["staff"])))
    before = json.dumps(event)
    assert guarded.handler(event, "context") == {"statusCode": 200, "body": pool.subject("jane"), "context": "context"}
    [seen] = guarded.events
    assert json.dumps(seen) == before == json.dumps(event)
    principal = principal_or_none(seen)
    assert isinstance(principal, Principal)
    assert authorize(seen, Requires(groups="staff")) is principal
    assert "jane" not in repr(seen)


def test_load_balancer_without_several_values_hides_all_but_the_last(pool: FakeUserPool) -> None:
    """The one sender behind which a repeated header can't be found out: what it sends is what counts."""
    event = balancer((b"authorization", b"Basic eA=="), bearer(pool.access_token()))
    assert [*event["headers"]] == ["authorization"]
    assert Guarded(pool).handler(event, None)["statusCode"] == 200


def seen_by(sender: Sender, *cases: Any) -> list[Any]:
    """Return the cases that a sender does not hide."""
    return [case for case in cases if sender is not balancer or case.values[2] is not Reason.REPEATED_HEADER]


@pytest.mark.parametrize(
    "sender, present, expected",
    [
        pytest.param(sender, *case.values[:2], id=f"{name}: {case.id}")
        for sender, name in ((rest, "REST"), (http, "HTTP"), (balancer, "ALB"), (balancer_of_several, "ALB, several"))
        for case in seen_by(sender, *NO_CREDENTIALS, *BAD_CREDENTIALS)
    ],
)
def test_refusal_is_answered_to_the_byte(
    pool: FakeUserPool, sender: Sender, present: Present, expected: Answer
) -> None:
    """However a sender spells a request, the answer is that of every other adapter."""
    guarded, event = Guarded(pool), sender((b"host", b"api.example.com"), *present(pool))
    assert guarded.handler(event, None) == on_the_wire(event, expected)
    assert guarded.events == []


@pytest.mark.parametrize("sender", SENDERS)
@pytest.mark.parametrize(
    "demand, expected",
    [
        pytest.param("transactions/get", NO_SCOPE, id="a scope"),
        pytest.param(Requires(groups="staff"), NOT_ALLOWED, id="a group"),
        pytest.param(Requires(max_age=300), STEP_UP, id="a recent sign-in"),
    ],
)
def test_caller_who_may_not_is_told_why(
    pool: FakeUserPool, clock: FakeClock, sender: Sender, demand: Any, expected: Answer
) -> None:
    """The challenge names what the handler demands."""
    guarded, event = Guarded(pool, demand), sender(bearer(pool.access_token(auth_time=clock() - 301)))
    assert guarded.handler(event, None) == on_the_wire(event, expected)
    assert guarded.events == []


def test_refusal_is_logged_by_its_reason(pool: FakeUserPool, caplog: pytest.LogCaptureFixture) -> None:
    """The log alone says why."""
    caplog.set_level(logging.INFO, "cognito_guard")
    Guarded(pool).handler(rest(bearer("junk")), None)
    with pytest.raises(UnauthorizedError):
        RestAuthorizer(pool.verifier())(token_event("Bearer junk"))
    assert [record.__dict__["reason"] for record in caplog.records] == [Reason.MALFORMED_TOKEN.value] * 2


def test_names_in_two_spellings_are_two_headers(pool: FakeUserPool) -> None:
    """A REST API keeps the client's own spelling: two are two values."""
    event = rest(bearer(pool.access_token()))
    event["multiValueHeaders"]["authorization"] = event["multiValueHeaders"]["Authorization"]
    assert Guarded(pool).handler(event, None) == on_the_wire(event, NOT_ONE_TOKEN)


@pytest.mark.parametrize("sender", SENDERS)
def test_token_may_come_in_a_cookie_where_that_is_allowed(pool: FakeUserPool, sender: Sender) -> None:
    """Also where the sender takes cookies out of the headers."""
    in_cookie = sender((b"cookie", b"theme=dark"), (b"cookie", f"session={pool.access_token()}".encode()))
    both = sender((b"cookie", f"session={pool.access_token()}".encode()), bearer(pool.access_token()))
    guarded = Guarded(pool, token_from=[header(), cookie("session")])
    assert guarded.handler(in_cookie, None)["statusCode"] == 200
    assert guarded.handler(both, None) == on_the_wire(both, NOT_ONE_TOKEN)
    assert Guarded(pool).handler(in_cookie, None) == on_the_wire(in_cookie, NO_TOKEN)


def test_cookies_of_a_function_url_are_not_counted_twice(pool: FakeUserPool) -> None:
    """It sends them apart and in the headers; two of one name are two all the same."""
    guarded = Guarded(pool, token_from=[cookie("session")])
    session = f"session={pool.access_token()}".encode()
    for cookies, status in ([b"theme=dark", session], 200), ([session, session], 400), ([b"theme=dark"], 401):
        event = http(*((b"cookie", value) for value in cookies))
        event["headers"]["Cookie"] = "; ".join(event["cookies"])
        assert guarded.handler(event, None)["statusCode"] == status
    only_header: JSON = http() | {"headers": {"cookie": session.decode()}, "cookies": []}
    assert guarded.handler(only_header, None)["statusCode"] == 200


def test_anonymous_caller_passes_where_the_handler_allows(pool: FakeUserPool) -> None:
    """Without credentials there is no caller; bad ones are refused, and a route may demand more."""
    guard = CognitoGuard(pool.verifier())

    @guard.optional
    def handler(event: JSON, context: object) -> Any:
        if event["path"] == "/orders":
            return principal_or_none(event)
        try:
            return authorize(event, "transactions/get").display_name
        except RefusalError as error:
            return refuse(event, error)

    assert handler(rest(), None) is None
    assert handler(rest(bearer(pool.access_token())), None).username == "jane"
    junk, anonymous = rest(bearer("junk")), rest(path="/other")
    assert handler(junk, None) == on_the_wire(junk, BAD_TOKEN)
    assert handler(anonymous, None) == on_the_wire(anonymous, NO_TOKEN)
    poor = rest(bearer(pool.access_token()), path="/other")
    assert handler(poor, None) == on_the_wire(poor, NO_SCOPE)
    assert handler(rest(bearer(pool.access_token(scopes=["transactions/get"])), path="/other"), None) == "jane"


def test_requirement_of_the_guard_is_everybodys(pool: FakeUserPool) -> None:
    """Each handler demands it with its own; who comes with a token must meet it where that is optional too."""
    guard = CognitoGuard(pool.verifier(), requirement=Requires(scopes="transactions/post", groups="admins"))

    def handle(event: JSON, _context: object) -> Any:
        return principal_or_none(event)

    strict, optional = guard.require("transactions/get")(handle), guard.optional(handle)
    assert optional(rest(), None) is None
    challenge = 'Bearer realm="cognito", scope="transactions/post transactions/get"'
    assert strict(rest(), None)["multiValueHeaders"]["WWW-Authenticate"] == [challenge]
    both = ["transactions/get", "transactions/post"]
    for handler in (strict, optional):
        event = rest(bearer(pool.access_token(scopes=both)))
        assert handler(event, None) == on_the_wire(event, NOT_ALLOWED)
        assert handler(rest(bearer(pool.access_token(scopes=both, groups=["admins"]))), None)
    poor = rest(bearer(pool.access_token(groups=["admins"])))
    for handler, needed in ((strict, "transactions/post transactions/get"), (optional, "transactions/post")):
        answered = handler(poor, None)
        assert answered["statusCode"] == 403
        assert answered["multiValueHeaders"]["WWW-Authenticate"][0].endswith(f', scope="{needed}"')


@pytest.mark.parametrize("required", [True, False, "no", None])
def test_guard_does_not_say_who_may_be_anonymous(pool: FakeUserPool, required: Any) -> None:
    """Handlers do, by their decorator."""
    options: dict[str, Any] = {"required": required}
    with pytest.raises(ConfigurationError, match="optional") as raised:
        CognitoGuard(pool.verifier(), **options)
    assert raised.value.setting == "required"


def test_asking_for_an_anonymous_caller_is_a_refusal(pool: FakeUserPool) -> None:
    """A handler that forgets that callers may be anonymous serves nobody by mistake."""
    with pytest.raises(MissingTokenError):
        CognitoGuard(pool.verifier()).optional(tell_subject)(rest(), None)


@pytest.mark.parametrize(
    "ask", [principal_of, principal_or_none, authorize, partial(refuse, error=MissingTokenError())]
)
def test_no_event_brings_its_own_caller(pool: FakeUserPool, ask: Callable[[JSON], object]) -> None:
    """What an unguarded handler gets is nobody's caller, whatever it says."""
    event = rest() | {"principal": "admin", "guard": "theirs", "cognito_guard.principal": {"sub": "admin"}}
    with pytest.raises(ConfigurationError) as raised:
        ask(event)
    assert raised.value.setting == "handler"


@pytest.mark.parametrize("sender", SENDERS)
def test_preflight_does_not_reach_a_guarded_handler(pool: FakeUserPool, sender: Sender) -> None:
    """No router stands before a handler: a request without a token must not make it run."""
    preflight = ((b"origin", b"https://app.example.com"), (b"access-control-request-method", b"DELETE"))
    guarded, event = Guarded(pool), sender(*preflight, method="OPTIONS")
    assert guarded.handler(event, None) == on_the_wire(event, NO_TOKEN)
    assert guarded.events == []


@pytest.mark.parametrize("sender", SENDERS)
def test_metadata_needs_no_token(pool: FakeUserPool, sender: Sender) -> None:
    """The document is served where challenges say it is, and nowhere else."""
    metadata = ProtectedResource("https://api.example.com/api", authorization_servers=pool.issuer)
    guarded = Guarded(pool, metadata=metadata)
    answer = guarded.handler(sender(path=metadata.path), None)
    assert (answer["statusCode"], answer["body"]) == (200, metadata.document.decode())
    assert guarded.handler(sender(path=metadata.path, method="HEAD"), None)["body"] == ""
    for refused in (sender(path=metadata.path, method="POST"), sender(path=metadata.path + "/")):
        assert guarded.handler(refused, None)["statusCode"] == 401
    assert f'resource_metadata="{metadata.url}"' in json.dumps(guarded.handler(sender(), None)).replace("\\", "")


@pytest.mark.parametrize("sender", SENDERS)
def test_refusal_of_a_head_request_has_no_body(pool: FakeUserPool, sender: Sender) -> None:
    """The headers are those of a GET."""
    event = sender(method="HEAD")
    assert Guarded(pool).handler(event, None) == on_the_wire(event, NO_TOKEN) | {"body": ""}


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(None, id="nothing"),
        pytest.param([], id="a list"),
        pytest.param({}, id="an empty one"),
        pytest.param({"source": "aws.events", "detail": {}}, id="a schedule"),
        pytest.param({"Records": []}, id="a queue"),
        pytest.param({"headers": []}, id="headers as a list"),
        pytest.param({"headers": {"authorization": 1}}, id="a header that is a number"),
        pytest.param({"headers": {"authorization": None}}, id="a header that is null"),
        pytest.param({"multiValueHeaders": {"authorization": "Bearer x"}}, id="several values that are one"),
        pytest.param({"multiValueHeaders": {"authorization": [1]}}, id="several values that are numbers"),
        pytest.param({"headers": {}, "cookies": "a=b"}, id="cookies as a text"),
    ],
)
def test_event_of_another_kind_is_a_mistake_in_the_deployment(pool: FakeUserPool, event: Any) -> None:
    """It is nobody's request, and no answer to it is right."""
    guarded = Guarded(pool)
    with pytest.raises(ConfigurationError) as raised:
        guarded.handler(event, None)
    assert (raised.value.setting, guarded.events) == ("event", [])


@pytest.mark.parametrize("headers", [{"headers": None, "multiValueHeaders": None}, {"headers": {}}])
def test_event_without_headers_has_no_token(pool: FakeUserPool, headers: JSON) -> None:
    """As the console's own test sends it."""
    event = {**http(), **headers}
    assert Guarded(pool).handler(event, None)["statusCode"] == 401


async def coroutine(event: JSON, context: object) -> None:
    """Handle nothing."""


@pytest.mark.parametrize("handler", [coroutine, Guarded, None, "handler"])
def test_guard_takes_plain_functions_alone(pool: FakeUserPool, handler: Any) -> None:
    """Lambda would be handed a coroutine, or an object, as the answer."""
    with pytest.raises(ConfigurationError) as raised:
        CognitoGuard(pool.verifier()).require()(handler)
    assert raised.value.setting == "handler"


def test_error_of_the_handler_is_its_own(pool: FakeUserPool) -> None:
    """It is neither a pass nor a refusal."""

    def fail(event: JSON, context: object) -> None:
        raise KeyError("orders")

    with pytest.raises(KeyError, match="orders"):
        CognitoGuard(pool.verifier()).require()(fail)(rest(bearer(pool.access_token())), None)


# Authorizers


def token_event(value: str, target: str = "GET/orders") -> JSON:
    """Make the event of a TOKEN authorizer."""
    return {"type": "TOKEN", "authorizationToken": value, "methodArn": f"{STAGE}/{target}"}


def request_event(*headers: Header, target: str = "GET/orders") -> JSON:
    """Make the event of a REQUEST authorizer, payload format 1.0."""
    return rest(*headers) | {"type": "REQUEST", "methodArn": f"{STAGE}/{target}"}


def http_event(*headers: Header, target: str = "GET/orders") -> JSON:
    """Make the event of an HTTP API's authorizer, payload format 2.0."""
    event = http(*headers) | {"type": "REQUEST", "routeArn": f"{STAGE}/{target}"}
    return event | {"identitySource": [value.decode("latin-1") for _, value in headers[:1]]}


def of_token(*headers: Header, target: str = "GET/orders") -> JSON:
    """Make the event of a TOKEN authorizer for a request with one header."""
    return token_event(headers[0][1].decode("latin-1"), target)


ASKED = [
    pytest.param(of_token, id="TOKEN"),
    pytest.param(request_event, id="REQUEST"),
    pytest.param(http_event, id="HTTP API with policies"),
]


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("target", ["GET/orders", "DELETE/orders/1", "GET/", "GET/*", "GET/?", "PUT/a/b\n", "$connect"])
def test_good_token_is_allowed_all_of_the_stage(pool: FakeUserPool, asked: Sender, target: str) -> None:
    """The answer is remembered for other requests, and none of this one is in it."""
    answer = RestAuthorizer(pool.verifier())(asked(bearer(pool.access_token(groups=["a b", "c"])), target=target), None)
    assert answer == {
        "principalId": pool.subject("jane"),
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [{"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": [f"{STAGE}/*"]}],
        },
        "context": {
            "sub": pool.subject("jane"),
            "user_pool_id": pool.user_pool_id,
            "token_use": "access",
            "client_id": pool.client_id,
            "username": "jane",
            "scope": "aws.cognito.signin.user.admin",
            "groups": "a%20b c",
            "exp": 1_700_003_600,
        },
    }


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize(
    "verifier_options, requirement",
    [
        pytest.param({}, Requires(scopes="transactions/get"), id="the authorizer's"),
        pytest.param({"required_scopes": "transactions/get"}, None, id="the verifier's"),
    ],
)
def test_caller_who_may_not_is_denied_all_of_the_stage(
    pool: FakeUserPool, asked: Sender, verifier_options: JSON, requirement: Requires | None
) -> None:
    """A denial is a 403, and says nothing of the caller."""
    authorizer = RestAuthorizer(pool.verifier(**verifier_options), requirement=requirement)
    assert authorizer(asked(bearer(pool.access_token()))) == {
        "principalId": "refused",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [{"Action": "execute-api:Invoke", "Effect": "Deny", "Resource": [f"{STAGE}/*"]}],
        },
        "context": {},
    }


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize(
    "present, reason",
    [pytest.param(case.values[0], case.values[2], id=case.id) for case in BAD_CREDENTIALS],
)
def test_bad_token_is_unauthorized_in_the_one_word_that_counts(
    pool: FakeUserPool, asked: Sender, present: Present, reason: Reason
) -> None:
    """API Gateway answers 401 to an error of exactly this text, and 500 to any other."""
    headers = present(pool)
    if asked is of_token and len(headers) > 1:
        headers = [(b"authorization", b",".join(value for _, value in headers))]
    with pytest.raises(UnauthorizedError) as raised:
        RestAuthorizer(pool.verifier())(asked(*headers))
    assert str(raised.value) == "Unauthorized"
    cause = raised.value.__cause__
    assert isinstance(cause, RefusalError)
    assert asked is not request_event or cause.reason is reason


def test_stale_sign_in_is_unauthorized(pool: FakeUserPool, clock: FakeClock) -> None:
    """Another token would help, unlike with a group."""
    authorizer = RestAuthorizer(pool.verifier(), requirement=Requires(max_age=300))
    with pytest.raises(UnauthorizedError):
        authorizer(of_token(bearer(pool.access_token(auth_time=clock() - 301))))


def out_of_reach(uri: str, timeout: float) -> bytes:
    """Fetch nothing."""
    raise FetchError("out of reach")


@pytest.mark.parametrize("sender", SENDERS)
def test_outage_is_a_503_of_a_guarded_handler(pool: FakeUserPool, sender: Sender) -> None:
    """It says nothing about the token."""
    guarded = Guarded(pool, verifier=pool.verifier(fetch=out_of_reach, timer=pool.clock))
    event = sender(bearer(pool.access_token()))
    assert guarded.handler(event, None) == on_the_wire(event, UNAVAILABLE)


@pytest.mark.parametrize("make", [RestAuthorizer, HttpAuthorizer, partial(HttpAuthorizer, raises=True)])
def test_outage_is_no_answer_of_an_authorizer(pool: FakeUserPool, make: Callable[..., Any]) -> None:
    """An answer would be remembered: every token seen in the outage would stay denied after it."""
    with pytest.raises(UnavailableError) as raised:
        make(pool.verifier(fetch=out_of_reach))(http_event(bearer(pool.access_token())))
    assert raised.value.reason is Reason.KEYS_UNAVAILABLE


DEMANDS: Mapping[str, str | Requires] = {
    "GET /orders": "transactions/get",
    "GET /orders/*": "transactions/get",
    "* /orders/*": Requires(groups="staff"),
    "POST /orders": "transactions/post",
    "* /admin/*": Requires(groups="admins"),
    "* /*": Requires(client_id="1h57kf5cpq17m0eml12example"),
}


def matches(pattern: str, text: str) -> bool:
    """Match as IAM does: `*` is any text, also an empty one, and also slashes."""
    first, *rest_of_it = pattern.split("*")
    if not rest_of_it:
        return text == pattern
    *middle, last = rest_of_it
    if not text.startswith(first) or not text.endswith(last) or len(text) < len(first) + len(last):
        return False
    inner = text[len(first) : len(text) - len(last)]
    for part in middle:
        _, found, inner = inner.partition(part)
        if not found and part:
            return False
    return True


def allows(answer: JSON, arn: str) -> bool:
    """Judge a request by a policy: an explicit Deny wins, and what nothing allows is denied."""
    effects = {
        statement["Effect"]
        for statement in answer["policyDocument"]["Statement"]
        if any(matches(resource, arn) for resource in statement["Resource"])
    }
    return effects == {"Allow"}


@PROPERTY
@given(
    scopes=st.sets(st.sampled_from(["transactions/get", "transactions/post"])),
    groups=st.sets(st.sampled_from(["staff", "admins"])),
    routes=st.sets(st.sampled_from([*DEMANDS]), min_size=1),
    first=st.tuples(st.sampled_from(["GET", "POST", "DELETE"]), st.sampled_from(["/orders", "/admin/", "/", "/*"])),
    later=st.tuples(
        st.sampled_from(["GET", "POST", "DELETE"]),
        st.sampled_from(["/orders", "/orders/1", "/orders/1/items", "/orders/", "/admin", "/admin/users", "/", "/x"]),
    ),
)
def test_remembered_policy_is_right_for_every_other_request(
    scopes: set[str], groups: set[str], routes: set[str], first: tuple[str, str], later: tuple[str, str]
) -> None:
    """Whatever was asked for first, a later request passes if it meets what all its routes demand, and has one."""
    pool = shared_pool()
    verifier = pool.verifier(jwks=pool.jwks)
    token = pool.access_token(scopes=sorted(scopes), groups=sorted(groups))
    authorizer = RestAuthorizer(verifier, routes={route: DEMANDS[route] for route in sorted(routes)})
    answer = authorizer(of_token(bearer(token), target="".join(first)))
    found = [DEMANDS[route] for route in routes if matches(route, " ".join(later))]
    may = bool(found)
    for demand in found:
        try:
            verifier.authorize(verifier.verify(token), Requires(scopes=demand) if isinstance(demand, str) else demand)
        except RefusalError:
            may = False
    assert allows(answer, f"{STAGE}/{''.join(later)}") is may


_POOLS: list[FakeUserPool] = []


def shared_pool() -> FakeUserPool:
    """Return one pool for all examples of a property."""
    if not _POOLS:
        servers = [ResourceServer("transactions", {"get": "Read transactions", "post": "Make transactions"})]
        _POOLS.append(FakeUserPool(clock=FakeClock(), resource_servers=servers))
    return _POOLS[0]


@pytest.mark.parametrize(
    "routes",
    [
        {},
        {"ANY /orders": "a/b"},
        {"get /orders": "a/b"},
        {"GET orders": "a/b"},
        {"GET  /orders": "a/b"},
        {"GET /orders/{id}": "a/b"},
        {"GET /orders?x": "a/b"},
        {"GET /${aws:username}": "a/b"},
        {"GET /größe": "a/b"},
        {"GET /orders\n": "a/b"},
        {"GET": "a/b"},
        {"": "a/b"},
        {1: "a/b"},
        "GET /orders",
        ["GET /orders"],
        [("GET /orders", "a/b")],
        1,
    ],
)
def test_route_that_no_policy_can_spell_is_refused(pool: FakeUserPool, routes: Any) -> None:
    """A Deny that never matches would be no Deny."""
    with pytest.raises(ConfigurationError) as raised:
        RestAuthorizer(pool.verifier(), routes=routes)
    assert raised.value.setting == "routes"


@pytest.mark.parametrize(
    "arn",
    [
        None,
        1,
        "",
        "GET/orders",
        "arn:aws:execute-api:eu-west-1:123456789012:abcdef123",
        "arn:aws:execute-api:eu-west-1:123456789012:abcdef123/prod",
        "arn:aws:execute-api:eu-west-1:123456789012:*/prod/GET/",
        "arn:aws:execute-api:eu-west-1:123456789012:abcdef123/*/GET/",
        "arn:aws:execute-api:*:123456789012:abcdef123/prod/GET/",
        "arn:aws:lambda:eu-west-1:123456789012:function:f",
        "arn:*:execute-api:eu-west-1:123456789012:abcdef123/prod/GET/",
        "arn:aws:execute-api:eu-west-1:*:abcdef123/prod/GET/",
        "arn:aws:execute-api:eu-west-1:\u0661\u0662\u0663:abcdef123/prod/GET/",
        "arn:aws:execute-api:eu-west-1:123456789012:abc?ef123/prod/GET/",
        "arn:aws:execute-api:eu-west-1:123456789012:abcdef123/pr*d/GET/",
        "arn:aws:execute-api:eu-west-1:123456789012:abcdef123/${aws:username}/GET/",
        "arn:aws:execute-api:eu-west-1:123456789012:abcdef123/prod\n/GET/",
        "arn:aws:execute-api:eu-west-1:123456789012:abcdef123//GET/",
        f"x{STAGE}/GET/",
    ],
)
def test_event_without_the_stage_has_no_policy(pool: FakeUserPool, arn: Any) -> None:
    """Nothing is allowed that nobody named."""
    with pytest.raises(ConfigurationError) as raised:
        RestAuthorizer(pool.verifier())(of_token(bearer(pool.access_token())) | {"methodArn": arn})
    assert raised.value.setting == "event"


@pytest.mark.parametrize("stage", ["prod", "$default", "test-invoke-stage", "v1_beta"])
@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_every_stage_of_every_partition_is_known(pool: FakeUserPool, stage: str, partition: str) -> None:
    """The resource is what the event names, up to the stage."""
    base = f"arn:{partition}:execute-api:eu-west-1:123456789012:abcdef123/{stage}"
    answer = RestAuthorizer(pool.verifier())(of_token(bearer(pool.access_token())) | {"methodArn": f"{base}/GET/a"})
    assert answer["policyDocument"]["Statement"][0]["Resource"] == [f"{base}/*"]


def test_token_of_a_token_authorizer_is_a_text(pool: FakeUserPool) -> None:
    """Anything else comes from nobody whom we know."""
    with pytest.raises(ConfigurationError):
        RestAuthorizer(pool.verifier())(token_event("") | {"authorizationToken": ["Bearer x"]})


def test_simple_answer_tells_the_caller(pool: FakeUserPool) -> None:
    """The function behind learns of it what `flat_context` says."""
    token = pool.access_token()
    context = flat_context(pool.verifier().verify(token))
    answer = HttpAuthorizer(pool.verifier())(http_event(bearer(token)), None)
    assert answer == {"isAuthorized": True, "context": context}


def test_simple_answer_to_a_caller_who_may_not_is_no(pool: FakeUserPool) -> None:
    """Nothing more is said, and whatever is said of bad tokens."""
    for raises in (False, True):
        authorizer = HttpAuthorizer(pool.verifier(), requirement=Requires(groups="staff"), raises=raises)
        assert authorizer(http_event(bearer(pool.access_token()))) == {"isAuthorized": False}


@pytest.mark.parametrize("headers", [[], [bearer("junk")]])
def test_simple_answer_to_a_bad_token_is_no_or_an_error(pool: FakeUserPool, headers: list[Header]) -> None:
    """By default what is documented for HTTP APIs."""
    assert HttpAuthorizer(pool.verifier())(http_event(*headers)) == {"isAuthorized": False}
    with pytest.raises(UnauthorizedError, match=r"^Unauthorized$"):
        HttpAuthorizer(pool.verifier(), raises=True)(http_event(*headers))


@pytest.mark.parametrize("raises", ["no", 0, None])
def test_whether_it_raises_is_true_or_false(pool: FakeUserPool, raises: Any) -> None:
    """A word would be true, whatever it says."""
    with pytest.raises(ConfigurationError) as raised:
        HttpAuthorizer(pool.verifier(), raises=raises)
    assert raised.value.setting == "raises"


@pytest.mark.parametrize("make", [RestAuthorizer, HttpAuthorizer])
def test_context_may_be_the_applications_own(pool: FakeUserPool, make: Callable[..., Any]) -> None:
    """Texts, numbers and booleans; a list or an object would have API Gateway refuse the whole answer."""
    event = http_event(bearer(pool.access_token()))
    own: JSON = {"name": "jane", "level": 10**400, "share": 0.5, "admin": True}
    assert make(pool.verifier(), context=returning(own))(event)["context"] == own
    bad: list[Any] = [
        {"groups": ["staff"]},
        {"claims": {}},
        {"name": None},
        {1: "jane"},
        {"share": 1e999},
        None,
        "jane",
    ]
    for context in bad:
        with pytest.raises(ConfigurationError) as raised:
            make(pool.verifier(), context=returning(context))(event)
        assert raised.value.setting == "context"
    with pytest.raises(ConfigurationError):
        make(pool.verifier(), context=own)


def returning(context: JSON) -> Callable[[Principal], JSON]:
    """Return a function that tells the same of everybody."""
    return lambda principal: context


# Any event at all

KEYS = [
    *("headers", "multiValueHeaders", "cookies", "authorization", "Authorization", "requestContext", "http", "method"),
    *("path", "httpMethod", "rawPath", "elb", "version", "authorizationToken", "methodArn", "routeArn", "authorizer"),
    *("claims", "jwt", "lambda", "identity", "sub", "token_use", "user_pool_id", "groups", "cognito:groups", "exp"),
    *("scope", "aud", "client_id", "username", "cognitoIdentityId", "cognitoIdentityPoolId"),
    *("cognitoAuthenticationType", "cognitoAuthenticationProvider"),
]
TEXTS = ["Bearer a.b.c", "Bearer", "id", "access", "[a b]", "%ff", "authenticated", f"{STAGE}/GET/", "2.0", "HEAD"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(TEXTS),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), inner, max_size=6)
    ),
    max_leaves=10,
)
SHAPES = st.fixed_dictionaries(
    {},
    optional={
        "headers": st.none() | st.dictionaries(st.sampled_from(KEYS), st.text() | st.sampled_from(TEXTS)) | VALUES,
        "multiValueHeaders": st.none() | st.dictionaries(st.sampled_from(KEYS), st.lists(st.text())) | VALUES,
        "cookies": st.none() | st.lists(st.text() | st.just("session=a.b.c")) | VALUES,
        "methodArn": st.just(f"{STAGE}/GET/") | VALUES,
        "authorizationToken": st.text() | st.sampled_from(TEXTS),
        "requestContext": st.fixed_dictionaries(
            {}, optional={"authorizer": VALUES, "identity": VALUES, "http": VALUES, "elb": VALUES}
        ),
        "identity": st.fixed_dictionaries({}, optional={"claims": VALUES}) | VALUES,
        "httpMethod": VALUES,
        "rawPath": VALUES,
    },
)


@settings(PROPERTY, max_examples=100)
@given(event=SHAPES | VALUES)
@example(event={"requestContext": {"authorizer": {"sub": 1, "user_pool_id": 1, "token_use": 1, "groups": "%ff"}}})
@example(event={"headers": {"authorization": "Bearer \ud800"}})
def test_no_event_is_let_through_or_raises_what_is_not_documented(event: Any) -> None:
    """Whatever JSON comes without a good token, nobody is a caller and every error is one of ours."""
    pool = shared_pool()
    verifier = pool.verifier(jwks=pool.jwks)
    metadata = ProtectedResource("https://api.example.com", authorization_servers=pool.issuer)
    # Without a caller the handler would raise what is not documented here.
    guard = CognitoGuard(verifier, metadata=metadata, token_from=[header(), cookie("session")])
    handler = guard.require()(tell_subject)
    with suppress(ConfigurationError):
        assert cast("JSON", handler(event, None))["statusCode"] in (200, 400, 401)
    for authorizer in (RestAuthorizer(verifier), HttpAuthorizer(verifier, raises=True)):
        with pytest.raises((ConfigurationError, UnauthorizedError)):
            authorizer(event)
    for plain in (False, True):
        with suppress(ConfigurationError):
            caller = gateway_caller(event, plain_group_names=plain)
            for name in () if caller is None else PROPERTIES:
                with suppress(InvalidClaimError):
                    getattr(caller, name)
    with suppress(ConfigurationError):
        gateway_identity(event)


# Cold start, freeze and thaw


class Endpoint:
    """A key endpoint that can be counted and taken away."""

    def __init__(self, pool: FakeUserPool) -> None:
        self.pool = pool
        self.fetches = 0
        self.is_down = False

    def __call__(self, uri: str, timeout: float) -> bytes:
        """Return the keys, where it is up."""
        self.fetches += 1
        return out_of_reach(uri, timeout) if self.is_down else self.pool.fetch(uri, timeout)


def test_keys_from_a_file_need_no_network(pool: FakeUserPool, tmp_path: Path) -> None:
    """As a function without a way out of its VPC has them."""
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(pool.jwks))
    verifier = CognitoVerifier(
        pool.user_pool_id,
        client_id=pool.client_id,
        jwks=json.loads(path.read_text()),
        clock=pool.clock,
    )
    verifier.prefetch()
    assert Guarded(pool, verifier=verifier).handler(http(bearer(pool.access_token())), None)["statusCode"] == 200
    pool.rotate()
    unknown = http(bearer(pool.access_token()))
    assert Guarded(pool, verifier=verifier).handler(unknown, None) == on_the_wire(unknown, BAD_TOKEN)


def test_prefetch_at_start_spares_the_first_request_the_fetch(pool: FakeUserPool) -> None:
    """One fetch in all, before anybody waits for it; also with the wall clock as the timer."""
    endpoint, event = Endpoint(pool), http(bearer(pool.access_token()))
    verifier = CognitoVerifier.from_env(
        environ={"COGNITO_USER_POOL_ID": pool.user_pool_id, "COGNITO_CLIENT_ID": pool.client_id},
        fetch=endpoint,
        schedule=RefreshSchedule(deadline=TIMEOUT),
        clock=pool.clock,
        timer=pool.clock,
    )
    verifier.prefetch()
    assert endpoint.fetches == 1
    assert Guarded(pool, verifier=verifier).handler(event, None)["statusCode"] == 200
    assert endpoint.fetches == 1


def test_start_without_the_endpoint_ends_in_time_and_heals(pool: FakeUserPool) -> None:
    """A fetch that hangs costs the start its deadline; the first token after the backoff has another made."""
    let_go, timer, token = Signal(), FakeClock(), pool.access_token()

    def fetch(uri: str, timeout: float) -> bytes:
        if timer() == start:
            assert let_go.wait(TIMEOUT)
        return pool.fetch(uri, timeout)

    start = timer()
    verifier = pool.verifier(fetch=fetch, timer=timer, schedule=RefreshSchedule(deadline=0.5))
    try:
        with pytest.raises(UnavailableError):
            verifier.prefetch()
        timer.tick(10)
        assert Guarded(pool, verifier=verifier).handler(http(bearer(token)), None)["statusCode"] == 200
    finally:
        let_go.set()


@pytest.mark.parametrize("jump", [3 * 86_400.0, -3 * 86_400.0, -1e9], ids=["thawed", "restored", "restored elsewhere"])
def test_container_that_slept_judges_as_a_new_one(pool: FakeUserPool, jump: float) -> None:
    """The timer may jump ahead, or back: the keys are asked for again, and tokens are judged by the wall clock."""
    endpoint, timer = Endpoint(pool), FakeClock()
    guarded = Guarded(pool, verifier=pool.verifier(fetch=endpoint, timer=timer))
    old = http(bearer(pool.access_token()))
    assert guarded.handler(old, None)["statusCode"] == 200
    old_key = pool.access_key.kid
    pool.rotate(publish_old=False)
    timer.tick(jump)
    assert guarded.handler(http(bearer(pool.access_token())), None)["statusCode"] == 200
    assert endpoint.fetches == 2
    assert old_key != pool.access_key.kid
    assert guarded.handler(old, None) == on_the_wire(old, BAD_TOKEN)


def test_token_that_expired_while_the_container_slept_has_expired(pool: FakeUserPool, clock: FakeClock) -> None:
    """Remembered or not: it was good when it was seen last."""
    guarded, event = Guarded(pool, verifier=pool.verifier(timer=FakeClock())), http(bearer(pool.access_token()))
    assert guarded.handler(event, None)["statusCode"] == 200
    clock.tick(86_400)
    assert guarded.handler(event, None) == on_the_wire(event, EXPIRED)


@pytest.mark.parametrize("wrap", [Guarded, None], ids=["guard", "authorizer"])
def test_refresh_is_over_before_the_answer(pool: FakeUserPool, wrap: type[Guarded] | None) -> None:
    """A fetch beside the request would be frozen: a withdrawn key is refused by the first request after `fresh_for`."""
    endpoint, timer = Endpoint(pool), FakeClock()
    verifier = pool.verifier(fetch=endpoint, timer=timer)
    event = http_event(bearer(pool.access_token()))
    ask = HttpAuthorizer(verifier) if wrap is None else wrap(pool, verifier=verifier).handler
    good = {"isAuthorized": True} if wrap is None else {"statusCode": 200}
    assert ask(event, None).items() >= good.items()
    pool.withdraw(pool.access_key.kid)
    timer.tick(599)
    assert ask(event, None).items() >= good.items()
    timer.tick(2)
    assert not ask(event, None).items() >= good.items()
    # The two that were due, and the one that an unknown key ID may cause.
    assert endpoint.fetches in (2, 3)


def any_of(*verifiers: CognitoVerifier) -> Verifier:
    """Return a verifier that knows all of them."""
    return CognitoVerifier.any_of(*verifiers)


def by_issuer(*verifiers: CognitoVerifier) -> Verifier:
    """Return a verifier for which each of them is a tenant."""
    return CognitoVerifier.by_issuer({one.user_pool.issuers[0]: one for one in verifiers}.get)


@pytest.mark.parametrize("join", [any_of, by_issuer])
@pytest.mark.parametrize("wrap", [Guarded, None], ids=["guard", "authorizer"])
def test_request_refreshes_the_keys_of_its_own_pool_alone(
    pool: FakeUserPool, join: Callable[..., Verifier], wrap: type[Guarded] | None
) -> None:
    """Of several pools, the others' endpoints hold nobody up; its own refresh is over before the answer."""
    other = FakeUserPool("us-east-1_Other", client_id=pool.client_id, clock=pool.clock)
    timer, own, others = FakeClock(), Endpoint(pool), Endpoint(other)
    verifier = join(pool.verifier(fetch=own, timer=timer), other.verifier(fetch=others, timer=timer))
    ask = HttpAuthorizer(verifier) if wrap is None else wrap(pool, verifier=verifier).handler
    good = {"isAuthorized": True} if wrap is None else {"statusCode": 200}
    old, of_other = http_event(bearer(pool.access_token())), http_event(bearer(other.access_token()))
    for event in (old, of_other):
        assert ask(event, None).items() >= good.items()
    assert (own.fetches, others.fetches) == (1, 1)
    others.is_down = True
    pool.rotate(publish_old=False)
    timer.tick(601)
    assert not ask(old, None).items() >= good.items()
    assert ask(http_event(bearer(pool.access_token())), None).items() >= good.items()
    assert others.fetches == 1
    # Out of reach, its keys may serve.
    assert ask(of_other, None).items() >= good.items()


def test_outage_goes_unnoticed_while_the_keys_may_serve(pool: FakeUserPool) -> None:
    """The refresh that is due fails; the keys serve on, and the next request does not try it again at once."""
    endpoint, timer = Endpoint(pool), FakeClock()
    guarded = Guarded(pool, verifier=pool.verifier(fetch=endpoint, timer=timer))
    event, fetches = http(bearer(pool.access_token())), list[int]()
    for seconds in (0, 700, 0.1):
        timer.tick(seconds)
        assert guarded.handler(event, None)["statusCode"] == 200
        fetches.append(endpoint.fetches)
        endpoint.is_down = True
    assert fetches[0] < fetches[1] == fetches[2]
