"""Guard: one request's caller, the judge of it, and the answer where it may not."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from functools import partial
from types import SimpleNamespace
from typing import Any, TypeAlias, cast

import pytest

from cognito_guard import (
    Challenge,
    CognitoVerifier,
    ConfigurationError,
    InsufficientScopeError,
    InvalidRequestError,
    InvalidTokenError,
    MissingTokenError,
    Principal,
    ProtectedResource,
    Reason,
    RefusalError,
    Requirement,
    RequirementNotMetError,
    Requires,
    StepUpRequiredError,
    UnavailableError,
    UnknownKeyError,
    challenge_for,
)
from cognito_guard.challenge import metadata_reply
from cognito_guard.guard import (
    Anonymous,
    Guard,
    RouteGuardOptions,
    check_route_options,
    exempt_paths,
    is_preflight,
)
from cognito_guard.testing import FakeClock, FakeUserPool
from cognito_guard.tokens.credentials import cookie, header, websocket_subprotocol

Call: TypeAlias = Callable[..., Any]

GET = Requires(scopes="transactions/get")
METADATA = ProtectedResource("https://api.example.com/v1", authorization_servers="https://login.example.com")


@pytest.fixture
def verifier(pool: FakeUserPool) -> CognitoVerifier:
    """Return the judge."""
    return pool.verifier()


@pytest.fixture
def jane(pool: FakeUserPool, verifier: CognitoVerifier) -> Principal:
    """Return a caller with one scope and one group."""
    return verifier.verify(pool.access_token(scopes=["transactions/get"], groups=["staff"]))


def challenge_of(
    verifier: CognitoVerifier, principal: Principal | None, requirement: Requirement, **options: Any
) -> Challenge | None:
    """Return the answer to a caller who does not meet the requirement, or None for one who does."""
    guard = Guard(verifier=verifier, **options)
    try:
        guard.authorize(principal, requirement)
    except RefusalError as error:
        return guard.refuse(error, requirement)
    return None


@pytest.mark.parametrize(
    "requirement",
    [
        pytest.param(Requires(), id="nothing"),
        pytest.param(GET, id="a scope"),
        pytest.param(GET & Requires(groups="staff"), id="a scope and a group"),
        pytest.param(~Requires(groups="banned"), id="not a group"),
        pytest.param(Requires(max_age=0), id="a sign-in of this very second"),
    ],
)
def test_caller_who_may_gets_no_challenge(
    verifier: CognitoVerifier, jane: Principal, requirement: Requirement, caplog: pytest.LogCaptureFixture
) -> None:
    """None means yes, and leaves no trace in the log."""
    caplog.set_level(logging.DEBUG, "cognito_guard")
    assert challenge_of(verifier, jane, requirement) is None
    assert not caplog.records


@pytest.mark.parametrize(
    "requirement, status, reason",
    [
        pytest.param(Requires(scopes="transactions/post"), 403, Reason.INSUFFICIENT_SCOPE, id="another scope"),
        pytest.param(Requires(groups="admins"), 403, Reason.GROUP_REQUIRED, id="another group"),
        pytest.param(~GET, 403, Reason.EXCLUDED, id="not that scope"),
        pytest.param(Requires(acr="mfa"), 401, Reason.WEAK_AUTHENTICATION, id="a class of authentication"),
    ],
)
def test_caller_who_may_not_gets_a_challenge(
    verifier: CognitoVerifier, jane: Principal, requirement: Requirement, status: int, reason: Reason
) -> None:
    """The answer is that of the refusal."""
    challenge = challenge_of(verifier, jane, requirement)
    assert challenge is not None
    assert (challenge.status, challenge.reason) == (status, reason)


@pytest.mark.parametrize("requirement", [Requires(), GET, ~Requires(), ~GET, Requires(groups="staff") | GET])
def test_anonymous_caller_meets_no_requirement(verifier: CognitoVerifier, requirement: Requirement) -> None:
    """Whatever is demanded, a caller must be there first: also where a `~` would be met by nobody."""
    challenge = challenge_of(verifier, None, requirement)
    assert challenge is not None
    assert (challenge.status, challenge.reason) == (401, Reason.MISSING_TOKEN)


def test_anonymous_caller_learns_scopes_and_realm(verifier: CognitoVerifier) -> None:
    """The 401 says where and with what to come back."""
    challenge = challenge_of(verifier, None, GET, realm="orders")
    assert challenge is not None
    assert dict(challenge.headers)["WWW-Authenticate"] == 'Bearer realm="orders", scope="transactions/get"'


def test_guard_judges_at_the_time_of_the_question(
    pool: FakeUserPool, verifier: CognitoVerifier, clock: FakeClock
) -> None:
    """A long connection that asks again is told when its sign-in has become too old."""
    caller = verifier.verify(pool.access_token())
    assert challenge_of(verifier, caller, Requires(max_age=300)) is None
    clock.tick(301)
    challenge = challenge_of(verifier, caller, Requires(max_age=300))
    assert challenge is not None
    assert challenge.reason is Reason.STALE_AUTHENTICATION


def test_guard_judges_with_its_verifiers_implications(pool: FakeUserPool) -> None:
    """A scope that another implies is granted."""
    verifier = pool.verifier(implies={"transactions/post": ["transactions/get"]})
    caller = verifier.verify(pool.access_token(scopes=["transactions/post"]))
    assert challenge_of(verifier, caller, GET) is None


@pytest.mark.parametrize("error", [KeyError("tenant"), RecursionError(), ZeroDivisionError()])
def test_error_in_a_predicate_is_no_verdict(verifier: CognitoVerifier, jane: Principal, error: Exception) -> None:
    """What is not a refusal propagates: it is neither a challenge nor a pass."""

    def predicate(_: Principal) -> bool:
        raise error

    with pytest.raises(type(error)) as raised:
        challenge_of(verifier, jane, Requires(predicate=predicate))
    assert raised.value is error


def test_guard_is_frozen(verifier: CognitoVerifier) -> None:
    """A handler can't make the rules softer, nor hang anything on the guard; copies are allowed."""
    guard = Guard(verifier=verifier)
    for name, value in (("required", False), ("verifier", None), ("realm", "x"), ("other", 1)):
        with pytest.raises((FrozenInstanceError, AttributeError, TypeError)):
            setattr(guard, name, value)
    assert guard.required
    assert copy.copy(guard) == guard


