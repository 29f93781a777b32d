"""
Lambda: the authorizer of a REST API, the function behind it, and one that checks for itself.

For a real pool: `CognitoVerifier.from_env(timer=time.time)` in place of `pool.verifier()`.
"""

from contextlib import suppress
from typing import Any

from cognito_guard import ResourceServer, UnavailableError
from cognito_guard.awslambda import CognitoGuard, RestAuthorizer, UnauthorizedError, gateway_caller, principal_of
from cognito_guard.testing import FakeUserPool

orders = ResourceServer("orders", {"read": "Read orders", "write": "Change orders"})
pool = FakeUserPool(resource_servers=[orders])
verifier = pool.verifier()
with suppress(UnavailableError):
    verifier.prefetch()

authorizer = RestAuthorizer(verifier, routes={"GET /orders": orders["read"], "POST /orders": orders["write"]})
guard = CognitoGuard(verifier)


def authorize(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Be the API's authorizer."""
    return authorizer(event, context)


def list_orders(event: dict[str, Any], context: object) -> str:
    """Answer behind the authorizer: API Gateway says who calls."""
    caller = gateway_caller(event)
    return f"orders of {caller.username}" if caller else "nobody"


@guard.require(orders["write"])
def add_order(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer behind a function URL: nobody else has looked at the token."""
    return {"statusCode": 201, "body": f"added for {principal_of(event).display_name}"}


if __name__ == "__main__":
    arn = "arn:aws:execute-api:eu-west-1:123456789012:abcdef123/prod/GET/orders"
    reader = pool.headers(username="jane", scopes=[orders["read"]])
    writer = pool.headers(username="joe", scopes=[orders["write"]])
    answer = authorize({"type": "TOKEN", "methodArn": arn, "authorizationToken": reader["Authorization"]}, None)
    for statement in answer["policyDocument"]["Statement"]:
        print(statement["Effect"], [resource.partition("/")[2] for resource in statement["Resource"]])
    print(list_orders({"requestContext": {"authorizer": answer["context"]}}, None))
    try:
        authorize({"type": "TOKEN", "methodArn": arn, "authorizationToken": "Bearer junk"}, None)
    except UnauthorizedError as error:
        print(error)
    print(add_order({"version": "2.0", "headers": reader}, None)["headers"]["WWW-Authenticate"])
    print(add_order({"version": "2.0", "headers": writer}, None))
