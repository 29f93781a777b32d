"""
Published vulnerabilities of libraries and products that check JWTs, each carried out against this one.

Every test is named after its advisory; all of them were looked up in the CVE list, OSV or GitHub's advisory database.
"""

from __future__ import annotations

import hmac
import json
import logging
import string
import traceback
import tracemalloc
import zlib
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, TypeAlias

import pytest
from adapters import BAD_TOKEN, NO_TOKEN, NOT_ONE_TOKEN, UNAVAILABLE, Guarded, bearer
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec_key
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, AsymmetricPadding, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwe
from joserfc.jwk import RSAKey

from cognito_guard import (
    CognitoVerifier,
    ConfigurationError,
    ExpiredTokenError,
    FetchError,
    InvalidClaimError,
    InvalidRequestError,
    InvalidSignatureError,
    MalformedTokenError,
    Principal,
    Reason,
    RefreshSchedule,
    RefusalError,
    UnavailableError,
    UnknownKeyError,
    UnsupportedAlgorithmError,
    challenge_for,
    websocket_subprotocol,
)
from cognito_guard.testing import ABSENT, FakeClock, FakeUserPool
from cognito_guard.testing.keys import SigningKey, base64url
from cognito_guard.tokens.jws import MAX_TOKEN_BYTES

Call: TypeAlias = Callable[..., Any]
Verdict: TypeAlias = tuple[type[RefusalError], Reason] | None
Sign: TypeAlias = Callable[[bytes], bytes]

MALFORMED: Verdict = (MalformedTokenError, Reason.MALFORMED_TOKEN)
OVERSIZED: Verdict = (MalformedTokenError, Reason.OVERSIZED_TOKEN)
ENCRYPTED: Verdict = (MalformedTokenError, Reason.ENCRYPTED_TOKEN)
FOREIGN_HEADER: Verdict = (MalformedTokenError, Reason.UNSUPPORTED_HEADER)
FOREIGN_ALGORITHM: Verdict = (UnsupportedAlgorithmError, Reason.UNSUPPORTED_ALGORITHM)
UNKNOWN_KEY: Verdict = (UnknownKeyError, Reason.UNKNOWN_KEY)
BAD_SIGNATURE: Verdict = (InvalidSignatureError, Reason.INVALID_SIGNATURE)
WRONG_ISSUER: Verdict = (InvalidClaimError, Reason.WRONG_ISSUER)
WRONG_AUDIENCE: Verdict = (InvalidClaimError, Reason.WRONG_AUDIENCE)
WRONG_CLIENT: Verdict = (InvalidClaimError, Reason.WRONG_CLIENT)
MALFORMED_CLAIM: Verdict = (InvalidClaimError, Reason.MALFORMED_CLAIM)
MISSING_CLAIM: Verdict = (InvalidClaimError, Reason.MISSING_CLAIM)
EXPIRED: Verdict = (ExpiredTokenError, Reason.EXPIRED)
NO_KEYS: Verdict = (UnavailableError, Reason.KEYS_UNAVAILABLE)

ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"  # RFC 4648 §5
DIGESTS = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}


# --- forging -------------------------------------------------------------------------------------------------------


def verdict(call: Call, verifier: CognitoVerifier, token: str) -> Verdict:
    """Return None for a token that is accepted, or class and reason of the refusal."""
    try:
        call(verifier, "verify", token)
    except RefusalError as error:
        return type(error), error.reason
    return None


def mallory(pool: FakeUserPool) -> dict[str, Any]:
    """Return the claims of a good token, with the attacker's subject and groups."""
    claims = json.loads(urlsafe_b64decode(pool.access_token().split(".")[1] + "=="))
    return {**claims, "sub": "mallory", "cognito:groups": ["admin"]}


def compact(header: Mapping[str, object], claims: object, sign: Sign) -> str:
    """Write a token that is signed in any way at all."""
    signing_input = ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
    return f"{signing_input}.{base64url(sign(signing_input.encode()))}"


def unsigned(_: bytes) -> bytes:
    """Sign with nothing."""
    return b""


def with_secret(secret: bytes, alg: str = "HS256") -> Sign:
    """Sign with a secret that is none."""
    return lambda message: hmac.new(secret, message, DIGESTS[alg]).digest()


def with_rsa(key: SigningKey, algorithm: HashAlgorithm, padding: AsymmetricPadding | None = None) -> Sign:
    """Sign with an RSA key, in another way than RS256."""
    return lambda message: key.private_key.sign(message, padding or PKCS1v15(), algorithm)


def confused(pool: FakeUserPool, secret: bytes, alg: str = "HS256") -> str:
    """Forge a token whose HMAC secret is a spelling of the pool's public key."""
    return compact({"alg": alg, "kid": pool.access_key.kid}, mallory(pool), with_secret(secret, alg))


def public_key(pool: FakeUserPool) -> RSAPublicKey:
    """Return what everybody knows."""
    return pool.access_key.private_key.public_key()


def pem(pool: FakeUserPool, form: PublicFormat = PublicFormat.SubjectPublicKeyInfo) -> bytes:
    """Spell the pool's public key as most libraries take it."""
    return public_key(pool).public_bytes(Encoding.PEM, form)


class Endpoint:
    """
    Be the `fetch` of a verifier, and remember what was asked.

    Attributes:
        uris: what was asked for.
        jwks: what is published, or None while nothing answers.
    """

    def __init__(self, jwks: Mapping[str, Any] | None) -> None:
        self.uris: list[str] = []
        self.jwks = jwks

    def __call__(self, uri: str, _timeout: float) -> bytes:
        self.uris.append(uri)
        if self.jwks is None:
            raise FetchError("nobody answers")
        return json.dumps(self.jwks).encode()


@pytest.fixture
def attacker(clock: FakeClock) -> FakeUserPool:
    """Return a user pool of the attacker's own."""
    return FakeUserPool("eu-west-1_Attacker1", clock=clock)


@pytest.fixture
def endpoint(pool: FakeUserPool) -> Endpoint:
    """Return where the pool publishes its keys."""
    return Endpoint(pool.jwks)


