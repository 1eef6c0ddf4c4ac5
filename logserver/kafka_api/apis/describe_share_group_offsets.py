"""DescribeShareGroupOffsets (key 90), versions 0 and 1.

Behavior: tells where share groups stand: the start offset, below which everything is settled, and the lag: how many
records from there on are not settled. Nothing is said of partitions whose state can't be read now, and of groups that
are none. A group that is named twice is described once, as it was named first.

Version notes: 1 brought the lag (KIP-1226).

Source: KIP-932; Apache Kafka: `GroupCoordinatorService.describeShareGroupOffsets`.

Not done: nothing.
"""

from typing import Any, Final

from logserver.coordinator.share.offsets import UNKNOWN, ShareOffset
from logserver.errors import LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.in_turns import in_turns, together

_NO_TOPIC: Final = "A" * 22


async def _handle(call: Call, request: Struct) -> Response:
    # Once each: a large group that is named often would make an answer of any size.
    groups: dict[str, Struct] = {}
    for group in request.groups:
        groups.setdefault(group.group_id, group)
    return {"groups": [await _group(call, group) async for group in in_turns(groups.values())]}


async def _group(call: Call, group: Struct) -> dict[str, Any]:
    try:
        if group.topics is None:
            found = await call.services.groups.share_offsets.topics_of(group.group_id)
            wanted = {name: sorted(partitions) for name, partitions in sorted(found.items())}
        else:
            wanted = {topic.topic_name: list(dict.fromkeys(topic.partitions)) for topic in group.topics}
    except LogServerError as error:
        return {"group_id": group.group_id, "error_code": error.code.value, "error_message": error.message}
    return {
        "group_id": group.group_id,
        "topics": [await _topic(call, group.group_id, name, partitions) for name, partitions in wanted.items()],
    }


async def _topic(call: Call, group_id: str, name: str, partitions: list[int]) -> dict[str, Any]:
    view = call.services.groups.topics.by_name(name)
    return {
        "topic_name": name,
        "topic_id": view.topic_id if view is not None else _NO_TOPIC,
        "partitions": await together(_partition(call, group_id, name, number) for number in partitions),
    }


async def _partition(call: Call, group_id: str, topic: str, number: int) -> dict[str, Any]:
    try:
        found = await call.services.groups.share_offsets.of(group_id, topic, number)
    except LogServerError as error:
        nothing = _fields(number, ShareOffset(UNKNOWN, 0, UNKNOWN))
        return {**nothing, "error_code": error.code.value, "error_message": error.message}
    return _fields(number, found)


def _fields(number: int, found: ShareOffset) -> dict[str, Any]:
    return {
        "partition_index": number,
        "start_offset": found.start_offset,
        "leader_epoch": found.leader_epoch,
        "lag": found.lag,
    }


def _failed(request: Struct, code: int, message: str) -> Response:
    groups = dict.fromkeys(group.group_id for group in request.groups)
    return {"groups": [{"group_id": group_id, "error_code": code, "error_message": message} for group_id in groups]}


API: Final = Api(90, "DescribeShareGroupOffsets", 0, 1, handle=_handle, failed=_failed)
