"""
Measure one verifier in an environment of its own: `python -P peer_worker.py`, a task as JSON on stdin.

Needs cryptography and the peer, and nothing of this package.  Prints, as JSON, the seconds of each round for the
peer and for the bare RSA check, and whom the peer saw in a good token and in one with another's signature.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import json
import sys
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import version
from typing import Any, TypeAlias

Task: TypeAlias = Mapping[str, Any]
Verify: TypeAlias = Callable[[str], Any]
"""From a token to its claims, awaited or not; raises or returns nothing for a token that is not good."""


def cognito_guard_new(task: Task) -> Verify:
    """Verify with this package, every token new to it."""
    return _cognito_guard(task, 0)


def cognito_guard_seen(task: Task) -> Verify:
    """Verify with this package, every token seen before."""
    return _cognito_guard(task, 4096)


def _cognito_guard(task: Task, token_cache_size: int) -> Verify:
    verifier: Any = import_module("cognito_guard").CognitoVerifier(
        task["user_pool_id"],
        client_id=task["client_id"],
        token_use="id" if task["kind"] == "id" else "access",
        resource=[task["resource"]] if task["kind"] == "bound" else (),
        jwks=task["jwks"],
        token_cache_size=token_cache_size,
    )
    verify: Verify = verifier.verify
    return verify


def pyjwt_client(task: Task) -> Verify:
    """Verify as PyJWT's documentation shows for a JWKS endpoint, and check what is Cognito's."""
    jwt: Any = import_module("jwt")
    client = jwt.PyJWKClient(task["jwks_uri"])

    def verify(token: str) -> Any:
        key = client.get_signing_key_from_jwt(token)
        return _cognito_checked(task, jwt.decode(token, key, algorithms=["RS256"], issuer=task["issuer"]))

    return verify


def pyjwt_key(task: Task) -> Verify:
    """Verify with PyJWT and a key found by its ID, parsed before."""
    jwt: Any = import_module("jwt")
    keys = {key.key_id: key for key in jwt.PyJWKSet.from_dict(task["jwks"]).keys}
    key = keys[task["kid"]]
    return lambda token: _cognito_checked(task, jwt.decode(token, key, algorithms=["RS256"], issuer=task["issuer"]))


def joserfc(task: Task) -> Verify:
    """Verify with joserfc, a key set parsed before, and a claims registry."""
    jwt: Any = import_module("joserfc.jwt")
    keys: Any = import_module("joserfc.jwk").KeySet.import_key_set(task["jwks"])
    registry = jwt.JWTClaimsRegistry(iss={"essential": True, "value": task["issuer"]}, exp={"essential": True})

    def verify(token: str) -> Any:
        claims = jwt.decode(token, keys, algorithms=["RS256"]).claims
        registry.validate(claims)
        return _cognito_checked(task, claims)

    return verify


def authlib(task: Task) -> Verify:
    """Verify with Authlib's own JOSE module, a key set parsed before."""
    jwt = import_module("authlib.jose").JsonWebToken(["RS256"])
    keys = import_module("authlib.jose").JsonWebKey.import_key_set(task["jwks"])
    options = {"iss": {"essential": True, "value": task["issuer"]}, "exp": {"essential": True}}

    def verify(token: str) -> Any:
        claims = jwt.decode(token, keys, claims_options=options)
        claims.validate()
        return _cognito_checked(task, claims)

    return verify


def python_jose(task: Task) -> Verify:
    """Verify with python-jose, handed the JWKS document as its documentation shows."""
    jwt: Any = import_module("jose.jwt")
    return lambda token: _cognito_checked(
        task, jwt.decode(token, task["jwks"], algorithms=["RS256"], issuer=task["issuer"])
    )


def fastapi_cognito(task: Task) -> Verify:
    """Verify with the dependency of fastapi-cognito; it fetches keys once, over loopback."""
    package: Any = import_module("fastapi_cognito")
    requests: Any = import_module("starlette.requests")
    pool = {
        "region": task["user_pool_id"].split("_")[0],
        "userpool_id": task["user_pool_id"],
        "app_client_id": task["client_id"],
        "jwks_url": task["jwks_uri"],
    }
    settings = package.CognitoSettings(
        check_expiration=True,
        jwt_header_name="Authorization",
        jwt_header_prefix="Bearer",
        userpools={"pool": pool},
    )
    auth = package.CognitoAuth(settings=settings)

    async def verify(token: str) -> Any:
        headers = [(b"authorization", f"Bearer {token}".encode())]
        return await auth.auth_required(requests.HTTPConnection({"type": "http", "headers": headers}))

    return verify


def flask_cognito_lib(task: Task) -> Verify:
    """Verify with the token service of flask-cognito-lib, made once; its decorator makes one for each request."""
    service: Any = import_module("flask_cognito_lib.services.token_svc")
    flask: Any = import_module("flask").Flask("peer")
    flask.config.update(
        SECRET_KEY="not a secret",
        AWS_REGION=task["user_pool_id"].split("_")[0],
        AWS_COGNITO_USER_POOL_ID=task["user_pool_id"],
        AWS_COGNITO_USER_POOL_CLIENT_ID=task["client_id"],
    )
    flask.app_context().push()
    config: Any = import_module("flask_cognito_lib.config").Config()
    tokens = service.TokenService(config)
    tokens.jwk.uri = task["jwks_uri"]
    verify: Verify = tokens.verify_access_token
    return verify


