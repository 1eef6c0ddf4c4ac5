"""Committed offsets, the records that there are many of: one is written at every commit, all are read at start.

The common layouts are read and written with compiled structs; whatever does not fit them goes to the bounds-checked
reader, which reads every version and says what is wrong.

Written is what Apache Kafka 4.3.1 writes (`GroupCoordinatorRecordHelpers.newOffsetCommitRecord`): value version 4, and
version 1 for the offset of an old client that says how long to keep it, because no other version can hold that.
"""

from struct import Struct
from struct import error as StructError
from typing import Final

from logserver_records.varint import unsigned_varint

from logserver.coordinator.formats.primitives import (
    INT16,
    INT64,
    MAX_STRING_BYTES,
    Reader,
    string,
    topic_id_bytes,
    topic_id_text,
    utf8,
)
from logserver.coordinator.formats.records import (
    NO_LEADER_EPOCH,
    NO_TIMESTAMP,
    ZERO_TOPIC_ID,
    OffsetCommitKey,
    OffsetCommitValue,
)

KEY_TYPE: Final = 1
LEGACY_KEY_TYPE: Final = 0
VERSIONS: Final = range(5)

_KEY_HEAD: Final = Struct(">hH")
_KEY_MIDDLE: Final = Struct(">H")
_KEY_TAIL: Final = Struct(">i")
_V4_HEAD: Final = Struct(">hqi")
"""Version, offset, leader epoch; the length of the metadata follows, plus one."""
_V4_METADATA_AT: Final = 15
_V4_PLAIN: Final = Struct(">hqiBqB")
"""Without metadata, no tagged field."""
_V4_WITH_TOPIC_ID: Final = Struct(">hqiBq3s16s")
"""Without metadata, tagged field 0 of 16 bytes."""
_NO_METADATA: Final = 1
_NO_TAGS_TAIL: Final = Struct(">qB")
_TOPIC_ID_TAIL: Final = Struct(">q3s16s")
_ONE_TAG: Final = b"\x01\x00\x10"
"""One tagged field, number 0, of 16 bytes."""
_SHORT: Final = 0x7F


def encode_key(key: OffsetCommitKey) -> bytes:
    group, topic, partition = key
    group_data = group.encode()
    topic_data = topic.encode()
    if len(group_data) > MAX_STRING_BYTES or len(topic_data) > MAX_STRING_BYTES:
        utf8(group, "group")
        utf8(topic, "topic")
    return b"".join(
        (
            _KEY_HEAD.pack(KEY_TYPE, len(group_data)),
            group_data,
            _KEY_MIDDLE.pack(len(topic_data)),
            topic_data,
            _KEY_TAIL.pack(partition),
        )
    )


def decode_key(data: bytes) -> OffsetCommitKey:
    """Reads a key whose type has been looked at."""
    # Below this size no length can be one that Kafka takes for negative.
    if len(data) <= MAX_STRING_BYTES:
        try:
            group_end = _KEY_HEAD.size + _KEY_HEAD.unpack_from(data)[1]
            topic_start = group_end + _KEY_MIDDLE.size
            topic_end = topic_start + _KEY_MIDDLE.unpack_from(data, group_end)[0]
            if topic_end + _KEY_TAIL.size == len(data):
                return OffsetCommitKey(
                    data[_KEY_HEAD.size : group_end].decode(),
                    data[topic_start:topic_end].decode(),
                    _KEY_TAIL.unpack_from(data, topic_end)[0],
                )
        except (StructError, UnicodeDecodeError):
            pass  # The careful reader says what it is.
    reader = Reader(data, "key of an offset commit", INT16.size)
    key = OffsetCommitKey(reader.string("group"), reader.string("topic"), reader.int32("partition"))
    reader.finish()
    return key


