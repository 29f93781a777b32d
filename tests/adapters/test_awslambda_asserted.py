"""What API Gateway, AppSync and authorizers assert: read as the token had it, or refused where that can't be told."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cognito_guard import ConfigurationError, InvalidClaimError, Principal, Reason
from cognito_guard.awslambda import (
    Asserted,
    GatewayCaller,
    GatewayIdentity,
    flat_context,
    gateway_caller,
    gateway_identity,
)
from cognito_guard.testing import FakeUserPool

PROPERTY = settings(deadline=None, derandomize=True, max_examples=150)
JSON: TypeAlias = dict[str, Any]
PROPERTIES = ("subject", "username", "client_id", "token_use", "scopes", "groups", "expires_at")


def as_text(value: object) -> str:
    """Write a claim as a context does, where it is no array."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def asserted_by(who: Asserted, claims: JSON) -> JSON:
    """Make the event in which a gateway asserts these claims; of groups no more than one."""
    if who is Asserted.APPSYNC:
        groups = claims.get("cognito:groups")
        identity = {"sub": claims["sub"], "issuer": claims["iss"], "claims": claims, "groups": groups}
        return {"arguments": {}, "identity": identity, "request": {"headers": {}}}
    texts = {name: as_text(value) for name, value in claims.items()}
    if "cognito:groups" in claims:
        [name] = claims["cognito:groups"]
        texts["cognito:groups"] = name if who is Asserted.REST else f"[{name}]"
    inner: JSON = {"claims": texts} if who is Asserted.REST else {"jwt": {"claims": texts, "scopes": None}}
    return {"requestContext": {"authorizer": inner}}


GATEWAYS = [Asserted.REST, Asserted.HTTP, Asserted.APPSYNC]
MINTS: Mapping[str, Callable[[FakeUserPool], str]] = {
    "access token": lambda pool: pool.access_token(groups=["staff"], scopes=["a/b", "c/d"]),
    "access token without groups": FakeUserPool.access_token,
    "ID token": lambda pool: pool.id_token(groups=["staff"]),
    "machine's token": lambda pool: pool.client_token(),
}


@pytest.mark.parametrize("who", GATEWAYS)
@pytest.mark.parametrize("mint", MINTS.values(), ids=MINTS)
def test_asserted_caller_reads_as_the_verified_one(
    pool: FakeUserPool, who: Asserted, mint: Callable[[FakeUserPool], str]
) -> None:
    """However a gateway writes a claim, it is found under the same name."""
    principal = pool.verifier(token_use=["access", "id"]).verify(mint(pool))
    caller = gateway_caller(asserted_by(who, json.loads(json.dumps(dict(principal.claims), default=list))))
    assert caller is not None
    assert [getattr(caller, name) for name in PROPERTIES] == [getattr(principal, name) for name in PROPERTIES]
    assert caller.asserted_by is who
    assert Principal not in type(caller).__mro__


@pytest.mark.parametrize("who", GATEWAYS)
def test_asserted_claims_are_read_only_and_not_in_logs(who: Asserted) -> None:
    """One reader's change is not another's caller."""
    event = asserted_by(who, {"sub": "secret", "iss": "i", "token_use": "access"})
    caller = gateway_caller(event)
    assert isinstance(caller, GatewayCaller)
    assert "secret" not in repr(caller)
    with pytest.raises(TypeError):
        caller.claims["sub"] = "admin"  # type: ignore[index]
    with pytest.raises(AttributeError):
        caller.asserted_by = Asserted.REST  # type: ignore[misc]


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"headers": {}, "requestContext": {"http": {}, "identity": {"sourceIp": "192.0.2.1"}}},
        {"identity": None},
        {"requestContext": None},
        {"requestContext": {"authorizer": None}},
        {"requestContext": {"authorizer": {"claims": None, "jwt": None, "lambda": None}}},
        {"requestContext": {"authorizer": {"principalId": "jane", "tenant": "t-42"}}},
        {"requestContext": {"authorizer": {"claims": "none of ours", "jwt": "eyJ...", "lambda": "orders"}}},
        {"requestContext": {"authorizer": {"jwt": {"claims": '{"sub": "jane"}'}}}},
        {"identity": {"cognitoIdentityId": "eu-west-1:x"}},
    ],
)
def test_nobody_asserted_is_nobody(event: JSON) -> None:
    """A route without an authorizer has no caller; another authorizer's context is its own."""
    assert gateway_caller(event) is None
    assert gateway_identity(event) is None


