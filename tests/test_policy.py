"""Which tokens this resource server accepts: use, client, audience and binding, each told from the others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from cognito_guard import ANY_CLIENT, CognitoVerifier, ConfigurationError
from cognito_guard.errors import ExpiredTokenError, ImmatureTokenError, InvalidClaimError, Reason
from cognito_guard.testing import AppClient, FakeUserPool
from cognito_guard.tokens.policy import Policy, audience

NOW = 1_700_000_000
CLIENT = "1h57kf5cpq17m0eml12example"
MACHINE = "6m4ch1n3cl13ntexample00000"
STRANGER = "str4ng3rcl13ntexample00000"
API = "https://api.example"
FOREIGN = "https://other.example"


def policy(**options: Any) -> Policy:
    """Return a policy for access tokens of one client, changed."""
    settings: dict[str, Any] = {"client_id": [CLIENT], **options}
    return Policy.create(**settings)


def access(**changes: Any) -> dict[str, Any]:
    """Return the claims of an access token; a claim of the value None is left out."""
    times = {"exp": NOW + 60, "iat": NOW}
    claims = {"iss": "issuer", "sub": "jane", "token_use": "access", "client_id": CLIENT, **times, **changes}
    return {name: value for name, value in claims.items() if value is not None}


def identity(**changes: Any) -> dict[str, Any]:
    """Return the claims of an ID token."""
    return access(**{"token_use": "id", "client_id": None, "aud": CLIENT, **changes})


def refusal(judge: Policy, claims: Mapping[str, Any]) -> tuple[str, str, Reason] | None:
    """Return which claim is refused and how, or None where the token is accepted."""
    try:
        judge.check(claims, NOW)
    except InvalidClaimError as error:
        return error.claim, error.problem, error.reason
    return None


@pytest.mark.parametrize(
    "token_use, accepted",
    [
        pytest.param(("access",), {"access"}, id="access tokens"),
        pytest.param(("id",), {"id"}, id="ID tokens"),
        pytest.param(("access", "id"), {"access", "id"}, id="both"),
        pytest.param(["id", "access", "id"], {"access", "id"}, id="both, one named twice"),
    ],
)
@pytest.mark.parametrize("presented", ["access", "id", "refresh", "", "ACCESS", "access "])
def test_use_is_accepted_where_it_is_configured(token_use: Any, accepted: set[str], presented: str) -> None:
    """An ID token is for the client that asked for it, and signed with keys of the same set."""
    claims = identity(token_use=presented) if presented == "id" else access(token_use=presented)
    expected = None if presented in accepted else ("token_use", "mismatch", Reason.WRONG_TOKEN_USE)
    assert refusal(policy(token_use=token_use), claims) == expected


@pytest.mark.parametrize(
    "client_id, problem",
    [
        pytest.param(CLIENT, None, id="the configured one"),
        pytest.param(MACHINE, None, id="another configured one"),
        pytest.param(STRANGER, "mismatch", id="a stranger of the same pool"),
        pytest.param("", "mismatch", id="an empty one"),
        pytest.param(CLIENT.upper(), "mismatch", id="another case"),
        pytest.param(CLIENT[:-1], "mismatch", id="a prefix"),
        pytest.param(f"{CLIENT},{MACHINE}", "mismatch", id="both in one string"),
        pytest.param(None, "missing", id="none"),
    ],
)
def test_client_of_an_access_token_is_compared_whole(client_id: str | None, problem: str | None) -> None:
    """Every client of the pool passes the signature and the issuer: only this check tells them apart."""
    reason = Reason.MISSING_CLAIM if problem == "missing" else Reason.WRONG_CLIENT
    expected = None if problem is None else ("client_id", problem, reason)
    assert refusal(policy(client_id=[CLIENT, MACHINE]), access(client_id=client_id)) == expected


@pytest.mark.parametrize(
    "aud, expected",
    [
        pytest.param(CLIENT, None, id="the client"),
        pytest.param([CLIENT], None, id="the client in a list"),
        pytest.param([CLIENT, MACHINE], None, id="two clients of ours"),
        pytest.param(STRANGER, ("aud", "mismatch", Reason.WRONG_CLIENT), id="a stranger"),
        pytest.param([CLIENT, STRANGER], ("aud", "mismatch", Reason.WRONG_CLIENT), id="a stranger next to the client"),
        pytest.param(API, ("aud", "mismatch", Reason.WRONG_CLIENT), id="the resource"),
        pytest.param(None, ("aud", "missing", Reason.MISSING_CLAIM), id="none"),
    ],
)
def test_audience_of_an_id_token_is_its_client(aud: Any, expected: tuple[str, str, Reason] | None) -> None:
    """Each must be a client of ours; neither a resource nor a `client_id`, which Cognito never writes, has a say."""
    judge = policy(client_id=[CLIENT, MACHINE], token_use=["id"], resource=[API], resource_binding="required")
    assert refusal(judge, identity(aud=aud)) == expected
    assert refusal(judge, identity(aud=aud, client_id=STRANGER)) == expected


AUDIENCES: dict[str, Any] = {
    "none": None,
    "client": CLIENT,
    "client in a list": [CLIENT],
    "resource": API,
    "resource among others": [FOREIGN, API],
    "another client": STRANGER,
    "foreign": FOREIGN,
    "foreign in a list": [FOREIGN],
    "prefix of the resource": API[:-1],
    "resource with a slash": f"{API}/",
}
UNBOUND = {"none", "client", "client in a list"}
BOUND = {"resource", "resource among others"}
PER_CLIENT = {CLIENT: "required", MACHINE: "optional"}


@pytest.mark.parametrize(
    "options, accepted",
    [
        pytest.param({}, UNBOUND, id="no resource"),
        pytest.param({"resource": [API]}, UNBOUND | BOUND, id="a resource, binding optional"),
        pytest.param({"resource": [API], "resource_binding": "required"}, BOUND, id="a resource, binding required"),
        pytest.param(
            {"resource": [FOREIGN, API], "resource_binding": "required"},
            BOUND | {"foreign", "foreign in a list"},
            id="two resources, binding required",
        ),
        pytest.param(
            {"client_id": [CLIENT, MACHINE], "resource": [API], "resource_binding": PER_CLIENT},
            BOUND,
            id="binding required of this client",
        ),
        pytest.param(
            {"client_id": [CLIENT, MACHINE], "resource": [API], "resource_binding": {MACHINE: "optional"}},
            BOUND,
            id="binding required of the clients that are not named",
        ),
        pytest.param(
            {"client_id": [CLIENT, MACHINE], "resource": [API], "resource_binding": {CLIENT: "optional"}},
            UNBOUND | BOUND,
            id="binding optional for this client",
        ),
        pytest.param(
            {"client_id": ANY_CLIENT, "resource": [API]},
            BOUND,
            id="any client, for which the resource stands in",
        ),
        pytest.param(
            {"client_id": ANY_CLIENT, "resource": [API], "resource_binding": {CLIENT: "optional"}},
            UNBOUND | BOUND,
            id="any client, this one unbound",
        ),
        pytest.param(
            {"client_id": ANY_CLIENT, "client_stands_in": True},
            UNBOUND,
            id="any client, for which a scope stands in",
        ),
        pytest.param(
            {"client_id": ANY_CLIENT, "client_stands_in": True, "resource": [API]},
            UNBOUND | BOUND,
            id="any client, a scope and a resource",
        ),
        pytest.param(
            {"client_id": ANY_CLIENT, "client_stands_in": True, "resource": [API], "resource_binding": "required"},
            BOUND,
            id="any client, a scope and a resource, binding required",
        ),
    ],
)
@pytest.mark.parametrize("kind", AUDIENCES)
def test_audience_of_an_access_token_follows_the_binding(
    options: dict[str, Any], accepted: set[str], kind: str
) -> None:
    """Absent is fine unless binding is required; what is there must be this API, or the client where not bound."""
    claims = access(aud=AUDIENCES[kind])
    problem = "missing" if kind == "none" else "mismatch"
    expected = None if kind in accepted else ("aud", problem, Reason.WRONG_AUDIENCE)
    assert refusal(policy(**options), claims) == expected


def test_machine_is_exempt_from_binding_where_it_is_named() -> None:
    """The client credentials grant can't bind a token; one of the exempt client may still name the API or itself."""
    judge = policy(client_id=[CLIENT, MACHINE], resource=[API], resource_binding=PER_CLIENT)
    accepted = [
        aud for aud in (None, MACHINE, API, CLIENT, FOREIGN) if not refusal(judge, access(client_id=MACHINE, aud=aud))
    ]
    assert accepted == [None, MACHINE, API]


