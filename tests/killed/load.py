"""Load by three idempotent clients, and the books about what was acknowledged to whom."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import Any, Final, Protocol

import confluent_kafka
import kafka
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from logserver_client import Producer, replay

from tests.daemon.processes import ServerProcess

TOPIC: Final = "t"
PARTITIONS: Final = 4
_IN_FLIGHT: Final = 400
"""Records that a client may have sent without an answer: kills meet them in every state."""
_STUCK_S: Final = 120
"""So long nothing may move; only a failing proof takes as long."""


class Books:
    """What has been sent and what has been acknowledged, by all clients."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.sent: Counter[str] = Counter()
        self.acknowledged: dict[str, tuple[int, int]] = {}
        """By value: partition and offset; offset -1 where the client was only told that it is stored."""
        self.by_client: Counter[str] = Counter()
        self.failures: list[str] = []

    def sends(self, client: str) -> str:
        """Returns the next value of a client."""
        with self._lock:
            self.sent[client] += 1
            return f"{client} {self.sent[client]}"

    def took(self, client: str, value: str, partition: int, offset: int) -> None:
        with self._lock:
            self.acknowledged[value] = (partition, offset)
            self.by_client[client] += 1

    def failed(self, client: str, value: str, error: object) -> None:
        with self._lock:
            self.by_client[client] += 1
            self.failures.append(f"{value}: {error}")

    def open(self, client: str) -> int:
        """Returns how many records of a client have no answer."""
        with self._lock:
            return self.sent[client] - self.by_client[client]


class Told(Protocol):
    """Who is told what became of records."""

    def took(self, client: str, value: str, partition: int, offset: int) -> None: ...

    def failed(self, client: str, value: str, error: object) -> None: ...


class Client(Protocol):
    """A producer."""

    def send(self, value: str, partition: int) -> None: ...

    def idle(self) -> None:
        """Lets it hear of what it has sent."""

    def close(self) -> None: ...


class Confluent:
    """An idempotent producer of confluent-kafka."""

    name: Final = "confluent-kafka"

    def __init__(self, server: ServerProcess, books: Told, topic: str = TOPIC) -> None:
        self._books = books
        self._topic = topic
        settings = {"bootstrap.servers": server.kafka, "enable.idempotence": True, "linger.ms": 1, "log_level": 0}
        self._producer = confluent_kafka.Producer({**settings, "reconnect.backoff.max.ms": 200})
        # By partition: what librdkafka makes of an offset that it was not told. Of a batch that the server knows as
        # stored before, and no longer where, the first record has none, and the others are counted from there: 0, 1, 2.
        self._counted: dict[int, int] = {}

    def send(self, value: str, partition: int) -> None:
        self._producer.produce(self._topic, value, partition=partition, on_delivery=self._report)
        self._producer.poll(0.001)

    def _report(self, error: Any, message: confluent_kafka.Message) -> None:
        raw, partition, offset = message.value(), message.partition(), message.offset()
        assert isinstance(raw, bytes) and partition is not None
        if error is not None:
            self._books.failed(self.name, raw.decode(), error)
            return
        if offset is None or offset == self._counted.get(partition):
            self._counted[partition] = 0 if offset is None else offset + 1
            offset = -1
        else:
            self._counted.pop(partition, None)
        self._books.took(self.name, raw.decode(), partition, offset)

    def idle(self) -> None:
        self._producer.poll(0.002)

    def close(self) -> None:
        assert self._producer.flush(_STUCK_S) == 0


class KafkaPython:
    """An idempotent producer of kafka-python."""

    name: Final = "kafka-python"

    def __init__(self, server: ServerProcess, books: Told, topic: str = TOPIC) -> None:
        self._books = books
        self._topic = topic
        self._producer = kafka.KafkaProducer(
            bootstrap_servers=server.kafka,
            enable_idempotence=True,
            linger_ms=1,
            reconnect_backoff_max_ms=200,
            delivery_timeout_ms=_STUCK_S * 1000,
        )

    def send(self, value: str, partition: int) -> None:
        future = self._producer.send(self._topic, value.encode(), partition=partition)
        future.add_callback(lambda done: self._books.took(self.name, value, done.partition, done.offset))
        future.add_errback(lambda error: self._books.failed(self.name, value, error))
        Event().wait(0.001)

    def idle(self) -> None:
        Event().wait(0.002)

    def close(self) -> None:
        self._producer.flush(_STUCK_S)
        self._producer.close()


