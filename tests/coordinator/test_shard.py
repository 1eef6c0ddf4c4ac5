"""The groups of one partition: what time and topics bring, what the log brings back, and what ends a group."""

import pytest

from logserver.coordinator import assignment
from logserver.coordinator.decision import Wake
from logserver.coordinator.formats import (
    ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupMetadataKey,
    ConsumerGroupRegularExpressionKey,
    ConsumerGroupTargetAssignmentMetadataKey,
    MemberState,
    OffsetCommitKey,
    decode_key,
    encode_key,
)
from logserver.coordinator.limits import GroupLimits
from logserver.coordinator.member import AWAY, LEAVING
from logserver.coordinator.requests import Subscription
from logserver.errors import ErrorCode

from .support import NOW, Coordinator, FakeTopics, Written, refused, replayed, state_of, unchanged

SESSION_MS = 45_000


def on(coordinator: Coordinator, topic: str, *partitions: int) -> frozenset[tuple[str, int]]:
    return frozenset((coordinator.topics.id(topic), number) for number in partitions)


def at_once(**topics: int) -> Coordinator:
    return Coordinator(FakeTopics(**topics), GroupLimits(assignment_interval_ms=0))


def deadlines(coordinator: Coordinator) -> dict[tuple[str, ...], int]:
    """Returns what is due when, in milliseconds from now, but for the retention check."""
    found = coordinator.shard.timers._deadlines
    return {key: at - coordinator.now for key, at in found.items() if key != ("retention",)}


# Sessions


def test_a_member_that_is_silent_for_the_session_timeout_is_given_up() -> None:
    coordinator = at_once(a=2)
    coordinator.join("m", "a")
    coordinator.join("n", "a")
    coordinator.advance(SESSION_MS - 1)
    coordinator.heartbeat("n", 2)
    assert coordinator.group().members.keys() == {"m", "n"}
    coordinator.advance(1)
    assert coordinator.group().members.keys() == {"n"}
    assert coordinator.settle() == {"n": on(coordinator, "a", 0, 1)}


def test_every_heartbeat_begins_a_session_anew_and_a_refused_one_does_not() -> None:
    coordinator = at_once(a=1)
    coordinator.join("m", "a")
    coordinator.advance(40_000)
    coordinator.heartbeat("m", 1)
    assert coordinator.shard.session_left_ms("g", "m", coordinator.now) == SESSION_MS
    coordinator.advance(5_000)
    with refused(ErrorCode.fenced_member_epoch):
        coordinator.heartbeat("m", 9)
    assert coordinator.shard.session_left_ms("g", "m", coordinator.now) == 40_000
    assert coordinator.shard.session_left_ms("g", "n", coordinator.now) == 0


def test_a_member_that_is_away_has_the_rest_of_its_session() -> None:
    coordinator = at_once(a=1)
    coordinator.join("m", "a", instance_id="i")
    coordinator.advance(30_000)
    coordinator.heartbeat("m", AWAY, instance_id="i")
    assert deadlines(coordinator) == {("session", "g", "m"): 15_000}
    coordinator.advance(15_000)
    assert coordinator.group().is_empty and coordinator.group().instances == {}


def test_members_of_many_groups_may_be_silent_at_once() -> None:
    coordinator = at_once(a=1)
    for group_id in ("h", "g"):
        for member_id in ("n", "m"):
            coordinator.join(member_id, "a", group_id=group_id)
    size = len(coordinator.log)
    coordinator.advance(SESSION_MS)
    assert coordinator.group("g").is_empty and coordinator.group("h").is_empty
    # One epoch for all members of a group.
    epochs = [
        key for record in coordinator.log[size:] if isinstance(key := decode_key(record.key), ConsumerGroupMetadataKey)
    ]
    assert epochs == [ConsumerGroupMetadataKey("g"), ConsumerGroupMetadataKey("h")]
    assert deadlines(coordinator) == {}


def test_who_is_heard_of_while_others_are_given_up_stays() -> None:
    coordinator = at_once(a=1)
    coordinator.join("m", "a")
    coordinator.join("n", "a", group_id="h")
    coordinator.now += SESSION_MS
    coordinator.carry_out(coordinator.shard.expire(coordinator.now))
    coordinator.finish(1)
    assert coordinator.group("g").is_empty
    coordinator.heartbeat("n", 1, group_id="h")
    coordinator.finish()
    assert coordinator.group("h").members.keys() == {"n"}


