"""Readers of messages, made once for each schema.

A reader takes the bytes, a position, the end and the budget, and returns the value and the position behind it. Nothing
is believed: every length and count is checked against the bytes that are left, and counts against the budget, before
anything is made of it. The smallest struct has two bytes on the wire and some 300 in memory, so the bytes alone are no
bound: a request of 100 MB would take 13 GB, and hold up all others for a minute and a half.
"""

from base64 import urlsafe_b64encode
from collections.abc import Callable
from struct import Struct as Packed
from typing import Any, Final

from logserver.kafka_api.codec.errors import MalformedMessage
from logserver.kafka_api.codec.schema import MOST_TEXT_BYTES, FieldSchema, StructSchema
from logserver.kafka_api.codec.struct import Struct


class Budget:
    """How many elements a message may still have, in all its arrays together; a tagged field counts as one.

    Text beyond ASCII counts besides, because each of its characters takes up to four bytes in memory.
    """

    __slots__ = ("_left", "_most")

    def __init__(self, most: int) -> None:
        self._left = self._most = most

    @property
    def taken(self) -> int:
        """How many it has had so far."""
        return self._most - self._left

    def take(self, count: int) -> None:
        """Takes elements off, before they are made.

        Raises:
            MalformedMessage: the message has too many.
        """
        self._left -= count
        if self._left < 0:
            raise MalformedMessage(
                f"it has more than request.max.elements={self._most} elements; send several requests, or raise the "
                "setting"
            )


Reader = Callable[[memoryview, int, int, Budget], tuple[Any, int]]
Absent = Callable[[str, str], Any]
"""Returns the default of a field that a version does not have, by the path of its struct and its name."""

_INT16: Final = Packed(">h")
_INT32: Final = Packed(">i")
_FIXED: Final = {
    "bool": Packed(">?"),
    "int8": Packed(">b"),
    "int16": _INT16,
    "uint16": Packed(">H"),
    "int32": _INT32,
    "int64": Packed(">q"),
    "float64": Packed(">d"),
}
_MOST_VARINT_BITS: Final = 28
_WIDE_CHARACTERS: Final = 64
"""So many characters of text beyond ASCII take as much memory as an element."""


def read_varint(data: memoryview, position: int, end: int) -> tuple[int, int]:
    """Reads an unsigned varint of at most 32 bits.

    Raises:
        MalformedMessage: there is none.
    """
    if position < end and (byte := data[position]) < 0x80:
        return byte, position + 1
    value = shift = 0
    while True:
        if position >= end:
            raise MalformedMessage("the message ends inside of a varint")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value > 0xFFFFFFFF:
                raise MalformedMessage("a varint has more than 32 bits")
            return value, position
        shift += 7
        if shift > _MOST_VARINT_BITS:
            raise MalformedMessage("a varint has more than 5 bytes")


def _fixed(kind: str) -> Reader:
    packed = _FIXED[kind]
    size, unpack = packed.size, packed.unpack_from

    def read(data: memoryview, position: int, end: int, budget: Budget) -> tuple[Any, int]:
        behind = position + size
        if behind > end:
            raise MalformedMessage(f"the message ends inside of an {kind}")
        return unpack(data, position)[0], behind

    return read


def _uuid(data: memoryview, position: int, end: int, budget: Budget) -> tuple[str, int]:
    behind = position + 16
    if behind > end:
        raise MalformedMessage("the message ends inside of a uuid")
    return urlsafe_b64encode(data[position:behind])[:22].decode(), behind


def _length(is_flexible: bool, short: bool) -> Reader:
    """Returns a reader of lengths and counts; -1 stands for null."""
    if is_flexible:

        def read_compact(data: memoryview, position: int, end: int, budget: Budget) -> tuple[int, int]:
            if position < end and (byte := data[position]) < 0x80:
                return byte - 1, position + 1
            value, position = read_varint(data, position, end)
            return value - 1, position

        return read_compact
    return _fixed("int16" if short else "int32")


