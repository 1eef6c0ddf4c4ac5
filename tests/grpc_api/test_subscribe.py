"""Subscribe: positions, pushing, credit, generations, pauses, errors that end their partition only."""

import asyncio

import grpc
import pytest
from logserver_records.codec import build_batch
from logserver_records.compression import Compression
from logserver_records.control import ControlType, EndTransactionMarker
from logserverpb.v1 import admin_pb2, common_pb2, log_pb2

from logserver.broker import Partition
from logserver.errors import ErrorCode
from tests.broker.harness import NOW_MS, batch, records_of, values_of

from .servers import RECORDS, Server, Subscriber, at, check_error, refused, soon

PLENTY = 1 << 20
BEGIN, END = at(earliest=True), at(latest=True)


def is_answer(data: log_pb2.PartitionData) -> bool:
    """Whether an entry answers an Assign or Seek."""
    return not data.batches and not data.records and not data.HasField("error")


async def calls_end(server: Server) -> None:
    await soon(lambda: not server.daemon._door._calls._tasks)  # type: ignore[union-attr]
    assert server.waiters() == 0


async def test_what_is_there_and_what_comes_is_pushed(server: Server) -> None:
    await server.topic("t", 2)
    await server.store(batch("a"), batch("b"))
    subscriber = Subscriber(server)
    await subscriber.credit(PLENTY)
    generation = await subscriber.assign(("t", 0, BEGIN), ("t", 1, BEGIN))
    answer = await subscriber.entry()
    assert is_answer(answer) and (answer.next_offset, answer.generation) == (0, generation)
    data = await subscriber.entry()
    assert values_of(data.batches) == [b"a", b"b"]
    assert (data.next_offset, data.high_watermark, data.log_start_offset) == (2, 2, 0)
    assert data.generation == generation
    assert is_answer(await subscriber.entry(partition=1))
    for number in range(5):
        await server.store(batch(str(number)), partition=1)
        assert await subscriber.values(1, partition=1) == [b"%d" % number]
    await server.store(batch("c"))
    assert await subscriber.values(1) == [b"c"]
    subscriber.call.cancel()
    await calls_end(server)


async def test_what_is_not_durable_is_not_pushed(server: Server) -> None:
    await server.topic()
    subscriber = Subscriber(server)
    await subscriber.credit(PLENTY)
    await subscriber.assign(("t", 0, BEGIN))
    await subscriber.entry()
    server.disk.held.clear()
    storing = asyncio.ensure_future(server.store(batch("a")))
    await soon(lambda: server.partition().log_end_offset == 1)
    entry = asyncio.ensure_future(subscriber.entry())
    await server.admin.DescribeTopic(admin_pb2.DescribeTopicRequest(name="t"))
    assert not entry.done()
    server.disk.held.set()
    assert values_of((await entry).batches) == [b"a"]
    await storing


@pytest.mark.parametrize(
    ("position", "offset"),
    [
        (at(offset=0), 0),
        (at(offset=3), 3),
        (at(offset=6), 6),
        (at(earliest=True), 0),
        (at(latest=True), 6),
        (at(timestamp=0), 0),
        (at(timestamp=NOW_MS + 1), 2),
        (at(timestamp=NOW_MS + 2), 4),
        (at(timestamp=NOW_MS + 3), 6),
        (at(timestamp=-(2**63)), 0),
        (at(timestamp=2**63 - 1), 6),
    ],
)
async def test_a_position_is_answered_with_its_offset(
    server: Server, position: common_pb2.Position, offset: int
) -> None:
    await server.topic()
    for turn in range(3):
        await server.store(batch("x", "y", timestamp_ms=NOW_MS + turn))
    subscriber = Subscriber(server)
    await subscriber.assign(("t", 0, position))
    answer = await subscriber.entry()
    assert is_answer(answer) and answer.next_offset == offset
    await subscriber.credit(PLENTY)
    await server.store(batch("last"))
    values: list[bytes] = []
    while values[-1:] != [b"last"]:
        values += [record.value for record in records_of((await subscriber.entry()).batches) if record.offset >= offset]
    assert len(values) == 6 - offset + 1


