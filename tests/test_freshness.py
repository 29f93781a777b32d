"""The schedule of refreshes: the table of decisions, and what no history of events may bring about."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from itertools import combinations, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cognito_guard.errors import ConfigurationError
from cognito_guard.keys.freshness import (
    Held,
    RefreshSchedule,
    Step,
    decide,
    failed,
    nothing_held,
    succeeded,
    try_spent,
)
from cognito_guard.keys.keyset import NO_KEYS, KeySet
from cognito_guard.testing import FakeUserPool

NOW = 5000.0
SCHEDULE = RefreshSchedule(fresh_for=100.0, stale_for=1000.0, cooldown=10.0, burst=2, backoff=1.0, deadline=3.0)
KEYS = KeySet.from_document(FakeUserPool().jwks)
OTHER_KEYS = KeySet.from_document(FakeUserPool().jwks)
KNOWN = next(iter(KEYS.by_kid))
UNKNOWN = next(iter(OTHER_KEYS.by_kid))

FRESH, LAST_FRESH = 0.0, 99.999
STALE, LAST_STALE = 100.0, 1099.999
BEYOND = 1100.0


def held(**changes: Any) -> Held:
    """Return a state with keys that were fetched now, a full bucket and no backoff, with changes."""
    return replace(succeeded(nothing_held(NOW, SCHEDULE), KEYS, NOW), **changes)


def aged(age: float, **changes: Any) -> Held:
    """Return a state with keys of an age."""
    return held(fetched_at=NOW - age, **changes)


BACKOFF: dict[str, Any] = {"failures": 1, "retry_at": NOW + 1}
BACKOFF_OVER: dict[str, Any] = {"failures": 1, "retry_at": NOW}
EMPTY_BUCKET: dict[str, Any] = {"tries": 0.0, "tries_at": NOW}


@pytest.mark.parametrize(
    "state, kid, expected",
    [
        pytest.param(aged(FRESH), KNOWN, Step.USE, id="known, just fetched"),
        pytest.param(aged(LAST_FRESH), KNOWN, Step.USE, id="known, fresh to the last moment"),
        pytest.param(aged(FRESH, **BACKOFF, **EMPTY_BUCKET), KNOWN, Step.USE, id="known, fresh, no fetch allowed"),
        pytest.param(aged(STALE), KNOWN, Step.USE_AND_REFRESH, id="known, stale from the first moment"),
        pytest.param(aged(LAST_STALE), KNOWN, Step.USE_AND_REFRESH, id="known, stale to the last moment"),
        pytest.param(aged(STALE, **EMPTY_BUCKET), KNOWN, Step.USE_AND_REFRESH, id="known, stale, bucket empty"),
        pytest.param(aged(STALE, **BACKOFF), KNOWN, Step.USE, id="known, stale, backoff"),
        pytest.param(aged(LAST_STALE, **BACKOFF), KNOWN, Step.USE, id="known, stale to the last moment, backoff"),
        pytest.param(aged(STALE, **BACKOFF_OVER), KNOWN, Step.USE_AND_REFRESH, id="known, stale, backoff just over"),
        pytest.param(aged(BEYOND), KNOWN, Step.WAIT, id="known, beyond use from the first moment"),
        pytest.param(aged(BEYOND, **EMPTY_BUCKET), KNOWN, Step.WAIT, id="known, beyond use, bucket empty"),
        pytest.param(aged(BEYOND, **BACKOFF), KNOWN, Step.UNAVAILABLE, id="known, beyond use, backoff"),
        pytest.param(aged(BEYOND, **BACKOFF_OVER), KNOWN, Step.WAIT, id="known, beyond use, backoff just over"),
        pytest.param(aged(FRESH), UNKNOWN, Step.WAIT, id="unknown, fresh"),
        pytest.param(aged(LAST_STALE), UNKNOWN, Step.WAIT, id="unknown, stale"),
        pytest.param(aged(FRESH, tries=1.0), UNKNOWN, Step.WAIT, id="unknown, one try left"),
        pytest.param(aged(FRESH, tries=0.99), UNKNOWN, Step.UNKNOWN, id="unknown, nearly one try left"),
        pytest.param(aged(FRESH, tries=0.0, tries_at=NOW - 10), UNKNOWN, Step.WAIT, id="unknown, one try earned"),
        pytest.param(aged(FRESH, **EMPTY_BUCKET), UNKNOWN, Step.UNKNOWN, id="unknown, fresh, bucket empty"),
        pytest.param(aged(LAST_STALE, **EMPTY_BUCKET), UNKNOWN, Step.UNKNOWN, id="unknown, stale, bucket empty"),
        pytest.param(
            aged(FRESH, **EMPTY_BUCKET, **BACKOFF), UNKNOWN, Step.UNAVAILABLE, id="unknown, bucket empty, backoff"
        ),
        pytest.param(
            aged(STALE, **EMPTY_BUCKET, **BACKOFF_OVER),
            UNKNOWN,
            Step.UNAVAILABLE,
            id="unknown, bucket empty, last attempt failed",
        ),
        pytest.param(aged(FRESH, **BACKOFF), UNKNOWN, Step.UNAVAILABLE, id="unknown, fresh, backoff"),
        pytest.param(aged(FRESH, **BACKOFF_OVER), UNKNOWN, Step.WAIT, id="unknown, fresh, backoff just over"),
        pytest.param(aged(BEYOND), UNKNOWN, Step.WAIT, id="unknown, beyond use"),
        pytest.param(aged(BEYOND, **EMPTY_BUCKET), UNKNOWN, Step.WAIT, id="unknown, beyond use, bucket empty"),
        pytest.param(aged(BEYOND, **BACKOFF), UNKNOWN, Step.UNAVAILABLE, id="unknown, beyond use, backoff"),
        pytest.param(nothing_held(NOW, SCHEDULE), KNOWN, Step.WAIT, id="nothing held"),
        pytest.param(
            failed(nothing_held(NOW, SCHEDULE), NOW, SCHEDULE), KNOWN, Step.UNAVAILABLE, id="nothing held, backoff"
        ),
    ],
)
def test_table_of_decisions(state: Held, kid: str, expected: Step) -> None:
    """Each row of the module's table, at each edge."""
    assert decide(state, kid, NOW, SCHEDULE) is expected