class Bundled:
    """The producer of the bundled client."""

    name: Final = "bundled"

    def __init__(self, server: ServerProcess, books: Told, topic: str = TOPIC) -> None:
        self._books = books
        self._topic = topic
        self._producer = Producer(server.grpc, linger_ms=1, delivery_timeout_ms=_STUCK_S * 1000)

    def send(self, value: str, partition: int) -> None:
        def report(done: Any, error: Any) -> None:
            if error is not None:
                self._books.failed(self.name, value, error)
            else:
                self._books.took(self.name, value, done.partition, done.offset)

        self._producer.send(self._topic, value.encode(), partition=partition, on_delivery=report)
        Event().wait(0.001)

    def idle(self) -> None:
        Event().wait(0.002)

    def close(self) -> None:
        self._producer.close()


CLIENTS: Final = (Confluent, KafkaPython, Bundled)


@dataclass
class Outcome:
    """What a proof has found."""

    kills: int = 0
    stored: int = 0
    acknowledged: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    twice: int = 0
    gaps: int = 0
    out_of_order: int = 0
    failures: list[str] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)
    """What `logserver verify` said that is no finding, by its last words."""


class Load:
    """Three clients that write until they are told to end; within a `with`."""

    def __init__(self, server: ServerProcess) -> None:
        self.books = Books()
        self._server = server
        self._ends = Event()
        self._threads: list[Thread] = []

    def __enter__(self) -> Load:
        admin = AdminClient({"bootstrap.servers": self._server.kafka, "log_level": 0})
        admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])[TOPIC].result(30)
        for make in CLIENTS:
            thread = Thread(target=self._run, args=(make,), daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()

    def _run(self, make: Callable[[ServerProcess, Books], Any]) -> None:
        client = make(self._server, self.books)
        number = 0
        while not self._ends.is_set():
            if self.books.open(client.name) >= _IN_FLIGHT:
                client.idle()
                continue
            client.send(self.books.sends(client.name), number % PARTITIONS)
            number += 1
        client.close()

    def wait_for(self, count: int) -> None:
        """Waits until every client has had that many answers more.

        Raises:
            AssertionError: nothing moves any more.
        """
        wanted = {make.name: self.books.by_client[make.name] + count for make in CLIENTS}
        end_s = time.monotonic() + _STUCK_S
        while any(self.books.by_client[name] < least for name, least in wanted.items()):
            assert time.monotonic() < end_s, (self.books.by_client, wanted, self.books.failures[:5])
            Event().wait(0.001)

    def end(self) -> None:
        """Ends writing; returns when everything has been answered."""
        self._ends.set()
        for thread in self._threads:
            thread.join(_STUCK_S)
            assert not thread.is_alive(), "a client does not end"

    def compare(self, outcome: Outcome) -> None:
        """Holds what is stored against the books."""
        stored: dict[int, dict[int, str]] = {number: {} for number in range(PARTITIONS)}
        for record in replay(self._server.grpc, TOPIC):
            stored[record.partition][record.offset] = (record.value or b"").decode()
        places: dict[str, list[tuple[int, int]]] = {}
        for partition, records in stored.items():
            # Nobody uses transactions, so every offset is a record's.
            outcome.gaps += list(records) != list(range(len(records)))
            last: Counter[str] = Counter()
            for offset, value in records.items():
                places.setdefault(value, []).append((partition, offset))
                client, _, number = value.rpartition(" ")
                outcome.out_of_order += int(number) <= last[client]
                last[client] = int(number)
        outcome.stored = sum(map(len, stored.values()))
        outcome.twice = sum(len(found) > 1 for found in places.values())
        for value, (partition, offset) in self.books.acknowledged.items():
            found = places.get(value, [])
            if not any(place[0] == partition and (offset == place[1] or offset < 0) for place in found):
                outcome.lost += 1
                outcome.failures.append(f"{value} was acknowledged at {partition, offset} and is at {found}")
        outcome.acknowledged = dict(self.books.by_client)
        outcome.failures += self.books.failures
