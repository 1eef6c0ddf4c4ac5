"""The short way of Produce says and stores what the long way does."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logserver_records.compression import Compression

from logserver.daemon import Daemon
from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api import produce_quick as quick_module
from logserver.kafka_api.codec import Struct, header_is_flexible, read_response
from logserver.kafka_api.connection import Connection
from logserver.kafka_api.produce_quick import QuickProduce
from logserver.kafka_api.routes import route
from logserver.testing import LogServer

from .pipe import Pipe
from .raw_client import PRODUCE, RawClient, request_frame
from .records import batch, create_topic, produce, produce_request
from .short_way import damage, header_size, long_way_only
from .transactional import TransactionalProducer

T = TypeVar("T")
VERSIONS = range(5, 14)
TOPICS = ("t", "orders", "x" * 126)


class Door:
    """Connections of a server without sockets, all used on its own thread."""

    def __init__(self, server: LogServer) -> None:
        self.server = server
        self.ids = {name: create_topic(server, name, 2, {"flush.messages": "1000000000"}) for name in TOPICS}
        self.ids["durable"] = create_topic(server, "durable")
        with RawClient(server.kafka) as client:
            for name in self.ids:
                # Where a log begins with offset 0, that can't be told from other zeros of a response.
                produce(client, batch("first"), name)
            self.listener = self.run(lambda daemon: next(iter(daemon._kafka._connections)).connection._listener)
        self.quick = {version: QuickProduce(version) for version in VERSIONS}

    def run(self, function: Callable[[Any], T]) -> T:
        async def run(daemon: Daemon) -> T:
            return function(daemon)

        return self.server.call(run)

    def connect(self) -> tuple[Connection, Pipe]:
        pipe = Pipe()
        return Connection(self.listener, pipe, "127.0.0.1:5000", "127.0.0.1:9092"), pipe

    def message(self, version: int, topic: str, records: bytes | None, **more: Any) -> dict[str, Any]:
        found = produce_request(records, topic, **more)
        if version >= 13:
            found["topic_data"][0]["topic_id"] = self.ids.get(topic, "A" * 22)
        return found

    def ends(self, daemon: Any) -> list[int]:
        return [part.log_end_offset for name in sorted(self.ids) for part in daemon.broker.find_topic(name).partitions]


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    with LogServer() as server:
        yield Door(server)


def response_of(sent: bytes, version: int) -> Struct:
    assert int.from_bytes(sent[:4]) == len(sent) - 4
    return read_response(PRODUCE, version, memoryview(sent)[8 + header_is_flexible(PRODUCE, version) :])


def only(response: Struct) -> Struct:
    (topic,) = response.responses
    partition: Struct
    (partition,) = topic.partition_responses
    return partition


def quickly(door: Door, version: int, frame: bytes) -> tuple[bytes | None, list[int], list[int]]:
    """Returns the response of the short way, None if it does not go it; and where logs ended before and behind."""

    def go(daemon: Any) -> tuple[bytes | None, list[int], list[int]]:
        before = door.ends(daemon)
        connection, _ = door.connect()
        connection._is_parsing = True
        data = bytearray(frame)
        answer = door.quick[version](connection, 7, data, header_size(PRODUCE, version), len(data))
        if answer is not None and not isinstance(answer, bytes):
            answer = b"waits"
        connection.closed()
        return answer, before, door.ends(daemon)

    return door.run(go)


def slowly(door: Door, frame: bytes) -> tuple[bytes, list[int]]:
    """Returns the response of the long way, and where logs ended behind."""

    def go(daemon: Any) -> tuple[bytes, list[int]]:
        connection, pipe = door.connect()
        with long_way_only(PRODUCE, int.from_bytes(frame[6:8])):
            room = connection.get_buffer()
            room[: len(frame)] = frame
            connection.received(len(frame))
        connection.closed()
        return pipe.sent, door.ends(daemon)

    return door.run(go)


def test_both_ways_are_gone_by_a_real_client(door: Door) -> None:
    with RawClient(door.server.kafka) as client:
        for version in VERSIONS:
            for acks in (1, -1):
                for topic in (*TOPICS, "durable"):
                    message = door.message(version, topic, batch("a"), acks=acks)
                    found = [only(client.call(PRODUCE, version, message)) for _ in range(3)]
                    assert [one.error_code for one in found] == [0, 0, 0]
                    first = found[0].base_offset
                    assert [one.base_offset for one in found] == [first, first + 1, first + 2]
                    assert [one.log_append_time_ms for one in found] == [-1, -1, -1]
                    assert [one.log_start_offset for one in found] == [0, 0, 0]
        known = door.run(lambda daemon: {key: len(found._targets) for key, found in used().items()})
    assert min(known.values()) >= 8, known


def used() -> dict[int, QuickProduce]:
    """The short ways that real connections go."""
    found = {version: route(PRODUCE, version) for version in VERSIONS}
    return {version: one.quick for version, one in found.items() if one is not None and one.quick is not None}  # type: ignore[misc]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("acks", [1, -1])
def test_the_same_bytes_are_answered(door: Door, version: int, topic: str, acks: int) -> None:
    frame = request_frame(PRODUCE, version, door.message(version, topic, batch("a", "b"), acks=acks), 7)
    sent, ends = slowly(door, frame)
    response, before, behind = quickly(door, version, frame)
    assert response is not None
    assert before == ends
    assert sum(behind) - sum(before) == 2
    # Nothing differs but the offset.
    offset = only(response_of(sent, version)).base_offset
    assert response == sent.replace(offset.to_bytes(8), (offset + 2).to_bytes(8), 1)


FRAMES = {
    version: [
        (topic, acks, records)
        for topic in (*TOPICS, "nowhere")
        for acks in (1, -1, 0, 2)
        for records in (batch("a"), batch("b" * 200, "c"), None)
    ]
    for version in VERSIONS
}


@st.composite
def hostile(draw: st.DrawFn) -> tuple[int, tuple[str, int, bytes | None], list[tuple[int, int, int]]]:
    """A version, a request, and what is done to its bytes: (what, where, with which byte)."""
    version = draw(st.sampled_from(VERSIONS))
    request = draw(st.sampled_from(FRAMES[version]))
    change = st.tuples(
        st.integers(0, 2), st.integers(0, 200), st.one_of(st.sampled_from((0, 1, 2, 255)), st.integers(0, 255))
    )
    return version, request, draw(st.lists(change, max_size=2))


@given(hostile())
@settings(max_examples=600, deadline=None)
def test_what_goes_the_short_way_would_have_fared_the_same_on_the_long_one(door: Door, case: Any) -> None:
    version, (topic, acks, records), changes = case
    frame = bytearray(request_frame(PRODUCE, version, door.message(version, topic, records, acks=acks), 7))
    damage(frame, header_size(PRODUCE, version), changes)
    response, before, behind = quickly(door, version, bytes(frame))
    if response is None:
        assert behind == before
        return
    sent, ends = slowly(door, bytes(frame))
    quick, slow = only(response_of(response, version)), only(response_of(sent, version))
    assert (quick.error_code, slow.error_code) == (0, 0)
    grown = [after - earlier for earlier, after in zip(before, behind, strict=True)]
    assert grown == [after - earlier for earlier, after in zip(behind, ends, strict=True)]
    assert slow.base_offset == quick.base_offset + sum(grown)
    assert response.replace(quick.base_offset.to_bytes(8), slow.base_offset.to_bytes(8), 1) == sent


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_refused_goes_the_long_way(door: Door, version: int) -> None:
    good = door.message(version, "t", batch("a"), acks=1)
    assert quickly(door, version, request_frame(PRODUCE, version, good))[0] is not None
    for message in (
        door.message(version, "t", batch("a")[:-1], acks=1),
        door.message(version, "t", batch("a") * 2, acks=1),
        door.message(version, "t", batch("a")[:-1] + b"?", acks=1),
        door.message(version, "t", batch("a"), acks=0),
        door.message(version, "t", batch("a"), partition=2, acks=1),
        door.message(version, "nowhere", batch("a"), acks=1),
        door.message(version, "t", batch("a", producer_id=1, producer_epoch=0, base_sequence=0, is_transactional=True)),
        {**good, "transactional_id": "x"},
        {**good, "topic_data": good["topic_data"] * 2},
        {**good, "topic_data": ()},
    ):
        response, before, behind = quickly(door, version, request_frame(PRODUCE, version, message))
        assert response is None
        assert behind == before


@pytest.mark.parametrize("version", VERSIONS)
def test_bytes_around_the_records_that_are_something_else_go_the_long_way(door: Door, version: int) -> None:
    records = batch("a")
    frame = request_frame(PRODUCE, version, door.message(version, "t", records, acks=1))
    assert quickly(door, version, frame)[0] is not None
    at = frame.index(records)
    behind = at + len(records)
    changed = [frame + b"\x00", frame[:behind] + b"\x05" + frame[behind:]]
    # The length of the records, and where there are tagged fields, those of each kind.
    changed += [frame[: at - 1] + bytes((frame[at - 1] ^ 1,)) + frame[at:]]
    changed += [frame[:place] + b"\x01" + frame[place + 1 :] for place in range(behind, len(frame))]
    if version >= 9:
        # A length that does not end.
        changed += [frame[: at - 1] + b"\xff" * (len(frame) - at + 1)]
    for one in changed:
        response, before, after = quickly(door, version, one)
        assert response is None
        assert after == before


def test_records_of_a_transaction_go_the_long_way_also_where_it_is_open(door: Door) -> None:
    with RawClient(door.server.kafka) as client:
        producer = TransactionalProducer(client, "quick")
        assert producer.init() is ErrorCode.none
        fields: dict[str, Any] = {
            "producer_id": producer.producer_id,
            "producer_epoch": producer.epoch,
            "is_transactional": True,
        }
        first = door.message(12, "t", batch("a", base_sequence=0, **fields)) | {"transactional_id": "quick"}
        assert only(client.call(PRODUCE, 12, first)).error_code == 0
        message = door.message(12, "t", batch("b", base_sequence=1, **fields), acks=1)
        assert quickly(door, 12, request_frame(PRODUCE, 12, message))[0] is None
        refused = ErrorCode.transactional_id_authorization_failed.value
        assert only(client.call(PRODUCE, 12, message)).error_code == refused


@pytest.mark.parametrize("version", [12, 13])
def test_internal_topics_are_not_written_to(door: Door, version: int) -> None:
    async def create(daemon: Daemon) -> str:
        await daemon.broker.create_internal_topic("__consumer_offsets", 1, {})
        found = daemon.broker.find_topic("__consumer_offsets")
        assert found is not None
        return found.record.topic_id

    door.ids["__consumer_offsets"] = door.server.call(create)
    message = door.message(version, "__consumer_offsets", batch("a"), acks=1)
    assert quickly(door, version, request_frame(PRODUCE, version, message))[0] is None


@pytest.mark.parametrize("version", [5, 6])
def test_zstd_is_refused_on_the_long_way_before_its_version(door: Door, version: int) -> None:
    message = door.message(version, "t", batch("a", compression=Compression.ZSTD))
    assert quickly(door, version, request_frame(PRODUCE, version, message))[0] is None
    message = door.message(7, "t", batch("a", compression=Compression.ZSTD))
    assert quickly(door, 7, request_frame(PRODUCE, 7, message))[0] is not None


def test_a_topic_that_is_gone_is_not_found_by_what_is_remembered(door: Door) -> None:
    topic_id = create_topic(door.server, "short-lived", 3)
    with RawClient(door.server.kafka) as client:
        for version in (12, 13):
            message = door.message(version, "short-lived", batch("a"), partition=2)
            if version == 13:
                message["topic_data"][0]["topic_id"] = topic_id
            for _ in range(2):
                assert only(client.call(PRODUCE, version, message)).error_code == 0
        door.server.call(lambda daemon: daemon.broker.delete_topic("short-lived"))
        gone = {12: ErrorCode.unknown_topic_or_partition, 13: ErrorCode.unknown_topic_id}
        assert only(client.call(PRODUCE, 13, message)).error_code == gone[13].value
        message = door.message(12, "short-lived", batch("a"), partition=2)
        assert only(client.call(PRODUCE, 12, message)).error_code == gone[12].value
        # The new one has fewer partitions.
        create_topic(door.server, "short-lived", 1)
        assert only(client.call(PRODUCE, 12, message)).error_code == gone[12].value


def test_what_is_remembered_is_bounded(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick_module, "_MOST_TARGETS", 3)
    quick = door.quick[12]
    for timeout_ms in range(1000, 1020):
        message = door.message(12, "t", batch("a"), timeout_ms=timeout_ms)
        assert quickly(door, 12, request_frame(PRODUCE, 12, message))[0] is not None
        assert len(quick._targets) <= 3


# Waiting for what is not durable yet


class Later:
    """Takes the place of a partition's `when_committed`: the test says when."""

    def __init__(self) -> None:
        self.reports: list[Callable[[LogServerError | None], None]] = []

    def __call__(self, last_offset: int, committed: Callable[[LogServerError | None], None]) -> None:
        self.reports.append(committed)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("outcome", ["durable", "lost", "late"])
