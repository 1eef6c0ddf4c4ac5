"""Groups for assignors: made by hand or by hypothesis, stepped on, and what has to be true of every assignment."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from hypothesis import strategies as st

from logserver.coordinator.assignors import Assignment, MemberSpec, TopicPartition

Members = dict[str, MemberSpec]
Assigned = Mapping[str, Assignment]


class Group(NamedTuple):
    members: Members
    partitions: dict[str, int]


def member(topics: str, has: str = "", *, instance: str | None = None) -> MemberSpec:
    """A member from words: `member("orders clicks", "orders-0 orders-1")`."""
    return MemberSpec(frozenset(topics.split()), owns(has), instance)


def owns(partitions: str) -> Assignment:
    """An assignment from words: `owns("orders-0 clicks-3")`."""
    pairs = (word.rsplit("-", 1) for word in partitions.split())
    return frozenset((topic, int(number)) for topic, number in pairs)


def after(members: Mapping[str, MemberSpec], assigned: Assigned) -> Members:
    """The members once the assignment is theirs."""
    return {member_id: spec._replace(current=assigned[member_id]) for member_id, spec in members.items()}


def shuffled(group: Group, rng: random.Random) -> Group:
    """The same group with everything inserted in another order."""

    def mixed(things: Iterable[TopicPartition] | Iterable[str]) -> list:
        listed = list(things)
        rng.shuffle(listed)
        return listed

    members = {
        member_id: MemberSpec(
            frozenset(mixed(group.members[member_id].subscribed)),
            frozenset(mixed(group.members[member_id].current)),
            group.members[member_id].instance_id,
        )
        for member_id in mixed(group.members)
    }
    return Group(members, {topic: group.partitions[topic] for topic in mixed(group.partitions)})


def owners(assigned: Assigned) -> dict[TopicPartition, str]:
    """Who has which partition."""
    return {partition: member_id for member_id, assignment in assigned.items() for partition in assignment}


def to_assign(group: Group) -> set[TopicPartition]:
    """Every partition of every topic that somebody subscribes to."""
    topics = {topic for spec in group.members.values() for topic in spec.subscribed}
    return {(topic, number) for topic in topics for number in range(group.partitions.get(topic, 0))}


def valid(group: Group) -> dict[str, Assignment]:
    """What each member has and may go on having; of two that claim one partition, the first by member id."""
    possible, taken, result = to_assign(group), set[TopicPartition](), dict[str, Assignment]()
    for member_id in sorted(group.members):
        spec = group.members[member_id]
        mine = {partition for partition in spec.current & possible - taken if partition[0] in spec.subscribed}
        taken |= mine
        result[member_id] = frozenset(mine)
    return result


def assert_total_and_disjoint(group: Group, assigned: Assigned) -> None:
    """Every partition has exactly one owner, and that one subscribes to its topic."""
    assert assigned.keys() == group.members.keys()
    counted = Counter(partition for assignment in assigned.values() for partition in assignment)
    assert set(counted.values()) <= {1}
    assert counted.keys() == to_assign(group)
    for member_id, assignment in assigned.items():
        assert {topic for topic, _ in assignment} <= group.members[member_id].subscribed


def assert_balanced(group: Group, assigned: Assigned) -> None:
    """No partition is with a member while another subscriber of its topic has two fewer."""
    sizes = {member_id: len(assignment) for member_id, assignment in assigned.items()}
    for topic in {topic for spec in group.members.values() for topic in spec.subscribed}:
        least = min(sizes[member_id] for member_id, spec in group.members.items() if topic in spec.subscribed)
        for member_id, assignment in assigned.items():
            if any(partition[0] == topic for partition in assignment):
                assert sizes[member_id] - least <= 1, (topic, sizes)


member_ids = st.sampled_from([f"m{number}" for number in range(12)])
topic_ids = st.sampled_from([f"t{number}" for number in range(6)])
counts = st.dictionaries(topic_ids, st.integers(0, 9), min_size=1)


@st.composite
def any_groups(draw: st.DrawFn, *, same_topics: bool | None = None) -> Group:
    """Any group at all: members may claim what they must not have, others have too, or what does not exist.

    same_topics: whether all subscribe to the same topics; None for either.
    """
    partitions = draw(counts)
    everything = [(topic, number) for topic, count in sorted(partitions.items()) for number in range(count + 1)]
    claims = st.sampled_from([*everything, ("gone", 0)])
    topics = st.frozensets(st.sampled_from([*sorted(partitions), "missing"]))
    shared = draw(topics) if (draw(st.booleans()) if same_topics is None else same_topics) else None
    members = {}
    for member_id in draw(st.sets(member_ids, min_size=1)):
        subscribed = draw(topics) if shared is None else shared
        members[member_id] = MemberSpec(subscribed, draw(st.frozensets(claims, max_size=12)))
    for number, member_id in enumerate(draw(st.permutations(sorted(members)))[: draw(st.integers(0, len(members)))]):
        members[member_id] = members[member_id]._replace(instance_id=f"i{number}")
    return Group(members, partitions)