def _sized(field: FieldSchema, is_flexible: bool) -> Reader:
    """Returns a reader of a string or of bytes."""
    read_length = _length(is_flexible, field.kind == "string")
    name, is_nullable, is_text = field.name, field.is_nullable and not field.is_array, field.kind == "string"

    def read(data: memoryview, position: int, end: int, budget: Budget) -> tuple[Any, int]:
        length, position = read_length(data, position, end, budget)
        if length < 0:
            if length == -1 and is_nullable:
                return None, position
            raise MalformedMessage(f"{name} has the length {length}")
        behind = position + length
        if behind > end:
            raise MalformedMessage(f"{name} claims {length} bytes, {end - position} are left")
        if not is_text:
            return bytes(data[position:behind]), behind
        if length > MOST_TEXT_BYTES:
            raise MalformedMessage(f"{name} has {length} bytes, text has {MOST_TEXT_BYTES} at most")
        try:
            text = str(data[position:behind], "utf-8")
        except UnicodeDecodeError:
            raise MalformedMessage(f"{name} is not UTF-8") from None
        if not text.isascii():
            budget.take(len(text) // _WIDE_CHARACTERS)
        return text, behind

    return read


def _one(field: FieldSchema, is_flexible: bool, absent: Absent, path: str) -> Reader:
    if field.struct is not None:
        return struct_reader(field.struct, absent, f"{path}.{field.name}")
    if field.kind == "uuid":
        return _uuid
    if field.kind in _FIXED:
        return _fixed(field.kind)
    return _sized(field, is_flexible)


def _least_bytes(field: FieldSchema, is_flexible: bool) -> int:
    """Returns how many bytes an element of an array takes at least."""
    if field.kind in _FIXED:
        return _FIXED[field.kind].size
    if field.kind == "uuid":
        return 16
    if field.struct is None:
        return 1 if is_flexible else 2 if field.kind == "string" else 4
    least = 1 if field.struct.is_flexible else 0
    for part in field.struct.fields:
        if part.tag is None:
            if part.is_array:
                least += 1 if is_flexible else 4
            else:
                least += 1 if part.struct is not None and part.is_nullable else _least_bytes(part, is_flexible)
    return max(least, 1)


def _array(field: FieldSchema, is_flexible: bool, absent: Absent, path: str) -> Reader:
    read_count = _length(is_flexible, False)
    read_one = _one(field, is_flexible, absent, path)
    least = _least_bytes(field, is_flexible)
    name, is_nullable = field.name, field.is_nullable

    def read(data: memoryview, position: int, end: int, budget: Budget) -> tuple[Any, int]:
        count, position = read_count(data, position, end, budget)
        if count < 0:
            if count == -1 and is_nullable:
                return None, position
            raise MalformedMessage(f"{name} has {count} elements")
        if count * least > end - position:
            raise MalformedMessage(f"{name} claims {count} elements, {end - position} bytes are left")
        budget.take(count)
        found = []
        for _ in range(count):
            value, position = read_one(data, position, end, budget)
            found.append(value)
        return found, position

    return read


def _nullable_struct(name: str, read_struct: Reader) -> Reader:
    read_marker = _fixed("int8")

    def read(data: memoryview, position: int, end: int, budget: Budget) -> tuple[Any, int]:
        marker, position = read_marker(data, position, end, budget)
        if marker == 1:
            return read_struct(data, position, end, budget)
        if marker == -1:
            return None, position
        raise MalformedMessage(f"{name} is neither there nor null: {marker}")

    return read


def _field(field: FieldSchema, is_flexible: bool, absent: Absent, path: str) -> Reader:
    if field.is_array:
        return _array(field, is_flexible, absent, path)
    reader = _one(field, is_flexible, absent, path)
    return _nullable_struct(field.name, reader) if field.struct is not None and field.is_nullable else reader


def struct_reader(schema: StructSchema, absent: Absent, path: str) -> Reader:
    """Returns a reader of a struct; it leaves what lies behind the struct alone.

    Args:
        absent: where defaults of fields come from that this version does not have.
        path: of the struct in its message.
    """
    plain = [
        (field.name, _field(field, schema.is_flexible, absent, path)) for field in schema.fields if field.tag is None
    ]
    tagged = {
        field.tag: (field.name, _field(field, schema.is_flexible, absent, path))
        for field in schema.fields
        if field.tag is not None
    }
    defaults = {field.name: field.default for field in schema.fields if field.tag is not None}
    is_flexible = schema.is_flexible

    def absent_here(name: str) -> Any:
        return absent(path, name)

    def read(data: memoryview, position: int, end: int, budget: Budget) -> tuple[Struct, int]:
        values: dict[str, Any] = dict(defaults)
        for name, read_field in plain:
            values[name], position = read_field(data, position, end, budget)
        if is_flexible:
            if position < end and not data[position]:
                position += 1
            else:
                position = read_tags(data, position, end, tagged, values, budget)
        return Struct(values, absent_here), position

    return read


def read_tags(
    data: memoryview,
    position: int,
    end: int,
    tagged: dict[int, tuple[str, Reader]],
    values: dict[str, Any],
    budget: Budget,
) -> int:
    """Reads tagged fields; unknown ones are passed by. Returns the position behind them.

    Raises:
        MalformedMessage: they are not what they should be.
    """
    count, position = read_varint(data, position, end)
    if count * 2 > end - position:
        raise MalformedMessage(f"{count} tagged fields are claimed, {end - position} bytes are left")
    budget.take(count)
    before = -1
    for _ in range(count):
        tag, position = read_varint(data, position, end)
        size, position = read_varint(data, position, end)
        behind = position + size
        if behind > end:
            raise MalformedMessage(f"tagged field {tag} claims {size} bytes, {end - position} are left")
        if tag <= before:
            raise MalformedMessage(f"tagged field {tag} comes behind {before}")
        before = tag
        known = tagged.get(tag)
        if known is not None:
            name, read_field = known
            values[name], after = read_field(data, position, behind, budget)
            if after != behind:
                raise MalformedMessage(f"{name} takes {after - position} bytes of the {size} that it claims")
        position = behind
    return position
