"""
A user pool under its true names: the verifier knows its id and that of the app client, and nothing else.

An emulator stands behind those names, at the other end of a proxy.  The program is a process of its own, so that
nothing of the tests can help it; all that its environment holds is the proxy and whom to trust.
"""

from __future__ import annotations

import base64
import importlib
import json
import ssl
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest

from .aws_front import DOMAIN, ORIGINAL, UPDATED, Asked, AWSFront
from .emulators import REGION, CognitoClient, Emulator, SeededPool, tokens_of
from .tokens import PASSWORD, RESOURCE_SERVER, USER

PATIENCE = 60.0  # seconds for a run, which takes less than one
PROGRAM = """
import asyncio, json, sys
from cognito_guard import CognitoVerifier, RefusalError

colour, pool_id, client_id, *tokens = json.load(sys.stdin)
verifier = CognitoVerifier(pool_id, client_id=client_id)

def judge(token):
    try:
        principal = verifier.verify(token) if colour == "sync" else asyncio.run(verifier.averify(token))
    except RefusalError as error:
        return [type(error).__name__, error.reason]
    return ["Principal", principal.username or principal.client_id]

print(json.dumps([judge(token) for token in tokens]))
"""
ACCEPTED = ["Principal", USER]
UNAVAILABLE = ["UnavailableError", "keys_unavailable"]

Front: TypeAlias = Callable[..., AWSFront]
Run: TypeAlias = Callable[..., list[list[str]]]


@pytest.fixture
def front_of(tmp_path: Path) -> Generator[Front]:
    """Return a function that puts a user pool's emulator behind its true names."""
    with ExitStack() as stack:

        def front_of(pool: SeededPool, shown: str | None = None) -> AWSFront:
            return stack.enter_context(closing(AWSFront(pool.endpoint, tmp_path, shown=shown)))

        yield front_of


