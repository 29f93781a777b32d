"""The Django adapter: middleware, decorators, users, permissions, settings and checks."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from types import MappingProxyType
from typing import Any, TypeAlias, cast

from .django_settings import AUTHENTICATION, COGNITO, CSRF, SESSIONS  # isort: skip - configures Django

import pytest
from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.decorators import login_required, permission_required
from django.contrib.auth.models import AnonymousUser, Group, Permission
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.core.checks import run_checks
from django.core.management import call_command
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.test import AsyncClient, AsyncRequestFactory, Client, RequestFactory, override_settings
from django.urls import path
from django.utils.cache import patch_vary_headers
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from cognito_guard import ConfigurationError, Principal, Reason, Requires
from cognito_guard.django import (
    CognitoBackend,
    CognitoMiddleware,
    CognitoUser,
    cognito_optional,
    cognito_required,
    principal_verified,
    request_refused,
)
from cognito_guard.django.conf import build, configuration
from cognito_guard.django.resolvers import get_or_create_any_by_subject, get_or_create_by_subject
from cognito_guard.metadata import ProtectedResource
from cognito_guard.testing import FakeUserPool
from cognito_guard.tokens.credentials import cookie, header

Get: TypeAlias = Callable[..., HttpResponseBase]
Site: TypeAlias = Callable[..., None]

GET = "transactions/get"
POST = "transactions/post"
STACK = [SESSIONS, CSRF, AUTHENTICATION]
NO_TOKEN = 'Bearer realm="cognito"'
NOT_ONE_TOKEN = (
    'Bearer realm="cognito", error="invalid_request", error_description="Exactly one bearer token is expected"'
)
BAD_TOKEN = 'Bearer realm="cognito", error="invalid_token", error_description="The token is not valid here"'
NO_SCOPE = (
    'Bearer realm="cognito", error="insufficient_scope", '
    'error_description="The token lacks a scope that is required", scope="transactions/get"'
)


def whoami(request: HttpRequest) -> HttpResponse:
    """Say who is calling, in every way Django knows."""
    principal: Principal | None = getattr(request, "principal", None)
    user: Any = getattr(request, "user", None)
    return HttpResponse(f"{principal.subject if principal else None} {type(user).__name__} {user}")


async def awhoami(request: Any) -> HttpResponse:
    """Say who is calling, as async views ask."""
    user = await request.auser()
    return HttpResponse(f"{request.principal and request.principal.subject} {type(user).__name__} {user}")


@pytest.fixture
def site(pool: FakeUserPool) -> Iterator[Site]:
    """Return a function that sets a site up: one view at the root, a middleware stack, and our settings."""
    with ExitStack() as stack:

        def serve(view: Any = whoami, *, middleware: list[str] | None = None, **ours: Any) -> None:
            given = ours if "USER_POOL_ID" in ours else {"VERIFIER": pool.verifier(), **ours}
            changed = override_settings(
                COGNITO_GUARD=given,
                MIDDLEWARE=[*STACK, COGNITO] if middleware is None else middleware,
                ROOT_URLCONF=(path("", view), path("free", view), path("free/er", view)),
            )
            stack.enter_context(changed)

        yield serve


@pytest.fixture(params=["wsgi", "asgi"])
def send(request: pytest.FixtureRequest) -> Get:
    """Return a function that sends a request to either of Django's handlers."""

    is_async = request.param == "asgi"

    def send(
        method: str = "GET",
        url: str = "/",
        token: str | None = None,
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
        cookies: Mapping[str, str] = MappingProxyType({}),
    ) -> HttpResponseBase:
        make: Any = AsyncClient if is_async else Client
        client = make(enforce_csrf_checks=True, raise_request_exception=False)
        client.cookies.load(dict(cookies))
        given = {**headers, "authorization": f"Bearer {token}"} if token else headers
        sent = client.generic(method, url, headers=given)
        response: HttpResponseBase = asyncio.run(sent) if is_async else sent
        return response

    return send


@pytest.fixture(scope="module")
def tables() -> None:
    """Make the tables of users and permissions, in memory."""
    call_command("migrate", verbosity=0)


@pytest.fixture
def database(tables: None) -> Iterator[None]:
    """Lend the tables to one test, and leave none of its rows."""
    yield
    call_command("flush", interactive=False, verbosity=0)


def users() -> Any:
    """Return the manager of Django's users."""
    model: Any = get_user_model()
    return model.objects


def principal_of(pool: FakeUserPool, **options: Any) -> Principal:
    """Return the principal of a user's token."""
    return pool.verifier().verify(pool.access_token(**options))


def text(response: HttpResponseBase) -> str:
    """Read a response."""
    assert response.status_code == 200
    return cast("HttpResponse", response).content.decode()


def assert_refused(
    response: HttpResponseBase, status: int, challenge: str | None, caplog: pytest.LogCaptureFixture, reason: Reason
) -> None:
    """Check status and challenge, and that the reason was logged once."""
    assert response.status_code == status
    assert response.headers.get("WWW-Authenticate") == challenge
    assert response.headers["Cache-Control"] == "no-store"
    logged = [record.__dict__["reason"] for record in caplog.records if record.name == "cognito_guard"]
    assert logged == [reason.value]


@pytest.fixture(autouse=True)
def _log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "cognito_guard")


