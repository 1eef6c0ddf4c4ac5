"""The event loop of the simulation: time that costs nothing, and processes that end at once."""

import asyncio
import time
from collections.abc import AsyncGenerator

import pytest

from logserver.simulation.loop import Deadlock, Process, SimulatedLoop


def test_time_passes_when_nothing_is_left_to_run() -> None:
    loop = SimulatedLoop()

    async def main() -> float:
        begun = loop.time()
        await asyncio.gather(asyncio.sleep(3600), asyncio.sleep(86_400))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.Event().wait()
        return loop.time() - begun

    begun = time.monotonic()
    assert loop.run(main()) == pytest.approx(86_405)
    assert time.monotonic() - begun < 30


def test_waiting_for_what_never_comes_is_told() -> None:
    with pytest.raises(Deadlock):
        SimulatedLoop().run(asyncio.Event().wait())


def test_a_killed_process_does_nothing_more() -> None:
    loop = SimulatedLoop()
    done: list[str] = []

    async def serve(name: str) -> None:
        asyncio.get_running_loop().call_later(2, done.append, f"{name} timer")
        try:
            await asyncio.sleep(1)
            done.append(f"{name} slept")
            await asyncio.Event().wait()
        finally:
            # What is left of a process may run; it starts nothing any more.
            asyncio.get_running_loop().call_soon(done.append, f"{name} end")

    async def main() -> None:
        first, second = Process(loop, "first"), Process(loop, "second")
        first.start(serve("first"))
        task = second.start(serve("second"))
        await asyncio.sleep(1.5)
        first.kill()
        await asyncio.sleep(5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    loop.run(main())
    assert done == ["first slept", "second slept", "second timer", "second end"]


def test_a_generator_of_a_killed_process_is_closed_by_nobody() -> None:
    loop = SimulatedLoop()
    held: list[AsyncGenerator[int, None]] = []

    async def values() -> AsyncGenerator[int, None]:
        while True:
            await asyncio.sleep(1)
            yield 1

    async def serve() -> None:
        held.append(values())
        async for _ in held[0]:
            pass

    async def main() -> None:
        process = Process(loop, "killed")
        process.start(serve())
        await asyncio.sleep(1.5)
        process.kill()
        # Whoever comes by last, in a context of its own, drops it.
        held.clear()
        await asyncio.sleep(5)

    loop.run(main())
    assert loop.failures == []


def test_the_order_of_a_set_of_tasks_does_not_depend_on_what_ran_before() -> None:
    async def order() -> list[int]:
        tasks = [asyncio.ensure_future(asyncio.sleep(0, number)) for number in range(7)]
        await asyncio.gather(*tasks)
        return [task.result() for task in set(tasks)]

    found = SimulatedLoop().run(order())
    assert all(SimulatedLoop().run(order()) == found for _ in range(3))
