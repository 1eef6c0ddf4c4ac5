"""OffsetFetch (key 9), versions 1 to 10.

Behavior: returns what groups have committed, for some partitions or for all; -1 where nothing is committed. A group
that does not exist has committed nothing. Who asks for settled offsets only gets UNSTABLE_OFFSET_COMMIT where an open
transaction has one.

Version notes: 2 brought "all" (null topics) and an error of the whole request, 5 leader epochs, 7 that only settled
offsets of transactions count, 8 several groups, 9 member epochs, which are checked (KIP-848), 10 topic ids.

Source: Apache Kafka: `OffsetMetadataManager.fetchOffsets`, KIP-709.

Not done: nothing.
"""

from collections.abc import Sequence
from typing import Any, Final

from logserver.coordinator import OffsetCommitValue, Place
from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.in_turns import in_turns

_SEVERAL: Final = 8
_ERROR_OF_GROUP: Final = 2
_TOPIC_IDS: Final = 10
_NONE: Final = -1


async def _handle(call: Call, request: Struct) -> Response:
    if call.version < _SEVERAL:
        return await _group(call, request.group_id, request.topics, None, request.require_stable)
    groups = []
    wholly: set[str] = set()
    async for group in in_turns(request.groups):
        if group.topics is None:
            # All of a group once only: a group with many offsets that is named often would make an answer of any size.
            if group.group_id in wholly:
                continue
            wholly.add(group.group_id)
        member = (group.member_id, group.member_epoch) if group.member_id and group.member_epoch >= 0 else None
        found = await _group(call, group.group_id, group.topics, member, request.require_stable)
        groups.append({"group_id": group.group_id, **found})
    return {"groups": groups}


async def _group(
    call: Call,
    group_id: str,
    topics: Sequence[Struct] | None,
    member: tuple[str, int] | None,
    require_stable: bool,
) -> dict[str, Any]:
    places: list[Place] | None = None
    names: list[tuple[Struct, str | None]] = []
    if topics is not None:
        names = [(topic, _name(call, topic)) for topic in topics]
        places = [(name, number) for topic, name in names if name is not None for number in topic.partition_indexes]
    try:
        if member is not None and not await call.services.groups.exists(group_id):
            # As if nobody in particular had asked.
            member = None
        # First: what comes to an end in between is found settled.
        pending = await call.services.groups.pending(group_id) if require_stable else set()
        found = await call.services.groups.committed(group_id, places, member)
    except LogServerError as error:
        code = error.code.value
        if call.version >= _ERROR_OF_GROUP:
            return {"error_code": code}
        return {
            "error_code": code,
            "topics": [
                {
                    "name": name or "",
                    "topic_id": _topic_id(call, topic),
                    "partitions": [_partition(number, None, code) for number in topic.partition_indexes],
                }
                for topic, name in names
            ],
        }
    if topics is None:
        return {"topics": _all(call, found, pending)}
    return {
        "topics": [
            {
                "name": name or "",
                "topic_id": _topic_id(call, topic),
                "partitions": [
                    _partition(number, *_settled((name, number), found, pending))
                    if name is not None
                    else _partition(number, None, ErrorCode.unknown_topic_id.value)
                    for number in topic.partition_indexes
                ],
            }
            for topic, name in names
        ]
    }


def _name(call: Call, topic: Struct) -> str | None:
    if call.version < _TOPIC_IDS:
        name: str = topic.name
        return name
    found = call.services.groups.topics.by_id(topic.topic_id)
    return found.name if found is not None else None


def _topic_id(call: Call, topic: Struct) -> str | None:
    # The topics of a request of one group have no field for it at all.
    return topic.topic_id if call.version >= _TOPIC_IDS else None


def _settled(
    place: Place, offsets: dict[Place, OffsetCommitValue], pending: set[Place]
) -> tuple[OffsetCommitValue | None, int]:
    """Returns what is committed for a place, and an error code."""
    if place in pending:
        return None, ErrorCode.unstable_offset_commit.value
    return offsets.get(place), 0


def _all(call: Call, offsets: dict[Place, OffsetCommitValue], pending: set[Place]) -> list[dict[str, Any]]:
    topics: dict[str, dict[str, Any]] = {}
    for name, number in sorted(offsets):
        if name not in topics:
            view = call.services.groups.topics.by_name(name)
            if view is None and call.version >= _TOPIC_IDS:
                continue
            topics[name] = {"name": name, "partitions": []}
            if view is not None:
                topics[name]["topic_id"] = view.topic_id
        topics[name]["partitions"].append(_partition(number, *_settled((name, number), offsets, pending)))
    return list(topics.values())


def _partition(number: int, value: OffsetCommitValue | None, code: int = 0) -> dict[str, Any]:
    if value is None:
        return {"partition_index": number, "committed_offset": _NONE, "metadata": "", "error_code": code}
    return {
        "partition_index": number,
        "committed_offset": value.offset,
        "committed_leader_epoch": value.leader_epoch,
        "metadata": value.metadata,
    }


def _failed(request: Struct, code: int, message: str) -> Response:
    return {
        "error_code": code,
        # Version 1 has no error but a partition's.
        "topics": [
            {"name": topic.name, "partitions": [_partition(number, None, code) for number in topic.partition_indexes]}
            for topic in request.topics or ()
        ],
        "groups": [{"group_id": group.group_id, "error_code": code} for group in request.groups],
    }


API: Final = Api(9, "OffsetFetch", 1, 10, handle=_handle, failed=_failed)