@pytest.fixture
def verifier(pool: FakeUserPool, endpoint: Endpoint, clock: FakeClock) -> CognitoVerifier:
    """Return a verifier with the defaults, but one place alone to ask for keys."""
    return pool.verifier(fetch=endpoint, timer=clock, issuer_format="original")


def trusting(pool: FakeUserPool, *jwks: Mapping[str, Any], **options: Any) -> CognitoVerifier:
    """Return a verifier of a pool that publishes these keys."""
    return pool.verifier(jwks={"keys": list(jwks)}, **options)


# --- the algorithm, chosen by the attacker -------------------------------------------------------------------------


def test_cve_2015_9235_public_key_as_hmac_secret(call: Call, pool: FakeUserPool, verifier: CognitoVerifier) -> None:
    """Jsonwebtoken: the header's HS256 turned the RSA public key into a shared secret."""
    assert verdict(call, verifier, confused(pool, pem(pool))) == FOREIGN_ALGORITHM


def test_cve_2016_10555_algorithm_of_the_header_decides(
    call: Call, pool: FakeUserPool, verifier: CognitoVerifier
) -> None:
    """Jwt-simple: decode() took whatever member of the HMAC family the token named."""
    verdicts = {alg: verdict(call, verifier, confused(pool, pem(pool), alg)) for alg in DIGESTS}
    assert verdicts == dict.fromkeys(DIGESTS, FOREIGN_ALGORITHM)


def test_cve_2022_29217_ssh_key_as_hmac_secret(call: Call, pool: FakeUserPool, verifier: CognitoVerifier) -> None:
    """PyJWT: a list of forbidden spellings forgot some that begin with `ssh-`."""
    spelled = public_key(pool).public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    assert verdict(call, verifier, confused(pool, spelled)) == FOREIGN_ALGORITHM


def test_cve_2024_33663_openssh_ecdsa_key_as_hmac_secret(call: Call, pool: FakeUserPool) -> None:
    """Python-jose: an elliptic curve key in OpenSSH's spelling was no asymmetric key to it."""
    other = generate_ec_key(SECP256R1())
    spelled = other.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    verifier = trusting(pool, pool.access_key.jwk(), ec_jwk("ec", other))
    token = compact({"alg": "HS256", "kid": "ec"}, mallory(pool), with_secret(spelled))
    assert verdict(call, verifier, token) == FOREIGN_ALGORITHM


def test_cve_2024_37568_der_key_as_hmac_secret(call: Call, pool: FakeUserPool, verifier: CognitoVerifier) -> None:
    """Authlib: any asymmetric key was a secret as well where no algorithm was named."""
    spelled = public_key(pool).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert verdict(call, verifier, confused(pool, spelled)) == FOREIGN_ALGORITHM


def test_cve_2023_48223_pkcs1_key_as_hmac_secret(call: Call, pool: FakeUserPool, verifier: CognitoVerifier) -> None:
    """Fast-jwt: BEGIN RSA PUBLIC KEY was not recognised as a public key."""
    assert verdict(call, verifier, confused(pool, pem(pool, PublicFormat.PKCS1))) == FOREIGN_ALGORITHM


def test_cve_2026_34950_white_space_before_the_key(call: Call, pool: FakeUserPool, verifier: CognitoVerifier) -> None:
    """Fast-jwt: a pattern that was anchored at the first character let a leading blank through."""
    for blank in (b" ", b"\n", b"\t\r\n"):
        assert verdict(call, verifier, confused(pool, blank + pem(pool))) == FOREIGN_ALGORITHM


def test_cve_2026_102268_line_ends_of_the_key_changed(
    call: Call, pool: FakeUserPool, verifier: CognitoVerifier
) -> None:
    """PyJWT: other line ends and trailing blanks slipped past the detection of PEM."""
    for old, new in ((b"\n", b"\r\n"), (b"\n", b"\r"), (b"-----\n", b"----- \n")):
        assert verdict(call, verifier, confused(pool, pem(pool).replace(old, new))) == FOREIGN_ALGORITHM


def test_cve_2026_48526_jwk_as_hmac_secret(call: Call, pool: FakeUserPool, verifier: CognitoVerifier) -> None:
    """PyJWT: the JSON text of a JWK was a fine secret."""
    assert verdict(call, verifier, confused(pool, json.dumps(pool.access_key.jwk()).encode())) == FOREIGN_ALGORITHM


def test_cve_2026_102273_jwk_set_as_hmac_secret(call: Call, pool: FakeUserPool, verifier: CognitoVerifier) -> None:
    """PyJWT: the check for JWKs saw them at the top of the JSON alone, not in a set of them."""
    assert verdict(call, verifier, confused(pool, json.dumps(pool.jwks).encode())) == FOREIGN_ALGORITHM


def test_cve_2021_46743_key_of_another_family_by_kid(call: Call, pool: FakeUserPool) -> None:
    """PHP-JWT: with keys of several families in the ring, `kid` chose one and `alg` what to do with it."""
    symmetric = {"kty": "oct", "kid": "shared", "k": base64url(b"known to a partner"), "alg": "HS256"}
    verifier = trusting(pool, pool.access_key.jwk(), symmetric)
    by_partner = compact({"alg": "HS256", "kid": "shared"}, mallory(pool), with_secret(b"known to a partner"))
    by_nobody = compact({"alg": "RS256", "kid": "shared"}, mallory(pool), with_secret(b"known to a partner"))
    assert verdict(call, verifier, by_partner) == FOREIGN_ALGORITHM
    assert verdict(call, verifier, by_nobody) == UNKNOWN_KEY


def test_cve_2022_23539_key_of_another_type(call: Call, pool: FakeUserPool) -> None:
    """Jsonwebtoken: a key of any type served with any algorithm."""
    other = generate_ec_key(SECP256R1())
    verifier = trusting(pool, pool.access_key.jwk(), ec_jwk("ec", other))
    token = compact({"alg": "RS256", "kid": "ec"}, mallory(pool), lambda message: other.sign(message, ECDSA(SHA256())))
    assert verdict(call, verifier, token) == UNKNOWN_KEY


