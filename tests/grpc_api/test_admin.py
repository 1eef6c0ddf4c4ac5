"""Admin: topics, settings, partitions, deleted records, the cluster, this server."""

import errno

import grpc
import pytest
from logserverpb.v1 import admin_pb2, common_pb2, log_pb2

import logserver
from logserver.errors import ErrorCode
from tests.broker.harness import batch, keyed_batch

from .servers import Server, at, check_error, plain, refused

INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND


def settings_of(topic: admin_pb2.Topic) -> dict[str, tuple[str, str, bool]]:
    return {row.name: (row.value, row.default_value, row.overridden) for row in topic.settings}


async def describe(server: Server, name: str = "t") -> admin_pb2.Topic:
    return (await server.admin.DescribeTopic(admin_pb2.DescribeTopicRequest(name=name))).topic


async def test_a_created_topic_is_described(server: Server) -> None:
    created = await server.topic("t", 3, retention_ms="5000", cleanup_policy="compact,delete")
    assert (created.name, len(created.topic_id), created.internal) == ("t", 22, False)
    assert [(part.partition, part.leader, part.high_watermark) for part in created.partitions] == [
        (number, 1, 0) for number in range(3)
    ]
    payload = keyed_batch((b"k", b"a"), (b"k", b"b"))
    await server.store(payload, partition=1)
    found = await describe(server)
    assert found.topic_id == created.topic_id
    part = found.partitions[1]
    assert (part.log_start_offset, part.high_watermark, part.log_end_offset) == (0, 2, 2)
    assert part.size_bytes == len(payload) and part.leader_epoch == server.partition().leader_epoch
    assert not part.HasField("error")
    rows = settings_of(found)
    assert rows["retention.ms"] == ("5000", "604800000", True)
    assert rows["cleanup.policy"] == ("compact,delete", "delete", True)
    assert rows["flush.messages"] == ("1", "1", False)
    assert all(row.documentation for row in found.settings)


@pytest.mark.parametrize("server", [{"num.partitions": "4", "log.retention.hours": "1"}], indirect=True)
async def test_no_partitions_means_the_servers_number_and_defaults_are_the_servers(server: Server) -> None:
    created = await server.topic(partitions=0)
    assert len(created.partitions) == 4
    assert settings_of(created)["retention.ms"] == ("3600000", "3600000", False)


async def test_topics_are_listed_by_name(server: Server) -> None:
    for name in ("c", "a", "b"):
        await server.topic(name, 2)
    for include_internal in (False, True):
        request = admin_pb2.ListTopicsRequest(include_internal=include_internal)
        found = (await server.admin.ListTopics(request)).topics
        assert [(topic.name, topic.partitions, topic.internal) for topic in found] == [
            ("a", 2, False),
            ("b", 2, False),
            ("c", 2, False),
        ]
        assert len({topic.topic_id for topic in found}) == 3


async def test_settings_are_altered_all_or_none(server: Server) -> None:
    await server.topic(retention_ms="5000")
    alter = server.admin.AlterTopic
    with refused(ErrorCode.invalid_config, INVALID, "segment.bytes can't be 'x'"):
        await alter(admin_pb2.AlterTopicRequest(name="t", set={"retention.ms": "1", "segment.bytes": "x"}))
    assert settings_of(await describe(server))["retention.ms"][0] == "5000"
    request = admin_pb2.AlterTopicRequest(name="t", set={"max.message.bytes": "99"}, reset=["retention.ms"])
    request.validate_only = True
    assert settings_of((await alter(request)).topic)["max.message.bytes"][0] == "1048588"
    request.validate_only = False
    rows = settings_of((await alter(request)).topic)
    assert rows["max.message.bytes"] == ("99", "1048588", True)
    assert rows["retention.ms"] == ("604800000", "604800000", False)
    with refused(ErrorCode.invalid_config, INVALID, "retention.mss is not a setting", "did you mean retention.ms"):
        await alter(admin_pb2.AlterTopicRequest(name="t", reset=["retention.mss"]))


async def test_partitions_are_added(server: Server) -> None:
    await server.topic("t", 2)
    create = server.admin.CreatePartitions
    request = admin_pb2.CreatePartitionsRequest(name="t", partitions=5, validate_only=True)
    assert len((await create(request)).topic.partitions) == 2
    request.validate_only = False
    assert len((await create(request)).topic.partitions) == 5
    await server.store(batch("a"), partition=4)
    for total in (5, 0, -1):
        with refused(ErrorCode.invalid_partitions, INVALID, "has 5 partitions", f"only be raised, {total}"):
            await create(admin_pb2.CreatePartitionsRequest(name="t", partitions=total))


async def test_a_deleted_topic_is_gone(server: Server) -> None:
    await server.topic()
    await server.store(batch("a"))
    await server.admin.DeleteTopic(admin_pb2.DeleteTopicRequest(name="t"))
    with refused(ErrorCode.unknown_topic_or_partition, NOT_FOUND, "'t' does not exist"):
        await describe(server)
    with refused(ErrorCode.unknown_topic_or_partition, NOT_FOUND, "'t' does not exist"):
        await server.admin.DeleteTopic(admin_pb2.DeleteTopicRequest(name="t"))
    await server.topic()
    assert await server.read_all() == []


async def test_only_create_topic_creates_a_topic(server: Server) -> None:
    request = log_pb2.ProduceRequest(partitions=[plain(common_pb2.Record(value=b"x"), topic="new")])
    check_error((await server.log.Produce(request)).results[0].error, ErrorCode.unknown_topic_or_partition)
    assert (await server.fetch(topic="new")).HasField("error")
    assert (await server.offset(at(latest=True), "new")).HasField("error")
    assert not (await server.admin.ListTopics(admin_pb2.ListTopicsRequest())).topics


