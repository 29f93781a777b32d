"""CognitoMiddleware: default deny, each refusal to the byte, and nobody's identity in anybody else's request."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from starlette.routing import Match, Mount, Route

from cognito_guard import (
    CognitoVerifier,
    ConfigurationError,
    FetchError,
    InsufficientScopeError,
    MissingTokenError,
    Principal,
    Reason,
    Requires,
    ResourceServer,
)
from cognito_guard.asgi import CognitoMiddleware, Message, Receive, Scope, Send, authorize, refuse
from cognito_guard.testing import FakeClock, FakeUserPool

from . import (
    BAD_CREDENTIALS,
    BAD_TOKEN,
    DENIAL,
    EXPIRED,
    NO_CREDENTIALS,
    NO_SCOPE,
    NO_TOKEN,
    NOT_ALLOWED,
    NOT_ONE_TOKEN,
    STEP_UP,
    UNAVAILABLE,
    Answer,
    Guarded,
    Header,
    Present,
    Probe,
    aask,
    answer,
    ask,
    bearer,
    connection,
    handshake,
    talk,
)

ORIGIN = (b"origin", b"https://app.example.com")
ASKED_METHOD = (b"access-control-request-method", b"PUT")
PROPERTY = settings(deadline=None, derandomize=True, max_examples=300)
TIMEOUT = 30.0


class Keys:
    """A JWKS endpoint that can be down, and slow."""

    def __init__(self, pool: FakeUserPool) -> None:
        self.is_down = False
        self.asked = threading.Event()
        self.answers = threading.Event()
        self.answers.set()
        self._pool = pool

    def __call__(self, uri: str, timeout: float) -> bytes:
        """Answer a fetch."""
        self.asked.set()
        assert self.answers.wait(TIMEOUT)
        if self.is_down:
            raise FetchError("down")
        return self._pool.fetch(uri, timeout)


@pytest.fixture
def keys(pool: FakeUserPool) -> Keys:
    """Return the pool's JWKS endpoint."""
    return Keys(pool)


@pytest.fixture
def remote(pool: FakeUserPool, keys: Keys, clock: FakeClock) -> CognitoVerifier:
    """Return a verifier that fetches the pool's keys."""
    return pool.verifier(fetch=keys, timer=clock)


# Handlers of any framework


def test_handler_may_demand_more_of_its_caller(pool: FakeUserPool, transactions: ResourceServer) -> None:
    """`authorize` returns the caller who meets the demands; `refuse` has the answer to who does not."""
    guarded = Guarded(pool)
    guarded.ask("/", bearer(pool.access_token(scopes=[transactions["post"]])))
    (scope,) = guarded.probe.scopes
    assert authorize(scope).username == "jane"
    assert authorize(scope, transactions["post"], Requires(max_age=60)).username == "jane"
    with pytest.raises(InsufficientScopeError) as caught:
        authorize(scope, transactions["get"])
    challenge = refuse(scope, caught.value)
    assert (challenge.status, challenge.body) == (NO_SCOPE.status, NO_SCOPE.body)


def test_handler_that_demands_a_caller_refuses_an_anonymous_one(pool: FakeUserPool) -> None:
    """Where callers may be anonymous, who demands one answers with the challenge."""
    guarded = Guarded(pool, required=False)
    guarded.ask()
    (scope,) = guarded.probe.scopes
    with pytest.raises(MissingTokenError) as caught:
        authorize(scope)
    assert refuse(scope, caught.value).body == NO_TOKEN.body


def test_handler_that_nothing_guards_demands_in_vain() -> None:
    """A middleware that was forgotten is a mistake, and no anonymous caller."""
    with pytest.raises(ConfigurationError, match="CognitoMiddleware"):
        authorize(connection())


# Who gets through


@pytest.mark.parametrize(
    "scheme",
    [
        pytest.param("Bearer ", id="as RFC 6750 writes it"),
        pytest.param("bearer ", id="lower case"),
        pytest.param("BEARER ", id="upper case"),
        pytest.param("bEaReR ", id="any case"),
        pytest.param("Bearer   ", id="three spaces"),
        pytest.param(" \tBearer ", id="blanks in front"),
    ],
)
def test_good_token_gets_through(pool: FakeUserPool, scheme: str) -> None:
    """The scheme is case-insensitive, and blanks around a value are no part of it (RFC 9110 §5.5, §11.1)."""
    guarded = Guarded(pool)
    assert guarded.ask("/", bearer(pool.access_token() + " \t", scheme)).body == pool.subject("jane").encode()


def test_header_name_in_any_case_counts(pool: FakeUserPool) -> None:
    """A server that forgets to lower-case names neither opens nor closes the guard."""
    guarded = Guarded(pool)
    name, value = bearer(pool.access_token())
    assert guarded.ask("/", (b"Authorization", value)).status == 200
    assert guarded.ask("/", (b"AUTHORIZATION", value), (name, value)) == NOT_ONE_TOKEN


