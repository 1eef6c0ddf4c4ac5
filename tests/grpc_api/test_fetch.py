"""Fetch: long polls, limits, formats, errors a partition, and nothing left behind."""

import asyncio

import grpc
import pytest
from logserver_records.compression import Compression
from logserverpb.v1 import log_pb2

from logserver.errors import ErrorCode, LeaderHint
from tests.broker.harness import batch, keyed_batch, values_of

from .servers import BATCHES, LONG_MS, RECORDS, Server, check_error, refused, soon


def target(topic: str = "t", partition: int = 0, offset: int = 0, **fields: int) -> log_pb2.FetchPartition:
    return log_pb2.FetchPartition(topic=topic, partition=partition, offset=offset, **fields)


async def fetch(server: Server, *targets: log_pb2.FetchPartition, **fields: int) -> list[log_pb2.PartitionData]:
    return list((await server.log.Fetch(log_pb2.FetchRequest(partitions=targets, **fields))).partitions)


async def test_batches_come_as_stored_with_where_to_go_on(server: Server) -> None:
    await server.topic()
    await server.store(batch("a", "b"), batch("c"))
    (data,) = await fetch(server, target(offset=1))
    assert values_of(data.batches) == [b"a", b"b", b"c"]
    assert (data.next_offset, data.high_watermark, data.log_start_offset) == (3, 3, 0)
    assert not data.HasField("error") and not data.records and data.generation == 0
    (data,) = await fetch(server, target(offset=3))
    assert (data.batches, data.next_offset, data.high_watermark) == (b"", 3, 3)


async def test_plain_records_are_never_below_the_offset_asked_for(server: Server) -> None:
    await server.topic()
    await server.store(
        keyed_batch((b"k", b"a"), (None, None), (b"", b"")),
        batch("c", "d", compression=Compression.ZSTD, timestamp_ms=1_600_000_000_000),
    )
    (data,) = await fetch(server, target(offset=1), format=RECORDS)
    assert not data.batches and data.next_offset == 5
    assert [record.offset for record in data.records] == [1, 2, 3, 4]
    assert [record.HasField("key") for record in data.records] == [False, True, False, False]
    assert [record.HasField("value") for record in data.records] == [False, True, True, True]
    assert [record.value for record in data.records] == [b"", b"", b"c", b"d"]
    assert data.records[3].timestamp == 1_600_000_000_000


async def test_every_partition_answers_in_order_and_errors_are_their_own(server: Server) -> None:
    await server.topic("t", 2)
    await server.store(batch("a"))
    for form in (BATCHES, RECORDS):
        found = await fetch(
            server,
            target(),
            target("absent"),
            target(partition=9),
            target(offset=2),
            target(offset=-1),
            target(current_leader_epoch=7),
            target(partition=1),
            target(partition=-1),
            max_wait_ms=LONG_MS,
            min_bytes=1 << 20,
            format=form,
        )
        assert [(data.topic, data.partition) for data in found][:3] == [("t", 0), ("absent", 0), ("t", 9)]
        assert [data.HasField("error") for data in found] == [False, True, True, True, True, True, False, True]
        assert bool(found[0].batches) is (form == BATCHES) and bool(found[0].records) is (form == RECORDS)
        check_error(found[1].error, ErrorCode.unknown_topic_or_partition, "'absent'")
        assert (found[1].high_watermark, found[1].log_start_offset, found[1].next_offset) == (-1, -1, 0)
        check_error(found[2].error, ErrorCode.unknown_topic_or_partition, "no partition 9", "0 to 1")
        check_error(found[3].error, ErrorCode.offset_out_of_range, "offset 2 of t-0", "from 0 to 1")
        assert (found[3].high_watermark, found[3].next_offset) == (1, 2)
        check_error(found[4].error, ErrorCode.offset_out_of_range, "offset -1 of t-0")
        check_error(found[5].error, ErrorCode.unknown_leader_epoch, "leader epoch 7 of t-0")
        check_error(found[7].error, ErrorCode.unknown_topic_or_partition, "no partition -1")


async def test_an_old_leader_epoch_is_told_who_leads(server: Server) -> None:
    await server.topic()
    partition = server.partition()
    server.broker.resign(partition, "a test")
    partition.lead(5)
    partition.leader = LeaderHint(1, 5, "here:1")
    (data,) = await fetch(server, target(current_leader_epoch=4))
    check_error(data.error, ErrorCode.fenced_leader_epoch, "leader epoch 4 of t-0 is over, it is 5")
    assert (data.error.leader.node_id, data.error.leader.leader_epoch, data.error.leader.grpc_endpoint) == (
        1,
        5,
        "here:1",
    )


