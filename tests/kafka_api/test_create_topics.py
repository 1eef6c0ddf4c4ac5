"""CreateTopics and CreatePartitions: what is checked, in which order, and what is answered."""

from typing import Any

import pytest

from logserver.errors import ErrorCode
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.codec.schema import ZERO_UUID
from logserver.testing import LogServer

from .admin import CREATE_PARTITIONS, TIMEOUT, create
from .raw_client import CREATE_TOPICS, METADATA, RawClient, served_versions


def partitions_of(client: RawClient, topic: str) -> int:
    """Returns how many partitions a topic has, 0 if it is not there."""
    request = {"topics": [{"name": topic}], "allow_auto_topic_creation": False}
    return len(client.call(METADATA, 12, request).topics[0].partitions)


@pytest.mark.parametrize("version", served_versions(CREATE_TOPICS))
def test_a_topic_is_created(client: RawClient, version: int) -> None:
    configs = [{"name": "retention.ms", "value": "1000"}]
    (result,) = create(client, {"name": "t", "num_partitions": 3, "configs": configs}, version=version)
    assert (result.error_code, result.name, result.error_message) == (0, "t", None)
    assert partitions_of(client, "t") == 3
    if version >= 5:
        assert (result.num_partitions, result.replication_factor) == (3, 1)
        settings = {config.name: (config.value, config.config_source) for config in result.configs}
        assert settings["retention.ms"] == ("1000", 1)
        assert settings["segment.bytes"] == ("1073741824", 5)
    if version >= 7:
        assert result.topic_id != ZERO_UUID


def test_defaults_are_the_servers() -> None:
    with LogServer(settings={"num.partitions": "4"}) as server, RawClient(server.kafka) as client:
        (result,) = create(client, {"name": "t", "num_partitions": -1, "replication_factor": -1})
    assert (result.num_partitions, result.replication_factor) == (4, 1)


def test_validating_creates_nothing(client: RawClient) -> None:
    (result,) = create(client, {"name": "t", "num_partitions": 3}, validate_only=True)
    assert (result.error_code, result.num_partitions) == (0, 3)
    assert partitions_of(client, "t") == 0


def assigned(*replicas: tuple[int, list[int]]) -> dict[str, Any]:
    """Returns the fields of a topic with a manual assignment."""
    assignments = [{"partition_index": number, "broker_ids": brokers} for number, brokers in replicas]
    return {"num_partitions": -1, "replication_factor": -1, "assignments": assignments}


def test_a_manual_assignment(client: RawClient) -> None:
    (result,) = create(client, {"name": "t", **assigned((1, [1]), (0, [1]))})
    assert (result.error_code, result.num_partitions, result.replication_factor) == (0, 2, 1)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"num_partitions": 0}, ErrorCode.invalid_partitions),
        ({"num_partitions": -2}, ErrorCode.invalid_partitions),
        ({"num_partitions": 10_001}, ErrorCode.policy_violation),
        ({"replication_factor": 0}, ErrorCode.invalid_replication_factor),
        ({"replication_factor": 2}, ErrorCode.invalid_replication_factor),
        ({"replication_factor": 0, "num_partitions": 0}, ErrorCode.invalid_replication_factor),
        ({"name": "a b"}, ErrorCode.invalid_topic_exception),
        ({"name": ""}, ErrorCode.invalid_topic_exception),
        ({"name": "__consumer_offsets"}, ErrorCode.invalid_topic_exception),
        ({"name": "__cluster_metadata"}, ErrorCode.invalid_request),
        ({"configs": [{"name": "nonsense", "value": "1"}]}, ErrorCode.invalid_config),
        ({"configs": [{"name": "retention.ms", "value": "x"}]}, ErrorCode.invalid_config),
        ({"configs": [{"name": "retention.ms", "value": None}]}, ErrorCode.invalid_config),
        # Settings are looked at before replicas are.
        ({"configs": [{"name": "nonsense", "value": "1"}], "replication_factor": 5}, ErrorCode.invalid_config),
        (assigned((0, [1])) | {"num_partitions": 1}, ErrorCode.invalid_request),
        (assigned((0, [1])) | {"replication_factor": 1}, ErrorCode.invalid_request),
        (assigned((0, [2])), ErrorCode.invalid_replica_assignment),
        (assigned((0, [1, 1])), ErrorCode.invalid_replica_assignment),
        (assigned((0, [])), ErrorCode.invalid_replica_assignment),
        (assigned((0, [1]), (0, [1])), ErrorCode.invalid_replica_assignment),
        (assigned((0, [1]), (2, [1])), ErrorCode.invalid_replica_assignment),
        (assigned((-1, [1])), ErrorCode.invalid_replica_assignment),
    ],
)
def test_what_is_refused(client: RawClient, fields: dict[str, Any], code: ErrorCode) -> None:
    for validate_only in (True, False):
        (result,) = create(client, {"name": "t", **fields}, validate_only=validate_only)
        assert (result.error_code, result.num_partitions, result.topic_id) == (code.value, -1, ZERO_UUID)
        assert result.error_message
    assert partitions_of(client, "t") == 0


