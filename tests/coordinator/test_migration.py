"""Groups that change their protocol while they have members, step by step."""

from collections.abc import Mapping, Sequence
from struct import pack
from typing import Any

import pytest

from logserver.coordinator.classic_group import ClassicState
from logserver.coordinator.classic_requests import Later, SyncAnswer, SyncGroup
from logserver.coordinator.consumer_protocol import read_assignment, write_assignment
from logserver.coordinator.descriptions import summary_of
from logserver.coordinator.formats import ConsumerGroupMemberMetadataKey, GroupMetadataKey, GroupMetadataValue
from logserver.coordinator.formats import decode as decode_record
from logserver.coordinator.limits import GroupLimits
from logserver.coordinator.requests import Heartbeat, Subscription
from logserver.errors import ErrorCode

from .classic_support import REBALANCE_MS, SESSION_MS, ClassicCoordinator, subscription
from .support import FakeTopics, Written, refused, replayed, unchanged

COOPERATIVE = "cooperative-sticky"
ILLEGAL, REBALANCING, UNKNOWN, FENCED = (
    ErrorCode.illegal_generation,
    ErrorCode.rebalance_in_progress,
    ErrorCode.unknown_member_id,
    ErrorCode.fenced_instance_id,
)


class Mixed(ClassicCoordinator):
    """A coordinator with the steps that its clients take."""

    def __init__(self, partitions: int = 4, **limits: Any) -> None:
        super().__init__(FakeTopics(a=partitions, b=2), GroupLimits(assignment_interval_ms=0, **limits))

    def classic_group(
        self, plan: Sequence[Sequence[int]], *, name: str = "range", instance_ids: Sequence[str | None] = ()
    ) -> list[str]:
        """Brings classic members to rest that own these partitions of `a`; returns their ids."""
        ids = [str(self.ask_to_join(instance_id=self.at(instance_ids, 0), protocols=((name, subscription("a")),)))]
        for number in range(1, len(plan)):
            self.inbox.clear()
            ids.append(
                str(self.ask_to_join(instance_id=self.at(instance_ids, number), protocols=((name, subscription("a")),)))
            )
            for member_id, instance_id in zip(ids[:-1], instance_ids or [None] * len(ids), strict=False):
                self.ask_to_join(member_id, instance_id=instance_id, protocols=((name, subscription("a")),))
        generation = self.joined(ids[0]).generation
        assignments = {
            member_id: write_assignment(0, [("a", number) for number in numbers])
            for member_id, numbers in zip(ids, plan, strict=True)
        }
        assert self.sync(ids[0], generation, assignments, instance_id=self.at(instance_ids, 0)) is not None
        self.inbox.clear()
        for number, member_id in enumerate(ids):
            assert self.sync(member_id, generation, instance_id=self.at(instance_ids, number)) is not None
        return ids

    @staticmethod
    def at(instance_ids: Sequence[str | None], number: int) -> str | None:
        return instance_ids[number] if instance_ids else None

    def rejoin(
        self, member_id: str = "", owned: Sequence[int] = (), name: str = "range", **fields: Any
    ) -> tuple[str, int]:
        """Joins a consumer group; returns member id and generation."""
        metadata = owning(owned) if name == COOPERATIVE else subscription("a")
        self.inbox.clear()
        answer = self.ask_to_join(member_id, protocols=((name, metadata),), **fields)
        assert not isinstance(answer, str)
        assert answer.error is None
        assert (answer.protocol_type, answer.protocol, answer.leader) == ("consumer", name, "")
        return answer.member_id, answer.generation

    def told(self, member_id: str, generation: int, **fields: Any) -> set[int]:
        """Returns the partitions of `a` that a member is told by SyncGroup."""
        answer = self.sync(member_id, generation, **fields)
        assert answer is not None
        assert answer.error is None
        found = read_assignment(answer.assignment)
        assert found is not None
        assert {topic for topic, _ in found.partitions} <= {"a"}
        return {number for _, number in found.partitions}

    def sync_as(self, member_id: str, generation: int, **fields: Any) -> SyncAnswer | Later:
        """Sends a SyncGroup with more fields."""
        request = SyncGroup("g", generation, member_id, None, None, None, {})._replace(**fields)
        return self.decide(self.shard.sync(request, self.now))

    def settle_consumer(self, *member_ids: str) -> None:
        """Has consumers give up and take what they are asked to."""
        for _ in range(3):
            for member_id in member_ids:
                member = self.member(member_id)
                self.heartbeat(member_id, member.epoch, owned=frozenset(member.assigned))

    def owned(self) -> Mapping[str, set[int]]:
        """Returns what members own of `a`, as the coordinator has it."""
        return {
            member_id: {number for _, number in (*member.assigned, *member.revoking)}
            for member_id, member in self.group().members.items()
        }

    def restarts(self) -> None:
        """Has the shard read from its log, and finds it as it was."""
        before = self.shard
        again = replayed(self.log, self.limits, self.topics, self.now)
        assert again.groups.keys() == before.groups.keys()
        assert again.classic.keys() == before.classic.keys()
        for group_id, group in before.groups.items():
            assert vars(again.groups[group_id]) == vars(group)
        for group_id, classic in before.classic.items():
            found = again.classic[group_id]
            assert (found.state, found.generation) == (classic.state, classic.generation)
            assert found.assignments() == classic.assignments()
        self.restart()


