"""The classic protocol, transition by transition."""

import pytest

from logserver.coordinator.classic_group import ClassicState
from logserver.coordinator.classic_requests import JoinAnswer, SyncGroup
from logserver.coordinator.limits import GroupLimits
from logserver.errors import ErrorCode

from .classic_support import REBALANCE_MS, SESSION_MS, ClassicCoordinator, subscription
from .support import refused, unchanged


@pytest.fixture
def it() -> ClassicCoordinator:
    return ClassicCoordinator()


def code_of(answer: JoinAnswer | str) -> ErrorCode | None:
    assert isinstance(answer, JoinAnswer)
    return answer.error.code if answer.error is not None else None


# Joining


def test_a_first_member_leads_the_first_generation_at_once(it: ClassicCoordinator) -> None:
    member_id = it.ask_to_join()
    assert isinstance(member_id, str)
    answer = it.joined(member_id)
    assert (answer.generation, answer.leader, answer.protocol, answer.protocol_type) == (
        1,
        member_id,
        "range",
        "consumer",
    )
    assert [(member.member_id, member.metadata) for member in answer.members] == [(member_id, subscription("a"))]
    assert it.classic().state is ClassicState.COMPLETING
    # Nothing is written before there is an assignment.
    assert it.log == []


def test_a_member_is_given_its_id_first_and_joins_with_that(it: ClassicCoordinator) -> None:
    answer = it.ask_to_join(in_two_steps=True)
    assert code_of(answer) is ErrorCode.member_id_required
    assert isinstance(answer, JoinAnswer)
    assert it.classic().is_empty
    assert it.ask_to_join(answer.member_id) == answer.member_id
    assert it.joined(answer.member_id).generation == 1


def test_an_id_that_was_never_given_out_is_unknown(it: ClassicCoordinator) -> None:
    with refused(ErrorCode.unknown_member_id):
        it.ask_to_join("me")
    assert "g" not in it.shard.classic
    it.stable(1)
    with unchanged(it), refused(ErrorCode.unknown_member_id):
        it.ask_to_join("me")


def test_an_id_that_was_given_out_ends_with_its_session(it: ClassicCoordinator) -> None:
    answer = it.ask_to_join(in_two_steps=True)
    assert isinstance(answer, JoinAnswer)
    it.advance(SESSION_MS)
    with refused(ErrorCode.unknown_member_id):
        it.ask_to_join(answer.member_id)


def test_an_id_that_ends_unused_disturbs_nobody(it: ClassicCoordinator) -> None:
    (member_id,), generation = it.stable(1)
    pending = it.ask_to_join(in_two_steps=True)
    assert isinstance(pending, JoinAnswer)
    it.advance(SESSION_MS - 1)
    assert it.beat(member_id, generation) is None
    it.advance(1)
    assert it.classic().pending == set()
    assert it.beat(member_id, generation) is None
    # Nor does giving it back.
    pending = it.ask_to_join(in_two_steps=True)
    assert isinstance(pending, JoinAnswer)
    assert it.leave(pending.member_id) == [None]
    assert it.beat(member_id, generation) is None


def test_an_id_of_a_dynamic_member_is_not_for_a_static_one(it: ClassicCoordinator) -> None:
    pending = it.ask_to_join(in_two_steps=True)
    assert isinstance(pending, JoinAnswer)
    with unchanged(it), refused(ErrorCode.invalid_request):
        it.ask_to_join(pending.member_id, instance_id="i")


@pytest.mark.parametrize("session_ms", [5_999, 1_800_001])
def test_a_session_timeout_has_limits(it: ClassicCoordinator, session_ms: int) -> None:
    with refused(ErrorCode.invalid_session_timeout, "group.min.session.timeout.ms=6000"):
        it.ask_to_join(session_ms=session_ms)


