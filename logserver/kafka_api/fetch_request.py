"""The request of Fetch: read by hand where it has no tagged fields, because that is nearly every time."""

from base64 import urlsafe_b64encode
from struct import Struct as Packed
from struct import error as TooShort
from typing import Final, NamedTuple

from logserver.broker.fetch_sessions import FINAL_EPOCH, NO_SESSION, FetchPartition, PartitionKey
from logserver.kafka_api.codec import MalformedMessage, Struct, read_request
from logserver.kafka_api.codec.reading import Budget, read_varint
from logserver.kafka_api.codec.schema import MOST_TEXT_BYTES

_KEY: Final = 1
_SESSIONS: Final = 7
_RACK: Final = 11
_FLEXIBLE: Final = 12
_TOPIC_IDS: Final = 13
REPLICA_STATE: Final = 15
_WIDE_CHARACTERS: Final = 64
"""So many characters of text beyond ASCII count as an element, see `codec.reading.Budget`."""
_READ_COMMITTED: Final = 1

_INT16: Final = Packed(">h")
_INT32: Final = Packed(">i")
_HEAD_4: Final = Packed(">iiiib")
"""Replica id, longest wait, least and most bytes, isolation level."""
_HEAD_7: Final = Packed(">iiiibii")
"""With the session's id and epoch."""
_HEAD_15: Final = Packed(">iiibii")
"""Without the replica id."""
_PARTITION_4: Final = Packed(">iqi")
"""Number, offset, most bytes."""
_PARTITION_5: Final = Packed(">iq8xi")
"""With the follower's log start offset."""
_PARTITION_9: Final = Packed(">iiq8xi")
"""With the leader epoch."""
_PARTITION_12: Final = Packed(">iiqi8xi")
"""With the epoch of the last record."""


class FetchRequest(NamedTuple):
    """A request of Fetch."""

    replica_id: int
    max_wait_ms: int
    min_bytes: int
    max_bytes: int
    is_read_committed: bool
    session_id: int
    session_epoch: int
    partitions: dict[PartitionKey, FetchPartition]
    """In the order of the request; of one that comes twice the last, in the place of the first (as Kafka)."""
    forgotten: list[PartitionKey]


class _TaggedFields(Exception):
    """There are some; the schema knows which."""


def read_fetch(data: memoryview, version: int, most_elements: int) -> FetchRequest:
    """Reads a request of any version from 4 on. Bytes behind it are ignored, as in every request.

    Args:
        most_elements: see `codec.read_request`.

    Raises:
        MalformedMessage: the bytes are not one.
    """
    budget = Budget(most_elements)
    try:
        return _flexible(data, version, budget) if version >= _FLEXIBLE else _plain(data, version, budget)
    except _TaggedFields:
        return read_by_schema(data, version, most_elements)
    except (TooShort, UnicodeDecodeError) as error:
        raise MalformedMessage(f"Fetch: {error}") from None


def _plain(data: memoryview, version: int, budget: Budget) -> FetchRequest:
    session_id, session_epoch = NO_SESSION, FINAL_EPOCH
    if version >= _SESSIONS:
        replica_id, max_wait_ms, min_bytes, max_bytes, isolation, session_id, session_epoch = _HEAD_7.unpack_from(data)
        position = _HEAD_7.size
    else:
        replica_id, max_wait_ms, min_bytes, max_bytes, isolation = _HEAD_4.unpack_from(data)
        position = _HEAD_4.size
    packed = _PARTITION_9 if version >= 9 else _PARTITION_5 if version >= 5 else _PARTITION_4
    partitions: dict[PartitionKey, FetchPartition] = {}
    topics, position = _count(data, position, 6, budget)
    for _ in range(topics):
        topic, position = _string(data, position, budget)
        count, position = _count(data, position, packed.size, budget)
        for _ in range(count):
            epoch = -1
            if version >= 9:
                number, epoch, offset, most = packed.unpack_from(data, position)
            else:
                number, offset, most = packed.unpack_from(data, position)
            position += packed.size
            partitions[topic, number] = FetchPartition(topic, None, number, offset, most, epoch, -1)
    forgotten: list[PartitionKey] = []
    if version >= _SESSIONS:
        topics, position = _count(data, position, 6, budget)
        for _ in range(topics):
            topic, position = _string(data, position, budget)
            count, position = _count(data, position, 4, budget)
            forgotten += [(topic, number) for (number,) in _INT32.iter_unpack(data[position : position + 4 * count])]
            position += 4 * count
    if version >= _RACK:
        _string(data, position, budget)
    is_read_committed = isolation == _READ_COMMITTED
    return FetchRequest(
        replica_id,
        max_wait_ms,
        min_bytes,
        max_bytes,
        is_read_committed,
        session_id,
        session_epoch,
        partitions,
        forgotten,
    )


