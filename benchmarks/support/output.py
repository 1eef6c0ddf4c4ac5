"""What a benchmark prints: Markdown for people, one JSON document with `--json`."""

import json
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.support.machine import command, machine, now, versions
from benchmarks.support.numbers import Spread, spread
from benchmarks.support.pages import markdown

Cell = str | int | float | Spread | None
Row = Mapping[str, Cell]
"""Headings, units in them, and what stands below."""


@dataclass(slots=True)
class Table:
    """Rows with the same headings."""

    title: str
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Plot:
    """Lines over the same x axis; a line has pairs of x and y."""

    name: str
    """Of its files, without what tells their format."""
    title: str
    x: str
    y: str
    lines: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    x_is_log: bool = True
    y_is_log: bool = False
    x_is_reversed: bool = False


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
        self.plots: list[Plot] = []
        self.runs: list[Mapping[str, Any]] = []
        """Every single measurement, for machines."""
        self._servers: dict[str, dict[str, Any]] = {}
        self._targets: list[dict[str, Any]] = []
        self._figures: dict[str, dict[str, Any]] = {}
        self._failed: list[str] = []
        self._date = now()
        self._began_s = time.monotonic()
        self._machine = machine(directory)
        self._versions = versions()

    def table(self, title: str) -> Table:
        """Adds a table."""
        table = Table(title)
        self.tables.append(table)
        return table

    def plot(self, plot: Plot) -> Plot:
        """Adds a plot."""
        self.plots.append(plot)
        return plot

    def server(self, name: str, version: str, settings: Mapping[str, str]) -> None:
        """Adds a server that takes part, once.

        Args:
            name: as the tables have it.
            version: with the name of the program.
            settings: beside its defaults.
        """
        self._servers[name] = {"name": name, "version": version, "settings": dict(settings)}

    def note(self, text: str) -> None:
        """Adds a note, once."""
        if text not in self.notes:
            self.notes.append(text)

    @contextmanager
    def attempt(self, case: str) -> Iterator[None]:
        """Goes on behind the `with` if a case fails: the others are of use without it. The report says that it did."""
        try:
            yield
        except Exception as error:
            traceback.print_exc()
            self._failed.append(f"{case}: {last_line(error)}")
            progress(f"failed: {self._failed[-1]}")

    def target(
        self, what: str, values: Sequence[float], target: float, *, at_most: bool = False, unit: str = "x"
    ) -> None:
        """Holds the median of some measurements against what it is to be."""
        measured = spread(values)
        reached = measured.median <= target if at_most else measured.median >= target
        told = {"what": what, "measured": measured._asdict(), "target": target, "at_most": at_most}
        self._targets.append({**told, "unit": unit, "reached": reached})
        self.figure(what, values, less_is_better=at_most, is_ratio=unit == "x")

    def figure(
        self, name: str, values: Sequence[float], *, less_is_better: bool = False, is_ratio: bool = False
    ) -> None:
        """Adds what a later report is compared with: measurements of this server, or its ratios to a peer."""
        self._figures[name] = {"values": list(values), "less_is_better": less_is_better, "is_ratio": is_ratio}

    def emit(self, *, as_json: bool) -> None:
        """Prints the report on standard output; ends the process with 1 if a case has failed."""
        sys.stdout.write(self.to_json() if as_json else markdown(self.document()))
        sys.stdout.flush()
        if self._failed:
            sys.exit(1)

    def to_json(self) -> str:
        """Returns the report as a JSON document; medians come as objects with `median`, `low` and `high`."""
        return json.dumps(self.document(), indent=2) + "\n"

    def document(self) -> dict[str, Any]:
        """Returns all of it."""
        return {
            "benchmark": self.module,
            "claim": self.claim,
            "machine": self._machine,
            "versions": self._versions,
            "servers": list(self._servers.values()),
            "command": command(self.module),
            "date": self._date,
            "seconds": time.monotonic() - self._began_s,
            "failed": self._failed,
            "notes": self.notes,
            "targets": self._targets,
            "tables": [
                {"title": table.title, "rows": [_plain_row(row) for row in table.rows], "notes": table.notes}
                for table in self.tables
            ],
            "figures": self._figures,
            "plots": [asdict(plot) for plot in self.plots],
            "runs": self.runs,
        }


def last_line(error: BaseException) -> str:
    """Returns what an exception says, in a line; of what it quotes from a log the end says most."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__


def progress(text: str) -> None:
    """Says on standard error what is being done."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _plain_row(row: Row) -> dict[str, Any]:
    return {heading: cell._asdict() if isinstance(cell, Spread) else cell for heading, cell in row.items()}
