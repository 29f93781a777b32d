"""
Sign in by SRP, which keeps the password with its user, then call a guarded API with the access token.

Starts the emulator ministack.  For a real pool: boto3 with neither endpoint nor keys, and `CognitoVerifier.from_env()`.
"""
# mypy: disable-error-code="import-untyped"
# pyright: basic

import socket
import subprocess
import sys
import warnings
from tempfile import TemporaryDirectory
from typing import Any

import boto3
from botocore.config import Config
from flask import Flask
from pycognito.aws_srp import AWSSRP

from cognito_guard import CognitoVerifier
from cognito_guard.flask import CognitoGuard, current_principal

COMMAND = [sys.executable, "-m", "ministack"]
MINISTACK = {"BIND_HOST": "127.0.0.1", "AUTH": "true", "SFTP_ENABLED": "0", "IOT_MTLS_ENABLED": "0"}
KEYS = {"region_name": "us-east-1", "aws_access_key_id": "test", "aws_secret_access_key": "test"}
JANE = {"Username": "jane", "Password": "Correct-horse-7"}


def main(url: str) -> None:
    """Create a user pool with a user, sign her in, and call the API with what comes of it."""
    patient = Config(proxies={}, retries={"mode": "standard", "total_max_attempts": 8})  # until ministack is up
    cognito: Any = boto3.client("cognito-idp", endpoint_url=url, config=patient, **KEYS)
    pool = cognito.create_user_pool(PoolName="shop")["UserPool"]["Id"]
    app_client = cognito.create_user_pool_client(UserPoolId=pool, ClientName="web")["UserPoolClient"]["ClientId"]
    cognito.admin_create_user(UserPoolId=pool, Username=JANE["Username"], MessageAction="SUPPRESS")
    cognito.admin_set_user_password(UserPoolId=pool, Permanent=True, **JANE)
    srp = AWSSRP(JANE["Username"], JANE["Password"], pool, app_client, client=cognito)
    tokens = srp.authenticate_user()["AuthenticationResult"]

    api = Flask(__name__)
    guard = CognitoGuard(api, CognitoVerifier.for_emulator("ministack", url, pool, client_id=app_client))
    api.get("/")(guard.require()(lambda: f"hello {current_principal.display_name}"))
    for kind in ("AccessToken", "IdToken"):
        answer = api.test_client().get("/", headers={"Authorization": f"Bearer {tokens[kind]}"})
        print(kind, answer.status_code, answer.headers.get("WWW-Authenticate", answer.text))


if __name__ == "__main__":
    warnings.filterwarnings("ignore", "datetime.datetime.utcnow", DeprecationWarning)  # in pycognito
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with TemporaryDirectory() as state:
        settings = {**MINISTACK, "GATEWAY_PORT": str(port), "STATE_DIR": state}
        with subprocess.Popen(COMMAND, env=settings, stderr=subprocess.DEVNULL) as ministack:  # noqa: S603
            try:
                main(f"http://127.0.0.1:{port}")
            finally:
                ministack.terminate()
