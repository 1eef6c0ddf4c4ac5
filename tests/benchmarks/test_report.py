"""The report of all benchmarks: targets, what limits those that are missed, plots, files."""

import json
from pathlib import Path

import pytest

from benchmarks.__main__ import comparison, summary, write
from benchmarks.support.contest import CannotDo, in_turn
from benchmarks.support.output import Plot, Report
from benchmarks.support.pages import markdown


def report(tmp_path: Path) -> Report:
    made = Report("benchmarks.one", "it is fast", tmp_path)
    made.target("ours to theirs", [1.0, 3.0, 2.0], 1.5)
    made.target("memory of one", [30.0], 24, at_most=True, unit=" KiB")
    made.plot(Plot("by-size", "By size", "bytes", "MB/s", {"ours": [(100, 1.0), (1000, 2.0)], "theirs": []}))
    return made


def test_a_target_is_reached_by_the_median(tmp_path: Path) -> None:
    page = markdown(report(tmp_path).document())
    assert "| ours to theirs | 2.00 (1.00 to 3.00) | at least 1.50x   | reached     |" in page
    assert "| memory of one  | 30.0 (30.0 to 30.0) | at most 24.0 KiB | NOT reached |" in page


def test_what_limits_a_missed_target_stands_below_it(tmp_path: Path) -> None:
    limits = tmp_path / "limits.md"
    limits.write_text("# Limits\n\n## memory of\n\nBuffers.\n\n## ours to\n\nNothing.\n")
    lines = summary([report(tmp_path).document()], limits)
    assert lines[-3:] == ["### Missed: memory of one", "", "Buffers."]
    assert "Nothing." not in lines


def test_a_report_is_a_page_a_document_and_plots(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install '.[bench]'")
    folder = tmp_path / "report"
    document = report(tmp_path).document()
    write(folder, "full", [document], ["as before"])
    assert sorted(path.name for path in folder.iterdir()) == [
        "full-by-size.png",
        "full-by-size.svg",
        "full.json",
        "full.md",
    ]
    assert json.loads((folder / "full.json").read_text())["documents"][0]["targets"] == document["targets"]
    page = (folder / "full.md").read_text()
    assert "![full-by-size.png](full-by-size.png)" in page
    assert "as before" in page


def test_without_a_committed_report_nothing_is_compared(tmp_path: Path) -> None:
    path = Path(__file__).parents[2] / "benchmarks" / "report" / "never.json"
    assert comparison(path, [report(tmp_path).document()]) == ["No report is committed to compare this one with."]


def test_entrants_are_measured_in_turn() -> None:
    asked: list[str] = []

    def entrant(name: str) -> object:
        return lambda: asked.append(name) or len(asked)

    found = in_turn("case", {"a": entrant("a"), "b": entrant("b")}, 2)  # type: ignore[dict-item]
    assert asked == ["a", "b", "a", "b"]
    assert found.ratios("b", "a", float) == [2.0, 4 / 3]


def test_an_entrant_that_fails_is_left_out_unless_it_must_not() -> None:
    def fails() -> None:
        raise CannotDo("it has no such API")

    found = in_turn("case", {"peer": fails, "ours": lambda: 1}, 2)
    assert found.failed == {"peer": "it has no such API"}
    assert found.runs == {"ours": [1, 1]}
    assert found.ratios("ours", "peer", float) == []
    with pytest.raises(CannotDo):
        in_turn("case", {"ours": fails}, 1, must=("ours",))
