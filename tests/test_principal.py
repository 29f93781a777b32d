"""The principal: a token's claims under their usual names, and nothing about it that anybody could change."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from operator import setitem
from typing import Any

import pytest

from cognito_guard import Actor, Principal
from cognito_guard.testing import ABSENT, AppClient, FakeClock, FakeUserPool

NOW = 1_700_000_000
API = "https://api.example"
MACHINE = "6m4ch1n3cl13ntexample00000"
PUBLIC = sorted(name for name in vars(Principal) if not name.startswith("_"))


@pytest.fixture
def verified(pool: FakeUserPool) -> Callable[[str], Principal]:
    """Return a function from a token to its principal."""
    return pool.verifier(token_use=["access", "id"], resource=API).verify


def principal(**changes: Any) -> Principal:
    """Return a principal of an access token's claims, changed."""
    claims = {
        "iss": "issuer",
        "sub": "jane-sub",
        "token_use": "access",
        "client_id": "client",
        "exp": NOW,
        "iat": NOW - 60,
    }
    return Principal({**claims, **changes}, user_pool_id="eu-west-1_Abc")


def shown(caller: Principal) -> dict[str, Any]:
    """Return all that a principal shows, but for the claims as a whole."""
    return {name: getattr(caller, name) for name in PUBLIC if name != "claims"}


def test_access_token_of_a_person(pool: FakeUserPool, verified: Callable[[str], Principal]) -> None:
    """A sign-in through the SDK: a name, groups and one scope, and no audience."""
    token = pool.access_token(groups=["staff", "a,b"], jti="token-id", origin_jti="sign-in-id", auth_time=NOW - 5)
    assert shown(verified(token)) == {
        "user_pool_id": pool.user_pool_id,
        "issuer": pool.issuer,
        "subject": pool.subject("jane"),
        "identity": pool.subject("jane"),
        "username": "jane",
        "display_name": "jane",
        "client_id": pool.client_id,
        "audience": (),
        "token_use": "access",
        "scopes": {"aws.cognito.signin.user.admin"},
        "groups": {"staff", "a,b"},
        "is_machine": False,
        "is_authenticated": True,
        "actor": None,
        "jwt_id": "token-id",
        "origin_jti": "sign-in-id",
        "issued_at": NOW,
        "expires_at": NOW + 3600,
        "auth_time": NOW - 5,
        "acr": None,
        "amr": (),
    }


def test_id_token_of_a_person(pool: FakeUserPool, verified: Callable[[str], Principal]) -> None:
    """The client stands in `aud` and the name under another claim; a `scope` in it grants nothing."""
    caller = verified(
        pool.id_token(groups=["staff"], scope="openid api/admin", username="jane", acr="gold", amr=["pwd"])
    )
    assert shown(caller) | {"jwt_id": "", "origin_jti": ""} == {
        "user_pool_id": pool.user_pool_id,
        "issuer": pool.issuer,
        "subject": pool.subject("jane"),
        "identity": pool.subject("jane"),
        "username": "jane",
        "display_name": "jane",
        "client_id": pool.client_id,
        "audience": (pool.client_id,),
        "token_use": "id",
        "scopes": frozenset(),
        "groups": {"staff"},
        "is_machine": False,
        "is_authenticated": True,
        "actor": None,
        "jwt_id": "",
        "origin_jti": "",
        "issued_at": NOW,
        "expires_at": NOW + 3600,
        "auth_time": NOW,
        "acr": "gold",
        "amr": ("pwd",),
    }


def test_access_token_of_a_machine() -> None:
    """Client credentials: the subject is the client, and nobody has a name."""
    machine = AppClient(client_id=MACHINE, client_secret="only+for+tests+0123456789")
    pool = FakeUserPool(clients=[machine], clock=FakeClock(NOW))
    caller = pool.verifier().verify(pool.client_token(scopes=["api/read", "api/write"]))
    assert caller.is_machine
    assert caller.subject == caller.identity == caller.client_id == caller.display_name == MACHINE
    assert (caller.username, caller.groups, caller.origin_jti) == (None, frozenset(), None)
    assert caller.scopes == {"api/read", "api/write"}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"sub": "client", "username": "client"}, id="with a name"),
        pytest.param({"sub": "client", "username": ""}, id="with an empty name"),
        pytest.param({"sub": "jane-sub"}, id="whose subject is another than the client"),
        pytest.param({"token_use": "id", "aud": "client", "sub": "client"}, id="with an ID token"),
    ],
)
def test_caller_is_no_machine(changes: dict[str, Any]) -> None:
    """A machine has no name, is its own subject and gets access tokens alone."""
    assert not principal(**changes).is_machine
    assert principal(sub="client").is_machine


