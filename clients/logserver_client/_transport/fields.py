"""Fields of protocol buffers by hand, for messages whose record bytes should stay where they came in.

A field is a tag (number and wire type), then its value (protocol buffers' encoding guide).
"""

from typing import Final

from google.protobuf.message import DecodeError

LENGTH_DELIMITED: Final = 2
"""The wire type of bytes, texts and messages; a tag is the field's number, three bits up, and its wire type."""

_VARINT, _FIXED64, _FIXED32 = 0, 1, 5
_FIXED_BYTES: Final = {_FIXED64: 8, _FIXED32: 4}
_MAX_VARINT_BYTES: Final = 10


def next_field(view: memoryview, position: int) -> tuple[int, int, int]:
    """Returns the tag of the field at a position, and where its value starts and ends; without its length.

    Raises:
        DecodeError: there is no field, or it ends behind the message.
    """
    tag, start = _varint(view, position)
    kind = tag & 7
    if kind == LENGTH_DELIMITED:
        length, start = _varint(view, start)
        end = start + length
    elif kind == _VARINT:
        _, end = _varint(view, start)
    elif kind in _FIXED_BYTES:
        end = start + _FIXED_BYTES[kind]
    else:
        raise DecodeError(f"a field of wire type {kind}")
    if end > len(view):
        raise DecodeError(f"a field ends {end - len(view)} bytes behind its message")
    return tag, start, end


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    """Returns the number at a position and where the next field is."""
    number = 0
    for place, byte in enumerate(view[position : position + _MAX_VARINT_BYTES]):
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return number, position + place + 1
    raise DecodeError("a number without an end")