async def test_a_long_poll_waits_and_is_woken(server: Server) -> None:
    await server.topic("t", 2)
    polls = [
        server.log.Fetch(log_pb2.FetchRequest(partitions=[target(), target(partition=1)], max_wait_ms=LONG_MS))
        for _ in range(5)
    ]
    await soon(lambda: server.waiters() == 10)
    await server.store(batch("a"), partition=1)
    for poll in polls:
        first, second = (await poll).partitions
        assert not first.batches and values_of(second.batches) == [b"a"]
    assert server.waiters() == 0


async def test_a_long_poll_waits_for_min_bytes(server: Server) -> None:
    await server.topic()
    size = len(batch("1"))
    poll = server.log.Fetch(log_pb2.FetchRequest(partitions=[target()], max_wait_ms=LONG_MS, min_bytes=2 * size))
    await soon(lambda: server.waiters() == 1)
    await server.store(batch("1"))
    assert not poll.done()
    await server.store(batch("2"))
    assert values_of((await poll).partitions[0].batches) == [b"1", b"2"]


async def test_a_long_poll_ends_with_what_is_there_when_its_time_is_over(server: Server) -> None:
    await server.topic()
    await server.store(batch("1"))
    (data,) = await fetch(server, target(), max_wait_ms=20, min_bytes=1 << 20)
    assert values_of(data.batches) == [b"1"]
    (data,) = await fetch(server, target(offset=1), max_wait_ms=20)
    assert not data.batches and not data.HasField("error")


@pytest.mark.parametrize("server", [{"grpc.max.wait.ms": "20"}], indirect=True)
async def test_the_server_limits_how_long_a_poll_waits(server: Server) -> None:
    await server.topic()
    (data,) = await fetch(server, target(), max_wait_ms=2**31 - 1)
    assert not data.batches


@pytest.mark.parametrize("form", [BATCHES, RECORDS])
async def test_limits_are_soft_for_the_first_batch_only(server: Server, form: int) -> None:
    await server.topic("t", 2)
    for partition in (0, 1):
        await server.store(*(batch(b"%d" % number * 1000) for number in range(4)), partition=partition)
    size = len(batch(b"0" * 1000))

    async def counts(*targets: log_pb2.FetchPartition, **fields: int) -> list[int]:
        found = await fetch(server, *targets, format=form, **fields)
        offsets = [data.next_offset for data in found]
        assert offsets == [len(data.records) or len(values_of(data.batches)) for data in found]
        return offsets

    both = target(), target(partition=1)
    assert await counts(*both) == [4, 4]
    assert await counts(*both, max_bytes=1) == [1, 0]
    assert await counts(*both, max_bytes=2 * size) == [2, 0]
    assert await counts(*both, max_bytes=5 * size) == [4, 1]
    assert await counts(target(max_bytes=1), target(partition=1, max_bytes=3 * size)) == [1, 3]
    assert await counts(target(max_bytes=1), target(partition=1, max_bytes=1), max_wait_ms=LONG_MS) == [1, 1]


@pytest.mark.parametrize("server", [{"fetch.max.bytes": "3000"}], indirect=True)
async def test_the_server_limits_an_answer(server: Server) -> None:
    await server.topic()
    await server.store(*(batch(b"x" * 1000) for _ in range(5)))
    for asked in (0, 2**31 - 1):
        (data,) = await fetch(server, target(), max_bytes=asked)
        assert data.next_offset == 2


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"max_wait_ms": -1}, "max_wait_ms is -1; it may not be negative"),
        ({"min_bytes": -5}, "min_bytes is -5; it may not be negative"),
        ({"max_bytes": -(2**31)}, "max_bytes is -2147483648; it may not be negative"),
    ],
)
async def test_negative_limits_are_named(server: Server, fields: dict[str, int], words: str) -> None:
    await server.topic()
    with refused(ErrorCode.invalid_request, grpc.StatusCode.INVALID_ARGUMENT, words):
        await fetch(server, target(), **fields)
    with refused(ErrorCode.invalid_request, grpc.StatusCode.INVALID_ARGUMENT, "format 7 is not known"):
        await fetch(server, target(), format=7)
    with refused(ErrorCode.invalid_request, grpc.StatusCode.INVALID_ARGUMENT, "max_bytes of t-0 is -1"):
        await fetch(server, target(max_bytes=-1))


