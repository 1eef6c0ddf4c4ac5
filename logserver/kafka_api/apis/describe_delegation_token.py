"""DescribeDelegationToken (key 41), versions 1 to 3.

Behavior: DELEGATION_TOKEN_REQUEST_NOT_ALLOWED, as Apache Kafka answers on a connection without authentication.

Version notes: 2 is the first flexible one, 3 brought who has asked for a token (KIP-373).

Source: KIP-48; Apache Kafka: `KafkaApis.allowTokenRequests`.

Not done: delegation tokens.
"""

from typing import Final

from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.security import no_tokens


def _handle(call: Call, request: Struct) -> Response:
    raise no_tokens()


API: Final = Api(41, "DescribeDelegationToken", 1, 3, handle=_handle)
