"""ListOffsets and InitProducerId."""

import grpc
import pytest
from logserverpb.v1 import common_pb2, log_pb2

from logserver.errors import ErrorCode
from tests.broker.harness import NOW_MS, batch

from .servers import Server, at, batches, check_error, refused, soon


@pytest.mark.parametrize(
    ("position", "offset", "timestamp"),
    [
        (at(offset=1), 1, -1),
        (at(offset=4), 4, -1),
        (at(earliest=True), 0, -1),
        (at(latest=True), 4, -1),
        (at(timestamp=0), 0, NOW_MS),
        (at(timestamp=NOW_MS + 1), 2, NOW_MS + 5),
        (at(timestamp=NOW_MS + 6), -1, -1),
        (at(timestamp=-1), 0, NOW_MS),
        (at(max_timestamp=True), 2, NOW_MS + 5),
    ],
)
async def test_a_position_has_an_offset(
    server: Server, position: common_pb2.Position, offset: int, timestamp: int
) -> None:
    await server.topic()
    await server.store(batch("a", "b"), batch("c", timestamp_ms=NOW_MS + 5), batch("d", timestamp_ms=NOW_MS + 3))
    found = await server.offset(position)
    assert not found.HasField("error")
    assert (found.topic, found.partition, found.offset, found.timestamp) == ("t", 0, offset, timestamp)
    assert found.leader_epoch == server.partition().leader_epoch


async def test_an_empty_partition_has_no_largest_timestamp(server: Server) -> None:
    await server.topic()
    for position, offset in ((at(max_timestamp=True), -1), (at(earliest=True), 0), (at(latest=True), 0)):
        assert (await server.offset(position)).offset == offset
    assert (await server.offset(at(timestamp=0))).offset == -1


async def test_only_what_is_durable_counts(server: Server) -> None:
    await server.topic()
    await server.store(batch("a"))
    server.disk.held.clear()
    waiting = server.log.Produce(log_pb2.ProduceRequest(partitions=[batches(batch("b", timestamp_ms=NOW_MS + 9))]))
    await soon(lambda: server.partition().log_end_offset == 2)
    assert (await server.offset(at(latest=True))).offset == 1
    assert (await server.offset(at(max_timestamp=True))).offset == 0
    assert (await server.offset(at(timestamp=NOW_MS + 9))).offset == -1
    server.disk.held.set()
    await waiting
    assert (await server.offset(at(timestamp=NOW_MS + 9))).offset == 1


async def test_results_are_in_order_and_errors_their_own(server: Server) -> None:
    await server.topic()
    await server.store(batch("a"))
    asked = [
        ("t", 0, at(latest=True)),
        ("absent", 0, at(latest=True)),
        ("t", 5, at(latest=True)),
        ("t", 0, common_pb2.Position()),
        ("t", 0, at(offset=2)),
        ("t", 0, at(offset=-1)),
        ("t", 0, at(earliest=True)),
    ]
    items = [
        log_pb2.ListOffsetsPartition(topic=name, partition=number, position=place) for name, number, place in asked
    ]
    found = (await server.log.ListOffsets(log_pb2.ListOffsetsRequest(partitions=items))).results
    assert [result.offset for result in found] == [1, -1, -1, -1, -1, -1, 0]
    assert [(result.topic, result.partition) for result in found] == [(name, number) for name, number, _ in asked]
    check_error(found[1].error, ErrorCode.unknown_topic_or_partition, "'absent'")
    check_error(found[2].error, ErrorCode.unknown_topic_or_partition, "no partition 5")
    check_error(found[3].error, ErrorCode.invalid_request, "position is empty; give offset, timestamp, earliest")
    check_error(found[4].error, ErrorCode.offset_out_of_range, "offset 2 of t-0", "from 0 to 1")
    check_error(found[5].error, ErrorCode.offset_out_of_range, "offset -1 of t-0")
    assert list((await server.log.ListOffsets(log_pb2.ListOffsetsRequest())).results) == []


async def test_a_partition_that_is_not_led_says_so(server: Server) -> None:
    await server.topic()
    server.broker.resign(server.partition(), "moved away")
    for position in (at(earliest=True), at(latest=True), at(offset=0), at(timestamp=0)):
        check_error((await server.offset(position)).error, ErrorCode.not_leader_or_follower, "moved away")


async def test_producer_ids_are_new_each_time_and_go_to_their_next_epoch(server: Server) -> None:
    first = await server.log.InitProducerId(log_pb2.InitProducerIdRequest())
    second = await server.log.InitProducerId(log_pb2.InitProducerIdRequest())
    assert first.producer_id != second.producer_id and first.producer_epoch == second.producer_epoch == 0
    request = log_pb2.InitProducerIdRequest(producer_id=first.producer_id, producer_epoch=0)
    bumped = await server.log.InitProducerId(request)
    assert (bumped.producer_id, bumped.producer_epoch) == (first.producer_id, 1)


@pytest.mark.parametrize(
    "fields", [{"producer_id": 0}, {"producer_epoch": 0}, {"producer_id": -1, "producer_epoch": -1}]
)
async def test_half_a_producer_identity_is_refused(server: Server, fields: dict[str, int]) -> None:
    with refused(ErrorCode.invalid_request, grpc.StatusCode.INVALID_ARGUMENT, "both producer_id and producer_epoch"):
        await server.log.InitProducerId(log_pb2.InitProducerIdRequest(**fields))
    with refused(ErrorCode.invalid_request, grpc.StatusCode.INVALID_ARGUMENT, "producer id 77 has not been given out"):
        await server.log.InitProducerId(log_pb2.InitProducerIdRequest(producer_id=77, producer_epoch=0))
