"""A partition of a queue and redriving it, where the log, those who wait or the partition itself fail."""

import asyncio
import random
from types import SimpleNamespace
from typing import Any, cast

import pytest
from logserver_records.codec import build_batch
from logserver_segments.reading import Slice

from logserver.coordinator.delivery import redrive as redrive_module
from logserver.coordinator.delivery.changes import Changes, NoChanges
from logserver.coordinator.delivery.coordinator import QueueCoordinator, QueueName
from logserver.coordinator.delivery.engine import Engine
from logserver.coordinator.delivery.handles import Acquisition, Handle
from logserver.coordinator.delivery.moves import Destination, Move
from logserver.coordinator.delivery.order import OffsetOrder
from logserver.coordinator.delivery.partition import QueuePartition
from logserver.coordinator.delivery.policy import Limit, Policy
from logserver.coordinator.delivery.records import RecordReader
from logserver.coordinator.delivery.redrive import Progress, Redrive, Selection
from logserver.coordinator.delivery.storing import restored, take_snapshot
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


class Late(MemoryRecords):
    """Records that are not in memory, and come batch by batch, when a test says so."""

    def __init__(self) -> None:
        super().__init__("v", 10_000)
        self.come = asyncio.Semaphore(0)

    def read(self, offset: int, max_bytes: int, committed_only: bool = False) -> Any:
        return self._later(offset)

    async def _later(self, offset: int) -> Slice:
        await self.come.acquire()
        return super().read(offset, 1)


def new_place(records: MemoryRecords, until_offset: int | None = None) -> QueuePartition:
    engine = Engine(0, 0, Policy(), OffsetOrder(), random.Random(1), NoChanges())
    reader = RecordReader(records, False)
    place = QueuePartition(
        "v", 0, records, until_offset, engine, reader, FakeClock(), None, lambda place, error: place.stop(error)
    )
    place.start()
    return place


def taker(got: list[Acquisition], **terms: Any) -> Waiter:
    return Waiter("anna", lambda _, found: got.append(found), lambda reason: None, **terms)


def given(got: list[Acquisition]) -> list[tuple[int, int]]:
    return [(found.first, found.last) for each in got for found in each.ranges]


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
    assert given(got) == [(0, 3)]
    place.stop(LogServerError(ErrorCode.not_coordinator, "over"))


async def test_nothing_is_passed_over_when_the_isolation_level_changes_during_a_look() -> None:
    records = Late()
    place = new_place(records)
    got: list[Acquisition] = []
    records.append(BATCH + BATCH)
    place.dispatcher.add(taker(got, max_records=1, once=True))
    records.come.release()
    await turns()
    assert given(got) == [(0, 0)]
    # The look at the second batch is under way, and of the first two records are left.
    place.read_committed(True)
    place.dispatcher.add(taker(got))
    for _ in range(3):
        records.come.release()
        await turns()
    assert given(got) == [(0, 0), (1, 2), (3, 5)]
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

    def arrivals(self, topic: str) -> list[tuple[QueuePartition, list[Move]]]:
        return []


class Carrier:
    """Carries out moves at once, or when it is told."""

    def __init__(self, place: QueuePartition, *, waits: bool = False) -> None:
        self._place = place
        self.waits = waits
        self.moved: list[int] = []

    def kick(self) -> None:
        if not self.waits:
            asyncio.get_running_loop().call_soon(self.carry_out)

    def carry_out(self) -> None:
        for move in list(self._place.engine.moves.values()):
            self.moved += range(move.first, move.last + 1)
            self._place.engine.moved(move.intent, 0)
        self._place.changed()

    def stop(self) -> None:
        pass


def redriving(place: QueuePartition, selection: Selection | None = None) -> "asyncio.Task[Progress]":
    queue = QueueName("v", "v", "v", None)
    queues = cast(QueueCoordinator, _Queues(place))
    redrive = Redrive(queues, queue, selection or Selection(OTHER), FakeClock())

    async def run() -> Progress:
        return [progress async for progress in redrive.run()][-1]

    return asyncio.create_task(run())


def new_queue(max_unsettled: int, limit: int | None = None) -> VolatileQueue:
    policy = Policy(Limit(limit), max_unsettled=max_unsettled)
    return VolatileQueue("v", policy, 10_000, FakeClock(), random.Random(1))


def keyed(*keys: bytes) -> bytes:
    return build_batch([(0, key, b"x", ()) for key in keys])


async def test_a_redrive_looks_at_everything_though_nothing_more_may_be_held() -> None:
    queue = new_queue(max_unsettled=1)
    queue.send(keyed(b"a", b"b", b"a", b"b"))
    got: list[Acquisition] = []
    holder = taker(got)
    queue.place.dispatcher.add(holder)
    await until(lambda: bool(got))
    holder.leave()
    queue.place.mover = carrier = Carrier(queue.place)
    progress = await asyncio.wait_for(redriving(queue.place, Selection(OTHER, key=b"b")), 20)
    assert progress == Progress(moved=2, skipped=1, held=0, remaining=0)
    assert carrier.moved == [1, 3]
    assert queue.place.engine.counts()[:4] == (1, 0, 1, 0)


