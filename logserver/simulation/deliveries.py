"""Messages of work queues, as workers were given them, and what they said of them."""

from dataclasses import dataclass, field
from enum import Enum
from math import inf
from typing import Final, NamedTuple

from logserver.simulation.ledger import NEVER, Moment, Place

UNKNOWN: Final = -1
EPOCH_BITS: Final = 40
"""An acquisition's number has the epoch of the state above these bits, and one that counts in them."""


_ROUNDING_S: Final = 0.002
"""The server counts in milliseconds."""


def until_s(asked_s: float, time_ms: float) -> float:
    """Returns before when what was asked for, for a time, is not over."""
    return asked_s + time_ms / 1000 - _ROUNDING_S


class Outcome(Enum):
    """What a worker says of a message."""

    ACKNOWLEDGE = "acknowledge"
    RELEASE = "release"
    FAIL = "fail"
    REJECT = "reject"
    EXTEND = "extend"


class Terms(NamedTuple):
    """What a queue promises beyond what all do.

    Args:
        limit: deliveries of a message at most, or failures with `counts_failures`; 0: without end.
        dead_letters: topic of the messages that are rejected or have come to the limit; empty: none.
        destination: topic to which messages are sent back, as dead letters are; empty: none.
        is_declared: whether it was declared; otherwise it is a share group on a topic.
        at_most_once: whether messages are settled as they are delivered.
    """

    name: str
    group: str
    topic: str
    limit: int = 0
    counts_failures: bool = False
    retry_delay_ms: int = 0
    dead_letters: str = ""
    destination: str = ""
    is_declared: bool = True
    at_most_once: bool = False


class Session:
    """What holds messages together with a connection: a stream, or a share session."""

    def __init__(self) -> None:
        self.held: dict[Delivery, None] = {}


@dataclass(eq=False)
class Delivery:
    """A message that a worker was given.

    Args:
        asked_s: when it had asked for it; the server did not give it before.
        locked_until_s: before, nobody else may have it; as long as the session is there, if there is one.
        number: of the acquisition, failures: so many before; `UNKNOWN` through the Kafka door.
    """

    message: "Message"
    worker: str
    count: int
    asked_s: float
    got_s: float
    got_at: Moment
    locked_until_s: float
    session: Session | None = None
    number: int = UNKNOWN
    failures: int = UNKNOWN
    said: Outcome | None = None
    """What was said of it first; `Outcome.EXTEND` does not count."""
    said_s: float = inf
    said_at: Moment = NEVER
    is_said_again: bool = False

    def __str__(self) -> str:
        return f"{self.message} delivered to {self.worker} for the {self.count}. time"


@dataclass(eq=False)
class Message:
    """A message of a queue, from when somebody was given it."""

    place: Place
    offset: int
    deliveries: list[Delivery] = field(default_factory=list)
    asked: dict[Outcome, Moment] = field(default_factory=dict)
    """When somebody said that for the first time, whether it was good or not."""
    acknowledged: Delivery | None = None
    acknowledged_at: Moment = NEVER
    rejected: Delivery | None = None
    rejected_at: Moment = NEVER
    failed: list[tuple[int, Moment]] = field(default_factory=list)
    """Of which deliveries, by their counts, a failure was told to be known, and when."""
    rests: list[tuple[Delivery, float, Moment]] = field(default_factory=list)
    """After which deliveries it is to rest, until when at least, and since when that is known."""
    extended: tuple[Delivery, float, Moment] | None = None
    """The last lock that only time ends and that was told to be durable: until when at least, since when."""

    def __str__(self) -> str:
        return f"{self.offset} of {self.place}"

    @property
    def is_settled(self) -> bool:
        """Whether a worker was told that it is."""
        return self.acknowledged is not None or self.rejected is not None

    def highest(self, at: Moment) -> int:
        """Returns the highest count that somebody was told until a moment; 0 if nobody was given it."""
        return max((one.count for one in self.deliveries if one.got_at <= at), default=0)
