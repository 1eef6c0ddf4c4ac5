"""Members of the classic protocol in consumer groups: what JoinGroup, SyncGroup and Heartbeat mean there (KIP-848).

The server assigns for them as for everybody, and nobody waits for anybody: a member's generation is its member epoch,
JoinGroup takes its next step, and SyncGroup tells what it owns. Where there is another step to take, it is told to join
again. A member of a cooperative protocol says in JoinGroup what it has kept; any other has given up everything.

Source: Apache Kafka: `GroupMetadataManager.classicGroupJoinToConsumerGroup` and its neighbours.
"""

from typing import Final

from logserver.coordinator.classic_refusals import (
    check_generation,
    check_session_timeout,
    fenced_instance,
    rebalancing,
    unknown_member,
)
from logserver.coordinator.classic_requests import JoinAnswer, JoinGroup, MemberOfGroup, SyncAnswer, SyncGroup
from logserver.coordinator.consumer_group import ConsumerGroup
from logserver.coordinator.consumer_protocol import CONSUMER, ConsumerSubscription, read_subscription
from logserver.coordinator.decision import Decision, Entry, Wake
from logserver.coordinator.formats import GroupMetadataValue, MemberState
from logserver.coordinator.group_changes import GroupChanges
from logserver.coordinator.limits import GroupLimits
from logserver.coordinator.member import Member
from logserver.coordinator.membership import check_id
from logserver.coordinator.migration import (
    assignment_for,
    classic_metadata,
    downgraded,
    is_downgraded,
    partitions_of,
)
from logserver.coordinator.timers import Timers
from logserver.coordinator.topics_view import TopicsView
from logserver.errors import ErrorCode, LogServerError

SESSION: Final = "session"
JOIN: Final = "join"
"""Of a member that has been told to join again."""
SYNC: Final = "sync"
"""Of a member that has joined."""


