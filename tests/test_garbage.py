"""A refusal is gone with whoever caught it: a flood of bad tokens leaves nothing for the garbage collector."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from typing import Any
from weakref import ref

import pytest

from cognito_guard import CognitoVerifier, Principal, RefusalError, Requires, RevocationList, Verifier
from cognito_guard.testing import FakeUserPool, hostile_tokens

POOL = FakeUserPool()


class Broken(RevocationList):
    """A store that is out of reach."""

    def is_revoked(self, principal: Principal) -> bool:
        """Fail."""
        raise ConnectionError


def expired() -> tuple[Verifier, str]:
    """Return a token that was good once, and is known."""
    now = [POOL.clock()]
    verifier = POOL.verifier(clock=lambda: now[0])
    token = POOL.access_token()
    verifier.verify(token)
    now[0] += 7200
    return verifier, token


def revoked() -> tuple[Verifier, str]:
    """Return a token that was revoked."""
    revocations = RevocationList()
    revocations.revoke_pool(POOL.user_pool_id)
    return POOL.verifier(revocations=revocations), POOL.access_token()


CASES: dict[str, Callable[[], tuple[Verifier, str]]] = {
    "expired, seen before": expired,
    "revoked": revoked,
    "nobody to ask for revocations": lambda: (POOL.verifier(revocations=Broken()), POOL.access_token()),
    "a scope that all must have": lambda: (POOL.verifier(required_scopes="a/read"), POOL.access_token()),
    "of several verifiers none": lambda: (CognitoVerifier.any_of(POOL.verifier()), POOL.id_token()),
    "of nobody": lambda: (CognitoVerifier.any_of(POOL.verifier()), FakeUserPool("eu-west-1_Other").access_token()),
}


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    """Let only reference counts free what is not used any more."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def outlives(refuse: Callable[[], Any]) -> bool:
    """Tell whether the refusal that is raised outlives its handler."""
    try:
        refuse()
    except RefusalError as error:
        left = ref(error)
    else:
        pytest.fail("was let through")
    return left() is not None


@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in CASES.items()])
def test_refusal_leaves_no_cycle(make: Callable[[], tuple[Verifier, str]]) -> None:
    """Whether the caller waits or awaits."""
    verifier, token = make()
    assert not outlives(lambda: verifier.verify(token))

    async def awaited() -> ref[RefusalError] | None:
        try:
            await verifier.averify(token)
        except RefusalError as error:
            return ref(error)
        return None

    left = asyncio.run(awaited())
    assert left is not None
    assert left() is None


def test_refused_requirement_leaves_no_cycle() -> None:
    """Each of them, and composed."""
    verifier = POOL.verifier()
    principal = verifier.verify(POOL.access_token())
    scopes, groups = Requires(scopes="a/read"), Requires(groups="staff")
    for requirement in (scopes, groups, scopes & groups, scopes | groups, ~Requires(client_id=POOL.client_id)):
        assert not outlives(lambda: verifier.authorize(principal, requirement))  # noqa: B023


def test_no_hostile_token_leaves_a_cycle() -> None:
    """Whatever is wrong with it."""
    verifier = POOL.verifier()
    refused = [hostile for hostile in hostile_tokens(POOL) if hostile.reason is not None]
    left = {hostile.name for hostile in refused if outlives(lambda: verifier.verify(hostile.token))}  # noqa: B023
    assert left == set()