def test_caller_is_where_handlers_look_for_it(pool: FakeUserPool, transactions: ResourceServer) -> None:
    """`scope["user"]` is the principal; `scope["auth"].scopes` are its scopes behind "authenticated"."""
    guarded = Guarded(pool)
    assert guarded.ask("/", bearer(pool.access_token(scopes=[transactions["get"]], groups=["staff"]))).status == 200
    [scope] = guarded.probe.scopes
    assert isinstance(scope["user"], Principal)
    assert scope["user"].username == "jane"
    assert scope["user"].groups == {"staff"}
    assert scope["auth"].scopes == ["authenticated", "transactions/get"]


def test_implied_scopes_are_granted(pool: FakeUserPool, transactions: ResourceServer) -> None:
    """Handlers see the scopes that `implies` adds."""
    verifier = pool.verifier(implies={transactions["post"]: [transactions["get"]]})
    guarded = Guarded(pool, verifier=verifier)
    guarded.ask("/", bearer(pool.access_token(scopes=[transactions["post"]])))
    assert set(guarded.probe.scopes[0]["auth"].scopes) == {"authenticated", *transactions.scopes}


def test_request_reaches_the_application_as_it_came(pool: FakeUserPool) -> None:
    """Nothing of the request is changed or taken out; the body was not read."""
    sent = connection("/a/b", bearer(pool.access_token()), method="PUT", query_string=b"x=1", raw_path=b"/a%2Fb")
    before = {**sent}
    bodies: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        bodies.append(await receive())
        assert {name: scope[name] for name in before} == before

    talk(CognitoMiddleware(app, pool.verifier()), sent)
    assert bodies == [{"type": "http.request"}]


def test_streaming_response_passes(pool: FakeUserPool) -> None:
    """Every message of a response goes out at once and unchanged."""
    chunks: list[Message] = [
        {"type": "http.response.start", "status": 206, "headers": [(b"x", b"1"), (b"x", b"2")]},
        {"type": "http.response.body", "body": b"first", "more_body": True},
        {"type": "http.response.body", "body": b"last"},
    ]

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        for chunk in chunks:
            await send(chunk)

    guarded = CognitoMiddleware(app, pool.verifier())
    assert talk(guarded, connection("/", bearer(pool.access_token()))) == chunks


@pytest.mark.parametrize("error", [KeyError("user"), ConfigurationError("x", "y"), asyncio.CancelledError()])
def test_error_of_the_application_propagates(pool: FakeUserPool, error: BaseException) -> None:
    """What a handler raises is neither a 401 nor a 403; the very exception goes on."""

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        ask(CognitoMiddleware(app, pool.verifier()), "/", bearer(pool.access_token()))
    assert raised.value is error


def test_refusal_raised_by_the_application_propagates(pool: FakeUserPool) -> None:
    """A handler that verifies another token by hand must answer for it: the middleware judged its own."""
    verifier = pool.verifier()

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        verifier.verify("another")

    with pytest.raises(Exception, match="segments") as raised:
        ask(CognitoMiddleware(app, verifier), "/", bearer(pool.access_token()))
    assert getattr(raised.value, "reason", None) is Reason.MALFORMED_TOKEN


# Who does not


@pytest.mark.parametrize("present, expected, reason", [*NO_CREDENTIALS, *BAD_CREDENTIALS])
def test_bad_request_is_answered_to_the_byte(
    pool: FakeUserPool, caplog: pytest.LogCaptureFixture, present: Present, expected: Answer, reason: Reason
) -> None:
    """One answer for all bad tokens but the expired, so that it is no oracle; the log alone tells them apart."""
    caplog.set_level(logging.DEBUG, "cognito_guard")
    guarded = Guarded(pool)
    headers = present(pool)
    assert guarded.ask("/", *headers) == expected
    assert not guarded.probe.was_reached
    [record] = caplog.records
    assert (record.name, record.levelname) == ("cognito_guard", "INFO")
    assert record.getMessage() == f"request refused: {reason.value}"
    assert record.__dict__["reason"] == reason.value
    assert type(record.__dict__["reason"]) is str
    for _, value in headers:
        for part in value.decode("latin-1").replace(".", " ").split():
            assert len(part) < 8 or part not in repr(record.__dict__)


_scheme = st.sampled_from([b"", b"Bearer ", b"bearer\t", b"Bearer", b"Basic ", b"Bearer a.b.", b"Bearer e30."])
_value = st.tuples(_scheme, st.binary(max_size=40)).map(b"".join)


@PROPERTY
@given(values=st.lists(_value, max_size=3))
def test_any_authorization_bytes_get_one_of_four_answers(values: list[bytes]) -> None:
    """No value makes another exception, another answer, or an answer with a byte of its own in it."""
    guarded = Guarded(FakeUserPool(clock=FakeClock()))
    assert guarded.ask("/", *((b"authorization", value) for value in values)) in (NO_TOKEN, NOT_ONE_TOKEN, BAD_TOKEN)
    assert not guarded.probe.was_reached


