"""Several verifiers behind one face: the issuer decides who is asked, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from adapters import BAD_TOKEN, Guarded, bearer

from cognito_guard import (
    CognitoVerifier,
    ConfigurationError,
    FetchError,
    InsufficientScopeError,
    InvalidClaimError,
    InvalidSignatureError,
    InvalidTokenError,
    MalformedTokenError,
    Principal,
    Reason,
    Requires,
    StepUpRequiredError,
    UnavailableError,
    Verifier,
)
from cognito_guard.routing import Routed
from cognito_guard.tenants import ByIssuer
from cognito_guard.testing import FakeClock, FakeUserPool
from cognito_guard.testing.keys import base64url

Call = Callable[..., Any]
CLIENT = "1h57kf5cpq17m0eml12example"


@pytest.fixture
def shop(clock: FakeClock) -> FakeUserPool:
    return FakeUserPool("eu-west-1_Shop", client_id=CLIENT, clock=clock)


@pytest.fixture
def staff(clock: FakeClock) -> FakeUserPool:
    return FakeUserPool("us-east-1_Staff", client_id=CLIENT, clock=clock)


@pytest.fixture
def both(shop: FakeUserPool, staff: FakeUserPool) -> Verifier:
    return CognitoVerifier.any_of(shop.verifier(), staff.verifier())


def refused(call: Call, verifier: Verifier, token: str) -> InvalidTokenError:
    with pytest.raises(InvalidTokenError) as caught:
        call(verifier, "verify", token)
    return caught.value


def tenants_of(*verifiers: CognitoVerifier) -> Verifier:
    """Return a verifier that resolves these."""
    return CognitoVerifier.by_issuer({one.user_pool.issuers[0]: one for one in verifiers}.get)


def test_token_of_each_pool_is_accepted(call: Call, both: Verifier, shop: FakeUserPool, staff: FakeUserPool) -> None:
    """Its principal says which pool vouches for the caller; seen before, it is the same one."""
    for pool in (shop, staff):
        token = pool.access_token()
        principal = call(both, "verify", token)
        assert principal.user_pool_id == pool.user_pool_id
        assert call(both, "verify", token) is principal


def test_token_of_another_pool_is_refused(call: Call, both: Verifier, clock: FakeClock) -> None:
    """Nobody is asked for keys of an issuer that is not configured."""
    other = FakeUserPool("eu-west-1_Other", client_id=CLIENT, clock=clock)
    assert refused(call, both, other.access_token()).reason is Reason.WRONG_ISSUER


def test_pool_never_vouches_for_anothers_caller(
    call: Call, both: Verifier, shop: FakeUserPool, staff: FakeUserPool
) -> None:
    """The same key ID in two pools: a key of one signs nothing in the other's name."""
    forged = shop.access_token(issuer=staff.issuer, header={"kid": staff.access_key.kid})
    assert refused(call, both, forged).reason is Reason.INVALID_SIGNATURE


@pytest.mark.parametrize(
    "token, reason",
    [
        pytest.param("junk", Reason.MALFORMED_TOKEN, id="no token"),
        pytest.param("a" * 20_000, Reason.OVERSIZED_TOKEN, id="too long"),
        pytest.param("a.b.c.d.e", Reason.ENCRYPTED_TOKEN, id="a refresh token"),
    ],
)
def test_junk_is_refused_as_by_one_verifier(call: Call, both: Verifier, token: str, reason: Reason) -> None:
    """Before an issuer is known there is nobody to ask."""
    error = refused(call, both, token)
    assert (type(error), error.reason) == (MalformedTokenError, reason)


@pytest.mark.parametrize(
    "issuer, reason", [(5, Reason.MALFORMED_CLAIM), (None, Reason.MALFORMED_CLAIM), ("", Reason.WRONG_ISSUER)]
)
def test_issuer_that_is_none_is_refused(
    call: Call, both: Verifier, shop: FakeUserPool, issuer: Any, reason: Reason
) -> None:
    """A number, nothing, an empty text."""
    error = refused(call, both, shop.access_token(issuer=issuer if isinstance(issuer, str) else None, iss=issuer))
    assert isinstance(error, InvalidClaimError)
    assert (error.claim, error.reason) == ("iss", reason)


