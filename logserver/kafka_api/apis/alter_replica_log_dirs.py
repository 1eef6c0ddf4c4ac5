"""AlterReplicaLogDirs (key 34), versions 1 to 2.

Behavior: there is one data directory, and every partition is there already; any other is LOG_DIR_NOT_FOUND.

Version notes: 2 is the first flexible one.

Source: KIP-113; Apache Kafka: `ReplicaManager.alterReplicaLogDirs`.

Not done: moving partitions between several data directories.
"""

from typing import Any, Final

from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct


def _handle(call: Call, request: Struct) -> Response:
    path = call.services.broker.log_directory().path
    topics: dict[str, list[dict[str, Any]]] = {}
    for directory in request.dirs:
        for topic in directory.topics:
            topics.setdefault(topic.name, []).extend(
                {"partition_index": number, "error_code": _error(call, directory.path == path, topic.name, number)}
                for number in topic.partitions
            )
    return {"results": [{"topic_name": name, "partitions": partitions} for name, partitions in topics.items()]}


def _error(call: Call, is_here: bool, topic: str, number: int) -> int:
    if not is_here:
        return ErrorCode.log_dir_not_found.value
    try:
        partition = call.services.broker.partition(topic, number)
    except LogServerError as error:
        return error.code.value
    return partition.unavailable.code.value if partition.unavailable is not None else ErrorCode.none.value


def _failed(request: Struct, code: int, message: str) -> Response:
    return {
        "results": [
            {
                "topic_name": topic.name,
                "partitions": [{"partition_index": number, "error_code": code} for number in topic.partitions],
            }
            for directory in request.dirs
            for topic in directory.topics
        ]
    }


API: Final = Api(34, "AlterReplicaLogDirs", 1, 2, handle=_handle, failed=_failed)
