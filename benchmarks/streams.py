"""How much of a bare gRPC stream's rate the bundled client reaches, on the same messages in the same run."""

import argparse
import json
import os
import sys
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from benchmarks.bare.protocol import Terms
from benchmarks.clients.peers import Peers, started_peers
from benchmarks.support.numbers import spread
from benchmarks.support.options import name_and_value, parser, scratch, whole_numbers
from benchmarks.support.output import Report, progress
from benchmarks.support.usage import Cpu, Traffic
from benchmarks.support.values import KEY_BYTES

CLAIM: Final = (
    "the bundled client moves at least 0.6 of the MB/s of a bare gRPC stream that carries the same bytes in the same "
    "run, with records of 1 KiB, fsync on"
)
TARGET: Final = 0.6
CLAIMED_BYTES: Final = 1024

_MB: Final = 1_000_000
_GIB: Final = 1 << 30
_BARE: Final = "bare"
_FLUSHED: Final = "bare + flush"
_SINGLE: Final = "bare, single records"
_MANY: Final = "sync, send_many"
_MANY_RECORDS: Final = 1_000
_CLAIMED: Final = ("sync", _MANY)
"""The clients that the claim is held against."""

_SINGLE_PART: Final = 20
"""The stream of single records carries this part of the records only: it is slow."""

_NOTES: Final = (
    "sync, aio: the bundled client with its defaults (acks=all, idempotent), topics with flush.messages=1; produce "
    "ends when all is acknowledged; consume reads from the page cache, record by record",
    f"sync, send_many: the same with {_MANY_RECORDS:,} records in each call, made into lists while the clock runs",
    "bare: a grpc.aio stream to a server in its own process that does nothing with the messages. It carries as many "
    "messages of the same mean size as the bundled client was seen to send, as many of them unanswered at a time, and "
    "answers of the same mean size",
    "bare + flush: the same, and its server writes all to one file and flushes that in rounds before it answers",
    "bare, single records: the same with one record for a message, and as many bytes under way",
    "MB/s: keys and values, 10^6 bytes. ratio: of MB/s to that of the bare stream that ran just before or after it. "
    "Median (least to most) of the rounds",
    "CPU s/GiB: user + system processor seconds for each GiB of keys and values; % of a core: processor time over time",
)


@dataclass(frozen=True, slots=True)
class Case:
    """One direction, record size and number of partitions."""

    direction: str
    record_bytes: int
    partitions: int
    records: int

    @property
    def is_keyed(self) -> bool:
        return self.partitions > 1

    @property
    def value_bytes(self) -> int:
        return self.record_bytes - KEY_BYTES if self.is_keyed else self.record_bytes

    @property
    def total_bytes(self) -> int:
        return self.records * self.record_bytes

    def __str__(self) -> str:
        spread_how = "1 partition" if self.partitions == 1 else f"{self.partitions} partitions by key"
        return f"{self.direction}, {self.record_bytes:,} B records, {spread_how}"