def django_cognito_jwt(task: Task) -> Verify:
    """Verify with the validator of django-cognito-jwt, keys at hand; it takes ID tokens only."""
    import_module("django.conf").settings.configure()
    validator: Any = import_module("django_cognito_jwt.validator").TokenValidator(
        task["user_pool_id"].split("_")[0], task["user_pool_id"], task["client_id"]
    )
    # What it would fetch, once for each validator.
    validator._json_web_keys = {key["kid"]: json.dumps(key) for key in task["jwks"]["keys"]}
    verify: Verify = validator.validate
    return verify


def cognito_jwt_verifier(task: Task) -> Verify:
    """Verify with cognito-jwt-verifier; it fetches keys once, over loopback."""
    package: Any = import_module("cognito_jwt_verifier")
    verifier = package.AsyncCognitoJwtVerifier(task["issuer"], client_ids=[task["client_id"]])
    verifier.jwks_url = task["jwks_uri"]
    verify: Verify = verifier.verify_access_token
    return verify


def fastmcp(task: Task) -> Verify:
    """Verify with FastMCP's verifier for Cognito; it fetches keys once, over loopback."""
    providers: Any = import_module("fastmcp.server.auth.providers.aws")
    verifier = providers.AWSCognitoTokenVerifier(
        audience=task["client_id"], jwks_uri=task["jwks_uri"], issuer=task["issuer"], algorithm="RS256"
    )

    async def verify(token: str) -> Any:
        accepted = await verifier.verify_token(token)
        return None if accepted is None else accepted.claims

    return verify


def aws_lambda_powertools(task: Task) -> Verify:
    """Verify with the verifier of Powertools for AWS Lambda; it takes resource-bound access tokens only."""
    package: Any = import_module("aws_lambda_powertools.utilities.auth_alpha.jwt")
    verify: Verify = package.JWTVerifier.cognito(
        user_pool_id=task["user_pool_id"],
        client_id=task["client_id"],
        audience=task["resource"],
        jwks=task["jwks"],
    ).verify
    return verify


def ryjwt(task: Task) -> Verify:
    """Verify with ryjwt, a key set parsed before."""
    key: Any = import_module("ryjwt").PublicKey.from_jwks(task["jwks"], algorithms=["RS256"], issuer=task["issuer"])
    decode: Verify = key.decode
    return lambda token: _cognito_checked(task, decode(token))


def _cognito_checked(task: Task, claims: Any) -> Any:
    """Check what generic libraries can't know of Cognito's access tokens."""
    if claims["token_use"] != "access" or claims["client_id"] != task["client_id"]:
        raise ValueError("not for us")
    return claims


def main() -> None:
    """Measure what the task names."""
    task = json.load(sys.stdin)
    verify: Verify = globals()[task["peer"]](task)
    with asyncio.Runner() as runner:
        every = _each(runner, verify)
        answers = {"good": _username(every, task["tokens"][0]), "forged": _username(every, task["forged"])}
        every(task["tokens"])
        seconds = _measured(task, {"peer": every, "raw": _each(runner, _bare_check(task))})
    print(json.dumps({"answers": answers, "seconds": seconds, "version": version(task["package"])}))


def _measured(task: Task, cases: Mapping[str, Callable[[list[str]], Any]]) -> dict[str, list[float]]:
    """Return the seconds that each case took in each round, one first in one round and the other in the next."""
    endless = itertools.cycle(task["tokens"])
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(task["rounds"]):
        for name in sorted(cases, reverse=number % 2 == 1):
            tokens = list(itertools.islice(endless, task["batch"]))
            start = time.process_time()
            cases[name](tokens)
            seconds[name].append(time.process_time() - start)
    return seconds


def _each(runner: asyncio.Runner, verify: Verify) -> Callable[[list[str]], Any]:
    """Return a function that verifies one token after the other, and returns the last one's claims."""

    def plain(tokens: list[str]) -> Any:
        claims = None
        for token in tokens:
            claims = verify(token)
        return claims

    async def awaited(tokens: list[str]) -> Any:
        claims = None
        for token in tokens:
            claims = await verify(token)
        return claims

    return (lambda tokens: runner.run(awaited(tokens))) if inspect.iscoroutinefunction(verify) else plain


def _username(every: Callable[[list[str]], Any], token: str) -> str | None:
    try:
        answer = every([token])
    except Exception:
        return None
    named: str | None = getattr(answer, "username", None)
    if named is None and answer is not None:
        named = answer.get("username", answer.get("cognito:username"))
    return named


def _bare_check(task: Task) -> Callable[[str], None]:
    padding: Any = import_module("cryptography.hazmat.primitives.asymmetric.padding").PKCS1v15()
    algorithm: Any = import_module("cryptography.hazmat.primitives.hashes").SHA256()
    rsa: Any = import_module("cryptography.hazmat.primitives.asymmetric.rsa")
    jwk = next(key for key in task["jwks"]["keys"] if key["kid"] == task["kid"])
    numbers = [int.from_bytes(urlsafe_b64decode(jwk[name] + "=="), "big") for name in ("e", "n")]
    key = rsa.RSAPublicNumbers(*numbers).public_key()
    ready: dict[str, tuple[bytes, bytes]] = {}
    for token in task["tokens"]:
        message, _, signature = token.rpartition(".")
        ready[token] = urlsafe_b64decode(signature + "=="), message.encode()
    return lambda token: key.verify(*ready[token], padding, algorithm)


if __name__ == "__main__":
    main()
