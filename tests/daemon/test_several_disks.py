"""A server with several data directories, of which some fail: real files, with errors put in the way of one of them."""

import errno
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from logserverpb.v1 import admin_pb2, log_pb2

from logserver.daemon import Daemon, StartError
from logserver.errors import ErrorCode
from logserver.settings import load_settings
from tests.broker.harness import batch
from tests.daemon.test_start import crash, epoch_of
from tests.grpc_api.servers import Server, batches, check_error, refused, soon

PARTITIONS = 4


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """A server on the directories `a` and `b`; `t` has partitions 0 and 2 in `b`, 1 and 3 in `a`, a record in each."""
    server = Server(tmp_path, {"log.dirs": f"{tmp_path}/a,{tmp_path}/b"})
    await server.start()
    await server.topic("t", PARTITIONS)
    for number in range(PARTITIONS):
        await server.store(batch(f"{number}"), partition=number)
    yield server
    server.disk.heal()
    await server.stop()


def places(server: Server, topic: str = "t") -> list[str]:
    """In which directory each partition is."""
    found = [
        server.broker.log_directory_of(topic, partition.number) for partition in server.broker.topic(topic).partitions
    ]
    return [path.rpartition("/")[2] if path is not None else "?" for path in found]


async def status(server: Server) -> admin_pb2.GetStatusResponse:
    return await server.admin.GetStatus(admin_pb2.GetStatusRequest())


async def check_all(server: Server) -> None:
    for number in range(PARTITIONS):
        assert await server.read_all(partition=number) == [b"%d" % number]


async def check_offline(server: Server, number: int, *words: str) -> None:
    request = log_pb2.ProduceRequest(partitions=[batches(batch("x"), partition=number)])
    (result,) = (await server.log.Produce(request)).results
    check_error(result.error, ErrorCode.kafka_storage_error, *words)
    check_error((await server.fetch(partition=number)).error, ErrorCode.kafka_storage_error, *words)


async def test_partitions_spread_over_the_directories_and_are_found_again(server: Server) -> None:
    assert places(server) == ["b", "a", "b", "a"]
    assert [directory.path for directory in (await status(server)).log_directories] == [
        f"{server.path}/a",
        f"{server.path}/b",
    ]
    assert all(directory.size_bytes > 0 for directory in (await status(server)).log_directories)
    epoch = await epoch_of(server)
    await server.stop()
    await server.start()
    await check_all(server)
    assert await epoch_of(server) == epoch
    await crash(server)
    await server.start()
    await check_all(server)
    assert await epoch_of(server) == epoch + 1
    assert places(server) == ["b", "a", "b", "a"]


async def test_each_directory_has_its_own_flusher(server: Server) -> None:
    server.disk.synced.clear()
    for number in (0, 1):
        await server.store(batch("x"), partition=number)
    assert {path.split("/")[-3] for path in server.disk.synced} == {"a", "b"}
    # One that does not answer keeps nobody waiting who has nothing in it.
    server.disk.hold(f"{server.path}/b*")
    waiting = server.log.Produce(log_pb2.ProduceRequest(partitions=[batches(batch("late"), partition=0)]))
    await soon(lambda: server.partition(number=0).log_end_offset == 3)
    await server.store(batch("at once"), partition=1)
    await server.topic("new")
    assert not waiting.done()
    server.disk.held.set()
    assert not (await waiting).results[0].HasField("error")


