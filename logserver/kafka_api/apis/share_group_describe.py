"""ShareGroupDescribe (key 77), version 1.

Behavior: describes share groups with their members and what each may fetch from; a group of another type is
GROUP_ID_NOT_FOUND here. A group that is named twice is described once.

Version notes: 0 was for early access in Apache Kafka 4.0 only.

Source: KIP-932; Apache Kafka: `ShareGroup.asDescribedGroup`.

Not done: nothing.
"""

from typing import Any, Final

from logserver.coordinator import GroupDescription, MemberDescription
from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.apis.consumer_group_describe import groups_failed, topics_of
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.group_errors import ALL_OPERATIONS, NO_OPERATIONS, STATES
from logserver.kafka_api.in_turns import in_turns


async def _handle(call: Call, request: Struct) -> Response:
    # Once each: a large group that is named often would make an answer of any size.
    names = in_turns(dict.fromkeys(request.group_ids))
    operations = ALL_OPERATIONS if request.include_authorized_operations else NO_OPERATIONS
    return {"groups": [await _described(call, group_id, operations) async for group_id in names]}


async def _described(call: Call, group_id: str, operations: int) -> dict[str, Any]:
    try:
        group = await call.services.groups.describe(group_id)
        if group.summary.type != "share":
            raise LogServerError(
                ErrorCode.group_id_not_found, f"the group {group_id[:100]!r} is not a share group (KIP-932)"
            )
    except LogServerError as error:
        return {"group_id": group_id, "error_code": error.code.value, "error_message": error.message}
    return _group(call, group, operations)


def _group(call: Call, group: GroupDescription, operations: int) -> dict[str, Any]:
    return {
        "group_id": group.summary.group_id,
        "group_state": STATES[group.summary.state],
        "group_epoch": group.group_epoch,
        "assignment_epoch": group.assignment_epoch,
        "assignor_name": group.assignor,
        "members": [_member(call, member) for member in group.members],
        "authorized_operations": operations,
    }


def _member(call: Call, found: MemberDescription) -> dict[str, Any]:
    member = found.member
    return {
        "member_id": member.member_id,
        "rack_id": member.rack_id,
        "member_epoch": member.epoch,
        "client_id": member.client_id,
        "client_host": member.client_host,
        "subscribed_topic_names": member.topics,
        "assignment": {"topic_partitions": topics_of(call, found.assigned)},
    }


API: Final = Api(77, "ShareGroupDescribe", 1, 1, handle=_handle, failed=groups_failed)
