"""Committed offsets: who may commit what, what is kept, and for how long."""

from typing import Any

import pytest

from logserver.coordinator.formats import OffsetCommitKey, OffsetCommitValue
from logserver.coordinator.limits import GroupLimits
from logserver.coordinator.member import AWAY, LEAVING
from logserver.coordinator.offsets import CommittedOffsets
from logserver.coordinator.requests import Commit, OffsetToCommit
from logserver.errors import ErrorCode

from .support import NOW, Coordinator, FakeTopics, refused, unchanged

DAY_MS = 24 * 60 * 60 * 1000
RETENTION_MS = 7 * DAY_MS
CHECK_MS = 600_000


def at_once(**topics: int) -> Coordinator:
    return Coordinator(FakeTopics(**topics), GroupLimits(assignment_interval_ms=0))


def pair(**topics: int) -> Coordinator:
    """Returns a group of two members at epoch 2: m owns the first partitions of "a", n the last."""
    coordinator = at_once(**topics)
    coordinator.join("m", "a")
    coordinator.join("n", "a")
    coordinator.settle()
    return coordinator


# What is kept


def test_an_offset_is_kept_with_what_came_with_it() -> None:
    coordinator = at_once(a=1)
    assert coordinator.commit("", -1, OffsetToCommit("a", 0, 5, 3, "half way")) == [None]
    assert coordinator.shard.committed("g") == {
        ("a", 0): OffsetCommitValue(5, 3, "half way", NOW, topic_id=coordinator.topics.id("a"))
    }


def test_a_group_that_only_has_offsets_is_a_group() -> None:
    coordinator = at_once(a=1)
    coordinator.commit("", -1, ("a", 0, 5))
    assert coordinator.shard.has("g") and coordinator.shard.group_ids() == {"g"}
    assert coordinator.shard.existing("g") is None and coordinator.shard.state_of("g") == "empty"


def test_of_an_offset_named_twice_the_last_one_counts() -> None:
    coordinator = at_once(a=1)
    assert coordinator.commit("", -1, ("a", 0, 5), ("a", 0, 4)) == [None, None]
    assert coordinator.committed() == {("a", 0): 4} and len(coordinator.log) == 1


def test_an_offset_may_go_back_where_its_owner_says_so() -> None:
    coordinator = at_once(a=1)
    coordinator.join("m", "a")
    coordinator.commit("m", 1, ("a", 0, 5))
    assert coordinator.commit("m", 1, ("a", 0, 4)) == [None]
    assert coordinator.committed() == {("a", 0): 4}


def test_offsets_are_counted_once_each() -> None:
    offsets = CommittedOffsets()
    key = OffsetCommitKey("g", "a", 0)
    for value in (OffsetCommitValue(1), OffsetCommitValue(2)):
        offsets.apply(key, value)
    assert (offsets.count, list(offsets.groups())) == (1, ["g"])
    for _ in range(2):
        offsets.apply(key, None)
    assert (offsets.count, list(offsets.groups()), dict(offsets.of("g"))) == (0, [], {})


# What can't be committed


@pytest.mark.parametrize(
    ("offset", "code", "words"),
    [
        (OffsetToCommit("b", 0, 1), ErrorCode.unknown_topic_or_partition, "'b' does not exist"),
        (OffsetToCommit("a", 2, 1), ErrorCode.unknown_topic_or_partition, "no partition 2; its partitions are 0 to 1"),
        (OffsetToCommit("a", -1, 1), ErrorCode.unknown_topic_or_partition, "no partition -1"),
        (OffsetToCommit("a", 0, -1), ErrorCode.invalid_request, "the offset -1 of a-0 is negative"),
        (OffsetToCommit("a", 0, 1, -2), ErrorCode.invalid_request, "the leader epoch -2 of a-0"),
        (OffsetToCommit("a", 0, 1, 2**31), ErrorCode.invalid_request, "the leader epoch 2147483648"),
        (OffsetToCommit("a", 0, 1, 1, "ö" * 2049), ErrorCode.offset_metadata_too_large, "4098 bytes"),
    ],
)
def test_one_bad_offset_is_refused_and_the_others_are_stored(
    offset: OffsetToCommit, code: ErrorCode, words: str
) -> None:
    coordinator = at_once(a=2)
    request = Commit("g", "", -1, [offset, OffsetToCommit("a", 1, 7, 2**31 - 1, "ö" * 2048)])
    refusal, stored = coordinator.decide(coordinator.shard.commit(request, NOW))
    assert stored is None and coordinator.committed() == {("a", 1): 7}
    assert refusal is not None and refusal.code is code and words in refusal.message


