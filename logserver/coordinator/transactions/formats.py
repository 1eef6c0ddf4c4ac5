"""The records of `__transaction_state`, byte for byte those of Apache Kafka 4.3.1.

The key is a type, 0, and the transactional id (schema TransactionLogKey). The value (TransactionLogValue) says all
about it, so the last record of a key is its whole state. Version 0 has plain strings and arrays and no tagged fields;
version 1 is flexible and is what Kafka writes from `transaction.version` 1 on.
"""

from enum import IntEnum
from struct import Struct
from struct import error as StructError
from typing import Final, NamedTuple

from logserver.coordinator.formats.errors import CorruptCoordinatorRecord, UnknownRecordType, UnknownRecordVersion
from logserver.coordinator.formats.primitives import (
    INT16,
    INT32,
    INT64,
    NO_TAGS,
    Reader,
    compact_array,
    compact_int32_array,
    compact_string,
    string,
    tagged_fields,
)

NO_PRODUCER_ID: Final = -1
NO_PRODUCER_EPOCH: Final = -1
NO_TIMESTAMP: Final = -1

_KEY_TYPE: Final = INT16.pack(0)
_VERSIONS: Final = range(2)
_HEAD: Final = Struct(">hqhib")
"""Version, producer id, producer epoch, timeout, state."""
_TIMES: Final = Struct(">qq")

# Tags of the tagged fields.
_PREVIOUS_PRODUCER_ID: Final = 0
_NEXT_PRODUCER_ID: Final = 1
_CLIENT_VERSION: Final = 2
_NEXT_PRODUCER_EPOCH: Final = 3
_TAGS: Final = (_PREVIOUS_PRODUCER_ID, _NEXT_PRODUCER_ID, _CLIENT_VERSION, _NEXT_PRODUCER_EPOCH)

# The least bytes that a topic takes.
_TOPIC_BYTES: Final = 6
_COMPACT_TOPIC_BYTES: Final = 3


class TransactionState(IntEnum):
    """How far a transaction is; the numbers are Kafka's.

    Kafka has two more, Dead (6) and PrepareEpochFence (7), which it passes through in memory only.
    """

    EMPTY = 0
    ONGOING = 1
    PREPARE_COMMIT = 2
    PREPARE_ABORT = 3
    COMPLETE_COMMIT = 4
    COMPLETE_ABORT = 5

    @property
    def title(self) -> str:
        """Kafka's name, such as PrepareCommit."""
        return _TITLES[self]


_TITLES: Final = {state: state.name.title().replace("_", "") for state in TransactionState}
_STATES: Final = {int(state): state for state in TransactionState}


class TopicPartitions(NamedTuple):
    """Partitions of one topic."""

    topic: str
    partitions: tuple[int, ...]


class TransactionLogValue(NamedTuple):
    """All about a transactional id. Times are in milliseconds since the epoch."""

    producer_id: int
    producer_epoch: int
    timeout_ms: int
    """Of a transaction, from its start."""
    state: TransactionState
    partitions: tuple[TopicPartitions, ...] = ()
    """Of the transaction that is open or ending, each topic and each number once."""
    last_update_timestamp_ms: int = NO_TIMESTAMP
    start_timestamp_ms: int = NO_TIMESTAMP
    previous_producer_id: int = NO_PRODUCER_ID
    """That was in use before this record."""
    next_producer_id: int = NO_PRODUCER_ID
    """Takes over when the transaction has ended, because the epochs of this one are used up."""
    client_transaction_version: int = 0
    next_producer_epoch: int = NO_PRODUCER_EPOCH
    """For two-phase commit; read and written, not used."""
    last_producer_epoch: int = NO_PRODUCER_EPOCH
    """Before this one, where it was the same producer's. Kafka's record has no field for it: it is not written, and -1
    in what is read."""


def encode_key(transactional_id: str) -> bytes:
    """Returns the key of a record.

    Raises:
        ValueError: the id is longer than 32,767 bytes of UTF-8, or none at all.
    """
    return _KEY_TYPE + string(transactional_id, "transactional id")


def encode_value(value: TransactionLogValue, version: int = 1) -> bytes:
    """Returns the value of a record.

    Args:
        version: 0 or 1; 0 has no room for the fields from `previous_producer_id` on.

    Raises:
        ValueError: a topic's name is longer than 32,767 bytes of UTF-8 or none at all, a number out of its range.
    """
    # Kafka writes null rather than an empty array for the state that never has any.
    null = value.state is TransactionState.EMPTY and not value.partitions
    try:
        head = _HEAD.pack(version, value.producer_id, value.producer_epoch, value.timeout_ms, value.state)
        times = _TIMES.pack(value.last_update_timestamp_ms, value.start_timestamp_ms)
        if version == 0:
            partitions = INT32.pack(-1) if null else _array([_topic(*topic) for topic in value.partitions])
            return head + partitions + times
        if version != 1:
            raise ValueError(f"version {version} is not known here")
        partitions = b"\x00" if null else compact_array([_compact_topic(*topic) for topic in value.partitions])
        return head + partitions + times + tagged_fields(_tags(value))
    except StructError as error:
        raise ValueError(f"a number is out of its range ({error})") from None


