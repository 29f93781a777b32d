"""Drivers of Django: WSGI and ASGI, behind the middleware and with the decorators alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any, cast

from ..django_settings import AUTHENTICATION, COGNITO, CSRF, SESSIONS, install  # isort: skip - configures Django

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import URLPattern, path
from django.utils.decorators import method_decorator
from django.views import View

from cognito_guard import CognitoVerifier, Principal
from cognito_guard.asgi import ASGIApp
from cognito_guard.django import cognito_optional, cognito_required
from cognito_guard.testing import FakeUserPool

from ..contract import Driver, DriverFactory, described
from .asgi import REQUIREMENTS, ASGIDriver
from .wsgi import WSGIDriver

STACK = [SESSIONS, CSRF, AUTHENTICATION]


def driver_of(name: str, is_async: bool) -> Driver:
    """Start Django, with what is installed now, for one kind of server."""
    return ASGIDriver(name, cast("ASGIApp", ASGIHandler())) if is_async else WSGIDriver(name, WSGIHandler())


def behind_middleware(is_async: bool, _pool: FakeUserPool, verifier: CognitoVerifier) -> Driver:
    """Guard with CognitoMiddleware and decorated functions; what is optional is not decorated."""
    view = aview if is_async else plain_view
    urls = [path(name[1:], cognito_required(needs)(view)) for name, needs in REQUIREMENTS.items()]
    install(
        (path("public", view), path("optional", view), *urls), [*STACK, COGNITO], VERIFIER=verifier, EXEMPT="/public"
    )
    return driver_of(f"django middleware {_colour(is_async)}", is_async)


def decorated(is_async: bool, _pool: FakeUserPool, verifier: CognitoVerifier) -> Driver:
    """Guard with decorators alone, on classes."""
    urls = [_class_view(name[1:], is_async, cognito_required(needs)) for name, needs in REQUIREMENTS.items()]
    optional = _class_view("optional", is_async, cognito_optional)
    view = aview if is_async else plain_view
    install((path("public", view), optional, *urls), STACK, VERIFIER=verifier)
    return driver_of(f"django classes {_colour(is_async)}", is_async)


DRIVERS: list[DriverFactory] = [
    *(partial(behind_middleware, is_async) for is_async in (False, True)),
    *(partial(decorated, is_async) for is_async in (False, True)),
]


def plain_view(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """Serve any route."""
    principal: Principal | None = getattr(request, "principal", None)
    if request.path == "/boom":
        raise KeyError("user")
    if principal is None or request.path in ("/public", "/optional"):
        return JsonResponse({"caller": None if principal is None else principal.subject})
    if request.path == "/stream":
        return StreamingHttpResponse(_chunks(principal.subject))
    return JsonResponse(described(principal))


async def aview(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """Serve any route, async."""
    response = plain_view(request)
    if isinstance(response, StreamingHttpResponse):
        return StreamingHttpResponse(_achunks(request.principal.subject))  # type: ignore[attr-defined]
    return response


def _class_view(name: str, is_async: bool, decorator: Any) -> URLPattern:
    class Plain(View):
        def get(self, request: HttpRequest) -> Any:
            return plain_view(request)

        post = options = get

    class Async(View):
        async def get(self, request: HttpRequest) -> Any:
            return await aview(request)

        post = get
        options: Any = get

    chosen: type[View] = Async if is_async else Plain
    method_decorator(decorator, name="dispatch")(chosen)
    return path(name, chosen.as_view())


def _chunks(subject: str) -> Iterator[str]:
    yield "caller: "
    yield subject


async def _achunks(subject: str) -> AsyncIterator[str]:
    for chunk in _chunks(subject):
        yield chunk


def _colour(is_async: bool) -> str:
    return "async" if is_async else "sync"
