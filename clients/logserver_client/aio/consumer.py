"""The asyncio consumer."""

import asyncio
import warnings
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Generic, TypeVar, Unpack, overload

from logserverpb.v1 import common_pb2

from logserver_client._consume.config import GroupConsumerSettings, consumer_config
from logserver_client._consume.core import EARLIEST, LATEST, Assignment, ConsumerCore, raise_closed
from logserver_client._consume.reader import ALL, Piece
from logserver_client._group.aio import GroupConsumer
from logserver_client._positions import position_message, time_position
from logserver_client._transport.options import DEFAULT_ADDRESS
from logserver_client.types import OffsetAndTimestamp, PartitionLike, Position, Record, Timestamp, TopicPartition

K = TypeVar("K")
V = TypeVar("V")


class Consumer(GroupConsumer, Generic[K, V]):
    """Reads partitions from any position, in the order of each.

        async with Consumer("127.0.0.1:50051") as consumer:
            await consumer.assign("flights", at="earliest")
            async for record in consumer:
                print(record.partition, record.offset, record.value)

    Arguments, guarantees and errors are those of the synchronous `logserver_client.Consumer`. It belongs to one task at
    a time; only `close` may be called from another. In a group, work that keeps the event loop busy for longer than the
    group's session timeout keeps heartbeats back, too: do it in a thread.
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
        config = consumer_config(address, key_deserializer, value_deserializer, **settings)
        self._max_poll_records = config.max_poll_records
        self._arrived = asyncio.Event()
        self._core = ConsumerCore(config, self._arrived.set)
        self._reader = self._core.reader
        self._group = self._core.group
        self._is_closing = False

    # What to read.

    async def assign(self, partitions: Assignment, *, at: Position | None = None) -> None:
        """Reads these partitions, and no others, from a position on; see the synchronous `assign`."""
        await self._core.assign(partitions, at)

    async def unassign(self) -> None:
        """Reads nothing any more."""
        await self._core.unassign()

    def assignment(self) -> set[TopicPartition]:
        """Returns the assigned partitions."""
        return self._core.assignment()

    async def pause(self, *partitions: PartitionLike) -> None:
        """Gets nothing of these assigned partitions until `resume`; the position stays."""
        await self._core.pause(partitions)

    async def resume(self, *partitions: PartitionLike) -> None:
        """Goes on with paused partitions."""
        await self._core.resume(partitions)

    def paused(self) -> set[TopicPartition]:
        """Returns the assigned partitions that are paused."""
        return self._core.paused()

    # Where.

    async def position(self, partition: PartitionLike) -> int:
        """Returns the offset of the next record of an assigned partition: one behind the last that was handed out."""
        return await self._core.position(partition)

    async def seek(self, partition: PartitionLike, position: Position) -> None:
        """Moves an assigned partition to a position (inclusive)."""
        await self._core.seek([partition], position_message(position))

    async def seek_to_beginning(self, *partitions: PartitionLike) -> None:
        """Moves assigned partitions, all without any named, to their log start offsets."""
        await self._core.seek(partitions or self.assignment(), EARLIEST)

    async def seek_to_end(self, *partitions: PartitionLike) -> None:
        """Moves assigned partitions, all without any named, to their high watermarks."""
        await self._core.seek(partitions or self.assignment(), LATEST)

    async def seek_to_timestamp(self, partition: PartitionLike, time: Timestamp | datetime | int) -> None:
        """Moves an assigned partition to the first record at or after a time, the end of the log if there is none.

        Args:
            time: an aware datetime, or milliseconds since the Unix epoch.
        """
        await self._core.seek([partition], time_position(time))

    # What there is.

    async def partitions_for(self, topic: str) -> list[TopicPartition]:
        """Returns the partitions of a topic.

        Raises:
            UnknownTopicOrPartition: there is no such topic.
        """
        return await self._core.partitions_for(topic)

    async def beginning_offsets(self, partitions: Iterable[PartitionLike]) -> dict[TopicPartition, int]:
        """Returns log start offsets; the partitions need not be assigned."""
        return await self._offsets(partitions, EARLIEST)

    async def end_offsets(self, partitions: Iterable[PartitionLike]) -> dict[TopicPartition, int]:
        """Returns high watermarks: the offset behind the last record that can be read."""
        return await self._offsets(partitions, LATEST)

    async def offsets_for_times(
        self, times: Mapping[PartitionLike, Timestamp | datetime | int]
    ) -> dict[TopicPartition, OffsetAndTimestamp | None]:
        """Returns the first record at or after each time, None where there is none."""
        wanted = {TopicPartition(*tp): time_position(time) for tp, time in times.items()}
        found = await self._core.list_offsets(wanted)
        return {tp: None if found[tp].offset < 0 else found[tp] for tp in wanted}

    # Reading.

    async def poll(self, timeout: float | None = None, max_records: int | None = None) -> list[Record[K, V]]:  # noqa: ASYNC109
        """Returns records that have come, waiting for the first; see the synchronous `poll`."""
        most = self._max_poll_records if max_records is None else max_records
        deadline_s = None if timeout is None else asyncio.get_running_loop().time() + timeout
        group = self._group
        if group is not None:
            self._come_back(group)
        while True:
            self._arrived.clear()
            if group is None:
                records = self._reader.take(most)
            else:
                if group.asked:
                    await self._visit(group)
                records = group.hand.take(most)
            if records is not None:
                return records
            try:
                async with asyncio.timeout_at(deadline_s):
                    await self._wait()
            except TimeoutError:
                return []

    async def batches(self) -> AsyncIterator[list[Record[K, V]]]:
        """Yields lists of consecutive records of one partition, for ever: the fastest way to read.

        Raises:
            LogServerError: as `poll`.
        """
        while True:
            records = await self._next_records()
            if records:
                yield records

    async def __aiter__(self) -> AsyncIterator[Record[K, V]]:
        """Yields records for ever. Positions move with each record, and a later iteration goes on there."""
        group = self._group
        while True:
            for record in (await self._next_piece()).rest:
                yield record
                # The user is back.
                if group is not None and group.asked:
                    break

    async def close(
        self,
        *,
        commit: bool = True,
        timeout: float | None = None,  # noqa: ASYNC109
        leave: bool | None = None,
    ) -> None:
        """Ends the subscriptions; a `poll` in another task raises ClientClosed. See the synchronous `close`."""
        await self._close(commit, timeout, leave, is_back=self._is_user())

    async def __aenter__(self) -> "Consumer[K, V]":
        await self._core.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._close(True, None, None, is_back=kind is None)

    def __del__(self) -> None:
        core = getattr(self, "_core", None)
        if core is not None and core.is_open:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=1)

    async def _close(self, commit: bool, timeout_s: float | None, leave: bool | None, *, is_back: bool) -> None:
        try:
            if not self._is_closing:
                self._is_closing = True
                self._arrived.set()
                await self._leave(commit=commit, is_back=is_back, timeout_s=timeout_s, leave=leave)
        finally:
            await self._core.close()

    async def _next_piece(self) -> Piece:
        group = self._group
        if group is not None:
            self._come_back(group)
        while True:
            self._arrived.clear()
            if group is None:
                piece = self._reader.next_piece()
            else:
                if group.asked:
                    await self._visit(group)
                piece = group.hand.next_piece()
            if piece is not None:
                return piece
            await self._wait()

    async def _next_records(self) -> list[Record[K, V]]:
        group = self._group
        if group is None:
            return (await self._next_piece()).take(ALL)
        self._come_back(group)
        while True:
            self._arrived.clear()
            if group.asked:
                await self._visit(group)
            records = group.hand.take_piece()
            if records is not None:
                return records
            await self._wait()

    async def _wait(self) -> None:
        if not self._is_closing:
            await self._arrived.wait()
        if self._is_closing:
            raise_closed()

    async def _offsets(
        self, partitions: Iterable[PartitionLike], position: common_pb2.Position
    ) -> dict[TopicPartition, int]:
        found = await self._core.list_offsets({TopicPartition(*tp): position for tp in partitions})
        return {tp: at.offset for tp, at in found.items()}
