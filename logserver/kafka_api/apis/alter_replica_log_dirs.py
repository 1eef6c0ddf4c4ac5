"""AlterReplicaLogDirs (key 34), versions 1 to 2.

Behavior: a partition that is in the directory named stays there, which is no error. Moving one is refused with
INVALID_REQUEST: partitions stay where they were made. A directory that is not one of `log.dirs` is LOG_DIR_NOT_FOUND,
one that can't be used KAFKA_STORAGE_ERROR.

Version notes: 2 is the first flexible one.

Source: KIP-113; Apache Kafka: `ReplicaManager.alterReplicaLogDirs`.

Not done: moving partitions between data directories.
"""

from typing import Any, Final

from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct


def _handle(call: Call, request: Struct) -> Response:
    known = {directory.path: directory.error for directory in call.services.broker.log_directories()}
    topics: dict[str, list[dict[str, Any]]] = {}
    for directory in request.dirs:
        refused: ErrorCode | None = None
        if directory.path not in known:
            refused = ErrorCode.log_dir_not_found
        elif known[directory.path] is not None:
            refused = ErrorCode.kafka_storage_error
        for topic in directory.topics:
            topics.setdefault(topic.name, []).extend(
                {
                    "partition_index": number,
                    "error_code": (refused or _error(call, directory.path, topic.name, number)).value,
                }
                for number in topic.partitions
            )
    return {"results": [{"topic_name": name, "partitions": partitions} for name, partitions in topics.items()]}


def _error(call: Call, path: str, topic: str, number: int) -> ErrorCode:
    broker = call.services.broker
    try:
        partition = broker.partition(topic, number)
    except LogServerError as error:
        return error.code
    if partition.unavailable is not None:
        return partition.unavailable.code
    return ErrorCode.none if broker.log_directory_of(topic, number) == path else ErrorCode.invalid_request


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
