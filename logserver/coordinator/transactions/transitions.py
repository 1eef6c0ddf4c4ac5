"""The steps that a transactional id takes from one record to the next.

Source: Kafka's TransactionMetadata. No step looks at who asks; `shard` does.
"""

from collections.abc import Iterable
from typing import Final

from logserver.coordinator.transactions.formats import (
    NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID,
    NO_TIMESTAMP,
    TopicPartitions,
    TransactionLogValue,
    TransactionState,
)
from logserver.coordinator.transactions.requests import EPOCH_BUMP, Partition

LAST_EPOCH: Final = 32_767
"""Fences the last producer of a producer id, and is never given to one."""

ENDING: Final = frozenset({TransactionState.PREPARE_COMMIT, TransactionState.PREPARE_ABORT})
"""Decided, and markers are on their way."""


def is_exhausted(value: TransactionLogValue) -> bool:
    """Whether the next producer epoch has to be another producer id's."""
    return value.producer_epoch >= LAST_EPOCH - 1


def created(producer_id: int, timeout_ms: int, now_ms: int) -> TransactionLogValue:
    """The first record of a transactional id."""
    return TransactionLogValue(
        producer_id,
        0,
        timeout_ms,
        TransactionState.EMPTY,
        last_update_timestamp_ms=now_ms,
        previous_producer_id=producer_id,
    )


def initialized(
    value: TransactionLogValue, producer_id: int, epoch: int, last_epoch: int, timeout_ms: int, now_ms: int
) -> TransactionLogValue:
    """A producer begins, under a producer id and epoch that are new or the same."""
    return value._replace(
        producer_id=producer_id,
        producer_epoch=epoch,
        last_producer_epoch=last_epoch,
        previous_producer_id=value.producer_id,
        timeout_ms=timeout_ms,
        state=TransactionState.EMPTY,
        partitions=(),
        start_timestamp_ms=NO_TIMESTAMP,
        last_update_timestamp_ms=now_ms,
    )


def with_partitions(
    value: TransactionLogValue, added: Iterable[Partition], transaction_version: int, now_ms: int
) -> TransactionLogValue:
    """Partitions that it does not have yet take part; the first ones open the transaction."""
    is_open = value.state is TransactionState.ONGOING
    topics = dict(value.partitions) if is_open else {}
    more: dict[str, list[int]] = {}
    for topic, number in added:
        more.setdefault(topic, []).append(number)
    for topic, numbers in more.items():
        topics[topic] = (*topics.get(topic, ()), *numbers)
    return value._replace(
        state=TransactionState.ONGOING,
        partitions=tuple([TopicPartitions(*topic) for topic in topics.items()]),
        previous_producer_id=value.producer_id,
        client_transaction_version=transaction_version,
        start_timestamp_ms=value.start_timestamp_ms if is_open else now_ms,
        last_update_timestamp_ms=now_ms,
    )


def ended(
    value: TransactionLogValue, commit: bool, transaction_version: int, next_producer_id: int, now_ms: int
) -> TransactionLogValue:
    """The end is decided; and completed at once where no partition needs a marker.

    Args:
        transaction_version: from 2 on the epoch rises with it.
        next_producer_id: takes over when the epochs are used up; -1 otherwise.
    """
    epoch, last_epoch = value.producer_epoch, value.last_producer_epoch
    if transaction_version >= EPOCH_BUMP:
        epoch, last_epoch = min(epoch + 1, LAST_EPOCH), epoch
    is_open = value.state is TransactionState.ONGOING
    decided = value._replace(
        producer_epoch=epoch,
        last_producer_epoch=last_epoch,
        previous_producer_id=value.producer_id,
        next_producer_id=next_producer_id,
        state=TransactionState.PREPARE_COMMIT if commit else TransactionState.PREPARE_ABORT,
        client_transaction_version=transaction_version,
        start_timestamp_ms=value.start_timestamp_ms if is_open else now_ms,
        last_update_timestamp_ms=now_ms,
    )
    return decided if decided.partitions else completed(decided, now_ms)


def fenced_off(
    value: TransactionLogValue, transaction_version: int, next_producer_id: int, now_ms: int
) -> TransactionLogValue:
    """The open transaction is aborted without its producer, whose epoch is not valid any more."""
    if transaction_version >= EPOCH_BUMP:
        return ended(value, False, transaction_version, next_producer_id, now_ms)
    raised = value._replace(
        producer_epoch=min(value.producer_epoch + 1, LAST_EPOCH), last_producer_epoch=NO_PRODUCER_EPOCH
    )
    return ended(raised, False, transaction_version, NO_PRODUCER_ID, now_ms)


def completed(value: TransactionLogValue, now_ms: int) -> TransactionLogValue:
    """Every partition has its marker."""
    takes_over = value.next_producer_id != NO_PRODUCER_ID and value.client_transaction_version >= EPOCH_BUMP
    committed = value.state is TransactionState.PREPARE_COMMIT
    return value._replace(
        producer_id=value.next_producer_id if takes_over else value.producer_id,
        producer_epoch=0 if takes_over else value.producer_epoch,
        previous_producer_id=value.producer_id,
        next_producer_id=NO_PRODUCER_ID,
        state=TransactionState.COMPLETE_COMMIT if committed else TransactionState.COMPLETE_ABORT,
        partitions=(),
        last_update_timestamp_ms=now_ms,
    )


def identity_after(value: TransactionLogValue) -> tuple[int, int]:
    """Returns the producer id and epoch under which the producer goes on, also while markers are on their way."""
    if value.next_producer_id != NO_PRODUCER_ID and value.client_transaction_version >= EPOCH_BUMP:
        return value.next_producer_id, 0
    return value.producer_id, value.producer_epoch
