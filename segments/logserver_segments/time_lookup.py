"""Finding records of a log by their time. Decodes the batches that the records are in, on a worker."""

from collections.abc import Iterator
from math import inf
from typing import NamedTuple, Protocol

from logserver_records.batch import BatchHeader, Buffer
from logserver_records.codec import Record, decode_batch
from logserver_records.errors import RecordError

from logserver_segments.config import LogConfig
from logserver_segments.errors import CorruptRecords, ReadFailed
from logserver_segments.index import IndexDamaged
from logserver_segments.logs import get_logger
from logserver_segments.partition_log import TimestampOffset
from logserver_segments.reading import (
    BEGIN,
    MAX_OFFSET,
    BadBatch,
    ColdData,
    Fetch,
    Start,
    check_end,
    check_start,
    find_batch,
)
from logserver_segments.seams import Workers
from logserver_segments.segment import Segment

_log = get_logger("logserver.segments")


class SearchedLog(Protocol):
    """What a search needs of a log. Segments come and go while it waits for the disk."""

    name: str
    config: LogConfig

    @property
    def log_start_offset(self) -> int: ...

    @property
    def committed_offset(self) -> int: ...

    def check_online(self) -> None: ...

    def segment_at(self, offset: int) -> Segment: ...

    def offset_behind(self, segment: Segment) -> int: ...

    def readable_end(self, segment: Segment) -> int: ...

    async def rebuild_indexes(self, segment: Segment) -> None: ...


class Hands(NamedTuple):
    """Who does the work: of reading from the disk, and of all else."""

    readers: Workers
    preparers: Workers


class _Gone(Exception):
    """The segment left the log while the disk was waited for; another may hold its offsets now."""


async def find_by_timestamp(log: SearchedLog, hands: Hands, timestamp_ms: int) -> TimestampOffset | None:
    """Returns the first committed record with at least a timestamp, None if there is none.

    Raises:
        LogOffline: the log can't be used.
        CorruptRecords: what is stored is damaged.
        ReadFailed: the disk refused.
    """
    log.check_online()
    offset = log.log_start_offset
    while offset < log.committed_offset:
        search = _Search(log, hands, offset)
        try:
            if await search.max_timestamp() >= timestamp_ms:
                found = await search.first(timestamp_ms)
                if found is not None:
                    return found
        except _Gone:
            log.check_online()
        else:
            offset = search.behind
        offset = max(offset, log.log_start_offset)
    return None


async def find_largest_timestamp(log: SearchedLog, hands: Hands) -> TimestampOffset | None:
    """Returns the first of the committed records with the largest timestamp, None if there are no records.

    Raises:
        As `find_by_timestamp`.
    """
    log.check_online()
    largest = -1
    offset = log.log_start_offset
    while offset < log.committed_offset:
        search = _Search(log, hands, offset)
        try:
            if search.is_whole:
                largest = max(largest, await search.max_timestamp())
            else:
                # Only a part of it counts, whose largest timestamp no index tells.
                found = await search.largest()
                largest = max(largest, found.timestamp_ms if found is not None else -1)
        except _Gone:
            log.check_online()
        else:
            offset = search.behind
        offset = max(offset, log.log_start_offset)
    found = await find_by_timestamp(log, hands, largest) if largest >= 0 else None
    # The largest may be that of a control batch, of a batch that compaction emptied, or gone by now.
    return found if found is not None else await _largest_of_all(log, hands)


async def _largest_of_all(log: SearchedLog, hands: Hands) -> TimestampOffset | None:
    """Finds the largest timestamp by walking over batches, first where the indexes promise most: behind transactions
    the largest is always that of a marker."""
    while True:
        try:
            return await _largest_by_walking(log, hands)
        except _Gone:
            log.check_online()


async def _largest_by_walking(log: SearchedLog, hands: Hands) -> TimestampOffset | None:
    promised: list[tuple[float, int]] = []
    offset = log.log_start_offset
    while offset < log.committed_offset:
        search = _Search(log, hands, offset)
        # Of a part no index tells the largest.
        promised.append((-await search.max_timestamp() if search.is_whole else -inf, offset))
        offset = max(search.behind, log.log_start_offset)
    best: TimestampOffset | None = None
    for top, offset in sorted(promised):
        if best is not None and -top < best.timestamp_ms:
            break
        if offset < log.log_start_offset:
            raise _Gone
        found = await _Search(log, hands, offset).largest()
        if found is not None and (
            best is None or (-found.timestamp_ms, found.offset) < (-best.timestamp_ms, best.offset)
        ):
            best = found
    return best


class _Part(NamedTuple):
    """A range of a segment's file, and the first offset that counts."""

    fetch: Fetch
    start: Start
    end: int
    from_offset: int
    behind: int
    """No record has this offset or a larger one."""
    max_decompressed_bytes: int


