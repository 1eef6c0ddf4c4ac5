"""The records of a partition for those who share the work on them: what there is, and what was given to somebody."""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Awaitable, Iterable, Iterator
from typing import Final, NamedTuple, Protocol

from logserver_records.batch import BatchHeader, Buffer, whole_batches
from logserver_records.codec import Record, decode_batch, rebuild_batch
from logserver_records.errors import RecordError
from logserver_segments.partition_log import AbortedTransaction
from logserver_segments.reading import Slice

from logserver.broker.isolation import without_aborted
from logserver.coordinator.delivery.offset_ranges import OffsetRanges
from logserver.errors import ErrorCode, LogServerError

READ_BYTES: Final = 256 << 10
"""Read at a time: some milliseconds' worth of looking at it."""

_KEPT_SLICES: Final = 4
"""Kept, since what was looked at is delivered soon; a slice refers to the log's own pages where it can."""

_KEPT_DECODED: Final = 2

_KEPT_BATCH: Final = 2 << 20
"""And no larger ones."""

_SMALL_BATCH: Final = 4 << 10
"""A batch of this size is sent whole, whatever of it somebody gets."""

_WORTH: Final = 4
"""And a larger one where they get at least one in so many of its records."""

_KEPT_BATCHES: Final = 8_192
"""Whose ends are known: of twice as many records at least, and more than are offered ahead."""

_MAX_DECOMPRESSED: Final = 64 << 20


class RecordSource(Protocol):
    """Where records are; `Partition` is one."""

    def read(self, offset: int, max_bytes: int, committed_only: bool = False) -> Slice | Awaitable[Slice]: ...

    def aborted_transactions(
        self, start_offset: int, end_offset: int
    ) -> list[AbortedTransaction] | Awaitable[list[AbortedTransaction]]: ...


class Offered(NamedTuple):
    """What was found: offsets with both ends inclusive."""

    first: int
    last: int
    holes: list[tuple[int, int]]
    """Offsets that have nothing to deliver."""
    size: int
    """Bytes of the batches."""


class Found(NamedTuple):
    """What was read."""

    batches: list[Buffer]
    missing: list[tuple[int, int]]
    """Offsets, both ends inclusive, that were asked for and that the log does not have: compaction has taken them."""


