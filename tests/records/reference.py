"""Record batch v2 once more, in plain Python and from the format's description alone, to check the real codec against.

Slow and simple on purpose. It shares no code with `logserver_records`, and none of its libraries: the CRC is computed
from its polynomial, Snappy is read by hand, the other formats by the standard library or another binding. Lengths are
read as up to ten bytes, where Kafka's own reader stops at five.
"""

import gzip
import struct
from dataclasses import dataclass, field, replace
from itertools import pairwise

import cramjam

NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
LOG_APPEND_TIME = 0x08

Header = tuple[str, bytes | None]


class Invalid(Exception):
    """The bytes are not a record batch."""


class OddAttributes(Invalid):
    """A record with attributes of 128 or more, which no client writes."""


@dataclass(frozen=True)
class RefRecord:
    """One record, with its offset and timestamp in full."""

    offset: int
    timestamp: int
    key: bytes | None = None
    value: bytes | None = None
    headers: tuple[Header, ...] = ()
    attributes: int = 0


@dataclass(frozen=True)
class RefBatch:
    """One batch. `base_timestamp`, `max_timestamp` and `last_offset_delta` are taken from the records where None."""

    records: tuple[RefRecord, ...]
    base_offset: int = 0
    leader_epoch: int = -1
    attributes: int = 0
    last_offset_delta: int | None = None
    base_timestamp: int | None = None
    max_timestamp: int | None = None
    producer_id: int = -1
    producer_epoch: int = -1
    base_sequence: int = -1
    record_count: int | None = None
    crc: int = field(default=0, compare=False)
    size: int = field(default=0, compare=False)

    @property
    def codec(self) -> int:
        return self.attributes & 7


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli), reflected polynomial 0x82F63B78."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _crc_entry(number: int) -> int:
    for _ in range(8):
        number = (number >> 1) ^ (0x82F63B78 if number & 1 else 0)
    return number


_CRC_TABLE = [_crc_entry(number) for number in range(256)]


def signed64(number: int) -> int:
    return (number + 2**63) % 2**64 - 2**63


def varint(number: int) -> bytes:
    """Zigzag, then seven bits a byte, the lowest first."""
    number = number * 2 if number >= 0 else -number * 2 - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def sized(data: bytes | None) -> bytes:
    return varint(-1) if data is None else varint(len(data)) + data


def encode_record(record: RefRecord, base_offset: int, base_timestamp: int) -> bytes:
    body = bytes([record.attributes])
    body += varint(signed64(record.timestamp - base_timestamp))
    body += varint(record.offset - base_offset)
    body += sized(record.key) + sized(record.value)
    body += varint(len(record.headers))
    for name, value in record.headers:
        body += sized(name.encode()) + sized(value)
    return varint(len(body)) + body


def encode_records(batch: RefBatch) -> bytes:
    base_timestamp = _base_timestamp(batch)
    return b"".join(encode_record(record, batch.base_offset, base_timestamp) for record in batch.records)


def _base_timestamp(batch: RefBatch) -> int:
    if batch.base_timestamp is not None:
        return batch.base_timestamp
    return batch.records[0].timestamp if batch.records else -1


def encode(batch: RefBatch, records: bytes | None = None) -> bytes:
    """The bytes of a batch; `records` replaces what stands behind the header, as it is."""
    if records is None:
        records = compress(batch.codec, encode_records(batch))
    last_offset_delta = batch.last_offset_delta
    if last_offset_delta is None:
        last_offset_delta = batch.records[-1].offset - batch.base_offset if batch.records else 0
    max_timestamp = batch.max_timestamp
    if max_timestamp is None:
        max_timestamp = max((record.timestamp for record in batch.records), default=-1)
    count = len(batch.records) if batch.record_count is None else batch.record_count
    covered = struct.pack(">h", batch.attributes)
    covered += struct.pack(">i", last_offset_delta)
    covered += struct.pack(">q", _base_timestamp(batch))
    covered += struct.pack(">q", max_timestamp)
    covered += struct.pack(">q", batch.producer_id)
    covered += struct.pack(">h", batch.producer_epoch)
    covered += struct.pack(">i", batch.base_sequence)
    covered += struct.pack(">i", count)
    covered += records
    counted = struct.pack(">i", batch.leader_epoch) + b"\x02" + struct.pack(">I", crc32c(covered)) + covered
    return struct.pack(">q", batch.base_offset) + struct.pack(">i", len(counted)) + counted