def owning(numbers: Sequence[int]) -> bytes:
    """Returns what a member of a cooperative protocol says: version 1, with partitions of `a` that it has kept."""
    topics = [b"\x00\x01a" + pack(f">i{len(numbers)}i", len(numbers), *numbers)] if numbers else []
    return b"\x00\x01" + subscription("a")[2:] + pack(">i", len(topics)) + b"".join(topics)


@pytest.fixture
def it() -> Mixed:
    return Mixed()


# Upgrade


def test_a_consumer_makes_a_classic_group_a_consumer_group(it: Mixed) -> None:
    first, second = it.classic_group([[0, 1], [2, 3]])
    it.commit(first, 2, ("a", 0, 5))
    answer = it.join("c", "a")
    assert "g" not in it.shard.classic
    assert answer.assigned == {}
    group = it.group()
    assert (group.epoch, group.assignment_epoch, answer.member_epoch) == (3, 3, 3)
    assert it.owned() == {first: {0, 1}, second: {2, 3}, "c": set()}
    assert it.committed() == {("a", 0): 5}
    assert summary_of(it.shard, "g")[1:4] == ("consumer", "reconciling", 3)
    it.restarts()


def test_everything_of_an_upgrade_is_one_batch(it: Mixed) -> None:
    it.classic_group([[0, 1, 2, 3]])
    size = len(it.log)
    decision = it.shard.heartbeat(
        Heartbeat("g", "c", 0, rebalance_timeout_ms=1_000, subscription=Subscription(("a",)), owned=frozenset()), it.now
    )
    assert len(it.log) == size
    assert decision.entries[0] == (GroupMetadataKey("g"), None)
    assert sum(isinstance(key, ConsumerGroupMemberMetadataKey) for key, _ in decision.entries) == 2
    assert "g" in it.shard.classic, "nothing has changed yet"
    it.decide(decision)
    assert "g" in it.shard.groups


def test_classic_members_give_up_and_others_take(it: Mixed) -> None:
    first, second = it.classic_group([[0, 1], [2, 3]])
    it.join("c", "a")
    assert it.beat(first, 2) is REBALANCING
    # Who is not of a cooperative protocol has given up everything by joining.
    first, generation = it.rejoin(first)
    assert generation == 3
    assert it.beat(second, 2) is REBALANCING
    second, _ = it.rejoin(second)
    kept = it.told(first, 3) | it.told(second, 3)
    taken = it.heartbeat("c", 3).assigned
    assert taken is not None
    assert {number for _, number in taken} == {0, 1, 2, 3} - kept
    assert len(kept) == 3
    assert it.beat(second, 3) is it.beat(first, 3) is None
    it.restarts()
    assert it.beat(second, 3) is it.beat(first, 3) is None


