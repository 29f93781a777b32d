"""
A driver of Lambda: a handler of its own for each route, behind an HTTP API with payload format 2.0.

All of the contract holds but for what there is none of: an answer is whole, so that `/stream` is sent at once, and
no server stands beside a function, so that it is asked over no sockets.  Lambda authorizers have no driver: API Gateway
answers for them, without a challenge.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from cognito_guard import CognitoVerifier
from cognito_guard.awslambda import CognitoGuard, principal_of, principal_or_none
from cognito_guard.testing import FakeUserPool

from .. import Header
from ..contract import Answer, DriverFactory, RawHeaders, described
from .asgi import REQUIREMENTS

JSON: TypeAlias = dict[str, Any]
Handler: TypeAlias = Callable[[JSON, object], JSON]


@dataclass(frozen=True, slots=True)
class LambdaDriver:
    """Invoke a function for each route."""

    name: str
    handlers: Mapping[str, Handler]

    def request(self, method: str, path: str, headers: RawHeaders) -> Answer:
        """Send one request, as API Gateway hands it on: JSON both ways, and a failed invocation is a 500."""
        target, _, query = path.partition("?")
        event = http(*headers, method=method, path=target) | {"rawQueryString": query}
        try:
            answer = self.handlers[target](json.loads(json.dumps(event)), None)
        except Exception:
            return Answer.of(500, [], b"")
        read: JSON = json.loads(json.dumps(answer))
        body: str = read["body"]
        return Answer.of(
            read["statusCode"], read.get("headers", {}).items(), b"" if method == "HEAD" else body.encode()
        )


def guarded(_pool: FakeUserPool, verifier: CognitoVerifier) -> LambdaDriver:
    """Guard each handler by a decorator."""
    guard = CognitoGuard(verifier)
    handlers = {path: guard.require(requirement)(_handle) for path, requirement in REQUIREMENTS.items()}
    return LambdaDriver("lambda", {"/public": _serve_anybody, "/optional": guard.optional(_name_caller), **handlers})


DRIVERS: list[DriverFactory] = [guarded]


def _handle(event: JSON, _context: object) -> JSON:
    path, principal = event["rawPath"], principal_of(event)
    if path == "/boom":
        raise KeyError("user")
    return _answer(f"caller: {principal.subject}" if path == "/stream" else described(principal))


def _name_caller(event: JSON, _context: object) -> JSON:
    principal = principal_or_none(event)
    return _answer({"caller": None if principal is None else principal.subject})


def _serve_anybody(_event: JSON, _context: object) -> JSON:
    return _answer({"caller": None})


def _answer(body: object) -> JSON:
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(body)}


# The events of each sender


def rest(*headers: Header, method: str = "GET", path: str = "/orders") -> JSON:
    """Make the event of a REST API, or of an HTTP API with payload format 1.0."""
    several: dict[str, list[str]] = {}
    for name, value in headers:
        several.setdefault(name.decode().title(), []).append(value.decode("latin-1"))
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": {name: values[-1] for name, values in several.items()},
        "multiValueHeaders": several,
        "requestContext": {"stage": "prod", "path": f"/prod{path}", "httpMethod": method},
        "body": None,
        "isBase64Encoded": False,
    }


def http(*headers: Header, method: str = "GET", path: str = "/orders") -> JSON:
    """Make the event of an HTTP API with payload format 2.0, or of a function URL: cookies apart, values joined."""
    joined: dict[str, str] = {}
    cookies = [value.decode() for name, value in headers if name == b"cookie"]
    for name, value in headers:
        if name != b"cookie":
            text = value.decode("latin-1")
            joined[name.decode()] = f"{joined[name.decode()]},{text}" if name.decode() in joined else text
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": joined,
        "requestContext": {"stage": "$default", "http": {"method": method, "path": path}},
        "isBase64Encoded": False,
    } | ({"cookies": cookies} if cookies else {})


def balancer(*headers: Header, method: str = "GET", path: str = "/orders") -> JSON:
    """Make the event of a load balancer: of each header the last value."""
    event = rest(*headers, method=method, path=path)
    del event["resource"], event["multiValueHeaders"]
    event["headers"] = {name.lower(): value for name, value in event["headers"].items()}
    event["requestContext"] = {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/t/1"}}
    return event


def balancer_of_several(*headers: Header, method: str = "GET", path: str = "/orders") -> JSON:
    """Make the event of a load balancer with multi-value headers: without single ones."""
    event = balancer(*headers, method=method, path=path)
    event["multiValueHeaders"] = rest(*headers)["multiValueHeaders"]
    del event["headers"]
    return event
