"""The uniform assignor where members subscribe to different topics: no move is left that makes sizes more alike."""

import random
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logserver.coordinator.assignors import ASSIGNORS

from .groups import Group, Members, after, any_groups, assert_balanced, member, owns, valid

uniform = ASSIGNORS["uniform"]

different_topics = any_groups(same_topics=False)


def test_who_subscribes_to_less_has_more_of_it():
    assigned = uniform.assign({"a": member("t u"), "b": member("t")}, {"t": 2, "u": 2})
    assert assigned == {"a": owns("u-0 u-1"), "b": owns("t-0 t-1")}


def test_what_only_one_can_have_counts_when_the_rest_is_shared_out():
    assigned = uniform.assign({"a": member("t u"), "b": member("t"), "c": member("t")}, {"t": 4, "u": 3})
    assert {member_id: len(assignment) for member_id, assignment in assigned.items()} == {"a": 3, "b": 2, "c": 2}


def test_a_member_loses_what_it_no_longer_subscribes_to_and_nothing_else():
    members = {"a": member("t", "t-0 u-0"), "b": member("t u", "t-1 u-1")}
    assert uniform.assign(members, {"t": 2, "u": 2}) == {"a": owns("t-0 t-1"), "b": owns("u-0 u-1")}


def test_partitions_stay_while_nobody_has_two_fewer():
    members = {"a": member("t u", "t-0 t-1 u-0"), "b": member("t", "t-2 t-3"), "c": member("u", "u-1 u-2")}
    assert uniform.assign(members, {"t": 4, "u": 3}) == {key: spec.current for key, spec in members.items()}


def test_new_partitions_are_first_to_go_again():
    # a is given u-0, because nobody else can have it, and then one too many: not one of those that it had goes.
    members = {"a": member("t u", "t-0 t-1"), "b": member("t", "t-2"), "c": member("t", "t-3")}
    assert uniform.assign(members, {"t": 4, "u": 1}) == {"a": owns("t-0 u-0"), "b": owns("t-1 t-2"), "c": owns("t-3")}


def test_chains_of_shared_topics_are_balanced_link_by_link():
    members = {"a": member("t"), "b": member("t u"), "c": member("u v"), "d": member("v", "v-0 v-1 v-2 v-3 v-4 v-5")}
    assigned = uniform.assign(members, {"t": 1, "u": 1, "v": 6})
    assert_balanced(Group(members, {"t": 1, "u": 1, "v": 6}), assigned)
    assert {member_id: len(assignment) for member_id, assignment in assigned.items()} == {
        "a": 1,
        "b": 1,
        "c": 3,
        "d": 3,
    }


def test_a_member_that_received_is_looked_at_again():
    # b's u-0 goes to a, only then has a one to spare for c.
    members = {"a": member("t u", "t-0"), "b": member("u v", "u-0 v-0 v-1 v-2"), "c": member("t")}
    assigned = uniform.assign(members, {"t": 1, "u": 1, "v": 3})
    assert assigned == {"a": owns("u-0"), "b": owns("v-0 v-1 v-2"), "c": owns("t-0")}


def test_topics_with_more_partitions_for_each_subscriber_are_dealt_first():
    assigned = uniform.assign({"a": member("u"), "b": member("t u"), "c": member("t")}, {"t": 1, "u": 2})
    assert assigned == {"a": owns("u-0"), "b": owns("u-1"), "c": owns("t-0")}


def test_and_of_those_the_ones_with_fewer_subscribers():
    assigned = uniform.assign({"a": member("t u"), "b": member("u v"), "c": member("t")}, {"t": 3, "u": 4, "v": 2})
    assert {member_id: len(assignment) for member_id, assignment in assigned.items()} == {"a": 3, "b": 3, "c": 3}


@given(different_topics)
def test_no_partition_could_move_to_somebody_with_two_fewer(group: Group):
    assert_balanced(group, uniform.assign(*group))


