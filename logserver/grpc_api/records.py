"""Plain `Record` messages to record batches and back, for clients that do not build batches."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from logserver_records.batch import BatchHeader, Buffer, whole_batches
from logserver_records.codec import BatchBuilder, decode_batch
from logserver_records.errors import DecompressionLimitExceeded, RecordError
from logserverpb.v1 import common_pb2

from logserver.errors import ErrorCode, LogServerError

_OBJECT_BYTES: Final = 256
"""What a decoded record takes in memory beside its key and value."""


class Plain(NamedTuple):
    """Records in plain form, and the offset behind the last batch that was looked at."""

    records: Sequence[common_pb2.Record]
    next_offset: int
    size_bytes: int


def to_batch(records: common_pb2.RecordList, now_ms: int, max_bytes: int) -> bytes:
    """Returns one uncompressed record batch of plain records.

    Args:
        max_bytes: the topic's `max.message.bytes`. A batch over it is not built to its end; a single record is.

    Raises:
        LogServerError: INVALID_RECORD if there are none or one can't be encoded, MESSAGE_TOO_LARGE.
    """
    if not records.records:
        raise LogServerError(ErrorCode.invalid_record, "records holds no record")
    builder = BatchBuilder(max_bytes)
    for number, record in enumerate(records.records):
        try:
            taken = builder.append(
                record.timestamp if record.HasField("timestamp") else now_ms,
                record.key if record.HasField("key") else None,
                record.value if record.HasField("value") else None,
                [(header.key, header.value if header.HasField("value") else None) for header in record.headers],
            )
        except (RecordError, ValueError) as error:
            raise LogServerError(ErrorCode.invalid_record, f"record {number} of the list: {error}") from None
        if not taken:
            raise LogServerError(
                ErrorCode.message_too_large,
                f"{len(records.records)} records make a record batch larger than max.message.bytes={max_bytes} of the "
                f"topic, {number} of them fit; send fewer at a time, or raise that setting",
            )
    return builder.build()


def from_batches(batches: Buffer, from_offset: int, max_bytes: int, max_decompressed_bytes: int) -> Plain:
    """Returns the records of whole batches from an offset on; control batches are passed over.

    Ends behind the batch with which the records reach `max_bytes`, so that what is decompressed is bounded, and before
    one that can't be decoded: that is an error only if it is the first with records.

    Raises:
        LogServerError: CORRUPT_MESSAGE, or INVALID_RECORD if a batch is larger than the limit when decompressed.
    """
    view = memoryview(batches)
    records: list[common_pb2.Record] = []
    size_bytes = 0
    next_offset = from_offset
    for position, header in whole_batches(batches):
        if size_bytes >= max_bytes:
            break
        if not header.is_control:
            try:
                found = _decode(view, position, header, from_offset, max_decompressed_bytes)
            except LogServerError:
                if records:
                    break
                raise
            records += found
            size_bytes += sum(record.ByteSize() for record in found)
        next_offset = header.next_offset
    return Plain(records, next_offset, size_bytes)


def _decode(
    view: memoryview, position: int, header: BatchHeader, from_offset: int, max_decompressed_bytes: int
) -> list[common_pb2.Record]:
    elsewhere = f"read it as batches, or from offset {header.next_offset} on"
    if header.record_count * _OBJECT_BYTES > max_decompressed_bytes:
        raise LogServerError(
            ErrorCode.invalid_record,
            f"the batch at offset {header.base_offset} can't be sent as plain records: it holds {header.record_count} "
            f"of them, and record.batch.max.decompressed.bytes={max_decompressed_bytes} allows "
            f"{max_decompressed_bytes // _OBJECT_BYTES}; {elsewhere}",
        )
    try:
        records = decode_batch(view, position, max_decompressed_bytes=max_decompressed_bytes)
    except DecompressionLimitExceeded as error:
        raise LogServerError(
            ErrorCode.invalid_record,
            f"the batch at offset {header.base_offset} can't be sent as plain records: {error} "
            f"(record.batch.max.decompressed.bytes); {elsewhere}",
        ) from None
    except RecordError as error:
        raise LogServerError(
            ErrorCode.corrupt_message,
            f"the batch at offset {header.base_offset} can't be decoded: {error}; {elsewhere}",
        ) from None
    return [
        common_pb2.Record(
            key=record.key,
            value=record.value,
            headers=[common_pb2.Header(key=key, value=value) for key, value in record.headers],
            timestamp=record.timestamp_ms,
            offset=record.offset,
        )
        for record in records
        if record.offset >= from_offset
    ]
