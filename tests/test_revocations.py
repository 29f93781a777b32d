"""Revoked tokens: refused from the next request on, for as long as they could be accepted, and no others."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any, cast

import pytest
from concurrency.forks import in_child, needs_fork
from conftest import Call
from hypothesis import given, settings
from hypothesis import strategies as st

from cognito_guard import (
    CognitoVerifier,
    ConfigurationError,
    ExpiredTokenError,
    InsufficientScopeError,
    InvalidTokenError,
    Principal,
    Reason,
    RevocationList,
    RevokedTokenError,
    UnavailableError,
    challenge_for,
)
from cognito_guard.testing import ABSENT, FakeClock, FakeUserPool

DAY = 24 * 60 * 60
LEEWAY = 300
ROTATION = 60
SWEEP = 60
KEPT_FOR = DAY + ROTATION + 2 * LEEWAY
GET = ("transactions/get",)


@pytest.fixture
def revocations(clock: FakeClock) -> RevocationList:
    """Return an empty list, on the test's clock."""
    return RevocationList(clock=clock, timer=clock)


@pytest.fixture(params=[4096, 0], ids=["cache", "no cache"])
def verifier(request: pytest.FixtureRequest, pool: FakeUserPool, revocations: RevocationList) -> CognitoVerifier:
    """Return a verifier that asks the list; where tokens are remembered and where not, it answers the same."""
    return pool.verifier(token_use=["access", "id"], revocations=revocations, token_cache_size=request.param)


