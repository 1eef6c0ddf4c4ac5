"""A shard of share groups through everything that can happen to it, against what members and topics there are."""

import random

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from logserver.coordinator.member import LEAVING
from logserver.coordinator.share.limits import ShareLimits
from logserver.errors import ErrorCode, LogServerError

from ..support import FakeTopics, Written, replayed, state_of
from .share_members import Sharing

SESSION_MS = 10_000
NAMES = ("a", "b", "c")
GROUPS = ("g", "h")
MEMBERS = ("m", "n", "o", "p")

groups = st.sampled_from(GROUPS)
members = st.sampled_from(MEMBERS)
subscriptions = st.lists(st.sampled_from(NAMES), min_size=1, unique=True).map(tuple)


class Client:
    """What a member believes: its epoch, what it subscribes to, and what it was told."""

    def __init__(self, topics: tuple[str, ...], epoch: int, heard_ms: int) -> None:
        self.topics = topics
        self.epoch = epoch
        self.assigned: frozenset[tuple[str, int]] = frozenset()
        self.heard_ms = heard_ms


class ShareModel(RuleBasedStateMachine):
    """What the share groups of a shard must do."""

    @initialize(interval=st.sampled_from([0, 100, 3_000]))
    def begin(self, interval: int) -> None:
        limits = ShareLimits(SESSION_MS, assignment_interval_ms=interval, max_members=3)
        self.sharing = Sharing(FakeTopics(a=2), limits, keeps_state=False)
        self.clients: dict[tuple[str, str], Client] = {}

    # Members

    @rule(group_id=groups, member_id=members, topics=subscriptions)
    def join(self, group_id: str, member_id: str, topics: tuple[str, ...]) -> None:
        others = {member for group, member in self.clients if group == group_id} - {member_id}
        try:
            answer = self.sharing.beat(member_id, 0, *topics, group_id=group_id)
        except LogServerError as error:
            if error.code is ErrorCode.group_max_size_reached:
                assert len(others) == 3
            else:
                assert error.code is ErrorCode.coordinator_not_available and self.sharing.is_full
                # It was heard all the same.
                if (group_id, member_id) in self.clients:
                    self.clients[group_id, member_id].heard_ms = self.sharing.now
            return
        assert len(others) < 3
        client = self.clients[group_id, member_id] = Client(topics, answer.member_epoch, self.sharing.now)
        # Who joins is told everything.
        assert answer.assigned is not None
        client.assigned = answer.assigned

    @rule(group_id=groups, member_id=members, is_answered=st.booleans(), topics=st.none() | subscriptions)
    def beat(self, group_id: str, member_id: str, is_answered: bool, topics: tuple[str, ...] | None) -> None:
        client = self.clients.get((group_id, member_id))
        if client is None:
            self._refused(group_id, member_id, 1)
            return
        try:
            answer = self.sharing.beat(member_id, client.epoch, *(topics or ()), group_id=group_id)
        except LogServerError as error:
            assert error.code is ErrorCode.coordinator_not_available and self.sharing.is_full
            # The heartbeat was heard all the same.
            client.heard_ms = self.sharing.now
            return
        client.heard_ms = self.sharing.now
        client.topics = topics or client.topics
        if not is_answered:
            # It does not know what it has been told, and says everything the next time.
            self.join(group_id, member_id, client.topics)
            return
        assert answer.member_epoch >= client.epoch
        client.epoch = answer.member_epoch
        if answer.assigned is not None:
            client.assigned = answer.assigned

    def _refused(self, group_id: str, member_id: str, epoch: int) -> None:
        try:
            self.sharing.beat(member_id, epoch, group_id=group_id)
        except LogServerError as error:
            if error.code is ErrorCode.group_max_size_reached:
                assert sum(group == group_id for group, _ in self.clients) == 3
            else:
                assert error.code in (ErrorCode.unknown_member_id, ErrorCode.group_id_not_found)
        else:
            raise AssertionError(f"{member_id} is no member of {group_id}")

    @rule(group_id=groups, member_id=members)
    def leave(self, group_id: str, member_id: str) -> None:
        if (group_id, member_id) not in self.clients:
            self._refused(group_id, member_id, LEAVING)
            return
        try:
            self.sharing.leave(member_id, group_id)
        except LogServerError as error:
            assert error.code is ErrorCode.coordinator_not_available and self.sharing.is_full
            return
        del self.clients[group_id, member_id]

    @rule(group_id=groups)
    def delete(self, group_id: str) -> None:
        shard, now = self.sharing.shard, self.sharing.now
        has_members = any(group == group_id for group, _ in self.clients)
        try:
            self.sharing.decide(shard.begin_share_deletion(group_id, now))
            self.sharing.decide(shard.delete_group(group_id, now))
        except LogServerError as error:
            if error.code is ErrorCode.coordinator_not_available:
                assert self.sharing.is_full
            elif error.code is ErrorCode.non_empty_group:
                assert has_members
            else:
                assert error.code is ErrorCode.group_id_not_found
                assert group_id not in shard.share.groups
            return
        assert not has_members and group_id not in shard.group_ids()

    # State of partitions

    @rule(is_there=st.booleans())
    def report(self, is_there: bool) -> None:
        """What was asked for is there, or could not be made."""
        share = self.sharing.shard.share
        asked, self.sharing.asked = self.sharing.asked, []
        for group_id, _, partitions in asked:
            decide = share.initialized if is_there else share.not_initialized
            try:
                self.sharing.decide(decide(group_id, partitions))
            except LogServerError as error:
                assert error.code is ErrorCode.coordinator_not_available and self.sharing.is_full

    @rule()
    def lose_reports(self) -> None:
        self.sharing.asked.clear()

    # Topics

    @rule(name=st.sampled_from(NAMES), partitions=st.integers(1, 4))
    def change_topic(self, name: str, partitions: int) -> None:
        view = self.sharing.topics.by_name(name)
        if view is None:
            self.sharing.topics.create(name, partitions)
        elif partitions > view.partitions:
            self.sharing.topics.grow(name, partitions)
        else:
            self.sharing.topics.delete(name)
        self.sharing.topics_changed()

    # Time and the log

    @rule(ms=st.sampled_from([1, 99, 2_000, SESSION_MS - 1, SESSION_MS]))
    def wait(self, ms: int) -> None:
        self.sharing.advance(ms)
        if not self.sharing.is_full:
            now = self.sharing.now
            self.clients = {key: it for key, it in self.clients.items() if now < it.heard_ms + SESSION_MS}

    @rule(is_full=st.booleans())
    def fill_disk(self, is_full: bool) -> None:
        self.sharing.is_full = is_full
        if not is_full:
            # What could not be written has its time again soon.
            self.wait(1_000)

    @precondition(lambda self: not self.sharing.is_full)
    @rule()
    def crash(self) -> None:
        before = state_of(self.sharing.shard)
        assert state_of(replayed(self.sharing.log, self.sharing.limits, self.sharing.topics, 0)) == before
        self.sharing.asked.clear()
        self.sharing.restart()
        for client in self.clients.values():
            client.heard_ms = self.sharing.now

    @rule(share=st.sampled_from([0.3, 0.7, 1.0]), kept=st.sampled_from([0.0, 0.5, 1.0]), seed=st.integers(0, 99))
    def compact(self, share: float, kept: float, seed: int) -> None:
        """The cleaner has come so far: of each key the last record stays, and of the tombstones some or all go."""
        log = self.sharing.log
        end = round(share * len(log))
        chance = random.Random(seed)
        last = {record.key: index for index, record in enumerate(log[:end])}
        cleaned: list[Written] = [
            record
            for index, record in enumerate(log[:end])
            if last[record.key] == index and (record.value is not None or chance.random() < kept)
        ]
        log[:end] = cleaned
        again = replayed(log, self.sharing.limits, self.sharing.topics, self.sharing.now)
        assert state_of(again) == state_of(self.sharing.shard)

    # What always holds

    @invariant()
    def members_are_who_was_heard(self) -> None:
        if not hasattr(self, "sharing") or self.sharing.is_full:
            return
        found = {
            (group_id, member_id)
            for group_id, group in self.sharing.shard.share.groups.items()
            for member_id in group.members
        }
        assert found == self.clients.keys()

    @invariant()
    def groups_are_consistent(self) -> None:
        if not hasattr(self, "sharing"):
            return
        for group in self.sharing.shard.share.groups.values():
            group.check()
            there = group.topics
            for target in group.targets.values():
                for topic_id, _ in target:
                    assert topic_id not in there.deleting

    def teardown(self) -> None:
        """In the end everybody is heard, and every partition of what they subscribe to is somebody's."""
        if not hasattr(self, "sharing"):
            return
        sharing = self.sharing
        self.fill_disk(False)
        sharing.keeps_state = True
        sharing.topics_changed()
        # State that nobody has reported on is asked for anew after half a minute.
        for _ in range(30):
            for group_id, member_id in list(self.clients):
                self.beat(group_id, member_id, True, None)
            self.wait(4_000)
        for group_id in GROUPS:
            mine = {member: it for (group, member), it in self.clients.items() if group == group_id}
            wanted = sharing.topics.partitions_of({name for it in mine.values() for name in it.topics})
            got = {partition for it in mine.values() for partition in it.assigned}
            assert got == wanted, (group_id, got, wanted, vars(sharing.shared(group_id)), sharing.now)
            for it in mine.values():
                assert it.assigned <= sharing.topics.partitions_of(it.topics)
                may = sharing.topics.partitions_of(it.topics)
                assert it.assigned or not may, "nobody is without work"
