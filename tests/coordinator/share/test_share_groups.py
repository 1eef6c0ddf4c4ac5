"""Share groups: joining, staying and leaving, epochs, sessions, topics that come and go, groups of other types."""

import pytest

from logserver.coordinator.assignors import Assignment
from logserver.coordinator.classic_requests import JoinGroup
from logserver.coordinator.formats import (
    ShareGroupCurrentMemberAssignmentKey,
    ShareGroupMemberMetadataKey,
    ShareGroupMetadataKey,
    ShareGroupStatePartitionMetadataKey,
    ShareGroupTargetAssignmentMemberKey,
    ShareGroupTargetAssignmentMetadataKey,
    decode_key,
)
from logserver.coordinator.member import LEAVING
from logserver.coordinator.share.limits import ShareLimits
from logserver.coordinator.share.requests import Initialization, ShareHeartbeat
from logserver.errors import ErrorCode

from ..support import FakeTopics, refused, state_of, unchanged
from .share_members import LIMITS, Sharing

SESSION_MS = 45_000


def on(sharing: Sharing, topic: str, *numbers: int) -> Assignment:
    return frozenset((sharing.topics.id(topic), number) for number in numbers)


def sharing(limits: ShareLimits = LIMITS, **topics: int) -> Sharing:
    return Sharing(FakeTopics(**topics), limits)


# Members


def test_the_first_member_has_everything_as_soon_as_its_state_is_there() -> None:
    group = Sharing(FakeTopics(a=2), keeps_state=False)
    answer = group.beat("m", 0, "a")
    assert (answer.member_epoch, answer.assigned) == (1, frozenset())
    assert group.asked == [Initialization("g", 1, {group.topics.id("a"): frozenset((0, 1))})]
    # What has been asked for is not asked for again.
    assert group.beat("m", 1).initialization is None
    group.initialize()
    answer = group.beat("m", 1)
    assert (answer.member_epoch, answer.assigned) == (2, on(group, "a", 0, 1))
    assert group.beat("m", 2).assigned is None
    assert [type(decode_key(record.key)) for record in group.log] == [
        ShareGroupMemberMetadataKey,
        ShareGroupMetadataKey,
        ShareGroupTargetAssignmentMemberKey,
        ShareGroupTargetAssignmentMetadataKey,
        ShareGroupCurrentMemberAssignmentKey,
        ShareGroupStatePartitionMetadataKey,
        # The state is there.
        ShareGroupStatePartitionMetadataKey,
        ShareGroupMetadataKey,
        ShareGroupTargetAssignmentMemberKey,
        ShareGroupTargetAssignmentMetadataKey,
        ShareGroupCurrentMemberAssignmentKey,
    ]


def test_members_get_theirs_without_waiting_for_each_other() -> None:
    group = sharing(a=4)
    assert group.enter("m", "a") == on(group, "a", 0, 1, 2, 3)
    # As long as m has not been heard of, both have two of them.
    assert group.enter("n", "a") == on(group, "a", 2, 3)
    assert group.members()["m"] == on(group, "a", 0, 1, 2, 3)
    assert group.all_beat() == {"m": on(group, "a", 0, 1), "n": on(group, "a", 2, 3)}
    group.leave("m")
    assert group.all_beat() == {"n": on(group, "a", 0, 1, 2, 3)}


def test_everything_is_told_again_to_who_says_everything_and_to_who_joins_again() -> None:
    group = sharing(a=1)
    group.enter("m", "a")
    assert group.beat("m", 2).assigned is None
    assert group.beat("m", 2, "a").assigned == on(group, "a", 0)
    again = group.beat("m", 0, "a")
    assert (again.member_epoch, again.assigned) == (2, on(group, "a", 0))


def test_another_subscription_brings_other_partitions() -> None:
    group = sharing(a=1, b=2)
    group.enter("m", "a")
    answer = group.beat("m", 2, "b")
    assert (answer.member_epoch, answer.assigned) == (3, frozenset())
    assert group.all_beat() == {"m": on(group, "b", 0, 1)}


