"""What a server that does not start is taken for."""

import errno

import pytest
from logserver_segments.seams import Disk

from logserver.simulation.inspection import started
from logserver.simulation.ledger import Violation
from logserver.simulation.loop import SimulatedLoop
from logserver.simulation.world import World


def _starts(world: World, attempts: int = 1) -> list[bool]:
    """Returns which of some attempts to start a server have succeeded; a disk's faults are over after the first."""

    async def run() -> list[bool]:
        outcomes = []
        for _ in range(attempts):
            outcomes.append(await started(world.node))
            world.node.disk.faults.clear()
        world.node.kill()
        return outcomes

    return world.loop.run(run())


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_server_need_not_start_on_a_disk_that_fails_if_it_says_so(error: int) -> None:
    world = World(1, SimulatedLoop())
    world.node.disk.fail("write", "*.log", error)
    assert _starts(world, 2) == [False, True]


def test_a_server_that_does_not_start_has_to_have_a_reason() -> None:
    world = World(1, SimulatedLoop())
    disk: Disk = world.node.disk
    disk.make_directory("/data")
    disk.write_file("/data/meta.properties", b"nothing", durable=True)
    with pytest.raises(Violation, match="no start"):
        _starts(world)