class Reader:
    """Takes numbers and bytes off the front of some data."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        if size < 0 or self.at + size > len(self.data):
            raise Invalid(f"{size} bytes at {self.at} of {len(self.data)}")
        self.at += size
        return self.data[self.at - size : self.at]

    def integer(self, size: int, signed: bool = True) -> int:
        return int.from_bytes(self.take(size), "big", signed=signed)

    def varint(self) -> int:
        number = 0
        for place in range(10):
            byte = self.take(1)[0]
            number += (byte & 0x7F) << 7 * place
            if not byte & 0x80:
                number %= 2**64
                return number // 2 if number % 2 == 0 else -(number // 2) - 1
        raise Invalid("varint of more than ten bytes")

    def nullable(self) -> bytes | None:
        size = self.varint()
        return None if size < 0 else self.take(size)

    @property
    def left(self) -> int:
        return len(self.data) - self.at


def decode(data: bytes, *, check_crc: bool = True) -> RefBatch:
    """Reads one batch from the start of some bytes, and everything about it that can be checked."""
    reader = Reader(data)
    base_offset = reader.integer(8)
    length = reader.integer(4)
    reader = Reader(reader.take(length))
    leader_epoch = reader.integer(4)
    if reader.integer(1) != 2:
        raise Invalid("magic")
    crc = reader.integer(4, signed=False)
    if check_crc and crc32c(reader.data[9:]) != crc:
        raise Invalid("crc")
    batch = RefBatch(
        records=(),
        base_offset=base_offset,
        leader_epoch=leader_epoch,
        attributes=reader.integer(2),
        last_offset_delta=reader.integer(4),
        base_timestamp=reader.integer(8),
        max_timestamp=reader.integer(8),
        producer_id=reader.integer(8),
        producer_epoch=reader.integer(2),
        base_sequence=reader.integer(4),
        record_count=reader.integer(4),
        crc=crc,
        size=length + 12,
    )
    count = batch.record_count or 0
    packed = reader.take(reader.left)
    reader = Reader(decompress(batch.codec, packed) if packed or count else b"")
    if count < 0:
        raise Invalid("record count")
    records = tuple(_decode_record(reader, batch) for _ in range(count))
    if reader.left:
        raise Invalid("bytes behind the last record")
    _check_offsets(batch, records)
    return replace(batch, records=records)


def _decode_record(reader: Reader, batch: RefBatch) -> RefRecord:
    length = reader.varint()
    start = reader.at
    attributes = reader.integer(1, signed=False)
    if attributes > 127:
        raise OddAttributes(f"{attributes}")
    assert batch.base_timestamp is not None and batch.max_timestamp is not None
    timestamp = signed64(batch.base_timestamp + reader.varint())
    offset = signed64(batch.base_offset + reader.varint())
    if batch.attributes & LOG_APPEND_TIME:
        timestamp = batch.max_timestamp
    key = reader.nullable()
    value = reader.nullable()
    header_count = reader.varint()
    if header_count < 0:
        raise Invalid("header count")
    headers = []
    for _ in range(header_count):
        name = reader.nullable()
        if name is None:
            raise Invalid("null header key")
        headers.append((name.decode(errors="replace"), reader.nullable()))
    if reader.at - start != length:
        raise Invalid("record length")
    return RefRecord(offset, timestamp, key, value, tuple(headers), attributes)


def _check_offsets(batch: RefBatch, records: tuple[RefRecord, ...]) -> None:
    assert batch.last_offset_delta is not None
    if batch.last_offset_delta < 0:
        raise Invalid("last offset delta")
    offsets = [batch.base_offset - 1, *(record.offset for record in records)]
    if any(later <= earlier for earlier, later in pairwise(offsets)):
        raise Invalid("offsets don't grow")
    if offsets[-1] > batch.base_offset + batch.last_offset_delta:
        raise Invalid("offsets behind the last one")


def compress(codec: int, data: bytes) -> bytes:
    if codec == NONE:
        return data
    if codec == GZIP:
        return gzip.compress(data, mtime=0)
    if codec == SNAPPY:
        return snappy_literals(data)
    if codec == LZ4:
        return bytes(cramjam.lz4.compress(data))
    if codec == ZSTD:
        return bytes(cramjam.zstd.compress(data))
    raise Invalid(f"codec {codec}")


def decompress(codec: int, data: bytes) -> bytes:
    if codec == NONE:
        return data
    try:
        if codec == GZIP:
            return gzip.decompress(data)
        if codec == SNAPPY:
            return unframe_snappy(data)
        if codec == LZ4:
            return bytes(cramjam.lz4.decompress(data))
        if codec == ZSTD:
            return bytes(cramjam.zstd.decompress(data))
    except Exception as error:
        raise Invalid(str(error)) from error
    raise Invalid(f"codec {codec}")


def plain_varint(number: int) -> bytes:
    """Without zigzag, as Snappy counts."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def snappy_literals(data: bytes) -> bytes:
    """Raw Snappy that compresses nothing: the length, then literals of at most 60 bytes."""
    out = plain_varint(len(data))
    for start in range(0, len(data), 60):
        part = data[start : start + 60]
        out += bytes([(len(part) - 1) << 2]) + part
    return out


def unframe_snappy(data: bytes) -> bytes:
    if data[:8] != b"\x82SNAPPY\x00":
        return unsnappy(data)
    reader = Reader(data[16:])
    out = b""
    while reader.left:
        out += unsnappy(reader.take(reader.integer(4)))
    return out


def unsnappy(data: bytes) -> bytes:
    """Raw Snappy: a length, then literals and copies from what is there already."""
    reader = Reader(data)
    size = shift = 0
    while True:
        byte = reader.take(1)[0]
        size |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            break
    out = bytearray()
    while reader.left:
        tag = reader.take(1)[0]
        kind = tag & 3
        if kind == 0:
            length = tag >> 2
            if length >= 60:
                length = int.from_bytes(reader.take(length - 59), "little")
            out += reader.take(length + 1)
            continue
        if kind == 1:
            length = (tag >> 2 & 7) + 4
            distance = (tag >> 5 << 8) + reader.take(1)[0]
        else:
            length = (tag >> 2) + 1
            distance = int.from_bytes(reader.take(2 if kind == 2 else 4), "little")
        if not 0 < distance <= len(out):
            raise Invalid("copy from before the start")
        for _ in range(length):
            out.append(out[-distance])
    if len(out) != size:
        raise Invalid("snappy length")
    return bytes(out)
