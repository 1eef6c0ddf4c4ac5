"""CreateTopics, CreatePartitions and DeleteTopics."""

from collections.abc import Sequence
from typing import Any

from ..keys import Key
from ..session import Session
from .asking import configs

_NOBODYS = "AAAAAAAAAAAAAAAAAAAAZw"
_TIMEOUT = {"timeout_ms": 20_000}


def _create(s: Session, label: str, *topics: dict[str, Any], version: int = 7, **more: Any) -> None:
    asked = [{"num_partitions": 1, "replication_factor": 1} | topic for topic in topics]
    s.ask(label, Key.CREATE_TOPICS, version, {"topics": asked, **_TIMEOUT, **more})


def _gone(s: Session, name: str) -> None:
    s.settle(
        f"{name} is gone",
        Key.METADATA,
        12,
        {"topics": [{"name": name}], "allow_auto_topic_creation": False},
        lambda answer: bool(answer["topics"][0]["error_code"] == "UNKNOWN_TOPIC_OR_PARTITION"),
    )


def create_topics(s: Session) -> None:
    """Topics that can be had and those that can't."""
    for version in range(2, 8):
        _create(s, f"version {version}", {"name": f"create-{version}", "num_partitions": 2}, version=version)
    default = {"num_partitions": -1, "replication_factor": -1}
    _create(s, "as the server likes", {"name": "create-b", **default})
    _create(s, "again", {"name": "create-b", **default})
    _create(s, "again, to look only", {"name": "create-b"}, validate_only=True)
    _create(s, "to look only", {"name": "create-v", "num_partitions": 3}, validate_only=True)
    _create(s, "to look only in version 2", {"name": "create-v"}, version=2, validate_only=True)
    for count, factor in ((0, 1), (-2, 1), (1, 0), (1, 2), (0, 0), (1, -2)):
        topic = {"name": "create-c", "num_partitions": count, "replication_factor": factor}
        _create(s, f"{count} partitions, {factor} replicas", topic)
    for name in ("bad name", "", ".", "..", "x" * 249, "x" * 250, "a/b", "__cluster_metadata", "__consumer_offsets"):
        _create(s, f"the name {name[:20]!r} of {len(name)}", {"name": name})
    _create(s, "a name that collides", {"name": "create.c_d"})
    _create(s, "the collision", {"name": "create_c.d"})
    _create(s, "two that collide", {"name": "create-e.f"}, {"name": "create-e_f"})
    _create(s, "one twice", {"name": "create-g"}, {"name": "create-g"}, {"name": "create-h"})
    _create(s, "none")
    _create(s, "no time", {"name": "create-t0"}, timeout_ms=0)
    _create(s, "negative time", {"name": "create-t1"}, timeout_ms=-1)
    _create(
        s,
        "a wrong setting and a wrong factor",
        {"name": "create-i", "replication_factor": 5, "configs": configs({"retention.ms": "x"})},
    )
    _assigned(s)


def _assigned(s: Session) -> None:
    def ask(label: str, *assigned: tuple[int, Sequence[int]], partitions: int = -1, factor: int = -1) -> None:
        shares = [{"partition_index": index, "broker_ids": list(brokers)} for index, brokers in assigned]
        topic = {"name": f"create-a-{label.replace(' ', '-')}", "assignments": shares}
        _create(s, f"assigned: {label}", topic | {"num_partitions": partitions, "replication_factor": factor})

    ask("right", (0, [1]), (1, [1]))
    ask("with partitions", (0, [1]), partitions=1)
    ask("with a factor", (0, [1]), factor=1)
    ask("a gap", (0, [1]), (2, [1]))
    ask("without the first", (1, [1]))
    ask("an unknown broker", (0, [2]))
    ask("no broker", (0, []))
    ask("a broker twice", (0, [1, 1]))
    ask("a partition twice", (0, [1]), (0, [1]))
    ask("different factors", (0, [1]), (1, [1, 2]))
    ask("a negative broker", (0, [-1]))
    ask("a negative partition", (-1, [1]))


def partitions(s: Session) -> None:
    """More partitions for a topic."""
    s.topic("more", 1)

    def ask(
        label: str,
        count: int,
        brokers: Sequence[Sequence[int]] | None = None,
        *,
        name: str = "more",
        version: int = 3,
        **more: Any,
    ) -> None:
        assigned = None if brokers is None else [{"broker_ids": list(each)} for each in brokers]
        topic = {"name": name, "count": count, "assignments": assigned}
        s.ask(label, Key.CREATE_PARTITIONS, version, {"topics": [topic], **_TIMEOUT, **more})

    for version in range(4):
        ask(f"version {version}", 2 + version, version=version)
    for count in (5, 4, 0, -1):
        ask(f"to {count}", count)
    ask("an unknown topic", 3, name="more-no")
    ask("no name", 3, name="")
    ask("to look only", 6, validate_only=True)
    ask("for a group's topic", 60, name="__consumer_offsets", validate_only=True)
    for label, brokers in (
        ("right", [[1]]),
        ("too few", []),
        ("too many", [[1], [1]]),
        ("an unknown broker", [[2]]),
        ("no broker", [[]]),
        ("a broker twice", [[1, 1]]),
        ("two brokers", [[1, 2]]),
    ):
        ask(f"assigned: {label}", 6 if label == "right" else 7, brokers)
    topics = [{"name": "more", "count": 12}, {"name": "more", "count": 13}, {"name": "more-no", "count": 2}]
    s.ask("a topic twice", Key.CREATE_PARTITIONS, 3, {"topics": topics, **_TIMEOUT})
    s.ask("no topics", Key.CREATE_PARTITIONS, 3, {"topics": [], **_TIMEOUT})
    ask("no time", 8, timeout_ms=0)


def delete_topics(s: Session) -> None:
    """By name and by id."""
    ids = {name: s.topic(name) for name in ("delete-a", "delete-b", "delete-c", "delete-d", "delete-e")}

    def names(label: str, *wanted: str, version: int = 5) -> None:
        s.ask(label, Key.DELETE_TOPICS, version, {"topic_names": list(wanted), **_TIMEOUT})

    def topics(label: str, *wanted: dict[str, Any], **more: Any) -> None:
        s.ask(label, Key.DELETE_TOPICS, 6, {"topics": list(wanted), **_TIMEOUT, **more})

    names("an unknown one", "delete-no")
    names("an unknown one in version 1", "delete-no", version=1)
    names("a bad name", "bad name", version=4)
    names("no name", "", version=4)
    names("none")
    names("a group's topic", "__cluster_metadata")
    topics("by name", {"name": "delete-a"})
    _gone(s, "delete-a")
    topics("by nothing", {"name": None})
    topics("by both", {"name": "delete-b", "topic_id": _NOBODYS})
    topics("by an unknown id", {"name": None, "topic_id": _NOBODYS})
    by_id = {"name": None, "topic_id": ids["delete-b"]}
    topics("by an id twice", by_id, by_id)
    topics("by id and by name", by_id, {"name": "delete-b"})
    topics("by id", by_id)
    _gone(s, "delete-b")
    names("by name twice", "delete-c", "delete-c")
    topics("no time", {"name": "delete-d"}, timeout_ms=0)
    s.settle(
        "after no time",
        Key.METADATA,
        12,
        {"topics": [{"name": "delete-e"}], "allow_auto_topic_creation": False},
        lambda answer: True,
    )
