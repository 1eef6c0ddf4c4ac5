"""Reading a partition of `__share_group_state`: every record counts, because an update says only what has changed."""

import asyncio
from typing import Final

from logserver_records.batch import Buffer, whole_batches
from logserver_records.codec import decode_batch
from logserver_records.errors import RecordError
from logserver_segments.logs import get_logger
from logserver_segments.reading import Slice

from logserver.broker.partition import Partition
from logserver.coordinator.formats import FormatError, UnknownRecordType, UnknownRecordVersion
from logserver.coordinator.share_state.machine import ShareMachine
from logserver.errors import ErrorCode, LogServerError

_log = get_logger("logserver.coordinator")

_READ_BYTES: Final = 256 * 1024
"""Read and taken in between two turns of the event loop."""
_MAX_DECOMPRESSED: Final = 64 << 20


async def replay(partition: Partition, machine: ShareMachine) -> int:
    """Reads a partition from its start up to its high watermark; returns how many records it has.

    Raises:
        LogServerError: it can't be read; COORDINATOR_NOT_AVAILABLE if it holds something that this version can't
            understand.
    """
    start = offset = partition.log_start_offset
    records = 0
    while offset < partition.high_watermark:
        read = partition.read(offset, _READ_BYTES)
        found = read if isinstance(read, Slice) else await read
        records += _take(partition, found.data, start, machine)
        if found.next_offset <= offset:
            raise damaged(partition, offset, "there is no whole batch")
        offset = found.next_offset
        # The event loop has others to serve.
        await asyncio.sleep(0)
    return records


def damaged(partition: Partition, offset: int, error: Exception | str) -> LogServerError:
    """Returns the error for a record that can't be understood."""
    return LogServerError(
        ErrorCode.coordinator_not_available,
        f"the states of share groups kept in {partition} can't be read: the record at offset {offset} is damaged or of "
        f"a newer version ({error})",
    )


def _take(partition: Partition, data: Buffer, start: int, machine: ShareMachine) -> int:
    count = 0
    for position, header in whole_batches(data):
        if header.is_control:
            continue
        try:
            records = decode_batch(data, position, max_decompressed_bytes=_MAX_DECOMPRESSED, verify_crc=True)
        except RecordError as error:
            raise damaged(partition, header.base_offset, error) from error
        for record in records:
            if record.offset < start:
                continue
            if record.key is None:
                raise damaged(partition, record.offset, "it has no key")
            count += 1
            try:
                machine.apply(record.key, record.value, record.offset, record.timestamp_ms)
            except UnknownRecordVersion as error:
                raise damaged(partition, record.offset, error) from error
            except UnknownRecordType as error:
                # Kafka passes it by, too.
                _log.warning("record passed by", partition=str(partition), offset=record.offset, reason=str(error))
            except FormatError as error:
                raise damaged(partition, record.offset, error) from error
    return count