def test_any_client_is_any_client_of_the_pool_alone() -> None:
    """The client is not compared, and is still a claim that every access token has."""
    judge = policy(client_id=ANY_CLIENT, client_stands_in=True)
    assert refusal(judge, access(client_id=STRANGER)) is None
    assert refusal(judge, access(client_id=None)) == ("client_id", "missing", Reason.MISSING_CLAIM)
    assert refusal(judge, access(client_id=STRANGER, aud=CLIENT)) == ("aud", "mismatch", Reason.WRONG_AUDIENCE)


@pytest.mark.parametrize(
    "aud",
    [
        pytest.param(value, id=repr(value))
        for value in ("", [], {}, 5, True, [1], [""], [CLIENT, None], [[CLIENT]], {CLIENT: True})
    ],
)
@pytest.mark.parametrize("token", [access, identity])
def test_audience_that_is_neither_a_name_nor_names_is_malformed(token: Any, aud: object) -> None:
    """A confused type must not skip the check (CVE-2020-26160)."""
    judge = policy(token_use=["access", "id"], resource=[API])
    assert refusal(judge, token(aud=aud)) == ("aud", "malformed", Reason.MALFORMED_CLAIM)


def test_null_audience_is_malformed_and_not_absent() -> None:
    """`"aud": null` is no way to leave it out."""
    for claims in (access(), identity()):
        judge = policy(token_use=["access", "id"])
        assert refusal(judge, {**claims, "aud": None}) == ("aud", "malformed", Reason.MALFORMED_CLAIM)


