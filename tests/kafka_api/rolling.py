"""Groups whose members are restarted while records come in: who owns what meanwhile, what is read and committed."""

import time
from collections import Counter
from collections.abc import Callable
from threading import Event, Lock, Thread
from typing import Any

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from logserver.testing import LogServer

TOPIC = "t"
GROUP = "g"
WAIT_S = 60


class Books:
    """Who owns what and what has been read, by all members."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self.owners: dict[int, str] = {}
        self.faults: list[str] = []
        self.read: Counter[tuple[int, int]] = Counter()
        self._lock = Lock()

    def assigned(self, member: str, partitions: list[int]) -> None:
        with self._lock:
            for partition in partitions:
                owner = self.owners.setdefault(partition, member)
                if owner != member:
                    self.faults.append(f"{partition} goes to {member}, and {owner} has it")

    def given_up(self, member: str, partitions: list[int]) -> None:
        with self._lock:
            for partition in partitions:
                if self.owners.get(partition) == member:
                    del self.owners[partition]

    def took(self, member: str, partition: int, offset: int) -> None:
        with self._lock:
            if self.owners.get(partition) != member:
                self.faults.append(f"{member} reads {partition}, which it does not own")
            self.read[partition, offset] += 1

    def failed(self, member: str, error: object) -> None:
        with self._lock:
            self.faults.append(f"{member}: {error}")

    def shared_by(self, *members: str) -> bool:
        """Whether these members own everything, and none of them two more than another."""
        with self._lock:
            counts = Counter(self.owners.values())
        even = counts.keys() == set(members) and max(counts.values()) - min(counts.values()) <= 1
        return even and counts.total() == self.partitions


class Member(Thread):
    """A consumer of confluent-kafka on a thread of its own, until it is told to end; it commits what it has read when
    it gives up partitions, and every now and then."""

    def __init__(self, server: LogServer, name: str, books: Books, **settings: Any) -> None:
        super().__init__(name=name, daemon=True)
        self._books = books
        self._end = Event()
        if settings.get("group.protocol") != "consumer":
            settings = {"session.timeout.ms": 6_000, "heartbeat.interval.ms": 200, **settings}
        self._consumer = Consumer(
            {
                "bootstrap.servers": server.kafka,
                "group.id": GROUP,
                "client.id": name,
                "auto.offset.reset": "earliest",
                "auto.commit.interval.ms": 200,
                **settings,
            }
        )
        self.start()

    def run(self) -> None:
        books, name = self._books, self.name

        def lost(_: Consumer, partitions: list[TopicPartition]) -> None:
            books.given_up(name, numbers(partitions))
            books.failed(name, f"has lost {numbers(partitions)}")

        self._consumer.subscribe(
            [TOPIC],
            on_assign=lambda _, partitions: books.assigned(name, numbers(partitions)),
            on_revoke=lambda _, partitions: books.given_up(name, numbers(partitions)),
            on_lost=lost,
        )
        while not self._end.is_set():
            message = self._consumer.poll(0.05)
            if message is None:
                continue
            error = message.error()
            if error is not None:
                if error.code() != KafkaError._PARTITION_EOF:
                    books.failed(name, error)
                continue
            partition, offset = message.partition(), message.offset()
            assert partition is not None
            assert offset is not None
            books.took(name, partition, offset)
        self._consumer.close()

    def end(self) -> None:
        """Closes the consumer, which commits and leaves."""
        self._end.set()
        self.join(WAIT_S)


class Repeating(Thread):
    """Does something again and again until it is told to end."""

    def __init__(self, step: Callable[[], None], every_s: float) -> None:
        super().__init__(daemon=True)
        self._step = step
        self._every_s = every_s
        self._end = Event()
        self.start()

    def run(self) -> None:
        while not self._end.wait(self._every_s):
            self._step()

    def end(self) -> None:
        self._end.set()
        self.join(WAIT_S)


class Source:
    """Stores records, one for each partition at a time."""

    def __init__(self, server: LogServer, partitions: int) -> None:
        self._producer = Producer({"bootstrap.servers": server.kafka, "linger.ms": 1, "enable.idempotence": True})
        self._partitions = partitions
        self.records = 0
        self._repeating = Repeating(self._produce, 0.01)

    def _produce(self) -> None:
        for partition in range(self._partitions):
            self._producer.produce(TOPIC, b"x", partition=partition)
        self._producer.poll(0)
        self.records += self._partitions

    def end(self) -> None:
        self._repeating.end()
        assert self._producer.flush(WAIT_S) == 0


class Watch:
    """Reads what the group has committed, again and again, and takes down steps back."""

    def __init__(self, server: LogServer, books: Books) -> None:
        self._consumer = Consumer({"bootstrap.servers": server.kafka, "group.id": GROUP})
        self._places = [TopicPartition(TOPIC, partition) for partition in range(books.partitions)]
        self._books = books
        self.last: dict[int, int] = {}
        self.looks = 0
        self._repeating = Repeating(self._look, 0.02)

    def _look(self) -> None:
        for found in self._consumer.committed(self._places, timeout=WAIT_S):
            before = self.last.get(found.partition, found.offset)
            if found.offset < before:
                self._books.failed("the group", f"went back from {before} to {found.offset} in {found.partition}")
            self.last[found.partition] = found.offset
        self.looks += 1

    def end(self) -> None:
        self._repeating.end()
        self._consumer.close()


def numbers(partitions: list[TopicPartition]) -> list[int]:
    return [found.partition for found in partitions]


def wait_for(what: Callable[[], bool], shown: Callable[[], object] = lambda: "") -> None:
    """Waits until something is so."""
    end = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < end, f"what is waited for does not happen: {shown()}"
        Event().wait(0.01)
