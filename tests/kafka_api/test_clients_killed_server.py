"""The server is killed while Kafka's clients are at work: what was acknowledged is there once, groups go on."""

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

import confluent_kafka
import kafka
import pytest
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from ..daemon.processes import ServerProcess
from .rolling import Books, Member, Source, Watch, wait_for
from .test_groups_confluent import CLASSIC, KIP_848

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

PARTITIONS: Final = 3
KILLS: Final = 3


class Killed(ServerProcess):
    """A server on one port, to be killed and started again."""

    def again(self) -> None:
        """Kills it, and starts it where it was."""
        self.process.kill()
        self.ended()
        self.command[self.command.index("--kafka-listen") + 1] = self.kafka
        self.start()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Killed]:
    server = Killed(tmp_path / "data", settings={"group.consumer.heartbeat.interval.ms": "300"})
    with server:
        admin = AdminClient({"bootstrap.servers": server.kafka})
        admin.create_topics([NewTopic("t", PARTITIONS, 1)])["t"].result(30)
        yield server


class Confluent:
    """An idempotent producer of confluent-kafka."""

    def __init__(self, address: str) -> None:
        settings = {"bootstrap.servers": address, "enable.idempotence": True, "linger.ms": 1}
        self._producer = confluent_kafka.Producer({**settings, "reconnect.backoff.max.ms": 200})
        self.acknowledged: list[tuple[int, int, str]] = []
        self.errors: list[Any] = []

    def send(self, number: int) -> None:
        self._producer.produce("t", str(number), partition=number % PARTITIONS, on_delivery=self._report)
        self._producer.poll(0.001)

    def _report(self, error: Any, message: confluent_kafka.Message) -> None:
        partition, offset, value = message.partition(), message.offset(), message.value()
        if error is not None:
            self.errors.append(error)
        else:
            assert partition is not None and offset is not None and value is not None
            self.acknowledged.append((partition, offset, value.decode()))

    def end(self) -> None:
        assert self._producer.flush(60) == 0


class KafkaPython:
    """An idempotent producer of kafka-python."""

    def __init__(self, address: str) -> None:
        self._producer = kafka.KafkaProducer(
            bootstrap_servers=address, linger_ms=1, reconnect_backoff_max_ms=200, delivery_timeout_ms=60_000
        )
        self._sent: list[tuple[int, Any]] = []
        self.errors: list[Any] = []

    @property
    def acknowledged(self) -> list[tuple[int, int, str]]:
        return [(done.partition, done.offset, str(number)) for number, future in self._sent if (done := future.value)]

    def send(self, number: int) -> None:
        future = self._producer.send("t", str(number).encode(), partition=number % PARTITIONS)
        future.add_errback(self.errors.append)
        self._sent.append((number, future))
        Event().wait(0.001)

    def end(self) -> None:
        self._producer.flush(60)
        self._producer.close()


def stored(address: str) -> list[tuple[int, int, str]]:
    """Returns partition, offset and value of all records."""
    consumer = kafka.KafkaConsumer(bootstrap_servers=address, auto_offset_reset="earliest")
    places = [kafka.TopicPartition("t", partition) for partition in range(PARTITIONS)]
    consumer.assign(places)
    count = sum(consumer.end_offsets(places).values())
    found = [(one.partition, one.offset, one.value.decode()) for one in islice(consumer, count)]
    consumer.close()
    return sorted(found)


@pytest.mark.parametrize("kind", [Confluent, KafkaPython])
def test_what_was_acknowledged_is_there_once_and_in_order(server: Killed, kind: Any) -> None:
    producer = kind(server.kafka)
    ends = Event()
    count = 0

    def produce() -> None:
        nonlocal count
        while not ends.is_set():
            producer.send(count)
            count += 1

    thread = Thread(target=produce)
    thread.start()
    for _ in range(KILLS):
        before = len(producer.acknowledged)
        wait_for(lambda before=before: len(producer.acknowledged) > before + 200)  # type: ignore[misc]
        server.again()
    ends.set()
    thread.join(60)
    producer.end()
    assert producer.errors == []
    found = stored(server.kafka)
    assert sorted(producer.acknowledged) == found
    # Each in the order in which it was sent, none of them twice.
    assert Counter(value for _, _, value in found) == Counter(str(number) for number in range(count))
    for partition in range(PARTITIONS):
        values = [int(value) for place, _, value in found if place == partition]
        assert values == sorted(values)


@pytest.mark.parametrize("settings", [CLASSIC[0], KIP_848], ids=["classic", "consumer"])
def test_a_group_goes_on_and_takes_nothing_back(server: Killed, settings: dict[str, Any]) -> None:
    books = Books(PARTITIONS)
    address: Any = server  # of which no more is asked than of the server that the others here have
    members = [Member(address, f"m{number}", books, **settings) for number in range(2)]
    source, watch = Source(address, PARTITIONS), Watch(address, books)
    for _ in range(KILLS):
        wait_for(lambda: books.shared_by("m0", "m1"), lambda: (books.owners, books.faults[:5]))
        before = len(books.read)
        wait_for(lambda before=before: len(books.read) > before + 200)  # type: ignore[misc]
        server.again()
    source.end()
    # The source is not idempotent: it may have stored records twice.
    everything = {(partition, offset) for partition, offset, _ in stored(server.kafka)}
    wait_for(lambda: len(books.read) >= len(everything), lambda: (len(books.read), len(everything)))
    for member in members:
        member.end()
    watch.end()
    assert [fault for fault in books.faults if "went back" in fault or " goes to " in fault] == []
    assert books.read.keys() == everything
