"""The groups of one partition of `__consumer_offsets`: their whole state, and every decision on it.

Pure: time comes with each call, nothing is sent or stored here. Whoever runs it writes what a decision holds to the
log, applies it by `apply` and `follow_up`, and gives the answer once the log has committed it.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from logserver.coordinator.assignment import AssignmentTask
from logserver.coordinator.assignors import Assignment
from logserver.coordinator.classic_group import ClassicGroup
from logserver.coordinator.classic_groups import TIMERS, ClassicGroups
from logserver.coordinator.classic_members import SESSION as CONSUMER_SESSION
from logserver.coordinator.classic_rebalance import SESSION
from logserver.coordinator.classic_refusals import check_committer as check_classic_committer
from logserver.coordinator.classic_requests import (
    JoinAnswer,
    JoinGroup,
    Later,
    MemberOfGroup,
    SyncAnswer,
    SyncGroup,
)
from logserver.coordinator.consumer_group import ConsumerGroup
from logserver.coordinator.consumer_groups import ConsumerGroups
from logserver.coordinator.consumer_protocol import CONSUMER
from logserver.coordinator.decision import Decision, Entry, Wake
from logserver.coordinator.formats import (
    ConsumerGroupPartitionMetadataKey,
    CorruptCoordinatorRecord,
    GroupMetadataKey,
    GroupMetadataValue,
    Key,
    OffsetCommitKey,
    OffsetCommitValue,
    ShareGroupMemberMetadataKey,
    ShareKey,
    ShareValue,
    Value,
)
from logserver.coordinator.limits import GroupLimits
from logserver.coordinator.membership import check_id
from logserver.coordinator.offsets import (
    Commits,
    CommittedOffsets,
    MayCommit,
    Place,
    anybody,
    check_committer,
    check_reader,
)
from logserver.coordinator.pending_offsets import PendingOffsets
from logserver.coordinator.requests import Commit, Heartbeat, HeartbeatAnswer, OffsetToCommit
from logserver.coordinator.retention import forgotten, keeping_of
from logserver.coordinator.share.group import ShareGroup
from logserver.coordinator.share.groups import SESSION as SHARE_SESSION
from logserver.coordinator.share.groups import ShareGroups
from logserver.coordinator.share.requests import ShareHeartbeat, ShareHeartbeatAnswer
from logserver.coordinator.share.topics import ShareTopicState
from logserver.coordinator.standing_commit import StandingCommit
from logserver.coordinator.timers import Timers
from logserver.coordinator.topics_view import TopicsView
from logserver.coordinator.transactional_commits import commit_in_transaction
from logserver.errors import ErrorCode, LogServerError

_RETENTION: Final = "retention"
_TOPICS: Final = "topics"
_AGAIN_MS: Final = 1_000


class GroupShard:
    """State and decisions of the groups of one partition."""

    def __init__(self, limits: GroupLimits, topics: TopicsView) -> None:
        self.offsets = CommittedOffsets()
        self.pending = PendingOffsets()
        self.timers = Timers()
        self._limits = limits
        self._topics = topics
        self._commits = Commits(limits, topics)
        self._consumer = ConsumerGroups(limits, topics, self.timers, _AGAIN_MS)
        self._classic = ClassicGroups(limits, self.timers)
        self.share = ShareGroups(limits.share, topics, self.timers, _AGAIN_MS)
        self.groups: Mapping[str, ConsumerGroup] = self._consumer.groups
        self.classic: Mapping[str, ClassicGroup] = self._classic.groups

    # Looking

    @property
    def most_groups(self) -> int:
        """How many groups there are at most: known without counting those that have both members and offsets once."""
        return len(self.groups) + len(self.offsets.groups()) + len(self.classic) + len(self.share.groups)

    def group_ids(self) -> set[str]:
        """Returns the ids of all groups."""
        return {*self.groups, *self.offsets.groups(), *self.classic, *self.pending.groups(), *self.share.groups}

    def has(self, group_id: str) -> bool:
        """Whether there is a group."""
        return (
            group_id in self.groups
            or bool(self.offsets.of(group_id))
            or group_id in self.classic
            or group_id in self.share.groups
            or any(self.pending.of(group_id))
        )

    def existing(self, group_id: str) -> ConsumerGroup | None:
        """Returns a consumer group; None for one of another type.

        Raises:
            LogServerError: GROUP_ID_NOT_FOUND.
        """
        if not self.has(group_id):
            raise LogServerError(ErrorCode.group_id_not_found, f"there is no group {group_id[:100]!r}")
        return self.groups.get(group_id)

    # Members

    def heartbeat(self, request: Heartbeat, now_ms: int) -> Decision[HeartbeatAnswer]:
        """Decides on a member's heartbeat.

        Raises:
            LogServerError: as `ConsumerGroups.heartbeat`; GROUP_ID_NOT_FOUND for a share group.
        """
        self._check_consumers(request.group_id)
        return self._consumer.heartbeat(request, self.classic.get(request.group_id), now_ms)

    def _check_consumers(self, group_id: str) -> None:
        """Checks that a group is not a share group, which has neither consumers nor offsets."""
        if group_id in self.share.groups:
            raise LogServerError(
                ErrorCode.group_id_not_found, f"the group {group_id[:100]!r} is a share group, not one of consumers"
            )

    def share_heartbeat(self, request: ShareHeartbeat, now_ms: int) -> Decision[ShareHeartbeatAnswer]:
        """Decides on a heartbeat of a member of a share group.

        Raises:
            LogServerError: as `ShareGroups.heartbeat`.
        """
        self._check_share(request.group_id)
        return self.share.heartbeat(request, now_ms)

    def _check_share(self, group_id: str) -> None:
        """Checks that a group is a share group, or is not there."""
        if group_id not in self.share.groups and self.has(group_id):
            raise LogServerError(
                ErrorCode.group_id_not_found,
                f"the group {group_id[:100]!r} is {self._kind_of(group_id)}, not a share group",
            )

    def look_again(self, group_id: str, member_id: str) -> Decision[HeartbeatAnswer | None]:
        """Takes a member's next step, if there is one that needs no word of the member; does not count as a heartbeat.

        Raises:
            LogServerError: UNKNOWN_MEMBER_ID.
        """
        return self._consumer.look_again(group_id, member_id)

    def session_left_ms(self, group_id: str, member_id: str, now_ms: int) -> int:
        """Returns how long a member may still be silent."""
        name = CONSUMER_SESSION
        if group_id in self.classic:
            name = SESSION
        elif group_id in self.share.groups:
            name = SHARE_SESSION
        deadline = self.timers.deadline((name, group_id, member_id))
        return max(deadline - now_ms, 0) if deadline is not None else 0

    # Members of the classic protocol

    def join(self, request: JoinGroup, now_ms: int) -> Decision[JoinAnswer | Later]:
        """Decides on a JoinGroup. A consumer group without members becomes a classic one, and keeps its offsets.

        Raises:
            LogServerError: the member can't join.
        """
        check_id("group id", request.group_id)
        if request.group_id in self.share.groups:
            raise LogServerError(
                ErrorCode.inconsistent_group_protocol,
                f"the group {request.group_id[:100]!r} is a share group; its members are share consumers",
            )
        group = self._consumer.with_members(request.group_id)
        if group is not None:
            return self._consumer.join(group, request, now_ms)
        former = self.groups.get(request.group_id)
        decision = self._classic.join(request, now_ms)
        return decision if former is None else replace(decision, entries=(*former.removal(), *decision.entries))

    def sync(self, request: SyncGroup, now_ms: int) -> Decision[SyncAnswer | Later]:
        """Decides on a SyncGroup; see `ClassicGroups.sync` and `ClassicMembers.sync`."""
        group = self._consumer.with_members(request.group_id)
        if group is not None:
            return self._consumer.sync(group, request, now_ms)
        return self._classic.sync(request, now_ms)

    def classic_heartbeat(self, request: MemberOfGroup, now_ms: int) -> Decision[None]:
        """Decides on a Heartbeat of the classic protocol; see `ClassicGroups.heartbeat`, `ClassicMembers.heartbeat`."""
        group = self._consumer.with_members(request.group_id)
        if group is not None:
            return self._consumer.classic_heartbeat(group, request, now_ms)
        return self._classic.heartbeat(request, now_ms)

    def leave(
        self, group_id: str, members: Sequence[tuple[str, str | None]], now_ms: int
    ) -> Decision[list[LogServerError | None]]:
        """Decides on a LeaveGroup, by which members of either protocol can be removed; see `ClassicGroups.leave`."""
        group = self.groups.get(group_id)
        if group is not None and group_id not in self.classic:
            return self._consumer.remove(group, members, now_ms)
        return self._classic.leave(group_id, members, now_ms)

    # Offsets

    def commit(self, request: Commit, now_ms: int) -> Decision[Sequence[LogServerError | None]]:
        """Decides on a commit.

        Raises:
            LogServerError: as `Commits.commit`; INVALID_GROUP_ID; GROUP_ID_NOT_FOUND for a share group.
        """
        check_id("group id", request.group_id)
        return self._commits.commit(self._check_committer(request, now_ms), request, now_ms)

    def commit_one(self, commit: StandingCommit, offset: int, leader_epoch: int, now_ms: int) -> OffsetCommitValue:
        """Decides on the commit of one offset, without metadata, of a group that has some; returns what to write.

        Raises:
            LogServerError: as `commit`, also for what is wrong with the offset; GROUP_ID_NOT_FOUND for a group that has
                no offsets yet.
        """
        group_id, topic, partition = commit.key
        if not self.offsets.of(group_id):
            raise LogServerError(ErrorCode.group_id_not_found, f"the group {group_id[:100]!r} has no offsets yet")
        may_commit = self._check_committer(commit.committer, now_ms)
        return self._commits.commit_one(OffsetToCommit(topic, partition, offset, leader_epoch), may_commit, now_ms)

    def _check_committer(self, request: Commit, now_ms: int) -> MayCommit:
        """Checks who commits, and takes it for a sign of life; returns what checks a partition.

        Raises:
            LogServerError: as `commit`.
        """
        self._check_consumers(request.group_id)
        classic = self.classic.get(request.group_id)
        if classic is None:
            return check_committer(self.groups.get(request.group_id), request)
        member = MemberOfGroup(request.group_id, request.member_epoch, request.member_id, request.instance_id)
        check_classic_committer(classic, member)
        if request.member_id in classic.members:
            self._classic.is_alive(classic, request.member_id, now_ms)
        return anybody

    def commit_in_transaction(self, request: Commit, now_ms: int) -> Decision[Sequence[LogServerError | None]]:
        """Decides on a commit that counts once its transaction is committed; see `commit_in_transaction`."""
        check_id("group id", request.group_id)
        self._check_consumers(request.group_id)
        group, classic = self.groups.get(request.group_id), self.classic.get(request.group_id)
        return commit_in_transaction(self._commits, group, classic, request, now_ms)

    def committed(self, group_id: str, member: tuple[str, int] | None = None) -> Mapping[Place, OffsetCommitValue]:
        """Returns the offsets of a group; empty if there is no such group.

        Args:
            member: id and epoch of the member that asks, which are checked.

        Raises:
            LogServerError: UNKNOWN_MEMBER_ID, STALE_MEMBER_EPOCH.
        """
        if member is not None and group_id not in self.classic:
            check_reader(self.groups.get(group_id), group_id, *member)
        return self.offsets.of(group_id)

    def delete_offsets(self, group_id: str, places: Collection[Place]) -> Decision[Sequence[LogServerError | None]]:
        """Decides on forgetting offsets; the answer has one entry for each place, in order.

        Raises:
            LogServerError: GROUP_ID_NOT_FOUND; NON_EMPTY_GROUP where members are not consumers.
        """
        self._check_consumers(group_id)
        group: ConsumerGroup | ClassicGroup | None = self.existing(group_id) or self.classic.get(group_id)
        if isinstance(group, ClassicGroup) and not group.is_empty and group.protocol_type != CONSUMER:
            raise LogServerError(
                ErrorCode.non_empty_group,
                f"the group {group_id[:100]!r} has members of the type {group.protocol_type!r}, and what those read is "
                "not known; stop them first",
            )
        is_subscribed = group.subscription() if isinstance(group, ClassicGroup) else _subscription(group)
        offsets = self.offsets.of(group_id)
        answers: list[LogServerError | None] = []
        gone: dict[Place, None] = {}
        for place in places:
            if is_subscribed(place[0]):
                answers.append(
                    LogServerError(
                        ErrorCode.group_subscribed_to_topic,
                        f"members of the group {group_id[:100]!r} are subscribed to the topic {place[0]!r}",
                    )
                )
                continue
            answers.append(None)
            if place in offsets or self.pending.is_pending(OffsetCommitKey(group_id, *place)):
                gone[place] = None
        return Decision(answers, list(self.offsets.removal(group_id, gone)), group_id)

    def delete_group(self, group_id: str, now_ms: int) -> Decision[None]:
        """Decides on forgetting a group and its offsets.

        Raises:
            LogServerError: GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP.
        """
        self.existing(group_id)
        self.check_empty(group_id, now_ms, "it can't be deleted")
        pending = ((key.topic, key.partition) for key in self.pending.of(group_id))
        places = dict.fromkeys((*self.offsets.of(group_id), *pending))
        entries = [*self.offsets.removal(group_id, places), *self._removal(group_id)]
        return Decision(None, entries, group_id)

    def begin_share_deletion(self, group_id: str, now_ms: int) -> Decision[Mapping[str, frozenset[int]]]:
        """Decides on taking back what was delivered to a share group; see `ShareGroups.begin_deletion`.

        Raises:
            LogServerError: GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP.
        """
        self.check_empty(group_id, now_ms, "it can't be deleted")
        return self.share.begin_deletion(group_id)

    def begin_share_offsets(self, group_id: str, topics: Mapping[str, ShareTopicState], now_ms: int) -> Decision[int]:
        """Decides on setting where a share group begins; see `ShareGroups.begin_offsets`.

        Raises:
            LogServerError: GROUP_ID_NOT_FOUND for a group of another type, NON_EMPTY_GROUP.
        """
        self._check_share(group_id)
        self.check_empty(group_id, now_ms, "its offsets can't be moved")
        return self.share.begin_offsets(group_id, topics)

    def begin_share_forgetting(
        self, group_id: str, topic_ids: Collection[str], now_ms: int
    ) -> Decision[Mapping[str, frozenset[int]] | None]:
        """Decides on taking back what a share group has done in topics; see `ShareGroups.begin_forgetting`.

        Raises:
            LogServerError: GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP.
        """
        self.share.existing(group_id)
        self.check_empty(group_id, now_ms, "its offsets can't be deleted")
        return self.share.begin_forgetting(group_id, topic_ids)

    def check_empty(self, group_id: str, now_ms: int, consequence: str) -> None:
        """Checks that a group has no members.

        Raises:
            LogServerError: NON_EMPTY_GROUP, naming members and what is left of their sessions.
        """
        group: ConsumerGroup | ClassicGroup | ShareGroup | None = (
            self.groups.get(group_id) or self.classic.get(group_id) or self.share.groups.get(group_id)
        )
        if group is None or group.is_empty:
            return
        shown = [
            f"{member_id} (session ends in {self.session_left_ms(group_id, member_id, now_ms) / 1000:.0f} s "
            "unless it is heard of)"
            for member_id in sorted(group.members)[:3]
        ]
        more = len(group.members) - len(shown)
        raise LogServerError(
            ErrorCode.non_empty_group,
            f"the group {group_id[:100]!r} has members, so {consequence}: {', '.join(shown)}"
            f"{f' and {more} more' if more else ''}; stop them first",
        )

    # Time

    def expire(self, now_ms: int) -> Iterator[Decision[None] | AssignmentTask]:
        """Yields what time has brought: decisions, each to be carried out before the next, and assignments to be made
        elsewhere and brought back by `assigned`."""
        due = self.timers.due(now_ms)
        for key in due:
            # Until what it brings has been written, it is due again soon: the disk may be full.
            self.timers.set(key, now_ms + _AGAIN_MS)
        yield from self._consumer.members_due(due, now_ms)
        yield from self.share.members_due(due, now_ms)
        for key in due:
            yield from self._consumer.assignment_due(key, now_ms)
            if key[0] in TIMERS:
                # Otherwise something has happened since.
                if self.timers.deadline(key) == now_ms + _AGAIN_MS:
                    yield from self._classic.due(key, now_ms)
            elif key[0] == _TOPICS:
                yield from self.topics_changed(now_ms)
            elif key[0] == _RETENTION:
                yield from self._forget(now_ms)
                self.timers.set(key, now_ms + self._limits.retention_check_interval_ms)

    def assigned(self, task: AssignmentTask, targets: Mapping[str, Assignment], now_ms: int) -> Decision[None]:
        """Decides on an assignment that has been made; members that have left since do not get theirs."""
        return self._consumer.assigned(task, targets, now_ms)

    def _forget(self, now_ms: int) -> Iterator[Decision[None]]:
        """Yields what forgets old offsets, and groups that have none left."""
        # Share groups have no offsets, and stay until somebody deletes them.
        for group_id in sorted(self.group_ids() - self.share.groups.keys()):
            offsets = self.offsets.of(group_id)
            pending = {(key.topic, key.partition) for key in self.pending.of(group_id)}
            keeping = keeping_of(self.groups.get(group_id), self.classic.get(group_id))
            gone, is_over = forgotten(offsets, pending, keeping, self._limits.offsets_retention_ms, now_ms)
            entries = list(self.offsets.removal(group_id, gone))
            if is_over:
                entries += self._removal(group_id)
            if entries:
                yield Decision(None, entries, group_id)

    def _removal(self, group_id: str) -> Iterator[Entry]:
        """Yields the tombstones of a group without members, apart from its offsets."""
        group = self.groups.get(group_id)
        if group is not None:
            yield from group.removal()
        if group_id in self.classic:
            yield Entry(GroupMetadataKey(group_id), None)
        if group_id in self.share.groups:
            yield from self.share.groups[group_id].removal()

    # Topics

    def topics_changed(self, now_ms: int) -> Iterator[Decision[None]]:
        """Yields what topics that came, went or grew mean to groups: offsets of deleted ones go, members get others."""
        self.timers.set((_TOPICS,), now_ms + _AGAIN_MS)
        for group_id in sorted(self.group_ids()):
            entries = list(self.offsets.removal(group_id, self._orphaned(group_id)))
            entries += self._consumer.topics_changed(group_id, now_ms)
            entries += self.share.topics_changed(group_id)
            if entries:
                yield Decision(None, entries, group_id)
        self.timers.cancel((_TOPICS,))

    def _orphaned(self, group_id: str) -> list[Place]:
        """Returns the places of a group's offsets that do not exist any more."""
        found = []
        for place, value in self.offsets.of(group_id).items():
            topic = self._topics.by_name(place[0])
            if topic is None or (value.topic_id is not None and value.topic_id != topic.topic_id):
                found.append(place)
        return found

    # Records

    def apply(self, key: Key, value: Value | None, timestamp_ms: int) -> None:
        """Takes in a record of the log, when it is read at the start as well as when it has just been written."""
        match key, value:
            case OffsetCommitKey(), OffsetCommitValue() | None:
                self.offsets.apply(key, value)
                self.pending.overtaken(key)
            case GroupMetadataKey(group), GroupMetadataValue():
                self._classic.apply(group, value)
            case GroupMetadataKey(group), None:
                self._classic.apply(group, None)
            case ConsumerGroupPartitionMetadataKey(), _:
                # What a group knew of its topics before Kafka 4.1: the hash in its metadata serves now.
                pass
            case _ if isinstance(key, ShareKey):
                assert value is None or isinstance(value, ShareValue), (key, value)
                self.share.apply(key, value, timestamp_ms)
            case _:
                self._consumer.apply(key, value, timestamp_ms)

    def follow_up(self, entries: Iterable[Entry], now_ms: int) -> None:
        """Sets the timers that entries which have just been applied ask for."""
        self._consumer.follow_up(entries, now_ms)
        for key, value in entries:
            if isinstance(key, GroupMetadataKey):
                self._classic.follow_up(key.group, now_ms)
            elif value is None and isinstance(key, ShareGroupMemberMetadataKey):
                self.share.ended(key)

    def loaded(self, now_ms: int) -> None:
        """Starts time for a shard that has been read from its log: every member gets a whole session."""
        self._consumer.loaded(now_ms)
        self._classic.loaded(now_ms)
        self.share.loaded(now_ms)
        self.timers.set((_RETENTION,), now_ms + self._limits.retention_check_interval_ms)

    def apply_pending(self, producer_id: int, key: Key, value: Value, at: int) -> None:
        """Takes in a record of an open transaction, `at` an offset of the log.

        Raises:
            CorruptCoordinatorRecord: no committed offset, which is all that is written in transactions.
        """
        if not (isinstance(key, OffsetCommitKey) and isinstance(value, OffsetCommitValue)):
            raise CorruptCoordinatorRecord(f"it stands in a transaction and is a {type(key).__name__}")
        self.pending.add(producer_id, key, value, at)

    def end_transaction(self, producer_id: int, is_commit: bool) -> None:
        """Takes in the marker that ends a producer's transaction."""
        for key, value in self.pending.end(producer_id, is_commit).items():
            self.offsets.apply(key, value)

    def waiting(self, group_id: str, wake: Wake) -> Sequence[str]:
        """Returns the members that a decision's `wake` means."""
        return self._consumer.waiting(group_id, wake)

    def states(self) -> Counter[str]:
        """Counts the groups by state."""
        return Counter(self.state_of(group_id) for group_id in self.group_ids())

    def state_of(self, group_id: str) -> str:
        """Returns a group's state."""
        group = self.groups.get(group_id)
        if group is not None:
            return group.state
        share = self.share.groups.get(group_id)
        if share is not None:
            return share.state
        classic = self.classic.get(group_id)
        return str(classic.state) if classic is not None else "empty"

    def _kind_of(self, group_id: str) -> str:
        """Returns what a group is that is no share group, in words."""
        if group_id in self.groups:
            return "a consumer group"
        return "a group of the classic protocol" if group_id in self.classic else "one that commits offsets"


def _subscription(group: ConsumerGroup | None) -> Callable[[str], bool]:
    """Returns what tells whether a member of a group is subscribed to a topic."""
    return group.is_subscribed if group is not None else lambda topic: False
