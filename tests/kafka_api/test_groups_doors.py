"""A group is one thing through every door: the bundled client and Kafka's share it, and follow each other in it."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient
from logserver_client import AdminClient as BundledAdmin
from logserver_client import OffsetAndMetadata

from logserver.coordinator.consumer_protocol import write_assignment
from logserver.testing import LogServer

from .groups import commit, committed, fetch, join, subscription, sync
from .raw_client import RawClient
from .records import create_topic
from .rolling import GROUP, TOPIC, Books, Member, Source, Watch, wait_for
from .test_groups_migration import CLASSIC, KIP_848, SETTINGS, BundledMember, PythonMember

PARTITIONS: Final = 6

OF_KAFKA: Final[dict[str, Callable[[LogServer, str, Books], Any]]] = {
    "range": lambda server, name, books: Member(server, name, books, **CLASSIC["range"]),
    "cooperative-sticky": lambda server, name, books: Member(server, name, books, **CLASSIC["cooperative-sticky"]),
    "consumer": lambda server, name, books: Member(server, name, books, **KIP_848),
    "kafka-python": PythonMember,
}


@pytest.fixture
def server() -> Iterator[LogServer]:
    """A server whose consumer groups (KIP-848) take in changes sooner than with the default of 5 seconds."""
    with LogServer(settings=SETTINGS) as server:
        create_topic(server, TOPIC, PARTITIONS)
        yield server


@pytest.mark.parametrize("is_bundled_first", [True, False], ids=["bundled first", "bundled second"])
@pytest.mark.parametrize("kind", OF_KAFKA)
def test_each_takes_over_and_shares_what_the_other_has(server: LogServer, kind: str, is_bundled_first: bool) -> None:
    books = Books(PARTITIONS)
    source, watch = Source(server, PARTITIONS), Watch(server, books)
    kinds: list[tuple[str, Callable[[LogServer, str, Books], Any]]] = [
        ("bundled", BundledMember),
        ("kafka", OF_KAFKA[kind]),
    ]
    (first, start_first), (second, start_second) = kinds if is_bundled_first else reversed(kinds)

    def shared_by(*names: str) -> None:
        wait_for(lambda: bool(books.faults) or books.shared_by(*names), lambda: books.owners)
        assert books.faults[:5] == []

    one = start_first(server, first, books)
    shared_by(first)
    other = start_second(server, second, books)
    shared_by(first, second)
    one.end()
    shared_by(second)
    one = start_first(server, f"{first} again", books)
    shared_by(f"{first} again", second)
    # With nobody in between, the next one follows at what is committed.
    one.end()
    other.end()
    last = start_first(server, f"{first} at last", books)
    shared_by(f"{first} at last")
    source.end()
    wait_for(lambda: len(books.read) == source.records, lambda: (len(books.read), source.records))
    last.end()
    wait_for(lambda: sum(watch.last.values()) == source.records, lambda: watch.last)
    watch.end()
    assert books.faults[:5] == []
    assert set(books.read.values()) == {1}


def test_what_is_committed_at_one_door_is_seen_at_the_other(server: LogServer, client: RawClient) -> None:
    with BundledAdmin(server.grpc) as admin:
        admin.commit_offsets(GROUP, {(TOPIC, 0): OffsetAndMetadata(7, 0, "from the bundled client")})
        assert committed(client, GROUP) == {(TOPIC, 0): 7}
        consumer = Consumer({"bootstrap.servers": server.kafka, "group.id": GROUP})
        (found,) = consumer.committed([TopicPartition(TOPIC, 0)], timeout=10)
        # librdkafka copies the metadata without a zero at its end (its issue 4649), Python is given what follows, too.
        assert (found.offset, found.leader_epoch) == (7, 0)
        assert found.metadata.startswith("from the bundled client")
        consumer.close()
        (topic,) = fetch(client, None, group_id=GROUP).topics
        assert topic.partitions[0].metadata == "from the bundled client"
        commit(client, {(TOPIC, 1): 9}, group_id=GROUP)
        known = admin.committed_offsets(GROUP)
        assert {place.partition: at.offset for place, at in known.items()} == {0: 7, 1: 9}


def test_what_is_reset_or_deleted_at_one_door_is_so_at_the_other(server: LogServer, client: RawClient) -> None:
    commit(client, {(TOPIC, partition): 5 for partition in range(3)}, group_id=GROUP)
    kafka = AdminClient({"bootstrap.servers": server.kafka})
    with BundledAdmin(server.grpc) as bundled:
        bundled.reset_offsets(GROUP, TOPIC, "earliest")
        assert set(committed(client, GROUP).values()) == {0}
        altered = ConsumerGroupTopicPartitions(GROUP, [TopicPartition(TOPIC, 0, 3)])
        kafka.alter_consumer_group_offsets([altered])[GROUP].result(10)
        assert {at.offset for place, at in bundled.committed_offsets(GROUP).items() if place.partition == 0} == {3}
        assert [group.group_id for group in bundled.list_groups()] == [GROUP]
        bundled.delete_group(GROUP)
    assert kafka.list_consumer_groups().result(10).valid == []


def test_the_members_of_a_classic_group_are_shown_at_the_other_door(server: LogServer, client: RawClient) -> None:
    given = write_assignment(0, [(TOPIC, 0), (TOPIC, 2)])
    joined = join(client, group_id=GROUP, metadata=subscription(TOPIC))
    with BundledAdmin(server.grpc) as bundled:
        assert [member.state for member in bundled.describe_group(GROUP).members] == ["rebalancing"]
        sync(client, joined, {joined.member_id: given}, group_id=GROUP)
        commit(client, {(TOPIC, 2): 0}, group_id=GROUP, member_id=joined.member_id, epoch=joined.generation_id)
        group = bundled.describe_group(GROUP)
    (member,) = group.members
    assert (group.type, group.state, group.assignor) == ("classic", "stable", "range")
    assert (member.member_id, member.member_epoch, member.state) == (joined.member_id, joined.generation_id, "stable")
    assert member.subscription.topics == (TOPIC,)
    assert [place.partition for place in member.assigned] == [0, 2]
    assert 0 < member.session_left_ms <= 45_000
    assert {(offset.partition, offset.member_id) for offset in group.offsets} == {
        (0, member.member_id),
        (2, member.member_id),
    }
