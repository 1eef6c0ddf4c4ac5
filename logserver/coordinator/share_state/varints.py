"""Numbers of our own formats: unsigned varints of up to 64 bits, those with a sign in zigzag order."""

from collections.abc import Iterator
from typing import Final

from logserver.coordinator.formats.errors import CorruptCoordinatorRecord

MAX_INT64: Final = (1 << 63) - 1

_MOST_SHIFT: Final = 63


def put(out: bytearray, number: int) -> None:
    """Appends a number from 0 on."""
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


def put_signed(out: bytearray, number: int) -> None:
    """Appends a number that may be negative."""
    if 0 <= number < 0x40:
        out.append(number << 1)
    else:
        put(out, number << 1 if number >= 0 else (-number << 1) - 1)


def put_text(out: bytearray, text: str) -> None:
    """Appends a text with its length in bytes."""
    data = text.encode()
    put(out, len(data))
    out += data


def signed(number: int) -> int:
    """Returns what `put_signed` was given, for what it has appended."""
    return number >> 1 if not number & 1 else -((number + 1) >> 1)


class Cursor:
    """Reads what `put` and its like have written, and never beyond the end.

    Args:
        what: it is, for errors.

    Every method raises CorruptCoordinatorRecord if the bytes are not such a thing.
    """

    __slots__ = ("_data", "_position", "_what")

    def __init__(self, data: bytes, position: int, what: str) -> None:
        self._data = data
        self._position = position
        self._what = what

    def fault(self, sentence: str) -> CorruptCoordinatorRecord:
        """Returns the error for something wrong at the place reached."""
        return CorruptCoordinatorRecord(f"{self._what}, at byte {self._position}: {sentence}")

    def number(self) -> int:
        """Reads a number from 0 on."""
        value = shift = 0
        for byte in self._data[self._position : self._position + 10]:
            self._position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
        raise self.fault("a number does not end")

    def signed(self) -> int:
        """Reads a number that may be negative."""
        return signed(self.number())

    def count(self, least_bytes: int) -> int:
        """Reads how many things follow that take at least so many bytes each."""
        count = self.number()
        left = len(self._data) - self._position
        if count * least_bytes > left:
            raise self.fault(f"{count} things are claimed to follow, {left} bytes are left")
        return count

    def text(self) -> str:
        """Reads a text."""
        size = self.count(1)
        data = self._data[self._position : self._position + size]
        self._position += size
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise self.fault("a text is not UTF-8") from None

    def numbers(self) -> Iterator[int]:
        """Yields all numbers that are left; the quick way to read many."""
        value = shift = 0
        for byte in memoryview(self._data)[self._position :]:
            if byte < 0x80:
                yield value | byte << shift
                value = shift = 0
                continue
            value |= (byte & 0x7F) << shift
            shift += 7
            if shift > _MOST_SHIFT:
                raise self.fault("a number behind it has more than 64 bits")
        if shift:
            raise self.fault("the last number behind it does not end")
