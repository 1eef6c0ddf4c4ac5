"""A member of a consumer group, as its group's records have it."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from logserver.coordinator.assignors import Assignment, TopicPartition
from logserver.coordinator.formats import (
    ClassicMemberMetadata,
    ConsumerGroupCurrentMemberAssignmentValue,
    ConsumerGroupMemberMetadataValue,
    MemberState,
    OwnedTopicPartitions,
    TopicPartitions,
)

JOINING: Final = 0
"""Member epoch of who is not a member yet."""
LEAVING: Final = -1
"""Member epoch in the request of a member that leaves."""
AWAY: Final = -2
"""Member epoch of a static member that has left to come back."""

Owned = Mapping[TopicPartition, int]
"""Partitions of a member, each with the member epoch at which it came to the member (KIP-1251)."""

_NOTHING: Final[Owned] = {}


class Member(NamedTuple):
    """One member. Never changed in place."""

    member_id: str
    instance_id: str | None = None
    rack_id: str | None = None
    client_id: str = ""
    client_host: str = ""
    topics: tuple[str, ...] = ()
    """Names that it subscribes to, sorted."""
    pattern: str | None = None
    rebalance_timeout_ms: int = 0
    assignor: str | None = None
    epoch: int = JOINING
    previous_epoch: int = JOINING
    state: MemberState = MemberState.STABLE
    assigned: Owned = _NOTHING
    """What it may own."""
    revoking: Owned = _NOTHING
    """What it has been asked to give up, and has not yet."""
    classic: ClassicMemberMetadata | None = None
    """Of a member that uses the classic protocol: JoinGroup and SyncGroup, with its epoch as generation."""

    @property
    def is_away(self) -> bool:
        """Whether this is a static member that has left to come back."""
        return self.epoch == AWAY

    def with_metadata(self, value: ConsumerGroupMemberMetadataValue) -> "Member":
        """Returns the member as a record of its metadata says."""
        return self._replace(
            instance_id=value.instance_id,
            rack_id=value.rack_id,
            client_id=value.client_id,
            client_host=value.client_host,
            topics=value.subscribed_topic_names,
            pattern=value.subscribed_topic_regex or None,
            rebalance_timeout_ms=value.rebalance_timeout_ms,
            assignor=value.server_assignor,
            # Without protocols it is what a missing field is taken for, not a member of the classic protocol.
            classic=classic if (classic := value.classic_member_metadata) and classic.supported_protocols else None,
        )

    def metadata(self) -> ConsumerGroupMemberMetadataValue:
        """Returns the record of its metadata."""
        return ConsumerGroupMemberMetadataValue(
            instance_id=self.instance_id,
            rack_id=self.rack_id,
            client_id=self.client_id,
            client_host=self.client_host,
            subscribed_topic_names=self.topics,
            subscribed_topic_regex=self.pattern,
            rebalance_timeout_ms=self.rebalance_timeout_ms,
            server_assignor=self.assignor,
            classic_member_metadata=self.classic,
        )

    def with_current(self, value: ConsumerGroupCurrentMemberAssignmentValue) -> "Member":
        """Returns the member as a record of its current assignment says."""
        return self._replace(
            epoch=value.member_epoch,
            previous_epoch=value.previous_member_epoch,
            state=value.state,
            assigned=_owned(value.assigned),
            revoking=_owned(value.partitions_pending_revocation),
        )

    def current(self) -> ConsumerGroupCurrentMemberAssignmentValue:
        """Returns the record of its current assignment."""
        return ConsumerGroupCurrentMemberAssignmentValue(
            member_epoch=self.epoch,
            previous_member_epoch=self.previous_epoch,
            state=self.state,
            assigned=_owned_fields(self.assigned),
            partitions_pending_revocation=_owned_fields(self.revoking),
        )


def _owned(fields: Iterable[OwnedTopicPartitions]) -> Owned:
    owned: dict[TopicPartition, int] = {}
    for topic_id, partitions, epochs in fields:
        # Records of releases before 4.3 have no epochs: any commit of the member is then as good as another.
        for number, epoch in zip(partitions, epochs or (0,) * len(partitions), strict=True):
            owned[topic_id, number] = epoch
    return owned


def _owned_fields(owned: Owned) -> tuple[OwnedTopicPartitions, ...]:
    by_topic: dict[str, list[tuple[int, int]]] = {}
    for (topic_id, number), epoch in owned.items():
        by_topic.setdefault(topic_id, []).append((number, epoch))
    fields = []
    for topic_id in sorted(by_topic):
        numbers, epochs = zip(*sorted(by_topic[topic_id]), strict=True)
        fields.append(OwnedTopicPartitions(topic_id, numbers, epochs))
    return tuple(fields)


def protocols_of(member: Member) -> frozenset[str]:
    """Returns the names of the assignors that a member of the classic protocol can use; none of another member."""
    return (
        frozenset(protocol.name for protocol in member.classic.supported_protocols) if member.classic else frozenset()
    )


def assignment_of(fields: Iterable[TopicPartitions]) -> Assignment:
    """Returns the partitions that a record lists by topic."""
    return frozenset((topic_id, number) for topic_id, partitions in fields for number in partitions)


def fields_of(assignment: Iterable[TopicPartition]) -> tuple[TopicPartitions, ...]:
    """Returns partitions as a record lists them: by topic, sorted."""
    by_topic: dict[str, list[int]] = {}
    for topic_id, number in assignment:
        by_topic.setdefault(topic_id, []).append(number)
    return tuple(TopicPartitions(topic_id, tuple(sorted(by_topic[topic_id]))) for topic_id in sorted(by_topic))
