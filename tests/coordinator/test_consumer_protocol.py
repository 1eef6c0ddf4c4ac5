"""What consumers tell each other, as far as a coordinator reads it."""

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.protocol.consumer.metadata import ConsumerProtocolAssignment, ConsumerProtocolSubscription

from logserver.coordinator.consumer_protocol import read_assignment, read_subscription, topics_of, write_assignment

from .classic_support import subscription


def test_topics_of_a_subscription() -> None:
    assert topics_of(subscription()) == []
    assert topics_of(subscription("a", "über")) == ["a", "über"]


def test_later_versions_begin_as_the_first_does() -> None:
    owned = pack(">i", 0)
    assert topics_of(pack(">h", 3) + subscription("a")[2:] + owned) == ["a"]


@pytest.mark.parametrize(
    "metadata",
    [
        b"",
        b"\x00",
        pack(">hi", -1, 0),
        pack(">hi", 0, -1),
        pack(">hi", 0, 2**31 - 1),
        pack(">hih", 0, 1, -1),
        pack(">hih", 0, 1, 5) + b"abc",
        pack(">hih", 0, 1, 1) + b"\xff",
    ],
)
def test_anything_else_is_none(metadata: bytes) -> None:
    assert topics_of(metadata) is None


def test_cut_short_it_is_none() -> None:
    whole = subscription("abc", "d")
    names_end = len(whole) - 4
    for end in range(names_end):
        assert topics_of(whole[:end]) is None
    assert topics_of(whole[:names_end]) == ["abc", "d"]


def whole(version: int) -> bytes:
    """Returns a subscription of two topics with everything that a version has."""
    data = pack(">h", version) + subscription("a", "b")[2:-4] + pack(">i", 3) + b"xyz"
    if version >= 1:
        data += pack(">i", 2) + b"\x00\x01a" + pack(">iii", 2, 0, 7) + b"\x00\x01b" + pack(">i", 0)
    if version >= 2:
        data += pack(">i", 12)
    if version >= 3:
        data += b"\x00\x04rack"
    return data


@pytest.mark.parametrize(
    ("version", "owned", "rack_id"),
    [
        (0, [], None),
        (1, [("a", 0), ("a", 7)], None),
        (2, [("a", 0), ("a", 7)], None),
        (3, [("a", 0), ("a", 7)], "rack"),
    ],
)
def test_a_subscription_of_every_version(version: int, owned: list[tuple[str, int]], rack_id: str | None) -> None:
    assert read_subscription(whole(version)) == (version, ["a", "b"], owned, rack_id)
    # A later one begins as version 3 does.
    assert read_subscription(pack(">h", 9) + whole(3)[2:] + b"more") == (3, ["a", "b"], [("a", 0), ("a", 7)], "rack")


def test_a_rack_may_be_missing() -> None:
    assert read_subscription(whole(3)[:-6] + b"\xff\xff") == (3, ["a", "b"], [("a", 0), ("a", 7)], None)


def test_kafka_python_writes_and_reads_the_same() -> None:
    topic = ConsumerProtocolAssignment.TopicPartition
    theirs = ConsumerProtocolAssignment(assigned_partitions=[topic("b", [2]), topic("a", [0, 7])], user_data=b"u")
    found = read_assignment(theirs.encode(version=1))
    assert found is not None
    assert sorted(found.partitions) == [("a", 0), ("a", 7), ("b", 2)]
    assert found.user_data == b"u"
    ours = ConsumerProtocolAssignment.decode(write_assignment(2, [("b", 2), ("a", 7), ("a", 0)]))
    assert [(found.topic, list(found.partitions)) for found in ours.assigned_partitions] == [("a", [0, 7]), ("b", [2])]
    owned = [ConsumerProtocolSubscription.TopicPartition("a", [0, 7])]
    said = ConsumerProtocolSubscription(
        topics=["a"], user_data=b"u", owned_partitions=owned, generation_id=3, rack_id="r"
    )
    for version in range(4):
        subscribed = read_subscription(said.encode(version=version))
        assert subscribed is not None
        assert subscribed.topics == ["a"]
        assert subscribed.owned == ([("a", 0), ("a", 7)] if version else [])
        assert subscribed.rack_id == ("r" if version == 3 else None)


def test_no_bytes_are_no_assignment() -> None:
    assert read_assignment(b"") == ((), b"")
    assert read_assignment(write_assignment(0, [])) == ([], b"")


@pytest.mark.parametrize("version", range(1, 4))
def test_a_subscription_that_is_cut_short_is_none(version: int) -> None:
    data = whole(version)
    for end in range(len(data)):
        assert read_subscription(data[:end]) is None


def test_an_assignment_that_is_cut_short_is_none() -> None:
    data = write_assignment(0, [("a", 0), ("a", 7), ("b", 2)])
    for end in range(1, len(data)):
        assert read_assignment(data[:end]) is None


@pytest.mark.parametrize("number", [-(2**31), -2, 2**31 - 1])
def test_a_hostile_count_is_none(number: int) -> None:
    data = write_assignment(0, [("a", 0), ("b", 2)])
    for position in (2, 9, 20, 28):
        assert read_assignment(data[:position] + pack(">i", number) + data[position + 4 :]) is None, position
    said = whole(3)
    for position in (2, 12, 19):
        assert read_subscription(said[:position] + pack(">i", number) + said[position + 4 :]) is None, position


@given(st.binary(max_size=60))
def test_any_bytes_are_something_or_none(data: bytes) -> None:
    for read in (read_subscription, read_assignment, topics_of):
        read(data)
        read(b"\x00\x01" + data)
