"""Holding index files against the batches of their segment, while these are walked over."""

from collections.abc import Iterator
from struct import Struct
from typing import Final

from logserver_records.batch import BatchHeader

from logserver_segments.seams import Disk, File

_CHUNK_ENTRIES: Final = 1 << 16
_OFFSET: Final = Struct(">ii")
_TIME: Final = Struct(">qi")


class IndexFile:
    """The entries of an index file, one after the other, until one is wrong: then `problem` says why.

    Args:
        path: of the file.
        layout: of an entry.
    """

    def __init__(self, path: str, layout: Struct, disk: Disk) -> None:
        self.path = path
        self.problem: str | None = None
        self.position: int | None = None
        """Byte of the entry that is wrong; None if it is about the whole file."""
        self._layout = layout
        self._number = -1
        self._entries: Iterator[tuple[int, int]] = iter(())
        self.entry: tuple[int, int] | None = None
        try:
            file = disk.open(path)
        except FileNotFoundError:
            self.is_missing = True
            return
        self.is_missing = False
        size = file.size()
        if size % layout.size:
            self.fail(f"it has {size} bytes, which is no whole number of entries of {layout.size} bytes", whole=True)
            return
        self._entries = self._read(file, size)
        self.advance()

    def _read(self, file: File, size: int) -> Iterator[tuple[int, int]]:
        step = _CHUNK_ENTRIES * self._layout.size
        for start in range(0, size, step):
            content = file.read(min(step, size - start), start)
            yield from self._layout.iter_unpack(content[: len(content) - len(content) % self._layout.size])

    def advance(self) -> None:
        """Goes on to the next entry; both columns must rise."""
        last, self.entry = self.entry, next(self._entries, None)
        self._number += 1
        if last is not None and self.entry is not None and not (last[0] < self.entry[0] and last[1] < self.entry[1]):
            self.fail(f"the entry {self.entry} follows {last}, and both numbers have to rise")

    def fail(self, problem: str, *, whole: bool = False) -> None:
        """Takes note of the first thing that is wrong, and looks no further."""
        if self.problem is None:
            self.problem = problem
            self.position = None if whole else self._number * self._layout.size
        self.stop()

    def stop(self) -> None:
        """Looks at no entry from here on."""
        self._entries = iter(())
        self.entry = None


class OffsetIndexCheck:
    """An offset index: each entry names a batch that begins at its position, by the last offset of it.

    Args:
        base_offset: of the segment.
    """

    def __init__(self, path: str, base_offset: int, disk: Disk) -> None:
        self.file = IndexFile(path, _OFFSET, disk)
        self._base = base_offset

    def take(self, position: int, header: BatchHeader) -> None:
        """Takes the next batch."""
        file = self.file
        while (entry := file.entry) is not None and entry[1] <= position:
            if entry[1] < position:
                file.fail(f"the entry {entry} names position {entry[1]}, and no batch begins there")
            elif entry[0] != header.last_offset - self._base:
                file.fail(
                    f"the entry {entry} names offset {self._base + entry[0]}, and the last one of the batch at its "
                    f"position is {header.last_offset}"
                )
            else:
                file.advance()

    def end(self, size: int) -> None:
        """Says that there are no more batches; `size` is that of the segment."""
        entry = self.file.entry
        if entry is not None:
            self.file.fail(f"the entry {entry} names a position where no batch of the segment's {size} bytes begins")


class TimeIndexCheck:
    """A time index: each entry's timestamp is the largest one up to its offset.

    Args:
        base_offset: of the segment.
    """

    def __init__(self, path: str, base_offset: int, disk: Disk) -> None:
        self.file = IndexFile(path, _TIME, disk)
        self._base = base_offset
        # The largest timestamp so far, and the last offset of the batch that it came with.
        self._largest = -1
        self._largest_offset = base_offset
        self._last: tuple[int, int] | None = None

    def take(self, header: BatchHeader) -> None:
        """Takes the next batch."""
        if header.max_timestamp > self._largest:
            self._largest, self._largest_offset = header.max_timestamp, header.last_offset
        file = self.file
        while (entry := file.entry) is not None and self._base + entry[1] <= header.last_offset:
            if entry != (self._largest, self._largest_offset - self._base):
                file.fail(
                    f"the entry {entry} says that {entry[0]} is the largest timestamp up to offset "
                    f"{self._base + entry[1]}, and that is {self._largest}, of offset {self._largest_offset}"
                )
            else:
                self._last = entry
                file.advance()

    def end(self, is_sealed: bool) -> None:
        """Says that there are no more batches. The last entry of a sealed segment names its largest timestamp."""
        file = self.file
        entry = file.entry
        if entry is not None:
            file.fail(f"the entry {entry} names an offset behind those of the segment")
        elif is_sealed and not file.is_missing and file.problem is None:
            last = self._last[0] if self._last is not None else -1
            if last != self._largest:
                file.fail(
                    f"its last timestamp is {last}, and the largest one of the segment is {self._largest}", whole=True
                )
