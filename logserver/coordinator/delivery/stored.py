"""What is written down of a partition of a queue: all of it, or what has changed."""

from enum import IntEnum
from typing import NamedTuple

from logserver.coordinator.delivery.moves import Move
from logserver.coordinator.delivery.unsettled import NEVER


class StoredState(IntEnum):
    """As in Kafka's `__share_group_state` (KIP-932)."""

    AVAILABLE = 0
    """Not settled."""
    ACKNOWLEDGED = 2
    ARCHIVED = 4
    """Settled without success."""


class Extras(NamedTuple):
    """What Kafka does not keep; times in milliseconds, -1 where there is none."""

    failures: int = 0
    first_ms: int = NEVER
    last_ms: int = NEVER
    number: int = NEVER
    """Of the last acquisition."""
    held: bool = False
    """Whether somebody has it."""
    outlives: bool = False
    """Held: whether only time ends the lock, and no restart."""
    redelivered: bool = False
    until_ms: int = NEVER
    """Held: when the lock ends. Otherwise: when it is due again."""
    intent: int = NEVER
    """Number of the move that is under way."""


NO_EXTRAS = Extras()


class StoredRange(NamedTuple):
    """Records with the same story: offsets with both ends inclusive."""

    first: int
    last: int
    state: StoredState
    acquisitions: int
    extras: Extras = NO_EXTRAS


class Stored(NamedTuple):
    """State of a partition of a queue, or changes of it."""

    start: int
    """Everything below is settled. What no range names has not been delivered to anybody."""
    epoch: int
    """Of the time since the state was read last."""
    reserve_end: int
    """Below, records may have been delivered."""
    last_intent: int
    ranges: list[StoredRange]
    """In the order of their offsets."""
    moves: list[Move]
    """Those under way that the ranges name."""