@pytest.mark.parametrize("query", ["access_token={}", "token={}", "authorization=Bearer%20{}", "jwt={}&id_token={}"])
def test_token_in_the_query_string_is_ignored(pool: FakeUserPool, query: str) -> None:
    """A token in a URL ends up in logs and in Referer (RFC 9700 §4.3.2): it never counts, nor does it hurt."""
    guarded = Guarded(pool)
    query_string = query.replace("{}", pool.access_token()).encode()
    assert guarded.ask("/", query_string=query_string) == NO_TOKEN
    assert guarded.ask("/", bearer(pool.access_token()), query_string=query_string).status == 200


def test_realm_stands_in_every_challenge(pool: FakeUserPool, transactions: ResourceServer) -> None:
    """The configured realm replaces the default one, whatever the refusal."""
    guarded = Guarded(pool, realm="orders (live)", requirement=Requires(scopes=transactions["get"]))
    for headers in ([], [bearer("junk")], [bearer("a b")], [bearer(pool.access_token())]):
        challenge = dict(guarded.ask("/", *headers).headers)[b"www-authenticate"]
        assert challenge.startswith(b'Bearer realm="orders (live)"')


# Default deny, and what is exempt from it


EXEMPT_TARGETS = [
    ("/healthz", True),
    ("/healthz?", True),
    ("/healthz?verbose=1", True),
    ("/healthz?/admin", True),
    ("/%68ealthz", True),
    ("/h%65%61lthz", True),
    ("/ready/now", True),
    ("/ready%2Fnow", True),
    ("/healthz/", False),
    ("/healthz//", False),
    ("//healthz", False),
    ("///healthz", False),
    ("/healthz%2F", False),
    ("/%2Fhealthz", False),
    ("%2Fhealthz%2F", False),
    ("/%2fhealthz", False),
    ("/./healthz", False),
    ("/healthz/.", False),
    ("/healthz/..", False),
    ("/healthz/../admin", False),
    ("/admin/../healthz", False),
    ("/admin/..%2Fhealthz", False),
    ("/admin/%2E%2E/healthz", False),
    ("/healthz..", False),
    ("/healthz;a=b", False),
    ("/healthz;/admin", False),
    ("/healthz%3B", False),
    ("/healthz%3Fverbose=1", False),
    ("/healthz%23", False),
    ("/HEALTHZ", False),
    ("/Healthz", False),
    ("/healthZ", False),
    ("/healthz%00", False),
    ("/%00healthz", False),
    ("/healthz%00/admin", False),
    ("/healthz%0A", False),
    ("/healthz%0D%0A", False),
    ("/healthz%20", False),
    ("/%20healthz", False),
    ("/healthz%09", False),
    ("\\healthz", False),
    ("/\\healthz", False),
    ("/healthz\\", False),
    ("/healthz%5C..%5Cadmin", False),
    ("/%2568ealthz", False),
    ("/healthz%252F", False),
    ("/healthz.json", False),
    ("/healthzz", False),
    ("/health", False),
    ("/healthz/admin", False),
    ("/admin/healthz", False),
    ("/api/healthz", False),
    ("/%EF%BD%88ealthz", False),
    ("/healthz%E2%80%8B", False),
    ("/healthz%FF", False),
    ("/ready", False),
    ("/ready/", False),
    ("/ready//now", False),
    ("/", False),
    ("", False),
    ("*", False),
    ("healthz", False),
    ("http://api.example.com/healthz", False),
    ("//api.example.com/healthz", False),
]


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("root_path", ["", "/api", "/api/v1"])
@pytest.mark.parametrize("target, is_exempt", [pytest.param(*case, id=repr(case[0])) for case in EXEMPT_TARGETS])
def test_exempt_path_matches_itself_alone(
    pool: FakeUserPool, target: str, is_exempt: bool, root_path: str, kind: str
) -> None:
    """A target, decoded once as servers do, is compared whole: no prefix, no folding, no second reading."""
    guarded = Guarded(pool, exempt=("/healthz", "/ready/now"))
    path = root_path + unquote(target.partition("?")[0])
    make = handshake if kind == "websocket" else connection
    talk(guarded.app, make(path, root_path=root_path, raw_path=target.encode()))
    assert guarded.probe.was_reached is is_exempt


@pytest.mark.parametrize(
    "root_path, path, is_exempt",
    [
        pytest.param("/api", "/healthz", True, id="behind a proxy that strips, on a server that adds nothing"),
        pytest.param("/api", "/api/healthz", True, id="behind a proxy that strips, on a server that adds the root"),
        pytest.param("/api", "/api/api/healthz", False, id="the root twice"),
        pytest.param("/api", "/apihealthz", False, id="the root as a mere prefix"),
        pytest.param("/api", "/apix/healthz", False, id="a root that begins like ours"),
        pytest.param("/api", "/API/healthz", False, id="the root in capitals"),
        pytest.param("/api", "/api", False, id="the root itself"),
        pytest.param("/api", "/api//healthz", False, id="two slashes after the root"),
        pytest.param("/api", "/other/healthz", False, id="another root"),
        pytest.param("/api", "//api/healthz", False, id="two slashes before the root"),
        pytest.param("/a/b", "/a/b/healthz", True, id="mounted two deep"),
        pytest.param("/a/b", "/b/healthz", False, id="half of two roots"),
        pytest.param("/a/b", "/a/healthz", False, id="one of two roots"),
        pytest.param("/api/", "/api/healthz", False, id="a root with a slash too many, which is no root to the router"),
        pytest.param("/healthz", "/healthz", False, id="a root of the exempt path's name itself"),
        pytest.param("/healthz", "/healthz/admin", False, id="below a root of the exempt path's name"),
        pytest.param("/healthz", "/healthz/healthz", True, id="a root of the exempt path's name, kept"),
    ],
)
def test_exempt_path_is_one_below_the_root(pool: FakeUserPool, root_path: str, path: str, is_exempt: bool) -> None:
    """`root_path` is where the application hangs, whether the server repeats it in `path` or not."""
    guarded = Guarded(pool, exempt=["/healthz"])
    assert guarded.ask(path, root_path=root_path).status == (200 if is_exempt else 401)


