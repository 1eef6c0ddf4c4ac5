"""Queues in protocol buffers."""

from collections.abc import Iterable, Mapping
from typing import Final

from logserver_records.batch import Buffer
from logserver_records.varint import unsigned_varint
from logserverpb.v1 import queues_pb2

from logserver.coordinator.delivery.catalog import QueueRecord, QueueSource
from logserver.coordinator.delivery.counts import Counts
from logserver.coordinator.delivery.handles import Acquired, Check, Handle
from logserver.coordinator.delivery.order import Position
from logserver.coordinator.delivery.partition import QueuePartition
from logserver.coordinator.delivery.policy import MOST_MS, Counter, Policy
from logserver.coordinator.delivery.unsettled import State
from logserver.errors import ErrorCode, LogServerError

_COUNTERS: Final[Mapping[queues_pb2.QueueCounter, Counter]] = {
    queues_pb2.QUEUE_COUNTER_ACQUISITIONS: Counter.ACQUISITIONS,
    queues_pb2.QUEUE_COUNTER_FAILURES: Counter.FAILURES,
}
_POSITIONS: Final[Mapping[int, Position]] = {
    queues_pb2.RELEASE_POSITION_ORIGINAL: Position.ORIGINAL,
    queues_pb2.RELEASE_POSITION_FRONT: Position.FRONT,
    queues_pb2.RELEASE_POSITION_TAIL: Position.TAIL,
}
STATES: Final[Mapping[State, queues_pb2.MessageState]] = {
    State.READY: queues_pb2.MESSAGE_STATE_READY,
    State.DELAYED: queues_pb2.MESSAGE_STATE_DELAYED,
    State.HELD: queues_pb2.MESSAGE_STATE_HELD,
    State.MOVING: queues_pb2.MESSAGE_STATE_MOVING,
}

_MOST_REASON: Final = 1_000
"""Characters of a reason that are kept: it is written with each story, and is a header of a dead letter, for which
there is only so much room."""

_LENGTH_DELIMITED: Final = 2
_BATCHES_TAG: Final = bytes(((queues_pb2.DeliveredRecords.BATCHES_FIELD_NUMBER << 3) | _LENGTH_DELIMITED,))
_DELIVERED_TAG: Final = bytes(((queues_pb2.ConsumeResponse.DELIVERED_FIELD_NUMBER << 3) | _LENGTH_DELIMITED,))


def to_record(request: queues_pb2.DeclareQueueRequest, known: QueueRecord | None) -> QueueRecord:
    """Returns the queue that a request declares; what it does not say is as it was, or as the server's defaults.

    Raises:
        LogServerError: INVALID_REQUEST.
    """
    policy = request.policy
    record = known or QueueRecord(request.name, "", (QueueSource(request.name),))
    changes: dict[str, object] = {
        name: getattr(policy, name)
        for name in (
            "lock_ms",
            "max_deliveries",
            "retry_delay_ms",
            "retry_factor",
            "retry_delay_max_ms",
            "retry_jitter",
            "dead_letter_topic",
            "lapse_is_failure",
            "max_unsettled",
            "hold",
        )
        if policy.HasField(name)
    }
    counter = _COUNTERS.get(policy.counter)
    if counter is None:
        raise LogServerError(ErrorCode.invalid_request, f"there is no counter {policy.counter}")
    if policy.HasField("counter"):
        changes["counter"] = counter.value
    return record._replace(**changes)  # type: ignore[arg-type]


def from_policy(policy: Policy, record: QueueRecord | None) -> queues_pb2.QueuePolicy:
    """Returns what is in force."""
    counter = next(number for number, counter in _COUNTERS.items() if counter is policy.limit.counter)
    return queues_pb2.QueuePolicy(
        lock_ms=record.lock_ms if record is not None else None,
        max_deliveries=policy.limit.count or 0,
        counter=counter,
        retry_delay_ms=policy.backoff.first_ms,
        retry_factor=policy.backoff.factor,
        retry_delay_max_ms=policy.backoff.cap_ms,
        retry_jitter=policy.backoff.jitter,
        dead_letter_topic=policy.dead_letters.topic if policy.dead_letters is not None else "",
        lapse_is_failure=policy.lapse_is_failure,
        max_unsettled=policy.max_unsettled,
        hold=record.hold if record is not None else False,
    )


