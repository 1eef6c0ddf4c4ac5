"""ShareFetch and ShareAcknowledge (KIP-932) over the wire."""

import threading
from typing import Any, Final

import pytest

from logserver.errors import ErrorCode
from logserver.testing import LogServer

from .admin import GROUP, SET, alter
from .raw_client import DELETE_TOPICS, RawClient
from .records import batch, create_topic, stored
from .share import ACCEPT, GAP, REJECT, RELEASE, RENEW, SHARE_FETCH, Member, acquired

INVALID: Final = ErrorCode.invalid_request.value
NOT_HELD: Final = ErrorCode.invalid_record_state.value
RENEWS: Final = {"is_renew_ack": True, "max_bytes": 0, "min_bytes": 0, "max_records": 0, "max_wait_ms": 0}
FIRST_LOOK: Final = {"max_wait_ms": 10_000}
"""The first time, the state of the partition may have to be made."""


@pytest.fixture
def topic_id(server: LogServer, client: RawClient) -> str:
    found = create_topic(server, partitions=2)
    alter(client, GROUP, "g", ("share.auto.offset.reset", SET, "earliest"))
    return found


@pytest.fixture
def member(client: RawClient, topic_id: str) -> Member:
    """A member that holds offsets 0 to 9."""
    stored(client, batch(*"abcdefghij"))
    member = Member(client, topic_id)
    assert member.fetch(**FIRST_LOOK) == [(0, 9, 1)]
    return member


def test_sessions_go_on_by_their_epochs(client: RawClient, topic_id: str) -> None:
    member = Member(client, topic_id, joins=False)
    missing, wrong = ErrorCode.share_session_not_found.value, ErrorCode.invalid_share_session_epoch.value
    assert member.fetch_all(share_session_epoch=1).error_code == missing
    assert member.fetch_all(share_session_epoch=-1).error_code == missing
    assert member.acknowledge(share_session_epoch=1).error_code == missing
    assert member.acknowledge(share_session_epoch=0).error_code == wrong
    assert member.fetch_all((0, 0, ACCEPT), share_session_epoch=0).error_code == INVALID
    member.join()
    member.epoch = 0
    assert member.fetch_all().error_code == 0
    assert member.fetch_all(share_session_epoch=7).error_code == wrong
    assert member.fetch_all(share_session_epoch=1, partitions=()).error_code == 0
    assert member.fetch_all(share_session_epoch=1).error_code == wrong
    assert member.acknowledge(share_session_epoch=2).error_code == 0
    assert member.fetch_all(share_session_epoch=-1).error_code == 0
    assert member.fetch_all(share_session_epoch=3).error_code == missing


@pytest.mark.parametrize(
    "fields",
    [
        {"group_id": None},
        {"member_id": None},
        {"member_id": ""},
        {"member_id": "m" * 37},
        {"is_renew_ack": True},
        {"share_acquire_mode": 2},
    ],
)
def test_what_is_refused(client: RawClient, topic_id: str, fields: dict[str, Any]) -> None:
    assert Member(client, topic_id).fetch_all(**fields).error_code == INVALID


def test_too_many_sessions(topic_id: str) -> None:
    settings = {"group.share.max.share.sessions": "1", "group.share.max.size": "1"}
    with LogServer(settings=settings) as server, RawClient(server.kafka) as client:
        topic_id = create_topic(server)
        assert Member(client, topic_id, name="a").fetch_all().error_code == 0
        other = Member(client, topic_id, name="b", joins=False)
        assert other.fetch_all().error_code == ErrorCode.share_session_limit_reached.value
        # Its own can be begun again.
        assert Member(client, topic_id, name="a", joins=False).fetch_all().error_code == 0


def test_a_session_ends_and_gives_back(member: Member, client: RawClient, topic_id: str) -> None:
    answer = member.fetch_all((0, 3, ACCEPT), share_session_epoch=-1)
    assert answer.error_code == 0
    assert Member(client, topic_id, name="n").fetch() == [(4, 9, 2)]


def test_a_connection_ends_and_gives_back(server: LogServer, client: RawClient, topic_id: str) -> None:
    stored(client, batch(*"abc"))
    with RawClient(server.kafka) as gone:
        assert Member(gone, topic_id, name="n").fetch(**FIRST_LOOK) == [(0, 2, 1)]
    assert Member(client, topic_id).fetch(**FIRST_LOOK) == [(0, 2, 2)]


