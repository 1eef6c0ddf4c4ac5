"""Acknowledgements of members of share groups: checked as a whole for each partition, and then carried out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple

from logserver.coordinator.delivery.handles import ANY_NUMBER, Handle
from logserver.coordinator.delivery.partition import QueuePartition
from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.codec import Struct


class AcknowledgeType(IntEnum):
    """What a member says of a record (KIP-932, KIP-1222)."""

    GAP = 0
    """There is no such record."""
    ACCEPT = 1
    RELEASE = 2
    REJECT = 3
    RENEW = 4


class Acknowledgement(NamedTuple):
    """Of a range of offsets, both ends inclusive."""

    first: int
    last: int
    type: AcknowledgeType


def read_acknowledgements(batches: Sequence[Struct], *, renews: bool) -> list[Acknowledgement]:
    """Returns what the batches of a partition say.

    Args:
        renews: whether RENEW may be among them.

    Raises:
        LogServerError: INVALID_REQUEST (Apache Kafka: `KafkaApis.validateAcknowledgementBatches`).
    """
    found: list[Acknowledgement] = []
    previous = -1
    for batch in batches:
        first, last, types = batch.first_offset, batch.last_offset, batch.acknowledge_types
        if first > last or first < previous:
            raise _invalid(f"offsets {first} to {last} are out of order")
        previous = last
        if not types or (len(types) > 1 and len(types) != last - first + 1):
            raise _invalid(f"{len(types)} acknowledge types for offsets {first} to {last}; give one, or one for each")
        for number in types:
            if not 0 <= number <= AcknowledgeType.RENEW or (number == AcknowledgeType.RENEW and not renews):
                raise _invalid(f"acknowledge type {number} is not allowed here")
        if len(types) == 1:
            found.append(Acknowledgement(first, last, AcknowledgeType(types[0])))
        else:
            found += _ranges(first, types)
    return found


def _ranges(first: int, types: Sequence[int]) -> Iterator[Acknowledgement]:
    """Yields neighbours with the same type as one."""
    begin = 0
    for at in range(1, len(types) + 1):
        if at == len(types) or types[at] != types[begin]:
            yield Acknowledgement(first + begin, first + at - 1, AcknowledgeType(types[begin]))
            begin = at


def carry_out(
    place: QueuePartition, member_id: str, acknowledgements: Sequence[Acknowledgement], lock_ms: int, *, may_renew: bool
) -> None:
    """Does what a member says, or nothing if some of it can't be done.

    Args:
        lock_ms: how long RENEW locks records from now on.

    Raises:
        LogServerError: INVALID_RECORD_STATE: records are not, or not any more, held by the member; INVALID_REQUEST:
            they were never delivered.
    """
    engine = place.engine
    start = engine.start
    left: list[Acknowledgement] = []
    settled_end = start
    for found in acknowledgements:
        if found.last < start:
            # Settled long ago: said twice, or too late, and no harm done.
            continue
        found = found._replace(first=max(found.first, start))
        if found.type is AcknowledgeType.RENEW and not may_renew:
            raise LogServerError(
                ErrorCode.invalid_record_state, "share.renew.acknowledge.enable of the group forbids to renew locks"
            )
        if found.first < settled_end or not engine.holds(found.first, found.last, member_id):
            if found.last >= engine.acquired_end and len(engine.unsettled):
                raise _invalid(f"offset {found.last} of {place.source} has not been delivered to anybody")
            raise LogServerError(
                ErrorCode.invalid_record_state,
                f"offsets {found.first} to {found.last} of {place.source} are not held by {member_id!r}: their lock "
                "has run out, or they were settled before",
            )
        left.append(found)
        if found.type is not AcknowledgeType.RENEW:
            settled_end = found.last + 1
    for first, last, kind in left:
        handle = Handle(first, last, ANY_NUMBER)
        match kind:
            case AcknowledgeType.ACCEPT | AcknowledgeType.GAP:
                place.acknowledge(handle, owner=member_id)
            case AcknowledgeType.RELEASE:
                place.release(handle, owner=member_id)
            case AcknowledgeType.REJECT:
                place.reject(handle, "rejected", owner=member_id)
            case AcknowledgeType.RENEW:
                place.extend(handle, lock_ms, owner=member_id)


def _invalid(message: str) -> LogServerError:
    return LogServerError(ErrorCode.invalid_request, message)