# The middleware


@pytest.mark.parametrize("view", [whoami, awhoami])
def test_bearer_caller_is_principal_and_user(site: Site, send: Get, pool: FakeUserPool, view: Any) -> None:
    """Sync and async views, under either server, find the caller in `principal`, `user` and `auser`."""
    site(view)
    assert text(send(token=pool.access_token())) == f"{pool.subject('jane')} CognitoUser jane"


@pytest.mark.parametrize("view", [whoami, awhoami])
def test_request_without_token_is_anonymous(site: Site, send: Get, view: Any) -> None:
    """No principal, and Django's own anonymous user."""
    site(view)
    assert "None" in text(send()).split()[0]
    assert text(send()).endswith("AnonymousUser")


def test_session_keeps_its_user_where_there_is_no_token(
    site: Site, send: Get, database: None, pool: FakeUserPool
) -> None:
    """A page of a session and an API live on one site; a token wins over the session."""
    jane = users().create_user("session-user", password="secret")
    session = SessionStore()
    session.update(
        {
            "_auth_user_id": str(jane.pk),
            "_auth_user_backend": "django.contrib.auth.backends.ModelBackend",
            "_auth_user_hash": jane.get_session_auth_hash(),
        }
    )
    session.save()
    site(whoami)
    cookies = {"sessionid": session.session_key}
    assert text(send(cookies=cookies)).split()[0] == "None"
    assert text(send(cookies=cookies)).endswith("session-user")
    assert text(send(token=pool.access_token(), cookies=cookies)).endswith("CognitoUser jane")


def test_bad_token_is_refused_on_every_path(
    site: Site, send: Get, caplog: pytest.LogCaptureFixture, pool: FakeUserPool
) -> None:
    """Bad credentials are never anonymous, not even where there is nothing to serve."""
    site()
    assert_refused(send(url="/nowhere", token="junk"), 401, BAD_TOKEN, caplog, Reason.MALFORMED_TOKEN)


def test_two_headers_are_refused(site: Site, caplog: pytest.LogCaptureFixture, pool: FakeUserPool) -> None:
    """Django joins repeated headers by a comma, and the joined value is none."""
    site()
    token = pool.access_token()
    response = Client().get("/", headers={"authorization": f"Bearer {token},Bearer {token}"})
    assert_refused(response, 400, NOT_ONE_TOKEN, caplog, Reason.MALFORMED_HEADER)


@pytest.mark.parametrize("name", ["authorization_", "AUTHORIZATION_", "_authorization", "x_authorization"])
def test_underscore_in_a_header_name_never_counts(site: Site, pool: FakeUserPool, name: str) -> None:
    """CVE-2026-3902: an underscore is no hyphen, and no spelling with one stands in for Authorization."""
    site()
    value = f"Bearer {pool.access_token()}"
    asgi = AsyncRequestFactory().generic("GET", "/")
    asgi = type(asgi)({**asgi.scope, "headers": [(name.lower().encode(), value.encode())]}, asgi._stream)
    spoofed: Any = {f"HTTP_{name.upper()}": value}
    wsgi = RequestFactory().get("/", **spoofed)
    for request in (asgi, wsgi):
        assert cognito_required()(whoami)(request).headers["WWW-Authenticate"] == NO_TOKEN


def test_required_refuses_all_but_exempt_paths(
    site: Site, send: Get, caplog: pytest.LogCaptureFixture, pool: FakeUserPool
) -> None:
    """REQUIRED guards every path; an exempt one matches itself alone, and judges no token."""
    site(REQUIRED=True, EXEMPT=["/free"])
    assert text(send(url="/free")).startswith("None")
    assert text(send(url="/free", token="junk")).startswith("None")
    for url in ("/free/", "/free/er", "/FREE", "//free", "/free%2Fer", "/nowhere"):
        caplog.clear()
        assert_refused(send(url=url), 401, NO_TOKEN, caplog, Reason.MISSING_TOKEN)


def test_exempt_path_is_the_one_below_the_script_name(site: Site, pool: FakeUserPool) -> None:
    """Mounted below a prefix, the prefix is no part of the path, and can't make one exempt."""
    site(REQUIRED=True, EXEMPT="/free")
    assert Client().get("/free", SCRIPT_NAME="/mounted").status_code == 200
    assert Client().get("/", SCRIPT_NAME="/free").status_code == 401


def test_preflight_passes_and_has_no_caller(site: Site, send: Get, pool: FakeUserPool) -> None:
    """Only a real preflight needs no token, and what comes along is not looked at."""
    site(REQUIRED=True)
    preflight = {"origin": "https://app.example.com", "access-control-request-method": "POST"}
    assert text(send("OPTIONS", headers=preflight)).startswith("None")
    assert text(send("OPTIONS", token="junk", headers=preflight)).startswith("None")
    assert send("OPTIONS").status_code == 401
    assert send("OPTIONS", headers={"origin": "https://app.example.com"}).status_code == 401
    assert send("GET", headers=preflight).status_code == 401


def test_metadata_is_served_to_anybody(site: Site, send: Get) -> None:
    """The well-known document needs no token, and challenges name it."""
    resource = ProtectedResource("https://api.example.com/v1", authorization_servers="https://example.com")
    site(REQUIRED=True, METADATA=resource)
    assert text(send(url=resource.path)).encode() == resource.document
    assert send().headers["WWW-Authenticate"] == f'{NO_TOKEN}, resource_metadata="{resource.url}"'