@pytest.mark.parametrize(
    ("protocol_type", "protocols"),
    [("", (("range", b""),)), ("consumer", ()), ("connect", (("range", b""),)), ("consumer", (("sticky", b""),))],
)
def test_members_have_to_agree_on_type_and_assignor(
    it: ClassicCoordinator, protocol_type: str, protocols: tuple[tuple[str, bytes], ...]
) -> None:
    it.stable(1)
    with unchanged(it), refused(ErrorCode.inconsistent_group_protocol):
        it.ask_to_join(protocol_type=protocol_type, protocols=protocols)


def test_the_assignor_that_most_prefer_among_the_common_ones_is_taken(it: ClassicCoordinator) -> None:
    wishes = ["xyz", "yx", "zyx"]
    protocols = [tuple((name, name.encode()) for name in wish) for wish in wishes]
    first = it.ask_to_join(protocols=protocols[0])
    assert isinstance(first, str)
    it.joined(first)
    others = [it.ask_to_join(protocols=wish) for wish in protocols[1:]]
    it.ask_to_join(first, protocols=protocols[0])
    answer = it.joined(first)
    assert answer.protocol == "y"
    assert [member.metadata for member in answer.members] == [b"y"] * 3
    assert [it.joined(str(other)).protocol for other in others] == ["y", "y"]


def test_a_group_has_at_most_so_many_members() -> None:
    it = ClassicCoordinator(limits=GroupLimits(classic_max_members=2))
    (first, second), _ = it.stable(2)
    with unchanged(it), refused(ErrorCode.group_max_size_reached, "group.max.size=2"):
        it.ask_to_join()
    assert it.ask_to_join(first) == first
    assert it.ask_to_join(second) == second


def test_a_group_over_its_size_lets_the_first_come_back_when_it_is_read() -> None:
    it = ClassicCoordinator()
    (first, second), generation = it.stable(2)
    it.limits = GroupLimits(classic_max_members=1)
    it.restart()
    assert it.beat(first, generation) is ErrorCode.rebalance_in_progress
    assert it.ask_to_join(second) == second
    with refused(ErrorCode.group_max_size_reached):
        it.ask_to_join(first)
    it.advance(REBALANCE_MS)
    assert [member.member_id for member in it.joined(second).members] == [second]


# Rebalances


def test_a_member_that_joins_has_the_others_join_again(it: ClassicCoordinator) -> None:
    (first,), generation = it.stable(1)
    second = it.ask_to_join()
    assert isinstance(second, str)
    assert it.waits(second)
    assert it.beat(first, generation) is ErrorCode.rebalance_in_progress
    with refused(ErrorCode.rebalance_in_progress):
        it.sync(first, generation)
    # What it has read so far it may still commit.
    assert it.commit(first, generation, ("a", 0, 5)) == [None]
    assert it.ask_to_join(first) == first
    assert (it.joined(first).generation, it.joined(second).generation) == (generation + 1, generation + 1)
    assert it.beat(first, generation) is ErrorCode.illegal_generation
    assert it.commit_error(first, generation) is ErrorCode.illegal_generation
    assert it.commit_error(first, generation + 1) is ErrorCode.rebalance_in_progress


