"""CreatePartitions (key 37), versions 0 to 3.

Behavior: raises the number of partitions of each topic, or only says whether it could. Replicas may be named, and have
to be this node's. A topic named twice is refused.

Version notes: 2 is the first flexible one; 3 brought THROTTLING_QUOTA_EXCEEDED (KIP-599), which is never answered.

Source: KIP-195; Apache Kafka: `ControllerApis.createPartitions`, `ReplicationControlManager.createPartitions`.

Not done: nothing.
"""

from collections import Counter
from collections.abc import Awaitable
from typing import Any, Final

from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.deadline import within
from logserver.kafka_api.errors import error_fields
from logserver.kafka_api.replicas import check_replicas, invalid_assignment


def _handle(call: Call, request: Struct) -> Awaitable[Response]:
    async def create() -> Response:
        counts = Counter(topic.name for topic in request.topics)
        asked = {topic.name: topic for topic in request.topics}
        return {"results": [await _create(call, topic, counts[name], request) for name, topic in asked.items()]}

    return within(request.timeout_ms, create)


async def _create(call: Call, asked: Struct, count: int, request: Struct) -> dict[str, Any]:
    try:
        if count > 1:
            raise LogServerError(ErrorCode.invalid_request, f"the topic {asked.name!r} is in the request {count} times")
        await _raise(call, asked, validate_only=request.validate_only)
    except LogServerError as error:
        return {"name": asked.name, **error_fields(error)}
    return {"name": asked.name, "error_message": None}


async def _raise(call: Call, asked: Struct, *, validate_only: bool) -> None:
    broker = call.services.broker
    added = asked.count - len(broker.topic(asked.name).partitions)
    if asked.assignments is not None and added > 0:
        if len(asked.assignments) != added:
            raise invalid_assignment(
                f"{asked.name!r} would get {added} more partitions, the request assigns {len(asked.assignments)}"
            )
        for assignment in asked.assignments:
            check_replicas(assignment.broker_ids, broker.node.node_id)
    await broker.create_partitions(asked.name, asked.count, validate_only=validate_only)


def _failed(request: Struct, code: int, message: str) -> Response:
    return {"results": [{"name": topic.name, "error_code": code, "error_message": message} for topic in request.topics]}


API: Final = Api(37, "CreatePartitions", 0, 3, handle=_handle, failed=_failed)
