"""How fast a log is compacted, in how much memory, and what those notice who produce meanwhile."""

import argparse
import os
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import grpc
from logserver_segments.compaction.config import CleanerConfig
from logserver_segments.compaction.key_map import SLOT_BYTES
from logserverpb.v1 import log_pb2, log_pb2_grpc

from benchmarks.engine.compaction import compact_once, keyed_batches
from benchmarks.support.numbers import percentile, spread
from benchmarks.support.options import parser, scratch
from benchmarks.support.output import Report, progress
from benchmarks.support.processes import Worker, log_server
from benchmarks.support.topics import Topics

CLAIM: Final = (
    "compaction takes a bounded memory, whatever the size of a log, and who produces meanwhile hardly notices it: "
    "p99 within 1.5x of without"
)

_MOST_RATIO: Final = 1.5
_TIMEOUT_S: Final = 600
_KEEP: Final = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "1"}
"""With this ratio nothing is ever compacted."""
_SEGMENT_BYTES: Final = 64 << 20

_NOTES: Final = (
    "rate: a log of one partition, random keys, values that do not compress; once read for its keys and once for its "
    "records, what is left is written and synced; MB/s of the log as it was",
    "worker memory: RssAnon of the process that compacts, at its most; the map of keys is a part of it",
    "p99: one record of 100 bytes after the other (linger_ms=0, acks=all, flush.messages=1) on one connection, into a "
    "topic of its own; with: only while the worker process is there; without: as long, just before. The log that is "
    "compacted is in the same data directory, and was filled just before",
)


class Sender(threading.Thread):
    """Has a client in another process send one record after the other, in short runs, until it is told to stop."""

    def __init__(self, worker: Worker, address: str, topic: str, run_records: int) -> None:
        super().__init__(daemon=True)
        self._worker = worker
        sizes = {"records": run_records, "value_bytes": 100}
        self._job = {"kind": "send", "address": address, "topic": topic, **sizes}
        # When each run began and ended, and the latencies in it.
        self.runs: list[tuple[float, float, list[float]]] = []
        self._stopped = threading.Event()
        self._failure: BaseException | None = None

    def run(self) -> None:
        try:
            while not self._stopped.is_set():
                began = time.perf_counter()
                took: list[float] = self._worker.ask(self._job, _TIMEOUT_S)
                self.runs.append((began, time.perf_counter(), took))
        except BaseException as error:
            self._failure = error

    def stop(self) -> None:
        self._stopped.set()
        self.join()
        if self._failure is not None:
            raise self._failure

    def between(self, began: float, ended: float) -> list[float]:
        """Returns the latencies, in milliseconds and rising, of the runs that lie in a time as a whole."""
        return sorted(ms * 1000 for first, last, took in self.runs if began <= first and last <= ended for ms in took)


