"""What a state is of, who holds it while it is in use, and what that one is given."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from logserver.coordinator.delivery.events import Event
from logserver.coordinator.delivery.stored import Stored
from logserver.errors import LogServerError


class StateKey(NamedTuple):
    """A partition of a queue: what a share group has done with a partition of a topic."""

    group_id: str
    topic_id: str
    """22 characters, as topics have them."""
    partition: int

    @property
    def name(self) -> str:
        """By which the partition is found that keeps the state (Kafka: `SharePartitionKey.asCoordinatorKey`)."""
        return f"{self.group_id}:{self.topic_id}:{self.partition}"


class StateSummary(NamedTuple):
    """The state in a few numbers (Kafka: ReadShareGroupStateSummary)."""

    state_epoch: int
    leader_epoch: int
    start_offset: int
    """-1: not decided yet."""
    delivery_complete_count: int
    """Settled offsets from the start offset on; -1: not known."""


@dataclass(frozen=True, slots=True)
class Image:
    """What is kept of a partition of a queue."""

    stored: Stored | None
    """None: nothing has been written but where to begin."""
    state_epoch: int
    leader_epoch: int
    start_offset: int
    """-1: not decided yet."""
    epoch: int = 0
    """The last `Stored.epoch`, also where `stored` is None because all was set anew; an engine begins above it."""
    last_intent: int = 0
    """The last `Stored.last_intent`, likewise; an engine goes on from it."""


class StateWriter(Protocol):
    """Who holds the state of one key while it is open. All calls come on the event loop's thread."""

    @property
    def sequence(self) -> int:
        """Number of the last transition that was in what was taken last."""
        ...

    def take_delta(self) -> Stored:
        """Returns what has changed since something was taken, which is written from here on."""
        ...

    def take_snapshot(self) -> Stored:
        """Returns the whole state, which is written from here on."""
        ...

    def take_events(self) -> Sequence[Event]:
        """Returns the chapters that were told since something was taken."""
        ...

    def written(self, sequence: int) -> None:
        """Called when all transitions up to a number are durable."""
        ...

    def state_lost(self, error: LogServerError) -> None:
        """Called when the state is not this writer's any more, which is not told of it again.

        What it has in memory, and what was not said to be durable, is to be dropped; `ShareState.open` gives what is
        kept, then or later.
        """
        ...
