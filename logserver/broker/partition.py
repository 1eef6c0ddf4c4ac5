"""A partition that this node leads, or does not: appending, waiting for commits, reading, waiting for data.

Leadership is run-time state. `lead(epoch)` opens the log for writing; `resign(reason)` ends that at any moment and
answers everybody who waits.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Protocol, TypeVar

from logserver_records.batch import NO_SEQUENCE, Buffer
from logserver_records.control import EndTransactionMarker
from logserver_records.plain import PlainBatch
from logserver_segments.committer import Loss, LossReason
from logserver_segments.config import LogConfig
from logserver_segments.errors import StorageError
from logserver_segments.logs import get_logger
from logserver_segments.partition_log import (
    AbortedTransaction,
    ActiveProducer,
    Appended,
    PartitionLog,
    TimestampOffset,
    Verification,
)
from logserver_segments.preparation import Prepared, takes_long
from logserver_segments.reading import Slice
from logserver_segments.seams import Clock

from logserver.broker.storage_errors import domain_error
from logserver.errors import ErrorCode, LeaderHint, LogServerError

_log = get_logger("logserver.broker")

T = TypeVar("T")

Committed = Callable[[LogServerError | None], None]
"""Called once: with None when the records are durable, with an error when they won't be."""


class DataWaiter(Protocol):
    """Who wants to know that a partition has something new to read, or can't be read here any more."""

    def data_available(self, partition: "Partition") -> None:
        """Called on every rise of the high watermark, and when the partition goes offline, is resigned or is led."""
        ...


class MarkerFollower(Protocol):
    """Who keeps what is in a partition, and so has to know how transactions end in it."""

    def check_ready(self) -> None:
        """Called before a marker is written.

        Raises:
            LogServerError: none can be written now.
        """
        ...

    def marker_written(self, producer_id: int, is_commit: bool, last_offset: int) -> None:
        """Called at once when a marker has been written, `last_offset` its own offset."""
        ...


