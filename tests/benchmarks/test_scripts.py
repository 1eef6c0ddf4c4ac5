"""Every benchmark still runs, at the smallest size. What it measures is not looked at: that is for people."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import BENCHMARKS, QUICK
from benchmarks.support.pages import markdown
from benchmarks.support.sitting import run_one

ROOT = Path(__file__).parents[2]

SMALLEST = {
    "quick": ["--peers", "--rounds=1", "--megabytes=0.1", "--seconds=0.05", "--quick"],
    "queues": ["--peers", "--rounds=1", "--messages=150", "--rate=200", "--backlog=10"],
    "other_logs": ["--peers", "--rounds=1", "--megabytes=0.1"],
    "produce": ["--peers", "--rounds=1", "--megabytes=0.1", "--only=1 KiB, acks=all, 1 partition"],
    "consume": ["--peers", "--rounds=1", "--megabytes=0.1", "--only=1 partition"],
    "streams": ["--rounds=1", "--megabytes=0.1", "--record-bytes=1024", "--partitions=1,3"],
    "steady": ["--peers", "--rounds=1", "--seconds=0.2", "--peak=2000", "--rates=100"],
    "commits": ["--no-kafka", "--no-tansu", "--rounds=1", "--seconds=0.05", "--groups=20"],
    "rebalances": ["--no-kafka", "--rounds=1", "--members=2", "--partitions=4", "--heartbeat-ms=100"],
    "footprint": ["--no-kafka", "--no-tansu", "--quick", "--partitions=4", "--connections=4", "--megabytes=0.1"],
    "delivery": ["--rounds=1", "--messages=300", "--together=1,10", "--held=20"],
    "flush": ["--rounds=1", "--seconds=0.02", "--partitions=1,3", "--payload-bytes=1024", "--in-flight=1,2"],
    "startup": ["--rounds=1", "--partitions=3", "--fill-bytes=1024", "--megabytes=0.1"],
    "recovery": ["--rounds=1", "--partitions=3", "--kept-bytes=1024,2048", "--since-bytes=1024"],
    "interpreter": ["--quick", "--seconds=0.05", "--groups=4", "--partitions=2", "--megabytes=0.1"],
    "latency": ["--rounds=1", "--records=5"],
    "cold_reads": ["--rounds=1", "--records=5", "--readers=2", "--delay-ms=1", "--cold-megabytes=1"],
    "compaction": ["--quick", "--megabytes=3", "--keys=200", "--beside-megabytes=5", "--seconds=0.1"],
    "restarts": ["--quick", "--heartbeat-ms=100"],
    "groups": ["--rounds=1", "--seconds=0.05", "--groups=2", "--members=2", "--partitions=4", "--offsets=100"],
    "connections": ["--connections=20", "--value-bytes=1024", "--idle-ms=200"],
    "transactions": ["--no-kafka", "--no-tansu", "--rounds=1", "--seconds=0.05", "--producers=2"],
    "requests": ["--peers", "--rounds=1", "--seconds=0.05", "--load=1x1,2x4"],
}


def test_every_benchmark_is_run_here() -> None:
    assert set(SMALLEST) == {*BENCHMARKS, QUICK}
    scripts = {path.stem for path in (ROOT / "benchmarks").glob("*.py")} - {"__init__", "__main__"}
    assert scripts == {*BENCHMARKS, QUICK}


@pytest.mark.parametrize("name", SMALLEST)
def test_a_benchmark_prints_machine_versions_command_and_numbers(name: str, tmp_path: Path) -> None:
    arguments = [f"--directory={tmp_path}", *SMALLEST[name]]
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--json", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["benchmark"] == f"benchmarks.{name}"
    assert document["machine"]["processor"]
    assert document["versions"]["logserver-broker"]
    if {"--peers", "--no-kafka"} & set(arguments):
        assert document["servers"] and all(server["version"] for server in document["servers"])
    assert document["command"].startswith(f"python -m benchmarks.{name} --json")
    assert document["runs"]
    assert document["tables"] and all(table["rows"] for table in document["tables"])
    assert not list(tmp_path.iterdir())


def test_what_people_get_is_markdown(tmp_path: Path) -> None:
    page = markdown(run_one("flush", [f"--directory={tmp_path}", *SMALLEST["flush"]]))
    assert page.startswith("## benchmarks.flush\n")
    assert "| partitions | KiB " in page


def test_a_benchmark_that_is_ended_leaves_nothing_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.latency", f"--directory={tmp_path}", "--records=1000000"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert "round 1" in process.stderr.readline()
            process.terminate()
            assert process.wait(60) == 128 + signal.SIGTERM
        finally:
            process.kill()
    assert not list(tmp_path.iterdir())
