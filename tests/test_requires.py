"""Requirements: exact membership, a boolean algebra, and the one refusal that helps the client most."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cognito_guard import ConfigurationError, Principal, Requirement, Requires, ResourceServer, challenge_for
from cognito_guard.errors import InsufficientScopeError, Reason, RequirementNotMetError, StepUpRequiredError
from cognito_guard.requires import Refusal, RequiresOptions, all_of, with_scopes
from cognito_guard.testing import FakeUserPool

NOW = 1_700_000_000
STEP_UP = StepUpRequiredError
NOT_MET = RequirementNotMetError

Verdict: TypeAlias = tuple[type[Refusal], Reason] | None


def caller(*scopes: str, **claims: Any) -> Principal:
    """Return a principal with these scopes and further claims."""
    given_claims = {"sub": "jane", "token_use": "access", "client_id": "client", "scope": " ".join(scopes), **claims}
    return Principal(given_claims, user_pool_id="eu-west-1_Abc")


def refusal(requirement: Requirement, principal: Principal, granted: Iterable[str] | None = None) -> Refusal | None:
    """Return why the principal may not."""
    return requirement.refusal(principal, principal.scopes if granted is None else frozenset(granted), NOW)


def verdict(requirement: Requirement, principal: Principal) -> Verdict:
    """Return class and reason of the refusal, or None."""
    refused = refusal(requirement, principal)
    return None if refused is None else (type(refused), refused.reason)


def is_jane(principal: Principal) -> bool:
    """Judge as an application would."""
    return principal.subject == "jane"


NO_SCOPE = (InsufficientScopeError, Reason.INSUFFICIENT_SCOPE)
NO_GROUP = (NOT_MET, Reason.GROUP_REQUIRED)
STALE = (STEP_UP, Reason.STALE_AUTHENTICATION)
WEAK = (STEP_UP, Reason.WEAK_AUTHENTICATION)
WRONG_CLIENT = (NOT_MET, Reason.CLIENT_NOT_ALLOWED)
WRONG_ACTOR = (NOT_MET, Reason.ACTOR_NOT_ALLOWED)
WRONG_CLAIM = (NOT_MET, Reason.CLAIM_MISMATCH)
BARRED = (NOT_MET, Reason.PREDICATE_REFUSED)


@pytest.mark.parametrize(
    "requirement, principal, expected",
    [
        pytest.param(Requires(), caller(), None, id="nothing demanded"),
        pytest.param(Requires(scopes="api/read"), caller("api/read"), None, id="a scope, granted"),
        pytest.param(Requires(scopes="api/read"), caller(), NO_SCOPE, id="a scope, none granted"),
        pytest.param(
            Requires(scopes="api/read"), caller("api/readwrite", "my-api/read"), NO_SCOPE, id="a part of a scope"
        ),
        pytest.param(Requires(scopes="api/read"), caller("API/read"), NO_SCOPE, id="a scope in another case"),
        pytest.param(Requires(scopes=["a", "b"]), caller("b", "c", "a"), None, id="two scopes, both granted"),
        pytest.param(Requires(scopes=["a", "b"]), caller("a"), NO_SCOPE, id="two scopes, one granted"),
        pytest.param(Requires(any_scopes=["a", "b"]), caller("b"), None, id="one of two scopes"),
        pytest.param(Requires(any_scopes=["a", "b"]), caller("c"), NO_SCOPE, id="none of two scopes"),
        pytest.param(
            Requires(scopes="a", any_scopes=["b", "c"]), caller("b", "c"), NO_SCOPE, id="the one without the other"
        ),
        pytest.param(Requires(scopes="a", any_scopes=["b", "c"]), caller("a", "c"), None, id="both kinds of scopes"),
        pytest.param(Requires(groups="staff"), caller(**{"cognito:groups": ["staff"]}), None, id="a group"),
        pytest.param(Requires(groups="staff"), caller(), NO_GROUP, id="a group, in none"),
        pytest.param(
            Requires(groups="staff"), caller(**{"cognito:groups": ["staff2"]}), NO_GROUP, id="a part of a group"
        ),
        pytest.param(
            Requires(groups=["a", "b"]), caller(**{"cognito:groups": ["a"]}), NO_GROUP, id="two groups, in one"
        ),
        pytest.param(
            Requires(groups=["a", "b"]), caller(**{"cognito:groups": ["b", "a"]}), None, id="two groups, in both"
        ),
        pytest.param(
            Requires(any_groups=["a", "b"]), caller(**{"cognito:groups": ["b"]}), None, id="one of two groups"
        ),
        pytest.param(
            Requires(any_groups=["a", "b"]), caller(**{"cognito:groups": ["c"]}), NO_GROUP, id="none of two groups"
        ),
        pytest.param(
            Requires(groups="a b, c"), caller(**{"cognito:groups": ["a b, c"]}), None, id="a group of odd characters"
        ),
        pytest.param(Requires(max_age=60), caller(auth_time=NOW - 60), None, id="as long ago as allowed"),
        pytest.param(Requires(max_age=60), caller(auth_time=NOW - 61), STALE, id="longer ago than allowed"),
        pytest.param(Requires(max_age=60), caller(), STALE, id="nobody knows how long ago"),
        pytest.param(Requires(max_age=0), caller(auth_time=NOW), None, id="right now"),
        pytest.param(Requires(max_age=60), caller(auth_time=NOW + 5), None, id="a little ahead of our clock"),
        pytest.param(Requires(acr=["gold", "silver"]), caller(acr="silver"), None, id="strong enough"),
        pytest.param(Requires(acr="gold"), caller(acr="silver"), WEAK, id="too weak"),
        pytest.param(Requires(acr="gold"), caller(), WEAK, id="nobody knows how strong"),
        pytest.param(Requires(client_id="client"), caller(), None, id="the client"),
        pytest.param(Requires(client_id=["another"]), caller(), WRONG_CLIENT, id="another client"),
        pytest.param(Requires(actor="agent"), caller(act={"sub": "agent"}), None, id="the actor"),
        pytest.param(Requires(actor="agent"), caller(act={"sub": "other"}), WRONG_ACTOR, id="another actor"),
        pytest.param(Requires(actor="agent"), caller(act={}), WRONG_ACTOR, id="an actor without a name"),
        pytest.param(Requires(actor="agent"), caller(), WRONG_ACTOR, id="no actor"),
        pytest.param(
            Requires(actor="agent"),
            caller(act={"sub": "x", "act": {"sub": "agent"}}),
            WRONG_ACTOR,
            id="an earlier actor",
        ),
        pytest.param(Requires(predicate=is_jane), caller(), None, id="a predicate that says yes"),
        pytest.param(Requires(predicate=is_jane), caller(sub="joe"), BARRED, id="a predicate that says no"),
    ],
)
def test_each_demand_is_met_or_refused_with_its_reason(
    requirement: Requires, principal: Principal, expected: Verdict
) -> None:
    """Scopes and groups are compared whole; what nobody knows is not met."""
    assert verdict(requirement, principal) == expected


@pytest.mark.parametrize(
    "claim, wanted, met",
    [
        pytest.param("blue", "blue", True, id="a string"),
        pytest.param("blue", "BLUE", False, id="another case"),
        pytest.param("blue2", "blue", False, id="a prefix"),
        pytest.param(5, 5, True, id="a number"),
        pytest.param(5, "5", False, id="a number for a string"),
        pytest.param("5", 5, False, id="a string for a number"),
        pytest.param(True, True, True, id="true"),
        pytest.param(1, True, False, id="one for true"),
        pytest.param(True, 1, False, id="true for one"),
        pytest.param(0, False, False, id="zero for false"),
        pytest.param(1.0, 1, False, id="a float for an integer"),
        pytest.param(None, None, True, id="null"),
        pytest.param("", None, False, id="nothing for null"),
        pytest.param(["a", "b"], ["a", "b"], True, id="a list"),
        pytest.param(["a", "b"], ("a", "b"), True, id="a list, wanted as a tuple"),
        pytest.param(["a", "b"], ["b", "a"], False, id="a list in another order"),
        pytest.param(["a", "b"], ["a"], False, id="a longer list"),
        pytest.param("a", ["a"], False, id="a string for a list"),
        pytest.param(["a"], "a", False, id="a list for a string"),
        pytest.param("city", {"city": "Rome"}, False, id="a string for an object"),
        pytest.param({"city": "Rome"}, "city", False, id="an object for a string"),
        pytest.param({"city": "Rome"}, ["city"], False, id="an object for a list"),
        pytest.param([True], [1], False, id="true for one in a list"),
        pytest.param([["a"], ["b"]], [["a"], ["b"]], True, id="lists in a list"),
        pytest.param({"city": "Rome"}, {"city": "Rome"}, True, id="an object"),
        pytest.param({"city": "Rome"}, {"city": "Bonn"}, False, id="another object"),
        pytest.param({"city": "Rome", "zip": "1"}, {"city": "Rome"}, False, id="an object with one more member"),
        pytest.param({"on": [1, {"a": True}]}, {"on": [1, {"a": True}]}, True, id="lists and objects within"),
        pytest.param({"on": [1, {"a": True}]}, {"on": [1, {"a": 1}]}, False, id="true for one deep within"),
    ],
)
def test_claim_has_exactly_the_wanted_value(claim: object, wanted: object, met: bool) -> None:
    """Value and JSON type, to the last leaf: true is not 1, and what is equal is met."""
    assert verdict(Requires(claims={"custom": wanted}), caller(custom=claim)) == (None if met else WRONG_CLAIM)


def test_several_claims_are_all_wanted() -> None:
    """One that is absent is not met, whatever was wanted."""
    requirement = Requires(claims={"a": 1, "b": None})
    assert verdict(requirement, caller(a=1, b=None)) is None
    assert verdict(requirement, caller(a=1)) == WRONG_CLAIM
    assert verdict(requirement, caller(b=None)) == WRONG_CLAIM


@pytest.mark.parametrize("answer", [False, None, 0, 1, "yes", [True], NotImplemented, object()])
def test_predicate_that_returns_anything_but_true_says_no(answer: Any) -> None:
    """A truthy object is no verdict: a forgotten call or await would be true for everybody."""
    assert verdict(Requires(predicate=lambda _: answer), caller()) == BARRED


def test_error_in_a_predicate_is_the_applications_own() -> None:
    """It is neither a pass nor a refusal: it propagates."""
    with pytest.raises(KeyError):
        verdict(Requires(predicate=lambda principal: bool(principal.claims["absent"])), caller())


def test_predicate_is_asked_only_where_the_rest_is_met() -> None:
    """It may look into a database: not for callers who may not anyway."""
    asked: list[Principal] = []

    def asking(principal: Principal) -> bool:
        asked.append(principal)
        return True

    assert verdict(Requires(groups="staff", predicate=asking), caller()) == NO_GROUP
    assert asked == []
    assert verdict(Requires(scopes="a", predicate=asking), caller("a")) is None
    assert asked == [caller("a")]


@pytest.mark.parametrize(
    "requirement, expected",
    [
        pytest.param(Requires(groups="g", scopes="s", acr="gold", max_age=1), NO_GROUP, id="the group first"),
        pytest.param(Requires(scopes="s", acr="gold", max_age=1), NO_SCOPE, id="then the scope"),
        pytest.param(Requires(acr="gold", max_age=1), WEAK, id="then the strength"),
        pytest.param(Requires(max_age=1), STALE, id="then the age"),
    ],
)
def test_what_no_other_token_would_mend_is_told_first(requirement: Requires, expected: Verdict) -> None:
    """A user sent through a login in vain would be sent there again and again."""
    assert verdict(requirement, caller(auth_time=0)) == expected


def test_scopes_are_judged_as_granted() -> None:
    """The verifier adds what a scope implies; the token's own scopes alone do not decide."""
    requirement = Requires(scopes="api/read")
    assert refusal(requirement, caller("api/admin"), granted={"api/admin", "api/read"}) is None
    assert isinstance(refusal(requirement, caller("api/read"), granted=()), InsufficientScopeError)


