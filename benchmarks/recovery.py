"""How long a server with very many partitions takes to start and to stop, by what it keeps and what was not flushed."""

import argparse
import signal
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.support.filling import Filler
from benchmarks.support.numbers import spread
from benchmarks.support.options import parser, scratch
from benchmarks.support.output import Report, progress
from benchmarks.support.processes import Server, log_server
from benchmarks.support.topics import Topics
from benchmarks.support.usage import Memory, cpu_of, memory_of

CLAIM: Final = (
    "with 10,000 partitions a start takes as long as there was written since the last checkpoint, however much is "
    "kept; a stop with all logs just written to is a clean one"
)

_MIB: Final = 1 << 20
_TOPIC_PARTITIONS: Final = 100
_STOP_TIMEOUT_S: Final = 120
_CLEAN: Final = ".kafka_cleanshutdown"
# Nothing but a stop makes a recovery point, so what is written after a start counts as not checked.
_SETTINGS: Final = {"log.flush.offset.checkpoint.interval.ms": "3600000", "log.dir.min.free.bytes": "0"}

_NOTES: Final = (
    "start: from the start of the process to its line `ready`; files in the page cache. After SIGKILL the file system "
    "is synced first, which takes as long as all that others have written there does; that takes no processor time",
    "stop: from SIGTERM to the end of the process, right after records went into every partition; clean if it left "
    "what says so",
    "kept: below the recovery point, by a clean stop; since then: written after it, and checked after SIGKILL",
    "RssAnon is the memory of the process itself when it is ready; RssFile are pages of mapped files and code",
    "Median (least to most) of the rounds",
)


class Start(NamedTuple):
    """A start: until it was ready, in seconds of the clock and of the processor, and the memory then."""

    seconds: float
    cpu_s: float
    memory: Memory


class Directory:
    """A data directory, and the servers that are started on it one after the other."""

    def __init__(self, path: Path, log: Path, partitions: int) -> None:
        self._path = path
        self._log = log
        counts = [_TOPIC_PARTITIONS] * (partitions // _TOPIC_PARTITIONS)
        if partitions % _TOPIC_PARTITIONS:
            counts.append(partitions % _TOPIC_PARTITIONS)
        self._partitions = [(f"topic-{n}", number) for n, count in enumerate(counts) for number in range(count)]
        self.kept_bytes = 0
        server = self._start()
        with Topics(server.address) as topics:
            for n, count in enumerate(counts):
                topics.create(f"topic-{n}", count)
        server.end()

    def _start(self) -> Server:
        return log_server(self._path, self._log, _SETTINGS)

    def _fill(self, server: Server, bytes_each: int) -> None:
        with Filler(server.address) as filler:
            filler.fill(self._partitions, bytes_each)
        self.kept_bytes += bytes_each * len(self._partitions)

    def keep(self, bytes_each: int) -> tuple[float, bool]:
        """Puts records into every partition and stops; returns how long the stop took, and whether it was clean."""
        server = self._start()
        self._fill(server, bytes_each)
        began = time.perf_counter()
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(_STOP_TIMEOUT_S)
        took = time.perf_counter() - began
        server.end()
        return took, (self._path / _CLEAN).exists()

    def start(self, bytes_each: int | None) -> "Start":
        """Starts a server after a clean stop (None), or after so much has been written since then and SIGKILL; stops it
        cleanly."""
        if bytes_each is not None:
            server = self._start()
            if bytes_each:
                self._fill(server, bytes_each)
            server.kill()
        with self._start() as server:
            return Start(server.ready_after_s, cpu_of(server.pid).total_s, memory_of(server.pid))


def measure(report: Report, chosen: argparse.Namespace, directory: Path) -> None:
    """Measures everything in turn, with little that is kept and then with more."""
    progress(f"making {chosen.partitions:,} partitions")
    data = Directory(directory / "data", directory / "server.log", chosen.partitions)
    starts = report.table(f"Start to ready, {chosen.partitions:,} partitions")
    stops = report.table("Stop, all partitions written to")
    for kept in chosen.kept_bytes:
        progress(f"keeping {kept:,} bytes more in each partition")
        took, is_clean = data.keep(kept)
        written = kept * chosen.partitions / _MIB
        stops.rows.append({"written, MiB": written, "s": took, "clean": "yes" if is_clean else "NO"})
        report.runs.append({"stop": kept, "seconds": took, "clean": is_clean})
        before = data.kept_bytes
        for since in (None, 0, *chosen.since_bytes):
            progress(f"starts: {'clean' if since is None else f'{since:,} bytes in each since then'}")
            found = [data.start(since) for _ in range(chosen.rounds)]
            starts.rows.append(
                {
                    "kept, MiB": before / _MIB,
                    "since then, MiB": None if since is None else since * chosen.partitions / _MIB,
                    "end": "clean" if since is None else "SIGKILL",
                    "s": spread([start.seconds for start in found]),
                    "processor s": spread([start.cpu_s for start in found]),
                    "RssAnon MiB": spread([start.memory.anonymous / _MIB for start in found]),
                    "RssFile MiB": spread([start.memory.file / _MIB for start in found]),
                }
            )
            report.runs.append({"kept": before, "since": since, "starts": [start._asdict() for start in found]})


def _sizes(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def options(arguments: list[str]) -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, help="how often each start is measured (3, quick: 1)")
    made.add_argument("--partitions", type=int, help="on disk (10000, quick: 100)")
    made.add_argument("--kept-bytes", type=_sizes, default=[1024, 65_536], help="kept in each, in turn (1024,65536)")
    made.add_argument("--since-bytes", type=_sizes, default=[1024, 16_384], help="written since then (1024,16384)")
    found = made.parse_args(arguments)
    found.rounds = found.rounds or (1 if found.quick else 3)
    found.partitions = found.partitions or (100 if found.quick else 10_000)
    return found


def main() -> None:
    chosen = options(sys.argv[1:])
    report = Report("benchmarks.recovery", CLAIM, chosen.directory)
    report.notes += _NOTES
    with scratch(chosen.directory) as directory:
        measure(report, chosen, directory)
    report.emit(as_json=chosen.json)


if __name__ == "__main__":
    main()