def test_two_kinds_of_tokens_of_one_pool_are_accepted(call: Call, shop: FakeUserPool) -> None:
    """The first verifier to accept a token wins; refused by all, the first one's reason is told."""
    verifier = CognitoVerifier.any_of(
        shop.verifier(), shop.verifier(token_use="id"), shop.verifier(client_id="another", max_token_age=1)
    )
    assert call(verifier, "verify", shop.access_token()).token_use == "access"
    assert call(verifier, "verify", shop.id_token()).token_use == "id"
    assert call(verifier, "verify", shop.access_token(client_id="another")).client_id == "another"
    assert refused(call, verifier, shop.id_token(client_id="another")).reason is Reason.WRONG_TOKEN_USE


def test_token_that_one_verifier_took_may_be_taken_by_another_later(
    call: Call, shop: FakeUserPool, clock: FakeClock
) -> None:
    """Who took it first is asked first, and not alone."""
    verifier = CognitoVerifier.any_of(shop.verifier(max_token_age=60, timer=clock), shop.verifier(timer=clock))
    token = shop.access_token()
    assert call(verifier, "verify", token).username == "jane"
    clock.tick(100)
    for _ in range(2):
        assert call(verifier, "verify", token).username == "jane"


def test_token_seen_before_goes_straight_to_who_took_it(call: Call, shop: FakeUserPool, clock: FakeClock) -> None:
    """Those before it in the row have refused the token once, and are not asked again."""
    asked: list[float] = []

    def counting() -> float:
        asked.append(clock())
        return clock()

    verifier = CognitoVerifier.any_of(shop.verifier(client_id="another", clock=counting), shop.verifier())
    token = shop.access_token()
    for _ in range(3):
        assert call(verifier, "verify", token).username == "jane"
    assert len(asked) == 1


def test_token_as_long_as_one_of_them_takes_is_accepted(call: Call, shop: FakeUserPool) -> None:
    """The longest of their limits is that of all together, and each keeps its own."""
    verifier = CognitoVerifier.any_of(shop.verifier(token_use="id"), shop.verifier(max_token_bytes=32 * 1024))
    assert call(verifier, "verify", shop.access_token(notes="x" * 20_000)).username == "jane"
    assert refused(call, verifier, shop.id_token(notes="x" * 20_000)).reason is Reason.OVERSIZED_TOKEN
    assert refused(call, verifier, shop.access_token(notes="x" * 40_000)).reason is Reason.OVERSIZED_TOKEN


@pytest.mark.parametrize("strict_first", [True, False], ids=["strict first", "strict last"])
def test_token_without_a_scope_is_taken_by_who_does_not_require_it(
    call: Call, shop: FakeUserPool, strict_first: bool
) -> None:
    """The first verifier to accept a token wins, whatever the reason why others refuse it; also seen before."""
    row = [shop.verifier(required_scopes="api/use"), shop.verifier()]
    verifier = CognitoVerifier.any_of(*(row if strict_first else row[::-1]))
    token = shop.access_token()
    for _ in range(2):
        assert call(verifier, "verify", token).username == "jane"


@pytest.mark.parametrize("strict_first", [True, False], ids=["strict first", "strict last"])
def test_token_that_lacks_a_scope_alone_is_told_that(call: Call, shop: FakeUserPool, strict_first: bool) -> None:
    """Refused by all, it was good for one of them: another token of the same caller would not be a better one."""
    row = [shop.verifier(required_scopes="api/use"), shop.verifier(token_use="id")]
    verifier = CognitoVerifier.any_of(*(row if strict_first else row[::-1]))
    token = shop.access_token()
    for _ in range(2):
        with pytest.raises(InsufficientScopeError) as caught:
            call(verifier, "verify", token)
        assert (caught.value.reason, caught.value.required) == (Reason.INSUFFICIENT_SCOPE, ("api/use",))


def test_token_that_lacks_scopes_of_several_is_told_the_first_ones(call: Call, shop: FakeUserPool) -> None:
    """As with any other refusal."""
    verifier = CognitoVerifier.any_of(shop.verifier(required_scopes="api/a"), shop.verifier(required_scopes="api/b"))
    with pytest.raises(InsufficientScopeError) as caught:
        call(verifier, "verify", shop.access_token())
    assert caught.value.required == ("api/a",)


