"""What several nodes would have: cluster, quorum, elections, reassignments, log directories, features."""

from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any

import pytest

from logserver.errors import ErrorCode
from logserver.kafka_api.codec import Struct
from logserver.testing import LogServer

from .admin import (
    ALTER_PARTITION_REASSIGNMENTS,
    ALTER_REPLICA_LOG_DIRS,
    DESCRIBE_CLUSTER,
    DESCRIBE_LOG_DIRS,
    DESCRIBE_QUORUM,
    ELECT_LEADERS,
    LIST_PARTITION_REASSIGNMENTS,
    UNREGISTER_BROKER,
    UPDATE_FEATURES,
    create,
)
from .raw_client import API_VERSIONS, RawClient, served_versions
from .test_dynamic_settings import produce

UNKNOWN = ErrorCode.unknown_topic_or_partition.value


@pytest.mark.parametrize("version", served_versions(DESCRIBE_CLUSTER))
def test_the_cluster_is_this_broker(server: LogServer, client: RawClient, version: int) -> None:
    response = client.call(DESCRIBE_CLUSTER, version, {"include_cluster_authorized_operations": True})
    assert (response.error_code, response.controller_id, response.cluster_authorized_operations) == (0, 1, 8096)
    assert len(urlsafe_b64decode(response.cluster_id + "==")) == 16
    (broker,) = response.brokers
    assert (broker.broker_id, f"{broker.host}:{broker.port}", broker.rack) == (1, server.kafka, None)


@pytest.mark.parametrize(
    ("kind", "code"),
    [(2, ErrorCode.mismatched_endpoint_type), (3, ErrorCode.unsupported_endpoint_type)],
)
def test_controllers_are_asked_elsewhere(client: RawClient, kind: int, code: ErrorCode) -> None:
    assert client.call(DESCRIBE_CLUSTER, 1, {"endpoint_type": kind}).error_code == code.value


def quorum(client: RawClient, version: int, *asked: tuple[str, list[int]]) -> Struct:
    topics = [{"topic_name": name, "partitions": [{"partition_index": n} for n in parts]} for name, parts in asked]
    response: Struct = client.call(DESCRIBE_QUORUM, version, {"topics": topics})
    return response


@pytest.mark.parametrize("version", served_versions(DESCRIBE_QUORUM))
def test_the_quorum_is_this_node(client: RawClient, version: int) -> None:
    def state() -> Struct:
        response = quorum(client, version, ("__cluster_metadata", [0]))
        (partition,) = response.topics[0].partitions
        assert (response.error_code, partition.error_code, partition.leader_id) == (0, 0, 1)
        (voter,) = partition.current_voters
        assert (voter.replica_id, voter.log_end_offset) == (1, partition.high_watermark)
        assert list(partition.observers) == []
        return partition

    before = state().high_watermark
    create(client, {"name": "t"})
    assert state().high_watermark > before


def test_nothing_else_has_a_quorum(client: RawClient) -> None:
    for asked in (("t", [0]), ("__cluster_metadata", [1]), ("__cluster_metadata", [0, 1])):
        (topic,) = quorum(client, 2, asked).topics
        assert [part.error_code for part in topic.partitions] == [UNKNOWN] * len(asked[1])


def test_this_broker_cannot_be_unregistered(client: RawClient) -> None:
    own, other = (client.call(UNREGISTER_BROKER, 0, {"broker_id": number}).error_code for number in (1, 2))
    assert (own, other) == (ErrorCode.invalid_request.value, ErrorCode.broker_id_not_registered.value)


# Elections


def elect(client: RawClient, partitions: dict[str, list[int]] | None, version: int = 2, kind: int = 0) -> Struct:
    asked = None if partitions is None else [{"topic": name, "partitions": n} for name, n in partitions.items()]
    request = {"election_type": kind, "topic_partitions": asked, "timeout_ms": 30_000}
    response: Struct = client.call(ELECT_LEADERS, version, request)
    return response


def outcomes(response: Struct) -> dict[str, list[tuple[int, ErrorCode]]]:
    return {
        topic.topic: [(part.partition_id, ErrorCode(part.error_code)) for part in topic.partition_result]
        for topic in response.replica_election_results
    }


