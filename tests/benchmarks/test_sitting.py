"""Benchmarks one after the other: one that fails, or whose process ends, is not the end of the others."""

import json
import re
from pathlib import Path

import pytest

from benchmarks import __main__ as everything
from benchmarks.support import sitting
from benchmarks.support.output import Report
from benchmarks.support.pages import Document
from benchmarks.support.processes import ProcessFailed, Worker
from benchmarks.support.sitting import BenchmarkFailed, Estimate, run_one


def sit(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> tuple[int, list[str]]:
    """Has everything run with benchmarks that end at once; `consume` fails. Returns exit code and who was run."""
    ran: list[str] = []

    def run(name: str, arguments: object, timeout_s: float) -> Document:
        ran.append(name)
        if name == "consume":
            raise BenchmarkFailed("no space left")
        return Report(f"benchmarks.{name}", "it is fast", folder).document()

    monkeypatch.setattr(everything, "run_one", run)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("sys.argv", ["benchmarks", "--output", str(folder), *arguments])
    with pytest.raises(SystemExit) as ended:
        everything.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code, ran


def documents(folder: Path) -> list[str]:
    whole = json.loads((folder / "full.json").read_text())
    return [document["benchmark"].rpartition(".")[2] for document in whole["documents"]]


def test_one_that_fails_does_not_end_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sit(monkeypatch, tmp_path) == (1, list(everything.BENCHMARKS))
    assert documents(tmp_path) == [name for name in everything.BENCHMARKS if name != "consume"]
    assert "- failed: consume, " in (tmp_path / "full.md").read_text()


def test_the_report_is_made_in_several_sittings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sit(monkeypatch, tmp_path, "--only", "steady", "produce") == (0, ["steady", "produce"])
    assert sit(monkeypatch, tmp_path, "--only", "flush") == (0, ["flush"])
    assert documents(tmp_path) == ["produce", "steady", "flush"]
    left = [name for name in everything.BENCHMARKS if name not in documents(tmp_path)]
    assert sit(monkeypatch, tmp_path, "--rest") == (1, left)
    assert sit(monkeypatch, tmp_path, "--rest") == (1, ["consume"])


def test_none_is_begun_that_would_not_end_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(everything, "BENCHMARKS", {"produce": 9.0, "steady": 3.0, "flush": 5.0})
    assert sit(monkeypatch, tmp_path, "--minutes", "5") == (0, ["steady", "flush"])


def test_the_page_has_the_minutes_that_are_expected() -> None:
    page = (Path(__file__).parents[2] / "benchmarks" / "README.md").read_text()
    told = {name: float(minutes) for name, minutes in re.findall(r"`(\w+)` \| (\d+) \|", page)}
    assert told == everything.BENCHMARKS


def test_what_is_left_is_estimated_by_how_the_others_went() -> None:
    estimate = Estimate({"one": 10, "two": 20})
    assert estimate.of(["one", "two"]) == 30
    estimate.took("one", 5)
    assert estimate.of(["two"]) == 10


def test_a_benchmark_without_a_document_says_why() -> None:
    with pytest.raises(BenchmarkFailed, match="unrecognized arguments: --nothing"):
        run_one("flush", ["--nothing"])


def test_a_benchmark_that_hangs_is_ended(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkFailed, match="did not end within 1 s"):
        run_one("latency", [f"--directory={tmp_path}", "--records=10000000"], timeout_s=1)
    assert not list(tmp_path.iterdir())


def test_a_worker_whose_process_has_ended_takes_the_next_job_in_another(tmp_path: Path) -> None:
    with Worker("benchmarks.clients.crowd", tmp_path / "worker.log") as worker:
        with pytest.raises(ProcessFailed, match="KeyError"):
            worker.ask({"kind": "nothing"}, 60)
        assert worker.ask({"kind": "leave"}, 60) is None


def test_a_short_limit_is_never_shorter_than_a_slow_machine_needs() -> None:
    assert sitting.limit_s(1) >= 600
    assert sitting.limit_s(30) > 30 * 60
