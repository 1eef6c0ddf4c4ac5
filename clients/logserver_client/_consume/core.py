"""A consumer without its face: what the synchronous and the asyncio class have in common."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import NoReturn

from logserverpb.v1 import common_pb2

from logserver_client._consume.config import ISOLATION_LEVELS, ConsumerConfig
from logserver_client._consume.fetcher import Fetcher
from logserver_client._consume.partition import PartitionState
from logserver_client._consume.reader import RecordReader
from logserver_client._group.group import Group
from logserver_client._group.subscription import Call, Listener
from logserver_client._positions import position_message
from logserver_client._transport.cluster import Cluster
from logserver_client._transport.offsets import list_offsets
from logserver_client.errors import client_closed, no_offset
from logserver_client.types import (
    OffsetAndMetadata,
    OffsetAndTimestamp,
    PartitionLike,
    Position,
    Subscription,
    TopicPartition,
)

Assignment = str | TopicPartition | Iterable[str | PartitionLike] | Mapping[PartitionLike, Position]
"""What to read: topics (all of their partitions), partitions, or partitions with a position each."""

EARLIEST = common_pb2.Position(earliest=common_pb2.Earliest())
LATEST = common_pb2.Position(latest=common_pb2.Latest())


class ConsumerCore:
    """Fetcher and reader of one consumer, and its part in a group.

    Args:
        wake: called, on the event loop, when something has come or the consumer has been closed.
    """

    def __init__(self, config: ConsumerConfig, wake: Callable[[], None]) -> None:
        self.config = config
        self.is_closed = False
        self.reader = RecordReader(config, self._return_credit, self._finished, wake)
        self.group = (
            None if config.group is None else Group(config, config.group, self.reader, wake, Random(), time.monotonic)
        )
        self._wake = wake
        self._loop: asyncio.AbstractEventLoop | None = None
        self._cluster: Cluster | None = None
        self._fetcher: Fetcher | None = None

    @property
    def is_open(self) -> bool:
        """True from `start` to `close`."""
        return self._cluster is not None

    # The user's thread, or the event loop while it waits.

    def assignment(self) -> set[TopicPartition]:
        return set(self._fetcher.states) if self._fetcher is not None else set()

    def paused(self) -> set[TopicPartition]:
        states = list(self._fetcher.states.values()) if self._fetcher is not None else []
        return {state.tp for state in states if state.is_paused}

    def state(self, tp: PartitionLike) -> PartitionState:
        """Returns the state of an assigned partition.

        Raises:
            ValueError: it isn't assigned.
        """
        named = TopicPartition(*tp)
        state = self._fetcher.states.get(named) if self._fetcher is not None else None
        if state is None:
            raise ValueError(f"{named} is not assigned to this consumer")
        return state

    # The event loop.

    async def start(self) -> None:
        """Binds the consumer to the running event loop."""
        self._started()

    async def partitions_for(self, topic: str) -> list[TopicPartition]:
        cluster, _ = self._started()
        leaders = await cluster.topic(topic, fresh=True)
        return [TopicPartition(topic, partition) for partition in range(leaders.partitions)]

    async def assign(
        self,
        partitions: Assignment,
        at: Position | None,
        ends: Mapping[TopicPartition, int] | None = None,
    ) -> None:
        """Reads these partitions and no others from here on.

        Args:
            at: where to start those without a position of their own; None: where the group has committed, or at the
                beginning.
        """
        _, fetcher = self._started()
        group = self.group
        if group is not None and group.is_subscribed:
            raise RuntimeError("subscribe() and assign() exclude each other: unsubscribe() first")
        positions = await self._positions(partitions, "earliest" if at is None else at)
        committed: dict[TopicPartition, OffsetAndMetadata | None] = {}
        if group is not None:
            if at is None and not isinstance(partitions, Mapping):
                committed = await group.committed(positions)
                positions = self._committed_positions(group, committed)
            group.leave_by_hand()
        for state in list(fetcher.states.values()):
            fetcher.unassign(state)
        await fetcher.assign(
            PartitionState(tp, position_message(position), None if ends is None else ends[tp])
            for tp, position in positions.items()
        )
        if group is not None:
            group.assigned_by_hand(committed)

    async def unassign(self) -> None:
        _, fetcher = self._started()
        if self.group is not None:
            if self.group.is_subscribed:
                raise RuntimeError("the group assigns the partitions: unsubscribe() instead")
            self.group.leave_by_hand()
        for state in list(fetcher.states.values()):
            fetcher.unassign(state)

    async def seek(self, partitions: Iterable[PartitionLike], wanted: common_pb2.Position) -> None:
        """Moves assigned partitions; returns when the server has said where a position other than an offset is."""
        _, fetcher = self._started()
        states = [self.state(tp) for tp in partitions]
        for state in states:
            fetcher.seek(state, wanted)
        # What is being given up is not read any more.
        states = [state for state in states if not state.is_finished]
        if wanted.WhichOneof("at") != "offset":
            await fetcher.placed(states)

    async def position(self, tp: PartitionLike) -> int:
        """Returns the offset behind what was handed out, waiting until it is known."""
        _, fetcher = self._started()
        state = self.state(tp)
        position = self.reader.position(state)
        if position is None:
            await fetcher.placed([state])
            position = self.reader.position(state)
        assert position is not None
        return position

    async def pause(self, partitions: Iterable[PartitionLike]) -> None:
        _, fetcher = self._started()
        for state in [self.state(tp) for tp in partitions]:
            fetcher.pause(state)

    async def resume(self, partitions: Iterable[PartitionLike]) -> None:
        _, fetcher = self._started()
        for state in [self.state(tp) for tp in partitions]:
            fetcher.resume(state)

    async def list_offsets(
        self, positions: Mapping[TopicPartition, common_pb2.Position]
    ) -> dict[TopicPartition, OffsetAndTimestamp]:
        cluster, _ = self._started()
        return await list_offsets(
            cluster,
            positions,
            timeout_s=self.config.request_timeout_s,
            isolation_level=ISOLATION_LEVELS[self.config.isolation_level],
        )

    async def close(self) -> None:
        """Ends the subscriptions and closes the channels."""
        self.is_closed = True
        cluster, fetcher = self._cluster, self._fetcher
        self._cluster = self._fetcher = None
        self._wake()
        if cluster is not None and fetcher is not None:
            if self.group is not None:
                await self.group.close()
            await fetcher.close()
            await cluster.close()

    # The group; all but `grouped` on the event loop.

    def grouped(self) -> Group:
        """Returns the consumer's part in its group.

        Raises:
            ValueError: it has none.
        """
        if self.group is None:
            raise ValueError("this needs a group: Consumer(..., group_id=...)")
        return self.group

    async def subscribe(self, subscription: Subscription, listener: Listener) -> None:
        """Becomes a member of the group."""
        self._started()
        self.grouped().subscribe(subscription, listener)

    async def visit(self, ended: Call | None = None) -> Call | None:
        """As `Group.visit`, for a thread that waits."""
        return self.grouped().visit(ended)

    async def ended(self, call: Call) -> None:
        """As `Group.ended`, for a thread that waits."""
        self.grouped().ended(call)

    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata] | None) -> None:
        """As `Group.commit`."""
        self._started()
        await self.grouped().commit(offsets)

    async def committed(self, partitions: Iterable[PartitionLike]) -> dict[TopicPartition, OffsetAndMetadata | None]:
        """As `Group.committed`."""
        self._started()
        return await self.grouped().committed(TopicPartition(*tp) for tp in partitions)

    async def begin_leave(self, *, commit: bool, is_back: bool) -> None:
        """As `Group.begin_leave`, for a thread that waits."""
        if self.is_open:
            await self.grouped().begin_leave(commit=commit, is_back=is_back)

    async def finish_leave(self, timeout_s: float | None, leave: bool | None) -> None:
        """As `Group.finish_leave`."""
        if self.is_open:
            await self.grouped().finish_leave(timeout_s, leave=leave)

    def _committed_positions(
        self, group: Group, committed: Mapping[TopicPartition, OffsetAndMetadata | None]
    ) -> dict[TopicPartition, Position]:
        reset = self.config.auto_offset_reset
        starts: dict[TopicPartition, Position] = {}
        for tp, stored in committed.items():
            if stored is None and reset == "error":
                raise no_offset(tp, group.metadata().group_id)
            starts[tp] = stored.offset if stored is not None else "latest" if reset == "latest" else "earliest"
        return starts

    async def _positions(self, partitions: Assignment, at: Position) -> dict[TopicPartition, Position]:
        if isinstance(partitions, Mapping):
            return {TopicPartition(*tp): position for tp, position in partitions.items()}
        if isinstance(partitions, str | TopicPartition):
            partitions = [partitions]
        positions: dict[TopicPartition, Position] = {}
        for item in partitions:
            if isinstance(item, str):
                positions.update((tp, at) for tp in await self.partitions_for(item))
            else:
                topic, partition = item
                positions[TopicPartition(topic, partition)] = at
        return positions

    def _started(self) -> tuple[Cluster, Fetcher]:
        if self.is_closed:
            raise_closed()
        if self._cluster is None or self._fetcher is None:
            self._loop = asyncio.get_running_loop()
            self._cluster = Cluster(self.config.address, request_timeout_s=self.config.request_timeout_s)
            self._fetcher = Fetcher(self.config, self._cluster, self.reader, Random(), time.monotonic)
            if self.group is not None:
                self.group.start(self._cluster, self._fetcher)
        return self._cluster, self._fetcher

    def _return_credit(self, node_id: int, size_bytes: int) -> None:
        if self._loop is not None and self._fetcher is not None:
            self._loop.call_soon_threadsafe(self._fetcher.return_credit, node_id, size_bytes)

    def _finished(self, state: PartitionState) -> None:
        if self._loop is not None and self._fetcher is not None:
            self._loop.call_soon_threadsafe(self._fetcher.finished, state)


def raise_closed() -> NoReturn:
    raise client_closed("the consumer is closed")
