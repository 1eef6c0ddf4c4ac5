"""The checks of the simulation hold of a real server, too, that is killed and stopped while it works."""

from pathlib import Path
from random import Random

import pytest

from logserver.simulation.ledger import Violation

from .real import RealWorld


@pytest.mark.parametrize(
    ("rounds", "records"), [(3, 60), pytest.param(40, 200, marks=[pytest.mark.long, pytest.mark.timeout(1800)])]
)
@pytest.mark.timeout(300)
async def test_a_server_that_is_killed_and_stopped_keeps_its_promises(
    tmp_path: Path, rounds: int, records: int
) -> None:
    random = Random()
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    world = RealWorld(tmp_path, seed)
    random.seed(seed)
    try:
        await world.start_server()
        await world.begin()
        for number in range(rounds):
            await world.more(records)
            if world.violation is not None:
                break
            if number % 3 == 1:
                await world.pause_server(random.uniform(0.1, 4))
            else:
                await world.kill()
                await world.start_server()
        await world.more(records)
        await world.end()
    except Violation as violation:
        print("\n".join(world.ledger.shortened(violation.about)))
        raise
    finally:
        world.is_over = True
        world.server.process.kill()
        world.server.ended()
    print(f"{world.acknowledged()} records acknowledged, {len(world.ledger.transactions)} transactions")
    print(f"by other clients: {world.by_others()}")
    assert world.acknowledged() >= rounds * records
    assert min(world.by_others().values()) > 0
