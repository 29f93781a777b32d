"""
The flows and claims that no emulator has, from a fake user pool over real HTTP to the guarded API.

Its refresh tokens have the form of Cognito's own, an encrypted token of five segments, and its neighbour has its keys.
"""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from cognito_guard import Reason

from .answers import assert_answer, assert_refused, insufficient_scope
from .fake_pool import ROLES, ServedPool
from .guarded_api import bearer, guarded_api
from .guards import Judge, shown_claims
from .oauth import sign_in_by_code, sign_in_implicitly
from .tokens import SIGN_IN_SCOPE, USER, Tokens

RESOURCE = "https://transactions.example.com/"


def test_implicit_grant(served: ServedPool, judge_served: Judge) -> None:
    """The implicit grant yields both tokens in the fragment, and no refresh token."""
    tokens = sign_in_implicitly(served.server.url, served.pool.client_id, "openid transactions/get")
    assert tokens.refresh == ""
    judge_served(tokens, served.member("openid", "transactions/get"))
    refused = served.guards.access.client.post("/transactions", headers=bearer(tokens.access))
    assert_answer(refused, httpx.codes.FORBIDDEN, insufficient_scope("transactions/post"))


def test_authorization_code_with_encrypted_refresh_token(served: ServedPool, judge_served: Judge) -> None:
    """A refresh token as Cognito makes them is told from a broken token."""
    tokens = sign_in_by_code(served.server.url, served.pool.client_id, "openid transactions/get")
    assert tokens.refresh.count(".") == 4
    judge_served(tokens, served.member("openid", "transactions/get"))


def test_roles(served: ServedPool, judge_served: Judge) -> None:
    """Roles and the preferred role of a user's groups are in the ID token alone, and grant nothing by themselves."""
    tokens = sign_in_by_code(served.server.url, served.pool.client_id, "openid")
    judge_served(tokens, served.member("openid"))
    expected = {"cognito:roles": [*ROLES], "cognito:preferred_role": ROLES[0]}
    assert shown_claims(served.guards.id, tokens.id, expected) == expected
    assert shown_claims(served.guards.access, tokens.access, expected) == dict.fromkeys(expected)


def test_delegated_token(served: ServedPool, judge_served: Judge) -> None:
    """A token that GetDerivedToken delegates to an actor is its subject's, and shows the actor."""
    actor = {"sub": "the-agent"}
    token = served.pool.access_token(username=USER, act=actor)
    judge_served(Tokens(access=token), served.member(SIGN_IN_SCOPE))
    assert shown_claims(served.guards.access, token, ["act"]) == {"act": actor}


def test_resource_bound_token(served: ServedPool, judge_served: Judge, caplog: pytest.LogCaptureFixture) -> None:
    """The access token of a sign-in for a resource gets in there and nowhere else (RFC 8707)."""
    scope = "openid transactions/get"
    tokens = sign_in_by_code(served.server.url, served.pool.client_id, scope, resource=RESOURCE)
    assert_refused(served.guards.access, tokens.access, Reason.WRONG_AUDIENCE, caplog)
    with guarded_api({**served.settings, "resource": RESOURCE}) as api:
        judge_there = Judge(replace(judge_served.guards, access=api), caplog)
        judge_there(tokens, served.member("openid", "transactions/get"))
