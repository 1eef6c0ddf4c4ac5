"""The fetch sessions of all clients: which partitions they hold, and which session makes room for another."""

import pytest

from logserver.broker.fetch_sessions import NO_SESSION, FetchPartition, FetchSessions, PartitionKey, next_epoch
from logserver.errors import ErrorCode, LogServerError

from .harness import SeededRandom

STALE_MS = 120_000


def partition(number: int = 0, topic: str = "t", offset: int = 0) -> FetchPartition:
    return FetchPartition(topic, None, number, offset, 1 << 20, -1, -1)


def many(count: int) -> dict[PartitionKey, FetchPartition]:
    return {one.key: one for one in map(partition, range(count))}


def sessions(limit: int = 2, most_partitions: int = 1000) -> FetchSessions:
    return FetchSessions(limit, most_partitions, SeededRandom(1))


def refused(code: ErrorCode, all_sessions: FetchSessions, session_id: int, epoch: int, uses_ids: bool = False) -> None:
    with pytest.raises(LogServerError) as caught:
        all_sessions.go_on(session_id, epoch, uses_ids, (), (), 0)
    assert caught.value.code is code


def test_a_session_holds_what_was_asked_for() -> None:
    all_sessions = sessions()
    session_id = all_sessions.begin(many(2), False, 0)
    session = all_sessions.go_on(session_id, 1, False, (partition(1, offset=7), partition(5)), (("t", 0),), 0)
    assert session is not None
    assert [(one.number, one.fetch_offset) for one in session.partitions.values()] == [(1, 7), (5, 0)]
    assert session.epoch == 2


def test_a_session_without_partitions_is_over() -> None:
    all_sessions = sessions()
    session_id = all_sessions.begin(many(1), False, 0)
    assert all_sessions.go_on(session_id, 1, False, (), (("t", 0), ("u", 3)), 0) is None
    refused(ErrorCode.fetch_session_id_not_found, all_sessions, session_id, 2)


def test_requests_of_a_session_come_one_after_the_other() -> None:
    all_sessions = sessions()
    session_id = all_sessions.begin(many(1), False, 0)
    refused(ErrorCode.invalid_fetch_session_epoch, all_sessions, session_id, 2)
    assert all_sessions.go_on(session_id, 1, False, (), (), 0) is not None
    refused(ErrorCode.invalid_fetch_session_epoch, all_sessions, session_id, 1)


def test_names_and_ids_do_not_mix() -> None:
    all_sessions = sessions()
    refused(ErrorCode.fetch_session_topic_id_error, all_sessions, all_sessions.begin(many(1), False, 0), 1, True)
    refused(ErrorCode.fetch_session_topic_id_error, all_sessions, all_sessions.begin(many(1), True, 0), 1, False)


def test_epochs_begin_anew_behind_the_largest() -> None:
    assert next_epoch(0) == 1
    assert next_epoch(2**31 - 1) == 1
    assert next_epoch(-1) == -1


def test_ids_are_positive_and_differ() -> None:
    all_sessions = sessions(500)
    ids = {all_sessions.begin(many(1), False, 0) for _ in range(500)}
    assert len(ids) == 500 and min(ids) > 0 and max(ids) < 2**31


def test_a_full_cache_has_no_session_to_give() -> None:
    all_sessions = sessions()
    for _ in range(2):
        assert all_sessions.begin(many(1), False, 0) != NO_SESSION
    assert all_sessions.begin(many(5), False, STALE_MS) == NO_SESSION
    assert len(all_sessions) == 2
    assert sessions(0).begin(many(1), False, 0) == NO_SESSION


def test_the_one_that_is_not_used_any_more_makes_room() -> None:
    all_sessions = sessions()
    first, second = (all_sessions.begin(many(3), False, 0) for _ in range(2))
    assert all_sessions.go_on(first, 1, False, (), (), 10) is not None
    third = all_sessions.begin(many(1), False, STALE_MS + 5)
    assert third != NO_SESSION
    refused(ErrorCode.fetch_session_id_not_found, all_sessions, second, 1)
    assert all_sessions.go_on(first, 2, False, (), (), STALE_MS + 5) is not None


def test_a_smaller_old_session_makes_room_for_a_larger_one() -> None:
    all_sessions = sessions()
    small, large = (all_sessions.begin(many(count), False, 0) for count in (2, 3))
    for session_id in (small, large):
        assert all_sessions.go_on(session_id, 1, False, (), (), STALE_MS) is not None
    now_ms = STALE_MS + 1
    assert all_sessions.begin(many(2), False, now_ms) == NO_SESSION
    assert all_sessions.begin(many(3), False, now_ms) != NO_SESSION
    refused(ErrorCode.fetch_session_id_not_found, all_sessions, small, 2)
    assert all_sessions.go_on(large, 2, False, (), (), now_ms) is not None


def test_what_gave_data_is_read_last() -> None:
    all_sessions = sessions()
    session = all_sessions.go_on(all_sessions.begin(many(3), False, 0), 1, False, (), (), 0)
    assert session is not None
    session.read_last(next(iter(session.partitions.values())))
    assert [one.number for one in session.partitions.values()] == [1, 2, 0]


def test_partitions_of_all_sessions_together_are_limited() -> None:
    all_sessions = sessions(limit=10, most_partitions=10)
    assert all_sessions.begin(many(11), False, 0) == NO_SESSION
    first = all_sessions.begin(many(6), False, 0)
    second = all_sessions.begin(many(4), False, 0)
    assert second != NO_SESSION and all_sessions.begin(many(1), False, 0) == NO_SESSION
    all_sessions.close(first)
    all_sessions.close(first)
    assert all_sessions.begin(many(7), False, 0) == NO_SESSION
    assert all_sessions.begin(many(6), False, 0) != NO_SESSION


def test_a_session_that_grows_too_large_is_over() -> None:
    all_sessions = sessions(most_partitions=10)
    session_id = all_sessions.begin(many(9), False, 0)
    forgotten = (("t", 0), ("t", 99))
    assert all_sessions.go_on(session_id, 1, False, (partition(20), partition(1)), forgotten, 0) is not None
    assert all_sessions.go_on(session_id, 2, False, (partition(21),), (), 0) is not None
    with pytest.raises(LogServerError) as caught:
        all_sessions.go_on(session_id, 3, False, (partition(22),), (), 0)
    assert caught.value.code is ErrorCode.fetch_session_id_not_found
    assert len(all_sessions) == 0 and all_sessions.begin(many(10), False, 0) != NO_SESSION


def test_old_sessions_make_room_for_partitions() -> None:
    all_sessions = sessions(limit=10, most_partitions=10)
    small = all_sessions.begin(many(2), False, 0)
    all_sessions.begin(many(5), False, 0)
    assert all_sessions.begin(many(8), False, STALE_MS + 1) != NO_SESSION
    assert len(all_sessions) == 1
    refused(ErrorCode.fetch_session_id_not_found, all_sessions, small, 1)


def test_names_that_can_not_be_count_by_their_length() -> None:
    all_sessions = sessions(most_partitions=10)
    long = {one.key: one for one in (partition(0, "t" * 2_400), partition(0, "t" * 249))}
    assert all_sessions.begin(long, False, 0) == NO_SESSION
    del long["t" * 249, 0]
    assert all_sessions.begin(long, False, 0) != NO_SESSION
