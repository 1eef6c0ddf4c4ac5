"""What queues do when partitions come and go while others are at it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from logserver_records.codec import build_batch

from logserver.coordinator.delivery import coordinator
from logserver.coordinator.delivery.catalog import QueueRecord, QueueSource
from logserver.coordinator.delivery.coordinator import QueueName
from logserver.coordinator.delivery.handles import Acquisition
from logserver.coordinator.delivery.partition import QueuePartition
from logserver.coordinator.delivery.places import PLACES
from logserver.coordinator.delivery.waiters import Waiter
from logserver.errors import LogServerError
from tests.broker.harness import until
from tests.broker.nodes import store

from .nodes import QueuesNode

BATCH = build_batch([(0, None, b"x", ())] * 3)
QUEUE = QueueRecord("q", "", (QueueSource("q"),), retry_delay_ms=60_000)


@pytest.fixture
async def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[QueuesNode]:
    # What is looked at now and then anyway is not what is tried here.
    monkeypatch.setattr(coordinator, "_IDLE_S", 3_600)
    node = QueuesNode(tmp_path)
    await node.start()
    yield node
    await node.stop()


class Taker:
    def __init__(self) -> None:
        self.got: list[tuple[QueuePartition, Acquisition]] = []
        self.reasons: list[str] = []
        self.waiter = Waiter("anna", lambda *found: self.got.append(found), self.reasons.append, max_records=100)

    @property
    def numbers(self) -> set[int]:
        """Of the partitions of which something came."""
        return {place.number for place, _ in self.got}


async def rejoin(node: QueuesNode) -> Taker:
    taker = Taker()
    await node.queues.join(node.queues.find("q"), taker.waiter)
    return taker


async def test_what_goes_on_by_itself_is_opened_as_soon_as_it_can_be(node: QueuesNode) -> None:
    await node.queues.declare(QUEUE, 1, {})
    partition = node.broker.partition("q", 0)
    await store(partition, BATCH)
    taker = await rejoin(node)
    await until(lambda: bool(taker.got))
    place, found = taker.got[0]
    place.release(found.ranges[0].handle, counts_as_failure=True)
    place.changed()
    await place.durable()
    node.queues.leave(node.queues.find("q"), taker.waiter)
    # The log can't be used for a while.
    node.broker.resign(partition, "a test")
    assert place.ended is not None
    await until(lambda: not node.queues.opened(node.queues.find("q")))
    partition.lead(partition.leader_epoch + 1)
    await until(lambda: bool(node.queues.opened(node.queues.find("q"))))
    (again,) = node.queues.opened(node.queues.find("q"))
    assert again.engine.counts()[:4] == (0, 3, 0, 0)


async def test_what_was_tried_is_known_when_a_queue_that_rested_is_used_again(node: QueuesNode) -> None:
    await node.queues.declare(QUEUE._replace(retry_delay_ms=0), 1, {})
    await store(node.broker.partition("q", 0), BATCH)
    taker = await rejoin(node)
    await until(lambda: bool(taker.got))
    node.queues.consumers(node.queues.find("q")).leave(taker.waiter)
    place, found = taker.got[0]
    place.release(found.ranges[0].handle, counts_as_failure=True)
    place.changed()
    await place.durable()
    for _ in range(2):
        await node.queues.places.put_idle_away()
    assert place.ended is not None
    again = await rejoin(node)
    await until(lambda: bool(again.got))
    (tried,) = again.got[0][1].ranges
    assert (tried.acquisitions, tried.failures, tried.redelivered) == (2, 1, True)


async def test_a_partition_that_is_added_while_somebody_joins_is_theirs(
    node: QueuesNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    await node.queues.declare(QUEUE, 1, {})
    opening = node.queues.open
    taker = Taker()

    async def open_and_more(queue: QueueName, **more: Any) -> list[QueuePartition]:
        monkeypatch.undo()
        places = await opening(queue, **more)
        await node.broker.create_partitions("q", 2)
        await until(lambda: node.queues._follow is not None and node.queues._follow.done())
        return places

    monkeypatch.setattr(node.queues, "open", open_and_more)
    await node.queues.join(node.queues.find("q"), taker.waiter)
    for number in (0, 1):
        await store(node.broker.partition("q", number), BATCH)
    await until(lambda: taker.numbers == {0, 1})


async def test_whoever_begins_with_a_group_does_so_while_others_look_whether_it_has_begun(node: QueuesNode) -> None:
    await node.node.topic("t")
    looking = asyncio.ensure_future(node.queues.places.get("g", "t", 0))
    await asyncio.sleep(0)
    place = await node.queues.places.get("g", "t", 0, begin=True)
    assert place.ended is None
    with pytest.raises(LogServerError, match="has not begun"):
        await looking


async def test_whoever_leaves_while_they_join_waits_nowhere(node: QueuesNode) -> None:
    await node.queues.declare(QUEUE, 1, {})
    queue, taker = node.queues.find("q"), Taker()
    joining = asyncio.ensure_future(node.queues.join(queue, taker.waiter))
    await asyncio.sleep(0)
    node.queues.leave(queue, taker.waiter)
    await joining
    assert not taker.waiter.dispatchers
    assert [len(place.dispatcher) for place in node.queues.opened(queue)] == [0]


async def test_whoever_can_not_join_leaves_nothing(node: QueuesNode) -> None:
    await node.queues.declare(QUEUE, 1, {})
    partition = node.broker.partition("q", 0)
    node.broker.resign(partition, "a test")
    with pytest.raises(LogServerError, match="a test"):
        await node.queues.join(node.queues.find("q"), Taker().waiter, exclusive=True)
    partition.lead(partition.leader_epoch + 1)
    taker = await rejoin(node)
    await store(partition, BATCH)
    await until(lambda: bool(taker.got))


async def test_declaring_many_queues_that_hold_looks_at_each_of_them_a_few_times(
    node: QueuesNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    await node.node.topic("t")
    looked = 0
    find_topic = node.broker.find_topic

    def counting(name: str) -> Any:
        nonlocal looked
        looked += 1
        return find_topic(name)

    monkeypatch.setattr(node.broker, "find_topic", counting)
    for number in range(100):
        await node.queues.declare(QueueRecord(f"q{number}", "", (QueueSource("t"),), hold=True), 1, {})
    assert looked < 1_000
    assert len(node.broker.partition("t", 0)._holds) == 100
    await node.queues.delete("q7")
    assert len(node.broker.partition("t", 0)._holds) == 99


async def test_partitions_that_are_added_are_held(node: QueuesNode) -> None:
    await node.queues.declare(QUEUE._replace(hold=True), 1, {})
    await node.broker.create_partitions("q", 2)
    await until(lambda: bool(node.broker.partition("q", 1)._holds))
    await node.broker.delete_topic("q")
    await node.broker.create_topic("q", 1, {})
    await until(lambda: bool(node.broker.partition("q", 0)._holds))


async def test_a_queue_of_several_sources_has_what_is_between_their_offsets(node: QueuesNode) -> None:
    for name in ("old", "q"):
        await node.node.topic(name)
        await store(node.broker.partition(name, 0), BATCH + BATCH)
    sources = (QueueSource("q", from_offset=4), QueueSource("old", from_offset=1, until_offset=3))
    await node.queues.declare(QueueRecord("q", "", sources), 1, {})
    queue = node.queues.find("q")
    assert node.queues.numbers(queue) == [0, PLACES]
    taker = await rejoin(node)
    await until(lambda: taker.numbers == {0, PLACES})
    got = {
        place.number: [offset for each in found.ranges for offset in range(each.first, each.last + 1)]
        for place, found in taker.got
    }
    assert got == {0: [4, 5], PLACES: [1, 2]}
    assert [place.source.topic for place in node.queues.opened(queue)] == ["q", "old"]
    assert (await node.queues.look(queue, PLACES)).engine.counts()[:3] == (0, 0, 2)


async def test_a_queue_that_is_made_anew_is_another_one(node: QueuesNode) -> None:
    first = await node.queues.declare(QUEUE, 1, {})
    assert (await node.queues.declare(QUEUE._replace(lock_ms=5), 1, {})).incarnation == first.incarnation
    await node.queues.delete("q")
    assert (await node.queues.declare(QUEUE, 1, {})).incarnation != first.incarnation


async def test_a_partition_that_is_opened_while_settings_change_has_the_new_ones(
    node: QueuesNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    await node.queues.declare(QUEUE, 1, {})
    places = node.queues.places
    open_state, is_changed = places._state.open, asyncio.Event()

    async def open_late(*args: Any, **more: Any) -> Any:
        image = await open_state(*args, **more)
        await is_changed.wait()
        return image

    monkeypatch.setattr(places._state, "open", open_late)
    opening = asyncio.ensure_future(places.get("q", "q", 0))
    await asyncio.sleep(0)
    await node.queues.declare(QUEUE._replace(max_unsettled=7), 1, {})
    is_changed.set()
    assert (await opening).engine.policy.max_unsettled == 7
