"""The REST framework adapter: authentication, permissions that compose, the exception handler, the schema."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias, cast

from .django_settings import COGNITO  # isort: skip - configures Django

import pytest
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.db import connection, transaction
from django.http import Http404, HttpRequest
from django.test import override_settings
from django.urls import path
from drf_spectacular import settings as spectacular
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.authentication import BaseAuthentication, BasicAuthentication, SessionAuthentication
from rest_framework.decorators import api_view, authentication_classes, permission_classes
from rest_framework.exceptions import NotAuthenticated, NotFound, PermissionDenied
from rest_framework.permissions import AllowAny, BasePermission, IsAdminUser, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIClient, APIRequestFactory, force_authenticate
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from cognito_guard import Challenge, ConfigurationError, FetchError, Principal, Reason, Requires
from cognito_guard.django import principal_verified, request_refused
from cognito_guard.drf import (
    CognitoAuthentication,
    HasAnyScope,
    HasGroups,
    HasRequiredScopes,
    HasScopes,
    Meets,
)
from cognito_guard.testing import FakeUserPool
from cognito_guard.tokens.credentials import cookie, header

Refused: TypeAlias = Callable[..., None]

GET = "transactions/get"
POST = "transactions/post"
NO_TOKEN = 'Bearer realm="cognito"'
BAD_TOKEN = 'Bearer realm="cognito", error="invalid_token", error_description="The token is not valid here"'
TWO_TOKENS = 'Bearer realm="cognito", error="invalid_request", error_description="Exactly one bearer token is expected"'
STEP_UP = (
    'Bearer realm="cognito", error="insufficient_user_authentication", '
    'error_description="A more recent or stronger authentication is required", max_age="300"'
)


def no_scope(*needed: str) -> str:
    """Return the challenge to a caller who lacks scopes."""
    description = "The token lacks a scope that is required"
    return f'{NO_TOKEN}, error="insufficient_scope", error_description="{description}", scope="{" ".join(needed)}"'


CLOSED = Requires(predicate=lambda _: False)


class IsGet(BasePermission):
    """Be a permission of another origin."""

    message = "only to look at"

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Allow GET."""
        return request.method == "GET"


class IsOwner(BasePermission):
    """Be one that looks at objects."""

    def has_object_permission(self, request: Request, view: APIView, obj: object) -> bool:
        """Believe a header."""
        return "x-owner" in request.headers


class Header(BaseAuthentication):
    """Be an authentication class of another origin."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        """Believe a header."""
        if "x-user" not in request.headers:
            return None
        return type("Known", (), {"is_authenticated": True, "is_staff": True})(), "a key of another kind"


@pytest.fixture(autouse=True)
def _site(pool: FakeUserPool, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.INFO, "cognito_guard")
    with override_settings(COGNITO_GUARD={"VERIFIER": pool.verifier()}, MIDDLEWARE=[]):
        yield


@pytest.fixture
def assert_refused(caplog: pytest.LogCaptureFixture) -> Refused:
    """Return a function that checks status, challenge and what was logged, once."""

    def check(response: Response, status: int, challenge: str | None, reason: Reason | None) -> None:
        assert response.status_code == status
        assert response.headers.get("WWW-Authenticate") == challenge
        logged = [record.__dict__["reason"] for record in caplog.records if record.name == "cognito_guard"]
        assert logged == ([] if reason is None else [reason.value])
        caplog.clear()

    return check


def down(uri: str, timeout: float) -> bytes:
    """Be a key endpoint out of reach."""
    raise FetchError("down")


def view_of(*permissions: Any, authenticate: list[Any] | None = None, **members: Any) -> Any:
    """Make a view that answers with its caller."""

    class Orders(APIView):
        authentication_classes = authenticate or [CognitoAuthentication]
        permission_classes = permissions or [AllowAny]

        def get(self, request: Request) -> Response:
            caller: Any = request.auth
            return Response({"user": str(request.user), "subject": getattr(caller, "subject", None)})

        post = delete = get

    chosen: Any = type("Orders", (Orders,), members)
    return chosen.as_view()


def look_away(*_: Any) -> None:
    """Be a check of nothing."""


def look_at_one(view: APIView, request: Request) -> Response:
    """Be a handler that asks whether its caller may have an object."""
    view.check_object_permissions(request, object())
    return Response()


def ask(view: Any, token: str | None = None, method: str = "get", **headers: str) -> Any:
    """Send a request."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if token is not None:
        given["authorization"] = f"Bearer {token}"
    request = getattr(APIRequestFactory(enforce_csrf_checks=True), method)("/", headers=given)
    return view(request)


# Authentication


def test_caller_is_user_and_auth(pool: FakeUserPool) -> None:
    """`request.user` is a user, `request.auth` the principal."""
    response = ask(view_of(), pool.access_token())
    assert response.data == {"user": "jane", "subject": pool.subject("jane")}


def test_bad_token_raises_even_where_anybody_may(pool: FakeUserPool, assert_refused: Refused) -> None:
    """It is not the next class's business, and not anonymous."""
    for others in ([CognitoAuthentication], [CognitoAuthentication, Header], [Header, CognitoAuthentication]):
        response = ask(view_of(AllowAny, authenticate=others), "junk")
        assert_refused(response, 401, BAD_TOKEN, Reason.MALFORMED_TOKEN)
        response = ask(view_of(AllowAny, authenticate=others), "a b")
        assert_refused(response, 400, TWO_TOKENS, Reason.MALFORMED_HEADER)


