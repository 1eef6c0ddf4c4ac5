"""The report of all benchmarks as files, made in one sitting or in several: each benchmark's part is replaced alone."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.support.machine import ROOT, now
from benchmarks.support.output import progress
from benchmarks.support.pages import Document, markdown, number, table, target_row
from benchmarks.support.plots import can_draw, draw

LIMITS: Final = ROOT / "benchmarks" / "limits.md"
_HEAD: Final = """\
# Benchmarks

What `make {target}` measured. Each part names its machine, versions and date, and may be of another day than the next;
what a part compares ran in the same run, in turn; a ratio is of two runs of the same round. `2.1 (1.8 to 2.4)` is the
median of all rounds, with the least and the most of them. Numbers of another machine are other numbers.
"""
_MINUTE_S: Final = 60


class Reported:
    """NAME.json, NAME.md and plots in a folder; what is there already stays until its benchmark is measured again.

    Args:
        folder: made when something is written.
        name: that the files begin with.
        order: of the benchmarks, by name; what the files have of others is dropped.
        target: of make, told on the page.
    """

    def __init__(self, folder: Path, name: str, order: Sequence[str], target: str) -> None:
        self._folder = folder
        self.name = name
        self._order = tuple(order)
        self._target = target
        self._documents: dict[str, Document] = {}
        self._failed: dict[str, Mapping[str, str]] = {}
        path = folder / f"{name}.json"
        if path.exists():
            found = json.loads(path.read_text())
            self._documents = {_short(document): document for document in found["documents"]}
            self._failed = found.get("failed", {})

    @property
    def documents(self) -> list[Document]:
        """All that there are, in order."""
        return [self._documents[name] for name in self._order if name in self._documents]

    def missing(self) -> list[str]:
        """Returns the benchmarks without a document, or with one that has failures, and those that failed since."""
        return [
            name
            for name in self._order
            if name in self._failed or name not in self._documents or self._documents[name].get("failed")
        ]

    def minutes(self, name: str) -> float | None:
        """Returns how long a benchmark took last time; None if it is not there."""
        seconds = self._documents.get(name, {}).get("seconds")
        return None if seconds is None else seconds / _MINUTE_S

    def take(self, document: Document) -> None:
        """Puts a document in the place of the last one of its benchmark."""
        name = _short(document)
        for plot in (*self._documents.get(name, {}).get("plots", ()), *document["plots"]):
            for file in self._files(plot):
                file.unlink(missing_ok=True)
        self._documents[name] = document
        self._failed.pop(name, None)

    def fail(self, name: str, why: str) -> None:
        """Has the report say why a benchmark has no new document; the last one stays."""
        self._failed[name] = {"date": now(), "why": why}

    def write(self, compared: Sequence[str], limits: Path = LIMITS) -> None:
        """Writes all files; each is whole at any time."""
        self._folder.mkdir(parents=True, exist_ok=True)
        failed = {name: self._failed[name] for name in self._order if name in self._failed}
        whole = {"documents": self.documents, "failed": failed}
        self._put(f"{self.name}.json", json.dumps(whole, indent=1) + "\n")
        self._put(f"{self.name}.md", self._page(compared, failed, limits))

    def _page(self, compared: Sequence[str], failed: Mapping[str, Mapping[str, str]], limits: Path) -> str:
        parts = [_HEAD.format(target=self._target), *parts_of(self.documents, failed), ""]
        parts += [*summary(self.documents, limits), ""]
        parts += ["## Beside the last report", "", *compared, ""]
        for document in self.documents:
            parts.append(markdown(document))
            for plot in document["plots"]:
                picture = next(iter(self._files(plot)))
                if picture.exists() or draw(plot, self._folder, self.name):
                    parts.append(f"![{picture.name}]({picture.name})\n")
        if not can_draw():
            progress("no plots: matplotlib is not installed (pip install '.[bench]')")
        return "\n".join(parts)

    def _files(self, plot: Mapping[str, Any]) -> tuple[Path, Path]:
        name = f"{self.name}-{plot['name']}"
        return self._folder / f"{name}.png", self._folder / f"{name}.svg"

    def _put(self, name: str, text: str) -> None:
        partial = self._folder / f"{name}.partial"
        partial.write_text(text)
        os.replace(partial, self._folder / name)


def parts_of(documents: Sequence[Document], failed: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Returns the lines that say what was measured when, and what failed."""
    rows = [
        {
            "benchmark": _short(document),
            "measured": document["date"],
            "revision": document["versions"].get("revision", ""),
            "minutes": document["seconds"] / _MINUTE_S,
            "remarks": ", ".join(_remarks(document)),
        }
        for document in documents
    ]
    lines = ["## Parts", "", *table(rows)]
    if rows:
        lines += ["", f"All together: {number(sum(float(row['minutes']) for row in rows))} minutes."]
    lines += [""] * bool(failed)
    lines += [f"- failed: {name}, {it['date']}: {it['why']}" for name, it in failed.items()]
    return lines


def _remarks(document: Document) -> list[str]:
    """Returns what failed and who was left out, in a few words: the part itself says why."""
    left_out = [note.partition(":")[0] for note in document["notes"] if note.startswith("without ")]
    return ["failed in part"] * bool(document["failed"]) + left_out


def summary(documents: Sequence[Document], limits: Path = LIMITS) -> list[str]:
    """Returns the lines with all targets, and what is known of those that were missed."""
    targets = [target for document in documents for target in document["targets"]]
    if not targets:
        return []
    lines = ["## Targets", "", *table([target_row(target) for target in targets])]
    known = _sections(limits.read_text()) if limits.exists() else {}
    missed: dict[str, list[str]] = {}
    for what in (target["what"] for target in targets if not target["reached"]):
        # The one that says most of it.
        heading = max((heading for heading in known if what.startswith(heading)), key=len, default=None)
        text = known[heading] if heading else "Nothing is known yet of what limits it."
        missed.setdefault(text, []).append(what)
    for text, names in missed.items():
        lines += ["", *(f"### Missed: {what}" for what in names), "", text]
    return lines


def _sections(page: str) -> dict[str, str]:
    """Returns the text below each heading of the second level."""
    found: dict[str, str] = {}
    for part in page.split("\n## ")[1:]:
        heading, _, text = part.partition("\n")
        found[heading.strip()] = text.strip()
    return found


def _short(document: Document) -> str:
    name: str = document["benchmark"]
    return name.rpartition(".")[2]
