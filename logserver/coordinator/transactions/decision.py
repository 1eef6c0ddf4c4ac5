"""What the transaction machine answers to a request: an answer, and what has to be written for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from logserver.coordinator.transactions.formats import TransactionLogValue
from logserver.coordinator.transactions.requests import ProducerIdentity
from logserver.errors import LogServerError

T_co = TypeVar("T_co", covariant=True)


class TransactionEntry(NamedTuple):
    """One record for the log; without a value it is a tombstone."""

    transactional_id: str
    value: TransactionLogValue | None


@dataclass(frozen=True, slots=True)
class TransactionDecision(Generic[T_co]):
    """The outcome of one request.

    The state has not changed yet: it does so by applying the entries, once they are in the log. The answer is for
    when they are durable.
    """

    answer: T_co
    entries: Sequence[TransactionEntry] = ()
    error: LogServerError | None = None
    """Told instead of the answer."""


class Outcome(NamedTuple):
    """What a request comes to, apart from whose it is."""

    answer: ProducerIdentity
    value: TransactionLogValue | None = None
    """To be written; None if nothing changes."""
    error: LogServerError | None = None
    """Told instead of the answer."""
