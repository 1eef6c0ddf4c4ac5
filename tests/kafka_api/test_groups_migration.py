"""Groups that change between the classic protocol and KIP-848 while their members run, with real clients."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

import pytest
from confluent_kafka import ConsumerGroupType
from confluent_kafka.admin import AdminClient
from kafka import ConsumerRebalanceListener, KafkaConsumer
from logserver_client import Consumer as BundledConsumer

from logserver.coordinator.consumer_protocol import read_assignment, write_assignment
from logserver.errors import ErrorCode
from logserver.kafka_api.codec import Struct
from logserver.testing import LogServer

from .groups import (
    CONSUMER_GROUP_DESCRIBE,
    CONSUMER_GROUP_HEARTBEAT,
    DESCRIBE_GROUPS,
    HEARTBEAT,
    JOIN_GROUP,
    SYNC_GROUP,
    beat,
    commit,
    committed,
    join,
    join_request,
    leave,
    sync,
)
from .raw_client import RawClient, served_versions
from .records import create_topic
from .rolling import GROUP, TOPIC, Books, Member, Source, Watch, wait_for

PARTITIONS: Final = 6
CLASSIC: Final[dict[str, dict[str, Any]]] = {
    name: {"partition.assignment.strategy": name} for name in ("range", "roundrobin", "cooperative-sticky")
}
KIP_848: Final = {"group.protocol": "consumer"}
SETTINGS: Final = {"group.consumer.heartbeat.interval.ms": "300"}


@pytest.fixture
def server() -> Iterator[LogServer]:
    """A server whose consumer groups (KIP-848) take in changes sooner than with the default of 5 seconds."""
    with LogServer(settings=SETTINGS) as server:
        create_topic(server, TOPIC, PARTITIONS)
        yield server


def type_of(admin: AdminClient) -> ConsumerGroupType:
    (found,) = admin.list_consumer_groups().result().valid
    kind = found.type
    assert isinstance(kind, ConsumerGroupType)
    return kind


@pytest.mark.parametrize("strategy", CLASSIC)
def test_members_roll_to_the_other_protocol_and_back(server: LogServer, strategy: str) -> None:
    books = Books(PARTITIONS)
    admin = AdminClient({"bootstrap.servers": server.kafka})
    members = [Member(server, f"m{number}", books, **CLASSIC[strategy]) for number in range(2)]
    source, watch = Source(server, PARTITIONS), Watch(server, books)

    def roll(settings: dict[str, Any], types: Sequence[ConsumerGroupType]) -> None:
        for number, expected in enumerate(types):
            members[number].end()
            wait_for(lambda: books.shared_by(*(member.name for member in members if member.is_alive())))
            members[number] = Member(server, f"{members[number].name}+", books, **settings)
            wait_for(
                lambda: books.shared_by(*(member.name for member in members)), lambda: (books.owners, books.faults)
            )
            assert type_of(admin) is expected

    wait_for(lambda: books.shared_by("m0", "m1"))
    assert type_of(admin) is ConsumerGroupType.CLASSIC
    roll(KIP_848, [ConsumerGroupType.CONSUMER, ConsumerGroupType.CONSUMER])
    roll(CLASSIC[strategy], [ConsumerGroupType.CONSUMER, ConsumerGroupType.CLASSIC])
    source.end()
    wait_for(lambda: len(books.read) == source.records, lambda: (len(books.read), source.records))
    for member in members:
        member.end()
    wait_for(lambda: sum(watch.last.values()) == source.records, lambda: watch.last)
    watch.end()
    assert watch.looks > 20
    assert books.faults == []
    # Whoever gave something up has committed before.
    assert set(books.read.values()) == {1}


class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Takes down what kafka-python is told."""

    def __init__(self, books: Books, name: str) -> None:
        self._books = books
        self._name = name

    def on_partitions_assigned(self, assigned: Any) -> None:
        self._books.assigned(self._name, [found.partition for found in assigned])

    def on_partitions_revoked(self, revoked: Any) -> None:
        self._books.given_up(self._name, [found.partition for found in revoked])


class PythonMember(Thread):
    """A consumer of kafka-python, which knows the classic protocol only, until it is told to end."""

    def __init__(self, server: LogServer, name: str, books: Books) -> None:
        super().__init__(name=name, daemon=True)
        self._books = books
        self._end = Event()
        self._consumer = KafkaConsumer(
            bootstrap_servers=server.kafka,
            group_id=GROUP,
            client_id=name,
            auto_offset_reset="earliest",
            session_timeout_ms=6_000,
            heartbeat_interval_ms=200,
            auto_commit_interval_ms=200,
        )
        self._consumer.subscribe([TOPIC], listener=Listener(books, name))
        self.start()

    def run(self) -> None:
        while not self._end.is_set():
            # For long: kafka-python 3.0.12 forgets an assignment whose SyncGroup is answered between two polls.
            for records in self._consumer.poll(timeout_ms=2_000).values():
                for record in records:
                    self._books.took(self.name, record.partition, record.offset)
        self._consumer.close()

    def end(self) -> None:
        self._end.set()
        self.join(60)


