"""A driver of pure WSGI: several small applications, each guarded by itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from cognito_guard import CognitoVerifier, Principal
from cognito_guard.testing import FakeUserPool
from cognito_guard.wsgi import PRINCIPAL_KEY, CognitoMiddleware

from ..contract import Answer, DriverFactory, RawHeaders, WSGIApp, ask_wsgi, described
from .asgi import REQUIREMENTS


@dataclass(frozen=True, slots=True)
class WSGIDriver:
    """Ask a WSGI application."""

    name: str
    wsgi_app: WSGIApp

    def request(self, method: str, path: str, headers: RawHeaders) -> Answer:
        """Send one request."""
        return ask_wsgi(self.wsgi_app, method, path, headers)


def pure(_pool: FakeUserPool, verifier: CognitoVerifier) -> WSGIDriver:
    """Guard the public application by an exemption, the optional one by `required`, the others by a requirement."""
    guarded: dict[str, WSGIApplication] = {
        path: CognitoMiddleware(_handler, verifier, requirement=requirement)
        for path, requirement in REQUIREMENTS.items()
    }
    guarded["/public"] = CognitoMiddleware(_handler, verifier, exempt="/public")
    guarded["/optional"] = CognitoMiddleware(_handler, verifier, required=False)

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return guarded[environ["PATH_INFO"]](environ, start_response)

    return WSGIDriver("pure wsgi", app)


DRIVERS: list[DriverFactory] = [pure]


def _handler(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    path, principal = environ["PATH_INFO"], environ[PRINCIPAL_KEY]
    if path == "/boom":
        raise KeyError("user")
    start_response("200 OK", [("Content-Type", "application/json")])
    if path == "/stream":
        return _chunks(principal)
    if path in ("/public", "/optional") or principal is None:
        answer: object = {"caller": None if principal is None else principal.subject}
    else:
        answer = described(principal)
    return [b"" if environ["REQUEST_METHOD"] == "HEAD" else json.dumps(answer).encode()]


def _chunks(principal: Principal) -> Iterator[bytes]:
    yield b"caller: "
    yield principal.subject.encode()
