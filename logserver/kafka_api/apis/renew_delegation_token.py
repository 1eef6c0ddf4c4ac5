"""RenewDelegationToken (key 39), versions 1 to 2.

Behavior: DELEGATION_TOKEN_REQUEST_NOT_ALLOWED, as Apache Kafka answers on a connection without authentication.

Version notes: 2 is the first flexible one.

Source: KIP-48; Apache Kafka: `KafkaApis.allowTokenRequests`.

Not done: delegation tokens.
"""

from typing import Final

from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.security import NEVER_MS, no_tokens


def _handle(call: Call, request: Struct) -> Response:
    raise no_tokens()


def _failed(request: Struct, code: int, message: str) -> Response:
    return {"error_code": code, "expiry_timestamp_ms": NEVER_MS}


API: Final = Api(39, "RenewDelegationToken", 1, 2, handle=_handle, failed=_failed)