class _Search:
    """A search in the segment that holds an offset, from there on.

    Whatever waits for the disk raises `_Gone` if the segment has left the log meanwhile.
    """

    def __init__(self, log: SearchedLog, hands: Hands, from_offset: int) -> None:
        self._log = log
        self._hands = hands
        self._segment = log.segment_at(from_offset)
        self._from_offset = from_offset
        self.behind = log.offset_behind(self._segment)

    @property
    def is_whole(self) -> bool:
        """Whether all of the segment counts."""
        segment = self._segment
        return self._from_offset == segment.base_offset and self._log.readable_end(segment) == segment.size

    def _check_there(self) -> None:
        if self._log.segment_at(self._segment.base_offset) is not self._segment:
            raise _Gone

    async def max_timestamp(self) -> int:
        """Returns the segment's largest timestamp, whether it counts or not; -1 if it has none."""
        segment, log = self._segment, self._log
        if not segment.checked:
            await self._hands.readers.run(segment.warm_index_ends)
            self._check_there()
        try:
            segment.check_indexes(self.behind)
        except IndexDamaged as error:
            _log.warning("index made again", log=log.name, segment=segment.path, reason=str(error))
            try:
                await log.rebuild_indexes(segment)
            except OSError as refused:
                raise self._failed(refused) from refused
            self._check_there()
        except OSError as error:
            raise self._failed(error) from error
        return segment.load_max_timestamp()

    def _failed(self, error: OSError) -> ReadFailed:
        # A file that is gone fails no less, and that is nobody's fault.
        self._check_there()
        return ReadFailed(f"{self._log.name}: the disk failed to read: {error.strerror or error}")

    async def first(self, timestamp_ms: int) -> TimestampOffset | None:
        """Returns the segment's first committed record from the offset on with at least a timestamp."""
        try:
            try:
                start = self._start(timestamp_ms)
            except ColdData:
                segment = self._segment
                times = await self._hands.readers.run(segment.time_index.warm)
                positions = await self._hands.readers.run(segment.index.warm)
                self._check_there()
                start = self._start(timestamp_ms, times, positions)
        except IndexDamaged:
            self._check_there()
            start = BEGIN
        except OSError as error:
            raise self._failed(error) from error
        return await self._run(start, timestamp_ms)

    def _start(self, timestamp_ms: int, times: Buffer | None = None, positions: Buffer | None = None) -> Start:
        segment = self._segment
        entry = segment.time_index.floor(timestamp_ms, content=times)
        # Up to an entry's offset nothing is later than its timestamp.
        known = segment.base_offset + entry[1] if entry is not None else segment.base_offset
        return segment.start_at_or_before(max(known, self._from_offset), content=positions)

    async def largest(self) -> TimestampOffset | None:
        """Returns the segment's first committed record from the offset on with the largest timestamp."""
        return await self._run(BEGIN, None)

    async def _run(self, start: Start, timestamp_ms: int | None) -> TimestampOffset | None:
        log, segment = self._log, self._segment
        try:
            check_start(start[0], segment.size)
            part = _Part(
                segment.resident_fetcher(),
                start,
                log.readable_end(segment),
                self._from_offset,
                min(self.behind, log.committed_offset),
                log.config.max_decompressed_bytes,
            )
            slow = part._replace(fetch=segment.blocking_fetcher())
            try:
                # Not behind those who wait for the disk, where that is not needed.
                return await self._hands.preparers.run(_found, part, timestamp_ms)
            except ColdData:
                return await self._hands.readers.run(_found, slow, timestamp_ms)
        except BadBatch as error:
            self._check_there()
            if start[0]:
                return await self._run_after_rebuild(timestamp_ms, error)
            raise CorruptRecords(f"{segment.path} is damaged: {error}; run a check of the data directory") from None
        except OSError as error:
            raise self._failed(error) from error

    async def _run_after_rebuild(self, timestamp_ms: int | None, reason: BadBatch) -> TimestampOffset | None:
        """Walks from the begin, because the index has told a wrong start, and has it made again."""
        log, segment = self._log, self._segment
        _log.warning("index made again", log=log.name, segment=segment.path, reason=str(reason))
        found = await self._run(BEGIN, timestamp_ms)
        try:
            await log.rebuild_indexes(segment)
        except OSError as error:
            raise self._failed(error) from error
        return found


def _found(part: _Part, timestamp_ms: int | None) -> TimestampOffset | None:
    return _largest(part) if timestamp_ms is None else _first(part, timestamp_ms)


def _first(part: _Part, timestamp_ms: int) -> TimestampOffset | None:
    for position, header in _batches(part):
        if header.max_timestamp >= timestamp_ms:
            for record in _records(part, position, header):
                if record.timestamp_ms >= timestamp_ms:
                    return TimestampOffset(record.offset, record.timestamp_ms)
    return None


def _largest(part: _Part) -> TimestampOffset | None:
    best: tuple[int, BatchHeader] | None = None
    found: TimestampOffset | None = None
    for position, header in _batches(part):
        if header.base_offset < part.from_offset:
            # Of the one batch that begins before, the largest may not count.
            for record in _records(part, position, header):
                if found is None or record.timestamp_ms > found.timestamp_ms:
                    found = TimestampOffset(record.offset, record.timestamp_ms)
        elif header.max_timestamp > (best[1].max_timestamp if best is not None else -2):
            best = position, header
    if best is None or (found is not None and found.timestamp_ms >= best[1].max_timestamp):
        return found
    return _first(part._replace(start=(best[0], best[1].base_offset)), best[1].max_timestamp)


def _batches(part: _Part) -> Iterator[tuple[int, BatchHeader]]:
    """Yields (position, header) of the batches with records for readers."""
    start = part.start
    # It may begin behind what is committed.
    while start[0] < part.end and (found := find_batch(part.fetch, start, part.end, part.from_offset)) is not None:
        check_end(found.header.next_offset, part.behind)
        if found.header.record_count and not found.header.is_control:
            yield found.position, found.header
        start = found.position + found.header.size, MAX_OFFSET


def _records(part: _Part, position: int, header: BatchHeader) -> list[Record]:
    try:
        batch = part.fetch(position, header.size)
        records = decode_batch(batch, max_decompressed_bytes=part.max_decompressed_bytes)
    except RecordError as error:
        raise CorruptRecords(f"the batch at offset {header.base_offset} can't be decoded: {error}") from None
    return [record for record in records if record.offset >= part.from_offset]