def test_keys_out_of_reach_are_no_refusal(call: Call, shop: FakeUserPool, staff: FakeUserPool) -> None:
    """An outage of one pool's keys is a 503 for its tokens, and nothing to the other's."""

    def fetch(uri: str, timeout: float) -> bytes:
        raise OSError

    verifier = CognitoVerifier.any_of(shop.verifier(fetch=fetch), shop.verifier(token_use="id"), staff.verifier())
    with pytest.raises(UnavailableError):
        call(verifier, "verify", shop.access_token())
    assert call(verifier, "verify", staff.access_token()).username == "jane"
    staff.rotate()
    with pytest.raises(UnavailableError):
        call(verifier, "prefetch")


def test_scopes_are_implied_as_the_callers_pool_has_it(call: Call, shop: FakeUserPool, staff: FakeUserPool) -> None:
    """What a scope implies is one pool's word, and not the other's."""
    verifier = CognitoVerifier.any_of(shop.verifier(implies={"a/all": ["a/one"]}), staff.verifier())
    needed = Requires(scopes=["a/one"])
    verifier.authorize(call(verifier, "verify", shop.access_token(scopes=["a/all"])), needed)
    with pytest.raises(InsufficientScopeError):
        verifier.authorize(call(verifier, "verify", staff.access_token(scopes=["a/all"])), needed)


def test_scopes_that_all_require_stand_in_challenges(shop: FakeUserPool, staff: FakeUserPool) -> None:
    """Only what every token needs can be told to who has none."""
    one, other = shop.verifier(required_scopes=["a/x", "a/y"]), staff.verifier(required_scopes=["a/z", "a/y"])
    assert CognitoVerifier.any_of(one, other).required_scopes == ("a/y",)


def test_prefetch_brings_the_keys_of_each(call: Call, shop: FakeUserPool, staff: FakeUserPool) -> None:
    """One fetch a pool, and none with the first tokens."""
    fetched: list[str] = []

    def verifier_of(pool: FakeUserPool) -> CognitoVerifier:
        def fetch(uri: str, timeout: float) -> bytes:
            fetched.append(pool.user_pool_id)
            return pool.fetch(uri, timeout)

        return pool.verifier(fetch=fetch)

    verifier = CognitoVerifier.any_of(verifier_of(shop), verifier_of(staff))
    call(verifier, "prefetch")
    for pool in (shop, staff):
        call(verifier, "verify", pool.access_token())
    assert fetched == [shop.user_pool_id, staff.user_pool_id]
    assert repr(verifier) == "<AnyOf eu-west-1_Shop, us-east-1_Staff>"


def test_adapters_take_it_for_a_verifier(both: Verifier, shop: FakeUserPool, staff: FakeUserPool) -> None:
    """A guarded application serves the callers of both pools."""
    guarded = Guarded(shop, verifier=both)
    assert guarded.ask("/", bearer(shop.access_token())).status == 200
    assert guarded.ask("/", bearer(staff.access_token())).status == 200
    assert guarded.ask("/", bearer("junk")) == BAD_TOKEN


@pytest.mark.parametrize("verifiers", [(), (None,), ("eu-west-1_Shop",)])
def test_any_of_nothing_is_a_mistake(verifiers: Any) -> None:
    """At least one verifier, and nothing else."""
    with pytest.raises(ConfigurationError) as caught:
        CognitoVerifier.any_of(*verifiers)
    assert caught.value.setting == "verifiers"


def test_two_implications_for_one_issuer_are_a_mistake(shop: FakeUserPool) -> None:
    """A caller's scopes must not depend on who happened to take its token."""
    with pytest.raises(ConfigurationError) as caught:
        CognitoVerifier.any_of(shop.verifier(implies={"a/all": ["a/one"]}), shop.verifier(token_use="id"))
    assert caught.value.setting == "implies"


# Many tenants


class Tenants:
    """Know tenants by their issuers, and count who asks."""

    def __init__(self, *pools: FakeUserPool) -> None:
        self.pools = {pool.issuer: pool for pool in pools}
        self.asked: list[str] = []

    def __call__(self, issuer: str) -> CognitoVerifier | None:
        self.asked.append(issuer)
        pool = self.pools.get(issuer)
        return None if pool is None else pool.verifier()


