"""What a client has asked for is carried out also when it does not wait for the answer; not without limits."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest

from logserver.daemon import Daemon
from logserver.errors import ErrorCode
from logserver.kafka_api.abandoned import Abandoned
from logserver.testing import LogServer

from .groups import CONSUMER_GROUP_HEARTBEAT
from .raw_client import RawClient, request_frame
from .records import create_topic


@contextmanager
def held_up(server: LogServer) -> Iterator[None]:
    """Lets the server do nothing meanwhile, so that whatever comes then comes at once."""
    is_held, may_go_on = Event(), Event()

    async def hold(daemon: Daemon) -> None:
        is_held.set()
        may_go_on.wait()

    thread = Thread(target=server.call, args=(hold,))
    thread.start()
    is_held.wait()
    try:
        yield
    finally:
        may_go_on.set()
        thread.join()


@pytest.mark.timeout(30)
def test_a_member_that_leaves_and_closes_at_once_has_left(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    member = {"group_id": "g", "member_id": "m", "topic_partitions": None}
    joining = {"rebalance_timeout_ms": 30_000, "subscribed_topic_names": ["t"], "topic_partitions": []}
    with RawClient(server.kafka) as hasty:
        answer = hasty.call(CONSUMER_GROUP_HEARTBEAT, 1, {**member, "member_epoch": 0, **joining})
        with held_up(server):
            # More than are decided on in one turn of the event loop, and together: less than is read at once.
            epochs = (*[answer.member_epoch] * 40, -1)
            beats = [(CONSUMER_GROUP_HEARTBEAT, 1, {**member, "member_epoch": epoch}) for epoch in epochs]
            hasty.send_bytes(b"".join(request_frame(*beat, number, "hasty") for number, beat in enumerate(beats)))
            hasty.close()
    staying = {**member, "member_epoch": answer.member_epoch}
    while client.call(CONSUMER_GROUP_HEARTBEAT, 1, staying).error_code != ErrorCode.unknown_member_id.value:
        pass


async def begun(count: int, *, ends: asyncio.Event) -> dict[asyncio.Task[None], int]:
    """Returns so many tasks of 1000 bytes, under way until an event."""

    async def work() -> None:
        await ends.wait()

    tasks = {asyncio.ensure_future(work()): 1_000 for _ in range(count)}
    await asyncio.sleep(0)
    return tasks


async def test_as_many_as_there_is_memory_for() -> None:
    abandoned, ends = Abandoned(10 * (1_000 + 4_096)), asyncio.Event()
    tasks = await begun(12, ends=ends)
    abandoned.take(tasks)
    assert len(abandoned) == 10
    ends.set()
    await asyncio.wait(tasks)
    assert [task.cancelled() for task in tasks] == [False] * 10 + [True] * 2
    assert len(abandoned) == 0
    more = await begun(1, ends=asyncio.Event())
    abandoned.take(more)
    assert len(abandoned) == 1
    abandoned.cancel()
    await asyncio.wait(more)
    assert [task.cancelled() for task in more] == [True]
