"""Records as Apache Kafka's DumpLogSegments prints them, in the versions that are written here."""

import json
import re
from base64 import b64encode
from collections.abc import Iterable
from typing import Any, NamedTuple
from unittest.mock import ANY

from logserver.coordinator.formats import (
    ClassicMember,
    ClassicMemberMetadata,
    ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupCurrentMemberAssignmentValue,
    ConsumerGroupMemberMetadataKey,
    ConsumerGroupMemberMetadataValue,
    ConsumerGroupMetadataKey,
    ConsumerGroupMetadataValue,
    ConsumerGroupPartitionMetadataKey,
    ConsumerGroupRegularExpressionKey,
    ConsumerGroupRegularExpressionValue,
    ConsumerGroupTargetAssignmentMemberKey,
    ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataKey,
    ConsumerGroupTargetAssignmentMetadataValue,
    GroupMetadataKey,
    GroupMetadataValue,
    Key,
    OffsetCommitKey,
    OffsetCommitValue,
    OwnedTopicPartitions,
    ShareGroupCurrentMemberAssignmentKey,
    ShareGroupCurrentMemberAssignmentValue,
    ShareGroupMemberMetadataKey,
    ShareGroupMemberMetadataValue,
    ShareGroupMetadataKey,
    ShareGroupMetadataValue,
    ShareGroupStatePartitionMetadataKey,
    ShareGroupStatePartitionMetadataValue,
    ShareGroupTargetAssignmentMemberKey,
    ShareGroupTargetAssignmentMemberValue,
    ShareGroupTargetAssignmentMetadataKey,
    ShareGroupTargetAssignmentMetadataValue,
    ShareTopicPartitions,
    TopicPartitions,
    Value,
)

_RECORD = re.compile(r"^\| offset: (\d+) .* key: (\{.*\}) payload: (.*)$", re.MULTILINE)


class Dumped(NamedTuple):
    """One record of the tool's output: its key, and its value, None of a tombstone, each {type or version, data}."""

    offset: int
    key: Any
    value: Any


def records_of(output: str) -> list[Dumped]:
    """Returns the records of what `DumpLogSegments --offsets-decoder` printed."""
    return [
        Dumped(int(offset), json.loads(key), None if payload == "<DELETE>" else json.loads(payload))
        for offset, key, payload in _RECORD.findall(output)
    ]


def expected(offset: int, key: Key, value: Value | None) -> Dumped:
    """Returns what the tool is to print of a record."""
    return Dumped(offset, _key(key), None if value is None else _value(value))


def _key(key: Key) -> Any:
    match key:
        case OffsetCommitKey(group, topic, partition):
            return _typed(1, group=group, topic=topic, partition=partition)
        case GroupMetadataKey(group):
            return _typed(2, group=group)
        case ConsumerGroupMetadataKey(group):
            return _typed(3, groupId=group)
        case ConsumerGroupPartitionMetadataKey(group):
            return _typed(4, groupId=group)
        case ConsumerGroupMemberMetadataKey(group, member_id):
            return _typed(5, groupId=group, memberId=member_id)
        case ConsumerGroupTargetAssignmentMetadataKey(group):
            return _typed(6, groupId=group)
        case ConsumerGroupTargetAssignmentMemberKey(group, member_id):
            return _typed(7, groupId=group, memberId=member_id)
        case ConsumerGroupCurrentMemberAssignmentKey(group, member_id):
            return _typed(8, groupId=group, memberId=member_id)
        case ConsumerGroupRegularExpressionKey(group, expression):
            return _typed(16, groupId=group, regularExpression=expression)
        case ShareGroupMemberMetadataKey(group, member_id):
            return _typed(10, groupId=group, memberId=member_id)
        case ShareGroupMetadataKey(group):
            return _typed(11, groupId=group)
        case ShareGroupTargetAssignmentMetadataKey(group):
            return _typed(12, groupId=group)
        case ShareGroupTargetAssignmentMemberKey(group, member_id):
            return _typed(13, groupId=group, memberId=member_id)
        case ShareGroupCurrentMemberAssignmentKey(group, member_id):
            return _typed(14, groupId=group, memberId=member_id)
        case ShareGroupStatePartitionMetadataKey(group):
            return _typed(15, groupId=group)


def _typed(number: int, **data: Any) -> Any:
    return {"type": str(number), "data": data}


def _versioned(number: int, /, **data: Any) -> Any:
    return {"version": str(number), "data": data}