class Store:
    """Answer what the test says, or raise it."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.asked: list[Principal] = []

    def is_revoked(self, principal: Principal) -> Any:
        """Answer."""
        self.asked.append(principal)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def ais_revoked(self, principal: Principal) -> Any:
        """Answer."""
        return self.is_revoked(principal)


def assert_revoked(call: Call, verifier: CognitoVerifier, *tokens: str) -> None:
    """Have tokens refused, however often they come."""
    for token in (*tokens, *tokens):
        with pytest.raises(RevokedTokenError) as refusal:
            call(verifier, "verify", token)
        assert refusal.value.reason is Reason.REVOKED


def assert_accepted(call: Call, verifier: CognitoVerifier, *tokens: str) -> None:
    """Have tokens accepted, however often they come."""
    for token in (*tokens, *tokens):
        assert isinstance(call(verifier, "verify", token), Principal)


def test_nothing_is_revoked_until_somebody_says_so(call: Call, verifier: CognitoVerifier, pool: FakeUserPool) -> None:
    """An empty list refuses nobody."""
    assert_accepted(call, verifier, pool.access_token(), pool.id_token(), pool.client_token(scopes=GET))


def test_revoked_token_is_refused_and_the_others_of_its_session_are_not(
    call: Call, verifier: CognitoVerifier, pool: FakeUserPool, revocations: RevocationList
) -> None:
    """By its own id; the tokens of a sign-in share another."""
    token, other = (pool.access_token(origin_jti="sign-in") for _ in range(2))
    assert_accepted(call, verifier, token, other)
    revocations.revoke_token(pool.user_pool_id, jwt_id(verifier, token))
    assert_revoked(call, verifier, token)
    assert_accepted(call, verifier, other)


def test_revoked_session_takes_its_access_and_id_tokens_and_those_refreshed_later(
    call: Call, verifier: CognitoVerifier, pool: FakeUserPool, revocations: RevocationList, clock: FakeClock
) -> None:
    """What RevokeToken does to the refresh token; another sign-in of the same user goes on."""
    tokens = [pool.access_token(origin_jti="one"), pool.id_token(origin_jti="one")]
    others = [pool.access_token(origin_jti="two"), pool.access_token(origin_jti=ABSENT)]
    assert_accepted(call, verifier, *tokens, *others)
    revocations.revoke_session(pool.user_pool_id, "one")
    clock.tick(ROTATION)
    assert_revoked(call, verifier, *tokens, pool.access_token(origin_jti="one"))
    assert_accepted(call, verifier, *others)


def test_revoked_user_loses_all_tokens_issued_so_far(
    call: Call, verifier: CognitoVerifier, pool: FakeUserPool, revocations: RevocationList, clock: FakeClock
) -> None:
    """Up to and with the second of the revocation; a new sign-in is welcome, and other users stay."""
    tokens = [pool.access_token(), pool.id_token()]
    other = pool.access_token(username="joe")
    clock.tick(60)
    tokens.append(pool.access_token())
    revocations.revoke_user(pool.user_pool_id, pool.subject("jane"))
    clock.tick(1)
    assert_revoked(call, verifier, *tokens)
    assert_accepted(call, verifier, other, pool.access_token())


def test_revoked_client_loses_all_tokens_issued_so_far(
    call: Call, verifier: CognitoVerifier, pool: FakeUserPool, revocations: RevocationList, clock: FakeClock
) -> None:
    """Machine tokens have no session and no user: a leaked secret is met by client."""
    tokens = [pool.client_token(scopes=GET), pool.access_token(), pool.id_token()]
    revocations.revoke_client(pool.user_pool_id, pool.client_id)
    clock.tick(1)
    assert_revoked(call, verifier, *tokens)
    assert_accepted(call, verifier, pool.client_token(scopes=GET), pool.access_token())


def test_revoked_pool_loses_all_tokens_issued_so_far(
    call: Call, verifier: CognitoVerifier, pool: FakeUserPool, revocations: RevocationList, clock: FakeClock
) -> None:
    """Everybody has to sign in anew."""
    tokens = [pool.client_token(scopes=GET), pool.access_token(), pool.id_token()]
    revocations.revoke_pool(pool.user_pool_id)
    clock.tick(1)
    assert_revoked(call, verifier, *tokens)
    assert_accepted(call, verifier, pool.access_token())


def test_another_user_pool_is_not_concerned(
    call: Call, verifier: CognitoVerifier, pool: FakeUserPool, revocations: RevocationList
) -> None:
    """Subjects, clients and ids are unique in their pool alone."""
    token = pool.access_token(origin_jti="one")
    revocations.revoke_token("eu-west-1_Another12", jwt_id(verifier, token))
    revocations.revoke_session("eu-west-1_Another12", "one")
    revocations.revoke_user("eu-west-1_Another12", pool.subject("jane"))
    revocations.revoke_client("eu-west-1_Another12", pool.client_id)
    revocations.revoke_pool("eu-west-1_Another12")
    assert_accepted(call, verifier, token)


@pytest.mark.parametrize("kind", ["revoke_user", "revoke_client", "revoke_pool"])
def test_revocation_of_the_past_spares_what_was_issued_since(
    call: Call, verifier: CognitoVerifier, pool: FakeUserPool, revocations: RevocationList, clock: FakeClock, kind: str
) -> None:
    """An event that arrives late says when it happened; said twice, the later time counts."""
    before = pool.access_token()
    happened = clock()
    clock.tick(60)
    since = pool.access_token()
    revoke = revoking(revocations, kind, pool)
    revoke(issued_until=happened)
    revoke(issued_until=happened - 30)
    assert_revoked(call, verifier, before)
    assert_accepted(call, verifier, since)
    revoke()
    assert_revoked(call, verifier, before, since)


def test_token_without_the_ids_that_are_revoked_is_none_of_them(
    call: Call, verifier: CognitoVerifier, pool: FakeUserPool, revocations: RevocationList
) -> None:
    """Neither `jti` nor `origin_jti` need be there; such a token is revoked by user, client or pool."""
    token = pool.access_token(jti=ABSENT, origin_jti=ABSENT)
    revocations.revoke_token(pool.user_pool_id, "None")
    revocations.revoke_session(pool.user_pool_id, "None")
    assert_accepted(call, verifier, token)
    revocations.revoke_user(pool.user_pool_id, pool.subject("jane"))
    assert_revoked(call, verifier, token)


def test_revoked_token_is_refused_for_that_before_it_is_refused_for_its_scopes(
    call: Call, pool: FakeUserPool, revocations: RevocationList
) -> None:
    """Who is calling comes before what they may: 401, and not 403."""
    verifier = pool.verifier(required_scopes="transactions/get", revocations=revocations)
    token = pool.access_token()
    with pytest.raises(InsufficientScopeError):
        call(verifier, "verify", token)
    revocations.revoke_pool(pool.user_pool_id)
    assert_revoked(call, verifier, token)


def test_token_that_is_refused_anyway_is_not_asked_about(call: Call, pool: FakeUserPool, clock: FakeClock) -> None:
    """What nobody has vouched for, or what is over, never reaches the store."""
    store = Store(answer=False)
    verifier = pool.verifier(revocations=store)
    token = pool.access_token()
    forged = pool.access_token(sub="somebody")[:-4] + "AAAA"
    clock.tick(3600 + 11)
    for refused in (token, forged, pool.id_token(), "no token"):
        with pytest.raises(InvalidTokenError):
            call(verifier, "verify", refused)
    assert store.asked == []


def test_store_is_asked_at_each_request_with_the_principal(call: Call, pool: FakeUserPool) -> None:
    """Also about a token seen before: what it said then is not remembered."""
    store = Store(answer=False)
    verifier = pool.verifier(revocations=store)
    token = pool.access_token()
    principals = [call(verifier, "verify", token) for _ in range(3)]
    assert store.asked == principals
    store.answer = True
    assert_revoked(call, verifier, token)
    store.answer = False
    assert_accepted(call, verifier, token)


def test_revocation_is_the_last_word_behind_one_face(call: Call, pool: FakeUserPool) -> None:
    """No other verifier is asked, and the store not once more: it may answer from a copy that lags behind."""
    store = Store(answer=False)
    access, both = (pool.verifier(token_use=uses, revocations=store) for uses in (["access"], ["access", "id"]))
    either: Any = CognitoVerifier.any_of(access, both)
    tenants: Any = CognitoVerifier.by_issuer({pool.issuer: both}.get)
    seen, new = pool.access_token(), pool.access_token()
    for verifier in (either, tenants):
        assert_accepted(call, verifier, seen)
        store.answer = True
        for token in (seen, new):
            store.asked.clear()
            with pytest.raises(RevokedTokenError):
                call(verifier, "verify", token)
            assert len(store.asked) == 1
        store.answer = False


@pytest.mark.parametrize("others", [None, RevocationList()], ids=["none", "others"])
def test_other_revocations_for_one_issuer_are_a_mistake(pool: FakeUserPool, others: RevocationList | None) -> None:
    """What one verifier refuses as revoked, the other would take."""
    first = pool.verifier(revocations=RevocationList())
    with pytest.raises(ConfigurationError) as caught:
        CognitoVerifier.any_of(first, pool.verifier(token_use="id", revocations=others))
    assert caught.value.setting == "revocations"


def test_each_verifier_asks_its_own(call: Call, pool: FakeUserPool, revocations: RevocationList) -> None:
    """Behind one face too."""
    guarded = pool.verifier(revocations=revocations)
    free = FakeUserPool("eu-west-1_Another12", clock=pool.clock)
    both: Any = CognitoVerifier.any_of(guarded, free.verifier())
    tenants: Any = CognitoVerifier.by_issuer({pool.issuer: guarded}.get)
    token, other = pool.access_token(), free.access_token()
    assert_accepted(call, both, token, other)
    assert_accepted(call, tenants, token)
    for user_pool_id in (pool.user_pool_id, free.user_pool_id):
        revocations.revoke_pool(user_pool_id)
    assert_revoked(call, both, token)
    assert_revoked(call, tenants, token)
    assert_accepted(call, both, other)


# A store that fails


@pytest.mark.parametrize(
    "error, retry_after",
    [
        pytest.param(ConnectionError("refused"), 1.0, id="a connection refused"),
        pytest.param(TimeoutError(), 1.0, id="a timeout"),
        pytest.param(AttributeError("get"), 1.0, id="a mistake in its code"),
        pytest.param(UnavailableError(7.0), 7.0, id="its own word for it"),
        pytest.param(UnavailableError(math.inf), 1.0, id="its own word for ever"),
        pytest.param(UnavailableError(cast("float", "7")), 1.0, id="its own word in text"),
        pytest.param(RevokedTokenError(), 1.0, id="an error where an answer belongs"),
    ],
)
def test_store_that_fails_lets_nobody_in_and_refuses_nobody_for_good(
    call: Call, pool: FakeUserPool, error: Exception, retry_after: float
) -> None:
    """No verdict without an answer: 503, whatever it was that failed; the error's text, which may quote, stays out."""
    store = Store(answer=False)
    verifier = pool.verifier(revocations=store)
    seen, new = pool.access_token(), pool.access_token()
    assert_accepted(call, verifier, seen)
    store.answer = error
    for token in (seen, new):
        with pytest.raises(UnavailableError) as refusal:
            call(verifier, "verify", token)
        assert type(refusal.value) is UnavailableError
        assert (refusal.value.reason, refusal.value.retry_after) == (Reason.REVOCATIONS_UNAVAILABLE, retry_after)
        assert (refusal.value.retryable, str(refusal.value)) == (True, "the revocations are out of reach")
        assert (refusal.value.__cause__, refusal.value.__context__) == (None, None)
        answer = challenge_for(refusal.value)
        assert (answer.status, dict(answer.headers)["Retry-After"]) == (503, str(int(retry_after)))
    store.answer = False
    assert_accepted(call, verifier, seen, new)


