"""Produce as a stream: order, correlation ids, bundled answers, limits in flight, ends of every kind."""

import asyncio

import grpc
import pytest
from logserverpb.v1 import common_pb2

from logserver.coordinator.transactions.enlisting import Outcomes
from logserver.errors import ErrorCode
from logserver.grpc_api.produce_request import ProduceRequest
from tests.broker.harness import batch

from .servers import LEADER, NONE, ProduceStream, Server, batches, check_error, plain, refused, soon


async def test_requests_are_appended_in_order_and_each_is_answered(server: Server) -> None:
    await server.topic("t", 3)
    stream = ProduceStream(server)
    for number in range(300):
        await stream.send(1000 + number, batches(batch(str(number)), "t", number % 3))
    await stream.end()
    assert sorted(stream.answers) == [1000 + number for number in range(300)]
    for partition in range(3):
        assert await server.read_all(partition=partition) == [b"%d" % number for number in range(partition, 300, 3)]
        mine = [stream.answers[1000 + number][0].base_offset for number in range(partition, 300, 3)]
        assert mine == list(range(100))
        # Answers of one partition keep its order.
        order = [number for number in stream.order if number % 3 == (1000 + partition) % 3]
        assert order == sorted(order)


async def test_what_is_done_together_is_answered_together(server: Server) -> None:
    await server.topic()
    server.disk.held.clear()
    stream = ProduceStream(server)
    for number in range(50):
        await stream.send(number, batches(batch("x")))
    await soon(lambda: server.partition().log_end_offset == 50)
    server.disk.held.set()
    await stream.end()
    # The first round of flushing held one request, the second all that came meanwhile.
    assert len(stream.answers) == 50 and stream.messages < 10


async def test_answers_overtake_each_other_between_partitions(server: Server) -> None:
    await server.topic("slow")
    await server.topic("fast", flush_messages="1000")
    server.disk.held.clear()
    stream = ProduceStream(server)
    await stream.send(1, batches(batch("x"), "slow"))
    await stream.send(2, batches(batch("x"), "fast"))
    assert (await stream.answer(2))[0].base_offset == 0
    assert 1 not in stream.answers
    server.disk.held.set()
    assert (await stream.answer(1))[0].base_offset == 0
    await stream.end()


async def test_none_is_answered_only_if_it_fails(server: Server) -> None:
    await server.topic()
    stream = ProduceStream(server)
    await stream.send(1, batches(batch("a")), acks=NONE)
    await stream.send(2, batches(batch("b")), batches(batch("c"), "absent"), acks=NONE)
    await stream.send(3, batches(batch("d")), acks=LEADER)
    await stream.send(4, plain(common_pb2.Record(value=b"e")))
    await stream.end()
    assert sorted(stream.answers) == [2, 3, 4]
    good, bad = stream.answers[2]
    assert good.base_offset == 1
    check_error(bad.error, ErrorCode.unknown_topic_or_partition, "'absent'")
    assert await server.read_all() == [b"a", b"b", b"d", b"e"]


async def test_an_error_of_one_request_is_its_own(server: Server) -> None:
    await server.topic()
    stream = ProduceStream(server)
    await stream.send(1, batches(batch("a")))
    await stream.send(2, batches(b"junk"))
    await stream.send(3)
    await stream.send(4, batches(batch("b")))
    await stream.end()
    check_error(stream.answers[2][0].error, ErrorCode.corrupt_message, "truncated record batch: 4 bytes")
    assert list(stream.answers[3]) == []
    assert [stream.answers[number][0].base_offset for number in (1, 4)] == [0, 1]


async def test_what_came_before_a_bad_request_is_answered_before_the_stream_ends(server: Server) -> None:
    await server.topic()
    server.disk.held.clear()
    stream = ProduceStream(server)
    await stream.send(1, batches(batch("a")))
    await stream.send(2, batches(batch("b")), acks=9)
    await soon(lambda: server.partition().log_end_offset == 1)
    server.disk.held.set()
    with refused(ErrorCode.invalid_required_acks, grpc.StatusCode.INVALID_ARGUMENT, "acks 9 is not known"):
        await stream.end()
    assert stream.answers[1][0].base_offset == 0
    assert await server.read_all() == [b"a"]


