"""What is true of every assignor and of every group."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logserver.coordinator.assignors import ASSIGNORS, Assignor, MemberSpec

from .groups import Group, after, any_groups, assert_total_and_disjoint, member, owns, shuffled

ROOT = Path(__file__).parents[3]

every_assignor = pytest.mark.parametrize("assignor", ASSIGNORS.values(), ids=ASSIGNORS)


def test_the_assignors_are_known_by_their_names_uniform_first():
    assert list(ASSIGNORS) == ["uniform", "range"]
    assert [assignor.name for assignor in ASSIGNORS.values()] == ["uniform", "range"]


@every_assignor
def test_a_group_without_members_has_no_assignment(assignor: Assignor):
    assert assignor.assign({}, {"t": 3}) == {}


@every_assignor
def test_a_single_member_has_everything_it_subscribes_to(assignor: Assignor):
    assert assignor.assign({"a": member("t u")}, {"t": 2, "u": 1, "v": 5}) == {"a": owns("t-0 t-1 u-0")}


@every_assignor
def test_members_that_subscribe_to_nothing_lose_what_they_had(assignor: Assignor):
    assert assignor.assign({"a": member("", "t-0"), "b": member("")}, {"t": 1}) == {"a": owns(""), "b": owns("")}


@every_assignor
def test_who_comes_too_late_for_a_partition_has_none(assignor: Assignor):
    assigned = assignor.assign({"a": member("t"), "b": member("t"), "c": member("t")}, {"t": 2})
    assert assigned == {"a": owns("t-0"), "b": owns("t-1"), "c": owns("")}


@every_assignor
@pytest.mark.parametrize("other", ["t", "t u"], ids=["same topics", "different topics"])
def test_partitions_that_are_no_more_are_nobodys(assignor: Assignor, other: str):
    members = {"a": member("t", "t-0 t-1 t-7 gone-0"), "b": member(other, "t-2")}
    assert assignor.assign(members, {"t": 3}) == {"a": owns("t-0 t-1"), "b": owns("t-2")}


@every_assignor
def test_a_topic_without_a_number_of_partitions_has_none(assignor: Assignor):
    members = {"a": member("t being-deleted", "being-deleted-0"), "b": member("being-deleted")}
    assert assignor.assign(members, {"t": 1}) == {"a": owns("t-0"), "b": owns("")}


@every_assignor
def test_an_assignment_that_stays_is_the_object_that_came(assignor: Assignor):
    for members in ({"a": member("t"), "b": member("t")}, {"a": member("t u"), "b": member("t")}):
        settled = after(members, assignor.assign(members, {"t": 5, "u": 2}))
        again = assignor.assign(settled, {"t": 5, "u": 2})
        assert all(again[member_id] is settled[member_id].current for member_id in settled)


@every_assignor
@given(group=any_groups())
def test_every_partition_has_exactly_one_owner_that_subscribes_to_it(assignor: Assignor, group: Group):
    assert_total_and_disjoint(group, assignor.assign(*group))


@every_assignor
@given(group=any_groups())
def test_once_settled_running_it_again_changes_nothing(assignor: Assignor, group: Group):
    assigned = assignor.assign(*group)
    assert assignor.assign(after(group.members, assigned), group.partitions) == assigned


@every_assignor
@given(group=any_groups(), seed=st.integers(0, 1000))
def test_the_order_of_what_comes_in_does_not_matter(assignor: Assignor, group: Group, seed: int):
    assert assignor.assign(*shuffled(group, random.Random(seed))) == assignor.assign(*group)


@every_assignor
@given(group=any_groups())
def test_what_came_in_is_not_changed(assignor: Assignor, group: Group):
    before = (dict(group.members), dict(group.partitions))
    assignor.assign(*group)
    assert (group.members, group.partitions) == before


PRINTS_ASSIGNMENTS = """
import random
from logserver.coordinator.assignors import ASSIGNORS, MemberSpec
rng = random.Random(7)
topics = {f"topic-{number}": 12 for number in range(9)}
for share in (1.0, 0.5):
    members = {}
    for number in range(20):
        subscribed = frozenset(topic for topic in topics if rng.random() < share)
        current = frozenset((topic, rng.randrange(12)) for topic in topics for _ in range(4))
        members[f"member-{number}"] = MemberSpec(subscribed, current)
    for assignor in ASSIGNORS.values():
        for member_id, assignment in sorted(assignor.assign(members, topics).items()):
            print(assignor.name, member_id, sorted(assignment))
"""


def test_every_process_comes_to_the_same_result():
    """The order of a set of strings differs from process to process, unless PYTHONHASHSEED says otherwise."""
    printed = set()
    for seed in ("0", "1", "2"):
        command = [sys.executable, "-c", PRINTS_ASSIGNMENTS]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=True
        )
        printed.add(done.stdout)
    assert len(printed) == 1
    assert printed.pop().count("\n") == 80


def test_a_member_is_dynamic_unless_it_says_so():
    assert MemberSpec(frozenset(), frozenset()).instance_id is None
