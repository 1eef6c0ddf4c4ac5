"""UnregisterBroker (key 64), version 0.

Behavior: there is no broker besides this one, and this one is running: it can't be unregistered.

Version notes: there is one version.

Source: KIP-500; Apache Kafka: `ControllerApis.handleUnregisterBroker`, which would fence a running broker.

Not done: nothing.
"""

from typing import Final

from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct


def _handle(call: Call, request: Struct) -> Response:
    node_id = call.services.broker.node.node_id
    if request.broker_id != node_id:
        raise LogServerError(
            ErrorCode.broker_id_not_registered, f"there is no broker {request.broker_id}, only {node_id}"
        )
    raise LogServerError(ErrorCode.invalid_request, f"broker {node_id} is running; stop it instead")


API: Final = Api(64, "UnregisterBroker", 0, 0, handle=_handle)