def test_what_could_not_be_written_is_tried_again_every_second() -> None:
    coordinator = at_once(a=1)
    coordinator.join("m", "a")
    coordinator.is_full = True
    coordinator.advance(SESSION_MS + 5_500)
    assert coordinator.group().members.keys() == {"m"}
    coordinator.is_full = False
    coordinator.advance(500)
    assert coordinator.group().is_empty


def test_the_session_of_a_join_that_could_not_be_written_ends_by_itself() -> None:
    coordinator = at_once(a=1)
    coordinator.is_full = True
    with refused(ErrorCode.coordinator_not_available):
        coordinator.join("m", "a")
    coordinator.is_full = False
    coordinator.advance(SESSION_MS)
    assert deadlines(coordinator) == {} and not coordinator.shard.has("g")


# Revocations


def revoking(timeout_ms: int = 10_000) -> Coordinator:
    """Returns a group whose first member has just been asked to give up half of its partitions."""
    coordinator = at_once(a=4)
    coordinator.join("m", "a", rebalance_timeout_ms=timeout_ms)
    coordinator.join("n", "a")
    coordinator.advance(1_000)
    coordinator.heartbeat("m", 1)
    return coordinator


def test_who_does_not_give_up_partitions_in_time_is_given_up() -> None:
    coordinator = revoking()
    for _ in range(3):
        coordinator.advance(3_000)
        coordinator.heartbeat("m", 1)
    coordinator.advance(999)
    assert "m" in coordinator.group().members
    coordinator.advance(1)
    with refused(ErrorCode.unknown_member_id, "did not give up partitions in time"):
        coordinator.heartbeat("m", 1)
    assert coordinator.settle() == {"n": on(coordinator, "a", 0, 1, 2, 3)}


def test_who_gives_up_in_time_has_no_deadline_any_more() -> None:
    coordinator = revoking()
    assert deadlines(coordinator)["rebalance", "g", "m"] == 10_000
    coordinator.heartbeat("m", 1, owned=frozenset(coordinator.member("m").assigned))
    assert ("rebalance", "g", "m") not in deadlines(coordinator)


def test_a_repeated_heartbeat_does_not_give_more_time() -> None:
    coordinator = revoking()
    coordinator.advance(4_000)
    coordinator.heartbeat(
        "m",
        1,
        rebalance_timeout_ms=10_000,
        subscription=Subscription(("a",)),
        owned=on(coordinator, "a", 0, 1, 2, 3),
    )
    assert deadlines(coordinator)["rebalance", "g", "m"] == 6_000


def test_giving_up_some_and_being_asked_for_others_gives_the_whole_time_anew() -> None:
    coordinator = revoking()
    coordinator.advance(8_000)
    coordinator.join("o", "a", "b")
    coordinator.join("p", "a", "b")
    coordinator.heartbeat("m", 1, owned=frozenset(coordinator.member("m").assigned))
    assert coordinator.member("m").state is MemberState.UNREVOKED_PARTITIONS
    assert deadlines(coordinator)["rebalance", "g", "m"] == 10_000


def test_who_is_away_has_nothing_to_give_up_any_more() -> None:
    coordinator = at_once(a=2)
    coordinator.join("m", "a", instance_id="i", rebalance_timeout_ms=5_000)
    coordinator.join("n", "a")
    coordinator.heartbeat("m", 1, instance_id="i")
    coordinator.heartbeat("m", AWAY, instance_id="i")
    coordinator.advance(10_000)
    assert coordinator.member("m").is_away
    assert coordinator.join("m", "a", instance_id="i").assigned == {(coordinator.topics.id("a"), 0): 1}


def test_leaving_takes_all_of_a_members_deadlines_along() -> None:
    coordinator = revoking()
    coordinator.heartbeat("m", LEAVING)
    assert deadlines(coordinator).keys() == {("session", "g", "n"), ("assignment", "g")}
    coordinator.heartbeat("n", LEAVING)
    assert deadlines(coordinator) == {}


# Assignments


def test_changes_within_the_assignment_interval_make_one_assignment() -> None:
    coordinator = Coordinator(FakeTopics(a=6), GroupLimits(assignment_interval_ms=1_000))
    coordinator.join("m", "a")
    for member_id in ("n", "o", "p"):
        coordinator.advance(100)
        coordinator.join(member_id, "a")
    assert (coordinator.group().epoch, coordinator.group().assignment_epoch) == (4, 1)
    assert deadlines(coordinator)["assignment", "g"] == 700
    coordinator.advance(700)
    assert (coordinator.group().epoch, coordinator.group().assignment_epoch) == (4, 4)


