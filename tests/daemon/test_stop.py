"""Stopping: in time whatever clients and disks do, answering what can be answered, and clean for the next start."""

import asyncio
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from logserverpb.v1 import log_pb2

from tests.broker.harness import batch
from tests.grpc_api.servers import (
    LONG_MS,
    ProduceStream,
    Server,
    Subscriber,
    at,
    batches,
    error_info,
    soon,
)

PROMISED_S = 10


async def stopped_in_time(server: Server) -> None:
    """Stops the daemon and leaves the clients as they are."""
    start = time.monotonic()
    await server.daemon.stop()
    assert time.monotonic() - start < PROMISED_S


async def ended_with(call: grpc.aio.Call) -> tuple[grpc.StatusCode, str | None]:
    """Reads a call to its end; returns its status and the error in its details."""
    try:
        while await call.read() is not grpc.aio.EOF:
            pass
    except grpc.aio.AioRpcError as error:
        found = [key for key, _ in error.trailing_metadata() or () if key == "grpc-status-details-bin"]
        return error.code(), error_info(error).reason if found else None
    return await call.code(), None


async def test_streams_and_long_polls_end_with_a_retriable_error_at_once(server: Server) -> None:
    await server.topic()
    await server.store(batch("a"))
    stream = ProduceStream(server)
    await stream.send(1, batches(batch("b")))
    await stream.answer(1)
    subscriber = Subscriber(server)
    await subscriber.credit(1)
    await subscriber.assign(("t", 0, at(earliest=True)))
    await subscriber.entry()
    target = log_pb2.FetchPartition(topic="t", offset=2)
    poll = server.log.Fetch(log_pb2.FetchRequest(partitions=[target], max_wait_ms=LONG_MS))
    await soon(lambda: server.waiters() == 2)
    start = time.monotonic()
    await server.daemon.stop()
    # No grace was needed: nobody had anything to wait for.
    assert time.monotonic() - start < 2
    for call in (stream.call, subscriber.call):
        assert await ended_with(call) == (grpc.StatusCode.UNAVAILABLE, "NOT_LEADER_OR_FOLLOWER")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await poll
    assert error_info(caught.value).reason == "NOT_LEADER_OR_FOLLOWER"
    assert error_info(caught.value).metadata["retriable"] == "true"
    await server.start()
    assert await server.read_all() == [b"a", b"b"]


async def test_what_was_taken_is_answered_before_the_end(server: Server) -> None:
    await server.topic()
    server.disk.held.clear()
    stream = ProduceStream(server)
    for number in range(5):
        await stream.send(number, batches(batch(str(number))))
    unary = server.log.Produce(log_pb2.ProduceRequest(partitions=[batches(batch("unary"))]))
    await soon(lambda: server.partition().log_end_offset == 6)
    stopping = asyncio.ensure_future(server.daemon.stop())
    await soon(lambda: server.daemon._door._calls.closing)  # type: ignore[union-attr]
    server.disk.held.set()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        while await stream.read():
            pass
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert {number: results[0].base_offset >= 0 for number, results in stream.answers.items()} == dict.fromkeys(
        range(5), True
    )
    assert (await unary).results[0].base_offset >= 0
    await stopping
    await server.start()
    assert len(await server.read_all()) == 6


async def test_new_calls_are_refused_while_the_server_stops(server: Server) -> None:
    await server.topic()
    server.disk.held.clear()
    waiting = server.log.Produce(log_pb2.ProduceRequest(partitions=[batches(batch("a"))]))
    await soon(lambda: server.partition().log_end_offset == 1)
    stopping = asyncio.ensure_future(server.daemon.stop())
    await soon(lambda: server.daemon._door._calls.closing)  # type: ignore[union-attr]
    for call in (server.log.Subscribe(), server.log.ProduceStream()):
        status, _ = await ended_with(call)
        assert status in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
    server.disk.held.set()
    assert not (await waiting).results[0].HasField("error")
    await stopping


