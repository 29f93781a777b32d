"""
What it takes to sign in the harder ways: SRP by pycognito, one-time codes, secret hashes, Lambda triggers.

Nothing here knows cognito_guard.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import importlib
import io
import json
import time
import warnings
import zipfile
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from . import lambda_triggers
from .emulators import ClientError, SeededPool, aws_client
from .tokens import PASSWORD

TRIGGERS: Mapping[str, str] = {
    "DefineAuthChallenge": lambda_triggers.define_challenge.__name__,
    "CreateAuthChallenge": lambda_triggers.create_challenge.__name__,
    "VerifyAuthChallengeResponse": lambda_triggers.verify_answer.__name__,
    "PreTokenGeneration": lambda_triggers.customize_tokens.__name__,
}
TOTP_PERIOD = 30  # seconds
_NOBODY = json.dumps({"Version": "2012-10-17", "Statement": []})


class SRP:
    """
    Sign in by pycognito: the password never leaves the client, which proves that it knows it (USER_SRP_AUTH).

    Args:
        pool: where.
        username: who.
        password: what the user typed.
        is_confidential: at the client that has a secret, and not at the web client.
    """

    def __init__(
        self, pool: SeededPool, username: str, password: str = PASSWORD, *, is_confidential: bool = False
    ) -> None:
        self.client_id = pool.confidential_client_id if is_confidential else pool.web_client_id
        # Imported by name because the package carries no type information.
        self._srp: Any = importlib.import_module("pycognito.aws_srp").AWSSRP(
            username=username,
            password=password,
            pool_id=pool.user_pool_id,
            client_id=self.client_id,
            client_secret=pool.confidential_client_secret if is_confidential else None,
            client=pool.cognito,
        )
        self._cognito = pool.cognito

    def start(self) -> tuple[dict[str, Any], Mapping[str, Any]]:
        """Send the public value A; return what was sent, and the challenge that comes back."""
        sent: dict[str, Any] = self._srp.get_auth_params()
        answer = self._cognito.initiate_auth(AuthFlow="USER_SRP_AUTH", ClientId=self.client_id, AuthParameters=sent)
        return sent, answer

    def proof(self, sent: dict[str, Any], challenge: Mapping[str, Any]) -> dict[str, Any]:
        """Compute the responses to the challenge PASSWORD_VERIFIER."""
        with warnings.catch_warnings():
            # pycognito asks for the time in a way that Python 3.12 deprecates.
            warnings.simplefilter("ignore", DeprecationWarning)
            proof: dict[str, Any] = self._srp.process_challenge(challenge["ChallengeParameters"], sent)
        return proof

    def sign_in(self) -> Mapping[str, Any]:
        """Prove the password; return the answer: tokens, or the next challenge."""
        sent, challenge = self.start()
        return self._cognito.respond_to_auth_challenge(
            ClientId=self.client_id,
            ChallengeName=challenge["ChallengeName"],
            ChallengeResponses=self.proof(sent, challenge),
        )


def secret_hash(pool: SeededPool, username: str) -> str:
    """Compute what a client that has a secret sends in place of it."""
    message = f"{username}{pool.confidential_client_id}".encode()
    digest = hmac.digest(pool.confidential_client_secret.encode(), message, hashlib.sha256)
    return base64.b64encode(digest).decode()


def one_time_code(secret: str) -> str:
    """Compute what an authenticator app shows now (RFC 6238)."""
    key = base64.b32decode(secret.upper() + "=" * (-len(secret) % 8))
    digest = hmac.digest(key, int(time.time() // TOTP_PERIOD).to_bytes(8), hashlib.sha1)
    offset = digest[-1] & 15
    number = int.from_bytes(digest[offset : offset + 4]) & 0x7FFFFFFF
    return f"{number % 10**6:06}"


def with_one_time_code(secret: str, send: Callable[[str], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Send what the authenticator app shows, and once more where its half minute ended on the way."""
    code = one_time_code(secret)
    try:
        return send(code)
    except ClientError:
        if one_time_code(secret) == code:
            raise
        return send(one_time_code(secret))


def enrol_authenticator(pool: SeededPool, username: str) -> str:
    """Make a user's next sign-ins ask for a one-time code; return the secret that makes the codes."""
    access = pool.sign_in(username=username).access
    secret = str(pool.cognito.associate_software_token(AccessToken=access)["SecretCode"])
    with_one_time_code(secret, lambda code: pool.cognito.verify_software_token(AccessToken=access, UserCode=code))
    preferred = {"Enabled": True, "PreferredMfa": True}
    pool.cognito.set_user_mfa_preference(AccessToken=access, SoftwareTokenMfaSettings=preferred)
    return secret


def deploy_triggers(endpoint: str) -> dict[str, object]:
    """Deploy the Lambda functions; return a user pool's configuration of triggers."""
    source = Path(lambda_triggers.__file__)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.write(source, source.name)
    with closing(aws_client("iam", endpoint)) as iam, closing(aws_client("lambda", endpoint)) as functions:
        role = iam.create_role(RoleName="triggers", AssumeRolePolicyDocument=_NOBODY)["Role"]["Arn"]
        arns = {
            trigger: functions.create_function(
                FunctionName=handler,
                Runtime="python3.12",
                Role=role,
                Handler=f"{source.stem}.{handler}",
                Code={"ZipFile": archive.getvalue()},
                Timeout=30,
            )["FunctionArn"]
            for trigger, handler in TRIGGERS.items()
        }
    tokens = {"LambdaArn": arns.pop("PreTokenGeneration"), "LambdaVersion": "V2_0"}
    return {**arns, "PreTokenGenerationConfig": tokens}
