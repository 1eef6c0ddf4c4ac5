"""A rolling restart of a group's members: who owns what meanwhile, what is committed, how long it takes to settle."""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any, Final

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from benchmarks.support.numbers import spread
from benchmarks.support.options import parser, scratch
from benchmarks.support.output import Cell, Report, progress
from benchmarks.support.processes import log_server
from benchmarks.support.topics import Topics

CLAIM: Final = (
    "members of a group are restarted one after the other while records come in: no partition ever has two owners, no "
    "committed offset goes back, no record is left out"
)

_TOPIC: Final = "t"
_GROUP: Final = "g"
_SETTLE_TIMEOUT_S: Final = 90
_PRODUCE_EVERY_S: Final = 0.01
_WATCH_EVERY_S: Final = 0.02

PROTOCOLS: Final[dict[str, dict[str, Any]]] = {
    "classic, range": {"partition.assignment.strategy": "range"},
    "classic, cooperative-sticky": {"partition.assignment.strategy": "cooperative-sticky"},
    "consumer (KIP-848)": {"group.protocol": "consumer"},
}
_MIGRATION: Final = "classic, range, to consumer and back"

_NOTES: Final = (
    "clients are confluent-kafka, each member on a thread of its own, with the defaults of its settings: heartbeats "
    "every 3 s in the classic protocol, every 5 s (group.consumer.heartbeat.interval.ms) in the other; a "
    "member learns of a change with its next heartbeat, so that is most of the time",
    "owners as rebalance callbacks tell: from on_assign to the start of on_revoke or on_lost",
    f"{_MIGRATION!r}: each member is restarted with the other protocol, and then all of them again with the first one",
    "settled: every partition owned, by all members, by nobody two more than by somebody else",
    "offsets are committed automatically every 0.2 s and read every 0.02 s. Median (least to most) of the restarts",
)


class Books:
    """Who owns what, and what has been read; shared by all members."""

    def __init__(self, partitions: int) -> None:
        self.lock = Lock()
        self.partitions = partitions
        self.owners: dict[int, str] = {}
        self.two_owners = 0
        self.not_owned = 0
        """Records read by a member that did not own their partition."""
        self.read: Counter[tuple[int, int]] = Counter()

    def assigned(self, member: str, partitions: list[TopicPartition]) -> None:
        with self.lock:
            for found in partitions:
                self.two_owners += self.owners.get(found.partition, member) != member
                self.owners[found.partition] = member

    def given_up(self, member: str, partitions: list[TopicPartition]) -> None:
        with self.lock:
            for found in partitions:
                if self.owners.get(found.partition) == member:
                    del self.owners[found.partition]

    def took(self, member: str, partition: int, offset: int) -> None:
        with self.lock:
            self.not_owned += self.owners.get(partition) != member
            self.read[partition, offset] += 1

    def are_settled(self, members: int) -> bool:
        with self.lock:
            counts = Counter(self.owners.values())
            is_even = len(counts) == members and max(counts.values()) - min(counts.values()) <= 1
            return is_even and len(self.owners) == self.partitions


class Member(Thread):
    """One consumer of the group, from its start to its end."""

    def __init__(self, address: str, name: str, books: Books, settings: dict[str, Any]) -> None:
        super().__init__(name=name, daemon=True)
        self._books = books
        self._end = Event()
        self._consumer = Consumer(
            {
                "bootstrap.servers": address,
                "group.id": _GROUP,
                "client.id": name,
                "auto.offset.reset": "earliest",
                "auto.commit.interval.ms": 200,
                **settings,
            }
        )
        self.start()

    def run(self) -> None:
        books, name = self._books, self.name
        self._consumer.subscribe(
            [_TOPIC],
            on_assign=lambda _, found: books.assigned(name, found),
            on_revoke=lambda _, found: books.given_up(name, found),
            on_lost=lambda _, found: books.given_up(name, found),
        )
        while not self._end.is_set():
            message = self._consumer.poll(0.05)
            if message is None:
                continue
            if message.error() is not None:
                raise KafkaException(message.error())
            partition, offset = message.partition(), message.offset()
            assert partition is not None
            assert offset is not None
            books.took(name, partition, offset)
        self._consumer.close()

    def end(self) -> None:
        """Closes the consumer, which commits and leaves."""
        self._end.set()
        self.join(_SETTLE_TIMEOUT_S)


class Background(Thread):
    """Something done again and again until it is told to end."""

    def __init__(self, every_s: float) -> None:
        super().__init__(daemon=True)
        self._every_s = every_s
        self._end = Event()

    def run(self) -> None:
        while not self._end.wait(self._every_s):
            self.step()

    def step(self) -> None:
        raise NotImplementedError

    def end(self) -> None:
        self._end.set()
        self.join(_SETTLE_TIMEOUT_S)


class Source(Background):
    """Stores records, one for each partition at a time."""

    def __init__(self, address: str, partitions: int) -> None:
        super().__init__(_PRODUCE_EVERY_S)
        self._producer = Producer({"bootstrap.servers": address, "linger.ms": 1})
        self._partitions = partitions
        self.rounds = 0
        self.start()

    def step(self) -> None:
        for partition in range(self._partitions):
            self._producer.produce(_TOPIC, b"x" * 100, partition=partition)
        self._producer.poll(0)
        self.rounds += 1

    def end(self) -> None:
        super().end()
        self._producer.flush(_SETTLE_TIMEOUT_S)


