"""Record batches: built for both servers alike, damaged on purpose, and read back for the comparison."""

from struct import Struct
from typing import Any, Final

import crc32c
from logserver_records.codec import build_batch, decode_batch
from logserver_records.compression import Compression
from logserver_records.errors import RecordError

_HEAD: Final = Struct(">qiibIhiqqqhii")
"""Base offset, length, leader epoch, magic, CRC, attributes, last offset delta, first and largest timestamp, producer
id, producer epoch, base sequence, count."""
_FIELDS: Final = (
    "base_offset",
    "size",
    "partition_leader_epoch",
    "magic",
    "crc",
    "attributes",
    "last_offset_delta",
    "base_timestamp",
    "max_timestamp",
    "producer_id",
    "producer_epoch",
    "base_sequence",
    "count",
)
_CRC_AT: Final = 17
_CHECKED_FROM: Final = 21
_LENGTH_COUNTED_FROM: Final = 12
_MOST_BYTES: Final = 1 << 26


def batch(
    *values: str | None,
    at_ms: int,
    key: str | None = None,
    compression: Compression = Compression.NONE,
    producer: tuple[int, int, int] = (-1, -1, -1),
) -> bytes:
    """Returns a batch of records, a millisecond after each other.

    Args:
        producer: id, epoch and base sequence.
    """
    coded_key = None if key is None else key.encode()
    records = [
        (at_ms + number, coded_key, None if value is None else value.encode(), ())
        for number, value in enumerate(values)
    ]
    made = build_batch(records, compression=compression)
    return patched(made, producer_id=producer[0], producer_epoch=producer[1], base_sequence=producer[2])


def patched(data: bytes, *, is_crc_right: bool = True, **fields: int) -> bytes:
    """Returns a batch with other values in its header.

    Args:
        is_crc_right: whether the CRC is that of the new header.
    """
    values = dict(zip(_FIELDS, _HEAD.unpack_from(data), strict=True)) | fields
    out = bytearray(_HEAD.pack(*values.values()) + data[_HEAD.size :])
    if is_crc_right and "crc" not in fields:
        out[_CRC_AT:_CHECKED_FROM] = Struct(">I").pack(crc32c.crc32c(out[_CHECKED_FROM:]))
    return bytes(out)


def _records(data: bytes) -> list[str]:
    try:
        records = decode_batch(data, 0, max_decompressed_bytes=_MOST_BYTES, verify_crc=False)
    except RecordError:
        return ["they can't be read"]
    return [f"{record.offset} @{record.timestamp_ms} {record.key!r}={record.value!r}" for record in records]


def read_back(data: bytes) -> list[dict[str, Any]]:
    """Returns the whole batches of a fetch: header and records; what is left behind them by its size."""
    found: list[dict[str, Any]] = []
    position = 0
    while position + _HEAD.size <= len(data):
        header = dict(zip(_FIELDS, _HEAD.unpack_from(data, position), strict=True))
        end = position + _LENGTH_COUNTED_FROM + header["size"]
        if end > len(data):
            break
        header["crc"] = "right" if crc32c.crc32c(data[position + _CHECKED_FROM : end]) == header["crc"] else "wrong"
        if header["attributes"] & 7:
            # Compressors differ in what they make of the same records.
            header["size"] = "compressed"
        header["records"] = _records(data[position:end])
        found.append(header)
        position = end
    if position < len(data):
        found.append({"bytes_left": len(data) - position})
    return found
