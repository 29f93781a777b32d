"""
Who is signed in: authorization codes until they are redeemed, and sessions until they are revoked.

This module never reads the time and mints nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """
    Hold what stays the same from a sign-in through all refreshes.

    Attributes:
        username: who signed in.
        client_id: the app client it was for.
        scopes: what was granted.
        resource: the resource that access tokens are bound to, or None.
        auth_time: when the user signed in, in seconds since the epoch.
        origin_jti: what all tokens of the session have in common.
        event_id: the sign-in's own.
    """

    username: str
    client_id: str
    scopes: tuple[str, ...]
    resource: str | None
    auth_time: float
    origin_jti: str
    event_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Redeemable:
    """
    Hold what an authorization code stands for.

    Attributes:
        session: what it yields tokens of.
        redirect_uri: where the code was sent, which the token request must repeat.
        code_challenge: what the code verifier must hash to (RFC 7636 §4.6), or None.
        nonce: what goes into the first ID token, or None.
    """

    session: Session
    redirect_uri: str
    code_challenge: str | None
    nonce: str | None


class Sessions:
    """Hold a user pool's codes and sessions, for as many threads as ask."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._codes: dict[str, Redeemable] = {}
        self._by_refresh_token: dict[str, Session] = {}
        self._revoked: set[str] = set()

    def keep_code(self, code: str, redeemable: Redeemable) -> None:
        """Remember what a code stands for."""
        with self._lock:
            self._codes[code] = redeemable

    def take_code(self, code: str) -> Redeemable | None:
        """Return what a code stands for, to the first who asks and to nobody after."""
        with self._lock:
            return self._codes.pop(code, None)

    def keep(self, refresh_token: str, session: Session) -> None:
        """Remember which session a refresh token continues."""
        with self._lock:
            self._by_refresh_token[refresh_token] = session

    def replace(self, old: str, new: str) -> bool:
        """Let a new refresh token continue the session in place of the old one, which works once; else return False."""
        with self._lock:
            session = self._by_refresh_token.pop(old, None)
            if session is not None:
                self._by_refresh_token[new] = session
            return session is not None

    def find(self, refresh_token: str) -> Session | None:
        """Return the session that a refresh token continues, unless it was revoked."""
        with self._lock:
            session = self._by_refresh_token.get(refresh_token)
            return None if session is None or session.origin_jti in self._revoked else session

    def revoke(self, origin_jti: str) -> None:
        """End a session, and with it every token that it yielded."""
        with self._lock:
            self._revoked.add(origin_jti)

    def is_revoked(self, origin_jti: str | None) -> bool:
        """Tell whether the session that a token belongs to has been ended."""
        with self._lock:
            return origin_jti in self._revoked