def test_outage_of_the_store_is_logged_once_and_so_is_its_end(
    call: Call, pool: FakeUserPool, caplog: pytest.LogCaptureFixture
) -> None:
    """The class of the error alone, and no line per request."""
    caplog.set_level(logging.INFO, "cognito_guard.revocations")
    store = Store(answer=ConnectionError("secret"))
    verifier = pool.verifier(revocations=store)
    for _ in range(3):
        with pytest.raises(UnavailableError):
            call(verifier, "verify", pool.access_token())
    store.answer = False
    assert_accepted(call, verifier, pool.access_token())
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "asking for revocations failed: ConnectionError"),
        ("INFO", "asking for revocations works again"),
    ]
    assert vars(caplog.records[0])["problem"] == "ConnectionError"


@pytest.mark.parametrize("answer", [None, 0, 1, "", "no", [], NotImplemented], ids=repr)
def test_answer_that_is_neither_true_nor_false_is_a_mistake(call: Call, pool: FakeUserPool, answer: object) -> None:
    """A method that forgot to return must not let everybody in."""
    verifier = pool.verifier(revocations=Store(answer))
    with pytest.raises(ConfigurationError) as caught:
        call(verifier, "verify", pool.access_token())
    assert caught.value.setting == "revocations"


class Half:
    """Know revocations in one colour alone."""

    def is_revoked(self, principal: Principal) -> bool:
        """Answer."""
        raise NotImplementedError


