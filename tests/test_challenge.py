"""Challenges: the exact words of RFC 6750 and 9470 for each refusal, made of constants and configured values alone."""

from __future__ import annotations

import json
import re
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cognito_guard import Challenge, ConfigurationError, challenge_for
from cognito_guard.challenge import WEBSOCKET_POLICY_VIOLATION, check_realm, metadata_reply
from cognito_guard.errors import (
    AuthenticationError,
    AuthorizationError,
    ExpiredTokenError,
    ImmatureTokenError,
    InsufficientScopeError,
    InvalidClaimError,
    InvalidRequestError,
    InvalidSignatureError,
    InvalidTokenError,
    MalformedTokenError,
    MissingTokenError,
    Problem,
    Reason,
    RefusalError,
    RequirementNotMetError,
    StepUpRequiredError,
    UnavailableError,
    UnknownKeyError,
    UnsupportedAlgorithmError,
    malformed_claim,
    missing_claim,
)
from cognito_guard.metadata import ProtectedResource

STALE = Reason.STALE_AUTHENTICATION
INVALID = 'Bearer realm="api", error="invalid_token", error_description="The token is not valid here", scope="a b"'
INVALID_BODY = b'{"error": "invalid_token", "error_description": "The token is not valid here"}'
STEP_UP = (
    'Bearer realm="api", error="insufficient_user_authentication", '
    'error_description="A more recent or stronger authentication is required"'
)
STEP_UP_BODY = (
    b'{"error": "insufficient_user_authentication", '
    b'"error_description": "A more recent or stronger authentication is required"}'
)


@pytest.mark.parametrize(
    "error, status, challenge, body",
    [
        pytest.param(
            MissingTokenError(),
            401,
            'Bearer realm="api", scope="a b"',
            b'{"error_description": "Authentication is required"}',
            id="no token: no error code",
        ),
        pytest.param(
            InvalidRequestError(Reason.REPEATED_HEADER, "twice"),
            400,
            'Bearer realm="api", error="invalid_request", error_description="Exactly one bearer token is expected"',
            b'{"error": "invalid_request", "error_description": "Exactly one bearer token is expected"}',
            id="a broken request: no scope would mend it",
        ),
        *(
            pytest.param(error, 401, INVALID, INVALID_BODY, id=f"a bad token: {type(error).__name__} {error.reason}")
            for error in (
                MalformedTokenError("broken"),
                MalformedTokenError("too long", Reason.OVERSIZED_TOKEN),
                UnsupportedAlgorithmError(),
                UnknownKeyError(),
                InvalidSignatureError(),
                missing_claim("sub"),
                malformed_claim("exp"),
                InvalidClaimError("aud", "mismatch", Reason.WRONG_AUDIENCE, "not ours"),
                ImmatureTokenError("nbf", "mismatch", Reason.NOT_YET_VALID, "not yet"),
            )
        ),
        pytest.param(
            ExpiredTokenError("exp", "mismatch", Reason.EXPIRED, "over"),
            401,
            'Bearer realm="api", error="invalid_token", error_description="The token has expired", scope="a b"',
            b'{"error": "invalid_token", "error_description": "The token has expired"}',
            id="an expired token: its owner may refresh it",
        ),
        pytest.param(
            StepUpRequiredError(STALE, max_age=300, acr_values=("gold", "silver")),
            401,
            f'{STEP_UP}, max_age="300", acr_values="gold silver"',
            STEP_UP_BODY,
            id="step-up: age and classes",
        ),
        pytest.param(
            StepUpRequiredError(STALE, max_age=0, acr_values=()),
            401,
            f'{STEP_UP}, max_age="0"',
            STEP_UP_BODY,
            id="step-up: an age of zero",
        ),
        pytest.param(
            StepUpRequiredError(STALE, max_age=299.99, acr_values=()),
            401,
            f'{STEP_UP}, max_age="299"',
            STEP_UP_BODY,
            id="step-up: whole seconds, never more than allowed",
        ),
        pytest.param(
            StepUpRequiredError(Reason.WEAK_AUTHENTICATION, max_age=None, acr_values=("gold",)),
            401,
            f'{STEP_UP}, acr_values="gold"',
            STEP_UP_BODY,
            id="step-up: a class alone",
        ),
        pytest.param(
            InsufficientScopeError(("b", "c")),
            403,
            'Bearer realm="api", error="insufficient_scope", '
            'error_description="The token lacks a scope that is required", scope="a b c"',
            b'{"error": "insufficient_scope", "error_description": "The token lacks a scope that is required"}',
            id="a scope too little: all that is needed, each once",
        ),
        pytest.param(
            RequirementNotMetError(Reason.GROUP_REQUIRED, "not in the group"),
            403,
            None,
            b'{"error": "access_denied", "error_description": "The caller is not allowed to do this"}',
            id="not allowed: no challenge, another token would not help",
        ),
        pytest.param(
            UnavailableError(5),
            503,
            None,
            b'{"error": "temporarily_unavailable", "error_description": "The token cannot be checked at the moment"}',
            id="keys out of reach: no challenge, the token may be good",
        ),
    ],
)
def test_each_refusal_has_its_exact_answer(
    error: RefusalError, status: int, challenge: str | None, body: bytes
) -> None:
    """Status, headers and body, byte for byte; all bad tokens but the expired get one answer."""
    headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
    if challenge is not None:
        headers.append(("WWW-Authenticate", challenge))
    if isinstance(error, UnavailableError):
        headers.append(("Retry-After", "5"))
    expected = Challenge(status=status, headers=tuple(headers), body=body, reason=error.reason)
    assert challenge_for(error, realm="api", scopes=["a", "b"]) == expected