def test_audience_is_told_as_a_tuple() -> None:
    """One string and a list of it are the same."""
    assert audience({"aud": API}) == audience({"aud": [API]}) == (API,)
    assert audience({"aud": [API, FOREIGN]}) == (API, FOREIGN)


@pytest.mark.parametrize("confirmation", [{"jkt": "0ZcOCORZNYy"}, {}, "", False])
@pytest.mark.parametrize("token", [access, identity])
def test_sender_constrained_token_is_refused_as_a_bearer_token(token: Any, confirmation: object) -> None:
    """A thief of it could not use it where possession is checked; here it isn't, so nobody may (RFC 9449 §7.1)."""
    judge = policy(token_use=["access", "id"])
    assert refusal(judge, token(cnf=confirmation)) == ("cnf", "mismatch", Reason.SENDER_CONSTRAINED)
    assert refusal(judge, {**token(), "cnf": None}) == ("cnf", "mismatch", Reason.SENDER_CONSTRAINED)


@pytest.mark.parametrize(
    "options, changes, error, reason",
    [
        pytest.param({}, {"exp": NOW}, ExpiredTokenError, Reason.EXPIRED, id="expired"),
        pytest.param({}, {"nbf": NOW + 1}, ImmatureTokenError, Reason.NOT_YET_VALID, id="not yet valid"),
        pytest.param({}, {"iat": NOW + 1}, ImmatureTokenError, Reason.ISSUED_IN_FUTURE, id="issued in the future"),
        pytest.param({"max_token_age": 9}, {"iat": NOW - 10}, ExpiredTokenError, Reason.TOO_OLD, id="too old"),
        pytest.param({"max_token_lifetime": 59}, {}, InvalidClaimError, Reason.LIFETIME_TOO_LONG, id="too long a life"),
        pytest.param(
            {"leeway": 5}, {"exp": NOW - 5}, ExpiredTokenError, Reason.EXPIRED, id="expired beyond the leeway"
        ),
    ],
)
def test_times_are_judged_by_the_configured_bounds(
    options: dict[str, Any], changes: dict[str, Any], error: type[InvalidClaimError], reason: Reason
) -> None:
    """Each bound of the policy reaches the check that it is for."""
    with pytest.raises(InvalidClaimError) as caught:
        policy(**options).check(access(**changes), NOW)
    assert (type(caught.value), caught.value.reason) == (error, reason)


def test_leeway_reaches_the_times() -> None:
    """What is refused without it is accepted within it."""
    late = access(exp=NOW - 4, iat=NOW - 60)
    assert refusal(policy(leeway=5), late) is None
    assert refusal(policy(), late) == ("exp", "mismatch", Reason.EXPIRED)


def test_bounds_reach_the_sure_times() -> None:
    """One second within what the leeway and the maximum age allow; the end is the earlier one."""
    assert policy(leeway=5).surely_in_time(access()) == (NOW - 4, NOW + 64)
    assert policy(leeway=5, max_token_age=30).surely_in_time(access()) == (NOW - 4, NOW + 34)


