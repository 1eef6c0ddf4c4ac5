"""The header of a record batch (magic 2): view, check, stamp and split, without touching its records.

Layout (big endian; Apache Kafka, `DefaultRecordBatch`, KIP-98): base offset i64, batch length i32, partition leader
epoch i32, magic i8, CRC u32, attributes i16, last offset delta i32, base timestamp i64, max timestamp i64, producer id
i64, producer epoch i16, base sequence i32, record count i32, then the records. The CRC covers everything from the
attributes on, so base offset and leader epoch can be stamped without computing it again.
"""

from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple

from crc32c import crc32c

from logserver_records.errors import CorruptBatch, UnsupportedBatch

HEADER: Final = Struct(">qiibIhiqqqhii")
HEADER_SIZE: Final = HEADER.size
"""Bytes of a whole header: 61."""

LENGTH_OVERHEAD: Final = 12
"""Bytes before those that the batch length counts: base offset and the length itself."""

MIN_RECORD_SIZE: Final = 7
"""Bytes of the smallest record: each of its seven fields takes one at least (Kafka: `DefaultRecord`)."""

MAGIC: Final = 2
NO_PRODUCER_ID: Final = -1
NO_PRODUCER_EPOCH: Final = -1
NO_SEQUENCE: Final = -1
NO_TIMESTAMP: Final = -1

COMPRESSION_MASK: Final = 0x07
TIMESTAMP_TYPE_MASK: Final = 0x08
TRANSACTIONAL_MASK: Final = 0x10
CONTROL_MASK: Final = 0x20
DELETE_HORIZON_MASK: Final = 0x40

CRC_START: Final = 21
"""Where the bytes of a batch begin that its CRC covers."""

_MIN_LENGTH: Final = HEADER_SIZE - LENGTH_OVERHEAD
_LENGTH: Final = Struct(">qi")
_STAMP: Final = Struct(">qii")
_CRC: Final = Struct(">I")
_MAX_SEQUENCE: Final = 0x7FFFFFFF

STAMP_SIZE: Final = _STAMP.size
"""Bytes that the server writes over when it stores a batch; the CRC does not cover them."""

Buffer = bytes | bytearray | memoryview
"""Bytes that are read and not kept."""


class BatchHeader(NamedTuple):
    """The header of one record batch, as it stands in the bytes."""

    base_offset: int
    batch_length: int
    leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    record_count: int

    @property
    def size(self) -> int:
        """Bytes of the whole batch, header included."""
        return self.batch_length + LENGTH_OVERHEAD

    @property
    def last_offset(self) -> int:
        """Offset of the last record (inclusive)."""
        return self.base_offset + self.last_offset_delta

    @property
    def next_offset(self) -> int:
        """Offset behind the last record."""
        return self.base_offset + self.last_offset_delta + 1

    @property
    def last_sequence(self) -> int:
        """Sequence of the last record; wraps behind 2^31 - 1 (Kafka: `DefaultRecordBatch.incrementSequence`)."""
        if self.base_sequence == NO_SEQUENCE:
            return NO_SEQUENCE
        return (self.base_sequence + self.last_offset_delta) & _MAX_SEQUENCE

    @property
    def compression(self) -> int:
        """Number of the compression codec, 0 for none."""
        return self.attributes & COMPRESSION_MASK

    @property
    def is_log_append_time(self) -> bool:
        return bool(self.attributes & TIMESTAMP_TYPE_MASK)

    @property
    def is_transactional(self) -> bool:
        return bool(self.attributes & TRANSACTIONAL_MASK)

    @property
    def is_control(self) -> bool:
        return bool(self.attributes & CONTROL_MASK)

    @property
    def delete_horizon_ms(self) -> int | None:
        """From when on compaction may drop the batch's tombstones or marker; None if that is not set (KIP-534)."""
        return self.base_timestamp if self.attributes & DELETE_HORIZON_MASK else None


def read_header(buffer: Buffer, position: int = 0) -> BatchHeader:
    """Returns the header that starts at a position.

    Raises:
        CorruptBatch: fewer than 61 bytes are left there.
    """
    if len(buffer) - position < HEADER_SIZE:
        raise CorruptBatch(f"a record batch header takes {HEADER_SIZE} bytes, {len(buffer) - position} are left")
    return BatchHeader._make(HEADER.unpack_from(buffer, position))


