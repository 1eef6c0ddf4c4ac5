"""kafka-python and aiokafka store and read: every compression and acks, seeking, times and ends of partitions."""

import asyncio
from typing import Any

import aiokafka
import kafka
import kafka.partitioner
import pytest
from logserver_client import partition_for_key

from logserver.testing import LogServer

from .records import create_topic

T0 = 1_700_000_000_000
COUNT = 300
CODECS = [None, "gzip", "snappy", "lz4", "zstd"]


def expected(number: int) -> tuple[int, int, bytes, bytes]:
    return number, T0 + number, f"key {number}".encode(), f"value {number}".encode() * 10


# kafka-python


@pytest.mark.parametrize("compression", CODECS)
def test_kafka_python_reads_what_it_wrote(server: LogServer, compression: str | None) -> None:
    create_topic(server)
    producer = kafka.KafkaProducer(bootstrap_servers=server.kafka, compression_type=compression, linger_ms=10)
    sent = []
    for number in range(COUNT):
        offset, time_ms, key, value = expected(number)
        sent.append(producer.send("t", value, key, [("n", str(offset).encode())], 0, time_ms))
    assert [one.get(30).offset for one in sent] == list(range(COUNT))
    producer.close()
    consumer = kafka.KafkaConsumer(bootstrap_servers=server.kafka, auto_offset_reset="earliest")
    consumer.assign([kafka.TopicPartition("t", 0)])
    found = [next(consumer) for _ in range(COUNT)]
    assert [(one.offset, one.timestamp, one.key, one.value) for one in found] == list(map(expected, range(COUNT)))
    assert list(found[3].headers) == [("n", b"3")]
    consumer.close()


@pytest.mark.parametrize("acks", [0, 1, "all"])
def test_kafka_python_with_every_acks(server: LogServer, acks: Any) -> None:
    create_topic(server)
    producer = kafka.KafkaProducer(bootstrap_servers=server.kafka, acks=acks, enable_idempotence=False)
    sent = [producer.send("t", str(number).encode()) for number in range(20)]
    producer.flush(30)
    offsets = [one.get(30).offset for one in sent]
    if acks:
        assert offsets == list(range(20))
    producer.close()
    consumer = kafka.KafkaConsumer("t", bootstrap_servers=server.kafka, auto_offset_reset="earliest", group_id=None)
    assert [next(consumer).value for _ in range(20)] == [str(number).encode() for number in range(20)]
    consumer.close()


def test_kafka_python_seeks_and_asks_for_offsets(server: LogServer) -> None:
    create_topic(server, partitions=2)
    producer = kafka.KafkaProducer(bootstrap_servers=server.kafka)
    for number in range(10):
        producer.send("t", str(number).encode(), partition=0, timestamp_ms=T0 + number)
    producer.close()
    consumer = kafka.KafkaConsumer(bootstrap_servers=server.kafka)
    here, empty = kafka.TopicPartition("t", 0), kafka.TopicPartition("t", 1)
    consumer.assign([here, empty])
    assert consumer.beginning_offsets([here, empty]) == {here: 0, empty: 0}
    assert consumer.end_offsets([here, empty]) == {here: 10, empty: 0}
    times = consumer.offsets_for_times({here: T0 + 4, empty: T0})
    assert (times[here].offset, times[here].timestamp, times[empty]) == (4, T0 + 4, None)
    consumer.seek(here, 7)
    assert [next(consumer).offset for _ in range(3)] == [7, 8, 9]
    assert consumer.position(here) == 10
    consumer.seek_to_beginning(here)
    assert next(consumer).offset == 0
    consumer.close()


class ByLength(kafka.partitioner.Partitioner):  # type: ignore[misc]
    """Goes by the length of the key."""

    def partition(
        self, topic: str, key: Any, serialized_key: bytes, value: Any, serialized_value: bytes, cluster: Any
    ) -> int:
        partitions = sorted(cluster.partitions_for_topic(topic))
        found: int = partitions[len(serialized_key) % len(partitions)]
        return found


@pytest.mark.parametrize("own", [False, True])
def test_kafka_python_with_a_partitioner_of_one_s_own(server: LogServer, own: bool) -> None:
    create_topic(server, partitions=3)
    settings = {"partitioner": ByLength()} if own else {}
    producer = kafka.KafkaProducer(bootstrap_servers=server.kafka, **settings)
    keys = ["x" * length for length in range(1, 20)]
    sent = [producer.send("t", b"v", key.encode()).get(30).partition for key in keys]
    producer.close()
    if own:
        assert sent == [len(key) % 3 for key in keys]
    else:
        assert sent == [partition_for_key(key.encode(), 3) for key in keys]


# aiokafka


@pytest.mark.parametrize("compression", CODECS)
async def test_aiokafka_reads_what_it_wrote(server: LogServer, compression: str | None) -> None:
    await asyncio.to_thread(create_topic, server)
    async with aiokafka.AIOKafkaProducer(
        bootstrap_servers=server.kafka, compression_type=compression, enable_idempotence=True, linger_ms=10
    ) as producer:
        sent = []
        for number in range(COUNT):
            _, time_ms, key, value = expected(number)
            sent.append(await producer.send("t", value, key, timestamp_ms=time_ms, headers=[("n", b"1")]))
        assert [(await one).offset for one in sent] == list(range(COUNT))
    consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=server.kafka, auto_offset_reset="earliest")
    consumer.assign([aiokafka.TopicPartition("t", 0)])
    async with consumer:
        found = [await consumer.getone() for _ in range(COUNT)]
    assert [(one.offset, one.timestamp, one.key, one.value) for one in found] == list(map(expected, range(COUNT)))


@pytest.mark.parametrize("acks", [0, 1, "all"])
async def test_aiokafka_with_every_acks(server: LogServer, acks: Any) -> None:
    await asyncio.to_thread(create_topic, server)
    async with aiokafka.AIOKafkaProducer(bootstrap_servers=server.kafka, acks=acks) as producer:
        for number in range(20):
            result = await producer.send_and_wait("t", str(number).encode())
            assert result is None or result.offset == number
    async with aiokafka.AIOKafkaConsumer("t", bootstrap_servers=server.kafka, auto_offset_reset="earliest") as consumer:
        assert [int((await consumer.getone()).value) for _ in range(20)] == list(range(20))


async def test_aiokafka_seeks_and_asks_for_offsets(server: LogServer) -> None:
    await asyncio.to_thread(create_topic, server)
    async with aiokafka.AIOKafkaProducer(bootstrap_servers=server.kafka, acks="all") as producer:
        for number in range(10):
            await producer.send_and_wait("t", b"v", timestamp_ms=T0 + number)
    here = aiokafka.TopicPartition("t", 0)
    consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=server.kafka)
    consumer.assign([here])
    async with consumer:
        assert await consumer.beginning_offsets([here]) == {here: 0}
        assert await consumer.end_offsets([here]) == {here: 10}
        assert (await consumer.offsets_for_times({here: T0 + 4}))[here].offset == 4
        consumer.seek(here, 8)
        assert [(await consumer.getone()).offset for _ in range(2)] == [8, 9]
        waiting = asyncio.ensure_future(consumer.getone())
        async with aiokafka.AIOKafkaProducer(bootstrap_servers=server.kafka, acks="all") as producer:
            await producer.send_and_wait("t", b"late")
        assert (await waiting).value == b"late"