@pytest.mark.parametrize("group_id", ["", "x" * 1001])
def test_a_group_id_that_is_none_is_refused(group_id: str) -> None:
    with refused(ErrorCode.invalid_group_id):
        at_once(a=1).commit("", -1, ("a", 0, 1), group_id=group_id)


# Who may commit


@pytest.mark.parametrize(("member_id", "epoch"), [("m", 1), ("m", -1), ("", 0), ("", 3)])
def test_where_there_are_no_members_nobody_commits_as_one(member_id: str, epoch: int) -> None:
    coordinator = at_once(a=1)
    with unchanged(coordinator), refused(ErrorCode.unknown_member_id, "'g' has no member"):
        coordinator.commit(member_id, epoch, ("a", 0, 1))
    coordinator.join("n", "a")
    coordinator.heartbeat("n", LEAVING)
    with unchanged(coordinator), refused(ErrorCode.unknown_member_id, "'g' has no member"):
        coordinator.commit(member_id, epoch, ("a", 0, 1))


def test_where_there_are_members_only_they_commit() -> None:
    coordinator = pair(a=2)
    with unchanged(coordinator), refused(ErrorCode.unknown_member_id, "has members ('m', 'n'), so only they"):
        coordinator.commit("", -1, ("a", 0, 1))
    with unchanged(coordinator), refused(ErrorCode.unknown_member_id, "no member 'o'"):
        coordinator.commit("o", 2, ("a", 0, 1))


def test_a_member_commits_under_its_epoch() -> None:
    coordinator = pair(a=2)
    assert coordinator.commit("m", 2, ("a", 0, 1)) == [None]


def test_what_another_member_owns_is_not_taken_back() -> None:
    coordinator = pair(a=4)
    assert coordinator.group().owners[coordinator.topics.id("a"), 3] == "n"
    coordinator.commit("n", 2, ("a", 3, 50))
    late_and_own = coordinator.commit("m", 2, ("a", 3, 10), ("a", 0, 1))
    assert late_and_own == [ErrorCode.stale_member_epoch, None]
    assert coordinator.committed() == {("a", 3): 50, ("a", 0): 1}


def test_an_epoch_ahead_is_stale() -> None:
    coordinator = pair(a=2)
    with unchanged(coordinator), refused(ErrorCode.stale_member_epoch, "the epoch 3, its epoch is 2"):
        coordinator.commit("m", 3, ("a", 0, 1))


def test_an_older_epoch_is_good_for_what_the_member_has_had_since() -> None:
    coordinator = pair(a=2)
    # At epoch 1 the first member had both, and gave up the second one.
    assert coordinator.commit("m", 1, ("a", 0, 1), ("a", 1, 1)) == [None, ErrorCode.stale_member_epoch]
    # The second one was no member then.
    assert coordinator.commit("n", 1, ("a", 0, 1), ("a", 1, 1)) == [ErrorCode.stale_member_epoch] * 2
    assert coordinator.committed() == {("a", 0): 1}


def test_a_partition_that_is_being_given_up_is_still_committed_under_an_older_epoch() -> None:
    coordinator = at_once(a=2)
    coordinator.join("m", "a")
    coordinator.heartbeat("m", 1, assignor="range")
    coordinator.join("n", "a")
    coordinator.heartbeat("m", 2)
    assert coordinator.member("m").revoking == {(coordinator.topics.id("a"), 1): 1}
    assert coordinator.commit("m", 1, ("a", 1, 9)) == [None]
    coordinator.heartbeat("m", 2, owned=frozenset(coordinator.member("m").assigned))
    assert coordinator.commit("m", 2, ("a", 1, 9)) == [ErrorCode.stale_member_epoch]


