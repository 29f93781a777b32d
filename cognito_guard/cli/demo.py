"""
The project's main job in one command: a local user pool, a guarded API, and a walk past the guard.

The walk asks and knows what each answer must be, to the letter; what it walks through is `stage`.
"""

from __future__ import annotations

import json
import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from dataclasses import dataclass

from ..challenge import DEFAULT_REALM
from ..errors import Reason
from ..testing import FakeUserPool
from .stage import AUDITOR, STRANGER, TELLER, TRANSACTIONS, Stage, on_stage

_AN_HOUR = 3600.0  # seconds


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


def run_demo(*, serve: bool = False) -> int:
    """
    Start the pool and the API, walk, and print a table.

    Args:
        serve: keep both up until interrupted, and print curl lines with ready tokens.

    Returns:
        0 where every answer was the right one, else 1.
    """
    with on_stage() as stage:
        exchanges = _walk(stage)
        print(_table(exchanges))
        print("(realm and error_description are left out where an error is shown; they are compared all the same)")
        right = sum(exchange.is_right for exchange in exchanges)
        fetches = stage.pool_server.count("/jwks.json")
        print(f"\n{right} of {len(exchanges)} answers are right; the key endpoint was asked {fetches} times.")
        if serve:
            _serve(stage)
    return 0 if right == len(exchanges) else 1


class _Walk:
    """Ask one thing after the other, and keep what was answered beside what should have been."""

    def __init__(self, stage: Stage) -> None:
        self.exchanges: list[Exchange] = []
        self._stage = stage

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
        """Call the API; status, reason and challenge are the expected ones."""
        answer = self._stage.ask(method, authorization)
        self.exchanges.append(
            Exchange(
                title=f"{method:4} {title}",
                status=answer.status,
                challenge=answer.challenge,
                reason=answer.reason,
                expected=(status, challenge, str(reason or "")),
            )
        )


def _walk(stage: Stage) -> list[Exchange]:
    bearer = f'Bearer realm="{DEFAULT_REALM}"'
    invalid = f'{bearer}, error="invalid_token", error_description="The token is not valid here"'
    expired = f'{bearer}, error="invalid_token", error_description="The token has expired"'
    twice = f'{bearer}, error="invalid_request", error_description="Exactly one bearer token is expected"'
    missing = (
        f'{bearer}, error="insufficient_scope", error_description="The token lacks a scope that is required"'
        f', scope="{TRANSACTIONS["post"]}"'
    )
    walk = _Walk(stage)
    pool, ask = stage.pool, walk.ask
    good = stage.token(TELLER)

    ask("without a token", None, 401, Reason.MISSING_TOKEN, bearer)
    ask("with a good token", f"Bearer {good}", 200)
    ask("with a good token", f"Bearer {good}", 200, method="POST")
    ask("a scope is missing", f"Bearer {stage.token(AUDITOR)}", 403, Reason.INSUFFICIENT_SCOPE, missing, method="POST")
    id_token = pool.id_token(client_id=TELLER.client_id)
    ask("an ID token, not an access token", f"Bearer {id_token}", 401, Reason.WRONG_TOKEN_USE, invalid)
    old = pool.client_token(client_id=TELLER.client_id, expires_in=-60)
    ask("expired a minute ago", f"Bearer {old}", 401, Reason.EXPIRED, expired)
    ask("claims changed by hand", f"Bearer {_tampered(good)}", 401, Reason.INVALID_SIGNATURE, invalid)
    other_pool = FakeUserPool("eu-west-1_OtherPool", client_id=TELLER.client_id, resource_servers=[TRANSACTIONS])
    foreign = other_pool.client_token(client_id=TELLER.client_id)
    ask("from another user pool", f"Bearer {foreign}", 401, Reason.WRONG_ISSUER, invalid)
    ask("from another client of the pool", f"Bearer {stage.token(STRANGER)}", 401, Reason.WRONG_CLIENT, invalid)
    ask("a refresh token", f"Bearer {pool.refresh_token()}", 401, Reason.ENCRYPTED_TOKEN, invalid)
    ask("two tokens in one header", f"Bearer {good}, Bearer {good}", 400, Reason.MALFORMED_HEADER, twice)
    ask("garbage for a token", "Bearer %00.\xff\xfe.<script>", 401, Reason.MALFORMED_TOKEN, invalid)
    ask("garbage for a header", "}{ no header at all", 401, Reason.MISSING_TOKEN, bearer)
    pool.rotate()
    ask("the pool rotated its keys", f"Bearer {stage.token(TELLER)}", 200)
    ask("... a token from before", f"Bearer {good}", 200)
    stage.pool_server.down()
    stage.timer.tick(_AN_HOUR)
    ask("key endpoint down for an hour", f"Bearer {good}", 200)
    stage.timer.tick(5 * _AN_HOUR)
    ask("... for six hours", f"Bearer {good}", 503, Reason.KEYS_UNAVAILABLE)
    stage.pool_server.up()
    stage.timer.tick(60)
    ask("... and back", f"Bearer {good}", 200)
    return walk.exchanges


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


def _serve(stage: Stage) -> None:
    url, basic = stage.api_url, f"-u {TELLER.client_id}:{TELLER.client_secret}"
    with suppress(KeyboardInterrupt):
        print("\nBoth stay up until you press Ctrl-C.  Try:\n")
        print(f"curl -i {url}")
        print(f"curl -i {url} -H 'Authorization: Bearer {stage.token(TELLER)}'")
        print(f"curl -i {url} -X POST -H 'Authorization: Bearer {stage.token(AUDITOR)}'")
        print(f"curl {basic} -d grant_type=client_credentials {stage.pool_server.token_endpoint}", flush=True)
        threading.Event().wait()
