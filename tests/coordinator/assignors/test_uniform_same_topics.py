"""The uniform assignor where all members subscribe to the same topics: equal sizes, and no move that is not needed."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logserver.coordinator.assignors import ASSIGNORS, Assignment, MemberSpec, TopicPartition

from .groups import Assigned, Group, after, any_groups, member, owners, owns, valid

uniform = ASSIGNORS["uniform"]

same_topics = any_groups(same_topics=True)


def sizes(assigned: Assigned) -> list[int]:
    return sorted(len(assignment) for assignment in assigned.values())


def most_that_can_stay(held: Iterable[Assignment], partitions: int) -> int:
    """The greatest number of partitions that can stay where they are while sizes differ by one at most."""
    sizes = [len(assignment) for assignment in held]
    quota, extra = divmod(partitions, len(sizes))
    return sum(min(size, quota) for size in sizes) + min(extra, sum(size > quota for size in sizes))


def moved(before: dict[TopicPartition, str], assigned: Assigned) -> set[TopicPartition]:
    """Partitions that had an owner and have another one now."""
    now = owners(assigned)
    return {partition for partition, owner in before.items() if now[partition] != owner}


def test_partitions_are_dealt_in_turn():
    assigned = uniform.assign({"a": member("t"), "b": member("t")}, {"t": 5})
    assert assigned == {"a": owns("t-0 t-2 t-4"), "b": owns("t-1 t-3")}


def test_no_member_has_all_of_one_topic():
    assigned = uniform.assign({"a": member("busy quiet"), "b": member("busy quiet")}, {"busy": 2, "quiet": 2})
    assert assigned == {"a": owns("busy-0 quiet-0"), "b": owns("busy-1 quiet-1")}


def test_a_member_that_joins_takes_only_its_share():
    members = {"a": member("t", "t-0 t-1 t-2"), "b": member("t", "t-3 t-4 t-5"), "c": member("t")}
    assigned = uniform.assign(members, {"t": 6})
    assert assigned == {"a": owns("t-0 t-1"), "b": owns("t-3 t-4"), "c": owns("t-2 t-5")}


def test_what_a_member_that_leaves_had_is_dealt_to_the_others():
    members = {"a": member("t", "t-0 t-1"), "b": member("t", "t-2 t-3")}
    assigned = uniform.assign(members, {"t": 6})
    assert assigned == {"a": owns("t-0 t-1 t-4"), "b": owns("t-2 t-3 t-5")}


def test_who_has_one_more_keeps_it_while_somebody_has_to_have_one_more():
    members = {"a": member("t", "t-0"), "b": member("t", "t-1 t-2")}
    assert uniform.assign(members, {"t": 3}) == {"a": owns("t-0"), "b": owns("t-1 t-2")}


def test_of_several_with_one_more_than_there_are_places_the_first_keep_theirs():
    members = {"a": member("t", "t-0 t-1"), "b": member("t", "t-2 t-3"), "c": member("t")}
    assert uniform.assign(members, {"t": 4}) == {"a": owns("t-0 t-1"), "b": owns("t-2"), "c": owns("t-3")}


def test_new_partitions_go_to_who_has_least():
    members = {"a": member("t", "t-0"), "b": member("t", "t-1")}
    assert uniform.assign(members, {"t": 4}) == {"a": owns("t-0 t-2"), "b": owns("t-1 t-3")}


def test_of_two_that_claim_a_partition_the_first_has_it():
    members = {"a": member("t", "t-0 t-1"), "b": member("t", "t-1 t-2")}
    assert uniform.assign(members, {"t": 4}) == {"a": owns("t-0 t-1"), "b": owns("t-2 t-3")}


@given(same_topics)
def test_sizes_differ_by_one_at_most(group: Group):
    result = sizes(uniform.assign(*group))
    assert result[-1] - result[0] <= 1


@given(same_topics)
def test_as_many_stay_as_balance_allows(group: Group):
    held = valid(group)
    assigned = uniform.assign(after(group.members, held), group.partitions)
    stayed = sum(len(held[member_id] & assigned[member_id]) for member_id in held)
    assert stayed == most_that_can_stay(held.values(), sum(map(len, assigned.values())))


@given(same_topics, st.data())
def test_after_a_member_left_only_its_partitions_move(group: Group, data: st.DataObject):
    settled = after(group.members, uniform.assign(*group))
    gone = settled.pop(data.draw(st.sampled_from(sorted(settled))))
    if settled:
        assigned = uniform.assign(settled, group.partitions)
        assert moved(owners({member_id: spec.current for member_id, spec in settled.items()}), assigned) == set()
        assert set().union(*assigned.values()) == gone.current.union(*(spec.current for spec in settled.values()))


@given(same_topics)
def test_a_member_that_joins_is_the_only_one_to_whom_partitions_move(group: Group):
    settled = after(group.members, uniform.assign(*group))
    before = owners({member_id: spec.current for member_id, spec in settled.items()})
    settled["m5x"] = MemberSpec(next(iter(settled.values())).subscribed, frozenset())
    assigned = uniform.assign(settled, group.partitions)
    assert moved(before, assigned) == assigned["m5x"]
    assert len(assigned["m5x"]) == len(before) // len(settled)


@given(same_topics, st.data())
def test_of_a_topic_that_grew_only_the_new_partitions_move(group: Group, data: st.DataObject):
    settled = after(group.members, uniform.assign(*group))
    before = owners({member_id: spec.current for member_id, spec in settled.items()})
    topic = data.draw(st.sampled_from(sorted(group.partitions)))
    grown = {**group.partitions, topic: group.partitions[topic] + data.draw(st.integers(1, 9))}
    assigned = uniform.assign(settled, grown)
    assert moved(before, assigned) == set()
    assert max(sizes(assigned)) - min(sizes(assigned)) <= 1


@pytest.mark.parametrize("held", [(3, 0, 0), (2, 2, 0), (1, 1, 1), (4, 1, 0), (0, 0, 0), (2, 1, 1)])
def test_the_most_that_can_stay_is_what_trying_every_choice_finds(held: tuple[int, ...]):
    """The formula of these tests against all choices of how many each one keeps, of 5 partitions."""
    assignments = [frozenset((f"t{place}", number) for number in range(size)) for place, size in enumerate(held)]
    choices = [[kept for kept in range(3) if kept <= size] for size in held]
    possible = [
        a + b + c
        for a in choices[0]
        for b in choices[1]
        for c in choices[2]
        if sum(kept == 2 for kept in (a, b, c)) <= 2
    ]
    assert most_that_can_stay(assignments, 5) == max(possible)
