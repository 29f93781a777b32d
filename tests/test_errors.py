"""The words of refusal: one drawn tree, stable reasons, picklable, and never a piece of what an attacker wrote."""

from __future__ import annotations

import ast
import copy
import json
import logging
import pickle
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from cognito_guard import Requires, errors
from cognito_guard.challenge import challenge_for
from cognito_guard.errors import (
    AuthenticationError,
    AuthorizationError,
    CognitoGuardError,
    ConfigurationError,
    ExpiredTokenError,
    ImmatureTokenError,
    InsufficientScopeError,
    InvalidClaimError,
    InvalidRequestError,
    InvalidSignatureError,
    InvalidTokenError,
    MalformedTokenError,
    MissingTokenError,
    Reason,
    RefusalError,
    RequirementNotMetError,
    StepUpRequiredError,
    UnavailableError,
    UnknownKeyError,
    UnsupportedAlgorithmError,
    malformed_claim,
    missing_claim,
    wrong_issuer,
)
from cognito_guard.keys.fetch import FetchError
from cognito_guard.keys.keyset import InvalidKeySetError
from cognito_guard.testing import ABSENT, FakeUserPool
from cognito_guard.testing.keys import SigningKey, base64url

PACKAGE = Path(errors.__file__).parent

REFUSALS: list[RefusalError] = [
    MissingTokenError(),
    InvalidRequestError(Reason.REPEATED_HEADER, "twice"),
    MalformedTokenError("broken"),
    MalformedTokenError("too long", Reason.OVERSIZED_TOKEN),
    UnsupportedAlgorithmError(),
    UnknownKeyError(),
    InvalidSignatureError(),
    InvalidClaimError("aud", "mismatch", Reason.WRONG_AUDIENCE, "not ours"),
    ExpiredTokenError("exp", "mismatch", Reason.EXPIRED, "over"),
    ImmatureTokenError("nbf", "mismatch", Reason.NOT_YET_VALID, "not yet"),
    StepUpRequiredError(Reason.STALE_AUTHENTICATION, max_age=300.5, acr_values=("gold", "silver")),
    InsufficientScopeError(("api/read", "api/write")),
    RequirementNotMetError(Reason.GROUP_REQUIRED, "not in the group"),
    UnavailableError(1.5),
]
ERRORS: list[CognitoGuardError] = [
    *REFUSALS,
    ConfigurationError("leeway", "expected seconds"),
    FetchError("no answer", retry_after=3.0, refused=True),
    InvalidKeySetError("no key"),
]


def drawn_tree() -> dict[str, str]:
    """Read the tree of the module's docstring: each class and the one above it."""
    above: dict[int, str] = {}
    parents: dict[str, str] = {}
    for match in re.finditer(r"^([│├└─ ]*)((?:\w+Error(?: \(also \w+\))?[ ]*)+)", errors.__doc__ or "", re.MULTILINE):
        depth = len(match[1])
        for name in re.findall(r"(\w+Error)(?! *\))", match[2]):
            parents[name] = above.get(depth - 3, "Exception")
            above[depth] = name
    return parents


def test_tree_is_the_one_that_the_module_draws() -> None:
    """Every class stands in the drawing, below the class that it is derived from."""
    actual = {
        name: cls.__mro__[1].__name__
        for name, cls in vars(errors).items()
        if isinstance(cls, type) and issubclass(cls, Exception)
    }
    assert drawn_tree() == actual


def test_configuration_error_is_a_value_error_and_no_refusal() -> None:
    """A mistake in the configuration must never become an answer to a request."""
    error = ConfigurationError("leeway", "expected seconds")
    assert isinstance(error, ValueError)
    assert not isinstance(error, RefusalError)
    assert (error.setting, error.problem, str(error)) == ("leeway", "expected seconds", "leeway: expected seconds")


