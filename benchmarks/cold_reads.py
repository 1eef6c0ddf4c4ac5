"""Whether readers of old data on a slow disk raise the latency of those who produce and consume what is new."""

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from benchmarks.support.filling import Filler
from benchmarks.support.numbers import percentile, spread
from benchmarks.support.options import parser, scratch
from benchmarks.support.output import Report, progress
from benchmarks.support.processes import Server, Worker
from benchmarks.support.topics import Topics

CLAIM: Final = (
    "with a disk that takes 50 ms for each read and readers of old data that wait for nothing else, one of them and "
    "twenty, the p99 of a producer and a consumer of new records stays within 1.5x of what it is without these readers"
)
TARGET: Final = 1.5

_COLD: Final = "cold"
_HOT: Final = "hot"
_PARTITIONS: Final = 4
_TIMEOUT_S: Final = 600

_NOTES: Final = (
    "the server's `Disk` sleeps before each read of a file; of the topic that is replayed nothing counts as being in "
    "memory but its indexes, once they have been read",
    "produce: from `send` to the end of waiting for its future, one record after the other (linger_ms=0, acks=all, on "
    "disk); consume: from `send` to the record's being handed out by a consumer in another process",
    "each round measures without readers and with them, one right after the other, either first by turns; the ratio is "
    "of the p99 of the two",
)


class Peers:
    """A server with a slow disk, and those who use it."""

    def __init__(self, stack: ExitStack, directory: Path, chosen: argparse.Namespace) -> None:
        self._chosen = chosen
        arguments = [str(directory / "data"), str(chosen.delay_ms), _COLD]
        self._server = stack.enter_context(
            Server(["-m", "benchmarks.support.slow_server", *arguments], directory / "server.log")
        )
        names = {"sender": "sync_latency", "receiver": "sync_latency", "replays": "replays"}
        self._workers = {
            name: stack.enter_context(Worker(f"benchmarks.clients.{module}", directory / f"{name}.log"))
            for name, module in names.items()
        }
        with Topics(self._server.address) as topics, Filler(self._server.address) as filler:
            topics.create(_COLD, _PARTITIONS, {"segment.bytes": str(1 << 20)})
            topics.create(_HOT, 1)
            for _ in range(chosen.cold_megabytes * 4 // _PARTITIONS):
                filler.fill([(_COLD, number) for number in range(_PARTITIONS)], 1 << 18)

    def latencies(self) -> tuple[list[float], list[float]]:
        """Returns what producing and consuming took, in ms, in rising order."""
        job = {"address": self._server.address, "topic": _HOT, "records": self._chosen.records}
        receiver = self._workers["receiver"]
        receiver.begin({"kind": "receive", **job})
        # It says when it is in its place.
        receiver.answer(_TIMEOUT_S)
        produced = self._workers["sender"].ask({"kind": "send", "value_bytes": 100, **job}, _TIMEOUT_S)
        consumed = receiver.answer(_TIMEOUT_S)
        return [sorted(took * 1000 for took in found) for found in (produced, consumed)]  # type: ignore[return-value]

    @contextmanager
    def replays(self, readers: int) -> Iterator[dict[str, float]]:
        """Has old data read meanwhile; the mapping is filled at the end."""
        worker, read = self._workers["replays"], dict[str, float]()
        job = {"readers": readers, "partitions": _PARTITIONS, "fetch_bytes": self._chosen.fetch_bytes}
        worker.begin({"kind": "replay", "address": self._server.address, "topic": _COLD, **job})
        worker.answer(_TIMEOUT_S)
        began = time.perf_counter()
        yield read
        took = time.perf_counter() - began
        found = worker.ask({}, _TIMEOUT_S)
        read |= {"fetches/s": found["fetches"] / took, "MiB/s": found["bytes"] / took / (1 << 20)}


def measure(peers: Peers, report: Report, rounds: int, counts: Sequence[int]) -> None:
    """Measures in turn without readers and with them, and the other way round in the next round.

    Args:
        counts: of readers.
    """
    runs: dict[tuple[int, str], list[tuple[float, float]]] = {}
    reads: dict[int, list[dict[str, float]]] = {}
    progress("warming up")
    peers.latencies()
    for number in range(rounds):
        for readers in counts:
            progress(f"round {number + 1} of {rounds}, readers: {readers}")
            without = peers.latencies() if number % 2 == 0 else None
            with peers.replays(readers) as read:
                beside = peers.latencies()
            without = without or peers.latencies()
            reads.setdefault(readers, []).append(read)
            for what, alone, with_readers in zip(("produce", "consume"), without, beside, strict=True):
                runs.setdefault((readers, what), []).append((percentile(alone, 99), percentile(with_readers, 99)))
                for when, run in (("without", alone), ("with", with_readers)):
                    found = {f"p{percent}_ms": percentile(run, percent) for percent in (50, 99)}
                    report.runs.append({"what": what, "readers": readers, "when": when, "round": number + 1, **found})
    tell(report, runs)
    table = report.table("Old data read meanwhile")
    for readers, all_read in reads.items():
        rates = {name: spread([each[name] for each in all_read]) for name in all_read[0]}
        table.rows.append({"readers": readers, **rates})


def tell(report: Report, runs: Mapping[tuple[int, str], Sequence[tuple[float, float]]]) -> None:
    """Fills the report with pairs of p99 in ms, without and with so many readers."""
    table = report.table("p99 of new records")
    for (readers, what), pairs in runs.items():
        ratios = [beside / alone for alone, beside in pairs]
        table.rows.append(
            {
                "what": what,
                "readers": readers,
                "without readers, ms": spread([alone for alone, _ in pairs]),
                "with readers, ms": spread([beside for _, beside in pairs]),
                "ratio": spread(ratios),
            }
        )
        report.target(f"p99 of {what} beside readers of old data: {readers}", ratios, TARGET, at_most=True)


def options(arguments: list[str]) -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, help="how often each is measured, in turn (10, quick: 1)")
    made.add_argument("--records", type=int, help="of one run (3000, quick: 200)")
    made.add_argument(
        "--readers", type=int, nargs="+", default=[1, 20], help="of old data, so many at a time, in turn (1 20)"
    )
    made.add_argument("--fetch-bytes", type=int, default=65_536, help="that they ask for at a time (65536)")
    made.add_argument("--delay-ms", type=int, default=50, help="that each read of the disk takes (50)")
    made.add_argument("--cold-megabytes", type=int, help="of old data (64, quick: 4)")
    found = made.parse_args(arguments)
    found.rounds = found.rounds or (1 if found.quick else 10)
    found.records = found.records or (200 if found.quick else 3000)
    found.cold_megabytes = found.cold_megabytes or (4 if found.quick else 64)
    return found


def main() -> None:
    chosen = options(sys.argv[1:])
    report = Report("benchmarks.cold_reads", CLAIM, chosen.directory)
    report.notes += _NOTES
    with scratch(chosen.directory) as directory, ExitStack() as stack:
        measure(Peers(stack, directory, chosen), report, chosen.rounds, chosen.readers)
    report.emit(as_json=chosen.json)


if __name__ == "__main__":
    main()
