"""Reading a coordinator's partition into memory, record by record."""

import asyncio
from collections.abc import Iterator
from typing import Final, NamedTuple

from logserver_records.batch import Buffer, whole_batches
from logserver_records.codec import Record, decode_batch
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
_ENTRIES_AT_A_TIME: Final = 1_000
"""Applied between two turns."""
_MAX_DECOMPRESSED: Final = 64 << 20


class Loaded(NamedTuple):
    """How much was read."""

    records: int
    next_offset: int


class _Latest(NamedTuple):
    """The last record of a key."""

    value: bytes
    timestamp_ms: int
    offset: int


async def load(shard: GroupShard, partition: Partition) -> Loaded:
    """Reads a partition from its start up to its high watermark into a shard.

    Only the last record of each key counts, as after a compaction that has got everything; the others are not even
    decoded.

    Raises:
        LogServerError: it can't be read, or holds something that this version can't understand.
    """
    offset = partition.log_start_offset
    records = 0
    latest: dict[bytes, _Latest] = {}
    while offset < partition.high_watermark:
        read = partition.read(offset, _READ_BYTES)
        found = read if isinstance(read, Slice) else await read
        for record in _records(partition, found.data):
            records += 1
            key = record.key
            if key is None:
                raise _damaged(partition, record.offset, "it has no key")
            # In the order of the last records, because that is the one that makes sense.
            latest.pop(key, None)
            if record.value is not None:
                latest[key] = _Latest(record.value, record.timestamp_ms, record.offset)
        if found.next_offset <= offset:
            raise _damaged(partition, offset, "there is no whole batch")
        offset = found.next_offset
        # The event loop has others to serve.
        await asyncio.sleep(0)
    for number, (key, (value, timestamp_ms, at)) in enumerate(latest.items(), 1):
        entry = _decoded(partition, key, value, at)
        if entry is not None:
            shard.apply(*entry, timestamp_ms)
        if number % _ENTRIES_AT_A_TIME == 0:
            await asyncio.sleep(0)
    return Loaded(records, offset)


def _records(partition: Partition, data: Buffer) -> Iterator[Record]:
    for position, header in whole_batches(data):
        if header.is_control:
            continue
        try:
            yield from decode_batch(data, position, max_decompressed_bytes=_MAX_DECOMPRESSED, verify_crc=True)
        except RecordError as error:
            raise _damaged(partition, header.base_offset, error) from error


def _decoded(partition: Partition, key: bytes, value: bytes, offset: int) -> tuple[Key, Value | None] | None:
    """Returns what a record says; None if it is of a type that is not known here, which Kafka passes by, too."""
    try:
        return decode(key, value)
    except UnknownRecordVersion as error:
        raise _damaged(partition, offset, error) from error
    except UnknownRecordType as error:
        _log.warning("record passed by", partition=str(partition), offset=offset, reason=str(error))
        return None
    except FormatError as error:
        raise _damaged(partition, offset, error) from error


def _damaged(partition: Partition, offset: int, error: Exception | str) -> LogServerError:
    return LogServerError(
        ErrorCode.coordinator_not_available,
        f"the groups kept in {partition} can't be read: the record at offset {offset} is damaged or of a newer version "
        f"({error})",
    )
