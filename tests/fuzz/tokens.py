"""Targets that read a token: its shape alone, the whole judgement, and genuinely signed claims of any content."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from functools import cache
from random import Random
from typing import Any, NamedTuple, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from cognito_guard import CognitoVerifier, InvalidTokenError, MalformedTokenError, Principal, UnsupportedAlgorithmError
from cognito_guard.abstract import Verifier
from cognito_guard.testing import hostile_tokens
from cognito_guard.testing.keys import base64url
from cognito_guard.tokens.jws import MAX_JSON_DEPTH, UnverifiedToken, is_array, parse

from .keys import RESOURCE, pool
from .oracles import BrokenPromiseError, Said, Target, must, said

_OF_SHAPE = (MalformedTokenError, UnsupportedAlgorithmError)
_LEEWAY = 10
_HEADER = '{"alg":"RS256","kid":"%s"}'
_CLAIM_NAMES = (
    *("iss", "sub", "token_use", "exp", "iat", "nbf", "auth_time", "client_id", "aud", "scope", "username", "jti"),
    *("cognito:username", "cognito:groups", "origin_jti", "acr", "amr", "act", "cnf", "custom:x"),
)
_WORDS = (
    *(f'"{name}":'.encode() for name in _CLAIM_NAMES),
    *(b'"alg":"RS256"', b'"alg":"none"', b'"crit":', b'"typ":"at+jwt"', b'"kid":', b"\\u0000", b"\\ud800", b"\\/"),
    *(b"null", b"true", b"1e999", b"-0.0", b"NaN", b"Infinity", b"9007199254740993", b"[[[[[[[[", b"{}", b"[]"),
    *(b'"access"', b'"id"', b"\xef\xbb\xbf", b"\xc3\xa9", b"==", b"."),
)


class _Judges(NamedTuple):
    """Verifiers that must agree, but for what they remember."""

    forgetful: CognitoVerifier
    remembering: CognitoVerifier
    any_of: Verifier
    by_issuer: Verifier


def _text(data: bytes) -> str:
    """Read bytes as a server reads a header; those that begin with an ÿ as any other text."""
    return data[1:].decode("utf-8", "replace") if data[:1] == b"\xff" else data.decode("latin-1")


def run_parse(data: bytes) -> None:
    """Read a token's shape."""
    text = _text(data)
    first = said(lambda: parse(text), _OF_SHAPE, text)
    must(said(lambda: parse(text), _OF_SHAPE, text) == first, "the same verdict each time")
    token = first.value
    if token is None:
        return
    _check_parsed(text, token)
    known = {token.header_segment: token.kid}
    must(parse(text, known_headers=known) == token, "a header judged before is read as anew")


def _check_parsed(text: str, token: UnverifiedToken) -> None:
    header, payload, signature = text.split(".")
    must(token.header_segment == header.encode(), "the header as it stands there")
    must(token.signing_input == f"{header}.{payload}".encode(), "what is signed as it stands there")
    must(base64url(token.signature) == signature, "one spelling of a signature")
    decoded = urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    must(base64url(decoded) == payload, "one spelling of a payload")
    must(_is_same(token.claims, json.loads(decoded)), "the claims that any JSON parser reads")
    must(_depth(token.claims) <= MAX_JSON_DEPTH, "a bounded depth")
    json.dumps(token.claims, ensure_ascii=False, allow_nan=False).encode()
    must(json.loads(urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"] == token.kid, "the header's kid")


def _is_same(one: Any, other: Any) -> bool:
    """Compare with the types: to Python 1 is 1.0 and true, and -0.0 is 0."""
    return repr(one) == repr(other)


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, cast("dict[str, Any]", value).values()), default=0)
    return 1 + max(map(_depth, value), default=0) if is_array(value) else 0


@cache
def _judges() -> _Judges:
    def verifier(**options: Any) -> CognitoVerifier:
        return pool().verifier(jwks=pool().jwks, leeway=_LEEWAY, resource=RESOURCE, **options)

    one = verifier(token_cache_size=64)
    tenants = dict.fromkeys(one.user_pool.issuers, one)
    return _Judges(
        forgetful=verifier(token_cache_size=0),
        remembering=verifier(token_cache_size=64),
        any_of=CognitoVerifier.any_of(one),
        by_issuer=CognitoVerifier.by_issuer(tenants.get, clock=pool().clock),
    )


