"""DescribeTransactions (key 65), version 0.

Behavior: there are no transactions: TRANSACTIONAL_ID_NOT_FOUND for each that is named.

Version notes: there is one version.

Source: KIP-664; Apache Kafka: `TransactionCoordinator.handleDescribeTransactions`.

Not done: transactions.
"""

from typing import Any, Final

from logserver.errors import ErrorCode
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct


def _handle(call: Call, request: Struct) -> Response:
    return {"transaction_states": [_unknown(name) for name in request.transactional_ids]}


def _unknown(name: str) -> dict[str, Any]:
    code = ErrorCode.transactional_id_not_found if name else ErrorCode.invalid_request
    return {"transactional_id": name, "error_code": code.value}


def _failed(request: Struct, code: int, message: str) -> Response:
    return {
        "transaction_states": [{"transactional_id": name, "error_code": code} for name in request.transactional_ids]
    }


API: Final = Api(65, "DescribeTransactions", 0, 0, handle=_handle, failed=_failed)
