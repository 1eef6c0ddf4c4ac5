"""Messages about queues as descriptions, and policies as messages."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from logserver_records.batch import split
from logserver_records.codec import decode_batch
from logserverpb.v1 import common_pb2, queues_pb2

from logserver_client._admin_messages import SettingValue, setting_texts
from logserver_client._queue.delivery import MAX_DECOMPRESSED_BYTES
from logserver_client._queue.message import milliseconds
from logserver_client._transport.status import error_from_message
from logserver_client.queue_descriptions import (
    Counter,
    MessageState,
    PeekedMessage,
    PolicySettings,
    QueueCounts,
    QueueDescription,
    QueuePartition,
    QueuePolicy,
    RedriveProgress,
    Story,
    StoryEvent,
)
from logserver_client.types import Headers

_COUNTERS: Final[dict[Counter, queues_pb2.QueueCounter]] = {
    "deliveries": queues_pb2.QUEUE_COUNTER_ACQUISITIONS,
    "failures": queues_pb2.QUEUE_COUNTER_FAILURES,
}
_STATES: Final[dict[MessageState, queues_pb2.MessageState]] = {
    "ready": queues_pb2.MESSAGE_STATE_READY,
    "delayed": queues_pb2.MESSAGE_STATE_DELAYED,
    "held": queues_pb2.MESSAGE_STATE_HELD,
    "moving": queues_pb2.MESSAGE_STATE_MOVING,
}
_IN_MILLISECONDS: Final = {"lock": "lock_ms", "retry_delay": "retry_delay_ms", "retry_delay_max": "retry_delay_max_ms"}
"""Policies that are seconds here, and their fields."""


# What is asked.


def declare_request(
    name: str,
    partitions: int,
    settings: Mapping[str, SettingValue] | None,
    from_latest: bool,
    policies: PolicySettings,
) -> queues_pb2.DeclareQueueRequest:
    """Returns the request to declare a queue.

    Raises:
        ValueError: a policy can't be.
        TypeError: there is no policy of that name.
    """
    request = queues_pb2.DeclareQueueRequest(
        name=name, partitions=partitions, settings=setting_texts(settings or {}), from_latest=from_latest
    )
    if policies:
        request.policy.CopyFrom(_policy_message(policies))
    return request


def _policy_message(policies: PolicySettings) -> queues_pb2.QueuePolicy:
    fields: dict[str, Any] = {}
    for name, value in policies.items():
        if name not in QueuePolicy.__dataclass_fields__:
            raise TypeError(f"a queue has no policy {name!r}; it has {', '.join(QueuePolicy.__dataclass_fields__)}")
        if name == "counter":
            fields[name] = _named(_COUNTERS, name, value)
        elif name in _IN_MILLISECONDS:
            assert isinstance(value, int | float)
            fields[_IN_MILLISECONDS[name]] = milliseconds(name, value)
        else:
            fields[name] = value
    return queues_pb2.QueuePolicy(**fields)


def peek_request(name: str, max_messages: int, state: MessageState | None) -> queues_pb2.PeekRequest:
    """Returns the request to look at messages.

    Raises:
        ValueError: there is no such state.
    """
    wanted = queues_pb2.MESSAGE_STATE_ANY if state is None else _named(_STATES, "state", state)
    return queues_pb2.PeekRequest(queue=name, max_messages=max_messages, state=wanted)


def redrive_request(
    name: str,
    destination: str,
    key: bytes | None,
    headers: Headers,
    messages_per_second: float,
    max_messages: int,
) -> queues_pb2.RedriveRequest:
    """Returns the request to redrive."""
    return queues_pb2.RedriveRequest(
        queue=name,
        destination=destination,
        key=key,
        headers=[common_pb2.Header(key=header, value=value) for header, value in headers],
        messages_per_second=messages_per_second,
        max_messages=max_messages,
    )


def _named(numbers: Mapping[Any, Any], what: str, name: object) -> Any:
    if name not in numbers:
        raise ValueError(f"{what} is one of {', '.join(map(repr, numbers))}, not {name!r}")
    return numbers[name]


# What is answered.


def description(message: queues_pb2.Queue) -> QueueDescription:
    """Returns a queue."""
    return QueueDescription(
        name=message.name,
        topic=message.topic,
        group=message.group,
        incarnation=message.incarnation,
        declared=message.declared,
        policy=_policy(message.policy),
        partitions=tuple(_partition(part) for part in sorted(message.partitions, key=lambda part: part.partition)),
        counts=_counts(message.counts),
        consumers=message.consumers,
        dead_lettered=_known(message.dead_lettered),
        oldest_ready_ms=_known(message.oldest_ready_ms),
        oldest_first_delivery_ms=_known(message.oldest_first_delivery_ms),
        deliveries=dict(sorted(message.deliveries.items())),
    )


def peeked(messages: Iterable[queues_pb2.PeekedRecords]) -> Iterator[PeekedMessage]:
    """Yields messages that were looked at, by partition and offset.

    Raises:
        logserver_records.errors.RecordError: their bytes are damaged.
    """
    for message in sorted(messages, key=lambda part: part.partition):
        ranges = sorted(message.ranges, key=lambda found: found.first)
        for position, header in split(message.batches):
            if header.is_control:
                continue
            for record in decode_batch(message.batches, position, max_decompressed_bytes=MAX_DECOMPRESSED_BYTES):
                for found in ranges:
                    if found.first <= record.offset <= found.last:
                        yield PeekedMessage(
                            partition=message.partition,
                            offset=record.offset,
                            timestamp_ms=record.timestamp_ms,
                            key=record.key,
                            value=record.value,
                            headers=record.headers,
                            state=next(name for name, number in _STATES.items() if number == found.state),
                            deliveries=found.deliveries,
                            failures=found.failures,
                            until_ms=_known(found.until_ms),
                            holder=found.holder,
                        )


def progress(message: queues_pb2.RedriveProgress) -> RedriveProgress:
    """Returns how far a redrive is."""
    return RedriveProgress(message.moved, message.skipped, message.held, message.remaining, message.done)


def story(message: queues_pb2.Story) -> Story:
    """Returns what became of a message in a queue."""
    return Story(
        queue=message.queue,
        state=message.state,
        deliveries=message.deliveries,
        failures=message.failures,
        until_ms=_known(message.until_ms),
        holder=message.holder,
        events=tuple(
            StoryEvent(
                event.kind,
                event.at_ms,
                event.owner,
                event.number,
                event.deliveries,
                event.failures,
                event.reason,
                _known(event.until_ms),
            )
            for event in message.events
        ),
        next=message.next,
    )


def _policy(message: queues_pb2.QueuePolicy) -> QueuePolicy:
    return QueuePolicy(
        lock=message.lock_ms / 1000,
        max_deliveries=message.max_deliveries,
        counter=next(name for name, number in _COUNTERS.items() if number == message.counter),
        retry_delay=message.retry_delay_ms / 1000,
        retry_factor=message.retry_factor,
        retry_delay_max=message.retry_delay_max_ms / 1000,
        retry_jitter=message.retry_jitter,
        dead_letter_topic=message.dead_letter_topic,
        lapse_is_failure=message.lapse_is_failure,
        max_unsettled=message.max_unsettled,
        hold=message.hold,
    )


def _partition(message: queues_pb2.QueuePartition) -> QueuePartition:
    return QueuePartition(
        partition=message.partition,
        start_offset=message.start_offset,
        end_offset=message.end_offset,
        counts=_counts(message.counts),
        error=error_from_message(message.error) if message.HasField("error") else None,
        move_refusal=message.move_refusal,
    )


def _counts(message: queues_pb2.QueueCounts) -> QueueCounts:
    return QueueCounts(message.ready, message.delayed, message.in_flight, message.moving, message.ready_bytes)


def _known(number: int) -> int | None:
    """Returns a number that is -1 where there is none."""
    return None if number < 0 else number
