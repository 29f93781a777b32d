"""Who an identity pool says the caller is, where API Gateway authorizes by IAM."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .shapes import Event, member, not_for_us

# The provider's name twice: for the sign-in, and once more before the user's id there.
_USER_POOL_LOGIN = re.compile(
    r"(cognito-idp\.[a-z0-9-]+\.amazonaws\.(?:com(?:\.cn)?|eu)/([\w-]+_[0-9a-zA-Z]+)),\1:CognitoSignIn:([^\s,:]+)",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayIdentity:
    """
    Hold the identity whose signature (SigV4) API Gateway has checked; true if nobody else can invoke the function.

    Attributes:
        identity_id: in the identity pool.
        identity_pool_id: the identity pool.
        is_authenticated: False for a guest.
        user_pool_id: the user pool that the user signed in to; None for a guest and for any other provider.
        subject: the user's `sub` there, or None.
    """

    identity_id: str = field(repr=False)
    identity_pool_id: str
    is_authenticated: bool
    user_pool_id: str | None = None
    subject: str | None = field(default=None, repr=False)


def gateway_identity(event: Event) -> GatewayIdentity | None:
    """
    Return the identity that a REST API asserts, or None where the caller has none: a plain IAM user, or nobody.

    Raises:
        ConfigurationError: an event of another shape.
    """
    identity = member(event, "requestContext", "identity")
    names = ("cognitoIdentityId", "cognitoIdentityPoolId", "cognitoAuthenticationType")
    given = [identity.get(name) for name in names]
    if given == [None] * len(names):
        return None
    identity_id, pool_id, kind = given
    if not isinstance(identity_id, str) or not isinstance(pool_id, str):
        raise not_for_us()
    if kind not in ("authenticated", "unauthenticated"):
        raise not_for_us()
    provider = identity.get("cognitoAuthenticationProvider")
    login = _USER_POOL_LOGIN.fullmatch(provider) if kind == "authenticated" and isinstance(provider, str) else None
    return GatewayIdentity(
        identity_id=identity_id,
        identity_pool_id=pool_id,
        is_authenticated=kind == "authenticated",
        user_pool_id=login and login[2],
        subject=login and login[3],
    )
