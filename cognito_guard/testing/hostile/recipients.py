"""Genuine tokens that were meant for somebody else: another app client, another API, another use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...errors import Reason
from ..claims import ABSENT
from .forge import DAY, Case, Forge, swapped_last


def recipients(forge: Forge) -> Iterator[Case]:
    """Yield tokens with nothing wrong but whom or what they are for, and some that are right in an odd way."""
    for name, client_id in _other_clients(forge.pool.client_id).items():
        why = "Every app client of the pool has tokens that its keys sign; client IDs are compared byte for byte."
        yield f"client-{name}", forge.signed(claims={"client_id": client_id}), Reason.WRONG_CLIENT, why
    token = forge.signed(claims={"client_id": "anotherclient", "aud": forge.pool.client_id})
    yield "client-other-with-our-audience", token, Reason.WRONG_CLIENT, "`aud` does not stand in for `client_id`."
    token = forge.signed(claims={"client_id": "anotherclient", "azp": forge.pool.client_id})
    yield "client-other-with-our-azp", token, Reason.WRONG_CLIENT, "`azp` does not stand in for `client_id`."
    for name, audience in _other_audiences(forge).items():
        why = "Bound to another API, whose owner could replay it here (RFC 8707, RFC 9700 §4.10.2)."
        yield f"audience-{name}", forge.signed(claims={"aud": audience}), Reason.WRONG_AUDIENCE, why
    yield from _other_uses(forge)
    yield from _good(forge)


def _other_clients(client_id: str) -> Mapping[str, str]:
    return {
        "other": "anotherclient",
        "empty": "",
        "in-upper-case": f"{client_id[:-1]}x".upper(),
        "swapped-last": swapped_last(client_id),
        "cut-short": client_id[:-1],
        "longer": f"{client_id}1",
        "with-a-blank": f"{client_id} ",
        "with-nul": f"{client_id}\0",
        "full-width": f"{client_id[:-1]}{chr(ord(client_id[-1]) + 0xFEE0)}",
        "among-others": f"anotherclient {client_id}",
        "among-others-with-a-comma": f"{client_id},anotherclient",
        "json-list": f'["{client_id}"]',
        "wildcard": "*",
        "any-client": "ANY_CLIENT",
        "null-text": "null",
        "arn": f"arn:aws:cognito-idp:eu-west-1:000000000000:client/{client_id}",
    }


def _other_audiences(forge: Forge) -> Mapping[str, object]:
    return {
        "other-api": "https://other-api.example.com",
        "other-client": "anotherclient",
        "list-of-others": ["https://other-api.example.com", "anotherclient"],
        "issuer": forge.pool.issuer,
        "pool": forge.pool.user_pool_id,
        "cut-short": forge.pool.client_id[:-1],
        "longer": f"{forge.pool.client_id}1",
        "wildcard": "*",
        "with-a-comma": f"{forge.pool.client_id},https://other-api.example.com",
    }


def _other_uses(forge: Forge) -> Iterator[Case]:
    reason = Reason.WRONG_TOKEN_USE
    token = forge.pool.id_token(expires_in=DAY)
    yield "id-token", token, reason, "An ID token tells a client who signed in; it opens no API."
    yield "id-token-of-a-group", forge.pool.id_token(groups=["admin"], expires_in=DAY), reason, "The same, with rights."
    token = forge.pool.id_token(expires_in=DAY, scope="admin", client_id=forge.pool.client_id)
    yield "id-token-with-scopes", token, reason, "An ID token that a trigger gave scopes."
    for name, use in _USES.items():
        why = "`token_use` says what a token is for, byte for byte; nothing else does."
        yield f"use-{name}", forge.signed(claims={"token_use": use}), reason, why
    token = forge.signed({"typ": "at+jwt"}, {"token_use": "id", "token_type": "access"})
    yield "use-id-but-typ-of-access", token, reason, "`typ` does not stand in for `token_use`."
    signed_by_id_key = forge.signed({"kid": forge.pool.id_key.kid}, {"token_use": "id"}, forge.pool.id_key)
    yield "use-id-in-an-access-token", signed_by_id_key, reason, "The shape of one kind and the use of the other."


_USES = {
    "empty": "",
    "id": "id",
    "refresh": "refresh",
    "in-upper-case": "ACCESS",
    "capitalised": "Access",
    "with-a-blank": "access ",
    "with-nul": "access\0",
    "both": "access id",
    "both-with-a-comma": "access,id",
    "prefix": "acc",
    "longer": "access_token",
    "full-width": "\uff41ccess",
}


def _good(forge: Forge) -> Iterator[Case]:
    client_id, pool = forge.pool.client_id, forge.pool
    token = forge.signed(claims={"aud": client_id})
    yield "audience-of-our-client", token, None, "A trigger may set `aud` to the client ID."
    token = forge.signed(claims={"aud": ["https://other-api.example.com", client_id]})
    yield "audience-among-others", token, None, "One of several is us (RFC 7519 §4.1.3)."
    token = pool.client_token(client_id=client_id, scopes=["api/read"], expires_in=DAY)
    yield "machine", token, None, "No user, no groups: the client speaks for itself."
    token = pool.access_token(from_oauth_endpoint=True, scopes=["openid", "email"], expires_in=DAY)
    yield "managed-login", token, None, "As the managed login yields it."
    token = pool.delegated_token("agent", expires_in=DAY)
    yield "delegated", token, None, "An agent acts for a user; a route may forbid that."
    token = forge.signed(claims={"username": ABSENT, "sub": client_id})
    yield "user-named-as-the-client", token, None, "A caller that looks like a machine has no right of a user."
    token = forge.signed(claims={"token_use": "access", "cognito:username": "jane", "email": "jane@example.com"})
    yield "access-token-with-claims-of-an-id-token", token, None, "Claims do not say what a token is for."
