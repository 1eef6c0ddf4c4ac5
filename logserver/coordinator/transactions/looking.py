"""What administrators see of transactions.

Source: KIP-664, KIP-994, KIP-1152; Kafka's TransactionStateManager, `listTransactionStates`.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Final, NamedTuple

from logserver.coordinator.transactions.formats import TopicPartitions, TransactionLogValue, TransactionState
from logserver.coordinator.transactions.requests import (
    Partition,
    TransactionDescription,
    TransactionList,
    TransactionListing,
)

_STATE_NAMES: Final = frozenset({state.title for state in TransactionState} | {"Dead", "PrepareEpochFence"})
"""Kafka has the last two, and never tells anybody of them."""


class Filters(NamedTuple):
    """Which transactional ids are listed; see `TransactionShard.list`."""

    states: Collection[str] = ()
    producer_ids: Collection[int] = ()
    longer_than_ms: int = -1
    matches: Callable[[str], bool] | None = None

    def take(self, transactional_id: str, value: TransactionLogValue, now_ms: int) -> bool:
        """Whether an id is among them."""
        return (
            (not self.producer_ids or value.producer_id in self.producer_ids)
            and (not self.states or value.state.title in self.states)
            and (self.longer_than_ms < 0 or now_ms - value.start_timestamp_ms > self.longer_than_ms)
            and (self.matches is None or self.matches(transactional_id))
        )


def description(value: TransactionLogValue, remaining: Collection[Partition] | None) -> TransactionDescription:
    """Returns the state of a transactional id.

    Args:
        remaining: partitions without a marker yet; None if the transaction is not being ended.
    """
    partitions = value.partitions
    if remaining is not None:
        topics: dict[str, list[int]] = {}
        for topic, number in sorted(remaining):
            topics.setdefault(topic, []).append(number)
        partitions = tuple([TopicPartitions(topic, tuple(numbers)) for topic, numbers in topics.items()])
    return TransactionDescription(
        value.state.title,
        value.timeout_ms,
        value.start_timestamp_ms,
        value.producer_id,
        value.producer_epoch,
        partitions,
    )


def listed(values: Mapping[str, TransactionLogValue], filters: Filters, now_ms: int) -> TransactionList:
    """Returns the transactional ids that filters take."""
    found = [
        TransactionListing(transactional_id, value.producer_id, value.state.title)
        for transactional_id, value in values.items()
        if filters.take(transactional_id, value, now_ms)
    ]
    return TransactionList(found, [name for name in filters.states if name not in _STATE_NAMES])
