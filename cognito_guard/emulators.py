"""
What emulators of Cognito put into `iss`, and where they publish their keys.
"""

from __future__ import annotations

from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from .errors import ConfigurationError
from .pool import check_fetchable

Emulator = Literal["cognito-local", "floci", "localemu", "localstack", "magnito", "ministack", "moto"]

# These sign as AWS does; the others name themselves.
_LIKE_AWS = ("ministack", "moto")
_LOCALSTACK_HOST = "localhost.localstack.cloud"


def emulator_arguments(emulator: Emulator, endpoint: str, user_pool_id: str) -> dict[str, Any]:
    """
    Return the verifier's arguments for an emulator.

    Args:
        emulator: which one.
        endpoint: its URL.
        user_pool_id: the pool's id.

    Raises:
        ConfigurationError: an emulator that nobody knows, or an endpoint that can't be one.
    """
    known = get_args(Emulator)
    if emulator not in known:
        raise ConfigurationError("emulator", f"expected one of {', '.join(known)}, got {emulator!r}")
    check_fetchable("endpoint", endpoint, allow_insecure_http=True)
    base = f"{endpoint.rstrip('/')}/{user_pool_id}"
    arguments: dict[str, Any] = {"jwks_uri": f"{base}/.well-known/jwks.json", "allow_insecure_http": True}
    if emulator in _LIKE_AWS:
        return arguments
    issuers = [base]
    if emulator == "localstack":
        # It names itself by a host that leads back to this machine.
        port = urlsplit(endpoint).port
        issuers.append(f"http://{_LOCALSTACK_HOST}{f':{port}' if port else ''}/{user_pool_id}")
    return {"issuer": issuers, **arguments}