def test_every_outcome(member: Member) -> None:
    assert member.outcome((0, 4, [ACCEPT, RELEASE, REJECT, GAP, RELEASE])) == 0
    assert member.fetch() == [(1, 1, 2), (4, 4, 2)]
    assert member.outcome((1, 1, ACCEPT), (4, 9, ACCEPT)) == 0
    assert member.fetch() == []


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ([(3, 1, ACCEPT)], INVALID),
        ([(3, 4, ACCEPT), (1, 2, ACCEPT)], INVALID),
        ([(0, 1, [])], INVALID),
        ([(0, 3, [ACCEPT, ACCEPT])], INVALID),
        ([(0, 0, 5)], INVALID),
        ([(0, 0, -1)], INVALID),
        ([(0, 0, RENEW)], INVALID),
        ([(100, 100, ACCEPT)], INVALID),
        ([(8, 100, ACCEPT)], INVALID),
        ([(0, 2, ACCEPT), (2, 3, ACCEPT)], NOT_HELD),
    ],
)
def test_what_is_wrong_changes_nothing(member: Member, said: list[Any], code: int) -> None:
    assert member.outcome(*said) == code
    assert member.outcome((0, 9, ACCEPT)) == 0


def test_what_was_settled_before(member: Member) -> None:
    assert member.outcome((5, 5, ACCEPT)) == 0
    assert member.outcome((5, 5, ACCEPT)) == NOT_HELD
    assert member.outcome((0, 0, ACCEPT), (5, 5, ACCEPT)) == NOT_HELD
    # Below the start offset it does no harm.
    assert member.outcome((0, 1, ACCEPT)) == 0
    assert member.outcome((0, 2, ACCEPT)) == 0


def test_somebody_else_acknowledges_nothing(member: Member, client: RawClient, topic_id: str) -> None:
    other = Member(client, topic_id, name="n")
    assert other.fetch() == []
    assert other.outcome((0, 0, ACCEPT)) == NOT_HELD


def test_a_lock_runs_out(server: LogServer, member: Member) -> None:
    server.clock.advance(29)
    assert member.fetch() == []
    server.clock.advance(2)
    assert member.fetch() == [(0, 9, 2)]


def test_a_lock_is_renewed(server: LogServer, member: Member) -> None:
    server.clock.advance(20)
    assert member.outcome((0, 4, RENEW), is_renew_ack=True) == 0
    server.clock.advance(20)
    assert member.fetch() == [(5, 9, 2)]
    answer = member.fetch_all((0, 4, RENEW), **RENEWS)
    assert answer.responses[0].partitions[0].acknowledge_error_code == 0
    server.clock.advance(20)
    assert member.outcome((0, 4, ACCEPT)) == 0


def test_renewing_can_be_forbidden(member: Member, client: RawClient) -> None:
    alter(client, GROUP, "g", ("share.renew.acknowledge.enable", SET, "false"))
    assert member.outcome((0, 4, RENEW), is_renew_ack=True) == NOT_HELD


def test_deliveries_are_limited_at_once(member: Member, client: RawClient) -> None:
    alter(client, GROUP, "g", ("share.delivery.count.limit", SET, "2"))
    assert member.fetch((0, 9, RELEASE)) == [(0, 9, 2)]
    assert member.fetch((0, 9, RELEASE)) == []
    stored(client, batch("k"))
    assert member.fetch(**FIRST_LOOK) == [(10, 10, 1)]


def test_what_was_delivered_often_comes_in_parts_and_for_the_last_time_alone(member: Member, client: RawClient) -> None:
    for count in (2, 3):
        assert member.fetch((0, 9, RELEASE)) == [(0, 9, count)]
    stored(client, batch("k"))
    assert member.fetch((0, 9, RELEASE)) == [(0, 4, 4)]
    assert member.fetch() == [(5, 9, 4)]
    assert member.fetch() == [(10, 10, 1)]
    assert member.fetch((0, 9, RELEASE)) == [(0, 0, 5)]
    # Whoever accepts or loses this one does nothing to the others.
    assert member.fetch((0, 0, RELEASE)) == [(1, 1, 5)]
    assert member.fetch((1, 1, ACCEPT)) == [(2, 2, 5)]


def test_locks_of_a_partition_are_limited_at_once(client: RawClient, topic_id: str) -> None:
    for number in range(150):
        stored(client, batch(str(number)))
    alter(client, GROUP, "g", ("share.partition.max.record.locks", SET, "100"))
    member = Member(client, topic_id)
    assert member.fetch(**FIRST_LOOK) == [(0, 99, 1)]
    assert member.fetch() == []
    alter(client, GROUP, "g", ("share.partition.max.record.locks", SET, "120"))
    assert member.fetch(**FIRST_LOOK) == [(100, 119, 1)]
    assert member.fetch((0, 9, ACCEPT)) == [(120, 129, 1)]


def test_max_records_goes_to_the_end_of_a_batch(client: RawClient, topic_id: str) -> None:
    for values in ("abc", "defg", "hij"):
        stored(client, batch(*values))
    member = Member(client, topic_id)
    assert member.fetch(max_records=2, **FIRST_LOOK) == [(0, 2, 1)]
    assert member.fetch(max_records=2, share_acquire_mode=1) == [(3, 4, 1)]
    assert member.fetch(max_records=2) == [(5, 6, 1)]
    assert member.fetch(max_records=1, version=1) == [(7, 9, 1)]
    # What comes again, too.
    assert member.outcome((0, 9, RELEASE)) == 0
    assert member.fetch(max_records=2) == [(0, 2, 2)]
    assert member.fetch(max_records=1, share_acquire_mode=1) == [(3, 3, 2)]


