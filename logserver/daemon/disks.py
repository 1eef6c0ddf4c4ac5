"""The server's data directories with what works for each of them: threads, a process for compaction and a flusher of
its own.
"""

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from logserver_segments.compaction.config import CleanerConfig, IoLimit
from logserver_segments.data_directory import DataDirectories, DataDirectory
from logserver_segments.logs import get_logger
from logserver_segments.machine import SystemClock
from logserver_segments.seams import Clock, Disk, Random

from logserver.broker.topics import METADATA_TOPIC
from logserver.daemon.threads import ClosableCommitter, ClosableWorkers, Threads
from logserver.metadata import Compare, MetadataStore, Put
from logserver.settings import FileLimits, ServerSettings

_OTHER_THREADS: Final = 2
"""Of each directory, for checkpoints, compaction, and giving space back."""
_LEAST_FILES: Final = 64

_log = get_logger("logserver.daemon")


class Disks:
    """The data directories of a daemon, opened when this object is made.

    Args:
        preparers: threads for what takes long without a disk.
        threads: makes all others.

    Raises:
        StorageError, OSError: see `DataDirectories`; nothing is left open but the threads, which `close_threads` ends.
    """

    def __init__(
        self,
        settings: ServerSettings,
        limits: FileLimits,
        preparers: ClosableWorkers,
        threads: Threads,
        *,
        disk: Disk,
        clock: Clock,
        random: Random,
    ) -> None:
        self._settings = settings
        self._limits = limits
        self._preparers = preparers
        self._disk = disk
        self._clock = clock
        self._random = random
        self._make = threads
        self._threads: list[ClosableWorkers] = []
        self._committers: dict[str, ClosableCommitter] = {}
        metadata = settings.metadata_log_dir
        self.directories = DataDirectories(
            absolute(settings.data_directories),
            self._open,
            disk=disk,
            main_log=(METADATA_TOPIC, 0),
            main_path=os.path.abspath(metadata) if metadata is not None else None,
        )
        for directory in self.directories.online:
            committer = self._committers[directory.path] = threads.committer(disk, directory.path)
            directory.start(committer)

    def _open(self, path: str, cluster_id: str | None) -> DataDirectory:
        readers = self._make.workers(self._settings.num_read_threads_per_data_dir)
        workers = self._make.workers(_OTHER_THREADS)
        cleaners = self._make.process()
        # That of compaction first: it is not waited for, and the others may be waiting for it.
        self._threads += (cleaners, readers, workers)
        share = len(self._settings.log_dirs)
        return DataDirectory(
            path,
            self._settings.node_id,
            disk=self._disk,
            clock=self._clock,
            random=self._random,
            workers=workers,
            readers=readers,
            preparers=self._preparers,
            cleaners=cleaners,
            cleaner_limits=_cleaner_limits(self._settings, share),
            open_files=max(self._limits.open_files // share, _LEAST_FILES),
            mapped_files=max(self._limits.mapped_files // share, _LEAST_FILES),
            least_free_bytes=self._settings.log_dir_min_free_bytes,
            cluster_id=cluster_id,
        )

    async def close(self, time_s: float) -> bool:
        """Makes everything durable and says that it is, each directory for itself; then lets go of it.

        Returns:
            Whether threads are left that their disk does not let go.
        """
        stuck = await asyncio.gather(*(self._close(directory, time_s) for directory in self.directories.online))
        return any(stuck)

    async def _close(self, directory: DataDirectory, time_s: float) -> bool:
        flushed = False
        try:
            async with asyncio.timeout(time_s):
                await self._make.aside(self._committers[directory.path].close)
                # The last round's report was posted before the thread ended; it runs before what is scheduled now.
                await asyncio.sleep(0)
                flushed = True
                await self._make.aside(directory.close)
        except (OSError, TimeoutError) as error:
            _log.error(
                "no clean stop: the next start will check the logs",
                path=directory.path,
                error=str(error) or "the disk is slow",
            )
            if not flushed:
                directory.abandon()
            return isinstance(error, TimeoutError)
        return False

    def abandon(self) -> None:
        """Lets go of everything as it is: what is left of a server that crashed."""
        for directory in self.directories.online:
            self._committers[directory.path].close()
            directory.abandon()

    def close_threads(self) -> None:
        """Waits for the work under way and ends the threads."""
        for threads in self._threads:
            threads.close()


def _cleaner_limits(settings: ServerSettings, share: int) -> CleanerConfig:
    """Returns what the compaction of one of so many directories may use."""
    limit = settings.log_cleaner_io_max_bytes_per_second
    return CleanerConfig(
        settings.log_cleaner_dedupe_buffer_size // share,
        settings.log_cleaner_io_buffer_load_factor,
        IoLimit(limit / share, SystemClock()) if limit is not None else None,
    )


def absolute(paths: Sequence[Path]) -> list[str]:
    """Returns paths as they are told to people, and compared."""
    return [os.path.abspath(path) for path in paths]


def _key(settings: ServerSettings) -> bytes:
    return f"/nodes/{settings.node_id}/directories".encode()


def expect_directories(disks: DataDirectories, store: MetadataStore, settings: ServerSettings) -> None:
    """Tells the directories which of them there were at the last start."""
    found = store.get(_key(settings))
    known: dict[str, str] = json.loads(found.value) if found is not None else {}
    disks.expect({name: path for name, path in known.items() if name not in settings.log_dirs_lost})


async def remember_directories(disks: DataDirectories, store: MetadataStore, settings: ServerSettings) -> None:
    """Has the next start know the directories of this one; writes nothing where there always was just one."""
    key, ids = _key(settings), disks.ids()
    found = store.get(key)
    if (found is None and len(ids) == 1) or (found is not None and json.loads(found.value) == ids):
        return
    compare = Compare(key, mod_revision=found.mod_revision if found is not None else 0)
    await store.txn((compare,), (Put(key, json.dumps(ids, sort_keys=True).encode()),))
