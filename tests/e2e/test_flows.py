"""
Every flow of Cognito that yields a token, through real clients and an emulator, to a guarded API over real HTTP.

Each test signs in and has the tokens judged: by the API they are for, which must see the right caller, and by guards
for the other kind of token, another client and another user pool, which must refuse them for the right reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

import httpx
import pytest

from cognito_guard import Reason, RevocationList

from .answers import assert_answer, assert_refused, insufficient_scope
from .emulators import REGION, ClientError, Emulator, Flow, SeededPool, aws_client, tokens_of
from .guarded_api import bearer, guarded_api, settings_for
from .guards import Caller, Guards, Judge, member, shown_claims
from .lambda_triggers import ANSWER, ATTEMPTS, QUESTION
from .oauth import ask_for_tokens
from .sign_ins import SRP, enrol_authenticator, one_time_code, secret_hash, with_one_time_code
from .tokens import GROUP, PASSWORD, SIGN_IN_SCOPE, USER, VISITOR, Tokens, claims_of

NEW_PASSWORD = f"{PASSWORD}2"
WRONG_PASSWORD = f"{PASSWORD}!"


def only_on(emulator: str) -> pytest.MarkDecorator:
    """Run a test on one emulator, for what the other lacks."""
    return pytest.mark.parametrize("emulator", [emulator], indirect=True)


def respond(
    pool: SeededPool, challenge: Mapping[str, Any], username: str, responses: Mapping[str, str]
) -> Mapping[str, Any]:
    """Answer a challenge at the web client."""
    return pool.cognito.respond_to_auth_challenge(
        ClientId=pool.web_client_id,
        ChallengeName=challenge["ChallengeName"],
        Session=challenge["Session"],
        ChallengeResponses={"USERNAME": username, **responses},
    )


def started(pool: SeededPool, username: str, flow: str = "USER_PASSWORD_AUTH") -> Mapping[str, Any]:
    """Start a sign-in at the web client; return the challenge."""
    parameters = {"USERNAME": username, "PASSWORD": PASSWORD}
    return pool.cognito.initiate_auth(AuthFlow=flow, ClientId=pool.web_client_id, AuthParameters=parameters)


def newcomer_at(pool: SeededPool, username: str, subject: str) -> Caller:
    """Describe a user who is in no group, signed in at the web client."""
    return Caller(subject=subject, username=username, client_id=pool.web_client_id)


# -- SRP


def test_srp_sign_in(pool: SeededPool, judge: Judge) -> None:
    """USER_SRP_AUTH at a public client."""
    judge(tokens_of(SRP(pool, USER).sign_in()), member(pool, USER))


def test_srp_sign_in_with_client_secret(pool: SeededPool, judge: Judge) -> None:
    """USER_SRP_AUTH at a client that has a secret: both requests carry a secret hash."""
    answer = SRP(pool, USER, is_confidential=True).sign_in()
    judge(tokens_of(answer), member(pool, USER, pool.confidential_client_id))


def test_password_verifier_step_by_step(pool: SeededPool, judge: Judge) -> None:
    """USER_SRP_AUTH is answered with PASSWORD_VERIFIER and no token; the proof of the password yields the tokens."""
    srp = SRP(pool, USER)
    sent, challenge = srp.start()
    assert challenge["ChallengeName"] == "PASSWORD_VERIFIER"
    assert "AuthenticationResult" not in challenge
    assert {"SALT", "SRP_B", "SECRET_BLOCK", "USER_ID_FOR_SRP"} <= challenge["ChallengeParameters"].keys()
    proof = srp.proof(sent, challenge)
    assert PASSWORD not in str((sent, proof))
    answer = pool.cognito.respond_to_auth_challenge(
        ClientId=pool.web_client_id, ChallengeName="PASSWORD_VERIFIER", ChallengeResponses=proof
    )
    judge(tokens_of(answer), member(pool, USER))


@only_on("ministack")
def test_srp_proof_of_wrong_password_yields_nothing(pool: SeededPool) -> None:
    """The emulator checks the proof, so the sign-ins above are real."""
    with pytest.raises(ClientError, match="NotAuthorizedException"):
        SRP(pool, USER, WRONG_PASSWORD).sign_in()


# -- passwords


@pytest.mark.parametrize("flow", ["USER_PASSWORD_AUTH", "ADMIN_USER_PASSWORD_AUTH"])
def test_password_sign_in(pool: SeededPool, judge: Judge, flow: Flow) -> None:
    """USER_PASSWORD_AUTH by the user's client, ADMIN_USER_PASSWORD_AUTH by a server."""
    judge(pool.sign_in(flow), member(pool, USER))