def test_challenge_to_a_bad_token_names_what_the_view_needs(pool: FakeUserPool, assert_refused: Refused) -> None:
    """Whoever has to come back with another token is told which: the site's scopes and the view's."""
    view = view_of(HasScopes(GET) & IsGet, HasScopes(POST))
    for token in ("junk", pool.access_token(client_id="foreign")):
        response = ask(view, token)
        assert response.headers["WWW-Authenticate"] == f'{BAD_TOKEN}, scope="{GET} {POST}"'
    given = {"VERIFIER": pool.verifier(), "REQUIREMENT": Requires(scopes=["site/read"])}
    with override_settings(COGNITO_GUARD=given):
        response = ask(view, pool.access_token())
    assert response.status_code == 403
    assert response.headers["WWW-Authenticate"] == no_scope("site/read", GET, POST)


def test_permissions_that_rely_on_the_caller_leave_a_bad_token_one(pool: FakeUserPool, assert_refused: Refused) -> None:
    """A view that chooses its permissions by the user finds an anonymous one, and may fail over it."""

    def by_user(view: APIView) -> list[Any]:
        return [HasScopes(GET)()] if view.request.user.is_authenticated else [HasScopes(POST)()]

    def by_claim(view: APIView) -> list[Any]:
        caller: Any = view.request.auth
        return [HasScopes(caller.claims["tenant"])()]

    response = ask(view_of(get_permissions=by_user), "junk")
    assert_refused(response, 401, f'{BAD_TOKEN}, scope="{POST}"', Reason.MALFORMED_TOKEN)
    assert_refused(ask(view_of(get_permissions=by_claim), "junk"), 401, BAD_TOKEN, Reason.MALFORMED_TOKEN)


def test_request_without_token_is_for_the_next_class(pool: FakeUserPool, assert_refused: Refused) -> None:
    """None means "not mine", and nothing is logged."""
    view = view_of(IsAuthenticated, authenticate=[CognitoAuthentication, Header])
    assert_refused(ask(view, x_user="somebody"), 200, None, None)
    assert_refused(ask(view), 401, NO_TOKEN, Reason.MISSING_TOKEN)


def test_other_classes_words_stay_their_own(assert_refused: Refused) -> None:
    """A bad password is answered by REST framework, with the first class's challenge."""
    view = view_of(IsAuthenticated, authenticate=[CognitoAuthentication, BasicAuthentication])
    response = ask(view, authorization="Basic junk")
    assert_refused(response, 401, NO_TOKEN, Reason.MISSING_TOKEN)
    assert "detail" in response.data
    response = ask(view_of(IsAuthenticated, authenticate=[SessionAuthentication]))
    assert_refused(response, 403, None, None)


def test_keys_out_of_reach_are_a_503(pool: FakeUserPool, assert_refused: Refused) -> None:
    """With Retry-After, and no challenge."""
    with override_settings(COGNITO_GUARD={"VERIFIER": pool.verifier(fetch=down)}):
        response = ask(view_of(), pool.access_token())
    assert_refused(response, 503, None, Reason.KEYS_UNAVAILABLE)
    assert response.headers["Retry-After"] == "1"


def test_token_is_verified_once_behind_the_middleware(pool: FakeUserPool) -> None:
    """What the middleware found is what the view gets."""
    heard: list[Principal] = []

    def listener(principal: Principal, **_: Any) -> None:
        heard.append(principal)

    principal_verified.connect(listener)
    try:
        with override_settings(MIDDLEWARE=[COGNITO], ROOT_URLCONF=(path("", view_of(HasScopes(GET))),)):
            token = pool.access_token(scopes=[GET])
            response: Any = APIClient().get("/", headers={"authorization": f"Bearer {token}"})
    finally:
        principal_verified.disconnect(listener)
    assert response.data["user"] == "jane"
    assert len(heard) == 1


def test_token_in_a_cookie_needs_a_csrf_token(pool: FakeUserPool, assert_refused: Refused) -> None:
    """REST framework's views are exempt from Django's check; a browser's cookie is checked all the same."""
    jar = f"token={pool.access_token()}"
    given = {"VERIFIER": pool.verifier(), "TOKEN_FROM": [header(), cookie("token")]}
    secret = "a" * 32
    with override_settings(COGNITO_GUARD=given):
        assert ask(view_of(), cookie=jar).status_code == 200
        assert_refused(ask(view_of(), method="post", cookie=jar), 403, None, None)
        checked = ask(view_of(), method="post", cookie=f"{jar}; csrftoken={secret}", x_csrftoken=secret)
        assert checked.status_code == 200
        assert ask(view_of(), pool.access_token(), method="post").status_code == 200


def test_view_with_only_header_tokens_needs_no_csrf_token(pool: FakeUserPool) -> None:
    """A POST with a bearer token gets through."""
    assert ask(view_of(HasScopes(GET)), pool.access_token(scopes=[GET]), method="post").status_code == 200


# Permissions


