"""
What a client asks of the authorize endpoint, judged as Cognito judges it.

Pure: parameters in, a request or a refusal out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast
from urllib.parse import urlencode

from .claims import OPENID_SCOPES
from .directory import AppClient, Flow, is_absolute_url
from .refusals import RedirectedError, UntrustedRequestError

Pairs: TypeAlias = Sequence[tuple[str, str]]
ResponseType: TypeAlias = Literal["code", "token"]

_FLOWS: Mapping[str, Flow] = {"code": "code", "token": "implicit"}
_CODE_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # a SHA-256 digest in base64url (RFC 7636 §4.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """
    Hold what a client may ask for, and does.

    Attributes:
        client: the app client.
        redirect_uri: where the answer goes, one of the client's callback URLs.
        response_type: whether the answer is a code or the tokens themselves.
        scopes: what is to be granted.
        state: what goes back to the client as it came, or None.
        nonce: what goes into the ID token, or None.
        code_challenge: of the method S256, or None.
        resource: what access tokens are to be bound to (RFC 8707), or None.
    """

    client: AppClient
    redirect_uri: str
    response_type: ResponseType
    scopes: tuple[str, ...]
    state: str | None
    nonce: str | None
    code_challenge: str | None
    resource: str | None

    def answered(self, parameters: Mapping[str, str]) -> str:
        """Return the redirect URI with the answer: a code in its query, tokens in its fragment (RFC 6749 §4.2.2)."""
        return _answer(self.redirect_uri, parameters, self.state, in_fragment=self.response_type == "token")


def judged(pairs: Pairs, clients: Mapping[str, AppClient]) -> AuthorizationRequest:
    """
    Judge the parameters of an authorization request.

    Args:
        pairs: names and values, as they stand in the query; one without a value counts as omitted (RFC 6749 §3.1).
        clients: the app clients by ID.

    Raises:
        UntrustedRequestError: the client is unknown, or the redirect URI not one of its own.
        RedirectedError: anything else that is wrong.
    """
    given = {name: value for name, value in pairs if value}
    repeated = {name for name in given if sum(name == other for other, _ in pairs) > 1}
    client = _trusted_client(given, repeated, clients)
    try:
        return AuthorizationRequest(
            client=client,
            redirect_uri=given["redirect_uri"],
            response_type=_response_type(given, repeated, client),
            scopes=_scopes(given.get("scope", ""), client),
            state=given.get("state"),
            nonce=given.get("nonce"),
            code_challenge=_code_challenge(given),
            resource=_resource(given),
        )
    except _RefusedError as refusal:
        raise RedirectedError(_answer(given["redirect_uri"], refusal.parameters, given.get("state"))) from refusal


class _RefusedError(Exception):
    def __init__(self, error: str, error_description: str | None = None) -> None:
        super().__init__(error)
        described = {} if error_description is None else {"error_description": error_description}
        self.parameters = {**described, "error": error}


def _trusted_client(given: Mapping[str, str], repeated: set[str], clients: Mapping[str, AppClient]) -> AppClient:
    client = clients.get(given.get("client_id", ""))
    if client is None or "client_id" in repeated:
        raise UntrustedRequestError("This app client does not exist.")
    if given.get("redirect_uri") not in client.callback_urls or "redirect_uri" in repeated:
        raise UntrustedRequestError("The redirect URI is none of the app client's callback URLs (redirect_mismatch).")
    return client


def _response_type(given: Mapping[str, str], repeated: set[str], client: AppClient) -> ResponseType:
    response_type = given.get("response_type", "")
    if repeated or response_type not in _FLOWS:
        raise _RefusedError("invalid_request")
    if _FLOWS[response_type] not in client.flows:
        raise _RefusedError("unauthorized_client")
    if given.get("prompt") == "none":
        # The pool keeps no session of the browser's: everybody has to sign in.
        raise _RefusedError("login_required")
    return cast("ResponseType", response_type)


def _scopes(asked: str, client: AppClient) -> tuple[str, ...]:
    scopes = tuple(dict.fromkeys(asked.split())) or client.user_scopes
    needs_openid = set(OPENID_SCOPES) & set(scopes)
    if not set(scopes) <= set(client.user_scopes) or (needs_openid and "openid" not in scopes):
        # This is how the code arrives, although Cognito's guide has it in `error`.
        raise _RefusedError("invalid_request", "invalid_scope")
    return scopes


def _code_challenge(given: Mapping[str, str]) -> str | None:
    challenge, method = given.get("code_challenge"), given.get("code_challenge_method")
    if challenge is None and method is None:
        return None
    if challenge is None or method != "S256" or not _CODE_CHALLENGE.fullmatch(challenge):
        raise _RefusedError("invalid_request")
    return challenge


def _resource(given: Mapping[str, str]) -> str | None:
    resource = given.get("resource")
    if resource is not None and not is_absolute_url(resource):
        raise _RefusedError("invalid_request")
    return resource


def _answer(redirect_uri: str, parameters: Mapping[str, str], state: str | None, *, in_fragment: bool = False) -> str:
    stated = {} if state is None else {"state": state}
    separator = "#" if in_fragment else "&" if "?" in redirect_uri else "?"
    return f"{redirect_uri}{separator}{urlencode({**parameters, **stated})}"