_segment = st.sampled_from(["", "/", "//", "/api", "/healthz", "healthz", "a", "%2F", ".", "..", ";", "\\", "\n", "\0"])
_path = st.lists(_segment, max_size=4).map("".join)


@PROPERTY
@given(root=_path, slash=st.sampled_from(["", "/"]), below=_path, is_kept=st.booleans())
@example(root="/api", slash="/", below="/healthz", is_kept=True)
@example(root="/healthz", slash="", below="", is_kept=True)
def test_guard_and_router_agree_on_the_path(root: str, slash: str, below: str, is_kept: bool) -> None:
    """What gets through without a token is what Starlette's router takes for the exempt path, and nothing else."""
    guarded = Guarded(FakeUserPool(clock=FakeClock()), exempt=["/healthz"])
    scope = connection(root + below if is_kept else below, root_path=root + slash)
    talk(guarded.app, {**scope})
    routed, _ = Route("/healthz", Probe()).matches(scope)
    assert not guarded.probe.was_reached or routed is Match.FULL


@PROPERTY
@given(root=st.sampled_from(["", "/api"]), depth=st.integers(0, 3), extra=st.sampled_from(["", "/", "x", "/x"]))
def test_guard_inside_mounts_sees_the_path_below_them(root: str, depth: int, extra: str) -> None:
    """Inside Starlette's mounts, however deep, `exempt` is read below all of them."""
    guarded = Guarded(FakeUserPool(clock=FakeClock()), exempt=["/healthz"])
    app: Any = guarded.app
    for level in range(depth):
        app = Mount(f"/m{level}", app=app)
    path = root + "".join(f"/m{level}" for level in reversed(range(depth))) + "/healthz" + extra
    assert ask(app, path, root_path=root).status == (401 if extra else 200)


@pytest.mark.parametrize(
    "headers",
    [
        [(b"host", b"x/healthz?")],
        [(b"host", b"x/healthz#")],
        [(b"host", b"/healthz")],
        [(b"host", b"api.example.com"), (b"host", b"x/healthz?")],
        [(b"x-original-url", b"/healthz")],
        [(b"x-rewrite-url", b"/healthz")],
        [(b"x-forwarded-prefix", b"/admin")],
        [(b"x-forwarded-path", b"/healthz")],
        [(b"x-http-method-override", b"OPTIONS"), ORIGIN, ASKED_METHOD],
        [(b":path", b"/healthz")],
    ],
)
def test_headers_have_no_say_in_what_is_exempt(pool: FakeUserPool, headers: list[Header]) -> None:
    """The path is the router's one; it is never rebuilt from a URL that a Host header can bend."""
    guarded = Guarded(pool, exempt=["/healthz"])
    scope = connection("/admin", headers=headers)
    assert answer(talk(guarded.app, scope)) == NO_TOKEN


def test_exempt_path_looks_at_no_credentials(pool: FakeUserPool) -> None:
    """A health check answers whatever it is sent, and as anonymous, even to a good token."""
    guarded = Guarded(pool, exempt="/healthz")
    for headers in ([], [bearer("junk")], [bearer("a b")], [bearer(pool.access_token())]):
        assert guarded.ask("/healthz", *headers).body == b"anonymous"
    assert guarded.ask("/h") == NO_TOKEN


def test_exempt_path_overwrites_a_user_of_before(pool: FakeUserPool) -> None:
    """What an outer middleware, or an attacker through it, left in the scope is no verified caller."""
    guarded = Guarded(pool, exempt=["/healthz"])
    guarded.ask("/healthz", user="root", auth="all")
    [scope] = guarded.probe.scopes
    assert scope["user"].is_authenticated is False
    assert scope["auth"].scopes == []


# required=False


def test_optional_credentials_may_be_absent(pool: FakeUserPool) -> None:
    """Without credentials the caller is an anonymous user who is not authenticated, without scopes."""
    guarded = Guarded(pool, required=False)
    assert guarded.ask("/").body == b"anonymous"
    [scope] = guarded.probe.scopes
    assert (scope["user"].is_authenticated, scope["user"].display_name) == (False, "")
    assert scope["auth"].scopes == []


@pytest.mark.parametrize("present, expected, reason", NO_CREDENTIALS)
def test_optional_credentials_of_another_scheme_are_absent(
    pool: FakeUserPool, present: Present, expected: Answer, reason: Reason
) -> None:
    """What is no bearer token is somebody else's business."""
    del expected, reason
    assert Guarded(pool, required=False).ask("/", *present(pool)).body == b"anonymous"


