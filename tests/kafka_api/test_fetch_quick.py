"""The short way of Fetch reads and says what the long way does."""

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logserver_segments.log import Log

from logserver.daemon import Daemon
from logserver.kafka_api.codec import header_is_flexible, read_response
from logserver.kafka_api.fetch_quick import QuickFetch
from logserver.kafka_api.routes import route
from logserver.testing import LogServer

from .fetching import fetch_request
from .raw_client import FETCH, RawClient, request_frame
from .records import batch, create_topic, lead_again, stored
from .short_way import header_size, slowly

VERSIONS = range(11, 19)
UNKNOWN_ID = "A" * 22
COUNT = 6
"""Batches in each partition; they begin at offsets 0, 2, 4..."""


class Door:
    """A server with topics of two partitions, of which the second is empty, and a connection to it."""

    def __init__(self, server: LogServer) -> None:
        self.server = server
        self.ids = {name: create_topic(server, name, 2) for name in ("t", "orders")} | {"nowhere": UNKNOWN_ID}
        self.client = RawClient(server.kafka)
        for name in ("t", "orders"):
            stored(self.client, *(batch("x" * 100 * number, "y") for number in range(COUNT)), topic=name)
        lead_again(server, 5, "orders")
        self.quick = {version: QuickFetch(version) for version in VERSIONS}

    def quickly(self, version: int, frame: bytes) -> bytes | None:
        async def go(daemon: Daemon) -> bytes | None:
            assert daemon._kafka is not None
            connection = next(iter(daemon._kafka._connections)).connection
            assert connection is not None
            start = header_size(FETCH, version)
            answer = self.quick[version](connection, 7, bytearray(frame), start, len(frame))
            return None if answer is None else b"".join(answer.chunks or ())

        return self.server.call(go)

    def slowly(self, version: int, frame: bytes) -> bytes:
        return slowly(self.client, FETCH, version, frame)


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    with LogServer() as server:
        yield Door(server)


def asked(number: int, offset: int, **more: int) -> dict[str, int]:
    return {"partition": number, "fetch_offset": offset, "partition_max_bytes": 1 << 20, **more}


@st.composite
def requests(draw: st.DrawFn) -> tuple[int, dict[str, Any]]:
    version = draw(st.sampled_from(VERSIONS))
    rarely = st.sampled_from((False,) * 9 + (True,))

    def partition() -> dict[str, Any]:
        return {
            "partition": draw(st.sampled_from((0, 0, 0, 1))) if not draw(rarely) else draw(st.sampled_from((-1, 2))),
            "fetch_offset": draw(st.integers(0, 2 * COUNT)) if not draw(rarely) else draw(st.sampled_from((-1, 99))),
            "partition_max_bytes": draw(st.sampled_from((-1, 0, 1, 100, 300, 700, 1 << 20))),
            "current_leader_epoch": draw(st.sampled_from((-1, 0, 5, 6))) if draw(rarely) else -1,
            "last_fetched_epoch": draw(st.sampled_from((0, 5, 6))) if draw(rarely) else -1,
        }

    topics = [
        {"topic": name, "partitions": [partition() for _ in range(draw(st.integers(0, 3)))]}
        for name in draw(st.lists(st.sampled_from(("t", "orders")), min_size=1, max_size=3))
        + (["nowhere"] if draw(rarely) else [])
    ]
    more: dict[str, Any] = {
        "min_bytes": draw(st.sampled_from((0, 1, 500, 1 << 20))),
        "max_bytes": draw(st.sampled_from((-1, 0, 1, 250, 600, 1 << 25))),
        "isolation_level": int(draw(rarely)),
    }
    if version < 15:
        more["replica_id"] = 3 if draw(rarely) else -1
    if draw(rarely):
        more |= {"session_id": draw(st.integers(0, 1)), "session_epoch": draw(st.integers(-1, 1))}
    return version, fetch_request(*topics, **more)


@given(requests())
@settings(max_examples=500, deadline=None)
def test_what_goes_the_short_way_would_have_been_told_the_same_on_the_long_one(door: Door, case: Any) -> None:
    version, message = case
    for topic in message["topics"]:
        topic["topic_id"] = door.ids[topic["topic"]]
    frame = request_frame(FETCH, version, {"session_id": 0, "session_epoch": -1, **message}, 7)
    quick = door.quickly(version, frame)
    if quick is not None:
        assert quick == door.slowly(version, frame)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("offset", range(2 * COUNT))
def test_a_consumer_that_has_something_to_read_goes_the_short_way(door: Door, version: int, offset: int) -> None:
    partitions = [asked(0, offset), asked(1, 0)]
    topics = [{"topic": name, "topic_id": door.ids[name], "partitions": partitions} for name in ("t", "orders")]
    message = fetch_request(*topics, session_id=0, session_epoch=-1)
    frame = request_frame(FETCH, version, message, 7)
    quick = door.quickly(version, frame)
    assert quick is not None
    assert quick == door.slowly(version, frame)
    response = read_response(FETCH, version, memoryview(quick)[8 + header_is_flexible(FETCH, version) :])
    has_records = [bool(one.records) for topic in response.responses for one in topic.partitions]
    assert has_records == [True, False, True, False]


def test_a_real_connection_goes_it(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    way = route(FETCH, 12)
    assert way is not None and isinstance(way.quick, QuickFetch)
    answered = []
    go = QuickFetch._read

    def watched(self: QuickFetch, *rest: Any) -> Any:
        answered.append(go(self, *rest))
        return answered[-1]

    monkeypatch.setattr(QuickFetch, "_read", watched)
    message = fetch_request({"topic": "t", "partitions": [asked(0, 4)]}, session_id=0, session_epoch=-1)
    for _ in range(3):
        assert door.client.call(FETCH, 12, message).responses[0].partitions[0].records
    assert [one is not None for one in answered] == [True] * 3


def test_what_is_not_in_memory_is_left_to_the_long_way(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    message = fetch_request({"topic": "t", "partitions": [asked(0, 4)]}, session_id=0, session_epoch=-1)
    frame = request_frame(FETCH, 12, message, 7)

    async def cold() -> None:
        raise AssertionError("nobody waits for it")

    reading = cold()
    with monkeypatch.context() as patch:
        patch.setattr(Log, "read", lambda self, *rest: reading)
        assert door.quickly(12, frame) is None
    assert inspect.getcoroutinestate(reading) == inspect.CORO_CLOSED
    assert door.quickly(12, frame) is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"isolation_level": 1},
        {"session_epoch": 0},
        {"session_id": 9, "session_epoch": 1},
        {"replica_id": 1},
        {"min_bytes": 1 << 20},
        {"offset": 2 * COUNT},
        {"offset": 2 * COUNT + 1},
        {"offset": -1},
        {"partition": 2},
        {"topic": "nowhere"},
        {"last_fetched_epoch": 0},
        {"current_leader_epoch": 9},
    ],
)
def test_what_is_not_simple_goes_the_long_way(door: Door, changes: dict[str, Any]) -> None:
    changes = dict(changes)
    epochs = {name: changes.pop(name, -1) for name in ("last_fetched_epoch", "current_leader_epoch")}
    partition = asked(changes.pop("partition", 0), changes.pop("offset", 4), **epochs)
    topic = {"topic": changes.pop("topic", "t"), "partitions": [partition]}
    message = {**fetch_request(topic, session_id=0, session_epoch=-1), **changes}
    assert door.quickly(12, request_frame(FETCH, 12, message, 7)) is None
