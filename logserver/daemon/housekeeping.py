"""What a server does by itself, in time: flushing by age, retention, compaction, checkpoints, leases."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from logserver_segments.data_directory import DataDirectories, DataDirectory
from logserver_segments.logs import get_logger
from logserver_segments.seams import Clock

from logserver.metadata.log_store import LogMetadataStore
from logserver.settings import ServerSettings

_TICK_MS: Final = 1000

_log = get_logger("logserver.daemon")


@dataclass(slots=True)
class _Job:
    name: str
    interval_ms: int
    work: Callable[[], Awaitable[None]]
    # It is done once at a time.
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self) -> None:
        try:
            async with self.turn:
                await self.work()
        except Exception as error:
            # Tried again at its next turn; a full disk, for one, passes.
            _log.error("housekeeping failed", job=self.name, error=str(error), kind=type(error).__name__)


class Housekeeping:
    """The periodic work: of each data directory by itself, so that none waits for the disk of another."""

    def __init__(
        self, settings: ServerSettings, directories: DataDirectories, store: LogMetadataStore, clock: Clock
    ) -> None:
        self._clock = clock
        self._jobs = [_Job("leases", _TICK_MS, store.expire_leases)]
        for directory in directories.online:
            self._jobs += _jobs_of(directory, settings)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begins; the first turn of each job comes after its interval."""
        self._tasks = [asyncio.create_task(self._repeat(job), name=f"housekeeping-{job.name}") for job in self._jobs]
        self._clock.follow(self._clock_moved)

    async def stop(self) -> None:
        """Ends all jobs."""
        self._clock.unfollow(self._clock_moved)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @staticmethod
    async def _repeat(job: _Job) -> None:
        while True:
            await asyncio.sleep(job.interval_ms / 1000)
            await job.run()

    async def _clock_moved(self) -> None:
        # All of it, whatever is left of the intervals: a job may come at any time, and does what is due.
        for job in self._jobs:
            await job.run()


def _jobs_of(directory: DataDirectory, settings: ServerSettings) -> Iterator[_Job]:
    async def tick() -> None:
        directory.tick()

    async def producers() -> None:
        directory.expire_producers()

    async def compaction() -> None:
        await directory.compact()

    yield _Job("tick", _TICK_MS, tick)
    yield _Job("removal", _TICK_MS, directory.remove_doomed)
    yield _Job("retention", settings.log_retention_check_interval_ms, directory.apply_retention)
    yield _Job("producers", settings.producer_id_expiration_check_interval_ms, producers)
    yield _Job("compaction", settings.log_cleaner_backoff_ms, compaction)
    yield _Job("checkpoint", settings.log_flush_offset_checkpoint_interval_ms, directory.checkpoint)
