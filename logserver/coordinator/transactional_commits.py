"""Commits inside transactions: who may commit, as Kafka checks it for TxnOffsetCommit (KIP-98, KIP-447).

A producer need not tell in whose name it commits. Where it does, the member must be one of the group now, so that a
consumer whose partitions have gone to another one can't end what it has begun.
"""

from collections.abc import Sequence

from logserver.coordinator.classic_group import ClassicGroup
from logserver.coordinator.classic_refusals import check_committer as check_classic_committer
from logserver.coordinator.classic_requests import MemberOfGroup
from logserver.coordinator.consumer_group import ConsumerGroup
from logserver.coordinator.decision import Decision
from logserver.coordinator.offsets import Commits, anybody, check_committer
from logserver.coordinator.requests import Commit
from logserver.errors import ErrorCode, LogServerError


def commit_in_transaction(
    commits: Commits, group: ConsumerGroup | None, classic: ClassicGroup | None, request: Commit, now_ms: int
) -> Decision[Sequence[LogServerError | None]]:
    """Decides on a commit inside a transaction; the answer has one entry for each offset, in order.

    Raises:
        LogServerError: who commits may not: UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, ILLEGAL_GENERATION.
    """
    is_named = request.member_epoch >= 0 or bool(request.member_id) or request.instance_id is not None
    if classic is not None:
        if is_named:
            _check_classic(classic, request)
        return commits.commit(anybody, request, now_ms)
    if group is None or group.is_empty:
        if request.member_epoch >= 0:
            raise LogServerError(
                ErrorCode.illegal_generation,
                f"the group {request.group_id!r} has no members, and {request.member_id[:100]!r} is none (any more); "
                "abort the transaction, others will read again",
            )
        return commits.commit(anybody, request, now_ms)
    if not is_named:
        return commits.commit(anybody, request, now_ms)
    try:
        decision = commits.commit(check_committer(group, request), request, now_ms)
    except LogServerError as error:
        raise _as_generation(error) from error
    answers = [None if error is None else _as_generation(error) for error in decision.answer]
    return Decision(answers, decision.entries, decision.group)


def _check_classic(group: ClassicGroup, request: Commit) -> None:
    try:
        check_classic_committer(
            group, MemberOfGroup(request.group_id, request.member_epoch, request.member_id, request.instance_id)
        )
    except LogServerError as error:
        # Looked at last: the member is one of this generation, and that is enough here.
        if error.code is not ErrorCode.rebalance_in_progress:
            raise


def _as_generation(error: LogServerError) -> LogServerError:
    """Producers know generations only."""
    if error.code in (ErrorCode.stale_member_epoch, ErrorCode.rebalance_in_progress):
        return LogServerError(ErrorCode.illegal_generation, error.message)
    return error
