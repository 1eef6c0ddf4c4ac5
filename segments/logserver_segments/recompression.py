"""Batches stored with the codec that the topic says, whatever they came with (Kafka: `compression.type`)."""

from logserver_records.batch import COMPRESSION_MASK, HEADER_SIZE, BatchHeader, Buffer, read_header, reheader
from logserver_records.compression import Compression, compress, decompress
from logserver_records.errors import DecompressionLimitExceeded, RecordError

from logserver_segments.config import LogConfig
from logserver_segments.errors import CorruptRecords, InvalidRecords, RecordsTooLarge


def recompress(
    payload: Buffer, batches: list[tuple[int, BatchHeader]], codec: Compression, config: LogConfig
) -> tuple[Buffer, list[tuple[int, BatchHeader]]]:
    """Returns a payload and its batches after compressing those anew that came with another codec.

    Args:
        batches: position and header of each, checked.

    Raises:
        CorruptRecords: the records can't be decompressed.
        InvalidRecords: they would grow beyond the limit.
        RecordsTooLarge: a batch has become larger than `max.message.bytes`.
    """
    if all(header.compression == codec for _, header in batches):
        return payload, batches
    whole: list[Buffer] = []
    changed: list[tuple[int, BatchHeader]] = []
    position = 0
    with memoryview(payload) as view:
        for start, header in batches:
            batch: Buffer = bytes(view[start : start + header.size])
            if header.compression != codec:
                batch = _recompressed(batch, header, codec, config)
                header = read_header(batch)
                if header.size > config.max_message_bytes:
                    raise RecordsTooLarge(
                        f"a record batch has {header.size} bytes with compression.type={codec.label}, which is more "
                        f"than max.message.bytes={config.max_message_bytes} of the topic"
                    )
            whole.append(batch)
            changed.append((position, header))
            position += header.size
    return b"".join(whole), changed


def _recompressed(batch: Buffer, header: BatchHeader, codec: Compression, config: LogConfig) -> bytes:
    with memoryview(batch) as view, view[HEADER_SIZE:] as packed:
        try:
            records = decompress(Compression.of(header.compression), packed, max_bytes=config.max_decompressed_bytes)
        except DecompressionLimitExceeded as error:
            raise InvalidRecords(
                f"{error}; this topic has a compression.type of its own, send smaller batches"
            ) from None
        except RecordError as error:
            raise CorruptRecords(str(error)) from None
    attributes = header.attributes & ~COMPRESSION_MASK | codec
    return reheader(header._replace(attributes=attributes), compress(codec, records, config.compression_level))
