"""What must hold for a group with members of both protocols at every step, whichever kind of group it is."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from hypothesis.stateful import RuleBasedStateMachine, invariant

from logserver.coordinator import assignment
from logserver.coordinator.classic_group import ClassicState
from logserver.coordinator.decision import Entry
from logserver.coordinator.formats import GroupMetadataKey, GroupMetadataValue
from logserver.coordinator.limits import GroupLimits
from logserver.coordinator.member import protocols_of
from logserver.coordinator.requests import Commit, OffsetToCommit
from logserver.errors import ErrorCode, LogServerError

from .classic_support import ClassicCoordinator
from .clients import Client
from .mixed_clients import ClassicClient
from .support import FakeTopics, replayed

GROUP = "g"
LIMITS = GroupLimits(session_timeout_ms=15_000, max_members=20, classic_max_members=20)
SESSION_MS = 10_000
"""Of members of the classic protocol."""
REBALANCES_MS = (8_000, 20_000)
BEAT_MS = 3_000
TOPICS = ("apples", "bananas")
TIMERS = ("session", "rebalance", "join", "sync")

Anybody = Client | ClassicClient


class Late(NamedTuple):
    """A commit on its way."""

    request: Commit
    topic_ids: dict[str, str]


class MixedSpec(RuleBasedStateMachine):
    """The coordinator, its clients, and what is known of them without it."""

    def __init__(self) -> None:
        super().__init__()
        self.topics = FakeTopics()
        self.coordinator = ClassicCoordinator(self.topics, LIMITS)
        self.classic: list[ClassicClient] = []
        self.modern: list[Client] = []
        self.made = 0
        self.large = assignment._LARGE
        self.last: GroupMetadataValue | None = None
        """The last record of the group as a classic one; None as long as it is not."""
        self.offsets: dict[tuple[str, int], tuple[str, int]] = {}
        """Topic ids and offsets that have been committed, by topic and partition."""
        self.late: dict[Anybody, list[Late]] = {}
        """Commits on their way, by client; each client's arrive in order."""
        self.has_been_full = False

    @property
    def everybody(self) -> list[Anybody]:
        return [*self.classic, *self.modern]

    def written(self, entries: Sequence[Entry]) -> None:
        """Takes down what has been written."""
        for key, value in entries:
            if isinstance(key, GroupMetadataKey):
                assert value is None or isinstance(value, GroupMetadataValue)
                self.last = value
        shard = self.coordinator.shard
        assert GROUP not in shard.groups or GROUP not in shard.classic or shard.groups[GROUP].is_empty
        batches = [key for key, _ in entries if isinstance(key, GroupMetadataKey)]
        assert len(batches) <= 1, "one conversion at a time"

    # What must always hold

    def note_the_dead(self) -> None:
        """Takes down which clients the coordinator has given up, who may not know yet."""
        group = self.coordinator.shard.groups.get(GROUP)
        classic = self.coordinator.shard.classic.get(GROUP)
        for client in self.modern:
            if client.epoch > 0 and (group is None or client.member_id not in group.members):
                client.is_declared_dead = True
        for one in self.classic:
            if not one.member_id:
                continue
            if group is not None and not group.is_empty:
                member = group.members.get(one.member_id)
                is_there = member is not None and member.classic is not None
            else:
                is_there = classic is not None and (
                    one.member_id in classic.members or one.member_id in classic.pending
                )
                if classic is not None and classic.state in (ClassicState.STABLE, ClassicState.COMPLETING):
                    # A static member that has not joined the generation has its place, and not what it had.
                    is_there &= one.generation >= classic.generation or one.phase not in ("gives up", "stable", "out")
            if not is_there:
                one.is_declared_dead = True

    @invariant()
    def nobody_owns_what_another_owns(self) -> None:
        self.note_the_dead()
        group = self.coordinator.shard.groups.get(GROUP)
        owners: dict[tuple[str, int], Anybody] = {}
        for client in self.everybody:
            if client.is_declared_dead or not client.owned:
                continue
            if group is not None and not group.is_empty:
                member = group.members[client.member_id]
                # Nothing is free for others as long as it works on it.
                assert client.owned <= member.assigned.keys() | member.revoking.keys(), (client, member)
            for partition in client.owned:
                other = owners.setdefault(partition, client)
                assert other is client, (other, client)

    @invariant()
    def books_are_in_order(self) -> None:
        shard = self.coordinator.shard
        for group in shard.groups.values():
            group.check()
            assert group.targets.keys() <= group.members.keys()
            assert group.patterns.keys() == {member.pattern for member in group.members.values() if member.pattern}
            used = [protocols_of(member) for member in group.members.values() if member.classic is not None]
            assert group.classic_members == len(used)
            common = frozenset.intersection(*used) if used else frozenset({"any"})
            for name in ("range", "cooperative-sticky", "any"):
                assert group.can_all_use([name]) == (name in common or not used)
        for classic in shard.classic.values():
            assert classic.awaited_syncs <= classic.members.keys()
            if classic.state is ClassicState.STABLE:
                assert classic.leader in classic.members

    @invariant()
    def timers_are_of_somebody(self) -> None:
        shard = self.coordinator.shard
        group, classic = shard.groups.get(GROUP), shard.classic.get(GROUP)
        deadlines = shard.timers._deadlines
        for kind, *key in deadlines:
            if self.has_been_full:
                continue
            if kind in TIMERS:
                assert group is not None and key[1] in group.members, (kind, key)
            if kind in ("join", "sync"):
                assert group is not None and group.members[key[1]].classic is not None
            if kind.startswith("classic"):
                assert classic is not None, (kind, key)
        for member_id in group.members if group is not None else ():
            assert ("session", GROUP, member_id) in deadlines
        if classic is not None and classic.state is ClassicState.PREPARING:
            assert ("classic joining", GROUP) in deadlines

    @invariant()
    def offsets_are_those_committed(self) -> None:
        found = {
            place: (value.topic_id, value.offset) for place, value in self.coordinator.shard.offsets.of(GROUP).items()
        }
        assert found == self.offsets

    # Commits

    def sends_commit(self, client: Anybody, done: int) -> None:
        """Has a client go on where its group is, and commit what it has done; the commit arrives when it does."""
        epoch = client.generation if isinstance(client, ClassicClient) else client.epoch
        if epoch <= 0 or not client.owned:
            return
        waiting = self.late.setdefault(client, [])
        on_their_way = {
            (late.topic_ids[offset.topic], offset.partition): offset.offset
            for late in waiting
            for offset in late.request.offsets
        }
        offsets = []
        ids = {}
        for topic_id, partition in sorted(client.owned):
            view = self.topics.by_id(topic_id)
            if view is not None:
                before_id, before = self.offsets.get((view.name, partition), ("", 0))
                position = max(before if before_id == topic_id else 0, on_their_way.get((topic_id, partition), 0))
                offsets.append(OffsetToCommit(view.name, partition, position + done))
                ids[view.name] = topic_id
        request = Commit(GROUP, client.member_id, epoch, offsets, client.instance_id)
        waiting.append(Late(request, ids))

    def commit_arrives(self, client: Anybody) -> None:
        """Has a client's next commit arrive: what is stored takes nothing back."""
        waiting = self.late.get(client)
        if not waiting:
            return
        late = waiting.pop(0)
        try:
            answers = self.coordinator.decide(self.coordinator.shard.commit(late.request, self.coordinator.now))
        except LogServerError as error:
            assert error.code in (
                ErrorCode.unknown_member_id,
                ErrorCode.fenced_instance_id,
                ErrorCode.illegal_generation,
                ErrorCode.stale_member_epoch,
                ErrorCode.rebalance_in_progress,
                ErrorCode.coordinator_not_available,
            ), error
            return
        for offset, answer in zip(late.request.offsets, answers, strict=True):
            view = self.topics.by_name(offset.topic)
            if answer is not None or view is None:
                continue
            place = (offset.topic, offset.partition)
            before_id, before = self.offsets.get(place, ("", 0))
            if before_id == late.topic_ids[offset.topic]:
                assert offset.offset >= before, (client, late.request, place, before)
            self.offsets[place] = (view.topic_id, offset.offset)

    # The log

    def is_as_its_log_says(self) -> None:
        """Compares the shard with what is read from its log, as far as that outlives a crash."""
        shard = self.coordinator.shard
        again = replayed(self.coordinator.log, self.coordinator.limits, self.topics, self.coordinator.now)
        real = {group_id: vars(group) for group_id, group in shard.groups.items()}
        assert {group_id: vars(group) for group_id, group in again.groups.items()} == real
        assert again.offsets.of(GROUP) == shard.offsets.of(GROUP)
        assert (GROUP in again.classic) == (self.last is not None)
        if self.last is not None:
            self.is_as_recorded(again.classic[GROUP])

    def is_as_recorded(self, classic: Any) -> None:
        assert self.last is not None
        assert (classic.generation, classic.leader) == (self.last.generation, self.last.leader)
        assert classic.assignments() == {member.member_id: member.assignment for member in self.last.members}
        expected = ClassicState.EMPTY
        if self.last.members:
            expected = ClassicState.STABLE if self.last.leader is not None else ClassicState.PREPARING
        assert classic.state is expected
