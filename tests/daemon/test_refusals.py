"""What stands in the way of a start: one clear sentence, and nothing is changed or left open."""

import errno
import os
import socket
from pathlib import Path

import grpc
import pytest

from logserver.daemon import Daemon, StartError
from logserver.settings import load_settings
from tests.broker.faulty_disk import FaultyDisk
from tests.broker.harness import batch, tree
from tests.daemon.test_start import crash
from tests.grpc_api.servers import Server


def daemon_on(path: Path, disk: FaultyDisk | None = None, **settings: str) -> Daemon:
    named = {"log.dirs": str(path), "grpc.listeners": "127.0.0.1:0", "listeners": "off"}
    named |= {name.replace("_", "."): value for name, value in settings.items()}
    return Daemon(load_settings(command_line=named.items()), disk=disk)


async def refused(daemon: Daemon, *words: str) -> None:
    """Expects a start to fail with a sentence."""
    with pytest.raises(StartError) as caught:
        await daemon.start()
    for word in words:
        assert word in str(caught.value), caught.value


async def test_a_second_server_on_a_directory_is_refused_and_the_first_goes_on(server: Server) -> None:
    await server.topic()
    await server.store(batch("a"))
    before = tree(server.path)
    await refused(daemon_on(server.path), str(server.path), "in use by another server", "name another directory")
    assert tree(server.path) == before
    await server.store(batch("b"))
    assert await server.read_all() == [b"a", b"b"]


KAFKA = {
    "meta.properties": b"#\n#Mon Jan 01\ncluster.id=abc\nversion=1\ndirectory.id=xyz\nnode.id=1\n",
    "topic-0/00000000000000000000.log": b"records",
    "recovery-point-offset-checkpoint": b"0\n0\n",
}


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (KAFKA, ("Apache Kafka", "logserver.format", "left as it is")),
        ({"photo.jpg": b"jpeg"}, ("not empty", "meta.properties", "'photo.jpg'")),
        ({"meta.properties": b"logserver.format=2\nnode.id=1\n"}, ("format 2", "knows format 1")),
        ({"meta.properties": b"logserver.format=1\nnode.id=1\n"}, ("meta.properties is damaged", "cluster.id")),
        (
            {"meta.properties": b"logserver.format=1\nnode.id=x\ncluster.id=a\ndirectory.id=b\n"},
            ("meta.properties is damaged",),
        ),
        (
            {"meta.properties": b"logserver.format=1\nnode.id=9\ncluster.id=a\ndirectory.id=b\n"},
            ("node.id=9", "this server has node.id=1"),
        ),
    ],
)
async def test_a_directory_that_is_not_ours_is_left_as_it_is(
    tmp_path: Path, files: dict[str, bytes], words: tuple[str, ...]
) -> None:
    for name, content in files.items():
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    await refused(daemon_on(tmp_path / "data"), str(tmp_path / "data"), *words)
    left = tree(tmp_path / "data")
    left.pop(".lock", None)
    assert left == files


async def test_a_kafka_directory_gets_not_even_a_lock(tmp_path: Path) -> None:
    (tmp_path / "meta.properties").write_bytes(KAFKA["meta.properties"])
    await refused(daemon_on(tmp_path), "Apache Kafka")
    assert os.listdir(tmp_path) == ["meta.properties"]


