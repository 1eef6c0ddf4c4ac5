"""All consumer groups of a shard (KIP-848)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Final

from logserver.coordinator.assignment import (
    AssignmentTask,
    assignment_due_ms,
    assignment_entries,
    is_large,
    task_for,
)
from logserver.coordinator.assignors import Assignment
from logserver.coordinator.classic_group import ClassicGroup
from logserver.coordinator.classic_members import JOIN, SESSION, SYNC, ClassicMembers
from logserver.coordinator.classic_refusals import rebalancing
from logserver.coordinator.classic_requests import JoinAnswer, JoinGroup, MemberOfGroup, SyncAnswer, SyncGroup
from logserver.coordinator.consumer_group import ConsumerGroup
from logserver.coordinator.decision import Decision, Entry, Wake
from logserver.coordinator.formats import (
    ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupMemberMetadataKey,
    ConsumerGroupMetadataKey,
    ConsumerGroupTargetAssignmentMetadataKey,
    GroupMetadataKey,
    Key,
    MemberState,
    Value,
)
from logserver.coordinator.group_changes import GroupChanges
from logserver.coordinator.limits import GroupLimits
from logserver.coordinator.member import AWAY, JOINING, LEAVING, Member
from logserver.coordinator.membership import Membership
from logserver.coordinator.migration import upgraded
from logserver.coordinator.requests import Heartbeat, HeartbeatAnswer
from logserver.coordinator.timers import TimerKey, Timers
from logserver.coordinator.topics_view import TopicsView
from logserver.errors import ErrorCode, LogServerError

_REBALANCE: Final = "rebalance"
_ASSIGNMENT: Final = "assignment"
_OF_MEMBERS: Final = (SESSION, _REBALANCE, JOIN, SYNC)


class ConsumerGroups:
    """Groups by id, the decisions on their members' requests, and what time brings them.

    Args:
        again_ms: how long until what time has brought is due again, unless it has been carried out.
    """

    def __init__(self, limits: GroupLimits, topics: TopicsView, timers: Timers, again_ms: int) -> None:
        self.groups: dict[str, ConsumerGroup] = {}
        self._limits = limits
        self._topics = topics
        self._timers = timers
        self._again_ms = again_ms
        self._changes = GroupChanges(limits, topics)
        self._membership = Membership(limits, self._changes)
        self._classic = ClassicMembers(limits, topics, self._changes, timers)
        # Assignments that are being made, by group.
        self._assigning: dict[str, AssignmentTask] = {}

    # Members

    def heartbeat(self, request: Heartbeat, former: ClassicGroup | None, now_ms: int) -> Decision[HeartbeatAnswer]:
        """Decides on a member's heartbeat; the first one makes the group, or takes over a classic one.

        Args:
            former: the classic group of this id, if there is one.

        Raises:
            LogServerError: as `Membership.heartbeat`; UNKNOWN_MEMBER_ID if there is no such group, unless it joins;
                GROUP_ID_NOT_FOUND if it joins a classic group that can't become a consumer group.
        """
        group = self.groups.get(request.group_id)
        entries: Sequence[Entry] = ()
        if group is None:
            self._membership.check(request)
            if request.member_epoch != JOINING:
                raise LogServerError(
                    ErrorCode.unknown_member_id,
                    f"there is no group {request.group_id[:100]!r} with a member {request.member_id[:100]!r}; join "
                    "again",
                )
            group = ConsumerGroup(request.group_id)
        if former is not None:
            group = ConsumerGroup(request.group_id)
            entries = self._take_over(former, request)
            for key, value in entries:
                group.apply(key, value, now_ms)
        decision = self._membership.heartbeat(group, request, now_ms)
        if request.member_epoch not in (LEAVING, AWAY):
            session = (SESSION, request.group_id, decision.answer.member_id)
            self._timers.set(session, now_ms + self._limits.session_timeout_of(request.group_id))
        if former is not None:
            # Who waits in a rebalance of the classic group joins again.
            replies = former.waiting_replies(rebalancing(former.group_id))
            return replace(decision, entries=(*entries, *decision.entries), replies=replies)
        return decision

    def _take_over(self, former: ClassicGroup, request: Heartbeat) -> Sequence[Entry]:
        if former.is_empty:
            # It keeps its offsets.
            return (Entry(GroupMetadataKey(former.group_id), None),)
        takes_a_place = request.instance_id is not None and request.instance_id in former.instances
        return upgraded(former, self._limits, self._topics, reassigns=takes_a_place)

    def look_again(self, group_id: str, member_id: str) -> Decision[HeartbeatAnswer | None]:
        """Takes a member's next step, if there is one that needs no word of the member; does not count as a heartbeat.

        Raises:
            LogServerError: UNKNOWN_MEMBER_ID.
        """
        group = self.groups.get(group_id) or ConsumerGroup(group_id)
        return self._membership.look_again(group, member_id)

    # Members of the classic protocol

    def with_members(self, group_id: str) -> ConsumerGroup | None:
        """Returns a group that has members, None if there is none."""
        group = self.groups.get(group_id)
        return group if group is not None and not group.is_empty else None

    def join(self, group: ConsumerGroup, request: JoinGroup, now_ms: int) -> Decision[JoinAnswer]:
        """Decides on a JoinGroup; see `ClassicMembers.join`."""
        return self._classic.join(group, request, now_ms)

    def sync(self, group: ConsumerGroup, request: SyncGroup, now_ms: int) -> Decision[SyncAnswer]:
        """Decides on a SyncGroup; see `ClassicMembers.sync`."""
        return self._classic.sync(group, request, now_ms)

    def classic_heartbeat(self, group: ConsumerGroup, request: MemberOfGroup, now_ms: int) -> Decision[None]:
        """Decides on a Heartbeat of the classic protocol; see `ClassicMembers.heartbeat`."""
        return self._classic.heartbeat(group, request, now_ms)

    def remove(
        self, group: ConsumerGroup, members: Sequence[tuple[str, str | None]], now_ms: int
    ) -> Decision[list[LogServerError | None]]:
        """Decides on members that somebody removes; see `Membership.remove`."""
        return self._membership.remove(group, members, now_ms)

    def waiting(self, group_id: str, wake: Wake) -> Sequence[str]:
        """Returns the members that a decision's `wake` means."""
        group = self.groups.get(group_id)
        if group is None or wake is Wake.NOBODY:
            return ()
        return list(group.waiting if wake is Wake.WAITING else group.members)

    # Time

    def members_due(self, due: Iterable[TimerKey], now_ms: int) -> Iterator[Decision[None]]:
        """Yields the end of members that were silent, or kept partitions, for too long; a group's together.

        Args:
            due: timers; those that are not of members are passed by.
        """
        of_members = sorted((key for key in due if key[0] in _OF_MEMBERS), key=lambda key: key[1])
        for group_id, keys in groupby(of_members, lambda key: key[1]):
            yield from self._give_up(group_id, keys, now_ms)

    def _give_up(self, group_id: str, keys: Iterable[TimerKey], now_ms: int) -> Iterator[Decision[None]]:
        group = self.groups.get(group_id)
        members: set[str] = set()
        for key in keys:
            if group is None or key[2] not in group.members:
                self._timers.cancel(key)
            elif self._timers.deadline(key) == now_ms + self._again_ms:
                # Otherwise it has been heard of since.
                members.add(key[2])
        if group is not None and members:
            entries = self._changes.removal(group, members, now_ms)
            yield Decision(None, entries, group_id, Wake.ALL)

    def assignment_due(self, key: TimerKey, now_ms: int) -> Iterator[Decision[None] | AssignmentTask]:
        """Yields a group's next assignment or, where that is large, what makes it; nothing for other timers."""
        if key[0] != _ASSIGNMENT:
            return
        group_id = key[1]
        group = self.groups.get(group_id)
        if group is None or group.is_empty or group.epoch <= group.assignment_epoch:
            self._timers.cancel(key)
            return
        if group_id in self._assigning:
            return
        task = self._assigning[group_id] = task_for(group, self._topics, self._limits.assignors)
        if is_large(group):
            yield task
        else:
            yield self.assigned(task, task.run(), now_ms)

    def assigned(self, task: AssignmentTask, targets: Mapping[str, Assignment], now_ms: int) -> Decision[None]:
        """Decides on an assignment that has been made; members that have left since do not get theirs."""
        if self._assigning.get(task.group_id) is not task:
            # The group that it was made for is gone, and this is another one of its name.
            return Decision(None)
        del self._assigning[task.group_id]
        group = self.groups.get(task.group_id)
        if group is None or group.assignment_epoch >= task.group_epoch or group.is_empty:
            return Decision(None)
        still = (
            (now_id, targets[member_id])
            for member_id, spec in task.members.items()
            if (now_id := _now_id(group, member_id, spec.instance_id)) is not None
        )
        return Decision(None, assignment_entries(group, task.group_epoch, still, now_ms), task.group_id, Wake.ALL)

    def topics_changed(self, group_id: str, now_ms: int) -> list[Entry]:
        """Returns what changed topics mean to a group; nothing for one that has no members, or is none of these."""
        group = self.groups.get(group_id)
        return self._changes.topics_changed(group, now_ms) if group is not None and not group.is_empty else []

    # Records

    def apply(self, key: Key, value: Value | None, timestamp_ms: int) -> None:
        """Takes in a record."""
        if value is None and isinstance(key, ConsumerGroupMetadataKey):
            self.groups.pop(key.group, None)
            self._assigning.pop(key.group, None)
            return
        group = self.groups.get(key.group)
        if group is None:
            group = self.groups[key.group] = ConsumerGroup(key.group)
        group.apply(key, value, timestamp_ms)

    def follow_up(self, entries: Iterable[Entry], now_ms: int) -> None:
        """Sets the timers that entries which have just been applied ask for."""
        groups: set[str] = set()
        for key, value in entries:
            match key, value:
                case ConsumerGroupCurrentMemberAssignmentKey(group, member), _:
                    self._watch_revocation(group, member, now_ms)
                case ConsumerGroupMemberMetadataKey(group, member), None:
                    for name in _OF_MEMBERS:
                        self._timers.cancel((name, group, member))
                case ConsumerGroupMemberMetadataKey(group, member), _:
                    self._watch_session(group, member, now_ms)
                case ((ConsumerGroupMetadataKey(group) | ConsumerGroupTargetAssignmentMetadataKey(group)), _):
                    groups.add(group)
        for group_id in groups:
            found = self.groups.get(group_id)
            timer = (_ASSIGNMENT, group_id)
            if found is None or found.is_empty or found.epoch <= found.assignment_epoch:
                self._timers.cancel(timer)
            elif self._timers.deadline(timer) is None:
                due = assignment_due_ms(found, self._limits.assignment_interval_of(group_id), now_ms)
                self._timers.set(timer, max(due, now_ms))

    def _watch_session(self, group_id: str, member_id: str, now_ms: int) -> None:
        """Begins the session of a member that has none: it was one of the classic group that this group was."""
        member = self.groups[group_id].members.get(member_id)
        if member is not None and self._timers.deadline((SESSION, group_id, member_id)) is None:
            self._begin_session(group_id, member, now_ms)

    def _begin_session(self, group_id: str, member: Member, now_ms: int) -> None:
        if member.classic is not None:
            timeout_ms = member.classic.session_timeout_ms
        else:
            timeout_ms = self._limits.session_timeout_of(group_id)
        self._timers.set((SESSION, group_id, member.member_id), now_ms + timeout_ms)

    def _watch_revocation(self, group_id: str, member_id: str, now_ms: int) -> None:
        """Gives a member that has to give up partitions its time for it, anew for others than before."""
        key = (_REBALANCE, group_id, member_id)
        group = self.groups.get(group_id)
        member = group.members.get(member_id) if group is not None else None
        # One that is away has given up everything; its session bounds how long it may be. One of the classic protocol
        # is told to join again, and has its time for that.
        if (
            member is None
            or member.state is not MemberState.UNREVOKED_PARTITIONS
            or member.is_away
            or member.classic is not None
        ):
            self._timers.cancel(key)
        else:
            self._timers.set(key, now_ms + member.rebalance_timeout_ms)

    def loaded(self, now_ms: int) -> None:
        """Starts time for groups that have been read from the log: every member gets a whole session."""
        for group_id in list(self.groups):
            group = self.groups[group_id]
            if not group.epoch and group.is_empty:
                # Nothing but tombstones was left of it.
                del self.groups[group_id]
                continue
            for member in group.members.values():
                self._begin_session(group_id, member, now_ms)
                self._watch_revocation(group_id, member.member_id, now_ms)
            if not group.is_empty and group.epoch > group.assignment_epoch:
                self._timers.set((_ASSIGNMENT, group_id), now_ms)


def _now_id(group: ConsumerGroup, member_id: str, instance_id: str | None) -> str | None:
    """Returns the id that a member has now: a static one may have come back under another; None if it is gone."""
    if member_id in group.members:
        return member_id
    return group.instances.get(instance_id) if instance_id is not None else None
