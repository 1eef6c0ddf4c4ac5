"""Reads of old data that hang keep nobody waiting who does not need them.

The disk of a real server lets go of them when the test says so.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from logserver_records import build_batch
from logserverpb.v1 import groups_pb2, groups_pb2_grpc, log_pb2

from tests.broker.harness import batch, values_of
from tests.grpc_api.servers import LONG_MS, ProduceStream, Server, Subscriber, at, batches, soon

THREADS = 2
READERS = 20
OLD = 60


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """A server with old data in `cold`, all reads of which hang, and with few threads for them."""
    named = {"num.read.threads.per.data.dir": str(THREADS), "log.segment.bytes": "2000"}
    server = await Server(tmp_path, {"log.dirs": f"{tmp_path}/a,{tmp_path}/b", **named}).start()
    await server.topic("cold", 2)
    await server.topic("hot", 2)
    for number in range(2):
        await server.store(*[batch(b"%d" % old + b"." * 100) for old in range(OLD)], topic="cold", partition=number)
    server.disk.hold_reads("*/cold-*")
    yield server
    server.disk.reads_held.set()
    await server.stop()


async def test_hot_work_goes_on_while_cold_reads_hang(server: Server) -> None:
    readers = [asyncio.ensure_future(_all(server, number % 2)) for number in range(READERS)]
    late, subscriber = Subscriber(server), Subscriber(server)
    for one, topic in ((late, "cold"), (subscriber, "hot")):
        await one.credit(1 << 20)
        await one.assign((topic, 0, at(offset=0)))
    searches = [asyncio.ensure_future(server.offset(at(timestamp=number), topic="cold")) for number in range(4)]
    await subscriber.entry("hot")
    # As many as may hang at a time do; the others wait behind them.
    await soon(lambda: server.disk.hanging_reads >= THREADS)

    # Producing, reading and waiting for data, on both disks.
    stream = ProduceStream(server)
    poll = server.log.Fetch(
        log_pb2.FetchRequest(
            partitions=[log_pb2.FetchPartition(topic="hot", partition=1, offset=0)], max_wait_ms=LONG_MS, min_bytes=1
        )
    )
    for number in range(50):
        await stream.send(number, batches(batch(b"%d" % number), "hot"), batches(batch(b"%d" % number), "hot", 1))
        assert not any(result.HasField("error") for result in await stream.answer(number))
    assert await server.read_all("hot") == [b"%d" % number for number in range(50)]
    assert len((await poll).partitions[0].batches)
    assert await subscriber.values(50, "hot") == [b"%d" % number for number in range(50)]
    # What takes long is prepared on a thread, and those are not the ones that hang.
    big = build_batch([(1, b"%d" % number, b"x" * 500, ()) for number in range(2000)])
    await server.topic("keyed", cleanup_policy="compact", segment_bytes=str(4 << 20), max_message_bytes=str(4 << 20))
    await server.store(big, topic="keyed")
    # Looking up times, changing metadata, committing, checkpoints, compaction.
    assert (await server.offset(at(timestamp=0), topic="hot")).offset == 0
    groups = groups_pb2_grpc.GroupsStub(server.channel)  # type: ignore[no-untyped-call]
    offset = groups_pb2.OffsetCommit(topic="hot", partition=0, offset=1)
    await groups.CommitOffsets(groups_pb2.CommitOffsetsRequest(group_id="g", offsets=[offset]))
    for directory in server.daemon.directories.online:
        directory.tick()
        await directory.checkpoint()
        await directory.remove_doomed()
        await directory.compact()
    assert not any(reader.done() for reader in [*readers, *searches])
    assert server.disk.hanging_reads <= 2 * THREADS

    server.disk.reads_held.set()
    for found in await asyncio.gather(*readers):
        assert [value.rstrip(b".") for value in found] == [b"%d" % number for number in range(OLD)]
    assert [search.offset for search in await asyncio.gather(*searches)] == [0] * 4
    assert len(await late.values(OLD, "cold")) == OLD


async def _all(server: Server, partition: int) -> list[bytes]:
    return await server.read_all("cold", partition)


async def test_appending_goes_on_in_a_log_whose_old_data_hang(server: Server) -> None:
    reading = asyncio.ensure_future(_all(server, 0))
    await soon(lambda: server.disk.hanging_reads >= 1)
    await server.store(*[batch(b"new" + b"." * 100)] * 30, topic="cold")
    assert not reading.done()
    server.disk.reads_held.set()
    assert len(await reading) >= OLD


async def test_a_topic_can_be_deleted_while_its_old_data_hang(server: Server) -> None:
    reading = asyncio.ensure_future(_all(server, 0))
    await soon(lambda: server.disk.hanging_reads >= 1)
    await server.broker.delete_topic("cold")
    await server.topic("cold")
    server.disk.cold_paths = ""
    await server.store(batch(b"new"), topic="cold")
    assert await server.read_all("cold") == [b"new"]
    server.disk.reads_held.set()
    with pytest.raises(AssertionError, match=r"NOT_LEADER_OR_FOLLOWER|UNKNOWN_TOPIC|OFFSET_OUT_OF_RANGE"):
        await reading


async def test_a_position_asked_for_while_a_cold_read_hangs_is_answered_before_its_data(server: Server) -> None:
    await server.store(batch(b"here"), topic="hot")
    subscriber = Subscriber(server)
    await subscriber.credit(1 << 20)
    await subscriber.assign(("cold", 0, at(offset=0)))
    await soon(lambda: server.disk.hanging_reads >= 1)
    known = server.waiters()
    await subscriber.assign(("hot", 0, at(offset=0)))
    await soon(lambda: server.waiters() > known)
    # By now it is known what the position stands for.
    await server.read_all("hot")
    server.disk.reads_held.set()
    answer, data = await subscriber.entry("hot"), await subscriber.entry("hot")
    assert (len(answer.batches), answer.next_offset) == (0, 0)
    assert (values_of(data.batches), data.next_offset) == ([b"here"], 1)


async def test_a_server_stops_while_cold_reads_hang(tmp_path: Path) -> None:
    server = await Server(tmp_path / "data", {"log.segment.bytes": "2000", "shutdown.grace.ms": "200"}).start()
    await server.topic("cold")
    await server.store(*[batch(b"%d" % old + b"." * 100) for old in range(OLD)], topic="cold")
    server.disk.hold_reads("*/cold-*")
    reading = asyncio.ensure_future(_all(server, 0))
    await soon(lambda: server.disk.hanging_reads >= 1)
    await server.daemon.stop()
    # Threads are left, and all that was acknowledged is there, as a clean stop leaves it.
    assert server.daemon.is_stuck
    reading.cancel()
    server.disk.reads_held.set()
    server.disk.cold_paths = ""
    await server.start()
    assert len(await server.read_all("cold")) == OLD
    await server.stop()
