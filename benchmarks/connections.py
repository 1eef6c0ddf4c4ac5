"""What thousands of connected Kafka clients cost that have nothing to say, and how long they take to connect."""

import argparse
import resource
import sys
import time
from contextlib import ExitStack
from typing import Any, Final

from benchmarks.support.numbers import Spread, percentile
from benchmarks.support.options import parser, scratch
from benchmarks.support.output import Cell, Report, Row, progress
from benchmarks.support.processes import Server, Worker, log_server
from benchmarks.support.topics import Topics
from benchmarks.support.usage import cpu_of, kernel_memory, memory_of

CLAIM: Final = "an idle connection of a Kafka client costs at most 24 KiB of the server's own memory"
TARGET_KIB: Final = 24

_KIB: Final = 1024
_TOPIC: Final = "crowd"
_WARM_UP: Final = 100
"""Connections that have gone before any is counted."""
_TOGETHER: Final = 64
_SETTLE_S: Final = 3.0
"""Within 2 s the server gives back the buffers that it kept for what may follow."""
_TIMEOUT_S: Final = 300
_SPARE_FILES: Final = 500
"""What a process has open besides its connections."""

_NOTES: Final = (
    "each connection has asked for ApiVersions and for Metadata, as clients do first, and then says nothing",
    "KiB: RssAnon of the server with the connections less that before them, by their number; what the server needs for "
    "the first connections in its life was there before",
    "kernel: the growth of Slab in /proc/meminfo, where the sockets of both ends are, and whatever else the machine "
    "does meanwhile",
    "at a time: so many are begun before the first is answered, all of them as after a server's restart; their time is "
    "from there to the answer to Metadata",
    "closed: from a connection's last answer to its being closed by the server, which looks ten times in the time that "
    "it may be idle",
)


def measure_memory(report: Report, options: argparse.Namespace, server: Server, worker: Worker) -> None:
    """Looks at the server's memory without connections, with them, and after they were used."""
    table = report.table(f"Memory with {options.connections:,} connections")

    def ask(kind: str, **job: Any) -> Any:
        return worker.ask({"kind": kind, **job}, _TIMEOUT_S)

    def tell(what: str, target: bool) -> None:
        memory, kernel = memory_of(server.pid), kernel_memory()
        each = (memory.anonymous - before.anonymous) / options.connections / _KIB
        row: dict[str, Cell] = {"connections": what, "RssAnon MiB": memory.anonymous / 2**20, "KiB each": each}
        row["target KiB"] = TARGET_KIB if target else None
        row[""] = ("reached" if each <= TARGET_KIB else "NOT reached") if target else ""
        row["kernel KiB each"] = (kernel - kernel_before) / options.connections / _KIB
        table.rows.append(row)
        report.runs.append({"connections": what, "memory": memory._asdict(), "bytes_each": each * _KIB})

    ask("connect", address=server.kafka, connections=_WARM_UP, at_once=_TOGETHER)
    ask("produce", topic=_TOPIC, value_bytes=options.value_bytes, at_once=_TOGETHER)
    ask("leave")
    time.sleep(_SETTLE_S)
    before, kernel_before = memory_of(server.pid), kernel_memory()
    progress(f"{options.connections:,} connections")
    ask("connect", address=server.kafka, connections=options.connections, at_once=_TOGETHER)
    tell("idle", True)
    ask("produce", topic=_TOPIC, value_bytes=options.value_bytes, at_once=_TOGETHER)
    tell(f"just after each sent {options.value_bytes / _KIB:.0f} KiB", False)
    time.sleep(_SETTLE_S)
    tell(f"idle again, {_SETTLE_S:.0f} s later", True)
    ask("leave")
    time.sleep(_SETTLE_S)
    tell("all closed", False)


def measure_storm(report: Report, options: argparse.Namespace, server: Server, worker: Worker) -> None:
    """Has all connect at once, and then the server close all of them when they have been idle too long."""
    together: list[Row] = []
    ended: list[Row] = []
    for at_once in (_TOGETHER, options.connections):
        progress(f"{options.connections:,} connections, {at_once:,} at a time, until they are closed")
        before = cpu_of(server.pid)
        job = {"kind": "connect", "address": server.kafka, "connections": options.connections, "at_once": at_once}
        took = worker.ask(job, _TIMEOUT_S)
        between = cpu_of(server.pid)
        outcome = worker.ask({"kind": "await_end", "timeout_s": options.idle_ms / 1000 * 2 + 30}, _TIMEOUT_S)
        after = cpu_of(server.pid)
        idle = sorted(outcome["idle_s"])
        each_us = 1e6 / options.connections
        together.append(
            {
                "at a time": at_once,
                "s for all": took["seconds"],
                "connections/s": int(options.connections / took["seconds"]),
                "p50 ms": took["p50_s"] * 1000,
                "p99 ms": took["p99_s"] * 1000,
                "slowest ms": took["p100_s"] * 1000,
                "server us each": between.since(before).total_s * each_us,
            }
        )
        ended.append(
            {
                "at a time": at_once,
                "may be idle s": options.idle_ms / 1000,
                "closed after s": Spread(percentile(idle, 50), idle[0], idle[-1]),
                "still open": outcome["left"],
                "server us each": after.since(between).total_s * each_us,
            }
        )
        report.runs.append({"at_once": at_once, "connected": took, "closed": {**outcome, "idle_s": len(idle)}})
    report.table(f"{options.connections:,} clients connect").rows += together
    report.table("Idle connections are closed").rows += ended


def options(arguments: list[str]) -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--connections", type=int, help="at the same time (10000, quick: 500)")
    made.add_argument("--value-bytes", type=int, default=16 * _KIB, help="of the record that each sends (16384)")
    made.add_argument("--idle-ms", type=int, help="connections.max.idle.ms of the server that closes them (5000)")
    found = made.parse_args(arguments)
    found.connections = found.connections or (500 if found.quick else 10_000)
    found.idle_ms = found.idle_ms or (1000 if found.quick else 5000)
    return found


def main() -> None:
    chosen = options(sys.argv[1:])
    report = Report("benchmarks.connections", CLAIM, chosen.directory)
    report.notes += _NOTES
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most_files != resource.RLIM_INFINITY and chosen.connections > most_files - _SPARE_FILES:
        chosen.connections = most_files - _SPARE_FILES
        report.notes.append(f"fewer connections than asked for: this machine lets a process open {most_files} files")
    with scratch(chosen.directory) as directory, ExitStack() as stack:
        worker = stack.enter_context(Worker("benchmarks.clients.crowd", directory / "worker.log"))
        log = directory / "server.log"
        many = {"max.connections": str(chosen.connections + _WARM_UP)}
        with log_server(directory / "memory", log, many, with_kafka=True) as server:
            with Topics(server.address) as topics:
                topics.create(_TOPIC, 1)
            measure_memory(report, chosen, server, worker)
        impatient = {**many, "connections.max.idle.ms": str(chosen.idle_ms)}
        with log_server(directory / "idle", log, impatient, with_kafka=True) as server:
            measure_storm(report, chosen, server, worker)
    report.emit(as_json=chosen.json)


if __name__ == "__main__":
    main()