@pytest.fixture(params=["sync", "async"])
def run(request: pytest.FixtureRequest) -> Run:
    """Return a function that runs the program, and returns what became of each token: class, and name or reason."""

    def run(front: AWSFront, pool_id: str, client_id: str, *tokens: str, trusting: bool = True) -> list[list[str]]:
        ended = subprocess.run(
            [sys.executable, "-W", "error", "-c", PROGRAM],
            input=json.dumps([request.param, pool_id, client_id, *tokens]),
            env={"HTTPS_PROXY": front.url} | ({"SSL_CERT_FILE": str(front.ca_file)} if trusting else {}),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert (ended.returncode, ended.stderr) == (0, "")
        outcomes: list[list[str]] = json.loads(ended.stdout)
        return outcomes

    return run


def jwks_of(pool: SeededPool, host: str = ORIGINAL) -> Asked:
    """Return the request for a user pool's keys."""
    return Asked(host, "GET", f"/{pool.user_pool_id}/.well-known/jwks.json")


def changed(token: str, segment: int, **members: object) -> str:
    """Change the header (0) or the claims (1) of a token, and keep its signature."""
    segments = token.split(".")
    content = json.loads(base64.urlsafe_b64decode(segments[segment] + "=="))
    document = json.dumps(content | members).encode()
    segments[segment] = base64.urlsafe_b64encode(document).rstrip(b"=").decode()
    return ".".join(segments)


def api_at(front: AWSFront) -> CognitoClient:
    """Build a boto3 client for the true name of the user pools' API."""
    config = importlib.import_module("botocore.config").Config(
        proxies={"https": front.url}, retries={"max_attempts": 1}
    )
    client: Any = importlib.import_module("boto3").client(
        "cognito-idp",
        endpoint_url=f"https://{ORIGINAL}",
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        verify=str(front.ca_file),
        config=config,
    )
    checked: CognitoClient = client
    return checked


def test_tokens_of_the_pool_are_accepted(pool: SeededPool, front_of: Front, run: Run) -> None:
    """Pool ID and client ID are all it takes; the keys of all sign-ins cost one request, to the original name."""
    front = front_of(pool)
    tokens = [pool.sign_in(flow).access for flow in ("USER_PASSWORD_AUTH", "ADMIN_USER_PASSWORD_AUTH")]
    assert run(front, pool.user_pool_id, pool.web_client_id, *tokens) == [ACCEPTED] * 2
    assert front.tunnels == [f"{ORIGINAL}:443"]
    assert front.requests == [jwks_of(pool)]


def test_sign_in_at_the_true_name_is_accepted(pool: SeededPool, front_of: Front, run: Run) -> None:
    """Sign-in and keys come from one place, as on AWS."""
    front = front_of(pool)
    with closing(api_at(front)) as cognito:
        parameters = {"USERNAME": USER, "PASSWORD": PASSWORD}
        answer = cognito.initiate_auth(
            AuthFlow="USER_PASSWORD_AUTH", ClientId=pool.web_client_id, AuthParameters=parameters
        )
    assert run(front, pool.user_pool_id, pool.web_client_id, tokens_of(answer).access) == [ACCEPTED]
    assert front.requests == [Asked(ORIGINAL, "POST", "/"), jwks_of(pool)]


def test_machine_token_of_the_pools_domain_is_accepted(ministack: Emulator, front_of: Front, run: Run) -> None:
    """The domain of the user pool issues tokens whose issuer and keys are elsewhere."""
    pool = ministack.pool
    front = front_of(pool)
    trust = ssl.create_default_context(cafile=front.ca_file)
    with httpx.Client(proxy=front.url, verify=trust, trust_env=False, timeout=PATIENCE) as client:
        answer = client.post(
            f"https://{DOMAIN}/oauth2/token",
            auth=(pool.machine_client_id, pool.machine_client_secret),
            data={"grant_type": "client_credentials", "scope": f"{RESOURCE_SERVER}/post"},
        )
    token = answer.json()["access_token"]
    assert run(front, pool.user_pool_id, pool.machine_client_id, token) == [["Principal", pool.machine_client_id]]
    assert front.requests == [Asked(DOMAIN, "POST", "/oauth2/token"), jwks_of(pool)]


def test_token_of_another_pool_or_client_is_refused(emulator: Emulator, front_of: Front, run: Run) -> None:
    """A foreign issuer is refused without asking anybody for keys, even where the pools share one (moto)."""
    pool, stranger = emulator.pool, emulator.other_pool
    front = front_of(pool)
    foreign = stranger.sign_in().access
    assert run(front, pool.user_pool_id, pool.web_client_id, foreign) == [["InvalidClaimError", "wrong_issuer"]]
    assert front.tunnels == []
    other = pool.sign_in(client_id=pool.other_client_id).access
    ours = pool.sign_in().access
    assert run(front, pool.user_pool_id, pool.web_client_id, other, foreign, ours) == [
        ["InvalidClaimError", "wrong_client"],
        ["InvalidClaimError", "wrong_issuer"],
        ACCEPTED,
    ]
    assert front.requests == [jwks_of(pool)]


@pytest.mark.parametrize(
    "shown, trusting",
    [
        pytest.param(None, False, id="an authority that the system does not know"),
        pytest.param(DOMAIN, True, id="a certificate for another name"),
        pytest.param(f"*.{ORIGINAL}", True, id="a certificate for the names beneath"),
    ],
)
def test_endpoint_that_cannot_show_who_it_is_yields_no_keys(
    ministack: Emulator, front_of: Front, run: Run, shown: str | None, trusting: bool
) -> None:
    """Whoever sits in between could publish keys of its own: both names are tried, and nothing is sent to either."""
    pool = ministack.pool
    front = front_of(pool, shown=shown)
    token = pool.sign_in().access
    assert run(front, pool.user_pool_id, pool.web_client_id, token, trusting=trusting) == [UNAVAILABLE]
    assert front.tunnels == [f"{ORIGINAL}:443", f"{UPDATED}:443"]
    assert front.requests == []


def test_proxy_that_refuses_the_tunnel_yields_no_keys(ministack: Emulator, front_of: Front, run: Run) -> None:
    """The names follow from the Region of the pool's ID; nobody stands behind those of another Region here."""
    pool_id = "eu-west-1_AbCdEf123"
    hosts = [f"{name}.eu-west-1.amazonaws.com" for name in ("cognito-idp", "issuer-cognito-idp")]
    front = front_of(ministack.pool)
    token = changed(ministack.pool.sign_in().access, 1, iss=f"https://{hosts[0]}/{pool_id}")
    assert run(front, pool_id, ministack.pool.web_client_id, token) == [UNAVAILABLE]
    assert front.tunnels == [f"{host}:443" for host in hosts]


def test_name_of_the_updated_issuer_is_asked_once(ministack: Emulator, front_of: Front, run: Run) -> None:
    """Only a token that claims the updated issuer leads there; the 404 is remembered, and is no outage."""
    pool = ministack.pool
    front = front_of(pool)
    token = pool.sign_in().access
    forged = changed(token, 1, iss=f"https://{UPDATED}/{pool.user_pool_id}")
    unknown = changed(forged, 0, kid="unknown")
    assert run(front, pool.user_pool_id, pool.web_client_id, forged, token, unknown, token) == [
        ["InvalidSignatureError", "invalid_signature"],
        ACCEPTED,
        ["UnknownKeyError", "unknown_key"],
        ACCEPTED,
    ]
    assert front.requests == [jwks_of(pool, UPDATED), jwks_of(pool), jwks_of(pool)]