@pytest.mark.parametrize(
    "state, kid, expected",
    [
        pytest.param(aged(FRESH), KNOWN, Step.USE, id="known, fresh"),
        pytest.param(aged(STALE), KNOWN, Step.USE, id="known, stale"),
        pytest.param(aged(BEYOND), KNOWN, Step.UNAVAILABLE, id="known, beyond use"),
        pytest.param(aged(FRESH), UNKNOWN, Step.UNKNOWN, id="unknown, last attempt succeeded"),
        pytest.param(aged(FRESH, **BACKOFF), UNKNOWN, Step.UNAVAILABLE, id="unknown, last attempt failed"),
        pytest.param(nothing_held(NOW, SCHEDULE), KNOWN, Step.UNAVAILABLE, id="nothing held"),
    ],
)
def test_last_look_never_waits_again(state: Held, kid: str, expected: Step) -> None:
    """Who waited for a fetch looks once more, and takes what there is."""
    assert decide(state, kid, NOW, SCHEDULE, may_fetch=False) is expected


def test_success_replaces_the_set_whole_and_ends_the_backoff() -> None:
    """Keys that are no longer published are gone with the next answer."""
    after = succeeded(held(**BACKOFF, **EMPTY_BUCKET), OTHER_KEYS, NOW + 5)
    assert after == held(keys=OTHER_KEYS, fetched_at=NOW + 5, **EMPTY_BUCKET)
    assert decide(after, KNOWN, NOW + 5, SCHEDULE) is Step.UNKNOWN
    assert decide(after, UNKNOWN, NOW + 5, SCHEDULE) is Step.USE


def test_failure_drops_nothing() -> None:
    """A failed attempt changes the backoff and nothing else."""
    assert failed(held(), NOW, SCHEDULE) == held(failures=1, retry_at=NOW + 1)
    assert failed(nothing_held(NOW, SCHEDULE), NOW, SCHEDULE).keys is NO_KEYS


def test_backoff_doubles_up_to_the_cap() -> None:
    """However long the outage, the wait is bounded, and so is the arithmetic."""
    state, now, waits = held(), NOW, list[float]()
    for _ in range(2000):
        state = failed(state, now, SCHEDULE)
        waits.append(state.retry_after(now, SCHEDULE))
        now = state.retry_at
    assert waits[:7] == [1, 2, 4, 8, 16, 30, 30]
    assert set(waits[5:]) == {30}
    assert state.failures == 2000
    assert succeeded(state, KEYS, now).retry_after(now, SCHEDULE) == 0


