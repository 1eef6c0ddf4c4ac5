"""What a log remembers of one producer, and what it may append next (KIP-98; Kafka: `ProducerAppendInfo`)."""

from collections import deque
from typing import Final, NamedTuple

from logserver_records.batch import NO_PRODUCER_EPOCH, TRANSACTIONAL_MASK, BatchHeader

from logserver_segments.errors import (
    DuplicateSequence,
    InvalidTransactionState,
    OutOfOrderSequence,
    StaleProducerEpoch,
)

REMEMBERED_BATCHES: Final = 5
NO_TRANSACTION: Final = -1

_MAX_SEQUENCE: Final = 0x7FFFFFFF


class AppendedBatch(NamedTuple):
    """One batch of a producer: sequences and offsets inclusive."""

    first_sequence: int
    last_sequence: int
    first_offset: int
    last_offset: int
    timestamp_ms: int


class Producer:
    """State of one producer id in one log."""

    __slots__ = ("batches", "coordinator_epoch", "epoch", "timestamp_ms", "transaction_first_offset", "used_ms")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.batches: deque[AppendedBatch] = deque(maxlen=REMEMBERED_BATCHES)
        self.coordinator_epoch = -1
        # Of its last batch or the marker behind it.
        self.timestamp_ms = -1
        self.transaction_first_offset = NO_TRANSACTION
        # When it last wrote, by the server's clock; None if that was before the log was opened.
        self.used_ms: int | None = None


def _next_sequence(sequence: int) -> int:
    return 0 if sequence == _MAX_SEQUENCE else sequence + 1


def stale(producer_id: int, epoch: int, newer: int) -> StaleProducerEpoch:
    return StaleProducerEpoch(
        f"producer {producer_id} wrote with epoch {epoch}, "
        f"but epoch {newer} has taken over; this instance was replaced and must stop"
    )


def check_sequence(header: BatchHeader, producer: Producer) -> None:
    """Raises:
    OutOfOrderSequence, DuplicateSequence: see `ProducerStates.check`.
    """
    first = header.base_sequence
    if header.producer_epoch != producer.epoch:
        if first != 0 and producer.epoch != NO_PRODUCER_EPOCH:
            raise OutOfOrderSequence(
                f"producer {header.producer_id} began epoch {header.producer_epoch} with sequence {first}, not 0"
            )
        return
    # Behind a marker that began an epoch, and behind what has no sequence, they begin at 0 (as Kafka).
    expected = _next_sequence(producer.batches[-1].last_sequence) if producer.batches else 0
    if first == expected:
        return
    last = header.last_sequence
    # Between two that are remembered there is one missing where compaction has taken it.
    overlaps = any(first <= known.last_sequence and known.first_sequence <= last for known in producer.batches)
    if producer.batches and last < expected and not overlaps:
        raise DuplicateSequence(
            f"producer {header.producer_id} sent sequences {first} to {last} again; they are older than the last "
            f"{REMEMBERED_BATCHES} batches, or were compacted, so their offsets are no longer known"
        )
    raise OutOfOrderSequence(
        f"producer {header.producer_id} sent sequence {first} where {expected} is next; a batch in between is missing"
    )


def check_is_transactional(header: BatchHeader, producer: Producer) -> None:
    if producer.transaction_first_offset != NO_TRANSACTION and not header.attributes & TRANSACTIONAL_MASK:
        raise InvalidTransactionState(
            f"producer {header.producer_id} has had a transaction open since offset "
            f"{producer.transaction_first_offset}; what it sends must belong to it"
        )
