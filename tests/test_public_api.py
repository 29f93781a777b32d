"""The promise: which names there are, what they are called with, and that nobody can change what they hold."""

from __future__ import annotations

import inspect
import time
import types
from collections.abc import Callable
from typing import Any

import pytest

import cognito_guard
from cognito_guard import (
    ANY_CLIENT,
    CognitoVerifier,
    Principal,
    Reason,
    RefreshSchedule,
    Requires,
    ResourceServer,
    UserPool,
    challenge_for,
)
from cognito_guard.errors import MissingTokenError
from cognito_guard.testing import FakeUserPool

POOL_ID = "eu-west-1_AbCdEf123"
PUBLIC = [name for name in cognito_guard.__all__ if not name.startswith("__")]


def test_exports_are_those_that_are_declared() -> None:
    """Sorted, each once, and nothing else is within reach but sub-modules."""
    exported = {
        name
        for name, value in vars(cognito_guard).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert exported == set(PUBLIC)
    assert cognito_guard.__all__ == sorted(set(cognito_guard.__all__))
    assert isinstance(cognito_guard.__version__, str)


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_is_documented(name: str) -> None:
    """The name itself, and each method and property that it adds."""
    value = getattr(cognito_guard, name)
    assert inspect.getdoc(value)
    if not inspect.isclass(value):
        return
    assert vars(value).get("__doc__")
    kinds = (types.FunctionType, property, classmethod, staticmethod)
    own = [member for member, thing in vars(value).items() if not member.startswith("_") and isinstance(thing, kinds)]
    undocumented = [member for member in own if not inspect.getdoc(getattr(value, member))]
    assert undocumented == []


def test_verifier_is_constructed_as_ever() -> None:
    """Names, order and defaults are what programs are written against; all but the pool's id go by keyword."""
    parameters = inspect.signature(CognitoVerifier).parameters
    assert [name for name, parameter in parameters.items() if parameter.kind is not parameter.KEYWORD_ONLY] == [
        "user_pool_id"
    ]
    assert {name: parameter.default for name, parameter in parameters.items()} == {
        "user_pool_id": inspect.Parameter.empty,
        "client_id": inspect.Parameter.empty,
        "token_use": "access",
        "resource": (),
        "resource_binding": "optional",
        "required_scopes": (),
        "implies": {},
        "issuer_format": "both",
        "replica_regions": (),
        "issuer": None,
        "jwks_uri": None,
        "jwks": None,
        "allow_insecure_http": False,
        "leeway": 10.0,
        "max_token_age": None,
        "max_token_lifetime": None,
        "max_token_bytes": 16384,
        "revocations": None,
        "token_cache_size": 4096,
        "schedule": RefreshSchedule(fresh_for=600, stale_for=14400, cooldown=10, burst=2, backoff=1, deadline=3),
        "fetch": None,
        "clock": time.time,
        "timer": time.monotonic,
    }


@pytest.mark.parametrize(
    "word", ["verify_signature", "verify_exp", "algorithms", "options", "key", "region", "insecure"]
)
def test_no_switch_turns_a_check_off(word: str) -> None:
    """Signature, expiry, issuer and algorithm are not up for configuration, and the Region is never asked for."""
    assert word not in inspect.signature(CognitoVerifier).parameters


def test_verifier_has_an_async_twin_of_each_method_that_may_wait() -> None:
    """`a...` is the same, awaited."""
    for name in ("verify", "authenticate", "prefetch"):
        plain, twin = getattr(CognitoVerifier, name), getattr(CognitoVerifier, f"a{name}")
        assert inspect.iscoroutinefunction(twin)
        assert not inspect.iscoroutinefunction(plain)
        assert inspect.signature(plain) == inspect.signature(twin)


def test_reasons_are_never_renamed() -> None:
    """Logs, alerts and tests are built on them: a member may be added here, and none changed."""
    assert {name: reason.value for name, reason in Reason.__members__.items()} == {
        "MISSING_TOKEN": "missing_token",
        "MALFORMED_HEADER": "malformed_header",
        "REPEATED_HEADER": "repeated_header",
        "SEVERAL_METHODS": "several_methods",
        "MALFORMED_TOKEN": "malformed_token",
        "OVERSIZED_TOKEN": "oversized_token",
        "ENCRYPTED_TOKEN": "encrypted_token",
        "UNSUPPORTED_ALGORITHM": "unsupported_algorithm",
        "UNSUPPORTED_HEADER": "unsupported_header",
        "UNKNOWN_KEY": "unknown_key",
        "INVALID_SIGNATURE": "invalid_signature",
        "MISSING_CLAIM": "missing_claim",
        "MALFORMED_CLAIM": "malformed_claim",
        "WRONG_ISSUER": "wrong_issuer",
        "WRONG_TOKEN_USE": "wrong_token_use",
        "WRONG_CLIENT": "wrong_client",
        "WRONG_AUDIENCE": "wrong_audience",
        "SENDER_CONSTRAINED": "sender_constrained",
        "EXPIRED": "expired",
        "NOT_YET_VALID": "not_yet_valid",
        "ISSUED_IN_FUTURE": "issued_in_future",
        "TOO_OLD": "too_old",
        "LIFETIME_TOO_LONG": "lifetime_too_long",
        "REVOKED": "revoked",
        "STALE_AUTHENTICATION": "stale_authentication",
        "WEAK_AUTHENTICATION": "weak_authentication",
        "INSUFFICIENT_SCOPE": "insufficient_scope",
        "GROUP_REQUIRED": "group_required",
        "CLIENT_NOT_ALLOWED": "client_not_allowed",
        "ACTOR_NOT_ALLOWED": "actor_not_allowed",
        "CLAIM_MISMATCH": "claim_mismatch",
        "PREDICATE_REFUSED": "predicate_refused",
        "NO_USER": "no_user",
        "EXCLUDED": "excluded",
        "NOT_ADMITTED": "not_admitted",
        "KEYS_UNAVAILABLE": "keys_unavailable",
        "REVOCATIONS_UNAVAILABLE": "revocations_unavailable",
    }
    assert f"{Reason.EXPIRED}" == str(Reason.EXPIRED) == "expired"


def some_principal() -> Principal:
    """Return a delegated caller whose every claim is a secret."""
    claims: dict[str, Any] = {
        "iss": "issuer",
        "sub": "sub-s3cret",
        "token_use": "access",
        "client_id": "client-s3cret",
        "username": "s3cret@example.com",
        "scope": "s3cret/scope",
        "cognito:groups": ["s3cret-group"],
        "act": {"sub": "actor-s3cret"},
        "exp": 2,
        "iat": 1,
    }
    return Principal(claims, user_pool_id=POOL_ID)


VALUES: dict[str, Callable[[], Any]] = {
    "Principal": some_principal,
    "Actor": lambda: some_principal().actor,
    "Requires": lambda: Requires(scopes="api/read", predicate=bool),
    "UserPool": lambda: UserPool.create(POOL_ID),
    "RefreshSchedule": RefreshSchedule,
    "Challenge": lambda: challenge_for(MissingTokenError()),
}


@pytest.mark.parametrize("make", VALUES.values(), ids=VALUES)
def test_value_cannot_be_changed(make: Callable[[], Any]) -> None:
    """No public attribute can be set or deleted, and none added."""
    value = make()
    names = [name for name in dir(value) if not name.startswith("_")]
    assert names
    for name in [*names, "anything"]:
        with pytest.raises((AttributeError, TypeError)):
            setattr(value, name, None)
        with pytest.raises((AttributeError, TypeError)):
            delattr(value, name)


def test_repr_of_what_meets_requests_tells_no_secret() -> None:
    """What ends up in logs and tracebacks names the pool and the state, and nothing out of a token."""
    pool = FakeUserPool()
    verifier = pool.verifier()
    caller = some_principal()
    verifier.prefetch()
    for value in (caller, caller.actor, verifier, verifier.user_pool, pool):
        assert "s3cret" not in repr(value)
        assert pool.access_key.kid not in repr(value)
    assert POOL_ID in repr(caller)
    assert pool.user_pool_id in repr(verifier)
    assert repr(ANY_CLIENT) == "ANY_CLIENT"
    assert repr(ResourceServer("orders", {"read": "Read orders"})) == "ResourceServer('orders', ['read'])"
