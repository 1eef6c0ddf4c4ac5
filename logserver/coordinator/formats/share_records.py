"""What `__consumer_offsets` says of share groups (KIP-932): the keys and values of its records, typed.

As in `records.py`: fields are those of Apache Kafka 4.3.1's schemas, in their order.
"""

from typing import NamedTuple, TypeAlias

from logserver.coordinator.formats.records import TopicPartitions


class ShareGroupMemberMetadataKey(NamedTuple):
    """A member of a share group (type 10)."""

    group: str
    member_id: str


class ShareGroupMemberMetadataValue(NamedTuple):
    """Who a member is and what it subscribes to."""

    rack_id: str | None
    client_id: str
    client_host: str
    subscribed_topic_names: tuple[str, ...]
    """Sorted, when Kafka writes them."""


class ShareGroupMetadataKey(NamedTuple):
    """A share group (type 11)."""

    group: str


class ShareGroupMetadataValue(NamedTuple):
    """The group epoch: raised when members, subscriptions, subscribed topics or initialized partitions change."""

    epoch: int
    metadata_hash: int
    """Of the subscribed topics and their partition counts; 0 if there are none. Signed, 64 bits."""


class ShareGroupTargetAssignmentMetadataKey(NamedTuple):
    """The assignment of a share group (type 12)."""

    group: str


class ShareGroupTargetAssignmentMetadataValue(NamedTuple):
    """Which group epoch the target assignment is for. Written after the members' assignments."""

    assignment_epoch: int
    assignment_timestamp_ms: int = 0
    """When the assignor had finished (KIP-1263); 0 in records of releases before 4.3."""


class ShareGroupTargetAssignmentMemberKey(NamedTuple):
    """The target assignment of one member (type 13)."""

    group: str
    member_id: str


class ShareGroupTargetAssignmentMemberValue(NamedTuple):
    """The partitions that a member is to have."""

    assignment: tuple[TopicPartitions, ...]


class ShareGroupCurrentMemberAssignmentKey(NamedTuple):
    """What one member has now (type 14)."""

    group: str
    member_id: str


class ShareGroupCurrentMemberAssignmentValue(NamedTuple):
    """What a member was told last, or will be told at its next heartbeat."""

    member_epoch: int
    previous_member_epoch: int
    state: int
    """0 (stable), always: nobody waits for partitions that all may have."""
    assigned: tuple[TopicPartitions, ...]


class ShareGroupStatePartitionMetadataKey(NamedTuple):
    """Of which partitions the delivery state is kept for a share group (type 15)."""

    group: str


class ShareTopicPartitions(NamedTuple):
    """Partitions of one topic, with its name."""

    topic_id: str
    topic: str
    partitions: tuple[int, ...]


class ShareTopic(NamedTuple):
    """A topic, with its name."""

    topic_id: str
    topic: str


class ShareGroupStatePartitionMetadataValue(NamedTuple):
    """How far `__share_group_state` is with a group's partitions."""

    initializing: tuple[ShareTopicPartitions, ...]
    """Their state has been asked for, and may not be there yet."""
    initialized: tuple[ShareTopicPartitions, ...]
    """They can be assigned."""
    deleting: tuple[ShareTopic, ...]
    """Their state is being taken back."""


ShareKey: TypeAlias = (
    ShareGroupMemberMetadataKey
    | ShareGroupMetadataKey
    | ShareGroupTargetAssignmentMetadataKey
    | ShareGroupTargetAssignmentMemberKey
    | ShareGroupCurrentMemberAssignmentKey
    | ShareGroupStatePartitionMetadataKey
)
ShareValue: TypeAlias = (
    ShareGroupMemberMetadataValue
    | ShareGroupMetadataValue
    | ShareGroupTargetAssignmentMetadataValue
    | ShareGroupTargetAssignmentMemberValue
    | ShareGroupCurrentMemberAssignmentValue
    | ShareGroupStatePartitionMetadataValue
)