def test_bound_token_names_its_resource(pool: FakeUserPool, verified: Callable[[str], Principal]) -> None:
    """The audience of an access token is the resource, the client stays the client."""
    caller = verified(pool.bound_token(API))
    assert (caller.audience, caller.client_id) == ((API,), pool.client_id)


def test_audience_may_be_several() -> None:
    """A list is told whole; the client of an ID token is the first."""
    assert principal(aud=["a", "b"]).audience == ("a", "b")
    assert principal(token_use="id", aud=["a", "b"]).client_id == "a"


def test_delegated_token_names_its_actor(pool: FakeUserPool, verified: Callable[[str], Principal]) -> None:
    """Who acts, with all that the token says of them; the subject stays the person."""
    caller = verified(pool.delegated_token("agent-1"))
    assert caller.actor == Actor(subject="agent-1", claims={"sub": "agent-1"}, actor=None)
    assert hash(caller.actor) == hash(principal(act={"sub": "agent-1"}).actor)
    assert caller.subject == pool.subject("jane")


def test_chain_of_actors_is_told_to_its_end() -> None:
    """RFC 8693 §4.1: the outermost acts now, those within acted before."""
    chain: dict[str, Any] = {"sub": "a", "act": {"client_id": "b", "act": {"sub": "c"}}}
    first = principal(act=chain).actor
    assert first is not None
    assert first.actor is not None
    assert first.actor.actor is not None
    assert [first.subject, first.actor.subject, first.actor.actor.subject] == ["a", None, "c"]
    assert first.actor.actor.actor is None
    assert first.claims == chain


@pytest.mark.parametrize(
    "act, subject",
    [
        pytest.param({}, None, id="nothing said"),
        pytest.param({"sub": 5}, None, id="a number as subject"),
        pytest.param({"sub": ["a"]}, None, id="a list as subject"),
        pytest.param({"sub": "a", "act": "b"}, "a", id="an inner actor that is none"),
    ],
)
def test_odd_actor_has_no_subject_to_be_taken_for_one(act: dict[str, Any], subject: str | None) -> None:
    """Only a string names an actor, and only an object is one."""
    actor = principal(act=act).actor
    assert actor is not None
    assert (actor.subject, actor.actor) == (subject, None)


@pytest.mark.parametrize(
    "scope, scopes",
    [
        pytest.param("a b", {"a", "b"}, id="two"),
        pytest.param("a a", {"a"}, id="one twice"),
        pytest.param("  a   b ", {"a", "b"}, id="more blanks than needed"),
        pytest.param("", set[str](), id="nothing"),
        pytest.param("a\tb", {"a\tb"}, id="a tab, which separates nothing"),
        pytest.param("a,b", {"a,b"}, id="a comma, which separates nothing"),
        pytest.param("api/Read api/read", {"api/Read", "api/read"}, id="two cases"),
    ],
)
def test_scope_is_split_at_blanks_alone(scope: str, scopes: set[str]) -> None:
    """RFC 6749 §3.3: case-sensitive strings with single blanks between."""
    assert principal(scope=scope).scopes == scopes


def test_absent_claims_are_empty_or_none(pool: FakeUserPool, verified: Callable[[str], Principal]) -> None:
    """No KeyError for what Cognito leaves out: groups without a group, ids without revocation."""
    caller = verified(
        pool.access_token(scopes=[], username=ABSENT, auth_time=ABSENT, origin_jti=ABSENT, jti=ABSENT, sub="someone")
    )
    assert caller.scopes == caller.groups == frozenset()
    assert (caller.username, caller.auth_time, caller.origin_jti, caller.jwt_id) == (None, None, None, None)
    assert caller.display_name == "someone"


def test_claims_are_shown_read_only_to_the_last_leaf() -> None:
    """One handler's change must never be another request's identity."""
    caller = principal(tenant={"roles": ["a", {"deep": [1]}]}, numbers=[1, 2])
    view: Any = caller.claims
    assert view["tenant"]["roles"] == ("a", {"deep": (1,)})
    assert view["numbers"] == (1, 2)
    changes: list[tuple[type[Exception], Callable[[], object]]] = [
        (AttributeError, lambda: view.update(sub="admin")),
        (AttributeError, lambda: view["tenant"].update(roles=())),
        (AttributeError, lambda: view["tenant"]["roles"].append("admin")),
        (TypeError, lambda: setitem(view, "sub", "admin")),
        (TypeError, lambda: setitem(view["tenant"]["roles"][1]["deep"], 0, 2)),
    ]
    for error, change in changes:
        with pytest.raises(error):
            change()


