"""
A token's whole verification, and every way to refuse one, as multiples of the bare RSA check.
"""

from __future__ import annotations

import asyncio
import itertools
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TypeAlias

from cognito_guard import CognitoVerifier, InvalidTokenError, Reason
from cognito_guard.testing import FakeClock, FakeUserPool

from .harness import Batch, Effort, Figure, pin, ratios
from .subjects import TRANSACTIONS, access_tokens, bare_check, each, each_awaited, id_tokens, shuffled

Case: TypeAlias = tuple[Batch, float | None]
Forgeries: TypeAlias = tuple[Sequence[str], Reason, float | None]
"""Tokens to refuse, why, and the bar."""
# With the extra `speed` more is expected.
IS_SPED_UP = all(find_spec(name) for name in ("orjson", "pybase64"))
_JUNK_CHARS = 100_000
_FEW = 200


def run(effort: Effort) -> list[Figure]:
    """Measure on one core."""
    pin()
    pool = FakeUserPool(resource_servers=[TRANSACTIONS])
    access, ids = access_tokens(pool, effort.tokens), id_tokens(pool, effort.tokens)
    with asyncio.Runner() as runner:
        cases = {
            **_new(pool, access, ids, runner),
            **_seen(pool, access, ids, runner),
            **_refused(pool, access, runner),
        }
        return ratios(cases, control=bare_check(pool.access_key.private_key.public_key(), access), effort=effort)


def _new(pool: FakeUserPool, access: Sequence[str], ids: Sequence[str], runner: asyncio.Runner) -> dict[str, Case]:
    """Return what costs the whole verification each time."""
    verifier = pool.verifier(token_cache_size=0)
    id_verifier = pool.verifier(token_use="id", token_cache_size=0)
    _check(verifier, access[0])
    _check(id_verifier, ids[0])
    return {
        "access token, new": (each(verifier.verify, access), 1.35 if IS_SPED_UP else 1.60),
        "access token, new, awaited": (each_awaited(runner, verifier.averify, access), None),
        "ID token, new": (each(id_verifier.verify, ids), 1.45 if IS_SPED_UP else 1.75),
    }


def _seen(pool: FakeUserPool, access: Sequence[str], ids: Sequence[str], runner: asyncio.Runner) -> dict[str, Case]:
    """Return what is remembered, in random order, from the request's header to the principal."""
    verifier, id_verifier = pool.verifier(), pool.verifier(token_use="id")
    for token in access:
        _check(verifier, token)
    for token in ids:
        _check(id_verifier, token)
    texts, id_texts = shuffled(access), shuffled(ids)
    in_bytes = [[(b"authorization", f"Bearer {token}".encode())] for token in texts]
    in_text = [{"Authorization": f"Bearer {token}"} for token in texts]
    return {
        "access token, seen": (each(verifier.verify, texts), 0.15),
        "access token, seen, from the header's bytes": (each(verifier.authenticate, in_bytes), 0.15),
        "access token, seen, from the header's text": (each(verifier.authenticate, in_text), None),
        "access token, seen, awaited": (each_awaited(runner, verifier.averify, texts), 0.15),
        "ID token, seen": (each(id_verifier.verify, id_texts), 0.15),
    }


def _refused(pool: FakeUserPool, access: Sequence[str], runner: asyncio.Runner) -> dict[str, Case]:
    verifier = pool.verifier()
    refused: dict[str, Case] = {
        f"refused: {name}": (_refusals(verifier, tokens, reason), bar)
        for name, (tokens, reason, bar) in _forgeries(pool, access).items()
    }
    bad_signatures = _bad_signatures(access)
    replays, clock = access[:_FEW], FakeClock(pool.clock())
    late = pool.verifier(clock=clock)
    for token in replays:
        late.verify(token)
    clock.tick(24 * 3600)
    return {
        **refused,
        "refused: bad signature, awaited": (_awaited_refusals(runner, verifier, bad_signatures), None),
        "refused: expired, seen before": (_refusals(late, replays, Reason.EXPIRED), 0.20),
        "refused: expired, seen before, awaited": (_awaited_refusals(runner, late, replays), None),
    }


def _forgeries(pool: FakeUserPool, good: Sequence[str]) -> dict[str, Forgeries]:
    parts = [token.split(".") for token in good[:_FEW]]

    def with_header(header: bytes) -> list[str]:
        segment = urlsafe_b64encode(header).rstrip(b"=").decode()
        return [".".join((segment, payload, signature)) for _, payload, signature in parts]

    bad_payload = [".".join((header, "!" + payload[1:], signature)) for header, payload, signature in parts]
    foreign = access_tokens(FakeUserPool("eu-west-1_Foreign", resource_servers=[TRANSACTIONS]), len(parts))
    return {
        "not a JWT": (["not a token"], Reason.MALFORMED_TOKEN, 0.10),
        "100 KB of A": (["A" * _JUNK_CHARS], Reason.OVERSIZED_TOKEN, 0.05),
        "100 KB of dots": (["." * _JUNK_CHARS], Reason.OVERSIZED_TOKEN, 0.05),
        "bad base64 in the payload": (bad_payload, Reason.MALFORMED_TOKEN, 0.20),
        "alg none": (with_header(b'{"alg":"none","kid":"k"}'), Reason.UNSUPPORTED_ALGORITHM, 0.30),
        "alg HS256": (with_header(b'{"alg":"HS256","kid":"k"}'), Reason.UNSUPPORTED_ALGORITHM, 0.30),
        "unknown kid": (with_header(b'{"alg":"RS256","kid":"k"}'), Reason.UNKNOWN_KEY, 0.30),
        "foreign issuer": (foreign, Reason.WRONG_ISSUER, None),
        "bad signature": (_bad_signatures(good), Reason.INVALID_SIGNATURE, 1.60),
        "expired": (access_tokens(pool, len(parts), expires_in=-60), Reason.EXPIRED, None),
    }


def _bad_signatures(good: Sequence[str]) -> list[str]:
    """Return tokens that carry each other's signatures."""
    parts = [token.split(".") for token in good[:_FEW]]
    return [".".join((*parts[n][:2], parts[n - 1][2])) for n in range(len(parts))]


def _check(verifier: CognitoVerifier, token: str) -> None:
    principal = verifier.verify(token)
    assert principal.username is not None
    assert principal.username.startswith("user")
    assert principal.groups == {"tellers", "auditors"}


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


def _awaited_refusals(runner: asyncio.Runner, verifier: CognitoVerifier, tokens: Sequence[str]) -> Batch:
    endless = itertools.cycle(tokens)

    async def run(size: int) -> None:
        for token in itertools.islice(endless, size):
            try:
                await verifier.averify(token)
            except InvalidTokenError:
                continue
            raise AssertionError("accepted")

    return lambda size: runner.run(run(size))
