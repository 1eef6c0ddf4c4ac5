"""Reading a coordinator's partition into memory, record by record."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, TypeVar

from logserver_records.batch import Buffer, whole_batches
from logserver_records.codec import Record, decode_batch
from logserver_records.errors import RecordError
from logserver_segments.logs import get_logger
from logserver_segments.reading import Slice

from logserver.broker.partition import Partition
from logserver.coordinator.formats import FormatError, UnknownRecordType, UnknownRecordVersion
from logserver.errors import ErrorCode, LogServerError

_log = get_logger("logserver.coordinator")

K = TypeVar("K")
V = TypeVar("V")

_READ_BYTES: Final = 256 * 1024
"""Read and taken in between two turns of the event loop: a few milliseconds' worth."""
_ENTRIES_AT_A_TIME: Final = 1_000
"""Applied between two turns."""
_MAX_DECOMPRESSED: Final = 64 << 20


class _Latest(NamedTuple):
    """The last record of a key."""

    value: bytes
    timestamp_ms: int
    offset: int


async def replay(
    partition: Partition,
    what: str,
    decode: Callable[[bytes, bytes], tuple[K, V]],
    apply: Callable[[K, V, int], None],
) -> int:
    """Reads a partition from its start up to its high watermark; returns how many records it has.

    Only the last record of each key counts, as after a compaction that has got everything; the others are not even
    decoded.

    Args:
        what: is kept there, for messages.
        decode: returns key and value of a record.
        apply: takes a key, a value and the time of the record.

    Raises:
        LogServerError: it can't be read; COORDINATOR_NOT_AVAILABLE if it holds something that this version can't
            understand.
    """
    offset = partition.log_start_offset
    records = 0
    latest: dict[bytes, _Latest] = {}
    while offset < partition.high_watermark:
        read = partition.read(offset, _READ_BYTES)
        found = read if isinstance(read, Slice) else await read
        for record in _records(partition, what, found.data):
            records += 1
            key = record.key
            if key is None:
                raise _damaged(partition, what, record.offset, "it has no key")
            # In the order of the last records, because that is the one that makes sense.
            latest.pop(key, None)
            if record.value is not None:
                latest[key] = _Latest(record.value, record.timestamp_ms, record.offset)
        if found.next_offset <= offset:
            raise _damaged(partition, what, offset, "there is no whole batch")
        offset = found.next_offset
        # The event loop has others to serve.
        await asyncio.sleep(0)
    for number, (key, (value, timestamp_ms, at)) in enumerate(latest.items(), 1):
        try:
            entry = decode(key, value)
        except UnknownRecordVersion as error:
            raise _damaged(partition, what, at, error) from error
        except UnknownRecordType as error:
            # Kafka passes it by, too.
            _log.warning("record passed by", partition=str(partition), offset=at, reason=str(error))
            continue
        except FormatError as error:
            raise _damaged(partition, what, at, error) from error
        apply(*entry, timestamp_ms)
        if number % _ENTRIES_AT_A_TIME == 0:
            await asyncio.sleep(0)
    return records


def _records(partition: Partition, what: str, data: Buffer) -> Iterator[Record]:
    for position, header in whole_batches(data):
        if header.is_control:
            continue
        try:
            yield from decode_batch(data, position, max_decompressed_bytes=_MAX_DECOMPRESSED, verify_crc=True)
        except RecordError as error:
            raise _damaged(partition, what, header.base_offset, error) from error


def _damaged(partition: Partition, what: str, offset: int, error: Exception | str) -> LogServerError:
    return LogServerError(
        ErrorCode.coordinator_not_available,
        f"the {what} kept in {partition} can't be read: the record at offset {offset} is damaged or of a newer version "
        f"({error})",
    )
