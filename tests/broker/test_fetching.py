"""Fetching several partitions: limits, waiting, errors, and nothing left behind."""

import asyncio

import pytest

from logserver.broker import FetchResult, FetchTarget, Partition, fetch
from logserver.errors import ErrorCode

from .harness import HeldCommitter, batch, until, values_of
from .nodes import BrokerNode, store

LONG_MS = 60_000
"""Longer than any test: a fetch that waits this long would fail it."""


def target(partition: Partition, offset: int = 0, max_bytes: int = 1 << 20, epoch: int | None = None) -> FetchTarget:
    return FetchTarget(partition.topic, partition.number, offset, max_bytes, epoch)


async def run(
    node: BrokerNode, *targets: FetchTarget, wait_ms: int = 0, min_bytes: int = 1, max_bytes: int = 1 << 20
) -> list[FetchResult]:
    return await fetch(node.broker, targets, max_wait_ms=wait_ms, min_bytes=min_bytes, max_bytes=max_bytes)


def waiters(node: BrokerNode) -> int:
    return sum(len(partition._waiters) for partition in node.broker.partitions())


async def test_every_partition_has_its_result_in_order(node: BrokerNode) -> None:
    first, second = await node.topic("a"), await node.topic("b")
    await store(first, batch("1"))
    await store(second, batch("2"))
    results = await run(node, target(second), target(first), target(second, 1))
    assert [values_of(result.data) for result in results] == [[b"2"], [b"1"], []]
    assert [result.next_offset for result in results] == [1, 1, 1]
    assert [result.partition for result in results] == [second, first, second]


async def test_an_error_of_one_partition_is_its_own(node: BrokerNode) -> None:
    partition = await node.topic()
    await store(partition, batch("1"))
    results = await run(
        node,
        FetchTarget("absent", 0, 0, 100),
        target(partition),
        FetchTarget("t", 7, 0, 100),
        target(partition, 5),
        target(partition, epoch=9),
        wait_ms=LONG_MS,
        min_bytes=1000,
    )
    assert [result.error.code if result.error else None for result in results] == [
        ErrorCode.unknown_topic_or_partition,
        None,
        ErrorCode.unknown_topic_or_partition,
        ErrorCode.offset_out_of_range,
        ErrorCode.unknown_leader_epoch,
    ]
    assert values_of(results[1].data) == [b"1"]
    assert [result.next_offset for result in results] == [0, 1, 0, 5, 0]
    assert waiters(node) == 0


async def test_a_fetch_waits_for_data_and_goes_when_it_is_durable(node: BrokerNode) -> None:
    partition, other = await node.topic("a"), await node.topic("b")
    fetching = asyncio.ensure_future(run(node, target(other), target(partition), wait_ms=LONG_MS))
    await until(lambda: waiters(node) == 2)
    await store(partition, batch("1"))
    results = await fetching
    assert [values_of(result.data) for result in results] == [[], [b"1"]]
    assert waiters(node) == 0


async def test_a_fetch_waits_until_there_is_enough(node: BrokerNode) -> None:
    partition = await node.topic()
    size = len(batch("1"))
    fetching = asyncio.ensure_future(run(node, target(partition), wait_ms=LONG_MS, min_bytes=3 * size))
    await until(lambda: waiters(node) == 1)
    for number in range(3):
        assert not fetching.done()
        await store(partition, batch(str(number)))
    (result,) = await fetching
    assert values_of(result.data) == [b"0", b"1", b"2"]


async def test_a_fetch_whose_time_is_over_gives_what_is_there(node: BrokerNode) -> None:
    partition = await node.topic()
    await store(partition, batch("1"))
    (result,) = await run(node, target(partition), wait_ms=30, min_bytes=1 << 20)
    assert values_of(result.data) == [b"1"] and waiters(node) == 0
    (result,) = await run(node, target(partition, 1), wait_ms=30)
    assert not result.data and result.error is None and result.next_offset == 1 and waiters(node) == 0


