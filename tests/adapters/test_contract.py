"""The contract: the same answer to the same request, to the letter, whatever the framework."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection
from typing import Any, TypeAlias

import pytest
import uvicorn

from cognito_guard import CognitoVerifier, FetchError, Principal, Reason, RefreshSchedule, RevocationList
from cognito_guard.testing import ABSENT, FakeClock, FakeUserPool

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
    Header,
    Present,
    bearer,
    contract,
    refusal,
)
from . import Answer as Expected
from .contract import Answer, Driver, DriverFactory, RawHeaders, drivers_of
from .test_over_sockets import LOOPBACK
from .test_over_sockets import Server as UvicornServer

MODULES = ("asgi", "fastapi", "flask", "wsgi", "django", "drf", "awslambda")
ADMIN = "aws.cognito.signin.user.admin"
GET = "transactions/get"
POST = "transactions/post"
FRESH_FOR = 600.0
CROWD = 50
TIMEOUT = 30.0
ORIGIN: Header = (b"origin", b"https://app.example.com")
ASKED_METHOD: Header = (b"access-control-request-method", b"POST")

Seen: TypeAlias = Callable[[FakeUserPool], object]
"""Say what a handler answers, as JSON."""

JOINING = ("flask", "wsgi", "django", "drf", "awslambda")
"""
The modules whose server side hands on repeated headers as one value, joined by a comma: WSGI, Django on ASGI, and HTTP
APIs.
"""

IN_FRONT = (
    "starlette sync",
    "starlette async",
    "starlette's authentication sync",
    "starlette's authentication async",
    "django middleware sync",
    "django middleware async",
    "drf behind the middleware",
)
"""The drivers that judge tokens before they know which operation is meant, and so which scopes it needs."""

GUARDED_HANDLERS = (
    *IN_FRONT,
    "fastapi sync",
    "fastapi async",
    "django classes sync",
    "django classes async",
    "drf",
    "lambda",
)
"""The drivers whose handlers answer OPTIONS and are guarded for every method: CORS belongs in front of them."""

SERVERS = {"uvicorn": "asgi_app", "gunicorn": "wsgi_app"}
"""What serves a driver whose application stands in this attribute."""


# The drivers


@dataclass(frozen=True, slots=True)
class Candidate:
    """Hold how to build one driver, of which module it is, and what can serve its application."""

    module: str
    name: str
    build: DriverFactory
    server: str | None


def candidates() -> Iterator[Candidate]:
    """Find every driver there is."""
    pool = FakeUserPool(clock=FakeClock())
    for module in MODULES:
        for build in drivers_of(module):
            driver = build(pool, pool.verifier())
            server = next((name for name, app in SERVERS.items() if hasattr(driver, app)), None)
            yield Candidate(module, driver.name, build, server)


CANDIDATES = list(candidates())


class Keys:
    """The pool's JWKS endpoint, which can be down."""

    def __init__(self, pool: FakeUserPool) -> None:
        self.is_down = False
        self._pool = pool

    def __call__(self, uri: str, timeout: float) -> bytes:
        """Answer a fetch."""
        if self.is_down:
            raise FetchError("down")
        return self._pool.fetch(uri, timeout)


class Revocations(RevocationList):
    """The application's revocations, which can be out of reach."""

    is_down = False

    def is_revoked(self, principal: Principal) -> bool:
        """Answer the verifier."""
        if self.is_down:
            raise ConnectionError
        return super().is_revoked(principal)


# Applications take their time to build, and Django serves one at a time: each is built once, on a pool of its own,
# and the tests leave it as able to serve as they found it.


@pytest.fixture(scope="module", params=[pytest.param(candidate, id=candidate.name) for candidate in CANDIDATES])
def candidate(request: pytest.FixtureRequest) -> Candidate:
    """Return each driver's origin in turn."""
    found: Candidate = request.param
    return found


@pytest.fixture(scope="module")
def clock() -> FakeClock:
    """Return the clock of a driver's pool."""
    return FakeClock()


@pytest.fixture(scope="module")
def pool(candidate: Candidate, clock: FakeClock) -> FakeUserPool:
    """Return a driver's pool."""
    del candidate
    return FakeUserPool(clock=clock)


