"""Incremental fetch sessions over the wire (KIP-227)."""

from typing import Any

import pytest

from logserver.errors import ErrorCode
from logserver.testing import LogServer

from .fetching import VERSION, fetch, fetch_request, partitions_of, target
from .raw_client import DELETE_RECORDS, FETCH, RawClient
from .records import batch, create_topic, stored, values_of


@pytest.fixture
def two(server: LogServer) -> str:
    """A topic of two partitions; its id."""
    return create_topic(server, partitions=2)


def begin(client: RawClient, *targets: dict[str, Any], version: int = VERSION) -> int:
    """Begins a session; returns its id."""
    response = fetch(client, *targets, version=version, session_epoch=0)
    assert response.error_code == 0 and response.session_id > 0
    session_id: int = response.session_id
    return session_id


def again(
    client: RawClient, session_id: int, epoch: int, *targets: dict[str, Any], version: int = VERSION, **more: Any
) -> list[tuple[int, int, list[str]]]:
    """Fetches in a session; returns number, error and values of the partitions that the answer names."""
    response = fetch(client, *targets, version=version, session_id=session_id, session_epoch=epoch, **more)
    assert (response.error_code, response.session_id) == (0, session_id)
    return [(one.partition_index, one.error_code, values_of(one.records)) for _, one in partitions_of(response)]


def error_of(client: RawClient, session_id: int, epoch: int, version: int = VERSION) -> ErrorCode:
    response = fetch(client, version=version, session_id=session_id, session_epoch=epoch)
    assert response.responses == []
    return ErrorCode(response.error_code)


@pytest.mark.parametrize("version", [7, 11, 12, 13, 18])
def test_only_what_is_new_is_told(client: RawClient, two: str, version: int) -> None:
    wanted: dict[str, Any] = {"topic": "t"} if version < 13 else {"topic_id": two}
    session_id = begin(client, target(0, **wanted), target(0, partition=1, **wanted), version=version)
    assert again(client, session_id, 1, version=version) == []
    stored(client, batch("a"), partition=1)
    assert again(client, session_id, 2, version=version) == [(1, 0, ["a"])]
    # The same offset again gives the same data again.
    assert again(client, session_id, 3, version=version) == [(1, 0, ["a"])]
    moved = target(1, partition=1, **wanted)
    assert again(client, session_id, 4, moved, version=version) == []


def test_a_new_start_of_the_log_is_news(client: RawClient, two: str) -> None:
    stored(client, batch("a", "b"))
    session_id = begin(client, target(2), target(0, partition=1))
    client.call(DELETE_RECORDS, 2, {"topics": [{"name": "t", "partitions": [{"partition_index": 0, "offset": 1}]}]})
    assert again(client, session_id, 1) == [(0, 0, [])]
    assert again(client, session_id, 2) == []


def test_partitions_are_added_and_forgotten(client: RawClient, two: str) -> None:
    stored(client, batch("a"))
    stored(client, batch("b"), partition=1)
    session_id = begin(client, target(0))
    forgotten = [{"topic": "t", "topic_id": two, "partitions": [0]}]
    assert again(client, session_id, 1, target(0, partition=1), forgotten_topics_data=forgotten) == [(1, 0, ["b"])]
    assert again(client, session_id, 2) == [(1, 0, ["b"])]


def test_an_error_is_told_until_it_is_over_and_then_that_it_is_over(
    server: LogServer, client: RawClient, two: str
) -> None:
    session_id = begin(client, target(0), target(0, topic="later"))
    unknown = ErrorCode.unknown_topic_or_partition.value
    assert again(client, session_id, 1) == [(0, unknown, [])]
    assert again(client, session_id, 2) == [(0, unknown, [])]
    create_topic(server, "later")
    assert again(client, session_id, 3) == [(0, 0, [])]
    assert again(client, session_id, 4) == []


def test_a_partition_that_gave_data_is_read_last(client: RawClient, two: str) -> None:
    for partition in (0, 1):
        stored(client, batch("x" * 100), partition=partition)
    session_id = begin(client, target(0), target(0, partition=1))
    turns = [again(client, session_id, epoch, max_bytes=1)[0][0] for epoch in (1, 2, 3, 4)]
    # The first answer had partition 0, but it was no session's yet.
    assert turns == [0, 1, 0, 1]


def test_a_session_outlives_its_connection(server: LogServer, client: RawClient, two: str) -> None:
    session_id = begin(client, target(0))
    client.close()
    with RawClient(server.kafka) as other:
        stored(other, batch("a"))
        assert again(other, session_id, 1) == [(0, 0, ["a"])]


def test_what_is_wrong_with_a_session(client: RawClient, two: str) -> None:
    session_id = begin(client, target(0))
    assert error_of(client, session_id ^ 1, 1) is ErrorCode.fetch_session_id_not_found
    assert error_of(client, session_id, 2) is ErrorCode.invalid_fetch_session_epoch
    assert error_of(client, session_id, 1, version=13) is ErrorCode.fetch_session_topic_id_error


def test_a_session_ends_by_its_last_epoch(client: RawClient, two: str) -> None:
    session_id = begin(client, target(0))
    assert fetch(client, target(0), session_id=session_id, session_epoch=-1).session_id == 0
    assert error_of(client, session_id, 1) is ErrorCode.fetch_session_id_not_found


def test_a_new_session_takes_the_place_of_the_old(client: RawClient, two: str) -> None:
    first = begin(client, target(0))
    second = fetch(client, target(0), session_id=first, session_epoch=0).session_id
    assert second not in (0, first)
    assert error_of(client, first, 1) is ErrorCode.fetch_session_id_not_found


def test_a_request_that_did_not_wait_for_the_one_before_makes_that_one_void(
    server: LogServer, client: RawClient, two: str
) -> None:
    session_id = begin(client, target(0))
    with RawClient(server.kafka) as other:
        waiting = fetch_request(max_wait_ms=30_000, session_id=session_id, session_epoch=1)
        client.send(FETCH, VERSION, waiting)
        # Once it is served, the session is at the next epoch.
        while fetch(other, session_id=session_id, session_epoch=2).error_code:
            pass
        stored(other, batch("a"))
        assert client.receive().error_code == ErrorCode.invalid_fetch_session_epoch.value


def test_a_topic_made_anew_is_another_one(server: LogServer, client: RawClient, two: str) -> None:
    session_id = begin(client, target(0, topic_id=two), version=13)
    server.call(lambda daemon: daemon.broker.delete_topic("t"))
    gone = ErrorCode.unknown_topic_or_partition.value
    assert again(client, session_id, 1, version=13) == [(0, gone, [])]
    create_topic(server)
    other = ErrorCode.inconsistent_topic_id.value
    assert again(client, session_id, 2, version=13) == [(0, other, [])]


def test_without_room_there_is_no_session_but_an_answer() -> None:
    with LogServer(settings={"max.incremental.fetch.session.cache.slots": "1"}) as server:
        create_topic(server)
        with RawClient(server.kafka) as client:
            stored(client, batch("a"))
            begin(client, target(0))
            response = fetch(client, target(0), session_epoch=0)
            assert (response.error_code, response.session_id) == (0, 0)
            assert values_of(partitions_of(response)[0][1].records) == ["a"]