def _tags(value: TransactionLogValue) -> dict[int, bytes]:
    """Returns the tagged fields that differ from their defaults, the only ones that Kafka writes."""
    tags = {}
    if value.previous_producer_id != NO_PRODUCER_ID:
        tags[_PREVIOUS_PRODUCER_ID] = INT64.pack(value.previous_producer_id)
    if value.next_producer_id != NO_PRODUCER_ID:
        tags[_NEXT_PRODUCER_ID] = INT64.pack(value.next_producer_id)
    if value.client_transaction_version:
        tags[_CLIENT_VERSION] = INT16.pack(value.client_transaction_version)
    if value.next_producer_epoch != NO_PRODUCER_EPOCH:
        tags[_NEXT_PRODUCER_EPOCH] = INT16.pack(value.next_producer_epoch)
    return tags


def _array(elements: list[bytes]) -> bytes:
    return INT32.pack(len(elements)) + b"".join(elements)


def _topic(topic: str, partitions: tuple[int, ...]) -> bytes:
    return string(topic, "topic") + Struct(f">i{len(partitions)}i").pack(len(partitions), *partitions)


def _compact_topic(topic: str, partitions: tuple[int, ...]) -> bytes:
    return compact_string(topic, "topic") + compact_int32_array(partitions) + NO_TAGS


def decode_key(data: bytes) -> str:
    """Returns the transactional id that a record is about.

    Raises:
        UnknownRecordType: a type that is not known here.
        CorruptCoordinatorRecord: the bytes are not a whole key, or more than that.
    """
    reader = Reader(data, "key of a transaction")
    number = reader.int16("type")
    if number != 0:
        raise UnknownRecordType(f"a record of type {number} is not known here", number)
    transactional_id = reader.string("transactional id")
    reader.finish()
    return transactional_id


def decode_value(data: bytes) -> TransactionLogValue:
    """Returns what a record says, whatever the version.

    Raises:
        UnknownRecordVersion: a version that is not known here.
        CorruptCoordinatorRecord: the bytes are not a whole value of that version, or more than that.
    """
    reader = Reader(data, "value of a transaction")
    version = reader.int16("version")
    if version not in _VERSIONS:
        raise UnknownRecordVersion(f"version {version} of a transaction's record is not known here", 0, version)
    producer_id = reader.int64("producer id")
    producer_epoch = reader.int16("producer epoch")
    timeout_ms = reader.int32("timeout")
    number = reader.int8("state")
    state = _STATES.get(number)
    if state is None:
        raise reader.fault(f"the state is {number}, which none has in a log")
    if version == 0:
        partitions = reader.nullable_array("topics", _read_topic, _TOPIC_BYTES)
    else:
        partitions = reader.compact_nullable_array("topics", _read_compact_topic, _COMPACT_TOPIC_BYTES)
    last_update_timestamp_ms = reader.int64("time of the last update")
    start_timestamp_ms = reader.int64("start time")
    tags = reader.tagged_fields(_TAGS) if version > 0 else {}
    value = TransactionLogValue(
        producer_id,
        producer_epoch,
        timeout_ms,
        state,
        partitions or (),
        last_update_timestamp_ms,
        start_timestamp_ms,
        _int64(tags.get(_PREVIOUS_PRODUCER_ID), "previous producer id", NO_PRODUCER_ID),
        _int64(tags.get(_NEXT_PRODUCER_ID), "next producer id", NO_PRODUCER_ID),
        _int16(tags.get(_CLIENT_VERSION), "transaction version of the client", 0),
        _int16(tags.get(_NEXT_PRODUCER_EPOCH), "next producer epoch", NO_PRODUCER_EPOCH),
    )
    reader.finish()
    return value


def _read_topic(reader: Reader) -> TopicPartitions:
    return TopicPartitions(reader.string("topic"), reader.int32_array("partitions"))


def _read_compact_topic(reader: Reader) -> TopicPartitions:
    topic = TopicPartitions(reader.compact_string("topic"), reader.compact_int32_array("partitions"))
    reader.tagged_field()
    return topic


def _int64(tag: Reader | None, field: str, default: int) -> int:
    if tag is None:
        return default
    number = tag.int64(field)
    tag.finish()
    return number


def _int16(tag: Reader | None, field: str, default: int) -> int:
    if tag is None:
        return default
    number = tag.int16(field)
    tag.finish()
    return number


def decode(key: bytes | None, value: bytes | None) -> tuple[str, TransactionLogValue | None]:
    """Returns a record's transactional id and value; the value of a tombstone is None.

    Raises:
        UnknownRecordType: a type or a version that is not known here.
        CorruptCoordinatorRecord: there is no key, or the bytes are not a whole key or value, or more than that.
    """
    if key is None:
        raise CorruptCoordinatorRecord("a record without key")
    transactional_id = decode_key(key)
    return transactional_id, None if value is None else decode_value(value)
