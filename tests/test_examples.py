"""The examples do what they say: each runs by itself, and answers attacks in the words of the RFCs."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from adapters.contract import Answer, RawHeaders, ask_asgi, ask_wsgi

from cognito_guard.testing import FakeUserPool

EXAMPLES = Path(__file__).parent.parent / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py"))

NEEDS_WRITE = (
    'Bearer realm="cognito", error="insufficient_scope", '
    'error_description="The token lacks a scope that is required", scope="orders/write"'
)
MCP = "https://mcp.example.com/mcp"
PRINTED = {
    "alb_app": [
        "hello jane",
        "refused: missing_token",
        "401 UNAUTHORIZED",
        "refused: wrong_issuer",
        "401 UNAUTHORIZED",
        "refused: claim_mismatch",
        "401 UNAUTHORIZED",
    ],
    "identity_pool": [
        "member eu-west-1:3b397085",
        "refused: claim_mismatch",
        "guest eu-west-1:d7331a62",
        "refused: wrong_audience",
    ],
    "plain_verifier": [
        "first: done for jane",
        "second: not allowed, insufficient_scope",
        "third: refused, wrong_token_use",
    ],
    "several_pools": [
        "hello colleague jane",
        "hello customer jane",
        '401 Bearer realm="cognito", error="invalid_token"',
        '401 Bearer realm="cognito", error="invalid_token"',
    ]
    * 2,
    "sign_out": ["hello jane", "bye", "401", "hello jane"],
    "srp_sign_in": [
        "AccessToken 200 hello jane",
        ('IdToken 401 Bearer realm="cognito", error="invalid_token", error_description="The token is not valid here"'),
    ],
    "starlette_app": [
        "ok",
        '401 Bearer realm="cognito"',
        "False",
        NEEDS_WRITE,
    ],
    "django_app": [
        '401 Bearer realm="cognito", scope="orders/read"',
        '{"caller": "jane", "machine": false} report for jane',
        "403 hello joe",
    ],
    "drf_app": [
        '401 Bearer realm="cognito", scope="orders/read"',
        '{"caller":"jane"}',
        NEEDS_WRITE,
        '{"caller":"joe"}',
    ],
    "fastapi_app": [
        '401 Bearer realm="cognito", scope="orders/read"',
        "False",
        "{'error': 'access_denied', 'error_description': 'The caller is not allowed to do this'}",
        "[{'CognitoBearer': ['orders/write']}]",
        "hello jane",
    ],
    "flask_app": [
        "public: ['static']",
        "hello stranger / hello jane",
        '401 Bearer realm="cognito", scope="orders/read"',
        "{'caller': 'jane', 'machine': False, 'orders': []}",
        "403",
        "{'caller': 'joe', 'report': []}",
    ],
    "lambda_authorizer": [
        "Allow ['prod/GET/orders']",
        "Deny ['prod/POST/orders']",
        "orders of jane",
        "Unauthorized",
        NEEDS_WRITE,
        "{'statusCode': 201, 'body': 'added for joe'}",
    ],
    "litestar_app": [
        'Bearer realm="cognito"',
        '{"orders":[],"caller":"jane"}',
        "403 401",
    ],
    "machine_to_machine": [
        "200 ['access_token', 'expires_in', 'token_type']",
        "{'caller': 'nightly', 'machine': True}",
        NEEDS_WRITE,
        "400 {'error': 'invalid_client'}",
    ],
    "mcp_server": [
        f"['{MCP}/read', '{MCP}/write'] 401",
        (
            '403 Bearer realm="cognito", error="insufficient_scope", '
            f'error_description="The token lacks a scope that is required", scope="{MCP}/read", '
            'resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp"'
        ),
        (
            '200 {"jsonrpc":"2.0","id":1,"result":{"content":[{"text":"Error executing tool add_order: '
            f'needs the scope {MCP}/write","type":"text"}}],"isError":true}}}}'
        ),
        (
            '200 {"jsonrpc":"2.0","id":1,"result":{"content":[{"text":"added","type":"text"}],"isError":false,'
            '"structuredContent":{"result":"added"}}}'
        ),
    ],
    "optional_login": ["hello stranger", "hello jane", "401"],
    "quart_app": [
        '401 Bearer realm="cognito"',
        "{'caller': 'jane', 'orders': []}",
        NEEDS_WRITE,
    ],
    "websocket": [
        "jane: hello",
        "accepted as bearer",
        "closed with 1008",
        '401 Bearer realm="cognito"',
        '401 Bearer realm="cognito", error="invalid_token", error_description="The token is not valid here"',
        "403 " + NEEDS_WRITE.replace("orders/write", "chat/join"),
    ],
    "wsgi_app": [
        '401 Bearer realm="cognito"',
        '{"orders": [], "caller": "jane"}',
        NEEDS_WRITE,
    ],
}


@pytest.mark.parametrize("name", NAMES)
def test_example_prints_what_it_should(name: str) -> None:
    """Every example runs by itself, offline, lets the good request in and refuses the bad one."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ran.returncode, ran.stdout.splitlines()) == (0, PRINTED[name]), ran.stderr


