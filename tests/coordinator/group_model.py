"""A shard of consumer groups through everything that can happen to it, against clients and a plain specification."""

import random

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from logserver.coordinator import assignment
from logserver.coordinator.requests import Subscription

from .clients import Client, LockstepClient, StreamClient
from .group_life import ACTIONS
from .group_offsets import OffsetRules
from .group_values import BEAT_MS, LIMITS, ROUNDS_TO_REST, SESSION_MS, doors, groups, instance_ids, subscriptions, which
from .support import Coordinator, Written, replayed, state_of


class GroupModel(OffsetRules):
    """What the groups of a shard must do."""

    @initialize(
        interval=st.sampled_from([0, 100, 12_000]),
        is_large=st.booleans(),
        partitions=st.integers(1, 5),
        members=st.lists(st.tuples(doors, subscriptions, instance_ids), max_size=4),
        seed=st.integers(0, 2**32),
        steps=st.sampled_from([0, 50, 200]),
    )
    def begin(
        self,
        interval: int,
        is_large: bool,
        partitions: int,
        members: list[tuple[type[Client], Subscription, str | None]],
        seed: int,
        steps: int,
    ) -> None:
        self.coordinator = Coordinator(self.topics, LIMITS._replace(assignment_interval_ms=interval))
        self.coordinator.after_write = self.written
        if is_large:
            assignment._LARGE = 2
        self.topics.create("apples", partitions)
        self.topics.create("bananas", 2)
        for door, subscription, instance_id in members:
            self.beat(self.new(door, "g", subscription, 7_000, instance_id, None))
        self.a_while(seed, steps)

    def teardown(self) -> None:
        try:
            self.settle()
        finally:
            assignment._LARGE = self.large

    @rule(group_id=groups, is_deleted=st.booleans(), subscription=subscriptions)
    def all_leave(self, group_id: str, is_deleted: bool, subscription: Subscription) -> None:
        """A group comes to its end, and another one of its name begins."""
        for client in [client for client in self.clients if client.group_id == group_id]:
            self.leave(self.clients.index(client), "answered")
        if is_deleted:
            self.delete_group(group_id)
        if len(self.clients) < 7:
            self.beat(self.new(LockstepClient, group_id, subscription, 7_000, None, None))

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

    @rule(number=which)
    def crash_before_the_answer(self, number: int) -> None:
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

    @rule(seed=st.integers(0, 2**32), steps=st.sampled_from([5, 20, 60, 120]))
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