@given(different_topics)
def test_no_partition_moves_where_all_have_an_owner_and_sizes_are_balanced(group: Group):
    """Even where not all sizes are the same, and however it came to be."""
    settled = after(group.members, uniform.assign(*group))
    swapped = _with_two_swapped(settled)
    assert uniform.assign(swapped, group.partitions) == {key: spec.current for key, spec in swapped.items()}


def _with_two_swapped(members: Members) -> Members:
    """Swaps two partitions between the first two members that could have each other's."""
    for one, other in product(members, members):
        for given_away in sorted(members[one].current - members[other].current):
            for taken in sorted(members[other].current - members[one].current):
                if given_away[0] in members[other].subscribed and taken[0] in members[one].subscribed:
                    return {
                        **members,
                        one: members[one]._replace(current=members[one].current - {given_away} | {taken}),
                        other: members[other]._replace(current=members[other].current - {taken} | {given_away}),
                    }
    return members


@given(different_topics, st.data())
def test_a_member_that_had_nothing_leaves_without_a_move(group: Group, data: st.DataObject):
    settled = after(group.members, uniform.assign(*group))
    idle = sorted(member_id for member_id, spec in settled.items() if not spec.current)
    if idle and len(settled) > 1:
        del settled[data.draw(st.sampled_from(idle))]
        assert uniform.assign(settled, group.partitions) == {key: spec.current for key, spec in settled.items()}


@given(different_topics)
def test_the_only_subscriber_of_a_topic_takes_nothing_else(group: Group):
    """Who joins for a topic of its own moves none of the others' partitions."""
    settled = after(group.members, uniform.assign(*group))
    settled["m5x"] = member("alone")
    assigned = uniform.assign(settled, {**group.partitions, "alone": 3})
    assert assigned == {**{key: spec.current for key, spec in settled.items()}, "m5x": owns("alone-0 alone-1 alone-2")}


@pytest.mark.parametrize("seed", range(3))
def test_few_more_move_than_the_best_of_all_assignments_would_need(seed: int):
    """Against every possible assignment of small groups: one move too many in one of a hundred groups is allowed."""
    needed = compared = 0
    for group in _small_groups(seed, 100):
        assigned = uniform.assign(*group)
        held = valid(group)
        stayed = sum(len(held[member_id] & assigned[member_id]) for member_id in held)
        needed += _most_that_can_stay(group) - stayed
        compared += 1
    assert needed <= compared / 100


def _small_groups(seed: int, count: int) -> list[Group]:
    """Groups that were settled until a member came, went or changed its topics."""
    rng = random.Random(seed)
    found: list[Group] = []
    while len(found) < count:
        partitions = {f"t{number}": rng.randint(0, 3) for number in range(rng.randint(2, 3))}

        def topics(partitions: dict[str, int] = partitions) -> str:
            return " ".join(topic for topic in partitions if rng.random() < 0.6)

        members = {f"m{number}": member(topics()) for number in range(rng.randint(2, 4))}
        members = after(members, uniform.assign(members, partitions))
        match rng.randrange(3):
            case 0:
                members["n"] = member(topics())
            case 1:
                members.popitem()
            case _:
                members["m0"] = members["m0"]._replace(subscribed=frozenset(topics().split()))
        if sum(partitions.values()) <= 7 and len({spec.subscribed for spec in members.values()}) > 1:
            found.append(Group(members, partitions))
    return found


def _most_that_can_stay(group: Group) -> int:
    members, partitions = group
    topics = sorted({topic for spec in members.values() for topic in spec.subscribed})
    everything = [(topic, number) for topic in topics for number in range(partitions[topic])]
    possible = [[key for key, spec in members.items() if topic in spec.subscribed] for topic, _ in everything]
    best = 0
    for choice in product(*possible):
        sizes = dict.fromkeys(members, 0)
        for owner in choice:
            sizes[owner] += 1
        stays = sum(pair in members[owner].current for pair, owner in zip(everything, choice, strict=True))
        if stays > best and all(
            sizes[owner] - min(sizes[other] for other in others) <= 1
            for owner, others in zip(choice, possible, strict=True)
        ):
            best = stays
    return best
