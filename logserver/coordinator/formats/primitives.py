"""The building blocks of Kafka's message format: numbers, strings, arrays, tagged fields.

Numbers are big-endian. A string or array of a "flexible" version is compact: its length plus one as an unsigned varint
(seven bits a byte, the lowest first), 0 for null; in older versions strings have a 16-bit length, bytes and arrays a
32-bit one, -1 for null. A flexible struct ends with its tagged fields: a count, then tag, size and bytes of each
(KIP-482). Strings have at most 32,767 bytes in either form, as Kafka's readers have it.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Container, Iterable, Mapping
from functools import lru_cache
from struct import Struct
from typing import Final, TypeVar

from logserver_records.varint import unsigned_varint

from logserver.coordinator.formats.errors import CorruptCoordinatorRecord

MAX_STRING_BYTES: Final = 0x7FFF
UUID_BYTES: Final = 16
NO_TAGS: Final = b"\x00"

INT8: Final = Struct(">b")
INT16: Final = Struct(">h")
INT32: Final = Struct(">i")
INT64: Final = Struct(">q")

_MAX_VARINT_BYTES: Final = 5
_MAX_UINT32: Final = 0xFFFF_FFFF
_UUID_CHARACTERS: Final = 22
_UUID: Final = re.compile(r"[A-Za-z0-9_-]{22}")

_T = TypeVar("_T")


# A group's offsets are of few topics, and a log has many offsets: a look-up takes a tenth of the conversion.
@lru_cache(maxsize=4096)
def topic_id_text(data: bytes) -> str:
    """Returns the 22 characters for the 16 bytes of a topic id (Kafka: `Uuid.toString`)."""
    return urlsafe_b64encode(data)[:_UUID_CHARACTERS].decode("ascii")


@lru_cache(maxsize=4096)
def topic_id_bytes(topic_id: str) -> bytes:
    """Returns the 16 bytes of a topic id.

    Raises:
        ValueError: it is not what `topic_id_text` makes.
    """
    # The decoder would pass over other characters, and over the four bits of the last one that mean nothing.
    if _UUID.fullmatch(topic_id) and topic_id_text(data := urlsafe_b64decode(topic_id + "==")) == topic_id:
        return data
    raise ValueError(f"{topic_id!r} is not a topic id, which is 22 characters of URL-safe base64 for 16 bytes")


def utf8(text: str, field: str) -> bytes:
    """Returns the bytes of a string field.

    Raises:
        ValueError: they are more than a reader takes, or the text has half of a surrogate pair.
    """
    data = text.encode()
    if len(data) > MAX_STRING_BYTES:
        raise ValueError(f"the {field} has {len(data)} bytes, and a record holds at most {MAX_STRING_BYTES}")
    return data


def string(text: str, field: str) -> bytes:
    data = utf8(text, field)
    return INT16.pack(len(data)) + data


def nullable_string(text: str | None, field: str) -> bytes:
    return INT16.pack(-1) if text is None else string(text, field)


def long_bytes(data: bytes) -> bytes:
    """Returns bytes with their 32-bit length."""
    return INT32.pack(len(data)) + data


def compact_string(text: str, field: str) -> bytes:
    data = utf8(text, field)
    return unsigned_varint(len(data) + 1) + data


def compact_nullable_string(text: str | None, field: str) -> bytes:
    return b"\x00" if text is None else compact_string(text, field)


def compact_bytes(data: bytes) -> bytes:
    return unsigned_varint(len(data) + 1) + data


def compact_array(elements: Iterable[bytes]) -> bytes:
    """Returns an array of elements that are bytes already."""
    parts = list(elements)
    return unsigned_varint(len(parts) + 1) + b"".join(parts)


def compact_int32_array(numbers: tuple[int, ...]) -> bytes:
    return unsigned_varint(len(numbers) + 1) + Struct(f">{len(numbers)}i").pack(*numbers)


def one_tag(data: bytes) -> bytes:
    """Returns a section of tagged fields with one field, tag 0."""
    return b"\x01\x00" + unsigned_varint(len(data)) + data


def tagged_fields(fields: Mapping[int, bytes]) -> bytes:
    """Returns a section of tagged fields, by their tags."""
    parts = [unsigned_varint(len(fields))]
    for tag in sorted(fields):
        parts += (unsigned_varint(tag), unsigned_varint(len(fields[tag])), fields[tag])
    return b"".join(parts)


class Reader:
    """Reads fields one after the other, never beyond the end, and allocates no more than the bytes there can hold.

    Every method takes the name of the field for its error, moves behind the field, and raises
    CorruptCoordinatorRecord if the bytes are not such a field.

    Args:
        data: the whole key or value.
        what: what it is, for errors.
        position: where to start.
        end: where to end, exclusive; None is the end of the data.
    """

    __slots__ = ("_data", "_end", "_position", "_what")

    def __init__(self, data: bytes, what: str, position: int = 0, end: int | None = None) -> None:
        self._data = data
        self._what = what
        self._position = position
        self._end = len(data) if end is None else end

    def fault(self, sentence: str) -> CorruptCoordinatorRecord:
        """Returns the error for something wrong at the place reached."""
        return CorruptCoordinatorRecord(f"{self._what}, at byte {self._position}: {sentence}")

    def finish(self) -> None:
        """Checks that nothing is left."""
        if self._position != self._end:
            raise self.fault(f"{self._end - self._position} bytes are left behind the last field")

    def int8(self, field: str) -> int:
        return self._number(INT8, field)

    def int16(self, field: str) -> int:
        return self._number(INT16, field)

    def int32(self, field: str) -> int:
        return self._number(INT32, field)

    def int64(self, field: str) -> int:
        return self._number(INT64, field)

    def topic_id(self, field: str) -> str:
        return topic_id_text(self._take(UUID_BYTES, field))

    def unsigned_varint(self, field: str) -> int:
        value = 0
        for place in range(_MAX_VARINT_BYTES):
            byte = self._take(1, field)[0]
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                if value > _MAX_UINT32:
                    raise self.fault(f"the {field} is a number of more than 32 bits")
                return value
        raise self.fault(f"the {field} is a number of more than {_MAX_VARINT_BYTES} bytes")

    def string(self, field: str) -> str:
        return self._text(self.int16(f"length of the {field}"), field)

    def nullable_string(self, field: str) -> str | None:
        length = self.int16(f"length of the {field}")
        return None if length == -1 else self._text(length, field)

    def long_bytes(self, field: str) -> bytes:
        return self._take(self.int32(f"length of the {field}"), field)

    def array(self, field: str, element: Callable[["Reader"], _T], element_bytes: int) -> tuple[_T, ...]:
        """Reads an array with a 32-bit length; an element takes `element_bytes` or more."""
        return self._elements(self.int32(f"length of the {field}"), field, element, element_bytes)

    def nullable_array(
        self, field: str, element: Callable[["Reader"], _T], element_bytes: int
    ) -> tuple[_T, ...] | None:
        """As `array`; None for null."""
        count = self.int32(f"length of the {field}")
        return None if count == -1 else self._elements(count, field, element, element_bytes)

    def int32_array(self, field: str) -> tuple[int, ...]:
        """Reads an array of numbers with a 32-bit length."""
        return self._int32s(self.int32(f"length of the {field}"), field)

    def compact_string(self, field: str) -> str:
        return self._text(self._compact_length(field), field)

    def compact_nullable_string(self, field: str) -> str | None:
        length = self._compact_length(field)
        return None if length == -1 else self._text(length, field)

    def compact_bytes(self, field: str) -> bytes:
        return self._take(self._compact_length(field), field)

    def compact_array(self, field: str, element: Callable[["Reader"], _T], element_bytes: int) -> tuple[_T, ...]:
        """Reads an array; an element takes `element_bytes` or more."""
        return self._elements(self._compact_length(field), field, element, element_bytes)

    def compact_nullable_array(
        self, field: str, element: Callable[["Reader"], _T], element_bytes: int
    ) -> tuple[_T, ...] | None:
        """As `compact_array`; None for null."""
        count = self._compact_length(field)
        return None if count == -1 else self._elements(count, field, element, element_bytes)

    def compact_int32_array(self, field: str) -> tuple[int, ...]:
        return self._int32s(self._compact_length(field), field)

    def compact_nullable_int32_array(self, field: str) -> tuple[int, ...] | None:
        length = self._compact_length(field)
        return None if length == -1 else self._int32s(length, field)

    def compact_string_array(self, field: str) -> tuple[str, ...]:
        return self.compact_array(field, lambda reader: reader.compact_string(f"element of the {field}"), 1)

    def tagged_field(self, tag: int | None = None) -> "Reader | None":
        """Reads the tagged fields that end a struct; returns a reader for the one with this tag, None without it.

        The others are a later release's, and passed by.
        """
        if tag is None:
            self.tagged_fields(())
            return None
        return self.tagged_fields((tag,)).get(tag)

    def tagged_fields(self, tags: Container[int]) -> "dict[int, Reader]":
        """Reads the tagged fields that end a struct; returns readers for those with one of these tags.

        The others are a later release's, and passed by.
        """
        count = self.unsigned_varint("count of tagged fields")
        found = {}
        last = -1
        for _ in range(count):
            number = self.unsigned_varint("tag")
            if number <= last:
                raise self.fault(f"tag {number} follows tag {last}")
            last = number
            size = self.unsigned_varint(f"size of tagged field {number}")
            if number in tags:
                self._check(size, f"tagged field {number}")
                found[number] = Reader(self._data, self._what, self._position, self._position + size)
            self._skip(size, f"tagged field {number}")
        return found

    def _compact_length(self, field: str) -> int:
        return self.unsigned_varint(f"length of the {field}") - 1

    def _text(self, length: int, field: str) -> str:
        if length > MAX_STRING_BYTES:
            raise self.fault(f"the {field} claims {length} bytes, and a string has at most {MAX_STRING_BYTES}")
        data = self._take(length, field)
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise self.fault(f"the {field} is not UTF-8") from None

    def _elements(
        self, count: int, field: str, element: Callable[["Reader"], _T], element_bytes: int
    ) -> tuple[_T, ...]:
        self._check_count(count, field, element_bytes)
        return tuple([element(self) for _ in range(count)])

    def _int32s(self, count: int, field: str) -> tuple[int, ...]:
        self._check_count(count, field, INT32.size)
        return Struct(f">{count}i").unpack(self._take(count * INT32.size, field))

    def _check_count(self, count: int, field: str, element_bytes: int) -> None:
        left = self._end - self._position
        if not 0 <= count * element_bytes <= left:
            raise self.fault(f"the {field} claims {count} elements, {left} bytes are left")

    def _number(self, layout: Struct, field: str) -> int:
        start = self._position
        self._skip(layout.size, field)
        return int(layout.unpack_from(self._data, start)[0])

    def _take(self, size: int, field: str) -> bytes:
        start = self._position
        self._skip(size, field)
        return self._data[start : self._position]

    def _skip(self, size: int, field: str) -> None:
        self._check(size, field)
        self._position += size

    def _check(self, size: int, field: str) -> None:
        left = self._end - self._position
        if not 0 <= size <= left:
            raise self.fault(f"the {field} takes {size} bytes, {left} are left")
