"""
Let a test's requests be anybody's, without a token.

Nothing here belongs in production.
"""

from __future__ import annotations

from ..asgi import ASGIApp, Receive, Scope, Send
from ..principal import Principal
from . import CognitoBearer
from .caller import CALLERS_KEY

__all__ = ["acting_as"]


def acting_as(app: ASGIApp, guard: CognitoBearer, principal: Principal) -> ASGIApp:
    """
    Return the application as a principal finds it: `TestClient(acting_as(app, guard, jane))`.

    Only the token is taken for granted: scopes and requirements decide as ever.

    Args:
        app: the application; it is left as it is.
        guard: takes the principal for the caller of every request; other guards still want a token.
        principal: for example `verifier.verify(pool.access_token(...))`.
    """

    async def acted(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, CALLERS_KEY: {guard: principal}}, receive, send)

    return acted
