"""What all parts of a run share."""

import asyncio
from collections.abc import Coroutine
from random import Random
from typing import Any, Final

from logserver.simulation.disk import RecordingDisk
from logserver.simulation.ledger import Ledger, Moment, Place, Violation
from logserver.simulation.loop import SimulatedLoop
from logserver.simulation.network import Network
from logserver.simulation.node import Node

_MOST_FINISH_S: Final = 120
_SEVERAL: Final = 0.3
"""How many servers have several disks."""
_DISKS: Final = ("/data", "/more")
PLAIN: Final = "plain"
MIXED: Final = "mixed"
COMPACTED: Final = "compacted"
TRIMMED: Final = "trimmed"
SCRATCH: Final = "scratch"
JOBS: Final = "jobs"
CHORES: Final = "chores"

TOPICS: Final[dict[str, tuple[int, dict[str, str]]]] = {
    PLAIN: (3, {"segment.bytes": "4096", "index.interval.bytes": "300"}),
    MIXED: (3, {"segment.bytes": "4096", "index.interval.bytes": "300"}),
    COMPACTED: (
        2,
        {
            "segment.bytes": "3072",
            "index.interval.bytes": "200",
            "cleanup.policy": "compact",
            "min.cleanable.dirty.ratio": "0.01",
            "delete.retention.ms": "3000",
        },
    ),
    TRIMMED: (1, {"segment.bytes": "3072"}),
    JOBS: (2, {"segment.bytes": "8192"}),
    CHORES: (1, {"segment.bytes": "8192"}),
}
"""The topics of every run: number of partitions, settings."""


def places(topic: str) -> list[Place]:
    """Returns the partitions of one of the topics."""
    return [(topic, number) for number in range(TOPICS[topic][0])]


class World:
    """A run: a server, a network, clients, and the ledger of it all.

    Args:
        seed: everything that happens follows from it.
    """

    def __init__(self, seed: int, loop: SimulatedLoop) -> None:
        self.seed = seed
        self.loop = loop
        self.network = Network(loop, self.random("network"))
        mounts = _DISKS if self.random("disks").random() < _SEVERAL else ()
        self.node = Node(loop, self.network, self.random("machine"), disk=RecordingDisk(mounts=mounts))
        self.life = 0
        self.begun_s = loop.time()
        self.ledger = Ledger(self.elapsed_s, self.moment)
        self.calm_since_s = 0.0
        """Since when nothing has happened to the server that could end the locks of workers before their time; infinite
        while it does."""
        self.is_over = False
        self.stopping = asyncio.Event()
        self.violation: Violation | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def random(self, name: str) -> Random:
        """Returns the chance of one part: what one draws changes nothing for the others."""
        return Random(f"{self.seed}/{name}")

    def elapsed_s(self) -> float:
        """Returns virtual seconds since the run began."""
        return self.loop.time() - self.begun_s

    def moment(self) -> Moment:
        """Returns the present moment of the disk."""
        return Moment(self.life, len(self.node.disk.operations))

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Starts a client; a violation that it finds ends the run."""
        self._tasks.append(asyncio.ensure_future(self._guard(work)))

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Violation as violation:
            self.broken(violation)

    def broken(self, violation: Violation) -> None:
        """Ends the run with a violation."""
        if self.violation is None:
            self.violation = violation
            self.ledger.note("checker", str(violation), *violation.about)
        self.is_over = True
        self.stopping.set()

    async def finish(self) -> None:
        """Waits for all clients to end what they are doing."""
        self.is_over = True
        self.stopping.set()
        try:
            async with asyncio.timeout(_MOST_FINISH_S):
                for task in self._tasks:
                    await task
        except TimeoutError:
            self.broken(
                Violation("stuck client", f"all is well, and a client has got no answer for {_MOST_FINISH_S} s")
            )

    async def pause(self, random: Random, most_s: float) -> None:
        """Waits a while, not longer than the run goes on."""
        await asyncio.sleep(random.uniform(0, most_s))