@pytest.mark.parametrize("script_name", ["", "/v1", "/v"])
def test_metadata_path_is_the_one_below_the_script_name_or_with_it(site: Site, send: Get, script_name: str) -> None:
    """A server that is told the root puts it in front of well-known paths too."""
    resource = ProtectedResource("https://api.example.com/v1", authorization_servers="https://example.com")
    site(REQUIRED=True, METADATA=resource)
    with override_settings(FORCE_SCRIPT_NAME=script_name):
        for url, status in ((resource.path, 200), (resource.path + "/", 401), ("/v1", 401)):
            assert send(url=url).status_code == status


def test_response_varies_by_authorization(site: Site, send: Get) -> None:
    """Django's cache would hand one caller's page to the next."""
    site()
    assert "Authorization" in send().headers["Vary"]
    site(TOKEN_FROM=[header(), cookie("token")])
    assert {"Authorization", "Cookie"} <= set(send().headers["Vary"].split(", "))


@pytest.mark.parametrize(
    "own",
    [
        pytest.param({}, id="a view without Vary"),
        pytest.param({"Vary": "Accept-Language"}, id="another header"),
        pytest.param({"vary": "Cookie, authorization"}, id="the same ones in small letters"),
        pytest.param({"VARY": "accept,  cookie"}, id="one of them, after odd blanks"),
        pytest.param({"Vary": "*"}, id="everything"),
        pytest.param({"Vary": ""}, id="an empty value"),
    ],
)
@pytest.mark.parametrize(
    "settings, ours",
    [
        pytest.param({}, ["Authorization"], id="tokens from the header"),
        pytest.param({"TOKEN_FROM": [header(), cookie("token")]}, ["Authorization", "Cookie"], id="or from a cookie"),
    ],
)
def test_own_vary_of_a_view_is_patched_as_django_does(
    site: Site, send: Get, own: dict[str, str], settings: dict[str, Any], ours: list[str]
) -> None:
    """What a view says is kept and added to, in the very words of Django's own function."""

    def view(_: HttpRequest) -> HttpResponse:
        return HttpResponse(headers=own)

    site(view, middleware=[COGNITO], **settings)
    expected = HttpResponse(headers=own)
    patch_vary_headers(expected, ours)
    assert send().headers["Vary"] == expected.headers["Vary"]


def test_problem_details_and_realm_are_settings(site: Site, send: Get) -> None:
    """The Guard's options are settings in capitals."""
    site(REQUIRED=True, REALM="orders", PROBLEM_DETAILS=True)
    response = send()
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="orders"'
    assert response.headers["Content-Type"] == "application/problem+json"


def test_async_request_stays_on_its_thread(site: Site, pool: FakeUserPool) -> None:
    """The middleware and the decorator hop to no thread."""
    site(middleware=[COGNITO])
    seen: list[int] = []

    @cognito_required()
    async def view(request: HttpRequest) -> HttpResponse:
        seen.append(threading.get_ident())
        return HttpResponse()

    async def ask() -> tuple[int, int]:
        request = AsyncRequestFactory().get("/", headers=pool.headers())
        response = await cast("Any", CognitoMiddleware(cast("Any", view)))(request)
        return response.status_code, threading.get_ident()

    assert asyncio.run(ask()) == (200, seen[0])


# The decorators


def kinds() -> dict[str, Callable[[Any], Any]]:
    """Return every way to decorate a view."""

    def on_class(decorator: Any) -> Any:
        @method_decorator(decorator, name="dispatch")
        class Plain(View):
            def get(self, request: HttpRequest) -> HttpResponse:
                return whoami(request)

            post = get

        return Plain.as_view()

    def on_async_class(decorator: Any) -> Any:
        @method_decorator(decorator, name="dispatch")
        class Async(View):
            async def get(self, request: HttpRequest) -> HttpResponse:
                return await awhoami(request)

            post = get

        return Async.as_view()

    def on_method(decorator: Any) -> Any:
        class Plain(View):
            @method_decorator(decorator)
            def get(self, request: HttpRequest) -> HttpResponse:
                return whoami(request)

        return Plain.as_view()

    def on_async_method(decorator: Any) -> Any:
        class Async(View):
            @method_decorator(decorator)
            async def get(self, request: HttpRequest) -> HttpResponse:
                return await awhoami(request)

        return Async.as_view()

    def around_class(decorator: Any) -> Any:
        class Async(View):
            async def get(self, request: HttpRequest) -> HttpResponse:
                return await awhoami(request)

            post = get

        return decorator(Async.as_view())

    return {
        "function": lambda decorator: decorator(whoami),
        "async function": lambda decorator: decorator(awhoami),
        "class": on_class,
        "async class": on_async_class,
        "method": on_method,
        "async method": on_async_method,
        "around an async class": around_class,
    }


