"""ListPartitionReassignments (key 46), version 0.

Behavior: no partition is ever being moved.

Version notes: there is one version.

Source: KIP-455; Apache Kafka: `ReplicationControlManager.listPartitionReassignments`.

Not done: nothing.
"""

from typing import Final

from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct


def _handle(call: Call, request: Struct) -> Response:
    return {"error_message": None, "topics": ()}


API: Final = Api(46, "ListPartitionReassignments", 0, 0, handle=_handle)
