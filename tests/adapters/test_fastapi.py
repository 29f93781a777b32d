"""CognitoBearer: one dependency for routes and WebSockets, its refusals as exceptions, its scheme in OpenAPI."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeAlias, cast

import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Security, WebSocket
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.security import SecurityScopes
from fastapi.testclient import TestClient
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import HTTPConnection
from starlette.responses import Response

from cognito_guard import ConfigurationError, FetchError, Principal, Reason, Requirement, Requires, ResourceServer
from cognito_guard.asgi import Message
from cognito_guard.fastapi import ChallengeError, CognitoBearer, challenge_response
from cognito_guard.fastapi.testing import acting_as
from cognito_guard.metadata import ProtectedResource
from cognito_guard.testing import FakeClock, FakeUserPool
from cognito_guard.tokens.bearer import Headers
from cognito_guard.tokens.credentials import cookie, header, websocket_subprotocol

from . import (
    BAD_TOKEN,
    DENIAL,
    EXPIRED,
    NO_SCOPE,
    NO_TOKEN,
    NOT_ALLOWED,
    NOT_ONE_TOKEN,
    STEP_UP,
    UNAVAILABLE,
    Answer,
    Header,
    aask,
    answer,
    ask,
    bearer,
    handshake,
    refusal,
    talk,
)

Demand: TypeAlias = str | Requirement
Dependency: TypeAlias = Any
"""What `Depends` or `Security` returned: the default of a parameter."""

GET = "transactions/get"
POST = "transactions/post"
NO_TOKEN_FOR_GET = refusal(401, b'Bearer realm="cognito", scope="transactions/get"', NO_TOKEN.body)
HELLO: Message = {"type": "websocket.receive", "text": "hello"}
CLOSED: list[Message] = [{"type": "websocket.close", "code": 1008, "reason": ""}]
ADMINS = Requires(groups="admins")
DOCUMENT = ProtectedResource(
    "https://api.example.com/orders", authorization_servers="https://example.com", scopes=[GET]
)


def guard_of(pool: FakeUserPool, **options: Any) -> CognitoBearer:
    """Guard with a verifier of this pool's tokens, unless another is given."""
    return CognitoBearer(options.pop("verifier", None) or pool.verifier(), **options)


def app_of(*dependencies: Dependency, handled: bool = True, **options: Any) -> FastAPI:
    """Make an application; `handled` adds the handler for refusals."""
    handlers: Any = {ChallengeError: challenge_response} if handled else {}
    return FastAPI(
        dependencies=list(dependencies), exception_handlers=handlers | options.pop("handlers", {}), **options
    )


def name_of(caller: Principal | None) -> Response:
    """Answer with the caller's display name."""
    return PlainTextResponse("nobody" if caller is None else caller.display_name)


def app_at(dependency: Dependency, **options: Any) -> FastAPI:
    """Make an application whose "/" answers with the caller that this dependency finds."""
    app = app_of(**options)

    @app.get("/")
    async def whoami(caller: Principal | None = dependency) -> Response:
        return name_of(caller)

    return app


def demanding(guard: CognitoBearer, *demands: Demand) -> FastAPI:
    """Make an application whose "/" has these demands."""
    return app_at(Depends(guard.requires(*demands)))