@pytest.mark.parametrize("present, expected, reason", BAD_CREDENTIALS)
def test_optional_credentials_may_not_be_bad(
    pool: FakeUserPool, present: Present, expected: Answer, reason: Reason
) -> None:
    """A forged or expired token is refused, never served as anonymous."""
    del reason
    guarded = Guarded(pool, required=False)
    assert guarded.ask("/", *present(pool)) == expected
    assert not guarded.probe.was_reached


def test_optional_good_credentials_count(pool: FakeUserPool) -> None:
    """A good token makes the same caller as where one is required."""
    assert Guarded(pool, required=False).ask("/", bearer(pool.access_token())).body == pool.subject("jane").encode()


def test_optional_credentials_are_not_dropped_while_keys_are_down(
    pool: FakeUserPool, keys: Keys, remote: CognitoVerifier
) -> None:
    """A caller whose token can't be checked is told so, and not taken for an anonymous one."""
    keys.is_down = True
    guarded = Guarded(pool, verifier=remote, required=False)
    assert guarded.ask("/", bearer(pool.access_token())) == UNAVAILABLE
    assert guarded.ask("/").body == b"anonymous"


# requirement=


def test_requirement_names_its_scopes_to_whoever_has_no_token(pool: FakeUserPool, transactions: ResourceServer) -> None:
    """A client learns from the 401 what to ask for (the header's `scope`), with or without a bad token."""
    guarded = Guarded(pool, requirement=Requires(scopes=transactions.scopes))
    challenge = dict(guarded.ask("/").headers)[b"www-authenticate"]
    assert challenge == b'Bearer realm="cognito", scope="transactions/get transactions/post"'
    challenge = dict(guarded.ask("/", bearer("junk")).headers)[b"www-authenticate"]
    assert challenge == (
        b'Bearer realm="cognito", error="invalid_token", error_description="The token is not valid here", '
        b'scope="transactions/get transactions/post"'
    )


@pytest.mark.parametrize(
    "requirement, expected, reason",
    [
        pytest.param(Requires(scopes="transactions/get"), NO_SCOPE, Reason.INSUFFICIENT_SCOPE, id="scope"),
        pytest.param(Requires(groups="admins"), NOT_ALLOWED, Reason.GROUP_REQUIRED, id="group"),
        pytest.param(Requires(predicate=lambda _: False), NOT_ALLOWED, Reason.PREDICATE_REFUSED, id="predicate"),
        pytest.param(~Requires(), NOT_ALLOWED, Reason.EXCLUDED, id="not"),
        pytest.param(Requires(max_age=300), STEP_UP, Reason.STALE_AUTHENTICATION, id="age"),
    ],
)
def test_requirement_refuses_in_the_words_of_its_kind(
    pool: FakeUserPool,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    requirement: Requires,
    expected: Answer,
    reason: Reason,
) -> None:
    """A missing scope and an old sign-in are challenges; what no other token would mend is not."""
    caplog.set_level(logging.INFO, "cognito_guard")
    guarded = Guarded(pool, requirement=requirement)
    token = pool.access_token(auth_time=clock() - 301)
    assert guarded.ask("/", bearer(token)) == expected
    assert not guarded.probe.was_reached
    assert [record.__dict__["reason"] for record in caplog.records] == [reason.value]


def test_requirement_that_is_met_lets_through(pool: FakeUserPool, transactions: ResourceServer) -> None:
    """The scope in the token opens the guard."""
    guarded = Guarded(pool, requirement=Requires(scopes=transactions["get"]))
    assert guarded.ask("/", bearer(pool.access_token(scopes=[transactions["get"]]))).status == 200


def test_requirement_does_not_concern_exempt_paths(pool: FakeUserPool) -> None:
    """Who needs no token needs no scope."""
    guarded = Guarded(pool, requirement=Requires(scopes="transactions/get"), exempt=["/healthz"])
    assert guarded.ask("/healthz").status == 200


def test_error_in_a_predicate_propagates_and_closes(pool: FakeUserPool) -> None:
    """A bug in the application's own predicate is no verdict: not a pass, and not a 403."""

    def predicate(principal: Principal) -> bool:
        return bool(principal.claims["tenant"])

    guarded = Guarded(pool, requirement=Requires(predicate=predicate))
    with pytest.raises(KeyError, match="tenant"):
        guarded.ask("/", bearer(pool.access_token()))
    assert not guarded.probe.was_reached


def test_required_scopes_of_the_verifier_are_told(pool: FakeUserPool) -> None:
    """The verifier's own floor is a 403 that names it."""
    guarded = Guarded(pool, verifier=pool.verifier(required_scopes="transactions/get"))
    assert guarded.ask("/", bearer(pool.access_token())) == NO_SCOPE


# Methods


