"""The state of a share group of KIP-932: group, members, target assignment, what each has, whose state is kept.

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
    compact_int32_array,
    compact_nullable_string,
    compact_string,
    one_tag,
    topic_id_bytes,
)
from logserver.coordinator.formats.records import TopicPartitions
from logserver.coordinator.formats.share_records import (
    ShareGroupCurrentMemberAssignmentValue,
    ShareGroupMemberMetadataValue,
    ShareGroupMetadataValue,
    ShareGroupStatePartitionMetadataValue,
    ShareGroupTargetAssignmentMemberValue,
    ShareGroupTargetAssignmentMetadataValue,
    ShareTopic,
    ShareTopicPartitions,
)

VERSIONS: Final = range(1)

_VERSION: Final = INT16.pack(0)

# The least bytes that an element of each array takes.
_TOPIC_PARTITIONS_BYTES: Final = 18
_SHARE_TOPIC_PARTITIONS_BYTES: Final = 19
_SHARE_TOPIC_BYTES: Final = 18


def _open(data: bytes, what: str) -> Reader:
    reader = Reader(data, f"value of a share group's {what}")
    reader.int16("version")
    return reader


def encode_member(value: ShareGroupMemberMetadataValue) -> bytes:
    return b"".join(
        (
            _VERSION,
            compact_nullable_string(value.rack_id, "rack id"),
            compact_string(value.client_id, "client id"),
            compact_string(value.client_host, "client host"),
            compact_array([compact_string(name, "topic name") for name in value.subscribed_topic_names]),
            NO_TAGS,
        )
    )


def decode_member(data: bytes) -> ShareGroupMemberMetadataValue:
    reader = _open(data, "member")
    value = ShareGroupMemberMetadataValue(
        rack_id=reader.compact_nullable_string("rack id"),
        client_id=reader.compact_string("client id"),
        client_host=reader.compact_string("client host"),
        subscribed_topic_names=reader.compact_string_array("subscribed topic names"),
    )
    _close(reader)
    return value


def _close(reader: Reader) -> None:
    reader.tagged_field()
    reader.finish()


def encode_group(value: ShareGroupMetadataValue) -> bytes:
    return _VERSION + INT32.pack(value.epoch) + INT64.pack(value.metadata_hash) + NO_TAGS


def decode_group(data: bytes) -> ShareGroupMetadataValue:
    reader = _open(data, "epoch")
    value = ShareGroupMetadataValue(reader.int32("epoch"), reader.int64("metadata hash"))
    _close(reader)
    return value


def encode_target_metadata(value: ShareGroupTargetAssignmentMetadataValue) -> bytes:
    tags = one_tag(INT64.pack(value.assignment_timestamp_ms)) if value.assignment_timestamp_ms else NO_TAGS
    return _VERSION + INT32.pack(value.assignment_epoch) + tags


def decode_target_metadata(data: bytes) -> ShareGroupTargetAssignmentMetadataValue:
    reader = _open(data, "target assignment")
    epoch, timestamp_ms = reader.int32("assignment epoch"), 0
    tagged = reader.tagged_field(0)
    if tagged is not None:
        timestamp_ms = tagged.int64("assignment timestamp")
        tagged.finish()
    reader.finish()
    return ShareGroupTargetAssignmentMetadataValue(epoch, timestamp_ms)


def encode_target_member(value: ShareGroupTargetAssignmentMemberValue) -> bytes:
    return _VERSION + _assignment(value.assignment) + NO_TAGS


def decode_target_member(data: bytes) -> ShareGroupTargetAssignmentMemberValue:
    reader = _open(data, "member's target assignment")
    value = ShareGroupTargetAssignmentMemberValue(_read_assignment(reader))
    _close(reader)
    return value


def _assignment(assignment: tuple[TopicPartitions, ...]) -> bytes:
    return compact_array(
        [topic_id_bytes(topic_id) + compact_int32_array(partitions) + NO_TAGS for topic_id, partitions in assignment]
    )


def _read_assignment(reader: Reader) -> tuple[TopicPartitions, ...]:
    return reader.compact_array("topic partitions", _read_topic_partitions, _TOPIC_PARTITIONS_BYTES)


def _read_topic_partitions(reader: Reader) -> TopicPartitions:
    topic = TopicPartitions(reader.topic_id("topic id"), reader.compact_int32_array("partitions"))
    reader.tagged_field()
    return topic


def encode_current(value: ShareGroupCurrentMemberAssignmentValue) -> bytes:
    return b"".join(
        (
            _VERSION,
            INT32.pack(value.member_epoch),
            INT32.pack(value.previous_member_epoch),
            INT8.pack(value.state),
            _assignment(value.assigned),
            NO_TAGS,
        )
    )


def decode_current(data: bytes) -> ShareGroupCurrentMemberAssignmentValue:
    reader = _open(data, "member's current assignment")
    value = ShareGroupCurrentMemberAssignmentValue(
        member_epoch=reader.int32("member epoch"),
        previous_member_epoch=reader.int32("previous member epoch"),
        state=reader.int8("state"),
        assigned=_read_assignment(reader),
    )
    _close(reader)
    return value


def encode_state_partitions(value: ShareGroupStatePartitionMetadataValue) -> bytes:
    deleting = [
        topic_id_bytes(topic_id) + compact_string(topic, "topic name") + NO_TAGS for topic_id, topic in value.deleting
    ]
    return b"".join(
        (
            _VERSION,
            _share_topics(value.initializing),
            _share_topics(value.initialized),
            compact_array(deleting),
            NO_TAGS,
        )
    )


def _share_topics(topics: tuple[ShareTopicPartitions, ...]) -> bytes:
    return compact_array(
        [
            topic_id_bytes(topic_id) + compact_string(topic, "topic name") + compact_int32_array(partitions) + NO_TAGS
            for topic_id, topic, partitions in topics
        ]
    )


def decode_state_partitions(data: bytes) -> ShareGroupStatePartitionMetadataValue:
    reader = _open(data, "partitions with a state")
    value = ShareGroupStatePartitionMetadataValue(
        initializing=reader.compact_array("initializing topics", _read_share_topic, _SHARE_TOPIC_PARTITIONS_BYTES),
        initialized=reader.compact_array("initialized topics", _read_share_topic, _SHARE_TOPIC_PARTITIONS_BYTES),
        deleting=reader.compact_array("deleting topics", _read_deleting, _SHARE_TOPIC_BYTES),
    )
    _close(reader)
    return value


def _read_share_topic(reader: Reader) -> ShareTopicPartitions:
    topic = ShareTopicPartitions(
        reader.topic_id("topic id"), reader.compact_string("topic name"), reader.compact_int32_array("partitions")
    )
    reader.tagged_field()
    return topic


def _read_deleting(reader: Reader) -> ShareTopic:
    topic = ShareTopic(reader.topic_id("topic id"), reader.compact_string("topic name"))
    reader.tagged_field()
    return topic
