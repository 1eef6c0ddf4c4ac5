"""Kafka's encoding a second time, apart from the server's: it notes where each length stands, so that tests can lie."""

from base64 import urlsafe_b64decode
from collections.abc import Iterator, Mapping, Sequence
from struct import Struct as Packed
from typing import Any, Final, NamedTuple

from crc32c import crc32c

from logserver.kafka_api.codec.schema import FieldSchema, StructSchema, header_is_flexible, message_schema

_PACKED: Final = {
    "bool": Packed(">?"),
    "int8": Packed(">b"),
    "int16": Packed(">h"),
    "uint16": Packed(">H"),
    "int32": Packed(">i"),
    "int64": Packed(">q"),
    "float64": Packed(">d"),
}
_BATCH_LENGTHS: Final = (8, 23, 57)
"""Length of a record batch, last offset delta, count of its records."""
_UNKNOWN_TAG: Final = 9_999
_IN_BATCH: Final = "in its batch at "
_BATCH_HEADER_BYTES: Final = 61
_INTS: Final = (1_000_000_000, 100_000, 200_001)
_VARINTS: Final = (0x7F, 0x80, 0x7FFF, 0x8001, 200_002, 1_000_000_001, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_NO_VARINTS: Final = (b"\xff" * 4 + b"\x7f", b"\xff" * 5, b"\xff" * 10, b"\x80" * 4 + b"\x10", b"\x80\x00")
_CRC_AT: Final = 17
_CRC_OF: Final = 21


class Length(NamedTuple):
    """A length or count on the wire."""

    start: int
    end: int
    kind: str
    """int16, int32, "varint", or "batch" for one in the header of a record batch."""
    what: str


class Traced:
    """A frame as it is written, behind its size, with its lengths."""

    def __init__(self, has_unknown_tags: bool = False) -> None:
        self.data = bytearray()
        self.lengths: list[Length] = []
        self._has_unknown_tags = has_unknown_tags

    def number(self, kind: str, value: Any) -> None:
        self.data += _PACKED[kind].pack(value)

    def length(self, kind: str, value: int, what: str) -> None:
        start = len(self.data)
        if kind == "varint":
            self.data += varint(value)
        else:
            self.number(kind, value)
        self.lengths.append(Length(start, len(self.data), kind, what))

    def tags(self, what: str, known: Sequence[tuple[int, str, "Traced"]]) -> None:
        """Writes tagged fields in the order of their tags, and behind them one that nobody knows, if there is to be."""
        fields = list(known)
        if self._has_unknown_tags:
            unknown = Traced()
            unknown.data += b"new"
            fields.append((_UNKNOWN_TAG, "that is unknown", unknown))
        self.length("varint", len(fields), f"tags of {what}")
        for tag, name, inner in fields:
            self.data += varint(tag)
            self.length("varint", len(inner.data), f"size of the tag {name}")
            base = len(self.data)
            self.lengths += [found._replace(start=found.start + base, end=found.end + base) for found in inner.lengths]
            self.data += inner.data

    def part(self) -> "Traced":
        """Returns a part that is written like the whole."""
        return Traced(self._has_unknown_tags)

    def lies(self, length: Length) -> Iterator[bytes]:
        """Returns the frame with each of the values that a length may have to do harm, and those next to its own."""
        behind = len(self.data) - length.end
        if length.kind == "varint":
            value = _read_varint(self.data, length.start)
            for other in {0, 1, 2, value - 1, value + 1, behind, behind + 1, behind + 2, *_VARINTS} - {-1, value}:
                yield self.with_length(length, other)
            for raw in _NO_VARINTS:
                yield bytes(self.data[: length.start] + raw + self.data[length.end :])
            return
        size = length.end - length.start
        value = int.from_bytes(self.data[length.start : length.end], signed=True)
        most = (1 << 8 * size - 1) - 1
        for other in {0, 1, -1, -2, value - 1, value + 1, behind, behind + 1, most, most - 1, -most - 1, *_INTS} - {
            value
        }:
            if -most - 1 <= other <= most:
                yield self.with_length(length, other)

    def with_length(self, length: Length, value: int) -> bytes:
        """Returns the frame with another value of a length, whether it fits the rest or not."""
        if length.kind == "batch":
            return self._with_batch_length(length, value)
        raw = varint(value) if length.kind == "varint" else _PACKED[length.kind].pack(value)
        return bytes(self.data[: length.start] + raw + self.data[length.end :])

    def _with_batch_length(self, length: Length, value: int) -> bytes:
        data = bytearray(self.data)
        data[length.start : length.end] = value.to_bytes(4, signed=True)
        # The checksum of the batch is right all the same: it is no proof of good intent.
        batch = length.start - int(length.what.removeprefix(_IN_BATCH))
        size = int.from_bytes(self.data[batch + 8 : batch + 12]) + 12
        data[batch + _CRC_AT : batch + _CRC_AT + 4] = crc32c(data[batch + _CRC_OF : batch + size]).to_bytes(4)
        return bytes(data)


def _read_varint(data: bytes | bytearray, position: int) -> int:
    value = shift = 0
    while True:
        value |= (data[position] & 0x7F) << shift
        if data[position] < 0x80:
            return value
        position, shift = position + 1, shift + 7


def varint(value: int) -> bytes:
    """Returns an unsigned varint of 32 bits, as Kafka writes them also for negative numbers."""
    value &= 0xFFFFFFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def traced_request(
    api_key: int,
    version: int,
    message: Mapping[str, Any],
    correlation_id: int,
    client_id: str = "traced",
    *,
    has_unknown_tags: bool = False,
) -> Traced:
    """Writes a whole request, but for the size of its frame.

    Args:
        has_unknown_tags: whether every struct that can has a tagged field which no schema knows.
    """
    out = Traced(has_unknown_tags)
    for kind, value in (("int16", api_key), ("int16", version), ("int32", correlation_id)):
        out.number(kind, value)
    out.length("int16", len(client_id), "client id")
    out.data += client_id.encode()
    if header_is_flexible(api_key, version, "request"):
        out.tags("the header", ())
    _struct(out, message_schema(api_key, version, "request"), message)
    return out


def framed(frame: bytes) -> bytes:
    """Returns a frame behind its size."""
    return len(frame).to_bytes(4) + frame


def _struct(out: Traced, schema: StructSchema, message: Mapping[str, Any]) -> None:
    for field in schema.fields:
        if field.tag is None:
            _field(out, field, schema.is_flexible, message.get(field.name, field.default))
    if not schema.is_flexible:
        return
    tagged = [
        field
        for field in sorted(
            (field for field in schema.fields if field.tag is not None), key=lambda field: field.tag or 0
        )
        if message.get(field.name, field.default) != field.default
    ]
    known = []
    for field in tagged:
        assert field.tag is not None
        inner = out.part()
        _field(inner, field, True, message[field.name])
        known.append((field.tag, field.name, inner))
    out.tags(schema.name, known)


def _field(out: Traced, field: FieldSchema, is_flexible: bool, value: Any) -> None:
    if not field.is_array:
        if field.struct is not None and field.is_nullable:
            out.data += b"\xff" if value is None else b"\x01"
            if value is None:
                return
        _one(out, field, is_flexible, value)
        return
    _length(out, field, is_flexible, "int32", None if value is None else len(value))
    for element in value or ():
        _one(out, field, is_flexible, element)


def _one(out: Traced, field: FieldSchema, is_flexible: bool, value: Any) -> None:
    if field.struct is not None:
        _struct(out, field.struct, value)
    elif field.kind == "uuid":
        out.data += urlsafe_b64decode(value + "==")
    elif field.kind in _PACKED:
        out.number(field.kind, value)
    else:
        raw = value.encode() if isinstance(value, str) else value
        kind = "int16" if field.kind == "string" else "int32"
        _length(out, field, is_flexible, kind, None if raw is None else len(raw))
        start = len(out.data)
        out.data += raw or b""
        if field.name == "records" and raw and len(raw) >= _BATCH_HEADER_BYTES:
            out.lengths += [Length(start + at, start + at + 4, "batch", f"{_IN_BATCH}{at}") for at in _BATCH_LENGTHS]


def _length(out: Traced, field: FieldSchema, is_flexible: bool, kind: str, value: int | None) -> None:
    if is_flexible:
        out.length("varint", 0 if value is None else value + 1, field.name)
    else:
        out.length(kind, -1 if value is None else value, field.name)