@pytest.mark.parametrize(
    "method", ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "QUERY", "get", "X-Y", ""]
)
def test_every_method_is_guarded(pool: FakeUserPool, method: str) -> None:
    """Known or not, a method needs a token; CORS headers on it change nothing."""
    guarded = Guarded(pool)
    assert guarded.ask("/", method=method) == NO_TOKEN
    assert guarded.ask("/", ORIGIN, ASKED_METHOD, method=method) == NO_TOKEN
    assert guarded.ask("/", bearer(pool.access_token()), method=method).status == 200


def test_refused_head_has_the_headers_of_get_and_no_body(pool: FakeUserPool) -> None:
    """The answer to HEAD says how long the body would be, and has none (RFC 9110 §9.3.2)."""
    assert Guarded(pool).ask("/", method="HEAD") == Answer(status=401, headers=NO_TOKEN.headers)


@pytest.mark.parametrize(
    "headers, is_preflight",
    [
        pytest.param([], False, id="none"),
        pytest.param([ORIGIN], False, id="origin alone"),
        pytest.param([ASKED_METHOD], False, id="method alone"),
        pytest.param([ORIGIN, (b"access-control-request-headers", b"authorization")], False, id="headers, no method"),
        pytest.param([ORIGIN, (b"access-control-request_method", b"PUT")], False, id="an underscore"),
        pytest.param([ORIGIN, ASKED_METHOD], True, id="origin and method"),
        pytest.param([ASKED_METHOD, ORIGIN], True, id="method and origin"),
    ],
)
def test_options_passes_as_a_real_preflight_only(pool: FakeUserPool, headers: list[Header], is_preflight: bool) -> None:
    """A browser sends `Origin` and `Access-Control-Request-Method`, and no credentials; it passes as anonymous."""
    guarded = Guarded(pool, requirement=Requires(scopes="transactions/get"))
    reply = guarded.ask("/", *headers, method="OPTIONS")
    assert reply.status == (200 if is_preflight else 401)
    assert [scope["user"].is_authenticated for scope in guarded.probe.scopes] == [False] * is_preflight


def test_websocket_is_no_preflight(pool: FakeUserPool) -> None:
    """The headers of a preflight open no WebSocket, not even where a server sets a method."""
    guarded = Guarded(pool)
    talk(guarded.app, handshake("/", ORIGIN, ASKED_METHOD, method="OPTIONS"))
    assert not guarded.probe.was_reached


# Scope types


def test_lifespan_passes_untouched(pool: FakeUserPool) -> None:
    """Starting and stopping is no request."""
    guarded = Guarded(pool)
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}}
    assert talk(guarded.app, scope) == []
    assert guarded.probe.scopes == [{"type": "lifespan", "asgi": {"version": "3.0"}}]


@pytest.mark.parametrize("kind", ["webtransport", "LIFESPAN", "lifespan.startup", "http2", "", "mqtt"])
@pytest.mark.parametrize("members", [{}, {"path": "/"}, {"headers": []}, {"path": "/", "headers": []}])
def test_unknown_scope_type_does_not_pass_unguarded(pool: FakeUserPool, kind: str, members: dict[str, Any]) -> None:
    """A kind of connection that this library has never heard of fails as a mistake of the set-up."""
    guarded = Guarded(pool)
    with pytest.raises(ConfigurationError, match="only http and websocket"):
        talk(guarded.app, {"type": kind, **members})
    assert not guarded.probe.was_reached


def test_websocket_with_a_good_token_is_the_applications(pool: FakeUserPool) -> None:
    """The handshake is left to the application, which finds the principal."""
    guarded = Guarded(pool)
    sent = talk(guarded.app, handshake("/", bearer(pool.access_token())))
    assert sent[:2] == [{"type": "websocket.accept"}, {"type": "websocket.send", "text": pool.subject("jane")}]


@pytest.mark.parametrize("present, expected, reason", [*NO_CREDENTIALS, *BAD_CREDENTIALS])
def test_refused_websocket_gets_the_same_answer_as_a_request(
    pool: FakeUserPool, present: Present, expected: Answer, reason: Reason
) -> None:
    """With the denial extension, status, headers and body are those of http."""
    del reason
    guarded = Guarded(pool)
    sent = talk(guarded.app, handshake("/", *present(pool), extensions=["tls", DENIAL]))
    assert answer(sent, "websocket.") == expected
    assert not guarded.probe.was_reached


@pytest.mark.parametrize("members", [{"extensions": {}}, {"extensions": {"tls": {}}}, {"extensions": None}])
def test_refused_websocket_is_closed_where_no_response_can_be_sent(pool: FakeUserPool, members: dict[str, Any]) -> None:
    """Without the extension, a close before accept is all that ASGI has; servers make a 403 of it."""
    guarded = Guarded(pool)
    scope = {**handshake("/"), **members}
    assert talk(guarded.app, scope) == [{"type": "websocket.close", "code": 1008, "reason": ""}]
    del scope["extensions"]
    assert talk(guarded.app, scope) == [{"type": "websocket.close", "code": 1008, "reason": ""}]
    assert not guarded.probe.was_reached


def test_websocket_subprotocol_is_no_credential(pool: FakeUserPool) -> None:
    """A token in `Sec-WebSocket-Protocol` is none unless somebody asked for it."""
    guarded = Guarded(pool)
    talk(guarded.app, handshake("/", (b"sec-websocket-protocol", f"bearer, {pool.access_token()}".encode())))
    assert not guarded.probe.was_reached


