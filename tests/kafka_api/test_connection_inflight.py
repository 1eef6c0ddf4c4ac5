"""What one connection may have under way: requests, what they hold in memory, and answers that wait for their turn."""

import gc
from collections.abc import Iterator

import pytest

from logserver.kafka_api.connection import _Request
from logserver.testing import LogServer

from .fetching import fetch_request
from .groups import JOIN_GROUP, join_request, stable
from .raw_client import FETCH, METADATA, RawClient
from .records import create_topic

LIMIT_BYTES = 65_536
PARTITIONS = 100
MANY = 40


@pytest.fixture
def server() -> Iterator[LogServer]:
    with LogServer(settings={"connection.max.inflight.bytes": str(LIMIT_BYTES)}) as server:
        create_topic(server, partitions=PARTITIONS)
        yield server


def under_way(server: LogServer) -> int:
    """Returns how many requests of all connections are served and not answered."""

    async def between_requests(daemon: object) -> int:
        return sum(isinstance(one, _Request) for one in gc.get_objects())

    return server.call(between_requests)


def waiting_fetch(partitions: int, **more: int) -> dict[str, object]:
    asked = [{"partition": number, "fetch_offset": 0, "partition_max_bytes": 1024} for number in range(partitions)]
    topics = [{"topic": "t", "partitions": asked}] if partitions else []
    return fetch_request(*topics, max_wait_ms=60_000, **more)


def settled(server: LogServer) -> int:
    """Returns how many requests are under way when the server has taken in what it is going to."""
    with RawClient(server.kafka) as other:
        before = -1
        while (now := under_way(server)) != before:
            before = now
            for _ in range(20):
                other.call(METADATA, 1, {"topics": []})
    return now


def test_answers_that_wait_for_their_turn_are_counted(server: LogServer, client: RawClient) -> None:
    client.send(FETCH, 12, waiting_fetch(1, session_epoch=-1))
    # Two kilobytes each.
    for _ in range(4 * MANY):
        client.send(METADATA, 4, {"topics": None, "allow_auto_topic_creation": False})
    assert 2 < settled(server) < MANY


def test_what_requests_hold_is_counted(server: LogServer, client: RawClient) -> None:
    for _ in range(MANY):
        client.send(FETCH, 12, waiting_fetch(PARTITIONS, session_epoch=-1))
    assert settled(server) == 2


def test_what_a_session_holds_is_counted_for_each_of_its_requests(server: LogServer, client: RawClient) -> None:
    begun = client.call(FETCH, 12, waiting_fetch(PARTITIONS, session_id=0, session_epoch=0) | {"max_wait_ms": 0})
    for epoch in range(1, MANY):
        client.send(FETCH, 12, waiting_fetch(0, session_id=begun.session_id, session_epoch=epoch))
    assert settled(server) == 2


def test_what_other_requests_hold_is_counted_too(server: LogServer, client: RawClient) -> None:
    with RawClient(server.kafka) as member:
        stable(member)
        protocols = [{"name": name, "metadata": b""} for name in ("range", *map(str, range(PARTITIONS)))]
        for _ in range(MANY):
            # Each waits for the member, which is to join again.
            client.send(JOIN_GROUP, 3, join_request() | {"protocols": protocols})
        assert settled(server) == 2