@pytest.mark.parametrize("error", [pytest.param(error, id=type(error).__name__) for error in ERRORS])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_error_crosses_a_process_boundary_whole(error: CognitoGuardError, protocol: int) -> None:
    """Class, message and attributes survive pickling (Celery, multiprocessing)."""
    restored = pickle.loads(pickle.dumps(error, protocol))  # noqa: S301 - our own bytes
    assert type(restored) is type(error)
    assert (str(restored), restored.args, vars(restored)) == (str(error), error.args, vars(error))


@pytest.mark.parametrize("error", [pytest.param(error, id=type(error).__name__) for error in ERRORS])
def test_error_can_be_copied(error: CognitoGuardError) -> None:
    """A copy is another object that says the same."""
    for duplicate in (copy.copy(error), copy.deepcopy(error)):
        assert duplicate is not error
        assert type(duplicate) is type(error)
        assert (str(duplicate), vars(duplicate)) == (str(error), vars(error))


@pytest.mark.parametrize("error", [pytest.param(error, id=type(error).__name__) for error in REFUSALS])
def test_only_unavailability_is_worth_trying_again(error: RefusalError) -> None:
    """The same request, unchanged, can only succeed once the keys are back."""
    assert error.retryable is isinstance(error, UnavailableError)
    assert isinstance(error.reason, Reason)
    assert str(error)


def test_branches_tell_who_from_may_they() -> None:
    """Who could not be established (401), who may not (403) and nobody's fault (503) exclude each other."""
    branches = (AuthenticationError, AuthorizationError, UnavailableError)
    for error in REFUSALS:
        assert sum(isinstance(error, branch) for branch in branches) == 1
    for cls in (MalformedTokenError, UnsupportedAlgorithmError, UnknownKeyError, InvalidSignatureError):
        assert issubclass(cls, InvalidTokenError)


def test_attributes_tell_what_the_message_does_not() -> None:
    """Data goes into attributes, and they keep what they were given."""
    step_up = StepUpRequiredError(Reason.WEAK_AUTHENTICATION, max_age=None, acr_values=("gold",))
    assert (step_up.reason, step_up.max_age, step_up.acr_values) == (Reason.WEAK_AUTHENTICATION, None, ("gold",))
    scope = InsufficientScopeError(("api/read",))
    assert (scope.reason, scope.required) == (Reason.INSUFFICIENT_SCOPE, ("api/read",))
    assert UnavailableError(2.5).retry_after == 2.5
    assert UnavailableError(2.5).reason is Reason.KEYS_UNAVAILABLE
    claim = InvalidClaimError("aud", "mismatch", Reason.WRONG_AUDIENCE, "not ours")
    assert (claim.claim, claim.problem, claim.reason) == ("aud", "mismatch", Reason.WRONG_AUDIENCE)


def test_missing_and_malformed_claims_are_told_apart() -> None:
    """The two helpers name the claim, the problem and the reason."""
    missing, malformed = missing_claim("sub"), malformed_claim("exp")
    assert (missing.claim, missing.problem, missing.reason) == ("sub", "missing", Reason.MISSING_CLAIM)
    assert (malformed.claim, malformed.problem, malformed.reason) == ("exp", "malformed", Reason.MALFORMED_CLAIM)
    assert type(missing) is type(malformed) is InvalidClaimError


def test_words_fit_every_kind_of_token() -> None:
    """User pools, identity pools and load balancers share them, each with an algorithm and an issuer of its own."""
    for error in (*REFUSALS, missing_claim("exp"), malformed_claim("exp"), wrong_issuer()):
        assert not re.search(r"[REH]S\d{3}|pool|balancer|Cognito", str(error))


def test_each_reason_is_documented() -> None:
    """A sentence follows each member: the list is what operators build alerts on."""
    tree = ast.parse((PACKAGE / "errors.py").read_text())
    body = next(node.body for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == "Reason")
    documented = {
        member.targets[0].id
        for member, sentence in pairwise(body)
        if isinstance(member, ast.Assign)
        and isinstance(member.targets[0], ast.Name)
        and isinstance(sentence, ast.Expr)
        and isinstance(sentence.value, ast.Constant)
    }
    assert documented == set(Reason.__members__)


