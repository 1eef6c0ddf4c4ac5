"""The client that looks after queues: declaring, describing, purging, peeking, redriving, explaining."""

from itertools import count

import pytest
from logserver_client import LogServerError, Queue, QueueCounts, Queues, aio

from logserver.testing import LogServer
from tests.client.queueing import NewQueue, new_queue

__all__ = ["new_queue"]

_names = count()


def _name() -> str:
    return f"declared-{next(_names)}"


def _send(address: str, name: str, values: list[bytes], key: bytes | None = None) -> None:
    with Queue(address, name) as queue:
        queue.send_many(values, keys=[key] * len(values)).result(timeout=30)


def test_a_queue_is_declared_with_its_policies(address: str) -> None:
    name = _name()
    with Queues(address) as queues:
        declared = queues.declare(
            name,
            partitions=3,
            settings={"retention.ms": 3_600_000},
            lock=5.5,
            max_deliveries=4,
            counter="failures",
            retry_delay=0.25,
            retry_factor=3,
            retry_delay_max=60,
            retry_jitter=0.5,
            dead_letter_topic=f"{name}.dead",
            lapse_is_failure=False,
            max_unsettled=1000,
            hold=True,
        )
        assert declared == queues.describe(name)
        policy = declared.policy
        assert (policy.lock, policy.max_deliveries, policy.counter) == (5.5, 4, "failures")
        assert (policy.retry_delay, policy.retry_factor, policy.retry_delay_max, policy.retry_jitter) == (
            0.25,
            3,
            60,
            0.5,
        )
        assert (policy.dead_letter_topic, policy.lapse_is_failure) == (f"{name}.dead", False)
        assert (policy.max_unsettled, policy.hold) == (1000, True)
        assert (declared.topic, declared.group, declared.declared) == (name, name, True)
        assert [part.partition for part in declared.partitions] == [0, 1, 2]
        assert (declared.dead_lettered, declared.oldest_ready_ms, declared.consumers) == (0, None, 0)
        changed = queues.declare(name, lock=7)
        assert (changed.policy.lock, changed.policy.retry_delay) == (7, 0.25)
        assert changed.incarnation == declared.incarnation
        assert name in {queue.name for queue in queues.list()}
        queues.delete(name)
        with pytest.raises(LogServerError, match=name):
            queues.describe(name)


def test_a_policy_that_can_not_be_is_refused(address: str) -> None:
    with Queues(address) as queues:
        with pytest.raises(ValueError, match="counter"):
            queues.declare(_name(), counter="both")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="lock"):
            queues.declare(_name(), lock=-1)
        with pytest.raises(TypeError, match="retries"):
            queues.declare(_name(), retries=1)  # type: ignore[call-arg]


def test_a_queue_tells_where_its_messages_are(address: str, new_queue: NewQueue) -> None:
    name = new_queue()
    _send(address, name, [b"a", b"b", b"c", b"d"])
    with Queue(address, name) as queue, Queues(address) as queues:
        first, second, _ = queue.receive(3, wait=30)
        first.ack(wait=True)
        second.nack(retry_in=100, wait=True)
        described = queues.describe(name)
        assert (described.counts.ready, described.counts.delayed, described.counts.in_flight) == (1, 1, 1)
        assert isinstance(described.counts, QueueCounts)
        assert described.deliveries == {1: 2}
        assert described.oldest_ready_ms is not None and described.oldest_first_delivery_ms is not None
        states = {peeked.offset: (peeked.value, peeked.state, peeked.deliveries) for peeked in queues.peek(name)}
        assert states == {1: (b"b", "delayed", 1), 2: (b"c", "held", 1), 3: (b"d", "ready", 0)}
        (held,) = queues.peek(name, state="held")
        assert held.until_ms is not None
        with pytest.raises(ValueError, match="state"):
            queues.peek(name, state="lost")  # type: ignore[arg-type]
        assert queues.purge(name) == 1
        assert queues.describe(name).counts.ready == 0


def test_dead_letters_go_back_where_they_came_from(address: str, new_queue: NewQueue) -> None:
    dead = f"{_name()}.dead"
    name = new_queue(dead_letter_topic=dead)
    _send(address, name, [b"x", b"y"], key=b"key")
    _send(address, name, [b"z"])
    with Queue(address, name) as queue, Queues(address) as queues:
        with queue.consume() as messages:
            for _, message in zip(range(3), messages, strict=False):
                message.reject("bad", wait=True)
        with Queue(address, dead) as letters, letters.consume() as messages:
            # Waits until they are there, and gives them back.
            assert [next(iter(messages)).value for _ in range(3)] == [b"x", b"y", b"z"]
        assert queues.describe(name).dead_lettered == 3
        progress = list(queues.redrive(dead, key=b"key"))
        assert progress[-1].done and progress[-1].moved == 2
        with queue.consume() as messages:
            assert [next(iter(messages)).value for _ in range(2)] == [b"x", b"y"]


def test_the_story_of_a_message_is_told(server: LogServer, address: str, new_queue: NewQueue) -> None:
    name = new_queue()
    _send(address, name, [b"x"])
    with Queue(address, name) as queue, Queues(address) as queues:
        with queue.consume(consumer="tester") as messages:
            next(iter(messages)).nack(reason="no paper", wait=True)
            next(iter(messages)).ack(wait=True)
        (story,) = queues.explain(name, 0, 0, queue=name)
        assert (story.queue, story.state) == (name, "settled")
        kinds = [event.kind for event in story.events]
        assert kinds[0] == "acquired" and kinds[-1] == "acknowledged"
        assert any(event.reason == "no paper" for event in story.events)
        assert any("tester" in event.owner for event in story.events)
        assert queues.explain(name, 0, 0) == [story]


async def test_the_asyncio_client_does_the_same(address: str) -> None:
    name = _name()
    async with aio.Queues(address) as queues:
        await queues.declare(name, dead_letter_topic=f"{name}.dead")
        async with aio.Queue(address, name) as queue:
            await (await queue.send_many([b"x", b"y"]))
            async for message in queue.consume():
                message.reject()
                await message.settled()
                break
        async with aio.Queue(address, f"{name}.dead") as letters, letters.consume() as messages:
            # Waits until it is there, and gives it back.
            assert await messages.get() is not None
        steps = [step async for step in queues.redrive(f"{name}.dead", destination=name)]
        assert steps[-1].moved == 1
        assert len(await queues.peek(name)) == 2
        assert await queues.purge(name) == 2
        assert (await queues.explain(name, 0, 0))[0].queue == name
        assert {queue.name for queue in await queues.list()} >= {name}
        await queues.delete(name)
