"""The synchronous consumer."""

import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from threading import Event
from types import TracebackType
from typing import Any, Generic, TypeVar, Unpack, overload

from logserver_client._background import BACKGROUND
from logserver_client._consume.config import GroupConsumerSettings, consumer_config
from logserver_client._consume.core import EARLIEST, LATEST, Assignment, ConsumerCore, raise_closed
from logserver_client._consume.reader import ALL, Piece
from logserver_client._group.sync import GroupConsumer
from logserver_client._positions import position_message, time_position
from logserver_client._transport.options import DEFAULT_ADDRESS
from logserver_client.types import OffsetAndTimestamp, PartitionLike, Position, Record, Timestamp, TopicPartition

K = TypeVar("K")
V = TypeVar("V")


class Consumer(GroupConsumer, Generic[K, V]):
    """Reads partitions from any position, in the order of each.

        with Consumer("127.0.0.1:50051") as consumer:
            consumer.assign("flights", at="earliest")
            for record in consumer:
                print(record.partition, record.offset, record.value)

    With a `group_id` it can share topics with the other consumers of the group, each partition with one of them at a
    time, and the group knows how far it is:

        with Consumer("127.0.0.1:50051", group_id="billing") as consumer:
            consumer.subscribe("flights")
            for record in consumer:
                work_on(record)

    A record counts as done when the user has come back for more: with the next `poll`, or the next step of an
    iteration. That is what is committed automatically, so a record is handed out again, to another consumer perhaps, if
    its worker dies; it is never skipped.

    A consumer belongs to one thread at a time; only `close` may be called from another. A restart of the server is
    waited out, and reading goes on at the same offset.

    Args:
        address: HOST:PORT of a server.
        key_deserializer, value_deserializer: make what the user gets from bytes; not called for null.
        buffer_bytes: bytes of record batches, as stored, that may be on the way or buffered for each node; the server
            sends no more until some are taken.
        max_poll_records: how many records `poll` returns at most, unless it is told.
        auto_offset_reset: what happens when an offset is out of range, because records have been deleted or never were
            there, or when the group has committed none: "error" raises OffsetOutOfRange or NoOffsetForPartition,
            "earliest" and "latest" go on at that end of the log. The default is "error" without a group, and "latest",
            which is Kafka's, with one: a new group sees what comes from then on.
        check_crcs: check each batch against its CRC.
        max_decompressed_bytes: the most that a compressed batch may grow to.
        request_timeout_ms: how long an answer may take.
        retry_backoff_ms, retry_backoff_max_ms: the first and the longest ceiling of delays between attempts; each
            delay is drawn evenly from 0 to a ceiling that doubles.
        isolation_level: "read_uncommitted" reads everything that is durable; "read_committed" nothing of transactions
            that are open or were aborted: it stops at the first record of an open one.
        group_id: the group of which this consumer is a member (`subscribe`), or as which it commits (`assign`).
        group_instance_id: the name of this consumer's place in the group: one that closes or dies and comes back with
            the same name within the session timeout has its partitions as before, without a rebalance.
        auto_commit: commit what is done, every `auto_commit_interval_ms`, when partitions are given up, and on closing.
        max_poll_interval_ms: a consumer whose user doesn't come back for so long leaves the group, and joins it again
            when they do. It is also how long others wait for partitions that it is to give up.
        client_id: for people who look at the group.
        rack_id: where this consumer is, for assignors that care.
        assignor: who distributes the partitions: "uniform", "range", None for the server's choice.

    Raises:
        ValueError: a setting is out of its range.
    """

    @overload
    def __init__(
        self: "Consumer[bytes, bytes]", address: str = DEFAULT_ADDRESS, **settings: Unpack[GroupConsumerSettings]
    ) -> None: ...

    @overload
    def __init__(
        self: "Consumer[K, bytes]",
        address: str = DEFAULT_ADDRESS,
        *,
        key_deserializer: Callable[[bytes], K],
        **settings: Unpack[GroupConsumerSettings],
    ) -> None: ...

    @overload
    def __init__(
        self: "Consumer[bytes, V]",
        address: str = DEFAULT_ADDRESS,
        *,
        value_deserializer: Callable[[bytes], V],
        **settings: Unpack[GroupConsumerSettings],
    ) -> None: ...

    @overload
    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        key_deserializer: Callable[[bytes], K],
        value_deserializer: Callable[[bytes], V],
        **settings: Unpack[GroupConsumerSettings],
    ) -> None: ...

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        key_deserializer: Callable[[bytes], Any] | None = None,
        value_deserializer: Callable[[bytes], Any] | None = None,
        **settings: Unpack[GroupConsumerSettings],
    ) -> None:
        self._is_closed = True
        config = consumer_config(address, key_deserializer, value_deserializer, **settings)
        self._max_poll_records = config.max_poll_records
        self._arrived = Event()
        self._core = ConsumerCore(config, self._arrived.set)
        self._reader = self._core.reader
        self._group = self._core.group
        self._user = BACKGROUND.acquire(self._core.close)
        self._is_closed = False
        BACKGROUND.run(self._core.start())

    # What to read.

    def assign(self, partitions: Assignment, *, at: Position | None = None) -> None:
        """Reads these partitions, and no others, from a position on.

        Returns when the server has said which offsets that is: what is produced from then on is behind "latest".

        Args:
            partitions: a topic (all of its partitions), a partition, some of both, or partitions with a position each.
            at: where to start (inclusive): "earliest", "latest", an offset, or a time. By default where the group has
                committed (`auto_offset_reset` where it hasn't), and "earliest" without a group.

        Raises:
            RuntimeError: the consumer is subscribed as a member of its group.
            UnknownTopicOrPartition: there is no such topic or partition.
            OffsetOutOfRange: an offset is outside of the log, with auto_offset_reset="error".
            ConnectionFailed, RequestTimedOut: nobody answered.
            ValueError: a position makes no sense.
        """
        BACKGROUND.run(self._core.assign(partitions, at))

    def unassign(self) -> None:
        """Reads nothing any more."""
        BACKGROUND.run(self._core.unassign())

    def assignment(self) -> set[TopicPartition]:
        """Returns the assigned partitions."""
        return self._core.assignment()

    def pause(self, *partitions: PartitionLike) -> None:
        """Gets nothing of these assigned partitions until `resume`; the position stays.

        Raises:
            ValueError: one isn't assigned.
        """
        BACKGROUND.run(self._core.pause(partitions))

    def resume(self, *partitions: PartitionLike) -> None:
        """Goes on with paused partitions.

        Raises:
            ValueError: one isn't assigned.
        """
        BACKGROUND.run(self._core.resume(partitions))

    def paused(self) -> set[TopicPartition]:
        """Returns the assigned partitions that are paused."""
        return self._core.paused()

    # Where.

    def position(self, partition: PartitionLike) -> int:
        """Returns the offset of the next record of an assigned partition: one behind the last that was handed out.

        Raises:
            ValueError: it isn't assigned.
        """
        # Asked after each record by some, so the loop isn't bothered when the position is known.
        position = self._reader.position(self._core.state(partition))
        return BACKGROUND.run(self._core.position(partition)) if position is None else position

    def seek(self, partition: PartitionLike, position: Position) -> None:
        """Moves an assigned partition to a position (inclusive).

        Raises:
            ValueError: it isn't assigned, or the position makes no sense.
        """
        BACKGROUND.run(self._core.seek([partition], position_message(position)))

    def seek_to_beginning(self, *partitions: PartitionLike) -> None:
        """Moves assigned partitions, all without any named, to their log start offsets."""
        BACKGROUND.run(self._core.seek(partitions or self.assignment(), EARLIEST))

    def seek_to_end(self, *partitions: PartitionLike) -> None:
        """Moves assigned partitions, all without any named, to their high watermarks."""
        BACKGROUND.run(self._core.seek(partitions or self.assignment(), LATEST))

    def seek_to_timestamp(self, partition: PartitionLike, time: Timestamp | datetime | int) -> None:
        """Moves an assigned partition to the first record at or after a time, the end of the log if there is none.

        Args:
            time: an aware datetime, or milliseconds since the Unix epoch.
        """
        BACKGROUND.run(self._core.seek([partition], time_position(time)))

    # What there is.

    def partitions_for(self, topic: str) -> list[TopicPartition]:
        """Returns the partitions of a topic.

        Raises:
            UnknownTopicOrPartition: there is no such topic.
        """
        return BACKGROUND.run(self._core.partitions_for(topic))

    def beginning_offsets(self, partitions: Iterable[PartitionLike]) -> dict[TopicPartition, int]:
        """Returns log start offsets; the partitions need not be assigned."""
        return self._offsets(partitions, EARLIEST)

    def end_offsets(self, partitions: Iterable[PartitionLike]) -> dict[TopicPartition, int]:
        """Returns high watermarks: the offset behind the last record that can be read."""
        return self._offsets(partitions, LATEST)

    def offsets_for_times(
        self, times: Mapping[PartitionLike, Timestamp | datetime | int]
    ) -> dict[TopicPartition, OffsetAndTimestamp | None]:
        """Returns the first record at or after each time, None where there is none."""
        wanted = {TopicPartition(*tp): time_position(time) for tp, time in times.items()}
        found = BACKGROUND.run(self._core.list_offsets(wanted))
        return {tp: None if found[tp].offset < 0 else found[tp] for tp in wanted}

    # Reading.

    def poll(self, timeout: float | None = None, max_records: int | None = None) -> list[Record[K, V]]:
        """Returns records that have come, waiting for the first.

        Args:
            timeout: seconds; None waits as long as it takes, 0 not at all.
            max_records: how many at most.

        Returns:
            Records in the order of each partition. An empty list after the timeout, and when a position has moved
            over records that are not for users (control batches).

        Raises:
            OffsetOutOfRange, CorruptMessage, SerializationError: a partition can't be read on; again with each call
                until it is moved by a seek, paused or unassigned.
            LogServerError: the group's coordinator refuses this consumer for good.
            ClientClosed: after `close`.
        """
        most = self._max_poll_records if max_records is None else max_records
        deadline_s = None if timeout is None else time.monotonic() + timeout
        group = self._group
        if group is not None:
            self._come_back(group)
        while True:
            self._arrived.clear()
            if group is None:
                records = self._reader.take(most)
            else:
                if group.asked:
                    self._visit()
                records = group.hand.take(most)
            if records is not None:
                return records
            if not self._wait(deadline_s):
                return []

    def batches(self) -> Iterator[list[Record[K, V]]]:
        """Yields lists of consecutive records of one partition, for ever: the fastest way to read.

        Raises:
            LogServerError: as `poll`.
        """
        while True:
            records = self._next_records()
            if records:
                yield records

    def __iter__(self) -> Iterator[Record[K, V]]:
        """Yields records for ever. Positions move with each record, and a later iteration goes on there."""
        group = self._group
        while True:
            piece = self._next_piece()
            for record in piece.rest:
                yield record
                # The user is back.
                if group is not None and group.asked:
                    break

    def close(self, *, commit: bool = True, timeout: float | None = None, leave: bool | None = None) -> None:
        """Ends the subscriptions; a `poll` in another thread raises ClientClosed.

        In a group: commits what was handed out, if that is automatic, calls `on_revoked` and leaves. What another
        thread has in hand is not committed; neither is, when a `with` block is left by an exception, what the user was
        at.

        Args:
            commit: False commits nothing by itself.
            timeout: seconds for the commits and the leaving, `request_timeout_ms` by default.
            leave: whether the partitions go to others at once, rather than after the session timeout; by default they
                do unless the consumer has a `group_instance_id`.
        """
        self._close(commit, timeout, leave, is_back=self._is_user())

    def __enter__(self) -> "Consumer[K, V]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close(True, None, None, is_back=kind is None)

    def __del__(self) -> None:
        if not self._is_closed:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=1)

    def _close(self, commit: bool, timeout_s: float | None, leave: bool | None, *, is_back: bool) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._arrived.set()
            try:
                if self._group is not None:
                    self._leave(commit=commit, is_back=is_back, timeout_s=timeout_s, leave=leave)
            finally:
                BACKGROUND.run(self._core.close())
                BACKGROUND.release(self._user)

    def _next_piece(self) -> Piece:
        group = self._group
        if group is not None:
            self._come_back(group)
        while True:
            self._arrived.clear()
            if group is None:
                piece = self._reader.next_piece()
            else:
                if group.asked:
                    self._visit()
                piece = group.hand.next_piece()
            if piece is not None:
                return piece
            self._wait(None)

    def _next_records(self) -> list[Record[K, V]]:
        group = self._group
        if group is None:
            return self._next_piece().take(ALL)
        self._come_back(group)
        while True:
            self._arrived.clear()
            if group.asked:
                self._visit()
            records = group.hand.take_piece()
            if records is not None:
                return records
            self._wait(None)

    def _wait(self, deadline_s: float | None) -> bool:
        if self._is_closed:
            raise_closed()
        left_s = None if deadline_s is None else max(deadline_s - time.monotonic(), 0)
        arrived = self._arrived.wait(left_s)
        if self._is_closed:
            raise_closed()
        return arrived

    def _offsets(self, partitions: Iterable[PartitionLike], position: Any) -> dict[TopicPartition, int]:
        found = BACKGROUND.run(self._core.list_offsets({TopicPartition(*tp): position for tp in partitions}))
        return {tp: at.offset for tp, at in found.items()}
