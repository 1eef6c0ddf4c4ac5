"""The state of a consumer group of KIP-848: group, members, target assignment, what each member holds, expressions.

All values have version 0 only, and all are flexible. New fields come as tagged fields, which older releases pass by.
"""

from typing import Final

from logserver.coordinator.formats.primitives import (
    INT8,
    INT16,
    INT32,
    INT64,
    NO_TAGS,
    Reader,
    compact_array,
    compact_bytes,
    compact_int32_array,
    compact_nullable_string,
    compact_string,
    one_tag,
    topic_id_bytes,
)
from logserver.coordinator.formats.records import (
    ClassicMemberMetadata,
    ClassicProtocol,
    ConsumerGroupCurrentMemberAssignmentValue,
    ConsumerGroupMemberMetadataValue,
    ConsumerGroupMetadataValue,
    ConsumerGroupPartitionMetadataValue,
    ConsumerGroupRegularExpressionValue,
    ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataValue,
    MemberState,
    OwnedTopicPartitions,
    PartitionRacks,
    TopicMetadata,
    TopicPartitions,
)

VERSIONS: Final = range(1)

_VERSION: Final = INT16.pack(0)
_NULL: Final = b"\x00"
_PRESENT: Final = b"\x01"
_MEMBER_STATES: Final = {int(state): state for state in MemberState}
_NO_CLASSIC_MEMBER: Final = ClassicMemberMetadata(0, ())

# The least bytes that an element of each array takes.
_TOPIC_PARTITIONS_BYTES: Final = 18
_TOPIC_METADATA_BYTES: Final = 23
_PARTITION_RACKS_BYTES: Final = 6
_PROTOCOL_BYTES: Final = 3


def _open(data: bytes, what: str) -> Reader:
    reader = Reader(data, f"value of {what}")
    reader.int16("version")
    return reader


def encode_group(value: ConsumerGroupMetadataValue) -> bytes:
    tags = one_tag(INT64.pack(value.metadata_hash)) if value.metadata_hash else NO_TAGS
    return _VERSION + INT32.pack(value.epoch) + tags


def decode_group(data: bytes) -> ConsumerGroupMetadataValue:
    reader = _open(data, "a consumer group")
    epoch = reader.int32("epoch")
    metadata_hash = _tagged_int64(reader, "metadata hash")
    reader.finish()
    return ConsumerGroupMetadataValue(epoch, metadata_hash)


def _tagged_int64(reader: Reader, field: str) -> int:
    tagged = reader.tagged_field(0)
    if tagged is None:
        return 0
    number = tagged.int64(field)
    tagged.finish()
    return number


def decode_partition_metadata(data: bytes) -> ConsumerGroupPartitionMetadataValue:
    reader = _open(data, "a consumer group's topics")
    topics = reader.compact_array("topics", _read_topic_metadata, _TOPIC_METADATA_BYTES)
    reader.tagged_field()
    reader.finish()
    return ConsumerGroupPartitionMetadataValue(topics)


def _read_topic_metadata(reader: Reader) -> TopicMetadata:
    topic = TopicMetadata(
        reader.topic_id("topic id"),
        reader.compact_string("topic name"),
        reader.int32("number of partitions"),
        reader.compact_array("partition metadata", _read_partition_racks, _PARTITION_RACKS_BYTES),
    )
    reader.tagged_field()
    return topic


def _read_partition_racks(reader: Reader) -> PartitionRacks:
    racks = PartitionRacks(reader.int32("partition"), reader.compact_string_array("racks"))
    reader.tagged_field()
    return racks


def encode_member(value: ConsumerGroupMemberMetadataValue) -> bytes:
    return b"".join(
        (
            _VERSION,
            compact_nullable_string(value.instance_id, "instance id"),
            compact_nullable_string(value.rack_id, "rack id"),
            compact_string(value.client_id, "client id"),
            compact_string(value.client_host, "client host"),
            compact_array([compact_string(name, "topic name") for name in value.subscribed_topic_names]),
            compact_nullable_string(value.subscribed_topic_regex, "subscribed topic regex"),
            INT32.pack(value.rebalance_timeout_ms),
            compact_nullable_string(value.server_assignor, "server assignor"),
            _classic_member_tag(value.classic_member_metadata),
        )
    )


def _classic_member_tag(value: ClassicMemberMetadata | None) -> bytes:
    # Kafka's schema says that this field is null where it is left out, but its generated code takes that for a struct
    # of defaults (a JSON null as default, where it looks for the word "null"), and so writes every null.
    if value is None:
        return one_tag(_NULL)
    if value == _NO_CLASSIC_MEMBER:
        return NO_TAGS
    protocols = [
        compact_string(name, "protocol name") + compact_bytes(metadata) + NO_TAGS
        for name, metadata in value.supported_protocols
    ]
    return one_tag(_PRESENT + INT32.pack(value.session_timeout_ms) + compact_array(protocols) + NO_TAGS)


def decode_member(data: bytes) -> ConsumerGroupMemberMetadataValue:
    reader = _open(data, "a consumer group's member")
    value = ConsumerGroupMemberMetadataValue(
        instance_id=reader.compact_nullable_string("instance id"),
        rack_id=reader.compact_nullable_string("rack id"),
        client_id=reader.compact_string("client id"),
        client_host=reader.compact_string("client host"),
        subscribed_topic_names=reader.compact_string_array("subscribed topic names"),
        subscribed_topic_regex=reader.compact_nullable_string("subscribed topic regex"),
        rebalance_timeout_ms=reader.int32("rebalance timeout"),
        server_assignor=reader.compact_nullable_string("server assignor"),
        classic_member_metadata=_read_classic_member(reader),
    )
    reader.finish()
    return value


