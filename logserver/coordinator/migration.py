"""Groups that change their protocol while they have members (KIP-848, "Upgrade and downgrade").

A classic group becomes a consumer group when a consumer of that protocol joins it: its members stay, and go on with
JoinGroup, SyncGroup and Heartbeat (`classic_members`). When the last member that uses the other protocol has gone, it
is a classic group again, and rebalances. Either way everything is written as one batch, and offsets are not touched.

Source: Apache Kafka: `GroupMetadataManager.convertToConsumerGroup`, `convertToClassicGroup`,
`ConsumerGroup.fromClassicGroup`, `ClassicGroup.fromConsumerGroup`.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

from logserver.coordinator.assignors import TopicPartition
from logserver.coordinator.classic_group import ClassicGroup, ClassicMember
from logserver.coordinator.consumer_group import ConsumerGroup
from logserver.coordinator.consumer_protocol import (
    CONSUMER,
    ConsumerSubscription,
    read_assignment,
    read_subscription,
    write_assignment,
)
from logserver.coordinator.decision import Entry
from logserver.coordinator.formats import (
    ClassicMemberMetadata,
    ClassicProtocol,
    ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupMemberMetadataKey,
    ConsumerGroupMetadataKey,
    ConsumerGroupMetadataValue,
    ConsumerGroupTargetAssignmentMemberKey,
    ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataKey,
    ConsumerGroupTargetAssignmentMetadataValue,
    GroupMetadataKey,
    GroupMetadataValue,
    MemberState,
)
from logserver.coordinator.limits import GroupLimits
from logserver.coordinator.member import Member, fields_of, protocols_of
from logserver.coordinator.topics_view import TopicsView, topics_hash
from logserver.errors import ErrorCode, LogServerError

_STICKY: Final = frozenset(("sticky", "cooperative-sticky"))
"""Assignors whose user data says what members have had, which the server knows. Kafka refuses all user data: it takes
any for a custom assignor's, and so keeps out groups of librdkafka and Sarama with these."""

# Upgrade


def upgraded(group: ClassicGroup, limits: GroupLimits, topics: TopicsView, *, reassigns: bool) -> list[Entry]:
    """Returns what makes a consumer group of a classic one with members; each owns what it was given last.

    Args:
        reassigns: whether the group needs a new assignment for another reason than that a new member joins it.

    Raises:
        LogServerError: GROUP_ID_NOT_FOUND, as in Kafka: there can't be such a consumer group.
    """
    _check_upgrade(group, limits)
    # One that is new to the group may not know its assignor; all its metadata has the same subscription.
    said = {
        member.member_id: read_subscription(member.metadata(group.protocol) or member.protocols[0][1])
        for member in group.members.values()
    }
    members: list[Member] = []
    owners: dict[TopicPartition, str] = {}
    for classic in group.members.values():
        member = _consumer_member(group, classic, said[classic.member_id], topics)
        for partition in member.assigned:
            if owners.setdefault(partition, member.member_id) != member.member_id:
                raise _no_upgrade(group, "its members share partitions, as only a custom assignor has them do")
        members.append(member)
    members = [_with_kept(member, said[member.member_id], owners, topics) for member in members]
    group_id = group.group_id
    epoch = group.generation + reassigns
    names = {name for member in members for name in member.topics}
    targets = ((member.member_id, fields_of(member.assigned)) for member in members)
    return [
        Entry(GroupMetadataKey(group_id), None),
        *(Entry(ConsumerGroupMemberMetadataKey(group_id, member.member_id), member.metadata()) for member in members),
        Entry(ConsumerGroupMetadataKey(group_id), ConsumerGroupMetadataValue(epoch, topics_hash(names, topics))),
        *(
            Entry(
                ConsumerGroupTargetAssignmentMemberKey(group_id, member_id),
                ConsumerGroupTargetAssignmentMemberValue(fields),
            )
            for member_id, fields in targets
        ),
        Entry(
            ConsumerGroupTargetAssignmentMetadataKey(group_id),
            ConsumerGroupTargetAssignmentMetadataValue(group.generation),
        ),
        *(
            Entry(ConsumerGroupCurrentMemberAssignmentKey(group_id, member.member_id), member.current())
            for member in members
        ),
    ]


def _check_upgrade(group: ClassicGroup, limits: GroupLimits) -> None:
    if not limits.upgrades:
        raise _no_upgrade(group, f"group.consumer.migration.policy={limits.migration_policy} does not allow it")
    if group.protocol_type != CONSUMER:
        raise _no_upgrade(group, f"its members are of the type {group.protocol_type!r}, not consumers")
    if len(group.members) > limits.max_members:
        raise _no_upgrade(group, f"it has more members than group.consumer.max.size={limits.max_members}")


