"""What a record looks like that was moved: as it was, with headers that say why and from where."""

from collections.abc import Iterable
from typing import Final

from logserver_records.codec import NewRecord, Record

from logserver.coordinator.delivery.moves import REDRIVEN, Move

_PREFIX: Final = "logserver."
REASON: Final = "logserver.reason"
QUEUE: Final = "logserver.queue"
TOPIC: Final = "logserver.topic"
PARTITION: Final = "logserver.partition"
OFFSET: Final = "logserver.offset"
TIMESTAMP: Final = "logserver.timestamp-ms"
DELIVERIES: Final = "logserver.deliveries"
FAILURES: Final = "logserver.failures"
FIRST_DELIVERY: Final = "logserver.first-delivery-ms"
LAST_DELIVERY: Final = "logserver.last-delivery-ms"
MOVE: Final = "logserver.move"
"""Names the move and the record, so that it is not moved twice."""


def move_name(identity: str, intent: int, offset: int) -> bytes:
    """Returns what tells a moved record from all others.

    Args:
        identity: of the queue and its partition.
    """
    return f"{identity}:{intent}:{offset}".encode()


def moved_record(
    record: Record, move: Move, identity: str, queue: str, topic: str, partition: int, now_ms: int
) -> NewRecord:
    """Returns a record as it is written at its destination; its timestamp is never before that of the decision."""
    headers = [(key, value) for key, value in record.headers if not key.startswith(_PREFIX)]
    added: list[tuple[str, object]] = [(REASON, move.reason), (QUEUE, queue), (TOPIC, topic), (PARTITION, partition)]
    added += [(OFFSET, record.offset), (TIMESTAMP, record.timestamp_ms)]
    if move.reason != REDRIVEN:
        added += [(DELIVERIES, move.acquisitions), (FAILURES, move.failures)]
        added += [(FIRST_DELIVERY, move.first_ms), (LAST_DELIVERY, move.last_ms)]
    headers += [(key, str(value).encode()) for key, value in added]
    headers.append((MOVE, move_name(identity, move.intent, record.offset)))
    return max(now_ms, move.at_ms), record.key, record.value, tuple(headers)


def names_in(records: Iterable[Record]) -> Iterable[bytes]:
    """Yields the names of moves that records carry."""
    for record in records:
        for key, value in record.headers:
            if key == MOVE and value is not None:
                yield value


def origin(record: Record) -> tuple[str, int] | None:
    """Returns topic and partition that a dead letter came from; None if it does not say so."""
    found = dict(record.headers)
    topic, partition = found.get(TOPIC), found.get(PARTITION)
    if topic is None or partition is None:
        return None
    try:
        return topic.decode(), int(partition)
    except ValueError:
        return None