async def test_a_file_in_place_of_the_directory(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    await refused(daemon_on(tmp_path / "data"), "the data directory can't be used", str(tmp_path / "data"))
    assert (tmp_path / "data").read_text() == "a file"


async def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    disk = FaultyDisk()
    disk.fail("make_directory", error=errno.EACCES)
    path = tmp_path / "data"
    await refused(daemon_on(path, disk), "the data directory can't be used", "Permission denied", str(path))


class Foreign(grpc.GenericRpcHandler):
    """Another gRPC service."""

    def service(self, handler_call_details: object) -> None:
        return None


async def test_a_port_in_use_by_another_grpc_server_that_shares_it(tmp_path: Path) -> None:
    # Sharing is gRPC's default: without more, both would listen and each get half of the connections.
    other = grpc.aio.server(options=[("grpc.so_reuseport", 1)])
    port = other.add_insecure_port("127.0.0.1:0")
    await other.start()
    daemon = daemon_on(tmp_path / "data", grpc_listeners=f"127.0.0.1:{port}")
    await refused(daemon, f"can't listen on 127.0.0.1:{port} for gRPC", "port is in use", "--grpc-listen")
    await other.stop(0)
    again = daemon_on(tmp_path / "data", grpc_listeners=f"127.0.0.1:{port}")
    await again.start()
    await again.stop()


@pytest.mark.parametrize("share", [False, True])
async def test_a_port_in_use_by_any_program(tmp_path: Path, share: bool) -> None:
    with socket.socket() as other:
        if share:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        daemon = daemon_on(tmp_path / "data", grpc_listeners=f"127.0.0.1:0,127.0.0.1:{port}")
        await refused(daemon, f"can't listen on 127.0.0.1:{port} for gRPC", "port is in use")


async def test_two_servers_do_not_share_a_port(server: Server, tmp_path: Path) -> None:
    await refused(daemon_on(tmp_path / "other", grpc_listeners=server.address), f"can't listen on {server.address}")
    await server.topic()


@pytest.mark.parametrize("address", ["192.0.2.1:0", "no-such-host.invalid:0"])
async def test_an_address_that_is_not_this_machines(tmp_path: Path, address: str) -> None:
    await refused(daemon_on(tmp_path / "data", grpc_listeners=address), f"can't listen on {address}")


@pytest.mark.parametrize("unclean", [False, True])
async def test_a_start_that_fails_at_its_last_step_leaves_a_clean_directory(server: Server, unclean: bool) -> None:
    await server.topic()
    await server.store(batch("a"))
    await (crash(server) if unclean else server.stop())
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        for _ in range(2):
            await refused(daemon_on(server.path, grpc_listeners=f"127.0.0.1:{other.getsockname()[1]}"), "in use")
    server.disk.read_from.clear()
    await server.start()
    assert not [path for path in server.disk.read_from if "/t-0/" in path]
    assert await server.read_all() == [b"a"]


async def test_damaged_metadata_is_no_empty_server(server: Server) -> None:
    await server.topic()
    await server.store(batch("a"))
    await server.topic("other")
    await server.stop()
    log = next((server.path / "__logserver_metadata-0").glob("*.log"))
    whole = log.read_bytes()
    log.write_bytes(whole[:100] + b"\xff" + whole[101:])
    await refused(daemon_on(server.path), "__logserver_metadata-0", "is damaged")
    assert (server.path / "t-0").exists()
    log.write_bytes(whole)
    await server.start()
    assert await server.read_all() == [b"a"]


async def test_metadata_of_a_later_version_is_named(server: Server) -> None:
    from logserver.metadata import Put

    await server.topic()
    value = b'{"id":"AAAAAAAAAAAAAAAAAAAAAg","partitions":1,"settings":{"from.the.future":"1"}}'
    store = server.broker._store
    await server.stop()
    await server.start()
    store = server.broker._store
    await store.txn((), (Put(b"/topics/new", value),))
    await server.stop()
    await refused(daemon_on(server.path), "topic 'new'", "from.the.future", "this version")


async def test_a_full_disk_at_the_start_is_named(server: Server) -> None:
    await server.topic()
    await server.store(batch("a"))
    await crash(server)
    server.disk.fill()
    await refused(daemon_on(server.path, server.disk), "no space left")
    server.disk.heal()
    await server.start()
    assert await server.read_all() == [b"a"]


async def test_after_a_clean_stop_a_full_disk_is_no_obstacle_to_reading(server: Server) -> None:
    await server.topic()
    await server.store(batch("a"))
    await server.stop()
    server.disk.fill()
    await server.start()
    assert await server.read_all() == [b"a"]
    server.disk.heal()
    await server.store(batch("b"))
    assert await server.read_all() == [b"a", b"b"]


@pytest.mark.parametrize("operation", ["list", "read_file", "open", "sync_filesystem"])
async def test_a_disk_that_fails_at_the_start_is_a_sentence_or_an_offline_partition(
    server: Server, operation: str
) -> None:
    await server.topic()
    await server.store(batch("a"))
    await crash(server)
    server.disk.fail(operation, error=errno.EIO)
    daemon = daemon_on(server.path, server.disk)
    try:
        await daemon.start()
    except StartError as error:
        assert "Input/output error" in str(error)
    else:
        await daemon.stop()
    server.disk.heal()
    await server.start()
    assert await server.read_all() == [b"a"]
