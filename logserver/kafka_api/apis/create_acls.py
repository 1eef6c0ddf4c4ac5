"""CreateAcls (key 30), versions 1 to 3.

Behavior: SECURITY_DISABLED, as Apache Kafka answers without an authorizer.

Version notes: 2 is the first flexible one.

Source: KIP-140; Apache Kafka: `AclApis`.

Not done: ACLs.
"""

from typing import Final

from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.errors import error_fields
from logserver.kafka_api.security import no_authorizer


def _handle(call: Call, request: Struct) -> Response:
    error = error_fields(no_authorizer())
    return {"results": [error for _ in request.creations]}


def _failed(request: Struct, code: int, message: str) -> Response:
    return {"results": [{"error_code": code, "error_message": message} for _ in request.creations]}


API: Final = Api(30, "CreateAcls", 1, 3, handle=_handle, failed=_failed)
