"""KeySet: what makes a JWK usable, and what becomes of a document that holds others."""

from __future__ import annotations

import gzip
import json
import sys
import traceback
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256, SHA512, HashAlgorithm
from hypothesis import given, settings
from hypothesis import strategies as st

from cognito_guard.errors import InvalidSignatureError, Reason
from cognito_guard.keys.keyset import InvalidKeySetError, Key, KeySet, RSAAlgorithmName, load_parser
from cognito_guard.testing import ABSENT, FakeUserPool
from cognito_guard.testing.keys import SigningKey, base64url

ODD_2048 = (1 << 2047) + 1
EXPONENT_OF_FOUR_BYTES = "AQABAQ"


def number(value: int) -> str:
    """Encode as `n` and `e` are."""
    return base64url(value.to_bytes(max(1, (value.bit_length() + 7) // 8)))


def jwk(serial: int = 1, /, **changes: object) -> dict[str, Any]:
    """Return a JWK as Cognito publishes it, each serial with its own key ID and material, with changes."""
    members = {
        "alg": "RS256",
        "e": "AQAB",
        "kid": f"key {serial}",
        "kty": "RSA",
        # Nothing here needs the private half: any odd number of the size is a modulus.
        "n": number(ODD_2048 + 2 * serial),
        "use": "sig",
        **changes,
    }
    return {name: value for name, value in members.items() if value is not ABSENT}


def document(*jwks: object) -> bytes:
    """Return a JWKS document as it comes over the wire."""
    return json.dumps({"keys": jwks}).encode()


UNUSABLE: dict[str, object] = {
    "a symmetric key": jwk(kty="oct", k="c2VjcmV0"),
    "an elliptic curve key": {"kty": "EC", "kid": "key 1", "crv": "P-256", "x": "AQ", "y": "AQ"},
    "an Edwards curve key": {"kty": "OKP", "kid": "key 1", "crv": "Ed25519", "x": "AQ"},
    "an unknown key type": jwk(kty="AKP"),
    "a key type in another case": jwk(kty="rsa"),
    "a key type of another JSON type": jwk(kty=["RSA"]),
    "no key type": jwk(kty=ABSENT),
    "an encryption key": jwk(use="enc"),
    "a use that is null": jwk(use=None),
    "another RSA algorithm": jwk(alg="RS512"),
    "a symmetric algorithm": jwk(alg="HS256"),
    "an algorithm that is null": jwk(alg=None),
    "operations without verify": jwk(key_ops=["sign", "encrypt"]),
    "no operation at all": jwk(key_ops=[]),
    "operations that are a string": jwk(key_ops="verify"),
    "operations that are null": jwk(key_ops=None),
    **{f"the private member {name}": jwk(**{name: "AQ"}) for name in ("d", "p", "q", "dp", "dq", "qi", "oth", "k")},
    "no key ID": jwk(kid=ABSENT),
    "an empty key ID": jwk(kid=""),
    "a key ID that is null": jwk(kid=None),
    "a key ID that is a number": jwk(kid=1),
    "a key ID that is a list": jwk(kid=["key 1"]),
    "a key ID beyond the limit": jwk(kid="k" * 257),
    "no modulus": jwk(n=ABSENT),
    "a modulus that is a number": jwk(n=ODD_2048),
    "a modulus that is null": jwk(n=None),
    "an empty modulus": jwk(n=""),
    "a modulus that is zero": jwk(n=number(0)),
    "a padded modulus": jwk(n=number(ODD_2048) + "=="),
    "a modulus with spare bits set": jwk(n=number(ODD_2048)[:-1] + "R"),
    "a modulus in the other base64 alphabet": jwk(n="+" + number(ODD_2048)[1:]),
    "a modulus with white space": jwk(n=" " + number(ODD_2048)[1:]),
    "a modulus with a digit of another script": jwk(n="٣" + number(ODD_2048)[1:]),
    "a modulus of 1024 bits": jwk(n=number((1 << 1023) + 1)),
    "a modulus of 2047 bits": jwk(n=number((1 << 2046) + 1)),
    "a modulus of 8193 bits": jwk(n=number((1 << 8192) + 1)),
    "a modulus of 1 Mi bits": jwk(n=number((1 << 2**20) + 1)),
    "an even modulus": jwk(n=number(ODD_2048 + 1)),
    "no exponent": jwk(e=ABSENT),
    "an exponent that is a number": jwk(e=65537),
    "an exponent that is null": jwk(e=None),
    "an empty exponent": jwk(e=""),
    "a padded exponent": jwk(e=EXPONENT_OF_FOUR_BYTES + "=="),
    "an exponent with spare bits set": jwk(e=EXPONENT_OF_FOUR_BYTES[:-1] + "R"),
    "an exponent with a letter of another script": jwk(e="AQ\u0410B"),
    "the exponent 0": jwk(e=number(0)),
    "the exponent 1": jwk(e=number(1)),
    "the exponent 3": jwk(e=number(3)),
    "the exponent 17": jwk(e=number(17)),
    "an even exponent": jwk(e=number(65538)),
    "an exponent of five bytes": jwk(e=number((1 << 32) + 1)),
    "an exponent of seven bytes": jwk(e=number((1 << 48) + 1)),
    "an exponent as long as the modulus": jwk(e=number(ODD_2048)),
    "null": None,
    "a string": "key 1",
    "a number": 1,
    "a list": [jwk()],
    "an empty object": {},
}

NOT_A_KEY_SET: dict[str, bytes] = {
    "nothing": b"",
    "white space": b" \r\n",
    "null": b"null",
    "a list of keys": json.dumps([jwk()]).encode(),
    "a string": b'"keys"',
    "an HTML page": b"<!doctype html><title>Sign in to the hotel's network</title>",
    "a document cut short": document(jwk())[:-2],
    "two documents": document(jwk()) * 2,
    "bytes behind the document": document(jwk()) + b";",
    "a byte order mark": b"\xef\xbb\xbf" + document(jwk()),
    "UTF-16": document(jwk()).decode().encode("utf-16"),
    "bytes that are no UTF-8": b'{"x": "\xff", ' + document(jwk())[1:],
    "a compressed document": gzip.compress(document(jwk())),
    "NaN": b'{"x": NaN, ' + document(jwk())[1:],
    "a member that stands twice": b'{"keys": [], ' + document(jwk())[1:],
    "a member of a JWK that stands twice": document(jwk()).replace(b'"kty"', b'"kty": "oct", "kty"'),
    "an escaped lone surrogate": b'{"x": "\\ud800", ' + document(jwk())[1:],
    "a number of 10000 digits": b'{"x": ' + b"9" * 10_000 + b", " + document(jwk())[1:],
    "nesting without end": b'{"keys": ' + b"[" * 100_000,
    "nesting beyond the limit": b'{"x": ' + b"[" * 100 + b"]" * 100 + b", " + document(jwk())[1:],
    "an error body": b'{"message": "Forbidden"}',
    "keys that are null": b'{"keys": null}',
    "keys that are an object": json.dumps({"keys": jwk()}).encode(),
    "keys that are a string": b'{"keys": "keys"}',
    "keys that are a number": b'{"keys": 0}',
    "keys in another case": json.dumps({"Keys": [jwk()]}).encode(),
    "no keys": b'{"keys": []}',
}


def kids(keys: KeySet) -> set[str]:
    return set(keys.by_kid)


def signed(token: str) -> tuple[bytes, bytes]:
    """Return a token's signature and what it signs."""
    message, _, signature = token.rpartition(".")
    return urlsafe_b64decode(signature + "=" * (-len(signature) % 4)), message.encode()


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="as Cognito publishes it"),
        pytest.param({"alg": ABSENT}, id="no algorithm"),
        pytest.param({"use": ABSENT}, id="no use"),
        pytest.param({"key_ops": ["verify"]}, id="the one operation"),
        pytest.param({"key_ops": ["sign", "verify"]}, id="an operation more"),
        pytest.param({"x5c": ["AQ"], "x5t": "AQ", "issuer": "someone"}, id="members nobody asked for"),
        pytest.param({"kid": "k" * 256}, id="the longest key ID"),
        pytest.param({"kid": "vn4iEO9+/ é=\u2028"}, id="any characters in the key ID"),
        pytest.param({"n": number((1 << 8191) + 1)}, id="the longest modulus"),
        pytest.param({"e": EXPONENT_OF_FOUR_BYTES}, id="an exponent of four bytes"),
        pytest.param({"e": number((1 << 32) - 1)}, id="the greatest exponent"),
    ],
)
def test_sound_public_rsa_key_is_usable(changes: dict[str, object]) -> None:
    """A public RSA signature key of 2048 to 8192 bits is taken, whatever else its JWK says."""
    expected = jwk(**changes)
    keys = KeySet.from_json(document(expected))
    assert kids(keys) == {expected["kid"]}
    assert keys.skipped == 0


