"""share.isolation.level of a share group (KIP-932): what its members see of transactions, and that it may change while
they work."""

import pytest

from logserver.testing import LogServer

from .admin import DELETE, GROUP, SET, alter
from .raw_client import RawClient
from .records import batch, create_topic, stored, values_of
from .share import ACCEPT, RELEASE, SHARE_FETCH, Member, acquired
from .test_share_offsets import offsets
from .transactional import TransactionalProducer

NOTHING: list[tuple[int, int, int]] = []


def set_level(client: RawClient, level: str) -> None:
    assert alter(client, GROUP, "g", ("share.isolation.level", SET, level)).error_code == 0


@pytest.fixture
def topic_id(server: LogServer, client: RawClient) -> str:
    found = create_topic(server)
    alter(client, GROUP, "g", ("share.auto.offset.reset", SET, "earliest"))
    set_level(client, "read_committed")
    return found


@pytest.fixture
def member(client: RawClient, topic_id: str) -> Member:
    """A member that has seen that there is nothing."""
    member = Member(client, topic_id)
    assert member.fetch() == NOTHING
    return member


def begun(client: RawClient, name: str = "x") -> TransactionalProducer:
    """Returns a producer that can send."""
    producer = TransactionalProducer(client, name)
    assert not producer.init()
    return producer


def take(member: Member) -> tuple[list[tuple[int, int, int]], list[str]]:
    """Returns what a member is given, at least something: offsets with delivery counts, and the values of all records
    that came."""
    answer = member.fetch_all(max_wait_ms=10_000)
    (partition,) = answer.responses[0].partitions
    return acquired(partition), values_of(partition.records)


def test_records_of_an_open_transaction_wait_until_it_is_committed(client: RawClient, member: Member) -> None:
    producer = begun(client)
    assert not producer.send("a", "b")
    # What comes behind them waits, too.
    stored(client, batch("c"))
    assert member.fetch() == NOTHING
    assert not producer.end()
    assert take(member) == ([(0, 2, 1)], ["a", "b", "c"])
    # The marker is nothing that somebody would have to acknowledge.
    assert member.outcome((0, 2, ACCEPT)) == 0
    assert offsets(client) == {("t", 0): (4, 0, 0)}


def test_who_waits_gets_them_with_the_end_of_the_transaction(
    server: LogServer, client: RawClient, member: Member
) -> None:
    producer = begun(client)
    assert not producer.send("a")
    with RawClient(server.kafka) as other:
        waiting = Member(other, member._topic_id, name="n")
        other.send(SHARE_FETCH, 2, waiting.ask(max_wait_ms=30_000))
        assert member.fetch() == NOTHING
        assert not producer.end()
        (topic,) = other.receive().responses
        assert acquired(topic.partitions[0]) == [(0, 0, 1)]


def test_aborted_records_are_never_delivered(client: RawClient, member: Member) -> None:
    aborting, committing = begun(client, "x"), begun(client, "y")
    for number in range(3):
        assert not aborting.send(f"a{number}")
        assert not committing.send(f"c{number}")
        stored(client, batch(f"n{number}"))
    assert not aborting.end(commit=False)
    assert member.fetch() == NOTHING
    assert not committing.end()
    assert take(member) == ([(1, 2, 1), (4, 5, 1), (7, 8, 1)], ["c0", "n0", "c1", "n1", "c2", "n2"])
    assert member.outcome((1, 2, ACCEPT), (4, 5, RELEASE), (7, 8, ACCEPT)) == 0
    assert take(member) == ([(4, 5, 2)], ["c1", "n1"])
    assert member.outcome((4, 5, ACCEPT)) == 0
    assert offsets(client) == {("t", 0): (11, 0, 0)}


def test_by_itself_a_group_reads_what_is_not_committed(client: RawClient, member: Member) -> None:
    alter(client, GROUP, "g", ("share.isolation.level", DELETE, None))
    producer = begun(client)
    assert not producer.send("a")
    assert take(member) == ([(0, 0, 1)], ["a"])
    assert not producer.end(commit=False)
    stored(client, batch("b"))
    assert take(member) == ([(2, 2, 1)], ["b"])


def test_from_committed_to_uncommitted_while_a_member_waits(
    server: LogServer, client: RawClient, member: Member
) -> None:
    producer = begun(client)
    stored(client, batch("a"))
    assert not producer.send("b")
    assert take(member) == ([(0, 0, 1)], ["a"])
    with RawClient(server.kafka) as other:
        waiting = Member(other, member._topic_id, name="n")
        other.send(SHARE_FETCH, 2, waiting.ask(max_wait_ms=30_000))
        assert member.fetch() == NOTHING
        set_level(client, "read_uncommitted")
        (topic,) = other.receive().responses
        assert acquired(topic.partitions[0]) == [(1, 1, 1)]
    # What was held is held still.
    assert member.outcome((0, 0, ACCEPT)) == 0


def test_from_uncommitted_to_committed_while_a_member_works(client: RawClient, member: Member) -> None:
    set_level(client, "read_uncommitted")
    producer = begun(client)
    assert not producer.send("a", "b")
    assert take(member) == ([(0, 1, 1)], ["a", "b"])
    # These are known already, and nobody has had them.
    assert not producer.send("c")
    stored(client, batch("d"))
    assert member.fetch(max_records=1, share_acquire_mode=1, max_wait_ms=10_000) == [(2, 2, 1)]
    set_level(client, "read_committed")
    assert member.fetch() == NOTHING
    # What was delivered is held still.
    assert member.outcome((0, 2, ACCEPT)) == 0
    assert not producer.send("e")
    assert not producer.end(commit=False)
    assert take(member) == ([(3, 3, 1)], ["d"])
    assert member.outcome((3, 3, ACCEPT)) == 0
    assert offsets(client) == {("t", 0): (6, 0, 0)}


def test_a_lock_goes_on_when_the_level_changes(server: LogServer, client: RawClient, member: Member) -> None:
    stored(client, batch(*"abc"))
    assert take(member)[0] == [(0, 2, 1)]
    server.clock.advance(20)
    set_level(client, "read_uncommitted")
    assert member.outcome((0, 0, ACCEPT)) == 0
    server.clock.advance(9)
    assert member.fetch() == NOTHING
    server.clock.advance(2)
    assert take(member)[0] == [(1, 2, 2)]
