"""The assignor of share groups, `simple`: every partition to as few members as leaves none without work.

Source: KIP-932; Apache Kafka, `SimpleAssignor` (4.3). With fewer members than partitions each partition goes to one
member; with more, to so many that every member has at least one, and members have as many as others, but for one. Where
members subscribe to different topics that holds topic by topic. Who has a partition keeps it as far as that allows.
What Kafka leaves to the order of its hash tables is decided by member id and topic id.
"""

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from logserver.coordinator.assignors import Assignment, MemberSpec, TopicPartition

NAME: Final = "simple"


def assign(members: Mapping[str, MemberSpec], partitions: Mapping[str, Collection[int]]) -> dict[str, Assignment]:
    """Returns what every member is to have.

    Args:
        members: by member id.
        partitions: that can be assigned, by topic id; topics that are missing have none.
    """
    member_ids = sorted(members)
    topics = sorted({topic for spec in members.values() for topic in spec.subscribed})
    of_topic = {topic: [(topic, number) for number in sorted(partitions.get(topic, ()))] for topic in topics}
    assigned: dict[str, set[TopicPartition]] = {member_id: set() for member_id in member_ids}
    if len({spec.subscribed for spec in members.values()}) == 1:
        pools = [(member_ids, [partition for topic in topics for partition in of_topic[topic]])]
    else:
        pools = [
            ([member_id for member_id in member_ids if topic in members[member_id].subscribed], of_topic[topic])
            for topic in topics
        ]
    for subscribers, pool in pools:
        for member_id, part in _shared(subscribers, pool, members).items():
            assigned[member_id] |= part
    return {
        member_id: current if (current := members[member_id].current) == part else frozenset(part)
        for member_id, part in assigned.items()
    }


def _shared(
    member_ids: Sequence[str], pool: Sequence[TopicPartition], members: Mapping[str, MemberSpec]
) -> dict[str, set[TopicPartition]]:
    """Shares partitions between members that all subscribe to them."""
    held: dict[str, set[TopicPartition]] = {member_id: set() for member_id in member_ids}
    if not pool:
        return held
    count = len(member_ids)
    # So many members each partition goes to, and so many partitions each member has: together the same.
    sharing = -(-count // len(pool))
    total = sharing * len(pool)
    room = {
        member_id: -(-total * (place + 1) // count) + (-total * place // count)
        for place, member_id in enumerate(member_ids)
    }
    holders: dict[TopicPartition, set[str]] = {partition: set() for partition in pool}
    for member_id in member_ids:
        for partition in sorted(members[member_id].current & holders.keys()):
            if len(held[member_id]) == room[member_id]:
                break
            if len(holders[partition]) < sharing:
                holders[partition].add(member_id)
                held[member_id].add(partition)
    unfilled = deque(member_id for member_id in member_ids if len(held[member_id]) < room[member_id])
    for partition in pool:
        passed: list[str] = []
        while unfilled and len(holders[partition]) < sharing:
            member_id = unfilled.popleft()
            if member_id in holders[partition]:
                passed.append(member_id)
                continue
            holders[partition].add(member_id)
            held[member_id].add(partition)
            if len(held[member_id]) < room[member_id]:
                unfilled.append(member_id)
        unfilled.extendleft(reversed(passed))
    return held