def test_a_group_that_is_empty_before_its_assignment_needs_none() -> None:
    coordinator = Coordinator(FakeTopics(a=6), GroupLimits(assignment_interval_ms=1_000))
    coordinator.join("m", "a")
    coordinator.join("n", "a")
    coordinator.heartbeat("m", LEAVING)
    coordinator.heartbeat("n", LEAVING)
    assert deadlines(coordinator) == {}
    assert (coordinator.group().epoch, coordinator.group().assignment_epoch) == (4, 1)


def test_an_epoch_goes_on_where_the_group_was_when_it_became_empty() -> None:
    coordinator = at_once(a=1)
    coordinator.join("m", "a")
    coordinator.heartbeat("m", LEAVING)
    assert coordinator.join("n", "a").member_epoch == 3


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> Coordinator:
    """A group of two, which counts as large, whose assignment is being made elsewhere."""
    monkeypatch.setattr(assignment, "_LARGE", 2)
    coordinator = at_once(a=4)
    coordinator.join("m", "a", instance_id="i")
    coordinator.join("n", "a")
    coordinator.advance(0)
    assert len(coordinator.tasks) == 1
    return coordinator


def test_a_large_groups_assignment_is_made_elsewhere_once(large: Coordinator) -> None:
    assert large.group().assignment_epoch == 1
    large.advance(10_000)
    assert len(large.tasks) == 1
    large.bring_back(large.tasks[0])
    assert large.group().assignment_epoch == 2
    assert large.woken == {("g", "m"), ("g", "n")}
    assert large.settle().keys() == {"m", "n"}


def test_what_changes_meanwhile_is_for_the_next_assignment(large: Coordinator) -> None:
    large.join("o", "a")
    large.bring_back(large.tasks[0])
    assert (large.group().epoch, large.group().assignment_epoch) == (3, 2)
    assert "o" not in large.group().targets
    large.advance(1_000)
    large.bring_back(large.tasks[0])
    assert large.group().assignment_epoch == 3
    assert {len(owned) for owned in large.settle().values()} == {1, 2}


def test_who_has_left_meanwhile_gets_nothing(large: Coordinator) -> None:
    large.heartbeat("n", LEAVING)
    large.bring_back(large.tasks[0])
    assert large.group().targets.keys() == {"m"}
    large.advance(1_000)
    for task in list(large.tasks):
        large.bring_back(task)
    assert large.settle() == {"m": on(large, "a", 0, 1, 2, 3)}


def test_a_static_member_that_has_come_back_meanwhile_gets_what_its_former_self_was_to_have(
    large: Coordinator,
) -> None:
    large.heartbeat("m", AWAY, instance_id="i")
    large.join("m2", "a", instance_id="i")
    large.bring_back(large.tasks[0])
    assert large.group().epoch == large.group().assignment_epoch == 2
    assert {member_id: len(owned) for member_id, owned in large.settle().items()} == {"m2": 2, "n": 2}


def test_an_assignment_is_not_for_a_group_that_was_made_meanwhile(large: Coordinator) -> None:
    large.heartbeat("m", LEAVING, instance_id="i")
    large.heartbeat("n", LEAVING)
    large.decide(large.shard.delete_group("g", large.now))
    large.join("n", "a")
    with unchanged(large):
        large.bring_back(large.tasks[0])
    large.group().check()


def test_an_assignment_for_a_group_that_is_gone_is_for_nobody(large: Coordinator) -> None:
    large.heartbeat("m", LEAVING, instance_id="i")
    large.heartbeat("n", LEAVING)
    with unchanged(large):
        large.bring_back(large.tasks[0])


def test_an_assignment_is_not_for_another_group_of_the_same_name(large: Coordinator) -> None:
    large.heartbeat("m", LEAVING, instance_id="i")
    large.heartbeat("n", LEAVING)
    large.decide(large.shard.delete_group("g", large.now))
    large.join("n", "a")
    large.join("o", "a")
    large.advance(1_000)
    former, present = large.tasks
    assert former.group_epoch == present.group_epoch == 2
    with unchanged(large):
        large.bring_back(former)
    large.bring_back(present)
    assert {len(owned) for owned in large.settle().values()} == {2}