@pytest.mark.parametrize("middleware", [[], [*STACK, COGNITO]], ids=["alone", "behind the middleware"])
@pytest.mark.parametrize("kind", kinds())
def test_required_tells_401_from_403_from_a_pass(
    site: Site, send: Get, pool: FakeUserPool, caplog: pytest.LogCaptureFixture, kind: str, middleware: list[str]
) -> None:
    """No caller is a 401 that names the scope, a caller without it a 403, one with it gets through."""
    site(kinds()[kind](cognito_required(GET)), middleware=middleware)
    assert_refused(send(), 401, f'{NO_TOKEN}, scope="{GET}"', caplog, Reason.MISSING_TOKEN)
    caplog.clear()
    assert_refused(send(token=pool.access_token()), 403, NO_SCOPE, caplog, Reason.INSUFFICIENT_SCOPE)
    assert text(send(token=pool.access_token(scopes=[GET]))) == f"{pool.subject('jane')} CognitoUser jane"


@pytest.mark.parametrize(
    "decorator, token, status",
    [
        pytest.param(cognito_required(GET, POST), {"scopes": [GET]}, 403, id="two scopes, one granted"),
        pytest.param(cognito_required(groups="staff"), {"groups": ["staff"]}, 200, id="a group, met"),
        pytest.param(cognito_required(groups="staff"), {"groups": ["staf"]}, 403, id="a group, not met"),
        pytest.param(cognito_required(GET, groups="staff"), {"scopes": [GET]}, 403, id="scope and group"),
        pytest.param(cognito_required(max_age=300), {"auth_time": 0}, 401, id="too long ago"),
        pytest.param(cognito_required(~Requires(groups="banned")), {"groups": ["banned"]}, 403, id="excluded"),
        pytest.param(cognito_required(), {"scopes": ()}, 200, id="any caller"),
    ],
)
def test_required_composes(
    site: Site, send: Get, pool: FakeUserPool, decorator: Any, token: dict[str, Any], status: int
) -> None:
    """Scopes, requirements and arguments of Requires are all demanded."""
    site(decorator(whoami))
    assert send(token=pool.access_token(**token)).status_code == status


@pytest.mark.parametrize("view", [whoami, awhoami])
def test_token_is_verified_once(site: Site, send: Get, pool: FakeUserPool, view: Any) -> None:
    """The decorator takes the middleware's word."""
    verified: list[Principal] = []

    def listener(principal: Principal, **_: Any) -> None:
        verified.append(principal)

    site(cognito_required()(cognito_optional(view)))
    principal_verified.connect(listener)
    try:
        assert send(token=pool.access_token()).status_code == 200
    finally:
        principal_verified.disconnect(listener)
    assert [principal.subject for principal in verified] == [pool.subject("jane")]


@pytest.mark.parametrize("view", [whoami, awhoami])
def test_optional_lets_nobody_in_with_bad_credentials(site: Site, send: Get, pool: FakeUserPool, view: Any) -> None:
    """Without credentials a caller is anonymous; with bad ones it is refused."""
    site(cognito_optional(view), middleware=STACK)
    assert text(send()).endswith("AnonymousUser")
    assert text(send(token=pool.access_token())).endswith("CognitoUser jane")
    assert send(token="junk").status_code == 401


def test_what_is_no_view_is_refused() -> None:
    """A class, and a method without method_decorator, would not be guarded as they look."""
    with pytest.raises(ConfigurationError, match="method_decorator"):
        cognito_required()(View)
    with pytest.raises(ConfigurationError, match="method_decorator"):
        cognito_required()(whoami)(cast("Any", View()))
    with pytest.raises(ConfigurationError, match="requires"):
        cognito_required(cast("Any", whoami))


def test_bug_in_a_view_is_a_500(site: Site, send: Get, pool: FakeUserPool, caplog: pytest.LogCaptureFixture) -> None:
    """It is neither a pass nor a refusal."""

    def broken(_: HttpRequest) -> HttpResponse:
        raise KeyError("user")

    site(cognito_required()(broken))
    assert send(token=pool.access_token()).status_code == 500
    assert not [record for record in caplog.records if record.name == "cognito_guard"]


# Cross-site request forgery


@pytest.mark.parametrize("kind", ["function", "async function", "class", "async class", "around an async class"])
def test_post_with_a_bearer_token_needs_no_csrf_token(site: Site, send: Get, pool: FakeUserPool, kind: str) -> None:
    """No browser sends an Authorization header by itself."""
    site(kinds()[kind](cognito_required()))
    assert send("POST", token=pool.access_token()).status_code == 200
    site(whoami)
    assert send("POST", token=pool.access_token()).status_code == 403


@pytest.mark.parametrize("kind", ["function", "async function", "class", "async class"])
@pytest.mark.parametrize("middleware", [[], [*STACK, COGNITO]], ids=["alone", "behind the middleware"])
def test_post_with_a_token_in_a_cookie_needs_a_csrf_token(
    site: Site, send: Get, pool: FakeUserPool, kind: str, middleware: list[str]
) -> None:
    """A browser sends cookies whoever asks it to, also where the guard accepts headers as well."""
    site(kinds()[kind](cognito_required()), middleware=middleware, TOKEN_FROM=[header(), cookie("token")])
    by_cookie = {"token": pool.access_token()}
    secret = "a" * 32
    assert text(send("GET", cookies=by_cookie)).endswith("jane")
    assert send("POST", cookies=by_cookie).status_code == 403
    with_csrf = send("POST", cookies=by_cookie | {"csrftoken": secret}, headers={"x-csrftoken": secret})
    assert text(with_csrf).endswith("jane")
    assert text(send("POST", token=pool.access_token())).endswith("jane")


