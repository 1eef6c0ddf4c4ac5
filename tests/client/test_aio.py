"""The asyncio producer and consumer: what is theirs alone."""

import asyncio
import threading
from collections.abc import Callable

import pytest
from logserver_client import (
    BufferFull,
    ClientClosed,
    Consumer,
    LogServerError,
    OffsetOutOfRange,
    Producer,
    RecordMetadata,
    UnknownTopicOrPartition,
    aio,
)

from logserver.testing import LogServer

NewTopic = Callable[..., str]


async def test_send_returns_a_future_to_await(address: str, topic: str) -> None:
    async with aio.Producer(address) as producer:
        future = await producer.send(topic, b"x", timestamp_ms=5)
        assert not future.done()
        with pytest.raises(asyncio.InvalidStateError):
            future.result()
        assert await future == RecordMetadata(topic, 0, 0, 5)
        assert await future == future.result()
        assert future.exception() is None


async def test_futures_can_be_gathered_and_a_cancelled_wait_leaves_the_record(address: str, topic: str) -> None:
    async with aio.Producer(address, linger_ms=50) as producer:
        futures = [await producer.send(topic, b"x") for _ in range(100)]

        async def wait() -> None:
            await futures[0]

        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0)
        waiting.cancel()
        results = await asyncio.gather(*futures)
    assert [metadata.offset for metadata in results] == list(range(100))
    assert waiting.cancelled()


async def test_callbacks_come_in_the_event_loop(address: str, topic: str) -> None:
    loop = asyncio.get_running_loop()
    seen: list[RecordMetadata | None] = []

    def delivered(data: RecordMetadata | None, error: LogServerError | None) -> None:
        assert asyncio.get_running_loop() is loop
        seen.append(data)

    async with aio.Producer(address) as producer:
        future = await producer.send(topic, b"x", on_delivery=delivered)
        future.add_done_callback(lambda done: seen.append(done.result()))
        await producer.flush()
    assert len(seen) == 2 and seen[0] == seen[1] is not None


async def test_a_loop_of_sends_lets_others_run(address: str, topic: str) -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    running = asyncio.create_task(other())
    async with aio.Producer(address, batch_size=1000) as producer:
        for _ in range(1000):
            await producer.send(topic, b"x" * 100)
        assert turns > 50
    running.cancel()


async def test_a_full_buffer_waits_and_then_raises() -> None:
    server = LogServer()
    await asyncio.to_thread(server.start)
    async with aio.AdminClient(server.grpc) as admin:
        await admin.create_topic("t", partitions=1)
    producer: aio.Producer[bytes, bytes] = aio.Producer(
        server.grpc, buffer_memory=50_000, batch_size=5_000, max_block_ms=200
    )
    await (await producer.send("t", b"x"))
    await asyncio.to_thread(server.close)
    with pytest.raises(BufferFull):
        while True:
            future = await producer.send("t", b"x" * 1000)
    await producer.close(timeout=0.1)
    assert isinstance(future.exception(), ClientClosed)


async def test_a_full_buffer_goes_on_when_there_is_room(address: str, topic: str) -> None:
    async with aio.Producer(address, buffer_memory=20_000, batch_size=5_000) as producer:
        for _ in range(500):
            await producer.send(topic, b"x" * 1000)
    async with aio.Consumer(address) as consumer:
        assert await consumer.end_offsets([(topic, 0)]) == {(topic, 0): 500}


def digits(number: int) -> bytes:
    return str(number).encode()


