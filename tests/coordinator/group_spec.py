"""What must hold for groups at every step, against what clients believe and a specification of the model's own."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine, invariant

from logserver.coordinator import assignment
from logserver.coordinator.decision import Entry
from logserver.coordinator.formats import (
    ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupMemberMetadataKey,
    MemberState,
    OffsetCommitValue,
)
from logserver.coordinator.requests import Commit, OffsetToCommit

from .clients import Client
from .group_values import LIMITS, TOPICS, Place
from .support import Coordinator, FakeTopics


class GroupSpec(RuleBasedStateMachine):
    """The coordinator, its clients, and what is known of them without it."""

    def __init__(self) -> None:
        super().__init__()
        self.topics = FakeTopics()
        self.coordinator = Coordinator(self.topics, LIMITS)
        self.clients: list[Client] = []
        self.gone: list[Client] = []
        """Static members that have left to come back."""
        self.made = 0
        # The specification of offsets: what has been committed and not taken back.
        self.offsets: dict[Place, OffsetCommitValue] = {}
        # The specification of membership: until when a member may be silent, and keep what it was asked to give up.
        self.sessions: dict[tuple[str, str], int] = {}
        self.revocations: dict[tuple[str, str], tuple[frozenset[Any], int]] = {}
        # Since which member epoch a member has had a partition, and whether it has been asked to give it up; by
        # instance id where it is static.
        self.since: dict[tuple[str, str | None], dict[tuple[str, int], tuple[int, bool]]] = {}
        self.places: dict[tuple[str, str], str] = {}
        self.emptied: dict[str, int] = {}
        self.large = assignment._LARGE

    # What the model takes down of each write

    def written(self, entries: Sequence[Entry]) -> None:
        for key, _ in entries:
            match key:
                case ConsumerGroupCurrentMemberAssignmentKey(group_id, member_id) | ConsumerGroupMemberMetadataKey(
                    group_id, member_id
                ):
                    self.look_at(group_id, member_id)
        for group_id in {key.group for key, _ in entries}:
            group = self.coordinator.shard.groups.get(group_id)
            if group is None or not group.is_empty:
                self.emptied.pop(group_id, None)
            else:
                self.emptied.setdefault(group_id, self.coordinator.now)

    def look_at(self, group_id: str, member_id: str) -> None:
        key = (group_id, member_id)
        group = self.coordinator.shard.groups.get(group_id)
        member = group.members.get(member_id) if group is not None else None
        if group is None or member is None:
            # Who comes back to the place of a static member has what that had.
            place = self.places.pop(key, None)
            if group is None or place not in group.instances:
                self.since.pop((group_id, place), None)
            self.revocations.pop(key, None)
            return
        place = self.places[key] = member.instance_id or member_id
        before = self.since.get((group_id, place), {})
        # What had to be given up, and is the member's again, was given up.
        kept = {partition: epoch for partition, (epoch, was_asked) in before.items() if not was_asked}
        self.since[group_id, place] = {
            **{partition: (kept.get(partition, member.epoch), False) for partition in member.assigned},
            **{partition: (before[partition][0], True) for partition in member.revoking},
        }
        revoking = frozenset(member.revoking)
        if member.state is not MemberState.UNREVOKED_PARTITIONS or member.is_away:
            self.revocations.pop(key, None)
        elif self.revocations.get(key, (None, 0))[0] != revoking:
            self.revocations[key] = (revoking, self.coordinator.now + member.rebalance_timeout_ms)

    # What must always hold

    @invariant()
    def books_are_in_order(self) -> None:
        for group in self.coordinator.shard.groups.values():
            group.check()
            assert group.targets.keys() <= group.members.keys()
            # All targets are of one assignment.
            assert sum(map(len, group.targets.values())) == len(frozenset().union(*group.targets.values()))
            assert group.patterns.keys() == {
                member.pattern for member in group.members.values() if member.pattern is not None
            }
            assert group.waiting == {
                member_id
                for member_id, member in group.members.items()
                if member.state is MemberState.UNRELEASED_PARTITIONS
            }
            assert group.subscribed_names() == {
                name for member in group.members.values() for name in group.names_of(member)
            }
            assert group.instances == {
                member.instance_id: member_id
                for member_id, member in group.members.items()
                if member.instance_id is not None
            }

    @invariant()
    def nobody_owns_what_another_owns(self) -> None:
        owners: dict[tuple[str, str, int], Client] = {}
        for client in self.clients:
            group = self.coordinator.shard.groups.get(client.group_id)
            member = group.members.get(client.member_id) if group is not None else None
            if member is None and client.epoch > 0:
                client.is_declared_dead = True
            if client.is_declared_dead or not client.owned:
                continue
            assert member is not None
            # Nothing is free for others as long as it works on it.
            assert client.owned <= member.assigned.keys() | member.revoking.keys(), (client, member)
            assert client.epoch <= member.epoch, (client, member)
            for partition in client.owned:
                other = owners.setdefault((client.group_id, *partition), client)
                assert other is client, (other, client)

    @invariant()
    def offsets_are_those_committed(self) -> None:
        shard = self.coordinator.shard
        found = {
            (group_id, *place): value
            for group_id in shard.offsets.groups()
            for place, value in shard.offsets.of(group_id).items()
        }
        assert found == self.offsets
        assert shard.offsets.count == len(found)

    @invariant()
    def timers_are_of_somebody(self) -> None:
        shard = self.coordinator.shard
        members = {
            (group_id, member_id): member
            for group_id, group in shard.groups.items()
            for member_id, member in group.members.items()
        }
        deadlines = shard.timers._deadlines
        for kind, *key in deadlines:
            if kind == "rebalance":
                assert members[key[0], key[1]].state is MemberState.UNREVOKED_PARTITIONS
            elif kind == "assignment":
                group = shard.groups[key[0]]
                assert not group.is_empty and group.epoch > group.assignment_epoch
            elif kind == "session":
                # A join that could not be written may leave one, which ends by itself.
                assert tuple(key) in members or self.has_been_full
            else:
                assert kind in ("retention", "topics")
        for key, member in members.items():
            assert ("session", *key) in deadlines
            waits = member.state is MemberState.UNREVOKED_PARTITIONS and not member.is_away
            assert (("rebalance", *key) in deadlines) == waits, member
        for group_id, group in shard.groups.items():
            assert (("assignment", group_id) in deadlines) == (
                not group.is_empty and group.epoch > group.assignment_epoch
            )
        assert ("retention",) in deadlines

    has_been_full = False
    """Whether something could not be written since the groups were at rest."""

    # Looking

    def members(self) -> set[tuple[str, str]]:
        return {
            (group_id, member_id)
            for group_id, group in self.coordinator.shard.groups.items()
            for member_id in group.members
        }

    def is_member(self, client: Client) -> bool:
        group = self.coordinator.shard.groups.get(client.group_id)
        return group is not None and client.member_id in group.members

    def subscribed(self) -> set[tuple[str, str]]:
        """Returns the groups with topics that members of theirs are subscribed to."""
        return {
            (group_id, topic)
            for group_id, group in self.coordinator.shard.groups.items()
            for topic in TOPICS
            if group.is_subscribed(topic)
        }

    def is_orphaned(self, place: Place) -> bool:
        view = self.topics.by_name(place[1])
        return view is None or view.topic_id != self.offsets[place].topic_id

    # What time may take

    def expire(self) -> None:
        coordinator = self.coordinator
        before = self.members()
        due = {
            key
            for key in before
            if self.sessions[key] <= coordinator.now
            or (key in self.revocations and self.revocations[key][1] <= coordinator.now)
        }
        empty_since = {**self.emptied}
        was_checked = (coordinator.shard.timers.deadline(("retention",)) or 0) <= coordinator.now
        coordinator.expire()
        lost = before - self.members()
        if coordinator.is_full:
            assert not lost
            return
        # What could not be written is tried again a second later.
        assert lost == due or (self.has_been_full and lost < due), (lost, due)
        self.note_lost_offsets({**empty_since, **self.emptied}, was_checked)
        for group_id, since in empty_since.items():
            if coordinator.now < since + LIMITS.offsets_retention_ms or coordinator.shard.offsets.of(group_id):
                assert group_id in coordinator.shard.groups

    def note_lost_offsets(self, empty_since: dict[str, int], was_checked: bool) -> None:
        """Takes off what has expired: all of it had to, and nothing else did."""
        subscribed = self.subscribed()
        now = self.coordinator.now
        for place, value in list(self.offsets.items()):
            group_id, topic, partition = place
            since = max(value.commit_timestamp_ms, empty_since.get(group_id, 0))
            has = (topic, partition) in self.coordinator.shard.offsets.of(group_id)
            orphaned = self.is_orphaned(place)
            if not has:
                assert orphaned or (
                    now >= since + LIMITS.offsets_retention_ms and (group_id, topic) not in subscribed
                ), (place, value)
                del self.offsets[place]
            elif was_checked and (group_id, topic) not in subscribed:
                assert now < since + LIMITS.offsets_retention_ms, (place, value)

    def note_orphans(self) -> None:
        for place in list(self.offsets):
            if place[1:] not in self.coordinator.shard.offsets.of(place[0]) and self.is_orphaned(place):
                del self.offsets[place]

    # What may be committed

    def spec_of_commit(self, request: Commit, offset: OffsetToCommit) -> bool:
        """Whether a commit of a group's member may be stored."""
        view = self.topics.by_name(offset.topic)
        if view is None or not 0 <= offset.partition < view.partitions or offset.offset < 0:
            return False
        group = self.coordinator.shard.groups.get(request.group_id)
        if group is None or group.is_empty:
            return not request.member_id and request.member_epoch < 0
        member = group.members.get(request.member_id)
        if member is None or request.member_epoch > member.epoch:
            return False
        place = self.places[request.group_id, request.member_id]
        partition = (view.topic_id, offset.partition)
        if request.member_epoch == member.epoch:
            # What another one owns it could only take back.
            return not any(
                partition in owned
                for (group_id, other), owned in self.since.items()
                if group_id == request.group_id and other != place
            )
        since = self.since[request.group_id, place].get(partition)
        return since is not None and since[0] <= request.member_epoch

    # What holds at rest

    def at_rest(self) -> None:
        shard = self.coordinator.shard
        joined = [client for client in self.clients if client.epoch > 0]
        assert self.members() == {(client.group_id, client.member_id) for client in joined}
        for client in self.clients:
            if client.epoch <= 0:
                assert client.instance_id is not None
        for group_id, group in shard.groups.items():
            assert shard.state_of(group_id) == ("stable" if group.members else "empty")
            assert group.is_empty or group.epoch == group.assignment_epoch
            owned: dict[tuple[str, int], list[Client]] = defaultdict(list)
            wanted: set[tuple[str, int]] = set()
            for client in joined:
                if client.group_id == group_id:
                    subscription = client.subscription
                    names = {*subscription.topics}
                    if subscription.pattern:
                        names.update(self.topics.matching(subscription.pattern))
                    wants = self.topics.partitions_of(names)
                    wanted |= wants
                    assert client.owned <= wants
                    assert client.epoch == group.epoch
                    for partition in client.owned:
                        owned[partition].append(client)
            assert owned.keys() == wanted
            assert all(len(clients) == 1 for clients in owned.values())
        assert shard.timers._deadlines.keys() == {("retention",), *(("session", *key) for key in self.members())}
        assert len(shard.timers._heap) <= 4 * len(shard.timers) + 40