@pytest.mark.parametrize(
    "given", [[], {}, "list", True, Half(), RevocationList], ids=["a list", "a dict", "a text", "a bool", "half", "all"]
)
def test_what_can_not_be_asked_is_a_mistake_at_once(pool: FakeUserPool, given: Any) -> None:
    """Both methods must be there, and on an instance: a class would fail at each request."""
    with pytest.raises(ConfigurationError) as caught:
        pool.verifier(revocations=given)
    assert caught.value.setting == "revocations"


# The list


def jwt_id(verifier: CognitoVerifier, token: str) -> str:
    """Return a token's own id."""
    found = verifier.verify(token).jwt_id
    assert found is not None
    return found


def revoking(revocations: RevocationList, kind: str, pool: FakeUserPool) -> Callable[..., None]:
    """Return what revokes Jane, her client, or her pool."""
    names = {"revoke_user": [pool.subject("jane")], "revoke_client": [pool.client_id], "revoke_pool": []}

    def revoke(**options: float) -> None:
        getattr(revocations, kind)(pool.user_pool_id, *names[kind], **options)

    return revoke


def test_revocation_lasts_as_long_as_any_token_that_it_concerns(
    call: Call, pool: FakeUserPool, clock: FakeClock, revocations: RevocationList
) -> None:
    """A day, the longest that Cognito lets a token live, a minute's grace of rotation, and the largest leeway twice."""
    revocations.revoke_session(pool.user_pool_id, "one")
    clock.tick(ROTATION)
    verifier = pool.verifier(revocations=revocations, leeway=LEEWAY)
    # Cognito's clock is ahead of ours.
    issued_at = int(clock()) + LEEWAY
    last = pool.access_token(origin_jti="one", iat=issued_at, exp=issued_at + DAY)
    clock.tick(DAY + 2 * LEEWAY - SWEEP)
    revocations.revoke_pool("eu-west-1_Another12")
    clock.tick(SWEEP - 1)
    assert_revoked(call, verifier, last)
    clock.tick(1)
    with pytest.raises(ExpiredTokenError):
        call(verifier, "verify", last)
    revocations.revoke_pool("eu-west-1_Another13")
    assert len(revocations) == 2