def reasons(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the reasons that were logged."""
    records = [record for record in caplog.records if record.name == "cognito_guard"]
    found: list[str] = [record.__dict__["reason"] for record in records]
    assert [record.getMessage() for record in records] == [f"request refused: {reason}" for reason in found]
    assert {record.levelname for record in records} <= {"INFO"}
    return found


def naming(refused: Answer, *scopes: str) -> Answer:
    """Return the same refusal, with the scopes that the operation needs in its challenge."""
    challenge = dict(refused.headers)[b"www-authenticate"]
    return refusal(refused.status, challenge + b', scope="%b"' % " ".join(scopes).encode(), refused.body)


def lacking(*scopes: str) -> Answer:
    """Return the refusal of a caller who lacks one of these scopes."""
    challenge = dict(NO_SCOPE.headers)[b"www-authenticate"]
    return refusal(403, challenge.replace(GET.encode(), " ".join(scopes).encode()), NO_SCOPE.body)


def unreachable(_uri: str, _timeout: float) -> bytes:
    """Stand for a JWKS endpoint that is down."""
    raise FetchError("down")


class Counted:
    """Take tokens from the header, and count for how many requests, in which threads."""

    def __init__(self) -> None:
        self.threads: list[int] = []
        self._header = header()

    def __call__(self, headers: Headers) -> str | None:
        """Extract the token."""
        self.threads.append(threading.get_ident())
        return self._header(headers)


# As applications have it: the guard and its dependencies at the top of a module, with postponed annotations

shared_pool = FakeUserPool(clock=FakeClock())
shared_guard = CognitoBearer(shared_pool.verifier())
Reader = Annotated[Principal, Security(shared_guard, scopes=[GET])]
Demanded = Annotated[Principal, Depends(shared_guard.requires(GET))]
Visitor = Annotated[Principal | None, Depends(shared_guard.optional)]


class Orders:
    """A dependency that is a class, with a caller of its own."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader


async def current_name(reader: Reader) -> str:
    """Return what an application makes of its caller."""
    return reader.display_name


router = APIRouter(prefix="/router", dependencies=[Security(shared_guard, scopes=[GET])])
everywhere = app_of()
sub_app = app_of()


@everywhere.get("/async")
async def by_async(reader: Reader) -> Response:
    """Answer as a coroutine."""
    return name_of(reader)


@everywhere.get("/sync")
def by_sync(reader: Reader) -> Response:
    """Answer in a thread."""
    return name_of(reader)


@everywhere.get("/class")
async def by_class(orders: Annotated[Orders, Depends()]) -> Response:
    """Answer through a class."""
    return name_of(orders.reader)


@everywhere.get("/below")
async def by_dependency_below(name: Annotated[str, Depends(current_name)]) -> Response:
    """Answer through a function."""
    return PlainTextResponse(name)


@everywhere.get("/decorator", dependencies=[Security(shared_guard, scopes=[GET])])
async def by_decorator() -> Response:
    """Answer without a look at the caller."""
    return PlainTextResponse("jane")


@everywhere.get("/requires")
async def by_requires(caller: Demanded) -> Response:
    """Answer whom `requires` has let through."""
    return name_of(caller)


@router.get("/")
async def by_router(visitor: Visitor) -> Response:
    """Answer behind the router's own dependency."""
    return name_of(visitor)


@sub_app.get("/")
async def by_sub_app(reader: Reader) -> Response:
    """Answer from a mounted application."""
    return name_of(reader)


everywhere.include_router(router)
everywhere.mount("/mounted", sub_app)
PLACES = ["/async", "/sync", "/class", "/below", "/decorator", "/requires", "/router/", "/mounted/"]


@pytest.mark.parametrize("path", PLACES)
def test_guard_tells_401_from_403_from_a_pass(path: str) -> None:
    """No caller is a 401 that names the scope, a caller without the scope a 403, one with it gets through."""
    assert ask(everywhere, path) == NO_TOKEN_FOR_GET
    assert ask(everywhere, path, bearer("junk")) == naming(BAD_TOKEN, GET)
    assert ask(everywhere, path, bearer(shared_pool.access_token())) == NO_SCOPE
    assert ask(everywhere, path, bearer(shared_pool.access_token(scopes=[GET]))).body == b"jane"


@pytest.mark.parametrize("path", PLACES)
def test_refusal_is_logged_once(caplog: pytest.LogCaptureFixture, path: str) -> None:
    """One record with the reason, however many dependencies there are."""
    caplog.set_level(logging.INFO, "cognito_guard")
    for headers in ([], [bearer("junk")], [bearer(shared_pool.access_token())]):
        ask(everywhere, path, *headers)
    assert reasons(caplog) == [Reason.MISSING_TOKEN, Reason.MALFORMED_TOKEN, Reason.INSUFFICIENT_SCOPE]


def test_application_wide_guard_covers_every_route_of_it(pool: FakeUserPool) -> None:
    """`FastAPI(dependencies=[Depends(guard)])`; an unmatched path and the docs have no dependencies."""
    app = app_of(Depends(guard_of(pool)))

    @app.get("/")
    async def opened() -> str:
        return "jane"

    assert ask(app) == NO_TOKEN
    assert ask(app, "/", bearer(pool.access_token())).body == b'"jane"'
    assert (ask(app, "/nowhere").status, ask(app, "/openapi.json").status) == (404, 200)


def test_refused_endpoint_does_not_run(pool: FakeUserPool) -> None:
    """The decision comes first, whatever else the endpoint depends on; a dependency of later does not run either."""
    ran: list[str] = []
    app, guard = app_of(), guard_of(pool)

    def later() -> None:
        ran.append("dependency")

    @app.post("/")
    def endpoint(_caller: Principal = Security(guard, scopes=[GET]), _later: None = Depends(later)) -> None:
        ran.append("endpoint")

    ask(app, method="POST")
    ask(app, "/", bearer(pool.access_token()), method="POST")
    assert ran == []
    ask(app, "/", bearer(pool.access_token(scopes=[GET])), method="POST")
    assert ran == ["dependency", "endpoint"]


def test_guard_goes_before_the_validation_of_parameters(pool: FakeUserPool) -> None:
    """A caller who may not learns nothing of what the endpoint wants to be told."""
    app = app_of()

    @app.get("/{number}", dependencies=[Depends(guard_of(pool))])
    async def endpoint(number: int) -> int:
        return number

    assert ask(app, "/one") == NO_TOKEN
    assert ask(app, "/one", bearer(pool.access_token())).status == 422
    assert ask(app, "/1", bearer(pool.access_token())).body == b"1"


# What is demanded


@pytest.mark.parametrize(
    "demands, token, expected",
    [
        pytest.param([], {"scopes": ()}, None, id="any verified caller"),
        pytest.param([GET, POST], {"scopes": [GET, POST]}, None, id="two scopes, both granted"),
        pytest.param([ADMINS], {"groups": ["admins"]}, None, id="a group, met"),
        pytest.param([ADMINS], {"groups": ["admin"]}, NOT_ALLOWED, id="a group, not met"),
        pytest.param([GET, ADMINS], {"scopes": [GET]}, NOT_ALLOWED, id="both, no group"),
        pytest.param([GET, ADMINS], {"groups": ["admins"]}, NO_SCOPE, id="both, no scope"),
        pytest.param([GET, ADMINS], {"scopes": [GET], "groups": ["admins"]}, None, id="both, met"),
        pytest.param([Requires(scopes=GET) | ADMINS], {"groups": ["admins"]}, None, id="|, second"),
        pytest.param([Requires(scopes=GET) | ADMINS], {}, NO_SCOPE, id="|, neither"),
        pytest.param([~ADMINS], {"groups": ["admins"]}, NOT_ALLOWED, id="~, excluded"),
        pytest.param([Requires(max_age=300)], {"auth_time": 0}, STEP_UP, id="too long ago"),
        pytest.param([Requires(max_age=300)], {}, None, id="just now"),
        pytest.param([GET], {"scopes": ["transactions/ge"]}, NO_SCOPE, id="a prefix of the scope"),
    ],
)
def test_requires_composes(
    pool: FakeUserPool, demands: Sequence[Demand], token: dict[str, Any], expected: Answer | None
) -> None:
    """Scopes and requirements, all at once or composed, decide as they do everywhere."""
    reply = ask(demanding(guard_of(pool), *demands), "/", bearer(pool.access_token(**token)))
    assert reply == expected if expected else (reply.status, reply.body) == (200, b"jane")


def test_requires_takes_arguments_of_requires(pool: FakeUserPool) -> None:
    """To be met as well as the demands; scopes among them stand in OpenAPI too."""
    guard = guard_of(pool)
    app = app_at(Depends(guard.requires(GET, scopes=[POST], groups=["staff"])))
    both = [GET, POST]
    assert ask(app) == naming(NO_TOKEN, GET, POST)
    assert ask(app, "/", bearer(pool.access_token(scopes=[GET], groups=["staff"]))) == lacking(GET, POST)
    assert ask(app, "/", bearer(pool.access_token(scopes=both))) == NOT_ALLOWED
    assert ask(app, "/", bearer(pool.access_token(scopes=both, groups=["staff"]))).body == b"jane"
    assert app.openapi()["paths"]["/"]["get"]["security"] == [{"CognitoBearer": both}]
    with pytest.raises(ConfigurationError):
        guard.requires(max_age=-1)


def test_scopes_of_all_dependencies_above_add_up(pool: FakeUserPool) -> None:
    """As FastAPI's SecurityScopes do, also for what `requires` and `optional` return: one challenge names them."""
    guard = guard_of(pool)
    for dependency in (guard, guard.requires(), guard.optional):

        async def below(caller: Principal = Security(dependency, scopes=[POST])) -> Principal:
            return caller

        app = app_at(Security(below, scopes=[GET]))
        refused = ask(app, "/", bearer(pool.access_token(scopes=[POST])))
        assert refused == lacking(GET, POST)
        assert ask(app, "/", bearer(pool.access_token(scopes=[GET, POST]))).body == b"jane"


@pytest.mark.parametrize(
    "demands, scope",
    [
        pytest.param([GET, POST], b"transactions/get transactions/post", id="two scopes"),
        pytest.param([Requires(scopes=POST) | Requires(scopes=GET)], b"transactions/post", id="|"),
        pytest.param([Requires(any_scopes=[POST, GET])], b"transactions/post", id="any_scopes"),
    ],
)
def test_challenge_names_all_that_is_needed_at_once(
    pool: FakeUserPool, demands: Sequence[Demand], scope: bytes
) -> None:
    """One `scope` parameter, in the 401 and in the 403 alike."""
    app = demanding(guard_of(pool), *demands)
    for headers in ([], [bearer("junk")], [bearer(pool.access_token())]):
        challenge = dict(ask(app, "/", *headers).headers)[b"www-authenticate"]
        assert challenge.endswith(b', scope="' + scope + b'"')
        assert challenge.count(b"scope=") == 1


def test_guards_own_requirement_is_everybodys(pool: FakeUserPool) -> None:
    """`requirement=` holds for each dependency of the guard, and its scopes are named with theirs."""
    guard = guard_of(pool, requirement=Requires(scopes=POST, groups="admins"))
    for dependency in (guard, guard.requires(GET), guard.optional):
        app = app_at(Security(dependency, scopes=[GET]))
        assert ask(app, "/", bearer(pool.access_token(scopes=[GET, POST]))) == NOT_ALLOWED
        refused = ask(app, "/", bearer(pool.access_token(scopes=[GET], groups=["admins"])))
        assert refused == lacking(POST, GET)
        assert ask(app, "/", bearer(pool.access_token(scopes=[GET, POST], groups=["admins"]))).body == b"jane"


def test_verifiers_own_scopes_are_named_as_well(pool: FakeUserPool) -> None:
    """`required_scopes` of the verifier are part of every challenge."""
    guard = guard_of(pool, verifier=pool.verifier(required_scopes=[POST]))
    app = app_at(Security(guard, scopes=[GET]))
    assert ask(app) == naming(NO_TOKEN, POST, GET)
    refused = ask(app, "/", bearer(pool.access_token(scopes=[GET])))
    assert refused == lacking(POST, GET)


@pytest.mark.parametrize("required", [True, False, "no", None])
def test_guard_does_not_say_who_may_be_anonymous(pool: FakeUserPool, required: Any) -> None:
    """Dependencies do: `optional` alone."""
    with pytest.raises(ConfigurationError, match="optional") as raised:
        guard_of(pool, required=required)
    assert raised.value.setting == "required"


# Optional callers


def test_caller_without_credentials_is_none_where_it_is_optional(
    pool: FakeUserPool, caplog: pytest.LogCaptureFixture
) -> None:
    """No refusal, and nothing in the log."""
    caplog.set_level(logging.INFO, "cognito_guard")
    app = app_at(Depends(guard_of(pool).optional))
    for headers in ([], [(b"authorization", b"Basic eA==")]):
        assert ask(app, "/", *headers).body == b"nobody"
    assert reasons(caplog) == []
    assert ask(app, "/", bearer(pool.access_token())).body == b"jane"


def test_bad_credentials_are_refused_where_a_caller_is_optional(
    pool: FakeUserPool, caplog: pytest.LogCaptureFixture
) -> None:
    """Bad ones are not absent ones."""
    caplog.set_level(logging.INFO, "cognito_guard")
    app = app_at(Depends(guard_of(pool).optional))
    token = bearer(pool.access_token())
    assert ask(app, "/", bearer("junk")) == BAD_TOKEN
    assert ask(app, "/", bearer(pool.access_token(expires_in=-60))) == EXPIRED
    assert ask(app, "/", token, token) == NOT_ONE_TOKEN
    assert reasons(caplog) == [Reason.MALFORMED_TOKEN, Reason.EXPIRED, Reason.REPEATED_HEADER]


def test_optional_caller_with_a_token_has_to_meet_the_scopes(pool: FakeUserPool) -> None:
    """Scopes are demanded of whoever comes with a token."""
    app = app_at(Security(guard_of(pool).optional, scopes=[GET]))
    assert ask(app).body == b"nobody"
    assert ask(app, "/", bearer(pool.access_token())) == NO_SCOPE
    assert ask(app, "/", bearer(pool.access_token(scopes=[GET]))).body == b"jane"


def test_optional_caller_is_required_by_another_dependency(pool: FakeUserPool) -> None:
    """The strictest of an operation's dependencies decides, in whatever order they stand."""
    app, guard = app_of(), guard_of(pool)

    @app.get("/")
    async def endpoint(
        _maybe: Principal | None = Depends(guard.optional), caller: Principal = Security(guard, scopes=[GET])
    ) -> Response:
        return name_of(caller)

    assert ask(app) == NO_TOKEN_FOR_GET


def test_keys_out_of_reach_are_nobodys_fault(
    pool: FakeUserPool, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """503 with Retry-After, also where a caller is optional; without a token no keys are missed."""
    caplog.set_level(logging.INFO, "cognito_guard")
    guard = guard_of(pool, verifier=pool.verifier(fetch=unreachable, timer=clock))
    for dependency in (guard, guard.optional, guard.requires(ADMINS)):
        assert ask(app_at(Depends(dependency)), "/", bearer(pool.access_token())) == UNAVAILABLE
    assert ask(app_at(Depends(guard.optional))).body == b"nobody"
    assert reasons(caplog) == [Reason.KEYS_UNAVAILABLE] * 3


# Once per request, on the event loop, for each guard


def test_token_is_verified_once_however_many_dependencies_ask(pool: FakeUserPool) -> None:
    """Different scopes, requirements and `optional`, also where FastAPI is told to ask again."""
    counted = Counted()
    guard = guard_of(pool, token_from=[counted])
    app = app_of(Depends(guard))

    @app.get("/", dependencies=[Security(guard, scopes=[GET]), Depends(guard.requires(POST))])
    async def endpoint(
        caller: Principal = Depends(guard),
        _again: Principal = Depends(guard, use_cache=False),
        _maybe: Principal | None = Depends(guard.optional),
    ) -> Response:
        return name_of(caller)

    token = pool.access_token(scopes=[GET, POST])
    assert ask(app, "/", bearer(token)).body == b"jane"
    assert len(counted.threads) == 1
    ask(app, "/", bearer(token))
    assert len(counted.threads) == 2


def test_guard_runs_on_the_event_loop(pool: FakeUserPool) -> None:
    """No dependency of it takes a thread, whatever the endpoint is."""
    counted = Counted()
    guard = guard_of(pool, token_from=[counted])
    app = app_of()

    @app.get("/")
    def endpoint(
        _caller: Principal = Depends(guard),
        _maybe: Principal | None = Depends(guard.optional),
        _more: Principal = Depends(guard.requires()),
    ) -> None:
        assert threading.get_ident() != counted.threads[0]

    async def talk_here() -> int:
        assert (await aask(app, "/", bearer(pool.access_token()))).status == 200
        return threading.get_ident()

    assert [asyncio.run(talk_here())] == counted.threads


def test_two_guards_of_one_application_do_not_mix(pool: FakeUserPool) -> None:
    """Each has its own pool, its own place for tokens and its own caller, in one request."""
    other = FakeUserPool("eu-west-1_Another00", clock=pool.clock)
    people, partners = guard_of(pool), guard_of(other, token_from=[cookie("partner")], realm="partners")
    app = app_of()

    @app.get("/")
    async def endpoint(
        person: Principal = Depends(people), partner: Principal | None = Depends(partners.optional)
    ) -> list[str]:
        return [person.user_pool_id, partner.user_pool_id if partner else "none"]

    person: Header = bearer(pool.access_token())
    partner: Header = (b"cookie", f"partner={other.access_token()}".encode())
    wrong: Header = (b"cookie", f"partner={pool.access_token()}".encode())
    assert json.loads(ask(app, "/", person).body) == [pool.user_pool_id, "none"]
    assert json.loads(ask(app, "/", person, partner).body) == [pool.user_pool_id, other.user_pool_id]
    assert ask(app, "/", partner) == NO_TOKEN
    assert dict(ask(app, "/", person, wrong).headers)[b"www-authenticate"].startswith(b'Bearer realm="partners"')
    assert ask(app, "/", bearer(other.access_token())) == BAD_TOKEN


def test_one_guard_serves_many_applications(pool: FakeUserPool) -> None:
    """It holds no application's state: it is made at the top of a module, hashable and itself alone."""
    guard = guard_of(pool)
    assert {guard: 1}[guard] == 1
    assert guard != guard_of(pool)
    assert guard.optional is guard.optional
    for app in (app_at(Depends(guard)), app_at(Depends(guard))):
        assert ask(app, "/", bearer(pool.access_token())).body == b"jane"


def test_crowd_on_one_event_loop_sees_each_its_own_caller(pool: FakeUserPool) -> None:
    """All requests are in their endpoints at once; nobody is taken for anybody else."""
    app, guard, names = app_of(), guard_of(pool), [f"user{number}" for number in range(50)]
    tokens = {name: pool.access_token(username=name) for name in names}

    async def serve_all() -> list[Answer]:
        together = asyncio.Barrier(len(names))

        @app.get("/")
        async def endpoint(
            caller: Principal = Depends(guard), maybe: Principal | None = Depends(guard.optional)
        ) -> Response:
            await together.wait()
            return name_of(caller if caller == maybe else None)

        return await asyncio.gather(*(aask(app, "/", bearer(token)) for token in tokens.values()))

    assert [reply.body.decode() for reply in asyncio.run(serve_all())] == names


# The exception


def test_refusal_is_an_http_exception_without_any_handler(pool: FakeUserPool) -> None:
    """Status and headers are the challenge's; the body is FastAPI's own."""
    app = app_at(Security(guard_of(pool), scopes=[GET]), handled=False)
    challenge = b'Bearer realm="cognito", scope="transactions/get"'
    assert ask(app) == refusal(401, challenge, b'{"detail":"Unauthorized"}')
    refused = ask(app, "/", bearer(pool.access_token()))
    assert refused == refusal(403, dict(NO_SCOPE.headers)[b"www-authenticate"], b'{"detail":"Forbidden"}')


def test_keys_out_of_reach_are_named_without_any_handler(pool: FakeUserPool, clock: FakeClock) -> None:
    """Retry-After is one of the headers."""
    guard = guard_of(pool, verifier=pool.verifier(fetch=unreachable, timer=clock))
    refused = ask(app_at(Depends(guard), handled=False), "/", bearer(pool.access_token()))
    assert refused == refusal(503, None, b'{"detail":"Service Unavailable"}', (b"retry-after", b"1"))


@pytest.mark.parametrize("caught", [ChallengeError, HTTPException, StarletteHTTPException, 401])
def test_applications_own_handler_sees_the_refusal(pool: FakeUserPool, caught: Any) -> None:
    """By its class, those above it or its status; what that handler answers is the answer."""

    def handler(_request: Request, error: HTTPException) -> Response:
        assert isinstance(error, ChallengeError)
        body = {"reason": error.challenge.reason, "detail": error.detail}
        return JSONResponse(body, error.status_code, error.headers)

    app = app_at(Depends(guard_of(pool)), handled=False, handlers={caught: handler})
    refused = ask(app, "/", bearer("junk"))
    assert refused == refusal(401, dict(BAD_TOKEN.headers)[b"www-authenticate"], refused.body)
    assert json.loads(refused.body) == {"reason": "malformed_token", "detail": "Unauthorized"}


def test_refusal_tells_its_cause_to_the_handler_alone(pool: FakeUserPool) -> None:
    """The exception carries the challenge and is raised from the error; its text says nothing of the token."""
    guard = guard_of(pool)
    connection = HTTPConnection({"type": "http", "headers": [bearer(pool.access_token(expires_in=-60))]})
    with pytest.raises(ChallengeError) as raised:
        asyncio.run(guard(connection, SecurityScopes()))
    assert raised.value.challenge.reason is Reason.EXPIRED
    assert (raised.value.status_code, str(raised.value)) == (401, "401: Unauthorized")
    assert raised.value.headers == dict(raised.value.challenge.headers)
    assert raised.value.__cause__ is not None


def test_problem_details_are_sent_where_asked_for(pool: FakeUserPool) -> None:
    """With `problem_details=True` the handler's body is one, and the media type says so."""
    app = app_at(Security(guard_of(pool, problem_details=True), scopes=[GET]))
    refused = ask(app, "/", bearer(pool.access_token()))
    assert dict(refused.headers)[b"content-type"] == b"application/problem+json"
    assert json.loads(refused.body)["required_scopes"] == [GET]


def test_key_error_in_an_endpoint_is_no_refusal(pool: FakeUserPool, caplog: pytest.LogCaptureFixture) -> None:
    """A bug in a guarded endpoint is a 500, as it is in any other."""
    caplog.set_level(logging.INFO, "cognito_guard")
    app = app_of(Depends(guard_of(pool)))

    @app.get("/")
    async def endpoint() -> None:
        raise KeyError("order")

    with pytest.raises(KeyError, match="order"):
        ask(app, "/", bearer(pool.access_token()))
    client = TestClient(app, raise_server_exceptions=False)
    assert client.get("/", headers=pool.headers()).status_code == 500
    assert reasons(caplog) == []


def test_unexpected_error_in_the_guard_is_neither_a_pass_nor_a_401(pool: FakeUserPool) -> None:
    """It propagates, and the endpoint does not run; not even where a caller is optional."""

    def broken(_headers: Headers) -> str | None:
        raise LookupError("a bug")

    guard = guard_of(pool, token_from=[broken])
    for dependency in (guard, guard.optional, guard.requires()):
        with pytest.raises(LookupError, match="a bug"):
            ask(app_at(Depends(dependency)), "/", bearer(pool.access_token()))


# WebSockets


def feed_of(dependency: Dependency, **options: Any) -> FastAPI:
    """Make an application whose WebSocket "/" greets the caller that this dependency finds."""
    app = app_of(**options)

    @app.websocket("/")
    async def feed(websocket: WebSocket, caller: Principal | None = dependency) -> None:
        await websocket.accept()
        await websocket.send_text("nobody" if caller is None else caller.display_name)

    return app


@pytest.mark.parametrize(
    "scopes, expected",
    [
        pytest.param(None, NO_TOKEN_FOR_GET, id="no token"),
        pytest.param([], NO_SCOPE, id="no scope"),
    ],
)
def test_websocket_is_refused_in_the_handshake(pool: FakeUserPool, scopes: list[str] | None, expected: Answer) -> None:
    """The whole response where the server can send one, else close 1008, and no word gets in."""
    guard = guard_of(pool)
    headers = [] if scopes is None else [bearer(pool.access_token(scopes=scopes))]
    for dependency in (Security(guard, scopes=[GET]), Depends(guard.requires(GET))):
        app = feed_of(dependency)
        sent = talk(app, handshake("/", *headers, extensions=[DENIAL]), HELLO)
        assert answer(sent, "websocket.") == expected
        assert talk(app, handshake("/", *headers), HELLO) == CLOSED
        assert talk(app, handshake("/", *headers) | {"extensions": None}, HELLO) == CLOSED


def test_websocket_is_refused_without_any_handler(pool: FakeUserPool) -> None:
    """FastAPI's own handlers deny or close it: status and headers are the challenge's."""
    app = feed_of(Depends(guard_of(pool)), handled=False)
    sent = talk(app, handshake("/", bearer("junk"), extensions=[DENIAL]), HELLO)
    challenge = dict(BAD_TOKEN.headers)[b"www-authenticate"]
    assert answer(sent, "websocket.") == refusal(401, challenge, b'{"detail":"Unauthorized"}')
    assert talk(app, handshake("/", bearer("junk")), HELLO) == CLOSED


def test_websocket_of_a_good_caller_is_open(pool: FakeUserPool) -> None:
    """The endpoint accepts, and knows its caller; where one is optional, that there is none."""
    guard = guard_of(pool)
    for dependency, headers, name in (
        (Security(guard, scopes=[GET]), [bearer(pool.access_token(scopes=[GET]))], "jane"),
        (Depends(guard.requires(GET)), [bearer(pool.access_token(scopes=[GET]))], "jane"),
        (Depends(guard.optional), [bearer(pool.access_token())], "jane"),
        (Depends(guard.optional), [], "nobody"),
    ):
        sent = talk(feed_of(dependency), handshake("/", *headers), HELLO)
        assert [message["type"] for message in sent] == ["websocket.accept", "websocket.send"]
        assert sent[1]["text"] == name


def test_optional_caller_of_a_websocket_is_refused_with_a_bad_token(pool: FakeUserPool, clock: FakeClock) -> None:
    """As over http: neither bad nor unverifiable is anonymous."""
    app = feed_of(Depends(guard_of(pool).optional))
    sent = talk(app, handshake("/", bearer(pool.access_token(expires_in=-60)), extensions=[DENIAL]), HELLO)
    assert answer(sent, "websocket.") == EXPIRED
    down = guard_of(pool, verifier=pool.verifier(fetch=unreachable, timer=clock))
    sent = talk(feed_of(Depends(down.optional)), handshake("/", bearer(pool.access_token()), extensions=[DENIAL]))
    assert answer(sent, "websocket.") == UNAVAILABLE


def test_websocket_that_is_open_already_is_closed(pool: FakeUserPool) -> None:
    """Where another dependency has accepted, no response can be sent, whatever the server's extensions."""
    guard, app = guard_of(pool), app_of()

    async def accepted(websocket: WebSocket) -> None:
        await websocket.accept()

    @app.websocket("/", dependencies=[Depends(accepted), Depends(guard)])
    async def feed(websocket: WebSocket) -> None:
        await websocket.send_text("secret")

    for extensions in ([], [DENIAL]):
        sent = talk(app, handshake("/", extensions=extensions), HELLO)
        assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]
        assert sent[-1]["code"] == 1008


def test_browser_brings_its_token_as_a_subprotocol(pool: FakeUserPool) -> None:
    """Where the guard takes it from there."""
    app = feed_of(Depends(guard_of(pool, token_from=[header(), websocket_subprotocol()])))
    offered = (b"sec-websocket-protocol", f"bearer, {pool.access_token()}".encode())
    assert talk(app, handshake("/", offered), HELLO)[1]["text"] == "jane"
    assert talk(app, handshake("/", (b"sec-websocket-protocol", b"bearer, junk")), HELLO) == CLOSED
    # Some servers (wsproto) take the header out, and show it parsed.
    parsed = handshake("/", subprotocols=["bearer", pool.access_token()])
    assert talk(app, parsed, HELLO)[1]["text"] == "jane"
    assert talk(app, handshake("/", subprotocols=["bearer", "junk"]), HELLO) == CLOSED


# OpenAPI


def schemes_and_security(*dependencies: Dependency) -> tuple[Any, Any]:
    """Return what OpenAPI says of an application with one operation: its security schemes, and the operation's."""
    app = FastAPI()
    app.add_api_route("/", lambda: None, dependencies=list(dependencies), response_model=None)
    document = app.openapi()
    return document.get("components", {}).get("securitySchemes"), document["paths"]["/"]["get"].get("security")


BEARER_SCHEME = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


def test_openapi_shows_a_bearer_token(pool: FakeUserPool) -> None:
    """Without a domain nobody can sign in on the docs page: a token is pasted there."""
    assert schemes_and_security(Depends(guard_of(pool))) == (
        {"CognitoBearer": BEARER_SCHEME},
        [{"CognitoBearer": []}],
    )
    guard = guard_of(pool, scheme_name="Orders", description="A token of the shop's user pool.")
    assert schemes_and_security(Depends(guard)) == (
        {"Orders": BEARER_SCHEME | {"description": "A token of the shop's user pool."}},
        [{"Orders": []}],
    )


def test_openapi_shows_the_sign_in_at_the_pools_domain(pool: FakeUserPool, transactions: ResourceServer) -> None:
    """With a domain: the authorization code flow, with the resource server's scopes in its own words."""
    guard = guard_of(pool, domain="auth.example.com", scopes=transactions)
    flow = {
        "authorizationUrl": "https://auth.example.com/oauth2/authorize",
        "tokenUrl": "https://auth.example.com/oauth2/token",
        "scopes": {GET: "Read transactions", POST: "Make transactions"},
    }
    assert schemes_and_security(Security(guard, scopes=[GET])) == (
        {"CognitoBearer": {"type": "oauth2", "flows": {"authorizationCode": flow}}},
        [{"CognitoBearer": [GET]}],
    )


@pytest.mark.parametrize("url", ["http://localhost", "http://localhost:8080", "http://127.0.0.1:80", "http://[::1]:80"])
def test_openapi_shows_the_sign_in_at_a_local_pool(pool: FakeUserPool, url: str) -> None:
    """A pool for tests and emulators has no TLS; nobody but this machine can be there."""
    schemes, _ = schemes_and_security(Depends(guard_of(pool, domain=url)))
    flow = schemes["CognitoBearer"]["flows"]["authorizationCode"]
    assert (flow["authorizationUrl"], flow["tokenUrl"]) == (f"{url}/oauth2/authorize", f"{url}/oauth2/token")


@pytest.mark.parametrize(
    "scopes, expected",
    [
        pytest.param((), {}, id="none"),
        pytest.param(GET, {GET: ""}, id="one"),
        pytest.param([GET, POST], {GET: "", POST: ""}, id="several"),
        pytest.param({GET: "Read"}, {GET: "Read"}, id="a mapping"),
        pytest.param(
            [ResourceServer("orders", {"read": "Read orders"}), "openid"],
            {"orders/read": "Read orders", "openid": ""},
            id="a resource server and another scope",
        ),
    ],
)
def test_scopes_are_declared_in_any_form(pool: FakeUserPool, scopes: Any, expected: Mapping[str, str]) -> None:
    """Full scopes, with descriptions or without, and resource servers."""
    schemes, _ = schemes_and_security(Depends(guard_of(pool, domain="auth.example.com", scopes=scopes)))
    assert schemes["CognitoBearer"]["flows"]["authorizationCode"]["scopes"] == expected


def test_openapi_lists_the_scopes_of_each_operation(pool: FakeUserPool) -> None:
    """Those of all its dependencies, once each, whatever guards; nothing where nothing guards."""
    guard = guard_of(pool)
    for dependencies, scopes in (
        ([Depends(guard)], []),
        ([Depends(guard.optional)], []),
        ([Security(guard, scopes=[GET])], [GET]),
        ([Security(guard.optional, scopes=[GET])], [GET]),
        ([Depends(guard.requires(ADMINS))], []),
        ([Depends(guard.requires(GET, Requires(scopes=POST, groups="admins")))], [GET, POST]),
        ([Security(guard.requires(POST), scopes=[GET])], [GET, POST]),
        ([Depends(guard), Security(guard, scopes=[GET]), Depends(guard.requires(POST, GET))], [GET, POST]),
    ):
        schemes, security = schemes_and_security(*dependencies)
        assert (schemes, list(security[0])) == ({"CognitoBearer": BEARER_SCHEME}, ["CognitoBearer"])
        assert (len(security), set(security[0]["CognitoBearer"])) == (1, set(scopes))
        assert len(security[0]["CognitoBearer"]) == len(scopes)
    assert schemes_and_security() == (None, None)


def test_openapi_shows_two_guards_under_their_names(pool: FakeUserPool) -> None:
    """Each under the name it was given."""
    people, machines = guard_of(pool, scheme_name="People", domain="auth.example.com"), guard_of(pool)
    schemes, security = schemes_and_security(Depends(people), Security(machines, scopes=[GET]))
    assert {name: scheme["type"] for name, scheme in schemes.items()} == {"People": "oauth2", "CognitoBearer": "http"}
    assert security == [{"People": []}, {"CognitoBearer": [GET]}]


def test_openapi_mentions_no_parameter_of_the_guard(pool: FakeUserPool) -> None:
    """Its dependencies take nothing from a request that a client would have to know of."""
    guard = guard_of(pool)
    app = app_of(Depends(guard), Depends(guard.optional), Depends(guard.requires(GET)))
    app.add_api_route("/", lambda: None, response_model=None)
    operation = app.openapi()["paths"]["/"]["get"]
    assert {"parameters", "requestBody"} & operation.keys() == set()


def test_people_sign_in_on_the_docs_page(pool: FakeUserPool, transactions: ResourceServer) -> None:
    """A public client with PKCE, and all declared scopes; FastAPI writes it into the page."""
    guard = guard_of(pool, domain="auth.example.com", scopes=transactions)
    expected = {"clientId": "docs", "usePkceWithAuthorizationCodeGrant": True, "scopes": [GET, POST]}
    assert guard.swagger_ui_oauth(client_id="docs") == expected
    page = ask(FastAPI(swagger_ui_init_oauth=guard.swagger_ui_oauth(client_id="docs")), "/docs").body
    assert b"ui.initOAuth(" + json.dumps(expected).encode() + b")" in page


def test_sign_in_asks_for_tokens_of_the_resource(pool: FakeUserPool) -> None:
    """Where the guard names its resource in metadata, tokens from the docs page are bound to it (RFC 8707)."""
    guard = guard_of(pool, domain="auth.example.com", metadata=DOCUMENT)
    oauth = guard.swagger_ui_oauth(client_id="docs")
    assert oauth["additionalQueryStringParams"] == {"resource": "https://api.example.com/orders"}


# Metadata


def test_metadata_is_served_to_everybody(pool: FakeUserPool) -> None:
    """At its exact path, also where the whole application is guarded; every challenge names the place."""
    guard = guard_of(pool, metadata=DOCUMENT)
    app = app_of(Depends(guard))
    app.add_api_route("/", lambda: None, response_model=None)
    app.include_router(guard.metadata_router())
    path = "/.well-known/oauth-protected-resource/orders"
    reply = ask(app, path)
    assert (reply.status, reply.body) == (200, DOCUMENT.document)
    assert dict(reply.headers)[b"content-type"] == b"application/json"
    assert dict(reply.headers)[b"cache-control"] == b"public, max-age=3600"
    assert dict(reply.headers)[b"access-control-allow-origin"] == b"*"
    assert ask(app, path, method="HEAD").status == 200
    assert ask(app, path, method="POST").status == 405
    assert ask(app, path + "/more").status == 404
    assert path not in app.openapi()["paths"]
    challenge = dict(ask(app).headers)[b"www-authenticate"]
    assert challenge == b'Bearer realm="cognito", resource_metadata="https://api.example.com%b"' % path.encode()


# Mistakes

MISTAKES: Mapping[str, tuple[str, Callable[[FakeUserPool], object]]] = {
    "no verifier": ("verifier", lambda _: CognitoBearer(cast("Any", "eu-west-1_x"))),
    "an unquotable realm": ("realm", lambda pool: guard_of(pool, realm='"')),
    "a scope as requirement": ("requirement", lambda pool: guard_of(pool, requirement=GET)),
    "no place for tokens": ("token_from", lambda pool: guard_of(pool, token_from=[])),
    "a URL as domain": ("domain", lambda pool: guard_of(pool, domain="https://auth.example.com")),
    "a URL without TLS as domain": ("domain", lambda pool: guard_of(pool, domain="http://auth.example.com")),
    "a look-alike of a local URL": ("domain", lambda pool: guard_of(pool, domain="http://localhost.example.com")),
    "a local URL with a path": ("domain", lambda pool: guard_of(pool, domain="http://localhost:8080/oauth2")),
    "a path in the domain": ("domain", lambda pool: guard_of(pool, domain="auth.example.com/")),
    "a domain's prefix": ("domain", lambda pool: guard_of(pool, domain="prefix")),
    "a number as domain": ("domain", lambda pool: guard_of(pool, domain=1)),
    "a scope with a blank": ("scopes", lambda pool: guard_of(pool, scopes=["a b"])),
    "a described scope with a blank": ("scopes", lambda pool: guard_of(pool, scopes={"a b": ""})),
    "a number as scopes": ("scopes", lambda pool: guard_of(pool, scopes=1)),
    "a number as scope": ("scopes", lambda pool: guard_of(pool, scopes=[1])),
    "a number as description": ("description", lambda pool: guard_of(pool, description=4)),
    "a number as description, with a domain": (
        "description",
        lambda pool: guard_of(pool, description=4, domain="auth.example.com"),
    ),
    "a number as name": ("scheme_name", lambda pool: guard_of(pool, scheme_name=4)),
    "nothing as name": ("scheme_name", lambda pool: guard_of(pool, scheme_name="")),
    "a number as a scope's description": ("scopes", lambda pool: guard_of(pool, scopes={GET: 4})),
    "an option that nobody has": ("exempt", lambda pool: guard_of(pool, exempt="/healthz")),
    "a number as demand": ("requires", lambda pool: guard_of(pool).requires(cast("Any", 1))),
    "two scopes in one": ("scopes", lambda pool: guard_of(pool).requires("a b")),
    "metadata of none": ("metadata", lambda pool: guard_of(pool).metadata_router()),
    "sign-in at no domain": ("domain", lambda pool: guard_of(pool).swagger_ui_oauth(client_id="docs")),
}


@pytest.mark.parametrize(
    "setting, mistake", [pytest.param(*mistake, id=sentence) for sentence, mistake in MISTAKES.items()]
)
def test_mistake_is_found_before_any_request(
    pool: FakeUserPool, setting: str, mistake: Callable[[FakeUserPool], object]
) -> None:
    """The error names the setting."""
    with pytest.raises(ConfigurationError) as raised:
        mistake(pool)
    assert raised.value.setting == setting


# Testing aids


def test_acting_as_takes_only_the_token_for_granted(pool: FakeUserPool, caplog: pytest.LogCaptureFixture) -> None:
    """Scopes, requirements and what the guard and its verifier require of everybody decide as ever."""
    caplog.set_level(logging.INFO, "cognito_guard")
    strict = guard_of(pool, verifier=pool.verifier(required_scopes=[GET]), requirement=Requires(groups="staff"))

    def principal(**options: Any) -> Principal:
        return pool.verifier().verify(pool.access_token(**options))

    def acted(app: FastAPI, guard: CognitoBearer, **options: Any) -> Answer:
        return ask(acting_as(app, guard, principal(**options)))

    guard = guard_of(pool)
    reading = app_at(Security(guard, scopes=[GET]))
    assert acted(reading, guard, scopes=[GET]).body == b"jane"
    assert acted(reading, guard) == NO_SCOPE
    assert acted(demanding(guard, ADMINS), guard, username="joe", groups=["admins"]).body == b"joe"
    assert acted(demanding(guard, ADMINS), guard) == NOT_ALLOWED
    assert acted(demanding(guard, Requires(max_age=300)), guard, auth_time=0) == STEP_UP
    assert acted(app_at(Depends(guard.optional)), guard).body == b"jane"
    assert acted(app_at(Depends(strict)), strict, scopes=[GET]) == NOT_ALLOWED
    assert acted(app_at(Depends(strict)), strict, groups=["staff"]) == NO_SCOPE
    assert acted(app_at(Depends(strict)), strict, scopes=[GET], groups=["staff"]).body == b"jane"
    assert len(reasons(caplog)) == 5


def test_acting_as_leaves_everything_else_as_it_is(pool: FakeUserPool) -> None:
    """The application itself, other guards and other callers; and it reaches WebSockets and mounts."""
    guard = guard_of(pool)
    app = app_at(Depends(guard))
    jane, joe = (pool.verifier().verify(pool.access_token(username=name)) for name in ("jane", "joe"))
    outer = app_of()
    outer.mount("/mounted", app)
    with TestClient(acting_as(app, guard, jane)) as as_jane, TestClient(acting_as(outer, guard, joe)) as as_joe:
        assert (as_jane.get("/").text, as_joe.get("/mounted/").text) == ("jane", "joe")
    assert ask(app) == NO_TOKEN
    assert ask(acting_as(app, guard_of(pool), jane)) == NO_TOKEN
    with TestClient(acting_as(feed_of(Depends(guard)), guard, joe)).websocket_connect("/") as session:
        assert session.receive_text() == "joe"


def test_fastapis_own_overrides_replace_the_guard(pool: FakeUserPool) -> None:
    """`dependency_overrides` work as with any dependency; what they take away is theirs."""
    guard = guard_of(pool)
    app = app_at(Security(guard, scopes=[GET]))
    principal = pool.verifier().verify(pool.access_token())
    app.dependency_overrides[guard] = lambda: principal
    assert ask(app).body == b"jane"
    app.dependency_overrides.clear()
    assert ask(app) == NO_TOKEN_FOR_GET


# Without FastAPI

WITHOUT_FASTAPI = """
import sys
sys.modules["fastapi"] = None
try:
    import cognito_guard.fastapi
except ImportError as error:
    print(error)
"""


def test_missing_fastapi_is_named_with_its_extra() -> None:
    """The adapter says what to install."""
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_FASTAPI], capture_output=True, text=True, timeout=30, check=True
    )
    assert result.stdout == "cognito_guard.fastapi needs FastAPI: pip install 'cognito-guard[fastapi]'\n"
    assert result.stderr == ""
