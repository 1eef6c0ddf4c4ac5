"""A partition: appending, waiting until it is durable, reading, leading and not."""

import asyncio

import pytest
from logserver_segments.committer import LossReason
from logserver_segments.reading import Slice

from logserver.broker import Partition
from logserver.errors import ErrorCode, LeaderHint, LogServerError

from .harness import DelayedCommitter, HeldCommitter, batch, values_of
from .nodes import BrokerNode, committed, read, read_all, store


class Waiter:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.told = 0

    def data_available(self, partition: Partition) -> None:
        self.told += 1


def refused(code: ErrorCode, words: str = ""):  # type: ignore[no-untyped-def]
    """Expects an error of a code whose message matches."""
    return pytest.raises(LogServerError, match=f"^{code.name.upper()}: .*{words}")


async def test_what_is_stored_is_read_back(node: BrokerNode) -> None:
    partition = await node.topic()
    assert await store(partition, batch("a", "b")) == 0
    assert await store(partition, batch("c")) == 2
    assert partition.high_watermark == partition.log_end_offset == 3 and partition.log_start_offset == 0
    found = await read(partition, 0)
    assert values_of(found.data) == [b"a", b"b", b"c"] and found.next_offset == 3
    assert await read(partition, 3) == Slice(b"", 3)


async def test_a_read_inside_a_batch_gives_the_whole_batch(node: BrokerNode) -> None:
    partition = await node.topic()
    await store(partition, batch("a", "b", "c"))
    await store(partition, batch("d"))
    found = await read(partition, 1, max_bytes=1)
    assert values_of(found.data) == [b"a", b"b", b"c"] and found.next_offset == 3


async def test_appends_are_answered_in_order_once_each(node: BrokerNode) -> None:
    partition = await node.topic()
    order: list[int] = []
    waits = []
    for number in range(200):
        appended = partition.append(batch(str(number)))
        waits.append(asyncio.ensure_future(committed(partition, appended.last_offset)))
        waits[-1].add_done_callback(lambda _, number=number: order.append(number))
        if number % 5 == 0:
            # So that there are several rounds.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
    await asyncio.gather(*waits)
    assert order == list(range(200))
    assert await read_all(partition) == [b"%d" % number for number in range(200)]
    if isinstance(node.committer, DelayedCommitter):
        assert node.committer.most_under_way > 2


async def test_what_is_not_durable_is_not_read(held: BrokerNode) -> None:
    partition = await held.topic()
    waiter = Waiter()
    partition.add_waiter(waiter)
    partition.append(batch("a"))
    assert (partition.high_watermark, partition.log_end_offset) == (0, 1)
    assert await read(partition, 0) == Slice(b"", 0)
    assert waiter.told == 0
    assert isinstance(held.committer, HeldCommitter)
    held.committer.commit()
    assert partition.high_watermark == 1 and waiter.told == 1
    assert values_of((await read(partition, 0)).data) == [b"a"]
    partition.remove_waiter(waiter)
    partition.remove_waiter(waiter)
    partition.append(batch("b"))
    held.committer.commit()
    assert waiter.told == 1


async def test_a_produce_is_answered_with_its_own_last_record_and_not_before(held: BrokerNode) -> None:
    partition = await held.topic()
    answered: list[int] = []
    for number in range(3):
        last = partition.append(batch("a")).last_offset
        partition.when_committed(last, lambda error, number=number: answered.append(number))
    assert isinstance(held.committer, HeldCommitter)
    for number in range(3):
        assert answered == list(range(number)) and partition.high_watermark == number
        held.committer.commit(1)
    assert answered == [0, 1, 2]


async def test_waiting_for_what_is_durable_is_answered_at_once(node: BrokerNode) -> None:
    partition = await node.topic()
    await store(partition, batch("a"))
    answers: list[LogServerError | None] = []
    partition.when_committed(0, answers.append)
    assert answers == [None]


