"""What comes through the doors: frames and messages of Kafka's protocol, produce requests of gRPC."""

import contextlib
import struct
from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf.message import DecodeError, Message
from logserverpb.v1 import log_pb2

from logserver.errors import LogServerError
from logserver.grpc_api.produce_request import read_produce_request, read_produce_stream_request
from logserver.kafka_api.codec import Budget, MalformedMessage, read_request, read_within, versions_of
from logserver.kafka_api.codec.messages import write_request
from logserver.kafka_api.codec.schema import api_keys
from logserver.kafka_api.fetch_request import read_by_schema, read_fetch
from logserver.kafka_api.frames import read_header
from logserver.kafka_api.produce_request import read_produce
from logserver.kafka_api.share_acknowledgement import read_acknowledgements
from tests.fuzz.targets.target import Target

_PRODUCE, _FETCH = 0, 1
_ACKNOWLEDGE = (78, 79)
"""ShareFetch and ShareAcknowledge."""
_MOST_ELEMENTS = 10_000
_EMPTY_BATCH = bytes(61)
_ID = "AAAAAAAAAAAAAAAAAAAAAQ"

_VERSIONS = [
    (key, version) for key in sorted(api_keys()) for version in range(versions_of(key)[0], versions_of(key)[1] + 1)
]


def frames(data: bytes) -> None:
    """The header of a Kafka request, and the message behind it."""
    try:
        header = read_header(bytearray(data), 0, len(data))
        read_within(header.route.api.key, header.version, memoryview(data)[header.body :], Budget(_MOST_ELEMENTS))
    except MalformedMessage:
        return


def messages(data: bytes) -> None:
    """Any message of any version; the first two bytes say which."""
    if len(data) < 2:
        return
    key, version = _VERSIONS[int.from_bytes(data[:2], "big") % len(_VERSIONS)]
    try:
        request = read_within(key, version, memoryview(data)[2:], Budget(_MOST_ELEMENTS))
    except MalformedMessage:
        return
    if key in _ACKNOWLEDGE:
        for topic in request.topics:
            for partition in topic.partitions:
                _check_acknowledgements(partition.acknowledgement_batches)


def _check_acknowledgements(batches: Any) -> None:
    """What a member of a share group says of its records is in order, or refused."""
    with contextlib.suppress(LogServerError):
        found = read_acknowledgements(batches, renews=True)
        assert all(said.first <= said.last for said in found)