@pytest.mark.parametrize(
    "permission, token, expected",
    [
        pytest.param(HasScopes(GET), {"scopes": [GET]}, None, id="a scope, granted"),
        pytest.param(HasScopes(GET), {"scopes": [POST]}, (403, no_scope(GET), "insufficient_scope"), id="a scope"),
        pytest.param(
            HasScopes(GET, POST), {"scopes": [GET]}, (403, no_scope(GET, POST), "insufficient_scope"), id="two scopes"
        ),
        pytest.param(HasAnyScope(GET, POST), {"scopes": [POST]}, None, id="any scope, granted"),
        pytest.param(HasAnyScope(GET, POST), {}, (403, no_scope(GET), "insufficient_scope"), id="any scope"),
        pytest.param(HasGroups("staff"), {"groups": ["staff"]}, None, id="a group, met"),
        pytest.param(HasGroups("staff"), {"groups": ["Staff"]}, (403, None, "group_required"), id="a group"),
        pytest.param(Meets(), {"scopes": ()}, None, id="any caller"),
        pytest.param(
            Meets(Requires(max_age=300)), {"auth_time": 0}, (401, STEP_UP, "stale_authentication"), id="too long ago"
        ),
        pytest.param(HasScopes(GET) | HasGroups("staff"), {"groups": ["staff"]}, None, id="|, second"),
        pytest.param(
            HasScopes(GET) | HasGroups("staff"), {}, (403, no_scope(GET), "insufficient_scope"), id="|, neither"
        ),
        pytest.param(
            HasGroups("staff") | HasScopes(GET), {}, (403, no_scope(GET), "insufficient_scope"), id="|, what may mend"
        ),
        pytest.param(
            HasScopes(GET) & HasGroups("staff"), {"scopes": [GET]}, (403, None, "group_required"), id="&, no group"
        ),
        pytest.param(
            HasScopes(GET) & HasScopes(POST), {}, (403, no_scope(GET, POST), "insufficient_scope"), id="&, all at once"
        ),
        pytest.param(HasScopes(GET) & IsGet | HasGroups("admins"), {"scopes": [GET]}, None, id="with another's"),
        pytest.param(HasScopes(GET) & ~IsAdminUser, {"scopes": [GET]}, None, id="with another's, not"),
        pytest.param(IsGet & HasScopes(GET), {}, (403, no_scope(GET), "insufficient_scope"), id="after another's"),
        pytest.param(~HasGroups("banned"), {"groups": ["staff"]}, None, id="~, not excluded"),
        pytest.param(~HasGroups("banned"), {"groups": ["banned"]}, (403, None, "excluded"), id="~, excluded"),
    ],
)
def test_permissions_compose(
    pool: FakeUserPool,
    assert_refused: Refused,
    permission: Any,
    token: dict[str, Any],
    expected: tuple[int, str | None, str] | None,
) -> None:
    """Yes and no are REST framework's; why not is told as by every adapter."""
    no_scopes: dict[str, Any] = {"scopes": []}
    response = ask(view_of(permission), pool.access_token(**(no_scopes | token)))
    if expected is None:
        assert_refused(response, 200, None, None)
    else:
        status, challenge, reason = expected
        assert_refused(response, status, challenge, Reason(reason))


@pytest.mark.parametrize(
    "permission, challenge",
    [
        (HasScopes(GET), f'{NO_TOKEN}, scope="{GET}"'),
        (HasScopes(GET) & HasScopes(POST), f'{NO_TOKEN}, scope="{GET} {POST}"'),
        (HasGroups("staff"), NO_TOKEN),
        (~HasGroups("banned"), NO_TOKEN),
        (~HasScopes(GET) & IsGet, NO_TOKEN),
        (Meets(), NO_TOKEN),
        (IsAuthenticated, NO_TOKEN),
    ],
)
def test_anonymous_caller_meets_nothing(assert_refused: Refused, permission: Any, challenge: str) -> None:
    """Not even what is turned around; the challenge names the scopes."""
    assert_refused(ask(view_of(permission)), 401, challenge, Reason.MISSING_TOKEN)


@pytest.mark.parametrize("is_on_an_object", [False, True])
@pytest.mark.parametrize(
    "permission, token, is_granted",
    [
        pytest.param(~(HasScopes(GET) & HasScopes(POST)), {"scopes": [GET]}, True, id="not both, one"),
        pytest.param(~(HasScopes(GET) & HasScopes(POST)), {"scopes": [GET, POST]}, False, id="not both, both"),
        pytest.param(~(HasScopes(GET) | HasScopes(POST)), {}, True, id="neither, none"),
        pytest.param(~(HasScopes(GET) | HasScopes(POST)), {"scopes": [POST]}, False, id="neither, one"),
        pytest.param(~~HasScopes(GET), {"scopes": [GET]}, True, id="twice, granted"),
        pytest.param(~~HasScopes(GET), {}, False, id="twice, not granted"),
        pytest.param(~(HasGroups("staff") | IsAdminUser), {}, True, id="or another's, not in the group"),
        pytest.param(
            ~(HasGroups("staff") | IsAdminUser), {"groups": ["staff"]}, False, id="or another's, in the group"
        ),
        pytest.param(~(AllowAny & HasGroups("staff")), {}, True, id="and another's, not in the group"),
        pytest.param(~(AllowAny & HasGroups("staff")), {"groups": ["staff"]}, False, id="and another's, in the group"),
        pytest.param(~((IsGet & AllowAny) & HasGroups("staff")), {}, True, id="below others', not in the group"),
        pytest.param(~(~HasGroups("staff") & HasScopes(GET)), {}, True, id="within each other"),
    ],
)
def test_composition_turned_around_is_for_callers_with_a_token(
    pool: FakeUserPool,
    assert_refused: Refused,
    permission: Any,
    token: dict[str, Any],
    is_granted: bool,
    is_on_an_object: bool,
) -> None:
    """`~` means "not this caller", and never "no caller at all"."""
    members: dict[str, Any] = {"check_permissions": look_away, "get": look_at_one} if is_on_an_object else {}
    view = view_of(permission, **members)
    anonymous = ask(view)
    assert anonymous.status_code == 401
    assert anonymous.headers["WWW-Authenticate"].startswith(NO_TOKEN)
    no_scopes: dict[str, Any] = {"scopes": []}
    response = ask(view, pool.access_token(**(no_scopes | token)))
    assert response.status_code == (200 if is_granted else 403)


