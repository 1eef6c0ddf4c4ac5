"""What people see of a group."""

from collections.abc import Sequence
from typing import NamedTuple

from logserver.coordinator.assignors import Assignment
from logserver.coordinator.classic_group import ClassicState
from logserver.coordinator.consumer_protocol import CONSUMER, read_assignment, topics_of
from logserver.coordinator.formats import MemberState, OffsetCommitValue
from logserver.coordinator.member import Member
from logserver.coordinator.offsets import Place
from logserver.coordinator.shard import GroupShard
from logserver.coordinator.share.assignor import NAME as SIMPLE
from logserver.coordinator.topics_view import TopicsView
from logserver.errors import ErrorCode, LogServerError

_STATES = {
    MemberState.STABLE: "stable",
    MemberState.UNREVOKED_PARTITIONS: "revoking",
    MemberState.UNRELEASED_PARTITIONS: "waiting",
}


class GroupSummary(NamedTuple):
    """A group in a list."""

    group_id: str
    type: str
    """"consumer", "share" or "classic"."""
    state: str
    members: int
    protocol_type: str = "consumer"
    """Kafka's: "consumer" for consumers of either protocol, "share", empty for a group that has offsets only."""


class MemberDescription(NamedTuple):
    """A member."""

    member: Member
    state: str
    """"stable", "revoking", "waiting" or "away"; of the classic protocol "stable" or "rebalancing"."""
    assigned: Sequence[Place]
    target: Sequence[Place]
    session_left_ms: int


class GroupDescription(NamedTuple):
    """A group with its members and offsets."""

    summary: GroupSummary
    group_epoch: int
    assignment_epoch: int
    assignor: str
    members: Sequence[MemberDescription]
    committed: dict[Place, OffsetCommitValue]
    owners: dict[Place, str]
    """Member ids; empty of a share group, whose members have partitions together."""


class ClassicMemberDescription(NamedTuple):
    """A member of the classic protocol."""

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    metadata: bytes
    """What it is subscribed to, in the clients' own format."""
    assignment: bytes
    """In the clients' own format."""


class ClassicDescription(NamedTuple):
    """A group of the classic protocol, or one that has offsets only."""

    state: str
    protocol_type: str
    protocol: str
    members: Sequence[ClassicMemberDescription]


class OffsetDescription(NamedTuple):
    """Where a group stands in a partition."""

    place: Place
    committed: OffsetCommitValue | None
    log_start_offset: int
    high_watermark: int
    """Both -1 where `error` says why they are not known."""
    owner: str
    """Member id; empty if nobody owns it."""
    error: LogServerError | None = None

    @property
    def lag(self) -> int | None:
        """Records that the group has before it; None where nothing is committed or the partition can't be asked."""
        if self.committed is None or self.error is not None:
            return None
        return max(self.high_watermark - max(self.committed.offset, self.log_start_offset), 0)


class Reset(NamedTuple):
    """Where a group's offset of a partition has been moved."""

    place: Place
    previous: int | None
    offset: int
    """-1 with an error."""
    clamped: bool
    """What was asked for lies outside of the log."""
    error: LogServerError | None = None


def summary_of(shard: GroupShard, group_id: str) -> GroupSummary:
    """Returns a group of a shard as a list shows it."""
    group, classic = shard.groups.get(group_id), shard.classic.get(group_id)
    state = shard.state_of(group_id)
    if group is not None:
        return GroupSummary(group_id, "consumer", state, len(group.members))
    share = shard.share.groups.get(group_id)
    if share is not None:
        return GroupSummary(group_id, "share", state, len(share.members), "share")
    if classic is not None:
        return GroupSummary(group_id, "classic", state, len(classic.members), classic.protocol_type or "")
    return GroupSummary(group_id, "classic", state, 0, "")


def describe(shard: GroupShard, group_id: str, assignor: str, topics: TopicsView, now_ms: int) -> GroupDescription:
    """Returns a group of a shard with everything that the shard knows of it.

    Raises:
        LogServerError: GROUP_ID_NOT_FOUND.
    """
    group = shard.existing(group_id)
    committed = dict(shard.committed(group_id))
    if group is None:
        return _of_classic(shard, group_id, committed, now_ms)
    members = [
        MemberDescription(
            member,
            "away" if member.is_away else _STATES.get(member.state, "unknown"),
            _places((*member.assigned, *member.revoking), topics),
            _places(group.target(member.member_id), topics),
            shard.session_left_ms(group_id, member.member_id, now_ms),
        )
        for member in sorted(group.members.values(), key=lambda member: member.member_id)
    ]
    owners = {place: found.member.member_id for found in members for place in found.assigned}
    return GroupDescription(
        summary_of(shard, group_id), group.epoch, group.assignment_epoch, assignor, members, committed, owners
    )