class BundledMember(Thread):
    """A consumer of the bundled client, until it is told to end."""

    def __init__(self, server: LogServer, name: str, books: Books) -> None:
        super().__init__(name=name, daemon=True)
        self._books = books
        self._end = Event()
        self._consumer = BundledConsumer(server.grpc, group_id=GROUP, auto_offset_reset="earliest")
        self._consumer.subscribe(
            [TOPIC],
            on_assigned=lambda found: books.assigned(name, [place.partition for place in found]),
            on_revoked=lambda found: books.given_up(name, [place.partition for place in found]),
        )
        self.start()

    def run(self) -> None:
        while not self._end.is_set():
            for record in self._consumer.poll(0.1):
                self._books.took(self.name, record.partition, record.offset)
        self._consumer.close()

    def end(self) -> None:
        self._end.set()
        self.join(60)


@pytest.mark.parametrize("classic_first", [True, False])
def test_kafka_python_shares_a_group_with_both_kinds_of_consumers(server: LogServer, classic_first: bool) -> None:
    books = Books(PARTITIONS)
    source, watch = Source(server, PARTITIONS), Watch(server, books)
    members: list[Any] = []

    def starts(member: Any) -> None:
        members.append(member)
        wait_for(lambda: books.shared_by(*(member.name for member in members)), lambda: (books.owners, books.faults))

    def ends(name: str) -> None:
        found = next(member for member in members if member.name == name)
        found.end()
        members.remove(found)
        wait_for(lambda: books.shared_by(*(member.name for member in members)), lambda: (books.owners, books.faults))

    if classic_first:
        starts(PythonMember(server, "python", books))
    starts(Member(server, "confluent", books, **KIP_848))
    if not classic_first:
        starts(PythonMember(server, "python", books))
    starts(BundledMember(server, "bundled", books))
    with RawClient(server.kafka) as client:
        (group,) = client.call(CONSUMER_GROUP_DESCRIBE, 1, {"group_ids": [GROUP]}).groups
        assert sorted(member.member_type for member in group.members) == [0, 1, 1]
        assert group.error_code == ErrorCode.none.value
    ends("confluent")
    ends("bundled")
    ends_with = members[0]
    source.end()
    wait_for(lambda: len(books.read) == source.records, lambda: (len(books.read), source.records))
    ends_with.end()
    watch.end()
    assert books.faults == []
    assert set(books.read.values()) == {1}


def test_a_group_of_both_protocols_goes_on_after_a_restart(tmp_path: Path) -> None:
    with LogServer(tmp_path, SETTINGS) as server:
        address = server.kafka
        create_topic(server, TOPIC, PARTITIONS)
        books = Books(PARTITIONS)
        members = [Member(server, "classic", books, **CLASSIC["range"]), Member(server, "consumer", books, **KIP_848)]
        wait_for(lambda: books.shared_by("classic", "consumer"), lambda: (books.owners, books.faults))
        source = Source(server, PARTITIONS)
        wait_for(lambda: len(books.read) > 10 * PARTITIONS)
    with LogServer(tmp_path, {**SETTINGS, "listeners": address}) as server:
        before = len(books.read)
        wait_for(lambda: len(books.read) > before + 10 * PARTITIONS)
        assert books.shared_by("classic", "consumer")
        assert type_of(AdminClient({"bootstrap.servers": server.kafka})) is ConsumerGroupType.CONSUMER
        members[1].end()
        wait_for(lambda: books.shared_by("classic"), lambda: (books.owners, books.faults))
        source.end()
        wait_for(lambda: len(books.read) == source.records, lambda: (len(books.read), source.records))
        members[0].end()
    assert books.faults == []


def test_a_group_stays_as_it_is_where_migration_is_disabled() -> None:
    with LogServer(settings={**SETTINGS, "group.consumer.migration.policy": "disabled"}) as server:
        create_topic(server, TOPIC, PARTITIONS)
        books = Books(PARTITIONS)
        first = Member(server, "classic", books, **CLASSIC["range"])
        wait_for(lambda: books.shared_by("classic"))
        other = Member(server, "consumer", books, **KIP_848)
        wait_for(lambda: any("consumer" in fault for fault in books.faults))
        assert books.shared_by("classic")
        first.end()
        other.end()