async def test_the_consumer_reads_seeks_pauses_and_polls(address: str, new_topic: NewTopic) -> None:
    topic = new_topic(2)
    async with aio.Producer(address, key_serializer=str.encode, value_serializer=digits) as producer:
        for n in range(100):
            await producer.send(topic, n, key="k", partition=n % 2, timestamp_ms=n)
    a, b = (topic, 0), (topic, 1)
    async with aio.Consumer(address, key_deserializer=bytes.decode, value_deserializer=int) as consumer:
        assert await consumer.partitions_for(topic) == [a, b]
        await consumer.assign([a], at=40)
        assert consumer.assignment() == {a}
        records = await consumer.poll(30, 4)
        assert [(record.key, record.value) for record in records] == [("k", 80), ("k", 82), ("k", 84), ("k", 86)]
        assert await consumer.position(a) == 44
        await consumer.seek(a, 48)
        async for record in consumer:
            if record.offset == 49:
                break
        assert await consumer.poll(0) == [] == await consumer.poll(0.05)
        await consumer.seek_to_beginning(a)
        await consumer.pause(a)
        assert consumer.paused() == {a}
        assert await consumer.poll(0.05) == []
        await consumer.resume(a)
        assert (await consumer.poll(30, 1))[0].offset == 0
        await consumer.seek_to_timestamp(a, 31)
        assert (await consumer.poll(30, 1))[0].timestamp_ms == 32
        await consumer.seek_to_end()
        assert await consumer.position(a) == 50
        await consumer.seek(a, 51)
        with pytest.raises(OffsetOutOfRange):
            await consumer.poll(30)
        await consumer.assign([b])
        async for batch in consumer.batches():
            assert batch[0].offset == 0
            break
        assert (await consumer.beginning_offsets([a]), await consumer.end_offsets([a])) == ({a: 0}, {a: 50})
        found = (await consumer.offsets_for_times({a: 31}))[a]  # type: ignore[index]
        assert found is not None and found.offset == 16
        await consumer.unassign()
        assert consumer.assignment() == set()


async def test_close_in_another_task_ends_a_poll(address: str, topic: str) -> None:
    consumer: aio.Consumer[bytes, bytes] = aio.Consumer(address)
    await consumer.assign(topic)
    polling = asyncio.create_task(consumer.poll(30))
    await asyncio.sleep(0)
    await consumer.close()
    with pytest.raises(ClientClosed):
        await polling


async def test_errors_of_send(address: str, topic: str) -> None:
    async with aio.Producer(address) as producer:
        with pytest.raises(UnknownTopicOrPartition):
            await producer.send("nobody-created-this", b"x")
        with pytest.raises(UnknownTopicOrPartition, match="not 9"):
            await producer.send(topic, b"x", partition=9)
        with pytest.raises(TypeError, match="value_serializer"):
            await producer.send(topic, "text")  # type: ignore[arg-type]
    with pytest.raises(ClientClosed):
        await producer.send(topic, b"x")


async def test_unclosed_clients_are_warned_about(address: str) -> None:
    producer: aio.Producer[bytes, bytes] = aio.Producer(address)
    consumer: aio.Consumer[bytes, bytes] = aio.Consumer(address)
    for client in (producer, consumer):
        await client._core.start()
        with pytest.warns(ResourceWarning, match="unclosed"):
            client.__del__()
        await client.close()


def test_both_forms_have_the_same_methods() -> None:
    def public(kind: type) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")}

    assert public(Producer) == public(aio.Producer)
    assert public(Consumer) == public(aio.Consumer)


def test_several_event_loops_and_the_threads_own_work_side_by_side(
    address: str, new_topic: NewTopic, caplog: pytest.LogCaptureFixture
) -> None:
    topics = [new_topic(2), new_topic(2), new_topic(1)]
    failures: list[BaseException] = []

    async def talk(topic: str, partition: int) -> None:
        async with aio.Producer(address) as producer, aio.Consumer(address) as consumer:
            await consumer.assign([(topic, partition)])
            for n in range(500):
                await producer.send(topic, b"%d" % n, partition=partition)
            got: list[int] = []
            while len(got) < 500:
                got += [int(record.value or b"") for record in await consumer.poll(30)]
            assert got == list(range(500))

    def run(topic: str) -> None:
        try:
            # One loop after the other, while another thread has loops of its own.
            for partition in range(2):
                asyncio.run(asyncio.wait_for(talk(topic, partition), 60))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(topic,)) for topic in topics[:2]]
    for thread in threads:
        thread.start()
    with Producer(address) as producer, Consumer(address) as consumer:
        consumer.assign(topics[2])
        for n in range(500):
            producer.send(topics[2], b"%d" % n)
        got = 0
        while got < 500:
            got += len(consumer.poll(30))
    for thread in threads:
        thread.join()
    assert not failures
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]