def next_batch(buffer: Buffer, position: int = 0) -> BatchHeader:
    """Returns the header at a position after checking that a whole batch of magic 2 stands there.

    Neither the CRC nor the records are looked at. The count is held against the offsets, and against the bytes where
    these are not compressed.

    Raises:
        CorruptBatch: the batch is cut short, or its length, record count or last offset delta can't be.
        UnsupportedBatch: another magic than 2.
    """
    left = len(buffer) - position
    if left < HEADER_SIZE:
        # Older formats have a shorter header; name them rather than "truncated" where that is what it is.
        if left > 16 and buffer[position + 16] in (0, 1):
            raise UnsupportedBatch(_old_format(buffer[position + 16]))
        raise CorruptBatch(f"truncated record batch: {left} bytes are left, a header alone takes {HEADER_SIZE}")
    header = BatchHeader._make(HEADER.unpack_from(buffer, position))
    if header.magic != MAGIC:
        if header.magic in (0, 1):
            raise UnsupportedBatch(_old_format(header.magic))
        raise CorruptBatch(f"record batch with magic {header.magic}; only magic {MAGIC} exists from Kafka 0.11 on")
    if header.batch_length < _MIN_LENGTH:
        raise CorruptBatch(f"record batch claims a length of {header.batch_length}; the least is {_MIN_LENGTH}")
    if header.batch_length + LENGTH_OVERHEAD > left:
        raise CorruptBatch(
            f"truncated record batch: it claims {header.batch_length + LENGTH_OVERHEAD} bytes, {left} are there"
        )
    count = header.record_count
    # Compaction leaves fewer records than offsets, down to none; never more.
    if header.last_offset_delta < 0 or not 0 <= count <= header.last_offset_delta + 1:
        raise CorruptBatch(
            f"record batch claims {count} records with a last offset delta of {header.last_offset_delta}"
        )
    if count * MIN_RECORD_SIZE > header.batch_length - _MIN_LENGTH and not header.attributes & COMPRESSION_MASK:
        raise CorruptBatch(
            f"record batch claims {count} records, "
            f"its {header.batch_length - _MIN_LENGTH} bytes of records can't hold them"
        )
    return header


def _old_format(magic: int) -> str:
    return f"message format with magic {magic} (before Kafka 0.11) is not supported; send record batches, magic {MAGIC}"


def split(buffer: Buffer) -> Iterator[tuple[int, BatchHeader]]:
    """Yields (position, header) of each batch of a payload that must hold whole batches only.

    Raises:
        CorruptBatch, UnsupportedBatch: as `next_batch`, when the walk reaches the place.
    """
    position = 0
    end = len(buffer)
    while position < end:
        header = next_batch(buffer, position)
        yield position, header
        position += header.batch_length + LENGTH_OVERHEAD


def whole_batches(buffer: Buffer) -> Iterator[tuple[int, BatchHeader]]:
    """Yields (position, header) of each whole batch from the start and ends at a last one that is cut short.

    For bytes read from a log, where a read ends at a size and not at a batch.
    """
    position = 0
    end = len(buffer)
    while end - position >= LENGTH_OVERHEAD:
        (_, length) = _LENGTH.unpack_from(buffer, position)
        if length < _MIN_LENGTH or end - position < length + LENGTH_OVERHEAD:
            return
        yield position, BatchHeader._make(HEADER.unpack_from(buffer, position))
        position += length + LENGTH_OVERHEAD


def compute_crc(buffer: Buffer, position: int, size: int) -> int:
    """Returns the CRC-32C over the part that the batch's CRC covers; size is that of the whole batch in bytes."""
    return int(crc32c(memoryview(buffer)[position + CRC_START : position + size]))


def check_crc(buffer: Buffer, position: int, header: BatchHeader) -> None:
    """Checks the batch at a position against its CRC.

    Raises:
        CorruptBatch: they differ.
    """
    actual = compute_crc(buffer, position, header.batch_length + LENGTH_OVERHEAD)
    if actual != header.crc:
        raise CorruptBatch(
            f"record batch with a wrong CRC: it says {header.crc:#010x}, its {header.size} bytes give {actual:#010x}"
        )


def stamped_header(header: BatchHeader, base_offset: int, leader_epoch: int) -> bytes:
    """Returns the 61 header bytes with base offset and leader epoch replaced; the CRC stays right."""
    return HEADER.pack(base_offset, header[1], leader_epoch, *header[3:])


def stamp(header: BatchHeader, base_offset: int, leader_epoch: int) -> bytes:
    """Returns what takes the place of a batch's first 16 bytes: base offset, length, leader epoch."""
    return _STAMP.pack(base_offset, header[1], leader_epoch)


def with_append_time(buffer: Buffer, position: int, header: BatchHeader, append_time_ms: int) -> BatchHeader:
    """Returns the header for storing the batch with LogAppendTime: type bit, max timestamp and CRC replaced.

    The records' own timestamp deltas stay as they are; readers take the max timestamp for every record
    (Kafka: `DefaultRecordBatch.setMaxTimestamp`).
    """
    changed = header._replace(attributes=header.attributes | TIMESTAMP_TYPE_MASK, max_timestamp=append_time_ms, crc=0)
    head = HEADER.pack(*changed)
    size = header.batch_length + LENGTH_OVERHEAD
    crc = crc32c(memoryview(buffer)[position + HEADER_SIZE : position + size], crc32c(head[CRC_START:]))
    return changed._replace(crc=int(crc))


def write_header(header: BatchHeader, batch: bytearray) -> None:
    """Writes this header over the first 61 bytes of a whole batch, with length and CRC set to fit."""
    HEADER.pack_into(batch, 0, header[0], len(batch) - LENGTH_OVERHEAD, *header[2:])
    _CRC.pack_into(batch, CRC_START - _CRC.size, compute_crc(batch, 0, len(batch)))


def reheader(header: BatchHeader, records: Buffer) -> bytes:
    """Returns a whole batch of this header over other record bytes, with length and CRC set to fit."""
    head = bytearray(HEADER.pack(header[0], _MIN_LENGTH + len(records), *header[2:]))
    with memoryview(head) as view, view[CRC_START:] as covered:
        crc = crc32c(records, crc32c(covered))
    _CRC.pack_into(head, CRC_START - _CRC.size, crc)
    return b"".join((head, records))
