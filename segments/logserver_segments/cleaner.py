"""Compaction by key: of a log's sealed segments, the last record of each key stays.

Keys are remembered as 128-bit digests, so memory is bounded by the number of distinct keys and not by their size.
Offsets never change. Control batches stay. A tombstone (null value) stays until it is `delete.retention.ms` old, so
that a reader on its way sees it. Of an emptied batch with a producer id the header stays (as Kafka), because the
producer's sequence is told by it.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import mmh3
from logserver_records.batch import COMPRESSION_MASK, NO_PRODUCER_ID, BatchHeader, reheader
from logserver_records.codec import Record, decode_batch, rebuild_batch

from logserver_segments.config import LogConfig
from logserver_segments.log import Log
from logserver_segments.logs import get_logger
from logserver_segments.scan import scan
from logserver_segments.seams import Disk, File, Workers
from logserver_segments.segment import LOG_SUFFIX, Resources, Segment, file_name
from logserver_segments.swap import CLEANED_SUFFIX, begin_swap, end_swap

_log = get_logger("logserver.segments")

_NO_KEY: Final = -1


class Cleaned(NamedTuple):
    """What a compaction did: bytes before and after, records kept and dropped."""

    bytes_before: int
    bytes_after: int
    kept: int
    dropped: int


def cleanable(log: Log, now_ms: int) -> list[Segment]:
    """Returns the sealed, committed segments of a log that compaction may look at, in order."""
    found = []
    sealed = log.segments[:-1]
    for number, segment in enumerate(sealed):
        behind = log.segments[number + 1].base_offset
        if behind > log.committed_offset:
            break
        if now_ms - segment.load_max_timestamp() < log.config.min_compaction_lag_ms:
            break
        found.append(segment)
    return found


def dirty_ratio(log: Log, cleaned_to: int, now_ms: int) -> float:
    """Returns which share of the bytes that could be compacted came since `cleaned_to`, the end of the last time."""
    segments = cleanable(log, now_ms)
    total = sum(segment.size for segment in segments)
    dirty = sum(segment.size for segment in segments if segment.base_offset >= cleaned_to)
    return dirty / total if total else 0.0


async def clean(log: Log, resources: Resources, workers: Workers, now_ms: int) -> Cleaned | None:
    """Compacts a log's sealed segments into one per run of segments that fits `segment.bytes`.

    The reading and writing is done by a worker; the swap on the caller's thread. Returns None if there was nothing to
    do.

    Raises:
        OSError: the disk refused; the log is as before.
        ScanStopped: a segment is damaged; the log is as before.
    """
    segments = cleanable(log, now_ms)
    if not segments:
        return None
    latest = await workers.run(_latest_offsets, [segment.file for segment in segments], segments, log.config)
    before = after = kept = dropped = 0
    for group in _groups(segments, log.config.segment_bytes):
        result = await workers.run(
            _write_cleaned, log, group, [segment.file for segment in group], latest, resources, now_ms
        )
        if log.offline is not None or not set(group) <= set(log.segments[:-1]):
            # Retention or a truncation was faster; the next round starts afresh.
            resources.disk.remove(result.path)
            break
        _take(log, group, resources, result, now_ms)
        before += sum(segment.size for segment in group)
        after += result.size
        kept += result.kept
        dropped += result.dropped
    _log.info("log compacted", log=log.name, bytes_before=before, bytes_after=after, kept=kept, dropped=dropped)
    return Cleaned(before, after, kept, dropped)


def _groups(segments: Sequence[Segment], segment_bytes: int) -> list[list[Segment]]:
    groups: list[list[Segment]] = []
    size = 0
    for segment in segments:
        fits = groups and size + segment.size <= segment_bytes
        if fits and segment.base_offset - groups[-1][0].base_offset < 1 << 31:
            groups[-1].append(segment)
            size += segment.size
        else:
            groups.append([segment])
            size = segment.size
    return groups


def _latest_offsets(files: Sequence[File], segments: Sequence[Segment], config: LogConfig) -> dict[bytes, int]:
    """Returns the offset of the last record of each key, by digest."""
    latest: dict[bytes, int] = {}
    for file, segment in zip(files, segments, strict=True):
        for position, header in scan(file, 0, segment.size, next_offset=segment.base_offset, check_from_offset=0):
            if header.is_control:
                continue
            for record in _records(file, position, header, config.max_decompressed_bytes):
                if record.key is not None:
                    latest[mmh3.hash_bytes(record.key)] = record.offset
    return latest


def _records(file: File, position: int, header: BatchHeader, max_bytes: int) -> list[Record]:
    return decode_batch(file.read(header.size, position), max_decompressed_bytes=max_bytes)


class _Written(NamedTuple):
    path: str
    size: int
    kept: int
    dropped: int
    last_batch: int


def _write_cleaned(
    log: Log,
    group: Sequence[Segment],
    files: Sequence[File],
    latest: dict[bytes, int],
    resources: Resources,
    now_ms: int,
) -> _Written:
    """Writes the surviving batches of a group of segments to one synced `.cleaned` file."""
    config = log.config
    path = f"{log.directory}/{file_name(group[0].base_offset, LOG_SUFFIX)}{CLEANED_SUFFIX}"
    resources.disk.remove(path)
    out = resources.disk.open(path, create=True)
    size = kept = dropped = 0
    horizon = now_ms - config.delete_retention_ms
    for file, segment in zip(files, group, strict=True):
        for position, header in scan(file, 0, segment.size, next_offset=segment.base_offset, check_from_offset=0):
            batch: bytes | None
            if header.is_control or header.record_count == 0:
                batch = file.read(header.size, position)
            else:
                records = _records(file, position, header, config.max_decompressed_bytes)
                survivors = [record for record in records if _survives(record, latest, horizon)]
                kept += len(survivors)
                dropped += len(records) - len(survivors)
                if len(survivors) == len(records):
                    batch = file.read(header.size, position)
                else:
                    batch = _rebuilt(header, survivors)
            if batch is not None:
                size += out.write((batch,), size)
    out.sync()
    return _Written(path, size, kept, dropped, group[-1].base_offset)


def _survives(record: Record, latest: dict[bytes, int], tombstone_horizon_ms: int) -> bool:
    if record.key is None:
        return True
    if latest.get(mmh3.hash_bytes(record.key), _NO_KEY) > record.offset:
        return False
    return record.value is not None or record.timestamp_ms >= tombstone_horizon_ms


def _rebuilt(header: BatchHeader, survivors: Sequence[Record]) -> bytes | None:
    """Returns a batch with only the survivors, in the same place of offsets and sequences; None if none is needed."""
    if not survivors:
        if header.producer_id == NO_PRODUCER_ID:
            return None
        return reheader(header._replace(record_count=0, attributes=header.attributes & ~COMPRESSION_MASK), b"")
    return rebuild_batch(header, survivors)


def _take(log: Log, group: list[Segment], resources: Resources, written: _Written, now_ms: int) -> None:
    disk: Disk = resources.disk
    base = group[0].base_offset
    begin_swap(log.directory, base, written.last_batch, disk)
    end_swap(log.directory, base, [segment.base_offset for segment in group], disk)
    new = Segment(log.directory, base, resources, size=written.size)
    log.replace_segments(group, new, now_ms)