def compacts(server_pid: int) -> bool:
    """Whether a server has a process that compacts."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            if parent == server_pid and b"worker_process" in path.with_name("cmdline").read_bytes():
                return True
        except (FileNotFoundError, ProcessLookupError):
            continue
    return False


def fill(address: str, topic: str, size_bytes: int, keys: int) -> None:
    """Appends so many bytes to a topic and waits until all are durable."""
    with grpc.insecure_channel(address, options=(("grpc.enable_http_proxy", 0),)) as channel:
        log: Any = log_pb2_grpc.LogStub(channel)  # type: ignore[no-untyped-call]
        for batch in keyed_batches(max(size_bytes // 100_000, 1), keys, 979):
            part = log_pb2.ProducePartition(topic=topic, partition=0, batches=batch)
            (result,) = log.Produce(log_pb2.ProduceRequest(partitions=[part]), timeout=_TIMEOUT_S).results
            if result.HasField("error"):
                raise RuntimeError(result.error.message)


def measure_rate(directory: Path, chosen: argparse.Namespace, report: Report) -> None:
    """Compacts a large log, and the same keys with a map that does not take them all."""
    table = report.table("Rate and memory")
    limits = CleanerConfig()
    for name, megabytes, config in (
        (f"{chosen.megabytes / 1000:g} GB, {chosen.keys:,} keys", chosen.megabytes, limits),
        (
            "a tenth of it, a map for a tenth of the keys",
            chosen.megabytes / 10,
            CleanerConfig(dedupe_buffer_bytes=max(chosen.keys // 10, 10) * SLOT_BYTES),
        ),
    ):
        folder = directory / f"rate-{len(table.rows)}"
        done = compact_once(folder, megabytes, chosen.keys, chosen.value_bytes, config)
        rate = done.bytes_before / 1e6 / done.seconds
        table.rows.append(
            {
                "what": name,
                "GB before": done.bytes_before / 1e9,
                "GB after": done.bytes_after / 1e9,
                "records before": done.records,
                "records after": done.keys,
                "turns": done.turns,
                "seconds": done.seconds,
                "MB/s": rate,
                "records/s": round(done.records / done.seconds),
                "worker memory MB": done.worker_bytes / 1e6,
                "map at most MB": config.dedupe_buffer_bytes / 1e6,
                "worker CPU s": done.worker_cpu_s,
            }
        )
        report.runs.append({"what": name, **vars(done)})
        _remove(folder)
        if not report.runs[1:]:
            report.figure("compaction, MB/s", [rate])


def _remove(folder: Path) -> None:
    # The next part needs the space.
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def measure_neighbours(directory: Path, chosen: argparse.Namespace, report: Report) -> None:
    """Measures how long produces take beside a compaction, and without one."""
    without: list[list[float]] = []
    beside: list[list[float]] = []
    with ExitStack() as stack:
        settings = {"log.cleaner.backoff.ms": "200"}
        worker = stack.enter_context(Worker("benchmarks.clients.sync_latency", directory / "sync.log"))
        server = stack.enter_context(log_server(directory / "data", directory / "server.log", settings))
        topics = stack.enter_context(Topics(server.address))
        topics.create("produced", 1)
        for number in range(chosen.rounds):
            progress(f"produce beside compaction: round {number + 1} of {chosen.rounds}")
            topic = f"compacted-{number}"
            size = int(chosen.beside_megabytes * 1e6)
            topics.create(topic, 1, {**_KEEP, "segment.bytes": str(min(_SEGMENT_BYTES, max(size // 8, 1 << 20)))})
            fill(server.address, topic, size, chosen.keys)
            sender = Sender(worker, server.address, "produced", chosen.run_records)
            sender.start()
            try:
                began = time.perf_counter()
                # The first run finds caches cold.
                _wait(lambda sender=sender: len(sender.runs) > 1)
                time.sleep(chosen.seconds)
                ended = time.perf_counter()
                topics.alter(topic, {"min.cleanable.dirty.ratio": "0"})
                _wait(lambda: compacts(server.pid))
                cleaning = time.perf_counter()
                folder = directory / "data" / f"{topic}-0"
                _wait(lambda folder=folder: _is_compacted(folder))
                cleaned = time.perf_counter()
            finally:
                sender.stop()
            topics.delete(topic)
            first, second = sender.between(began, ended), sender.between(cleaning, cleaned)
            if not (first and second):
                progress("the compaction was over before a record was sent; give --beside-megabytes more")
                continue
            without.append(first)
            beside.append(second)
            report.runs.append(
                {"what": "beside", "round": number + 1, "compaction_s": cleaned - cleaning, "records": len(second)}
            )
    if not beside:
        return
    table = report.table("Produces beside a compaction")
    for name, rounds in (("without", without), ("with", beside)):
        cells = {f"p{percent:g} ms": spread([percentile(run, percent) for run in rounds]) for percent in (50, 99, 99.9)}
        table.rows.append({"what": name, "records": sum(map(len, rounds)), **cells})
    pairs = zip(beside, without, strict=True)
    ratios = [percentile(with_it, 99) / percentile(alone, 99) for with_it, alone in pairs]
    report.target("p99 of produces, with compaction to without", ratios, _MOST_RATIO, at_most=True)


def _is_compacted(folder: Path) -> bool:
    """Whether a log was compacted, as the server has written down."""
    topic, _, number = folder.name.rpartition("-")
    path = folder.parent / "cleaner-offset-checkpoint"
    return path.exists() and f"{topic} {number} " in path.read_text()


def _wait(what: Any) -> None:
    end = time.monotonic() + _TIMEOUT_S
    while not what():
        if time.monotonic() > end:
            raise TimeoutError("the server did not compact in time")
        time.sleep(0.02)


def options(arguments: list[str]) -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--megabytes", type=float, help="of the large log (4000, quick: 200)")
    made.add_argument("--keys", type=int, help="different ones (1000000, quick: 20000)")
    made.add_argument("--value-bytes", type=int, default=1000, help="size of a record's value (1000)")
    made.add_argument("--rounds", type=int, help="of produces beside a compaction (5, quick: 1)")
    made.add_argument("--beside-megabytes", type=float, help="of the log compacted beside them (1000, quick: 300)")
    made.add_argument("--seconds", type=float, help="of produces without compaction, a round (10, quick: 2)")
    made.add_argument("--run-records", type=int, default=100, help="sent between two looks at the clock (100)")
    made.add_argument("--only", choices=("rate", "beside"), help="this and not the other")
    found = made.parse_args(arguments)
    quick = found.quick
    found.megabytes = found.megabytes or (200 if quick else 4_000)
    found.keys = found.keys or (20_000 if quick else 1_000_000)
    found.rounds = found.rounds or (1 if quick else 5)
    found.beside_megabytes = found.beside_megabytes or (300 if quick else 1000)
    found.seconds = found.seconds or (2 if quick else 10)
    return found


def main() -> None:
    chosen = options(sys.argv[1:])
    report = Report("benchmarks.compaction", CLAIM, chosen.directory)
    report.notes += _NOTES
    with scratch(chosen.directory) as directory:
        if chosen.only != "beside":
            measure_rate(directory, chosen, report)
        if chosen.only != "rate":
            os.makedirs(directory / "beside")
            measure_neighbours(directory / "beside", chosen, report)
    report.emit(as_json=chosen.json)


if __name__ == "__main__":
    main()
