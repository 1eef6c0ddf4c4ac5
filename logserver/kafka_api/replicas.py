"""Where clients want partitions to be: on one node there is one place."""

from collections.abc import Sequence

from logserver.errors import ErrorCode, LogServerError


def check_replicas(broker_ids: Sequence[int], node_id: int) -> None:
    """Checks the brokers that a client wants a partition on.

    Raises:
        LogServerError: INVALID_REPLICA_ASSIGNMENT.
    """
    if not broker_ids:
        raise invalid_assignment("the assignment names a partition without any broker")
    for broker_id in broker_ids:
        if broker_id != node_id:
            raise invalid_assignment(f"the assignment names broker {broker_id}; there is only broker {node_id}")
    if len(broker_ids) > 1:
        raise invalid_assignment(f"the assignment names broker {node_id} more than once for a partition")


def invalid_assignment(message: str) -> LogServerError:
    """Returns an INVALID_REPLICA_ASSIGNMENT."""
    return LogServerError(ErrorCode.invalid_replica_assignment, message)
