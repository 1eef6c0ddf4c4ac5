"""Fetch requests are read by hand as they are by their schema."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logserver.kafka_api.codec import MalformedMessage, write_request
from logserver.kafka_api.fetch_request import FetchRequest, read_by_schema, read_fetch

from .raw_client import FETCH

VERSIONS = range(4, 19)
PLENTY = 1000
IDS = ("AAAAAAAAAAAAAAAAAAAAAA", "vD4aPZYwRWaFqn0IlNuwyQ")
INT32 = st.integers(-(2**31), 2**31 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)
NAME = st.one_of(st.sampled_from(("", "t", "orders", "x" * 200)), st.text(max_size=80))


def topics(partition: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    fields = {"topic": NAME, "topic_id": st.sampled_from(IDS), "partitions": st.lists(partition, max_size=4)}
    return st.lists(st.fixed_dictionaries(fields), max_size=3)


PARTITION = st.fixed_dictionaries(
    {
        "partition": st.integers(-1, 3),
        "current_leader_epoch": INT32,
        "fetch_offset": INT64,
        "last_fetched_epoch": INT32,
        "log_start_offset": INT64,
        "partition_max_bytes": INT32,
    }
)
PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "replica_id": INT32,
    "max_wait_ms": INT32,
    "min_bytes": INT32,
    "max_bytes": INT32,
    "isolation_level": st.integers(-1, 2),
    "session_id": INT32,
    "session_epoch": INT32,
    "topics": topics(PARTITION),
    "forgotten_topics_data": topics(st.integers(-1, 3)),
    "rack_id": NAME,
}
TAGGED: dict[str, st.SearchStrategy[Any]] = {
    "cluster_id": st.one_of(st.none(), NAME),
    "replica_state": st.fixed_dictionaries({"replica_id": INT32, "replica_epoch": INT64}),
}
MESSAGE = st.fixed_dictionaries(PLAIN, optional=TAGGED)


def shown(request: FetchRequest) -> Any:
    """All that a request says, comparable."""
    partitions = [(key, [getattr(one, name) for name in one.__slots__]) for key, one in request.partitions.items()]
    return request._replace(partitions={}), partitions


def read(data: bytes, version: int, most_elements: int = PLENTY) -> Any:
    """What a request says, or that it is none; as both readers say."""
    found = []
    for reader in (read_fetch, read_by_schema):
        try:
            found.append(shown(reader(memoryview(data), version, most_elements)))
        except MalformedMessage:
            found.append(MalformedMessage)
    assert found[0] == found[1]
    return found[0]


@given(st.sampled_from(VERSIONS), MESSAGE)
@settings(max_examples=300, deadline=None)
def test_what_is_written_is_read(version: int, message: dict[str, Any]) -> None:
    request, partitions = read(write_request(FETCH, version, message), version)
    assert request.max_wait_ms == message["max_wait_ms"]
    assert request.is_read_committed == (message["isolation_level"] == 1)
    if version < 15:
        assert request.replica_id == message["replica_id"]
    if version >= 7:
        assert (request.session_id, request.session_epoch) == (message["session_id"], message["session_epoch"])
        name = "topic_id" if version >= 13 else "topic"
        assert request.forgotten == [
            (topic[name], number) for topic in message["forgotten_topics_data"] for number in topic["partitions"]
        ]
    else:
        assert (request.session_id, request.session_epoch, request.forgotten) == (0, -1, [])
    asked = {
        (topic["topic_id" if version >= 13 else "topic"], one["partition"]): one["fetch_offset"]
        for topic in message["topics"]
        for one in topic["partitions"]
    }
    assert {key: values[0] for key, values in partitions} == asked


@given(
    st.sampled_from(VERSIONS),
    MESSAGE,
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=3),
)
@settings(max_examples=600, deadline=None)
def test_bytes_that_were_changed_are_read_or_refused_alike(
    version: int, message: dict[str, Any], changes: list[tuple[int, int, int]]
) -> None:
    data = bytearray(write_request(FETCH, version, message))
    for what, where, byte in changes:
        at = where % (len(data) + 1)
        if what == 0:
            data[at : at + 1] = bytes((byte,))
        elif what == 1:
            data.insert(at, byte)
        elif what == 2:
            del data[at : at + 1]
        else:
            del data[at:]
    read(bytes(data), version)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_request_that_is_cut_short_is_refused_at_every_byte(version: int) -> None:
    partition = {"partition": 1, "fetch_offset": 2, "partition_max_bytes": 3}
    partition |= {"current_leader_epoch": 4, "last_fetched_epoch": 5, "log_start_offset": 6}
    topic = {"topic": "t", "topic_id": IDS[1], "partitions": [partition]}
    message = {"topics": [topic] * 2, "forgotten_topics_data": [{**topic, "partitions": [1, 2]}], "rack_id": "r"}
    for name in PLAIN.keys() - message.keys():
        message[name] = 0
    data = write_request(FETCH, version, message)
    for size in range(len(data)):
        assert read(data[:size], version) is MalformedMessage
    assert read(data, version) is not MalformedMessage
    # What lies behind it is nobody's business.
    assert read(data + b"\xff\xff\xff", version) == read(data, version)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_number_of_elements_is_bounded(version: int) -> None:
    message: dict[str, Any] = dict.fromkeys(PLAIN, 0)
    partition = dict.fromkeys(("partition", "fetch_offset", "partition_max_bytes"), 0)
    partition |= dict.fromkeys(("current_leader_epoch", "last_fetched_epoch", "log_start_offset"), 0)
    topic = {"topic": "\u00e9" * 64, "topic_id": IDS[0], "partitions": [partition] * 3}
    message |= {"topics": [topic], "forgotten_topics_data": [], "rack_id": ""}
    data = write_request(FETCH, version, message)
    # A topic, three partitions, and characters that take more than a byte.
    most = 4 if version >= 13 else 5
    assert read(data, version, most) is not MalformedMessage
    assert read(data, version, most - 1) is MalformedMessage
