"""CognitoMiddleware for WSGI: default deny, the application's protocol untouched, and nobody to be forged in."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment
from wsgiref.validate import validator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from werkzeug.test import Client, create_environ
from werkzeug.wrappers import Request

from cognito_guard import (
    ConfigurationError,
    InsufficientScopeError,
    MissingTokenError,
    Principal,
    Reason,
    Requires,
    ResourceServer,
)
from cognito_guard.guard import Guard
from cognito_guard.metadata import ProtectedResource
from cognito_guard.testing import FakeClock, FakeUserPool
from cognito_guard.tokens.credentials import cookie, header
from cognito_guard.wsgi import GUARD_KEY, PRINCIPAL_KEY, CognitoMiddleware, authorize, refuse

from . import BAD_TOKEN, NO_SCOPE, NO_TOKEN, NOT_ALLOWED, Answer
from .contract import Answer as Reply
from .contract import ask_wsgi

PROPERTY = settings(deadline=None, derandomize=True, max_examples=300)
PREFLIGHT = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "PUT"}
WELL_KNOWN = b"/.well-known/oauth-protected-resource"
EXEMPT = ("/healthz", "/ready/now", "/größe")


class Probe:
    """An application that remembers whom it served, and answers with the caller's subject."""

    def __init__(self) -> None:
        self.environs: list[WSGIEnvironment] = []

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve anything."""
        self.environs.append(environ)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [getattr(environ[PRINCIPAL_KEY], "subject", "anonymous").encode()]

    @property
    def was_reached(self) -> bool:
        """Whether anything got through to it."""
        return bool(self.environs)


class Guarded:
    """A probe behind the middleware, behind a check that both keep to PEP 3333."""

    def __init__(self, pool: FakeUserPool, **options: Any) -> None:
        self.probe = Probe()
        self.app = CognitoMiddleware(self.probe, pool.verifier(), **options)
        self.client = Client(validator(self.app), use_cookies=False)

    def ask(self, path: str = "/", method: str = "GET", **options: Any) -> Reply:
        """Send one request, made as `werkzeug.test.Client` makes it."""
        with self.client.open(path, method=method, **options) as response:
            return Reply.of(response.status_code, response.headers, response.data)


def ignore(_status: str, _headers: list[tuple[str, str]], _exc_info: object = None) -> Callable[[bytes], object]:
    """Take the start of a response, where only its body or its application matters."""
    return lambda _: None


def raw(pool: FakeUserPool, environ: dict[str, Any], **options: Any) -> bool:
    """Serve a request that comes as this environ, over a usual one; tell whether it was let through."""
    guarded = Guarded(pool, **options)
    guarded.app(create_environ() | environ, ignore)
    return guarded.probe.was_reached


def on_the_wire(expected: Answer) -> Reply:
    """Return a refusal as a client reads it."""
    return Reply.of(
        expected.status, [(name.decode(), value.decode()) for name, value in expected.headers], expected.body
    )


# Who gets through, and who does not


def test_caller_and_guard_are_in_the_environ(pool: FakeUserPool) -> None:
    """Handlers find the principal, and the guard that judges further requirements."""
    guarded = Guarded(pool)
    assert guarded.ask(headers=pool.headers(groups=["staff"])).body == pool.subject("jane").encode()
    [environ] = guarded.probe.environs
    principal, guard = environ[PRINCIPAL_KEY], environ[GUARD_KEY]
    assert isinstance(principal, Principal)
    assert isinstance(guard, Guard)
    assert guard.authorize(principal, Requires(groups="staff")) is principal
    assert (PRINCIPAL_KEY, GUARD_KEY) == ("cognito_guard.principal", "cognito_guard.guard")


@pytest.mark.parametrize(
    "headers, expected, reason",
    [
        pytest.param({}, NO_TOKEN, Reason.MISSING_TOKEN, id="no token"),
        pytest.param({"Authorization": "Bearer junk"}, BAD_TOKEN, Reason.MALFORMED_TOKEN, id="a bad token"),
    ],
)
def test_refusal_is_sent_to_the_byte_and_logged(
    pool: FakeUserPool, caplog: pytest.LogCaptureFixture, headers: dict[str, str], expected: Answer, reason: Reason
) -> None:
    """The application is not asked; the log alone says why."""
    caplog.set_level(logging.DEBUG, "cognito_guard")
    guarded = Guarded(pool)
    assert guarded.ask(headers=headers) == on_the_wire(expected)
    assert not guarded.probe.was_reached
    [record] = caplog.records
    assert (record.name, record.levelname, record.__dict__["reason"]) == ("cognito_guard", "INFO", reason.value)


def test_requirement_is_for_every_caller(
    pool: FakeUserPool, transactions: ResourceServer, caplog: pytest.LogCaptureFixture
) -> None:
    """What `requirement` demands, no path is served without."""
    caplog.set_level(logging.INFO, "cognito_guard")
    guarded = Guarded(pool, requirement=Requires(scopes=transactions["get"], groups="staff"))
    assert guarded.ask(headers=pool.headers(groups=["staff"])) == on_the_wire(NO_SCOPE)
    assert guarded.ask("/other", headers=pool.headers(scopes=[transactions["get"]])) == on_the_wire(NOT_ALLOWED)
    assert guarded.ask(headers=pool.headers(scopes=[transactions["get"]], groups=["staff"])).status == 200
    reasons = [record.__dict__["reason"] for record in caplog.records]
    assert reasons == [Reason.INSUFFICIENT_SCOPE.value, Reason.GROUP_REQUIRED.value]


def test_anonymous_caller_passes_where_no_token_is_required(pool: FakeUserPool) -> None:
    """Without credentials there is no caller; bad ones are refused all the same."""
    guarded = Guarded(pool, required=False)
    assert guarded.ask().body == b"anonymous"
    assert guarded.ask(headers={"Authorization": "Bearer junk"}) == on_the_wire(BAD_TOKEN)
    assert guarded.ask(headers=pool.headers()).body == pool.subject("jane").encode()


def test_status_line_has_the_usual_phrase(pool: FakeUserPool) -> None:
    """Servers send what they are given: a status without a phrase is no status line (PEP 3333)."""
    assert Guarded(pool).client.get("/", buffered=True).status == "401 Unauthorized"


def test_refusal_of_a_head_request_has_no_body_but_its_length(pool: FakeUserPool) -> None:
    """A body after the headers of a HEAD response would be read as the next response."""
    expected = on_the_wire(NO_TOKEN)
    assert Guarded(pool).ask(method="HEAD") == Reply(401, expected.challenges, expected.headers, b"")


def test_several_ways_to_bring_a_token_may_be_allowed(pool: FakeUserPool) -> None:
    """Each request may use one of them."""
    guarded = Guarded(pool, token_from=[header(), cookie("session")])
    in_cookie = {"Cookie": f"session={pool.access_token()}"}
    assert guarded.ask(headers=in_cookie).status == 200
    assert guarded.ask(headers=pool.headers()).status == 200
    assert guarded.ask(headers=in_cookie | pool.headers()).status == 400
    assert Guarded(pool).ask(headers=in_cookie) == on_the_wire(NO_TOKEN)


# What is exempt


EXEMPT_PATHS = [
    pytest.param(b"/healthz", True),
    pytest.param(b"/ready/now", True),
    pytest.param("/größe".encode(), True, id="UTF-8"),
    pytest.param("/größe".encode("latin-1"), False, id="latin-1"),
    pytest.param("/größe".encode().decode("latin-1").encode(), False, id="UTF-8 twice"),
    pytest.param("/gro\u0308ße".encode(), False, id="another normal form"),
    pytest.param(b"/GR\xc3\x96SSE", False, id="upper case"),
    pytest.param(b"/healthz\xff", False, id="no UTF-8"),
    pytest.param(b"", False),
    pytest.param(b"/", False),
    pytest.param(b"healthz", False),
    pytest.param(b"//healthz", False),
    pytest.param(b"/healthz/", False),
    pytest.param(b"/healthz/..", False),
    pytest.param(b"/./healthz", False),
    pytest.param(b"/admin/../healthz", False),
    pytest.param(b"/healthz;a=b", False),
    pytest.param(b"/healthz?", False),
    pytest.param(b"/healthz\0", False),
    pytest.param(b"/healthz\n", False),
    pytest.param(b"/%68ealthz", False),
    pytest.param(b"/HEALTHZ", False),
    pytest.param(b"/healthzz", False),
    pytest.param(b"/health", False),
    pytest.param(b"/ready", False),
    pytest.param(b"/api/healthz", False),
]


@pytest.mark.parametrize("script_name", ["", "/api", "/healthz"])
@pytest.mark.parametrize("path, is_exempt", EXEMPT_PATHS)
def test_exempt_path_matches_itself_alone(pool: FakeUserPool, path: bytes, is_exempt: bool, script_name: str) -> None:
    """A path below SCRIPT_NAME, decoded once by the server, is compared whole."""
    environ = {"PATH_INFO": path.decode("latin-1"), "SCRIPT_NAME": script_name}
    assert raw(pool, environ, exempt=EXEMPT) is is_exempt


@PROPERTY
@given(path=st.binary(max_size=12).map(lambda tail: b"/" + tail) | st.sampled_from([*map(str.encode, EXEMPT)]))
@example(path=b"")
def test_application_sees_no_other_path_than_the_exempt_one(path: bytes) -> None:
    """What passes without a token is what werkzeug's router reads as that very path."""
    environ = create_environ() | {"PATH_INFO": path.decode("latin-1")}
    if raw(FakeUserPool(clock=FakeClock()), environ, exempt=EXEMPT):
        assert Request(environ).path in EXEMPT