def test_a_partition_that_came_back_is_not_committed_under_the_epoch_before() -> None:
    coordinator = pair(a=2)
    coordinator.heartbeat("n", LEAVING)
    coordinator.settle()
    assert coordinator.member("m").epoch == 3
    assert coordinator.commit("m", 1, ("a", 1, 9)) == [ErrorCode.stale_member_epoch]
    assert coordinator.commit("m", 2, ("a", 1, 9)) == [ErrorCode.stale_member_epoch]
    assert coordinator.commit("m", 3, ("a", 1, 9)) == [None]


def test_the_former_self_of_a_static_member_is_fenced() -> None:
    coordinator = at_once(a=1)
    coordinator.join("m", "a", instance_id="i")
    coordinator.heartbeat("m", AWAY, instance_id="i")
    with unchanged(coordinator), refused(ErrorCode.stale_member_epoch, "its epoch is -2"):
        coordinator.commit("m", 1, ("a", 0, 1), instance_id="i")
    coordinator.join("m2", "a", instance_id="i")
    with unchanged(coordinator), refused(ErrorCode.fenced_instance_id, "has taken the instance id 'i'"):
        coordinator.commit("m", 1, ("a", 0, 1), instance_id="i")
    assert coordinator.commit("m2", 1, ("a", 0, 1), instance_id="i") == [None]


def test_a_member_that_was_given_up_commits_nothing() -> None:
    coordinator = pair(a=2)
    coordinator.advance(44_000)
    coordinator.heartbeat("n", 2)
    coordinator.advance(1_000)
    with unchanged(coordinator), refused(ErrorCode.unknown_member_id, "no member 'm'"):
        coordinator.commit("m", 2, ("a", 0, 1))


# Reading


def test_who_asks_as_a_member_has_to_be_one() -> None:
    coordinator = pair(a=2)
    coordinator.commit("m", 2, ("a", 0, 1))
    assert coordinator.shard.committed("g", ("m", 2)).keys() == {("a", 0)}
    for epoch in (1, 3):
        with refused(ErrorCode.stale_member_epoch, f"the epoch {epoch}, its epoch is 2"):
            coordinator.shard.committed("g", ("m", epoch))
    for group_id, member_id in (("g", "o"), ("h", "m")):
        with refused(ErrorCode.unknown_member_id, f"'{group_id}' has no member '{member_id}'"):
            coordinator.shard.committed(group_id, (member_id, 2))


def test_a_group_that_is_not_there_has_no_offsets() -> None:
    assert at_once().shard.committed("g") == {}


# Expiry


def checked(coordinator: Coordinator, at_ms: int) -> dict[tuple[str, int], int]:
    """Returns the offsets there are after the check that follows a time."""
    coordinator.advance(at_ms - coordinator.now)
    coordinator.advance(CHECK_MS)
    return coordinator.committed()


def test_the_offsets_of_a_group_that_never_had_members_expire_after_their_commit() -> None:
    coordinator = at_once(a=2)
    coordinator.commit("", -1, ("a", 0, 5))
    coordinator.advance(DAY_MS)
    coordinator.commit("", -1, ("a", 1, 6))
    coordinator.advance(RETENTION_MS - DAY_MS - 1)
    assert coordinator.committed() == {("a", 0): 5, ("a", 1): 6}
    coordinator.advance(CHECK_MS)
    assert coordinator.committed() == {("a", 1): 6}
    assert checked(coordinator, NOW + RETENTION_MS + DAY_MS) == {}
    assert not coordinator.shard.has("g")


def alive_for(coordinator: Coordinator, ms: int, *member_ids: str) -> None:
    end = coordinator.now + ms
    while coordinator.now < end:
        coordinator.advance(40_000)
        for member_id in member_ids:
            coordinator.heartbeat(member_id, coordinator.member(member_id).epoch)


def short(**topics: int) -> Coordinator:
    return Coordinator(
        FakeTopics(**topics),
        GroupLimits(assignment_interval_ms=0, offsets_retention_ms=300_000, retention_check_interval_ms=60_000),
    )


