"""The names one pool signs as: a switch between its two forms, replicas, partitions, and hosts without its keys."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Literal, TypeAlias

import pytest

from cognito_guard import (
    CognitoVerifier,
    InvalidClaimError,
    Principal,
    Reason,
    RefreshSchedule,
    RefusalError,
    UnavailableError,
    UnknownKeyError,
)
from cognito_guard.testing import FakeClock, FakeUserPool, FaultyJWKSServer
from cognito_guard.testing.faults import Fault

POOL_ID = "eu-west-1_AbCdEf123"
ORIGINAL = f"https://cognito-idp.eu-west-1.amazonaws.com/{POOL_ID}"
UPDATED = f"https://issuer-cognito-idp.eu-west-1.amazonaws.com/{POOL_ID}"
JWKS = "/.well-known/jwks.json"
PATIENCE = 30.0  # seconds that nothing here takes unless it hangs
SCHEDULE = RefreshSchedule(deadline=PATIENCE)
THREADS = 4

Call: TypeAlias = Callable[..., Any]
Verdict: TypeAlias = str | tuple[type[RefusalError], Reason]

WRONG_ISSUER: Verdict = (InvalidClaimError, Reason.WRONG_ISSUER)
UNKNOWN_KEY: Verdict = (UnknownKeyError, Reason.UNKNOWN_KEY)
UNAVAILABLE: Verdict = (UnavailableError, Reason.KEYS_UNAVAILABLE)


def verdict(call: Call, verifier: CognitoVerifier, token: str) -> Verdict:
    """Return the issuer of a token that is accepted, or error and reason."""
    try:
        principal: Principal = call(verifier, "verify", token)
    except RefusalError as error:
        return type(error), error.reason
    return principal.issuer


class Published:
    """
    Be the `fetch` of a verifier: publish the pool's keys everywhere.

    Attributes:
        uris: the URIs that were asked, in order.
    """

    def __init__(self, pool: FakeUserPool) -> None:
        self.uris: list[str] = []
        self._pool = pool

    def __call__(self, uri: str, timeout: float, /) -> bytes:
        self.uris.append(uri)
        return self._pool.fetch(uri, timeout)


@pytest.fixture
def original(clock: FakeClock) -> FakeUserPool:
    """Return the pool before the switch."""
    return FakeUserPool(POOL_ID, clock=clock)


@pytest.fixture
def updated(original: FakeUserPool, clock: FakeClock) -> FakeUserPool:
    """Return the same pool after the switch: another name, the same keys and users."""
    return FakeUserPool(POOL_ID, clock=clock, keys_of=original, issuer_format="updated")


@pytest.fixture
def published(original: FakeUserPool) -> Published:
    """Return the pool's keys under every issuer."""
    return Published(original)


def test_switch_of_the_issuer_under_traffic_refuses_nobody(
    call: Call, original: FakeUserPool, updated: FakeUserPool, published: Published
) -> None:
    """Threads that verify while tokens change over accept both forms, with the keys of whichever was asked first."""
    chance, count = Random(1), 100
    signing = [updated if chance.random() < number / count else original for number in range(count)]
    tokens = [pool.access_token() if number % 2 else pool.id_token() for number, pool in enumerate(signing)]
    verifier = original.verifier(fetch=published, token_use=["access", "id"])
    with ThreadPoolExecutor(THREADS) as threads:
        # The second time they come from the verifier's cache.
        verdicts = list(threads.map(partial(verdict, call, verifier), tokens * 2))
    assert verdicts == [pool.issuer for pool in signing] * 2
    assert set(verdicts) == {ORIGINAL, UPDATED}
    assert len(published.uris) == 1


def test_switch_of_the_issuer_in_tasks_refuses_nobody(
    original: FakeUserPool, updated: FakeUserPool, published: Published
) -> None:
    """Tasks of one loop that come with both forms at once, before any key is held, wait for one fetch."""
    verifier = original.verifier(fetch=published)
    tokens = [pool.access_token() for _ in range(10) for pool in (original, updated)]

    async def verify_all() -> list[Principal]:
        return await asyncio.gather(*map(verifier.averify, tokens))

    assert [principal.issuer for principal in asyncio.run(verify_all())] == [ORIGINAL, UPDATED] * 10
    assert len(published.uris) == 1


