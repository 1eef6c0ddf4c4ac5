"""kafka-python's KafkaAdminClient against the server."""

from collections.abc import Iterator

import pytest
from kafka import KafkaAdminClient, TopicPartition, TopicPartitionReplica
from kafka.admin import (
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    AlterConfigOp,
    ConfigResource,
    ConfigResourceType,
    OffsetSpec,
    ResourcePatternFilter,
    ResourceType,
)
from kafka.errors import (
    InvalidReplicationFactorError,
    NoError,
    SecurityDisabledError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
)
from kafka.structs import OffsetAndMetadata

from logserver.testing import LogServer

from .groups import commit, committed
from .raw_client import RawClient
from .records import batch, create_topic, stored


@pytest.fixture
def admin(server: LogServer) -> Iterator[KafkaAdminClient]:
    """An admin client of the test's server."""
    client = KafkaAdminClient(bootstrap_servers=server.kafka)
    yield client
    client.close()


def test_topics(admin: KafkaAdminClient) -> None:
    admin.create_topics({"t": {"num_partitions": 2, "configs": {"retention.ms": "1000"}}})
    with pytest.raises(TopicAlreadyExistsError):
        admin.create_topics(["t"])
    with pytest.raises(InvalidReplicationFactorError):
        admin.create_topics({"copies": {"num_partitions": 1, "replication_factor": 3}})
    admin.create_topics({"manual": {"assignments": {0: [1], 1: [1]}}})
    admin.create_partitions({"t": 4})
    assert sorted(admin.list_topics()) == ["manual", "t"]
    (topic,) = admin.describe_topics(["t"])
    assert (topic["error_code"], len(topic["partitions"])) == (0, 4)
    page = admin.describe_topic_partitions(["t"], response_partition_limit=3)
    assert [part["partition_index"] for part in page["topics"][0]["partitions"]] == [0, 1, 2]
    assert page["next_cursor"]["partition_index"] == 3
    admin.delete_topics(["t"])
    with pytest.raises(UnknownTopicOrPartitionError):
        admin.delete_topics(["t"])
    assert admin.list_topics() == ["manual"]


def test_settings(admin: KafkaAdminClient) -> None:
    admin.create_topics({"t": {"num_partitions": 1}})
    changes = {"retention.ms": "10000", "cleanup.policy": (AlterConfigOp.APPEND, "compact")}
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, "t", configs=changes)])
    everything = ConfigResource(ConfigResourceType.TOPIC, "t")
    found = str(admin.describe_configs([everything]))
    assert "10000" in found and "delete,compact" in found
    admin.reset_configs([ConfigResource(ConfigResourceType.TOPIC, "t", configs={"retention.ms": None})])
    assert "10000" not in str(admin.describe_configs([everything]))
    fixed = ConfigResource(ConfigResourceType.BROKER, "1", configs={"num.partitions": "3"})
    refused = admin.alter_configs([fixed], raise_on_unknown=False)
    assert "num.partitions can't be changed while the server runs" in refused["broker"]["1"]


def test_one_node(server: LogServer, admin: KafkaAdminClient) -> None:
    admin.create_topics({"t": {"num_partitions": 1}})
    cluster = admin.describe_cluster()
    assert (cluster["controller_id"], [broker["broker_id"] for broker in cluster["brokers"]]) == (1, [1])
    (broker,) = admin.describe_log_dirs()
    (directory,) = broker["log_dirs"]
    assert directory["log_dir"] == server.data_dir
    assert [topic["name"] for topic in directory["topics"]] == ["t"]
    quorum = admin.describe_metadata_quorum()
    assert "'leader_id': 1" in str(quorum)
    assert "group.version" in str(admin.describe_features())
    assert not admin.list_partition_reassignments()
    assert "t" in str(admin.list_config_resources(["TOPIC"]))
    producers = admin.describe_producers([TopicPartition("t", 0)])
    assert list(producers) == [TopicPartition("t", 0)]
    admin.alter_replica_log_dirs({TopicPartitionReplica("t", 0, 1): server.data_dir})


def test_records(server: LogServer, client: RawClient, admin: KafkaAdminClient) -> None:
    create_topic(server)
    stored(client, batch(*"abcdef", timestamp_ms=1_700_000_000_000))
    place = TopicPartition("t", 0)

    def offset(spec: OffsetSpec) -> int:
        found: int = admin.list_partition_offsets({place: spec})[place].offset
        return found

    assert admin.delete_records({place: 2})[place]["low_watermark"] == 2
    assert [offset(spec) for spec in (OffsetSpec.EARLIEST, OffsetSpec.LATEST, OffsetSpec.MAX_TIMESTAMP)] == [2, 6, 5]


def test_groups(server: LogServer, client: RawClient, admin: KafkaAdminClient) -> None:
    create_topic(server, partitions=2)
    stored(client, batch(*"abcdef"))
    commit(client, {("t", 0): 3, ("t", 1): 0})
    place, other = TopicPartition("t", 0), TopicPartition("t", 1)
    (group,) = admin.list_groups()
    assert (group["group_id"], group["group_state"]) == ("g", "Empty")
    assert admin.describe_groups(["g"])["g"]["members"] == []
    assert {at: found.offset for at, found in admin.list_group_offsets(["g"])["g"].items()} == {place: 3, other: 0}
    assert admin.alter_group_offsets("g", {place: OffsetAndMetadata(5, "m", -1)}) == {place: NoError}
    assert committed(client) == {("t", 0): 5, ("t", 1): 0}
    assert admin.reset_group_offsets("g", {place: OffsetSpec.EARLIEST})[place]["offset"] == 0
    assert admin.delete_group_offsets("g", [other]) == {other: NoError}
    assert committed(client) == {("t", 0): 0}
    assert admin.delete_groups(["g"]) == {"g": "OK"}
    assert admin.list_groups() == []


def test_what_there_is_not(admin: KafkaAdminClient) -> None:
    pattern = ResourcePatternFilter(ResourceType.TOPIC, "t", ACLResourcePatternType.ANY)
    with pytest.raises(SecurityDisabledError):
        admin.describe_acls(ACLFilter(None, None, ACLOperation.ANY, ACLPermissionType.ANY, pattern))
    assert admin.list_transactions() == {1: []}