def test_each_topic_has_its_own_result(client: RawClient) -> None:
    create(client, {"name": "there"})
    results = create(client, {"name": "there"}, {"name": "new"}, {"name": "twice"}, {"name": "twice"})
    assert {result.name: ErrorCode(result.error_code) for result in results} == {
        "there": ErrorCode.topic_already_exists,
        "new": ErrorCode.none,
        "twice": ErrorCode.invalid_request,
    }


@pytest.mark.parametrize("timeout_ms", [0, -1])
def test_without_time_nothing_is_created(client: RawClient, timeout_ms: int) -> None:
    topic = {"name": "t", "num_partitions": 1, "replication_factor": 1}
    response = client.call(CREATE_TOPICS, 7, {"topics": [topic], "timeout_ms": timeout_ms})
    assert response.topics[0].error_code == ErrorCode.request_timed_out.value
    assert partitions_of(client, "t") == 0


# CreatePartitions


def grow(client: RawClient, *topics: dict[str, Any], version: int = 3, validate_only: bool = False) -> list[Struct]:
    """Raises numbers of partitions; returns the results."""
    request = {"topics": topics, "validate_only": validate_only, **TIMEOUT}
    results: list[Struct] = client.call(CREATE_PARTITIONS, version, request).results
    return results


@pytest.mark.parametrize("version", served_versions(CREATE_PARTITIONS))
def test_a_topic_grows(client: RawClient, version: int) -> None:
    create(client, {"name": "t"})
    (result,) = grow(client, {"name": "t", "count": 4, "assignments": None}, version=version)
    assert (result.name, result.error_code, result.error_message) == ("t", 0, None)
    assert partitions_of(client, "t") == 4


def test_growing_can_be_tried(client: RawClient) -> None:
    create(client, {"name": "t"})
    assert grow(client, {"name": "t", "count": 4, "assignments": None}, validate_only=True)[0].error_code == 0
    assert partitions_of(client, "t") == 1


def replicas(*brokers: list[int]) -> list[dict[str, Any]]:
    return [{"broker_ids": ids} for ids in brokers]


@pytest.mark.parametrize(
    ("count", "assignments", "code"),
    [
        (4, replicas([1], [1]), ErrorCode.none),
        (2, None, ErrorCode.invalid_partitions),
        (1, None, ErrorCode.invalid_partitions),
        (0, replicas([2]), ErrorCode.invalid_partitions),
        (4, [], ErrorCode.invalid_replica_assignment),
        (4, replicas([1]), ErrorCode.invalid_replica_assignment),
        (3, replicas([2]), ErrorCode.invalid_replica_assignment),
        (3, replicas([]), ErrorCode.invalid_replica_assignment),
        (3, replicas([1, 2]), ErrorCode.invalid_replica_assignment),
    ],
)
def test_growing_with_replicas(
    client: RawClient, count: int, assignments: list[dict[str, Any]] | None, code: ErrorCode
) -> None:
    create(client, {"name": "t", "num_partitions": 2})
    (result,) = grow(client, {"name": "t", "count": count, "assignments": assignments})
    assert result.error_code == code.value
    assert partitions_of(client, "t") == (count if code is ErrorCode.none else 2)


def test_growing_what_is_not_there_or_named_twice(client: RawClient) -> None:
    create(client, {"name": "t"})
    unknown, twice = grow(client, *({"name": name, "count": 4, "assignments": None} for name in ("no", "t", "t")))
    assert (unknown.name, unknown.error_code) == ("no", ErrorCode.unknown_topic_or_partition.value)
    assert (twice.name, twice.error_code) == ("t", ErrorCode.invalid_request.value)
