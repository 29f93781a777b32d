"""
Where the demo takes place: a local user pool, a guarded API under uvicorn, and a client of both.

Everything is real but the pool: RSA keys, tokens fetched over HTTP as a client would, keys fetched by the verifier.
Only the timer that ages the keys is turned by hand, so that an outage of hours takes no time.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
from base64 import b64encode
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from urllib.parse import urlencode

from ..keys.remote import REFRESH_THREAD
from ..scopes import ResourceServer
from ..testing import AppClient, FakeClock, FakeUserPool, FakeUserPoolServer
from ..verifier import CognitoVerifier

try:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from ..asgi import CognitoMiddleware
    from ..starlette import requires
except ImportError as _cause:
    raise ImportError("the demo needs Starlette and uvicorn: pip install 'cognito-guard[demo]'") from _cause

PATH = "/transactions"
TRANSACTIONS = ResourceServer("transactions", {"get": "Read transactions", "post": "Make transactions"})
TELLER = AppClient(
    client_id="teller0000000000000000demo", client_secret="teller+secret+of+the+demo", scopes=TRANSACTIONS.scopes
)
AUDITOR = AppClient(
    client_id="auditor000000000000000demo",
    client_secret="auditor+secret+of+the+demo",
    scopes=(TRANSACTIONS["get"],),
)
STRANGER = AppClient(
    client_id="stranger00000000000000demo",
    client_secret="stranger+secret+of+the+demo",
    scopes=TRANSACTIONS.scopes,
)
_HOST = "127.0.0.1"
_PATIENCE = 10.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    Hold what the API answered.

    Attributes:
        status: of HTTP.
        challenge: the `WWW-Authenticate` header, or "".
        reason: what the guard logged of a refusal, or "".
    """

    status: int
    challenge: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """
    Hold what runs.

    Attributes:
        pool: the user pool, whose app clients are `TELLER`, `AUDITOR` and `STRANGER`.
        pool_server: its endpoints.
        timer: what ages the keys that the guard holds.
        api_port: where the API is; it takes tokens of `TELLER` and `AUDITOR`.
    """

    pool: FakeUserPool
    pool_server: FakeUserPoolServer
    timer: FakeClock
    api_port: int

    @property
    def api_url(self) -> str:
        """What the API guards: GET takes one scope of `TRANSACTIONS`, POST the other."""
        return f"http://{_HOST}:{self.api_port}{PATH}"

    def token(self, client: AppClient) -> str:
        """Fetch a machine's token at the token endpoint, with HTTP Basic, as any OAuth client would."""
        credentials = b64encode(f"{client.client_id}:{client.client_secret}".encode()).decode()
        headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/x-www-form-urlencoded"}
        port = int(self.pool_server.url.rpartition(":")[2])
        form = urlencode({"grant_type": "client_credentials"})
        _, _, body = _http(port, "POST", "/oauth2/token", headers, form)
        token: str = json.loads(body)["access_token"]
        return token

    def ask(self, method: str, authorization: str | None) -> Answer:
        """Call the API, and wait until nothing that the call began is under way."""
        headers = {} if authorization is None else {"Authorization": authorization}
        with _reasons() as reasons:
            status, challenge, _ = _http(self.api_port, method, PATH, headers)
        _wait_for_refreshes()
        return Answer(status=status, challenge=challenge, reason=" ".join(reasons))


@contextmanager
def on_stage() -> Generator[Stage]:
    """Start the pool and the API, and stop them in the end."""
    pool = FakeUserPool(client_id=TELLER.client_id, clients=[TELLER, AUDITOR, STRANGER], resource_servers=TRANSACTIONS)
    timer = FakeClock()
    with pool.serve() as pool_server, socket.create_server((_HOST, 0)) as listener:
        verifier = CognitoVerifier(
            pool.user_pool_id,
            client_id=[TELLER.client_id, AUDITOR.client_id],
            jwks_uri=pool_server.jwks_uri,
            allow_insecure_http=True,
            timer=timer,
        )
        server = uvicorn.Server(uvicorn.Config(_api(verifier), log_config=None, access_log=False, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield Stage(pool=pool, pool_server=pool_server, timer=timer, api_port=listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()


def _api(verifier: CognitoVerifier) -> Starlette:
    @requires(TRANSACTIONS["get"])
    async def read(request: Request) -> JSONResponse:
        return JSONResponse({"transactions": [], "caller": request.user.display_name})

    @requires(TRANSACTIONS["post"])
    async def make(request: Request) -> JSONResponse:
        return JSONResponse({"made_by": request.user.display_name})

    return Starlette(
        routes=[Route(PATH, read, methods=["GET"]), Route(PATH, make, methods=["POST"])],
        middleware=[Middleware(CognitoMiddleware, verifier=verifier)],
    )


class _Reasons(logging.Handler):
    """Collect what the guard logs: the reason of a refusal is for operators, and not in the answer."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        reason: str | None = getattr(record, "reason", None)
        if reason is not None:
            self.found.append(reason)


@contextmanager
def _reasons() -> Generator[list[str]]:
    logger, handler = logging.getLogger("cognito_guard"), _Reasons()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield handler.found
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def _wait_for_refreshes() -> None:
    """Let refreshes in the background end, so that each walk is the same."""
    for thread in threading.enumerate():
        if thread.name == REFRESH_THREAD:
            thread.join(_PATIENCE)


def _http(
    port: int, method: str, path: str, headers: Mapping[str, str], body: str | None = None
) -> tuple[int, str, bytes]:
    """Return status, challenge and body of one answer."""
    connection = HTTPConnection(_HOST, port, timeout=_PATIENCE)
    with closing(connection):
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.getheader("WWW-Authenticate", ""), response.read()
