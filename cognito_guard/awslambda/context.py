"""What an authorizer tells the function behind it, which may be texts, numbers and booleans alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..principal import Principal
from .texts import joined


def flat_context(principal: Principal) -> dict[str, str | int]:
    """Return what is known of a caller, for `gateway_caller` to read and for mapping templates and access logs."""
    members = {
        "sub": principal.subject,
        "user_pool_id": principal.user_pool_id,
        "token_use": principal.token_use,
        "client_id": principal.client_id,
        "username": principal.username,
        "scope": " ".join(sorted(principal.scopes)),
        "groups": joined(principal.groups),
        "exp": principal.expires_at,
    }
    return {name: value for name, value in members.items() if value is not None}


def claims_in(context: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the claims in a context that `flat_context` made, or nothing for any other."""
    if not context.keys() >= {"sub", "user_pool_id", "token_use", "groups"}:
        return {}
    return {**context, "cognito:groups": context["groups"]}
