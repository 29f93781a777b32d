"""
From figures to what people read: `python -m benchmarks.report benchmarks/results/0.1.0.json`.

Draws the peers as an SVG beside the JSON, and fills the tables of docs/performance.md and README.md in.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from .harness import Absent, Figure, Result, result_of

_ROOT = Path(__file__).parent.parent
DOCUMENTS = (_ROOT / "docs" / "performance.md", _ROOT / "README.md")
_PLACE = re.compile(r"(<!-- figures: (\w+) -->\n).*?(<!-- end of figures -->)", re.DOTALL)
_OURS = "cognito_guard"
_WIDTH, _LABELS, _ROW, _TOP = 760, 300, 24, 58
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600;font-size:15px}.small{font-size:11px}"
    ".peer{fill:#afb8c1}.ours{fill:#0969da}.wall{stroke:#d1242f;stroke-dasharray:4 3}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.peer{fill:#6e7681}.ours{fill:#4493f8}}"
)


def main() -> None:
    """Write the plot and the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("file", type=Path, help="what `python -m benchmarks --json` wrote")
    file: Path = parser.parse_args().file
    measured = json.loads(file.read_text())
    if "peers" in measured:
        file.with_suffix(".svg").write_text(plot(measured["peers"]))
    for document in DOCUMENTS:
        document.write_text(filled(document.read_text(), measured))


def plot(measured: Mapping[str, Any]) -> str:
    """
    Draw verifiers as bars, the fastest one first.

    Args:
        measured: the benchmark "peers" as it stands in the JSON.
    """
    figures = [figure for figure in _results(measured) if isinstance(figure, Figure) and figure.unit == "x raw"]
    figures.sort(key=lambda figure: figure.value)
    scale = (_WIDTH - _LABELS - 60) / figures[-1].value
    bottom = _TOP + _ROW * len(figures)
    wall = _LABELS + scale
    title = "Time to verify a token, as a multiple of its bare RSA check"
    rows = "".join(_row(figure, _TOP + _ROW * place, scale) for place, figure in enumerate(figures))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {bottom + 34}" role="img">'
        f"<title>{title}</title><style>{_STYLE}</style>"
        f'<text class="title" x="12" y="22">{title}</text>'
        f'<text class="small" x="12" y="40">Less is better. The dashed line is the RSA check alone.</text>'
        f'<line class="wall" x1="{wall:.1f}" y1="{_TOP - 6}" x2="{wall:.1f}" y2="{bottom}"/>\n{rows}'
        f'<text class="small" x="12" y="{bottom + 22}">{escape(_environment(measured["machine"]))}</text></svg>\n'
    )


def filled(document: str, measured: Mapping[str, Any]) -> str:
    """
    Fill the tables of a document in.

    Args:
        document: Markdown with `<!-- figures: NAME -->` and `<!-- end of figures -->` around each table.
        measured: benchmarks as they stand in the JSON; places of others stay as they are.
    """

    def table(place: re.Match[str]) -> str:
        name = place[2]
        return f"{place[1]}{_table(measured[name])}{place[3]}" if name in measured else place[0]

    return _PLACE.sub(table, document)


def _row(figure: Figure, top: int, scale: float) -> str:
    kind = "ours" if figure.name.startswith(_OURS) else "peer"
    end = _LABELS + figure.value * scale
    return (
        f'<text x="{_LABELS - 8}" y="{top + 14}" text-anchor="end">{escape(figure.name)}</text>'
        f'<rect class="{kind}" x="{_LABELS}" y="{top + 2}" width="{figure.value * scale:.1f}" height="16" rx="2"/>'
        f'<text x="{end + 6:.1f}" y="{top + 14}">{figure.value:.2f}</text>\n'
    )


def _table(measured: Mapping[str, Any]) -> str:
    rows = [_cells(result) for result in _results(measured)]
    header = ("measured", "median", "10 % to 90 %", "bar or note")
    lines = [header, ("---", "---:", "---", "---"), *rows]
    body = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"{_environment(measured['machine'])}.\n\n{body}"


def _cells(result: Result) -> tuple[str, str, str, str]:
    if isinstance(result, Absent):
        return result.name, "", "", f"not measured: {result.why}"
    spread = f"{result.low:.3g} to {result.high:.3g}" if result.low != result.high else ""
    return result.name, f"{result.value:.3g} {result.unit}", spread, _remark(result)


def _remark(figure: Figure) -> str:
    if figure.bar is None:
        return figure.note
    limit = f"at {'least' if figure.more_is_better else 'most'} {figure.bar:g}"
    return limit if figure.holds else f"{limit}: **missed**"


def _results(measured: Mapping[str, Any]) -> list[Result]:
    figures: Sequence[Mapping[str, Any]] = measured["figures"]
    return [result_of(figure) for figure in figures]


def _environment(machine: Mapping[str, Any]) -> str:
    packages = ("cryptography", "pybase64", "orjson", "uvicorn", "uvloop")
    installed = "".join(f", {name} {machine[name]}" for name in packages if name in machine)
    openssl = " ".join(machine["openssl"].split()[:2])
    return f"Python {machine['python']} on {machine['machine']}, {machine['cores']} cores, {openssl}{installed}"


if __name__ == "__main__":
    main()
