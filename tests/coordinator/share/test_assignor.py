"""The simple assignor of share groups: nobody without work, no partition without a member, and no move for nothing."""

from collections import Counter
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from logserver.coordinator.assignors import Assignment, MemberSpec
from logserver.coordinator.share.assignor import assign

TOPICS = ("a", "b", "c")


def specs(current: Mapping[str, Assignment], *topics: str) -> dict[str, MemberSpec]:
    return {member_id: MemberSpec(frozenset(topics), held) for member_id, held in current.items()}


def nothing(*member_ids: str) -> dict[str, Assignment]:
    return dict.fromkeys(member_ids, frozenset())


def on(topic: str, *numbers: int) -> Assignment:
    return frozenset((topic, number) for number in numbers)


def test_with_fewer_members_than_partitions_each_partition_has_one_member() -> None:
    assert assign(specs(nothing("m", "n"), "a"), {"a": range(5)}) == {"m": on("a", 0, 2, 4), "n": on("a", 1, 3)}


def test_with_more_members_than_partitions_each_member_has_one_and_none_stands_back() -> None:
    assigned = assign(specs(nothing("m", "n", "o", "p"), "a"), {"a": range(2)})
    assert Counter(assigned.values()) == {on("a", 0): 2, on("a", 1): 2}
    # Five places for two partitions do not divide: each goes to three, and so one member has both.
    assigned = assign(specs(nothing("m", "n", "o", "p", "q"), "a"), {"a": range(2)})
    assert sorted(map(len, assigned.values())) == [1, 1, 1, 1, 2]
    assert Counter(place for held in assigned.values() for place in held) == {("a", 0): 3, ("a", 1): 3}


def test_only_partitions_that_can_be_assigned_are() -> None:
    assert assign(specs(nothing("m"), "a", "b"), {"a": {1, 3}}) == {"m": on("a", 1, 3)}


def test_whoever_has_a_partition_keeps_it_as_far_as_balance_allows() -> None:
    current = {"m": on("a", 0, 1, 2, 3), **nothing("n")}
    assert assign(specs(current, "a"), {"a": range(4)}) == {"m": on("a", 0, 1), "n": on("a", 2, 3)}


def test_who_subscribes_to_something_else_gets_that() -> None:
    members = {
        "m": MemberSpec(frozenset("a"), frozenset()),
        "n": MemberSpec(frozenset("ab"), frozenset()),
        "o": MemberSpec(frozenset("b"), on("a", 0)),
    }
    assert assign(members, {"a": range(2), "b": range(2)}) == {
        "m": on("a", 0),
        "n": on("a", 1) | on("b", 0),
        "o": on("b", 1),
    }


def test_nobody_and_nothing() -> None:
    assert assign({}, {"a": range(3)}) == {}
    assert assign(specs(nothing("m"), "a"), {}) == nothing("m")


partitions = st.fixed_dictionaries({}, optional={topic: st.sets(st.integers(0, 6), max_size=6) for topic in TOPICS})
held = st.frozensets(st.tuples(st.sampled_from(TOPICS), st.integers(0, 7)), max_size=8)
subscribed = st.frozensets(st.sampled_from(TOPICS), min_size=1)
member_ids = st.text("mnopqrst", min_size=1, max_size=2)


def sizes_of(members: Mapping[str, MemberSpec], assigned: Mapping[str, Assignment], topic: str) -> list[int]:
    """Returns how many partitions of a topic each of its subscribers has."""
    return [
        sum(place[0] == topic for place in assigned[member_id])
        for member_id, spec in members.items()
        if topic in spec.subscribed
    ]


@given(st.dictionaries(member_ids, st.builds(MemberSpec, subscribed, held), max_size=9), partitions)
def test_everything_has_a_member_and_every_member_something(
    members: dict[str, MemberSpec], there: dict[str, set[int]]
) -> None:
    assigned = assign(members, there)
    assert assigned.keys() == members.keys()
    holders = Counter(place for held in assigned.values() for place in held)
    for member_id, held in assigned.items():
        assert all(topic in members[member_id].subscribed and number in there.get(topic, ()) for topic, number in held)
    for topic in TOPICS:
        sizes = sizes_of(members, assigned, topic)
        if not sizes or not there.get(topic):
            continue
        # No partition without a member, and none with two as long as members could have one each.
        counts = [holders[topic, number] for number in there[topic]]
        assert min(counts) >= 1
        assert max(counts) <= -(-len(sizes) // len(counts))
    if len({spec.subscribed for spec in members.values()}) == 1:
        sizes = [len(held) for held in assigned.values()]
        assert max(sizes) - min(sizes) <= 1 or any(counts > 1 for counts in holders.values())
        assert min(sizes) >= 1 or not holders
    # What was made stays when nothing changes.
    again = {member_id: spec._replace(current=assigned[member_id]) for member_id, spec in members.items()}
    assert assign(again, there) == assigned