def test_step_up_tells_all_that_is_demanded() -> None:
    """Age and class in one challenge, whichever of them failed (RFC 9470)."""
    refused = refusal(Requires(max_age=60, acr=["gold", "silver"]), caller(acr="gold", auth_time=0))
    assert isinstance(refused, STEP_UP)
    assert (refused.max_age, refused.acr_values) == (60, ("gold", "silver"))


def test_insufficient_scope_tells_all_that_is_needed() -> None:
    """Not only what is missing: a client asks once."""
    refused = refusal(Requires(scopes=["a", "b"], any_scopes=["c", "d"]), caller("a"))
    assert isinstance(refused, InsufficientScopeError)
    assert refused.required == ("a", "b", "c")


A, B, C = (Requires(scopes=name) for name in ("a", "b", "c"))
STAFF = Requires(groups="staff")
FRESH = Requires(max_age=60)


@pytest.mark.parametrize(
    "requirement, principal, expected",
    [
        pytest.param(A & B, caller("a", "b"), None, id="and, both met"),
        pytest.param(A & B, caller("a"), NO_SCOPE, id="and, one met"),
        pytest.param(A & STAFF, caller(), NO_GROUP, id="and, the group outweighs the scope"),
        pytest.param(FRESH & STAFF & A, caller(), NO_GROUP, id="and, the group outweighs all"),
        pytest.param(FRESH & A, caller(), NO_SCOPE, id="and, the scope outweighs the age"),
        pytest.param(A | B, caller("b"), None, id="or, one met"),
        pytest.param(A | B, caller("c"), NO_SCOPE, id="or, none met"),
        pytest.param(STAFF | A, caller(), NO_SCOPE, id="or, the scope is easier than the group"),
        pytest.param(STAFF | A | FRESH, caller(), STALE, id="or, the age is easiest"),
        pytest.param(~A, caller("b"), None, id="not, not met"),
        pytest.param(~A, caller("a"), (NOT_MET, Reason.EXCLUDED), id="not, met"),
        pytest.param(~~A, caller("a"), None, id="not not, met"),
        pytest.param(~FRESH, caller(auth_time=NOW - 61), None, id="not a recent sign-in, by an old one"),
        pytest.param(~FRESH, caller(auth_time=NOW), (NOT_MET, Reason.EXCLUDED), id="not a recent sign-in, by one"),
        pytest.param(A | FRESH, caller(auth_time=NOW - 60), None, id="or, by a recent sign-in"),
        pytest.param(~(A & B), caller("a"), None, id="not and"),
        pytest.param(~(A | B), caller("a"), (NOT_MET, Reason.EXCLUDED), id="not or"),
        pytest.param(
            A & ~STAFF, caller("a", **{"cognito:groups": ["staff"]}), (NOT_MET, Reason.EXCLUDED), id="and not"
        ),
        pytest.param((A | STAFF) & B, caller("b"), NO_SCOPE, id="or within and"),
    ],
)
def test_composed_requirements_refuse_with_the_most_helpful_reason(
    requirement: Requirement, principal: Principal, expected: Verdict
) -> None:
    """Of all that must be met the hardest is told, of several ways the easiest."""
    assert verdict(requirement, principal) == expected


