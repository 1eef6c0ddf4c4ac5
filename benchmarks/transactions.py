"""What transactions cost: how many a second, and how long until they are committed and until they are read."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Final

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from benchmarks.peers import kafka
from benchmarks.peers.field import TANSU, left_out
from benchmarks.peers.tansu import tansu
from benchmarks.support.contest import Rounds, in_turn
from benchmarks.support.machine import our_version
from benchmarks.support.numbers import percentile, spread
from benchmarks.support.options import parser, scratch
from benchmarks.support.output import Report
from benchmarks.support.processes import log_server
from benchmarks.support.usage import cpu_of
from benchmarks.support.worker import CannotDo

CLAIM: Final = (
    "transactions one after the other and of several producers at a time, beside Apache Kafka with equal durability"
)

TARGET: Final = 1.0

_OURS: Final = "log server, "
_TOPIC: Final = "t"
_PARTITIONS: Final = 4
_VALUE: Final = bytes(100)
_WAIT_S: Final = 60
_RECEIVE_S: Final = 10
_RELAXED: Final = "1000000000"
_WARM_UPS: Final = 3

_NOTES: Final = (
    "one confluent-kafka client for all servers; a transaction has so many records of 100 bytes over 4 partitions; it "
    "is over when commit_transaction has returned, then the next one begins",
    "received: from the begin of a transaction of one record to its being handed to a read_committed consumer",
    "at a time: so many producers, each with transactions of 10 records, on threads of one process",
    "fsync: every write is on disk before it is answered (ours: the default; Kafka: log.flush.interval.messages=1); "
    "relaxed: the operating system writes when it likes (Kafka's default; ours: flush.messages=1000000000)",
    f"Kafka: {kafka.ABOUT}, and another with fsync; warmed up as everybody else, {_WARM_UPS} times with several "
    "producers; all servers run all the time and are measured in turn",
    "CPU: of the server's processes, for 1,000 transactions. Median (least to most) of the rounds; ratio: round by "
    "round to Kafka with the same durability",
)


@dataclass(frozen=True, slots=True)
class Peer:
    """A server to measure."""

    name: str
    address: str
    pid: int
    beside: str | None = None
    """Whom its rates are held against."""


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement."""

    rate: float
    latencies_ms: list[float]
    cpu_ms: float
    """Of the server, per transaction."""


@contextmanager
def peers(report: Report, directory: Path, with_kafka: bool, with_tansu: bool) -> Iterator[list[Peer]]:
    """Starts the servers."""
    durability = {"fsync": "1", "relaxed": _RELAXED}
    with ExitStack() as stack:
        found: list[Peer] = []
        if with_kafka:
            for name, messages in durability.items():
                settings = {"log.flush.interval.messages": messages} if name == "fsync" else {}
                with left_out(report, kafka.NAME):
                    it = stack.enter_context(kafka.Installation(directory / f"kafka-{name}", settings).start())
                    found.append(Peer(f"{kafka.NAME}, {name}", it.address, it.pid))
                    report.server(found[-1].name, it.name, it.settings)
        if with_tansu:
            with left_out(report, TANSU):
                broker = stack.enter_context(tansu(directory / "tansu"))
                found.append(Peer(TANSU, broker.address, broker.pid))
                report.server(TANSU, broker.name, broker.settings)
        there = {peer.name for peer in found}
        for name, messages in durability.items():
            settings = {"log.flush.interval.messages": messages}
            log = directory / f"server-{name}.log"
            server = stack.enter_context(log_server(directory / f"data-{name}", log, settings, with_kafka=True))
            report.server(_OURS + name, our_version(), settings)
            beside = f"{kafka.NAME}, {name}"
            ours = Peer(_OURS + name, server.kafka, server.pid, beside if beside in there else None)
            found.append(ours)
        for peer in found:
            create(peer.address)
        yield found


def create(address: str) -> None:
    """Makes the topic."""
    admin = AdminClient({"bootstrap.servers": address})
    for done in admin.create_topics([NewTopic(_TOPIC, _PARTITIONS, 1)]).values():
        done.result(_WAIT_S)


def new_producer(address: str, name: str) -> Producer:
    """Returns a producer that has its transactional id."""
    producer = Producer({"bootstrap.servers": address, "transactional.id": name, "linger.ms": 0, "log_level": 0})
    producer.init_transactions(_WAIT_S)
    return producer


def run_transactions(producer: Producer, records: int, seconds: float) -> list[float]:
    """Commits one transaction after the other for so long; returns how long each took, in milliseconds."""
    took_ms = []
    end_s = time.perf_counter() + seconds
    begin_s = time.perf_counter()
    while begin_s < end_s:
        producer.begin_transaction()
        for number in range(records):
            producer.produce(_TOPIC, _VALUE, partition=number % _PARTITIONS)
        producer.commit_transaction(_WAIT_S)
        now_s = time.perf_counter()
        took_ms.append((now_s - begin_s) * 1000)
        begin_s = now_s
    return took_ms


def measure(peer: Peer, take: Callable[[], list[float]]) -> Run:
    """Takes latencies, and what the server has spent on them."""
    before = cpu_of(peer.pid)
    began_s = time.perf_counter()
    latencies = take()
    # Longer than was asked for, by the last transactions.
    seconds = time.perf_counter() - began_s
    used = cpu_of(peer.pid).since(before)
    return Run(len(latencies) / seconds, sorted(latencies), used.total_s * 1000 / len(latencies))


