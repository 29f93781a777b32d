"""Claims that are missing, of another JSON type, or odd but good."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...errors import Reason
from ..claims import ABSENT
from .forge import Case, Forge

_STRINGS = (
    *("iss", "sub", "token_use", "client_id", "scope", "username", "cognito:username"),
    *("jti", "origin_jti", "acr"),
)
_NO_STRINGS: Mapping[str, object] = {"null": None, "number": 1, "true": True, "list": ["text"], "object": {"a": "b"}}
_LISTS = ("cognito:groups", "amr")
_NO_LISTS: Mapping[str, object] = {
    "null": None,
    "string": "admin",
    "number": 1,
    "object": {"admin": True},
    "list-with-null": ["admin", None],
    "list-with-number": ["admin", 1],
    "list-within": [["admin"]],
}
_NO_TIMES: Mapping[str, object] = {
    "null": None,
    "string": "1700000000",
    "true": True,
    "fraction": 1_700_000_000.0,
    "negative": -1,
    "beyond-2-53": 2**53 + 1,
    "list": [1_700_000_000],
    "object": {},
}
_NO_ACTORS: Mapping[str, object] = {"null": None, "string": "actor", "true": True, "list": [{"sub": "actor"}]}
_NO_AUDIENCES: Mapping[str, object] = {
    "null": None,
    "number": 1,
    "true": True,
    "object": {"aud": "x"},
    "empty": "",
    "empty-list": [],
    "list-with-empty": [""],
    "list-with-number": [1],
    "list-within": [["x"]],
}
_REQUIRED = ("iss", "sub", "token_use", "client_id", "exp", "iat")
_OPTIONAL = ("username", "scope", "jti", "origin_jti", "event_id", "auth_time")
_CONFIRMATIONS: Mapping[str, object] = {
    "dpop": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"},
    "mtls": {"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"},
    "empty": {},
    "null": None,
    "string": "key",
}

_GOOD: Mapping[str, tuple[Mapping[str, object], str]] = {
    "genuine": ({}, "Nothing is wrong with it: what refuses this one refuses all."),
    "groups-of-odd-names": (
        {"cognito:groups": ["a,b", "[c]", "d/e:f", '"g"', "é\u0301", "\U0001f511", "\u202eadmin", "'; --", "\\"]},
        "Group names are any letters, marks, symbols, numbers and punctuation.",
    ),
    "groups-empty": ({"cognito:groups": []}, "In no group; Cognito would leave the claim out."),
    "groups-repeated": ({"cognito:groups": ["admin", "admin"]}, "One group, though it stands there twice."),
    "groups-many": ({"cognito:groups": [f"group-{n}" for n in range(100)]}, "As many as a user may be in."),
    "groups-and-roles": (
        {"cognito:groups": ["a"], "cognito:roles": ["arn:aws:iam::1:role/a"], "cognito:preferred_role": None},
        "Roles are for identity pools, and nobody's business here.",
    ),
    "scope-empty": ({"scope": ""}, "No scope at all: authentic, and allowed nothing."),
    "scope-of-blanks": ({"scope": "  "}, "The same with blanks."),
    "scope-with-blanks-around": ({"scope": "  openid   email "}, "Two scopes with blanks around them."),
    "scope-with-odd-white-space": ({"scope": "openid\tadmin\nroot"}, "One odd scope: only blanks separate."),
    "scope-with-urls": ({"scope": "https://api.example.com/v1/read api/*"}, "Identifiers may be URLs."),
    "username-odd": ({"username": "Google_1|é\U0001f511'\"<b>&"}, "User names are any printable characters."),
    "username-with-line-break": ({"username": "jane\r\nSet-Cookie: a=b"}, "Nothing may be done with it unescaped."),
    "subject-no-uuid": ({"sub": "not a UUID"}, "AWS says not to validate the format of `sub`."),
    "version-odd": ({"version": "2.0", "event_id": 17, "device_key": []}, "Claims that are not read have any type."),
    "acr-and-amr": (
        {"acr": "urn:cognito:loa:3", "amr": ["pwd", "swk", "mfa"], "nonce": "n", "azp": "x"},
        "Authentication context, as newer pools tell it.",
    ),
    "delegated": ({"act": {"sub": "agent", "act": {"sub": "another"}}}, "Delegated twice (RFC 8693 §4.1)."),
    "actor-empty": ({"act": {}}, "An actor without a name: a route that asks for one will refuse it."),
    "custom-claims": (
        {"custom:tenant": "1", "dev:custom:x": "y", "roles": ["admin"], "https://example.com/claim": {"a": [1, None]}},
        "A trigger adds any claim.",
    ),
    "unknown-of-other-systems": (
        {"realm_access": {"roles": ["admin"]}, "permissions": ["*"], "is_admin": True, "active": False},
        "What other systems mean by a claim is not what a user pool means.",
    ),
    "times-in-other-claims": ({"updated_at": -1, "expires": 0, "not_before": 2**60}, "Only `exp` and `nbf` tell."),
    "100-claims": ({f"claim_{n}": n for n in range(100)}, "Unknown claims are never a reason to refuse."),
}


def claims(forge: Forge) -> Iterator[Case]:
    """Yield tokens with a genuine signature and one claim that is not as Cognito writes it."""
    for name in _REQUIRED:
        why = "Every access token has it; without it the token says too little."
        yield f"{_word(name)}-missing", forge.signed(claims={name: ABSENT}), Reason.MISSING_CLAIM, why
    for name in _OPTIONAL:
        why = "Some flows of Cognito leave it out."
        yield f"{_word(name)}-missing", forge.signed(claims={name: ABSENT}), None, why
    for name, wrong in _wrong_types().items():
        for kind, value in wrong.items():
            why = "The claim has another JSON type than Cognito documents, and may be taken for something it is not."
            yield f"{_word(name)}-{kind}", forge.signed(claims={name: value}), Reason.MALFORMED_CLAIM, why
    yield "sub-empty", forge.signed(claims={"sub": ""}), Reason.MALFORMED_CLAIM, "A caller without a name."
    for name, value in _CONFIRMATIONS.items():
        why = "Bound to a key: as a plain bearer token it may be stolen goods (RFC 9449 §7.1)."
        yield f"cnf-{name}", forge.signed(claims={"cnf": value}), Reason.SENDER_CONSTRAINED, why
    for name, (changes, why) in _GOOD.items():
        yield name, forge.signed(claims=changes), None, why


def _wrong_types() -> Mapping[str, Mapping[str, object]]:
    return {
        **dict.fromkeys(_STRINGS, _NO_STRINGS),
        **dict.fromkeys(_LISTS, _NO_LISTS),
        **dict.fromkeys(("exp", "iat", "nbf", "auth_time"), _NO_TIMES),
        "act": _NO_ACTORS,
        "aud": _NO_AUDIENCES,
    }


def _word(claim: str) -> str:
    return claim.replace(":", "-").replace("_", "-")