@pytest.mark.parametrize(
    "requirement, scopes",
    [
        pytest.param(Requires(), (), id="none"),
        pytest.param(STAFF & FRESH, (), id="no scope demanded"),
        pytest.param(Requires(scopes=["b", "a", "b"]), ("b", "a"), id="in order, each once"),
        pytest.param(Requires(any_scopes=["c", "d"]), ("c",), id="the first of any"),
        pytest.param(Requires(scopes=["c", "a"], any_scopes=["a", "b"]), ("c", "a"), id="both kinds"),
        pytest.param(A & B & A, ("a", "b"), id="and"),
        pytest.param(B | A, ("b",), id="or: the first way"),
        pytest.param((B | A) & C, ("b", "c"), id="or within and"),
        pytest.param(~A, (), id="not"),
    ],
)
def test_needed_scopes_are_those_that_would_do(requirement: Requirement, scopes: tuple[str, ...]) -> None:
    """What a client without a token is told to ask for."""
    assert requirement.needed_scopes == scopes


@pytest.mark.parametrize(
    "requirement, scopes, required",
    [
        pytest.param(A & B & C, ["a"], ("a", "b", "c"), id="all of several"),
        pytest.param((A | B) & C, [], ("a", "c"), id="a way and another scope"),
        pytest.param(A | B, [], ("a",), id="the first of two ways"),
        pytest.param((STAFF & A) | B, [], ("b",), id="the way that is open"),
        pytest.param(((STAFF & A) | B) & C, [], ("b", "c"), id="the way that is open, and another scope"),
    ],
)
def test_challenge_of_a_composition_names_scopes_that_would_do(
    requirement: Requirement, scopes: list[str], required: tuple[str, ...]
) -> None:
    """One challenge for the whole operation, and a token with these scopes would pass it."""
    refused = refusal(requirement, caller(*scopes))
    assert isinstance(refused, InsufficientScopeError)
    assert set(refused.required) == set(required)
    assert refusal(requirement, caller(*scopes), granted=refused.required) is None


