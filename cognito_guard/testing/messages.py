"""
HTTP requests and answers as values, and how parameters and credentials are read from them.

Pure: what comes from the wire goes in, whatever it is, and values or a refusal come out.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from urllib.parse import parse_qsl, unquote

from .authorization import Pairs
from .refusals import TokenRequestError, UntrustedRequestError

_FORM = "application/x-www-form-urlencoded"
_PARAMETERS_MAX = 100  # the richest request has a dozen
_UNREADABLE = "The parameters can't be read."


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """
    Hold what came in.

    Attributes:
        method: for example "GET".
        path: without the query.
        query: without the question mark.
        headers: all of them.
        body: None where it was not read: too long, chunked, or of no certain length.
    """

    method: str
    path: str
    query: str
    headers: Message
    body: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    Hold what goes out.

    Attributes:
        status: of HTTP.
        body: the bytes; its length is announced by whoever sends them.
        headers: all others, by name.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def of_json(cls, status: int, document: Mapping[str, object], headers: Mapping[str, str] | None = None) -> Answer:
        """Answer a program."""
        body = json.dumps(document, separators=(",", ":")).encode()
        content_type = {"Content-Type": "application/json;charset=UTF-8"}
        return cls(status=status, body=body, headers={**content_type, **(headers or {})})

    @classmethod
    def of_html(cls, status: int, page: str) -> Answer:
        """Answer a person; nobody else may frame or keep the page."""
        headers = {
            "Content-Type": "text/html;charset=UTF-8",
            "Cache-Control": "no-store",
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        }
        return cls(status=status, body=page.encode(), headers=headers)

    @classmethod
    def redirect(cls, location: str) -> Answer:
        """Send a browser elsewhere."""
        return cls(status=302, headers={"Location": location, "Cache-Control": "no-store"})


def pairs_of(query: str) -> Pairs:
    """
    Read the parameters of a query.

    Raises:
        UntrustedRequestError: they are no UTF-8, or too many.
    """
    try:
        return parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=_PARAMETERS_MAX)
    except ValueError as cause:
        raise UntrustedRequestError(_UNREADABLE) from cause


def form_pairs_of(request: Request) -> Pairs:
    """
    Read the parameters of a form.

    Raises:
        UntrustedRequestError: the body is no form.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.body is None or media_type != _FORM:
        raise UntrustedRequestError(_UNREADABLE)
    try:
        return pairs_of(request.body.decode())
    except UnicodeDecodeError as cause:
        raise UntrustedRequestError(_UNREADABLE) from cause


def form_of(request: Request) -> dict[str, str]:
    """
    Read the parameters of a token request; one without a value counts as omitted (RFC 6749 §3.2).

    Raises:
        TokenRequestError: the body is no form, or has a parameter twice.
    """
    try:
        pairs = form_pairs_of(request)
    except UntrustedRequestError as cause:
        raise TokenRequestError("invalid_request") from cause
    form = dict(pairs)
    if len(form) != len(pairs):
        raise TokenRequestError("invalid_request")
    return {name: value for name, value in form.items() if value}


def credentials_of(request: Request, form: Mapping[str, str]) -> tuple[str, str | None]:
    """
    Return client ID and secret from the one place where they stand (RFC 6749 §2.3).

    Raises:
        TokenRequestError: they stand in no place or in two, or can't be read.
    """
    values = request.headers.get_all("authorization", [])
    if not values:
        if "client_id" not in form:
            raise TokenRequestError("invalid_request")
        return form["client_id"], form.get("client_secret")
    client_id, client_secret = _basic(values[0])
    # The client ID alone in the body is no second authentication method, and many clients send it.
    if len(values) > 1 or "client_secret" in form or form.get("client_id", client_id) != client_id:
        raise TokenRequestError("invalid_request")
    return client_id, client_secret


def _basic(value: str) -> tuple[str, str]:
    scheme, _, encoded = value.partition(" ")
    try:
        client_id, colon, client_secret = b64decode(encoded.strip(" "), validate=True).decode().partition(":")
        # Neither an ID nor a secret can hold a space, so that a `+` is always meant as one: clients that forget to
        # encode it (RFC 6749 §2.3.1 asks for it) are understood as well.
        decoded = unquote(client_id, errors="strict"), unquote(client_secret, errors="strict")
    except ValueError as cause:
        raise TokenRequestError("invalid_client") from cause
    if scheme.lower() != "basic" or not colon:
        raise TokenRequestError("invalid_client")
    return decoded