async def test_with_larger_flush_messages_appended_counts_as_durable(node: BrokerNode) -> None:
    partition = await node.topic(flush_messages="1000")
    answers: list[LogServerError | None] = []
    appended = partition.append(batch("a"))
    partition.when_committed(appended.last_offset, answers.append)
    assert answers == [None] and partition.high_watermark == 1
    assert await read_all(partition) == [b"a"]


async def test_a_batch_sent_again_is_stored_once_and_answered_when_the_first_is_durable(node: BrokerNode) -> None:
    partition = await node.topic()
    payload = batch("a", "b", producer_id=7, producer_epoch=0, base_sequence=0)
    first = partition.append(payload)
    again = partition.append(payload)
    assert again == first._replace(duplicate=True)
    await asyncio.gather(committed(partition, again.last_offset), committed(partition, first.last_offset))
    assert partition.append(payload).duplicate
    assert await read_all(partition) == [b"a", b"b"]


async def test_a_batch_sent_again_waits_although_later_ones_are_ahead_of_it(held: BrokerNode) -> None:
    partition = await held.topic()
    payloads = [batch("x", producer_id=7, producer_epoch=0, base_sequence=number) for number in range(3)]
    answers: list[int] = []
    for payload in (*payloads, payloads[0]):
        appended = partition.append(payload)
        partition.when_committed(
            appended.last_offset, lambda error, offset=appended.last_offset: answers.append(offset)
        )
    assert answers == []
    assert isinstance(held.committer, HeldCommitter)
    held.committer.commit()
    assert sorted(answers) == [0, 0, 1, 2]


@pytest.mark.parametrize(
    ("known", "code", "words"),
    [
        (3, None, ""),
        (None, None, ""),
        (-1, None, ""),
        (2, ErrorCode.fenced_leader_epoch, "leader epoch 2 of t-0 is over, it is 3"),
        (4, ErrorCode.unknown_leader_epoch, "leader epoch 4 of t-0 is not known"),
    ],
)
async def test_a_known_leader_epoch_is_checked(
    node: BrokerNode, known: int | None, code: ErrorCode | None, words: str
) -> None:
    partition = await node.topic()
    node.broker.resign(partition, "a test")
    partition.lead(3)
    if code is None:
        partition.check_epoch(known)
    else:
        with refused(code, words):
            partition.check_epoch(known)


async def test_batches_carry_the_leader_epoch(node: BrokerNode) -> None:
    partition = await node.topic()
    for epoch in (4, 9):
        node.broker.resign(partition, "a test")
        partition.lead(epoch)
        await store(partition, batch("a"))
    assert partition.log is not None
    assert [partition.log.end_of_epoch(epoch) for epoch in (3, 4, 8, 9, 10)] == [None, (4, 1), (4, 1), (9, 2), (9, 2)]
    assert (await read(partition)).data[12:16] == (4).to_bytes(4, "big")


async def test_resigning_answers_everybody_who_waits(held: BrokerNode) -> None:
    partition = await held.topic()
    appended = [partition.append(batch("a")) for _ in range(2)]
    waits = [asyncio.ensure_future(committed(partition, found.last_offset)) for found in appended]
    waiter = Waiter()
    partition.add_waiter(waiter)
    await asyncio.sleep(0)
    partition.resign("another node took over", LeaderHint(2, 8, "other:50051"))
    assert waiter.told == 1
    for wait in waits:
        with refused(ErrorCode.not_leader_or_follower, "does not lead t-0: another node took over") as caught:
            await wait
        assert caught.value.leader == LeaderHint(2, 8, "other:50051") and caught.value.retriable