def test_guard_takes_its_values_by_name(verifier: CognitoVerifier) -> None:
    """Every option has its name at the place where it is given."""
    make: Any = Guard
    with pytest.raises(TypeError):
        make(verifier)
    assert Guard(verifier=verifier).realm == "cognito"


def test_repr_of_a_guard_holds_no_claim(pool: FakeUserPool, verifier: CognitoVerifier) -> None:
    """It ends up in logs and in error reports."""
    token = pool.access_token(username="jane@example.com", scopes=["transactions/get"])
    verifier.verify(token)
    shown = repr(Guard(verifier=verifier))
    for secret in ("jane", pool.subject("jane@example.com"), "transactions/get", *token.split(".")):
        assert secret not in shown


def test_anonymous_is_a_user_whom_nobody_authenticated() -> None:
    """It has all that Starlette asks of a user."""
    user: Any = Anonymous()
    assert (user.is_authenticated, user.display_name, user.identity) == (False, "", "")


ERRORS: list[RefusalError] = [
    MissingTokenError(),
    InvalidRequestError(Reason.REPEATED_HEADER, "twice"),
    UnknownKeyError(),
    StepUpRequiredError(Reason.STALE_AUTHENTICATION, max_age=300, acr_values=()),
    InsufficientScopeError(("transactions/get",)),
    RequirementNotMetError(Reason.GROUP_REQUIRED, "no"),
    UnavailableError(2.5),
]


@pytest.mark.parametrize("error", [pytest.param(error, id=type(error).__name__) for error in ERRORS])
def test_refusal_is_logged_by_its_reason_alone(
    pool: FakeUserPool, error: RefusalError, caplog: pytest.LogCaptureFixture
) -> None:
    """One record at INFO, since anybody can cause any number of them; its `reason` is a plain text."""
    caplog.set_level(logging.DEBUG)
    Guard(verifier=pool.verifier()).refuse(error)
    [record] = caplog.records
    assert (record.name, record.levelno) == ("cognito_guard", logging.INFO)
    assert record.getMessage() == f"request refused: {error.reason.value}"
    assert type(record.__dict__["reason"]) is str
    assert record.__dict__["reason"] == error.reason.value
    assert record.exc_info is None


@pytest.mark.parametrize("error", [pytest.param(error, id=type(error).__name__) for error in ERRORS])
def test_refusal_is_answered_as_challenge_for_says(pool: FakeUserPool, error: RefusalError) -> None:
    """The requirement's scopes, or none, go into the challenge; nothing else is added."""
    guard = Guard(verifier=pool.verifier(), realm="orders")
    assert guard.refuse(error) == challenge_for(error, realm="orders")
    expected: Challenge = challenge_for(error, realm="orders", scopes=["transactions/get"])
    assert guard.refuse(error, GET) == expected


def test_challenge_names_every_scope_that_is_needed(pool: FakeUserPool) -> None:
    """A client is told once all it needs: what every token must carry, and what the operation requires."""
    verifier = pool.verifier(required_scopes="transactions/use")
    for error in (MissingTokenError(), InsufficientScopeError(("transactions/get",))):
        challenge = dict(Guard(verifier=verifier).refuse(error, GET).headers)["WWW-Authenticate"]
        assert challenge.endswith('scope="transactions/use transactions/get"')