async def test_a_fetch_that_is_given_up_leaves_nothing_behind(server: Server) -> None:
    await server.topic()
    request = log_pb2.FetchRequest(partitions=[target()], max_wait_ms=LONG_MS)
    cancelled = server.log.Fetch(request)
    late = server.log.Fetch(request, timeout=0.1)
    channel = server.new_channel()
    from logserverpb.v1 import log_pb2_grpc

    gone = log_pb2_grpc.LogStub(channel).Fetch(request)
    await soon(lambda: server.waiters() == 3)
    cancelled.cancel()
    await channel.close()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await late
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await asyncio.gather(cancelled, gone, return_exceptions=True)
    await soon(lambda: server.waiters() == 0 and not server.daemon._door._calls._tasks)  # type: ignore[union-attr]


async def test_deleting_the_topic_answers_a_long_poll(server: Server) -> None:
    from logserverpb.v1 import admin_pb2

    await server.topic()
    poll = server.log.Fetch(log_pb2.FetchRequest(partitions=[target()], max_wait_ms=LONG_MS))
    await soon(lambda: server.waiters() == 1)
    await server.admin.DeleteTopic(admin_pb2.DeleteTopicRequest(name="t"))
    check_error((await poll).partitions[0].error, ErrorCode.unknown_topic_or_partition)


async def test_a_bad_batch_stops_plain_records_before_it_and_can_be_stepped_over(server: Server) -> None:
    await server.topic()
    good, bad = batch("a", "b"), bytearray(batch("c", "d"))
    await server.store(good, batch("c", "d"), batch("e"))
    # The bytes of its first record are damaged on disk: its length is too large.
    log = next((server.path / "t-0").glob("*.log"))
    with log.open("r+b") as file:
        file.seek(len(good) + 61)
        file.write(b"\x7e")
    (data,) = await fetch(server, target(), format=RECORDS)
    assert [record.value for record in data.records] == [b"a", b"b"] and data.next_offset == 2
    (data,) = await fetch(server, target(offset=2), format=RECORDS)
    check_error(
        data.error, ErrorCode.corrupt_message, "the batch at offset 2", "read it as batches, or from offset 4 on"
    )
    assert not data.records and data.next_offset == 2
    (data,) = await fetch(server, target(offset=4), format=RECORDS)
    assert [record.value for record in data.records] == [b"e"]
    (data,) = await fetch(server, target())
    assert len(data.batches) == len(good) + len(bad) + len(batch("e"))


@pytest.mark.parametrize("server", [{"record.batch.max.decompressed.bytes": "100000"}], indirect=True)
async def test_a_batch_too_large_when_decompressed_is_left_to_readers_of_batches(server: Server) -> None:
    await server.topic()
    await server.store(batch("a"), batch(b"x" * 200_000, compression=Compression.ZSTD), batch("z"))
    (data,) = await fetch(server, target(), format=RECORDS)
    assert [record.value for record in data.records] == [b"a"]
    (data,) = await fetch(server, target(offset=1), format=RECORDS)
    check_error(
        data.error,
        ErrorCode.invalid_record,
        "the batch at offset 1 can't be sent as plain records",
        "100000",
        "record.batch.max.decompressed.bytes",
        "read it as batches, or from offset 2 on",
    )
    assert await server.read_all() == [b"a", b"x" * 200_000, b"z"]


@pytest.mark.parametrize("server", [{"record.batch.max.decompressed.bytes": "100000"}], indirect=True)
async def test_a_batch_of_very_many_records_is_left_to_readers_of_batches(server: Server) -> None:
    await server.topic()
    await server.store(batch(*[""] * 1000, compression=Compression.ZSTD))
    (data,) = await fetch(server, target(), format=RECORDS)
    check_error(
        data.error, ErrorCode.invalid_record, "it holds 1000", "allows 390", "record.batch.max.decompressed.bytes"
    )


@pytest.mark.parametrize("server", [{"record.batch.max.decompressed.bytes": "2000000"}], indirect=True)
async def test_many_bombs_in_one_answer_are_decompressed_one_at_a_time(server: Server) -> None:
    await server.topic("t", 2)
    bomb = batch(b"x" * 1_000_000, compression=Compression.ZSTD)
    assert len(bomb) < 1000
    for partition in (0, 1):
        await server.store(*[bomb] * 20, partition=partition)
    offset = 0
    while offset < 20:
        first, second = await fetch(
            server, target(offset=offset), target(partition=1), max_bytes=100_000, format=RECORDS
        )
        assert len(first.records) == 1 and first.next_offset == offset + 1
        assert not second.records and second.next_offset == 0 and not second.HasField("error")
        offset = first.next_offset
    (data,) = await fetch(server, target(), max_bytes=2_500_000, format=RECORDS)
    assert len(data.records) == 3
