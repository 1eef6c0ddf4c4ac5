"""Groups through the raw client: members of both protocols, in the fewest words."""

from collections.abc import Mapping, Sequence
from struct import pack
from typing import Any, Final

from logserver.kafka_api.codec import Struct

from .raw_client import OFFSET_COMMIT, OFFSET_FETCH, RawClient

JOIN_GROUP: Final = 11
HEARTBEAT: Final = 12
LEAVE_GROUP: Final = 13
SYNC_GROUP: Final = 14
DESCRIBE_GROUPS: Final = 15
LIST_GROUPS: Final = 16
DELETE_GROUPS: Final = 42
OFFSET_DELETE: Final = 47
CONSUMER_GROUP_HEARTBEAT: Final = 68
CONSUMER_GROUP_DESCRIBE: Final = 69


def subscription(*topics: str) -> bytes:
    """Returns a consumer's metadata: version 0, topics, no user data."""
    names = b"".join(pack(">h", len(name.encode())) + name.encode() for name in topics)
    return pack(">hi", 0, len(topics)) + names + pack(">i", -1)


def join_request(
    member_id: str = "",
    *,
    group_id: str = "g",
    instance_id: str | None = None,
    metadata: bytes | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """Returns a JoinGroup of a consumer with the range assignor."""
    protocol = {"name": "range", "metadata": subscription("t") if metadata is None else metadata}
    return {
        "group_id": group_id,
        "session_timeout_ms": 30_000,
        "rebalance_timeout_ms": 30_000,
        "member_id": member_id,
        "group_instance_id": instance_id,
        "protocol_type": "consumer",
        "protocols": [protocol],
        "reason": None,
        **fields,
    }


def join(client: RawClient, member_id: str = "", *, version: int = 9, **fields: Any) -> Struct:
    """Joins a group, in two steps where that takes two; returns the last answer."""
    answer = client.call(JOIN_GROUP, version, join_request(member_id, **fields))
    if answer.error_code == 79 and not member_id:
        answer = client.call(JOIN_GROUP, version, join_request(answer.member_id, **fields))
    return answer


def sync_request(
    joined: Struct, assignments: Mapping[str, bytes] | None = None, *, group_id: str = "g", **fields: Any
) -> dict[str, Any]:
    """Returns the SyncGroup of a member that has joined."""
    return {
        "group_id": group_id,
        "generation_id": joined.generation_id,
        "member_id": joined.member_id,
        "group_instance_id": None,
        "protocol_type": "consumer",
        "protocol_name": "range",
        "assignments": [
            {"member_id": member_id, "assignment": assignment} for member_id, assignment in (assignments or {}).items()
        ],
        **fields,
    }


def sync(
    client: RawClient, joined: Struct, assignments: Mapping[str, bytes] | None = None, *, version: int = 5, **more: Any
) -> Struct:
    return client.call(SYNC_GROUP, version, sync_request(joined, assignments, **more))


def stable(client: RawClient, *, group_id: str = "g", **fields: Any) -> Struct:
    """Brings a group of one member to rest; returns the answer to its JoinGroup."""
    joined = join(client, group_id=group_id, **fields)
    assert joined.error_code == 0
    instance_id = fields.get("instance_id")
    assert (
        sync(client, joined, {joined.member_id: b"all"}, group_id=group_id, group_instance_id=instance_id).error_code
        == 0
    )
    return joined


def beat(client: RawClient, joined: Struct, *, version: int = 4, group_id: str = "g", **fields: Any) -> int:
    """Sends a Heartbeat; returns its error code."""
    request = {
        "group_id": group_id,
        "generation_id": joined.generation_id,
        "member_id": joined.member_id,
        "group_instance_id": None,
        **fields,
    }
    code: int = client.call(HEARTBEAT, version, request).error_code
    return code


def leave(client: RawClient, *members: tuple[str, str | None], version: int = 5, group_id: str = "g") -> Struct:
    request: dict[str, Any] = {
        "group_id": group_id,
        "member_id": members[0][0],
        "members": [
            {"member_id": member_id, "group_instance_id": instance_id, "reason": None}
            for member_id, instance_id in members
        ],
    }
    return client.call(LEAVE_GROUP, version, request)


def commit(
    client: RawClient,
    offsets: Mapping[tuple[str, int], int],
    *,
    version: int = 9,
    group_id: str = "g",
    member_id: str = "",
    epoch: int = -1,
    topic_ids: Mapping[str, str] | None = None,
    **fields: Any,
) -> dict[tuple[str, int], int]:
    """Commits offsets; returns the error codes."""
    topics = [
        {
            "name": topic,
            "topic_id": (topic_ids or {}).get(topic, "A" * 22),
            "partitions": [
                {
                    "partition_index": partition,
                    "committed_offset": offset,
                    "committed_leader_epoch": 3,
                    "committed_metadata": "m",
                }
            ],
        }
        for (topic, partition), offset in offsets.items()
    ]
    request = {
        "group_id": group_id,
        "generation_id_or_member_epoch": epoch,
        "member_id": member_id,
        "group_instance_id": None,
        "retention_time_ms": -1,
        "topics": topics,
        **fields,
    }
    answer = client.call(OFFSET_COMMIT, version, request)
    return {
        (topic.name or topic.topic_id, partition.partition_index): partition.error_code
        for topic in answer.topics
        for partition in topic.partitions
    }


def fetch(
    client: RawClient, topics: Sequence[Mapping[str, Any]] | None, *, version: int = 9, group_id: str = "g"
) -> Struct:
    """Returns what a group has committed: OffsetFetch's answer for it, whatever the version's shape."""
    group = {"group_id": group_id, "member_id": None, "member_epoch": -1, "topics": topics}
    request = {"group_id": group_id, "topics": topics, "groups": [group], "require_stable": False}
    answer = client.call(OFFSET_FETCH, version, request)
    return answer.groups[0] if version >= 8 else answer


def committed(client: RawClient, group_id: str = "g") -> dict[tuple[str, int], int]:
    """Returns all offsets of a group."""
    return {
        (topic.name, partition.partition_index): partition.committed_offset
        for topic in fetch(client, None, group_id=group_id).topics
        for partition in topic.partitions
    }
