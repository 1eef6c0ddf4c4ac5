"""Reads records that the codec could not: finds what is wrong with them, or reads them all the same.

Slow, exact and bounds-checked, in the order of the format (Kafka: `DefaultRecord`): length, attributes i8, timestamp
delta, offset delta, key, value, headers; numbers are variable-length with zigzag sign (protobuf), and a length of -1
is a null. A header key that is not UTF-8 is read as Kafka's Java client reads it, with U+FFFD in the place of what is
wrong (`Utils.utf8`): one client's Latin-1 must not make a batch unreadable.
"""

from typing import Final, NamedTuple

_MAX_VARINT_BYTES: Final = 10
_MAX_UINT64: Final = 0xFFFF_FFFF_FFFF_FFFF


class _Fault(Exception):
    """What is wrong, in words."""


class _Cursor:
    """Reads fields one after the other, never beyond the end."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.position = 0

    @property
    def left(self) -> int:
        return len(self.data) - self.position

    def byte(self, field: str) -> int:
        if not self.left:
            raise _Fault(f"its bytes end inside the {field}")
        value = self.data[self.position]
        self.position += 1
        return value

    def number(self, field: str) -> int:
        value = 0
        for place in range(_MAX_VARINT_BYTES):
            byte = self.byte(field)
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                value &= _MAX_UINT64
                return (value >> 1) ^ -(value & 1)
        raise _Fault(f"the {field} is a number of more than {_MAX_VARINT_BYTES} bytes")

    def skip(self, field: str, length: int) -> memoryview:
        if length > self.left:
            raise _Fault(f"the {field} claims {length} bytes, {self.left} are left")
        start = self.position
        self.position += length
        return self.data[start : self.position]

    def nullable(self, field: str) -> bytes | None:
        length = self.number(f"length of the {field}")
        return bytes(self.skip(field, length)) if length >= 0 else None


class SlowRecord(NamedTuple):
    """A record as it stands in the bytes, with its deltas."""

    offset_delta: int
    timestamp_delta: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


def read_slowly(records: memoryview, record_count: int, base_offset: int) -> list[SlowRecord] | str:
    """Returns the uncompressed records of a batch, or a sentence about the first thing that is wrong with them."""
    cursor = _Cursor(records)
    found = []
    for number in range(record_count):
        start = cursor.position
        try:
            found.append(_read_record(cursor))
        except _Fault as fault:
            return (
                f"record {number + 1} of {record_count}, at byte {start} of the records (base offset {base_offset}): "
                f"{fault}"
            )
    if cursor.left:
        return f"{cursor.left} bytes are left behind the last of {record_count} records (base offset {base_offset})"
    return found


def _read_record(cursor: _Cursor) -> SlowRecord:
    length = cursor.number("length of the record")
    start = cursor.position
    attributes = cursor.byte("attributes")
    if attributes > 127:
        # Kafka itself would not mind, but the codec can't read it: see there.
        raise _Fault(f"attributes of {attributes}, where no client writes anything but 0")
    timestamp_delta = cursor.number("timestamp delta")
    offset_delta = cursor.number("offset delta")
    key = cursor.nullable("key")
    value = cursor.nullable("value")
    header_count = cursor.number("header count")
    if header_count < 0:
        raise _Fault(f"a header count of {header_count}")
    headers = []
    for number in range(header_count):
        headers.append(_read_header(cursor, number))
    if cursor.position - start != length:
        raise _Fault(f"it claims {length} bytes, its fields take {cursor.position - start}")
    return SlowRecord(offset_delta, timestamp_delta, key, value, headers)


def _read_header(cursor: _Cursor, number: int) -> tuple[str, bytes | None]:
    field = f"key of header {number + 1}"
    length = cursor.number(f"length of the {field}")
    if length < 0:
        raise _Fault(f"the {field} has a length of {length}")
    name = bytes(cursor.skip(field, length)).decode(errors="replace")
    return name, cursor.nullable(f"value of header {number + 1}")
