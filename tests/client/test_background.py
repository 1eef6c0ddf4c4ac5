"""The thread that the synchronous classes share: there while somebody needs it, and ended in order."""

import subprocess
import sys
import threading

import pytest
from logserver_client import AdminClient, Consumer, Producer
from logserver_client._background import BACKGROUND


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "logserver-client"]


def test_there_is_one_thread_for_all_and_none_for_nobody(address: str, topic: str) -> None:
    assert threads() == []
    with Producer(address) as producer, Consumer(address) as consumer, AdminClient(address) as admin:
        producer.send(topic, b"x").result(30)
        consumer.assign(topic)
        admin.status()
        assert len(threads()) == 1
    assert threads() == []


def test_clients_can_come_and_go(address: str, topic: str, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(30):
        with Consumer(address) as consumer:
            consumer.assign(topic, at="latest")
    assert not caplog.records


def test_an_interrupted_wait_cancels_the_call(address: str) -> None:
    with AdminClient(address), pytest.raises(TimeoutError):
        BACKGROUND.run(threading_event_that_never_comes(), 0.05)


async def threading_event_that_never_comes() -> None:
    import asyncio

    await asyncio.Event().wait()


@pytest.mark.parametrize(
    "program",
    [
        "producer = Producer(address); producer.send(topic, b'x').result(30)",
        "producer = Producer(address); [producer.send(topic, b'x') for _ in range(10_000)]",
        "consumer = Consumer(address); consumer.assign(topic); next(iter(consumer))",
        "import threading; consumer = Consumer(address); consumer.assign(topic, at='latest'); "
        "threading.Thread(target=consumer.poll, daemon=True).start()",
    ],
)
def test_a_program_that_closes_nothing_ends_quietly(address: str, topic: str, program: str) -> None:
    with Producer(address) as producer:
        producer.send(topic, b"first")
    head = f"from logserver_client import *; address, topic = {address!r}, {topic!r}; "
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", head + program], capture_output=True, text=True, timeout=60
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_asyncio_programs_end_quietly_too(address: str, topic: str) -> None:
    program = f"""
import asyncio
from logserver_client import aio

async def main():
    async with aio.Producer({address!r}) as producer, aio.Consumer({address!r}) as consumer:
        await consumer.assign({topic!r})
        await producer.send({topic!r}, b"x")
        await consumer.poll(30)

for _ in range(3):
    asyncio.run(main())
"""
    ended = subprocess.run([sys.executable, "-X", "dev", "-c", program], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
