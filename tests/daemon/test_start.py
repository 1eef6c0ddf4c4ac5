"""Starting: what a start leaves as it was, what it writes, and what it does not read."""

import logging
from pathlib import Path

import pytest
from logserverpb.v1 import admin_pb2, log_pb2

from logserver.daemon import Daemon
from logserver.daemon.daemon import _leader_epoch
from logserver.errors import ErrorCode
from logserver.settings import load_settings
from tests.broker.harness import batch, tree
from tests.grpc_api.servers import Server, batches, check_error


async def crash(server: Server) -> None:
    """Ends a server as SIGKILL does: nothing more is written."""
    daemon = server.daemon
    disks = daemon._disks
    assert disks is not None and daemon._housekeeping is not None and daemon._server is not None
    await daemon._housekeeping.stop()
    for channel in server._channels:
        await channel.close()
    server._channels.clear()
    await daemon._server.stop(0)
    disks.abandon()
    daemon._disks = None


async def epoch_of(server: Server, topic: str = "t") -> int:
    described = await server.admin.DescribeTopic(admin_pb2.DescribeTopicRequest(name=topic))
    epochs = {partition.leader_epoch for partition in described.topic.partitions}
    assert len(epochs) == 1
    return epochs.pop()


async def test_the_leader_epoch_rises_at_every_unclean_start_and_only_there(server: Server) -> None:
    await server.topic("t", 3)
    await server.store(batch("a"))
    first = await epoch_of(server)
    for unclean in (False, True, False, True, True, False):
        before = await epoch_of(server)
        await (crash(server) if unclean else server.stop())
        await server.start()
        assert await epoch_of(server) == before + unclean
        await server.store(batch("b"))
    assert first == 0
    # Batches carry the epoch under which they were appended.
    data = await server.fetch()
    epochs, position = [], 0
    while position < len(data.batches):
        epochs.append(int.from_bytes(data.batches[position + 12 : position + 16], "big"))
        position += 12 + int.from_bytes(data.batches[position + 8 : position + 12], "big")
    assert epochs == [0, 0, 1, 1, 2, 3, 3]


@pytest.mark.parametrize("unclean", [False, True])
async def test_a_start_is_one_metadata_write_at_most(server: Server, unclean: bool) -> None:
    await server.topic("t", 20)
    revision = server.broker._store.revision
    await (crash(server) if unclean else server.stop())
    await server.start()
    assert server.broker._store.revision == revision + unclean


async def test_racing_starts_of_one_store_never_share_an_epoch(server: Server) -> None:
    import asyncio

    store = server.broker._store
    epochs = await asyncio.gather(*(_leader_epoch(store, 1, raise_it=True) for _ in range(10)))
    assert len(set(epochs)) == 10
    assert await _leader_epoch(store, 1, raise_it=False) == max(epochs)


async def test_a_clean_restart_reads_no_records(server: Server) -> None:
    await server.topic("t", 4, segment_bytes="1024")
    for partition in range(4):
        await server.store(*[batch(b"x" * 500)] * 5, partition=partition)
    await server.stop()
    server.disk.read_from.clear()
    await server.start()
    read = [path for path in server.disk.read_from if "__logserver_metadata" not in path]
    assert read == []
    for partition in range(4):
        assert len(await server.read_all(partition=partition)) == 5
        await server.store(batch("more"), partition=partition)
        assert len(await server.read_all(partition=partition)) == 6


async def test_an_unclean_restart_reads_from_the_recovery_point_only(server: Server) -> None:
    await server.topic("t", 2)
    await server.store(*[batch(b"x" * 5000)] * 5, partition=0)
    await server.stop()
    await server.start()
    await server.store(batch("y"), partition=1)
    await crash(server)
    server.disk.read_from.clear()
    await server.start()
    sizes = {number: len(await server.read_all(partition=number)) for number in (0, 1)}
    assert sizes == {0: 5, 1: 1}


async def test_a_restart_forgets_nothing(server: Server) -> None:
    created = await server.topic("t", 3, retention_ms="86400000", max_message_bytes="5000")
    await server.topic("deleted")
    await server.store(batch("a", "b"), batch("c"), partition=1)
    await server.admin.DeleteRecords(admin_pb2.DeleteRecordsRequest(topic="t", partition=1, before_offset=1))
    await server.admin.DeleteTopic(admin_pb2.DeleteTopicRequest(name="deleted"))
    cluster = await server.admin.DescribeCluster(admin_pb2.DescribeClusterRequest())
    given = await server.log.InitProducerId(log_pb2.InitProducerIdRequest())
    described = await server.admin.DescribeTopic(admin_pb2.DescribeTopicRequest(name="t"))
    for end in (server.stop, lambda: crash(server)):
        await end()
        await server.start()
        again = await server.admin.DescribeTopic(admin_pb2.DescribeTopicRequest(name="t"))
        for partition in (*again.topic.partitions, *described.topic.partitions):
            partition.leader_epoch = 0
        assert again == described and again.topic.topic_id == created.topic_id
        assert again.topic.partitions[1].log_start_offset == 1
        assert (await server.admin.DescribeCluster(admin_pb2.DescribeClusterRequest())).cluster_id == cluster.cluster_id
        assert (await server.log.InitProducerId(log_pb2.InitProducerIdRequest())).producer_id > given.producer_id
        assert len((await server.admin.ListTopics(admin_pb2.ListTopicsRequest())).topics) == 1


