"""DescribeGroups (key 15), versions 0 to 6.

Behavior: describes groups of the classic protocol, and groups that only have offsets. One that does not exist is Dead,
as is a consumer group (KIP-848), which ConsumerGroupDescribe describes. A group that is named twice is described once.

Version notes: 3 brought authorized operations, 4 static members, 6 GROUP_ID_NOT_FOUND with a message (KIP-1043).

Source: Apache Kafka: `GroupMetadataManager.describeGroups`.

Not done: nothing.
"""

from typing import Any, Final

from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.group_errors import ALL_OPERATIONS, NO_OPERATIONS, STATES
from logserver.kafka_api.in_turns import in_turns

_NOT_FOUND: Final = 6


async def _handle(call: Call, request: Struct) -> Response:
    operations = ALL_OPERATIONS if request.include_authorized_operations else NO_OPERATIONS
    # Once each: a large group that is named often would make an answer of any size.
    names = in_turns(dict.fromkeys(request.groups))
    return {"groups": [await _group(call, group_id, operations) async for group_id in names]}


async def _group(call: Call, group_id: str, operations: int) -> dict[str, Any]:
    try:
        group = await call.services.groups.describe_classic(group_id)
    except LogServerError as error:
        if error.code is not ErrorCode.group_id_not_found:
            return {"group_id": group_id, "error_code": error.code.value, "error_message": error.message}
        code = error.code.value if call.version >= _NOT_FOUND else 0
        return {
            "group_id": group_id,
            "error_code": code,
            "error_message": error.message,
            "group_state": STATES["dead"],
            "authorized_operations": NO_OPERATIONS if call.version >= _NOT_FOUND else operations,
        }
    return {
        "group_id": group_id,
        "group_state": STATES[group.state],
        "protocol_type": group.protocol_type,
        "protocol_data": group.protocol,
        "members": [
            {
                "member_id": member.member_id,
                "group_instance_id": member.instance_id,
                "client_id": member.client_id,
                "client_host": member.client_host,
                "member_metadata": member.metadata,
                "member_assignment": member.assignment,
            }
            for member in group.members
        ],
        "authorized_operations": operations,
    }


def _failed(request: Struct, code: int, message: str) -> Response:
    return {
        "groups": [
            {"group_id": group_id, "error_code": code, "error_message": message}
            for group_id in dict.fromkeys(request.groups)
        ]
    }


API: Final = Api(15, "DescribeGroups", 0, 6, handle=_handle, failed=_failed)
