"""Record batches, and what is compressed in them."""

import contextlib
import struct
from collections.abc import Iterator

from crc32c import crc32c
from logserver_records.batch import CRC_START, check_crc, next_batch, whole_batches
from logserver_records.codec import build_batch, decode_batch
from logserver_records.compression import Compression, compress, decompress
from logserver_records.control import ControlType, EndTransactionMarker, build_marker, parse_marker
from logserver_records.errors import RecordError
from logserver_segments.errors import StorageError
from logserver_segments.validation import check_payload

from tests.fuzz.targets.target import Target
from tests.segments.support import NOW, SMALL

MOST_BYTES = 1 << 16
_CRC_AT = 17


def with_crc(data: bytes) -> bytes:
    """Makes the checksum of a batch right: it is no proof of good intent."""
    if len(data) <= CRC_START:
        return data
    return data[:_CRC_AT] + struct.pack(">I", crc32c(data[CRC_START:])) + data[CRC_START:]


def batches(data: bytes) -> None:
    """Record batches as a client sends them: checked, and decoded."""
    data = with_crc(data)
    with contextlib.suppress(RecordError, StorageError):
        check_payload(data, SMALL, NOW)
    with contextlib.suppress(RecordError):
        check_crc(data, 0, next_batch(data, 0))
    try:
        for position, header in whole_batches(data):
            for record in decode_batch(data, position, max_decompressed_bytes=MOST_BYTES, verify_crc=True):
                if header.is_control:
                    parse_marker(record)
    except RecordError:
        return


def _batches() -> Iterator[bytes]:
    row = (NOW, b"key", b"value", (("header", b"x"), ("empty", None)))
    yield build_batch([row], producer_id=1, producer_epoch=2, base_sequence=3)
    for compression in Compression:
        yield build_batch([(NOW, None, b"v" * 200, ())] * 3, compression=compression)
    yield build_batch([row, (NOW + 5, None, None, ())], producer_id=1, producer_epoch=2, is_transactional=True)
    for kind in (ControlType.ABORT, ControlType.COMMIT):
        yield build_marker(EndTransactionMarker(kind, 7), timestamp_ms=NOW, producer_id=6, producer_epoch=0)
    yield build_batch([row]) + build_batch([row, row])


def compressed(data: bytes) -> None:
    """Compressed records; the first byte says how."""
    if not data:
        return
    try:
        plain = decompress(Compression(data[0] % len(Compression)), memoryview(data)[1:], max_bytes=MOST_BYTES)
    except RecordError:
        return
    assert len(plain) <= max(MOST_BYTES, len(data))


def _compressed() -> Iterator[bytes]:
    for codec in Compression:
        for plain in (b"", b"value " * 50, bytes(100_000)):
            yield bytes((codec,)) + compress(codec, plain)


TARGETS = (Target(batches, _batches), Target(compressed, _compressed))
