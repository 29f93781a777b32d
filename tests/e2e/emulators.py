"""
Start the Cognito emulators and seed a user pool in them.

Everything listens on 127.0.0.1 and ends with the test session; nothing here knows cognito_guard.
"""

from __future__ import annotations

import importlib
import itertools
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import httpx
from moto.server import ThreadedMotoServer

from .oauth import CALLBACK, Browse, ask_for_tokens, by_form, sign_in_by_code
from .tokens import GROUP, PASSWORD, RESOURCE_SERVER, USER, VISITOR, Tokens, claims_of

LOOPBACK = "127.0.0.1"
REGION = "us-east-1"
READY_WITHIN = 30.0
"""Seconds; both are up in under one, a loaded machine may need more."""
POLL_EVERY = 0.02

Flow = Literal["USER_PASSWORD_AUTH", "ADMIN_USER_PASSWORD_AUTH", "ADMIN_NO_SRP_AUTH"]
EmulatorName = Literal["ministack", "moto"]

_numbers = itertools.count(1)
# Imported by name because neither package carries type information.
_boto3, _config = importlib.import_module("boto3"), importlib.import_module("botocore.config")
ClientError: type[Exception] = importlib.import_module("botocore.exceptions").ClientError
"""What boto3 raises when the service says no; its text names the service's error."""


class CognitoClient(Protocol):
    """The operations used here of boto3's client for user pools, which comes without types."""

    def create_user_pool(self, **request: object) -> Mapping[str, Any]: ...
    def create_user_pool_client(self, **request: object) -> Mapping[str, Any]: ...
    def create_resource_server(self, **request: object) -> Mapping[str, Any]: ...
    def create_group(self, **request: object) -> Mapping[str, Any]: ...
    def admin_create_user(self, **request: object) -> Mapping[str, Any]: ...
    def admin_set_user_password(self, **request: object) -> Mapping[str, Any]: ...
    def admin_add_user_to_group(self, **request: object) -> Mapping[str, Any]: ...
    def admin_get_user(self, **request: object) -> Mapping[str, Any]: ...
    def admin_initiate_auth(self, **request: object) -> Mapping[str, Any]: ...
    def initiate_auth(self, **request: object) -> Mapping[str, Any]: ...
    def respond_to_auth_challenge(self, **request: object) -> Mapping[str, Any]: ...
    def get_tokens_from_refresh_token(self, **request: object) -> Mapping[str, Any]: ...
    def set_user_pool_mfa_config(self, **request: object) -> Mapping[str, Any]: ...
    def associate_software_token(self, **request: object) -> Mapping[str, Any]: ...
    def verify_software_token(self, **request: object) -> Mapping[str, Any]: ...
    def set_user_mfa_preference(self, **request: object) -> Mapping[str, Any]: ...
    def get_user(self, **request: object) -> Mapping[str, Any]: ...
    def global_sign_out(self, **request: object) -> Mapping[str, Any]: ...
    def revoke_token(self, **request: object) -> Mapping[str, Any]: ...
    def close(self) -> None: ...