def answering(view: bool, an_object: bool) -> type[BasePermission]:
    """Make a permission of others: what it says of a view, and of every object."""

    class Answering(BasePermission):
        def has_permission(self, request: Request, view: APIView, *, answer: bool = view) -> bool:
            return answer

        def has_object_permission(self, request: Request, view: APIView, obj: object) -> bool:
            return an_object

    return Answering


@dataclass(frozen=True)
class Composed:
    """
    Hold a permission, and what REST framework makes of it for a view and for an object.

    Attributes:
        permission: the permission.
        says: its answers, with `ours` for those of all that are ours, or None for what they are.
        is_ours: nothing of others stands in it, or None for nothing of ours.
        is_open: nothing of ours stands with others below one `~`, where anonymous callers are refused on sight.
    """

    permission: Any
    says: Callable[[bool | None], tuple[bool, bool]]
    is_ours: bool | None
    is_open: bool = True


def of_ours(permission: Any, *, is_met: bool) -> Composed:
    """Return a permission of ours."""

    def says(ours: bool | None) -> tuple[bool, bool]:
        answer = is_met if ours is None else ours
        return answer, answer

    return Composed(permission, says, is_ours=True)


LEAVES: list[Composed] = [
    of_ours(HasScopes(GET), is_met=True),
    of_ours(HasGroups("staff"), is_met=False),
    Composed(answering(True, True), lambda _: (True, True), is_ours=None),
    Composed(answering(True, False), lambda _: (True, False), is_ours=None),
    Composed(answering(False, True), lambda _: (False, True), is_ours=None),
    Composed(answering(False, False), lambda _: (False, False), is_ours=None),
]


def composed(parts: st.SearchStrategy[Composed]) -> st.SearchStrategy[Composed]:
    """Compose permissions, and what is known of them."""

    def neither(one: Composed) -> Composed:
        def says(ours: bool | None) -> tuple[bool, bool]:
            view, an_object = one.says(None if ours is None else not ours)
            return not view, not an_object

        return Composed(~one.permission, says, one.is_ours, one.is_open and one.is_ours is not False)

    def of(permission: Any, says: Callable[[bool | None], tuple[bool, bool]], *parts: Composed) -> Composed:
        kinds = {part.is_ours for part in parts}
        return Composed(permission, says, kinds.pop() if len(kinds) == 1 else False, all(p.is_open for p in parts))

    def both(one: Composed, other: Composed) -> Composed:
        def says(ours: bool | None) -> tuple[bool, bool]:
            (view, an_object), (other_view, other_object) = one.says(ours), other.says(ours)
            return view and other_view, an_object and other_object

        return of(one.permission & other.permission, says, one, other)

    def either(one: Composed, other: Composed) -> Composed:
        def says(ours: bool | None) -> tuple[bool, bool]:
            (view, an_object), (other_view, other_object) = one.says(ours), other.says(ours)
            return view or other_view, (view and an_object) or (other_view and other_object)

        return of(one.permission | other.permission, says, one, other)

    return st.builds(neither, parts) | st.builds(both, parts, parts) | st.builds(either, parts, parts)


