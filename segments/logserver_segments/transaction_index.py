"""The index of aborted transactions of a segment, in Kafka's file format.

`.txnindex`: 34 bytes an entry, one for each transaction whose abort marker is in the segment, in the order of the
markers: version i16 = 0, producer id i64, first offset i64, last offset i64 (that of the marker), last stable offset
i64 when the marker was appended (Kafka: `TransactionIndex`, `AbortedTxn`). Without entries there is no file.

Entries go to the file when they are made; those that the disk refused wait in memory. A file of one byte is that of an
index that has to be made again.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from struct import Struct
from typing import Final

from logserver_records.batch import Buffer

from logserver_segments.index import IndexDamaged
from logserver_segments.partition_log import AbortedTransaction
from logserver_segments.pool import Pool, Slot
from logserver_segments.reading import ColdData
from logserver_segments.seams import Disk, File

_ENTRY: Final = Struct(">hqqqq")
_VERSION: Final = 0
_DAMAGED: Final = bytes(1)
_READ_ENTRIES: Final = 120
"""So many are read at once: what fits a page."""


class TransactionIndex:
    """The aborted transactions whose markers are in one segment, by the rising offsets of their markers.

    Args:
        base_offset: of the segment.
        path: of the file.
        file_bytes: its size, 0 if it is not there.
    """

    __slots__ = (
        "_base_offset",
        "_disk",
        "_file",
        "_file_entries",
        "_files",
        "_has_file",
        "_is_marked",
        "_pending",
        "_reason",
        "path",
    )

    def __init__(self, base_offset: int, path: str, disk: Disk, files: Pool[File], file_bytes: int = 0) -> None:
        self.path = path
        self._base_offset = base_offset
        self._disk = disk
        self._files = files
        self._file: Slot[File] = Slot()
        self._file_entries = file_bytes // _ENTRY.size
        self._has_file = file_bytes > 0
        self._pending: list[AbortedTransaction] = []
        # Why it can't be trusted.
        self._reason: str | None = None
        # Whether its file tells so.
        self._is_marked = False
        if file_bytes % _ENTRY.size:
            self.distrust(f"{path} has {file_bytes} bytes, which is no whole number of entries")

    def __len__(self) -> int:
        return self._file_entries + len(self._pending)

    @property
    def may_have_entries(self) -> bool:
        """Whether there is something to look for, or to make again first."""
        return bool(self._file_entries or self._pending) or self._reason is not None

    @property
    def is_trusted(self) -> bool:
        """Whether it has not to be made again."""
        return self._reason is None

    def distrust(self, reason: str) -> None:
        """Says that the index has to be made again before it is used."""
        self._reason = reason

    # Growing

    def append(self, transaction: AbortedTransaction) -> None:
        """Adds an entry; its marker is behind that of the last one. It is in memory only until `flush`."""
        self._pending.append(transaction)

    def flush(self) -> None:
        """Writes the entries that are only in memory to the file, unless it can't be trusted: that must be seen then.

        Raises:
            OSError: they could not be written; they stay in memory, to be written later.
        """
        if self._reason is not None:
            if not self._is_marked:
                self._write_anew(_DAMAGED)
                self._is_marked = True
        elif self._pending:
            self._open(create=True).write((packed(self._pending),), self._file_entries * _ENTRY.size)
            self._file_entries += len(self._pending)
            self._pending = []

    def _open(self, *, create: bool = False) -> File:
        slot = self._file
        slot.used = True
        file = slot.resource
        if file is None:
            try:
                file = self._disk.open(self.path)
            except FileNotFoundError:
                if not create:
                    raise IndexDamaged(f"{self.path} is missing") from None
                file = self._disk.open(self.path, create=True)
                self._has_file = True
            self._files.put(slot, file)
        return file

    def replace(self, transactions: Iterable[AbortedTransaction]) -> None:
        """Takes what was found in the segment in the place of all entries but those that came later.

        Raises:
            OSError: the disk refused; the entries are in memory.
        """
        found = list(transactions)
        last_offset = found[-1].last_offset if found else -1
        self._pending = found + [known for known in self._pending if known.last_offset > last_offset]
        self._reason = None
        self._is_marked = False
        self._file_entries = 0
        if not self._pending:
            self._remove_file()
            return
        self._write_anew(packed(self._pending))
        self._file_entries = len(self._pending)
        self._pending = []

    def _write_anew(self, content: bytes) -> None:
        """Replaces the file: what is before the recovery point is not made again, so it must not be lost meanwhile."""
        self._files.drop(self._file)
        self._disk.write_file(self.path, content, durable=True)
        self._has_file = True

    def reset(self) -> None:
        """Forgets all entries; the file is removed."""
        self._pending = []
        self._reason = None
        self._is_marked = False
        self._remove_file()

    def _remove_file(self) -> None:
        self._file_entries = 0
        self._files.drop(self._file)
        if self._has_file:
            self._disk.remove(self.path)
            self._has_file = False

    def in_file(self, entries: int) -> None:
        """Says that the file was made, and has this many entries; without entries it goes.

        Raises:
            OSError: the disk refused to remove it.
        """
        self._file_entries = entries
        self._has_file = True
        if not entries:
            self._remove_file()

    # Looking up

    def overlapping(
        self, start_offset: int, end_offset: int, next_offset: int, *, wait: bool
    ) -> tuple[list[AbortedTransaction], bool]:
        """Returns the transactions that overlap a range, its end exclusive, and whether no later one can.

        Args:
            next_offset: the one behind the segment's last record.
            wait: whether the disk may be waited for.

        Raises:
            ColdData: it would be, and may not.
            IndexDamaged: the index has to be made again.
            OSError: the disk refused.
        """
        if self._reason is not None:
            raise IndexDamaged(self._reason)
        found = []
        for transaction in self._from_marker(start_offset, wait):
            if transaction.last_offset >= next_offset:
                raise IndexDamaged(f"{self.path} has an entry that is not of its segment: {transaction}")
            if transaction.first_offset < end_offset:
                found.append(transaction)
            # Whatever is aborted later began at or behind what was stable then.
            if transaction.last_stable_offset >= end_offset:
                return found, True
        return found, False

    def _from_marker(self, offset: int, wait: bool) -> Iterator[AbortedTransaction]:
        """Yields the entries from the first one on whose marker is at or behind an offset."""
        number = bisect_left(range(self._file_entries), offset, key=lambda n: self._read(n, 1, wait)[0].last_offset)
        while number < self._file_entries:
            entries = self._read(number, min(_READ_ENTRIES, self._file_entries - number), wait)
            yield from entries
            number += len(entries)
        for transaction in self._pending:
            if transaction.last_offset >= offset:
                yield transaction

    def _read(self, number: int, count: int, wait: bool) -> list[AbortedTransaction]:
        file, size, position = self._open(), count * _ENTRY.size, number * _ENTRY.size
        content: Buffer | None = file.read(size, position) if wait else file.read_resident(size, position)
        if content is None:
            raise ColdData
        if len(content) < size:
            raise IndexDamaged(f"{self.path} is shorter than {self._file_entries} entries")
        return self._unpacked(content)

    def _unpacked(self, content: Buffer) -> list[AbortedTransaction]:
        found = []
        last_offset = self._base_offset - 1
        for version, *fields in _ENTRY.iter_unpack(content):
            transaction = AbortedTransaction._make(fields)
            if (
                version != _VERSION
                or not 0 <= transaction.first_offset < transaction.last_offset
                or not 0 <= transaction.last_stable_offset <= transaction.last_offset + 1
                or transaction.last_offset <= last_offset
            ):
                raise IndexDamaged(f"{self.path} has an entry that can't be: {transaction}, version {version}")
            last_offset = transaction.last_offset
            found.append(transaction)
        return found

    def entries(self) -> list[AbortedTransaction]:
        """Returns all entries, reading the file.

        Raises:
            IndexDamaged: the index has to be made again.
            OSError: the disk refused.
        """
        if self._reason is not None:
            raise IndexDamaged(self._reason)
        return list(self._from_marker(0, True))

    def file_to_warm(self) -> File:
        """Returns the file, for another thread to read before `overlapping` is asked again.

        Raises:
            IndexDamaged: it is missing.
            OSError: the disk refused.
        """
        return self._open()

    @property
    def file_bytes(self) -> int:
        """How many bytes of the file count."""
        return self._file_entries * _ENTRY.size

    # Cutting

    def truncate(self, offset: int) -> None:
        """Drops the entries whose markers are at or behind an offset.

        Raises:
            IndexDamaged: the index has to be made again.
            OSError: the disk refused.
        """
        if self._reason is not None:
            raise IndexDamaged(self._reason)
        kept = bisect_left(range(self._file_entries), offset, key=lambda n: self._read(n, 1, True)[0].last_offset)
        self._pending = [transaction for transaction in self._pending if transaction.last_offset < offset]
        if kept == self._file_entries:
            return
        if kept:
            self._open().truncate(kept * _ENTRY.size)
            self._file_entries = kept
        else:
            self._remove_file()

    def release(self) -> None:
        """Lets go of the open file."""
        self._files.drop(self._file)


def packed(transactions: Iterable[AbortedTransaction]) -> bytes:
    """Returns the content of a file of these entries."""
    return b"".join([_ENTRY.pack(_VERSION, *transaction) for transaction in transactions])