def test_optional_view_keeps_its_own_exemption() -> None:
    """Anonymous callers may be a session's: only the view itself may give Django's check up."""
    assert not hasattr(cognito_optional(whoami), "csrf_exempt")
    exempt: Any = cognito_optional(csrf_exempt(whoami))
    assert exempt.csrf_exempt is True


# Signals


def test_signals_tell_of_a_caller_and_of_a_refusal(
    site: Site, send: Get, pool: FakeUserPool, caplog: pytest.LogCaptureFixture
) -> None:
    """Receivers hear of both, sync and async, and can't change the decision."""
    heard: list[Any] = []

    def verified(principal: Principal, **_: Any) -> None:
        heard.append(principal.subject)
        raise RuntimeError

    async def refused(challenge: Any, **_: Any) -> None:
        heard.append(challenge.reason)
        raise RuntimeError

    site()
    principal_verified.connect(verified)
    request_refused.connect(refused)
    try:
        assert send(token=pool.access_token()).status_code == 200
        assert send(token="junk").status_code == 401
    finally:
        principal_verified.disconnect(verified)
        request_refused.disconnect(refused)
    assert heard == [pool.subject("jane"), Reason.MALFORMED_TOKEN]


# Users and permissions

MAPS: dict[str, Any] = {
    "PERMISSION_MAP": {GET: ["shop.view_order"], POST: "shop.add_order"},
    "GROUP_MAP": {"ops": "Operators"},
}


@pytest.fixture
def operators(database: None) -> Group:
    """Return a Django group that holds a permission."""
    group = Group.objects.create(name="Operators")
    group.permissions.add(Permission.objects.get(codename="delete_group"))
    return group


def ask_all(user: Any) -> dict[str, Any]:
    """Ask a user every permission question there is."""
    both = ["shop.view_order", "auth.delete_group"]
    return {
        "all": user.get_all_permissions(),
        "user": user.get_user_permissions(),
        "group": user.get_group_permissions(),
        "perm": (user.has_perm("shop.view_order"), user.has_perm("shop.add_order")),
        "perms": (user.has_perms(both), user.has_perms([*both, "shop.add_order"])),
        "module": (user.has_module_perms("auth"), user.has_module_perms("au"), user.has_module_perms("sites")),
        "object": (user.get_all_permissions(user), user.has_perm("shop.view_order", user)),
    }


async def aask_all(user: Any) -> dict[str, Any]:
    """Ask a user every permission question there is, as async views do."""
    both = ["shop.view_order", "auth.delete_group"]
    return {
        "all": await user.aget_all_permissions(),
        "user": await user.aget_user_permissions(),
        "group": await user.aget_group_permissions(),
        "perm": (await user.ahas_perm("shop.view_order"), await user.ahas_perm("shop.add_order")),
        "perms": (await user.ahas_perms(both), await user.ahas_perms([*both, "shop.add_order"])),
        "module": (
            await user.ahas_module_perms("auth"),
            await user.ahas_module_perms("au"),
            await user.ahas_module_perms("sites"),
        ),
        "object": (await user.aget_all_permissions(user), await user.ahas_perm("shop.view_order", user)),
    }


GRANTED: dict[str, Any] = {
    "all": {"shop.view_order", "auth.delete_group"},
    "user": {"shop.view_order"},
    "group": {"auth.delete_group"},
    "perm": (True, False),
    "perms": (True, False),
    "module": (True, False, False),
    "object": (set(), False),
}


def test_cognito_user_has_the_mapped_permissions(site: Site, pool: FakeUserPool, operators: Group) -> None:
    """Scopes and groups grant what the maps say; every question has an answer, sync and async."""
    site(**MAPS)
    principal = principal_of(pool, scopes=[GET], groups=["ops", "Operators2"])
    assert ask_all(CognitoUser(principal)) == GRANTED
    assert list(CognitoUser(principal).groups) == [operators]


def test_async_permission_questions_are_the_same(site: Site, pool: FakeUserPool, operators: Group) -> None:
    """The async twins see what the plain methods see."""
    site(**MAPS)
    user = CognitoUser(principal_of(pool, scopes=[GET], groups=["ops"]))
    assert asyncio.run(aask_all(user)) == GRANTED
    fresh = CognitoUser(principal_of(pool, scopes=[GET]))
    assert asyncio.run(fresh.aget_all_permissions()) == {"shop.view_order"}


def test_group_of_the_same_name_grants_nothing_without_a_map(site: Site, pool: FakeUserPool, operators: Group) -> None:
    """Whoever names groups in the user pool does not name Django's."""
    site(PERMISSION_MAP=MAPS["PERMISSION_MAP"])
    user = CognitoUser(principal_of(pool, scopes=[], groups=["Operators"]))
    assert user.get_all_permissions() == set()
    assert list(user.groups) == []


def test_implied_scope_grants_its_permissions(site: Site, pool: FakeUserPool) -> None:
    """A scope that includes another grants what that one does."""
    site(VERIFIER=pool.verifier(implies={POST: [GET]}), **MAPS)
    assert CognitoUser(principal_of(pool, scopes=[POST])).get_all_permissions() == {"shop.view_order", "shop.add_order"}