def aws_client(service: str, endpoint: str) -> Any:
    """Build a boto3 client for `endpoint`; credentials and proxies are arguments, never the environment's."""
    return _boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="test",  # the root key of ministack with AUTH=true; moto takes any
        aws_secret_access_key="test",
        config=_config.Config(proxies={}, retries={"max_attempts": 1}),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SeededPool:
    """
    A user pool with a user in a group, one in none, and five app clients.

    Attributes:
        issuer: the `iss` of its tokens, as found in one: an AWS name, although the keys are local.
        web_client_id: the app client that users sign in with.
        other_client_id: a second such client, which the guarded API does not know.
        confidential_client_id: a third such client, which has a secret.
        legacy_client_id: an app client of the old kind, which knows ADMIN_NO_SRP_AUTH alone.
        machine_client_id: the app client with a secret, allowed the scope transactions/post alone.
        subjects: the `sub` of each user, by user name.
    """

    endpoint: str
    user_pool_id: str
    issuer: str
    jwks_uri: str
    web_client_id: str
    other_client_id: str
    confidential_client_id: str
    confidential_client_secret: str = field(repr=False)
    legacy_client_id: str
    machine_client_id: str
    machine_client_secret: str = field(repr=False)
    subjects: Mapping[str, str]
    cognito: CognitoClient = field(repr=False, compare=False)

    def sign_in(
        self, flow: Flow = "USER_PASSWORD_AUTH", *, username: str = USER, client_id: str | None = None
    ) -> Tokens:
        """Sign a user in, at the web client unless another is named."""
        request: dict[str, object] = {
            "AuthFlow": flow,
            "ClientId": client_id or self.web_client_id,
            "AuthParameters": {"USERNAME": username, "PASSWORD": PASSWORD},
        }
        if flow == "USER_PASSWORD_AUTH":
            return tokens_of(self.cognito.initiate_auth(**request))
        return tokens_of(self.cognito.admin_initiate_auth(UserPoolId=self.user_pool_id, **request))

    def newcomer(self, *, attributes: Mapping[str, str] | None = None, is_permanent: bool = True) -> tuple[str, str]:
        """Create a user whom no other test knows, in no group; return the user's name and `sub`."""
        username = f"newcomer-{next(_numbers)}"
        return username, _create_user(self.cognito, self.user_pool_id, username, attributes or {}, is_permanent)

    def refresh(self, refresh_token: str) -> Tokens:
        """Exchange a refresh token of the web client (REFRESH_TOKEN_AUTH)."""
        return tokens_of(
            self.cognito.initiate_auth(
                AuthFlow="REFRESH_TOKEN_AUTH",
                ClientId=self.web_client_id,
                AuthParameters={"REFRESH_TOKEN": refresh_token},
            )
        )

    def sign_in_at_login_page(self, scope: str, browse: Browse = by_form) -> Tokens:
        """Sign the user in by authorization code with PKCE; moto has no login page."""
        return sign_in_by_code(self.endpoint, self.web_client_id, scope, browse)

    def machine_token(self, scope: str) -> str:
        """Get an access token for the machine client (client_credentials, HTTP Basic); moto has no such endpoint."""
        basic = self.machine_client_id, self.machine_client_secret
        return ask_for_tokens(self.endpoint, basic, grant_type="client_credentials", scope=scope).access


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulator:
    """A running emulator with two user pools of the same make-up."""

    name: EmulatorName
    pool: SeededPool
    other_pool: SeededPool


def tokens_of(answer: Mapping[str, Any]) -> Tokens:
    """Read the tokens out of an answer of the user pool."""
    result = answer["AuthenticationResult"]
    return Tokens(access=result["AccessToken"], id=result["IdToken"], refresh=result.get("RefreshToken", ""))


def seed_pool(endpoint: str, cognito: CognitoClient, triggers: Mapping[str, object] | None = None) -> SeededPool:
    """Create the user pool, with triggers if there are any, its resource server, its app clients and its users."""
    pool_id: str = cognito.create_user_pool(PoolName="end-to-end", LambdaConfig=triggers or {})["UserPool"]["Id"]
    totp: Mapping[str, bool] = {"Enabled": True}
    cognito.set_user_pool_mfa_config(
        UserPoolId=pool_id, SoftwareTokenMfaConfiguration=totp, MfaConfiguration="OPTIONAL"
    )
    cognito.create_resource_server(
        UserPoolId=pool_id,
        Identifier=RESOURCE_SERVER,
        Name=RESOURCE_SERVER,
        Scopes=[{"ScopeName": name, "ScopeDescription": f"{name} transactions"} for name in ("get", "post")],
    )
    web, other = (_sign_in_client(cognito, pool_id, name)["ClientId"] for name in ("web", "other"))
    confidential = _sign_in_client(cognito, pool_id, "confidential", GenerateSecret=True)
    legacy = cognito.create_user_pool_client(
        UserPoolId=pool_id, ClientName="legacy", ExplicitAuthFlows=["ADMIN_NO_SRP_AUTH"]
    )["UserPoolClient"]
    machine = cognito.create_user_pool_client(
        UserPoolId=pool_id,
        ClientName="machine",
        GenerateSecret=True,
        AllowedOAuthFlows=["client_credentials"],
        AllowedOAuthFlowsUserPoolClient=True,
        AllowedOAuthScopes=[f"{RESOURCE_SERVER}/post"],
    )["UserPoolClient"]
    subjects = {username: _create_user(cognito, pool_id, username, {}, True) for username in (USER, VISITOR)}
    cognito.create_group(UserPoolId=pool_id, GroupName=GROUP)
    cognito.admin_add_user_to_group(UserPoolId=pool_id, Username=USER, GroupName=GROUP)
    first = cognito.initiate_auth(
        AuthFlow="USER_PASSWORD_AUTH", ClientId=web, AuthParameters={"USERNAME": USER, "PASSWORD": PASSWORD}
    )
    return SeededPool(
        endpoint=endpoint,
        user_pool_id=pool_id,
        issuer=claims_of(tokens_of(first).access)["iss"],
        jwks_uri=f"{endpoint}/{pool_id}/.well-known/jwks.json",
        web_client_id=web,
        other_client_id=other,
        confidential_client_id=confidential["ClientId"],
        confidential_client_secret=confidential["ClientSecret"],
        legacy_client_id=legacy["ClientId"],
        machine_client_id=machine["ClientId"],
        machine_client_secret=machine["ClientSecret"],
        subjects=subjects,
        cognito=cognito,
    )


