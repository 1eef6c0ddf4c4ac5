"""OffsetDelete (key 47), version 0.

Behavior: forgets committed offsets of a group; those of topics that a member subscribes to stay, with
GROUP_SUBSCRIBED_TO_TOPIC.

Source: KIP-496; Apache Kafka: `OffsetMetadataManager.deleteOffsets`.

Not done: nothing.
"""

from typing import Any, Final

from logserver.coordinator import Place
from logserver.errors import ErrorCode
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct


async def _handle(call: Call, request: Struct) -> Response:
    groups = call.services.groups
    views = {topic.name: groups.topics.by_name(topic.name) for topic in request.topics}
    places: list[Place] = [
        (topic.name, partition.partition_index)
        for topic in request.topics
        if (view := views[topic.name]) is not None
        for partition in topic.partitions
        if 0 <= partition.partition_index < view.partitions
    ]
    errors = await groups.delete_offsets(request.group_id, places)
    codes = {place: error.code.value if error is not None else 0 for place, error in zip(places, errors, strict=True)}
    return {"topics": [_topic(topic, codes) for topic in request.topics if topic.partitions]}


def _topic(topic: Struct, codes: dict[Place, int]) -> dict[str, Any]:
    unknown = ErrorCode.unknown_topic_or_partition.value
    return {
        "name": topic.name,
        "partitions": [
            {
                "partition_index": partition.partition_index,
                "error_code": codes.get((topic.name, partition.partition_index), unknown),
            }
            for partition in topic.partitions
        ],
    }


API: Final = Api(47, "OffsetDelete", 0, 0, handle=_handle)