def test_several_partitions_in_one_answer(client: RawClient, topic_id: str) -> None:
    member = Member(client, topic_id)
    member.fetch_all(partitions=(0, 1))
    stored(client, batch(*"abc"))
    stored(client, batch(*"de"), partition=1)
    answer = member.fetch_all(partitions=(), **FIRST_LOOK)
    found = {part.partition_index: acquired(part) for part in answer.responses[0].partitions}
    assert found == {0: [(0, 2, 1)], 1: [(0, 1, 1)]}


@pytest.mark.parametrize("fields", [{"max_bytes": 0}, {"max_records": 0}])
def test_who_wants_nothing_is_answered_at_once(member: Member, client: RawClient, fields: dict[str, int]) -> None:
    stored(client, batch("k"))
    assert member.fetch((0, 9, ACCEPT), max_wait_ms=60_000, **fields) == []
    assert member.fetch(**FIRST_LOOK) == [(10, 10, 1)]


def test_who_waits_gets_what_comes(server: LogServer, member: Member, client: RawClient) -> None:
    client.send(SHARE_FETCH, 2, member.ask(max_wait_ms=30_000))
    with RawClient(server.kafka) as other:
        stored(other, batch("k"))
    (topic,) = client.receive().responses
    assert acquired(topic.partitions[0]) == [(10, 10, 1)]


def test_who_waits_gets_what_another_releases(server: LogServer, member: Member, topic_id: str) -> None:
    with RawClient(server.kafka) as other:
        waiting = Member(other, topic_id, name="n")
        other.send(SHARE_FETCH, 2, waiting.ask(max_wait_ms=30_000))
        assert member.outcome((2, 3, RELEASE)) == 0
        (topic,) = other.receive().responses
        assert acquired(topic.partitions[0]) == [(2, 3, 2)]


def test_a_session_that_went_on_meanwhile(server: LogServer, member: Member, client: RawClient) -> None:
    client.send(SHARE_FETCH, 2, member.ask(max_wait_ms=2_000))
    with RawClient(server.kafka) as other:
        again = Member(other, member._topic_id, joins=False)
        again.epoch = member.epoch
        while again.fetch_all(partitions=()).error_code:
            # The request before has not arrived yet.
            again.epoch -= 1
    assert client.receive().error_code == ErrorCode.invalid_share_session_epoch.value


def test_partitions_that_are_not_there(client: RawClient, topic_id: str) -> None:
    member = Member(client, topic_id)
    answer = member.fetch_all(partitions=(7,))
    assert answer.responses[0].partitions[0].error_code == ErrorCode.unknown_topic_or_partition.value
    unknown = [{"topic_id": "B" * 21 + "A", "partitions": [{"partition_index": 0, "acknowledgement_batches": []}]}]
    answer = member.fetch_all(topics=unknown)
    assert answer.responses[0].partitions[0].error_code == ErrorCode.unknown_topic_id.value
    # They are not kept.
    assert not member.fetch_all(partitions=()).responses


def test_a_topic_is_deleted_meanwhile(member: Member, client: RawClient) -> None:
    client.call(DELETE_TOPICS, 6, {"topics": [{"name": "t"}], "timeout_ms": 10_000})
    answer = member.fetch_all(partitions=())
    assert answer.responses[0].partitions[0].error_code == ErrorCode.unknown_topic_id.value
    assert member.outcome((0, 9, ACCEPT)) == ErrorCode.unknown_topic_id.value


def test_a_group_that_nobody_is_in_gets_nothing(client: RawClient, topic_id: str) -> None:
    answer = Member(client, topic_id, group="h", joins=False).fetch_all()
    assert answer.responses[0].partitions[0].error_code == INVALID


def test_forgotten_partitions_stay_held(member: Member, topic_id: str) -> None:
    forgotten = [{"topic_id": topic_id, "partitions": [0]}]
    member.fetch_all(partitions=(), forgotten_topics_data=forgotten)
    assert not member.fetch_all(partitions=()).responses
    assert member.outcome((0, 9, ACCEPT)) == 0


def test_many_members_share(server: LogServer, client: RawClient, topic_id: str) -> None:
    for number in range(60):
        stored(client, batch(str(number)))
    seen: list[int] = []
    lock = threading.Lock()

    def work(name: str) -> None:
        with RawClient(server.kafka) as own:
            member = Member(own, topic_id, name=name)
            while len(seen) < 60:
                for first, last, _ in member.fetch(max_records=5, max_wait_ms=100):
                    assert member.outcome((first, last, ACCEPT)) == 0
                    with lock:
                        seen.extend(range(first, last + 1))

    threads = [threading.Thread(target=work, args=(f"w{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(seen) == list(range(60))
