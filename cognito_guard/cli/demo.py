"""
The project's main job in one command: a local user pool, a guarded API, and a walk past the guard.

Everything is real but the pool: RSA keys, tokens fetched over HTTP as a client would, an API under
uvicorn, keys fetched by the verifier.  Only the timer that ages the keys is turned by hand, so that an
outage of hours takes no time.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from urllib.parse import urlencode

from ..challenge import DEFAULT_REALM
from ..errors import Reason
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
except ImportError as cause:
    raise ImportError("the demo needs Starlette and uvicorn: pip install 'cognito-guard[demo]'") from cause

_TRANSACTIONS = ResourceServer("transactions", {"get": "Read transactions", "post": "Make transactions"})
_TELLER = AppClient(
    client_id="teller0000000000000000demo", client_secret="teller+secret+of+the+demo", scopes=_TRANSACTIONS.scopes
)
_AUDITOR = AppClient(
    client_id="auditor000000000000000demo",
    client_secret="auditor+secret+of+the+demo",
    scopes=(_TRANSACTIONS["get"],),
)
_STRANGER = AppClient(
    client_id="stranger00000000000000demo",
    client_secret="stranger+secret+of+the+demo",
    scopes=_TRANSACTIONS.scopes,
)
_AN_HOUR = 3600.0
_PATIENCE = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """Hold one line of the walk: what was asked, what came back, and what should have."""

    title: str
    status: int
    challenge: str
    reason: str
    expected: tuple[int, str, str]

    @property
    def is_right(self) -> bool:
        """Whether the answer is the expected one, to the letter."""
        return (self.status, self.challenge, self.reason) == self.expected


class Demo:
    """Hold the running parts: a user pool, a guarded API, and the log in which refusals give their reason."""

    def __init__(self, pool: FakeUserPool, pool_server: FakeUserPoolServer, timer: FakeClock, api_port: int) -> None:
        """Take the parts; they are running."""
        self.pool = pool
        self.pool_server = pool_server
        self.timer = timer
        self.api_port = api_port
        self.exchanges: list[Exchange] = []
        self._reasons = _Reasons()

    def token(self, client: AppClient, *scopes: str) -> str:
        """Fetch a machine's token at the token endpoint, with HTTP Basic, as any OAuth client would."""
        credentials = b64encode(f"{client.client_id}:{client.client_secret}".encode()).decode()
        form = {"grant_type": "client_credentials"} | ({"scope": " ".join(scopes)} if scopes else {})
        headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/x-www-form-urlencoded"}
        port = int(self.pool_server.url.rpartition(":")[2])
        _, _, body = _http(port, "POST", "/oauth2/token", headers, urlencode(form))
        token: str = json.loads(body)["access_token"]
        return token

    def ask(
        self,
        title: str,
        authorization: str | None,
        status: int,
        reason: Reason | None = None,
        challenge: str = "",
        *,
        method: str = "GET",
    ) -> None:
        """Call the API and keep what it answered beside what it should."""
        headers = {} if authorization is None else {"Authorization": authorization}
        with self._reasons.collected() as reasons:
            answered, got, _ = _http(self.api_port, method, "/transactions", headers)
        _wait_for_refreshes()
        self.exchanges.append(
            Exchange(
                title=f"{method:4} {title}",
                status=answered,
                challenge=got,
                reason=" ".join(reasons),
                expected=(status, challenge, str(reason or "")),
            )
        )


def run_demo(*, serve: bool = False) -> int:
    """
    Start the pool and the API, walk, and print a table.

    Args:
        serve: keep both up until interrupted, and print curl lines with ready tokens.

    Returns:
        0 where every answer was the right one, else 1.
    """
    with _running() as demo:
        _walk(demo)
        print(_table(demo.exchanges))
        print("(realm and error_description are left out where an error is shown; they are compared all the same)")
        right = sum(exchange.is_right for exchange in demo.exchanges)
        fetches = demo.pool_server.count("/jwks.json")
        print(f"\n{right} of {len(demo.exchanges)} answers are right; the key endpoint was asked {fetches} times.")
        if serve:
            _serve(demo)
    return 0 if right == len(demo.exchanges) else 1


