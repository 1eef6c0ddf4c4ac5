"""What a payload from a client must be before it may be appended (Kafka: `LogValidator`).

The header of each batch is looked at, never its records, except where a setting of the topic is about each of them, and
to name those that an error is about.
"""

from typing import Final

from logserver_records.batch import (
    HEADER_SIZE,
    LENGTH_OVERHEAD,
    MAGIC,
    NO_PRODUCER_ID,
    NO_TIMESTAMP,
    BatchHeader,
    Buffer,
    check_crc,
    next_batch,
    read_header,
)
from logserver_records.codec import Record, decode_batch
from logserver_records.errors import DecompressionLimitExceeded, RecordError, UnsupportedBatch

from logserver_segments.config import NEVER_MS, LogConfig
from logserver_segments.errors import (
    CorruptRecords,
    InvalidRecords,
    InvalidTimestamp,
    RecordsTooLarge,
    RefusedRecord,
)

_LEAST_RECORD_BYTES: Final = 7
"""Length, attributes, two deltas, key length, value length, header count: a byte each."""
_MOST_REFUSED: Final = 1000
"""So many records are named at most."""


def check_payload(payload: Buffer, config: LogConfig, now_ms: int) -> list[tuple[int, BatchHeader]]:
    """Returns (position, header) of each batch of a client's payload after checking them all.

    Raises:
        CorruptRecords: cut short, wrong CRC, another magic, records that can't be decoded.
        RecordsTooLarge: a batch is larger than `max.message.bytes`.
        InvalidTimestamp: a timestamp is too far in the past or future.
        InvalidRecords: anything else that a producer may not send.
    """
    batches: list[tuple[int, BatchHeader]] = []
    position = 0
    end = len(payload)
    if not end:
        raise InvalidRecords("the payload holds no record batch")
    try:
        while position < end:
            header = next_batch(payload, position)
            size = header.batch_length + LENGTH_OVERHEAD
            if size > config.max_message_bytes:
                raise _too_large(size, config)
            check_crc(payload, position, header)
            if _check_header(header, config, now_ms):
                _check_records(payload, position, header, config, now_ms)
            batches.append((position, header))
            position += size
    except DecompressionLimitExceeded as error:
        raise InvalidRecords(
            f"{error}; the records of this topic are decoded when they arrive, send smaller batches"
        ) from None
    except RecordError as error:
        if _is_intact(payload, position, error):
            raise InvalidRecords(str(error)) from None
        raise CorruptRecords(str(error)) from None
    if len(batches) > 1 and any(header.producer_id != NO_PRODUCER_ID for _, header in batches):
        raise InvalidRecords(f"an idempotent payload must hold one record batch, this one holds {len(batches)}")
    return batches


def _too_large(size: int, config: LogConfig) -> RecordsTooLarge:
    return RecordsTooLarge(
        f"a record batch of {size} bytes is larger than max.message.bytes={config.max_message_bytes} of the topic; "
        f"send smaller records or batches, or raise that setting"
    )


def _is_intact(payload: Buffer, position: int, error: RecordError) -> bool:
    """Whether the bytes at a position are as they were sent: then it is of no use to send them again."""
    if isinstance(error, UnsupportedBatch) or len(payload) - position < HEADER_SIZE:
        return False
    header = read_header(payload, position)
    if header.magic != MAGIC or not 0 <= header.batch_length <= len(payload) - position - LENGTH_OVERHEAD:
        return False
    try:
        check_crc(payload, position, header)
    except RecordError:
        return False
    return True


