"""Time that a test moves: everything that hangs on the server's clock comes due at once, and sockets know nothing."""

import math
import time
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer as ConfluentConsumer
from confluent_kafka import KafkaException
from confluent_kafka import Producer as ConfluentProducer
from kafka import KafkaConsumer, KafkaProducer
from kafka import TopicPartition as KafkaPartition
from logserver_client import AdminClient, Consumer, Producer, TopicPartition, TransactionFailed, replay

from logserver.testing import LogServer
from tests.kafka_api.raw_client import RawClient

HOUR_S = 3600
DAY_S = 24 * HOUR_S

SILENT = {
    # So that members are not heard of again meanwhile, as if they hung.
    "group.consumer.session.timeout.ms": "45000",
    "group.consumer.heartbeat.interval.ms": "40000",
    "group.consumer.max.heartbeat.interval.ms": "40000",
}


@pytest.fixture
def server() -> Iterator[LogServer]:
    with LogServer(settings=SILENT) as server, AdminClient(server.grpc) as admin:
        admin.create_topic("t")
        yield server


def state(server: LogServer) -> str:
    with AdminClient(server.grpc) as admin:
        return admin.describe_group("g").state


def first_offset(server: LogServer) -> int:
    with Consumer(server.grpc) as consumer:
        return consumer.beginning_offsets([("t", 0)])[TopicPartition("t", 0)]


def fill(server: LogServer) -> None:
    with Producer(server.grpc) as producer:
        producer.send("t", b"1").result(10)


def test_a_kafka_member_that_is_silent_is_missed_when_its_session_is_over(server: LogServer) -> None:
    fill(server)
    consumer = KafkaConsumer(
        "t",
        bootstrap_servers=server.kafka,
        group_id="g",
        auto_offset_reset="earliest",
        session_timeout_ms=45_000,
        heartbeat_interval_ms=14_000,
    )
    next(consumer)
    server.clock.advance(30)
    assert state(server) == "stable"
    server.clock.advance(30)
    assert state(server) == "empty"
    consumer.close()


def test_a_kafka_member_that_is_there_joins_again_and_reads_on(server: LogServer) -> None:
    settings = {"bootstrap.servers": server.kafka, "group.id": "g", "auto.offset.reset": "earliest"}
    consumer = ConfluentConsumer({**settings, "heartbeat.interval.ms": 100})
    consumer.subscribe(["t"])
    fill(server)
    (first,) = consumer.consume(1, timeout=30)
    consumer.commit(asynchronous=False)
    server.clock.advance(HOUR_S)
    fill(server)
    (second,) = consumer.consume(1, timeout=30)
    assert (first.offset(), second.offset()) == (0, 1)
    consumer.close()
    assert state(server) == "empty"


def test_a_member_of_the_bundled_client_that_is_silent_is_missed_when_its_session_is_over(server: LogServer) -> None:
    fill(server)
    with Consumer(server.grpc, group_id="g", auto_offset_reset="earliest") as consumer:
        consumer.subscribe("t")
        assert len(consumer.poll(30)) == 1
        server.clock.advance(30)
        assert state(server) == "stable"
        server.clock.advance(30)
        assert state(server) == "empty"


def test_a_transaction_of_a_kafka_producer_that_takes_too_long_is_aborted(server: LogServer) -> None:
    settings = {"transactional.id": "x", "transaction.timeout.ms": 60_000, "message.timeout.ms": 60_000}
    producer = ConfluentProducer({"bootstrap.servers": server.kafka, **settings})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce("t", b"late")
    producer.flush(30)
    server.clock.advance(61)
    with pytest.raises(KafkaException):
        producer.commit_transaction(30)
    fill(server)
    read = {"enable_auto_commit": False, "isolation_level": "read_committed", "auto_offset_reset": "earliest"}
    consumer = KafkaConsumer(bootstrap_servers=server.kafka, **read)
    consumer.assign([KafkaPartition("t", 0)])
    assert next(consumer).value == b"1"
    consumer.close()


def test_a_transaction_of_the_bundled_client_that_takes_too_long_is_aborted(server: LogServer) -> None:
    with Producer(server.grpc, transactional_id="x", transaction_timeout_ms=60_000) as producer:
        producer.init_transactions()
        producer.begin_transaction()
        producer.send("t", b"late").result(30)
        server.clock.advance(59)
        producer.send("t", b"in time").result(30)
        server.clock.advance(2)
        with pytest.raises(TransactionFailed):
            producer.commit_transaction()
    fill(server)
    with Consumer(server.grpc, isolation_level="read_committed") as consumer:
        consumer.assign("t", at="earliest")
        assert [record.value for record in consumer.poll(30)] == [b"1"]


def test_records_go_when_their_time_is_over_through_either_door(server: LogServer) -> None:
    with AdminClient(server.grpc) as admin:
        admin.alter_topic("t", set={"retention.ms": HOUR_S * 1000})
    fill(server)
    with KafkaProducer(bootstrap_servers=server.kafka) as producer:
        producer.send("t", b"2").get(30)
    consumer = KafkaConsumer(bootstrap_servers=server.kafka)
    partition = KafkaPartition("t", 0)
    server.clock.advance(HOUR_S - 100)
    assert first_offset(server) == 0
    assert consumer.beginning_offsets([partition]) == {partition: 0}
    server.clock.advance(101)
    assert first_offset(server) == 2
    assert consumer.beginning_offsets([partition]) == {partition: 2}
    assert list(replay(server.grpc, "t")) == []
    consumer.close()


def test_offsets_of_a_group_without_members_are_forgotten(server: LogServer) -> None:
    with AdminClient(server.grpc) as admin:
        admin.commit_offsets("g", {TopicPartition("t", 0): 7})
        server.clock.advance(6 * DAY_S)
        assert len(admin.committed_offsets("g")) == 1
        server.clock.advance(DAY_S + 1)
        assert "g" not in {group.group_id for group in admin.list_groups()}


def test_connections_are_idle_in_real_time() -> None:
    with LogServer(settings={"connections.max.idle.ms": "1000"}) as server:
        before_s = time.monotonic()
        with RawClient(server.kafka) as client:
            server.clock.advance(HOUR_S)
            assert client.is_closed()
            assert time.monotonic() - before_s >= 1


def test_the_clock_goes_on_and_does_not_go_back() -> None:
    server = LogServer()
    clock = server.clock
    begun_ms = clock.now_ms()
    clock.advance(DAY_S)
    with server:
        clock.advance(0)
        with pytest.raises(ValueError, match="forward only"):
            clock.advance(-1)
        for number in (math.inf, math.nan):
            with pytest.raises(ValueError, match="finite"):
                clock.advance(number)
    clock.advance(0.5)
    assert clock.now_ms() - begun_ms >= DAY_S * 1000 + 500
    assert abs(clock.now_ms() - time.time() * 1000 - (DAY_S * 1000 + 500)) < HOUR_S * 1000


def test_a_server_that_was_stopped_for_long_finds_what_is_over() -> None:
    server = LogServer(settings=SILENT)
    try:
        server.start()
        with AdminClient(server.grpc) as admin:
            admin.create_topic("t")
            fill(server)
            admin.commit_offsets("g", {TopicPartition("t", 0): 1})
        server.stop()
        server.clock.advance(8 * DAY_S)
        server.start()
        server.clock.advance(HOUR_S)
        assert first_offset(server) == 1
        with AdminClient(server.grpc) as admin:
            assert not admin.list_groups()
    finally:
        server.close()
