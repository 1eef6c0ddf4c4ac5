"""The records of `__share_group_state`, byte for byte those of Apache Kafka 4.3.1 (KIP-932).

A key is a type, the group, the topic's id and the partition. A snapshot (schemas ShareSnapshotKey, ShareSnapshotValue)
says all about it, an update (ShareUpdateKey, ShareUpdateValue) what has changed since, and a snapshot without value
that the key is forgotten. What Kafka does not keep stands in a record of our own behind them, see `extras_format`.
"""

from struct import Struct
from struct import error as StructError
from typing import Final, NamedTuple

from logserver_records.varint import unsigned_varint

from logserver.coordinator.formats.errors import CorruptCoordinatorRecord, UnknownRecordType, UnknownRecordVersion
from logserver.coordinator.formats.primitives import (
    INT16,
    INT32,
    NO_TAGS,
    Reader,
    one_tag,
    string,
    topic_id_bytes,
)
from logserver.coordinator.share_state.state_key import StateKey

SNAPSHOT: Final = 0
UPDATE: Final = 1
EXTRAS: Final = 0x4C00
"""Type of our own records: far from where Kafka's will ever be, which passes them by."""

NOT_DECIDED: Final = -1
"""Start offset of a state that nobody has used yet; in an update: as it was."""
UNKNOWN_COUNT: Final = -1

MAX_COUNT: Final = 0x7FFF
"""The most that a delivery count can say."""

MAX_COMPLETE: Final = 0x7FFF_FFFF
"""The most that a count of what is settled can say."""

_SNAPSHOT_HEAD: Final = Struct(">hiiiqqq")
"""Version, snapshot epoch, state epoch, leader epoch, start offset, time of making, time of writing."""
_UPDATE_HEAD: Final = Struct(">hiiq")
"""Version, snapshot epoch, leader epoch, start offset."""
_BATCH: Final = Struct(">qqbhB")
"""First and last offset, state, delivery count, no tags."""
_STATES: Final = frozenset((0, 2, 4))


class StateBatch(NamedTuple):
    """Offsets with the same state, both ends inclusive."""

    first: int
    last: int
    state: int
    """0 available, 2 acknowledged, 4 archived."""
    deliveries: int
    """How often they were delivered."""


class SnapshotValue(NamedTuple):
    """All about a key; times in milliseconds."""

    snapshot_epoch: int
    """How many snapshots there were before."""
    state_epoch: int
    leader_epoch: int
    start_offset: int
    create_ms: int
    write_ms: int
    """Later than `create_ms` where it was written again only so that what is before it can go."""
    batches: tuple[StateBatch, ...]
    delivery_complete_count: int = UNKNOWN_COUNT


class UpdateValue(NamedTuple):
    """What has changed of a key."""

    snapshot_epoch: int
    """Of the snapshot before."""
    leader_epoch: int
    start_offset: int
    batches: tuple[StateBatch, ...]
    delivery_complete_count: int = UNKNOWN_COUNT


def encode_key(record_type: int, key: StateKey) -> bytes:
    """Returns the key of a record.

    Raises:
        ValueError: the group's id is longer than 32,767 bytes of UTF-8, or the topic's none.
    """
    return (
        INT16.pack(record_type)
        + string(key.group_id, "group id")
        + topic_id_bytes(key.topic_id)
        + INT32.pack(key.partition)
    )


def decode_key(data: bytes) -> tuple[int, StateKey]:
    """Returns the type of a record, SNAPSHOT, UPDATE or EXTRAS, and its key.

    Raises:
        UnknownRecordType: another type.
        CorruptCoordinatorRecord: the bytes are not a whole key, or more than that.
    """
    reader = Reader(data, "key of a share group's state")
    number = reader.int16("type")
    if number not in (SNAPSHOT, UPDATE, EXTRAS):
        raise UnknownRecordType(f"a record of type {number} is not known here", number)
    key = StateKey(reader.string("group id"), reader.topic_id("topic id"), reader.int32("partition"))
    reader.finish()
    if key.partition < 0:
        raise CorruptCoordinatorRecord(f"there is no partition {key.partition}")
    return number, key


