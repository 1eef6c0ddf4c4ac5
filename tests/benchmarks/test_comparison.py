"""What got slower beyond the noise, between two reports."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchmarks.support import comparison
from benchmarks.support.comparison import changes, committed


def document(processor: str = "a processor", **figures: Any) -> dict[str, Any]:
    return {"benchmark": "benchmarks.one", "machine": {"processor": processor}, "figures": figures}


def figure(*values: float, less_is_better: bool = False, is_ratio: bool = False) -> dict[str, Any]:
    return {"values": list(values), "less_is_better": less_is_better, "is_ratio": is_ratio}


def told(before: dict[str, Any], now: dict[str, Any]) -> list[tuple[str, bool]]:
    return [(change.name, change.is_worse) for change in changes([before], [now])]


def test_a_rate_that_fell_below_all_rounds_is_worse() -> None:
    assert told(document(rate=figure(10, 11, 12)), document(rate=figure(7, 8, 9))) == [("rate", True)]


def test_a_rate_that_rose_is_better() -> None:
    assert told(document(rate=figure(7, 8, 9)), document(rate=figure(10, 11, 12))) == [("rate", False)]


def test_a_latency_that_rose_is_worse() -> None:
    before, now = figure(1, 2, less_is_better=True), figure(3, 4, less_is_better=True)
    assert told(document(p99=before), document(p99=now)) == [("p99", True)]


def test_rounds_that_overlap_are_noise() -> None:
    assert told(document(rate=figure(10, 20, 30)), document(rate=figure(5, 6, 11))) == []


def test_less_than_a_tenth_is_noise() -> None:
    assert told(document(rate=figure(100, 101, 102)), document(rate=figure(95, 96, 97))) == []


def test_a_single_round_tells_nothing_of_the_noise() -> None:
    assert told(document(start=figure(10)), document(start=figure(8))) == []
    assert told(document(start=figure(10, 11, 12)), document(start=figure(8))) == []
    assert told(document(start=figure(10)), document(start=figure(6))) == [("start", True)]


def test_on_another_machine_only_ratios_are_compared() -> None:
    before = document("one", rate=figure(10), ratio=figure(2, is_ratio=True))
    now = document("another", rate=figure(1), ratio=figure(1, is_ratio=True))
    assert told(before, now) == [("ratio", True)]


def test_figures_of_one_report_only_are_left_out() -> None:
    assert told(document(old=figure(1)), document(new=figure(1))) == []


def test_a_change_is_told_with_both_medians() -> None:
    (change,) = changes([document(rate=figure(9, 10, 11))], [document(rate=figure(4, 5, 6))])
    assert str(change) == "worse: rate: 10.0 (9.00 to 11.0) before, 5.00 (4.00 to 6.00) now (-50%)"


def test_what_is_compared_with_is_the_committed_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        command = ("git", *who, *arguments)
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout.strip()

    monkeypatch.setattr(comparison, "ROOT", tmp_path)
    path = tmp_path / "quick.json"
    before, now = (json.dumps({"documents": [document(rate=figure(value))]}) for value in (10, 5))
    git("init", "--quiet")
    path.write_text(before)
    assert committed(path) is None
    git("add", path.name)
    git("commit", "--quiet", "--message=a report")
    revision = git("rev-parse", "--short", "HEAD")
    git("commit", "--quiet", "--allow-empty", "--message=something else")
    path.write_text(now)
    found = committed(path)
    assert found is not None
    assert found[0] == revision
    assert found[1][0]["figures"]["rate"]["values"] == [10]
