"""The asyncio queue: what is its alone."""

import asyncio
from collections.abc import Callable

import pytest
from logserver_client import ClientClosed, LogServerError, MessageLost, QueueDescription, aio

from logserver.testing import LogServer
from tests.client.queueing import NewQueue, describe, new_queue

__all__ = ["describe", "new_queue"]

Describe = Callable[[str], QueueDescription]


async def _send(queue: aio.Queue, count: int) -> None:
    await (await queue.send_many([b"%d" % number for number in range(count)]))


async def test_a_message_is_sent_consumed_and_settled(address: str, new_queue: NewQueue, describe: Describe) -> None:
    async with aio.Queue(address, new_queue()) as queue:
        await (await queue.send(b"value", key=b"key"))
        async for message in queue.consume():
            assert (message.key, message.value) == (b"key", b"value")
            message.ack()
            await message.settled()
            break
        assert describe(queue.name).counts.in_flight == 0


async def test_a_busy_loop_lets_what_is_said_go_out(address: str, new_queue: NewQueue) -> None:
    async with aio.Queue(address, new_queue()) as queue:
        await _send(queue, 1000)
        count = 0
        async for message in queue.consume(prefetch=10):
            message.ack()
            count += 1
            if count == 1000:
                break
        await message.settled()


async def test_lists_are_acknowledged_at_once(address: str, new_queue: NewQueue, describe: Describe) -> None:
    async with aio.Queue(address, new_queue()) as queue:
        await _send(queue, 1000)
        async with queue.consume(prefetch=300) as messages:
            count = 0
            async for some in messages.batches():
                messages.ack(some)
                count += len(some)
                if count == 1000:
                    break
            await messages.flush()
            assert describe(queue.name).counts.in_flight == 0


async def test_several_tasks_share_a_consumption(address: str, new_queue: NewQueue) -> None:
    async with aio.Queue(address, new_queue()) as queue:
        await _send(queue, 100)
        seen: list[int] = []
        async with queue.consume(prefetch=4) as messages:

            async def work() -> None:
                while (message := await messages.get(timeout=1)) is not None:
                    seen.append(message.offset)
                    await asyncio.sleep(0)
                    message.ack()

            await asyncio.gather(*(work() for _ in range(4)))
        assert sorted(seen) == list(range(100))


async def test_prefetch_can_change(address: str, new_queue: NewQueue) -> None:
    async with aio.Queue(address, new_queue()) as queue:
        await _send(queue, 3)
        messages = queue.consume(prefetch=1)
        assert await messages.get() is not None
        assert await messages.get(timeout=0.05) is None
        await messages.change_prefetch(2)
        assert messages.prefetch == 2
        assert await messages.get(timeout=30) is not None
        await messages.close()


async def test_receive_and_handles(server: LogServer, address: str, new_queue: NewQueue, describe: Describe) -> None:
    async with aio.Queue(address, new_queue(retry_delay=60)) as queue:
        await _send(queue, 5)
        messages = await queue.receive(5, wait=30, lock=60)
        await queue.ack([messages[0], messages[1].handle], wait=True)
        await queue.release(messages[2].handle, wait=True)
        await queue.nack(messages[3], wait=True)
        await queue.extend(messages[4].handle, 100, wait=True)
        server.clock.advance(80)
        counts = describe(queue.name).counts
        assert (counts.ready, counts.delayed, counts.in_flight) == (2, 0, 1)
        await queue.reject(messages[4], wait=True)
        with pytest.raises(MessageLost):
            await queue.ack(messages[2].handle, wait=True)
        await queue.flush()


async def test_errors_come_with_the_first_message(address: str) -> None:
    async with aio.Queue(address, "nowhere") as queue:
        with pytest.raises(LogServerError, match="nowhere"):
            async for _ in queue.consume():
                pass


async def test_what_is_lost_is_told(server: LogServer, address: str, new_queue: NewQueue) -> None:
    told: list[MessageLost] = []
    async with aio.Queue(address, new_queue()) as queue:
        await _send(queue, 1)
        async with queue.consume(lock=10, on_lost=told.append) as messages:
            message = await messages.get()
            assert message is not None
            await asyncio.to_thread(server.clock.advance, 20)
            message.ack()
            await messages.flush()
            assert messages.lost == len(told) == 1


async def test_after_close_it_says_so(address: str, new_queue: NewQueue) -> None:
    queue = aio.Queue(address, new_queue())
    messages = queue.consume()
    await messages.close()
    with pytest.raises(ClientClosed):
        await messages.get()
    await queue.close()
    with pytest.raises(ClientClosed):
        await queue.receive()
    with pytest.raises(ClientClosed):
        await queue.send(b"x")
