"""What `__consumer_offsets` says: the keys and values of its records, typed.

The key decides the record's type, the value is what the group coordinator remembers for it, and a key without value
(a tombstone) takes that back. Fields are those of Apache Kafka 4.3.1's `group-coordinator` schemas, in their order;
a field that a version lacks has its default. Topic ids are the 22 characters of URL-safe base64 that Kafka prints,
member and group ids are text, epochs and generations 32-bit numbers, times milliseconds since 1970.
"""

from enum import IntEnum
from typing import Final, NamedTuple, TypeAlias

NO_LEADER_EPOCH: Final = -1
NO_TIMESTAMP: Final = -1
ZERO_TOPIC_ID: Final = "A" * 22
"""The topic id of 16 zero bytes: Kafka's "no topic id" where a field can't be left out."""


class OffsetCommitKey(NamedTuple):
    """One partition's committed offset in one group (type 1; the long gone type 0 is read as the same)."""

    group: str
    topic: str
    partition: int


class OffsetCommitValue(NamedTuple):
    """A committed offset."""

    offset: int
    """Of the next record to read."""
    leader_epoch: int = NO_LEADER_EPOCH
    """Of the last record read; -1 if the client did not say (KIP-320)."""
    metadata: str = ""
    """Whatever the client keeps with its offset."""
    commit_timestamp_ms: int = 0
    expire_timestamp_ms: int = NO_TIMESTAMP
    """When the offset expires, if the client itself said for how long to keep it (old clients only), otherwise -1.
    Only version 1 has it, and that has neither leader epoch nor topic id."""
    topic_id: str | None = None
    """Of the topic at the time of the commit, if known (version 4)."""


class GroupMetadataKey(NamedTuple):
    """A classic group (type 2)."""

    group: str


class ClassicMember(NamedTuple):
    """A member of a stable classic group."""

    member_id: str
    group_instance_id: str | None
    """Of a static member (KIP-345)."""
    client_id: str
    client_host: str
    """As Kafka writes it: a slash and the address."""
    rebalance_timeout_ms: int
    """-1 if the record has none (version 0): then the session timeout serves."""
    session_timeout_ms: int
    subscription: bytes
    """The member's metadata for the group's chosen protocol, in the clients' own format."""
    assignment: bytes
    """What the group's leader assigned, in the clients' own format."""


class GroupMetadataValue(NamedTuple):
    """A classic group after a rebalance; without members once it is empty."""

    protocol_type: str
    """"consumer" for consumers; empty in a group that only stores offsets."""
    generation: int
    protocol: str | None
    """The chosen assignor."""
    leader: str | None
    """Member id of the group's leader."""
    current_state_timestamp_ms: int
    """Since when the group is in its state; -1 if unknown."""
    members: tuple[ClassicMember, ...] = ()


class TopicPartitions(NamedTuple):
    """Partitions of one topic."""

    topic_id: str
    partitions: tuple[int, ...]


class OwnedTopicPartitions(NamedTuple):
    """Partitions of one topic that a member holds."""

    topic_id: str
    partitions: tuple[int, ...]
    assignment_epochs: tuple[int, ...] | None = None
    """Member epoch at which each partition came to the member, in the order of `partitions` (KIP-1251): a commit
    with an older member epoch is from before that. None in records of releases before 4.3."""


class ConsumerGroupMetadataKey(NamedTuple):
    """A consumer group of KIP-848 (type 3)."""

    group: str


class ConsumerGroupMetadataValue(NamedTuple):
    """The group epoch: raised when members, subscriptions or subscribed topics change."""

    epoch: int
    metadata_hash: int = 0
    """Of the subscribed topics, their partition counts and racks (KIP-1101); 0 if there are none. Signed, 64 bits."""


class ConsumerGroupPartitionMetadataKey(NamedTuple):
    """What a group knew of its topics before Kafka 4.1 (type 4). Only tombstones are written."""

    group: str


class PartitionRacks(NamedTuple):
    """The racks of one partition's replicas."""

    partition: int
    racks: tuple[str, ...]


class TopicMetadata(NamedTuple):
    """A subscribed topic as a group saw it."""

    topic_id: str
    topic: str
    partition_count: int
    partition_racks: tuple[PartitionRacks, ...]
    """Empty if no rack is known."""


class ConsumerGroupPartitionMetadataValue(NamedTuple):
    """A group's topics, in place of which Kafka 4.1 and later keep a hash. It is read and never written."""

    topics: tuple[TopicMetadata, ...]


