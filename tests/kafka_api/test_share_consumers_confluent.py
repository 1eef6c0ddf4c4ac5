"""confluent-kafka's share consumer: implicit and explicit acknowledgement, and a queue shared with another door."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import AcknowledgeType, ShareConsumer
from logserver_client import Queue, Queues

from logserver.testing import LogServer

from .admin import GROUP, SET, alter
from .raw_client import RawClient
from .records import batch, create_topic, stored
from .rolling import wait_for
from .test_share_offsets import offsets

pytestmark = pytest.mark.timeout(120)

Open = Callable[..., Any]


@pytest.fixture
def open_consumer(server: LogServer, client: RawClient) -> Iterator[Open]:
    """Opens share consumers; they are closed at the end."""
    consumers: list[Any] = []
    alter(client, GROUP, "g", ("share.auto.offset.reset", SET, "earliest"))

    def open_one(topic: str = "t", group: str = "g", mode: str = "implicit") -> Any:
        settings = {"bootstrap.servers": server.kafka, "group.id": group, "share.acknowledgement.mode": mode}
        consumer = ShareConsumer(settings)
        consumer.subscribe([topic])
        consumers.append(consumer)
        return consumer

    yield open_one
    for consumer in consumers:
        consumer.close()


def poll(consumer: Any) -> list[Any]:
    """Returns the next messages, at least one."""
    found: list[Any] = []

    def has_some() -> bool:
        found.extend(consumer.poll(timeout=1.0))
        return bool(found)

    wait_for(has_some)
    assert all(message.error() is None for message in found)
    return found


def values(messages: list[Any]) -> str:
    return b"".join(message.value() for message in messages).decode()


def test_what_is_polled_is_accepted_with_the_next_poll(
    server: LogServer, client: RawClient, open_consumer: Open
) -> None:
    create_topic(server)
    stored(client, batch(*"abcde"))
    consumer = open_consumer()
    assert values(poll(consumer)) == "abcde"
    stored(client, batch("f"))
    assert values(poll(consumer)) == "f"
    assert set(consumer.commit_sync(timeout=30.0).values()) == {None}
    assert offsets(client) == {("t", 0): (6, 0, 0)}


def test_each_message_has_its_own_outcome(server: LogServer, client: RawClient, open_consumer: Open) -> None:
    create_topic(server)
    stored(client, batch(*"abc"))
    consumer = open_consumer(mode="explicit")
    first, second, third = poll(consumer)
    consumer.acknowledge(first, AcknowledgeType.ACCEPT)
    consumer.acknowledge(second, AcknowledgeType.RELEASE)
    consumer.acknowledge(third, AcknowledgeType.REJECT)
    assert set(consumer.commit_sync(timeout=30.0).values()) == {None}
    (again,) = poll(consumer)
    assert again.value() == b"b"
    consumer.acknowledge(again)
    consumer.commit_sync(timeout=30.0)
    assert offsets(client) == {("t", 0): (3, 0, 0)}


def test_a_lock_runs_out_and_another_gets_it(server: LogServer, client: RawClient, open_consumer: Open) -> None:
    create_topic(server)
    stored(client, batch(*"ab"))
    slow = open_consumer(mode="explicit")
    held = poll(slow)
    server.clock.advance(31)
    assert values(poll(open_consumer())) == "ab"
    for message in held:
        slow.acknowledge(message)
    (outcome,) = slow.commit_sync(timeout=30.0).values()
    assert outcome is not None


def test_a_declared_queue_is_shared_with_another_door(
    server: LogServer, client: RawClient, open_consumer: Open
) -> None:
    with Queues(server.grpc) as queues, Queue(server.grpc, "q") as queue:
        queues.declare("q")
        sent = [str(number).encode() for number in range(200)]
        member = open_consumer("q", "q")
        seen: list[bytes] = []
        for value in sent[:20]:
            queue.send(value).result(30)
        with queue.consume(prefetch=1) as consumption:
            by_grpc = by_kafka = 0
            for value in sent[20:]:
                queue.send(value)
            while len(set(seen)) < len(sent):
                message = consumption.get(timeout=0.05)
                if message is not None:
                    seen.append(message.value or b"")
                    message.ack(wait=True)
                    by_grpc += 1
                for found in member.poll(timeout=0.05):
                    assert found.error() is None
                    seen.append(found.value())
                    by_kafka += 1
        member.commit_sync(timeout=30.0)
        # Each message went to one of them, and both had some.
        assert sorted(seen) == sorted(sent)
        assert by_grpc and by_kafka
        assert offsets(client, {"q": [0]}, group="q") == {("q", 0): (200, 0, 0)}
