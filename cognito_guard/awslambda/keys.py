"""Keys on a machine that stops between two requests."""

from __future__ import annotations

from contextlib import suppress

from ..abstract import Verifier
from ..errors import UnavailableError
from ..routing import Routed


def refresh_if_due(verifier: Verifier) -> None:
    """
    Refresh the keys where they are not fresh and no backoff is on, and wait for it, at most the schedule's deadline.

    Otherwise they would be refreshed beside the request: Lambda freezes that fetch as soon as the answer is out,
    and a withdrawn key would live on.  Of several pools, only the one that the request's token names is refreshed,
    once the token is read: a pool out of reach holds up nobody else's callers.
    """
    if isinstance(verifier, Routed):
        verifier.refresh_first()
        return
    # Out of reach, they may still serve: that is for the token to find out.
    with suppress(UnavailableError):
        verifier.prefetch()