# Availability


def test_keys_out_of_reach_is_nobodys_fault(
    pool: FakeUserPool, keys: Keys, remote: CognitoVerifier, caplog: pytest.LogCaptureFixture
) -> None:
    """503 with Retry-After and no challenge: a 401 would make clients throw good tokens away."""
    caplog.set_level(logging.INFO, "cognito_guard")
    keys.is_down = True
    guarded = Guarded(pool, verifier=remote)
    assert guarded.ask("/", bearer(pool.access_token())) == UNAVAILABLE
    denied = talk(guarded.app, handshake("/", bearer(pool.access_token()), extensions=[DENIAL]))
    assert answer(denied, "websocket.") == UNAVAILABLE
    assert not guarded.probe.was_reached
    refused = [record.__dict__["reason"] for record in caplog.records if record.name == "cognito_guard"]
    assert refused == [Reason.KEYS_UNAVAILABLE.value] * 2


def test_retry_after_is_what_is_left_of_the_backoff(
    pool: FakeUserPool, keys: Keys, remote: CognitoVerifier, clock: FakeClock
) -> None:
    """Whole seconds, rounded up, never 0; after them a recovered endpoint is asked again."""
    keys.is_down = True
    guarded = Guarded(pool, verifier=remote)
    waits: list[bytes] = []
    for _ in range(3):
        waits.append(dict(guarded.ask("/", bearer(pool.access_token())).headers)[b"retry-after"])
        clock.tick(float(waits[-1]))
    assert waits == [b"1", b"2", b"4"]
    keys.is_down = False
    assert guarded.ask("/", bearer(pool.access_token())).status == 200


def test_outage_is_unnoticed_while_keys_are_held(
    pool: FakeUserPool, keys: Keys, remote: CognitoVerifier, clock: FakeClock
) -> None:
    """A token of a known key is good through an outage, also when the keys are stale; a bad one stays bad."""
    guarded = Guarded(pool, verifier=remote)
    assert guarded.ask("/", bearer(pool.access_token())).status == 200
    keys.is_down = True
    clock.tick(3600)
    assert guarded.ask("/", bearer(pool.access_token())).status == 200
    assert guarded.ask("/", bearer(pool.access_token(expires_in=-60))) == EXPIRED


def test_exempt_paths_and_preflights_need_no_keys(pool: FakeUserPool, keys: Keys, remote: CognitoVerifier) -> None:
    """What needs no token never asks for keys, and neither does a request that has none."""
    guarded = Guarded(pool, verifier=remote, exempt=["/healthz"])
    assert guarded.ask("/healthz", bearer(pool.access_token())).status == 200
    assert guarded.ask("/", ORIGIN, ASKED_METHOD, method="OPTIONS").status == 200
    assert guarded.ask("/") == NO_TOKEN
    assert not keys.asked.is_set()


def test_event_loop_is_free_while_keys_are_fetched(pool: FakeUserPool, keys: Keys, remote: CognitoVerifier) -> None:
    """A request that waits for keys holds nobody else up."""
    guarded = Guarded(pool, verifier=remote, exempt=["/healthz"])
    keys.answers.clear()

    async def run() -> None:
        waiting = asyncio.create_task(aask(guarded.app, "/", bearer(pool.access_token())))
        assert await asyncio.to_thread(keys.asked.wait, TIMEOUT)
        assert (await aask(guarded.app, "/healthz")).status == 200
        assert not waiting.done()
        keys.answers.set()
        assert (await asyncio.wait_for(waiting, TIMEOUT)).status == 200

    asyncio.run(run())


def test_cancelled_request_is_neither_passed_nor_answered(
    pool: FakeUserPool, keys: Keys, remote: CognitoVerifier
) -> None:
    """A client that goes away while keys are fetched ends its own request and nobody else's."""
    guarded = Guarded(pool, verifier=remote)
    keys.answers.clear()

    async def run() -> None:
        token = pool.access_token()
        gone, staying = (asyncio.create_task(aask(guarded.app, "/", bearer(token))) for _ in range(2))
        assert await asyncio.to_thread(keys.asked.wait, TIMEOUT)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert not guarded.probe.was_reached
        keys.answers.set()
        assert (await asyncio.wait_for(staying, TIMEOUT)).status == 200

    asyncio.run(run())


# Isolation


def test_concurrent_requests_never_share_a_caller(pool: FakeUserPool) -> None:
    """200 requests of different users, all inside their handlers at once: each answer carries its own `sub`."""
    users = [f"user-{number}" for number in range(200)]
    tokens = [pool.access_token(username=user) for user in users]
    inside = 0
    all_in = asyncio.Event()

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        nonlocal inside
        inside += 1
        if inside == len(users):
            all_in.set()
        await asyncio.wait_for(all_in.wait(), TIMEOUT)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["user"].subject.encode()})

    guarded = CognitoMiddleware(app, pool.verifier())

    async def run() -> list[Answer]:
        return list(await asyncio.gather(*(aask(guarded, "/", bearer(token)) for token in tokens)))

    bodies = [reply.body.decode() for reply in asyncio.run(run())]
    assert bodies == [pool.subject(user) for user in users]
    assert len(set(bodies)) == len(users)


