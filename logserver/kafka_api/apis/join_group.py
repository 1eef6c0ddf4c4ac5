"""JoinGroup (key 11), versions 0 to 9.

Behavior: a member of the classic protocol joins its group's next generation; the answer comes when all members have
joined, or the rebalance timeout is over. The leader is told everybody's metadata. In a group that has members of the
consumer group protocol (KIP-848) the server assigns, the member is no leader, and is answered at once; as
group.consumer.migration.policy says, or else with INCONSISTENT_GROUP_PROTOCOL.

Version notes: 1 brought the rebalance timeout (the session timeout serves before), 4 that a new member is given its id
first (KIP-394), 5 static members (KIP-345), 7 the protocol type, 8 a reason (KIP-800), 9 that a leader may be told that
it need not assign anew (KIP-814).

Source: Apache Kafka: `GroupMetadataManager.classicGroupJoin`, `classicGroupJoinToConsumerGroup`.

Not done: nothing.
"""

from typing import Final

from logserver.coordinator.classic_requests import JoinGroup
from logserver.errors import LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct

_REBALANCE_TIMEOUT: Final = 1
_MEMBER_ID_FIRST: Final = 4
_NULLABLE_PROTOCOL: Final = 7
_SKIP_ASSIGNMENT: Final = 9


async def _handle(call: Call, request: Struct) -> Response:
    rebalance_timeout_ms = request.rebalance_timeout_ms if call.version >= _REBALANCE_TIMEOUT else -1
    prefix = request.group_instance_id or call.client_id
    no_protocol = None if call.version >= _NULLABLE_PROTOCOL else ""
    join = JoinGroup(
        group_id=request.group_id,
        member_id=request.member_id,
        new_member_id=f"{prefix}-{call.services.broker.new_uuid()}",
        instance_id=request.group_instance_id,
        client_id=call.client_id,
        client_host=call.client_host,
        session_timeout_ms=request.session_timeout_ms,
        rebalance_timeout_ms=rebalance_timeout_ms if rebalance_timeout_ms >= 0 else request.session_timeout_ms,
        protocol_type=request.protocol_type,
        protocols=[(protocol.name, protocol.metadata) for protocol in request.protocols],
        needs_member_id=call.version >= _MEMBER_ID_FIRST,
        may_skip_assignment=call.version >= _SKIP_ASSIGNMENT,
    )
    try:
        answer = await call.services.groups.join_group(join)
    except LogServerError as error:
        return {"error_code": error.code.value, "member_id": request.member_id, "protocol_name": no_protocol}
    return {
        "error_code": answer.error.code.value if answer.error is not None else 0,
        "generation_id": answer.generation,
        "protocol_type": answer.protocol_type,
        "protocol_name": answer.protocol if answer.protocol is not None else no_protocol,
        "leader": answer.leader,
        "skip_assignment": answer.skip_assignment,
        "member_id": answer.member_id,
        "members": [
            {"member_id": member.member_id, "group_instance_id": member.instance_id, "metadata": member.metadata}
            for member in answer.members
        ],
    }


def _failed(request: Struct, code: int, message: str) -> Response:
    return {"error_code": code, "member_id": request.member_id, "protocol_name": ""}


API: Final = Api(11, "JoinGroup", 0, 9, handle=_handle, failed=_failed)