def _sign_in_client(cognito: CognitoClient, pool_id: str, name: str, **options: object) -> Mapping[str, Any]:
    flows = ("USER_PASSWORD", "ADMIN_USER_PASSWORD", "USER_SRP", "CUSTOM", "REFRESH_TOKEN")
    answer = cognito.create_user_pool_client(
        UserPoolId=pool_id,
        ClientName=name,
        ExplicitAuthFlows=[f"ALLOW_{flow}_AUTH" for flow in flows],
        AllowedOAuthFlows=["code"],
        AllowedOAuthFlowsUserPoolClient=True,
        AllowedOAuthScopes=["openid", f"{RESOURCE_SERVER}/get"],
        CallbackURLs=[CALLBACK],
        SupportedIdentityProviders=["COGNITO"],
        **options,
    )
    client: Mapping[str, Any] = answer["UserPoolClient"]
    return client


def _create_user(
    cognito: CognitoClient, pool_id: str, username: str, more: Mapping[str, str], is_permanent: bool
) -> str:
    known = {"email": f"{username}@example.com", **more}
    cognito.admin_create_user(
        UserPoolId=pool_id,
        Username=username,
        MessageAction="SUPPRESS",
        TemporaryPassword=PASSWORD,
        UserAttributes=[{"Name": name, "Value": value} for name, value in known.items()],
    )
    if is_permanent:
        cognito.admin_set_user_password(UserPoolId=pool_id, Username=username, Password=PASSWORD, Permanent=True)
    attributes = cognito.admin_get_user(UserPoolId=pool_id, Username=username)["UserAttributes"]
    return next(str(attribute["Value"]) for attribute in attributes if attribute["Name"] == "sub")


@contextmanager
def seeded(name: EmulatorName, endpoint: str) -> Generator[Emulator]:
    """Seed both user pools of a running emulator; its boto3 client lives as long as the block."""
    cognito: CognitoClient = aws_client("cognito-idp", endpoint)
    try:
        yield Emulator(name=name, pool=seed_pool(endpoint, cognito), other_pool=seed_pool(endpoint, cognito))
    finally:
        cognito.close()


@contextmanager
def run_ministack(directory: Path, **more: str) -> Generator[str]:
    """
    Run ministack as a process of its own, its state and its output in `directory`; yield its endpoint.

    Args:
        directory: is the same again to go on with a state that was kept (`PERSIST_STATE="1"`).
        more: further environment variables.
    """
    port = _free_port()
    endpoint = f"http://{LOOPBACK}:{port}"
    output = directory / "output.txt"
    environment = {
        "BIND_HOST": LOOPBACK,
        "GATEWAY_PORT": str(port),
        "STATE_DIR": str(directory),
        "TMPDIR": str(directory),
        "AUTH": "true",
        # No second listener, and never a hand on the containers of the machine it runs on.
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "DOCKER_HOST": f"unix://{directory}/no-docker.sock",
        **more,
    }
    with output.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "ministack"], env=environment, cwd=directory, stdout=stream, stderr=stream
        )
    try:
        if problem := _await_ready(f"{endpoint}/_ministack/health", process):
            raise RuntimeError(f"ministack {problem}; it said:\n{output.read_text(errors='replace')}")
        yield endpoint
    finally:
        _end(process)


@contextmanager
def run_moto() -> Generator[str]:
    """Run moto's server on a thread of this process; yield its endpoint."""
    access_log = logging.getLogger("werkzeug")
    level = access_log.level
    access_log.setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address=LOOPBACK, port=0, verbose=False)
    # ThreadedMotoServer.start() would wait for ever on a server that died.
    starter = threading.Thread(target=server.start, daemon=True)
    try:
        starter.start()
        starter.join(READY_WITHIN)
        if starter.is_alive():
            raise RuntimeError(f"moto was not ready within {READY_WITHIN} seconds")
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        if problem := _await_ready(f"{endpoint}/moto-api/data.json", None):
            raise RuntimeError(f"moto {problem}")
        yield endpoint
    finally:
        if not starter.is_alive():
            server.stop()
        access_log.setLevel(level)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _await_ready(uri: str, process: subprocess.Popen[bytes] | None) -> str:
    """Poll `uri` until it answers 200; return what went wrong, or nothing."""
    deadline = time.monotonic() + READY_WITHIN
    with httpx.Client(trust_env=False, timeout=2) as client:
        while time.monotonic() < deadline:
            if process is not None and process.poll() is not None:
                return f"ended with status {process.returncode}"
            with suppress(httpx.TransportError):
                if client.get(uri).is_success:
                    return ""
            time.sleep(POLL_EVERY)
    return f"was not ready within {READY_WITHIN} seconds"


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=READY_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
