"""What an EndTxn comes to: by the state, the producer's epoch, and whether it commits or aborts.

Source: Kafka's TransactionCoordinator, `endTransactionWithTV1` and `endTransaction`.
"""

from logserver.coordinator.transactions.beginnings import fresh
from logserver.coordinator.transactions.decision import Outcome
from logserver.coordinator.transactions.formats import NO_PRODUCER_ID, TransactionLogValue, TransactionState
from logserver.coordinator.transactions.refusals import concurrent, fenced, invalid_state, unknown_mapping
from logserver.coordinator.transactions.requests import EPOCH_BUMP, EndTransaction, ProducerIdentity
from logserver.coordinator.transactions.transitions import (
    ENDING,
    LAST_EPOCH,
    ended,
    identity_after,
    initialized,
    is_exhausted,
)


def end_plainly(value: TransactionLogValue, request: EndTransaction, now_ms: int) -> Outcome:
    """Decides for a client whose epoch stays (transaction version 0 or 1).

    An end that was decided before is answered again, which is how a retry gets its answer.

    Raises:
        LogServerError: INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED, CONCURRENT_TRANSACTIONS, INVALID_TXN_STATE.
    """
    check_current(value, request.transactional_id, request.producer_id, request.producer_epoch)
    if value.state in ENDING:
        raise concurrent(request.transactional_id)
    answer = ProducerIdentity(value.producer_id, value.producer_epoch)
    if value.state is TransactionState.ONGOING:
        # Kafka records 0 for version 1, too: nothing but the rise of the epoch depends on it.
        return Outcome(answer, ended(value, request.commit, 0, NO_PRODUCER_ID, now_ms))
    if value.state is not _complete(request.commit):
        raise invalid_state(request.transactional_id, value, request.commit)
    return Outcome(answer)


def end_with_bump(value: TransactionLogValue, request: EndTransaction, now_ms: int) -> Outcome:
    """Decides for a client whose epoch rises with every end (transaction version 2, KIP-890).

    One with the epoch before the current one is a retry. One with the current epoch is about the next transaction,
    which can be aborted also where it has no partition yet: then whatever the client has sent, and nobody has seen yet,
    comes too late.

    Raises:
        LogServerError: as `end_plainly`.
    """
    transactional_id, producer_id, producer_epoch, commit = request[:4]
    if value.state in ENDING:
        raise concurrent(transactional_id)
    if _is_retry(value, producer_id, producer_epoch):
        is_complete = value.state in (TransactionState.COMPLETE_COMMIT, TransactionState.COMPLETE_ABORT)
        if not is_complete or value.client_transaction_version < EPOCH_BUMP:
            # Not its transaction was ended, or by somebody whose epoch has not risen with that: to Kafka, the latter is
            # a retry all the same.
            raise fenced(transactional_id, producer_epoch)
        if value.state is not _complete(commit):
            raise invalid_state(transactional_id, value, commit)
        if value.producer_epoch == LAST_EPOCH:
            # It was aborted by time, and there was no producer id at hand.
            value = initialized(value, fresh(request), 0, producer_epoch, value.timeout_ms, now_ms)._replace(
                state=value.state, start_timestamp_ms=value.start_timestamp_ms
            )
            return Outcome(_identity(value), value)
        return Outcome(_identity(value))
    check_current(value, transactional_id, producer_id, producer_epoch)
    if value.state is not TransactionState.ONGOING and commit:
        raise invalid_state(transactional_id, value, commit)
    next_producer_id = fresh(request) if is_exhausted(value) else NO_PRODUCER_ID
    value = ended(value, commit, request.transaction_version, next_producer_id, now_ms)
    return Outcome(_identity(value), value)


def check_current(value: TransactionLogValue, transactional_id: str, producer_id: int, producer_epoch: int) -> None:
    """Checks that a producer is the one that has a transactional id now.

    Raises:
        LogServerError: INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED.
    """
    if producer_id != value.producer_id:
        raise unknown_mapping(transactional_id, producer_id)
    # Nobody was ever given the last epoch.
    if producer_epoch != value.producer_epoch or producer_epoch == LAST_EPOCH:
        raise fenced(transactional_id, producer_epoch)


def _is_retry(value: TransactionLogValue, producer_id: int, producer_epoch: int) -> bool:
    """Whether a producer asks with the identity before the current one."""
    if producer_id == value.producer_id:
        return producer_epoch == value.producer_epoch - 1
    return producer_id == value.previous_producer_id and producer_epoch == LAST_EPOCH - 1 and value.producer_epoch == 0


def _complete(commit: bool) -> TransactionState:
    return TransactionState.COMPLETE_COMMIT if commit else TransactionState.COMPLETE_ABORT


def _identity(value: TransactionLogValue) -> ProducerIdentity:
    return ProducerIdentity(*identity_after(value))
