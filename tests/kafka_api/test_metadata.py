"""Metadata: brokers, topics and partitions, and topics that come into being by being asked for."""

from typing import Any

import pytest

from logserver.errors import ErrorCode
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.codec.schema import ZERO_UUID
from logserver.testing import LogServer

from .raw_client import METADATA, RawClient, request_frame, served_versions

NOT_ASKED = -(2**31)


@pytest.fixture
def topic_id(server: LogServer) -> str:
    """The id of a topic "flights" of two partitions."""
    return server.call(lambda daemon: daemon.broker.create_topic("flights", 2, {})).topic_id


def asked(client: RawClient, version: int, *names: str, **more: Any) -> list[Struct]:
    topics: list[Struct] = client.call(METADATA, version, {"topics": [{"name": name} for name in names], **more}).topics
    return topics


@pytest.mark.parametrize("version", served_versions(METADATA))
def test_a_topic_by_name(client: RawClient, server: LogServer, topic_id: str, version: int) -> None:
    response = client.call(METADATA, version, {"topics": [{"name": "flights"}]})
    assert [f"{broker.host}:{broker.port}" for broker in response.brokers] == [server.kafka]
    (topic,) = response.topics
    assert (topic.error_code, topic.name, len(topic.partitions)) == (0, "flights", 2)
    for number, partition in enumerate(topic.partitions):
        assert (partition.error_code, partition.partition_index, partition.leader_id) == (0, number, 1)
        assert (partition.replica_nodes, partition.isr_nodes, list(partition.offline_replicas)) == ([1], [1], [])
        assert partition.leader_epoch == (0 if version >= 7 else -1)
    assert topic.topic_id == (topic_id if version >= 10 else ZERO_UUID)
    assert response.controller_id == (1 if version >= 1 else -1)
    if version >= 2:
        assert response.cluster_id == server.call(_cluster_id)


async def _cluster_id(daemon: Any) -> str:
    cluster_id: str = daemon.broker.node.cluster_id
    return cluster_id


def test_all_topics_are_null_and_in_version_0_an_empty_list(client: RawClient, topic_id: str) -> None:
    assert [topic.name for topic in client.call(METADATA, 0, {"topics": []}).topics] == ["flights"]
    assert client.call(METADATA, 1, {"topics": []}).topics == []
    for version in range(1, 14):
        assert [topic.name for topic in client.call(METADATA, version, {"topics": None}).topics] == ["flights"]


def test_topics_by_id(client: RawClient, topic_id: str) -> None:
    other = "AAAAAAAAAAAAAAAAAAAAZw"
    wanted = [{"topic_id": topic_id, "name": None}, {"topic_id": other, "name": None}]
    known, unknown = client.call(METADATA, 12, {"topics": wanted}).topics
    assert (known.error_code, known.name, known.topic_id) == (0, "flights", topic_id)
    assert (unknown.error_code, unknown.name, unknown.topic_id) == (ErrorCode.unknown_topic_id.value, None, other)


def test_an_id_before_version_12_fails_the_request(client: RawClient, topic_id: str) -> None:
    (topic,) = client.call(METADATA, 11, {"topics": [{"name": "flights", "topic_id": topic_id}]}).topics
    assert topic.error_code == ErrorCode.invalid_request.value


def test_a_topic_asked_for_is_created_if_the_request_allows_it(client: RawClient) -> None:
    (unknown,) = asked(client, 12, "new", allow_auto_topic_creation=False)
    assert (unknown.error_code, unknown.name) == (ErrorCode.unknown_topic_or_partition.value, "new")
    (created,) = asked(client, 12, "new", allow_auto_topic_creation=True)
    assert (created.error_code, len(created.partitions)) == (0, 1)
    assert [topic.name for topic in client.call(METADATA, 12, {"topics": None}).topics] == ["new"]


def test_before_version_4_every_request_allows_it(client: RawClient) -> None:
    assert asked(client, 3, "new")[0].error_code == 0


def test_the_setting_forbids_it() -> None:
    settings = {"auto.create.topics.enable": "false"}
    with LogServer(settings=settings) as server, RawClient(server.kafka) as client:
        assert asked(client, 12, "new")[0].error_code == ErrorCode.unknown_topic_or_partition.value


def test_internal_topics_are_not_created_so(client: RawClient) -> None:
    (topic,) = asked(client, 12, "__share_group_state")
    assert (topic.error_code, topic.is_internal) == (ErrorCode.unknown_topic_or_partition.value, True)


@pytest.mark.parametrize("allowed", [False, True])
@pytest.mark.parametrize("name", ["", ".", "a b", "x" * 250])
def test_names_that_are_none(client: RawClient, name: str, allowed: bool) -> None:
    (topic,) = asked(client, 12, name, allow_auto_topic_creation=allowed)
    assert (topic.error_code, topic.name) == (ErrorCode.invalid_topic_exception.value, name)


def test_a_topic_asked_for_twice_is_told_once(client: RawClient, topic_id: str) -> None:
    assert len(asked(client, 12, "flights", "flights")) == 1


def test_operations_only_where_they_are_asked_for(client: RawClient, topic_id: str) -> None:
    assert asked(client, 12, "flights")[0].topic_authorized_operations == NOT_ASKED
    assert asked(client, 12, "flights", include_topic_authorized_operations=True)[0].topic_authorized_operations == 3576
    cluster = {"topics": [], "include_cluster_authorized_operations": True}
    assert client.call(METADATA, 8, cluster).cluster_authorized_operations == 8096
    assert client.call(METADATA, 8, {"topics": []}).cluster_authorized_operations == NOT_ASKED


def test_a_partition_that_is_not_led_has_no_leader(client: RawClient, server: LogServer, topic_id: str) -> None:
    async def resign(daemon: Any) -> None:
        daemon.broker.resign(daemon.broker.partition("flights", 1), "a test")

    server.call(resign)
    first, second = asked(client, 12, "flights")[0].partitions
    assert (first.error_code, first.leader_id) == (0, 1)
    assert (second.error_code, second.leader_id) == (ErrorCode.leader_not_available.value, -1)
    assert second.offline_replicas == [1]


def test_bytes_behind_the_request_are_ignored(client: RawClient, topic_id: str) -> None:
    # As librdkafka 2 asks for all topics: the list as four bytes of zero, where a null takes one.
    frame = bytearray(request_frame(METADATA, 12, {"topics": None}, 1)) + b"\x01\x00\x00"
    frame[:4] = (len(frame) - 4).to_bytes(4, "big")
    client.send(METADATA, 12, {"topics": None})
    first = client.receive_frame()
    client.send_bytes(bytes(frame))
    assert client.receive_frame() == first


def test_clients_are_told_the_advertised_listener() -> None:
    settings = {"advertised.listeners": "logs.example.com:19092"}
    with LogServer(settings=settings) as server, RawClient(server.kafka) as client:
        (broker,) = client.call(METADATA, 12, {"topics": []}).brokers
    assert (broker.host, broker.port) == ("logs.example.com", 19092)