@pytest.mark.parametrize(
    "options, setting",
    [
        pytest.param({"verifier": None}, "verifier", id="no verifier"),
        pytest.param({"requirement": "transactions/get"}, "requirement", id="a scope by its name"),
        pytest.param({"requirement": GET, "required": False}, "requirement", id="a requirement for nobody"),
        pytest.param({"token_from": []}, "token_from", id="no place"),
        pytest.param({"token_from": [header, cookie]}, "token_from", id="places without parentheses"),
        pytest.param({"token_from": ["header"]}, "token_from", id="a place by its name"),
        pytest.param({"metadata": "https://api.example.com"}, "metadata", id="a URL for the metadata"),
        pytest.param({"realm": ""}, "realm", id="an empty realm"),
        pytest.param({"required": "no"}, "required", id="a word for required"),
        pytest.param({"required": None}, "required", id="nothing for required"),
        pytest.param({"problem_details": "no"}, "problem_details", id="a word for problem_details"),
    ],
)
def test_option_that_cannot_be_right_is_refused_by_name(
    verifier: CognitoVerifier, options: dict[str, Any], setting: str
) -> None:
    """Where the guard is made, and not at each request."""
    arguments: dict[str, Any] = {"verifier": verifier, **options}
    with pytest.raises(ConfigurationError) as caught:
        Guard(**arguments)
    assert caught.value.setting == setting


def test_options_of_routes_are_all_but_one() -> None:
    """Whether callers may be anonymous, each route says: the error tells how.  What nobody takes is named too."""
    check_route_options({}, "by a decorator")
    check_route_options({"realm": "orders", "requirement": None, "problem_details": True}, "by a decorator")
    given: dict[str, Any]
    for given, problem in (
        ({"required": True}, "is for each route to say: by a decorator"),
        (
            {"realm": "orders", "exempt": "/"},
            "no such option; known are requirement, token_from, metadata, realm, problem_details",
        ),
    ):
        with pytest.raises(ConfigurationError) as caught:
            check_route_options(cast("RouteGuardOptions", given), "by a decorator")
        assert (caught.value.setting, caught.value.problem) == ([*given][-1], problem)


def test_requirement_of_the_guard_is_met_by_each_caller(call: Call, pool: FakeUserPool) -> None:
    """Who may is returned, who may not is refused."""
    guard = Guard(verifier=pool.verifier(), requirement=GET)
    caller = call(guard, "authenticate", pool.headers(scopes=["transactions/get"]))
    assert caller.scopes == {"transactions/get"}
    with pytest.raises(InsufficientScopeError) as raised:
        call(guard, "authenticate", pool.headers(scopes=["transactions/post"]))
    assert raised.value.required == ("transactions/get",)


def test_absent_credentials_are_anonymous_where_that_is_allowed(call: Call, pool: FakeUserPool) -> None:
    """And nowhere else; bad ones are never."""
    optional, strict = Guard(verifier=pool.verifier(), required=False), Guard(verifier=pool.verifier())
    assert call(optional, "authenticate", {}) is None
    assert call(optional, "authenticate", pool.headers()).username == "jane"
    with pytest.raises(MissingTokenError):
        call(strict, "authenticate", {})
    for guard in (optional, strict):
        with pytest.raises(InvalidTokenError) as raised:
            call(guard, "authenticate", {"Authorization": "Bearer x"})
        assert raised.value.reason is Reason.MALFORMED_TOKEN


def test_adapter_may_leave_it_to_its_routes_who_may_be_anonymous(call: Call, pool: FakeUserPool) -> None:
    """Nobody is refused for coming without credentials then; who comes with some must meet the requirement."""
    guard = Guard(verifier=pool.verifier(), requirement=GET)
    adapter = SimpleNamespace(
        authenticate=partial(guard.authenticate, optional=True),
        aauthenticate=partial(guard.aauthenticate, optional=True),
    )
    assert call(adapter, "authenticate", {}) is None
    assert call(adapter, "authenticate", pool.headers(scopes=["transactions/get"])).username == "jane"
    with pytest.raises(InsufficientScopeError):
        call(adapter, "authenticate", pool.headers())
    with pytest.raises(InvalidTokenError):
        call(adapter, "authenticate", {"Authorization": "Bearer x"})


IN_HEADER = {"Authorization": "Bearer {}"}
IN_COOKIE = {"Cookie": "session={}"}
IN_SUBPROTOCOL = {"Sec-WebSocket-Protocol": "bearer, {}"}


