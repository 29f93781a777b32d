"""The benchmarks: what they reckon is right, each of them runs, and what is published is what was measured."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import import_module
from math import isfinite
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.__main__ import NAMES, main
from benchmarks.bench_instructions import bar
from benchmarks.harness import (
    QUICK,
    Absent,
    Batch,
    Effort,
    Figure,
    Result,
    added,
    as_json,
    ratios,
    result_of,
    shuffled_rounds,
    single,
    spread,
)
from benchmarks.report import DOCUMENTS, filled, plot
from cognito_guard.testing import FakeClock

RELEASE = Path(import_module("benchmarks").__file__ or "").parent / "results" / "0.1.0.json"
# Those that take a few seconds, with nothing but Python.
RUN = ("verify", "adapters", "memory", "threads", "wire")
MACHINE = {"python": "3.11.0", "machine": "x86_64", "cores": 2, "openssl": "OpenSSL 4.0.3 29 Sep 2026"}


def costing(clock: FakeClock, seconds: float) -> Batch:
    """Return a batch that takes so long for each of its runs."""
    return lambda size: clock.tick(size * seconds)


def effort_of(clock: FakeClock) -> Effort:
    """Return an effort that is timed by a clock."""
    return replace(QUICK, timer=clock)


def figure(**changes: Any) -> Figure:
    """Return a figure with changes."""
    return replace(single("something", 1.5, "x raw"), **changes)


def test_case_beside_the_control_is_reported_as_their_ratio(clock: FakeClock) -> None:
    """A case that takes three times as long as the control has the ratio 3, whatever the order of the rounds."""
    cases = {"slow": (costing(clock, 6.0), 2.0), "fast": (costing(clock, 1.0), None)}
    slow, fast = ratios(cases, control=costing(clock, 2.0), effort=effort_of(clock))
    assert (slow.value, slow.low, slow.high, slow.unit) == (3.0, 3.0, 3.0, "x raw")
    assert (slow.holds, fast.holds) == (False, True)
    assert fast.value == 0.5


def test_guard_in_front_of_a_route_is_reported_as_what_it_adds_over_what_the_check_adds(clock: FakeClock) -> None:
    """A route of 10, 14 with the bare check and 16 with the guard: the guard adds one and a half checks."""
    guarded = {"guard": (costing(clock, 16.0), 1.6)}
    bare, checked = costing(clock, 10.0), costing(clock, 14.0)
    (found,) = added(guarded, bare=bare, checked=checked, effort=effort_of(clock))
    assert (found.value, found.unit, found.holds) == (1.5, "x check", True)


def test_rounds_take_every_case_once_and_come_again_the_same() -> None:
    """Each round has every case once, the rounds differ in their order, and another run has the same ones."""
    rounds = shuffled_rounds("abcdefgh", 20)
    assert [sorted(one) for one in rounds] == [list("abcdefgh")] * 20
    assert len({tuple(one) for one in rounds}) > 1
    assert rounds == shuffled_rounds("abcdefgh", 20)


def test_spread_is_the_median_and_the_outer_deciles() -> None:
    """Of eleven values the sixth is the median, and the second and the tenth bound the spread."""
    found = spread("something", [11, 1, 10, 2, 9, 3, 8, 4, 7, 5, 6], "ms")
    assert (found.value, found.low, found.high) == (6, 2, 10)


@pytest.mark.parametrize(
    "result, holds",
    [
        pytest.param(figure(), True, id="there is no bar"),
        pytest.param(figure(bar=1.5), True, id="the bar is met exactly"),
        pytest.param(figure(bar=1.4), False, id="less is better, and it is more"),
        pytest.param(figure(bar=1.6, more_is_better=True), False, id="more is better, and it is less"),
        pytest.param(figure(bar=1.5, more_is_better=True), True, id="more is better, and the bar is met exactly"),
        pytest.param(Absent(name="something", why="no valgrind"), True, id="it was not measured"),
    ],
)
def test_bar_is_held_where_the_figure_is_on_its_good_side(result: Result, holds: bool) -> None:
    """A bar is held at the bar itself and on the side that is better; what was not measured misses nothing."""
    assert result.holds is holds
    assert ("MISSED" in result.line()) is not holds


@pytest.mark.parametrize(
    "result", [pytest.param(figure(note="x"), id="figure"), pytest.param(Absent(name="a", why="b"), id="absent")]
)
def test_result_survives_json(result: Result) -> None:
    """What is read back equals what was written."""
    assert [result_of(data) for data in json.loads(json.dumps(as_json([result])))] == [result]


@pytest.mark.parametrize(
    "name, committed, most",
    [
        pytest.param("refused: unknown kid", {"refused: unknown kid": 0.5}, 0.515, id="three percent over what was"),
        pytest.param("access token, new", {"access token, new": 1.2}, 1.236, id="the promise is further away"),
        pytest.param("access token, new", {"access token, new": 1.34}, 1.35, id="the promise is nearer"),
        pytest.param("access token, seen", {}, 0.16, id="nothing was committed"),
        pytest.param("refused: unknown kid", {}, None, id="nothing was committed or promised"),
    ],
)
def test_instructions_may_grow_by_three_percent_and_not_beyond_the_promise(
    name: str, committed: dict[str, float], most: float | None
) -> None:
    """The bar of a case is 3 % over the committed count, or the promised one where that is less."""
    assert bar(name, committed) == most


@pytest.mark.parametrize("name", NAMES)
def test_benchmark_is_importable(name: str) -> None:
    """Every name on the command line has its module."""
    assert callable(import_module(f"benchmarks.bench_{name}").run)


@pytest.mark.parametrize("name", RUN)
def test_benchmark_runs_and_its_answers_are_right(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A quick run asserts its own answers, writes finite figures, and exits with 1 only where a bar is missed."""
    file = tmp_path / "figures.json"
    status = main([name, "--quick", "--json", str(file)])
    results = [result_of(data) for data in json.loads(file.read_text())[name]["figures"]]
    assert results
    assert all(isfinite(result.value) for result in results if isinstance(result, Figure))
    assert status == (0 if all(result.holds for result in results) else 1)
    assert results[0].name in capsys.readouterr().out


