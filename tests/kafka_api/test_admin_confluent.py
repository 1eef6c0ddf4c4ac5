"""confluent-kafka's AdminClient (librdkafka) against the server."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from confluent_kafka import ElectionType, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (
    AclOperation,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from logserver.testing import LogServer

from .raw_client import RawClient
from .records import batch, create_topic, stored

T0 = 1_700_000_000_000


@pytest.fixture
def admin(server: LogServer) -> Iterator[AdminClient]:
    """An admin client of the test's server."""
    yield AdminClient({"bootstrap.servers": server.kafka})


def results(futures: Mapping[Any, Any]) -> dict[str, Any]:
    """Returns results by names of topics; where there is an error, its code's name."""
    found: dict[str, Any] = {}
    for name, future in futures.items():
        try:
            found[getattr(name, "name", name)] = future.result(30)
        except KafkaException as error:
            assert isinstance(error.args[0], KafkaError)
            found[getattr(name, "name", name)] = error.args[0].name()
    return found


def test_topics(admin: AdminClient) -> None:
    new = [NewTopic("t", 3, 1, config={"retention.ms": "1000"}), NewTopic("copies", 1, 3), NewTopic("a b", 1, 1)]
    expected = {"t": None, "copies": "INVALID_REPLICATION_FACTOR", "a b": "TOPIC_EXCEPTION"}
    assert results(admin.create_topics(new, validate_only=True)) == expected
    assert results(admin.create_topics(new)) == expected
    assert results(admin.create_topics(new[:1])) == {"t": "TOPIC_ALREADY_EXISTS"}
    assert results(admin.create_partitions([NewPartitions("t", 5)])) == {"t": None}
    metadata = admin.list_topics(timeout=30)
    assert {name: len(topic.partitions) for name, topic in metadata.topics.items()} == {"t": 5}
    described = results(admin.describe_topics(TopicCollection(["t"]), include_authorized_operations=True))
    assert (len(described["t"].partitions), len(described["t"].authorized_operations)) == (5, 8)
    assert described["t"].partitions[0].leader.id == 1
    assert results(admin.delete_topics(["t", "no"])) == {"t": None, "no": "UNKNOWN_TOPIC_OR_PART"}
    assert not admin.list_topics(timeout=30).topics


def test_settings(admin: AdminClient) -> None:
    results(admin.create_topics([NewTopic("t", 1, 1, config={"retention.ms": "1000"})]))
    append = ConfigEntry("cleanup.policy", "compact", incremental_operation=AlterConfigOpType.APPEND)
    change = ConfigResource(ResourceType.TOPIC, "t", incremental_configs=[append])
    assert results(admin.incremental_alter_configs([change])) == {"t": None}
    found = results(admin.describe_configs([ConfigResource("topic", "t"), ConfigResource("broker", "1")]))
    topic, broker = found["t"], found["1"]
    assert (topic["cleanup.policy"].value, topic["retention.ms"].value) == ("delete,compact", "1000")
    assert topic["retention.ms"].source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value
    assert broker["node.id"].is_read_only and not broker["log.retention.ms"].is_read_only
    wrong = ConfigResource(ResourceType.TOPIC, "t", incremental_configs=[_set("retention.ms", "x")])
    assert results(admin.incremental_alter_configs([wrong])) == {"t": "INVALID_CONFIG"}
    fixed = ConfigResource(ResourceType.BROKER, "1", incremental_configs=[_set("num.partitions", "3")])
    assert results(admin.incremental_alter_configs([fixed])) == {"1": "INVALID_REQUEST"}


def _set(name: str, value: str) -> ConfigEntry:
    return ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)


def test_records(server: LogServer, client: RawClient, admin: AdminClient) -> None:
    create_topic(server)
    stored(client, batch(*"abcdef", timestamp_ms=T0))
    place = TopicPartition("t", 0)

    def offset(spec: OffsetSpec) -> int:
        return int(admin.list_offsets({place: spec})[place].result(30).offset)

    deleted = admin.delete_records([TopicPartition("t", 0, 2)])
    assert [future.result(30).low_watermark for future in deleted.values()] == [2]
    specs = [OffsetSpec.earliest(), OffsetSpec.latest(), OffsetSpec.max_timestamp(), OffsetSpec.for_timestamp(T0 + 3)]
    assert [offset(spec) for spec in specs] == [2, 6, 5, 3]


def test_the_cluster(server: LogServer, admin: AdminClient) -> None:
    cluster = admin.describe_cluster(include_authorized_operations=True).result(30)
    assert [f"{node.host}:{node.port}" for node in cluster.nodes] == [server.kafka]
    assert cluster.controller.id == 1
    assert AclOperation.CREATE in cluster.authorized_operations


def test_elections(admin: AdminClient) -> None:
    results(admin.create_topics([NewTopic("t", 1, 1)]))
    outcome = admin.elect_leaders(ElectionType.PREFERRED, [TopicPartition("t", 0)]).result(30)
    assert [error.name() for error in outcome.values()] == ["ELECTION_NOT_NEEDED"]


def test_users_have_no_credentials(admin: AdminClient) -> None:
    assert results(admin.describe_user_scram_credentials(["a"])) == {"a": "RESOURCE_NOT_FOUND"}
