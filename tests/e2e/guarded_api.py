"""
One guarded API, the same for every emulator, and a way to serve it over real HTTP.

Which user pool it trusts is settings alone: `settings_for` is all that an emulator changes.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from cognito_guard import CognitoVerifier, HTTPSFetch, RefreshSchedule, Requires, ResourceServer
from cognito_guard.asgi import CognitoMiddleware
from cognito_guard.starlette import requires

from .emulators import LOOPBACK, SeededPool
from .tokens import GROUP, RESOURCE_SERVER

READY_WITHIN = 10.0
POLL_EVERY = 0.005
PATIENCE = 30.0
"""Seconds for an answer, which takes milliseconds where the machine has nothing else to do."""

transactions = ResourceServer(RESOURCE_SERVER, {"get": "Read transactions", "post": "Record transactions"})


async def me(request: Request) -> JSONResponse:
    """Say how the handler sees its caller."""
    caller = request.user
    return JSONResponse(
        {
            "subject": caller.subject,
            "username": caller.username,
            "client_id": caller.client_id,
            "token_use": caller.token_use,
            "groups": sorted(caller.groups),
            "scopes": sorted(caller.scopes),
            "is_machine": caller.is_machine,
            "auth_scopes": sorted(request.auth.scopes),
        }
    )


@requires(transactions["get"])
async def list_transactions(request: Request) -> JSONResponse:
    """Need transactions/get."""
    return JSONResponse({"listed_for": request.user.client_id})


@requires(transactions["post"])
def record_transaction(request: Request) -> JSONResponse:
    """Need transactions/post; a plain function, so run on a worker thread."""
    return JSONResponse({"recorded_for": request.user.client_id}, status_code=201)


@requires(Requires(groups=[GROUP]))
async def admin(request: Request) -> JSONResponse:
    """Need the group."""
    return JSONResponse({"admin": request.user.username})


async def claim(request: Request) -> JSONResponse:
    """Show one claim of the caller's token."""
    value = request.user.claims.get(request.path_params["name"])
    return JSONResponse(json.loads(json.dumps(value, default=dict)))


async def healthz(request: Request) -> PlainTextResponse:
    """Answer everyone."""
    return PlainTextResponse("ok")


def build_app(verifier: CognitoVerifier) -> Starlette:
    """Build the guarded API."""
    return Starlette(
        routes=[
            Route("/me", me),
            Route("/transactions", list_transactions, methods=["GET"]),
            Route("/transactions", record_transaction, methods=["POST"]),
            Route("/admin", admin),
            Route("/claims/{name}", claim),
            Route("/healthz", healthz),
        ],
        middleware=[Middleware(CognitoMiddleware, verifier=verifier, exempt=("/healthz",))],
    )


class CountingFetch:
    """Fetch for real, and remember what was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._fetch = HTTPSFetch()

    def __call__(self, uri: str, timeout: float) -> bytes:
        """Fetch `uri`."""
        self.asked.append(uri)
        return self._fetch(uri, timeout)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedAPI:
    """The guarded API at work: its verifier, a client that talks to it, and the fetches it made."""

    verifier: CognitoVerifier
    client: httpx.Client
    fetch: CountingFetch

    def get(self, path: str, token: str) -> httpx.Response:
        """Send a GET with a bearer token."""
        return self.client.get(path, headers=bearer(token))


def bearer(token: str) -> dict[str, str]:
    """Put a token where RFC 6750 §2.1 wants it."""
    return {"Authorization": f"Bearer {token}"}


def settings_for(pool: SeededPool) -> dict[str, Any]:
    """Write down what differs from a pool on AWS: the JWKS is local and plain http; the issuer is not overridden."""
    return {
        "user_pool_id": pool.user_pool_id,
        "client_id": [
            pool.web_client_id,
            pool.confidential_client_id,
            pool.legacy_client_id,
            pool.machine_client_id,
        ],
        "jwks_uri": pool.jwks_uri,
        "allow_insecure_http": True,
    }


@contextmanager
def guarded_api(settings: Mapping[str, Any]) -> Generator[GuardedAPI]:
    """Serve the guarded API, so configured, with a client for it."""
    fetch = CountingFetch()
    schedule = RefreshSchedule(deadline=PATIENCE)
    verifier = CognitoVerifier.from_mapping(settings, fetch=fetch, schedule=schedule)
    with (
        serve(build_app(verifier)) as base_url,
        httpx.Client(base_url=base_url, trust_env=False, timeout=PATIENCE) as client,
    ):
        yield GuardedAPI(verifier=verifier, client=client, fetch=fetch)


@contextmanager
def serve(app: Starlette) -> Generator[str]:
    """Run uvicorn on a thread, on a free loopback port; yield its base URL."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, 0))
        config = uvicorn.Config(app, http="h11", ws="none", lifespan="off", log_config=None, access_log=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="uvicorn", daemon=True)
        thread.start()
        try:
            _await_started(server, thread)
            yield f"http://{LOOPBACK}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(READY_WITHIN)
        if thread.is_alive():
            raise RuntimeError(f"uvicorn did not end within {READY_WITHIN} seconds")


def _await_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("uvicorn did not start")
        time.sleep(POLL_EVERY)