def test_person_stays_the_same_across_a_switch(call: Call, original: FakeUserPool, updated: FakeUserPool) -> None:
    """The issuer changes, pool and subject do not: what an application stores about a person still fits."""
    verifier = original.verifier()
    before, after = (call(verifier, "verify", pool.access_token()) for pool in (original, updated))
    assert (before.user_pool_id, before.subject) == (after.user_pool_id, after.subject)
    assert (before.issuer, after.issuer) == (ORIGINAL, UPDATED)


def test_rotation_during_a_switch_is_seen_under_both_issuers(
    call: Call, original: FakeUserPool, updated: FakeUserPool, published: Published
) -> None:
    """A new key is new under both names: the first token of either form brings it for all."""
    verifier = original.verifier(fetch=published)
    verifier.prefetch()
    original.rotate()
    assert verdict(call, verifier, updated.access_token()) == UPDATED
    assert verdict(call, verifier, original.access_token()) == ORIGINAL
    assert published.uris == [ORIGINAL + JWKS, UPDATED + JWKS]


@pytest.mark.parametrize(
    "pinned, accepted",
    [
        pytest.param("original", ORIGINAL, id="to the original form"),
        pytest.param("updated", UPDATED, id="to the updated form"),
    ],
)
def test_pinned_form_refuses_the_other_and_fetches_nothing_for_it(
    call: Call,
    original: FakeUserPool,
    updated: FakeUserPool,
    published: Published,
    pinned: Literal["original", "updated"],
    accepted: str,
) -> None:
    """The same key signs for both names; with one name pinned, the other is nobody's."""
    verifier = original.verifier(fetch=published, issuer_format=pinned)
    wrong, right = sorted((original, updated), key=lambda pool: pool.issuer == accepted)
    assert verdict(call, verifier, wrong.access_token()) == WRONG_ISSUER
    assert published.uris == []
    assert verdict(call, verifier, right.access_token()) == accepted
    assert verdict(call, verifier, wrong.access_token()) == WRONG_ISSUER
    assert published.uris == [accepted + JWKS]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estate:
    """
    Where a pool lives, and what it therefore signs as.

    Attributes:
        user_pool_id: the pool's id.
        replicas: the Regions it is replicated to.
        issuers: all that it signs as.
        strangers: what looks much like it, and is not.
    """

    user_pool_id: str
    replicas: tuple[str, ...] = ()
    issuers: tuple[str, ...]
    strangers: tuple[str, ...]


