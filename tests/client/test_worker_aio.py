"""The asyncio worker: handlers in tasks."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from logserver_client import LogServerError, QueueDescription, Reject, Retry, aio

from logserver.testing import LogServer
from tests.client.queueing import NewQueue, describe, new_queue

__all__ = ["describe", "new_queue"]

Describe = Callable[[str], QueueDescription]


async def _send(queue: aio.Queue, count: int) -> None:
    await (await queue.send_many([b"%d" % number for number in range(count)]))


@asynccontextmanager
async def _running(worker: aio.Worker) -> AsyncIterator[None]:
    """Runs a worker, and stops it behind the block."""
    async with asyncio.timeout(60):
        task = asyncio.create_task(worker.run())
        try:
            yield
        finally:
            worker.stop()
            await task


async def test_so_many_are_worked_on_at_a_time(address: str, new_queue: NewQueue, describe: Describe) -> None:
    done = asyncio.Event()
    offsets: list[int] = []
    arrived = 0
    together = asyncio.Event()

    async def handle(message: aio.Message) -> None:
        nonlocal arrived
        arrived += 1
        if arrived == 3:
            together.set()
        await together.wait()
        offsets.append(message.offset)
        if len(offsets) == 60:
            done.set()

    async with aio.Queue(address, new_queue()) as queue:
        await _send(queue, 60)
        async with _running(aio.Worker(queue, handle, concurrency=3)):
            await done.wait()
        counts = describe(queue.name).counts
    assert sorted(offsets) == list(range(60))
    assert (counts.ready, counts.in_flight) == (0, 0)


async def test_a_plain_function_runs_on_a_thread(address: str, new_queue: NewQueue) -> None:
    done = threading.Event()
    threads: list[int] = []

    def handle(message: aio.Message) -> None:
        threads.append(threading.get_ident())
        done.set()

    async with aio.Queue(address, new_queue()) as queue:
        await _send(queue, 1)
        async with _running(aio.Worker(queue, handle)):
            assert await asyncio.to_thread(done.wait, 60)
    assert threads != [threading.get_ident()]


async def test_handlers_fail_retry_and_reject(server: LogServer, address: str, new_queue: NewQueue) -> None:
    done = asyncio.Event()
    seen: list[tuple[int, int]] = []

    async def handle(message: aio.Message) -> None:
        seen.append((message.offset, message.deliveries))
        if message.deliveries == 2:
            done.set()
        elif message.offset == 0:
            raise RuntimeError("no paper")
        else:
            raise Retry(0) if message.offset == 1 else Reject("no address")

    async with (
        aio.Queue(address, new_queue(dead_letter_topic="aio.dead")) as queue,
        aio.Queue(address, "aio.dead") as dead,
        dead.consume() as letters,
    ):
        await _send(queue, 3)
        async with _running(aio.Worker(queue, handle)):
            letter = await letters.get(timeout=60)
            assert letter is not None and letter.value == b"2"
            await done.wait()
    assert {(0, 1), (1, 1), (2, 1)} < set(seen)


async def test_locks_are_extended_while_a_handler_runs(address: str, new_queue: NewQueue) -> None:
    done = asyncio.Event()

    async def handle(message: aio.Message) -> None:
        async with aio.Queues(address) as queues:
            while "extended" not in {event.kind for event in (await queues.explain(name, 0, 0))[0].events}:
                pass
        done.set()

    name = new_queue()
    async with aio.Queue(address, name) as queue:
        await _send(queue, 1)
        async with _running(aio.Worker(queue, handle, lock=3)):
            await done.wait()


async def test_the_rest_is_given_back_and_who_takes_too_long_loses_its_message(
    address: str, new_queue: NewQueue, describe: Describe
) -> None:
    begun = asyncio.Event()
    cancelled = False

    async def handle(_: aio.Message) -> None:
        nonlocal cancelled
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled = True
            raise

    async with aio.Queue(address, new_queue()) as queue:
        await _send(queue, 3)
        async with _running(aio.Worker(queue, handle, prefetch=3, grace=0)):
            await begun.wait()
        counts = describe(queue.name).counts
    assert cancelled
    assert (counts.ready, counts.in_flight) == (3, 0)


async def test_a_queue_that_is_deleted_ends_the_worker(address: str, new_queue: NewQueue) -> None:
    async def handle(_: aio.Message) -> None:
        async with aio.Queues(address) as queues:
            await queues.delete(name)

    name = new_queue()
    async with aio.Queue(address, name) as queue:
        await _send(queue, 1)
        with pytest.raises(LogServerError, match=name):
            await aio.Worker(queue, handle).run()


async def test_settings_are_checked(address: str) -> None:
    queue = aio.Queue(address, "any")
    with pytest.raises(ValueError, match="concurrency"):
        aio.Worker(queue, print, concurrency=0)
    with pytest.raises(ValueError, match="auto_ack"):
        aio.Worker(queue, print, auto_ack=True)


def test_a_worker_can_be_made_before_its_loop(address: str, new_queue: NewQueue) -> None:
    seen: list[bytes | None] = []

    async def handle(message: aio.Message) -> None:
        seen.append(message.value)
        worker.stop()

    queue = aio.Queue(address, new_queue())
    worker = aio.Worker(queue, handle)

    async def main() -> None:
        async with queue:
            await _send(queue, 1)
            await worker.run()

    asyncio.run(main())
    assert seen == [b"0"]
