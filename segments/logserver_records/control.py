"""Control records: the markers that end a transaction in a partition's log (KIP-98).

A control batch holds one record. Its key is version i16, type i16; the value of an end-transaction marker is version
i16, coordinator epoch i32 (Kafka: `ControlRecordType`, `EndTransactionMarker`). Higher versions may append fields, so
what stands behind these is not looked at, and an unknown type is left to the caller to skip.
"""

from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple

from logserver_records.codec import NO_LEADER_EPOCH, Record, build_batch
from logserver_records.errors import CorruptBatch

_KEY: Final = Struct(">hh")
_VALUE: Final = Struct(">hi")
_VERSION: Final = 0


class ControlType(IntEnum):
    """What a control record says; its number in the record's key."""

    ABORT = 0
    COMMIT = 1


class EndTransactionMarker(NamedTuple):
    """The end of a producer's transaction in one partition."""

    control_type: ControlType
    coordinator_epoch: int
    """Epoch of the transaction coordinator that wrote the marker; one with a lower epoch is out of date."""

    @property
    def is_commit(self) -> bool:
        return self.control_type is ControlType.COMMIT


def build_marker(
    marker: EndTransactionMarker,
    *,
    timestamp_ms: int,
    producer_id: int,
    producer_epoch: int,
    base_offset: int = 0,
    leader_epoch: int = NO_LEADER_EPOCH,
) -> bytes:
    """Returns the control batch of a marker (Kafka: `MemoryRecords.withEndTransactionMarker`); it has no sequence."""
    record = (
        timestamp_ms,
        _KEY.pack(_VERSION, marker.control_type),
        _VALUE.pack(_VERSION, marker.coordinator_epoch),
        (),
    )
    return build_batch(
        [record],
        producer_id=producer_id,
        producer_epoch=producer_epoch,
        is_transactional=True,
        is_control=True,
        base_offset=base_offset,
        leader_epoch=leader_epoch,
    )


def parse_marker(record: Record) -> EndTransactionMarker | None:
    """Returns the marker that a record of a control batch is, None for a control record of another type.

    Raises:
        CorruptBatch: key or value are too short, or have a negative version.
    """
    number = _unpack(_KEY, record.key, "key", record.offset)
    if number not in (ControlType.ABORT, ControlType.COMMIT):
        return None
    coordinator_epoch = _unpack(_VALUE, record.value, "value", record.offset)
    return EndTransactionMarker(ControlType(number), coordinator_epoch)


def _unpack(layout: Struct, data: bytes | None, field: str, offset: int) -> int:
    """Returns the number behind the version."""
    if data is None or len(data) < layout.size:
        size = "no bytes" if data is None else f"{len(data)} bytes"
        raise CorruptBatch(f"control record at offset {offset}: its {field} has {size}, it takes {layout.size}")
    version, number = layout.unpack_from(data)  # Both layouts are a version and one number.
    if version < 0:
        raise CorruptBatch(f"control record at offset {offset}: its {field} has version {version}")
    return int(number)