def resign(server: LogServer, topic: str, number: int) -> None:
    """Takes a partition offline."""

    async def resign(daemon: Any) -> None:
        daemon.broker.resign(daemon.broker.partition(topic, number), "a test")

    server.call(resign)


@pytest.mark.parametrize("version", served_versions(ELECT_LEADERS))
def test_no_election_is_needed(client: RawClient, version: int) -> None:
    create(client, {"name": "t", "num_partitions": 2})
    response = elect(client, {"t": [0, 5], "no": [0]}, version)
    assert outcomes(response) == {
        "t": [(0, ErrorCode.election_not_needed), (5, ErrorCode.unknown_topic_or_partition)],
        "no": [(0, ErrorCode.unknown_topic_or_partition)],
    }
    assert outcomes(elect(client, None, version)) == {"t": []}


def test_who_is_offline_gets_no_leader(server: LogServer, client: RawClient) -> None:
    create(client, {"name": "t", "num_partitions": 2})
    resign(server, "t", 1)
    assert outcomes(elect(client, None)) == {"t": [(1, ErrorCode.preferred_leader_not_available)]}
    assert outcomes(elect(client, None, kind=1)) == {"t": [(1, ErrorCode.eligible_leaders_not_available)]}
    unknown = elect(client, {"t": [0]}, kind=9)
    assert (unknown.error_code, outcomes(unknown)) == (
        ErrorCode.invalid_request.value,
        {"t": [(0, ErrorCode.invalid_request)]},
    )


# Reassignments


@pytest.mark.parametrize("version", served_versions(ALTER_PARTITION_REASSIGNMENTS))
def test_partitions_can_be_put_where_they_are(client: RawClient, version: int) -> None:
    create(client, {"name": "t"})
    asked = [
        ("t", 0, [1], ErrorCode.none),
        ("t", 0, [2], ErrorCode.invalid_replica_assignment),
        ("t", 0, [1, 2], ErrorCode.invalid_replica_assignment),
        ("t", 0, [1, 1], ErrorCode.invalid_replica_assignment),
        ("t", 0, [], ErrorCode.invalid_replica_assignment),
        ("t", 0, None, ErrorCode.no_reassignment_in_progress),
        ("t", 7, [1], ErrorCode.unknown_topic_or_partition),
        ("no", 0, None, ErrorCode.unknown_topic_or_partition),
    ]
    topics = [
        {"name": name, "partitions": [{"partition_index": number, "replicas": replicas}]}
        for name, number, replicas, _ in asked
    ]
    response = client.call(ALTER_PARTITION_REASSIGNMENTS, version, {"timeout_ms": 30_000, "topics": topics})
    assert response.error_code == 0
    assert [ErrorCode(topic.partitions[0].error_code) for topic in response.responses] == [code for *_, code in asked]
    listed = client.call(LIST_PARTITION_REASSIGNMENTS, 0, {"timeout_ms": 30_000, "topics": None})
    assert (listed.error_code, list(listed.topics)) == (0, [])


# Log directories


@pytest.mark.parametrize("version", served_versions(DESCRIBE_LOG_DIRS))
def test_the_log_directory(server: LogServer, client: RawClient, version: int) -> None:
    create(client, {"name": "t", "num_partitions": 2}, {"name": "u"})
    assert produce(client, 5000) == 0

    def sizes(asked: list[dict[str, Any]] | None) -> dict[str, dict[int, int]]:
        (directory,) = client.call(DESCRIBE_LOG_DIRS, version, {"topics": asked}).results
        assert (directory.error_code, directory.log_dir) == (0, server.data_dir)
        if version >= 4:
            assert directory.total_bytes >= directory.usable_bytes > 0
        return {
            topic.name: {part.partition_index: part.partition_size for part in topic.partitions}
            for topic in directory.topics
        }

    found = sizes(None)
    assert set(found) == {"t", "u"}
    assert 5000 < found["t"][0] < 6000
    assert (found["t"][1], found["u"]) == (0, {0: 0})
    assert sizes([{"topic": "t", "partitions": [1, 9]}, {"topic": "no", "partitions": [0]}]) == {"t": {1: 0}}
    assert sizes([]) == {}
    resign(server, "t", 1)
    assert set(sizes(None)["t"]) == {0}