@pytest.mark.parametrize(
    "compose",
    [
        pytest.param(lambda: A & "b", id="and with a scope's name"),  # type: ignore[operator]
        pytest.param(lambda: A | None, id="or with nothing"),  # type: ignore[operator]
        pytest.param(lambda: A & is_jane, id="and with a predicate"),  # type: ignore[operator]
        pytest.param(lambda: bool(A) and B, id="the word `and`, which drops the first"),
        pytest.param(lambda: bool(A) or B, id="the word `or`, which drops the second"),
        pytest.param(lambda: not A, id="the word `not`, which drops the demand"),  # pyright: ignore[reportGeneralTypeIssues]
    ],
)
def test_composition_that_is_none_fails_where_it_is_written(compose: Callable[[], object]) -> None:
    """At import, and neither in the first request nor never: what is dropped in silence guards nothing."""
    with pytest.raises(TypeError):
        compose()


def test_predicate_is_not_asked_once_the_answer_is_known() -> None:
    """Behind a demand that is not met, or an alternative that is: it may rely on the first, and would be a 500."""

    def relying(principal: Principal) -> bool:
        return bool(principal.claims["department"] == "sales")

    relies = Requires(predicate=relying)
    assert verdict(Requires(client_id="another") & relies, caller()) == WRONG_CLIENT
    assert verdict(Requires() | relies, caller()) is None
    with pytest.raises(KeyError):
        verdict(A & relies, caller())