@pytest.mark.parametrize(
    "token_from, read",
    [
        pytest.param(header(), [IN_HEADER], id="one place, and no list of it"),
        pytest.param([cookie("session")], [IN_COOKIE], id="one place"),
        pytest.param([header(), cookie("session")], [IN_HEADER, IN_COOKIE], id="two places"),
        pytest.param(
            (cookie("session"), header(), websocket_subprotocol()),
            [IN_HEADER, IN_COOKIE, IN_SUBPROTOCOL],
            id="three places",
        ),
    ],
)
def test_token_is_read_where_the_guard_is_told_and_nowhere_else(
    call: Call, pool: FakeUserPool, verifier: CognitoVerifier, token_from: Any, read: list[dict[str, str]]
) -> None:
    """Each request may use one of the places; what stands in any other is none, and in two at once an error."""
    guard = Guard(verifier=verifier, required=False, token_from=token_from)
    token = pool.access_token()
    for place in (IN_HEADER, IN_COOKIE, IN_SUBPROTOCOL):
        headers = {name: value.format(token) for name, value in place.items()}
        caller = call(guard, "authenticate", headers)
        assert (caller is not None) == (place in read)
    if len(read) > 1:
        everywhere = {name: value.format(token) for place in read for name, value in place.items()}
        with pytest.raises(InvalidRequestError) as raised:
            call(guard, "authenticate", everywhere)
        assert raised.value.reason is Reason.SEVERAL_METHODS


def test_guard_tells_where_a_token_may_stand(verifier: CognitoVerifier) -> None:
    """A tuple, however it was told: who reads it, as a description of the API does, may read it again."""
    places = (header(), cookie("session"))
    assert Guard(verifier=verifier, token_from=iter(places)).token_from == places
    assert Guard(verifier=verifier, token_from=places[0]).token_from == places[:1]  # type: ignore[arg-type]


def test_answer_names_the_metadata_of_the_guard(verifier: CognitoVerifier) -> None:
    """A client without a token learns where to read how to get one (RFC 9728 §5.1)."""
    guard = Guard(verifier=verifier, metadata=METADATA, problem_details=True)
    assert guard.refuse(MissingTokenError()) == challenge_for(
        MissingTokenError(), resource_metadata=METADATA.url, problem_details=True
    )


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("paths", [[METADATA.path], ["/app" + METADATA.path, METADATA.path]], ids=["one", "of two"])
def test_metadata_is_served_where_it_is_asked_for(verifier: CognitoVerifier, method: str, paths: list[str]) -> None:
    """At its one path, whichever way the server tells it."""
    assert Guard(verifier=verifier, metadata=METADATA).metadata_reply(method, *paths) == metadata_reply(METADATA)


@pytest.mark.parametrize(
    "metadata, method, path",
    [
        pytest.param(None, "GET", METADATA.path, id="a guard without metadata"),
        pytest.param(METADATA, "GET", "/", id="another path"),
        pytest.param(METADATA, "GET", METADATA.path + "/", id="a path that goes on"),
        pytest.param(METADATA, "POST", METADATA.path, id="another method"),
        pytest.param(METADATA, "get", METADATA.path, id="a method in lower case"),
        pytest.param(METADATA, "POST", "/", id="another method and path"),
    ],
)
def test_any_other_request_is_not_for_the_metadata(
    verifier: CognitoVerifier, metadata: ProtectedResource | None, method: str, path: str
) -> None:
    """It needs a token like all the rest."""
    assert Guard(verifier=verifier, metadata=metadata).metadata_reply(method, path) is None


def test_exempt_paths_are_one_or_several() -> None:
    """One string is one path, not its letters."""
    assert exempt_paths("/health") == {"/health"}
    assert exempt_paths(iter(["/health", "/"])) == {"/health", "/"}
    assert exempt_paths(()) == frozenset()


@pytest.mark.parametrize(
    "given", ["health", "", ["/health", "metrics"], [None], [b"/health"], [1], None, 1, [["/health"]]], ids=repr
)
def test_exempt_path_that_is_none_is_refused(given: Any) -> None:
    """It would exempt nothing, in silence."""
    with pytest.raises(ConfigurationError) as caught:
        exempt_paths(given)
    assert caught.value.setting == "exempt"


@pytest.mark.parametrize(
    "method, names, expected",
    [
        pytest.param("OPTIONS", ["Origin", "ACCESS-CONTROL-REQUEST-METHOD", "host"], True, id="a preflight"),
        pytest.param("OPTIONS", ["origin", "host"], False, id="no method asked for"),
        pytest.param("OPTIONS", ["access-control-request-method"], False, id="no origin"),
        pytest.param("OPTIONS", [], False, id="no header"),
        pytest.param("GET", ["origin", "access-control-request-method"], False, id="another method"),
        pytest.param("options", ["origin", "access-control-request-method"], False, id="a method in lower case"),
    ],
)
def test_preflight_is_told_from_other_requests(method: str, names: list[str], expected: bool) -> None:
    """Only what a browser sends without credentials passes without them (Fetch §3.2.2)."""
    assert is_preflight(method, names) is expected
