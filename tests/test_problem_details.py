"""Problem details: the same refusal in the words of RFC 9457, for whoever asks for them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import pytest
from adapters import Guarded, bearer
from hypothesis import given, settings
from hypothesis import strategies as st

from cognito_guard import Challenge, Reason, RefusalError, Requires, challenge_for
from cognito_guard.errors import (
    ExpiredTokenError,
    InsufficientScopeError,
    InvalidRequestError,
    MissingTokenError,
    RequirementNotMetError,
    StepUpRequiredError,
    UnavailableError,
    UnknownKeyError,
)
from cognito_guard.testing import FakeUserPool

PROBLEM_JSON = "application/problem+json"
URL = "https://api.example.com/.well-known/oauth-protected-resource"
GET = "transactions/get"
POST = "transactions/post"

MISSING = MissingTokenError()
SEVERAL = InvalidRequestError(Reason.SEVERAL_METHODS, "several")
UNKNOWN_KEY = UnknownKeyError()
EXPIRED = ExpiredTokenError("exp", "mismatch", Reason.EXPIRED, "expired")
STALE = StepUpRequiredError(Reason.STALE_AUTHENTICATION, max_age=300, acr_values=("mfa",))
NO_SCOPE = InsufficientScopeError((GET,))
NO_GROUP = RequirementNotMetError(Reason.GROUP_REQUIRED, "no")
UNAVAILABLE = UnavailableError(2.5)

PROBLEMS: list[tuple[RefusalError, dict[str, object]]] = [
    (MISSING, {"title": "Unauthorized", "status": 401, "detail": "Authentication is required"}),
    (
        SEVERAL,
        {
            "title": "Bad Request",
            "status": 400,
            "detail": "Exactly one bearer token is expected",
            "error": "invalid_request",
        },
    ),
    (
        UNKNOWN_KEY,
        {"title": "Unauthorized", "status": 401, "detail": "The token is not valid here", "error": "invalid_token"},
    ),
    (
        EXPIRED,
        {"title": "Unauthorized", "status": 401, "detail": "The token has expired", "error": "invalid_token"},
    ),
    (
        STALE,
        {
            "title": "Unauthorized",
            "status": 401,
            "detail": "A more recent or stronger authentication is required",
            "error": "insufficient_user_authentication",
        },
    ),
    (
        NO_SCOPE,
        {
            "title": "Forbidden",
            "status": 403,
            "detail": "The token lacks a scope that is required",
            "error": "insufficient_scope",
            "required_scopes": [GET],
        },
    ),
    (
        NO_GROUP,
        {
            "title": "Forbidden",
            "status": 403,
            "detail": "The caller is not allowed to do this",
            "error": "access_denied",
        },
    ),
    (
        UNAVAILABLE,
        {
            "title": "Service Unavailable",
            "status": 503,
            "detail": "The token cannot be checked at the moment",
            "error": "temporarily_unavailable",
        },
    ),
]
ERRORS = [pytest.param(error, id=type(error).__name__) for error, _ in PROBLEMS]


def problem(error: RefusalError, *, scopes: Iterable[str] = ()) -> Challenge:
    """Answer with problem details."""
    return challenge_for(error, scopes=scopes, problem_details=True)


@pytest.mark.parametrize("error, body", [pytest.param(*row, id=type(row[0]).__name__) for row in PROBLEMS])
def test_refusal_is_worded_as_problem_details(error: RefusalError, body: dict[str, object]) -> None:
    """`title` is the status in words and `detail` what went wrong; `type` is left out, and so "about:blank"."""
    challenge = problem(error)
    assert json.loads(challenge.body) == body
    assert dict(challenge.headers)["Content-Type"] == PROBLEM_JSON


@pytest.mark.parametrize("error", ERRORS)
def test_all_but_the_body_is_the_same(error: RefusalError) -> None:
    """Status, reason and every header but the media type are those of the answer without problem details."""
    plain = challenge_for(error, scopes=[GET], resource_metadata=URL)
    worded = challenge_for(error, scopes=[GET], resource_metadata=URL, problem_details=True)
    assert (worded.status, worded.reason) == (plain.status, plain.reason)
    assert plain.headers[0] == ("Content-Type", "application/json")
    assert worded.headers[0] == ("Content-Type", PROBLEM_JSON)
    assert worded.headers[1:] == plain.headers[1:]


@pytest.mark.parametrize("error", ERRORS)
def test_status_in_the_body_is_the_status_of_the_response(error: RefusalError) -> None:
    """RFC 9457 §3.1.2; the title is its phrase, as "about:blank" wants (§4.2.1)."""
    challenge = problem(error)
    body = json.loads(challenge.body)
    assert body["status"] == challenge.status
    assert body["title"] == HTTPStatus(challenge.status).phrase


def test_required_scopes_are_all_that_the_operation_needs() -> None:
    """The body says what the challenge says, as a list, each scope once and in the same order."""
    challenge = problem(InsufficientScopeError((GET, POST)), scopes=[POST, "transactions/use"])
    assert json.loads(challenge.body)["required_scopes"] == [POST, "transactions/use", GET]
    assert 'scope="transactions/post transactions/use transactions/get"' in dict(challenge.headers)["WWW-Authenticate"]


@pytest.mark.parametrize(
    "error", [pytest.param(error, id=type(error).__name__) for error, _ in PROBLEMS if error is not NO_SCOPE]
)
def test_scopes_stand_in_the_body_only_where_they_are_what_is_missing(error: RefusalError) -> None:
    """Elsewhere they belong to the challenge alone."""
    assert "required_scopes" not in json.loads(problem(error, scopes=[GET]).body)


@settings(deadline=None, derandomize=True)
@given(text=st.text(min_size=1, max_size=40))
def test_nothing_but_our_words_and_configured_scopes_is_in_the_body(text: str) -> None:
    """What an error says for developers stays with them."""
    errors = [
        InvalidRequestError(Reason.MALFORMED_HEADER, text),
        RequirementNotMetError(Reason.PREDICATE_REFUSED, text),
        ExpiredTokenError(text, "mismatch", Reason.EXPIRED, text),
    ]
    expected = [SEVERAL, NO_GROUP, EXPIRED]
    assert [problem(error).body for error in errors] == [problem(error).body for error in expected]


@pytest.mark.parametrize(
    "token, options, status",
    [
        pytest.param(None, {}, 401, id="no token"),
        pytest.param("a b", {}, 400, id="two tokens"),
        pytest.param("junk", {}, 401, id="a bad token"),
        pytest.param("TOKEN", {"requirement": Requires(scopes=GET)}, 403, id="no scope"),
        pytest.param("TOKEN", {"requirement": Requires(groups="staff")}, 403, id="no group"),
    ],
)
def test_middleware_answers_with_problem_details_where_asked_to(
    pool: FakeUserPool, token: str | None, options: dict[str, Any], status: int
) -> None:
    """One option of the guard, for each of its refusals."""
    guarded = Guarded(pool, problem_details=True, **options)
    headers = [] if token is None else [bearer(token.replace("TOKEN", pool.access_token()))]
    reply = guarded.ask("/", *headers)
    given = dict(reply.headers)
    assert (reply.status, given[b"content-type"]) == (status, PROBLEM_JSON.encode())
    assert json.loads(reply.body)["status"] == status
    assert given[b"content-length"] == b"%d" % len(reply.body)
    assert given[b"cache-control"] == b"no-store"
    assert not guarded.probe.was_reached


# The metadata's URL in challenges


@pytest.mark.parametrize(
    "error, challenge",
    [
        pytest.param(MISSING, 'Bearer realm="api", scope="a b", resource_metadata="{}"', id="no token"),
        pytest.param(
            SEVERAL,
            'Bearer realm="api", error="invalid_request", error_description="Exactly one bearer token is expected", '
            'resource_metadata="{}"',
            id="several tokens",
        ),
        pytest.param(
            UNKNOWN_KEY,
            'Bearer realm="api", error="invalid_token", error_description="The token is not valid here", scope="a b", '
            'resource_metadata="{}"',
            id="a bad token",
        ),
        pytest.param(
            EXPIRED,
            'Bearer realm="api", error="invalid_token", error_description="The token has expired", scope="a b", '
            'resource_metadata="{}"',
            id="an expired token",
        ),
        pytest.param(
            STALE,
            'Bearer realm="api", error="insufficient_user_authentication", '
            'error_description="A more recent or stronger authentication is required", max_age="300", '
            'acr_values="mfa", resource_metadata="{}"',
            id="step-up",
        ),
        pytest.param(
            NO_SCOPE,
            'Bearer realm="api", error="insufficient_scope", '
            'error_description="The token lacks a scope that is required", scope="a b transactions/get", '
            'resource_metadata="{}"',
            id="no scope",
        ),
    ],
)
def test_challenge_ends_with_where_the_metadata_is(error: RefusalError, challenge: str) -> None:
    """RFC 9728 §5.1, in every challenge there is."""
    answer = challenge_for(error, realm="api", scopes=["a", "b"], resource_metadata=URL)
    assert dict(answer.headers)["WWW-Authenticate"] == challenge.format(URL)


@pytest.mark.parametrize("error", [NO_GROUP, UNAVAILABLE])
def test_refusal_without_a_challenge_gets_none_for_the_metadata(error: RefusalError) -> None:
    """A URL is no reason to make one."""
    answer = challenge_for(error, resource_metadata=URL)
    assert "WWW-Authenticate" not in dict(answer.headers)
    assert URL not in answer.body.decode()


@pytest.mark.parametrize("error", ERRORS)
def test_without_metadata_nothing_is_named(error: RefusalError) -> None:
    """No empty parameter."""
    assert "resource_metadata" not in repr(challenge_for(error))
