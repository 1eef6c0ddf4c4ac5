"""Groups of kafka-python and aiokafka, and groups that go on at another door."""

import asyncio
import time
from collections.abc import Iterator
from threading import Condition, Event, Thread
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from logserver_client import Consumer

from logserver.testing import LogServer

from .test_groups_confluent import CLASSIC, KIP_848, PARTITIONS, PER_PARTITION, fill, member, read

ALL = PARTITIONS * PER_PARTITION


@pytest.fixture
def server() -> Iterator[LogServer]:
    """A server whose consumer groups (KIP-848) take in changes sooner than with the default of 5 seconds."""
    with LogServer(settings={"group.consumer.heartbeat.interval.ms": "500"}) as server:
        yield server


class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Takes down what it is told."""

    def __init__(self, changed: Condition) -> None:
        self.owned: set[TopicPartition] = set()
        self._changed = changed

    def on_partitions_assigned(self, assigned: Any) -> None:
        with self._changed:
            self.owned |= set(assigned)
            self._changed.notify_all()

    def on_partitions_revoked(self, revoked: Any) -> None:
        with self._changed:
            self.owned -= set(revoked)
            self._changed.notify_all()


def kafka_python(server: LogServer, **settings: Any) -> KafkaConsumer:
    return KafkaConsumer(
        bootstrap_servers=server.kafka,
        group_id="g",
        auto_offset_reset="earliest",
        session_timeout_ms=6_000,
        heartbeat_interval_ms=200,
        **settings,
    )


def poll(consumer: KafkaConsumer) -> list[str]:
    """Polls once; returns the values that came.

    Waits for long: kafka-python 3.0.12 forgets an assignment whose SyncGroup is answered between two polls.
    """
    return [
        record.value.decode()
        for records in consumer.poll(timeout_ms=2_000, max_records=10).values()
        for record in records
    ]


def read_some(consumer: KafkaConsumer, count: int) -> list[str]:
    """Reads at least so many values."""
    values: list[str] = []
    end = time.monotonic() + 40
    while len(values) < count:
        assert time.monotonic() < end, f"only {len(values)} of {count} values came"
        values += poll(consumer)
    return values


def test_kafka_python_commits_automatically(server: LogServer) -> None:
    fill(server)
    one = kafka_python(server, enable_auto_commit=True, auto_commit_interval_ms=100)
    one.subscribe(["t"])
    first = read_some(one, 30)
    one.close()
    two = kafka_python(server)
    two.subscribe(["t"])
    second = read_some(two, ALL - len(first))
    two.close()
    assert len({*first, *second}) == len(first) + len(second) == ALL


def test_kafka_python_commits_by_hand(server: LogServer) -> None:
    fill(server)
    one = kafka_python(server, enable_auto_commit=False)
    one.subscribe(["t"])
    first = read_some(one, 30)
    one.commit()
    read_some(one, 10)
    one.close()
    two = kafka_python(server, enable_auto_commit=False)
    two.subscribe(["t"])
    assert len({*first, *read_some(two, ALL - len(first))}) == ALL
    two.close()


def test_kafka_python_tells_its_listener(server: LogServer) -> None:
    fill(server)
    changed, stops = Condition(), [Event(), Event()]
    listeners = [Listener(changed), Listener(changed)]

    def work(listener: Listener, stop: Event) -> None:
        consumer = kafka_python(server)
        consumer.subscribe(["t"], listener=listener)
        while not stop.is_set():
            poll(consumer)
        consumer.close()

    threads = [Thread(target=work, args=pair) for pair in zip(listeners, stops, strict=True)]
    for thread in threads:
        thread.start()
    one, two = listeners
    try:
        with changed:
            assert changed.wait_for(lambda: len(one.owned) == len(two.owned) == PARTITIONS // 2, 40)
            assert one.owned.isdisjoint(two.owned)
        stops[1].set()
        with changed:
            assert changed.wait_for(lambda: len(one.owned) == PARTITIONS, 40)
    finally:
        for stop, thread in zip(stops, threads, strict=True):
            stop.set()
            thread.join(40)


async def test_aiokafka_shares_and_commits(server: LogServer) -> None:
    fill(server)

    def consumer() -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            "t",
            bootstrap_servers=server.kafka,
            group_id="g",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            session_timeout_ms=6_000,
            heartbeat_interval_ms=200,
        )

    async def some(source: AIOKafkaConsumer, count: int) -> list[str]:
        return [(await source.getone()).value.decode() for _ in range(count)]

    async with consumer() as one:
        first = await asyncio.wait_for(some(one, 30), 40)
        await one.commit()
        async with consumer() as two:
            while len(one.assignment()) != PARTITIONS // 2 or len(two.assignment()) != PARTITIONS // 2:
                await asyncio.wait_for(asyncio.sleep(0.05), 40)
        assert one.assignment()
    async with consumer() as three:
        assert len({*first, *await asyncio.wait_for(some(three, ALL - 30), 40)}) == ALL


# Between doors


@pytest.mark.parametrize("settings", [CLASSIC[0], KIP_848], ids=["classic", "consumer"])
def test_kafka_goes_on_where_the_bundled_client_has_left(server: LogServer, settings: dict[str, Any]) -> None:
    fill(server)
    first: list[str] = []
    with Consumer(server.grpc, group_id="g", auto_offset_reset="earliest") as bundled:
        bundled.subscribe("t")
        while len(first) < 30:
            first += [record.value.decode() for record in bundled.poll(10, max_records=30 - len(first))]
        bundled.commit()
    with member(server, **settings) as one:
        one.subscribe(["t"])
        assert len({*first, *read([one], ALL - 30)}) == ALL


@pytest.mark.parametrize("settings", [CLASSIC[0], KIP_848], ids=["classic", "consumer"])
def test_the_bundled_client_goes_on_where_kafka_has_left(server: LogServer, settings: dict[str, Any]) -> None:
    fill(server)
    with member(server, **settings) as one:
        one.subscribe(["t"])
        first = read([one], 30)
        one.commit(asynchronous=False)
    second: list[str] = []
    with Consumer(server.grpc, group_id="g", auto_offset_reset="earliest") as bundled:
        bundled.subscribe("t")
        while len(second) < ALL - 30:
            second += [record.value.decode() for record in bundled.poll(10)]
    assert len({*first, *second}) == ALL


def test_both_doors_share_a_group_of_the_new_protocol(server: LogServer) -> None:
    fill(server)
    values: list[str] = []
    with Consumer(server.grpc, group_id="g", auto_offset_reset="earliest") as bundled, member(server, **KIP_848) as one:
        one.subscribe(["t"])
        bundled.subscribe("t")
        end = time.monotonic() + 40
        while len(one.assignment()) != 2 or len(bundled.assignment()) != 2 or len(set(values)) < ALL:
            assert time.monotonic() < end, (one.assignment(), bundled.assignment(), len(values))
            message = one.poll(0.02)
            if message is not None and message.error() is None:
                values.append(message.value().decode())
            values += [record.value.decode() for record in bundled.poll(0.02)]
