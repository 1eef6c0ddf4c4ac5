"""ListTransactions (key 66), versions 0 to 2.

Behavior: there are no transactions; states that are none are named in the answer.

Version notes: 1 can filter by duration (KIP-994), 2 by a regular expression (KIP-1152).

Source: KIP-664, KIP-994, KIP-1152; Apache Kafka: `TransactionStateManager.listTransactionStates`.

Not done: transactions.
"""

import re
from typing import Final

from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct

_STATES: Final = (
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "Dead",
    "PrepareEpochFence",
)


def _handle(call: Call, request: Struct) -> Response:
    try:
        re.compile(request.transactional_id_pattern or "")
    except re.error as error:
        raise LogServerError(
            ErrorCode.invalid_regular_expression, f"the pattern of transactional ids can't be read: {error}"
        ) from None
    unknown = [state for state in request.state_filters if state not in _STATES]
    return {"unknown_state_filters": unknown, "transaction_states": ()}


API: Final = Api(66, "ListTransactions", 0, 2, handle=_handle)
