"""Which bytes are which record: the table of types, and the functions that go through it.

A key begins with its type, a 16-bit number, a value with its version. Types that are not in the table (17 and 19 to 23
of Streams groups, whatever comes later) are unknown here.
"""

from collections.abc import Callable
from struct import error as StructError
from typing import Any, Final, NamedTuple

from logserver.coordinator.formats import classic_group, consumer_group, offset_commit, share_group
from logserver.coordinator.formats.errors import CorruptCoordinatorRecord, UnknownRecordType, UnknownRecordVersion
from logserver.coordinator.formats.every_record import Key, Value
from logserver.coordinator.formats.primitives import INT16, Reader, string
from logserver.coordinator.formats.records import (
    ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupCurrentMemberAssignmentValue,
    ConsumerGroupMemberMetadataKey,
    ConsumerGroupMemberMetadataValue,
    ConsumerGroupMetadataKey,
    ConsumerGroupMetadataValue,
    ConsumerGroupPartitionMetadataKey,
    ConsumerGroupRegularExpressionKey,
    ConsumerGroupRegularExpressionValue,
    ConsumerGroupTargetAssignmentMemberKey,
    ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataKey,
    ConsumerGroupTargetAssignmentMetadataValue,
    GroupMetadataKey,
    GroupMetadataValue,
    OffsetCommitKey,
    OffsetCommitValue,
)
from logserver.coordinator.formats.share_records import (
    ShareGroupCurrentMemberAssignmentKey,
    ShareGroupCurrentMemberAssignmentValue,
    ShareGroupMemberMetadataKey,
    ShareGroupMemberMetadataValue,
    ShareGroupMetadataKey,
    ShareGroupMetadataValue,
    ShareGroupStatePartitionMetadataKey,
    ShareGroupStatePartitionMetadataValue,
    ShareGroupTargetAssignmentMemberKey,
    ShareGroupTargetAssignmentMemberValue,
    ShareGroupTargetAssignmentMetadataKey,
    ShareGroupTargetAssignmentMetadataValue,
)


class _Type(NamedTuple):
    """One type of record."""

    number: int
    decode_key: Callable[[bytes], Any]
    encode_key: Callable[[Any], bytes]
    versions: range
    """Of the value, those that are read."""
    decode_value: Callable[[bytes], Any]


def _of_texts(number: int, key_type: Any, versions: range, decode_value: Callable[[bytes], Any]) -> tuple[Any, _Type]:
    """Returns the entry of a type whose key is one string or more."""
    head = INT16.pack(number)
    fields: tuple[str, ...] = key_type._fields
    names = [field.replace("_", " ") for field in fields]

    def decode_key(data: bytes) -> Any:
        reader = Reader(data, f"key of type {number}", len(head))
        key = key_type._make([reader.string(name) for name in names])
        reader.finish()
        return key

    def encode_key(key: tuple[str, ...]) -> bytes:
        return head + b"".join([string(text, name) for text, name in zip(key, names, strict=True)])

    return key_type, _Type(number, decode_key, encode_key, versions, decode_value)


