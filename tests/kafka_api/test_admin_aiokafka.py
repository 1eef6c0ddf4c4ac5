"""aiokafka's AIOKafkaAdminClient against the server."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from logserver.errors import ErrorCode
from logserver.testing import LogServer

from .groups import commit
from .raw_client import RawClient
from .records import batch, create_topic, stored


@pytest.fixture
async def admin(server: LogServer) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client of the test's server."""
    client = AIOKafkaAdminClient(bootstrap_servers=server.kafka)
    await client.start()
    yield client
    await client.close()


def codes(results: Any) -> list[tuple[str, int]]:
    """Returns topics and error codes of an answer."""
    return [(result[0], result[1]) for result in results]


async def test_topics(admin: AIOKafkaAdminClient) -> None:
    new = [NewTopic("t", 2, 1, topic_configs={"retention.ms": "1000"})]
    assert codes((await admin.create_topics(new)).topic_errors) == [("t", 0)]
    again = codes((await admin.create_topics(new)).topic_errors)
    assert again == [("t", ErrorCode.topic_already_exists.value)]
    assert codes((await admin.create_partitions({"t": NewPartitions(3)})).topic_errors) == [("t", 0)]
    assert await admin.list_topics() == ["t"]
    (topic,) = await admin.describe_topics(["t"])
    assert [partition["leader"] for partition in topic["partitions"]] == [1, 1, 1]
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, "t", {"retention.ms": "7000"})])
    asked = ConfigResource(ConfigResourceType.TOPIC, "t", {"retention.ms": None})
    ((found,),) = [answer.resources for answer in await admin.describe_configs([asked])]
    assert found[4][0][:2] == ("retention.ms", "7000")
    assert codes((await admin.delete_topics(["t"])).topic_error_codes) == [("t", 0)]
    assert await admin.list_topics() == []


async def test_one_node(server: LogServer, admin: AIOKafkaAdminClient) -> None:
    cluster = await admin.describe_cluster()
    assert cluster["controller_id"] == 1
    assert [f"{broker['host']}:{broker['port']}" for broker in cluster["brokers"]] == [server.kafka]


async def test_records_and_groups(server: LogServer, client: RawClient, admin: AIOKafkaAdminClient) -> None:
    def prepare() -> None:
        create_topic(server)
        stored(client, batch(*"abcdef"))
        commit(client, {("t", 0): 3})

    await asyncio.to_thread(prepare)
    place = TopicPartition("t", 0)
    assert await admin.delete_records({place: RecordsToDelete(2)}) == {place: 2}
    assert [group for group, _ in await admin.list_consumer_groups()] == ["g"]
    ((group,),) = [answer.groups for answer in await admin.describe_consumer_groups(["g"])]
    assert group[:3] == (0, "g", "Empty")
    assert {at: found.offset for at, found in (await admin.list_consumer_group_offsets("g")).items()} == {place: 3}
    assert await admin.find_coordinator("g") == 1
