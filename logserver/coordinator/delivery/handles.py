"""What somebody who works on records gets, and shows when done."""

from enum import Enum
from typing import Final, NamedTuple

ANY_NUMBER: Final = -1
"""In a handle: whatever acquisition it was, the owner is what counts (Kafka)."""


class Handle(NamedTuple):
    """Records of one acquisition: offsets with both ends inclusive."""

    first: int
    last: int
    number: int
    """Of the acquisition, never given twice by a partition of a queue; `ANY_NUMBER` with an owner."""


class Check(Enum):
    """Which handles are good."""

    STRICT = "strict"
    """Those whose lock is still held (Kafka, AMQP)."""
    LATEST = "latest"
    """Also those whose lock has run out, as long as nobody else has had the records (SQS)."""


class Acquired(NamedTuple):
    """Records that somebody may work on now: offsets with both ends inclusive."""

    first: int
    last: int
    number: int
    acquisitions: int
    """How often they have been acquired, this time included."""
    failures: int
    redelivered: bool
    """Whether somebody may have had them before."""

    @property
    def handle(self) -> Handle:
        return Handle(self.first, self.last, self.number)


class Acquisition(NamedTuple):
    """The answer to an `acquire`."""

    ranges: list[Acquired]
    records: int
    after: int
    """They may be shown once this transition is durable."""
    size: int = 0
    """Bytes that they have about."""
