"""The sparse indexes of a segment, in Kafka's file formats.

Offset index (`.index`): 8 bytes an entry, (offset - base offset) i32, position in the segment i32. Time index
(`.timeindex`): 12 bytes an entry, timestamp i64, (offset - base offset) i32: up to the entry's offset no record has
a larger timestamp. Both columns rise from entry to entry (Kafka: `OffsetIndex`, `TimeIndex`).

Entries are appended in memory and written to the file in blocks, at roll, at checkpoints and when closed: a crash
loses only entries that recovery makes again. What is in the file is searched through a mapping.
"""

import contextlib
from array import array
from bisect import bisect_left, bisect_right
from struct import Struct
from typing import Final, Literal

from logserver_records.batch import Buffer

from logserver_segments.pool import Pool, Slot
from logserver_segments.reading import ColdData
from logserver_segments.seams import Disk, File, Mapping

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

    __slots__ = ("_disk", "_entry", "_file_entries", "_file_last", "_keys", "_maps", "_slot", "_values", "path")

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
        # The last of them, once it was needed.
        self._file_last: tuple[int, int] | None = None
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
        # Asked for with every append.
        return (self._file_entries + len(self._keys)) * self._entry.size

    # Growing

    def append(self, key: int, value: int) -> None:
        """Adds an entry; key and value must be above those of the last one."""
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
        file = self._open()
        file.write((self._packed(),), self._file_entries * self._entry.size)
        self.in_file()

    def _open(self) -> File:
        # What is most likely first: each attempt costs, and a stop does this for very many logs.
        for create in (True, False) if not self._file_entries else (False, True):
            with contextlib.suppress(FileNotFoundError, FileExistsError):
                return self._disk.open(self.path, create=create)
        return self._disk.open(self.path)

    def _packed(self) -> bytes:
        pack = self._entry.pack
        return b"".join([pack(key, value) for key, value in zip(self._keys, self._values, strict=True)])

    def content(self) -> bytes:
        """Returns the content of the file of an index that is in memory only."""
        assert not self._file_entries
        return self._packed()

    def in_file(self) -> None:
        """Says that all entries stand in the file now."""
        self._file_entries = len(self)
        if self._keys:
            self._file_last = self._keys[-1], self._values[-1]
        self._keys = array("q")
        self._values = array("q")
        self._maps.drop(self._slot)

    # Looking up

    def last(self, *, wait: bool = True) -> tuple[int, int] | None:
        """Returns the last entry, if there is one; may read that entry from the disk.

        Args:
            wait: whether the disk may be waited for.

        Raises:
            ColdData: it would be, and may not.
            IndexDamaged: the file is shorter than its entries.
            OSError: the disk refused.
        """
        if self._keys:
            return self._keys[-1], self._values[-1]
        if not self._file_entries or self._file_last is not None:
            return self._file_last
        size = self._entry.size
        # Not through a mapping: of most segments nothing but this is ever asked for.
        file, position = self._disk.open(self.path), (self._file_entries - 1) * size
        found = file.read_resident(size, position)
        if found is None:
            if not wait:
                raise ColdData
            found = file.read(size, position)
        if len(found) < size:
            raise IndexDamaged(f"{self.path} is shorter than {self._file_entries} entries")
        key, value = self._entry.unpack(found)
        self._file_last = key, value
        return self._file_last

    def floor(self, key: int, *, wait: bool = False, content: Buffer | None = None) -> tuple[int, int] | None:
        """Returns the last entry whose key is at most `key`, or None if all are larger.

        Args:
            wait: whether the disk may be waited for.
            content: what `warm` gave: then nothing is read. Entries that have come since may be missed.

        Raises:
            ColdData: it would be, and may not.
            IndexDamaged: the file is not what it was.
            OSError: the disk refused.
        """
        keys = self._keys
        if keys and keys[0] <= key:
            found = bisect_right(keys, key) - 1
            return keys[found], self._values[found]
        return self._file_floor(0, key, wait, content)

    def floor_by_value(self, value: int, *, wait: bool = False) -> tuple[int, int] | None:
        """Returns the last entry whose value is at most `value`, or None if all are larger; otherwise as `floor`."""
        values = self._values
        if values and values[0] <= value:
            found = bisect_right(values, value) - 1
            return self._keys[found], values[found]
        return self._file_floor(1, value, wait)

    def _file_floor(
        self, column: int, wanted: int, wait: bool, content: Buffer | None = None
    ) -> tuple[int, int] | None:
        if not self._file_entries:
            return None
        size, unpack = self._entry.size, self._entry.unpack_from
        view = content if content is not None else self._view(wait)
        entries = range(min(self._file_entries, len(view) // size))
        found = bisect_right(entries, wanted, key=lambda n: unpack(view, n * size)[column])
        if not found:
            return None
        key, value = unpack(view, (found - 1) * size)
        return key, value

    def _view(self, wait: bool) -> Buffer:
        """Returns the file's entries: through the mapping where the page cache has them all, read if it may wait."""
        slot = self._slot
        mapping = slot.resource
        slot.used = True
        size = self._file_entries * self._entry.size
        if mapping is None:
            try:
                mapping = self._maps.put(slot, self._disk.open(self.path).map(size))
            except FileNotFoundError:
                raise IndexDamaged(f"{self.path} is missing") from None
            except OSError:
                # Too short, or no room for a mapping: reading tells which.
                return self._read(size, wait)
        if mapping.is_resident(0, size):
            return mapping.view
        if not wait:
            raise ColdData
        return self._read(size, wait)

    def _read(self, size: int, wait: bool) -> Buffer:
        file = self._disk.open(self.path)
        content: Buffer | None = file.read(size, 0) if wait else file.read_resident(size, 0)
        if content is None:
            raise ColdData
        if len(content) < size:
            raise IndexDamaged(f"{self.path} is shorter than {self._file_entries} entries")
        return content

    def warm(self) -> Buffer:
        """Reads the file, for `floor` to look something up in it; for another thread.

        Raises:
            IndexDamaged: the file is not what it was.
            OSError: the disk refused.
        """
        return self._read(self._file_entries * self._entry.size, True) if self._file_entries else b""

    def warm_end(self) -> None:
        """Reads the last entry, so that `last` will find it in the page cache; for another thread.

        Raises:
            OSError: the disk refused.
        """
        if self._file_entries:
            self._disk.open(self.path).read(self._entry.size, (self._file_entries - 1) * self._entry.size)

    def entries(self, first: int = 0) -> list[tuple[int, int]]:
        """Returns all entries but so many first ones of the file, reading it; those that a file lacks are left out."""
        content, size = b"", self._entry.size
        if self._file_entries > first:
            content = self._disk.open(self.path).read((self._file_entries - first) * size, first * size)
        whole = len(content) - len(content) % size
        found: list[tuple[int, int]] = list(self._entry.iter_unpack(content[:whole]))
        return found + list(zip(self._keys, self._values, strict=True))

    def count_below(self, column: int, limit: int) -> int:
        """Returns how many entries of the file have a key (column 0) or a value (1) below a limit, reading few of them:
        right only where that column rises.

        Raises:
            IndexDamaged: the file is shorter than its entries.
            OSError: the disk refused.
        """
        if not self._file_entries:
            return 0
        file, size = self._disk.open(self.path), self._entry.size

        def entry(number: int) -> int:
            content = file.read(size, number * size)
            if len(content) < size:
                raise IndexDamaged(f"{self.path} is shorter than {self._file_entries} entries")
            found: tuple[int, int] = self._entry.unpack(content)
            return found[column]

        return bisect_left(range(self._file_entries), limit, key=entry)

    # Checking and cutting

    def check(self, *, key_range: range, value_range: range, wait: bool = True) -> None:
        """Checks what can be checked without reading the segment: size, and the last entry against its bounds.

        Raises:
            ColdData: as `last`.
            IndexDamaged: file size and entries disagree, or the last entry can't be.
            OSError: the disk refused.
        """
        try:
            size = self._disk.open(self.path).size()
        except FileNotFoundError:
            raise IndexDamaged(f"{self.path} is missing") from None
        if size % self._entry.size or size // self._entry.size < self._file_entries:
            raise IndexDamaged(f"{self.path} has {size} bytes, which is no whole number of the entries it should have")
        last = self.last(wait=wait)
        if last is not None and (last[0] not in key_range or last[1] not in value_range):
            raise IndexDamaged(f"the last entry of {self.path}, {last}, is outside of its segment")

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
        self._file_last = None
        self._disk.open(self.path).truncate(entries * self._entry.size)

    def reset(self) -> None:
        """Forgets all entries. The file is emptied and stays: a missing one tells that somebody has removed it."""
        self._keys = array("q")
        self._values = array("q")
        self._file_entries = 0
        self._file_last = None
        self._maps.drop(self._slot)
        with contextlib.suppress(FileNotFoundError):
            file = self._disk.open(self.path)
            # Of very many logs most have nothing in it.
            if file.size():
                file.truncate(0)

    def release(self) -> None:
        """Lets go of the mapping."""
        self._maps.drop(self._slot)
