"""One assertion for the responses of all frameworks: it passes what is right, and says what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from adapters.django_settings import COGNITO  # configures Django
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path
from flask import Flask
from flask import Response as FlaskResponse
from starlette.responses import Response as StarletteResponse
from starlette.testclient import TestClient

from cognito_guard.asgi import CognitoMiddleware
from cognito_guard.django import cognito_required
from cognito_guard.flask import CognitoGuard
from cognito_guard.testing import FakeUserPool, assert_challenge

BEARER = 'Bearer realm="cognito"'
HEADER = "WWW-Authenticate"


def answer(status: int, *challenges: str) -> httpx.Response:
    """Return a response with a header for each challenge."""
    return httpx.Response(status, headers=[(HEADER, challenge) for challenge in challenges])


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
        pytest.param(400, f'{BEARER}, error="invalid_request"', {"error": "invalid_request"}, id="not one token"),
    ],
)
def test_right_answer_passes(status: int, challenge: str, expected: dict[str, str]) -> None:
    """What is not asked for may be there, but for an error."""
    assert assert_challenge(answer(status, challenge), status, **expected) == {"realm": "cognito", **expected}


@pytest.mark.parametrize("status", [403, 503])
def test_refusal_that_no_token_would_change_has_no_challenge(status: int) -> None:
    """A caller who lacks a group, or keys that are out of reach."""
    assert assert_challenge(answer(status), status) == {}


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
            id="two challenges in one header",
        ),
        pytest.param(
            answer(401, BEARER, "Basic"),
            {"status": 401},
            f"expected one Bearer challenge with quoted parameters, got 401 with '{BEARER}, Basic'",
            id="two challenges",
        ),
        pytest.param(
            answer(401, BEARER, 'scope="a/read"'),
            {"status": 401},
            f"expected one Bearer challenge with quoted parameters, got 401 with '{BEARER}, scope=\"a/read\"'",
            id="a challenge torn in two",
        ),
        pytest.param(
            answer(403, ""),
            {"status": 403},
            "expected one Bearer challenge with quoted parameters, got 403 with ''",
            id="an empty challenge",
        ),
        pytest.param(
            answer(401, f'{BEARER}, scope="a/read\tb"'),
            {"status": 401},
            "expected one Bearer challenge with quoted parameters, got 401 with "
            '\'Bearer realm="cognito", scope="a/read\\tb"\'',
            id="a character that no parameter may have",
        ),
        pytest.param(
            answer(403, f'{BEARER}, scope="a/write", scope="a/read"'),
            {"status": 403, "scope": "a/read"},
            'expected each parameter once, got 403 with \'Bearer realm="cognito", scope="a/write", scope="a/read"\'',
            id="a parameter twice",
        ),
        pytest.param(answer(401), {"status": 401}, "expected a challenge, got 401 without a challenge", id="none"),
        pytest.param(answer(400), {"status": 400}, "expected a challenge, got 400 without a challenge", id="none, 400"),
        pytest.param(
            answer(503, BEARER), {"status": 503}, f"expected no challenge, got 503 with '{BEARER}'", id="one too many"
        ),
    ],
)
def test_wrong_answer_is_told(response: httpx.Response, expected: dict[str, Any], complaint: str) -> None:
    """What was expected, and what came: enough to see why a test failed."""
    with pytest.raises(AssertionError) as caught:
        assert_challenge(response, **expected)
    assert str(caught.value) == complaint


def test_second_challenge_is_seen_in_each_clients_response() -> None:
    """Those of Werkzeug and Starlette tell the first of several headers unless asked for all."""
    headers = [(HEADER, BEARER), (HEADER, "Basic")]
    starlette = StarletteResponse(status_code=401)
    for name, value in headers:
        starlette.headers.append(name, value)
    requests = SimpleNamespace(status_code=401, headers={HEADER: f"{BEARER}, Basic"})
    for response in (FlaskResponse(status=401, headers=headers), starlette, requests):
        with pytest.raises(AssertionError, match=r"^expected one Bearer challenge"):
            assert_challenge(response, 401)


@pytest.mark.parametrize("status", [0, 200, 302, 404, 500])
def test_status_that_is_no_refusal_is_a_mistake_of_the_test(status: int) -> None:
    """No guard answers so: the test would look for the wrong thing."""
    with pytest.raises(ValueError, match=rf"^a refusal has the status 400, 401, 403 or 503, not {status}$"):
        assert_challenge(answer(status), status)


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