def test_legacy_admin_sign_in(pool: SeededPool, judge: Judge) -> None:
    """ADMIN_NO_SRP_AUTH, the old name, at a client that allows nothing else."""
    tokens = pool.sign_in("ADMIN_NO_SRP_AUTH", client_id=pool.legacy_client_id)
    judge(tokens, member(pool, USER, pool.legacy_client_id))


def test_password_sign_in_with_client_secret(pool: SeededPool, judge: Judge) -> None:
    """USER_PASSWORD_AUTH at a client that has a secret."""
    parameters = {"USERNAME": USER, "PASSWORD": PASSWORD, "SECRET_HASH": secret_hash(pool, USER)}
    answer = pool.cognito.initiate_auth(
        AuthFlow="USER_PASSWORD_AUTH", ClientId=pool.confidential_client_id, AuthParameters=parameters
    )
    judge(tokens_of(answer), member(pool, USER, pool.confidential_client_id))


def test_first_sign_in_with_new_password(pool: SeededPool, judge: Judge) -> None:
    """NEW_PASSWORD_REQUIRED: who signs in with a temporary password gets tokens for choosing one of their own."""
    username, subject = pool.newcomer(is_permanent=False)
    challenge = started(pool, username)
    assert challenge["ChallengeName"] == "NEW_PASSWORD_REQUIRED"
    assert "AuthenticationResult" not in challenge
    answer = respond(pool, challenge, username, {"NEW_PASSWORD": NEW_PASSWORD})
    judge(tokens_of(answer), newcomer_at(pool, username, subject))


@only_on("ministack")
def test_first_srp_sign_in_with_new_password(pool: SeededPool, judge: Judge) -> None:
    """USER_SRP_AUTH with a temporary password is answered with NEW_PASSWORD_REQUIRED after the proof."""
    username, subject = pool.newcomer(is_permanent=False)
    challenge = SRP(pool, username).sign_in()
    assert challenge["ChallengeName"] == "NEW_PASSWORD_REQUIRED"
    assert "AuthenticationResult" not in challenge
    answer = respond(pool, challenge, username, {"NEW_PASSWORD": NEW_PASSWORD})
    judge(tokens_of(answer), newcomer_at(pool, username, subject))


# -- second factors


