"""
Tokens that are over before their time: signed out, stolen, of a user who was disabled.

Cognito tells a resource server of none of this, and its tokens stay good until they expire.  Whoever calls
RevokeToken, GlobalSignOut or AdminDisableUser knows, and says so here; what is known is asked at each request, also
of a token seen before.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, Protocol

from .errors import ConfigurationError, Reason, RevokedTokenError, UnavailableError
from .forksafe import ForkSafe
from .principal import Principal
from .settings import MAX_LEEWAY, check_seconds

# A user pool lets its tokens live for a day at most, a refresh token may be used for a minute after it was rotated, and
# a verifier's leeway comes on top of both ends.
_KEPT_FOR = 24 * 60 * 60.0 + 60.0 + 2 * MAX_LEEWAY
_MAX_AHEAD = 24 * 60 * 60.0
_SWEEP_EVERY = 60.0
_RETRY_AFTER = 1.0
_log = logging.getLogger("cognito_guard.revocations")


class Revocations(Protocol):
    """
    Know which tokens were revoked: a RevocationList, or a store that several processes share.

    How long an answer may take is for the store to bound: the request waits for it.
    """

    def is_revoked(self, principal: Principal) -> bool:
        """Tell whether the principal's token was revoked; may block, and raise anything where that can't be told."""
        ...

    async def ais_revoked(self, principal: Principal) -> bool:
        """Tell what `is_revoked` does, without blocking the event loop."""
        ...


class RevocationCheck:
    """
    Ask for revocations, and fail closed: where they are out of reach there is no verdict.

    Attributes:
        store: who is asked.
    """

    def __init__(self, revocations: Revocations) -> None:
        """
        Take who is asked.

        Raises:
            ConfigurationError: it can't be asked.
        """
        for method in ("is_revoked", "ais_revoked"):
            # A class has them too, and would fail at each request.
            if isinstance(revocations, type) or not callable(getattr(revocations, method, None)):
                raise ConfigurationError("revocations", f"expected an object with a method {method}")
        self.store = revocations
        self._failing = False

    def check(self, principal: Principal) -> None:
        """
        Ask whether a token was revoked.

        Raises:
            RevokedTokenError: it was.
            UnavailableError: that can't be told now.
            ConfigurationError: the answer is neither True nor False.
        """
        try:
            answer: object = self.store.is_revoked(principal)
        except Exception as error:  # anybody's code
            refusal = self._failed(error)
        else:
            return self._judge(answer)
        # Out here, where neither cause nor context nor local variable is the store's error: it may quote.
        try:
            raise refusal
        finally:
            del refusal

    async def acheck(self, principal: Principal) -> None:
        """Ask as `check` does, without blocking the event loop."""
        try:
            answer: object = await self.store.ais_revoked(principal)
        except Exception as error:  # anybody's code
            refusal = self._failed(error)
        else:
            return self._judge(answer)
        try:
            raise refusal
        finally:
            del refusal

    def _judge(self, answer: object) -> None:
        if self._failing:
            self._failing = False
            _log.info("asking for revocations works again")
        if answer is True:
            raise RevokedTokenError
        # None, of a method that forgot to return, or a coroutine that nobody awaited, must not pass for "no".
        if answer is not False:
            raise ConfigurationError("revocations", f"expected True or False, got {type(answer).__name__}")

    def _failed(self, error: Exception) -> UnavailableError:
        if not self._failing:
            self._failing = True
            # The class and no message: a foreign message may quote what was asked for.
            problem = type(error).__name__
            _log.warning("asking for revocations failed: %s", problem, extra={"problem": problem})
        return UnavailableError(_retry_after(error), Reason.REVOCATIONS_UNAVAILABLE, "the revocations are out of reach")


def _retry_after(error: Exception) -> float:
    """Return after how many seconds to try again: what the store says, if it says so and it can be told."""
    if isinstance(error, UnavailableError):
        with suppress(ConfigurationError):
            check_seconds("retry_after", error.retry_after)
            return error.retry_after
    return _RETRY_AFTER


class _Entry(NamedTuple):
    """Hold up to when tokens were issued that are revoked, and until when that matters, by timer and by wall clock."""

    issued_until: float
    kept_until: float
    kept_until_time: float


_NEVER = _Entry(-math.inf, -math.inf, -math.inf)


class RevocationList(ForkSafe):
    """
    Hold the revocations of one process, for as long as any token that they concern could still be accepted.

    Shared by threads and event loops.  Each process has its own: an application of several needs a store that all of
    them can ask.

    A session is revoked here first and at Cognito afterwards, so that no request comes in between.  A user, a client
    or a pool is revoked here once more when Cognito has answered: what was issued meanwhile is younger than the first
    word.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time, timer: Callable[[], float] = time.monotonic) -> None:
        """
        Begin with nothing revoked.

        Args:
            clock: wall time, seconds since the epoch.
            timer: monotonic seconds.
        """
        self._clock = clock
        self._timer = timer
        self._swept_at = timer()
        # Readers take no lock: a look into one dictionary, which no change leaves half done.
        self._entries: dict[tuple[str, str, str], _Entry] = {}
        super().__init__()

    def revoke_token(self, user_pool_id: str, jwt_id: str) -> None:
        """Revoke one token, by its `jti`; the sign-in that it comes from can still refresh it."""
        self._enter("jwt_id", user_pool_id, jwt_id)

    def revoke_session(self, user_pool_id: str, origin_jti: str) -> None:
        """
        Revoke every token of one sign-in, refreshed ones too, by its `origin_jti`.

        That is what RevokeToken does to the refresh token.  Tokens of an app client whose token revocation is turned
        off carry no `origin_jti`, and are revoked by user.
        """
        self._enter("origin_jti", user_pool_id, origin_jti)

    def revoke_user(self, user_pool_id: str, subject: str, *, issued_until: float | None = None) -> None:
        """
        Revoke every token that a user was issued so far, as GlobalSignOut and AdminDisableUser do to refresh tokens.

        Args:
            user_pool_id: the user pool.
            subject: the user's `sub`; a name can change hands.
            issued_until: wall time, seconds since the epoch, at most a day ahead, in place of now: later tokens are not
                concerned.  By Cognito's clock: where yours may be behind it, add by how much.
        """
        self._enter("subject", user_pool_id, subject, issued_until)

    def revoke_client(self, user_pool_id: str, client_id: str, *, issued_until: float | None = None) -> None:
        """Revoke, as `revoke_user` does, what was issued to an app client, such as one whose secret leaked."""
        self._enter("client_id", user_pool_id, client_id, issued_until)

    def revoke_pool(self, user_pool_id: str, *, issued_until: float | None = None) -> None:
        """Revoke, as `revoke_user` does, what a user pool has issued at all."""
        self._enter("user_pool_id", user_pool_id, user_pool_id, issued_until)

    def is_revoked(self, principal: Principal) -> bool:
        """Tell whether the principal's token was revoked; takes no lock."""
        entries, pool = self._entries, principal.user_pool_id
        if not entries:
            return False
        if ("jwt_id", pool, principal.jwt_id) in entries or ("origin_jti", pool, principal.origin_jti) in entries:
            return True
        named = (("subject", pool, principal.subject), ("client_id", pool, principal.client_id))
        found = (entries.get(name) for name in (*named, ("user_pool_id", pool, pool)))
        # Up to and with that second: what was issued within it may be what was meant.
        return any(entry is not None and principal.issued_at <= entry.issued_until for entry in found)

    async def ais_revoked(self, principal: Principal) -> bool:
        """Tell what `is_revoked` does."""
        return self.is_revoked(principal)

    def _enter(self, kind: str, user_pool_id: str, name: str, issued_until: float | None = None) -> None:
        for argument, value in (("user_pool_id", user_pool_id), (kind, name)):
            if not isinstance(value, str) or not value:
                raise ConfigurationError(argument, "expected a non-empty string")
        clock = self._clock()
        if issued_until is None:
            issued_until = clock
        check_seconds("issued_until", issued_until)
        ahead = max(0.0, issued_until - clock)
        if ahead > _MAX_AHEAD:
            raise ConfigurationError("issued_until", "expected seconds since the epoch, at most a day ahead")
        with self._lock:
            now = self._timer()
            self._sweep(now, clock)
            before = self._entries.get((kind, user_pool_id, name), _NEVER)
            self._entries[kind, user_pool_id, name] = _Entry(
                issued_until=max(issued_until, before.issued_until),
                kept_until=max(now + ahead + _KEPT_FOR, before.kept_until),
                kept_until_time=max(clock + ahead + _KEPT_FOR, before.kept_until_time),
            )

    def _sweep(self, now: float, clock: float) -> None:
        """Forget what no token can meet any more; now and then, as that looks at every entry."""
        if now - self._swept_at >= _SWEEP_EVERY:
            # By both, for the one that judges tokens may have been set back meanwhile.
            self._entries = {
                name: entry
                for name, entry in self._entries.items()
                if entry.kept_until > now or entry.kept_until_time > clock
            }
            self._swept_at = now

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<RevocationList {len(self)} entries>"