class ClassicMembers:
    """Decides on their requests; groups and time come with each call."""

    def __init__(self, limits: GroupLimits, topics: TopicsView, changes: GroupChanges, timers: Timers) -> None:
        self._limits = limits
        self._topics = topics
        self._changes = changes
        self._timers = timers

    # JoinGroup

    def join(self, group: ConsumerGroup, request: JoinGroup, now_ms: int) -> Decision[JoinAnswer]:
        """Decides on a JoinGroup to a group that has members.

        Raises:
            LogServerError: the member can't join.
        """
        subscription = self._check_join(group, request)
        if request.needs_member_id and not request.member_id and request.instance_id is None:
            self._changes.check_room(group, request.new_member_id)
            error = LogServerError(ErrorCode.member_id_required, "join again with this member id")
            return Decision(JoinAnswer(request.new_member_id, error))
        owned = frozenset(partitions_of(subscription.owned, self._topics))
        former_id, before, entries = self._find(group, request)
        if former_id not in group.members and owned:
            # It was a member and does not know that it is none any more: what it works on may be others' by now.
            raise unknown_member(group.group_id, former_id)
        member = before._replace(
            instance_id=request.instance_id if request.instance_id is not None else before.instance_id,
            rack_id=subscription.rack_id or before.rack_id,
            client_id=request.client_id,
            client_host=request.client_host,
            rebalance_timeout_ms=request.rebalance_timeout_ms,
            topics=tuple(sorted(set(subscription.topics))),
            pattern=None,
            classic=classic_metadata(request.session_timeout_ms, request.protocols),
        )
        former = group.members.get(former_id)
        if former is not None and former.classic is None and group.classic_members == len(group.members) - 1:
            rest = [member, *(other for key, other in group.members.items() if key != former_id)]
            if is_downgraded(rest, self._limits):
                return self._downgrade(group, member, rest, now_ms)
        after, changes, wake = self._changes.take_in(group, former_id, before, member, owned, now_ms)
        self._live(group, after, now_ms)
        self._timers.cancel((JOIN, group.group_id, after.member_id))
        self._timers.set((SYNC, group.group_id, after.member_id), now_ms + after.rebalance_timeout_ms)
        answer = JoinAnswer(after.member_id, None, after.epoch, CONSUMER, request.protocols[0][0])
        return Decision(answer, (*entries, *changes), group.group_id, wake)

    def _check_join(self, group: ConsumerGroup, request: JoinGroup) -> ConsumerSubscription:
        """Checks a JoinGroup, whoever it is of; returns what it subscribes to."""
        if self._limits.migration_policy == "disabled":
            raise _does_not_fit(
                group,
                "it has members of the consumer group protocol (KIP-848), and group.consumer.migration.policy=disabled "
                "keeps others out until those have left",
            )
        check_session_timeout(self._limits, request.session_timeout_ms)
        if request.member_id:
            check_id("member id", request.member_id)
        if request.instance_id is not None:
            check_id("instance id", request.instance_id)
        subscription = read_subscription(request.protocols[0][1]) if request.protocols else None
        if request.protocol_type != CONSUMER or subscription is None:
            raise _does_not_fit(
                group, f"it has consumers, and what the member of the type {request.protocol_type!r} says is not one's"
            )
        names = [name for name, _ in request.protocols]
        before = group.static_member(request.instance_id or "") or group.members.get(request.member_id)
        if not group.can_all_use(names, without=before):
            raise _does_not_fit(
                group, f"its members of the classic protocol can't all use one of {', '.join(names[:10])}"
            )
        return subscription

    def _find(self, group: ConsumerGroup, request: JoinGroup) -> tuple[str, Member, list[Entry]]:
        """Returns the member that joins, a new one or one that is known, with the id it had so far, and what has to be
        written where it comes in the place of its former self."""
        if request.instance_id is None:
            member = group.members.get(request.member_id)
            if member is None:
                member_id = request.member_id or request.new_member_id
                return member_id, Member(member_id), []
            _check_protocol(group, member)
            return member.member_id, member, []
        static = group.static_member(request.instance_id)
        if request.member_id:
            member = find_member(group, MemberOfGroup(group.group_id, -1, request.member_id, request.instance_id))
            return member.member_id, member, []
        if static is None:
            return request.new_member_id, Member(request.new_member_id), []
        # Whichever protocol it has used: the newer one takes its place, as in a classic group.
        member, entries = GroupChanges.succeed(group, static, request.new_member_id)
        return static.member_id, member, entries

    def _downgrade(self, group: ConsumerGroup, member: Member, rest: list[Member], now_ms: int) -> Decision[JoinAnswer]:
        """The last member that used the other protocol comes back with this one: the group is a classic one. The member
        is told so by its SyncGroup, and joins the rebalance."""
        entries = list(downgraded(group, rest, self._topics, now_ms))
        value = entries[-1].value
        assert isinstance(value, GroupMetadataValue)
        answer = JoinAnswer(member.member_id, None, value.generation, CONSUMER, value.protocol)
        return Decision(answer, entries, group.group_id, Wake.ALL)

    # SyncGroup

    def sync(self, group: ConsumerGroup, request: SyncGroup, now_ms: int) -> Decision[SyncAnswer]:
        """Decides on a SyncGroup.

        Raises:
            LogServerError: REBALANCE_IN_PROGRESS, or the member is not one of this generation.
        """
        member = find_member(group, MemberOfGroup(group.group_id, -1, request.member_id, request.instance_id))
        check_generation(group.group_id, member.epoch, request.generation)
        assert member.classic is not None
        protocol = member.classic.supported_protocols[0].name
        if request.protocol_type not in (None, CONSUMER) or request.protocol not in (None, protocol):
            raise _does_not_fit(
                group,
                f"the member goes by {CONSUMER!r} {protocol!r}, not by {request.protocol_type!r} {request.protocol!r}",
            )
        # One that gives up partitions has joined already, and joins again when it has given them up.
        if group.assignment_epoch > member.epoch and member.state is not MemberState.UNREVOKED_PARTITIONS:
            raise self._has_to_join(group, member, now_ms)
        self._timers.cancel((SYNC, group.group_id, member.member_id))
        self._live(group, member, now_ms)
        assignment = assignment_for(member, member.assigned, self._topics)
        return Decision(SyncAnswer(None, request.protocol_type, request.protocol, assignment))

    # Heartbeat

    def heartbeat(self, group: ConsumerGroup, request: MemberOfGroup, now_ms: int) -> Decision[None]:
        """Decides on a Heartbeat.

        Raises:
            LogServerError: REBALANCE_IN_PROGRESS, or the member is not one of this generation.
        """
        member = find_member(group, request)
        check_generation(group.group_id, member.epoch, request.generation)
        self._live(group, member, now_ms)
        if (
            member.epoch < group.assignment_epoch
            or member.state is MemberState.UNREVOKED_PARTITIONS
            or (member.state is MemberState.UNRELEASED_PARTITIONS and not _waits_for_others(group, member))
        ):
            raise self._has_to_join(group, member, now_ms)
        return Decision(None)

    def _has_to_join(self, group: ConsumerGroup, member: Member, now_ms: int) -> LogServerError:
        """Gives a member its time to join again, from when it was told so first."""
        timer = (JOIN, group.group_id, member.member_id)
        if self._timers.deadline(timer) is None:
            self._timers.set(timer, now_ms + member.rebalance_timeout_ms)
        return rebalancing(group.group_id)

    def _live(self, group: ConsumerGroup, member: Member, now_ms: int) -> None:
        assert member.classic is not None
        self._timers.set((SESSION, group.group_id, member.member_id), now_ms + member.classic.session_timeout_ms)


def find_member(group: ConsumerGroup, request: MemberOfGroup) -> Member:
    """Returns the member of the classic protocol that asks.

    Raises:
        LogServerError: UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID.
    """
    if request.instance_id is None:
        member = group.members.get(request.member_id)
    else:
        member = group.static_member(request.instance_id)
        if member is not None and member.member_id != request.member_id:
            raise fenced_instance(group.group_id, request.instance_id)
    if member is None:
        raise unknown_member(group.group_id, request.member_id)
    _check_protocol(group, member)
    return member


def _check_protocol(group: ConsumerGroup, member: Member) -> None:
    if member.classic is None:
        # Whoever asks is not this member, whose id it has: that one uses the other protocol.
        raise unknown_member(group.group_id, member.member_id)


def _waits_for_others(group: ConsumerGroup, member: Member) -> bool:
    """Whether something that a member is to own has not been given up by another one."""
    return any(
        partition not in member.assigned and partition in group.owners for partition in group.target(member.member_id)
    )


def _does_not_fit(group: ConsumerGroup, reason: str) -> LogServerError:
    return LogServerError(
        ErrorCode.inconsistent_group_protocol, f"the group {group.group_id[:100]!r} can't take the member: {reason}"
    )