def test_totp_sign_in(pool: SeededPool, judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    """SOFTWARE_TOKEN_MFA: a wrong one-time code yields nothing, the right one tokens like any other."""
    # moto, on a thread of this process, would take any code without it.
    monkeypatch.setenv("MOTO_COGNITO_IDP_USER_POOL_ENABLE_TOTP", "true")
    username, subject = pool.newcomer()
    secret = enrol_authenticator(pool, username)
    challenge = started(pool, username)
    assert challenge["ChallengeName"] == "SOFTWARE_TOKEN_MFA"

    def sign_in(code: str) -> Mapping[str, Any]:
        return respond(pool, started(pool, username), username, {"SOFTWARE_TOKEN_MFA_CODE": code})

    with pytest.raises(ClientError, match=r"CodeMismatchException|NotAuthorizedException"):
        sign_in("abcdef")
    answer = with_one_time_code(secret, sign_in)
    judge(tokens_of(answer), newcomer_at(pool, username, subject))


@only_on("ministack")
def test_srp_then_totp_sign_in(pool: SeededPool, judge: Judge) -> None:
    """A proven password and then a one-time code: two challenges before there is any token."""
    username, subject = pool.newcomer()
    secret = enrol_authenticator(pool, username)
    challenge = SRP(pool, username).sign_in()
    assert challenge["ChallengeName"] == "SOFTWARE_TOKEN_MFA"
    assert "AuthenticationResult" not in challenge
    # The emulator takes the codes of the neighbouring half minutes too.
    answer = respond(pool, challenge, username, {"SOFTWARE_TOKEN_MFA_CODE": one_time_code(secret)})
    judge(tokens_of(answer), newcomer_at(pool, username, subject))


@only_on("moto")
def test_sms_sign_in(pool: SeededPool, judge: Judge) -> None:
    """SMS_MFA: no token before the code that came by text message, whatever the emulator takes for one."""
    phone = {"phone_number": "+15555550100", "phone_number_verified": "true"}
    username, subject = pool.newcomer(attributes=phone)
    preferred = {"Enabled": True, "PreferredMfa": True}
    access = pool.sign_in(username=username).access
    pool.cognito.set_user_mfa_preference(AccessToken=access, SMSMfaSettings=preferred)
    challenge = started(pool, username)
    assert challenge["ChallengeName"] == "SMS_MFA"
    assert "AuthenticationResult" not in challenge
    answer = respond(pool, challenge, username, {"SMS_MFA_CODE": "123456"})
    judge(tokens_of(answer), newcomer_at(pool, username, subject))


# -- triggers


@only_on("ministack_with_triggers")
def test_custom_challenge_sign_in(pool: SeededPool, judge: Judge) -> None:
    """CUSTOM_AUTH: three Lambda functions ask, ask again after a wrong answer, and let in after the right one."""
    challenge = started(pool, USER, "CUSTOM_AUTH")
    assert (challenge["ChallengeName"], challenge["ChallengeParameters"]["question"]) == ("CUSTOM_CHALLENGE", QUESTION)
    again = respond(pool, challenge, USER, {"ANSWER": "a wrong one"})
    assert again["ChallengeName"] == "CUSTOM_CHALLENGE"
    assert "AuthenticationResult" not in again
    answer = respond(pool, again, USER, {"ANSWER": ANSWER})
    judge(tokens_of(answer), member(pool, USER, scopes=[SIGN_IN_SCOPE, "transactions/get"]))


@only_on("ministack_with_triggers")
def test_custom_challenge_never_answered_yields_nothing(pool: SeededPool) -> None:
    """After the last wrong answer there is no further question, and no token."""
    challenge = started(pool, USER, "CUSTOM_AUTH")
    for _ in range(ATTEMPTS - 1):
        challenge = respond(pool, challenge, USER, {"ANSWER": "a wrong one"})
    with pytest.raises(ClientError, match="NotAuthorizedException"):
        respond(pool, challenge, USER, {"ANSWER": "a wrong one"})


@only_on("ministack_with_triggers")
def test_customized_tokens(pool: SeededPool, guards: Guards, judge: Judge) -> None:
    """Pre-token-generation V2: claims reach the handler with their JSON types, and scopes open what they name."""
    tokens = pool.sign_in()
    judge(tokens, member(pool, USER, scopes=[SIGN_IN_SCOPE, "transactions/get"]))
    claims = {
        name: guards.access.get(f"/claims/{name}", tokens.access).json() for name in ("tenant", "limits", "roles")
    }
    assert claims == {
        "tenant": "t-42",
        "limits": {"per_day": 3, "currencies": ["EUR", "USD"]},
        "roles": ["clerk", "auditor"],
    }
    assert guards.access.get("/claims/is_partner", tokens.access).json() is True
    assert guards.access.get("/transactions", tokens.access).json() == {"listed_for": pool.web_client_id}
    assert_answer(
        guards.access.client.post("/transactions", headers=bearer(tokens.access)),
        httpx.codes.FORBIDDEN,
        insufficient_scope("transactions/post"),
    )
    changed = {"tenant": "t-42", "email": None, "limits": None}
    assert shown_claims(guards.id, tokens.id, changed) == changed


# -- refresh


def test_refresh_token_auth(pool: SeededPool, judge: Judge) -> None:
    """REFRESH_TOKEN_AUTH yields new tokens of the same caller, which go back to the same sign-in."""
    signed_in = pool.sign_in()
    refreshed = pool.refresh(signed_in.refresh)
    assert (refreshed.refresh, refreshed.access != signed_in.access) == ("", True)
    assert claims_of(refreshed.access)["origin_jti"] == claims_of(signed_in.access)["origin_jti"]
    judge(replace(refreshed, refresh=signed_in.refresh), member(pool, USER))


@only_on("ministack")
def test_tokens_from_refresh_token(pool: SeededPool, judge: Judge) -> None:
    """GetTokensFromRefreshToken, the call that allows for rotation, does the same."""
    signed_in = pool.sign_in()
    answer = pool.cognito.get_tokens_from_refresh_token(ClientId=pool.web_client_id, RefreshToken=signed_in.refresh)
    refreshed = tokens_of(answer)
    assert refreshed.access != signed_in.access
    judge(replace(refreshed, refresh=signed_in.refresh), member(pool, USER))


@only_on("ministack")
def test_refresh_at_token_endpoint(pool: SeededPool, guards: Guards, judge: Judge) -> None:
    """The refresh_token grant keeps the scopes of the sign-in, and whoever was to have them."""
    signed_in = pool.sign_in_at_login_page("openid transactions/get")
    refreshed = ask_for_tokens(
        pool.endpoint, grant_type="refresh_token", client_id=pool.web_client_id, refresh_token=signed_in.refresh
    )
    # The emulator forgets the groups here, which Cognito does not.
    expected = replace(member(pool, USER, scopes=["openid", "transactions/get"]), groups=())
    judge(replace(refreshed, refresh=signed_in.refresh), expected)
    assert guards.access.get("/transactions", refreshed.access).status_code == httpx.codes.OK


# -- the login page and the token endpoint


@only_on("ministack")
def test_authorization_code_with_pkce(pool: SeededPool, guards: Guards, judge: Judge) -> None:
    """A sign-in at the login page yields exactly the scopes that were asked for."""
    tokens = pool.sign_in_at_login_page("openid transactions/get")
    judge(tokens, member(pool, USER, scopes=["openid", "transactions/get"]))
    assert guards.access.get("/transactions", tokens.access).json() == {"listed_for": pool.web_client_id}


@only_on("ministack")
def test_client_credentials(pool: SeededPool, guards: Guards, judge: Judge) -> None:
    """The client_credentials grant with HTTP Basic yields one token, and the handler sees a machine."""
    token = pool.machine_token("transactions/post")
    machine = Caller(subject=pool.machine_client_id, client_id=pool.machine_client_id, scopes=["transactions/post"])
    judge(Tokens(access=token), machine)
    response = guards.access.client.post("/transactions", headers=bearer(token))
    assert response.json() == {"recorded_for": pool.machine_client_id}


@only_on("ministack")
def test_client_credentials_without_scope(pool: SeededPool, judge: Judge) -> None:
    """A machine that asks for no scope gets all that its client may have, and neither of the other tokens."""
    basic = pool.machine_client_id, pool.machine_client_secret
    tokens = ask_for_tokens(pool.endpoint, basic, grant_type="client_credentials")
    assert (tokens.id, tokens.refresh) == ("", "")
    machine = Caller(subject=pool.machine_client_id, client_id=pool.machine_client_id, scopes=["transactions/post"])
    judge(tokens, machine)


# -- the end of a session


def test_global_sign_out(pool: SeededPool, judge: Judge) -> None:
    """After GlobalSignOut the user pool refuses the tokens; the API asks nobody, and takes them until they expire."""
    username, subject = pool.newcomer()
    tokens = pool.sign_in(username=username)
    pool.cognito.global_sign_out(AccessToken=tokens.access)
    with pytest.raises(ClientError, match="NotAuthorizedException"):
        pool.cognito.get_user(AccessToken=tokens.access)
    with pytest.raises(ClientError, match="NotAuthorizedException"):
        pool.refresh(tokens.refresh)
    judge(tokens, newcomer_at(pool, username, subject))


@only_on("ministack")
def test_revoke_token(pool: SeededPool, judge: Judge) -> None:
    """RevokeToken ends the session at the user pool; the API asks nobody, and takes its tokens until they expire."""
    username, subject = pool.newcomer()
    tokens = pool.sign_in(username=username)
    pool.cognito.revoke_token(ClientId=pool.web_client_id, Token=tokens.refresh)
    with pytest.raises(ClientError, match="NotAuthorizedException"):
        pool.refresh(tokens.refresh)
    with pytest.raises(ClientError, match="NotAuthorizedException"):
        pool.cognito.get_user(AccessToken=tokens.access)
    judge(tokens, newcomer_at(pool, username, subject))


def test_sign_out_that_the_application_takes_note_of(pool: SeededPool, caplog: pytest.LogCaptureFixture) -> None:
    """What it says to its own revocations counts with the next request, and for that user alone."""
    username, subject = pool.newcomer()
    tokens = pool.sign_in(username=username)
    signed_out = RevocationList()
    with guarded_api({**settings_for(pool), "token_use": ["access", "id"], "revocations": signed_out}) as api:
        for token in (tokens.access, tokens.id):
            assert api.get("/me", token).status_code == httpx.codes.OK
        signed_out.revoke_user(pool.user_pool_id, subject)
        pool.cognito.global_sign_out(AccessToken=tokens.access)
        for token in (tokens.access, tokens.id):
            assert_refused(api, token, Reason.REVOKED, caplog)
        assert api.get("/me", pool.sign_in().access).status_code == httpx.codes.OK


@only_on("ministack")
def test_session_that_the_application_revokes(pool: SeededPool, caplog: pytest.LogCaptureFixture) -> None:
    """By its `origin_jti`, with what it was refreshed to; another session of the same user goes on."""
    username, _ = pool.newcomer()
    tokens, other = pool.sign_in(username=username), pool.sign_in(username=username)
    refreshed = pool.refresh(tokens.refresh)
    revoked = RevocationList()
    with guarded_api({**settings_for(pool), "revocations": revoked}) as api:
        revoked.revoke_session(pool.user_pool_id, claims_of(tokens.access)["origin_jti"])
        pool.cognito.revoke_token(ClientId=pool.web_client_id, Token=tokens.refresh)
        for token in (tokens.access, refreshed.access):
            assert_refused(api, token, Reason.REVOKED, caplog)
        assert api.get("/me", other.access).status_code == httpx.codes.OK


# -- groups, and tokens of elsewhere


def test_groups(pool: SeededPool, guards: Guards, caplog: pytest.LogCaptureFixture) -> None:
    """Groups are in both kinds of token; whoever is in none is told 403 without a challenge, at either guard."""
    insider, outsider = pool.sign_in(), pool.sign_in(username=VISITOR)
    assert claims_of(insider.id)["cognito:groups"] == [GROUP]
    for api, good, bad in (
        (guards.access, insider.access, outsider.access),
        (guards.id, insider.id, outsider.id),
    ):
        assert api.get("/admin", good).json() == {"admin": USER}
        assert_answer(api.get("/admin", bad), httpx.codes.FORBIDDEN, None)
        caplog.clear()


@only_on("ministack")
def test_token_of_identity_pool(pool: SeededPool, guards: Guards, caplog: pytest.LogCaptureFixture) -> None:
    """What an identity pool gives for an ID token (GetOpenIdToken) is no token of the user pool."""
    login = {f"cognito-idp.{REGION}.amazonaws.com/{pool.user_pool_id}": pool.sign_in().id}
    provider = {"ProviderName": next(iter(login)), "ClientId": pool.web_client_id}
    with closing(aws_client("cognito-identity", pool.endpoint)) as identity:
        identity_pool = identity.create_identity_pool(
            IdentityPoolName="end-to-end", AllowUnauthenticatedIdentities=False, CognitoIdentityProviders=[provider]
        )
        found = identity.get_id(IdentityPoolId=identity_pool["IdentityPoolId"], Logins=login)
        token = identity.get_open_id_token(IdentityId=found["IdentityId"], Logins=login)["Token"]
    for api in (guards.access, guards.id):
        assert_refused(api, token, Reason.WRONG_ISSUER, caplog)


@only_on("moto")
def test_token_of_another_pool_with_the_same_key(
    emulator: Emulator, pool: SeededPool, guards: Guards, caplog: pytest.LogCaptureFixture
) -> None:
    """Where all user pools share a key, the issuer alone tells them apart, for both kinds of token."""
    keys = [httpx.get(one.jwks_uri, trust_env=False).json() for one in (pool, emulator.other_pool)]
    assert keys[0] == keys[1]
    tokens = pool.sign_in()
    for token in (tokens.access, tokens.id):
        assert_refused(guards.other_pool, token, Reason.WRONG_ISSUER, caplog)
