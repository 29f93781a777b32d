"""
A token's whole verification, and every way to refuse one, as multiples of the bare RSA check.
"""

from __future__ import annotations

import asyncio
import itertools
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from cognito_guard import CognitoVerifier, InvalidTokenError, Reason, ResourceServer
from cognito_guard.testing import FakeUserPool

from .harness import Batch, Figure, pin, ratios

TOKENS = 2000
_TRANSACTIONS = ResourceServer("transactions", {"get": "Read", "post": "Write"})
_JUNK_CHARS = 100_000


def run() -> list[Figure]:
    """Measure on one core."""
    pin()
    pool = FakeUserPool(resource_servers=[_TRANSACTIONS])
    access, ids = _access_tokens(pool), _id_tokens(pool)
    verifier, id_verifier = pool.verifier(), pool.verifier(token_use="id")
    verified = verifier.verify(access[0])
    assert verified.username == "user0"
    assert verified.scopes >= {"transactions/get"}
    assert id_verifier.verify(ids[0]).username == "user0"
    accepted: dict[str, tuple[Batch, float | None]] = {
        "access token, new": (_each(verifier.verify, access), 1.60),
        "ID token, new": (_each(id_verifier.verify, ids), 1.75),
        "access token, new, await": (_each_awaited(verifier, access), None),
    }
    refused = {
        name: (_refusals(verifier, tokens, reason), bar)
        for name, (tokens, reason, bar) in _bad_tokens(pool, access).items()
    }
    return ratios({**accepted, **refused}, control=_bare_check(pool, access))


def _access_tokens(pool: FakeUserPool) -> list[str]:
    scopes = ["openid", *_TRANSACTIONS.scopes]
    return [
        pool.access_token(username=f"user{n}", scopes=scopes, groups=["tellers", "auditors"], from_oauth_endpoint=True)
        for n in range(TOKENS)
    ]


def _id_tokens(pool: FakeUserPool) -> list[str]:
    attributes = {"tenant": "t-42", "department": "accounts payable", "employee": 4711, "locale": "de-DE", "beta": True}
    return [
        pool.id_token(
            username=f"user{n}", attributes=attributes, groups=["tellers", "auditors"], from_oauth_endpoint=True
        )
        for n in range(TOKENS)
    ]


def _bare_check(pool: FakeUserPool, tokens: Sequence[str]) -> Batch:
    """Return the control: nothing but RSA, everything prepared."""
    check = pool.access_key.private_key.public_key().verify
    padding, algorithm = PKCS1v15(), SHA256()
    prepared: list[tuple[bytes, bytes]] = []
    for token in tokens:
        message, _, signature = token.rpartition(".")
        prepared.append((urlsafe_b64decode(signature + "=="), message.encode()))
    endless = itertools.cycle(prepared)

    def batch(size: int) -> None:
        for signature, message in itertools.islice(endless, size):
            check(signature, message, padding, algorithm)

    return batch


def _each(verify: Callable[[str], object], tokens: Sequence[str]) -> Batch:
    endless = itertools.cycle(tokens)

    def batch(size: int) -> None:
        for token in itertools.islice(endless, size):
            verify(token)

    return batch


def _each_awaited(verifier: CognitoVerifier, tokens: Sequence[str]) -> Batch:
    endless = itertools.cycle(tokens)
    loop = asyncio.new_event_loop()

    async def run_batch(size: int) -> None:
        for token in itertools.islice(endless, size):
            await verifier.averify(token)

    return lambda size: loop.run_until_complete(run_batch(size))


def _refusals(verifier: CognitoVerifier, tokens: Sequence[str], reason: Reason) -> Batch:
    for token in tokens[:5]:
        try:
            verifier.verify(token)
        except InvalidTokenError as error:
            assert error.reason is reason, error.reason
        else:
            raise AssertionError("accepted")
    endless = itertools.cycle(tokens)

    def batch(size: int) -> None:
        for token in itertools.islice(endless, size):
            try:
                verifier.verify(token)
            except InvalidTokenError:
                pass

    return batch


def _bad_tokens(pool: FakeUserPool, good: Sequence[str]) -> dict[str, tuple[list[str], Reason, float | None]]:
    parts = [token.split(".") for token in good[:200]]

    def with_header(header: bytes) -> list[str]:
        segment = urlsafe_b64encode(header).rstrip(b"=").decode()
        return [".".join((segment, payload, signature)) for _, payload, signature in parts]

    other_signatures = [".".join((*parts[n][:2], parts[n - 1][2])) for n in range(len(parts))]
    bad_payload = [".".join((header, "!" + payload[1:], signature)) for header, payload, signature in parts]
    expired = [pool.access_token(username=f"user{n}", expires_in=-60) for n in range(200)]
    foreign = FakeUserPool("eu-west-1_Foreign")
    return {
        "refused: not a JWT": (["not a token"], Reason.MALFORMED_TOKEN, 0.10),
        "refused: 100 KB of A": (["A" * _JUNK_CHARS], Reason.OVERSIZED_TOKEN, 0.05),
        "refused: 100 KB of dots": (["." * _JUNK_CHARS], Reason.OVERSIZED_TOKEN, 0.05),
        "refused: bad base64 in the payload": (bad_payload, Reason.MALFORMED_TOKEN, 0.20),
        "refused: alg none": (with_header(b'{"alg":"none","kid":"k"}'), Reason.UNSUPPORTED_ALGORITHM, 0.30),
        "refused: alg HS256": (with_header(b'{"alg":"HS256","kid":"k"}'), Reason.UNSUPPORTED_ALGORITHM, 0.30),
        "refused: unknown kid": (with_header(b'{"alg":"RS256","kid":"k"}'), Reason.UNKNOWN_KEY, 0.30),
        "refused: foreign issuer": ([foreign.access_token() for _ in range(200)], Reason.WRONG_ISSUER, None),
        "refused: bad signature": (other_signatures, Reason.INVALID_SIGNATURE, 1.60),
        "refused: expired": (expired, Reason.EXPIRED, None),
    }
