"""Transactional producers through each door: what they ask is done, and one fences the other, whichever door it has."""

from collections.abc import Awaitable, Callable, Iterable
from random import Random
from typing import TypeVar

import pytest
from logserver_records.codec import build_batch

from logserver.errors import ErrorCode
from logserver.simulation.clients.kafka import KafkaClient
from logserver.simulation.clients.keeper import Keeper
from logserver.simulation.clients.offsets import fetch_offset
from logserver.simulation.clients.transaction_doors import Door, GrpcDoor, Identity, KafkaDoor, OldKafkaDoor
from logserver.simulation.clients.writer import Refused
from logserver.simulation.inspection import started
from logserver.simulation.ledger import Commit
from logserver.simulation.loop import SimulatedLoop
from logserver.simulation.world import MIXED, World, places

GROUP = "of-tx"
PLACE = places(MIXED)[0]
T = TypeVar("T")
DOORS = (KafkaDoor, OldKafkaDoor, GrpcDoor)


def simulated(work: Callable[[World], Awaitable[None]]) -> None:
    """Does something with a server that has the topics of every run."""
    loop = SimulatedLoop()
    world = World(1, loop)

    async def run() -> None:
        assert await started(world.node)
        await Keeper(world).make_topics()
        try:
            await work(world)
        finally:
            world.node.kill()

    loop.run(run())


def opened(world: World, kinds: Iterable[type[Door]]) -> list[Door]:
    return [kind(world, f"door{number}", Random(number), "tx") for number, kind in enumerate(kinds)]


async def begin(door: Door) -> Identity:
    """Takes the transactional id and writes a record."""
    identity = await again(door.init)
    await door.add(identity, PLACE)
    await again(lambda: send(door, identity))
    return identity


async def send(door: Door, identity: Identity) -> int:
    producer_id, epoch = identity
    row = (1_700_000_000_000, None, b"x", ())
    data = build_batch([row], producer_id=producer_id, producer_epoch=epoch, base_sequence=0, is_transactional=True)
    return await door.send(PLACE, data)


async def again(ask: Callable[[], Awaitable[T]]) -> T:
    """Asks until the transaction before has ended."""
    while True:
        try:
            return await ask()
        except Refused as error:
            assert error.code is ErrorCode.concurrent_transactions


async def group_offset(world: World) -> int:
    """Returns the offset of the group, once what is decided of it is done."""
    client = KafkaClient(world.network, "reader")
    while True:
        offset = await fetch_offset(client, world.ledger, GROUP, PLACE)
        if offset is not None:
            client.close()
            return offset
        await world.pause(Random(1), 0.1)


@pytest.mark.parametrize("kind", DOORS)
def test_offsets_count_when_their_transaction_is_committed(kind: type[Door]) -> None:
    async def work(world: World) -> None:
        (door,) = opened(world, [kind])
        world.ledger.commits[GROUP, PLACE] = [Commit(7, 0.0)]
        offsets = []
        for is_commit in (False, True):
            identity = await begin(door)
            await door.add_group(identity, GROUP)
            await door.commit_offset(identity, GROUP, PLACE, 7)
            following = await door.end(identity, is_commit)
            assert (following == identity) is (kind is OldKafkaDoor)
            offsets.append(await group_offset(world))
        assert offsets == [-1, 7]

    simulated(work)


@pytest.mark.parametrize("newer", DOORS)
@pytest.mark.parametrize("older", DOORS)
def test_who_takes_an_id_ends_what_another_one_does_with_it(older: type[Door], newer: type[Door]) -> None:
    async def work(world: World) -> None:
        first, second = opened(world, [older, newer])
        taken = await begin(first)
        await begin(second)
        asked: tuple[Callable[[], Awaitable[object]], ...] = (
            lambda: send(first, taken),
            lambda: first.commit_offset(taken, GROUP, PLACE, 7),
            lambda: first.end(taken, True),
        )
        for ask in asked:
            with pytest.raises(Refused) as refused:
                await ask()
            assert refused.value.code in (ErrorCode.producer_fenced, ErrorCode.invalid_producer_epoch)

    simulated(work)
