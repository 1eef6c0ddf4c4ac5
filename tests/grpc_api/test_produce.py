"""Produce as one call: acks, plain records and batches, results in order, errors a partition."""

import asyncio

import grpc
import pytest
from logserverpb.v1 import common_pb2, log_pb2

from logserver.errors import ErrorCode
from tests.broker.harness import batch, records_of

from .servers import ALL, LEADER, NONE, Server, batches, check_error, plain, refused, soon


async def produce(
    server: Server, *partitions: log_pb2.ProducePartition, acks: int = ALL
) -> list[log_pb2.ProduceResult]:
    response = await server.log.Produce(log_pb2.ProduceRequest(partitions=partitions, acks=acks))
    return list(response.results)


async def test_batches_are_stored_as_they_came_and_answered_with_their_offsets(server: Server) -> None:
    await server.topic()
    (result,) = await produce(server, batches(batch("a", "b") + batch("c")))
    assert (result.topic, result.partition, result.base_offset, result.last_offset) == ("t", 0, 0, 2)
    assert (result.log_append_time_ms, result.log_start_offset, result.duplicate) == (-1, 0, False)
    assert not result.HasField("error")
    (result,) = await produce(server, batches(batch("d")))
    assert (result.base_offset, result.last_offset) == (3, 3)
    assert await server.read_all() == [b"a", b"b", b"c", b"d"]


async def test_plain_records_keep_keys_values_headers_and_timestamps(server: Server) -> None:
    await server.topic()
    before = server.daemon._clock.now_ms()
    record = common_pb2.Record
    header = common_pb2.Header
    (result,) = await produce(
        server,
        plain(
            record(key=b"k", value=b"v", timestamp=1_600_000_000_123, headers=[header(key="h", value=b"1")]),
            record(value=b"no key", offset=77),
            record(key=b"", value=b""),
            record(key=b"tombstone", headers=[header(key="h"), header(key="h", value=b""), header(key="ä")]),
            record(),
        ),
    )
    assert (result.base_offset, result.last_offset) == (0, 4)
    data = await server.fetch()
    found = records_of(data.batches)
    assert [(record.key, record.value) for record in found] == [
        (b"k", b"v"),
        (None, b"no key"),
        (b"", b""),
        (b"tombstone", None),
        (None, None),
    ]
    assert found[0].timestamp_ms == 1_600_000_000_123
    assert all(before <= record.timestamp_ms <= server.daemon._clock.now_ms() for record in found[1:])
    assert [list(record.headers) for record in found[:4]] == [
        [("h", b"1")],
        [],
        [],
        [("h", None), ("h", b""), ("ä", None)],
    ]
    assert [record.offset for record in found] == [0, 1, 2, 3, 4]


async def test_results_come_in_the_order_of_the_request_and_errors_are_their_own(server: Server) -> None:
    await server.topic("t", 2)
    results = await produce(
        server,
        batches(batch("a"), "t", 1),
        batches(batch("x"), "absent", 0),
        plain(common_pb2.Record(value=b"b")),
        batches(batch("x"), "t", 2),
        log_pb2.ProducePartition(topic="t"),
        plain(),
        batches(b""),
        batches(batch("c"), "t", 1),
    )
    assert [(result.topic, result.partition) for result in results] == [
        ("t", 1),
        ("absent", 0),
        ("t", 0),
        ("t", 2),
        ("t", 0),
        ("t", 0),
        ("t", 0),
        ("t", 1),
    ]
    assert [result.base_offset for result in results] == [0, -1, 0, -1, -1, -1, -1, 1]
    assert [result.last_offset for result in results] == [0, -1, 0, -1, -1, -1, -1, 1]
    check_error(results[1].error, ErrorCode.unknown_topic_or_partition, "'absent' does not exist", "create it first")
    check_error(results[3].error, ErrorCode.unknown_topic_or_partition, "has no partition 2", "0 to 1")
    check_error(results[4].error, ErrorCode.invalid_record, "either batches or records")
    check_error(results[5].error, ErrorCode.invalid_record, "records holds no record")
    check_error(results[6].error, ErrorCode.invalid_record, "holds no record batch")
    assert await server.read_all(partition=1) == [b"a", b"c"]


