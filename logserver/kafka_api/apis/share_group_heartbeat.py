"""ShareGroupHeartbeat (key 76), version 1.

Behavior: joins, stays in and leaves a share group (KIP-932); the answer says which partitions the member may fetch from
when that has changed or the member has said everything anew. A partition can be assigned to several members. A group of
another type is GROUP_ID_NOT_FOUND, and a share group never becomes one of another type.

Version notes: 0 was for early access in Apache Kafka 4.0 only.

Source: KIP-932; Apache Kafka: `GroupMetadataManager.shareGroupHeartbeat`.

Not done: nothing.
"""

from typing import Final

from logserver.coordinator import LEAVING, ShareHeartbeat
from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.apis.consumer_group_heartbeat import topic_partitions
from logserver.kafka_api.codec import Struct

_MOST_ID_CHARACTERS: Final = 36
"""Those of a UUID, which clients' member ids are."""


async def _handle(call: Call, request: Struct) -> Response:
    _check(request)
    names = request.subscribed_topic_names
    groups = call.services.groups
    answer = await groups.share.heartbeat(
        ShareHeartbeat(
            group_id=request.group_id,
            member_id=request.member_id,
            member_epoch=request.member_epoch,
            rack_id=request.rack_id,
            topics=None if names is None else tuple(names),
            client_id=call.client_id,
            client_host=call.client_host,
        )
    )
    leaves = request.member_epoch == LEAVING
    return {
        "member_id": answer.member_id,
        "member_epoch": answer.member_epoch,
        "heartbeat_interval_ms": 0 if leaves else groups.limits.share.heartbeat_interval_of(request.group_id),
        "assignment": None if answer.assigned is None else {"topic_partitions": topic_partitions(answer.assigned)},
    }


def _check(request: Struct) -> None:
    if not request.group_id.strip():
        raise LogServerError(ErrorCode.invalid_request, "the group id is empty")
    if not 0 < len(request.member_id.strip()) <= _MOST_ID_CHARACTERS:
        raise LogServerError(
            ErrorCode.invalid_request, f"a member id has 1 to {_MOST_ID_CHARACTERS} characters, as a UUID has"
        )


API: Final = Api(76, "ShareGroupHeartbeat", 1, 1, handle=_handle)