def test_cve_2022_23541_secret_where_a_public_key_was_meant(call: Call, pool: FakeUserPool) -> None:
    """Jsonwebtoken: a key function that returned a public key as text made it a secret."""
    certificate_like = {**pool.access_key.jwk(), "x5c": [b64encode(pem(pool)).decode()], "k": base64url(pem(pool))}
    with pytest.raises(ConfigurationError, match="usable keys"):
        trusting(pool, certificate_like)
    verifier = trusting(pool, pool.id_key.jwk(), certificate_like)
    assert verdict(call, verifier, confused(pool, pem(pool))) == FOREIGN_ALGORITHM
    assert verdict(call, verifier, pool.access_token()) == UNKNOWN_KEY


def test_cve_2026_22817_hs256_by_default(call: Call, pool: FakeUserPool, verifier: CognitoVerifier) -> None:
    """Hono: HS256 was the default where the configuration named no algorithm."""
    token = compact({"kid": pool.access_key.kid}, mallory(pool), with_secret(pem(pool)))
    assert verdict(call, verifier, token) == FOREIGN_ALGORITHM
    with pytest.raises(TypeError, match="alg"):
        pool.verifier(algorithms=["HS256", "RS256"])


def test_cve_2026_22818_jwk_without_alg(call: Call, pool: FakeUserPool) -> None:
    """Hono: where the JWK had no `alg`, the token's header was asked."""
    jwk = {name: value for name, value in pool.access_key.jwk().items() if name != "alg"}
    verifier = trusting(pool, jwk)
    ways: dict[str, Sign] = {
        "RS384": with_rsa(pool.access_key, SHA384()),
        "RS512": with_rsa(pool.access_key, SHA512()),
        "PS256": with_rsa(pool.access_key, SHA256(), PSS(MGF1(SHA256()), PSS.DIGEST_LENGTH)),
    }
    for alg, sign in ways.items():
        token = compact({"alg": alg, "kid": pool.access_key.kid}, mallory(pool), sign)
        assert verdict(call, verifier, token) == FOREIGN_ALGORITHM
    assert verdict(call, verifier, pool.access_token()) is None


def test_cve_2026_48523_key_s_own_algorithm(call: Call, pool: FakeUserPool) -> None:
    """PyJWT: `alg` was compared with the allowed ones, and the signature checked by the JWK's own."""
    other = SigningKey.draw()
    verifier = trusting(pool, pool.access_key.jwk(), {**other.jwk(), "alg": "RS512"})
    header = {"alg": "RS256", "kid": other.kid}
    assert verdict(call, verifier, compact(header, mallory(pool), with_rsa(other, SHA512()))) == UNKNOWN_KEY
    assert verdict(call, verifier, other.sign(header, mallory(pool))) == UNKNOWN_KEY


def test_cve_2022_21449_signature_of_zeros(call: Call, pool: FakeUserPool, verifier: CognitoVerifier) -> None:
    """Java: r = s = 0 was everybody's ECDSA signature of everything."""
    for alg, expected in (("ES256", FOREIGN_ALGORITHM), ("RS256", BAD_SIGNATURE)):
        signing_input, _, _ = compact({"alg": alg, "kid": pool.access_key.kid}, mallory(pool), unsigned).rpartition(".")
        for size in (64, 256):
            assert verdict(call, verifier, f"{signing_input}.{base64url(bytes(size))}") == expected


# --- no signature, or none that counts -----------------------------------------------------------------------------


def test_cve_2022_23540_no_algorithm_named(call: Call, pool: FakeUserPool, verifier: CognitoVerifier) -> None:
    """Jsonwebtoken: without a list of algorithms and without a key, `none` was accepted."""
    token = compact({"alg": "none"}, mallory(pool), unsigned)
    assert verdict(call, verifier, token) == FOREIGN_ALGORITHM


def test_cve_2026_28802_none_with_a_blank_signature(call: Call, pool: FakeUserPool, verifier: CognitoVerifier) -> None:
    """Authlib: `alg: none` and an empty third segment passed where a key was given."""
    for alg in ("none", "None", "NONE", "nOnE", "none ", ""):
        token = compact({"alg": alg, "kid": pool.access_key.kid}, mallory(pool), unsigned)
        assert verdict(call, verifier, token) == FOREIGN_ALGORITHM


def test_cve_2026_39413_none_under_a_genuine_signature(
    call: Call, pool: FakeUserPool, verifier: CognitoVerifier
) -> None:
    """LightRAG: `none` was not on a list of the refused."""
    assert verdict(call, verifier, pool.access_token(header={"alg": "none"})) == FOREIGN_ALGORITHM


def test_cve_2026_107720_no_key_and_no_signature(
    call: Call, pool: FakeUserPool, verifier: CognitoVerifier, endpoint: Endpoint
) -> None:
    """Fast-jwt: without a key, an empty signature was never looked at."""
    for kid, expected in ((pool.access_key.kid, BAD_SIGNATURE), ("nobody's", UNKNOWN_KEY)):
        assert verdict(call, verifier, compact({"alg": "RS256", "kid": kid}, mallory(pool), unsigned)) == expected
    endpoint.jwks = None
    keyless = pool.verifier(fetch=endpoint)
    token = compact({"alg": "RS256", "kid": pool.access_key.kid}, mallory(pool), unsigned)
    assert verdict(call, keyless, token) == NO_KEYS


def test_cve_2020_28042_piece_of_a_signature(call: Call, pool: FakeUserPool, verifier: CognitoVerifier) -> None:
    """ServiceStack: signatures were compared as far as the shorter one went."""
    signing_input, _, encoded = pool.access_token().rpartition(".")
    signature = urlsafe_b64decode(encoded + "==")
    for size in (*range(0, 256, 15), 255):
        for piece in (signature[:size], signature[256 - size :], signature + signature[:size] + b"\0"):
            assert verdict(call, verifier, f"{signing_input}.{base64url(piece)}") == BAD_SIGNATURE


def test_cve_2019_13483_claims_exchanged(call: Call, pool: FakeUserPool, verifier: CognitoVerifier) -> None:
    """Passport-SharePoint: the access token's signature was not checked at all."""
    header, _, signature = pool.access_token().split(".")
    token = f"{header}.{base64url(json.dumps(mallory(pool)).encode())}.{signature}"
    assert verdict(call, verifier, token) == BAD_SIGNATURE


