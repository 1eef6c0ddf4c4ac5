"""What is done with all logs from time to time. One log's trouble is not another's: it is tried again next time."""

import asyncio
from collections.abc import Iterable
from typing import Final

from logserver_segments.errors import StorageError
from logserver_segments.log import Log
from logserver_segments.logs import get_logger
from logserver_segments.seams import Clock, Disk, Workers

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