ESTATES = [
    pytest.param(
        Estate(
            user_pool_id="us-east-1_AbCdEf123",
            issuers=(
                "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_AbCdEf123",
                "https://issuer-cognito-idp.us-east-1.amazonaws.com/us-east-1_AbCdEf123",
            ),
            strangers=(
                "https://cognito-idp-fips.us-east-1.amazonaws.com/us-east-1_AbCdEf123",
                "https://cognito-idp.us-east-1.amazonaws.eu/us-east-1_AbCdEf123",
                "https://cognito-idp.us-east-1.amazonaws.com.cn/us-east-1_AbCdEf123",
                "https://cognito-idp.eu-west-1.amazonaws.com/us-east-1_AbCdEf123",
                "https://shop.auth.us-east-1.amazoncognito.com",
                "https://cognito-identity.amazonaws.com",
            ),
        ),
        id="a commercial Region",
    ),
    pytest.param(
        Estate(
            user_pool_id="us-east-1_AbCdEf123",
            replicas=("eu-west-1", "ap-southeast-2"),
            issuers=(
                "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_AbCdEf123",
                "https://issuer-cognito-idp.us-east-1.amazonaws.com/us-east-1_AbCdEf123",
                "https://cognito-idp.eu-west-1.amazonaws.com/us-east-1_AbCdEf123",
                "https://cognito-idp.ap-southeast-2.amazonaws.com/us-east-1_AbCdEf123",
            ),
            strangers=(
                "https://issuer-cognito-idp.eu-west-1.amazonaws.com/us-east-1_AbCdEf123",
                "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEf123",
                "https://cognito-idp.eu-west-2.amazonaws.com/us-east-1_AbCdEf123",
            ),
        ),
        id="replicas, which sign with their Region in the original form alone",
    ),
    pytest.param(
        Estate(
            user_pool_id="us-gov-west-1_AbCdEf123",
            replicas=("us-gov-east-1",),
            issuers=(
                "https://cognito-idp.us-gov-west-1.amazonaws.com/us-gov-west-1_AbCdEf123",
                "https://issuer-cognito-idp.us-gov-west-1.amazonaws.com/us-gov-west-1_AbCdEf123",
                "https://cognito-idp.us-gov-east-1.amazonaws.com/us-gov-west-1_AbCdEf123",
            ),
            strangers=(
                "https://cognito-idp-fips.us-gov-west-1.amazonaws.com/us-gov-west-1_AbCdEf123",
                "https://cognito-idp.us-west-1.amazonaws.com/us-gov-west-1_AbCdEf123",
            ),
        ),
        id="GovCloud, whose issuer never names the FIPS host",
    ),
    pytest.param(
        Estate(
            user_pool_id="eusc-de-east-1_AbCdEf123",
            issuers=(
                "https://cognito-idp.eusc-de-east-1.amazonaws.eu/eusc-de-east-1_AbCdEf123",
                "https://issuer-cognito-idp.eusc-de-east-1.amazonaws.eu/eusc-de-east-1_AbCdEf123",
            ),
            strangers=(
                "https://cognito-idp.eusc-de-east-1.amazonaws.com/eusc-de-east-1_AbCdEf123",
                "https://cognito-idp.de-east-1.amazonaws.eu/eusc-de-east-1_AbCdEf123",
            ),
        ),
        id="the European Sovereign Cloud, with a suffix of its own",
    ),
    pytest.param(
        Estate(
            user_pool_id="cn-north-1_AbCdEf123",
            issuers=(
                "https://cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_AbCdEf123",
                "https://issuer-cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_AbCdEf123",
            ),
            strangers=("https://cognito-idp.cn-north-1.amazonaws.com/cn-north-1_AbCdEf123",),
        ),
        id="China, should user pools ever come there",
    ),
]


@pytest.mark.parametrize("estate", ESTATES)
def test_pool_is_known_by_its_own_issuers_and_no_other(call: Call, clock: FakeClock, estate: Estate) -> None:
    """Id and replicas alone decide: each issuer is accepted, and one that looks like it is refused, with a good key."""
    home = FakeUserPool(estate.user_pool_id, clock=clock)
    published = Published(home)
    verifier = home.verifier(fetch=published, replica_regions=estate.replicas)

    def presented(issuer: str) -> Verdict:
        pool = FakeUserPool(estate.user_pool_id, clock=clock, keys_of=home, issuer=issuer)
        return verdict(call, verifier, pool.access_token())

    assert verifier.user_pool.issuers == estate.issuers
    minted_elsewhere = [verdict(call, verifier, home.access_token(issuer=issuer)) for issuer in estate.strangers]
    assert minted_elsewhere == [WRONG_ISSUER] * len(estate.strangers)
    assert published.uris == []
    assert [presented(issuer) for issuer in estate.issuers] == list(estate.issuers)
    assert published.uris == [estate.issuers[0] + JWKS]


@pytest.mark.parametrize("estate", ESTATES)
def test_keys_are_asked_for_where_the_issuer_of_the_first_token_is(
    call: Call, clock: FakeClock, estate: Estate
) -> None:
    """Every issuer's own host can be the first to be asked, and then it is the only one."""
    home = FakeUserPool(estate.user_pool_id, clock=clock)
    for issuer in estate.issuers:
        published = Published(home)
        verifier = home.verifier(fetch=published, replica_regions=estate.replicas)
        assert verdict(call, verifier, home.access_token(issuer=issuer)) == issuer
        assert published.uris == [issuer + JWKS]


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoHosts:
    """
    One pool that is served by two hosts, each with an issuer of its own, over real HTTP.

    Attributes:
        first: the host of the issuer that every pool has.
        second: the host of the one that it may have.
        timer: the verifier's.
    """

    pool: FakeUserPool
    first: FaultyJWKSServer
    second: FaultyJWKSServer
    verifier: CognitoVerifier
    timer: FakeClock

    @property
    def asked(self) -> tuple[int, int]:
        """How often each was asked."""
        return len(self.first.requests), len(self.second.requests)

    def token(self, host: FaultyJWKSServer, **options: Any) -> str:
        """Sign a token as the issuer of a host."""
        return self.pool.access_token(issuer=issuer_of(host), **options)


