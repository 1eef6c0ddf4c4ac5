"""AlterPartitionReassignments (key 45), versions 0 to 1.

Behavior: a partition can be put where it is, on this node, and nowhere else; there is never a reassignment to cancel.

Version notes: 1 can forbid another number of replicas (KIP-860).

Source: KIP-455, KIP-860; Apache Kafka: `ReplicationControlManager.alterPartitionReassignments`.

Not done: nothing.
"""

from typing import Any, Final

from logserver.broker import Broker
from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.deadline import check_time
from logserver.kafka_api.errors import error_fields
from logserver.kafka_api.replicas import check_replicas


def _handle(call: Call, request: Struct) -> Response:
    check_time(request.timeout_ms)
    broker = call.services.broker
    return {
        "allow_replication_factor_change": request.allow_replication_factor_change,
        "error_message": None,
        "responses": [
            {"name": topic.name, "partitions": [_result(broker, topic.name, part) for part in topic.partitions]}
            for topic in request.topics
        ],
    }


def _result(broker: Broker, topic: str, asked: Struct) -> dict[str, Any]:
    try:
        partition = broker.partition(topic, asked.partition_index)
        if asked.replicas is None:
            raise LogServerError(ErrorCode.no_reassignment_in_progress, f"{partition} is not being moved")
        check_replicas(asked.replicas, broker.node.node_id)
    except LogServerError as error:
        return {"partition_index": asked.partition_index, **error_fields(error)}
    return {"partition_index": asked.partition_index, "error_message": None}


def _failed(request: Struct, code: int, message: str) -> Response:
    error = {"error_code": code, "error_message": message}
    return error | {
        "allow_replication_factor_change": request.allow_replication_factor_change,
        "responses": [
            {
                "name": topic.name,
                "partitions": [{"partition_index": part.partition_index} | error for part in topic.partitions],
            }
            for topic in request.topics
        ],
    }


API: Final = Api(45, "AlterPartitionReassignments", 0, 1, handle=_handle, failed=_failed)
