"""The log of one partition, as others use it: what it does is in the modules beside this one."""

from collections.abc import Awaitable, Callable

from logserver_records.batch import NO_SEQUENCE, Buffer
from logserver_records.control import EndTransactionMarker
from logserver_records.plain import PlainBatch

from logserver_segments.checkpoints import LeaderEpochs
from logserver_segments.committer import Committer, LogEnd, Loss
from logserver_segments.config import LogConfig
from logserver_segments.log import (
    append,
    close,
    commit,
    indexes,
    loss,
    read,
    remove,
    retention,
    roll,
    transactions,
    truncate,
)
from logserver_segments.log.segments import SegmentList
from logserver_segments.log.snapshots import prune_snapshots, take_snapshot
from logserver_segments.log.state import LogState
from logserver_segments.partition_log import (
    AbortedTransaction,
    ActiveProducer,
    Appended,
    LogListener,
    TimestampOffset,
    Verification,
)
from logserver_segments.preparation import Prepared, prepare
from logserver_segments.producer_state import ProducerStates
from logserver_segments.reading import Slice
from logserver_segments.seams import Workers
from logserver_segments.segment import Resources, Segment
from logserver_segments.time_lookup import Hands, find_by_timestamp, find_largest_timestamp


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
        self.producers = producers
        self.epochs = epochs
        self._state = LogState(
            name,
            directory,
            config,
            resources,
            committer,
            workers,
            SegmentList(segments),
            start_offset,
            end_offset,
            producers,
            epochs,
            snapshots,
            # What opening has found was flushed before.
            end_offset,
        )
        self._state.owner = self

    def __repr__(self) -> str:
        return f"Log({self.name})"

    # What is there

    @property
    def config(self) -> LogConfig:
        """Its settings; may be set at any time."""
        return self._state.config

    @config.setter
    def config(self, config: LogConfig) -> None:
        self._state.config = config

    @property
    def log_start_offset(self) -> int:
        return self._state.start

    @property
    def log_end_offset(self) -> int:
        return self._state.end

    @property
    def committed_offset(self) -> int:
        return self._state.committed.offset

    @property
    def last_stable_offset(self) -> int:
        return self._state.last_stable_offset

    @property
    def size_bytes(self) -> int:
        return self._state.segments.size_bytes

    @property
    def offline(self) -> str | None:
        return self._state.offline

    @property
    def segments(self) -> tuple[Segment, ...]:
        """All segments in order; the last one is active."""
        return tuple(self._state.segments.items)

    def segment_at(self, offset: int) -> Segment:
        """Returns the segment whose range of offsets holds `offset`."""
        return self._state.segment_at(offset)

    def offset_behind(self, segment: Segment) -> int:
        """Returns the offset behind the last one that a segment of this log can hold."""
        return self._state.offset_behind(segment)

    def readable_end(self, segment: Segment) -> int:
        """Returns the position in a segment where what is committed ends."""
        return self._state.readable_end(segment)

    def check_online(self) -> None:
        """Raises:
        LogOffline: the log can't be used.
        """
        self._state.check_online()

    def check_invariant(self) -> None:
        """Asserts what always holds."""
        self._state.check_invariant()

    # Append and commit

    def prepare(self, payload: bytes, now_ms: int) -> Awaitable[Prepared]:
        """Does what takes long of appending on another thread; see `PartitionLog.prepare`."""
        return self._hands().preparers.run(prepare, payload, self._state.config, now_ms)

    def append(
        self, payload: Buffer | Prepared, leader_epoch: int, now_ms: int, verification: Verification | None = None
    ) -> Appended:
        """Checks and appends a client's payload; see `PartitionLog.append`."""
        return append.append(self._state, payload, leader_epoch, now_ms, verification)

    def append_trusted(
        self, payload: Buffer | PlainBatch, leader_epoch: int, now_ms: int, verification: Verification | None = None
    ) -> Appended:
        """Appends batches that this server built; see `PartitionLog.append_trusted`."""
        if isinstance(payload, PlainBatch):
            return append.append_plain(self._state, payload, leader_epoch, now_ms, verification)
        return append.append_trusted(self._state, payload, leader_epoch, now_ms, verification)

    def verify(
        self,
        producer_id: int,
        producer_epoch: int,
        base_sequence: int = NO_SEQUENCE,
        supports_epoch_bump: bool = False,
    ) -> Verification | None:
        """Returns what lets a producer begin a transaction; see `PartitionLog.verify`."""
        self._state.check_online()
        return self.producers.verify(producer_id, producer_epoch, base_sequence, supports_epoch_bump)

    def append_marker(
        self,
        producer_id: int,
        producer_epoch: int,
        marker: EndTransactionMarker,
        leader_epoch: int,
        now_ms: int,
        transaction_version: int,
    ) -> Appended:
        """Appends the marker that ends a transaction; see `PartitionLog.append_marker`."""
        return append.append_marker(
            self._state, producer_id, producer_epoch, marker, leader_epoch, now_ms, transaction_version
        )

    def roll(self) -> None:
        """Seals the active segment and begins a new one; see `roll.roll`."""
        roll.roll(self._state)

    def set_hold(self, held_from: Callable[[], int | None]) -> None:
        """See `PartitionLog.set_hold`."""
        self._state.held_from = held_from

    def set_listener(self, listener: LogListener | None) -> None:
        """Names who is told when offsets become durable, or that the log is lost."""
        self._state.listener = listener

    def committed(self, end: LogEnd) -> None:
        """Takes the committer's report that everything before `end` is durable."""
        commit.take_report(self._state, end)

    def lost(self, report: Loss) -> None:
        """Takes the committer's report that appends since the last commit can't become durable: goes offline."""
        loss.go_offline(self._state, report)

    def flush_if_due(self, monotonic_ms: float) -> None:
        """Flushes appends that `flush.ms` says have waited long enough; to be called now and then."""
        commit.flush_if_due(self._state, monotonic_ms)

    # Read

    def read(self, offset: int, max_bytes: int, committed_only: bool = False) -> Slice | Awaitable[Slice]:
        """Returns committed batches; see `PartitionLog.read`."""
        return read.read(self._state, offset, max_bytes, committed_only)

    def aborted_transactions(
        self, start_offset: int, end_offset: int
    ) -> list[AbortedTransaction] | Awaitable[list[AbortedTransaction]]:
        """Returns the transactions in a range that were aborted; see `PartitionLog.aborted_transactions`."""
        return transactions.aborted_transactions(self._state, start_offset, end_offset)

    async def offset_for_timestamp(self, timestamp_ms: int) -> TimestampOffset | None:
        """Finds the first record with at least that timestamp; see `PartitionLog.offset_for_timestamp`."""
        return await find_by_timestamp(self, self._hands(), timestamp_ms)

    async def offset_of_max_timestamp(self) -> TimestampOffset | None:
        """Finds the record with the largest timestamp; see `PartitionLog.offset_of_max_timestamp`."""
        return await find_largest_timestamp(self, self._hands())

    def _hands(self) -> Hands:
        readers = self._state.workers
        return Hands(readers, self._state.resources.preparers or readers)

    def max_timestamp_of(self, segment: Segment) -> int:
        """Returns the largest timestamp in a segment, -1 if it has none; see `indexes.max_timestamp_of`."""
        return indexes.max_timestamp_of(self._state, segment)

    async def check_indexes(self, segment: Segment) -> None:
        """Checks a segment's indexes without the caller's waiting for the disk; see `indexes.check`."""
        await indexes.check(self._state, segment)

    def end_of_epoch(self, epoch: int) -> tuple[int, int] | None:
        """Returns (largest leader epoch <= `epoch`, its end offset); see `PartitionLog.end_of_epoch`."""
        return self.epochs.end_offset_of(epoch, self._state.end)

    def active_producers(self) -> list[ActiveProducer]:
        """Returns the producers that are remembered."""
        return self.producers.active()

    async def rebuild_indexes(self, segment: Segment) -> None:
        """Makes the indexes of a segment again; see `indexes.rebuild`."""
        await indexes.rebuild(self._state, segment)

    # Giving space back, and giving up records

    def delete_records_before(self, offset: int) -> None:
        """Raises the log start offset; see `PartitionLog.delete_records_before`."""
        retention.delete_records_before(self._state, offset)

    async def prepare_retention(self, now_ms: int) -> None:
        """Has read what `apply_retention` is going to look at; see `retention.prepare`."""
        await retention.prepare(self._state, now_ms)

    def apply_retention(self, now_ms: int) -> int:
        """Removes segments that the settings and the log start offset allow; see `retention.apply_retention`."""
        return retention.apply_retention(self._state, now_ms)

    def replace_segments(self, old: list[Segment], new: Segment) -> None:
        """Takes a compacted segment for the adjacent sealed ones it was made from; it is in its place on disk."""
        retention.replace_segments(self._state, old, new)

    def take_doomed(self, now_ms: int) -> list[str]:
        """Returns the paths of the files to be removed for good now; see `remove.take_doomed`."""
        return remove.take_doomed(self._state, now_ms)

    def remove_doomed(self, now_ms: int) -> None:
        """Removes for good the files whose delay is over."""
        remove.remove_doomed(self._state, now_ms)

    def truncate(self, offset: int) -> None:
        """Drops everything from `offset` on, for good; see `truncate.truncate`."""
        truncate.truncate(self._state, offset)

    @property
    def before_truncation(self) -> Callable[[int], None] | None:
        """Told the new end before a truncation, so that no recovery point stays behind it."""
        return self._state.before_truncation

    @before_truncation.setter
    def before_truncation(self, told: Callable[[int], None] | None) -> None:
        self._state.before_truncation = told

    @property
    def undo_swap(self) -> Callable[[], None] | None:
        """Undoes what a compaction has begun to put in the place of segments; called before a truncation."""
        return self._state.undo_swap

    @undo_swap.setter
    def undo_swap(self, undo: Callable[[], None] | None) -> None:
        self._state.undo_swap = undo

    # Checkpoints and the end

    def take_snapshot(self) -> None:
        """Writes producer states as of the log end offset; see `snapshots.take_snapshot`."""
        take_snapshot(self._state)

    def prune_snapshots(self) -> None:
        """Removes snapshots that are not needed any more; see `snapshots.prune_snapshots`."""
        prune_snapshots(self._state)

    def prepare_checkpoint(self) -> int:
        """Writes out what is only in memory; returns the recovery point to be; see `close.prepare_checkpoint`."""
        return close.prepare_checkpoint(self._state)

    def prepare_close(self) -> int:
        """As `prepare_checkpoint`, for a clean stop: the time index then also tells the largest timestamp."""
        return close.prepare_close(self._state)

    def close(self, reason: str = "it was closed") -> None:
        """Lets go of all files; every later call raises LogOffline. Flushing is the caller's part."""
        close.close(self._state, reason)