def from_counts(counts: Counts) -> queues_pb2.QueueCounts:
    """Returns the message of counts."""
    return queues_pb2.QueueCounts(
        ready=counts.ready,
        delayed=counts.delayed,
        in_flight=counts.in_flight,
        moving=counts.moving,
        ready_bytes=counts.ready_bytes,
    )


def delivered(partition: int, ranges: Iterable[Acquired], batches: Iterable[Buffer]) -> bytes:
    """Returns the bytes of a DeliveredRecords; batches are copied once."""
    message = queues_pb2.DeliveredRecords(
        partition=partition,
        ranges=[
            queues_pb2.AcquiredRange(
                first=found.first,
                last=found.last,
                number=found.number,
                deliveries=found.acquisitions,
                failures=found.failures,
                redelivered=found.redelivered,
            )
            for found in ranges
        ],
    )
    parts = list(batches)
    return b"".join((message.SerializeToString(), _BATCHES_TAG, unsigned_varint(sum(map(len, parts))), *parts))


def consume_response(delivered_records: bytes) -> bytes:
    """Returns a ConsumeResponse of the bytes of a DeliveredRecords."""
    return b"".join((_DELIVERED_TAG, unsigned_varint(len(delivered_records)), delivered_records))


def settle(place: QueuePartition, settlement: queues_pb2.Settlement, check: Check, owner: str | None) -> bool:
    """Does what a settlement says; returns whether its handle was good.

    Raises:
        LogServerError: INVALID_REQUEST.
    """
    if settlement.number < 0:
        # Below 0 a number means any, which is for owners and not for messages that may be anybody's.
        return False
    handle = Handle(settlement.first, settlement.last, settlement.number)
    delay_ms = settlement.delay_ms if settlement.HasField("delay_ms") else None
    if delay_ms is not None and not 0 <= delay_ms <= MOST_MS:
        raise LogServerError(ErrorCode.invalid_request, f"delay_ms is {delay_ms}; it is between 0 and {MOST_MS}")
    reason = settlement.reason[:_MOST_REASON]
    match settlement.outcome:
        case queues_pb2.OUTCOME_ACKNOWLEDGE:
            return place.acknowledge(handle, check=check, owner=owner)
        case queues_pb2.OUTCOME_RELEASE | queues_pb2.OUTCOME_FAIL:
            position = _POSITIONS.get(settlement.position)
            if position is None:
                raise LogServerError(ErrorCode.invalid_request, f"there is no position {settlement.position}")
            return place.release(
                handle,
                settlement.outcome == queues_pb2.OUTCOME_FAIL,
                position,
                delay_ms,
                check=check,
                owner=owner,
                reason=reason,
            )
        case queues_pb2.OUTCOME_REJECT:
            return place.reject(handle, reason or "rejected", check=check, owner=owner)
        case queues_pb2.OUTCOME_EXTEND:
            if not 0 < settlement.lock_ms <= MOST_MS:
                raise LogServerError(
                    ErrorCode.invalid_request, f"lock_ms is a time in milliseconds, above 0 and up to {MOST_MS}"
                )
            return place.extend(handle, settlement.lock_ms, check=check, owner=owner)
        case _:
            raise LogServerError(ErrorCode.invalid_request, f"there is no outcome {settlement.outcome}")


def refusal(settlement: queues_pb2.Settlement, place: QueuePartition) -> LogServerError:
    """Returns the error for a handle that is not good."""
    return LogServerError(
        ErrorCode.invalid_record_state,
        f"offset {settlement.first} of {place.source} is not held under number {settlement.number} any more: its lock "
        "has run out, or it was settled or given back before; it may have been delivered to somebody else",
    )
