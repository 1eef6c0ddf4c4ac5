"""A classic group through everything that can happen to it, against clients and a plain specification."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from logserver.coordinator.classic_group import ClassicState
from logserver.coordinator.classic_requests import JoinAnswer, JoinedMember, SyncAnswer
from logserver.coordinator.decision import Entry
from logserver.coordinator.formats import GroupMetadataKey, GroupMetadataValue
from logserver.coordinator.limits import GroupLimits
from logserver.errors import ErrorCode, LogServerError

from .classic_support import ClassicCoordinator, subscription
from .support import FakeTopics

PARTITIONS = 5
SESSION_MS = 10_000
REBALANCES_MS = (8_000, 20_000)
BEAT_MS = 3_000
SLACK_MS = 2_500
"""What could not be written is tried again after a second, and the disk is full for two of them at most."""
CHOICES = (("range",), ("range", "sticky"), ("sticky", "range"), ("sticky",))
MOST_MEMBERS = 5


@dataclass(eq=False)
class Client:
    """A client of the classic protocol: what it knows, and what it does next."""

    instance_id: str | None
    in_two_steps: bool
    rebalance_ms: int
    names: Sequence[str]
    member_id: str = ""
    phase: str = "out"
    """out, joined, stable; or over, for one that is fenced, dead or has left."""
    waiting_since: int | None = None
    generation: int = -1
    members: Sequence[JoinedMember] = ()
    is_leader: bool = False
    skips: bool = False
    assignment: bytes = b""
    former: list[tuple[str, int]] = field(default_factory=list)
    """Member ids with generations that it has had."""

    @property
    def protocols(self) -> list[tuple[str, bytes]]:
        return [(name, subscription("a")) for name in self.names]


def assign(members: Sequence[JoinedMember]) -> dict[str, bytes]:
    """Returns who gets which partitions: in turns."""
    ids = sorted(member.member_id for member in members)
    return {member_id: bytes(range(PARTITIONS)[number :: len(ids)]) for number, member_id in enumerate(ids)}


class ClassicModel(RuleBasedStateMachine):
    """What a classic group must do."""

    def __init__(self) -> None:
        super().__init__()
        self.clients: list[Client] = []
        self.begin_with(0)

    @initialize(delay_ms=st.sampled_from([0, 0, 3_000]))
    def begin_with(self, delay_ms: int) -> None:
        limits = GroupLimits(classic_max_members=MOST_MEMBERS, initial_rebalance_delay_ms=delay_ms)
        self.it = ClassicCoordinator(FakeTopics(a=PARTITIONS), limits)
        self.it.after_write = self.written
        self.last: GroupMetadataValue | None = None
        self.offsets: dict[tuple[str, int], int] = {}
        self.full_until = 0

    def teardown(self) -> None:
        self.settle()

    # What the model takes down of each write

    def written(self, entries: Sequence[Entry]) -> None:
        for key, value in entries:
            if not isinstance(key, GroupMetadataKey):
                continue
            assert isinstance(value, GroupMetadataValue)
            before = self.last
            if before is not None and value.generation == before.generation:
                # A static member has come back: all have what they had.
                assert owned(value) == owned(before)
            elif before is not None:
                assert value.generation > before.generation
            self.last = value

    # What must always hold

    @invariant()
    def nobody_owns_what_another_owns(self) -> None:
        group = self.it.shard.classic.get("g")
        if group is None or group.state is not ClassicState.STABLE:
            return
        assert self.last is not None
        assert self.last.generation == group.generation
        of_log = {member.member_id: member.assignment for member in self.last.members}
        assert of_log == group.assignments()
        owners: dict[int, Client] = {}
        for client in self.clients:
            if client.phase != "stable" or client.generation != group.generation:
                continue
            if client.member_id not in group.members:
                continue
            # Everybody was told what the leader said.
            assert client.assignment == of_log[client.member_id]
            for partition in client.assignment:
                assert owners.setdefault(partition, client) is client

    @invariant()
    def books_are_in_order(self) -> None:
        group = self.it.shard.classic.get("g")
        if group is None:
            return
        assert len(group.members) + len(group.pending) <= MOST_MEMBERS
        assert group.instances == {
            member.instance_id: member_id for member_id, member in group.members.items() if member.instance_id
        }
        assert group.pending.isdisjoint(group.members)
        assert group.awaited_syncs <= group.members.keys()
        waits = {"joining": set[str](), "syncing": set[str]()}
        for member_id, member in group.members.items():
            assert member.member_id == member_id
            if member.is_joining:
                waits["joining"].add(member_id)
            if member.is_syncing:
                waits["syncing"].add(member_id)
        assert not waits["joining"] or group.state is ClassicState.PREPARING
        assert not waits["syncing"] or group.state is ClassicState.COMPLETING
        match group.state:
            case ClassicState.EMPTY:
                assert not group.members
            case ClassicState.STABLE | ClassicState.COMPLETING:
                assert group.leader in group.members
                assert group.protocol in group.common_protocols()
        deadlines = self.it.shard.timers._deadlines
        for member_id in (*group.members, *group.pending):
            # Somebody looks after everyone.
            assert ("classic session", "g", member_id) in deadlines or member_id in waits["syncing"]
        if group.state is ClassicState.PREPARING:
            assert ("classic joining", "g") in deadlines
        if group.state is ClassicState.COMPLETING:
            assert ("classic syncing", "g") in deadlines

    @invariant()
    def nobody_waits_for_long(self) -> None:
        for client in self.clients:
            if client.waiting_since is not None and client.member_id not in self.it.inbox:
                waited_ms = self.it.now - client.waiting_since
                assert waited_ms <= max(REBALANCES_MS) + SESSION_MS + SLACK_MS, (client, waited_ms)

    @invariant()
    def offsets_are_those_committed(self) -> None:
        assert self.it.committed() == self.offsets

    # Clients

    @precondition(lambda self: len(self.clients) < 8)
    @rule(
        instance_id=st.sampled_from([None, None, "one", "two"]),
        in_two_steps=st.booleans(),
        rebalance_ms=st.sampled_from(REBALANCES_MS),
        names=st.sampled_from(CHOICES),
    )
    def comes(self, instance_id: str | None, in_two_steps: bool, rebalance_ms: int, names: Sequence[str]) -> None:
        self.clients.append(Client(instance_id, in_two_steps, rebalance_ms, names))
        self.step(self.clients[-1])

    @precondition(lambda self: self.clients)
    @rule(which=st.integers(0, 7))
    def acts(self, which: int) -> None:
        self.step(self.clients[which % len(self.clients)])

    @rule()
    def all_act(self) -> None:
        for client in self.clients:
            self.step(client)

    @precondition(lambda self: self.clients)
    @rule(which=st.integers(0, 7))
    def joins_again(self, which: int) -> None:
        """As a client does whose request has timed out, or whose subscription is checked anew."""
        client = self.clients[which % len(self.clients)]
        if client.phase != "over":
            self.it.inbox.pop(client.member_id, None)
            self.out(client)
            self.step(client)

    @precondition(lambda self: self.clients)
    @rule(which=st.integers(0, 7))
    def dies(self, which: int) -> None:
        self.over(self.clients[which % len(self.clients)])

    @precondition(lambda self: self.clients)
    @rule(which=st.integers(0, 7))
    def leaves(self, which: int) -> None:
        client = self.clients[which % len(self.clients)]
        if client.phase == "over" or not client.member_id:
            return
        try:
            error = self.it.leave((client.member_id, client.instance_id) if client.instance_id else client.member_id)
        except LogServerError as refusal:
            error = [refusal.code]
        if error == [None]:
            group = self.it.shard.classic["g"]
            assert client.member_id not in group.members
            assert client.member_id not in group.pending
        self.it.inbox.pop(client.member_id, None)
        self.over(client)

    @precondition(lambda self: self.clients)
    @rule(which=st.integers(0, 7), partition=st.integers(0, PARTITIONS - 1), offset=st.integers(0, 9))
    def commits(self, which: int, partition: int, offset: int) -> None:
        client = self.clients[which % len(self.clients)]
        if client.phase != "over":
            self.commit(client.member_id, client.generation, client.instance_id, partition, offset)

    @precondition(lambda self: any(client.former for client in self.clients))
    @rule(which=st.integers(0, 7), what=st.integers(0, 3), ahead=st.integers(-1, 1))
    def a_former_self_speaks(self, which: int, what: int, ahead: int) -> None:
        """Members that are none any more, and members of other generations, change nothing."""
        formers = [(client, *former) for client in self.clients for former in client.former]
        client, member_id, generation = formers[which % len(formers)]
        group = self.it.shard.classic.get("g")
        generation += ahead
        is_member = group is not None and (member_id in group.members or member_id in group.pending)
        if group is not None and is_member and (generation == group.generation or what == 3):
            return
        acts: Sequence[Callable[[], Any]] = (
            lambda: self.it.beat(member_id, generation, client.instance_id),
            lambda: self.it.sync(member_id, generation, {member_id: b"\x00"}),
            lambda: self.commit(member_id, generation, client.instance_id, 0, 77),
            lambda: self.it.leave((member_id, client.instance_id) if client.instance_id else member_id),
        )
        is_empty = group is None or group.is_empty
        if what == 2 and is_empty and generation < 0:
            return
        with self.nothing_changes():
            try:
                answer = acts[what]()
            except LogServerError:
                return
            assert answer not in (None, [None])

    # The world

    @rule(ms=st.sampled_from([1, BEAT_MS, 5_000, SESSION_MS - 1, SESSION_MS, 20_000]))
    def time_passes(self, ms: int) -> None:
        self.advance(ms)

    @rule()
    def restarts(self) -> None:
        self.it.restart()
        self.it.inbox.clear()
        group = self.it.shard.classic.get("g")
        if self.last is None:
            assert group is None
        else:
            assert group is not None
            assert group.generation == self.last.generation
            assert {member.member_id: member.assignment for member in self.last.members} == group.assignments()
        for client in self.clients:
            # Its connection has ended.
            if client.waiting_since is not None:
                self.out(client)

    @rule(ms=st.integers(1, 1_400))
    def the_disk_is_full_for_a_while(self, ms: int) -> None:
        self.it.is_full = True
        self.full_until = self.it.now + ms

    # How clients act

    def step(self, client: Client) -> None:
        if client.phase == "over":
            return
        if client.waiting_since is not None:
            answer = self.it.inbox.pop(client.member_id, None)
            if answer is not None:
                client.waiting_since = None
                self.take(client, answer)
            return
        try:
            match client.phase:
                case "out":
                    self.join(client)
                case "joined":
                    plan = assign(client.members) if client.is_leader and not client.skips else {}
                    synced = self.it.sync(client.member_id, client.generation, plan, instance_id=client.instance_id)
                    if synced is None:
                        client.waiting_since = self.it.now
                    else:
                        self.take(client, synced)
                case "stable":
                    code = self.it.beat(client.member_id, client.generation, client.instance_id)
                    if code is not None:
                        self.refused(client, code)
        except LogServerError as error:
            self.refused(client, error.code)

    def join(self, client: Client) -> None:
        answer = self.it.ask_to_join(
            client.member_id,
            instance_id=client.instance_id,
            rebalance_ms=client.rebalance_ms,
            protocols=client.protocols,
            in_two_steps=client.in_two_steps,
        )
        if isinstance(answer, str):
            client.member_id, client.waiting_since = answer, self.it.now
            if answer in self.it.inbox:
                self.step(client)
        else:
            self.take(client, answer)

    def take(self, client: Client, answer: JoinAnswer | SyncAnswer) -> None:
        if answer.error is not None:
            if answer.error.code is ErrorCode.member_id_required:
                assert isinstance(answer, JoinAnswer)
                client.member_id = answer.member_id
            else:
                self.refused(client, answer.error.code)
        elif isinstance(answer, JoinAnswer):
            assert answer.generation >= 1
            client.member_id, client.generation, client.phase = answer.member_id, answer.generation, "joined"
            client.members, client.skips = answer.members, answer.skip_assignment
            client.is_leader = answer.leader == answer.member_id
            client.former.append((client.member_id, client.generation))
        else:
            client.phase, client.assignment = "stable", answer.assignment

    def refused(self, client: Client, code: ErrorCode) -> None:
        match code:
            case ErrorCode.fenced_instance_id:
                self.over(client)
            case ErrorCode.unknown_member_id:
                self.out(client)
                client.member_id = ""
            case ErrorCode.inconsistent_group_protocol | ErrorCode.group_max_size_reached:
                # Such a client gives up.
                self.over(client)
            case ErrorCode.coordinator_not_available if client.phase == "stable":
                pass
            case _:
                assert code in (
                    ErrorCode.rebalance_in_progress,
                    ErrorCode.illegal_generation,
                    ErrorCode.coordinator_not_available,
                )
                self.out(client)

    @staticmethod
    def out(client: Client) -> None:
        client.phase, client.waiting_since, client.assignment = "out", None, b""

    def over(self, client: Client) -> None:
        client.phase, client.waiting_since, client.assignment = "over", None, b""

    def commit(
        self, member_id: str, generation: int, instance_id: str | None, partition: int, offset: int
    ) -> ErrorCode | None:
        """Commits; what is taken was a member's of the generation, or the group had none."""
        group = self.it.shard.classic.get("g")
        try:
            errors = self.it.commit(member_id, generation, ("a", partition, offset), instance_id=instance_id)
        except LogServerError as error:
            return error.code
        assert errors == [None]
        self.offsets["a", partition] = offset
        if generation >= 0:
            assert group is not None
            assert group.generation == generation
            assert member_id in group.members
            assert group.state is not ClassicState.COMPLETING
        else:
            assert group is None or group.is_empty
        return None

    # Rest

    def advance(self, ms: int) -> None:
        end = self.it.now + ms
        if self.it.is_full:
            self.it.advance(min(max(self.full_until - self.it.now, 0), ms))
            self.it.is_full = self.it.now < self.full_until
        self.it.advance(end - self.it.now)

    def settle(self) -> None:
        """Everybody who is alive comes to own something, all of it together."""
        for _ in range((2 * max(REBALANCES_MS) + 2 * SESSION_MS) // BEAT_MS + 10):
            self.advance(BEAT_MS)
            for _ in range(3):
                self.all_act()
            self.nobody_owns_what_another_owns()
            self.nobody_waits_for_long()
        group = self.it.shard.classic.get("g")
        alive = {client.member_id for client in self.clients if client.phase != "over"}
        if not alive:
            assert group is None or group.is_empty
            return
        assert group is not None
        assert group.state is ClassicState.STABLE
        assert group.members.keys() == alive
        assert sorted(b"".join(group.assignments().values())) == list(range(PARTITIONS))
        assert {client.phase for client in self.clients} <= {"stable", "over"}

    @contextmanager
    def nothing_changes(self) -> Iterator[None]:
        before = self.snapshot()
        yield
        assert self.snapshot() == before

    def snapshot(self) -> Mapping[str, Any]:
        shard = self.it.shard
        return {
            "groups": {group_id: deepcopy(vars(group)) for group_id, group in shard.classic.items()},
            "deadlines": dict(shard.timers._deadlines),
            "log": len(self.it.log),
        }


def owned(value: GroupMetadataValue) -> list[tuple[str | None, bytes]]:
    """Returns who has what; static members by instance id."""
    return sorted(((member.group_instance_id or member.member_id), member.assignment) for member in value.members)
