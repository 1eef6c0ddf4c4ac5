"""Reading a coordinator's partition into memory, record by record."""

import asyncio
from collections.abc import Iterator
from typing import Final, NamedTuple

from logserver_records.batch import Buffer, whole_batches
from logserver_records.codec import decode_batch
from logserver_records.errors import RecordError
from logserver_segments.logs import get_logger
from logserver_segments.reading import Slice

from logserver.broker.partition import Partition
from logserver.coordinator.formats import FormatError, Key, UnknownRecordType, UnknownRecordVersion, Value, decode
from logserver.coordinator.shard import GroupShard
from logserver.errors import ErrorCode, LogServerError

_log = get_logger("logserver.coordinator")

_READ_BYTES: Final = 256 * 1024
"""Read and taken in between two turns of the event loop: a few milliseconds' worth."""
_MAX_DECOMPRESSED: Final = 64 << 20


class Loaded(NamedTuple):
    """How much was read."""

    records: int
    next_offset: int


async def load(shard: GroupShard, partition: Partition) -> Loaded:
    """Reads a partition from its start up to its high watermark into a shard.

    Raises:
        LogServerError: it can't be read, or holds something that this version can't understand.
    """
    offset = partition.log_start_offset
    records = 0
    while offset < partition.high_watermark:
        read = partition.read(offset, _READ_BYTES)
        found = read if isinstance(read, Slice) else await read
        for key, value, timestamp_ms in _entries(partition, found.data):
            shard.apply(key, value, timestamp_ms)
            records += 1
        offset = found.next_offset
        # The event loop has others to serve.
        await asyncio.sleep(0)
    return Loaded(records, offset)


def _entries(partition: Partition, data: Buffer) -> Iterator[tuple[Key, Value | None, int]]:
    for position, header in whole_batches(data):
        if header.is_control:
            continue
        try:
            records = decode_batch(data, position, max_decompressed_bytes=_MAX_DECOMPRESSED)
        except RecordError as error:
            raise _damaged(partition, header.base_offset, error) from error
        for record in records:
            try:
                key, value = decode(record.key, record.value)
            except UnknownRecordVersion as error:
                raise _damaged(partition, record.offset, error) from error
            except UnknownRecordType as error:
                _log.warning("record passed by", partition=str(partition), offset=record.offset, reason=str(error))
                continue
            except FormatError as error:
                raise _damaged(partition, record.offset, error) from error
            yield key, value, record.timestamp_ms


def _damaged(partition: Partition, offset: int, error: Exception) -> LogServerError:
    return LogServerError(
        ErrorCode.coordinator_not_available,
        f"the groups kept in {partition} can't be read: the record at offset {offset} is damaged or of a newer version "
        f"({error})",
    )
