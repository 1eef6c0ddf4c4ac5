"""ConsumerGroupDescribe (key 69), versions 0 and 1.

Behavior: describes consumer groups with their members, what each owns and is to own; a group of the classic protocol is
GROUP_ID_NOT_FOUND here, and DescribeGroups describes it.

Version notes: 1 brought the type of a member: of the consumer group protocol, or of the classic one (KIP-848's
migration).

Source: KIP-848; Apache Kafka: `ConsumerGroup.asDescribedGroup`.

Not done: nothing.
"""

from collections.abc import Sequence
from typing import Any, Final

from logserver.coordinator import GroupDescription, MemberDescription, Place
from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.group_errors import ALL_OPERATIONS, NO_OPERATIONS, STATES
from logserver.kafka_api.in_turns import in_turns

_CLASSIC: Final = 0
_CONSUMER: Final = 1


async def _handle(call: Call, request: Struct) -> Response:
    # Once each: a large group that is named often would make an answer of any size.
    names = in_turns(dict.fromkeys(request.group_ids))
    return {
        "groups": [await _described(call, group_id, request.include_authorized_operations) async for group_id in names]
    }


async def _described(call: Call, group_id: str, with_operations: bool) -> dict[str, Any]:
    try:
        group = await call.services.groups.describe(group_id)
        if group.summary.type != "consumer":
            raise LogServerError(
                ErrorCode.group_id_not_found, f"the group {group_id[:100]!r} is not a consumer group (KIP-848)"
            )
    except LogServerError as error:
        return {"group_id": group_id, "error_code": error.code.value, "error_message": error.message}
    return _group(call, group, ALL_OPERATIONS if with_operations else NO_OPERATIONS)


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
        "instance_id": member.instance_id,
        "rack_id": member.rack_id,
        "member_epoch": member.epoch,
        "client_id": member.client_id,
        "client_host": member.client_host,
        "subscribed_topic_names": member.topics,
        "subscribed_topic_regex": member.pattern or "",
        "assignment": {"topic_partitions": topics_of(call, found.assigned)},
        "target_assignment": {"topic_partitions": topics_of(call, found.target)},
        "member_type": _CONSUMER if member.classic is None else _CLASSIC,
    }


def topics_of(call: Call, places: Sequence[Place]) -> list[dict[str, Any]]:
    """Returns places by topic, with its id."""
    topics: dict[str, dict[str, Any]] = {}
    for name, number in places:
        view = call.services.groups.topics.by_name(name)
        if view is not None:
            topics.setdefault(name, {"topic_id": view.topic_id, "topic_name": name, "partitions": []})
            topics[name]["partitions"].append(number)
    return list(topics.values())


def groups_failed(request: Struct, code: int, message: str) -> Response:
    """Returns the response that says of each group that the request has failed."""
    return {
        "groups": [
            {"group_id": group_id, "error_code": code, "error_message": message}
            for group_id in dict.fromkeys(request.group_ids)
        ]
    }


API: Final = Api(69, "ConsumerGroupDescribe", 0, 1, handle=_handle, failed=groups_failed)