def test_what_waits_is_answered(door: Door, version: int, outcome: str, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = request_frame(PRODUCE, version, door.message(version, "durable", batch("a"), timeout_ms=0), 7)
    later = Later()
    lost = LogServerError(ErrorCode.kafka_storage_error, "the disk is gone")

    def go(daemon: Any) -> bytes:
        partition = daemon.broker.find_topic("durable").partitions[0]
        monkeypatch.setattr(type(partition), "when_committed", lambda self, *rest: later(*rest))
        connection, pipe = door.connect()
        room = connection.get_buffer()
        room[: len(frame)] = frame
        connection.received(len(frame))
        assert not pipe.sent
        assert len(connection._places) == 1
        assert isinstance(connection._places[0], quick_module._Waiting)
        if outcome == "late":
            alarm = connection._alarm
            assert alarm is not None
            waiting = connection._places[0]
            end_s = waiting.late(alarm.when() - 0.01)
            assert end_s == pytest.approx(alarm.when())
            assert not pipe.sent
            waiting.late(end_s)
        for report in later.reports:
            report(lost if outcome == "lost" else None)
            report(None)
        assert not connection._places
        connection.closed()
        return pipe.sent

    sent = door.run(go)
    assert int.from_bytes(sent[4:8]) == 7
    found = only(response_of(sent, version))
    codes = {"durable": 0, "lost": lost.code.value, "late": ErrorCode.request_timed_out.value}
    assert found.error_code == codes[outcome]
    assert (found.base_offset >= 0) == (outcome != "lost")
    if version >= 8 and outcome == "lost":
        assert found.error_message == "the disk is gone"


def test_what_waits_too_long_is_told_so_by_the_clock(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    later = Later()

    def hold(daemon: Any) -> None:
        partition = daemon.broker.find_topic("durable").partitions[0]
        monkeypatch.setattr(type(partition), "when_committed", lambda self, *rest: later(*rest))

    monkeypatch.setattr("logserver.kafka_api.produce_response._LEAST_TIMEOUT_MS", 20)
    with RawClient(door.server.kafka) as client:
        message = door.message(12, "durable", batch("a"), timeout_ms=30_000)
        client.call(PRODUCE, 12, message)
        door.run(hold)
        client.send(PRODUCE, 12, message)
        # The time of one that comes later may be over earlier.
        message = door.message(12, "durable", batch("a"), timeout_ms=10)
        client.send(PRODUCE, 12, message)
        while door.run(lambda daemon: len(later.reports)) < 2:
            pass
        door.run(lambda daemon: later.reports[0](None))
        assert only(client.receive()).error_code == 0
        assert only(client.receive()).error_code == ErrorCode.request_timed_out.value