def test_cve_2018_1000025_token_out_of_thin_air(
    call: Call, pool: FakeUserPool, attacker: FakeUserPool, verifier: CognitoVerifier
) -> None:
    """Firebase PHP: claims were checked with care, and the signature was not."""
    token = attacker.access_token(issuer=pool.issuer, client_id=pool.client_id, header={"kid": pool.access_key.kid})
    assert verdict(call, verifier, token) == BAD_SIGNATURE


@pytest.mark.parametrize("alg", DIGESTS)
def test_cve_2026_44699_rsa_key_as_an_empty_secret(call: Call, pool: FakeUserPool, alg: str) -> None:
    """LibJWT: an RSA JWK without `alg` was an HMAC key of no bytes."""
    jwk = {name: value for name, value in pool.access_key.jwk().items() if name != "alg"}
    assert verdict(call, trusting(pool, jwk), confused(pool, b"", alg)) == FOREIGN_ALGORITHM


def test_cve_2026_44351_unknown_kid_as_an_empty_secret(
    call: Call, pool: FakeUserPool, verifier: CognitoVerifier, endpoint: Endpoint
) -> None:
    """Fast-jwt: `keys[kid] || ''` made every unknown key ID one of an empty secret."""
    token = compact({"alg": "HS256", "kid": "nobody's"}, mallory(pool), with_secret(b""))
    assert verdict(call, verifier, token) == FOREIGN_ALGORITHM
    assert endpoint.uris == []


@pytest.mark.parametrize("jwks", ["{}", *(f'{{"keys": {keys}}}' for keys in ("[]", "null", "[null]", "[{}]", '""'))])
def test_cve_2026_45363_empty_key_configured(pool: FakeUserPool, jwks: str) -> None:
    """Ruby-jwt: a key that came out empty, from an unset variable perhaps, verified forged tokens."""
    with pytest.raises(ConfigurationError) as mistake:
        pool.verifier(jwks=json.loads(jwks))
    assert mistake.value.setting == "jwks"


@pytest.mark.parametrize("alg", DIGESTS)
def test_cve_2026_49852_empty_symmetric_jwk(call: Call, pool: FakeUserPool, alg: str) -> None:
    """Joserfc: a symmetric JWK of no bytes was a key."""
    empty = {"kty": "oct", "kid": "empty", "k": "", "alg": alg}
    verifier = trusting(pool, pool.access_key.jwk(), empty)
    for named, expected in ((alg, FOREIGN_ALGORITHM), ("RS256", UNKNOWN_KEY)):
        token = compact({"alg": named, "kid": "empty"}, mallory(pool), with_secret(b"", alg))
        assert verdict(call, verifier, token) == expected


# --- keys that the token brings along ------------------------------------------------------------------------------


def test_cve_2018_0114_embedded_key(
    call: Call, pool: FakeUserPool, attacker: FakeUserPool, verifier: CognitoVerifier
) -> None:
    """Node-jose: the token was verified with the key in its own header."""
    header = {
        "alg": "RS256",
        "kid": pool.access_key.kid,
        "jwk": {**attacker.access_key.jwk(), "kid": pool.access_key.kid},
    }
    assert verdict(call, verifier, attacker.sign(header, mallory(pool))) == BAD_SIGNATURE


def test_cve_2026_27962_embedded_key_where_none_is_found(
    call: Call, pool: FakeUserPool, attacker: FakeUserPool, verifier: CognitoVerifier, endpoint: Endpoint
) -> None:
    """Authlib: a key lookup that came back empty let the header's `jwk` stand in."""
    header: dict[str, Any] = {"alg": "RS256", "kid": attacker.access_key.kid, "jwk": attacker.access_key.jwk()}
    assert verdict(call, verifier, attacker.sign(header, mallory(pool))) == UNKNOWN_KEY
    del header["kid"]
    assert verdict(call, verifier, attacker.sign(header, mallory(pool))) == MALFORMED
    assert set(endpoint.uris) == {f"{pool.issuer}/.well-known/jwks.json"}


def test_cve_2026_48522_key_url_of_another_scheme(call: Call, pool: FakeUserPool, endpoint: Endpoint) -> None:
    """PyJWT: keys were read from file:, ftp: and data: URLs, and a token's `jku` could name one."""
    for uri in ("file:///etc/passwd", "ftp://example.com/jwks.json", "data:application/json,{}", "//example.com/jwks"):
        with pytest.raises(ConfigurationError) as mistake:
            pool.verifier(jwks_uri=uri, fetch=endpoint)
        assert mistake.value.setting == "jwks_uri"
        token = pool.access_token(header={"jku": uri, "x5u": uri})
        assert verdict(call, pool.verifier(fetch=endpoint), token) is None
    assert {uri.partition("//")[0] for uri in endpoint.uris} == {"https:"}


def test_cve_2026_81829_path_in_the_key_id(call: Call, pool: FakeUserPool, endpoint: Endpoint) -> None:
    """SmallRye JWT: the key ID was put into the URL that keys of an AWS load balancer are fetched from."""
    for kid in ("../../secrets", "x?y=z", "x#y", "x/../y", "http://169.254.169.254/", "x\r\nHost: evil"):
        verifier = pool.verifier(fetch=endpoint, issuer_format="original")
        assert verdict(call, verifier, pool.access_token(header={"kid": kid})) == UNKNOWN_KEY
    assert set(endpoint.uris) == {f"{pool.issuer}/.well-known/jwks.json"}


# --- what the header and the serialization say ---------------------------------------------------------------------


@pytest.mark.parametrize("crit", [["bork"], ["cnf"], ["exp"], ["alg"]])
def test_cve_2025_59420_unknown_critical_parameter(
    call: Call, pool: FakeUserPool, verifier: CognitoVerifier, crit: list[str]
) -> None:
    """Authlib: an extension that must be understood was ignored."""
    token = pool.access_token(header={"crit": crit, "bork": True, "cnf": {"jkt": "x"}})
    assert verdict(call, verifier, token) == FOREIGN_HEADER


