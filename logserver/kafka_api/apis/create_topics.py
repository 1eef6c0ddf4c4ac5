"""CreateTopics (key 19), versions 2 to 7.

Behavior: creates topics with all their partitions on this node, or only says whether it could. The number of
partitions is -1 for `num.partitions`, the replication factor -1 or 1. A manual assignment has to name this node for
partitions 0, 1, 2 and so on. Answers with the settings of the topic as they are in force. A topic that is named twice
is refused, and all of them where they have more than max.request.partition.size.limit partitions (POLICY_VIOLATION).

Version notes: 5 is the first flexible one and answers with settings, partitions and replication factor (KIP-525), 7
with the topic id (KIP-516); 6 brought THROTTLING_QUOTA_EXCEEDED (KIP-599), which is never answered.

Source: KIP-4, KIP-464, KIP-525; Apache Kafka: `ControllerApis.createTopics`, `ReplicationControlManager.createTopics`.

Not done: policies of the operator's own (`create.topic.policy.class.name`).
"""

from collections import Counter
from collections.abc import Awaitable, Mapping
from typing import Any, Final

from logserver.broker.topics import INTERNAL_TOPICS, TopicRecord
from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.cluster import CLUSTER_METADATA
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.config_entries import ConfigEntry, SharedEntries, topic_entries
from logserver.kafka_api.deadline import within
from logserver.kafka_api.errors import error_fields
from logserver.kafka_api.in_turns import in_turns
from logserver.kafka_api.replicas import check_replicas, invalid_assignment

_DEFAULT: Final = -1
_FIRST_WITH_CONFIGS: Final = 5


def _handle(call: Call, request: Struct) -> Awaitable[Response]:
    _check_number(call, request)
    entries = SharedEntries(ConfigEntry.fields)

    async def create() -> Response:
        counts = Counter(topic.name for topic in request.topics)
        asked = in_turns({topic.name: topic for topic in request.topics}.items())
        return {"topics": [await _create(call, topic, counts[name], request, entries) async for name, topic in asked]}

    return within(request.timeout_ms, create)


def _check_number(call: Call, request: Struct) -> None:
    """Refuses a request for too many partitions (Apache Kafka: `validateTotalNumberOfPartitions`)."""
    default = call.services.broker.settings.num_partitions
    limit = call.services.settings.max_request_partition_size_limit
    total = 0
    for topic in request.topics:
        count = len(topic.assignments) or topic.num_partitions
        total += default if count == _DEFAULT else max(count, 0)
    if total > limit:
        raise LogServerError(
            ErrorCode.policy_violation,
            f"the request creates {total} partitions, max.request.partition.size.limit={limit}; send several",
        )


async def _create(call: Call, asked: Struct, count: int, request: Struct, entries: SharedEntries) -> dict[str, Any]:
    broker = call.services.broker
    try:
        if count > 1:
            raise LogServerError(ErrorCode.invalid_request, f"the topic {asked.name!r} is in the request {count} times")
        if asked.name == CLUSTER_METADATA:
            raise LogServerError(ErrorCode.invalid_request, f"the name {CLUSTER_METADATA} is kept for Kafka's metadata")
        if asked.name in INTERNAL_TOPICS and broker.find_topic(asked.name) is not None:
            # For programs that create a topic unless it is there.
            raise LogServerError(ErrorCode.topic_already_exists, f"the topic {asked.name!r} exists already")
        settings = _settings(asked)
        # Kafka looks at a topic's name and settings before it looks at its partitions.
        await broker.create_topic(asked.name, 1, settings, validate_only=True)
        partitions = _partitions(asked, broker.node.node_id)
        record = await broker.create_topic(asked.name, partitions, settings, validate_only=request.validate_only)
    except LogServerError as error:
        return {"name": asked.name, **error_fields(error)}
    return _created(call, record, entries)


def _settings(asked: Struct) -> Mapping[str, str]:
    for config in asked.configs:
        if config.value is None:
            raise LogServerError(ErrorCode.invalid_config, f"the setting {config.name} has no value")
    return {config.name: config.value for config in asked.configs}


def _partitions(asked: Struct, node_id: int) -> int:
    """Returns the number of partitions, 0 for the server's default."""
    if asked.assignments:
        return _assigned(asked, node_id)
    factor, count = asked.replication_factor, asked.num_partitions
    if factor not in (_DEFAULT, 1):
        raise LogServerError(
            ErrorCode.invalid_replication_factor, f"a replication factor of {factor} can't be had; there is one broker"
        )
    if count < 1 and count != _DEFAULT:
        raise LogServerError(ErrorCode.invalid_partitions, f"a topic can't have {count} partitions")
    return count if count != _DEFAULT else 0


def _assigned(asked: Struct, node_id: int) -> int:
    if asked.replication_factor != _DEFAULT or asked.num_partitions != _DEFAULT:
        raise LogServerError(
            ErrorCode.invalid_request, "with a manual assignment, partitions and replication factor have to be -1"
        )
    numbers: set[int] = set()
    for assignment in asked.assignments:
        if assignment.partition_index in numbers:
            raise invalid_assignment(f"partition {assignment.partition_index} is assigned more than once")
        check_replicas(assignment.broker_ids, node_id)
        numbers.add(assignment.partition_index)
    if numbers != set(range(len(numbers))):
        raise invalid_assignment("the partitions that are assigned have to be 0, 1, 2 and so on, without gaps")
    return len(numbers)


def _created(call: Call, record: TopicRecord, entries: SharedEntries) -> dict[str, Any]:
    response: dict[str, Any] = {"name": record.name, "topic_id": record.topic_id, "error_message": None}
    if call.version >= _FIRST_WITH_CONFIGS:
        response["num_partitions"] = record.partitions
        response["replication_factor"] = 1
        broker, settings = call.services.broker, record.settings
        response["configs"] = entries.of("topic", settings, lambda: topic_entries(broker, settings))
    return response


def _failed(request: Struct, code: int, message: str) -> Response:
    return {"topics": [{"name": topic.name, "error_code": code, "error_message": message} for topic in request.topics]}


API: Final = Api(19, "CreateTopics", 2, 7, handle=_handle, failed=_failed)
