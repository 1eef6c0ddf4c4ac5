"""A range of a topic, read once: where it starts, where it ends, and what is said about partitions left out."""

from collections.abc import Callable

import pytest
from logserver_client import (
    AdminClient,
    OffsetOutOfRange,
    OffsetRange,
    Position,
    Producer,
    Record,
    Timestamp,
    TopicPartition,
    UnknownTopicOrPartition,
    aio,
    replay,
)

NewTopic = Callable[..., str]


def fill(address: str, topic: str, counts: list[int]) -> None:
    """Stores so many records in each partition; timestamp = 1000 + 10 * offset."""
    with Producer(address, batch_size=500) as producer:
        for partition, count in enumerate(counts):
            for n in range(count):
                producer.send(topic, b"v%d" % n, key=b"k", partition=partition, timestamp_ms=1000 + 10 * n)


@pytest.fixture
def filled(address: str, new_topic: NewTopic) -> str:
    """A topic whose three partitions hold 1000, 50 and no records."""
    topic = new_topic(3, retention_ms=-1)
    fill(address, topic, [1000, 50, 0])
    return topic


def offsets(records: list[Record[bytes, bytes]]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for record in records:
        found.setdefault(record.partition, []).append(record.offset)
    return found


def test_everything_is_read_in_the_order_of_each_partition(address: str, filled: str) -> None:
    whole = replay(address, filled)
    assert offsets(list(whole)) == {0: list(range(1000)), 1: list(range(50))}
    assert whole.records == 1050
    assert whole.bytes == sum(len(b"kv%d" % n) for count in (1000, 50) for n in range(count))
    assert whole.ranges[TopicPartition(filled, 0)] == OffsetRange(0, 1000)
    assert whole.skipped == whole.shortened == []


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (990, None, {0: range(990, 1000)}),
        (0, 3, {0: range(3), 1: range(3)}),
        (48, 52, {0: range(48, 52), 1: range(48, 50)}),
        (995, 10**9, {0: range(995, 1000)}),
        ("earliest", 2, {0: range(2), 1: range(2)}),
        ("latest", None, {}),
        ("earliest", "earliest", {}),
        (Timestamp(1475), Timestamp(1500), {0: range(48, 50), 1: range(48, 50)}),
        (Timestamp(1500), Timestamp(1511), {0: range(50, 52)}),
        (Timestamp(10**15), None, {}),
        (40, Timestamp(1420), {0: range(40, 42), 1: range(40, 42)}),
    ],
)
def test_a_range_is_from_its_start_to_before_its_end(
    address: str, filled: str, start: Position, end: Position | None, expected: dict[int, range]
) -> None:
    assert offsets(list(replay(address, filled, start, end))) == {p: list(r) for p, r in expected.items()}


def test_one_partition_alone(address: str, filled: str) -> None:
    assert offsets(list(replay(address, filled, 45, partition=1))) == {1: [45, 46, 47, 48, 49]}


def test_partitions_that_end_before_the_offset_are_named(address: str, filled: str) -> None:
    found = replay(address, filled, 51)
    assert found.skipped == [TopicPartition(filled, 1), TopicPartition(filled, 2)]
    assert offsets(list(found)) == {0: list(range(51, 1000))}


def test_it_is_an_error_if_all_do(address: str, filled: str) -> None:
    with pytest.raises(OffsetOutOfRange, match="the furthest ends at 1000"):
        replay(address, filled, 1001)


def test_an_offset_outside_of_the_only_partition_is_an_error(address: str, filled: str) -> None:
    with pytest.raises(OffsetOutOfRange, match="51"):
        replay(address, filled, 51, partition=1)
    assert list(replay(address, filled, 50, partition=1)) == []


def test_deleted_records_are_an_error_of_one_partition_and_a_note_of_many(address: str, filled: str) -> None:
    with AdminClient(address) as admin:
        admin.delete_records(filled, 0, 900)
    with pytest.raises(OffsetOutOfRange, match="900"):
        replay(address, filled, 5, partition=0)
    found = replay(address, filled, 5)
    assert found.shortened == [TopicPartition(filled, 0)]
    assert offsets(list(found)) == {0: list(range(900, 1000)), 1: list(range(5, 50))}


def test_what_is_stored_meanwhile_is_not_part_of_it(address: str, filled: str) -> None:
    found = replay(address, filled)
    fill(address, filled, [10])
    assert len(list(found)) == 1050


@pytest.mark.parametrize(("start", "end"), [(5, 4), (Timestamp(5), Timestamp(4)), (-1, None), ("earliest", -1)])
def test_positions_that_make_no_sense_are_refused(
    address: str, filled: str, start: Position, end: Position | None
) -> None:
    with pytest.raises(ValueError):
        replay(address, filled, start, end)


def test_unknown_topics_and_partitions_are_errors(address: str, filled: str) -> None:
    with pytest.raises(UnknownTopicOrPartition):
        replay(address, "nobody-created-this")
    with pytest.raises(UnknownTopicOrPartition, match="0 to 2, not 3"):
        replay(address, filled, partition=3)


def test_leaving_the_iteration_closes_it(address: str, filled: str) -> None:
    found = replay(address, filled, partition=0)
    for record in found:
        if record.offset == 9:
            break
    assert found.records == 10
    assert found._is_closed


def test_an_iteration_is_not_begun_or_is_left_by_close(address: str, filled: str) -> None:
    with replay(address, filled) as found:
        assert found.ranges
    assert found._is_closed


def test_deserialisers_are_used(address: str, topic: str) -> None:
    with Producer(address) as producer:
        producer.send(topic, b"5", key=b"k")
    (record,) = replay(address, topic, key_deserializer=bytes.decode, value_deserializer=int)
    assert (record.key, record.value) == ("k", 5)


async def test_the_asyncio_form_reads_the_same(address: str, filled: str) -> None:
    found = aio.replay(address, filled, 40)
    assert offsets([record async for record in found]) == {0: list(range(40, 1000)), 1: list(range(40, 50))}
    assert found.records == 970
    assert found.skipped == [TopicPartition(filled, 2)]


async def test_the_asyncio_form_raises_when_iteration_begins(address: str, filled: str) -> None:
    with pytest.raises(OffsetOutOfRange):
        async for _ in aio.replay(address, filled, 1001):
            raise AssertionError("there is nothing to read")


async def test_the_asyncio_form_can_be_left(address: str, filled: str) -> None:
    async with aio.replay(address, filled, partition=0) as found:
        assert found.ranges == {TopicPartition(filled, 0): OffsetRange(0, 1000)}
        async for record in found:
            if record.offset == 9:
                break
