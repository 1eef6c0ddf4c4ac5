"""LeaveGroup (key 13), versions 0 to 5.

Behavior: members of the classic protocol leave, or are removed by somebody who looks after the group; so are members
of the consumer group protocol.

Version notes: 3 brought several members, by member id or by group instance id (KIP-345), 5 a reason (KIP-800).

Source: Apache Kafka: `GroupMetadataManager.classicGroupLeave`.

Not done: nothing.
"""

from collections.abc import Sequence
from typing import Final

from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.errors import without_trace

_SEVERAL: Final = 3


async def _handle(call: Call, request: Struct) -> Response:
    if call.version < _SEVERAL:
        (error,) = await call.services.groups.leave_group(request.group_id, [(request.member_id, None)])
        return {"error_code": error.code.value if error is not None else 0}
    members = [(member.member_id, member.group_instance_id) for member in request.members]
    errors: Sequence[LogServerError | None]
    try:
        errors = await call.services.groups.leave_group(request.group_id, members)
    except LogServerError as error:
        if error.code is not ErrorCode.unknown_member_id:
            raise
        # There is no such group.
        errors = [without_trace(error)] * len(members)
    return {
        "members": [
            {
                "member_id": member_id,
                "group_instance_id": instance_id,
                "error_code": error.code.value if error is not None else 0,
            }
            for (member_id, instance_id), error in zip(members, errors, strict=True)
        ]
    }


API: Final = Api(13, "LeaveGroup", 0, 5, handle=_handle)
