"""Apache Kafka's own Java share consumer with explicit acknowledgement: what it accepts, releases, rejects and renews
(KIP-932, KIP-1222), told by the server's clock and not by waiting; and what it sees of transactions."""

from collections.abc import Callable, Iterator
from typing import Final

import pytest

from logserver.testing import LogServer

from ..other_clients.share_consumers import JavaError, JavaMember, JavaShareConsumers, Polled
from .admin import GROUP, SET, alter
from .raw_client import RawClient
from .records import batch, create_topic, stored
from .rolling import wait_for
from .test_share_offsets import offsets
from .transactional import TransactionalProducer

pytestmark = pytest.mark.timeout(300)

LOCK_S: Final = 3_600
MOST_OF_IT_S: Final = 2_400
"""Twice that is more than the lock."""
SETTINGS: Final = {
    "group.share.record.lock.duration.ms": str(LOCK_S * 1000),
    "group.share.max.record.lock.duration.ms": str(LOCK_S * 1000),
    # Members stay, however far the clock is moved.
    "group.share.session.timeout.ms": "1000000000",
    "group.share.max.session.timeout.ms": "1000000000",
}

Open = Callable[[], JavaMember]


@pytest.fixture(scope="session")
def java() -> Iterator[JavaShareConsumers]:
    """The process of the members."""
    with JavaShareConsumers() as java:
        yield java


@pytest.fixture
def server() -> Iterator[LogServer]:
    with LogServer(settings=SETTINGS) as server:
        yield server


@pytest.fixture(autouse=True)
def topic_id(server: LogServer, client: RawClient) -> str:
    """A topic with six records in a batch, of which groups get all."""
    found = create_topic(server)
    stored(client, batch(*"abcdef"))
    alter(client, GROUP, "g", ("share.auto.offset.reset", SET, "earliest"))
    return found


@pytest.fixture
def open_member(java: JavaShareConsumers, server: LogServer) -> Iterator[Open]:
    """Opens members with explicit acknowledgement; they are closed at the end."""
    members: list[JavaMember] = []

    def open_one() -> JavaMember:
        members.append(java.open(server.kafka, "t", "g", {"share.acknowledgement.mode": "explicit"}))
        return members[-1]

    yield open_one
    for member in members:
        member.close()


def delivered(records: list[Polled]) -> list[tuple[str, int]]:
    """Returns values and delivery counts."""
    return [(record.value, record.deliveries) for record in records]


def take_one_of(*members: JavaMember) -> list[Polled]:
    """Returns the next records of whoever gets some."""
    found: list[Polled] = []

    def has_some() -> bool:
        for member in members:
            found.extend(member.poll())
        return bool(found)

    wait_for(has_some)
    return found


def test_each_record_has_its_own_outcome(client: RawClient, open_member: Open) -> None:
    member = open_member()
    records = member.take()
    assert delivered(records) == [(value, 1) for value in "abcdef"]
    assert member.lock_ms == LOCK_S * 1000
    for record, kind in zip(records, ("ACCEPT", "RELEASE", "REJECT", "RENEW", "RELEASE", "ACCEPT"), strict=True):
        member.acknowledge([record], kind)
    assert member.commit() == {0: None}
    # What is renewed the consumer has still: it shows it again before it fetches more.
    renewed = member.take()
    assert delivered(renewed) == [("d", 1)]
    member.acknowledge(renewed)
    again = member.take()
    assert delivered(again) == [("b", 2), ("e", 2)]
    member.acknowledge(again)
    assert member.commit() == {0: None}
    assert offsets(client) == {("t", 0): (6, 0, 0)}


