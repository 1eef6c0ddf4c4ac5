"""Apache Kafka's own consumers of both protocols in one group."""

import json
from collections.abc import Iterator
from signal import SIGTERM
from threading import Thread

import pytest
from confluent_kafka import ConsumerGroupType
from confluent_kafka.admin import AdminClient

from logserver.testing import LogServer

from ..other_clients.kafka_tools import KafkaTools
from .records import create_topic
from .rolling import GROUP, TOPIC, WAIT_S, Books, Source, Watch, wait_for

PARTITIONS = 4
ASSIGNORS = ("RangeAssignor", "CooperativeStickyAssignor")


class JavaMember:
    """A `VerifiableConsumer`, which tells what happens to it."""

    def __init__(self, server: LogServer, name: str, books: Books, *options: str) -> None:
        self.name = name
        self._books = books
        self._process = KafkaTools().start(
            "VerifiableConsumer",
            *("--bootstrap-server", server.kafka, "--topic", TOPIC, "--group-id", GROUP),
            *("--reset-policy", "earliest", "--verbose"),
            *options,
        )
        self._reading = Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            match told["name"]:
                case "partitions_assigned":
                    self._books.assigned(self.name, [found["partition"] for found in told["partitions"]])
                case "partitions_revoked":
                    self._books.given_up(self.name, [found["partition"] for found in told["partitions"]])
                case "record_data":
                    self._books.took(self.name, told["partition"], told["offset"])

    def end(self) -> None:
        self._process.send_signal(SIGTERM)
        assert self._process.wait(WAIT_S) is not None
        self._reading.join(WAIT_S)


@pytest.fixture
def server() -> Iterator[LogServer]:
    with LogServer(settings={"group.consumer.heartbeat.interval.ms": "500"}) as server:
        create_topic(server, TOPIC, PARTITIONS)
        yield server


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("assignor", ASSIGNORS)
def test_java_consumers_of_both_protocols_share_a_group(server: LogServer, assignor: str) -> None:
    books = Books(PARTITIONS)
    admin = AdminClient({"bootstrap.servers": server.kafka})
    strategy = f"org.apache.kafka.clients.consumer.{assignor}"
    classic = ("--group-protocol", "classic", "--assignment-strategy", strategy, "--session-timeout", "6000")

    def shared_by(kind: ConsumerGroupType, *names: str) -> None:
        wait_for(lambda: books.shared_by(*names), lambda: (books.owners, books.faults))
        (found,) = admin.list_consumer_groups().result().valid
        assert found.type is kind

    first = JavaMember(server, "classic", books, *classic)
    source, watch = Source(server, PARTITIONS), Watch(server, books)
    shared_by(ConsumerGroupType.CLASSIC, "classic")
    second = JavaMember(server, "consumer", books, "--group-protocol", "consumer")
    shared_by(ConsumerGroupType.CONSUMER, "classic", "consumer")
    second.end()
    shared_by(ConsumerGroupType.CLASSIC, "classic")
    source.end()
    wait_for(lambda: len(books.read) == source.records, lambda: (len(books.read), source.records))
    first.end()
    watch.end()
    # It does not commit while a rebalance is under way, so the next owner may read the last records again.
    assert books.faults == []
