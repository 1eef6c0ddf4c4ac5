"""What Produce demands of the records of a partition, before the log looks at them (Kafka: `ProduceRequest`)."""

from struct import Struct as Packed
from typing import Final

from logserver_records.batch import COMPRESSION_MASK, HEADER_SIZE, LENGTH_OVERHEAD, MAGIC
from logserver_records.compression import Compression

from logserver.errors import ErrorCode, LogServerError

_HEAD: Final = Packed(">qi4xb4xh")
"""Base offset, length, magic, attributes."""
_LENGTH: Final = Packed(">8xi")
_MAGIC_AT: Final = 16
_LEAST_LENGTH: Final = 14
"""That of the smallest message of any format."""
_ZSTD: Final = 7


def one_batch(records: memoryview, version: int) -> memoryview:
    """Returns the one batch that records must be.

    Raises:
        LogServerError: INVALID_RECORD, CORRUPT_MESSAGE or UNSUPPORTED_COMPRESSION_TYPE.
    """
    size = len(records)
    if size >= HEADER_SIZE:
        base_offset, length, magic, attributes = _HEAD.unpack_from(records)
        if length + LENGTH_OVERHEAD == size and magic == MAGIC and not base_offset:
            if attributes & COMPRESSION_MASK == Compression.ZSTD and version < _ZSTD:
                raise _no_zstd(version)
            return records
    return _first_of(records, version)


def _no_zstd(version: int) -> LogServerError:
    return LogServerError(
        ErrorCode.unsupported_compression_type, f"zstd needs version {_ZSTD} of Produce, this is version {version}"
    )


def _first_of(records: memoryview, version: int) -> memoryview:
    """Returns the batch of records that are one with something behind it, or raises what is wrong with them.

    A last batch that is cut short does not count, as in Kafka: neither is it an error behind a whole one.
    """
    size = _whole_size(records)
    if size is None:
        raise _invalid("a partition's records must be a whole record batch")
    if records[_MAGIC_AT] != MAGIC:
        raise _invalid(f"a record batch with magic {records[_MAGIC_AT]}; this server takes magic {MAGIC} only")
    if size < HEADER_SIZE:
        raise LogServerError(ErrorCode.corrupt_message, f"a record batch of {size} bytes, a header takes {HEADER_SIZE}")
    base_offset, _, _, attributes = _HEAD.unpack_from(records)
    if attributes & COMPRESSION_MASK == Compression.ZSTD and version < _ZSTD:
        raise _no_zstd(version)
    if _whole_size(records[size:]) is not None:
        raise _invalid("a partition's records must be exactly one record batch, there are more")
    if base_offset:
        raise _invalid(f"the base offset of a record batch must be 0, it is {base_offset}")
    return records[:size]


def _whole_size(records: memoryview) -> int | None:
    """Returns the size of the first batch; None if it is not whole.

    Raises:
        LogServerError: CORRUPT_MESSAGE where no message of any format can be.
    """
    if len(records) < LENGTH_OVERHEAD:
        return None
    length: int = _LENGTH.unpack_from(records)[0]
    if length < _LEAST_LENGTH:
        raise LogServerError(ErrorCode.corrupt_message, f"a record batch claims a length of {length}")
    if len(records) <= _MAGIC_AT:
        return None
    if records[_MAGIC_AT] > MAGIC:
        raise LogServerError(
            ErrorCode.corrupt_message, f"a record batch with magic {records[_MAGIC_AT]}; Kafka has 0 to {MAGIC}"
        )
    size = length + LENGTH_OVERHEAD
    return size if size <= len(records) else None


def _invalid(message: str) -> LogServerError:
    return LogServerError(ErrorCode.invalid_record, message)