def _read_classic_member(reader: Reader) -> ClassicMemberMetadata | None:
    tagged = reader.tagged_field(0)
    if tagged is None:
        return _NO_CLASSIC_MEMBER
    value = None
    if tagged.unsigned_varint("mark of the classic member metadata"):
        session_timeout_ms = tagged.int32("session timeout")
        protocols = tagged.compact_array("supported protocols", _read_protocol, _PROTOCOL_BYTES)
        tagged.tagged_field()
        value = ClassicMemberMetadata(session_timeout_ms, protocols)
    tagged.finish()
    return value


def _read_protocol(reader: Reader) -> ClassicProtocol:
    protocol = ClassicProtocol(reader.compact_string("protocol name"), reader.compact_bytes("protocol metadata"))
    reader.tagged_field()
    return protocol


def encode_target_metadata(value: ConsumerGroupTargetAssignmentMetadataValue) -> bytes:
    tags = one_tag(INT64.pack(value.assignment_timestamp_ms)) if value.assignment_timestamp_ms else NO_TAGS
    return _VERSION + INT32.pack(value.assignment_epoch) + tags


def decode_target_metadata(data: bytes) -> ConsumerGroupTargetAssignmentMetadataValue:
    reader = _open(data, "a target assignment")
    epoch = reader.int32("assignment epoch")
    timestamp_ms = _tagged_int64(reader, "assignment timestamp")
    reader.finish()
    return ConsumerGroupTargetAssignmentMetadataValue(epoch, timestamp_ms)


def encode_target_member(value: ConsumerGroupTargetAssignmentMemberValue) -> bytes:
    topics = [
        topic_id_bytes(topic_id) + compact_int32_array(partitions) + NO_TAGS
        for topic_id, partitions in value.assignment
    ]
    return _VERSION + compact_array(topics) + NO_TAGS


def decode_target_member(data: bytes) -> ConsumerGroupTargetAssignmentMemberValue:
    reader = _open(data, "a member's target assignment")
    topics = reader.compact_array("topic partitions", _read_topic_partitions, _TOPIC_PARTITIONS_BYTES)
    reader.tagged_field()
    reader.finish()
    return ConsumerGroupTargetAssignmentMemberValue(topics)


def _read_topic_partitions(reader: Reader) -> TopicPartitions:
    topic = TopicPartitions(reader.topic_id("topic id"), reader.compact_int32_array("partitions"))
    reader.tagged_field()
    return topic


def encode_current(value: ConsumerGroupCurrentMemberAssignmentValue) -> bytes:
    return b"".join(
        (
            _VERSION,
            INT32.pack(value.member_epoch),
            INT32.pack(value.previous_member_epoch),
            INT8.pack(value.state),
            compact_array([_owned(topic) for topic in value.assigned]),
            compact_array([_owned(topic) for topic in value.partitions_pending_revocation]),
            NO_TAGS,
        )
    )


def _owned(topic: OwnedTopicPartitions) -> bytes:
    topic_id, partitions, epochs = topic
    data = topic_id_bytes(topic_id) + compact_int32_array(partitions)
    if epochs is None:
        return data + NO_TAGS
    if len(epochs) != len(partitions):
        raise ValueError(f"{len(epochs)} assignment epochs for {len(partitions)} partitions of topic {topic_id}")
    return data + (one_tag(compact_int32_array(epochs)) if epochs else NO_TAGS)


def decode_current(data: bytes) -> ConsumerGroupCurrentMemberAssignmentValue:
    reader = _open(data, "a member's current assignment")
    value = ConsumerGroupCurrentMemberAssignmentValue(
        member_epoch=reader.int32("member epoch"),
        previous_member_epoch=reader.int32("previous member epoch"),
        state=_MEMBER_STATES.get(reader.int8("state"), MemberState.UNKNOWN),
        assigned=reader.compact_array("assigned partitions", _read_owned, _TOPIC_PARTITIONS_BYTES),
        partitions_pending_revocation=reader.compact_array(
            "partitions pending revocation", _read_owned, _TOPIC_PARTITIONS_BYTES
        ),
    )
    reader.tagged_field()
    reader.finish()
    return value


def _read_owned(reader: Reader) -> OwnedTopicPartitions:
    topic_id = reader.topic_id("topic id")
    partitions = reader.compact_int32_array("partitions")
    epochs = None
    if (tagged := reader.tagged_field(0)) is not None:
        epochs = tagged.compact_nullable_int32_array("assignment epochs")
        tagged.finish()
        if epochs is not None and len(epochs) != len(partitions):
            epochs = None  # As Kafka (`Utils.assignmentFromTopicPartitions`): they can't be told apart, so none count.
    return OwnedTopicPartitions(topic_id, partitions, epochs or None)


def encode_regular_expression(value: ConsumerGroupRegularExpressionValue) -> bytes:
    names = compact_array([compact_string(name, "topic name") for name in value.topics])
    return _VERSION + names + INT64.pack(value.version) + INT64.pack(value.timestamp_ms) + NO_TAGS


def decode_regular_expression(data: bytes) -> ConsumerGroupRegularExpressionValue:
    reader = _open(data, "a regular expression")
    value = ConsumerGroupRegularExpressionValue(
        reader.compact_string_array("topics"), reader.int64("version"), reader.int64("timestamp")
    )
    reader.tagged_field()
    reader.finish()
    return value
