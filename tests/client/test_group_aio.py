"""Groups with the asyncio consumer."""

import asyncio
from collections.abc import Callable
from itertools import count

import pytest
from logserver_client import (
    AdminClient,
    ClientClosed,
    CommitFailed,
    OffsetAndMetadata,
    Producer,
    Subscription,
    TopicPartition,
    aio,
)

NewTopic = Callable[..., str]
_groups = count()


@pytest.fixture
def group() -> str:
    return f"aio-group-{next(_groups)}"


def fill(address: str, topic: str, records: int, partitions: int) -> None:
    """Record n goes to partition n % partitions."""
    with Producer(address) as producer:
        for n in range(records):
            producer.send(topic, str(n).encode(), partition=n % partitions)


def member(address: str, group: str, **settings: object) -> aio.Consumer[bytes, bytes]:
    return aio.Consumer(address, group_id=group, **{"auto_offset_reset": "earliest", **settings})  # type: ignore[call-overload,no-any-return]


async def poll_until(done: Callable[[], bool], *consumers: aio.Consumer[bytes, bytes]) -> list[int]:
    numbers: list[int] = []
    while not done():
        for consumer in consumers:
            numbers += [int(record.value or b"") for record in await consumer.poll(0.02)]
    return numbers


async def test_two_members_share_and_one_takes_over(address: str, new_topic: NewTopic, group: str) -> None:
    topic = new_topic(4)
    fill(address, topic, 400, 4)
    seen: list[int] = []
    async with member(address, group) as first:
        await first.subscribe(topic)
        while len(seen) < 100:
            seen += [int(record.value or b"") for record in await first.poll(30, 50)]
        async with member(address, group) as second:
            await second.subscribe(topic)
            seen += await poll_until(lambda: len(first.assignment()) == len(second.assignment()) == 2, first, second)
            seen += [int(record.value or b"") for record in await second.poll(0.05, 10)]
        seen += await poll_until(lambda: len(first.assignment()) == 4, first)
        while len(seen) < 400:
            seen += [int(record.value or b"") for record in await first.poll(30)]
    assert sorted(seen) == list(range(400))


async def test_listeners_are_awaited_in_poll(address: str, new_topic: NewTopic, group: str) -> None:
    topic = new_topic(2)
    fill(address, topic, 10, 2)
    events: list[str] = []
    consumer = member(address, group, auto_commit=False)

    async def assigned(partitions: list[TopicPartition]) -> None:
        await asyncio.sleep(0)
        events.append("assigned")

    async def revoked(partitions: list[TopicPartition]) -> None:
        await consumer.commit(dict.fromkeys(partitions, 2))
        events.append("revoked")

    await consumer.subscribe([topic], on_assigned=assigned, on_revoked=revoked)
    assert consumer.subscription() == Subscription((topic,))
    # A poll that doesn't wait doesn't cut a listener short.
    while not events:
        await consumer.poll(0)
    assert events == ["assigned"]
    await consumer.close()
    assert events == ["assigned", "revoked"]
    with AdminClient(address) as admin:
        assert set(admin.committed_offsets(group).values()) == {OffsetAndMetadata(2)}


async def test_commits(address: str, new_topic: NewTopic, group: str) -> None:
    topic = new_topic(1)
    fill(address, topic, 10, 1)
    tp = TopicPartition(topic, 0)
    async with member(address, group, auto_commit=False) as consumer:
        await consumer.subscribe(topic)
        async for record in consumer:
            if record.offset == 6:
                break
        await consumer.commit()
        assert await consumer.committed() == {tp: OffsetAndMetadata(7)}
        done: list[object] = []

        async def on_done(offsets: object, error: object) -> None:
            done.append((offsets, error))

        consumer.commit_async({tp: OffsetAndMetadata(3, 1, "x")}, on_done)
        await poll_until(lambda: bool(done), consumer)
        assert done == [({tp: OffsetAndMetadata(3, 1, "x")}, None)]
        assert consumer.group_metadata().member_epoch > 0
        with pytest.raises(CommitFailed):
            await consumer.commit({("other", 0): 1})


async def test_iteration_commits_what_the_user_has_come_back_from(
    address: str, new_topic: NewTopic, group: str
) -> None:
    topic = new_topic(1)
    fill(address, topic, 10, 1)
    tp = TopicPartition(topic, 0)
    with pytest.raises(ZeroDivisionError):
        async with member(address, group, auto_commit_interval_ms=20) as consumer:
            await consumer.subscribe(topic)
            async for record in consumer:
                if record.offset == 4:
                    while (await consumer.committed(tp))[tp] != OffsetAndMetadata(4):
                        pass
                if record.offset == 7:
                    raise ZeroDivisionError
    with AdminClient(address) as admin:
        assert admin.committed_offsets(group) == {tp: OffsetAndMetadata(7)}


async def test_who_stays_away_is_told_and_joins_again(address: str, new_topic: NewTopic, group: str) -> None:
    topic = new_topic(1)
    events: list[str] = []
    async with member(address, group, max_poll_interval_ms=100) as consumer, aio.AdminClient(address) as admin:
        await consumer.subscribe(
            topic,
            on_assigned=lambda partitions: events.append("assigned"),
            on_revoked=lambda partitions: events.append("revoked"),
        )
        await poll_until(lambda: bool(consumer.assignment()), consumer)
        while (await admin.describe_group(group)).members:
            pass
        # Without a listener of its own a loss counts as a revocation.
        await poll_until(lambda: len(events) == 3, consumer)
        assert events == ["assigned", "revoked", "assigned"]


async def test_unsubscribe_and_subscribe_again(address: str, new_topic: NewTopic, group: str) -> None:
    topic = new_topic(1)
    async with member(address, group) as consumer:
        for _ in range(2):
            await consumer.subscribe(topic)
            await poll_until(lambda: bool(consumer.assignment()), consumer)
            await consumer.unsubscribe()
            assert consumer.assignment() == set()
    with pytest.raises(ClientClosed):
        await consumer.subscribe(topic)


async def test_close_in_another_task_ends_a_poll_and_commits_what_is_done(
    address: str, new_topic: NewTopic, group: str
) -> None:
    topic = new_topic(1)
    fill(address, topic, 5, 1)
    consumer = member(address, group)
    await consumer.subscribe(topic)
    read = asyncio.Event()

    async def work() -> None:
        while True:
            if await consumer.poll(30):
                read.set()

    task = asyncio.create_task(work())
    await read.wait()
    await asyncio.sleep(0)
    await consumer.close()
    with pytest.raises(ClientClosed):
        await task
    with AdminClient(address) as admin:
        assert admin.committed_offsets(group) == {TopicPartition(topic, 0): OffsetAndMetadata(5)}