def _of_classic(
    shard: GroupShard, group_id: str, committed: dict[Place, OffsetCommitValue], now_ms: int
) -> GroupDescription:
    """Returns a group of the classic protocol, or one that has offsets only, as a consumer group is described.

    What members subscribe to and own is known of consumers only.
    """
    group = shard.classic.get(group_id)
    if group is None:
        return GroupDescription(summary_of(shard, group_id), 0, 0, "", (), committed, {})
    is_stable = group.state is ClassicState.STABLE
    members: list[MemberDescription] = []
    for _, member in sorted(group.members.items()):
        # In a rebalance the assignor is not decided on; subscriptions are the same for all that a member offers.
        metadata = member.metadata(group.protocol) or next((data for _, data in member.protocols), b"")
        # What it had before the rebalance it does not own any more.
        given = read_assignment(member.assignment) if is_stable else None
        assigned = sorted(given.partitions) if given is not None and group.protocol_type == CONSUMER else []
        described = Member(
            member.member_id,
            member.instance_id,
            client_id=member.client_id,
            client_host=member.client_host,
            topics=tuple(sorted((group.protocol_type == CONSUMER and topics_of(metadata)) or ())),
            epoch=group.generation,
        )
        left_ms = shard.session_left_ms(group_id, member.member_id, now_ms)
        state = "stable" if is_stable else "rebalancing"
        members.append(MemberDescription(described, state, assigned, assigned, left_ms))
    owners = {place: found.member.member_id for found in members for place in found.assigned}
    return GroupDescription(
        summary_of(shard, group_id),
        group.generation,
        group.generation,
        (group.protocol or "") if is_stable else "",
        members,
        committed,
        owners,
    )


def describe_share(shard: GroupShard, group_id: str, topics: TopicsView, now_ms: int) -> GroupDescription:
    """Returns a share group of a shard with its members.

    Raises:
        LogServerError: GROUP_ID_NOT_FOUND, also for a group of another type.
    """
    group = shard.share.existing(group_id)
    members = [
        MemberDescription(
            Member(
                member.member_id,
                rack_id=member.rack_id,
                client_id=member.client_id,
                client_host=member.client_host,
                topics=member.topics,
                epoch=member.epoch,
                previous_epoch=member.previous_epoch,
            ),
            "stable",
            _places(member.assigned, topics),
            _places(group.target(member.member_id), topics),
            shard.session_left_ms(group_id, member.member_id, now_ms),
        )
        for _, member in sorted(group.members.items())
    ]
    return GroupDescription(summary_of(shard, group_id), group.epoch, group.assignment_epoch, SIMPLE, members, {}, {})


def describe_classic(shard: GroupShard, group_id: str) -> ClassicDescription:
    """Returns a group of a shard, as far as it is of the classic protocol.

    Raises:
        LogServerError: GROUP_ID_NOT_FOUND, also for a consumer or share group.
    """
    if shard.existing(group_id) is not None:
        raise LogServerError(
            ErrorCode.group_id_not_found,
            f"the group {group_id[:100]!r} is a consumer group (KIP-848), not a classic one",
        )
    if group_id in shard.share.groups:
        raise LogServerError(
            ErrorCode.group_id_not_found, f"the group {group_id[:100]!r} is a share group, not a classic one"
        )
    group = shard.classic.get(group_id)
    if group is None:
        return ClassicDescription("empty", "", "", ())
    is_stable = group.state is ClassicState.STABLE
    members = [
        ClassicMemberDescription(
            member.member_id,
            member.instance_id,
            member.client_id,
            member.client_host,
            member.metadata(group.protocol) if is_stable else b"",
            member.assignment if is_stable else b"",
        )
        for member in group.members.values()
    ]
    protocol = group.protocol or "" if is_stable else ""
    return ClassicDescription(str(group.state), group.protocol_type or "", protocol, members)


def _places(partitions: Assignment | Sequence[tuple[str, int]], topics: TopicsView) -> list[Place]:
    """Returns partitions by topic name, sorted; those of topics that are gone are left out."""
    found = []
    for topic_id, number in partitions:
        topic = topics.by_id(topic_id)
        if topic is not None:
            found.append((topic.name, number))
    return sorted(found)