class Watch(Background):
    """Reads what the group has committed, and counts steps back."""

    def __init__(self, address: str, partitions: int) -> None:
        super().__init__(_WATCH_EVERY_S)
        self._consumer = Consumer({"bootstrap.servers": address, "group.id": _GROUP})
        self._places = [TopicPartition(_TOPIC, partition) for partition in range(partitions)]
        self._last: dict[int, int] = {}
        self.steps_back = 0
        self.looks = 0
        self.start()

    def step(self) -> None:
        for found in self._consumer.committed(self._places, timeout=_SETTLE_TIMEOUT_S):
            self.steps_back += found.offset < self._last.get(found.partition, found.offset)
            self._last[found.partition] = found.offset
        self.looks += 1

    def end(self) -> None:
        super().end()
        self._consumer.close()


def settled_after(books: Books, members: int) -> float:
    """Waits until the group is at rest; returns how long that took, in seconds."""
    began = time.perf_counter()
    while not books.are_settled(members):
        if time.perf_counter() - began > _SETTLE_TIMEOUT_S:
            raise TimeoutError(f"the group does not come to rest: {sorted(books.owners.items())}")
        time.sleep(0.005)
    return time.perf_counter() - began


def restart_all(address: str, chosen: argparse.Namespace, *rounds: dict[str, Any]) -> dict[str, Cell]:
    """Starts members, restarts each of them, and reports what happened.

    Args:
        rounds: settings of the members at the start, and of each round of restarts; with the first ones if there are
            no others.
    """
    books = Books(chosen.partitions)
    source = Source(address, chosen.partitions)
    watch = Watch(address, chosen.partitions)
    members = [Member(address, f"member {number}", books, rounds[0]) for number in range(chosen.members)]
    started_s = settled_after(books, chosen.members)
    left: list[float] = []
    back: list[float] = []
    for settings in rounds[1:] or rounds:
        for number, member in enumerate(members):
            began = time.perf_counter()
            member.end()
            closed_s = time.perf_counter() - began
            left.append(closed_s + settled_after(books, chosen.members - 1))
            members[number] = Member(address, f"{member.name} again", books, settings)
            back.append(settled_after(books, chosen.members))
    source.end()
    stored = source.rounds * chosen.partitions
    end = time.monotonic() + _SETTLE_TIMEOUT_S
    while len(books.read) < stored and time.monotonic() < end:
        time.sleep(0.05)
    for member in members:
        member.end()
    watch.end()
    return {
        "at the start, s": round(started_s, 2),
        "after one leaves, s": spread(left),
        "after one comes, s": spread(back),
        "two owners": books.two_owners,
        "read without owning": books.not_owned,
        "offsets gone back": watch.steps_back,
        "times looked": watch.looks,
        "records": stored,
        "left out": stored - len(books.read),
        "read twice": sum(count - 1 for count in books.read.values()),
    }


def options(arguments: list[str]) -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--members", type=int, default=5, help="of the group (5)")
    made.add_argument("--partitions", type=int, default=20, help="of the topic (20)")
    made.add_argument("--heartbeat-ms", type=int, help="between heartbeats (the clients' and the server's defaults)")
    chosen = made.parse_args(arguments)
    if chosen.quick:
        chosen.members, chosen.partitions, chosen.heartbeat_ms = 2, 4, chosen.heartbeat_ms or 200
    return chosen


def _with_heartbeat(settings: dict[str, Any], heartbeat_ms: int | None) -> dict[str, Any]:
    # Where the server says how often, the client must not.
    is_consumer = settings.get("group.protocol") == "consumer"
    return settings if heartbeat_ms is None or is_consumer else {**settings, "heartbeat.interval.ms": heartbeat_ms}


def main() -> None:
    chosen = options(sys.argv[1:])
    report = Report("benchmarks.restarts", CLAIM, chosen.directory)
    report.notes += _NOTES
    table = report.table(f"{chosen.members} members, {chosen.partitions} partitions")
    with scratch(chosen.directory) as directory:
        of_server: dict[str, str] = {}
        if chosen.heartbeat_ms:
            of_server["group.consumer.heartbeat.interval.ms"] = str(chosen.heartbeat_ms)
        runs = {name: [_with_heartbeat(settings, chosen.heartbeat_ms)] for name, settings in PROTOCOLS.items()}
        (classic,), _, (consumer,) = runs.values()
        runs[_MIGRATION] = [classic, consumer, classic]
        for number, (name, rounds) in enumerate(runs.items()):
            progress(name)
            data: Path = directory / str(number)
            with log_server(data, directory / "server.log", of_server, with_kafka=True) as server:
                with Topics(server.address) as topics:
                    topics.create(_TOPIC, chosen.partitions)
                row = {"protocol": name, **restart_all(server.kafka, chosen, *rounds)}
                table.rows.append(row)
                report.runs.append(row)
    report.emit(as_json=chosen.json)


if __name__ == "__main__":
    main()
