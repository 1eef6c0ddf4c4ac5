"""What a log consists of, and the sentences about it that it fails with."""

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from logserver_segments.checkpoints import LeaderEpochs
from logserver_segments.committer import Committable, Committer, LogEnd
from logserver_segments.config import LogConfig
from logserver_segments.errors import CorruptRecords, DiskFull, LogOffline, ReadFailed
from logserver_segments.log.segments import SegmentList
from logserver_segments.partition_log import LogListener
from logserver_segments.producer_state import ProducerStates
from logserver_segments.seams import Workers
from logserver_segments.segment import Resources, Segment

DISK_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


@dataclass(slots=True, eq=False)
class LogState:
    """What a log consists of.

    Invariant: log start offset <= last stable offset <= committed offset <= log end offset. What lies between the last
    two is appended and not yet durable; nobody reads it.
    """

    # `<topic>-<partition>`, for messages.
    name: str
    directory: str
    config: LogConfig
    resources: Resources
    committer: Committer
    workers: Workers
    segments: SegmentList
    # Log start offset and log end offset.
    start: int
    end: int
    producers: ProducerStates
    epochs: LeaderEpochs
    # Offsets that have a snapshot file of producer states, rising.
    snapshots: list[int]
    # As of offsets up to here they are durable.
    snapshots_durable_to: int
    committed: LogEnd = field(init=False)
    # Whom the committer knows the log as.
    owner: Committable = field(init=False)
    # Why it can't be used.
    offline: str | None = None
    listener: LogListener | None = None
    # See `PartitionLog.set_hold`.
    held_from: Callable[[], int | None] | None = None
    # Records that `flush.messages` lets wait, and since when.
    unflushed: int = 0
    unflushed_since_ms: float | None = None
    # Whether the directory has an entry that the committer was not told of.
    new_file: bool = True
    # (when, paths): renamed files that go for good after file.delete.delay.ms.
    doomed: list[tuple[int, list[str]]] = field(default_factory=list)
    # `snapshots_durable_to` once the checkpoint that is under way has been flushed.
    snapshots_checkpointed_to: int = 0
    epochs_written: bool = True
    # Told the new end before a truncation, so that no recovery point stays behind it.
    before_truncation: Callable[[int], None] | None = None
    # Undoes what a compaction has begun to put in the place of segments; to be called before a truncation.
    undo_swap: Callable[[], None] | None = None
    # Where the last stable offset was found: the offset, the segment, the position in it.
    stable: tuple[int, Segment, int] | None = None
    # How often it was truncated since it was opened.
    truncations: int = 0

    def __post_init__(self) -> None:
        self.committed = self.log_end()

    @property
    def last_stable_offset(self) -> int:
        """See `PartitionLog.last_stable_offset`. Where the records of a transaction were deleted, it begins behind them
        (as Kafka)."""
        committed = self.committed.offset
        first = self.producers.unstable.first
        return committed if first is None else min(committed, max(first, self.start))

    def log_end(self) -> LogEnd:
        """Returns where appending goes on."""
        active = self.segments.active
        return LogEnd(self.end, active.base_offset, active.size)

    def check_invariant(self) -> None:
        """Asserts what always holds."""
        self.segments.check_invariant()
        first = self.segments.bases[0]
        assert first <= self.start <= self.committed.offset <= self.end, (first, self.start, self.committed, self.end)
        assert self.start <= self.last_stable_offset <= self.committed.offset, (self.start, self.last_stable_offset)

    # Segments by offset

    def next_base(self, number: int) -> int:
        """Returns the offset behind the last one that segment `number` can hold."""
        bases = self.segments.bases
        return bases[number + 1] if number + 1 < len(bases) else self.end

    def segment_at(self, offset: int) -> Segment:
        """Returns the segment whose range of offsets holds `offset`."""
        return self.segments.items[self.segments.number_of(offset)]

    def offset_behind(self, segment: Segment) -> int:
        """Returns the offset behind the last one that a segment of this log can hold."""
        return self.next_base(self.segments.number_of(segment.base_offset))

    def readable_end(self, segment: Segment) -> int:
        """Returns the position in a segment where what is committed ends."""
        committed = self.committed
        if segment.base_offset == committed.segment_base:
            return committed.position
        return 0 if segment.base_offset > committed.segment_base else segment.size

    # What it fails with

    def check_online(self) -> None:
        """Raises:
        LogOffline: the log can't be used.
        """
        if self.offline is not None:
            raise LogOffline(f"{self.name} is offline: {self.offline}")

    def disk_full(self) -> DiskFull:
        return DiskFull(
            f"{self.name}: no space left on the disk of {self.directory}; nothing was stored, reading goes on. "
            f"Free space or lower retention.ms / retention.bytes; writing works again without a restart"
        )

    def read_failed(self, error: OSError) -> ReadFailed:
        return ReadFailed(f"{self.name}: the disk failed to read: {error.strerror or error}")

    def damaged(self, segment: Segment, error: Exception) -> CorruptRecords:
        return CorruptRecords(f"{segment.path} is damaged: {error}; run a check of the data directory")