def test_each_reason_is_given_somewhere() -> None:
    """A reason that nothing gives would be a promise that nobody keeps."""
    given = {
        node.attr
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Reason"
    }
    assert given == set(Reason.__members__)


# An attacker's words.  No piece of them may come back.
CANARY = "k4n4rieng3z1p"
HOSTILE_HEADERS: list[dict[str, Any]] = [
    {"alg": CANARY},
    {"alg": [CANARY]},
    {"crit": [CANARY], CANARY: True},
    {"typ": CANARY},
    {"typ": {CANARY: CANARY}},
    {"cty": CANARY},
    {"kid": CANARY},
    {"kid": f"{CANARY}\r\nSet-Cookie: {CANARY}"},
    {"kid": CANARY * 100},
    {"kid": [CANARY]},
    {"jku": f"https://{CANARY}.example"},
]
HOSTILE_CLAIMS: list[dict[str, Any]] = [
    *({name: CANARY} for name in ("iss", "exp", "iat", "nbf", "auth_time", "token_use", "client_id", "aud", "cnf")),
    *({name: CANARY} for name in ("cognito:groups", "amr", "act")),
    *({name: [CANARY]} for name in ("iss", "sub", "scope", "username", "jti", "origin_jti", "acr", "client_id")),
    *({name: {CANARY: [CANARY]}} for name in ("iss", "exp", "aud", "cognito:groups", "token_use", "cnf")),
    {"cognito:groups": [CANARY, {CANARY: CANARY}]},
    {"sub": CANARY, "exp": 1},
    {"sub": CANARY, "iat": 4_000_000_000},
    {"sub": CANARY, "nbf": 4_000_000_000},
    {"aud": [f"https://{CANARY}.example", CANARY]},
]


def hostile_tokens(pool: FakeUserPool) -> Iterator[str]:
    """Make tokens that are refused at every step there is, each full of the attacker's words."""
    header, claims, signature = pool.access_token(sub=CANARY).split(".")
    ours = least_claims(pool)
    yield from (pool.access_token(header=parameters, username=CANARY) for parameters in HOSTILE_HEADERS)
    for changes in HOSTILE_CLAIMS:
        yield pool.sign({"alg": "RS256", "kid": pool.access_key.kid}, ours | changes)
    for name in ours:
        yield pool.sign({"alg": "RS256", "kid": pool.access_key.kid}, {**ours, name: None, "username": CANARY})
    yield pool.access_token(username=CANARY, client_id=ABSENT)
    yield pool.id_token(email=CANARY)
    yield pool.refresh_token()
    yield pool.access_token(sub=CANARY, key=SigningKey.draw())
    yield f"{header}.{claims}.{base64url(bytes(256))}"
    yield f"{header}.{claims}.{signature}="
    yield f"{header}.{base64url(json.dumps([CANARY]).encode())}.{signature}"
    yield f"{header}.{base64url(b'{' + CANARY.encode() + b'}')}.{signature}"
    yield f"{header}.{base64url(CANARY.encode() + bytes([0xFF]) * 20)}.{signature}"
    yield f"{header}.{base64url(json.dumps({CANARY: CANARY}).encode()[:-1] + b',' + b'1' * 9000)}.{signature}"
    yield from (CANARY, f"{CANARY}.{CANARY}", f"{CANARY}." * 4, CANARY * 2000, f"{CANARY}\ud800{CANARY}", f"ä{CANARY}")


def least_claims(pool: FakeUserPool) -> dict[str, Any]:
    """Return the least claims of an acceptable access token."""
    now = int(pool.clock())
    return {
        "iss": pool.issuer,
        "sub": CANARY,
        "token_use": "access",
        "client_id": pool.client_id,
        "iat": now,
        "exp": now + 60,
    }


