"""Records are refused before the disk is full (`log.dir.min.free.bytes`); reading, deleting and retention go on."""

import logging

import grpc
import pytest
from logserverpb.v1 import admin_pb2, groups_pb2, groups_pb2_grpc, log_pb2

from logserver.errors import ErrorCode
from tests.broker.harness import batch
from tests.grpc_api.servers import Server, batches, check_error, refused

KEPT = 1 << 20
SENTENCE = ("no space left for records", f"log.dir.min.free.bytes={KEPT}", "delete topics", "without a restart")
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE

pytestmark = pytest.mark.parametrize("server", [{"log.dir.min.free.bytes": str(KEPT)}], indirect=True)


async def shorten(server: Server) -> None:
    """Leaves a byte too little, as others on the same file system may, and waits until that is noticed."""
    server.disk.free_bytes = KEPT - 1
    for directory in server.daemon.directories.online:
        directory.tick()


async def lengthen(server: Server) -> None:
    server.disk.free_bytes = 2 * KEPT
    for directory in server.daemon.directories.online:
        directory.tick()


async def test_records_are_refused_early_and_taken_again_by_themselves(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await server.topic("t", 2)
    await server.store(batch("before"))
    await shorten(server)
    for number in range(2):
        request = log_pb2.ProduceRequest(partitions=[batches(batch("x"), partition=number)])
        (result,) = (await server.log.Produce(request)).results
        check_error(result.error, ErrorCode.kafka_storage_error, *SENTENCE)
        assert result.error.retriable
    assert await server.read_all() == [b"before"]
    status = await server.admin.GetStatus(admin_pb2.GetStatusRequest())
    assert (status.offline_partitions, status.log_directories[0].free_bytes) == (0, KEPT - 1)
    assert sum("no records are taken" in record.getMessage() for record in caplog.records) == 1
    await lengthen(server)
    await server.store(batch("after"))
    assert await server.read_all() == [b"before", b"after"]
    assert sum("records are taken again" in record.getMessage() for record in caplog.records) == 1


async def test_nothing_new_is_made_and_what_there_is_can_be_deleted(server: Server) -> None:
    await server.topic("t", 1, segment_bytes="2048", file_delete_delay_ms="0")
    await server.topic("u")
    await server.store(*[batch(b"x" * 1000)] * 5)
    await shorten(server)
    with refused(ErrorCode.kafka_storage_error, UNAVAILABLE, *SENTENCE):
        await server.topic("new")
    with refused(ErrorCode.kafka_storage_error, UNAVAILABLE, *SENTENCE):
        await server.admin.CreatePartitions(admin_pb2.CreatePartitionsRequest(name="t", partitions=2))
    # What gives space back is done: settings, retention, records, topics.
    await server.admin.AlterTopic(admin_pb2.AlterTopicRequest(name="t", set={"retention.bytes": "2048"}))
    for directory in server.daemon.directories.online:
        await directory.apply_retention()
    assert server.partition().log_start_offset > 0
    deleted = await server.admin.DeleteRecords(admin_pb2.DeleteRecordsRequest(topic="t", before_offset=5))
    assert deleted.log_start_offset == 5
    await server.admin.DeleteTopic(admin_pb2.DeleteTopicRequest(name="u"))
    assert [topic.name for topic in server.broker.topics() if not topic.internal] == ["t"]
    # A restart finds it all so.
    await server.stop()
    await server.start()
    assert server.partition().log_start_offset == 5
    with refused(ErrorCode.kafka_storage_error, UNAVAILABLE, *SENTENCE):
        await server.topic("new")
    await lengthen(server)
    await server.topic("new")
    await server.store(batch("after"))


async def test_what_the_server_keeps_in_topics_is_refused_too_and_groups_go_on_afterwards(server: Server) -> None:
    await server.topic("t", 1)
    groups = groups_pb2_grpc.GroupsStub(server.channel)

    async def commit(offset: int) -> groups_pb2.CommitOffsetsResponse:
        item = groups_pb2.OffsetCommit(topic="t", partition=0, offset=offset)
        return await groups.CommitOffsets(groups_pb2.CommitOffsetsRequest(group_id="g", offsets=[item]))

    assert not (await commit(1)).results[0].HasField("error")
    await shorten(server)
    with pytest.raises(grpc.aio.AioRpcError, match=SENTENCE[0]) as caught:
        await commit(2)
    assert caught.value.code() is UNAVAILABLE
    await lengthen(server)
    assert not (await commit(3)).results[0].HasField("error")
