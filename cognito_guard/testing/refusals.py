"""
How the endpoints of a fake user pool say no.

It imports nothing of ours, so that every module here can import it.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

TokenErrorCode: TypeAlias = Literal[
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "invalid_scope",
    "unauthorized_client",
    "unsupported_grant_type",
    "unsupported_token_type",
]


class TokenRequestError(Exception):
    """
    Say no to a token or a revocation request.

    Attributes:
        code: the error code of RFC 6749 §5.2 or RFC 7009 §2.2.1, as Cognito chooses it.
    """

    def __init__(self, code: TokenErrorCode) -> None:
        super().__init__(code)
        self.code: TokenErrorCode = code


class UserInfoError(Exception):
    """Say no to a request for what is known of a user; the message is Cognito's."""


class UntrustedRequestError(Exception):
    """Show the person what is wrong: there is no redirect URI that could be trusted (RFC 6749 §4.1.2.1)."""


class RedirectedError(Exception):
    """
    Tell the client what is wrong, by way of the browser.

    Attributes:
        location: the redirect URI with the error in its query.
    """

    def __init__(self, location: str) -> None:
        super().__init__("the authorization request is refused")
        self.location = location
