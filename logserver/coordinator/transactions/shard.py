"""The transactional ids of one partition of `__transaction_state`: their whole state, and every decision on it.

Pure: time comes with each call, nothing is sent or stored here. Whoever runs it writes what a decision holds to the
log, applies it, gives the answer once the log has committed it, and writes the markers that `markers` asks for.

The last record of a transactional id is its state. Between the record that decides how a transaction ends and the one
that says that every partition has its marker, which of them have it is in memory only: after a restart all get one
again, which changes nothing.

Source: Kafka's TransactionCoordinator and TransactionStateManager of release 4.3.
"""

from collections.abc import Callable, Collection, Iterator
from itertools import count
from typing import Final

from logserver.coordinator.timers import Timers
from logserver.coordinator.transactions import refusals
from logserver.coordinator.transactions.beginnings import begin, check_request
from logserver.coordinator.transactions.decision import Outcome, TransactionDecision, TransactionEntry
from logserver.coordinator.transactions.ends import check_current, end_plainly, end_with_bump
from logserver.coordinator.transactions.formats import (
    NO_PRODUCER_ID,
    TransactionLogValue,
    TransactionState,
)
from logserver.coordinator.transactions.limits import TransactionLimits
from logserver.coordinator.transactions.looking import Filters, description, listed
from logserver.coordinator.transactions.requests import (
    EPOCH_BUMP,
    EndTransaction,
    InitProducerId,
    MarkerTask,
    Partition,
    ProducerIdentity,
    TransactionDescription,
    TransactionList,
)
from logserver.coordinator.transactions.transitions import (
    ENDING,
    completed,
    fenced_off,
    is_exhausted,
    with_partitions,
)
from logserver.errors import LogServerError

_OPEN: Final = "open"
_UNUSED: Final = "unused"
_AGAIN_MS: Final = 1_000
_TOMBSTONES_AT_A_TIME: Final = 500

_starts = count(1)
"""Of all machines: what one began is nothing to the one that has been read in its place."""


class _Ending:
    """A transaction whose end is decided."""

    __slots__ = ("remaining", "start")

    def __init__(self, remaining: set[Partition]) -> None:
        self.remaining = remaining
        self.start = next(_starts)


