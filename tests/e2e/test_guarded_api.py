"""
A guarded Starlette API, called over real HTTP with tokens that ministack and moto really issued.

Nothing is replaced: boto3 signs in, the emulator signs, uvicorn serves, httpx calls, the JWKS is fetched.
"""

from __future__ import annotations

import base64
import json
import logging
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from cognito_guard import Reason

from .answers import (
    EXPIRED_TOKEN,
    INVALID_REQUEST,
    NO_CREDENTIALS,
    assert_answer,
    assert_refused,
    insufficient_scope,
    reasons_logged,
)
from .emulators import LOOPBACK, Emulator, Flow, SeededPool
from .guarded_api import GuardedAPI, bearer, guarded_api, settings_for
from .tokens import GROUP, SIGN_IN_SCOPE, USER, VISITOR, claims_of

TWO_HOURS = 7200.0
"""Longer than any token of an emulator lives."""

only_ministack = pytest.mark.parametrize("emulator", ["ministack"], indirect=True)
"""For what moto lacks: it has no login page, and its token endpoint answers 500."""


# -- whom it lets in


@pytest.mark.parametrize("flow", ["ADMIN_USER_PASSWORD_AUTH", "USER_PASSWORD_AUTH"])
def test_user_signed_in_is_seen_by_handler(api: GuardedAPI, pool: SeededPool, flow: Flow) -> None:
    """The handler sees the person, the groups and the scopes that the user pool put into the access token."""
    response = api.get("/me", pool.sign_in(flow).access)
    assert response.status_code == httpx.codes.OK
    assert response.json() == {
        "subject": pool.subjects[USER],
        "username": USER,
        "client_id": pool.web_client_id,
        "token_use": "access",
        "groups": [GROUP],
        "scopes": [SIGN_IN_SCOPE],
        "is_machine": False,
        "auth_scopes": ["authenticated", SIGN_IN_SCOPE],
    }


def test_refreshed_token_is_the_same_caller(api: GuardedAPI, pool: SeededPool) -> None:
    """A token got by REFRESH_TOKEN_AUTH is another token of the same person, with the same groups and scopes."""
    signed_in = pool.sign_in()
    refreshed = pool.refresh(signed_in.refresh)
    assert refreshed.access != signed_in.access
    before, after = api.get("/me", signed_in.access), api.get("/me", refreshed.access)
    assert (before.status_code, after.status_code) == (httpx.codes.OK, httpx.codes.OK)
    assert after.json() == before.json()


def test_principal_of_emulator_token_has_its_claims(api: GuardedAPI, pool: SeededPool) -> None:
    """The principal names pool, issuer and times as the token has them; the issuer is the AWS one, not the emulator."""
    token = pool.sign_in().access
    claims = claims_of(token)
    principal = api.verifier.verify(token)
    assert principal.user_pool_id == pool.user_pool_id
    assert principal.issuer == pool.issuer == f"https://cognito-idp.us-east-1.amazonaws.com/{pool.user_pool_id}"
    assert (principal.issued_at, principal.expires_at) == (claims["iat"], claims["exp"])
    assert (principal.auth_time, principal.origin_jti) == (claims["auth_time"], claims["origin_jti"])
    assert principal.audience == ()


def test_user_without_group_has_none(api: GuardedAPI, pool: SeededPool) -> None:
    """A user in no group has a token without `cognito:groups`, which is an empty set and no fault."""
    token = pool.sign_in(username=VISITOR).access
    assert "cognito:groups" not in claims_of(token)
    response = api.get("/me", token)
    assert response.status_code == httpx.codes.OK
    assert (response.json()["subject"], response.json()["groups"]) == (pool.subjects[VISITOR], [])


@only_ministack
def test_machine_is_seen_by_handler(api: GuardedAPI, pool: SeededPool) -> None:
    """A client_credentials token is a machine: its client is the subject, and it has no username and no groups."""
    response = api.get("/me", pool.machine_token("transactions/post"))
    assert response.status_code == httpx.codes.OK
    assert response.json() == {
        "subject": pool.machine_client_id,
        "username": None,
        "client_id": pool.machine_client_id,
        "token_use": "access",
        "groups": [],
        "scopes": ["transactions/post"],
        "is_machine": True,
        "auth_scopes": ["authenticated", "transactions/post"],
    }


