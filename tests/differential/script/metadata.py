"""Metadata, DescribeTopicPartitions, DescribeCluster and FindCoordinator."""

from ..keys import Key
from ..session import Session

_NOBODYS = "AAAAAAAAAAAAAAAAAAAAZw"


def metadata(s: Session) -> None:
    """Asks for topics by name and id, and for those that are not there."""
    topic_id = s.topic("metadata", 3)
    s.topic("metadata-2", 1)

    def ask(label: str, version: int, *names: str, create: bool = False, **more: object) -> None:
        topics = [{"name": name} for name in names]
        s.ask(label, Key.METADATA, version, {"topics": topics, "allow_auto_topic_creation": create, **more})

    ask("two topics", 12, "metadata", "metadata-2")
    ask("twice the same", 12, "metadata", "metadata")
    ask("no topics", 12)
    ask("an unknown topic", 12, "metadata-no")
    for version in (0, 1, 4, 9, 13):
        ask(f"an unknown topic {version}", version, "metadata-no-" + "x" * version)
    ask("a bad name", 12, "bad name")
    ask("an empty name", 12, "")
    ask("a bad name to create", 12, "bad/name", create=True)
    ask("a name of 250 characters", 12, "x" * 250, create=True)
    ask("dots", 12, "..", create=True)
    ask(
        "operations",
        8,
        "metadata",
        include_topic_authorized_operations=True,
        include_cluster_authorized_operations=True,
    )
    ask("operations 12", 12, "metadata", include_topic_authorized_operations=True)
    for version in (10, 12, 13):
        asked = {"topics": [{"topic_id": topic_id, "name": None}]}
        s.ask(f"by id {version}", Key.METADATA, version, asked)
    s.ask("by an unknown id", Key.METADATA, 12, {"topics": [{"topic_id": _NOBODYS, "name": None}]})
    s.ask("by the id of nothing", Key.METADATA, 12, {"topics": [{"name": None}]})
    both = {"topics": [{"topic_id": topic_id, "name": "metadata-2"}]}
    s.ask("by id and name", Key.METADATA, 12, both)
    s.ask("by id in version 11", Key.METADATA, 11, {"topics": [{"topic_id": topic_id, "name": None}]})
    s.ask(
        "a name and an id", Key.METADATA, 12, {"topics": [{"name": "metadata"}, {"topic_id": topic_id, "name": None}]}
    )
    s.ask("all topics of version 1", Key.METADATA, 1, {"topics": None})
    ask("a topic to create", 12, "metadata-created", create=True)
    s.wait_for_topic("metadata-created")
    ask("the topic created", 12, "metadata-created")
    _partitions(s, topic_id)
    _coordinators(s)
    for version, endpoint in ((0, 1), (1, 2), (1, 3), (2, 0)):
        s.ask(f"cluster {version} {endpoint}", Key.DESCRIBE_CLUSTER, version, {"endpoint_type": endpoint})
    s.ask("cluster with fenced brokers", Key.DESCRIBE_CLUSTER, 2, {"include_fenced_brokers": True})


def _partitions(s: Session, topic_id: str) -> None:
    def ask(label: str, *names: str, limit: int = 2000, cursor: tuple[str, int] | None = None) -> None:
        start = None if cursor is None else {"topic_name": cursor[0], "partition_index": cursor[1]}
        message = {"topics": [{"name": name} for name in names], "response_partition_limit": limit, "cursor": start}
        s.ask(f"partitions: {label}", Key.DESCRIBE_TOPIC_PARTITIONS, 0, message)

    ask("two topics", "metadata-2", "metadata")
    ask("some", "metadata", "metadata-2", limit=2)
    ask("as many as there are", "metadata", limit=3)
    ask("from a cursor", "metadata", "metadata-2", limit=2, cursor=("metadata", 2))
    ask("from a cursor between", "metadata", "metadata-2", cursor=("metadata-1", 1))
    ask("from a cursor behind", "metadata", cursor=("metadata", 7))
    ask("from a negative cursor", "metadata", cursor=("metadata", -1))
    ask("from no topic", "metadata", cursor=("", 1))
    ask("unknown and bad", "metadata-no", "bad name", "metadata")
    ask("no limit", "metadata", limit=0)
    ask("a negative limit", "metadata", limit=-5)
    ask("twice", "metadata", "metadata")


def _coordinators(s: Session) -> None:
    for version in (0, 3):
        s.ask(f"coordinator {version}", Key.FIND_COORDINATOR, version, {"key": "metadata-group"})
    for version, kind in ((1, 1), (4, 1), (1, 9), (4, 9), (4, 2), (6, 2), (6, -1)):
        label = f"coordinator {version} of kind {kind}"
        message = {"key": "x", "key_type": kind, "coordinator_keys": ["x", "y"]}
        if kind == 1:
            done = lambda answer: "COORDINATOR_NOT_AVAILABLE" not in str(answer)  # noqa: E731
            s.settle(label, Key.FIND_COORDINATOR, version, message, done)
        else:
            s.ask(label, Key.FIND_COORDINATOR, version, message)
    s.ask("coordinator of nothing", Key.FIND_COORDINATOR, 3, {"key": ""})
    s.ask("coordinators of none", Key.FIND_COORDINATOR, 4, {"coordinator_keys": []})
    s.ask("coordinators of the empty name", Key.FIND_COORDINATOR, 6, {"coordinator_keys": [""]})
