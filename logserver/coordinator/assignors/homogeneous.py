"""Uniform assignment where all members subscribe to the same topics: sizes that differ by one at most, fewest moves.

Source: Apache Kafka, `UniformHomogeneousAssignmentBuilder` (4.3). As there, who holds one partition more than the
others may keep it as long as there are such places left, and so no partition moves that balance does not demand. What
Kafka leaves open is decided by member id and topic id; free partitions are dealt in turn, so that the partitions of one
topic come to many members (Kafka gives each member a run of them: of a busy and a quiet topic, one member has the busy
one).
"""

from __future__ import annotations

from collections.abc import Mapping

from logserver.coordinator.assignors.spec import Assignment, MemberSpec, TopicPartition


def assign_homogeneous(members: Mapping[str, MemberSpec], partitions: Mapping[str, int]) -> dict[str, Assignment]:
    """Returns the assignment for members (one at least) that all subscribe to the same topics (`Assignor.assign`)."""
    member_ids = sorted(members)
    topics = sorted(members[member_ids[0]].subscribed)
    everything = [(topic, number) for topic in topics for number in range(partitions.get(topic, 0))]
    quota, extra = divmod(len(everything), len(member_ids))

    free = set(everything)
    kept: dict[str, Assignment] = {}
    for member_id in member_ids:
        current = members[member_id].current
        held = current & free
        if len(held) > quota:
            limit = quota
            if extra:
                limit += 1
                extra -= 1
            if len(held) > limit:
                held = frozenset(sorted(held)[:limit])
        free -= held
        kept[member_id] = current if len(held) == len(current) else held
    if free:
        # Places for one more than the quota that nobody held already go to the first members below it.
        ordered = [partition for partition in everything if partition in free]
        room: list[tuple[str, int]] = []
        for member_id in member_ids:
            wanted = quota - len(kept[member_id])
            if wanted >= 0 and extra:
                wanted += 1
                extra -= 1
            if wanted > 0:
                room.append((member_id, wanted))
        for member_id, dealt in _deal(ordered, room).items():
            kept[member_id] = kept[member_id].union(dealt)
    return kept


def _deal(free: list[TopicPartition], room: list[tuple[str, int]]) -> dict[str, list[TopicPartition]]:
    """Deals partitions in turn to members with room for them: (member id, how many, at least one); all are dealt."""
    dealt: dict[str, list[TopicPartition]] = {member_id: [] for member_id, _ in room}
    position = 0
    while room:
        for member_id, _ in room:
            dealt[member_id].append(free[position])
            position += 1
        room = [(member_id, wanted - 1) for member_id, wanted in room if wanted > 1]
    return dealt
