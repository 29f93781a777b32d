"""JSON: what parsers read differently, what is none, and what is odd but JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...errors import Reason
from .forge import DAY, Case, Forge, json_text

_REASON = Reason.MALFORMED_TOKEN
_DEPTH = 32

# As a claim nobody knows.
_NO_VALUES = {
    "nan": b"NaN",
    "infinity": b"Infinity",
    "minus-infinity": b"-Infinity",
    "undefined": b"undefined",
    "python-literal": b"None",
    "hexadecimal": b"0x10",
    "leading-zero": b"010",
    "plus-sign": b"+1",
    "no-digit-before-the-point": b".5",
    "no-digit-behind-the-point": b"1.",
    "number-of-5000-digits": b"9" * 5000,
    "single-quotes": b"'text'",
    "line-break-in-a-string": b'"a\nb"',
    "nul-in-a-string": b'"a\0b"',
    "unknown-escape": b'"\\x41"',
    "cut-escape": b'"\\u00"',
    "lone-surrogate": b'"\\ud800"',
    "lone-low-surrogate": b'"\\udc00"',
    "surrogates-in-wrong-order": b'"\\udc00\\ud800"',
    "surrogate-in-utf-8": b'"\xed\xa0\x80"',
    "overlong-utf-8": b'"\xc0\xae"',
    "latin-1": b'"\xe9"',
    "member-twice-within": b'{"a":1,"a":2}',
    "nested-too-deep": b"[" * _DEPTH + b"]" * _DEPTH,
    "nested-2000-deep": b"[" * 2000 + b"]" * 2000,
    "brackets-not-closed": b"[" * 2000,
    "number-beyond-doubles": b"1e400",
    "trailing-comma": b"[1,]",
    "comment": b"1/**/",
}
_GOOD_VALUES = {
    "nested-as-deep-as-may-be": b"[" * (_DEPTH - 1) + b"]" * (_DEPTH - 1),
    "brackets-in-a-string": b'"' + b"[{" * 200 + b'"',
    "64-bit-number": b"9223372036854775807",
    "largest-double": b"1.79e308",
    "number-of-400-digits": b"9" * 400,
    "minus-zero": b"-0",
    "small-fraction": b"1e-400",
    "surrogate-pair": b'"\\ud83d\\ude00"',
    "emoji": '"\U0001f600"'.encode(),
    "escaped-nul": b'"a\\u0000b"',
    "escaped-slash": b'"\\/"',
    "null": b"null",
    "mixed-list": b'[1,"a",null,{"b":[]}]',
    "member-twice-at-two-levels": b'{"odd":{"exp":0,"iss":"x"}}',
}
_GOOD_NAMES = {
    "empty-name": b'"":1',
    "proto": b'"__proto__":{"isAdmin":true},"constructor":{"prototype":{"isAdmin":true}}',
    "name-in-another-case": b'"EXP":0,"Iss":"https://attacker.example","Token_Use":"id"',
    "name-with-a-blank": b'"exp ":0," iss":"https://attacker.example"',
    "name-with-nul": b'"exp\\u0000":0',
    "look-alike-name": b'"\\u0435xp":0,"\\u0456ss":"https://attacker.example"',
}
_PAYLOADS = {
    "list": b"[]",
    "list-of-claims": b"[%s]",
    "string": b'"claims"',
    "number": b"1",
    "null": b"null",
    "true": b"true",
    "blanks": b"   ",
    "text": b"not JSON at all",
    "null-bytes": bytes(64),
    "trailing-garbage": b"%s x",
    "trailing-brace": b"%s}",
    "two-objects": b"%s%s",
    "two-lines": b"%s\n%s",
    "leading-comma": b",%s",
    "vertical-tab-before": b"\v%s",
    "no-break-space-after": b"%s\xc2\xa0",
    "comment-before": b"/* claims */%s",
    "comment-after": b"%s// claims",
    "xssi-prefix": b")]}'\n%s",
    "byte-order-mark": b"\xef\xbb\xbf%s",
    "nul-after": b"%s\0",
}


def json_texts(forge: Forge) -> Iterator[Case]:
    """Yield tokens with a genuine signature over JSON that is wrong, or odd."""
    yield from _repeated(forge)
    yield from _whole_texts(forge)
    for name, value in _NO_VALUES.items():
        token = forge.signed(claims=_after(forge.payload(), b'"odd":' + value))
        yield name, token, _REASON, "No JSON that everybody reads alike (RFC 8259, RFC 7493 §2)."
    for name, value in _GOOD_VALUES.items():
        token = forge.signed(claims=_after(forge.payload(), b'"odd":' + value))
        yield name, token, None, "JSON; what nobody here knows is no reason to refuse (RFC 7519 §4)."
    for name, members in _GOOD_NAMES.items():
        token = forge.signed(claims=_after(forge.payload(), members))
        yield name, token, None, "A claim that nobody knows, with a name that only looks like one."


def _repeated(forge: Forge) -> Iterator[Case]:
    """Yield tokens with a member twice: which one counts, every parser decides for itself (RFC 7519 §4)."""
    for where, genuine, twice in (("header", forge.header_text(), _HEADERS), ("claims", forge.payload(), _evil(forge))):
        for name, member in twice.items():
            for order, text in (("first", _before(genuine, member)), ("last", _after(genuine, member))):
                token = forge.signed(text) if where == "header" else forge.signed(claims=text)
                why = "A member twice: what checks the token may read another one than what uses it."
                yield f"{where}-{name}-twice-evil-{order}", token, _REASON, why


_HEADERS = {
    "alg": b'"alg":"none"',
    "kid": b'"kid":"of-the-attacker"',
    "escaped-alg": b'"\\u0061lg":"HS256"',
}


def _evil(forge: Forge) -> Mapping[str, bytes]:
    return {
        "iss": b'"iss":"https://attacker.example"',
        "sub": b'"sub":"somebody-else"',
        "exp": b'"exp":%d' % (forge.now + 30 * DAY),
        "escaped-exp": b'"\\u0065xp":%d' % (forge.now + 30 * DAY),
        "token-use": b'"token_use":"id"',
        "client-id": b'"client_id":"anotherclient"',
        "scope": b'"scope":"admin"',
        "same-value": b'"token_use":"access"',
    }


def _whole_texts(forge: Forge) -> Iterator[Case]:
    header, claims = forge.header_text(), forge.payload()
    for name, template in _PAYLOADS.items():
        why = "A payload is one JSON object in UTF-8 and nothing else (RFC 7519 §7.2)."
        yield f"claims-{name}", forge.signed(claims=template.replace(b"%s", claims)), _REASON, why
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        why = "Some parsers guess the encoding; it is UTF-8 (RFC 7519 §7.2)."
        yield f"claims-in-{encoding}", forge.signed(claims=claims.decode().encode(encoding)), _REASON, why
    headers = {
        "list": b"[%s]" % header,
        "string": json_text(header.decode()),
        "null": b"null",
        "byte-order-mark": b"\xef\xbb\xbf" + header,
        "utf-16": header.decode().encode("utf-16"),
        "trailing-garbage": header + b"x",
        "nan": _after(header, b'"odd":NaN'),
        "nested-too-deep": _after(header, b'"odd":' + _NO_VALUES["nested-too-deep"]),
        "single-quotes": header.replace(b'"', b"'"),
        "trailing-comma": header[:-1] + b",}",
    }
    for name, text in headers.items():
        yield f"header-{name}", forge.signed(text), _REASON, "A header is one JSON object in UTF-8 (RFC 7515 §5.2)."
    spaced = b" \t\r\n" + claims.replace(b",", b"\n,\t") + b"\r\n"
    yield "white-space", forge.signed(b"\n %s\t" % header, spaced), None, "JSON may have white space between its parts."
    escaped = claims.replace(b'"exp"', b'"\\u0065\\u0078p"').replace(b'"iss"', b'"\\u0069ss"')
    why = "Escaped or not, the name is the same (RFC 7515 §5.3)."
    yield "escaped-names", forge.signed(header.replace(b'"alg"', b'"\\u0061lg"'), escaped), None, why
    backwards = json_text(dict(reversed(forge.claims.items())))
    yield "in-another-order", forge.signed(claims=backwards), None, "The order of members means nothing."


def _before(text: bytes, member: bytes) -> bytes:
    return b"{" + member + b"," + text[1:]


def _after(text: bytes, member: bytes) -> bytes:
    return text[:-1] + b"," + member + b"}"