@pytest.mark.parametrize(
    "asked, wait",
    [
        pytest.param(0.0, 1.0, id="nothing asked for"),
        pytest.param(0.5, 1.0, id="less than the backoff"),
        pytest.param(20.0, 20.0, id="more than the backoff"),
        pytest.param(30.0, 30.0, id="as much as the cap"),
        pytest.param(86400.0, 30.0, id="more than the cap"),
        pytest.param(math.inf, 30.0, id="for ever"),
        pytest.param(-5.0, 1.0, id="less than nothing"),
    ],
)
def test_endpoint_may_ask_for_a_longer_wait_up_to_the_cap(asked: float, wait: float) -> None:
    """Retry-After lengthens the backoff; it neither shortens it nor freezes the keys."""
    assert failed(held(), NOW, SCHEDULE, asked).retry_after(NOW, SCHEDULE) == wait


@pytest.mark.parametrize(
    "state, wait",
    [
        pytest.param(held(failures=1, **EMPTY_BUCKET), 10.0, id="the bucket is empty"),
        pytest.param(held(failures=1, tries=0.75, tries_at=NOW), 2.5, id="the next try is three quarters earned"),
        pytest.param(held(failures=1, retry_at=NOW + 4, tries=0.75, tries_at=NOW), 4.0, id="the backoff lasts longer"),
        pytest.param(held(failures=1), 0.0, id="there are tries left"),
        pytest.param(held(failures=1, fetched_at=NOW - 14_400 - 600, **EMPTY_BUCKET), 0.0, id="beyond use, any fetch"),
    ],
)
def test_wait_ends_when_the_next_fetch_for_an_unknown_key_is_allowed(state: Held, wait: float) -> None:
    """Without backoff it is the bucket that must earn a try; keys beyond use need none."""
    assert state.retry_after(NOW, SCHEDULE) == wait


def test_tries_are_earned_one_per_cooldown_up_to_the_burst() -> None:
    """After quiet the bucket is full, and never fuller."""
    empty = held(**EMPTY_BUCKET)
    assert [empty.tries_left(NOW + later, SCHEDULE) for later in (0, 5, 10, 20, 1e9)] == [0, 0.5, 1, 2, 2]


def test_try_spent_is_one_try_less() -> None:
    """What was earned before is kept, and the bucket never owes."""
    once = try_spent(held(tries=0.5, tries_at=NOW - 10), NOW, SCHEDULE)
    assert (once.tries, once.tries_at) == (0.5, NOW)
    assert try_spent(once, NOW, SCHEDULE).tries == 0
    assert replace(once, tries=2.0, tries_at=NOW) == held()


@pytest.mark.parametrize("jump", [0.001, 200.0, 1e9])
def test_timer_that_jumped_back_makes_no_set_young(jump: float) -> None:
    """A negative age is no age: the set is asked for anew and not used meanwhile, and no old time is waited for."""
    now = NOW - jump
    exhausted = held(**EMPTY_BUCKET, failures=1, retry_at=NOW + 1)
    assert decide(held(), KNOWN, now, SCHEDULE) is Step.WAIT
    assert decide(held(), KNOWN, now, SCHEDULE, may_fetch=False) is Step.UNAVAILABLE
    assert exhausted.tries_left(now, SCHEDULE) == SCHEDULE.burst
    assert exhausted.is_fetchable(now, SCHEDULE) == (jump > 2 * SCHEDULE.max_backoff)


@pytest.mark.parametrize("name", ["fresh_for", "stale_for", "cooldown", "burst", "backoff", "deadline"])
@pytest.mark.parametrize(
    "value",
    [
        pytest.param(-1, id="negative"),
        pytest.param(math.nan, id="not a number"),
        pytest.param(math.inf, id="infinite"),
        pytest.param(10**400, id="no float is that large"),
        pytest.param(True, id="a truth value"),
        pytest.param("10", id="text"),
        pytest.param(None, id="nothing"),
    ],
)
def test_schedule_that_is_no_number_of_seconds_is_refused(name: str, value: Any) -> None:
    """Every field is a finite number, and the error names the field."""
    with pytest.raises(ConfigurationError) as refusal:
        RefreshSchedule(**{name: value})
    assert refusal.value.setting == name


