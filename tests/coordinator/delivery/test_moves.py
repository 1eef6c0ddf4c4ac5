"""Dead letters: none is lost and none is there twice, whatever fails while they are on their way."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from logserver_records.codec import build_batch

from logserver.coordinator.delivery.catalog import QueueRecord, QueueSource
from logserver.coordinator.delivery.handles import Acquisition
from logserver.coordinator.delivery.moves import Destination
from logserver.coordinator.delivery.partition import QueuePartition
from logserver.coordinator.delivery.waiters import Waiter
from logserver.errors import ErrorCode, LogServerError
from tests.broker.harness import until
from tests.broker.nodes import read_all, store

from .nodes import QueuesNode

VALUES = [b"0", b"1", b"2"]
QUEUE = QueueRecord("q", "", (QueueSource("q"),), dead_letter_topic="dead")


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[QueuesNode]:
    node = QueuesNode(tmp_path)
    await node.start()
    await node.queues.declare(QUEUE, 1, {})
    await store(node.broker.partition("q", 0), build_batch([(0, None, value, ()) for value in VALUES]))
    yield node
    await node.stop()


async def reject_all(node: QueuesNode) -> QueuePartition:
    """Rejects every message, and returns the queue's partition."""
    got: list[tuple[QueuePartition, Acquisition]] = []
    waiter = Waiter("anna", lambda *found: got.append(found), lambda reason: None, max_records=10, once=True)
    await node.queues.join(node.queues.find("q"), waiter)
    await until(lambda: bool(got))
    place, found = got[0]
    for each in found.ranges:
        assert place.reject(each.handle, "of no use")
    place.changed()
    node.queues.leave(node.queues.find("q"), waiter)
    return place


async def letters(node: QueuesNode) -> list[bytes]:
    return await read_all(node.broker.partition("dead", 0))


async def test_an_answer_that_is_lost_doubles_nothing(node: QueuesNode, monkeypatch: pytest.MonkeyPatch) -> None:
    append = node.peers.append
    lost = 0

    async def losing(topic: str, partition: int, batch: bytes) -> int:
        nonlocal lost
        offset = await append(topic, partition, batch)
        if lost < 2:
            lost += 1
            raise LogServerError(ErrorCode.not_leader_or_follower, "the answer was lost")
        return offset

    monkeypatch.setattr(node.peers, "append", losing)
    place = await reject_all(node)
    await until(lambda: sum(place.engine.counts()) == 0)
    assert (lost, await letters(node)) == (1, VALUES)


@pytest.mark.parametrize("timestamp_type", ["CreateTime", "LogAppendTime"])
async def test_a_crash_between_arriving_and_being_settled_doubles_nothing(
    node: QueuesNode, monkeypatch: pytest.MonkeyPatch, timestamp_type: str
) -> None:
    append = node.peers.append
    arrived = False
    await node.broker.alter_topic("dead", {"message.timestamp.type": timestamp_type})

    async def crashing(topic: str, partition: int, batch: bytes) -> int:
        nonlocal arrived
        # Somebody has set the clock.
        node.clock.wall_ms -= 3_600_000
        await append(topic, partition, batch)
        arrived = True
        raise LogServerError(ErrorCode.not_leader_or_follower, "this is the last that it does")

    monkeypatch.setattr(node.peers, "append", crashing)
    place = await reject_all(node)
    await until(lambda: arrived)
    await place.durable()
    await node.crash()
    # What goes on by itself does so after the start.
    await node.start()
    await until(lambda: bool(node.queues.opened(node.queues.find("q"))))
    (place,) = node.queues.opened(node.queues.find("q"))
    await until(lambda: not place.engine.moves)
    assert (await letters(node), sum(place.engine.counts())) == (VALUES, 0)


async def test_partitions_that_are_added_to_the_dead_letters_meanwhile_double_nothing(
    node: QueuesNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    await node.broker.create_partitions("q", 2)
    await store(node.broker.partition("q", 1), build_batch([(0, None, b"3", ())]))
    await store(node.broker.partition("q", 1), build_batch([(0, None, b"4", ())]))
    append = node.peers.append
    lost = False

    async def losing(topic: str, partition: int, batch: bytes) -> int:
        nonlocal lost
        offset = await append(topic, partition, batch)
        if not lost:
            lost = True
            await node.broker.create_partitions("dead", 2)
            raise LogServerError(ErrorCode.not_leader_or_follower, "the answer was lost")
        return offset

    monkeypatch.setattr(node.peers, "append", losing)
    place = await node.queues.partition(node.queues.find("q"), 1)
    for offset in (0, 1):
        assert place.engine.send_away(offset, "so", Destination("dead"), now_ms=0) is not None
    place.changed()
    await until(lambda: not place.engine.moves)
    found = [await read_all(node.broker.partition("dead", number)) for number in (0, 1)]
    assert found == [[b"3", b"4"], []]


async def test_a_refused_move_stays_and_goes_on_when_it_can(node: QueuesNode) -> None:
    await node.broker.delete_topic("dead")
    place = await reject_all(node)
    await until(lambda: all(move.refusal for move in place.engine.moves.values()) and bool(place.engine.moves))
    assert place.engine.counts()[:4] == (0, 0, 0, 3)
    await node.broker.create_topic("dead", 1, {})
    await until(lambda: not place.engine.moves)
    assert await letters(node) == VALUES
