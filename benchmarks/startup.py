"""How long a server takes to be ready, and how much memory it has: idle, and after records went through it."""

import argparse
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.support.filling import Filler
from benchmarks.support.numbers import spread
from benchmarks.support.options import parser, scratch
from benchmarks.support.output import Cell, Report, progress
from benchmarks.support.processes import Server, Worker, log_server
from benchmarks.support.topics import Topics
from benchmarks.support.usage import Memory, memory_of

CLAIM: Final = (
    "ready within 1.5 s with 1,000 partitions on disk; at most 80 MiB of memory of its own when idle, and at most "
    "200 MiB after 1 GiB went through"
)
READY_TARGET_S: Final = 1.5
IDLE_TARGET_MIB: Final = 80
LOADED_TARGET_MIB: Final = 200

_MIB: Final = 1 << 20
_TOPIC_PARTITIONS: Final = 100
_LOAD_PARTITIONS: Final = 12
_RECORD_BYTES: Final = 1024
_KEY_BYTES: Final = 8
_SAMPLE_S: Final = 0.05
_SETTLE_S: Final = 2.0
_TIMEOUT_S: Final = 1800
_BASELINE: Final = (sys.executable, "-c", "import grpc")

_NOTES: Final = (
    "time: from the start of the process to its line `ready`, as another process sees it; files in the page cache",
    "after SIGKILL: every partition got records since the last checkpoint, so the end of each log is checked and its "
    "indexes are made again from there",
    "RssAnon is the memory of the server itself; RssFile are pages of mapped files and code, which the kernel can "
    "take back",
    "Median (least to most) of the rounds",
)


