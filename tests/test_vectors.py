"""The published examples of the standards: judged by the whole verifier, and RS256 ones by key and signature alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from cognito_guard import CognitoVerifier, InvalidSignatureError, InvalidTokenError, Reason, errors
from cognito_guard.keys.keyset import Key, KeySet
from cognito_guard.tokens.jws import decode_base64url

Call: TypeAlias = Callable[..., Any]

VECTORS = Path(__file__).parent / "vectors"


def document(name: str) -> Any:
    """Read one file of examples."""
    return json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))


RFC7520 = document("rfc7520")


REFUSED = [
    pytest.param(case, id=f"{path.stem} {case['section']}: {case['why']}")
    for path in sorted(VECTORS.glob("rfc*.json"))
    for case in document(path.stem)["refused"]
]


def signed_parts(token: str) -> tuple[bytes, bytes]:
    """Return signing input and signature of a compact JWS, its payload unread."""
    signing_input, _, signature = token.encode().rpartition(b".")
    return signing_input, decode_base64url(signature)


@pytest.fixture
def key() -> Key:
    """Return the key that RFC 7520 signs with."""
    keys = KeySet.from_document({"keys": [RFC7520["genuine"]["jwk"]]})
    return keys.by_kid["bilbo.baggins@hobbiton.example"]


@pytest.mark.parametrize("case", REFUSED)
def test_example_is_refused_without_any_use_of_the_network(call: Call, case: dict[str, str]) -> None:
    """Each is refused for its own reason, and none costs a fetch."""
    fetched: list[str] = []

    def fetch(uri: str, _timeout: float) -> bytes:
        fetched.append(uri)
        return json.dumps({"keys": [RFC7520["genuine"]["jwk"]]}).encode()

    verifier = CognitoVerifier("eu-west-1_AbCdEf123", client_id="1h57kf5cpq17m0eml12example", fetch=fetch)
    with pytest.raises(InvalidTokenError) as refusal:
        call(verifier, "verify", case["token"])
    assert (type(refusal.value), refusal.value.reason) == (getattr(errors, case["error"]), Reason(case["reason"]))
    assert fetched == []


def test_rs256_example_of_the_cookbook_verifies(key: Key) -> None:
    """RFC 7520 §4.1: the signature is its key's, over a payload that is no JSON."""
    signing_input, signature = signed_parts(RFC7520["genuine"]["token"])
    key.check_signature(signature, signing_input)


def test_every_changed_byte_of_the_cookbook_s_signature_is_refused(key: Key) -> None:
    """No byte of it is padding that nobody looks at."""
    signing_input, signature = signed_parts(RFC7520["genuine"]["token"])
    for position in range(len(signature)):
        changed = bytearray(signature)
        changed[position] ^= 1
        with pytest.raises(InvalidSignatureError):
            key.check_signature(bytes(changed), signing_input)


def test_pss_signature_of_the_same_key_is_refused(key: Key) -> None:
    """RFC 7520 §4.2: a genuine PS384 signature is none of RS256's."""
    signing_input, signature = signed_parts(RFC7520["foreign"]["token"])
    with pytest.raises(InvalidSignatureError) as refusal:
        key.check_signature(signature, signing_input)
    assert refusal.value.reason is Reason.INVALID_SIGNATURE
