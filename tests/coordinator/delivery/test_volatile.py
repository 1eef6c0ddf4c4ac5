"""Queues in memory: the same engine, a limit in bytes, and nothing left of what is settled."""

import asyncio
import random

import pytest
from logserver_records.codec import build_batch

from logserver.coordinator.delivery.handles import Acquisition
from logserver.coordinator.delivery.partition import QueuePartition
from logserver.coordinator.delivery.policy import Policy
from logserver.coordinator.delivery.volatile import VolatileQueue
from logserver.coordinator.delivery.waiters import Waiter
from logserver.errors import ErrorCode, LogServerError
from tests.broker.harness import FakeClock

BATCH = build_batch([(0, None, b"x" * 100, ())] * 3)


def new_queue(max_bytes: int = 10_000) -> VolatileQueue:
    return VolatileQueue("v", Policy(), max_bytes, FakeClock(), random.Random(1))


class Taker:
    def __init__(self) -> None:
        self.got: list[Acquisition] = []
        self.reasons: list[str] = []
        self.waiter = Waiter("anna", self._deliver, self.reasons.append, max_records=100)

    def _deliver(self, place: QueuePartition, found: Acquisition) -> None:
        self.got.append(found)


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_is_sent_is_delivered_and_let_go_when_it_is_settled() -> None:
    queue = new_queue()
    taker = Taker()
    queue.place.dispatcher.add(taker.waiter)
    assert (queue.send(BATCH), queue.send(BATCH)) == (0, 3)
    await turns()
    ranges = [(found.first, found.last) for acquisition in taker.got for found in acquisition.ranges]
    assert ranges == [(0, 5)]
    found = taker.got[0].ranges[0]
    assert queue.records.size_bytes == 2 * len(BATCH)
    assert queue.place.acknowledge(found.handle._replace(last=3))
    queue.place.changed()
    assert queue.records.size_bytes == len(BATCH)
    assert queue.place.acknowledge(found.handle._replace(first=4))
    queue.place.changed()
    assert queue.records.size_bytes == 0
    assert sum(queue.place.engine.counts()) == 0


async def test_more_bytes_than_the_limit_are_refused_and_nothing_changes() -> None:
    queue = new_queue(max_bytes=len(BATCH))
    queue.send(BATCH)
    with pytest.raises(LogServerError, match="too many") as caught:
        queue.send(BATCH)
    assert caught.value.code is ErrorCode.policy_violation
    assert queue.place.engine.counts().ready == 3


async def test_everything_is_as_durable_as_it_gets_at_once() -> None:
    queue = new_queue()
    told: list[LogServerError | None] = []
    queue.place.purge()
    queue.place.when_durable(told.append)
    assert told == [None]


async def test_whoever_waits_hears_that_the_queue_is_deleted() -> None:
    queue = new_queue()
    taker = Taker()
    queue.place.dispatcher.add(taker.waiter)
    queue.delete("nobody wants it")
    assert taker.reasons == ["nobody wants it"]


async def test_thousands_of_short_lived_queues_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    followers: set[object] = set()
    monkeypatch.setattr(clock, "follow", followers.add)
    monkeypatch.setattr(clock, "unfollow", followers.discard)
    tasks = len(asyncio.all_tasks())
    for number in range(3_000):
        queue = VolatileQueue(f"v{number}", Policy(), 10_000, clock, random.Random(1))
        queue.send(BATCH)
        assert len(followers) == 1
        queue.delete("over")
    assert not followers
    assert len(asyncio.all_tasks()) == tasks