@pytest.mark.parametrize(
    "claims", [{"groups": ["staff", "superuser", "admin"]}, {"is_staff": True}, {"is_superuser": True}]
)
def test_no_claim_makes_staff_or_superuser(site: Site, pool: FakeUserPool, claims: dict[str, Any]) -> None:
    """Whatever the token says."""
    site(**MAPS)
    user = CognitoUser(principal_of(pool, scopes=[], **claims))
    assert (user.is_staff, user.is_superuser, user.get_all_permissions()) == (False, False, set())
    assert (user.is_authenticated, user.is_anonymous, user.is_active) == (True, False, True)


def test_cognito_user_shows_its_caller(pool: FakeUserPool) -> None:
    """Its key is the subject, its name the username; it equals itself from another token, and shows no claim."""
    one, two = (CognitoUser(principal_of(pool)) for _ in range(2))
    assert (one.pk, one.id, one.get_username(), str(one)) == (pool.subject("jane"), one.pk, "jane", "jane")
    assert one == two
    assert len({one, two}) == 1
    assert one != CognitoUser(principal_of(pool, username="joe"))
    assert one != AnonymousUser()
    assert "jane" not in repr(one)
    with pytest.raises(ValueError, match="iterable"):
        one.has_perms("shop.view_order")


def test_cognito_user_of_another_pool_is_another(pool: FakeUserPool) -> None:
    """A subject is unique in its user pool alone."""
    claims = dict(principal_of(pool).claims)
    one, two = (CognitoUser(Principal(claims, user_pool_id=name)) for name in ("eu-west-1_A", "eu-west-1_B"))
    assert one != two


def test_djangos_own_decorators_work(site: Site, send: Get, pool: FakeUserPool) -> None:
    """`login_required` and `permission_required` find a user they understand."""
    for view in (whoami, awhoami):
        site(login_required(permission_required("shop.view_order", raise_exception=True)(view)), **MAPS)
        assert send(token=pool.access_token(scopes=[GET])).status_code == 200
        assert send(token=pool.access_token(scopes=[POST])).status_code == 403


def test_backend_logs_nobody_in(database: None) -> None:
    """No password opens anything, and no session is restored."""
    assert authenticate(username="jane", password="secret") is None
    assert asyncio.run(CognitoBackend().aauthenticate(None, username="jane", password="secret")) is None
    assert cast("Any", CognitoBackend()).get_user("jane") is None
    assert asyncio.run(CognitoBackend().aget_user("jane")) is None


# Resolvers

SUBJECT = "cognito_guard.django.resolvers.get_or_create_by_subject"


def resolve(pool: FakeUserPool, token: str) -> Any:
    """Send a request to a decorated view, on this thread; return its user, or the refusal."""
    found: list[Any] = []

    def view(request: Any) -> HttpResponse:
        found.append(request.user)
        return HttpResponse()

    response = cognito_required()(view)(RequestFactory().get("/", headers={"authorization": f"Bearer {token}"}))
    return found[0] if found else response


def test_user_is_made_on_first_sight_and_found_again(site: Site, pool: FakeUserPool, database: None) -> None:
    """The key is subject and pool; a new name in the pool is no new user here."""
    site(USER_RESOLVER=SUBJECT)
    user = resolve(pool, pool.access_token())
    assert user.get_username() == f"{pool.subject('jane')}@{pool.user_pool_id}"
    assert not user.has_usable_password()
    assert not user.is_staff
    user.full_clean(exclude=["password"])
    assert resolve(pool, pool.access_token(sub=pool.subject("jane"), username="renamed")).pk == user.pk
    assert users().count() == 1


def test_machine_is_no_user_unless_asked_for(
    site: Site, pool: FakeUserPool, database: None, caplog: pytest.LogCaptureFixture
) -> None:
    """A machine gets no account by accident."""
    site(USER_RESOLVER=get_or_create_by_subject)
    response = resolve(pool, pool.client_token())
    assert_refused(response, 403, None, caplog, Reason.NO_USER)
    assert users().count() == 0
    site(USER_RESOLVER=get_or_create_any_by_subject)
    assert resolve(pool, pool.client_token()).get_username() == f"{pool.client_id}@{pool.user_pool_id}"


@pytest.mark.parametrize("taken", [{"password": "secret"}, {"is_active": False}])
def test_account_that_is_not_the_callers_is_refused(
    site: Site, pool: FakeUserPool, database: None, caplog: pytest.LogCaptureFixture, taken: dict[str, Any]
) -> None:
    """A name taken beforehand by somebody with a password, and a user who was deactivated."""
    username = f"{pool.subject('jane')}@{pool.user_pool_id}"
    users().create_user(username, **taken)
    site(USER_RESOLVER=SUBJECT)
    assert_refused(resolve(pool, pool.access_token()), 403, None, caplog, Reason.NO_USER)


def test_resolved_user_has_the_mapped_permissions(site: Site, pool: FakeUserPool, operators: Group) -> None:
    """Through CognitoBackend, for this request alone: the token's rights are not written to the database."""
    site(USER_RESOLVER=SUBJECT, **MAPS)
    user = resolve(pool, pool.access_token(scopes=[GET], groups=["ops"]))
    assert ask_all(user) == GRANTED
    assert users().get(pk=user.pk).get_all_permissions() == set()