def _consumer_member(
    group: ClassicGroup, member: ClassicMember, subscription: ConsumerSubscription | None, topics: TopicsView
) -> Member:
    assignment = read_assignment(member.assignment)
    if subscription is None or assignment is None:
        raise _no_upgrade(group, f"what its member {member.member_id!r} has said or was given is not a consumer's")
    if assignment.user_data and group.protocol not in _STICKY:
        raise _no_upgrade(
            group,
            f"its assignor {group.protocol!r} keeps data in assignments, which would be lost; use one that does not",
        )
    return Member(
        member.member_id,
        member.instance_id,
        subscription.rack_id,
        member.client_id,
        member.client_host,
        tuple(sorted(set(subscription.topics))),
        rebalance_timeout_ms=member.rebalance_timeout_ms,
        epoch=group.generation,
        previous_epoch=group.generation,
        assigned=dict.fromkeys(partitions_of(assignment.partitions, topics), group.generation),
        classic=classic_metadata(member.session_timeout_ms, member.protocols),
    )


def _with_kept(
    member: Member,
    subscription: ConsumerSubscription | None,
    owners: dict[TopicPartition, str],
    topics: TopicsView,
) -> Member:
    """Returns a member with what it had when it joined and was not given again: in a cooperative protocol it may still
    work on that, until it joins without. Kafka takes such partitions for free."""
    kept = partitions_of(subscription.owned, topics) if subscription is not None else ()
    revoking = {
        partition: member.epoch
        for partition in kept
        if owners.setdefault(partition, member.member_id) == member.member_id and partition not in member.assigned
    }
    if not revoking:
        return member
    return member._replace(state=MemberState.UNREVOKED_PARTITIONS, revoking=revoking)


def _no_upgrade(group: ClassicGroup, reason: str) -> LogServerError:
    return LogServerError(
        ErrorCode.group_id_not_found,
        f"the group {group.group_id[:100]!r} has members of the classic protocol and can't become a consumer group: "
        f"{reason}",
    )


# Downgrade


def is_downgraded(rest: Sequence[Member], limits: GroupLimits) -> bool:
    """Whether a consumer group becomes a classic one.

    Args:
        rest: its members from here on, which all use the classic protocol.
    """
    if not limits.downgrades or not 0 < len(rest) <= limits.classic_max_members:
        return False
    # They were taken in only because there is an assignor that all can use; what Kafka wrote may be otherwise.
    return bool(protocols_of(rest[0]).intersection(*map(protocols_of, rest)))


def downgraded(group: ConsumerGroup, rest: Sequence[Member], topics: TopicsView, now_ms: int) -> Iterator[Entry]:
    """Yields what makes a classic group of a consumer group.

    The group has no leader then, by which it is known that it has to rebalance, also after a restart. In the record
    each member has what it owns or has not given up yet, so that nobody else is taken for its owner if the group
    becomes a consumer group again before that; Kafka writes what each is to own.

    Args:
        rest: its members from here on, which all use the classic protocol.
    """
    for member_id in group.members:
        yield from group.removal_of(member_id)
    yield from group.removal()
    members = [_classic_member(member, _assignment(member, topics)) for member in rest]
    protocol = ClassicGroup(group.group_id).select_protocol(members)
    yield Entry(
        GroupMetadataKey(group.group_id),
        GroupMetadataValue(
            protocol_type=CONSUMER,
            generation=group.epoch,
            protocol=protocol,
            leader=None,
            current_state_timestamp_ms=now_ms,
            members=tuple(member.record(protocol, member.assignment) for member in members),
        ),
    )


def _classic_member(member: Member, assignment: bytes) -> ClassicMember:
    assert member.classic is not None
    return ClassicMember(
        member.member_id,
        member.instance_id,
        member.client_id,
        member.client_host,
        member.classic.session_timeout_ms,
        member.rebalance_timeout_ms,
        member.classic.supported_protocols,
        assignment,
    )


def _assignment(member: Member, topics: TopicsView) -> bytes:
    return assignment_for(member, (*member.assigned, *member.revoking), topics)


# Both


def assignment_for(member: Member, partitions: Iterable[TopicPartition], topics: TopicsView) -> bytes:
    """Returns partitions as a member of the classic protocol is told them; those of topics that are gone are left
    out."""
    places = [(view.name, number) for topic_id, number in partitions if (view := topics.by_id(topic_id)) is not None]
    return write_assignment(subscription_of(member).version, places)


def subscription_of(member: Member) -> ConsumerSubscription:
    """Returns what a member of the classic protocol has said when it joined."""
    assert member.classic is not None
    subscription = read_subscription(member.classic.supported_protocols[0].metadata)
    # Read by somebody else before it was written; what another version reads otherwise is the oldest of all.
    return subscription or ConsumerSubscription(0, ())


def partitions_of(places: Iterable[tuple[str, int]], topics: TopicsView) -> Collection[TopicPartition]:
    """Returns the partitions that there are of those that a member names."""
    found: dict[TopicPartition, None] = {}
    for topic, number in places:
        view = topics.by_name(topic)
        if view is not None and 0 <= number < view.partitions:
            found[view.topic_id, number] = None
    return found


def classic_metadata(session_timeout_ms: int, protocols: Iterable[tuple[str, bytes]]) -> ClassicMemberMetadata:
    """Returns what a consumer group keeps of a member because it uses the classic protocol."""
    return ClassicMemberMetadata(session_timeout_ms, tuple(ClassicProtocol(*protocol) for protocol in protocols))
