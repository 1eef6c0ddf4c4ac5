"""Metadata (key 3), versions 0 to 13.

Behavior: names this broker by the address that the client's listener is reached by, the cluster id, this node as the
controller, and the topics that are asked for by name or id, or all. A topic that is not there is created if the
request allows it and `auto.create.topics.enable` is on, and told in the same answer: Apache Kafka says
UNKNOWN_TOPIC_OR_PARTITION the first time, and clients ask again. A partition whose log is offline has no leader
(LEADER_NOT_AVAILABLE).

Version notes: 0 takes an empty list for all topics, later ones null. 4 brought allow_auto_topic_creation (before: yes),
5 offline replicas, 7 leader epochs (KIP-320), 8 authorized operations (KIP-430; those of the cluster moved to
DescribeCluster with 11), 10 topic ids in answers, 12 in questions (KIP-516), 13 an error of the whole (KIP-1102).

Source: KIP-4, KIP-204, KIP-320, KIP-430, KIP-516, KIP-1102; Apache Kafka: `KafkaApis.handleTopicMetadataRequest`.

Not done: nothing.
"""

from collections.abc import Awaitable, Iterable
from typing import Any, Final

from logserver.broker import Broker
from logserver.broker.topics import INTERNAL_TOPICS, Topic, check_name
from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.cluster import CLUSTER_OPERATIONS, NOT_ASKED, TOPIC_OPERATIONS, this_broker
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.codec.schema import ZERO_UUID
from logserver.kafka_api.topic_descriptions import partition_description


def _handle(call: Call, request: Struct) -> Response | Awaitable[Response]:
    broker = call.services.broker
    asked = request.topics
    if asked is None or (call.version == 0 and not asked):
        return _response(call, request, [_topic(broker, topic, request) for topic in broker.topics()])
    for topic in asked:
        if call.version < 12 and (topic.name is None or topic.topic_id != ZERO_UUID):
            raise LogServerError(
                ErrorCode.invalid_request, f"version {call.version} of Metadata asks for topics by name; ids need 12"
            )
    ids = dict.fromkeys(topic.topic_id for topic in asked if topic.topic_id != ZERO_UUID)
    if ids:
        return _response(call, request, [_topic_by_id(broker, topic_id, request) for topic_id in ids])
    names = dict.fromkeys(topic.name for topic in asked)
    if None in names:
        raise LogServerError(ErrorCode.invalid_request, "a topic was asked for with neither name nor id")
    creates = request.allow_auto_topic_creation and call.services.settings.auto_create_topics_enable
    if creates and any(broker.find_topic(name) is None for name in names):
        return _create(call, request, names)
    return _response(call, request, [_topic_by_name(broker, name, request) for name in names])


async def _create(call: Call, request: Struct, names: Iterable[str]) -> Response:
    broker = call.services.broker
    topics = []
    for name in names:
        error = None if broker.find_topic(name) is not None else await _create_topic(broker, name)
        topics.append(_topic_by_name(broker, name, request) if error is None else _unknown(name, ZERO_UUID, error))
    return _response(call, request, topics)


async def _create_topic(broker: Broker, name: str) -> ErrorCode | None:
    if name in INTERNAL_TOPICS:
        # They are made when they are first needed.
        return ErrorCode.unknown_topic_or_partition
    try:
        await broker.create_topic(name, 0, {})
    except LogServerError as error:
        # Somebody else may have been faster.
        return None if error.code is ErrorCode.topic_already_exists else error.code
    return None


def _response(call: Call, request: Struct, topics: list[dict[str, Any]]) -> Response:
    node = call.services.broker.node
    return {
        "brokers": (this_broker(call),),
        "cluster_id": node.cluster_id,
        "controller_id": node.node_id,
        "topics": topics,
        "cluster_authorized_operations": (
            CLUSTER_OPERATIONS if request.include_cluster_authorized_operations else NOT_ASKED
        ),
    }


def _topic_by_id(broker: Broker, topic_id: str, request: Struct) -> dict[str, Any]:
    topic = broker.find_topic_by_id(topic_id)
    if topic is None:
        return _unknown(None, topic_id, ErrorCode.unknown_topic_id)
    return _topic(broker, topic, request)


def _topic_by_name(broker: Broker, name: str, request: Struct) -> dict[str, Any]:
    topic = broker.find_topic(name)
    if topic is not None:
        return _topic(broker, topic, request)
    error = ErrorCode.unknown_topic_or_partition
    try:
        if name not in INTERNAL_TOPICS:
            check_name(name)
    except LogServerError as refused:
        error = refused.code
    return _unknown(name, ZERO_UUID, error)


def _unknown(name: str | None, topic_id: str, error: ErrorCode) -> dict[str, Any]:
    return {"error_code": error.value, "name": name, "topic_id": topic_id, "is_internal": name in INTERNAL_TOPICS}


def _topic(broker: Broker, topic: Topic, request: Struct) -> dict[str, Any]:
    node_id = broker.node.node_id
    return {
        "name": topic.name,
        "topic_id": topic.record.topic_id,
        "is_internal": topic.internal,
        "partitions": [partition_description(partition, node_id) for partition in topic.partitions],
        "topic_authorized_operations": TOPIC_OPERATIONS if request.include_topic_authorized_operations else NOT_ASKED,
    }


def _failed(request: Struct, code: int, message: str) -> Response:
    return {
        "error_code": code,
        "topics": [
            {"error_code": code, "name": topic.name or "", "topic_id": topic.topic_id} for topic in request.topics or ()
        ],
    }


API: Final = Api(3, "Metadata", 0, 13, handle=_handle, failed=_failed)