class Partition:
    """One partition of a topic.

    Args:
        open_log: opens the partition's log; called at `lead`.
    """

    __slots__ = (
        "_clock",
        "_followers",
        "_holds",
        "_open_log",
        "_produces",
        "_unavailable",
        "_waiters",
        "leader",
        "leader_epoch",
        "log",
        "marker_follower",
        "number",
        "topic",
    )

    def __init__(self, topic: str, number: int, clock: Clock, open_log: Callable[[], PartitionLog]) -> None:
        self.topic = topic
        self.number = number
        self._clock = clock
        self._open_log = open_log
        self.log: PartitionLog | None = None
        self.leader_epoch = -1
        self.leader: LeaderHint | None = None
        self._unavailable: LogServerError | None = self._not_leader("it is not led by this node yet")
        # Produces that wait for their last offset to be committed, in the order of appending.
        self._produces: deque[tuple[int, Committed]] = deque()
        self._waiters: dict[DataWaiter, None] = {}
        self._followers: dict[DataWaiter, None] = {}
        self.marker_follower: MarkerFollower | None = None
        self._holds: dict[str, Callable[[], int]] = {}

    def __repr__(self) -> str:
        return f"{self.topic}-{self.number}"

    # Leadership

    def lead(self, epoch: int) -> None:
        """Opens the log for writing under a leader epoch, which must not be below the last one.

        An error is kept as the answer to whoever uses the partition, and harms no other partition.
        """
        assert self.log is None and epoch >= self.leader_epoch, (self, epoch, self.leader_epoch)
        self.leader_epoch = epoch
        try:
            log = self._open_log()
        except (OSError, StorageError) as error:
            self._unavailable = domain_error(error)
            return
        except Exception as error:
            # Whatever it is that stands in its directory: the other partitions go on.
            _log.exception("a log could not be opened", partition=str(self))
            self._unavailable = LogServerError(
                ErrorCode.kafka_storage_error,
                f"{self} could not be opened: {type(error).__name__}: {error}; the server's log says more",
            )
            return
        log.set_listener(self)
        log.set_hold(self._held_from)
        self.log = log
        self._unavailable = None
        self._tell()

    def resign(self, reason: str, leader: LeaderHint | None = None) -> None:
        """Ends leading: no append or read from here on, and everybody who waits is answered. Closing the log is left
        to the caller."""
        log, self.log = self.log, None
        if log is not None:
            log.set_listener(None)
        self.leader = leader
        self._end(self._not_leader(reason))

    def _not_leader(self, reason: str) -> LogServerError:
        return LogServerError(
            ErrorCode.not_leader_or_follower, f"this node does not lead {self}: {reason}", leader=self.leader
        )

    def _end(self, error: LogServerError) -> None:
        self._unavailable = error
        produces, self._produces = self._produces, deque()
        for _, committed in produces:
            committed(error)
        self._tell()

    @property
    def unavailable(self) -> LogServerError | None:
        """Why the partition can't be used here, or None."""
        return self._unavailable

    def check_epoch(self, known_epoch: int | None) -> None:
        """Checks the leader epoch that a client knows (KIP-320).

        Raises:
            LogServerError: FENCED_LEADER_EPOCH if it is older than ours, UNKNOWN_LEADER_EPOCH if newer.
        """
        if known_epoch is None or known_epoch < 0 or known_epoch == self.leader_epoch:
            return
        if known_epoch < self.leader_epoch:
            raise LogServerError(
                ErrorCode.fenced_leader_epoch,
                f"leader epoch {known_epoch} of {self} is over, it is {self.leader_epoch} now; refresh the metadata",
                leader=self.leader,
            )
        raise LogServerError(
            ErrorCode.unknown_leader_epoch,
            f"leader epoch {known_epoch} of {self} is not known here yet, it is {self.leader_epoch}",
        )

    # Offsets

    @property
    def high_watermark(self) -> int:
        """Offset behind the last record that can be read; -1 while the partition is unavailable."""
        return self.log.committed_offset if self.log is not None else -1

    @property
    def last_stable_offset(self) -> int:
        """Offset behind the last record that a reader of committed transactions may see; -1 while the partition is
        unavailable. It rises with the high watermark only."""
        return self.log.last_stable_offset if self.log is not None else -1

    @property
    def log_start_offset(self) -> int:
        """Offset of the first record; -1 while the partition is unavailable."""
        return self.log.log_start_offset if self.log is not None else -1

    @property
    def log_end_offset(self) -> int:
        """Offset behind the last record, durable or not; -1 while the partition is unavailable."""
        return self.log.log_end_offset if self.log is not None else -1

    def _led(self) -> PartitionLog:
        if self._unavailable is not None:
            raise self._unavailable
        assert self.log is not None
        return self.log

    # Retention

    def hold(self, name: str, start: Callable[[], int]) -> None:
        """Keeps retention from records, until `release` is called with the same name.

        Args:
            start: returns the offset from which on they are needed; asked whenever some are about to go. What is
                deleted on purpose goes in spite of that.
        """
        self._holds[name] = start

    def release(self, name: str) -> None:
        """Ends a hold; fine if there is none."""
        self._holds.pop(name, None)

    def _held_from(self) -> int | None:
        return min((start() for start in self._holds.values()), default=None)

    # Produce

    def takes_long(self, payload: Buffer) -> bool:
        """Whether a client's payload of one batch should be given to `prepare` before it is appended.

        Raises:
            LogServerError: the partition can't take it.
        """
        return takes_long(payload, self._led().config, self._clock.now_ms())

    async def prepare(self, payload: bytes) -> Prepared:
        """Does what takes long of appending a client's payload of one batch on another thread: decoding records that
        have to be looked at, compressing them anew.

        Raises:
            LogServerError: the payload is refused, or the partition can't take it.
        """
        log = self._led()
        return await self._awaited(log, log.prepare(payload, self._clock.now_ms()))

    def append(self, payload: Buffer | Prepared, verification: Verification | None = None) -> Appended:
        """Appends a client's payload of whole record batches, or what `prepare` has made of it.

        Args:
            verification: what `verify` gave, once the transaction coordinator has said yes; needed by a transactional
                batch unless `verify` gave None.

        Raises:
            LogServerError: the payload is refused, or the partition can't take it; nothing was stored.
        """
        log = self._led()
        try:
            return log.append(payload, self.leader_epoch, self._clock.now_ms(), verification)
        except (StorageError, OSError) as error:
            raise domain_error(error) from error

    def append_own(self, payload: Buffer | PlainBatch, verification: Verification | None = None) -> Appended:
        """Appends record batches that this server has built itself.

        Args:
            verification: as for `append`; offsets committed in a transaction need it, too.

        Raises:
            LogServerError: the partition can't take them; nothing was stored.
        """
        log = self._led()
        try:
            return log.append_trusted(payload, self.leader_epoch, self._clock.now_ms(), verification)
        except (StorageError, OSError) as error:
            raise domain_error(error) from error

    # Transactions

    def verify(
        self,
        producer_id: int,
        producer_epoch: int,
        base_sequence: int = NO_SEQUENCE,
        supports_epoch_bump: bool = False,
    ) -> Verification | None:
        """Returns what to hand to `append` once the transaction coordinator has confirmed that this partition is in the
        producer's transaction (KIP-890); None if such a transaction is open here and nothing is to be asked.

        See `PartitionLog.verify` for the arguments.

        Raises:
            LogServerError: INVALID_PRODUCER_EPOCH, or the partition is unavailable.
        """
        log = self._led()
        try:
            return log.verify(producer_id, producer_epoch, base_sequence, supports_epoch_bump)
        except StorageError as error:
            raise domain_error(error) from error

    def append_marker(
        self, producer_id: int, producer_epoch: int, marker: EndTransactionMarker, transaction_version: int
    ) -> Appended:
        """Appends the marker that ends a producer's transaction here; may be repeated.

        See `PartitionLog.append_marker`.

        Raises:
            LogServerError: INVALID_PRODUCER_EPOCH, TRANSACTION_COORDINATOR_FENCED, or the partition can't take it;
                nothing was stored.
        """
        log = self._led()
        follower = self.marker_follower
        if follower is not None:
            follower.check_ready()
        now = self._clock.now_ms()
        try:
            appended = log.append_marker(
                producer_id, producer_epoch, marker, self.leader_epoch, now, transaction_version
            )
        except (StorageError, OSError) as error:
            raise domain_error(error) from error
        if follower is not None:
            follower.marker_written(producer_id, marker.is_commit, appended.last_offset)
        return appended

    def aborted_transactions(
        self, start_offset: int, end_offset: int
    ) -> list[AbortedTransaction] | Awaitable[list[AbortedTransaction]]:
        """Returns the aborted transactions that overlap a range of offsets, its end exclusive and not above the last
        stable offset; at once if they are in memory.

        Raises:
            LogServerError: the partition can't be read; also when the answer is awaited.
        """
        log = self._led()
        try:
            found = log.aborted_transactions(start_offset, end_offset)
        except (StorageError, OSError) as error:
            raise domain_error(error) from error
        return found if isinstance(found, list) else self._awaited(log, found)

    def when_committed(self, last_offset: int, committed: Committed) -> None:
        """Calls back when the record at `last_offset` is durable, or can't become so; at once if it already is."""
        if self._unavailable is not None:
            committed(self._unavailable)
        elif last_offset < self.high_watermark:
            committed(None)
        else:
            self._produces.append((last_offset, committed))

    def active_producers(self) -> list[ActiveProducer]:
        """Returns the idempotent producers that the log remembers.

        Raises:
            LogServerError: the partition is unavailable.
        """
        return self._led().active_producers()

    # The log's listener

    def log_committed(self, offset: int) -> None:
        """Answers the produces that are durable now, and wakes readers."""
        produces = self._produces
        while produces and produces[0][0] < offset:
            produces.popleft()[1](None)
        if self._waiters:
            self._wake()

    def log_lost(self, loss: Loss) -> None:
        """Answers everybody: the log is offline."""
        if loss.reason is LossReason.FENCED:
            self._end(self._not_leader(loss.message))
        else:
            self._end(
                LogServerError(
                    ErrorCode.kafka_storage_error,
                    f"{self} is offline: {loss.message}. Look after the disk, then restart the server",
                )
            )

    # Fetch

    def read(self, offset: int, max_bytes: int, committed_only: bool = False) -> Slice | Awaitable[Slice]:
        """Returns committed batches from the one that holds `offset` on, at once if they are in memory.

        Args:
            committed_only: whether to stop at the last stable offset, not at the high watermark.

        Raises:
            LogServerError: OFFSET_OUT_OF_RANGE, or the partition can't be read; also when the answer is awaited.
        """
        log = self._led()
        try:
            found = log.read(offset, max_bytes, committed_only)
        except (StorageError, OSError) as error:
            raise domain_error(error) from error
        return found if isinstance(found, Slice) else self._awaited(log, found)

    def read_at_once(self, offset: int, max_bytes: int) -> Slice | None:
        """Reads as `read`, if what is asked for is in memory; None if it is not.

        Raises:
            LogServerError: as `read`.
        """
        try:
            found = self._led().read(offset, max_bytes)
        except (StorageError, OSError) as error:
            raise domain_error(error) from error
        if isinstance(found, Slice):
            return found
        if isinstance(found, Coroutine):
            # It has not begun.
            found.close()
        return None

    async def _awaited(self, log: PartitionLog, found: Awaitable[T]) -> T:
        """Awaits what was asked of a log; an error because leading it ended meanwhile is told as such."""
        try:
            return await found
        except (StorageError, OSError) as error:
            if self._unavailable is not None:
                raise self._unavailable from error
            if self.log is not log:
                raise self._not_leader("its leadership changed meanwhile") from error
            raise domain_error(error) from error

    def follow(self, follower: DataWaiter) -> None:
        """Tells who does not wait for data when the partition is led, lost or resigned, until it is removed."""
        self._followers[follower] = None

    def unfollow(self, follower: DataWaiter) -> None:
        """Ends telling a follower; fine if it was not there."""
        self._followers.pop(follower, None)

    def add_waiter(self, waiter: DataWaiter) -> None:
        """Tells a waiter of news from here on, until it is removed."""
        self._waiters[waiter] = None

    def remove_waiter(self, waiter: DataWaiter) -> None:
        """Ends telling a waiter; fine if it was not there."""
        self._waiters.pop(waiter, None)

    def _tell(self) -> None:
        """Tells that the partition can be used from here on, or can't."""
        for follower in tuple(self._followers):
            follower.data_available(self)
        self._wake()

    def _wake(self) -> None:
        for waiter in tuple(self._waiters):
            waiter.data_available(self)

    async def offset_for_timestamp(self, timestamp_ms: int) -> TimestampOffset | None:
        """Finds the first record with at least that timestamp; None if there is none.

        Raises:
            LogServerError: the partition can't be read.
        """
        log = self._led()
        return await self._awaited(log, log.offset_for_timestamp(timestamp_ms))

    async def offset_of_max_timestamp(self) -> TimestampOffset | None:
        """Finds the first record with the largest timestamp; None if there are no records.

        Raises:
            LogServerError: the partition can't be read.
        """
        log = self._led()
        return await self._awaited(log, log.offset_of_max_timestamp())

    # Settings

    @property
    def max_message_bytes(self) -> int:
        """The topic's `max.message.bytes`.

        Raises:
            LogServerError: the partition is unavailable.
        """
        return self._led().config.max_message_bytes

    def configure(self, config: LogConfig) -> None:
        """Puts new settings into force."""
        if self.log is not None:
            self.log.config = config