def test_a_large_groups_assignments_have_time_between_them() -> None:
    coordinator = Coordinator(FakeTopics(a=3_000), GroupLimits(assignment_interval_ms=100))
    coordinator.join("m", "a")
    coordinator.join("n", "a")
    assert deadlines(coordinator)["assignment", "g"] == (3_000 + 2) // 10


# Topics


def test_topics_that_change_while_that_is_taken_in_are_taken_in_too() -> None:
    coordinator = at_once(a=1)
    coordinator.join("m", "a")
    coordinator.join("n", "a", group_id="h")
    coordinator.topics.grow("a", 2)
    coordinator.carry_out(coordinator.shard.topics_changed(coordinator.now))
    coordinator.finish(1)
    assert (coordinator.group("g").epoch, coordinator.group("h").epoch) == (2, 1)
    coordinator.topics.grow("a", 3)
    coordinator.topics_changed()
    assert (coordinator.group("g").epoch, coordinator.group("h").epoch) == (3, 2)


def test_topics_that_could_not_be_taken_in_are_taken_in_later() -> None:
    coordinator = at_once(a=1)
    coordinator.join("m", "a")
    coordinator.commit("m", 1, ("a", 0, 1))
    coordinator.topics.delete("a")
    coordinator.is_full = True
    coordinator.topics_changed()
    coordinator.is_full = False
    assert coordinator.group().epoch == 1 and coordinator.committed()
    coordinator.advance(1_000)
    assert coordinator.group().epoch == 2 and not coordinator.committed()
    assert ("topics",) not in coordinator.shard.timers._deadlines


# Groups


def test_a_group_with_members_can_not_be_deleted_and_the_refusal_names_them() -> None:
    coordinator = at_once(a=1)
    for member_id in ("m4", "m3", "m2", "m1"):
        coordinator.join(member_id, "a")
    coordinator.advance(5_000)
    with (
        unchanged(coordinator),
        refused(
            ErrorCode.non_empty_group,
            "it can't be deleted: m1 (session ends in 40 s unless it is heard of)",
            "m3 (",
            " and 1 more; stop them first",
        ),
    ):
        coordinator.shard.delete_group("g", coordinator.now)


def test_a_deleted_group_leaves_nothing_behind() -> None:
    coordinator = at_once(a=1)
    coordinator.join("m", pattern="a")
    coordinator.commit("m", 1, ("a", 0, 1))
    coordinator.heartbeat("m", LEAVING)
    coordinator.decide(coordinator.shard.delete_group("g", coordinator.now))
    assert state_of(coordinator.shard) == state_of(Coordinator(FakeTopics()).shard)
    assert deadlines(coordinator) == {}
    last = {record.key: record.value for record in coordinator.log}
    assert set(last.values()) == {None}
    assert encode_key(OffsetCommitKey("g", "a", 0)) in last


def test_a_group_that_only_has_offsets_can_be_deleted() -> None:
    coordinator = at_once(a=1)
    coordinator.commit("", -1, ("a", 0, 1))
    coordinator.decide(coordinator.shard.delete_group("g", coordinator.now))
    assert not coordinator.shard.has("g")


def test_a_group_that_is_not_there_can_not_be_deleted() -> None:
    with refused(ErrorCode.group_id_not_found, "there is no group 'g'"):
        at_once().shard.delete_group("g", NOW)


def test_groups_are_counted_by_state() -> None:
    coordinator = Coordinator(FakeTopics(a=2), GroupLimits(assignment_interval_ms=1_000))
    coordinator.commit("", -1, ("a", 0, 1), group_id="offsets only")
    coordinator.join("m", "a", group_id="stable")
    coordinator.join("m", "a", group_id="assigning")
    coordinator.join("n", "a", group_id="assigning")
    coordinator.commit("m", 1, ("a", 0, 1), group_id="stable")
    assert coordinator.shard.states() == {"empty": 1, "stable": 1, "assigning": 1}
    coordinator.advance(1_000)
    assert coordinator.shard.states() == {"empty": 1, "stable": 1, "reconciling": 1}
    assert coordinator.shard.most_groups >= len(coordinator.shard.group_ids()) == 3