@pytest.mark.parametrize("entry", [pytest.param(entry, id=name) for name, entry in UNUSABLE.items()])
def test_unusable_jwk_among_good_ones_is_skipped(entry: object) -> None:
    """One entry that is no sound public RSA signature key takes no other one with it."""
    keys = KeySet.from_json(document(jwk(2), entry, jwk(3)))
    assert kids(keys) == {"key 2", "key 3"}
    assert keys.skipped == 1


@pytest.mark.parametrize("entry", [pytest.param(entry, id=name) for name, entry in UNUSABLE.items()])
def test_document_of_unusable_jwks_alone_is_refused(entry: object) -> None:
    """A document in which nothing is usable can't replace a good set."""
    with pytest.raises(InvalidKeySetError):
        KeySet.from_json(document(entry, entry))


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in NOT_A_KEY_SET.items()])
def test_bytes_that_are_no_key_set_are_refused_unquoted(data: bytes) -> None:
    """Anything but one strict JSON object with a list of keys is one error, which shows nothing of it."""
    with pytest.raises(InvalidKeySetError) as refusal:
        KeySet.from_json(data)
    shown = "".join(traceback.format_exception(refusal.value))
    assert str(refusal.value).startswith("the document ")
    assert not any(excerpt in shown for excerpt in ("hotel", "Forbidden", "RS256", "9999"))