def test_id_token_guard_takes_the_id_token_and_not_the_access_token(
    pool: SeededPool, caplog: pytest.LogCaptureFixture
) -> None:
    """A guard for ID tokens sees the same person in one, without scopes, and refuses the access token."""
    tokens = pool.sign_in()
    with guarded_api({**settings_for(pool), "token_use": "id"}) as api:
        response = api.get("/me", tokens.id)
        assert response.status_code == httpx.codes.OK
        assert response.json() == {
            "subject": pool.subjects[USER],
            "username": USER,
            "client_id": pool.web_client_id,
            "token_use": "id",
            "groups": [GROUP],
            "scopes": [],
            "is_machine": False,
            "auth_scopes": ["authenticated"],
        }
        assert_refused(api, tokens.access, Reason.WRONG_TOKEN_USE, caplog)


def test_exempt_path_answers_without_token(api: GuardedAPI) -> None:
    """An exempt path asks nobody."""
    response = api.client.get("/healthz")
    assert (response.status_code, response.text) == (httpx.codes.OK, "ok")


# -- what they may do


@only_ministack
def test_machine_with_scope_may(api: GuardedAPI, pool: SeededPool) -> None:
    """The scope that the machine was granted opens the operation that needs it."""
    response = api.client.post("/transactions", headers=bearer(pool.machine_token("transactions/post")))
    assert response.status_code == httpx.codes.CREATED
    assert response.json() == {"recorded_for": pool.machine_client_id}


@only_ministack
def test_machine_without_scope_may_not(api: GuardedAPI, pool: SeededPool, caplog: pytest.LogCaptureFixture) -> None:
    """Another scope of the same resource server does not; the answer names the one that is needed."""
    with caplog.at_level(logging.INFO, logger="cognito_guard"):
        response = api.get("/transactions", pool.machine_token("transactions/post"))
    assert_answer(response, httpx.codes.FORBIDDEN, insufficient_scope("transactions/get"))
    assert reasons_logged(caplog) == [Reason.INSUFFICIENT_SCOPE]


@only_ministack
def test_user_with_scope_may(api: GuardedAPI, pool: SeededPool) -> None:
    """A user who signed in at the login page for a scope may do what it opens, and only that."""
    token = pool.sign_in_at_login_page("openid transactions/get").access
    assert api.get("/me", token).json()["scopes"] == ["openid", "transactions/get"]
    response = api.get("/transactions", token)
    assert response.status_code == httpx.codes.OK
    assert response.json() == {"listed_for": pool.web_client_id}
    refused = api.client.post("/transactions", headers=bearer(token))
    assert_answer(refused, httpx.codes.FORBIDDEN, insufficient_scope("transactions/post"))


@pytest.mark.parametrize("method, scope", [("GET", "transactions/get"), ("POST", "transactions/post")])
def test_user_without_scope_may_not(api: GuardedAPI, pool: SeededPool, method: str, scope: str) -> None:
    """A user-pool API sign-in grants no scope of a resource server, whatever the user's groups."""
    response = api.client.request(method, "/transactions", headers=bearer(pool.sign_in().access))
    assert_answer(response, httpx.codes.FORBIDDEN, insufficient_scope(scope))


def test_member_of_group_may(api: GuardedAPI, pool: SeededPool) -> None:
    """The group that the user is in opens the route that needs it."""
    response = api.get("/admin", pool.sign_in().access)
    assert response.status_code == httpx.codes.OK
    assert response.json() == {"admin": USER}


def test_user_outside_group_may_not(api: GuardedAPI, pool: SeededPool, caplog: pytest.LogCaptureFixture) -> None:
    """Outside the group the answer is 403 without a challenge: no other token of theirs would help."""
    with caplog.at_level(logging.INFO, logger="cognito_guard"):
        response = api.get("/admin", pool.sign_in(username=VISITOR).access)
    assert_answer(response, httpx.codes.FORBIDDEN, None)
    assert reasons_logged(caplog) == [Reason.GROUP_REQUIRED]


# -- whom it turns away