NONE = frozenset[str]()


@pytest.mark.parametrize(
    "who, text, groups, plain_groups",
    [
        pytest.param(Asserted.REST, "a", {"a"}, {"a"}, id="one group"),
        pytest.param(Asserted.REST, "", NONE, NONE, id="an empty text"),
        pytest.param(Asserted.REST, "a,b", None, {"a", "b"}, id="two groups, or one with a comma in its name"),
        pytest.param(Asserted.REST, "[a b]", None, {"a", "b"}, id="brackets from a REST API"),
        pytest.param(Asserted.REST, "[a]", None, {"a"}, id="a group in brackets, or with brackets in its name"),
        pytest.param(Asserted.REST, "[a, b]", None, None, id="brackets and commas"),
        pytest.param(Asserted.REST, '["a","b"]', None, None, id="JSON"),
        pytest.param(Asserted.REST, "a b", None, None, id="a space and no brackets"),
        pytest.param(Asserted.REST, "a,,b", None, None, id="an empty name"),
        pytest.param(Asserted.REST, "[a", None, None, id="half a bracket"),
        pytest.param(Asserted.REST, "a,[b]", None, None, id="a bracket inside"),
        pytest.param(Asserted.HTTP, "[a b]", None, {"a", "b"}, id="two groups in brackets, or one with a blank"),
        pytest.param(Asserted.HTTP, "[a]", {"a"}, {"a"}, id="one group in brackets"),
        pytest.param(Asserted.HTTP, "[]", NONE, NONE, id="none in brackets"),
        pytest.param(Asserted.HTTP, "[a,b]", {"a,b"}, None, id="a comma in a name"),
        pytest.param(Asserted.HTTP, "[[x]]]", {"[x]]"}, None, id="brackets in a name"),
        pytest.param(Asserted.HTTP, "[a  b]", None, None, id="an empty name in brackets"),
        pytest.param(Asserted.HTTP, "[a\tb]", None, None, id="a tab"),
        pytest.param(Asserted.HTTP, "a,b", None, {"a", "b"}, id="a comma and no brackets"),
        pytest.param(Asserted.HTTP, "[", None, None, id="one bracket"),
        pytest.param(Asserted.APPSYNC, ["a,b", "[c d]"], {"a,b", "[c d]"}, {"a,b", "[c d]"}, id="a real list"),
        pytest.param(Asserted.APPSYNC, ["a", 1], None, None, id="a list with a number"),
        pytest.param(Asserted.APPSYNC, [""], None, None, id="a list with an empty name"),
        pytest.param(Asserted.REST, 1, None, None, id="a number"),
        pytest.param(Asserted.REST, None, None, None, id="null"),
    ],
)
def test_groups_are_read_only_where_there_is_one_way_to(
    who: Asserted, text: Any, groups: set[str] | None, plain_groups: set[str] | None
) -> None:
    """None stands for a refusal: a wrong guess at a group would be somebody's right."""
    for plain, expected in ((False, groups), (True, plain_groups)):
        event = asserted_by(who, {"sub": "s", "iss": "i"})
        where = event["identity"] if who is Asserted.APPSYNC else event["requestContext"]["authorizer"]
        (where["jwt"] if who is Asserted.HTTP else where)["claims"]["cognito:groups"] = text
        caller = gateway_caller(event, plain_group_names=plain)
        assert caller is not None
        if expected is not None:
            assert caller.groups == expected
            continue
        with pytest.raises(InvalidClaimError) as raised:
            caller.groups  # noqa: B018
        assert (raised.value.claim, raised.value.reason) == ("cognito:groups", Reason.MALFORMED_CLAIM)


def caller_with(**claims: object) -> GatewayCaller:
    """Return the caller that a REST API asserts with these claims."""
    caller = gateway_caller({"requestContext": {"authorizer": {"claims": {"x": "y", **claims}}}})
    assert caller is not None
    return caller


