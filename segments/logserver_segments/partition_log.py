"""What the broker knows of a partition's storage."""

from collections.abc import Awaitable
from typing import NamedTuple, Protocol

from logserver_records.batch import Buffer

from logserver_segments.committer import Loss
from logserver_segments.config import LogConfig
from logserver_segments.reading import Slice


class Appended(NamedTuple):
    """Where a payload was stored: first and last offset (both inclusive)."""

    base_offset: int
    last_offset: int
    # With LogAppendTime, otherwise -1.
    append_time_ms: int
    # True if an earlier attempt had stored the same batch.
    duplicate: bool


class TimestampOffset(NamedTuple):
    """A record found by time."""

    offset: int
    timestamp_ms: int


class ActiveProducer(NamedTuple):
    """What a log remembers of an idempotent producer."""

    producer_id: int
    epoch: int
    # Of its last batch; -1 where that is not known any more.
    last_sequence: int
    last_timestamp_ms: int
    # Of the last transaction's end, -1 if there was none.
    coordinator_epoch: int
    # Of the open transaction, -1 if there is none.
    transaction_first_offset: int


class LogListener(Protocol):
    """Who is told about a log's durability; on the log's own thread."""

    def log_committed(self, offset: int) -> None:
        """Everything before `offset` is durable (or counts as it, where `flush.messages` says so)."""
        ...

    def log_lost(self, loss: Loss) -> None:
        """The log is offline; what lies behind the last committed offset is gone."""
        ...


class PartitionLog(Protocol):
    """An append-only log of record batches.

    Not thread-safe: one thread owns it. Whatever reads stored data returns at once when the data is in memory and
    otherwise an awaitable; callers handle both.
    """

    config: LogConfig

    @property
    def log_start_offset(self) -> int: ...

    @property
    def log_end_offset(self) -> int: ...

    @property
    def committed_offset(self) -> int:
        """Everything before it is durable."""
        ...

    @property
    def size_bytes(self) -> int: ...

    @property
    def offline(self) -> str | None:
        """Why the log can't be used, or None."""
        ...

    def append(self, payload: Buffer, leader_epoch: int, now_ms: int) -> Appended:
        """Checks and appends a client's payload of whole record batches.

        Raises:
            StorageError: one of its kinds; nothing was stored.
        """
        ...

    def append_trusted(self, payload: Buffer, leader_epoch: int, now_ms: int) -> Appended:
        """Appends batches made by this server itself, control batches among them, without `check_payload`."""
        ...

    def read(self, offset: int, max_bytes: int) -> Slice | Awaitable[Slice]:
        """Returns committed whole batches from the one that holds `offset` on.

        Empty at the committed offset. At least one batch otherwise, whatever its size; then up to `max_bytes`.

        Raises:
            OffsetOutOfRange: below the log start offset or behind the log end offset.
            CorruptRecords: the stored bytes are damaged.
            LogOffline: the log can't be used.
        """
        ...

    def offset_for_timestamp(self, timestamp_ms: int) -> Awaitable[TimestampOffset | None]:
        """Finds the first committed record with at least that timestamp; None if there is none."""
        ...

    def offset_of_max_timestamp(self) -> Awaitable[TimestampOffset | None]:
        """Finds the first committed record with the largest timestamp; None if the log is empty."""
        ...

    def end_of_epoch(self, epoch: int) -> tuple[int, int] | None:
        """Returns (largest leader epoch <= `epoch`, end offset of it), exclusive; None if there is none (KIP-101)."""
        ...

    def active_producers(self) -> list[ActiveProducer]:
        """Returns the producers that are remembered, those that wrote last at the end."""
        ...

    def delete_records_before(self, offset: int) -> None:
        """Raises the log start offset; whole segments below it go. Persisting it is the directory's part.

        Raises:
            OffsetOutOfRange: behind the committed offset.
        """
        ...

    def set_listener(self, listener: LogListener | None) -> None: ...
