"""EndTxn (key 26), versions 0 to 5.

Behavior: commits or aborts a producer's transaction. Answered when the decision is durable; the partitions are told
then, whatever happens to the producer. From version 5 on the answer has the producer's id and epoch for the next
transaction, so that nothing of this one can come late (KIP-890); sent again, it is answered again.

Version notes: 2 brought PRODUCER_FENCED, 4 TRANSACTION_ABORTABLE, 5 epochs that rise with each transaction.

Source: KIP-98, KIP-890; Apache Kafka: `TransactionCoordinator.handleEndTransaction`.

Not done: nothing.
"""

from typing import Final

from logserver.coordinator.transactions.requests import EndTransaction
from logserver.errors import LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.transactions import EPOCH_BUMP, code_of

_FENCED: Final = 2
_BUMPS: Final = 5


async def _handle(call: Call, request: Struct) -> Response:
    end = EndTransaction(
        request.transactional_id,
        request.producer_id,
        request.producer_epoch,
        request.committed,
        transaction_version=EPOCH_BUMP if call.version >= _BUMPS else 0,
    )
    try:
        producer_id, epoch = await call.services.transactions.end(end)
    except LogServerError as error:
        return {"error_code": code_of(error, knows_fenced=call.version >= _FENCED)}
    return {"error_code": 0, "producer_id": producer_id, "producer_epoch": epoch}


API: Final = Api(26, "EndTxn", 0, 5, handle=_handle)