def test_tenant_is_resolved_once(call: Call, shop: FakeUserPool, staff: FakeUserPool) -> None:
    """Its verifier, and with it the keys, is kept."""
    tenants = Tenants(shop, staff)
    verifier = CognitoVerifier.by_issuer(tenants)
    for pool in (shop, staff, shop, staff):
        assert call(verifier, "verify", pool.access_token()).user_pool_id == pool.user_pool_id
    assert tenants.asked == [shop.issuer, staff.issuer]


def test_issuer_of_no_tenant_is_refused(call: Call, shop: FakeUserPool, staff: FakeUserPool) -> None:
    """And nothing is kept of it, so that a tenant may come later."""
    tenants = Tenants(shop)
    verifier = CognitoVerifier.by_issuer(tenants)
    assert refused(call, verifier, staff.access_token()).reason is Reason.WRONG_ISSUER
    tenants.pools[staff.issuer] = staff
    assert call(verifier, "verify", staff.access_token()).username == "jane"


def test_verifiers_of_tenants_are_bounded(call: Call, clock: FakeClock) -> None:
    """The one not used for longest is forgotten, and resolved anew when its tenant is back."""
    pools = [FakeUserPool(f"eu-west-1_T{number}", client_id=CLIENT, clock=clock) for number in range(3)]
    tenants = Tenants(*pools)
    verifier = CognitoVerifier.by_issuer(tenants, max_verifiers=2)
    for pool in (*pools, pools[0]):
        call(verifier, "verify", pool.access_token())
    assert tenants.asked == [pool.issuer for pool in (*pools, pools[0])]
    assert repr(verifier) == "<ByIssuer 2 of at most 2 verifiers>"


def test_thousand_tenants_are_kept_by_default() -> None:
    """Each with its keys: what it may cost is bounded without a word."""
    assert repr(CognitoVerifier.by_issuer(Tenants())) == "<ByIssuer 0 of at most 1000 verifiers>"


def test_tenant_used_last_is_kept_whatever_token_it_brings(call: Call, clock: FakeClock) -> None:
    """A token seen before is a use of its tenant like any other."""
    first, second, third = (FakeUserPool(f"eu-west-1_T{number}", client_id=CLIENT, clock=clock) for number in range(3))
    tenants = Tenants(first, second, third)
    verifier = CognitoVerifier.by_issuer(tenants, max_verifiers=2)
    token = first.access_token()
    for any_token in (token, second.access_token(), token, third.access_token(), first.access_token()):
        call(verifier, "verify", any_token)
    assert tenants.asked == [first.issuer, second.issuer, third.issuer]


def test_tenant_that_was_forgotten_is_forgotten_with_its_tokens(
    call: Call, shop: FakeUserPool, staff: FakeUserPool
) -> None:
    """A token seen before keeps no verifier beyond the bound: whether its tenant is still one is asked anew."""
    tenants = Tenants(shop, staff)
    verifier = CognitoVerifier.by_issuer(tenants, max_verifiers=1)
    token = shop.access_token()
    for any_token in (token, staff.access_token()):
        call(verifier, "verify", any_token)
    del tenants.pools[shop.issuer]
    assert refused(call, verifier, token).reason is Reason.WRONG_ISSUER


def test_tenants_are_resolved_anew_in_a_forked_process(call: Call, clock: FakeClock) -> None:
    """Another thread of the parent may have been in the middle of a change; the bound is what it was."""
    pools = [FakeUserPool(f"eu-west-1_T{number}", client_id=CLIENT, clock=clock) for number in range(3)]
    tenants = Tenants(*pools)
    verifier = CognitoVerifier.by_issuer(tenants, max_verifiers=2)
    assert isinstance(verifier, ByIssuer)
    call(verifier, "verify", pools[0].access_token())
    verifier._reset_after_fork()  # pyright: ignore[reportPrivateUsage]
    assert repr(verifier) == "<ByIssuer 0 of at most 2 verifiers>"
    for pool in pools:
        call(verifier, "verify", pool.access_token())
    assert tenants.asked == [pool.issuer for pool in (pools[0], *pools)]
    assert repr(verifier) == "<ByIssuer 2 of at most 2 verifiers>"