def test_no_offset_expires_before_its_group_was_empty_for_the_retention_time() -> None:
    coordinator = short(a=1)
    coordinator.join("m", "a")
    coordinator.commit("m", 1, ("a", 0, 5))
    alive_for(coordinator, 400_000, "m")
    coordinator.heartbeat("m", LEAVING)
    coordinator.advance(299_999)
    assert coordinator.committed() == {("a", 0): 5}
    coordinator.advance(60_000)
    assert coordinator.committed() == {} and not coordinator.shard.has("g")


def test_members_keep_the_offsets_of_what_they_are_subscribed_to_and_no_others() -> None:
    coordinator = short(a=1, b=1, c=1)
    coordinator.commit("", -1, ("a", 0, 1), ("b", 0, 2), ("c", 0, 3))
    coordinator.join("m", "a", pattern="b")
    alive_for(coordinator, 1_000_000, "m")
    assert coordinator.committed() == {("a", 0): 1, ("b", 0): 2}


def test_an_offset_with_a_time_of_its_own_expires_then() -> None:
    coordinator = short(a=1)
    key = OffsetCommitKey("g", "a", 0)
    coordinator.shard.apply(key, OffsetCommitValue(1, commit_timestamp_ms=NOW, expire_timestamp_ms=NOW + 70_000), NOW)
    coordinator.advance(60_000)
    assert coordinator.committed() == {("a", 0): 1}
    coordinator.advance(60_000)
    assert coordinator.committed() == {}


def test_an_empty_group_without_offsets_is_forgotten_as_late_as_its_offsets_would_be() -> None:
    coordinator = short(a=1)
    coordinator.join("m", "a")
    coordinator.heartbeat("m", LEAVING)
    coordinator.advance(299_999)
    assert coordinator.shard.has("g")
    coordinator.advance(60_000)
    assert not coordinator.shard.has("g")


def test_an_empty_group_is_kept_as_long_as_one_of_its_offsets() -> None:
    coordinator = short(a=2)
    coordinator.join("m", "a")
    coordinator.commit("m", 1, ("a", 0, 1))
    coordinator.heartbeat("m", LEAVING)
    coordinator.advance(200_000)
    coordinator.commit("", -1, ("a", 1, 1))
    coordinator.advance(240_000)
    assert coordinator.committed() == {("a", 1): 1} and coordinator.group().is_empty


# Deleting


def test_offsets_of_topics_that_nobody_is_subscribed_to_are_deleted() -> None:
    coordinator = at_once(a=1, b=2)
    coordinator.commit("", -1, ("a", 0, 1), ("b", 0, 2), ("b", 1, 3))
    coordinator.join("m", "a")
    decision = coordinator.shard.delete_offsets("g", [("a", 0), ("b", 0), ("b", 7), ("b", 0)])
    answers: list[Any] = [error and error.code for error in coordinator.decide(decision)]
    assert answers == [ErrorCode.group_subscribed_to_topic, None, None, None]
    assert len(decision.entries) == 1
    assert coordinator.committed() == {("a", 0): 1, ("b", 1): 3}


def test_offsets_of_a_group_that_is_not_there_can_not_be_deleted() -> None:
    coordinator = at_once(a=1)
    with refused(ErrorCode.group_id_not_found, "there is no group 'g'"):
        coordinator.shard.delete_offsets("g", [("a", 0)])


@pytest.mark.parametrize("is_made_anew", [False, True])
def test_offsets_go_with_their_topic_even_if_another_has_its_name(is_made_anew: bool) -> None:
    coordinator = at_once(a=1, b=1)
    coordinator.commit("", -1, ("a", 0, 1), ("b", 0, 2))
    coordinator.topics.delete("a")
    if is_made_anew:
        coordinator.topics.create("a", 1)
    coordinator.topics_changed()
    assert coordinator.committed() == {("b", 0): 2}


def test_an_offset_of_an_unknown_topic_id_stays_with_the_name() -> None:
    coordinator = at_once(a=1)
    coordinator.shard.apply(OffsetCommitKey("g", "a", 0), OffsetCommitValue(1, commit_timestamp_ms=NOW), NOW)
    coordinator.topics_changed()
    assert coordinator.committed() == {("a", 0): 1}