@pytest.mark.parametrize("server", [{"shutdown.grace.ms": "400"}], indirect=True)
async def test_clients_that_hold_on_do_not_keep_the_server(server: Server) -> None:
    await server.topic()
    await server.store(*[batch(b"x" * 900_000)] * 20)
    held = []
    for _ in range(3):
        # One that never reads, one that never sends, one that watches health, one that sends all the time.
        channel = server.new_channel()
        subscriber = Subscriber(server, channel)
        await subscriber.credit(1 << 40)
        await subscriber.assign(("t", 0, at(earliest=True)))
        held += [subscriber, ProduceStream(server, channel)]
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        await watch.read()
        held.append(watch)
        busy = ProduceStream(server, channel)

        async def produce(busy: ProduceStream = busy) -> None:
            number = 0
            while True:
                await busy.send(number, batches(batch(b"y" * 10_000)))
                number += 1

        held.append(asyncio.ensure_future(produce()))
    await soon(lambda: server.waiters() == 3 and server.partition().log_end_offset > 50)
    await stopped_in_time(server)
    for task in held:
        if isinstance(task, asyncio.Future):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    server.disk.read_from.clear()
    await server.start()
    # A clean stop: nothing had to be read again.
    assert not [path for path in server.disk.read_from if "/t-0/" in path]


@pytest.mark.parametrize("server", [{"shutdown.grace.ms": "0"}], indirect=True)
async def test_no_grace_for_calls_is_still_a_clean_stop(server: Server) -> None:
    await server.topic()
    await server.store(batch("a"))
    subscriber = Subscriber(server)
    await subscriber.assign(("t", 0, at(earliest=True)))
    await subscriber.entry()
    await stopped_in_time(server)
    server.disk.read_from.clear()
    await server.start()
    assert not [path for path in server.disk.read_from if "/t-0/" in path]
    assert await server.read_all() == [b"a"]


@pytest.mark.parametrize("server", [{"shutdown.flush.ms": "1000"}], indirect=True)
async def test_a_disk_that_hangs_does_not_keep_the_server_and_the_next_start_checks(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    await server.topic()
    await server.store(batch("a"))
    server.disk.held.clear()
    waiting = server.log.Produce(log_pb2.ProduceRequest(partitions=[batches(batch("b"))]))
    await soon(lambda: server.partition().log_end_offset == 2)
    await stopped_in_time(server)
    assert any("no clean stop" in record.getMessage() for record in caplog.records)
    with pytest.raises(grpc.aio.AioRpcError):
        await waiting
    server.disk.held.set()
    server.disk.read_from.clear()
    await server.start()
    assert [path for path in server.disk.read_from if "/t-0/" in path]
    assert (await server.read_all())[:1] == [b"a"]


@pytest.mark.parametrize("server", [{"shutdown.grace.ms": "400"}], indirect=True)
async def test_a_directory_that_takes_long_to_remove_does_not_keep_the_server(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    from logserverpb.v1 import admin_pb2

    go_on = threading.Event()
    real = server.disk.remove_tree
    monkeypatch.setattr(type(server.disk), "remove_tree", lambda self, path: (go_on.wait(), real(path)))
    await server.topic()
    await server.admin.DeleteTopic(admin_pb2.DeleteTopicRequest(name="t"))
    try:
        await stopped_in_time(server)
    finally:
        go_on.set()
    monkeypatch.undo()
    await server.start()
    assert not list(server.path.glob("t-0*"))


async def test_a_failed_flush_at_the_end_makes_the_next_start_check(server: Server) -> None:
    await server.topic()
    await server.store(batch("a"))
    server.disk.fail("sync_filesystem", times=1)
    await stopped_in_time(server)
    server.disk.read_from.clear()
    await server.start()
    assert [path for path in server.disk.read_from if "/t-0/" in path]
    assert await server.read_all() == [b"a"]
