"""What a server does by itself, in time: flushing by age, retention, compaction, checkpoints, leases."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from logserver_segments.data_directory import DataDirectory
from logserver_segments.logs import get_logger
from logserver_segments.seams import Clock

from logserver.metadata.log_store import LogMetadataStore
from logserver.settings import ServerSettings

_TICK_MS: Final = 1000

_log = get_logger("logserver.daemon")


class Housekeeping:
    """The periodic work of one data directory."""

    def __init__(
        self, settings: ServerSettings, directory: DataDirectory, store: LogMetadataStore, clock: Clock
    ) -> None:
        self._directory = directory
        self._store = store
        self._clock = clock
        self._jobs: tuple[tuple[str, int, Callable[[], Awaitable[None]]], ...] = (
            ("tick", _TICK_MS, self._tick),
            ("retention", settings.log_retention_check_interval_ms, self._retention),
            ("producers", settings.producer_id_expiration_check_interval_ms, self._producers),
            ("compaction", settings.log_cleaner_backoff_ms, directory.compact),
            ("checkpoint", settings.log_flush_offset_checkpoint_interval_ms, directory.checkpoint),
        )
        self._turns = {name: asyncio.Lock() for name, _, _ in self._jobs}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begins; the first turn of each job comes after its interval."""
        self._tasks = [
            asyncio.create_task(self._repeat(name, interval_ms, job), name=f"housekeeping-{name}")
            for name, interval_ms, job in self._jobs
        ]
        self._clock.follow(self._clock_moved)

    async def stop(self) -> None:
        """Ends all jobs."""
        self._clock.unfollow(self._clock_moved)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _repeat(self, name: str, interval_ms: int, job: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(interval_ms / 1000)
            await self._run(name, job)

    async def _run(self, name: str, job: Callable[[], Awaitable[None]]) -> None:
        try:
            async with self._turns[name]:
                await job()
        except Exception as error:
            # Tried again at its next turn; a full disk, for one, passes.
            _log.error("housekeeping failed", job=name, error=str(error), kind=type(error).__name__)

    async def _clock_moved(self) -> None:
        # All of it, whatever is left of the intervals: a job may come at any time, and does what is due.
        for name, _, job in self._jobs:
            await self._run(name, job)

    async def _tick(self) -> None:
        self._directory.tick()
        await self._store.expire_leases()

    async def _retention(self) -> None:
        self._directory.apply_retention()

    async def _producers(self) -> None:
        self._directory.expire_producers()