def test_figures_of_other_benchmarks_stay_and_changes_are_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run adds to the JSON it is given, and tells what has changed since another one."""
    file, other = tmp_path / "figures.json", {"machine": MACHINE, "figures": as_json([figure()])}
    file.write_text(json.dumps({"keys": other}))
    main(["threads", "--quick", "--json", str(file)])
    assert list(json.loads(file.read_text())) == ["keys", "threads"]
    assert json.loads(file.read_text())["keys"] == other
    capsys.readouterr()
    main(["threads", "--quick", "--compare", str(file)])
    lines = [line for line in capsys.readouterr().out.splitlines() if "bare RSA check" in line]
    assert [line.endswith("%)") for line in lines] == [True, True]


def test_plot_shows_every_verifier_from_the_fastest_on() -> None:
    """The plot is well-formed and has each ratio to the bare check, in order, and nothing that was not measured."""
    results: list[Result] = [
        figure(name="slow & old", value=7.0),
        figure(name="cognito_guard", value=1.5),
        figure(name="slow & old, over cognito_guard", value=4.7, unit="x ours"),
        Absent(name="missing", why="needs Python 3.12"),
    ]
    drawn = ElementTree.fromstring(plot({"machine": MACHINE, "figures": as_json(results)}))  # noqa: S314  (our own)
    texts = [element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[2:6] == ["cognito_guard", "1.50", "slow & old", "7.00"]
    assert len(texts) == 7


def test_tables_are_filled_where_there_are_figures_and_left_alone_elsewhere() -> None:
    """A place gets the table of its benchmark; a place without figures, and all other text, stays."""
    place = "<!-- figures: {} -->\nold\n<!-- end of figures -->\n"
    document = f"before\n{place.format('keys')}between\n{place.format('wire')}after\n"
    figures = as_json([figure(bar=1.0), Absent(name="other", why="one core")])
    done = filled(document, {"keys": {"machine": MACHINE, "figures": figures}})
    assert "| something | 1.5 x raw |  | at most 1: **missed** |\n| other |  |  | not measured: one core |\n" in done
    assert done.endswith(f"between\n{place.format('wire')}after\n")
    assert filled(done, {"keys": {"machine": MACHINE, "figures": figures}}) == done


def test_published_tables_and_plot_are_those_of_the_measured_figures() -> None:
    """The document and the plot of the release follow from its JSON, to the letter."""
    measured = json.loads(RELEASE.read_text())
    for document in DOCUMENTS:
        assert filled(document.read_text(), measured) == document.read_text()
    assert plot(measured["peers"]) == RELEASE.with_suffix(".svg").read_text()