async def test_waiting_for_more_than_may_be_sent_ends_when_that_is_there(node: BrokerNode) -> None:
    partition = await node.topic()
    for number in range(4):
        await store(partition, batch(str(number)))
    size = len(batch("1"))
    # Two and a half batches fit: two are sent, and nothing that comes could make it more.
    (result,) = await run(node, target(partition), wait_ms=LONG_MS, min_bytes=1 << 20, max_bytes=2 * size + size // 2)
    assert values_of(result.data) == [b"0", b"1"]
    (result,) = await run(node, target(partition, max_bytes=size), wait_ms=LONG_MS, min_bytes=1 << 20)
    assert values_of(result.data) == [b"0"]


async def test_max_bytes_is_over_all_partitions_and_a_first_batch_always_comes(node: BrokerNode) -> None:
    partitions = [await node.topic(name) for name in "abc"]
    for partition in partitions:
        await store(partition, batch("1" * 100))
        await store(partition, batch("2" * 100))
    size = len(batch("1" * 100))
    targets = [target(partition) for partition in partitions]
    for max_bytes, counts in (
        (0, [1, 0, 0]),
        (1, [1, 0, 0]),
        (size, [1, 0, 0]),
        (2 * size, [2, 0, 0]),
        (3 * size, [2, 1, 0]),
        (3 * size + 1, [2, 1, 0]),
        (6 * size, [2, 2, 2]),
    ):
        results = await run(node, *targets, max_bytes=max_bytes)
        assert [len(values_of(result.data)) for result in results] == counts, max_bytes
        assert [result.next_offset for result in results] == counts


async def test_an_empty_partition_before_the_others_takes_nothing_away(node: BrokerNode) -> None:
    empty, full = await node.topic("a"), await node.topic("b")
    await store(full, batch("1"))
    results = await run(node, target(empty), target(full), max_bytes=1)
    assert values_of(results[1].data) == [b"1"]


async def test_resigning_answers_a_waiting_fetch(node: BrokerNode) -> None:
    partition = await node.topic()
    fetching = asyncio.ensure_future(run(node, target(partition), wait_ms=LONG_MS))
    await until(lambda: waiters(node) == 1)
    node.broker.resign(partition, "moved away")
    (result,) = await fetching
    assert result.error is not None and result.error.code is ErrorCode.not_leader_or_follower
    assert waiters(node) == 0


async def test_deleting_the_topic_answers_a_waiting_fetch(node: BrokerNode) -> None:
    partition = await node.topic()
    fetching = asyncio.ensure_future(run(node, target(partition), wait_ms=LONG_MS))
    await until(lambda: len(partition._waiters) == 1)
    await node.broker.delete_topic("t")
    (result,) = await fetching
    assert result.error is not None and result.error.code is ErrorCode.unknown_topic_or_partition
    assert not partition._waiters


async def test_a_fetch_that_is_cancelled_leaves_nothing_behind(node: BrokerNode) -> None:
    partition = await node.topic()
    fetching = asyncio.ensure_future(run(node, target(partition), wait_ms=LONG_MS))
    await until(lambda: waiters(node) == 1)
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    assert waiters(node) == 0


async def test_many_fetches_of_one_partition_all_wake(node: BrokerNode) -> None:
    partition = await node.topic()
    fetchings = [asyncio.ensure_future(run(node, target(partition), wait_ms=LONG_MS)) for _ in range(100)]
    await until(lambda: waiters(node) == 100)
    await store(partition, batch("1"))
    for results in await asyncio.gather(*fetchings):
        assert values_of(results[0].data) == [b"1"]


async def test_no_wake_up_is_lost_between_looking_and_waiting(held: BrokerNode) -> None:
    partition = await held.topic()
    assert isinstance(held.committer, HeldCommitter)
    for number in range(20):
        fetching = asyncio.ensure_future(run(held, target(partition, number), wait_ms=LONG_MS))
        # The commit comes 0, 1, 2, ... turns after the fetch has begun.
        for _ in range(number):
            await asyncio.sleep(0)
        partition.append(batch(str(number)))
        held.committer.commit()
        (result,) = await fetching
        assert values_of(result.data) == [b"%d" % number]
