"""The range assignor: contiguous ranges, topics in step, and members that keep their place by group instance id."""

from hypothesis import given
from hypothesis import strategies as st

from logserver.coordinator.assignors import ASSIGNORS

from .groups import Group, any_groups, member, owns

range_assignor = ASSIGNORS["range"]


def test_the_first_members_have_one_more_where_it_does_not_divide():
    assigned = range_assignor.assign({"a": member("t"), "b": member("t"), "c": member("t")}, {"t": 8})
    assert assigned == {"a": owns("t-0 t-1 t-2"), "b": owns("t-3 t-4 t-5"), "c": owns("t-6 t-7")}


def test_topics_of_the_same_length_are_in_step():
    assigned = range_assignor.assign({"a": member("t u"), "b": member("t u")}, {"t": 3, "u": 3})
    assert assigned == {"a": owns("t-0 t-1 u-0 u-1"), "b": owns("t-2 u-2")}


def test_each_topic_is_shared_out_among_its_own_subscribers():
    assigned = range_assignor.assign({"a": member("t"), "b": member("t u"), "c": member("u")}, {"t": 3, "u": 3})
    assert assigned == {"a": owns("t-0 t-1"), "b": owns("t-2 u-0 u-1"), "c": owns("u-2")}


def test_what_members_have_makes_no_difference():
    fresh = {"a": member("t"), "b": member("t")}
    settled = {"a": member("t", "t-2 t-3"), "b": member("t", "t-0 t-1")}
    assert range_assignor.assign(settled, {"t": 4}) == range_assignor.assign(fresh, {"t": 4})


def test_static_members_come_first_by_instance_id():
    members = {"a": member("t"), "b": member("t", instance="z"), "c": member("t", instance="y")}
    assert range_assignor.assign(members, {"t": 3}) == {"c": owns("t-0"), "b": owns("t-1"), "a": owns("t-2")}


def test_a_static_member_that_returns_under_a_new_id_has_its_range_again():
    before = {"a": member("t", instance="i0"), "b": member("t", instance="i1")}
    returned = {"z": member("t", instance="i0"), "b": member("t", instance="i1")}
    first = range_assignor.assign(before, {"t": 3})
    assert range_assignor.assign(returned, {"t": 3}) == {"z": first["a"], "b": first["b"]}


def test_an_empty_instance_id_is_an_instance_id():
    members = {"a": member("t"), "b": member("t", instance="")}
    assert range_assignor.assign(members, {"t": 2}) == {"b": owns("t-0"), "a": owns("t-1")}


@given(any_groups())
def test_each_member_has_one_contiguous_range_of_each_topic(group: Group):
    for assignment in range_assignor.assign(*group).values():
        for topic in {topic for topic, _ in assignment}:
            numbers = sorted(number for other, number in assignment if other == topic)
            assert numbers == list(range(numbers[0], numbers[-1] + 1))


@given(any_groups())
def test_ranges_follow_the_order_of_members_and_get_no_longer(group: Group):
    assigned = range_assignor.assign(*group)
    order = sorted(group.members, key=lambda key: (group.members[key].instance_id or "~no instance", key))
    for topic, count in group.partitions.items():
        subscribers = [key for key in order if topic in group.members[key].subscribed]
        if subscribers:
            numbers = [sorted(number for other, number in assigned[key] if other == topic) for key in subscribers]
            assert [number for part in numbers for number in part] == list(range(count))
            lengths = [len(part) for part in numbers]
            assert lengths == sorted(lengths, reverse=True)
            assert lengths[0] - lengths[-1] <= 1


@given(any_groups(), st.integers(0, 9))
def test_topics_with_the_same_subscribers_and_length_have_the_same_owners(group: Group, length: int):
    partitions = {**group.partitions, "left": length, "right": length}
    members = {
        key: spec._replace(subscribed=spec.subscribed | {"left", "right"} if number % 3 != 2 else spec.subscribed)
        for number, (key, spec) in enumerate(group.members.items())
    }
    for assignment in range_assignor.assign(members, partitions).values():
        left = {number for topic, number in assignment if topic == "left"}
        assert left == {number for topic, number in assignment if topic == "right"}


@given(any_groups(same_topics=True), st.randoms(use_true_random=False))
def test_static_members_that_all_return_under_new_ids_have_the_same_again(group: Group, rng):
    members = {key: spec._replace(instance_id=f"i-{key}") for key, spec in group.members.items()}
    new_ids = [f"new-{number}" for number in range(len(members))]
    rng.shuffle(new_ids)
    renamed = dict(zip(members, new_ids, strict=True))
    before = range_assignor.assign(members, group.partitions)
    again = range_assignor.assign({renamed[key]: spec for key, spec in members.items()}, group.partitions)
    assert again == {renamed[key]: assignment for key, assignment in before.items()}
