"""Compaction by key: of a log's sealed segments, the last record of each key stays.

Offsets never change. A tombstone (null value) stays until it is `delete.retention.ms` old, so that a reader on its way
sees it. Of an emptied batch the header stays where a producer's sequence is told by it (as Kafka), and at the end of a
segment: where a segment ends before the next one begins, recovery takes it for cut short.

Only what is decided is looked at: nothing from the last stable offset on. Aborted records go. A marker stays as long as
a batch of its transaction is there, and until it is `delete.retention.ms` old.
"""

from collections.abc import Sequence
from typing import NamedTuple

from logserver_segments.committer import Loss, LossReason
from logserver_segments.config import NEVER_MS
from logserver_segments.decided import DecidedTransactions
from logserver_segments.log import Log
from logserver_segments.logs import get_logger
from logserver_segments.scan import scan
from logserver_segments.seams import Disk, Workers
from logserver_segments.segment import MAX_RELATIVE_OFFSET, Resources, Segment
from logserver_segments.survivors import LastOfProducer, Part, Rules, latest_offsets, write_cleaned
from logserver_segments.swap import begin_swap, end_swap, undo_swap

_log = get_logger("logserver.segments")


class Cleaned(NamedTuple):
    """What a compaction did: bytes before and after, records kept and dropped."""

    bytes_before: int
    bytes_after: int
    kept: int
    dropped: int


def cleanable(log: Log, now_ms: int) -> list[Segment]:
    """Returns the sealed segments of a log that compaction may look at, in order: of all in them it is decided.

    Raises:
        CorruptRecords, ReadFailed: a segment's time index was damaged and could not be made again.
    """
    found = []
    for segment in log.segments[:-1]:
        if log.offset_behind(segment) > log.last_stable_offset:
            break
        # Without a lag also records that are ahead of the clock are looked at (as Kafka).
        lag = log.config.min_compaction_lag_ms
        if lag > 0 and now_ms - log.max_timestamp_of(segment) < lag:
            break
        found.append(segment)
    return found


def dirty_ratio(log: Log, cleaned_to: int, now_ms: int) -> float:
    """Returns which share of the bytes that could be compacted came since `cleaned_to`, the end of the last time."""
    segments = cleanable(log, now_ms)
    total = sum(segment.size for segment in segments)
    dirty = sum(segment.size for segment in segments if segment.base_offset >= cleaned_to)
    return dirty / total if total else 0.0


def is_overdue(log: Log, cleaned_to: int, now_ms: int) -> bool:
    """Returns whether a record that came since `cleaned_to` is older than `max.compaction.lag.ms`, told by the first
    timestamps of the segments, as Kafka does.

    Raises:
        OSError, ScanStopped: a segment can't be read.
    """
    limit = log.config.max_compaction_lag_ms
    if limit == NEVER_MS:
        return False
    dirty = [segment for segment in cleanable(log, now_ms) if segment.base_offset >= cleaned_to]
    return any(now_ms - time > limit for segment in dirty if (time := _first_timestamp(segment)) >= 0)


def _first_timestamp(segment: Segment) -> int:
    if segment.first_timestamp is None:
        first = next(scan(segment.file, 0, segment.size, next_offset=segment.base_offset), None)
        segment.first_timestamp = -1 if first is None else first[1].max_timestamp
    return segment.first_timestamp


async def clean(log: Log, resources: Resources, workers: Workers, now_ms: int) -> Cleaned | None:
    """Compacts a log's sealed segments into one per run of segments that fits `segment.bytes`.

    The reading and writing is done by a worker; the swap on the caller's thread. Returns None if there was nothing to
    do.

    Raises:
        OSError, StorageError: the disk refused; the log is as before, or offline where that could not be had.
        ScanStopped, RecordError: a segment is damaged; the log is as before.
    """
    segments = cleanable(log, now_ms)
    if not segments:
        return None
    base, behind = segments[0].base_offset, log.offset_behind(segments[-1])
    parts = [Part(segment.file, segment.base_offset, segment.size) for segment in segments]
    producers = {
        producer_id: LastOfProducer(producer.batches[-1].last_offset if producer.batches else None, producer.epoch)
        for producer_id, producer in log.producers.items()
    }
    found = log.aborted_transactions(base, behind)
    aborted = found if isinstance(found, list) else await found
    latest = await workers.run(latest_offsets, parts, aborted, log.config)
    rules = Rules(log.config, latest, producers, now_ms - log.config.delete_retention_ms)
    transactions = DecidedTransactions(aborted)
    before = after = kept = dropped = 0
    for group in _groups(log, segments):
        if not _is_in(log, group):
            break
        parts = [Part(segment.file, segment.base_offset, segment.size) for segment in group]
        new = Segment(log.directory, group[0].base_offset, resources, sealed=True)
        written = await workers.run(write_cleaned, new, parts, transactions, rules, resources.disk)
        if not _is_in(log, group):
            # Retention or a truncation was faster; the next round starts afresh.
            undo_swap(log.directory, new.base_offset, resources.disk)
            break
        before += sum(segment.size for segment in group)
        _take(log, group, new, len(written.aborted), resources.disk)
        after += new.size
        kept += written.kept
        dropped += written.dropped
    _log.info("log compacted", log=log.name, bytes_before=before, bytes_after=after, kept=kept, dropped=dropped)
    return Cleaned(before, after, kept, dropped)


def _is_in(log: Log, group: Sequence[Segment]) -> bool:
    return log.offline is None and set(group) <= set(log.segments[:-1])


def _groups(log: Log, segments: Sequence[Segment]) -> list[list[Segment]]:
    groups: list[list[Segment]] = []
    size = 0
    for segment in segments:
        if groups and size + segment.size <= log.config.segment_bytes:
            relative = log.offset_behind(segment) - 1 - groups[-1][0].base_offset
            if relative <= MAX_RELATIVE_OFFSET:
                groups[-1].append(segment)
                size += segment.size
                continue
        groups.append([segment])
        size = segment.size
    return groups


def _take(log: Log, group: list[Segment], new: Segment, aborted: int, disk: Disk) -> None:
    base = new.base_offset
    try:
        begin_swap(log.directory, base, group[-1].base_offset, disk)
    except OSError:
        undo_swap(log.directory, base, disk)
        raise
    try:
        end_swap(log.directory, base, [segment.base_offset for segment in group], disk)
        new.aborted.in_file(aborted)
    except OSError as error:
        # The next opening finishes it; until then the files are neither the old ones nor the new.
        log.lost(Loss(LossReason.FAILED, f"a compaction could not be finished: {error.strerror or error}"))
        raise
    new.index.in_file()
    new.time_index.in_file()
    log.replace_segments(group, new)