def test_logs_stay_in_their_directory(server: LogServer, client: RawClient) -> None:
    create(client, {"name": "t"})
    for version in served_versions(ALTER_REPLICA_LOG_DIRS):
        for path, codes in ((server.data_dir, [0, UNKNOWN]), ("/no", [ErrorCode.log_dir_not_found.value] * 2)):
            dirs = [{"path": path, "topics": [{"name": "t", "partitions": [0, 7]}]}]
            (topic,) = client.call(ALTER_REPLICA_LOG_DIRS, version, {"dirs": dirs}).results
            assert [part.error_code for part in topic.partitions] == codes


def test_several_log_directories(tmp_path: Path) -> None:
    paths = [f"{tmp_path}/a", f"{tmp_path}/b", f"{tmp_path}/c"]
    # One that can't be made.
    (tmp_path / "c").write_bytes(b"")
    with LogServer(settings={"log.dirs": ",".join(paths)}) as server, RawClient(server.kafka) as client:
        create(client, {"name": "t", "num_partitions": 3}, {"name": "u"})
        assert produce(client, 5000) == 0
        for version in served_versions(DESCRIBE_LOG_DIRS):
            found = {}
            results = client.call(DESCRIBE_LOG_DIRS, version, {"topics": None}).results
            assert [directory.log_dir for directory in results] == paths
            assert [directory.error_code for directory in results] == [0, 0, ErrorCode.kafka_storage_error.value]
            assert not results[2].topics
            for directory in results:
                for topic in directory.topics:
                    for part in topic.partitions:
                        found[topic.name, part.partition_index] = directory.log_dir[-1], part.partition_size > 0
            # The server's own log of topics is in `a`.
            assert found == {
                ("t", 0): ("b", True),
                ("t", 1): ("a", False),
                ("t", 2): ("b", False),
                ("u", 0): ("a", False),
            }
        moves = {
            paths[0]: [ErrorCode.invalid_request, ErrorCode.none],
            paths[1]: [ErrorCode.none, ErrorCode.invalid_request],
            paths[2]: [ErrorCode.kafka_storage_error] * 2,
            f"{tmp_path}/no": [ErrorCode.log_dir_not_found] * 2,
        }
        for version in served_versions(ALTER_REPLICA_LOG_DIRS):
            for path, codes in moves.items():
                dirs = [{"path": path, "topics": [{"name": "t", "partitions": [0, 1]}]}]
                (topic,) = client.call(ALTER_REPLICA_LOG_DIRS, version, {"dirs": dirs}).results
                assert [ErrorCode(part.error_code) for part in topic.partitions] == codes


# Features


def test_clients_are_told_the_features_in_force(client: RawClient) -> None:
    said = {"client_software_name": "raw", "client_software_version": "1"}
    response = client.call(API_VERSIONS, 4, said)
    supported = {found.name: (found.min_version, found.max_version) for found in response.supported_features}
    in_force = {found.name: found.max_version_level for found in response.finalized_features}
    levels = {"group.version": 1, "metadata.version": 30, "share.version": 1, "transaction.version": 2}
    lowest = {"metadata.version": 7}
    assert supported == {name: (lowest.get(name, 0), level) for name, level in levels.items()}
    assert in_force == levels
    assert response.finalized_features_epoch >= 0
    # A lowest level of 0 is an error to clients before version 4.
    assert [found.name for found in client.call(API_VERSIONS, 3, said).supported_features] == ["metadata.version"]


@pytest.mark.parametrize("version", served_versions(UPDATE_FEATURES))
def test_features_stay_at_their_levels(client: RawClient, version: int) -> None:
    def update(*updates: tuple[str, int]) -> int:
        asked = [
            {"feature": name, "max_version_level": level, "upgrade_type": 2, "allow_downgrade": True}
            for name, level in updates
        ]
        code: int = client.call(UPDATE_FEATURES, version, {"timeout_ms": 30_000, "feature_updates": asked}).error_code
        return code

    refused = ErrorCode.invalid_update_version.value
    assert update() == 0
    assert update(("group.version", 1), ("metadata.version", 30)) == 0
    assert update(("group.version", 0)) == refused
    assert update(("metadata.version", 31)) == refused
    assert update(("group.version", 1), ("nonsense", 1)) == refused