def test_bad_request_amid_good_ones_stays_bad(pool: FakeUserPool) -> None:
    """A caller without a token never inherits the one of a neighbour on the same loop."""
    guarded = Guarded(pool)

    def headers() -> Iterator[list[Header]]:
        for number in range(100):
            yield [bearer(pool.access_token(username=f"user-{number}"))] if number % 2 else []

    async def run() -> list[Answer]:
        return list(await asyncio.gather(*(aask(guarded.app, "/", *given) for given in headers())))

    assert [reply.status for reply in asyncio.run(run())] == [401, 200] * 50


def test_one_guard_serves_several_event_loops(
    pool: FakeUserPool, keys: Keys, remote: CognitoVerifier, clock: FakeClock
) -> None:
    """Nothing that is kept belongs to a loop, also where each loop waits for a fetch."""
    guarded = Guarded(pool, verifier=remote)
    for _ in range(3):
        pool.rotate()
        clock.tick(60)
        assert guarded.ask("/", bearer(pool.access_token())).status == 200
    assert keys.asked.is_set()


def test_two_guards_of_two_pools_keep_them_apart(pool: FakeUserPool) -> None:
    """A token of one user pool opens that pool's guard alone."""
    other = FakeUserPool("eu-west-1_Another00", clock=pool.clock)
    assert Guarded(pool).ask("/", bearer(other.access_token())) == BAD_TOKEN
    assert Guarded(other).ask("/", bearer(other.access_token())).status == 200


def test_nested_guards_are_both_passed(pool: FakeUserPool) -> None:
    """A stricter guard inside one that is optional has the last word, and the last say on who calls."""
    inner = Guarded(pool, requirement=Requires(groups="admins"))
    outer = CognitoMiddleware(inner.app, pool.verifier(), required=False)
    assert ask(outer, "/") == NO_TOKEN
    assert ask(outer, "/", bearer(pool.access_token())) == NOT_ALLOWED
    assert ask(outer, "/", bearer(pool.access_token(groups=["admins"]))).status == 200


def test_refusal_reads_no_body(pool: FakeUserPool) -> None:
    """An unauthenticated client can't make the guard wait for, or keep, what it sends."""
    guarded = Guarded(pool)

    async def receive() -> Message:
        raise AssertionError("the body was asked for")

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(guarded.app(connection("/", method="POST"), receive, send))
    assert answer(sent) == NO_TOKEN


def test_send_that_fails_is_not_taken_for_a_pass(pool: FakeUserPool) -> None:
    """A client that is gone when its refusal is sent makes an error, and no call of the application."""
    guarded = Guarded(pool)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(_: Message) -> None:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        asyncio.run(guarded.app(connection("/"), receive, send))
    assert not guarded.probe.was_reached


# Configuration


@pytest.mark.parametrize(
    "setting, options",
    [
        pytest.param("exempt", {"exempt": ["healthz"]}, id="a path without a slash"),
        pytest.param("exempt", {"exempt": "healthz"}, id="one path without a slash"),
        pytest.param("exempt", {"exempt": [""]}, id="an empty path"),
        pytest.param("exempt", {"exempt": ["/healthz", "https://api.example.com/healthz"]}, id="a URL"),
        pytest.param("exempt", {"exempt": [b"/healthz"]}, id="bytes"),
        pytest.param("exempt", {"exempt": [None]}, id="None"),
        pytest.param("realm", {"realm": ""}, id="an empty realm"),
        pytest.param("realm", {"realm": 'or"ders'}, id="a quote in the realm"),
        pytest.param("realm", {"realm": "or\\ders"}, id="a backslash in the realm"),
        pytest.param("realm", {"realm": "orders\r\nx: y"}, id="a line end in the realm"),
        pytest.param("realm", {"realm": "orders\n"}, id="a line end after the realm"),
        pytest.param("realm", {"realm": "Aufträge"}, id="a realm that is not ASCII"),
        pytest.param("requirement", {"required": False, "requirement": Requires()}, id="a requirement for anybody"),
        pytest.param("requirement", {"requirement": "transactions/get"}, id="a scope as requirement"),
    ],
)
def test_mistake_is_found_at_construction(pool: FakeUserPool, setting: str, options: dict[str, Any]) -> None:
    """ConfigurationError names the argument, before the first request and not in it."""
    with pytest.raises(ConfigurationError) as raised:
        Guarded(pool, **options)
    assert raised.value.setting == setting


def test_exempt_is_taken_once(pool: FakeUserPool) -> None:
    """An iterator is read at construction, and a list changed afterwards changes nothing."""
    paths = ["/healthz"]
    guarded, other = Guarded(pool, exempt=iter(paths)), Guarded(pool, exempt=paths)
    paths.append("/admin")
    for one in (guarded, other):
        assert [one.ask(path).status for path in ("/healthz", "/healthz", "/admin")] == [200, 200, 401]
