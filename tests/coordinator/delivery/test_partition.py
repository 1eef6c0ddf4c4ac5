"""A partition of a queue and redriving it, where the log, those who wait or the partition itself fail."""

import asyncio
import random
from types import SimpleNamespace
from typing import Any, cast

import pytest
from logserver_records.codec import build_batch

from logserver.coordinator.delivery.changes import Changes, NoChanges
from logserver.coordinator.delivery.coordinator import QueueCoordinator, QueueName
from logserver.coordinator.delivery.engine import Engine
from logserver.coordinator.delivery.handles import Acquisition
from logserver.coordinator.delivery.moves import Destination
from logserver.coordinator.delivery.order import OffsetOrder
from logserver.coordinator.delivery.partition import QueuePartition
from logserver.coordinator.delivery.policy import Policy
from logserver.coordinator.delivery.records import RecordReader
from logserver.coordinator.delivery.redrive import Redrive, Selection
from logserver.coordinator.delivery.volatile import MemoryRecords, VolatileQueue
from logserver.coordinator.delivery.waiters import Waiter
from logserver.errors import ErrorCode, LogServerError
from tests.broker.harness import FakeClock, until

BATCH = build_batch([(0, None, b"x", ())] * 3)
OTHER = "other"


class Damaged(MemoryRecords):
    """Records that can't be read."""

    def __init__(self) -> None:
        super().__init__("v", 10_000)
        self.reads = 0

    def read(self, offset: int, max_bytes: int, committed_only: bool = False) -> Any:
        self.reads += 1
        raise LogServerError(ErrorCode.corrupt_message, "damaged")


def new_place(records: MemoryRecords, until_offset: int | None = None) -> QueuePartition:
    engine = Engine(0, 0, Policy(), OffsetOrder(), random.Random(1), NoChanges())
    reader = RecordReader(records, False)
    place = QueuePartition(
        "v", 0, records, until_offset, engine, reader, FakeClock(), None, lambda place, error: place.stop(error)
    )
    place.start()
    return place


def taker(got: list[Acquisition]) -> Waiter:
    return Waiter("anna", lambda _, found: got.append(found), lambda reason: None)


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_log_that_can_not_be_read_is_not_asked_again_at_once() -> None:
    records = Damaged()
    place = new_place(records)
    records.append(BATCH)
    place.dispatcher.add(taker([]))
    await turns()
    assert records.reads == 1
    place.stop(LogServerError(ErrorCode.not_coordinator, "over"))


async def test_what_is_behind_the_end_of_a_source_is_not_delivered() -> None:
    records = MemoryRecords("v", 10_000)
    place = new_place(records, until_offset=4)
    got: list[Acquisition] = []
    place.dispatcher.add(taker(got))
    records.append(BATCH + BATCH)
    await turns()
    assert [(found.first, found.last) for each in got for found in each.ranges] == [(0, 3)]
    place.stop(LogServerError(ErrorCode.not_coordinator, "over"))


class _Queues:
    """What a redrive asks of the coordinator."""

    def __init__(self, place: QueuePartition) -> None:
        self._place = place
        self.peers = SimpleNamespace(partitions=self._partitions)

    async def _partitions(self, topic: str) -> int:
        return 1

    async def open(self, queue: QueueName) -> list[QueuePartition]:
        return [self._place]

    def moves_to(self, topic: str) -> int:
        return 0


def redriving(place: QueuePartition) -> "asyncio.Task[None]":
    queue = QueueName("v", "v", "v", None)
    redrive = Redrive(cast(QueueCoordinator, _Queues(place)), queue, Selection(OTHER), "redrive", FakeClock())

    async def run() -> None:
        async for _ in redrive.run():
            pass

    return asyncio.create_task(run())


def new_queue(max_unsettled: int) -> VolatileQueue:
    policy = Policy(max_unsettled=max_unsettled)
    return VolatileQueue("v", policy, 10_000, FakeClock(), random.Random(1))


async def test_a_redrive_that_is_given_up_leaves_nobody_who_waits() -> None:
    place = new_queue(max_unsettled=1).place
    assert isinstance(place.source, MemoryRecords)
    place.source.append(BATCH)
    got: list[Acquisition] = []
    holder = taker(got)
    place.dispatcher.add(holder)
    await until(lambda: bool(got))
    holder.leave()
    task = redriving(place)
    await until(lambda: len(place.dispatcher) == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(place.dispatcher) == 0
    place.release_owner("anna")
    await turns()
    assert place.engine.counts()[:4] == (3, 0, 0, 0)


async def test_a_redrive_ends_with_the_partition_it_works_on() -> None:
    queue = new_queue(max_unsettled=10)
    queue.send(BATCH)
    task = redriving(queue.place)
    # Nobody carries out moves of a queue in memory.
    await until(lambda: len(queue.place.engine.moves) == 3)
    assert {move.destination for move in queue.place.engine.moves.values()} == {Destination(OTHER)}
    queue.delete("nobody wants it")
    with pytest.raises(LogServerError, match="nobody wants it"):
        await asyncio.wait_for(task, 20)


async def test_whoever_has_left_with_what_is_not_durable_hears_that_it_will_not_come() -> None:
    records = MemoryRecords("v", 10_000)
    engine = Engine(0, 0, Policy(), OffsetOrder(), random.Random(1), Changes())
    place = QueuePartition(
        "v", 0, records, None, engine, RecordReader(records, False), FakeClock(), lambda _: None, lambda _, error: None
    )
    place.start()
    records.append(BATCH)
    reasons: list[str] = []
    waiter = Waiter("anna", lambda _, found: reasons.append("delivered"), reasons.append, once=True)
    place.dispatcher.add(waiter)
    await until(lambda: engine.tally.held == 3)
    assert len(place.dispatcher) == 0 and not reasons
    place.stop(LogServerError(ErrorCode.not_coordinator, "over"))
    assert reasons == ["over"]
