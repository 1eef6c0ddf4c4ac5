"""Which committed offsets are forgotten when, and which groups with them (offsets.retention.minutes).

Source: KIP-211; Apache Kafka: `OffsetMetadataManager.cleanupExpiredOffsets`.
"""

from collections.abc import Callable, Container, Mapping
from typing import NamedTuple

from logserver.coordinator.classic_group import ClassicGroup, ClassicState
from logserver.coordinator.consumer_group import ConsumerGroup
from logserver.coordinator.consumer_protocol import CONSUMER
from logserver.coordinator.formats import OffsetCommitValue
from logserver.coordinator.offsets import Place


class Keeping(NamedTuple):
    """What a group's members mean to its offsets."""

    has_members: bool = False
    empty_since_ms: int = 0
    is_subscribed: Callable[[str], bool] = lambda topic: False
    """Whether a member is subscribed to a topic."""


def keeping_of(group: ConsumerGroup | None, classic: ClassicGroup | None) -> Keeping:
    """Returns what a group's members mean to its offsets; at most one of the arguments has members."""
    if group is not None:
        return Keeping(not group.is_empty, group.epoch_time_ms if group.is_empty else 0, group.is_subscribed)
    if classic is None:
        return Keeping()
    if classic.is_empty:
        return Keeping(empty_since_ms=classic.state_time_ms)
    # What they are subscribed to is known for certain only when they have agreed on it.
    is_known = classic.state is ClassicState.STABLE and classic.protocol_type == CONSUMER
    return Keeping(True, 0, classic.subscription() if is_known else lambda topic: True)


def forgotten(
    offsets: Mapping[Place, OffsetCommitValue],
    pending: Container[Place],
    group: Keeping,
    retention_ms: int,
    now_ms: int,
) -> tuple[list[Place], bool]:
    """Returns the offsets of a group that are to be forgotten, and whether the group is, too.

    A group keeps the offsets of topics that a member is subscribed to, and those that an open transaction is about to
    commit. Others go `retention_ms` after the commit, and no earlier than that after the group has lost its last
    member. Without any offsets a group is kept as long as it would have kept them.

    Args:
        pending: what open transactions are about to commit; false if there is nothing.
    """
    gone = [
        place
        for place, value in offsets.items()
        if place not in pending
        and _is_over(value, group, retention_ms, now_ms)
        and not (group.has_members and group.is_subscribed(place[0]))
    ]
    is_over = bool(gone) or now_ms >= group.empty_since_ms + retention_ms
    return gone, is_over and len(gone) == len(offsets) and not group.has_members and not pending


def _is_over(value: OffsetCommitValue, group: Keeping, retention_ms: int, now_ms: int) -> bool:
    if value.expire_timestamp_ms >= 0:
        return now_ms >= value.expire_timestamp_ms
    return now_ms >= max(value.commit_timestamp_ms, group.empty_since_ms) + retention_ms
