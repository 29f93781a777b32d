"""Algorithms: none at all, the public key as a secret, other ones of the same key, and values that name none."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256, sha512

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA384, SHA512
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ...errors import Reason
from ..claims import ABSENT
from .forge import Case, Forge, json_text, with_signature

_REASON = Reason.UNSUPPORTED_ALGORITHM
_ED_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))

_NONES = {
    "none": "none",
    "none-capitalised": "None",
    "none-in-upper-case": "NONE",
    "none-in-mixed-case": "nOnE",
    "none-with-a-blank": "none ",
    "none-with-nul": "none\0",
    "none-full-width": "\uff4e\uff4f\uff4e\uff45",
}
_SPELLINGS = {
    "rs256-in-lower-case": "rs256",
    "rs256-in-mixed-case": "Rs256",
    "rs256-with-a-blank-before": " RS256",
    "rs256-with-a-blank-after": "RS256 ",
    "rs256-with-nul": "RS256\0",
    "rs256-full-width": "\uff32\uff33\uff12\uff15\uff16",
    "rs256-and-none": "RS256,none",
    "rs256-by-its-java-name": "SHA256withRSA",
    "rs256-by-its-xml-name": "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
    "rsa1-5": "RSA1_5",
    "rsa-oaep": "RSA-OAEP",
    "dir": "dir",
    "pbes2": "PBES2-HS256+A128KW",
    "rs1": "RS1",
    "empty": "",
}
_NO_STRINGS = {
    "missing": ABSENT,
    "null": None,
    "number": 256,
    "true": True,
    "list": ["RS256"],
    "object": {"name": "RS256"},
}


def algorithms(forge: Forge) -> Iterator[Case]:
    """Yield tokens that name another algorithm than RS256, most of them with the signature to go with it."""
    for name, spelling in _NONES.items():
        yield name, forge.unsigned({"alg": spelling}) + ".", _REASON, "Whoever may choose `none` need not sign."
    yield "none-but-signed", forge.signed({"alg": "none"}), _REASON, "A genuine signature that nobody is to check."
    yield from _symmetric(forge)
    yield from _asymmetric(forge)
    for name, spelling in _SPELLINGS.items():
        yield name, forge.signed({"alg": spelling}), _REASON, "`alg` is compared byte for byte (RFC 7515 §4.1.1)."
    for name, value in _NO_STRINGS.items():
        yield name, forge.signed({"alg": value}), _REASON, "`alg` must be there and be a string (RFC 7515 §4.1.1)."


def _symmetric(forge: Forge) -> Iterator[Case]:
    """Yield the confusion of RSA and HMAC: everybody knows the public key."""
    secrets = _secrets(forge)
    for name, secret in secrets.items():
        token = _hmac_token(forge, "HS256", secret)
        yield f"hs256-with-{name}", token, _REASON, "What everybody knows must never become an HMAC secret."
    for algorithm in ("HS384", "HS512"):
        name = f"{algorithm.lower()}-with-pem"
        yield name, _hmac_token(forge, algorithm, secrets["pem"]), _REASON, "The same with a longer hash."


def _secrets(forge: Forge) -> Mapping[str, bytes]:
    """Return all that is public, in the spellings that libraries have taken for a secret."""
    public, jwk = forge.key.private_key.public_key(), forge.key.jwk()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    modulus = public.public_numbers().n
    return {
        "pem": pem,
        "pem-stripped": pem.strip(),
        "pem-and-crlf": pem.replace(b"\n", b"\r\n"),
        "pem-after-a-line-break": b"\n" + pem,
        "pkcs1-pem": public.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
        "pkcs1-pem-stripped": public.public_bytes(Encoding.PEM, PublicFormat.PKCS1).strip(),
        "der": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "pkcs1-der": public.public_bytes(Encoding.DER, PublicFormat.PKCS1),
        "openssh-key": public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
        "jwk": json_text(jwk),
        "jwks": json_text(forge.pool.jwks),
        "modulus": modulus.to_bytes((modulus.bit_length() + 7) // 8),
        "modulus-text": jwk["n"].encode(),
        "kid": jwk["kid"].encode(),
        "client-id": forge.pool.client_id.encode(),
        "empty-secret": b"",
    }


def _hmac_token(forge: Forge, algorithm: str, secret: bytes) -> str:
    signing_input = forge.unsigned({"alg": algorithm})
    digest = f"sha{algorithm.removeprefix('HS')}"
    return with_signature(signing_input, hmac.digest(secret, signing_input.encode(), digest))


def _asymmetric(forge: Forge) -> Iterator[Case]:
    """Yield tokens that are signed well, by the pool's key or another, with an algorithm that Cognito never uses."""
    private_key = forge.key.private_key
    signers: Mapping[str, Callable[[bytes], bytes]] = {
        "RS384": lambda text: private_key.sign(text, PKCS1v15(), SHA384()),
        "RS512": lambda text: private_key.sign(text, PKCS1v15(), SHA512()),
        "PS256": lambda text: ps256(private_key, text),
        "ES256": es256,
        "EdDSA": _ED_KEY.sign,
        "Ed25519": _ED_KEY.sign,
    }
    for algorithm, sign in signers.items():
        signing_input = forge.unsigned({"alg": algorithm})
        token = with_signature(signing_input, sign(signing_input.encode()))
        yield algorithm.lower(), token, _REASON, "One key, one algorithm (RFC 8725 §3.1)."
    zeros = with_signature(forge.unsigned({"alg": "ES256"}), bytes(64))
    yield "es256-of-zeros", zeros, _REASON, "Zeros were once a signature of every message (CVE-2022-21449)."


def ps256(private_key: RSAPrivateKey, text: bytes) -> bytes:
    """Sign with RSASSA-PSS (RFC 7518 §3.5, RFC 8017 §9.1.1), with the same salt each time, which no library offers."""
    size, numbers = private_key.key_size // 8, private_key.private_numbers()
    salt = bytes(32)
    digest = sha256(bytes(8) + sha256(text).digest() + salt).digest()
    block = (b"\1" + salt).rjust(size - len(digest) - 1, b"\0")
    mask = b"".join(sha256(digest + number.to_bytes(4)).digest() for number in range(size // 32))
    masked = bytes(left ^ right for left, right in zip(block, mask, strict=False))
    encoded = bytes([masked[0] & 0x7F]) + masked[1:] + digest + b"\xbc"
    return pow(int.from_bytes(encoded), numbers.d, numbers.public_numbers.n).to_bytes(size)


def es256(text: bytes) -> bytes:
    """Return two numbers (RFC 7518 §3.4), as good as any: no user pool has an EC key to judge them by."""
    return sha512(text).digest()