def measure_starts(report: Report, options: argparse.Namespace, directory: Path) -> None:
    """Starts servers on an empty directory and on one with many partitions, in turn with the baseline."""
    data = directory / "many"
    names = [(f"topic-{n}", _TOPIC_PARTITIONS) for n in range(options.partitions // _TOPIC_PARTITIONS)]
    rest = options.partitions % _TOPIC_PARTITIONS
    names += [("topic-rest", rest)] if rest else []
    partitions = [(name, number) for name, count in names for number in range(count)]
    log = directory / "server.log"
    progress(f"making {options.partitions:,} partitions")
    with log_server(data, log) as server, Topics(server.address) as topics, Filler(server.address) as filler:
        for name, count in names:
            topics.create(name, count)
        filler.fill(partitions, options.fill_bytes)
    many = f"{options.partitions:,} partitions"
    empty, clean, killed, baseline = (
        "empty directory",
        f"{many} after a clean stop",
        f"{many} after SIGKILL",
        "baseline: python -c 'import grpc'",
    )
    took: dict[str, list[float]] = {empty: [], clean: [], killed: [], baseline: []}
    idle: dict[str, list[Memory]] = {empty: [], clean: [], killed: []}
    for number in range(options.rounds):
        progress(f"starts: round {number + 1} of {options.rounds}")
        with log_server(directory / f"empty-{number}", log) as server:
            took[empty].append(server.ready_after_s)
            idle[empty].append(memory_of(server.pid))
        began = time.perf_counter()
        subprocess.run(_BASELINE, check=True)
        took[baseline].append(time.perf_counter() - began)
        server = log_server(data, log)
        took[clean].append(server.ready_after_s)
        idle[clean].append(memory_of(server.pid))
        with Filler(server.address) as filler:
            filler.fill(partitions, options.fill_bytes)
        server.kill()
        with log_server(data, log) as server:
            took[killed].append(server.ready_after_s)
            idle[killed].append(memory_of(server.pid))
    _tell_starts(report, took, baseline)
    _tell_idle(report, idle)


def _tell_starts(report: Report, took: dict[str, list[float]], baseline: str) -> None:
    table = report.table("Start to ready")
    for what, seconds in took.items():
        target: Cell = None if what == baseline else READY_TARGET_S
        table.rows.append({"start": what, "s": spread(seconds), "target s": target, "": _verdict(seconds, target)})
        report.runs.append({"start": what, "seconds": seconds})


def _tell_idle(report: Report, idle: dict[str, list[Memory]]) -> None:
    table = report.table("Memory when ready")
    for what, found in idle.items():
        anonymous = [memory.anonymous / _MIB for memory in found]
        table.rows.append(
            {
                "server": what,
                "RssAnon MiB": spread(anonymous),
                "target MiB": IDLE_TARGET_MIB,
                "": _verdict(anonymous, IDLE_TARGET_MIB),
                "RssFile MiB": spread([memory.file / _MIB for memory in found]),
            }
        )
        report.runs.append({"idle": what, "memory": [memory._asdict() for memory in found]})


def _verdict(values: list[float], target: Cell) -> str:
    if not isinstance(target, int | float):
        return ""
    return "reached" if spread(values).median <= target else "NOT reached"


def measure_load(report: Report, options: argparse.Namespace, directory: Path) -> None:
    """Puts records through a server and looks at its memory."""
    records = max(int(options.megabytes * 1024 * 1024 / _RECORD_BYTES), 1)
    through = f"{records * _RECORD_BYTES / _MIB:,.0f} MiB"
    log = directory / "server.log"
    table = report.table(f"Memory with {through} produced and consumed, {_LOAD_PARTITIONS} partitions, 1 KiB records")

    def tell(when: str, memory: Memory, target: Cell = None) -> None:
        anonymous = memory.anonymous / _MIB
        row: dict[str, Cell] = {"when": when, "RssAnon MiB": anonymous, "target MiB": target}
        table.rows.append({**row, "": _verdict([anonymous], target), "RssFile MiB": memory.file / _MIB})
        report.runs.append({"when": when, "memory": memory._asdict()})

    with (
        log_server(directory / "load", log) as server,
        Topics(server.address) as topics,
        Worker("benchmarks.clients.sync", directory / "worker.log") as worker,
    ):
        topics.create("load", _LOAD_PARTITIONS)
        tell("before", memory_of(server.pid), IDLE_TARGET_MIB)
        job = {"address": server.address, "server_pid": server.pid, "topic": "load", "records": records}
        progress(f"producing {through}")
        with _peak_of(server) as peak:
            worker.ask({"kind": "produce", "value_bytes": _RECORD_BYTES - _KEY_BYTES, "keyed": True, **job}, _TIMEOUT_S)
        tell("produced", memory_of(server.pid))
        tell("highest while producing", peak[0])
        progress(f"consuming {through}")
        with _peak_of(server) as peak:
            worker.ask({"kind": "consume", **job}, _TIMEOUT_S)
        tell("produced and consumed", memory_of(server.pid), LOADED_TARGET_MIB)
        tell("highest while consuming", peak[0])
        time.sleep(_SETTLE_S)
        tell(f"{_SETTLE_S:g} s later", memory_of(server.pid), LOADED_TARGET_MIB)


@contextmanager
def _peak_of(server: Server) -> Iterator[list[Memory]]:
    """Looks at a server's memory again and again; the list holds the highest found."""
    peak = [memory_of(server.pid)]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_SAMPLE_S):
            peak[0] = max(peak[0], memory_of(server.pid))

    thread = threading.Thread(target=watch, name="memory", daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


def options(arguments: list[str]) -> Any:
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, help="how often each start is measured, in turn (5, quick: 2)")
    made.add_argument("--partitions", type=int, help="on disk (1000, quick: 100)")
    made.add_argument(
        "--fill-bytes", type=int, default=64 * 1024, help="put into each partition before each kill (65536)"
    )
    made.add_argument("--megabytes", type=float, help="MiB that go through the server (1024, quick: 64)")
    found = made.parse_args(arguments)
    found.rounds = found.rounds or (2 if found.quick else 5)
    found.partitions = found.partitions or (100 if found.quick else 1000)
    found.megabytes = found.megabytes or (64 if found.quick else 1024)
    return found


def main() -> None:
    chosen = options(sys.argv[1:])
    report = Report("benchmarks.startup", CLAIM, chosen.directory)
    report.notes += _NOTES
    with scratch(chosen.directory) as directory:
        measure_starts(report, chosen, directory)
        measure_load(report, chosen, directory)
    report.emit(as_json=chosen.json)


if __name__ == "__main__":
    main()