LIMITS = pytest.mark.parametrize(
    "options, limit",
    [
        pytest.param({}, 100, id="the usual one"),
        pytest.param({"max_keys": 2}, 2, id="a lower one"),
        pytest.param({"max_keys": 101}, 101, id="a higher one"),
    ],
)


@LIMITS
def test_as_many_keys_as_the_limit_are_taken(options: dict[str, Any], limit: int) -> None:
    """The limit itself is within it."""
    keys = KeySet.from_json(document(*(jwk(serial) for serial in range(limit))), **options)
    assert len(keys.by_kid) == limit


@LIMITS
def test_one_key_more_than_the_limit_is_refused(options: dict[str, Any], limit: int) -> None:
    """Above the limit no key is looked at, not even to see that it is unusable."""
    with pytest.raises(InvalidKeySetError, match="more keys than the limit"):
        KeySet.from_json(document(*(jwk(serial) for serial in range(limit)), {}), **options)


def test_key_that_stands_twice_collapses() -> None:
    """The same material under the same key ID says the same thing twice."""
    keys = KeySet.from_json(document(jwk(1), jwk(2), jwk(1, alg=ABSENT)))
    assert kids(keys) == {"key 1", "key 2"}
    assert keys.skipped == 1


@pytest.mark.parametrize(
    "jwks",
    [
        pytest.param([jwk(1), jwk(2), jwk(3, kid="key 1")], id="another modulus"),
        pytest.param([jwk(1), jwk(2), jwk(1, e=EXPONENT_OF_FOUR_BYTES)], id="another exponent"),
        pytest.param([jwk(1), jwk(3, kid="key 1"), jwk(2), jwk(1)], id="the first one once more"),
    ],
)
def test_key_id_of_different_materials_is_unusable(jwks: Sequence[object]) -> None:
    """Which of them is meant can't be told, and the other keys go on working."""
    keys = KeySet.from_json(document(*jwks))
    assert kids(keys) == {"key 2"}
    assert keys.skipped == len(jwks) - 1


def test_document_of_ambiguous_keys_alone_is_refused() -> None:
    """A set in which every key ID is ambiguous holds nothing usable."""
    with pytest.raises(InvalidKeySetError, match="no usable key"):
        KeySet.from_json(document(jwk(1), jwk(2, kid="key 1")))


@pytest.mark.parametrize(
    "algorithm, digest, other",
    [
        pytest.param("RS256", SHA256(), SHA512(), id="as user pools sign"),
        pytest.param("RS512", SHA512(), SHA256(), id="as identity pools sign"),
    ],
)
def test_key_checks_the_signatures_of_its_private_half(
    algorithm: RSAAlgorithmName, digest: HashAlgorithm, other: HashAlgorithm
) -> None:
    """The key that comes out of a JWK is the one that went in, for the one algorithm that was asked for."""
    signer, message = SigningKey.draw(), b"header.payload"
    published = document(signer.jwk() | {"alg": algorithm})
    key = KeySet.from_json(published, algorithm=algorithm).by_kid[signer.kid]
    signature, of_the_other = (signer.private_key.sign(message, PKCS1v15(), one) for one in (digest, other))
    key.check_signature(signature, message)
    altered = (b"", signature[:-1], signature + b"\0", b"\0" + signature, b"\xff" * 256, bytes(256), of_the_other)
    for wrong, text in (*((wrong, message) for wrong in altered), (signature, message + b"x")):
        with pytest.raises(InvalidSignatureError) as refusal:
            key.check_signature(wrong, text)
        assert refusal.value.reason is Reason.INVALID_SIGNATURE


def test_key_refuses_the_signatures_of_another(pool: FakeUserPool) -> None:
    """A user pool's two keys are not one."""
    key = KeySet.from_document(pool.jwks).by_kid[pool.id_key.kid]
    with pytest.raises(InvalidSignatureError):
        key.check_signature(*signed(pool.access_token()))