@pytest.mark.parametrize("faster", ["a good token", "a forged one"])
def test_tenant_resolved_by_two_at_once_has_one_verifier(call: Call, shop: FakeUserPool, faster: str) -> None:
    """The first one is everybody's, with its keys; whether anybody has vouched for it yet or not."""
    token, fetched, resolved = shop.access_token(), list[str](), list[str]()

    def fetch(uri: str, timeout: float) -> bytes:
        fetched.append(uri)
        return shop.fetch(uri, timeout)

    def resolve(issuer: str) -> CognitoVerifier:
        resolved.append(issuer)
        if len(resolved) == 1:
            # As if another thread had been faster.
            with suppress(InvalidTokenError):
                verifier.verify(token if faster == "a good token" else token[:-4] + "AAAA")
        return shop.verifier(fetch=fetch)

    verifier = CognitoVerifier.by_issuer(resolve)
    assert call(verifier, "verify", token).username == "jane"
    assert (len(resolved), len(fetched)) == (2, 1)


def test_tenants_scopes_imply_what_their_verifier_says(call: Call, shop: FakeUserPool) -> None:
    """As one pool's verifier does; nobody else's principal implies anything, and who is known is not resolved again."""
    resolved: list[str] = []

    def resolve(issuer: str) -> CognitoVerifier | None:
        resolved.append(issuer)
        return shop.verifier(implies={"a/all": ["a/one"]}) if issuer == shop.issuer else None

    verifier = CognitoVerifier.by_issuer(resolve)
    principal = call(verifier, "verify", shop.access_token(scopes=["a/all"]))
    assert verifier.granted_scopes(principal) == {"a/all", "a/one"}
    assert resolved == [shop.issuer]
    nobody: Principal = Principal({**principal.claims, "iss": "https://nobody.example"}, user_pool_id="x")
    for stranger in (CognitoVerifier.any_of(shop.verifier()), verifier):
        assert stranger.granted_scopes(nobody) == {"a/all"}
    assert verifier.required_scopes == ()


def test_prefetch_of_tenants_asks_nobody(call: Call, shop: FakeUserPool, clock: FakeClock) -> None:
    """Whoever is behind them, whatever became of their keys: each has them fetched with a token of its own."""
    fetched: list[str] = []

    def fetch(uri: str, timeout: float) -> bytes:
        fetched.append(uri)
        return shop.fetch(uri, timeout)

    verifier = CognitoVerifier.by_issuer(lambda _: shop.verifier(fetch=fetch, timer=clock))
    call(verifier, "prefetch")
    assert fetched == []
    call(verifier, "verify", shop.access_token())
    clock.tick(600)
    call(verifier, "prefetch")
    assert len(fetched) == 1


def test_token_as_long_as_any_tenant_takes_is_accepted(call: Call, shop: FakeUserPool) -> None:
    """The bound of all is an argument, a verifier's own by default; each tenant keeps its own."""
    long, longer = shop.access_token(notes="x" * 20_000), shop.access_token(notes="x" * 40_000)
    tenant = shop.verifier(max_token_bytes=32 * 1024)
    wide = CognitoVerifier.by_issuer(lambda _: tenant, max_token_bytes=64 * 1024)
    assert call(wide, "verify", long).username == "jane"
    assert call(wide, "verify", long) is call(wide, "verify", long)
    assert refused(call, wide, longer).reason is Reason.OVERSIZED_TOKEN
    assert refused(call, CognitoVerifier.by_issuer(lambda _: tenant), long).reason is Reason.OVERSIZED_TOKEN


def test_authentication_is_aged_by_the_given_clock(call: Call, shop: FakeUserPool, clock: FakeClock) -> None:
    """Requirements are judged at the verifier's time, whoever verified the token."""
    for verifier in (
        CognitoVerifier.by_issuer(lambda _: shop.verifier(), clock=clock),
        CognitoVerifier.any_of(shop.verifier()),
    ):
        principal = call(verifier, "verify", shop.access_token())
        verifier.authorize(principal, Requires(max_age=60))
        clock.tick(61)
        with pytest.raises(StepUpRequiredError):
            verifier.authorize(principal, Requires(max_age=60))