@pytest.mark.parametrize("crit", [[], "exp", None, {}, [7], ["x-policy", "x-policy"], ["absent"]])
def test_cve_2026_32597_malformed_critical_parameter(
    call: Call, pool: FakeUserPool, verifier: CognitoVerifier, crit: object
) -> None:
    """PyJWT: `crit` was not looked at, whatever stood there."""
    assert verdict(call, verifier, pool.access_token(header={"crit": crit, "x-policy": 1})) == FOREIGN_HEADER


def test_cve_2026_48525_unencoded_payload(call: Call, pool: FakeUserPool, verifier: CognitoVerifier) -> None:
    """PyJWT: with `b64: false` a payload of any size was decoded that nobody needed."""
    header = base64url(json.dumps({"alg": "RS256", "kid": "x", "b64": False, "crit": ["b64"]}).encode())
    # Refused by its header although the payload is no base64url: it is not decoded.
    assert verdict(call, verifier, f"{header}.{'!' * 8000}.x") == FOREIGN_HEADER
    assert verdict(call, verifier, f"{header}.{'A' * 1_000_000}.x") == OVERSIZED


def test_cve_2022_39227_compact_and_json_mixed(call: Call, pool: FakeUserPool, verifier: CognitoVerifier) -> None:
    """Python-jwt: one parser took the forged claims of a JSON text, another the genuine compact ones."""
    header, payload, signature = pool.access_token().split(".")
    forged = base64url(json.dumps(mallory(pool)).encode())
    polyglot = f'{{"  {header}.{forged}.":"","protected":"{header}", "payload":"{payload}","signature":"{signature}"}}'
    assert polyglot.count(".") == 2
    assert verdict(call, verifier, polyglot) == MALFORMED


def test_cve_2026_96760_json_serialization_without_a_signature(
    call: Call, pool: FakeUserPool, verifier: CognitoVerifier
) -> None:
    """Authlib: a JWS in JSON was returned as verified when it had no signature."""
    payload = base64url(json.dumps(mallory(pool)).encode())
    for more in ("", ', "signatures": []', ', "signature": ""'):
        assert verdict(call, verifier, f'{{"payload": "{payload}"{more}}}') == MALFORMED


def test_cve_2026_107723_array_of_claims(call: Call, pool: FakeUserPool, verifier: CognitoVerifier) -> None:
    """Fast-jwt: an array has no `exp` and no `iss`, so that nothing was checked."""
    header = {"alg": "RS256", "kid": pool.access_key.kid}
    for payload in ([], [mallory(pool)], "mallory", 7, None, True):
        assert verdict(call, verifier, pool.sign(header, json.dumps(payload).encode())) == MALFORMED


def test_cve_2026_102269_second_spelling_of_a_revoked_token(
    call: Call, pool: FakeUserPool, verifier: CognitoVerifier
) -> None:
    """PyJWT: a token with something appended was another text, not on the deny-list, and just as good."""
    token = pool.access_token()
    assert verdict(call, verifier, token) is None
    for suffix in ("!!!!", "=", "==", "\n", " ", "~", "%3D"):
        assert verdict(call, verifier, token + suffix) == MALFORMED
    # The last of 342 letters has four bits to spare.
    canonical = ALPHABET.index(token[-1])
    for spare in range(1, 16):
        assert verdict(call, verifier, token[:-1] + ALPHABET[canonical + spare]) == MALFORMED


def test_cve_2023_51774_encrypted_where_signed_is_meant(
    call: Call, pool: FakeUserPool, verifier: CognitoVerifier
) -> None:
    """Json-jwt: who knows the public key can encrypt, and what could be decrypted counted as signed."""
    assert verdict(call, verifier, encrypted(pool, json.dumps(mallory(pool)).encode())) == ENCRYPTED


def test_cve_2024_33664_compressed_to_nothing(call: Call, pool: FakeUserPool, verifier: CognitoVerifier) -> None:
    """Python-jose: an encrypted token of a few kilobytes was inflated to gigabytes."""
    bomb = encrypted(pool, b" " * 5_000_000, zip="DEF")
    assert len(bomb) < MAX_TOKEN_BYTES
    assert peak_of(lambda: verdict(call, verifier, bomb)) < 1_000_000
    assert verdict(call, verifier, bomb) == ENCRYPTED


def test_cve_2025_62706_compressed_claims(call: Call, pool: FakeUserPool, verifier: CognitoVerifier) -> None:
    """Authlib: `zip: DEF` inflated without a bound."""
    inflated = json.dumps(mallory(pool) | {"custom:x": "x" * 5_000_000}).encode()
    header = {"alg": "RS256", "kid": pool.access_key.kid, "zip": "DEF"}
    token = pool.sign(header, zlib.compress(inflated, 9, wbits=-15))
    assert peak_of(lambda: verdict(call, verifier, token)) < 1_000_000
    assert verdict(call, verifier, token) == FOREIGN_HEADER


def test_cve_2025_30204_token_of_dots(call: Call, verifier: CognitoVerifier) -> None:
    """Golang-jwt: splitting `Bearer ......` cost sixteen times its size."""
    headers = {"Authorization": "Bearer " + "." * 1_000_000}
    reasons: list[Reason] = []

    def ask() -> None:
        with pytest.raises(MalformedTokenError) as refusal:
            call(verifier, "authenticate", headers)
        reasons.append(refusal.value.reason)

    assert peak_of(ask) < 3_000_000
    assert reasons == [Reason.OVERSIZED_TOKEN]


@pytest.mark.parametrize("segment", [0, 1, 2], ids=["header", "claims", "signature"])
def test_cve_2025_61920_segment_without_a_bound(
    call: Call, pool: FakeUserPool, verifier: CognitoVerifier, segment: int
) -> None:
    """Authlib: header and signature of hundreds of megabytes were decoded before they were refused."""
    segments = pool.access_token().split(".")
    segments[segment] += "A" * 4_000_000
    token = ".".join(segments)
    assert peak_of(lambda: verdict(call, verifier, token)) < 1_000_000
    assert verdict(call, verifier, token) == OVERSIZED


# --- claims of another type or another place -----------------------------------------------------------------------


