"""One member's steps from what it owns to what it is to own (KIP-848, "Member State Machine").

Source: KIP-848; Apache Kafka: `CurrentAssignmentBuilder`.

| state | means | leaves it when |
| --- | --- | --- |
| STABLE | owns what the target says, as of its epoch | the target is of a newer epoch |
| UNREVOKED_PARTITIONS | has been asked to give up partitions | it says that it owns none of them |
| UNRELEASED_PARTITIONS | waits for partitions that others own | those have given them up |
| UNKNOWN | a later release has written what this one does not know | it says that it owns nothing |

A partition counts as owned by a member until that has given it up, so no two members ever own one.
"""

from collections.abc import Container

from logserver.coordinator.assignors import Assignment, TopicPartition
from logserver.coordinator.formats import MemberState
from logserver.coordinator.member import Member


def reconcile(
    member: Member,
    target: Assignment,
    target_epoch: int,
    owners: Container[TopicPartition],
    owned: Assignment | None = None,
) -> Member:
    """Returns the member after the next step; the same object if there is none to take.

    Args:
        target: what the member is to own, as of `target_epoch`.
        owners: partitions that a member of the group owns or has not given up yet.
        owned: what the member says that it owns; None if it did not say.
    """
    match member.state:
        case MemberState.STABLE:
            if member.epoch == target_epoch:
                return member
        case MemberState.UNREVOKED_PARTITIONS:
            if owned is None or not owned.isdisjoint(member.revoking):
                return member
        case MemberState.UNRELEASED_PARTITIONS:
            pass
        case MemberState.UNKNOWN:
            # What it has been asked for is not known here: only who owns nothing can begin anew.
            if owned is None or owned:
                return member
    after = _next(member, target, target_epoch, owners, owned)
    return member if after == member else after


def _next(
    member: Member,
    target: Assignment,
    target_epoch: int,
    owners: Container[TopicPartition],
    owned: Assignment | None,
) -> Member:
    kept = {partition: epoch for partition, epoch in member.assigned.items() if partition in target}
    revoking = {partition: epoch for partition, epoch in member.assigned.items() if partition not in target}
    wanted = [partition for partition in target if partition not in kept]
    # What the member itself was asked to give up, and has, is free.
    free = [partition for partition in wanted if partition not in owners or partition in member.revoking]
    if revoking and (owned is None or not owned.isdisjoint(revoking)):
        # It stays in its epoch until they are given up.
        return member._replace(state=MemberState.UNREVOKED_PARTITIONS, assigned=kept, revoking=revoking)
    kept.update((partition, target_epoch) for partition in sorted(free))
    return member._replace(
        state=MemberState.STABLE if len(free) == len(wanted) else MemberState.UNRELEASED_PARTITIONS,
        epoch=target_epoch,
        # As Kafka: the epoch that the member may still come with, if it never got the answer with the new one.
        previous_epoch=member.epoch if member.epoch != target_epoch else member.previous_epoch,
        assigned=kept,
        revoking={},
    )
