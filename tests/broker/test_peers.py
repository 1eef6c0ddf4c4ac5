"""Asking other partitions for their offsets, and ending transactions in them."""

import asyncio
from itertools import pairwise

import pytest

from logserver.broker.peers import LocalPeers, TransactionMarker
from logserver.errors import ErrorCode, LogServerError

from .harness import NOW_MS, batch
from .nodes import BrokerNode, store


async def test_the_ends_of_a_partition(node: BrokerNode) -> None:
    partition = await node.topic("t")
    peers = LocalPeers(node.broker)
    assert await peers.offsets("t", 0) == (0, 0, 0)
    for _ in range(5):
        await store(partition, batch("x", "y"))
    await node.broker.delete_records("t", 0, 3)
    assert await peers.offsets("t", 0) == (3, 10, 0)


async def test_what_is_not_durable_is_not_there(held: BrokerNode) -> None:
    partition = await held.topic("t")
    partition.append(batch("x"))
    assert (await LocalPeers(held.broker).offsets("t", 0)).high_watermark == 0


async def test_the_offset_of_a_time(node: BrokerNode) -> None:
    partition = await node.topic("t")
    peers = LocalPeers(node.broker)
    assert await peers.offset_for_timestamp("t", 0, 0) == 0
    for number in range(5):
        await store(partition, batch("x", timestamp_ms=NOW_MS + number))
    assert await peers.offset_for_timestamp("t", 0, NOW_MS + 3) == 3
    assert await peers.offset_for_timestamp("t", 0, -5) == 0
    # Behind all of them: where the next record comes.
    assert await peers.offset_for_timestamp("t", 0, NOW_MS + 99) == 5


@pytest.mark.parametrize(("topic", "number"), [("nowhere", 0), ("t", 1), ("t", -1)])
async def test_what_there_is_not(node: BrokerNode, topic: str, number: int) -> None:
    await node.topic("t")
    peers = LocalPeers(node.broker)
    for asked in (peers.offsets(topic, number), peers.offset_for_timestamp(topic, number, 0)):
        with pytest.raises(LogServerError) as refusal:
            await asked
        assert refusal.value.code is ErrorCode.unknown_topic_or_partition


async def test_a_partition_that_is_not_led_here(node: BrokerNode) -> None:
    partition = await node.topic("t")
    node.broker.resign(partition, "another node leads it")
    peers = LocalPeers(node.broker)
    for asked in (peers.offsets("t", 0), peers.offset_for_timestamp("t", 0, 0)):
        with pytest.raises(LogServerError, match="another node leads it") as refusal:
            await asked
        assert refusal.value.code is ErrorCode.not_leader_or_follower


async def test_markers_for_many_partitions_leave_room_for_others(node: BrokerNode) -> None:
    await node.topic("t", 1_000)
    partitions = [node.broker.partition("t", number) for number in range(1_000)]
    places = [("t", number) for number in range(1_000)] + [("nowhere", 0)]
    marker = TransactionMarker(producer_id=7, producer_epoch=0, is_commit=True, coordinator_epoch=0)
    writing = asyncio.ensure_future(LocalPeers(node.broker).write_markers(marker, places))
    written = [0]
    while not writing.done():
        await asyncio.sleep(0)
        written.append(sum(partition.log_end_offset for partition in partitions))
    assert max(after - before for before, after in pairwise(written)) <= 100
    outcomes = await writing
    assert all(partition.high_watermark == 1 for partition in partitions)
    refusal = outcomes["nowhere", 0]
    assert refusal is not None and refusal.code is ErrorCode.unknown_topic_or_partition
    assert [place for place, error in outcomes.items() if error is not None] == [("nowhere", 0)]
