"""Share groups (KIP-932): their members. What they are given is not asked for."""

from typing import Any

from ..keys import Key
from ..session import Answer, Session
from .members import assigned, consumer_message, join_message

_GROUP = "kip932"
_A, _B = (f"AAAAAAAAAAAAAAAAAAAA{letter}Q" for letter in "de")


def find_coordinators(s: Session, group: str, topic_id: str) -> None:
    """Waits until there are those of a group and of its state: their topics are made when somebody asks for them."""
    for what, key_type, name in (("groups", 0, group), ("state", 2, f"{group}:{topic_id}:0")):
        s.settle(
            f"there is a coordinator of {what}",
            Key.FIND_COORDINATOR,
            6,
            {"key_type": key_type, "coordinator_keys": [name]},
            lambda answer: answer["coordinators"][0]["error_code"] == "NONE",
        )
    s.settle(
        "groups are loaded",
        Key.HEARTBEAT,
        4,
        {"group_id": group, "member_id": "nobody", "generation_id": 1},
        # As long as it is not, Kafka answers NONE to any member.
        lambda answer: answer["error_code"] == "UNKNOWN_MEMBER_ID",
    )


def share_groups(s: Session) -> None:
    """Members join, get partitions and leave; what is refused; and groups of other types."""
    topic_id = s.topic("groups-932", 2)
    find_coordinators(s, _GROUP, topic_id)
    _refused(s)

    def message(member: str, epoch: int, **more: Any) -> dict[str, Any]:
        topics = ["groups-932"] if epoch == 0 else None
        return {
            "group_id": _GROUP,
            "member_id": member,
            "member_epoch": epoch,
            "rack_id": None,
            "subscribed_topic_names": topics,
        } | more

    def beat(label: str, member: str, epoch: int, **more: Any) -> Answer:
        return s.ask(label, Key.SHARE_GROUP_HEARTBEAT, 1, message(member, epoch, **more))

    def has_all(answer: Answer) -> bool:
        return sum(len(partitions) for _, partitions in assigned(answer)) == 2

    everything = message(_A, 0)
    first = s.settle("the first has all", Key.SHARE_GROUP_HEARTBEAT, 1, everything, has_all)
    epoch = first["member_epoch"]
    beat("nothing new", _A, epoch)
    beat("everything again", _A, epoch, subscribed_topic_names=["groups-932"])
    beat("joins again", _A, 0)
    beat("an epoch to come", _A, epoch + 5)
    beat("nobody", "nobody", 1)
    beat("nobody leaves", "nobody", -1)
    describe = {"group_ids": [_GROUP, "kip932-no", ""], "include_authorized_operations": True}
    s.ask("one member", Key.SHARE_GROUP_DESCRIBE, 1, describe)
    s.ask("list", Key.LIST_GROUPS, 5, {"types_filter": ["share"], "states_filter": []})
    s.ask("list other types", Key.LIST_GROUPS, 5, {"types_filter": ["consumer"], "states_filter": ["Empty"]})
    _other_types(s, topic_id)
    s.ask("a group with members is deleted", Key.DELETE_GROUPS, 2, {"groups_names": [_GROUP]})
    beat("leaves", _A, -1)
    beat("leaves again", _A, -1)
    s.ask("nobody is left", Key.SHARE_GROUP_DESCRIBE, 1, describe | {"include_authorized_operations": False})
    _other_types(s, topic_id, "empty: ")
    s.ask("delete", Key.DELETE_GROUPS, 2, {"groups_names": [_GROUP]})
    s.ask("it is deleted", Key.SHARE_GROUP_DESCRIBE, 1, {"group_ids": [_GROUP]})
    for label, version, key in (
        ("nonsense", 6, "nonsense"),
        ("no topic id", 6, "a:b:0"),
        ("version 5", 5, f"{_GROUP}:{topic_id}:0"),
    ):
        asked = {"key_type": 2, "coordinator_keys": [key]}
        s.ask(f"coordinator of state, {label}", Key.FIND_COORDINATOR, version, asked)


def _refused(s: Session) -> None:
    def ask(label: str, **more: Any) -> None:
        # A group for each: one that is not refused does not change the next answer.
        whole = {"member_id": _B, "member_epoch": 0, "rack_id": None, "subscribed_topic_names": ["groups-932"]}
        s.ask(f"refused: {label}", Key.SHARE_GROUP_HEARTBEAT, 1, {"group_id": f"932 {label}"} | whole | more)

    ask("the empty group", group_id="")
    ask("a blank group", group_id=" ")
    ask("no member", member_id="")
    ask("a long member", member_id="m" * 37)
    ask("no subscription", subscribed_topic_names=None)
    ask("an empty subscription", subscribed_topic_names=[])
    ask("an empty rack", rack_id="")
    ask("an epoch of 5", member_epoch=5)
    ask("an epoch of -1", member_epoch=-1)
    ask("an epoch of -2", member_epoch=-2)


def _other_types(s: Session, topic_id: str, when: str = "") -> None:
    """Asks for the share group as if it were one of another type."""

    def ask(label: str, key: Key, version: int, message: dict[str, Any]) -> None:
        s.ask(f"{when}{label}", key, version, message)

    consumer = consumer_message(_GROUP, _B, 0, subscribed_topic_names=["groups-932"])
    ask("a consumer joins", Key.CONSUMER_GROUP_HEARTBEAT, 1, consumer)
    ask("a classic member joins", Key.JOIN_GROUP, 9, join_message(_GROUP, "", topic="groups-932"))
    ask("a classic heartbeat", Key.HEARTBEAT, 4, {"group_id": _GROUP, "member_id": _A, "generation_id": 1})
    ask("a classic member leaves", Key.LEAVE_GROUP, 5, {"group_id": _GROUP, "members": [{"member_id": _A}]})
    partitions = [{"partition_index": 0, "committed_offset": 7}]
    topic = {"name": "groups-932", "topic_id": topic_id, "partitions": partitions}
    committed = {
        "group_id": _GROUP,
        "generation_id_or_member_epoch": -1,
        "member_id": "",
        "group_instance_id": None,
        "topics": [topic],
    }
    ask("a commit", Key.OFFSET_COMMIT, 9, committed)
    everything = {"group_id": _GROUP, "member_id": None, "member_epoch": -1, "topics": None}
    ask("offsets", Key.OFFSET_FETCH, 9, {"groups": [everything], "require_stable": False})
    offset = [{"name": "groups-932", "partitions": [{"partition_index": 0}]}]
    ask("offsets are deleted", Key.OFFSET_DELETE, 0, {"group_id": _GROUP, "topics": offset})
    ask("described as a classic group", Key.DESCRIBE_GROUPS, 6, {"groups": [_GROUP]})
    ask("described as consumers", Key.CONSUMER_GROUP_DESCRIBE, 1, {"group_ids": [_GROUP]})
    message = {"group_id": "kip848-of-932", "member_id": _B, "member_epoch": 0, "rebalance_timeout_ms": 10_000}
    if not when:
        whole = message | {"subscribed_topic_names": ["groups-932"], "topic_partitions": []}
        ask("a consumer group", Key.CONSUMER_GROUP_HEARTBEAT, 1, whole)
        share = {"member_id": _A, "member_epoch": 0, "rack_id": None, "subscribed_topic_names": ["groups-932"]}
        ask("a share member of it", Key.SHARE_GROUP_HEARTBEAT, 1, {"group_id": "kip848-of-932"} | share)
