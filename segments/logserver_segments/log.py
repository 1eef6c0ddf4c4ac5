"""The log of one partition: appending, committing, reading, and giving space back.

Invariant: log start offset <= committed offset <= log end offset. What lies between the last two is appended and not
yet durable; nobody reads it. `recovery.open_log` makes logs.
"""

import errno
from bisect import bisect_right
from collections.abc import Awaitable, Callable
from typing import Final

from logserver_records.batch import (
    HEADER_SIZE,
    LENGTH_OVERHEAD,
    NO_PRODUCER_ID,
    BatchHeader,
    Buffer,
    split,
    stamped_header,
    with_append_time,
)

from logserver_segments.checkpoints import LEADER_EPOCHS, LeaderEpochs
from logserver_segments.committer import Committer, LogEnd, Loss, LossReason
from logserver_segments.config import UNLIMITED, LogConfig
from logserver_segments.errors import (
    CorruptRecords,
    DiskFull,
    LogOffline,
    OffsetOutOfRange,
    ReadFailed,
    RecordListTooLarge,
    WriteFailed,
)
from logserver_segments.index import IndexDamaged
from logserver_segments.logs import get_logger
from logserver_segments.partition_log import Appended, LogListener, TimestampOffset
from logserver_segments.producer_state import ProducerStates
from logserver_segments.reading import BadBatch, ColdData, Slice, find_batch, read_slice
from logserver_segments.rebuild import load_producers, note_batches, prepare_indexes
from logserver_segments.scan import ScanStopped, scan
from logserver_segments.seams import File, Workers
from logserver_segments.segment import (
    DELETED_SUFFIX,
    MAX_RELATIVE_OFFSET,
    SNAPSHOT_SUFFIX,
    Resources,
    Segment,
    file_name,
)
from logserver_segments.time_lookup import find_by_timestamp, find_largest_timestamp
from logserver_segments.validation import check_payload

_DISK_FULL: Final = (errno.ENOSPC, errno.EDQUOT)

_log = get_logger("logserver.segments")


