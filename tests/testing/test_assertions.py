"""One assertion for the responses of all frameworks: it passes what is right, and says what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from adapters.django_settings import COGNITO  # configures Django
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path
from flask import Flask
from starlette.testclient import TestClient

from cognito_guard.asgi import CognitoMiddleware
from cognito_guard.django import cognito_required
from cognito_guard.flask import CognitoGuard
from cognito_guard.testing import FakeUserPool, assert_challenge

BEARER = 'Bearer realm="cognito"'


def answer(status: int, challenge: str | None = None) -> httpx.Response:
    """Return a response."""
    return httpx.Response(status, headers={} if challenge is None else {"WWW-Authenticate": challenge})


@pytest.mark.parametrize(
    "status, challenge, expected",
    [
        pytest.param(401, BEARER, {}, id="no error where no token was sent"),
        pytest.param(401, f'{BEARER}, error="invalid_token"', {"error": "invalid_token"}, id="an error"),
        pytest.param(
            403,
            f'{BEARER}, error="insufficient_scope", scope="a/read b/write"',
            {"error": "insufficient_scope", "scope": "a/read b/write"},
            id="a scope",
        ),
        pytest.param(403, None, {}, id="no challenge at all"),
    ],
)
def test_right_answer_passes(status: int, challenge: str | None, expected: dict[str, str]) -> None:
    """What is not asked for may be there, but for an error."""
    found = assert_challenge(answer(status, challenge), status, **expected)
    assert found == ({} if challenge is None else {"realm": "cognito", **expected})


@pytest.mark.parametrize(
    "response, expected, complaint",
    [
        pytest.param(
            answer(200),
            {"status": 401},
            "expected status 401, got 200 without a challenge",
            id="let in",
        ),
        pytest.param(
            answer(401, BEARER),
            {"status": 403},
            f"expected status 403, got 401 with '{BEARER}'",
            id="another status",
        ),
        pytest.param(
            answer(401, BEARER),
            {"status": 401, "error": "invalid_token"},
            f"expected error=\"invalid_token\", got 401 with '{BEARER}'",
            id="no error",
        ),
        pytest.param(
            answer(401, f'{BEARER}, error="invalid_token"'),
            {"status": 401},
            f"expected no error, got 401 with '{BEARER}, error=\"invalid_token\"'",
            id="an error that should not be there",
        ),
        pytest.param(
            answer(403, f'{BEARER}, error="insufficient_scope", scope="a/read"'),
            {"status": 403, "error": "insufficient_scope", "scope": "a/write"},
            'expected scope="a/write", got 403 with \'Bearer realm="cognito", error="insufficient_scope", '
            'scope="a/read"\'',
            id="another scope",
        ),
        pytest.param(
            answer(401, "Basic realm=cognito"),
            {"status": 401},
            "expected one Bearer challenge with quoted parameters, got 401 with 'Basic realm=cognito'",
            id="another scheme",
        ),
        pytest.param(
            answer(401, "Bearer"),
            {"status": 401},
            "expected one Bearer challenge with quoted parameters, got 401 with 'Bearer'",
            id="a bare scheme",
        ),
        pytest.param(
            answer(401, f"{BEARER}, Basic"),
            {"status": 401},
            f"expected one Bearer challenge with quoted parameters, got 401 with '{BEARER}, Basic'",
            id="two challenges",
        ),
    ],
)
def test_wrong_answer_is_told(response: httpx.Response, expected: dict[str, Any], complaint: str) -> None:
    """What was expected, and what came: enough to see why a test failed."""
    with pytest.raises(AssertionError) as caught:
        assert_challenge(response, **expected)
    assert str(caught.value) == complaint


def through_starlette(pool: FakeUserPool, headers: dict[str, str]) -> Any:
    """Ask an ASGI application."""
    return TestClient(CognitoMiddleware(_never, pool.verifier(required_scopes="a/read"))).get("/", headers=headers)


def through_flask(pool: FakeUserPool, headers: dict[str, str]) -> Any:
    """Ask a Flask application."""
    app = Flask(__name__)
    app.add_url_rule("/", "view", CognitoGuard(app, pool.verifier()).require("a/read")(_never))
    return app.test_client().get("/", headers=headers)


def through_django(pool: FakeUserPool, headers: dict[str, str]) -> Any:
    """Ask a Django site."""

    @cognito_required("a/read")
    def view(request: HttpRequest) -> HttpResponse:
        pytest.fail(f"was let through: {request!r}")

    ours = {"VERIFIER": pool.verifier()}
    with override_settings(ROOT_URLCONF=(path("", view),), MIDDLEWARE=[COGNITO], COGNITO_GUARD=ours):
        return Client().get("/", headers=headers)


def _never(*_: Any) -> Any:
    pytest.fail("was let through")


@pytest.mark.parametrize("ask", [through_starlette, through_flask, through_django])
def test_each_frameworks_response_will_do(ask: Callable[[FakeUserPool, dict[str, str]], Any]) -> None:
    """Of the client that its users test with."""
    pool = FakeUserPool()
    assert_challenge(ask(pool, {}), 401, scope="a/read")
    assert_challenge(ask(pool, pool.headers(expires_in=-60)), 401, error="invalid_token")
    assert_challenge(ask(pool, pool.headers()), 403, error="insufficient_scope", scope="a/read")
