"""SyncGroup (key 14), versions 0 to 5.

Behavior: a member of a generation asks for its assignment; the leader brings everybody's, which is answered once it is
durable. In a group that has members of the consumer group protocol (KIP-848) the server has assigned, and nobody
waits.

Version notes: 3 brought static members, 5 protocol type and name, which are checked.

Source: Apache Kafka: `GroupMetadataManager.classicGroupSync`.

Not done: nothing.
"""

from typing import Final

from logserver.coordinator.classic_requests import SyncGroup
from logserver.errors import ErrorCode
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct

_PROTOCOLS: Final = 5


async def _handle(call: Call, request: Struct) -> Response:
    if call.version >= _PROTOCOLS and (request.protocol_type is None or request.protocol_name is None):
        return {"error_code": ErrorCode.inconsistent_group_protocol.value}
    answer = await call.services.groups.sync_group(
        SyncGroup(
            group_id=request.group_id,
            generation=request.generation_id,
            member_id=request.member_id,
            instance_id=request.group_instance_id,
            protocol_type=request.protocol_type,
            protocol=request.protocol_name,
            assignments={item.member_id: item.assignment for item in request.assignments},
        )
    )
    return {
        "error_code": answer.error.code.value if answer.error is not None else 0,
        "protocol_type": answer.protocol_type,
        "protocol_name": answer.protocol,
        "assignment": answer.assignment,
    }


API: Final = Api(14, "SyncGroup", 0, 5, handle=_handle)