def _flexible(data: memoryview, version: int, budget: Budget) -> FetchRequest:
    end = len(data)
    replica_id = -1
    if version >= REPLICA_STATE:
        max_wait_ms, min_bytes, max_bytes, isolation, session_id, session_epoch = _HEAD_15.unpack_from(data)
        position = _HEAD_15.size
    else:
        replica_id, max_wait_ms, min_bytes, max_bytes, isolation, session_id, session_epoch = _HEAD_7.unpack_from(data)
        position = _HEAD_7.size
    has_ids = version >= _TOPIC_IDS
    partitions: dict[PartitionKey, FetchPartition] = {}
    topics, position = _compact_count(data, position, end, 3, budget)
    for _ in range(topics):
        topic, position = _topic(data, position, end, has_ids, budget)
        name, topic_id = (None, topic) if has_ids else (topic, None)
        count, position = _compact_count(data, position, end, _PARTITION_12.size + 1, budget)
        for _ in range(count):
            number, epoch, offset, last_epoch, most = _PARTITION_12.unpack_from(data, position)
            position = _behind_tags(data, position + _PARTITION_12.size, end)
            partitions[topic, number] = FetchPartition(name, topic_id, number, offset, most, epoch, last_epoch)
        position = _behind_tags(data, position, end)
    forgotten: list[PartitionKey] = []
    topics, position = _compact_count(data, position, end, 3, budget)
    for _ in range(topics):
        topic, position = _topic(data, position, end, has_ids, budget)
        count, position = _compact_count(data, position, end, 4, budget)
        forgotten += [(topic, number) for (number,) in _INT32.iter_unpack(data[position : position + 4 * count])]
        position = _behind_tags(data, position + 4 * count, end)
    _, position = _compact_string(data, position, end, budget)
    _behind_tags(data, position, end)
    is_read_committed = isolation == _READ_COMMITTED
    return FetchRequest(
        replica_id,
        max_wait_ms,
        min_bytes,
        max_bytes,
        is_read_committed,
        session_id,
        session_epoch,
        partitions,
        forgotten,
    )


def _count(data: memoryview, position: int, least_bytes: int, budget: Budget) -> tuple[int, int]:
    count: int = _INT32.unpack_from(data, position)[0]
    position += _INT32.size
    return _checked(count, len(data) - position, least_bytes, budget), position


def _compact_count(data: memoryview, position: int, end: int, least_bytes: int, budget: Budget) -> tuple[int, int]:
    count, position = read_varint(data, position, end)
    return _checked(count - 1, end - position, least_bytes, budget), position


def _checked(count: int, left: int, least_bytes: int, budget: Budget) -> int:
    """Returns a count of elements that take so many bytes each at least."""
    if count < 0 or count * least_bytes > left:
        raise MalformedMessage(f"{count} elements are claimed, {left} bytes are left")
    budget.take(count)
    return count


def _topic(data: memoryview, position: int, end: int, has_ids: bool, budget: Budget) -> tuple[str, int]:
    """Reads a topic's id, or its name where requests have that."""
    if not has_ids:
        return _compact_string(data, position, end, budget)
    behind = position + 16
    if behind > end:
        raise MalformedMessage("the message ends inside of a topic's id")
    return urlsafe_b64encode(data[position:behind])[:22].decode(), behind


def _string(data: memoryview, position: int, budget: Budget) -> tuple[str, int]:
    length: int = _INT16.unpack_from(data, position)[0]
    return _text(data, position + _INT16.size, length, len(data), budget)


def _compact_string(data: memoryview, position: int, end: int, budget: Budget) -> tuple[str, int]:
    length, position = read_varint(data, position, end)
    return _text(data, position, length - 1, end, budget)


def _text(data: memoryview, position: int, length: int, end: int, budget: Budget) -> tuple[str, int]:
    behind = position + length
    if length < 0 or behind > end or length > MOST_TEXT_BYTES:
        raise MalformedMessage(f"text of {length} bytes, {end - position} are left; there may be {MOST_TEXT_BYTES}")
    text = str(data[position:behind], "utf-8")
    if not text.isascii():
        budget.take(len(text) // _WIDE_CHARACTERS)
    return text, behind


def _behind_tags(data: memoryview, position: int, end: int) -> int:
    if position >= end:
        raise MalformedMessage("the message ends before its tagged fields")
    if data[position]:
        raise _TaggedFields
    return position + 1


def read_by_schema(data: memoryview, version: int, most_elements: int) -> FetchRequest:
    """Reads any request; otherwise as `read_fetch`, and slower."""
    request = read_request(_KEY, version, data, most_elements)
    has_ids = version >= _TOPIC_IDS
    partitions: dict[PartitionKey, FetchPartition] = {}
    for topic in request.topics:
        name, topic_id = (None, topic.topic_id) if has_ids else (topic.topic, None)
        for asked in topic.partitions:
            partition = FetchPartition(
                name,
                topic_id,
                asked.partition,
                asked.fetch_offset,
                asked.partition_max_bytes,
                asked.current_leader_epoch,
                asked.last_fetched_epoch,
            )
            partitions[partition.key] = partition
    forgotten = [
        (topic.topic_id if has_ids else topic.topic, number)
        for topic in request.forgotten_topics_data
        for number in topic.partitions
    ]
    return FetchRequest(
        _replica_id(request, version),
        request.max_wait_ms,
        request.min_bytes,
        request.max_bytes,
        request.isolation_level == _READ_COMMITTED,
        request.session_id,
        request.session_epoch,
        partitions,
        forgotten,
    )


def _replica_id(request: Struct, version: int) -> int:
    if version < REPLICA_STATE:
        replica_id: int = request.replica_id
        return replica_id
    state = request.replica_state
    # The default of a tagged struct is a plain dict.
    return int(state["replica_id"] if isinstance(state, dict) else state.replica_id)