def test_path_that_is_missing_is_guarded(pool: FakeUserPool) -> None:
    """PATH_INFO may be absent where it would be empty (PEP 3333)."""
    environ = create_environ()
    del environ["PATH_INFO"], environ["SCRIPT_NAME"]
    guarded = Guarded(pool, exempt="/")
    assert [*guarded.app(environ, ignore)] == [NO_TOKEN.body]
    assert not guarded.probe.was_reached


@pytest.mark.parametrize("key", ["REQUEST_URI", "RAW_URI", "HTTP_X_ORIGINAL_URL", "HTTP_X_FORWARDED_PREFIX"])
def test_what_a_client_says_of_its_path_exempts_nothing(pool: FakeUserPool, key: str) -> None:
    """The path that the application is routed by decides."""
    assert not raw(pool, {key: "/healthz", "PATH_INFO": "/admin"}, exempt=EXEMPT)


def test_exempt_must_be_paths(pool: FakeUserPool) -> None:
    """A mistake is found when the application starts."""
    with pytest.raises(ConfigurationError) as raised:
        CognitoMiddleware(Probe(), pool.verifier(), exempt=["healthz"])
    assert raised.value.setting == "exempt"


def test_preflight_passes_without_a_caller(pool: FakeUserPool) -> None:
    """It carries no credentials by design; anything less than a preflight is guarded."""
    guarded = Guarded(pool)
    assert guarded.ask(method="OPTIONS", headers=PREFLIGHT | pool.headers()).body == b"anonymous"
    for header_alone in PREFLIGHT.items():
        assert guarded.ask(method="OPTIONS", headers=[header_alone]).status == 401
    assert guarded.ask(method="GET", headers=PREFLIGHT).status == 401
    assert len(guarded.probe.environs) == 1