@pytest.mark.parametrize(
    "seconds, told",
    [
        pytest.param(0, "1", id="at once is a second from now"),
        pytest.param(-3, "1", id="nor in the past"),
        pytest.param(0.2, "1", id="less than a second"),
        pytest.param(1, "1", id="a second"),
        pytest.param(1.01, "2", id="a little more"),
        pytest.param(29.999, "30", id="nearly half a minute"),
    ],
)
def test_retry_after_is_rounded_up_to_whole_seconds(seconds: float, told: str) -> None:
    """Never zero, and never too early (RFC 9110 §10.2.3)."""
    assert dict(challenge_for(UnavailableError(seconds)).headers)["Retry-After"] == told


def test_realm_is_named_even_where_nothing_else_is() -> None:
    """A bare scheme is not conformant (RFC 6750 §3); the default realm names no product or version."""
    headers = dict(challenge_for(MissingTokenError()).headers)
    assert headers["WWW-Authenticate"] == 'Bearer realm="cognito"'


def test_each_scope_is_told_once_and_in_order() -> None:
    """`scope` stands once, with every scope that is needed: a client should not have to ask scope by scope."""
    headers = dict(challenge_for(InsufficientScopeError(("c", "a")), scopes=["b", "a", "b"]).headers)
    assert headers["WWW-Authenticate"].count("scope=") == 1
    assert headers["WWW-Authenticate"].endswith('scope="b a c"')
    headers = dict(challenge_for(MissingTokenError(), scopes=iter(["b", "a", "b"])).headers)
    assert headers["WWW-Authenticate"].endswith('scope="b a"')


METADATA = "https://api.example/.well-known/oauth-protected-resource"


@pytest.mark.parametrize(
    "error, named",
    [
        pytest.param(MissingTokenError(), True, id="no token"),
        pytest.param(InvalidRequestError(Reason.REPEATED_HEADER, "twice"), True, id="a broken request"),
        pytest.param(UnknownKeyError(), True, id="a bad token"),
        pytest.param(StepUpRequiredError(STALE, max_age=1, acr_values=()), True, id="step-up"),
        pytest.param(InsufficientScopeError(("a",)), True, id="a scope too little"),
        pytest.param(RequirementNotMetError(Reason.GROUP_REQUIRED, "not in the group"), False, id="not allowed"),
        pytest.param(UnavailableError(1), False, id="keys out of reach"),
    ],
)
def test_each_challenge_names_the_metadata_of_the_resource(error: RefusalError, named: bool) -> None:
    """RFC 9728 §5.1: wherever there is a challenge, a client can find out which user pool issues tokens for the API."""
    challenge = dict(challenge_for(error, resource_metadata=METADATA).headers).get("WWW-Authenticate", "")
    assert challenge.endswith(f', resource_metadata="{METADATA}"') is named
    assert "resource_metadata" not in repr(challenge_for(error))