def test_cve_2024_53861_part_of_the_issuer(call: Call, pool: FakeUserPool, verifier: CognitoVerifier) -> None:
    """PyJWT: the issuer was looked for *in* the configured text."""
    issuer = pool.issuer
    for part in (issuer[:-1], issuer[1:], issuer + "/", issuer + "x", "https://", "/", "", issuer.upper(), issuer * 2):
        assert verdict(call, verifier, pool.access_token(issuer=part)) == WRONG_ISSUER


def test_cve_2025_30144_issuer_among_others(
    call: Call, pool: FakeUserPool, attacker: FakeUserPool, verifier: CognitoVerifier, endpoint: Endpoint
) -> None:
    """Fast-jwt: an array of issuers was good where one of them was, and another one named the keys."""
    for issuers in ([attacker.issuer, pool.issuer], [pool.issuer], {pool.issuer: True}):
        assert verdict(call, verifier, attacker.access_token(iss=issuers)) == MALFORMED_CLAIM
    assert endpoint.uris == []


@pytest.mark.parametrize("claim", ["sub", "jti", "client_id", "token_use", "username"])
def test_cve_2026_75509_array_where_one_text_is_meant(
    call: Call, pool: FakeUserPool, verifier: CognitoVerifier, claim: str
) -> None:
    """Joserfc: an array that held the expected text was as good as the text."""
    good = {**mallory(pool), "jti": "x", "username": "jane"}
    token = pool.sign({"alg": "RS256", "kid": pool.access_key.kid}, {**good, claim: [good[claim]]})
    assert verdict(call, verifier, token) == MALFORMED_CLAIM


def test_cve_2018_15801_issuer_of_the_same_key(call: Call, pool: FakeUserPool, clock: FakeClock) -> None:
    """Spring Security: the issuer was not compared, so that one with the same key could stand in."""
    twin = FakeUserPool("eu-west-1_Twin00001", clock=clock, client_id=pool.client_id, keys_of=pool)
    assert verdict(call, pool.verifier(), twin.access_token()) == WRONG_ISSUER
    assert verdict(call, twin.verifier(), twin.access_token()) is None


@pytest.mark.parametrize("audience", [[], [""], "", None, {}, [None], [7], 7, False])
def test_cve_2020_26160_audience_of_another_type(
    call: Call, pool: FakeUserPool, verifier: CognitoVerifier, audience: object
) -> None:
    """Jwt-go: an audience that was no text became an empty one, which nobody checked."""
    assert verdict(call, verifier, pool.access_token(aud=audience)) == MALFORMED_CLAIM
    assert verdict(call, pool.verifier(token_use="id"), pool.id_token(aud=audience)) == MALFORMED_CLAIM


def test_cve_2025_62610_token_for_another_service(call: Call, pool: FakeUserPool, verifier: CognitoVerifier) -> None:
    """Hono: `aud` could not be checked, so that a token for one service was good at all."""
    assert verdict(call, verifier, pool.bound_token("https://other.example.com")) == WRONG_AUDIENCE
    assert verdict(call, verifier, pool.access_token(client_id="another")) == WRONG_CLIENT


def test_cve_2025_69196_token_for_the_base_url(call: Call, pool: FakeUserPool) -> None:
    """FastMCP: tokens were issued for the base URL, and so were good at every server below it."""
    verifier = pool.verifier(resource="https://api.example.com/mcp")
    for resource in ("https://api.example.com", "https://api.example.com/", "https://api.example.com/mcp/other"):
        assert verdict(call, verifier, pool.bound_token(resource)) == WRONG_AUDIENCE
    assert verdict(call, verifier, pool.bound_token("https://api.example.com/mcp")) is None


def test_cve_2026_116684_audience_unchecked_by_default(call: Call, pool: FakeUserPool) -> None:
    """MCP Python SDK: whom a token was issued for was not part of the check."""
    verifier = pool.verifier(resource="https://api.example.com/mcp", resource_binding="required")
    for token in (pool.bound_token("https://other.example.com"), pool.access_token(), pool.client_token()):
        assert verdict(call, verifier, token) == WRONG_AUDIENCE


def test_cve_2026_114618_audience_only_present(call: Call, pool: FakeUserPool) -> None:
    """Authlib: an empty list of audiences asked for an `aud` claim, and for none in particular."""
    with pytest.raises(ConfigurationError) as mistake:
        pool.verifier(resource=[], resource_binding="required")
    assert mistake.value.setting == "resource_binding"


def test_cve_2024_51744_expired_and_forged(
    call: Call, pool: FakeUserPool, attacker: FakeUserPool, verifier: CognitoVerifier
) -> None:
    """Golang-jwt: who asked whether a token had expired was not told that it was forged as well."""
    token = attacker.access_token(issuer=pool.issuer, header={"kid": pool.access_key.kid}, expires_in=-60)
    assert verdict(call, verifier, token) == BAD_SIGNATURE
    assert verdict(call, verifier, pool.access_token(expires_in=-60)) == EXPIRED


def test_cve_2026_107719_expired_while_remembered(
    call: Call, pool: FakeUserPool, verifier: CognitoVerifier, clock: FakeClock
) -> None:
    """Fast-jwt: a token without `iat` outlived its `exp` in the cache of verified ones."""
    token = pool.access_token(expires_in=300)
    assert [verdict(call, verifier, token) for _ in range(3)] == [None] * 3
    clock.tick(310)
    assert verdict(call, verifier, token) == EXPIRED
    assert verdict(call, verifier, pool.access_token(iat=ABSENT)) == MISSING_CLAIM


# --- one caller taken for another ----------------------------------------------------------------------------------


def test_cve_2026_35030_same_first_characters(call: Call, pool: FakeUserPool, verifier: CognitoVerifier) -> None:
    """LiteLLM: identities were cached under a token's first twenty characters, which all tokens share."""
    tokens = {name: pool.access_token(username=name) for name in ("alice", "bob")}
    assert len({token[:20] for token in tokens.values()}) == 1
    for name in ("alice", "bob", "alice"):
        assert call(verifier, "verify", tokens[name]).username == name
    header, _, signature = tokens["alice"].split(".")
    forged = base64url(json.dumps(mallory(pool)).encode())
    assert verdict(call, verifier, f"{header}.{forged}.{signature}") == BAD_SIGNATURE