# What a client cannot forge


@pytest.mark.parametrize(
    "key",
    [
        "HTTP_AUTHORIZATION_",
        "HTTP__AUTHORIZATION",
        "HTTP_AUTHORI_ZATION",
        "HTTP_X_AUTHORIZATION",
        "HTTP_PROXY_AUTHORIZATION",
        "HTTP_HTTP_AUTHORIZATION",
        "AUTHORIZATION",
        "HTTP_COOKIE",
        "QUERY_STRING",
    ],
)
def test_token_elsewhere_is_none(pool: FakeUserPool, key: str) -> None:
    """One name alone counts, however a client or server spells others."""
    assert not raw(pool, {key: pool.headers()["Authorization"]})
    assert raw(pool, {"HTTP_AUTHORIZATION": pool.headers()["Authorization"]})


@pytest.mark.parametrize("options", [{"exempt": "/"}, {"required": False}])
def test_environ_never_holds_anybody_elses_word(pool: FakeUserPool, options: dict[str, Any]) -> None:
    """An anonymous caller is None there, whatever stood there before, and no header gets there."""
    guarded = Guarded(pool, **options)
    names = ("Cognito-Guard.Principal", "cognito_guard.principal", "Cognito_Guard.Principal")
    guarded.ask(headers=dict.fromkeys(names, "admin"), environ_base={PRINCIPAL_KEY: "admin", GUARD_KEY: "theirs"})
    [environ] = guarded.probe.environs
    assert environ[PRINCIPAL_KEY] is None
    assert isinstance(environ[GUARD_KEY], Guard)


