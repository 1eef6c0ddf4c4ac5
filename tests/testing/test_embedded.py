"""The embedded server: a real one, on a thread of this process, that cleans up after itself."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from logserverpb.v1 import admin_pb2, log_pb2

from logserver.daemon import StartError
from logserver.settings import SettingsError
from logserver.testing import LogServer
from tests.broker.harness import batch
from tests.daemon.processes import Client
from tests.daemon.test_process import create, read_all
from tests.grpc_api.servers import at, batches


def store(client: Client, payload: bytes) -> None:
    (result,) = client.log.Produce(log_pb2.ProduceRequest(partitions=[batches(payload)])).results
    assert not result.HasField("error"), result


def server_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("logserver")}


def check_ended(before: set[threading.Thread]) -> None:
    """Checks that no thread of a server is left; one may be just at its end."""
    for thread in server_threads() - before:
        thread.join(10)
        assert not thread.is_alive(), thread


def test_a_server_runs_while_inside_and_leaves_nothing() -> None:
    before = server_threads()
    with LogServer() as server:
        data_dir = Path(server.data_dir)
        host, port = server.grpc.rsplit(":", 1)
        assert host == "127.0.0.1" and int(port) > 0
        with Client(server.grpc) as client:
            health = health_pb2_grpc.HealthStub(client.channel).Check(health_pb2.HealthCheckRequest())
            assert health.status == health_pb2.HealthCheckResponse.SERVING
            create(client)
            store(client, batch("a"))
            assert read_all(client) == [b"a"]
        assert (data_dir / "meta.properties").exists()
    assert not data_dir.exists() and not data_dir.parent.exists()
    assert server.grpc == ""
    check_ended(before)


def test_an_error_inside_cleans_up_too() -> None:
    with pytest.raises(ZeroDivisionError), LogServer() as server:
        data_dir = server.data_dir
        raise ZeroDivisionError
    assert not Path(data_dir).exists()


def test_a_stopped_server_starts_again_with_its_data() -> None:
    server = LogServer()
    try:
        server.start()
        with Client(server.grpc) as client:
            create(client)
            store(client, batch("a"))
        server.stop()
        server.stop()
        assert server.grpc == ""
        server.start()
        with Client(server.grpc) as client:
            assert read_all(client) == [b"a"]
        with pytest.raises(RuntimeError, match="running already"):
            server.start()
    finally:
        server.close()
        server.close()


def test_a_closed_server_starts_again_empty() -> None:
    with LogServer() as server, Client(server.grpc) as client:
        create(client)
    with server, Client(server.grpc) as client:
        assert not client.admin.ListTopics(admin_pb2.ListTopicsRequest()).topics


def test_a_given_directory_stays(tmp_path: Path) -> None:
    for number in range(2):
        with LogServer(tmp_path / "data") as server:
            assert server.data_dir == str(tmp_path / "data")
            with Client(server.grpc) as client:
                if not number:
                    create(client)
                    store(client, batch("a"))
                assert read_all(client) == [b"a"]
    assert (tmp_path / "data" / "meta.properties").exists()


def test_settings_by_name() -> None:
    with LogServer(settings={"num.partitions": "3", "node.id": "9"}) as server, Client(server.grpc) as client:
        topic = client.admin.CreateTopic(admin_pb2.CreateTopicRequest(name="t")).topic
        assert len(topic.partitions) == 3 and topic.partitions[0].leader == 9


def test_settings_of_the_environment_do_not_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGSERVER_NUM_PARTITIONS", "7")
    monkeypatch.setenv("LOGSERVER_GRPC_LISTENERS", "127.0.0.1:1")
    with LogServer() as server, Client(server.grpc) as client:
        assert len(client.admin.CreateTopic(admin_pb2.CreateTopicRequest(name="t")).topic.partitions) == 1


def test_a_start_that_fails_is_raised_and_leaves_nothing(tmp_path: Path) -> None:
    before = server_threads()
    with pytest.raises(SettingsError, match=r"did you mean num\.partitions"):
        LogServer(settings={"num.partition": "3"}).start()
    (tmp_path / "photo.jpg").write_bytes(b"mine")
    broken = LogServer(tmp_path)
    for _ in range(2):
        with pytest.raises(StartError, match="not empty"):
            broken.start()
    with LogServer(tmp_path / "data") as first:
        with pytest.raises(StartError, match="in use by another server"):
            LogServer(tmp_path / "data").start()
        with pytest.raises(StartError, match="can't listen on"):
            LogServer(settings={"grpc.listeners": first.grpc}).start()
        with Client(first.grpc) as client:
            create(client)
    (tmp_path / "photo.jpg").unlink()
    check_ended(before)


def test_two_servers_in_one_process() -> None:
    with LogServer() as first, LogServer() as second:
        assert first.grpc != second.grpc and first.data_dir != second.data_dir
        for server, value in ((first, "1"), (second, "2")):
            with Client(server.grpc) as client:
                create(client)
                store(client, batch(value))
        for server, value in ((first, b"1"), (second, b"2")):
            with Client(server.grpc) as client:
                assert read_all(client) == [value]


async def test_it_can_be_used_from_a_coroutine() -> None:
    import grpc
    from logserverpb.v1 import admin_pb2_grpc

    with LogServer() as server:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            admin = admin_pb2_grpc.AdminStub(channel)
            await admin.CreateTopic(admin_pb2.CreateTopicRequest(name="t"))
            assert len((await admin.ListTopics(admin_pb2.ListTopicsRequest())).topics) == 1


def test_clients_that_hold_on_do_not_keep_it() -> None:
    over = threading.Event()

    def commands() -> Iterator[log_pb2.SubscribeRequest]:
        item = log_pb2.AssignedPartition(topic="t", partition=0, position=at(earliest=True))
        yield log_pb2.SubscribeRequest(assign=log_pb2.Assign(generation=1, partitions=[item]))
        over.wait()

    server = LogServer()
    server.start()
    client = Client(server.grpc)
    create(client)
    call = client.log.Subscribe(commands())
    next(call)
    start = time.monotonic()
    server.close()
    assert time.monotonic() - start < 10
    over.set()
    call.cancel()
    client.channel.close()


def test_what_a_test_asks_of_the_daemon_runs_on_its_loop() -> None:
    with LogServer() as server:

        async def name(daemon: object) -> str:
            return threading.current_thread().name

        assert server.call(name) == "logserver"


def test_a_server_that_was_never_started_has_nothing_to_close() -> None:
    server = LogServer()
    server.stop()
    server.close()


def test_thirty_servers_one_after_the_other() -> None:
    before = server_threads()
    for _ in range(30):
        with LogServer() as server, Client(server.grpc) as client:
            client.admin.ListTopics(admin_pb2.ListTopicsRequest())
    check_ended(before)