@pytest.mark.parametrize(
    "values, setting",
    [
        pytest.param({"cooldown": 0}, "cooldown", id="tries earned without end"),
        pytest.param({"backoff": 0}, "backoff", id="no backoff"),
        pytest.param({"deadline": 0}, "deadline", id="no time to fetch"),
        pytest.param({"deadline": 1e10}, "deadline", id="longer than a thread can wait"),
        pytest.param({"burst": 0}, "burst", id="a rotation is never seen"),
        pytest.param({"burst": 1.5}, "burst", id="half a try"),
        pytest.param({"burst": 2.0}, "burst", id="a number of tries that is a float"),
        pytest.param({"fresh_for": 0, "stale_for": 0}, "fresh_for", id="keys that are beyond use at once"),
    ],
)
def test_schedule_that_cannot_work_is_refused(values: dict[str, Any], setting: str) -> None:
    """A schedule under which tokens would flood the endpoint, or no token be verified, is a mistake."""
    with pytest.raises(ConfigurationError) as refusal:
        RefreshSchedule(**values)
    assert refusal.value.setting == setting


def test_default_schedule_is_the_documented_one() -> None:
    """Ten minutes fresh, four hours of outage unnoticed, three seconds for a fetch."""
    assert RefreshSchedule() == RefreshSchedule(
        fresh_for=600, stale_for=14400, cooldown=10, burst=2, backoff=1, deadline=3
    )


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"stale_for": 0}, id="strict: no outage goes unnoticed"),
        pytest.param({"backoff": 0.001, "cooldown": 0.001, "deadline": 0.001}, id="small ones"),
        pytest.param({"fresh_for": 60, "stale_for": 60, "burst": 1}, id="whole numbers"),
    ],
)
def test_schedule_that_can_work_is_taken(values: dict[str, Any]) -> None:
    """The bounds themselves are within them."""
    schedule = RefreshSchedule(**values)
    assert all(getattr(schedule, name) == value for name, value in values.items())


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.floats(0, 1e7), st.integers(0, 100), st.floats(0, 100))
def test_backoff_is_on_from_the_instant_of_the_failure(now: float, failures: int, retry_after: float) -> None:
    """No rounding of large or odd times lets a second fetch through at once."""
    assert not failed(held(failures=failures), now, SCHEDULE, retry_after).is_fetchable(now, SCHEDULE)


@dataclass(kw_only=True)
class History:
    """
    Play a user pool's source: ask for key IDs, and let each fetch end as it is told.

    Keeps its own record of what happened, from which the tests judge.
    """

    held: Held
    now: float
    fetched: list[tuple[float, KeySet]] = field(default_factory=list[tuple[float, KeySet]])
    attempts: list[float] = field(default_factory=list[float])
    tries: list[float] = field(default_factory=list[float])
    earliest: float = -math.inf
    failures: int = 0

    def ask(self, kid: str, outcome: KeySet | float) -> Step:
        """Ask once; where that starts a fetch, it ends at once: with keys, or with what Retry-After says."""
        step = decide(self.held, kid, self.now, SCHEDULE)
        if step in (Step.WAIT, Step.USE_AND_REFRESH):
            self._fetch(step, outcome)
        return step

    def _fetch(self, step: Step, outcome: KeySet | float) -> None:
        self.attempts.append(self.now)
        if step is Step.WAIT and self.held.is_usable(self.now, SCHEDULE):
            self.tries.append(self.now)
            self.held = try_spent(self.held, self.now, SCHEDULE)
        if isinstance(outcome, KeySet):
            self.held = succeeded(self.held, outcome, self.now)
            self.fetched.append((self.now, outcome))
            self.failures = 0
            return
        before = self.held
        self.held = failed(before, self.now, SCHEDULE, outcome)
        assert (self.held.keys, self.held.fetched_at) == (before.keys, before.fetched_at)
        self.earliest = self.now + min(30.0, max(2.0**self.failures, outcome))
        self.failures += 1


OUTCOMES = st.sampled_from([KEYS, OTHER_KEYS]) | st.sampled_from([0.0, 5.0, 1000.0])
ASKED = st.tuples(st.sampled_from([KNOWN, UNKNOWN, "nobody's"]), OUTCOMES)
STEPS = st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0, 5.0, 10.0, 99.0, 1000.0]), ASKED), max_size=60)


def begin() -> History:
    return History(held=nothing_held(NOW, SCHEDULE), now=NOW)