async def test_an_idempotent_retry_over_a_restart_is_stored_once(server: Server) -> None:
    await server.topic()
    payload = batch("a", "b", producer_id=0, producer_epoch=0, base_sequence=0)
    await server.store(payload)
    for end in (server.stop, lambda: crash(server)):
        await end()
        await server.start()
        response = await server.log.Produce(log_pb2.ProduceRequest(partitions=[batches(payload)]))
        (result,) = response.results
        assert result.duplicate and (result.base_offset, result.last_offset) == (0, 1)
        assert await server.read_all() == [b"a", b"b"]
    gap = batch("x", producer_id=0, producer_epoch=0, base_sequence=9)
    (result,) = (await server.log.Produce(log_pb2.ProduceRequest(partitions=[batches(gap)]))).results
    check_error(result.error, ErrorCode.out_of_order_sequence_number, "sent sequence 9 where 2 is next")


async def test_what_a_crash_leaves_unflushed_is_flushed_before_anybody_reads_it(server: Server) -> None:
    await server.topic(flush_messages="1000000")
    await server.store(batch("a"))
    await crash(server)
    server.disk.synced.clear()
    await server.start()
    assert str(server.path) in server.disk.synced
    assert await server.read_all() == [b"a"]


async def test_a_log_that_no_topic_knows_is_set_aside_and_not_removed(server: Server) -> None:
    await server.topic()
    await server.topic("kept")
    await server.store(batch("a"))
    await server.store(batch("x"), topic="kept")
    server.disk.fail("rename", "*/t-0")
    await server.admin.DeleteTopic(admin_pb2.DeleteTopicRequest(name="t"))
    content = tree(server.path / "t-0")
    await crash(server)
    server.disk.heal()
    await server.start()
    (stray,) = server.path.glob("*-stray")
    assert stray.name.startswith("t-0.") and not (server.path / "t-0").exists()
    assert tree(stray)["00000000000000000000.log"] == content["00000000000000000000.log"]
    assert await server.read_all("kept") == [b"x"]
    await server.topic()
    assert await server.read_all() == []
    await server.stop()
    await server.start()
    assert list(server.path.glob("*-stray")) == [stray]


async def test_topics_whose_metadata_is_lost_do_not_lose_their_records(server: Server) -> None:
    await server.topic()
    await server.store(batch("a"))
    await crash(server)
    # A flipped bit where recovery looks: it cuts the metadata log there, and with it the topic.
    log = next((server.path / "__logserver_metadata-0").glob("*.log"))
    whole = log.read_bytes()
    log.write_bytes(whole[:70] + bytes((whole[70] ^ 1,)) + whole[71:])
    await server.start()
    assert not (await server.admin.ListTopics(admin_pb2.ListTopicsRequest())).topics
    (stray,) = server.path.glob("t-0.*-stray")
    assert (stray / "00000000000000000000.log").read_bytes()[12:] != b""
    assert b"a" in (stray / "00000000000000000000.log").read_bytes()


async def test_files_that_are_no_logs_stay_in_the_directory(server: Server) -> None:
    await server.topic()
    await server.stop()
    (server.path / "notes.txt").write_text("mine")
    (server.path / "backup-1").mkdir()
    (server.path / "backup-1" / "file").write_text("mine too")
    before = tree(server.path)
    await server.start()
    await server.stop()
    after = tree(server.path)
    for name in ("notes.txt", "backup-1/file"):
        assert after[name] == before[name]
    await server.start()


async def test_settings_are_applied(tmp_path: Path) -> None:
    settings = {"num.partitions": "3", "message.max.bytes": "500", "log.segment.bytes": "2048", "node.id": "4"}
    server = await Server(tmp_path / "data", settings).start()
    topic = await server.topic(partitions=0)
    assert len(topic.partitions) == 3 and topic.partitions[0].leader == 4
    await server.store(*[batch(b"x" * 400)] * 20)
    assert len(list((server.path / "t-0").glob("*.log"))) > 3
    (result,) = (await server.log.Produce(log_pb2.ProduceRequest(partitions=[batches(batch(b"x" * 500))]))).results
    check_error(result.error, ErrorCode.message_too_large, "max.message.bytes=500")
    await server.stop()


@pytest.mark.parametrize(
    ("listeners", "warned"),
    [
        ("127.0.0.1:0", []),
        ("localhost:0", []),
        ("[::1]:0", []),
        ("0.0.0.0:0", ["0.0.0.0:0"]),
        ("127.0.0.1:0,0.0.0.0:0", ["0.0.0.0:0"]),
    ],
)
async def test_a_listener_beyond_loopback_is_warned_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, listeners: str, warned: list[str]
) -> None:
    named = {"log.dirs": str(tmp_path / "data"), "grpc.listeners": listeners, "listeners": "off"}
    daemon = Daemon(load_settings(command_line=named.items()))
    await daemon.start()
    await daemon.stop()
    found = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(found) == len(warned)
    for message, listener in zip(found, warned, strict=True):
        assert "no authentication" in message and listener in message
    assert len(daemon.grpc_addresses) == listeners.count(":0") and all(found.port for found in daemon.grpc_addresses)


async def test_two_servers_in_one_process(tmp_path: Path) -> None:
    servers = [await Server(tmp_path / name).start() for name in "ab"]
    assert servers[0].address != servers[1].address
    for number, server in enumerate(servers):
        await server.topic()
        await server.store(batch(str(number)))
    await servers[0].stop()
    assert await servers[1].read_all() == [b"1"]
    await servers[0].start()
    assert await servers[0].read_all() == [b"0"]
    for server in servers:
        await server.stop()


async def test_a_daemon_stops_twice_and_without_a_start(tmp_path: Path) -> None:
    server = await Server(tmp_path / "data").start()
    await server.stop()
    await server.daemon.stop()
    await Daemon(load_settings(command_line={"log.dirs": str(tmp_path / "other")}.items())).stop()
    assert not (tmp_path / "other").exists()
