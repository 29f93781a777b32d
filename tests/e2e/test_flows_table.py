"""The table of flows in the documentation is the tests, no more and no less."""

from __future__ import annotations

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
DOCUMENT = HERE.parents[1] / "docs" / "flows.md"
COLUMNS = 5


def rows() -> list[list[str]]:
    """Read the cells of the table, without its head."""
    table = DOCUMENT.read_text().partition("<!-- flows -->\n")[2].partition("<!-- end of flows -->")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def flow_tests() -> dict[str, str]:
    """Return the source of each test of a flow, with its decorators, by name."""
    sources = [path.read_text() for path in HERE.glob("test_flows*.py") if path != Path(__file__)]
    return {
        node.name: "\n".join(map(ast.unparse, node.decorator_list))
        for source in sources
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_table_names_each_test_of_a_flow() -> None:
    """A test that the table lacks, and one that it makes up, are both an error."""
    named = [re.findall(r"`(\w+)`", row[3]) for row in rows()]
    assert [len(names) for names in named] == [1] * len(named)
    assert sorted(names[0] for names in named) == sorted(flow_tests())


def test_table_is_filled_in() -> None:
    """Each row has a flow, a counterpart, a client, a test and a result."""
    assert [row for row in rows() if len(row) != COLUMNS or not all(row)] == []


def test_table_names_the_counterparts() -> None:
    """A test that runs on one emulator alone names this one and no other."""
    decorators = flow_tests()
    told = {re.findall(r"\w+", row[3])[0]: row[1] for row in rows()}
    for name, counterpart in told.items():
        only = re.findall(r"'(ministack|moto)(?:_with_triggers)?'", decorators[name])
        assert counterpart == ", ".join(only) or not only, name
