"""AlterClientQuotas (key 49), versions 0 to 1.

Behavior: quotas are not kept, so none can be set: UNSUPPORTED_VERSION, behind Apache Kafka's checks. Removing one is
fine.

Version notes: 1 is the first flexible one.

Source: KIP-546; Apache Kafka: `ClientQuotaControlManager.alterClientQuotas`.

Not done: client quotas.
"""

from typing import Any, Final

from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.client_quotas import check_entity
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.errors import error_fields

_KEYS: Final = (
    "producer_byte_rate",
    "consumer_byte_rate",
    "request_percentage",
    "controller_mutation_rate",
    "connection_creation_rate",
)


def _handle(call: Call, request: Struct) -> Response:
    return {"entries": [_entry(entry) for entry in request.entries]}


def _entry(entry: Struct) -> dict[str, Any]:
    result: dict[str, Any] = {"entity": entry.entity}
    try:
        _check(entry)
    except LogServerError as error:
        return result | error_fields(error)
    return result | {"error_message": None}


def _check(entry: Struct) -> None:
    if not entry.entity:
        raise LogServerError(ErrorCode.invalid_request, "the quota is about nobody")
    check_entity([part.entity_type for part in entry.entity], "the quota", ErrorCode.invalid_request)
    for operation in entry.ops:
        if operation.key not in _KEYS:
            raise LogServerError(ErrorCode.invalid_request, f"there is no quota {operation.key[:60]!r}")
        if not operation.remove:
            raise LogServerError(ErrorCode.unsupported_version, "this server has no client quotas")


def _failed(request: Struct, code: int, message: str) -> Response:
    error = {"error_code": code, "error_message": message}
    return {"entries": [{"entity": entry.entity} | error for entry in request.entries]}


API: Final = Api(49, "AlterClientQuotas", 0, 1, handle=_handle, failed=_failed)
