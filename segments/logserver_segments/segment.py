"""One segment of a log: a file of record batches with its offset, time and transaction index.

The last segment of a log is *active*: it is appended to and read by `pread`. Every other one is *sealed*: it never
changes again and is read through a mapping where the page cache has the data.
"""

import contextlib
import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from logserver_records.batch import NO_TIMESTAMP, BatchHeader, Buffer

from logserver_segments.index import Index, IndexDamaged
from logserver_segments.pool import Pool, Slot
from logserver_segments.reading import BEGIN, ColdData, Fetch, Start
from logserver_segments.seams import Disk, File, Mapping, Workers
from logserver_segments.space import SpaceGuard
from logserver_segments.transaction_index import TransactionIndex

LOG_SUFFIX: Final = ".log"
INDEX_SUFFIX: Final = ".index"
TIME_INDEX_SUFFIX: Final = ".timeindex"
SNAPSHOT_SUFFIX: Final = ".snapshot"
TXN_INDEX_SUFFIX: Final = ".txnindex"
DELETED_SUFFIX: Final = ".deleted"
REBUILT_SUFFIX: Final = ".rebuilt.tmp"

MAX_RELATIVE_OFFSET: Final = 0x7FFFFFFF


@dataclass(frozen=True, slots=True)
class Resources:
    """What all segments of a data directory share."""

    disk: Disk
    files: Pool[File]
    maps: Pool[Mapping]
    # None: no space is kept free.
    space: SpaceGuard | None = None
    # For what takes long without the disk; None: whoever reads for the log does it.
    preparers: Workers | None = None
    # Names of logs that the disk has taken offline.
    lost: list[str] = field(default_factory=list)
    # Called when the sync of a file that logs are in has failed; None: nobody opens them again.
    flush_failed: Callable[[], None] | None = None


def file_name(offset: int, suffix: str) -> str:
    """Returns the name of a log's file: the offset in 20 digits and the suffix."""
    return f"{offset:020d}{suffix}"


def is_file_of_log(name: str) -> bool:
    """Returns whether a name begins with an offset as `file_name` writes it; other files are not the log's."""
    stem = name.split(".", 1)[0]
    return len(stem) == 20 and stem.isascii() and stem.isdigit()


def offset_of_file(name: str) -> int:
    """Returns the offset that a file of a log is named after."""
    return int(name.split(".", 1)[0])


