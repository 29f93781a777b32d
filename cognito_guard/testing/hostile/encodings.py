"""Texts that are no compact JWS in its one strict spelling, and tokens at the limit of size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from string import ascii_lowercase, ascii_uppercase, digits
from urllib.parse import quote

from ...errors import Reason
from ..keys import base64url
from .forge import Case, Forge, json_text

_REASON = Reason.MALFORMED_TOKEN
_ALPHABET = f"{ascii_uppercase}{ascii_lowercase}{digits}-_"
_LIMIT = 16 * 1024
_SIGNATURE_CHARS = 342

_NO_TOKENS = {
    "empty": "",
    "blank": " ",
    "one-dot": ".",
    "two-dots": "..",
    "three-dots": "...",
    "null-text": "null",
    "undefined": "undefined",
    "object-text": "[object Object]",
    "none-text": "None",
    "line-break": "\r\n",
    "emoji": "\U0001f511.\U0001f511.\U0001f511",
    "template": "{{access_token}}",
    "script": "<script>alert(1)</script>",
    "percent": "%00.%0d%0a.%ff",
    "backslashes": "\\\\.\\u0000.\\x00",
}


def encodings(forge: Forge) -> Iterator[Case]:
    """Yield what a decoder that is not strict would take for a genuine token."""
    for name, text in _NO_TOKENS.items():
        yield name, text, _REASON, "Nothing like a token; it must be refused as one, and never be a fault."
    yield from _segments(forge)
    for name, token in {**_signed_spellings(forge), **_spellings(forge)}.items():
        yield name, token, _REASON, "Bytes have one spelling, with no padding and no other character (RFC 7515 §2)."
    for name, token in _wrappings(forge.signed()).items():
        yield name, token, _REASON, "A genuine token with something around it, or in other clothes."


def sizes(forge: Forge) -> Iterator[Case]:
    """Yield genuine tokens around the limit of 16 KiB, and junk far above it."""
    yield "below-the-limit", _sized(forge, _LIMIT - 1), None, "Large, and as long as claims make it."
    yield "at-the-limit", _sized(forge, _LIMIT), None, "As long as a token may be."
    above = Reason.OVERSIZED_TOKEN
    yield "above-the-limit", _sized(forge, _LIMIT + 1), above, "Longer by one character: none of it is read."
    yield "100-kb", _sized(forge, 100_000), above, "Genuine, and far too long."
    yield "100-kb-of-dots", "." * 100_000, above, "Splitting it would cost more than it is worth (CVE-2025-30204)."
    yield "100-kb-of-brackets", forge.signed(claims=b"[" * 100_000), above, "Nested beyond what a stack holds."
    yield "100-kb-of-key-id", forge.signed({"kid": "k" * 100_000}), above, "A header that is never decoded."
    signature = f"{forge.unsigned()}.{'A' * 100_000}"
    yield "100-kb-of-signature", signature, above, "A signature that is never decoded."


def _segments(forge: Forge) -> Iterator[Case]:
    token = forge.signed()
    header, payload, signature = token.split(".")
    counts = {
        "one-segment": header,
        "two-segments": f"{header}.{payload}",
        "four-segments": f"{token}.{signature}",
        "six-segments": f"{token}.{token}",
        "dot-at-the-end": f"{token}.",
        "dot-at-the-start": f".{token}",
        "dot-twice": f"{header}..{payload}.{signature}",
        "many-dots": token + "." * 1000,
        "no-header": f".{payload}.{signature}",
        "no-payload": forge.signed_text(header, ""),
    }
    for name, text in counts.items():
        yield name, text, _REASON, "A compact JWS has three segments, the first two not empty (RFC 7515 §3.1)."
    why = "Five segments are a JWE, whatever they hold; most likely a refresh token."
    yield "five-segments", f"{token}.{payload}.{signature}", Reason.ENCRYPTED_TOKEN, why
    yield "two-tokens", f"{token},{token}", Reason.ENCRYPTED_TOKEN, "Joined as headers are, they look like one JWE."


def _signed_spellings(forge: Forge) -> Mapping[str, str]:
    """Return tokens whose signature is good for the text as it stands there."""
    # One byte beyond a multiple of three: two characters of padding, and four spare bits.
    header, payload = (
        base64url(text + b" " * ((1 - len(text)) % 3)) for text in (forge.header_text(), forge.payload())
    )
    plain = base64url(forge.payload({"odd": ">>>???"}))
    return {
        "header-padded": forge.signed_text(f"{header}==", payload),
        "payload-padded": forge.signed_text(header, f"{payload}=="),
        "header-with-spare-bits": forge.signed_text(_with_spare_bit(header), payload),
        "payload-with-spare-bits": forge.signed_text(header, _with_spare_bit(payload)),
        "payload-in-plain-base64": forge.signed_text(header, plain.replace("-", "+").replace("_", "/")),
        "payload-with-a-line-break": forge.signed_text(header, f"{payload[:76]}\n{payload[76:]}"),
        # Four characters that a loose decoder drops leave the padding right.
        "payload-with-line-breaks": forge.signed_text(header, f"{payload[:76]}\r\n\r\n{payload[76:]}"),
        "payload-with-blanks": forge.signed_text(header, f"{payload[:76]}    {payload[76:]}"),
        "payload-with-other-characters": forge.signed_text(header, f"{payload[:76]}!$*@{payload[76:]}"),
        "payload-with-padding-within": forge.signed_text(header, f"{payload[:76]}===={payload[76:]}"),
        "header-with-other-characters": forge.signed_text(f"{header[:8]}!$*@{header[8:]}", payload),
        "payload-of-impossible-length": forge.signed_text(header, f"{payload}AAA"),
        "payload-cut-short": forge.signed_text(header, payload[:-1]),
        "payload-not-encoded": forge.signed_text(header, forge.payload({"iss": "-", "scope": "-"}).decode()),
    }


def _spellings(forge: Forge) -> Mapping[str, str]:
    """Return tokens that were changed after they had been signed, where the signature itself is spelt anew."""
    token = forge.signed()
    plain = next(
        text for number in count() if not frozenset("-_").isdisjoint((text := forge.signed({"n": number}))[-300:])
    )
    signing_input, signature = plain.rsplit(".", 1)
    return {
        "signature-padded": f"{token}==",
        "signature-padded-by-one": f"{token}=",
        "signature-with-spare-bits": _with_spare_bit(token),
        "signature-in-plain-base64": f"{signing_input}.{signature.replace('-', '+').replace('_', '/')}",
        "signature-of-impossible-length": f"{token}AAA",
        "signature-with-a-line-break": f"{token[:-20]}\n{token[-20:]}",
        "signature-with-line-breaks": f"{token[:-20]}\r\n\r\n{token[-20:]}",
        "signature-with-other-characters": f"{token[:-20]}!$*@{token[-20:]}",
        "all-padded": ".".join(segment + "=" * (-len(segment) % 4) for segment in token.split(".")),
    }


def _with_spare_bit(segment: str) -> str:
    """Set the last of the bits that the last character has to spare: loose decoders give the same bytes."""
    return segment[:-1] + _ALPHABET[_ALPHABET.index(segment[-1]) + 1]


def _wrappings(token: str) -> Mapping[str, str]:
    header, payload, signature = token.split(".")
    flattened = {"protected": header, "payload": payload, "signature": signature}
    return {
        "line-break-at-the-end": f"{token}\n",
        "carriage-return-at-the-end": f"{token}\r",
        "header-injection": f"{token}\r\nX-Role: admin",
        "blank-at-the-start": f" {token}",
        "blank-at-the-end": f"{token} ",
        "tab-at-the-end": f"{token}\t",
        "vertical-tab-at-the-end": f"{token}\v",
        "no-break-space-at-the-end": f"{token}\xa0",
        "nul-at-the-end": f"{token}\0",
        "byte-order-mark-at-the-start": f"\ufeff{token}",
        "zero-width-space": token.replace(".", ".\u200b", 1),
        "full-width-dots": token.replace(".", "\uff0e"),
        "soft-hyphen": f"{token[:-1]}\xad{token[-1]}",
        "full-width-letter": chr(ord(token[0]) + 0xFEE0) + token[1:],
        "lone-surrogate": f"{token}\ud800",
        "quoted": f'"{token}"',
        "quoted-singly": f"'{token}'",
        "in-angle-brackets": f"<{token}>",
        "with-its-scheme": f"Bearer {token}",
        "as-a-parameter": f"access_token={token}",
        "with-a-semicolon": f"{token};",
        "with-a-fragment": f"{token}#x",
        "percent-encoded": quote(token.replace("-", "%2D"), safe="%").replace(".", "%2E"),
        "encoded-twice": base64url(token.encode()),
        "segments-encoded-twice": ".".join(base64url(segment.encode()) for segment in token.split(".")),
        "in-hexadecimal": token.encode().hex(),
        "backwards": token[::-1],
        "json-serialisation": json_text(flattened).decode(),
        "json-around-it": json_text({"token": token}).decode(),
        "in-lower-case": token.lower(),
    }


def _sized(forge: Forge, length: int) -> str:
    """Return a genuine token of so many characters."""
    texts = [forge.header_text() + b" " * blanks for blanks in range(2)]
    rooms = [(text, length - len(base64url(text)) - _SIGNATURE_CHARS - 2) for text in texts]
    # No base64url has one character more than a multiple of four: where it would, a longer header takes it up.
    header, room = next((header, room) for header, room in rooms if room % 4 != 1)
    filler = room * 3 // 4 - len(forge.payload({"filler": ""}))
    return forge.signed(header, forge.payload({"filler": "filler " * (filler // 7) + "." * (filler % 7)}))
