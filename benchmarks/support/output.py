"""What a benchmark prints: Markdown for people, one JSON document with `--json`."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.support.machine import command, machine, versions
from benchmarks.support.numbers import Spread

Cell = str | int | float | Spread | None
Row = Mapping[str, Cell]
"""Headings, units in them, and what stands below."""


@dataclass(slots=True)
class Table:
    """Rows with the same headings."""

    title: str
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Report:
    """The outcome of one benchmark.

    Args:
        module: that was started, e.g. `benchmarks.flush`.
        claim: what it is to show.
        directory: where its data was.
    """

    def __init__(self, module: str, claim: str, directory: Path) -> None:
        self.module = module
        self.claim = claim
        self.notes: list[str] = []
        """How it was measured, a sentence each."""
        self.tables: list[Table] = []
        self.runs: list[Mapping[str, Any]] = []
        """Every single measurement, for machines."""
        self._machine = machine(directory)
        self._versions = versions()

    def table(self, title: str) -> Table:
        """Adds a table."""
        table = Table(title)
        self.tables.append(table)
        return table

    def emit(self, *, as_json: bool) -> None:
        """Prints the report on standard output."""
        sys.stdout.write(self.to_json() if as_json else self.to_markdown())
        sys.stdout.flush()

    def to_markdown(self) -> str:
        """Returns the report as Markdown."""
        lines = [f"## {self.module}", "", f"Claim: {self.claim}", ""]
        lines += [f"- {name}: {value}" for name, value in self._machine.items()]
        lines += ["- versions: " + ", ".join(f"{name} {value}" for name, value in self._versions.items())]
        lines += [f"- command: `{command(self.module)}`", ""]
        lines += [f"- {note}" for note in self.notes]
        for table in self.tables:
            lines += ["", f"### {table.title}", "", *_markdown(table.rows)]
            lines += [""] * bool(table.notes) + [f"- {note}" for note in table.notes]
        return "\n".join(lines) + "\n"

    def to_json(self) -> str:
        """Returns the report as a JSON document; medians come as objects with `median`, `low` and `high`."""
        document = {
            "benchmark": self.module,
            "claim": self.claim,
            "machine": self._machine,
            "versions": self._versions,
            "command": command(self.module),
            "notes": self.notes,
            "tables": [
                {"title": table.title, "rows": [_plain_row(row) for row in table.rows], "notes": table.notes}
                for table in self.tables
            ],
            "runs": self.runs,
        }
        return json.dumps(document, indent=2) + "\n"


def progress(text: str) -> None:
    """Says on standard error what is being done."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def number(value: float) -> str:
    """Returns a number with three digits that matter."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.1 or value == 0 else f"{value:.3f}"


def _markdown(rows: Sequence[Row]) -> list[str]:
    headings = list(rows[0]) if rows else []
    cells = [[_text(row[heading]) for heading in headings] for row in rows]
    widths = [max(len(line[n]) for line in (headings, *cells)) for n in range(len(headings))]
    lines = [headings, ["-" * width for width in widths], *cells]
    return [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]


def _text(cell: Cell) -> str:
    match cell:
        case None:
            return ""
        case Spread(median, low, high):
            return f"{number(median)} ({number(low)} to {number(high)})"
        case int():
            return f"{cell:,}"
        case float():
            return number(cell)
        case _:
            return str(cell)


def _plain_row(row: Row) -> dict[str, Any]:
    return {heading: cell._asdict() if isinstance(cell, Spread) else cell for heading, cell in row.items()}
