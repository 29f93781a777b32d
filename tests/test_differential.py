"""Ten thousand mutated tokens, judged by us and by careful users of other libraries: the same verdict, or stricter."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import Any, ClassVar, Self, TypeAlias

import jwt
import jwt.api_jwt
import pytest
from joserfc import jwk as joserfc_jwk
from joserfc import jwt as joserfc_jwt
from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry
from mutations import LEEWAY, LIFETIME, RESOURCE, Herd, Mutant
from strictness import CLAIMS, FORM, Reading, Stricter, as_list, is_texts

from cognito_guard import CognitoVerifier, InvalidTokenError, Principal, Reason

Claims: TypeAlias = Mapping[str, Any]
Judge: TypeAlias = Callable[[Mutant], Claims | None]

SEED = 20_260_101
COUNT = 10_000
STRICTER: Mapping[str, Stricter] = {**FORM, **CLAIMS}


class FrozenDatetime(datetime):
    """Tell PyJWT, which takes no clock, the time."""

    timestamp_now: ClassVar[float] = 0.0

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        """Return the time that was set."""
        return cls.fromtimestamp(cls.timestamp_now, tz)


def with_pyjwt(herd: Herd, issuers: tuple[str, ...]) -> Judge:
    """Judge by PyJWT and what its careful user adds."""
    keys = {jwk["kid"]: jwt.PyJWK(jwk).key for jwk in herd.pool.jwks["keys"]}
    required = ["exp", "iat", "iss", "sub", "token_use", "client_id"]

    def judge(mutant: Mutant) -> Claims | None:
        FrozenDatetime.timestamp_now = mutant.now
        try:
            claims = jwt.decode(
                mutant.token,
                keys[jwt.get_unverified_header(mutant.token)["kid"]],
                algorithms=["RS256"],
                issuer=issuers,
                leeway=LEEWAY,
                options={"verify_aud": False, "require": required},
            )
        except (jwt.PyJWTError, KeyError):
            return None
        return claims if is_for_us(claims, herd.client_ids) else None

    return judge


def with_joserfc(herd: Herd, issuers: tuple[str, ...]) -> Judge:
    """Judge by joserfc and what its careful user adds."""
    keys = joserfc_jwk.KeySet.import_key_set({"keys": [dict(jwk) for jwk in herd.pool.jwks["keys"]]})
    # RFC 7515 §4: parameters that are not understood are ignored.
    registry = JWSRegistry(algorithms=["RS256"], strict_check_header=False)
    essential: dict[str, Any] = {name: {"essential": True} for name in ("exp", "iat", "sub", "token_use", "client_id")}

    def judge(mutant: Mutant) -> Claims | None:
        now: Any = mutant.now
        rules = joserfc_jwt.JWTClaimsRegistry(
            now=now, leeway=LEEWAY, **essential, iss={"essential": True, "values": list(issuers)}
        )
        try:
            claims = joserfc_jwt.decode(mutant.token, keys, registry=registry).claims
            rules.validate(claims)
        except (JoseError, ValueError, TypeError):
            return None
        return claims if is_for_us(claims, herd.client_ids) else None

    return judge


def is_for_us(claims: Claims, client_ids: tuple[str, ...]) -> bool:
    """Judge what Cognito adds to a JWT, as its developer guide tells everybody to."""
    client_id = claims["client_id"]
    audiences = as_list(claims.get("aud", client_id))
    return (
        claims["token_use"] == "access"
        and isinstance(client_id, str)
        and client_id in client_ids
        and isinstance(claims.get("scope", ""), str)
        and is_texts(claims.get("cognito:groups", []))
        and is_texts(audiences)
        and not {client_id, RESOURCE}.isdisjoint(audiences)
        and "cnf" not in claims
    )


ORACLES = {"PyJWT": with_pyjwt, "joserfc": with_joserfc}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Hold a mutant with our verdict and those of the others: what was read, or None for a refusal."""

    mutant: Mutant
    ours: Principal | Reason
    theirs: Mapping[str, Claims | None]


@contextmanager
def presented(herd: Herd, mutant: Mutant) -> Generator[None]:
    """Let it be the time at which the mutant is presented."""
    start = herd.clock()
    herd.clock.tick(mutant.now - start)
    yield
    herd.clock.tick(start - herd.clock())


def verdict(herd: Herd, verifier: CognitoVerifier, mutant: Mutant) -> Principal | Reason:
    """Return our verdict; anything but a refusal of the token would be an error."""
    with presented(herd, mutant):
        try:
            return verifier.verify(mutant.token)
        except InvalidTokenError as error:
            return error.reason


@pytest.fixture(scope="module")
def herd() -> Herd:
    """Return where the mutants come from."""
    return Herd()


@pytest.fixture(scope="module")
def verifier(herd: Herd) -> CognitoVerifier:
    """Return the verifier to compare."""
    return herd.pool.verifier(resource=RESOURCE, leeway=LEEWAY, jwks=herd.pool.jwks)


@pytest.fixture(scope="module")
def mutants(herd: Herd) -> list[Mutant]:
    """Return the mutants."""
    return list(herd.mutants(SEED, COUNT))


@pytest.fixture(scope="module")
def judged(herd: Herd, verifier: CognitoVerifier, mutants: list[Mutant]) -> Iterator[list[Judged]]:
    """Have all mutants judged by everybody."""
    judges = {name: make(herd, verifier.user_pool.issuers) for name, make in ORACLES.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jwt.api_jwt, "datetime", FrozenDatetime)
        yield [
            Judged(
                mutant=mutant,
                ours=verdict(herd, verifier, mutant),
                theirs={name: judge(mutant) for name, judge in judges.items()},
            )
            for mutant in mutants
        ]


