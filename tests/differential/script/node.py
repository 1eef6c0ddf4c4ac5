"""What there is to ask about the node: directories, quorum, features, leaders, reassignments."""

from typing import Any

from ..batches import batch
from ..keys import Key
from ..session import Session
from .asking import stored

_TIMEOUT = {"timeout_ms": 20_000}


def node(s: Session) -> None:
    """Log directories, leaders, producers, brokers."""
    s.topic("node", 2)
    stored(s, "node", batch("a", "b", at_ms=s.base_ms))
    for version in range(1, 6):
        wanted = [{"topic": "node", "partitions": [0, 1]}]
        s.ask(f"directories {version}", Key.DESCRIBE_LOG_DIRS, version, {"topics": wanted})
    for label, topics in (
        ("an unknown partition", [{"topic": "node", "partitions": [7]}]),
        ("an unknown topic", [{"topic": "node-no", "partitions": [0]}]),
        ("none", []),
        ("no partitions", [{"topic": "node", "partitions": []}]),
    ):
        s.ask(f"directories: {label}", Key.DESCRIBE_LOG_DIRS, 4, {"topics": topics})

    def move(label: str, path: str, *topics: str, version: int = 2) -> None:
        asked = [{"name": topic, "partitions": [0]} for topic in topics]
        message = {"dirs": [{"path": path, "topics": asked}]}
        s.ask(f"move: {label}", Key.ALTER_REPLICA_LOG_DIRS, version, message)

    move("to nowhere", "/nowhere", "node", "node-no")
    move("to a relative path", "relative", "node", version=1)
    s.ask("move: nothing", Key.ALTER_REPLICA_LOG_DIRS, 1, {"dirs": []})
    _elections(s)
    partitions = [{"name": "node", "partition_indexes": [0, 9, -1]}, {"name": "node-no", "partition_indexes": [0]}]
    bad = {"name": "bad name", "partition_indexes": [0]}
    s.ask("producers", Key.DESCRIBE_PRODUCERS, 0, {"topics": [*partitions, bad]})
    s.ask("no producers", Key.DESCRIBE_PRODUCERS, 0, {"topics": []})
    for broker in (77, -1):
        s.ask(f"unregister {broker}", Key.UNREGISTER_BROKER, 0, {"broker_id": broker})


def _elections(s: Session) -> None:
    def elect(label: str, kind: int, *topics: tuple[str, list[int]], version: int = 2, **more: Any) -> None:
        asked = [{"topic": topic, "partitions": partitions} for topic, partitions in topics]
        message = {"election_type": kind, "topic_partitions": asked, **_TIMEOUT} | more
        s.ask(f"elect: {label}", Key.ELECT_LEADERS, version, message)

    for version in range(3):
        elect(f"version {version}", 0, ("node", [0, 9]), ("node-no", [0]), version=version)
    elect("unclean", 1, ("node", [0]))
    elect("a kind that there is none of", 5, ("node", [0]))
    elect("none", 0)
    elect("twice", 0, ("node", [0, 0]), ("node", [1]))
    elect("no time", 0, ("node", [0]), timeout_ms=0)


def quorum(s: Session) -> None:
    """DescribeQuorum."""

    def ask(label: str, *topics: tuple[str, list[int]], version: int = 2) -> None:
        asked = [
            {"topic_name": name, "partitions": [{"partition_index": index} for index in indexes]}
            for name, indexes in topics
        ]
        s.ask(label, Key.DESCRIBE_QUORUM, version, {"topics": asked})

    for version in range(3):
        ask(f"version {version}", ("__cluster_metadata", [0]), version=version)
    ask("another partition", ("__cluster_metadata", [1]))
    ask("another topic", ("quorum", [0]))
    ask("nothing")
    ask("two partitions", ("__cluster_metadata", [0, 1]))
    ask("no partitions", ("__cluster_metadata", []))


def features(s: Session) -> None:
    """UpdateFeatures; nothing of it changes anything, so that the script can go on."""

    def ask(label: str, *updates: tuple[str, int, int], version: int = 2, validate: bool = True) -> None:
        asked = [{"feature": name, "max_version_level": level, "upgrade_type": kind} for name, level, kind in updates]
        message = {"feature_updates": asked, "validate_only": validate, **_TIMEOUT}
        s.ask(f"{label} (v{version})", Key.UPDATE_FEATURES, version, message)

    for version in (1, 2):
        ask("the level that it has", ("group.version", 1, 1), version=version)
        ask("the metadata version that it has", ("metadata.version", 30, 1), version=version)
        ask("nonsense", ("nonsense", 1, 1), version=version)
        ask("one of two is wrong", ("group.version", 1, 1), ("nonsense", 1, 1), version=version)
    ask("a level beyond all", ("group.version", 5, 1))
    ask("a lower level by an upgrade", ("group.version", 0, 1))
    ask("a metadata version beyond all", ("metadata.version", 99, 1))
    ask("an old metadata version", ("metadata.version", 3, 2))
    ask("a kind that there is none of", ("group.version", 1, 9))
    ask("no kind", ("group.version", 1, 0))
    ask("a negative level", ("group.version", -1, 1))
    ask("the same level as a downgrade", ("group.version", 1, 2))
    ask("nonsense to go", ("nonsense", 0, 2))
    ask("twice", ("group.version", 1, 1), ("group.version", 1, 1))
    ask("nothing")
    ask("a lower level", ("group.version", 0, 2))


def reassignments(s: Session) -> None:
    """AlterPartitionReassignments and ListPartitionReassignments."""
    s.topic("moved", 1)

    def ask(label: str, replicas: list[int] | None, *, partition: int = 0, topic: str = "moved", **more: Any) -> None:
        partitions = [{"partition_index": partition, "replicas": replicas}]
        message = {"topics": [{"name": topic, "partitions": partitions}], **_TIMEOUT} | more
        s.ask(label, Key.ALTER_PARTITION_REASSIGNMENTS, 1, message)

    ask("where it is", [1])
    ask("to an unknown broker", [2])
    ask("to one more", [1, 2])
    ask("to none", [])
    ask("twice to one", [1, 1])
    ask("to a negative one", [-1])
    ask("not any more", None)
    ask("an unknown partition", [1], partition=9)
    ask("an unknown partition not any more", None, partition=9)
    ask("an unknown topic", [1], topic="moved-no")
    ask("an unknown topic not any more", None, topic="moved-no")
    ask("no time", [1], timeout_ms=0)
    ask("to one more, which is not allowed", [1, 2], allow_replication_factor_change=False)
    s.ask("none", Key.ALTER_PARTITION_REASSIGNMENTS, 1, {"topics": [], **_TIMEOUT})
    for label, topics in (
        ("all", None),
        ("some", [{"name": "moved", "partition_indexes": [0, 9]}, {"name": "moved-no", "partition_indexes": [0]}]),
        ("nothing", []),
    ):
        s.ask(f"list {label}", Key.LIST_PARTITION_REASSIGNMENTS, 0, {"topics": topics, **_TIMEOUT})
