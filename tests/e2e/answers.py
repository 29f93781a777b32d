"""What the guarded API answers, to the letter: checks for several test modules."""

from __future__ import annotations

import logging

import httpx
import pytest

from cognito_guard import InvalidTokenError, Reason
from cognito_guard.challenge import DEFAULT_REALM

from .guarded_api import GuardedAPI

NO_CREDENTIALS = f'Bearer realm="{DEFAULT_REALM}"'
INVALID_TOKEN = f'{NO_CREDENTIALS}, error="invalid_token", error_description="The token is not valid here"'
EXPIRED_TOKEN = f'{NO_CREDENTIALS}, error="invalid_token", error_description="The token has expired"'
INVALID_REQUEST = f'{NO_CREDENTIALS}, error="invalid_request", error_description="Exactly one bearer token is expected"'


def insufficient_scope(scope: str) -> str:
    """Spell the challenge that names the scope an operation needs (RFC 6750 §3.1)."""
    description = "The token lacks a scope that is required"
    return f'{NO_CREDENTIALS}, error="insufficient_scope", error_description="{description}", scope="{scope}"'


def assert_answer(response: httpx.Response, status: int, challenge: str | None) -> None:
    """Check status and challenge, to the letter, and that no cache may keep the answer."""
    assert response.status_code == status
    assert response.headers.get_list("WWW-Authenticate") == ([] if challenge is None else [challenge])
    assert response.headers["Cache-Control"] == "no-store"


def assert_refused(
    api: GuardedAPI, token: str, reason: Reason, caplog: pytest.LogCaptureFixture, challenge: str = INVALID_TOKEN
) -> None:
    """Check the answer, the log record and the verifier's own error; none may repeat a part of the token."""
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="cognito_guard"):
        response = api.get("/me", token)
    assert_answer(response, httpx.codes.UNAUTHORIZED, challenge)
    assert reasons_logged(caplog) == [reason]
    with pytest.raises(InvalidTokenError) as refusal:
        api.verifier.verify(token)
    assert refusal.value.reason is reason
    said = f"{response.headers} {response.text} {caplog.text} {refusal.value!r}"
    assert [part for part in token.split(".") if part and part in said] == []


def reasons_logged(caplog: pytest.LogCaptureFixture) -> list[object]:
    """List the reason of each refusal in the log."""
    return [vars(record)["reason"] for record in caplog.records if record.name == "cognito_guard"]
