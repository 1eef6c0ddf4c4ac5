"""What tests of the group state machines share: topics that come and go, and a shard with its log but without I/O."""

from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Any, NamedTuple, TypeVar

import pytest

from logserver.coordinator.assignment import AssignmentTask
from logserver.coordinator.consumer_group import ConsumerGroup
from logserver.coordinator.decision import Decision, Entry, Wake
from logserver.coordinator.formats import decode, encode_key, encode_value
from logserver.coordinator.limits import GroupLimits
from logserver.coordinator.member import Member
from logserver.coordinator.regex import compile_pattern
from logserver.coordinator.requests import Commit, Heartbeat, HeartbeatAnswer, OffsetToCommit, Subscription
from logserver.coordinator.shard import GroupShard
from logserver.coordinator.topics_view import TopicView
from logserver.errors import ErrorCode, LogServerError

T = TypeVar("T")

NOW = 1_700_000_000_000


class FakeTopics:
    """A `TopicsView` that a test changes."""

    def __init__(self, **partitions: int) -> None:
        self._topics: dict[str, TopicView] = {}
        self._made = 0
        for name, count in partitions.items():
            self.create(name, count)

    def create(self, name: str, partitions: int) -> TopicView:
        self._made += 1
        topic_id = urlsafe_b64encode(self._made.to_bytes(16, "big")).decode().rstrip("=")
        self._topics[name] = TopicView(name, topic_id, partitions)
        return self._topics[name]

    def grow(self, name: str, partitions: int) -> None:
        self._topics[name] = self._topics[name]._replace(partitions=partitions)

    def delete(self, name: str) -> None:
        del self._topics[name]

    def id(self, name: str) -> str:
        return self._topics[name].topic_id

    def by_name(self, name: str) -> TopicView | None:
        return self._topics.get(name)

    def by_id(self, topic_id: str) -> TopicView | None:
        return next((view for view in self._topics.values() if view.topic_id == topic_id), None)

    def names(self) -> Iterable[str]:
        return [name for name in self._topics if not name.startswith("__")]

    def matching(self, pattern: str) -> tuple[str, ...]:
        compiled = compile_pattern(pattern)
        return tuple(sorted(name for name in self.names() if compiled.matches(name)))

    def partitions_of(self, names: Iterable[str]) -> set[tuple[str, int]]:
        """Returns all partitions of those topics that exist."""
        views = [self._topics[name] for name in names if name in self._topics]
        return {(view.topic_id, number) for view in views for number in range(view.partitions)}


class Written(NamedTuple):
    """A record of the log."""

    key: bytes
    value: bytes | None
    timestamp_ms: int


def state_of(shard: GroupShard) -> dict[str, Any]:
    """Returns everything that a log has to bring back."""
    return {
        "groups": {
            group_id: {name: copy(value) for name, value in vars(group).items()}
            for group_id, group in shard.groups.items()
        },
        "offsets": {group_id: dict(shard.offsets.of(group_id)) for group_id in shard.offsets.groups()},
        "offset count": shard.offsets.count,
        "classic": dict(shard.classic),
        "share": {
            group_id: {name: copy(value) for name, value in vars(group).items() if name != "_has_unassigned"}
            for group_id, group in shard.share.groups.items()
        },
    }


def replayed(log: Iterable[Written], limits: GroupLimits, topics: FakeTopics, now_ms: int) -> GroupShard:
    """Returns a shard that has been read from a log."""
    shard = GroupShard(limits, topics)
    for record in log:
        key, value = decode(record.key, record.value)
        shard.apply(key, value, record.timestamp_ms)
    shard.loaded(now_ms)
    return shard


