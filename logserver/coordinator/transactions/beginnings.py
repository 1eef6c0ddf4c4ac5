"""What an InitProducerId comes to: a producer that begins, resumes or is fenced.

Source: KIP-98, KIP-360; Kafka's TransactionCoordinator, `prepareInitProducerIdTransit`.
"""

from logserver.coordinator.transactions import refusals
from logserver.coordinator.transactions.decision import Outcome
from logserver.coordinator.transactions.formats import (
    NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID,
    TransactionLogValue,
    TransactionState,
)
from logserver.coordinator.transactions.limits import TransactionLimits
from logserver.coordinator.transactions.requests import EndTransaction, InitProducerId, ProducerIdentity
from logserver.coordinator.transactions.transitions import ENDING, created, fenced_off, initialized, is_exhausted

_NOBODY = ProducerIdentity(NO_PRODUCER_ID, NO_PRODUCER_EPOCH)


def check_request(request: InitProducerId, limits: TransactionLimits) -> None:
    """Checks what does not depend on any state.

    Raises:
        LogServerError: INVALID_REQUEST, TRANSACTIONAL_ID_AUTHORIZATION_FAILED, UNSUPPORTED_VERSION,
            INVALID_TRANSACTION_TIMEOUT.
    """
    if not request.transactional_id:
        raise refusals.no_id()
    if request.enable_2pc:
        raise refusals.two_phase_commit()
    if request.keep_prepared:
        raise refusals.keep_prepared()
    if (request.producer_id == NO_PRODUCER_ID) != (request.producer_epoch == NO_PRODUCER_EPOCH):
        raise refusals.half_an_identity()
    if not 0 < request.timeout_ms <= limits.max_timeout_ms:
        raise refusals.invalid_timeout(request.timeout_ms, limits.max_timeout_ms)


def begin(value: TransactionLogValue | None, request: InitProducerId, now_ms: int) -> Outcome:
    """Decides on a request that is valid by itself.

    Raises:
        LogServerError: PRODUCER_FENCED, CONCURRENT_TRANSACTIONS.
    """
    if value is None:
        # Also for one that resumes: its id was not in use for so long that nobody remembers it.
        return _began(created(fresh(request), request.timeout_ms, now_ms))
    if value.state in ENDING:
        raise refusals.concurrent(request.transactional_id)
    known = ProducerIdentity(request.producer_id, request.producer_epoch)
    resumes = known != _NOBODY
    if value.state is TransactionState.ONGOING:
        if resumes and known != value[:2]:
            raise refusals.fenced(request.transactional_id, known.producer_epoch)
        next_producer_id = fresh(request) if is_exhausted(value) else NO_PRODUCER_ID
        value = fenced_off(value, request.transaction_version, next_producer_id, now_ms)
        return Outcome(_NOBODY, value, refusals.concurrent(request.transactional_id))
    producer_id, epoch, last_epoch = value.producer_id, value.producer_epoch, NO_PRODUCER_EPOCH
    if resumes and known != value[:2]:
        if not _is_retry(value, known):
            raise refusals.fenced(request.transactional_id, known.producer_epoch)
        last_epoch = value.last_producer_epoch
    else:
        if resumes:
            last_epoch = epoch
        producer_id, epoch = (fresh(request), 0) if is_exhausted(value) else (producer_id, epoch + 1)
    return _began(initialized(value, producer_id, epoch, last_epoch, request.timeout_ms, now_ms))


def _is_retry(value: TransactionLogValue, known: ProducerIdentity) -> bool:
    """Whether a producer asks with the identity that it had before its current one, whose answer it never saw.

    Nobody else has begun since: that would have set the last epoch to -1.
    """
    if known.producer_epoch != value.last_producer_epoch or known.producer_epoch == NO_PRODUCER_EPOCH:
        return False
    # With another producer id before, the epochs of that one were used up.
    return known.producer_id == value.producer_id or (
        known.producer_id == value.previous_producer_id and value.producer_epoch == 0
    )


def _began(value: TransactionLogValue) -> Outcome:
    return Outcome(ProducerIdentity(value.producer_id, value.producer_epoch), value)


def fresh(request: InitProducerId | EndTransaction) -> int:
    """Returns a producer id that nobody has had.

    Raises:
        LogServerError: CONCURRENT_TRANSACTIONS; whoever was told that none is needed was overtaken.
    """
    if request.fresh_producer_id is None:
        raise refusals.concurrent(request.transactional_id)
    return request.fresh_producer_id
