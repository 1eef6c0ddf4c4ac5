"""DescribeAcls (key 29), versions 1 to 3.

Behavior: SECURITY_DISABLED, as Apache Kafka answers without an authorizer.

Version notes: 2 is the first flexible one.

Source: KIP-140; Apache Kafka: `AclApis`.

Not done: ACLs.
"""

from typing import Final

from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.security import no_authorizer


def _handle(call: Call, request: Struct) -> Response:
    raise no_authorizer()


API: Final = Api(29, "DescribeAcls", 1, 3, handle=_handle)