async def test_a_directory_that_fails_at_the_start_takes_only_its_partitions_offline(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    await server.stop()
    server.disk.fail("list", f"{server.path}/b*")
    server.disk.fail("open", f"{server.path}/b*")
    server.disk.fail("read_file", f"{server.path}/b*")
    await server.start()
    assert any("data directory offline" in record.getMessage() for record in caplog.records)
    for number in (1, 3):
        assert await server.read_all(partition=number) == [b"%d" % number]
        await server.store(batch("more"), partition=number)
    for number in (0, 2):
        await check_offline(server, number, "Input/output error", f"{server.path}/b")
    found = await status(server)
    assert found.offline_partitions == 2
    assert [directory.HasField("error") for directory in found.log_directories] == [False, True]
    check_error(found.log_directories[1].error, ErrorCode.kafka_storage_error, "Input/output error")
    # New partitions go where they can; what belongs to the server itself does, too.
    await server.topic("new", 2)
    assert places(server, "new") == ["a", "a"]
    await server.stop()
    server.disk.heal()
    await server.start()
    for number in (0, 2):
        assert await server.read_all(partition=number) == [b"%d" % number]
    assert (await status(server)).offline_partitions == 0
    assert places(server, "new") == ["a", "a"]


async def test_a_directory_that_fails_while_the_server_runs_takes_only_its_partitions_offline(server: Server) -> None:
    server.disk.fail("sync", f"{server.path}/b/*")
    server.disk.fail("sync_filesystem", f"{server.path}/b")
    await check_offline(server, 0, "t-0 is offline", "failed to flush")
    for number in (1, 3):
        await server.store(batch("more"), partition=number)
    # It has not been written to, and can still be read.
    assert await server.read_all(partition=2) == [b"2"]
    await server.topic("new", 2)
    assert places(server, "new") == ["a", "a"]
    await server.store(batch("new"), topic="new")
    await check_offline(server, 2, "t-2 is offline")
    epoch = await epoch_of(server)
    await server.stop()
    # What is well was closed cleanly.
    assert [(server.path / name / ".kafka_cleanshutdown").exists() for name in "ab"] == [True, False]
    server.disk.heal()
    server.disk.read_from.clear()
    await server.start()
    assert await epoch_of(server) == epoch + 1
    assert not [path for path in server.disk.read_from if "/a/t-" in path and path.endswith(".log")]
    for number in (0, 2):
        assert await server.read_all(partition=number) == [b"%d" % number]


async def test_a_directory_that_hangs_does_not_keep_the_others_from_a_clean_stop(tmp_path: Path) -> None:
    named = {"log.dirs": f"{tmp_path}/a,{tmp_path}/b", "shutdown.flush.ms": "1000"}
    server = await Server(tmp_path, named).start()
    await server.topic("t", 2)
    for number in range(2):
        await server.store(batch(f"{number}"), partition=number)
    server.disk.hold(f"{server.path}/b*")
    waiting = server.log.Produce(log_pb2.ProduceRequest(partitions=[batches(batch("late"), partition=0)]))
    await soon(lambda: server.partition().log_end_offset == 2)
    for channel in server._channels:
        await channel.close()
    server._channels.clear()
    await server.daemon.stop()
    waiting.cancel()
    assert server.daemon.is_stuck
    assert [(server.path / name / ".kafka_cleanshutdown").exists() for name in "ab"] == [True, False]
    server.disk.held.set()
    await server.start()
    assert (await server.read_all(partition=0))[:1] == [b"0"] and await server.read_all(partition=1) == [b"1"]
    await server.stop()


async def test_a_disk_that_is_not_mounted_does_not_turn_partitions_into_empty_ones(server: Server) -> None:
    await server.stop()
    (server.path / "b").rename(server.path / "away")
    await server.start()
    for number in (0, 2):
        await check_offline(server, number, "directory.id=", "log.dirs.lost")
    await server.store(batch("more"), partition=1)
    await server.stop()
    # Mounted again.
    (server.path / "b").rename(server.path / "in-between")
    (server.path / "away").rename(server.path / "b")
    await server.start()
    assert [await server.read_all(partition=number) for number in range(4)] == [[b"0"], [b"1", b"more"], [b"2"], [b"3"]]
    await server.stop()
    # Lost for good.
    properties = (server.path / "b" / "meta.properties").read_text()
    (lost,) = [line.partition("=")[2] for line in properties.splitlines() if line.startswith("directory.id=")]
    (server.path / "b").rename(server.path / "broken")
    server.settings["log.dirs.lost"] = lost
    await server.start()
    await server.store(batch("anew"))
    assert [await server.read_all(partition=number) for number in range(4)] == [[b"anew"], [b"1", b"more"], [], [b"3"]]
    await server.stop()
    del server.settings["log.dirs.lost"]
    await server.start()
    assert await server.read_all() == [b"anew"]


async def test_one_bad_log_does_not_stop_the_start(server: Server) -> None:
    await server.stop()
    for name in ("00000000000000000000.log", "partition.metadata"):
        (server.path / "b" / "t-2" / name).unlink()
        (server.path / "b" / "t-2" / name).mkdir()
    server.disk.fail("open", f"{server.path}/a/t-1/*", errno.EIO)
    (server.path / "a" / ".kafka_cleanshutdown").unlink()
    await server.start()
    assert await server.read_all(partition=0) == [b"0"] and await server.read_all(partition=3) == [b"3"]
    check_error((await server.fetch(partition=1)).error, ErrorCode.kafka_storage_error, "Input/output error")
    check_error((await server.fetch(partition=2)).error, ErrorCode.kafka_storage_error, "t-2")
    assert (await status(server)).offline_partitions == 2


async def test_a_start_without_the_log_of_metadata_is_refused_with_a_sentence(server: Server) -> None:
    await server.stop()
    (server.path / "a").rename(server.path / "away")
    named = load_settings(command_line=server.settings.items())
    with pytest.raises(StartError, match="Is a disk not mounted"):
        await Daemon(named).start()
    (server.path / "away").rename(server.path / "a")
    await server.start()
    await check_all(server)


async def test_metadata_in_a_directory_that_fails_refuses_changes_and_records_go_on(server: Server) -> None:
    server.disk.fail("sync", f"{server.path}/a/*")
    server.disk.fail("sync_filesystem", f"{server.path}/a")
    with refused(ErrorCode.kafka_storage_error, grpc.StatusCode.UNAVAILABLE, "metadata log is offline"):
        await server.topic("new")
    await server.store(batch("more"), partition=0)
    assert await server.read_all(partition=0) == [b"0", b"more"]