async def test_a_partition_that_is_not_led_refuses_everything(node: BrokerNode) -> None:
    partition = await node.topic()
    await store(partition, batch("a"))
    node.broker.resign(partition, "moved away")
    with refused(ErrorCode.not_leader_or_follower, "moved away"):
        partition.append(batch("b"))
    with refused(ErrorCode.not_leader_or_follower, "moved away"):
        await read(partition)
    with refused(ErrorCode.not_leader_or_follower, "moved away"):
        await committed(partition, 0)
    with refused(ErrorCode.not_leader_or_follower, "moved away"):
        await partition.offset_for_timestamp(0)
    with refused(ErrorCode.not_leader_or_follower, "moved away"):
        await partition.offset_of_max_timestamp()
    with refused(ErrorCode.not_leader_or_follower, "moved away"):
        await node.broker.delete_records("t", 0, 1)
    assert (partition.high_watermark, partition.log_start_offset, partition.log_end_offset) == (-1, -1, -1)
    assert partition.unavailable is not None
    partition.lead(1)
    assert partition.unavailable is None and await read_all(partition) == [b"a"]


async def test_a_log_that_is_lost_to_the_disk_is_a_storage_error_until_it_is_led_again(held: BrokerNode) -> None:
    partition = await held.topic()
    assert isinstance(held.committer, HeldCommitter)
    partition.append(batch("kept", producer_id=7, producer_epoch=0, base_sequence=0))
    held.committer.commit()
    lost = partition.append(batch("lost", producer_id=7, producer_epoch=0, base_sequence=1))
    wait = asyncio.ensure_future(committed(partition, lost.last_offset))
    waiter = Waiter()
    partition.add_waiter(waiter)
    await asyncio.sleep(0)
    held.lose(partition, LossReason.FAILED, "the disk burned")
    with refused(ErrorCode.kafka_storage_error, "t-0 is offline: the disk burned.*restart the server"):
        await wait
    assert waiter.told == 1
    for _ in range(2):
        with refused(ErrorCode.kafka_storage_error, "the disk burned"):
            partition.append(batch("b"))
        with refused(ErrorCode.kafka_storage_error, "the disk burned"):
            await read(partition)
    held.broker.resign(partition, "to open it again")
    partition.lead(1)
    assert await read_all(partition) == [b"kept"]
    # The producer's state is as of what was kept: the lost batch is new when it comes again.
    again = partition.append(batch("lost", producer_id=7, producer_epoch=0, base_sequence=1))
    assert not again.duplicate and again.base_offset == 1


async def test_a_log_that_is_fenced_is_led_by_somebody_else(held: BrokerNode) -> None:
    partition = await held.topic()
    wait = asyncio.ensure_future(committed(partition, partition.append(batch("lost")).last_offset))
    await asyncio.sleep(0)
    held.lose(partition, LossReason.FENCED, "node 2 has put a fence")
    with refused(ErrorCode.not_leader_or_follower, "does not lead t-0: node 2 has put a fence"):
        await wait
    with refused(ErrorCode.not_leader_or_follower, "node 2"):
        partition.append(batch("b"))
    with refused(ErrorCode.not_leader_or_follower, "node 2"):
        await read(partition)


async def test_a_lost_log_harms_no_other(node: BrokerNode) -> None:
    partition = await node.topic("a")
    other = await node.topic("b")
    partition.append(batch("x"))
    going = asyncio.ensure_future(store(other, batch("y")))
    await asyncio.sleep(0)
    node.lose(partition, LossReason.FAILED, "the disk burned")
    assert await going == 0 and await read_all(other) == [b"y"]


async def test_offsets_by_time(node: BrokerNode) -> None:
    partition = await node.topic()
    assert await partition.offset_of_max_timestamp() is None
    for time in (1000, 3000, 2000):
        await store(partition, batch("a", "b", timestamp_ms=time))
    assert await partition.offset_for_timestamp(0) == (0, 1000)
    assert await partition.offset_for_timestamp(1001) == (2, 3000)
    assert await partition.offset_for_timestamp(3001) is None
    assert await partition.offset_of_max_timestamp() == (2, 3000)


@pytest.mark.parametrize("offset", [-1, -(2**63), 3, 2**62])
async def test_an_offset_out_of_range_is_named_with_the_range(node: BrokerNode, offset: int) -> None:
    partition = await node.topic()
    await store(partition, batch("a", "b"))
    with refused(ErrorCode.offset_out_of_range, f"offset {offset} of t-0 is out of range.*from 0 to 2"):
        await read(partition, offset)
