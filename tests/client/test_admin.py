"""The admin client against a real server."""

from collections.abc import Callable, Iterator

import pytest
from logserver_client import (
    AdminClient,
    ClientClosed,
    ConnectionFailed,
    InvalidConfig,
    InvalidPartitions,
    InvalidTopic,
    OffsetAndTimestamp,
    OffsetOutOfRange,
    Producer,
    Timestamp,
    TopicAlreadyExists,
    TopicPartition,
    UnknownTopicOrPartition,
    aio,
)

from logserver.testing import LogServer

NewTopic = Callable[..., str]


@pytest.fixture
def admin(address: str) -> Iterator[AdminClient]:
    with AdminClient(address) as client:
        yield client


def test_a_topic_is_created_listed_described_and_deleted(admin: AdminClient) -> None:
    created = admin.create_topic("life", partitions=2, settings={"retention.ms": 5_000, "cleanup.policy": "delete"})
    assert (created.name, len(created.partitions), created.internal) == ("life", 2, False)
    described = admin.describe_topic("life")
    assert described.topic_id == created.topic_id
    assert [partition.partition for partition in described.partitions] == [0, 1]
    assert {s.name: s.value for s in described.settings if s.overridden}["retention.ms"] == "5000"
    assert "life" in {topic.name for topic in admin.list_topics()}
    admin.delete_topic("life")
    assert "life" not in {topic.name for topic in admin.list_topics()}
    with pytest.raises(UnknownTopicOrPartition):
        admin.describe_topic("life")


def test_validate_only_creates_nothing(admin: AdminClient) -> None:
    admin.create_topic("checked", partitions=1, validate_only=True)
    with pytest.raises(UnknownTopicOrPartition):
        admin.describe_topic("checked")


def test_what_is_wrong_is_named(admin: AdminClient, topic: str) -> None:
    with pytest.raises(TopicAlreadyExists, match=topic):
        admin.create_topic(topic)
    with pytest.raises(InvalidTopic):
        admin.create_topic("a/b")
    with pytest.raises(InvalidConfig, match=r"retention\.mss"):
        admin.create_topic("x", settings={"retention.mss": 1})
    with pytest.raises(InvalidPartitions):
        admin.create_topic("x", partitions=-5)


def test_settings_are_changed_and_taken_back(admin: AdminClient, topic: str) -> None:
    altered = admin.alter_topic(topic, set={"retention.ms": 1_000, "min.cleanable.dirty.ratio": 0.25})
    assert {s.name: s.value for s in altered.settings if s.overridden} == {
        "retention.ms": "1000",
        "min.cleanable.dirty.ratio": "0.25",
    }
    altered = admin.alter_topic(topic, reset=["retention.ms"])
    assert not {s.name: s.overridden for s in altered.settings}["retention.ms"]


def test_partitions_can_grow_only(admin: AdminClient, topic: str) -> None:
    assert len(admin.create_partitions(topic, 3).partitions) == 3
    with pytest.raises(InvalidPartitions):
        admin.create_partitions(topic, 2)


def test_records_are_deleted_before_an_offset(admin: AdminClient, address: str, topic: str) -> None:
    with Producer(address) as producer:
        for n in range(10):
            producer.send(topic, b"x", timestamp_ms=n)
    tp = TopicPartition(topic, 0)
    assert admin.delete_records(topic, 0, 4) == 4
    assert admin.list_offsets({tp: "earliest"}) == {tp: OffsetAndTimestamp(4, -1)}
    assert admin.list_offsets({tp: Timestamp(6)}) == {tp: OffsetAndTimestamp(6, 6)}
    assert admin.list_offsets({tp: Timestamp(60)}) == {tp: OffsetAndTimestamp(-1, -1)}
    with pytest.raises(OffsetOutOfRange):
        admin.delete_records(topic, 0, 11)
    assert admin.delete_records(topic, 0, -1) == 10


def test_the_cluster_and_the_server_tell_about_themselves(admin: AdminClient, server: LogServer, topic: str) -> None:
    cluster = admin.describe_cluster()
    endpoints = {(e.door, e.address) for node in cluster.nodes for e in node.endpoints}
    assert endpoints == {("grpc", server.grpc), ("kafka", server.kafka)}
    status = admin.status()
    assert status.cluster_id == cluster.cluster_id
    assert status.topics >= 1
    assert status.log_directories[0].free_bytes > 0
    assert status.log_directories[0].error is None
    assert "grpc.listeners" in {setting.name for setting in admin.settings()}


def test_a_server_that_is_not_there_is_an_error_that_names_the_address() -> None:
    with LogServer() as gone:
        address = gone.grpc
    with AdminClient(address, request_timeout_ms=300) as admin, pytest.raises(ConnectionFailed, match=address):
        admin.list_topics()


def test_a_closed_client_says_so(address: str) -> None:
    admin = AdminClient(address)
    admin.close()
    with pytest.raises(ClientClosed):
        admin.list_topics()


async def test_the_asyncio_form_has_the_same_calls(address: str) -> None:
    async with aio.AdminClient(address) as admin:
        await admin.create_topic("aio", partitions=2)
        assert len((await admin.describe_topic("aio")).partitions) == 2
        await admin.alter_topic("aio", set={"retention.ms": 5})
        await admin.create_partitions("aio", 3)
        assert await admin.delete_records("aio", 0, -1) == 0
        assert len(await admin.list_offsets({("aio", p): "latest" for p in range(3)})) == 3
        assert (await admin.status()).version
        assert (await admin.describe_cluster()).nodes
        assert await admin.settings()
        await admin.delete_topic("aio")
        assert "aio" not in {topic.name for topic in await admin.list_topics()}


def test_both_forms_have_the_same_methods() -> None:
    def public(kind: type) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")}

    assert public(AdminClient) == public(aio.AdminClient)