def test_cve_2026_35039_same_cache_key(call: Call, pool: FakeUserPool, verifier: CognitoVerifier) -> None:
    """Fast-jwt: a cache key built of a few claims gave one token's claims to another's bearer."""
    few: dict[str, Any] = {"jti": "1", "origin_jti": "2", "sub": "jane"}
    staff, guest = pool.access_token(groups=["staff"], **few), pool.access_token(**few)
    principals: list[Principal] = [call(verifier, "verify", token) for token in (staff, guest, staff)]
    assert [principal.groups for principal in principals] == [{"staff"}, frozenset(), {"staff"}]


def test_cve_2025_59936_cached_key_of_another_issuer(
    call: Call, pool: FakeUserPool, attacker: FakeUserPool, verifier: CognitoVerifier, endpoint: Endpoint
) -> None:
    """Get-jwks: keys were cached under a text of algorithm, key ID and issuer that two could share."""
    forged = attacker.access_token(header={"kid": pool.access_key.kid})
    assert verdict(call, verifier, forged) == WRONG_ISSUER
    assert endpoint.uris == []
    assert verdict(call, verifier, pool.access_token()) is None
    renamed = attacker.access_token(issuer=pool.issuer, header={"kid": pool.access_key.kid})
    assert verdict(call, verifier, renamed) == BAD_SIGNATURE


def test_cve_2026_89313_last_key_for_an_unknown_kid(call: Call, pool: FakeUserPool, verifier: CognitoVerifier) -> None:
    """Gose: who asked for a key that was not there got the last one of the set."""
    for key in (pool.id_key, pool.access_key):
        token = pool.access_token(key=key, header={"kid": "nobody's"})
        assert verdict(call, verifier, token) == UNKNOWN_KEY


# --- where keys come from ------------------------------------------------------------------------------------------


def test_cve_2025_22149_withdrawn_key(call: Call, pool: FakeUserPool, endpoint: Endpoint, clock: FakeClock) -> None:
    """Jwkset: a refresh added and replaced keys, and never removed one."""
    schedule = RefreshSchedule(fresh_for=600, stale_for=0)
    verifier = pool.verifier(fetch=endpoint, timer=clock, schedule=schedule)
    stolen = pool.access_token()
    assert verdict(call, verifier, stolen) is None
    pool.withdraw(pool.access_key.kid)
    endpoint.jwks = pool.jwks
    clock.tick(601)
    assert verdict(call, verifier, stolen) == UNKNOWN_KEY


def test_cve_2026_48524_invented_key_ids_while_nothing_answers(
    call: Call, pool: FakeUserPool, verifier: CognitoVerifier, endpoint: Endpoint
) -> None:
    """PyJWT: each unknown key ID was a fetch, and a failed one lost the keys that were held."""
    good = pool.access_token()
    assert verdict(call, verifier, good) is None
    endpoint.jwks = None
    flood = [verdict(call, verifier, pool.access_token(header={"kid": f"invented {n}"})) for n in range(50)]
    assert flood == [NO_KEYS] * 50
    assert len(endpoint.uris) == 2
    assert verdict(call, verifier, good) is None


def test_cve_2026_102274_malformed_jwk_among_good_ones(call: Call, pool: FakeUserPool) -> None:
    """PyJWT: one RSA key of impossible numbers made the whole set unusable."""
    for number in ("", "!", "AA", "AQ", "A" * 5000, 7, None, "é"):
        for member in ("n", "e"):
            verifier = trusting(pool, {**SigningKey.draw().jwk(), member: number}, *pool.jwks["keys"])
            assert verdict(call, verifier, pool.access_token()) is None


def test_cve_2026_31837_built_in_key_when_nothing_answers(
    call: Call, pool: FakeUserPool, attacker: FakeUserPool, endpoint: Endpoint
) -> None:
    """Istio: while keys were out of reach, one stood in whose private half is published."""
    endpoint.jwks = None
    verifier = pool.verifier(fetch=endpoint)
    for token in (pool.access_token(), attacker.access_token(issuer=pool.issuer)):
        assert verdict(call, verifier, token) == NO_KEYS


def test_cve_2026_102267_redirect_to_other_keys(call: Call, pool: FakeUserPool, attacker: FakeUserPool) -> None:
    """PyJWT: a redirect of the key endpoint was followed, wherever it led."""
    with attacker.serve() as elsewhere, redirecting_to(elsewhere.jwks_uri) as jwks_uri:
        verifier = pool.verifier(jwks_uri=jwks_uri, allow_insecure_http=True)
        token = attacker.access_token(issuer=pool.issuer, client_id=pool.client_id)
        assert verdict(call, verifier, token) == NO_KEYS
        assert elsewhere.requests == ()


# --- what a refusal tells ------------------------------------------------------------------------------------------


def test_cve_2025_65015_token_in_the_error(
    call: Call, pool: FakeUserPool, verifier: CognitoVerifier, caplog: pytest.LogCaptureFixture
) -> None:
    """Joserfc: the error for an oversized token held all of it, and so did the log."""
    caplog.set_level(logging.DEBUG)
    tokens = [
        f"{'marker' * 100_000}.a.b",
        pool.access_token(acr=["marker"]),
        pool.access_token(issuer="marker"),
    ]
    for token in tokens:
        with pytest.raises(RefusalError) as refusal:
            call(verifier, "verify", token)
        error = refusal.value
        shown = f"{error} {error!r} {vars(error)} {error.__cause__!r} {''.join(traceback.format_exception(error))}"
        assert "marker" not in shown
        assert not any(len(segment) > 8 and segment in shown for segment in token.split("."))
    assert "marker" not in caplog.text


def test_ghsa_qpvx_gpqm_g98j_expected_signature_in_the_error(
    call: Call, pool: FakeUserPool, verifier: CognitoVerifier
) -> None:
    """Auth0-WCF-Service-JWT: the answer to a bad signature named the right one."""
    signing_input, _, expected = pool.access_token().rpartition(".")
    with pytest.raises(InvalidSignatureError) as refusal:
        call(verifier, "verify", f"{signing_input}.{base64url(bytes(256))}")
    challenge = challenge_for(refusal.value)
    answers = f"{refusal.value} {vars(refusal.value)} {challenge.headers} {challenge.body!r}"
    octets = urlsafe_b64decode(expected + "==")
    assert not any(
        spelling in answers for spelling in (expected[:16], octets.hex()[:16], b64encode(octets).decode()[:16])
    )


