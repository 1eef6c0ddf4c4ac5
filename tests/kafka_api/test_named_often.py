"""What a request names over and over is answered once: an answer grows with what there is, not with the question."""

from logserver.testing import LogServer

from .groups import (
    CONSUMER_GROUP_DESCRIBE,
    DELETE_GROUPS,
    DESCRIBE_GROUPS,
    commit,
    stable,
)
from .raw_client import CREATE_TOPICS, DELETE_RECORDS, OFFSET_FETCH, RawClient
from .records import batch, create_topic, stored

DESCRIBE_CONFIGS, DESCRIBE_LOG_DIRS, DESCRIBE_PRODUCERS = 32, 35, 61
OFTEN = 50
POLICY_VIOLATION = 44


def test_groups(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    stable(client)
    commit(client, {("t", 0): 1}, group_id="offsets")
    (group,) = client.call(DESCRIBE_GROUPS, 6, {"groups": ["g"] * OFTEN}).groups
    assert group.group_id == "g" and len(group.members) == 1
    (group,) = client.call(CONSUMER_GROUP_DESCRIBE, 1, {"group_ids": ["g"] * OFTEN}).groups
    assert group.group_id == "g"
    asked = [{"group_id": "offsets", "topics": None}, {"group_id": "g", "topics": []}] * OFTEN
    answered = client.call(OFFSET_FETCH, 9, {"groups": asked}).groups
    assert [group.group_id for group in answered if group.topics] == ["offsets"]
    assert [
        group.error_code for group in client.call(DELETE_GROUPS, 2, {"groups_names": ["offsets"] * OFTEN}).results
    ] == [0]


def test_settings(server: LogServer, client: RawClient) -> None:
    for name in ("t", "u"):
        create_topic(server, name)
    create_topic(server, "other", settings={"retention.ms": "5"})
    names = ("t", "u", "other", "nowhere")
    resources = [{"resource_type": 2, "resource_name": name, "configuration_keys": None} for name in names]
    results = client.call(DESCRIBE_CONFIGS, 4, {"resources": resources * OFTEN}).results
    assert [result.resource_name for result in results] == list(names)
    t, u, other, nowhere = ({config.name: config.value for config in result.configs} for result in results)
    assert t == u and other == t | {"retention.ms": "5"} and not nowhere
    # Another question about the same resource is one of its own.
    keyed = [resource | {"configuration_keys": ["retention.ms"]} for resource in resources[:1]]
    results = client.call(DESCRIBE_CONFIGS, 4, {"resources": [*keyed, *resources[:1]]}).results
    assert [len(result.configs) for result in results] == [1, len(t)]


def test_partitions(server: LogServer, client: RawClient) -> None:
    create_topic(server, partitions=2)
    stored(client, batch("a", "b", producer_id=1, producer_epoch=0, base_sequence=0))
    topics = [{"name": "t", "partition_indexes": [0, 1, 0]}] * OFTEN
    (topic,) = client.call(DESCRIBE_PRODUCERS, 0, {"topics": topics}).topics
    assert [len(partition.active_producers) for partition in topic.partitions] == [1, 0]
    dirs = client.call(DESCRIBE_LOG_DIRS, 4, {"topics": [{"topic": "t", "partitions": [1, 0, -1, 2]}] * OFTEN}).results
    assert sorted(partition.partition_index for partition in dirs[0].topics[0].partitions) == [0, 1]
    asked = [{"partition_index": 0, "offset": offset} for offset in (2, 1)]
    topics = [{"name": "t", "partitions": asked}, {"name": "nowhere", "partitions": asked}] * OFTEN
    t, nowhere = client.call(DELETE_RECORDS, 2, {"topics": topics, "timeout_ms": 1000}).topics
    # Of a partition that is named again the last word counts, as in Kafka.
    assert [(partition.error_code, partition.low_watermark) for partition in t.partitions] == [(0, 1)]
    assert [partition.error_code for partition in nowhere.partitions] == [3]


def test_too_many_partitions_at_once() -> None:
    with LogServer(settings={"max.request.partition.size.limit": "5"}) as server, RawClient(server.kafka) as client:

        def create(*counts: int, assignments: int = 0) -> list[int]:
            topics = [
                {
                    "name": f"t{number}",
                    "num_partitions": -1 if assignments else count,
                    "replication_factor": -1 if assignments else 1,
                    "assignments": [{"partition_index": index, "broker_ids": [1]} for index in range(assignments)],
                }
                for number, count in enumerate(counts)
            ]
            request = {"topics": topics, "timeout_ms": 10_000, "validate_only": True}
            return [topic.error_code for topic in client.call(CREATE_TOPICS, 7, request).topics]

        assert create(2, 3) == [0, 0]
        assert create(2, 3, -1) == [POLICY_VIOLATION] * 3
        assert create(6) == [POLICY_VIOLATION]
        assert create(-1, assignments=5) == [0]
        assert create(-1, assignments=6) == [POLICY_VIOLATION]