class ConsumerGroupMemberMetadataKey(NamedTuple):
    """A member of a consumer group (type 5)."""

    group: str
    member_id: str


class ClassicProtocol(NamedTuple):
    """One assignor that a member with the classic protocol supports."""

    name: str
    metadata: bytes
    """The member's subscription in the clients' own format."""


class ClassicMemberMetadata(NamedTuple):
    """What only a member with the classic protocol (JoinGroup) has, in a consumer group."""

    session_timeout_ms: int
    supported_protocols: tuple[ClassicProtocol, ...]


class ConsumerGroupMemberMetadataValue(NamedTuple):
    """Who a member is and what it subscribes to."""

    instance_id: str | None
    """Of a static member."""
    rack_id: str | None
    client_id: str
    client_host: str
    subscribed_topic_names: tuple[str, ...]
    """Sorted, when Kafka writes them."""
    subscribed_topic_regex: str | None
    """RE2 syntax. Kafka writes an empty text as readily as None for "no expression"."""
    rebalance_timeout_ms: int
    server_assignor: str | None
    """The assignor that the member asks for; None leaves it to the server."""
    classic_member_metadata: ClassicMemberMetadata | None = None


class ConsumerGroupTargetAssignmentMetadataKey(NamedTuple):
    """The assignment of a consumer group (type 6)."""

    group: str


class ConsumerGroupTargetAssignmentMetadataValue(NamedTuple):
    """Which group epoch the target assignment is for. Written after the members' assignments."""

    assignment_epoch: int
    assignment_timestamp_ms: int = 0
    """When the assignor had finished (KIP-1263); 0 in records of releases before 4.3."""


class ConsumerGroupTargetAssignmentMemberKey(NamedTuple):
    """The target assignment of one member (type 7)."""

    group: str
    member_id: str


class ConsumerGroupTargetAssignmentMemberValue(NamedTuple):
    """The partitions that a member is to have in the end."""

    assignment: tuple[TopicPartitions, ...]


class MemberState(IntEnum):
    """How far a member of a consumer group is with its assignment; its number in the record."""

    STABLE = 0
    """It has all that the target assignment of its epoch gives it."""
    UNREVOKED_PARTITIONS = 1
    """It has yet to give up partitions."""
    UNRELEASED_PARTITIONS = 2
    """It waits for partitions that others have yet to give up."""
    UNKNOWN = 127
    """A number of a later release."""


class ConsumerGroupCurrentMemberAssignmentKey(NamedTuple):
    """What one member holds now (type 8)."""

    group: str
    member_id: str


class ConsumerGroupCurrentMemberAssignmentValue(NamedTuple):
    """Where a member is on its way to its target assignment."""

    member_epoch: int
    """-1 and -2 have Kafka's meaning: left, and left as a static member that may return."""
    previous_member_epoch: int
    state: MemberState
    assigned: tuple[OwnedTopicPartitions, ...]
    partitions_pending_revocation: tuple[OwnedTopicPartitions, ...]


class ConsumerGroupRegularExpressionKey(NamedTuple):
    """A regular expression that members of a consumer group subscribe to (type 16)."""

    group: str
    regular_expression: str


class ConsumerGroupRegularExpressionValue(NamedTuple):
    """The topics that a regular expression matched."""

    topics: tuple[str, ...]
    """Names, sorted when Kafka writes them."""
    version: int
    """Of the cluster's metadata that it was matched against."""
    timestamp_ms: int


GroupKey: TypeAlias = (
    OffsetCommitKey
    | GroupMetadataKey
    | ConsumerGroupMetadataKey
    | ConsumerGroupPartitionMetadataKey
    | ConsumerGroupMemberMetadataKey
    | ConsumerGroupTargetAssignmentMetadataKey
    | ConsumerGroupTargetAssignmentMemberKey
    | ConsumerGroupCurrentMemberAssignmentKey
    | ConsumerGroupRegularExpressionKey
)
GroupValue: TypeAlias = (
    OffsetCommitValue
    | GroupMetadataValue
    | ConsumerGroupMetadataValue
    | ConsumerGroupPartitionMetadataValue
    | ConsumerGroupMemberMetadataValue
    | ConsumerGroupTargetAssignmentMetadataValue
    | ConsumerGroupTargetAssignmentMemberValue
    | ConsumerGroupCurrentMemberAssignmentValue
    | ConsumerGroupRegularExpressionValue
)
