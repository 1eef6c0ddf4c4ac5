"""SaslHandshake (key 17), versions 0 to 1.

Behavior: ILLEGAL_SASL_STATE: no listener has authentication so far.

Version notes: 1 says that the tokens travel in SaslAuthenticate.

Source: KIP-43, KIP-152; Apache Kafka: `KafkaApis.handleSaslHandshakeRequest`.

Not done: SASL.
"""

from typing import Final

from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.security import no_sasl


def _handle(call: Call, request: Struct) -> Response:
    return no_sasl(call.listener)


API: Final = Api(17, "SaslHandshake", 0, 1, handle=_handle)