@settings(deadline=None, derandomize=True)
@given(STEPS)
def test_no_history_uses_a_key_that_is_not_published_or_too_old(steps: list[tuple[float, tuple[str, Any]]]) -> None:
    """A key is used only out of the last answer, and only while that is not beyond use."""
    history = begin()
    for wait, (kid, outcome) in steps:
        history.now += wait
        fetched_at, keys = history.fetched[-1] if history.fetched else (-math.inf, NO_KEYS)
        step = history.ask(kid, outcome)
        usable = kid in keys.by_kid and history.now - fetched_at < SCHEDULE.fresh_for + SCHEDULE.stale_for
        assert (step in (Step.USE, Step.USE_AND_REFRESH)) == usable


@settings(deadline=None, derandomize=True)
@given(STEPS)
def test_no_history_asks_during_a_backoff(steps: list[tuple[float, tuple[str, Any]]]) -> None:
    """After a failure nothing at all is fetched before its wait is over."""
    history = begin()
    for wait, (kid, outcome) in steps:
        history.now += wait
        earliest, attempts = (history.earliest if history.failures else -math.inf), len(history.attempts)
        history.ask(kid, outcome)
        assert len(history.attempts) == attempts or history.now >= earliest


@settings(deadline=None, derandomize=True)
@given(STEPS)
def test_no_history_spends_more_tries_than_it_earned(steps: list[tuple[float, tuple[str, Any]]]) -> None:
    """In any span of time, unknown key IDs cost at most the burst and one fetch per cooldown."""
    history = begin()
    for wait, (kid, outcome) in steps:
        history.now += wait
        history.ask(kid, outcome)
    numbered = list(enumerate(history.tries))
    for (first, started), (last, ended) in combinations(numbered, 2):
        assert last - first + 1 <= SCHEDULE.burst + (ended - started) / SCHEDULE.cooldown


@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.floats(-1e6, 1e6), ASKED), max_size=60))
def test_no_timer_stops_the_keys_for_good(steps: list[tuple[float, tuple[str, Any]]]) -> None:
    """Whatever the timer did, keys are usable again once it runs on and the endpoint answers."""
    history = begin()
    for jump, (kid, outcome) in steps:
        history.now += jump
        history.ask(kid, outcome)
    history.now += SCHEDULE.fresh_for + SCHEDULE.max_backoff
    assert history.ask(KNOWN, KEYS) is not Step.UNAVAILABLE
    assert history.ask(KNOWN, KEYS) is Step.USE


def test_flood_of_unknown_key_ids_then_quiet_then_a_rotation() -> None:
    """A flood costs the burst and one fetch per cooldown; after quiet the first token of a rotation is let through."""
    history = begin()
    history.ask(KNOWN, KEYS)
    for invented in range(1000):
        history.ask(f"invented {invented}", KEYS)
    assert len(history.tries) == SCHEDULE.burst
    for _ in range(50):
        history.now += 1.0
        history.ask("invented", KEYS)
    assert len(history.tries) == SCHEDULE.burst + 5
    assert all(later - earlier == 10.0 for earlier, later in pairwise(history.tries[1:]))
    history.now += SCHEDULE.cooldown
    assert history.ask(UNKNOWN, OTHER_KEYS) is Step.WAIT
    assert history.ask(UNKNOWN, OTHER_KEYS) is Step.USE


def test_bucket_may_be_as_large_as_its_bound() -> None:
    """A hundred tries, and no more."""
    assert replace(SCHEDULE, burst=100).burst == 100
    with pytest.raises(ConfigurationError) as caught:
        replace(SCHEDULE, burst=101)
    assert caught.value.setting == "burst"


@pytest.mark.parametrize("wait, fetchable", [(0.0, True), (0.001, False), (60.0, False), (60.001, True), (90.0, True)])
def test_backoff_holds_for_at_most_twice_its_greatest_wait(wait: float, fetchable: bool) -> None:
    """A longer one was not set by this timer."""
    assert held(failures=1, retry_at=NOW + wait).is_fetchable(NOW, SCHEDULE) is fetchable


def test_problem_is_told_until_the_next_success() -> None:
    """Whoever looks for the cause of an outage finds the last one, and none of an outage that is over."""
    broken = failed(held(), NOW, SCHEDULE, problem="the endpoint answered 500")
    assert broken.problem == "the endpoint answered 500"
    assert failed(broken, NOW, SCHEDULE, problem="the fetch hangs").problem == "the fetch hangs"
    assert succeeded(broken, OTHER_KEYS, NOW).problem == ""


def test_endpoint_that_asks_for_no_wait_gets_the_backoff_alone() -> None:
    """However short it is."""
    schedule = replace(SCHEDULE, backoff=0.25)
    assert failed(held(), NOW, schedule).retry_at == NOW + 0.25
