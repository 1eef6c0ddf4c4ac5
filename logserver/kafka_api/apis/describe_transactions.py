"""DescribeTransactions (key 65), version 0.

Behavior: tells the state of transactional ids: the producer, the timeout, when the transaction has begun, and its
partitions; of one that is being ended those that do not have its end yet.

Version notes: there is one version.

Source: KIP-664; Apache Kafka: `TransactionCoordinator.handleDescribeTransactions`.

Not done: nothing.
"""

from typing import Any, Final

from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct


async def _handle(call: Call, request: Struct) -> Response:
    return {"transaction_states": [await _state(call, name) for name in request.transactional_ids]}


async def _state(call: Call, transactional_id: str) -> dict[str, Any]:
    if not transactional_id:
        return {"transactional_id": transactional_id, "error_code": ErrorCode.invalid_request.value}
    try:
        found = await call.services.transactions.describe(transactional_id)
    except LogServerError as error:
        return {"transactional_id": transactional_id, "error_code": error.code.value}
    return {
        "transactional_id": transactional_id,
        "transaction_state": found.state,
        "transaction_timeout_ms": found.timeout_ms,
        "transaction_start_time_ms": found.start_timestamp_ms,
        "producer_id": found.producer_id,
        "producer_epoch": found.producer_epoch,
        "topics": [{"topic": topic, "partitions": partitions} for topic, partitions in found.partitions],
    }


def _failed(request: Struct, code: int, message: str) -> Response:
    return {
        "transaction_states": [{"transactional_id": name, "error_code": code} for name in request.transactional_ids]
    }


API: Final = Api(65, "DescribeTransactions", 0, 0, handle=_handle, failed=_failed)