def test_async_request_asks_a_plain_resolver(site: Site, send: Get, pool: FakeUserPool) -> None:
    """A resolver is a plain function, under either server."""

    class Known:
        is_active = True

        def __init__(self, principal: Principal) -> None:
            self.subject = principal.subject

        def __str__(self) -> str:
            return "known"

    def unknown(_: Principal) -> None:
        return None

    site(cognito_required()(whoami), USER_RESOLVER=Known)
    assert text(send(token=pool.access_token())).endswith("Known known")
    site(cognito_required()(whoami), USER_RESOLVER=unknown)
    assert send(token=pool.access_token()).status_code == 403


# Settings and checks


@pytest.mark.parametrize(
    "given, setting",
    [
        pytest.param(None, "COGNITO_GUARD", id="no dictionary"),
        pytest.param({"CLIENT_ID": "x"}, "user_pool_id", id="no pool"),
        pytest.param({"USER_POOL_ID": "here"}, "client_id", id="no client"),
        pytest.param({"USER_POOL_ID": "eu-west-1_A", "CLIENT_ID": "x", "LEWAY": 1}, "LEWAY", id="unknown"),
        pytest.param({"VERIFIER": "nowhere.at_all"}, "VERIFIER", id="no such module"),
        pytest.param({"VERIFIER": object()}, "verifier", id="no verifier"),
        pytest.param({"VERIFIER": ..., "CLIENT_ID": "x"}, "VERIFIER", id="a verifier and its settings"),
        pytest.param({"VERIFIER": ..., "EXEMPT": "free"}, "exempt", id="no path"),
        pytest.param({"VERIFIER": ..., "REALM": '"'}, "realm", id="no realm"),
        pytest.param({"VERIFIER": ..., "USER_RESOLVER": 1}, "USER_RESOLVER", id="no function"),
        pytest.param({"VERIFIER": ..., "USER_RESOLVER": "os.nothing"}, "USER_RESOLVER", id="no such function"),
        pytest.param({"VERIFIER": ..., "PERMISSION_MAP": []}, "PERMISSION_MAP", id="no map"),
        pytest.param({"VERIFIER": ..., "PERMISSION_MAP": {"a b": "x.y"}}, "PERMISSION_MAP", id="no scope"),
        pytest.param({"VERIFIER": ..., "PERMISSION_MAP": {"a": "xy"}}, "PERMISSION_MAP", id="no permission"),
        pytest.param({"VERIFIER": ..., "GROUP_MAP": {"a": 1}}, "GROUP_MAP", id="no group"),
        pytest.param({"VERIFIER": ..., "REALM": "a", "realm": "a"}, "realm", id="one of ours twice"),
        pytest.param({"USER_POOL_ID": "a", "user_pool_id": "a"}, "user_pool_id", id="a verifier's twice"),
        pytest.param({"VERIFIER": ..., "verifier": None}, "verifier", id="the verifier twice"),
        pytest.param({"VERIFIER": ..., 1: 2}, "VERIFIER", id="no name"),
    ],
)
def test_wrong_setting_is_found_at_the_start(pool: FakeUserPool, given: Any, setting: str) -> None:
    """The site does not start, and the system check says why."""
    if given and given.get("VERIFIER") is ...:
        given = {**given, "VERIFIER": pool.verifier()}
    with override_settings(COGNITO_GUARD=given, MIDDLEWARE=[COGNITO]):
        with pytest.raises(ConfigurationError) as caught:
            CognitoMiddleware(whoami)
        found = [message for message in run_checks() if message.id == "cognito_guard.E001"]
    assert caught.value.setting == setting
    assert [message.msg for message in found] == [f"COGNITO_GUARD: {caught.value}"]


def test_settings_make_one_verifier_until_they_change() -> None:
    """One per process; another for other settings, and the same dictionary is not asked twice."""
    first = configuration()
    assert configuration() is first
    with override_settings(COGNITO_GUARD={"USER_POOL_ID": "eu-west-1_Other", "CLIENT_ID": ["a", "b"]}):
        assert "eu-west-1_Other" in repr(configuration().guard.verifier)
    assert configuration() is not first
    assert "eu-west-1_FakePool1" in repr(configuration().guard.verifier)


@pytest.mark.parametrize("middleware", [[], [*STACK, COGNITO]], ids=["alone", "behind the middleware"])
@pytest.mark.parametrize("view", [whoami, awhoami])
def test_requirement_without_required_is_that_of_every_decorated_view(
    site: Site, send: Get, pool: FakeUserPool, view: Any, middleware: list[str]
) -> None:
    """And of whoever comes with a token; without one, a request is anonymous where views allow that."""
    demanded = Requires(scopes=POST, groups="staff")
    site(cognito_required(GET)(view), middleware=middleware, REQUIREMENT=demanded)
    assert send().headers["WWW-Authenticate"] == f'{NO_TOKEN}, scope="{POST} {GET}"'
    assert send(token=pool.access_token(scopes=[GET, POST])).status_code == 403
    poor = send(token=pool.access_token(scopes=[GET], groups=["staff"]))
    # Only a view knows what it demands itself.
    assert poor.headers["WWW-Authenticate"].endswith(f', scope="{POST}"' if middleware else f', scope="{POST} {GET}"')
    assert send(token=pool.access_token(scopes=[GET, POST], groups=["staff"])).status_code == 200
    site(cognito_optional(view), middleware=middleware or STACK, REQUIREMENT=demanded)
    assert send().status_code == 200
    assert send(token=pool.access_token()).status_code == 403


