"""HTTP requests as Lambda gets them, and replies in the form in which each sender wants its answer."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, cast

from ..challenge import Reply
from .shapes import Event, mapping_of, member, not_for_us


def headers_of(event: object) -> list[tuple[str, str]]:
    """
    Return all headers of a request, each value of its own, with the cookies that payload format 2.0 takes out.

    A function URL leaves them in the headers as well: they count once.  A load balancer whose target group has no
    multi-value headers sends the last value of each alone.

    Args:
        event: from API Gateway (REST, HTTP in both payload formats), a function URL or a load balancer.

    Raises:
        ConfigurationError: no event of these.
    """
    members = mapping_of(event)
    if not members.keys() & {"headers", "multiValueHeaders"}:
        raise not_for_us()
    several = mapping_of(members.get("multiValueHeaders"))
    pairs = [(name, value) for name, values in several.items() for value in _list_of(values)]
    if not several:
        pairs = [*mapping_of(members.get("headers")).items()]
    cookies = [("cookie", cookie) for cookie in _list_of(members.get("cookies"))]
    if cookies:
        pairs = [(name, value) for name, value in pairs if name.lower() != "cookie"] + cookies
    if not all(isinstance(value, str) for _, value in pairs):
        raise not_for_us()
    return pairs


def method_and_paths(event: Event) -> tuple[str, ...]:
    """Return a request's method, and after it the path as its sender spells it: with the stage and without."""
    context, http = member(event, "requestContext"), member(event, "requestContext", "http")
    paths = (event.get("rawPath"), event.get("path"), http.get("path"), context.get("path"))
    method = http.get("method", event.get("httpMethod"))
    return str(method), *(path for path in paths if isinstance(path, str))


def answer(reply: Reply, event: Event) -> dict[str, Any]:
    """
    Return a reply as the sender of an event takes it.

    API Gateway's REST APIs rename WWW-Authenticate to `x-amzn-Remapped-WWW-Authenticate`, whoever sends it.
    """
    is_head = method_and_paths(event)[0] == "HEAD"
    wanted: dict[str, Any] = {
        "statusCode": reply.status,
        "body": "" if is_head else reply.body.decode(),
        "isBase64Encoded": False,
    }
    if event.get("multiValueHeaders") is None:
        wanted["headers"] = dict(reply.headers)
    else:
        # A load balancer that sends these reads no others.
        wanted["multiValueHeaders"] = {name: [value] for name, value in reply.headers}
    if "elb" in member(event, "requestContext"):
        wanted["statusDescription"] = f"{reply.status} {HTTPStatus(reply.status).phrase}"
    return wanted


def _list_of(value: object) -> Iterable[Any]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise not_for_us()
    return cast("Iterable[Any]", value)