def test_a_member_that_does_not_join_again_in_time_is_out(it: ClassicCoordinator) -> None:
    (first, second), generation = it.stable(2)
    assert it.ask_to_join(first) == first
    for _ in range(REBALANCE_MS // SESSION_MS * 2):
        assert it.beat(second, generation) is ErrorCode.rebalance_in_progress
        it.advance(SESSION_MS // 2)
    answer = it.joined(first)
    assert [member.member_id for member in answer.members] == [first]
    assert it.beat(second, answer.generation) is ErrorCode.unknown_member_id


def test_the_leader_that_does_not_join_again_is_followed_by_another(it: ClassicCoordinator) -> None:
    (first, second), _ = it.stable(2)
    third = it.ask_to_join()
    assert isinstance(third, str)
    assert it.ask_to_join(second) == second
    it.advance(SESSION_MS)
    assert it.joined(second).leader == second
    assert it.joined(third).leader == second
    assert it.classic().members.keys() == {second, third}
    assert first not in it.classic().members


def test_a_rebalance_awaits_who_has_been_given_an_id(it: ClassicCoordinator) -> None:
    (first,), _ = it.stable(1)
    pending = it.ask_to_join(in_two_steps=True)
    assert isinstance(pending, JoinAnswer)
    assert it.ask_to_join(first) == first
    assert it.waits(first)
    it.ask_to_join(pending.member_id)
    assert len(it.joined(first).members) == 2


def test_a_first_generation_awaits_nobody_without_a_delay(it: ClassicCoordinator) -> None:
    it.ask_to_join(in_two_steps=True)
    first = it.ask_to_join()
    assert it.joined(str(first)).generation == 1


def test_the_initial_delay_grows_with_members_up_to_the_rebalance_timeout() -> None:
    it = ClassicCoordinator(limits=GroupLimits(initial_rebalance_delay_ms=3_000))
    first = str(it.ask_to_join(rebalance_ms=10_000))
    it.advance(2_000)
    second = str(it.ask_to_join(rebalance_ms=10_000))
    it.advance(2_000)
    assert it.waits(first)
    third = str(it.ask_to_join(rebalance_ms=10_000))
    it.advance(4_999)
    assert it.waits(first)
    # Members have come in the second three seconds, so there are three more, and nobody has come in those.
    it.advance(1)
    joined = [it.joined(member_id).generation for member_id in (first, second, third)]
    assert joined == [1, 1, 1]


def test_the_initial_delay_ends_at_the_rebalance_timeout() -> None:
    it = ClassicCoordinator(limits=GroupLimits(initial_rebalance_delay_ms=3_000))
    members = []
    for _ in range(10):
        members.append(str(it.ask_to_join(rebalance_ms=10_000)))
        it.advance(1_000)
    assert {it.joined(member_id).generation for member_id in members} == {1}


def test_a_leader_that_joins_again_begins_a_rebalance_and_others_are_told_the_generation(
    it: ClassicCoordinator,
) -> None:
    (first, second), generation = it.stable(2)
    answer = it.ask_to_join(second)
    assert isinstance(answer, JoinAnswer)
    assert (answer.generation, answer.members) == (generation, ())
    assert it.ask_to_join(first) == first
    assert it.beat(second, generation) is ErrorCode.rebalance_in_progress


def test_a_member_with_other_metadata_begins_a_rebalance(it: ClassicCoordinator) -> None:
    (first, second), generation = it.stable(2)
    assert it.ask_to_join(second, protocols=(("range", subscription("b")),)) == second
    assert it.beat(first, generation) is ErrorCode.rebalance_in_progress


def test_a_lost_answer_to_a_join_is_given_again(it: ClassicCoordinator) -> None:
    first = str(it.ask_to_join())
    before = it.joined(first)
    assert it.ask_to_join(first) == before


def test_a_new_member_whose_request_waits_for_too_long_has_to_come_again(it: ClassicCoordinator) -> None:
    (first,), generation = it.stable(1)
    it.ask_to_join(first, rebalance_ms=1_800_000, protocols=(("range", subscription("b")),))
    it.joined(first)
    it.sync(first, generation + 1)
    second = str(it.ask_to_join(rebalance_ms=1_800_000))
    for _ in range(300 // 5):
        assert it.beat(first, generation + 1) is ErrorCode.rebalance_in_progress
        it.advance(5_000)
    assert code_of(it.joined(second)) is ErrorCode.unknown_member_id
    # Members of a generation wait as long as it takes.
    assert it.ask_to_join(first) == first


# Assignments


def test_followers_wait_for_the_leader_s_assignment(it: ClassicCoordinator) -> None:
    (first, second), generation = it.stable(2)
    assert it.classic().state is ClassicState.STABLE
    # Whoever asks again is told again.
    answer = it.sync(second, generation)
    assert answer is not None
    assert (answer.assignment, answer.protocol, answer.protocol_type) == (second.encode(), "range", "consumer")
    assert it.sync(first, generation) is not None


def test_a_sync_names_member_generation_and_protocol(it: ClassicCoordinator) -> None:
    (first,), generation = it.stable(1)
    with refused(ErrorCode.unknown_member_id):
        it.sync("nobody", generation)
    with refused(ErrorCode.illegal_generation):
        it.sync(first, generation - 1)
    with refused(ErrorCode.inconsistent_group_protocol):
        it.shard.sync(SyncGroup("g", generation, first, None, "consumer", "sticky", {}), it.now)
    with refused(ErrorCode.inconsistent_group_protocol):
        it.shard.sync(SyncGroup("g", generation, first, None, "connect", "range", {}), it.now)
    with refused(ErrorCode.unknown_member_id):
        it.sync(first, generation, group_id="none")


def test_waiting_syncs_end_with_a_rebalance(it: ClassicCoordinator) -> None:
    (first, second), generation = it.stable(2)
    it.ask_to_join(first)
    it.ask_to_join(second)
    assert it.sync(second, generation + 1) is None
    it.inbox.clear()
    it.ask_to_join()
    error = it.synced(second).error
    assert error is not None
    assert error.code is ErrorCode.rebalance_in_progress


def test_a_leader_that_brings_no_assignment_is_given_up(it: ClassicCoordinator) -> None:
    (first, second), generation = it.stable(2)
    it.ask_to_join(first)
    it.ask_to_join(second)
    it.inbox.clear()
    assert it.sync(second, generation + 1) is None
    for _ in range(REBALANCE_MS // 5_000):
        # It is alive, and yet.
        assert it.beat(first, generation + 1) is None
        it.advance(5_000)
    assert it.synced(second).error is not None
    assert first not in it.classic().members


def test_a_member_that_never_asks_for_its_assignment_is_given_up(it: ClassicCoordinator) -> None:
    (first, second), generation = it.stable(2)
    it.ask_to_join(first)
    it.ask_to_join(second)
    assert it.sync(first, generation + 1) is not None
    assert it.classic().state is ClassicState.STABLE
    for _ in range(REBALANCE_MS // 5_000):
        assert it.beat(second, generation + 1) is None
        assert it.beat(first, generation + 1) is None
        it.advance(5_000)
    assert it.beat(second, generation + 1) is ErrorCode.unknown_member_id
    assert it.beat(first, generation + 1) is ErrorCode.rebalance_in_progress


def test_a_generation_that_can_t_be_written_is_none(it: ClassicCoordinator) -> None:
    first = str(it.ask_to_join())
    it.is_full = True
    with refused(ErrorCode.coordinator_not_available):
        it.sync(first, 1, {first: b"1"})
    assert it.classic().state is ClassicState.COMPLETING
    it.is_full = False
    answer = it.sync(first, 1, {first: b"1"})
    assert answer is not None
    assert answer.assignment == b"1"


# Silence and leaving


def test_a_silent_member_ends_with_its_session(it: ClassicCoordinator) -> None:
    (first, second), generation = it.stable(2)
    it.advance(SESSION_MS - 1)
    assert it.beat(first, generation) is None
    it.advance(1)
    assert it.beat(first, generation) is ErrorCode.rebalance_in_progress
    it.ask_to_join(first)
    assert [member.member_id for member in it.joined(first).members] == [first]
    assert it.beat(second, generation) is ErrorCode.unknown_member_id


def test_commits_are_signs_of_life(it: ClassicCoordinator) -> None:
    (first,), generation = it.stable(1)
    for offset in range(10):
        it.advance(SESSION_MS - 1)
        assert it.commit(first, generation, ("a", 0, offset)) == [None]


def test_a_group_without_members_is_empty_and_written_so(it: ClassicCoordinator) -> None:
    (first,), generation = it.stable(1)
    assert it.leave(first) == [None]
    assert it.classic().is_empty
    assert it.classic().generation == generation + 1
    it.restart()
    assert it.classic().is_empty
    assert it.classic().generation == generation + 1
    # The next one goes on from there.
    assert it.joined(str(it.ask_to_join())).generation == generation + 2


def test_leaving_is_answered_for_each(it: ClassicCoordinator) -> None:
    (first, second), generation = it.stable(2)
    assert it.leave("nobody", second, ("", "no instance")) == [
        ErrorCode.unknown_member_id,
        None,
        ErrorCode.unknown_member_id,
    ]
    assert it.beat(first, generation) is ErrorCode.rebalance_in_progress


def test_who_is_none_of_it_leaves_without_effect(it: ClassicCoordinator) -> None:
    (first,), generation = it.stable(1)
    with unchanged(it):
        assert it.leave("nobody", ("", "no instance"), (first, "no instance")) == [ErrorCode.unknown_member_id] * 3
    assert it.beat(first, generation) is None
    with refused(ErrorCode.unknown_member_id):
        it.leave(first, group_id="none")


def test_who_waits_and_is_removed_is_told(it: ClassicCoordinator) -> None:
    (first, second), generation = it.stable(2)
    it.ask_to_join(first)
    assert it.leave(first) == [None]
    assert code_of(it.joined(first)) is ErrorCode.unknown_member_id
    it.ask_to_join(second)
    it.joined(second)
    third = str(it.ask_to_join())
    it.ask_to_join(second)
    it.inbox.clear()
    assert it.sync(third, generation + 2) is None
    assert it.leave(third) == [None]
    error = it.synced(third).error
    assert error is not None
    assert error.code is ErrorCode.unknown_member_id


def test_a_heartbeat_names_member_and_generation(it: ClassicCoordinator) -> None:
    (first,), generation = it.stable(1)
    assert it.beat("nobody", generation) is ErrorCode.unknown_member_id
    assert it.beat(first, generation + 1) is ErrorCode.illegal_generation
    assert it.beat(first, generation, "no instance") is ErrorCode.unknown_member_id
    assert it.beat(first, generation, group_id="none") is ErrorCode.unknown_member_id


# Static members


def static(it: ClassicCoordinator, *instances: str) -> tuple[list[str], int]:
    """Brings a group of static members to rest; returns their member ids and the generation."""
    ids: list[str] = []
    for instance_id in instances:
        it.inbox.clear()
        new = str(it.ask_to_join(instance_id=instance_id))
        for member_id, known in zip(ids, instances, strict=False):
            it.ask_to_join(member_id, instance_id=known)
        ids.append(new)
    generation = {it.joined(member_id).generation for member_id in ids}.pop()
    for member_id in ids[1:]:
        it.sync(member_id, generation)
    it.sync(
        ids[0], generation, {member_id: instance.encode() for member_id, instance in zip(ids, instances, strict=True)}
    )
    it.inbox.clear()
    return ids, generation


def test_a_static_member_comes_back_to_its_assignment_without_a_rebalance(it: ClassicCoordinator) -> None:
    (one, two), generation = static(it, "one", "two")
    answer = it.ask_to_join(instance_id="two")
    assert isinstance(answer, JoinAnswer)
    assert (answer.generation, answer.leader, answer.skip_assignment) == (generation, one, False)
    synced = it.sync(answer.member_id, generation)
    assert synced is not None
    assert synced.assignment == b"two"
    assert it.beat(one, generation, "one") is None
    # Its former self is fenced, in everything.
    assert it.beat(two, generation, "two") is ErrorCode.fenced_instance_id
    assert it.commit_error(two, generation, "two") is ErrorCode.fenced_instance_id
    assert it.leave((two, "two")) == [ErrorCode.fenced_instance_id]
    with refused(ErrorCode.fenced_instance_id):
        it.ask_to_join(two, instance_id="two")
    it.restart()
    assert it.beat(answer.member_id, generation, "two") is None


def test_a_static_leader_that_comes_back_need_not_assign(it: ClassicCoordinator) -> None:
    _, generation = static(it, "one", "two")
    answer = it.ask_to_join(instance_id="one")
    assert isinstance(answer, JoinAnswer)
    assert (answer.generation, answer.leader, answer.skip_assignment) == (generation, answer.member_id, True)
    assert len(answer.members) == 2
    # Told in the words of a client that does not know of it: somebody else leads.
    again = it.ask_to_join(instance_id="one", may_skip=False)
    assert isinstance(again, JoinAnswer)
    assert (again.leader, again.members, again.skip_assignment) == (answer.member_id, (), False)
    assert it.classic().leader == again.member_id


def test_a_static_member_that_comes_back_while_its_former_self_waits_fences_it(it: ClassicCoordinator) -> None:
    (one, two), _ = static(it, "one", "two")
    it.ask_to_join(one, instance_id="one")
    new = it.ask_to_join(instance_id="one")
    assert isinstance(new, str)
    assert code_of(it.joined(one)) is ErrorCode.fenced_instance_id
    it.ask_to_join(two, instance_id="two")
    generation = it.joined(two).generation
    assert it.joined(new).leader == new
    assert it.sync(two, generation) is None
    it.ask_to_join(instance_id="two")
    error = it.synced(two).error
    assert error is not None
    assert error.code is ErrorCode.fenced_instance_id
    # The leader knows a member of the former id: they join again.
    assert it.beat(new, generation, "one") is ErrorCode.rebalance_in_progress


def test_a_static_member_that_brings_another_choice_of_assignor_begins_a_rebalance(it: ClassicCoordinator) -> None:
    both = (("range", b""), ("sticky", b""))
    first = str(it.ask_to_join(instance_id="one", protocols=both))
    it.joined(first)
    it.sync(first, 1)
    again = str(it.ask_to_join(instance_id="one", protocols=both[::-1]))
    assert (it.joined(again).generation, it.classic().protocol) == (2, "sticky")


def test_static_members_keep_their_places_in_a_rebalance_they_miss(it: ClassicCoordinator) -> None:
    (one, two), generation = static(it, "one", "two")
    for member in it.classic().members.values():
        # Less than their sessions.
        member.rebalance_timeout_ms = 8_000
    it.ask_to_join(one, instance_id="one", rebalance_ms=8_000)
    it.advance(8_000)
    answer = it.joined(one)
    assert {member.instance_id for member in answer.members} == {"one", "two"}
    assert answer.generation == generation + 1
    assert it.sync(one, generation + 1, {two: b"2"}) is not None
    # It finds the new generation, and what it was given.
    assert it.beat(two, generation, "two") is ErrorCode.illegal_generation
    back = it.ask_to_join(two, instance_id="two")
    assert isinstance(back, JoinAnswer)
    synced = it.sync(two, back.generation)
    assert synced is not None
    assert synced.assignment == b"2"


def test_a_group_whose_static_members_all_are_silent_ends_with_their_sessions(it: ClassicCoordinator) -> None:
    static(it, "one", "two")
    it.advance(SESSION_MS + REBALANCE_MS)
    assert it.classic().is_empty


def test_static_members_can_be_removed_by_instance_id(it: ClassicCoordinator) -> None:
    (_, two), generation = static(it, "one", "two")
    assert it.leave(("", "one")) == [None]
    assert it.beat(two, generation, "two") is ErrorCode.rebalance_in_progress


# Offsets


def test_who_is_no_member_commits_while_there_is_none(it: ClassicCoordinator) -> None:
    assert it.commit("", -1, ("a", 0, 1)) == [None]
    (first,), generation = it.stable(1)
    assert it.commit_error("", -1) is ErrorCode.unknown_member_id
    assert it.commit_error("nobody", generation) is ErrorCode.unknown_member_id
    assert it.commit_error(first, -1) is ErrorCode.illegal_generation
    it.leave(first)
    assert it.commit("", -1, ("a", 0, 2)) == [None]
    assert it.commit_error(first, generation) is ErrorCode.unknown_member_id


def test_offsets_of_topics_that_consumers_read_can_t_be_deleted(it: ClassicCoordinator) -> None:
    (first,), generation = it.stable(1)
    it.commit(first, generation, ("a", 0, 1), ("b", 0, 1))
    of_a, of_b = it.decide(it.shard.delete_offsets("g", [("a", 0), ("b", 0)]))
    assert of_a is not None
    assert (of_a.code, of_b) == (ErrorCode.group_subscribed_to_topic, None)
    assert it.committed() == {("a", 0): 1}
    it.leave(first)
    assert it.decide(it.shard.delete_offsets("g", [("a", 0)])) == [None]


def test_offsets_of_groups_of_others_can_t_be_deleted_while_they_run(it: ClassicCoordinator) -> None:
    first = str(it.ask_to_join(protocol_type="connect", protocols=(("eager", b""),)))
    with refused(ErrorCode.non_empty_group):
        it.shard.delete_offsets("g", [("a", 0)])
    it.joined(first)


def test_old_offsets_that_consumers_do_not_read_are_forgotten() -> None:
    limits = GroupLimits(offsets_retention_ms=60_000, retention_check_interval_ms=1_000)
    it = ClassicCoordinator(limits=limits)
    (first,), generation = it.stable(1)
    it.commit(first, generation, ("a", 0, 1), ("b", 0, 1))
    for _ in range(14):
        it.advance(5_000)
        assert it.beat(first, generation) is None
    assert it.committed() == {("a", 0): 1}
    it.leave(first)
    it.advance(61_000)
    assert not it.shard.has("g")


def test_a_group_with_members_can_t_be_deleted(it: ClassicCoordinator) -> None:
    (first,), generation = it.stable(1)
    it.commit(first, generation, ("a", 0, 1))
    with refused(ErrorCode.non_empty_group, first):
        it.shard.delete_group("g", it.now)
    it.leave(first)
    # Who has been given an id is no member.
    it.ask_to_join(in_two_steps=True)
    it.decide(it.shard.delete_group("g", it.now))
    assert not it.shard.has("g")
    it.restart()
    assert not it.shard.has("g")


# Both protocols


def test_a_classic_group_without_members_becomes_a_consumer_group_and_back(it: ClassicCoordinator) -> None:
    (first,), generation = it.stable(1)
    it.commit(first, generation, ("a", 0, 1))
    it.leave(first)
    epoch = it.join("c", "a").member_epoch
    assert "g" not in it.shard.classic
    assert it.committed() == {("a", 0): 1}
    it.heartbeat("c", -1)
    assert epoch > 0
    second = str(it.ask_to_join())
    assert it.joined(second).leader == second
    assert "g" not in it.shard.groups
    assert it.committed() == {("a", 0): 1}


# Restart


def test_a_stable_generation_outlives_a_restart(it: ClassicCoordinator) -> None:
    (first, second), generation = it.stable(2)
    it.restart()
    assert it.beat(first, generation) is None
    answer = it.sync(second, generation)
    assert answer is not None
    assert answer.assignment == second.encode()
    it.advance(SESSION_MS)
    assert it.classic().is_empty


def test_a_rebalance_does_not_outlive_a_restart(it: ClassicCoordinator) -> None:
    (first,), generation = it.stable(1)
    new = str(it.ask_to_join())
    it.ask_to_join(first)
    assert it.joined(new).generation == generation + 1
    it.restart()
    assert it.beat(first, generation + 1) is ErrorCode.illegal_generation
    assert it.beat(new, generation + 1) is ErrorCode.unknown_member_id
    assert it.beat(first, generation) is None


def test_only_what_the_last_generation_says_of_a_member_outlives_a_restart(it: ClassicCoordinator) -> None:
    first = str(it.ask_to_join(protocols=(("sticky", b"s"), ("range", b"r"))))
    it.joined(first)
    it.sync(first, 1)
    second = str(it.ask_to_join(protocols=(("range", b"r"),)))
    it.ask_to_join(first, protocols=(("sticky", b"s"), ("range", b"r")))
    assert it.joined(first).protocol == "range"
    it.inbox.clear()
    it.sync(first, 2)
    it.restart()
    assert it.classic().common_protocols() == {"range"}
    assert it.classic().members.keys() == {first, second}