_TYPES: Final[dict[Any, _Type]] = {
    OffsetCommitKey: _Type(
        offset_commit.KEY_TYPE,
        offset_commit.decode_key,
        offset_commit.encode_key,
        offset_commit.VERSIONS,
        offset_commit.decode_value,
    ),
    **dict(
        [
            _of_texts(2, GroupMetadataKey, classic_group.VERSIONS, classic_group.decode_value),
            _of_texts(3, ConsumerGroupMetadataKey, consumer_group.VERSIONS, consumer_group.decode_group),
            _of_texts(
                4,
                ConsumerGroupPartitionMetadataKey,
                consumer_group.VERSIONS,
                consumer_group.decode_partition_metadata,
            ),
            _of_texts(5, ConsumerGroupMemberMetadataKey, consumer_group.VERSIONS, consumer_group.decode_member),
            _of_texts(
                6,
                ConsumerGroupTargetAssignmentMetadataKey,
                consumer_group.VERSIONS,
                consumer_group.decode_target_metadata,
            ),
            _of_texts(
                7,
                ConsumerGroupTargetAssignmentMemberKey,
                consumer_group.VERSIONS,
                consumer_group.decode_target_member,
            ),
            _of_texts(
                8, ConsumerGroupCurrentMemberAssignmentKey, consumer_group.VERSIONS, consumer_group.decode_current
            ),
            _of_texts(
                16,
                ConsumerGroupRegularExpressionKey,
                consumer_group.VERSIONS,
                consumer_group.decode_regular_expression,
            ),
            _of_texts(10, ShareGroupMemberMetadataKey, share_group.VERSIONS, share_group.decode_member),
            _of_texts(11, ShareGroupMetadataKey, share_group.VERSIONS, share_group.decode_group),
            _of_texts(
                12, ShareGroupTargetAssignmentMetadataKey, share_group.VERSIONS, share_group.decode_target_metadata
            ),
            _of_texts(13, ShareGroupTargetAssignmentMemberKey, share_group.VERSIONS, share_group.decode_target_member),
            _of_texts(14, ShareGroupCurrentMemberAssignmentKey, share_group.VERSIONS, share_group.decode_current),
            _of_texts(
                15, ShareGroupStatePartitionMetadataKey, share_group.VERSIONS, share_group.decode_state_partitions
            ),
        ]
    ),
}
_BY_HEAD: Final = {INT16.pack(entry.number): entry.decode_key for entry in _TYPES.values()} | {
    # Of Kafka 0.8.1; the current coordinator converts it the same way (`convertLegacyOffsetCommitKey`).
    INT16.pack(offset_commit.LEGACY_KEY_TYPE): offset_commit.decode_key
}
_VALUE_DECODERS: Final = {
    (key_type, INT16.pack(version)): entry.decode_value
    for key_type, entry in _TYPES.items()
    for version in entry.versions
}
_VALUE_ENCODERS: Final[dict[Any, Callable[[Any], bytes]]] = {
    OffsetCommitValue: offset_commit.encode_value,
    GroupMetadataValue: classic_group.encode_value,
    ConsumerGroupMetadataValue: consumer_group.encode_group,
    ConsumerGroupMemberMetadataValue: consumer_group.encode_member,
    ConsumerGroupTargetAssignmentMetadataValue: consumer_group.encode_target_metadata,
    ConsumerGroupTargetAssignmentMemberValue: consumer_group.encode_target_member,
    ConsumerGroupCurrentMemberAssignmentValue: consumer_group.encode_current,
    ConsumerGroupRegularExpressionValue: consumer_group.encode_regular_expression,
    ShareGroupMemberMetadataValue: share_group.encode_member,
    ShareGroupMetadataValue: share_group.encode_group,
    ShareGroupTargetAssignmentMetadataValue: share_group.encode_target_metadata,
    ShareGroupTargetAssignmentMemberValue: share_group.encode_target_member,
    ShareGroupCurrentMemberAssignmentValue: share_group.encode_current,
    ShareGroupStatePartitionMetadataValue: share_group.encode_state_partitions,
}


def encode_key(key: Key) -> bytes:
    """Returns the key of a record.

    Raises:
        ValueError: a text is longer than 32,767 bytes of UTF-8 or none at all, a number out of its range.
    """
    try:
        return _TYPES[type(key)].encode_key(key)
    except StructError as error:
        raise ValueError(f"{key!r}: a number is out of its range ({error})") from None


def encode_value(value: Value) -> bytes:
    """Returns the value of a record, in the version that Apache Kafka 4.3.1 writes.

    Raises:
        ValueError: a text is longer than 32,767 bytes of UTF-8 or none at all, a number out of its range, a topic id
            is none.
        TypeError: a ConsumerGroupPartitionMetadataValue, which nobody writes any more.
    """
    encode = _VALUE_ENCODERS.get(type(value))
    if encode is None:
        raise TypeError(f"{type(value).__name__} is not written")
    try:
        return encode(value)
    except StructError as error:
        raise ValueError(f"{type(value).__name__}: a number is out of its range ({error})") from None


def decode_key(data: bytes) -> Key:
    """Returns what a record is about.

    Raises:
        UnknownRecordType: a type that is not known here.
        CorruptCoordinatorRecord: the bytes are not a whole key of their type, or more than that.
    """
    decode_bytes = _BY_HEAD.get(data[:2])
    if decode_bytes is None:
        number = Reader(data, "key").int16("type")
        raise UnknownRecordType(f"a record of type {number} is not known here", number)
    key: Key = decode_bytes(data)
    return key


def decode_value(key: Key, data: bytes) -> Value:
    """Returns what a record says about its key, whatever the version.

    Raises:
        UnknownRecordVersion: a version that is not known here.
        CorruptCoordinatorRecord: the bytes are not a whole value of that version, or more than that.
    """
    decode_bytes = _VALUE_DECODERS.get((type(key), data[:2]))
    if decode_bytes is None:
        version = Reader(data, f"value for {type(key).__name__}").int16("version")
        number = _TYPES[type(key)].number
        raise UnknownRecordVersion(f"version {version} of a record of type {number} is not known here", number, version)
    value: Value = decode_bytes(data)
    return value


def decode(key: bytes | None, value: bytes | None) -> tuple[Key, Value | None]:
    """Returns a record's key and value; the value of a tombstone is None.

    Raises:
        UnknownRecordType: a type or a version that is not known here.
        CorruptCoordinatorRecord: there is no key, or the bytes are not a whole key or value, or more than that.
    """
    if key is None:
        raise CorruptCoordinatorRecord("a record without key")
    decoded = decode_key(key)
    return decoded, None if value is None else decode_value(decoded, value)
