"""AddOffsetsToTxn (key 25), versions 0 to 4.

Behavior: adds the partition that keeps a group's offsets to a producer's transaction, before the producer commits
offsets in it (TxnOffsetCommit). Otherwise as AddPartitionsToTxn.

Version notes: 2 brought PRODUCER_FENCED, 4 TRANSACTION_ABORTABLE (KIP-890).

Source: KIP-98; Apache Kafka: `KafkaApis.handleAddOffsetsToTxnRequest`.

Not done: nothing.
"""

from typing import Final

from logserver.errors import LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.transactions import code_of

_FENCED: Final = 2


async def _handle(call: Call, request: Struct) -> Response:
    place = await call.services.groups.place_of(request.group_id)
    try:
        await call.services.transactions.add_partitions(
            request.transactional_id, request.producer_id, request.producer_epoch, (place,)
        )
    except LogServerError as error:
        return {"error_code": code_of(error, knows_fenced=call.version >= _FENCED)}
    return {"error_code": 0}


API: Final = Api(25, "AddOffsetsToTxn", 0, 4, handle=_handle)
