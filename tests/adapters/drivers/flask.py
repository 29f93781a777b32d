"""Drivers of Flask: the same views, plain and async."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeAlias

from flask import Blueprint, Flask, request
from flask.typing import ResponseReturnValue

from cognito_guard import CognitoVerifier, Requires
from cognito_guard.flask import CognitoGuard, current_principal, principal_or_none
from cognito_guard.testing import FakeUserPool

from ..contract import DriverFactory, described
from .asgi import REQUIREMENTS
from .wsgi import WSGIDriver

View: TypeAlias = Callable[..., Any]
GET = "transactions/get"
POST = "transactions/post"
METHODS = ["GET", "HEAD", "POST", "OPTIONS"]


def decorated(is_async: bool, _pool: FakeUserPool, verifier: CognitoVerifier) -> WSGIDriver:
    """Guard each view by a decorator."""
    app = Flask(__name__)
    guard = CognitoGuard(app, verifier)
    guards: dict[str, Callable[[View], View]] = {
        "/public": lambda view: view,
        "/optional": guard.optional,
        "/me": guard.require(),
        "/read": guard.require(GET),
        "/write": guard.require(scopes=[POST]),
        "/either": guard.require(any_scopes=[GET, POST]),
        "/staff": guard.require(groups="staff"),
        "/recent": guard.require(Requires(max_age=300)),
        "/combined": guard.require(Requires(groups=["staff"]) | Requires(scopes=[POST])),
        "/boom": guard.require(),
        "/stream": guard.require(),
    }
    for path, decorate in guards.items():
        app.add_url_rule(path, path, decorate(_coroutine if is_async else _view), methods=METHODS)
    return WSGIDriver(f"flask {'async' if is_async else 'sync'}", app)


def protected(_pool: FakeUserPool, verifier: CognitoVerifier) -> WSGIDriver:
    """Guard a blueprint for each view by a hook, but for the public one and the optional one."""
    app = Flask(__name__)
    guard = CognitoGuard(app, verifier)
    app.add_url_rule("/public", view_func=_view)
    app.add_url_rule("/optional", "optional", guard.optional(_view))
    for path, requirement in REQUIREMENTS.items():
        blueprint = Blueprint(path.strip("/"), __name__)
        guard.protect(blueprint, requirement)
        blueprint.add_url_rule(path, view_func=_view, methods=METHODS)
        app.register_blueprint(blueprint)
    return WSGIDriver("flask blueprints", app)


DRIVERS: list[DriverFactory] = [*(partial(decorated, is_async) for is_async in (False, True)), protected]


def _view() -> ResponseReturnValue:
    if request.path == "/boom":
        raise KeyError("user")
    if request.path == "/stream":
        return _chunks(current_principal.subject)
    if request.path in ("/public", "/optional"):
        principal = principal_or_none()
        return {"caller": None if principal is None else principal.subject}
    return described(current_principal)


async def _coroutine() -> ResponseReturnValue:
    return _view()


def _chunks(subject: str) -> Iterator[str]:
    yield "caller: "
    yield subject
