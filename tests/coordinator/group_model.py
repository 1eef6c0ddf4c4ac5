"""A shard of consumer groups through everything that can happen to it, against clients and a plain specification."""

import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from logserver.coordinator import assignment
from logserver.coordinator.decision import Entry
from logserver.coordinator.formats import (
    ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupMemberMetadataKey,
    MemberState,
    OffsetCommitValue,
)
from logserver.coordinator.limits import GroupLimits
from logserver.coordinator.member import AWAY, LEAVING
from logserver.coordinator.requests import Commit, Heartbeat, OffsetToCommit, Subscription
from logserver.errors import ErrorCode, LogServerError

from .clients import Client, Fate, LockstepClient, StreamClient
from .support import Coordinator, FakeTopics, Written, replayed, state_of, unchanged

GROUPS = ("g", "g", "g", "h")
TOPICS = ("apples", "apricots", "bananas")
INSTANCES = ("one", "two")
LIMITS = GroupLimits(max_members=6, offsets_retention_ms=600_000, retention_check_interval_ms=60_000)
SESSION_MS, BEAT_MS = LIMITS.session_timeout_ms, LIMITS.heartbeat_interval_ms
ROUNDS_TO_REST = 40
"""Heartbeat intervals: four times a session timeout."""

groups = st.sampled_from(GROUPS)
topics = st.sampled_from(TOPICS)
which = st.integers(0, 5)
FATES: tuple[Fate, ...] = ("answered", "request lost", "answer lost")
NONSENSE = ("ahead", "behind", "away", "unknown", "instance", "no group")
SUBSCRIPTIONS = (
    Subscription(("apples",)),
    Subscription(("apples",)),
    Subscription(("apples", "bananas")),
    Subscription(("bananas", "nowhere")),
    Subscription((), "ap.*"),
    Subscription(("bananas",), "ap.*"),
    Subscription((), ".*"),
)

fates: st.SearchStrategy[Fate] = st.sampled_from(["answered", "answered", *FATES])
subscriptions = st.sampled_from(SUBSCRIPTIONS)
doors = st.sampled_from([LockstepClient, StreamClient])
instance_ids = st.sampled_from([None, *INSTANCES])

Place = tuple[str, str, int]
"""Group id, topic name and partition number."""


