"""Plain `Record` messages to record batches and back, for clients that do not build batches."""

from collections.abc import Iterator

from logserver_records.batch import Buffer, whole_batches
from logserver_records.codec import build_batch, decode_batch
from logserver_records.errors import DecompressionLimitExceeded, RecordError
from logserverpb.v1 import common_pb2

from logserver.errors import ErrorCode, LogServerError


def to_batch(records: common_pb2.RecordList, now_ms: int) -> bytes:
    """Returns one uncompressed record batch of plain records.

    Raises:
        LogServerError: INVALID_RECORD if there are none, or one can't be encoded.
    """
    if not records.records:
        raise LogServerError(ErrorCode.invalid_record, "records holds no record")
    try:
        return build_batch(
            (
                record.timestamp if record.HasField("timestamp") else now_ms,
                record.key if record.HasField("key") else None,
                record.value if record.HasField("value") else None,
                [(header.key, header.value if header.HasField("value") else None) for header in record.headers],
            )
            for record in records.records
        )
    except RecordError as error:
        raise LogServerError(ErrorCode.invalid_record, str(error)) from None


def from_batches(batches: Buffer, from_offset: int, max_decompressed_bytes: int) -> Iterator[common_pb2.Record]:
    """Yields the records of whole batches from an offset on; control batches are passed over.

    Raises:
        LogServerError: CORRUPT_MESSAGE, or INVALID_RECORD if a batch is larger than the limit when decompressed.
    """
    view = memoryview(batches)
    for position, header in whole_batches(batches):
        if header.is_control:
            continue
        try:
            records = decode_batch(view, position, max_decompressed_bytes=max_decompressed_bytes)
        except DecompressionLimitExceeded as error:
            raise LogServerError(
                ErrorCode.invalid_record,
                f"the batch at offset {header.base_offset} can't be sent as plain records: {error} "
                f"(record.batch.max.decompressed.bytes); read it as batches, or from offset {header.next_offset} on",
            ) from None
        except RecordError as error:
            raise LogServerError(
                ErrorCode.corrupt_message,
                f"the batch at offset {header.base_offset} can't be decoded: {error}; "
                f"read it as batches, or from offset {header.next_offset} on",
            ) from None
        for record in records:
            if record.offset < from_offset:
                continue
            yield common_pb2.Record(
                key=record.key,
                value=record.value,
                headers=[common_pb2.Header(key=key, value=value) for key, value in record.headers],
                timestamp=record.timestamp_ms,
                offset=record.offset,
            )
