"""The report of all benchmarks: targets, what limits those that are missed, plots, files; made in several sittings."""

import json
from pathlib import Path

import pytest

from benchmarks.__main__ import comparison
from benchmarks.peers.field import left_out
from benchmarks.peers.process import CannotHavePeer
from benchmarks.support.contest import in_turn
from benchmarks.support.output import Plot, Report
from benchmarks.support.pages import markdown
from benchmarks.support.reported import Reported, summary
from benchmarks.support.worker import CannotDo

ORDER = ("one", "two", "three")


def report(tmp_path: Path, name: str = "one") -> Report:
    made = Report(f"benchmarks.{name}", "it is fast", tmp_path)
    made.target("ours to theirs", [1.0, 3.0, 2.0], 1.5)
    made.target("memory of one", [30.0], 24, at_most=True, unit=" KiB")
    made.plot(Plot("by-size", "By size", "bytes", "MB/s", {"ours": [(100, 1.0), (1000, 2.0)], "theirs": []}))
    return made


def reported(folder: Path) -> Reported:
    return Reported(folder, "full", ORDER, "bench")


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


def test_what_limits_several_missed_targets_is_said_once(tmp_path: Path) -> None:
    limits = tmp_path / "limits.md"
    limits.write_text("# Limits\n\n## memory\n\nBuffers.\n")
    made = report(tmp_path)
    made.target("memory of two", [30.0], 24, at_most=True)
    lines = summary([made.document()], limits)
    assert lines[-4:] == ["### Missed: memory of one", "### Missed: memory of two", "", "Buffers."]


def test_a_report_is_a_page_a_document_and_plots(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install '.[bench]'")
    folder = tmp_path / "report"
    document = report(tmp_path).document()
    made = reported(folder)
    made.take(document)
    made.write(["as before"])
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


def test_benchmarks_that_are_measured_later_join_the_report(tmp_path: Path) -> None:
    first, second = (report(tmp_path, name).document() for name in ("three", "one"))
    for document in ({**first, "date": "the first day"}, {**second, "date": "the second day"}):
        sitting = reported(tmp_path)
        sitting.take(document)
        sitting.write([])
    whole = json.loads((tmp_path / "full.json").read_text())
    assert [(it["benchmark"], it["date"]) for it in whole["documents"]] == [
        ("benchmarks.one", "the second day"),
        ("benchmarks.three", "the first day"),
    ]
    page = (tmp_path / "full.md").read_text()
    summed_up, _, rest = page.partition("## Beside the last report")
    assert summed_up.count("| ours to theirs |") == 2
    assert "## benchmarks.one" in rest and "the first day" in rest
    assert reported(tmp_path).missing() == ["two"]


def test_a_benchmark_that_is_measured_again_replaces_its_part(tmp_path: Path) -> None:
    made = reported(tmp_path)
    for claim in ("before", "after"):
        made.take({**report(tmp_path).document(), "claim": claim})
    made.write([])
    assert [document["claim"] for document in reported(tmp_path).documents] == ["after"]


def test_a_benchmark_that_fails_leaves_its_last_part_and_says_so(tmp_path: Path) -> None:
    made = reported(tmp_path)
    made.take(report(tmp_path).document())
    made.fail("one", "no space left")
    made.fail("two", "no rights")
    made.write([])
    page = (tmp_path / "full.md").read_text()
    assert "## benchmarks.one" in page
    assert "- failed: one, " in page and ": no space left\n" in page and ": no rights\n" in page
    again = reported(tmp_path)
    assert again.missing() == ["one", "two", "three"]
    again.take(report(tmp_path).document())
    again.write([])
    assert "no space left" not in (tmp_path / "full.md").read_text()


def test_a_case_that_fails_leaves_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = report(tmp_path)
    with made.attempt("the large one"):
        raise CannotDo("it does not fit")
    assert made.document()["failed"] == ["the large one: it does not fit"]
    with pytest.raises(SystemExit) as ended:
        made.emit(as_json=False)
    assert ended.value.code == 1
    page = capsys.readouterr().out
    assert "- failed: the large one: it does not fit" in page and "| ours to theirs |" in page
    sitting = reported(tmp_path)
    sitting.take(made.document())
    assert "one" in sitting.missing()


def test_who_was_left_out_is_told_at_the_top(tmp_path: Path) -> None:
    made = report(tmp_path)
    with left_out(made, "Apache Kafka"):
        raise CannotHavePeer("it needs java, and this machine has none")
    sitting = reported(tmp_path)
    sitting.take(made.document())
    sitting.write([])
    page = (tmp_path / "full.md").read_text()
    assert "| without Apache Kafka |" in page.partition("## Targets")[0]
    assert "- without Apache Kafka: it needs java, and this machine has none\n" in page


def test_without_a_committed_report_nothing_is_compared(tmp_path: Path) -> None:
    path = Path(__file__).parents[2] / "benchmarks" / "report" / "never.json"
    assert comparison(path, [report(tmp_path).document()]) == ["No report is committed to compare this one with."]


def test_entrants_are_measured_in_turn() -> None:
    asked: list[str] = []

    def entrant(name: str) -> object:
        return lambda: asked.append(name) or len(asked)  # type: ignore[func-returns-value]

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


def test_servers_are_told_with_version_and_settings(tmp_path: Path) -> None:
    made = report(tmp_path)
    made.server("theirs", "Theirs 4.3", {"flush": "1", "JVM": "-Xmx1G"})
    for _ in range(2):
        made.server("ours", "ours 1.0", {})
    assert made.document()["servers"][0]["settings"] == {"flush": "1", "JVM": "-Xmx1G"}
    page = markdown(made.document())
    assert "- server theirs: Theirs 4.3; beside its defaults: flush=1, JVM=-Xmx1G\n" in page
    assert page.count("- server ours: ours 1.0; beside its defaults: nothing\n") == 1