@pytest.mark.parametrize(
    "error, body",
    [
        pytest.param(
            MissingTokenError(),
            {"title": "Unauthorized", "status": 401, "detail": "Authentication is required"},
            id="no token: no error code, no scopes",
        ),
        pytest.param(
            InsufficientScopeError(("b", "c")),
            {
                "title": "Forbidden",
                "status": 403,
                "detail": "The token lacks a scope that is required",
                "error": "insufficient_scope",
                "required_scopes": ["a", "b", "c"],
            },
            id="a scope too little: all that is needed",
        ),
        pytest.param(
            UnavailableError(1),
            {
                "title": "Service Unavailable",
                "status": 503,
                "detail": "The token cannot be checked at the moment",
                "error": "temporarily_unavailable",
            },
            id="keys out of reach",
        ),
    ],
)
def test_problem_details_say_the_same_in_other_words(error: RefusalError, body: dict[str, Any]) -> None:
    """RFC 9457: only the body and its media type differ; status and challenge stay."""
    plain = challenge_for(error, scopes=["a", "b"])
    problem = challenge_for(error, scopes=["a", "b"], problem_details=True)
    assert json.loads(problem.body) == body
    assert problem.headers[0] == ("Content-Type", "application/problem+json")
    assert (problem.status, problem.headers[1:], problem.reason) == (plain.status, plain.headers[1:], plain.reason)


def test_metadata_may_be_cached_and_read_from_everywhere() -> None:
    """RFC 9728 §3.2: a client reads it before it has any token, also one in a browser."""
    resource = ProtectedResource("https://api.example", authorization_servers="https://idp.example")
    reply = metadata_reply(resource)
    assert (reply.status, reply.body) == (200, resource.document)
    assert reply.headers == (
        ("Content-Type", "application/json"),
        ("Cache-Control", "public, max-age=3600"),
        ("Access-Control-Allow-Origin", "*"),
    )


def test_error_of_an_application_is_answered_as_the_one_it_is_derived_from() -> None:
    """The table is keyed by class and found by inheritance."""

    class OutsideOfficeHoursError(RequirementNotMetError):
        """Be an application's own refusal."""

    answer = challenge_for(OutsideOfficeHoursError(Reason.PREDICATE_REFUSED, "closed"))
    assert answer == challenge_for(RequirementNotMetError(Reason.PREDICATE_REFUSED, "anything"))


@pytest.mark.parametrize(
    "base, like", [(AuthorizationError, RequirementNotMetError), (AuthenticationError, InvalidTokenError)]
)
def test_error_of_a_bare_family_is_answered_too(base: type[RefusalError], like: type[RefusalError]) -> None:
    """An application may raise or derive from any public class, and never gets a 500 for it."""
    assert challenge_for(base(Reason.CLAIM_MISMATCH, "x")) == challenge_for(like(Reason.CLAIM_MISMATCH, "x"))


@pytest.mark.parametrize("realm", ["api", "my api", "https://api.example/", "!#[]~", "a" * 200])
def test_realm_of_printable_ascii_is_taken(realm: str) -> None:
    """Whatever needs no escape in a quoted string."""
    check_realm(realm)
    assert f'realm="{realm}"' in dict(challenge_for(MissingTokenError(), realm=realm).headers)["WWW-Authenticate"]


@pytest.mark.parametrize(
    "realm",
    [
        "",
        'a"b',
        "a\\b",
        "a\r\nSet-Cookie: x=y",
        "a\n",
        "a\tb",
        "a\x00",
        "a\x7f",
        "r\u00e9alm",
        "\ud800",
        None,
        5,
        b"api",
    ],
)
def test_realm_that_cannot_be_quoted_is_refused(realm: Any) -> None:
    """It would end the quoted string, or the header."""
    with pytest.raises(ConfigurationError) as caught:
        check_realm(realm)
    assert caught.value.setting == "realm"


def test_challenge_cannot_be_changed() -> None:
    """It may be shared by everything that is answered the same way."""
    challenge: Any = challenge_for(MissingTokenError())
    with pytest.raises(AttributeError):
        challenge.status = 200
    assert hash(challenge) == hash(challenge_for(MissingTokenError()))


def test_websocket_close_code_is_policy_violation() -> None:
    """RFC 6455 §7.4.1."""
    assert WEBSOCKET_POLICY_VIOLATION == 1008