def test_inner_middleware_has_the_last_word(pool: FakeUserPool) -> None:
    """Two of them judge for themselves: the outer one's caller is not taken over."""
    other = FakeUserPool("eu-west-1_OtherPool", clock=pool.clock)
    guarded = Guarded(other, required=False)
    outer = CognitoMiddleware(guarded.app, pool.verifier(), required=False)
    authorization = pool.headers()["Authorization"].encode()
    assert ask_wsgi(outer, "GET", "/", [(b"Authorization", authorization)]) == on_the_wire(BAD_TOKEN)


# The application's own protocol


class Chunks:
    """A response that remembers whether it was closed."""

    def __init__(self) -> None:
        self.is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        yield b"chunk"

    def close(self) -> None:
        """Close."""
        self.is_closed = True


def test_response_is_the_applications_own(pool: FakeUserPool) -> None:
    """The very iterable goes on, unread and unclosed; so does `start_response` with `write`."""
    chunks, seen = Chunks(), list[object]()

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Chunks:
        seen.extend((environ, start_response))
        return chunks

    def start_response(*_: Any) -> Any:
        raise AssertionError("it is the application's to call")

    environ = create_environ(headers=pool.headers())
    assert CognitoMiddleware(app, pool.verifier())(environ, start_response) is chunks
    assert (seen[0], seen[1]) == (environ, start_response)
    assert not chunks.is_closed


@pytest.mark.parametrize("error", [KeyError("user"), ConfigurationError("x", "y"), SystemExit()])
def test_error_of_the_application_propagates(pool: FakeUserPool, error: BaseException) -> None:
    """What a handler raises is neither a 401 nor a 403; the very exception goes on."""

    def app(_environ: WSGIEnvironment, _start_response: StartResponse) -> list[bytes]:
        raise error

    with pytest.raises(type(error)) as raised:
        CognitoMiddleware(app, pool.verifier())(create_environ(headers=pool.headers()), ignore)
    assert raised.value is error


def test_error_of_ours_propagates(pool: FakeUserPool) -> None:
    """A bug in the guard is neither a pass nor a 401."""

    def broken(_headers: object) -> str | None:
        raise ZeroDivisionError

    guarded = Guarded(pool, token_from=[broken])
    with pytest.raises(ZeroDivisionError):
        guarded.ask()
    assert not guarded.probe.was_reached


# Metadata


