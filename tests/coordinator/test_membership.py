"""Joining, staying in and leaving a group: what each request does, and why one is refused."""

from typing import Any

import pytest

from logserver.coordinator.formats import (
    ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupMemberMetadataKey,
    ConsumerGroupMetadataKey,
    ConsumerGroupRegularExpressionKey,
    ConsumerGroupTargetAssignmentMemberKey,
    ConsumerGroupTargetAssignmentMetadataKey,
    MemberState,
    decode_key,
)
from logserver.coordinator.limits import GroupLimits
from logserver.coordinator.member import AWAY, JOINING, LEAVING
from logserver.coordinator.requests import Heartbeat, Subscription
from logserver.errors import ErrorCode

from .support import Coordinator, FakeTopics, refused, unchanged

NOTHING: frozenset[tuple[str, int]] = frozenset()


def on(coordinator: Coordinator, topic: str, *partitions: int) -> frozenset[tuple[str, int]]:
    return frozenset((coordinator.topics.id(topic), number) for number in partitions)


def at_once(**topics: int) -> Coordinator:
    """Returns a coordinator that makes assignments with the change that asks for them."""
    return Coordinator(FakeTopics(**topics), GroupLimits(assignment_interval_ms=0))


def subscribe(*topics: str, pattern: str | None = None) -> Subscription:
    return Subscription(topics, pattern)


# Joining


def test_the_first_member_is_told_all_partitions_at_once() -> None:
    coordinator = at_once(a=3)
    answer = coordinator.join("m", "a")
    assert (answer.member_id, answer.member_epoch) == ("m", 1)
    assert answer.assigned is not None and answer.assigned.keys() == on(coordinator, "a", 0, 1, 2)
    group = coordinator.group()
    assert (group.epoch, group.assignment_epoch, group.state) == (1, 1, "stable")


def test_a_join_is_written_in_the_order_of_kafka() -> None:
    coordinator = at_once(a=1)
    coordinator.join("m", pattern="a")
    assert [type(decode_key(record.key)) for record in coordinator.log] == [
        ConsumerGroupMemberMetadataKey,
        ConsumerGroupRegularExpressionKey,
        ConsumerGroupMetadataKey,
        ConsumerGroupTargetAssignmentMemberKey,
        ConsumerGroupTargetAssignmentMetadataKey,
        ConsumerGroupCurrentMemberAssignmentKey,
    ]


def test_what_a_member_says_of_itself_is_kept() -> None:
    coordinator = at_once(a=1)
    coordinator.join(
        "m",
        "b",
        "a",
        "b",
        instance_id="i",
        rack_id="r",
        assignor="range",
        client_id="c",
        client_host="/1.2.3.4",
        rebalance_timeout_ms=7,
    )
    member = coordinator.member("m")
    assert (member.instance_id, member.rack_id, member.assignor) == ("i", "r", "range")
    assert (member.client_id, member.client_host, member.rebalance_timeout_ms) == ("c", "/1.2.3.4", 7)
    assert (member.topics, member.pattern) == (("a", "b"), None)


def test_a_second_member_waits_until_the_first_has_given_up() -> None:
    coordinator = at_once(a=2)
    coordinator.join("m", "a")
    answer = coordinator.join("n", "a")
    assert (answer.member_epoch, answer.assigned) == (2, {})
    assert coordinator.member("n").state is MemberState.UNRELEASED_PARTITIONS

    told = coordinator.heartbeat("m", 1)
    assert told.member_epoch == 1 and told.assigned is not None
    assert told.assigned.keys() == on(coordinator, "a", 0)
    assert coordinator.member("m").state is MemberState.UNREVOKED_PARTITIONS
    assert coordinator.heartbeat("n", 2).assigned is None

    assert coordinator.heartbeat("m", 1, owned=on(coordinator, "a", 0)).member_epoch == 2
    told = coordinator.heartbeat("n", 2)
    assert told.assigned == {(coordinator.topics.id("a"), 1): 2}
    assert coordinator.group().state == "stable"


