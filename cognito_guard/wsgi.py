"""
Guard any WSGI application (Bottle, Falcon, Pyramid, Dash, ...): default deny.

Pure WSGI, needs no framework.  Handlers find the caller in `environ["cognito_guard.principal"]`, and the Guard
that judges further requirements in `environ["cognito_guard.guard"]`.

WSGI cannot tell `X-Token` from `X_Token`: where `token_from` reads a header of such a name, let the server or
proxy drop names with underscores, as nginx, gunicorn and waitress do by default.  `Authorization` has no such twin.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Unpack
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from .challenge import Reply
from .errors import RefusalError
from .guard import Guard, GuardOptions, exempt_paths, is_preflight
from .tokens.bearer import EnvironHeaders
from .verifier import CognitoVerifier

GUARD_KEY = "cognito_guard.guard"
"""Where a request's environ holds its Guard."""
PRINCIPAL_KEY = "cognito_guard.principal"
"""Where a request's environ holds its Principal, or None."""


class CognitoMiddleware:
    """Let only requests with an acceptable token through to the application."""

    def __init__(
        self,
        app: WSGIApplication,
        verifier: CognitoVerifier,
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
        metadata = self._guard.metadata_reply(method, environ.get("SCRIPT_NAME", "") + path, path)
        if metadata is not None:
            return _send(metadata, method, start_response)
        headers = EnvironHeaders(environ)
        is_free = path in self._exempt or is_preflight(method, headers)
        try:
            principal = None if is_free else self._guard.authenticate(headers)
        except RefusalError as error:
            return _send(self._guard.refuse(error), method, start_response)
        # None for an anonymous caller, and never left out: what stood there before is nobody's word.
        environ[GUARD_KEY], environ[PRINCIPAL_KEY] = self._guard, principal
        return self._app(environ, start_response)


def _send(reply: Reply, method: str, start_response: StartResponse) -> Iterable[bytes]:
    headers = [*reply.headers, ("Content-Length", str(len(reply.body)))]
    start_response(f"{reply.status} {HTTPStatus(reply.status).phrase}", headers)
    return [] if method == "HEAD" else [reply.body]
