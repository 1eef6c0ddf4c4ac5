"""The sparse indexes of a segment, in Kafka's file formats.

Offset index (`.index`): 8 bytes an entry, (offset - base offset) i32, position in the segment i32. Time index
(`.timeindex`): 12 bytes an entry, timestamp i64, (offset - base offset) i32: up to the entry's offset no record has
a larger timestamp. Both columns never fall from entry to entry (Kafka: `OffsetIndex`, `TimeIndex`).

Entries are appended in memory and written to the file in blocks, at roll, at checkpoints and when closed: a crash
loses only entries that recovery makes again. What is in the file is read through a mapping.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from struct import Struct
from typing import Final, Literal

from logserver_segments.pool import Pool, Slot
from logserver_segments.seams import Disk, Mapping

_BLOCK_ENTRIES: Final = 1024
"""Entries kept in memory at most; then they go to the file."""


class IndexDamaged(Exception):
    """The index file can't be right; it has to be made again from the segment."""


class Index:
    """A sorted list of (key, value) pairs, part of it in a file.

    Args:
        kind: "offset" or "time".
        path: of the file; need not exist while no entries are in it.
        file_entries: how many entries of the file count.
    """

    __slots__ = ("_disk", "_entry", "_file_entries", "_keys", "_maps", "_slot", "_values", "path")

    _OFFSET: Final = Struct(">ii")
    _TIME: Final = Struct(">qi")

    def __init__(
        self, kind: Literal["offset", "time"], path: str, disk: Disk, maps: Pool[Mapping], file_entries: int = 0
    ) -> None:
        self.path = path
        self._disk = disk
        self._maps = maps
        self._entry = self._OFFSET if kind == "offset" else self._TIME
        self._file_entries = file_entries
        self._keys = array("q")
        self._values = array("q")
        self._slot: Slot[Mapping] = Slot()

    @staticmethod
    def entry_size(kind: Literal["offset", "time"]) -> int:
        """Bytes of one entry."""
        return (Index._OFFSET if kind == "offset" else Index._TIME).size

    def __len__(self) -> int:
        return self._file_entries + len(self._keys)

    @property
    def size_bytes(self) -> int:
        """Size of the file once all entries are in it."""
        return len(self) * self._entry.size

    def append(self, key: int, value: int) -> None:
        """Adds an entry; key and value may not be below those of the last one."""
        self._keys.append(key)
        self._values.append(value)

    @property
    def wants_flush(self) -> bool:
        """Whether enough entries wait in memory to be written to the file."""
        return len(self._keys) >= _BLOCK_ENTRIES

    def flush(self) -> None:
        """Writes the entries that are only in memory to the file.

        Raises:
            OSError: they could not be written; they stay in memory, to be written later.
        """
        if not self._keys:
            if not self._file_entries and not self._disk.exists(self.path):
                self._disk.open(self.path, create=True)
            return
        pack = self._entry.pack
        block = b"".join([pack(key, value) for key, value in zip(self._keys, self._values, strict=True)])
        try:
            file = self._disk.open(self.path)
        except FileNotFoundError:
            file = self._disk.open(self.path, create=True)
        file.write((block,), self._file_entries * self._entry.size)
        self._file_entries += len(self._keys)
        self._keys = array("q")
        self._values = array("q")
        self._maps.drop(self._slot)

    def last(self) -> tuple[int, int] | None:
        """Returns the last entry, if there is one."""
        count = len(self)
        return self[count - 1] if count else None

    def __getitem__(self, number: int) -> tuple[int, int]:
        in_memory = number - self._file_entries
        if in_memory >= 0:
            return self._keys[in_memory], self._values[in_memory]
        key, value = self._entry.unpack_from(self._view(), number * self._entry.size)
        return key, value

    def floor(self, key: int) -> tuple[int, int] | None:
        """Returns the last entry whose key is at most `key`, or None if all are larger."""
        keys = self._keys
        if keys and keys[0] <= key:
            found = bisect_right(keys, key) - 1
            return keys[found], self._values[found]
        if not self._file_entries:
            return None
        found = self._bisect_file(key)
        return self[found - 1] if found else None

    def floor_by_value(self, value: int) -> tuple[int, int] | None:
        """Returns the last entry whose value is at most `value`, or None if all are larger."""
        values = self._values
        if values and values[0] <= value:
            found = bisect_right(values, value) - 1
            return self._keys[found], values[found]
        size, unpack = self._entry.size, self._entry.unpack_from
        if not self._file_entries:
            return None
        view = self._view()
        found = bisect_right(range(self._file_entries), value, key=lambda n: unpack(view, n * size)[1])
        return self[found - 1] if found else None

    def truncate(self, entries: int) -> None:
        """Keeps only the first `entries` entries, in memory and in the file."""
        if entries >= len(self):
            return
        if entries >= self._file_entries:
            del self._keys[entries - self._file_entries :]
            del self._values[entries - self._file_entries :]
            return
        self._keys = array("q")
        self._values = array("q")
        self._maps.drop(self._slot)
        self._file_entries = entries
        self._disk.open(self.path).truncate(entries * self._entry.size)

    def count_below(self, *, key: int | None = None, value: int | None = None) -> int:
        """Returns how many leading entries have a key (or value) below the one given."""
        if key is not None:
            return bisect_left(range(len(self)), key, key=lambda n: self[n][0])
        assert value is not None
        return bisect_left(range(len(self)), value, key=lambda n: self[n][1])

    def check(self, *, key_range: range, value_range: range) -> None:
        """Checks what can be checked without reading the segment: size, and the last entry against its bounds.

        Raises:
            IndexDamaged: file size and entries disagree, or the last entry can't be.
        """
        try:
            size = self._disk.open(self.path).size()
        except FileNotFoundError:
            raise IndexDamaged(f"{self.path} is missing") from None
        if size % self._entry.size or size // self._entry.size < self._file_entries:
            raise IndexDamaged(f"{self.path} has {size} bytes, which is no whole number of the entries it should have")
        last = self.last()
        if last is not None and (last[0] not in key_range or last[1] not in value_range):
            raise IndexDamaged(f"the last entry of {self.path}, {last}, is outside of its segment")

    def reset(self) -> None:
        """Forgets all entries; the file is removed."""
        self._keys = array("q")
        self._values = array("q")
        self._file_entries = 0
        self._maps.drop(self._slot)
        self._disk.remove(self.path)

    def release(self) -> None:
        """Lets go of the mapping."""
        self._maps.drop(self._slot)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return (self[n] for n in range(len(self)))

    def _bisect_file(self, key: int) -> int:
        view, size, unpack = self._view(), self._entry.size, self._entry.unpack_from
        return bisect_right(range(self._file_entries), key, key=lambda n: unpack(view, n * size)[0])

    def _view(self) -> memoryview:
        slot = self._slot
        mapping = slot.resource
        slot.used = True
        if mapping is None:
            mapping = self._maps.put(slot, self._disk.open(self.path).map(self._file_entries * self._entry.size))
        return mapping.view
