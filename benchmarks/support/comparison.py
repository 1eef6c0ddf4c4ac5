"""Reports of two times held against each other: what got slower beyond the noise."""

import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.support.machine import ROOT
from benchmarks.support.numbers import Spread, spread
from benchmarks.support.pages import Document, number

_LEAST: Final = 0.10
"""Medians that differ by less are the same."""
_ROUNDS: Final = 3
"""Fewer tell nothing of the noise."""
_LEAST_OF_FEW: Final = 0.30


class Change(NamedTuple):
    """A figure that is not what it was; all rounds of one report are beyond all of the other."""

    name: str
    before: Spread
    now: Spread
    is_worse: bool

    def __str__(self) -> str:
        by = (self.now.median / self.before.median - 1) * 100 if self.before.median else float("inf")
        word = "worse" if self.is_worse else "better"
        before, now = (f"{number(it.median)} ({number(it.low)} to {number(it.high)})" for it in (self.before, self.now))
        return f"{word}: {self.name}: {before} before, {now} now ({by:+.0f}%)"


def changes(before: Iterable[Document], now: Iterable[Document]) -> Iterator[Change]:
    """Yields the figures that changed beyond the noise.

    A figure counts as changed if every one of its rounds is beyond every one of the rounds before, and the medians are
    a tenth apart; three tenths where one of the reports has fewer than three rounds. Figures of another machine are
    left out; ratios to a peer that ran beside are not.
    """
    old = {document["benchmark"]: document for document in before}
    for document in now:
        earlier = old.get(document["benchmark"])
        if earlier is None:
            continue
        is_same_machine = earlier["machine"]["processor"] == document["machine"]["processor"]
        for name, figure in document["figures"].items():
            known = earlier["figures"].get(name)
            if known is None or not known["values"] or not figure["values"]:
                continue
            if (is_same_machine or figure["is_ratio"]) and (change := _change(name, known, figure)):
                yield change


def _change(name: str, known: Mapping[str, Any], figure: Mapping[str, Any]) -> Change | None:
    before, now = spread(known["values"]), spread(figure["values"])
    least = _LEAST if min(len(known["values"]), len(figure["values"])) >= _ROUNDS else _LEAST_OF_FEW
    is_more = now.low > before.high and now.median > before.median * (1 + least)
    is_less = now.high < before.low and now.median < before.median * (1 - least)
    if not is_more and not is_less:
        return None
    return Change(name, before, now, is_worse=is_more == figure["less_is_better"])


def committed(path: Path) -> tuple[str, list[Document]] | None:
    """Returns the revision that last changed a report, and the documents in it at HEAD; None without one."""
    relative = path.resolve().relative_to(ROOT).as_posix()
    revision = _git("log", "-1", "--format=%h", "--", relative)
    text = _git("show", f"HEAD:./{relative}") if revision else None
    if not revision or not text:
        return None
    return revision.strip(), json.loads(text)["documents"]


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(("git", *arguments), cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None
