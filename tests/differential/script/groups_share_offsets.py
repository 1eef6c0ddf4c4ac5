"""Share groups (KIP-932): where they stand, shown, set and forgotten."""

from typing import Any

from ..keys import Key
from ..session import Session
from .groups_share import find_coordinators
from .groups_share_records import Sharer


def share_offsets(s: Session) -> None:
    """Offsets of share groups with and without members, of unknown ones and of groups of other types."""
    group = "offsets-932"
    one = Sharer(s, group, "share-offsets")
    one.store("abcdefghij")
    find_coordinators(s, group, one.topic_id)

    def described(label: str, topics: Any = None, group_id: str = group, version: int = 1) -> None:
        asked = {"groups": [{"group_id": group_id, "topics": topics}]}
        s.ask(f"described: {label}", Key.DESCRIBE_SHARE_GROUP_OFFSETS, version, asked)

    def altered(label: str, numbers: dict[int, int], topic: str = "share-offsets", group_id: str = group) -> None:
        partitions = [{"partition_index": number, "start_offset": offset} for number, offset in numbers.items()]
        asked = {"group_id": group_id, "topics": [{"topic_name": topic, "partitions": partitions}]}
        s.ask(f"altered: {label}", Key.ALTER_SHARE_GROUP_OFFSETS, 0, asked)

    def deleted(label: str, *topics: str, group_id: str = group) -> None:
        asked = {"group_id": group_id, "topics": [{"topic_name": name} for name in topics]}
        s.ask(f"deleted: {label}", Key.DELETE_SHARE_GROUP_OFFSETS, 0, asked)

    mine = [{"topic_name": "share-offsets", "partitions": [0, 1]}]
    for label, topics in (("all", None), ("none", []), ("some", mine)):
        described(f"nobody, {label}", topics, "nobody-932")
    described("the empty group", None, "")
    described("the empty group, some", mine, "")
    deleted("nobody", "share-offsets", group_id="nobody-932")
    deleted("the empty group", "share-offsets", group_id="")
    altered("the empty group", {0: 1}, group_id="")
    one.join()
    described("has begun", mine)
    one.fetch("records", partitions=[0, 1], settles=True)
    one.say("accepts", (0, 1, 1), (4, 5, 1))
    described("has accepted", mine)
    described("has accepted, all")
    described("has accepted, version 0", version=0)
    described("unknown", [{"topic_name": "share-nothing", "partitions": [0]}])
    altered("has members", {0: 1})
    deleted("has members", "share-offsets")
    one.say("ends", epoch=-1)
    one.leave()
    altered("unknown topic", {0: 1}, topic="share-nothing")
    altered("unknown partition", {0: 3, 7: 1})
    described("altered", mine)
    altered("past the end", {0: 1_000})
    described("altered past the end", mine)
    altered("a negative offset", {1: -1})
    altered("a very negative offset", {1: -7})
    described("altered to a negative offset", mine)
    altered("a new group", {0: 4}, group_id="new-932")
    s.ask("a new group is there", Key.SHARE_GROUP_DESCRIBE, 1, {"group_ids": ["new-932"]})
    described("a new group", None, "new-932")
    s.topic("share-others", 1)
    deleted("some", "share-offsets", "share-others", "share-nothing")
    described("deleted", mine)
    described("deleted, all")
    deleted("again", "share-offsets")
    consumers = {"group_id": "consumers-of-932", "generation_id_or_member_epoch": -1, "member_id": ""}
    offset = [{"name": "share-offsets", "partitions": [{"partition_index": 0, "committed_offset": 7}]}]
    s.quiet(Key.OFFSET_COMMIT, 8, {**consumers, "group_instance_id": None, "topics": offset})
    altered("another type", {0: 1}, group_id="consumers-of-932")
    deleted("another type", "share-offsets", group_id="consumers-of-932")
    described("another type", None, "consumers-of-932")
    s.ask("groups are deleted", Key.DELETE_GROUPS, 2, {"groups_names": [group, "new-932"]})
    described("the group is deleted", mine)