@pytest.mark.parametrize("path", ["/me", "/transactions", "/admin", "/no-such-path"])
def test_request_without_token_is_asked_for_one(api: GuardedAPI, caplog: pytest.LogCaptureFixture, path: str) -> None:
    """Without credentials the challenge has no error code (RFC 6750 §3.1), be there such a route or not."""
    with caplog.at_level(logging.INFO, logger="cognito_guard"):
        response = api.client.get(path)
    assert_answer(response, httpx.codes.UNAUTHORIZED, NO_CREDENTIALS)
    assert reasons_logged(caplog) == [Reason.MISSING_TOKEN]


def test_unknown_path_with_token_is_not_found(api: GuardedAPI, pool: SeededPool) -> None:
    """Whoever is let in learns that a path does not exist."""
    assert api.get("/no-such-path", pool.sign_in().access).status_code == httpx.codes.NOT_FOUND


def test_token_in_query_is_no_credentials(api: GuardedAPI, pool: SeededPool) -> None:
    """A token in the query string ends up in logs and is not read (RFC 6750 §5.3)."""
    response = api.client.get("/me", params={"access_token": pool.sign_in().access})
    assert_answer(response, httpx.codes.UNAUTHORIZED, NO_CREDENTIALS)


def test_repeated_authorization_header_is_refused(api: GuardedAPI, pool: SeededPool) -> None:
    """Two Authorization headers are an invalid request, even with a good token in both."""
    header = ("Authorization", f"Bearer {pool.sign_in().access}")
    response = api.client.get("/me", headers=[header, header])
    assert_answer(response, httpx.codes.BAD_REQUEST, INVALID_REQUEST)


def id_token(emulator: Emulator) -> str:
    """Right user, right key set, issued to the right client: `token_use` is what differs."""
    return emulator.pool.sign_in().id


def token_of_another_pool(emulator: Emulator) -> str:
    """On moto even the key and its `kid` are the same: `iss` is what differs."""
    return emulator.other_pool.sign_in().access


def token_of_another_client(emulator: Emulator) -> str:
    """Same pool, same user, same key: `client_id` is what differs."""
    return emulator.pool.sign_in(client_id=emulator.pool.other_client_id).access


