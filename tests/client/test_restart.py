"""The server is killed and started again in the middle: nothing acknowledged is lost, nothing is there twice."""

import asyncio
import signal
import threading
from itertools import pairwise

import pytest
from logserver_client import AdminClient, ClientClosed, Consumer, Producer, RecordFuture, aio, replay

from tests.client.conftest import ServerProcess

PARTITIONS = 3


@pytest.fixture
def topic(server_process: ServerProcess) -> str:
    with AdminClient(server_process.address) as admin:
        admin.create_topic("t", partitions=PARTITIONS)
    return "t"


def check_stored_once_and_in_order(address: str, futures: list[RecordFuture]) -> None:
    """Every record n went to partition n % PARTITIONS; all were acknowledged."""
    stored: dict[int, list[int]] = {partition: [] for partition in range(PARTITIONS)}
    at: dict[tuple[int, int], int] = {}
    for record in replay(address, "t"):
        stored[record.partition].append(int(record.value or b""))
        at[record.partition, record.offset] = int(record.value or b"")
    for numbers in stored.values():
        assert all(a < b for a, b in pairwise(numbers)), "in order, and none twice"
    assert sorted(n for numbers in stored.values() for n in numbers) == list(range(len(futures)))
    for n, future in enumerate(futures):
        metadata = future.result(0)
        if metadata.offset >= 0:
            assert at[metadata.partition, metadata.offset] == n


@pytest.mark.parametrize("kills", [3])
def test_a_producer_survives_kills_of_the_server(server_process: ServerProcess, topic: str, kills: int) -> None:
    address = server_process.address
    futures: list[RecordFuture] = []
    with Producer(address, batch_size=2000, linger_ms=1) as producer:

        def send(count: int) -> None:
            for _ in range(count):
                number = len(futures)
                futures.append(producer.send(topic, str(number).encode(), partition=number % PARTITIONS))

        for _ in range(kills):
            send(5_000)
            # The kill falls between records that are stored, answered, under way and not yet sent.
            futures[-2_500].result(60)
            restarting = threading.Thread(target=server_process.restart)
            restarting.start()
            send(5_000)
            restarting.join(60)
        producer.flush(60)
    check_stored_once_and_in_order(address, futures)


def test_a_consumer_survives_a_kill_of_the_server(server_process: ServerProcess, topic: str) -> None:
    address = server_process.address
    with Producer(address, batch_size=2000) as producer, Consumer(address, buffer_bytes=20_000) as consumer:
        for n in range(6_000):
            producer.send(topic, str(n).encode(), partition=n % PARTITIONS)
        producer.flush(60)
        consumer.assign(topic)
        seen: dict[int, list[int]] = {partition: [] for partition in range(PARTITIONS)}
        for number, record in enumerate(consumer, 1):
            seen[record.partition].append(record.offset)
            if number == 2_000:
                server_process.restart()
            if number == 6_000:
                break
        for n in range(300):
            producer.send(topic, str(n).encode(), partition=n % PARTITIONS)
        for number, record in enumerate(consumer, 1):
            seen[record.partition].append(record.offset)
            if number == 300:
                break
        assert seen == {partition: list(range(2_100)) for partition in range(PARTITIONS)}
        assert consumer.poll(0) == []


def test_a_replay_survives_a_kill_of_the_server(server_process: ServerProcess, topic: str) -> None:
    with Producer(server_process.address, batch_size=2000) as producer:
        for n in range(6_000):
            producer.send(topic, str(n).encode(), partition=n % PARTITIONS)
    numbers = []
    for record in replay(server_process.address, topic, buffer_bytes=20_000):
        numbers.append(int(record.value or b""))
        if len(numbers) == 1_000:
            server_process.restart()
    assert sorted(numbers) == list(range(6_000))


async def test_the_asyncio_forms_survive_it_together(server_process: ServerProcess, topic: str) -> None:
    address = server_process.address
    async with aio.Producer(address, batch_size=2000) as producer, aio.Consumer(address) as consumer:
        await consumer.assign(topic)

        async def send() -> None:
            for n in range(9_000):
                await producer.send(topic, str(n).encode(), partition=n % PARTITIONS)
                if n == 5_000:
                    await asyncio.to_thread(server_process.restart)
            await producer.flush(60)

        sending = asyncio.create_task(send())
        seen: dict[int, list[int]] = {partition: [] for partition in range(PARTITIONS)}
        count = 0
        async for record in consumer:
            seen[record.partition].append(int(record.value or b""))
            count += 1
            if count == 9_000:
                break
        await sending
    assert seen == {partition: list(range(partition, 9_000, PARTITIONS)) for partition in range(PARTITIONS)}


def test_close_does_not_wait_for_a_server_that_hangs(server_process: ServerProcess, topic: str) -> None:
    process = server_process._process
    assert process is not None
    producer: Producer[bytes, bytes] = Producer(server_process.address)
    producer.send(topic, b"x").result(30)
    process.send_signal(signal.SIGSTOP)
    try:
        # More than fits between the two, so that the stream itself is stuck.
        futures = [producer.send(topic, bytes(100_000)) for _ in range(300)]
        producer.close(timeout=0.1)
    finally:
        process.send_signal(signal.SIGCONT)
    assert all(isinstance(future.exception(0), ClientClosed) for future in futures)


def test_an_admin_client_waits_for_a_server_that_starts(server_process: ServerProcess, topic: str) -> None:
    with AdminClient(server_process.address) as admin:
        server_process.kill()
        starting = threading.Thread(target=server_process.start)
        starting.start()
        assert [topic.name for topic in admin.list_topics()] == ["t"]
        starting.join()


def test_a_server_that_hangs_is_given_up_and_found_again(server_process: ServerProcess, topic: str) -> None:
    process = server_process._process
    assert process is not None
    with Producer(server_process.address, request_timeout_ms=500) as producer:
        producer.send(topic, b"0", partition=0).result(30)
        process.send_signal(signal.SIGSTOP)
        try:
            futures = [producer.send(topic, str(n).encode(), partition=n % PARTITIONS) for n in range(1, 100)]
            threading.Timer(1.5, process.send_signal, (signal.SIGCONT,)).start()
            producer.flush(60)
        finally:
            process.send_signal(signal.SIGCONT)
        assert all(future.exception(0) is None for future in futures)
    assert len(list(replay(server_process.address, topic))) == 100