@pytest.mark.parametrize(
    "resolved",
    [
        pytest.param("eu-west-1_Shop", id="no verifier"),
        pytest.param(FakeUserPool("eu-west-1_Other").verifier(), id="another issuer's"),
    ],
)
def test_verifier_that_can_not_be_the_tenants_is_a_mistake(call: Call, shop: FakeUserPool, resolved: Any) -> None:
    """Neither a pass nor a refusal: the application is wrong."""
    verifier = CognitoVerifier.by_issuer(lambda _: resolved)
    with pytest.raises(ConfigurationError) as caught:
        call(verifier, "verify", shop.access_token())
    assert caught.value.setting == "resolve"


def test_error_of_the_resolver_propagates(call: Call, shop: FakeUserPool) -> None:
    """A database that is down is no bad token."""

    def resolve(issuer: str) -> CognitoVerifier:
        raise LookupError

    with pytest.raises(LookupError):
        call(CognitoVerifier.by_issuer(resolve), "verify", shop.access_token())


@pytest.mark.parametrize(
    "arguments, setting",
    [
        pytest.param({"resolve": None}, "resolve", id="nothing that resolves"),
        pytest.param({"max_verifiers": 0}, "max_verifiers", id="room for none"),
        pytest.param({"max_verifiers": True}, "max_verifiers", id="a truth for a number"),
        pytest.param({"max_token_bytes": 0}, "max_token_bytes", id="no token short enough"),
        pytest.param({"clock": 0}, "clock", id="a time for a clock"),
        pytest.param({"timer": 0}, "timer", id="a time for a timer"),
    ],
)
def test_arguments_that_can_not_be_right_are_a_mistake(arguments: dict[str, Any], setting: str) -> None:
    """Told at construction, by name."""
    by_issuer: Any = CognitoVerifier.by_issuer
    with pytest.raises(ConfigurationError) as caught:
        by_issuer(**({"resolve": Tenants()} | arguments))
    assert caught.value.setting == setting


def test_threads_share_a_tenants_verifier(shop: FakeUserPool, staff: FakeUserPool) -> None:
    """However many resolve it at once, each answer is right."""
    verifier = CognitoVerifier.by_issuer(Tenants(shop, staff), max_verifiers=1)
    tokens = [pool.access_token() for pool in (shop, staff)] * 10
    with ThreadPoolExecutor(4) as threads:
        pools = [principal.user_pool_id for principal in threads.map(verifier.verify, tokens)]
    assert pools == [shop.user_pool_id, staff.user_pool_id] * 10


# Floods of forged tokens


class Fleet:
    """Know many tenants whose keys are those of one user pool, and count what is asked for."""

    def __init__(self, pool: FakeUserPool, timer: FakeClock, size: int = 200) -> None:
        self.pool = pool
        self.timer = timer
        self.issuers = [f"https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_T{number}" for number in range(size)]
        self.fetched: list[str] = []
        self.resolved: list[str] = []
        self._document = json.dumps(pool.jwks).encode()

    def verifier(self, **options: Any) -> Verifier:
        """Return a verifier for them all."""
        return CognitoVerifier.by_issuer(self._resolve, clock=self.pool.clock, timer=self.timer, **options)

    def token(self, number: int, **claims: Any) -> str:
        """Return a good token of one of them."""
        return self.pool.access_token(issuer=self.issuers[number], **claims)

    def flood(self, call: Call, verifier: Verifier, count: int) -> None:
        """Bring forged tokens in the name of each in turn; no one of them is accepted."""
        header, _, signature = self.pool.access_token().split(".")
        bodies = [base64url(json.dumps({"iss": issuer}).encode()) for issuer in self.issuers]
        for number in range(count):
            with pytest.raises((InvalidSignatureError, UnavailableError)):
                call(verifier, "verify", f"{header}.{bodies[number % len(bodies)]}.{signature}")

    def _resolve(self, issuer: str) -> CognitoVerifier | None:
        if issuer not in self.issuers:
            return None
        self.resolved.append(issuer)
        pool_id = issuer.rpartition("/")[2]
        options: dict[str, Any] = {"fetch": self._fetch, "clock": self.pool.clock, "timer": self.timer}
        return CognitoVerifier(pool_id, client_id=CLIENT, implies={"a/all": ["a/one"]}, **options)

    def _fetch(self, uri: str, timeout: float) -> bytes:
        self.fetched.append(uri)
        return self._document


