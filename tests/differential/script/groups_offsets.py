"""OffsetCommit, OffsetFetch and OffsetDelete outside of any membership."""

from typing import Any

from ..keys import Key
from ..session import Session

_NOBODYS = "AAAAAAAAAAAAAAAAAAAAZw"


def group_offsets(s: Session) -> None:
    """Commits, reads, deletes."""
    topic_id = s.topic("group-offsets", 2)

    def commit(
        label: str, *wanted: tuple[int, int], version: int = 9, topic: str = "group-offsets", **more: Any
    ) -> None:
        parts: list[dict[str, Any]] = [
            {"partition_index": index, "committed_offset": offset} for index, offset in wanted
        ]
        for part in parts:
            part["committed_metadata"] = more.get("metadata", "m")
            part["committed_leader_epoch"] = more.get("leader_epoch", -1)
        asked_id = more.get("topic_id", topic_id)
        topics = [{"name": topic, "topic_id": asked_id, "partitions": parts}]
        whole = {"group_id": more.get("group", "simple"), "generation_id_or_member_epoch": -1, "topics": topics}
        s.ask(f"commit: {label}", Key.OFFSET_COMMIT, version, whole)

    commit("two", (0, 10), (1, 20))
    for version in range(2, 11):
        commit(f"version {version}", (0, version), version=version)
    commit("an unknown partition", (0, 11), (9, 1))
    commit("an unknown topic", (0, 1), topic="group-offsets-no")
    commit("an unknown id", (0, 1), version=10, topic_id=_NOBODYS)
    commit("no id", (0, 1), version=10, topic_id="A" * 22)
    commit("a negative offset", (0, -1))
    commit("a negative offset -5", (1, -5))
    commit("long metadata", (0, 12), metadata="x" * 5000)
    commit("no metadata", (1, 13), metadata=None)
    commit("a leader epoch", (1, 14), leader_epoch=3)
    commit("the empty group", (0, 1), group="")
    commit("an internal topic", (0, 1), topic="__consumer_offsets")
    commit("no partitions")
    s.ask("commit: no topics", Key.OFFSET_COMMIT, 9, {"group_id": "simple", "generation_id_or_member_epoch": -1})
    generation = {"group_id": "simple-no", "generation_id_or_member_epoch": 4, "member_id": "a"}
    topics = [{"name": "group-offsets", "partitions": [{"partition_index": 0, "committed_offset": 1}]}]
    s.ask("commit: a member of no group", Key.OFFSET_COMMIT, 9, {**generation, "topics": topics})
    s.ask(
        "commit: retention",
        Key.OFFSET_COMMIT,
        4,
        {"group_id": "simple", "generation_id_or_member_epoch": -1, "topics": topics, "retention_time_ms": 5000},
    )
    _fetches(s, topic_id)
    s.ask("described", Key.DESCRIBE_GROUPS, 6, {"groups": ["simple"]})
    s.ask("listed", Key.LIST_GROUPS, 5, {})
    _deletes(s)


def _fetches(s: Session, topic_id: str) -> None:
    def fetch(
        label: str,
        *indexes: int,
        version: int = 9,
        topic: str = "group-offsets",
        group: str = "simple",
        asked_id: str = topic_id,
        **more: Any,
    ) -> None:
        topics = [{"name": topic, "topic_id": asked_id, "partition_indexes": list(indexes)}]
        asked = {"group_id": group, "member_id": None, "member_epoch": -1, "topics": topics} | more
        old = [{"name": topic, "partition_indexes": list(indexes)}]
        message = {"group_id": group, "topics": old, "groups": [asked]}
        s.ask(f"fetch: {label}", Key.OFFSET_FETCH, version, message)

    for version in range(1, 11):
        fetch(f"version {version}", 0, 1, version=version)
    fetch("an unknown partition", 0, 9)
    fetch("an unknown topic", 0, topic="group-offsets-no")
    fetch("an unknown id", 0, version=10, asked_id=_NOBODYS)
    fetch("an unknown group", 0, group="simple-no")
    fetch("the empty group", 0, group="")
    fetch("all topics", topics=None)
    fetch("all topics by id", topics=None, version=10)
    fetch("no topics", topics=[])
    fetch("a member of no members", 0, member_id="nobody", member_epoch=1)
    for version in (2, 5, 7):
        s.ask(f"fetch: all in version {version}", Key.OFFSET_FETCH, version, {"group_id": "simple", "topics": None})
    both = [{"group_id": group, "member_id": None, "topics": None} for group in ("simple", "simple-no")]
    s.ask("fetch: two groups", Key.OFFSET_FETCH, 9, {"groups": both, "require_stable": True})
    s.ask("fetch: no groups", Key.OFFSET_FETCH, 9, {"groups": []})


def _deletes(s: Session) -> None:
    def delete(label: str, *indexes: int, topic: str = "group-offsets", group: str = "simple") -> None:
        partitions = [{"partition_index": index} for index in indexes]
        message = {"group_id": group, "topics": [{"name": topic, "partitions": partitions}]}
        s.ask(f"delete: {label}", Key.OFFSET_DELETE, 0, message)

    delete("one", 0)
    delete("it again", 0)
    delete("an unknown partition", 9)
    delete("an unknown topic", 0, topic="group-offsets-no")
    delete("of an unknown group", 0, group="simple-no")
    delete("of the empty group", 0, group="")
    delete("no partitions")
    delete("the last one", 1)
    s.ask("what is left", Key.OFFSET_FETCH, 9, {"groups": [{"group_id": "simple", "topics": None}]})
    s.ask("what is left of the group", Key.DESCRIBE_GROUPS, 6, {"groups": ["simple"]})
    s.ask("the group is deleted", Key.DELETE_GROUPS, 2, {"groups_names": ["simple"]})