@pytest.mark.parametrize("name", NAMES)
def test_example_fits_on_a_page(name: str) -> None:
    """No example is longer than what can be taken in at a glance."""
    assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) < 60


# The route that is asked for, and the scope it needs.
GUARDED: Mapping[str, tuple[str, str]] = {
    "django_app": ("/orders", "orders/read"),
    "drf_app": ("/orders", "orders/read"),
    "fastapi_app": ("/orders", "orders/read"),
    "flask_app": ("/orders", "orders/read"),
    "litestar_app": ("/orders", "orders/read"),
    "mcp_server": ("/mcp", f"{MCP}/read"),
    "quart_app": ("/orders", "orders/read"),
    "starlette_app": ("/orders", "orders/read"),
    "wsgi_app": ("/orders", "orders/read"),
}


def attacked(name: str, path: str) -> dict[str, Answer]:
    """Return an example's answers to attacks; runs in a process of its own, since frameworks configure theirs."""
    warnings.simplefilter("error")
    sys.path.insert(0, str(EXAMPLES))
    example: Any = import_module(name)
    pool: FakeUserPool = example.pool

    def ask(*tokens: str) -> Answer:
        headers: RawHeaders = [(b"Authorization", f"Bearer {token}".encode()) for token in tokens]
        if name in ("django_app", "drf_app"):
            from django.core.wsgi import get_wsgi_application

            return ask_wsgi(get_wsgi_application(), "GET", path, headers)
        if name == "flask_app":
            return ask_wsgi(example.create_app(), "GET", path, headers)
        return (ask_wsgi if name == "wsgi_app" else ask_asgi)(example.app, "GET", path, headers)

    token = pool.access_token(audience=MCP if name == "mcp_server" else None)
    answers = {
        "no token": ask(),
        "ID token": ask(pool.id_token()),
        "token of another user pool": ask(FakeUserPool("eu-west-1_FakePool2").access_token()),
        "token without the scope": ask(token),
        "token twice": ask(token, token),
    }
    # A key that nobody has seen yet, and a key endpoint that publishes none: it may be a rotation.
    pool.rotate(publish_old=False)
    pool.withdraw(pool.access_key.kid)
    pool.withdraw(pool.id_key.kid)
    return answers | {"keys out of reach": ask(pool.access_token())}


@pytest.mark.parametrize("name", GUARDED)
def test_attacked_example_answers_to_the_letter(name: str) -> None:
    """No framework's own error handling comes between a refusal and the wire: status, error code, scope, caching."""
    path, scope = GUARDED[name]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        answers = process.submit(attacked, name, path).result(timeout=60)
    challenges = {attack: " ".join(answer.challenges) for attack, answer in answers.items()}
    codes = {attack: re.findall(r' error="(\w+)"', challenge) for attack, challenge in challenges.items()}
    assert {attack: (answer.status, codes[attack]) for attack, answer in answers.items()} == {
        "no token": (401, []),
        "ID token": (401, ["invalid_token"]),
        "token of another user pool": (401, ["invalid_token"]),
        "token without the scope": (403, ["insufficient_scope"]),
        "token twice": (400, ["invalid_request"]),
        "keys out of reach": (503, []),
    }
    assert challenges["no token"].startswith('Bearer realm="cognito"')
    assert f'scope="{scope}"' in challenges["token without the scope"]
    assert (challenges["keys out of reach"], answers["keys out of reach"].headers["retry-after"]) == ("", "1")
    assert {answer.headers.get("cache-control") for answer in answers.values()} == {"no-store"}