def test_revocation_of_times_to_come_lasts_a_day_beyond_them(revocations: RevocationList, clock: FakeClock) -> None:
    """Where the clock that an event comes from is ahead of ours; an older word for it takes nothing back."""
    revocations.revoke_user("eu-west-1_A", "jane", issued_until=clock() + 3600)
    revocations.revoke_user("eu-west-1_A", "jane")
    clock.tick(DAY + 3600)
    revocations.revoke_pool("eu-west-1_B")
    assert len(revocations) == 2


@pytest.mark.parametrize("lost", ["clock", "timer"])
def test_time_that_is_lost_makes_nobody_forget(pool: FakeUserPool, clock: FakeClock, lost: str) -> None:
    """A clock that was set back judges tokens for longer, and a timer that stood still has not moved at all."""
    timer = FakeClock()
    revocations = RevocationList(clock=clock, timer=timer)
    revocations.revoke_session(pool.user_pool_id, "one")
    verifier = pool.verifier(revocations=revocations)
    token = pool.access_token(origin_jti="one", expires_in=DAY)
    (timer if lost == "clock" else clock).tick(3 * DAY)
    revocations.revoke_pool("eu-west-1_Another12")
    if lost == "timer":
        clock.tick(-3 * DAY)
    with pytest.raises(RevokedTokenError):
        verifier.verify(token)


def test_memory_is_bounded_by_a_days_revocations(revocations: RevocationList, clock: FakeClock) -> None:
    """What no token can meet any more is forgotten with the next revocations."""
    for number in range(2000):
        revocations.revoke_token("eu-west-1_A", f"token-{number}")
        clock.tick(DAY / 100)
    assert 100 <= len(revocations) <= 102
    assert repr(revocations) == f"<RevocationList {len(revocations)} entries>"


@pytest.mark.parametrize(
    "kind, names, options, setting",
    [
        pytest.param("token", ("eu-west-1_A", None), {}, "jwt_id", id="a token without an id"),
        pytest.param("token", ("eu-west-1_A", ""), {}, "jwt_id", id="an empty id"),
        pytest.param("session", ("eu-west-1_A", None), {}, "origin_jti", id="a session without an id"),
        pytest.param("user", ("eu-west-1_A", 7), {}, "subject", id="a number for a subject"),
        pytest.param("client", ("", "client"), {}, "user_pool_id", id="an empty pool"),
        pytest.param("client", ("eu-west-1_A", b"client"), {}, "client_id", id="bytes"),
        pytest.param("pool", (None,), {}, "user_pool_id", id="no pool"),
        pytest.param("user", ("eu-west-1_A", "jane"), {"issued_until": "now"}, "issued_until", id="a text for a time"),
        pytest.param("pool", ("eu-west-1_A",), {"issued_until": math.nan}, "issued_until", id="not a number"),
        pytest.param("user", ("eu-west-1_A", "jane"), {"issued_until": 1e13}, "issued_until", id="milliseconds"),
    ],
)
def test_revocation_of_nothing_is_a_mistake(
    kind: str, names: tuple[object, ...], options: dict[str, object], setting: str, revocations: RevocationList
) -> None:
    """It would be remembered, and never refuse anybody."""
    with pytest.raises(ConfigurationError) as caught:
        getattr(revocations, f"revoke_{kind}")(*names, **options)
    assert caught.value.setting == setting
    assert len(revocations) == 0


def test_times_come_from_the_system_by_default() -> None:
    """What is revoked now concerns what was issued up to now, by the wall clock."""
    pool = FakeUserPool()
    revocations = RevocationList()
    verifier = pool.verifier(revocations=revocations)
    token, later = pool.access_token(), pool.access_token(iat=int(pool.clock()) + 5)
    revocations.revoke_user(pool.user_pool_id, pool.subject("jane"))
    with pytest.raises(RevokedTokenError):
        verifier.verify(token)
    assert verifier.verify(later).username == "jane"


