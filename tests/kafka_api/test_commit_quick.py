"""The short way of OffsetCommit stores and says what the long way does."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logserver_segments.committer import FlushCommitter, Loss, LossReason

from logserver.broker.partition import Partition
from logserver.coordinator import GroupCoordinator
from logserver.daemon import Daemon
from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api import commit_quick as quick_module
from logserver.kafka_api.codec import Struct, read_response
from logserver.kafka_api.commit_quick import QuickCommit
from logserver.kafka_api.connection import Connection
from logserver.kafka_api.routes import route
from logserver.testing import LogServer

from .groups import (
    CONSUMER_GROUP_HEARTBEAT,
    OFFSET_DELETE,
    beat,
    committed,
    join,
    leave,
    stable,
)
from .pipe import Pipe
from .raw_client import OFFSET_COMMIT, OFFSET_FETCH, RawClient, request_frame, served_versions
from .records import create_topic
from .short_way import damage, header_size, slowly

VERSIONS = served_versions(OFFSET_COMMIT)
RELAXED = {"log.flush.interval.messages": "1000000000"}


def groups_of(daemon: Daemon) -> GroupCoordinator:
    assert daemon._groups is not None
    return daemon._groups


class Door:
    """A server whose group "g" has an offset, and connections to it without sockets."""

    def __init__(self, server: LogServer) -> None:
        self.server = server
        self.ids = {name: create_topic(server, name, 2) for name in ("t", "orders")}
        self.client = RawClient(server.kafka)
        self.client.call(OFFSET_COMMIT, 9, self.message(1))
        self.quick = {version: QuickCommit(version) for version in VERSIONS}

    def message(
        self, offset: int, place: tuple[str, int] = ("t", 0), group_id: str = "g", **more: Any
    ) -> dict[str, Any]:
        partition = {
            "partition_index": place[1],
            "committed_offset": offset,
            "committed_leader_epoch": more.pop("leader_epoch", -1),
            "committed_metadata": more.pop("metadata", ""),
        }
        return {
            "group_id": group_id,
            "generation_id_or_member_epoch": -1,
            "member_id": "",
            "group_instance_id": None,
            "retention_time_ms": -1,
            "topics": [{"name": place[0], "topic_id": self.ids.get(place[0], "A" * 22), "partitions": [partition]}],
            **more,
        }

    def connect(self, daemon: Daemon) -> tuple[Connection, Pipe]:
        assert daemon._kafka is not None
        listener = next(iter(daemon._kafka._connections)).connection._listener  # type: ignore[union-attr]
        pipe = Pipe()
        return Connection(listener, pipe, "127.0.0.1:5000", "127.0.0.1:9092"), pipe

    def quickly(self, version: int, frame: bytes) -> bytes | None:
        """Returns the response of the short way, None if it does not go it."""

        async def go(daemon: Daemon) -> bytes | None:
            connection, _ = self.connect(daemon)
            connection._is_parsing = True
            start = header_size(OFFSET_COMMIT, version)
            answer = self.quick[version](connection, 7, bytearray(frame), start, len(frame))
            assert answer is None or isinstance(answer, bytes)
            connection.closed()
            return answer

        return self.server.call(go)

    def slowly(self, version: int, frame: bytes) -> bytes:
        return slowly(self.client, OFFSET_COMMIT, version, frame)

    def stored(self, group_id: str = "g") -> dict[tuple[str, int], tuple[int, int]]:
        """Returns offsets and leader epochs of a group."""

        async def go(daemon: Daemon) -> dict[tuple[str, int], tuple[int, int]]:
            found = await groups_of(daemon).committed(group_id)
            return {place: (value.offset, value.leader_epoch) for place, value in found.items()}

        return self.server.call(go)


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    with LogServer(settings=RELAXED) as server:
        yield Door(server)


def codes(response: Struct) -> list[int]:
    return [partition.error_code for topic in response.topics for partition in topic.partitions]


def used() -> dict[int, int]:
    """How many requests each version remembers, on the way that real connections go."""
    ways = {version: route(OFFSET_COMMIT, version) for version in VERSIONS}
    return {
        version: len(way.quick._targets)
        for version, way in ways.items()
        if way is not None and isinstance(way.quick, QuickCommit)
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_both_ways_are_gone_by_a_real_client(door: Door, version: int) -> None:
    before = used()[version]
    for metadata in ("", None, "m"):
        for offset in (5, 6, 7):
            message = door.message(offset, ("orders", 1), metadata=metadata, leader_epoch=offset)
            assert codes(door.client.call(OFFSET_COMMIT, version, message)) == [0]
            assert door.stored()["orders", 1] == (offset, offset if version >= 6 else -1)
    assert used()[version] == before + 1


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("place", [("t", 0), ("orders", 1)])
def test_the_same_bytes_are_answered(door: Door, version: int, place: tuple[str, int]) -> None:
    frame = request_frame(OFFSET_COMMIT, version, door.message(40 + version, place), 7)
    sent = door.slowly(version, frame)
    assert door.quickly(version, frame) == sent
    again = request_frame(OFFSET_COMMIT, version, door.message(80 + version, place), 7)
    assert door.quickly(version, again) == sent
    assert door.stored()[place] == (80 + version, -1)


@st.composite
def hostile(draw: st.DrawFn) -> tuple[int, dict[str, Any], list[tuple[int, int, int]]]:
    """A version, what is asked for, and what is done to its bytes: (what, where, with which byte)."""
    message = {
        "place": (draw(st.sampled_from(("t", "t", "orders", "nowhere"))), draw(st.integers(-1, 2))),
        "group_id": draw(st.sampled_from(("g", "g", "g", "", "other"))),
        "member_id": draw(st.sampled_from(("", "", "m"))),
        "generation_id_or_member_epoch": draw(st.sampled_from((-1, -1, -2, 0))),
        "leader_epoch": draw(st.sampled_from((-1, 0, 3, -2))),
        "group_instance_id": draw(st.sampled_from((None, None, "i"))),
    }
    change = st.tuples(
        st.integers(0, 2), st.integers(0, 100), st.one_of(st.sampled_from((0, 1, 2, 255)), st.integers(0, 255))
    )
    changes = draw(st.lists(change, max_size=2)) if draw(st.booleans()) else []
    return draw(st.sampled_from(VERSIONS)), message, changes


@given(hostile(), st.integers(-1, 1 << 40))
@settings(max_examples=400, deadline=None)
def test_what_goes_the_short_way_would_have_fared_the_same_on_the_long_one(door: Door, case: Any, offset: int) -> None:
    version, fields, changes = case
    message = door.message(offset, **fields)
    if version < 7:
        message["group_instance_id"] = None
    frame = bytearray(request_frame(OFFSET_COMMIT, version, message, 7))
    damage(frame, header_size(OFFSET_COMMIT, version), changes)
    before = door.stored()
    response = door.quickly(version, bytes(frame))
    behind = door.stored()
    if response is None:
        assert behind == before
        return
    assert codes(read_response(OFFSET_COMMIT, version, memoryview(response)[8 + (version >= 8) :])) == [0]
    assert door.slowly(version, bytes(frame)) == response
    assert door.stored() == behind


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_refused_or_not_simple_goes_the_long_way(door: Door, version: int) -> None:
    good = door.message(3)
    two = {"topics": good["topics"] * 2}
    partitions = [{**good["topics"][0], "partitions": good["topics"][0]["partitions"] * 2}]
    for message in (
        door.message(-1),
        door.message(3, metadata="m"),
        door.message(3, group_id="one that has no offsets"),
        door.message(3, group_id="g" * 600),
        door.message(3, ("t", 2)),
        door.message(3, ("nowhere", 0)),
        door.message(3, member_id="m"),
        door.message(3, generation_id_or_member_epoch=1),
        {**good, **two},
        {**good, "topics": partitions},
        {**good, "topics": []},
    ):
        before = door.stored()
        assert door.quickly(version, request_frame(OFFSET_COMMIT, version, message)) is None
        assert door.stored() == before
    frame = request_frame(OFFSET_COMMIT, version, good)
    assert door.quickly(version, frame) is not None
    # More behind the request, which the long way passes by; and tagged fields.
    for changed in (frame + b"\x00", *(frame[:-at] + b"\x01" + frame[-at + 1 :] for at in range(2, 4) if version >= 8)):
        assert door.quickly(version, changed) is None


@pytest.mark.parametrize("version", [7, 8, 9, 10])
def test_what_stands_behind_a_request_is_not_taken_for_its_offset(door: Door, version: int) -> None:
    # A leader epoch that looks like the count of partitions, seen from the end.
    leader_epoch = 2 if version >= 8 else 1 << 16
    frame = request_frame(OFFSET_COMMIT, version, door.message(0, leader_epoch=leader_epoch), 7)
    behind = (99).to_bytes(8) + (5).to_bytes(4) + (b"\x01\0\0\0" if version >= 8 else b"\0\0")
    doubled = (len(frame) - 4 + len(behind)).to_bytes(4) + frame[4:] + behind
    assert door.quickly(version, doubled) is None
    door.slowly(version, doubled)
    assert door.stored()["t", 0] == (0, leader_epoch)


def test_several_partitions_are_not_read_twice(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick_module, "read_within", None)
    message = door.message(3)
    partitions = message["topics"][0]["partitions"] * 3
    for version in VERSIONS:
        for topics in (
            [{**message["topics"][0], "partitions": partitions}],
            [{**message["topics"][0], "partitions": partitions}, *message["topics"]],
        ):
            frame = request_frame(OFFSET_COMMIT, version, {**message, "topics": topics})
            assert door.quickly(version, frame) is None


def test_what_is_remembered_is_bounded(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick_module, "_MOST_TARGETS", 30)
    monkeypatch.setattr(quick_module, "_targets", quick_module._Targets())
    ways = {version: QuickCommit(version) for version in (8, 9)}
    monkeypatch.setattr(door, "quick", ways)
    for number in range(50):
        for version in (8, 9):
            frame = request_frame(OFFSET_COMMIT, version, door.message(3, group_id=f"g{number}"))
            assert door.quickly(version, frame) is None
            assert sum(len(way._targets) for way in ways.values()) <= 30


# Who may commit


@pytest.mark.parametrize("version", VERSIONS)
def test_members_of_the_classic_protocol(door: Door, version: int) -> None:
    group_id = f"classic{version}"
    joined = stable(door.client, group_id=group_id)
    member = {"group_id": group_id, "member_id": joined.member_id, "generation_id_or_member_epoch": 1}
    # A group that had no offset.
    assert codes(door.client.call(OFFSET_COMMIT, version, door.message(1, **member))) == [0]
    assert door.quickly(version, request_frame(OFFSET_COMMIT, version, door.message(2, **member))) is not None
    assert door.stored(group_id) == {("t", 0): (2, -1)}
    for wrong in ({"generation_id_or_member_epoch": 2}, {"member_id": "m"}, {"member_id": "", "generation_id": -1}):
        message = door.message(3, **{**member, **wrong})
        assert door.quickly(version, request_frame(OFFSET_COMMIT, version, message)) is None
    # Another one joins: until it has its assignment, nobody commits.
    leave(door.client, (joined.member_id, None), group_id=group_id)
    assert door.quickly(version, request_frame(OFFSET_COMMIT, version, door.message(3, **member))) is None
    assert beat(door.client, joined, group_id=group_id) == ErrorCode.unknown_member_id.value
    completing = join(door.client, group_id=group_id)
    member |= {"member_id": completing.member_id, "generation_id_or_member_epoch": completing.generation_id}
    assert door.quickly(version, request_frame(OFFSET_COMMIT, version, door.message(3, **member))) is None
    assert codes(door.client.call(OFFSET_COMMIT, version, door.message(3, **member))) == [
        ErrorCode.rebalance_in_progress.value
    ]
    assert door.stored(group_id) == {("t", 0): (2, -1)}


def test_a_commit_is_a_sign_of_life(door: Door) -> None:
    joined = stable(door.client, group_id="alive")
    member = {"group_id": "alive", "member_id": joined.member_id, "generation_id_or_member_epoch": 1}
    door.client.call(OFFSET_COMMIT, 9, door.message(1, **member))
    clock = door.server.clock
    for _ in range(3):
        clock.advance(20)
        assert door.quickly(9, request_frame(OFFSET_COMMIT, 9, door.message(2, **member))) is not None
    assert beat(door.client, joined, group_id="alive") == 0


def test_members_of_the_consumer_protocol(door: Door) -> None:
    request = {
        "group_id": "consumers",
        "member_id": "m",
        "member_epoch": 0,
        "rebalance_timeout_ms": 60_000,
        "subscribed_topic_names": ["t"],
        "topic_partitions": [],
    }
    epoch = door.client.call(CONSUMER_GROUP_HEARTBEAT, 1, request).member_epoch
    member = {"group_id": "consumers", "member_id": "m", "generation_id_or_member_epoch": epoch}
    assert codes(door.client.call(OFFSET_COMMIT, 9, door.message(1, **member))) == [0]
    assert door.quickly(9, request_frame(OFFSET_COMMIT, 9, door.message(2, **member))) is not None
    for wrong in ({"generation_id_or_member_epoch": epoch + 1}, {"member_id": "n"}):
        message = door.message(3, **{**member, **wrong})
        assert door.quickly(9, request_frame(OFFSET_COMMIT, 9, message)) is None
    assert door.stored("consumers") == {("t", 0): (2, -1)}


def test_a_topic_that_is_made_anew(door: Door) -> None:
    for version in (9, 10):
        door.ids["short-lived"] = create_topic(door.server, "short-lived", 2)
        frame = request_frame(OFFSET_COMMIT, version, door.message(4, ("short-lived", 1)))
        assert door.quickly(version, frame) is not None
        door.server.call(lambda daemon: daemon.broker.delete_topic("short-lived"))
        assert door.quickly(version, frame) is None
        create_topic(door.server, "short-lived", 1)
        assert door.quickly(version, frame) is None
        door.server.call(lambda daemon: daemon.broker.delete_topic("short-lived"))


# The order of requests


def send(door: Door, *messages: tuple[int, int, dict[str, Any]]) -> list[bytes]:
    """Sends requests, of key and version each, in one packet; returns the responses."""
    frames = [request_frame(key, version, message, 7) for key, version, message in messages]
    door.client.send_bytes(b"".join(frames))
    return [door.client.receive_frame() for _ in frames]


def test_requests_of_one_connection_are_served_in_their_order(door: Door) -> None:
    fetched = {"groups": [{"group_id": "g", "topics": [{"name": "t", "partition_indexes": [0]}]}], "require_stable": 0}
    gone = {"group_id": "g", "topics": [{"name": "t", "partitions": [{"partition_index": 0}]}]}
    for first, second in (("m", ""), ("", "m"), ("", ""), ("m", "m")):
        answers = send(
            door,
            (OFFSET_COMMIT, 9, door.message(11, metadata=first)),
            (OFFSET_COMMIT, 9, door.message(12, metadata=second)),
            (OFFSET_FETCH, 9, fetched),
            (OFFSET_DELETE, 0, gone),
            (OFFSET_COMMIT, 9, door.message(13, metadata=first)),
            (OFFSET_FETCH, 9, fetched),
        )
        for answer, offset in ((answers[2], 12), (answers[5], 13)):
            (group,) = read_response(OFFSET_FETCH, 9, memoryview(answer)[5:]).groups
            assert group.topics[0].partitions[0].committed_offset == offset, (first, second)


def test_it_does_not_overtake_those_that_wait_for_their_turn(door: Door) -> None:
    frame = request_frame(OFFSET_COMMIT, 9, door.message(21))

    async def go(daemon: Daemon) -> bytes | None:
        crowd = [asyncio.ensure_future(groups_of(daemon).delete_offsets("g", [("t", 0)])) for _ in range(60)]
        await asyncio.sleep(0)
        connection, _ = door.connect(daemon)
        connection._is_parsing = True
        answer = door.quick[9](connection, 7, bytearray(frame), header_size(OFFSET_COMMIT, 9), len(frame))
        connection.closed()
        await asyncio.gather(*crowd)
        return answer if isinstance(answer, bytes) else None

    # So that the group is there behind the deletions as well.
    door.client.call(OFFSET_COMMIT, 9, door.message(1, ("orders", 0)))
    assert door.server.call(go) is None


# What is not durable yet, and never will be


@pytest.fixture
def durable() -> Iterator[Door]:
    """As `door`, on a server that flushes."""
    with LogServer() as server:
        yield Door(server)


def waiting(door: Door, daemon: Daemon, monkeypatch: pytest.MonkeyPatch, version: int) -> tuple[Connection, Pipe]:
    """Sends a commit, and one of another group behind it, whose flush never ends."""
    monkeypatch.setattr(FlushCommitter, "dirty", lambda *_, **__: None)
    connection, pipe = door.connect(daemon)
    for number in (0, 1):
        frame = request_frame(OFFSET_COMMIT, version, door.message(30 + number), 7 + number)
        room = connection.get_buffer()
        room[: len(frame)] = frame
        connection.received(len(frame))
    assert not pipe.sent
    assert [type(place) for place in connection._places] == [quick_module._Waiting] * 2
    return connection, pipe


@pytest.mark.parametrize("version", VERSIONS)
def test_it_is_answered_when_it_is_durable(durable: Door, version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def go(daemon: Daemon) -> bytes:
        shard = groups_of(daemon).find_shard("g")
        assert shard is not None
        connection, pipe = waiting(durable, daemon, monkeypatch, version)
        assert shard.partition.log is not None
        shard.partition.log.committed(shard.partition.log._state.log_end())  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        assert not connection._places
        connection.closed()
        return pipe.sent

    sent = durable.server.call(go)
    size = 4 + int.from_bytes(sent[:4])
    assert sent[size + 8 :] == sent[8:size]
    assert (int.from_bytes(sent[4:8]), int.from_bytes(sent[size + 4 : size + 8])) == (7, 8)
    assert codes(read_response(OFFSET_COMMIT, version, memoryview(sent[8 + (version >= 8) : size]))) == [0]


@pytest.mark.parametrize("version", [5, 9, 10])
@pytest.mark.parametrize("end", ["lost", "resigned"])
def test_who_waits_hears_of_the_end(durable: Door, version: int, end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def go(daemon: Daemon) -> bytes:
        shard = groups_of(daemon).find_shard("g")
        assert shard is not None
        connection, pipe = waiting(durable, daemon, monkeypatch, version)
        if end == "lost":
            assert shard.partition.log is not None
            shard.partition.log.lost(Loss(LossReason.FAILED, "the disk burned"))  # type: ignore[attr-defined]
        else:
            daemon.broker.resign(shard.partition, "another node leads it")
        await asyncio.sleep(0)
        assert not connection._places
        frame = request_frame(OFFSET_COMMIT, version, durable.message(33))
        start = header_size(OFFSET_COMMIT, version)
        assert durable.quick[version](connection, 7, bytearray(frame), start, len(frame)) is None
        connection.closed()
        return pipe.sent

    sent = durable.server.call(go)
    size = 4 + int.from_bytes(sent[:4])
    response = read_response(OFFSET_COMMIT, version, memoryview(sent[8 + (version >= 8) : size]))
    assert codes(response) == [ErrorCode.not_coordinator.value]


def test_a_client_that_has_gone_is_no_trouble(durable: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    async def go(daemon: Daemon) -> bytes:
        shard = groups_of(daemon).find_shard("g")
        assert shard is not None
        connection, pipe = waiting(durable, daemon, monkeypatch, 9)
        connection.closed()
        assert shard.partition.log is not None
        shard.partition.log.committed(shard.partition.log._state.log_end())  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        return pipe.sent

    assert durable.server.call(go) == b""
    # What was asked for is done.
    assert durable.stored() == {("t", 0): (31, -1)}


def test_what_can_not_be_written_goes_the_long_way_and_changes_nothing(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = request_frame(OFFSET_COMMIT, 9, door.message(50))
    assert door.quickly(9, frame) is not None

    def full(*_: object) -> None:
        raise LogServerError(ErrorCode.kafka_storage_error, "no space left on device")

    monkeypatch.setattr(Partition, "append_own", full)
    assert door.quickly(9, request_frame(OFFSET_COMMIT, 9, door.message(51))) is None
    answer = door.client.call(OFFSET_COMMIT, 9, door.message(51))
    assert codes(answer) == [ErrorCode.coordinator_not_available.value]
    assert door.stored()["t", 0] == (50, -1)
    monkeypatch.undo()
    assert codes(door.client.call(OFFSET_COMMIT, 9, door.message(52))) == [0]
    assert committed(door.client)["t", 0] == 52