class GroupModel(RuleBasedStateMachine):
    """What the groups of a shard must do."""

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
        self.positions: dict[tuple[str, str, int], int] = {}
        # The specification of membership: until when a member may be silent, and keep what it was asked to give up.
        self.sessions: dict[tuple[str, str], int] = {}
        self.revocations: dict[tuple[str, str], tuple[frozenset[Any], int]] = {}
        # Since which member epoch a member has had a partition, and whether it has been asked to give it up; by
        # instance id where it is static.
        self.since: dict[tuple[str, str | None], dict[tuple[str, int], tuple[int, bool]]] = {}
        self.places: dict[tuple[str, str], str] = {}
        self.emptied: dict[str, int] = {}
        self.large = assignment._LARGE

    @initialize(
        interval=st.sampled_from([0, 100, 12_000]),
        is_large=st.booleans(),
        partitions=st.integers(1, 5),
        members=st.lists(st.tuples(doors, subscriptions, instance_ids), max_size=4),
    )
    def begin(
        self,
        interval: int,
        is_large: bool,
        partitions: int,
        members: list[tuple[type[Client], Subscription, str | None]],
    ) -> None:
        self.coordinator = Coordinator(self.topics, LIMITS._replace(assignment_interval_ms=interval))
        self.coordinator.after_write = self.written
        if is_large:
            assignment._LARGE = 2
        self.topics.create("apples", partitions)
        self.topics.create("bananas", 2)
        for door, subscription, instance_id in members:
            self.beat(self.new(door, "g", subscription, 7_000, instance_id, None))

    def teardown(self) -> None:
        try:
            self.settle()
        finally:
            assignment._LARGE = self.large

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

    # Members

    def pick(self, number: int) -> Client | None:
        return self.clients[number % len(self.clients)] if self.clients else None

    def beat(self, client: Client, fate: Fate = "answered") -> None:
        before = client.heard_ms
        if not client.beat(fate):
            self.clients.remove(client)
        self.note_heard(client, before)

    def note_heard(self, client: Client, before: int | None) -> None:
        if client.heard_ms is not None and (client.heard_ms != before or client.heard_ms == self.coordinator.now):
            self.sessions[client.group_id, client.member_id] = client.heard_ms + SESSION_MS

    def new(
        self,
        door: type[Client],
        group_id: str,
        subscription: Subscription,
        timeout_ms: int,
        instance_id: str | None,
        assignor: str | None,
        member_id: str | None = None,
    ) -> Client:
        self.made += 1
        client = door(
            self.coordinator, group_id, member_id or f"m{self.made}", subscription, timeout_ms, instance_id, assignor
        )
        self.clients.append(client)
        return client

    @precondition(lambda self: len(self.clients) < 7)
    @rule(
        door=doors,
        group_id=groups,
        subscription=subscriptions,
        timeout_ms=st.sampled_from([7_000, 60_000]),
        instance_id=instance_ids,
        assignor=st.sampled_from([None, None, "uniform", "range"]),
        fate=fates,
    )
    def join(
        self,
        door: type[Client],
        group_id: str,
        subscription: Subscription,
        timeout_ms: int,
        instance_id: str | None,
        assignor: str | None,
        fate: Fate,
    ) -> None:
        self.beat(self.new(door, group_id, subscription, timeout_ms, instance_id, assignor), fate)

    @rule(number=which, fate=fates)
    def heartbeat(self, number: int, fate: Fate) -> None:
        if client := self.pick(number):
            self.beat(client, fate)

    @rule(numbers=st.lists(which, min_size=2, max_size=6))
    def heartbeats(self, numbers: list[int]) -> None:
        for number in numbers:
            self.heartbeat(number, "answered")

    @rule(
        number=which,
        actions=st.lists(st.sampled_from(["send", "read", "look", "receive", "open", "break"]), max_size=6),
    )
    def stream(self, number: int, actions: list[str]) -> None:
        client = self.pick(number)
        if not isinstance(client, StreamClient):
            return
        before = client.heard_ms
        for action in actions:
            match action:
                case "send":
                    client.send()
                case "read":
                    client.server_reads()
                case "look":
                    client.server_looks()
                case "receive":
                    client.receive()
                case "break":
                    client.break_stream()
                case "open":
                    if not client.open():
                        self.clients.remove(client)
                        return
            self.note_heard(client, before)
            self.nobody_owns_what_another_owns()

    @rule(number=which, is_slow=st.booleans())
    def be_slow(self, number: int, is_slow: bool) -> None:
        if client := self.pick(number):
            client.is_slow = is_slow
            if not is_slow:
                client.revoke()

    @rule(number=which, subscription=subscriptions)
    def resubscribe(self, number: int, subscription: Subscription) -> None:
        if client := self.pick(number):
            client.resubscribe(subscription)

    @rule(number=which)
    def stop(self, number: int) -> None:
        if client := self.pick(number):
            self.clients.remove(client)

    @rule(number=which)
    def start_anew(self, number: int) -> None:
        """A client gives up everything and joins again under its member id."""
        if client := self.pick(number):
            client.ended()
            if client.instance_id is None:
                self.beat(client)

    @rule(number=which, fate=fates)
    def leave(self, number: int, fate: Fate) -> None:
        client = self.pick(number)
        if client is not None and client.epoch > 0:
            self.clients.remove(client)
            client.leave(LEAVING, fate)

    @rule(number=which, fate=fates)
    def leave_to_return(self, number: int, fate: Fate) -> None:
        client = self.pick(number)
        if client is not None and client.epoch > 0 and client.instance_id is not None:
            self.clients.remove(client)
            client.leave(AWAY, fate)
            self.gone.append(client)

    @precondition(lambda self: self.gone)
    @rule(number=which, same_id=st.booleans(), subscription=st.none() | subscriptions)
    def return_(self, number: int, same_id: bool, subscription: Subscription | None) -> None:
        if not self.gone:
            return
        old = self.gone[number % len(self.gone)]
        client = self.new(
            type(old),
            old.group_id,
            subscription or old.subscription,
            old.rebalance_timeout_ms,
            old.instance_id,
            old.assignor,
            old.member_id if same_id and not self.is_known(old) else None,
        )
        self.beat(client)
        self.gone.remove(old)

    @rule(number=which, same_id=st.booleans(), subscription=st.none() | subscriptions)
    def leave_and_return(self, number: int, same_id: bool, subscription: Subscription | None) -> None:
        """A static member is started anew."""
        away = len(self.gone)
        self.leave_to_return(number, "answered")
        if len(self.gone) > away:
            self.return_(away, same_id, subscription)

    @rule(group_id=groups, is_deleted=st.booleans(), subscription=subscriptions)
    def all_leave(self, group_id: str, is_deleted: bool, subscription: Subscription) -> None:
        """A group comes to its end, and another one of its name begins."""
        for client in [client for client in self.clients if client.group_id == group_id]:
            self.leave(self.clients.index(client), "answered")
        if is_deleted:
            self.delete_group(group_id)
        if len(self.clients) < 7:
            self.beat(self.new(LockstepClient, group_id, subscription, 7_000, None, None))

    def is_known(self, old: Client) -> bool:
        return any((client.group_id, client.member_id) == (old.group_id, old.member_id) for client in self.clients)

    @rule(number=which, kind=st.sampled_from(NONSENSE))
    def come_with_nonsense(self, number: int, kind: str) -> None:
        """What can't be of a member changes nothing."""
        known = [client for client in (*self.clients, *self.gone) if self.is_member(client)]
        if not known or self.coordinator.is_full:
            return
        client = known[number % len(known)]
        group = self.coordinator.shard.groups[client.group_id]
        member = group.members[client.member_id]
        group_id, member_id, epoch, instance_id = group.group_id, member.member_id, member.epoch, member.instance_id
        match kind:
            case "ahead":
                epoch = max(epoch, 0) + 1
            case "behind":
                epoch = min(member.previous_epoch, max(epoch, 0)) - 1
                if epoch <= 0:
                    return
            case "away":
                if not member.is_away or member.previous_epoch <= 0:
                    return
                epoch = member.previous_epoch
            case "unknown":
                member_id, epoch, instance_id = "nobody", max(epoch, 1), None
            case "instance":
                epoch, instance_id = max(epoch, 1), "nobody"
            case "no group":
                group_id, epoch = "nowhere", max(epoch, 1)
        for owned in (None, frozenset(), client.owned):
            request = Heartbeat(group_id, member_id, epoch, instance_id, owned=owned)
            with unchanged(self.coordinator):
                try:
                    answer = self.coordinator.decide(self.coordinator.shard.heartbeat(request, self.coordinator.now))
                except LogServerError as error:
                    assert error.code in (
                        ErrorCode.fenced_member_epoch,
                        ErrorCode.unknown_member_id,
                        ErrorCode.fenced_instance_id,
                    ), error
                    continue
            raise AssertionError((request, answer))

    def is_member(self, client: Client) -> bool:
        group = self.coordinator.shard.groups.get(client.group_id)
        return group is not None and client.member_id in group.members

    # Time

    @rule(ms=st.sampled_from([1, 100, 1_000, BEAT_MS, 7_000, 15_000, SESSION_MS - 1, SESSION_MS, 61_000, 700_000]))
    def pass_time(self, ms: int) -> None:
        """Time passes; all that becomes due happens when it does."""
        self.go_on(None)
        end = self.coordinator.now + ms
        for _ in range(5_000):
            next_ms = self.coordinator.shard.timers.next_ms
            if next_ms is None or next_ms > end:
                break
            self.coordinator.now = max(self.coordinator.now, next_ms)
            self.expire()
        else:
            raise AssertionError(f"something fires for ever: {self.coordinator.shard.timers._deadlines}")
        self.coordinator.now = end

    @rule(ms=st.sampled_from([BEAT_MS, SESSION_MS, 700_000]))
    def oversleep(self, ms: int) -> None:
        """The server does nothing for a while, and then everything that is due."""
        self.go_on(None)
        self.coordinator.now += ms
        self.expire()

    @rule(ms=st.sampled_from([BEAT_MS, 7_000]), beats=st.integers(1, 4))
    def live(self, ms: int, beats: int) -> None:
        """Time passes in which everybody sends heartbeats."""
        for _ in range(beats):
            self.pass_time(ms)
            for client in list(self.clients):
                self.beat(client)
                self.nobody_owns_what_another_owns()

    def members(self) -> set[tuple[str, str]]:
        return {
            (group_id, member_id)
            for group_id, group in self.coordinator.shard.groups.items()
            for member_id in group.members
        }

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
        subscribed = self.subscribed()
        was_checked = (coordinator.shard.timers.deadline(("retention",)) or 0) <= coordinator.now
        coordinator.expire()
        lost = before - self.members()
        if coordinator.is_full:
            assert not lost
            return
        # What could not be written is tried again a second later.
        assert lost == due or (self.has_been_full and lost < due), (lost, due)
        self.note_lost_offsets(empty_since, subscribed | self.subscribed(), was_checked)

    def subscribed(self) -> set[tuple[str, str]]:
        """Returns the groups with topics that members of theirs are subscribed to."""
        return {
            (group_id, topic)
            for group_id, group in self.coordinator.shard.groups.items()
            for topic in TOPICS
            if group.is_subscribed(topic)
        }

    def note_lost_offsets(
        self, empty_since: dict[str, int], subscribed: set[tuple[str, str]], was_checked: bool
    ) -> None:
        """Takes off what has expired; all of it had to, and nothing stays much longer."""
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
                since = max(value.commit_timestamp_ms, self.emptied.get(group_id, 0))
                assert now < since + LIMITS.offsets_retention_ms, (place, value)

    # Topics

    def is_orphaned(self, place: Place) -> bool:
        view = self.topics.by_name(place[1])
        return view is None or view.topic_id != self.offsets[place].topic_id

    @rule(
        topic=topics,
        action=st.sampled_from(["create", "grow", "delete", "again"]),
        count=st.integers(1, 4),
        at_once=st.booleans(),
    )
    def change_topics(self, topic: str, action: str, count: int, at_once: bool) -> None:
        view = self.topics.by_name(topic)
        if view is None:
            self.topics.create(topic, count)
        elif action == "grow":
            self.topics.grow(topic, view.partitions + count)
        elif action == "delete":
            self.topics.delete(topic)
        elif action == "again":
            self.topics.delete(topic)
            self.topics.create(topic, count)
        self.coordinator.carry_out(self.coordinator.shard.topics_changed(self.coordinator.now))
        if at_once:
            self.go_on(None)

    @rule(steps=st.none() | st.integers(1, 2))
    def go_on(self, steps: int | None) -> None:
        """What has been begun is carried on with."""
        self.coordinator.finish(steps)
        self.note_orphans()

    def note_orphans(self) -> None:
        for place in list(self.offsets):
            if place[1:] not in self.coordinator.shard.offsets.of(place[0]) and self.is_orphaned(place):
                del self.offsets[place]

    @precondition(lambda self: self.coordinator.tasks)
    @rule(number=which)
    def assignment_is_made(self, number: int) -> None:
        if self.coordinator.tasks:
            self.coordinator.bring_back(self.coordinator.tasks[number % len(self.coordinator.tasks)])
            self.note_orphans()

    # Offsets

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
        if request.member_epoch == member.epoch:
            return True
        place = self.places[request.group_id, request.member_id]
        since = self.since[request.group_id, place].get((view.topic_id, offset.partition))
        return since is not None and since[0] <= request.member_epoch

    def commit_as(self, request: Commit) -> list[bool]:
        expected = [self.spec_of_commit(request, offset) for offset in request.offsets]
        values = {}
        for offset, stored in zip(request.offsets, expected, strict=True):
            if stored:
                view = self.topics.by_name(offset.topic)
                assert view is not None
                values[request.group_id, offset.topic, offset.partition] = OffsetCommitValue(
                    offset.offset, offset.leader_epoch, offset.metadata, self.coordinator.now, topic_id=view.topic_id
                )
        try:
            answers = self.coordinator.decide(self.coordinator.shard.commit(request, self.coordinator.now))
        except LogServerError as error:
            if self.coordinator.is_full and error.code is ErrorCode.coordinator_not_available:
                return []
            assert not any(expected), (request, error)
            return []
        assert [answer is None for answer in answers] == expected, (request, answers, expected)
        self.offsets.update(values)
        return expected

    @rule(number=which, done=st.integers(0, 5), others=st.booleans())
    def commit(self, number: int, done: int, others: bool) -> None:
        """A client commits what it has done: it went on where its group was."""
        client = self.pick(number)
        if client is None or client.epoch <= 0:
            return
        offsets = []
        places = []
        for topic_id, partition in sorted(client.owned):
            view = self.topics.by_id(topic_id)
            if view is None:
                continue
            place = (client.group_id, view.name, partition)
            committed = self.offsets.get(place)
            position = committed.offset if committed is not None and committed.topic_id == topic_id else 0
            offsets.append(OffsetToCommit(view.name, partition, position + done, done - 1, f"by {client.member_id}"))
            places.append(place)
        if others:
            offsets += [
                OffsetToCommit("nowhere", 0, 1),
                OffsetToCommit("apples", 77, 1),
                OffsetToCommit("bananas", 0, -1),
            ]
        request = Commit(client.group_id, client.member_id, client.epoch, offsets, client.instance_id)
        stored = self.commit_as(request)
        if not client.is_declared_dead and not self.coordinator.is_full:
            # Who owns a partition and was told so commits for it.
            assert stored[: len(places)] == [True] * len(places), (client, request, stored)

    @rule(number=which, back=st.integers(1, 3), topic=topics)
    def commit_too_late(self, number: int, back: int, topic: str) -> None:
        """A commit of an older epoch arrives."""
        client = self.pick(number)
        if client is None or client.epoch - back <= 0:
            return
        offsets = [OffsetToCommit(topic, partition, 3) for partition in range(3)]
        expected = self.commit_as(
            Commit(client.group_id, client.member_id, client.epoch - back, offsets, client.instance_id)
        )
        if any(expected):
            # Only for what the client, or who it was before, still has.
            member = self.coordinator.shard.groups[client.group_id].members[client.member_id]
            view = self.topics.by_name(topic)
            assert view is not None
            for offset, stored in zip(offsets, expected, strict=True):
                partition = (view.topic_id, offset.partition)
                assert not stored or partition in member.assigned or partition in member.revoking

    @rule(group_id=groups, member_id=st.sampled_from(["", "nobody"]), epoch=st.sampled_from([-1, 0, 3]), topic=topics)
    def commit_as_nobody(self, group_id: str, member_id: str, epoch: int, topic: str) -> None:
        """Allowed where a group has no members, to who does not claim to be one."""
        self.commit_as(Commit(group_id, member_id, epoch, [OffsetToCommit(topic, 0, 7)]))

    @rule(group_id=groups, topic=topics)
    def delete_offsets(self, group_id: str, topic: str) -> None:
        shard = self.coordinator.shard
        places = [(topic, number) for number in range(4)]
        if not shard.has(group_id) or self.coordinator.is_full:
            return
        is_subscribed = group_id in shard.groups and any(
            topic in shard.groups[group_id].names_of(member) for member in shard.groups[group_id].members.values()
        )
        answers = self.coordinator.decide(shard.delete_offsets(group_id, places))
        assert [answer is not None for answer in answers] == [is_subscribed] * len(places)
        if not is_subscribed:
            for place in places:
                self.offsets.pop((group_id, *place), None)

    @rule(group_id=groups)
    def delete_group(self, group_id: str) -> None:
        shard = self.coordinator.shard
        has_members = any(key[0] == group_id for key in self.members())
        exists = group_id in shard.groups or any(place[0] == group_id for place in self.offsets)
        if self.coordinator.is_full:
            return
        try:
            self.coordinator.decide(shard.delete_group(group_id, self.coordinator.now))
        except LogServerError as error:
            expected = ErrorCode.non_empty_group if has_members else ErrorCode.group_id_not_found
            assert error.code is expected and (has_members or not exists)
            return
        assert exists and not has_members
        self.emptied.pop(group_id, None)
        self.offsets = {place: value for place, value in self.offsets.items() if place[0] != group_id}
        assert not shard.has(group_id)

    # The log

    @rule(is_full=st.booleans())
    def fill_disk(self, is_full: bool) -> None:
        self.coordinator.is_full = is_full
        self.has_been_full |= is_full

    def after_restart(self) -> None:
        self.has_been_full = self.coordinator.is_full
        now = self.coordinator.now
        self.sessions = dict.fromkeys(self.members(), now + SESSION_MS)
        for client in self.clients:
            if isinstance(client, StreamClient):
                client.break_stream()
        self.revocations.clear()
        for group_id, member_id in self.members():
            self.look_at(group_id, member_id)
        self.note_orphans()

    @rule()
    def crash(self) -> None:
        before = state_of(self.coordinator.shard)
        assert state_of(replayed(self.coordinator.log, self.coordinator.limits, self.topics, 0)) == before
        self.coordinator.restart()
        self.after_restart()

    @rule(number=which, is_commit=st.booleans())
    def crash_before_the_answer(self, number: int, is_commit: bool) -> None:
        """A heartbeat is decided on, but the crash comes before it is durable."""
        client = self.pick(number)
        if client is None or self.coordinator.carrying_out:
            return
        size = len(self.coordinator.log)
        since, places = dict(self.since), dict(self.places)
        emptied = dict(self.emptied)
        self.beat(client, "answer lost")
        del self.coordinator.log[size:]
        self.since, self.places, self.emptied = since, places, emptied
        self.coordinator.restart()
        self.after_restart()

    @rule(share=st.sampled_from([0.3, 0.7, 1.0]), kept=st.sampled_from([0.0, 0.5, 1.0]), seed=st.integers(0, 99))
    def compact(self, share: float, kept: float, seed: int) -> None:
        """The cleaner has come so far: of each key the last record stays, and of the tombstones some or all go."""
        log = self.coordinator.log
        end = round(share * len(log))
        chance = random.Random(seed)
        last = {record.key: index for index, record in enumerate(log[:end])}
        cleaned: list[Written] = [
            record
            for index, record in enumerate(log[:end])
            if last[record.key] == index and (record.value is not None or chance.random() < kept)
        ]
        log[:end] = cleaned
        again = replayed(log, self.coordinator.limits, self.topics, self.coordinator.now)
        assert state_of(again) == state_of(self.coordinator.shard)

    # Many steps at once

    @rule(seed=st.integers(0, 2**32), steps=st.integers(1, 60))
    def a_while(self, seed: int, steps: int) -> None:
        """A stretch of a group's life: long enough for what takes many steps."""
        chance = random.Random(seed)
        for _ in range(steps):
            action = chance.choices(list(ACTIONS), [weight for weight, _ in ACTIONS.values()])[0]
            arguments = ACTIONS[action][1](chance)
            if action == "join" and len(self.clients) >= 7:
                continue
            note(f"    {action} {arguments}")
            getattr(self, action)(**arguments)
            self.books_are_in_order()
            self.nobody_owns_what_another_owns()
            self.offsets_are_those_committed()
            self.timers_are_of_somebody()

    # Rest

    @rule()
    def settle(self) -> None:
        """Everybody does what is asked of them: soon nothing changes any more, and everything is owned."""
        coordinator = self.coordinator
        coordinator.is_full = False
        for client in self.clients:
            client.is_slow = False
            client.revoke()
        quiet = 0
        for _ in range(ROUNDS_TO_REST):
            size = len(coordinator.log)
            self.pass_time(BEAT_MS)
            for client in list(self.clients):
                self.beat(client)
                self.nobody_owns_what_another_owns()
            while coordinator.tasks:
                coordinator.bring_back(coordinator.tasks[0])
            self.go_on(None)
            quiet = quiet + 1 if len(coordinator.log) == size else 0
            if quiet == 2 + (SESSION_MS + BEAT_MS) // BEAT_MS:
                break
        else:
            raise AssertionError("the groups do not come to rest")
        self.has_been_full = False
        self.gone = [client for client in self.gone if (client.group_id, client.member_id) in self.members()]
        self.at_rest()

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