@pytest.mark.parametrize(
    "text, expected",
    [
        ("1795226032", 1_795_226_032),
        (1_795_226_032, 1_795_226_032),
        ("Fri Jul 29 18:52:53 UTC 2016", 1_469_818_373),
        ("Thu Jan 01 00:00:00 UTC 1970", 0),
        ("Sat Feb 29 23:59:59 GMT 2020", 1_583_020_799),
        ("Sat Feb 30 00:00:00 UTC 2020", None),
        ("Fri Jul 00 18:52:53 UTC 2016", None),
        ("Fri Jul 29 24:00:00 UTC 2016", None),
        ("Fri Jul 29 18:52:53 CEST 2016", None),
        ("Fri Jul 29 18:52:53 UTC 2016\n", None),
        ("Fr Juli 29 18:52:53 UTC 2016", None),
        ("2016-07-29T18:52:53Z", None),
        ("\uff11\uff17", None),
        ("-1", None),
        ("1.795226032E9", None),
        ("9" * 400, None),
        (1.5, None),
        (True, None),
        ("", None),
        (None, None),
    ],
)
def test_time_is_read_from_each_of_its_forms(text: Any, expected: int | None) -> None:
    """A number, its digits, or the date that REST APIs write; None stands for a refusal."""
    caller = caller_with(exp=text)
    if expected is not None:
        assert caller.expires_at == expected
        return
    with pytest.raises(InvalidClaimError) as raised:
        caller.expires_at  # noqa: B018
    assert (raised.value.claim, raised.value.problem) == ("exp", "malformed")


@pytest.mark.parametrize(
    "value, expected", [("true", True), ("false", False), (True, True), (False, False), (None, None)]
)
def test_truth_is_read_from_texts(value: object, expected: bool | None) -> None:
    """The text "false" is not true."""
    assert caller_with(email_verified=value).flag("email_verified") is expected


@pytest.mark.parametrize("value", ["True", "1", "", 1, 0, [], {}])
def test_truth_is_read_from_nothing_else(value: object) -> None:
    """A doubt is a refusal."""
    with pytest.raises(InvalidClaimError):
        caller_with(email_verified=value).flag("email_verified")


@pytest.mark.parametrize("name, claim", [("subject", "sub"), ("token_use", "token_use"), ("expires_at", "exp")])
def test_claim_that_every_token_has_may_not_be_missing(name: str, claim: str) -> None:
    """Nobody is a caller without it."""
    with pytest.raises(InvalidClaimError) as raised:
        getattr(caller_with(), name)
    assert (raised.value.claim, raised.value.problem) == (claim, "missing")
    with pytest.raises(InvalidClaimError) as raised:
        getattr(caller_with(**{claim: ["x"]}), name)
    assert (raised.value.claim, raised.value.problem) == (claim, "malformed")


def behind(context: Mapping[str, object], *, texts: bool) -> JSON:
    """Make the event of the function behind an authorizer: a REST API makes everything a text."""
    if not texts:
        return {"version": "2.0", "requestContext": {"authorizer": {"lambda": context}}}
    kept = {name: as_text(value) for name, value in context.items()}
    return {"requestContext": {"authorizer": {"principalId": "x", "integrationLatency": 1, **kept}}}


@PROPERTY
@given(groups=st.sets(st.text(min_size=1)), texts=st.booleans())
@example(groups={"a b", "a", "b", "%20", "a,b", "[c]", "\ud800", "größe", "\x00"}, texts=True)
def test_what_an_authorizer_tells_is_read_as_it_was(groups: set[str], texts: bool) -> None:
    """Whatever a trigger has put into the groups, not one is made of two and none of its parts."""
    claims = {"sub": "s", "token_use": "access", "client_id": "c", "scope": "a/b c/d", "exp": 9, "username": "jane"}
    principal = Principal(claims | {"cognito:groups": sorted(groups)}, user_pool_id="eu-west-1_FakePool1")
    caller = gateway_caller(behind(flat_context(principal), texts=texts))
    assert caller is not None
    assert caller.asserted_by is Asserted.AUTHORIZER
    assert [getattr(caller, name) for name in PROPERTIES] == [getattr(principal, name) for name in PROPERTIES]


def test_what_an_authorizer_tells_of_an_id_token_is_read_as_it_was(pool: FakeUserPool) -> None:
    """Its names are the same for both kinds of tokens."""
    caller = gateway_caller(behind(flat_context(pool.verifier(token_use="id").verify(pool.id_token())), texts=False))
    assert caller is not None
    assert (caller.token_use, caller.client_id, caller.username) == ("id", pool.client_id, "jane")