def test_a_member_of_a_cooperative_protocol_keeps_what_it_owns(it: Mixed) -> None:
    (only,) = it.classic_group([[0, 1, 2, 3]], name=COOPERATIVE)
    it.join("c", "a")
    assert it.beat(only, 1) is REBALANCING
    _, generation = it.rejoin(only, owned=[0, 1, 2, 3], name=COOPERATIVE)
    assert generation == 1
    kept = it.told(only, 1)
    assert len(kept) == 2
    assert not it.heartbeat("c", it.member("c").epoch, owned=frozenset()).assigned
    # It has been told, and is told again until it joins without them.
    assert it.beat(only, 1) is REBALANCING
    _, generation = it.rejoin(only, owned=sorted(kept), name=COOPERATIVE)
    assert generation == 2
    assert it.told(only, 2) == kept
    assert it.beat(only, 2) is None
    taken = it.heartbeat("c", 2).assigned
    assert taken is not None
    assert {number for _, number in taken} == {0, 1, 2, 3} - kept


def test_a_member_that_waits_for_partitions_joins_again_when_they_are_free(it: Mixed) -> None:
    it.join("c", "a")
    member, generation = it.rejoin(name=COOPERATIVE)
    assert it.told(member, generation) == set()
    assert it.beat(member, generation) is None, "nothing is free yet"
    kept = it.heartbeat("c", 1, owned=frozenset()).assigned
    assert kept is not None
    it.heartbeat("c", 1, owned=frozenset(kept))
    with unchanged(it):
        assert it.look_again(member) is None, "it has to join"
    assert it.beat(member, generation) is REBALANCING
    _, generation = it.rejoin(member, name=COOPERATIVE)
    assert len(it.told(member, generation)) == 2
    assert it.beat(member, generation) is None


@pytest.mark.parametrize("state", [ClassicState.PREPARING, ClassicState.COMPLETING])
def test_members_that_wait_in_a_rebalance_are_told_to_join_again(it: Mixed, state: ClassicState) -> None:
    first, second = it.classic_group([[0, 1], [2, 3]])
    new = str(it.ask_to_join())
    if state is ClassicState.COMPLETING:
        it.ask_to_join(first)
        it.ask_to_join(second)
        assert it.joined(second).generation == 3
        it.inbox.clear()
        assert it.sync(second, 3) is None
    assert it.classic().state is state
    it.join("c", "a")
    waited = new if state is ClassicState.PREPARING else second
    answer = it.inbox.pop(waited)
    assert answer.error is not None
    assert answer.error.code is REBALANCING
    assert it.owned() == {first: {0, 1}, second: {2, 3}, new: set(), "c": set()}
    for member_id in (first, second, new):
        assert it.rejoin(member_id)[0] == member_id
    it.settle_consumer("c")
    assert sorted(number for numbers in it.owned().values() for number in numbers) == [0, 1, 2, 3]
    assert it.shard.timers._deadlines.keys() >= {("session", "g", new)}
    assert not any(key[0].startswith("classic") for key in it.shard.timers._deadlines)


def test_a_first_rebalance_becomes_a_consumer_group(it: Mixed) -> None:
    it = Mixed(initial_rebalance_delay_ms=3_000)
    first = str(it.ask_to_join())
    answer = it.join("c", "a")
    assert answer.member_epoch == 1
    assert it.inbox[first].error is not None
    _, generation = it.rejoin(first)
    assert generation == 1
    assert len(it.told(first, 1)) == 2


def test_a_static_member_changes_its_protocol(it: Mixed) -> None:
    first, second = it.classic_group([[0, 1], [2, 3]], instance_ids=("one", "two"))
    answer = it.join("c", "a", instance_id="one")
    assert answer.assigned is not None
    assert {number for _, number in answer.assigned} == {0, 1}, "it has what its former self had"
    assert it.group().members.keys() == {"c", second}
    # Whatever had changed before is taken in.
    assert (it.group().epoch, it.group().assignment_epoch) == (3, 3)
    assert it.beat(first, 2, "one") is FENCED
    assert it.beat(first, 2) is UNKNOWN
    it.restarts()


def test_a_static_member_of_the_other_protocol_that_is_there_is_not_replaced_by_a_consumer(it: Mixed) -> None:
    it.join("c", "a", instance_id="one")
    with unchanged(it), refused(ErrorCode.unreleased_instance_id):
        it.join("d", "a", instance_id="one")


