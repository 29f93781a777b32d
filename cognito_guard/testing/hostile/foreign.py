"""Tokens of other kinds and other makers, which clients send by mistake or in the hope that nobody looks."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping
from hashlib import sha256
from urllib.parse import quote

from ...errors import Reason
from ..claims import ABSENT
from ..keys import base64url
from .algorithms import es256
from .forge import DAY, Case, Forge, json_text, with_signature

_UUID = "01234567-89ab-4cde-8f01-23456789abcd"
_OPAQUE = base64url(sha256(b"opaque").digest())

# Each of them is text that nobody here can read.
_TEXTS: Mapping[str, str] = {
    "authorization-code": _UUID,
    "opaque-token": _OPAQUE,
    "paseto": f"v4.public.{_OPAQUE * 3}",
    "macaroon": f"MDAx{_OPAQUE}",
    "api-key": f"sk_live_{_OPAQUE}",
    "github-token": f"ghp_{_OPAQUE[:36]}",
    "basic-credentials": "amFuZTpzZWNyZXQ=",
    "aws-signature": "AWS4-HMAC-SHA256",
    "presigned-url": f"k8s-aws-v1.{_OPAQUE}",
    "saml-assertion": quote("PHNhbWw6QXNzZXJ0aW9uLz4=", safe=""),
    "pem": "-----BEGIN-PUBLIC-KEY-----",
    "django-session": f"{_UUID}:1abcde:{_OPAQUE}",
}


def foreign_tokens(forge: Forge) -> Iterator[Case]:
    """Yield tokens that are genuine somewhere, and nothing here."""
    for name, text in _TEXTS.items():
        yield name, text, Reason.MALFORMED_TOKEN, "Good elsewhere; no JWS of a user pool."
    yield from _encrypted(forge)
    yield from _of_aws(forge)
    yield from _of_others(forge)


def _encrypted(forge: Forge) -> Iterator[Case]:
    reason = Reason.ENCRYPTED_TOKEN
    yield "refresh-token", forge.pool.refresh_token(), reason, "Clients mix them up; it must get into no log."
    direct = base64url(b'{"cty":"JWT","enc":"A256GCM","alg":"dir"}')
    token = f"{direct}..{_OPAQUE[:16]}.{_OPAQUE}.{_OPAQUE[:22]}"
    yield "jwe-without-a-key", token, reason, "A JWE with an empty segment is a JWE (RFC 7516 §7.1)."
    yield "jwe-of-nothing", "....", reason, "Five segments, all of them empty."


def _of_aws(forge: Forge) -> Iterator[Case]:
    identity = {"aud": f"eu-west-1:{_UUID}", "sub": f"eu-west-1:{_UUID}", "amr": ["authenticated"]}
    identity_issuer = "https://cognito-identity.amazonaws.com"
    lacking: dict[str, object] = dict.fromkeys(("client_id", "token_use", "scope", "username"), ABSENT)
    claims = {**lacking, **identity, "iss": identity_issuer}
    token = forge.signed({"kid": "eu-west-11", "typ": "JWS", "alg": "RS512"}, claims, forge.stranger)
    yield "identity-pool-token", token, Reason.UNSUPPORTED_ALGORITHM, "One issuer for every AWS customer, and RS512."
    token = forge.signed({"kid": forge.stranger.kid}, claims, forge.stranger)
    yield "identity-pool-token-of-rs256", token, Reason.WRONG_ISSUER, "The same, had it the right algorithm."
    why = "`x-amzn-oidc-data`: padded, ES256, with keys of every customer's load balancers."
    yield "load-balancer-token", _load_balancer_token(forge), Reason.MALFORMED_TOKEN, why


def _load_balancer_token(forge: Forge) -> str:
    header = {
        "typ": "JWT",
        "kid": _UUID,
        "alg": "ES256",
        "iss": forge.pool.issuer,
        "client": forge.pool.client_id,
        "signer": "arn:aws:elasticloadbalancing:eu-west-1:000000000000:loadbalancer/app/alb/0123456789abcdef",
        "exp": forge.now + DAY,
    }
    user = {"sub": forge.claims["sub"], "username": "jane", "exp": forge.now + DAY, "iss": forge.pool.issuer}
    signing_input = ".".join(map(_padded, (header, user)))
    return f"{with_signature(signing_input, es256(signing_input.encode()))}=="


def _padded(part: Mapping[str, object]) -> str:
    """Encode with padding, for which a blank after the JSON makes room."""
    text = json_text(part)
    segment = base64url(text if len(text) % 3 else text + b" ")
    return segment + "=" * (-len(segment) % 4)


def _of_others(forge: Forge) -> Iterator[Case]:
    google = {"iss": "https://accounts.google.com", "azp": forge.pool.client_id, "aud": forge.pool.client_id}
    token = forge.signed({"kid": forge.stranger.kid, "typ": "JWT"}, google, forge.stranger)
    yield "google-id-token", token, Reason.WRONG_ISSUER, "What the pool federates with is not the pool."
    signing_input = forge.unsigned({"typ": "JWT", "alg": "HS512"}, {"token_use": "refresh"})
    token = with_signature(signing_input, hmac.digest(b"secret", signing_input.encode(), "sha512"))
    yield "refresh-token-of-hs512", token, Reason.UNSUPPORTED_ALGORITHM, "Tutorials issue such; Cognito never does."
    proof = {"typ": "dpop+jwt", "alg": "ES256", "jwk": {"kty": "EC", "crv": "P-256", "x": _OPAQUE, "y": _OPAQUE}}
    signing_input = forge.unsigned(proof, {"htm": "GET", "htu": "https://api.example.com/", "iat": forge.now})
    token = with_signature(signing_input, es256(signing_input.encode()))
    yield "dpop-proof", token, Reason.UNSUPPORTED_ALGORITHM, "A proof of a key is no token (RFC 9449 §4.2)."
    assertion = {"iss": forge.pool.client_id, "sub": forge.pool.client_id, "aud": forge.pool.issuer}
    token = forge.signed({"kid": forge.stranger.kid}, assertion, forge.stranger)
    yield "client-assertion", token, Reason.WRONG_ISSUER, "What a client shows the token endpoint (RFC 7523 §2.2)."
    session = f"{base64url(json_text({'user': 'jane'}))}.Zm9vYg.{_OPAQUE[:27]}"
    yield "flask-session", session, Reason.UNSUPPORTED_ALGORITHM, "Three segments, the first of them JSON."
    logout: dict[str, object] = {
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        "sub": forge.claims["sub"],
    }
    token = forge.signed({"typ": "logout+jwt"}, logout)
    yield "logout-token", token, Reason.UNSUPPORTED_HEADER, "Signed by the same keys, and means the opposite."
