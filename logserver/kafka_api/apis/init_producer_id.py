"""InitProducerId (key 22), versions 0 to 5.

Behavior: gives an idempotent producer an id that nobody has had, with epoch 0; also where it names the one it has, as
Apache Kafka does: a producer without transactions raises its epoch by itself (KIP-360). An id without an epoch, or an
epoch without an id, is INVALID_REQUEST. A transactional id is answered with UNSUPPORTED_VERSION, as a broker of before
transactions would: clients take that as final and say so at once, while COORDINATOR_NOT_AVAILABLE or NOT_COORDINATOR
make them ask again until their time is up. An empty one is INVALID_REQUEST.

Version notes: 2 has tagged fields, 3 the client's own id and epoch (KIP-360), 4 PRODUCER_FENCED, 5
TRANSACTION_ABORTABLE (KIP-890). Version 6 (two-phase commit, KIP-939) is not served by Apache Kafka 4.3 either, unless
its unstable versions are turned on.

Source: KIP-98, KIP-360, KIP-890; Apache Kafka: `TransactionCoordinator.handleInitProducerId`.

Not done: transactions.
"""

from typing import Final

from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct

_NONE: Final = -1


async def _handle(call: Call, request: Struct) -> Response:
    if (request.producer_id == _NONE) != (request.producer_epoch == _NONE):
        raise LogServerError(ErrorCode.invalid_request, "a producer id comes with its epoch, or neither does")
    if request.transactional_id is not None:
        if not request.transactional_id:
            raise LogServerError(ErrorCode.invalid_request, "the transactional id is empty")
        raise LogServerError(ErrorCode.unsupported_version, "this server does not support transactions")
    producer_id, epoch = await call.services.broker.init_producer_id()
    return {"error_code": 0, "producer_id": producer_id, "producer_epoch": epoch}


def _failed(request: Struct, code: int, message: str) -> Response:
    return {"error_code": code, "producer_id": _NONE, "producer_epoch": _NONE}


API: Final = Api(22, "InitProducerId", 0, 5, handle=_handle, failed=_failed)
