"""A group with members of both protocols through everything that can happen to it.

It changes from one kind to the other and back while members come, go, fall silent, lose requests and answers, and the
coordinator crashes.
"""

import random
from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from logserver.coordinator import assignment
from logserver.coordinator.classic_group import ClassicState
from logserver.coordinator.formats import MemberState
from logserver.coordinator.member import AWAY, LEAVING
from logserver.coordinator.requests import Subscription

from .clients import Client, Fate, LockstepClient, StreamClient
from .group_values import FATES, fates, which
from .mixed_clients import ClassicClient
from .mixed_spec import BEAT_MS, GROUP, LIMITS, REBALANCES_MS, SESSION_MS, TOPICS, Anybody, MixedSpec
from .support import Written

MOST = 7
INSTANCES = ("one", "two")
SUBSCRIPTIONS = (("apples",), ("apples",), ("apples", "bananas"))
TIMES_MS = (1, 100, 1_000, BEAT_MS, 7_000, SESSION_MS - 1, SESSION_MS, 21_000)
ROUNDS_TO_REST = 60

instance_ids = st.sampled_from([None, None, *INSTANCES])
subscriptions = st.sampled_from(SUBSCRIPTIONS)


class MixedModel(MixedSpec):
    """What clients do, and what the world does to them."""

    @initialize(
        interval=st.sampled_from([0, 100, 12_000]),
        is_large=st.booleans(),
        partitions=st.integers(1, 5),
        is_cooperative=st.booleans(),
        seed=st.integers(0, 2**32),
        steps=st.sampled_from([0, 50, 200]),
    )
    def begin(
        self, interval: int, is_large: bool, partitions: int, is_cooperative: bool, seed: int, steps: int
    ) -> None:
        self.coordinator.limits = LIMITS._replace(assignment_interval_ms=interval)
        self.coordinator.restart()
        self.coordinator.after_write = self.written
        self.is_cooperative = is_cooperative
        if is_large:
            assignment._LARGE = 2
        self.topics.create("apples", partitions)
        self.topics.create("bananas", 2)
        self.a_while(seed, steps)

    def teardown(self) -> None:
        try:
            self.settle()
        finally:
            assignment._LARGE = self.large

    # Coming

    @precondition(lambda self: len(self.everybody) < MOST)
    @rule(
        subscribed=subscriptions,
        instance_id=instance_ids,
        rebalance_ms=st.sampled_from(REBALANCES_MS),
        in_two_steps=st.booleans(),
        fate=fates,
    )
    def classic_comes(
        self, subscribed: tuple[str, ...], instance_id: str | None, rebalance_ms: int, in_two_steps: bool, fate: Fate
    ) -> None:
        self.made += 1
        client = ClassicClient(
            self.coordinator,
            self.topics,
            GROUP,
            f"c{self.made}",
            subscribed,
            is_cooperative=self.is_cooperative,
            instance_id=instance_id,
            session_ms=SESSION_MS,
            rebalance_ms=rebalance_ms,
            in_two_steps=in_two_steps,
        )
        self.classic.append(client)
        client.step(fate)

    @precondition(lambda self: len(self.everybody) < MOST)
    @rule(
        door=st.sampled_from([LockstepClient, StreamClient]),
        subscribed=subscriptions,
        instance_id=instance_ids,
        rebalance_ms=st.sampled_from(REBALANCES_MS),
        fate=fates,
    )
    def consumer_comes(
        self, door: type[Client], subscribed: tuple[str, ...], instance_id: str | None, rebalance_ms: int, fate: Fate
    ) -> None:
        self.made += 1
        # The same in other words, now and then.
        by_pattern = subscribed == ("apples",) and self.made % 2 == 0
        subscription = Subscription((), "ap.*") if by_pattern else Subscription(subscribed)
        client = door(self.coordinator, GROUP, f"k{self.made}", subscription, rebalance_ms, instance_id, None)
        self.modern.append(client)
        self.beat(client, fate)

    # What they do

    def pick(self, number: int) -> Anybody | None:
        return self.everybody[number % len(self.everybody)] if self.everybody else None

    def beat(self, client: Client, fate: Fate) -> None:
        was_member = client.epoch > 0
        stays = client.beat(fate)
        # Another one has its place; clients give up then (FENCED_INSTANCE_ID).
        is_fenced = was_member and client.epoch == 0 and self.owner_of(client.instance_id) is not None
        if not stays or is_fenced:
            self.modern.remove(client)

    def owner_of(self, instance_id: str | None) -> str | None:
        """Returns the member id that has an instance id."""
        shard = self.coordinator.shard
        for group in (shard.groups.get(GROUP), shard.classic.get(GROUP)):
            if group is not None and instance_id is not None and instance_id in group.instances:
                return group.instances[instance_id]
        return None

    def act(self, client: Anybody, fate: Fate = "answered") -> None:
        if isinstance(client, ClassicClient):
            client.step(fate)
        else:
            self.beat(client, fate)

    @rule(number=which, fate=fates)
    def acts(self, number: int, fate: Fate) -> None:
        if client := self.pick(number):
            self.act(client, fate)

    @rule()
    def all_act(self) -> None:
        for client in self.everybody:
            self.act(client)
            self.nobody_owns_what_another_owns()

    @rule(number=which, is_slow=st.booleans())
    def be_slow(self, number: int, is_slow: bool) -> None:
        client = self.pick(number)
        if isinstance(client, Client):
            client.is_slow = is_slow
            if not is_slow:
                client.revoke()

    @rule(number=which)
    def joins_again(self, number: int) -> None:
        """As a client does whose request has taken too long, or whose topics have changed."""
        client = self.pick(number)
        if isinstance(client, ClassicClient):
            client.connection_is_lost()
            if client.phase == "stable":
                client.phase = "out"

    @rule(number=which, fate=fates)
    def leaves(self, number: int, fate: Fate) -> None:
        client = self.pick(number)
        if isinstance(client, ClassicClient):
            client.leaves(fate)
            self.classic.remove(client)
        elif client is not None and client.epoch > 0:
            self.modern.remove(client)
            client.leave(LEAVING, fate)

    @rule(number=which)
    def dies(self, number: int) -> None:
        client = self.pick(number)
        if isinstance(client, ClassicClient):
            client.dies()
            self.classic.remove(client)
        elif client is not None:
            self.modern.remove(client)

    @rule(number=which, subscribed=subscriptions, has_left=st.booleans())
    def changes_its_protocol(self, number: int, subscribed: tuple[str, ...], has_left: bool) -> None:
        """A client is started anew with the other protocol, in its former place if it is static."""
        client = self.pick(number)
        if client is None:
            return
        instance_id = client.instance_id
        if isinstance(client, ClassicClient):
            self.classic.remove(client)
            if instance_id is None and has_left:
                client.leaves()
            client.dies()
            self.consumer_comes(LockstepClient, subscribed, instance_id, 8_000, "answered")
        else:
            self.modern.remove(client)
            if client.epoch > 0 and has_left:
                client.leave(AWAY if instance_id is not None else LEAVING, "answered")
            self.classic_comes(subscribed, instance_id, 8_000, True, "answered")

    @rule(number=which, done=st.integers(0, 5), at_once=st.booleans())
    def commits(self, number: int, done: int, at_once: bool) -> None:
        if client := self.pick(number):
            self.sends_commit(client, done)
            if at_once:
                while self.late.get(client):
                    self.commit_arrives(client)

    @rule(number=which)
    def a_commit_arrives(self, number: int) -> None:
        """One that is on its way, its client may have gone meanwhile."""
        under_way = [client for client, waiting in self.late.items() if waiting]
        if under_way:
            self.commit_arrives(under_way[number % len(under_way)])

    # The world

    @rule(ms=st.sampled_from(TIMES_MS))
    def time_passes(self, ms: int) -> None:
        self.coordinator.finish()
        self.coordinator.advance(ms)

    @rule(ms=st.sampled_from([BEAT_MS, 7_000]), beats=st.integers(1, 4))
    def live(self, ms: int, beats: int) -> None:
        """Time passes in which everybody does what comes next."""
        for _ in range(beats):
            self.time_passes(ms)
            self.all_act()

    @rule(topic=st.sampled_from(TOPICS), count=st.integers(1, 3))
    def topic_grows(self, topic: str, count: int) -> None:
        view = self.topics.by_name(topic)
        if view is not None and view.partitions < 8:
            self.topics.grow(topic, view.partitions + count)
            self.coordinator.topics_changed()

    @rule(number=which)
    def assignment_is_made(self, number: int) -> None:
        if self.coordinator.tasks:
            self.coordinator.bring_back(self.coordinator.tasks[number % len(self.coordinator.tasks)])

    @rule(is_full=st.booleans())
    def fill_disk(self, is_full: bool) -> None:
        self.coordinator.is_full = is_full
        self.has_been_full |= is_full

    @rule()
    def crash(self) -> None:
        self.is_as_its_log_says()
        self.coordinator.restart()
        self.after_crash()

    def after_crash(self) -> None:
        self.has_been_full = self.coordinator.is_full
        self.coordinator.inbox.clear()
        for one in self.classic:
            one.connection_is_lost()
        for client in self.modern:
            if isinstance(client, StreamClient):
                client.break_stream()
        if self.last is not None and not self.last.members:
            return
        classic = self.coordinator.shard.classic.get(GROUP)
        if classic is not None:
            self.is_as_recorded(classic)

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
        self.is_as_its_log_says()

    # Many steps at once

    @rule(seed=st.integers(0, 2**32), steps=st.sampled_from([20, 60, 120]))
    def a_while(self, seed: int, steps: int) -> None:
        """A stretch of a group's life: long enough for what takes many steps."""
        chance = random.Random(seed)
        for _ in range(steps):
            action = chance.choices(list(ACTIONS), [weight for weight, _ in ACTIONS.values()])[0]
            if action.endswith("comes") and len(self.everybody) >= MOST:
                continue
            arguments = ACTIONS[action][1](chance)
            note(f"    {action} {arguments}")
            getattr(self, action)(**arguments)
            self.nobody_owns_what_another_owns()
            self.books_are_in_order()
            self.timers_are_of_somebody()
            self.offsets_are_those_committed()

    # Rest

    @rule()
    def settle(self) -> None:
        """Everybody does what is asked of them: soon nothing changes any more, and everything is owned."""
        coordinator = self.coordinator
        coordinator.is_full = False
        for client in self.modern:
            client.is_slow = False
            client.revoke()
        quiet = 0
        for _ in range(ROUNDS_TO_REST):
            size = len(coordinator.log)
            self.time_passes(BEAT_MS)
            for _ in range(3):
                self.all_act()
            while coordinator.tasks:
                coordinator.bring_back(coordinator.tasks[0])
            coordinator.finish()
            quiet = quiet + 1 if len(coordinator.log) == size else 0
            if quiet == 2 + LIMITS.session_timeout_ms // BEAT_MS and all(
                one.phase in ("stable", "over") for one in self.classic
            ):
                break
        else:
            raise AssertionError(f"the group does not come to rest: {self.everybody}")
        self.has_been_full = False
        self.at_rest()

    def at_rest(self) -> None:
        shard = self.coordinator.shard
        group, classic = shard.groups.get(GROUP), shard.classic.get(GROUP)
        alive: list[Anybody] = [
            *(one for one in self.classic if not one.is_over),
            *(client for client in self.modern if client.epoch > 0),
        ]
        ids = {client.member_id for client in alive}
        # As many as use the other protocol say which kind of group it is.
        if any(isinstance(client, Client) for client in alive):
            assert group is not None and group.members.keys() == ids
            assert shard.state_of(GROUP) == "stable"
            assert all(member.state is MemberState.STABLE for member in group.members.values())
        elif alive:
            assert classic is not None and classic.state is ClassicState.STABLE, (group, classic)
            assert classic.members.keys() == ids
        else:
            assert (group is None or group.is_empty) and (classic is None or classic.is_empty)
        owned = sorted((partition, client.member_id) for client in alive for partition in client.owned)
        assert len({partition for partition, _ in owned}) == len(owned), owned
        wanted = {name for client in alive for name in self.names_of(client)}
        assert {partition for partition, _ in owned} == self.topics.partitions_of(wanted), (owned, alive)
        for client in alive:
            assert client.owned <= self.topics.partitions_of(self.names_of(client))
        kind = "session" if group is not None and not group.is_empty else "classic session"
        timers = {key for key in shard.timers._deadlines if key[0] != "retention"}
        assert timers == {(kind, GROUP, member_id) for member_id in ids}, timers

    def names_of(self, client: Anybody) -> tuple[str, ...]:
        if isinstance(client, ClassicClient):
            return tuple(client.subscribed)
        pattern = client.subscription.pattern
        return (*client.subscription.topics, *(self.topics.matching(pattern) if pattern is not None else ()))


