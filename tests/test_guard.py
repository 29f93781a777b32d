"""Guard: one request's caller, the judge of it, and the answer where it may not."""

from __future__ import annotations

import copy
import logging
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from cognito_guard import (
    Challenge,
    CognitoVerifier,
    InsufficientScopeError,
    InvalidRequestError,
    MissingTokenError,
    Principal,
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
from cognito_guard.guard import Anonymous, Guard
from cognito_guard.testing import FakeClock, FakeUserPool

GET = Requires(scopes="transactions/get")


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
    assert (record.name, record.levelno, record.msg, record.args) == (
        "cognito_guard",
        logging.INFO,
        "request refused",
        (),
    )
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
