"""What is done with all logs from time to time. One log's trouble is not another's: it is tried again next time."""

import asyncio
from collections.abc import Iterable
from typing import Final

from logserver_records.errors import RecordError

from logserver_segments import cleaner
from logserver_segments.errors import StorageError
from logserver_segments.log import Log
from logserver_segments.logs import get_logger
from logserver_segments.scan import ScanStopped
from logserver_segments.seams import Clock, Disk, Workers
from logserver_segments.segment import Resources

_log = get_logger("logserver.segments")

_TURN_MS: Final = 3.0
"""So long what is done with very many logs keeps everybody else waiting."""


class Turns:
    """Lets others have their turn while something is done with very many logs on the event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began_ms = clock.monotonic_ms()

    async def pause(self) -> None:
        """Lets others go first, if this has gone on for a while."""
        if self._clock.monotonic_ms() - self._began_ms >= _TURN_MS:
            await asyncio.sleep(0)
            self._began_ms = self._clock.monotonic_ms()


def do_what_is_due(logs: Iterable[Log], monotonic_ms: float) -> None:
    """Does what is due by time: `flush.ms`."""
    for log in logs:
        try:
            log.flush_if_due(monotonic_ms)
        except OSError as error:
            _log.error("a log's due work failed", log=log.name, error=str(error))


async def remove_doomed(logs: Iterable[Log], disk: Disk, workers: Workers, now_ms: int) -> None:
    """Removes the files whose deletion delay is over; a large one takes its time."""
    for log in logs:
        due = log.take_doomed(now_ms)
        if due:
            try:
                await workers.run(_remove, disk, due)
            except OSError as error:
                _log.error("files of deleted segments remain", log=log.name, error=str(error))


def _remove(disk: Disk, paths: Iterable[str]) -> None:
    for path in paths:
        disk.remove(path)


async def apply_retention(logs: Iterable[Log], now_ms: int, turns: Turns) -> None:
    """Removes segments that the logs' retention settings allow."""
    for log in logs:
        await turns.pause()
        try:
            await log.prepare_retention(now_ms)
            log.apply_retention(now_ms)
        except (StorageError, OSError) as error:
            _log.error("retention failed", log=log.name, error=str(error))


async def compact(log: Log, cleaned_to: int, resources: Resources, workers: Workers, now_ms: int) -> int | None:
    """Compacts a log if its settings ask for it and enough of it is not compacted yet.

    Args:
        cleaned_to: where the last compaction ended.

    Returns:
        Where this one ended, None if there was none.
    """
    if not log.config.compact or log.offline is not None:
        return None
    try:
        ratio = cleaner.dirty_ratio(log, cleaned_to, now_ms)
        is_enough = ratio >= log.config.min_cleanable_dirty_ratio
        if ratio == 0 or not (is_enough or cleaner.is_overdue(log, cleaned_to, now_ms)):
            return None
        # Not behind a transaction that is open: what follows it is not compacted yet.
        end = log.offset_behind(cleaner.cleanable(log, now_ms)[-1])
        done = await cleaner.clean(log, resources, workers, now_ms)
    except (OSError, StorageError, ScanStopped, RecordError) as error:
        _log.error("compaction failed", log=log.name, error=str(error))
        return None
    return end if done is not None else None
