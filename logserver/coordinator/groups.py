"""The group coordinator: everything that doors ask about groups, over all shards."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from logserver_segments.seams import Clock, Workers

from logserver.broker import Broker
from logserver.broker.configs import ConfigKind
from logserver.broker.partition import Partition
from logserver.broker.peers import Peers
from logserver.coordinator.assignment import assignor_of
from logserver.coordinator.broker_topics import BrokerTopics
from logserver.coordinator.classic_requests import JoinAnswer, JoinGroup, MemberOfGroup, SyncAnswer, SyncGroup
from logserver.coordinator.decision import Decision
from logserver.coordinator.descriptions import (
    ClassicDescription,
    GroupDescription,
    GroupSummary,
    OffsetDescription,
    describe,
    describe_classic,
    describe_share,
    summary_of,
)
from logserver.coordinator.formats import OffsetCommitValue
from logserver.coordinator.limits import GroupLimits
from logserver.coordinator.membership import check_id
from logserver.coordinator.offsets import Place
from logserver.coordinator.requests import Commit, Heartbeat, HeartbeatAnswer, OffsetToCommit, Transaction
from logserver.coordinator.routing import CONSUMER_OFFSETS
from logserver.coordinator.shard import GroupShard
from logserver.coordinator.shard_runtime import ShardRuntime, Watcher
from logserver.coordinator.shards import Shards
from logserver.coordinator.share.coordinator import ShareGroupCoordinator
from logserver.coordinator.share.offsets import ShareOffsets
from logserver.coordinator.share.state import NothingDelivered, ShareState
from logserver.coordinator.turns import Turns
from logserver.errors import ErrorCode, LogServerError

_NO_OFFSET: Final = -1

Enlist = Callable[[Transaction, Collection[Place]], Awaitable[Mapping[Place, LogServerError | None]]]
"""Makes sure that partitions are in a transaction; returns, or raises, why they are not."""


class GroupCoordinator:
    """Groups of this node.

    The topic `__consumer_offsets` is made when the first group needs it; a number of partitions found there stays.

    Args:
        share_state: keeps what is delivered to share groups; None where nothing is.
    """

    def __init__(
        self, broker: Broker, peers: Peers, clock: Clock, workers: Workers, share_state: ShareState | None = None
    ) -> None:
        self.limits = GroupLimits.of(broker.settings, partial(broker.configs.get, ConfigKind.GROUP))
        self.topics = BrokerTopics(broker, workers)
        self._broker = broker
        self._peers = peers
        self._clock = clock
        self._workers = workers
        self._turns = Turns()
        self._shards = Shards(broker, CONSUMER_OFFSETS, self._new_runtime)
        share_state = share_state or NothingDelivered()
        self.share = ShareGroupCoordinator(self._shard, share_state)
        """Members of share groups."""
        self.share_offsets = ShareOffsets(
            self.share, self._shard, self._existing, share_state, self._peers, self.topics
        )
        """Where share groups begin, and how far they are."""

    # Start and stop

    def start(self) -> None:
        """Takes up the shards that this node leads, now and later."""
        self._shards.start()
        self._broker.when_topics_change(self._topics_changed)

    def stop(self) -> None:
        """Ends all shards; everybody who waits is answered."""
        self._shards.stop()

    def _topics_changed(self) -> None:
        for shard in self._shards:
            shard.topics_changed()

    def _new_runtime(self, partition: Partition) -> ShardRuntime:
        return ShardRuntime(partition, self._new_shard, self.topics, self._clock, self._workers, self._turns)

    def _new_shard(self) -> GroupShard:
        return GroupShard(self.limits, self.topics)

    async def loaded(self) -> None:
        """Returns when every shard has been read, or can't be."""
        await self._shards.loaded()

    # Finding shards

    async def _shard(self, group_id: str) -> ShardRuntime:
        """Returns the shard of a group that may be new, making the topic if it isn't there."""
        check_id("group id", group_id)
        settings = self._broker.settings
        found = await self._shards.get_or_make(
            group_id,
            settings.offsets_topic_num_partitions,
            {"segment.bytes": str(settings.offsets_topic_segment_bytes)},
        )
        if not found.machine.has(group_id):
            self._check_growth()
        return found

    def find_shard(self, group_id: str) -> ShardRuntime | None:
        """Returns the shard of a group; None before there was any group."""
        return self._shards.find(group_id)

    async def _existing(self, group_id: str) -> ShardRuntime:
        check_id("group id", group_id)
        return await self._shards.get(
            group_id, lambda: LogServerError(ErrorCode.group_id_not_found, f"there is no group {group_id!r}")
        )

    def _loaded_shards(self) -> Iterable[GroupShard]:
        for runtime in self._shards:
            try:
                yield runtime.machine
            except LogServerError:
                # It counts when it is here.
                continue

    def _check_growth(self) -> None:
        most = self.limits.max_groups
        shards = list(self._loaded_shards())
        if sum(shard.most_groups for shard in shards) < most:
            return
        if sum(len(shard.group_ids()) for shard in shards) >= most:
            raise LogServerError(ErrorCode.policy_violation, f"there are group.max.groups={most} groups already")

    # Members

    async def heartbeat(self, request: Heartbeat) -> HeartbeatAnswer:
        """Takes a member's heartbeat, which may join or leave; see `Membership`.

        Raises:
            LogServerError: the member can't be one (any more), or its coordinator is not here.
        """
        shard = await self._shard(request.group_id)
        if request.subscription is not None and request.subscription.pattern:
            await self.topics.prepare((request.subscription.pattern,))
        return await shard.decide(request.group_id, lambda state, now_ms: state.heartbeat(request, now_ms))

    async def join_group(self, request: JoinGroup) -> JoinAnswer:
        """Takes a JoinGroup of the classic protocol, and answers when the generation has begun.

        Raises:
            LogServerError: the member can't join, or its coordinator is not here.
        """
        shard = await self._shard(request.group_id)
        found = await shard.decide_later(request.group_id, lambda state, now_ms: state.join(request, now_ms))
        assert isinstance(found, JoinAnswer)
        return found

    async def sync_group(self, request: SyncGroup) -> SyncAnswer:
        """Takes a SyncGroup of the classic protocol, and answers when the leader's assignment is there.

        Raises:
            LogServerError: the member is not one of this generation, or its coordinator is not here.
        """
        shard = await self._shard(request.group_id)
        found = await shard.decide_later(request.group_id, lambda state, now_ms: state.sync(request, now_ms))
        assert isinstance(found, SyncAnswer)
        return found

    async def classic_heartbeat(self, request: MemberOfGroup) -> None:
        """Takes a Heartbeat of the classic protocol.

        Raises:
            LogServerError: REBALANCE_IN_PROGRESS, the member is not one of this generation, or its coordinator is not
                here.
        """
        shard = await self._shard(request.group_id)
        await shard.decide(request.group_id, lambda state, now_ms: state.classic_heartbeat(request, now_ms))

    async def leave_group(
        self, group_id: str, members: Sequence[tuple[str, str | None]]
    ) -> Sequence[LogServerError | None]:
        """Takes a LeaveGroup of the classic protocol: member ids with instance ids; the answer has one entry for each.

        Raises:
            LogServerError: UNKNOWN_MEMBER_ID if there is no such group, or its coordinator is not here.
        """
        shard = await self._shard(group_id)
        return await shard.decide(group_id, lambda state, now_ms: state.leave(group_id, members, now_ms))

    async def look_again(self, group_id: str, member_id: str) -> HeartbeatAnswer | None:
        """Takes a member's next step, if there is one that needs no word of the member.

        Raises:
            LogServerError: UNKNOWN_MEMBER_ID, or the coordinator is not here.
        """
        shard = await self._existing(group_id)
        return await shard.decide(group_id, lambda state, _: state.look_again(group_id, member_id))

    def watch(self, group_id: str, member_id: str, watcher: Watcher) -> Callable[[], None]:
        """Tells when a member should look at its assignment again; returns what ends that."""
        shard = self.find_shard(group_id)
        assert shard is not None, "a member has joined"
        shard.watch(group_id, member_id, watcher)
        return lambda: shard.unwatch(group_id, member_id, watcher)

    # Offsets

    async def commit(self, request: Commit) -> Sequence[LogServerError | None]:
        """Stores offsets; the answer has one entry for each, in order.

        Raises:
            LogServerError: who commits may not, or the coordinator is not here.
        """
        shard = await self._shard(request.group_id)
        return await shard.decide(request.group_id, lambda state, now_ms: state.commit(request, now_ms))

    async def commit_in_transaction(
        self, request: Commit, transaction: Transaction, enlist: Enlist, *, adds: bool = False
    ) -> Sequence[LogServerError | None]:
        """Stores offsets that count once a transaction is committed; the answer has one entry for each, in order.

        Args:
            enlist: makes sure that a partition is in the transaction.
            adds: whether it adds the partition, so that epochs rise with each transaction.

        Raises:
            LogServerError: who commits may not, the producer has no such transaction, or a coordinator is not here.
        """
        shard = await self._shard(request.group_id)
        partition = shard.partition
        verification = partition.verify(transaction.producer_id, transaction.producer_epoch)
        if verification is not None:
            place = (partition.topic, partition.number)
            refusal = (await enlist(transaction, (place,)))[place]
            if refusal is not None:
                raise refusal
            if adds and partition.verify(*transaction[1:]) is not verification:
                # Meanwhile the marker of the transaction before came, which makes worthless what was confirmed. This
                # one is open by now, as its epoch says: there is no other marker to come before its own.
                verification = partition.verify(*transaction[1:])
                refusal = (await enlist(transaction, (place,)))[place]
                if refusal is not None:
                    raise refusal
        return await shard.decide_in_transaction(
            request.group_id,
            transaction,
            verification,
            lambda state, now_ms: state.commit_in_transaction(request, now_ms),
        )

    async def place_of(self, group_id: str) -> Place:
        """Returns the partition that keeps a group's offsets, making its topic if it isn't there.

        Raises:
            LogServerError: INVALID_GROUP_ID, or the coordinator is not here.
        """
        partition = (await self._shard(group_id)).partition
        return partition.topic, partition.number

    async def pending(self, group_id: str) -> set[Place]:
        """Returns the places of which an open transaction has an offset.

        Raises:
            LogServerError: the coordinator is not here.
        """
        shard = self.find_shard(group_id)
        if shard is None:
            return set()
        await shard.loaded()
        return await shard.look(lambda state: {(key.topic, key.partition) for key in state.pending.of(group_id)})

    async def committed(
        self, group_id: str, places: Sequence[Place] | None = None, member: tuple[str, int] | None = None
    ) -> dict[Place, OffsetCommitValue]:
        """Returns committed offsets, of some places or all; those without one are missing.

        Args:
            member: id and epoch of the member that asks.

        Raises:
            LogServerError: UNKNOWN_MEMBER_ID, STALE_MEMBER_EPOCH, or the coordinator is not here.
        """
        check_id("group id", group_id)
        shard = self.find_shard(group_id)
        if shard is None:
            return {}
        await shard.loaded()

        def look(state: GroupShard) -> dict[Place, OffsetCommitValue]:
            offsets = state.committed(group_id, member)
            if places is None:
                return dict(offsets)
            return {place: offsets[place] for place in places if place in offsets}

        return await shard.look(look)

    async def delete_offsets(self, group_id: str, places: Collection[Place]) -> Sequence[LogServerError | None]:
        """Forgets offsets; the answer has one entry for each, in order.

        Raises:
            LogServerError: GROUP_ID_NOT_FOUND, or the coordinator is not here.
        """
        shard = await self._existing(group_id)
        return await shard.decide(group_id, lambda state, _: state.delete_offsets(group_id, places))

    async def overwrite_offsets(
        self, group_id: str, offsets: Sequence[OffsetToCommit]
    ) -> Sequence[LogServerError | None]:
        """Stores offsets for a group without members; the answer has one entry for each, in order.

        Raises:
            LogServerError: NON_EMPTY_GROUP, or the coordinator is not here.
        """
        shard = await self._shard(group_id)

        def decide(state: GroupShard, now_ms: int) -> Decision[Sequence[LogServerError | None]]:
            state.check_empty(group_id, now_ms, "its offsets can't be moved")
            return state.commit(Commit(group_id, "", _NO_OFFSET, offsets), now_ms)

        return await shard.decide(group_id, decide)

    async def check_empty(self, group_id: str) -> None:
        """Checks that a group has no members; fine if there is no such group.

        Raises:
            LogServerError: NON_EMPTY_GROUP, naming members and what is left of their sessions.
        """
        check_id("group id", group_id)
        shard = self.find_shard(group_id)
        if shard is not None:
            await shard.loaded()
            now_ms = self._clock.now_ms()
            await shard.look(lambda state: state.check_empty(group_id, now_ms, "its offsets can't be moved"))

    # Groups

    async def exists(self, group_id: str) -> bool:
        """Whether there is a group.

        Raises:
            LogServerError: the coordinator is not here.
        """
        shard = self.find_shard(group_id)
        if shard is None:
            return False
        await shard.loaded()
        return await shard.look(lambda state: state.has(group_id))

    async def list_groups(self) -> list[GroupSummary]:
        """Returns all groups, by id; as in Kafka without those of shards that are not here or can't be read, which the
        server's log tells."""
        found: list[GroupSummary] = []
        for shard in self._shards:
            await shard.loaded()
            try:
                found += await shard.look(lambda state: [summary_of(state, group_id) for group_id in state.group_ids()])
            except LogServerError as error:
                if error.code not in (ErrorCode.not_coordinator, ErrorCode.coordinator_not_available):
                    raise
        return sorted(found)

    async def describe(self, group_id: str) -> GroupDescription:
        """Returns a group with its members and committed offsets.

        Raises:
            LogServerError: GROUP_ID_NOT_FOUND, or the coordinator is not here.
        """
        shard = await self._existing(group_id)

        def look(state: GroupShard) -> GroupDescription:
            if group_id in state.share.groups:
                return describe_share(state, group_id, self.topics, self._clock.now_ms())
            group = state.existing(group_id)
            assignor = assignor_of(group, self.limits.assignors) if group is not None else ""
            return describe(state, group_id, assignor, self.topics, self._clock.now_ms())

        return await shard.look(look)

    async def describe_classic(self, group_id: str) -> ClassicDescription:
        """Returns a group of the classic protocol.

        Raises:
            LogServerError: GROUP_ID_NOT_FOUND, also for a consumer group; or the coordinator is not here.
        """
        shard = await self._existing(group_id)
        return await shard.look(lambda state: describe_classic(state, group_id))

    async def positions(self, group: GroupDescription) -> AsyncIterator[OffsetDescription]:
        """Yields where a group stands in each partition that it owns or has an offset of, by topic and partition."""
        for place in sorted({*group.committed, *group.owners}):
            committed, owner = group.committed.get(place), group.owners.get(place, "")
            try:
                ends = await self._peers.offsets(*place)
            except LogServerError as error:
                yield OffsetDescription(place, committed, -1, -1, owner, error)
            else:
                yield OffsetDescription(place, committed, ends.log_start_offset, ends.high_watermark, owner)

    async def delete_group(self, group_id: str) -> None:
        """Forgets a group without members, and its offsets.

        Raises:
            LogServerError: GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP, or the coordinator is not here.
        """
        shard = await self._existing(group_id)
        if group_id in shard.machine.share.groups:
            await self.share.delete(shard, group_id)
            return
        await shard.decide(group_id, lambda state, now_ms: state.delete_group(group_id, now_ms))
