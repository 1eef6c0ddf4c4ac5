"""A server of the simulation: the daemon as it is, on a simulated machine, started, killed and started again."""

import asyncio
import contextvars
from collections.abc import Mapping
from random import Random
from types import MappingProxyType
from typing import Final

from logserver.coordinator import GroupCoordinator
from logserver.coordinator.delivery.coordinator import QueueCoordinator
from logserver.coordinator.transactions.coordinator import TransactionCoordinator
from logserver.daemon import Daemon
from logserver.grpc_api import GrpcDoor
from logserver.settings import Address, load_settings
from logserver.simulation.disk import RecordingDisk
from logserver.simulation.loop import Process, SimulatedLoop
from logserver.simulation.machine import SimulatedClock, SimulatedThreads
from logserver.simulation.network import Network

KAFKA_PORT: Final = 9092
_FLUSH_S: Final = 0.02
_WORK_S: Final = 0.01
_COLD_CHANCE: Final = 0.05
"""That what is to be read is not in memory, so that a worker has to read it."""

SETTINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "log.dirs": "/data",
        "grpc.listeners": "127.0.0.1:50051",
        "listeners": f"127.0.0.1:{KAFKA_PORT}",
        # Not what the machine has that this runs on.
        "log.open.files.max": "1000",
        "log.mapped.files.max": "1000",
        # Everything that happens now and then happens often.
        "offsets.topic.num.partitions": "2",
        "transaction.state.log.num.partitions": "2",
        "offsets.topic.segment.bytes": "16384",
        "transaction.state.log.segment.bytes": "16384",
        "log.flush.offset.checkpoint.interval.ms": "3000",
        "log.cleaner.backoff.ms": "2000",
        "log.cleaner.min.cleanable.ratio": "0.1",
        "log.retention.check.interval.ms": "4000",
        "log.segment.delete.delay.ms": "500",
        "group.consumer.session.timeout.ms": "3000",
        "group.consumer.min.session.timeout.ms": "1000",
        "group.consumer.heartbeat.interval.ms": "500",
        "group.consumer.min.heartbeat.interval.ms": "100",
        "group.min.session.timeout.ms": "1000",
        "group.share.session.timeout.ms": "3000",
        "group.share.heartbeat.interval.ms": "500",
        "group.share.record.lock.duration.ms": "1500",
        "group.share.delivery.count.limit": "5",
        "share.coordinator.state.topic.num.partitions": "2",
        "share.coordinator.state.topic.segment.bytes": "65536",
        "share.coordinator.state.topic.prune.interval.ms": "3000",
        "share.coordinator.snapshot.update.records.per.snapshot": "20",
        "share.coordinator.cold.partition.snapshot.interval.ms": "5000",
        "shutdown.grace.ms": "1000",
    }
)


class SimulatedDaemon(Daemon):
    """The daemon without threads and sockets. Its gRPC services are called as they are."""

    grpc_door: GrpcDoor

    def __init__(self, settings: Mapping[str, str], disk: RecordingDisk, loop: SimulatedLoop, random: Random) -> None:
        super().__init__(
            load_settings(command_line=settings.items()),
            disk=disk,
            clock=SimulatedClock(loop),
            random=random,
            threads=SimulatedThreads(loop, random, _FLUSH_S, _WORK_S),
        )

    @property
    def groups(self) -> GroupCoordinator:
        """The coordinator of groups; there from `start` on."""
        assert self._groups is not None
        return self._groups

    @property
    def transactions(self) -> TransactionCoordinator:
        """The coordinator of transactions; there from `start` on."""
        assert self._transactions is not None
        return self._transactions

    @property
    def queues(self) -> QueueCoordinator:
        """The coordinator of work queues; there from `start` on."""
        assert self._queues is not None
        return self._queues

    async def _open_door(self, door: GrpcDoor) -> None:
        self._door = self.grpc_door = door
        self._grpc.append(Address("127.0.0.1", 50051))
        await door.open()


class Node:
    """A machine with a server.

    Args:
        random: of the machine: how long flushing takes, ids that the server makes up.
        settings: beyond `SETTINGS`.
        disk: each of its mounts is a data directory; without any there is one.
    """

    def __init__(
        self,
        loop: SimulatedLoop,
        network: Network,
        random: Random,
        settings: Mapping[str, str] = MappingProxyType({}),
        disk: RecordingDisk | None = None,
    ) -> None:
        self.loop = loop
        self.network = network
        self.random = random
        self.disk = disk or RecordingDisk()
        directories = {"log.dirs": ",".join(self.disk.mounts)} if self.disk.mounts else {}
        self.settings = {**SETTINGS, **directories, **settings}
        self.process: Process | None = None
        self.daemon: SimulatedDaemon | None = None
        self.starts = 0
        self.power_cut = asyncio.Event()
        """Set when the power has gone in the middle of something; `crash` or `kill` comes next."""

    @property
    def is_up(self) -> bool:
        """Whether the server runs, or starts."""
        return self.process is not None and not self.process.is_dead

    async def start(self) -> bool:
        """Starts the server; returns whether it came up: the power may go meanwhile.

        Raises:
            StartError: something is in the way.
        """
        assert not self.is_up
        self.starts += 1
        process = self.process = Process(self.loop, f"server-{self.starts}")
        self.disk.when_power_goes(lambda: self._power_goes(process))
        self.disk.cold = lambda path: self.random.random() < _COLD_CHANCE
        daemon = self.daemon = process.context.copy().run(
            SimulatedDaemon, self.settings, self.disk, self.loop, self.random
        )
        return await self.until_dead(process.start(daemon.start()))

    async def stop(self) -> bool:
        """Stops the server in order; returns whether that went to its end."""
        process, daemon = self.process, self.daemon
        assert process is not None and daemon is not None
        if not await self.until_dead(process.start(daemon.stop())):
            return False
        self._end(process)
        self.disk.kill()
        return True

    async def until_dead(self, task: "asyncio.Task[None]") -> bool:
        """Waits for a task of the server; returns False if the power goes before it ends."""
        gone = asyncio.ensure_future(self.power_cut.wait())
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if self.power_cut.is_set():
            return False
        gone.cancel()
        await task
        return True

    def _power_goes(self, process: Process) -> None:
        process.is_dead = True
        # Told to whoever looks after this machine, which is not the process that has just ended.
        self.loop.call_soon(self.power_cut.set, context=contextvars.Context())

    def kill(self) -> None:
        """Ends the process; everything written stays."""
        if self.process is not None:
            self._end(self.process)
        self.disk.kill()

    def crash(self, random: Random) -> None:
        """Cuts the power; `random` chooses what is left of what was not flushed."""
        if self.process is not None:
            self._end(self.process)
        self.disk = self.disk.left_by_power_cut(random)

    def _end(self, process: Process) -> None:
        process.kill()
        self.network.kill(process)
        self.power_cut.clear()
        self.process = self.daemon = None