def test_giving_up_wakes_those_that_wait() -> None:
    coordinator = at_once(a=2)
    coordinator.join("m", "a")
    coordinator.join("n", "a")
    coordinator.heartbeat("m", 1)
    coordinator.woken.clear()
    coordinator.heartbeat("m", 1, owned=on(coordinator, "a", 0))
    assert coordinator.woken == {("g", "n")}


def test_a_new_assignment_wakes_everybody() -> None:
    coordinator = at_once(a=2)
    coordinator.join("m", "a")
    coordinator.woken.clear()
    coordinator.join("n", "a")
    assert coordinator.woken == {("g", "m"), ("g", "n")}


def test_a_join_whose_answer_was_lost_is_repeated_without_effect() -> None:
    coordinator = at_once(a=2)
    first = coordinator.join("m", "a")
    with unchanged(coordinator):
        assert coordinator.join("m", "a") == first


def test_who_joins_again_has_given_up_everything() -> None:
    coordinator = at_once(a=2)
    coordinator.join("m", "a")
    coordinator.join("n", "a")
    coordinator.heartbeat("m", 1)
    answer = coordinator.join("m", "a")
    assert answer.member_epoch == 2 and answer.assigned is not None
    assert answer.assigned.keys() == on(coordinator, "a", 0)
    assert coordinator.look_again("n") is not None


def test_within_the_assignment_interval_a_member_joins_without_partitions() -> None:
    coordinator = Coordinator(FakeTopics(a=2), GroupLimits(assignment_interval_ms=100))
    coordinator.join("m", "a")
    answer = coordinator.join("n", "a")
    assert (answer.member_epoch, answer.assigned) == (1, {})
    assert coordinator.group().state == "assigning"
    coordinator.advance(100)
    assert coordinator.group().assignment_epoch == 2
    assert coordinator.woken >= {("g", "m"), ("g", "n")}


def test_a_topic_that_does_not_exist_yet_is_waited_for() -> None:
    coordinator = at_once(a=1)
    assert coordinator.join("m", "b").assigned == {}
    coordinator.topics.create("b", 1)
    coordinator.topics_changed()
    coordinator.advance(0)
    told = coordinator.look_again("m")
    assert told is not None and told.assigned is not None and told.assigned.keys() == on(coordinator, "b", 0)


@pytest.mark.parametrize("epoch", [1, 7])
def test_who_comes_with_an_epoch_has_to_be_a_member(epoch: int) -> None:
    coordinator = at_once(a=1)
    with refused(ErrorCode.unknown_member_id, "no group 'g'", "join again"):
        coordinator.heartbeat("m", epoch)
    coordinator.join("n", "a")
    with unchanged(coordinator), refused(ErrorCode.unknown_member_id, "'g' has no member 'm'", "join again"):
        coordinator.heartbeat("m", epoch)


def test_a_full_group_takes_no_more_members_but_keeps_those_it_has() -> None:
    coordinator = Coordinator(FakeTopics(a=1), GroupLimits(assignment_interval_ms=0, max_members=2))
    coordinator.join("m", "a")
    coordinator.join("n", "a", instance_id="i")
    with unchanged(coordinator), refused(ErrorCode.group_max_size_reached, "group.consumer.max.size=2"):
        coordinator.join("o", "a")
    coordinator.join("m", "a")
    coordinator.heartbeat("n", AWAY, instance_id="i")
    coordinator.join("n2", "a", instance_id="i")
    assert coordinator.group().members.keys() == {"m", "n2"}