REASONS = st.sampled_from(list(Reason))
SCOPES = st.lists(st.from_regex(r"[\x21\x23-\x5B\x5D-\x7E]+", fullmatch=True), max_size=4).map(tuple)
SECONDS = st.floats(min_value=0, max_value=1e12) | st.integers(0, 10**12)
PROBLEMS = st.sampled_from(get_args(Problem))
ANY_REFUSAL: st.SearchStrategy[RefusalError] = st.one_of(
    st.sampled_from([MissingTokenError(), UnsupportedAlgorithmError(), UnknownKeyError(), InvalidSignatureError()]),
    st.builds(InvalidRequestError, REASONS, st.text()),
    st.builds(MalformedTokenError, st.text(), REASONS),
    *(
        st.builds(error, st.text(), PROBLEMS, REASONS, st.text())
        for error in (InvalidClaimError, ExpiredTokenError, ImmatureTokenError)
    ),
    st.builds(StepUpRequiredError, REASONS, max_age=st.none() | SECONDS, acr_values=SCOPES),
    st.builds(InsufficientScopeError, SCOPES),
    st.builds(RequirementNotMetError, REASONS, st.text()),
    st.builds(UnavailableError, st.floats(min_value=-1, max_value=1e12)),
)
REALMS = st.from_regex(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+", fullmatch=True)
PARAMETERS = {"realm", "error", "error_description", "scope", "max_age", "acr_values", "resource_metadata"}
PROBLEM_MEMBERS = {"title", "status", "detail", "error", "required_scopes"}
AUTH_PARAM = re.compile(r'([!#$%&\'*+.^_`|~0-9A-Za-z-]+)="([\x20-\x21\x23-\x5B\x5D-\x7E]*)"(?:, |\Z)')


def parameters_of(challenge: str) -> list[tuple[str, str]]:
    """Parse a challenge as RFC 9110 §11.6.1 has it, and fail where anything else is in it."""
    scheme, _, rest = challenge.partition(" ")
    assert scheme == "Bearer"
    parameters = list(AUTH_PARAM.finditer(rest))
    assert "".join(match[0] for match in parameters) == rest
    return [(match[1], match[2]) for match in parameters]


@settings(deadline=None, derandomize=True)
@given(ANY_REFUSAL, REALMS, SCOPES, st.none() | st.just(METADATA), st.booleans())
def test_any_refusal_becomes_a_well_formed_answer(
    error: RefusalError, realm: str, scopes: tuple[str, ...], resource_metadata: str | None, problem_details: bool
) -> None:
    """Header-safe ASCII, at least one parameter and none twice, JSON for a body."""
    answer = challenge_for(
        error, realm=realm, scopes=scopes, resource_metadata=resource_metadata, problem_details=problem_details
    )
    assert answer.status in {400, 401, 403, 503}
    assert answer.reason is error.reason
    names = [name for name, _ in answer.headers]
    assert len(set(names)) == len(names)
    for name, value in answer.headers:
        assert re.fullmatch(r"[A-Za-z-]+", name)
        assert re.fullmatch(r"[\x20-\x7E]+", value)
    assert set(json.loads(answer.body)) <= (PROBLEM_MEMBERS if problem_details else {"error", "error_description"})
    challenge = dict(answer.headers).get("WWW-Authenticate")
    assert (challenge is None) is (answer.status == 503 or isinstance(error, RequirementNotMetError))
    if challenge is not None:
        parameters = dict(parameters_of(challenge))
        assert parameters["realm"] == realm
        assert len(parameters) == len(parameters_of(challenge))
        assert set(parameters) <= PARAMETERS
        assert parameters.get("resource_metadata") == resource_metadata
        assert ("error" in parameters) is not isinstance(error, MissingTokenError)


@settings(deadline=None, derandomize=True)
@given(st.text(), st.text())
def test_what_an_error_says_changes_nothing_on_the_wire(message: str, claim: str) -> None:
    """Two errors of one class have one answer, whatever is in them: it is no oracle and no mirror."""
    plain = challenge_for(InvalidClaimError("aud", "mismatch", Reason.WRONG_AUDIENCE, "not ours"))
    other = challenge_for(InvalidClaimError(claim, "missing", Reason.WRONG_AUDIENCE, message))
    assert other == plain


@pytest.mark.parametrize(
    "options, setting",
    [
        pytest.param({"realm": 'a"b'}, "realm", id="a quote in the realm"),
        pytest.param({"scopes": ["a\\b"]}, "scope", id="a backslash in a scope"),
        pytest.param({"resource_metadata": "https://x/\r\nA: b"}, "resource_metadata", id="a line break in a URL"),
    ],
)
def test_value_that_cannot_be_quoted_is_refused_by_its_name(options: dict[str, Any], setting: str) -> None:
    """Nothing is escaped, and nothing is dropped: whoever configured it is told what."""
    with pytest.raises(ConfigurationError) as caught:
        challenge_for(MissingTokenError(), **options)
    assert caught.value.setting == setting
