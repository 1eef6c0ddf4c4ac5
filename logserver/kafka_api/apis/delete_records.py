"""DeleteRecords (key 21), versions 0 to 2.

Behavior: raises each partition's log start offset to the one asked for, -1 standing for the high watermark, and answers
with the new one when it is durable. An offset behind the high watermark is refused (OFFSET_OUT_OF_RANGE), a topic that
is only compacted (POLICY_VIOLATION), and the server's own topics (INVALID_TOPIC_EXCEPTION).

Version notes: 2 has tagged fields.

Source: KIP-107; Apache Kafka: `ReplicaManager.deleteRecords`, `Partition.deleteRecordsOnLeader`.

Not done: timeout_ms is not looked at, for there are no other replicas to wait for.
"""

from typing import Any, Final

from logserver.broker import Broker
from logserver.broker.topics import INTERNAL_TOPICS
from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.in_turns import together

_NO_OFFSET: Final = -1


async def _handle(call: Call, request: Struct) -> Response:
    broker = call.services.broker
    asked: dict[str, dict[int, Struct]] = {}
    for topic in request.topics:
        if topic.partitions:
            asked.setdefault(topic.name, {}).update({one.partition_index: one for one in topic.partitions})
    # At the same time: each waits until its offset is durable.
    done = iter(await together(_delete(broker, name, one) for name, each in asked.items() for one in each.values()))
    return {"topics": [{"name": name, "partitions": [next(done) for _ in each]} for name, each in asked.items()]}


async def _delete(broker: Broker, topic: str, asked: Struct) -> dict[str, Any]:
    number = asked.partition_index
    try:
        broker.partition(topic, number)
        if topic in INTERNAL_TOPICS:
            raise LogServerError(
                ErrorCode.invalid_topic_exception, f"records of the server's own topic {topic!r} can't be deleted"
            )
        low_watermark = await broker.delete_records(topic, number, asked.offset)
    except LogServerError as error:
        return _failed_partition(asked, error.code.value)
    return {"partition_index": number, "low_watermark": low_watermark, "error_code": 0}


def _failed_partition(asked: Struct, code: int) -> dict[str, Any]:
    return {"partition_index": asked.partition_index, "low_watermark": _NO_OFFSET, "error_code": code}


def _failed(request: Struct, code: int, message: str) -> Response:
    return {
        "topics": [
            {"name": topic.name, "partitions": [_failed_partition(asked, code) for asked in topic.partitions]}
            for topic in request.topics
        ]
    }


API: Final = Api(21, "DeleteRecords", 0, 2, handle=_handle, failed=_failed)
