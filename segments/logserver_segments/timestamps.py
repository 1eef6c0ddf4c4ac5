"""Finding a record by its time. Decodes the one batch that holds it."""

from logserver_records.codec import decode_batch
from logserver_records.errors import RecordError

from logserver_segments.errors import CorruptRecords
from logserver_segments.partition_log import TimestampOffset
from logserver_segments.reading import Fetch, find_batch, find_timestamp


def first_record_at(
    fetch: Fetch, start: int, end: int, timestamp_ms: int | None, from_offset: int, max_decompressed_bytes: int
) -> TimestampOffset | None:
    """Returns the first record at or behind `from_offset` with at least a timestamp, in a range of a segment.

    With None for the timestamp: the first of those that have the largest one. May block on the disk.

    Args:
        start: position of a batch; no record before it matters.
        end: position where what may be read ends.

    Raises:
        BadBatch: the range does not hold batches.
        CorruptRecords: the batch can't be decoded.
    """
    if timestamp_ms is None:
        timestamp_ms = _largest(fetch, start, end, from_offset)
        if timestamp_ms is None:
            return None
    position = start
    while True:
        found = find_timestamp(fetch, position, end, timestamp_ms, from_offset)
        if found is None:
            return None
        try:
            batch = fetch(found.position, found.header.size)
            records = decode_batch(batch, max_decompressed_bytes=max_decompressed_bytes)
        except RecordError as error:
            raise CorruptRecords(f"the batch at offset {found.header.base_offset} can't be decoded: {error}") from None
        for record in records:
            if record.offset >= from_offset and record.timestamp_ms >= timestamp_ms:
                return TimestampOffset(record.offset, record.timestamp_ms)
        position = found.position + found.header.size


def _largest(fetch: Fetch, start: int, end: int, from_offset: int) -> int | None:
    largest: int | None = None
    position = start
    while (found := find_batch(fetch, position, end, from_offset)) is not None:
        header = found.header
        if header.record_count and not header.is_control and (largest is None or header.max_timestamp > largest):
            largest = header.max_timestamp
        position = found.position + header.size
    return largest
