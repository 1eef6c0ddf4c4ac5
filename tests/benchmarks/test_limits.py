"""The sections of limits.md are found: each heading is the beginning of the name of a target."""

from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import cold_reads, commits, consume, footprint, other_logs, produce, streams
from benchmarks.peers.field import KAFKA, KAFKA_FSYNC, OURS, OURS_RELAXED, TANSU, Contestant
from benchmarks.support.contest import Rounds
from benchmarks.support.output import Report
from benchmarks.support.reported import LIMITS, summary

_CPU = {"user_s": 1.0, "system_s": 1.0}
_RUN = {"seconds": 1.0, "server": _CPU, "client": _CPU}
_SERVERS = (OURS, OURS_RELAXED, KAFKA, KAFKA_FSYNC, TANSU)


def headings() -> list[str]:
    return [line.removeprefix("## ") for line in LIMITS.read_text().splitlines() if line.startswith("## ")]


def rounds(*names: str, **run: Any) -> Rounds:
    return Rounds({name: [run or _RUN] for name in names})


@pytest.fixture
def targets(tmp_path: Path) -> list[str]:
    """The names of targets that have sections, as the benchmarks make them; nothing is measured."""
    report = Report("benchmarks.any", "any", tmp_path)
    for producing in produce.CASES:
        produce.judge(report, producing, rounds(*_SERVERS, produce.BUNDLED, produce.BUNDLED_MANY))
    for consuming in consume.CASES:
        consume.judge(report, consuming, rounds(*_SERVERS, consume.BUNDLED))
    committed = {"commits": 1, "p50_s": 1.0, "p99_s": 1.0, **_RUN}
    contestants = {
        name + how: Contestant(name, "", 0, {})
        for name in (commits.OURS, KAFKA)
        for how in (commits.FSYNC, commits.RELAXED)
    }
    worker: Any = SimpleNamespace(ask=lambda job, timeout_s: committed)
    commits.measure(report, contestants, worker, 5000, 1, 1)
    lived = dict.fromkeys(("start_s", "idle", "partition", "connection", "storm_s", "loaded"), 1.0)
    footprint.tell(report, rounds(footprint.OURS, KAFKA, **lived), Namespace(partitions=1, connections=1, megabytes=1))
    sides = [name + other_logs.FSYNC for name in (other_logs.BUNDLED, other_logs.CONFLUENT, other_logs.REDIS)]
    logs: Any = SimpleNamespace(
        sides={name: SimpleNamespace(name=name) for name in sides},
        run=lambda side, records, value_bytes: {"produce": _RUN, "consume": _RUN},
    )
    for value_bytes in other_logs.SIZES:
        other_logs.measure_clients(report, logs, 1, value_bytes, 1)
    cold_reads.tell(report, {(20, what): [(1.0, 1.0)] for what in ("produce", "consume")})
    names = [target["what"] for target in report.document()["targets"]]
    return [*names, *(f"stream, {streams.Case(what, 1024, 1, 1)}: sync" for what in ("produce", "consume"))]


def test_every_heading_is_the_beginning_of_a_target(targets: list[str]) -> None:
    assert [heading for heading in headings() if not any(name.startswith(heading) for name in targets)] == []
    assert len(set(headings())) == len(headings())


def test_of_two_headings_that_fit_the_longer_one_counts(tmp_path: Path) -> None:
    limits = tmp_path / "limits.md"
    limits.write_text("# Limits\n\n## ours to Kafka\n\nThe client.\n\n## ours to Kafka, flush\n\nThe disk.\n")
    report = Report("benchmarks.any", "any", tmp_path)
    report.target("ours to Kafka, flush.messages=1", [1.0], 5)
    assert summary([report.document()], limits)[-1] == "The disk."
