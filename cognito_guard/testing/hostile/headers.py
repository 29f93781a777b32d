"""Header parameters that change what a token is, and those that only look as if they did."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from ...errors import Reason
from ..keys import base64url
from .forge import Case, Forge, json_text, rs256, with_signature

_REASON = Reason.UNSUPPORTED_HEADER

_CRITICAL: dict[str, object] = {
    "known-claim": ["exp"],
    "known-parameter": ["alg"],
    "unknown": ["https://example.com/must-be-understood"],
    "empty": [],
    "null": None,
    "string": "b64",
}
_TYPES: dict[str, object] = {
    "jwe": "JWE",
    "jose": "JOSE",
    "jws": "JWS",
    "dpop-proof": "dpop+jwt",
    "logout-token": "logout+jwt",
    "security-event": "secevent+jwt",
    "client-assertion": "client-authentication+jwt",
    "sd-jwt": "dc+sd-jwt",
    "jwt-with-a-blank": "JWT ",
    "jwt-with-nul": "JWT\0",
    "empty": "",
    "null": None,
    "number": 1,
    "list": ["JWT"],
}
_GOOD: dict[str, tuple[dict[str, object], str]] = {
    "typ-jwt": ({"typ": "JWT"}, "RFC 7519 §5.1 recommends it, though Cognito leaves it out."),
    "typ-in-lower-case": ({"typ": "jwt"}, "Media types know no case."),
    "typ-jwt-in-full": ({"typ": "application/jwt"}, "The same with its prefix (RFC 7515 §4.1.9)."),
    "typ-access-token": ({"typ": "at+jwt"}, "What RFC 9068 §2.1 calls an access token."),
    "typ-access-token-in-full": ({"typ": "application/at+jwt"}, "The same with its prefix."),
    "typ-access-token-in-upper-case": ({"typ": "AT+JWT"}, "Media types know no case."),
    "unknown-parameter": ({"x-version": {"of": [1, 2]}}, "What is not understood is ignored (RFC 7515 §4)."),
    "crit-in-upper-case": ({"CRIT": ["exp"]}, "Names are case-sensitive: this is an unknown parameter."),
    "claims-repeated": ({"iss": "https://attacker.example", "exp": 0}, "Claims count in the payload alone."),
}


def headers(forge: Forge) -> Iterator[Case]:
    """Yield tokens with a genuine signature over a header that must be refused, or is odd but good."""
    for name, value in _CRITICAL.items():
        why = "`crit` names what must be understood, and nothing is (RFC 7515 §4.1.11)."
        yield f"crit-{name}", forge.signed({"crit": value}), _REASON, why
    yield from _payloads(forge)
    for name, value in _TYPES.items():
        why = "Another kind of token, or none: kinds must not be mixed up (RFC 8725 §3.11)."
        yield f"typ-{name}", forge.signed({"typ": value}), _REASON, why
    for name, (parameters, why) in _GOOD.items():
        yield name, forge.signed(parameters), None, why
    backwards = json_text(dict(reversed(forge.header.items())))
    yield "in-another-order", forge.signed(backwards), None, "The order of members means nothing."


def _payloads(forge: Forge) -> Iterator[Case]:
    """Yield tokens whose header says that the payload is not base64url of JSON."""
    detached = base64url(forge.header_text({"b64": False, "crit": ["b64"]}))
    signature = rs256(forge.key, f"{detached}.{forge.payload().decode()}")
    why = "An unencoded payload that is elsewhere (RFC 7797 §7 forbids it for JWTs)."
    yield "b64-false", with_signature(f"{detached}.", signature), _REASON, why
    why = "The same with the payload there, for who overlooks `crit`."
    yield "b64-false-critical", forge.signed({"b64": False, "crit": ["b64"]}), _REASON, why
    yield "b64-false-alone", forge.signed({"b64": False}), _REASON, "The same without `crit`."
    yield "b64-true", forge.signed({"b64": True, "crit": ["b64"]}), _REASON, "`crit` that changes nothing is `crit`."
    squeezed = zlib.compress(forge.payload(), wbits=-zlib.MAX_WBITS)
    why = "A compressed payload may unpack to anything (CVE-2024-33664)."
    yield "zip", forge.signed({"zip": "DEF"}, squeezed), _REASON, why
    yield "zip-of-nothing", forge.signed({"zip": "DEF"}), _REASON, "Said to be compressed, and is not."
    yield "enc", forge.signed({"enc": "A256GCM"}), _REASON, "A JWE's parameter in a JWS."
    nested = forge.signed({"cty": "JWT"}, forge.signed().encode())
    yield "cty-nested", nested, _REASON, "A token within a token, which Cognito never issues (RFC 7519 §5.2)."
    yield "cty-not-nested", forge.signed({"cty": "JWT"}), _REASON, "Said to be nested, and is not."
