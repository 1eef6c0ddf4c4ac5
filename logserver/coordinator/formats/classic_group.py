"""The state of a classic group.

Written is version 3, which is what Apache Kafka 4.3.1 writes (`GroupCoordinatorRecordHelpers.newGroupMetadataRecord`):
version 4 differs in nothing but that releases before 3.5 can't read it (KIP-915).
"""

from typing import Final

from logserver.coordinator.formats.primitives import (
    INT16,
    INT32,
    INT64,
    Reader,
    long_bytes,
    nullable_string,
    string,
)
from logserver.coordinator.formats.records import NO_TIMESTAMP, ClassicMember, GroupMetadataValue

VERSIONS: Final = range(5)

_WRITTEN: Final = 3
_FLEXIBLE: Final = 4
_MEMBER_BYTES: Final = 15
"""What a member takes at least: two numbers, and six empty fields and no tags in the smallest version, 4."""


def encode_value(value: GroupMetadataValue) -> bytes:
    parts = [
        INT16.pack(_WRITTEN),
        string(value.protocol_type, "protocol type"),
        INT32.pack(value.generation),
        nullable_string(value.protocol, "protocol"),
        nullable_string(value.leader, "leader"),
        INT64.pack(value.current_state_timestamp_ms),
        INT32.pack(len(value.members)),
    ]
    for member in value.members:
        parts += (
            string(member.member_id, "member id"),
            nullable_string(member.group_instance_id, "group instance id"),
            string(member.client_id, "client id"),
            string(member.client_host, "client host"),
            INT32.pack(member.rebalance_timeout_ms),
            INT32.pack(member.session_timeout_ms),
            long_bytes(member.subscription),
            long_bytes(member.assignment),
        )
    return b"".join(parts)


def decode_value(data: bytes) -> GroupMetadataValue:
    """Reads a value whose version has been looked at."""
    reader = Reader(data, "value of a classic group")
    version = reader.int16("version")
    value = _read_flexible(reader) if version >= _FLEXIBLE else _read(reader, version)
    reader.finish()
    return value


def _read(reader: Reader, version: int) -> GroupMetadataValue:
    return GroupMetadataValue(
        protocol_type=reader.string("protocol type"),
        generation=reader.int32("generation"),
        protocol=reader.nullable_string("protocol"),
        leader=reader.nullable_string("leader"),
        current_state_timestamp_ms=reader.int64("current state timestamp") if version >= 2 else NO_TIMESTAMP,
        members=reader.array("members", lambda element: _read_member(element, version), _MEMBER_BYTES),
    )


def _read_member(reader: Reader, version: int) -> ClassicMember:
    return ClassicMember(
        member_id=reader.string("member id"),
        group_instance_id=reader.nullable_string("group instance id") if version >= 3 else None,
        client_id=reader.string("client id"),
        client_host=reader.string("client host"),
        rebalance_timeout_ms=reader.int32("rebalance timeout") if version >= 1 else -1,
        session_timeout_ms=reader.int32("session timeout"),
        subscription=reader.long_bytes("subscription"),
        assignment=reader.long_bytes("assignment"),
    )


def _read_flexible(reader: Reader) -> GroupMetadataValue:
    value = GroupMetadataValue(
        protocol_type=reader.compact_string("protocol type"),
        generation=reader.int32("generation"),
        protocol=reader.compact_nullable_string("protocol"),
        leader=reader.compact_nullable_string("leader"),
        current_state_timestamp_ms=reader.int64("current state timestamp"),
        members=reader.compact_array("members", _read_flexible_member, _MEMBER_BYTES),
    )
    reader.tagged_field()
    return value


def _read_flexible_member(reader: Reader) -> ClassicMember:
    member = ClassicMember(
        member_id=reader.compact_string("member id"),
        group_instance_id=reader.compact_nullable_string("group instance id"),
        client_id=reader.compact_string("client id"),
        client_host=reader.compact_string("client host"),
        rebalance_timeout_ms=reader.int32("rebalance timeout"),
        session_timeout_ms=reader.int32("session timeout"),
        subscription=reader.compact_bytes("subscription"),
        assignment=reader.compact_bytes("assignment"),
    )
    reader.tagged_field()
    return member