def _check_header(header: BatchHeader, config: LogConfig, now_ms: int) -> bool:
    """Checks a header; returns whether the records have to be looked at as well."""
    count = header.record_count
    if count <= 0 or header.last_offset_delta != count - 1:
        raise InvalidRecords(
            f"a record batch claims {count} records and a last offset delta of {header.last_offset_delta}"
        )
    compression = header.attributes & 0x07
    # What is compressed may hold more than its size says, but not more than readers would decompress.
    room = config.max_decompressed_bytes if compression else header.batch_length
    if count * _LEAST_RECORD_BYTES > room:
        raise InvalidRecords(f"a record batch claims {count} records, more than {room} bytes can hold")
    if compression > 4:
        raise InvalidRecords(f"compression codec {compression} is not known")
    if header.attributes & 0x38:
        _check_attributes(header)
    # A sequence without a producer id means nothing: KafkaJS sends one in every batch.
    if header.producer_id != NO_PRODUCER_ID and (
        header.producer_id < 0 or header.producer_epoch < 0 or header.base_sequence < 0
    ):
        raise InvalidRecords(
            f"an idempotent record batch needs producer id, epoch and sequence of at least 0, it has "
            f"{header.producer_id}, {header.producer_epoch} and {header.base_sequence}"
        )
    return looks_at_records(header, config, now_ms)


def looks_at_records(header: BatchHeader, config: LogConfig, now_ms: int) -> bool:
    """Whether the records of a batch have to be decoded to say that they may be appended."""
    if config.compact:
        return True
    return not config.log_append_time and (
        config.timestamp_before_max_ms != NEVER_MS or header.max_timestamp > now_ms + config.timestamp_after_max_ms
    )


def _check_attributes(header: BatchHeader) -> None:
    if header.is_control:
        raise InvalidRecords("a client may not send control batches")
    if header.is_transactional and header.producer_id == NO_PRODUCER_ID:
        raise InvalidRecords("a transactional record batch needs a producer id")
    if header.is_log_append_time:
        reason = "a client may not set the timestamp type LogAppendTime; the topic's setting decides"
        count = min(header.record_count, _MOST_REFUSED)
        raise InvalidTimestamp(reason, [RefusedRecord(index, reason) for index in range(count)])


def _check_records(payload: Buffer, position: int, header: BatchHeader, config: LogConfig, now_ms: int) -> None:
    """Checks each record: on a compacted topic for its key, for its timestamp where that is the record's own."""
    refused: list[RefusedRecord] = []
    is_about_time = False
    records = decode_batch(payload, position, max_decompressed_bytes=config.max_decompressed_bytes)
    for index, record in enumerate(records):
        if config.compact and record.key is None:
            reason = f"record {index} has no key; a topic with cleanup.policy=compact needs one"
        elif config.log_append_time or (late := _wrong_time(record, config, now_ms)) is None:
            continue
        else:
            reason = f"record {index}: {late}"
            is_about_time = True
        refused.append(RefusedRecord(index, reason))
        if len(refused) == _MOST_REFUSED:
            break
    if refused:
        more = f" ({len(refused)} records in all)" if len(refused) > 1 else ""
        raise (InvalidTimestamp if is_about_time else InvalidRecords)(refused[0].reason + more, refused)
    if not config.log_append_time and header.max_timestamp > now_ms + config.timestamp_after_max_ms:
        raise InvalidTimestamp(
            f"the record batch claims the timestamp {header.max_timestamp}, which none of its records has and which is "
            f"{_ahead(header.max_timestamp, config, now_ms)}"
        )


def _wrong_time(record: Record, config: LogConfig, now_ms: int) -> str | None:
    """Returns what is wrong with the timestamp of a record, or None."""
    timestamp_ms = record.timestamp_ms
    if timestamp_ms == NO_TIMESTAMP:
        return None
    if timestamp_ms > now_ms + config.timestamp_after_max_ms:
        return f"the timestamp {timestamp_ms} is {_ahead(timestamp_ms, config, now_ms)}"
    if timestamp_ms < now_ms - config.timestamp_before_max_ms:
        return (
            f"the timestamp {timestamp_ms} is {now_ms - timestamp_ms} ms behind the server's clock, more than "
            f"message.timestamp.before.max.ms={config.timestamp_before_max_ms}"
        )
    return None


def _ahead(timestamp_ms: int, config: LogConfig, now_ms: int) -> str:
    return (
        f"{timestamp_ms - now_ms} ms ahead of the server's clock, more than "
        f"message.timestamp.after.max.ms={config.timestamp_after_max_ms}"
    )