async def test_all_is_answered_when_it_is_durable(server: Server) -> None:
    await server.topic()
    server.disk.held.clear()
    call = server.log.Produce(log_pb2.ProduceRequest(partitions=[batches(batch("a"))]))
    await soon(lambda: server.partition().log_end_offset == 1)
    assert not call.done() and server.partition().high_watermark == 0
    assert not (await server.fetch()).batches
    server.disk.held.set()
    assert (await call).results[0].base_offset == 0
    assert await server.read_all() == [b"a"]


@pytest.mark.parametrize("acks", [LEADER, NONE])
async def test_leader_and_none_are_answered_before_it_is_durable(server: Server, acks: int) -> None:
    await server.topic()
    server.disk.held.clear()
    results = await produce(server, batches(batch("a")), batches(b"junk"), batches(batch("b")), acks=acks)
    assert [result.base_offset for result in results] == [0, -1, 1]
    check_error(results[1].error, ErrorCode.corrupt_message, "truncated")
    assert server.partition().high_watermark == 0
    server.disk.held.set()
    await soon(lambda: server.partition().high_watermark == 2)


async def test_unknown_acks_are_refused(server: Server) -> None:
    await server.topic()
    with refused(ErrorCode.invalid_required_acks, grpc.StatusCode.INVALID_ARGUMENT, "acks 7", "ACKS_ALL"):
        await produce(server, batches(batch("a")), acks=7)
    assert await server.read_all() == []


async def test_nothing_to_store_is_no_error(server: Server) -> None:
    assert await produce(server) == []


async def test_log_append_time_is_told_and_read_back(server: Server) -> None:
    await server.topic(message_timestamp_type="LogAppendTime")
    (result,) = await produce(server, batches(batch("a", "b", timestamp_ms=5)))
    assert result.log_append_time_ms > 1_700_000_000_000
    found = records_of((await server.fetch()).batches)
    assert [record.timestamp_ms for record in found] == [result.log_append_time_ms] * 2


async def test_a_batch_sent_again_is_stored_once(server: Server) -> None:
    await server.topic()
    payload = batch("a", "b", producer_id=3, producer_epoch=0, base_sequence=0)
    (first,) = await produce(server, batches(payload))
    (again,) = await produce(server, batches(payload))
    assert not first.duplicate and again.duplicate
    assert (again.base_offset, again.last_offset) == (first.base_offset, first.last_offset) == (0, 1)
    assert await server.read_all() == [b"a", b"b"]


async def test_what_a_caller_does_not_wait_for_is_stored_all_the_same(server: Server) -> None:
    await server.topic()
    server.disk.held.clear()
    call = server.log.Produce(log_pb2.ProduceRequest(partitions=[batches(batch("a"))]), timeout=0.2)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    cancelled = server.log.Produce(log_pb2.ProduceRequest(partitions=[batches(batch("b"))]))
    await soon(lambda: server.partition().log_end_offset == 2)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    server.disk.held.set()
    await soon(lambda: server.partition().high_watermark == 2)
    assert await server.read_all() == [b"a", b"b"]


async def test_resigning_answers_a_waiting_produce_with_who_leads(server: Server) -> None:
    await server.topic()
    server.disk.held.clear()
    call = server.log.Produce(log_pb2.ProduceRequest(partitions=[batches(batch("a"))]))
    await soon(lambda: server.partition().log_end_offset == 1)
    from logserver.errors import LeaderHint

    server.partition().resign("moved away", LeaderHint(4, 9, "elsewhere:1"))
    (result,) = (await call).results
    check_error(result.error, ErrorCode.not_leader_or_follower, "moved away")
    assert (result.error.leader.node_id, result.error.leader.leader_epoch) == (4, 9)
    assert result.error.leader.grpc_endpoint == "elsewhere:1"