def token_with_flipped_bit(emulator: Emulator) -> str:
    """One bit of the signature, in its middle."""
    signed, _, signature = emulator.pool.sign_in().access.rpartition(".")
    raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
    raw[len(raw) // 2] ^= 1
    return f"{signed}.{segment(bytes(raw))}"


def token_with_scope_written_in(emulator: Emulator) -> str:
    """A user grants themselves a scope, and keeps the signature."""
    header, payload, signature = emulator.pool.sign_in().access.split(".")
    claims = {**claims_of(f"{header}.{payload}.{signature}"), "scope": "transactions/get transactions/post"}
    return f"{header}.{segment(json.dumps(claims).encode())}.{signature}"


def token_of_own_key_under_published_kid(emulator: Emulator) -> str:
    """All claims right, the pool's own `kid`, the attacker's key."""
    token = emulator.pool.sign_in().access
    return forged(token, kid=jwt.get_unverified_header(token)["kid"])


def token_of_own_key(emulator: Emulator) -> str:
    """All claims right, the attacker's key under the attacker's `kid`."""
    return forged(emulator.pool.sign_in().access, kid="attacker")


def token_without_signature(emulator: Emulator) -> str:
    """All claims right, `alg` none."""
    return jwt.encode(claims_of(emulator.pool.sign_in().access), "", algorithm="none")


def garbage(emulator: Emulator) -> str:
    """Nothing like a token."""
    return f"no-token-of-{emulator.name}"


def segment(data: bytes) -> str:
    """Encode base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forged(token: str, *, kid: str) -> str:
    """Sign the claims of `token` with a key of our own."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return jwt.encode(claims_of(token), key, algorithm="RS256", headers={"kid": kid})


@pytest.mark.parametrize(
    "make, reason",
    [
        pytest.param(make, reason, id=make.__name__.replace("_", " "))
        for make, reason in (
            (id_token, Reason.WRONG_TOKEN_USE),
            (token_of_another_pool, Reason.WRONG_ISSUER),
            (token_of_another_client, Reason.WRONG_CLIENT),
            (token_with_flipped_bit, Reason.INVALID_SIGNATURE),
            (token_with_scope_written_in, Reason.INVALID_SIGNATURE),
            (token_of_own_key_under_published_kid, Reason.INVALID_SIGNATURE),
            (token_of_own_key, Reason.UNKNOWN_KEY),
            (token_without_signature, Reason.UNSUPPORTED_ALGORITHM),
            (garbage, Reason.MALFORMED_TOKEN),
        )
    ],
)
def test_bad_token_is_refused(
    api: GuardedAPI,
    emulator: Emulator,
    caplog: pytest.LogCaptureFixture,
    make: Callable[[Emulator], str],
    reason: Reason,
) -> None:
    """Each is refused for its one fault, with 401, and told apart in the log."""
    assert_refused(api, make(emulator), reason, caplog)


def test_refresh_token_as_bearer_is_refused(
    api: GuardedAPI, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    """A refresh token opens no API; ministack's is a JWT of the right key, client and issuer, moto's is a UUID."""
    reasons = {"ministack": Reason.WRONG_TOKEN_USE, "moto": Reason.MALFORMED_TOKEN}
    assert_refused(api, emulator.pool.sign_in().refresh, reasons[emulator.name], caplog)


def test_token_of_foreign_pool_is_good_for_its_own(emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    """The same code with the other pool's settings takes the other pool's token, and no more the first one's."""
    with guarded_api(settings_for(emulator.other_pool)) as api:
        assert api.get("/me", emulator.other_pool.sign_in().access).status_code == httpx.codes.OK
        assert_refused(api, emulator.pool.sign_in().access, Reason.WRONG_ISSUER, caplog)


def test_token_two_hours_later_is_expired(pool: SeededPool, caplog: pytest.LogCaptureFixture) -> None:
    """The same token that is good now is refused when its time is over."""
    tokens = pool.sign_in()
    offset = 0.0
    with guarded_api({**settings_for(pool), "clock": lambda: time.time() + offset}) as api:
        assert api.get("/me", tokens.access).status_code == httpx.codes.OK
        offset = TWO_HOURS
        assert_refused(api, tokens.access, Reason.EXPIRED, caplog, EXPIRED_TOKEN)


# -- where the keys come from


def test_many_requests_fetch_the_keys_once(pool: SeededPool) -> None:
    """Forty requests with eight tokens on eight threads, from cold, ask the JWKS endpoint once."""
    tokens = [pool.sign_in().access for _ in range(8)]
    with guarded_api(settings_for(pool)) as api, ThreadPoolExecutor(max_workers=8) as threads:
        responses = list(threads.map(partial(api.get, "/me"), tokens * 5))
        assert [response.status_code for response in responses] == [httpx.codes.OK] * 40
        assert api.fetch.asked == [pool.jwks_uri]


def test_token_refused_before_its_key_matters_fetches_nothing(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Form and issuer are judged before the network is used, so that strangers cannot make us fetch."""
    with guarded_api(settings_for(emulator.pool)) as api:
        assert_refused(api, token_of_another_pool(emulator), Reason.WRONG_ISSUER, caplog)
        assert_refused(api, token_without_signature(emulator), Reason.UNSUPPORTED_ALGORITHM, caplog)
        assert_refused(api, garbage(emulator), Reason.MALFORMED_TOKEN, caplog)
        assert api.fetch.asked == []


def test_keys_out_of_reach_are_no_fault_of_the_token(pool: SeededPool, caplog: pytest.LogCaptureFixture) -> None:
    """A good token with no key to check it by is answered 503 and a time to come back, not 401."""
    with socket.socket() as reserved:
        reserved.bind((LOOPBACK, 0))  # bound and not listening: connections are refused
        unreachable = f"http://{LOOPBACK}:{reserved.getsockname()[1]}/jwks.json"
        with (
            guarded_api({**settings_for(pool), "jwks_uri": unreachable}) as api,
            caplog.at_level(logging.INFO, logger="cognito_guard"),
        ):
            response = api.get("/me", pool.sign_in().access)
    assert_answer(response, httpx.codes.SERVICE_UNAVAILABLE, None)
    assert int(response.headers["Retry-After"]) >= 1
    assert reasons_logged(caplog) == [Reason.KEYS_UNAVAILABLE]