def test_a_member_that_did_not_get_the_last_answer_may_come_with_the_epoch_before() -> None:
    group = sharing(a=1)
    group.enter("m", "a")
    assert group.beat("m", 1).member_epoch == 2
    with unchanged(group), refused(ErrorCode.fenced_member_epoch, "ahead"):
        group.beat("m", 3)
    group.enter("n", "a")
    assert group.beat("m", 2).member_epoch == 3
    with unchanged(group), refused(ErrorCode.fenced_member_epoch, "behind"):
        group.beat("m", 1)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (ShareHeartbeat("", "m", 0, topics=("a",)), ErrorCode.invalid_group_id),
        (ShareHeartbeat("g", "", 0, topics=("a",)), ErrorCode.invalid_request),
        (ShareHeartbeat("g", "m", 0), ErrorCode.invalid_request),
        (ShareHeartbeat("g", "m", 0, topics=()), ErrorCode.invalid_request),
        (ShareHeartbeat("g", "m", 0, rack_id="", topics=("a",)), ErrorCode.invalid_request),
        (ShareHeartbeat("g", "m", -2), ErrorCode.invalid_request),
        (ShareHeartbeat("g", "m", 1), ErrorCode.group_id_not_found),
        (ShareHeartbeat("g", "m", LEAVING), ErrorCode.group_id_not_found),
    ],
)
def test_a_heartbeat_that_makes_no_sense_is_refused(request_: ShareHeartbeat, code: ErrorCode) -> None:
    group = sharing(a=1)
    with unchanged(group), refused(code):
        group.shard.share_heartbeat(request_, group.now)


def test_who_is_no_member_can_neither_stay_nor_leave() -> None:
    group = sharing(a=1)
    group.enter("m", "a")
    for epoch in (1, LEAVING):
        with unchanged(group), refused(ErrorCode.unknown_member_id):
            group.beat("nobody", epoch)


def test_a_group_has_a_most() -> None:
    group = sharing(LIMITS._replace(max_members=2), a=1)
    group.enter("m", "a")
    group.enter("n", "a")
    with unchanged(group), refused(ErrorCode.group_max_size_reached, "group.share.max.size=2"):
        group.beat("o", 0, "a")
    group.beat("m", 2)
    group.leave("n")
    group.enter("o", "a")


def test_assignments_follow_each_other_at_an_interval() -> None:
    group = sharing(LIMITS._replace(assignment_interval_ms=100), a=2)
    group.enter("m", "a")
    assert group.enter("n", "a") == frozenset()
    group.now += 99
    assert group.beat("n", group.shared().members["n"].epoch).assigned is None
    group.now += 1
    assert group.beat("n", group.shared().members["n"].epoch).assigned == on(group, "a", 1)


# Sessions


def test_a_silent_member_is_given_up_and_a_heard_one_stays() -> None:
    group = sharing(a=2)
    group.enter("m", "a")
    group.enter("n", "a")
    group.advance(SESSION_MS - 1)
    group.beat("n", group.shared().members["n"].epoch)
    assert group.members().keys() == {"m", "n"}
    group.advance(1)
    assert group.all_beat() == {"n": on(group, "a", 0, 1)}
    with refused(ErrorCode.unknown_member_id):
        group.beat("m", 3)
    group.advance(SESSION_MS)
    assert group.shared().is_empty
    # An empty group stays, with what it knows of its partitions, however long nobody comes.
    group.advance(30 * 24 * 3_600_000)
    assert group.shared().topics.initialized
    assert group.enter("o", "a") == on(group, "a", 0, 1)


def test_who_is_heard_while_others_are_given_up_stays() -> None:
    group = sharing(a=2)
    for member in ("m", "n"):
        group.enter(member, "a", group_id="g")
        group.enter(member, "a", group_id="h")
    group.now += SESSION_MS
    # All are due; those of the first group are given up before the second is looked at.
    group.carry_out(group.shard.expire(group.now))
    group.finish(1)
    left = next(group_id for group_id in ("g", "h") if group.members(group_id))
    group.beat("m", group.shared(left).members["m"].epoch, group_id=left)
    group.finish()
    assert group.members(left).keys() == {"m"}


def test_after_a_restart_every_member_has_a_whole_session() -> None:
    group = sharing(a=2)
    group.enter("m", "a")
    group.now += SESSION_MS - 1
    before = state_of(group.shard)
    group.restart()
    assert state_of(group.shard) == before
    group.advance(SESSION_MS - 1)
    assert group.members().keys() == {"m"}
    group.advance(1)
    assert group.shared().is_empty


def test_a_group_may_have_its_own_session_timeout() -> None:
    own = {"share.session.timeout.ms": "60000"}
    group = sharing(LIMITS._replace(own=lambda group_id: own if group_id == "g" else {}), a=1)
    group.enter("m", "a")
    group.enter("m", "a", group_id="h")
    group.advance(SESSION_MS)
    assert (group.shared("g").is_empty, group.shared("h").is_empty) == (False, True)
    group.advance(15_000)
    assert group.shared("g").is_empty


