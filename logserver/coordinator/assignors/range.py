"""The range assignor: of each topic, every subscriber has one contiguous range of partitions.

Source: KIP-848; Apache Kafka, `RangeAssignor` (4.3, which takes no notice of racks nor of the current assignment).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from logserver.coordinator.assignors.spec import Assignment, MemberSpec, TopicPartition


class RangeAssignor:
    """Ranges in the order of members, the first ones one partition longer where it does not divide.

    Topics with the same subscribers and as many partitions are co-partitioned: who has partition 3 of one has partition
    3 of the others, as joins need it. The order of members is the only stickiness: static members come first, by group
    instance id, so that one that returns under a new member id has its ranges again; then the others, by member id.
    """

    name: Final = "range"

    def assign(self, members: Mapping[str, MemberSpec], partitions: Mapping[str, int]) -> dict[str, Assignment]:
        """See `Assignor.assign`."""
        order = sorted(members, key=lambda member_id: _place(member_id, members[member_id]))
        assigned: dict[str, list[TopicPartition]] = {member_id: [] for member_id in order}
        for topic, subscribers in _subscribers(order, members).items():
            quota, extra = divmod(partitions.get(topic, 0), len(subscribers))
            # Behind the first ones, those without a range need no look: there may be many more members than partitions.
            sharing = subscribers if quota else subscribers[:extra]
            start = 0
            for place, member_id in enumerate(sharing):
                end = start + quota + (place < extra)
                assigned[member_id] += [(topic, number) for number in range(start, end)]
                start = end
        result: dict[str, Assignment] = {}
        for member_id, assignment in assigned.items():
            current = members[member_id].current
            new = frozenset(assignment)
            result[member_id] = current if new == current else new
        return result


def _place(member_id: str, member: MemberSpec) -> tuple[bool, str, str]:
    """Sorts static members before dynamic ones."""
    return (member.instance_id is None, member.instance_id or "", member_id)


def _subscribers(order: Sequence[str], members: Mapping[str, MemberSpec]) -> Mapping[str, Sequence[str]]:
    """Returns the members that subscribe to each topic, in order."""
    subscriptions = {member.subscribed for member in members.values()}
    if len(subscriptions) == 1:
        # The common case, without members x topics entries.
        return dict.fromkeys(subscriptions.pop(), order)
    subscribers: dict[str, list[str]] = {}
    for member_id in order:
        for topic in members[member_id].subscribed:
            subscribers.setdefault(topic, []).append(member_id)
    return subscribers