def test_what_is_renewed_stays_and_the_rest_goes_to_others(
    server: LogServer, client: RawClient, open_member: Open
) -> None:
    slow, quick = open_member(), open_member()
    records = slow.take()
    server.clock.advance(MOST_OF_IT_S)
    slow.acknowledge(records[:4], "RENEW")
    assert slow.commit() == {0: None}
    server.clock.advance(MOST_OF_IT_S)
    others = quick.take()
    assert delivered(others) == [("e", 2), ("f", 2)]
    # The lock of these has run out.
    slow.acknowledge(records[4:])
    assert slow.commit() == {0: "InvalidRecordStateException"}
    mine = slow.take()
    assert delivered(mine) == [(value, 1) for value in "abcd"]
    slow.acknowledge(mine)
    quick.acknowledge(others)
    assert slow.commit() == quick.commit() == {0: None}
    assert offsets(client) == {("t", 0): (6, 0, 0)}


def test_a_lock_is_renewed_again_and_again_by_polling(server: LogServer, open_member: Open) -> None:
    slow, quick = open_member(), open_member()
    records = slow.take()
    for _ in range(4):
        server.clock.advance(MOST_OF_IT_S)
        slow.acknowledge(records, "RENEW")
        # The acknowledgement travels with the fetch here.
        records = slow.take()
        assert delivered(records) == [(value, 1) for value in "abcdef"]
        assert quick.poll() == []
    slow.acknowledge(records, "RELEASE")
    assert slow.commit() == {0: None}
    # Both ask for records all the time by now.
    assert delivered(take_one_of(slow, quick)) == [(value, 2) for value in "abcdef"]


def test_a_lock_that_is_not_renewed_runs_out(server: LogServer, open_member: Open) -> None:
    slow, quick = open_member(), open_member()
    records = slow.take()
    assert quick.poll() == []
    server.clock.advance(LOCK_S)
    others = quick.take()
    assert delivered(others) == [(value, 2) for value in "abcdef"]
    # It is too late to renew now.
    slow.acknowledge(records, "RENEW")
    assert slow.commit() == {0: "InvalidRecordStateException"}
    assert slow.poll() == []
    server.clock.advance(LOCK_S)
    assert delivered(slow.take()) == [(value, 3) for value in "abcdef"]


def test_renewing_can_be_forbidden(server: LogServer, client: RawClient, open_member: Open) -> None:
    alter(client, GROUP, "g", ("share.renew.acknowledge.enable", SET, "false"))
    member = open_member()
    member.acknowledge(member.take(), "RENEW")
    assert member.commit() == {0: "InvalidRecordStateException"}
    server.clock.advance(LOCK_S)
    assert delivered(member.take()) == [(value, 2) for value in "abcdef"]


def test_everything_polled_has_to_be_acknowledged_before_the_next_poll(open_member: Open) -> None:
    member = open_member()
    records = member.take()
    member.acknowledge(records[1:])
    with pytest.raises(JavaError) as thrown:
        member.poll()
    assert thrown.value.kind == "IllegalStateException"
    member.acknowledge(records[:1])
    assert member.poll() == []


def test_a_group_that_reads_committed_records_gets_no_others(client: RawClient, open_member: Open) -> None:
    alter(client, GROUP, "g", ("share.isolation.level", SET, "read_committed"))
    member = open_member()
    member.acknowledge(member.take())
    aborting, committing = TransactionalProducer(client, "x"), TransactionalProducer(client, "y")
    assert not aborting.init() and not committing.init()
    assert not aborting.send("no")
    assert not committing.send("yes")
    assert not aborting.end(commit=False)
    assert member.poll() == []
    # While it works and waits, its group begins to read all, and ends that.
    assert not aborting.send("perhaps")
    alter(client, GROUP, "g", ("share.isolation.level", SET, "read_uncommitted"))
    seen = member.take()
    assert delivered(seen) == [("yes", 1), ("perhaps", 1)]
    alter(client, GROUP, "g", ("share.isolation.level", SET, "read_committed"))
    stored(client, batch("last"))
    member.acknowledge(seen)
    assert member.commit() == {0: None}
    assert member.poll() == []
    assert not aborting.end()
    assert not committing.end()
    last = member.take()
    assert delivered(last) == [("last", 1)]
    member.acknowledge(last)
    assert member.commit() == {0: None}