# The site is the same for all examples.
composing = settings(
    deadline=None, derandomize=True, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
compositions = st.lists(st.recursive(st.sampled_from(LEAVES), composed, max_leaves=6), min_size=1, max_size=2)


@composing
@given(compositions)
def test_no_composition_lets_a_caller_in_for_having_no_token(made: list[Composed]) -> None:
    """An anonymous caller gets at a view, and at an object, where others' permissions alone decide so."""
    permissions = [one.permission for one in made]
    # The worst that ours can say: what stands below `~` says yes.
    is_let_in = all(one.says(False)[0] for one in made)
    is_given = is_let_in and all(one.says(False)[1] for one in made)
    found = ask(view_of(*permissions)).status_code, ask(view_of(*permissions, get=look_at_one)).status_code
    expected = 200 if is_let_in else 401, 200 if is_given else 401
    if all(one.is_open for one in made):
        assert found == expected
    else:
        assert all(status in (401, best) for status, best in zip(found, expected, strict=True))


@composing
@given(compositions)
def test_composition_means_to_a_caller_with_a_token_what_it_means_to_rest_framework(
    pool: FakeUserPool, made: list[Composed]
) -> None:
    """At the view and at an object, whatever is ours in it."""
    permissions = [one.permission for one in made]
    is_let_in = all(one.says(None)[0] for one in made)
    is_given = is_let_in and all(one.says(None)[1] for one in made)
    token = pool.access_token(scopes=[GET])
    assert (ask(view_of(*permissions), token).status_code == 200) is is_let_in
    assert (ask(view_of(*permissions, get=look_at_one), token).status_code == 200) is is_given


@pytest.mark.parametrize(
    "permission",
    [
        pytest.param(~IsGet | ~HasGroups("banned"), id="another's, turned around too"),
        pytest.param(IsOwner | ~HasGroups("banned"), id="one of ours"),
        pytest.param(IsOwner | ~(HasGroups("banned") | HasGroups("late")), id="two of ours"),
        pytest.param(IsOwner | ~(IsAdminUser | HasGroups("banned")), id="one of ours after another's"),
        pytest.param(IsOwner | ~(answering(True, False) & HasGroups("banned")), id="one that looks at objects"),
    ],
)
def test_what_is_turned_around_gives_no_object_to_an_anonymous_caller(
    pool: FakeUserPool, assert_refused: Refused, permission: Any
) -> None:
    """Nor where others' permissions let it see the view: REST framework's `~` asks of an object the object alone."""
    view = view_of(permission, get=look_at_one)
    assert_refused(ask(view, method="get"), 401, NO_TOKEN, Reason.MISSING_TOKEN)
    assert_refused(ask(view_of(permission, post=look_at_one), method="post"), 401, NO_TOKEN, Reason.MISSING_TOKEN)
    assert ask(view, pool.access_token()).status_code == 200


def test_permission_of_others_is_asked_once_about_an_anonymous_caller() -> None:
    """Whatever of ours is turned around: one that counts its callers must not count them twice."""
    asked: list[str] = []

    class Counting(BasePermission):
        def has_permission(self, request: Request, view: APIView) -> bool:
            asked.append(request.method or "")
            return True

    banned = HasGroups("banned")
    for permissions in ([~banned | Counting], [Counting, ~banned], [Counting & ~(banned & IsGet)]):
        ask(view_of(*permissions))
        assert asked == ["GET"]
        asked.clear()


@pytest.mark.parametrize(
    "permission, expected",
    [
        pytest.param(IsGet | ~(HasScopes(GET) & HasScopes(POST)), {"get": 200, "post": 401}, id="another's first"),
        pytest.param(~(HasScopes(GET) & HasScopes(POST)) | IsGet, {"get": 200, "post": 401}, id="another's last"),
        pytest.param(~(IsGet & HasScopes(GET)), {"get": 401, "post": 200}, id="another's, turned around, first"),
        pytest.param(~(HasScopes(GET) & IsGet), {"get": 401, "post": 401}, id="another's, turned around, last"),
        pytest.param(~HasScopes(GET) | ~IsGet, {"get": 401, "post": 200}, id="the same, each turned around"),
    ],
)
def test_anonymous_caller_gets_in_by_others_permissions_alone(permission: Any, expected: dict[str, int]) -> None:
    """Whatever ours would say; in any order, but that below one `~` REST framework must not come to ours."""
    view = view_of(permission)
    assert {method: ask(view, method=method).status_code for method in expected} == expected


def test_anonymous_caller_gets_at_objects_by_others_permissions_alone() -> None:
    """One who may GET, but not this object, is not let in by what is turned around."""
    turned = ~(HasScopes(GET) & HasScopes(POST))
    for permission in (IsOwner | turned, turned | IsOwner, (IsGet & IsOwner) | turned):
        assert ask(view_of(permission, get=look_at_one)).status_code == 401
        assert ask(view_of(permission, get=look_at_one), x_owner="yes").status_code == 200


def test_caller_of_another_class_is_refused_what_is_turned_around(assert_refused: Refused) -> None:
    """Without a token, but authenticated: REST framework's own 403, unless others' permissions let it in."""
    turned = ~(HasScopes(GET) | HasGroups("staff"))
    classes = [CognitoAuthentication, Header]
    assert_refused(ask(view_of(turned, authenticate=classes), x_user="somebody"), 403, None, None)
    for permission in (turned | IsAdminUser, IsAdminUser | turned):
        assert_refused(ask(view_of(permission, authenticate=classes), x_user="somebody"), 200, None, None)


def test_permission_of_ours_may_be_widened(assert_refused: Refused) -> None:
    """A subclass lets more callers in, with no token among them."""

    class ScopeOrGet(HasScopes(GET)):  # type: ignore[misc]
        def has_permission(self, request: Request, view: APIView) -> bool:
            return super().has_permission(request, view) or request.method == "GET"

    assert_refused(ask(view_of(ScopeOrGet)), 200, None, None)
    assert_refused(ask(view_of(ScopeOrGet), method="post"), 401, f'{NO_TOKEN}, scope="{GET}"', Reason.MISSING_TOKEN)
    assert_refused(ask(view_of(HasGroups("staff") | ScopeOrGet)), 200, None, None)
    turned: Any = ScopeOrGet
    assert_refused(ask(view_of(~turned), method="post"), 401, NO_TOKEN, Reason.MISSING_TOKEN)


def test_permission_may_be_asked_by_hand(pool: FakeUserPool) -> None:
    """By another's permission, or where there is no view: a plain yes or no."""

    class ScopeOrKey(BasePermission):
        def has_permission(self, request: Request, view: APIView) -> bool:
            return HasScopes(GET)().has_permission(request, view) or "x-key" in request.headers

    view = view_of(ScopeOrKey, ~(HasGroups("banned") & HasScopes(GET)) | AllowAny)
    assert ask(view).status_code == 401
    assert ask(view, x_key="k").status_code == 200
    assert ask(view, pool.access_token(scopes=[GET])).status_code == 200
    nobody: Any = Request(APIRequestFactory().get("/"))
    assert HasScopes(GET)().has_permission(nobody, None) is False


def test_permissions_in_a_list_are_all_demanded(pool: FakeUserPool, assert_refused: Refused) -> None:
    """One challenge names all scopes."""
    view = view_of(HasScopes(GET), HasScopes(POST))
    response = ask(view, pool.access_token(scopes=[GET]))
    assert_refused(response, 403, no_scope(GET, POST), Reason.INSUFFICIENT_SCOPE)


def test_others_refusals_stay_their_own(pool: FakeUserPool, assert_refused: Refused) -> None:
    """What another's permission or the view itself refuses is answered by REST framework."""
    response = ask(view_of(HasScopes(GET), IsGet), pool.access_token(scopes=[GET]), method="post")
    assert_refused(response, 403, None, None)
    assert response.data == {"detail": "only to look at"}
    assert_refused(ask(view_of(Meets(), ~IsGet), pool.access_token()), 403, None, None)

    def deny(*_: Any) -> None:
        raise PermissionDenied("not today")

    assert_refused(ask(view_of(get=deny)), 403, None, None)
    assert_refused(ask(view_of(Meets(), get=deny), pool.access_token()), 403, None, None)


@pytest.mark.parametrize(
    "permission",
    [
        pytest.param(Meets(CLOSED), id="alone"),
        pytest.param(Meets(GET, CLOSED), id="with a scope"),
        pytest.param(Meets(CLOSED) & IsGet, id="with another's that says yes"),
        pytest.param(Meets(CLOSED) | IsAdminUser, id="with another's that says no too"),
    ],
)
def test_refusal_of_our_own_predicate_is_answered_as_by_every_adapter(
    pool: FakeUserPool, assert_refused: Refused, permission: Any
) -> None:
    """In our words, for no cache, logged and told to the receivers: as `cognito_required` does."""
    heard: list[Challenge] = []

    def listener(challenge: Challenge, **_: Any) -> None:
        heard.append(challenge)

    request_refused.connect(listener)
    try:
        response = ask(view_of(permission), pool.access_token(scopes=[GET]))
    finally:
        request_refused.disconnect(listener)
    assert_refused(response, 403, None, Reason.PREDICATE_REFUSED)
    assert response.headers["Cache-Control"] == "no-store"
    assert [challenge.reason for challenge in heard] == [Reason.PREDICATE_REFUSED]
    assert response.content == heard[0].body


@pytest.mark.parametrize("make", [HasScopes, HasAnyScope, HasGroups])
@pytest.mark.parametrize("given", [(), ("",), ([],), (None,), ("a b ",)], ids=repr)
def test_permission_that_names_nothing_is_refused(make: Callable[..., Any], given: tuple[Any, ...]) -> None:
    """A list that came out empty would let every caller in; who means that says `Meets()`."""
    with pytest.raises(ConfigurationError):
        make(*given)


def test_meets_takes_arguments_of_requires(pool: FakeUserPool, assert_refused: Refused) -> None:
    """To be met as well."""
    view = view_of(Meets(GET, groups=["staff"]))
    assert_refused(ask(view, pool.access_token(scopes=[GET], groups=["staff"])), 200, None, None)
    assert_refused(ask(view, pool.access_token(scopes=[GET])), 403, None, Reason.GROUP_REQUIRED)
    response = ask(view, pool.access_token(groups=["staff"]))
    assert_refused(response, 403, no_scope(GET), Reason.INSUFFICIENT_SCOPE)
    with pytest.raises(ConfigurationError):
        Meets(max_age=-1)


@pytest.mark.parametrize("raised", [PermissionDenied("not you"), NotFound(), Http404(), DjangoPermissionDenied()])
def test_permission_of_others_may_refuse_by_an_exception(
    pool: FakeUserPool, assert_refused: Refused, raised: Exception
) -> None:
    """Where REST framework comes to it; asked again for our answer, it must not become a server error there."""

    class Raising(BasePermission):
        def has_permission(self, request: Request, view: APIView) -> bool:
            raise raised

    denied = 404 if isinstance(raised, NotFound | Http404) else 403
    assert_refused(ask(view_of(Raising), pool.access_token()), denied, None, None)
    for permissions in ([HasScopes(GET), Raising], [HasScopes(GET) & Raising]):
        response = ask(view_of(*permissions), pool.access_token())
        assert_refused(response, 403, no_scope(GET), Reason.INSUFFICIENT_SCOPE)
        assert_refused(ask(view_of(*permissions), pool.access_token(scopes=[GET])), denied, None, None)
    either = view_of(HasScopes(GET) | Raising)
    assert ask(either, pool.access_token()).status_code == denied
    assert ask(either, pool.access_token(scopes=[GET])).status_code == 200


class Tenant(BasePermission):
    """Be one that relies on what the permission before it demands."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Read a claim that only some tokens have."""
        caller: Any = request.auth
        return bool(caller.claims["tenant"] == "acme")


@pytest.mark.parametrize(
    "permissions, needed",
    [
        pytest.param([HasScopes(GET), Tenant], [GET], id="in a list"),
        pytest.param([HasScopes(GET) & Tenant], [GET], id="by &"),
        pytest.param([HasScopes(GET), ~Tenant], [GET], id="turned around"),
        pytest.param([HasScopes(GET), ~(Tenant & HasGroups("staff"))], [GET], id="turned around with one of ours"),
        pytest.param([HasScopes(GET), ~(Tenant & IsGet), HasScopes(POST)], [GET, POST], id="with more behind it"),
        pytest.param([HasScopes(GET), Tenant | HasScopes(POST)], [GET], id="or one of ours"),
        pytest.param([HasScopes(GET) & Tenant | HasScopes(POST) & Tenant], [GET], id="twice"),
    ],
)
def test_permission_of_others_is_not_asked_behind_a_refusal(
    pool: FakeUserPool, assert_refused: Refused, permissions: list[Any], needed: list[str]
) -> None:
    """REST framework stops at the first; what stands behind it may rely on that, and ours are named all the same."""
    response = ask(view_of(*permissions), pool.access_token(groups=["staff"]))
    assert_refused(response, 403, no_scope(*needed), Reason.INSUFFICIENT_SCOPE)
    with pytest.raises(KeyError):
        ask(view_of(*permissions), pool.access_token(scopes=[GET], groups=["staff"]))


def test_refusal_stays_one_whatever_fails_behind_it(pool: FakeUserPool, assert_refused: Refused) -> None:
    """A permission of others that fails when asked again, and a predicate of ours: REST framework's own 403."""
    answers = iter([True])

    class Once(BasePermission):
        def has_permission(self, request: Request, view: APIView) -> bool:
            return next(answers)

    assert_refused(ask(view_of(Once, HasScopes(GET)), pool.access_token()), 403, None, None)
    of_tenant = Meets(predicate=lambda caller: bool(caller.claims["tenant"]))
    for permissions in ([HasScopes(GET), of_tenant], [HasScopes(GET) & of_tenant]):
        assert_refused(ask(view_of(*permissions), pool.access_token()), 403, None, None)


def test_caller_of_another_class_has_no_scopes(assert_refused: Refused) -> None:
    """A session, say, is not a token: REST framework's own 403."""
    view = view_of(HasScopes(GET), authenticate=[CognitoAuthentication, Header])
    assert_refused(ask(view, x_user="somebody"), 403, None, None)


def test_view_may_ask_for_authentication_itself(pool: FakeUserPool, assert_refused: Refused) -> None:
    """A NotAuthenticated out of the handler still has a challenge."""

    def demand(*_: Any) -> None:
        raise NotAuthenticated

    assert_refused(ask(view_of(get=demand)), 401, NO_TOKEN, Reason.MISSING_TOKEN)
    assert_refused(ask(view_of(get=demand), pool.access_token()), 401, NO_TOKEN, None)


@pytest.mark.parametrize(
    "permission, granted",
    [
        (HasScopes(GET), True),
        (~HasScopes(GET), False),
        (~HasScopes(POST), True),
        (~(HasScopes(GET) & HasScopes(POST)), True),
    ],
)
def test_object_permission_is_the_same(pool: FakeUserPool, permission: Any, granted: bool) -> None:
    """Turned around as well."""
    response = ask(view_of(permission, get=look_at_one), pool.access_token(scopes=[GET]))
    assert (response.status_code == 200) is granted


def test_required_scopes_are_read_from_the_view(pool: FakeUserPool, assert_refused: Refused) -> None:
    """A list holds for the whole view."""
    view = view_of(HasRequiredScopes, required_scopes=[GET])
    assert_refused(ask(view, pool.access_token(scopes=[GET])), 200, None, None)
    response = ask(view, pool.access_token(scopes=[POST]))
    assert_refused(response, 403, no_scope(GET), Reason.INSUFFICIENT_SCOPE)


def test_required_scopes_by_action(pool: FakeUserPool, assert_refused: Refused) -> None:
    """A dictionary holds them by action, or by method; what it leaves out is for nobody."""

    class Orders(ViewSet):
        authentication_classes = (CognitoAuthentication,)
        permission_classes = (HasRequiredScopes,)
        required_scopes: ClassVar[dict[str, list[str]]] = {"look": [GET], "create": [POST]}

        def create(self, request: Request) -> Response:
            return Response()

        look = destroy = create

    both = pool.access_token(scopes=[GET, POST])
    actions: Any = {"get": "look", "post": "create", "delete": "destroy"}
    view_set = cast("Any", Orders).as_view(actions)
    plain = view_of(HasRequiredScopes, required_scopes={"get": [GET], "post": [POST]})
    for view in (view_set, plain):
        assert_refused(ask(view, pool.access_token(scopes=[GET])), 200, None, None)
        response = ask(view, pool.access_token(scopes=[GET]), method="post")
        assert_refused(response, 403, no_scope(POST), Reason.INSUFFICIENT_SCOPE)
        assert_refused(ask(view, both, method="delete"), 403, None, Reason.EXCLUDED)
        assert_refused(ask(view, both, method="put"), 403, None, Reason.EXCLUDED)


def test_required_scopes_of_get_hold_for_head(pool: FakeUserPool, assert_refused: Refused) -> None:
    """REST framework serves HEAD by `get`; a dictionary may still say otherwise."""
    view = view_of(HasRequiredScopes, required_scopes={"get": [GET]})
    assert_refused(ask(view, pool.access_token(scopes=[GET]), method="head"), 200, None, None)
    response = ask(view, pool.access_token(scopes=[POST]), method="head")
    assert_refused(response, 403, no_scope(GET), Reason.INSUFFICIENT_SCOPE)
    other = view_of(HasRequiredScopes, required_scopes={"get": [GET], "head": [POST]})
    assert_refused(ask(other, pool.access_token(scopes=[POST]), method="head"), 200, None, None)


def test_required_scopes_missing_from_the_view_are_a_mistake(pool: FakeUserPool) -> None:
    """Neither a pass nor a refusal."""
    with pytest.raises(ConfigurationError, match="required_scopes"):
        ask(view_of(HasRequiredScopes), pool.access_token())


def test_function_views_work(pool: FakeUserPool) -> None:
    """`@api_view` with its decorators."""

    @api_view(["GET"])
    @authentication_classes([CognitoAuthentication])
    @permission_classes([HasScopes(GET)])
    def orders(request: Request) -> Response:
        return Response()

    assert ask(orders, pool.access_token(scopes=[GET])).status_code == 200
    assert ask(orders, pool.access_token()).status_code == 403


def test_forced_authentication_still_meets_requirements(pool: FakeUserPool) -> None:
    """A test that skips the token gives the principal, and authorization holds."""
    principal: Any = pool.verifier().verify(pool.access_token(scopes=[GET]))
    request: HttpRequest = APIRequestFactory().get("/")
    force_authenticate(request, user=None, token=principal)
    assert view_of(HasScopes(GET))(request).status_code == 200
    assert view_of(HasScopes(POST))(request).status_code == 403


def test_refusal_rolls_the_request_back(pool: FakeUserPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where requests are transactions, as REST framework does."""
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    with transaction.atomic():
        assert ask(view_of(HasScopes(GET)), pool.access_token()).status_code == 403
        is_rolled_back = connection.needs_rollback
        connection.set_rollback(False)
    assert is_rolled_back


# Without our exception handler


def test_without_the_handler_statuses_and_401_challenges_are_right(pool: FakeUserPool) -> None:
    """REST framework words the body, and drops only the challenge of a 403."""
    from rest_framework.views import exception_handler

    view = view_of(HasScopes(GET), get_exception_handler=staticmethod(lambda: exception_handler))
    anonymous, bad, lacking = (ask(view, token) for token in (None, "junk", pool.access_token()))
    assert (anonymous.status_code, anonymous.headers["WWW-Authenticate"]) == (401, f'{NO_TOKEN}, scope="{GET}"')
    assert (bad.status_code, bad.headers["WWW-Authenticate"]) == (401, f'{BAD_TOKEN}, scope="{GET}"')
    assert bad.data == {"detail": "Unauthorized"}
    assert lacking.status_code == 403
    with override_settings(COGNITO_GUARD={"VERIFIER": pool.verifier(fetch=down)}):
        out_of_reach = ask(view, pool.access_token())
    assert (out_of_reach.status_code, out_of_reach.headers["Retry-After"]) == (503, "1")


# Settings

IMPORTED_FIRST = """
from django.conf import settings
settings.configure(REST_FRAMEWORK={
    "DEFAULT_AUTHENTICATION_CLASSES": ["cognito_guard.drf.CognitoAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["cognito_guard.drf.HasRequiredScopes"],
    "EXCEPTION_HANDLER": "cognito_guard.drf.exception_handler",
})
import cognito_guard.drf
from rest_framework.views import APIView
print(APIView.authentication_classes == [cognito_guard.drf.CognitoAuthentication])
"""


def test_classes_may_be_imported_before_the_views_that_have_them_by_default() -> None:
    """As sorted imports do: REST framework's views look for their default classes when they are imported."""
    command = [sys.executable, "-c", IMPORTED_FIRST]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("True\n", "")


# The schema


def operations(**settings: Any) -> dict[str, Any]:
    """Generate the schema of two operations."""
    generator: Any = SchemaGenerator
    patched: Any = cast("Any", spectacular).patched_settings
    urls: list[Any] = [path("orders", view_of(HasScopes(GET) & IsGet)), path("mine", view_of(HasGroups("staff")))]
    with patched(settings):
        schema: dict[str, Any] = generator(patterns=urls).get_schema(public=True)
    found = {name: item["get"]["security"] for name, item in schema["paths"].items()}
    return {"schemes": schema["components"]["securitySchemes"], **found}


@pytest.mark.filterwarnings("ignore")
def test_schema_names_a_bearer_token() -> None:
    """Scopes are listed from OpenAPI 3.1 on."""
    bearer = {"cognito": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    assert operations() == {"schemes": bearer, "/orders": [{"cognito": []}], "/mine": [{"cognito": []}]}
    found = operations(OAS_VERSION="3.1.1")
    assert (found["/orders"], found["/mine"]) == ([{"cognito": [GET]}], [{"cognito": []}])


@pytest.mark.filterwarnings("ignore")
def test_schema_names_oauth_flows_where_configured() -> None:
    """With the user pool's endpoints and the scopes that each operation needs."""
    endpoints = {
        "OAUTH2_AUTHORIZATION_URL": "https://a.example/authorize",
        "OAUTH2_TOKEN_URL": "https://a.example/token",
    }
    found = operations(OAUTH2_FLOWS=["authorizationCode"], OAUTH2_SCOPES={GET: "Read"}, **endpoints)
    flow = {
        "authorizationUrl": "https://a.example/authorize",
        "tokenUrl": "https://a.example/token",
        "scopes": {GET: "Read"},
    }
    assert found["schemes"] == {"cognito": {"type": "oauth2", "flows": {"authorizationCode": flow}}}
    assert found["/orders"] == [{"cognito": [GET]}]
