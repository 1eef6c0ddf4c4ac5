"""Transactions as the broker's partition has them, over every kind of storage."""

from collections.abc import Awaitable

import pytest
from logserver_records.codec import build_batch
from logserver_records.control import ControlType, EndTransactionMarker
from logserver_segments.partition_log import AbortedTransaction
from logserver_segments.reading import Slice

from logserver.broker import Partition
from logserver.errors import ErrorCode, LogServerError

from .harness import batch, values_of
from .nodes import BrokerNode, committed, store
from .test_partition import Waiter, refused

NOW_MS = 1_700_000_000_000
COMMIT = EndTransactionMarker(ControlType.COMMIT, 0)
ABORT = EndTransactionMarker(ControlType.ABORT, 0)


def transactional(value: str, sequence: int, *, producer_id: int = 7, epoch: int = 0) -> bytes:
    return build_batch(
        [(NOW_MS, None, value.encode(), ())],
        producer_id=producer_id,
        producer_epoch=epoch,
        base_sequence=sequence,
        is_transactional=True,
    )


async def send(partition: Partition, value: str, sequence: int, *, producer_id: int = 7) -> int:
    """Stores a record in a transaction that the coordinator has confirmed; returns its offset once it is durable."""
    verification = partition.verify(producer_id, 0, sequence)
    appended = partition.append(transactional(value, sequence, producer_id=producer_id), verification)
    await committed(partition, appended.last_offset)
    return appended.base_offset


async def end(partition: Partition, marker: EndTransactionMarker, *, producer_id: int = 7) -> int:
    appended = partition.append_marker(producer_id, 0, marker, 1)
    await committed(partition, appended.last_offset)
    return appended.base_offset


async def read_stable(partition: Partition, offset: int) -> Slice:
    found = partition.read(offset, 1 << 20, committed_only=True)
    return found if isinstance(found, Slice) else await found


async def aborted(partition: Partition, start: int, stop: int) -> list[AbortedTransaction]:
    found = partition.aborted_transactions(start, stop)
    assert isinstance(found, list | Awaitable)
    return found if isinstance(found, list) else await found


async def test_readers_of_committed_records_stop_before_an_open_transaction(node: BrokerNode) -> None:
    partition = await node.topic()
    await store(partition, batch("plain"))
    assert partition.last_stable_offset == partition.high_watermark == 1
    assert await send(partition, "in", 0) == 1
    assert (partition.last_stable_offset, partition.high_watermark) == (1, 2)
    found = await read_stable(partition, 0)
    assert (values_of(found.data), found.next_offset) == ([b"plain"], 1)
    assert await read_stable(partition, 1) == Slice(b"", 1)
    assert await end(partition, ABORT) == 2
    assert partition.last_stable_offset == partition.high_watermark == 3
    assert (await read_stable(partition, 1)).next_offset == 3
    assert await aborted(partition, 0, 3) == [AbortedTransaction(7, 1, 2, 3)]
    assert await aborted(partition, 0, 1) == []


async def test_the_end_of_a_transaction_wakes_readers_when_it_is_durable(held: BrokerNode) -> None:
    partition = await held.topic()
    partition.append(transactional("in", 0), partition.verify(7, 0))
    held.committer.commit()  # type: ignore[attr-defined]
    waiter = Waiter()
    partition.add_waiter(waiter)
    partition.append_marker(7, 0, COMMIT, 1)
    assert (waiter.told, partition.last_stable_offset) == (0, 0)
    held.committer.commit()  # type: ignore[attr-defined]
    assert (waiter.told, partition.last_stable_offset) == (1, 2)


async def test_what_is_refused_has_kafkas_error(node: BrokerNode) -> None:
    partition = await node.topic()
    with refused(ErrorCode.invalid_txn_state, "not confirmed"):
        partition.append(transactional("in", 0))
    with refused(ErrorCode.invalid_txn_state, "not confirmed"):
        partition.append_own(transactional("in", -1))
    await send(partition, "in", 0)
    with refused(ErrorCode.invalid_txn_state, "must belong to it"):
        partition.append(build_batch([(NOW_MS, None, b"x", ())], producer_id=7, producer_epoch=0, base_sequence=1))
    with refused(ErrorCode.invalid_producer_epoch, "not above epoch 0"):
        partition.append_marker(7, 0, COMMIT, 2)
    partition.append_marker(7, 1, EndTransactionMarker(ControlType.COMMIT, 4), 2)
    with refused(ErrorCode.invalid_producer_epoch):
        partition.verify(7, 0)
    with refused(ErrorCode.transaction_coordinator_fenced, "epoch 3"):
        partition.append_marker(7, 1, EndTransactionMarker(ControlType.COMMIT, 3), 2)
    assert partition.log_end_offset == 2


async def test_open_transactions_outlive_a_process(node: BrokerNode) -> None:
    partition = await node.topic()
    await store(partition, batch("plain"))
    await send(partition, "in", 0)
    await send(partition, "other", 0, producer_id=8)
    await end(partition, ABORT, producer_id=8)
    for again in (node.stop, node.crash):
        await again()
        await node.start()
        partition = node.broker.partition("t", 0)
        assert (partition.last_stable_offset, partition.high_watermark) == (1, 4)
        first = {found.producer_id: found.transaction_first_offset for found in partition.active_producers()}
        assert first == {7: 1, 8: -1}
        assert await aborted(partition, 1, 4) == [AbortedTransaction(8, 2, 3, 1)]
    assert partition.verify(7, 0) is None
    await end(partition, COMMIT)
    assert partition.last_stable_offset == 5


async def test_a_partition_that_is_not_led_has_no_transactions(node: BrokerNode) -> None:
    partition = await node.topic()
    await send(partition, "in", 0)
    partition.resign("the test")
    assert partition.last_stable_offset == -1
    for use in (
        lambda: partition.verify(7, 0),
        lambda: partition.append_marker(7, 0, COMMIT, 1),
        lambda: partition.aborted_transactions(0, 1),
        lambda: partition.read(0, 1, True),
    ):
        with pytest.raises(LogServerError) as caught:
            use()
        assert caught.value.code is ErrorCode.not_leader_or_follower
