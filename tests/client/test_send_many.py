"""Sending many records by one call: it is `send` for each of them, whatever the batches."""

import asyncio
from collections.abc import Callable
from itertools import count, pairwise

import pytest
from logserver_client import (
    AdminClient,
    BufferFull,
    BytesRecord,
    ClientClosed,
    LogServerError,
    MessageTooLarge,
    Producer,
    SerializationError,
    UnknownTopicOrPartition,
    aio,
    replay,
)

from logserver.testing import LogServer

NewTopic = Callable[..., str]

MANY = 10_000
"""More than are placed at a time."""


def numbers(how_many: int) -> list[bytes]:
    return [b"%d" % number for number in range(how_many)]


def read(address: str, topic: str) -> list[BytesRecord]:
    return list(replay(address, topic))


def by_partition(records: list[BytesRecord]) -> dict[int, list[tuple[bytes | None, bytes | None]]]:
    found: dict[int, list[tuple[bytes | None, bytes | None]]] = {}
    for record in records:
        found.setdefault(record.partition, []).append((record.key, record.value))
    return found


@pytest.mark.parametrize("batch_size", [500, 100_000])
def test_values_are_stored_in_their_order(address: str, topic: str, batch_size: int) -> None:
    with Producer(address, batch_size=batch_size) as producer:
        before = producer.send(topic, b"before")
        deliveries = producer.send_many(topic, numbers(MANY))
        after = producer.send(topic, b"after")
        assert [metadata.offset for metadata in deliveries.result(60)] == list(range(1, MANY + 1))
        assert (before.result(30).offset, after.result(30).offset) == (0, MANY + 1)
    assert [record.value for record in read(address, topic)] == [b"before", *numbers(MANY), b"after"]


@pytest.mark.parametrize("batch_size", [1_000, 1_000_000])
def test_keys_go_where_send_puts_them(address: str, new_topic: NewTopic, batch_size: int) -> None:
    one, many = new_topic(5), new_topic(5)
    keys = [b"%d" % (number % 37) for number in range(MANY)]
    with Producer(address, batch_size=batch_size) as producer:
        for key, value in zip(keys, numbers(MANY), strict=True):
            producer.send(one, value, key=key)
        deliveries = producer.send_many(many, numbers(MANY), keys=keys)
        metadata = deliveries.result(60)
    stored = read(address, many)
    assert by_partition(stored) == by_partition(read(address, one))
    at = {(record.partition, record.offset): record.value for record in stored}
    assert [at[place.partition, place.offset] for place in metadata] == numbers(MANY)


def test_records_without_a_key_take_a_partition_a_batch(address: str, new_topic: NewTopic) -> None:
    topic = new_topic(4)
    with Producer(address, batch_size=2_000) as producer:
        partitions = [metadata.partition for metadata in producer.send_many(topic, numbers(MANY)).result(60)]
    changes = sum(one != other for one, other in pairwise(partitions))
    assert set(partitions) == {0, 1, 2, 3}
    assert changes < MANY / 50, "not a partition each"


def test_nulls_headers_timestamp_and_partition_are_those_of_send(address: str, new_topic: NewTopic) -> None:
    topic = new_topic(3)
    with Producer(address) as producer:
        deliveries = producer.send_many(
            topic, [None, b"", b"x"], keys=[b"k", None, b""], headers=[("h", b"1")], partition=2, timestamp_ms=1234
        )
        assert {metadata.timestamp_ms for metadata in deliveries.result(30)} == {1234}
    records = read(address, topic)
    assert [(record.partition, record.key, record.value) for record in records] == [
        (2, b"k", None),
        (2, None, b""),
        (2, b"", b"x"),
    ]
    assert all(record.timestamp_ms == 1234 and list(record.headers) == [("h", b"1")] for record in records)


def test_any_iterable_will_do(address: str, topic: str) -> None:
    with Producer(address) as producer:
        assert producer.send_many(topic, iter(())).result(0) == []
        assert len(producer.send_many(topic, (value for value in numbers(3)), keys=iter(numbers(3))).result(30)) == 3


def test_serialisers_are_called_and_null_stays_null(address: str, topic: str) -> None:
    with Producer(address, key_serializer=str.encode, value_serializer=lambda number: b"%d" % number) as producer:
        producer.send_many(topic, [1, None, 3], keys=["a", "b", None])
    stored = [(record.key, record.value) for record in read(address, topic)]
    assert stored == [(b"a", b"1"), (b"b", None), (None, b"3")]


def test_a_partitioner_is_asked_for_each(address: str, new_topic: NewTopic) -> None:
    topic = new_topic(3)
    turn = count()
    with Producer(address, partitioner=lambda topic, key, partitions: next(turn) % partitions) as producer:
        partitions = [metadata.partition for metadata in producer.send_many(topic, numbers(9)).result(30)]
    assert partitions == [0, 1, 2] * 3


def test_keys_and_values_are_as_many(address: str, topic: str) -> None:
    with Producer(address) as producer:
        with pytest.raises(ValueError, match="3 values and 2 keys"):
            producer.send_many(topic, numbers(3), keys=numbers(2))
        with pytest.raises(ValueError, match="4 keys"):
            producer.send_many(topic, numbers(3), keys=numbers(4))


def test_what_is_no_bytes_is_named(address: str, topic: str) -> None:
    with Producer(address) as producer:
        with pytest.raises(TypeError, match="value is a str; give bytes"):
            producer.send_many(topic, [b"1", "2"])  # type: ignore[list-item]
        with pytest.raises(TypeError, match="key is a int; give bytes"):
            producer.send_many(topic, numbers(2), keys=[b"k", 5])  # type: ignore[list-item]
        with pytest.raises(TypeError, match="key is a bytearray; give bytes"):
            producer.send_many(topic, numbers(2), keys=[b"k", bytearray(b"k")])  # type: ignore[list-item]
    assert [record.value for record in read(address, topic)] == [b"1"]


