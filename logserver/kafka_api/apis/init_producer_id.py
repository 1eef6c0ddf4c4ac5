"""InitProducerId (key 22), versions 0 to 5.

Behavior: gives an idempotent producer an id that nobody has had, with epoch 0; also where it names the one it has, as
Apache Kafka does: a producer without transactions raises its epoch by itself (KIP-360). An id without an epoch, or an
epoch without an id, is INVALID_REQUEST. A transactional id is refused with TRANSACTIONAL_ID_AUTHORIZATION_FAILED, and a
line in the log says why: that is the one error that the Java client, librdkafka and kafka-python all take as final.
COORDINATOR_NOT_AVAILABLE, and with librdkafka UNSUPPORTED_VERSION, make them ask again until their time is up. An empty
one is INVALID_REQUEST.

Version notes: 2 has tagged fields, 3 the client's own id and epoch (KIP-360), 4 PRODUCER_FENCED, 5
TRANSACTION_ABORTABLE (KIP-890). Version 6 (two-phase commit, KIP-939) is not served by Apache Kafka 4.3 either, unless
its unstable versions are turned on.

Source: KIP-98, KIP-360, KIP-890; Apache Kafka: `TransactionCoordinator.handleInitProducerId`.

Not done: transactions.
"""

from typing import Final

from logserver_segments.logs import get_logger

from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct

_log = get_logger("logserver.kafka")

_NONE: Final = -1
_SHOWN: Final = 100


async def _handle(call: Call, request: Struct) -> Response:
    if (request.producer_id == _NONE) != (request.producer_epoch == _NONE):
        raise LogServerError(ErrorCode.invalid_request, "a producer id comes with its epoch, or neither does")
    if request.transactional_id is not None:
        if not request.transactional_id:
            raise LogServerError(ErrorCode.invalid_request, "the transactional id is empty")
        _log.warning(
            "transactional producer refused",
            transactional_id=request.transactional_id[:_SHOWN],
            client=call.client_host,
            reason="this server has no transactions yet; leave transactional.id out (enable.idempotence works)",
        )
        raise LogServerError(
            ErrorCode.transactional_id_authorization_failed, "this server does not support transactions"
        )
    producer_id, epoch = await call.services.broker.init_producer_id()
    return {"error_code": 0, "producer_id": producer_id, "producer_epoch": epoch}


def _failed(request: Struct, code: int, message: str) -> Response:
    return {"error_code": code, "producer_id": _NONE, "producer_epoch": _NONE}


API: Final = Api(22, "InitProducerId", 0, 5, handle=_handle, failed=_failed)
