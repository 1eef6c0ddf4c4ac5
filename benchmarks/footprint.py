"""What a server takes before, while and after it does something, beside Apache Kafka: time to start, and memory."""

import argparse
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

from logserver_records import build_batch

from benchmarks.clients.admin import Admin
from benchmarks.clients.frames import PRODUCE, frame, produce
from benchmarks.clients.hammer import first_answer, whole_answer
from benchmarks.peers import kafka, tansu
from benchmarks.peers.field import KAFKA, TANSU, left_out
from benchmarks.peers.process import Peer, free_port
from benchmarks.support.contest import Rounds, in_turn
from benchmarks.support.machine import child_environment, our_version
from benchmarks.support.numbers import spread
from benchmarks.support.options import parser, scratch
from benchmarks.support.output import Cell, Plot, Report, Row
from benchmarks.support.processes import Worker
from benchmarks.support.usage import memory_of
from benchmarks.support.worker import CannotDo

CLAIM: Final = (
    "first record acknowledged in a quarter of the time that Apache Kafka takes, a sixth of its memory after load, "
    "24 KiB for an idle connection, 12 KiB for an idle partition"
)
START_TARGET: Final = 1 / 4
MEMORY_TARGET: Final = 1 / 6
CONNECTION_TARGET_KIB: Final = 24
PARTITION_TARGET_KIB: Final = 12

OURS: Final = "log server"
_CREATE_TOPICS: Final = 19
_VERSION: Final = 5
_FIRST: Final = "first"
_MANY: Final = "many"
_LOADED: Final = "loaded"
_LOAD_PARTITIONS: Final = 12
_RECORD_BYTES: Final = 1024
_KIB: Final = 1024
_MIB: Final = 1 << 20
_TIMEOUT_S: Final = 900
_RETRY_S: Final = 0.002
_SETTLE_S: Final = 3.0

NOTES: Final = (
    f"{OURS}: its defaults (fsync); {KAFKA}: {kafka.ABOUT}",
    "start: from the start of a new process, on a data directory that was stopped cleanly and has a topic, to the "
    "answer to a Produce with acks=all of a client that tries every 2 ms; programs are in the page cache",
    f"{TANSU}: {tansu.ABOUT}, what the load puts there too; its topic is made after each start, before the record",
    "memory: RssAnon of the processes of a server; mapped files can be taken back by the kernel and are left out",
    "connections: all begin at once, ask for ApiVersions and Metadata, and then say nothing; the storm ends when the "
    "last one is answered",
    f"after load: that many MiB of 1 KiB records produced to {_LOAD_PARTITIONS} partitions and consumed, "
    f"{_SETTLE_S:g} s later",
)


class Subject:
    """A server that is started again and again on the same directory."""

    def __init__(self, name: str, start: Callable[[], Peer], address: str, *, keeps: bool = True) -> None:
        self.name = name
        self.start = start
        self.address = address
        self.keeps = keeps
        """Whether its topics are there after a new start."""
        self.admin = Admin(address)


