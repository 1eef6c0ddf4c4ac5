"""ListTransactions (key 66), versions 0 to 2.

Behavior: lists transactional ids: those in some states, of some producers, whose transaction has begun longer ago, or
whose name matches a regular expression. States that are none are named in the answer.

Version notes: 1 can filter by duration (KIP-994), 2 by a regular expression of RE2 (KIP-1152).

Source: KIP-664, KIP-994, KIP-1152; Apache Kafka: `TransactionStateManager.listTransactionStates`.

Not done: nothing.
"""

from typing import Final

from logserver.coordinator.regex import compile_pattern
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct


async def _handle(call: Call, request: Struct) -> Response:
    pattern = request.transactional_id_pattern
    found = await call.services.transactions.list(
        request.state_filters,
        request.producer_id_filters,
        request.duration_filter,
        compile_pattern(pattern).matches if pattern else None,
    )
    return {
        "unknown_state_filters": found.unknown_states,
        "transaction_states": [
            {"transactional_id": one.transactional_id, "producer_id": one.producer_id, "transaction_state": one.state}
            for one in found.transactions
        ],
    }


API: Final = Api(66, "ListTransactions", 0, 2, handle=_handle)