def _walk(demo: Demo) -> None:
    bearer = f'Bearer realm="{DEFAULT_REALM}"'
    invalid = f'{bearer}, error="invalid_token", error_description="The token is not valid here"'
    expired = f'{bearer}, error="invalid_token", error_description="The token has expired"'
    twice = f'{bearer}, error="invalid_request", error_description="Exactly one bearer token is expected"'
    missing = (
        f'{bearer}, error="insufficient_scope", error_description="The token lacks a scope that is required"'
        f', scope="{_TRANSACTIONS["post"]}"'
    )
    pool, ask = demo.pool, demo.ask
    good = demo.token(_TELLER)

    ask("without a token", None, 401, Reason.MISSING_TOKEN, bearer)
    ask("with a good token", f"Bearer {good}", 200)
    ask("with a good token", f"Bearer {good}", 200, method="POST")
    ask("a scope is missing", f"Bearer {demo.token(_AUDITOR)}", 403, Reason.INSUFFICIENT_SCOPE, missing, method="POST")
    id_token = pool.id_token(client_id=_TELLER.client_id)
    ask("an ID token, not an access token", f"Bearer {id_token}", 401, Reason.WRONG_TOKEN_USE, invalid)
    old = pool.client_token(client_id=_TELLER.client_id, expires_in=-60)
    ask("expired a minute ago", f"Bearer {old}", 401, Reason.EXPIRED, expired)
    ask("claims changed by hand", f"Bearer {_tampered(good)}", 401, Reason.INVALID_SIGNATURE, invalid)
    other_pool = FakeUserPool("eu-west-1_OtherPool", client_id=_TELLER.client_id, resource_servers=[_TRANSACTIONS])
    foreign = other_pool.client_token(client_id=_TELLER.client_id)
    ask("from another user pool", f"Bearer {foreign}", 401, Reason.WRONG_ISSUER, invalid)
    ask("from another client of the pool", f"Bearer {demo.token(_STRANGER)}", 401, Reason.WRONG_CLIENT, invalid)
    ask("a refresh token", f"Bearer {pool.refresh_token()}", 401, Reason.ENCRYPTED_TOKEN, invalid)
    ask("two tokens in one header", f"Bearer {good}, Bearer {good}", 400, Reason.MALFORMED_HEADER, twice)
    ask("garbage for a token", "Bearer %00.\xff\xfe.<script>", 401, Reason.MALFORMED_TOKEN, invalid)
    ask("garbage for a header", "}{ no header at all", 401, Reason.MISSING_TOKEN, bearer)
    pool.rotate()
    ask("the pool rotated its keys", f"Bearer {demo.token(_TELLER)}", 200)
    ask("... a token from before", f"Bearer {good}", 200)
    demo.pool_server.down()
    demo.timer.tick(_AN_HOUR)
    ask("key endpoint down for an hour", f"Bearer {good}", 200)
    demo.timer.tick(5 * _AN_HOUR)
    ask("... for six hours", f"Bearer {good}", 503, Reason.KEYS_UNAVAILABLE)
    demo.pool_server.up()
    demo.timer.tick(60)
    ask("... and back", f"Bearer {good}", 200)


def _tampered(token: str) -> str:
    """Promote oneself: change the claims and keep the signature."""
    header, payload, signature = token.split(".")
    claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    claims["cognito:groups"] = ["administrators"]
    forged = urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"{header}.{forged}.{signature}"


def _table(exchanges: list[Exchange]) -> str:
    rows = [("request", "status", "", "reason", "challenge")]
    for exchange in exchanges:
        mark = "ok" if exchange.is_right else "WRONG"
        rows.append((exchange.title, str(exchange.status), mark, exchange.reason or "-", _short(exchange.challenge)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join((lines[0], "-" * sum((*widths, 8)), *lines[1:]))


def _short(challenge: str) -> str:
    """Leave out of a challenge what is the same in each line; the walk compares the whole."""
    parts = challenge.removeprefix("Bearer ").split(", ")
    told = [part for part in parts if not part.startswith(("realm=", "error_description="))]
    return f"Bearer {', '.join(told or parts)}" if challenge else "-"


def _serve(demo: Demo) -> None:
    url = f"http://127.0.0.1:{demo.api_port}/transactions"
    basic = f"-u {_TELLER.client_id}:{_TELLER.client_secret}"
    with suppress(KeyboardInterrupt):
        print("\nBoth stay up until you press Ctrl-C.  Try:\n")
        print(f"curl -i {url}")
        print(f"curl -i {url} -H 'Authorization: Bearer {demo.token(_TELLER)}'")
        print(f"curl -i {url} -X POST -H 'Authorization: Bearer {demo.token(_AUDITOR)}'")
        print(f"curl {basic} -d grant_type=client_credentials {demo.pool_server.token_endpoint}", flush=True)
        threading.Event().wait()


@contextmanager
def _running() -> Generator[Demo]:
    pool = FakeUserPool(
        client_id=_TELLER.client_id, clients=[_TELLER, _AUDITOR, _STRANGER], resource_servers=[_TRANSACTIONS]
    )
    timer = FakeClock()
    with pool.serve() as pool_server, socket.create_server(("127.0.0.1", 0)) as listener:
        verifier = CognitoVerifier(
            pool.user_pool_id,
            client_id=[_TELLER.client_id, _AUDITOR.client_id],
            jwks_uri=pool_server.jwks_uri,
            allow_insecure_http=True,
            timer=timer,
        )
        server = uvicorn.Server(uvicorn.Config(_api(verifier), log_config=None, access_log=False, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield Demo(pool, pool_server, timer, listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()


def _api(verifier: CognitoVerifier) -> Starlette:
    @requires(_TRANSACTIONS["get"])
    async def read(request: Request) -> JSONResponse:
        return JSONResponse({"transactions": [], "caller": request.user.display_name})

    @requires(_TRANSACTIONS["post"])
    async def make(request: Request) -> JSONResponse:
        return JSONResponse({"made_by": request.user.display_name})

    return Starlette(
        routes=[
            Route("/transactions", read, methods=["GET"]),
            Route("/transactions", make, methods=["POST"]),
        ],
        middleware=[Middleware(CognitoMiddleware, verifier=verifier)],
    )


class _Reasons(logging.Handler):
    """Collect what the guard logs: the reason of a refusal is for operators, and not in the answer."""

    def __init__(self) -> None:
        super().__init__()
        self._found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        reason: str | None = getattr(record, "reason", None)
        if reason is not None:
            self._found.append(reason)

    @contextmanager
    def collected(self) -> Generator[list[str]]:
        logger = logging.getLogger("cognito_guard")
        level, self._found = logger.level, []
        logger.addHandler(self)
        logger.setLevel(logging.INFO)
        try:
            yield self._found
        finally:
            logger.removeHandler(self)
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
    connection = HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
    with closing(connection):
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.getheader("WWW-Authenticate", ""), response.read()
