"""
Get tokens as an app does that speaks OAuth: at the token endpoint, and from a login page that the user is sent to.

Who drives the page is an argument: a form sent by httpx, or a real browser.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Mapping
from html import unescape
from typing import TypeAlias
from urllib.parse import parse_qs, urlencode

import httpx

from .tokens import PASSWORD, USER, Tokens

CALLBACK = "http://localhost/callback"
"""Where the login page sends the browser back to; nobody goes there."""
PATIENCE = 30.0  # seconds

Browse: TypeAlias = Callable[[str], httpx.URL]
"""Open a URL, sign the user in, and return where the browser is sent back to."""


def by_form(url: str) -> httpx.URL:
    """Fill in the form without a browser."""
    with httpx.Client(trust_env=False, timeout=PATIENCE) as browser:
        page = browser.get(url, follow_redirects=True)
        action = re.search(r'<form[^>]*action="([^"]+)"', page.text)
        if action is None:
            raise ValueError(f"{page.status_code}, and no form: {page.text}")
        hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text))
        form = {name: unescape(value) for name, value in hidden.items()} | {"username": USER, "password": PASSWORD}
        sent_back = browser.post(page.url.join(unescape(action.group(1))), data=form)
    return httpx.URL(sent_back.headers["location"])


def ask_for_tokens(base_url: str, basic: tuple[str, str] | None = None, **form: str) -> Tokens:
    """Send a token request, with the client's ID and secret as HTTP Basic where it has one (RFC 6749 §2.3.1)."""
    answer = httpx.post(f"{base_url}/oauth2/token", auth=basic, data=form, trust_env=False, timeout=PATIENCE)
    answer.raise_for_status()
    return _tokens(answer.json())


def sign_in_by_code(base_url: str, client_id: str, scope: str, browse: Browse = by_form, **more: str) -> Tokens:
    """Sign the user in by the authorization code grant with PKCE (RFC 7636), with more parameters if there are any."""
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    sent_back = browse(
        _authorize_url(
            base_url,
            client_id=client_id,
            response_type="code",
            scope=scope,
            code_challenge=challenge,
            code_challenge_method="S256",
            **more,
        )
    )
    return ask_for_tokens(
        base_url,
        grant_type="authorization_code",
        client_id=client_id,
        redirect_uri=CALLBACK,
        code=sent_back.params["code"],
        code_verifier=verifier,
    )


def sign_in_implicitly(base_url: str, client_id: str, scope: str, browse: Browse = by_form) -> Tokens:
    """Sign the user in by the implicit grant: the tokens come back in the fragment (RFC 6749 §4.2.2)."""
    sent_back = browse(_authorize_url(base_url, client_id=client_id, response_type="token", scope=scope))
    return _tokens({name: values[0] for name, values in parse_qs(sent_back.fragment).items()})


def _tokens(answer: Mapping[str, str]) -> Tokens:
    return Tokens(access=answer["access_token"], id=answer.get("id_token", ""), refresh=answer.get("refresh_token", ""))


def _authorize_url(base_url: str, **query: str) -> str:
    return f"{base_url}/oauth2/authorize?{urlencode({'redirect_uri': CALLBACK, **query})}"
