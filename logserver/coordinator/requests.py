"""What members ask of a group, whichever door they come through, and what they are told."""

from collections.abc import Sequence
from typing import NamedTuple

from logserver.coordinator.assignors import Assignment
from logserver.coordinator.member import Owned


class Subscription(NamedTuple):
    """What a member wants to read: topics by name, those that a pattern matches, or both."""

    topics: tuple[str, ...]
    pattern: str | None = None


class Heartbeat(NamedTuple):
    """A member's heartbeat; its first one joins the group (KIP-848, ConsumerGroupHeartbeat)."""

    group_id: str
    member_id: str
    member_epoch: int
    """0 joins, -1 leaves, -2 leaves to come back (static members); otherwise the epoch it was told last."""
    instance_id: str | None = None
    rack_id: str | None = None
    rebalance_timeout_ms: int | None = None
    """None where it has not changed; as the next three."""
    subscription: Subscription | None = None
    assignor: str | None = None
    owned: Assignment | None = None
    client_id: str = ""
    client_host: str = ""


class HeartbeatAnswer(NamedTuple):
    """What a member is told."""

    member_id: str
    member_epoch: int
    assigned: Owned | None
    """All that it may own, if that has changed or it asked anew."""


class OffsetToCommit(NamedTuple):
    """An offset that a group wants to remember."""

    topic: str
    partition: int
    offset: int
    leader_epoch: int = -1
    metadata: str = ""


class Transaction(NamedTuple):
    """In which something is done: that of a transactional producer."""

    transactional_id: str
    producer_id: int
    producer_epoch: int


class Commit(NamedTuple):
    """A request to remember offsets (OffsetCommit)."""

    group_id: str
    member_id: str
    """Empty where the committer is no member."""
    member_epoch: int
    """-1 where the committer is no member."""
    offsets: Sequence[OffsetToCommit]
    instance_id: str | None = None