@pytest.mark.parametrize("server", [{"grpc.stream.max.inflight.bytes": "65536"}], indirect=True)
async def test_reading_pauses_while_too_much_is_unanswered(server: Server) -> None:
    await server.topic()
    server.disk.held.clear()
    stream = ProduceStream(server)
    payload = batch(b"x" * 30_000)

    async def send() -> None:
        for number in range(100):
            await stream.send(number, batches(payload))
        await stream.call.done_writing()

    sending = asyncio.ensure_future(send())
    await soon(lambda: server.partition().log_end_offset == 3)
    # Another client's call goes through while this one's requests wait on the wire.
    await server.admin.DescribeTopic(_describe("t"))
    for _ in range(20):
        await server.admin.DescribeTopic(_describe("t"))
    assert server.partition().log_end_offset == 3
    server.disk.held.set()
    while await stream.read():
        pass
    await sending
    assert len(stream.answers) == 100 and len(await server.read_all()) == 100


def _describe(name: str):  # type: ignore[no-untyped-def]
    from logserverpb.v1 import admin_pb2

    return admin_pb2.DescribeTopicRequest(name=name)


@pytest.mark.parametrize("server", [{"grpc.stream.max.inflight.bytes": "65536"}], indirect=True)
async def test_a_client_that_takes_no_answers_is_read_no_further(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Its answers would pile up: a request of no partition takes two bytes, its answer hundreds in memory."""
    from logserver.grpc_api.produce import ProduceStream as Servicer

    taken = 0
    real = Servicer._take

    def count(self: Servicer, request: ProduceRequest, outcomes: Outcomes) -> None:
        nonlocal taken
        taken += 1
        real(self, request, outcomes)

    Servicer._take = count  # type: ignore[method-assign]
    try:
        channel = server.new_channel(**{"grpc.http2.lookahead_bytes": 65536, "grpc.http2.bdp_probe": 0})
        stream = ProduceStream(server, channel)

        async def send() -> None:
            for number in range(50_000):
                await stream.send(number)

        sending = asyncio.ensure_future(send())
        seen = -1
        while seen != taken or taken == 0:
            seen = taken
            # Enough turns for whatever is going on to go on.
            for _ in range(50):
                await server.admin.DescribeCluster(_cluster())
        assert taken < 20_000, "the server reads on although nobody takes its answers"
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        stream.call.cancel()
        await soon(lambda: not server.daemon._door._calls._tasks)  # type: ignore[union-attr]
        assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]
    finally:
        Servicer._take = real  # type: ignore[method-assign]


def _cluster():  # type: ignore[no-untyped-def]
    from logserverpb.v1 import admin_pb2

    return admin_pb2.DescribeClusterRequest()


async def test_a_client_that_cancels_leaves_no_trace_but_its_records(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    await server.topic()
    server.disk.held.clear()
    stream = ProduceStream(server)
    for number in range(10):
        await stream.send(number, batches(batch(str(number))))
    await soon(lambda: server.partition().log_end_offset == 10)
    stream.call.cancel()
    await soon(lambda: not server.daemon._door._calls._tasks)  # type: ignore[union-attr]
    server.disk.held.set()
    await soon(lambda: server.partition().high_watermark == 10)
    assert await server.read_all() == [b"%d" % number for number in range(10)]
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]


async def test_a_connection_that_breaks_harms_no_other(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    await server.topic()
    other = ProduceStream(server)
    await other.send(1, batches(batch("a")))
    channel = server.new_channel()
    broken = ProduceStream(server, channel)
    await broken.send(1, batches(batch("b")))
    await broken.answer(1)
    await channel.close()
    await other.send(2, batches(batch("c")))
    assert (await other.answer(2))[0].base_offset == 2
    await other.end()
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]


async def test_deleting_the_topic_answers_what_is_waiting(server: Server) -> None:
    await server.topic()
    server.disk.held.clear()
    stream = ProduceStream(server)
    await stream.send(1, batches(batch("a")))
    await soon(lambda: server.partition().log_end_offset == 1)
    server.partition().resign("a test")
    check_error((await stream.answer(1))[0].error, ErrorCode.not_leader_or_follower, "a test")
    server.disk.held.set()
    await stream.end()