def test_requirement_excludes_callers_who_are_let_in_without_a_token(pool: FakeUserPool) -> None:
    """By `"REQUIRED": False`, where it is written."""
    with pytest.raises(ConfigurationError) as raised:
        build({"VERIFIER": pool.verifier(), "REQUIREMENT": Requires(groups="staff"), "REQUIRED": False})
    assert raised.value.setting == "requirement"


@pytest.mark.parametrize("spell", [str.lower, str.title, str.upper])
def test_settings_are_read_in_any_case(pool: FakeUserPool, spell: Callable[[str], str]) -> None:
    """Those of the verifier and our own alike."""
    ours = {"REQUIRED": True, "EXEMPT": "/free", "TOKEN_FROM": cookie("a"), "GROUP_MAP": {"ops": "Operators"}}
    given = {"USER_POOL_ID": pool.user_pool_id, "CLIENT_ID": pool.client_id, **ours}
    built = build({spell(name): value for name, value in given.items()})
    assert built.guard.required
    assert built.exempt == frozenset(["/free"])
    assert built.vary == ("Authorization", "Cookie")
    assert built.group_map == {"ops": frozenset(["Operators"])}
    resolved = build({spell("VERIFIER"): pool.verifier(), spell("USER_RESOLVER"): get_or_create_by_subject})
    assert resolved.resolver is get_or_create_by_subject


def test_verifier_may_be_named_by_its_path(monkeypatch: pytest.MonkeyPatch, pool: FakeUserPool) -> None:
    """A settings module can name what it can't build."""
    verifier = pool.verifier()
    monkeypatch.setattr("tests.adapters.django_settings.verifier", verifier, raising=False)
    with override_settings(COGNITO_GUARD={"VERIFIER": "tests.adapters.django_settings.verifier"}):
        assert configuration().guard.verifier is verifier


@pytest.mark.parametrize(
    "stack, warned",
    [
        pytest.param([AUTHENTICATION, COGNITO], False, id="after"),
        pytest.param([COGNITO], False, id="alone"),
        pytest.param([AUTHENTICATION], False, id="without"),
        pytest.param([COGNITO, AUTHENTICATION], True, id="before"),
    ],
)
def test_middleware_before_djangos_is_warned_of(stack: list[str], warned: bool) -> None:
    """AuthenticationMiddleware would overwrite the user."""
    with override_settings(MIDDLEWARE=[SESSIONS, *stack]):
        found = [message for message in run_checks() if message.id == "cognito_guard.W001"]
    assert bool(found) is warned


def test_right_settings_pass_the_checks() -> None:
    """No check of ours speaks up for nothing."""
    assert not [message for message in run_checks() if str(message.id).startswith("cognito_guard")]


PROBE = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in sys.argv[2:]:
            raise ImportError(name)
sys.meta_path.insert(0, Blocked())
try:
    __import__(sys.argv[1])
except ImportError as error:
    print(error)
"""


@pytest.mark.parametrize("module, blocked, extra", [("django", "django", "django"), ("drf", "rest_framework", "drf")])
def test_missing_framework_is_named_with_its_extra(module: str, blocked: str, extra: str) -> None:
    """The error says what to install."""
    command = [sys.executable, "-c", PROBE, f"cognito_guard.{module}", blocked]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert f"pip install 'cognito-guard[{extra}]'" in done.stdout


SETTINGS_PROBE = """
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["cognito_guard.django"], MIDDLEWARE=["cognito_guard.django.CognitoMiddleware"], ROOT_URLCONF=(),
    COGNITO_GUARD={"USER_POOL_ID": "eu-west-1_A", "CLIENT_ID": "x"},
)
import django
django.setup()
from django.core.management import call_command
call_command("check")
from django.test import Client
print(Client().get("/", headers={"authorization": "Bearer junk"}).status_code)
"""


def test_site_without_djangos_users_needs_none() -> None:
    """A pure API installs neither django.contrib.auth nor a database."""
    command = [sys.executable, "-W", "error", "-c", SETTINGS_PROBE]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "401"


def test_project_with_sync_and_async_views_fetches_keys_once(pool: FakeUserPool, site: Site) -> None:
    """One verifier is made of the settings for a process: threads and event loops share its keys."""
    with pool.serve() as server:
        site(
            USER_POOL_ID=pool.user_pool_id,
            CLIENT_ID=pool.client_id,
            JWKS_URI=server.jwks_uri,
            ALLOW_INSECURE_HTTP=True,
            CLOCK=pool.clock,
        )
        given = {"authorization": f"Bearer {pool.access_token()}"}
        with override_settings(ROOT_URLCONF=(path("sync", cognito_required()(whoami)), path("async", awhoami))):
            answers: list[int] = []

            def ask_sync() -> None:
                answers.append(Client().get("/sync", headers=given).status_code)

            def ask_async() -> None:
                answers.append(asyncio.run(AsyncClient().get("/async", headers=given)).status_code)

            threads = [threading.Thread(target=ask) for ask in [ask_sync, ask_async] * 5]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert answers == [200] * 10
        assert server.count("/jwks.json") == 1