class Coordinator:
    """A shard, driven as its runtime drives it: decisions are written first, then applied, then followed up."""

    def __init__(self, topics: FakeTopics, limits: GroupLimits | None = None) -> None:
        self.topics = topics
        self.limits = limits or GroupLimits()
        self.now = NOW
        self.log: list[Written] = []
        self.is_full = False
        """Whether nothing can be written."""
        self.tasks: list[AssignmentTask] = []
        """Assignments that are being made elsewhere."""
        self.carrying_out: list[Iterator[Decision[None] | AssignmentTask]] = []
        """What has been begun and not finished."""
        self.woken: set[tuple[str, str]] = set()
        """Group ids and member ids of those that were told to look again."""
        self.after_write: Callable[[Sequence[Entry]], None] = lambda entries: None
        self.shard = GroupShard(self.limits, topics)
        self.shard.loaded(self.now)

    # As the runtime

    def decide(self, decision: Decision[T]) -> T:
        """Carries out a decision that has just been taken; returns its answer.

        Raises:
            LogServerError: COORDINATOR_NOT_AVAILABLE, while it can't be written.
        """
        if not decision.entries:
            return decision.answer
        if self.is_full:
            raise LogServerError(ErrorCode.coordinator_not_available, "no space left on device")
        encoded = [
            Written(encode_key(key), None if value is None else encode_value(value), self.now)
            for key, value in decision.entries
        ]
        self.log += encoded
        for key, value in decision.entries:
            self.shard.apply(key, value, self.now)
        self.shard.follow_up(decision.entries, self.now)
        if decision.wake is not Wake.NOBODY:
            self.woken.update(
                (decision.group, member_id) for member_id in self.shard.waiting(decision.group, decision.wake)
            )
        self.after_write(decision.entries)
        return decision.answer

    def carry_out(self, outcomes: Iterable[Decision[None] | AssignmentTask]) -> None:
        """Begins to carry out what nobody has asked for; `finish` goes on with it."""
        self.carrying_out.append(iter(outcomes))

    def finish(self, steps: int | None = None) -> None:
        """Carries out what has been begun: so many steps of it, or all."""
        while self.carrying_out and steps != 0:
            steps = None if steps is None else steps - 1
            try:
                outcome = next(self.carrying_out[0])
                if isinstance(outcome, AssignmentTask):
                    self.tasks.append(outcome)
                else:
                    self.decide(outcome)
            except StopIteration:
                self.carrying_out.pop(0)
            except LogServerError as error:
                # It is tried again when its time comes anew.
                assert error.code is ErrorCode.coordinator_not_available
                self.carrying_out.pop(0)

    def expire(self) -> None:
        """Carries out all that time has brought until now."""
        self.carry_out(self.shard.expire(self.now))
        self.finish()

    def topics_changed(self) -> None:
        """Has the shard take in changed topics."""
        self.carry_out(self.shard.topics_changed(self.now))
        self.finish()

    def advance(self, ms: int) -> None:
        """Lets time pass; whatever becomes due happens then, not later."""
        end = self.now + ms
        for _ in range(10_000):
            next_ms = self.shard.timers.next_ms
            if next_ms is None or next_ms > end:
                self.now = end
                return
            self.now = max(self.now, next_ms)
            self.expire()
        raise AssertionError(f"something fires for ever: {self.shard.timers._deadlines}")

    def bring_back(self, task: AssignmentTask) -> None:
        """Finishes an assignment that was made elsewhere."""
        self.tasks.remove(task)
        self.carry_out([self.shard.assigned(task, task.run(), self.now)])
        self.finish()

    def restart(self) -> None:
        """Ends the shard and reads another one from the log."""
        self.tasks.clear()
        self.carrying_out.clear()
        self.woken.clear()
        self.shard = replayed(self.log, self.limits, self.topics, self.now)
        self.topics_changed()

    # Requests, for examples

    def group(self, group_id: str = "g") -> ConsumerGroup:
        return self.shard.groups[group_id]

    def member(self, member_id: str, group_id: str = "g") -> Member:
        return self.shard.groups[group_id].members[member_id]

    def heartbeat(self, member_id: str, epoch: int, group_id: str = "g", **fields: Any) -> HeartbeatAnswer:
        request = Heartbeat(group_id, member_id, epoch, **fields)
        return self.decide(self.shard.heartbeat(request, self.now))

    def join(self, member_id: str, *topics: str, group_id: str = "g", **fields: Any) -> HeartbeatAnswer:
        """Joins with everything that this takes."""
        subscription = Subscription(topics, fields.pop("pattern", None))
        fields = {"rebalance_timeout_ms": 30_000, "subscription": subscription, "owned": frozenset(), **fields}
        return self.heartbeat(member_id, 0, group_id, **fields)

    def look_again(self, member_id: str, group_id: str = "g") -> HeartbeatAnswer | None:
        return self.decide(self.shard.look_again(group_id, member_id))

    def commit(
        self,
        member_id: str,
        epoch: int,
        *offsets: OffsetToCommit | tuple[str, int, int],
        group_id: str = "g",
        instance_id: str | None = None,
    ) -> list[ErrorCode | None]:
        """Commits; returns the error code of each offset, None if it was stored."""
        request = Commit(group_id, member_id, epoch, [OffsetToCommit(*offset) for offset in offsets], instance_id)
        answers = self.decide(self.shard.commit(request, self.now))
        return [error.code if error is not None else None for error in answers]

    def committed(self, group_id: str = "g") -> dict[tuple[str, int], int]:
        return {place: value.offset for place, value in self.shard.offsets.of(group_id).items()}

    def settle(self, group_id: str = "g", rounds: int = 20) -> Mapping[str, frozenset[tuple[str, int]]]:
        """Has every member give up at once what it is asked to, until nothing changes; returns who owns what."""
        for _ in range(rounds):
            size = len(self.log)
            self.advance(self.limits.heartbeat_interval_ms)
            group = self.shard.groups[group_id]
            for member_id, member in list(group.members.items()):
                if not member.is_away:
                    self.heartbeat(
                        member_id,
                        member.epoch,
                        group_id,
                        instance_id=member.instance_id,
                        owned=frozenset(member.assigned),
                    )
            if len(self.log) == size:
                return {member_id: frozenset(member.assigned) for member_id, member in group.members.items()}
        raise AssertionError(f"{group_id} does not come to rest")


@contextmanager
def refused(code: ErrorCode, *words: str) -> Iterator[None]:
    """Expects an error with this code, whose message has all the words."""
    with pytest.raises(LogServerError) as caught:
        yield
    assert caught.value.code is code, caught.value
    for word in words:
        assert word in caught.value.message, (word, caught.value.message)


@contextmanager
def unchanged(coordinator: Coordinator) -> Iterator[None]:
    """Expects that neither state, log nor deadlines change."""
    before = state_of(coordinator.shard)
    deadlines = dict(coordinator.shard.timers._deadlines)
    size = len(coordinator.log)
    yield
    assert len(coordinator.log) == size
    assert state_of(coordinator.shard) == before
    assert coordinator.shard.timers._deadlines == deadlines