def _number(chance: random.Random) -> int:
    return chance.randrange(6)


def _fate(chance: random.Random) -> Fate:
    return chance.choices(FATES, (6, 1, 2))[0]


ACTIONS: Mapping[str, tuple[int, Callable[[random.Random], dict[str, Any]]]] = {
    "join": (
        6,
        lambda chance: {
            "door": chance.choice((LockstepClient, StreamClient)),
            "group_id": "g",
            "subscription": chance.choice(SUBSCRIPTIONS),
            "timeout_ms": chance.choice((7_000, 60_000)),
            "instance_id": chance.choice((None, *INSTANCES)),
            "assignor": chance.choice((None, "uniform", "range")),
            "fate": _fate(chance),
        },
    ),
    "heartbeat": (30, lambda chance: {"number": _number(chance), "fate": _fate(chance)}),
    "stream": (
        20,
        lambda chance: {
            "number": _number(chance),
            "actions": chance.choices(["send", "read", "look", "receive", "break", "open"], (6, 6, 6, 6, 1, 1), k=4),
        },
    ),
    "be_slow": (10, lambda chance: {"number": _number(chance), "is_slow": chance.random() < 0.6}),
    "resubscribe": (5, lambda chance: {"number": _number(chance), "subscription": chance.choice(SUBSCRIPTIONS)}),
    "leave": (2, lambda chance: {"number": _number(chance), "fate": _fate(chance)}),
    "stop": (1, lambda chance: {"number": _number(chance)}),
    "start_anew": (1, lambda chance: {"number": _number(chance)}),
    "leave_to_return": (2, lambda chance: {"number": _number(chance), "fate": "answered"}),
    "leave_and_return": (
        3,
        lambda chance: {"number": _number(chance), "same_id": chance.random() < 0.3, "subscription": None},
    ),
    "come_with_nonsense": (
        4,
        lambda chance: {"number": _number(chance), "kind": chance.choice(NONSENSE)},
    ),
    "live": (5, lambda chance: {"ms": BEAT_MS, "beats": 1}),
    "pass_time": (8, lambda chance: {"ms": chance.choice((1, 100, 1_000, BEAT_MS, 7_000, SESSION_MS))}),
    "change_topics": (
        3,
        lambda chance: {
            "topic": chance.choice(TOPICS),
            "action": chance.choice(("create", "grow", "delete", "again")),
            "count": chance.randint(1, 3),
            "at_once": chance.random() < 0.7,
        },
    ),
    "go_on": (2, lambda chance: {"steps": None}),
    "assignment_is_made": (6, lambda chance: {"number": _number(chance)}),
    "commit": (8, lambda chance: {"number": _number(chance), "done": chance.randrange(6), "others": False}),
    "commit_too_late": (
        4,
        lambda chance: {"number": _number(chance), "back": chance.randint(1, 3), "topic": chance.choice(TOPICS)},
    ),
    "crash": (1, lambda chance: {}),
    "compact": (1, lambda chance: {"share": chance.random(), "kept": 0.5, "seed": 0}),
}
"""What `a_while` does: how often, and with which arguments."""