def iam(**identity: object) -> JSON:
    """Make the event of a REST API that authorizes by IAM."""
    return {"requestContext": {"identity": {"sourceIp": "192.0.2.1", "userArn": "arn:aws:sts::1:x", **identity}}}


IDENTITY = {"cognitoIdentityId": "eu-west-1:i", "cognitoIdentityPoolId": "eu-west-1:p"}
PROVIDER = "cognito-idp.eu-west-1.amazonaws.com/eu-west-1_FakePool1"
USER = IDENTITY | {"cognitoAuthenticationType": "authenticated"}
GUEST = IDENTITY | {"cognitoAuthenticationType": "unauthenticated", "cognitoAuthenticationProvider": None}


def test_identity_of_a_user_names_the_user_pool() -> None:
    """The pair of pool and subject, as a Principal has it."""
    event = iam(**USER, cognitoAuthenticationProvider=f"{PROVIDER},{PROVIDER}:CognitoSignIn:a-b-c")
    identity = gateway_identity(event)
    assert identity == GatewayIdentity(
        identity_id="eu-west-1:i",
        identity_pool_id="eu-west-1:p",
        is_authenticated=True,
        user_pool_id="eu-west-1_FakePool1",
        subject="a-b-c",
    )
    assert "a-b-c" not in repr(identity)


@pytest.mark.parametrize(
    "provider",
    [
        None,
        1,
        "",
        PROVIDER,
        f"{PROVIDER},{PROVIDER}:CognitoSignIn:",
        f"{PROVIDER},{PROVIDER}x:CognitoSignIn:a",
        f"{PROVIDER},{PROVIDER}:CognitoSignIn:a,b",
        f"{PROVIDER},{PROVIDER}:CognitoSignIn:a\n",
        f"evil.example.com/{PROVIDER},evil.example.com/{PROVIDER}:CognitoSignIn:a",
        "accounts.google.com,accounts.google.com:OIDC:a",
    ],
)
def test_identity_of_another_provider_names_no_user(provider: object) -> None:
    """Only the one form that a user pool's sign-in has is read."""
    identity = gateway_identity(iam(**USER, cognitoAuthenticationProvider=provider))
    assert identity is not None
    assert (identity.is_authenticated, identity.user_pool_id, identity.subject) == (True, None, None)


def test_identity_of_a_guest_is_not_authenticated() -> None:
    """Nor is it a user's, whatever else it says."""
    login = {"cognitoAuthenticationProvider": f"{PROVIDER},{PROVIDER}:CognitoSignIn:a"}
    for event in (iam(**GUEST), iam(**(GUEST | login))):
        identity = gateway_identity(event)
        assert identity is not None
        assert (identity.is_authenticated, identity.user_pool_id, identity.subject) == (False, None, None)


def test_identity_of_a_user_in_europes_own_partition_names_the_user_pool() -> None:
    """Its service has another domain."""
    provider = "cognito-idp.eusc-de-east-1.amazonaws.eu/eusc-de-east-1_FakePool1"
    event = iam(**USER, cognitoAuthenticationProvider=f"{provider},{provider}:CognitoSignIn:a-b-c")
    identity = gateway_identity(event)
    assert identity is not None
    assert (identity.user_pool_id, identity.subject) == ("eusc-de-east-1_FakePool1", "a-b-c")


def test_plain_iam_user_has_no_identity() -> None:
    """All of its fields are null."""
    names = ("cognitoIdentityId", "cognitoIdentityPoolId", "cognitoAuthenticationType", "cognitoAuthenticationProvider")
    assert gateway_identity(iam(**dict.fromkeys(names))) is None


@pytest.mark.parametrize(
    "broken",
    [
        {"cognitoIdentityId": None},
        {"cognitoIdentityId": 1},
        {"cognitoIdentityPoolId": None},
        {"cognitoAuthenticationType": None},
        {"cognitoAuthenticationType": "Authenticated"},
        {"cognitoAuthenticationType": ["authenticated"]},
    ],
)
def test_half_an_identity_is_nobodys(broken: JSON) -> None:
    """API Gateway sends all of it or nothing."""
    with pytest.raises(ConfigurationError):
        gateway_identity(iam(**(USER | broken)))