async def test_no_credit_no_data(server: Server) -> None:
    await server.topic()
    await server.store(batch("a"), batch("b"))
    subscriber = Subscriber(server)
    await subscriber.assign(("t", 0, BEGIN))
    assert is_answer(await subscriber.entry())
    entry = asyncio.ensure_future(subscriber.entry())
    for _ in range(5):
        await server.admin.DescribeTopic(admin_pb2.DescribeTopicRequest(name="t"))
    assert not entry.done()
    await subscriber.credit(1)
    assert values_of((await entry).batches) == [b"a"]


async def test_credit_is_overdrawn_by_one_batch_at_most(server: Server) -> None:
    await server.topic()
    payload = batch(b"x" * 1000)
    await server.store(*[payload] * 20)
    subscriber = Subscriber(server)
    await subscriber.assign(("t", 0, BEGIN))
    await subscriber.entry()
    size = len(payload)
    given = taken = 0
    for credit, batches in ((2 * size, 2), (1, 1), (size - 1, 0), (1, 1), (size // 2, 0), (3 * size, 3)):
        # What the first credit after a debt allows is known only from the sum.
        await subscriber.credit(credit)
        given += credit
        before = taken
        while taken < given:
            taken += len((await subscriber.entry()).batches)
        assert taken - given < size
        assert taken - before <= (batches + 1) * size
    assert not any(data.batches for data in subscriber.seen)


@pytest.mark.parametrize("server", [{"grpc.subscribe.max.credit.bytes": "65536"}], indirect=True)
async def test_credit_is_capped(server: Server) -> None:
    await server.topic()
    payload = batch(b"x" * 10_000)
    await server.store(*[payload] * 20)
    subscriber = Subscriber(server)
    for _ in range(3):
        await subscriber.credit(2**63 - 1)
    await subscriber.assign(("t", 0, BEGIN))
    taken = 0
    while taken < 65536:
        taken += len((await subscriber.entry()).batches)
    assert taken < 65536 + len(payload)
    entry = asyncio.ensure_future(subscriber.entry())
    for _ in range(5):
        await server.admin.DescribeTopic(admin_pb2.DescribeTopicRequest(name="t"))
    assert not entry.done()
    await subscriber.credit(PLENTY)
    await entry


async def test_a_response_is_limited_and_partitions_take_turns(server: Server) -> None:
    await server.topic("t", 3)
    payload = batch(b"x" * 1000)
    for partition in range(3):
        await server.store(*[payload] * 10, partition=partition)
    subscriber = Subscriber(server)
    await subscriber.options(max_bytes=2 * len(payload))
    await subscriber.assign(*(("t", partition, BEGIN) for partition in range(3)))
    for partition in range(3):
        await subscriber.entry(partition=partition)
    await subscriber.credit(PLENTY)
    order = []
    while len(order) < 15:
        entries = [data for data in await subscriber.next() if data.batches]
        assert sum(len(data.batches) for data in entries) <= 2 * len(payload)
        order += [data.partition for data in entries]
    assert order == [0, 1, 2] * 5


async def test_a_seek_moves_and_older_data_is_told_by_its_generation(server: Server) -> None:
    await server.topic()
    for number in range(10):
        await server.store(batch(str(number)))
    subscriber = Subscriber(server)
    await subscriber.credit(1)
    first = await subscriber.assign(("t", 0, BEGIN))
    assert is_answer(await subscriber.entry())
    data = await subscriber.entry()
    assert (values_of(data.batches), data.generation) == ([b"0"], first)
    second = await subscriber.assign(("t", 0, at(offset=7)), seek=True)
    third = await subscriber.assign(("t", 0, at(offset=5)), seek=True)
    await subscriber.credit(PLENTY)
    while True:
        answer = await subscriber.entry()
        if answer.generation == third:
            break
        assert answer.generation in (first, second)
    assert is_answer(answer) and answer.next_offset == 5
    data = await subscriber.entry()
    assert (values_of(data.batches)[0], data.generation) == (b"5", third)


async def test_a_paused_partition_sends_nothing_until_it_is_resumed(server: Server) -> None:
    await server.topic("t", 2)
    subscriber = Subscriber(server)
    await subscriber.credit(PLENTY)
    await subscriber.assign(("t", 0, BEGIN), ("t", 1, BEGIN))
    await subscriber.entry()
    await subscriber.entry(partition=1)
    await subscriber.pause(("t", 0), ("absent", 3))
    # An answer to a later command says that the pause was seen.
    await subscriber.assign(("t", 1, BEGIN), seek=True)
    await subscriber.entry(partition=1)
    await server.store(batch("held"))
    await server.store(batch("going"), partition=1)
    assert await subscriber.values(1, partition=1) == [b"going"]
    assert not subscriber.seen
    await subscriber.assign(("t", 0, at(offset=0)), seek=True)
    assert is_answer(await subscriber.entry())
    await server.store(batch("more"), partition=1)
    assert await subscriber.values(1, partition=1) == [b"more"]
    assert not subscriber.seen
    await subscriber.resume(("t", 0))
    assert await subscriber.values(1) == [b"held"]


async def test_a_partition_paused_while_it_waits_for_credit_sends_nothing(server: Server) -> None:
    await server.topic("t", 2)
    await server.store(batch("a"))
    await server.store(batch("b"), partition=1)
    subscriber = Subscriber(server)
    await subscriber.assign(("t", 0, BEGIN), ("t", 1, BEGIN))
    await subscriber.entry()
    await subscriber.entry(partition=1)
    await subscriber.pause(("t", 0))
    await subscriber.credit(PLENTY)
    assert await subscriber.values(1, partition=1) == [b"b"]
    await server.store(batch("c"), partition=1)
    assert await subscriber.values(1, partition=1) == [b"c"]
    assert not subscriber.seen
    await subscriber.resume(("t", 0))
    assert await subscriber.values(1) == [b"a"]


class HeldLookup:
    """Looking offsets up by time waits until `go_on` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waiting = 0
        self.go_on = asyncio.Event()
        real = Partition.offset_for_timestamp

        async def held(partition: Partition, timestamp_ms: int) -> object:
            self.waiting += 1
            await self.go_on.wait()
            return await real(partition, timestamp_ms)

        monkeypatch.setattr(Partition, "offset_for_timestamp", held)


async def test_nothing_is_sent_while_a_position_is_looked_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    await server.topic("t", 2)
    await server.store(batch("a"), batch("b"))
    lookup = HeldLookup(monkeypatch)
    subscriber = Subscriber(server)
    await subscriber.credit(PLENTY)
    await subscriber.assign(("t", 0, END), ("t", 1, END))
    await subscriber.entry()
    await subscriber.entry(partition=1)
    generation = await subscriber.assign(("t", 0, at(timestamp=0)), seek=True)
    await soon(lambda: lookup.waiting == 1)
    # From where it stood before the seek this would be sent.
    await server.store(batch("c"))
    await server.store(batch("other"), partition=1)
    assert await subscriber.values(1, partition=1) == [b"other"]
    assert not subscriber.seen
    lookup.go_on.set()
    answer = await subscriber.entry()
    assert is_answer(answer) and (answer.generation, answer.next_offset) == (generation, 0)
    assert await subscriber.values(3) == [b"a", b"b", b"c"]


async def test_a_position_found_late_does_not_undo_a_later_seek(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    await server.topic()
    for value in ("a", "b", "c"):
        await server.store(batch(value))
    lookup = HeldLookup(monkeypatch)
    subscriber = Subscriber(server)
    await subscriber.credit(PLENTY)
    await subscriber.assign(("t", 0, at(timestamp=0)))
    await soon(lambda: lookup.waiting == 1)
    last = await subscriber.assign(("t", 0, at(offset=2)), seek=True)
    answer = await subscriber.entry()
    assert is_answer(answer) and (answer.generation, answer.next_offset) == (last, 2)
    assert await subscriber.values(1) == [b"c"]
    lookup.go_on.set()
    await server.store(batch("d"))
    data = await subscriber.entry()
    assert (values_of(data.batches), data.generation) == ([b"d"], last)


async def test_an_unassigned_partition_sends_nothing(server: Server) -> None:
    await server.topic("t", 2)
    subscriber = Subscriber(server)
    await subscriber.credit(PLENTY)
    await subscriber.assign(("t", 0, BEGIN), ("t", 1, BEGIN))
    await subscriber.entry()
    await subscriber.entry(partition=1)
    await subscriber.unassign(("t", 0), ("absent", 0))
    await subscriber.assign(("t", 1, BEGIN), seek=True)
    await subscriber.entry(partition=1)
    assert server.waiters() == 1
    await server.store(batch("unseen"))
    await server.store(batch("seen"), partition=1)
    assert await subscriber.values(1, partition=1) == [b"seen"]
    assert not subscriber.seen
    again = await subscriber.assign(("t", 0, BEGIN))
    assert (await subscriber.entry()).generation == again
    assert await subscriber.values(1) == [b"unseen"]


async def test_assigning_again_starts_anew(server: Server) -> None:
    await server.topic()
    await server.store(batch("a"))
    subscriber = Subscriber(server)
    await subscriber.credit(PLENTY)
    for _ in range(3):
        generation = await subscriber.assign(("t", 0, BEGIN))
        answer = await subscriber.entry()
        assert is_answer(answer) and answer.generation == generation
        data = await subscriber.entry()
        assert values_of(data.batches) == [b"a"] and data.generation == generation
    assert server.waiters() == 1


async def test_an_error_ends_its_partition_only(server: Server) -> None:
    await server.topic("t", 2)
    await server.store(batch("a"), partition=1)
    subscriber = Subscriber(server)
    await subscriber.credit(PLENTY)
    generation = await subscriber.assign(
        ("absent", 0, BEGIN),
        ("t", 7, BEGIN),
        ("t", 0, at(offset=3)),
        ("t", 1, BEGIN),
    )
    data = await subscriber.entry("absent")
    check_error(data.error, ErrorCode.unknown_topic_or_partition, "'absent'")
    assert data.generation == generation
    check_error((await subscriber.entry("t", 7)).error, ErrorCode.unknown_topic_or_partition, "no partition 7")
    check_error((await subscriber.entry()).error, ErrorCode.offset_out_of_range, "offset 3 of t-0", "from 0 to 0")
    assert is_answer(await subscriber.entry(partition=1))
    assert await subscriber.values(1, partition=1) == [b"a"]
    assert server.waiters() == 1
    await subscriber.assign(("t", 0, common_pb2.Position()))
    check_error((await subscriber.entry()).error, ErrorCode.invalid_request, "position is empty", "earliest")
    await subscriber.assign(("t", 0, at(max_timestamp=True)))
    check_error((await subscriber.entry()).error, ErrorCode.invalid_request, "max_timestamp", "ListOffsets only")
    await subscriber.assign(("t", 0, at(offset=-4)))
    check_error((await subscriber.entry()).error, ErrorCode.offset_out_of_range, "offset -4")
    await subscriber.assign(("t", 0, BEGIN), epoch=4)
    check_error((await subscriber.entry()).error, ErrorCode.unknown_leader_epoch, "leader epoch 4")
    await subscriber.assign(("t", 0, BEGIN), seek=True)
    check_error((await subscriber.entry()).error, ErrorCode.invalid_request, "t-0 is not assigned")
    await subscriber.assign(("t", 0, BEGIN))
    assert is_answer(await subscriber.entry())
    await server.store(batch("b"))
    assert await subscriber.values(1) == [b"b"]


async def test_partitions_that_end_while_subscribed_say_so(server: Server) -> None:
    await server.topic("t", 2)
    await server.topic("other")
    await server.store(batch("a", "b", "c"), topic="other")
    subscriber = Subscriber(server)
    await subscriber.credit(PLENTY)
    await subscriber.assign(("t", 0, BEGIN), ("t", 1, BEGIN), ("other", 0, END))
    for topic, partition in (("t", 0), ("t", 1), ("other", 0)):
        await subscriber.entry(topic, partition)
    server.broker.resign(server.partition("t", 0), "moved away")
    check_error((await subscriber.entry()).error, ErrorCode.not_leader_or_follower, "moved away")
    await server.admin.DeleteTopic(admin_pb2.DeleteTopicRequest(name="t"))
    check_error((await subscriber.entry(partition=1)).error, ErrorCode.not_leader_or_follower, "its topic was deleted")
    await server.store(batch("d"), topic="other")
    assert await subscriber.values(1, "other") == [b"d"]
    assert server.waiters() == 1


async def test_records_deleted_under_a_reader_are_an_error_of_range(server: Server) -> None:
    await server.topic()
    for number in range(5):
        await server.store(batch(str(number)))
    subscriber = Subscriber(server)
    await subscriber.assign(("t", 0, BEGIN))
    await subscriber.entry()
    await server.admin.DeleteRecords(admin_pb2.DeleteRecordsRequest(topic="t", before_offset=3))
    await subscriber.credit(PLENTY)
    data = await subscriber.entry()
    check_error(data.error, ErrorCode.offset_out_of_range, "offset 0 of t-0", "from 3 to 5")
    assert (data.log_start_offset, data.next_offset) == (3, 0)


@pytest.mark.parametrize(
    ("commands", "code", "words"),
    [
        ([{}], ErrorCode.invalid_request, "the command is empty"),
        (
            [{"credit": log_pb2.Credit(bytes=1)}, {"options": log_pb2.SubscribeOptions()}],
            ErrorCode.invalid_request,
            "options come once, before every other command",
        ),
        (
            [{"options": log_pb2.SubscribeOptions()}, {"options": log_pb2.SubscribeOptions()}],
            ErrorCode.invalid_request,
            "options come once",
        ),
        ([{"options": log_pb2.SubscribeOptions(max_bytes=-1)}], ErrorCode.invalid_request, "max_bytes is -1"),
        ([{"options": log_pb2.SubscribeOptions(format=5)}], ErrorCode.invalid_request, "format 5 is not known"),
        ([{"credit": log_pb2.Credit()}], ErrorCode.invalid_request, "credit.bytes is 0; it must be above 0"),
        (
            [{"credit": log_pb2.Credit(bytes=-(2**63))}],
            ErrorCode.invalid_request,
            "credit.bytes is -9223372036854775808",
        ),
        (
            [{"assign": log_pb2.Assign(generation=3)}, {"seek": log_pb2.Assign(generation=3)}],
            ErrorCode.invalid_request,
            "generation is 3; every assign and seek of a stream names a larger one",
        ),
    ],
)
async def test_a_wrong_command_ends_the_stream_with_a_reason(
    server: Server, commands: list[dict[str, object]], code: ErrorCode, words: str
) -> None:
    await server.topic()
    other = Subscriber(server)
    await other.credit(PLENTY)
    await other.assign(("t", 0, BEGIN))
    await other.entry()
    subscriber = Subscriber(server)
    with refused(code, grpc.StatusCode.INVALID_ARGUMENT, words):
        for command in commands:
            await subscriber.send(**command)
        while await subscriber.call.read() is not grpc.aio.EOF:
            pass
    await server.store(batch("a"))
    assert await other.values(1) == [b"a"]
    assert server.waiters() == 1


async def test_plain_records_are_counted_as_they_travel(server: Server) -> None:
    await server.topic()
    await server.store(batch("a", "b", "c"))
    for value in ("d", "e", "f"):
        await server.store(batch(value * 10_000, compression=Compression.ZSTD))
    subscriber = Subscriber(server)
    await subscriber.options(format=RECORDS)
    await subscriber.assign(("t", 0, at(offset=1)))
    assert is_answer(await subscriber.entry())
    await subscriber.credit(15_000)
    records = []
    while len(records) < 4:
        data = await subscriber.entry()
        assert not data.batches
        records += data.records
        assert data.next_offset == records[-1].offset + 1
    assert [record.offset for record in records] == [1, 2, 3, 4]
    entry = asyncio.ensure_future(subscriber.entry())
    for _ in range(3):
        await server.admin.DescribeTopic(admin_pb2.DescribeTopicRequest(name="t"))
    assert not entry.done()
    await subscriber.credit(15_000)
    assert [record.value for record in (await entry).records] == [b"f" * 10_000]


@pytest.mark.parametrize("server", [{"record.batch.max.decompressed.bytes": "100000"}], indirect=True)
async def test_a_batch_that_cannot_be_plain_ends_its_partition_behind_what_could(server: Server) -> None:
    await server.topic()
    await server.store(batch("a"), batch("b" * 200_000, compression=Compression.ZSTD), batch("c"))
    subscriber = Subscriber(server)
    await subscriber.options(format=RECORDS)
    await subscriber.credit(PLENTY)
    await subscriber.assign(("t", 0, BEGIN))
    await subscriber.entry()
    assert await subscriber.values(1) == [b"a"]
    data = await subscriber.entry()
    check_error(data.error, ErrorCode.invalid_record, "the batch at offset 1", "from offset 2 on")
    assert data.next_offset == 1
    await subscriber.assign(("t", 0, at(offset=2)))
    assert is_answer(await subscriber.entry())
    assert await subscriber.values(1) == [b"c"]


@pytest.mark.parametrize("way", ["cancel", "half-close", "channel", "deadline"])
async def test_a_subscription_that_ends_leaves_nothing_behind(
    server: Server, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    await server.topic("t", 3)
    await server.store(*[batch(b"x" * 100_000)] * 10)
    channel = server.new_channel()
    subscriber = Subscriber(server, channel, 0.3 if way == "deadline" else None)
    await subscriber.credit(PLENTY)
    await subscriber.assign(*(("t", partition, BEGIN) for partition in range(3)))
    await subscriber.entry()
    assert server.waiters() == 3
    if way == "cancel":
        subscriber.call.cancel()
    elif way == "half-close":
        await subscriber.call.done_writing()
    elif way == "channel":
        await channel.close()
    await calls_end(server)
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]


async def test_assigning_without_reading_is_bounded(server: Server) -> None:
    """Each command has an answer; a client that takes none gets its commands read no further."""
    from logserver.grpc_api.subscribe import Subscription

    most = 0
    real = Subscription._command

    def count(self: Subscription, request: log_pb2.SubscribeRequest) -> None:
        nonlocal most
        real(self, request)
        most = max(most, len(self._notices) + len(self._resolving))

    Subscription._command = count  # type: ignore[method-assign]
    try:
        channel = server.new_channel(**{"grpc.http2.lookahead_bytes": 65536, "grpc.http2.bdp_probe": 0})
        subscriber = Subscriber(server, channel)
        places = [("absent" * 30, number, BEGIN) for number in range(2000)]

        async def send() -> None:
            for _ in range(100):
                await subscriber.assign(*places)

        sending = asyncio.ensure_future(send())
        seen = -1
        while seen != most or most == 0:
            seen = most
            for _ in range(50):
                await server.admin.DescribeCluster(admin_pb2.DescribeClusterRequest())
        assert most <= 12_000
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        subscriber.call.cancel()
        await calls_end(server)
    finally:
        Subscription._command = real  # type: ignore[method-assign]


async def test_aborted_transactions_are_gone_through_a_message_at_a_time(server: Server) -> None:
    """However many there are: others have their turns in between."""
    await server.topic()
    partition = server.partition()
    for number in range(20):
        verification = partition.verify(7, number, 0)
        payload = build_batch(
            [(NOW_MS, None, b"lost", ())],
            producer_id=7,
            producer_epoch=number,
            base_sequence=0,
            is_transactional=True,
        )
        partition.append(payload, verification)
        partition.append_marker(7, number, EndTransactionMarker(ControlType.ABORT, 0), 1)
    await server.store(batch("a"))
    subscriber = Subscriber(server)
    await subscriber.options(isolation_level=log_pb2.ISOLATION_LEVEL_READ_COMMITTED, max_bytes=1)
    await subscriber.credit(PLENTY)
    await subscriber.assign(("t", 0, BEGIN))
    offset = 0
    while offset < 41:
        moved = [entry for entry in await subscriber.next() if entry.next_offset > offset]
        assert len(moved) <= 1
        offset = max([offset, *(entry.next_offset for entry in moved)])
    assert values_of(subscriber.seen[-1].batches) == [b"a"]
    subscriber.call.cancel()
