"""Drivers of Django REST framework: behind CognitoMiddleware, and with CognitoAuthentication alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from ..django_settings import AUTHENTICATION, COGNITO, CSRF, SESSIONS, install  # isort: skip - configures Django

from django.http import StreamingHttpResponse
from django.urls import URLPattern, path
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cognito_guard import CognitoVerifier, Principal, Requires
from cognito_guard.drf import CognitoAuthentication, HasAnyScope, HasGroups, HasScopes, Meets
from cognito_guard.testing import FakeUserPool

from ..contract import Driver, DriverFactory, described
from .django import driver_of

PERMISSIONS: Mapping[str, Any] = {
    "public": AllowAny,
    "optional": AllowAny,
    "me": Meets(),
    "read": HasScopes("transactions/get"),
    "write": HasScopes("transactions/post"),
    "either": HasAnyScope("transactions/get", "transactions/post"),
    "staff": HasGroups("staff"),
    "recent": Meets(Requires(max_age=300)),
    "combined": HasGroups("staff") | HasScopes("transactions/post"),
    "boom": Meets(),
    "stream": Meets(),
}


def driver(stack: list[str], _pool: FakeUserPool, verifier: CognitoVerifier) -> Driver:
    """Guard with authentication and permission classes."""
    urls = tuple(_url(name, permission) for name, permission in PERMISSIONS.items())
    install(urls, stack, VERIFIER=verifier, EXEMPT="/public")
    return driver_of("drf behind the middleware" if COGNITO in stack else "drf", is_async=False)


DRIVERS: list[DriverFactory] = [
    partial(driver, []),
    partial(driver, [SESSIONS, CSRF, AUTHENTICATION, COGNITO]),
]


def _url(name: str, permission: Any) -> URLPattern:
    class Route(APIView):
        authentication_classes = [] if name == "public" else [CognitoAuthentication]
        permission_classes = [permission]  # noqa: RUF012

        def get(self, request: Request) -> Any:
            caller: object = request.auth
            principal = caller if isinstance(caller, Principal) else None
            if name == "boom":
                raise KeyError("user")
            if principal is None or name == "optional":
                return Response({"caller": None if principal is None else principal.subject})
            if name == "stream":
                return StreamingHttpResponse(_chunks(principal.subject))
            return Response(described(principal))

        head = post = options = get

    return path(name, Route.as_view())


def _chunks(subject: str) -> Iterator[str]:
    yield "caller: "
    yield subject