@pytest.fixture(scope="module")
def keys(pool: FakeUserPool) -> Keys:
    """Return the pool's JWKS endpoint."""
    return Keys(pool)


@pytest.fixture(scope="module")
def revocations(pool: FakeUserPool, clock: FakeClock) -> Revocations:
    """Return the revocations that a driver's verifier asks for."""
    del pool
    return Revocations(clock=clock, timer=clock)


@pytest.fixture(scope="module")
def verifier(pool: FakeUserPool, keys: Keys, revocations: Revocations, clock: FakeClock) -> CognitoVerifier:
    """Return a verifier that waits for fresh keys rather than use stale ones."""
    schedule = RefreshSchedule(fresh_for=FRESH_FOR, stale_for=0)
    return pool.verifier(fetch=keys, timer=clock, schedule=schedule, revocations=revocations)


@pytest.fixture(scope="module")
def driver(candidate: Candidate, pool: FakeUserPool, verifier: CognitoVerifier) -> Driver:
    """Return each driver in turn."""
    return candidate.build(pool, verifier)


@pytest.fixture
def outage(keys: Keys, clock: FakeClock, verifier: CognitoVerifier) -> Iterator[None]:
    """Put the keys out of reach for the test."""
    clock.tick(FRESH_FOR + 1)
    keys.is_down = True
    yield
    keys.is_down = False
    clock.tick(FRESH_FOR)
    verifier.prefetch()


@pytest.fixture
def withdrawal(pool: FakeUserPool, clock: FakeClock) -> Iterator[Callable[[], None]]:
    """Return a function that withdraws the key of access tokens for the test."""

    def withdraw() -> None:
        pool.withdraw(pool.access_key.kid)
        clock.tick(FRESH_FOR + 1)

    yield withdraw
    pool.rotate()
    clock.tick(FRESH_FOR + 1)


# What is sent


def nothing(_pool: FakeUserPool) -> list[Header]:
    """Send no credentials."""
    return []


def user(scheme: str = "Bearer ", **options: Any) -> Present:
    """Send a user's access token; `auth_time` counts back from now."""

    def present(pool: FakeUserPool) -> list[Header]:
        ago = options.get("auth_time")
        at = {} if ago is None or ago is ABSENT else {"auth_time": pool.clock() - ago}
        return [bearer(pool.access_token(**(options | at)), scheme)]

    return present


def of_the_future(pool: FakeUserPool) -> list[Header]:
    """Send a token that was issued in ten minutes."""
    return [bearer(pool.access_token(iat=int(pool.clock()) + 600))]


def machine(pool: FakeUserPool) -> list[Header]:
    """Send a machine's access token."""
    return [bearer(pool.client_token(scopes=[GET]))]


def value(template: str) -> Present:
    """Send an Authorization value in which TOKEN stands for a good token."""
    return lambda pool: [bearer(template.replace("TOKEN", pool.access_token()), "")]


def beside(name: bytes, template: str, present: Present = nothing) -> Present:
    """Send a good token in another header, beside other credentials."""
    return lambda pool: [(name, template.replace("TOKEN", pool.access_token()).encode()), *present(pool)]


# What comes back


def seen(username: str = "jane", scopes: tuple[str, ...] = (ADMIN,), groups: tuple[str, ...] = ()) -> Seen:
    """Expect the handler to see this user."""
    return lambda pool: {
        "subject": pool.subject(username),
        "username": username,
        "scopes": list(scopes),
        "groups": list(groups),
        "machine": False,
    }


def seen_machine(pool: FakeUserPool) -> object:
    """Expect the handler to see the default machine."""
    return {"subject": pool.client_id, "username": None, "scopes": [GET], "groups": [], "machine": True}


def caller(username: str | None) -> Seen:
    """Expect the handler to name its caller, or nobody."""
    return lambda pool: {"caller": None if username is None else pool.subject(username)}