@pytest.mark.parametrize("oracle", ORACLES)
def test_nothing_is_accepted_that_another_library_refuses(judged: list[Judged], oracle: str) -> None:
    """A token that we alone accept would be a hole."""
    assert [one for one in judged if isinstance(one.ours, Principal) and one.theirs[oracle] is None] == []


@pytest.mark.parametrize("oracle", ORACLES)
def test_what_we_alone_refuse_is_refused_for_a_listed_reason(judged: list[Judged], oracle: str) -> None:
    """Whatever else is refused here, a genuine token could be refused for as well."""
    alone = [one for one in judged if isinstance(one.ours, Reason) and one.theirs[oracle] is not None]
    unexplained = [one for one in alone if not any(explains(case, one) for case in STRICTER.values())]
    assert unexplained == []


@pytest.mark.parametrize("name", STRICTER)
def test_listed_case_occurs(judged: list[Judged], name: str) -> None:
    """A case that never occurs would hide what we refuse by mistake."""
    assert any(explains(STRICTER[name], one) for one in judged)


def explains(case: Stricter, one: Judged) -> bool:
    """Tell whether a case of the list is why we refuse what the others read."""
    is_read = any(theirs is not None for theirs in one.theirs.values())
    return is_read and one.ours == case.reason and case.applies(Reading(one.mutant))


@pytest.mark.parametrize("oracle", ORACLES)
def test_accepted_token_says_the_same_to_everybody(judged: list[Judged], herd: Herd, oracle: str) -> None:
    """Two readings of one token are how an identity is smuggled past the one who checks it."""
    accepted = [(one.ours, one.theirs[oracle]) for one in judged if isinstance(one.ours, Principal)]
    assert len(accepted) >= COUNT // 20
    for ours, theirs in accepted:
        assert theirs is not None
        assert ours == Principal(theirs, user_pool_id=herd.pool.user_pool_id)


def test_every_good_token_is_accepted_and_no_foreign_one(herd: Herd, judged: list[Judged]) -> None:
    """The comparison begins with tokens that all must agree on, unharmed."""
    accepted = {one.mutant.kind for one in judged if isinstance(one.ours, Principal)}
    refused = {one.mutant.kind for one in judged if isinstance(one.ours, Reason)}
    assert herd.good_tokens().keys() <= accepted - refused
    assert herd.foreign_tokens().keys() <= refused - accepted


def test_mutations_meet_every_check(judged: list[Judged]) -> None:
    """The mutants are not all stopped at the first gate."""
    reasons = Counter(one.ours for one in judged if isinstance(one.ours, Reason))
    assert {
        *(Reason.MALFORMED_TOKEN, Reason.OVERSIZED_TOKEN, Reason.ENCRYPTED_TOKEN, Reason.UNSUPPORTED_ALGORITHM),
        *(Reason.UNSUPPORTED_HEADER, Reason.UNKNOWN_KEY, Reason.INVALID_SIGNATURE, Reason.MISSING_CLAIM),
        *(Reason.MALFORMED_CLAIM, Reason.WRONG_ISSUER, Reason.WRONG_TOKEN_USE, Reason.WRONG_CLIENT, Reason.EXPIRED),
        *(Reason.WRONG_AUDIENCE, Reason.SENDER_CONSTRAINED, Reason.NOT_YET_VALID, Reason.ISSUED_IN_FUTURE),
    } == reasons.keys()


def test_awaited_verdicts_are_the_same(herd: Herd, verifier: CognitoVerifier, mutants: list[Mutant]) -> None:
    """Both colours judge alike."""

    async def averdict(mutant: Mutant) -> Principal | Reason:
        with presented(herd, mutant):
            try:
                return await verifier.averify(mutant.token)
            except InvalidTokenError as error:
                return error.reason

    async def run() -> list[Principal | Reason]:
        return [await averdict(mutant) for mutant in mutants[:2500]]

    assert asyncio.run(run()) == [verdict(herd, verifier, mutant) for mutant in mutants[:2500]]


def test_memory_changes_no_verdict(herd: Herd, verifier: CognitoVerifier, judged: list[Judged]) -> None:
    """A verifier that has seen a token says of it, at any time, what one says that remembers none."""
    forgetful = herd.pool.verifier(resource=RESOURCE, leeway=LEEWAY, jwks=herd.pool.jwks, token_cache_size=0)
    seen = [one.mutant for one in judged if isinstance(one.ours, Principal)]
    start = herd.clock()
    for edge in (start, start + LIFETIME):
        for shift in (-LEEWAY - 1, -LEEWAY, 0, LEEWAY - 0.001, LEEWAY):
            later = [replace(mutant, now=edge + shift) for mutant in seen]
            remembered = [verdict(herd, verifier, mutant) for mutant in later]
            assert remembered == [verdict(herd, forgetful, mutant) for mutant in later]


def test_same_seed_breeds_the_same_mutants(herd: Herd, mutants: list[Mutant]) -> None:
    """A failure can be had again: nothing but keys and identifiers differs from run to run."""
    first, again = (
        [(one.kind, len(one.token), one.now) for one in some] for some in (mutants, Herd().mutants(SEED, 1500))
    )
    assert first[:1500] == again