async def test_records_are_deleted_before_an_offset(server: Server) -> None:
    await server.topic()
    await server.store(*(batch(str(number)) for number in range(5)))
    delete = server.admin.DeleteRecords
    request = admin_pb2.DeleteRecordsRequest(topic="t", before_offset=2)
    assert (await delete(request)).log_start_offset == 2
    assert await server.read_all() == [b"2", b"3", b"4"]
    assert (await describe(server)).partitions[0].log_start_offset == 2
    out_of_range = grpc.StatusCode.OUT_OF_RANGE
    for before in (6, -2, 2**63 - 1):
        with refused(ErrorCode.offset_out_of_range, out_of_range, f"before offset {before}: they go from 2 to 5"):
            await delete(admin_pb2.DeleteRecordsRequest(topic="t", before_offset=before))
    with refused(ErrorCode.unknown_topic_or_partition, NOT_FOUND, "no partition 3"):
        await delete(admin_pb2.DeleteRecordsRequest(topic="t", partition=3))
    assert (await delete(admin_pb2.DeleteRecordsRequest(topic="t", before_offset=-1))).log_start_offset == 5
    assert await server.read_all() == []


async def test_a_topic_that_is_only_validated_is_not_created(server: Server) -> None:
    create = server.admin.CreateTopic
    request = admin_pb2.CreateTopicRequest(name="t", partitions=2, settings={"retention.ms": "5"}, validate_only=True)
    validated = (await create(request)).topic
    assert validated.name == "t"
    assert not (await server.admin.ListTopics(admin_pb2.ListTopicsRequest())).topics
    request.settings["segment.bytes"] = "-1"
    with refused(ErrorCode.invalid_config, INVALID, "segment.bytes can't be '-1'"):
        await create(request)


async def test_a_topic_exists_once(server: Server) -> None:
    await server.topic()
    with refused(ErrorCode.topic_already_exists, grpc.StatusCode.ALREADY_EXISTS, "'t' exists already"):
        await server.topic()


async def test_the_cluster_has_one_node_with_its_endpoint(server: Server) -> None:
    found = await server.admin.DescribeCluster(admin_pb2.DescribeClusterRequest())
    assert len(found.cluster_id) == 22 and found.controller_id == 1
    (node,) = found.nodes
    assert node.node_id == 1
    assert [(endpoint.door, endpoint.address) for endpoint in node.endpoints] == [("grpc", server.address)]


@pytest.mark.parametrize(
    "server", [{"node.id": "7", "grpc.advertised.listeners": "logs.example.com:443,other:1"}], indirect=True
)
async def test_clients_are_told_the_advertised_addresses(server: Server) -> None:
    found = await server.admin.DescribeCluster(admin_pb2.DescribeClusterRequest())
    assert [endpoint.address for endpoint in found.nodes[0].endpoints] == ["logs.example.com:443", "other:1"]
    assert found.controller_id == found.nodes[0].node_id == 7
    status = await server.admin.GetStatus(admin_pb2.GetStatusRequest())
    assert [door.address for door in status.doors] == [server.address]
    topic = await server.topic()
    assert topic.partitions[0].leader == 7


async def test_the_status_of_the_server(server: Server) -> None:
    await server.topic("a", 2)
    await server.topic("b", 3)
    await server.store(batch("x" * 1000), topic="a")
    status = await server.admin.GetStatus(admin_pb2.GetStatusRequest())
    cluster = await server.admin.DescribeCluster(admin_pb2.DescribeClusterRequest())
    assert (status.version, status.node_id, status.cluster_id) == (logserver.__version__, 1, cluster.cluster_id)
    assert (status.topics, status.partitions, status.offline_partitions) == (2, 5, 0)
    assert status.start_time_ms > 1_700_000_000_000 and status.rss_anon_bytes > 1 << 20
    (directory,) = status.log_directories
    assert directory.path == str(server.path) and directory.size_bytes > 1000
    assert 0 < directory.free_bytes < directory.total_bytes and not directory.HasField("error")


async def test_a_partition_that_went_offline_is_seen(server: Server) -> None:
    await server.topic("t", 2)
    server.disk.fail("sync", "*/t-1/*", times=1)
    request = log_pb2.ProduceRequest(partitions=[plain(common_pb2.Record(value=b"x"), partition=1)])
    check_error((await server.log.Produce(request)).results[0].error, ErrorCode.kafka_storage_error, "t-1 is offline")
    status = await server.admin.GetStatus(admin_pb2.GetStatusRequest())
    assert (status.partitions, status.offline_partitions) == (2, 1)
    good, bad = (await describe(server)).partitions
    assert (good.leader, bad.leader) == (1, -1) and not good.HasField("error")
    check_error(bad.error, ErrorCode.kafka_storage_error, "t-1 is offline", "failed to flush", "restart the server")


async def test_a_disk_that_does_not_answer_is_part_of_the_status(server: Server) -> None:
    server.disk.fail("space", error=errno.EIO)
    (directory,) = (await server.admin.GetStatus(admin_pb2.GetStatusRequest())).log_directories
    check_error(directory.error, ErrorCode.kafka_storage_error, "Input/output error")


@pytest.mark.parametrize("server", [{"log.segment.bytes": "4096"}], indirect=True)
async def test_the_settings_in_force(server: Server) -> None:
    rows = {row.name: row for row in (await server.admin.ListSettings(admin_pb2.ListSettingsRequest())).settings}
    segment, retention = rows["log.segment.bytes"], rows["log.retention.hours"]
    assert (segment.value, segment.default_value, segment.source) == ("4096", "1073741824", "command line")
    assert (retention.value, retention.source) == ("168", "default") and retention.documentation
