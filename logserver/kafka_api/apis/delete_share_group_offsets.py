"""DeleteShareGroupOffsets (key 92), version 0.

Behavior: forgets what a share group without members has done in topics; it begins anew there when a member comes. What
a declared queue has done is not forgotten this way (INVALID_REQUEST), but when the queue is deleted.

Source: KIP-932; Apache Kafka: `GroupMetadataManager.initiateDeleteShareGroupOffsets`.

Not done: nothing.
"""

from typing import Any, Final

from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct

_NO_TOPIC: Final = "A" * 22


async def _handle(call: Call, request: Struct) -> Response:
    groups = call.services.groups
    # Once each: one that is named again would be one that is forgotten already.
    views = {topic.topic_name: groups.topics.by_name(topic.topic_name) for topic in request.topics}
    topic_ids = [view.topic_id for view in views.values() if view is not None]
    outcomes = await groups.share_offsets.delete(request.group_id, topic_ids)
    if outcomes is None:
        return {}
    unknown = LogServerError(ErrorCode.unknown_topic_or_partition, "there is no such topic")
    return {
        "responses": [
            _topic(name, *((view.topic_id, outcomes[view.topic_id]) if view is not None else (_NO_TOPIC, unknown)))
            for name, view in views.items()
        ]
    }


def _topic(name: str, topic_id: str, error: LogServerError | None) -> dict[str, Any]:
    return {
        "topic_name": name,
        "topic_id": topic_id if error is None else _NO_TOPIC,
        "error_code": error.code.value if error is not None else 0,
        "error_message": error.message if error is not None else None,
    }


API: Final = Api(92, "DeleteShareGroupOffsets", 0, 0, handle=_handle)