def test_a_wake_means_who_waits_or_everybody_or_nobody() -> None:
    coordinator = at_once(a=2)
    coordinator.join("m", "a")
    coordinator.join("n", "a")
    shard = coordinator.shard
    assert list(shard.waiting("g", Wake.WAITING)) == ["n"]
    assert set(shard.waiting("g", Wake.ALL)) == {"m", "n"}
    assert list(shard.waiting("g", Wake.NOBODY)) == list(shard.waiting("nowhere", Wake.ALL)) == []


# The log


def lively() -> Coordinator:
    """Returns a shard with members in all states, patterns, offsets, and what is left of others."""
    coordinator = Coordinator(FakeTopics(a=4, b=2), GroupLimits(assignment_interval_ms=0))
    coordinator.join("m", "a", pattern="b", rack_id="r", assignor="range")
    coordinator.join("n", "a", "b", instance_id="i")
    coordinator.heartbeat("m", 1)
    coordinator.commit("m", 1, ("a", 0, 5), ("b", 1, 6))
    coordinator.join("gone", "a")
    coordinator.heartbeat("gone", LEAVING)
    coordinator.heartbeat("n", AWAY, instance_id="i")
    # Of this member the metadata is younger than what it owns.
    coordinator.heartbeat("m", 1, rack_id="s")
    coordinator.join("x", "b", pattern="a.*", group_id="h")
    coordinator.heartbeat("x", LEAVING, group_id="h")
    coordinator.decide(coordinator.shard.delete_group("h", coordinator.now))
    return coordinator


def test_the_log_brings_everything_back() -> None:
    coordinator = lively()
    again = replayed(coordinator.log, coordinator.limits, coordinator.topics, coordinator.now)
    assert state_of(again) == state_of(coordinator.shard)


@pytest.mark.parametrize("keeps_tombstones", [False, True])
def test_the_last_record_of_each_key_brings_everything_back(keeps_tombstones: bool) -> None:
    coordinator = lively()
    last = {record.key: index for index, record in enumerate(coordinator.log)}
    compacted: list[Written] = [
        record
        for index, record in enumerate(coordinator.log)
        if last[record.key] == index and (keeps_tombstones or record.value is not None)
    ]
    assert len(compacted) < len(coordinator.log)
    again = replayed(compacted, coordinator.limits, coordinator.topics, coordinator.now)
    assert state_of(again) == state_of(coordinator.shard)


def test_tombstones_alone_make_no_group() -> None:
    coordinator = at_once()
    keys = (
        ConsumerGroupRegularExpressionKey("g", "a"),
        ConsumerGroupTargetAssignmentMetadataKey("g"),
        ConsumerGroupCurrentMemberAssignmentKey("g", "m"),
    )
    log = [Written(encode_key(key), None, NOW) for key in keys]
    assert replayed(log, coordinator.limits, coordinator.topics, NOW).group_ids() == set()


def test_who_is_read_from_the_log_has_a_whole_session_and_the_whole_time_to_give_up() -> None:
    coordinator = revoking()
    coordinator.advance(5_000)
    coordinator.restart()
    assert deadlines(coordinator) == {
        ("session", "g", "m"): SESSION_MS,
        ("session", "g", "n"): SESSION_MS,
        ("rebalance", "g", "m"): 10_000,
    }


def test_an_assignment_that_a_crash_has_interrupted_is_made_at_once() -> None:
    coordinator = Coordinator(FakeTopics(a=2), GroupLimits(assignment_interval_ms=60_000))
    coordinator.join("m", "a")
    coordinator.join("n", "a")
    coordinator.restart()
    assert deadlines(coordinator)["assignment", "g"] == 0
    coordinator.advance(0)
    assert coordinator.group().assignment_epoch == 2


def test_topics_that_changed_while_nobody_looked_are_found_after_the_start() -> None:
    coordinator = at_once(a=1, b=1)
    coordinator.join("m", "a")
    coordinator.commit("m", 1, ("a", 0, 1))
    coordinator.topics.delete("a")
    coordinator.topics.create("a", 2)
    coordinator.restart()
    assert coordinator.committed() == {} and coordinator.group().epoch == 2
    assert coordinator.settle() == {"m": on(coordinator, "a", 0, 1)}


def test_a_member_goes_on_after_a_crash_as_if_nothing_had_happened() -> None:
    coordinator = revoking()
    coordinator.restart()
    assert coordinator.heartbeat("m", 1, owned=frozenset(coordinator.member("m").assigned)).member_epoch == 2
    assert coordinator.settle() == {"m": on(coordinator, "a", 0, 1), "n": on(coordinator, "a", 2, 3)}
