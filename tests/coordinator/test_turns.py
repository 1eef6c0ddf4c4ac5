"""A crowd goes through in the order in which it came, a few in each turn of the event loop."""

import asyncio

from logserver.coordinator.turns import Turns


async def test_a_crowd_leaves_room_for_others() -> None:
    turns = Turns()
    done: list[int] = []
    seen: list[int] = []

    async def one(number: int) -> None:
        await turns.take("g")
        done.append(number)

    tasks = [asyncio.ensure_future(one(number)) for number in range(1_000)]
    while len(done) < 1_000:
        before = len(done)
        await asyncio.sleep(0)
        seen.append(len(done) - before)
    assert done == list(range(1_000))
    assert max(seen) <= 25
    await asyncio.gather(*tasks)


async def test_whoever_has_given_up_takes_no_turn() -> None:
    turns = Turns()
    tasks = [asyncio.ensure_future(turns.take("g")) for _ in range(200)]
    await asyncio.sleep(0)
    for task in tasks[50:150]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(result is None for result in results) == 100
    assert not turns._waiting


async def test_alone_nobody_waits() -> None:
    turns = Turns()
    for _ in range(100):
        taking = turns.take("g")
        try:
            taking.send(None)
        except StopIteration:
            await asyncio.sleep(0)
        else:
            raise AssertionError("it waited")


async def test_a_crowd_of_one_group_is_not_before_another_group() -> None:
    turns = Turns()
    crowd = [asyncio.ensure_future(turns.take("crowd")) for _ in range(1_000)]
    await asyncio.sleep(0)
    for _ in range(10):
        other = asyncio.ensure_future(turns.take("other"))
        await asyncio.sleep(0)
        for _ in range(3):
            await asyncio.sleep(0)
        assert other.done()
    assert not crowd[-1].done()
    await asyncio.gather(*crowd)
