"""
Guard any WSGI application (Bottle, Falcon, Pyramid, Dash, ...): default deny.

Pure WSGI, needs no framework.  Handlers find the caller in `environ["cognito_guard.principal"]`, and the Guard
that judges further requirements in `environ["cognito_guard.guard"]`.

WSGI cannot tell `X-Token` from `X_Token`: where `token_from` reads a header of such a name, let the server or
proxy drop names with underscores, as nginx, gunicorn and waitress do by default.  `Authorization` has no such twin.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Unpack
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from .abstract import Verifier
from .challenge import Challenge, Reply
from .errors import ConfigurationError, RefusalError
from .guard import Guard, GuardOptions, exempt_paths, is_preflight
from .principal import Principal
from .requires import Requirement, all_of
from .tokens.bearer import EnvironHeaders

__all__ = ["GUARD_KEY", "PRINCIPAL_KEY", "CognitoMiddleware", "authorize", "refuse"]

GUARD_KEY = "cognito_guard.guard"
"""Where a request's environ holds its Guard."""
PRINCIPAL_KEY = "cognito_guard.principal"
"""Where a request's environ holds its Principal, or None."""


class CognitoMiddleware:
    """Let only requests with an acceptable token through to the application."""

    def __init__(
        self,
        app: WSGIApplication,
        verifier: Verifier,
        *,
        exempt: str | Iterable[str] = (),
        **options: Unpack[GuardOptions],
    ) -> None:
        """
        Guard an application.

        Args:
            app: the application.
            verifier: judges tokens.
            exempt: paths below the application's root that need no token; each matches itself alone.
            options: attributes of `cognito_guard.guard.Guard`: `requirement`, `required`, `token_from`, ...

        Raises:
            ConfigurationError: an exempt path that is none, or an option that can't be right.
        """
        self._app = app
        self._guard = Guard(verifier=verifier, **options)
        # As WSGI spells them, byte by byte: what is no UTF-8 equals none of them.
        self._exempt = frozenset(path.encode().decode("latin-1") for path in exempt_paths(exempt))

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
        guard = self._guard
        if guard.metadata is not None:
            metadata = guard.metadata_reply(method, _text(environ.get("SCRIPT_NAME", "") + path), _text(path))
            if metadata is not None:
                return _send(metadata, method, start_response)
        headers = EnvironHeaders(environ)
        is_free = path in self._exempt or (method == "OPTIONS" and is_preflight(method, headers))
        try:
            principal = None if is_free else guard.authenticate(headers)
        except RefusalError as error:
            return _send(guard.refuse(error), method, start_response)
        # None for an anonymous caller, and never left out: what stood there before is nobody's word.
        environ[GUARD_KEY], environ[PRINCIPAL_KEY] = guard, principal
        return self._app(environ, start_response)


def authorize(environ: Mapping[str, Any], *demands: str | Requirement) -> Principal:
    """
    Return the caller of a request behind `CognitoMiddleware`, for a handler that demands more of it.

    Args:
        environ: the request's WSGI environ.
        demands: scopes and requirements; all must be met.  None at all means any verified caller.

    Raises:
        RefusalError: the caller is anonymous, or does not meet them; `refuse` has the answer.
        ConfigurationError: nothing guards the request.
    """
    return _guard_of(environ).authorize(environ[PRINCIPAL_KEY], all_of(demands))


def refuse(environ: Mapping[str, Any], error: RefusalError) -> Challenge:
    """
    Return the answer to a request that a handler refuses: its status, headers and body, to be sent as they are.

    Raises:
        ConfigurationError: nothing guards the request.
    """
    return _guard_of(environ).refuse(error)


def _guard_of(environ: Mapping[str, Any]) -> Guard:
    guard = environ.get(GUARD_KEY)
    if not isinstance(guard, Guard):
        raise ConfigurationError("app", "has no CognitoMiddleware in front")
    return guard


def _text(path: str) -> str:
    """Return a path as text, of which WSGI spells each byte; what is no UTF-8 equals no path."""
    return path.encode("latin-1", "replace").decode(errors="replace")


def _send(reply: Reply, method: str, start_response: StartResponse) -> Iterable[bytes]:
    headers = [*reply.headers, ("Content-Length", str(len(reply.body)))]
    start_response(f"{reply.status} {HTTPStatus(reply.status).phrase}", headers)
    return [] if method == "HEAD" else [reply.body]