def with_scope(refused: Expected, scope: str) -> Expected:
    """Expect the same refusal, with the scopes that the operation needs in its challenge."""
    challenge = dict(refused.headers)[b"www-authenticate"]
    return refusal(refused.status, challenge + b', scope="%b"' % scope.encode(), refused.body)


def lacking(scope: str) -> Expected:
    """Expect to be told which scopes the operation needs."""
    challenge = dict(NO_SCOPE.headers)[b"www-authenticate"].replace(GET.encode(), scope.encode())
    return refusal(403, challenge, NO_SCOPE.body)


def assert_served(answer: Answer, body: object) -> None:
    """Check that a handler answered with this JSON."""
    assert (answer.status, answer.challenges) == (200, [])
    assert json.loads(answer.body) == body


def assert_refused(answer: Answer, expected: Expected, method: str = "GET") -> None:
    """Check a refusal: each header of it, no other challenge, and the body."""
    wanted = {name.decode(): value.decode() for name, value in expected.headers}
    length = wanted.pop("content-length")
    challenge = wanted.get("www-authenticate")
    assert (answer.status, answer.challenges) == (expected.status, [challenge] if challenge else [])
    assert {name: answer.headers.get(name) for name in wanted} == wanted
    assert answer.headers.get("content-length", length) == length
    assert ("retry-after" in answer.headers) is ("retry-after" in wanted)
    assert answer.body == (b"" if method == "HEAD" else expected.body)