@needs_fork
def test_forked_process_goes_on_with_what_is_revoked() -> None:
    """A thread of the parent may hold the lock at the fork."""
    revocations = RevocationList()
    revocations.revoke_pool("eu-west-1_A")

    def check() -> bool:
        revocations.revoke_pool("eu-west-1_B")
        return len(revocations) == 2

    with revocations._lock:  # pyright: ignore[reportPrivateUsage]
        assert in_child(check)
    assert len(revocations) == 1


def test_word_for_the_future_is_at_most_a_day_ahead() -> None:
    """To the second, and not beyond."""
    revocations = RevocationList(clock=FakeClock(1000.0), timer=FakeClock())
    revocations.revoke_pool("eu-west-1_A", issued_until=1000.0 + DAY)
    with pytest.raises(ConfigurationError, match="at most a day ahead"):
        revocations.revoke_pool("eu-west-1_A", issued_until=math.nextafter(1000.0 + DAY, math.inf))


@pytest.mark.parametrize("is_timer_slow", [pytest.param(True, id="timer"), pytest.param(False, id="clock")])
def test_entry_is_kept_as_long_as_either_time_says(is_timer_slow: bool) -> None:
    """From the moment up to which it revokes; the other time may have been set forward."""
    slow, fast = FakeClock(1000.0), FakeClock(1000.0)
    clock, timer = (fast, slow) if is_timer_slow else (slow, fast)
    revocations = RevocationList(clock=clock, timer=timer)
    revocations.revoke_pool("eu-west-1_A", issued_until=1000.0 + DAY)
    fast.tick(10 * DAY)
    slow.tick(DAY + KEPT_FOR - 1)
    revocations.revoke_pool("eu-west-1_B")
    assert len(revocations) == 2
    slow.tick(1 + SWEEP)
    fast.tick(SWEEP)
    revocations.revoke_pool("eu-west-1_B")
    assert len(revocations) == 1


def test_list_is_searched_for_what_is_over_once_a_minute() -> None:
    """That looks at every entry."""
    clock = FakeClock(1000.0)
    revocations = RevocationList(clock=clock, timer=clock)
    revocations.revoke_pool("eu-west-1_A")
    clock.tick(KEPT_FOR - 1)
    revocations.revoke_pool("eu-west-1_B")
    clock.tick(SWEEP - 1)
    revocations.revoke_pool("eu-west-1_C")
    assert len(revocations) == 3
    clock.tick(1)
    revocations.revoke_pool("eu-west-1_C")
    assert len(revocations) == 2


KINDS = ("revoke_token", "revoke_session", "revoke_user", "revoke_client", "revoke_pool")


@given(
    history=st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 2), st.integers(-90, 90)), max_size=8),
    ages=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 180)), min_size=1, max_size=6),
)
@settings(deadline=None, derandomize=True, max_examples=300)
def test_list_says_what_its_entries_say_one_by_one(
    history: list[tuple[str, int, int]], ages: list[tuple[int, int]]
) -> None:
    """Against a list that is searched from the first entry to the last."""
    clock = FakeClock(1000.0)
    revocations = RevocationList(clock=clock, timer=clock)
    said: list[tuple[str, str, float]] = []
    for kind, number, ahead in history:
        timed = kind in KINDS[2:]
        until = clock() + ahead
        options = {"issued_until": until} if timed else {}
        name = [] if kind == "revoke_pool" else [f"name-{number}"]
        getattr(revocations, kind)("eu-west-1_A", *name, **options)
        said.append((kind, f"name-{number}", until))
    for number, age in ages:
        name_of_all = f"name-{number}"
        issued_at = int(clock()) + 90 - age
        claims = {"sub": name_of_all, "client_id": name_of_all, "jti": name_of_all, "origin_jti": name_of_all}
        principal = Principal({**claims, "token_use": "access", "iat": issued_at}, user_pool_id="eu-west-1_A")
        expected = any(
            (kind == "revoke_pool" or name == name_of_all) and (kind in KINDS[:2] or issued_at <= until)
            for kind, name, until in said
        )
        assert revocations.is_revoked(principal) is expected
