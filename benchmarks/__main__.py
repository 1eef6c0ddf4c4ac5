"""Runs the benchmarks one after the other and writes a report with plots: `python -m benchmarks`."""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.support.comparison import changes, committed
from benchmarks.support.machine import ROOT, child_environment
from benchmarks.support.output import progress
from benchmarks.support.pages import Document, markdown, table, target_row
from benchmarks.support.plots import can_draw, draw

BENCHMARKS: Final = (
    "produce",
    "consume",
    "steady",
    "requests",
    "commits",
    "transactions",
    "rebalances",
    "footprint",
    "connections",
    "other_logs",
    "queues",
    "streams",
    "latency",
    "cold_reads",
    "flush",
    "delivery",
    "groups",
    "startup",
    "recovery",
    "restarts",
    "compaction",
)
QUICK: Final = "quick"
"""Is run on its own: parts of the others, in three minutes."""

_FULL: Final = "full"
_LIMITS: Final = ROOT / "benchmarks" / "limits.md"
_HEAD: Final = """\
# Benchmarks

What `make {target}` measured, on the machine and with the versions that each part names. Peers ran in the same run, in
turn; a ratio is of two runs next to each other. Numbers of another machine are other numbers.
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller and fewer runs: whether it works, not how fast")
    parser.add_argument("--directory", help="where data is kept while it runs")
    parser.add_argument("--only", nargs="+", choices=(*BENCHMARKS, QUICK), help="these and no others")
    parser.add_argument("--three-minutes", action="store_true", help="the short form: benchmarks.quick")
    parser.add_argument("--output", type=Path, help="folder of the report (benchmarks/report; quick: build/benchmarks)")
    options = parser.parse_args()
    passed_on = ["--quick"] * options.quick + (["--directory", options.directory] if options.directory else [])
    names = (QUICK,) if options.three_minutes else options.only or BENCHMARKS
    name = QUICK if options.three_minutes else _FULL
    folder = options.output or (ROOT / "build" / "benchmarks" if options.quick else ROOT / "benchmarks" / "report")
    documents: list[Document] = []
    for benchmark in names:
        progress(f"=== {benchmark}")
        documents.append(run_one(benchmark, passed_on))
        sys.stdout.write(markdown(documents[-1]) + "\n")
        sys.stdout.flush()
    compared = comparison(ROOT / "benchmarks" / "report" / f"{name}.json", documents)
    write(folder, name, documents, compared)
    sys.stdout.write("\n".join(compared) + "\n")


def run_one(name: str, arguments: Sequence[str]) -> Document:
    """Returns the document of one benchmark."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--json", *arguments],
        env=child_environment(),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def comparison(path: Path, documents: Sequence[Document]) -> list[str]:
    """Returns what to say of a report and the last committed one."""
    found = committed(path)
    if found is None:
        return ["No report is committed to compare this one with."]
    revision, before = found
    every = sorted(changes(before, documents), key=lambda change: not change.is_worse)
    worse = sum(change.is_worse for change in every)
    better = len(every) - worse
    head = f"Beside the report committed with {revision}: {worse} figures worse beyond the noise, {better} better."
    return [head, *(f"- {change}" for change in every)]


def write(folder: Path, name: str, documents: Sequence[Document], compared: Sequence[str]) -> None:
    """Writes NAME.md, NAME.json and the plots."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps({"documents": documents}, indent=1) + "\n")
    parts = [_HEAD.format(target="bench-quick" if name == QUICK else "bench")]
    parts += [*summary(documents), ""]
    parts += ["## Beside the last report", "", *compared, ""]
    if not can_draw():
        progress("no plots: matplotlib is not installed (pip install '.[bench]')")
    for document in documents:
        parts.append(markdown(document))
        drawn = [draw(plot, folder, name) for plot in document["plots"]]
        parts += [f"![{file}]({file})\n" for file in drawn if file is not None]
    (folder / f"{name}.md").write_text("\n".join(parts))
    progress(f"written: {folder / name}.md")


def summary(documents: Sequence[Document], limits: Path = _LIMITS) -> list[str]:
    """Returns the lines with all targets, and what is known of those that were missed."""
    targets = [target for document in documents for target in document["targets"]]
    if not targets:
        return []
    lines = ["## Targets", "", *table([target_row(target) for target in targets])]
    known = _sections(limits.read_text()) if limits.exists() else {}
    missed = [target["what"] for target in targets if not target["reached"]]
    for what in missed:
        text = next((text for heading, text in known.items() if what.startswith(heading)), None)
        lines += ["", f"### Missed: {what}", "", text or "Nothing is known yet of what limits it."]
    return lines


def _sections(page: str) -> dict[str, str]:
    """Returns the text below each heading of the second level."""
    found: dict[str, str] = {}
    for part in page.split("\n## ")[1:]:
        heading, _, text = part.partition("\n")
        found[heading.strip()] = text.strip()
    return found


if __name__ == "__main__":
    main()
