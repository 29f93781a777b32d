"""The caller of the request at hand: verified once, shown to views, refused by an exception."""

from __future__ import annotations

from typing import Any, cast

from blinker import NamedSignal, Namespace
from flask import Flask, Request, Response, current_app, has_request_context, request
from werkzeug.exceptions import HTTPException, default_exceptions
from werkzeug.local import LocalProxy

from ..challenge import Challenge
from ..errors import ConfigurationError, RefusalError
from ..guard import Guard, is_preflight
from ..principal import Principal
from ..requires import Requirement
from ..tokens.bearer import EnvironHeaders

EXTENSION = "cognito_guard"
"""Where `app.extensions` holds an application's Guard."""
# On the request and not on `g`: requests share that where a test or a script has pushed an application context.
_PRINCIPAL = "_cognito_guard_principal"
_UNKNOWN: Any = object()
# What stands behind Flask's proxies, for one look into the context: through the proxies each attribute costs one.
_app_at_hand = cast("LocalProxy[Flask]", current_app)._get_current_object  # pyright: ignore[reportPrivateUsage]
_request_at_hand = cast("LocalProxy[Request]", request)._get_current_object  # pyright: ignore[reportPrivateUsage]

_signals = Namespace()
principal_verified: NamedSignal = _signals.signal("principal-verified")
"""Sent by the application with `principal`, once for each request whose token is accepted and meets `requirement`."""
request_refused: NamedSignal = _signals.signal("request-refused")
"""Sent by the application with `challenge`: the answer, and the reason for it."""


def principal_or_none() -> Principal | None:
    """Return the verified caller; None for an anonymous one, in a view without guard and outside a request."""
    principal: Principal | None = getattr(request, _PRINCIPAL, None) if has_request_context() else None
    return principal


def _principal() -> Principal:
    principal = principal_or_none()
    if principal is None:
        raise RuntimeError(
            "There is no verified caller: this is no request, nothing guards the view, or the caller is anonymous; "
            "where that may be, ask principal_or_none()."
        )
    return principal


current_principal: Principal = cast("Principal", LocalProxy(_principal))
"""The verified caller; any use of it raises RuntimeError where there is none, but for its truth, which is False."""


class RefusedRequest(HTTPException):
    """
    Refuse a request with a challenge.

    Each one raised is also werkzeug's own exception of its status, such as Unauthorized, so that error handlers
    for that, for the status and for this class are all found.

    Attributes:
        challenge: the answer, and the reason for it.
    """

    def __init__(self, challenge: Challenge) -> None:
        """Take the challenge."""
        super().__init__()
        self.challenge = challenge

    def get_headers(self, environ: object = None, scope: object = None) -> list[tuple[str, str]]:
        """Return the challenge's headers."""
        return list(self.challenge.headers)

    def get_body(self, environ: object = None, scope: object = None) -> str:
        """Return the challenge's body."""
        return self.challenge.body.decode()


# Flask finds handlers by the exception's class alone, its status by an attribute of that.
_REFUSED = {
    status: cast("type[RefusedRequest]", type(RefusedRequest.__name__, (RefusedRequest, usual), {}))
    for status, usual in default_exceptions.items()
}


def response_instead(requirement: Requirement | None) -> Response | None:
    """
    Return what to answer instead of the view, or None where the caller may have that.

    Args:
        requirement: what the caller must meet; None lets anonymous callers through.

    Raises:
        RefusedRequest: the caller may not.
        ConfigurationError: nobody prepared the application.
    """
    app, now = _app_at_hand(), _request_at_hand()
    guard = app.extensions.get(EXTENSION)
    if not isinstance(guard, Guard):
        raise ConfigurationError("app", "has no CognitoGuard: call init_app")
    if now.method == "OPTIONS" and is_preflight(now.method, EnvironHeaders(now.environ)):
        # It has no credentials, so that no view may see it, not even one that answers OPTIONS itself.
        return None if now.routing_exception else app.make_default_options_response()
    try:
        principal = _caller(guard, app, now)
        if requirement is not None:
            guard.authorize(principal, requirement)
    except RefusalError as error:
        challenge = guard.refuse(error, requirement)
        request_refused.send(app, _async_wrapper=app.ensure_sync, challenge=challenge)
        raise _REFUSED[challenge.status](challenge) from error
    return None


def serve_metadata() -> Response | None:
    """Return the protected resource's metadata where a request asks for it."""
    guard: Guard = _app_at_hand().extensions[EXTENSION]
    reply = guard.metadata_reply(request.method, request.root_path + request.path, request.path)
    return None if reply is None else Response(reply.body, reply.status, reply.headers)


def _caller(guard: Guard, app: Flask, now: Request) -> Principal | None:
    """Return the request's caller, verified once however often views and hooks ask."""
    known: Principal | None = getattr(now, _PRINCIPAL, _UNKNOWN)
    if known is not _UNKNOWN:
        return known
    principal = guard.authenticate(EnvironHeaders(now.environ), optional=True)
    setattr(now, _PRINCIPAL, principal)
    if principal is not None and principal_verified.receivers:
        principal_verified.send(app, _async_wrapper=app.ensure_sync, principal=principal)
    return principal