# Over the wire


@pytest.fixture
def client() -> Iterator[RawClient]:
    """A connection to a server whose consumer groups are assigned with each change."""
    with LogServer(settings={"group.consumer.assignment.interval.ms": "0"}) as server:
        create_topic(server, TOPIC, PARTITIONS)
        with RawClient(server.kafka) as client:
            yield client


REBALANCING: Final = ErrorCode.rebalance_in_progress.value


def consumer_joins(client: RawClient, epoch: int = 0) -> Struct:
    """Sends the heartbeat of a consumer that says everything."""
    request = {
        "group_id": GROUP,
        "member_id": "consumer",
        "member_epoch": epoch,
        "rebalance_timeout_ms": 30_000,
        "subscribed_topic_names": [TOPIC],
        "topic_partitions": [],
    }
    return client.call(CONSUMER_GROUP_HEARTBEAT, 1, request)


def given(assignment: bytes) -> set[int]:
    found = read_assignment(bytes(assignment))
    assert found is not None
    return {number for _, number in found.partitions}


@pytest.mark.parametrize("version", served_versions(JOIN_GROUP))
def test_every_version_joins_a_consumer_group(client: RawClient, version: int) -> None:
    consumer_joins(client)
    joined = client.call(JOIN_GROUP, version, join_request())
    if version >= 4:
        assert joined.error_code == ErrorCode.member_id_required.value
        joined = client.call(JOIN_GROUP, version, join_request(joined.member_id))
    assert (joined.error_code, joined.protocol_name, joined.leader) == (0, "range", "")
    assert joined.generation_id >= 1
    assert list(joined.members) == []
    if version >= 7:
        assert joined.protocol_type == "consumer"


@pytest.mark.parametrize("version", served_versions(SYNC_GROUP))
def test_every_version_syncs_with_a_consumer_group(client: RawClient, version: int) -> None:
    consumer_joins(client)
    answer = sync(client, join(client), version=version)
    assert answer.error_code == 0
    assert given(answer.assignment) == set()
    if version >= 5:
        assert (answer.protocol_type, answer.protocol_name) == ("consumer", "range")


@pytest.mark.parametrize("version", served_versions(HEARTBEAT))
def test_every_version_beats_in_a_consumer_group(client: RawClient, version: int) -> None:
    consumer_joins(client)
    joined = join(client)
    sync(client, joined)
    assert beat(client, joined, version=version) == 0
    assert beat(client, joined, version=version, generation_id=7) == ErrorCode.illegal_generation.value
    assert beat(client, joined, version=version, member_id="consumer") == ErrorCode.unknown_member_id.value


def test_a_group_goes_back_and_forth_over_the_wire(client: RawClient) -> None:
    joined = join(client)
    everything = write_assignment(0, [(TOPIC, number) for number in range(PARTITIONS)])
    sync(client, joined, {joined.member_id: everything})
    commit(client, {(TOPIC, 0): 5}, member_id=joined.member_id, epoch=1)
    assert consumer_joins(client).error_code == 0
    assert beat(client, joined) == REBALANCING
    joined = client.call(JOIN_GROUP, 9, join_request(joined.member_id))
    kept = given(sync(client, joined).assignment)
    assert len(kept) == PARTITIONS // 2
    answer = consumer_joins(client, joined.generation_id)
    taken = {number for topic in answer.assignment.topic_partitions for number in topic.partitions}
    assert taken == set(range(PARTITIONS)) - kept
    # What describes classic groups does not know it.
    (found,) = client.call(DESCRIBE_GROUPS, 6, {"groups": [GROUP]}).groups
    assert found.error_code == ErrorCode.group_id_not_found.value
    (found,) = client.call(CONSUMER_GROUP_DESCRIBE, 1, {"group_ids": [GROUP]}).groups
    assert {member.member_id: member.member_type for member in found.members} == {
        joined.member_id: 0,
        "consumer": 1,
    }
    assert consumer_joins(client, -1).error_code == 0
    (found,) = client.call(DESCRIBE_GROUPS, 6, {"groups": [GROUP]}).groups
    assert (found.group_state, [member.member_id for member in found.members]) == (
        "PreparingRebalance",
        [joined.member_id],
    )
    assert beat(client, joined) == REBALANCING
    commit(client, {(TOPIC, 0): 6}, member_id=joined.member_id, epoch=joined.generation_id)
    again = client.call(JOIN_GROUP, 9, join_request(joined.member_id))
    assert (again.error_code, again.generation_id, again.leader) == (
        0,
        joined.generation_id + 1,
        joined.member_id,
    )
    assert committed(client) == {(TOPIC, 0): 6}
    leave(client, (joined.member_id, None))
