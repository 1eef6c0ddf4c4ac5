"""The server as a process: its ready line, its end by signals, and what a SIGKILL leaves."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from logserverpb.v1 import admin_pb2, log_pb2

from tests.broker.harness import batch, values_of
from tests.daemon.processes import Client, ServerProcess
from tests.grpc_api.servers import at, batches


def read_all(client: Client, topic: str = "t", partition: int = 0) -> list[bytes]:
    """Returns the values of all records of a partition."""
    found: list[bytes] = []
    offset = 0
    while True:
        target = log_pb2.FetchPartition(topic=topic, partition=partition, offset=offset)
        (data,) = client.log.Fetch(log_pb2.FetchRequest(partitions=[target])).partitions
        assert not data.HasField("error"), data.error
        if not data.batches:
            return found
        found += values_of(data.batches)
        offset = data.next_offset


def create(client: Client, name: str = "t", partitions: int = 1) -> None:
    client.admin.CreateTopic(admin_pb2.CreateTopicRequest(name=name, partitions=partitions))


def test_the_ready_line_is_all_there_is_on_standard_output(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        host, port = server.grpc.rsplit(":", 1)
        assert host == "127.0.0.1" and int(port) > 0
        with Client(server.grpc) as client:
            stub = health_pb2_grpc.HealthStub(client.channel)
            assert stub.Check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING
        assert server.stop() == 0
        assert server.output == [f"ready grpc={server.grpc} kafka={server.kafka}\n"]
        assert any("started" in line for line in server.errors) and any("stopped" in line for line in server.errors)


def test_every_door_is_in_the_ready_line(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data", "--grpc-listen", "127.0.0.1:0,localhost:0") as server:
        doors = [item.removeprefix("grpc=") for item in server.output[0].split()[1:] if item.startswith("grpc=")]
        assert len(set(doors)) == 2
        for door in doors:
            with Client(door) as client:
                client.admin.ListTopics(admin_pb2.ListTopicsRequest())


class Crowd:
    """Clients that do not let go: they hold streams open, never read, poll, watch, and produce all the time."""

    def __init__(self, address: str) -> None:
        self.clients: list[Client] = []
        self.calls: list[grpc.Call] = []
        self.threads: list[threading.Thread] = []
        self.going = threading.Event()
        self.over = threading.Event()
        for _ in range(4):
            self.add(address)

    def add(self, address: str) -> None:
        client = Client(address)
        self.clients.append(client)

        def subscribe() -> Iterator[log_pb2.SubscribeRequest]:
            item = log_pb2.AssignedPartition(topic="t", partition=0, position=at(earliest=True))
            yield log_pb2.SubscribeRequest(assign=log_pb2.Assign(generation=1, partitions=[item]))
            yield log_pb2.SubscribeRequest(credit=log_pb2.Credit(bytes=1 << 30))
            self.over.wait()

        def hold() -> Iterator[log_pb2.ProduceStreamRequest]:
            yield log_pb2.ProduceStreamRequest(partitions=[batches(batch("held"))])
            self.over.wait()

        def produce() -> Iterator[log_pb2.ProduceStreamRequest]:
            number = 0
            payload = batch(b"x" * 20_000)
            while not self.over.is_set():
                number += 1
                yield log_pb2.ProduceStreamRequest(correlation_id=number, partitions=[batches(payload)])
                if number == 50:
                    self.going.set()

        target = log_pb2.FetchPartition(topic="quiet", partition=0)
        self.calls += [
            client.log.Subscribe(subscribe()),
            client.log.ProduceStream(hold()),
            client.log.ProduceStream(produce()),
            health_pb2_grpc.HealthStub(client.channel).Watch(health_pb2.HealthCheckRequest()),
            client.log.Fetch.future(log_pb2.FetchRequest(partitions=[target], max_wait_ms=60_000)),
        ]

    def close(self) -> None:
        self.over.set()
        for call in self.calls:
            call.cancel()
        for client in self.clients:
            client.channel.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_time_whatever_clients_do(tmp_path: Path, number: signal.Signals) -> None:
    with ServerProcess(tmp_path / "data") as server:
        with Client(server.grpc) as client:
            create(client)
            create(client, "quiet")
        crowd = Crowd(server.grpc)
        try:
            assert crowd.going.wait(20)
            start = time.monotonic()
            assert server.stop(number) == 0
            assert time.monotonic() - start < 10
        finally:
            crowd.close()
        assert not any("Traceback" in line for line in server.errors), "".join(server.errors)
        assert any("stopped" in line for line in server.errors)
        # It was a clean stop.
        server.start()
        server.stop()
        assert any('after="clean stop"' in line for line in server.errors), server.errors


def test_a_signal_during_the_start_ends_it_too(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        server.stop()
        for delay_turns in range(4):
            server.spawn()
            # Wherever it happens to be by then: still importing, recovering, or just ready.
            while len(list((tmp_path / "data").glob(".kafka_cleanshutdown"))) and delay_turns:
                if server.process.poll() is not None:
                    break
            server.process.send_signal(signal.SIGTERM)
            code = server.ended(10)
            assert code in (0, -signal.SIGTERM), (code, server.errors)
        server.start()


def test_clients_that_repeat_signals_do_no_harm(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        for _ in range(5):
            server.process.send_signal(signal.SIGINT)
        assert server.ended(10) == 0
        assert not any("Traceback" in line for line in server.errors)


class Producer:
    """Produces numbers 0, 1, 2, ... to two partitions in turn, over one connection after the other.

    With an id it sends again what was not acknowledged, as a client does; without one never.
    """

    def __init__(self, producer_id: int | None) -> None:
        self.producer_id = producer_id
        self.sent = 0
        self.acknowledged: set[int] = set()

    def partition(self, number: int) -> log_pb2.ProducePartition:
        if self.producer_id is None:
            payload = batch(b"%d" % number)
        else:
            identity = {"producer_id": self.producer_id, "producer_epoch": 0, "base_sequence": number // 2}
            payload = batch(b"%d" % number, **identity)
        return batches(payload, "t", number % 2)

    @property
    def open(self) -> list[int]:
        """What was sent and not acknowledged."""
        return sorted(set(range(self.sent)) - self.acknowledged)

    def run_until_killed(self, server: ServerProcess, kill_after: int) -> None:
        """Produces until so many answers have come; kills the server then, with more on the way."""
        room = threading.Semaphore(200 if self.producer_id is None else 5)
        again = [] if self.producer_id is None else self.open

        def requests() -> Iterator[log_pb2.ProduceStreamRequest]:
            for number in again:
                room.acquire()
                yield log_pb2.ProduceStreamRequest(correlation_id=number, partitions=[self.partition(number)])
            for number in range(self.sent, self.sent + 2000):
                room.acquire()
                self.sent = number + 1
                yield log_pb2.ProduceStreamRequest(correlation_id=number, partitions=[self.partition(number)])

        with Client(server.grpc) as client, pytest.raises(grpc.RpcError):
            answered = 0
            for response in client.log.ProduceStream(requests()):
                for answer in response.acknowledgements:
                    room.release()
                    answered += 1
                    assert not answer.results[0].HasField("error"), answer
                    self.acknowledged.add(answer.correlation_id)
                if answered >= kill_after:
                    server.process.kill()
        # Lets the thread that asks for more requests come to its end.
        room.release(3000)
        server.ended()


@pytest.mark.parametrize("idempotent", [False, True])
def test_a_sigkill_in_the_middle_of_producing_loses_nothing_acknowledged(tmp_path: Path, idempotent: bool) -> None:
    """With idempotence what was not acknowledged is sent again after the restart, and nothing comes twice."""
    with ServerProcess(tmp_path / "data", settings={"log.segment.bytes": "100000"}) as server:
        with Client(server.grpc) as client:
            create(client, partitions=2)
            given = client.log.InitProducerId(log_pb2.InitProducerIdRequest()).producer_id
        producer = Producer(given if idempotent else None)
        for kill_after in (20, 60, 110):
            producer.run_until_killed(server, kill_after)
            server.start()
        with Client(server.grpc) as client:
            for number in producer.open if idempotent else []:
                request = log_pb2.ProduceRequest(partitions=[producer.partition(number)])
                (result,) = client.log.Produce(request).results
                assert not result.HasField("error"), result
                producer.acknowledged.add(number)
            stored = [[int(value) for value in read_all(client, partition=partition)] for partition in (0, 1)]
        everything = stored[0] + stored[1]
        assert producer.acknowledged <= set(everything) and len(everything) == len(set(everything))
        assert len(producer.acknowledged) >= 190
        if idempotent:
            assert stored == [list(range(partition, producer.sent, 2)) for partition in (0, 1)]
        server.stop()


def test_a_second_server_on_the_same_directory_is_one_sentence(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data"):
        second = ServerProcess(tmp_path / "data").spawn()
        assert second.ended() == 1
        assert second.output == []
        text = "".join(second.errors)
        assert "in use by another server" in text and "Traceback" not in text


def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        server = ServerProcess(tmp_path / "data", "--grpc-listen", f"127.0.0.1:{port}").spawn()
        assert server.ended() == 1 and server.output == []
        text = "".join(server.errors)
        assert f"can't listen on 127.0.0.1:{port}" in text and "Traceback" not in text


def test_a_listener_beyond_loopback_is_one_warning(tmp_path: Path) -> None:
    arguments = ("--grpc-listen", "0.0.0.0:0", "--log-format", "json")
    with ServerProcess(tmp_path / "data", *arguments) as server:
        server.stop()
        lines = [json.loads(line) for line in server.errors]
        warnings = [line for line in lines if line["level"] not in ("info", "debug")]
        assert len(warnings) == 1 and "no authentication" in warnings[0]["event"]


def test_settings_reach_the_server(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data", settings={"num.partitions": "7", "node.id": "3"}) as server:
        with Client(server.grpc) as client:
            topic = client.admin.CreateTopic(admin_pb2.CreateTopicRequest(name="t")).topic
            assert len(topic.partitions) == 7 and topic.partitions[0].leader == 3
            rows = {row.name: row.source for row in client.admin.ListSettings(admin_pb2.ListSettingsRequest()).settings}
        assert rows["num.partitions"] == "command line" and rows["log.retention.hours"] == "default"


def test_a_disk_that_hangs_does_not_keep_the_process(tmp_path: Path) -> None:
    """A thread that never comes back from the disk would keep Python from ending."""
    code = (
        "import sys, threading\n"
        "from logserver_segments.disk import OsFile\n"
        "from logserver.daemon import serve\n"
        "from logserver.settings import load_settings\n"
        "real = OsFile.sync\n"
        "def sync(self):\n"
        "    if '/t-0/' in self.path: threading.Event().wait()\n"
        "    real(self)\n"
        "OsFile.sync = sync\n"
        "settings = {'log.dirs': sys.argv[1], 'grpc.listeners': '127.0.0.1:0', 'listeners': 'off'}\n"
        "settings['shutdown.flush.ms'] = '1000'\n"
        "serve(load_settings(command_line=settings.items()))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "data")], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().split("grpc=")[1].strip()
        with Client(address) as client:
            create(client)
            # Kept, because a call that nobody holds is cancelled.
            unanswered = client.log.Produce.future(log_pb2.ProduceRequest(partitions=[batches(batch("x"))]))
            describe = admin_pb2.DescribeTopicRequest(name="t")
            while not client.admin.DescribeTopic(describe).topic.partitions[0].log_end_offset:
                pass
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 1
            assert unanswered.exception() is not None
    finally:
        process.kill()
        process.communicate()