@pytest.mark.parametrize(
    ("request_", "code", "words"),
    [
        ({"group_id": ""}, ErrorCode.invalid_group_id, "the group id is empty"),
        ({"group_id": "x" * 1001}, ErrorCode.invalid_group_id, "1001 bytes, 1000 are allowed"),
        ({"member_id": ""}, ErrorCode.invalid_request, "the member id is empty"),
        ({"member_id": "ö" * 501}, ErrorCode.invalid_request, "1002 bytes"),
        ({"instance_id": ""}, ErrorCode.invalid_request, "the instance id is empty"),
        ({"rack_id": ""}, ErrorCode.invalid_request, "the rack id is empty"),
        ({"member_epoch": -3}, ErrorCode.invalid_request, "the member epoch -3 has no meaning"),
        ({"member_epoch": 2**31}, ErrorCode.invalid_request, "2147483648"),
        ({"member_epoch": AWAY}, ErrorCode.invalid_request, "only a static member"),
        ({"rebalance_timeout_ms": None}, ErrorCode.invalid_request, "has to say its rebalance timeout"),
        ({"rebalance_timeout_ms": 0}, ErrorCode.invalid_request, "milliseconds, not 0"),
        ({"rebalance_timeout_ms": 2**31}, ErrorCode.invalid_request, "milliseconds, not 2147483648"),
        ({"owned": frozenset({("x", 1)})}, ErrorCode.invalid_request, "owns nothing yet"),
        ({"subscription": None}, ErrorCode.invalid_request, "has to say what it subscribes to"),
        ({"subscription": Subscription(("a", ""))}, ErrorCode.invalid_request, "the topic name is empty"),
        ({"subscription": Subscription(("x" * 40_000,))}, ErrorCode.invalid_request, "40000 bytes, 1000 are allowed"),
        ({"subscription": Subscription((), "a(")}, ErrorCode.invalid_regular_expression, "a("),
        ({"assignor": "best"}, ErrorCode.unsupported_assignor, "'best' here, only uniform, range"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(request_: dict[str, Any], code: ErrorCode, words: str) -> None:
    coordinator = at_once(a=1)
    coordinator.join("n", "a")
    good = Heartbeat("g", "m", 0, rebalance_timeout_ms=1, subscription=subscribe("a"), owned=NOTHING)
    with unchanged(coordinator), refused(code, words):
        coordinator.decide(coordinator.shard.heartbeat(good._replace(**request_), coordinator.now))


def test_a_group_that_is_refused_its_first_member_does_not_come_into_being() -> None:
    coordinator = at_once(a=1)
    with refused(ErrorCode.unsupported_assignor):
        coordinator.join("m", "a", assignor="best")
    assert not coordinator.shard.has("g") and not coordinator.log


# Staying


def test_a_heartbeat_without_news_writes_nothing() -> None:
    coordinator = at_once(a=1)
    coordinator.join("m", "a")
    size = len(coordinator.log)
    answer = coordinator.heartbeat("m", 1)
    assert (answer.member_epoch, answer.assigned) == (1, None)
    assert len(coordinator.log) == size


def test_who_says_everything_is_told_everything() -> None:
    coordinator = at_once(a=1)
    told = coordinator.join("m", "a")
    answer = coordinator.heartbeat(
        "m", 1, rebalance_timeout_ms=1_000, subscription=subscribe("a"), owned=on(coordinator, "a", 0)
    )
    assert answer.assigned == told.assigned
    assert coordinator.heartbeat("m", 1, owned=on(coordinator, "a", 0)).assigned is None


@pytest.mark.parametrize("epoch", [3, 1])
def test_another_epoch_than_the_members_is_fenced(epoch: int) -> None:
    coordinator = at_once(a=1)
    coordinator.join("m", "a")
    coordinator.join("n", "a")
    coordinator.settle()
    assert coordinator.member("m").epoch == 2
    relation = "ahead of" if epoch == 3 else "behind"
    with unchanged(coordinator), refused(ErrorCode.fenced_member_epoch, f"epoch {epoch}, {relation} its epoch 2"):
        coordinator.heartbeat("m", epoch)


def test_the_previous_epoch_is_right_for_who_never_heard_of_the_new_one() -> None:
    coordinator = at_once(a=1, b=1)
    coordinator.join("m", "a")
    told = coordinator.heartbeat("m", 1, subscription=subscribe("a", "b"))
    assert told.member_epoch == 2
    full = {"rebalance_timeout_ms": 1_000, "subscription": subscribe("a", "b")}
    again = coordinator.heartbeat("m", 1, owned=on(coordinator, "a", 0), **full)
    assert (again.member_epoch, again.assigned) == (2, told.assigned)


def test_the_previous_epoch_is_fenced_where_the_member_owns_what_is_no_longer_its_own() -> None:
    coordinator = at_once(a=2)
    coordinator.join("m", "a")
    coordinator.join("n", "a")
    coordinator.heartbeat("m", 1)
    coordinator.heartbeat("m", 1, owned=on(coordinator, "a", 0))
    for owned in (None, on(coordinator, "a", 0, 1), on(coordinator, "a", 1)):
        with unchanged(coordinator), refused(ErrorCode.fenced_member_epoch, "behind its epoch 2"):
            coordinator.heartbeat("m", 1, owned=owned)
    assert coordinator.heartbeat("m", 1, owned=on(coordinator, "a", 0)).member_epoch == 2


def test_a_changed_subscription_raises_the_group_epoch() -> None:
    coordinator = at_once(a=1, b=1)
    coordinator.join("m", "a")
    answer = coordinator.heartbeat("m", 1, subscription=subscribe("b"))
    # What it no longer wants is given up before it gets the other.
    assert answer == ("m", 1, {})
    answer = coordinator.heartbeat("m", 1, owned=NOTHING)
    assert answer.member_epoch == 2 and answer.assigned is not None
    assert answer.assigned.keys() == on(coordinator, "b", 0)


def test_an_equal_subscription_changes_nothing() -> None:
    coordinator = at_once(a=1, b=1)
    coordinator.join("m", "a", "b")
    with unchanged(coordinator):
        coordinator.heartbeat("m", 1, subscription=subscribe("b", "a", "b"))


def test_another_assignor_raises_the_group_epoch_and_another_rack_does_not() -> None:
    coordinator = at_once(a=4)
    coordinator.join("m", "a")
    coordinator.heartbeat("m", 1, rack_id="r")
    assert coordinator.group().epoch == 1 and coordinator.member("m").rack_id == "r"
    coordinator.heartbeat("m", 1, assignor="range")
    assert coordinator.group().epoch == 2 and coordinator.member("m").assignor == "range"


def test_looking_again_takes_the_step_that_needs_no_word_of_the_member() -> None:
    coordinator = at_once(a=2)
    coordinator.join("m", "a")
    coordinator.join("n", "a")
    told = coordinator.look_again("m")
    assert told is not None and told.member_epoch == 1 and told.assigned is not None
    assert told.assigned.keys() == on(coordinator, "a", 0)
    with unchanged(coordinator):
        # From here on the member has to say that it has given up.
        assert coordinator.look_again("m") is None
        assert coordinator.look_again("n") is None


def test_looking_again_is_no_heartbeat() -> None:
    coordinator = at_once(a=2)
    coordinator.join("m", "a")
    coordinator.advance(44_999)
    coordinator.look_again("m")
    coordinator.advance(1)
    with refused(ErrorCode.unknown_member_id, "no member 'm'"):
        coordinator.look_again("m")


def test_looking_again_at_a_group_that_is_not_there_is_refused() -> None:
    with refused(ErrorCode.unknown_member_id, "'g' has no member 'm'"):
        at_once().look_again("m")


def test_who_is_in_a_state_of_a_later_release_has_to_begin_anew() -> None:
    coordinator = at_once(a=2)
    coordinator.join("m", "a")
    key = ConsumerGroupCurrentMemberAssignmentKey("g", "m")
    unknown = coordinator.member("m")._replace(state=MemberState.UNKNOWN)
    coordinator.shard.apply(key, unknown.current(), coordinator.now)
    for owned in (None, on(coordinator, "a", 0)):
        with unchanged(coordinator), refused(ErrorCode.fenced_member_epoch, "later release", "join again"):
            coordinator.heartbeat("m", 1, owned=owned)
    assert coordinator.look_again("m") is None
    answer = coordinator.join("m", "a")
    assert answer.assigned is not None and answer.assigned.keys() == on(coordinator, "a", 0, 1)
    assert coordinator.member("m").state is MemberState.STABLE


# Leaving


def test_who_leaves_frees_its_partitions_for_the_others() -> None:
    coordinator = at_once(a=2)
    coordinator.join("m", "a")
    coordinator.join("n", "a")
    coordinator.settle()
    coordinator.woken.clear()
    assert coordinator.heartbeat("m", LEAVING) == ("m", LEAVING, None)
    group = coordinator.group()
    assert group.members.keys() == {"n"} and group.epoch == 3
    assert coordinator.settle() == {"n": on(coordinator, "a", 0, 1)}


def test_who_leaves_may_subscribe_to_nothing_as_java_s_clients_do() -> None:
    coordinator = at_once(a=2)
    coordinator.join("m", "a")
    coordinator.heartbeat("m", LEAVING, subscription=Subscription(()), owned=NOTHING)
    assert coordinator.group().members == {}


def test_who_joins_may_subscribe_to_nothing_yet() -> None:
    coordinator = at_once(a=2)
    assert coordinator.join("m") == ("m", 1, {})
    assert coordinator.join("n") == ("n", 1, {})
    coordinator.heartbeat("n", LEAVING)
    coordinator.heartbeat("m", 1, subscription=subscribe("a"))
    assert coordinator.settle() == {"m": on(coordinator, "a", 0, 1)}


def test_a_member_that_stays_may_subscribe_to_nothing() -> None:
    coordinator = at_once(a=2)
    coordinator.join("m", "a")
    coordinator.join("n", "a")
    coordinator.settle()
    coordinator.heartbeat("m", coordinator.member("m").epoch, subscription=Subscription(()))
    assert coordinator.settle() == {"m": frozenset(), "n": on(coordinator, "a", 0, 1)}


def test_a_leave_wakes_who_waits_for_the_partitions() -> None:
    coordinator = at_once(a=2)
    coordinator.join("m", "a")
    coordinator.join("n", "a")
    coordinator.woken.clear()
    coordinator.heartbeat("m", LEAVING)
    assert coordinator.woken == {("g", "n")}
    told = coordinator.look_again("n")
    assert told is not None and told.assigned is not None and told.assigned.keys() == on(coordinator, "a", 1)


def test_the_last_member_leaves_an_empty_group() -> None:
    coordinator = at_once(a=2)
    coordinator.join("m", "a", pattern="a.*")
    coordinator.heartbeat("m", LEAVING)
    group = coordinator.group()
    assert (group.state, group.epoch, group.patterns, group.targets, group.owners) == ("empty", 2, {}, {}, {})


def test_who_is_no_member_can_not_leave() -> None:
    coordinator = at_once(a=2)
    with refused(ErrorCode.unknown_member_id, "no group 'g'"):
        coordinator.heartbeat("m", LEAVING)
    coordinator.join("m", "a")
    for arguments in ({}, {"instance_id": "i"}):
        with unchanged(coordinator), refused(ErrorCode.unknown_member_id, "no member 'n'"):
            coordinator.heartbeat("n", LEAVING, **arguments)


# Static members


def static(**topics: int) -> Coordinator:
    """Returns a group of a static and a dynamic member, each with half of the partitions."""
    coordinator = at_once(**topics)
    coordinator.join("m", "a", instance_id="i")
    coordinator.join("n", "a")
    coordinator.settle()
    return coordinator


def test_a_static_member_that_is_away_keeps_its_partitions() -> None:
    coordinator = static(a=4)
    kept = coordinator.member("m").assigned
    assert coordinator.heartbeat("m", AWAY, instance_id="i") == ("m", AWAY, None)
    member = coordinator.member("m")
    assert member.is_away and member.assigned == kept and coordinator.group().epoch == 2
    with unchanged(coordinator):
        coordinator.heartbeat("n", 2)
        assert coordinator.look_again("m") is None


@pytest.mark.parametrize("member_id", ["m", "m2"])
def test_a_static_member_comes_back_under_its_id_or_another_and_nobody_else_moves(member_id: str) -> None:
    coordinator = static(a=4)
    kept = coordinator.member("m").assigned
    coordinator.heartbeat("m", AWAY, instance_id="i")
    answer = coordinator.join(member_id, "a", instance_id="i")
    assert (answer.member_id, answer.member_epoch, answer.assigned) == (member_id, 2, kept)
    group = coordinator.group()
    assert group.members.keys() == {member_id, "n"} and group.targets.keys() == {member_id, "n"}
    assert (group.epoch, group.state, group.instances) == (2, "stable", {"i": member_id})
    assert group.target(member_id) == kept.keys()
    # Nobody has been told an epoch before the one that it joined with.
    assert group.members[member_id].previous_epoch == JOINING


def test_a_static_member_comes_back_with_another_subscription() -> None:
    coordinator = static(a=4, b=2)
    coordinator.heartbeat("m", AWAY, instance_id="i")
    coordinator.join("m2", "b", instance_id="i")
    assert coordinator.group().epoch == 3
    assert coordinator.settle() == {"m2": on(coordinator, "b", 0, 1), "n": on(coordinator, "a", 0, 1, 2, 3)}


def test_who_comes_back_within_an_assignment_interval_gets_what_it_had() -> None:
    coordinator = Coordinator(FakeTopics(a=4), GroupLimits(assignment_interval_ms=60_000))
    coordinator.join("m", "a", instance_id="i")
    coordinator.join("n", "a")
    coordinator.heartbeat("m", AWAY, instance_id="i")
    answer = coordinator.join("m2", "a", instance_id="i")
    assert (answer.member_epoch, answer.assigned) == (1, dict.fromkeys(on(coordinator, "a", 0, 1, 2, 3), 1))


def test_an_instance_id_in_use_is_not_given_to_another() -> None:
    coordinator = static(a=4)
    with unchanged(coordinator), refused(ErrorCode.unreleased_instance_id, "'i' is in use", "'m'"):
        coordinator.join("m2", "a", instance_id="i")


def test_the_former_self_of_a_static_member_is_fenced() -> None:
    coordinator = static(a=4)
    coordinator.heartbeat("m", AWAY, instance_id="i")
    coordinator.join("m2", "a", instance_id="i")
    for epoch in (2, LEAVING, AWAY):
        with unchanged(coordinator), refused(ErrorCode.fenced_instance_id, "has taken the instance id 'i'"):
            coordinator.heartbeat("m", epoch, instance_id="i")


def test_a_static_member_that_is_away_comes_back_by_joining_only() -> None:
    coordinator = static(a=4)
    epochs = {coordinator.member("m").epoch, coordinator.member("m").previous_epoch}
    coordinator.heartbeat("m", AWAY, instance_id="i")
    for epoch in epochs:
        for owned in (None, NOTHING, frozenset(coordinator.member("m").assigned)):
            with unchanged(coordinator), refused(ErrorCode.fenced_member_epoch, "join again"):
                coordinator.heartbeat("m", epoch, instance_id="i", owned=owned)


def test_a_static_member_names_its_instance_id_once_or_always_its_own() -> None:
    coordinator = static(a=4)
    assert coordinator.heartbeat("m", 2).member_epoch == 2
    assert coordinator.member("m").instance_id == "i"
    with unchanged(coordinator), refused(ErrorCode.unknown_member_id, "the instance id 'j' and the id 'm'"):
        coordinator.heartbeat("m", 2, instance_id="j")
    with unchanged(coordinator), refused(ErrorCode.unknown_member_id, "the instance id 'j' and the id 'n'"):
        coordinator.join("n", "a", instance_id="j")


def test_a_static_member_can_not_take_the_place_of_another_member() -> None:
    coordinator = static(a=4)
    coordinator.heartbeat("m", AWAY, instance_id="i")
    with unchanged(coordinator), refused(ErrorCode.invalid_request, "'n' is another member's"):
        coordinator.join("n", "a", instance_id="i")


def test_a_static_member_leaves_for_good_even_while_it_is_away() -> None:
    coordinator = static(a=4)
    coordinator.heartbeat("m", AWAY, instance_id="i")
    coordinator.heartbeat("m", LEAVING, instance_id="i")
    assert coordinator.settle() == {"n": on(coordinator, "a", 0, 1, 2, 3)}
    assert coordinator.group().instances == {}


@pytest.mark.parametrize("owned", [None, NOTHING])
def test_who_joins_owns_nothing_whether_it_says_so_or_not(owned: frozenset[tuple[str, int]] | None) -> None:
    coordinator = at_once(a=2)
    coordinator.join("m", "a", instance_id="i")
    coordinator.join("n", "a")
    coordinator.heartbeat("m", 1, instance_id="i")
    assert coordinator.join("m", "a", instance_id="i", owned=owned).member_epoch == 2
    coordinator.heartbeat("n", LEAVING)
    coordinator.settle()
    coordinator.join("o", "a")
    coordinator.heartbeat("m", 3, instance_id="i")
    coordinator.heartbeat("m", AWAY, instance_id="i")
    assert coordinator.member("m").state is MemberState.UNREVOKED_PARTITIONS
    assert coordinator.join("m2", "a", instance_id="i", owned=owned).member_epoch == 4


def test_leaving_to_come_back_gives_up_what_was_asked_for() -> None:
    coordinator = at_once(a=2)
    coordinator.join("m", "a", instance_id="i")
    coordinator.join("n", "a")
    coordinator.heartbeat("m", 1, instance_id="i")
    assert coordinator.member("m").revoking
    coordinator.woken.clear()
    coordinator.heartbeat("m", AWAY, instance_id="i")
    assert coordinator.woken == {("g", "n")}
    told = coordinator.look_again("n")
    assert told is not None and told.assigned is not None and told.assigned.keys() == on(coordinator, "a", 1)
    answer = coordinator.join("m", "a", instance_id="i")
    assert answer.member_epoch == 2 and answer.assigned is not None
    assert answer.assigned.keys() == on(coordinator, "a", 0)


# Patterns and topics


def test_a_pattern_finds_whole_names_and_not_the_servers_own() -> None:
    coordinator = at_once(ab=1, abc=1, b=1)
    coordinator.topics.create("__consumer_offsets", 50)
    coordinator.join("m", pattern=".b")
    assert coordinator.group().patterns == {".b": ("ab",)}
    coordinator.join("n", pattern=".*")
    assert coordinator.group().patterns[".*"] == ("ab", "abc", "b")


def test_names_and_a_pattern_together_are_both_read() -> None:
    coordinator = at_once(a=1, b=1)
    answer = coordinator.join("m", "b", pattern="a")
    assert answer.assigned is not None
    assert answer.assigned.keys() == on(coordinator, "a", 0) | on(coordinator, "b", 0)


def test_a_topic_that_a_pattern_matches_later_is_found() -> None:
    coordinator = at_once(a1=1)
    coordinator.join("m", pattern="a.")
    coordinator.topics.create("a2", 2)
    coordinator.topics_changed()
    assert coordinator.group().patterns == {"a.": ("a1", "a2")}
    assert coordinator.settle() == {"m": on(coordinator, "a1", 0) | on(coordinator, "a2", 0, 1)}


def test_a_pattern_goes_with_its_last_member() -> None:
    coordinator = at_once(a=1)
    coordinator.join("m", pattern="a")
    coordinator.join("n", pattern="a")
    coordinator.heartbeat("m", 1, subscription=subscribe("a"), owned=on(coordinator, "a", 0))
    assert coordinator.group().patterns.keys() == {"a"}
    coordinator.heartbeat("n", LEAVING)
    assert coordinator.group().patterns == {}


def test_a_pattern_stays_when_another_member_leaves() -> None:
    coordinator = at_once(a=1)
    coordinator.join("m", pattern="a")
    coordinator.join("n", pattern="a")
    coordinator.heartbeat("n", LEAVING)
    assert coordinator.settle() == {"m": on(coordinator, "a", 0)}
    assert coordinator.group().patterns == {"a": ("a",)}


@pytest.mark.parametrize("change", ["grow", "delete", "again"])
def test_a_topic_that_changes_raises_the_epoch_of_its_groups_only(change: str) -> None:
    coordinator = at_once(a=1, b=1)
    coordinator.join("m", "a")
    coordinator.join("n", "b", group_id="h")
    if change == "grow":
        coordinator.topics.grow("a", 3)
    else:
        coordinator.topics.delete("a")
    if change == "again":
        coordinator.topics.create("a", 1)
    coordinator.topics_changed()
    assert (coordinator.group("g").epoch, coordinator.group("h").epoch) == (2, 1)
    assert coordinator.settle() == {"m": frozenset(coordinator.topics.partitions_of(["a"]))}


def test_nothing_is_written_where_no_topic_has_changed() -> None:
    coordinator = at_once(a=1)
    coordinator.topics.create("b", 1)
    coordinator.join("m", "a", pattern=".*")
    with unchanged(coordinator):
        coordinator.topics_changed()
    coordinator.heartbeat("m", 1, subscription=subscribe("b"))
    with unchanged(coordinator):
        coordinator.topics_changed()
