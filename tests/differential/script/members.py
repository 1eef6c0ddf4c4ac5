"""Requests of members of groups."""

from struct import pack
from typing import Any

from ..keys import Key
from ..session import Answer, Begun, Session


def subscription(*topics: str) -> bytes:
    """Returns what a member of the consumer protocol says of itself, in version 0."""
    names = b"".join(pack(">h", len(topic)) + topic.encode() for topic in topics)
    return pack(">hi", 0, len(topics)) + names + pack(">i", -1)


def assignment(topic: str, *partitions: int) -> bytes:
    """Returns an assignment of partitions of one topic, in version 0."""
    parts = b"".join(pack(">i", partition) for partition in partitions)
    return pack(">hih", 0, 1, len(topic)) + topic.encode() + pack(">i", len(partitions)) + parts + pack(">i", -1)


def join_message(group: str, member: str = "", topic: str = "groups", **more: Any) -> dict[str, Any]:
    """Returns a JoinGroup request of one protocol, `range`."""
    protocols = [{"name": "range", "metadata": subscription(topic)}]
    times = {"session_timeout_ms": 30_000, "rebalance_timeout_ms": 30_000}
    message = {"group_id": group, "member_id": member, "protocol_type": "consumer", "protocols": protocols}
    return message | times | more


def sync_message(group: str, member: str, generation: int, *assigned: str, **more: Any) -> dict[str, Any]:
    """Returns a SyncGroup request that gives each of the members named the partition of its place."""
    shares = [{"member_id": name, "assignment": assignment("groups", number)} for number, name in enumerate(assigned)]
    message = {"group_id": group, "member_id": member, "generation_id": generation, "assignments": shares}
    return message | {"protocol_type": "consumer", "protocol_name": "range"} | more


def joined(s: Session, group: str, label: str, **more: Any) -> str:
    """Joins with an id that the group gives; returns the id."""
    first = s.ask(f"{label}: asks for an id", Key.JOIN_GROUP, 9, join_message(group, **more))
    member: str = first["member_id"]
    s.ask(f"{label}: joins", Key.JOIN_GROUP, 9, join_message(group, member, **more))
    return member


def begin_join(s: Session, group: str, member: str, **more: Any) -> Begun:
    """Joins where others have to join first."""
    return s.begin(Key.JOIN_GROUP, 9, join_message(group, member, **more))


def heartbeat(s: Session, label: str, group: str, member: str, generation: int, **more: Any) -> Answer:
    """A heartbeat of the classic protocol."""
    message = {"group_id": group, "member_id": member, "generation_id": generation} | more
    return s.ask(label, Key.HEARTBEAT, 4, message)


def consumer_message(group: str, member: str, epoch: int, **more: Any) -> dict[str, Any]:
    """Returns a heartbeat of the consumer group protocol; the first one says all."""
    message: dict[str, Any] = {
        "group_id": group,
        "member_id": member,
        "member_epoch": epoch,
        "rebalance_timeout_ms": -1,
    }
    if epoch == 0:
        message |= {"rebalance_timeout_ms": 30_000, "subscribed_topic_names": ["groups"], "topic_partitions": []}
    else:
        message |= {"subscribed_topic_names": None, "topic_partitions": None}
    return message | more


def assigned(answer: Answer) -> list[tuple[str, tuple[int, ...]]]:
    """Returns the partitions of a heartbeat's answer, by the topics' ids."""
    found = answer.get("assignment") or {"topic_partitions": []}
    return [(part["topic_id"], tuple(part["partitions"])) for part in found["topic_partitions"]]


def owned(answer: Answer) -> list[dict[str, Any]]:
    """Returns the partitions of a heartbeat's answer as the next heartbeat names them."""
    return [{"topic_id": topic_id, "partitions": list(partitions)} for topic_id, partitions in assigned(answer)]
