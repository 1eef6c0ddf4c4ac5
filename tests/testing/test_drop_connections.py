"""Connections that a test ends: clients connect again and lose nothing."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer as ConfluentConsumer
from confluent_kafka import Producer as ConfluentProducer
from kafka import KafkaConsumer, KafkaProducer
from logserver_client import AdminClient, Consumer, Producer

from logserver.testing import LogServer
from tests.kafka_api.raw_client import API_VERSIONS, RawClient

TURNS = 3


@pytest.fixture
def server() -> Iterator[LogServer]:
    with LogServer() as server, AdminClient(server.grpc) as admin:
        admin.create_topic("t")
        yield server


def test_all_connections_of_both_doors_end_and_no_others(server: LogServer) -> None:
    with LogServer() as other, RawClient(other.kafka) as untouched, AdminClient(server.grpc) as admin:
        admin.list_topics()
        with RawClient(server.kafka) as first, RawClient(server.kafka) as second:
            for client in (first, second, untouched):
                client.call(API_VERSIONS, 0, {})
            # Those of the fixture's client and of this one's.
            assert server.drop_connections() >= 3
            assert first.is_closed() and second.is_closed()
        assert untouched.call(API_VERSIONS, 0, {}).error_code == 0
        assert [topic.name for topic in admin.list_topics()] == ["t"]
        assert other.drop_connections() == 1


def test_kafka_python_goes_on(server: LogServer) -> None:
    consumer = KafkaConsumer("t", bootstrap_servers=server.kafka, group_id="g", auto_offset_reset="earliest")
    with KafkaProducer(bootstrap_servers=server.kafka, reconnect_backoff_ms=1) as producer:
        for number in range(TURNS):
            sent = producer.send("t", b"%d" % number)
            server.drop_connections()
            sent.get(30)
            assert next(consumer).value == b"%d" % number
    consumer.close()


def test_librdkafka_goes_on(server: LogServer) -> None:
    quick = {"bootstrap.servers": server.kafka, "reconnect.backoff.ms": 1, "reconnect.backoff.max.ms": 10}
    consumer = ConfluentConsumer({**quick, "group.id": "g", "auto.offset.reset": "earliest"})
    consumer.subscribe(["t"])
    producer = ConfluentProducer({**quick, "enable.idempotence": True})
    for number in range(2):
        producer.produce("t", b"%d" % number)
        server.drop_connections()
        assert producer.flush(30) == 0
        (message,) = consumer.consume(1, 30)
        assert (message.error(), message.value()) == (None, b"%d" % number)
    consumer.close()


def test_the_bundled_client_goes_on(server: LogServer) -> None:
    with (
        Producer(server.grpc, retry_backoff_ms=1) as producer,
        Consumer(server.grpc, group_id="g", auto_offset_reset="earliest") as consumer,
    ):
        consumer.subscribe("t")
        for number in range(TURNS):
            sent = producer.send("t", b"%d" % number)
            assert server.drop_connections() > 0
            assert sent.result(30).offset == number
            assert [record.value for record in consumer.poll(30)] == [b"%d" % number]


def test_locks_that_a_test_has_on_files_stay(tmp_path: Path) -> None:
    file = tmp_path / "accounts.db"
    database = sqlite3.connect(file, isolation_level=None)
    database.execute("BEGIN EXCLUSIVE")
    with LogServer() as server:
        server.drop_connections()
    # Locks are a process's, so only another one meets them.
    program = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN EXCLUSIVE')"
    done = subprocess.run([sys.executable, "-c", program, str(file)], capture_output=True, text=True, timeout=60)
    assert "database is locked" in done.stderr
    database.close()