class Log:
    """A `PartitionLog` on segment files. Use `recovery.open_log` to make one.

    Args:
        name: `<topic>-<partition>`, for messages.
        directory: where its files are.
        segments: in order of base offset, the last one active.
        end_offset: of the last segment's last batch, exclusive; all of it is durable.
    """

    def __init__(
        self,
        name: str,
        directory: str,
        config: LogConfig,
        resources: Resources,
        committer: Committer,
        workers: Workers,
        segments: list[Segment],
        *,
        start_offset: int,
        end_offset: int,
        producers: ProducerStates,
        epochs: LeaderEpochs,
        snapshots: list[int],
    ) -> None:
        self.name = name
        self.directory = directory
        self.config = config
        self.producers = producers
        self.epochs = epochs
        self._resources = resources
        self._committer = committer
        self._workers = workers
        self._segments = segments
        self._bases = [segment.base_offset for segment in segments]
        self._start = start_offset
        self._end = end_offset
        active = segments[-1]
        self._committed = LogEnd(end_offset, active.base_offset, active.size)
        self._sealed_bytes = sum(segment.size for segment in segments[:-1])
        self._offline: str | None = None
        self._listener: LogListener | None = None
        self._unflushed = 0
        self._unflushed_since_ms: float | None = None
        self._new_file = True
        # Offsets that have a snapshot file, rising.
        self._snapshots = snapshots
        # (when, paths): renamed files that go for good after file.delete.delay.ms.
        self._doomed: list[tuple[int, list[str]]] = []
        self._epochs_written = True
        # Told the new end before a truncation, so that no recovery point stays behind it.
        self.before_truncation: Callable[[int], None] | None = None

    # What is there

    @property
    def log_start_offset(self) -> int:
        return self._start

    @property
    def log_end_offset(self) -> int:
        return self._end

    @property
    def committed_offset(self) -> int:
        return self._committed.offset

    @property
    def size_bytes(self) -> int:
        return self._sealed_bytes + self._segments[-1].size

    @property
    def offline(self) -> str | None:
        return self._offline

    @property
    def segments(self) -> tuple[Segment, ...]:
        """All segments in order; the last one is active."""
        return tuple(self._segments)

    def __repr__(self) -> str:
        return f"Log({self.name})"

    def set_listener(self, listener: LogListener | None) -> None:
        """Names who is told when offsets become durable, or that the log is lost."""
        self._listener = listener

    def check_invariant(self) -> None:
        """Asserts what always holds."""
        assert self._bases == [segment.base_offset for segment in self._segments] == sorted(set(self._bases))
        assert self._bases[0] <= self._start <= self._committed.offset <= self._end, (
            self._bases[0],
            self._start,
            self._committed,
            self._end,
        )
        assert all(segment.sealed for segment in self._segments[:-1]) and not self._segments[-1].sealed
        assert self._sealed_bytes == sum(segment.size for segment in self._segments[:-1])

    # Append

    def append(self, payload: Buffer, leader_epoch: int, now_ms: int) -> Appended:
        """Checks and appends a client's payload; see `PartitionLog.append`."""
        if self._offline is not None:
            raise self._is_offline()
        batches = check_payload(payload, self.config, now_ms)
        first = batches[0][1]
        if first.producer_id != NO_PRODUCER_ID:
            known = self.producers.check(first)
            if known is not None:
                append_time = known.timestamp_ms if self.config.log_append_time else -1
                return Appended(known.first_offset, known.last_offset, append_time, True)
        return self._append(payload, batches, leader_epoch, now_ms)

    def append_trusted(self, payload: Buffer, leader_epoch: int, now_ms: int) -> Appended:
        """Appends batches that this server built; see `PartitionLog.append_trusted`."""
        if self._offline is not None:
            raise self._is_offline()
        return self._append(payload, list(split(payload)), leader_epoch, now_ms)

    def _append(
        self, payload: Buffer, batches: list[tuple[int, BatchHeader]], leader_epoch: int, now_ms: int
    ) -> Appended:
        segment = self._segment_for(len(payload), batches, now_ms)
        append_time = now_ms if self.config.log_append_time else -1
        view = memoryview(payload)
        buffers: list[Buffer] = []
        stamped: list[BatchHeader] = []
        offset = base_offset = self._end
        for position, header in batches:
            if append_time >= 0:
                header = with_append_time(payload, position, header, append_time)
            buffers.append(stamped_header(header, offset, leader_epoch))
            buffers.append(view[position + HEADER_SIZE : position + header.batch_length + LENGTH_OVERHEAD])
            # Only the base offset matters to what follows; the file has the epoch too.
            header = BatchHeader._make((offset, *header[1:]))
            stamped.append(header)
            offset += header.last_offset_delta + 1
        position = segment.size
        try:
            file = segment.file
        except OSError as error:
            raise WriteFailed(f"{self.name}: {segment.path} can't be opened: {error}") from error
        try:
            segment.size = position + file.write(buffers, position)
        except OSError as error:
            raise self._write_failed(segment, position, error) from error
        interval = self.config.index_interval_bytes
        for header in stamped:
            segment.note_batch(header, position, interval)
            position += header.batch_length + LENGTH_OVERHEAD
            if header.producer_id != NO_PRODUCER_ID and not header.is_control:
                self.producers.update(header, header.base_offset, now_ms)
        if self.epochs.latest != leader_epoch:
            self._new_epoch(leader_epoch, base_offset)
        if segment.index.wants_flush:
            self._flush_indexes(segment)
        self._end = offset
        self._commit(file, offset - base_offset)
        if self._offline is not None:
            # A committer that flushes at once has failed at once.
            raise self._is_offline()
        return Appended(base_offset, offset - 1, append_time, False)

    def _commit(self, file: File, records: int) -> None:
        """Hands what was just appended to the committer, at once or when `flush.messages` is reached."""
        if self.config.flush_messages == 1:
            self._hand_over(file)
            return
        # As Kafka: appended counts as committed, flushing follows.
        self._unflushed += records
        self._advance(self._log_end())
        if self._unflushed >= self.config.flush_messages:
            self._hand_over(file)

    def _log_end(self) -> LogEnd:
        active = self._segments[-1]
        return LogEnd(self._end, active.base_offset, active.size)

    def _hand_over(self, file: File) -> None:
        self._unflushed = 0
        self._unflushed_since_ms = None
        new_in = None
        if self._new_file:
            self._new_file = False
            new_in = self.directory
        self._committer.dirty(self, self._log_end(), file, new_in)

    def flush_if_due(self, monotonic_ms: float) -> None:
        """Flushes appends that `flush.ms` says have waited long enough; to be called now and then."""
        if not self._unflushed or self._offline is not None:
            return
        if self._unflushed_since_ms is None:
            self._unflushed_since_ms = monotonic_ms
        if monotonic_ms - self._unflushed_since_ms >= self.config.flush_ms:
            self._hand_over(self._segments[-1].file)

    def committed(self, end: LogEnd) -> None:
        """Takes the committer's report that everything before `end` is durable."""
        if end.offset > self._committed.offset:
            self._advance(end)

    def _advance(self, end: LogEnd) -> None:
        self._committed = end
        if self._listener is not None:
            self._listener.log_committed(end.offset)

    def lost(self, loss: Loss) -> None:
        """Takes the committer's report that appends since the last commit can't become durable: goes offline.

        What lies behind the committed offset is cut off if the disk still lets us: after a failed fsync the page
        cache may show data that the disk does not have.
        """
        self._go_offline(loss)

    def _go_offline(self, loss: Loss) -> None:
        if self._offline is not None:
            return
        self._offline = loss.message
        _log.error("log offline", log=self.name, reason=loss.message, kept_up_to=self._committed.offset)
        self._committer.discard(self)
        try:
            self._cut_uncommitted()
        except (OSError, BadBatch) as error:
            _log.error("the tail behind the last durable offset could not be cut off", log=self.name, reason=str(error))
        for segment in self._segments:
            segment.release()
        if self._listener is not None:
            self._listener.log_lost(loss)

    def _cut_uncommitted(self) -> None:
        """Cuts the files at the committed offset. Indexes and producer states are left to the next opening.

        Raises:
            OSError: the disk refused.
            BadBatch: the segment is damaged.
        """
        end = self._committed
        if end.offset == self._end:
            return
        number = self._segment_number(end.offset)
        self._remove_behind(number)
        segment = self._segments[number]
        position = 0
        if segment.base_offset == end.segment_base:
            position = end.position
        elif segment.base_offset != end.offset:
            found = find_batch(segment.blocking_fetcher(), 0, segment.size, end.offset)
            position = found.position if found is not None else segment.size
        segment.truncate(position)
        self._end = end.offset

    def _remove_behind(self, number: int) -> None:
        """Removes the segments behind one, which `truncate` then makes the active one. They are gone for good when
        this returns.

        Raises:
            OSError: the disk refused; some may be gone.
        """
        if number + 1 < len(self._segments):
            while number + 1 < len(self._segments):
                self._remove_files(self._segments[-1])
                del self._segments[-1], self._bases[-1]
            # Before anything else is cut or written: they must not come back behind other records.
            self._resources.disk.sync_directory(self.directory)
        self._sealed_bytes = sum(kept.size for kept in self._segments[:-1])

    def _write_failed(self, segment: Segment, position: int, error: OSError) -> Exception:
        """Undoes a write that failed half-way; returns what to raise."""
        reason = error.strerror or str(error)
        try:
            # On a disk that is full already nothing at all was written; this comes with every attempt.
            if segment.file.size() > position:
                segment.truncate(position)
        except OSError as second:
            self._go_offline(Loss(LossReason.FAILED, f"a write failed ({reason}) and could not be undone ({second})"))
            return WriteFailed(f"{self.name}: {self._offline}")
        if error.errno in _DISK_FULL:
            return self._disk_full()
        self._go_offline(Loss(LossReason.FAILED, f"the disk failed to write: {reason}"))
        return WriteFailed(f"{self.name}: {self._offline}")

    def _disk_full(self) -> DiskFull:
        return DiskFull(
            f"{self.name}: no space left on the disk of {self.directory}; nothing was stored, reading goes on. "
            f"Free space or lower retention.ms / retention.bytes; writing works again without a restart"
        )

    def _is_offline(self) -> LogOffline:
        return LogOffline(f"{self.name} is offline: {self._offline}")

    def _new_epoch(self, epoch: int, start_offset: int) -> None:
        if self.epochs.assign(epoch, start_offset):
            self._write_epochs()

    def _write_epochs(self) -> None:
        # Not synced here: recovery learns epochs from the batches, and checkpoints sync the file system.
        self._epochs_written = False
        try:
            self._resources.disk.write_file(f"{self.directory}/{LEADER_EPOCHS}", self.epochs.to_file(), durable=False)
        except OSError as error:
            _log.warning("leader epochs not written yet", log=self.name, error=str(error))
        else:
            self._epochs_written = True

    # Segments

    def _segment_for(self, size: int, batches: list[tuple[int, BatchHeader]], now_ms: int) -> Segment:
        """Returns the active segment, after rolling to a new one if the payload does not fit or its time is over."""
        config = self.config
        if size > config.segment_bytes:
            raise RecordListTooLarge(
                f"a payload of {size} bytes is larger than segment.bytes={config.segment_bytes} of the topic"
            )
        active = self._segments[-1]
        if not active.size:
            return active
        self._check_now(active)
        last_offset = self._end + sum(header.last_offset_delta + 1 for _, header in batches) - 1
        full = (
            active.size + size > config.segment_bytes
            or active.index.size_bytes + 8 > config.segment_index_bytes
            or active.time_index.size_bytes + 12 > config.segment_index_bytes
            or last_offset - active.base_offset > MAX_RELATIVE_OFFSET
        )
        if full or self._is_aged(active, batches[0][1], now_ms):
            self.roll()
        return self._segments[-1]

    def _is_aged(self, active: Segment, header: BatchHeader, now_ms: int) -> bool:
        """Whether `segment.ms` is over, told from the batches' own timestamps where they have them (as Kafka)."""
        if active.first_timestamp is None:
            try:
                found = find_batch(active.blocking_fetcher(), 0, active.size, active.base_offset)
            except BadBatch as error:
                raise self._damaged(active, error) from None
            except OSError as error:
                raise self._read_failed(error) from error
            active.first_timestamp = found.header.max_timestamp if found is not None else -1
        if active.first_timestamp < 0:
            return False
        latest = header.max_timestamp if header.max_timestamp >= 0 else now_ms
        return latest - active.first_timestamp > self.config.segment_ms

    def roll(self) -> None:
        """Seals the active segment, if it has anything, and begins a new one at the log end offset.

        Raises:
            DiskFull: the disk has no space for the indexes or the new file; the active segment stays active.
            WriteFailed: the disk refused otherwise; the active segment stays active.
            LogOffline: flushing what `flush.messages` had let wait failed.
        """
        active = self._segments[-1]
        if not active.size:
            return
        if self._unflushed:
            # Later flushes will be of the new file only.
            self._hand_over(active.file)
            if self._offline is not None:
                raise self._is_offline()
        segment = Segment(self.directory, self._end, self._resources)
        try:
            active.flush_indexes()
            self.take_snapshot()
            segment.create()
            active.seal()
        except OSError as error:
            segment.release()
            self._resources.disk.remove(segment.path)
            if error.errno in _DISK_FULL:
                raise self._disk_full() from error
            raise WriteFailed(f"{self.name}: no new segment: {error}") from error
        self._sealed_bytes += active.size
        self._segments.append(segment)
        self._bases.append(segment.base_offset)
        self._new_file = True

    def _flush_indexes(self, segment: Segment) -> None:
        try:
            segment.flush_indexes()
        except OSError as error:
            # They stay in memory; the next block or checkpoint tries again.
            _log.warning("index entries not written yet", log=self.name, error=str(error))

    def _segment_number(self, offset: int) -> int:
        return max(bisect_right(self._bases, offset) - 1, 0)

    def _next_base(self, number: int) -> int:
        """Returns the offset behind the last one that segment `number` can hold."""
        return self._bases[number + 1] if number + 1 < len(self._bases) else self._end

    def truncate(self, offset: int) -> None:
        """Drops everything from `offset` on, with the producer state it caused; for good when this returns.

        A batch that holds `offset` goes as a whole. The log then ends behind the last batch that stays.

        Raises:
            WriteFailed: the disk refused; the log is offline.
            CorruptRecords: the batch boundary can't be found; the log is as before.
            OSError: the recovery point could not be lowered first; the log is as before.
        """
        if offset >= self._end:
            return
        number = self._segment_number(offset)
        segment = self._segments[number]
        end, size = segment.base_offset, 0
        try:
            for position, header in scan(segment.file, 0, segment.size, next_offset=end):
                if header.last_offset >= offset:
                    break
                end, size = header.next_offset, position + header.size
        except ScanStopped as error:
            raise self._damaged(segment, error) from None
        if self.before_truncation is not None:
            self.before_truncation(end)
        self._committer.discard(self)
        try:
            self._remove_snapshots_behind(end)
            self._remove_behind(number)
            if size < segment.size or segment.sealed:
                segment.truncate(size)
            self._end = end
            self._start = min(self._start, end)
            self._rebuild(segment)
            if self.epochs.truncate_end(end):
                self._write_epochs()
            load_producers(self.producers, self.directory, self._resources.disk, self._segments, self._snapshots, end)
        except OSError as error:
            self._offline = f"it could not be truncated to offset {offset}: {error.strerror or error}"
            _log.error("log offline", log=self.name, reason=self._offline)
            raise WriteFailed(f"{self.name}: {self._offline}") from error
        self._committed = min(self._committed, self._log_end())
        self._hand_over_again()

    def _hand_over_again(self) -> None:
        """Hands over what is not committed yet, after a truncation took back what had been handed over."""
        if self._committed.offset < self._end:
            for segment in self._segments[self._segment_number(self._committed.offset) :]:
                self._hand_over(segment.file)

    def _rebuild(self, segment: Segment) -> None:
        """Makes a segment's indexes again from its batches, now."""
        segment.reset_indexes()
        note_batches(segment, segment.file, segment.size, self.config.index_interval_bytes)
        if segment.sealed:
            segment.seal()

    def _check_now(self, segment: Segment) -> None:
        """Checks a segment's indexes if that has not been done, and makes them again at once if they are damaged.

        Raises:
            CorruptRecords: the segment is damaged.
            ReadFailed: the disk refused.
        """
        if segment.checked:
            return
        try:
            try:
                segment.check_indexes(self._next_base(self._segment_number(segment.base_offset)))
            except IndexDamaged as error:
                _log.warning("index made again", log=self.name, segment=segment.path, reason=str(error))
                self._rebuild(segment)
        except OSError as error:
            raise self._read_failed(error) from error

    def max_timestamp_of(self, segment: Segment) -> int:
        """Returns the largest timestamp in a segment, -1 if it has none.

        Raises:
            CorruptRecords: the segment is damaged.
            ReadFailed: the disk refused.
        """
        self._check_now(segment)
        return segment.load_max_timestamp()

    def _damaged(self, segment: Segment, error: Exception) -> CorruptRecords:
        return CorruptRecords(f"{segment.path} is damaged: {error}; run a check of the data directory")

    def _read_failed(self, error: OSError) -> ReadFailed:
        return ReadFailed(f"{self.name}: the disk failed to read: {error.strerror or error}")

    def _remove_snapshots_behind(self, end: int) -> None:
        """Removes producer states of what is about to be cut, for good: they must not be taken for what follows."""
        stale = [offset for offset in self._snapshots if offset > end]
        for offset in stale:
            self._resources.disk.remove(f"{self.directory}/{file_name(offset, SNAPSHOT_SUFFIX)}")
            self._snapshots.remove(offset)
        if stale:
            self._resources.disk.sync_directory(self.directory)

    # Read

    def segment_at(self, offset: int) -> Segment:
        """Returns the segment whose range of offsets holds `offset`."""
        return self._segments[self._segment_number(offset)]

    def offset_behind(self, segment: Segment) -> int:
        """Returns the offset behind the last one that a segment of this log can hold."""
        return self._next_base(self._segment_number(segment.base_offset))

    def readable_end(self, segment: Segment) -> int:
        """Returns the position in a segment where what is committed ends."""
        committed = self._committed
        if segment.base_offset == committed.segment_base:
            return committed.position
        return 0 if segment.base_offset > committed.segment_base else segment.size

    def read(self, offset: int, max_bytes: int) -> Slice | Awaitable[Slice]:
        """Returns committed batches; see `PartitionLog.read`."""
        if self._offline is not None:
            raise self._is_offline()
        if offset < self._start or offset > self._end:
            raise OffsetOutOfRange(
                f"offset {offset} of {self.name} is out of range: its records go from {self._start} to {self._end}"
            )
        number = self._segment_number(offset)
        while offset < self._committed.offset:
            segment = self._segments[number]
            try:
                segment.check_indexes(self._next_base(number))
                start = segment.position_at_or_before(offset)
                end = self.readable_end(segment)
                found = read_slice(segment.fetcher(), start, end, offset, max_bytes, segment.boundary_at_or_before)
                self._check_bounds(found)
            except ColdData:
                return self._read_cold(segment, offset, max_bytes)
            except (IndexDamaged, BadBatch) as error:
                return self._read_after_rebuild(segment, offset, max_bytes, error)
            except OSError as error:
                raise self._read_failed(error) from error
            if found.data:
                return found
            # Nothing from this offset on in the segment (compacted away): the next one goes on.
            number += 1
            offset = min(self._bases[number] if number < len(self._bases) else self._end, self._committed.offset)
        return Slice(b"", offset)

    def _check_bounds(self, found: Slice) -> None:
        # A batch's CRC does not cover its base offset; a reader must not be sent beyond the end by a damaged one.
        if found.next_offset > self._committed.offset:
            raise BadBatch(f"a batch ends at offset {found.next_offset - 1}, the log at {self._committed.offset - 1}")

    async def _read_cold(self, segment: Segment, offset: int, max_bytes: int) -> Slice:
        # Time may have passed since this was asked for.
        if self._offline is not None or self.segment_at(offset) is not segment:
            return await self._again(offset, max_bytes)
        behind = self.offset_behind(segment)
        try:
            # Opened on this thread, whose the pool of open files is. The file stays when the log goes on without it.
            fetch = segment.blocking_fetcher()
            start = await self._position_cold(segment, offset)
            if start is None:
                return await self._again(offset, max_bytes)
            found = await self._workers.run(read_slice, fetch, start, self.readable_end(segment), offset, max_bytes)
            self._check_bounds(found)
        except (IndexDamaged, BadBatch) as error:
            return await self._read_after_rebuild(segment, offset, max_bytes, error)
        except OSError as error:
            if self._offline is not None or self.segment_at(offset) is not segment:
                return await self._again(offset, max_bytes)
            raise self._read_failed(error) from error
        return found if found.data else await self._read_behind(behind, max_bytes)

    async def _position_cold(self, segment: Segment, offset: int) -> int | None:
        """Returns where to begin to walk; None if the log has gone on without the segment meanwhile."""
        try:
            return segment.position_at_or_before(offset)
        except ColdData:
            await self._workers.run(segment.index.warm)
        if self.segment_at(offset) is not segment:
            return None
        return segment.position_at_or_before(offset, wait=True)

    async def _again(self, offset: int, max_bytes: int) -> Slice:
        found = self.read(offset, max_bytes)
        return found if isinstance(found, Slice) else await found

    async def _read_behind(self, behind: int, max_bytes: int) -> Slice:
        """Goes on behind a segment that had nothing; the log start may have been raised meanwhile."""
        return await self._again(max(min(behind, self._committed.offset), self._start), max_bytes)

    async def _read_after_rebuild(self, segment: Segment, offset: int, max_bytes: int, reason: Exception) -> Slice:
        """Reads by walking the whole segment, because its index can't be trusted, and makes the index again."""
        if self._offline is not None or self.segment_at(offset) is not segment:
            return await self._again(offset, max_bytes)
        _log.warning("index made again", log=self.name, segment=segment.path, reason=str(reason))
        behind = self.offset_behind(segment)
        try:
            fetch = segment.blocking_fetcher()
            found = await self._workers.run(read_slice, fetch, 0, self.readable_end(segment), offset, max_bytes)
            self._check_bounds(found)
            await self.rebuild_indexes(segment)
        except BadBatch as error:
            raise self._damaged(segment, error) from None
        except OSError as error:
            if self._offline is not None or self.segment_at(offset) is not segment:
                return await self._again(offset, max_bytes)
            raise self._read_failed(error) from error
        return found if found.data else await self._read_behind(behind, max_bytes)

    async def rebuild_indexes(self, segment: Segment) -> None:
        """Makes the indexes of a segment again; of a sealed one on a worker, readers meanwhile see the old state.

        Raises:
            CorruptRecords: the segment is damaged.
            OSError: the disk refused.
        """
        if self.segment_at(segment.base_offset) is not segment:
            return
        if not segment.sealed:
            self._rebuild(segment)
            return
        fresh = Segment(self.directory, segment.base_offset, self._resources, size=segment.size, sealed=True)
        interval, disk = self.config.index_interval_bytes, self._resources.disk
        await self._workers.run(prepare_indexes, fresh, segment.file, segment.size, interval, disk)
        number = self._segment_number(segment.base_offset)
        # Otherwise somebody else was faster: another reader, retention, a compaction.
        if self._segments[number] is segment:
            fresh.take_rebuilt()
            self._segments[number] = fresh
            segment.release()

    async def offset_for_timestamp(self, timestamp_ms: int) -> TimestampOffset | None:
        """Finds the first record with at least that timestamp; see `PartitionLog.offset_for_timestamp`."""
        return await find_by_timestamp(self, self._workers, timestamp_ms)

    async def offset_of_max_timestamp(self) -> TimestampOffset | None:
        """Finds the record with the largest timestamp; see `PartitionLog.offset_of_max_timestamp`."""
        return await find_largest_timestamp(self, self._workers)

    def check_online(self) -> None:
        """Raises:
        LogOffline: the log can't be used.
        """
        if self._offline is not None:
            raise self._is_offline()

    def end_of_epoch(self, epoch: int) -> tuple[int, int] | None:
        """Returns (largest leader epoch <= `epoch`, its end offset); see `PartitionLog.end_of_epoch`."""
        return self.epochs.end_offset_of(epoch, self._end)

    # Giving space back

    def delete_records_before(self, offset: int) -> None:
        """Raises the log start offset; see `PartitionLog.delete_records_before`."""
        if self._offline is not None:
            raise self._is_offline()
        if offset > self._committed.offset or offset < 0:
            raise OffsetOutOfRange(
                f"can't delete records of {self.name} before offset {offset}: they go from {self._start} "
                f"to {self._committed.offset}"
            )
        if offset > self._start:
            self._raise_start(offset)

    def _raise_start(self, offset: int) -> None:
        self._start = offset
        if self.epochs.truncate_start(offset):
            self._write_epochs()

    def apply_retention(self, now_ms: int) -> int:
        """Removes segments that `retention.ms`, `retention.bytes` and the log start offset allow; returns how many.

        Only whole committed segments go; an active one that has expired is rolled first (as Kafka).
        """
        if self._offline is not None:
            return 0
        config = self.config
        count = 0
        excess = self.size_bytes - config.retention_bytes if config.retention_bytes != UNLIMITED else -1
        for number, segment in enumerate(self._segments):
            last = number + 1 == len(self._segments)
            behind = self._next_base(number)
            if behind > self._committed.offset or (last and not segment.size):
                break
            below_start = not last and behind <= self._start
            expired = config.delete and config.retention_ms != UNLIMITED and self._is_expired(segment, now_ms)
            too_much = config.delete and not last and 0 <= segment.size <= excess
            if not (below_start or expired or too_much):
                break
            excess -= segment.size
            count += 1
        if count == 0:
            return 0
        if count == len(self._segments):
            try:
                self.roll()
            except DiskFull:
                # A full disk must not keep us from freeing it; the active segment goes next time.
                count -= 1
                if not count:
                    raise
        self._drop_segments(count, now_ms)
        return count

    def _is_expired(self, segment: Segment, now_ms: int) -> bool:
        if not segment.size:
            return True
        latest = self.max_timestamp_of(segment)
        return latest >= 0 and now_ms - latest > self.config.retention_ms

    def _drop_segments(self, count: int, now_ms: int) -> None:
        if self._new_file:
            # The file that the log goes on with must be there before the others are not: it tells the log end.
            self._resources.disk.sync_directory(self.directory)
        gone = self._segments[:count]
        self._raise_start(max(self._start, self._bases[count]))
        del self._segments[:count], self._bases[:count]
        for segment in gone:
            self._sealed_bytes -= segment.size
            self._remove_files(segment, now_ms)
        for offset in [known for known in self._snapshots if known < self._bases[0]]:
            self._resources.disk.remove(f"{self.directory}/{file_name(offset, SNAPSHOT_SUFFIX)}")
            self._snapshots.remove(offset)
        _log.info(
            "segments deleted", log=self.name, count=count, bytes=sum(s.size for s in gone), log_start=self._start
        )

    def replace_segments(self, old: list[Segment], new: Segment, now_ms: int) -> None:
        """Takes a compacted segment, already in its place on disk, for the adjacent sealed ones it was made from."""
        number = self._segments.index(old[0])
        assert self._segments[number : number + len(old)] == old and number + len(old) < len(self._segments)
        self._segments[number : number + len(old)] = [new]
        self._bases[number : number + len(old)] = [new.base_offset]
        self._sealed_bytes += new.size - sum(segment.size for segment in old)
        if new.base_offset <= self._committed.segment_base < self._next_base(number):
            self._committed = LogEnd(self._committed.offset, new.base_offset, new.size)
        for segment in old:
            segment.release()

    def _remove_files(self, segment: Segment, now_ms: int | None = None) -> None:
        """Removes a segment's files: at once, or after `file.delete.delay.ms` under another name."""
        disk = self._resources.disk
        segment.release()
        if now_ms is None:
            for path in segment.paths():
                disk.remove(path)
            return
        renamed = []
        for path in segment.paths():
            try:
                disk.rename(path, path + DELETED_SUFFIX)
            except FileNotFoundError:
                continue
            renamed.append(path + DELETED_SUFFIX)
        self._doomed.append((now_ms + self.config.file_delete_delay_ms, renamed))

    def remove_doomed(self, now_ms: int) -> None:
        """Removes for good the files whose delay is over; to be called now and then."""
        while self._doomed and self._doomed[0][0] <= now_ms:
            for path in self._doomed.pop(0)[1]:
                self._resources.disk.remove(path)

    # Checkpoints and the end

    def take_snapshot(self) -> None:
        """Writes producer states as of the log end offset, unless the file is there already.

        Raises:
            OSError: the disk refused.
        """
        end = self._end
        if end in self._snapshots and not self.producers.changed:
            return
        path = f"{self.directory}/{file_name(end, SNAPSHOT_SUFFIX)}"
        self._resources.disk.write_file(path, self.producers.to_snapshot(), durable=False)
        self.producers.changed = False
        if end not in self._snapshots:
            self._snapshots.append(end)

    def prepare_checkpoint(self) -> int:
        """Writes out what is only in memory; returns the log end offset, the recovery point once all is synced.

        Raises:
            OSError: the disk refused; the old recovery point stays.
        """
        active = self._segments[-1]
        # Nothing was added to what has not even been checked.
        if active.checked:
            active.flush_indexes()
        if self._end:
            self.take_snapshot()
        if not self._epochs_written:
            self._resources.disk.write_file(f"{self.directory}/{LEADER_EPOCHS}", self.epochs.to_file(), durable=False)
            self._epochs_written = True
        return self._end

    def prune_snapshots(self) -> None:
        """Removes snapshots that neither begin a segment nor are the newest; to be called after a checkpoint."""
        bases = set(self._bases)
        for offset in self._snapshots[:-1]:
            if offset not in bases:
                self._resources.disk.remove(f"{self.directory}/{file_name(offset, SNAPSHOT_SUFFIX)}")
        self._snapshots = [offset for offset in self._snapshots[:-1] if offset in bases] + self._snapshots[-1:]

    def prepare_close(self) -> int:
        """As `prepare_checkpoint`, for a clean stop: the time index then also tells the largest timestamp."""
        active = self._segments[-1]
        if active.checked:
            active.close_time_index()
        return self.prepare_checkpoint()

    def close(self, reason: str = "it was closed") -> None:
        """Lets go of all files; every later call raises LogOffline. Flushing is the caller's part."""
        self._committer.discard(self)
        if self._offline is None:
            self._offline = reason
        for segment in self._segments:
            segment.release()
        doomed, self._doomed = self._doomed, []
        for path in (path for _, paths in doomed for path in paths):
            try:
                self._resources.disk.remove(path)
            except OSError as error:
                # The next opening removes it.
                _log.warning("file not removed", log=self.name, path=path, error=str(error))
