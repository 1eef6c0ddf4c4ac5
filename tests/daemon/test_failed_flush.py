"""A flush that fails: its log goes offline, alone, nothing of it is acknowledged, a restart has what was durable."""

import errno

import grpc
import pytest
from logserverpb.v1 import admin_pb2, log_pb2

from logserver.errors import ErrorCode
from tests.broker.harness import batch
from tests.daemon.test_start import crash
from tests.grpc_api.servers import LONG_MS, Server, Subscriber, at, batches, check_error, refused, soon

OFFLINE = ("t-0 is offline", "failed to flush", "Look after the disk, then restart the server")


async def test_a_failed_flush_puts_its_log_offline_alone(server: Server) -> None:
    await server.topic("t", 2)
    await server.store(batch("kept"))
    subscriber = Subscriber(server)
    await subscriber.credit(1 << 20)
    await subscriber.assign(("t", 0, at(latest=True)), ("t", 1, at(latest=True)))
    await subscriber.entry()
    await subscriber.entry(partition=1)
    poll = server.log.Fetch(
        log_pb2.FetchRequest(partitions=[log_pb2.FetchPartition(topic="t", offset=1)], max_wait_ms=LONG_MS)
    )
    await soon(lambda: server.waiters() == 3)
    fault = server.disk.fail("sync", "*/t-0/*", times=1)
    request = log_pb2.ProduceRequest(partitions=[batches(batch("lost")), batches(batch("fine"), partition=1)])
    lost, fine = (await server.log.Produce(request)).results
    check_error(lost.error, ErrorCode.kafka_storage_error, *OFFLINE)
    assert fine.base_offset == 0 and fault.met == 1
    # Everybody who waited is told, and so is whoever comes later; a flush is not tried again as if nothing had been.
    check_error((await poll).partitions[0].error, ErrorCode.kafka_storage_error, *OFFLINE)
    check_error((await subscriber.entry()).error, ErrorCode.kafka_storage_error, *OFFLINE)
    assert await subscriber.values(1, partition=1) == [b"fine"]
    for _ in range(2):
        (result,) = (await server.log.Produce(log_pb2.ProduceRequest(partitions=[batches(batch("more"))]))).results
        check_error(result.error, ErrorCode.kafka_storage_error, *OFFLINE)
        check_error((await server.fetch()).error, ErrorCode.kafka_storage_error, *OFFLINE)
        check_error((await server.offset(at(latest=True))).error, ErrorCode.kafka_storage_error, *OFFLINE)
    with refused(ErrorCode.kafka_storage_error, grpc.StatusCode.UNAVAILABLE, "t-0 is offline"):
        await server.admin.DeleteRecords(admin_pb2.DeleteRecordsRequest(topic="t", before_offset=0))
    await server.store(batch("going on"), partition=1)
    status = await server.admin.GetStatus(admin_pb2.GetStatusRequest())
    assert (status.partitions, status.offline_partitions) == (2, 1)


@pytest.mark.parametrize("clean", [False, True])
async def test_a_restart_brings_back_what_was_durable_and_no_more(server: Server, clean: bool) -> None:
    await server.topic("t", 2)
    payload = batch("kept", producer_id=1, producer_epoch=0, base_sequence=0)
    await server.store(payload)
    server.disk.fail("sync", "*/t-0/*", times=1)
    lost = batch("lost", producer_id=1, producer_epoch=0, base_sequence=1)
    (result,) = (await server.log.Produce(log_pb2.ProduceRequest(partitions=[batches(lost)]))).results
    assert result.HasField("error")
    epoch = server.partition("t", 1).leader_epoch
    await (server.stop() if clean else crash(server))
    await server.start()
    assert await server.read_all() == [b"kept"]
    # It counts as an unclean end: some log could not be closed as it should.
    assert server.partition().leader_epoch == epoch + 1
    await server.store(lost)
    assert await server.read_all() == [b"kept", b"lost"]


async def test_many_logs_flushed_at_once_fail_together(server: Server) -> None:
    await server.topic("t", 8)
    server.disk.held.clear()
    server.disk.fail("sync_filesystem", times=1)
    blocker = server.log.Produce(log_pb2.ProduceRequest(partitions=[batches(batch("first"))]))
    await soon(lambda: server.partition().log_end_offset == 1)
    items = [batches(batch("x"), partition=number) for number in range(1, 8)]
    call = server.log.Produce(log_pb2.ProduceRequest(partitions=items))
    await soon(lambda: server.partition("t", 7).log_end_offset == 1)
    server.disk.held.set()
    assert not (await blocker).results[0].HasField("error")
    for result in (await call).results:
        check_error(result.error, ErrorCode.kafka_storage_error, "failed to flush")
    await server.store(batch("second"))
    assert await server.read_all() == [b"first", b"second"]


async def test_a_failed_write_that_is_undone_is_an_offline_log_too(server: Server) -> None:
    await server.topic("t", 2)
    await server.store(batch("kept"))
    server.disk.fail("write", "*/t-0/*.log", errno.EIO, times=1)
    (result,) = (await server.log.Produce(log_pb2.ProduceRequest(partitions=[batches(batch("x"))]))).results
    check_error(result.error, ErrorCode.kafka_storage_error, "t-0", "failed to write", "Input/output error")
    (result,) = (await server.log.Produce(log_pb2.ProduceRequest(partitions=[batches(batch("x"))]))).results
    check_error(result.error, ErrorCode.kafka_storage_error, "t-0 is offline")
    await server.store(batch("y"), partition=1)
    await server.stop()
    await server.start()
    assert await server.read_all() == [b"kept"]


async def test_a_failed_read_is_an_error_of_that_read(server: Server) -> None:
    await server.topic()
    await server.store(batch("a"))
    server.disk.fail("read", "*/t-0/*.log", errno.EIO, times=1)
    check_error((await server.fetch()).error, ErrorCode.kafka_storage_error, "Input/output error")
    assert await server.read_all() == [b"a"]
    await server.store(batch("b"))
    assert await server.read_all() == [b"a", b"b"]


async def test_the_metadata_log_offline_refuses_changes_and_records_go_on(server: Server) -> None:
    await server.topic()
    server.disk.fail("sync", "*/__logserver_metadata-0/*", times=1)
    for _ in range(2):
        with refused(
            ErrorCode.kafka_storage_error, grpc.StatusCode.UNAVAILABLE, "metadata log is offline", "restart the server"
        ):
            await server.topic("new")
    with refused(ErrorCode.kafka_storage_error, grpc.StatusCode.UNAVAILABLE, "metadata log is offline"):
        await server.log.InitProducerId(log_pb2.InitProducerIdRequest())
    await server.store(batch("a"))
    assert await server.read_all() == [b"a"]
    await server.stop()
    await server.start()
    await server.topic("new")
    assert await server.read_all() == [b"a"]