def test_several_demands_are_one_requirement() -> None:
    """Scopes by name and requirements, all of which must be met; none at all is met by everybody."""
    requirement = all_of(["a", STAFF, B])
    assert verdict(requirement, caller("a", "b", **{"cognito:groups": ["staff"]})) is None
    assert verdict(requirement, caller("a", "b")) == NO_GROUP
    assert requirement.needed_scopes == ("a", "b")
    assert verdict(all_of([]), caller()) is None
    assert all_of([STAFF]) is STAFF
    assert all_of(["a"]) == A
    assert all_of([A, B]) == A & B


def test_scopes_are_added_to_a_requirement_and_remembered() -> None:
    """The same scopes give the same requirement again: routes ask for it at each request."""
    staff_and = with_scopes(STAFF)
    assert staff_and() is STAFF
    assert staff_and("a", "b") == all_of([STAFF, "a", "b"])
    assert staff_and("a", "b") is staff_and("a", "b")


@pytest.mark.parametrize(
    "demands, setting",
    [
        pytest.param([["a"]], "requires", id="a list of scopes"),
        pytest.param([None], "requires", id="nothing"),
        pytest.param([is_jane], "requires", id="a predicate"),
        pytest.param(["a b"], "scopes", id="two scopes in one string"),
        pytest.param([""], "scopes", id="an empty scope"),
    ],
)
def test_demand_that_is_neither_scope_nor_requirement_is_refused(demands: list[Any], setting: str) -> None:
    """Where the route is written."""
    with pytest.raises(ConfigurationError) as caught:
        all_of(demands)
    assert caught.value.setting == setting


LEAVES = [A, B, C, STAFF, FRESH, Requires(), Requires(any_scopes=["a", "c"]), Requires(acr="gold")]
SCOPE_LEAVES = [A, B, C, Requires(), Requires(scopes=["a", "b"]), Requires(any_scopes=["c", "a"])]