@pytest.mark.parametrize(
    "changes, reason",
    [
        pytest.param({"sub": 5, "token_use": "id"}, Reason.MALFORMED_CLAIM, id="types before the use"),
        pytest.param({"token_use": "id", "exp": 1}, Reason.WRONG_TOKEN_USE, id="the use before the times"),
        pytest.param({"exp": 1, "client_id": STRANGER}, Reason.EXPIRED, id="the times before the client"),
        pytest.param({"client_id": STRANGER, "aud": FOREIGN}, Reason.WRONG_CLIENT, id="the client before the audience"),
        pytest.param({"aud": FOREIGN, "cnf": {}}, Reason.WRONG_AUDIENCE, id="the audience before the confirmation"),
    ],
)
def test_first_thing_wrong_is_told(changes: dict[str, Any], reason: Reason) -> None:
    """The order is fixed: what an operator reads in the log does not depend on chance."""
    refused = refusal(policy(), access(**changes))
    assert refused is not None
    assert refused[2] is reason


MISTAKES = [
    pytest.param({"token_use": ()}, "token_use", "'access' or 'id'", id="no use"),
    pytest.param({"token_use": ["refresh"]}, "token_use", "'access' or 'id'", id="another use"),
    pytest.param({"token_use": ["access", "refresh"]}, "token_use", "'access' or 'id'", id="another use as well"),
    pytest.param({"token_use": ["ACCESS"]}, "token_use", "'access' or 'id'", id="another case"),
    pytest.param({"client_id": []}, "client_id", "at least one", id="no client"),
    pytest.param({"client_id": ["ANY_CLIENT"]}, "client_id", "a constant, and no text", id="the constant as text"),
    pytest.param({"client_id": ["*"]}, "client_id", "a constant, and no text", id="a star for every client"),
    pytest.param({"client_id": ["https://idp.example"]}, "client_id", "a URL or an ARN", id="a URL as client"),
    pytest.param(
        {"client_id": ["arn:aws:cognito-idp:eu-west-1:1:x"]}, "client_id", "a URL or an ARN", id="an ARN as client"
    ),
    pytest.param({"client_id": ["two words"]}, "client_id", "white space", id="a blank in the client"),
    pytest.param({"client_id": [f"{CLIENT},{MACHINE}"]}, "client_id", "a comma", id="two clients in one string"),
    pytest.param({"client_id": ["cli\tent"]}, "client_id", "white space", id="a tab in the client"),
    pytest.param({"client_id": ["clïent"]}, "client_id", "non-ASCII", id="a client beyond ASCII"),
    pytest.param({"client_id": ["c" * 129]}, "client_id", "128 characters", id="too long a client"),
    pytest.param({"client_id": [CLIENT, "c" * 129]}, "client_id", "128 characters", id="too long a second client"),
    pytest.param(
        {"client_id": ANY_CLIENT}, "client_id", "a resource or required_scopes", id="any client, nothing in its place"
    ),
    pytest.param(
        {"client_id": ANY_CLIENT, "token_use": ["id"], "resource": [API]},
        "client_id",
        "for access tokens",
        id="any client's ID tokens",
    ),
    pytest.param(
        {"client_id": ANY_CLIENT, "token_use": ["access", "id"], "client_stands_in": True},
        "client_id",
        "for access tokens",
        id="any client's tokens of both uses",
    ),
    pytest.param({"resource_binding": "always"}, "resource_binding", "'optional' or 'required'", id="another binding"),
    pytest.param({"resource_binding": None}, "resource_binding", "'optional' or 'required'", id="no binding"),
    pytest.param(
        {"resource_binding": ["required"]}, "resource_binding", "'optional' or 'required'", id="a list of bindings"
    ),
    pytest.param(
        {"resource": [API], "resource_binding": {CLIENT: "maybe"}},
        "resource_binding",
        "'optional' or 'required'",
        id="another binding of a client",
    ),
    pytest.param(
        {"resource": [API], "resource_binding": {CLIENT: ["required"]}},
        "resource_binding",
        "'optional' or 'required'",
        id="a list of bindings of a client",
    ),
    pytest.param(
        {"resource": [API], "resource_binding": {STRANGER: "optional"}},
        "resource_binding",
        "a client that client_id does not",
        id="the binding of a stranger",
    ),
    pytest.param({"resource_binding": "required"}, "resource_binding", "no resource", id="binding to nothing"),
    pytest.param(
        {"resource_binding": {CLIENT: "required"}}, "resource_binding", "no resource", id="one client's to nothing"
    ),
]


@pytest.mark.parametrize("options, setting, words", MISTAKES)
def test_settings_that_cannot_be_right_are_refused_by_name(options: dict[str, Any], setting: str, words: str) -> None:
    """At construction, with the setting to change and what was expected."""
    with pytest.raises(ConfigurationError) as caught:
        policy(**options)
    assert caught.value.setting == setting
    assert words in caught.value.problem


