"""KafkaJS stores and reads in every compression, is a member of groups, and administers."""

from typing import Any

import pytest
from logserver_client import partition_for_key

from logserver.testing import LogServer

from ..other_clients.node import kafkajs
from .groups import committed
from .raw_client import RawClient
from .records import batch, create_topic, stored

T0 = 1_700_000_000_000
COUNT = 50


def consumed(server: LogServer, count: int, **more: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = kafkajs(server.kafka, "consume", {"topic": "t", "group": "g", "count": count, **more})
    return found


@pytest.mark.parametrize("compression", ["None", "GZIP", "Snappy", "LZ4", "ZSTD"])
def test_every_compression_is_read_as_it_was_sent(server: LogServer, compression: str) -> None:
    create_topic(server)
    sent = [
        {
            "key": f"key {number}",
            "value": f"value {number} äöü " * 10,
            "partition": 0,
            "timestamp": str(T0 + number),
            "headers": {"n": str(number), "word": "ä"},
        }
        for number in range(COUNT)
    ]
    batches = [{"compression": compression, "messages": messages} for messages in (sent[:20], sent[20:])]
    answers = kafkajs(server.kafka, "produce", {"topic": "t", "batches": batches})
    assert [(one["errorCode"], one["baseOffset"]) for (one,) in answers] == [(0, "0"), (0, "20")]
    assert consumed(server, COUNT) == [
        {
            "partition": 0,
            "offset": number,
            "timestamp": T0 + number,
            "key": f"key {number}",
            "value": f"value {number} äöü " * 10,
            "headers": [["n", str(number)], ["word", "ä"]],
        }
        for number in range(COUNT)
    ]


@pytest.mark.parametrize("settings", [{"acks": 0}, {"acks": 1}, {"acks": -1, "idempotent": True}])
def test_every_acks(server: LogServer, settings: dict[str, Any]) -> None:
    create_topic(server)
    batches = [{"messages": [{"value": value} for value in values]} for values in ("ab", "c")]
    kafkajs(server.kafka, "produce", {"topic": "t", "batches": batches, **settings})
    assert [record["value"] for record in consumed(server, 3)] == ["a", "b", "c"]


def test_a_group_goes_on_where_it_was_and_where_it_seeks(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    stored(client, *(batch(str(number)) for number in range(10)))

    def some(count: int, **more: Any) -> list[str]:
        return [record["value"] for record in consumed(server, count, **more)]

    assert some(4) == ["0", "1", "2", "3"]
    assert committed(client) == {("t", 0): 4}
    assert some(6) == ["4", "5", "6", "7", "8", "9"]
    assert some(2, **{"from": {"0": 6}}) == ["6", "7"]
    assert committed(client) == {("t", 0): 8}


def test_a_key_has_the_partition_that_java_s_clients_give_it(server: LogServer) -> None:
    create_topic(server, partitions=5)
    messages = [{"key": f"key {number}", "value": "v"} for number in range(20)]
    kafkajs(server.kafka, "produce", {"topic": "t", "batches": [{"messages": messages}]})
    found = {record["key"]: record["partition"] for record in consumed(server, 20)}
    assert found == {f"key {number}": partition_for_key(f"key {number}".encode(), 5) for number in range(20)}


def test_topics_settings_and_offsets(server: LogServer, client: RawClient) -> None:
    t = {"topic": "t", "numPartitions": 2, "configEntries": [{"name": "retention.ms", "value": "-1"}]}
    topic = {"type": 2, "name": "t"}
    results = kafkajs(
        server.kafka,
        "admin",
        [
            ["createTopics", {"topics": [t], "waitForLeaders": True}],
            ["createTopics", {"topics": [t]}],
            ["createPartitions", {"topicPartitions": [{"topic": "t", "count": 3}]}],
            ["listTopics"],
            ["fetchTopicMetadata", {"topics": ["t"]}],
            ["alterConfigs", {"resources": [{**topic, "configEntries": [{"name": "retention.ms", "value": "7000"}]}]}],
            ["describeConfigs", {"resources": [{**topic, "configNames": ["retention.ms"]}]}],
            ["describeCluster"],
        ],
    )
    assert results[:4] == [True, False, None, ["t"]]
    assert [part["leader"] for part in results[4]["topics"][0]["partitions"]] == [1, 1, 1]
    (entry,) = results[6]["resources"][0]["configEntries"]
    assert (entry["configName"], entry["configValue"]) == ("retention.ms", "7000")
    assert (results[7]["controller"], len(results[7]["brokers"])) == (1, 1)
    stored(client, *(batch(str(number), timestamp_ms=T0 + number) for number in range(10)))
    offsets, by_time, deleted, after, dropped, left = kafkajs(
        server.kafka,
        "admin",
        [
            ["fetchTopicOffsets", "t"],
            ["fetchTopicOffsetsByTimestamp", "t", T0 + 4],
            ["deleteTopicRecords", {"topic": "t", "partitions": [{"partition": 0, "offset": "3"}]}],
            ["fetchTopicOffsets", "t"],
            ["deleteTopics", {"topics": ["t"]}],
            ["listTopics"],
        ],
    )
    assert {"partition": 0, "offset": "10", "high": "10", "low": "0"} in offsets
    assert {"partition": 0, "offset": "4"} in by_time
    assert deleted is None
    assert {"partition": 0, "offset": "10", "high": "10", "low": "3"} in after
    assert (dropped, left) == (None, [])


def test_groups(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    stored(client, batch(*"abcdef"))
    consumed(server, 4)
    listed, described, offsets, deleted, left = kafkajs(
        server.kafka,
        "admin",
        [
            ["listGroups"],
            ["describeGroups", ["g"]],
            ["fetchOffsets", {"groupId": "g", "topics": ["t"]}],
            ["deleteGroups", ["g"]],
            ["listGroups"],
        ],
    )
    assert listed["groups"] == [{"groupId": "g", "protocolType": "consumer"}]
    assert [(group["groupId"], group["state"]) for group in described["groups"]] == [("g", "Empty")]
    assert [part["offset"] for part in offsets[0]["partitions"]] == ["4"]
    assert [(one["groupId"], one["errorCode"]) for one in deleted] == [("g", 0)]
    assert left["groups"] == []
