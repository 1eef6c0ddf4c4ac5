"""Groups whose members or server are killed: nothing is lost, and what comes twice is what was not committed."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest
from logserver_client import AdminClient, CommitFailed, Consumer, Producer, TopicPartition

from logserver.testing import LogServer
from tests.client.conftest import ServerProcess

PARTITIONS = 4

WORKER = """
import sys
from logserver_client import Consumer
address, group, instance = sys.argv[1:]
with Consumer(
    address, group_id=group, group_instance_id=instance or None, auto_offset_reset="earliest", auto_commit=False
) as consumer:
    consumer.subscribe("t")
    for record in consumer:
        print(record.value.decode(), flush=True)
        consumer.commit()
"""


@pytest.fixture
def brief_server() -> Iterator[LogServer]:
    """A server that takes a silent member for gone after a second."""
    settings = {"group.consumer.session.timeout.ms": "1000", "group.consumer.heartbeat.interval.ms": "200"}
    with LogServer(settings=settings) as server:
        yield server


def create(address: str) -> None:
    with AdminClient(address) as admin:
        admin.create_topic("t", partitions=PARTITIONS)


def fill(address: str, numbers: range) -> None:
    """Record n goes to partition n % PARTITIONS."""
    with Producer(address) as producer:
        for n in numbers:
            producer.send("t", str(n).encode(), partition=n % PARTITIONS)


def worker(address: str, instance: str = "") -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", WORKER, address, "g", instance], stdout=subprocess.PIPE, text=True)


def kill(process: "subprocess.Popen[str]") -> list[int]:
    """Kills a worker and returns what it had printed and nobody had read."""
    process.kill()
    out, _ = process.communicate()
    return [int(line) for line in out.splitlines()]


def member(address: str, **settings: object) -> Consumer[bytes, bytes]:
    return Consumer(address, group_id="g", **{"auto_offset_reset": "earliest", **settings})  # type: ignore[call-overload,no-any-return]


def read(consumers: list[Consumer[bytes, bytes]], done: Callable[[list[int]], bool]) -> list[int]:
    numbers: list[int] = []
    while not done(numbers):
        for consumer in consumers:
            numbers += [int(record.value or b"") for record in consumer.poll(0.02)]
    return numbers


def test_the_partitions_of_a_member_that_is_killed_go_to_the_others(brief_server: LogServer) -> None:
    address = brief_server.grpc
    create(address)
    process = worker(address)
    with member(address) as consumer:
        consumer.subscribe("t")
        read([consumer], lambda _: len(consumer.assignment()) == PARTITIONS // 2)
        fill(address, range(400))
        assert process.stdout is not None
        # It is in the middle of its work.
        by_worker = [int(process.stdout.readline()) for _ in range(20)]
        by_worker += kill(process)
        by_us = read([consumer], lambda numbers: set(numbers) | set(by_worker) == set(range(400)))
        assert len(consumer.assignment()) == PARTITIONS
        # Printed and not committed was one record at most.
        assert len(set(by_us) & set(by_worker)) <= 1


def test_a_static_member_comes_back_to_its_partitions_without_a_rebalance(brief_server: LogServer) -> None:
    address = brief_server.grpc
    create(address)
    events: list[object] = []
    first = member(address, group_instance_id="one")
    with member(address, group_instance_id="two") as other, AdminClient(address) as admin:
        first.subscribe("t")
        read([first], lambda _: len(first.assignment()) == PARTITIONS)
        other.subscribe("t")
        read([first, other], lambda _: len(first.assignment()) == len(other.assignment()) == PARTITIONS // 2)
        other.subscribe("t", on_revoked=events.append, on_assigned=events.append)
        before = first.assignment()
        first.close()
        rows = {row.instance_id: row.state for row in admin.describe_group("g").members}
        assert rows == {"one": "away", "two": "stable"}
        with member(address, group_instance_id="one") as again:
            again.subscribe("t")
            read([again, other], lambda _: bool(again.assignment()))
            assert again.assignment() == before
            assert not events


def test_a_killed_static_member_is_replaced_once_its_session_has_ended(brief_server: LogServer) -> None:
    address = brief_server.grpc
    create(address)
    fill(address, range(8))
    process = worker(address, "one")
    assert process.stdout is not None
    process.stdout.readline()
    kill(process)
    # The place is taken until then, which is waited out.
    with member(address, group_instance_id="one") as again:
        again.subscribe("t")
        read([again], lambda _: len(again.assignment()) == PARTITIONS)


def test_a_second_consumer_of_an_instance_waits_and_a_released_one_is_replaced(brief_server: LogServer) -> None:
    address = brief_server.grpc
    create(address)
    with member(address, group_instance_id="one") as first:
        first.subscribe("t")
        read([first], lambda _: bool(first.assignment()))
        with member(address, group_instance_id="one") as second:
            second.subscribe("t")
            assert second.poll(0.3) == []
            assert not second.assignment()
            first.close()
            read([second], lambda _: bool(second.assignment()))


def test_members_go_on_over_a_restart_of_the_server(server_process: ServerProcess) -> None:
    address = server_process.address
    create(address)
    fill(address, range(2_000))
    lost: list[object] = []
    with member(address, max_poll_records=50) as first, member(address, max_poll_records=50) as second:
        consumers = [first, second]
        for consumer in consumers:
            consumer.subscribe("t", on_lost=lost.append)
        numbers = read(consumers, lambda numbers: len(numbers) >= 500 and bool(second.assignment()))
        restarting = threading.Thread(target=server_process.restart)
        restarting.start()
        numbers += read(consumers, lambda _: not restarting.is_alive())
        fill(address, range(2_000, 3_000))
        numbers += read(consumers, lambda more: set(numbers) | set(more) == set(range(3_000)))
        # Both kept what they had, so nothing came twice.
        assert len(numbers) == 3_000
        assert not lost
        assert [len(consumer.assignment()) for consumer in consumers] == [PARTITIONS // 2] * 2
        for consumer in consumers:
            consumer.commit()
    with AdminClient(address) as admin:
        committed = admin.committed_offsets("g")
        assert {tp: at.offset for tp, at in committed.items()} == {
            TopicPartition("t", partition): 750 for partition in range(PARTITIONS)
        }


def test_a_commit_waits_for_a_server_that_restarts(server_process: ServerProcess) -> None:
    address = server_process.address
    create(address)
    with member(address, auto_commit=False) as consumer:
        consumer.subscribe("t")
        read([consumer], lambda _: len(consumer.assignment()) == PARTITIONS)
        tp = TopicPartition("t", 0)
        done: list[object] = []
        server_process.kill()
        for offset in range(1, 4):
            consumer.commit_async({tp: offset}, lambda offsets, error: done.append(error))
        starting = threading.Thread(target=server_process.start)
        starting.start()
        consumer.commit({tp: 4})
        starting.join(60)
        read([consumer], lambda _: len(done) == 3)
        assert done == [None] * 3
        assert consumer.committed(tp)[tp] == (4, None, "")


def test_a_commit_gives_up_after_the_request_timeout(server_process: ServerProcess) -> None:
    address = server_process.address
    create(address)
    consumer = member(address, auto_commit=False, request_timeout_ms=300)
    consumer.subscribe("t")
    read([consumer], lambda _: len(consumer.assignment()) == PARTITIONS)
    server_process.kill()
    with pytest.raises(CommitFailed, match="t-0") as raised:
        consumer.commit({("t", 0): 1})
    assert raised.value.name == "REQUEST_TIMED_OUT"
    # Neither does closing wait for ever.
    consumer.close()


def test_what_was_handed_out_before_a_restart_is_committed_at_the_end(server_process: ServerProcess) -> None:
    address = server_process.address
    create(address)
    fill(address, range(100))
    with member(address, auto_commit_interval_ms=3_600_000) as consumer:
        consumer.subscribe("t")
        read([consumer], lambda numbers: len(numbers) == 100)
        server_process.restart()
    with AdminClient(address) as admin:
        assert {tp.partition: at.offset for tp, at in admin.committed_offsets("g").items()} == dict.fromkeys(
            range(PARTITIONS), 25
        )