class TransactionShard:
    """State and decisions of the transactional ids of one partition."""

    def __init__(self, limits: TransactionLimits) -> None:
        self.timers = Timers()
        self._limits = limits
        self._values: dict[str, TransactionLogValue] = {}
        # By topic, for those that are open.
        self._open: dict[str, dict[str, frozenset[int]]] = {}
        self._endings: dict[str, _Ending] = {}

    def __len__(self) -> int:
        """Returns how many transactional ids there are."""
        return len(self._values)

    # Producers

    def needs_producer_id(self, transactional_id: str) -> bool:
        """Returns whether the next `init_producer_id` or `end` needs a fresh producer id: the transactional id is new,
        or the epochs of its producer id are used up."""
        value = self._values.get(transactional_id)
        return value is None or is_exhausted(value)

    def init_producer_id(self, request: InitProducerId, now_ms: int) -> TransactionDecision[ProducerIdentity]:
        """Decides on an InitProducerId.

        A transaction that is open is aborted first, and the producer told to try again (CONCURRENT_TRANSACTIONS, as
        the decision's error). Unlike Kafka, that is not done for one which says to resume with an epoch that is not
        the current one: it would be refused after that.

        Raises:
            LogServerError: INVALID_REQUEST, INVALID_TRANSACTION_TIMEOUT, TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
                UNSUPPORTED_VERSION, PRODUCER_FENCED, CONCURRENT_TRANSACTIONS, POLICY_VIOLATION.
        """
        check_request(request, self._limits)
        value = self._values.get(request.transactional_id)
        if value is None and len(self) >= self._limits.max_transactional_ids:
            raise refusals.too_many_ids(self._limits.max_transactional_ids)
        return _decision(request.transactional_id, begin(value, request, now_ms))

    # Transactions

    def add_partitions(
        self,
        transactional_id: str,
        producer_id: int,
        producer_epoch: int,
        partitions: Collection[Partition],
        now_ms: int,
        transaction_version: int = 0,
    ) -> TransactionDecision[None]:
        """Decides on an AddPartitionsToTxn; the first one opens the transaction.

        Args:
            transaction_version: the client's; 2 where the partitions are those of a Produce or TxnOffsetCommit of a
                client that does not add them itself (Kafka: `transactionVersionForAddPartitionsToTxn`).

        Raises:
            LogServerError: INVALID_REQUEST, INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED, CONCURRENT_TRANSACTIONS;
                TRANSACTION_ABORTABLE if there are too many of them.
        """
        value = self._of(transactional_id, producer_id)
        if value.state in ENDING:
            # Before anything else: the producer that goes on may have another producer id then.
            raise refusals.concurrent(transactional_id)
        check_current(value, transactional_id, producer_id, producer_epoch)
        known = self._open.get(transactional_id, {})
        # In their order, each once.
        added = dict.fromkeys(place for place in partitions if place[1] not in known.get(place[0], ()))
        if value.state is TransactionState.ONGOING and not added:
            return TransactionDecision(None)
        if len(added) + sum(map(len, known.values())) > self._limits.max_partitions:
            raise refusals.too_many_partitions(transactional_id, self._limits.max_partitions)
        value = with_partitions(value, added, transaction_version, now_ms)
        return TransactionDecision(None, (TransactionEntry(transactional_id, value),))

    def add_offsets(
        self, transactional_id: str, producer_id: int, producer_epoch: int, partition: Partition, now_ms: int
    ) -> TransactionDecision[None]:
        """Decides on an AddOffsetsToTxn, as `add_partitions`.

        Args:
            partition: of `__consumer_offsets`, where the group's offsets are.
        """
        return self.add_partitions(transactional_id, producer_id, producer_epoch, (partition,), now_ms)

    def verify(
        self, transactional_id: str, producer_id: int, producer_epoch: int, partitions: Collection[Partition]
    ) -> dict[Partition, LogServerError | None]:
        """Returns for each partition whether records of a transaction may be appended there (KIP-890); None if so.

        The errors are INVALID_REQUEST, INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED and CONCURRENT_TRANSACTIONS for all
        of them, or TRANSACTION_ABORTABLE for those that are not in the open transaction.
        """
        if not self._limits.partition_verification:
            return dict.fromkeys(partitions)
        try:
            value = self._of(transactional_id, producer_id)
            check_current(value, transactional_id, producer_id, producer_epoch)
            if value.state in ENDING:
                raise refusals.concurrent(transactional_id)
        except LogServerError as error:
            return dict.fromkeys(partitions, error)
        known = self._open.get(transactional_id, {})
        return {
            (topic, number): None
            if number in known.get(topic, ())
            else refusals.not_in_transaction(transactional_id, topic, number)
            for topic, number in partitions
        }

    def end(self, request: EndTransaction, now_ms: int) -> TransactionDecision[ProducerIdentity]:
        """Decides on an EndTxn; the answer is under what the producer goes on.

        Raises:
            LogServerError: INVALID_REQUEST, INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED, CONCURRENT_TRANSACTIONS,
                INVALID_TXN_STATE.
        """
        value = self._of(request.transactional_id, request.producer_id)
        decide = end_with_bump if request.transaction_version >= EPOCH_BUMP else end_plainly
        return _decision(request.transactional_id, decide(value, request, now_ms))

    def _of(self, transactional_id: str, producer_id: int) -> TransactionLogValue:
        if not transactional_id:
            raise refusals.no_id()
        value = self._values.get(transactional_id)
        if value is None:
            raise refusals.unknown_mapping(transactional_id, producer_id)
        return value

    # Markers

    def pending(self) -> Collection[str]:
        """Returns the transactional ids whose transaction is being ended."""
        return self._endings.keys()

    def markers(self, transactional_id: str) -> MarkerTask | None:
        """Returns which markers have to be written; None if no transaction is being ended.

        A task without partitions, which only a log that Kafka has left behind brings about, needs no marker, only
        `partition_ended`.
        """
        ending = self._endings.get(transactional_id)
        if ending is None:
            return None
        value = self._values[transactional_id]
        return MarkerTask(
            transactional_id,
            value.producer_id,
            value.producer_epoch,
            value.state is TransactionState.PREPARE_COMMIT,
            value.client_transaction_version,
            frozenset(ending.remaining),
            ending.start,
        )

    def partition_ended(self, task: MarkerTask, partitions: Collection[Partition]) -> TransactionDecision[None]:
        """Takes in that markers are durable in partitions, or need not be written there any more.

        The last of them brings the record that says so; until that is written they count as missing.
        """
        ending = self._endings.get(task.transactional_id)
        if ending is None or ending.start != task.start:
            return TransactionDecision(None)
        remaining = ending.remaining
        done = remaining.intersection(partitions)
        if len(done) < len(remaining):
            remaining -= done
            return TransactionDecision(None)
        value = self._values[task.transactional_id]
        # Kafka's time, too, is that of when the markers were about to be sent.
        value = completed(value, value.last_update_timestamp_ms)
        return TransactionDecision(None, (TransactionEntry(task.transactional_id, value),))

    # Time

    def expire(self, now_ms: int) -> Iterator[TransactionDecision[None]]:
        """Yields what time has brought, each to be carried out before the next: transactions open for longer than their
        timeout are aborted, transactional ids that were not in use for long are forgotten."""
        due = [(key, self._values.get(key[-1])) for key in self.timers.due(now_ms)]
        for key, _ in due:
            # Until what it brings has been written, it is due again soon: the disk may be full.
            self.timers.set(key, now_ms + _AGAIN_MS)
        for key, value in due:
            if key[0] == _UNUSED:
                yield from self._forget(now_ms)
                self.timers.set(key, now_ms + self._limits.expiration_check_interval_ms)
            # Otherwise something has happened since.
            elif value is not None and self._values.get(key[-1]) is value:
                # There is no fresh producer id at hand; `end` and `init_producer_id` make up for that.
                aborted = fenced_off(value, EPOCH_BUMP, NO_PRODUCER_ID, now_ms)
                yield TransactionDecision(None, (TransactionEntry(key[-1], aborted),))

    def _forget(self, now_ms: int) -> Iterator[TransactionDecision[None]]:
        before_ms = now_ms - self._limits.id_expiration_ms
        unused = [transactional_id for transactional_id in self._values if self._is_unused(transactional_id, before_ms)]
        for start in range(0, len(unused), _TOMBSTONES_AT_A_TIME):
            entries = [
                TransactionEntry(transactional_id, None)
                for transactional_id in unused[start : start + _TOMBSTONES_AT_A_TIME]
                # Something may have happened since the last ones.
                if self._is_unused(transactional_id, before_ms)
            ]
            yield TransactionDecision(None, entries)

    def _is_unused(self, transactional_id: str, before_ms: int) -> bool:
        value = self._values.get(transactional_id)
        return (
            value is not None
            and value.state is not TransactionState.ONGOING
            and value.state not in ENDING
            and value.last_update_timestamp_ms <= before_ms
        )

    # State

    def apply(self, transactional_id: str, value: TransactionLogValue | None, now_ms: int) -> None:
        """Takes in a record of the log, when it is read at the start as well as when it has just been written.

        Args:
            now_ms: the record's time.
        """
        self._endings.pop(transactional_id, None)
        if value is None:
            self._values.pop(transactional_id, None)
        else:
            self._values[transactional_id] = value
        if value is None or value.state is not TransactionState.ONGOING:
            self._open.pop(transactional_id, None)
            self.timers.cancel((_OPEN, transactional_id))
        else:
            known = self._open.setdefault(transactional_id, {})
            for topic, numbers in value.partitions:
                if len(known.get(topic, ())) != len(numbers):
                    known[topic] = frozenset(numbers)
            self._watch(transactional_id, value, now_ms)
        if value is not None and value.state in ENDING:
            places = {(topic, number) for topic, numbers in value.partitions for number in numbers}
            self._endings[transactional_id] = _Ending(places)

    def loaded(self, now_ms: int) -> None:
        """Starts time for a shard that has been read from its log."""
        for transactional_id in self._open:
            self._watch(transactional_id, self._values[transactional_id], now_ms)
        self.timers.set((_UNUSED,), now_ms + self._limits.expiration_check_interval_ms)

    def _watch(self, transactional_id: str, value: TransactionLogValue, now_ms: int) -> None:
        """Sets when an open transaction has been open for too long."""
        # The clock may have been set back since it began.
        begun_ms = min(value.start_timestamp_ms, now_ms)
        self.timers.set((_OPEN, transactional_id), begun_ms + value.timeout_ms)

    # Looking

    def describe(self, transactional_id: str) -> TransactionDescription:
        """Returns the state of a transactional id.

        Raises:
            LogServerError: INVALID_REQUEST, TRANSACTIONAL_ID_NOT_FOUND.
        """
        if not transactional_id:
            raise refusals.no_id()
        value = self._values.get(transactional_id)
        if value is None:
            raise refusals.not_found(transactional_id)
        ending = self._endings.get(transactional_id)
        return description(value, None if ending is None else ending.remaining)

    def list(
        self,
        now_ms: int,
        states: Collection[str] = (),
        producer_ids: Collection[int] = (),
        longer_than_ms: int = -1,
        matches: Callable[[str], bool] | None = None,
    ) -> TransactionList:
        """Returns transactional ids.

        Args:
            states: as Kafka names them; only those in one of them. Nothing is everything, here and below.
            producer_ids: only those with one of them.
            longer_than_ms: only those that began a transaction longer ago (KIP-994); Kafka takes those that never did
                for very old. -1 is no filter.
            matches: only those for which it is true (KIP-1152).
        """
        filters = Filters(states, producer_ids, longer_than_ms, matches)
        return listed(self._values, filters, now_ms)


def _decision(transactional_id: str, outcome: Outcome) -> TransactionDecision[ProducerIdentity]:
    entries = () if outcome.value is None else (TransactionEntry(transactional_id, outcome.value),)
    return TransactionDecision(outcome.answer, entries, outcome.error)
