"""
The Lambda functions behind the doors: authorizers, a guarded function, and one that reads what was asserted.

This file is what gets deployed: it runs wherever the emulator runs it, configured by its environment alone.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cognito_guard import CognitoVerifier, RefreshSchedule, Requirement, Requires, ResourceServer, UnavailableError
from cognito_guard.awslambda import (
    CognitoGuard,
    HttpAuthorizer,
    RestAuthorizer,
    gateway_caller,
    gateway_identity,
    principal_of,
)

transactions = ResourceServer("transactions", {"get": "Read transactions", "post": "Record transactions"})
KEYS = Path(__file__).with_name("jwks.json")
"""Deployed with the functions that may ask nobody for keys."""
given: dict[str, Any] = {"jwks": json.loads(KEYS.read_text())} if KEYS.exists() else {}
verifier = CognitoVerifier.from_env(timer=time.time, schedule=RefreshSchedule(deadline=30.0), **given)
with suppress(UnavailableError):
    verifier.prefetch()

ROUTES: Mapping[str, str | Requirement] = {
    "* /me": Requires(),
    "GET /transactions": transactions["get"],
    "POST /transactions": transactions["post"],
}
rest = RestAuthorizer(verifier, routes=ROUTES)
http = HttpAuthorizer(verifier, requirement=Requires(any_scopes=transactions.scopes))
guard = CognitoGuard(verifier)


def authorize_rest(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Be the authorizer of an API that wants policies."""
    return rest(event, context)


def authorize_http(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Be the authorizer of an HTTP API with simple responses."""
    return http(event, context)


@guard.require()
def guarded(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Verify the token here, whatever stands in front, and say whose it is."""
    caller = principal_of(event)
    return _answer({"subject": caller.subject, "client_id": caller.client_id, "scopes": sorted(caller.scopes)})


def told(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Say who called, on the word of what stands in front."""
    identity = gateway_identity(event)
    return _answer(
        {
            "caller": _described(event),
            "identity": identity and asdict(identity),
            "headers": event["headers"],
        }
    )


def resolve(event: dict[str, Any], context: object) -> dict[str, Any] | None:
    """Be the resolver of a GraphQL field: say who called, on AppSync's word."""
    return _described(event)


def _described(event: dict[str, Any]) -> dict[str, Any] | None:
    caller = gateway_caller(event, plain_group_names=True)
    if caller is None:
        return None
    return {
        "asserted_by": caller.asserted_by,
        "subject": caller.subject,
        "client_id": caller.client_id,
        "username": caller.username,
        "token_use": caller.token_use,
        "scopes": sorted(caller.scopes),
        "groups": sorted(caller.groups),
    }


def _answer(body: object) -> dict[str, Any]:
    # A load balancer wants the last two.
    more = {"statusDescription": "200 OK", "isBase64Encoded": False}
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(body), **more}