def _number(chance: random.Random) -> int:
    return chance.randrange(6)


def _fate(chance: random.Random) -> Fate:
    return chance.choices(FATES, (8, 1, 1))[0]


ACTIONS: Mapping[str, tuple[int, Callable[[random.Random], dict[str, Any]]]] = {
    "classic_comes": (
        5,
        lambda chance: {
            "subscribed": chance.choice(SUBSCRIPTIONS),
            "instance_id": chance.choice((None, None, *INSTANCES)),
            "rebalance_ms": chance.choice(REBALANCES_MS),
            "in_two_steps": chance.random() < 0.7,
            "fate": _fate(chance),
        },
    ),
    "consumer_comes": (
        4,
        lambda chance: {
            "door": chance.choice((LockstepClient, StreamClient)),
            "subscribed": chance.choice(SUBSCRIPTIONS),
            "instance_id": chance.choice((None, None, *INSTANCES)),
            "rebalance_ms": chance.choice(REBALANCES_MS),
            "fate": _fate(chance),
        },
    ),
    "acts": (40, lambda chance: {"number": _number(chance), "fate": _fate(chance)}),
    "all_act": (12, lambda chance: {}),
    "be_slow": (4, lambda chance: {"number": _number(chance), "is_slow": chance.random() < 0.5}),
    "joins_again": (2, lambda chance: {"number": _number(chance)}),
    "leaves": (3, lambda chance: {"number": _number(chance), "fate": _fate(chance)}),
    "dies": (2, lambda chance: {"number": _number(chance)}),
    "changes_its_protocol": (
        6,
        lambda chance: {
            "number": _number(chance),
            "subscribed": chance.choice(SUBSCRIPTIONS),
            "has_left": chance.random() < 0.6,
        },
    ),
    "commits": (
        16,
        lambda chance: {"number": _number(chance), "done": chance.randrange(6), "at_once": chance.random() < 0.6},
    ),
    "a_commit_arrives": (5, lambda chance: {"number": _number(chance)}),
    "time_passes": (8, lambda chance: {"ms": chance.choice(TIMES_MS)}),
    "live": (6, lambda chance: {"ms": BEAT_MS, "beats": 1}),
    "topic_grows": (1, lambda chance: {"topic": chance.choice(TOPICS), "count": 1}),
    "assignment_is_made": (5, lambda chance: {"number": _number(chance)}),
    "crash": (2, lambda chance: {}),
    "compact": (1, lambda chance: {"share": chance.random(), "kept": 0.5, "seed": 0}),
}
"""What `a_while` does: how often, and with which arguments."""