@pytest.mark.parametrize("setting", ["leeway", "max_token_age", "max_token_lifetime"])
@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(-0.001, id="less than none"),
        pytest.param(math.nan, id="not a number"),
        pytest.param(math.inf, id="without end"),
        pytest.param(10**400, id="beyond any float"),
        pytest.param(True, id="true"),
        pytest.param("10", id="text"),
        pytest.param([10], id="a list"),
        pytest.param(Decimal(10), id="a decimal, which no float can be subtracted from"),
    ],
)
def test_seconds_are_a_finite_number(setting: str, seconds: Any) -> None:
    """What would fail, or quietly turn the check off, at the first token is refused at construction."""
    with pytest.raises(ConfigurationError) as caught:
        policy(**{setting: seconds})
    assert caught.value.setting == setting
    assert "seconds" in caught.value.problem


def test_leeway_without_a_value_is_refused() -> None:
    """The other two bounds may be left open; the leeway is always a number."""
    with pytest.raises(ConfigurationError, match="leeway"):
        policy(leeway=None)
    assert policy(max_token_age=None, max_token_lifetime=None).max_token_age is None


def test_leeway_is_bounded_so_that_it_cannot_turn_expiry_off() -> None:
    """Five minutes, and not a moment more; an age or a lifetime may be any."""
    assert policy(leeway=0).leeway == 0
    assert policy(leeway=300).leeway == 300
    assert policy(max_token_age=10**9, max_token_lifetime=0).max_token_lifetime == 0
    with pytest.raises(ConfigurationError, match="from 0 to 300") as caught:
        policy(leeway=300.001)
    assert caught.value.setting == "leeway"


def test_client_id_may_be_as_long_as_the_api_allows() -> None:
    """The limit itself is allowed."""
    assert refusal(policy(client_id=["c" * 128]), access(client_id="c" * 128)) is None


def test_policy_keeps_its_own_copy_and_cannot_be_changed() -> None:
    """What is done to the configured lists later lets nobody in."""
    clients, resources = [CLIENT], [API]
    judge: Any = policy(client_id=clients, resource=resources)
    clients.append(STRANGER)
    resources.append(FOREIGN)
    assert refusal(judge, access(client_id=STRANGER)) == ("client_id", "mismatch", Reason.WRONG_CLIENT)
    assert refusal(judge, access(aud=FOREIGN)) == ("aud", "mismatch", Reason.WRONG_AUDIENCE)
    with pytest.raises(AttributeError):
        judge.client_ids = ANY_CLIENT


def test_any_client_says_what_it_is() -> None:
    """It stands in start-up logs and in reviews."""
    assert repr(ANY_CLIENT) == "ANY_CLIENT"


@pytest.mark.parametrize("nothing", [pytest.param((), id="no scope"), pytest.param(iter(()), id="an empty iterator")])
def test_no_scope_cannot_stand_in_for_the_client(pool: FakeUserPool, nothing: Any) -> None:
    """Where any client is accepted, `required_scopes` must hold a scope, whatever it is made with."""
    with pytest.raises(ConfigurationError) as caught:
        pool.verifier(client_id=ANY_CLIENT, required_scopes=nothing)
    assert caught.value.setting == "client_id"


def test_required_scope_that_is_none_is_refused_by_its_own_name(pool: FakeUserPool) -> None:
    """The error names the setting that is to be changed."""
    with pytest.raises(ConfigurationError) as caught:
        pool.verifier(required_scopes="two words")
    assert caught.value.setting == "required_scopes"


def test_policy_judges_what_a_user_pool_issues() -> None:
    """Person, machine and bound token through the front door: bound persons and unbound machines pass, no others."""
    machine = AppClient(client_id=MACHINE, client_secret="only+for+tests+0123456789")
    pool = FakeUserPool(client_id=CLIENT, clients=[machine, AppClient(client_id=STRANGER)])
    verifier: CognitoVerifier = pool.verifier(
        client_id=[CLIENT, MACHINE], resource=API, resource_binding={MACHINE: "optional"}
    )
    assert verifier.verify(pool.bound_token(API)).audience == (API,)
    assert verifier.verify(pool.client_token()).is_machine
    for token, reason in {
        pool.access_token(): Reason.WRONG_AUDIENCE,
        pool.bound_token(FOREIGN): Reason.WRONG_AUDIENCE,
        pool.bound_token(API, client_id=STRANGER): Reason.WRONG_CLIENT,
        pool.id_token(): Reason.WRONG_TOKEN_USE,
    }.items():
        with pytest.raises(InvalidClaimError) as caught:
            verifier.verify(token)
        assert caught.value.reason is reason
