"""Single claims: the exact JSON type of each that is used, and times to the edge."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cognito_guard.errors import ExpiredTokenError, ImmatureTokenError, InvalidClaimError, Reason
from cognito_guard.tokens.claims import check_times, check_types, issuer_of, surely_in_time
from cognito_guard.tokens.jws import UnverifiedToken, is_array

NOW = 1_700_000_000
REQUIRED = ("iss", "sub", "token_use", "exp", "iat")
KINDS: dict[str, str] = {
    **dict.fromkeys(("iss", "sub", "token_use", "client_id", "scope", "username", "cognito:username"), "string"),
    **dict.fromkeys(("jti", "origin_jti", "acr"), "string"),
    **dict.fromkeys(("exp", "iat", "nbf", "auth_time"), "integer"),
    **dict.fromkeys(("cognito:groups", "amr"), "array"),
    "act": "object",
}
EXAMPLES: dict[str, Any] = {
    "string": "text",
    "integer": NOW,
    "fraction": NOW + 0.5,
    "whole float": float(NOW),
    "boolean": True,
    "null": None,
    "array": ["text"],
    "object": {"sub": "text"},
}
BEYOND = 2**53 + 1


def claims(**changes: Any) -> dict[str, Any]:
    """Return the claims that every token has, changed."""
    return {"iss": "issuer", "sub": "jane", "token_use": "access", "exp": NOW + 60, "iat": NOW, **changes}


def outcome(given_claims: Mapping[str, Any]) -> tuple[str, str, Reason] | None:
    """Return which claim is refused and how, or None where all are well typed."""
    try:
        check_types(given_claims)
    except InvalidClaimError as error:
        assert type(error) is InvalidClaimError  # noqa: PT017 - a sub-class would speak of times
        return error.claim, error.problem, error.reason
    return None


def unverified(given_claims: dict[str, Any]) -> UnverifiedToken:
    """Return a parsed token with these claims."""
    return UnverifiedToken(header_segment=b"", kid="key", claims=given_claims, signing_input=b"", signature=b"")


def test_claimed_issuer_is_returned_as_it_stands() -> None:
    """Whose keys are asked for hangs on it: no other claim is looked at, and whether it is known is not judged here."""
    assert issuer_of(unverified({"iss": "issuer"})) == "issuer"
    assert issuer_of(unverified({"iss": ""})) == ""


@pytest.mark.parametrize(
    "changes, problem, reason",
    [
        pytest.param({}, "missing", Reason.MISSING_CLAIM, id="no issuer"),
        pytest.param({"ISS": "issuer"}, "missing", Reason.MISSING_CLAIM, id="a name in capitals"),
        *(
            pytest.param({"iss": value}, "malformed", Reason.MALFORMED_CLAIM, id=kind)
            for kind, value in EXAMPLES.items()
            if kind != "string"
        ),
    ],
)
def test_issuer_that_is_no_text_is_named(changes: dict[str, Any], problem: str, reason: Reason) -> None:
    """Missing and malformed are told apart, and null is there."""
    with pytest.raises(InvalidClaimError) as caught:
        issuer_of(unverified(changes))
    assert type(caught.value) is InvalidClaimError
    assert (caught.value.claim, caught.value.problem, caught.value.reason) == ("iss", problem, reason)


@pytest.mark.parametrize("name", REQUIRED)
def test_required_claim_that_is_missing_is_named(name: str) -> None:
    """Every Cognito token has these five."""
    present = claims()
    del present[name]
    assert outcome(present) == (name, "missing", Reason.MISSING_CLAIM)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("kind", EXAMPLES)
def test_claim_has_exactly_its_documented_type(name: str, kind: str) -> None:
    """No coercion: a number in a string, a float or `true` is no time, null is not absence, one name is no list."""
    expected = None if kind == KINDS[name] else (name, "malformed", Reason.MALFORMED_CLAIM)
    assert outcome(claims(**{name: EXAMPLES[kind]})) == expected


@pytest.mark.parametrize("name", ["exp", "iat", "nbf", "auth_time"])
@pytest.mark.parametrize(
    "value, well_formed",
    [
        pytest.param(0, True, id="the epoch"),
        pytest.param(2**53, True, id="the last exact number"),
        pytest.param(-1, False, id="before the epoch"),
        pytest.param(BEYOND, False, id="beyond the last exact number"),
        pytest.param(10**400, False, id="beyond any float"),
        pytest.param(-(10**400), False, id="beyond any float, the other way"),
        pytest.param(False, False, id="false"),
        pytest.param(math.inf, False, id="1e999"),
        pytest.param(str(NOW), False, id="a number in a string"),
    ],
)
def test_time_is_an_integer_within_exact_numbers(name: str, value: Any, well_formed: bool) -> None:
    """What a float can't hold would overflow in the arithmetic to come."""
    expected = None if well_formed else (name, "malformed", Reason.MALFORMED_CLAIM)
    assert outcome(claims(**{name: value})) == expected


