"""Groups of confluent-kafka (librdkafka): both protocols, every assignor, static members, and AdminClient."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import pytest
from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from logserver.testing import LogServer

from .raw_client import RawClient
from .records import batch, create_topic, stored

PARTITIONS: Final = 4
PER_PARTITION: Final = 20

CLASSIC: Final = [{"partition.assignment.strategy": name} for name in ("range", "roundrobin", "cooperative-sticky")]
KIP_848: Final = {"group.protocol": "consumer"}
PROTOCOLS: Final = [*CLASSIC, KIP_848]
NAMES: Final = ["range", "roundrobin", "cooperative-sticky", "consumer"]


@pytest.fixture
def server() -> Iterator[LogServer]:
    """A server whose consumer groups (KIP-848) take in changes sooner than with the default of 5 seconds."""
    with LogServer(settings={"group.consumer.heartbeat.interval.ms": "500"}) as server:
        yield server


def fill(server: LogServer, topic: str = "t") -> None:
    """Stores numbered values, every one of them once."""
    create_topic(server, topic, PARTITIONS)
    with RawClient(server.kafka) as client:
        for partition in range(PARTITIONS):
            values = [f"{topic} {partition} {number}" for number in range(PER_PARTITION)]
            stored(client, batch(*values), topic=topic, partition=partition)


@contextmanager
def member(server: LogServer, **settings: Any) -> Iterator[Consumer]:
    config = {
        "bootstrap.servers": server.kafka,
        "group.id": "g",
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        **settings,
    }
    if config.get("group.protocol") != "consumer":
        config = {"session.timeout.ms": 6_000, "heartbeat.interval.ms": 200, **config}
    consumer = Consumer(config)
    try:
        yield consumer
    finally:
        consumer.close()


def poll_until(consumers: Sequence[Consumer], done: Callable[[], bool]) -> list[str]:
    """Polls consumers in turns until something is so; returns the values that came."""
    values: list[str] = []
    end = time.monotonic() + 40
    while not done():
        assert time.monotonic() < end, "what is waited for does not happen"
        for consumer in consumers:
            message = consumer.poll(0.02)
            if message is not None:
                assert message.error() is None, message.error()
                values.append(message.value().decode())
    return values


def read(consumers: Sequence[Consumer], count: int) -> list[str]:
    """Reads so many values."""
    values: list[str] = []
    end = time.monotonic() + 40
    while len(values) < count:
        assert time.monotonic() < end, f"only {len(values)} of {count} came"
        for consumer in consumers:
            message = consumer.poll(0.02)
            if message is not None:
                assert message.error() is None, message.error()
                values.append(message.value().decode())
    return values


def share(consumers: Sequence[Consumer]) -> bool:
    """Whether consumers own everything between them, the same number each."""
    owned = [(found.topic, found.partition) for consumer in consumers for found in consumer.assignment()]
    sizes = {len(consumer.assignment()) for consumer in consumers}
    return len(owned) == len(set(owned)) == PARTITIONS and sizes == {PARTITIONS // len(consumers)}


@pytest.mark.parametrize("settings", PROTOCOLS, ids=NAMES)
def test_members_share_and_take_over(server: LogServer, settings: dict[str, Any]) -> None:
    fill(server)
    with member(server, **settings) as one:
        one.subscribe(["t"])
        poll_until([one], lambda: share([one]))
        with member(server, **settings) as two:
            two.subscribe(["t"])
            poll_until([one, two], lambda: share([one, two]))
        poll_until([one], lambda: share([one]))


@pytest.mark.parametrize("settings", PROTOCOLS, ids=NAMES)
def test_the_next_member_goes_on_at_what_is_committed(server: LogServer, settings: dict[str, Any]) -> None:
    fill(server)
    with member(server, **settings) as one:
        one.subscribe(["t"])
        first = read([one], 30)
        one.commit(asynchronous=False)
    with member(server, **settings) as two:
        two.subscribe(["t"])
        second = read([two], PARTITIONS * PER_PARTITION - 30)
    assert len({*first, *second}) == PARTITIONS * PER_PARTITION


@pytest.mark.parametrize(("before", "after"), [(CLASSIC[0], KIP_848), (KIP_848, CLASSIC[0])])
def test_one_protocol_goes_on_where_the_other_has_left(
    server: LogServer, before: dict[str, Any], after: dict[str, Any]
) -> None:
    test_values = PARTITIONS * PER_PARTITION
    fill(server)
    with member(server, **before) as one:
        one.subscribe(["t"])
        first = read([one], 30)
        one.commit(asynchronous=False)
    with member(server, **after) as two:
        two.subscribe(["t"])
        assert len({*first, *read([two], test_values - 30)}) == test_values


@pytest.mark.parametrize("settings", [CLASSIC[0], KIP_848], ids=["classic", "consumer"])
def test_topics_by_pattern(server: LogServer, settings: dict[str, Any]) -> None:
    fill(server, "apples")
    fill(server, "bananas")
    with member(server, **settings) as one:
        one.subscribe(["^app.*"])
        values = read([one], PARTITIONS * PER_PARTITION)
        assert {value.split()[0] for value in values} == {"apples"}
        assert {found.topic for found in one.assignment()} == {"apples"}


@pytest.mark.parametrize("settings", [CLASSIC[0], KIP_848], ids=["classic", "consumer"])
def test_a_static_member_comes_back_to_its_partitions(server: LogServer, settings: dict[str, Any]) -> None:
    fill(server)
    with member(server, **settings, **{"group.instance.id": "one"}) as one:
        one.subscribe(["t"])
        with member(server, **settings, **{"group.instance.id": "two"}) as two:
            two.subscribe(["t"])
            poll_until([one, two], lambda: share([one, two]))
            kept, owned = set(map(str, one.assignment())), set(map(str, two.assignment()))
        with member(server, **settings, **{"group.instance.id": "two"}) as two:
            two.subscribe(["t"])
            poll_until([one, two], lambda: bool(two.assignment()))
            assert set(map(str, two.assignment())) == owned
            assert set(map(str, one.assignment())) == kept


@pytest.mark.parametrize("settings", [CLASSIC[0], KIP_848], ids=["classic", "consumer"])
def test_automatic_commits_are_made_on_closing(server: LogServer, settings: dict[str, Any]) -> None:
    fill(server)
    with member(server, **settings, **{"enable.auto.commit": True}) as one:
        one.subscribe(["t"])
        read([one], PARTITIONS * PER_PARTITION)
    with member(server, **settings) as two:
        places = [TopicPartition("t", partition) for partition in range(PARTITIONS)]
        assert [found.offset for found in two.committed(places, timeout=10)] == [PER_PARTITION] * PARTITIONS


def test_commits_without_a_group_s_membership(server: LogServer) -> None:
    fill(server)
    with member(server) as one:
        one.assign([TopicPartition("t", 0, 5)])
        read([one], 3)
        one.commit(asynchronous=False)
        assert one.committed([TopicPartition("t", 0)], timeout=10)[0].offset == 8


# Admin


@pytest.mark.parametrize("settings", [CLASSIC[0], KIP_848], ids=["classic", "consumer"])
def test_admin_lists_describes_and_deletes(server: LogServer, settings: dict[str, Any]) -> None:
    fill(server)
    admin = AdminClient({"bootstrap.servers": server.kafka})
    with member(server, **settings) as one:
        one.subscribe(["t"])
        poll_until([one], lambda: share([one]))
        (listed,) = admin.list_consumer_groups().result(10).valid
        assert (listed.group_id, listed.state, listed.is_simple_consumer_group) == (
            "g",
            ConsumerGroupState.STABLE,
            False,
        )
        assert listed.type.name.lower() == settings.get("group.protocol", "classic")
        described = admin.describe_consumer_groups(["g"])["g"].result(10)
        (found,) = described.members
        assert {(place.topic, place.partition) for place in found.assignment.topic_partitions} == {
            ("t", partition) for partition in range(PARTITIONS)
        }
        with pytest.raises(KafkaException, match="NON_EMPTY_GROUP"):
            admin.delete_consumer_groups(["g"])["g"].result(10)
    assert admin.describe_consumer_groups(["g"])["g"].result(10).state is ConsumerGroupState.EMPTY
    admin.delete_consumer_groups(["g"])["g"].result(10)
    assert admin.list_consumer_groups().result(10).valid == []


def test_admin_alters_offsets_of_a_group_that_is_not_running(server: LogServer) -> None:
    fill(server)
    admin = AdminClient({"bootstrap.servers": server.kafka})

    def alter(offset: int) -> list[TopicPartition]:
        request = ConsumerGroupTopicPartitions("g", [TopicPartition("t", 0, offset)])
        found: list[TopicPartition] = admin.alter_consumer_group_offsets([request])["g"].result(10).topic_partitions
        return found

    assert [place.error for place in alter(7)] == [None]
    request = ConsumerGroupTopicPartitions("g", [TopicPartition("t", 0)])
    listed = admin.list_consumer_group_offsets([request])["g"].result(10).topic_partitions
    assert [place.offset for place in listed] == [7]
    with member(server) as one:
        one.subscribe(["t"])
        poll_until([one], lambda: share([one]))
        assert [place.error.code() for place in alter(3)] == [KafkaError.UNKNOWN_MEMBER_ID]
