"""confluent-kafka (librdkafka) stores and reads: every acks and compression, seeking, times, ends of partitions."""

from typing import Any

import pytest
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    TIMESTAMP_CREATE_TIME,
    Consumer,
    KafkaError,
    Message,
    Producer,
    TopicPartition,
)

from logserver.testing import LogServer

from .records import create_topic

T0 = 1_700_000_000_000
COUNT = 500


def producer(server: LogServer, **settings: Any) -> Producer:
    return Producer(
        {"bootstrap.servers": server.kafka, **{key.replace("_", "."): value for key, value in settings.items()}}
    )


def produced(
    server: LogServer, count: int = COUNT, *, topic: str = "t", partition: int = 0, **settings: Any
) -> list[Any]:
    """Produces numbered records a millisecond apart; returns their errors and offsets."""
    reports: list[Any] = []

    def report(error: KafkaError | None, message: Message) -> None:
        reports.append((error, message.offset()))

    client = producer(server, **settings)
    for number in range(count):
        client.produce(
            topic,
            value=f"value {number}".encode() * 10,
            key=f"key {number}".encode(),
            headers=[("n", str(number).encode()), ("none", None)],
            partition=partition,
            timestamp=T0 + number,
            on_delivery=report,
        )
        client.poll(0)
    assert client.flush(30) == 0
    return reports


@pytest.fixture
def consumer(server: LogServer) -> Any:
    consumer = Consumer(
        {
            "bootstrap.servers": server.kafka,
            "group.id": "unused",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    yield consumer
    consumer.close()


def polled(consumer: Consumer) -> Message:
    """Returns the next record, or end of a partition."""
    message = consumer.poll(30)
    assert message is not None
    return message


def is_end(message: Message) -> bool:
    error = message.error()
    return error is not None and error.code() == KafkaError._PARTITION_EOF


def taken(consumer: Consumer, count: int) -> list[Message]:
    """Returns so many records, not counting ends of partitions."""
    found: list[Message] = []
    while len(found) < count:
        for message in consumer.consume(count - len(found), timeout=30):
            if message.error() is None:
                found.append(message)
            else:
                assert is_end(message), message.error()
    return found


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_every_compression_is_read_as_it_was_sent(server: LogServer, consumer: Consumer, compression: str) -> None:
    create_topic(server)
    reports = produced(server, compression_type=compression, enable_idempotence=True, linger_ms=20)
    assert reports == [(None, number) for number in range(COUNT)]
    consumer.assign([TopicPartition("t", 0, OFFSET_BEGINNING)])
    for number, message in enumerate(taken(consumer, COUNT)):
        assert (message.offset(), message.key()) == (number, f"key {number}".encode())
        assert message.value() == f"value {number}".encode() * 10
        assert message.timestamp() == (TIMESTAMP_CREATE_TIME, T0 + number)
        assert message.headers() == [("n", str(number).encode()), ("none", None)]
        assert message.leader_epoch() == 0


@pytest.mark.parametrize("acks", ["0", "1", "all"])
def test_every_acks(server: LogServer, consumer: Consumer, acks: str) -> None:
    create_topic(server)
    reports = produced(server, acks=acks, linger_ms=1)
    assert [error for error, _ in reports] == [None] * COUNT
    consumer.assign([TopicPartition("t", 0, OFFSET_BEGINNING)])
    assert [message.offset() for message in taken(consumer, COUNT)] == list(range(COUNT))


def test_seeking_and_the_end_of_a_partition(server: LogServer, consumer: Consumer) -> None:
    create_topic(server, partitions=2)
    produced(server, 10)
    consumer.assign([TopicPartition("t", 0, OFFSET_END), TopicPartition("t", 1, OFFSET_BEGINNING)])
    ends = [polled(consumer) for _ in range(2)]
    assert all(map(is_end, ends))
    assert {(message.partition(), message.offset()) for message in ends} == {(0, 10), (1, 0)}
    consumer.seek(TopicPartition("t", 0, 7))
    assert [message.offset() for message in taken(consumer, 3)] == [7, 8, 9]
    end = polled(consumer)
    assert is_end(end) and end.offset() == 10
    (position,) = consumer.position([TopicPartition("t", 0)])
    assert position.offset == 10


def test_an_offset_that_is_gone_or_not_there_yet_is_reset(server: LogServer) -> None:
    create_topic(server)
    produced(server, 10)
    for policy, expected in (("earliest", 0), ("latest", 10)):
        settings = {"bootstrap.servers": server.kafka, "group.id": "x", "auto.offset.reset": policy}
        consumer = Consumer({**settings, "enable.partition.eof": True, "enable.auto.commit": False})
        consumer.assign([TopicPartition("t", 0, 77)])
        assert polled(consumer).offset() == expected
        consumer.close()


def test_ends_and_times(server: LogServer, consumer: Consumer) -> None:
    create_topic(server)
    produced(server, 10)
    assert consumer.get_watermark_offsets(TopicPartition("t", 0), timeout=30) == (0, 10)
    asked = [TopicPartition("t", 0, time_ms) for time_ms in (T0 + 4, 0, T0 + 100)]
    assert [consumer.offsets_for_times([one], timeout=30)[0].offset for one in asked] == [4, 0, OFFSET_END]


def test_batches_that_wait_come_when_they_are_stored(server: LogServer, consumer: Consumer) -> None:
    create_topic(server)
    consumer.assign([TopicPartition("t", 0, OFFSET_BEGINNING)])
    assert is_end(polled(consumer))
    produced(server, 5)
    assert [message.offset() for message in taken(consumer, 5)] == [0, 1, 2, 3, 4]


def test_a_record_that_is_too_large_is_the_producer_s_error(server: LogServer) -> None:
    create_topic(server, settings={"max.message.bytes": "1000"})
    client = producer(server)
    errors: list[Any] = []
    for size in (10, 5000, 10):
        client.produce("t", b"x" * size, on_delivery=lambda error, message: errors.append(error))
        client.flush(30)
    assert [error and error.code() for error in errors] == [None, KafkaError.MSG_SIZE_TOO_LARGE, None]


def test_transactions_are_read_when_they_are_committed(server: LogServer, consumer: Consumer) -> None:
    create_topic(server)
    client = producer(server, transactional_id="me")
    client.init_transactions(30)
    for value, end in (
        (b"a", client.commit_transaction),
        (b"b", client.abort_transaction),
        (b"c", client.commit_transaction),
    ):
        client.begin_transaction()
        client.produce("t", value=value, partition=0)
        end(30)
    # librdkafka reads what is committed, unless told otherwise.
    consumer.assign([TopicPartition("t", 0, OFFSET_BEGINNING)])
    values = []
    while not is_end(message := polled(consumer)):
        values.append(message.value())
    assert values == [b"a", b"c"]
