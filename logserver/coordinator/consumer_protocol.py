"""The embedded protocol of consumers: what they tell each other inside JoinGroup and SyncGroup, as far as a coordinator
looks at it.

Source: Apache Kafka: `ConsumerProtocol`, its schemas `ConsumerProtocolSubscription` and `ConsumerProtocolAssignment`,
versions 0 to 3; a later version begins as version 3 does.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from struct import Struct, error
from typing import Final, NamedTuple, TypeVar

T = TypeVar("T")

CONSUMER: Final = "consumer"
"""The protocol type of groups of consumers."""

_NEWEST: Final = 3
_OWNED: Final = 1
_GENERATION: Final = 2
_RACK: Final = 3

_INT16: Final = Struct(">h")
_INT32: Final = Struct(">i")


class ConsumerSubscription(NamedTuple):
    """What a member says when it joins."""

    version: int
    topics: Sequence[str]
    owned: Sequence[tuple[str, int]] = ()
    """What it has not given up for the rebalance (KIP-429)."""
    rack_id: str | None = None


class ConsumerAssignment(NamedTuple):
    """What a member was given."""

    partitions: Sequence[tuple[str, int]]
    user_data: bytes


def read_subscription(data: bytes) -> ConsumerSubscription | None:
    """Returns what a member's metadata says; None if it is not a consumer's metadata."""
    try:
        reader = _Reader(data)
        version = reader.version()
        topics = reader.array(reader.text, _INT16.size)
        if version >= _OWNED:
            reader.nullable_bytes()
        owned = reader.partitions() if version >= _OWNED else []
        if version >= _GENERATION:
            reader.int32()
        rack_id = reader.nullable_text() if version >= _RACK else None
    except (error, ValueError):
        return None
    return ConsumerSubscription(version, topics, owned, rack_id or None)


def topics_of(subscription: bytes) -> Sequence[str] | None:
    """Returns the topics that a consumer's metadata subscribes to; None if it is not a consumer's metadata."""
    try:
        reader = _Reader(subscription)
        reader.version()
        return reader.array(reader.text, _INT16.size)
    except (error, ValueError):
        return None


def read_assignment(data: bytes) -> ConsumerAssignment | None:
    """Returns what a member was given, nothing if there are no bytes; None if it is not a consumer's assignment."""
    if not data:
        return ConsumerAssignment((), b"")
    try:
        reader = _Reader(data)
        reader.version()
        return ConsumerAssignment(reader.partitions(), reader.nullable_bytes())
    except (error, ValueError):
        return None


def write_assignment(version: int, partitions: Iterable[tuple[str, int]]) -> bytes:
    """Returns an assignment of partitions by topic name.

    Args:
        version: of the member's subscription.
    """
    topics = [
        _text(topic) + _INT32.pack(len(numbers)) + b"".join(map(_INT32.pack, numbers))
        for topic, numbers in _by_topic(partitions).items()
    ]
    # No user data: Kafka writes null.
    return _INT16.pack(version) + _INT32.pack(len(topics)) + b"".join(topics) + _INT32.pack(-1)


def _by_topic(partitions: Iterable[tuple[str, int]]) -> Mapping[str, Sequence[int]]:
    ordered = sorted(partitions)
    return {topic: [number for _, number in places] for topic, places in groupby(ordered, lambda place: place[0])}


def _text(text: str) -> bytes:
    data = text.encode()
    return _INT16.pack(len(data)) + data


class _Reader:
    """Reads fields one after the other; raises ValueError or `struct.error` where there are none."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def version(self) -> int:
        version = self.int16()
        if version < 0:
            raise ValueError(f"version {version}")
        return min(version, _NEWEST)

    def int16(self) -> int:
        return self._number(_INT16)

    def int32(self) -> int:
        return self._number(_INT32)

    def _number(self, kind: Struct) -> int:
        (number,) = kind.unpack_from(self._data, self._position)
        self._position += kind.size
        assert isinstance(number, int)
        return number

    def array(self, element: Callable[[], T], least_bytes: int) -> list[T]:
        count = self.int32()
        # No more elements than the rest could hold.
        if not 0 <= count <= (len(self._data) - self._position) // least_bytes:
            raise ValueError(f"{count} elements")
        return [element() for _ in range(count)]

    def text(self) -> str:
        return self._take(self.int16()).decode()

    def nullable_text(self) -> str | None:
        length = self.int16()
        return None if length == -1 else self._take(length).decode()

    def nullable_bytes(self) -> bytes:
        length = self.int32()
        return b"" if length == -1 else self._take(length)

    def _take(self, length: int) -> bytes:
        end = self._position + length
        if not self._position <= end <= len(self._data):
            raise ValueError(f"{length} bytes")
        data = self._data[self._position : end]
        self._position = end
        return data

    def partitions(self) -> list[tuple[str, int]]:
        topics = self.array(self._topic, _INT16.size + _INT32.size)
        return [(topic, number) for topic, numbers in topics for number in numbers]

    def _topic(self) -> tuple[str, list[int]]:
        topic = self.text()
        return topic, self.array(self.int32, _INT32.size)