def told(error: BaseException | None) -> Iterator[str]:
    """Yield all that an error and those behind it say, however they are printed."""
    while error is not None:
        yield from (str(error), repr(error), repr(vars(error)), repr(error.args))
        error = error.__cause__ or error.__context__


def assert_silent(texts: Iterator[str] | list[str], *secrets: str) -> None:
    """Fail where a text holds eight consecutive characters of a secret."""
    said = "\n".join(texts)
    pieces = {secret[start : start + 8] for secret in secrets for start in range(max(1, len(secret) - 7))}
    assert [piece for piece in pieces if piece in said] == []


def test_refusal_of_a_hostile_token_repeats_none_of_it(
    call: Callable[..., Any], pool: FakeUserPool, caplog: pytest.LogCaptureFixture
) -> None:
    """No message, repr, attribute, cause, log line, header or body holds a piece of the token or of what is in it."""
    caplog.set_level(logging.DEBUG)
    verifier = pool.verifier()
    refused: set[Reason] = set()
    for token in hostile_tokens(pool):
        try:
            call(verifier, "verify", token)
        except RefusalError as error:
            answer = challenge_for(error, realm="api", scopes=["api/read"])
            wire = [answer.body.decode(), *(value for header in answer.headers for value in header)]
            logged = [repr(vars(record)) for record in caplog.records if record.name.startswith("cognito_guard")]
            assert_silent([*told(error), *wire, *logged], token, CANARY)
            refused.add(error.reason)
    # The list above must go on to reach every step.
    assert refused == {
        Reason.MALFORMED_TOKEN,
        Reason.OVERSIZED_TOKEN,
        Reason.ENCRYPTED_TOKEN,
        Reason.UNSUPPORTED_ALGORITHM,
        Reason.UNSUPPORTED_HEADER,
        Reason.UNKNOWN_KEY,
        Reason.INVALID_SIGNATURE,
        Reason.MISSING_CLAIM,
        Reason.MALFORMED_CLAIM,
        Reason.WRONG_ISSUER,
        Reason.WRONG_TOKEN_USE,
        Reason.WRONG_CLIENT,
        Reason.WRONG_AUDIENCE,
        Reason.SENDER_CONSTRAINED,
        Reason.EXPIRED,
        Reason.NOT_YET_VALID,
        Reason.ISSUED_IN_FUTURE,
    }


@pytest.mark.parametrize(
    "requirement",
    [
        pytest.param(Requires(scopes="api/read"), id="a scope"),
        pytest.param(Requires(groups="staff"), id="a group"),
        pytest.param(Requires(client_id="another"), id="another client"),
        pytest.param(Requires(actor="agent"), id="an actor"),
        pytest.param(Requires(claims={"tenant": "blue"}), id="a claim"),
        pytest.param(Requires(predicate=lambda _: False), id="a predicate"),
        pytest.param(Requires(acr="gold"), id="a strong authentication"),
        pytest.param(Requires(max_age=1), id="a recent authentication"),
        pytest.param(~Requires(), id="nobody"),
    ],
)
def test_refusal_of_a_caller_repeats_nothing_of_theirs(pool: FakeUserPool, requirement: Requires) -> None:
    """A refused caller's name, groups, scopes and claims stay out of the error and out of its answer."""
    verifier = pool.verifier()
    token = pool.access_token(
        sub=CANARY,
        username=CANARY,
        scopes=[CANARY],
        groups=[CANARY],
        auth_time=1,
        acr=CANARY,
        act={"sub": CANARY},
        tenant=CANARY,
    )
    with pytest.raises(RefusalError) as caught:
        verifier.authorize(verifier.verify(token), requirement)
    answer = challenge_for(caught.value)
    assert_silent([*told(caught.value), repr(answer)], token, CANARY)
