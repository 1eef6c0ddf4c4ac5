"""DescribeTopicPartitions (key 75), version 0.

Behavior: describes topics, those asked for or all, in the order of their names and up to a number of partitions
(`max.request.partition.size.limit` at most); where there is more, the answer says where to go on. Topics that are not
there are told only where they were asked for by name.

Version notes: there is one version.

Source: KIP-966; Apache Kafka: `DescribeTopicPartitionsRequestHandler`.

Not done: eligible leader replicas; one node has none besides its leader.
"""

from typing import Any, Final

from logserver.broker import Broker, Topic
from logserver.broker.topics import INTERNAL_TOPICS, check_name
from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.cluster import TOPIC_OPERATIONS
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.topic_descriptions import partition_description


def _handle(call: Call, request: Struct) -> Response:
    broker = call.services.broker
    cursor = request.cursor
    first = cursor.topic_name if cursor is not None else ""
    names = [topic.name for topic in request.topics]
    is_all = not names
    if is_all:
        names = [topic.name for topic in broker.topics()]
    elif cursor is not None and first not in names:
        raise LogServerError(ErrorCode.invalid_request, f"the cursor names {first!r}, which is none of the topics")
    if cursor is not None and cursor.partition_index < 0:
        raise LogServerError(ErrorCode.invalid_request, f"the cursor names partition {cursor.partition_index}")
    left = max(min(request.response_partition_limit, call.services.settings.max_request_partition_size_limit), 1)
    described: list[dict[str, Any]] = []
    following = None
    for name in sorted({name for name in names if name >= first}):
        if not left:
            following = {"topic_name": name, "partition_index": 0}
            break
        topic = broker.find_topic(name)
        if topic is None:
            described.append(_unknown(name))
            continue
        start = cursor.partition_index if cursor is not None and name == first else 0
        partitions = _partitions(broker, topic, start, left)
        described.append(
            {
                "name": name,
                "topic_id": topic.record.topic_id,
                "is_internal": topic.internal,
                "partitions": partitions,
                "topic_authorized_operations": TOPIC_OPERATIONS,
            }
        )
        left -= len(partitions)
        if start + len(partitions) < len(topic.partitions):
            following = {"topic_name": name, "partition_index": start + len(partitions)}
            break
    return {"topics": described, "next_cursor": following}


def _partitions(broker: Broker, topic: Topic, start: int, most: int) -> list[dict[str, Any]]:
    none: dict[str, Any] = {"eligible_leader_replicas": (), "last_known_elr": ()}
    node_id = broker.node.node_id
    return [partition_description(found, node_id) | none for found in topic.partitions[start : start + most]]


def _unknown(name: str) -> dict[str, Any]:
    error = ErrorCode.unknown_topic_or_partition
    try:
        if name not in INTERNAL_TOPICS:
            check_name(name)
    except LogServerError as refused:
        error = refused.code
    return {
        "error_code": error.value,
        "name": name,
        "is_internal": name in INTERNAL_TOPICS,
        "topic_authorized_operations": TOPIC_OPERATIONS,
    }


def _failed(request: Struct, code: int, message: str) -> Response:
    return {"topics": [{"error_code": code, "name": topic.name} for topic in request.topics]}


API: Final = Api(75, "DescribeTopicPartitions", 0, 0, handle=_handle, failed=_failed)
