"""AlterShareGroupOffsets (key 91), version 0.

Behavior: sets where a share group without members begins, and forgets what was delivered to it there: a group that is
not there is made. Any offset is taken; one below the first record means the first, and one behind the last means that
delivery begins with what comes there. A declared queue can be moved, too, as long as nobody consumes it.

Source: KIP-932; Apache Kafka: `GroupMetadataManager.alterShareGroupOffsets`.

Not done: nothing.
"""

from typing import Any, Final

from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct

_NO_TOPIC: Final = "A" * 22


async def _handle(call: Call, request: Struct) -> Response:
    groups = call.services.groups
    offsets: dict[str, dict[int, int]] = {}
    ids: dict[str, str] = {}
    for topic in request.topics:
        view = groups.topics.by_name(topic.topic_name)
        if view is None:
            continue
        ids[topic.topic_name] = view.topic_id
        numbers = {
            partition.partition_index: partition.start_offset
            for partition in topic.partitions
            if 0 <= partition.partition_index < view.partitions
        }
        if numbers:
            offsets.setdefault(view.topic_id, {}).update(numbers)
    outcomes = await groups.share_offsets.alter(request.group_id, offsets)
    return {"responses": [_topic(topic, ids.get(topic.topic_name), outcomes) for topic in request.topics]}


def _topic(
    topic: Struct, topic_id: str | None, outcomes: dict[tuple[str, int], LogServerError | None]
) -> dict[str, Any]:
    unknown = LogServerError(ErrorCode.unknown_topic_or_partition, "there is no such topic or partition")
    partitions = []
    for partition in topic.partitions:
        number = partition.partition_index
        error = unknown if topic_id is None else outcomes.get((topic_id, number), unknown)
        partitions.append(
            {
                "partition_index": number,
                "error_code": error.code.value if error is not None else 0,
                "error_message": error.message if error is not None else None,
            }
        )
    return {"topic_name": topic.topic_name, "topic_id": topic_id or _NO_TOPIC, "partitions": partitions}


API: Final = Api(91, "AlterShareGroupOffsets", 0, 0, handle=_handle)
