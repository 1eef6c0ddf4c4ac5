"""SaslAuthenticate (key 36), versions 0 to 2.

Behavior: ILLEGAL_SASL_STATE: no listener has authentication so far.

Version notes: 1 brought the lifetime of a session (KIP-368), 2 is the first flexible one.

Source: KIP-152, KIP-368; Apache Kafka: `KafkaApis.handleSaslAuthenticateRequest`.

Not done: SASL.
"""

from typing import Final

from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.security import no_sasl


def _handle(call: Call, request: Struct) -> Response:
    return no_sasl(call.listener)


API: Final = Api(36, "SaslAuthenticate", 0, 2, handle=_handle)