def test_metadata_needs_no_token(pool: FakeUserPool) -> None:
    """It is served at its path from the root of the host, wherever the application is mounted."""
    metadata = ProtectedResource("https://api.example.com/api", authorization_servers=pool.issuer)
    guarded = Guarded(pool, metadata=metadata)
    answer = guarded.ask(metadata.path)
    assert (answer.status, answer.body) == (200, metadata.document)
    assert answer.headers["content-length"] == str(len(metadata.document))
    assert guarded.ask("/api", base_url="http://localhost/.well-known/oauth-protected-resource").status == 200
    assert guarded.ask(metadata.path, "HEAD").body == b""
    assert guarded.ask(metadata.path, "POST").status == 401
    assert guarded.ask(metadata.path + "/").status == 401
    assert guarded.ask().challenges == [f'Bearer realm="cognito", resource_metadata="{metadata.url}"']
    assert not guarded.probe.was_reached


@pytest.mark.parametrize(
    "resource, path, script_name, is_served",
    [
        pytest.param("https://api.example.com/api", WELL_KNOWN + b"/api", "/api", True, id="root in front"),
        pytest.param("https://api.example.com/api", b"/api", WELL_KNOWN.decode(), True, id="mounted there"),
        pytest.param("https://api.example.com/api", WELL_KNOWN + b"/api/", "/api", False, id="more than that"),
        pytest.param("https://api.example.com/gr%C3%B6%C3%9Fe", WELL_KNOWN + "/größe".encode(), "", True, id="UTF-8"),
        pytest.param("https://api.example.com/gr%C3%B6%C3%9Fe", WELL_KNOWN + b"/gr\xf6\xdfe", "", False, id="latin-1"),
        pytest.param(
            "https://api.example.com/gr%C3%B6%C3%9Fe", "/größe".encode(), WELL_KNOWN.decode(), True, id="both"
        ),
    ],
)
def test_metadata_path_is_the_one_below_the_root_or_with_it(
    pool: FakeUserPool, resource: str, path: bytes, script_name: str, is_served: bool
) -> None:
    """A server that is told the root puts it in front of well-known paths too; WSGI spells paths byte by byte."""
    metadata = ProtectedResource(resource, authorization_servers=pool.issuer)
    app = CognitoMiddleware(Probe(), pool.verifier(), metadata=metadata)
    environ = create_environ() | {"PATH_INFO": path.decode("latin-1"), "SCRIPT_NAME": script_name}
    body = b"".join(app(environ, ignore))
    assert (body == metadata.document) is is_served


WITHOUT_FRAMEWORKS = """
import sys
sys.modules.update(dict.fromkeys(("werkzeug", "flask", "starlette", "django")))
import cognito_guard.wsgi
"""


def test_middleware_needs_no_framework() -> None:
    """Any WSGI application can be guarded with the standard library at hand."""
    subprocess.run([sys.executable, "-c", WITHOUT_FRAMEWORKS], timeout=30, check=True)


def test_handler_may_demand_more_of_its_caller(pool: FakeUserPool, transactions: ResourceServer) -> None:
    """`authorize` returns the caller who meets the demands; `refuse` has the answer to who does not."""
    guarded = Guarded(pool, required=False)
    guarded.ask(headers=pool.headers(scopes=[transactions["post"]]))
    guarded.ask()
    known, anonymous = guarded.probe.environs
    assert authorize(known, transactions["post"], Requires(max_age=60)).username == "jane"
    with pytest.raises(InsufficientScopeError) as lacking:
        authorize(known, transactions["get"])
    with pytest.raises(MissingTokenError) as missing:
        authorize(anonymous)
    assert refuse(known, lacking.value).body == NO_SCOPE.body
    assert refuse(anonymous, missing.value).body == NO_TOKEN.body
    with pytest.raises(ConfigurationError, match="CognitoMiddleware"):
        authorize(create_environ())
