"""What producers and administrators ask the transaction machine, and what they are told."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from logserver.coordinator.transactions.formats import NO_PRODUCER_EPOCH, NO_PRODUCER_ID, TopicPartitions

Partition = tuple[str, int]
"""Topic and number."""

EPOCH_BUMP: Final = 2
"""The transaction version (KIP-890) from which on every end of a transaction raises the producer epoch."""


class ProducerIdentity(NamedTuple):
    """Under what a producer goes on."""

    producer_id: int
    producer_epoch: int


class InitProducerId(NamedTuple):
    """Begins or resumes a transactional id, and fences who had it before (KIP-98, KIP-360)."""

    transactional_id: str
    timeout_ms: int
    producer_id: int = NO_PRODUCER_ID
    """That the producer has already, with its epoch (KIP-360); -1 if it has none."""
    producer_epoch: int = NO_PRODUCER_EPOCH
    fresh_producer_id: int | None = None
    """That nobody has had, for `TransactionShard.needs_producer_id`; not used where none is needed."""
    transaction_version: int = EPOCH_BUMP
    """The server's, by which a transaction that is still open is aborted."""
    enable_2pc: bool = False
    keep_prepared: bool = False


class EndTransaction(NamedTuple):
    """Commits or aborts (EndTxn)."""

    transactional_id: str
    producer_id: int
    producer_epoch: int
    commit: bool
    transaction_version: int = EPOCH_BUMP
    """The client's: 2 for EndTxn version 5 and above, otherwise 0 (Kafka: `transactionVersionForEndTxn`)."""
    fresh_producer_id: int | None = None
    """As in `InitProducerId`."""


@dataclass(frozen=True, slots=True)
class MarkerTask:
    """Control batches to be written, one to each partition, so that a transaction is over there."""

    transactional_id: str
    producer_id: int
    producer_epoch: int
    commit: bool
    transaction_version: int
    partitions: frozenset[Partition]
    """Those that are not known to have it."""
    start: int
    """Another one for every end of a transaction."""


class TransactionDescription(NamedTuple):
    """The state of a transactional id (DescribeTransactions)."""

    state: str
    """As Kafka names it: "Ongoing"."""
    timeout_ms: int
    start_timestamp_ms: int
    """-1 if there was no transaction since the producer began."""
    producer_id: int
    producer_epoch: int
    partitions: Sequence[TopicPartitions]
    """Those without a marker yet where the transaction is ending."""


class TransactionListing(NamedTuple):
    """A transactional id in a list (ListTransactions)."""

    transactional_id: str
    producer_id: int
    state: str


class TransactionList(NamedTuple):
    """What was found."""

    transactions: Sequence[TransactionListing]
    unknown_states: Sequence[str]
    """Names asked for that are no state's."""