# Topics


def test_new_partitions_are_assigned_when_their_state_is_there() -> None:
    group = sharing(a=1)
    group.enter("m", "a")
    group.topics.grow("a", 3)
    group.topics_changed()
    assert group.all_beat() == {"m": on(group, "a", 0, 1, 2)}


def test_a_topic_that_comes_later_is_assigned_then() -> None:
    group = sharing()
    assert group.enter("m", "a") == frozenset()
    group.topics.create("a", 2)
    group.topics_changed()
    assert group.all_beat() == {"m": on(group, "a", 0, 1)}


def test_a_deleted_topic_is_forgotten_and_one_of_its_name_is_another() -> None:
    group = sharing(a=1, b=1)
    group.enter("m", "a", "b")
    old = group.topics.id("a")
    group.topics.delete("a")
    group.topics_changed()
    assert old not in group.shared().topics.initialized
    assert group.all_beat() == {"m": on(group, "b", 0)}
    group.topics.create("a", 1)
    group.topics_changed()
    assert group.all_beat() == {"m": on(group, "a", 0) | on(group, "b", 0)}


def test_state_that_could_not_be_made_is_asked_for_anew() -> None:
    group = Sharing(FakeTopics(a=2), keeps_state=False)
    group.beat("m", 0, "a")
    (asked,) = group.asked
    group.decide(group.shard.share.not_initialized("g", asked.partitions))
    assert group.beat("m", 1).initialization == asked
    # Nobody has said what became of it: after a while somebody else is to try.
    group.advance(LIMITS.initialize_retry_interval_ms)
    group.asked.clear()
    assert group.beat("m", 1).initialization == asked
    assert group.beat("m", 1).initialization is None


# Groups of other types


def test_one_name_is_one_type_of_group() -> None:
    group = sharing(a=1)
    group.join("m", "a", group_id="consumers")
    group.commit("", -1, ("a", 0, 1), group_id="offsets")
    group.enter("m", "a", group_id="shared")
    for other, words in (("consumers", "consumer group"), ("offsets", "commits offsets")):
        with unchanged(group), refused(ErrorCode.group_id_not_found, words):
            group.beat("m", 0, "a", group_id=other)
    with unchanged(group), refused(ErrorCode.group_id_not_found, "share group"):
        group.join("m", "a", group_id="shared")
    with unchanged(group), refused(ErrorCode.group_id_not_found, "share group"):
        group.commit("", -1, ("a", 0, 1), group_id="shared")
    with unchanged(group), refused(ErrorCode.group_id_not_found, "share group"):
        group.shard.delete_offsets("shared", [("a", 0)])
    with unchanged(group), refused(ErrorCode.inconsistent_group_protocol, "share group"):
        join = JoinGroup("shared", "", "m", None, "client", "/127.0.0.1", 10_000, 10_000, "consumer", (), False)
        group.shard.join(join, group.now)
    assert group.shard.committed("shared") == {}
    # An empty one, too.
    group.leave("m", "shared")
    with unchanged(group), refused(ErrorCode.group_id_not_found, "share group"):
        group.join("m", "a", group_id="shared")


def test_a_group_without_members_can_be_deleted() -> None:
    group = sharing(a=2)
    group.enter("m", "a")
    with unchanged(group), refused(ErrorCode.non_empty_group, "m "):
        group.shard.begin_share_deletion("g", group.now)
    with unchanged(group), refused(ErrorCode.non_empty_group, "session"):
        group.shard.delete_group("g", group.now)
    group.leave("m")
    partitions = group.decide(group.shard.begin_share_deletion("g", group.now))
    assert partitions == {group.topics.id("a"): frozenset((0, 1))}
    assert group.shared().topics.deleting == {group.topics.id("a"): "a"}
    # Who joins meanwhile has it made anew.
    group.enter("m", "a")
    assert (group.shared().topics.deleting, group.shared().topics.initialized) == (
        {},
        {group.topics.id("a"): ("a", frozenset((0, 1)))},
    )
    group.leave("m")
    group.decide(group.shard.begin_share_deletion("g", group.now))
    group.decide(group.shard.delete_group("g", group.now))
    assert "g" not in group.shard.group_ids()
    before = state_of(group.shard)
    group.restart()
    assert state_of(group.shard) == before
    group.enter("m", "a")
    assert group.shared().epoch == 2
