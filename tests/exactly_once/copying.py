"""A program that copies a topic in transactions is killed again and again, and so is the server: what comes of it."""

import random
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from tests.daemon.processes import ServerProcess

INPUT: Final = "in"
OUTPUT: Final = "out"
GROUP: Final = "copiers"
TRANSACTIONAL_ID: Final = "copier"
_KEYS: Final = 20
_STUCK_S: Final = 120
"""So long nothing may move; only a failing proof takes as long."""


@dataclass
class Outcome:
    """What a proof has found."""

    records: int
    copier_kills: int = 0
    server_kills: int = 0
    starts: int = 0
    missing: int = 0
    twice: int = 0
    out_of_order: int = 0
    aborted: int = 0
    """Records in the output that readers of committed ones do not see."""
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.records} records copied; the copier was killed {self.copier_kills} times and started {self.starts} "
            f"times, the server was killed {self.server_kills} times; {self.missing} missing, {self.twice} twice, "
            f"{self.out_of_order} out of order; {self.aborted} records of aborted transactions in between"
        )


Start = Callable[[ServerProcess], "subprocess.Popen[bytes]"]
"""Starts a program that copies INPUT to OUTPUT on a server, until it is killed."""


class Proof:
    """One run.

    Args:
        server: that is killed; always on the same ports.
        start: starts the copier.
        copier_kills, server_kills: at random points of the copying, in random order.
        partitions: of the input and of the output.
    """

    def __init__(
        self,
        server: ServerProcess,
        start: Start,
        *,
        records: int,
        copier_kills: int,
        server_kills: int,
        partitions: int,
        seed: int,
    ) -> None:
        self._server = server
        self._start = start
        self._partitions = partitions
        self._random = random.Random(seed)
        self._kills = ["copier"] * copier_kills + ["server"] * server_kills
        self._random.shuffle(self._kills)
        self.outcome = Outcome(records)

    def run(self) -> Outcome:
        """Copies everything, with all the kills, and compares."""
        self._create()
        wanted = self._fill()
        # Each kill comes when so many records have been written, committed or not.
        points = sorted(self._random.sample(range(1, self.outcome.records), len(self._kills)))
        copier = self._new_copier()
        try:
            for point, victim in zip(points, self._kills, strict=True):
                copier = self._wait(copier, lambda point=point: self._written() >= point)  # type: ignore[misc]
                if victim == "server":
                    self._server.kill()
                    self._server.start()
                    self.outcome.server_kills += 1
                else:
                    copier.kill()
                    copier.wait()
                    copier = self._new_copier()
                    self.outcome.copier_kills += 1
            copier = self._wait(copier, lambda: self._committed() >= self.outcome.records)
        finally:
            copier.kill()
            copier.wait()
        self._compare(wanted)
        return self.outcome

    # The topics

    def _create(self) -> None:
        admin = AdminClient({"bootstrap.servers": self._server.kafka})
        topics = [NewTopic(name, self._partitions, 1) for name in (INPUT, OUTPUT)]
        for done in admin.create_topics(topics).values():
            done.result(30)

    def _fill(self) -> dict[bytes, list[bytes]]:
        """Fills the input; returns the values of each key, in order."""
        producer = Producer({"bootstrap.servers": self._server.kafka, "enable.idempotence": True})
        wanted: dict[bytes, list[bytes]] = defaultdict(list)
        for number in range(self.outcome.records):
            key, value = f"k{number % _KEYS}".encode(), f"{number:08}".encode()
            wanted[key].append(value)
            producer.produce(INPUT, key=key, value=value)
            producer.poll(0)
        assert producer.flush(60) == 0
        return wanted

    # The way it goes

    def _new_copier(self) -> "subprocess.Popen[bytes]":
        self.outcome.starts += 1
        return self._start(self._server)

    def _wait(self, copier: "subprocess.Popen[bytes]", condition: Callable[[], bool]) -> "subprocess.Popen[bytes]":
        """Waits until something has come true; a copier that has ended by itself is started again, as by a supervisor.

        Raises:
            AssertionError: nothing goes on any more.
        """
        end_s = time.monotonic() + _STUCK_S
        while not condition():
            assert time.monotonic() < end_s, f"nothing goes on any more: {self.outcome}, {self._written()} written"
            if copier.poll() is not None:
                self.outcome.failures.append(f"the copier has ended with {copier.returncode}")
                copier = self._new_copier()
        return copier

    def _written(self) -> int:
        """Returns how many offsets of the output are taken, by records and by markers."""
        consumer = Consumer({"bootstrap.servers": self._server.kafka, "group.id": "watcher", "log_level": 0})
        try:
            places = [TopicPartition(OUTPUT, number) for number in range(self._partitions)]
            return sum(consumer.get_watermark_offsets(place, timeout=30)[1] for place in places)
        finally:
            consumer.close()

    def _committed(self) -> int:
        """Returns how much of the input the group has committed."""
        admin = AdminClient({"bootstrap.servers": self._server.kafka, "log_level": 0})
        places = [TopicPartition(INPUT, number) for number in range(self._partitions)]
        request = ConsumerGroupTopicPartitions(GROUP, places)
        found = admin.list_consumer_group_offsets([request])[GROUP].result(30)
        return sum(max(place.offset, 0) for place in found.topic_partitions or ())

    # The end

    def _read(self, isolation_level: str) -> list[tuple[bytes, bytes]]:
        consumer = Consumer(
            {
                "bootstrap.servers": self._server.kafka,
                "group.id": "reader",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "isolation.level": isolation_level,
            }
        )
        consumer.assign([TopicPartition(OUTPUT, number, 0) for number in range(self._partitions)])
        found: list[tuple[bytes, bytes]] = []
        at_end = 0
        end_s = time.monotonic() + _STUCK_S
        while at_end < self._partitions and time.monotonic() < end_s:
            for message in consumer.consume(1000, 1.0):
                error = message.error()
                if error is None:
                    key, value = message.key(), message.value()
                    assert isinstance(key, bytes)
                    assert isinstance(value, bytes)
                    found.append((key, value))
                else:
                    assert error.code() == KafkaError._PARTITION_EOF, error
                    at_end += 1
        consumer.close()
        return found

    def _compare(self, wanted: dict[bytes, list[bytes]]) -> None:
        found: dict[bytes, list[bytes]] = defaultdict(list)
        committed = self._read("read_committed")
        for key, value in committed:
            found[key].append(value)
        outcome = self.outcome
        for key, values in wanted.items():
            counts = Counter(found[key])
            outcome.missing += sum(not counts[value] for value in values)
            outcome.twice += sum(count > 1 for count in counts.values())
            outcome.out_of_order += found[key] != sorted(found[key])
        outcome.aborted = len(self._read("read_uncommitted")) - len(committed)


def check(outcome: Outcome) -> None:
    """Asserts that everything was copied once, in order."""
    print(outcome)
    for failure in outcome.failures:
        print(failure)
    assert not (outcome.missing or outcome.twice or outcome.out_of_order), outcome


def command(*words: str) -> Start:
    """Returns what starts a command, its `{kafka}` and `{grpc}` filled in."""

    def start(server: ServerProcess) -> "subprocess.Popen[bytes]":
        filled: Sequence[str] = [word.format(kafka=server.kafka, grpc=server.grpc) for word in words]
        return subprocess.Popen(filled, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    return start
