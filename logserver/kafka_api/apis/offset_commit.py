"""OffsetCommit (key 8), versions 2 to 10.

Behavior: stores a group's offsets, all at once, and answers when they are durable. Members of either group protocol
commit with their generation or member epoch; somebody who is no member may as long as the group has none. Requests of
one offset like many before take a short way, see `commit_quick`.

Version notes: 6 brought leader epochs (KIP-320), 7 static members, 9 member epochs (KIP-848), 10 topic ids (KIP-1251).
Up to 4 a client may say how long its offsets are to be kept; that is passed by, as in Kafka since 2.1 for members.

Source: Apache Kafka: `OffsetMetadataManager.commitOffset`.

Not done: nothing.
"""

from typing import Any, Final

from logserver.coordinator.requests import Commit, OffsetToCommit
from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.commit_quick import quick

_TOPIC_IDS: Final = 10
_MEMBER_EPOCHS: Final = 9


async def _handle(call: Call, request: Struct) -> Response:
    offsets: list[OffsetToCommit] = []
    codes: dict[tuple[str, int], int] = {}
    places: list[tuple[Struct, str | None]] = []
    for topic in request.topics:
        name: str | None = topic.name
        if call.version >= _TOPIC_IDS:
            found = call.services.groups.topics.by_id(topic.topic_id)
            name = found.name if found is not None else None
        places.append((topic, name))
        for partition in topic.partitions if name is not None else ():
            assert name is not None
            offsets.append(
                OffsetToCommit(
                    name,
                    partition.partition_index,
                    partition.committed_offset,
                    partition.committed_leader_epoch,
                    partition.committed_metadata or "",
                )
            )
    commit = Commit(
        request.group_id,
        request.member_id,
        request.generation_id_or_member_epoch,
        offsets,
        request.group_instance_id,
    )
    try:
        errors = await call.services.groups.commit(commit)
    except LogServerError as error:
        refusal = error.code
        is_member = refusal is ErrorCode.unknown_member_id and commit.member_epoch >= 0
        if is_member and not await call.services.groups.exists(commit.group_id):
            # To Kafka that is another matter than a group without this member.
            refusal = ErrorCode.group_id_not_found
        code = _for_version(refusal, call.version)
        codes = {(offset.topic, offset.partition): code for offset in offsets}
    else:
        for offset, error_of_one in zip(offsets, errors, strict=True):
            refused = 0 if error_of_one is None else _for_version(error_of_one.code, call.version)
            codes[offset.topic, offset.partition] = refused
    return {"topics": [_topic(topic, name, codes) for topic, name in places if topic.partitions]}


def _for_version(code: ErrorCode, version: int) -> int:
    # Clients of older versions do not know of member epochs (as Kafka answers them).
    if code is ErrorCode.stale_member_epoch and version < _MEMBER_EPOCHS:
        return ErrorCode.unsupported_version.value
    if code is ErrorCode.group_id_not_found and version < _MEMBER_EPOCHS:
        return ErrorCode.illegal_generation.value
    return code.value


def _topic(topic: Struct, name: str | None, codes: dict[tuple[str, int], int]) -> dict[str, Any]:
    unknown = ErrorCode.unknown_topic_id.value
    return {
        "name": name or "",
        "topic_id": topic.topic_id,
        "partitions": [
            {
                "partition_index": partition.partition_index,
                "error_code": unknown if name is None else codes[name, partition.partition_index],
            }
            for partition in topic.partitions
        ],
    }


def _failed(request: Struct, code: int, message: str) -> Response:
    return {
        "topics": [
            {
                "name": topic.name,
                "topic_id": topic.topic_id,
                "partitions": [
                    {"partition_index": partition.partition_index, "error_code": code} for partition in topic.partitions
                ],
            }
            for topic in request.topics
        ]
    }


API: Final = Api(8, "OffsetCommit", 2, 10, handle=_handle, failed=_failed, quick=quick)
