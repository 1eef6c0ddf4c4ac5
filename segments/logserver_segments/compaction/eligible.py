"""Which logs are to be compacted, and up to where: Apache Kafka's rules (`LogCleanerManager`)."""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

from logserver_records.batch import HEADER_SIZE, NO_TIMESTAMP, read_header
from logserver_records.errors import RecordError

from logserver_segments.config import NEVER_MS
from logserver_segments.log import Log
from logserver_segments.seams import File, Workers
from logserver_segments.segment import Segment


class Cleanable(NamedTuple):
    """What of a log can be compacted."""

    # From the first one of the log on; of all in them it is decided.
    segments: list[Segment]
    # Behind the last one's last offset.
    end_offset: int
    # Keys before this offset are in the log once.
    dirty_from: int
    dirty_bytes: int

    @property
    def dirty_ratio(self) -> float:
        """Which share of the bytes came since the last time."""
        total = sum(segment.size for segment in self.segments)
        return self.dirty_bytes / total if total else 0.0


def cleanable(log: Log, cleaned_to: int, now_ms: int) -> Cleanable:
    """Returns what of a log can be compacted: of its sealed segments those before the last stable offset, and before
    the first one that has a record younger than `min.compaction.lag.ms`.

    Args:
        cleaned_to: where the last compaction ended.

    Raises:
        CorruptRecords, ReadFailed: a segment's time index was damaged and could not be made again.
    """
    segments = log.segments
    # What was deleted meanwhile is not new, and where the log was cut, all is.
    dirty_from = max(cleaned_to, log.log_start_offset) if cleaned_to <= log.log_end_offset else log.log_start_offset
    lag_ms = log.config.min_compaction_lag_ms
    found: list[Segment] = []
    dirty_bytes = 0
    for segment, following in pairwise(segments):
        behind = following.base_offset
        if behind > log.last_stable_offset:
            break
        if behind > dirty_from:
            # Without a lag also records that are ahead of the clock are looked at (as Kafka).
            if lag_ms > 0 and log.max_timestamp_of(segment) > now_ms - lag_ms:
                break
            dirty_bytes += segment.size
        found.append(segment)
    end_offset = segments[len(found)].base_offset
    return Cleanable(found, end_offset, min(dirty_from, end_offset), dirty_bytes)


async def prepare(log: Log, cleaned_to: int) -> None:
    """Has a worker read what `cleanable` needs from the disk.

    Raises:
        CorruptRecords, ReadFailed: as `cleanable`.
    """
    if log.config.min_compaction_lag_ms > 0:
        for segment in log.segments[:-1]:
            if not segment.checked and log.offline is None and log.offset_behind(segment) > cleaned_to:
                await log.check_indexes(segment)


async def is_due(log: Log, found: Cleanable, now_ms: int, workers: Workers) -> bool:
    """Returns whether a log is to be compacted: enough of it is new, or something new is older than
    `max.compaction.lag.ms`.

    Raises:
        OSError, RecordError: a segment can't be read.
    """
    if not found.dirty_bytes:
        return False
    config = log.config
    if found.dirty_ratio > config.min_cleanable_dirty_ratio:
        return True
    if config.max_compaction_lag_ms == NEVER_MS:
        return False
    limit = now_ms - config.max_compaction_lag_ms
    for segment in found.segments:
        if log.offset_behind(segment) > found.dirty_from and 0 < await _first_timestamp(segment, workers) < limit:
            return True
    return False


async def _first_timestamp(segment: Segment, workers: Workers) -> int:
    """Returns when the first batch of a segment is from, as Kafka tells the age of what is in it."""
    if segment.first_timestamp is None:
        read: Callable[[File], int] = _read_first_timestamp
        segment.first_timestamp = await workers.run(read, segment.file)
    return segment.first_timestamp


def _read_first_timestamp(file: File) -> int:
    try:
        return read_header(file.read(HEADER_SIZE, 0)).max_timestamp
    except RecordError:
        # There is no batch in it.
        return NO_TIMESTAMP
