"""
The authorization server of a fake user pool: who signs in gets tokens, and keeps them until they are revoked.

Parameters in, answers or refusals out; HTTP is not spoken here, and the clock is the pool's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import TypeAlias

from ..errors import CognitoGuardError
from ..principal import Principal
from .authorization import AuthorizationRequest, Pairs, judged
from .claims import ABSENT, TOKEN_LIFETIME, at_hash, custom_attributes, shows_all_attributes
from .directory import AppClient, Directory
from .keys import base64url
from .minting import TokenMint
from .refusals import TokenRequestError, UntrustedRequestError, UserInfoError
from .sessions import Redeemable, Session, Sessions

_CODE_LIFETIME = 300  # seconds
_REFRESH_LIFETIME = 30 * 24 * 3600  # seconds, Cognito's default
_JWS_SEGMENTS = 3

Form: TypeAlias = Mapping[str, str]


class AuthorizationServer:
    """
    Answer what apps and their users ask of a user pool.

    Args:
        mint: makes the tokens.
        directory: who may have them.
        sessions: who has.
        clock: wall time in seconds since the epoch.
        verify: judges an access token of the pool, whatever resource it is bound to; raises a CognitoGuardError.
    """

    def __init__(
        self,
        mint: TokenMint,
        directory: Directory,
        sessions: Sessions,
        clock: Callable[[], float],
        verify: Callable[[str], Principal],
    ) -> None:
        self._mint = mint
        self._directory = directory
        self._clock = clock
        self._verify = verify
        self._sessions = sessions

    def authorization_request(self, pairs: Pairs) -> AuthorizationRequest:
        """
        Judge what a client asks of the authorize endpoint.

        Args:
            pairs: the parameters.

        Raises:
            UntrustedRequestError: nothing may be redirected.
            RedirectedError: the client is told so.
        """
        return judged(pairs, self._directory.clients)

    def sign_in(self, request: AuthorizationRequest, username: str, password: str = "") -> str | None:
        """
        Sign a user in.

        Args:
            request: what the client asked for.
            username: who it is.
            password: what the user typed.

        Returns:
            Where to send the browser, with a code or tokens; None for nobody the pool knows by this password.
        """
        user = self._directory.users.get(username)
        if user is None or not user.is_password(password):
            return None
        session = Session(
            username=username,
            client_id=request.client.client_id,
            scopes=request.scopes,
            resource=request.resource,
            auth_time=self._clock(),
            origin_jti=self._mint.new_id(),
            event_id=self._mint.new_id(),
        )
        if request.response_type == "token":
            tokens = _response(self._tokens(session, request.nonce))
            return request.answered({name: str(value) for name, value in tokens.items()})
        code = self._mint.new_id()
        redeemable = Redeemable(
            session=session,
            redirect_uri=request.redirect_uri,
            code_challenge=request.code_challenge,
            nonce=request.nonce,
        )
        self._sessions.keep_code(code, redeemable)
        return request.answered({"code": code})

    def token(self, form: Form, client_id: str, client_secret: str | None) -> dict[str, str | int]:
        """
        Answer a token request.

        Args:
            form: its parameters.
            client_id: what the client calls itself.
            client_secret: what it knows, or None.

        Raises:
            TokenRequestError: the request is refused.
        """
        grant_type = form.get("grant_type")
        if grant_type == "client_credentials":
            token = self.client_credentials(client_id, client_secret, form.get("scope", "").split())
            return _response({"access_token": token})
        if grant_type == "authorization_code":
            return self._redeem(form, self._code_client(client_id, client_secret))
        if grant_type == "refresh_token":
            return self._refresh(form, self._code_client(client_id, client_secret))
        raise TokenRequestError("invalid_request" if grant_type is None else "unsupported_grant_type")

    def client_credentials(self, client_id: str, client_secret: str | None, scopes: Sequence[str] = ()) -> str:
        """
        Grant a machine's access token.

        Args:
            client_id: what the client calls itself.
            client_secret: what it knows.
            scopes: what it asks for; nothing means all it may have.

        Raises:
            TokenRequestError: the request is refused.
        """
        client = self._directory.clients.get(client_id)
        if client is None:
            raise TokenRequestError("invalid_client")
        if client.client_secret is None or not client.scopes:
            raise TokenRequestError("unauthorized_client")
        if not client.is_secret(client_secret):
            raise TokenRequestError("invalid_client")
        asked = tuple(dict.fromkeys(scopes)) or client.scopes
        if not set(asked) <= set(self._directory.scopes):
            raise TokenRequestError("invalid_scope")
        if not set(asked) <= set(client.scopes):
            raise TokenRequestError("invalid_grant")
        return self._mint.client_token(client_id=client_id, scopes=asked)

    def revoke(self, form: Form, client_id: str, client_secret: str | None) -> None:
        """
        End the session that a refresh token continues; a token that nobody knows is no error (RFC 7009 §2.2).

        Raises:
            TokenRequestError: the request is refused.
        """
        client = self._authenticated(client_id, client_secret)
        if "token" not in form:
            raise TokenRequestError("invalid_request")
        if form["token"].count(".") == _JWS_SEGMENTS - 1:
            raise TokenRequestError("unsupported_token_type")
        session = self._sessions.find(form["token"])
        if session is None:
            return
        if session.client_id != client.client_id:
            raise TokenRequestError("invalid_grant")
        self._sessions.revoke(session.origin_jti)

    def user_info(self, access_token: str) -> dict[str, object]:
        """
        Tell about the user of an access token; all values are strings, as Cognito has them.

        Raises:
            UserInfoError: the token is not good for this.
        """
        try:
            principal = self._verify(access_token)
        except CognitoGuardError as cause:
            raise _dead_token() from cause
        if self._sessions.is_revoked(principal.origin_jti):
            raise _dead_token()
        if "openid" not in principal.scopes or principal.username is None:
            raise UserInfoError("Access token does not contain openid scope")
        return {"sub": principal.subject, **self._about(principal.username, principal.scopes)}

    def logout(self, pairs: Pairs) -> str | None:
        """
        Return where a signed-out browser goes, or None where it has to sign in anew.

        Raises:
            UntrustedRequestError: the client is unknown, or the URI not one of its own.
        """
        given = {name: value for name, value in pairs if value}
        client = self._directory.clients.get(given.get("client_id", ""))
        if client is None:
            raise UntrustedRequestError("This app client does not exist.")
        if "logout_uri" not in given and "redirect_uri" in given:
            return None
        if given.get("logout_uri") not in client.logout_urls:
            raise UntrustedRequestError("The sign-out URI is none of the app client's sign-out URLs.")
        return given["logout_uri"]

    def _redeem(self, form: Form, client: AppClient) -> dict[str, str | int]:
        if "code" not in form or "redirect_uri" not in form:
            raise TokenRequestError("invalid_request")
        redeemed = self._sessions.take_code(form["code"])
        if redeemed is None or redeemed.session.client_id != client.client_id:
            raise TokenRequestError("invalid_grant")
        session = redeemed.session
        is_late = self._clock() >= session.auth_time + _CODE_LIFETIME
        if is_late or form["redirect_uri"] != redeemed.redirect_uri:
            raise TokenRequestError("invalid_grant")
        # A verifier without a challenge is refused too: somebody may have taken the challenge away (RFC 9700 §2.1.1).
        if _challenge_of(form.get("code_verifier")) != redeemed.code_challenge:
            raise TokenRequestError("invalid_grant")
        refresh_token = self._mint.refresh_token()
        self._sessions.keep(refresh_token, session)
        return _response({**self._tokens(session, redeemed.nonce), "refresh_token": refresh_token})

    def _refresh(self, form: Form, client: AppClient) -> dict[str, str | int]:
        if "refresh_token" not in form:
            raise TokenRequestError("invalid_request")
        session = self._sessions.find(form["refresh_token"])
        if session is None or session.client_id != client.client_id:
            raise TokenRequestError("invalid_grant")
        if self._clock() >= session.auth_time + _REFRESH_LIFETIME:
            raise TokenRequestError("invalid_grant")
        rotated: dict[str, str] = {}
        if client.rotates_refresh_tokens:
            rotated["refresh_token"] = self._mint.refresh_token()
            if not self._sessions.replace(form["refresh_token"], rotated["refresh_token"]):
                raise TokenRequestError("invalid_grant")
        # OpenID Connect Core §12.2: a refreshed ID token has no nonce.
        return _response({**self._tokens(session, nonce=None), **rotated})

    def _authenticated(self, client_id: str, client_secret: str | None) -> AppClient:
        client = self._directory.clients.get(client_id)
        if client is None or not client.is_secret(client_secret):
            raise TokenRequestError("invalid_client")
        return client

    def _code_client(self, client_id: str, client_secret: str | None) -> AppClient:
        client = self._authenticated(client_id, client_secret)
        if "code" not in client.flows:
            raise TokenRequestError("unauthorized_client")
        return client

    def _tokens(self, session: Session, nonce: str | None) -> dict[str, str]:
        """Mint what a session yields: an access token, and an ID token where `openid` was granted."""
        access_token = self._mint.access_token(
            username=session.username,
            scopes=session.scopes,
            client_id=session.client_id,
            auth_time=session.auth_time,
            origin_jti=session.origin_jti,
            from_oauth_endpoint=True,
            audience=session.resource,
            event_id=session.event_id,
        )
        if "openid" not in session.scopes:
            return {"access_token": access_token}
        shows_all = shows_all_attributes(session.scopes)
        id_token = self._mint.id_token(
            username=session.username,
            email=None if shows_all or "email" in session.scopes else ABSENT,
            attributes=None if shows_all else {},
            client_id=session.client_id,
            auth_time=session.auth_time,
            origin_jti=session.origin_jti,
            at_hash=at_hash(access_token),
            event_id=session.event_id,
            nonce=ABSENT if nonce is None else nonce,
        )
        return {"id_token": id_token, "access_token": access_token}

    def _about(self, username: str, scopes: frozenset[str]) -> dict[str, object]:
        shows_all = shows_all_attributes(scopes)
        about: dict[str, object] = {"username": username}
        email = self._mint.email(username)
        if email is not ABSENT and (shows_all or "email" in scopes):
            about |= {"email": email, "email_verified": "true"}
        if shows_all and username in self._directory.users:
            about |= custom_attributes(self._directory.users[username].attributes)
        return about


def _response(tokens: Mapping[str, str]) -> dict[str, str | int]:
    return {**tokens, "expires_in": TOKEN_LIFETIME, "token_type": "Bearer"}


def _challenge_of(code_verifier: str | None) -> str | None:
    """Return the challenge that a code verifier answers (RFC 7636 §4.6)."""
    return None if code_verifier is None else base64url(sha256(code_verifier.encode()).digest())


def _dead_token() -> UserInfoError:
    return UserInfoError("Access token is expired, disabled, or deleted, or the user has globally signed out.")