@pytest.mark.parametrize("name", [*PUBLIC, "_claims", "anything"])
def test_attribute_can_be_neither_set_nor_deleted(name: str) -> None:
    """Whatever the name, before and after it was looked at."""
    caller = principal()
    before = shown(caller)
    with pytest.raises(AttributeError):
        setattr(caller, name, "admin")
    with pytest.raises(AttributeError):
        delattr(caller, name)
    assert shown(caller) == before


def test_later_change_of_the_given_claims_changes_nobody() -> None:
    """The principal is its own: what a test or an adapter does with its dict afterwards does not matter."""
    claims: dict[str, Any] = {"sub": "jane", "token_use": "access", "client_id": "client", "cognito:groups": ["staff"]}
    caller = Principal(claims, user_pool_id="eu-west-1_Abc")
    claims["sub"] = "admin"
    claims["cognito:groups"].append("admin")
    assert caller.subject == "jane"
    assert caller.groups == {"staff"}


def test_principal_can_be_made_of_what_another_shows() -> None:
    """A test derives one caller from another: the read-only views are claims like any."""
    caller = principal(act={"sub": "a"}, tenant={"roles": ["a"]}, **{"cognito:groups": ["staff"]})
    derived = Principal({**caller.claims, "sub": "joe"}, user_pool_id=caller.user_pool_id)
    assert shown(derived) == shown(caller) | {"subject": "joe", "identity": "joe", "display_name": "joe"}


def test_actor_cannot_be_changed() -> None:
    """Nor can what is said of it."""
    actor: Any = principal(act={"sub": "a", "roles": ["b"]}).actor
    with pytest.raises(AttributeError):
        actor.subject = "b"
    with pytest.raises(TypeError):
        actor.claims["sub"] = "b"
    assert actor.claims["roles"] == ("b",)


def test_principals_are_equal_where_pool_and_claims_are() -> None:
    """Two readings of one token are one caller; another pool's same claims are another."""
    assert principal(jti="a") == principal(jti="a")
    assert hash(principal(jti="a")) == hash(principal(jti="a"))
    assert principal(jti="a") != principal(jti="b")
    claims = dict(principal().claims)
    assert Principal(claims, user_pool_id="a") != Principal(claims, user_pool_id="b")
    assert principal() != "jane-sub"
    assert principal().__eq__("jane-sub") is NotImplemented
    assert len({principal(jti="a"), principal(jti="a"), principal(jti="b")}) == 2


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_principal_crosses_a_process_boundary_whole(protocol: int, pool: FakeUserPool) -> None:
    """Pickled before and after it was looked at: the same caller, as unchangeable as before."""
    caller = pool.verifier().verify(pool.delegated_token("agent-1", groups=["staff"]))
    fresh = pickle.dumps(caller, protocol)
    seen = shown(caller), caller.claims
    for data in (fresh, pickle.dumps(caller, protocol)):
        restored = pickle.loads(data)  # noqa: S301 - our own bytes
        assert restored == caller
        assert (shown(restored), restored.claims) == seen
        with pytest.raises(AttributeError):
            restored.subject = "admin"


def test_principal_can_be_copied() -> None:
    """Frameworks copy what they find in a request's state."""
    caller = principal(act={"sub": "a"}, tenant={"roles": ["a"]})
    assert caller.claims
    assert copy.copy(caller) == copy.deepcopy(caller) == caller


@pytest.mark.parametrize(
    "changes, text",
    [
        pytest.param(
            {"username": "jane@example.com", "scope": "a b", "cognito:groups": ["staff"]},
            "<Principal person of eu-west-1_Abc, access token, 2 scopes, 1 groups>",
            id="a person",
        ),
        pytest.param(
            {"sub": "client"}, "<Principal machine of eu-west-1_Abc, access token, 0 scopes, 0 groups>", id="a machine"
        ),
    ],
)
def test_repr_tells_the_kind_and_no_claim(changes: dict[str, Any], text: str) -> None:
    """A username is often an e-mail address, and a repr ends up in logs."""
    assert repr(principal(**changes)) == text
    assert "jane" not in f"{principal(**changes)} {principal(**changes)!r}"


def test_repr_of_an_actor_tells_how_many_and_not_who() -> None:
    """It stands in for a person or a machine as well, and its claims may be anything."""
    actor = principal(act={"sub": "agent@example.com", "act": {"sub": "other@example.com"}}).actor
    assert repr(actor) == "Actor(actor=Actor(actor=None))"


def test_principal_of_a_token_is_of_the_pool_that_vouches_for_it(pool: FakeUserPool) -> None:
    """Half of its identity."""
    assert pool.verifier().verify(pool.access_token()).user_pool_id == pool.user_pool_id