async def test_a_redrive_of_a_large_batch_takes_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redrive_module, "_LOOKED_AT", 7)
    monkeypatch.setattr(redrive_module, "_AT_A_TIME", 3)
    queue = new_queue(max_unsettled=10)
    queue.send(keyed(*(b"%d" % (number % 3) for number in range(60))))
    queue.place.mover = carrier = Carrier(queue.place)
    progress = await asyncio.wait_for(redriving(queue.place, Selection(OTHER, key=b"1")), 20)
    assert progress == Progress(moved=20, skipped=40, held=0, remaining=0)
    progress = await asyncio.wait_for(redriving(queue.place), 20)
    assert progress == Progress(moved=40, skipped=0, held=0, remaining=0)
    assert sorted(carrier.moved) == list(range(60))
    assert sum(queue.place.engine.counts()) == 0


async def test_what_a_redrive_leaves_was_not_delivered_by_that() -> None:
    queue = new_queue(max_unsettled=10, limit=1)
    queue.send(keyed(b"a", b"b", b"c"))
    queue.place.mover = Carrier(queue.place)
    for _ in range(3):
        progress = await asyncio.wait_for(redriving(queue.place, Selection(OTHER, key=b"b")), 20)
    assert progress == Progress(moved=0, skipped=2, held=0, remaining=0)
    got: list[Acquisition] = []
    queue.place.dispatcher.add(taker(got))
    await until(lambda: bool(got))
    assert [(found.first, found.acquisitions) for each in got for found in each.ranges] == [(0, 1), (2, 1)]


async def test_a_redrive_says_what_was_chosen_and_stays_because_somebody_holds_it() -> None:
    queue = new_queue(max_unsettled=10)
    queue.send(keyed(b"a", b"b", b"a"))
    got: list[Acquisition] = []
    holder = Waiter("anna", lambda _, found: got.append(found), lambda reason: None, max_records=1, once=True)
    queue.place.dispatcher.add(holder)
    await until(lambda: bool(got))
    queue.place.mover = Carrier(queue.place)
    progress = await asyncio.wait_for(redriving(queue.place, Selection(OTHER, key=b"a")), 20)
    assert progress == Progress(moved=1, skipped=1, held=1, remaining=0)


async def test_a_redrive_takes_along_what_rests_and_what_was_tried() -> None:
    queue = new_queue(max_unsettled=10)
    queue.send(keyed(b"a", b"b", b"c"))
    got: list[Acquisition] = []
    holder = taker(got)
    queue.place.dispatcher.add(holder)
    await until(lambda: bool(got))
    holder.leave()
    number = got[0].ranges[0].number
    queue.place.release(Handle(0, 1, number), delay_ms=60_000)
    queue.place.release(Handle(2, 2, number))
    queue.place.mover = carrier = Carrier(queue.place)
    progress = await asyncio.wait_for(redriving(queue.place), 20)
    assert progress == Progress(moved=3, skipped=0, held=0, remaining=0)
    assert carrier.moved == [0, 1, 2]
    assert sum(queue.place.engine.counts()) == 0


async def test_a_redrive_does_not_wait_for_the_moves_of_others() -> None:
    queue = new_queue(max_unsettled=10)
    queue.send(keyed(b"a", b"b"))
    queue.place.mover = Carrier(queue.place, waits=True)
    refused = queue.place.engine.send_away(0, "other", Destination("nowhere"), now_ms=0)
    assert refused is not None
    refused.refusal = "there is no such topic"
    task = redriving(queue.place)
    await until(lambda: len(queue.place.engine.moves) == 2)
    (mine,) = (move for move in queue.place.engine.moves.values() if move is not refused)
    queue.place.engine.moved(mine.intent, 0)
    queue.place.changed()
    assert await asyncio.wait_for(task, 20) == Progress(moved=1, skipped=0, held=0, remaining=0)


async def test_a_redrive_whose_messages_are_refused_says_so() -> None:
    queue = new_queue(max_unsettled=10)
    queue.send(keyed(b"a", b"b"))
    queue.place.mover = Carrier(queue.place, waits=True)
    task = redriving(queue.place)
    await until(lambda: len(queue.place.engine.moves) == 2)
    next(iter(queue.place.engine.moves.values())).refusal = "no space"
    queue.place.changed()
    with pytest.raises(LogServerError, match=r"2 messages can.t arrive now, and will go on by themselves.*no space"):
        await asyncio.wait_for(task, 20)


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


async def test_what_was_to_go_elsewhere_before_a_restart_goes_though_nothing_else_happens() -> None:
    records = MemoryRecords("v", 10_000)
    records.append(BATCH)
    policy = Policy(dead_letters=Destination(OTHER))
    before = Engine(0, 1, policy, OffsetOrder(), random.Random(1), Changes())
    before.offer(0, 2)
    handle = before.acquire("anna", 1, 100, None, now_ms=0).ranges[0].handle
    before.reject(handle, "so", now_ms=0)
    engine = restored(take_snapshot(before), 0, 3, policy, OffsetOrder(), random.Random(1), Changes(), None, now_ms=0)
    reader = RecordReader(records, False)
    place = QueuePartition(
        "v", 0, records, None, engine, reader, FakeClock(), lambda _: None, lambda place, error: place.stop(error)
    )
    carrier = Carrier(place)
    place.mover = carrier
    place.start()
    await until(lambda: carrier.moved == [0])
    place.stop(LogServerError(ErrorCode.not_coordinator, "over"))