def issuer_of(host: FaultyJWKSServer) -> str:
    """Return the issuer whose keys a host serves."""
    return host.jwks_uri.removesuffix(JWKS)


@pytest.fixture
def hosts(original: FakeUserPool) -> Generator[TwoHosts]:
    """Serve a pool twice."""
    timer = FakeClock(0.0)
    with ExitStack() as stack:
        first, second = (stack.enter_context(FaultyJWKSServer(original)) for _ in range(2))
        verifier = CognitoVerifier(
            POOL_ID,
            client_id=original.client_id,
            issuer=[issuer_of(first), issuer_of(second)],
            allow_insecure_http=True,
            schedule=SCHEDULE,
            clock=original.clock,
            timer=timer,
        )
        yield TwoHosts(pool=original, first=first, second=second, verifier=verifier, timer=timer)


def test_second_host_is_not_asked_before_a_token_names_it(call: Call, hosts: TwoHosts) -> None:
    """As long as the first host answers, the other one may not even exist: prefetches and refreshes are its own."""
    call(hosts.verifier, "prefetch")
    for _ in range(3):
        assert verdict(call, hosts.verifier, hosts.token(hosts.first)) == issuer_of(hosts.first)
        hosts.timer.tick(SCHEDULE.fresh_for)
        call(hosts.verifier, "prefetch")
    assert hosts.asked == (4, 0)
    hosts.pool.rotate()
    assert verdict(call, hosts.verifier, hosts.token(hosts.second)) == issuer_of(hosts.second)
    assert hosts.asked == (4, 1)


@pytest.mark.parametrize("fault", [Fault.FORBIDDEN, Fault.NOT_FOUND])
def test_host_that_has_nothing_is_remembered_and_asked_again_after_a_while(
    call: Call, hosts: TwoHosts, fault: Fault
) -> None:
    """A 403 or 404 is no outage: the other host's keys do, nobody asks in vain twice, and a switch is noticed."""
    hosts.second.down(fault)
    assert verdict(call, hosts.verifier, hosts.token(hosts.second)) == issuer_of(hosts.second)
    assert hosts.asked == (1, 1)
    for _ in range(5):
        hosts.timer.tick(SCHEDULE.cooldown)
        stray = hosts.token(hosts.second, header={"kid": "invented"})
        assert verdict(call, hosts.verifier, stray) == UNKNOWN_KEY
    assert hosts.asked == (6, 1)
    hosts.second.up()
    hosts.pool.rotate()
    hosts.timer.tick(SCHEDULE.fresh_for)
    assert verdict(call, hosts.verifier, hosts.token(hosts.second)) == issuer_of(hosts.second)
    assert hosts.asked == (6, 2)


def test_host_that_has_nothing_is_asked_where_the_other_has_nothing_either(call: Call, hosts: TwoHosts) -> None:
    """Two refusals are an outage, which ends with the first host that answers."""
    hosts.first.down(Fault.FORBIDDEN)
    hosts.second.down(Fault.NOT_FOUND)
    token = hosts.token(hosts.first)
    assert verdict(call, hosts.verifier, token) == UNAVAILABLE
    assert hosts.asked == (1, 1)
    hosts.second.up()
    hosts.timer.tick(SCHEDULE.backoff)
    assert verdict(call, hosts.verifier, token) == issuer_of(hosts.first)
    assert hosts.asked == (2, 2)


def test_host_that_is_down_is_not_remembered_as_one_without_keys(call: Call, hosts: TwoHosts) -> None:
    """A 503 tells nothing about the pool: the other host stands in, and the next fetch asks the first again."""
    hosts.second.down(Fault.SERVICE_UNAVAILABLE)
    token = hosts.token(hosts.second)
    assert verdict(call, hosts.verifier, token) == issuer_of(hosts.second)
    hosts.second.up()
    hosts.pool.rotate()
    assert verdict(call, hosts.verifier, hosts.token(hosts.second)) == issuer_of(hosts.second)
    assert hosts.asked == (1, 2)
