"""One member of a group, without I/O: what to tell the coordinator, and what its answers mean."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from logserverpb.v1 import groups_pb2

from logserver_client._group.ownership import Ownership
from logserver_client.errors import LogServerError
from logserver_client.types import Subscription, TopicPartition

NEW: Final = 0
"""The epoch of somebody who isn't a member yet."""

FENCED: Final = frozenset({"FENCED_MEMBER_EPOCH", "UNKNOWN_MEMBER_ID", "STALE_MEMBER_EPOCH"})
"""Ends of a stream after which the partitions are lost and the client may join anew."""

UNRELEASED: Final = "UNRELEASED_INSTANCE_ID"


class Phase(Enum):
    """Where a member is in its life.

    IDLE -> JOINING              subscribe
    JOINING -> MEMBER            the first assignment
    JOINING, MEMBER -> LOST      fenced by the coordinator, or the user is gone
    LOST -> JOINING              the user has come back and has been told
    JOINING, MEMBER -> FAILED    an error that trying again does not mend
    FAILED -> JOINING            subscribe
    any -> IDLE                  leave
    """

    IDLE = auto()
    JOINING = auto()
    MEMBER = auto()
    LOST = auto()
    FAILED = auto()


class Ended(Enum):
    """What the end of a stream means."""

    AGAIN = auto()
    """Open another one."""
    LOST = auto()
    FAILED = auto()
    LEFT = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a member is, from its first to its last day."""

    group_id: str
    member_id: str
    instance_id: str | None
    rack_id: str | None
    client_id: str
    assignor: str | None
    rebalance_timeout_ms: int


class Member:
    """The protocol of the `Membership` stream.

    An Assignment's sequence counts per stream: what is acknowledged on a new stream is what came on it, and `Join`
    tells the rest.

    Args:
        answer_timeout_s: how long a join or heartbeat may stay without answer before the stream counts as broken.
    """

    def __init__(self, identity: Identity, answer_timeout_s: float) -> None:
        self.identity = identity
        self.phase = Phase.IDLE
        self.epoch = NEW
        self.subscription: Subscription | None = None
        self.ownership = Ownership()
        self.error: LogServerError | None = None
        """Why it is FAILED, or LOST."""
        self._answer_timeout_s = answer_timeout_s
        self._topic_ids: dict[str, str] = {}
        self._heartbeat_interval_s = 0.0
        self._is_closing = False
        # Of the stream.
        self._is_open = False
        self._is_join_due = False
        self._has_joined = False
        self._sequence = 0
        self._is_acknowledgement_due = False
        self._is_subscription_due = False
        self._is_leave_due = False
        self._will_return = False
        self._has_left = False
        self._heartbeat_at_s = 0.0
        self._answer_due_s: float | None = None

    # From the user.

    def subscribe(self, subscription: Subscription) -> None:
        """Joins, or tells the coordinator about a new subscription."""
        if self.subscription != subscription:
            self.subscription = subscription
            self._is_subscription_due = True
        if self.phase in (Phase.IDLE, Phase.FAILED):
            assert not self.ownership.held, "what was lost or left has been told"
            self.phase = Phase.JOINING
            self.error = None

    def begin_leave(self) -> list[TopicPartition]:
        """Gives up everything, whatever is assigned meanwhile; `leave` ends it. Returns the partitions to stop."""
        self._is_closing = True
        self._is_acknowledgement_due = False
        return self.ownership.stop_all()

    def leave(self, *, will_return: bool | None) -> None:
        """Leaves the group. All partitions have been given up, or are lost with it.

        Args:
            will_return: the partitions of a static member stay its own until its session ends. None says nothing to the
                coordinator: the stream is to be closed.
        """
        if will_return is not None:
            self._begin_leaving(will_return)
        self.epoch = NEW
        self._is_closing = False
        self.phase = Phase.IDLE
        self.subscription = None
        self.error = None
        self.ownership.lose()

    def user_gone(self, error: LogServerError) -> list[TopicPartition]:
        """Leaves, because nobody takes the records any more; returns the partitions to stop."""
        self._begin_leaving(self.identity.instance_id is not None)
        return self._lost(Phase.LOST, error)

    def fail(self, error: LogServerError) -> list[TopicPartition]:
        """Ends it with an error that trying again doesn't mend; returns the partitions to stop."""
        self._begin_leaving(self.identity.instance_id is not None)
        return self._lost(Phase.FAILED, error)

    def told(self) -> list[TopicPartition]:
        """The user has come back after a loss: joins anew if that helps. Returns what was lost."""
        assert self.phase in (Phase.LOST, Phase.FAILED)
        lost = self.ownership.lose()
        if self.phase is Phase.LOST and not self._is_closing:
            self.phase = Phase.JOINING
            self.error = None
        return lost

    def take(self, partitions: Iterable[TopicPartition]) -> None:
        """These are owned from now on."""
        self.ownership.take(partitions)
        self._acknowledge()

    def give_up(self, partitions: Iterable[TopicPartition]) -> None:
        """These are owned no more."""
        self.ownership.give_up(partitions)
        self._acknowledge()

    def topic_id(self, topic: str) -> str | None:
        """Returns the id of a topic that has been assigned."""
        return self._topic_ids.get(topic)

    # The stream.

    @property
    def wants_stream(self) -> bool:
        return self.phase in (Phase.JOINING, Phase.MEMBER)

    @property
    def is_joined(self) -> bool:
        """An assignment has come on the stream that is open."""
        return self._is_open and self._has_joined and not self._has_left and not self._is_leave_due

    def opened(self) -> None:
        """A stream is open."""
        assert self.wants_stream
        self._is_open = True
        self._is_join_due = True
        self._has_joined = False
        self._sequence = 0
        self._is_acknowledgement_due = self._is_subscription_due = False
        self._is_leave_due = self._has_left = False
        self._answer_due_s = None

    def next_request(self, now_s: float) -> groups_pb2.MembershipRequest | None:
        """Returns what to send now, None if there is nothing."""
        if not self._is_open or self._has_left:
            return None
        if self._is_leave_due:
            self._has_left = True
            return groups_pb2.MembershipRequest(leave=groups_pb2.Leave(will_return=self._will_return))
        if not self.wants_stream:
            return None
        if self._is_join_due:
            self._is_join_due = self._is_subscription_due = False
            self._answer_due_s = now_s + self._answer_timeout_s
            return groups_pb2.MembershipRequest(join=self._join())
        if not self._has_joined:
            return None
        if self._is_acknowledgement_due or self._is_subscription_due or now_s >= self._heartbeat_at_s:
            return groups_pb2.MembershipRequest(heartbeat=self._heartbeat(now_s))
        return None

    def next_s(self) -> float | None:
        """Returns when to ask `next_request` or `is_overdue` again; None if only news can change their answer."""
        times = [] if self._answer_due_s is None else [self._answer_due_s]
        if self.is_joined:
            times.append(self._heartbeat_at_s)
        return min(times, default=None)

    @property
    def is_open(self) -> bool:
        """A stream is open."""
        return self._is_open

    @property
    def has_left(self) -> bool:
        """Leave was the last that was sent."""
        return self._has_left

    def is_overdue(self, now_s: float) -> bool:
        """True if the server owes an answer for too long."""
        return self._answer_due_s is not None and now_s >= self._answer_due_s

    def received(self, assignment: groups_pb2.Assignment, now_s: float) -> list[TopicPartition]:
        """Takes in an assignment; returns the partitions to stop."""
        self._answer_due_s = None
        if not self.wants_stream or self._is_leave_due or self._has_left:
            # Sent before the server saw that we leave.
            return []
        if not self._has_joined:
            self._has_joined = True
            self._heartbeat_at_s = now_s + assignment.heartbeat_interval_ms / 1000
        self.phase = Phase.MEMBER
        self.epoch = assignment.member_epoch
        self._sequence = assignment.sequence
        self._heartbeat_interval_s = assignment.heartbeat_interval_ms / 1000
        if self._is_closing:
            return []
        ids = {part.topic: part.topic_id for part in assignment.partitions}
        outdated = {topic for topic, topic_id in ids.items() if self._topic_ids.get(topic, topic_id) != topic_id}
        self._topic_ids.update(ids)
        stopped = self.ownership.assign(
            (TopicPartition(part.topic, partition) for part in assignment.partitions for partition in part.partitions),
            outdated,
        )
        self._acknowledge()
        return stopped

    def alive(self) -> None:
        """Takes in the answer to a heartbeat."""
        self._answer_due_s = None

    def ended(self, error: LogServerError) -> tuple[Ended, list[TopicPartition]]:
        """The stream has ended; returns what that means and the partitions to stop."""
        was_left = self._has_left or self._is_leave_due
        self._is_open = self._has_joined = self._has_left = self._is_leave_due = False
        self._answer_due_s = None
        if was_left or not self.wants_stream:
            return Ended.LEFT, []
        if error.name in FENCED:
            return Ended.LOST, self._lost(Phase.LOST, error)
        if error.retriable or error.name == UNRELEASED:
            return Ended.AGAIN, []
        return Ended.FAILED, self._lost(Phase.FAILED, error)

    def _lost(self, phase: Phase, error: LogServerError) -> list[TopicPartition]:
        self.phase = phase
        self.epoch = NEW
        self.error = error
        return self.ownership.stop_all()

    def _begin_leaving(self, will_return: bool) -> None:
        self._is_leave_due = self._is_open and not self._has_left
        self._will_return = will_return
        self.epoch = NEW

    def _acknowledge(self) -> None:
        # A partition that isn't taken yet holds nobody up; one that isn't given up does. So the assignment counts as
        # carried out as soon as nothing is held beyond it, and once more when all of it is held.
        self._is_acknowledgement_due = self._has_joined and not self._is_closing and self.ownership.is_released

    def _join(self) -> groups_pb2.Join:
        identity = self.identity
        return groups_pb2.Join(
            group_id=identity.group_id,
            member_id=identity.member_id,
            member_epoch=self.epoch,
            instance_id=identity.instance_id,
            rack_id=identity.rack_id,
            rebalance_timeout_ms=identity.rebalance_timeout_ms,
            subscription=self._subscription(),
            assignor=identity.assignor,
            owned=self._owned() if self.epoch != NEW else [],
            client_id=identity.client_id,
        )

    def _heartbeat(self, now_s: float) -> groups_pb2.Heartbeat:
        heartbeat = groups_pb2.Heartbeat()
        if self._is_acknowledgement_due:
            heartbeat.carried_out = self._sequence
            heartbeat.owned.extend(self._owned())
        if self._is_subscription_due:
            heartbeat.subscription.CopyFrom(self._subscription())
        self._is_acknowledgement_due = self._is_subscription_due = False
        self._heartbeat_at_s = now_s + self._heartbeat_interval_s
        if self._answer_due_s is None:
            self._answer_due_s = now_s + self._answer_timeout_s
        return heartbeat

    def _subscription(self) -> groups_pb2.Subscription:
        assert self.subscription is not None
        return groups_pb2.Subscription(topics=self.subscription.topics, pattern=self.subscription.pattern)

    def _owned(self) -> list[groups_pb2.TopicPartitions]:
        by_topic: dict[str, list[int]] = {}
        for topic, partition in sorted(self.ownership.held):
            by_topic.setdefault(topic, []).append(partition)
        return [
            groups_pb2.TopicPartitions(topic=topic, topic_id=self._topic_ids.get(topic, ""), partitions=partitions)
            for topic, partitions in by_topic.items()
        ]
