"""What the transaction machine refuses, with Kafka's codes and sentences for a person."""

from logserver.coordinator.transactions.formats import TransactionLogValue
from logserver.errors import ErrorCode, LogServerError


def shown(transactional_id: str) -> str:
    """Returns an id as messages have it."""
    return repr(transactional_id[:100])


def no_id() -> LogServerError:
    return LogServerError(ErrorCode.invalid_request, "the transactional id is empty; set transactional.id")


def half_an_identity() -> LogServerError:
    return LogServerError(
        ErrorCode.invalid_request, "a producer that resumes says both its producer id and its epoch, any other neither"
    )


def unknown_mapping(transactional_id: str, producer_id: int) -> LogServerError:
    """The coordinator knows the transactional id under another producer id, or not at all."""
    return LogServerError(
        ErrorCode.invalid_producer_id_mapping,
        f"the transactional id {shown(transactional_id)} does not belong to the producer id {producer_id} (any more): "
        "it was not in use for transactional.id.expiration.ms, or somebody else has begun with it; begin again with "
        "InitProducerId",
    )


def fenced(transactional_id: str, epoch: int) -> LogServerError:
    """The caller tells old clients INVALID_PRODUCER_EPOCH instead, by the version of their request."""
    return LogServerError(
        ErrorCode.producer_fenced,
        f"the producer epoch {epoch} of the transactional id {shown(transactional_id)} is not the current one: another "
        "producer has begun with this id, or the transaction took longer than its timeout (transaction.timeout.ms) and "
        "was aborted",
    )


def concurrent(transactional_id: str) -> LogServerError:
    return LogServerError(
        ErrorCode.concurrent_transactions,
        f"the last transaction of {shown(transactional_id)} is still being ended; try again",
    )


def invalid_state(transactional_id: str, value: TransactionLogValue, commit: bool) -> LogServerError:
    return LogServerError(
        ErrorCode.invalid_txn_state,
        f"there is no open transaction of {shown(transactional_id)} to {'commit' if commit else 'abort'}: "
        f"its state is {value.state.title}",
    )


def not_in_transaction(transactional_id: str, topic: str, partition: int) -> LogServerError:
    return LogServerError(
        ErrorCode.transaction_abortable,
        f"the open transaction of {shown(transactional_id)}, if there is one, does not have the partition "
        f"{topic}-{partition}; abort and begin it again",
    )


def too_many_partitions(transactional_id: str, most: int) -> LogServerError:
    return LogServerError(
        ErrorCode.transaction_abortable,
        f"the transaction of {shown(transactional_id)} would have more than {most} partitions; abort it and begin "
        "smaller ones",
    )


def too_many_ids(most: int) -> LogServerError:
    return LogServerError(
        ErrorCode.policy_violation,
        f"there are {most} transactional ids already in this partition of __transaction_state; those not in use are "
        "forgotten after transactional.id.expiration.ms",
    )


def invalid_timeout(timeout_ms: int, most_ms: int) -> LogServerError:
    return LogServerError(
        ErrorCode.invalid_transaction_timeout,
        f"the transaction timeout of {timeout_ms} ms is not between 1 and transaction.max.timeout.ms={most_ms}",
    )


def two_phase_commit() -> LogServerError:
    return LogServerError(
        ErrorCode.transactional_id_authorization_failed,
        "two-phase commit (transaction.two.phase.commit.enable, KIP-939) is not enabled",
    )


def keep_prepared() -> LogServerError:
    return LogServerError(ErrorCode.unsupported_version, "prepared transactions (KIP-939) are not kept")


def not_found(transactional_id: str) -> LogServerError:
    return LogServerError(
        ErrorCode.transactional_id_not_found, f"there is no transactional id {shown(transactional_id)}"
    )