@pytest.fixture
def fleet(shop: FakeUserPool) -> Fleet:
    return Fleet(shop, FakeClock())


@pytest.mark.parametrize("count", [200, 600])
def test_flood_in_the_name_of_tenants_costs_a_bounded_number_of_fetches(call: Call, fleet: Fleet, count: int) -> None:
    """64 at once and ten more a second, however many forged tokens there are."""
    verifier = fleet.verifier(max_verifiers=3)
    fleet.flood(call, verifier, count)
    assert len(fleet.fetched) == 64
    fleet.timer.tick(1.01)
    fleet.flood(call, verifier, count)
    assert len(fleet.fetched) == 74
    assert repr(verifier) == "<ByIssuer 0 of at most 3 verifiers>"


def test_flood_in_the_name_of_tenants_never_evicts_one_in_use(call: Call, fleet: Fleet) -> None:
    """Its verifier is kept, and with it the keys: whoever brings a good token is not held up by anybody."""
    verifier = fleet.verifier(max_verifiers=3)
    in_use = (0, 70, 199)
    for number in in_use:
        call(verifier, "verify", fleet.token(number))
    fleet.flood(call, verifier, 300)
    fleet.fetched.clear()
    fleet.resolved.clear()
    for number in in_use:
        assert call(verifier, "verify", fleet.token(number, username="joe")).username == "joe"
    assert (fleet.fetched, fleet.resolved) == ([], [])


def test_forged_token_is_no_use_of_its_tenant(call: Call, fleet: Fleet) -> None:
    """Who brings no good token has no say in which tenant makes room for the next."""
    fleet.issuers = fleet.issuers[:3]
    verifier = fleet.verifier(max_verifiers=2)
    for number in (0, 1):
        call(verifier, "verify", fleet.token(number))
    fleet.issuers, everybody = fleet.issuers[:1], fleet.issuers
    fleet.flood(call, verifier, 3)
    fleet.issuers = everybody
    for number in (2, 1, 0):
        call(verifier, "verify", fleet.token(number))
    assert fleet.resolved == [fleet.issuers[number] for number in (0, 1, 2, 0)]


@pytest.mark.parametrize("max_verifiers", [1000, 3])
def test_fleet_of_tenants_begins_at_once(call: Call, fleet: Fleet, max_verifiers: int) -> None:
    """Only what nobody vouches for is held up: a tenant whose token is good has used nothing up."""
    verifier = fleet.verifier(max_verifiers=max_verifiers)
    for number in range(len(fleet.issuers)):
        assert call(verifier, "verify", fleet.token(number)).username == "jane"
    assert len(fleet.fetched) == len(fleet.issuers)


def test_tenant_whose_token_is_good_gives_back_one_try_alone(call: Call, fleet: Fleet) -> None:
    """The one that was spent on it: nobody's good tokens make room for forged ones."""
    verifier = fleet.verifier()
    fleet.flood(call, verifier, 60)
    for number in range(100, 130):
        for _ in range(2):
            call(verifier, "verify", fleet.token(number))
    fleet.flood(call, verifier, 200)
    assert len(fleet.fetched) == 60 + 30 + 4


def test_tenants_are_remembered_that_nobody_vouched_for(call: Call, fleet: Fleet) -> None:
    """64 of them: forged tokens in the name of no more are a fetch for each, however long the flood lasts."""
    fleet.issuers = fleet.issuers[:64]
    verifier = fleet.verifier()
    for _ in range(3):
        fleet.flood(call, verifier, 64)
        fleet.timer.tick(60)
    assert (len(fleet.fetched), len(fleet.resolved)) == (64, 64)


def test_new_tenant_waits_while_a_flood_lasts(call: Call, fleet: Fleet) -> None:
    """Its token may be good, so that it is no refusal; the next try is a tenth of a second away, at most."""
    verifier = fleet.verifier()
    fleet.flood(call, verifier, 150)
    token = fleet.token(199)
    for passed, left in ((0.0, 0.1), (0.04, 0.06)):
        fleet.timer.tick(passed)
        with pytest.raises(UnavailableError) as caught:
            call(verifier, "verify", token)
        assert caught.value.reason is Reason.KEYS_UNAVAILABLE
        assert caught.value.retry_after == pytest.approx(left)
    fleet.timer.tick(0.061)
    for _ in range(2):
        assert call(verifier, "verify", token).username == "jane"