class Benchmark:
    """Runs the cases and fills the report."""

    def __init__(self, peers: Peers, report: Report, options: argparse.Namespace) -> None:
        self._peers = peers
        self._report = report
        self._rounds: int = options.rounds
        self._topic_settings = dict(options.topic_config)
        self._producer_settings = {name: json.loads(value) for name, value in options.producer_config}
        self._topics = 0

    def run(self, record_bytes: int, partitions: int, records: int) -> None:
        """Produces and consumes records of one size on a number of partitions."""
        produced = self._produce(Case("produce", record_bytes, partitions, records))
        self._consume(Case("consume", record_bytes, partitions, records), produced)
        self._peers.topics.delete(produced)
        # What is left of this case's writing must not weigh on the next one.
        os.sync()

    def _produce(self, case: Case) -> str:
        """Returns the name of the topic with the records of the last round; the others are deleted."""
        peers = self._peers
        job = {
            "records": case.records,
            "value_bytes": case.value_bytes,
            "keyed": case.is_keyed,
            "settings": self._producer_settings,
        }
        progress(f"{case}: what the client sends")
        topic = self._new_topic(case)
        traffic = Traffic(**peers.bundled("sync", "produce", topic=topic, watch=True, **job)["traffic"])
        terms = Terms(
            message_bytes=round(traffic.sent_bytes / traffic.sent),
            messages=traffic.sent,
            answer_bytes=round(traffic.received_bytes / traffic.received),
        )
        in_flight = traffic.unanswered_most
        single, single_in_flight = _single_records(case), in_flight * terms.message_bytes // case.record_bytes
        bare = {
            _BARE: (terms, in_flight),
            _FLUSHED: (terms._replace(durable=True), in_flight),
            _SINGLE: (single, max(single_in_flight, 1)),
        }
        runs: dict[str, list[Any]] = {name: [] for name in ("sync", _BARE, _MANY, "aio", _FLUSHED, _SINGLE)}
        for number in range(self._rounds):
            progress(f"{case}: round {number + 1} of {self._rounds}")
            for name, of in runs.items():
                if name in bare:
                    how, most = bare[name]
                    of.append(peers.bare("produce", how, in_flight=most))
                else:
                    peers.topics.delete(topic)
                    topic = self._new_topic(case)
                    more = {"at_once": _MANY_RECORDS} if name == _MANY else {}
                    of.append(peers.bundled(name.partition(",")[0], "produce", topic=topic, **job, **more))
                    stored = peers.topics.records(topic)
                    if stored != case.records + 1:
                        raise AssertionError(f"{stored} records are stored instead of {case.records + 1}")
        self._tell(case, runs, f"{_messages(traffic.sent, terms)}, up to {in_flight} unanswered")
        return topic

    def _consume(self, case: Case, topic: str) -> None:
        peers = self._peers
        # The record that opened the producer's stream is read too.
        job = {"topic": topic, "records": case.records + 1}
        progress(f"{case}: what the server sends")
        traffic = Traffic(**peers.bundled("sync", "consume", watch=True, **job)["traffic"])
        terms = Terms(
            message_bytes=round(traffic.received_bytes / traffic.received), messages=traffic.received, credit=16 << 20
        )
        single = _single_records(case)._replace(credit=terms.credit)
        by_batch = "sync, batches()"
        runs: dict[str, list[Any]] = {name: [] for name in ("sync", _BARE, by_batch, "aio", _SINGLE)}
        for number in range(self._rounds):
            progress(f"{case}: round {number + 1} of {self._rounds}")
            runs["sync"].append(peers.bundled("sync", "consume", **job))
            runs[_BARE].append(peers.bare("consume", terms, credit_messages=traffic.sent))
            runs[by_batch].append(peers.bundled("sync", "consume", by_batch=True, **job))
            runs["aio"].append(peers.bundled("aio", "consume", **job))
            runs[_SINGLE].append(peers.bare("consume", single, credit_messages=traffic.sent))
        self._tell(case, runs, f"{_messages(traffic.received, terms)}, {terms.credit >> 20} MiB of credit")

    def _new_topic(self, case: Case) -> str:
        self._topics += 1
        name = f"streams-{self._topics}"
        self._peers.topics.create(name, case.partitions, self._topic_settings)
        return name

    def _tell(self, case: Case, runs: dict[str, list[Any]], messages: str) -> None:
        table = self._report.table(str(case))
        carried = dict.fromkeys(runs, case.total_bytes)
        carried[_SINGLE] = _single_records(case).messages * case.record_bytes
        rates = {name: [carried[name] / run["seconds"] / _MB for run in of] for name, of in runs.items()}
        for name, of in runs.items():
            ratios = [ours / bare for ours, bare in zip(rates[name], rates[_BARE], strict=True)]
            table.rows.append(
                {
                    "client": name,
                    "MB/s": spread(rates[name]),
                    "ratio": None if name == _BARE else spread(ratios),
                    "krecords/s": spread(rates[name]).median * _MB / case.record_bytes / 1000,
                    **_cpu_cells("client", carried[name], of),
                    **_cpu_cells("server", carried[name], of),
                }
            )
            if name in _CLAIMED and case.record_bytes == CLAIMED_BYTES:
                self._report.target(f"stream, {case}: {name} to the bare stream", ratios, TARGET)
            for number, run in enumerate(of):
                self._report.runs.append({"case": str(case), "client": name, "round": number + 1, **run})
        table.notes.append(messages)


def _single_records(case: Case) -> Terms:
    return Terms(message_bytes=case.record_bytes, messages=max(case.records // _SINGLE_PART, 1))


def _messages(count: int, terms: Terms) -> str:
    return f"{count:,} messages of {terms.message_bytes / 1024:,.0f} KiB"


def _cpu_cells(side: str, carried_bytes: int, runs: list[Any]) -> dict[str, str]:
    """Returns the medians of what one side took of the processor."""
    used = [(Cpu(**run[side]), run["seconds"]) for run in runs]
    scale = _GIB / carried_bytes
    user = spread([cpu.user_s * scale for cpu, _ in used]).median
    system = spread([cpu.system_s * scale for cpu, _ in used]).median
    share = spread([cpu.total_s / seconds * 100 for cpu, seconds in used]).median
    return {f"{side} CPU s/GiB": f"{user:.2f} + {system:.2f}", f"{side} % of a core": f"{share:.0f}"}


def options(arguments: list[str]) -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, help="how often each client runs, in turn (5, quick: 2)")
    made.add_argument("--megabytes", type=float, help="of keys and values a run (128, quick: 16)")
    made.add_argument(
        "--record-bytes", type=whole_numbers, default=[100, 1024], help="sizes of key and value together (100,1024)"
    )
    made.add_argument(
        "--partitions", type=whole_numbers, default=[1, 12], help="with more than one, records have keys (1,12)"
    )
    pairs: dict[str, Any] = {"action": "append", "default": [], "type": name_and_value, "metavar": "K=V"}
    made.add_argument("--topic-config", **pairs, help="setting of the topics, e.g. flush.messages=1000000")
    made.add_argument("--producer-config", **pairs, help="setting of the bundled producers, e.g. batch_size=262144")
    found = made.parse_args(arguments)
    found.rounds = found.rounds or (2 if found.quick else 5)
    found.megabytes = found.megabytes or (16 if found.quick else 128)
    return found


def main() -> None:
    chosen = options(sys.argv[1:])
    report = Report("benchmarks.streams", CLAIM, chosen.directory)
    report.notes += _NOTES
    with scratch(chosen.directory) as directory, started_peers(directory) as peers:
        benchmark = Benchmark(peers, report, chosen)
        for record_bytes, partitions in product(chosen.record_bytes, chosen.partitions):
            benchmark.run(record_bytes, partitions, max(int(chosen.megabytes * _MB / record_bytes), 1))
    report.emit(as_json=chosen.json)


if __name__ == "__main__":
    main()
