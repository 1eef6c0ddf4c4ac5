"""Heartbeat (key 12), versions 0 to 4.

Behavior: a sign of life of a member of the classic protocol; REBALANCE_IN_PROGRESS tells it to join again, also in a
group that has members of the consumer group protocol (KIP-848).

Version notes: 3 brought static members.

Source: Apache Kafka: `GroupMetadataManager.classicGroupHeartbeat`.

Not done: nothing.
"""

from typing import Final

from logserver.coordinator.classic_requests import MemberOfGroup
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.group_errors import code_of


async def _handle(call: Call, request: Struct) -> Response:
    member = MemberOfGroup(request.group_id, request.generation_id, request.member_id, request.group_instance_id)
    return {"error_code": await code_of(call.services.groups.classic_heartbeat(member))}


API: Final = Api(12, "Heartbeat", 0, 4, handle=_handle)
