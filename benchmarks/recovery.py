"""How long a server with very many partitions takes to start and to stop, by what it keeps and what was not flushed."""

import argparse
import signal
import sys
import time
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from benchmarks.support.filling import Filler
from benchmarks.support.numbers import spread
from benchmarks.support.options import parser, scratch
from benchmarks.support.output import Report, Table, progress
from benchmarks.support.processes import Server, log_server
from benchmarks.support.topics import Topics
from benchmarks.support.usage import Memory, cpu_of, memory_of

CLAIM: Final = (
    "with 10,000 partitions the time and the memory of a start after an unclean end go with what was written since the "
    "last checkpoint, not with what is kept; a stop with all logs just written to is a clean one"
)
TARGET: Final = 1.5

_MIB: Final = 1 << 20
_TOPIC_PARTITIONS: Final = 100
_BATCH_BYTES: Final = 16_384
_STOP_TIMEOUT_S: Final = 120
_CLEAN: Final = ".kafka_cleanshutdown"
# Nothing but a stop makes a recovery point, so what is written after a start counts as not checked.
_SETTINGS: Final = {"log.flush.offset.checkpoint.interval.ms": "3600000", "log.dir.min.free.bytes": "0"}

_NOTES: Final = (
    "start: from the start of the process to its line `ready`; files in the page cache. After SIGKILL the file system "
    "is synced first, which takes as long as all that others have written there does; that takes no processor time",
    "kept: below the recovery point, by a clean stop; since then: written after it, and read and checked by each start "
    "after SIGKILL",
    "stop: from SIGTERM to the end of the process, right after records went into every partition; clean if it left "
    "what says so",
    "RssAnon is the memory of the server itself when it is ready; RssFile are pages of mapped files and code",
    "Median (least to most) of the rounds; ratios are of medians of processor time",
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
        # In each partition.
        self._bytes = 0
        server = self._start()
        with Topics(server.address) as topics:
            for n, count in enumerate(counts):
                topics.create(f"topic-{n}", count)
        server.end()

    def _start(self) -> Server:
        return log_server(self._path, self._log, _SETTINGS)

    def _fill(self, server: Server, bytes_each: int) -> None:
        """Has so many bytes in each partition."""
        with Filler(server.address) as filler:
            while self._bytes < bytes_each:
                size = min(bytes_each - self._bytes, _BATCH_BYTES)
                filler.fill(self._partitions, size)
                self._bytes += size

    def keep(self, bytes_each: int) -> tuple[float, bool]:
        """Has so many bytes in every partition and stops; returns how long the stop took, and whether it was clean."""
        server = self._start()
        self._fill(server, bytes_each)
        began = time.perf_counter()
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(_STOP_TIMEOUT_S)
        took = time.perf_counter() - began
        server.end()
        return took, (self._path / _CLEAN).exists()

    def write(self, bytes_each: int) -> None:
        """Has so many bytes in every partition and kills the server."""
        server = self._start()
        self._fill(server, bytes_each)
        server.kill()

    def start(self, *, kill: bool) -> Start:
        """Starts a server and ends it, cleanly or by SIGKILL: then the next start finds what this one found."""
        with self._start() as server:
            found = Start(server.ready_after_s, cpu_of(server.pid).total_s, memory_of(server.pid))
            if kill:
                server.kill()
        return found


def measure(report: Report, chosen: argparse.Namespace, directory: Path) -> None:
    """Measures everything in turn, with little that is kept and then with more."""
    progress(f"making {chosen.partitions:,} partitions")
    data = Directory(directory / "data", directory / "server.log", chosen.partitions)
    starts = report.table(f"Start to ready, {chosen.partitions:,} partitions")
    cost = report.table("What a start costs")
    stops = report.table("Stop, all partitions written to")
    mib = chosen.partitions / _MIB
    found: dict[tuple[int, int | None], list[Start]] = {}
    for kept in chosen.kept_bytes:
        progress(f"keeping {kept:,} bytes in each partition")
        took, is_clean = data.keep(kept)
        stops.rows.append({"kept, MiB": kept * mib, "s": took, "clean": "yes" if is_clean else "NO"})
        report.runs.append({"stop": kept, "seconds": took, "clean": is_clean})
        for since in (None, 0, *chosen.since_bytes):
            progress(f"starts: {'clean' if since is None else f'{since:,} bytes in each since then'}")
            if since is not None:
                data.write(kept + since)
            each = found[kept, since] = [data.start(kill=since is not None) for _ in range(chosen.rounds)]
            starts.rows.append(
                {
                    "kept, MiB": kept * mib,
                    "since then, MiB": None if since is None else since * mib,
                    "end": "clean" if since is None else "SIGKILL",
                    "s": spread([start.seconds for start in each]),
                    "processor s": spread([start.cpu_s for start in each]),
                    "RssAnon MiB": spread([start.memory.anonymous / _MIB for start in each]),
                    "RssFile MiB": spread([start.memory.file / _MIB for start in each]),
                }
            )
            report.runs.append({"kept": kept, "since": since, "starts": [start._asdict() for start in each]})
    _tell_cost(report, cost, chosen, found)


def _tell_cost(
    report: Report, table: Table, chosen: argparse.Namespace, found: dict[tuple[int, int | None], list[Start]]
) -> None:
    """Says what more of each costs with the same of the other."""
    mib = chosen.partitions / _MIB
    cpu = {key: median(start.cpu_s for start in starts) for key, starts in found.items()}
    for kept in chosen.kept_bytes:
        for since in chosen.since_bytes:
            more = cpu[kept, since] - cpu[kept, 0]
            table.rows.append(
                {
                    "kept, MiB": kept * mib,
                    "since then, MiB": since * mib,
                    "processor s more than with nothing since then": more,
                    "ms a MiB": 1000 * more / (since * mib),
                    "times that with least kept": cpu[kept, since] / cpu[chosen.kept_bytes[0], since],
                }
            )
    least, most = chosen.kept_bytes[0], chosen.kept_bytes[-1]
    if least == most:
        return
    what = f"a start after SIGKILL with {most / least:g} times as much kept, processor time"
    ratios = [cpu[most, since] / cpu[least, since] for since in (0, *chosen.since_bytes)]
    report.target(what, ratios, TARGET, at_most=True)
    memory = {key: median(start.memory.anonymous for start in starts) for key, starts in found.items()}
    ratios = [memory[most, since] / memory[least, since] for since in (0, *chosen.since_bytes)]
    report.target(what.replace("processor time", "RssAnon"), ratios, TARGET, at_most=True)


def _sizes(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def options(arguments: list[str]) -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, help="how often each start is measured (3, quick: 1)")
    made.add_argument("--partitions", type=int, help="on disk (10000, quick: 100)")
    made.add_argument(
        "--kept-bytes", type=_sizes, default=[16_384, 163_840], help="kept in each, rising (16384,163840)"
    )
    made.add_argument(
        "--since-bytes", type=_sizes, default=[16_384, 65_536], help="written since then, rising (16384,65536)"
    )
    found = made.parse_args(arguments)
    found.rounds = found.rounds or (1 if found.quick else 3)
    found.partitions = found.partitions or (100 if found.quick else 10_000)
    steps = zip(found.kept_bytes, found.kept_bytes[1:], strict=False)
    if any(before + found.since_bytes[-1] > after for before, after in steps):
        made.error("what is kept has to grow by at least what is written since then")
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
