"""What a payload from a client must be before it may be appended (Kafka: `LogValidator`).

The header of each batch is looked at, never its records, except on a compacted topic, where each needs a key.
"""

from logserver_records.batch import (
    LENGTH_OVERHEAD,
    NO_PRODUCER_ID,
    NO_SEQUENCE,
    NO_TIMESTAMP,
    BatchHeader,
    Buffer,
    check_crc,
    next_batch,
)
from logserver_records.codec import decode_batch
from logserver_records.errors import DecompressionLimitExceeded, RecordError

from logserver_segments.config import NEVER_MS, LogConfig
from logserver_segments.errors import CorruptRecords, InvalidRecords, InvalidTimestamp, RecordsTooLarge

_LEAST_RECORD_BYTES = 7
"""Length, attributes, two deltas, key length, value length, header count: a byte each."""


def check_payload(payload: Buffer, config: LogConfig, now_ms: int) -> list[tuple[int, BatchHeader]]:
    """Returns (position, header) of each batch of a client's payload after checking them all.

    Raises:
        CorruptRecords: cut short, wrong CRC, a length or count beyond the bytes, another magic.
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
            _check_header(header, config, now_ms)
            check_crc(payload, position, header)
            batches.append((position, header))
            position += header.batch_length + LENGTH_OVERHEAD
        if config.compact:
            for at, _ in batches:
                _check_keys(payload, at, config)
    except RecordError as error:
        raise CorruptRecords(str(error)) from None
    if len(batches) > 1 and any(header.producer_id != NO_PRODUCER_ID for _, header in batches):
        raise InvalidRecords(f"an idempotent payload must hold one record batch, this one holds {len(batches)}")
    return batches


def _check_header(header: BatchHeader, config: LogConfig, now_ms: int) -> None:
    size = header.batch_length + LENGTH_OVERHEAD
    if size > config.max_message_bytes:
        raise RecordsTooLarge(
            f"a record batch of {size} bytes is larger than max.message.bytes={config.max_message_bytes} of the topic; "
            f"send smaller records or batches, or raise that setting"
        )
    count = header.record_count
    if count <= 0 or header.last_offset_delta != count - 1:
        raise CorruptRecords(
            f"a record batch claims {count} records and a last offset delta of {header.last_offset_delta}"
        )
    # What is compressed may hold more than its size says, but not more than readers would decompress.
    room = size if not header.compression else config.max_decompressed_bytes
    if count * _LEAST_RECORD_BYTES > room:
        raise CorruptRecords(f"a record batch claims {count} records, more than {room} bytes can hold")
    if header.compression > 4:
        raise InvalidRecords(f"compression codec {header.compression} is not known")
    if header.attributes & 0x38:
        _check_attributes(header)
    if header.producer_id != NO_PRODUCER_ID:
        if header.producer_id < 0 or header.producer_epoch < 0 or header.base_sequence < 0:
            raise InvalidRecords(
                f"an idempotent record batch needs producer id, epoch and sequence of at least 0, it has "
                f"{header.producer_id}, {header.producer_epoch} and {header.base_sequence}"
            )
    elif header.base_sequence != NO_SEQUENCE:
        raise InvalidRecords(f"a record batch has the sequence {header.base_sequence} but no producer id")
    if not config.log_append_time:
        _check_timestamps(header, config, now_ms)


def _check_attributes(header: BatchHeader) -> None:
    if header.is_control:
        raise InvalidRecords("a client may not send control batches")
    if header.is_transactional:
        raise InvalidRecords("transactional record batches are not supported by this server")
    if header.is_log_append_time:
        raise InvalidTimestamp("a client may not set the timestamp type LogAppendTime; the topic's setting decides")


def _check_timestamps(header: BatchHeader, config: LogConfig, now_ms: int) -> None:
    latest = header.max_timestamp
    if latest > now_ms + config.timestamp_after_max_ms:
        raise InvalidTimestamp(
            f"the timestamp {latest} is {latest - now_ms} ms ahead of the server's clock, more than "
            f"message.timestamp.after.max.ms={config.timestamp_after_max_ms}"
        )
    earliest = header.base_timestamp
    if (
        config.timestamp_before_max_ms != NEVER_MS
        and earliest != NO_TIMESTAMP
        and earliest < now_ms - config.timestamp_before_max_ms
    ):
        raise InvalidTimestamp(
            f"the timestamp {earliest} is {now_ms - earliest} ms behind the server's clock, more than "
            f"message.timestamp.before.max.ms={config.timestamp_before_max_ms}"
        )


def _check_keys(payload: Buffer, position: int, config: LogConfig) -> None:
    try:
        records = decode_batch(payload, position, max_decompressed_bytes=config.max_decompressed_bytes)
    except DecompressionLimitExceeded as error:
        raise InvalidRecords(
            f"{error}; a compacted topic's records are decoded when they arrive, send smaller batches"
        ) from None
    for number, record in enumerate(records):
        if record.key is None:
            raise InvalidRecords(f"record {number} has no key; a topic with cleanup.policy=compact needs one")
