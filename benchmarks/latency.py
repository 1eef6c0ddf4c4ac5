"""How long a single record takes to be acknowledged and to be received, beside a round trip on bare gRPC."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.support.numbers import pair_ratios, percentile, spread
from benchmarks.support.options import parser, scratch
from benchmarks.support.output import Report, progress
from benchmarks.support.processes import Worker, bare_server, log_server
from benchmarks.support.topics import Topics

CLAIM: Final = "one record at a time on one connection: what being durable and being received costs above a bare stream"

_RELAXED: Final = {"flush.messages": "1000000000"}
_FSYNC: Final = "fsync"
_NOT_FLUSHED: Final = "relaxed"
_TIMEOUT_S: Final = 600
# What a request and an answer of one small record take, envelope included.
_ENVELOPE_BYTES: Final = 110
_ANSWER_BYTES: Final = 40

_NOTES: Final = (
    "acknowledged: from `send` to the end of waiting for its future (linger_ms=0, acks=all), then the next record",
    "received: from `send` to the record's being handed out by a consumer in another process, while records are sent "
    "as for acknowledged; both processes read the same clock",
    "fsync: flush.messages=1, the default; relaxed: flush.messages=1000000000, as Kafka's default",
    "bare: a message of the same size and its answer on a grpc.aio stream",
    "Median (least to most) of the rounds. ratio: of p50 to that of the bare run of the same round",
)

_Measure = Callable[[], list[float]]


class Peers:
    """What is measured: each method returns the latencies of one run, in seconds."""

    def __init__(self, stack: ExitStack, directory: Path, records: int, value_bytes: int) -> None:
        self._records = records
        self._value_bytes = value_bytes
        self._workers = {
            name: stack.enter_context(Worker(f"benchmarks.clients.{module}", directory / f"{name}.log"))
            for name, module in (
                ("sync", "sync_latency"),
                ("aio", "aio_latency"),
                ("receiver", "sync_latency"),
                ("bare", "bare"),
            )
        }
        self._server = stack.enter_context(log_server(directory / "data", directory / "server.log"))
        self._bare = stack.enter_context(bare_server(directory / "bare", directory / "bare-server.log"))
        topics = stack.enter_context(Topics(self._server.address))
        topics.create(_FSYNC, 1)
        topics.create(_NOT_FLUSHED, 1, _RELAXED)

    def acknowledged(self, worker: str, topic: str) -> list[float]:
        answer: list[float] = self._workers[worker].ask(self._job("send", topic), _TIMEOUT_S)
        return answer

    def received(self, topic: str) -> list[float]:
        receiver = self._workers["receiver"]
        receiver.begin({"kind": "receive", "address": self._server.address, "topic": topic, "records": self._records})
        # It says when it is in its place, so that it misses nothing.
        receiver.answer(_TIMEOUT_S)
        self._workers["sync"].ask(self._job("send", topic), _TIMEOUT_S)
        answer: list[float] = receiver.answer(_TIMEOUT_S)
        return answer

    def bare(self) -> list[float]:
        sizes = {"message_bytes": self._value_bytes + _ENVELOPE_BYTES, "answer_bytes": _ANSWER_BYTES}
        job = {"kind": "round_trips", "address": self._bare.address, "count": self._records, **sizes}
        answer: list[float] = self._workers["bare"].ask(job, _TIMEOUT_S)
        return answer

    def _job(self, kind: str, topic: str) -> dict[str, Any]:
        sizes = {"records": self._records, "value_bytes": self._value_bytes}
        return {"kind": kind, "address": self._server.address, "topic": topic, **sizes}


@contextmanager
def _peers(options: argparse.Namespace) -> Iterator[Peers]:
    with scratch(options.directory) as directory, ExitStack() as stack:
        yield Peers(stack, directory, options.records, options.value_bytes)


def measure(peers: Peers, report: Report, rounds: int) -> None:
    """Measures everything in turn, so many times, and fills the report."""
    bare = "bare round trip"
    measures: dict[str, _Measure] = {
        bare: peers.bare,
        "acknowledged, sync, fsync": lambda: peers.acknowledged("sync", _FSYNC),
        "acknowledged, sync, relaxed": lambda: peers.acknowledged("sync", _NOT_FLUSHED),
        "acknowledged, aio, fsync": lambda: peers.acknowledged("aio", _FSYNC),
        "acknowledged, aio, relaxed": lambda: peers.acknowledged("aio", _NOT_FLUSHED),
        "received, sync, fsync": lambda: peers.received(_FSYNC),
        "received, sync, relaxed": lambda: peers.received(_NOT_FLUSHED),
    }
    found: dict[str, list[list[float]]] = {name: [] for name in measures}
    for number in range(rounds):
        for name, take in measures.items():
            progress(f"{name}: round {number + 1} of {rounds}")
            found[name].append(sorted(took_s * 1000 for took_s in take()))
    table = report.table("Latency of single records")
    medians = {name: [percentile(run, 50) for run in runs] for name, runs in found.items()}
    for name, runs in found.items():
        cells = {f"p{percent:g} ms": spread([percentile(run, percent) for run in runs]) for percent in (50, 99, 99.9)}
        ratio = None if name == bare else pair_ratios(medians[name], medians[bare])
        table.rows.append({"what": name, **cells, "ratio": ratio})
        for number, run in enumerate(runs):
            percentiles = {f"p{percent:g}_ms": percentile(run, percent) for percent in (50, 99, 99.9)}
            report.runs.append({"what": name, "round": number + 1, "records": len(run), **percentiles})


def options(arguments: list[str]) -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, help="how often each is measured, in turn (5, quick: 2)")
    made.add_argument("--records", type=int, help="of one run (5000, quick: 300)")
    made.add_argument("--value-bytes", type=int, default=100, help="size of a record's value, at least 8 (100)")
    found = made.parse_args(arguments)
    found.rounds = found.rounds or (2 if found.quick else 5)
    found.records = found.records or (300 if found.quick else 5000)
    return found


def main() -> None:
    chosen = options(sys.argv[1:])
    report = Report("benchmarks.latency", CLAIM, chosen.directory)
    report.notes += _NOTES
    with _peers(chosen) as peers:
        measure(peers, report, chosen.rounds)
    report.emit(as_json=chosen.json)


if __name__ == "__main__":
    main()