def test_keys_are_equal_in_key_id_and_material() -> None:
    """Two readings of one JWK are one key; another key ID or other material is another."""
    first, again, renamed, other = (
        KeySet.from_document({"keys": [entry]}) for entry in (jwk(1), jwk(1), jwk(1, kid="x"), jwk(2, kid="key 1"))
    )
    (key,) = first.by_kid.values()
    assert first == again
    assert len({key, *again.by_kid.values()}) == 1
    assert key not in (*renamed.by_kid.values(), *other.by_kid.values(), "key 1")


def test_key_set_is_read_only_and_shows_no_material() -> None:
    """A snapshot that readers share without a lock can't be changed, and its repr is fit for a log."""
    keys = KeySet.from_document({"keys": [jwk(), {}]})
    by_kid: Any = keys.by_kid
    with pytest.raises(TypeError):
        by_kid["key 2"] = by_kid["key 1"]
    with pytest.raises(AttributeError):
        keys.skipped = 0  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    assert repr(keys) == "<KeySet 1 keys, 1 skipped>"
    assert repr(keys.by_kid["key 1"]) == "<Key RSA 2048>"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
MATERIAL = st.sampled_from([number(value) for value in (0, 1, 3, 65537, 65539, ODD_2048, 2 * ODD_2048, 1 << 2048)])
ANYTHING = JSON_VALUES | MATERIAL
JWKS = st.fixed_dictionaries(
    {},
    optional={
        "kty": st.just("RSA") | ANYTHING,
        "alg": st.just("RS256") | ANYTHING,
        "use": st.just("sig") | ANYTHING,
        "kid": st.sampled_from(["a", "b"]) | ANYTHING,
        "n": MATERIAL | ANYTHING,
        "e": MATERIAL | ANYTHING,
        "key_ops": st.just(["verify"]) | ANYTHING,
    },
)


def read(data: bytes) -> KeySet | None:
    """Read a document, letting nothing but the one error pass."""
    try:
        return KeySet.from_json(data)
    except InvalidKeySetError:
        return None


@settings(deadline=None, derandomize=True)
@given(st.binary() | st.binary().map(lambda rest: b'{"keys": ' + rest))
def test_any_bytes_are_a_key_set_or_the_one_error(data: bytes) -> None:
    """No bytes of an endpoint make anything else happen."""
    assert read(data) is None or kids(KeySet.from_json(data))


@settings(deadline=None, derandomize=True)
@given(JSON_VALUES | st.fixed_dictionaries({"keys": JSON_VALUES | st.lists(JWKS, max_size=4)}))
def test_any_json_is_a_key_set_or_the_one_error(value: object) -> None:
    """No JSON value makes anything else happen, and what is taken is sound."""
    keys = read(json.dumps(value).encode())
    assert keys is None or all(kid == key.kid and isinstance(key, Key) for kid, key in keys.by_kid.items())


@settings(deadline=None, derandomize=True)
@given(
    usable=st.lists(st.integers(0, 4), min_size=1, max_size=4),
    unusable=st.lists(st.sampled_from(list(UNUSABLE.values())), min_size=1, max_size=4),
    data=st.data(),
)
def test_unusable_jwks_never_change_the_usable_ones(
    usable: list[int], unusable: list[object], data: st.DataObject
) -> None:
    """Whatever stands beside them, wherever it stands and whatever key ID it claims."""
    alone = KeySet.from_json(document(*map(jwk, usable)))
    mixed = KeySet.from_json(document(*data.draw(st.permutations([*map(jwk, usable), *unusable]))))
    assert mixed.by_kid == alone.by_kid
    assert mixed.skipped == alone.skipped + len(unusable)


@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=6), st.data())
def test_order_of_jwks_is_irrelevant(pairs: list[tuple[int, int]], data: st.DataObject) -> None:
    """With key IDs that stand once, twice, and with different material."""
    jwks = [jwk(material, kid=f"kid {kid}") for kid, material in pairs]
    assert read(document(*data.draw(st.permutations(jwks)))) == read(document(*jwks))


def test_published_keys_of_a_user_pool_are_all_usable() -> None:
    """What Cognito publishes in the middle of a rotation is four keys."""
    pool = FakeUserPool()
    pool.rotate()
    keys = KeySet.from_document(pool.jwks)
    assert len(keys.by_kid) == 4
    assert keys.skipped == 0
    assert SigningKey.draw().kid not in keys.by_kid


def test_parser_is_loaded_when_told_to() -> None:
    """Before any thread reads a key set; that none loads anything itself is for the tests of processes to see."""
    load_parser()
    assert "jwt.algorithms" in sys.modules
