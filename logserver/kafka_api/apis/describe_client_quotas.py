"""DescribeClientQuotas (key 48), versions 0 to 1.

Behavior: checks what is asked for; there are no quotas to tell.

Version notes: 1 is the first flexible one.

Source: KIP-546; Apache Kafka: `ClientQuotasImage.describe`.

Not done: client quotas.
"""

from typing import Final

from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.client_quotas import check_entity
from logserver.kafka_api.codec import Struct

_EXACT: Final = 0
_DEFAULT: Final = 1
_ANY: Final = 2


def _handle(call: Call, request: Struct) -> Response:
    for component in request.components:
        check_entity([component.entity_type], "the filter", ErrorCode.unsupported_version)
        _check_match(component)
    check_entity([part.entity_type for part in request.components], "the filter", ErrorCode.unsupported_version)
    return {"error_message": "", "entries": ()}


def _check_match(component: Struct) -> None:
    kind = component.match_type
    if kind not in (_EXACT, _DEFAULT, _ANY):
        raise LogServerError(ErrorCode.invalid_request, f"there is no match type {kind}")
    if (component.match is None) == (kind == _EXACT):
        raise LogServerError(ErrorCode.invalid_request, "an exact match needs a name, any other must have none")


def _failed(request: Struct, code: int, message: str) -> Response:
    return {"error_code": code, "error_message": message, "entries": None}


API: Final = Api(48, "DescribeClientQuotas", 0, 1, handle=_handle, failed=_failed)
