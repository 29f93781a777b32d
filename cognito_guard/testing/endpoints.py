"""
The endpoints of a user pool and its domain: a request in, an answer out, with the statuses that Cognito gives.

No socket is touched here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias
from urllib.parse import urlencode

from ..errors import RefusalError
from ..tokens.bearer import authorization_values, bearer_token
from ..verifier import CognitoVerifier
from .authorization import Pairs
from .claims import OPENID_SCOPES
from .directory import PoolUser
from .grants import AuthorizationServer
from .keys import JWKS
from .login import error_page, login_page
from .messages import Answer, Request, credentials_of, form_of, form_pairs_of, pairs_of
from .refusals import RedirectedError, TokenRequestError, UntrustedRequestError, UserInfoError

_NO_STORE: Mapping[str, str] = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_READ = ("GET", "HEAD")
_POST = ("POST",)
_ANY_ORIGIN = {"Access-Control-Allow-Origin": "*"}

Respond: TypeAlias = Callable[[Request], Answer]


class ServedUserPool(Protocol):
    """What endpoints need of the user pool behind them."""

    @property
    def user_pool_id(self) -> str: ...

    @property
    def issuer(self) -> str: ...

    @property
    def jwks(self) -> JWKS: ...

    @property
    def users(self) -> Mapping[str, PoolUser]: ...

    @property
    def authorization_server(self) -> AuthorizationServer: ...

    def verifier(self, **overrides: Any) -> CognitoVerifier: ...


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """Hold who answers which methods, and whether scripts of other origins may ask."""

    methods: tuple[str, ...]
    respond: Respond
    is_for_scripts: bool = False


class Endpoints:
    """
    Answer whatever is asked of a user pool.

    Args:
        user_pool: the pool, as it is at the moment of each request.
        base_url: tells where the endpoints are, without a trailing slash.

    Attributes:
        is_down: whether requests for the key set get a 503.
        jwks_path: where the key set is.
    """

    def __init__(self, user_pool: ServedUserPool, base_url: Callable[[], str]) -> None:
        self._user_pool = user_pool
        self._base_url = base_url
        self.is_down = False
        well_known = f"/{user_pool.user_pool_id}/.well-known"
        self.jwks_path: str = f"{well_known}/jwks.json"
        self._endpoints: Mapping[str, _Endpoint] = {
            self.jwks_path: _Endpoint(_READ, self._jwks, is_for_scripts=True),
            f"{well_known}/openid-configuration": _Endpoint(_READ, self._discovery, is_for_scripts=True),
            "/oauth2/authorize": _Endpoint(_READ, self._authorize),
            "/login": _Endpoint((*_READ, "POST"), self._login),
            "/logout": _Endpoint(_READ, self._logout),
            "/oauth2/token": _Endpoint(_POST, self._token, is_for_scripts=True),
            "/oauth2/revoke": _Endpoint(_POST, self._revoke, is_for_scripts=True),
            "/oauth2/userInfo": _Endpoint((*_READ, "POST"), self._user_info, is_for_scripts=True),
        }

    def answer(self, request: Request) -> Answer:
        """Answer a request, whatever it is."""
        endpoint = self._endpoints.get(request.path)
        if endpoint is None:
            return Answer.of_json(404, {"message": "Not Found"})
        if endpoint.is_for_scripts and _is_preflight(request):
            return _preflight_answer(endpoint.methods)
        if request.method in endpoint.methods:
            answer = endpoint.respond(request)
        else:
            headers = {"Allow": ", ".join(endpoint.methods)}
            answer = Answer.of_json(405, {"message": "Method Not Allowed"}, headers)
        return replace(answer, headers={**answer.headers, **_ANY_ORIGIN}) if endpoint.is_for_scripts else answer

    def _jwks(self, _: Request) -> Answer:
        if self.is_down:
            return Answer.of_json(503, {"message": "Service Unavailable"})
        return Answer.of_json(200, self._user_pool.jwks)

    def _discovery(self, _: Request) -> Answer:
        url = self._base_url()
        document = {
            "authorization_endpoint": f"{url}/oauth2/authorize",
            "end_session_endpoint": f"{url}/logout",
            "id_token_signing_alg_values_supported": ["RS256"],
            "issuer": self._user_pool.issuer,
            "jwks_uri": f"{url}{self.jwks_path}",
            "response_types_supported": ["code", "token"],
            "revocation_endpoint": f"{url}/oauth2/revoke",
            "scopes_supported": OPENID_SCOPES,
            "subject_types_supported": ["public"],
            "token_endpoint": f"{url}/oauth2/token",
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "userinfo_endpoint": f"{url}/oauth2/userInfo",
        }
        return Answer.of_json(200, document)

    def _authorize(self, request: Request) -> Answer:
        def to_login(pairs: Pairs) -> Answer:
            self._user_pool.authorization_server.authorization_request(pairs)
            return Answer.redirect(_login_url(pairs))

        return _for_browser(request, to_login)

    def _login(self, request: Request) -> Answer:
        def signed_in(pairs: Pairs) -> Answer:
            server = self._user_pool.authorization_server
            asked = server.authorization_request(pairs)
            if request.method != "POST":
                return self._login_page(pairs, failed=False)
            form = dict(form_pairs_of(request))
            location = server.sign_in(asked, form.get("username", ""), form.get("password", ""))
            return self._login_page(pairs, failed=True) if location is None else Answer.redirect(location)

        return _for_browser(request, signed_in)

    def _login_page(self, pairs: Pairs, *, failed: bool) -> Answer:
        page = login_page(self._user_pool.user_pool_id, self._user_pool.users, _login_url(pairs), failed=failed)
        return Answer.of_html(200, page)

    def _logout(self, request: Request) -> Answer:
        def signed_out(pairs: Pairs) -> Answer:
            location = self._user_pool.authorization_server.logout(pairs)
            return Answer.redirect(_login_url(pairs) if location is None else location)

        return _for_browser(request, signed_out)

    def _token(self, request: Request) -> Answer:
        def granted(form: Mapping[str, str]) -> Answer:
            tokens = self._user_pool.authorization_server.token(form, *credentials_of(request, form))
            return Answer.of_json(200, tokens, _NO_STORE)

        # Cognito says 400 even where RFC 6749 §5.2 asks for 401.
        return _for_client(request, granted, {})

    def _revoke(self, request: Request) -> Answer:
        def revoked(form: Mapping[str, str]) -> Answer:
            self._user_pool.authorization_server.revoke(form, *credentials_of(request, form))
            return Answer(status=200, headers=_NO_STORE)

        return _for_client(request, revoked, {"invalid_client": 401})

    def _user_info(self, request: Request) -> Answer:
        try:
            token = bearer_token(authorization_values(request.headers.items()))
        except RefusalError:
            return _user_info_refusal(400, "invalid_request", "Bad OAuth2 request at UserInfo Endpoint")
        try:
            return Answer.of_json(200, self._user_pool.authorization_server.user_info(token), _NO_STORE)
        except UserInfoError as refusal:
            return _user_info_refusal(401, "invalid_token", str(refusal))


def _for_browser(request: Request, respond: Callable[[Pairs], Answer]) -> Answer:
    try:
        return respond(pairs_of(request.query))
    except UntrustedRequestError as refusal:
        return Answer.of_html(400, error_page(str(refusal)))
    except RedirectedError as refusal:
        return Answer.redirect(refusal.location)


def _for_client(request: Request, respond: Callable[[Mapping[str, str]], Answer], status: Mapping[str, int]) -> Answer:
    try:
        return respond(form_of(request))
    except TokenRequestError as refusal:
        return Answer.of_json(status.get(refusal.code, 400), {"error": refusal.code}, _NO_STORE)


def _login_url(pairs: Pairs) -> str:
    return f"/login?{urlencode(pairs)}"


def _user_info_refusal(status: int, error: str, description: str) -> Answer:
    challenge = f'error="{error}", error_description="{description}"'
    headers = {**_NO_STORE, "WWW-Authenticate": challenge, "Access-Control-Expose-Headers": "WWW-Authenticate"}
    return Answer.of_json(status, {"error": error, "error_description": description}, headers)


def _is_preflight(request: Request) -> bool:
    asked = "origin" in request.headers and "access-control-request-method" in request.headers
    return asked and request.method == "OPTIONS"


def _preflight_answer(methods: tuple[str, ...]) -> Answer:
    # A star stands for every header but Authorization, which has to be named.
    headers = {
        **_ANY_ORIGIN,
        "Access-Control-Allow-Methods": ", ".join(methods),
        "Access-Control-Allow-Headers": "*, Authorization",
        "Access-Control-Max-Age": "0",
    }
    return Answer(status=200, headers=headers)