REFUSED = {
    "policy": (GroupLimits(migration_policy="downgrade"), "consumer", write_assignment(0, [("a", 0)]), "policy"),
    "disabled": (GroupLimits(migration_policy="disabled"), "consumer", write_assignment(0, [("a", 0)]), "policy"),
    "type": (GroupLimits(), "connect", write_assignment(0, [("a", 0)]), "connect"),
    "bytes": (GroupLimits(), "consumer", b"\x00", "not a consumer's"),
    "user data": (GroupLimits(), "consumer", write_assignment(0, [])[:-4] + b"\x00\x00\x00\x01x", "range"),
    "size": (GroupLimits(max_members=1), "consumer", b"", "group.consumer.max.size=1"),
    "shared": (GroupLimits(), "consumer", write_assignment(0, [("a", 1)]), "share"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_group_that_can_t_be_a_consumer_group_is_not_found(case: str) -> None:
    limits, protocol_type, assignment, word = REFUSED[case]
    it = ClassicCoordinator(limits=limits)
    first = str(it.ask_to_join(protocol_type=protocol_type))
    it.inbox.clear()
    second = str(it.ask_to_join(protocol_type=protocol_type))
    it.ask_to_join(first, protocol_type=protocol_type)
    it.sync(first, 2, {first: write_assignment(0, [("a", 1)]), second: assignment})
    before = it.classic().assignments()
    with unchanged(it), refused(ErrorCode.group_id_not_found, word):
        it.join("c", "a")
    assert it.classic().assignments() == before
    # Who does not join hears, as everywhere, that it is no member.
    with unchanged(it), refused(UNKNOWN):
        it.heartbeat("c", 3)


def test_what_sticky_assignors_keep_in_assignments_does_not_matter(it: Mixed) -> None:
    first = str(it.ask_to_join(protocols=((COOPERATIVE, owning([])),)))
    it.sync(first, 1, {first: write_assignment(1, [("a", 1)])[:-4] + b"\x00\x00\x00\x01x"})
    it.join("c", "a")
    assert it.owned()[first] == {1}


def test_partitions_that_are_gone_are_owned_by_nobody(it: Mixed) -> None:
    first = str(it.ask_to_join())
    it.sync(first, 1, {first: write_assignment(0, [("a", 1), ("a", 77), ("gone", 0)])})
    it.join("c", "a")
    assert it.owned() == {first: {1}, "c": {0, 2, 3} & it.owned()["c"]}


# Members of the classic protocol in a consumer group


def test_a_classic_member_joins_a_consumer_group(it: Mixed) -> None:
    it.join("c", "a")
    given = it.ask_to_join(in_two_steps=True)
    assert not isinstance(given, str)
    assert given.error is not None
    assert given.error.code is ErrorCode.member_id_required
    assert it.group().members.keys() == {"c"}, "who has been given an id is no member"
    member, generation = it.rejoin(given.member_id, in_two_steps=True)
    assert (member, generation) == (given.member_id, 2)
    assert it.group().members[member].classic is not None
    assert it.told(member, generation) == set()
    it.restarts()
    assert it.group().members[member].classic is not None
    assert it.shard.timers.deadline(("session", "g", member)) == it.now + SESSION_MS


def test_only_members_of_this_generation_are_answered(it: Mixed) -> None:
    it.join("c", "a")
    member, generation = it.rejoin()
    for wrong in (generation - 1, generation + 1, -1):
        assert it.beat(member, wrong) is ILLEGAL
        with refused(ILLEGAL):
            it.sync(member, wrong)
    assert it.beat("nobody", generation) is it.beat("c", 1) is UNKNOWN
    for nobody in ("nobody", "c"):
        with unchanged(it), refused(UNKNOWN):
            it.sync(nobody, generation)
    with unchanged(it), refused(UNKNOWN):
        it.ask_to_join("c")
    with unchanged(it), refused(UNKNOWN):
        it.heartbeat(member, generation)
    with unchanged(it), refused(UNKNOWN):
        it.heartbeat(member, -1)
    assert it.look_again(member) is None


def test_static_members_are_known_by_their_instance_id(it: Mixed) -> None:
    it.join("c", "a")
    first, generation = it.rejoin(instance_id="one")
    assert it.beat(first, generation, "one") is None
    second, again = it.rejoin(instance_id="one")
    assert second != first
    assert it.group().members.keys() == {"c", second}
    assert it.beat(first, generation, "one") is FENCED
    assert it.beat(second, again, "two") is UNKNOWN
    for member_id, instance_id, code in ((first, "one", FENCED), ("x", "two", UNKNOWN)):
        with unchanged(it), refused(code):
            it.ask_to_join(member_id, instance_id=instance_id)
    assert it.rejoin(second, instance_id="one") == (second, again)


def test_who_does_not_fit_is_refused(it: Mixed) -> None:
    it.join("c", "a")
    it.rejoin(name="range")
    wrong: Sequence[dict[str, Any]] = (
        {"protocol_type": "connect"},
        {"protocols": ()},
        {"protocols": (("range", b"\x00"),)},
        {"protocols": (("roundrobin", subscription("a")),)},
    )
    for fields in wrong:
        with unchanged(it), refused(ErrorCode.inconsistent_group_protocol):
            it.ask_to_join(**fields)
    with unchanged(it), refused(ErrorCode.invalid_session_timeout):
        it.ask_to_join(session_ms=1)
    member, generation = it.rejoin(name="range")
    for fields in ({"protocol": "roundrobin"}, {"protocol_type": "connect"}):
        with unchanged(it), refused(ErrorCode.inconsistent_group_protocol):
            it.sync_as(member, generation, **fields)
    assert it.sync_as(member, generation, protocol="range", protocol_type="consumer") is not None


def test_a_full_group_takes_no_more_members() -> None:
    it = Mixed(max_members=2)
    it.join("c", "a")
    member, _ = it.rejoin(instance_id="one")
    for in_two_steps in (True, False):
        with unchanged(it), refused(ErrorCode.group_max_size_reached):
            it.ask_to_join(in_two_steps=in_two_steps)
    with unchanged(it), refused(ErrorCode.group_max_size_reached):
        it.join("d", "a")
    # A static member comes back, in place of its former self.
    assert it.rejoin(instance_id="one")[0] != member


def test_migration_can_be_disabled() -> None:
    it = Mixed(migration_policy="disabled")
    it.join("c", "a")
    with unchanged(it), refused(ErrorCode.inconsistent_group_protocol, "group.consumer.migration.policy"):
        it.ask_to_join()


def test_a_silent_member_is_given_up(it: Mixed) -> None:
    it.join("c", "a")
    member, _ = it.rejoin()
    it.advance(SESSION_MS - 1)
    assert member in it.group().members
    it.advance(1)
    assert it.group().members.keys() == {"c"}


def test_who_never_asks_for_its_assignment_is_given_up(it: Mixed) -> None:
    it.join("c", "a")
    member, generation = it.rejoin()
    for _ in range(REBALANCE_MS // 5_000 - 1):
        it.advance(5_000)
        it.beat(member, generation)
        it.settle_consumer("c")
    assert member in it.group().members
    it.advance(5_000)
    assert member not in it.group().members


def test_who_never_joins_again_is_given_up(it: Mixed) -> None:
    it.join("c", "a")
    member, generation = it.rejoin()
    it.told(member, generation)
    it.join("d", "a")
    assert it.beat(member, generation) is REBALANCING
    with refused(REBALANCING):
        it.sync(member, generation)
    for _ in range(REBALANCE_MS // 5_000 - 1):
        it.advance(5_000)
        it.settle_consumer("c", "d")
        assert it.beat(member, generation) is REBALANCING
    it.advance(5_000)
    assert member not in it.group().members
    assert it.beat(member, generation) is UNKNOWN


def test_commits_are_those_of_members_and_their_generations(it: Mixed) -> None:
    it.join("c", "a")
    member, generation = it.rejoin()
    assert it.commit(member, generation, ("b", 0, 1)) == [None]
    assert it.commit_error(member, generation + 1) is ILLEGAL
    assert it.commit(member, generation - 1, ("a", 0, 1)) == [ILLEGAL]
    # What another one owns can't be taken back, and the member stays one all the same.
    assert it.commit(member, generation, ("a", 0, 1)) == [REBALANCING]
    with refused(ILLEGAL):
        it.shard.committed("g", (member, generation + 1))
    assert it.shard.committed("g", (member, generation))


def test_leave_group_removes_members_of_either_protocol(it: Mixed) -> None:
    it.join("c", "a")
    it.join("d", "a")
    member, _ = it.rejoin()
    assert it.leave(member, "nobody") == [None, UNKNOWN]
    assert it.leave("c") == [None]
    assert it.group().members.keys() == {"d"}


# Downgrade


def mixed_at_rest(it: Mixed) -> tuple[str, int]:
    """Brings a consumer and a classic member to rest that own two partitions each."""
    it.join("c", "a")
    member, generation = it.rejoin()
    it.told(member, generation)
    it.settle_consumer("c")
    assert it.beat(member, generation) is REBALANCING
    assert it.rejoin(member) == (member, 2)
    assert len(it.told(member, 2)) == 2
    return member, 2


@pytest.mark.parametrize("end", ["leaves", "expires", "is removed"])
def test_when_the_last_consumer_has_gone_the_group_is_a_classic_one(it: Mixed, end: str) -> None:
    member, generation = mixed_at_rest(it)
    it.commit(member, generation, ("b", 0, 5))
    match end:
        case "leaves":
            it.heartbeat("c", -1)
        case "expires":
            for _ in range(it.limits.session_timeout_ms // 5_000):
                it.advance(5_000)
                it.beat(member, generation)
        case "is removed":
            assert it.leave("c") == [None]
    assert "g" not in it.shard.groups
    group = it.classic()
    assert (group.state, group.generation, group.leader) == (ClassicState.PREPARING, 2, None)
    assert it.committed() == {("b", 0): 5}
    it.restarts()
    assert it.classic().state is ClassicState.PREPARING
    # It may still commit, and joins again.
    assert it.beat(member, generation) is REBALANCING
    assert it.commit(member, generation, ("b", 0, 6)) == [None]
    it.ask_to_join(member)
    answer = it.joined(member)
    assert (answer.generation, answer.leader) == (3, member)
    assert it.sync(member, 3, {member: b"x"}) is not None
    assert it.beat(member, 3) is None
    assert summary_of(it.shard, "g")[1:4] == ("classic", "stable", 1)


def test_everything_of_a_downgrade_is_one_batch(it: Mixed) -> None:
    member, _ = mixed_at_rest(it)
    size = len(it.log)
    it.heartbeat("c", -1)
    records = [decode_record(record.key, record.value) for record in it.log[size:]]
    key, value = records[-1]
    assert key == GroupMetadataKey("g")
    assert isinstance(value, GroupMetadataValue)
    assert (value.generation, value.protocol, value.leader) == (2, "range", None)
    assert [found.member_id for found in value.members] == [member]
    assert all(gone is None for _, gone in records[:-1])
    # Whatever the cleaner leaves of it.
    last = {record.key: record for record in it.log}
    again = replayed([record for record in it.log if last[record.key] is record], it.limits, it.topics, it.now)
    assert not again.groups
    assert again.classic["g"].members.keys() == {member}


def test_who_was_given_up_comes_back(it: Mixed) -> None:
    member, generation = mixed_at_rest(it)
    for _ in range(it.limits.session_timeout_ms // 5_000):
        it.advance(5_000)
        it.beat(member, generation)
    assert "g" in it.shard.classic
    with unchanged(it), refused(UNKNOWN):
        it.heartbeat("c", 2)
    assert it.join("c", "a").member_epoch == 3
    assert it.group().members.keys() == {member, "c"}
    owned = {number for _, number in it.group().members[member].assigned}
    assert len(owned) == 2, "it has not joined in between, and still owns what it had"
    it.restarts()


def test_what_has_not_been_given_up_stays_owned_through_a_classic_group(it: Mixed) -> None:
    """A member waits for what another has not given up; the group changes back and forth meanwhile."""
    (first,) = it.classic_group([[0, 1, 2, 3]], name=COOPERATIVE)
    it.join("c", "a")
    second, _ = it.rejoin(name=COOPERATIVE)
    _, generation = it.rejoin(first, owned=[0, 1, 2, 3], name=COOPERATIVE)
    kept = it.told(first, generation)
    it.heartbeat("c", -1)
    assert it.classic().members.keys() == {first, second}
    it.join("d", "a")
    assert it.owned()[first] == {0, 1, 2, 3} > kept
    assert it.owned()[second] == it.owned()["d"] == set()


def test_a_policy_keeps_a_consumer_group() -> None:
    it = Mixed(migration_policy="upgrade")
    member, generation = mixed_at_rest(it)
    it.heartbeat("c", -1)
    assert it.group().members.keys() == {member}
    it.advance(1)
    assert it.beat(member, generation) is REBALANCING
    assert it.rejoin(member)[1] == 3
    assert it.told(member, 3) == {0, 1, 2, 3}
    it.restarts()
    it.limits = it.limits._replace(migration_policy="bidirectional")
    it.restart()
    other, _ = it.rejoin()
    assert "g" in it.shard.groups
    it.leave(member)
    assert it.classic().members.keys() == {other}


def test_a_group_that_is_too_large_stays_a_consumer_group() -> None:
    it = Mixed(classic_max_members=1)
    it.join("c", "a")
    it.rejoin()
    it.rejoin()
    it.heartbeat("c", -1)
    assert len(it.group().members) == 2


def test_the_last_member_leaves_an_empty_consumer_group(it: Mixed) -> None:
    it.join("c", "a")
    it.heartbeat("c", -1)
    assert it.group().is_empty


def test_the_last_consumer_comes_back_as_a_classic_member(it: Mixed) -> None:
    it.join("c", "a", instance_id="one")
    other, _ = it.rejoin(instance_id="two")
    member, generation = it.rejoin(instance_id="one")
    assert "g" not in it.shard.groups
    group = it.classic()
    assert (group.state, group.generation) == (ClassicState.PREPARING, generation)
    assert group.instances == {"one": member, "two": other}
    found = read_assignment(group.members[member].assignment)
    assert found is not None
    assert {number for _, number in found.partitions} == {0, 1, 2, 3}, "it has what its former self had"
    with refused(REBALANCING):
        it.sync(member, generation, instance_id="one")
    it.restarts()
    it.ask_to_join(member, instance_id="one")
    it.ask_to_join(other, instance_id="two")
    assert it.joined(member).generation == it.joined(other).generation == generation + 1
    with refused(UNKNOWN):
        it.heartbeat("c", 1)


def test_a_consumer_that_is_away_comes_back_as_a_classic_member(it: Mixed) -> None:
    it.join("c", "a", instance_id="one")
    it.heartbeat("c", -2, instance_id="one")
    other, _ = it.rejoin()
    assert it.group().members.keys() == {"c", other}
    member, _ = it.rejoin(instance_id="one")
    assert it.classic().members.keys() == {member, other}


def test_watchers_of_members_that_are_none_any_more_are_told(it: Mixed) -> None:
    mixed_at_rest(it)
    it.heartbeat("c", -1)
    with refused(UNKNOWN):
        it.look_again("c")


def test_records_of_members_without_protocols_are_not_of_the_classic_protocol(it: Mixed) -> None:
    it.join("c", "a")
    found = [
        record
        for record in it.log
        if isinstance(decode_record(record.key, record.value)[0], ConsumerGroupMemberMetadataKey)
    ]
    cut = [
        # Without the tagged field, as releases before it wrote it.
        Written(record.key, record.value[:-4] + b"\x00", record.timestamp_ms)
        for record in found
        if record.value is not None
    ]
    again = replayed([*it.log, *cut], it.limits, it.topics, it.now)
    assert again.groups["g"].members["c"].classic is None


def test_what_a_cooperative_member_may_still_work_on_is_not_free_for_others(it: Mixed) -> None:
    """The generation asks it to give up a partition; it has not joined without it yet when a consumer comes."""
    (first,) = it.classic_group([[0, 1, 2, 3]], name=COOPERATIVE)
    second = str(it.ask_to_join(protocols=((COOPERATIVE, owning([])),)))
    it.ask_to_join(first, protocols=((COOPERATIVE, owning([0, 1, 2, 3])),))
    generation = it.joined(second).generation
    it.sync(first, generation, {first: write_assignment(1, [("a", 0)]), second: write_assignment(1, [])})
    it.join("c", "a")
    assert it.owned() == {first: {0, 1, 2, 3}, second: set(), "c": set()}
    assert it.beat(first, generation) is REBALANCING
    _, generation = it.rejoin(first, owned=[0], name=COOPERATIVE)
    assert it.told(first, generation) == {0}
    assert it.owned()[first] == {0}


def test_who_has_been_given_up_does_not_come_back_with_what_it_had(it: Mixed) -> None:
    it.join("c", "a")
    member, _ = it.rejoin(name=COOPERATIVE)
    it.leave(member)
    with unchanged(it), refused(UNKNOWN):
        it.ask_to_join(member, protocols=((COOPERATIVE, owning([0])),))
    assert it.rejoin(member, name=COOPERATIVE)[0] == member