def ours(folder: Path) -> Subject:
    """Returns this server."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    command = [sys.executable, "-m", "logserver", "serve", "--data-dir", str(folder / "data")]
    command += ["--grpc-listen", "127.0.0.1:0", "--kafka-listen", address]
    settings = {"max.connections": "100000"}
    for name, value in settings.items():
        command += ["--set", f"{name}={value}"]
    start = partial(Peer, our_version(), address, command, folder, lambda: True, child_environment(), settings)
    return Subject(OURS, start, address)


def theirs(folder: Path) -> Subject:
    """Returns Apache Kafka.

    Raises:
        CannotHavePeer: it can't be had.
    """
    installed = kafka.Installation(folder)
    return Subject(KAFKA, partial(installed.start, wait=False), installed.address)


def in_memory(folder: Path) -> Subject:
    """Returns Tansu.

    Raises:
        CannotHavePeer: it can't be had.
    """
    tansu.fetch()
    port = free_port()
    start = partial(tansu.tansu, folder, port, wait=False)
    return Subject(TANSU, start, f"127.0.0.1:{port}", keeps=False)


def acknowledged(address: str, topic: str, *, keeps: bool) -> None:
    """Tries to put a record until that is acknowledged.

    Args:
        keeps: the topic is there; otherwise it is made first, each time.
    """
    host, _, port = address.rpartition(":")
    made = {"name": topic, "num_partitions": 1, "replication_factor": 1, "assignments": (), "configs": ()}
    create = frame(_CREATE_TOPICS, _VERSION, {"topics": [made], "timeout_ms": 30_000, "validate_only": False})
    request = produce(topic, 0, build_batch([(time.time_ns() // 1_000_000, None, b"first", ())]), acks=-1)
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        try:
            with socket.create_connection((host, int(port)), timeout=_TIMEOUT_S) as connection:
                if not keeps:
                    connection.sendall(create)
                    whole_answer(connection)
                first_answer(connection, request, PRODUCE)
            return
        except (OSError, CannotDo) as error:
            if time.monotonic() > deadline:
                raise CannotDo(f"nothing is acknowledged: {error}") from error
            time.sleep(_RETRY_S)


class Lives:
    """Starts subjects, looks at them at work and ends them."""

    def __init__(self, report: Report, stack: ExitStack, directory: Path, options: argparse.Namespace) -> None:
        self._report = report
        self._options = options
        self._workers = {
            name: stack.enter_context(Worker(f"benchmarks.clients.{name}", directory / f"{name}.log"))
            for name in ("confluent", "crowd")
        }

    def prepare(self, subject: Subject) -> None:
        """Makes the topic that is there at every start."""
        if not subject.keeps:
            return
        with subject.start():
            subject.admin.create(_FIRST, 1)

    def live(self, subject: Subject) -> Any:
        """Starts it, has it do one thing after the other, and returns what that took."""
        options, crowd = self._options, self._workers["crowd"]
        began = time.perf_counter()
        with subject.start() as server:
            acknowledged(subject.address, _FIRST, keeps=subject.keeps)
            found: dict[str, Any] = {"start_s": time.perf_counter() - began}
            self._report.server(subject.name, server.name, server.settings)

            def settled() -> int:
                time.sleep(_SETTLE_S / 10 if options.quick else _SETTLE_S)
                return memory_of(server.pid).anonymous

            found["idle"] = before = settled()
            subject.admin.create(_MANY, options.partitions)
            now = settled()
            found["partition"], before = (now - before) / options.partitions, now
            job = {"address": subject.address, "connections": options.connections, "at_once": options.connections}
            found["storm_s"] = crowd.ask({"kind": "connect", **job}, _TIMEOUT_S)["seconds"]
            found["connection"] = (settled() - before) / options.connections
            crowd.ask({"kind": "leave"}, _TIMEOUT_S)
            subject.admin.delete(_MANY)
            self._load(subject, server.pid)
            found["loaded"] = settled()
            subject.admin.delete(_LOADED)
        return found

    def _load(self, subject: Subject, pid: int) -> None:
        subject.admin.create(_LOADED, _LOAD_PARTITIONS)
        records = max(int(self._options.megabytes * _MIB / _RECORD_BYTES), 1)
        job = {"address": subject.address, "server_pid": pid, "topic": _LOADED, "partitions": _LOAD_PARTITIONS}
        worker = self._workers["confluent"]
        worker.ask({"kind": "produce", **job, "records": records, "value_bytes": _RECORD_BYTES}, _TIMEOUT_S)
        worker.ask({"kind": "consume", **job, "records": records + 1}, _TIMEOUT_S)


def tell(report: Report, found: Rounds, options: argparse.Namespace) -> None:
    """Fills the report."""

    def row(name: str, runs: list[Any]) -> Row:
        def of(key: str, unit: float) -> Cell:
            return spread([run[key] / unit for run in runs])

        return {
            "server": name,
            "start to first acknowledged s": of("start_s", 1),
            "idle MiB": of("idle", _MIB),
            "KiB a partition": of("partition", _KIB),
            "KiB a connection": of("connection", _KIB),
            "storm s": of("storm_s", 1),
            "after load MiB": of("loaded", _MIB),
        }

    table = report.table(
        f"{options.partitions:,} partitions, {options.connections:,} connections, {options.megabytes:,.0f} MiB of load"
    )
    table.rows += [row(name, runs) for name, runs in found.runs.items()]
    report.runs += [{"server": name, **run} for name, runs in found.runs.items() for run in runs]
    for what, key, bound in (
        ("start to first acknowledged record", "start_s", START_TARGET),
        ("memory after load", "loaded", MEMORY_TARGET),
    ):
        if ratios := found.ratios(OURS, KAFKA, lambda run: float(run[key])):  # noqa: B023
            report.target(f"{what}: {OURS} to {KAFKA}", ratios, bound, at_most=True)
    for what, key, kib in (
        ("an idle connection", "connection", CONNECTION_TARGET_KIB),
        ("an idle partition", "partition", PARTITION_TARGET_KIB),
    ):
        values = [value / _KIB for value in found.values(OURS, lambda run: float(run[key]))]  # noqa: B023
        report.target(f"memory of {what}", values, kib, at_most=True, unit=" KiB")
    plot = Plot("memory", "Memory of the server", "1 idle, 2 after load", "RssAnon MiB", x_is_log=False)
    for name, runs in found.runs.items():
        plot.lines[name] = [
            (place, spread([run[key] / _MIB for run in runs]).median)
            for place, key in enumerate(("idle", "loaded"), start=1)
        ]
    report.plot(plot)


def measure(report: Report, directory: Path, options: argparse.Namespace, rounds: int) -> None:
    """Has each server live so often, and fills the report."""
    with ExitStack() as stack:
        subjects = [ours(directory / "footprint-ours")]
        if not options.no_kafka:
            with left_out(report, KAFKA):
                subjects.append(theirs(directory / "footprint-kafka"))
        if not options.no_tansu:
            with left_out(report, TANSU):
                subjects.append(in_memory(directory / "footprint-tansu"))
        lives = Lives(report, stack, directory, options)
        for subject in subjects:
            lives.prepare(subject)
        entrants = {subject.name: partial(lives.live, subject) for subject in subjects}
        tell(report, in_turn("a life", entrants, rounds, must=(OURS,)), options)


def options(arguments: list[str]) -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, help="how often each lives, in turn (5, quick: 1)")
    made.add_argument("--partitions", type=int, help="that do nothing (1000, quick: 200)")
    made.add_argument("--connections", type=int, help="that do nothing (2000, quick: 200)")
    made.add_argument("--megabytes", type=float, help="MiB of load (1024, quick: 64)")
    made.add_argument("--no-kafka", action="store_true", help="without Apache Kafka")
    made.add_argument("--no-tansu", action="store_true", help="without Tansu")
    found = made.parse_args(arguments)
    found.rounds = found.rounds or (1 if found.quick else 5)
    found.partitions = found.partitions or (200 if found.quick else 1000)
    found.connections = found.connections or (200 if found.quick else 2000)
    found.megabytes = found.megabytes or (64 if found.quick else 1024)
    return found


def main() -> None:
    chosen = options(sys.argv[1:])
    report = Report("benchmarks.footprint", CLAIM, chosen.directory)
    report.notes += NOTES
    with scratch(chosen.directory) as directory:
        measure(report, directory, chosen, chosen.rounds)
    report.emit(as_json=chosen.json)


if __name__ == "__main__":
    main()
