"""Compaction by key: of a log's sealed segments, the last record of each key stays.

Keys are remembered as 128-bit digests, so memory is bounded by the number of distinct keys and not by their size.
Offsets never change. Control batches stay. A tombstone (null value) stays until it is `delete.retention.ms` old, so
that a reader on its way sees it. Of an emptied batch the header stays where a producer's sequence is told by it (as
Kafka), and at the end of a segment: where a segment ends before the next one begins, recovery takes it for cut short.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import mmh3
from logserver_records.batch import NO_PRODUCER_ID, BatchHeader, read_header
from logserver_records.codec import Record, decode_batch, rebuild_batch

from logserver_segments.committer import Loss, LossReason
from logserver_segments.config import NEVER_MS, LogConfig
from logserver_segments.log import Log
from logserver_segments.logs import get_logger
from logserver_segments.scan import scan
from logserver_segments.seams import Disk, File, Workers
from logserver_segments.segment import MAX_RELATIVE_OFFSET, Resources, Segment
from logserver_segments.swap import CLEANED_SUFFIX, begin_swap, end_swap, undo_swap

_log = get_logger("logserver.segments")

_NO_KEY: Final = -1


class Cleaned(NamedTuple):
    """What a compaction did: bytes before and after, records kept and dropped."""

    bytes_before: int
    bytes_after: int
    kept: int
    dropped: int


def cleanable(log: Log, now_ms: int) -> list[Segment]:
    """Returns the sealed, committed segments of a log that compaction may look at, in order.

    Raises:
        CorruptRecords, ReadFailed: a segment's time index was damaged and could not be made again.
    """
    found = []
    for segment in log.segments[:-1]:
        if log.offset_behind(segment) > log.committed_offset:
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
    parts = [_Part(segment.file, segment.base_offset, segment.size) for segment in segments]
    latest = await workers.run(_latest_offsets, parts, log.config)
    before = after = kept = dropped = 0
    for group in _groups(log, segments):
        if not _is_in(log, group):
            break
        parts = [_Part(segment.file, segment.base_offset, segment.size) for segment in group]
        new = Segment(log.directory, group[0].base_offset, resources, sealed=True)
        counts = await workers.run(_write_cleaned, new, parts, latest, log.config, resources.disk, now_ms)
        if not _is_in(log, group):
            # Retention or a truncation was faster; the next round starts afresh.
            undo_swap(log.directory, new.base_offset, resources.disk)
            break
        before += sum(segment.size for segment in group)
        _take(log, group, new, resources.disk)
        after += new.size
        kept += counts.kept
        dropped += counts.dropped
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


class _Part(NamedTuple):
    """A segment to read on another thread, where the log's own objects may not be touched."""

    file: File
    base_offset: int
    size: int


def _batches(part: _Part) -> Iterator[tuple[int, BatchHeader]]:
    return scan(part.file, 0, part.size, next_offset=part.base_offset, check_from_offset=0)


def _latest_offsets(parts: Sequence[_Part], config: LogConfig) -> dict[bytes, int]:
    """Returns the offset of the last record of each key, by digest."""
    latest: dict[bytes, int] = {}
    for part in parts:
        for position, header in _batches(part):
            if header.is_control:
                continue
            for record in _records(part.file, position, header, config.max_decompressed_bytes):
                if record.key is not None:
                    latest[mmh3.hash_bytes(record.key)] = record.offset
    return latest


def _records(file: File, position: int, header: BatchHeader, max_bytes: int) -> list[Record]:
    return decode_batch(file.read(header.size, position), max_decompressed_bytes=max_bytes)


class _Counts(NamedTuple):
    kept: int
    dropped: int


def _write_cleaned(
    new: Segment,
    parts: Sequence[_Part],
    latest: dict[bytes, int],
    config: LogConfig,
    disk: Disk,
    now_ms: int,
) -> _Counts:
    """Writes the surviving batches of some segments, and their indexes, to synced `.cleaned` files."""
    undo_swap(new.directory, new.base_offset, disk)
    try:
        out = disk.open(new.path + CLEANED_SUFFIX, create=True)
        counts = _write_survivors(new, out, parts, latest, config, now_ms)
        out.sync()
        new.close_time_index()
        for index in (new.index, new.time_index):
            disk.write_file(index.path + CLEANED_SUFFIX, index.content(), durable=True)
    except BaseException:
        # On a full disk somebody needs the space.
        undo_swap(new.directory, new.base_offset, disk)
        raise
    new.indexes_rebuilt()
    return counts


def _write_survivors(
    new: Segment, out: File, parts: Sequence[_Part], latest: dict[bytes, int], config: LogConfig, now_ms: int
) -> _Counts:
    kept = dropped = 0
    horizon = now_ms - config.delete_retention_ms
    for part in parts:
        for position, header in _batches(part):
            batch = part.file.read(header.size, position)
            if not header.is_control:
                records = _records(part.file, position, header, config.max_decompressed_bytes)
                survivors = [record for record in records if _survives(record, latest, horizon)]
                kept += len(survivors)
                dropped += len(records) - len(survivors)
                is_last = part is parts[-1] and position + header.size == part.size
                if not survivors and header.producer_id == NO_PRODUCER_ID and not is_last:
                    continue
                if len(survivors) < len(records):
                    batch = rebuild_batch(header, survivors)
            out.write((batch,), new.size)
            new.note_batch(read_header(batch), new.size, config.index_interval_bytes)
            new.size += len(batch)
    return _Counts(kept, dropped)


def _survives(record: Record, latest: dict[bytes, int], tombstone_horizon_ms: int) -> bool:
    if record.key is None:
        return True
    if latest.get(mmh3.hash_bytes(record.key), _NO_KEY) > record.offset:
        return False
    return record.value is not None or record.timestamp_ms >= tombstone_horizon_ms


def _take(log: Log, group: list[Segment], new: Segment, disk: Disk) -> None:
    base = new.base_offset
    try:
        begin_swap(log.directory, base, group[-1].base_offset, disk)
    except OSError:
        undo_swap(log.directory, base, disk)
        raise
    try:
        end_swap(log.directory, base, [segment.base_offset for segment in group], disk)
    except OSError as error:
        # The next opening finishes it; until then the files are neither the old ones nor the new.
        log.lost(Loss(LossReason.FAILED, f"a compaction could not be finished: {error.strerror or error}"))
        raise
    new.index.in_file()
    new.time_index.in_file()
    log.replace_segments(group, new)