# --- requests that are read in two ways ----------------------------------------------------------------------------


def test_cve_2025_64527_two_tokens_while_nothing_answers(pool: FakeUserPool, endpoint: Endpoint) -> None:
    """Envoy: two tokens in a request and keys out of reach brought the process down."""
    endpoint.jwks = None
    guarded = Guarded(pool, verifier=pool.verifier(fetch=endpoint), required=False)
    one = bearer(pool.access_token())
    assert guarded.ask("/", one, one) == NOT_ONE_TOKEN
    assert endpoint.uris == []
    assert guarded.ask("/", one) == UNAVAILABLE
    assert not guarded.probe.was_reached


def test_cve_2023_27487_original_path_by_header(pool: FakeUserPool) -> None:
    """Envoy: a header that only proxies should set moved a request to a path that needs no token."""
    guarded = Guarded(pool, exempt="/health")
    for name in (
        b"x-envoy-original-path",
        b"x-original-url",
        b"x-rewrite-url",
        b"x-forwarded-uri",
        b"x-forwarded-prefix",
    ):
        assert guarded.ask("/orders", (name, b"/health")) == NO_TOKEN
    assert not guarded.probe.was_reached


def test_cve_2026_48710_path_by_host(pool: FakeUserPool) -> None:
    """Starlette: `Host: x/health?` changed the path of the URL that guards looked at."""
    guarded = Guarded(pool, exempt="/health")
    for host in (b"x/health?", b"x/health#", b"api.example.com/health?x=", b"@x/health?"):
        assert guarded.ask("/orders", headers=[(b"host", host)]) == NO_TOKEN
    assert not guarded.probe.was_reached


def test_cve_2023_30845_method_by_header(pool: FakeUserPool) -> None:
    """ESPv2: X-HTTP-Method-Override chose the rule, and the rule asked for no token."""
    guarded = Guarded(pool)
    preflight = [(b"origin", b"https://app.example.com"), (b"access-control-request-method", b"GET")]
    for name in (b"x-http-method-override", b"x-http-method", b"x-method-override"):
        for method in ("GET", "POST", "UNHEARDOF"):
            assert guarded.ask("/", (name, b"OPTIONS"), *preflight, method=method) == NO_TOKEN
    assert not guarded.probe.was_reached


def test_cve_2021_41130_identity_by_header(pool: FakeUserPool) -> None:
    """ESPv1: of two headers with verified claims the first was replaced, and the second came from the client."""
    guarded = Guarded(pool, required=False)
    claims = b64encode(json.dumps(mallory(pool)).encode())
    names = (b"x-endpoint-api-userinfo", b"x-amzn-oidc-identity", b"x-apigateway-api-userinfo", b"remote-user")
    headers = [(name, claims) for name in names for _ in range(2)]
    assert guarded.ask("/", *headers).body == b"anonymous"
    good = pool.access_token()
    assert guarded.ask("/", *headers, bearer(good)).body == pool.subject("jane").encode()


def test_cve_2026_3902_header_with_an_underscore(call: Call, pool: FakeUserPool, verifier: CognitoVerifier) -> None:
    """Django: under ASGI a header spelled with underscores was taken for the one with hyphens."""
    protocol = (b"Sec_WebSocket_Protocol", f"bearer, {pool.access_token()}".encode())
    assert websocket_subprotocol()([protocol]) is None
    with pytest.raises(InvalidRequestError) as refusal:
        call(verifier, "authenticate", [bearer(pool.access_token()), bearer(pool.access_token())])
    assert refusal.value.reason is Reason.REPEATED_HEADER
    guarded = Guarded(pool, token_from=[websocket_subprotocol()])
    assert guarded.ask("/", protocol) == NO_TOKEN


def test_albeast_token_of_a_load_balancer(call: Call, pool: FakeUserPool, verifier: CognitoVerifier) -> None:
    """ALBeast: a load balancer of the attacker's own signs tokens that name any issuer."""
    own = generate_ec_key(SECP256R1())
    arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/evil/50dc6c495c0c9188"
    header = {
        "typ": "JWT",
        "alg": "ES256",
        "kid": "b1946ac9",
        "signer": arn,
        "iss": pool.issuer,
        "client": pool.client_id,
    }
    token = compact(header, mallory(pool), lambda message: own.sign(message, ECDSA(SHA256())))
    padded = ".".join(segment + "=" * (-len(segment) % 4) for segment in token.split("."))
    assert verdict(call, verifier, token) == FOREIGN_ALGORITHM
    assert Guarded(pool).ask("/", (b"x-amzn-oidc-data", padded.encode())) == NO_TOKEN
    assert Guarded(pool).ask("/", bearer(padded)) == BAD_TOKEN


# --- helpers of single tests ---------------------------------------------------------------------------------------


def ec_jwk(kid: str, key: EllipticCurvePrivateKey) -> dict[str, str]:
    """Publish an elliptic curve key."""
    numbers = key.public_key().public_numbers()
    return {
        "kty": "EC",
        "crv": "P-256",
        "kid": kid,
        "x": base64url(numbers.x.to_bytes(32)),
        "y": base64url(numbers.y.to_bytes(32)),
    }


def encrypted(pool: FakeUserPool, plaintext: bytes, **parameters: str) -> str:
    """Encrypt to the pool's public key, which anybody can."""
    header = {"alg": "RSA-OAEP", "enc": "A256GCM", "kid": pool.access_key.kid, **parameters}
    return jwe.encrypt_compact(header, plaintext, RSAKey.import_key(pem(pool)))


def peak_of(work: Callable[[], object]) -> int:
    """Return how many bytes were allocated at once."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@contextmanager
def redirecting_to(target: str) -> Generator[str]:
    """Serve redirects; yield where."""

    class Redirect(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", target)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Redirect) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/jwks.json"
        server.shutdown()
        thread.join()
