"""docs/guarantees.md: each promise leads to its check, and what planted faults are told as is one of them."""

import re
from pathlib import Path

from .planted import ROOT

PAGE = ROOT / "docs" / "guarantees.md"


def rows(heading: str) -> list[str]:
    """Returns the rows of the first table behind a heading."""
    table = PAGE.read_text().partition(f"## {heading}\n")[2].partition("\n| --- |")[2].partition("\n\n")[0]
    return table.splitlines()[1:]


def checks() -> dict[str, list[Path]]:
    """Returns the files that each kind of violation is said to be in."""
    found: dict[str, list[Path]] = {}
    for row in rows("What is promised, and what checks it"):
        parts = [(PAGE.parent / link, text) for link, text in re.findall(r"\]\(([^)]+)\): ([^;|]+)", row)]
        assert parts, row
        for path, text in parts:
            for kind in re.findall(r'"([^"]+)"', text):
                found.setdefault(kind, []).append(path)
    return found


def test_each_promise_leads_to_the_check_that_tells_of_its_violation() -> None:
    named = checks()
    assert len(named) > 50
    assert not [(kind, path) for kind, paths in named.items() for path in paths if f'"{kind}"' not in path.read_text()]


def test_what_planted_faults_are_told_as_is_the_violation_of_a_promise() -> None:
    told = {row.split(" | ")[2] for row in rows("That the checks bite")}
    assert len(told) > 15
    assert told <= checks().keys()