def test_flood_in_the_name_of_strangers_holds_up_nobody(call: Call, fleet: Fleet) -> None:
    """An issuer of no tenant causes no fetch, and uses nothing up."""
    verifier = fleet.verifier()
    for number in range(200):
        stranger = fleet.pool.access_token(issuer=f"https://{number}.example")
        assert refused(call, verifier, stranger).reason is Reason.WRONG_ISSUER
    assert call(verifier, "verify", fleet.token(0)).username == "jane"
    assert len(fleet.fetched) == 1


def test_scopes_of_a_forgotten_tenant_are_implied_while_a_flood_lasts(call: Call, fleet: Fleet) -> None:
    """A caller who was let in once, on a connection that stays open, needs no keys to be judged again."""
    verifier = fleet.verifier(max_verifiers=1)
    principal = call(verifier, "verify", fleet.token(199, scopes=["a/all"]))
    call(verifier, "verify", fleet.token(198))
    fleet.flood(call, verifier, 150)
    assert verifier.granted_scopes(principal) == {"a/all", "a/one"}


def test_tenants_nobody_vouched_for_are_forgotten_in_a_forked_process(call: Call, fleet: Fleet) -> None:
    """They are resolved anew, for the tries that are left: a fork is no way to more of them."""
    verifier = fleet.verifier()
    assert isinstance(verifier, ByIssuer)
    fleet.flood(call, verifier, 40)
    verifier._reset_after_fork()  # pyright: ignore[reportPrivateUsage]
    fleet.flood(call, verifier, 40)
    assert fleet.resolved[40:64] == fleet.issuers[:24]
    assert len(fleet.fetched) == 64


# Keys that are refreshed before a token is judged


@pytest.mark.parametrize("join", [CognitoVerifier.any_of, tenants_of], ids=["any of", "by issuer"])
def test_keys_of_the_tokens_own_pool_are_refreshed_first(
    call: Call, shop: FakeUserPool, staff: FakeUserPool, clock: FakeClock, join: Callable[..., Routed]
) -> None:
    """Whose keys are due, and nobody else's: a withdrawn key is refused at once, and the dead pool is not asked."""
    asked: list[str] = []
    is_down: list[str] = []

    def verifier_of(pool: FakeUserPool) -> CognitoVerifier:
        def fetch(uri: str, timeout: float) -> bytes:
            asked.append(pool.user_pool_id)
            if pool.user_pool_id in is_down:
                raise FetchError("down")
            return pool.fetch(uri, timeout)

        return pool.verifier(fetch=fetch, timer=clock)

    verifier = join(verifier_of(shop), verifier_of(staff))
    verifier.refresh_first()
    withdrawn, other = shop.access_token(), staff.access_token()
    for token in (withdrawn, other):
        call(verifier, "verify", token)
    asked.clear()
    is_down.append(staff.user_pool_id)
    shop.rotate(publish_old=False)
    clock.tick(601)
    assert refused(call, verifier, withdrawn).reason is Reason.UNKNOWN_KEY
    assert call(verifier, "verify", shop.access_token()).username == "jane"
    assert set(asked) == {shop.user_pool_id}
    assert call(verifier, "verify", other).username == "jane"
    assert staff.user_pool_id in asked
    clock.tick(5 * 60 * 60)
    with pytest.raises(UnavailableError):
        call(verifier, "verify", other)


@pytest.mark.parametrize("join", [CognitoVerifier.any_of, tenants_of], ids=["any of", "by issuer"])
def test_keys_that_are_due_serve_meanwhile(
    call: Call, shop: FakeUserPool, clock: FakeClock, join: Callable[..., Routed]
) -> None:
    """Unless told otherwise, nobody waits for a refresh."""
    verifier = join(shop.verifier(timer=clock))
    token = shop.access_token()
    call(verifier, "verify", token)
    shop.rotate(publish_old=False)
    clock.tick(601)
    assert call(verifier, "verify", token).username == "jane"