class RecordReader:
    """Reads one partition.

    Args:
        committed_only: whether records of open and aborted transactions are left out of what there is; may be changed
            at any time.
    """

    def __init__(self, source: RecordSource, committed_only: bool) -> None:
        self.committed_only = committed_only
        self._source = source
        self._slices: OrderedDict[int, Slice] = OrderedDict()
        self._decoded: OrderedDict[int, dict[int, Record]] = OrderedDict()
        # First and last offset of batches with more than one record, by offset.
        self._batches: list[tuple[int, int]] = []

    # What there is

    def look(self, offset: int) -> Offered | Awaitable[Offered]:
        """Returns what the next batches from an offset on hold; at once if they are in memory.

        Raises:
            LogServerError: they can't be read; also when the answer is awaited.
        """
        found = self._source.read(offset, READ_BYTES, self.committed_only)
        if not isinstance(found, Slice):
            return self._look_later(offset, found)
        aborted = self._aborted(offset, found)
        if not isinstance(aborted, list):
            return self._look_later(offset, found, aborted)
        return self._look_at(offset, found, aborted)

    async def _look_later(
        self,
        offset: int,
        found: Slice | Awaitable[Slice],
        aborted: Awaitable[list[AbortedTransaction]] | None = None,
    ) -> Offered:
        if not isinstance(found, Slice):
            found = await found
        if aborted is None:
            known = self._aborted(offset, found)
            return self._look_at(offset, found, known if isinstance(known, list) else await known)
        return self._look_at(offset, found, await aborted)

    def _aborted(self, offset: int, found: Slice) -> list[AbortedTransaction] | Awaitable[list[AbortedTransaction]]:
        if not self.committed_only or not len(found.data):
            return []
        return self._source.aborted_transactions(offset, found.next_offset)

    def _look_at(self, offset: int, found: Slice, aborted: list[AbortedTransaction]) -> Offered:
        if not len(found.data):
            # Compaction has left nothing.
            gone = [(offset, found.next_offset - 1)] if found.next_offset > offset else []
            return Offered(offset, found.next_offset - 1, gone, 0)
        self._keep(found)
        visible = None
        if aborted:
            visible = {header.base_offset for _, header in whole_batches(without_aborted(found.data, aborted))}
        holes: list[tuple[int, int]] = []
        size, expected = 0, offset
        if self._batches and self._batches[-1][0] >= offset:
            # It begins anew somewhere before.
            self._batches.clear()
        elif len(self._batches) > _KEPT_BATCHES:
            del self._batches[: len(self._batches) // 2]
        for position, header in whole_batches(found.data):
            first, last = max(header.base_offset, offset), header.last_offset
            if last > first:
                self._batches.append((first, last))
            if header.base_offset > expected:
                holes.append((expected, header.base_offset - 1))
            expected = last + 1
            if header.is_control or (visible is not None and header.base_offset not in visible):
                holes.append((first, last))
            elif not _is_full(header):
                holes.extend(_gaps(self._records(found.data, position, header), first, last))
                size += header.size
            else:
                size += header.size
        if found.next_offset > expected:
            holes.append((expected, found.next_offset - 1))
        return Offered(offset, found.next_offset - 1, holes, size)

    def batch_end(self, offset: int) -> int:
        """Returns the last offset of the batch that has an offset, as far as that was looked at lately."""
        at = bisect_right(self._batches, offset, key=_first) - 1
        return max(self._batches[at][1], offset) if at >= 0 else offset

    # What was given

    async def read(self, ranges: Iterable[tuple[int, int]], *, whole: bool = False) -> Found:
        """Reads the batches that hold ranges of offsets, which rise, both ends inclusive.

        A batch may hold other records as well, unless that would be much more than was asked for.

        Args:
            whole: whether to return whole batches as they are stored, in any case.

        Raises:
            LogServerError: they can't be read.
        """
        found: list[Buffer] = []
        ranges = list(ranges)
        wanted = _Wanted(ranges)
        offset = wanted.next(0)
        while offset is not None:
            piece = self._kept(offset)
            if piece is None:
                # Whoever was given them, has them.
                read = self._source.read(offset, READ_BYTES)
                piece = read if isinstance(read, Slice) else await read
                self._keep(piece)
            offset = self._cut_out(piece, offset, wanted, found, whole)
        missing = [] if wanted.found == wanted.size else self._missing(ranges, found)
        return Found(found, missing)

    def _missing(self, ranges: Iterable[tuple[int, int]], batches: Iterable[Buffer]) -> list[tuple[int, int]]:
        """Returns what of ranges is in no batch."""
        there = OffsetRanges()
        for data in batches:
            for position, header in whole_batches(data):
                if _is_full(header):
                    there.add(header.base_offset, header.last_offset)
                else:
                    for offset in sorted(self._records(data, position, header)):
                        there.add(offset, offset)
        return [gap for first, last in ranges for gap in there.missing(first, last)]

    def _cut_out(self, piece: Slice, offset: int, wanted: "_Wanted", found: list[Buffer], whole: bool) -> int | None:
        """Adds what is wanted of a piece from an offset on; returns the next offset that is."""
        view = memoryview(piece.data)
        begin = end = 0
        for position, header in whole_batches(piece.data):
            if header.last_offset < offset:
                # Pieces overlap that were read before and after more was appended: another one had this.
                continue
            parts = wanted.within(header.base_offset, header.last_offset)
            if not parts:
                continue
            count = sum(last - first + 1 for first, last in parts)
            if _is_full(header):
                wanted.found += count
            else:
                there = self._records(piece.data, position, header)
                wanted.found += sum(offset in there for first, last in parts for offset in range(first, last + 1))
            if whole or header.size <= _SMALL_BATCH or count * _WORTH >= header.record_count:
                if position != end:
                    if end > begin:
                        found.append(view[begin:end])
                    begin = position
                end = position + header.size
                continue
            records = self._records(piece.data, position, header)
            chosen = [records[at] for first, last in parts for at in range(first, last + 1) if at in records]
            if end > begin:
                found.append(view[begin:end])
            begin = end = 0
            if chosen:
                found.append(rebuild_batch(header, chosen))
        if end > begin:
            found.append(view[begin:end])
        return wanted.next(piece.next_offset)

    async def visible(self, offset: int) -> Slice:
        """Returns the next batches from an offset on, some hundred kilobytes or one, without control records and
        aborted ones; its next offset says how far that is.

        Raises:
            LogServerError: they can't be read.
        """
        read = self._source.read(offset, READ_BYTES, self.committed_only)
        found = read if isinstance(read, Slice) else await read
        looking = self._aborted(offset, found)
        aborted = looking if isinstance(looking, list) else await looking
        view = memoryview(without_aborted(found.data, aborted))
        kept = [
            view[position : position + header.size] for position, header in whole_batches(view) if not header.is_control
        ]
        return Slice(b"".join(kept), found.next_offset)

    def decoded(self, data: Buffer) -> Iterator[Record]:
        """Yields the records of batches.

        Raises:
            LogServerError: CORRUPT_MESSAGE.
        """
        for position, header in whole_batches(data):
            yield from self._records(data, position, header).values()

    async def records(self, ranges: Iterable[tuple[int, int]]) -> list[Record]:
        """Returns the records with offsets in ranges, which rise, both ends inclusive; those that there are.

        Raises:
            LogServerError: they can't be read.
        """
        wanted = list(ranges)
        found: list[Record] = []
        for data in (await self.read(wanted, whole=True)).batches:
            for position, header in whole_batches(data):
                records = self._records(data, position, header)
                for first, last in _Wanted(wanted).within(header.base_offset, header.last_offset):
                    found += [records[at] for at in range(first, last + 1) if at in records]
        return found

    # Kept for a while

    def _keep(self, found: Slice) -> None:
        if len(found.data):
            _, header = next(whole_batches(found.data))
            self._slices[header.base_offset] = found
            self._slices.move_to_end(header.base_offset)
            if len(self._slices) > _KEPT_SLICES:
                self._slices.popitem(last=False)

    def _kept(self, offset: int) -> Slice | None:
        for base, found in self._slices.items():
            if base <= offset < found.next_offset:
                return found
        return None

    def _records(self, data: Buffer, position: int, header: BatchHeader) -> dict[int, Record]:
        found = self._decoded.get(header.base_offset)
        if found is None:
            try:
                records = decode_batch(data, position, max_decompressed_bytes=_MAX_DECOMPRESSED)
            except RecordError as error:
                raise LogServerError(
                    ErrorCode.corrupt_message, f"the batch at offset {header.base_offset} is damaged: {error}"
                ) from error
            found = {record.offset: record for record in records}
            if header.size <= _KEPT_BATCH:
                self._decoded[header.base_offset] = found
            if len(self._decoded) > _KEPT_DECODED:
                self._decoded.popitem(last=False)
        return found

    def forget(self) -> None:
        """Lets go of what is kept."""
        self._slices.clear()
        self._decoded.clear()
        self._batches.clear()


class _Wanted:
    """Ranges of offsets that rise, asked for batch by batch."""

    def __init__(self, ranges: Iterable[tuple[int, int]]) -> None:
        self._ranges = list(ranges)
        self._at = 0
        self.size = sum(last - first + 1 for first, last in self._ranges)
        """Offsets in all."""
        self.found = 0
        """Records of them."""

    def next(self, offset: int) -> int | None:
        """Returns the first offset that is wanted from one on."""
        for first, last in self._ranges[self._at :]:
            if last >= offset:
                return max(first, offset)
        return None

    def within(self, first: int, last: int) -> list[tuple[int, int]]:
        """Returns what is wanted of a range; the ranges that are asked about rise."""
        ranges = self._ranges
        while self._at < len(ranges) and ranges[self._at][1] < first:
            self._at += 1
        found = []
        for begin, end in ranges[self._at :]:
            if begin > last:
                break
            found.append((max(begin, first), min(end, last)))
        return found


def _is_full(header: BatchHeader) -> bool:
    """Whether compaction has taken nothing of a batch."""
    return header.record_count == header.last_offset_delta + 1


def _gaps(records: Iterable[int], first: int, last: int) -> Iterator[tuple[int, int]]:
    """Yields what is missing of a range of offsets."""
    at = first
    for offset in sorted(records):
        if offset < at:
            continue
        if offset > at:
            yield at, min(offset - 1, last)
        at = offset + 1
    if at <= last:
        yield at, last


def _first(batch: tuple[int, int]) -> int:
    return batch[0]
