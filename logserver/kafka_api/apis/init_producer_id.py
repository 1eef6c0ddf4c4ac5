"""InitProducerId (key 22), versions 0 to 5.

Behavior: gives an idempotent producer an id that nobody has had, with epoch 0; also where it names the one it has, as
Apache Kafka does: a producer without transactions raises its epoch by itself (KIP-360). A transactional id keeps its
producer id; its epoch rises, so that an earlier producer of that name is fenced, and a transaction that one has left
open is aborted first: the request waits for that up to a second, then it is CONCURRENT_TRANSACTIONS. A producer that
names id and epoch must have the current ones (KIP-360). An id without an epoch, or an epoch without an id, is
INVALID_REQUEST, and so is an empty transactional id.

Version notes: 2 has tagged fields, 3 the client's own id and epoch (KIP-360), 4 PRODUCER_FENCED, 5
TRANSACTION_ABORTABLE (KIP-890). Version 6 (two-phase commit, KIP-939) is not served by Apache Kafka 4.3 either, unless
its unstable versions are turned on.

Source: KIP-98, KIP-360, KIP-890; Apache Kafka: `TransactionCoordinator.handleInitProducerId`.

Not done: nothing.
"""

from typing import Final

from logserver.coordinator.transactions.requests import InitProducerId
from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.transactions import code_of

_FENCED: Final = 4
_NONE: Final = -1


async def _handle(call: Call, request: Struct) -> Response:
    if (request.producer_id == _NONE) != (request.producer_epoch == _NONE):
        raise LogServerError(ErrorCode.invalid_request, "a producer id comes with its epoch, or neither does")
    if request.transactional_id is None:
        producer_id, epoch = await call.services.broker.init_producer_id()
        return {"error_code": 0, "producer_id": producer_id, "producer_epoch": epoch}
    init = InitProducerId(
        request.transactional_id, request.transaction_timeout_ms, request.producer_id, request.producer_epoch
    )
    try:
        producer_id, epoch = await call.services.transactions.init_producer_id(init)
    except LogServerError as error:
        return _failed(request, code_of(error, knows_fenced=call.version >= _FENCED), error.message)
    return {"error_code": 0, "producer_id": producer_id, "producer_epoch": epoch}


def _failed(request: Struct, code: int, message: str) -> Response:
    return {"error_code": code, "producer_id": _NONE, "producer_epoch": _NONE}


API: Final = Api(22, "InitProducerId", 0, 5, handle=_handle, failed=_failed)
