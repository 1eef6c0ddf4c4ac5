"""The rules of members and of time: joining, heartbeats, leaving, silence."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from logserver.coordinator.member import AWAY, LEAVING
from logserver.coordinator.requests import Heartbeat, Subscription
from logserver.errors import ErrorCode, LogServerError

from .clients import Client, Fate, StreamClient
from .group_spec import GroupSpec
from .group_values import BEAT_MS, NONSENSE, SESSION_MS, doors, fates, groups, instance_ids, subscriptions, which
from .support import unchanged


class MemberRules(GroupSpec):
    """What members do, and what becomes of those that do not."""

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
            was_member = self.is_member(client) and not client.is_declared_dead
            client.leave(AWAY, fate)
            self.gone.append(client)
            if was_member and fate != "request lost" and not self.coordinator.is_full:
                member = self.coordinator.shard.groups[client.group_id].members[client.member_id]
                assert member.is_away and not member.revoking

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
        owned_as: tuple[frozenset[tuple[str, int]] | None, ...] = (None, frozenset(), client.owned)
        if member.is_away:
            with unchanged(self.coordinator):
                assert self.coordinator.decide(self.coordinator.shard.look_again(group_id, member_id)) is None
        match kind:
            case "previous":
                epoch, owned_as = member.previous_epoch, (None, frozenset({("others", 0)}))
                if epoch <= 0 or epoch == member.epoch:
                    return
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
        for owned in owned_as:
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

    @rule(steps=st.none() | st.integers(1, 2))
    def go_on(self, steps: int | None) -> None:
        """What has been begun is carried on with."""
        self.coordinator.finish(steps)
        self.note_orphans()
        if not self.coordinator.carrying_out and not self.has_been_full:
            # No offset outlives its topic.
            assert not any(map(self.is_orphaned, self.offsets))

    @precondition(lambda self: self.coordinator.tasks)
    @rule(number=which)
    def assignment_is_made(self, number: int) -> None:
        if self.coordinator.tasks:
            self.coordinator.bring_back(self.coordinator.tasks[number % len(self.coordinator.tasks)])
            self.note_orphans()