def test_a_timestamp_out_of_range_is_refused(address: str, topic: str) -> None:
    with Producer(address) as producer, pytest.raises(ValueError, match="timestamp -2"):
        producer.send(topic, b"an open batch")
        producer.send_many(topic, numbers(2), timestamp_ms=-2)


@pytest.mark.parametrize("is_keyed", [False, True])
def test_a_record_that_is_refused_says_what_became_of_the_others(
    address: str, new_topic: NewTopic, is_keyed: bool
) -> None:
    topic = new_topic(3)
    values = numbers(100)
    values[50] = bytes(3_000)
    with Producer(address, max_request_size=3_000, batch_size=1_000) as producer:
        with pytest.raises(MessageTooLarge, match="max_request_size=3000") as refused:
            producer.send_many(topic, values, keys=numbers(100) if is_keyed else None)
        deliveries = refused.value.deliveries
        assert len(deliveries) == 100
        assert deliveries.exception(30) is refused.value
        failed = [place for place, error in deliveries.failed()]
        assert 50 in failed and {error for _, error in deliveries.failed()} == {refused.value}
        if not is_keyed:
            assert failed == list(range(50, 100))
    taken = {value for place, value in enumerate(values) if place not in failed}
    assert {record.value for record in read(address, topic)} == taken


def test_a_serialiser_that_fails_fails_its_piece(address: str, topic: str) -> None:
    def refuse(value: bytes) -> bytes:
        if value == b"5000":
            raise KeyError(value)
        return value

    with Producer(address, value_serializer=refuse) as producer:
        with pytest.raises(SerializationError, match="5000") as refused:
            producer.send_many(topic, numbers(MANY))
        failed = refused.value.deliveries.failed()
    assert (5000, refused.value) in failed
    stored = [record.value for record in read(address, topic)]
    assert stored == numbers(MANY)[: failed[0][0]]


def test_errors_of_topic_partition_and_closed_client_are_those_of_send(address: str, topic: str) -> None:
    with Producer(address) as producer:
        with pytest.raises(UnknownTopicOrPartition):
            producer.send_many("no-such-topic", numbers(1))
        with pytest.raises(UnknownTopicOrPartition, match="partitions 0 to 0, not 1"):
            producer.send_many(topic, numbers(1), partition=1)
        producer.send(topic, b"x").result(30)
    with pytest.raises(ClientClosed):
        producer.send_many(topic, numbers(1))


def test_a_small_buffer_holds_it_up_and_loses_nothing(address: str, new_topic: NewTopic) -> None:
    topic = new_topic(3)
    values = [bytes(1_000) + value for value in numbers(2_000)]
    with Producer(address, buffer_memory=20_000, batch_size=3_000) as producer:
        deliveries = producer.send_many(topic, values, keys=numbers(2_000))
        deliveries.wait(60)
    assert sorted(record.value or b"" for record in read(address, topic)) == sorted(values)


def test_a_buffer_that_stays_full_raises_and_says_what_was_taken() -> None:
    server = LogServer()
    server.start()
    with AdminClient(server.grpc) as admin:
        admin.create_topic("t", partitions=1)
    with Producer(
        server.grpc, buffer_memory=100_000, batch_size=10_000, max_block_ms=200, delivery_timeout_ms=2_000
    ) as producer:
        producer.send("t", b"x").result(30)
        server.close()
        with pytest.raises(BufferFull, match="buffer_memory=100000") as full:
            producer.send_many("t", [bytes(1000)] * 1000)
        deliveries = full.value.deliveries
        refused = [place for place, error in deliveries.failed() if error is full.value]
        assert refused == list(range(refused[0], 1000)) and 80 <= refused[0] <= 100
        assert "delivery_timeout_ms=2000" in str(deliveries.exception(30))


async def test_the_asyncio_producer_does_the_same(address: str, new_topic: NewTopic) -> None:
    one, many = new_topic(1), new_topic(3)
    async with aio.Producer(address, batch_size=2_000, buffer_memory=50_000) as producer:
        deliveries = await producer.send_many(one, numbers(MANY))
        keyed = await producer.send_many(many, numbers(MANY), keys=numbers(MANY))
        assert [metadata.offset for metadata in await deliveries] == list(range(MANY))
        assert len(await keyed) == MANY
        with pytest.raises(TypeError, match="value is a int"):
            await producer.send_many(one, b"bytes are numbers")  # type: ignore[arg-type]
    assert [record.value for record in await asyncio.to_thread(read, address, one)] == numbers(MANY)
    assert len(await asyncio.to_thread(read, address, many)) == MANY


async def test_the_asyncio_producer_raises_when_the_buffer_stays_full() -> None:
    server = LogServer()
    await asyncio.to_thread(server.start)
    async with aio.Producer(
        server.grpc, buffer_memory=100_000, batch_size=10_000, max_block_ms=200, delivery_timeout_ms=2_000
    ) as producer:
        async with aio.AdminClient(server.grpc) as admin:
            await admin.create_topic("t", partitions=1)
        await (await producer.send("t", b"x"))
        await asyncio.to_thread(server.close)
        with pytest.raises(BufferFull) as full:
            await producer.send_many("t", [bytes(1000)] * 1000)
        with pytest.raises(LogServerError, match="delivery_timeout_ms=2000"):
            await full.value.deliveries