def trees(leaves: list[Requires], *, negated: bool) -> st.SearchStrategy[Any]:
    """Return trees of nested tuples: an operator and one or two trees, or a leaf."""

    def grown(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        pairs = st.tuples(st.sampled_from("&|"), inner, inner)
        return pairs | st.tuples(st.just("~"), inner) if negated else pairs

    return st.recursive(st.sampled_from(leaves), grown, max_leaves=6)


def composed(tree: Any) -> Requirement:
    """Compose the tree's leaves with the operators of Python."""
    match tree:
        case ("&", left, right):
            return composed(left) & composed(right)
        case ("|", left, right):
            return composed(left) | composed(right)
        case ("~", inner):
            return ~composed(inner)
        case _:
            leaf: Requires = tree
            return leaf


def holds(tree: Any, principal: Principal) -> bool:
    """Judge the leaves one by one and put the answers together as logic does."""
    match tree:
        case ("&", left, right):
            return holds(left, principal) and holds(right, principal)
        case ("|", left, right):
            return holds(left, principal) or holds(right, principal)
        case ("~", inner):
            return not holds(inner, principal)
        case _:
            return verdict(tree, principal) is None


GROUPS: list[dict[str, Any]] = [{}, {"cognito:groups": ["staff"]}]
TIMES: list[dict[str, Any]] = [{}, {"auth_time": NOW}, {"auth_time": 0, "acr": "gold"}]
CALLERS = st.tuples(st.sets(st.sampled_from("abc")), st.sampled_from(GROUPS), st.sampled_from(TIMES)).map(
    lambda drawn: caller(*drawn[0], **drawn[1], **drawn[2])
)


@settings(deadline=None, derandomize=True)
@given(trees(LEAVES, negated=True), CALLERS)
def test_composition_is_the_algebra_of_logic(tree: Any, principal: Principal) -> None:
    """Who may pass follows from the parts as `and`, `or` and `not` say, however deep."""
    assert (verdict(composed(tree), principal) is None) is holds(tree, principal)


@settings(deadline=None, derandomize=True)
@given(trees(SCOPE_LEAVES, negated=False), CALLERS)
def test_scopes_that_a_challenge_names_would_do(tree: Any, principal: Principal) -> None:
    """A client that follows a challenge is not challenged again."""
    requirement = composed(tree)
    assert refusal(requirement, principal, granted=requirement.needed_scopes) is None
    refused = refusal(requirement, principal)
    if refused is not None:
        assert isinstance(refused, InsufficientScopeError)
        assert refusal(requirement, principal, granted=refused.required) is None


async def ask_a_service(_: Principal) -> bool:
    """Answer as an async predicate would: yes."""
    return True


class AsyncPredicate:
    """Be an object whose call is async."""

    async def __call__(self, principal: Principal) -> bool:
        """Answer yes."""
        return await ask_a_service(principal)


@pytest.mark.parametrize(
    "options, setting, words",
    [
        pytest.param({"scopes": ""}, "scopes", "non-empty", id="an empty scope"),
        pytest.param({"scopes": ["a", ""]}, "scopes", "non-empty", id="an empty scope among others"),
        pytest.param({"scopes": "a b"}, "scopes", "white space", id="two scopes in one string"),
        pytest.param({"scopes": 'a"b'}, "scopes", "got", id="a quote in a scope"),
        pytest.param({"scopes": "a\\b"}, "scopes", "got", id="a backslash in a scope"),
        pytest.param({"scopes": "a\r\nX: y"}, "scopes", "got", id="a header in a scope"),
        pytest.param({"scopes": "ä"}, "scopes", "got", id="a scope beyond ASCII"),
        pytest.param({"scopes": [5]}, "scopes", "got int", id="a number as scope"),
        pytest.param({"scopes": b"a"}, "scopes", "got", id="bytes as scope"),
        pytest.param({"scopes": 5}, "scopes", "got", id="a number as scopes"),
        pytest.param({"scopes": None}, "scopes", "got", id="nothing as scopes"),
        pytest.param({"any_scopes": "a b"}, "any_scopes", "white space", id="two scopes in one string, for any"),
        pytest.param({"groups": ""}, "groups", "non-empty", id="an empty group"),
        pytest.param({"groups": [None]}, "groups", "got None", id="nothing as group"),
        pytest.param({"any_groups": [""]}, "any_groups", "non-empty", id="an empty group, for any"),
        pytest.param({"acr": "gold level"}, "acr", "white space", id="a blank in a class"),
        pytest.param({"acr": 'gold"'}, "acr", "got", id="a quote in a class"),
        pytest.param({"client_id": ""}, "client_id", "non-empty", id="an empty client"),
        pytest.param({"actor": [""]}, "actor", "non-empty", id="an empty actor"),
        pytest.param({"max_age": -1}, "max_age", "seconds", id="a negative age"),
        pytest.param({"max_age": math.nan}, "max_age", "seconds", id="an age that is no number"),
        pytest.param({"max_age": math.inf}, "max_age", "seconds", id="an age without end"),
        pytest.param({"max_age": "300"}, "max_age", "seconds", id="an age in a string"),
        pytest.param({"max_age": True}, "max_age", "seconds", id="true as age"),
        pytest.param({"predicate": ask_a_service}, "predicate", "async", id="an async predicate"),
        pytest.param({"predicate": AsyncPredicate()}, "predicate", "async", id="an object with an async call"),
        pytest.param({"predicate": partial(ask_a_service)}, "predicate", "async", id="a partial async predicate"),
        pytest.param({"predicate": "is_jane"}, "predicate", "function", id="the name of a predicate"),
        pytest.param({"claims": "tenant"}, "claims", "names mapped to values", id="the name of a claim"),
        pytest.param({"claims": [("tenant", 1)]}, "claims", "names mapped to values", id="pairs of claims"),
    ],
)
def test_demand_that_cannot_be_right_is_refused_by_name(options: dict[str, Any], setting: str, words: str) -> None:
    """At import of the routes, and not with the first request."""
    with pytest.raises(ConfigurationError) as caught:
        Requires(**options)
    assert caught.value.setting == setting
    assert words in caught.value.problem


@pytest.mark.parametrize("setting", ["any_scopes", "any_groups", "acr", "client_id", "actor"])
@pytest.mark.parametrize("none", [(), [], frozenset[str](), {}], ids=repr)
def test_choice_among_none_does_not_let_everybody_in(setting: str, none: Any) -> None:
    """A list of administrators' groups that came out empty is a mistake; to demand nothing is to name nothing."""
    with pytest.raises(ConfigurationError) as caught:
        Requires(**{setting: none})
    assert caught.value.setting == setting
    no_demand: dict[str, Any] = {setting: None}
    assert Requires(**no_demand) == Requires()


def test_every_demand_that_is_accepted_can_be_told_to_a_client() -> None:
    """Whatever age is configured, its challenge can be written: in whole seconds, never more than allowed."""
    for max_age, told in {0: 0, 0.5: 0, 299.9: 299, 1e15: 10**15}.items():
        refused = refusal(Requires(max_age=max_age), caller())
        assert isinstance(refused, STEP_UP)
        assert f'max_age="{told}"' in dict(challenge_for(refused).headers)["WWW-Authenticate"]


def test_one_string_is_the_same_as_one_of_several() -> None:
    """A lone name is never taken apart into its letters, and several may come from a generator."""
    for name in ("scopes", "any_scopes", "groups", "any_groups", "acr", "client_id", "actor"):
        plain: dict[str, Any] = {name: "ab"}
        several: dict[str, Any] = {name: (text for text in ["ab"])}
        assert Requires(**plain) == Requires(**several)
        assert list(getattr(Requires(**plain), name)) == ["ab"]


def test_requirements_are_values() -> None:
    """Equal where they demand the same, hashable, and never changed."""
    assert Requires(scopes=["a", "b"], claims={"x": 1}) == Requires(scopes=["a", "b"], claims={"x": 1})
    assert hash(Requires(scopes="a", claims={"x": [1]})) == hash(Requires(scopes="a", claims={"x": [1]}))
    assert Requires(scopes="a") != Requires(any_scopes="a")
    assert len({A & B, A & B, B & A, ~A, A}) == 4
    requirement: Any = Requires(claims={"x": 1})
    with pytest.raises(AttributeError):
        requirement.scopes = ()
    with pytest.raises(TypeError):
        requirement.claims["x"] = 2


def test_later_change_of_the_wanted_claims_changes_no_demand() -> None:
    """The mapping is copied."""
    wanted: dict[str, Any] = {"tenant": "blue"}
    requirement = Requires(claims=wanted)
    wanted.clear()
    assert verdict(requirement, caller()) == WRONG_CLAIM


class OnWeekdays(Requirement):
    """Be a requirement of an application's own."""

    def refusal(self, principal: Principal, granted: frozenset[str], now: float) -> Refusal | None:
        """Refuse everybody, as on a Sunday."""
        return RequirementNotMetError(Reason.PREDICATE_REFUSED, "not today")


def test_own_requirement_composes_with_ours() -> None:
    """An application may write its own: it needs no scopes, and ours are demanded as well."""
    assert verdict(OnWeekdays() & A, caller("a")) == BARRED
    assert verdict(OnWeekdays() | A, caller("a")) is None
    assert (OnWeekdays() & A).needed_scopes == ("a",)
    with pytest.raises(NotImplementedError):
        verdict(Requirement(), caller())


def test_resource_server_spells_its_scopes() -> None:
    """Short names in, full scopes out, in the order they were declared."""
    orders = ResourceServer("orders", {"write": "Change orders", "read": "Read orders"})
    assert orders["read"] == "orders/read"
    assert orders.scopes == ("orders/write", "orders/read")
    assert dict(orders) == {"write": "orders/write", "read": "orders/read"}
    assert (list(orders), len(orders)) == (["write", "read"], 2)
    assert orders.descriptions == {"write": "Change orders", "read": "Read orders"}
    assert repr(orders) == "ResourceServer('orders', ['write', 'read'])"


def test_resource_server_given_as_scopes_is_all_of_its_scopes() -> None:
    """Its full scopes, wherever scopes may stand: the short names are carried by no token."""
    orders = ResourceServer("orders", {"write": "Change orders", "read": "Read orders"})
    assert Requires(scopes=orders).needed_scopes == orders.scopes
    assert verdict(Requires(any_scopes=orders), caller("orders/read")) is None
    verifier = FakeUserPool().verifier(required_scopes=orders, implies={"admin": orders})
    assert verifier.required_scopes == orders.scopes
    assert verifier.implied_scopes["admin"] == {"admin", *orders.scopes}


@pytest.mark.parametrize("setting", ["groups", "any_groups", "client_id", "actor", "acr"])
def test_resource_server_given_for_anything_else_is_a_mistake(setting: str) -> None:
    """Nobody is in a group of that name, and everybody outside of it."""
    demand: dict[str, Any] = {setting: ResourceServer("orders", {"read": "Read orders"})}
    with pytest.raises(ConfigurationError) as caught:
        Requires(**demand)
    assert caught.value.setting == setting


@pytest.mark.parametrize("setting", ["scopes", "any_scopes"])
def test_resource_server_without_scopes_is_no_demand(setting: str) -> None:
    """All of none would be met by everybody."""
    demand: dict[str, Any] = {setting: ResourceServer("orders", {})}
    with pytest.raises(ConfigurationError) as caught:
        Requires(**demand)
    assert caught.value.setting == setting


def test_resource_server_knows_a_typo() -> None:
    """A KeyError at import, which names the scope, and no 403 in production."""
    orders = ResourceServer("orders", {"read": "Read orders"})
    with pytest.raises(KeyError, match="raed"):
        orders["raed"]
    assert "read" in orders
    assert "raed" not in orders


def test_identifier_of_a_resource_server_may_be_a_url() -> None:
    """Cognito allows slashes in it, and none in the short name."""
    api = ResourceServer("https://api.example/v1", {"orders.read": "", "orders:write": ""})
    assert api["orders.read"] == "https://api.example/v1/orders.read"


def test_description_that_is_no_text_is_a_mistake() -> None:
    """It would stand in documents that others read."""
    descriptions: Any = {"read": 4}
    with pytest.raises(ConfigurationError) as caught:
        ResourceServer("orders", descriptions)
    assert caught.value.setting == "scopes"


def test_resource_server_keeps_its_own_copy() -> None:
    """What is done to the mapping later declares no scope."""
    scopes = {"read": "Read orders"}
    orders: Any = ResourceServer("orders", scopes)
    scopes["admin"] = "All"
    assert "admin" not in orders
    with pytest.raises(TypeError):
        orders.descriptions["admin"] = "All"


@pytest.mark.parametrize(
    "identifier, scopes, setting",
    [
        pytest.param("", {}, "identifier", id="no identifier"),
        pytest.param("my orders", {}, "identifier", id="a blank in the identifier"),
        pytest.param("örders", {}, "identifier", id="an identifier beyond ASCII"),
        pytest.param('ord"ers', {}, "identifier", id="a quote in the identifier"),
        pytest.param("ord\\ers", {}, "identifier", id="a backslash in the identifier"),
        pytest.param("orders\n", {}, "identifier", id="a line break behind the identifier"),
        pytest.param(5, {}, "identifier", id="a number as identifier"),
        pytest.param("orders", {"": ""}, "scopes", id="an empty name"),
        pytest.param("orders", {5: ""}, "scopes", id="a number as name"),
        pytest.param("orders", {"a b": ""}, "scopes", id="a blank in a name"),
        pytest.param("orders", {"orders/read": ""}, "scopes", id="a full scope as name"),
        pytest.param("orders", {'re"ad': ""}, "scopes", id="a quote in a name"),
        pytest.param("orders", {"read\n": ""}, "scopes", id="a line break behind a name"),
        pytest.param("orders", ["read"], "scopes", id="names without descriptions"),
    ],
)
def test_resource_server_that_cognito_would_not_take_is_refused(identifier: Any, scopes: Any, setting: str) -> None:
    """Its grammar is that of the user pool's API."""
    with pytest.raises(ConfigurationError) as caught:
        ResourceServer(identifier, scopes)
    assert caught.value.setting == setting


def test_options_name_each_argument_of_requires() -> None:
    """Decorators that hand them on are typed by it."""
    assert set(RequiresOptions.__annotations__) == set(inspect.signature(Requires).parameters)