def encode_value(value: OffsetCommitValue) -> bytes:
    offset, leader_epoch, metadata, commit_timestamp_ms, expire_timestamp_ms, topic_id = value
    if expire_timestamp_ms != NO_TIMESTAMP:
        return _encode_v1(value)
    if topic_id is None or topic_id == ZERO_TOPIC_ID:
        if not metadata:
            return _V4_PLAIN.pack(4, offset, leader_epoch, _NO_METADATA, commit_timestamp_ms, 0)
        tail = _NO_TAGS_TAIL.pack(commit_timestamp_ms, 0)
    else:
        uuid = topic_id_bytes(topic_id)
        if not metadata:
            return _V4_WITH_TOPIC_ID.pack(4, offset, leader_epoch, _NO_METADATA, commit_timestamp_ms, _ONE_TAG, uuid)
        tail = _TOPIC_ID_TAIL.pack(commit_timestamp_ms, _ONE_TAG, uuid)
    data = utf8(metadata, "metadata")
    return b"".join((_V4_HEAD.pack(4, offset, leader_epoch), unsigned_varint(len(data) + 1), data, tail))


def _encode_v1(value: OffsetCommitValue) -> bytes:
    times = INT64.pack(value.commit_timestamp_ms) + INT64.pack(value.expire_timestamp_ms)
    return INT16.pack(1) + INT64.pack(value.offset) + string(value.metadata, "metadata") + times


def decode_value(data: bytes) -> OffsetCommitValue:
    """Reads a value whose version has been looked at."""
    size = len(data)
    if size == _V4_WITH_TOPIC_ID.size:
        version, offset, leader_epoch, length, timestamp_ms, tags, uuid = _V4_WITH_TOPIC_ID.unpack(data)
        if version == 4 and length == _NO_METADATA and tags == _ONE_TAG:
            topic_id = topic_id_text(uuid)
            if topic_id != ZERO_TOPIC_ID:
                return OffsetCommitValue(offset, leader_epoch, "", timestamp_ms, NO_TIMESTAMP, topic_id)
    elif size == _V4_PLAIN.size:
        version, offset, leader_epoch, length, timestamp_ms, count = _V4_PLAIN.unpack(data)
        if version == 4 and length == _NO_METADATA and not count:
            return OffsetCommitValue(offset, leader_epoch, "", timestamp_ms)
    elif size > _V4_METADATA_AT and _NO_METADATA < (length := data[_V4_METADATA_AT - 1]) <= _SHORT:
        end = _V4_METADATA_AT + length - 1
        if size - end == _TOPIC_ID_TAIL.size:
            version, offset, leader_epoch = _V4_HEAD.unpack_from(data)
            timestamp_ms, tags, uuid = _TOPIC_ID_TAIL.unpack_from(data, end)
            topic_id = topic_id_text(uuid)
            if version == 4 and tags == _ONE_TAG and topic_id != ZERO_TOPIC_ID:
                try:
                    metadata = data[_V4_METADATA_AT:end].decode()
                except UnicodeDecodeError:
                    return _decode_any_version(data)
                return OffsetCommitValue(offset, leader_epoch, metadata, timestamp_ms, NO_TIMESTAMP, topic_id)
    return _decode_any_version(data)


def _decode_any_version(data: bytes) -> OffsetCommitValue:
    reader = Reader(data, "value of an offset commit")
    version = reader.int16("version")
    offset = reader.int64("offset")
    leader_epoch = reader.int32("leader epoch") if version >= 3 else NO_LEADER_EPOCH
    metadata = reader.compact_string("metadata") if version >= 4 else reader.string("metadata")
    commit_timestamp_ms = reader.int64("commit timestamp")
    expire_timestamp_ms = reader.int64("expire timestamp") if version == 1 else NO_TIMESTAMP
    topic_id = None
    if version >= 4 and (tagged := reader.tagged_field(0)) is not None:
        topic_id = tagged.topic_id("topic id")
        tagged.finish()
    reader.finish()
    return OffsetCommitValue(
        offset,
        leader_epoch,
        metadata,
        commit_timestamp_ms,
        expire_timestamp_ms,
        None if topic_id == ZERO_TOPIC_ID else topic_id,
    )
