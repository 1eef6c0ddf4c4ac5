"""What members ask of a share group, and what they are told."""

from collections.abc import Mapping
from typing import NamedTuple

from logserver.coordinator.assignors import Assignment


class ShareHeartbeat(NamedTuple):
    """A member's heartbeat; its first one joins the group (KIP-932, ShareGroupHeartbeat)."""

    group_id: str
    member_id: str
    member_epoch: int
    """0 joins, -1 leaves; otherwise the epoch it was told last."""
    rack_id: str | None = None
    """None where it has not changed; as the next one."""
    topics: tuple[str, ...] | None = None
    client_id: str = ""
    client_host: str = ""


class Initialization(NamedTuple):
    """Partitions whose delivery state has to be made before they can be assigned."""

    group_id: str
    state_epoch: int
    """The group epoch: what was kept for a group of that name before is of a lower one."""
    partitions: Mapping[str, frozenset[int]]
    """By topic id."""


class ShareHeartbeatAnswer(NamedTuple):
    """What a member is told."""

    member_id: str
    member_epoch: int
    assigned: Assignment | None
    """All that it may fetch from, if that has changed or it asked anew."""
    initialization: Initialization | None = None
    """What is to be done once the answer is durable."""
