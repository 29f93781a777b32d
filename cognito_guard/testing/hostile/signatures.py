"""Signatures: changed, cut, moved from elsewhere, or over another text; the header always says RS256."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA384, SHA512
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ...errors import Reason
from ..keys import base64url
from .algorithms import es256, ps256
from .forge import DAY, Case, Forge, Part, rs256, with_signature

_REASON = Reason.INVALID_SIGNATURE


def signatures(forge: Forge) -> Iterator[Case]:
    """Yield tokens that no key of the pool has signed as they stand there."""
    signing_input = forge.unsigned()
    for name, signature in _wrong(forge, rs256(forge.key, signing_input)).items():
        yield name, with_signature(signing_input, signature), _REASON, "Not the signature, or not in its one form."
    for name, signature in _of_other_kinds(forge, signing_input).items():
        why = "The header says RS256 (RFC 7518 §3.3), and this is another kind of signature."
        yield name, with_signature(signing_input, signature), _REASON, why
    for name, signature in _of_other_texts(forge, signing_input).items():
        yield name, with_signature(signing_input, signature), _REASON, "A genuine signature, of another text."
    genuine = rs256(forge.key, signing_input)
    for name, changed in _tampered(forge).items():
        token = with_signature(forge.unsigned(claims=changed), genuine)
        yield f"tampered-{name}", token, _REASON, "Claims that were changed after the pool had signed them."
    token = with_signature(forge.unsigned({"typ": "JWT"}), genuine)
    yield "tampered-header", token, _REASON, "The signature covers the header too."


def _wrong(forge: Forge, genuine: bytes) -> Mapping[str, bytes]:
    modulus = forge.key.private_key.public_key().public_numbers().n
    size = len(genuine)
    return {
        "empty": b"",
        "one-byte": b"\0",
        "first-bit-flipped": bytes([genuine[0] ^ 0x80]) + genuine[1:],
        "middle-bit-flipped": genuine[:128] + bytes([genuine[128] ^ 1]) + genuine[129:],
        "last-bit-flipped": genuine[:-1] + bytes([genuine[-1] ^ 1]),
        "first-byte-missing": genuine[1:],
        "last-byte-missing": genuine[:-1],
        "zero-byte-before": b"\0" + genuine,
        "zero-byte-after": genuine + b"\0",
        "zeros": bytes(size),
        "all-ones": b"\xff" * size,
        "one": (1).to_bytes(size),
        "modulus": modulus.to_bytes(size),
        "modulus-less-one": (modulus - 1).to_bytes(size),
        "modulus-added": (modulus + int.from_bytes(genuine)).to_bytes(size + 1),
        "negated": (modulus - int.from_bytes(genuine)).to_bytes(size),
        "backwards": genuine[::-1],
        "twice": genuine * 2,
        "two-keys-long": genuine + bytes(size),
        "8-kb": b"\1" * 8192,
        "as-text": base64url(genuine).encode(),
        "in-hexadecimal": genuine.hex().encode(),
    }


def _of_other_kinds(forge: Forge, signing_input: str) -> Mapping[str, bytes]:
    private_key, text = forge.key.private_key, signing_input.encode()
    pem = private_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {
        "of-rs384": private_key.sign(text, PKCS1v15(), SHA384()),
        "of-rs512": private_key.sign(text, PKCS1v15(), SHA512()),
        "of-ps256": ps256(private_key, text),
        "of-es256": es256(text),
        "of-hs256": hmac.digest(pem, text, "sha256"),
    }


def _of_other_texts(forge: Forge, signing_input: str) -> Mapping[str, bytes]:
    header, payload = signing_input.split(".")
    texts = {
        "of-another-token": forge.unsigned(claims={"sub": "somebody-else"}),
        "of-the-payload-alone": payload,
        "of-the-header-alone": header,
        "of-both-without-the-dot": header + payload,
        "of-both-in-the-other-order": f"{payload}.{header}",
        "of-both-with-a-line-break": f"{signing_input}\n",
        "of-the-decoded-text": f"{forge.header_text().decode()}.{forge.payload().decode()}",
        "of-nothing": "",
    }
    return {name: rs256(forge.key, text) for name, text in texts.items()}


def _tampered(forge: Forge) -> Mapping[str, Part]:
    return {
        "scope": {"scope": "aws.cognito.signin.user.admin admin"},
        "groups": {"cognito:groups": ["admin"]},
        "subject": {"sub": "somebody-else"},
        "expiry": {"exp": forge.now + 2 * DAY},
        "one-blank-more": forge.payload() + b" ",
    }