def one_by_one(peer: Peer, records: int, seconds: float) -> Run:
    """Transactions of one producer."""
    producer = new_producer(peer.address, f"one-{records}")
    return measure(peer, lambda: run_transactions(producer, records, seconds))


def at_a_time(peer: Peer, count: int, seconds: float) -> Run:
    """Transactions of several producers."""
    producers = [new_producer(peer.address, f"of-{count}-{number}") for number in range(count)]

    def take() -> list[float]:
        found: list[float] = []
        threads = [
            Thread(target=lambda producer=producer: found.extend(run_transactions(producer, 10, seconds)))
            for producer in producers
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    return measure(peer, take)


def received(peer: Peer, seconds: float) -> Run:
    """From the begin of a transaction to a reader of committed records."""
    consumer = Consumer(
        {
            "bootstrap.servers": peer.address,
            "group.id": "reader",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 500,
            "log_level": 0,
        }
    )
    place = TopicPartition(_TOPIC, 0)
    place.offset = consumer.get_watermark_offsets(place, timeout=_WAIT_S)[1]
    consumer.assign([place])
    producer = new_producer(peer.address, "received")

    def take() -> list[float]:
        took_ms = []
        end_s = time.perf_counter() + seconds
        while (begin_s := time.perf_counter()) < end_s:
            producer.begin_transaction()
            producer.produce(_TOPIC, _VALUE, partition=0)
            producer.commit_transaction(_WAIT_S)
            while True:
                message = consumer.poll(_RECEIVE_S)
                if message is None:
                    raise CannotDo(f"a committed record has not come after {_RECEIVE_S} s")
                error = message.error()
                if error is None:
                    break
                assert error.code() == KafkaError._PARTITION_EOF, error
            took_ms.append((time.perf_counter() - begin_s) * 1000)
        return took_ms

    run = measure(peer, take)
    consumer.close()
    return run


def warm_up(peers: Sequence[Peer], producers: int, seconds: float) -> None:
    """Has every server end many transactions that nobody looks at: a JVM compiles what runs often."""
    must = [peer.name for peer in peers if peer.name.startswith(_OURS)]
    in_turn(
        "warming up", {peer.name: partial(at_a_time, peer, producers, seconds) for peer in peers}, _WARM_UPS, must=must
    )


def options(arguments: list[str]) -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, help="how often each is measured, in turn (5, quick: 1)")
    made.add_argument("--seconds", type=float, help="of one measurement (2, quick: 0.3)")
    made.add_argument("--producers", type=int, default=8, help="at a time (8)")
    made.add_argument("--no-kafka", action="store_true", help="without Apache Kafka")
    made.add_argument("--no-tansu", action="store_true", help="without Tansu")
    found = made.parse_args(arguments)
    found.rounds = found.rounds or (1 if found.quick else 5)
    found.seconds = found.seconds or (0.3 if found.quick else 2.0)
    return found


def _tell(report: Report, what: str, peers: Sequence[Peer], found: Rounds) -> None:
    table = report.table(f"Transactions of {what}")
    for peer in peers:
        runs: list[Run] = found.runs.get(peer.name, [])
        if not runs:
            continue
        ratios = found.ratios(peer.name, peer.beside, _rate) if peer.beside is not None else []
        table.rows.append(
            {
                "server": peer.name,
                "transactions/s": spread(found.values(peer.name, _rate)),
                "p50 ms": spread([percentile(run.latencies_ms, 50) for run in runs]),
                "p99 ms": spread([percentile(run.latencies_ms, 99) for run in runs]),
                "CPU s": spread([run.cpu_ms for run in runs]),
                "ratio": spread(ratios) if ratios else None,
                "ratio to Tansu": found.ratio(peer.name, TANSU, _rate) if peer.name == f"{_OURS}relaxed" else None,
            }
        )
        if ratios:
            report.target(f"transactions of {what}: {peer.name} to {peer.beside}", ratios, TARGET)
        for number, run in enumerate(runs):
            report.runs.append(
                {"what": what, "server": peer.name, "round": number + 1, "rate": run.rate, "cpu_ms": run.cpu_ms}
            )
    table.notes += [f"without {name}: {why}" for name, why in found.failed.items()]


def _rate(run: Run) -> float:
    return run.rate


def main() -> None:
    chosen = options(sys.argv[1:])
    seconds = chosen.seconds
    report = Report("benchmarks.transactions", CLAIM, chosen.directory)
    report.notes += _NOTES
    measures: dict[str, Callable[[Peer], Run]] = {
        "1 record": lambda peer: one_by_one(peer, 1, seconds),
        "10 records": lambda peer: one_by_one(peer, 10, seconds),
        "100 records": lambda peer: one_by_one(peer, 100, seconds),
        f"10 records, {chosen.producers} at a time": lambda peer: at_a_time(peer, chosen.producers, seconds),
        "1 record, received": lambda peer: received(peer, seconds),
    }
    with (
        scratch(chosen.directory) as directory,
        peers(report, directory, not chosen.no_kafka, not chosen.no_tansu) as found,
    ):
        must = [peer.name for peer in found if peer.name.startswith(_OURS)]
        warm_up(found, chosen.producers, seconds)
        for what, take in measures.items():
            with report.attempt(f"transactions of {what}"):
                entrants = {peer.name: partial(take, peer) for peer in found}
                _tell(report, what, found, in_turn(f"transactions of {what}", entrants, chosen.rounds, must=must))
    report.emit(as_json=chosen.json)


if __name__ == "__main__":
    main()
