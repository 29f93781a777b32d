"""
One API behind four guards, and what each must say to the tokens of a sign-in.

A flow is judged whole: its tokens where they belong, and the same tokens everywhere else.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from cognito_guard import Reason

from .answers import assert_refused
from .emulators import Emulator, SeededPool
from .guarded_api import GuardedAPI, guarded_api, settings_for
from .tokens import GROUP, SIGN_IN_SCOPE, Tokens

BOTH_KINDS = ["access", "id"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Hold whom a handler must see: a person, unless there is no username."""

    subject: str
    client_id: str
    username: str | None = None
    scopes: Iterable[str] = (SIGN_IN_SCOPE,)
    groups: Iterable[str] = ()

    def seen(self, token_use: str) -> dict[str, Any]:
        """Return the answer of `/me`; an ID token has no scopes."""
        scopes = sorted(self.scopes) if token_use == "access" else []
        return {
            "subject": self.subject,
            "username": self.username,
            "client_id": self.client_id,
            "token_use": token_use,
            "groups": sorted(self.groups),
            "scopes": scopes,
            "is_machine": self.username is None,
            "auth_scopes": sorted(["authenticated", *scopes]),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """
    The same API, guarded in four ways.

    Attributes:
        access: takes access tokens of the user pool's clients.
        id: takes their ID tokens.
        other_client: takes tokens of either kind of another client alone.
        other_pool: takes tokens of either kind of another user pool alone.
        refresh_token: why a refresh token of this user pool is refused, which depends on its form.
    """

    access: GuardedAPI
    id: GuardedAPI
    other_client: GuardedAPI
    other_pool: GuardedAPI
    refresh_token: Reason

    def refusals(self, tokens: Tokens) -> Iterable[tuple[GuardedAPI, str, Reason]]:
        """List where each token must not get in, and why."""
        yield self.id, tokens.access, Reason.WRONG_TOKEN_USE
        yield self.other_client, tokens.access, Reason.WRONG_CLIENT
        yield self.other_pool, tokens.access, Reason.WRONG_ISSUER
        if tokens.id:
            yield self.access, tokens.id, Reason.WRONG_TOKEN_USE
            yield self.other_client, tokens.id, Reason.WRONG_CLIENT
            yield self.other_pool, tokens.id, Reason.WRONG_ISSUER
        if tokens.refresh:
            yield self.access, tokens.refresh, self.refresh_token
            yield self.id, tokens.refresh, self.refresh_token


@dataclass(frozen=True, slots=True)
class Judge:
    """Judge the tokens of a flow at all guards."""

    guards: Guards
    caplog: pytest.LogCaptureFixture

    def __call__(self, tokens: Tokens, caller: Caller) -> None:
        """Check whom the handlers see, and that no token gets in where it does not belong."""
        assert_seen(self.guards.access, tokens.access, caller.seen("access"))
        if tokens.id:
            assert_seen(self.guards.id, tokens.id, caller.seen("id"))
        for api, token, reason in self.guards.refusals(tokens):
            assert_refused(api, token, reason, self.caplog)


def assert_seen(api: GuardedAPI, token: str, seen: Mapping[str, Any]) -> None:
    """Check that a token is let in, and whom the handler sees."""
    response = api.get("/me", token)
    assert (response.status_code, response.json()) == (httpx.codes.OK, seen)


def shown_claims(api: GuardedAPI, token: str, names: Iterable[str]) -> dict[str, Any]:
    """Return these claims as the handler sees them."""
    return {name: api.get(f"/claims/{name}", token).json() for name in names}


def member(pool: SeededPool, username: str, client_id: str | None = None, **more: Any) -> Caller:
    """Describe the user in the group, signed in at the web client unless another is named."""
    return Caller(
        subject=pool.subjects[username],
        username=username,
        client_id=client_id or pool.web_client_id,
        groups=[GROUP],
        **more,
    )


@contextmanager
def guards_of(emulator: Emulator) -> Generator[Guards]:
    """Serve the API behind the guards for an emulator's first user pool."""
    refresh_token = {"ministack": Reason.WRONG_TOKEN_USE, "moto": Reason.MALFORMED_TOKEN}[emulator.name]
    settings = settings_for(emulator.pool)
    other_client = {"client_id": emulator.pool.other_client_id}
    with guarded(settings, other_client, settings_for(emulator.other_pool), refresh_token) as guards:
        yield guards


@contextmanager
def guarded(
    settings: Mapping[str, Any], other_client: Mapping[str, Any], other_pool: Mapping[str, Any], refresh_token: Reason
) -> Generator[Guards]:
    """Serve the API behind the guards, so configured."""
    with ExitStack() as stack:
        yield Guards(
            access=stack.enter_context(guarded_api(settings)),
            id=stack.enter_context(guarded_api({**settings, "token_use": "id"})),
            other_client=stack.enter_context(guarded_api({**settings, **other_client, "token_use": BOTH_KINDS})),
            other_pool=stack.enter_context(guarded_api({**other_pool, "token_use": BOTH_KINDS})),
            refresh_token=refresh_token,
        )