@pytest.mark.parametrize("name", ["cognito:groups", "amr"])
@pytest.mark.parametrize(
    "value, well_formed",
    [
        pytest.param([], True, id="none"),
        pytest.param(["a", "", "a,b", "ü"], True, id="any strings"),
        pytest.param([1], False, id="a number"),
        pytest.param(["a", None], False, id="null behind a string"),
        pytest.param([["a"]], False, id="a list in the list"),
        pytest.param([{"a": 1}], False, id="an object in the list"),
        pytest.param([True], False, id="true"),
    ],
)
def test_list_holds_strings_alone(name: str, value: list[Any], well_formed: bool) -> None:
    """A set of groups or methods can be made of it, and compared."""
    expected = None if well_formed else (name, "malformed", Reason.MALFORMED_CLAIM)
    assert outcome(claims(**{name: value})) == expected


def test_empty_subject_is_malformed() -> None:
    """A subject that names nobody would make everybody the same."""
    assert outcome(claims(sub="")) == ("sub", "malformed", Reason.MALFORMED_CLAIM)


def test_unknown_claim_of_any_type_is_no_reason_to_refuse() -> None:
    """Cognito adds claims without notice, and a pool's triggers add any."""
    for value in EXAMPLES.values():
        assert outcome(claims(**{"custom:tenant": value, "version": value, "EXP": value})) is None


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 3) | st.just(BEYOND) | st.floats() | st.sampled_from(["", "a"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=3,
)


def is_well_typed(name: str, value: Any) -> bool:
    """Judge one claim by the tables above."""
    kind = KINDS.get(name)
    if kind == "integer":
        return type(value) is int and 0 <= value <= 2**53
    if kind == "array":
        return is_array(value) and {type(item) for item in value} <= {str}
    types: dict[str | None, type] = {"string": str, "object": dict, None: object}
    return isinstance(value, types[kind]) and not (name == "sub" and value == "")


@settings(deadline=None, derandomize=True, max_examples=300)
@given(
    st.dictionaries(st.sampled_from([*KINDS, "custom:tenant"]), ANY_JSON, max_size=4),
    st.sets(st.sampled_from(REQUIRED), max_size=1),
)
def test_any_claims_are_judged_one_by_one(changes: dict[str, Any], absent: set[str]) -> None:
    """However many are there at once: refused where one is missing or wrong, and the one that is named is wrong."""
    present = {name: value for name, value in claims(**changes).items() if name not in absent}
    refused = outcome(present)
    if refused is None:
        assert not absent
        assert all(is_well_typed(name, value) for name, value in present.items())
    elif refused[1] == "missing":
        assert refused[0] in absent
    else:
        assert not is_well_typed(refused[0], present[refused[0]])


EXPIRED = (ExpiredTokenError, "exp", Reason.EXPIRED)
NOT_YET = (ImmatureTokenError, "nbf", Reason.NOT_YET_VALID)
FUTURE = (ImmatureTokenError, "iat", Reason.ISSUED_IN_FUTURE)
TOO_OLD = (ExpiredTokenError, "iat", Reason.TOO_OLD)
TOO_LONG = (InvalidClaimError, "exp", Reason.LIFETIME_TOO_LONG)


@pytest.mark.parametrize(
    "changes, now, bounds, expected",
    [
        pytest.param({"exp": NOW + 1}, NOW, {}, None, id="a second before the end"),
        pytest.param({"exp": NOW}, NOW, {}, EXPIRED, id="on the end itself"),
        pytest.param({"exp": NOW, "iat": 0}, NOW - 0.001, {}, None, id="a moment before the end"),
        pytest.param({"exp": NOW}, NOW + 9.999, {"leeway": 10}, None, id="a moment before the end and the leeway"),
        pytest.param({"exp": NOW}, NOW + 10, {"leeway": 10}, EXPIRED, id="on the end and the leeway"),
        pytest.param({"exp": 0, "iat": 0}, NOW, {"leeway": 300}, EXPIRED, id="at the epoch"),
        pytest.param({"nbf": NOW}, NOW, {}, None, id="at the beginning"),
        pytest.param({"nbf": NOW}, NOW - 0.001, {}, NOT_YET, id="a moment before the beginning"),
        pytest.param({"nbf": NOW + 10}, NOW, {"leeway": 10}, None, id="the leeway before the beginning"),
        pytest.param({"nbf": NOW + 10}, NOW - 0.001, {"leeway": 10}, NOT_YET, id="more than it before the beginning"),
        pytest.param({"nbf": 0}, NOW, {}, None, id="a beginning at the epoch"),
        pytest.param({"iat": NOW}, NOW, {}, None, id="issued now"),
        pytest.param({"iat": NOW}, NOW - 0.001, {}, FUTURE, id="issued in a moment"),
        pytest.param({"iat": NOW + 10}, NOW, {"leeway": 10}, None, id="issued ahead by the leeway"),
        pytest.param({"iat": NOW + 10}, NOW - 0.001, {"leeway": 10}, FUTURE, id="issued ahead by more than the leeway"),
        pytest.param({}, NOW + 30, {"max_token_age": 30}, None, id="as old as allowed"),
        pytest.param({}, NOW + 30.001, {"max_token_age": 30}, TOO_OLD, id="older than allowed"),
        pytest.param({}, NOW + 40, {"max_token_age": 30, "leeway": 10}, None, id="as old as allowed with the leeway"),
        pytest.param({}, NOW + 40.001, {"max_token_age": 30, "leeway": 10}, TOO_OLD, id="older than that"),
        pytest.param({}, NOW, {"max_token_age": 0}, None, id="no age allowed and none there"),
        pytest.param({}, NOW, {"max_token_lifetime": 60}, None, id="a life as long as allowed"),
        pytest.param({}, NOW, {"max_token_lifetime": 59}, TOO_LONG, id="a longer life"),
        pytest.param({"exp": NOW + 61}, NOW, {"max_token_lifetime": 60, "leeway": 300}, TOO_LONG, id="leeway or not"),
        pytest.param({"exp": 2**53}, NOW, {}, None, id="a life of ages, where no bound is set"),
        pytest.param({}, math.inf, {}, EXPIRED, id="a clock at the end of time"),
        pytest.param({}, -math.inf, {}, FUTURE, id="a clock before all time"),
    ],
)
def test_times_are_judged_to_the_edge(
    changes: dict[str, Any],
    now: float,
    bounds: dict[str, float],
    expected: tuple[type[InvalidClaimError], str, Reason] | None,
) -> None:
    """On `exp` a token is over (RFC 7519 §4.1.4), on `nbf` and `iat` it is good; the leeway moves each, no more."""
    options: dict[str, Any] = {"leeway": 0.0, **bounds}
    if expected is None:
        check_times(claims(**changes), now, **options)
        return
    with pytest.raises(InvalidClaimError) as caught:
        check_times(claims(**changes), now, **options)
    assert (type(caught.value), caught.value.claim, caught.value.reason) == expected
    assert caught.value.problem == "mismatch"


def test_clock_that_tells_no_time_accepts_nothing() -> None:
    """Every comparison with NaN is false: none of them may be the one that lets a token pass."""
    with pytest.raises(InvalidClaimError):
        check_times(claims(), math.nan, leeway=0)


USUAL: dict[str, Any] = {
    "client_id": "client",
    "scope": "openid",
    "username": "jane",
    "cognito:username": "jane",
    "cognito:groups": ["staff", "admins"],
    "jti": "token-id",
    "origin_jti": "sign-in-id",
    "auth_time": NOW - 5,
}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="required claims alone"),
        pytest.param(USUAL, id="all that Cognito issues"),
        pytest.param({**USUAL, "cognito:groups": [], "custom:x": {"a": [1]}}, id="a claim of a pool's trigger"),
        pytest.param({"exp": 0, "iat": 0, "auth_time": 0}, id="the first second of all"),
        pytest.param({"exp": 2**53, "iat": 2**53, "auth_time": 2**53}, id="the last second that is told exactly"),
    ],
)
def test_claims_as_cognito_issues_them_are_looked_at_once(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The walk from claim to claim takes twice as long: it is for the tokens that are refused, and for rare claims."""
    walked: list[Mapping[str, Any]] = []
    monkeypatch.setattr("cognito_guard.tokens.claims._walk", walked.append)
    check_types(claims(**changes))
    assert walked == []
    check_types(claims(**changes, acr="gold"))
    assert len(walked) == 1


@pytest.mark.parametrize(
    "changes, max_token_age, expected",
    [
        pytest.param({}, None, (NOW - 9, NOW + 69), id="iat and exp"),
        pytest.param({"nbf": NOW + 5}, None, (NOW - 4, NOW + 69), id="nbf behind iat"),
        pytest.param({"nbf": NOW - 5}, None, (NOW - 9, NOW + 69), id="nbf before iat"),
        pytest.param({}, 20.5, (NOW - 9, NOW + 29.5), id="a maximum age before exp"),
        pytest.param({}, 300.0, (NOW - 9, NOW + 69), id="a maximum age behind exp"),
        pytest.param({"iat": 0}, None, (-9, NOW + 69), id="the first second of all"),
    ],
)
def test_sure_times_are_one_second_within_the_judged_ones(
    changes: dict[str, Any], max_token_age: float | None, expected: tuple[float, float]
) -> None:
    """No narrower: between them a token that was seen before is not judged again."""
    assert surely_in_time(claims(**changes), 10, max_token_age) == expected
