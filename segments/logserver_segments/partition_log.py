"""What the broker knows of a partition's storage."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

from logserver_records.batch import NO_SEQUENCE, Buffer
from logserver_records.control import EndTransactionMarker
from logserver_records.plain import PlainBatch

from logserver_segments.committer import Loss
from logserver_segments.config import LogConfig
from logserver_segments.preparation import Prepared
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
    # Of its last batch or the marker behind it, -1 if neither had one.
    last_timestamp_ms: int
    # Of the last transaction's end, -1 if there was none.
    coordinator_epoch: int
    # Of the open transaction, -1 if there is none.
    transaction_first_offset: int


class AbortedTransaction(NamedTuple):
    """A transaction of a log that was aborted: its first offset and that of its marker, both inclusive."""

    producer_id: int
    first_offset: int
    last_offset: int
    # When the marker was appended: before it everything was decided (Kafka: `AbortedTxn`).
    last_stable_offset: int


class Verification:
    """Leave to begin a transaction in a log, once the transaction coordinator has been asked (KIP-890).

    A log remembers one a producer. What ends a transaction of the producer, or a newer epoch, makes it worthless, so an
    answer of the coordinator that comes too late lets nothing in. (Kafka: `VerificationStateEntry`.)
    """

    __slots__ = ("epoch", "lowest_sequence", "producer_id", "supports_epoch_bump", "used_ms")

    def __init__(self, producer_id: int, epoch: int, base_sequence: int, supports_epoch_bump: bool) -> None:
        self.producer_id = producer_id
        self.epoch = epoch
        # No batch with a larger sequence may come first; -1 if any may.
        self.lowest_sequence = base_sequence
        self.supports_epoch_bump = supports_epoch_bump
        # When housekeeping first met it.
        self.used_ms: int | None = None

    def __repr__(self) -> str:
        return f"Verification({self.producer_id}, {self.epoch})"


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
    def last_stable_offset(self) -> int:
        """Everything before it is committed, and of no transaction that is open or whose end is not committed yet."""
        ...

    @property
    def size_bytes(self) -> int: ...

    @property
    def offline(self) -> str | None:
        """Why the log can't be used, or None."""
        ...

    def prepare(self, payload: bytes, now_ms: int) -> Awaitable[Prepared]:
        """Does on another thread what takes long of appending a client's payload of one batch: decoding records that
        have to be looked at, compressing them anew. See `preparation.takes_long`.

        Raises:
            StorageError: one of its kinds, when awaited: the payload is refused.
        """
        ...

    def append(
        self, payload: Buffer | Prepared, leader_epoch: int, now_ms: int, verification: Verification | None = None
    ) -> Appended:
        """Checks and appends a client's payload of whole record batches, or what `prepare` has made of it.

        Args:
            verification: what `verify` gave, once the coordinator has said yes; a transactional batch needs it unless
                a transaction of its producer and epoch is open here.

        Raises:
            StorageError: one of its kinds; nothing was stored.
        """
        ...

    def append_trusted(
        self, payload: Buffer | PlainBatch, leader_epoch: int, now_ms: int, verification: Verification | None = None
    ) -> Appended:
        """Appends batches made by this server itself, control batches among them, without `check_payload`.

        Of batches with a producer id the epoch is checked, and what `append` says of transactional ones holds; their
        sequences are not looked at (Kafka: `AppendOrigin.COORDINATOR`).

        Raises:
            StorageError: one of its kinds; nothing was stored.
        """
        ...

    def verify(
        self,
        producer_id: int,
        producer_epoch: int,
        base_sequence: int = NO_SEQUENCE,
        supports_epoch_bump: bool = False,
    ) -> Verification | None:
        """Returns what to hand to `append` once the transaction coordinator has confirmed that the partition is in the
        producer's transaction (KIP-890); None if a transaction of that producer and epoch is open here, so that nothing
        is to be asked.

        Args:
            base_sequence: of the batch that waits for the answer; until the transaction is begun no batch with a larger
                one is taken. -1 if that does not matter.
            supports_epoch_bump: whether the producer's epoch is raised with each transaction; then a producer that is
                not known here must begin with sequence 0.

        Raises:
            StaleProducerEpoch: a newer epoch of this producer has written here, or is being verified.
            LogOffline: the log can't be used.
        """
        ...

    def append_marker(
        self,
        producer_id: int,
        producer_epoch: int,
        marker: EndTransactionMarker,
        leader_epoch: int,
        now_ms: int,
        transaction_version: int,
    ) -> Appended:
        """Appends the control batch that ends a producer's transaction here, if one is open.

        Sent again, as a coordinator does that does not know whether it was, it is appended again and changes nothing.

        Args:
            producer_epoch: of the marker. From version 2 on it is above that of the transaction's batches.
            transaction_version: of the feature `transaction.version` that the coordinator works by (KIP-890).

        Raises:
            StaleProducerEpoch: the producer's epoch here is newer; from version 2 on also if it is the same, unless the
                transaction has ended.
            CoordinatorFenced: a coordinator of a newer epoch has written a marker of this producer.
            StorageError: the log can't take it; nothing was stored.
        """
        ...

    def aborted_transactions(
        self, start_offset: int, end_offset: int
    ) -> list[AbortedTransaction] | Awaitable[list[AbortedTransaction]]:
        """Returns the aborted transactions that overlap a range of offsets, its end exclusive, in the order in which
        they were ended; for a range of which the end is not above the last stable offset.

        Raises:
            CorruptRecords: the log is damaged; also when the answer is awaited.
            ReadFailed: the disk refused; also when the answer is awaited.
            LogOffline: the log can't be used.
        """
        ...

    def read(self, offset: int, max_bytes: int, committed_only: bool = False) -> Slice | Awaitable[Slice]:
        """Returns committed whole batches from the one that holds `offset` on.

        Empty at the committed offset. At least one batch otherwise, whatever its size; then up to `max_bytes`.

        Args:
            committed_only: whether to stop at the last stable offset instead (Kafka: `read_committed`). Records of
                transactions that were aborted are among the records all the same; `aborted_transactions` tells them.

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

    def set_hold(self, held_from: Callable[[], int | None]) -> None:
        """Sets what to ask before retention deletes anything: the offset from which on records stay, None if all may
        go. `delete_records_before` does not ask."""
        ...