def _outcome(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except MalformedMessage:
        return None


def produce_requests(data: bytes) -> None:
    """Produce, read by hand, means what the schema says; the first byte is the version."""
    if not data:
        return
    version, body = 3 + data[0] % (versions_of(_PRODUCE)[1] - 2), memoryview(data)[1:]
    by_hand = _outcome(lambda: read_produce(body, version, _MOST_ELEMENTS))
    by_schema = _outcome(lambda: read_request(_PRODUCE, version, body, _MOST_ELEMENTS))
    if by_hand is None or by_schema is None:
        return
    found = [(part.number, bytes(part.records)) for part in by_hand.partitions]
    expected = [
        (part.index, bytes(part.records or b"")) for topic in by_schema.topic_data for part in topic.partition_data
    ]
    assert found == expected
    assert (by_hand.transactional_id, by_hand.acks) == (by_schema.transactional_id, by_schema.acks)


def fetch_requests(data: bytes) -> None:
    """Fetch, read by hand, means what the schema says; the first byte is the version."""
    if not data:
        return
    version, body = 4 + data[0] % (versions_of(_FETCH)[1] - 3), memoryview(data)[1:]
    by_hand = _outcome(lambda: read_fetch(body, version, _MOST_ELEMENTS))
    by_schema = _outcome(lambda: read_by_schema(body, version, _MOST_ELEMENTS))
    if by_hand is None or by_schema is None:
        return
    assert by_hand._replace(partitions={}) == by_schema._replace(partitions={})
    assert list(by_hand.partitions) == list(by_schema.partitions)
    for place, asked in by_hand.partitions.items():
        other = by_schema.partitions[place]
        assert [getattr(asked, name) for name in asked.__slots__] == [getattr(other, name) for name in asked.__slots__]


def grpc_produce(data: bytes) -> None:
    """A ProduceRequest, read by hand, means what the generated code says."""
    for read, generated in (
        (read_produce_request, log_pb2.ProduceRequest),
        (read_produce_stream_request, log_pb2.ProduceStreamRequest),
    ):
        try:
            found = read(data)
        except DecodeError:
            found = None
        expected: Any = generated()
        try:
            expected.ParseFromString(data)
        except DecodeError:
            assert found is None
            continue
        assert found is not None
        assert (found.acks, found.transactional_id) == (expected.acks, expected.transactional_id)
        assert [(part.topic, part.partition) for part in found.partitions] == [
            (part.topic, part.partition) for part in expected.partitions
        ]
        for part, other in zip(found.partitions, expected.partitions, strict=True):
            _check_data(part.data, other)


def _check_data(data: Any, expected: Any) -> None:
    kind = expected.WhichOneof("data")
    if kind is None:
        assert data is None
    elif isinstance(data, Message):
        assert data == getattr(expected, kind)
    else:
        assert bytes(data) == getattr(expected, kind)


def _requests(keys: set[int]) -> Iterator[tuple[int, int, bytes]]:
    """Yields (API key, version, bytes) of messages that say nothing but what their defaults do."""
    for key, version in _VERSIONS:
        if key in keys:
            yield key, version, write_request(key, version, {})


def _frames() -> Iterator[bytes]:
    for key, version, body in _requests(set(api_keys())):
        if version == versions_of(key)[1]:
            yield struct.pack(">hhih", key, version, 1, 3) + b"abc" + b"\x00" + body
    yield struct.pack(">hhih", 18, 3, 1, 1) + b"a\x00\x02a\x02b\x00"


def _messages() -> Iterator[bytes]:
    for key, version, body in _requests(set(api_keys())):
        yield struct.pack(">h", _VERSIONS.index((key, version))) + body
    ranges = ((3, 5, [1]), (6, 8, [1, 2, 3]))
    batches = [
        {"first_offset": first, "last_offset": last, "acknowledge_types": types} for first, last, types in ranges
    ]
    for key in _ACKNOWLEDGE:
        version = versions_of(key)[1]
        parts = [{"partition_index": 0, "acknowledgement_batches": batches}]
        asked = {"group_id": "g", "member_id": "m", "topics": [{"topic_id": _ID, "partitions": parts}]}
        yield struct.pack(">h", _VERSIONS.index((key, version))) + write_request(key, version, asked)


def _produces() -> Iterator[bytes]:
    parts = [{"index": number, "records": _EMPTY_BATCH} for number in range(2)]
    for version in range(3, versions_of(_PRODUCE)[1] + 1):
        topic: dict[str, Any] = {"topic_id": _ID} if version >= 13 else {"name": "topic"}
        asked = {"acks": -1, "timeout_ms": 1_000, "topic_data": [{**topic, "partition_data": parts}]}
        yield bytes((version - 3,)) + write_request(_PRODUCE, version, {"transactional_id": "id", **asked})
        yield bytes((version - 3,)) + write_request(_PRODUCE, version, {"transactional_id": None, **asked})


def _fetches() -> Iterator[bytes]:
    parts = [{"partition": number, "fetch_offset": 7, "partition_max_bytes": 1 << 20} for number in range(2)]
    for version in range(4, versions_of(_FETCH)[1] + 1):
        topic: dict[str, Any] = {"topic_id": _ID} if version >= 13 else {"topic": "topic"}
        asked: dict[str, Any] = {"max_wait_ms": 500, "min_bytes": 1, "topics": [{**topic, "partitions": parts}]}
        if version >= 7:
            asked |= {"session_id": 3, "session_epoch": 1, "forgotten_topics_data": [{**topic, "partitions": [1]}]}
        yield bytes((version - 4,)) + write_request(_FETCH, version, asked)


def _grpc() -> Iterator[bytes]:
    parts = [log_pb2.ProducePartition(topic="topic", partition=number, batches=_EMPTY_BATCH) for number in range(2)]
    yield log_pb2.ProduceRequest(partitions=parts, acks=log_pb2.ACKS_ALL, transactional_id="id").SerializeToString()
    yield log_pb2.ProduceStreamRequest(correlation_id=7, partitions=parts).SerializeToString()


TARGETS = (
    Target(frames, _frames),
    Target(messages, _messages),
    Target(produce_requests, _produces),
    Target(fetch_requests, _fetches),
    Target(grpc_produce, _grpc),
)
