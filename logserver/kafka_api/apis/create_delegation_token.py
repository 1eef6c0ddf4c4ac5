"""CreateDelegationToken (key 38), versions 1 to 3.

Behavior: DELEGATION_TOKEN_REQUEST_NOT_ALLOWED, as Apache Kafka answers on a connection without authentication.

Version notes: 2 is the first flexible one, 3 brought owners other than the one who asks (KIP-373).

Source: KIP-48; Apache Kafka: `KafkaApis.allowTokenRequests`.

Not done: delegation tokens.
"""

from typing import Final

from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.security import ANONYMOUS, NEVER_MS, no_tokens


def _handle(call: Call, request: Struct) -> Response:
    raise no_tokens()


def _failed(request: Struct, code: int, message: str) -> Response:
    return {
        "error_code": code,
        **ANONYMOUS,
        **{f"token_requester_{name}": value for name, value in ANONYMOUS.items()},
        "issue_timestamp_ms": NEVER_MS,
        "expiry_timestamp_ms": NEVER_MS,
        "max_timestamp_ms": NEVER_MS,
    }


API: Final = Api(38, "CreateDelegationToken", 1, 3, handle=_handle, failed=_failed)