def run_token(data: bytes) -> None:
    """Judge a token."""
    text = _text(data)
    principal = _judged(text).value
    if principal is None:
        return
    header, payload, signature = text.split(".")
    must(_is_signed(f"{header}.{payload}", signature), "only what the user pool has signed")
    _check_accepted(principal, urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def run_claims(data: bytes) -> None:
    """Judge whatever the user pool might sign."""
    key = pool().access_key
    text = key.sign((_HEADER % key.kid).encode(), data)
    principal = _judged(text).value
    if principal is not None:
        _check_accepted(principal, data)


def _judged(text: str) -> Said[Principal]:
    forgetful, remembering, any_of, by_issuer = _judges()
    first = _verdict(forgetful.verify, text)
    must(_verdict(remembering.verify, text) == first, "the same verdict with a memory")
    must(_verdict(remembering.verify, text) == first, "the same verdict once remembered")
    must(_verdict(lambda token: _run(remembering.averify(token)), text) == first, "the same verdict in both colours")
    must(_verdict(any_of.verify, text) == first, "the same verdict of one among several")
    must(_verdict(by_issuer.verify, text) == first, "the same verdict of a tenant's verifier")
    return first


def _verdict(verify: Callable[[str], Principal], text: str) -> Said[Principal]:
    return said(lambda: verify(text), (InvalidTokenError,), text)


def _run(coroutine: Any) -> Principal:
    """Run a coroutine that never waits, without an event loop: thousands a second."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        principal: Principal = end.value
        return principal
    raise BrokenPromiseError("keys that are given are never waited for")


def _is_signed(signed: str, signature: str) -> bool:
    octets = urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    for key in (pool().access_key, pool().id_key):
        try:
            key.private_key.public_key().verify(octets, signed.encode(), PKCS1v15(), SHA256())
        except InvalidSignature:
            continue
        return True
    return False


def _check_accepted(principal: Principal, payload: bytes) -> None:
    """Hold an accepted token against the rules, written down once more."""
    claims = json.loads(payload)
    now = pool().clock()
    must(Principal(claims, user_pool_id=pool().user_pool_id) == principal, "the claims that were signed")
    must(claims["iss"] in _judges().forgetful.user_pool.issuers, "a configured issuer")
    must(claims["token_use"] == "access", "an access token")
    must(claims["client_id"] in pool().clients, "a configured client")
    must(now - _LEEWAY < claims["exp"], "not expired")
    must(max(claims["iat"], claims.get("nbf", 0)) <= now + _LEEWAY, "not of the future")
    must("cnf" not in claims, "no sender-constrained token")
    audience = claims.get("aud", RESOURCE)
    audiences = cast("list[str]", audience if isinstance(audience, list) else [audience])
    must({RESOURCE, claims["client_id"]}.intersection(audiences), "bound to nobody else")
    for name in dir(principal):
        if not name.startswith("_"):
            repr(getattr(principal, name))


def _genuine() -> Iterator[str]:
    mint = pool()
    machine = list(mint.clients)[1]
    yield mint.access_token()
    yield mint.access_token(from_oauth_endpoint=True, scopes=["openid", "orders/read"], groups=["staff", "größe"])
    yield mint.access_token(plan={"tier": [1, 2.5, None, "a\u0301"]}, nbf=int(mint.clock()), acr="x", amr=["pwd"])
    yield mint.client_token(client_id=machine, scopes=["orders/read"])
    yield mint.bound_token(RESOURCE)
    yield mint.access_token(audience=[RESOURCE, "https://elsewhere.example.com"])
    yield mint.delegated_token("agent-7")
    yield mint.id_token()
    yield mint.refresh_token()


@cache
def _seed_tokens() -> tuple[str, ...]:
    """Return good and hostile tokens; the overlong ones only slow a fuzzer down."""
    hostile = (entry.token for entry in hostile_tokens(pool()))
    return tuple(token for token in (*_genuine(), *hostile) if len(token) <= _LONGEST)


_LONGEST = 4096


def _token_seeds() -> Iterator[bytes]:
    for token in _seed_tokens():
        yield token.encode("latin-1") if max(token, default="") <= "\xff" else b"\xff" + token.encode(errors="replace")


def _payload_seeds() -> Iterator[bytes]:
    for token in _seed_tokens():
        parts = _decoded(token.encode(errors="replace"))
        if parts is not None:
            yield parts[1]


def _decoded(token: bytes) -> list[bytes] | None:
    """Return the octets of the three segments, where it has them."""
    segments = token.split(b".")
    if len(segments) != 3:
        return None
    try:
        return [urlsafe_b64decode(segment + b"=" * (-len(segment) % 4)) for segment in segments]
    except ValueError:
        return None


def mutate_token(data: bytes, longest: int, seed: int, mutate: Callable[[bytes, int], bytes]) -> bytes:
    """Change the text, or what one segment says; leave the signature, take another token's, or sign anew."""
    rng = Random(seed)
    parts = _decoded(data)
    if parts is None or rng.random() < 0.25:
        return mutate(data, longest)
    place = rng.choice((0, 1, 1, 1, 2))
    parts[place] = mutate(parts[place], longest // 2)
    header, payload, signature = map(base64url, parts)
    choice = rng.random()
    if choice < 0.4:
        text = pool().sign(parts[0], parts[1], rng.choice((pool().access_key, pool().id_key)))
    elif choice < 0.6:
        text = f"{header}.{payload}.{rng.choice(_seed_tokens()).rpartition('.')[2]}"
    else:
        text = f"{header}.{payload}.{signature}"
    return text.encode("latin-1", "replace")[:longest]


PARSE = Target(run=run_parse, seeds=_token_seeds, words=_WORDS, longest=_LONGEST, mutator=mutate_token)
TOKEN = Target(run=run_token, seeds=_token_seeds, words=_WORDS, longest=_LONGEST, mutator=mutate_token)
CLAIMS = Target(run=run_claims, seeds=_payload_seeds, words=_WORDS)