def reasons(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the reasons that were logged."""
    records = [record for record in caplog.records if record.name == "cognito_guard"]
    found: list[str] = [record.__dict__["reason"] for record in records]
    assert [record.getMessage() for record in records] == [f"request refused: {reason}" for reason in found]
    assert {record.levelname for record in records} <= {"INFO"}
    return found


def refused_as_joined(candidate: Candidate, headers: list[Header], expected: Expected, reason: Reason) -> Any:
    """Return refusal and reason, which the values' schemes decide where a server has joined several."""
    authorization = [value for name, value in headers if name == b"authorization"]
    if len(authorization) < 2 or candidate.module not in JOINING:
        return expected, reason
    are_bearer = [value.strip().lower().startswith(b"bearer") for value in authorization]
    if not any(are_bearer):
        return NO_TOKEN, Reason.MISSING_TOKEN
    return NOT_ONE_TOKEN, Reason.MALFORMED_HEADER if are_bearer[0] else Reason.REPEATED_HEADER


# The table of those who get through

STAFF = user(groups=["staff"])
READER = user(scopes=[GET])
WRITER = user(scopes=[POST])
BOTH = user(scopes=[POST, GET])

SERVED: Mapping[str, tuple[str, str, Present, Seen]] = {
    "a user": ("GET", "/me", user(), seen()),
    "another user": ("GET", "/me", user(username="joe"), seen("joe")),
    "a user with scopes": ("GET", "/me", BOTH, seen(scopes=(GET, POST))),
    "a user without scopes": ("GET", "/me", user(scopes=[]), seen(scopes=())),
    "a user with groups": ("GET", "/me", user(groups=["staff", "admins"]), seen(groups=("admins", "staff"))),
    "a machine": ("GET", "/me", machine, seen_machine),
    "a name that is no ASCII": ("GET", "/me", user(username="jürgen"), seen("jürgen")),
    "a lower-case scheme": ("GET", "/me", user("bearer "), seen()),
    "an upper-case scheme": ("GET", "/me", user("BEARER "), seen()),
    "a scheme in any case": ("GET", "/me", user("bEaReR "), seen()),
    "several blanks after the scheme": ("GET", "/me", user("Bearer    "), seen()),
    "blanks around the value": ("GET", "/me", value(" \tBearer TOKEN \t"), seen()),
    "POST": ("POST", "/me", user(), seen()),
    "OPTIONS with a token": ("OPTIONS", "/me", user(), seen()),
    "a bad token in the query string": ("GET", "/me?access_token=junk", user(), seen()),
    "a bad token in a cookie": ("GET", "/me", beside(b"cookie", "access_token=junk", user()), seen()),
    "a bad token in X-Authorization": ("GET", "/me", beside(b"x-authorization", "Bearer junk", user()), seen()),
    "the scope": ("GET", "/read", READER, seen(scopes=(GET,))),
    "the scope and another": ("GET", "/read", BOTH, seen(scopes=(GET, POST))),
    "a machine with the scope": ("GET", "/read", machine, seen_machine),
    "the scope to write": ("POST", "/write", WRITER, seen(scopes=(POST,))),
    "the first of either": ("GET", "/either", READER, seen(scopes=(GET,))),
    "the second of either": ("GET", "/either", WRITER, seen(scopes=(POST,))),
    "the group": ("GET", "/staff", STAFF, seen(groups=("staff",))),
    "a sign-in of now": ("GET", "/recent", user(), seen()),
    "a sign-in just recent enough": ("GET", "/recent", user(auth_time=300), seen()),
    "one alternative": ("GET", "/combined", STAFF, seen(groups=("staff",))),
    "the other alternative": ("GET", "/combined", WRITER, seen(scopes=(POST,))),
    "nobody, in public": ("GET", "/public", nothing, caller(None)),
    "a bad token, in public": ("GET", "/public", value("Bearer junk"), caller(None)),
    "two tokens, in public": ("GET", "/public", value("Bearer a b"), caller(None)),
    "a good token, in public": ("GET", "/public", user(), caller(None)),
    "a good token where none is needed": ("GET", "/optional", user(), caller("jane")),
}

# The table of those who do not

FOR_GET = with_scope(NO_TOKEN, GET)
NO_POST = lacking(POST)
OLD = user(auth_time=301)
INSUFFICIENT = Reason.INSUFFICIENT_SCOPE
GROUP = Reason.GROUP_REQUIRED
MISSING = Reason.MISSING_TOKEN

Refused: TypeAlias = tuple[str, str, Present, Expected, Reason]


def rows(path: str, clause: str, params: Iterable[Any]) -> dict[str, Refused]:
    """Make rows of what every adapter's tests know to be refused."""
    return {f"{param.id}, {clause}": ("GET", path, *param.values) for param in params}


REFUSED: Mapping[str, Refused] = {
    "HEAD without a token": ("HEAD", "/me", nothing, NO_TOKEN, MISSING),
    "HEAD with a bad token": ("HEAD", "/me", value("Bearer junk"), BAD_TOKEN, Reason.MALFORMED_TOKEN),
    "POST without a token": ("POST", "/me", nothing, NO_TOKEN, MISSING),
    "OPTIONS without a token": ("OPTIONS", "/me", nothing, NO_TOKEN, MISSING),
    "OPTIONS with an origin alone": ("OPTIONS", "/me", lambda _: [ORIGIN], NO_TOKEN, MISSING),
    "OPTIONS with a method alone": ("OPTIONS", "/me", lambda _: [ASKED_METHOD], NO_TOKEN, MISSING),
    "GET with a preflight's headers": ("GET", "/me", lambda _: [ORIGIN, ASKED_METHOD], NO_TOKEN, MISSING),
    "a token in the query string": ("GET", "/me?access_token=junk&token=junk", nothing, NO_TOKEN, MISSING),
    "a token in a cookie": ("GET", "/me", beside(b"cookie", "access_token=TOKEN"), NO_TOKEN, MISSING),
    "a cookie named Authorization": ("GET", "/me", beside(b"cookie", "Authorization=Bearer TOKEN"), NO_TOKEN, MISSING),
    "a token in X-Authorization": ("GET", "/me", beside(b"x-authorization", "Bearer TOKEN"), NO_TOKEN, MISSING),
    "an underscore after the name": ("GET", "/me", beside(b"authorization_", "Bearer TOKEN"), NO_TOKEN, MISSING),
    "a prefix to the name": ("GET", "/me", beside(b"http-authorization", "Bearer TOKEN"), NO_TOKEN, MISSING),
    "a user set by a header": ("GET", "/me", beside(b"remote-user", "jane"), NO_TOKEN, MISSING),
    "a different second token": (
        "GET",
        "/me",
        lambda pool: [bearer(pool.access_token()), bearer(pool.access_token(username="joe"))],
        NOT_ONE_TOKEN,
        Reason.REPEATED_HEADER,
    ),
    "a very long token": ("GET", "/me", value(f"Bearer {'a' * 60_000}"), BAD_TOKEN, Reason.OVERSIZED_TOKEN),
    "a token from the future": ("GET", "/me", of_the_future, BAD_TOKEN, Reason.ISSUED_IN_FUTURE),
    "no token, where a scope is needed": ("GET", "/read", nothing, FOR_GET, MISSING),
    "no token, to write": ("POST", "/write", nothing, with_scope(NO_TOKEN, POST), MISSING),
    "no token, for either": ("GET", "/either", nothing, FOR_GET, MISSING),
    "no token, for staff": ("GET", "/staff", nothing, NO_TOKEN, MISSING),
    "no token, for the recent": ("GET", "/recent", nothing, NO_TOKEN, MISSING),
    "no token, for alternatives": ("GET", "/combined", nothing, NO_TOKEN, MISSING),
    "no token, for a stream": ("GET", "/stream", nothing, NO_TOKEN, MISSING),
    "no token, for what would fail": ("GET", "/boom", nothing, NO_TOKEN, MISSING),
    "an expired token, for a stream": ("GET", "/stream", user(expires_in=-60), EXPIRED, Reason.EXPIRED),
    "a bad token, for what would fail": ("GET", "/boom", value("Bearer junk"), BAD_TOKEN, Reason.MALFORMED_TOKEN),
    "no scope": ("GET", "/read", user(), NO_SCOPE, INSUFFICIENT),
    "the scope in capitals": ("GET", "/read", user(scopes=[GET.upper()]), NO_SCOPE, INSUFFICIENT),
    "a prefix of the scope": ("GET", "/read", user(scopes=[GET[:-1]]), NO_SCOPE, INSUFFICIENT),
    "the scope as a group": ("GET", "/read", user(groups=[GET]), NO_SCOPE, INSUFFICIENT),
    "only the scope to read": ("POST", "/write", READER, NO_POST, INSUFFICIENT),
    "neither of either": ("GET", "/either", user(), NO_SCOPE, INSUFFICIENT),
    "no group": ("GET", "/staff", user(), NOT_ALLOWED, GROUP),
    "another group": ("GET", "/staff", user(groups=["Staff", "staff2"]), NOT_ALLOWED, GROUP),
    "the group as a scope": ("GET", "/staff", user(scopes=["staff"]), NOT_ALLOWED, GROUP),
    "a machine, for staff": ("GET", "/staff", machine, NOT_ALLOWED, GROUP),
    "a sign-in too long ago": ("GET", "/recent", OLD, STEP_UP, Reason.STALE_AUTHENTICATION),
    "a sign-in at no known time": ("GET", "/recent", user(auth_time=ABSENT), STEP_UP, Reason.STALE_AUTHENTICATION),
    "neither alternative": ("GET", "/combined", user(), NO_POST, INSUFFICIENT),
    "neither alternative, but nearly": ("GET", "/combined", user(scopes=[GET], groups=["x"]), NO_POST, INSUFFICIENT),
    **rows("/me", "for anybody", (*NO_CREDENTIALS, *BAD_CREDENTIALS)),
    **rows("/optional", "though none is needed", BAD_CREDENTIALS),
}

OPTIONAL = [pytest.param(param.values[0], id=param.id) for param in NO_CREDENTIALS]


def test_table_is_large_and_every_driver_has_a_name() -> None:
    """Nobody takes a row out, or a driver, without this noticing."""
    assert len(SERVED) >= 30
    assert len(REFUSED) >= 100
    assert len({candidate.name for candidate in CANDIDATES}) == len(CANDIDATES)


@pytest.mark.parametrize(
    "method, path, present, body", [pytest.param(*row, id=sentence) for sentence, row in SERVED.items()]
)
def test_good_request_is_served_with_its_caller(
    driver: Driver,
    pool: FakeUserPool,
    caplog: pytest.LogCaptureFixture,
    method: str,
    path: str,
    present: Present,
    body: Seen,
) -> None:
    """The handler sees the token's caller, or nobody; nothing is logged."""
    caplog.set_level(logging.INFO, "cognito_guard")
    assert_served(driver.request(method, path, present(pool)), body(pool))
    assert not reasons(caplog)


@pytest.mark.parametrize(
    "method, path, present, expected, reason", [pytest.param(*row, id=sentence) for sentence, row in REFUSED.items()]
)
def test_bad_request_is_refused_to_the_letter(
    candidate: Candidate,
    driver: Driver,
    pool: FakeUserPool,
    caplog: pytest.LogCaptureFixture,
    method: str,
    path: str,
    present: Present,
    expected: Expected,
    reason: Reason,
) -> None:
    """Status, challenge, headers and body are the same everywhere; the reason is logged once."""
    caplog.set_level(logging.INFO, "cognito_guard")
    headers = present(pool)
    expected, reason = refused_as_joined(candidate, headers, expected, reason)
    answer = driver.request(method, path, headers)
    if path == "/optional" and reason is Reason.MISSING_TOKEN:
        assert_served(answer, {"caller": None})
        return
    assert_refused(answer, expected, method)
    assert reasons(caplog) == [reason.value]


@pytest.mark.parametrize("present", OPTIONAL)
def test_request_without_credentials_is_anonymous_where_allowed(
    driver: Driver, pool: FakeUserPool, present: Present
) -> None:
    """Another scheme is as good as none; the handler sees nobody."""
    assert_served(driver.request("GET", "/optional", present(pool)), {"caller": None})


def test_head_is_answered_without_a_body(driver: Driver, pool: FakeUserPool) -> None:
    """HEAD is guarded as GET is, and served as it."""
    answer = driver.request("HEAD", "/me", user()(pool))
    assert (answer.status, answer.challenges, answer.body) == (200, [], b"")


def test_preflight_has_no_caller(candidate: Candidate, driver: Driver) -> None:
    """Browsers send it without credentials: it passes as nobody, or meets a guard that the handler wears itself."""
    answer = driver.request("OPTIONS", "/me", [ORIGIN, ASKED_METHOD])
    if candidate.name in GUARDED_HANDLERS:
        assert_refused(answer, NO_TOKEN)
    else:
        assert (answer.status, answer.challenges) == (200, [])
        assert b"subject" not in answer.body


def test_bad_token_learns_the_scope_where_the_operation_is_known(
    candidate: Candidate, driver: Driver, pool: FakeUserPool
) -> None:
    """Whoever has to come back with another token is told which, unless the guard stands in front of the router."""
    expected = EXPIRED if candidate.name in IN_FRONT else with_scope(EXPIRED, GET)
    assert_refused(driver.request("GET", "/read", user(expires_in=-60)(pool)), expected)


def test_handlers_error_is_the_frameworks_own(
    driver: Driver, pool: FakeUserPool, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug is a 500: not a 401, not a 403, and no refusal in the log."""
    caplog.set_level(logging.INFO, "cognito_guard")
    answer = driver.request("GET", "/boom", user()(pool))
    assert (answer.status, answer.challenges) == (500, [])
    assert not reasons(caplog)


def test_stream_knows_its_caller_to_the_end(driver: Driver, pool: FakeUserPool) -> None:
    """The chunks are made after the guard has done its work; the caller is still the same."""
    answer = driver.request("GET", "/stream", user()(pool))
    assert answer.status == 200
    assert pool.subject("jane").encode() in answer.body


def test_caller_does_not_outlive_the_request(driver: Driver, pool: FakeUserPool) -> None:
    """The next request on the same thread starts with nobody, after whatever came before."""
    for path in ("/me", "/boom", "/stream", "/read", "/optional"):
        driver.request("GET", path, user()(pool))
        assert_served(driver.request("GET", "/optional", []), {"caller": None})
        assert_served(driver.request("GET", "/public", []), {"caller": None})
        assert_refused(driver.request("GET", "/me", []), NO_TOKEN)


def test_crowd_sees_each_its_own_caller(driver: Driver, pool: FakeUserPool) -> None:
    """As many users as threads, all at once: nobody is taken for anybody else."""
    names = [f"user{number}" for number in range(CROWD)]
    tokens = {name: user(username=name)(pool) for name in names}
    together = threading.Barrier(CROWD, timeout=TIMEOUT)

    def ask(name: str) -> list[Answer]:
        together.wait()
        return [driver.request("GET", path, tokens[name]) for path in ("/me", "/optional")]

    with ThreadPoolExecutor(CROWD) as executor:
        for name, (me, optional) in zip(names, executor.map(ask, names, timeout=TIMEOUT), strict=True):
            assert_served(me, seen(name)(pool))
            assert_served(optional, caller(name)(pool))


@pytest.mark.usefixtures("outage")
def test_keys_out_of_reach_are_nobodys_fault(
    driver: Driver, pool: FakeUserPool, caplog: pytest.LogCaptureFixture
) -> None:
    """A token that can't be checked is neither refused for good nor dropped: 503, with no challenge."""
    caplog.set_level(logging.INFO, "cognito_guard")
    for path in ("/me", "/read", "/staff", "/optional", "/stream", "/boom"):
        assert_refused(driver.request("GET", path, user()(pool)), UNAVAILABLE)
    assert reasons(caplog) == [Reason.KEYS_UNAVAILABLE.value] * 6


@pytest.mark.usefixtures("outage")
def test_without_a_token_no_keys_are_missed(driver: Driver) -> None:
    """Requests without credentials are answered as ever while the keys are out of reach."""
    assert_served(driver.request("GET", "/public", []), {"caller": None})
    assert_served(driver.request("GET", "/optional", []), {"caller": None})
    assert_refused(driver.request("GET", "/me", []), NO_TOKEN)


def test_token_of_a_withdrawn_key_is_refused(
    driver: Driver, pool: FakeUserPool, withdrawal: Callable[[], None]
) -> None:
    """What was good turns bad when the pool publishes the key no longer."""
    headers = user()(pool)
    assert_served(driver.request("GET", "/me", headers), seen()(pool))
    withdrawal()
    assert_refused(driver.request("GET", "/me", headers), BAD_TOKEN)


def test_revoked_token_is_refused(
    driver: Driver, pool: FakeUserPool, verifier: CognitoVerifier, revocations: Revocations
) -> None:
    """What was good turns bad when the application revokes it, on routes for anybody too."""
    token = pool.access_token()
    assert_served(driver.request("GET", "/me", [bearer(token)]), seen()(pool))
    revocations.revoke_token(pool.user_pool_id, str(verifier.verify(token).jwt_id))
    for path in ("/me", "/optional"):
        assert_refused(driver.request("GET", path, [bearer(token)]), BAD_TOKEN)
    assert_served(driver.request("GET", "/me", user()(pool)), seen()(pool))


def test_revocations_out_of_reach_are_nobodys_fault(
    driver: Driver, pool: FakeUserPool, revocations: Revocations, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is let in unasked, and nobody refused for good."""
    headers = user()(pool)
    with monkeypatch.context() as patch:
        patch.setattr(revocations, "is_down", True)
        for path in ("/me", "/optional"):
            assert_refused(driver.request("GET", path, headers), UNAVAILABLE)
    assert_served(driver.request("GET", "/me", headers), seen()(pool))


def test_token_that_expires_is_refused(driver: Driver, pool: FakeUserPool, clock: FakeClock) -> None:
    """What was good turns bad with time."""
    headers = user()(pool)
    assert_served(driver.request("GET", "/me", headers), seen()(pool))
    clock.tick(3600 + 11)
    assert_refused(driver.request("GET", "/me", headers), EXPIRED)


# Over sockets

CHOSEN_SERVED = (
    "a user",
    "a machine",
    "a name that is no ASCII",
    "a scheme in any case",
    "POST",
    "the scope",
    "the group",
)
CHOSEN_REFUSED = (
    "HEAD without a token",
    "OPTIONS without a token",
    "a token in the query string",
    "a different second token",
    "Basic first, for anybody",
    "joined by a comma, for anybody",
    "a tab after the scheme, for anybody",
    "bytes that are no UTF-8, for anybody",
    "an expired token, for anybody",
    "an unknown kid, for anybody",
    "alg none, though none is needed",
    "no token, where a scope is needed",
    "no scope",
    "no group",
    "a sign-in too long ago",
)

Ask: TypeAlias = Callable[[str, str, RawHeaders], Answer]


over_sockets = pytest.mark.parametrize(
    "candidate",
    [pytest.param(candidate, id=candidate.name) for candidate in CANDIDATES if candidate.server is not None],
    indirect=True,
    scope="module",
)


@dataclass(frozen=True, slots=True)
class Served:
    """Hold how to ask a real server of a driver's application, and the pool whose tokens that takes."""

    pool: FakeUserPool
    ask: Ask


@pytest.fixture(scope="module")
def served(candidate: Candidate, pool: FakeUserPool, driver: Driver) -> Iterator[Served]:
    """Serve a driver's application: on a thread, or in a process, whose pool is in real time."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        ask = partial(ask_over_socket, listener.getsockname())
        if candidate.server == "uvicorn":
            with by_uvicorn(driver, listener):
                yield Served(pool, ask)
        else:
            shared = FakeUserPool()
            with by_gunicorn(candidate, shared, listener):
                yield Served(shared, ask)


@contextmanager
def by_uvicorn(driver: Any, listener: socket.socket) -> Generator[None, None, None]:
    """Serve a driver's ASGI application on a thread."""
    server = UvicornServer(uvicorn.Config(driver.asgi_app, lifespan="off", log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="uvicorn", daemon=True)
    thread.start()
    try:
        assert server.listens.wait(TIMEOUT)
        yield
    finally:
        server.should_exit = True
        thread.join(TIMEOUT)
    assert not thread.is_alive()


@contextmanager
def by_gunicorn(candidate: Candidate, pool: FakeUserPool, listener: socket.socket) -> Generator[None, None, None]:
    """Serve a driver's WSGI application in processes."""
    app = f"{contract.__name__}:wsgi_app({candidate.module!r}, {candidate.name!r}, {json.dumps(pool.jwks)!r})"
    command = [sys.executable, "-m", "gunicorn", "--bind", f"fd://{listener.fileno()}", "--log-level", "critical", app]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(command, env=environment, pass_fds=[listener.fileno()])
    try:
        yield
    finally:
        process.terminate()
        process.wait(TIMEOUT)


def ask_over_socket(address: tuple[str, int], method: str, path: str, headers: RawHeaders) -> Answer:
    """Send one request to a server."""
    connection = HTTPConnection(*address, timeout=TIMEOUT)
    with closing(connection):
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name.decode(), value)
        connection.putheader("Content-Length", "0")
        connection.endheaders()
        response = connection.getresponse()
        return Answer.of(response.status, response.getheaders(), response.read())


@over_sockets
@pytest.mark.parametrize("sentence", CHOSEN_SERVED)
def test_good_request_is_served_by_a_real_server(served: Served, sentence: str) -> None:
    """What the drivers are asked by hand, as a server hands it on."""
    method, path, present, body = SERVED[sentence]
    assert_served(served.ask(method, path, present(served.pool)), body(served.pool))


@over_sockets
@pytest.mark.parametrize("sentence", CHOSEN_REFUSED)
def test_bad_request_is_refused_by_a_real_server(candidate: Candidate, served: Served, sentence: str) -> None:
    """The very bytes of the drivers, on the wire; the server adds nothing that would be taken for a challenge."""
    method, path, present, expected, reason = REFUSED[sentence]
    headers = present(served.pool)
    expected, _ = refused_as_joined(candidate, headers, expected, reason)
    assert_refused(served.ask(method, path, headers), expected, method)


@over_sockets
def test_stream_and_failure_are_the_handlers_by_a_real_server(served: Served) -> None:
    """A stream arrives whole; a bug is a 500, and the next request is served."""
    headers = user()(served.pool)
    assert served.pool.subject("jane").encode() in served.ask("GET", "/stream", headers).body
    failure = served.ask("GET", "/boom", headers)
    assert (failure.status, failure.challenges) == (500, [])
    assert_served(served.ask("GET", "/optional", []), {"caller": None})