def _value(value: Value) -> Any:
    match value:
        case OffsetCommitValue(offset, leader_epoch, metadata, commit_ms, -1, topic_id):
            more: dict[str, Any] = {} if topic_id is None else {"topicId": topic_id}
            return _versioned(
                4, offset=offset, leaderEpoch=leader_epoch, metadata=metadata, commitTimestamp=commit_ms, **more
            )
        case OffsetCommitValue(offset, _, metadata, commit_ms, expire_ms, _):
            return _versioned(1, offset=offset, metadata=metadata, commitTimestamp=commit_ms, expireTimestamp=expire_ms)
        case GroupMetadataValue():
            return _versioned(
                3,
                protocolType=value.protocol_type,
                generation=value.generation,
                protocol=value.protocol,
                leader=value.leader,
                currentStateTimestamp=value.current_state_timestamp_ms,
                members=[_classic_member(member, value.protocol_type) for member in value.members],
            )
        case ConsumerGroupMetadataValue(epoch, metadata_hash):
            return _versioned(0, epoch=epoch, **({"metadataHash": metadata_hash} if metadata_hash else {}))
        case ConsumerGroupMemberMetadataValue():
            return _versioned(
                0,
                instanceId=value.instance_id,
                rackId=value.rack_id,
                clientId=value.client_id,
                clientHost=value.client_host,
                subscribedTopicNames=list(value.subscribed_topic_names),
                subscribedTopicRegex=value.subscribed_topic_regex,
                rebalanceTimeoutMs=value.rebalance_timeout_ms,
                serverAssignor=value.server_assignor,
                **_classic_metadata(value.classic_member_metadata),
            )
        case ConsumerGroupTargetAssignmentMetadataValue(epoch, timestamp_ms):
            more = {"assignmentTimestamp": timestamp_ms} if timestamp_ms else {}
            return _versioned(0, assignmentEpoch=epoch, **more)
        case ConsumerGroupTargetAssignmentMemberValue(assignment):
            return _versioned(0, topicPartitions=_assignment(assignment))
        case ConsumerGroupCurrentMemberAssignmentValue():
            return _versioned(
                0,
                memberEpoch=value.member_epoch,
                previousMemberEpoch=value.previous_member_epoch,
                state=int(value.state),
                assignedPartitions=_owned(value.assigned),
                partitionsPendingRevocation=_owned(value.partitions_pending_revocation),
            )
        case ConsumerGroupRegularExpressionValue(topics, version, timestamp_ms):
            # Not by keyword: a field is called "version".
            return {"version": "0", "data": {"topics": list(topics), "version": version, "timestamp": timestamp_ms}}
        case ShareGroupMemberMetadataValue(rack_id, client_id, client_host, names):
            return _versioned(
                0, rackId=rack_id, clientId=client_id, clientHost=client_host, subscribedTopicNames=list(names)
            )
        case ShareGroupMetadataValue(epoch, metadata_hash):
            return _versioned(0, epoch=epoch, metadataHash=metadata_hash)
        case ShareGroupTargetAssignmentMetadataValue(epoch, timestamp_ms):
            more = {"assignmentTimestamp": timestamp_ms} if timestamp_ms else {}
            return _versioned(0, assignmentEpoch=epoch, **more)
        case ShareGroupTargetAssignmentMemberValue(assignment):
            return _versioned(0, topicPartitions=_assignment(assignment))
        case ShareGroupCurrentMemberAssignmentValue(epoch, previous, state, assignment):
            return _versioned(
                0,
                memberEpoch=epoch,
                previousMemberEpoch=previous,
                state=state,
                assignedPartitions=_assignment(assignment),
            )
        case ShareGroupStatePartitionMetadataValue(initializing, initialized, deleting):
            return _versioned(
                0,
                initializingTopics=_share_topics(initializing),
                initializedTopics=_share_topics(initialized),
                deletingTopics=[{"topicId": topic_id, "topicName": topic} for topic_id, topic in deleting],
            )
        case _:
            raise TypeError(f"{type(value).__name__} is not written")


def _classic_member(member: ClassicMember, protocol_type: str) -> Any:
    # What consumers wrote themselves the tool takes apart, which is not this format's matter.
    is_consumer = protocol_type == "consumer"
    return {
        "memberId": member.member_id,
        "groupInstanceId": member.group_instance_id,
        "clientId": member.client_id,
        "clientHost": member.client_host,
        "rebalanceTimeout": member.rebalance_timeout_ms,
        "sessionTimeout": member.session_timeout_ms,
        "subscription": ANY if is_consumer else b64encode(member.subscription).decode(),
        "assignment": ANY if is_consumer else b64encode(member.assignment).decode(),
    }


def _classic_metadata(metadata: ClassicMemberMetadata | None) -> dict[str, Any]:
    if metadata == ClassicMemberMetadata(0, ()):
        return {}
    printed = metadata and {
        "sessionTimeoutMs": metadata.session_timeout_ms,
        "supportedProtocols": [
            {"name": name, "metadata": b64encode(data).decode()} for name, data in metadata.supported_protocols
        ],
    }
    return {"classicMemberMetadata": printed}


def _owned(topics: Iterable[OwnedTopicPartitions]) -> Any:
    printed = []
    for topic_id, partitions, epochs in topics:
        more = {"assignmentEpochs": list(epochs)} if epochs else {}
        printed.append({"topicId": topic_id, "partitions": list(partitions), **more})
    return printed


def _assignment(topics: Iterable[TopicPartitions]) -> Any:
    return [{"topicId": topic_id, "partitions": list(partitions)} for topic_id, partitions in topics]


def _share_topics(topics: Iterable[ShareTopicPartitions]) -> Any:
    return [
        {"topicId": topic_id, "topicName": topic, "partitions": list(partitions)}
        for topic_id, topic, partitions in topics
    ]
