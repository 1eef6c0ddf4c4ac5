"""The request of Produce, read by hand: its records are views of the receive buffer, and no byte of them is copied."""

from base64 import urlsafe_b64encode
from struct import Struct as Packed
from struct import error as TooShort
from typing import Final, NamedTuple

from logserver.kafka_api.codec import MalformedMessage
from logserver.kafka_api.codec.reading import Budget, read_tags, read_varint
from logserver.kafka_api.codec.schema import MOST_TEXT_BYTES

FLEXIBLE: Final = 9
TOPIC_IDS: Final = 13
_INT16: Final = Packed(">h")
_INT32: Final = Packed(">i")
_ACKS_AND_TIMEOUT: Final = Packed(">hi")
_PARTITION: Final = Packed(">ii")


class ProducePartition(NamedTuple):
    """Records for one partition."""

    topic: str
    topic_id: str | None
    number: int
    records: memoryview


class ProduceRequest(NamedTuple):
    """A request of Produce."""

    transactional_id: str | None
    acks: int
    timeout_ms: int
    partitions: list[ProducePartition]


def read_produce(data: memoryview, version: int, most_elements: int) -> ProduceRequest:
    """Reads a request of any version from 3 on. Bytes behind it are ignored, as in every request.

    Args:
        most_elements: see `codec.read_request`.

    Raises:
        MalformedMessage: the bytes are not one such request.
    """
    try:
        return (_flexible if version >= FLEXIBLE else _plain)(data, version, Budget(most_elements))
    except (TooShort, UnicodeDecodeError) as error:
        raise MalformedMessage(f"Produce: {error}") from None


def _plain(data: memoryview, version: int, budget: Budget) -> ProduceRequest:
    transactional_id, position = _string(data, 0)
    acks, timeout_ms = _ACKS_AND_TIMEOUT.unpack_from(data, position)
    position += _ACKS_AND_TIMEOUT.size
    partitions: list[ProducePartition] = []
    topics, position = _count(data, position, budget)
    for _ in range(topics):
        topic, position = _string(data, position)
        if topic is None:
            raise MalformedMessage("a topic's name is null")
        count, position = _count(data, position, budget)
        for _ in range(count):
            number, length = _PARTITION.unpack_from(data, position)
            position += _PARTITION.size
            records, position = _slice(data, position, max(length, 0))
            partitions.append(ProducePartition(topic, None, number, records))
    return ProduceRequest(transactional_id, acks, timeout_ms, partitions)


def _flexible(data: memoryview, version: int, budget: Budget) -> ProduceRequest:
    end = len(data)
    transactional_id, position = _compact_string(data, 0, end)
    acks, timeout_ms = _ACKS_AND_TIMEOUT.unpack_from(data, position)
    topics, position = read_varint(data, position + _ACKS_AND_TIMEOUT.size, end)
    partitions: list[ProducePartition] = []
    for _ in range(_checked(topics - 1, end - position, budget)):
        topic_id = None
        topic = ""
        if version >= TOPIC_IDS:
            raw, position = _slice(data, position, 16)
            topic_id = urlsafe_b64encode(raw)[:22].decode()
        else:
            name, position = _compact_string(data, position, end)
            if name is None:
                raise MalformedMessage("a topic's name is null")
            topic = name
        count, position = read_varint(data, position, end)
        for _ in range(_checked(count - 1, end - position, budget)):
            (number,) = _INT32.unpack_from(data, position)
            length, position = read_varint(data, position + 4, end)
            # Of null as well as of none.
            behind = position + length - 1 if length else position
            if behind > end:
                raise MalformedMessage(f"{length - 1} bytes are claimed, {end - position} are left")
            partitions.append(ProducePartition(topic, topic_id, number, data[position:behind]))
            position = _skip_tags(data, behind, end, budget)
        position = _skip_tags(data, position, end, budget)
    _skip_tags(data, position, end, budget)
    return ProduceRequest(transactional_id, acks, timeout_ms, partitions)


def _count(data: memoryview, position: int, budget: Budget) -> tuple[int, int]:
    count = _INT32.unpack_from(data, position)[0]
    return _checked(count, len(data) - position, budget), position + 4


def _checked(count: int, left: int, budget: Budget) -> int:
    if not 0 <= count <= left:
        raise MalformedMessage(f"{count} elements are claimed, {left} bytes are left")
    budget.take(count)
    return count


def _slice(data: memoryview, position: int, length: int) -> tuple[memoryview, int]:
    behind = position + length
    if behind > len(data):
        raise MalformedMessage(f"{length} bytes are claimed, {len(data) - position} are left")
    return data[position:behind], behind


def _string(data: memoryview, position: int) -> tuple[str | None, int]:
    length = _INT16.unpack_from(data, position)[0]
    if length < 0:
        return None, position + 2
    raw, position = _slice(data, position + 2, length)
    return str(raw, "utf-8"), position


def _compact_string(data: memoryview, position: int, end: int) -> tuple[str | None, int]:
    length, position = read_varint(data, position, end)
    if not length:
        return None, position
    behind = position + length - 1
    if behind > end:
        raise MalformedMessage(f"{length - 1} bytes are claimed, {end - position} are left")
    if length - 1 > MOST_TEXT_BYTES:
        raise MalformedMessage(f"text of {length - 1} bytes, there may be {MOST_TEXT_BYTES} at most")
    return str(data[position:behind], "utf-8"), behind


def _skip_tags(data: memoryview, position: int, end: int, budget: Budget) -> int:
    if position < end and not data[position]:
        return position + 1
    return read_tags(data, position, end, {}, {}, budget)
