"""The compaction of all logs of a data directory: which is next, and what becomes of those that can't be compacted."""

from asyncio import Lock
from collections.abc import Callable, Iterable
from typing import Final, Protocol
from weakref import WeakKeyDictionary

from logserver_records.errors import RecordError

from logserver_segments.checkpoints import TopicPartition
from logserver_segments.compaction.cleaner import Cleaner, clean
from logserver_segments.compaction.eligible import Cleanable, cleanable, is_due, prepare
from logserver_segments.errors import StorageError
from logserver_segments.index import IndexDamaged
from logserver_segments.log import Log
from logserver_segments.logs import get_logger
from logserver_segments.scan import ScanStopped
from logserver_segments.seams import Random, WorkerDied

_RETRY_MS: Final = 60_000
"""A disk that refused is left alone for so long: it may be full, and every attempt writes a part of a segment."""
_NEVER: Final = float("inf")

_log = get_logger("logserver.segments")

Logs = Callable[[], Iterable[tuple[TopicPartition, Log]]]


class CleanedOffsets(Protocol):
    """Up to where logs are compacted, and the file that keeps it."""

    def cleaned_to(self, key: TopicPartition) -> int:
        """Returns the offset before which a log is compacted."""
        ...

    def note_cleaned(self, key: TopicPartition, offset: int) -> None:
        """Notes for the next writing that a log is compacted up to an offset; after that has become durable."""
        ...

    def write_cleaned(self) -> None:
        """Writes up to where logs are compacted.

        Raises:
            OSError: the disk refused.
        """
        ...


class Schedule:
    """Compacts logs one after the other, those with the largest share of news first (as Kafka).

    Args:
        logs: returns those there are.
    """

    def __init__(self, logs: Logs, offsets: CleanedOffsets, cleaner: Cleaner, random: Random) -> None:
        self._logs = logs
        self._offsets = offsets
        self._cleaner = cleaner
        self._random = random
        self._one_at_a_time = Lock()
        # When those that failed are tried again, by the monotonic clock.
        self._failed: WeakKeyDictionary[Log, float] = WeakKeyDictionary()

    async def compact(self) -> int:
        """Compacts what is due, until nothing is; returns how many compactions that took."""
        count = 0
        async with self._one_at_a_time:
            while due := await self._due():
                done = 0
                for key, log in due:
                    done += await self._compact(key, log)
                if not done:
                    break
                count += done
        return count

    async def _due(self) -> list[tuple[TopicPartition, Log]]:
        now_ms, monotonic_ms = self._cleaner.clock.now_ms(), self._cleaner.clock.monotonic_ms()
        found: list[tuple[float, TopicPartition, Log]] = []
        for key, log in list(self._logs()):
            if not log.config.compact or self._failed.get(log, monotonic_ms) > monotonic_ms:
                continue
            part = await self._look(key, log, now_ms)
            if part is not None:
                found.append((part.dirty_ratio, key, log))
        return [(key, log) for _, key, log in sorted(found, key=lambda each: each[0], reverse=True)]

    async def _look(self, key: TopicPartition, log: Log, now_ms: int) -> Cleanable | None:
        """Returns what of a log is to be compacted now, if that is due."""
        if log.offline is not None:
            return None
        try:
            await prepare(log, self._offsets.cleaned_to(key))
            found = cleanable(log, self._offsets.cleaned_to(key), now_ms)
            return found if await is_due(log, found, now_ms, self._cleaner.workers) else None
        except (OSError, StorageError, RecordError) as error:
            self._fail(log, error)
            return None

    async def _compact(self, key: TopicPartition, log: Log) -> bool:
        """Compacts a log; returns whether that came to its end."""
        # Others took their time meanwhile.
        found = await self._look(key, log, self._cleaner.clock.now_ms())
        if found is None or not log.config.compact:
            return False
        try:
            done = await clean(log, found, self._cleaner, self._random.randbytes(8).hex())
        except (OSError, StorageError, ScanStopped, RecordError, IndexDamaged, WorkerDied) as error:
            self._fail(log, error)
            return False
        # Not of one that was made under the same name meanwhile, and not behind where it was cut.
        if done is None or dict(self._logs()).get(key) is not log or done.cleaned_to > log.log_end_offset:
            return False
        self._offsets.note_cleaned(key, done.cleaned_to)
        try:
            await self._cleaner.workers.run(self._offsets.write_cleaned)
        except OSError as error:
            self._fail(log, error)
            return False
        return True

    def _fail(self, log: Log, error: Exception) -> None:
        if log.offline is not None:
            return
        if isinstance(error, (OSError, WorkerDied)):
            self._failed[log] = self._cleaner.clock.monotonic_ms() + _RETRY_MS
            _log.warning("compaction failed, and is tried again later", log=log.name, error=str(error))
            return
        # Damage does not go away; reading the log again and again would only take from others.
        self._failed[log] = _NEVER
        _log.error(
            "compaction failed: the log is damaged, and is not compacted until the next start",
            log=log.name,
            error=str(error) or type(error).__name__,
        )