def encode_snapshot(value: SnapshotValue) -> bytes:
    """Returns the value of a snapshot.

    Raises:
        ValueError: a number is out of its range.
    """
    try:
        return _SNAPSHOT_HEAD.pack(0, *value[:6]) + _tail(value.batches, value.delivery_complete_count)
    except StructError as error:
        raise ValueError(f"a number is out of its range ({error})") from None


def encode_update(value: UpdateValue) -> bytes:
    """Returns the value of an update.

    Raises:
        ValueError: a number is out of its range.
    """
    try:
        return _UPDATE_HEAD.pack(0, *value[:3]) + _tail(value.batches, value.delivery_complete_count)
    except StructError as error:
        raise ValueError(f"a number is out of its range ({error})") from None


def _tail(batches: tuple[StateBatch, ...], delivery_complete_count: int) -> bytes:
    pack = _BATCH.pack
    parts = [unsigned_varint(len(batches) + 1)]
    parts += [pack(*batch, 0) for batch in batches]
    # As Kafka: what is the default is not written.
    known = delivery_complete_count != UNKNOWN_COUNT
    parts.append(one_tag(INT32.pack(delivery_complete_count)) if known else NO_TAGS)
    return b"".join(parts)


def decode_snapshot(data: bytes) -> SnapshotValue:
    """Returns what a snapshot says.

    Raises:
        UnknownRecordVersion: a version that is not known here.
        CorruptCoordinatorRecord: the bytes are not a whole value of that version, or more than that.
    """
    reader = _reader(data, SNAPSHOT)
    head = (
        reader.int32("snapshot epoch"),
        reader.int32("state epoch"),
        reader.int32("leader epoch"),
        reader.int64("start offset"),
        reader.int64("time of making"),
        reader.int64("time of writing"),
    )
    return SnapshotValue(*head, *_read_tail(data, reader, _SNAPSHOT_HEAD.size))


def decode_update(data: bytes) -> UpdateValue:
    """Returns what an update says.

    Raises:
        UnknownRecordVersion: a version that is not known here.
        CorruptCoordinatorRecord: the bytes are not a whole value of that version, or more than that.
    """
    reader = _reader(data, UPDATE)
    head = (reader.int32("snapshot epoch"), reader.int32("leader epoch"), reader.int64("start offset"))
    return UpdateValue(*head, *_read_tail(data, reader, _UPDATE_HEAD.size))


def _reader(data: bytes, record_type: int) -> Reader:
    reader = Reader(data, "value of a share group's state")
    version = reader.int16("version")
    if version != 0:
        raise UnknownRecordVersion(
            f"version {version} of a share group's state is not known here", record_type, version
        )
    return reader


def _read_tail(data: bytes, reader: Reader, position: int) -> tuple[tuple[StateBatch, ...], int]:
    count = reader.unsigned_varint("number of batches") - 1
    if count < 0:
        raise reader.fault("the batches are null")
    begin = position + len(unsigned_varint(count + 1))
    end = begin + count * _BATCH.size
    batches: tuple[StateBatch, ...]
    plain = [batch for batch in _BATCH.iter_unpack(data[begin:end]) if not batch[4]] if end <= len(data) else []
    if len(plain) == count:
        # As good as always, and ten times as quick.
        batches = tuple([StateBatch(*batch[:4]) for batch in plain])
        reader = Reader(data, "value of a share group's state", end)
    else:
        reader = Reader(data, "value of a share group's state", position)
        batches = reader.compact_array("batches", _read_batch, _BATCH.size)
    for batch in batches:
        if not 0 <= batch.first <= batch.last or batch.state not in _STATES or batch.deliveries < 0:
            raise reader.fault(f"there is no such thing as {batch}")
    tag = reader.tagged_field(0)
    delivery_complete_count = UNKNOWN_COUNT
    if tag is not None:
        delivery_complete_count = tag.int32("count of what is settled")
        tag.finish()
    reader.finish()
    return batches, delivery_complete_count


def _read_batch(reader: Reader) -> StateBatch:
    batch = StateBatch(
        reader.int64("first offset"), reader.int64("last offset"), reader.int8("state"), reader.int16("delivery count")
    )
    reader.tagged_field()
    return batch
