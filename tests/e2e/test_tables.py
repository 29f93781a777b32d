"""The tables of flows and of doors in the documentation are the tests, no more and no less."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
COLUMNS = 5
LISTED_ELSEWHERE = re.compile(r"`(?P<path>[\w/]+\.py)::(?P<name>\w+)`")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """
    A table of the documentation, between two marks, and the tests that it has to name.

    Attributes:
        name: of the marks and of the document.
        tests: a pattern of the files, each test of which stands in one row.
    """

    name: str
    tests: str

    def rows(self) -> list[list[str]]:
        """Read the cells of the table, without its head."""
        text = (ROOT / "docs" / f"{self.name}.md").read_text()
        table = text.partition(f"<!-- {self.name} -->\n")[2].partition(f"<!-- end of {self.name} -->")[0]
        return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]

    def decorators(self) -> dict[str, str]:
        """Return the decorators of each test, by name."""
        return {name: text for path in HERE.glob(self.tests) for name, text in decorators_in(path).items()}


@cache
def decorators_in(path: Path) -> Mapping[str, str]:
    """Return the decorators of each test in a file, by name."""
    return {
        node.name: "\n".join(map(ast.unparse, node.decorator_list))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


@pytest.fixture(
    params=[Table(name="flows", tests="test_flows*.py"), Table(name="doors", tests="test_doors*.py")],
    ids=["flows", "doors"],
)
def table(request: pytest.FixtureRequest) -> Table:
    """Be each table in turn."""
    chosen: Table = request.param
    return chosen


def test_table_names_each_test(table: Table) -> None:
    """A test that the table lacks, and one that it makes up, are both an error."""
    cells = [row[3] for row in table.rows()]
    own = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(own) == sorted(table.decorators())
    elsewhere = [match for cell in cells for match in LISTED_ELSEWHERE.finditer(cell)]
    assert len(own) + len(elsewhere) == len(cells)
    assert [match[0] for match in elsewhere if match["name"] not in decorators_in(ROOT / match["path"])] == []


def test_table_is_filled_in(table: Table) -> None:
    """Each row has what it is about, a counterpart, a client, a test and a result."""
    assert [row for row in table.rows() if len(row) != COLUMNS or not all(row)] == []


def test_table_names_the_counterparts(table: Table) -> None:
    """A test that runs on one emulator alone names this one and no other."""
    decorators = table.decorators()
    for _, counterpart, _, test, _ in table.rows():
        only = re.findall(r"'(ministack|moto)(?:_with_triggers)?'", decorators.get(test.strip("`"), ""))
        assert counterpart == ", ".join(only) or not only, test