class Segment:
    """A segment file with its indexes.

    Args:
        directory: of the partition.
        base_offset: no record in it has a smaller one.
        size: bytes of whole batches in the file.
        sealed: whether it will never be appended to.
    """

    __slots__ = (
        "_bytes_since_entry",
        "_file",
        "_map",
        "_resources",
        "aborted",
        "base_offset",
        "begun_ms",
        "checked",
        "directory",
        "first_timestamp",
        "index",
        "max_timestamp",
        "max_timestamp_offset",
        "path",
        "sealed",
        "size",
        "time_index",
    )

    def __init__(
        self,
        directory: str,
        base_offset: int,
        resources: Resources,
        *,
        size: int = 0,
        sealed: bool = False,
        index_bytes: int = 0,
        time_index_bytes: int = 0,
        transaction_index_bytes: int = 0,
    ) -> None:
        self.directory = directory
        self.base_offset = base_offset
        self.size = size
        self.sealed = sealed
        self.path = f"{directory}/{file_name(base_offset, LOG_SUFFIX)}"
        self._resources = resources
        self._file: Slot[File] = Slot()
        self._map: Slot[Mapping] = Slot()
        disk, maps = resources.disk, resources.maps
        self.index = Index(
            "offset",
            f"{directory}/{file_name(base_offset, INDEX_SUFFIX)}",
            disk,
            maps,
            index_bytes // Index.entry_size("offset"),
        )
        self.time_index = Index(
            "time",
            f"{directory}/{file_name(base_offset, TIME_INDEX_SUFFIX)}",
            disk,
            maps,
            time_index_bytes // Index.entry_size("time"),
        )
        self.aborted = TransactionIndex(
            base_offset,
            f"{directory}/{file_name(base_offset, TXN_INDEX_SUFFIX)}",
            disk,
            resources.files,
            transaction_index_bytes,
        )
        self._bytes_since_entry = 0
        # Whether the indexes have been checked, or made anew; for reading only.
        self.checked = size == 0
        # Of the first batch appended: what segment.ms counts from. None where it has not been read yet.
        self.first_timestamp: int | None = None
        # The same by the server's clock, where that timestamp is of no use; since when it is known to be there.
        self.begun_ms: int | None = None
        self.max_timestamp = -1
        self.max_timestamp_offset = base_offset

    @property
    def file(self) -> File:
        """The open log file."""
        slot = self._file
        slot.used = True
        file = slot.resource
        if file is None:
            file = self._resources.files.put(slot, self._resources.disk.open(self.path))
        return file

    def create(self) -> File:
        """Makes the empty log file.

        Raises:
            OSError: the disk refused, or the file exists.
        """
        return self._resources.files.put(self._file, self._resources.disk.open(self.path, create=True))

    def note_batch(self, header: BatchHeader, position: int, index_interval_bytes: int) -> None:
        """Takes up a batch that stands at a position into indexes and timestamps."""
        self.note(header.size, header.max_timestamp, header.last_offset, position, index_interval_bytes)

    def note(self, size: int, max_timestamp: int, last_offset: int, position: int, index_interval_bytes: int) -> None:
        """Takes up a batch of so many bytes that stands at a position; as `note_batch`."""
        if max_timestamp > self.max_timestamp:
            self.max_timestamp = max_timestamp
            self.max_timestamp_offset = last_offset
        if position == 0:
            self.first_timestamp = max_timestamp
        if self._bytes_since_entry > index_interval_bytes:
            # As Kafka: an entry names the last offset of the batch that starts at the position.
            self.index.append(last_offset - self.base_offset, position)
            self._append_time_entry()
            self._bytes_since_entry = 0
        self._bytes_since_entry += size

    def _append_time_entry(self) -> None:
        last = self.time_index.last()
        # Without timestamps (-1) there is nothing to find by time.
        if self.max_timestamp > (last[0] if last is not None else NO_TIMESTAMP):
            self.time_index.append(self.max_timestamp, self.max_timestamp_offset - self.base_offset)

    def seal(self) -> None:
        """Writes the indexes out, with a last time entry so that the file alone tells the largest timestamp.

        Raises:
            OSError: the disk refused; the segment is not sealed.
        """
        self.close_time_index()
        self.flush_indexes()
        self.sealed = True

    def close_time_index(self) -> None:
        """Adds the entry that names the segment's largest timestamp."""
        if self.size:
            self._append_time_entry()

    def flush_indexes(self) -> None:
        """Writes index entries that are only in memory to their files."""
        self.index.flush()
        self.time_index.flush()
        self.aborted.flush()

    def load_max_timestamp(self) -> int:
        """Returns the largest timestamp in the segment, -1 if it has none; reads it from the time index if need be.

        Right only once `check_indexes` is content.

        Raises:
            IndexDamaged: the time index has to be made again.
            OSError: the disk refused.
        """
        if self.max_timestamp < 0 and self.size:
            last = self.time_index.last()
            if last is not None:
                self.max_timestamp = last[0]
                self.max_timestamp_offset = self.base_offset + last[1]
        return self.max_timestamp

    def check_indexes(self, next_offset: int, *, wait: bool = True) -> None:
        """Checks the index files the first time; `next_offset` is the one behind the segment's last record.

        Args:
            wait: whether the disk may be waited for.

        Raises:
            ColdData: it would be, and may not; `warm_index_ends` helps.
            IndexDamaged: they have to be made again.
            OSError: the disk refused.
        """
        if self.checked:
            return
        offsets = range(next_offset - self.base_offset)
        self.index.check(key_range=offsets, value_range=range(self.size), wait=wait)
        self.time_index.check(key_range=range(1 << 63), value_range=offsets, wait=wait)
        if self.sealed and len(self.time_index) == 0:
            raise IndexDamaged(f"{self.time_index.path} is empty although the segment is not")
        self.checked = True
        # What is appended from here on need not be the latest.
        self.load_max_timestamp()

    def warm_index_ends(self) -> None:
        """Reads what `check_indexes` is going to look at; for another thread.

        What goes wrong `check_indexes` tells.
        """
        for index in (self.index, self.time_index):
            with contextlib.suppress(OSError):
                index.warm_end()

    def indexes_rebuilt(self) -> None:
        """Says that the indexes were made from the segment itself, so there is nothing to check."""
        self.checked = True

    def take_rebuilt(self) -> None:
        """Puts the index files that `rebuild.prepare_indexes` made into their place.

        Raises:
            OSError: the disk refused.
        """
        # If it can't be trusted, then neither when these are whole again.
        self.aborted.flush()
        for index in (self.index, self.time_index):
            self._resources.disk.rename(index.path + REBUILT_SUFFIX, index.path)
            index.in_file()

    def reset_indexes(self) -> None:
        """Forgets offset and time index, to make them again by `note_batch` over all batches."""
        self.index.reset()
        self.time_index.reset()
        self._bytes_since_entry = 0
        self.max_timestamp = -1
        self.max_timestamp_offset = self.base_offset
        self.first_timestamp = None

    def start_at_or_before(self, offset: int, *, wait: bool = False, content: Buffer | None = None) -> Start:
        """Returns where a batch begins from which walking on meets the one holding `offset`.

        Args:
            wait: whether the disk may be waited for.
            content: what `Index.warm` gave: then nothing is read.

        Raises:
            ColdData, IndexDamaged, OSError: as `Index.floor`.
        """
        # An entry's key is its batch's last offset: the batch of the largest key <= offset starts at or before it.
        entry = self.index.floor(offset - self.base_offset, wait=wait, content=content)
        return (entry[1], self.base_offset + entry[0]) if entry is not None else BEGIN

    def boundary_at_or_before(self, position: int) -> Start:
        """Returns the largest indexed start of a batch that is at most `position`, or where the file begins."""
        entry = self.index.floor_by_value(position)
        return (entry[1], self.base_offset + entry[0]) if entry is not None else BEGIN

    def fetcher(self) -> Fetch:
        """Returns a fetch that raises `ColdData` rather than wait for the disk."""
        return self._fetch_mapped if self.sealed and self.size else self._fetch_file

    def _fetch_file(self, position: int, size: int) -> Buffer:
        data = self.file.read_resident(size, position)
        if data is None:
            raise ColdData
        return data

    def _fetch_mapped(self, position: int, size: int) -> Buffer:
        slot = self._map
        slot.used = True
        mapping = slot.resource
        if mapping is None:
            try:
                mapping = self._resources.maps.put(slot, self.file.map(self.size))
            except OSError:
                # No room for another mapping (vm.max_map_count), or the file is shorter: reading serves, or tells.
                return self._fetch_file(position, size)
        size = min(size, self.size - position)
        if not mapping.is_resident(position, size):
            raise ColdData
        return mapping.view[position : position + size]

    def blocking_fetcher(self) -> Fetch:
        """Returns a fetch that waits for the disk; safe to call on another thread."""
        file = self.file
        return lambda position, size: file.read(size, position)

    def resident_fetcher(self) -> Fetch:
        """Returns a fetch that raises `ColdData` rather than wait for the disk; safe to call on another thread."""
        file = self.file

        def fetch(position: int, size: int) -> Buffer:
            data = file.read_resident(size, position)
            if data is None:
                raise ColdData
            return data

        return fetch

    def truncate(self, size: int) -> None:
        """Cuts the file at a position that is the end of a batch; the segment becomes active.

        The indexes have to be made again afterwards, or cut by the caller.

        The cut is durable when this returns: what came behind must not come back behind other records.

        A mapping with live slices would turn into a trap, so the file of a sealed segment, even if it stays whole, is
        replaced: that of an active one never was mapped.

        Raises:
            OSError: the disk refused; what was not flushed before may be lost, also in front of the cut.
        """
        if self.sealed:
            self._replace_with_prefix(size)
            self.sealed = False
        else:
            self.file.truncate(size)
            try:
                self.file.sync()
            except BaseException:
                if self._resources.flush_failed is not None:
                    self._resources.flush_failed()
                raise
        self.size = size

    def _replace_with_prefix(self, size: int) -> None:
        disk = self._resources.disk
        old = self.file
        temporary = self.path + ".tmp"
        disk.remove(temporary)
        new = disk.open(temporary, create=True)
        position = 0
        while position < size:
            part = old.read(min(1 << 20, size - position), position)
            if not part:
                raise OSError(errno.EIO, "the file ends before its batches do", self.path)
            new.write((part,), position)
            position += len(part)
        new.sync()
        disk.rename(temporary, self.path)
        disk.sync_directory(self.directory)
        self.release()

    def open_things(self) -> list[object]:
        """Returns the open file and the mapping, to be held where the last reference may take its time to go."""
        return [self.file, self._map.resource]

    def release(self) -> None:
        """Lets go of the open file and the mappings."""
        self._resources.files.drop(self._file)
        self._resources.maps.drop(self._map)
        self.index.release()
        self.time_index.release()
        self.aborted.release()

    def paths(self) -> tuple[str, ...]:
        """The files that make up the segment."""
        stem = self.path.removesuffix(LOG_SUFFIX)
        return tuple(stem + suffix for suffix in (LOG_SUFFIX, INDEX_SUFFIX, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX))
